#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <utility>
#include <vector>

#include "ipc/base/status.hpp"
#include "ipc/message.hpp"
#include "ipc/message_type.hpp"
#include "ipc/protocol/reader_kinds.hpp"

namespace ipc::inline v1 {

template <Carriable T>
class Consumer;

/// Several messages received at once. In a group, each counts as delivered only when the iteration
/// reaches it: a member that dies is charged an attempt for those alone. Iterate once, front to
/// back; a message whose lease was lost in the meantime is passed over. What was not settled ends
/// with the batch: each message that the iteration reached as a Message does, the others go back to
/// the group, or, of a subscriber, are released. Move-only; belongs to its consumer's thread; may
/// outlive the consumer's handle.
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
            skip_lost();
            return *this;
        }
        void operator++(int) { ++*this; }
        bool operator==(std::default_sentinel_t) const { return index_ >= batch_->places_.size(); }

    private:
        friend class Batch;
        explicit iterator(Batch& batch) : batch_(&batch) { skip_lost(); }
        void skip_lost() {
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
        status_ = protocol::receive(reader, first, protocol::Taking::reserve, make_patience);
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

}  // namespace ipc::inline v1
