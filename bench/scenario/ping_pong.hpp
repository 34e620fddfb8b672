#pragma once

// Two processes; one sends, the other answers, and so on: the time of a round trip.

#include <algorithm>
#include <cstdint>
#include <memory>

#include "bench/experiment/experiment.hpp"
#include "bench/system/processor_time.hpp"
#include "bench/system/shared.hpp"
#include "bench/system/team.hpp"
#include "bench/transport/message.hpp"
#include "bench/transport/transport.hpp"
#include "ipc/os/clock.hpp"

namespace ipc::bench {

struct RoundTrips {
    Histogram batches;  ///< ps for one round trip, each the mean of a batch
    Histogram single;   ///< ns, each round trip timed on its own
    double sleeps = 0;  ///< of the asking side, for each round trip
};

/// The side that asks.
template <class There, class Back>
class Ping {
public:
    using Message = typename There::Message;

    Ping(There& there, Back& back) : there_(there), back_(back) {}

    /// Rounds for that long. Reading the clock takes as long as a fifth of a fast round trip;
    /// therefore batches, some 50 us long.
    void warm_up(std::chrono::nanoseconds span) {
        round_trip();  // may include making a connection
        const auto start = os::now();
        std::int64_t elapsed = 0;
        std::uint64_t count = 0;
        do {
            round_trip();
            elapsed = os::now() - start;
            ++count;
        } while (elapsed < span.count());
        batch_ = std::clamp<std::uint64_t>(
            count * 50'000 / static_cast<std::uint64_t>(std::max<std::int64_t>(elapsed, 1)), 1,
            10'000);
    }
    void measure_batches(std::chrono::nanoseconds span, Histogram& picoseconds) {
        const auto end = os::now() + span.count();
        auto before = os::now();
        do {
            for (std::uint64_t i = 0; i < batch_; ++i)
                round_trip();
            const auto now = os::now();
            picoseconds.add(static_cast<std::uint64_t>(now - before) * 1000 / batch_);
            before = now;
        } while (before < end);
    }
    void measure_single(std::chrono::nanoseconds span, Histogram& nanoseconds) {
        const auto end = os::now() + span.count();
        auto before = os::now();
        do {
            round_trip();
            const auto now = os::now();
            nanoseconds.add(static_cast<std::uint64_t>(now - before));
            before = now;
        } while (before < end);
    }
    std::uint64_t count() const { return sequence_; }
    void finish() {
        room_([&](Message& message) {
            message.write(last_sequence);
            there_.send(message);
        });
        room_([&](Message& message) {
            back_.receive(message);
            if (!message.is(last_sequence)) expect_last(message, last_sequence);
        });
    }

private:
    void round_trip() {
        room_([&](Message& message) {
            message.write(++sequence_);
            there_.send(message);
        });
        room_([&](Message& message) {
            back_.receive(message);
            if (message.is(sequence_)) [[likely]]
                return;
            expect_last(message, sequence_);
            throw std::runtime_error("the other side ended early");
        });
    }

    typename There::Sender there_;
    typename Back::Receiver back_;
    Room<Message> room_;
    std::uint64_t sequence_ = 0;
    std::uint64_t batch_ = 1;
};

/// The side that answers, until it was told that this is the last one.
template <class There, class Back>
class Pong {
public:
    using Message = typename There::Message;

    Pong(There& there, Back& back) : there_(there), back_(back) {}

    void answer() {
        for (std::uint64_t sequence = 1;; ++sequence) {
            const bool is_last = room_([&](Message& message) {
                there_.receive(message);
                const bool is_next = message.is(sequence);
                if (!is_next) [[unlikely]]
                    expect_last(message, sequence);
                back_.send(message);
                return !is_next;
            });
            if (is_last) return;
        }
    }

private:
    typename There::Receiver there_;
    typename Back::Sender back_;
    Room<Message> room_;
};

/// The value is the median of batches, in ns.
template <Transport There, Transport Back>
Measurement ping_pong(There& there, Back& back, const Effort& effort) {
    const Shared<RoundTrips> result;
    Team team;
    team.add("ping", effort.cpu(0), [&] {
        Ping<There, Back> ping(there, back);
        team.meet();
        ping.warm_up(effort.warm_up);
        const std::uint64_t sleeps = voluntary_switches();
        const std::uint64_t count = ping.count();
        ping.measure_batches(effort.measure / 2, result->batches);
        ping.measure_single(effort.measure / 2, result->single);
        result->sleeps = static_cast<double>(voluntary_switches() - sleeps) /
                         static_cast<double>(ping.count() - count);
        ping.finish();
        team.part();
    });
    team.add("pong", effort.cpu(1), [&] {
        Pong<There, Back> pong(there, back);
        team.meet();
        pong.answer();
        team.part();
    });
    team.run(effort.limit(), effort.interrupted);
    Measurement measurement;
    measurement.value = static_cast<double>(result->batches.quantile(0.5)) / 1000;
    measurement.latency = std::make_shared<Histogram>(result->single);
    measurement.details["sleeps"] = result->sleeps;
    return measurement;
}

}  // namespace ipc::bench
