#include "tools/common/tool.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <exception>
#include <utility>

#include <fmt/core.h>

#include "ipc/base/error.hpp"
#include "ipc/format/layout.hpp"
#include "tools/common/notice.hpp"

namespace ipc::tools {
namespace {

constexpr int failed = 1;
constexpr int wrong_usage = 2;

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

// What CLI11 tells first may only follow from an option that it did not know: a value is taken for
// a channel, or a channel is missing.
std::string mistake_in(const CLI::App& arguments, const CLI::ParseError& error) {
    for (const std::string& each : arguments.remaining(true)) {
        if (each == "--") break;
        if (each.size() > 1 && each.front() == '-') {
            return fmt::format("unknown option {}", each.substr(0, each.find('=')));
        }
    }
    return error.what();
}

// The command line is where a bad name or option came from.
bool is_usage(const Error& error) {
    return error.code() == Errc::bad_name || error.code() == Errc::bad_options;
}

}  // namespace

Tool::Tool(const std::string& name, const std::string& purpose, const std::string& examples)
    : arguments_(purpose, name) {
    arguments_.footer("Examples:\n" + examples +
                      "\nEnvironment:\n"
                      "  IPC_DIRECTORY                 Where channels live, for all processes that "
                      "share them: a directory\n"
                      "                                in memory (tmpfs) [/dev/shm]\n");
    arguments_.get_formatter()->column_width(32);
    // Programs share a channel when they have the same format.
    arguments_.set_version_flag(
        "--version", fmt::format("ipc {}, format {}", IPC_TOOLS_VERSION, format::format_version),
        "Print the version, and that of the format of channels");
}

void Tool::notice(const std::string& line) const noexcept {
    tools::notice(arguments_.get_name(), line);
}

int Tool::report(const std::exception& error) const noexcept {
    notice(error.what());
    const auto* from_library = dynamic_cast<const Error*>(&error);
    return from_library != nullptr && is_usage(*from_library) ? wrong_usage : failed;
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
        notice(fmt::format("{}; see {}", mistake_in(arguments_, error), help_of(arguments_)));
        return wrong_usage;
    }
    try {
        const Signals signals;
        return body(signals);
    } catch (const EndedBySignal& end) {
        return end_by_signal(end.signal);
    } catch (const std::exception& error) {
        return report(error);
    }
}

}  // namespace ipc::tools
