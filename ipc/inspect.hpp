#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "ipc/base/options.hpp"
#include "ipc/base/status.hpp"
#include "ipc/export.hpp"

namespace ipc::inline v1 {

namespace protocol {
class ChannelMemory;
}

// What can be seen of a channel from outside: plain values, read through a read-only mapping
// without taking part. Traffic goes on meanwhile, and no instant shows a whole report. Positions
// and plain counters were each true at some moment of the call. What is counted over many words
// (in_flight, delayed, dead_pending, leases_held) or computed from several figures (backlog,
// delivered, settled, acked) may be off by the operations that were under way;
// format::GroupCounters says how far. Differences of cumulative figures of two reports are rates.

enum class ParticipantRole : std::uint8_t {
    shared_producer,
    exclusive_producer,
    member,  ///< of a named group
    subscriber,
};

enum class Activity : std::uint8_t { running, waiting_for_message, waiting_for_room };

struct ParticipantReport {
    unsigned index = 0;  ///< its entry; leases name it by this
    ParticipantRole role = ParticipantRole::subscriber;
    std::string name;
    std::int32_t pid = 0;            ///< as its own PID namespace counts
    bool same_pid_namespace = true;  ///< whether that pid means anything to this process
    bool alive = false;              ///< whether the process still has its memory
    char process_state = 0;          ///< from /proc: R, S, D, T, t ...; 0 unknown
    std::string group;               ///< of members
    int group_index = -1;            ///< of members and subscribers
    std::uint64_t messages = 0;      ///< published, or received; also by former owners of the entry
    std::uint64_t bytes = 0;         ///< of payload, in those messages
    /// Messages of its group that are leased to it, or reserved in a batch of its own. Only members
    /// of reliable groups have leases: what others hold is not counted.
    std::uint64_t leases_held = 0;
    Activity activity = Activity::running;
    std::int64_t activity_since_ns = 0;  ///< CLOCK_MONOTONIC
    /// When it last got a message, CLOCK_MONOTONIC; 0: none yet. Busy channels sample: see
    /// longest_stamp_distance.
    std::int64_t last_received_ns = 0;
    std::int64_t attached_at_ns = 0;  ///< CLOCK_REALTIME

