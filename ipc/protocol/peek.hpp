#pragma once

// Looking at messages without taking them.

#include <optional>

#include "ipc/protocol/channel_memory.hpp"
#include "ipc/protocol/function_ref.hpp"
#include "ipc/protocol/payload.hpp"

namespace ipc::inline v1::protocol {

struct Peeked {
    Position position = 0;
    std::uint64_t publish_time = 0;  ///< CLOCK_MONOTONIC ns; 0 when it was not stamped
    unsigned producer = 0;           ///< whose entry; another's may be there by now
    Payload payload;                 ///< a copy, made while the message was whole
};

/// Calls `visit(peeked)` for each message that is retained, the oldest first or from `from` on,
/// until it returns false. What is overwritten meanwhile, or is damaged, is left out.
IPC_API void peek(const ChannelMemory& memory, std::optional<Position> from,
                  FunctionRef<bool(const Peeked&)> visit);

}  // namespace ipc::inline v1::protocol
