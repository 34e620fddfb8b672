#pragma once

// The limit: how far producers may write.
//
//   limit = min(low-water of all gating groups + capacity, tail + step)
//
// (Further than tail + step, up to the gates, where a producer needs bytes of its region again:
// raise_limit.)
//
// A producer writes position p only while p < limit, so every message from limit - capacity on is
// whole: its slot, and its payload, are not overwritten. This one word is what a joiner starts from
// and what a reader without a gate checks after it copied. The word only grows. It is cached by
// each producer and raised once every `step` messages. The groups are scanned only when what the
// last scan found is used up, nearly once a lap while they keep up, so that the cost of a message
// does not depend on their number.
//
// EDGE limit: a producer raises the word, executes a release fence, then overwrites (or loads the
// word with acquire, executes the same fence, then overwrites). A reader copies, executes an
// acquire fence, then loads the word: if it copied anything that was overwritten, it sees the
// raised limit.

#include "ipc/protocol/channel_memory.hpp"
#include "ipc/protocol/look.hpp"

namespace ipc::inline v1::protocol {

/// The lowest low-water mark of the gating groups plus capacity; tail + capacity without any.
Position gate(const ChannelMemory& memory, Position tail);

/// What a producer's last scan of the groups found. Marks only grow, so it holds until a group
/// joins, which changes the limit's epoch; an epoch that came round unseen took a million joins.
struct KnownGate {
    Position position = 0;
    std::uint64_t epoch = 0;

    bool allows(Position goal, Limit limit) const {
        return limit.epoch() == epoch && !before(position, goal);
    }
};

/// Raises the limit as far as gates and retention allow; returns it. A thorough look: if that is
/// not beyond the tail, moves low-water marks first, so that a blocked producer depends on nobody
/// else's diligence.
Position refresh_limit(ChannelMemory& memory, Position tail, Look look, KnownGate& known);

/// Raises the limit to `target` at least, giving up retention; false while a gate forbids it. Moves
/// low-water marks itself as soon as that helps, so that each call finds what there is; meant to be
/// repeated while members work.
bool raise_limit(ChannelMemory& memory, Position target, KnownGate& known);

/// Called by a joiner whose entry gates already: from here on every producer that raises the limit
/// has seen the entry. Returns the oldest position that is still whole.
Position count_join(ChannelMemory& memory);

/// The oldest position whose slot and payload are whole at this moment.
inline Position oldest_whole(const ChannelMemory& memory, Position near) {
    const Limit limit{memory.header().limit.load(std::memory_order_acquire)};  // EDGE limit
    const Position first = memory.preamble().first_position;
    return later_of(limit.position(near + memory.capacity()) - memory.capacity(), first);
}

/// Pairs with EDGE limit: called after a copy of `position`, tells whether it was whole throughout.
inline bool was_whole(const ChannelMemory& memory, Position position) {
    std::atomic_thread_fence(std::memory_order_acquire);
    const Limit limit{memory.header().limit.load(std::memory_order_relaxed)};
    return !before(position + memory.capacity(), limit.position(position + memory.capacity()));
}

}  // namespace ipc::inline v1::protocol
