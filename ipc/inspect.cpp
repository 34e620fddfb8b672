#include "ipc/inspect.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>

#include "ipc/base/error.hpp"
#include "ipc/format/copy.hpp"
#include "ipc/os/clock.hpp"
#include "ipc/os/process.hpp"
#include "ipc/os/processor.hpp"
#include "ipc/os/shared_object.hpp"
#include "ipc/protocol/lease.hpp"
#include "ipc/protocol/lifecycle.hpp"
#include "ipc/protocol/limit.hpp"
#include "ipc/protocol/sampling.hpp"
#include "ipc/protocol/tail.hpp"

namespace ipc::inline v1 {
namespace {

using protocol::before;
using protocol::ChannelMemory;
using protocol::earlier_of;
using protocol::find_tail;
using protocol::Group;
using protocol::GroupStatus;
using protocol::Lease;
using protocol::LeaseState;
using protocol::Participant;
using protocol::Phase;
using protocol::Slot;
using protocol::SlotState;

constexpr auto relaxed = std::memory_order_relaxed;
constexpr std::size_t most_leases = 64;
constexpr Position most_looks_for_age = 1024;
static_assert(longest_stamp_distance == protocol::Sampler::longest + 1);

/// Asks for memory that is read soon. Who watches many channels finds each in nobody's cache.
[[gnu::always_inline]] inline void fetch_all(const void* address, std::size_t size) {
    for (std::size_t at = 0; at < size; at += format::cache_line)
        os::fetch(static_cast<const std::byte*>(address) + at);
}

Activity to_report(format::Activity activity) {
    switch (activity) {
        case format::Activity::waiting_for_message: return Activity::waiting_for_message;
        case format::Activity::waiting_for_room: return Activity::waiting_for_room;
        default: return Activity::running;
    }
}

/// Nothing for an entry that is nobody's, or that changes hands right now.
std::optional<ParticipantReport> report_participant(const ChannelMemory& memory, unsigned index,
                                                    std::uint64_t own_namespace,
                                                    ProcessStates& processes) {
    using format::Role;
    const Participant& entry = memory.participant(index);
    if (!format::is_active(entry)) return std::nullopt;
    ParticipantReport report;
    report.index = index;
    bool consistent = false;
    for (int attempt = 0; attempt < 100 && !consistent; ++attempt) {
        const std::uint32_t version = entry.version.load(std::memory_order_acquire);  // EDGE entry
        if (version % 2 != 0) continue;
        switch (format::role_of(entry)) {
            case Role::shared_producer: report.role = ParticipantRole::shared_producer; break;
            case Role::exclusive_producer: report.role = ParticipantRole::exclusive_producer; break;
            case Role::member: report.role = ParticipantRole::member; break;
            default: report.role = ParticipantRole::subscriber; break;
        }
        report.name = format::load_name(entry.name);
        report.pid = entry.pid.load(relaxed);
        report.same_pid_namespace = entry.pid_namespace.load(relaxed) == own_namespace;
        report.attached_at_ns = entry.attached_at.load(relaxed);
        report.group_index = entry.group.load(relaxed);
        std::atomic_thread_fence(std::memory_order_acquire);  // EDGE entry
        consistent = entry.version.load(relaxed) == version;
    }
    if (!consistent) return std::nullopt;
    if (report.role == ParticipantRole::shared_producer ||
        report.role == ParticipantRole::exclusive_producer) {
        report.group_index = -1;
    } else if (static_cast<unsigned>(report.group_index) < memory.groups_used()) {
        report.group =
            format::load_name(memory.group(static_cast<unsigned>(report.group_index)).name);
    }
    report.alive = memory.is_alive(index);
    if (report.same_pid_namespace && report.alive) {
        report.process_state = processes.of(report.pid);
    }
    const bool produces = report.group_index < 0;
    report.messages = (produces ? entry.published : entry.received).load(relaxed);
    report.bytes = (produces ? entry.published_bytes : entry.received_bytes).load(relaxed);
    report.activity = to_report(format::activity_of(entry));
    report.activity_since_ns = entry.activity_since.load(relaxed);
    report.last_received_ns = entry.received_at.load(relaxed);
    return report;
}

/// Of the message at `position`; -1 where it has no stamp, or is not there.
std::int64_t age_at(const ChannelMemory& memory, Position position, std::int64_t now) {
    const Slot& slot = memory.ring().at(position);
    const SlotState state{slot.state.load(std::memory_order_acquire)};
    if (!state.is_ready_at(position)) return -1;
    const auto time = static_cast<std::int64_t>(slot.publish_time.load(relaxed));
    return time != 0 ? os::elapsed(time, now) : -1;
}

/// Age of the first stamped message from `from` on: later ones are younger, so the oldest is at
/// least that old.
std::int64_t age_from(const ChannelMemory& memory, Position from, Position tail, std::int64_t now) {
    const Position end = earlier_of(tail, from + most_looks_for_age);
    for (Position position = from; before(position, end); ++position) {
        if (const std::int64_t age = age_at(memory, position, now); age >= 0) return age;
    }
    return -1;
}

/// Age of the last stamped message up to `position`: what comes behind it is younger.
std::int64_t age_up_to(const ChannelMemory& memory, Position position, std::int64_t now) {
    const Position looks = std::min<Position>(most_looks_for_age, memory.capacity());
    for (Position i = 0; i < looks; ++i) {
        if (const std::int64_t age = age_at(memory, position - i, now); age >= 0) return age;
    }
    return -1;
}

LeaseKind kind_of(LeaseState state) {
    switch (state) {
        case LeaseState::leased: return LeaseKind::leased;
        case LeaseState::reserved: return LeaseKind::reserved;
        case LeaseState::delayed: return LeaseKind::delayed;
        case LeaseState::dead_rejected: return LeaseKind::dead_rejected;
        case LeaseState::dead_exhausted: return LeaseKind::dead_exhausted;
        default: return LeaseKind::returned;
    }
}

/// Each count is read once. No duration is longer than their sum, so that buckets behind that of
/// the sum are empty, and are not looked at.
std::vector<std::uint64_t> counts_of(const format::Histogram& histogram, std::uint64_t sum) {
    std::array<std::uint64_t, format::histogram_buckets> counts;
    const std::size_t end = format::bucket_of(sum) + 1;
    std::size_t used = 0;
    for (std::size_t i = 0; i < end; ++i) {
        counts[i] = histogram.counts[i].load(relaxed);
        if (counts[i] != 0) used = i + 1;
    }
    return {counts.begin(), counts.begin() + static_cast<std::ptrdiff_t>(used)};
}

bool has_leases(const GroupReport& report) {
    return report.reliable && !report.subscriber;
}

/// What the words of a group say beyond what its report shows.
struct LeaseSummary {
    Position oldest = 0;  ///< not settled
    std::uint64_t settled_above = 0;
};

/// `held`: what each participant holds, by its index; those of the group are added.
LeaseSummary count_leases(const ChannelMemory& memory, GroupReport& report,
                          std::vector<std::uint64_t>& held) {
    LeaseSummary leases;
    std::uint64_t waiting = 0;
    bool found_oldest = false;
    const Position end =
        protocol::for_each_lease(memory, report.index, [&](Position position, Lease word) {
            if (word.state() == LeaseState::settled) {
                if (found_oldest) ++leases.settled_above;
                return;
            }
            if (!found_oldest) leases.oldest = position;
            found_oldest = true;
            if (word.is_held()) {
                ++report.in_flight;
                // Whoever came since the participants were looked at is in no report.
                if (word.member() < held.size()) ++held[word.member()];
            } else if (word.is_dead_pending()) {
                ++report.dead_pending;
            } else {
                ++waiting;
                if (word.state() == LeaseState::delayed) ++report.delayed;
            }
            if (report.leases.size() < most_leases) {
                const unsigned member = word.member();
                report.leases.push_back(
                    {.position = position,
                     .member = member == format::no_participant ? -1 : static_cast<int>(member),
                     .attempt = word.attempt(),
                     .kind = kind_of(word.state())});
            }
        });
    if (!found_oldest) leases.oldest = end;
    report.position = end;
    report.backlog = waiting;
    // The mark lags behind what is settled; whoever needs it moves it.
    report.settled_below = leases.oldest;
    return leases;
}

LeaseSummary read_words(const ChannelMemory& memory, const Group& group, GroupReport& report,
                        std::vector<std::uint64_t>& held) {
    if (has_leases(report)) return count_leases(memory, report, held);
    // Without leases, whatever was handed out is settled. A lossy group's mark follows its cursor.
    report.position = report.reliable ? group.low_water_mark(std::memory_order_acquire)
                                      : group.cursor.load(std::memory_order_acquire);
    report.settled_below = report.position;
    return {.oldest = report.position};
}

void read_counters(const format::GroupCounters& counters, GroupReport& report) {
    report.redelivered = counters.redelivered.load(relaxed);
    report.returned = counters.returned.load(relaxed);
    report.expired = counters.expired.load(relaxed);
    report.recovered = counters.recovered.load(relaxed);
    report.rejected = counters.rejected.load(relaxed);
    report.dead_lettered = counters.dead_lettered.load(relaxed);
    report.dropped = counters.dropped.load(relaxed);
    report.aborted = counters.aborted.load(relaxed);
    report.skipped = counters.skipped.load(relaxed);
    report.purged = counters.purged.load(relaxed);
    report.not_understood = counters.not_understood.load(relaxed);
}

/// The figures that are positions minus counters.
void derive_totals(const LeaseSummary& leases, std::uint64_t passed_over, GroupReport& report) {
    report.settled = report.settled_below - report.start + leases.settled_above;
    const std::uint64_t taken = report.position - report.start;
    report.delivered = taken - std::min(taken, passed_over) + report.redelivered;
    // Without leases, whatever was handed out was processed.
    const std::uint64_t not_processed = has_leases(report) ? report.dead_lettered + report.dropped +
                                                                 report.aborted + report.purged +
                                                                 report.not_understood
                                                           : passed_over;
    report.acked = report.settled - std::min(report.settled, not_processed);
}

GroupReport report_group(const ChannelMemory& memory, unsigned index, GroupStatus status,
                         const std::vector<ParticipantReport>& participants,
                         std::vector<std::uint64_t>& held, std::int64_t now) {
    const Group& group = memory.group(index);
    GroupReport report;
    report.index = index;
    report.name = format::load_name(group.name);
    report.subscriber = status.has(GroupStatus::anonymous);
    report.reliable = status.has(GroupStatus::reliable);
    report.durable = status.has(GroupStatus::durable);
    report.manual_ack = status.has(GroupStatus::manual_ack);
    report.max_attempts = group.max_attempts.load(relaxed);
    report.lease_limit_ms = group.lease_limit_ms.load(relaxed);
    report.dead_letter = format::load_name(group.dead_letter);
    report.start = group.start.load(relaxed);
    report.incarnation = status.incarnation();
    const ParticipantReport* only = nullptr;
    for (const ParticipantReport& participant : participants) {
        if (participant.group_index != static_cast<int>(index) || !participant.alive) continue;
        ++report.members;
        only = &participant;
    }

    // Words before counters: format::GroupCounters says why. And positions before the tail, so that
    // a position taken later cannot exceed it.
    const LeaseSummary leases = read_words(memory, group, report, held);
    read_counters(group.counters, report);
    derive_totals(leases, group.counters.passed_over.load(relaxed), report);
    const Position tail = find_tail(memory);
    // The tail was read later than the position, by more than a ring if this process was
    // interrupted.
    if (before(report.position, tail)) report.backlog += tail - report.position;
    report.backlog = std::min(report.backlog, memory.capacity());
    if (report.subscriber && only != nullptr && only->activity == Activity::running &&
        report.reliable && report.backlog != 0) {
        // Its mark is the oldest it holds; what it holds beyond that shows in no word.
        report.in_flight = 1;
        report.backlog -= 1;
    }
    if (before(leases.oldest, tail)) {
        // What a lossy reader has missed is not there any more.
        const Position oldest = tail - std::min<Position>(tail - leases.oldest, memory.capacity());
        report.oldest_age_ns = age_from(memory, oldest, tail, now);
        report.oldest_age_at_most_ns = age_up_to(memory, oldest, now);
    }
    report.service_time_sum_ns = group.service_time.sum.load(relaxed);
    report.service_time = counts_of(group.service_time, report.service_time_sum_ns);
    report.response_time_sum_ns = group.response_time.sum.load(relaxed);
    report.response_time = counts_of(group.response_time, report.response_time_sum_ns);
    return report;
}

/// For a sentence: 12.4 s, 35 ms.
std::string duration(std::int64_t nanoseconds) {
    const std::int64_t milliseconds = nanoseconds / 1'000'000;
    if (milliseconds < 1000) return std::to_string(milliseconds) + " ms";
    return std::to_string(milliseconds / 1000) + "." + std::to_string(milliseconds / 100 % 10) +
           " s";
}

std::string name_of(const GroupReport& group, const std::vector<ParticipantReport>& participants) {
    if (!group.subscriber) return "group " + group.name;
    for (const ParticipantReport& participant : participants) {
        if (participant.group_index == static_cast<int>(group.index)) {
            return "subscriber " + participant.title();
        }
    }
    return "a subscriber";
}

const ParticipantReport* find_participant(const ChannelReport& report, int index) {
    for (const ParticipantReport& each : report.participants) {
        if (static_cast<int>(each.index) == index) return &each;
    }
    return nullptr;
}

// What may hold a channel up, as a sentence; empty when it does not.

/// A claim whose owner was stopped while it wrote. Who waits for it: readers at their position,
/// producers a lap later.
std::string find_stopped_claim(const ChannelMemory& memory, const ChannelReport& report,
                               Position position, const char* who) {
    const SlotState state{memory.ring().at(position).state.load(std::memory_order_acquire)};
    if (!state.is_at(position) || state.phase() != Phase::claimed) return {};
    const ParticipantReport* owner = find_participant(report, static_cast<int>(state.producer()));
    if (owner == nullptr || !owner->is_stopped()) return {};
    return std::string(who) + " wait for message " + std::to_string(position) +
           ", which stopped producer " + owner->title() + " has claimed";
}

/// Who holds the registry cannot be found out, only that somebody does.
std::string note_on_registry(const ChannelMemory& memory) {
    return memory.registry_is_locked()
               ? ": another process holds the registry; look for a stopped one that attaches or "
                 "leaves"
               : "";
}

std::string find_forming_group(const ChannelMemory& memory, const ChannelReport& report) {
    for (unsigned i = 0; i < memory.groups_used(); ++i) {
        const Group& group = memory.group(i);
        const GroupStatus status{group.status.load(std::memory_order_acquire)};
        if (status.state() == format::GroupState::forming && status.gates() &&
            !before(report.tail,
                    group.low_water_mark(std::memory_order_acquire) + report.capacity)) {
            return "producers wait for a group that is being joined" + note_on_registry(memory);
        }
    }
    return {};
}

/// The reliable group that is furthest behind, if it is behind by the whole ring.
GroupReport* find_blocking_group(ChannelReport& report) {
    GroupReport* slowest = nullptr;
    for (GroupReport& group : report.groups) {
        if (!group.reliable) continue;
        if (slowest == nullptr || before(group.settled_below, slowest->settled_below)) {
            slowest = &group;
        }
    }
    const bool blocks =
        slowest != nullptr && !before(report.tail, slowest->settled_below + report.capacity);
    return blocks ? slowest : nullptr;
}

std::string describe_blocking_group(const ChannelMemory& memory, const ChannelReport& report,
                                    const GroupReport& group) {
    std::string sentence = "producers wait for " + name_of(group, report.participants);
    if (group.members == 0) {
        return sentence + ", which has no members" +
               (group.durable ? std::string() : note_on_registry(memory));
    }
    if (!group.leases.empty()) {
        const LeaseReport& lease = group.leases.front();
        const bool is_dead_letter =
            lease.kind == LeaseKind::dead_rejected || lease.kind == LeaseKind::dead_exhausted;
        // Nobody's: who has one is about to bury it, and holds it up like any other message.
        if (is_dead_letter && lease.member < 0) {
            return sentence + ": " + std::to_string(group.dead_pending) +
                   (group.dead_pending == 1 ? " dead letter waits" : " dead letters wait") +
                   " for the channel " + group.dead_letter;
        }
        if (const ParticipantReport* member = find_participant(report, lease.member)) {
            sentence +=
                ": member " + member->title() + " holds message " + std::to_string(lease.position);
            if (member->last_received_ns == 0) return sentence;
            // Which may have been another message since.
            return sentence + " and received last " +
                   duration(os::elapsed(member->last_received_ns, report.sampled_at_ns)) + " ago";
        }
    }
    for (const ParticipantReport& member : report.participants) {
        if (member.group_index == static_cast<int>(group.index) && member.is_stopped()) {
            return sentence + ": member " + member.title() + " is stopped";
        }
    }
    return sentence;
}

/// The one thing that holds the channel up, if something does.
std::string find_blocker(const ChannelMemory& memory, ChannelReport& report) {
    std::string cause;
    for (const GroupReport& group : report.groups) {
        cause = find_stopped_claim(memory, report, group.position, "readers");
        if (!cause.empty()) return cause;
    }
    cause = find_stopped_claim(memory, report, report.tail - memory.capacity(), "producers");
    if (cause.empty()) cause = find_forming_group(memory, report);
    if (!cause.empty()) return cause;
    GroupReport* group = find_blocking_group(report);
    if (group == nullptr) return {};
    group->blocks_producers = true;
    return describe_blocking_group(memory, report, *group);
}

}  // namespace

unsigned ChannelReport::producers() const {
    return static_cast<unsigned>(std::count_if(
        participants.begin(), participants.end(),
        [](const auto& participant) { return participant.alive && participant.group_index < 0; }));
}

const GroupReport* ChannelReport::find_group(const std::string& group) const {
    const auto found = std::find_if(groups.begin(), groups.end(), [&](const GroupReport& each) {
        return !each.subscriber && each.name == group;
    });
    return found == groups.end() ? nullptr : &*found;
}

char ProcessStates::of(std::int32_t pid) {
    const auto [entry, is_new] = states_.try_emplace(pid);
    if (is_new) entry->second = os::process_state(pid);
    return entry->second;
}

std::string ParticipantReport::title() const {
    return name + " (pid " + std::to_string(pid) +
           (same_pid_namespace ? ")" : " in another PID namespace)");
}

Inspector::Inspector(const std::string& channel, bool allow_foreign_owner)
    : memory_(protocol::watch_channel(channel, allow_foreign_owner)),
      own_namespace_(os::this_process().pid_namespace) {}

/// What is computed from words and counters that were not read at one instant is wrong by a little
/// (format::GroupCounters), now this way and now that. Who takes rates of it must not see it
/// shrink.
void Inspector::keep_from_going_back(GroupReport& group) {
    if (shown_.size() <= group.index) shown_.resize(group.index + 1);
    Shown& shown = shown_[group.index];
    if (shown.incarnation != group.incarnation) shown = {.incarnation = group.incarnation};
    group.delivered = shown.delivered = std::max(shown.delivered, group.delivered);
    group.settled = shown.settled = std::max(shown.settled, group.settled);
    group.acked = shown.acked = std::max(shown.acked, group.acked);
}

ChannelReport Inspector::sample() {
    ProcessStates processes;
    return sample(processes);
}

ChannelReport Inspector::sample(ProcessStates& processes) {
    const ChannelMemory& memory = *memory_;
    memory.check_fork();
    // Who watches must survive what would end those that take part: to read what is not there any
    // more raises SIGBUS.
    const ChannelMemory::ObjectState object = memory.object_state();
    if (object.size < memory.layout().object_size) {
        throw Error(Errc::corrupt, memory.name(),
                    "the object was truncated to " + std::to_string(object.size) + " of " +
                        std::to_string(memory.layout().object_size) + " bytes",
                    "remove the channel and create it again");
    }
    const format::Preamble& preamble = memory.preamble();
    ChannelReport report;
    report.name = memory.name();
    report.channel_id = preamble.channel_id;
    report.sampled_at_ns = os::now();
    report.capacity = memory.capacity();
    report.inline_size = memory.layout().slot_size - format::slot_header_size;
    report.region_size = memory.layout().region_size == 0
                             ? 0
                             : memory.layout().region_size - format::region_allowance;
    report.object_bytes = memory.layout().object_size;
    report.reserved_bytes = object.reserved_bytes;
    report.temporary = preamble.temporary != 0;
    report.removed = memory.is_removed() || object.unlinked;
    report.type_name = preamble.type_name;
    report.first = preamble.first_position;

    if (memory.participants_used() > 0) {
        fetch_all(&memory.participant(0), memory.participants_used() * sizeof(Participant));
    }
    if (memory.groups_used() > 0) fetch_all(&memory.group(0), sizeof(Group));
    const unsigned participants_used = memory.participants_used();
    report.participants.reserve(participants_used);
    for (unsigned i = 0; i < participants_used; ++i) {
        const Participant& entry = memory.participant(i);
        // Counters stay with the entry, whoever has it now.
        report.published += entry.published.load(relaxed);
        report.published_bytes += entry.published_bytes.load(relaxed);
        report.aborted += entry.aborted.load(relaxed);
        if (auto participant = report_participant(memory, i, own_namespace_, processes)) {
            report.participants.push_back(std::move(*participant));
        }
    }
    std::vector<std::uint64_t> held(participants_used);
    report.groups.reserve(memory.groups_used());
    for (unsigned i = 0; i < memory.groups_used(); ++i) {
        if (i + 1 < memory.groups_used()) fetch_all(&memory.group(i + 1), sizeof(Group));
        const GroupStatus status{memory.group(i).status.load(std::memory_order_acquire)};
        if (!status.is_active()) continue;
        report.groups.push_back(
            report_group(memory, i, status, report.participants, held, report.sampled_at_ns));
        keep_from_going_back(report.groups.back());
    }
    for (ParticipantReport& participant : report.participants)
        participant.leases_held = held[participant.index];
    report.tail = find_tail(memory);
    report.closed = protocol::is_closed_at(memory.ring(), report.tail);
    report.oldest_retained = protocol::oldest_whole(memory, report.tail);
    report.blocked_by = find_blocker(memory, report);
    return report;
}

ChannelReport inspect(const std::string& channel, bool allow_foreign_owner) {
    return Inspector(channel, allow_foreign_owner).sample();
}

SharedMemorySpace shared_memory_space() {
    const os::Space space = os::space();
    return {.total = space.total, .free = space.free};
}

}  // namespace ipc::inline v1
