// Groups: every policy of a named group, and what each way of settling a message means.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "ipc/ipc.hpp"
#include "ipc/os/clock.hpp"
#include "ipc/protocol/lease.hpp"
#include "ipc/protocol/member.hpp"
#include "ipc/protocol/recovery.hpp"
#include "ipc/protocol/wait.hpp"
#include "tests/support/channel_name.hpp"
#include "tests/support/child.hpp"
#include "tests/support/refusal.hpp"
#include "tests/support/report_of.hpp"
#include "tests/support/sleepers.hpp"
#include "tests/support/torn.hpp"

namespace ipc::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

const GroupOptions manual{.ack = Ack::manual};

void send_numbers(Producer<>& producer, int from, int end) {
    for (int i = from; i < end; ++i)
        ASSERT_TRUE(producer.send(std::to_string(i)));
}

/// Texts of everything there is now; each is acknowledged.
std::vector<std::string> drain(Consumer<>& consumer) {
    std::vector<std::string> texts;
    while (auto message = consumer.try_receive()) {
        texts.emplace_back(message.text());
        EXPECT_TRUE(message.ack());
    }
    return texts;
}

std::vector<std::string> numbers(int from, int end) {
    std::vector<std::string> texts;
    for (int i = from; i < end; ++i)
        texts.push_back(std::to_string(i));
    return texts;
}

// ---------------------------------------------------------------------------- who sees what

TEST(Group, MembersShareTheMessagesAndNoneGetsOneTwice) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 256});
    auto first = channel.join("workers");
    auto second = channel.join("workers");
    auto producer = channel.producer();
    send_numbers(producer, 0, 200);
    std::vector<std::string> seen;
    std::size_t of_second = 0;
    for (;;) {
        auto one = first.try_receive();
        auto two = second.try_receive();
        if (!one && !two) break;
        for (auto* message : {&one, &two}) {
            if (!*message) continue;
            EXPECT_EQ(message->attempt(), 1U);
            EXPECT_EQ(std::to_string(message->position()), message->text());
            seen.emplace_back(message->text());
        }
        if (two) ++of_second;
    }
    EXPECT_EQ(seen, numbers(0, 200));  // first deliveries follow the order of positions
    EXPECT_EQ(of_second, 100U);
}

TEST(Group, EveryGroupSeesEveryMessage) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto red = channel.join("red");
    auto blue = channel.join("blue", manual);
    auto tap = channel.subscribe();
    auto producer = channel.producer();
    send_numbers(producer, 0, 50);
    EXPECT_EQ(drain(red), numbers(0, 50));
    EXPECT_EQ(drain(blue), numbers(0, 50));
    EXPECT_EQ(drain(tap), numbers(0, 50));
}

TEST(Group, ANewOneStartsWhereItAsks) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 64});
    auto producer = channel.producer();
    send_numbers(producer, 0, 20);
    auto latest = channel.join("latest", {.from = Start::latest()});
    auto earliest = channel.join("earliest", {.from = Start::earliest()});
    auto seventh = channel.join("seventh", {.from = Start::at(7)});
    EXPECT_EQ(latest.try_receive().status(), Status::empty);
    EXPECT_EQ(drain(earliest), numbers(0, 20));
    EXPECT_EQ(drain(seventh), numbers(7, 20));
    EXPECT_EQ(seventh.skipped(), 0U);
    send_numbers(producer, 20, 21);
    EXPECT_EQ(drain(latest), numbers(20, 21));
}

TEST(Group, StartingAtAPositionThatIsGoneSkipsToTheOldestAndSaysHowFar) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 16});
    auto producer = channel.producer();
    send_numbers(producer, 0, 100);
    auto member = channel.join("late", {.from = Start::at(3)});
    const Position oldest = member.position();
    EXPECT_GE(oldest, 84U);
    EXPECT_LE(oldest, 85U);
    EXPECT_EQ(member.skipped(), oldest - 3);
    EXPECT_EQ(drain(member), numbers(static_cast<int>(oldest), 100));
    EXPECT_EQ(report_of(name, "late").skipped, oldest - 3);
}

TEST(Group, WhereItStartsMattersToTheMemberThatCreatesItOnly) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto producer = channel.producer();
    send_numbers(producer, 0, 5);
    auto first = channel.join("workers", {.from = Start::at(2)});
    auto second = channel.join("workers", {.from = Start::earliest()});
    EXPECT_EQ(drain(second), numbers(2, 5));
}

// -------------------------------------------------------------------------- lifetime and gating

TEST(Group, ADurableOneKeepsItsPlaceAndBacklogWithoutMembers) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto producer = channel.producer();
    {
        auto member = channel.join("workers", manual);
        send_numbers(producer, 0, 3);
        EXPECT_TRUE(member.receive().ack());
    }
    send_numbers(producer, 3, 6);
    EXPECT_EQ(report_of(name, "workers").backlog, 5U);
    EXPECT_EQ(report_of(name, "workers").members, 0U);
    auto member = channel.join("workers", manual);
    EXPECT_EQ(drain(member), numbers(1, 6));
}

TEST(Group, ADurableOneGatesWithoutMembersAndAnEphemeralOneDoesNot) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 4});
    auto producer = channel.producer();
    { auto ephemeral = channel.join("ephemeral", {.lifetime = Lifetime::ephemeral}); }
    send_numbers(producer, 0, 10);
    { auto durable = channel.join("durable"); }
    send_numbers(producer, 10, 14);
    EXPECT_EQ(producer.try_send("full").status(), Status::full);
    auto durable = channel.join("durable");
    EXPECT_EQ(drain(durable), numbers(10, 14));
    EXPECT_TRUE(producer.try_send("room"));
}

TEST(Group, AnEphemeralOneEndsWithItsLastMemberAndNotBefore) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto producer = channel.producer();
    const GroupOptions options{.lifetime = Lifetime::ephemeral};
    {
        auto second = channel.join("workers", options);
        {
            auto first = channel.join("workers", options);
            send_numbers(producer, 0, 3);
        }
        ASSERT_NE(inspect(name).find_group("workers"), nullptr);
        EXPECT_EQ(drain(second), numbers(0, 3));
        send_numbers(producer, 3, 5);
    }
    EXPECT_EQ(inspect(name).find_group("workers"), nullptr);
    auto next = channel.join("workers", options);
    EXPECT_EQ(next.try_receive().status(), Status::empty);
}

TEST(Group, AMessageThatOutlivesItsConsumerKeepsTheMembership) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto producer = channel.producer();
    GroupOptions options = manual;
    options.lifetime = Lifetime::ephemeral;
    auto message = [&] {
        auto member = channel.join("workers", options);
        send_numbers(producer, 0, 1);
        return member.receive();
    }();
    EXPECT_EQ(message.text(), "0");
    EXPECT_TRUE(message.held());
    EXPECT_EQ(report_of(name, "workers").in_flight, 1U);
    EXPECT_TRUE(message.ack());
    EXPECT_EQ(inspect(name).find_group("workers"), nullptr);
}

TEST(Group, ItsEntryIsUsedAgainOnlyWhenNoMemberOfTheFormerGroupLives) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.max_groups = 1});
    std::optional<Consumer<>> former(channel.join("workers"));
    channel.remove_group("workers");
    std::string what;
    EXPECT_EQ(refusal([&] { (void)channel.join("workers"); }, &what), Errc::limit_reached);
    EXPECT_TRUE(contains(what, "group entries")) << what;
    EXPECT_EQ(former->try_receive().status(), Status::removed);
    EXPECT_EQ(refusal([&] { (void)channel.join("others"); }), Errc::limit_reached);
    former.reset();
    auto member = channel.join("others");
    EXPECT_TRUE(channel.producer().send("x"));
    EXPECT_EQ(member.try_receive().text(), "x");
}

TEST(Group, AReliableOneMakesProducersWaitUntilItIsDoneWithTheOldest) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 4});
    auto member = channel.join("workers", manual);
    auto producer = channel.producer();
    send_numbers(producer, 0, 4);
    auto zero = member.receive();
    auto one = member.receive();
    EXPECT_TRUE(one.ack());
    EXPECT_EQ(producer.try_send("4").status(), Status::full);  // 0 is not settled
    EXPECT_TRUE(zero.ack());
    EXPECT_TRUE(producer.try_send("4"));
    EXPECT_TRUE(producer.try_send("5"));
    EXPECT_EQ(producer.try_send("6").status(), Status::full);
    EXPECT_EQ(drain(member), numbers(2, 6));
}

// ------------------------------------------------------------------------------ acknowledgement

TEST(Acknowledgement, AutomaticSettlesAMessageWhenItsObjectEnds) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto member = channel.join("workers");
    auto producer = channel.producer();
    send_numbers(producer, 0, 2);
    { auto message = member.receive(); }
    auto second = member.receive();
    EXPECT_EQ(second.text(), "1");
    EXPECT_EQ(report_of(name, "workers").acked, 1U);
    second.release();
    EXPECT_EQ(report_of(name, "workers").acked, 2U);
    EXPECT_EQ(member.try_receive().status(), Status::empty);
}

TEST(Acknowledgement, ManualGivesBackWhatIsDestroyedUnacknowledged) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto member = channel.join("workers", manual);
    auto other = channel.join("workers", manual);
    auto producer = channel.producer();
    send_numbers(producer, 0, 1);
    for (unsigned attempt = 1; attempt <= 3; ++attempt) {
        auto message = member.receive_for(5s);
        ASSERT_TRUE(message);
        EXPECT_EQ(message.text(), "0");
        EXPECT_EQ(message.attempt(), attempt);
    }
    auto message = other.receive_for(5s);
    ASSERT_TRUE(message);
    EXPECT_EQ(message.attempt(), 4U);
    EXPECT_TRUE(message.ack());
    EXPECT_EQ(member.try_receive().status(), Status::empty);
    EXPECT_EQ(other.try_receive().status(), Status::empty);
}

