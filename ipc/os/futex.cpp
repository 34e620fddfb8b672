#include "ipc/os/futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "ipc/os/failure.hpp"

namespace ipc::inline v1::os {

static_assert(std::atomic<std::uint32_t>::is_always_lock_free);
static_assert(sizeof(std::atomic<std::uint32_t>) == sizeof(std::uint32_t));
static_assert(sizeof(long) == 8, "SYS_futex takes this timespec on 64-bit systems only");

FutexResult futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected, Deadline deadline,
                       std::uint32_t bits) {
    // `never` is passed as a time 292 years away, too: without any timeout the kernel restarts the
    // wait behind our back when a handler was installed with SA_RESTART.
    const Nanoseconds at = std::max<Nanoseconds>(deadline.at, 0);
    const timespec time{.tv_sec = at / 1'000'000'000, .tv_nsec = at % 1'000'000'000};
    if (::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, expected, &time, nullptr, bits) == 0) {
        return FutexResult::woken;
    }
    switch (errno) {
        case EAGAIN: return FutexResult::changed;
        case ETIMEDOUT: return FutexResult::timed_out;
        case EINTR: return FutexResult::signalled;
        default: fail("wait on a futex");
    }
}

int futex_wake(std::atomic<std::uint32_t>& word, int count, std::uint32_t bits) noexcept {
    const long woken =
        ::syscall(SYS_futex, &word, FUTEX_WAKE_BITSET, count, nullptr, nullptr, bits);
    return woken < 0 ? 0 : static_cast<int>(woken);
}

}  // namespace ipc::inline v1::os
