// Waiting: deadlines, interruption and wake-ups. What waiting costs: idle_test.

#include <pthread.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "ipc/ipc.hpp"
#include "ipc/os/membarrier.hpp"
#include "tests/support/channel_name.hpp"
#include "tests/support/child.hpp"
#include "tests/support/shared_value.hpp"
#include "tests/support/sleepers.hpp"
#include "tests/support/torn.hpp"

namespace ipc::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

const ParticipantOptions parking{.wait_policy = WaitPolicy::parking()};
const GroupOptions manual_parking{.ack = Ack::manual, .participant = parking};

enum class Kind { subscriber, member, lossy, lossy_member };

Consumer<> attach(Channel<>& channel, Kind kind, const ParticipantOptions& participant) {
    switch (kind) {
        case Kind::subscriber: return channel.subscribe({.participant = participant});
        case Kind::member: return channel.join("workers", {.participant = participant});
        case Kind::lossy:
            return channel.subscribe({.delivery = Delivery::lossy, .participant = participant});
        default:
            return channel.join("lossy", {.delivery = Delivery::lossy, .participant = participant});
    }
}

class Wait : public testing::TestWithParam<std::pair<Kind, WaitPolicy>> {
protected:
    Consumer<> attach_to(Channel<>& channel) const {
        return attach(channel, GetParam().first, {.wait_policy = GetParam().second});
    }
};

std::vector<std::pair<Kind, WaitPolicy>> all_ways() {
    std::vector<std::pair<Kind, WaitPolicy>> ways;
    for (const Kind kind : {Kind::subscriber, Kind::member, Kind::lossy, Kind::lossy_member}) {
        for (const WaitPolicy policy :
             {WaitPolicy::spinning(), WaitPolicy::adaptive(), WaitPolicy::parking()}) {
            ways.emplace_back(kind, policy);
        }
    }
    return ways;
}

std::string name_of_way(const testing::TestParamInfo<std::pair<Kind, WaitPolicy>>& info) {
    static const char* const kinds[] = {"Subscriber", "Member", "Lossy", "LossyMember"};
    static const char* const policies[] = {"Spinning", "Adaptive", "Parking"};
    return std::string(kinds[info.index / 3]) + policies[info.index % 3];
}

INSTANTIATE_TEST_SUITE_P(Ways, Wait, testing::ValuesIn(all_ways()), name_of_way);

TEST_P(Wait, EndsWithAMessagePublishedMeanwhile) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto consumer = attach_to(channel);
    auto producer = channel.producer();
    for (int round = 0; round < 10; ++round) {
        const std::string text = std::to_string(round);
        std::thread sending([&] {
            if (round % 2 == 0) std::this_thread::sleep_for(5ms);
            EXPECT_TRUE(producer.send(text));
        });
        auto message = consumer.receive_for(20s);
        sending.join();
        ASSERT_TRUE(message);
        EXPECT_EQ(message.text(), text);
    }
}

TEST_P(Wait, EndsAtItsDeadlineAndNotBefore) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto consumer = attach_to(channel);
    for (const auto span : {0ms, 1ms, 60ms}) {
        const auto start = Clock::now();
        EXPECT_EQ(consumer.receive_for(span).status(), Status::timed_out);
        EXPECT_GE(Clock::now() - start, span);
        EXPECT_LT(Clock::now() - start, span + 2s);
    }
    EXPECT_EQ(consumer.receive_for(-1h).status(), Status::timed_out);
    EXPECT_EQ(consumer.receive_batch_for(3, 5ms).status(), Status::timed_out);
    EXPECT_EQ(consumer.try_receive().status(), Status::empty);
}

