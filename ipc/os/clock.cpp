#include "ipc/os/clock.hpp"

#include <sched.h>
#include <sys/prctl.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>

#include "ipc/os/futex.hpp"

namespace ipc::inline v1::os {
namespace {

/// Timer slack (50 us by default) would dominate what is measured here.
class PreciseTimers {
public:
    PreciseTimers() noexcept : slack_(::prctl(PR_GET_TIMERSLACK)) {
        ::prctl(PR_SET_TIMERSLACK, 1UL);
    }
    ~PreciseTimers() {
        // A slack of 0 would mean "the default of the thread", which is not what was read.
        if (slack_ > 0) ::prctl(PR_SET_TIMERSLACK, static_cast<unsigned long>(slack_));
    }
    PreciseTimers(const PreciseTimers&) = delete;
    PreciseTimers& operator=(const PreciseTimers&) = delete;

private:
    int slack_;
};

bool one_processor_only() noexcept {
    cpu_set_t usable;
    CPU_ZERO(&usable);
    // Fails on machines with more processors than the set holds.
    return ::sched_getaffinity(0, sizeof usable, &usable) == 0 && CPU_COUNT(&usable) == 1;
}

Nanoseconds measure() {
    constexpr Nanoseconds shortest = 5'000;
    constexpr Nanoseconds longest = 200'000;
    constexpr Nanoseconds affordable = 1'200'000;
    // Shorter than it takes to fall asleep, so that what is measured is the sleep and the wake-up.
    constexpr Nanoseconds nap = 1'000;

    if (one_processor_only()) return 0;
    const PreciseTimers precise;
    std::atomic<std::uint32_t> word{0};
    std::array<Nanoseconds, 15> samples;
    std::size_t count = 0;
    for (const Nanoseconds begin = now(); count < samples.size() && now() - begin < affordable;) {
        const Nanoseconds start = now();
        futex_wait(word, 0, Deadline{start + nap}, ~0U);
        samples[count++] = now() - start;
    }
    if (count == 0) return longest;
    const auto median = samples.begin() + static_cast<std::ptrdiff_t>(count / 2);
    std::nth_element(samples.begin(), median, samples.begin() + static_cast<std::ptrdiff_t>(count));
    return std::clamp(*median, shortest, longest);
}

}  // namespace

Nanoseconds sleep_and_wake_cost() {
    // No static that is made once: a child forked meanwhile would wait for a thread it does not
    // have. That two threads may measure does no harm.
    static std::atomic<Nanoseconds> known{-1};
    Nanoseconds cost = known.load(std::memory_order_relaxed);
    if (cost < 0) known.store(cost = measure(), std::memory_order_relaxed);
    return cost;
}

}  // namespace ipc::inline v1::os
