// Reports: what inspect says equals what happened.

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <functional>
#include <numeric>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "ipc/format/histogram.hpp"
#include "ipc/ipc.hpp"
#include "ipc/os/clock.hpp"
#include "ipc/protocol/lifecycle.hpp"
#include "tests/support/channel_name.hpp"
#include "tests/support/child.hpp"
#include "tests/support/report_of.hpp"

namespace ipc::test {
namespace {

using namespace std::chrono_literals;

std::uint64_t sum(const std::vector<std::uint64_t>& counts) {
    return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

TEST(ParticipantTitle, SaysWhenItsPidIsOneOfAnotherNamespace) {
    ParticipantReport participant;
    participant.name = "worker";
    participant.pid = 7;
    EXPECT_EQ(participant.title(), "worker (pid 7)");
    participant.same_pid_namespace = false;
    EXPECT_EQ(participant.title(), "worker (pid 7 in another PID namespace)");
}

TEST(Inspect, ShowsTheChannelAsItWasCreated) {
    const ChannelName name;
    const std::int64_t start = os::now();
    auto channel = Channel<>::create(
        name, {.capacity = 100, .inline_size = 100, .region_size = 5000, .temporary = true});
    const ChannelReport report = inspect(name);
    EXPECT_EQ(report.name, name.str());
    EXPECT_NE(report.channel_id, 0U);
    EXPECT_GE(report.sampled_at_ns, start);
    EXPECT_LE(report.sampled_at_ns, os::now());
    EXPECT_EQ(report.capacity, 128U);
    EXPECT_EQ(report.inline_size, 104U);
    EXPECT_EQ(report.region_size, 8192U);
    EXPECT_TRUE(report.temporary);
    EXPECT_FALSE(report.closed);
    EXPECT_FALSE(report.removed);
    EXPECT_EQ(report.type_name, "");
    EXPECT_EQ(report.first, 0U);
    EXPECT_EQ(report.tail, 0U);
    EXPECT_EQ(report.published, 0U);
    EXPECT_EQ(report.blocked_by, "");
    EXPECT_TRUE(report.participants.empty());
    EXPECT_TRUE(report.groups.empty());
    EXPECT_EQ(inspect(name).channel_id, report.channel_id);
}

TEST(Inspect, OfAMissingChannelIsAnError) {
    const ChannelName name;
    try {
        (void)inspect(name);
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Errc::not_found);
        EXPECT_EQ(error.channel(), name.str());
    }
}

TEST(Inspect, TakesNoPartAndHoldsNobodyBack) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 4, .max_participants = 1});
    Inspector inspector(name);
    auto producer = channel.exclusive_producer();
    for (int i = 0; i < 100; ++i)
        ASSERT_TRUE(producer.try_send("x"));
    const ChannelReport report = inspector.sample();
    EXPECT_EQ(report.participants.size(), 1U);
    EXPECT_EQ(report.tail, 100U);
    EXPECT_TRUE(report.groups.empty());
}

TEST(Inspect, CountsMessagesAndBytesExactlyOverAllProducersThereEverWere) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;
    for (int round = 0; round < 5; ++round) {
        auto one = channel.producer();
        auto two = channel.producer();
        for (std::size_t size : {0U, 1U, 40U, 41U, 3000U}) {
            ASSERT_TRUE(one.send(std::string(size, 'a')));
            ASSERT_TRUE(two.send(std::string(size, 'b')));
            messages += 2;
            bytes += 2 * size;
        }
        auto loan = one.loan(500);
        loan.resize(123);
        ASSERT_TRUE(std::move(loan).publish());
        const std::vector<std::string_view> batch{"12", "345", ""};
        ASSERT_TRUE(two.send_batch(batch));
        messages += 4;
        bytes += 123 + 5;
    }
    const ChannelReport report = inspect(name);
    EXPECT_EQ(report.published, messages);
    EXPECT_EQ(report.published_bytes, bytes);
    EXPECT_EQ(report.tail, messages);
    EXPECT_EQ(report.aborted, 0U);
    EXPECT_EQ(report.producers(), 0U);
}

TEST(Inspect, NamesEachParticipantAndWhatItIs) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto producer = channel.producer({.name = "source"});
    auto member = channel.join("workers", {.participant = {.name = "worker"}});
    auto subscriber = channel.subscribe({.participant = {.name = "tap"}});
    auto unnamed = channel.subscribe();
    auto long_name = channel.subscribe({.participant = {.name = std::string(50, 'n')}});
    const ChannelReport report = inspect(name);
    ASSERT_EQ(report.participants.size(), 5U);
    EXPECT_EQ(report.producers(), 1U);
    for (const auto& participant : report.participants) {
        EXPECT_EQ(participant.pid, ::getpid());
        EXPECT_TRUE(participant.alive);
        EXPECT_TRUE(participant.same_pid_namespace);
        EXPECT_EQ(participant.activity, Activity::running);
    }
    EXPECT_EQ(report.participants[0].role, ParticipantRole::shared_producer);
    EXPECT_EQ(report.participants[0].name, "source");
    EXPECT_EQ(report.participants[0].group_index, -1);
    EXPECT_EQ(report.participants[1].role, ParticipantRole::member);
    EXPECT_EQ(report.participants[1].name, "worker");
    EXPECT_EQ(report.participants[1].group, "workers");
    EXPECT_EQ(report.participants[2].role, ParticipantRole::subscriber);
    EXPECT_EQ(report.participants[2].name, "tap");
    EXPECT_EQ(report.participants[3].name, std::string("inspect_test").substr(0, 15));
    EXPECT_EQ(report.participants[4].name, std::string(31, 'n'));
}

