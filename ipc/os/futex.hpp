#pragma once

#include <atomic>
#include <cstdint>

#include "ipc/export.hpp"
#include "ipc/os/clock.hpp"

namespace ipc::inline v1::os {

enum class FutexResult {
    woken,      ///< by futex_wake, or by the kernel for no reason: look again
    changed,    ///< the word did not hold the expected value; nobody slept
    timed_out,  ///< the deadline passed
    signalled,  ///< a signal handler ran during the sleep
};

/// Sleeps while `word`, in memory that any process may share, holds `expected`, until a wake-up
/// whose bits meet `bits` (not 0). The kernel compares and falls asleep as one step, so a change of
/// the word followed by futex_wake is never missed. A signal handler always ends the sleep,
/// whatever the deadline and however the handler was installed.
///
/// Throws std::system_error when the kernel refuses to wait at all (the word is not mapped, or not
/// aligned): reported as a result, callers would retry it for ever.
IPC_API FutexResult futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                               Deadline deadline, std::uint32_t bits);

/// Wakes up to `count` sleepers on `word` whose bits meet `bits`; returns how many. The word is not
/// accessed: waking on a stale address is harmless. Never fails; what cannot be waited on has no
/// sleepers.
IPC_API int futex_wake(std::atomic<std::uint32_t>& word, int count, std::uint32_t bits) noexcept;

}  // namespace ipc::inline v1::os
