#include "bench/peer/iceoryx_daemon.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>

namespace ipc::bench {
namespace {

namespace fs = std::filesystem;

std::string find_in_path(const std::string& program) {
    const char* path = std::getenv("PATH");
    std::istringstream folders(path == nullptr ? "" : path);
    for (std::string folder; std::getline(folders, folder, ':');) {
        const fs::path file = fs::path(folder) / program;
        if (::access(file.c_str(), X_OK) == 0) return file;
    }
    return "";
}

class Process {
public:
    explicit Process(const std::string& program) {
        const pid_t parent = ::getpid();
        pid_ = ::fork();
        if (pid_ < 0) throw std::system_error(errno, std::system_category(), "fork");
        if (pid_ > 0) return;
        // Ends with this process in any case. What it says is of no interest.
        ::prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (::getppid() != parent) ::_exit(1);
        const int nowhere = ::open("/dev/null", O_RDWR);
        for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
            ::dup2(nowhere, stream);
        sigset_t none;
        ::sigemptyset(&none);
        ::sigprocmask(SIG_SETMASK, &none, nullptr);
        ::execl(program.c_str(), program.c_str(), nullptr);
        ::_exit(127);
    }
    // Runs in the process that started it only: those of a team leave by _exit.
    ~Process() {
        ::kill(pid_, SIGTERM);
        while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
        }
    }
    bool has_ended() const {
        siginfo_t info = {};
        return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
               info.si_pid == pid_;
    }
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;

private:
    pid_t pid_ = -1;
};

}  // namespace

bool IceoryxDaemon::is_installed() {
    return !find_in_path("iox-roudi").empty();
}

void IceoryxDaemon::ensure() {
    static const Process process(find_in_path("iox-roudi"));
    if (process.has_ended()) {
        throw std::runtime_error(
            "iox-roudi ended: another one is running, or /dev/shm is too small");
    }
}

}  // namespace ipc::bench