TEST(Acknowledgement, AMessageIsSettledOnce) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto member = channel.join("workers", manual);
    auto producer = channel.producer();
    send_numbers(producer, 0, 1);
    auto message = member.receive();
    EXPECT_TRUE(message.held());
    EXPECT_TRUE(message.ack());
    EXPECT_FALSE(message.held());
    EXPECT_EQ(message.ack().status(), Status::not_leased);
    EXPECT_EQ(message.nack().status(), Status::not_leased);
    EXPECT_EQ(message.reject().status(), Status::not_leased);
    EXPECT_EQ(message.renew().status(), Status::not_leased);
    message.release();
    EXPECT_EQ(report_of(name, "workers").settled, 1U);
}

TEST(Acknowledgement, OfANothingIsNotLeased) {
    const ChannelName name;
    auto member = Channel<>::create(name).join("workers", manual);
    auto nothing = member.try_receive();
    EXPECT_EQ(nothing.status(), Status::empty);
    EXPECT_EQ(nothing.ack().status(), Status::not_leased);
    EXPECT_EQ(nothing.nack(1s).status(), Status::not_leased);
    EXPECT_FALSE(nothing.held());
}

TEST(Acknowledgement, MovingAMessageMovesTheRightToSettleIt) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto member = channel.join("workers", manual);
    auto producer = channel.producer();
    send_numbers(producer, 0, 2);
    auto source = member.receive();
    auto target = std::move(source);
    EXPECT_FALSE(source.held());  // NOLINT(bugprone-use-after-move): what is left is the promise
    EXPECT_TRUE(target.held());
    target = member.receive();  // gives 0 back
    EXPECT_EQ(target.text(), "1");
    EXPECT_TRUE(target.ack());
    auto again = member.receive_for(5s);
    ASSERT_TRUE(again);
    EXPECT_EQ(again.text(), "0");
    EXPECT_EQ(again.attempt(), 2U);
}

TEST(Acknowledgement, NackGivesAnotherAttemptAtOnce) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto member = channel.join("workers");
    auto producer = channel.producer();
    send_numbers(producer, 0, 2);
    EXPECT_TRUE(member.receive().nack());
    auto again = member.receive_for(5s);
    ASSERT_TRUE(again);
    EXPECT_EQ(again.text(), "0");
    EXPECT_EQ(again.attempt(), 2U);
    again.release();
    EXPECT_EQ(drain(member), numbers(1, 2));
}

TEST(Acknowledgement, NackWithADelayHoldsTheMessageBackAndNothingElse) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto member = channel.join("workers", manual);
    auto producer = channel.producer();
    send_numbers(producer, 0, 2);
    const auto start = Clock::now();
    EXPECT_TRUE(member.receive().nack(300ms));
    EXPECT_EQ(report_of(name, "workers").delayed, 1U);
    EXPECT_EQ(report_of(name, "workers").backlog, 2U);
    EXPECT_EQ(drain(member), numbers(1, 2));
    auto again = Message<>(member.try_receive());
    while (!again && Clock::now() - start < 10s)
        again = member.try_receive();
    ASSERT_TRUE(again);
    EXPECT_GE(Clock::now() - start, 299ms);
    EXPECT_EQ(again.text(), "0");
    EXPECT_EQ(again.attempt(), 2U);
    EXPECT_TRUE(again.ack());
    EXPECT_EQ(report_of(name, "workers").delayed, 0U);
}

TEST(Acknowledgement, ADelayedMessageWakesAMemberThatSleepsSoonAfterItsTime) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    GroupOptions options = manual;
    options.participant.wait_policy = WaitPolicy::parking();
    auto member = channel.join("workers", options);
    auto producer = channel.producer();
    send_numbers(producer, 0, 1);
    std::vector<Clock::duration> late;
    for (int round = 0; round < 3; ++round) {
        auto message = member.receive_for(10s);
        ASSERT_TRUE(message);
        const auto start = Clock::now();
        EXPECT_TRUE(message.nack(200ms));
        auto again = member.receive_for(10s);
        ASSERT_TRUE(again);
        EXPECT_GE(Clock::now() - start, 199ms);
        late.push_back(Clock::now() - start - 200ms);
    }
    // The sentinel ticks every 50 ms while anything is in flight or waits for its time.
    EXPECT_LT(*std::min_element(late.begin(), late.end()), 500ms);
}

TEST(Acknowledgement, ASleepingMemberGetsWhatAnotherGivesBack) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    GroupOptions options = manual;
    options.participant.wait_policy = WaitPolicy::parking();
    auto holder = channel.join("workers", options);
    auto producer = channel.producer();
    send_numbers(producer, 0, 1);
    auto held = holder.receive();
    std::thread sleeper([&] {
        auto member = channel.join("workers", options);
        auto message = member.receive_for(20s);
        ASSERT_TRUE(message);
        EXPECT_EQ(message.text(), "0");
        EXPECT_EQ(message.attempt(), 2U);
        EXPECT_TRUE(message.ack());
    });
    EXPECT_TRUE(eventually([&] {
        for (const auto& participant : inspect(name).participants) {
            if (participant.activity == Activity::waiting_for_message) return true;
        }
        return false;
    }));
    const auto start = Clock::now();
    EXPECT_TRUE(held.nack());
    sleeper.join();
    EXPECT_LT(Clock::now() - start, 2s);
}

/// Processor time of this thread.
std::chrono::nanoseconds time_worked() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

TEST(Acknowledgement, CostsTheSameHoweverManyMessagesAreHeldWhileAMemberSleeps) {
    constexpr std::size_t capacity = 65536;
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = capacity, .region_size = 0});
    auto holder = channel.join("workers", manual);
    auto producer = channel.producer();
    std::vector<Message<>> held;
    held.reserve(capacity);
    for (std::size_t i = 0; i < capacity; ++i) {
        ASSERT_TRUE(producer.send("x"));
        held.push_back(holder.receive());
        ASSERT_TRUE(held.back());
    }
    // Newest first: the oldest keeps the window as long as it is.
    const auto settle = [&](std::size_t count) {
        const auto start = time_worked();
        for (std::size_t i = 0; i < count; ++i) {
            EXPECT_TRUE(held.back().ack());
            held.pop_back();
        }
        return time_worked() - start;
    };
    const auto alone = settle(capacity / 3);
    std::jthread sleeper([&](const std::stop_token& stop) {
        GroupOptions options = manual;
        options.participant.wait_policy = WaitPolicy::parking();
        auto member = channel.join("workers", options);
        EXPECT_EQ(member.receive(stop).status(), Status::interrupted);
    });
    const auto memory = memory_of(name);
    ASSERT_TRUE(eventually([&] { return memory->group(0).parking.announcement != 0; }));
    EXPECT_LT(settle(capacity / 3), 50 * alone);
}

TEST(Acknowledgement, AttemptsAreCountedBeyondWhatTheirFieldHolds) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto member = channel.join("workers", manual);
    auto producer = channel.producer();
    send_numbers(producer, 0, 2);
    auto other = member.receive();  // stays held meanwhile
    for (unsigned attempt = 1; attempt <= 600; ++attempt) {
        auto message = member.try_receive();
        ASSERT_TRUE(message) << attempt;
        ASSERT_EQ(message.text(), "1");
        ASSERT_EQ(message.attempt(), std::min(attempt, 255U));
        ASSERT_TRUE(message.nack());
    }
    EXPECT_TRUE(other.ack());
    EXPECT_EQ(drain(member), numbers(1, 2));
    EXPECT_EQ(report_of(name, "workers").acked, 2U);
}

// ------------------------------------------------------------------------- rejects, dead letters

TEST(Reject, WithoutADeadLetterChannelDropsAndCounts) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto member = channel.join("workers", manual);
    auto producer = channel.producer();
    send_numbers(producer, 0, 4);
    EXPECT_TRUE(member.receive().reject());
    EXPECT_EQ(drain(member), numbers(1, 4));
    const GroupReport report = report_of(name, "workers");
    EXPECT_EQ(report.rejected, 1U);
    EXPECT_EQ(report.dropped, 1U);
    EXPECT_EQ(report.settled, 4U);
    EXPECT_EQ(report.acked, 3U);
    EXPECT_EQ(report.dead_lettered, 0U);
}

TEST(Reject, GoesToTheDeadLetterChannelWithItsOrigin) {
    const ChannelName name;
    const ChannelName dead("dead");
    auto letters = Channel<>::create(dead).subscribe();
    auto channel = Channel<>::create(name);
    GroupOptions options = manual;
    options.dead_letter = dead;
    auto member = channel.join("workers", options);
    auto producer = channel.producer();
    const std::string large(5000, 'L');
    for (const std::string& text : {std::string("small"), std::string(), large}) {
        SCOPED_TRACE(text.size());
        const Position position = producer.send(text).position();
        EXPECT_TRUE(member.receive().nack());
        auto message = member.receive_for(5s);
        ASSERT_TRUE(message);
        EXPECT_TRUE(message.reject());
        auto letter = letters.try_receive();
        ASSERT_TRUE(letter);
        EXPECT_EQ(letter.text(), text);
        const auto origin = letter.origin();
        ASSERT_TRUE(origin);
        EXPECT_EQ(origin->channel, name.str());
        EXPECT_EQ(origin->channel_id, inspect(name).channel_id);
        EXPECT_EQ(origin->group, "workers");
        EXPECT_EQ(origin->position, position);
        EXPECT_EQ(origin->attempts, 2U);
        EXPECT_EQ(origin->reason, "rejected");
    }
    const GroupReport report = report_of(name, "workers");
    EXPECT_EQ(report.rejected, 3U);
    EXPECT_EQ(report.dead_lettered, 3U);
    EXPECT_EQ(report.dropped, 0U);
    EXPECT_EQ(report.acked, 0U);
    EXPECT_EQ(member.try_receive().status(), Status::empty);
}

