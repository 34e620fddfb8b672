#pragma once

// How the interface calls a reader: as what it is, so that receiving and settling are inlined into
// the program. None of this may move out of line: a call at each poll cost a round trip 7 to 10 %.

#include "ipc/protocol/lossy_reader.hpp"
#include "ipc/protocol/member.hpp"
#include "ipc/protocol/patience.hpp"
#include "ipc/protocol/subscriber.hpp"

namespace ipc::inline v1::protocol {

/// Calls the action with the reader as what it is, if it is of one of the two hot kinds: their
/// classes are final, so that their functions can be inlined.
template <class Action>
auto as_its_kind(Reader& reader, Action&& action) {
    switch (reader.kind()) {
        case ReaderKind::subscriber: return action(static_cast<Subscriber&>(reader));
        case ReaderKind::member: return action(static_cast<Member&>(reader));
        case ReaderKind::lossy: break;
    }
    return action(reader);
}

inline void release(Reader& reader, Received& message) {
    as_its_kind(reader, [&](auto& kind) { kind.release(message); });
}
inline Status ack(Reader& reader, Received& message) {
    return as_its_kind(reader, [&](auto& kind) { return kind.ack(message); });
}
inline Status try_receive(Reader& reader, Received& message) {
    return as_its_kind(reader, [&](auto& kind) { return kind.try_receive(message); });
}
inline Status try_reserve(Reader& reader, Received& message) {
    return as_its_kind(reader, [&](auto& kind) { return kind.try_reserve(message); });
}

/// Takes a message that is there, or comes within a few looks, all of it inlined; else waits.
/// `make_patience` makes the Patience of a wait, should there be one.
template <class MakePatience>
Status receive(Reader& reader, Received& message, Taking taking, MakePatience&& make_patience) {
    Status status =
        taking == Taking::reserve ? try_reserve(reader, message) : try_receive(reader, message);
    if (status != Status::empty) return status;
    const Patience patience = make_patience();
    if (!patience.deadline.is_immediate()) {
        status = as_its_kind(
            reader, [&](auto& kind) { return reader.poll_briefly(kind, message, taking); });
    }
    return status == Status::empty ? reader.receive(message, patience, taking) : status;
}

}  // namespace ipc::inline v1::protocol
