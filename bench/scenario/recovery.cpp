#include "bench/scenario/recovery.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <thread>
#include <vector>

#include "bench/system/processor_time.hpp"
#include "bench/system/shared.hpp"
#include "bench/system/team.hpp"
#include "bench/transport/channel.hpp"
#include "bench/transport/message.hpp"
#include "ipc/os/clock.hpp"
#include "ipc/protocol/sentinel.hpp"

namespace ipc::bench {
namespace {

using namespace std::chrono_literals;
using M = Message<32>;

bool is_parked(const ParticipantReport& participant) {
    return participant.activity == Activity::waiting_for_message;
}

struct Times {
    std::atomic<bool> has_message = false;
    std::atomic<std::int64_t> killed = 0;
    std::atomic<std::int64_t> received = 0;
};

GroupOptions membership(Waiting waiting) {
    return {.ack = Ack::manual, .participant = {.wait_policy = policy(waiting)}};
}

}  // namespace

Measurement recovery(Waiting waiting, const Effort& effort) {
    const OwnChannel<M> channel({.capacity = 64});
    const Shared<Times> times;
    Team team;
    const std::size_t victim = team.add_background("victim", effort.cpu(1), [&] {
        auto member = channel.open().join("workers", membership(Waiting::blocking));
        team.meet();
        const auto message = member.receive();
        times->has_message = true;
        for (;;)
            ::pause();
    });
    team.add("survivor", effort.cpu(1), [&] {
        team.meet();
        // Comes when the message is taken.
        while (!times->has_message)
            std::this_thread::sleep_for(1ms);
        auto member = channel.open().join("workers", membership(waiting));
        auto message = member.receive();
        times->received = os::now();
        if (!message || !message->is(1) || message.attempt() != 2) {
            throw std::runtime_error("not the dead's message");
        }
        require(message.ack());
    });
    team.add("director", effort.cpu(0), [&] {
        auto producer = channel.open().producer();
        team.meet();
        M message;
        message.write(1);
        require(producer.send(message));
        Inspector inspector(channel.name());
        const auto waits = [&inspector] {
            const auto report = inspector.sample();
            return std::any_of(report.participants.begin(), report.participants.end(), is_parked);
        };
        while (!times->has_message || !waits())
            std::this_thread::sleep_for(1ms);
        std::this_thread::sleep_for(200ms);  // what the arrival of the survivor set off is over
        times->killed = os::now();
        ::kill(team.pid(victim), SIGKILL);
    });
    team.run(effort.limit(), effort.interrupted);
    return {.value = static_cast<double>(times->received - times->killed)};
}

Measurement idle_consumers(std::size_t consumers, const Effort& effort) {
    constexpr std::chrono::nanoseconds tick(protocol::slow_tick);
    const OwnChannel<M> channel(
        {.capacity = 64, .max_participants = static_cast<std::uint32_t>(consumers + 8)});
    const Shared<double> share;
    std::vector<std::size_t> processes;
    Team team;
    for (std::size_t i = 0; i < consumers; ++i) {
        processes.push_back(team.add_background("consumer", Team::any_cpu, [&, i] {
            auto member = channel.open().join("group-" + std::to_string(i % 8),
                                              {.lifetime = Lifetime::ephemeral});
            team.meet();
            while (member.receive()) {
            }
        }));
    }
    team.add("observer", Team::any_cpu, [&] {
        team.meet();
        Inspector inspector(channel.name());
        const auto asleep = [&inspector] {
            const auto report = inspector.sample();
            return static_cast<std::size_t>(
                std::count_if(report.participants.begin(), report.participants.end(), is_parked));
        };
        while (asleep() != consumers)
            std::this_thread::sleep_for(10ms);
        // Past the first tick, which is everybody's; then two whole ones.
        std::this_thread::sleep_for(3 * tick / 2);
        const auto used = [&] {
            std::int64_t sum = 0;
            for (const std::size_t process : processes)
                sum += processor_time(team.pid(process));
            return sum;
        };
        const std::int64_t before = used();
        const std::int64_t start = os::now();
        std::this_thread::sleep_for(std::max(effort.measure, 2 * tick));
        *share =
            100 * static_cast<double>(used() - before) / static_cast<double>(os::now() - start);
    });
    team.run(effort.limit() + 4 * tick, effort.interrupted);
    return {.value = *share};
}

}  // namespace ipc::bench
