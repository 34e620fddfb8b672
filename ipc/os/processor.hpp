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

/// Asks for the line of `address` as for a store, which does not wait for it. Only a hint:
/// processors that do not know it do nothing.
inline void fetch_for_writing(const void* address) noexcept {
#if defined(__x86_64__)
    // The builtin fetches for reading unless the compiler may assume a processor of this decade.
    asm volatile("prefetchw %0" : : "m"(*static_cast<const char*>(address)));
#else
    __builtin_prefetch(address, 1);
#endif
}

}  // namespace ipc::inline v1::os
