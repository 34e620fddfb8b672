#pragma once

// Where things stand in a channel's object.
//
//   control   header | participants | groups (entry, lease words, deadlines; one block each)
//   data      slots | payload regions, one for each participant index
//
// Participants map control read-write; only producers map data read-write.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "ipc/base/options.hpp"
#include "ipc/format/group.hpp"
#include "ipc/format/participant.hpp"
#include "ipc/format/slot.hpp"

namespace ipc::inline v1::format {

constexpr std::uint64_t magic = 0x314E'4843'4350'49FFULL;  // bytes FF "IPCCHN1"
/// Raised when a program of an older version could misread the object.
constexpr std::uint32_t format_version = 4;
/// Of the features that a program must know to open an object, those that this library knows.
constexpr std::uint64_t known_incompatible_features = 0;

constexpr std::uint64_t page = 4096;
constexpr std::uint64_t area_alignment = std::uint64_t{2} << 20;  ///< of the data area: huge pages

constexpr std::uint32_t max_alignment = 64;  ///< of a message type, and of what lies in a region

/// The message type of a typed channel; all zero for bytes.
struct TypeIdentity {
    std::uint64_t hash;  ///< FNV-1a of the type's name
    std::uint32_t size;
    std::uint32_t alignment;
    bool operator==(const TypeIdentity&) const = default;
};

/// Offsets and sizes, all in bytes, that follow from the options. Written into the header and
/// recomputed when opening: a difference is a damaged or foreign object.
struct Layout {
    std::uint64_t capacity;  ///< a power of two
    std::uint64_t slot_size;
    std::uint64_t region_size;
    std::uint64_t participants_offset;
    std::uint64_t groups_offset;
    std::uint64_t group_stride;
    std::uint64_t control_size;
    std::uint64_t data_offset;
    std::uint64_t regions_offset;  ///< within the data area
    std::uint64_t data_size;
    std::uint64_t object_size;
    std::uint32_t max_participants;
    std::uint32_t max_groups;
    bool operator==(const Layout&) const = default;
};

/// The part of the header that never changes once the object has its name.
struct Preamble {
    std::uint64_t magic;
    std::uint32_t version;
    std::uint32_t fingerprint;  ///< of the sizes of what stands at fixed places: fingerprint()
    std::uint64_t compatible_features;
    std::uint64_t incompatible_features;
    std::uint64_t channel_id;  ///< random
    Layout layout;
    TypeIdentity type;
    std::uint64_t first_position;
    std::uint32_t inline_size;
    std::uint32_t temporary;
    std::int32_t creator_pid;   ///< as its own PID namespace counts; for people with a debugger
    std::uint32_t creator_uid;  ///< for people, too: the object may have another owner
    std::int64_t created_at;    ///< CLOCK_REALTIME ns
    char type_name[96];         ///< shortened, for messages to people
};

/// The header: each mutable word on a line of its own, since different processes write them.
struct Header {
    Preamble preamble;
    alignas(line) std::atomic<std::uint64_t> limit;         ///< Limit
    alignas(line) std::atomic<std::uint64_t> tail;          ///< hint, never beyond the true tail
    alignas(line) std::atomic<std::uint64_t> announcement;  ///< Announcement: readers asleep, close
    alignas(line) Parking room;                             ///< producers asleep or refused
    alignas(line) std::atomic<std::uint64_t> sentinel;      ///< Sentinel
    std::atomic<std::int64_t> swept_at;  ///< CLOCK_MONOTONIC ns of the last look after the dead
    alignas(line) std::atomic<std::uint32_t> removed;  ///< the name is gone; leave
    std::atomic<std::uint32_t> participants_used;      ///< entries ever used; only grows
    std::atomic<std::uint32_t> groups_used;            ///< the same for groups
};
static_assert(sizeof(Preamble) == 280 && offsetof(Preamble, layout) == 40);
static_assert(offsetof(Header, limit) == 384 && offsetof(Header, tail) == 512);
static_assert(offsetof(Header, announcement) == 640 && offsetof(Header, room) == 768);
static_assert(offsetof(Header, sentinel) == 896 && offsetof(Header, swept_at) == 904 &&
              offsetof(Header, removed) == 1024);
static_assert(sizeof(Header) == 1152 && sizeof(Header) <= page);

/// Each region is larger than asked for by this much: a message of the largest size still fits when
/// it comes with extension headers, as a dead letter does.
constexpr std::uint64_t region_allowance = page;

/// The ranges of a channel's options, both ends included. Lengths in a region have 32 bits.
constexpr ChannelOptions smallest_options{
    .capacity = 1, .inline_size = 8, .region_size = 0, .max_participants = 1, .max_groups = 1};
constexpr ChannelOptions largest_options{
    .capacity = 1U << 24,
    .inline_size = 65512,
    .region_size = (std::uint64_t{1} << 32) - page - region_allowance,
    .max_participants = max_participants,
    .max_groups = 1024};

/// The longest message without extension headers, in bytes.
constexpr std::uint64_t largest_message(const Layout& layout) {
    const std::uint64_t in_slot = layout.slot_size - slot_header_size;
    const std::uint64_t in_region =
        layout.region_size == 0 ? 0 : layout.region_size - region_allowance;
    return in_slot > in_region ? in_slot : in_region;
}

/// Lock bytes of the object: the registry's, then one for each participant index.
constexpr std::uint64_t registry_lock_byte = 0;
constexpr std::uint64_t participant_lock_byte(unsigned index) {
    return 1 + std::uint64_t{index};
}

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t multiple) {
    return (value + multiple - 1) / multiple * multiple;
}