TEST_P(Wait, EndsWhenAStopIsRequested) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto consumer = attach_to(channel);
    std::stop_source stop;
    std::thread waiting([&] {
        EXPECT_EQ(consumer.receive(stop.get_token()).status(), Status::interrupted);
        // A stop that was requested before ends a wait at once, and none that need not wait.
        EXPECT_EQ(consumer.receive(stop.get_token()).status(), Status::interrupted);
        EXPECT_EQ(consumer.receive_for(1h, stop.get_token()).status(), Status::interrupted);
        EXPECT_EQ(consumer.receive_batch(2, stop.get_token()).status(), Status::interrupted);
        EXPECT_TRUE(channel.producer().send("there"));
        EXPECT_EQ(consumer.receive(stop.get_token()).text(), "there");
    });
    std::this_thread::sleep_for(10ms);
    const auto start = Clock::now();
    stop.request_stop();
    waiting.join();
    EXPECT_LT(Clock::now() - start, 2s);
}

TEST_P(Wait, WithALongSpanEndsWithAMessageToo) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto consumer = attach_to(channel);
    std::thread sending([&] { EXPECT_TRUE(channel.producer().send("x")); });
    EXPECT_EQ(consumer.receive_for(std::chrono::hours::max()).text(), "x");
    sending.join();
}

TEST(WaitPolicies, ASpinBeyondTheEndOfTheClockNeverSleeps) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    for (const auto spin :
         {std::chrono::nanoseconds::max() - 1ns, std::chrono::nanoseconds::max()}) {
        auto consumer = channel.subscribe({.participant = {.wait_policy = {.spin = spin}}});
        EXPECT_EQ(consumer.receive_for(20ms).status(), Status::timed_out);
        EXPECT_EQ(memory_of(name)->group(0).parking.announcement, 0U) << spin.count();
    }
}

TEST_P(Wait, AStopOfOneWakesNoOther) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto first = attach_to(channel);
    auto second = attach_to(channel);
    std::stop_source stop;
    std::thread one(
        [&] { EXPECT_EQ(first.receive(stop.get_token()).status(), Status::interrupted); });
    std::thread two([&] { EXPECT_EQ(second.receive_for(20s).text(), "for the second"); });
    std::this_thread::sleep_for(10ms);
    stop.request_stop();
    one.join();
    EXPECT_TRUE(channel.producer().send("for the second"));
    two.join();
}

extern "C" void do_nothing(int) {}

TEST(WaitSignals, EndAWaitOnlyForAHandleThatAskedToBeTold) {
    struct sigaction action {};
    action.sa_handler = do_nothing;
    action.sa_flags = SA_RESTART;
    struct sigaction former {};
    ASSERT_EQ(::sigaction(SIGUSR1, &action, &former), 0);
    for (const Kind kind : {Kind::subscriber, Kind::member, Kind::lossy}) {
        for (const bool told : {false, true}) {
            const ChannelName name;
            auto channel = Channel<>::create(name);
            WaitPolicy policy = WaitPolicy::parking();
            policy.return_on_signal = told;
            auto consumer = attach(channel, kind, {.wait_policy = policy});
            std::atomic<bool> done{false};
            Status status{};
            std::thread waiting([&] {
                status = consumer.receive_for(20s).status();
                done = true;
            });
            EXPECT_TRUE(all_park(name, 1));
            const auto give_up = Clock::now() + (told ? 20s : 100ms);
            while (!done && Clock::now() < give_up) {
                ::pthread_kill(waiting.native_handle(), SIGUSR1);
                std::this_thread::sleep_for(5ms);
            }
            EXPECT_EQ(done, told);
            EXPECT_TRUE(channel.producer().send("x"));
            waiting.join();
            EXPECT_EQ(status, told ? Status::interrupted : Status::ok);
        }
    }
    ::sigaction(SIGUSR1, &former, nullptr);
}

