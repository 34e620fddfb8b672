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

/// Asks for a line that will be read, without waiting for it; into the cache of the second level.
/// What a load from memory that is mapped read-only, or a prefetch into the first level, brings in
/// makes the other processor's next store into the line take longer on some processors
/// (PERFORMANCE.md, Fetching ahead). Always inlined: to GCC 12, a call that only prefetches has no
/// effect.
[[gnu::always_inline]] inline void fetch(const void* line) noexcept {
    __builtin_prefetch(line, 0, 2);
}

}  // namespace ipc::inline v1::os