/// Producers refresh their limit, and readers publish their position, about this often.
constexpr std::uint64_t step_of(std::uint64_t capacity) {
    return capacity < 16 ? 1 : capacity / 16;
}

/// The slot of a position; `mask` is the capacity less one. Positions that follow each other lie
/// apart, since a processor fetches the lines next to one that it reads as well: those of a reader
/// close behind its producer would be the lines that the producer has just got for itself. Any odd
/// spacing gives each position of a lap a slot of its own.
constexpr std::uint64_t slot_spacing = 3;
constexpr std::uint64_t slot_of(std::uint64_t position, std::uint64_t mask) {
    return position * slot_spacing & mask;
}

/// Of the sizes of all structures that stand at fixed places in an object. Extension headers and
/// what follows them do not: each tells its kind and its length, so that a reader passes over those
/// it does not know.
constexpr std::uint32_t fingerprint() {
    std::uint32_t hash = 2166136261U;
    for (const std::size_t size : {sizeof(Preamble), sizeof(Header), sizeof(Participant),
                                   sizeof(Group), sizeof(Slot), histogram_buckets, line}) {
        hash = (hash ^ static_cast<std::uint32_t>(size)) * 16777619U;
    }
    return hash;
}

/// Throws Error(bad_options) naming the option that is out of range, its value, and the range.
Layout layout_of(const std::string& channel, const ChannelOptions& options);

/// Checks everything in a mapped preamble against this library and the object's size; throws an
/// Error that names both sides. The preamble must be a private copy.
void check(const std::string& channel, const Preamble& preamble, std::uint64_t object_size);

constexpr std::uint64_t fnv1a(const char* text, std::size_t length) {
    std::uint64_t hash = 14695981039346656037ULL;
    for (std::size_t i = 0; i < length; ++i) {
        hash = (hash ^ static_cast<unsigned char>(text[i])) * 1099511628211ULL;
    }
    return hash;
}

/// Names are kept in atomic words, since they may be read while they change.
template <std::size_t Words>
void store_name(std::atomic<std::uint64_t> (&words)[Words], const std::string& name) {
    char text[Words * 8] = {};
    name.copy(text, sizeof text - 1);
    for (std::size_t i = 0; i < Words; ++i) {
        std::uint64_t word;
        __builtin_memcpy(&word, text + 8 * i, 8);
        words[i].store(word, std::memory_order_relaxed);
    }
}

template <std::size_t Words>
std::string load_name(const std::atomic<std::uint64_t> (&words)[Words]) {
    constexpr std::uint64_t ones = 0x0101010101010101;
    char text[Words * 8];
    for (std::size_t i = 0; i < Words; ++i) {
        const std::uint64_t word = words[i].load(std::memory_order_relaxed);
        __builtin_memcpy(text + 8 * i, &word, 8);
        const bool has_zero_byte = ((word - ones) & ~word & (ones << 7)) != 0;
        if (has_zero_byte) break;
    }
    text[sizeof text - 1] = 0;
    return text;
}

}  // namespace ipc::inline v1::format
