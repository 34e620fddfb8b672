// What waiting costs while nothing happens, and who looks after the dead meanwhile. Times are
// measured, of ticks that are seconds apart: alone, and without sanitizers.

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "ipc/ipc.hpp"
#include "ipc/os/clock.hpp"
#include "ipc/protocol/sentinel.hpp"
#include "tests/support/channel_name.hpp"
#include "tests/support/child.hpp"
#include "tests/support/processor_time.hpp"
#include "tests/support/sleepers.hpp"
#include "tests/support/torn.hpp"

namespace ipc::test {
namespace {

using namespace std::chrono_literals;

const ParticipantOptions parking{.wait_policy = WaitPolicy::parking()};
const GroupOptions manual_parking{.ack = Ack::manual, .participant = parking};

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
    const auto between = sleeps_when_all_sleep(name, ids);
    ASSERT_EQ(between.size(), ids.size());
    std::this_thread::sleep_for(2000ms);
    EXPECT_EQ(sleeps_when_all_sleep(name, ids), between);
    std::this_thread::sleep_for(1000ms);
    const auto after = sleeps_when_all_sleep(name, ids);
    ASSERT_EQ(after.size(), ids.size());
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
        return sleeps_when_all_sleep(name, ids);
    };
    // The first tick is everybody's, at the second the sentinel may have had its grace.
    sleeps_after_tick();
    auto before = sleeps_after_tick();
    ASSERT_EQ(before.size(), readers);
    std::vector<bool> looked(readers);
    constexpr unsigned turns = readers / 4;
    for (unsigned turn = 0; turn < turns; ++turn) {
        const auto after = sleeps_after_tick();
        ASSERT_EQ(after.size(), readers);
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
            });
    }

    const ChannelName name_;
    Channel<> channel_ = Channel<>::create(name_);
    std::shared_ptr<protocol::ChannelMemory> memory_ = memory_of(name_);
    Consumer<> late_ = subscribe(late);
    std::vector<std::jthread> waiting_;
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

/// Waits until the sentinel has swept once more.
bool next_tick(const protocol::ChannelMemory& memory) {
    const std::int64_t last = memory.header().swept_at;
    return eventually([&] { return memory.header().swept_at != last; });
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
    ASSERT_TRUE(next_tick(*memory));
    const std::uint64_t announced = memory->group(0).parking.announcement;
    EXPECT_NE(announced & format::Announcement::pending, 0U);
    for (int i = 0; i < 5; ++i)
        ASSERT_TRUE(next_tick(*memory));
    EXPECT_EQ(memory->group(0).parking.announcement, announced);
    waiting.request_stop();
    waiting.join();
    EXPECT_TRUE(held.ack());
}

// Who waits for others to settle has nothing to look at meanwhile.
TEST(Idle, NobodyIsWokenAtTheEndOfAClosedChannelBeforeAllOfItIsSettled) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto holder = channel.join("workers", manual_parking);
    auto producer = channel.producer();
    ASSERT_TRUE(producer.send("x"));
    auto held = holder.receive();
    ASSERT_TRUE(producer.close());
    const std::jthread waiting([&] {
        auto member = channel.join("workers", manual_parking);
        EXPECT_EQ(member.receive_for(60s).status(), Status::closed);
    });
    EXPECT_TRUE(all_park(name, 1));
    const auto memory = memory_of(name);
    EXPECT_TRUE(next_tick(*memory));
    const std::uint32_t woken = memory->group(0).parking.futex;
    for (int i = 0; i < 5; ++i)
        EXPECT_TRUE(next_tick(*memory));
    EXPECT_EQ(memory->group(0).parking.futex, woken);
    EXPECT_TRUE(held.ack());
}

// Nobody is told of its end before the delay's: not by a sweep of the sentinel either.
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

