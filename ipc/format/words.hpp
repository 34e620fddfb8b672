#pragma once

// The packed words of the shared-memory format. Each is one 64-bit atomic, so that everything a
// protocol decides about a slot or a lease becomes visible at once. Positions inside them are the
// low bits of a position and are compared modulo their width: never with < on the raw bits.

#include <cstdint>

#include "ipc/base/status.hpp"

namespace ipc::inline v1::format {

/// a stands before b; right as long as the two are less than 2^63 apart.
constexpr bool before(Position a, Position b) {
    return static_cast<std::int64_t>(a - b) < 0;
}
constexpr Position later_of(Position a, Position b) {
    return before(a, b) ? b : a;
}
constexpr Position earlier_of(Position a, Position b) {
    return before(a, b) ? a : b;
}

constexpr std::uint64_t low_bits(unsigned bits) {
    return (std::uint64_t{1} << bits) - 1;
}

/// The position nearest to `near` whose low `bits` bits are `packed`.
constexpr Position extend(std::uint64_t packed, unsigned bits, Position near) {
    const unsigned unused = 64 - bits;
    const auto distance =
        static_cast<std::int64_t>((packed - near) << unused) >> unused;  // sign-extended
    return near + static_cast<std::uint64_t>(distance);
}

constexpr unsigned no_participant = 0xFFF;  ///< fits the 12-bit participant fields
constexpr unsigned max_participants = 4000;

/// What a slot is doing.
enum class Phase : std::uint8_t {
    free = 0,     ///< never used; carries the position one lap before its first
    claimed = 1,  ///< a shared producer is writing; if it is dead, this reads as aborted
    ready = 2,    ///< a message
    aborted = 3,  ///< its producer died before it was whole; skipped by every reader
    closed = 4,   ///< the end of the channel
};

/// Slot state: | position : 48 | producer : 12 | phase : 4 |
struct SlotState {
    static constexpr unsigned position_bits = 48;
    std::uint64_t bits;

    static constexpr SlotState make(Position position, unsigned producer, Phase phase) {
        return {position << 16 | std::uint64_t{producer} << 4 | static_cast<std::uint64_t>(phase)};
    }
    constexpr Phase phase() const { return static_cast<Phase>(bits & 0xF); }
    constexpr unsigned producer() const { return static_cast<unsigned>(bits >> 4 & 0xFFF); }
    constexpr Position position(Position near) const {
        return extend(bits >> 16, position_bits, near);
    }
    constexpr bool is_at(Position position) const {
        return bits >> 16 == (position & low_bits(position_bits));
    }
    /// A message of exactly this position, whoever produced it.
    constexpr bool is_ready_at(Position position) const {
        constexpr std::uint64_t without_producer = ~std::uint64_t{0xFFF0};
        return (bits & without_producer) == make(position, 0, Phase::ready).bits;
    }
};

/// Limit: | position : 44 | epoch : 20 |. Producers write only below the position; the epoch counts
/// joins, so that a producer that computed a limit before a join cannot install it after.
struct Limit {
    static constexpr unsigned position_bits = 44;
    static constexpr unsigned epoch_bits = 20;
    std::uint64_t bits;

    static constexpr Limit make(Position position, std::uint64_t epoch) {
        return {position << epoch_bits | (epoch & low_bits(epoch_bits))};
    }
    constexpr std::uint64_t epoch() const { return bits & low_bits(epoch_bits); }
    constexpr Position position(Position near) const {
        return extend(bits >> epoch_bits, position_bits, near);
    }
};

/// Hint of a position worth looking at: | position : 44 | version : 20 |, 0 = none. The version is
/// never 0 and changes with every set over another, so that clearing cannot clear what was set
/// since it was seen; who clears looks at the words afterwards, so that one set after a clear is no
/// matter.
struct Hint {
    static constexpr unsigned position_bits = 44;
    static constexpr unsigned version_bits = 20;
    std::uint64_t bits;

    static constexpr Hint none() { return {0}; }
    static constexpr Hint make(Position position, std::uint64_t version) {
        const std::uint64_t kept = version & low_bits(version_bits);
        return {position << version_bits | (kept == 0 ? 1 : kept)};
    }
    constexpr bool is_none() const { return bits == 0; }
    constexpr std::uint64_t version() const { return bits & low_bits(version_bits); }
    constexpr Position position(Position near) const {
        return extend(bits >> version_bits, position_bits, near);
    }
};

/// Low-water mark: | position : 48 | incarnation of the group : 16 |. Participants who are no
/// members move marks, too; the incarnation keeps one that was stopped meanwhile from moving a
/// later group's.
struct LowWater {
    static constexpr unsigned position_bits = 48;
    std::uint64_t bits;

