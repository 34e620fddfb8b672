#pragma once

namespace ipc::inline v1::os {

/// For the body of a spin loop: yields the core's resources to its sibling thread and spares the
/// loop the misprediction that would otherwise delay its end.
inline void cpu_relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

}  // namespace ipc::inline v1::os
