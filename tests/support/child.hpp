#pragma once

#include <sys/types.h>

#include <functional>

namespace ipc::test {

/// A forked child that runs `body` and exits: with 0, or with 1 and a line on stderr when it
/// throws. A child still there at the end is killed, and so is one whose parent dies. Start
/// children before the parent has threads, and from a thread that outlives them.
class Child {
public:
    explicit Child(const std::function<void()>& body);
    ~Child();
    Child(Child&& other) noexcept;
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    Child& operator=(Child&&) = delete;

    pid_t pid() const { return pid_; }
    /// SIGKILL, and reaps it: when this returns, the kernel has released its memory. Its status:
    /// 128 + SIGKILL, unless it had ended before.
    int kill();
    void stop();    ///< SIGSTOP, and waits until it is stopped, or has ended
    void resume();  ///< SIGCONT
    /// Waits for the end; the exit status, or 128 + the signal.
    int wait();
    /// The same; one that is still there after so long is killed, with a line on stderr.
    int wait_for(double seconds);
    bool is_running();

private:
    bool is_reaped() const;
    /// False when WNOHANG was asked for and nothing happened.
    bool reap(int options);

    pid_t pid_;
    int status_ = -1;
};

/// Polls until `condition` holds; false when it does not within `seconds`.
bool eventually(const std::function<bool()>& condition, double seconds = 10);

}
