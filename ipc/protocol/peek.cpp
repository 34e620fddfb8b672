#include "ipc/protocol/peek.hpp"

#include <vector>

#include "ipc/protocol/limit.hpp"
#include "ipc/protocol/tail.hpp"

namespace ipc::inline v1::protocol {

void peek(const ChannelMemory& memory, std::optional<Position> from,
          FunctionRef<bool(const Peeked&)> visit) {
    const Ring ring = memory.ring();
    const MessageShape shape = shape_of(memory);
    const Position tail = find_tail(memory);
    // A damaged limit must not make this a long loop.
    Position position = later_of(oldest_whole(memory, tail), tail - memory.capacity());
    if (from) {
        const Position first = memory.preamble().first_position;
        position = start_at(*from, first, position, tail).position;
    }
    std::vector<std::byte> copy;
    for (; before(position, tail); ++position) {
        const Slot& slot = ring.at(position);
        const SlotState state{slot.state.load(std::memory_order_acquire)};  // EDGE ready
        Payload in_place;
        if (!state.is_ready_at(position) || !locate_payload(memory, shape, slot, state, in_place)) {
            continue;
        }
        Peeked peeked;
        peeked.position = position;
        peeked.publish_time = slot.publish_time.load(std::memory_order_relaxed);
        peeked.producer = state.producer();
        const auto whole = in_place.whole();
        copy.resize(whole.size() + 1);  // an empty message has an address, too
        format::copy_out(copy.data(), whole.data(), whole.size());
        if (!was_whole(memory, position)) continue;
        peeked.payload = in_place;
        peeked.payload.body = copy.data() + in_place.extension;
        if (!visit(peeked)) return;
    }
}

}  // namespace ipc::inline v1::protocol
