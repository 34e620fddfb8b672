#pragma once

#include <atomic>

#include "ipc/export.hpp"

namespace ipc::inline v1::os {

// How a publisher that never fences and a sleeper cannot miss each other.
//
// Both sides store and then load what the other stored: the publisher stores its message and loads
// the announcement, the sleeper stores the announcement and loads the message. If both loads could
// see the old value, the sleeper would sleep on a message that is there. Dekker's remedy is a full
// fence between store and load on *both* sides. Here the sleeper, which has time, pays for both:
//
//     publisher, on each message           sleeper, before each sleep
//     --------------------------           --------------------------
//     store message                        store announcement
//     light_barrier()                      heavy_barrier()
//     load announcement -> wake            load message -> do not sleep
//
// heavy_barrier() makes every thread of every registered process execute a full fence at some
// instruction while the call lasts. A publisher whose fence falls after its load of the
// announcement had made its message visible by then: the sleeper, which looks after the call, sees
// it. One whose fence falls before that load sees the announcement, which was stored before the
// call. The light barrier only keeps the compiler from exchanging store and load; without it, the
// fence could fall between a load that was moved up and a store that was left behind.
//
// So: a process must be registered before its publications can matter to a sleeper; one that cannot
// register has to execute a full fence where the others execute light_barrier(); a sleeper whose
// heavy_barrier() is refused may miss a message and has to sleep in slices.

/// Makes heavy_barrier(), executed by any process of the host, reach all threads of this process,
/// for as long as it runs this program. Cheap when repeated; to be repeated in a forked child.
/// False when the kernel refuses (seccomp filters, kernels before 4.16).
IPC_API bool register_for_barrier() noexcept;

/// A full fence on all threads of all registered processes and on the calling thread, registered or
/// not. Takes some microseconds. When it returns false it has fenced nothing.
IPC_API bool heavy_barrier() noexcept;

/// The other half of heavy_barrier(): no instruction at all, but the compiler moves no access
/// across.
inline void light_barrier() noexcept {
    std::atomic_signal_fence(std::memory_order_seq_cst);
}

/// The same for whoever has to fence, because its process could not register.
inline void light_barrier(bool fence) noexcept {
    light_barrier();
    if (fence) [[unlikely]]
        std::atomic_thread_fence(std::memory_order_seq_cst);
}

/// For tests of the fallbacks: makes this process behave as if the kernel refused to register it,
/// or to execute the barrier for it. A registration that the kernel already holds is not undone.
IPC_API void simulate_absence(bool cannot_register, bool cannot_execute) noexcept;

}  // namespace ipc::inline v1::os