// Whoever takes an entry over may be stopped halfway: then the entry is a mixture of two owners.
TEST(Inspect, LeavesOutAParticipantWhoseEntryIsBeingRewritten) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto first = channel.producer({.name = "first"});
    auto second = channel.producer({.name = "second"});
    ASSERT_TRUE(first.send("x"));
    const auto memory = protocol::open_channel(name, {}, {});
    memory->participant(0).version.fetch_add(1);  // odd from now on
    ChannelReport report = inspect(name);
    ASSERT_EQ(report.participants.size(), 1U);
    EXPECT_EQ(report.participants[0].index, 1U);
    EXPECT_EQ(report.participants[0].name, "second");
    EXPECT_EQ(report.published, 1U) << "what the entry's owners published counts all the same";
    memory->participant(0).version.fetch_add(1);
    report = inspect(name);
    ASSERT_EQ(report.participants.size(), 2U);
    EXPECT_EQ(report.participants[0].name, "first");
}

TEST(Inspect, ShowsAnActivityThatItDoesNotKnowAsRunning) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto producer = channel.producer();
    protocol::open_channel(name, {}, {})->participant(0).activity = 0xFF;
    EXPECT_EQ(inspect(name).participants.at(0).activity, Activity::running);
}

TEST(Inspect, SeesAnExclusiveProducerAndThatItLeft) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    {
        auto producer = channel.exclusive_producer();
        EXPECT_EQ(inspect(name).participants.at(0).role, ParticipantRole::exclusive_producer);
        EXPECT_EQ(inspect(name).producers(), 1U);
        ASSERT_TRUE(producer.send("x"));
        EXPECT_EQ(inspect(name).participants.at(0).messages, 1U);
        EXPECT_EQ(inspect(name).participants.at(0).bytes, 1U);
    }
    EXPECT_TRUE(inspect(name).participants.empty());
    EXPECT_EQ(inspect(name).published, 1U);
}

TEST(Inspect, SaysWhatAParticipantWaitsForAndSinceWhen) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 1});
    auto blocker = channel.join("blocker");
    auto producer = channel.producer({.wait_policy = WaitPolicy::parking()});
    auto reader = channel.subscribe({.participant = {.wait_policy = WaitPolicy::parking()}});
    ASSERT_TRUE(producer.send("0"));
    ASSERT_TRUE(reader.receive());
    std::stop_source stop;
    const std::int64_t start = os::now();
    std::thread sending(
        [&] { EXPECT_EQ(producer.send("1", stop.get_token()).status(), Status::interrupted); });
    std::thread reading(
        [&] { EXPECT_EQ(reader.receive(stop.get_token()).status(), Status::interrupted); });
    EXPECT_TRUE(eventually([&] {
        const ChannelReport report = inspect(name);
        return report.participants[1].activity == Activity::waiting_for_room &&
               report.participants[2].activity == Activity::waiting_for_message;
    }));
    const ChannelReport report = inspect(name);
    for (std::size_t i = 1; i < 3; ++i) {
        EXPECT_GE(report.participants[i].activity_since_ns, start);
        EXPECT_LE(report.participants[i].activity_since_ns, report.sampled_at_ns);
    }
    stop.request_stop();
    sending.join();
    reading.join();
    EXPECT_EQ(inspect(name).participants[1].activity, Activity::running);
    EXPECT_EQ(inspect(name).participants[2].activity, Activity::running);
}

