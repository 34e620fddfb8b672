#pragma once

// The channels of this library.

#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>

#include "bench/system/own_name.hpp"
#include "bench/transport/message.hpp"
#include "bench/transport/transport.hpp"
#include "ipc/ipc.hpp"

namespace ipc::bench {

/// A channel with a name of its own, removed at the end.
template <class M>
class OwnChannel {
public:
    explicit OwnChannel(const ChannelOptions& options) : name_(own_name()) {
        Channel<M>::create(name_, options);
    }
    ~OwnChannel() { ipc::remove(name_); }
    OwnChannel(const OwnChannel&) = delete;
    OwnChannel& operator=(const OwnChannel&) = delete;

    const std::string& name() const { return name_; }
    /// For a process that takes part.
    Channel<M> open() const { return Channel<M>::open(name_, {.prefault = true}); }

private:
    std::string name_;
};

[[noreturn, gnu::cold]] inline void fail(Status status) {
    throw std::runtime_error(std::string(to_string(status)));
}
inline void require(const Outcome& outcome) {
    if (!outcome) [[unlikely]]
        fail(outcome.status());
}

constexpr WaitPolicy policy(Waiting waiting) {
    switch (waiting) {
        case Waiting::busy: return WaitPolicy::spinning();
        case Waiting::blocking: return WaitPolicy::parking();
        case Waiting::standard: break;
    }
    return WaitPolicy::adaptive();
}

/// Enough room in the region for as many messages as the ring has slots.
template <class M>
ChannelOptions channel_options(std::size_t capacity) {
    return {.capacity = static_cast<std::uint32_t>(capacity),
            .region_size = capacity * sizeof(M),
            .max_participants = 16};
}

/// What both kinds below do alike.
template <class M>
class ChannelSender {
public:
    explicit ChannelSender(Producer<M> producer) : producer_(std::move(producer)) {}
    /// Inlined, as the call of the producer is where no wrapper is around it.
    [[gnu::always_inline]] void send(const M& message) { require(producer_.send(message)); }
    void send_batch(std::span<const M> messages) { require(producer_.send_batch(messages)); }
    void send_in_place(std::uint64_t sequence) {
        auto loan = producer_.loan();
        if (!loan) fail(loan.status());
        loan->word[0] = sequence;
        require(std::move(loan).publish());
    }

private:
    Producer<M> producer_;
};

template <class M, bool acknowledge>
class ChannelReceiver {
public:
    explicit ChannelReceiver(Consumer<M> consumer) : consumer_(std::move(consumer)) {}
    void receive(M& message) {
        auto received = consumer_.receive();
        if (!received) fail(received.status());
        message = *received;
        if constexpr (acknowledge) require(received.ack());
    }
    std::uint64_t receive_in_place() {
        auto received = consumer_.receive();
        if (!received) fail(received.status());
        const std::uint64_t sequence = received->word[0];
        if constexpr (acknowledge) require(received.ack());
        return sequence;
    }
    template <class Use>
    void receive_batch(std::size_t most, Use&& use) {
        auto batch = consumer_.receive_batch(most);
        if (!batch) fail(batch.status());
        for (auto& message : batch) {
            use(*message);
            if constexpr (acknowledge) require(message.ack());
        }
    }

private:
    Consumer<M> consumer_;
};

/// The only producer of a channel, and a subscriber.
template <class M>
class ExclusiveToSubscriber {
public:
    using Message = M;
    static constexpr const char* name = "ipc exclusive, subscriber";

    explicit ExclusiveToSubscriber(Waiting waiting, std::size_t capacity = capacity_for(sizeof(M)))
        : waiting_(waiting), channel_(channel_options<M>(capacity)) {}

    const std::string& channel() const { return channel_.name(); }

    struct Sender : ChannelSender<M> {
        explicit Sender(ExclusiveToSubscriber& transport)
            : ChannelSender<M>(transport.channel_.open().exclusive_producer(
                  {.wait_policy = policy(transport.waiting_)})) {}
    };
    struct Receiver : ChannelReceiver<M, false> {
        explicit Receiver(ExclusiveToSubscriber& transport)
            : ChannelReceiver<M, false>(transport.channel_.open().subscribe(
                  {.participant = {.wait_policy = policy(transport.waiting_)}})) {}
    };

private:
    Waiting waiting_;
    OwnChannel<M> channel_;
};

/// A producer, and a member of a group that acknowledges each message.
template <class M, bool exclusive>
class ToGroup {
public:
    using Message = M;
    static constexpr const char* name =
        exclusive ? "ipc exclusive, group with acks" : "ipc shared, group with acks";

    explicit ToGroup(Waiting waiting, std::size_t capacity = capacity_for(sizeof(M)))
        : waiting_(waiting), channel_(channel_options<M>(capacity)) {}

    const std::string& channel() const { return channel_.name(); }

    struct Sender : ChannelSender<M> {
        explicit Sender(ToGroup& transport) : ChannelSender<M>(transport.producer()) {}
    };
    struct Receiver : ChannelReceiver<M, true> {
        explicit Receiver(ToGroup& transport)
            : ChannelReceiver<M, true>(transport.channel_.open().join(
                  "group", {.ack = Ack::manual,
                            .participant = {.wait_policy = policy(transport.waiting_)}})) {}
    };

private:
    Producer<M> producer() const {
        const ParticipantOptions options{.wait_policy = policy(waiting_)};
        Channel<M> channel = channel_.open();
        return exclusive ? channel.exclusive_producer(options) : channel.producer(options);
    }

    Waiting waiting_;
    OwnChannel<M> channel_;
};

/// With a producer that may have others beside it.
template <class M>
using SharedToGroup = ToGroup<M, false>;
template <class M>
using ExclusiveToGroup = ToGroup<M, true>;

}  // namespace ipc::bench
