#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "ipc/format/words.hpp"

namespace ipc::inline v1::format {

/// The start of every slot; the inline payload follows.
///
/// `state` is written by producers only. The other fields and the payload are written before
/// `state` becomes READY (release) and read after it was seen READY (acquire). A reader without a
/// gate reads them while they may be overwritten, hence all of them are atomics accessed relaxed.
/// One byte is always zero, and any producer may store that at any time: touch().
struct Slot {
    std::atomic<std::uint64_t> state;         ///< SlotState
    std::atomic<std::uint64_t> publish_time;  ///< CLOCK_MONOTONIC ns; 0 = not stamped
    std::atomic<std::uint64_t> descriptor;    ///< Descriptor

    /// Stores the zero that is always there (Descriptor::always_zero): the line becomes this
    /// processor's, and nothing in it changes, whoever is writing or reading the slot.
    void touch() {
        static_assert(std::endian::native == std::endian::little);
        auto* bytes = reinterpret_cast<unsigned char*>(&descriptor);
        __atomic_store_n(bytes + 3, 0, __ATOMIC_RELAXED);
    }

    std::byte* payload() { return reinterpret_cast<std::byte*>(this + 1); }
    const std::byte* payload() const { return reinterpret_cast<const std::byte*>(this + 1); }
};
static_assert(sizeof(Slot) == 24 && std::atomic<std::uint64_t>::is_always_lock_free);

constexpr std::size_t slot_header_size = sizeof(Slot);
constexpr std::size_t slot_alignment = 64;

/// | length : 32 | zero : 8 | flags : 8 | extension length : 16 |. `length` counts the bytes of the
/// payload with its extension headers, which come first; a body is what follows them.
struct Descriptor {
    std::uint64_t bits;

    /// The payload lies in the producer's region; its inline payload holds the block's absolute
    /// byte position (8 bytes) instead.
    static constexpr std::uint8_t in_region = 1U << 0;
    /// Flags of the upper half must be understood: a reader that does not know one of them skips
    /// the message and counts it. Those of the lower half may be ignored.
    static constexpr std::uint8_t must_understand = 0xF0;
    /// This byte is zero in every version, since producers store that there at any time; anything
    /// else is damage.
    static constexpr std::uint64_t always_zero = 0xFF00'0000;

    static constexpr Descriptor make(std::uint64_t length, unsigned flags, unsigned extension) {
        return {length << 32 | std::uint64_t{flags & 0xFF} << 16 | (extension & 0xFFFF)};
    }
    constexpr std::uint32_t length() const { return static_cast<std::uint32_t>(bits >> 32); }
    constexpr unsigned flags() const { return static_cast<unsigned>(bits >> 16 & 0xFF); }
    constexpr unsigned extension() const { return static_cast<unsigned>(bits & 0xFFFF); }
    constexpr bool is_understood() const {
        return (flags() & must_understand) == 0 && (bits & always_zero) == 0;
    }
    constexpr bool is_in_region() const { return (flags() & in_region) != 0; }
    /// Nothing but a body, in the slot.
    constexpr bool is_plain() const { return (bits & 0xFFFF'FFFF) == 0; }
};

}  // namespace ipc::inline v1::format
