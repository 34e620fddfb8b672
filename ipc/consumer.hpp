#pragma once

#include <algorithm>
#include <chrono>
#include <iterator>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ipc/base/status.hpp"
#include "ipc/message_type.hpp"
#include "ipc/protocol/lossy_reader.hpp"
#include "ipc/protocol/member.hpp"
#include "ipc/protocol/subscriber.hpp"

namespace ipc::inline v1 {

template <Carriable T>
class Channel;
template <Carriable T>
class Consumer;
template <Carriable T>
class Batch;

namespace protocol {
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
Status receive(Reader& reader, Received& message, bool reserve, MakePatience&& make_patience) {
    Status status = reserve ? try_reserve(reader, message) : try_receive(reader, message);
    if (status != Status::empty) return status;
    const Patience patience = make_patience();
    if (!patience.deadline.is_immediate()) {
        status = as_its_kind(reader,
                             [&](auto& kind) { return reader.poll_soon(kind, message, reserve); });
    }
    return status == Status::empty ? reader.receive(message, patience, reserve) : status;
}
}  // namespace protocol

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
        : status_(protocol::receive(reader, received_, false, make_patience)) {
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

/// Several messages received at once. In a group, each counts as delivered only when the iteration
/// reaches it: a member that dies is charged an attempt for those alone. Iterate once, front to
/// back; a message whose lease was lost in the meantime is passed over.
template <Carriable T = std::byte>
class [[nodiscard]] Batch {
public:
    class iterator {
    public:
        using value_type = Message<T>;
        using difference_type = std::ptrdiff_t;
        Message<T>& operator*() const { return batch_->places_[index_].message; }
        Message<T>* operator->() const { return &**this; }
        iterator& operator++() {
            ++index_;
            settle();
            return *this;
        }
        void operator++(int) { ++*this; }
        bool operator==(std::default_sentinel_t) const { return index_ >= batch_->places_.size(); }

    private:
        friend class Batch;
        explicit iterator(Batch& batch) : batch_(&batch) { settle(); }
        void settle() {
            while (index_ < batch_->places_.size() && !batch_->hand_out(index_))
                ++index_;
        }
        Batch* batch_;
        std::size_t index_ = 0;
    };

    Batch(Batch&&) noexcept = default;
    Batch& operator=(Batch&& other) noexcept {
        Batch former(std::move(other));  // what this one held, once they are swapped
        std::swap(places_, former.places_);
        std::swap(status_, former.status_);
        return *this;
    }
    ~Batch() {
        // What is left of a subscriber's batch ends as one. All else ends message by message, what
        // the program put here in place of a message included.
        protocol::Subscriber* subscriber = nullptr;
        bool at_once = false;
        std::uint64_t left = 0;
        for (Place& place : places_) {
            Message<T>& message = place.message;
            if (message.reader_ == nullptr ||
                message.reader_->kind() != protocol::ReaderKind::subscriber) {
                continue;
            }
            if (subscriber == nullptr) {
                subscriber = static_cast<protocol::Subscriber*>(message.reader_);
                if (subscriber->is_inherited()) return;
            }
            if (message.reader_ != subscriber) continue;
            message.reader_ = nullptr;
            at_once = subscriber->give_up(message.received_) || at_once;
            ++left;
        }
        if (subscriber == nullptr) return;
        subscriber->after_giving_up(at_once);
        subscriber->drop(left);
    }

    iterator begin() {
        for (Place& place : places_) {
            if (place.message.reader_ == nullptr) continue;
            place.message.reader_->memory()->check_fork();
            break;
        }
        return iterator(*this);
    }
    std::default_sentinel_t end() const { return {}; }
    std::size_t size() const noexcept { return places_.size(); }
    bool empty() const noexcept { return places_.empty(); }
    explicit operator bool() const noexcept { return !places_.empty(); }
    /// Why there is no message: as Message::status.
    Status status() const noexcept { return status_; }

    /// Acknowledges every message, handed out by the iteration or not; how many were still held.
    std::size_t ack_all() {
        std::size_t acknowledged = 0;
        for (Place& place : places_) {
            if (place.message.ack()) ++acknowledged;
        }
        return acknowledged;
    }

private:
    friend class Consumer<T>;

    static constexpr std::size_t largest = 4096;

    /// A message is made where it stays. Moving it there would read it in wider pieces than it was
    /// just written in, and a processor waits for that until the stores are done.
    struct Place {
        Place(protocol::Reader& reader, const protocol::Received& received)
            : message(reader, received) {}
        explicit Place(protocol::Reader& reader)
            : message(reader, typename Message<T>::Reserved{}) {}
        /// For one that is still to be received and adopted.
        Place() : message(Status::ok) {}
        Message<T> message;
    };

    Batch(protocol::Reader& reader, std::size_t most) {
        if (most == 0) return;
        most = make_room(reader, most);
        protocol::Received first;
        status_ = protocol::try_reserve(reader, first);
        if (status_ == Status::ok) take(reader, first, most);
    }
    template <class MakePatience>
    Batch(protocol::Reader& reader, std::size_t most, MakePatience&& make_patience) {
        if (most == 0) return;
        most = make_room(reader, most);
        protocol::Received first;
        status_ = protocol::receive(reader, first, true, make_patience);
        if (status_ == Status::ok) take(reader, first, most);
    }
    /// Before a message is taken, so that none is lost where there is no memory. Returns `most`, or
    /// what is enough.
    std::size_t make_room(protocol::Reader& reader, std::size_t most) {
        most = std::min({most, largest, static_cast<std::size_t>(reader.memory()->capacity())});
        places_.reserve(most);
        return most;
    }
    /// `first` is taken already; the others are taken in their places.
    void take(protocol::Reader& reader, const protocol::Received& first, std::size_t most) {
        places_.emplace_back(reader, first);
        if (reader.kind() == protocol::ReaderKind::subscriber) {
            const std::size_t others = static_cast<protocol::Subscriber&>(reader).try_receive_some(
                most - 1, [this] { return &places_.emplace_back().message.received_; });
            places_.resize(1 + others);
            for (std::size_t i = 1; i < places_.size(); ++i)
                places_[i].message.adopt(reader);
            return;
        }
        while (places_.size() < most) {
            if (places_.emplace_back(reader).message) continue;
            places_.pop_back();
            break;
        }
    }
    bool hand_out(std::size_t index) {
        Message<T>& message = places_[index].message;
        const protocol::Received& received = message.received_;
        // What is handed out already, and no sample, has nothing left to do here.
        if (message.reader_ == nullptr || (received.handed && received.received_at == 0))
            return true;
        message.reader_->memory()->check_fork();  // it may have been forked since begin()
        return message.reader_->hand_out(message.received_);
    }

    std::vector<Place> places_;
    Status status_ = Status::empty;
};

/// Receives messages: a member of a named group, or a subscriber. Move-only; one thread at a time.
/// When the process dies, what it held goes to the other members; a subscriber's position ends with
/// it. Once moved from, it can only be assigned to, or destroyed.
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
