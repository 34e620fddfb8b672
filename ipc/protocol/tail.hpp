#pragma once

// The tail: the first position nobody claimed. Claims are contiguous (a producer claims p + 1 only
// after it saw p claimed), so "claimed" is monotone along the ring and the tail is found by
// bisection from any position that is not beyond it.

#include <algorithm>

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

struct StartingPoint {
    Position position;
    std::uint64_t skipped;  ///< positions asked for but gone
};

/// Where somebody starts who asked for a position: at the oldest if that is gone, at the tail if no
/// message has it yet. Counted from the channel's first position, so that every value is one or the
/// other: by distance alone, one far beyond the tail would look gone.
constexpr StartingPoint start_at(Position asked, Position first, Position oldest, Position tail) {
    // Also as a number: it was never there, and comes only once the numbers start again.
    const bool is_before_first = asked < first && before(asked, first);
    const std::uint64_t place = asked - first;
    if (is_before_first || place < oldest - first) return {oldest, oldest - asked};
    return {first + std::min(place, tail - first), 0};
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
    return find_tail(memory.ring(), memory.header().tail.load(std::memory_order_relaxed));
}

}  // namespace ipc::inline v1::protocol
