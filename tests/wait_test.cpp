// Waiting: deadlines, interruption, wake-ups, and what waiting costs.

#include <pthread.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <fstream>
#include <latch>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "ipc/ipc.hpp"
#include "ipc/os/clock.hpp"
#include "ipc/os/membarrier.hpp"
#include "ipc/protocol/sentinel.hpp"
#include "tests/support/channel_name.hpp"
#include "tests/support/child.hpp"
#include "tests/support/shared_value.hpp"
#include "tests/support/torn.hpp"

namespace ipc::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

const ParticipantOptions parking{.wait_policy = WaitPolicy::parking()};
const GroupOptions manual_parking{.ack = Ack::manual, .participant = parking};

std::size_t count_parked(const std::string& name) {
    const ChannelReport report = inspect(name);
    return static_cast<std::size_t>(
        std::count_if(report.participants.begin(), report.participants.end(),
                      [](const auto& p) { return p.activity != Activity::running; }));
}

/// How often a thread of this process went to sleep; nothing while it is awake.
std::optional<std::int64_t> sleeps_of(pid_t thread) {
    std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/status");
    const std::string key = "voluntary_ctxt_switches:";
    bool asleep = false;
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("State:\tS")) asleep = true;
        if (asleep && line.starts_with(key)) return std::stoll(line.substr(key.size()));
    }
    return std::nullopt;
}

/// Sleepers look at the sentinel in the same moments: when this number changes.
std::int64_t slow_ticks_so_far() {
    return os::now() / protocol::slow_tick;
}

bool all_park(const std::string& name, std::size_t count) {
    return eventually([&] { return count_parked(name) == count; });
}

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
    std::stop_source stop;
    std::vector<std::atomic<pid_t>> ids(members);
    std::vector<std::thread> waiting;
    waiting.reserve(members);
    std::atomic<int> received{0};
    for (auto& id : ids) {
        waiting.emplace_back([&] {
            id = ::gettid();
            auto member = channel.join("workers", {.participant = parking});
            while (auto message = member.receive(stop.get_token()))
                ++received;
        });
    }
    // One that has only reported its wait may still see the message without being woken.
    const auto sleeps_when_all_sleep = [&] {
        std::vector<std::int64_t> sleeps;
        EXPECT_TRUE(eventually([&] {
            sleeps.clear();
            for (const auto& id : ids) {
                if (const auto count = sleeps_of(id)) sleeps.push_back(*count);
            }
            return sleeps.size() == members && count_parked(name) == members;
        }));
        return sleeps;
    };
    std::ptrdiff_t stirred = 0;
    int counted = 0;
    for (int round = 1; round <= rounds; ++round) {
        const std::int64_t tick = slow_ticks_so_far();
        const auto before = sleeps_when_all_sleep();
        EXPECT_TRUE(producer.send("x"));
        ASSERT_TRUE(eventually([&] { return received == round; }));
        const auto after = sleeps_when_all_sleep();
        ASSERT_EQ(after.size(), before.size());
        if (slow_ticks_so_far() != tick) continue;  // which stirs all of them
        ++counted;
        for (std::size_t i = 0; i < members; ++i) {
            if (after[i] != before[i]) ++stirred;
        }
    }
    EXPECT_GE(stirred, counted);
    // The taker, who is called, who ticks fast; all of them would be eight each.
    EXPECT_LE(stirred, 3 * counted);
    stop.request_stop();
    for (auto& thread : waiting)
        thread.join();
}

