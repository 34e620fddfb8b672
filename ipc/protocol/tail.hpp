#pragma once

// The tail: the first position nobody claimed. Claims are contiguous (a producer claims p + 1 only
// after it saw p claimed), so "claimed" is monotone along the ring and the tail is found by
// bisection from any position that is not beyond it.

#include "ipc/protocol/channel_memory.hpp"

namespace ipc::inline v1::protocol {

/// Whether the channel ends at `position`.
inline bool is_closed_at(const Ring& ring, Position position) {
    const SlotState state{ring.at(position).state.load(std::memory_order_acquire)};
    return state.is_at(position) && state.phase() == Phase::closed;
}

/// Whether `position` was claimed; the mark that closes the channel does not count.
inline bool is_taken(const Ring& ring, Position position) {
    const SlotState state{ring.at(position).state.load(std::memory_order_acquire)};
    const Position at = state.position(position);
    if (at == position) return state.phase() != Phase::closed && state.phase() != Phase::free;
    return before(position, at);
}

/// Exact at some moment during the call. O(log capacity).
inline Position find_tail(const Ring& ring, Position hint) {
    for (int attempts = 0; attempts < 64; ++attempts) {
        const SlotState state{ring.at(hint).state.load(std::memory_order_acquire)};
        const Position at = state.position(hint);
        if (before(at, hint) || !is_taken(ring, at)) return later_of(at, hint);
        Position taken = at;
        Position open = at + ring.capacity();  // the same slot, and it held `at` a moment ago
        while (open - taken > 1) {
            const Position middle = taken + (open - taken) / 2;
            (is_taken(ring, middle) ? taken : open) = middle;
        }
        if (!is_taken(ring, open)) return open;
        hint = open;
    }
    return hint;  // producers outrun this reader: a hint is all there is
}

inline Position find_tail(const ChannelMemory& memory) {
    return find_tail(memory.ring(), memory.header().tail.load(std::memory_order_acquire));
}

}  // namespace ipc::inline v1::protocol
