#pragma once

// Two processes; one sends as fast as the other receives: messages per second.

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "bench/experiment/experiment.hpp"
#include "bench/system/shared.hpp"
#include "bench/system/team.hpp"
#include "bench/transport/message.hpp"
#include "bench/transport/transport.hpp"
#include "ipc/os/clock.hpp"

namespace ipc::bench {

/// Looks at the clock once in a while only: after chunks of messages of some 20 us. In between it
/// stores nothing: between two cores each store has its price.
class ChunkTimer {
public:
    ChunkTimer() : chunk_began_(os::now()) {}

    /// Whether with this number of messages in all a chunk is complete; `now` and `counted` are
    /// about it then.
    bool is_complete(std::uint64_t messages) {
        if (messages < counted_ + chunk_) [[likely]]
            return false;
        close_chunk(messages);
        return true;
    }
    std::int64_t now() const { return chunk_began_; }
    std::uint64_t counted() const { return counted_; }

private:
    [[gnu::noinline]] void close_chunk(std::uint64_t messages) {
        const auto now = os::now();
        if (now - chunk_began_ < 20'000) chunk_ *= 2;
        chunk_began_ = now;
        counted_ = messages;
    }

    std::int64_t chunk_began_;
    std::uint64_t chunk_ = 1;
    std::uint64_t counted_ = 0;
};

/// Messages received after the warm-up, up to the end of the last whole chunk: the time in which
/// the sender has stopped already does not count.
class Throughput {
public:
    explicit Throughput(std::chrono::nanoseconds warm_up) : start_(os::now() + warm_up.count()) {}

    /// So many messages were received by now.
    void count(std::uint64_t messages) {
        if (timer_.is_complete(messages)) [[unlikely]]
            note();
    }
    double per_second() const {
        return until_ > from_ ? static_cast<double>(counted_until_ - counted_from_) * 1e9 /
                                    static_cast<double>(until_ - from_)
                              : 0;
    }

private:
    void note() {
        until_ = timer_.now();
        counted_until_ = timer_.counted();
        if (from_ != 0 || until_ < start_) return;
        from_ = until_;
        counted_from_ = counted_until_;
    }

    ChunkTimer timer_;
    std::int64_t start_;
    std::int64_t from_ = 0;
    std::int64_t until_ = 0;
    std::uint64_t counted_from_ = 0;
    std::uint64_t counted_until_ = 0;
};

/// Apart: a second place that sends would keep the compiler from inlining the first.
template <class M, class Sender>
[[gnu::noinline]] void send_last(Sender& sender) {
    Room<M> room;
    room([&](M& message) {
        message.write(last_sequence);
        sender.send(message);
    });
}

/// Sends messages in order for that long, and then the last one.
template <class M, class Sender>
void send_for(std::chrono::nanoseconds span, Sender& sender) {
    Room<M> room;
    std::uint64_t sequence = 0;
    ChunkTimer timer;
    const auto end = timer.now() + span.count();
    do {
        ++sequence;
        room([&](M& message) {
            message.write(sequence);
            sender.send(message);
        });
    } while (!timer.is_complete(sequence) || timer.now() < end);
    send_last<M>(sender);
}

template <class M, class Receiver>
double receive_all(std::chrono::nanoseconds warm_up, Receiver& receiver) {
    Room<M> room;
    Throughput throughput(warm_up);
    for (std::uint64_t sequence = 1;; ++sequence) {
        const bool is_last = room([&](M& message) {
            receiver.receive(message);
            if constexpr (sizeof(M) > 64) keep(message);
            if (message.is(sequence)) [[likely]]
                return false;
            expect_last(message, sequence);
            return true;
        });
        if (is_last) return throughput.per_second();
        throughput.count(sequence);
    }
}

/// The same in batches of 16.
constexpr std::size_t batch_size = 16;

template <class M, class Sender>
void send_batches_for(std::chrono::nanoseconds span, Sender& sender) {
    std::array<M, batch_size> messages;
    std::uint64_t sequence = 0;
    ChunkTimer timer;
    const auto end = timer.now() + span.count();
    do {
        for (M& message : messages)
            message.write(++sequence);
        sender.send_batch(messages);
    } while (!timer.is_complete(sequence) || timer.now() < end);
    messages[0].write(last_sequence);
    sender.send_batch(std::span(messages.data(), 1));
}

template <class M, class Receiver>
double receive_all_batches(std::chrono::nanoseconds warm_up, Receiver& receiver) {
    Throughput throughput(warm_up);
    std::uint64_t sequence = 0;
    bool last = false;
    while (!last) {
        receiver.receive_batch(batch_size, [&](const M& message) {
            if (!message.is(++sequence)) [[unlikely]] {
                expect_last(message, sequence);
                last = true;
            }
        });
        throughput.count(sequence);
    }
    return throughput.per_second();
}

/// The value is in messages per second. `watcher`, if there is one, runs beside the two.
template <Transport T>
Measurement one_way(T& transport, bool batches, const Effort& effort,
                    const std::function<void()>& watcher = {}) {
    using M = typename T::Message;
    const Shared<double> result;
    Team team;
    if (watcher) {
        team.add_background("watcher", Team::any_cpu, [&] {
            team.meet();
            watcher();
        });
    }
    team.add("sender", effort.cpu(0), [&] {
        typename T::Sender sender(transport);
        team.meet();
        const auto span = effort.warm_up + effort.measure;
        if constexpr (SendsBatches<typename T::Sender, M>) {
            if (batches) send_batches_for<M>(span, sender);
        }
        if (!batches) send_for<M>(span, sender);
        team.part();
    });
    team.add("receiver", effort.cpu(1), [&] {
        typename T::Receiver receiver(transport);
        team.meet();
        if constexpr (ReceivesBatches<typename T::Receiver, M>) {
            if (batches) *result = receive_all_batches<M>(effort.warm_up, receiver);
        }
        if (!batches) *result = receive_all<M>(effort.warm_up, receiver);
        team.part();
    });
    team.run(effort.limit(), effort.interrupted);
    return {.value = *result};
}

}  // namespace ipc::bench