TEST(InspectGroup, FiguresFollowEachMessageThroughItsLife) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 64});
    auto member = channel.join("workers", {.ack = Ack::manual, .participant = {.name = "w"}});
    auto producer = channel.producer();
    for (int i = 0; i < 10; ++i)
        ASSERT_TRUE(producer.send(std::to_string(i)));
    GroupReport report = report_of(name, "workers");
    EXPECT_EQ(report.members, 1U);
    EXPECT_EQ(report.start, 0U);
    EXPECT_EQ(report.backlog, 10U);
    EXPECT_EQ(report.in_flight, 0U);
    EXPECT_EQ(report.delivered, 0U);
    EXPECT_EQ(report.settled, 0U);

    auto zero = member.receive();
    auto one = member.receive();
    auto two = member.receive();
    report = report_of(name, "workers");
    EXPECT_EQ(report.backlog, 7U);
    EXPECT_EQ(report.in_flight, 3U);
    EXPECT_EQ(report.delivered, 3U);
    EXPECT_EQ(report.position, 3U);
    ASSERT_EQ(report.leases.size(), 3U);
    for (unsigned i = 0; i < 3; ++i) {
        EXPECT_EQ(report.leases[i].position, i);
        EXPECT_EQ(report.leases[i].kind, LeaseKind::leased);
        EXPECT_EQ(report.leases[i].attempt, 1U);
        EXPECT_EQ(report.leases[i].member, 0);
    }
    EXPECT_EQ(inspect(name).participants[0].leases_held, 3U);
    EXPECT_EQ(inspect(name).participants[0].messages, 3U);

    EXPECT_TRUE(one.ack());
    report = report_of(name, "workers");
    EXPECT_EQ(report.in_flight, 2U);
    EXPECT_EQ(report.settled, 1U);
    EXPECT_EQ(report.acked, 1U);
    EXPECT_EQ(report.settled_below, 0U);

    EXPECT_TRUE(zero.nack());
    report = report_of(name, "workers");
    EXPECT_EQ(report.in_flight, 1U);
    EXPECT_EQ(report.backlog, 8U);
    EXPECT_EQ(report.returned, 1U);
    EXPECT_EQ(report.recovered, 0U);
    EXPECT_EQ(report.redelivered, 0U);
    ASSERT_EQ(report.leases.size(), 2U);
    EXPECT_EQ(report.leases[0].kind, LeaseKind::returned);
    EXPECT_EQ(report.leases[0].member, -1);

    auto again = member.receive();
    EXPECT_EQ(again.text(), "0");
    report = report_of(name, "workers");
    EXPECT_EQ(report.redelivered, 1U);
    EXPECT_EQ(report.delivered, 4U);
    EXPECT_EQ(report.in_flight, 2U);
    EXPECT_TRUE(again.ack());
    EXPECT_TRUE(two.reject());
    report = report_of(name, "workers");
    EXPECT_EQ(report.settled, 3U);
    EXPECT_EQ(report.acked, 2U);
    EXPECT_EQ(report.rejected, 1U);
    EXPECT_EQ(report.dropped, 1U);
    EXPECT_EQ(report.in_flight, 0U);
    EXPECT_EQ(report.backlog, 7U);
    EXPECT_TRUE(report.leases.empty());
}

// A report lists fewer leases than that.
TEST(InspectGroup, AMembersLeasesAreAllCountedHoweverManyItHolds) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 256});
    auto idle = channel.join("others", {.ack = Ack::manual, .participant = {.name = "idle"}});
    auto member = channel.join("workers", {.ack = Ack::manual, .participant = {.name = "busy"}});
    auto producer = channel.producer();
    for (int i = 0; i < 120; ++i)
        ASSERT_TRUE(producer.send("x"));
    std::vector<Message<>> singles;
    for (int i = 0; i < 10; ++i)
        singles.push_back(member.receive());
    auto batch = member.receive_batch(90);
    ASSERT_EQ(batch.size(), 90U);
    const auto held_by = [&](const std::string& participant) {
        for (const auto& each : inspect(name).participants) {
            if (each.name == participant) return each.leases_held;
        }
        ADD_FAILURE() << "no participant " << participant;
        return std::uint64_t{0};
    };
    EXPECT_EQ(held_by("busy"), 100U);
    EXPECT_EQ(held_by("idle"), 0U);
    EXPECT_EQ(report_of(name, "workers").in_flight, 100U);

    EXPECT_TRUE(singles.front().ack());
    EXPECT_TRUE(singles.back().nack());
    EXPECT_EQ(batch.ack_all(), 90U);
    EXPECT_EQ(held_by("busy"), 8U);
}