TEST(WakeUp, ReachesAParkedConsumerSoon) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto producer = channel.producer();
    for (const Kind kind : {Kind::subscriber, Kind::member, Kind::lossy, Kind::lossy_member}) {
        auto consumer = attach(channel, kind, parking);
        std::vector<Clock::duration> took;
        for (int round = 0; round < 20; ++round) {
            Clock::time_point received;
            std::thread waiting([&] {
                EXPECT_TRUE(consumer.receive_for(20s));
                received = Clock::now();
            });
            EXPECT_TRUE(all_park(name, 1));
            const auto sent = Clock::now();
            EXPECT_TRUE(producer.send("x"));
            waiting.join();
            took.push_back(received - sent);
        }
        // A missed wake-up would be found by a sentinel only, 50 ms to 3 s later.
        EXPECT_LT(*std::max_element(took.begin(), took.end()), 1s);
        std::nth_element(took.begin(), took.begin() + 10, took.end());
        EXPECT_LT(took[10], 40ms);
    }
}

TEST(WakeUp, ReachesEverySubscriberAndEveryGroup) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto producer = channel.producer();
    std::vector<std::thread> waiting;
    waiting.reserve(64);
    for (int i = 0; i < 8; ++i) {
        waiting.emplace_back([&, i] {
            auto consumer =
                i % 2 == 0 ? channel.subscribe({.participant = parking})
                           : channel.join("group" + std::to_string(i), {.participant = parking});
            for (int round = 0; round < 5; ++round)
                EXPECT_EQ(consumer.receive_for(20s).text(), std::to_string(round));
        });
    }
    for (int round = 0; round < 5; ++round) {
        EXPECT_TRUE(all_park(name, 8));
        const auto start = Clock::now();
        EXPECT_TRUE(producer.send(std::to_string(round)));
        EXPECT_TRUE(eventually([&] {
            const ChannelReport report = inspect(name);
            return std::all_of(
                report.participants.begin(), report.participants.end(), [&](const auto& p) {
                    return p.group_index < 0 || p.messages == static_cast<std::uint64_t>(round) + 1;
                });
        }));
        EXPECT_LT(Clock::now() - start, 2s);
    }
    for (auto& thread : waiting)
        thread.join();
}

// The woken member resigns as the sentinel if it was that, and calls another for the duty; a
// sentinel ticks. Nobody else stirs.
TEST(WakeUp, OneMessageWakesOneMemberOfAGroupAndASentinelAtMost) {
    constexpr std::size_t members = 8;
    constexpr int rounds = 10;
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto producer = channel.producer();
    std::vector<std::atomic<pid_t>> ids(members);
    std::atomic<int> received{0};
    std::vector<std::jthread> waiting;
    waiting.reserve(members);
    for (auto& id : ids) {
        waiting.emplace_back([&](const std::stop_token& stop) {
            id = ::gettid();
            auto member = channel.join("workers", {.participant = parking});
            while (auto message = member.receive(stop))
                ++received;
        });
    }
    std::ptrdiff_t stirred = 0;
    int counted = 0;
    for (int round = 1; round <= rounds; ++round) {
        const std::int64_t tick = slow_ticks_so_far();
        const auto before = sleeps_when_all_sleep(name, ids);
        EXPECT_TRUE(producer.send("x"));
        ASSERT_TRUE(eventually([&] { return received == round; }));
        const auto after = sleeps_when_all_sleep(name, ids);
        ASSERT_EQ(before.size(), members);
        ASSERT_EQ(after.size(), members);
        if (slow_ticks_so_far() != tick) continue;  // which stirs all of them
        ++counted;
        for (std::size_t i = 0; i < members; ++i) {
            if (after[i] != before[i]) ++stirred;
        }
    }
    EXPECT_GE(stirred, counted);
    // The taker, who is called, who ticks fast; all of them would be eight each.
    EXPECT_LE(stirred, 3 * counted);
}

