#pragma once

#include <cstdint>
#include <functional>
#include <utility>

#include "ipc/os/clock.hpp"
#include "ipc/os/fork.hpp"

namespace ipc::inline v1::os {

/// Byte n of an object is locked at this offset + n, far behind what any object stores: locks never
/// meet each other's data, and need no memory.
inline constexpr std::uint64_t lock_offset = std::uint64_t{1} << 40;

/// A lock on one byte of an object, held by this process and given back by release(), by the
/// destructor, by exec, or by the kernel when the process ends, in whatever way.
///
/// It is an open-file-description lock, kept by a memory mapping of that description: nothing the
/// program does with descriptors loses it, and no forked child inherits it. In a child the object
/// is empty and does nothing.
///
/// What may delay the end of a lock, never advance it: a core dump, which comes before the memory
/// is given up; another thread that forks or spawns while the lock is being *taken*, until the
/// child has closed what it must not keep. So a byte that was just given back can appear held for a
/// moment.
class HeldLock {
public:
    HeldLock() noexcept = default;
    HeldLock(HeldLock&& other) noexcept
        : page_(std::exchange(other.page_, nullptr)), generation_(other.generation_) {}
    HeldLock& operator=(HeldLock&& other) noexcept {
        if (this != &other) {
            release();
            page_ = std::exchange(other.page_, nullptr);
            generation_ = other.generation_;
        }
        return *this;
    }
    ~HeldLock() { release(); }

    explicit operator bool() const noexcept {
        return page_ != nullptr && generation_ == fork_generation();
    }
    void release() noexcept;

private:
    friend HeldLock try_hold(TransientDescriptor own_open, std::uint64_t byte);
    explicit HeldLock(void* page) noexcept : page_(page), generation_(fork_generation()) {}

    void* page_ = nullptr;
    std::uint32_t generation_ = 0;
};

/// Locks `byte`, or returns an empty lock when another open of the object holds it, in this process
/// or in another. `own_open` must be writable and opened for this call alone: through an open that
/// has a second use, that use would share the lock. It is consumed in either case. Throws
/// std::system_error on anything else.
HeldLock try_hold(TransientDescriptor own_open, std::uint64_t byte);

/// Repeats try_hold until it succeeds or `deadline` has passed, at least once; empty on timeout.
/// `opener` is asked for a new open each time, so a wait keeps none, and what the opener throws
/// ends the wait. Waits by polling, every 50 us at first and 5 ms later, without fairness: meant
/// for locks that are held briefly.
HeldLock hold(const std::function<TransientDescriptor()>& opener, std::uint64_t byte,
              Deadline deadline);

/// Whether someone holds `byte`, which is how the living are told from the dead. Only asks; takes
/// no lock, not even for an instant. `probe_descriptor` is any open of the object, read-only
/// suffices, other than the one the lock was taken through: a lock is invisible to its own open. An
/// open consumed by try_hold is out of reach, so no other caution is needed.
bool is_held(int probe_descriptor, std::uint64_t byte);

}  // namespace ipc::inline v1::os