TEST(InspectGroup, ConservesMessagesWhateverHappensToThem) {
    const ChannelName name;
    const ChannelName dead("dead");
    auto letters = Channel<>::create(dead);
    auto channel = Channel<>::create(name, {.capacity = 256});
    auto member =
        channel.join("workers", {.ack = Ack::manual, .max_attempts = 3, .dead_letter = dead});
    auto producer = channel.producer();
    std::vector<Message<>> held;
    std::uint64_t acked = 0;
    std::uint64_t rejected = 0;
    std::uint64_t returned = 0;
    std::uint64_t redelivered = 0;
    std::uint64_t delivered = 0;
    std::uint64_t published = 0;
    for (unsigned turn = 0; turn < 400; ++turn) {
        if (turn % 2 == 0) {
            ASSERT_TRUE(producer.send("x"));
            ++published;
        }
        auto message = member.try_receive();
        if (message) {
            ++delivered;
            if (message.attempt() > 1) ++redelivered;
            switch (turn % 7) {
                case 0:
                case 1:
                    ASSERT_TRUE(message.nack());
                    ++returned;
                    break;
                case 2:
                    ASSERT_TRUE(message.reject());
                    ++rejected;
                    break;
                case 3:
                    if (held.size() < 5) {
                        held.push_back(std::move(message));
                    } else {
                        message.release();
                        ++returned;
                    }
                    break;
                default:
                    ASSERT_TRUE(message.ack());
                    ++acked;
                    break;
            }
        }
        const GroupReport report = report_of(name, "workers");
        ASSERT_EQ(report.settled + report.in_flight + report.backlog + report.dead_pending,
                  published);
        ASSERT_EQ(report.acked, acked);
        ASSERT_EQ(report.rejected, rejected);
        ASSERT_EQ(report.returned, returned);
        ASSERT_EQ(report.redelivered, redelivered);
        ASSERT_EQ(report.delivered, delivered);
        ASSERT_EQ(report.in_flight, held.size());
        ASSERT_EQ(report.settled, acked + report.dead_lettered);
    }
    EXPECT_GT(redelivered, 0U);
    EXPECT_EQ(inspect(dead).published, report_of(name, "workers").dead_lettered);
}

TEST(InspectGroup, PurgedAndRejectedMessagesCountAsSettledAndNotAsAcked) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 64});
    auto member = channel.join("workers", {.ack = Ack::manual});
    auto producer = channel.producer();
    for (int i = 0; i < 20; ++i)
        ASSERT_TRUE(producer.send("x"));
    for (int i = 0; i < 4; ++i)
        EXPECT_TRUE(member.receive().ack());
    for (int i = 0; i < 3; ++i)
        EXPECT_TRUE(member.receive().reject());
    EXPECT_EQ(channel.purge("workers"), 13U);
    const GroupReport report = report_of(name, "workers");
    EXPECT_EQ(report.settled, 20U);
    EXPECT_EQ(report.acked, 4U);
    EXPECT_EQ(report.rejected, 3U);
    EXPECT_EQ(report.dropped, 3U);
    EXPECT_EQ(report.purged, 13U);
    EXPECT_EQ(report.delivered, 7U);  // the purged ones were never handed out
    EXPECT_EQ(report.backlog, 0U);
}

TEST(InspectGroup, ARejectedMessageThatIsPendingIsNotSubtractedFromTheAcked) {
    const ChannelName name;
    const ChannelName missing("missing");
    auto channel = Channel<>::create(name);
    auto member = channel.join("workers", {.ack = Ack::manual, .dead_letter = missing});
    auto producer = channel.producer();
    for (int i = 0; i < 4; ++i)
        ASSERT_TRUE(producer.send("x"));
    EXPECT_TRUE(member.receive().reject());
    for (int i = 0; i < 3; ++i)
        EXPECT_TRUE(member.receive().ack());
    const GroupReport report = report_of(name, "workers");
    EXPECT_EQ(report.dead_pending, 1U);
    EXPECT_EQ(report.settled, 3U);
    EXPECT_EQ(report.acked, 3U);
}

TEST(InspectGroup, DeadLettersThatHoldProducersAreBlamedRatherThanTheGroup) {
    const ChannelName name;
    const ChannelName missing("missing");
    auto channel = Channel<>::create(name, {.capacity = 16});
    auto member = channel.join("workers", {.ack = Ack::manual, .dead_letter = missing});
    auto producer = channel.producer();
    for (int i = 0; i < 16; ++i)
        ASSERT_TRUE(producer.send("x"));
    EXPECT_TRUE(member.receive().reject());
    EXPECT_EQ(
        inspect(name).blocked_by,
        "producers wait for group workers: 1 dead letter waits for the channel " + missing.str());
    EXPECT_TRUE(member.receive().reject());
    EXPECT_EQ(
        inspect(name).blocked_by,
        "producers wait for group workers: 2 dead letters wait for the channel " + missing.str());
}

TEST(InspectGroup, ALossyReadersSkippedMessagesAreNeitherDeliveredNorAcked) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 16});
    auto producer = channel.producer();
    for (int i = 0; i < 100; ++i)
        ASSERT_TRUE(producer.send("x"));
    // Skips from its start on, and once more later.
    auto member = channel.join("lossy", {.delivery = Delivery::lossy, .from = Start::at(0)});
    std::uint64_t read = 0;
    for (; read < 3; ++read)
        ASSERT_TRUE(member.try_receive());
    for (int i = 0; i < 100; ++i)
        ASSERT_TRUE(producer.send("x"));
    while (member.try_receive())
        ++read;
    const GroupReport report = report_of(name, "lossy");
    EXPECT_EQ(report.skipped, 200U - read);
    EXPECT_EQ(report.skipped, member.skipped());
    EXPECT_EQ(report.delivered, read);
    EXPECT_EQ(report.acked, read);
    EXPECT_EQ(report.backlog, 0U);
}

