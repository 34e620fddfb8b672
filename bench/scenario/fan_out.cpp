#include "bench/scenario/fan_out.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "bench/system/shared.hpp"
#include "bench/system/team.hpp"
#include "bench/transport/channel.hpp"
#include "bench/transport/message.hpp"
#include "ipc/os/clock.hpp"
#include "ipc/os/processor.hpp"

namespace ipc::bench {
namespace {

using M = Message<32>;

constexpr std::size_t capacity = 1024;
constexpr std::uint64_t burst = capacity / 2;

struct Turns {
    std::atomic<std::uint64_t> published = 0;
    std::atomic<std::uint64_t> position = 0;  ///< which all groups have read up to
    std::atomic<std::uint64_t> received = 0;  ///< messages, by all groups together
    std::atomic<bool> over = false;
    Histogram cost;  ///< ps for one message, each the mean of a burst
};

ChannelOptions options(std::size_t groups) {
    return {.capacity = capacity,
            .region_size = 0,
            .max_participants = static_cast<std::uint32_t>(groups + 8),
            .max_groups = static_cast<std::uint32_t>(groups + 8)};
}

/// Bursts, each timed as a whole, until the time is up; `rest` is called between them.
template <class Rest>
void publish(const OwnChannel<M>& channel, std::uint64_t messages, const Effort& effort,
             Turns& turns, Rest&& rest) {
    auto producer = channel.open().exclusive_producer();
    M message;
    std::uint64_t sequence = 0;
    const std::int64_t start = os::now();
    const std::int64_t measured_from = start + effort.warm_up.count();
    const std::int64_t end = measured_from + effort.measure.count();
    std::int64_t after = start;
    while (after < end) {
        rest(sequence);
        const std::int64_t before = os::now();
        for (std::uint64_t i = 0; i < messages; ++i) {
            message.write(++sequence);
            require(producer.send(message));
        }
        after = os::now();
        turns.published = sequence;
        if (after < measured_from) continue;
        turns.cost.add(static_cast<std::uint64_t>(after - before) * 1000 / messages);
    }
    turns.over = true;
}

std::vector<Consumer<M>> subscribe(const OwnChannel<M>& channel, std::size_t groups,
                                   const SubscribeOptions& how) {
    const Channel<M> opened = channel.open();
    std::vector<Consumer<M>> result;
    result.reserve(groups);
    for (std::size_t i = 0; i < groups; ++i)
        result.push_back(opened.subscribe(how));
    return result;
}

void add_idle(Team& team, const OwnChannel<M>& channel, std::size_t groups, const Effort& effort,
              Turns& turns) {
    team.add("publisher", effort.cpu(0), [&, groups] {
        const auto readers = subscribe(channel, groups, {.delivery = Delivery::lossy});
        publish(channel, burst, effort, turns, [](std::uint64_t) {});
    });
}

void add_reading(Team& team, const OwnChannel<M>& channel, std::size_t groups, const Effort& effort,
                 Turns& turns) {
    team.add("publisher", effort.cpu(0), [&] {
        team.meet();
        publish(channel, burst, effort, turns, [&](std::uint64_t published) {
            while (turns.position < published)
                os::cpu_relax();
        });
    });
    team.add("readers", effort.cpu(1), [&, groups] {
        auto readers = subscribe(channel, groups, {});
        team.meet();
        std::uint64_t position = 0;
        while (!turns.over) {
            const std::uint64_t published = turns.published;
            if (published == position) {
                os::cpu_relax();
                continue;
            }
            for (auto& reader : readers) {
                for (std::uint64_t next = position; next < published;) {
                    auto message = reader.try_receive();
                    if (!message || !message->is(++next)) {
                        throw std::runtime_error("a message is missing");
                    }
                }
                // Finding nothing, a reader says how far it is.
                if (reader.try_receive()) throw std::runtime_error("a message too many");
            }
            position = published;
            turns.position = position;
        }
    });
}

void add_sleeping(Team& team, const OwnChannel<M>& channel, std::size_t groups,
                  const Effort& effort, Turns& turns) {
    team.add("publisher", effort.cpu(0), [&, groups] {
        team.meet();
        Inspector inspector(channel.name());
        publish(channel, 1, effort, turns, [&](std::uint64_t published) {
            const auto all_asleep = [&] {
                const ChannelReport report = inspector.sample();
                const auto asleep =
                    std::count_if(report.participants.begin(), report.participants.end(),
                                  [](const ParticipantReport& participant) {
                                      return participant.activity == Activity::waiting_for_message;
                                  });
                return static_cast<std::size_t>(asleep) == groups;
            };
            while (turns.received < published * groups || !all_asleep())
                std::this_thread::sleep_for(std::chrono::microseconds(200));
        });
    });
    for (std::size_t i = 0; i < groups; ++i) {
        team.add_background("reader", effort.cpu(1), [&] {
            auto reader =
                channel.open().subscribe({.participant = {.wait_policy = WaitPolicy::parking()}});
            team.meet();
            // One that is missing or damaged is not counted: the publisher waits, and is cut off.
            std::uint64_t expected = 1;
            for (auto message = reader.receive(); message && message->is(expected);
                 message = reader.receive()) {
                turns.received.fetch_add(1);
                ++expected;
            }
        });
    }
}

}  // namespace

Measurement fan_out(Audience audience, std::size_t groups, const Effort& effort) {
    const OwnChannel<M> channel(options(groups));
    const Shared<Turns> turns;
    Team team;
    switch (audience) {
        case Audience::idle: add_idle(team, channel, groups, effort, *turns); break;
        case Audience::reading: add_reading(team, channel, groups, effort, *turns); break;
        case Audience::sleeping: add_sleeping(team, channel, groups, effort, *turns); break;
    }
    team.run(effort.limit(), effort.interrupted);
    return {.value = static_cast<double>(turns->cost.quantile(0.5)) / 1000,
            .details = {{"groups", static_cast<double>(groups)}}};
}

}  // namespace ipc::bench