TEST(MaxAttempts, AreCheckedBeforeHandingOutAndThenTheMessageIsADeadLetter) {
    const ChannelName name;
    const ChannelName dead("dead");
    auto letters = Channel<>::create(dead).subscribe();
    auto channel = Channel<>::create(name);
    GroupOptions options = manual;
    options.max_attempts = 3;
    options.dead_letter = dead;
    auto member = channel.join("workers", options);
    auto producer = channel.producer();
    send_numbers(producer, 0, 2);
    std::vector<unsigned> attempts;
    while (auto message = member.try_receive()) {
        if (message.text() == "1") {
            EXPECT_TRUE(message.ack());
            continue;
        }
        attempts.push_back(message.attempt());
        EXPECT_TRUE(message.nack());
    }
    EXPECT_EQ(attempts, (std::vector<unsigned>{1, 2, 3}));
    auto letter = letters.try_receive();
    ASSERT_TRUE(letter);
    EXPECT_EQ(letter.text(), "0");
    ASSERT_TRUE(letter.origin());
    EXPECT_EQ(letter.origin()->attempts, 3U);
    EXPECT_EQ(letter.origin()->reason, "attempts exhausted");
    EXPECT_EQ(letters.try_receive().status(), Status::empty);
    const GroupReport report = report_of(name, "workers");
    EXPECT_EQ(report.rejected, 0U);
    EXPECT_EQ(report.dead_lettered, 1U);
    EXPECT_EQ(report.acked, 1U);
    EXPECT_EQ(report.redelivered, 2U);
}

TEST(MaxAttempts, WithoutADeadLetterChannelDropAndCount) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 1});
    GroupOptions options = manual;
    options.max_attempts = 1;
    auto member = channel.join("workers", options);
    auto producer = channel.producer();
    for (int i = 0; i < 3; ++i) {
        send_numbers(producer, i, i + 1);
        auto message = member.receive_for(5s);
        ASSERT_TRUE(message);
        EXPECT_EQ(message.text(), std::to_string(i));
        EXPECT_EQ(message.attempt(), 1U);
        message.release();
        EXPECT_EQ(member.try_receive().status(), Status::empty);
    }
    const GroupReport report = report_of(name, "workers");
    EXPECT_EQ(report.dropped, 3U);
    EXPECT_EQ(report.settled, 3U);
    EXPECT_EQ(report.acked, 0U);
}

/// Expects that the reject stays pending and visible while the worker goes on, until `repair`.
void expect_pending_until(const std::string& dead,
                          const std::function<void(Consumer<>& worker)>& repair) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 16});
    GroupOptions options = manual;
    options.dead_letter = dead;
    auto worker = channel.join("workers", options);
    auto producer = channel.producer();
    ASSERT_TRUE(producer.send("poison"));
    ASSERT_TRUE(producer.send("good"));
    ASSERT_TRUE(worker.receive().reject());
    EXPECT_EQ(drain(worker), std::vector<std::string>{"good"});
    GroupReport report = report_of(name, "workers");
    EXPECT_EQ(report.dead_pending, 1U);
    EXPECT_EQ(report.dead_lettered, 0U);
    EXPECT_EQ(report.rejected, 1U);
    EXPECT_EQ(report.settled, 1U);
    EXPECT_EQ(report.acked, 1U);
    EXPECT_EQ(report.in_flight, 0U);
    ASSERT_EQ(report.leases.size(), 1U);
    EXPECT_EQ(report.leases[0].kind, LeaseKind::dead_rejected);
    EXPECT_EQ(report.leases[0].position, 0U);

    repair(worker);
    EXPECT_TRUE(eventually([&] {
        EXPECT_FALSE(worker.try_receive());
        return report_of(name, "workers").dead_pending == 0;
    }));
    report = report_of(name, "workers");
    EXPECT_EQ(report.dead_lettered, 1U);
    EXPECT_EQ(report.settled, 2U);
    EXPECT_EQ(report.acked, 1U);
    auto letters = Channel<>::open(dead).subscribe({.from = Start::earliest()});
    auto letter = letters.try_receive();
    while (letter && letter.text() != "poison")
        letter = letters.try_receive();
    ASSERT_TRUE(letter);
    ASSERT_TRUE(letter.origin());
    EXPECT_EQ(letter.origin()->channel, name.str());
    EXPECT_EQ(letter.origin()->reason, "rejected");
}

TEST(DeadLetter, StaysPendingWhileItsTargetIsMissing) {
    const ChannelName dead("dead");
    expect_pending_until(dead, [&](Consumer<>&) { (void)Channel<>::create(dead); });
}

TEST(DeadLetter, StaysPendingWhileItsTargetIsFull) {
    const ChannelName dead("dead");
    auto target = Channel<>::create(dead, {.capacity = 2});
    auto clerk = target.join("clerk");
    auto filler = target.producer();
    ASSERT_TRUE(filler.send("1"));
    ASSERT_TRUE(filler.send("2"));
    expect_pending_until(dead, [&](Consumer<>&) { EXPECT_EQ(drain(clerk), numbers(1, 3)); });
}

TEST(DeadLetter, StaysPendingWhileItsTargetIsClosedAndGoesToItsSuccessor) {
    const ChannelName dead("dead");
    auto target = Channel<>::create(dead);
    EXPECT_TRUE(target.close());
    expect_pending_until(dead, [&](Consumer<>&) {
        EXPECT_TRUE(remove(dead));
        (void)Channel<>::create(dead);
    });
}

TEST(DeadLetter, GoesThroughWhileItsWorkersOnlyWait) {
    const ChannelName name;
    const ChannelName dead("dead");
    auto channel = Channel<>::create(name);
    GroupOptions options = manual;
    options.dead_letter = dead;
    options.participant.wait_policy = WaitPolicy::parking();
    auto worker = channel.join("workers", options);
    auto producer = channel.producer();
    ASSERT_TRUE(producer.send("poison"));
    ASSERT_TRUE(worker.receive().reject());
    EXPECT_EQ(report_of(name, "workers").dead_pending, 1U);
    auto letters = Channel<>::create(dead).subscribe({.from = Start::earliest()});
    std::stop_source stop;
    std::thread waiting(
        [&] { EXPECT_EQ(worker.receive(stop.get_token()).status(), Status::interrupted); });
    auto letter = letters.receive_for(8s);
    EXPECT_TRUE(letter);
    EXPECT_EQ(letter.status() == Status::ok ? letter.text() : "", "poison");
    stop.request_stop();
    waiting.join();
}

// Opening the target takes long: here, until much memory is reserved for the new participant.
TEST(DeadLetter, IsTheRejectedMessageEvenIfTheGroupEndsWhileTheTargetIsOpened) {
    const ChannelName dead("dead");
    int opened = 0;
    for (int round = 0; round < 5; ++round) {
        const ChannelName name;
        auto letters = Channel<>::create(dead, {.region_size = 24 << 20});
        auto reader = letters.subscribe();
        auto channel = Channel<>::create(name, {.capacity = 4});
        auto producer = channel.producer();
        GroupOptions options = manual;
        options.dead_letter = dead;
        auto worker = channel.join("workers", options);
        ASSERT_TRUE(producer.send("rejected"));
        {
            const std::jthread ending([&] {
                Inspector inspector(name);
                const auto deadline = std::chrono::steady_clock::now() + 10s;
                for (;;) {
                    const auto report = inspector.sample();
                    const GroupReport* workers = report.find_group("workers");
                    if (workers->dead_pending != 0 || workers->settled != 0) break;
                    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
                }
                channel.remove_group("workers");
                send_numbers(producer, 0, 8);
            });
            const Status status = worker.receive().reject().status();
            EXPECT_TRUE(status == Status::ok || status == Status::lease_lost);
        }
        opened += static_cast<int>(inspect(dead).producers());
        while (auto letter = reader.try_receive())
            EXPECT_EQ(letter.text(), "rejected");
        remove(dead);
    }
    EXPECT_GT(opened, 0);
}

TEST(DeadLetter, CyclesAreRefusedAndLeaveNoGroupBehind) {
    const ChannelName a("a");
    const ChannelName b("b");
    const ChannelName c("c");
    auto channel_a = Channel<>::create(a);
    auto channel_b = Channel<>::create(b);
    auto channel_c = Channel<>::create(c);
    const auto to = [](const ChannelName& target) {
        return GroupOptions{.ack = Ack::manual, .dead_letter = target};
    };
    std::string what;
    EXPECT_EQ(refusal([&] { (void)channel_a.join("self", to(a)); }, &what), Errc::bad_options);
    EXPECT_TRUE(contains(what, a.str())) << what;
    auto a_to_b = channel_a.join("workers", to(b));
    EXPECT_EQ(refusal([&] { (void)channel_b.join("back", to(a)); }), Errc::bad_options);
    auto b_to_c = channel_b.join("workers", to(c));
    EXPECT_EQ(refusal([&] { (void)channel_c.join("back", to(a)); }), Errc::bad_options);
    EXPECT_EQ(refusal([&] { (void)channel_c.join("back", to(b)); }), Errc::bad_options);
    EXPECT_EQ(inspect(a).groups.size(), 1U);
    EXPECT_EQ(inspect(b).groups.size(), 1U);
    EXPECT_EQ(inspect(c).groups.size(), 0U);
    EXPECT_TRUE(inspect(c).participants.empty());
}