TEST(InspectGroup, AReliableGroupThatStartedLateAckedWhatItAcked) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 16});
    auto producer = channel.producer();
    for (int i = 0; i < 100; ++i)
        ASSERT_TRUE(producer.send("x"));
    auto member = channel.join("late", {.from = Start::at(0)});
    std::uint64_t read = 0;
    while (member.try_receive())
        ++read;
    const GroupReport report = report_of(name, "late");
    EXPECT_EQ(report.skipped + read, 100U);
    EXPECT_EQ(report.delivered, read);
    EXPECT_EQ(report.settled, read);
    EXPECT_EQ(report.acked, read);
}

TEST(InspectGroup, ASubscribersFiguresAreExactOnceItFoundNothingMore) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 64});
    auto subscriber = channel.subscribe();
    auto producer = channel.producer();
    for (int i = 0; i < 10; ++i)
        ASSERT_TRUE(producer.send("xy"));
    ChannelReport report = inspect(name);
    ASSERT_EQ(report.groups.size(), 1U);
    EXPECT_TRUE(report.groups[0].subscriber);
    EXPECT_EQ(report.groups[0].backlog + report.groups[0].in_flight, 10U);
    while (subscriber.try_receive()) {
    }
    report = inspect(name);
    EXPECT_EQ(report.groups[0].backlog, 0U);
    EXPECT_EQ(report.groups[0].in_flight, 0U);
    EXPECT_EQ(report.groups[0].delivered, 10U);
    EXPECT_EQ(report.groups[0].acked, 10U);
    EXPECT_EQ(report.participants[0].messages, 10U);
    EXPECT_EQ(report.participants[0].bytes, 20U);
}

TEST(InspectGroup, TheOldestMessagesAgeIsItsOwn) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto member = channel.join("workers");
    EXPECT_EQ(report_of(name, "workers").oldest_age_ns, -1);
    const std::int64_t before = os::now();
    auto producer = channel.producer();
    ASSERT_TRUE(producer.send("x"));  // a producer stamps its first message
    const std::int64_t after = os::now();
    std::this_thread::sleep_for(20ms);
    const ChannelReport report = inspect(name);
    EXPECT_GE(report.groups[0].oldest_age_ns, report.sampled_at_ns - after);
    EXPECT_LE(report.groups[0].oldest_age_ns, report.sampled_at_ns - before);
    ASSERT_TRUE(member.receive());
    EXPECT_EQ(report_of(name, "workers").oldest_age_ns, -1);
}

TEST(InspectGroup, TheOldestMessagesAgeIsWithinBoundsWhetherOrNotItIsStamped) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto member = channel.join("workers");
    auto producer = channel.producer();
    const std::int64_t before = os::now();
    for (int i = 0; i < 500; ++i)
        ASSERT_TRUE(producer.send("x"));
    const std::int64_t after = os::now();
    unsigned stamped = 0;
    for (int i = 0; i < 500; ++i) {
        const ChannelReport report = inspect(name);
        const GroupReport& group = report.groups[0];
        EXPECT_LE(group.oldest_age_ns, report.sampled_at_ns - before);
        EXPECT_GE(group.oldest_age_at_most_ns, report.sampled_at_ns - after);
        EXPECT_LE(group.oldest_age_at_most_ns, report.sampled_at_ns - before);
        if (group.oldest_age_ns == group.oldest_age_at_most_ns) ++stamped;
        ASSERT_TRUE(member.receive());
    }
    EXPECT_GT(stamped, 0U);
    EXPECT_LT(stamped, 500U);
    EXPECT_EQ(report_of(name, "workers").oldest_age_at_most_ns, -1);
}

// A producer stamps few messages of a burst. The slow ones after it must not wait as long for one.
TEST(InspectGroup, SlowMessagesAfterABurstAreStampedAgain) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto subscriber = channel.subscribe({.participant = {.wait_policy = WaitPolicy::parking()}});
    auto producer = channel.producer();
    for (int i = 0; i < 50'000; ++i) {
        ASSERT_TRUE(producer.send("burst"));
        ASSERT_TRUE(subscriber.receive());
    }
    std::vector<bool> stamped;
    std::jthread slow_reader([&] {
        for (int i = 0; i < 5; ++i)
            stamped.push_back(subscriber.receive().published_at().count() != 0);
    });
    for (int i = 0; i < 5; ++i) {
        EXPECT_TRUE(eventually([&] {
            const ChannelReport report = inspect(name);
            return report.groups[0].position == report.tail &&
                   report.participants[0].activity == Activity::waiting_for_message;
        }));
        ASSERT_TRUE(producer.send("slow"));
    }
    slow_reader.join();
    // Not the first ones: it takes a reader that was found asleep.
    EXPECT_TRUE(stamped.back());
}

