#include "tools/common/signals.hpp"

#include <condition_variable>
#include <initializer_list>
#include <mutex>

namespace ipc::tools {
namespace {

constexpr int nudge = SIGURG;
const int end_of_watch = SIGRTMIN;

// `timeout` and some shells send a signal to the process and then to its group: what follows the
// first this soon is the same wish, not an impatient second one.
constexpr auto echo_time = std::chrono::seconds(1);

std::atomic<void (*)()> last_action = nullptr;

// `nohup`, or a shell without job control that started a background job, asked to be spared.
bool is_ignored(int signal) {
    struct sigaction action = {};
    ::sigaction(signal, nullptr, &action);
    return action.sa_handler == SIG_IGN;
}

}  // namespace

Signals::Signals() : main_thread_(::pthread_self()) {
    // Without SA_RESTART, so that a blocked read or write returns.
    struct sigaction interrupt = {};
    interrupt.sa_handler = [](int) {};
    ::sigaction(nudge, &interrupt, nullptr);

    ::sigemptyset(&watched_);
    ::sigaddset(&watched_, end_of_watch);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
        if (!is_ignored(signal)) ::sigaddset(&watched_, signal);
    }
    ::pthread_sigmask(SIG_BLOCK, &watched_, &previous_mask_);
    watcher_ = std::thread([this] { watch(); });
}

Signals::~Signals() {
    finished_ = true;
    ::pthread_kill(watcher_.native_handle(), end_of_watch);
    watcher_.join();
    ::pthread_sigmask(SIG_SETMASK, &previous_mask_, nullptr);
}

void Signals::check() const {
    if (const int signal = received_) throw EndedBySignal{signal};
}

void Signals::sleep(std::chrono::nanoseconds duration) const {
    std::mutex mutex;
    std::condition_variable_any never;
    std::unique_lock lock(mutex);
    never.wait_for(lock, token(), duration, [] { return false; });
    check();
}

void Signals::before_sudden_end(void (*action)()) {
    last_action = action;
}

void Signals::watch() {
    int signal = 0;
    ::sigwait(&watched_, &signal);
    if (finished_) return;
    const auto first = std::chrono::steady_clock::now();
    received_ = signal;
    stop_.request_stop();

    // The main thread may be about to enter a system call: one nudge could come too early.
    while (!finished_) {
        ::pthread_kill(main_thread_, nudge);
        const timespec pause = {.tv_sec = 0, .tv_nsec = 10'000'000};
        const int second = ::sigtimedwait(&watched_, nullptr, &pause);
        const bool is_echo = std::chrono::steady_clock::now() - first < echo_time;
        if (second > 0 && second != end_of_watch && !is_echo) {
            if (auto* action = last_action.load()) action();
            ::signal(second, SIG_DFL);
            ::pthread_sigmask(SIG_UNBLOCK, &watched_, nullptr);
            ::raise(second);
        }
    }
}

}  // namespace ipc::tools
