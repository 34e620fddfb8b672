#include "ipc/os/membarrier.hpp"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

#include "ipc/os/fork.hpp"

namespace ipc::inline v1::os {
namespace {

std::atomic<bool> registration_absent{false};
std::atomic<bool> execution_absent{false};

bool membarrier(int command) noexcept {
    return ::syscall(SYS_membarrier, command, 0, 0) == 0;
}

/// Whether the kernel registered this process, asked once; a forked child asks again: the fork
/// generation, then these two bits. One word, as threads may ask at the same time.
std::atomic<std::uint64_t> registration{0};
constexpr std::uint64_t asked = 1;
constexpr std::uint64_t registered = 2;

}  // namespace

bool register_for_barrier() noexcept {
    if (registration_absent.load(std::memory_order_relaxed)) return false;
    watch_forks();
    const std::uint64_t asked_here = (std::uint64_t{fork_generation()} << 2) | asked;
    std::uint64_t known = registration.load(std::memory_order_relaxed);
    if ((known & ~registered) != asked_here) {
        const bool done = membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED);
        known = asked_here | (done ? registered : 0);
        registration.store(known, std::memory_order_relaxed);
    }
    return (known & registered) != 0;
}

bool heavy_barrier() noexcept {
    if (execution_absent.load(std::memory_order_relaxed)) return false;
    return membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED);
}

void simulate_absence(bool cannot_register, bool cannot_execute) noexcept {
    registration_absent.store(cannot_register, std::memory_order_relaxed);
    execution_absent.store(cannot_execute, std::memory_order_relaxed);
}

}  // namespace ipc::inline v1::os