// Whoever went to sleep before the delay was set does not know of it, and the one that was woken
// for it leaves. In one channel the sentinel remains, in the other it leaves as well, after it.
TEST(Idle, ADelayEndsInTimeThoughWhoKnewOfItLeft) {
    struct Scene {
        const ChannelName name;
        Channel<> channel = Channel<>::create(name);
        Consumer<> subscriber = channel.subscribe({.participant = parking});
        Consumer<> woken = channel.join("workers", manual_parking);
        Consumer<> waiting = channel.join("workers", manual_parking);
        Consumer<> holder = channel.join("workers", manual_parking);
        std::optional<Message<>> held;
        std::atomic<os::Nanoseconds> received{0};
        std::vector<std::jthread> threads;

        void set_up() {
            ASSERT_TRUE(channel.producer().send("x"));
            ASSERT_TRUE(subscriber.receive());
            held.emplace(holder.receive());
            threads.emplace_back([this](const std::stop_token& stop) {
                EXPECT_EQ(subscriber.receive(stop).status(), Status::interrupted);
            });
            ASSERT_TRUE(all_park(name, 1));
        }
        void members_sleep() {
            threads.emplace_back([this] {  // not by a stop, which wakes the whole group
                EXPECT_EQ(woken.receive_for(1400ms).status(), Status::timed_out);
            });
            ASSERT_TRUE(all_park(name, 2));
            threads.emplace_back([this] {  // the second in line
                EXPECT_TRUE(waiting.receive_for(20s).ack());
                received = os::now();
            });
            ASSERT_TRUE(all_park(name, 3));
        }
    };
    std::array<Scene, 2> scenes;
    for (Scene& scene : scenes)
        scene.set_up();
    // Past the grace in which a sentinel ticks fast, and well before all sleepers look again.
    constexpr auto delay = 1700ms;
    const std::int64_t tick = slow_ticks_so_far();
    ASSERT_TRUE(eventually([&] { return slow_ticks_so_far() != tick; }));
    for (Scene& scene : scenes)
        scene.members_sleep();
    const os::Nanoseconds due = os::now() + std::chrono::nanoseconds(delay).count();
    for (Scene& scene : scenes)
        ASSERT_TRUE(scene.held->nack(delay));
    for (Scene& scene : scenes)
        scene.threads[1].join();
    scenes[1].threads[0].request_stop();
    for (Scene& scene : scenes) {
        EXPECT_TRUE(eventually([&] { return scene.received != 0; }));
        EXPECT_LT(scene.received, due + 500'000'000);
    }
}

// The sweeps look at the claim for all of them.
TEST(Idle, OnlyTheSentinelWakesWhileAProducerIsStoppedInAClaim) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    std::vector<Consumer<>> readers;
    for (int i = 0; i < 2; ++i) {
        readers.push_back(channel.subscribe({.participant = parking}));
        readers.push_back(channel.join("workers", manual_parking));
    }
    readers.push_back(channel.subscribe({.delivery = Delivery::lossy, .participant = parking}));
    Child producer([&] {
        TornProducer torn(name);
        torn.claim();
        wait_for_the_end();
    });
    ASSERT_TRUE(eventually([&] { return inspect(name).tail == 1; }));
    std::array<std::atomic<pid_t>, 5> ids{};
    std::vector<std::jthread> waiting;
    for (std::size_t i = 0; i < readers.size(); ++i) {
        waiting.emplace_back([&, i](const std::stop_token& stop) {
            ids[i] = ::gettid();
            EXPECT_EQ(readers[i].receive(stop).status(), Status::interrupted);
        });
    }
    ASSERT_TRUE(all_park(name, ids.size()));
    std::this_thread::sleep_for(300ms);
    const auto before = sleeps_when_all_sleep(name, ids);
    ASSERT_EQ(before.size(), ids.size());
    std::this_thread::sleep_for(1s);
    const auto after = sleeps_when_all_sleep(name, ids);
    ASSERT_EQ(after.size(), ids.size());
    unsigned often = 0;
    for (std::size_t i = 0; i < ids.size(); ++i) {
        if (after[i] - before[i] > 5) ++often;
    }
    EXPECT_EQ(often, 1U) << "it ticks 20 times a second";
}

// A program that keeps the latest message, as many do: sweeps look behind it.
TEST(Idle, ASubscriberThatHoldsAMessageWhileItWaitsSleepsOn) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto subscriber = channel.subscribe({.participant = parking});
    auto sentinel = channel.join("workers", manual_parking);
    auto holder = channel.join("workers", manual_parking);
    ASSERT_TRUE(channel.producer().send("x"));
    const auto latest = subscriber.receive();
    auto leased = holder.receive();
    std::array<std::atomic<pid_t>, 2> ids{};
    std::vector<std::jthread> waiting;
    const auto sleep_as = [&](Consumer<>& consumer) {
        waiting.emplace_back([&, i = waiting.size()](const std::stop_token& stop) {
            ids[i] = ::gettid();
            EXPECT_EQ(consumer.receive(stop).status(), Status::interrupted);
        });
        ASSERT_TRUE(all_park(name, waiting.size()));
    };
    sleep_as(sentinel);
    sleep_as(subscriber);
    std::this_thread::sleep_for(100ms);
    const auto before = sleeps_when_all_sleep(name, ids);
    std::this_thread::sleep_for(1s);
    const auto after = sleeps_when_all_sleep(name, ids);
    ASSERT_TRUE(before.size() == 2 && after.size() == 2);
    EXPECT_GT(after[0] - before[0], 5);
    EXPECT_LE(after[1] - before[1], 1);
    waiting.clear();
    EXPECT_TRUE(leased.ack());
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
