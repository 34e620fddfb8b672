// Promises about time. They run alone, and judge by medians, since the machine may be shared.

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <vector>

#include <gtest/gtest.h>

#include "ipc/ipc.hpp"
#include "ipc/os/clock.hpp"
#include "tests/support/channel_name.hpp"
#include "tests/support/child.hpp"
#include "tests/support/processor_time.hpp"
#include "tests/support/shared_value.hpp"

namespace ipc {
namespace {

using namespace std::chrono_literals;

TEST(Latency, AKilledMembersMessageReachesAParkedMemberWithin100Milliseconds) {
    const test::ChannelName name("handover");
    auto channel = Channel<>::create(name, {.capacity = 64});
    auto producer = channel.producer();
    const GroupOptions manual{.ack = Ack::manual,
                              .participant = {.wait_policy = WaitPolicy::parking()}};
    std::vector<std::int64_t> times;
    for (int round = 0; round < 9; ++round) {
        test::Child victim([&] {
            auto own = Channel<>::open(name);
            auto member = own.join("workers", manual);
            auto message = member.receive();
            for (;;)
                ::pause();
        });
        ASSERT_TRUE(test::eventually([&] {
            const auto report = inspect(name);
            return report.find_group("workers") != nullptr &&
                   report.find_group("workers")->members == 1;
        }));
        ASSERT_TRUE(producer.send("job " + std::to_string(round)));
        ASSERT_TRUE(
            test::eventually([&] { return inspect(name).find_group("workers")->in_flight == 1; }));

        // The survivor sleeps well before the victim dies.
        const test::SharedValue<std::atomic<std::int64_t>> received;
        test::Child survivor([&] {
            auto own = Channel<>::open(name);
            auto member = own.join("workers", manual);
            auto message = member.receive_for(20s);
            if (message) *received = os::now();
            if (message && message.attempt() == 2) (void)message.ack();
        });
        ASSERT_TRUE(test::eventually([&] {
            const auto seen = inspect(name);
            return std::any_of(seen.participants.begin(), seen.participants.end(),
                               [](const ParticipantReport& participant) {
                                   return participant.activity == Activity::waiting_for_message;
                               });
        }));
        ::usleep(200'000);
        const std::int64_t killed = os::now();
        victim.kill();
        EXPECT_EQ(survivor.wait_for(30), 0);
        ASSERT_NE(received->load(), 0);
        times.push_back(received->load() - killed);
    }
    std::sort(times.begin(), times.end());
    RecordProperty("median_us", static_cast<int>(times[times.size() / 2] / 1000));
    RecordProperty("max_us", static_cast<int>(times.back() / 1000));
    EXPECT_LE(times[times.size() / 2], 100'000'000);
    EXPECT_LE(times.back(), 1'000'000'000);
}

TEST(Latency, SixtyFourIdleConsumersTogetherUseLessThanAThousandthOfACore) {
    const test::ChannelName name("idle");
    auto channel = Channel<>::create(name, {.capacity = 64});
    auto producer = channel.producer();
    std::vector<test::Child> consumers;
    for (int i = 0; i < 64; ++i) {
        consumers.emplace_back([&, i] {
            auto own = Channel<>::open(name);
            auto consumer =
                own.join("group" + std::to_string(i % 8), {.lifetime = Lifetime::ephemeral});
            while (consumer.receive()) {
            }
        });
    }
    const auto parked = [&] {
        const auto report = inspect(name);
        return std::count_if(report.participants.begin(), report.participants.end(),
                             [](const ParticipantReport& participant) {
                                 return participant.activity == Activity::waiting_for_message;
                             });
    };
    ASSERT_TRUE(test::eventually([&] { return parked() == 64; }, 30));
    ::sleep(5);  // past the grace of a sentinel that saw the joins, and everybody's first tick
    const auto used = [&] {
        double sum = 0;
        for (const test::Child& consumer : consumers)
            sum += test::processor_seconds(consumer.pid());
        return sum;
    };
    const double before = used();
    constexpr unsigned seconds = 12;
    ::sleep(seconds);
    const double used_each_second = (used() - before) / seconds;
    RecordProperty("microseconds_per_second", static_cast<int>(1e6 * used_each_second));
    EXPECT_LT(used_each_second, 0.001);  // of one core
    // All of them still listen.
    ASSERT_TRUE(producer.close());
    for (test::Child& consumer : consumers)
        EXPECT_EQ(consumer.wait_for(20), 0);
}

/// How long a member takes for each message that is there or comes soon, ns: the lower quartile of
/// some laps, since the machine may be shared.
double per_message(Consumer<std::uint64_t>& member, std::uint64_t lap, int laps) {
    std::vector<std::int64_t> times;
    for (int i = 0; i < laps; ++i) {
        const std::int64_t start = os::now();
        for (std::uint64_t j = 0; j < lap; ++j)
            (void)member.receive().ack();
        times.push_back(os::now() - start);
    }
    std::sort(times.begin(), times.end());
    return static_cast<double>(times[times.size() / 4]) / static_cast<double>(lap);
}

// A producer that waits must not take the lines from the members on whom it waits.
TEST(Latency, AMemberWorksAtLeastHalfAsFastWhileAProducerWaitsForIt) {
    constexpr std::uint32_t capacity = 4096;
    std::vector<double> ratios;
    for (int round = 0; round < 5; ++round) {
        const test::ChannelName name("full");
        auto channel = Channel<std::uint64_t>::create(name, {.capacity = capacity});
        auto member = channel.join("workers", {.ack = Ack::manual});
        double alone = 0;
        {
            auto producer = channel.exclusive_producer();
            for (int lap = 0; lap < 3; ++lap) {
                for (std::uint32_t i = 0; i < capacity; ++i)
                    ASSERT_TRUE(producer.send(i));
                alone = per_message(member, capacity / 16, 16);
            }
        }
        test::Child sending([&] {
            auto producer = Channel<std::uint64_t>::open(name).exclusive_producer(
                {.wait_policy = WaitPolicy::spinning()});
            for (std::uint64_t i = 0;; ++i)
                (void)producer.send(i);
        });
        ASSERT_TRUE(
            test::eventually([&] { return inspect(name).tail >= std::uint64_t{4} * capacity; }));
        ratios.push_back(per_message(member, capacity, 200) / alone);
    }
    std::sort(ratios.begin(), ratios.end());
    const double median = ratios[ratios.size() / 2];
    RecordProperty("median_percent", static_cast<int>(100 * median));
    // The best round shows what the protocol costs. On a machine that is shared, the median of so
    // few may be twice that; beyond, most rounds are slow, and that is no accident.
    EXPECT_LE(ratios.front(), 2);
    EXPECT_LE(median, 4);
}

}
}