// Each join alone would be allowed.
TEST(DeadLetter, CyclesOfTwoJoinsAtTheSameMomentAreRefused) {
    const ChannelName a;
    const ChannelName b("other");
    for (int round = 0; round < 200; ++round) {
        auto first = Channel<>::create(a, {.capacity = 1, .region_size = 8192});
        auto second = Channel<>::create(b, {.capacity = 1, .region_size = 8192});
        std::atomic<int> ready{0};
        std::atomic<int> joined{0};
        const auto join = [&](Channel<>& channel, const std::string& target) {
            ++ready;
            while (ready < 2) {
            }
            try {
                const auto member = channel.join("g", {.ack = Ack::manual, .dead_letter = target});
                ++joined;
            } catch (const Error& error) {
                EXPECT_EQ(error.code(), Errc::bad_options) << error.what();
            }
        };
        {
            const std::jthread other([&] { join(second, a); });
            join(first, b);
        }
        EXPECT_LE(joined, 1);
        EXPECT_EQ(inspect(a).groups.size() + inspect(b).groups.size(), std::size_t(joined));
        remove(a);
        remove(b);
    }
}

TEST(DeadLetter, ATargetTooSmallForALetterIsRefusedAtOnceOrTakesItAnyway) {
    // A letter is longer than its message by its origin.
    const auto try_with = [](const ChannelOptions& options, std::size_t size) {
        const ChannelName name;
        const ChannelName dead("dead");
        auto letters = Channel<>::create(dead, options).subscribe();
        auto channel = Channel<>::create(name, options);
        try {
            auto member = channel.join("workers", {.ack = Ack::manual, .dead_letter = dead});
            ASSERT_TRUE(channel.producer().send(std::string(size, 'x')));
            EXPECT_TRUE(member.receive().reject());
            EXPECT_EQ(letters.try_receive().size(), size);
            EXPECT_EQ(report_of(name, "workers").dead_pending, 0U);
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), Errc::bad_options);
        }
    };
    try_with({.region_size = 4096}, 4096);
    try_with({.region_size = 0}, 10);
}

TEST(DeadLetter, TwoChannelsMayShareATarget) {
    const ChannelName a("a");
    const ChannelName b("b");
    const ChannelName dead("dead");
    auto letters = Channel<>::create(dead).subscribe();
    const GroupOptions options{.ack = Ack::manual, .dead_letter = dead};
    for (const ChannelName* name : {&a, &b}) {
        auto channel = Channel<>::create(*name);
        auto member = channel.join("workers", options);
        ASSERT_TRUE(channel.producer().send(name->str()));
        ASSERT_TRUE(member.receive().reject());
        auto letter = letters.try_receive();
        ASSERT_TRUE(letter);
        EXPECT_EQ(letter.text(), name->str());
        EXPECT_EQ(letter.origin()->channel, name->str());
    }
}

// ------------------------------------------------------------------------------------- redrive

struct Redrive : testing::Test {
    Redrive() : member(channel.join("workers", options())) {
        auto producer = channel.producer();
        send_numbers(producer, 0, 5);
        for (int i = 0; i < 5; ++i)
            EXPECT_TRUE(member.receive().reject());
        EXPECT_EQ(report_of(name, "workers").dead_lettered, 5U);
    }
    GroupOptions options() const { return {.ack = Ack::manual, .dead_letter = dead}; }

    ChannelName name;
    ChannelName dead{"dead"};
    Channel<> letters = Channel<>::create(dead);
    Channel<> channel = Channel<>::create(name);
    Consumer<> member;
};

TEST_F(Redrive, SendsDeadLettersBackToWhereTheyCameFromOldestFirst) {
    EXPECT_EQ(redrive(dead), 5U);
    EXPECT_EQ(drain(member), numbers(0, 5));
    EXPECT_EQ(redrive(dead), 0U);
    EXPECT_EQ(member.try_receive().status(), Status::empty);
}

TEST_F(Redrive, MovesAtMostAsManyAsAsked) {
    EXPECT_EQ(redrive(dead, {.most = 2}), 2U);
    EXPECT_EQ(drain(member), numbers(0, 2));
    EXPECT_EQ(redrive(dead, {.most = 100}), 3U);
    EXPECT_EQ(drain(member), numbers(2, 5));
}

TEST_F(Redrive, SendsAllToOneTargetWhenAsked) {
    const ChannelName other("other");
    auto reader = Channel<>::create(other).subscribe();
    EXPECT_EQ(redrive(dead, {.target = other.str()}), 5U);
    EXPECT_EQ(drain(reader), numbers(0, 5));
    EXPECT_EQ(member.try_receive().status(), Status::empty);
}

TEST_F(Redrive, AMessageWithoutAnOriginIsAnErrorAndStays) {
    const ChannelName plain("plain");
    auto channel_plain = Channel<>::create(plain);
    ASSERT_TRUE(channel_plain.producer().send("no letter"));
    std::string what;
    EXPECT_EQ(refusal([&] { (void)redrive(plain); }, &what), Errc::bad_options);
    EXPECT_TRUE(contains(what, "origin")) << what;
    EXPECT_EQ(redrive(plain, {.target = name.str()}), 1U);
    EXPECT_EQ(drain(member), std::vector<std::string>{"no letter"});
}

// Its group would hold back the producers of a channel that was named by mistake.
TEST_F(Redrive, WithNothingToSendBackMakesNoGroup) {
    const ChannelName plain("plain");
    auto channel_plain = Channel<>::create(plain, {.capacity = 4});
    auto producer = channel_plain.producer();
    send_numbers(producer, 0, 4);
    EXPECT_EQ(refusal([&] { (void)redrive(plain); }), Errc::bad_options);
    send_numbers(producer, 4, 20);
    EXPECT_TRUE(inspect(plain).groups.empty());
}

// A target that has no room is waited for.
TEST_F(Redrive, AStopEndsItAndWhatWasNotSentStays) {
    const ChannelName other("other");
    auto small = Channel<>::create(other, {.capacity = 2});
    { auto idle = small.join("idle"); }
    std::stop_source stop;
    std::uint64_t sent = 0;
    std::jthread working([&] {
        sent = redrive(dead, {.target = other.str(), .wait = 1h, .stop = stop.get_token()});
    });
    EXPECT_TRUE(eventually([&] { return report_of(other, "idle").backlog == 2; }));
    stop.request_stop();
    working.join();
    EXPECT_EQ(sent, 2U);
    const GroupReport report = report_of(dead, "redrive");
    EXPECT_EQ(report.in_flight, 0U);
    EXPECT_EQ(report.backlog, 3U);
}

TEST_F(Redrive, AFullTargetIsAnErrorAndTheRestStays) {
    const ChannelName other("other");
    auto small = Channel<>::create(other, {.capacity = 2});
    { auto idle = small.join("idle"); }
    try {
        (void)redrive(dead, {.target = other.str(), .wait = 50ms});
        ADD_FAILURE() << "the target is full";
    } catch (const RedriveError& error) {
        EXPECT_EQ(error.code(), Errc::timed_out);
        EXPECT_TRUE(contains(error.what(), other)) << error.what();
        EXPECT_EQ(error.sent(), 2U);
    }
    EXPECT_EQ(report_of(other, "idle").backlog, 2U);
    EXPECT_EQ(report_of(dead, "redrive").backlog, 3U);
    EXPECT_EQ(redrive(dead), 3U);
    EXPECT_EQ(drain(member), numbers(2, 5));
}

TEST_F(Redrive, IntoTheirOwnChannelEndsWithTheLastThatWasThereBefore) {
    EXPECT_EQ(redrive(dead, {.target = dead.str()}), 5U);
    EXPECT_EQ(report_of(dead, "redrive").backlog, 5U);
}

TEST_F(Redrive, GivesAllBackThatItHoldsWhenItFailsAtALaterLetter) {
    {
        const ChannelName second("second");
        auto gone = Channel<>::create(second);
        auto worker = gone.join("workers", options());
        ASSERT_TRUE(gone.producer().send("letter"));
        ASSERT_TRUE(worker.receive().reject());
    }
    EXPECT_TRUE(remove(name));
    const auto takes_no_letter = Channel<std::uint64_t>::create(name);
    EXPECT_EQ(refusal([&] { (void)redrive(dead); }), Errc::not_found);
    const GroupReport report = report_of(dead, "redrive");
    EXPECT_EQ(report.in_flight, 0U);
    EXPECT_EQ(report.backlog, 6U);
}

TEST_F(Redrive, LeavesLettersInPlaceWhenTheirChannelIsGone) {
    EXPECT_TRUE(remove(name));
    EXPECT_EQ(refusal([&] { (void)redrive(dead); }), Errc::not_found);
    EXPECT_EQ(report_of(dead, "redrive").backlog, 5U);
    auto again = Channel<>::create(name);
    auto reader = again.subscribe();
    EXPECT_EQ(redrive(dead), 5U);
    EXPECT_EQ(drain(reader), numbers(0, 5));
}

// --------------------------------------------------------------------------------- lease limit

/// A group whose leases are limited, with a member, and with messages that wait.
struct LimitedLeases {
    explicit LimitedLeases(std::chrono::milliseconds limit, int messages = 1) {
        options.lease_limit = limit;
        member.emplace(another_member());
        send_numbers(producer, 0, messages);
    }
    Consumer<> another_member() const { return channel.join("workers", options); }

    const ChannelName name;
    Channel<> channel = Channel<>::create(name);
    Producer<> producer = channel.producer();
    GroupOptions options = manual;
    std::optional<Consumer<>> member;
};

TEST(LeaseLimit, PassesAMessageOnAndALateAckIsToldSo) {
    LimitedLeases leases(150ms);
    auto other = leases.another_member();
    const auto start = Clock::now();
    auto late = leases.member->receive();
    ASSERT_TRUE(late);
    auto message = other.receive_for(10s);
    ASSERT_TRUE(message);
    EXPECT_GE(Clock::now() - start, 149ms);
    EXPECT_EQ(message.text(), "0");
    EXPECT_EQ(message.attempt(), 2U);
    EXPECT_FALSE(late.held());
    EXPECT_EQ(late.renew().status(), Status::lease_lost);
    EXPECT_EQ(late.ack().status(), Status::lease_lost);
    EXPECT_TRUE(message.ack());
    const GroupReport report = report_of(leases.name, "workers");
    EXPECT_EQ(report.expired, 1U);
    EXPECT_EQ(report.returned, 1U);
    EXPECT_EQ(report.acked, 1U);
}

