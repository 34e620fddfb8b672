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

/// The answer of the kernel to one question, asked once per process. A forked child asks again.
class Answer {
public:
    template <typename Question>
    bool get(Question question) noexcept {
        watch_forks();
        const std::uint64_t asked_here = (std::uint64_t{fork_generation()} << 2) | 1;
        std::uint64_t known = word_.load(std::memory_order_relaxed);
        if ((known & ~yes) != asked_here) {
            known = asked_here | (question() ? yes : 0);
            word_.store(known, std::memory_order_relaxed);
        }
        return (known & yes) != 0;
    }

private:
    static constexpr std::uint64_t yes = 2;
    // Fork generation, yes, asked. One word, as threads may ask at the same time.
    std::atomic<std::uint64_t> word_{0};
};

Answer registered;
Answer executable;

}  // namespace

bool register_for_barrier() noexcept {
    if (registration_absent.load(std::memory_order_relaxed)) return false;
    return registered.get([] { return membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED); });
}

bool can_execute_barrier() noexcept {
    if (execution_absent.load(std::memory_order_relaxed)) return false;
    return executable.get([] { return membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED); });
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
