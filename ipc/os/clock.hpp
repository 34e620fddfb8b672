#pragma once

#include <chrono>
#include <cstdint>
#include <ctime>
#include <limits>

#include "ipc/export.hpp"

namespace ipc::inline v1::os {

/// A point of, or a span on, CLOCK_MONOTONIC. All processes of a host share that clock, except
/// across time namespaces, where it is shifted.
using Nanoseconds = std::int64_t;

inline Nanoseconds now() noexcept {
    timespec time;
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    return Nanoseconds{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

/// The same in whole milliseconds, as deadlines in shared memory have it.
inline std::uint64_t now_ms() noexcept {
    return static_cast<std::uint64_t>(now()) / 1'000'000;
}

/// Nanoseconds on CLOCK_REALTIME: to tell people and other hosts when something was.
inline std::int64_t wall_clock() noexcept {
    timespec time;
    ::clock_gettime(CLOCK_REALTIME, &time);
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

/// From `then` until `now`, ns; 0 when `then` is no time, or later: what comes from shared memory
/// may be anything.
inline Nanoseconds elapsed(Nanoseconds then, Nanoseconds now) noexcept {
    return then < 0 || then > now ? 0 : now - then;
}

/// When a wait gives up, as an absolute time: a wait that is resumed several times still ends on
/// time.
struct Deadline {
    Nanoseconds at;

    static constexpr Deadline never() noexcept { return {std::numeric_limits<Nanoseconds>::max()}; }
    /// Already passed: look once, do not wait.
    static constexpr Deadline immediate() noexcept { return {0}; }
    /// A span that is zero or negative has passed; one too long for the clock never does.
    static Deadline after(std::chrono::nanoseconds span) noexcept {
        if (span.count() <= 0) return immediate();
        const Nanoseconds start = now();
        return span.count() >= never().at - start ? never() : Deadline{start + span.count()};
    }

    constexpr bool is_immediate() const noexcept { return at <= 0; }
    constexpr bool is_never() const noexcept { return at == never().at; }
    /// Reads the clock only for deadlines that depend on it.
    bool passed() const noexcept { return is_immediate() || (!is_never() && now() >= at); }
};

/// What one sleep and wake-up costs this process, in nanoseconds: the default time to spin before
/// sleeping, since a spin that long costs at most twice the best choice in hindsight. Measured at
/// the first call, which takes up to 2 ms; between 5 and 200 us. 0 when only one processor is
/// usable: whatever a spin waits for could then not happen while it spins.
IPC_API Nanoseconds sleep_and_wake_cost();

}  // namespace ipc::inline v1::os
