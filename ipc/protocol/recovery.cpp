#include "ipc/protocol/recovery.hpp"

#include <algorithm>

#include "ipc/os/clock.hpp"
#include "ipc/protocol/group.hpp"
#include "ipc/protocol/lease.hpp"
#include "ipc/protocol/limit.hpp"
#include "ipc/protocol/registry.hpp"
#include "ipc/protocol/tail.hpp"
#include "ipc/protocol/wait.hpp"

namespace ipc::inline v1::protocol {
namespace {

using format::GroupState;
using format::is_active;
using format::is_producer;
using format::no_participant;
using format::Role;
using format::role_of;

/// Turns the claims of a dead producer into ABORTED slots.
void recover_claims(ChannelMemory& memory, const Ring& writable, unsigned dead) {
    for (std::uint64_t i = 0; i < memory.capacity(); ++i) {
        auto& state = writable.at(i).state;
        SlotState seen{state.load(std::memory_order_acquire)};
        if (seen.phase() != Phase::claimed || seen.producer() != dead) continue;
        const SlotState aborted = {(seen.bits & ~std::uint64_t{0xF}) |
                                   static_cast<std::uint64_t>(Phase::aborted)};
        if (state.compare_exchange_strong(seen.bits, aborted.bits, std::memory_order_acq_rel)) {
            memory.participant(dead).aborted.fetch_add(1, std::memory_order_relaxed);
        }
    }
}

/// A claim that producers have come around to: they wait for its owner.
bool is_claimed_a_lap_before_the_tail(const ChannelMemory& memory) {
    const Position tail = find_tail(memory);
    const SlotState state{memory.ring().at(tail).state.load(std::memory_order_acquire)};
    return state.phase() == Phase::claimed && state.is_at(tail - memory.capacity());
}

/// What becomes of a lease whose holder lost it.
Lease after_loss(Lease word) {
    switch (word.state()) {
        case LeaseState::leased:
            return word.to(LeaseState::returned, word.attempt(), no_participant);
        case LeaseState::reserved:  // never reached user code: not charged
            return word.to(LeaseState::returned, word.attempt() - 1, no_participant);
        default: return word.to(word.state(), word.attempt(), no_participant);
    }
}

/// Where the readers of a group go on, or less far while they do not wait.
Position next_to_hand_out(const Group& group) {
    return later_of(group.cursor.load(std::memory_order_acquire),
                    group.low_water_mark(std::memory_order_acquire));
}

/// How many members to wake: one, or as many as there are messages from `next` on, or all for the
/// end of the channel.
int members_for(const ChannelMemory& memory, Position next, bool is_end) {
    return is_end ? all_sleepers : std::max(1, count_ready(memory.ring(), next));
}

/// Everything of one group that needs looking at; whether something is in flight.
bool sweep_group(ChannelMemory& memory, unsigned index, GroupStatus status) {
    Group& group = memory.group(index);
    const std::uint32_t limit_ms = group.lease_limit_ms.load(std::memory_order_relaxed);
    const std::uint64_t now = os::now_ms();
    bool in_flight = false;
    bool available = false;
    unsigned holder = no_participant;
    std::uint64_t next_due = ~std::uint64_t{0};
    const Position end = for_each_lease(memory, index, [&](Position position, Lease word) {
        if (word.is_held()) {
            in_flight = true;
            holder = word.member();
            if (limit_ms != 0 && now >= end_of_lease(memory, index, position, word, limit_ms) &&
                give_back(memory, index, position, word, after_loss(word))) {
                group.counters.expired.fetch_add(1, std::memory_order_relaxed);
            }
        } else if (word.state() == LeaseState::returned) {
            available = true;
            if (format::Hint{group.returned_hint.load(std::memory_order_acquire)}.is_none()) {
                set_hint(group.returned_hint, position);
            }
        } else if (word.state() == LeaseState::delayed) {
            const std::uint64_t due = deadline_of(memory, index, position, word);  // EDGE delay
            if (now >= due) available = true;
            next_due = std::min(next_due, due);
        } else if (word.is_dead_pending() && word.member() == no_participant) {
            if (format::Hint{group.dead_pending_hint.load(std::memory_order_acquire)}.is_none()) {
                set_hint(group.dead_pending_hint, position);
            }
        }
    });
    if (next_due != ~std::uint64_t{0}) note_due(group, next_due);

    const Slot& slot = memory.ring().at(end);
    const SlotState state{slot.state.load(std::memory_order_acquire)};  // EDGE ready
    Position next = end;
    bool is_end = false;
    if (state.is_at(end)) {
        switch (state.phase()) {
            case Phase::claimed:
                in_flight = true;
                if (!is_abandoned(memory, slot, state)) break;
                settle_aborted(memory, index, end);
                ++next;
                available = true;
                break;
            case Phase::closed:
                // Not before it is finished: who waits for others to settle would wake each time.
                // For one that holds all the rest, and waits itself, it is.
                is_end = is_finished(memory, index, end,
                                     is_waiting(memory, holder) ? holder : no_participant);
                available |= is_end;
                break;
            default: available = true;
        }
    }
    if (advance_low_water(memory, index, status)) wake_producers(memory, memory.capacity());
    if (available && status.is_active()) {
        wake_group(memory, index, members_for(memory, next, is_end));
    }
    return in_flight;
}

/// Gives back what dead members hold; whether there is anybody dead whose entry can be freed.
bool sweep_participants(ChannelMemory& memory, unsigned self, bool repairs_slots) {
    bool found_dead = false;
    const unsigned participants = memory.participants_used();
    for (unsigned i = 0; i < participants; ++i) {
        const Participant& entry = memory.participant(i);
        if (i == self || !is_active(entry) || memory.is_alive(i)) continue;
        const Role role = role_of(entry);
        if (role == Role::member) recover_leases(memory, i);
        if (!is_producer(role) || repairs_slots) found_dead = true;
    }
    return found_dead;
}

struct Groups {
    bool in_flight = false;
    bool found_forming = false;  ///< by a joiner that may be dead
};

Groups sweep_groups(ChannelMemory& memory) {
    Groups found;
    const unsigned groups = memory.groups_used();
    for (unsigned i = 0; i < groups; ++i) {
        Group& group = memory.group(i);
        const GroupStatus status{group.status.load(std::memory_order_acquire)};
        if (status.state() == GroupState::forming) found.found_forming = true;
        if (!status.is_active()) {
            // Whoever ended it may have told nobody.
            if (status.state() == GroupState::free) wake_group(memory, i, all_sleepers);
            continue;
        }
        if (status.has(GroupStatus::reliable) && !status.has(GroupStatus::anonymous)) {
            found.in_flight |= sweep_group(memory, i, status);
            continue;
        }
        const Position next = next_to_hand_out(group);
        const Slot& slot = memory.ring().at(next);
        const SlotState state{slot.state.load(std::memory_order_acquire)};
        if (before(state.position(next), next)) continue;
        const bool claimed = state.is_at(next) && state.phase() == Phase::claimed;
        found.in_flight |= claimed;
        // Who waits for a living producer would look, and go back to sleep, at each sweep.
        if (claimed && !is_abandoned(memory, slot, state)) continue;
        const Position ready = next + (claimed ? 1 : 0);
        wake_group(memory, i, members_for(memory, ready, state.phase() == Phase::closed));
    }
    return found;
}

/// One that was refused room, or waits for it, may have missed a wake-up.
void wake_producers_if_there_is_room(ChannelMemory& memory) {
    if ((memory.header().room.announcement.load(std::memory_order_relaxed) &
         format::Announcement::pending) == 0) {
        return;
    }
    const Position tail = find_tail(memory);
    const Position room = gate(memory, tail);
    if (before(tail, room)) wake_producers(memory, room - tail);
}

}  // namespace

bool is_abandoned(const ChannelMemory& memory, const Slot& slot, SlotState seen) {
    if (seen.phase() != Phase::claimed) return false;
    if (seen.producer() < memory.participants_used() && memory.is_alive(seen.producer())) {
        return false;
    }
    return slot.state.load(std::memory_order_acquire) == seen.bits;
}

bool anything_in_flight(const ChannelMemory& memory) {
    const unsigned participants = memory.participants_used();
    for (unsigned i = 0; i < participants; ++i) {
        const Participant& entry = memory.participant(i);
        // EDGE due
        if (is_active(entry) && entry.has_leases.load(std::memory_order_acquire) != 0) return true;
    }
    if (is_claimed_a_lap_before_the_tail(memory)) return true;
    const unsigned groups = memory.groups_used();
    for (unsigned i = 0; i < groups; ++i) {
        const Group& group = memory.group(i);
        const GroupStatus status{group.status.load(std::memory_order_acquire)};
        if (!status.is_active()) continue;
        const Position next = next_to_hand_out(group);
        const SlotState state{memory.ring().at(next).state.load(std::memory_order_relaxed)};
        if (state.is_at(next) && state.phase() == Phase::claimed) return true;
    }
    return false;
}

void recover_leases(ChannelMemory& memory, unsigned dead) {
    const Participant& entry = memory.participant(dead);
    const unsigned index = entry.group.load(std::memory_order_relaxed);
    if (role_of(entry) != Role::member || index >= memory.groups_used()) return;
    Group& group = memory.group(index);
    const GroupStatus status{group.status.load(std::memory_order_acquire)};
    if (!status.has(GroupStatus::reliable) || !status.is_active() ||
        status.incarnation() != entry.group_incarnation.load(std::memory_order_relaxed)) {
        return;
    }
    for_each_lease(memory, index, [&](Position position, Lease word) {
        const bool owned = word.is_held() || word.is_dead_pending();
        if (!owned || word.member() != dead || memory.is_alive(dead)) return;  // VERDICT
        if (give_back(memory, index, position, word, after_loss(word)) && word.is_held()) {
            group.counters.recovered.fetch_add(1, std::memory_order_relaxed);
        }
    });
}

bool is_sweep_due(const ChannelMemory& memory, os::Nanoseconds now) {
    // A little later than the sentinel, which sleeps and has the time.
    // A time in the future is another clock's, or damage: that counts as never.
    const std::int64_t last = memory.header().swept_at.load(std::memory_order_relaxed);
    return last > now || last < now - fast_tick * 5 / 4;
}

void notice_removal(ChannelMemory& memory) {
    if (!memory.is_unlinked()) return;
    memory.mark_removed();
    wake_everyone(memory);
}

bool sweep(ChannelMemory& memory, unsigned self, const Ring* writable) {
    auto& swept_at = memory.header().swept_at;
    const os::Nanoseconds now = os::now();
    const os::Nanoseconds last = swept_at.load(std::memory_order_relaxed);
    swept_at.store(now, std::memory_order_relaxed);
    // At the first sweep of each second: members that only poll, and producers that are refused
    // again and again, never come to look in a wait.
    if (now / between_looks_for_removal != last / between_looks_for_removal) notice_removal(memory);
    const bool found_dead = sweep_participants(memory, self, writable != nullptr);
    const Groups groups = sweep_groups(memory);
    // Without waiting: whoever holds the registry tidies anyway.
    if (found_dead || groups.found_forming) {
        if (RegistryLock lock = RegistryLock::try_take(memory)) tidy(memory, writable);
    }
    wake_producers_if_there_is_room(memory);
    return groups.in_flight || is_claimed_a_lap_before_the_tail(memory);
}

void tidy(ChannelMemory& memory, const Ring* writable) {
    const unsigned groups = memory.groups_used();
    for (unsigned i = 0; i < groups; ++i) {
        // The registry is ours, so the joiner that was forming this group is dead.
        const GroupStatus status{memory.group(i).status.load(std::memory_order_acquire)};
        if (status.state() == GroupState::forming) end_group(memory, i);
    }
    const unsigned participants = memory.participants_used();
    for (unsigned i = 0; i < participants; ++i) {
        Participant& entry = memory.participant(i);
        if (!is_active(entry) || memory.is_alive(i)) continue;
        const Role role = role_of(entry);
        if (is_producer(role)) {
            if (writable == nullptr) continue;
            recover_claims(memory, *writable, i);
        } else {
            recover_leases(memory, i);
        }
        free_entry(memory, i);  // and the ephemeral group whose last member it was
    }
}

void tidy_completely(ChannelMemory& memory) {
    const unsigned used = memory.participants_used();
    for (unsigned i = 0; i < used; ++i) {
        const Participant& entry = memory.participant(i);
        if (!is_active(entry) || !is_producer(role_of(entry)) || memory.is_alive(i)) continue;
        const os::Mapping data = memory.map_data_writable();
        const Ring ring = memory.ring_of(data);
        tidy(memory, &ring);
        return;
    }
    tidy(memory, nullptr);
}

}  // namespace ipc::inline v1::protocol
