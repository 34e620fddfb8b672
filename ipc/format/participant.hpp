#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "ipc/format/statistics.hpp"
#include "ipc/format/words.hpp"

namespace ipc::inline v1::format {

constexpr std::size_t line = 128;  ///< between words that different processes write

enum class ParticipantState : std::uint8_t {
    free = 0,    ///< nobody's, and nothing of a predecessor is left to recover
    active = 1,  ///< somebody's; whether that process lives only its lock byte tells
};

enum class Role : std::uint8_t {
    none = 0,
    shared_producer = 1,
    exclusive_producer = 2,
    member = 3,
    subscriber = 4,
};

/// What a participant waits for: for those who watch, and who ask whether a group is finished.
enum class Activity : std::uint8_t {
    running = 0,
    waiting_for_message = 1,
    waiting_for_room = 2,
};

/// One entry of the participant table. The first line changes only under the registry lock, inside
/// an odd `version`; the second is written by the participant alone, and by whoever recovers it.
///
/// Counters stay when the entry gets a new owner: totals are sums over all entries.
struct Participant {
    alignas(line) std::atomic<std::uint32_t> version;  ///< odd while the line is rewritten
    std::atomic<std::uint8_t> state;                   ///< ParticipantState
    std::atomic<std::uint8_t> role;                    ///< Role
    std::atomic<std::uint16_t> group;                  ///< index, of members and subscribers
    std::atomic<std::uint32_t> group_incarnation;
    std::atomic<std::int32_t> pid;             ///< as its own PID namespace counts
    std::atomic<std::uint64_t> pid_namespace;  ///< inode of /proc/self/ns/pid, 0 = unknown
    /// Clock ticks since boot, 0 = unknown. For people with a debugger: it tells the process from a
    /// later one with its pid. The library goes by the lock byte.
    std::atomic<std::uint64_t> start_time;
    std::atomic<std::int64_t> attached_at;  ///< CLOCK_REALTIME ns
    std::atomic<std::uint64_t> name[4];     ///< up to 31 characters, zero-padded

    alignas(line) std::atomic<std::uint64_t> published;  ///< messages, as a producer
    std::atomic<std::uint64_t> published_bytes;
    /// Producers: the position to claim next. Of interest to nobody else: it is here because what a
    /// producer stores for each message outside the slot should be next to each other
    /// (publish.hpp).
    std::atomic<std::uint64_t> next;
    std::atomic<std::uint64_t> aborted;   ///< claims of dead owners of this entry
    std::atomic<std::uint64_t> received;  ///< messages handed to user code, as a reader
    std::atomic<std::uint64_t> received_bytes;
    std::atomic<std::uint64_t> region_head;  ///< producers: next free byte position of the region
    /// Members: 1 from before the first lease is taken until after the last is settled, else 0.
    /// So whoever holds a lease has it at 1; after a death it may stay so.
    std::atomic<std::uint32_t> has_leases;
    std::atomic<std::uint8_t> activity;        ///< Activity
    std::atomic<std::int64_t> activity_since;  ///< CLOCK_MONOTONIC ns
    std::atomic<std::int64_t> received_at;     ///< CLOCK_MONOTONIC ns of the last sampled receive
};
/// For the only writer of a counter: exact without a read-modify-write.
inline void add_alone(std::atomic<std::uint64_t>& counter, std::uint64_t count) {
    if constexpr (!keeps_statistics) return;
    counter.store(counter.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
}
/// EDGE entry: an active entry was filled in before.
inline bool is_active(const Participant& entry) {
    return static_cast<ParticipantState>(entry.state.load(std::memory_order_acquire)) ==
           ParticipantState::active;
}
inline Role role_of(const Participant& entry) {
    return static_cast<Role>(entry.role.load(std::memory_order_relaxed));
}
inline Activity activity_of(const Participant& entry) {
    return static_cast<Activity>(entry.activity.load(std::memory_order_acquire));
}
constexpr bool is_producer(Role role) {
    return role == Role::shared_producer || role == Role::exclusive_producer;
}

static_assert(sizeof(Participant) == 2 * line);
static_assert(offsetof(Participant, pid) == 12 && offsetof(Participant, name) == 40);
static_assert(offsetof(Participant, published) == 128 && offsetof(Participant, has_leases) == 184);
static_assert(offsetof(Participant, received_at) == 200);

}  // namespace ipc::inline v1::format