TEST(LeaseLimit, LateNackAndRejectAreToldAsWell) {
    LimitedLeases leases(50ms, 2);
    auto other = leases.another_member();
    auto late_nack = leases.member->receive();
    auto late_reject = leases.member->receive();
    for (int i = 0; i < 2; ++i) {
        auto message = other.receive_for(10s);
        ASSERT_TRUE(message);
        EXPECT_TRUE(message.ack());
    }
    EXPECT_EQ(late_nack.nack(1ms).status(), Status::lease_lost);
    EXPECT_EQ(late_reject.reject().status(), Status::lease_lost);
    const GroupReport report = report_of(leases.name, "workers");
    EXPECT_EQ(report.acked, 2U);
    EXPECT_EQ(report.rejected, 0U);
    EXPECT_EQ(report.backlog, 0U);
}

TEST(LeaseLimit, HeldTellsBeforeAnybodyElseHasTheMessage) {
    LimitedLeases leases(50ms);
    const auto start = Clock::now();
    auto message = leases.member->receive();
    const bool at_once = message.held();
    if (Clock::now() - start < 49ms) {
        EXPECT_TRUE(at_once);
    }
    EXPECT_TRUE(eventually([&] { return !message.held(); }));
    EXPECT_GE(Clock::now() - start, 49ms);
}

TEST(LeaseLimit, RenewingKeepsTheMessage) {
    // A process that was off its processor for too long says nothing.
    for (int attempt = 0; attempt < 5; ++attempt) {
        LimitedLeases leases(1s);
        auto other = leases.another_member();
        auto message = leases.member->receive();
        auto renewed = Clock::now();
        const auto end = renewed + 2500ms;
        bool kept = true;
        while (kept && Clock::now() < end) {
            const auto before = Clock::now();
            kept = static_cast<bool>(message.renew());
            if (kept) renewed = before;
            kept = kept && other.receive_for(100ms).status() == Status::timed_out;
        }
        kept = kept && message.held() && static_cast<bool>(message.ack()) &&
               report_of(leases.name, "workers").expired == 0;
        if (kept) return;
        ASSERT_GE(Clock::now() - renewed, 900ms) << "lost though it was renewed";
    }
    GTEST_SKIP() << "the machine is too busy";
}

TEST(LeaseLimit, AMessageThatWasRenewedIsLostToNoSweepThatFoundItExpiredBefore) {
    LimitedLeases leases(60s);
    auto message = leases.member->receive();
    const auto memory = memory_of(leases.name);
    auto& lease = memory->lease(0, 0);
    protocol::Lease expired{lease.load()};
    EXPECT_TRUE(message.renew());
    const auto returned = expired.to(protocol::LeaseState::returned, 1, format::no_participant);
    EXPECT_FALSE(lease.compare_exchange_strong(expired.bits, returned.bits));
    EXPECT_TRUE(message.held());
    EXPECT_EQ(message.attempt(), 1U);
    EXPECT_TRUE(message.renew());
    EXPECT_TRUE(message.ack());
}

TEST(LeaseLimit, OneThatIsOverIsNotRenewedThoughNobodyElseHasTheMessageYet) {
    LimitedLeases leases(20ms);
    auto message = leases.member->receive();
    std::this_thread::sleep_for(25ms);
    EXPECT_FALSE(message.held());
    EXPECT_EQ(message.renew().status(), Status::lease_lost);
}

/// A lease at the moment when its owner has stored the end of a delay, as nack does, and has not
/// given the message back yet.
class InTheMiddleOfANack : public testing::Test {
protected:
    void begin(std::chrono::milliseconds limit, std::chrono::milliseconds delay) {
        options_.lease_limit = limit;
        giver_.emplace(channel_.join("workers", options_));
        other_.emplace(channel_.join("workers", options_));
        EXPECT_TRUE(channel_.producer().send("x"));
        message_.emplace(giver_->receive());
        ASSERT_TRUE(*message_);
        memory_ = memory_of(name_);
        owned_ = {memory_->lease(0, 0).load()};
        delayed_ = owned_.to(protocol::LeaseState::delayed, 1, format::no_participant);
        const auto due = os::now_ms() + static_cast<std::uint64_t>(delay.count());
        memory_->deadline(0, 0) = format::DeadlineTag::make(due, delayed_).bits;
    }
    void sweep() { protocol::sweep(*memory_, format::no_participant, nullptr); }
    void end() {
        memory_->lease(0, 0) = delayed_.bits;
        memory_->group(0).next_due = 0;
    }

    const ChannelName name_;
    Channel<> channel_ = Channel<>::create(name_);
    GroupOptions options_ = manual;
    std::optional<Consumer<>> giver_;
    std::optional<Consumer<>> other_;
    std::optional<Message<>> message_;
    std::shared_ptr<protocol::ChannelMemory> memory_;
    protocol::Lease owned_{};
    protocol::Lease delayed_{};
};

TEST_F(InTheMiddleOfANack, ASweepLeavesTheDelayAlone) {
    begin(60s, 1h);
    sweep();
    end();
    EXPECT_EQ(other_->try_receive().status(), Status::empty);
    EXPECT_EQ(message_->ack().status(), Status::lease_lost);
}

TEST_F(InTheMiddleOfANack, AnOwnerThatIsStoppedLosesTheMessageOnceDelayAndLimitAreOver) {
    const auto start = Clock::now();
    begin(30ms, 100ms);
    auto again = other_->receive_for(10s);
    ASSERT_TRUE(again);
    EXPECT_GE(Clock::now() - start, 129ms);
    EXPECT_EQ(again.attempt(), 2U);
    EXPECT_TRUE(again.ack());
    EXPECT_EQ(message_->nack(1h).status(), Status::lease_lost);
}

TEST_F(InTheMiddleOfANack, ASweepThatSawTheLeaseBeforeLeavesTheDeadlineOfTheNextOwner) {
    begin(60s, 1h);
    EXPECT_TRUE(message_->nack());
    auto again = other_->receive();
    ASSERT_TRUE(again);
    const std::uint64_t deadline = memory_->deadline(0, 0);
    (void)protocol::end_of_lease(*memory_, 0, 0, owned_, 1);
    EXPECT_EQ(memory_->deadline(0, 0), deadline);
    EXPECT_TRUE(again.ack());
}

TEST(LeaseLimit, CountsAsAnAttempt) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    GroupOptions options = manual;
    options.lease_limit = 30ms;
    options.max_attempts = 2;
    auto member = channel.join("workers", options);
    auto producer = channel.producer();
    send_numbers(producer, 0, 1);
    auto first = member.receive();
    auto second = member.receive_for(10s);
    ASSERT_TRUE(second);
    EXPECT_EQ(second.attempt(), 2U);
    EXPECT_TRUE(eventually([&] {
        EXPECT_FALSE(member.try_receive());
        return report_of(name, "workers").dropped == 1;
    }));
    EXPECT_EQ(first.ack().status(), Status::lease_lost);
    EXPECT_EQ(second.ack().status(), Status::lease_lost);
}

TEST(LeaseLimit, WithoutOneAMessageIsHeldForAsLongAsItsMemberLives) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto holder = channel.join("workers", manual);
    auto other = channel.join("workers", manual);
    auto producer = channel.producer();
    send_numbers(producer, 0, 1);
    auto message = holder.receive();
    EXPECT_EQ(other.receive_for(300ms).status(), Status::timed_out);
    EXPECT_TRUE(message.held());
    EXPECT_TRUE(message.renew());
    EXPECT_TRUE(message.ack());
}

// ------------------------------------------------------------------------------------- batches

TEST(GroupBatch, ChargesAnAttemptOnlyForMessagesTheIterationReached) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto member = channel.join("workers", manual);
    auto producer = channel.producer();
    send_numbers(producer, 0, 5);
    {
        auto batch = member.receive_batch(5);
        ASSERT_EQ(batch.size(), 5U);
        auto each = batch.begin();
        EXPECT_EQ(each->text(), "0");
        EXPECT_EQ(each->attempt(), 1U);
        EXPECT_TRUE(each->ack());
        ++each;
        EXPECT_EQ(each->text(), "1");
        const GroupReport report = report_of(name, "workers");
        ASSERT_EQ(report.leases.size(), 4U);
        EXPECT_EQ(report.leases[0].kind, LeaseKind::leased);
        for (std::size_t i = 1; i < 4; ++i)
            EXPECT_EQ(report.leases[i].kind, LeaseKind::reserved);
        EXPECT_EQ(report.in_flight, 4U);
    }
    std::map<std::string, unsigned> attempts;
    while (auto message = member.try_receive()) {
        attempts[std::string(message.text())] = message.attempt();
        EXPECT_TRUE(message.ack());
    }
    EXPECT_EQ(attempts,
              (std::map<std::string, unsigned>{{"1", 2U}, {"2", 1U}, {"3", 1U}, {"4", 1U}}));
    // A delivery that user code never saw is none.
    const GroupReport report = report_of(name, "workers");
    EXPECT_EQ(report.redelivered, 1U);
    EXPECT_EQ(report.delivered, 6U);
    EXPECT_EQ(report.acked, 5U);
}

