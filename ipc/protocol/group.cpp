#include "ipc/protocol/group.hpp"

#include <algorithm>
#include <limits>

#include "ipc/os/clock.hpp"
#include "ipc/protocol/lease.hpp"
#include "ipc/protocol/limit.hpp"
#include "ipc/protocol/recovery.hpp"
#include "ipc/protocol/tail.hpp"
#include "ipc/protocol/wait.hpp"

namespace ipc::inline v1::protocol {
namespace {

using format::GroupState;
using format::is_active;
using format::is_producer;
using format::Role;
using format::role_of;

constexpr auto relaxed = std::memory_order_relaxed;

/// Touches and locks a group's block, as this process's options ask.
void make_group_resident(const ChannelMemory& memory, unsigned index) {
    about(memory.name(), "preparing a group's memory", [&] {
        memory.make_resident(reinterpret_cast<const std::byte*>(&memory.group(index)),
                             memory.layout().group_stride, true);
    });
}

/// What a group and all its members agree on, as its entry keeps it.
struct Policies {
    std::uint32_t flags;
    std::uint32_t max_attempts;
    std::uint32_t lease_limit_ms;
    std::string dead_letter;
    bool operator==(const Policies&) const = default;
};

Policies policies_of(const GroupOptions& options) {
    return {.flags = (options.delivery == Delivery::reliable ? GroupStatus::reliable : 0) |
                     (options.lifetime == Lifetime::durable ? GroupStatus::durable : 0) |
                     (options.ack == Ack::manual ? GroupStatus::manual_ack : 0),
            .max_attempts = options.max_attempts,
            .lease_limit_ms = static_cast<std::uint32_t>(options.lease_limit.count()),
            .dead_letter = options.dead_letter};
}

Policies policies_of(const Group& group) {
    return {.flags = GroupStatus{group.status.load(std::memory_order_acquire)}.flags(),
            .max_attempts = group.max_attempts.load(relaxed),
            .lease_limit_ms = group.lease_limit_ms.load(relaxed),
            .dead_letter = format::load_name(group.dead_letter)};
}

std::string describe(const Policies& policies) {
    return std::string(policies.flags & GroupStatus::reliable ? "reliable" : "lossy") +
           (policies.flags & GroupStatus::durable ? ", durable" : ", ephemeral") +
           (policies.flags & GroupStatus::manual_ack ? ", manual ack" : ", automatic ack") +
           ", max_attempts " + std::to_string(policies.max_attempts) + ", lease_limit " +
           std::to_string(policies.lease_limit_ms) + " ms, dead letters to " +
           (policies.dead_letter.empty() ? "nowhere" : "'" + policies.dead_letter + "'");
}

void check_same_policies(const ChannelMemory& memory, const Group& group, const std::string& name,
                         const Policies& wanted) {
    const Policies have = policies_of(group);
    if (have == wanted) return;
    throw Error(Errc::options_differ, memory.name(),
                "group " + name + " exists with other policies: " + describe(have) +
                    "; asked for " + describe(wanted),
                "join with the group's policies, or remove the group first");
}

/// An entry nobody uses: neither a group nor members of a former one.
unsigned find_free_group(ChannelMemory& memory) {
    const unsigned used = memory.groups_used();
    for (unsigned i = 0; i < used; ++i) {
        const GroupStatus status{memory.group(i).status.load(std::memory_order_acquire)};
        if (status.state() == GroupState::free && !has_members(memory, i)) return i;
    }
    if (used == memory.layout().max_groups) {
        throw Error(Errc::limit_reached, memory.name(),
                    "all " + std::to_string(used) + " group entries are in use",
                    "create the channel with a larger max_groups, or remove groups");
    }
    memory.reserve(memory.layout().groups_offset + used * memory.layout().group_stride,
                   memory.layout().group_stride, "reserving a group entry");
    memory.header().groups_used.store(used + 1, std::memory_order_release);
    return used;
}

/// Marks the lease words of [from, end) settled, so that they count as done. Generations go on from
/// those of a former group: a recoverer that was stopped with one of its words in hand finds none
/// like it.
void settle_range(const ChannelMemory& memory, unsigned group, Position from, Position end) {
    for (Position position = from; position != end; ++position) {
        auto& lease = memory.lease(group, position);
        const Lease former{lease.load(relaxed)};
        const Lease word = Lease::make(memory.lap_of(position), 0, former.generation() + 1,
                                       format::no_participant, LeaseState::settled);
        memory.deadline(group, position).store(0, relaxed);
        lease.store(word.bits, std::memory_order_release);
    }
}

/// Figures are a group's own: a new one starts at zero.
void reset_counters(Group& group) {
    format::GroupCounters& counters = group.counters;
    for (auto* counter :
         {&counters.redelivered, &counters.returned, &counters.expired, &counters.rejected,
          &counters.dead_lettered, &counters.dropped, &counters.aborted, &counters.skipped,
          &counters.purged, &counters.not_understood, &counters.passed_over, &counters.recovered}) {
        counter->store(0, relaxed);
    }
    for (auto* histogram : {&group.service_time, &group.response_time}) {
        for (auto& count : histogram->counts)
            count.store(0, relaxed);
        histogram->sum.store(0, relaxed);
    }
}

/// Makes a group out of a free entry. `attach_first_member` runs once the entry's incarnation is
/// known and before the group becomes active, so that an ephemeral group is never seen without its
/// first member.
template <class AttachFirstMember>
void form_group(ChannelMemory& memory, unsigned index, const Policies& policies,
                const std::string& name, const Start& from, Membership& membership,
                AttachFirstMember&& attach_first_member) {
    Group& group = memory.group(index);
    const std::uint32_t incarnation =
        GroupStatus{group.status.load(std::memory_order_acquire)}.incarnation() + 1;
    const bool reliable = (policies.flags & GroupStatus::reliable) != 0;
    const bool leases = reliable && (policies.flags & GroupStatus::anonymous) == 0;

    // The conservative low-water mark: nothing that is whole now may be overwritten.
    const Position low = oldest_whole(memory, memory.header().tail.load(std::memory_order_relaxed));
    if (leases) settle_range(memory, index, low - memory.capacity(), low);
    group.max_attempts.store(policies.max_attempts, relaxed);
    group.lease_limit_ms.store(policies.lease_limit_ms, relaxed);
    group.created_at.store(os::wall_clock(), relaxed);
    format::store_name(group.name, name);
    format::store_name(group.dead_letter, policies.dead_letter);
    reset_counters(group);
    group.start.store(low, relaxed);
    group.cursor.store(low, relaxed);
    const auto mark = [incarnation](Position position) {
        return format::LowWater::make(position, incarnation).bits;
    };
    group.low_water.store(mark(low), std::memory_order_release);  // after the words it guards
    group.returned_hint.store(format::Hint::none().bits, relaxed);
    group.dead_pending_hint.store(format::Hint::none().bits, relaxed);
    group.next_due.store(~std::uint64_t{0}, relaxed);
    // EDGE gate: a producer that sees the gate sees its low-water mark.
    group.status.store(GroupStatus::make(incarnation, policies.flags, GroupState::forming).bits,
                       std::memory_order_release);
    const Position oldest = count_join(memory);

    Position start = oldest;
    if (from.kind == Start::Kind::latest) {
        start = later_of(find_tail(memory), oldest);
    } else if (from.kind == Start::Kind::position) {
        const Position tail = later_of(find_tail(memory), oldest);
        const StartingPoint point =
            start_at(from.position, memory.preamble().first_position, oldest, tail);
        start = point.position;
        membership.skipped = point.skipped;
        group.counters.skipped.fetch_add(point.skipped, relaxed);
    }
    // `low` may be laps behind by now. Every word becomes "settled before start"; a producer that
    // moves the mark meanwhile does so by CAS from an older value, and not beyond start.
    if (leases) settle_range(memory, index, start - memory.capacity(), start);
    group.low_water.store(mark(start), std::memory_order_release);
    group.start.store(start, relaxed);
    group.cursor.store(start, relaxed);
    membership.group = index;
    membership.status = GroupStatus::make(incarnation, policies.flags, GroupState::active);
    try {
        attach_first_member(incarnation);
    } catch (...) {
        end_group(memory, index);
        throw;
    }
    group.status.store(membership.status.bits, std::memory_order_release);
}

}  // namespace

Membership join_group(ChannelMemory& memory, const std::string& name, const GroupOptions& options,
                      FunctionRef<void()> check) {
    memory.check_fork();
    check_group_name(memory.name(), name);
    const auto refuse = [&](const char* what, const char* remedy) {
        throw Error(Errc::bad_options, memory.name(), "group " + name + ": " + what, remedy);
    };
    if (options.delivery == Delivery::lossy &&
        (options.ack == Ack::manual || options.max_attempts != 0 ||
         options.lease_limit.count() != 0 || !options.dead_letter.empty())) {
        refuse("a lossy group has no acknowledgements, attempts, lease limits or dead letters",
               "make it reliable, or drop those options");
    }
    if (options.max_attempts > 250) refuse("max_attempts is above 250", "choose 0 to 250");
    if (options.lease_limit.count() < 0 ||
        options.lease_limit.count() > std::numeric_limits<std::uint32_t>::max()) {
        refuse("lease_limit is out of range", "choose 0 to 49 days");
    }

    const Policies policies = policies_of(options);
    const RegistryLock lock = RegistryLock::take(memory);
    tidy_completely(memory);
    Membership membership;
    if (const int found = find_group(memory, name); found >= 0) {
        membership.group = static_cast<unsigned>(found);
        const Group& group = memory.group(membership.group);
        check_same_policies(memory, group, name, policies);
        check();
        make_group_resident(memory, membership.group);
        membership.status = {group.status.load(std::memory_order_acquire)};
        membership.attachment =
            fill_entry(memory, Role::member, membership.group, membership.status.incarnation(),
                       options.participant.name);
        return membership;
    }
    const unsigned index = find_free_group(memory);
    form_group(
        memory, index, policies, name, options.from, membership, [&](std::uint32_t incarnation) {
            // The group is seen before others are looked at: of two joins that exclude each other,
            // at least one finds the other's group.
            std::atomic_thread_fence(std::memory_order_seq_cst);
            check();
            make_group_resident(memory, index);
            membership.attachment =
                fill_entry(memory, Role::member, index, incarnation, options.participant.name);
        });
    return membership;
}

Membership join_alone(ChannelMemory& memory, const SubscribeOptions& options) {
    memory.check_fork();
    const RegistryLock lock = RegistryLock::take(memory);
    tidy_completely(memory);
    const unsigned index = find_free_group(memory);
    Policies policies{};
    policies.flags = GroupStatus::anonymous |
                     (options.delivery == Delivery::reliable ? GroupStatus::reliable : 0);
    Membership membership;
    form_group(
        memory, index, policies, "", options.from, membership, [&](std::uint32_t incarnation) {
            make_group_resident(memory, index);
            membership.attachment =
                fill_entry(memory, Role::subscriber, index, incarnation, options.participant.name);
        });
    return membership;
}

int find_group(const ChannelMemory& memory, const std::string& name) {
    const unsigned used = memory.groups_used();
    for (unsigned i = 0; i < used; ++i) {
        const Group& group = memory.group(i);
        const GroupStatus status{group.status.load(std::memory_order_acquire)};
        if (status.is_active() && !status.has(GroupStatus::anonymous) &&
            format::load_name(group.name) == name) {
            return static_cast<int>(i);
        }
    }
    return -1;
}

namespace {

std::uint64_t purge_lossy(ChannelMemory& memory, Group& group, Position tail) {
    format::GroupCounters& counters = group.counters;
    std::uint64_t purged = 0;
    Position cursor = group.cursor.load(std::memory_order_acquire);
    // Members only move it forward; the bound is for what damage or malice does.
    for (Position turns = 0; before(cursor, tail) && turns < 2 * memory.capacity(); ++turns) {
        // Nobody can get any more what was overwritten: that is one step, however much it is.
        const Position next = later_of(cursor + 1, tail - memory.capacity());
        const std::uint64_t positions = next - cursor;
        counters.passed_over.fetch_add(positions, relaxed);
        if (group.cursor.compare_exchange_strong(cursor, next, std::memory_order_acq_rel)) {
            counters.purged.fetch_add(positions, relaxed);
            purged += positions;
            cursor = next;
        } else {
            counters.passed_over.fetch_sub(positions, relaxed);
        }
    }
    return purged;
}

std::uint64_t purge_leases(ChannelMemory& memory, unsigned index, GroupStatus status,
                           Position tail) {
    Group& group = memory.group(index);
    std::uint64_t purged = 0;
    const Position low = group.low_water_mark(std::memory_order_acquire);
    for (Position position = low; before(position, tail) && position - low < memory.capacity();
         ++position) {
        auto& lease = memory.lease(index, position);
        Lease word{lease.load(std::memory_order_acquire)};
        const bool untouched = is_untouched(memory, word, position);
        const bool waiting =
            untouched ||
            (is_taken_or_done(memory, word, position) &&
             (word.state() == LeaseState::returned || word.state() == LeaseState::delayed));
        if (!waiting) continue;
        const Lease settled =
            Lease::make(memory.lap_of(position), word.attempt(), word.generation() + 1,
                        format::no_participant, LeaseState::settled);
        if (lease.compare_exchange_strong(word.bits, settled.bits, std::memory_order_acq_rel)) {
            group.counters.purged.fetch_add(1, relaxed);
            if (untouched) group.counters.passed_over.fetch_add(1, relaxed);
            ++purged;
        }
    }
    // Whoever moved the mark: a producer that did so on its way past may wake nobody.
    advance_low_water(memory, index, status);
    wake_producers(memory, memory.capacity());
    wake_if_finished(memory, index);
    return purged;
}

}  // namespace

/// Message by message, and each counted at once (format::GroupCounters): one that is killed on the
/// way leaves at most one that is counted wrongly, however many there were.
std::uint64_t purge_group(ChannelMemory& memory, unsigned index) {
    Group& group = memory.group(index);
    const GroupStatus status{group.status.load(std::memory_order_acquire)};
    const Position tail = find_tail(memory);
    return status.has(GroupStatus::reliable) ? purge_leases(memory, index, status, tail)
                                             : purge_lossy(memory, group, tail);
}

void end_group(ChannelMemory& memory, unsigned index) {
    Group& group = memory.group(index);
    const GroupStatus status{group.status.load(std::memory_order_acquire)};
    // EDGE end: who reuses a slot the group kept has seen this word, so a member that read anything
    // overwritten sees it as well.
    group.status.store(
        GroupStatus::make(status.incarnation(), status.flags(), GroupState::free).bits,
        std::memory_order_release);
    wake_producers(memory, memory.capacity());  // its gate is gone
    wake_all_at(group.parking, news_bit);       // its members learn that it ended
}

bool has_members(const ChannelMemory& memory, unsigned index, unsigned except) {
    const unsigned used = memory.participants_used();
    for (unsigned i = 0; i < used; ++i) {
        const Participant& entry = memory.participant(i);
        if (i != except && is_active(entry) && !is_producer(role_of(entry)) &&
            entry.group.load(relaxed) == index) {
            return true;
        }
    }
    return false;
}

}  // namespace ipc::inline v1::protocol
