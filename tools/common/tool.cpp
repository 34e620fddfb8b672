#include "tools/common/tool.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <utility>

#include <fmt/core.h>

#include "tools/common/text.hpp"

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

}  // namespace

Tool::Tool(const std::string& name, const std::string& purpose, const std::string& examples)
    : arguments_(purpose, name) {
    arguments_.footer("Examples:\n" + examples);
    arguments_.get_formatter()->column_width(32);
}

void Tool::notice(const std::string& line) const {
    std::string text = line;
    std::replace(text.begin(), text.end(), '\n', ' ');
    // It may quote names that others gave to channels, groups and themselves.
    fmt::print(stderr, "{}: {}\n", name(), printable(text));
}

int Tool::run(int argc, char** argv, const std::function<int(const Signals&)>& body) {
    occupy_standard_streams();
    try {
        arguments_.parse(argc, argv);
    } catch (const CLI::Success& help) {
        return arguments_.exit(help);
    } catch (const CLI::ParseError& error) {
        notice(fmt::format("{}; see {} --help", error.what(), name()));
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