TEST(WakeUp, ManyMessagesWakeAllMembers) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto producer = channel.producer();
    for (const bool batch : {false, true}) {
        std::atomic<int> received{0};
        std::vector<std::jthread> waiting;
        waiting.reserve(64);
        for (int i = 0; i < 3; ++i) {
            waiting.emplace_back([&] {
                auto member = channel.join("workers", {.ack = Ack::manual, .participant = parking});
                auto message = member.receive_for(20s);
                ++received;
                // Holds it until each has one: nobody may do the work of another.
                EXPECT_TRUE(eventually([&] { return received == 3; }));
                EXPECT_TRUE(message.ack());
            });
        }
        ASSERT_TRUE(all_park(name, 3));
        const auto start = Clock::now();
        const std::vector<std::string_view> items{"a", "b", "c"};
        if (batch) {
            EXPECT_EQ(producer.send_batch(items).count(), 3U);
        } else {
            for (const auto item : items)
                EXPECT_TRUE(producer.send(item));
        }
        for (auto& thread : waiting)
            thread.join();
        EXPECT_LT(Clock::now() - start, 2s);
    }
}

/// A lone subscriber that sleeps between messages, and so has the sentinel's duty each time.
class WakeUpOfTheSentinel : public testing::Test {
protected:
    void send_one() {
        ASSERT_TRUE(all_park(name_, 1));
        ASSERT_TRUE(producer_.send("news"));
        const int expected = ++sent_;
        ASSERT_TRUE(eventually([&] { return received_->load() == expected; }));
    }
    std::int64_t swept_at() const { return memory_of(name_)->header().swept_at; }

    const ChannelName name_;
    Producer<> producer_ = Channel<>::create(name_).producer();
    int sent_ = 0;
    const SharedValue<std::atomic<int>> received_;
    Child sleeper_{[this] {
        auto subscriber = Channel<>::open(name_).subscribe({.participant = parking});
        while (subscriber.receive_for(60s))
            ++*received_;
    }};
};

// A sweep took longer than all the rest of it.
TEST_F(WakeUpOfTheSentinel, ForAMessageCostsNoSweep) {
    ASSERT_NO_FATAL_FAILURE(send_one());
    constexpr int rounds = 20;
    int sweeps = 0;
    for (int round = 0; round < rounds; ++round) {
        const std::int64_t before = swept_at();
        ASSERT_NO_FATAL_FAILURE(send_one());
        if (swept_at() != before) ++sweeps;
    }
    EXPECT_LT(sweeps, rounds / 2) << "its ticks go on, every 3 s";
}

TEST_F(WakeUpOfTheSentinel, AgainAndAgainDelaysNoTick) {
    ASSERT_NO_FATAL_FAILURE(send_one());
    const std::int64_t before = swept_at();
    EXPECT_TRUE(eventually(
        [&] {
            send_one();
            std::this_thread::sleep_for(100ms);
            return HasFatalFailure() || swept_at() != before;
        },
        20))
        << "ticks are 3 s apart, messages 100 ms";
}

TEST(WakeUp, PingPongBetweenProcessesNeverStalls) {
    const ChannelName there("there");
    const ChannelName back("back");
    auto out = Channel<>::create(there, {.capacity = 2});
    auto in = Channel<>::create(back, {.capacity = 2});
    auto answers = in.subscribe({.participant = parking});
    { auto group = out.join("echo"); }
    Child child([&] {
        auto requests = Channel<>::open(there).join("echo", {.participant = parking});
        auto replies = Channel<>::open(back).producer(parking);
        while (auto request = requests.receive())
            (void)replies.send(request.text());
    });
    auto producer = out.exclusive_producer(parking);
    const auto start = Clock::now();
    for (int i = 0; i < 3000; ++i) {
        const std::string text = std::to_string(i);
        ASSERT_TRUE(producer.send_for(text, 20s));
        auto answer = answers.receive_for(20s);
        ASSERT_TRUE(answer);
        ASSERT_EQ(answer.text(), text);
    }
    // One stall per hundred round trips would take longer.
    EXPECT_LT(Clock::now() - start, 10s);
    EXPECT_TRUE(producer.close());
    EXPECT_EQ(child.wait(), 0);
}

