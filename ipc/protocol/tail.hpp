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

/// How many messages stand ready from `from` on, without one in between that is only claimed. At
/// most 64: more are never woken for at once.
inline int count_ready(const Ring& ring, Position from) {
    constexpr Position most = 64;
    int ready = 0;
    for (Position position = from; position - from < most; ++position) {
        const SlotState state{ring.at(position).state.load(std::memory_order_relaxed)};
        if (state.is_ready_at(position)) {
            ++ready;
        } else if (!state.is_at(position) || state.phase() != Phase::aborted) {
            break;
        }
    }
    return ready;
}

/// For how many messages a shared producer owes wake-ups that published `own` ones, the last of
/// them right before `end`: also for those of others that stand ready among and behind them.
/// Members that were woken for these found a claim of this producer's, and sleep again.
inline int count_owed(const Ring& ring, Position end, unsigned producer, int own) {
    // Of two who publish side by side, the later one at least sees the other's message.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    constexpr Position most = 64;
    Position first = end;
    for (int seen = 0; seen < own && end - first < most;) {
        const SlotState state{ring.at(--first).state.load(std::memory_order_relaxed)};
        if (state.producer() == producer) ++seen;
    }
    return std::max(own, count_ready(ring, first));
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
