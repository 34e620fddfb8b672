#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace ipc::inline v1::format {

/// Copies between private memory and shared memory that another process may write at the same time.
/// The shared side is accessed in relaxed atomic words: a racing reader gets words from before and
/// after, which its check of the limit afterwards discards, and never undefined behaviour. The
/// shared side must be 8-byte aligned and padded to a multiple of 8.
inline void copy_in(std::byte* shared, const void* source, std::size_t size) {
    auto* words = reinterpret_cast<std::uint64_t*>(shared);
    const auto* bytes = static_cast<const std::byte*>(source);
    const std::size_t whole = size / 8;
    for (std::size_t i = 0; i < whole; ++i) {
        std::uint64_t word;
        std::memcpy(&word, bytes + 8 * i, 8);
        __atomic_store_n(words + i, word, __ATOMIC_RELAXED);
    }
    if (const std::size_t rest = size % 8; rest != 0) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes + 8 * whole, rest);
        __atomic_store_n(words + whole, word, __ATOMIC_RELAXED);
    }
}

inline void copy_out(void* target, const std::byte* shared, std::size_t size) {
    const auto* words = reinterpret_cast<const std::uint64_t*>(shared);
    auto* bytes = static_cast<std::byte*>(target);
    const std::size_t whole = size / 8;
    for (std::size_t i = 0; i < whole; ++i) {
        const std::uint64_t word = __atomic_load_n(words + i, __ATOMIC_RELAXED);
        std::memcpy(bytes + 8 * i, &word, 8);
    }
    if (const std::size_t rest = size % 8; rest != 0) {
        const std::uint64_t word = __atomic_load_n(words + whole, __ATOMIC_RELAXED);
        std::memcpy(bytes + 8 * whole, &word, rest);
    }
}

}  // namespace ipc::inline v1::format
