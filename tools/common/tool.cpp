#include "tools/common/tool.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <exception>
#include <utility>

#include <fmt/core.h>

#include "ipc/format/layout.hpp"
#include "tools/common/notice.hpp"

namespace ipc::tools {
namespace {

// A channel must not get the number of a standard stream that was closed: output meant for the
// stream would go into the channel's memory. The stand-ins refuse the stream's own direction.
void occupy_standard_streams() {
    for (const auto& [descriptor, wrong_direction] : {std::pair(STDIN_FILENO, O_WRONLY),
                                                      {STDOUT_FILENO, O_RDONLY},
                                                      {STDERR_FILENO, O_WRONLY}}) {
        if (::fcntl(descriptor, F_GETFD) < 0) ::open("/dev/null", wrong_direction);
    }
}

// Ends like a program that knows nothing of signals, so that a shell sees why and leaves its loop,
// too.
int end_by_signal(int signal) {
    ::signal(signal, SIG_DFL);
    ::raise(signal);
    return 128 + signal;
}

// Where the options that were given are described: with the sub-command, unless it has none but
// --help, and takes those of the tool.
std::string help_of(const CLI::App& arguments) {
    std::string command = arguments.get_name();
    for (const CLI::App* each : arguments.get_subcommands()) {
        if (each->get_options().size() < 2) continue;
        command += " " + each->get_name();
        break;
    }
    return command + " --help";
}

}  // namespace

Tool::Tool(const std::string& name, const std::string& purpose, const std::string& examples)
    : arguments_(purpose, name) {
    arguments_.footer("Examples:\n" + examples);
    arguments_.get_formatter()->column_width(32);
    // Programs share a channel when they have the same format.
    arguments_.set_version_flag(
        "--version", fmt::format("ipc {}, format {}", IPC_TOOLS_VERSION, format::format_version),
        "Print the version, and that of the format of channels");
}

void Tool::notice(const std::string& line) const noexcept {
    tools::notice(arguments_.get_name(), line);
}

int Tool::run(int argc, char** argv, const std::function<int(const Signals&)>& body) {
    occupy_standard_streams();
    // A reader that went away is an error of write, not the end before anything was given back.
    ::signal(SIGPIPE, SIG_IGN);
    try {
        arguments_.parse(argc, argv);
    } catch (const CLI::Success& help) {
        return arguments_.exit(help);
    } catch (const CLI::ParseError& error) {
        notice(fmt::format("{}; see {}", error.what(), help_of(arguments_)));
        return 2;
    }
    try {
        const Signals signals;
        return body(signals);
    } catch (const EndedBySignal& end) {
        return end_by_signal(end.signal);
    } catch (const std::exception& error) {
        notice(error.what());
        return 1;
    }
}

}  // namespace ipc::tools
