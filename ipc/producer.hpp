#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <stop_token>
#include <string_view>
#include <utility>

#include "ipc/base/status.hpp"
#include "ipc/message_type.hpp"
#include "ipc/protocol/publish.hpp"

namespace ipc::inline v1 {

template <Carriable T>
class Channel;

/// The outcome of a batch: how many of its messages were published, in order, and why not more.
class [[nodiscard]] BatchSent : public Outcome {
public:
    constexpr BatchSent(Status status, std::size_t count) noexcept
        : Outcome(status), count_(count) {}
    constexpr std::size_t count() const noexcept { return count_; }

private:
    std::size_t count_;
};

/// Space for one message, to be written in place and published without a copy. Taken from the
/// producer's payload region before any position is claimed: however long it is written, nobody
/// waits for it. Destroyed unpublished, it is abandoned. Must not outlive its producer.
template <Carriable T = std::byte>
class [[nodiscard]] Loan {
public:
    Loan(Loan&& other) noexcept
        : producer_(std::exchange(other.producer_, nullptr)),
          block_(other.block_),
          data_(other.data_),
          size_(other.size_),
          status_(other.status_) {}
    Loan& operator=(Loan&& other) noexcept {
        if (this != &other) {
            abandon();
            producer_ = std::exchange(other.producer_, nullptr);
            block_ = other.block_;
            data_ = other.data_;
            size_ = other.size_;
            status_ = other.status_;
        }
        return *this;
    }
    ~Loan() { abandon(); }

    /// Whether there is space to write to.
    explicit operator bool() const noexcept { return producer_ != nullptr; }
    /// ok, or why there is no space: full, timed_out, interrupted, closed, removed, too_large,
    /// own_loan (only loans of this producer hold the space).
    Status status() const noexcept { return status_; }

    /// The space; its contents are undefined until written.
    std::span<std::byte> bytes() const noexcept requires is_bytes<T> { return {data_, size_}; }
    /// Makes the message shorter than the loan.
    void resize(std::size_t size) noexcept requires is_bytes<T> {
        if (size < size_) size_ = size;
    }
    T& operator*() const noexcept requires(!is_bytes<T>) { return *reinterpret_cast<T*>(data_); }
    T* operator->() const noexcept requires(!is_bytes<T>) { return reinterpret_cast<T*>(data_); }

    /// Publishes the message, waiting for a free slot. The loan is over when this succeeded, and
    /// gives not_leased from then on; else it can be published again, unless it is of the wrong
    /// size. Where there was no space, it says why, as status() does.
    Sent publish(std::stop_token stop = {}) && {
        return publish(protocol::Patience::for_ever(std::move(stop)));
    }
    /// The same, waiting at most `span`: also timed_out.
    template <class Rep, class Period>
    Sent publish_for(std::chrono::duration<Rep, Period> span, std::stop_token stop = {}) && {
        return publish(protocol::Patience::within(span, std::move(stop)));
    }
    /// The same, never waiting: also full.
    Sent try_publish() && { return publish(protocol::Patience::none()); }

    void abandon() {
        if (producer_ != nullptr) std::exchange(producer_, nullptr)->abandon_loan(block_);
    }

private:
    template <Carriable U>
    friend class Producer;

    Loan(protocol::Producer& producer, std::size_t size, const protocol::Patience& patience)
        : status_(producer.loan(size, patience, block_, data_)) {
        if (status_ != Status::ok) return;
        producer_ = &producer;
        size_ = size;
    }
    Sent publish(const protocol::Patience& patience) {
        if (producer_ == nullptr) return status_ == Status::ok ? Status::not_leased : status_;
        const Sent sent = producer_->publish_loan(block_, size_, patience);
        if (sent) producer_ = nullptr;
        return sent;
    }

    protocol::Producer* producer_ = nullptr;
    std::uint64_t block_ = 0;
    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
    Status status_;
};

/// Publishes messages. Shared producers of one channel may be any number; an exclusive one is
/// alone, and its path holds no atomic read-modify-write. Move-only; one thread at a time; once
/// moved from, it can only be assigned to, or destroyed. When the process dies, messages it
/// published stay, and nobody sees one it was writing: its position is skipped, or, after an
/// exclusive producer, goes to the first message of the next one. Destroying it may take up to 10 s
/// where another process is stopped while it attaches or leaves.
///
/// Statuses: ok; full (try_) or timed_out: no room, since a reliable group is behind; closed;
/// interrupted; removed; too_large: longer than the channel's inline_size and region_size allow;
/// wrong_size: bytes for a channel of a type (OpenOptions::any_type) that is not of their size.
template <Carriable T = std::byte>
class Producer {
public:
    /// What one message is made from: bytes or text, or a T.
    using Item = std::conditional_t<is_bytes<T>, std::string_view, T>;

    /// Copies a message into the channel; waits while it is full.
    Sent send(std::string_view text, std::stop_token stop = {}) requires is_bytes<T> {
        return producer_->send(text.data(), text.size(),
                               [&] { return protocol::Patience::for_ever(std::move(stop)); });
    }
    Sent send(std::span<const std::byte> bytes, std::stop_token stop = {}) requires is_bytes<T> {
        return producer_->send(bytes.data(), bytes.size(),
                               [&] { return protocol::Patience::for_ever(std::move(stop)); });
    }
    // Apart from the next, so that it keeps no stop token in memory.
    [[gnu::always_inline]] Sent send(const T& value) requires(!is_bytes<T>) {
        return send_item(value, [] { return protocol::Patience::for_ever({}); });
    }
    Sent send(const T& value, std::stop_token stop) requires(!is_bytes<T>) {
        return send_item(value, [&] { return protocol::Patience::for_ever(std::move(stop)); });
    }

