#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

// Copies between private memory and shared memory that another process may write at the same time:
// a lossy reader copies a message first and checks the limit afterwards, which discards what it
// copied of a torn one. That is a byte-wise atomic memcpy, which C++20 does not have (P1478).
//
// Few bytes are copied in relaxed atomic words. More than that goes through memcpy, between two
// barriers for the compiler, since words cost several times as much as the vectors or string
// instructions it uses. No processor tears a process apart for a racing plain access, and all of
// memcpy's stores come before a later release store: on x86-64 as every store does (it ends its
// non-temporal ones with a fence), on aarch64 by the release itself. ThreadSanitizer sees a race
// in it, so that it gets words throughout.

namespace ipc::inline v1::format {

#if defined(__SANITIZE_THREAD__)
constexpr bool copies_words_only = true;
#elif defined(__has_feature)
constexpr bool copies_words_only = __has_feature(thread_sanitizer);
#else
constexpr bool copies_words_only = false;
#endif
constexpr std::size_t longest_copy_in_words = copies_words_only ? ~std::size_t{0} : 64;

inline void copy_bytes(void* target, const void* source, std::size_t size) {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    std::memcpy(target, source, size);
    std::atomic_signal_fence(std::memory_order_seq_cst);
}

/// Up to this size a message is better off in registers than in memory.
constexpr std::size_t longest_in_registers = 64;

/// The shared side must be 8-byte aligned and padded to a multiple of 8. The first words are stored
/// last, next to a slot's header: see protocol::Producer::publish.
inline void copy_in(std::byte* shared, const void* source, std::size_t size) {
    if (size > longest_copy_in_words) return copy_bytes(shared, source, size);
    auto* words = reinterpret_cast<std::uint64_t*>(shared);
    const auto* bytes = static_cast<const std::byte*>(source);
    const std::size_t whole = size / 8;
    if (const std::size_t rest = size % 8; rest != 0) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes + 8 * whole, rest);
        __atomic_store_n(words + whole, word, __ATOMIC_RELAXED);
    }
    for (std::size_t i = whole; i-- != 0;) {
        std::uint64_t word;
        std::memcpy(&word, bytes + 8 * i, 8);
        __atomic_store_n(words + i, word, __ATOMIC_RELAXED);
    }
}

constexpr std::size_t cache_line = 64;

#if defined(__x86_64__)
constexpr bool has_streaming_stores = !copies_words_only;

/// copy_in with streaming stores. They write whole lines to memory past this processor's caches,
/// which need not get each line from those of its readers first. The shared side must reach to the
/// end of the last line, all of which is written.
///
/// Streaming stores come in any order. EDGE limit: they come after what this processor loaded or
/// exchanged before, such as the limit that allows them; it never just stores that. EDGE ready: the
/// fence brings them before whatever this processor stores next.
inline void copy_in_streaming(std::byte* shared, const void* source, std::size_t size) {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    const auto* bytes = static_cast<const std::byte*>(source);
    const auto stream = [shared](std::size_t to, const std::byte* from) {
        for (std::size_t i = 0; i < cache_line; i += sizeof(__m128i)) {
            _mm_stream_si128(reinterpret_cast<__m128i*>(shared + to + i),
                             _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i)));
        }
    };
    // What precedes the message in its first line stays: a slot's header, or an extension. So the
    // first bytes are stored in the usual way, last, next to READY.
    const std::size_t offset = reinterpret_cast<std::uintptr_t>(shared) % cache_line;
    const std::size_t first = std::min(size, (cache_line - offset) % cache_line);
    std::size_t done = first;
    for (; size - done >= cache_line; done += cache_line)
        stream(done, bytes + done);
    if (done != size) {
        std::byte last[cache_line] = {};
        std::memcpy(last, bytes + done, size - done);
        stream(done, last);
    }
    _mm_sfence();
    copy_bytes(shared, bytes, first);
}
#else
constexpr bool has_streaming_stores = false;

inline void copy_in_streaming(std::byte* shared, const void* source, std::size_t size) {
    copy_in(shared, source, size);
}
#endif

/// What a message is made from: bytes in memory,
struct Bytes {
    const void* data;
    std::size_t length;

    std::size_t size() const { return length; }
};

/// or a value of a few bytes, in words: in registers, where it was made there and nothing asks for
/// its address. Inlined by all means, since a call of a member would ask for it.
template <std::size_t Size>
class Words {
    static_assert(Size != 0 && Size <= longest_in_registers);
    static constexpr std::size_t count = (Size + 7) / 8;

public:
    template <class T>
    explicit Words(const T& value) {
        static_assert(sizeof value == Size);
        each([&](auto i) {
            word_[i] = 0;
            std::memcpy(&word_[i], reinterpret_cast<const std::byte*>(&value) + 8 * i,
                        i + 1 < count ? 8 : Size - 8 * i);
        });
    }
    static constexpr std::size_t size() { return Size; }
    /// As copy_in.
    void copy_in(std::byte* shared) const {
        each([&](auto i) {
            __atomic_store_n(reinterpret_cast<std::uint64_t*>(shared) + i, word_[i],
                             __ATOMIC_RELAXED);
        });
    }

    /// Calls with the words as arguments, the first one first.
    template <class Call>
    [[gnu::always_inline]] auto call_with(Call&& call) const {
        return call_with(call, std::make_index_sequence<count>{});
    }

private:
    template <class Call, std::size_t... i>
    [[gnu::always_inline]] auto call_with(Call& call, std::index_sequence<i...> /*words*/) const {
        return call(word_[i]...);
    }
    /// Calls for each word, the last one first; written out, since loops are not for registers.
    template <class Call>
    [[gnu::always_inline]] static void each(Call&& call) {
        each(call, std::make_index_sequence<count>{});
    }
    template <class Call, std::size_t... i>
    [[gnu::always_inline]] static void each(Call& call, std::index_sequence<i...> /*words*/) {
        (call(std::integral_constant<std::size_t, count - 1 - i>{}), ...);
    }

    std::uint64_t word_[count];
};

/// copy_in in the other direction.
inline void copy_out(void* target, const std::byte* shared, std::size_t size) {
    if (size > longest_copy_in_words) return copy_bytes(target, shared, size);
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