TEST(WakeUp, ManyMessagesWakeAllMembers) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto producer = channel.producer();
    for (const bool batch : {false, true}) {
        std::vector<std::thread> waiting;
        waiting.reserve(64);
        std::atomic<int> received{0};
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

// --------------------------------------------------------------------------------------- its cost

double processor_seconds() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

TEST(Idle, ConsumersUseNextToNoProcessorTime) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.max_participants = 128});
    std::vector<std::jthread> waiting;
    waiting.reserve(64);
    for (int i = 0; i < 64; ++i) {
        waiting.emplace_back([&, i](const std::stop_token& stop) {
            auto consumer = i % 2 == 0 ? channel.join("workers") : channel.subscribe();
            EXPECT_EQ(consumer.receive(stop).status(), Status::interrupted);
        });
    }
    ASSERT_TRUE(all_park(name, 64));
    std::this_thread::sleep_for(200ms);
    const double before = processor_seconds();
    std::this_thread::sleep_for(3500ms);  // longer than the slow tick
    const double used = processor_seconds() - before;
    EXPECT_LT(used / 3.5, 0.01) << "of a core, for 64 of them";
}

// Each tick alone would wake an idle processor; each barrier would interrupt all busy ones.
TEST(Idle, SleepersTickInTheSameMomentWhenNothingIsInFlight) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    std::array<std::atomic<pid_t>, 3> ids{};
    std::vector<std::jthread> waiting;
    waiting.reserve(ids.size());
    for (auto& id : ids) {
        waiting.emplace_back([&](const std::stop_token& stop) {
            auto subscriber = channel.subscribe({.participant = parking});
            id = ::gettid();
            EXPECT_EQ(subscriber.receive(stop).status(), Status::interrupted);
        });
        std::this_thread::sleep_for(700ms);
    }
    ASSERT_TRUE(all_park(name, ids.size()));
    // Past the grace in which a sentinel ticks fast, and a little past the tick after it.
    std::this_thread::sleep_for(1200ms);
    const std::int64_t tick = slow_ticks_so_far();
    ASSERT_TRUE(eventually([&] { return slow_ticks_so_far() != tick; }));
    std::this_thread::sleep_for(300ms);
    const auto sleeps = [&] {
        std::vector<std::optional<std::int64_t>> counts;
        for (const auto& id : ids)
            counts.push_back(sleeps_of(id));
        return counts;
    };
    const auto between = sleeps();
    std::this_thread::sleep_for(2000ms);
    EXPECT_EQ(sleeps(), between);
    std::this_thread::sleep_for(1000ms);
    const auto after = sleeps();
    for (std::size_t i = 0; i < ids.size(); ++i)
        EXPECT_NE(after[i], between[i]);
}

TEST(Idle, ManyReadersTakeTurnsToLookAtTheSentinel) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    constexpr unsigned readers = 12;
    std::array<std::atomic<pid_t>, readers> ids{};
    std::vector<std::jthread> waiting;
    waiting.reserve(readers);
    for (auto& id : ids) {
        waiting.emplace_back([&](const std::stop_token& stop) {
            auto subscriber = channel.subscribe({.participant = parking});
            id = ::gettid();
            EXPECT_EQ(subscriber.receive(stop).status(), Status::interrupted);
        });
    }
    ASSERT_TRUE(all_park(name, readers));
    const auto sleeps_after_tick = [&] {
        const std::int64_t tick = slow_ticks_so_far();
        EXPECT_TRUE(eventually([&] { return slow_ticks_so_far() != tick; }));
        std::this_thread::sleep_for(500ms);
        std::vector<std::int64_t> counts;
        for (const auto& id : ids)
            counts.push_back(sleeps_of(id).value_or(0));
        return counts;
    };
    // The first tick is everybody's, at the second the sentinel may have had its grace.
    sleeps_after_tick();
    auto before = sleeps_after_tick();
    std::vector<bool> looked(readers);
    constexpr unsigned turns = readers / 4;
    for (unsigned turn = 0; turn < turns; ++turn) {
        const auto after = sleeps_after_tick();
        unsigned awake = 0;
        for (unsigned i = 0; i < readers; ++i) {
            if (after[i] == before[i]) continue;
            looked[i] = true;
            ++awake;
        }
        EXPECT_GE(awake, 3U);
        EXPECT_LE(awake, 4U + 1U) << "four, and the sentinel";
        before = after;
    }
    EXPECT_EQ(std::count(looked.begin(), looked.end(), true), readers) << "nobody was left out";
}

