#pragma once

// A receiver that sleeps: the time from the call that sends until the message is in its hands.

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

#include "bench/experiment/experiment.hpp"
#include "bench/system/processor_time.hpp"
#include "bench/system/shared.hpp"
#include "bench/system/team.hpp"
#include "bench/transport/message.hpp"
#include "bench/transport/transport.hpp"
#include "ipc/os/clock.hpp"

namespace ipc::bench {

struct WakeUps {
    std::atomic<std::int64_t> sent_at = 0;
    std::atomic<std::uint64_t> received = 0;
    Histogram latency;
    double sleeps = 0;  ///< for each message
};

template <Transport T>
Measurement wake_up(T& transport, const Effort& effort) {
    using M = typename T::Message;
    const Shared<WakeUps> shared;
    Team team;
    team.add("sender", effort.cpu(0), [&] {
        typename T::Sender sender(transport);
        team.meet();
        M message;
        const std::int64_t end = os::now() + (effort.warm_up + effort.measure).count();
        std::uint64_t sequence = 0;
        while (os::now() < end) {
            // Long enough for the receiver to fall asleep, too short for its core to sleep deeply.
            std::this_thread::sleep_for(std::chrono::microseconds(300));
            message.write(++sequence);
            shared->sent_at.store(os::now(), std::memory_order_relaxed);
            sender.send(message);
            while (shared->received < sequence)
                std::this_thread::sleep_for(std::chrono::microseconds(50));
        }
        message.write(last_sequence);
        sender.send(message);
        team.part();
    });
    team.add("receiver", effort.cpu(1), [&] {
        typename T::Receiver receiver(transport);
        team.meet();
        M message;
        const std::uint64_t sleeps = voluntary_switches();
        std::uint64_t sequence = 1;
        for (;; ++sequence) {
            receiver.receive(message);
            const std::int64_t now = os::now();
            if (!message.is(sequence)) break;
            shared->latency.add(
                static_cast<std::uint64_t>(now - shared->sent_at.load(std::memory_order_relaxed)));
            shared->received = sequence;
        }
        expect_last(message, sequence);
        shared->sleeps =
            static_cast<double>(voluntary_switches() - sleeps) / static_cast<double>(sequence);
        team.part();
    });
    team.run(effort.limit(), effort.interrupted);
    Measurement measurement;
    measurement.latency = std::make_shared<Histogram>(shared->latency);
    measurement.value = static_cast<double>(measurement.latency->quantile(0.5));
    measurement.details["sleeps"] = shared->sleeps;
    return measurement;
}

}  // namespace ipc::bench