// ------------------------------------------------------------- without the asymmetric barrier

struct Progress {
    std::atomic<int> received{0};
};

class WithoutBarrier : public testing::TestWithParam<std::pair<bool, bool>> {};
INSTANTIATE_TEST_SUITE_P(Fallbacks, WithoutBarrier,
                         testing::Values(std::pair(true, false), std::pair(false, true),
                                         std::pair(true, true)));

TEST_P(WithoutBarrier, MessagesAndRoomStillWakeSleepers) {
    const auto [cannot_register, cannot_execute] = GetParam();
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 2});
    { auto group = channel.join("workers"); }
    const SharedValue<Progress> progress;
    constexpr int messages = 1000;
    Child reader([&, cannot_register = cannot_register, cannot_execute = cannot_execute] {
        os::simulate_absence(cannot_register, cannot_execute);
        auto member = Channel<>::open(name).join("workers", {.participant = parking});
        for (int i = 0; i < messages; ++i) {
            auto message = member.receive_for(20s);
            if (!message || message.text() != std::to_string(i)) throw std::runtime_error("lost");
            progress->received = i + 1;
        }
    });
    Child writer([&, cannot_register = cannot_register, cannot_execute = cannot_execute] {
        os::simulate_absence(cannot_register, cannot_execute);
        auto producer = Channel<>::open(name).producer(parking);
        for (int i = 0; i < messages; ++i) {
            if (!producer.send_for(std::to_string(i), 20s)) throw std::runtime_error("not sent");
            // Now and then both are asleep, or one alone.
            if (i % 200 == 199) {
                while (progress->received != i + 1)
                    std::this_thread::sleep_for(1ms);
                std::this_thread::sleep_for(5ms);
            }
        }
    });
    const auto start = Clock::now();
    EXPECT_EQ(reader.wait(), 0);
    EXPECT_EQ(writer.wait(), 0);
    EXPECT_LT(Clock::now() - start, 20s);
}

TEST_P(WithoutBarrier, AParkedConsumerIsWokenSoon) {
    const auto [cannot_register, cannot_execute] = GetParam();
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto producer = channel.producer();
    const SharedValue<Progress> progress;
    Child reader([&, cannot_register = cannot_register, cannot_execute = cannot_execute] {
        os::simulate_absence(cannot_register, cannot_execute);
        auto subscriber = Channel<>::open(name).subscribe({.participant = parking});
        while (subscriber.receive_for(20s))
            ++progress->received;
    });
    for (int round = 1; round <= 20; ++round) {
        ASSERT_TRUE(all_park(name, 1));
        const auto start = Clock::now();
        ASSERT_TRUE(producer.send("x"));
        ASSERT_TRUE(eventually([&] { return progress->received == round; }));
        EXPECT_LT(Clock::now() - start, 1s);
    }
    EXPECT_TRUE(producer.close());
    EXPECT_EQ(reader.wait(), 0);
}

// It may miss a message, and so looks again and again.
TEST(WithoutTheRightToExecuteTheBarrier, ASleeperParksInSlicesOf10MillisecondsAtMost) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    Child child([&] {
        os::simulate_absence(false, true);
        auto subscriber = Channel<>::open(name).subscribe({.participant = parking});
        const auto sleeps = [] {
            rusage usage{};
            ::getrusage(RUSAGE_THREAD, &usage);
            return usage.ru_nvcsw;
        };
        // Half of the hundred there should be, and of five attempts the best, for a busy machine;
        // the sentinel's ticks alone are twenty.
        long most = 0;
        for (int attempt = 0; attempt < 5 && most < 50; ++attempt) {
            const long before = sleeps();
            require(subscriber.receive_for(1s).status() == Status::timed_out, "nothing was sent");
            most = std::max(most, sleeps() - before);
        }
        require(most >= 50, "it looks every 10 ms");
    });
    EXPECT_EQ(child.wait(), 0);
}

}
}