TEST(InspectGroup, SampledTimesBoundWhatASlowMessageTook) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto member = channel.join("workers");
    auto subscriber = channel.subscribe();
    auto producer = channel.producer();
    ASSERT_TRUE(producer.send("x"));
    std::this_thread::sleep_for(5ms);
    auto message = member.receive();
    EXPECT_GT(message.published_at().count(), 0);
    std::this_thread::sleep_for(5ms);
    message.release();
    ASSERT_TRUE(subscriber.receive());
    const ChannelReport report = inspect(name);
    const auto smallest = [](const std::vector<std::uint64_t>& counts) {
        const auto found =
            std::find_if(counts.begin(), counts.end(), [](auto n) { return n != 0; });
        return format::bucket_floor(static_cast<std::size_t>(found - counts.begin()));
    };
    EXPECT_EQ(sum(report.groups[0].service_time), 1U);
    EXPECT_EQ(sum(report.groups[0].response_time), 1U);
    EXPECT_GE(smallest(report.groups[0].service_time), 4'000'000U);  // a bucket is 25 % wide
    EXPECT_GE(smallest(report.groups[0].response_time), 8'000'000U);
    EXPECT_EQ(sum(report.groups[1].response_time), 1U);
    EXPECT_GE(report.groups[0].service_time_sum_ns, 5'000'000U);
    EXPECT_GE(report.groups[0].response_time_sum_ns, 10'000'000U);
    EXPECT_GE(report.groups[0].response_time_sum_ns, report.groups[0].service_time_sum_ns);
    EXPECT_LT(report.groups[0].service_time_sum_ns, 2 * smallest(report.groups[0].service_time));
}

TEST(InspectGroup, ServiceTimeOfABatchCountsFromEachMessagesHandOut) {
    for (const bool named : {true, false}) {
        const ChannelName name;
        auto channel = Channel<>::create(name);
        auto reader = named ? channel.join("workers") : channel.subscribe();
        auto producer = channel.producer();
        for (int i = 0; i < 4; ++i)
            ASSERT_TRUE(producer.send("x"));
        const std::int64_t start = os::now();
        for (auto& message : reader.receive_batch(4)) {
            std::this_thread::sleep_for(5ms);
            message.release();
        }
        const auto elapsed = static_cast<std::uint64_t>(os::now() - start);
        const ChannelReport report = inspect(name);
        const std::uint64_t samples = sum(report.groups[0].service_time);
        EXPECT_GE(samples, 1U);
        EXPECT_GE(report.groups[0].service_time_sum_ns, samples * 5'000'000);
        EXPECT_LE(report.groups[0].service_time_sum_ns, elapsed);
    }
}

TEST(InspectBlockedBy, NamesTheMemberWhoseMessageHoldsTheRing) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 4});
    auto member =
        channel.join("workers", {.ack = Ack::manual, .participant = {.name = "sluggard"}});
    auto tap = channel.subscribe();
    auto producer = channel.producer();
    for (int i = 0; i < 3; ++i)
        ASSERT_TRUE(producer.send("x"));
    auto held = member.receive();
    EXPECT_EQ(inspect(name).blocked_by, "");
    std::this_thread::sleep_for(1ms);
    ASSERT_TRUE(producer.send("x"));
    while (tap.try_receive()) {
    }
    for (int i = 0; i < 3; ++i)
        ASSERT_TRUE(member.receive().ack());
    const ChannelReport report = inspect(name);
    EXPECT_TRUE(report.blocked_by.starts_with(
        "producers wait for group workers: member sluggard (pid " + std::to_string(::getpid()) +
        ") holds message 0 and received last "))
        << report.blocked_by;
    EXPECT_TRUE(report.find_group("workers")->blocks_producers);
    EXPECT_TRUE(held.ack());
    EXPECT_EQ(inspect(name).blocked_by, "");
    EXPECT_TRUE(producer.try_send("room"));
}

TEST(InspectBlockedBy, SaysWhenTheHolderReceivedLast) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 1});
    auto member = channel.join("workers", {.ack = Ack::manual, .participant = {.name = "w"}});
    auto producer = channel.producer();
    const std::int64_t before = os::now();
    EXPECT_EQ(inspect(name).participants[0].last_received_ns, 0);
    ASSERT_TRUE(producer.send("x"));
    auto held = member.receive();
    const std::int64_t after = os::now();
    std::this_thread::sleep_for(1100ms);
    const ChannelReport report = inspect(name);
    EXPECT_GE(report.participants[0].last_received_ns, before);
    EXPECT_LE(report.participants[0].last_received_ns, after);
    std::size_t tenths = 0;
    std::size_t seconds = 0;
    const auto from = report.blocked_by.rfind(" last ");
    ASSERT_NE(from, std::string::npos) << report.blocked_by;
    ASSERT_EQ(
        std::sscanf(report.blocked_by.c_str() + from, " last %zu.%zu s ago", &seconds, &tenths), 2)
        << report.blocked_by;
    const auto shown = static_cast<std::int64_t>(10 * seconds + tenths) * 100'000'000;
    EXPECT_GE(shown + 100'000'000, report.sampled_at_ns - after);
    EXPECT_LE(shown, report.sampled_at_ns - before);
}