TEST(GroupBatch, AcknowledgesAllOfItAtOnce) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto member = channel.join("workers", manual);
    auto producer = channel.producer();
    send_numbers(producer, 0, 7);
    auto batch = member.receive_batch(5);
    EXPECT_EQ(batch.size(), 5U);
    EXPECT_EQ(batch.ack_all(), 5U);
    EXPECT_EQ(report_of(name, "workers").acked, 5U);
    EXPECT_EQ(drain(member), numbers(5, 7));
}

TEST(GroupBatch, IsIteratedInOrderAndAcknowledgedAutomatically) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto member = channel.join("workers");
    auto producer = channel.producer();
    send_numbers(producer, 0, 6);
    {
        std::vector<std::string> texts;
        auto batch = member.try_receive_batch(4);
        for (auto& message : batch)
            texts.emplace_back(message.text());
        EXPECT_EQ(texts, numbers(0, 4));
    }
    EXPECT_EQ(report_of(name, "workers").acked, 4U);
    EXPECT_EQ(drain(member), numbers(4, 6));
}

TEST(GroupBatch, PassesOverMessagesWhoseLeaseRanOut) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    GroupOptions options = manual;
    options.lease_limit = 50ms;
    auto slow = channel.join("workers", options);
    auto other = channel.join("workers", options);
    auto producer = channel.producer();
    send_numbers(producer, 0, 3);
    auto batch = slow.receive_batch(3);
    ASSERT_EQ(batch.size(), 3U);
    std::set<std::string> taken;
    while (taken.size() < 3) {
        auto message = other.receive_for(10s);
        ASSERT_TRUE(message);
        EXPECT_EQ(message.attempt(), 1U) << "never reached user code before";
        taken.emplace(message.text());
        EXPECT_TRUE(message.ack());
    }
    for (auto& message : batch)
        ADD_FAILURE() << "handed out " << message.text();
    EXPECT_EQ(batch.ack_all(), 0U);
}

TEST(GroupBatch, OfNothingSaysWhy) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto member = channel.join("workers", manual);
    EXPECT_EQ(member.try_receive_batch(4).status(), Status::empty);
    EXPECT_EQ(member.receive_batch_for(4, 10ms).status(), Status::timed_out);
    EXPECT_TRUE(channel.close());
    EXPECT_EQ(member.receive_batch(4).status(), Status::closed);
    EXPECT_TRUE(member.receive_batch(4).empty());
}

TEST(GroupBatch, WaitsForTheFirstMessageOnly) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto member = channel.join("workers");
    auto producer = channel.producer();
    send_numbers(producer, 0, 1);
    {
        auto batch = member.receive_batch(100);
        EXPECT_EQ(batch.size(), 1U);
        EXPECT_EQ(batch.ack_all(), 1U);
    }
    std::thread later([&] { send_numbers(producer, 1, 2); });
    auto batch = member.receive_batch_for(100, 20s);
    later.join();
    ASSERT_EQ(batch.size(), 1U);
    EXPECT_EQ(batch.begin()->text(), "1");
}

// ---------------------------------------------------------------------------------- the policies

TEST(GroupPolicies, AMismatchIsRefusedAndShowsBothSides) {
    const ChannelName name;
    const ChannelName dead("dead");
    auto channel = Channel<>::create(name);
    const GroupOptions options{
        .ack = Ack::manual, .max_attempts = 5, .lease_limit = 700ms, .dead_letter = dead};
    auto member = channel.join("workers", options);
    const auto expect_refused = [&](auto&& change, const std::string& have,
                                    const std::string& want) {
        GroupOptions other = options;
        change(other);
        std::string what;
        EXPECT_EQ(refusal([&] { (void)channel.join("workers", other); }, &what),
                  Errc::options_differ);
        EXPECT_TRUE(contains(what, have) && contains(what, want)) << what;
        EXPECT_TRUE(contains(what, name.str()) && contains(what, "workers")) << what;
        EXPECT_LT(what.find(have), what.rfind(want)) << what;
    };
    expect_refused([](auto& o) { o.lifetime = Lifetime::ephemeral; }, "durable", "ephemeral");
    expect_refused([](auto& o) { o.ack = Ack::automatic; }, "manual ack", "automatic ack");
    expect_refused([](auto& o) { o.max_attempts = 6; }, "max_attempts 5", "max_attempts 6");
    expect_refused([](auto& o) { o.lease_limit = 701ms; }, "700 ms", "701 ms");
    expect_refused([](auto& o) { o.dead_letter = "elsewhere"; }, dead.str(), "elsewhere");
    expect_refused([](auto& o) { o.dead_letter.clear(); }, dead.str(), "nowhere");
    expect_refused([](auto& o) { o = {.delivery = Delivery::lossy}; }, "reliable", "lossy");
    EXPECT_EQ(report_of(name, "workers").members, 1U);
    auto same = channel.join("workers", options);
    EXPECT_EQ(report_of(name, "workers").members, 2U);
}

TEST(GroupPolicies, AMismatchIsRefusedWhateverTheDeadLetterChannelIsCalled) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto member = channel.join("workers");
    std::string what;
    EXPECT_EQ(refusal([&] { (void)channel.join("workers", {.dead_letter = "nowhere"}); }, &what),
              Errc::options_differ);
    EXPECT_TRUE(contains(what, "dead letters to 'nowhere'")) << what;
}

TEST(GroupPolicies, LossyGroupsHaveNoLeasesToAskFor) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    const auto expect_refused = [&](GroupOptions options) {
        options.delivery = Delivery::lossy;
        EXPECT_EQ(refusal([&] { (void)channel.join("lossy", options); }), Errc::bad_options);
    };
    expect_refused({.ack = Ack::manual});
    expect_refused({.max_attempts = 1});
    expect_refused({.lease_limit = 1ms});
    expect_refused({.dead_letter = "dead"});
    EXPECT_TRUE(inspect(name).groups.empty());
}

TEST(GroupPolicies, OutOfRangeIsRefused) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    EXPECT_EQ(refusal([&] { (void)channel.join("g", {.max_attempts = 251}); }), Errc::bad_options);
    EXPECT_EQ(refusal([&] { (void)channel.join("g", {.lease_limit = -1ms}); }), Errc::bad_options);
    EXPECT_EQ(
        refusal([&] { (void)channel.join("g", {.lease_limit = std::chrono::hours(24 * 60)}); }),
        Errc::bad_options);
    EXPECT_EQ(refusal([&] { (void)channel.join("g", {.dead_letter = "a/b"}); }), Errc::bad_name);
    for (const std::string& bad : {std::string(), std::string("a b"), std::string("a/b"),
                                   std::string(129, 'x'), std::string("\xC3\xBC")}) {
        EXPECT_EQ(refusal([&] { (void)channel.join(bad); }), Errc::bad_name) << bad;
    }
    EXPECT_TRUE(inspect(name).groups.empty());
    const std::string longest(128, 'x');
    auto member = channel.join(longest, {.max_attempts = 250});
    EXPECT_NE(inspect(name).find_group(longest), nullptr);
}

TEST(GroupPolicies, AreShownByInspect) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto member = channel.join("workers", {.lifetime = Lifetime::ephemeral,
                                           .ack = Ack::manual,
                                           .max_attempts = 9,
                                           .lease_limit = 1234ms,
                                           .dead_letter = "some.dead"});
    const GroupReport report = report_of(name, "workers");
    EXPECT_TRUE(report.reliable && report.manual_ack && !report.durable && !report.subscriber);
    EXPECT_EQ(report.max_attempts, 9U);
    EXPECT_EQ(report.lease_limit_ms, 1234U);
    EXPECT_EQ(report.dead_letter, "some.dead");
}

// ------------------------------------------------------------------------------------ lossy groups

TEST(LossyGroup, SharesMessagesEachAtMostOnceAndNeverDelaysProducers) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 16});
    const GroupOptions lossy{.delivery = Delivery::lossy};
    auto first = channel.join("lossy", lossy);
    auto second = channel.join("lossy", lossy);
    auto producer = channel.producer();
    std::vector<std::string> seen;
    for (int i = 0; i < 40; i += 4) {
        send_numbers(producer, i, i + 4);
        for (int turn = 0; turn < 2; ++turn) {
            for (auto* member : {&first, &second}) {
                auto message = member->try_receive();
                ASSERT_TRUE(message);
                EXPECT_EQ(message.nack().status(), Status::not_leased);
                seen.emplace_back(message.text());
            }
        }
    }
    EXPECT_EQ(seen, numbers(0, 40));
    for (int i = 40; i < 140; ++i)
        ASSERT_TRUE(producer.try_send(std::to_string(i)));
    std::vector<std::string> rest = drain(first);
    ASSERT_FALSE(rest.empty());
    EXPECT_EQ(first.skipped(), 100U - rest.size());
    EXPECT_EQ(rest, numbers(140 - static_cast<int>(rest.size()), 140));
    EXPECT_EQ(second.try_receive().status(), Status::empty);
}

TEST(LossyGroup, ADurableOneKeepsItsPlaceAsLongAsTheMessagesAreRetained) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 64});
    const GroupOptions lossy{.delivery = Delivery::lossy};
    auto producer = channel.producer();
    {
        auto member = channel.join("lossy", lossy);
        send_numbers(producer, 0, 2);
        EXPECT_EQ(member.try_receive().text(), "0");
    }
    send_numbers(producer, 2, 4);
    auto member = channel.join("lossy", lossy);
    EXPECT_EQ(drain(member), numbers(1, 4));
    EXPECT_EQ(member.skipped(), 0U);
}

// ----------------------------------------------------------------------------- purge, remove_group

