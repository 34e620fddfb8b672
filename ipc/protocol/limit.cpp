#include "ipc/protocol/limit.hpp"

#include "ipc/protocol/lease.hpp"

namespace ipc::inline v1::protocol {

Position gate(const ChannelMemory& memory, Position tail) {
    Position lowest = tail;
    const unsigned used = memory.groups_used();
    for (unsigned i = 0; i < used; ++i) {
        const Group& group = memory.group(i);
        // EDGE gate: an entry that gates has its low-water mark. EDGE end: one that does not any
        // more was left before what it kept is reused.
        const GroupStatus status{group.status.load(std::memory_order_acquire)};
        if (!status.gates()) continue;
        // EDGE settle: what the group's readers did with the slots happened before they are reused.
        // Only this word is looked at: those next to the cursor are written for each message.
        const format::LowWater mark{group.low_water.load(std::memory_order_acquire)};
        lowest = earlier_of(lowest, mark.position(tail));
    }
    return lowest + memory.capacity();
}

namespace {

/// Calls `visit(index, status)` for each group whose gate is moved over lease words.
template <class Visit>
void for_each_moved_gate(const ChannelMemory& memory, Visit&& visit) {
    const unsigned used = memory.groups_used();
    for (unsigned i = 0; i < used; ++i) {
        const GroupStatus status{memory.group(i).status.load(std::memory_order_acquire)};
        if (status.gates() && !status.has(GroupStatus::anonymous)) visit(i, status);
    }
}

void move_low_water_marks(const ChannelMemory& memory) {
    for_each_moved_gate(memory, [&](unsigned index, GroupStatus status) {
        advance_low_water(memory, index, status);
    });
}

/// For who needs all marks at `needed`. A mark gets there only once the last word in its way is
/// settled, so that the words before, which members may be writing, are left alone until then.
void move_low_water_marks_to(const ChannelMemory& memory, Position needed) {
    for_each_moved_gate(memory, [&](unsigned index, GroupStatus status) {
        const format::LowWater mark{memory.group(index).low_water.load(std::memory_order_relaxed)};
        if (!before(mark.position(needed), needed)) return;
        const Position last = needed - 1;
        const Lease word{memory.lease(index, last).load(std::memory_order_relaxed)};
        if (is_taken_or_done(memory, word, last) && word.state() == LeaseState::settled) {
            advance_low_water(memory, index, status);
        }
    });
}

/// One attempt to go from `seen` to `goal`. On success what the caller writes next is ordered after
/// the raise (EDGE limit).
bool install(ChannelMemory& memory, Limit seen, Position goal) {
    if (!memory.header().limit.compare_exchange_strong(
            seen.bits, Limit::make(goal, seen.epoch()).bits, std::memory_order_acq_rel)) {
        return false;
    }
    std::atomic_thread_fence(std::memory_order_release);  // EDGE limit
    return true;
}

}  // namespace

Position refresh_limit(ChannelMemory& memory, Position tail, Look look, KnownGate& known) {
    bool may_move = look == Look::thorough;
    for (;;) {
        // The word is read before the groups are scanned: a join since then changes its epoch, and
        // the exchange below fails. EDGE gate: who reads the new epoch sees the entry.
        const Limit seen{memory.header().limit.load(std::memory_order_acquire)};
        const Position current = seen.position(tail);
        const Position wanted = tail + memory.step();
        if (!known.allows(wanted, seen)) known = {gate(memory, tail), seen.epoch()};
        const Position goal = earlier_of(known.position, wanted);
        if (!before(tail, later_of(current, goal)) && may_move) {
            move_low_water_marks(memory);
            may_move = false;
            continue;
        }
        if (!before(current, goal)) {
            std::atomic_thread_fence(std::memory_order_release);  // EDGE limit
            return current;
        }
        if (install(memory, seen, goal)) return goal;
    }
}

bool raise_limit(ChannelMemory& memory, Position target, KnownGate& known) {
    bool moved = false;
    for (;;) {
        const Limit seen{memory.header().limit.load(std::memory_order_acquire)};
        if (!before(seen.position(target), target)) {
            std::atomic_thread_fence(std::memory_order_release);  // EDGE limit
            return true;
        }
        if (!known.allows(target, seen)) known = {gate(memory, target), seen.epoch()};
        if (before(known.position, target)) {
            if (moved) return false;
            move_low_water_marks_to(memory, target - memory.capacity());
            moved = true;
        } else if (install(memory, seen, target)) {
            return true;
        }
    }
}

Position count_join(ChannelMemory& memory) {
    const Position near = memory.header().tail.load(std::memory_order_relaxed);
    auto& word = memory.header().limit;
    Limit seen{word.load(std::memory_order_relaxed)};
    // EDGE gate. A read-modify-write, not a barrier: it makes an exchange of a producer that
    // scanned the groups before this entry gated fail, however long ago that scan was.
    while (!word.compare_exchange_weak(seen.bits,
                                       Limit::make(seen.position(near), seen.epoch() + 1).bits,
                                       std::memory_order_acq_rel, std::memory_order_relaxed)) {
    }
    return later_of(seen.position(near) - memory.capacity(), memory.preamble().first_position);
}

}  // namespace ipc::inline v1::protocol
