#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <utility>

#include "ipc/export.hpp"

namespace ipc::inline v1::os {

/// How often this process was forked from a process that watched forks: in a child it differs from
/// what the parent has. Read it through fork_generation(), never write it.
extern IPC_API std::atomic<std::uint32_t> fork_generation_word;

/// What an object remembers at its creation to recognise later that it was inherited by a child.
/// Relaxed suffices: the word changes only while the process has a single thread.
inline std::uint32_t fork_generation() noexcept {
    return fork_generation_word.load(std::memory_order_relaxed);
}

/// Lets fork_generation() count, from now on. To be called before a generation is remembered.
/// Children made by a bare `clone` or `_Fork` run no handlers and are not recognised; those of
/// posix_spawn need not be, as they only execute another program.
IPC_API void watch_forks() noexcept;

/// While this lock is held, no other thread forks: what happens inside is seen by a child either
/// not at all or completely. Hold it for a few system calls that cannot block. The holder must not
/// fork.
[[nodiscard]] std::unique_lock<std::mutex> exclude_forks();

struct DescriptorEntry;

/// An open file that no forked child keeps. Locks of an open file last as long as any process has
/// it open, so that a descriptor which a child inherited in the middle of an operation would make
/// the lock outlive its owner. The child closes its copies before fork() returns in it, and finds
/// its objects empty.
///
/// Move-only. One thread at a time per object; different objects are independent.
class TransientDescriptor {
public:
    TransientDescriptor() noexcept = default;
    /// As open(2), with O_CLOEXEC. Empty when it fails; errno then says why.
    static TransientDescriptor open(const char* path, int flags, mode_t mode = 0);

    TransientDescriptor(TransientDescriptor&& other) noexcept
        : entry_(std::exchange(other.entry_, nullptr)) {}
    TransientDescriptor& operator=(TransientDescriptor&& other) noexcept {
        if (this != &other) {
            reset();
            entry_ = std::exchange(other.entry_, nullptr);
        }
        return *this;
    }
    ~TransientDescriptor() { reset(); }

    explicit operator bool() const noexcept { return get() >= 0; }
    /// The descriptor, which stays owned by this object; -1 when empty.
    int get() const noexcept;
    /// Closes the descriptor.
    void reset() noexcept;

private:
    explicit TransientDescriptor(DescriptorEntry* entry) noexcept : entry_(entry) {}

    DescriptorEntry* entry_ = nullptr;
};

}  // namespace ipc::inline v1::os
