#pragma once

// Messages at a fixed rate: the time from when each *should* have been sent until it was received.
// A message that leaves late because the sender was held up counts with all of its delay.

#include <sys/prctl.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <ctime>
#include <memory>
#include <vector>

#include "bench/experiment/experiment.hpp"
#include "bench/system/shared.hpp"
#include "bench/system/team.hpp"
#include "bench/transport/message.hpp"
#include "bench/transport/transport.hpp"
#include "ipc/os/clock.hpp"

namespace ipc::bench {

struct Pace {
    std::chrono::nanoseconds period;  ///< between the messages of one sender
    bool asleep;                      ///< how the sender passes the time
};

/// What else goes on.
struct Company {
    std::size_t pairs = 1;  ///< senders, each with its receiver
    bool load = false;      ///< a process that computes, on every processor
};

struct Flow {
    std::atomic<std::int64_t> start = 0;
    std::atomic<std::int64_t> sent_in_time = 0;  ///< before the end of the schedule
    Histogram latency;
};

inline void sleep_until(std::int64_t time) {
    const timespec at = {.tv_sec = time / 1'000'000'000, .tv_nsec = time % 1'000'000'000};
    while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr) == EINTR) {
    }
}

template <class T>
void send_at(const Pace& pace, const Effort& effort, typename T::Sender& sender, Flow& flow) {
    ::prctl(PR_SET_TIMERSLACK, 1);
    typename T::Message message;
    const std::int64_t start = os::now() + 1'000'000;
    flow.start = start;
    const std::int64_t period = pace.period.count();
    const std::int64_t warm_up = effort.warm_up.count();
    const std::int64_t span = warm_up + effort.measure.count();
    std::int64_t in_time = 0;
    for (std::int64_t since_start = 0; since_start < span; since_start += period) {
        if (pace.asleep) {
            sleep_until(start + since_start);
        } else {
            while (os::now() < start + since_start) {
            }
        }
        message.write(static_cast<std::uint64_t>(since_start / period));
        sender.send(message);
        if (since_start < warm_up) continue;
        const std::int64_t now = os::now();
        if (now < start + span + period) ++in_time;
        // Too slow for this rate: enough was seen.
        if (now > start + 2 * span) break;
    }
    flow.sent_in_time = in_time;
    message.write(last_sequence);
    sender.send(message);
}

template <class T>
void receive_at(const Pace& pace, std::chrono::nanoseconds warm_up, typename T::Receiver& receiver,
                Flow& flow) {
    typename T::Message message;
    const std::int64_t period = pace.period.count();
    for (std::uint64_t sequence = 0;; ++sequence) {
        receiver.receive(message);
        const std::int64_t now = os::now();
        if (!message.is(sequence)) return expect_last(message, sequence);
        const std::int64_t since_start = static_cast<std::int64_t>(sequence) * period;
        if (since_start < warm_up.count()) continue;
        flow.latency.add(static_cast<std::uint64_t>(now - flow.start - since_start));
    }
}

[[noreturn]] inline void compute_for_ever() {
    for (volatile std::uint64_t i = 0;;)
        i = i + 1;
}

/// The value is the median, in ns, over all pairs; `sent` the part of the schedule that was sent
/// in its time. `make` makes a transport.
template <Transport T, class Make>
Measurement latency(const Make& make, const Pace& pace, const Company& company,
                    const Effort& effort) {
    std::vector<std::unique_ptr<T>> transports;
    std::vector<std::unique_ptr<Shared<Flow>>> flows;
    Team team;
    for (std::size_t i = 0; i < company.pairs; ++i) {
        T& transport = *transports.emplace_back(make());
        Flow& flow = **flows.emplace_back(std::make_unique<Shared<Flow>>());
        team.add("sender", effort.cpu(2 * i), [&] {
            typename T::Sender sender(transport);
            team.meet();
            send_at<T>(pace, effort, sender, flow);
            team.part();
        });
        team.add("receiver", effort.cpu(2 * i + 1), [&] {
            typename T::Receiver receiver(transport);
            team.meet();
            receive_at<T>(pace, effort.warm_up, receiver, flow);
            team.part();
        });
    }
    if (company.load) {
        for (const int cpu : effort.cpus) {
            team.add_background("load", cpu, [&team] {
                team.meet();
                compute_for_ever();
            });
        }
    }
    team.run(effort.limit() + effort.measure, effort.interrupted);
    Measurement measurement;
    measurement.latency = std::make_shared<Histogram>();
    std::int64_t in_time = 0;
    for (const auto& flow : flows) {
        measurement.latency->merge((*flow)->latency);
        in_time += (*flow)->sent_in_time;
    }
    measurement.value = static_cast<double>(measurement.latency->quantile(0.5));
    const auto due_before = [&](std::chrono::nanoseconds time) {
        return (time + pace.period - std::chrono::nanoseconds(1)) / pace.period;
    };
    const auto due = due_before(effort.warm_up + effort.measure) - due_before(effort.warm_up);
    measurement.details["sent"] =
        static_cast<double>(in_time) /
        static_cast<double>(due * static_cast<std::int64_t>(company.pairs));
    return measurement;
}

}  // namespace ipc::bench
