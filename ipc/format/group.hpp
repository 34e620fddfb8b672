#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "ipc/format/histogram.hpp"
#include "ipc/format/participant.hpp"
#include "ipc/format/words.hpp"

namespace ipc::inline v1::format {

constexpr std::size_t name_words = 17;  ///< room for 128 characters and a zero

enum class GroupState : std::uint8_t {
    free = 0,     ///< reusable once no member of the old incarnation lives
    forming = 1,  ///< a join is under way: gates producers already, not yet usable
    active = 2,
};

/// Group status: | incarnation : 32 | flags : 24 | state : 8 |, in one word, so that a member finds
/// with one load that its group ended.
struct GroupStatus {
    static constexpr std::uint32_t reliable = 1U << 0;
    static constexpr std::uint32_t durable = 1U << 1;
    static constexpr std::uint32_t manual_ack = 1U << 2;
    static constexpr std::uint32_t anonymous = 1U << 3;  ///< a subscriber's
    std::uint64_t bits;

    static constexpr GroupStatus make(std::uint32_t incarnation, std::uint32_t flags,
                                      GroupState state) {
        return {std::uint64_t{incarnation} << 32 | std::uint64_t{flags & 0xFFFFFF} << 8 |
                static_cast<std::uint64_t>(state)};
    }
    constexpr std::uint32_t incarnation() const { return static_cast<std::uint32_t>(bits >> 32); }
    constexpr std::uint32_t flags() const {
        return static_cast<std::uint32_t>(bits >> 8 & 0xFFFFFF);
    }
    constexpr GroupState state() const { return static_cast<GroupState>(bits & 0xFF); }
    constexpr bool has(std::uint32_t flag) const { return (flags() & flag) != 0; }
    constexpr bool is_active() const { return state() == GroupState::active; }
    /// Producers must not pass its low-water mark.
    constexpr bool gates() const {
        return (state() == GroupState::active || state() == GroupState::forming) && has(reliable);
    }
};

/// A place to sleep: a futex word and the announcement of those asleep on it.
struct Parking {
    std::atomic<std::uint64_t> announcement;  ///< Announcement; set by sleepers, cleared by wakers
    std::atomic<std::uint32_t> futex;         ///< incremented before every wake
};

/// Figures of a report are positions and lease words minus some of these, and no instant shows
/// both. So that such a figure is wrong by little, and not for long:
///
/// * With leases: whoever moved the word counts, at once, and message by message. A report reads
///   the words first. It has at most one message too many for each operation that is between the
///   two steps, and one that is killed there leaves its one.
/// * Without leases, where one step may pass over thousands: `passed_over` is counted first, and
///   taken back when another member moved the cursor. A report reads the cursor first. It has too
///   few for a moment, never too many.
///
/// An Inspector shows no figure lower than it did before (ipc/inspect.cpp).
struct GroupCounters {
    std::atomic<std::uint64_t> redelivered;     ///< deliveries with attempt > 1
    std::atomic<std::uint64_t> returned;        ///< given back: nack, unacknowledged, death, limit
    std::atomic<std::uint64_t> expired;         ///< of those, by the lease limit
    std::atomic<std::uint64_t> rejected;        ///< reject()
    std::atomic<std::uint64_t> dead_lettered;   ///< copied to the dead-letter channel
    std::atomic<std::uint64_t> dropped;         ///< rejected or exhausted, and no letter: no such
                                                ///< channel, or none that takes it
    std::atomic<std::uint64_t> aborted;         ///< positions skipped because their producer died
    std::atomic<std::uint64_t> skipped;         ///< positions a lossy or late reader missed
    std::atomic<std::uint64_t> purged;          ///< removed from the backlog by purge
    std::atomic<std::uint64_t> not_understood;  ///< messages that are damaged, of another size than
                                                ///< the channel's type, or with unknown
                                                ///< must-understand flags
    std::atomic<std::uint64_t> passed_over;     ///< positions never handed out, for whatever reason
    std::atomic<std::uint64_t> recovered;       ///< of the returned, from members that died
};

/// One entry of the group table, followed by its lease words and its deadlines.
struct Group {
    alignas(
        line) std::atomic<std::uint64_t> status;  ///< GroupStatus; changes under the registry lock
    std::atomic<std::uint32_t> max_attempts;
    std::atomic<std::uint32_t> lease_limit_ms;
    std::atomic<std::uint64_t> start;      ///< first position the group sees
    std::atomic<std::int64_t> created_at;  ///< CLOCK_REALTIME ns; for people with a debugger
    std::atomic<std::uint64_t> name[name_words];
    std::atomic<std::uint64_t> dead_letter[name_words];

    /// Every position before it is settled. Producers gate on it. Moved forward only: by a CAS over
    /// settled leases, or, for a subscriber, by a plain store of its owner.
    alignas(line) std::atomic<std::uint64_t> low_water;  ///< LowWater

    /// Where handing-out goes on; never trusted below low_water. With leases a hint, which may lag
    /// and go back: members store it as they walk, and one that was stopped stores an old one. Of a
    /// lossy group the truth, moved by CAS. Of a subscriber where it waited last, stored by itself
    /// before it sleeps and with the mark.
    alignas(line) std::atomic<std::uint64_t> cursor;
    std::atomic<std::uint64_t> returned_hint;  ///< Hint: lowest position given back
    std::atomic<std::uint64_t> next_due;       ///< ms: no delayed message is due before; ~0 = none
    std::atomic<std::uint64_t> dead_pending_hint;  ///< Hint: lowest that waits for its dead letter

    Position low_water_mark(std::memory_order order) const {
        const LowWater mark{low_water.load(order)};
        return mark.position(cursor.load(std::memory_order_relaxed));
    }

    alignas(line) Parking parking;

    alignas(line) GroupCounters counters;
    alignas(line) Histogram service_time;  ///< receive to settle (T_p), sampled
    Histogram response_time;               ///< publish to settle (T_r), sampled
};
static_assert(offsetof(Group, name) == 32 && offsetof(Group, dead_letter) == 168);
static_assert(offsetof(Group, low_water) == 384 && offsetof(Group, cursor) == 512);
static_assert(offsetof(Group, parking) == 640 && offsetof(Group, counters) == 768);
static_assert(offsetof(Group, service_time) == 896 && offsetof(Group, response_time) == 2248);
static_assert(sizeof(Group) == 3712);

}  // namespace ipc::inline v1::format
