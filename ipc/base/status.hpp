#pragma once

#include <cstdint>
#include <string_view>

#include "ipc/export.hpp"

namespace ipc::inline v1 {

/// A message's place in its channel. Positions are one total order, count up by one and are never
/// reused in the life of a channel.
using Position = std::uint64_t;

/// The expected outcomes of an operation on a channel. They are returned, never thrown; what goes
/// wrong while a handle is set up is an `Error`, and so is the use of a handle that a process got
/// through fork.
enum class Status : std::uint8_t {
    ok,
    full,       ///< a producer's try_ function: no room now; a reader has to release messages first
    empty,      ///< try_receive: no message now
    timed_out,  ///< the deadline passed before there was room, or a message
    closed,     ///< the channel was closed, and everything published before was delivered
    interrupted,  ///< a stop was requested, or a signal arrived and the handle asked to be told
    removed,      ///< the channel or the group was removed while this handle used it
    too_large,    ///< the message exceeds what the channel was created for
    wrong_size,   ///< the message is not as long as the channel's type is large
    own_loan,     ///< waiting would never end: only this producer's own loans hold the space
    lease_lost,   ///< the lease ended (time limit, group removed): another member may have the
                  ///< message
    not_leased,   ///< there is nothing to act on: the message is settled already, or its reader has
                  ///< no leases; the loan is over; try_peek: the reader is not lossy
};

/// The status as words for a log line, for example "timed out".
IPC_API std::string_view to_string(Status status) noexcept;

/// What an operation returned: a status that converts to true when it is `ok`.
class [[nodiscard]] Outcome {
public:
    constexpr Outcome(Status status) noexcept : status_(status) {}
    constexpr explicit operator bool() const noexcept { return status_ == Status::ok; }
    constexpr Status status() const noexcept { return status_; }

private:
    Status status_;
};

/// The outcome of a send; `position` is where the message stands when the outcome is `ok`.
class [[nodiscard]] Sent : public Outcome {
public:
    constexpr Sent(Status status, Position position = 0) noexcept
        : Outcome(status), position_(position) {}
    constexpr Position position() const noexcept { return position_; }

private:
    Position position_;
};

}  // namespace ipc::inline v1
