#include "tools/common/command.hpp"

#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include <fmt/core.h>

#include "tools/common/failure.hpp"

namespace ipc::tools {
namespace {

[[noreturn]] void fail(const char* what, int error) {
    throw Failure(fmt::format("cannot {}: {}", what, std::strerror(error)));
}

/// A file in memory rather than a pipe: a command that reads late, or never, keeps nobody waiting.
class InputFile {
public:
    explicit InputFile(std::string_view content)
        : descriptor_(::memfd_create("message", MFD_CLOEXEC)) {
        if (descriptor_ < 0 || !write(content) || ::lseek(descriptor_, 0, SEEK_SET) != 0) {
            const int error = errno;
            if (descriptor_ >= 0) ::close(descriptor_);
            fail("keep the input of the command", error);
        }
    }
    ~InputFile() { ::close(descriptor_); }
    InputFile(const InputFile&) = delete;
    InputFile& operator=(const InputFile&) = delete;

    int descriptor() const { return descriptor_; }

private:
    bool write(std::string_view content) const {
        while (!content.empty()) {
            const ssize_t length = ::write(descriptor_, content.data(), content.size());
            if (length < 0 && errno != EINTR) return false;
            if (length > 0) content.remove_prefix(static_cast<std::size_t>(length));
        }
        return true;
    }

    int descriptor_;
};

pid_t start(std::string command, int input) {
    // Whoever started the tool may have asked not to hear of children; it has to.
    ::signal(SIGCHLD, SIG_DFL);

    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);

    // The tool blocks what it watches for, and ignores broken pipes; the command does neither.
    posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    sigset_t signals;
    ::sigemptyset(&signals);
    ::posix_spawnattr_setsigmask(&attributes, &signals);
    ::sigaddset(&signals, SIGPIPE);
    ::posix_spawnattr_setsigdefault(&attributes, &signals);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    ::posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);

    std::string shell = "/bin/sh";
    std::string option = "-c";
    const std::array<char*, 4> arguments = {shell.data(), option.data(), command.data(), nullptr};
    pid_t process = 0;
    const int error =
        ::posix_spawn(&process, shell.c_str(), &actions, &attributes, arguments.data(), ::environ);
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&actions);
    if (error != 0) fail("start /bin/sh", error);
    return process;
}

int wait_for_end(pid_t process, const Signals& signals) {
    bool passed_on = false;
    while (true) {
        int status = 0;
        if (::waitpid(process, &status, 0) == process) return status;
        if (errno != EINTR) fail("wait for the command", errno);
        const int signal = signals.received();
        if (signal == 0 || passed_on) continue;
        ::kill(-process, signal);
        ::kill(-process, SIGCONT);  // it may have been stopped for asking the terminal
        passed_on = true;
    }
}

}  // namespace

int run_command(const std::string& command, std::string_view input, const Signals& signals) {
    signals.check();
    const InputFile file(input);
    return wait_for_end(start(command, file.descriptor()), signals);
}

std::string describe_end(int status) {
    if (WIFSIGNALED(status)) return fmt::format("signal {}", WTERMSIG(status));
    return fmt::format("exit code {}", WEXITSTATUS(status));
}

}  // namespace ipc::tools
