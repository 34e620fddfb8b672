// The response-time model, against cases that were worked out by hand.

#include "tools/monitor/estimate.hpp"

#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "ipc/format/histogram.hpp"

namespace ipc::tools::monitor {
namespace {

using format::bucket_of;
using format::histogram_buckets;

constexpr std::int64_t second = 1'000'000'000;

class Counts {
public:
    Counts& add(std::int64_t nanoseconds, std::uint64_t times) {
        counts[bucket_of(static_cast<std::uint64_t>(nanoseconds))] += times;
        sum += static_cast<std::uint64_t>(nanoseconds) * times;
        return *this;
    }
    PackedHistogram packed() const { return {counts, sum}; }

    std::vector<std::uint64_t> counts = std::vector<std::uint64_t>(histogram_buckets);
    std::uint64_t sum = 0;
};

// Two reports of one channel with one group, ten seconds apart.
class EstimateTest : public ::testing::Test {
protected:
    EstimateTest() {
        before.channel_id = now.channel_id = 7;
        before.sampled_at_ns = 100 * second;
        now.sampled_at_ns = 110 * second;
        before.capacity = now.capacity = 1024;
        GroupReport group;
        group.name = "workers";
        group.service_time = group.response_time = Counts().counts;
        before.groups = {group};
        now.groups = {group};
    }

    GroupReport& earlier() { return before.groups[0]; }
    GroupReport& group() { return now.groups[0]; }

    void service(const Counts& counts) {
        group().service_time = counts.counts;
        group().service_time_sum_ns = counts.sum;
    }
    /// A living member of the group that holds so many messages.
    void add_member(std::uint64_t leases) {
        ParticipantReport& member = now.participants.emplace_back();
        member.role = ParticipantRole::member;
        member.alive = true;
        member.group_index = 0;
        member.leases_held = leases;
        group().in_flight += leases;
    }
    void busy(int members) {
        for (int i = 0; i < members; ++i)
            add_member(1);
    }
    Estimate result() const {
        const GroupStart start(before, before.groups[0]);
        return estimate(&start, now, now.groups[0]);
    }