/// Readers of one channel that sleep, past the tick at which the sentinel sees how many rely on it.
class ManySleepers {
public:
    ManySleepers() {
        for (unsigned i = 0; i < readers; ++i)
            sleep_as(subscribe(i));
        EXPECT_TRUE(all_park(name_, readers));
        wait_for_ticks(2);
    }

    static constexpr unsigned readers = 12;
    /// One more, in the first of all places, that does not sleep at first.
    static constexpr unsigned late = readers;
    void late_one_sleeps() { sleep_as(std::move(late_)); }

    static void wait_for_ticks(int count) {
        const std::int64_t tick = slow_ticks_so_far();
        EXPECT_TRUE(eventually([&] { return slow_ticks_so_far() >= tick + count; }));
        std::this_thread::sleep_for(300ms);
    }
    std::size_t parked() const { return count_parked(name_); }
    /// Which of the readers has the duty.
    std::optional<unsigned> reader_with_duty() const {
        const format::Sentinel word{memory_->header().sentinel.load()};
        for (const auto& participant : inspect(name_).participants) {
            if (participant.index == word.participant()) {
                return static_cast<unsigned>(std::stoul(participant.name));
            }
        }
        return std::nullopt;
    }
    void interrupt(unsigned reader) { waiting_[reader].request_stop(); }

    struct Two {
        unsigned sentinel;
        unsigned other;
    };
    /// Of those that sleep all leave but two, before the sentinel looks around once more.
    std::optional<Two> leave_two() {
        const auto sentinel = reader_with_duty();
        if (!sentinel) return std::nullopt;
        const Two two = {.sentinel = *sentinel, .other = *sentinel == 0 ? 1U : 0U};
        for (unsigned reader = 0; reader < readers; ++reader) {
            if (reader != two.sentinel && reader != two.other) interrupt(reader);
        }
        wait_for_ticks(1);
        return two;
    }

private:
    Consumer<> subscribe(unsigned reader) const {
        return channel_.subscribe({.participant = {.name = std::to_string(reader),
                                                   .wait_policy = WaitPolicy::parking()}});
    }
    void sleep_as(Consumer<> subscriber) {
        waiting_.emplace_back(
            [&, subscriber = std::move(subscriber)](const std::stop_token& stop) mutable {
                EXPECT_EQ(subscriber.receive(stop).status(), Status::interrupted);
                done_.wait();  // a reader that detaches wakes everybody
            });
    }

    const ChannelName name_;
    Channel<> channel_ = Channel<>::create(name_);
    std::shared_ptr<protocol::ChannelMemory> memory_ = memory_of(name_);
    Consumer<> late_ = subscribe(late);
    std::latch done_{1};
    std::vector<std::jthread> waiting_;
    std::shared_ptr<void> at_the_end_{nullptr, [this](void*) { done_.count_down(); }};
};

// The others may let some ticks pass: until then nobody would look.
TEST(Idle, ASentinelOfManySleepersHandsOverWhenItWakes) {
    ManySleepers sleepers;
    for (int leaves = 0; leaves < 3; ++leaves) {
        const auto former = sleepers.reader_with_duty();
        ASSERT_TRUE(former);
        sleepers.interrupt(*former);
        EXPECT_TRUE(eventually(
            [&] {
                const auto next = sleepers.reader_with_duty();
                return next && next != former;
            },
            2));
    }
}

// Those that remain may rest as they chose to while they were many.
TEST(Idle, ASentinelHandsOverAlsoWhenMostOfManySleepersLeftBefore) {
    ManySleepers sleepers;
    const auto remaining = sleepers.leave_two();
    ASSERT_TRUE(remaining);
    ASSERT_EQ(sleepers.reader_with_duty(), remaining->sentinel);
    sleepers.interrupt(remaining->sentinel);
    EXPECT_TRUE(eventually([&] { return sleepers.reader_with_duty() == remaining->other; }, 2));
}