    static constexpr LowWater make(Position position, std::uint32_t incarnation) {
        return {position << 16 | (incarnation & 0xFFFF)};
    }
    constexpr bool is_of(std::uint32_t incarnation) const {
        return (bits & 0xFFFF) == (incarnation & 0xFFFF);
    }
    constexpr LowWater moved_to(Position position) const {
        return {position << 16 | (bits & 0xFFFF)};
    }
    constexpr Position position(Position near) const {
        return extend(bits >> 16, position_bits, near);
    }
};

/// What a group is doing with one position.
enum class LeaseState : std::uint8_t {
    settled = 0,         ///< done: acknowledged, dropped, aborted, or before the group's start
    returned = 1,        ///< given back: free to be handed out again
    reserved = 2,        ///< taken in a batch, not yet handed to user code
    leased = 3,          ///< handed to user code
    delayed = 4,         ///< given back, not to be handed out before its deadline
    dead_rejected = 5,   ///< dead pending: to be dead-lettered because it was rejected
    dead_exhausted = 6,  ///< dead pending: to be dead-lettered because its attempts are used up
};

/// Lease: | lap : 32 | attempt : 8 | generation : 8 | member : 12 | state : 4 |
///
/// lap = position / capacity; with the word's index it names one position. A word of the previous
/// lap that is settled means "not handed out yet". The attempt counts deliveries to user code, this
/// one included; the generation changes with every transition, so that an owner that lost its lease
/// cannot settle a later one.
struct Lease {
    std::uint64_t bits;

    static constexpr Lease make(std::uint32_t lap, unsigned attempt, unsigned generation,
                                unsigned member, LeaseState state) {
        return {std::uint64_t{lap} << 32 | std::uint64_t{attempt & 0xFF} << 24 |
                std::uint64_t{generation & 0xFF} << 16 | std::uint64_t{member & 0xFFF} << 4 |
                static_cast<std::uint64_t>(state)};
    }
    constexpr std::uint32_t lap() const { return static_cast<std::uint32_t>(bits >> 32); }
    constexpr unsigned attempt() const { return static_cast<unsigned>(bits >> 24 & 0xFF); }
    constexpr unsigned generation() const { return static_cast<unsigned>(bits >> 16 & 0xFF); }
    constexpr unsigned member() const { return static_cast<unsigned>(bits >> 4 & 0xFFF); }
    constexpr LeaseState state() const { return static_cast<LeaseState>(bits & 0xF); }

    constexpr bool is_held() const {
        return state() == LeaseState::leased || state() == LeaseState::reserved;
    }
    constexpr bool is_dead_pending() const {
        return state() == LeaseState::dead_rejected || state() == LeaseState::dead_exhausted;
    }
    /// The word for the same position after one transition.
    constexpr Lease to(LeaseState state, unsigned attempt, unsigned member) const {
        return make(lap(), attempt, generation() + 1, member, state);
    }
};

/// Announcement: | sequence : 60 | refused : 1 | region wanted : 1 | close requested : 1 |
/// pending : 1 |. The sequence changes with every announcement of a sleeper, so that a waker clears
/// exactly the announcement it saw.
struct Announcement {
    static constexpr std::uint64_t pending = 1;          ///< somebody sleeps
    static constexpr std::uint64_t close_requested = 2;  ///< in the channel's word only
    /// In the producers' word only: one of them waits for its region rather than for a slot.
    static constexpr std::uint64_t region_wanted = 4;
    /// There as well: a producer that does not sleep found no room.
    static constexpr std::uint64_t refused = 8;
    static constexpr std::uint64_t sequence_step = 16;
};

/// Sentinel: | heartbeat in ms : 40 | fast : 1 | place : 11 | participant : 12 |. Who looks after
/// the dead while parked, and where it sleeps (0: with the producers, else group + 1); `vacant`
/// when nobody does: then it has, in place of the heartbeat, until when some sleepers may let ticks
/// pass.
struct Sentinel {
    std::uint64_t bits;

    static constexpr Sentinel vacant(std::uint64_t rest_until_ms = 0) {
        return {rest_until_ms << 24 | no_participant};
    }
    static constexpr Sentinel make(unsigned participant, unsigned place, bool fast,
                                   std::uint64_t heartbeat_ms) {
        return {heartbeat_ms << 24 | std::uint64_t{fast} << 23 |
                std::uint64_t{place & 0x7FF} << 12 | (participant & 0xFFF)};
    }
    constexpr bool is_vacant() const { return participant() == no_participant; }
    constexpr unsigned participant() const { return static_cast<unsigned>(bits & 0xFFF); }
    constexpr unsigned place() const { return static_cast<unsigned>(bits >> 12 & 0x7FF); }
    constexpr bool is_fast() const { return (bits >> 23 & 1) != 0; }
    constexpr std::uint64_t heartbeat_ms() const { return bits >> 24; }
    constexpr std::uint64_t rest_until_ms() const { return bits >> 24; }
};

/// Deadline of a lease or a delay: | milliseconds : 40 | lap : 16 | generation : 8 |. It counts
/// only while its lap and generation are those of the lease word.
struct DeadlineTag {
    std::uint64_t bits;

    static constexpr DeadlineTag make(std::uint64_t milliseconds, Lease lease) {
        return {milliseconds << 24 | (std::uint64_t{lease.lap()} & 0xFFFF) << 8 |
                lease.generation()};
    }
    constexpr bool belongs_to(Lease lease) const {
        return (bits & low_bits(24)) == make(0, lease).bits;
    }
    constexpr std::uint64_t milliseconds() const { return bits >> 24; }
};

static_assert(extend(0, 48, (std::uint64_t{1} << 48) - 1) == std::uint64_t{1} << 48);
static_assert(extend(low_bits(44), 44, std::uint64_t{1} << 44) == low_bits(44));
static_assert(before(~std::uint64_t{0}, 0));

}  // namespace ipc::inline v1::format
