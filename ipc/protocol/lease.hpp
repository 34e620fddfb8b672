#pragma once

// Leases: how the members of a group share its messages, each to be settled exactly once.
//
// Each group has one lease word for each slot (format/words.hpp). For position p of lap L:
//
//   lap L-1, settled ──take──> lap L, leased / reserved ──settle──> lap L, settled
//                                  │        ▲      │
//                              give back    │    reject, attempts used up
//                                  ▼      take     ▼
//                         returned / delayed    dead_rejected / dead_exhausted ──> settled
//
// Every arrow is one CAS of the whole word, from exactly the word that was seen: of two who try,
// one wins, and an owner that lost its lease finds out. The generation makes each word unique.
//
// The low-water mark moves over contiguous settled words of the right lap; whoever finds it movable
// moves it. EDGE settle: settling releases, moving acquires the words and releases the mark, a
// producer acquires the mark: what an owner read from a slot happened before the slot is reused.

#include "ipc/os/clock.hpp"
#include "ipc/protocol/channel_memory.hpp"

namespace ipc::inline v1::protocol {

/// The position was handed out in this group, or settled otherwise.
inline bool is_taken_or_done(const ChannelMemory& memory, Lease word, Position position) {
    return word.lap() == memory.lap_of(position);
}

/// Nobody took this position yet.
inline bool is_untouched(const ChannelMemory& memory, Lease word, Position position) {
    return word.lap() == memory.lap_of(position) - 1 && word.state() == LeaseState::settled;
}

/// Moves a group's low-water mark over what is settled; whether it moved. `status`: the group that
/// the caller means, which has leases. Wakes nobody.
IPC_API bool advance_low_water(const ChannelMemory& memory, unsigned group, GroupStatus status);

/// Lowers the hint that something was given back (or is dead-pending) at `position`.
void set_hint(std::atomic<std::uint64_t>& word, Position position);

/// From a word its owner held (or a dead owner did) to `next`, a word that somebody has to look at
/// again. The hint is set before the CAS, so that a death between the two leaves a hint too many
/// rather than one too few; and after it, since a member may clear the hint and pass the word
/// between the two. False when the word changed in the meantime. EDGE hint: who sees the second one
/// sees the word.
bool give_back(ChannelMemory& memory, unsigned group, Position position, Lease from, Lease next);

/// Due time of a delayed word; 0 when its tag does not belong to the word, which is so of no
/// word that was seen delayed (EDGE delay).
std::uint64_t deadline_of(const ChannelMemory& memory, unsigned group, Position position,
                          Lease word);
/// Sets the deadline of the word `next`, provided that the lease word is still `owned`: a late
/// owner must not overwrite the deadline of its successor.
void set_deadline(const ChannelMemory& memory, unsigned group, Position position, Lease owned,
                  Lease next, std::uint64_t milliseconds);
/// When the limit of a held lease is over. One whose owner was stopped before it set a deadline
/// gets one from now on.
IPC_API std::uint64_t end_of_lease(const ChannelMemory& memory, unsigned group, Position position,
                                   Lease word, std::uint64_t limit_ms);
/// No delayed message of the group is due before, CLOCK_MONOTONIC ns; for ever when there is none.
os::Nanoseconds next_due_at(const Group& group);
/// Lowers that time.
void note_due(Group& group, std::uint64_t milliseconds);

/// Settles a position that has no message (its producer died); whether this call did it.
bool settle_aborted(ChannelMemory& memory, unsigned group, Position position);

/// Whether a living member waits for its next message.
bool is_waiting(const ChannelMemory& memory, unsigned member);

/// Whether every position of the group below `end` is settled, or held by `self`, or waits for its
/// dead letter, or (with automatic acknowledgement) is held by a member that waits itself: then
/// nothing will be handed to `self` any more.
bool is_finished(const ChannelMemory& memory, unsigned group, Position end, unsigned self);

/// After a position was settled: on a closed channel, members that wait for nothing else may end.
IPC_API void wake_if_finished(ChannelMemory& memory, unsigned group);

/// Calls `visit(position, word)` for every word of the window that was handed out; returns its end:
/// the first that nobody took, from the cursor on. A word of a later lap is passed over wherever it
/// stands: the window moved on since, and words behind it may still be of this one.
template <class Visit>
Position for_each_lease(const ChannelMemory& memory, unsigned group_index, Visit&& visit) {
    const Group& group = memory.group(group_index);
    const Position cursor = group.cursor.load(std::memory_order_acquire);
    const Position low = group.low_water_mark(std::memory_order_acquire);
    Position position = low;
    for (; position - low < memory.capacity(); ++position) {
        const Lease word{memory.lease(group_index, position).load(std::memory_order_acquire)};
        if (is_taken_or_done(memory, word, position)) {
            visit(position, word);
        } else if (!before(position, cursor) && is_untouched(memory, word, position)) {
            break;
        }
    }
    return position;
}

}  // namespace ipc::inline v1::protocol