// One that was not there when they were many was told by its predecessor.
TEST(Idle, ASentinelHandsOverForSleepersThatItNeverSawBeMany) {
    ManySleepers sleepers;
    const auto remaining = sleepers.leave_two();
    ASSERT_TRUE(remaining);
    sleepers.late_one_sleeps();
    ASSERT_TRUE(eventually([&] { return sleepers.parked() == 3; }));
    sleepers.interrupt(remaining->sentinel);
    EXPECT_TRUE(eventually([&] { return sleepers.reader_with_duty() == ManySleepers::late; }, 2));
    sleepers.interrupt(ManySleepers::late);
    EXPECT_TRUE(eventually([&] { return sleepers.reader_with_duty() == remaining->other; }, 2));
}

TEST(Idle, ASleeperAnnouncesItselfOnceHoweverOftenItTicks) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto holder = channel.join("workers", manual_parking);
    ASSERT_TRUE(channel.producer().send("x"));
    auto held = holder.receive();
    std::jthread waiting([&](const std::stop_token& stop) {
        auto member = channel.join("workers", manual_parking);
        EXPECT_EQ(member.receive(stop).status(), Status::interrupted);
    });
    ASSERT_TRUE(all_park(name, 1));
    const auto memory = memory_of(name);
    const auto next_tick = [&] {
        const std::int64_t last = memory->header().swept_at;
        return eventually([&] { return memory->header().swept_at != last; });
    };
    ASSERT_TRUE(next_tick());
    const std::uint64_t announced = memory->group(0).parking.announcement;
    EXPECT_NE(announced & format::Announcement::pending, 0U);
    for (int i = 0; i < 5; ++i)
        ASSERT_TRUE(next_tick());
    EXPECT_EQ(memory->group(0).parking.announcement, announced);
    waiting.request_stop();
    waiting.join();
    EXPECT_TRUE(held.ack());
}

// A sweep of the sentinel wakes a member here each time, which must not look like a call for it.
TEST(Idle, ADelayedMessageOfAClosedChannelIsWaitedForWithSlowTicks) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    std::vector<std::jthread> waiting;
    waiting.reserve(2);
    {
        auto member = channel.join("workers", manual_parking);
        auto producer = channel.producer();
        ASSERT_TRUE(producer.send("x"));
        auto message = member.receive();
        ASSERT_TRUE(message.nack(60s));
        ASSERT_TRUE(producer.close());
        for (int i = 0; i < 2; ++i) {
            waiting.emplace_back([&](const std::stop_token& stop) {
                auto other = channel.join("workers", manual_parking);
                EXPECT_EQ(other.receive(stop).status(), Status::interrupted);
            });
        }
        ASSERT_TRUE(all_park(name, 2));
    }
    const auto memory = memory_of(name);
    const auto slow = [&] { return !format::Sentinel{memory->header().sentinel.load()}.is_fast(); };
    ASSERT_TRUE(eventually(slow));
    int sweeps = 0;
    std::int64_t last = memory->header().swept_at;
    for (int i = 0; i < 700; ++i) {
        std::this_thread::sleep_for(10ms);
        if (std::exchange(last, memory->header().swept_at.load()) != last) ++sweeps;
    }
    EXPECT_GE(sweeps, 2);
    EXPECT_LE(sweeps, 8);
}

TEST(Idle, WaitingForAHeldMessageCostsLittle) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto holder = channel.join("workers", manual_parking);
    ASSERT_TRUE(channel.producer().send("x"));
    auto held = holder.receive();
    std::vector<std::jthread> waiting;
    waiting.reserve(64);
    for (int i = 0; i < 16; ++i) {
        waiting.emplace_back([&](const std::stop_token& stop) {
            auto member = channel.join("workers", manual_parking);
            EXPECT_EQ(member.receive(stop).status(), Status::interrupted);
        });
    }
    ASSERT_TRUE(all_park(name, 16));
    const double before = processor_seconds();
    std::this_thread::sleep_for(1s);
    EXPECT_LT(processor_seconds() - before, 0.03);  // one sentinel, 20 ticks a second
    waiting.clear();
    EXPECT_TRUE(held.ack());
}

}
}
