#pragma once

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <stop_token>
#include <thread>

namespace ipc::tools {

/// Thrown where a tool notices that a signal wants it to end, so that it detaches from its channels
/// on the way out.
struct EndedBySignal {
    int signal;
};

/// Turns SIGINT, SIGTERM and SIGHUP into a stop request, in its own thread: a signal handler may
/// neither request a stop nor throw. Another signal ends the process at once, if it comes a second
/// or more after the first.
///
/// Create one, in the main thread, before any other thread.
class Signals {
public:
    Signals();
    Signals(const Signals&) = delete;
    Signals& operator=(const Signals&) = delete;
    ~Signals();

    /// For the waits of the library.
    std::stop_token token() const { return stop_.get_token(); }
    /// For what the tool itself waits for; system calls of the main thread fail with EINTR
    /// meanwhile.
    void check() const;
    /// The signal that wants the tool to end, or 0.
    int received() const { return received_; }
    void sleep(std::chrono::nanoseconds duration) const;

    /// Called before a second signal ends the process at once, in whatever thread: for a terminal
    /// that has to be restored. It may do what a signal handler may. Null: nothing.
    static void before_sudden_end(void (*action)());

private:
    void watch();

    sigset_t watched_ = {};
    sigset_t previous_mask_ = {};
    pthread_t main_thread_;
    std::stop_source stop_;
    std::atomic<int> received_ = 0;
    std::atomic<bool> finished_ = false;
    std::thread watcher_;
};

}  // namespace ipc::tools
