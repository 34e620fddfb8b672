#pragma once

#include <chrono>

namespace ipc::tools::monitor {

/// When samples are due: at multiples of the interval after the start. Those whose time went by,
/// because the process was stopped or a sample took long, are left out, not made up for: they would
/// all be of the same moment.
class Pacer {
public:
    using Clock = std::chrono::steady_clock;

    Pacer(std::chrono::nanoseconds interval, Clock::time_point start)
        : interval_(interval), due_(start) {}

    /// The next that is not before `now`. Each is given once.
    Clock::time_point next(Clock::time_point now) {
        due_ += interval_;
        if (due_ < now) due_ += ((now - due_) / interval_ + 1) * interval_;
        return due_;
    }

private:
    std::chrono::nanoseconds interval_;
    Clock::time_point due_;
};

}  // namespace ipc::tools::monitor