    /// The same, waiting at most `span`.
    template <class Rep, class Period>
    Sent send_for(const Item& item, std::chrono::duration<Rep, Period> span,
                  std::stop_token stop = {}) {
        return send_item(item, [&] { return protocol::Patience::within(span, std::move(stop)); });
    }
    template <class Rep, class Period>
    Sent send_for(std::span<const std::byte> bytes, std::chrono::duration<Rep, Period> span,
                  std::stop_token stop = {}) requires is_bytes<T> {
        return producer_->send(bytes.data(), bytes.size(),
                               [&] { return protocol::Patience::within(span, std::move(stop)); });
    }

    /// The same, never waiting.
    [[gnu::always_inline]] Sent try_send(const Item& item) {
        return send_item(item, protocol::Patience::none);
    }
    Sent try_send(std::span<const std::byte> bytes) requires is_bytes<T> {
        return producer_->send(bytes.data(), bytes.size(), protocol::Patience::none);
    }

    /// Several messages with one look for sleepers at the end; waits while the channel is full.
    BatchSent send_batch(std::span<const Item> items, std::stop_token stop = {}) {
        return send_all(items, protocol::Patience::for_ever(std::move(stop)));
    }
    template <class Rep, class Period>
    BatchSent send_batch_for(std::span<const Item> items, std::chrono::duration<Rep, Period> span,
                             std::stop_token stop = {}) {
        return send_all(items, protocol::Patience::within(span, std::move(stop)));
    }
    BatchSent try_send_batch(std::span<const Item> items) {
        return send_all(items, protocol::Patience::none());
    }

    /// Borrows space for a message of `size` bytes; waits while readers hold the region.
    Loan<T> loan(std::size_t size, std::stop_token stop = {}) requires is_bytes<T> {
        return {*producer_, size, protocol::Patience::for_ever(std::move(stop))};
    }
    template <class Rep, class Period>
    Loan<T> loan_for(std::size_t size, std::chrono::duration<Rep, Period> span,
                     std::stop_token stop = {}) requires is_bytes<T> {
        return {*producer_, size, protocol::Patience::within(span, std::move(stop))};
    }
    Loan<T> try_loan(std::size_t size) requires is_bytes<T> {
        return {*producer_, size, protocol::Patience::none()};
    }
    Loan<T> loan(std::stop_token stop = {}) requires(!is_bytes<T>) {
        return {*producer_, sizeof(T), protocol::Patience::for_ever(std::move(stop))};
    }
    template <class Rep, class Period>
    Loan<T> loan_for(std::chrono::duration<Rep, Period> span,
                     std::stop_token stop = {}) requires(!is_bytes<T>) {
        return {*producer_, sizeof(T), protocol::Patience::within(span, std::move(stop))};
    }
    Loan<T> try_loan() requires(!is_bytes<T>) {
        return {*producer_, sizeof(T), protocol::Patience::none()};
    }

    /// Ends the channel after everything published so far; waits for a free slot. Readers get
    /// `closed` once they have seen all; producers at once.
    Outcome close(std::stop_token stop = {}) {
        return producer_->close(protocol::Patience::for_ever(std::move(stop)));
    }
    /// The same, waiting at most `span`: also timed_out, and the channel goes on.
    template <class Rep, class Period>
    Outcome close_for(std::chrono::duration<Rep, Period> span, std::stop_token stop = {}) {
        return producer_->close(protocol::Patience::within(span, std::move(stop)));
    }

private:
    template <Carriable U>
    friend class Channel;

    explicit Producer(std::unique_ptr<protocol::Producer> producer)
        : producer_(std::move(producer)) {}

    static const void* data(const Item& item) {
        if constexpr (is_bytes<T>) {
            return item.data();
        } else {
            return &item;
        }
    }
    static std::size_t size(const Item& item) {
        if constexpr (is_bytes<T>) {
            return item.size();
        } else {
            return sizeof item;
        }
    }

    static constexpr bool is_short = !is_bytes<T> && sizeof(Item) <= format::longest_in_registers;

    template <class MakePatience>
    [[gnu::always_inline]] Sent send_item(const Item& item,
                                          MakePatience&& patience) requires(is_short) {
        return producer_->send_value(item, std::forward<MakePatience>(patience));
    }
    template <class MakePatience>
    Sent send_item(const Item& item, MakePatience&& patience) requires(!is_short) {
        return producer_->send(data(item), size(item), std::forward<MakePatience>(patience));
    }

    BatchSent send_all(std::span<const Item> items, const protocol::Patience& patience) {
        const auto body_of = [&](std::size_t i) {
            if constexpr (is_short) {
                return format::Words<sizeof(Item)>(items[i]);
            } else {
                return format::Bytes{data(items[i]), size(items[i])};
            }
        };
        std::size_t sent = 0;
        while (sent < items.size()) {
            const std::size_t now = producer_->try_send_some(
                items.size() - sent, [&](std::size_t i) { return body_of(sent + i); });
            // Readers have to know of what is there before this producer waits for them.
            if (now != 0) producer_->wake_sleepers(static_cast<int>(now));
            sent += now;
            if (sent == items.size()) break;
            const Sent one =
                producer_->send(data(items[sent]), size(items[sent]), [&] { return patience; });
            if (!one) return {one.status(), sent};
            ++sent;
        }
        return {Status::ok, sent};
    }

    std::unique_ptr<protocol::Producer> producer_;
};

}  // namespace ipc::inline v1