    ChannelReport before;
    ChannelReport now;
};

// The case of the article: ten members that take 1 s each, 20 messages waiting.
TEST_F(EstimateTest, TheArticlesCase) {
    service(Counts().add(second, 100));
    group().members = 10;
    group().backlog = 20;
    busy(10);
    const Estimate estimate = result();
    EXPECT_DOUBLE_EQ(estimate.service->mean, 1.0);
    EXPECT_DOUBLE_EQ(estimate.service_capacity.value(), 10.0);
    EXPECT_DOUBLE_EQ(estimate.response_busy.value(), 3.0);
    // One of ten evenly working members ends its message within the next 0.1 s.
    EXPECT_NEAR(estimate.response_next.value(), 3.0, 0.1);
}

TEST_F(EstimateTest, RatesArePerSecondOfTheWindow) {
    now.published = 50;
    now.published_bytes = 1000;
    const ChannelRates of_channel = channel_rates(ChannelStart(before), now).value();
    EXPECT_DOUBLE_EQ(of_channel.seconds, 10.0);
    EXPECT_DOUBLE_EQ(of_channel.published, 5.0);
    EXPECT_DOUBLE_EQ(of_channel.published_bytes, 100.0);
    group().delivered = 40;
    group().settled = 30;
    group().acked = 20;
    group().returned = 5;
    group().redelivered = 4;
    group().skipped = 3;
    group().dead_lettered = 2;
    const GroupRates rates = result().rates.value();
    EXPECT_DOUBLE_EQ(rates.published, 5.0);
    EXPECT_DOUBLE_EQ(rates.delivered, 4.0);
    EXPECT_DOUBLE_EQ(rates.settled, 3.0);
    EXPECT_DOUBLE_EQ(rates.acked, 2.0);
    EXPECT_DOUBLE_EQ(rates.returned, 0.5);
    EXPECT_DOUBLE_EQ(rates.redelivered, 0.4);
    EXPECT_DOUBLE_EQ(rates.skipped, 0.3);
    EXPECT_DOUBLE_EQ(rates.dead_lettered, 0.2);
}

TEST_F(EstimateTest, NothingIsKnownOfRatesWithoutAnEarlierLook) {
    service(Counts().add(second, 3));
    group().members = 1;
    EXPECT_FALSE(estimate(nullptr, now, group()).rates);
    EXPECT_TRUE(estimate(nullptr, now, group()).response_busy);
    EXPECT_TRUE(result().rates);
    earlier().acked = 1;  // shrank
    EXPECT_FALSE(result().rates);
    earlier().acked = 0;
    before.sampled_at_ns = now.sampled_at_ns;
    EXPECT_FALSE(result().rates);
    EXPECT_FALSE(channel_rates(ChannelStart(before), now));
}

TEST_F(EstimateTest, ServiceTimeIsThatOfTheWindowAndOfThePastWhenTheWindowIsIdle) {
    const Counts old = Counts().add(second, 1000);
    earlier().service_time = old.counts;
    earlier().service_time_sum_ns = old.sum;
    service(old);
    EXPECT_DOUBLE_EQ(result().service->mean, 1.0);
    service(Counts(old).add(2 * second, 10));
    EXPECT_DOUBLE_EQ(result().service->mean, 2.0);
    EXPECT_DOUBLE_EQ(result().service->samples, 10.0);
}

TEST_F(EstimateTest, WithoutMembersOrServiceTimesNothingIsPredicted) {
    group().backlog = 5;
    group().members = 1;
    EXPECT_FALSE(result().response_busy);
    EXPECT_FALSE(result().response_next);
    EXPECT_FALSE(result().utilisation);
    service(Counts().add(second, 1));
    group().members = 0;
    EXPECT_TRUE(result().service);
    EXPECT_FALSE(result().service_capacity);
    EXPECT_FALSE(result().response_busy);
}

TEST_F(EstimateTest, AnIdleMemberTakesAMessageAtOnce) {
    service(Counts().add(second, 10));
    group().members = 3;
    busy(2);
    EXPECT_DOUBLE_EQ(result().response_next.value(), 1.0);
    // What waits for a moment while a member is idle is gone before the next message.
    group().members = 5;
    group().backlog = 2;
    EXPECT_DOUBLE_EQ(result().response_next.value(), 1.0);
    EXPECT_DOUBLE_EQ(result().response_busy.value(), 1.4);
}

TEST_F(EstimateTest, TheWorkInProgressDelaysTheNextMessage) {
    group().members = 1;
    group().backlog = 3;
    busy(1);
    service(Counts().add(second, 10));  // constant: half of a service time is left on average
    EXPECT_NEAR(result().response_next.value(), 1 + 3 + 0.5, 1e-9);
    // 9 s in one of ten: E[X^2] / 2 E[X] is left, which is the mean * (1 + variation) / 2.
    service(Counts().add(second, 9).add(9 * second, 1));
    const Durations durations = result().service.value();
    EXPECT_DOUBLE_EQ(durations.mean, 1.8);
    EXPECT_NEAR(durations.squared_variation, (9 * 1 + 81) / 10.0 / (1.8 * 1.8) - 1, 0.2);
    EXPECT_NEAR(result().response_next.value(),
                1.8 * (1 + 3 + (1 + durations.squared_variation) / 2), 1e-9);
}

TEST_F(EstimateTest, WhatIsReservedInBatchesWaitsAndWhatIsDelayedDoesNot) {
    service(Counts().add(second, 10));
    group().members = 1;
    add_member(3);
    EXPECT_NEAR(result().response_next.value(), 1 + 2 + 0.5, 1e-9);
    group().backlog = group().delayed = 7;
    EXPECT_NEAR(result().response_next.value(), 1 + 2 + 0.5, 1e-9);
}

TEST_F(EstimateTest, AnIdleMemberTakesAMessageAtOnceHoweverMuchAnotherHasInItsBatch) {
    service(Counts().add(second, 10));
    group().members = 3;
    add_member(100);  // more than the leases that a report lists
    EXPECT_EQ(result().busy, 1U);
    EXPECT_DOUBLE_EQ(result().response_next.value(), 1.0);
    group().backlog = 1;
    EXPECT_DOUBLE_EQ(result().response_next.value(), 1.0);
    // The idle take the two that wait; the next has the batch before it.
    group().backlog = 2;
    EXPECT_NEAR(result().response_next.value(), 1 + (0 + 99 + 1 - 1.0 / 6) / 3, 1e-9);
}

TEST_F(EstimateTest, OnlyLivingMembersOfTheGroupAreBusy) {
    group().members = 2;
    add_member(1);
    add_member(1);
    now.participants[0].alive = false;
    now.participants.push_back(now.participants[1]);
    now.participants[2].group_index = 1;
    EXPECT_EQ(result().busy, 1U);
    // A subscriber has no leases.
    group().subscriber = true;
    group().members = 1;
    group().in_flight = 1;
    now.participants.clear();
    EXPECT_EQ(result().busy, 1U);
}

TEST_F(EstimateTest, UtilisationCountsReturnsAndExceedsOne) {
    service(Counts().add(second, 10));
    group().members = 2;
    now.published = 10;
    EXPECT_DOUBLE_EQ(result().utilisation.value(), 0.5);
    group().returned = 5;
    EXPECT_DOUBLE_EQ(result().utilisation.value(), 0.75);
    now.published = 30;
    EXPECT_DOUBLE_EQ(result().utilisation.value(), 1.75);
    EXPECT_FALSE(result().response_steady) << "no steady state";
}

// Waits at exponential service times: M/M/1 at 0.5: T_p. M/M/2 at 0.5: T_p / 3. M/M/3 with load 2:
// P(wait) = 4/9, W = 4/9 T_p. At constant ones, half of that: M/D/1 exactly.
TEST_F(EstimateTest, SteadyStateIsThatOfTheTextbook) {
    for (const Counts& times :
         {Counts().add(second, 10), Counts().add(second / 3, 50).add(3 * second, 14)}) {
        service(times);
        const Durations durations = result().service.value();
        const double unit = durations.mean * (1 + durations.squared_variation) / 2;
        const auto wait = [&](unsigned members, double load) {
            group().members = members;
            now.published = 1000;
            before.sampled_at_ns =
                now.sampled_at_ns - static_cast<std::int64_t>(1000 * 1e9 * durations.mean / load);
            return (result().response_steady.value() - durations.mean) / unit;
        };
        EXPECT_NEAR(wait(1, 0.5), 1, 1e-6);
        EXPECT_NEAR(wait(2, 1), 1.0 / 3, 1e-6);
        EXPECT_NEAR(wait(3, 2), 4.0 / 9, 1e-6);
    }
}

TEST(ErlangC, ValuesOfTheTable) {
    EXPECT_NEAR(probability_of_waiting(1, 0.3), 0.3, 1e-12);
    EXPECT_NEAR(probability_of_waiting(2, 1.0), 1.0 / 3, 1e-12);
    EXPECT_NEAR(probability_of_waiting(3, 2.0), 4.0 / 9, 1e-12);
    EXPECT_NEAR(probability_of_waiting(10, 8.0), 0.4092, 1e-4);
    EXPECT_NEAR(probability_of_waiting(5, 0.0), 0.0, 1e-12);
    EXPECT_GT(probability_of_waiting(1000, 990.0), 0.5);
    EXPECT_LT(probability_of_waiting(1000, 990.0), 1.0);
}

TEST_F(EstimateTest, ABacklogOfWhichNothingIsSettledIsNoBasisForAPrediction) {
    service(Counts().add(second, 10));
    earlier().service_time = group().service_time;  // all of it before the window
    earlier().service_time_sum_ns = group().service_time_sum_ns;
    group().members = 1;
    earlier().backlog = 4;
    group().backlog = 9;
    EXPECT_TRUE(result().stalled);
    EXPECT_FALSE(result().response_busy);
    EXPECT_FALSE(result().response_next);
    group().settled = 1;
    EXPECT_FALSE(result().stalled);
    EXPECT_TRUE(result().response_busy);
    group().settled = 0;
    earlier().backlog = 0;  // it may all have come just now
    EXPECT_FALSE(result().stalled);
    earlier().backlog = 4;
    before.sampled_at_ns = now.sampled_at_ns - 2 * second;  // too short for that verdict
    EXPECT_FALSE(result().stalled);
}

// Members that rest between their messages, or work after they settled one: T_p does not know.
TEST_F(EstimateTest, MembersThatWereNeverIdleShowTheirCapacity) {
    service(Counts().add(second / 10, 20));
    earlier().members = group().members = 1;
    busy(1);
    before.tail = 100;
    now.tail = 120;
    earlier().position = 10;
    group().position = 30;  // of 90 that waited, 70 still do
    group().settled = 20;
    earlier().backlog = group().backlog = 90;
    EXPECT_NEAR(result().response_busy.value(), 0.1 + 90 * 0.1, 1e-9);
    EXPECT_NEAR(result().response_next.value(), 0.1 + 90.5 / 2, 1e-9);
    group().position = 100;  // the backlog may have been empty in between
    EXPECT_NEAR(result().response_next.value(), 0.1 + 90.5 * 0.1, 1e-9);
}

// Ten seconds have room for 11 messages of 0.9 s, and for a part of one at each end.
TEST_F(EstimateTest, MembersThatSettleWhatTheyCanButForOneMessageDoNotRest) {
    service(Counts().add(9 * second / 10, 11));
    earlier().members = group().members = 1;
    busy(1);
    before.tail = 100;
    now.tail = 120;
    group().position = 30;
    earlier().backlog = group().backlog = 60;
    for (const std::uint64_t settled : {11U, 12U}) {
        group().settled = settled;
        EXPECT_NEAR(result().response_next.value(), 0.9 + 60.5 * 0.9, 1e-6) << settled;
    }
    group().settled = 8;
    EXPECT_NEAR(result().response_next.value(), 0.9 + 60.5 / 0.8, 1e-6);
}

TEST_F(EstimateTest, WhatALossyReaderMissesLeavesItsQueueToo) {
    service(Counts().add(second / 200, 2000));
    group().members = 1;
    group().backlog = 800;
    group().reliable = false;
    group().skipped = 398'000;  // 39 800 per second, besides 200 that are read
    EXPECT_NEAR(result().response_busy.value(), 0.005 + 800 / 200.0, 1e-9);
    EXPECT_NEAR(result().response_next.value(), 0.005 + 0.02, 1e-4);
    group().reliable = true;  // those it missed by joining late
    EXPECT_NEAR(result().response_next.value(), 4.0, 0.1);
}

TEST_F(EstimateTest, TrendsGoOnUntilDrainedOrFull) {
    EXPECT_DOUBLE_EQ(result().until_drained.value(), 0.0);
    EXPECT_FALSE(result().until_full);

    earlier().backlog = 100;
    group().backlog = 60;  // 4 per second
    EXPECT_DOUBLE_EQ(result().until_drained.value(), 15.0);

    before.tail = 200;
    earlier().settled_below = 100;
    now.tail = 1000;
    group().settled_below = 800;  // 100 taken became 200: 10 per second, 824 left
    group().backlog = 160;
    EXPECT_FALSE(result().until_drained);
    EXPECT_DOUBLE_EQ(result().until_full.value(), 82.4);
    group().reliable = false;
    EXPECT_FALSE(result().until_full);
    group().reliable = true;
    now.tail = 800 + 1024;
    EXPECT_DOUBLE_EQ(result().until_full.value(), 0.0);
}

TEST(Durations, MeanIsExactAndPercentilesLieInTheirBucket) {
    Counts before;
    before.add(5'000'000, 50);
    Counts now = before;
    now.add(1'000'000, 98).add(100'000'000, 2);
    const auto durations = durations_between(before.packed(), now.counts, now.sum).value();
    EXPECT_DOUBLE_EQ(durations.samples, 100.0);
    EXPECT_NEAR(durations.mean, (98 * 0.001 + 2 * 0.1) / 100, 1e-12);
    EXPECT_NEAR(durations.median, 0.001, 0.00025);
    EXPECT_NEAR(durations.percentile_99, 0.1, 0.025);
    EXPECT_FALSE(durations_between(now.packed(), now.counts, now.sum));
    EXPECT_FALSE(durations_between({}, {}, 0));
}

// The last bucket starts at 2.1 h and has no end; the sum tells what the histogram does not.
TEST(Durations, MeanIsExactBeyondTheLastBucketAndPercentilesAreItsBeginning) {
    constexpr std::int64_t hour = 3600 * second;
    Counts counts;
    counts.add(6 * hour, 3).add(hour, 1);
    const auto durations = durations_between({}, counts.counts, counts.sum).value();
    EXPECT_DOUBLE_EQ(durations.mean, (3 * 6 + 1) * 3600 / 4.0);
    EXPECT_NEAR(durations.percentile_99, 2.14 * 3600, 36);
}

TEST(PackedHistogram, KeepsWhatItWasMadeOf) {
    Counts some;
    some.add(0, 1).add(1'000'000, 3).add(2 * second, 1'000'000'000'000);
    const PackedHistogram packed = some.packed();
    std::vector<std::uint64_t> counts = packed.counts();
    EXPECT_NE(counts.back(), 0U);
    counts.resize(histogram_buckets);
    EXPECT_EQ(counts, some.counts);
    EXPECT_EQ(packed.samples(), 1'000'000'000'004U);
    EXPECT_EQ(packed.sum(), some.sum);
    EXPECT_TRUE(PackedHistogram().counts().empty());
    EXPECT_TRUE(Counts().packed().counts().empty());
}

TEST(Durations, SurviveWhateverSharedMemoryHolds) {
    Counts counts;
    counts.add(1'000'000, 10);
    for (const std::uint64_t sum : {std::uint64_t{0}, ~std::uint64_t{0}, std::uint64_t{1} << 63}) {
        const auto durations = durations_between({}, counts.counts, sum).value();
        EXPECT_NEAR(durations.mean, 0.001, 0.00025) << "no further off than the bucket is wide";
    }
    const std::vector<std::uint64_t> full(histogram_buckets, ~std::uint64_t{0});
    const auto durations = durations_between({}, full, 0).value();
    EXPECT_GT(durations.mean, 0);
    EXPECT_GE(durations.squared_variation, 0);
    EXPECT_LE(durations.percentile_99, 20'000);
}

}  // namespace
}  // namespace ipc::tools::monitor
