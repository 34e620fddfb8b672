#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <utility>

#include "ipc/base/status.hpp"
#include "ipc/batch.hpp"
#include "ipc/message.hpp"
#include "ipc/message_type.hpp"
#include "ipc/protocol/lossy_reader.hpp"
#include "ipc/protocol/patience.hpp"

namespace ipc::inline v1 {

template <Carriable T>
class Channel;

/// Receives messages: a member of a named group, or a subscriber. Move-only; one thread at a time.
/// When the process dies, what it held goes to the other members; a subscriber's position ends with
/// it. Once moved from, it can only be assigned to, or destroyed.
///
/// It takes part, and a reliable subscriber holds producers up, until the last of its messages is
/// gone, too. That may take up to 10 s where another process is stopped while it attaches or
/// leaves.
template <Carriable T = std::byte>
class Consumer {
public:
    Consumer(Consumer&& other) noexcept : reader_(std::exchange(other.reader_, nullptr)) {}
    /// What this one was ends now: a reliable one that nobody reads would fill the ring.
    Consumer& operator=(Consumer&& other) noexcept {
        Consumer taken(std::move(other));
        std::swap(reader_, taken.reader_);
        return *this;
    }
    ~Consumer() {
        if (reader_ != nullptr) reader_->drop();
    }

    /// The next message; waits for one. Ends only with ok, closed, interrupted or removed. `closed`
    /// comes after every message was delivered; in a group after every message was settled, except
    /// those that this member, or (with automatic acknowledgement) another one that waits itself,
    /// still holds. A requested stop ends a wait: a message that is there is received all the same.
    Message<T> receive(std::stop_token stop = {}) {
        return {*reader_, [&] { return protocol::Patience::for_ever(std::move(stop)); }};
    }
    /// The same, waiting at most `span`: also timed_out.
    template <class Rep, class Period>
    Message<T> receive_for(std::chrono::duration<Rep, Period> span, std::stop_token stop = {}) {
        return {*reader_, [&] { return protocol::Patience::within(span, std::move(stop)); }};
    }
    /// The same, never waiting: also empty.
    Message<T> try_receive() { return Message<T>(*reader_); }

    /// Up to `most` messages, 4096 at the utmost; waits for the first only.
    Batch<T> receive_batch(std::size_t most, std::stop_token stop = {}) {
        return {*reader_, most, [&] { return protocol::Patience::for_ever(std::move(stop)); }};
    }
    template <class Rep, class Period>
    Batch<T> receive_batch_for(std::size_t most, std::chrono::duration<Rep, Period> span,
                               std::stop_token stop = {}) {
        return {*reader_, most, [&] { return protocol::Patience::within(span, std::move(stop)); }};
    }
    Batch<T> try_receive_batch(std::size_t most) { return {*reader_, most}; }

    /// Lossy readers: the next message in place, without taking it. A producer may overwrite it at
    /// any moment: use what was read only if intact() says so afterwards. not_leased when the
    /// reader is not lossy.
    Message<T> try_peek() {
        Message<T> message(Status::not_leased);
        if (reader_->kind() != protocol::ReaderKind::lossy) return message;
        message.status_ = static_cast<protocol::LossyReader&>(*reader_).peek(message.received_);
        message.peeked_ = true;
        message.adopt(*reader_);
        return message;
    }

    /// Positions this reader missed: overwritten before it came, or before it started.
    std::uint64_t skipped() const { return reader_->skipped(); }
    /// The position this reader looks at next.
    Position position() const { return reader_->position(); }

private:
    friend class Channel<T>;

    explicit Consumer(protocol::Reader* reader) : reader_(reader) {}

    protocol::Reader* reader_;
};

}  // namespace ipc::inline v1