TEST(Purge, DropsTheBacklogAndLeavesWhatMembersHold) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 8});
    auto member = channel.join("workers", manual);
    auto other = channel.join("other", manual);
    auto producer = channel.producer();
    send_numbers(producer, 0, 8);
    auto held = member.receive();
    EXPECT_TRUE(member.receive().nack());    // 1: back in the backlog
    EXPECT_TRUE(member.receive().nack(1h));  // 1 again: delayed
    auto acked = member.receive();
    EXPECT_EQ(acked.text(), "2");
    EXPECT_TRUE(acked.ack());
    EXPECT_EQ(channel.purge("workers"), 6U);  // 1 and 3 to 7
    EXPECT_EQ(member.try_receive().status(), Status::empty);
    EXPECT_TRUE(held.held());
    EXPECT_TRUE(held.ack());
    const GroupReport report = report_of(name, "workers");
    EXPECT_EQ(report.purged, 6U);
    EXPECT_EQ(report.backlog, 0U);
    EXPECT_EQ(report.acked, 2U);
    EXPECT_EQ(report.settled, 8U);
    EXPECT_EQ(drain(other), numbers(0, 8));
    send_numbers(producer, 8, 10);
    EXPECT_EQ(drain(member), numbers(8, 10));
}

TEST(Purge, MakesRoomForAProducerThatWaits) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 2});
    { auto member = channel.join("workers"); }
    auto producer = channel.producer({.wait_policy = WaitPolicy::parking()});
    send_numbers(producer, 0, 2);
    std::thread sender([&] { EXPECT_TRUE(producer.send_for("2", 20s)); });
    EXPECT_TRUE(eventually(
        [&] { return inspect(name).participants.at(0).activity == Activity::waiting_for_room; }));
    EXPECT_EQ(channel.purge("workers"), 2U);
    sender.join();
    auto member = channel.join("workers");
    EXPECT_EQ(drain(member), numbers(2, 3));
}

TEST(Purge, OfALossyGroupMovesItToTheEnd) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 32});
    auto member = channel.join("lossy", {.delivery = Delivery::lossy});
    auto producer = channel.producer();
    send_numbers(producer, 0, 5);
    EXPECT_EQ(channel.purge("lossy"), 5U);
    EXPECT_EQ(member.try_receive().status(), Status::empty);
    send_numbers(producer, 5, 6);
    EXPECT_EQ(drain(member), numbers(5, 6));
}

TEST(Purge, OfAnUnknownGroupIsAnError) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    std::string what;
    EXPECT_EQ(refusal([&] { (void)channel.purge("nobody"); }, &what), Errc::not_found);
    EXPECT_TRUE(contains(what, "nobody") && contains(what, name.str())) << what;
    EXPECT_EQ(refusal([&] { channel.remove_group("nobody"); }), Errc::not_found);
}

// A producer that another group holds up has nothing from its looks.
TEST(Group, AMemberThatPollsInVainWakesNoProducerAndTakesNoRefusal) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 4});
    { auto slow = channel.join("slow", manual); }
    auto polling = channel.join("quick");
    auto producer = channel.producer({.wait_policy = WaitPolicy::parking()});
    send_numbers(producer, 0, 4);
    EXPECT_EQ(drain(polling), numbers(0, 4));
    const auto memory = memory_of(name);
    auto& room = memory->header().room;
    protocol::announce_refusal(*memory);
    ASSERT_NE(room.announcement & format::Announcement::refused, 0U);
    (void)polling.try_receive();
    EXPECT_NE(room.announcement & format::Announcement::refused, 0U);
    const std::jthread sender(
        [&] { EXPECT_EQ(producer.send_for("more", 300ms).status(), Status::timed_out); });
    ASSERT_TRUE(
        eventually([&] { return (room.announcement & format::Announcement::pending) != 0; }));
    const std::uint32_t before = room.futex;
    for (int i = 0; i < 1000; ++i)
        EXPECT_EQ(polling.try_receive().status(), Status::empty);
    EXPECT_LE(room.futex - before, 2U);
}

// Whoever recovers the leases of a dead member is preempted between two words, while the others go
// on by more than the ring holds. The cursor is that of a member that was stopped before it stored.
TEST(Leases, OneBehindWordsOfTheNextLapIsFound) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 4});
    auto quick = channel.join("workers", manual);
    auto dead = channel.join("workers", manual);
    auto producer = channel.producer();
    send_numbers(producer, 0, 3);
    auto first = quick.receive();
    ASSERT_TRUE(dead.receive().ack());
    const auto left = dead.receive();
    const auto memory = memory_of(name);
    memory->group(0).cursor = first.position() + 1;
    std::vector<Message<>> taken;
    std::vector<Position> seen;
    protocol::for_each_lease(*memory, 0, [&](Position position, protocol::Lease) {
        if (seen.empty()) {
            ASSERT_TRUE(first.ack());
            send_numbers(producer, 3, 6);
            for (int i = 0; i < 3; ++i)
                taken.push_back(quick.receive());
        }
        seen.push_back(position);
    });
    EXPECT_NE(std::find(seen.begin(), seen.end(), left.position()), seen.end());
}

// What purge settled may have been moved over, and partly used, by a producer that wakes nobody.
TEST(Purge, WakesAProducerThoughAnotherOneMovedTheMark) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 4});
    { auto group = channel.join("workers", manual); }
    auto producer = channel.producer({.wait_policy = WaitPolicy::parking()});
    send_numbers(producer, 0, 4);
    std::atomic<bool> sent{false};
    const std::jthread sender([&] {
        EXPECT_TRUE(producer.send_for("more", 20s));
        sent = true;
    });
    EXPECT_TRUE(all_park(name, 1));
    std::this_thread::sleep_for(50ms);
    const auto memory = memory_of(name);
    for (Position position = 0; position < 4; ++position) {
        auto& word = memory->lease(0, position);
        const format::Lease before{word.load()};
        word = format::Lease::make(memory->lap_of(position), 0, before.generation() + 1,
                                   format::no_participant, format::LeaseState::settled)
                   .bits;
    }
    const format::GroupStatus status{memory->group(0).status.load()};
    EXPECT_TRUE(protocol::advance_low_water(*memory, 0, status));
    EXPECT_EQ(channel.purge("workers"), 0U);
    EXPECT_TRUE(eventually([&] { return sent.load(); }, 1)) << "a sleeper looks every 3 s";
}

TEST(Purge, LetsSleepingMembersOfAClosedChannelEnd) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    GroupOptions options = manual;
    options.participant.wait_policy = WaitPolicy::parking();
    auto member = channel.join("workers", options);
    auto producer = channel.producer();
    send_numbers(producer, 0, 1);
    EXPECT_TRUE(member.receive().nack(1h));
    EXPECT_TRUE(producer.close());
    std::thread waiting([&] { EXPECT_EQ(member.receive_for(20s).status(), Status::closed); });
    EXPECT_TRUE(eventually([&] {
        for (const auto& participant : inspect(name).participants) {
            if (participant.activity == Activity::waiting_for_message) return true;
        }
        return false;
    }));
    const auto start = Clock::now();
    EXPECT_EQ(channel.purge("workers"), 1U);
    waiting.join();
    EXPECT_LT(Clock::now() - start, 2s) << "nobody told it";
}

TEST(RemoveGroup, EndsItWithItsBacklogAndItsMembersAreTold) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 4});
    auto member = channel.join("workers", manual);
    auto producer = channel.producer();
    send_numbers(producer, 0, 4);
    EXPECT_EQ(producer.try_send("4").status(), Status::full);
    channel.remove_group("workers");
    EXPECT_EQ(inspect(name).find_group("workers"), nullptr);
    EXPECT_TRUE(producer.try_send("4"));
    EXPECT_EQ(member.try_receive().status(), Status::removed);
    EXPECT_EQ(member.receive().status(), Status::removed);
    EXPECT_EQ(member.receive_batch(2).status(), Status::removed);
}

TEST(RemoveGroup, MembersAreTakenNoMessageOfItsBacklogAnyMore) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto member = channel.join("workers", manual);
    auto producer = channel.producer();
    send_numbers(producer, 0, 3);
    channel.remove_group("workers");
    EXPECT_EQ(member.try_receive().status(), Status::removed);
}

TEST(RemoveGroup, EndsTheLeasesOfItsMembers) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto member = channel.join("workers", manual);
    auto producer = channel.producer();
    send_numbers(producer, 0, 4);
    auto acked = member.receive();
    auto nacked = member.receive();
    auto rejected = member.receive();
    auto renewed = member.receive();
    channel.remove_group("workers");
    EXPECT_FALSE(acked.held());
    EXPECT_EQ(acked.ack().status(), Status::lease_lost);
    EXPECT_EQ(nacked.nack().status(), Status::lease_lost);
    EXPECT_EQ(rejected.reject().status(), Status::lease_lost);
    EXPECT_EQ(renewed.renew().status(), Status::lease_lost);
}

TEST(RemoveGroup, WakesMembersThatSleepAndProducersItHeldUp) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 2});
    GroupOptions options = manual;
    options.participant.wait_policy = WaitPolicy::parking();
    auto holder = channel.join("workers", options);
    auto sleeper = channel.join("workers", options);
    auto producer = channel.producer({.wait_policy = WaitPolicy::parking()});
    send_numbers(producer, 0, 2);
    auto first = holder.receive();
    auto second = holder.receive();
    std::thread reading([&] { EXPECT_EQ(sleeper.receive_for(20s).status(), Status::removed); });
    std::thread sending([&] { EXPECT_TRUE(producer.send_for("2", 20s)); });
    EXPECT_TRUE(all_park(name, 2));
    channel.remove_group("workers");
    reading.join();
    sending.join();
}

TEST(RemoveGroup, ANewGroupOfTheSameNameStartsAfreshWhileOldMembersStayOut) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto old = channel.join("workers", manual);
    auto producer = channel.producer();
    send_numbers(producer, 0, 3);
    auto held = old.receive();
    channel.remove_group("workers");
    auto fresh = channel.join("workers", {.from = Start::earliest()});
    EXPECT_EQ(drain(fresh), numbers(0, 3));
    send_numbers(producer, 3, 5);
    EXPECT_EQ(held.ack().status(), Status::lease_lost);
    EXPECT_EQ(old.try_receive().status(), Status::removed);
    EXPECT_EQ(drain(fresh), numbers(3, 5));
}

