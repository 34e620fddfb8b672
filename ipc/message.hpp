#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "ipc/base/status.hpp"
#include "ipc/message_type.hpp"
#include "ipc/protocol/reader_kinds.hpp"

namespace ipc::inline v1 {

template <Carriable T>
class Consumer;
template <Carriable T>
class Batch;

/// A view of one received message, in place in shared memory (lossy readers: of a private copy),
/// and the right to settle it. Or, when it converts to false, the reason why there is none.
///
/// Destroyed unsettled, a message of a subscriber is released, one of a group with automatic
/// acknowledgement is acknowledged, and one with manual acknowledgement goes back to the group.
/// Move-only; belongs to its consumer's thread; may outlive the consumer's handle. Writing through
/// the view faults.
///
/// ack, nack, reject and release end the view: new messages may overwrite what text(), bytes() and
/// the object show; copy what is needed later before. So may they when a lease ends early (its time
/// limit passed, the group was removed): trust what was read before held() said true.
template <Carriable T = std::byte>
class [[nodiscard]] Message {
public:
    Message(Message&& other) noexcept
        : reader_(std::exchange(other.reader_, nullptr)),
          received_(std::move(other.received_)),
          status_(std::exchange(other.status_, Status::empty)),
          peeked_(other.peeked_) {}
    Message& operator=(Message&& other) noexcept {
        if (this != &other) {
            release();
            reader_ = std::exchange(other.reader_, nullptr);
            received_ = std::move(other.received_);
            status_ = std::exchange(other.status_, Status::empty);
            peeked_ = other.peeked_;
        }
        return *this;
    }
    ~Message() {
        if (reader_ != nullptr) release();
    }

    /// Whether there is a message.
    explicit operator bool() const noexcept { return status_ == Status::ok; }
    /// ok | empty | timed_out | closed | interrupted | removed; not_leased from try_peek of a
    /// reader that is not lossy
    Status status() const noexcept { return status_; }

    std::span<const std::byte> bytes() const noexcept { return received_.bytes(); }
    std::string_view text() const noexcept {
        return {reinterpret_cast<const char*>(received_.body), size()};
    }
    std::size_t size() const noexcept { return received_.size; }

    const T& operator*() const noexcept requires(!is_bytes<T>) {
        return *reinterpret_cast<const T*>(received_.body);
    }
    const T* operator->() const noexcept requires(!is_bytes<T>) { return &**this; }

    Position position() const noexcept { return received_.position; }
    /// 1 for a first delivery; counts deliveries to user code. Always 1 without leases.
    unsigned attempt() const noexcept {
        const unsigned attempt = received_.lease.attempt();
        return attempt == 0 ? 1 : attempt;
    }
    /// When it was published, CLOCK_MONOTONIC; 0 when this message was not stamped: busy producers
    /// stamp a sample.
    std::chrono::nanoseconds published_at() const noexcept {
        return std::chrono::nanoseconds(received_.publish_time);
    }
    /// Set on messages of a dead-letter channel.
    std::optional<Origin> origin() const {
        return protocol::find_origin(received_.extension_headers());
    }

    /// Done: the group does not see it again. lease_lost when it is another's by now; not_leased
    /// when it was settled already, or is one of try_peek.
    Outcome ack() {
        return settle([](protocol::Reader& reader, protocol::Received& message) {
            return protocol::ack(reader, message);
        });
    }
    /// Gives it back for another attempt, not before `delay` has passed. lease_lost as above;
    /// not_leased when it was settled already, or is not one of a reliable group.
    Outcome nack(std::chrono::milliseconds delay = {}) {
        return settle_leased([delay](protocol::Reader& reader, protocol::Received& message) {
            return reader.nack(
                message, static_cast<std::uint64_t>(std::max<std::int64_t>(0, delay.count())));
        });
    }
    /// No further attempt: to the dead-letter channel, or dropped and counted. Else as nack.
    Outcome reject() {
        return settle_leased([](protocol::Reader& reader, protocol::Received& message) {
            return reader.reject(message);
        });
    }
    /// Starts the lease's time limit anew; lease_lost when it is over, or another has the message.
    Outcome renew() { return reader_ == nullptr ? Status::not_leased : reader_->renew(received_); }
    /// Whether this consumer still has the right to work on the message. After its time limit it
    /// has not, though ack() still succeeds until another member has the message.
    bool held() const { return reader_ != nullptr && reader_->held(received_); }
    /// For a message of try_peek: whether everything read from it so far was whole.
    bool intact() const {
        if (reader_ == nullptr) return false;
        return !peeked_ || static_cast<const protocol::LossyReader&>(*reader_).intact(received_);
    }
    /// Ends the message before its object does.
    void release() {
        if (reader_ == nullptr) return;
        protocol::Reader& reader = *std::exchange(reader_, nullptr);
        // In a forked child the message is still the parent's.
        if (!peeked_ && !reader.is_inherited()) protocol::release(reader, received_);
        reader.drop();
    }

private:
    friend class Consumer<T>;
    friend class Batch<T>;

    struct Reserved {};

    explicit Message(Status status) noexcept : status_(status) {}
    explicit Message(protocol::Reader& reader) : status_(protocol::try_receive(reader, received_)) {
        adopt(reader);
    }
    /// For a batch: one that was taken, and one to be taken.
    Message(protocol::Reader& reader, const protocol::Received& received)
        : received_(received), status_(Status::ok) {
        adopt(reader);
    }
    Message(protocol::Reader& reader, Reserved)
        : status_(protocol::try_reserve(reader, received_)) {
        adopt(reader);
    }
    template <class MakePatience>
    Message(protocol::Reader& reader, MakePatience&& make_patience)
        : status_(protocol::receive(reader, received_, protocol::Taking::hand_out, make_patience)) {
        adopt(reader);
    }
    void adopt(protocol::Reader& reader) noexcept {
        if (status_ != Status::ok) return;
        reader_ = &reader;
        reader.retain();
    }

    template <class Action>
    Outcome settle(Action&& action) {
        if (reader_ == nullptr || peeked_) return Status::not_leased;
        reader_->memory()->check_fork();
        struct Reference {  // dropped also when the action throws
            protocol::Reader& reader;
            ~Reference() { reader.drop(); }
        };
        const Reference reference{*std::exchange(reader_, nullptr)};
        return action(reference.reader, received_);
    }
    /// What only leases can do leaves a message without one as it is.
    template <class Action>
    Outcome settle_leased(Action&& action) {
        if (reader_ == nullptr || reader_->kind() != protocol::ReaderKind::member) {
            return Status::not_leased;
        }
        return settle(std::forward<Action>(action));
    }

    protocol::Reader* reader_ = nullptr;
    [[no_unique_address]] protocol::Received received_;  // what follows fits into its padding
    Status status_;
    bool peeked_ = false;
};

}  // namespace ipc::inline v1
