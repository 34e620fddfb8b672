#pragma once

#include <chrono>
#include <stop_token>
#include <utility>

#include "ipc/base/status.hpp"
#include "ipc/os/clock.hpp"

namespace ipc::inline v1::protocol {

/// How long an operation may wait.
struct Patience {
    os::Deadline deadline;
    std::stop_token stop{};
    /// What to return when the deadline passes: full for try_, else timed_out.
    Status when_over = Status::timed_out;

    static Patience none() { return {os::Deadline::immediate(), {}, Status::full}; }
    static Patience for_ever(std::stop_token stop) {
        return {os::Deadline::never(), std::move(stop), Status::timed_out};
    }
    template <class Rep, class Period>
    static Patience within(std::chrono::duration<Rep, Period> span, std::stop_token stop) {
        // Saturates: duration_cast of a very long span would overflow.
        using Seconds = std::chrono::duration<double>;
        using std::chrono::nanoseconds;
        const bool endless = Seconds(span) > Seconds(nanoseconds::max()) / 2;
        return {endless ? os::Deadline::never()
                        : os::Deadline::after(std::chrono::duration_cast<nanoseconds>(span)),
                std::move(stop), Status::timed_out};
    }
};

}  // namespace ipc::inline v1::protocol