TEST(InspectBlockedBy, NamesADurableGroupWithoutMembersAndASubscriber) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 2});
    { auto member = channel.join("absent"); }
    auto producer = channel.producer();
    ASSERT_TRUE(producer.send("x"));
    ASSERT_TRUE(producer.send("x"));
    EXPECT_EQ(inspect(name).blocked_by, "producers wait for group absent, which has no members");
    auto tap = channel.subscribe({.from = Start::earliest(), .participant = {.name = "lazy"}});
    channel.remove_group("absent");
    const std::string blocked_by = inspect(name).blocked_by;
    EXPECT_EQ(blocked_by,
              "producers wait for subscriber lazy (pid " + std::to_string(::getpid()) + ")");
}

TEST(InspectBlockedBy, IsEmptyWheneverAProducerHasRoom) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 64});  // a step of 4
    auto member = channel.join("workers", {.ack = Ack::manual});
    auto producer = channel.producer();
    for (int i = 0; i < 64; ++i)
        ASSERT_TRUE(producer.send("x"));
    EXPECT_NE(inspect(name).blocked_by, "");
    for (int i = 0; i < 9; ++i) {
        ASSERT_TRUE(member.receive().ack());
        const std::string blocked_by = inspect(name).blocked_by;
        ASSERT_TRUE(producer.try_send("x")) << i;
        EXPECT_EQ(blocked_by, "") << "after " << i + 1 << " acks";
    }
}

TEST(Inspect, KnowsTheRoomForChannels) {
    const SharedMemorySpace space = shared_memory_space();
    EXPECT_GT(space.total, 0U);
    EXPECT_LE(space.free, space.total);
}

TEST(Inspect, ShowsTheEndOfAChannel) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto producer = channel.producer();
    ASSERT_TRUE(producer.send("x"));
    Inspector inspector(name);
    EXPECT_TRUE(producer.close());
    EXPECT_TRUE(inspector.sample().closed);
    EXPECT_EQ(inspector.sample().tail, 1U);
    EXPECT_EQ(inspector.sample().published, 1U);
    EXPECT_FALSE(inspector.sample().removed);
    EXPECT_TRUE(remove(name));
    EXPECT_TRUE(inspector.sample().removed);
    EXPECT_EQ(inspector.sample().tail, 1U);
}

TEST(Inspect, OldestRetainedIsWhereAnEarlyStartBegins) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 32});
    auto producer = channel.producer();
    for (int i = 0; i < 77; ++i) {
        ASSERT_TRUE(producer.send(std::to_string(i)));
        const Position oldest = inspect(name).oldest_retained;
        auto early = channel.subscribe({.from = Start::earliest()});
        ASSERT_EQ(early.position(), oldest);
        ASSERT_EQ(early.try_receive().text(), std::to_string(oldest));
    }
}

TEST(Inspect, IsRightAboutCumulativeFiguresWhileTrafficGoesOn) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 64});
    { auto group = channel.join("workers", {.ack = Ack::manual}); }
    std::atomic<bool> stop{false};
    std::thread working([&] {
        auto member = channel.join("workers", {.ack = Ack::manual});
        while (auto message = member.receive()) {
            if (message.position() % 5 == 0 && message.attempt() == 1) {
                EXPECT_TRUE(message.nack());
            } else {
                EXPECT_TRUE(message.ack());
            }
        }
    });
    std::thread sending([&] {
        auto producer = channel.producer();
        while (!stop)
            EXPECT_TRUE(producer.send("x"));
        EXPECT_TRUE(producer.close());
    });
    Inspector inspector(name);
    GroupReport last;
    const auto end = std::chrono::steady_clock::now() + 500ms;
    while (std::chrono::steady_clock::now() < end) {
        const ChannelReport report = inspector.sample();
        const GroupReport& group = report.groups.at(0);
        EXPECT_LE(group.backlog, 64U);
        EXPECT_GE(group.settled_below, last.settled_below);
        EXPECT_GE(group.redelivered, last.redelivered);
        EXPECT_LE(group.position, report.tail);
        last = group;
    }
    stop = true;
    sending.join();
    working.join();
    const ChannelReport report = inspector.sample();
    EXPECT_EQ(report.published, report.tail);
    EXPECT_EQ(report.groups[0].settled, report.tail);
    EXPECT_EQ(report.groups[0].acked, report.tail);
    EXPECT_EQ(report.groups[0].redelivered, (report.tail + 4) / 5);
    EXPECT_EQ(report.groups[0].delivered, report.tail + (report.tail + 4) / 5);
}

