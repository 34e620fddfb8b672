#include "tests/support/child.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <system_error>
#include <thread>
#include <utility>

/// There only in the build that counts what is executed; it saves the counts, as exit would.
// The name is the compiler's.
// NOLINTNEXTLINE(bugprone-reserved-identifier)
extern "C" __attribute__((weak)) void __gcov_dump();

namespace ipc::test {
namespace {

int decode(int status) {
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// So that a test run that is killed leaves no processes. The kernel does it when the thread that
/// forked ends: children are started by threads that last as long as they do.
void die_with(pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    // A parent outside of this PID namespace has the number 0 here.
    const pid_t now = ::getppid();
    if (now != parent && now != 0) ::_exit(2);
}

}

Child::Child(const std::function<void()>& body) : pid_(-1) {
    std::fflush(nullptr);  // or the child would print it again
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0) throw std::system_error(errno, std::system_category(), "fork");
    if (pid_ != 0) return;
    die_with(parent);
    int code = 0;
    try {
        body();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "child: %s\n", error.what());
        code = 1;
    }
    std::fflush(nullptr);
    if (__gcov_dump != nullptr) __gcov_dump();
    ::_exit(code);
}

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), status_(other.status_) {}

Child::~Child() {
    try {
        kill();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "the end of child %d: %s\n", pid_, error.what());
    }
}

/// Whether there is a process to send a signal to: the number of one that was waited for may be
/// another's by now, and -1 stands for all.
bool Child::is_reaped() const {
    return pid_ <= 0 || status_ >= 0;
}

bool Child::reap(int options) {
    for (;;) {
        int status = 0;
        const pid_t found = ::waitpid(pid_, &status, options);
        if (found == pid_) {
            if (!WIFSTOPPED(status)) status_ = decode(status);
            return true;
        }
        if (found == 0) return false;
        if (errno != EINTR) throw std::system_error(errno, std::system_category(), "waitpid");
    }
}

int Child::kill() {
    if (!is_reaped()) ::kill(pid_, SIGKILL);
    return wait();
}

void Child::stop() {
    if (is_reaped()) return;
    ::kill(pid_, SIGSTOP);
    reap(WUNTRACED);
}

void Child::resume() {
    if (!is_reaped()) ::kill(pid_, SIGCONT);
}

int Child::wait() {
    while (!is_reaped())
        reap(0);
    return status_;
}

int Child::wait_for(double seconds) {
    if (!eventually([&] { return !is_running(); }, seconds)) {
        std::fprintf(stderr, "child %d is still there after %g s and is killed\n", pid_, seconds);
        return kill();
    }
    return status_;
}

bool Child::is_running() {
    if (!is_reaped()) reap(WNOHANG);
    return !is_reaped();
}

bool eventually(const std::function<bool()>& condition, double seconds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
}

}