// --------------------------------------------------------------------------------------- the end

TEST(ClosedGroup, IsToldOnlyAfterEverythingIsSettled) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto holder = channel.join("workers", manual);
    auto other = channel.join("workers", manual);
    auto producer = channel.producer();
    send_numbers(producer, 0, 3);
    auto zero = holder.receive();
    auto one = holder.receive();
    auto two = holder.receive();
    EXPECT_TRUE(producer.close());
    EXPECT_EQ(other.try_receive().status(), Status::empty);
    EXPECT_EQ(other.receive_for(20ms).status(), Status::timed_out);
    EXPECT_TRUE(zero.ack());
    EXPECT_TRUE(one.nack());
    auto again = other.receive_for(5s);
    ASSERT_TRUE(again);
    EXPECT_EQ(again.text(), "1");
    EXPECT_TRUE(again.nack(100ms));
    EXPECT_EQ(other.try_receive().status(), Status::empty);
    EXPECT_TRUE(two.ack());
    auto last = other.receive_for(10s);
    ASSERT_TRUE(last);
    EXPECT_EQ(last.text(), "1");
    EXPECT_EQ(last.attempt(), 3U);
    EXPECT_EQ(holder.try_receive().status(), Status::empty);
    EXPECT_TRUE(last.ack());
    EXPECT_EQ(holder.receive().status(), Status::closed);
    EXPECT_EQ(other.receive().status(), Status::closed);
}

// Who waits counts as done with what it holds. One whose wait has just ended with a message, which
// it did not get around to say yet, is not done with that.
TEST(ClosedGroup, IsNotToldWhileAMemberWhoseWaitEndsTakesTheLastMessage) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    const auto drop = [](protocol::Reader* reader) { reader->drop(); };
    const auto memory = memory_of(name);
    const std::unique_ptr<protocol::Reader, decltype(drop)> taker(
        new protocol::Member(memory, "workers", {}), drop);
    format::Participant& entry = memory->participant(0);
    ASSERT_EQ(format::role_of(entry), format::Role::member);
    const auto waits = [&entry] {
        entry.activity = static_cast<std::uint8_t>(format::Activity::waiting_for_message);
    };
    auto other = channel.join("workers");
    auto producer = channel.producer();
    send_numbers(producer, 0, 1);
    EXPECT_TRUE(producer.close());

    waits();
    protocol::Received taken;
    ASSERT_EQ(taker->poll(taken, protocol::Taking::hand_out), Status::ok);
    EXPECT_EQ(other.try_receive().status(), Status::empty);
    waits();  // for the next
    EXPECT_EQ(taker->poll(taken, protocol::Taking::hand_out), Status::empty);
    EXPECT_EQ(other.try_receive().status(), Status::closed);
    taker->release(taken);
}

/// Six members sleep beside one that holds the last message of a closed channel, and end soon after
/// `settle` was called with that message.
void expect_that_sleepers_end(const GroupOptions& policies,
                              const std::function<void(Message<>&)>& settle) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    GroupOptions options = policies;
    options.participant.wait_policy = WaitPolicy::parking();
    auto holder = channel.join("workers", options);
    auto elsewhere = channel.join("elsewhere", options);
    auto producer = channel.producer();
    send_numbers(producer, 0, 1);
    auto last = holder.receive();
    auto held_elsewhere = elsewhere.receive();
    EXPECT_TRUE(producer.close());
    const auto sleep_in = [&](const char* group) {
        return std::jthread([&, group] {
            auto member = channel.join(group, options);
            EXPECT_EQ(member.receive_for(20s).status(), Status::closed);
        });
    };
    // The first that sleeps has the sentinel's duty, and would wake others when it leaves.
    const std::jthread sentinel = sleep_in("elsewhere");
    EXPECT_TRUE(all_park(name, 1));
    std::vector<std::jthread> sleepers;
    for (int i = 0; i < 6; ++i)
        sleepers.push_back(sleep_in("workers"));
    EXPECT_TRUE(all_park(name, 7));
    const auto start = Clock::now();
    settle(last);
    sleepers.clear();
    EXPECT_LT(Clock::now() - start, 2s);
    EXPECT_TRUE(held_elsewhere.ack());
}

TEST(ClosedGroup, SleepingMembersEndWhenTheLastMessageIsSettled) {
    expect_that_sleepers_end(manual, [](auto& last) { EXPECT_TRUE(last.ack()); });
}

TEST(ClosedGroup, AHolderThatSleepsEndsThoughWhoSettledTheRestDiedBeforeItTold) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    GroupOptions options = manual;
    options.participant.wait_policy = WaitPolicy::parking();
    auto elsewhere = channel.join("elsewhere", options);
    auto other = channel.join("workers", options);
    auto producer = channel.producer();
    send_numbers(producer, 0, 2);
    auto held_elsewhere = elsewhere.receive();
    auto rest = other.receive();
    EXPECT_TRUE(producer.close());
    // Has the sentinel's duty, and looks at its own group only when that ticks.
    const std::jthread sentinel([&] {
        auto member = channel.join("elsewhere", options);
        while (auto message = member.receive_for(20s))
            EXPECT_TRUE(message.ack());
    });
    EXPECT_TRUE(all_park(name, 1));
    std::jthread holder([&] {
        auto member = channel.join("workers", options);
        auto held = member.receive();
        EXPECT_EQ(member.receive_for(20s).status(), Status::closed);
    });
    EXPECT_TRUE(all_park(name, 2));
    const auto memory = memory_of(name);
    const auto group = static_cast<unsigned>(protocol::find_group(*memory, "workers"));
    auto& word = memory->lease(group, rest.position());
    const format::Lease lease{word.load()};
    const auto start = Clock::now();
    word = lease.to(format::LeaseState::settled, lease.attempt(), lease.member()).bits;
    holder.join();
    EXPECT_LT(Clock::now() - start, 2s);
    EXPECT_TRUE(held_elsewhere.ack());
}

TEST(ClosedGroup, SleepingMembersDoNotWaitForADeadLetterThatNobodyTakes) {
    const ChannelName missing("missing");
    GroupOptions options = manual;
    options.dead_letter = missing;
    expect_that_sleepers_end(options, [](auto& last) { EXPECT_TRUE(last.reject()); });
}

TEST(ClosedGroup, AGroupThatJoinsAfterwardsReadsWhatIsRetainedAndEnds) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto producer = channel.producer();
    send_numbers(producer, 0, 3);
    EXPECT_TRUE(producer.close());
    auto member = channel.join("late", {.from = Start::earliest()});
    EXPECT_EQ(drain(member), numbers(0, 3));
    EXPECT_EQ(member.receive().status(), Status::closed);
    auto latest = channel.join("later");
    EXPECT_EQ(latest.receive().status(), Status::closed);
}

// ---------------------------------------------------------------------------------- many at once

TEST(Group, ThreadsThatSettleInAllWaysLoseAndRepeatNothing) {
    const ChannelName name;
    const ChannelName dead("dead");
    auto channel = Channel<>::create(name, {.capacity = 64});
    auto letters = Channel<>::create(dead, {.capacity = 4096}).subscribe();
    GroupOptions options = manual;
    options.max_attempts = 4;
    options.dead_letter = dead;
    constexpr int messages = 3000;
    std::vector<std::vector<int>> acked(3);
    std::vector<std::thread> workers;
    { auto group = channel.join("workers", options); }
    for (std::size_t w = 0; w < acked.size(); ++w) {
        workers.emplace_back([&, w] {
            auto member = channel.join("workers", options);
            while (auto message = member.receive()) {
                const int value = std::stoi(std::string(message.text()));
                if (value % 10 == 7) {
                    EXPECT_TRUE(message.reject());
                } else if (value % 10 == 3) {
                    EXPECT_TRUE(message.nack());  // until its attempts are used up
                } else if (value % 5 == 1 && message.attempt() < 3) {
                    message.release();
                } else {
                    EXPECT_TRUE(message.ack());
                    acked[w].push_back(value);
                }
            }
        });
    }
    auto producer = channel.producer();
    send_numbers(producer, 0, messages);
    EXPECT_TRUE(producer.close());
    for (auto& worker : workers)
        worker.join();
    {
        // A letter whose target was being attached to by another worker waits, and nobody for it.
        auto member = channel.join("workers", options);
        EXPECT_TRUE(eventually([&] {
            EXPECT_EQ(member.try_receive().status(), Status::closed);
            return report_of(name, "workers").dead_pending == 0;
        }));
    }
    std::vector<int> all;
    for (const auto& some : acked)
        all.insert(all.end(), some.begin(), some.end());
    while (auto letter = letters.try_receive()) {
        const int value = std::stoi(std::string(letter.text()));
        EXPECT_TRUE(value % 10 == 7 || value % 10 == 3) << value;
        EXPECT_EQ(letter.origin()->reason, value % 10 == 7 ? "rejected" : "attempts exhausted");
        EXPECT_EQ(letter.origin()->position, static_cast<Position>(value));
        all.push_back(value);
    }
    std::sort(all.begin(), all.end());
    ASSERT_EQ(all.size(), static_cast<std::size_t>(messages));
    for (int i = 0; i < messages; ++i)
        ASSERT_EQ(all[static_cast<std::size_t>(i)], i);
    const GroupReport report = report_of(name, "workers");
    EXPECT_EQ(report.acked, 2400U);
    EXPECT_EQ(report.rejected, 300U);
    EXPECT_EQ(report.dead_lettered, 600U);
    EXPECT_EQ(report.in_flight + report.backlog + report.dead_pending, 0U);
}

}
}