    /// By a signal, or by a debugger.
    bool is_stopped() const { return process_state == 'T' || process_state == 't'; }
    /// Its name and pid, for people: which pid of another namespace is meant, nobody can know.
    IPC_API std::string title() const;
};

/// Where messages are fast, only samples of them are stamped: each at most so many positions after
/// the one before.
constexpr std::uint64_t longest_stamp_distance = 4097;

enum class LeaseKind : std::uint8_t {
    leased,         ///< in user code
    reserved,       ///< in a batch, not yet reached
    returned,       ///< waits to be handed out again
    delayed,        ///< the same, not before its time
    dead_rejected,  ///< waits for its dead letter
    dead_exhausted,
};

struct LeaseReport {
    Position position = 0;
    int member = -1;  ///< participant index; -1: nobody's
    unsigned attempt = 0;
    LeaseKind kind = LeaseKind::leased;
};

struct GroupReport {
    unsigned index = 0;
    std::string name;  ///< empty for a subscriber
    bool subscriber = false;
    bool reliable = true;
    bool durable = false;
    bool manual_ack = false;
    unsigned max_attempts = 0;
    std::uint32_t lease_limit_ms = 0;
    std::string dead_letter;
    unsigned members = 0;  ///< that live
    Position start = 0;    ///< first position the group saw
    /// Tells it from a group that had this index before. Records do not keep it.
    std::uint32_t incarnation = 0;
    Position position = 0;       ///< next to be handed out for the first time
    Position settled_below = 0;  ///< all before it are settled
    /// L_q: published, and neither settled nor in flight nor dead_pending; delayed ones included.
    /// At most the capacity. A reliable subscriber tells only every capacity / 16 messages, and
    /// when it finds no more, what it is done with: until then that counts as backlog.
    std::uint64_t backlog = 0;
    /// In members' hands: leased, or reserved in a batch. A reliable subscriber has no leases: for
    /// it 1, which the backlog then lacks, while it does not wait and has any backlog, else 0.
    std::uint64_t in_flight = 0;
    std::uint64_t delayed = 0;       ///< of the backlog, given back with a delay
    std::uint64_t dead_pending = 0;  ///< wait for their dead letter to be published
    // Cumulative, since the group was made.
    std::uint64_t delivered = 0;    ///< handed out: first deliveries and redeliveries
    std::uint64_t settled = 0;      ///< done in whatever way
    std::uint64_t acked = 0;        ///< of those, processed: neither dead_lettered nor dropped,
                                    ///< aborted, purged or not_understood
    std::uint64_t redelivered = 0;  ///< of the delivered, those with an attempt above 1
    std::uint64_t returned = 0;     ///< given back: nack, unacknowledged, a death, the lease limit
    std::uint64_t expired = 0;      ///< of the returned, by the lease limit
    std::uint64_t recovered = 0;    ///< of the returned, from members that died
    std::uint64_t rejected = 0;     ///< by reject(); dead_lettered or dropped in the end
    /// Rejected, or out of attempts, and published to the dead-letter channel.
    std::uint64_t dead_lettered = 0;
    /// The same without a letter: no such channel, or none that takes it.
    std::uint64_t dropped = 0;
    std::uint64_t aborted = 0;  ///< positions without a message: its producer died
    std::uint64_t skipped = 0;  ///< positions that a lossy or late reader missed
    std::uint64_t purged = 0;   ///< taken from the backlog by purge()
    /// Passed over: damaged, not of the size of the channel's type, or with flags that
    /// its reader does not know and would have to understand.
    std::uint64_t not_understood = 0;
    /// At least this old is the oldest message not settled; -1: none, or none of those near it was
    /// stamped.
    std::int64_t oldest_age_ns = -1;
    /// And at most this old: what was stamped before it is older; -1: nothing near it was.
    std::int64_t oldest_age_at_most_ns = -1;
    bool blocks_producers = false;    ///< it is the group a full ring waits for
    std::vector<LeaseReport> leases;  ///< the oldest 64 that are not settled
    /// Sampled durations in the buckets of ipc/format/histogram.hpp: receive to settle (T_p), and
    /// publish to settle (T_r); buckets behind the last that counted anything are left out. The
    /// sums are those of the durations themselves.
    std::vector<std::uint64_t> service_time;
    std::uint64_t service_time_sum_ns = 0;
    std::vector<std::uint64_t> response_time;
    std::uint64_t response_time_sum_ns = 0;
};

struct ChannelReport {
    std::string name;
    std::uint64_t channel_id = 0;
    std::int64_t sampled_at_ns = 0;    ///< CLOCK_MONOTONIC
    std::uint64_t capacity = 0;        ///< messages
    std::uint64_t inline_size = 0;     ///< bytes of payload a slot takes
    std::uint64_t region_size = 0;     ///< bytes per producer
    std::uint64_t object_bytes = 0;    ///< apparent size
    std::uint64_t reserved_bytes = 0;  ///< memory really taken
    bool temporary = false;
    bool closed = false;
    bool removed = false;
    std::string type_name;  ///< empty: bytes
    Position first = 0;
    Position oldest_retained = 0;
    Position tail = 0;                  ///< next to be published
    std::uint64_t published = 0;        ///< messages, cumulative, by all producers there ever were
    std::uint64_t published_bytes = 0;  ///< of payload, in those
    std::uint64_t aborted = 0;  ///< positions whose producer died before the message was whole
    std::string blocked_by;     ///< who holds up producers or readers, in a sentence; or empty
    std::vector<ParticipantReport> participants;  ///< also dead ones not yet recovered
    std::vector<GroupReport> groups;

    IPC_API unsigned producers() const;  ///< that live
    IPC_API const GroupReport* find_group(const std::string& group) const;
};

/// Asks the system about each process once, however many channels it takes part in: for a round of
/// looks at many of them.
class IPC_API ProcessStates {
public:
    /// As ParticipantReport::process_state.
    char of(std::int32_t pid);

private:
    std::unordered_map<std::int32_t, char> states_;
};

/// Keeps a channel mapped read-only, for repeated looks. Takes no table entry and delays nobody. No
/// cumulative figure of a group is lower than at the look before. One thread at a time; once moved
/// from, it can only be assigned to, or destroyed.
class IPC_API Inspector {
public:
    /// Throws Error, also when the channel does not exist.
    explicit Inspector(const std::string& channel, bool allow_foreign_owner = false);

    ChannelReport sample();
    /// The same, with the states of processes as `processes` knows them.
    ChannelReport sample(ProcessStates& processes);

private:
    struct Shown {
        std::uint32_t incarnation = 0;
        std::uint64_t delivered = 0, settled = 0, acked = 0;
    };
    void keep_from_going_back(GroupReport& group);

    std::shared_ptr<protocol::ChannelMemory> memory_;
    std::uint64_t own_namespace_;
    std::vector<Shown> shown_;  ///< of each group, by its index
};

/// One look. Throws Error, also when the channel does not exist. Who looks again and again keeps an
/// Inspector: the mapping stays, and no cumulative figure goes back.
IPC_API ChannelReport inspect(const std::string& channel, bool allow_foreign_owner = false);

/// Room for channels: /dev/shm, or wherever they are. In bytes.
struct SharedMemorySpace {
    std::uint64_t total = 0;
    std::uint64_t free = 0;  ///< what this user can still reserve
};

/// Throws std::system_error when the directory is missing.
IPC_API SharedMemorySpace shared_memory_space();

}  // namespace ipc::inline v1