/// Looks again and again while `traffic` goes on in a thread of its own; the last look follows it.
void watch(const std::string& channel, const std::function<void()>& traffic,
           const std::function<void(const GroupReport&)>& look) {
    Inspector inspector(channel);
    std::atomic<bool> over{false};
    const std::jthread running([&] {
        traffic();
        over = true;
    });
    for (bool last = false; !last && !::testing::Test::HasFailure();) {
        last = over;
        look(inspector.sample().groups.at(0));
    }
}

TEST(InspectTotals, AtMostOneMessageOfAPurgeIsTakenForAcked) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 65536});
    { auto group = channel.join("workers"); }
    watch(
        name,
        [&] {
            auto producer = channel.producer();
            for (int round = 0; round < 20; ++round) {
                while (producer.try_send("x")) {
                }
                EXPECT_EQ(channel.purge("workers"), 65536U);
            }
        },
        [](const GroupReport& group) { EXPECT_LE(group.acked, 1U); });
}

TEST(InspectTotals, AtMostOneMessageOfAWorkerThatRejectsAllIsTakenForAcked) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 131072});
    auto member = channel.join("workers", {.ack = Ack::manual});
    auto blocker = channel.join("workers", {.ack = Ack::manual});
    auto producer = channel.producer();
    // Held, so that a look has a long window to walk over.
    ASSERT_TRUE(producer.send("x"));
    const auto held = blocker.receive();
    watch(
        name,
        [&] {
            for (int i = 1; i < 131072; ++i) {
                ASSERT_TRUE(producer.send("x"));
                ASSERT_TRUE(member.receive().reject());
            }
        },
        [](const GroupReport& group) { EXPECT_LE(group.acked, 1U); });
}

TEST(InspectTotals, APurgeThatIsKilledLeavesAtMostOneMessageThatCountsAsAcked) {
    for (int round = 0; round < 5; ++round) {
        const ChannelName name;
        auto channel = Channel<>::create(name, {.capacity = 262144});
        { auto group = channel.join("workers"); }
        auto producer = channel.exclusive_producer();
        while (producer.try_send("")) {
        }
        Child purging([name = name.str()] { (void)Channel<>::open(name).purge("workers"); });
        Inspector inspector(name);
        const auto deadline = std::chrono::steady_clock::now() + 10s;
        while (inspector.sample().groups.at(0).settled == 0)
            ASSERT_LT(std::chrono::steady_clock::now(), deadline);
        purging.kill();
        EXPECT_LE(report_of(name, "workers").acked, 1U);
    }
}

TEST(InspectTotals, NeverGoBackForWhoKeepsLooking) {
    for (const Delivery delivery : {Delivery::reliable, Delivery::lossy}) {
        const bool leases = delivery == Delivery::reliable;
        const ChannelName name;
        auto channel = Channel<>::create(name, {.capacity = 64});
        auto member = leases ? channel.join("workers", {.ack = Ack::manual})
                             : channel.join("workers", {.delivery = delivery});
        auto producer = channel.producer();
        std::uint64_t received = 0;
        std::uint64_t acked = 0;
        GroupReport last;
        watch(
            name,
            [&] {
                for (int i = 0; i < 50'000; ++i) {
                    // A lossy member falls behind, and jumps, all the time.
                    for (int n = leases ? 1 : i % 100; n > 0; --n)
                        ASSERT_TRUE(producer.try_send("x"));
                    auto message = member.try_receive();
                    if (!message) continue;
                    ++received;
                    if (leases && i % 2 == 0) {
                        ASSERT_TRUE(message.reject());
                    } else {
                        ASSERT_TRUE(message.ack());
                        ++acked;
                    }
                }
            },
            [&](const GroupReport& group) {
                EXPECT_GE(group.delivered, last.delivered);
                EXPECT_GE(group.settled, last.settled);
                EXPECT_GE(group.acked, last.acked);
                last = group;
            });
        EXPECT_EQ(last.delivered, received);
        EXPECT_EQ(last.acked, acked);
    }
}

TEST(InspectTotals, APurgedLossyGroupAckedWhatItReceived) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 16});
    auto member = channel.join("lossy", {.delivery = Delivery::lossy});
    auto producer = channel.producer();
    for (int i = 0; i < 10; ++i)
        ASSERT_TRUE(producer.send("x"));
    ASSERT_TRUE(member.try_receive());
    for (int i = 0; i < 40; ++i)
        ASSERT_TRUE(producer.send("x"));
    EXPECT_EQ(channel.purge("lossy"), 49U);
    const GroupReport report = report_of(name, "lossy");
    EXPECT_EQ(report.purged, 49U);
    EXPECT_EQ(report.settled, 50U);
    EXPECT_EQ(report.delivered, 1U);
    EXPECT_EQ(report.acked, 1U);
    EXPECT_EQ(report.backlog, 0U);
}

}
}
