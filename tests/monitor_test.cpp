// The parts of ipc-monitor, without a terminal: each is a function of what it is given.

#include <stdlib.h>
#include <time.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ipc/format/histogram.hpp"
#include "ipc/ipc.hpp"
#include "tests/support/channel_name.hpp"
#include "tests/support/shell.hpp"
#include "tools/common/text.hpp"
#include "tools/monitor/chart.hpp"
#include "tools/monitor/history.hpp"
#include "tools/monitor/live_source.hpp"
#include "tools/monitor/pacer.hpp"
#include "tools/monitor/screen.hpp"
#include "tools/monitor/view.hpp"

namespace ipc::test {
namespace {

using namespace std::chrono_literals;
using namespace ipc::tools::monitor;  // NOLINT(google-build-using-namespace)
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr std::int64_t second = 1'000'000'000;

// --- a simulated host ---------------------------------------------------------------------------

/// Channels that change as the test says, one second at a time, and the history of it.
class Host {
public:
    /// A channel with one durable group of one member, and a producer.
    ChannelReport& add_channel(const std::string& name, std::uint64_t capacity = 100) {
        ChannelReport& channel = channels_.emplace_back();
        channel.name = name;
        channel.channel_id = channels_.size();
        channel.capacity = capacity;
        channel.inline_size = 40;
        channel.region_size = 1 << 20;
        channel.reserved_bytes = 1 << 20;
        channel.object_bytes = 4 << 20;
        add_participant(channel, ParticipantRole::shared_producer, "source", -1);
        return channel;
    }
    static GroupReport& add_group(ChannelReport& channel, const std::string& name,
                                  const std::string& member) {
        GroupReport& group = channel.groups.emplace_back();
        group.index = static_cast<unsigned>(channel.groups.size() - 1);
        group.name = name;
        group.durable = true;
        group.manual_ack = true;
        group.members = 1;
        group.service_time.assign(format::histogram_buckets, 0);
        group.response_time.assign(format::histogram_buckets, 0);
        add_participant(channel, ParticipantRole::member, member, static_cast<int>(group.index));
        channel.participants.back().group = name;
        return group;
    }
    static ParticipantReport& add_participant(ChannelReport& channel, ParticipantRole role,
                                              const std::string& name, int group) {
        ParticipantReport& participant = channel.participants.emplace_back();
        participant.index = static_cast<unsigned>(channel.participants.size() - 1);
        participant.role = role;
        participant.name = name;
        participant.pid = 1000 + static_cast<int>(participant.index);
        participant.alive = true;
        participant.process_state = 'S';
        participant.group_index = group;
        return participant;
    }

    /// `count` messages come in.
    static void publish(ChannelReport& channel, std::uint64_t count) {
        channel.tail += count;
        channel.published += count;
        channel.published_bytes += 100 * count;
        channel.participants[0].messages += count;
        for (GroupReport& group : channel.groups)
            group.backlog += count;
    }
    /// A group takes and settles that many, each in `service` seconds, `response` after it came.
    static void process(ChannelReport& channel, GroupReport& group, std::uint64_t count,
                        double service = 0.1, double response = 0.5) {
        ASSERT_LE(count, group.backlog);
        group.backlog -= count;
        group.position += count;
        group.settled_below += count;
        group.delivered += count;
        group.settled += count;
        group.acked += count;
        const auto add = [count](std::vector<std::uint64_t>& counts, std::uint64_t& sum,
                                 double duration) {
            const auto nanoseconds = static_cast<std::uint64_t>(duration * 1e9);
            counts[format::bucket_of(nanoseconds)] += count;
            sum += count * nanoseconds;
        };
        add(group.service_time, group.service_time_sum_ns, service);
        add(group.response_time, group.response_time_sum_ns, response);
        for (ParticipantReport& participant : channel.participants) {
            if (participant.group_index == static_cast<int>(group.index)) {
                participant.messages += count;
            }
        }
    }
    void break_channel(const std::string& name, const std::string& problem) {
        broken_.push_back({.channel = name, .report = std::nullopt, .problem = problem});
    }

    /// `seconds` snapshots; before each, `change` happens.
    void run(
        int seconds, const std::function<void()>& change = [] {}) {
        for (int i = 0; i < seconds; ++i) {
            change();
            now_ns += second;
            Snapshot snapshot = {.sampled_at_ns = now_ns,
                                 .wall_clock_ns = 1'700'000'000 * second + now_ns,
                                 .directory = directory,
                                 .space = {.total = 8ULL << 30, .free = 6ULL << 30},
                                 .channels = broken_};
            for (ChannelReport& channel : channels_) {
                channel.sampled_at_ns = now_ns;
                snapshot.channels.push_back(
                    {.channel = channel.name, .report = channel, .problem = {}});
            }
            std::sort(snapshot.channels.begin(), snapshot.channels.end(),
                      [](const Sample& a, const Sample& b) { return a.channel < b.channel; });
            history.add(std::move(snapshot));
        }
    }

    const GroupHistory& group(std::size_t channel = 0, std::size_t index = 0) const {
        return history.channels().at(channel).groups.at(index);
    }
    Estimate estimate() const { return history.channels()[0].estimate_of(group()); }
    State state(std::size_t channel = 0, std::size_t index = 0) const {
        return group(channel, index).state;
    }
    std::string why(std::size_t channel = 0, std::size_t index = 0) const {
        return explain(history.channels().at(channel), group(channel, index), history.now());
    }

    History history;
    std::int64_t now_ns = 100 * second;
    std::string directory = "/dev/shm";

private:
    std::deque<ChannelReport> channels_;
    std::vector<Sample> broken_;
};

// --- titles -------------------------------------------------------------------------------------

TEST(Title, OfASubscriptionIsItsOwnForAsLongAsItIsThere) {
    Host host;
    ChannelReport& channel = host.add_channel("jobs");
    const auto subscribe = [&](unsigned index) {
        GroupReport& group = Host::add_group(channel, "", "archiver");
        group.index = index;
        group.start = index;
        group.subscriber = true;
        channel.participants.back().pid = 4711;  // one process
        channel.participants.back().group_index = static_cast<int>(index);
    };
    subscribe(0);
    subscribe(1);
    host.run(1);
    EXPECT_EQ(host.group(0, 0).title, "archiver (4711)");
    EXPECT_EQ(host.group(0, 1).title, "archiver (4711) 2");
    channel.groups.erase(channel.groups.begin());
    host.run(1);
    EXPECT_EQ(host.group(0, 0).title, "archiver (4711) 2");
    subscribe(2);
    subscribe(3);
    host.run(1);
    EXPECT_EQ(host.group(0, 0).title, "archiver (4711) 2");
    EXPECT_EQ(host.group(0, 1).title, "archiver (4711)");
    EXPECT_EQ(host.group(0, 2).title, "archiver (4711) 3");
}

// --- the oldest message -------------------------------------------------------------------------

TEST(OldestMessage, IsAsOldAsTheLooksThatSawItWithoutAStamp) {
    Host host;
    ChannelReport& channel = host.add_channel("jobs");
    GroupReport& group = Host::add_group(channel, "workers", "w");
    Host::publish(channel, 3);
    const auto oldest = [&]() -> const GroupReport& {
        return host.history.channels()[0].report_of(host.group());
    };
    host.run(1);
    EXPECT_EQ(oldest().oldest_age_ns, -1);
    host.run(5);
    EXPECT_EQ(oldest().oldest_age_ns, 5 * second);
    // The next one was there at the look before, and nobody knows for how long by then.
    host.run(1, [&] { Host::process(channel, group, 1); });
    EXPECT_EQ(oldest().oldest_age_ns, second);
    EXPECT_EQ(oldest().oldest_age_at_most_ns, -1);
    // What came since the look before is younger than that.
    host.run(1, [&] {
        Host::publish(channel, 1);
        Host::process(channel, group, 2);
    });
    EXPECT_EQ(oldest().oldest_age_ns, -1);
    EXPECT_EQ(oldest().oldest_age_at_most_ns, second);
}

// --- states -------------------------------------------------------------------------------------

TEST(State, IsIdleWhileNothingMovesAndNothingWaits) {
    Host host;
    host.add_group(host.add_channel("jobs"), "workers", "w");
    host.run(15);
    EXPECT_EQ(host.state(), State::idle);
    EXPECT_EQ(host.why(), "");
}

TEST(State, IsOkWhileTheBacklogIsEmptyNowAndThen) {
    Host host;
    ChannelReport& channel = host.add_channel("jobs");
    GroupReport& group = host.add_group(channel, "workers", "w");
    host.run(30, [&] {
        host.publish(channel, 5);
        host.process(channel, group, group.backlog);
    });
    EXPECT_EQ(host.state(), State::ok);
    // Some wait at every look, but never the same ones.
    host.run(30, [&] {
        host.process(channel, group, group.backlog);
        host.publish(channel, 5);
    });
    EXPECT_EQ(host.state(), State::ok);
    host.run(30);
    EXPECT_EQ(host.state(), State::stop);
}

TEST(State, IsSlowWhileDeadLettersWaitAndNoneIsTaken) {
    Host host;
    ChannelReport& channel = host.add_channel("jobs");
    GroupReport& group = host.add_group(channel, "workers", "w");
    group.dead_letter = "nope";
    group.dead_pending = 2;
    host.run(1);
    EXPECT_EQ(host.state(), State::ok);
    host.run(1);
    EXPECT_EQ(host.state(), State::slow);
    EXPECT_EQ(host.why(), "2 dead letters wait for the dead-letter channel nope");
    host.run(15);
    EXPECT_EQ(host.state(), State::slow);
    // One is taken, another comes.
    host.run(1, [&] { ++group.dead_lettered; });
    EXPECT_EQ(host.state(), State::ok);
}

TEST(State, IsIdleAgainAWindowAfterTheLastMessage) {
    Host host;
    ChannelReport& channel = host.add_channel("jobs");
    GroupReport& group = host.add_group(channel, "workers", "w");
    host.run(5, [&] {
        host.publish(channel, 5);
        host.process(channel, group, 5);
    });
    host.run(9);
    EXPECT_EQ(host.state(), State::ok);
    host.run(3);
    EXPECT_EQ(host.state(), State::idle);
}

TEST(State, IsSlowWhenTheBacklogGrows) {
    Host host;
    ChannelReport& channel = host.add_channel("jobs", 1000);
    GroupReport& group = host.add_group(channel, "workers", "w");
    host.run(25, [&] {
        host.publish(channel, 10);
        host.process(channel, group, 6);
    });
    EXPECT_EQ(host.state(), State::slow);
    EXPECT_EQ(host.why(), "the backlog grew by 40 in 10s: 10/s come, 6.0/s are done; full in 3.8m");
}

TEST(State, IsSlowWhenTheBacklogNeverDrainsEvenIfItShrinks) {
    Host host;
    ChannelReport& channel = host.add_channel("jobs", 1000);
    GroupReport& group = host.add_group(channel, "workers", "w");
    host.publish(channel, 500);
    host.run(20, [&] {
        host.publish(channel, 10);
        host.process(channel, group, 12);
    });
    EXPECT_EQ(host.state(), State::slow);
    EXPECT_THAT(host.why(), StartsWith("the backlog was never empty in 10s: 10/s come, 12/s are "
                                       "done; drained in "));
}

TEST(State, IsSlowWhileALossyReaderMissesMessages) {
    Host host;
    ChannelReport& channel = host.add_channel("jobs");
    GroupReport& group = host.add_group(channel, "tail", "t");
    group.reliable = false;
    host.run(15, [&] {
        host.publish(channel, 10);
        host.process(channel, group, 5);
        group.backlog = 0;
        group.skipped += 5;
    });
    EXPECT_EQ(host.state(), State::slow);
    EXPECT_EQ(host.why(), "falls behind: it misses 5.0/s");
}

TEST(State, IsFullWhileProducersHaveNoRoomForMostOfTheWindow) {
    Host host;
    ChannelReport& channel = host.add_channel("jobs", 10);
    GroupReport& group = host.add_group(channel, "workers", "w");
    host.publish(channel, 10);
    group.blocks_producers = true;
    channel.blocked_by = "producers wait for group workers: member w (pid 1001) holds message 0";
    host.run(12, [&] {
        host.process(channel, group, 1);
        host.publish(channel, 1);
    });
    EXPECT_EQ(host.state(), State::full);
    EXPECT_EQ(host.why(),
              "producers wait for group workers: member w (pid 1001) holds message 0; 1.0/s come, "
              "1.0/s are done");
    // Once full in a while is no state.
    group.blocks_producers = false;
    host.run(12, [&] {
        host.process(channel, group, group.backlog);
        host.publish(channel, 5);
    });
    group.blocks_producers = true;
    host.run(1, [&] { host.process(channel, group, group.backlog); });
    EXPECT_EQ(host.state(), State::ok);
}

TEST(State, IsStopAtOnceWithoutMembersAndAfterAWindowWithThem) {
    Host host;
    ChannelReport& channel = host.add_channel("jobs");
    GroupReport& group = host.add_group(channel, "workers", "w");
    host.publish(channel, 3);
    host.run(8);
    EXPECT_EQ(host.state(), State::ok);
    host.run(5);
    EXPECT_EQ(host.state(), State::stop);
    EXPECT_EQ(host.why(), "3 messages wait, none was taken for 12s");

    channel.participants.pop_back();
    group.members = 0;
    host.run(1);
    EXPECT_EQ(host.state(), State::stop);
    EXPECT_EQ(host.why(), "3 messages wait, and the group has no members");
}

TEST(State, IsStopAtOnceWhenAllMembersAreStopped) {
    Host host;
    ChannelReport& channel = host.add_channel("jobs");
    host.add_group(channel, "workers", "w");
    host.publish(channel, 3);
    ParticipantReport& member = channel.participants.back();
    member.process_state = 'T';
    member.leases_held = 2;
    member.last_received_ns = host.now_ns - 4 * second;
    host.run(1);
    EXPECT_EQ(host.state(), State::stop);
    EXPECT_EQ(host.why(),
              "3 messages wait: member w (pid 1001) is stopped, holds 2 messages "
              "and received last 5.0s ago");
}

TEST(State, OfAGroupThatIsStoppedNamesTheMemberThatHoldsWhatItTook) {
    Host host;
    ChannelReport& channel = host.add_channel("jobs");
    GroupReport& group = Host::add_group(channel, "workers", "keeper");
    Host::publish(channel, 2);
    group.backlog = 1;
    group.in_flight = 1;
    group.leases = {{.position = 7, .member = -1, .kind = LeaseKind::returned},
                    {.position = 8, .member = 1, .kind = LeaseKind::leased}};
    channel.participants[1].leases_held = 1;
    channel.participants[1].last_received_ns = host.now_ns;
    host.run(15);
    EXPECT_EQ(host.state(), State::stop);
    EXPECT_THAT(host.why(),
                HasSubstr(": member keeper (pid 1001) holds message 8 and received last 15s ago"));
}

TEST(State, OfAGroupThatIsStoppedNamesTheProducerItWaitsFor) {
    Host host;
    ChannelReport& channel = host.add_channel("jobs");
    Host::add_group(channel, "workers", "worker");
    Host::add_group(channel, "audit", "auditor");
    Host::publish(channel, 2);
    channel.blocked_by = "readers wait for message 1, which stopped producer p (pid 9) has claimed";
    host.run(15);
    EXPECT_EQ(host.state(), State::stop);
    EXPECT_THAT(host.why(), HasSubstr(": readers wait for message 1"));

    channel.groups[1].blocks_producers = true;
    channel.blocked_by = "producers wait for group audit";
    host.run(1);
    EXPECT_THAT(host.why(), Not(HasSubstr("audit")));
    EXPECT_THAT(host.why(0, 1), HasSubstr(": producers wait for group audit"));
}

TEST(State, IsNotStopWhileLongWorkGoesOn) {
    Host host;
    ChannelReport& channel = host.add_channel("jobs");
    GroupReport& group = host.add_group(channel, "workers", "w");
    host.publish(channel, 9);
    host.run(1);
    host.run(1, [&] { host.process(channel, group, 1, 60.0); });
    host.run(30);
    EXPECT_EQ(host.state(), State::slow);
}

/// A member that got its last message some seconds ago, and has it since.
void hold(Host& host, ChannelReport& channel, GroupReport& group, std::int64_t seconds) {
    host.now_ns = std::max(host.now_ns, 10'000 * second);
    ParticipantReport& member = channel.participants[1];
    member.leases_held = group.in_flight = 1;
    member.last_received_ns = host.now_ns - seconds * second;
    member.activity_since_ns = member.last_received_ns - second;
    group.oldest_age_ns = seconds * second;
}

TEST(State, IsStopAtTheSecondLookWhereTheChannelTellsThatNobodyReceives) {
    Host host;
    ChannelReport& channel = host.add_channel("jobs");
    GroupReport& group = Host::add_group(channel, "workers", "w");
    Host::publish(channel, 8);
    Host::process(channel, group, 5, 0.01);
    hold(host, channel, group, 60);
    host.run(1);
    EXPECT_NE(host.state(), State::stop);
    host.run(1);
    EXPECT_EQ(host.state(), State::stop);
    EXPECT_EQ(host.why(), "3 messages wait, none was taken for 60s");
    // As soon as it goes on.
    host.run(1, [&] { Host::process(channel, group, 1, 0.01); });
    EXPECT_NE(host.state(), State::stop);
}

TEST(State, IsNotStopBecauseOfTimesThatMayBeOld) {
    // A thousand messages came at once, most of them without a stamp: since the newest one that had
    // one, hundreds may have been taken.
    for (const auto& [seconds, state] : {std::pair(1000, State::ok), {2000, State::stop}}) {
        Host host;
        ChannelReport& channel = host.add_channel("jobs", 2000);
        GroupReport& group = Host::add_group(channel, "workers", "w");
        Host::publish(channel, 1500);
        Host::process(channel, group, 1000, 0.5);
        hold(host, channel, group, seconds);
        host.run(3);
        EXPECT_EQ(host.state(), state) << seconds;
    }
}

TEST(State, IsNotStopWhileWhatWaitsIsYoungOrSomebodyMayStillTakeIt) {
    Host host;
    ChannelReport& channel = host.add_channel("jobs");
    GroupReport& group = Host::add_group(channel, "workers", "w");
    Host::publish(channel, 3);
    hold(host, channel, group, 3600);
    group.oldest_age_ns = second / 2;
    host.run(3);
    EXPECT_EQ(host.state(), State::ok);

    hold(host, channel, group, 3600);
    ParticipantReport& other = Host::add_participant(channel, ParticipantRole::member, "o", 0);
    other.activity_since_ns = host.now_ns - 3600 * second;
    host.run(3);
    EXPECT_EQ(host.state(), State::ok);
}

TEST(State, OfDelayedMessagesIsNotStop) {
    Host host;
    ChannelReport& channel = host.add_channel("jobs");
    GroupReport& group = host.add_group(channel, "workers", "w");
    host.publish(channel, 2);
    group.delayed = 2;
    host.run(30);
    EXPECT_EQ(host.state(), State::ok);
}

TEST(State, IsDeadWhileTheDeadHoldSomethingAndAMinuteLonger) {
    Host host;
    ChannelReport& channel = host.add_channel("jobs");
    GroupReport& group = host.add_group(channel, "workers", "w");
    host.add_participant(channel, ParticipantRole::member, "other", 0);
    ParticipantReport dying = channel.participants[1];
    channel.participants[1].leases_held = 2;
    host.run(3);
    EXPECT_NE(host.state(), State::dead);
    channel.participants[1].alive = false;
    host.run(100);
    EXPECT_EQ(host.state(), State::dead);
    EXPECT_EQ(host.why(),
              "member w (pid 1001) is dead and holds 2 messages, which nobody has "
              "recovered yet");
    channel.participants.erase(channel.participants.begin() + 1);
    group.recovered += 2;
    host.run(1);
    EXPECT_EQ(host.why(), "member w (pid 1001) died 0ns ago and held 2 messages, which others get");
    host.run(59);
    EXPECT_EQ(host.state(), State::dead);
    host.run(1);
    EXPECT_EQ(host.state(), State::idle);
}

TEST(State, NamesTheDeadThoughTheyWereRecoveredBetweenTwoLooks) {
    Host host;
    ChannelReport& channel = host.add_channel("jobs");
    GroupReport& group = host.add_group(channel, "workers", "w");
    host.run(2);
    channel.participants.pop_back();
    group.recovered = 1;
    host.run(3);
    EXPECT_EQ(host.state(), State::dead);
    EXPECT_EQ(host.why(), "member w (pid 1001) died 2.0s ago and held 1 message, which others get");
}

TEST(State, OfThePresentIsDeadUntilOthersHaveWhatTheDeadHeld) {
    Host host;
    ChannelReport& channel = host.add_channel("jobs");
    GroupReport& group = Host::add_group(channel, "workers", "w");
    Host::add_participant(channel, ParticipantRole::member, "other", 0);
    channel.participants[1].leases_held = 1;
    host.run(2);
    channel.participants[1].alive = false;
    host.run(1);
    EXPECT_EQ(present_state(host.group()), State::dead);
    channel.participants.erase(channel.participants.begin() + 1);
    group.recovered = 1;
    host.run(1);
    EXPECT_EQ(host.state(), State::dead);
    EXPECT_EQ(present_state(host.group()), State::idle);
    // What else is wrong is not hidden by it.
    channel.participants.pop_back();
    group.members = 0;
    Host::publish(channel, 3);
    host.run(1);
    EXPECT_EQ(host.state(), State::dead);
    EXPECT_EQ(present_state(host.group()), State::stop);
    EXPECT_EQ(explain(host.history.channels()[0], host.group(), State::stop, host.history.now()),
              "3 messages wait, and the group has no members");
}

TEST(State, IsDeadWhenAProducerDiedInAPublish) {
    Host host;
    ChannelReport& channel = host.add_channel("jobs");
    GroupReport& group = host.add_group(channel, "workers", "w");
    host.run(2);
    channel.participants.erase(channel.participants.begin());
    channel.aborted = group.aborted = 1;
    host.run(1);
    EXPECT_EQ(host.state(), State::dead);
    EXPECT_EQ(host.history.channels()[0].state, State::dead);
    EXPECT_THAT(host.why(), StartsWith("producer source (pid 1000) died"));
}

TEST(State, AMemberThatLeavesIsNoDeath) {
    Host host;
    ChannelReport& channel = host.add_channel("jobs");
    GroupReport& group = host.add_group(channel, "workers", "w");
    host.run(2);
    channel.participants.pop_back();
    group.returned = 1;
    host.run(3);
    EXPECT_EQ(host.state(), State::idle);
}

TEST(State, OfAChannelIsTheWorstOfItsGroups) {
    Host host;
    ChannelReport& channel = host.add_channel("jobs");
    GroupReport& good = host.add_group(channel, "good", "w");
    GroupReport& bad = host.add_group(channel, "bad", "w");
    GroupReport& first = channel.groups[0];
    (void)good;
    bad.members = 0;
    channel.participants.pop_back();
    host.run(12, [&] {
        host.publish(channel, 1);
        host.process(channel, first, 1);
    });
    EXPECT_EQ(host.state(0, 0), State::ok);
    EXPECT_EQ(host.state(0, 1), State::stop);
    EXPECT_EQ(host.history.channels()[0].state, State::stop);
}

TEST(State, RemembersSinceWhen) {
    Host host;
    ChannelReport& channel = host.add_channel("jobs");
    host.add_group(channel, "workers", "w");
    host.run(20);
    const double before = host.history.now();
    EXPECT_DOUBLE_EQ(before - host.group().state_since, 19);
    host.publish(channel, 1);
    host.run(5);
    EXPECT_EQ(host.state(), State::ok);
    EXPECT_DOUBLE_EQ(host.group().state_since, before + 1);
}

// --- history ------------------------------------------------------------------------------------

TEST(History, StartsAnewWhenANameMeansAnotherChannelOrAnEntryAnotherGroup) {
    Host host;
    ChannelReport& channel = host.add_channel("jobs");
    GroupReport& group = host.add_group(channel, "workers", "w");
    host.run(10, [&] {
        host.publish(channel, 5);
        host.process(channel, group, 5);
    });
    EXPECT_EQ(host.group().points.size(), 10U);
    EXPECT_TRUE(host.estimate().rates.has_value());
    group.start = 50;
    host.run(1);
    EXPECT_EQ(host.group().points.size(), 1U);
    EXPECT_FALSE(host.estimate().rates.has_value());
    host.run(5);
    channel.channel_id = 99;
    host.run(1);
    EXPECT_EQ(host.group().points.size(), 1U);
    EXPECT_FALSE(host.history.channels()[0].rates.has_value());
}

TEST(History, AChannelMadeAgainIsAsItIsSinceThen) {
    Host host;
    ChannelReport& channel = host.add_channel("jobs");
    host.run(20);
    channel.channel_id = 99;
    host.run(1);
    EXPECT_EQ(host.history.channels()[0].state, State::idle);
    EXPECT_DOUBLE_EQ(host.history.channels()[0].state_since, host.history.now());
    host.run(5);
    EXPECT_DOUBLE_EQ(host.history.channels()[0].state_since, host.history.now() - 5);
}

TEST(History, AChannelThatCannotBeReadIsSoSinceTheFirstLook) {
    Host host;
    host.break_channel("broken", "not a channel");
    host.run(1);
    const double first = host.history.now();
    host.run(5);
    EXPECT_DOUBLE_EQ(host.history.channels()[0].state_since, first);
}

TEST(History, ForgetsWhatIsTooOld) {
    Host host;
    host.add_group(host.add_channel("jobs"), "workers", "w");
    host.run(400);
    EXPECT_LE(host.group().points.size(), static_cast<std::size_t>(remembered_seconds) + 1);
    EXPECT_GE(host.group().points.size(), static_cast<std::size_t>(remembered_seconds));
}

TEST(History, KeepsAChannelThatCannotBeReadAndWelcomesItBack) {
    Host host;
    host.break_channel("broken", "not a channel");
    host.run(2);
    ASSERT_EQ(host.history.channels().size(), 1U);
    EXPECT_EQ(host.history.channels()[0].state, State::unreadable);
    EXPECT_EQ(explain(host.history.channels()[0], host.history.now()), "not a channel");
}

TEST(History, RatesAreThoseOfTheWindow) {
    Host host;
    ChannelReport& channel = host.add_channel("jobs", 10'000);
    GroupReport& group = host.add_group(channel, "workers", "w");
    host.run(60, [&] {
        host.publish(channel, 100);
        host.process(channel, group, 100);
    });
    host.run(20, [&] {
        host.publish(channel, 10);
        host.process(channel, group, 10);
    });
    EXPECT_NEAR(host.history.channels()[0].rates->published, 10, 1e-9);
    EXPECT_NEAR(host.estimate().rates->acked, 10, 1e-9);
    EXPECT_NEAR(host.history.channels()[0].presences[1].rate, 10, 1e-5);
}

TEST(History, KnowsTheRatesOfANewGroupFromItsSecondSnapshotOn) {
    Host host;
    ChannelReport& channel = host.add_channel("jobs");
    host.run(20);
    GroupReport& group = Host::add_group(channel, "late", "late-1");
    host.run(1);
    EXPECT_FALSE(host.estimate().rates);
    host.run(1, [&] {
        Host::publish(channel, 5);
        Host::process(channel, group, 3);
    });
    ASSERT_TRUE(host.estimate().rates);
    EXPECT_NEAR(host.estimate().rates->published, 5, 1e-9);
    EXPECT_NEAR(host.estimate().rates->acked, 3, 1e-9);
}

TEST(PredictionError, ComparesWithWhatWasPredictedAtThePublication) {
    // A message published at 10 s was told 4 s, and took 5; what is predicted since is of no
    // concern.
    Points points;
    for (int at = 0; at <= 20; ++at) {
        Point point;
        point.at = at;
        point.predicted = at <= 10 ? 4 : 100;
        if (at == 15) point.response = 5;
        points.push_back(point);
    }
    EXPECT_NEAR(prediction_error(points).value(), 0.2, 1e-6);
    points[15].response = Point::unknown;
    EXPECT_FALSE(prediction_error(points).has_value());
}

// --- charts -------------------------------------------------------------------------------------

std::string drawn(const std::vector<float>& values, double most, Charset charset,
                  std::size_t height = 1) {
    Canvas canvas({.width = values.size(), .height = height});
    draw_columns(canvas, {.width = values.size(), .height = height}, values, most, charset, {});
    return canvas.characters();
}

TEST(Chart, ShowsZeroAndTheLeastAndTheMostAndNothing) {
    const std::vector<float> values = {Point::unknown, 0, 0.001F, 1, 4, 8, 9};
    EXPECT_EQ(drawn(values, 8, Charset::unicode), " ·▁▁▄██\n");
    EXPECT_EQ(drawn(values, 8, Charset::ascii), " .__-##\n");
}

TEST(Chart, RisesOverSeveralRows) {
    EXPECT_EQ(drawn({0, 4, 8, 12, 16}, 16, Charset::unicode, 2),
              "   ▄█\n"
              "·▄███\n");
}

TEST(Chart, BarIsEmptyOnlyAtZero) {
    const auto bar = [](double fraction, Charset charset) {
        Canvas canvas({.width = 4, .height = 1});
        draw_bar(canvas, {.width = 4}, fraction, charset, {});
        return canvas.characters();
    };
    EXPECT_EQ(bar(0, Charset::unicode), "····\n");
    EXPECT_EQ(bar(0.001, Charset::unicode), "▏···\n");
    EXPECT_EQ(bar(0.5, Charset::unicode), "██··\n");
    EXPECT_EQ(bar(2, Charset::unicode), "████\n");
    EXPECT_EQ(bar(0.5, Charset::ascii), "==..\n");
}

TEST(Chart, MergesAndRepeatsPointsToFillItsWidth) {
    Points points;
    for (int at = 1; at <= 4; ++at) {
        Point point;
        point.at = at;
        point.backlog = static_cast<float>(at);
        points.push_back(point);
    }
    const auto most = resample(points, &Point::backlog, 4, 2, Merge::most);
    EXPECT_EQ(most, (std::vector<float>{2, 4}));
    EXPECT_EQ(resample(points, &Point::backlog, 4, 2, Merge::mean), (std::vector<float>{1.5, 3.5}));
    const auto wide = resample(points, &Point::backlog, 8, 16, Merge::most);
    for (std::size_t i = 0; i < 8; ++i)
        EXPECT_TRUE(std::isnan(wide[i])) << i;
    EXPECT_EQ(wide[9], 1);
    EXPECT_EQ(wide[10], 2);
    EXPECT_EQ(wide[15], 4);
}

TEST(Chart, ScalesEndWhereTheyCanBeRead) {
    EXPECT_DOUBLE_EQ(scale_end(0), 1);
    EXPECT_DOUBLE_EQ(scale_end(0.03), 0.05);
    EXPECT_DOUBLE_EQ(scale_end(7), 10);
    EXPECT_DOUBLE_EQ(scale_end(20), 20);
    EXPECT_DOUBLE_EQ(time_scale_end(0.3), 0.5);
    EXPECT_DOUBLE_EQ(time_scale_end(45), 60);
    EXPECT_DOUBLE_EQ(time_scale_end(1000), 1800);
}

TEST(Canvas, CutsOffWhatDoesNotFit) {
    Canvas canvas({.width = 5, .height = 1});
    canvas.text(3, 0, "long");
    canvas.text(0, 7, "below");
    canvas.field(0, 0, 3, "long");
    EXPECT_EQ(canvas.characters(), "lo~lo\n");
    EXPECT_EQ(encode(decode("aé▆😀")), "aé▆😀");
    EXPECT_EQ(encode(decode("\xff\xc3")), "??");
}

// --- the screen ---------------------------------------------------------------------------------

/// A host in which every state occurs.
class Example : public Host {
public:
    Example() {
        ChannelReport& orders = add_channel("orders", 1024);
        add_group(orders, "billing", "billing-1");
        add_group(orders, "audit", "audit");
        ChannelReport& video = add_channel("video.transcode", 64);
        add_group(video, "archive", "archive");
        ChannelReport& mail = add_channel("mail", 256);
        add_group(mail, "smtp", "smtp-1");
        ChannelReport& thumbnails = add_channel("thumbnails", 512);
        add_group(thumbnails, "resize", "resize-1");
        ChannelReport& payments = add_channel("payments", 256);
        add_group(payments, "settle", "settle-1");
        add_participant(payments, ParticipantRole::member, "settle-2", 0);
        ChannelReport& ticks = add_channel("md.ticks", 65'536);
        GroupReport& subscriber = add_group(ticks, "", "chart");
        ticks.participants.back().role = ParticipantRole::subscriber;
        subscriber.subscriber = true;
        subscriber.reliable = false;
        add_channel("reports", 128);
        break_channel("scratch",
                      "the object is too short to be a channel; remove the file or "
                      "choose another name");

        publish(video, 63);
        video.groups[0].blocks_producers = true;
        video.groups[0].in_flight = 1;
        video.participants[0].activity = Activity::waiting_for_room;
        video.participants[1].leases_held = 1;
        video.blocked_by =
            "producers wait for group archive: member archive (pid 1001) holds message 22";
        payments.participants[1].leases_held = 1;
        run(40, [&, turn = 0]() mutable {
            ++turn;
            publish(orders, 60);
            process(orders, orders.groups[0], 58 + orders.groups[0].backlog % 5, 0.02, 0.03);
            process(orders, orders.groups[1], orders.groups[1].backlog, 0.001, 0.0011);
            publish(video, 1);
            process(video, video.groups[0], 1, 1.0, 63);
            video.participants[0].activity_since_ns = now_ns;
            video.participants[1].last_received_ns = now_ns - second / 2;
            publish(mail, 4);
            if (turn < 10) process(mail, mail.groups[0], 4, 0.05, 0.06);
            publish(thumbnails, 12);
            process(thumbnails, thumbnails.groups[0], 8, 0.125, turn * 0.33);
            thumbnails.groups[0].oldest_age_ns = second * turn / 3;
            publish(payments, 8);
            process(payments, payments.groups[0], 8, 0.05, 0.055);
            publish(ticks, 75'000);
            process(ticks, ticks.groups[0], ticks.groups[0].backlog, 30e-9, 50e-6);
            if (turn == 30) {
                payments.participants.erase(payments.participants.begin() + 1);
                payments.groups[0].recovered = 1;
                payments.groups[0].returned = 1;
                payments.groups[0].redelivered = 1;
            }
        });
        ::setenv("TZ", "UTC", 1);
        ::tzset();
    }

    View view;
    Canvas draw(std::size_t width, std::size_t height) const {
        return ipc::tools::monitor::draw(history, view, "every 1.0s",
                                         {.width = width, .height = height});
    }
    void press(char32_t key) {
        EXPECT_EQ(handle(view, {.character = key}, history, {.width = 80, .height = 24}),
                  Request::nothing);
    }
    void press(Key::Kind key) {
        EXPECT_EQ(handle(view, {.kind = key}, history, {.width = 80, .height = 24}),
                  Request::nothing);
    }
    std::string selected_channel() const { return selected_row(history, view).channel->name; }
};

/// Compares a screen with the one in tests/golden, which is written anew when IPC_UPDATE_GOLDEN is
/// set: look at the difference before you commit it.
void expect_golden(const std::string& name, const Canvas& canvas, bool styles = true) {
    const std::string path = std::string(IPC_SOURCE_DIRECTORY) + "/tests/golden/" + name + ".txt";
    std::string text = canvas.characters();
    if (styles) text += "---\n" + canvas.styles();
    if (::getenv("IPC_UPDATE_GOLDEN") != nullptr) write_file(path, text);
    EXPECT_EQ(text, read_file(path)) << "differs from " << path;
}

TEST(Overview, Golden80x24) {
    expect_golden("overview_80x24", Example().draw(80, 24));
}

TEST(Overview, Golden180x20) {
    expect_golden("overview_180x20", Example().draw(180, 20));
}

TEST(Overview, GoldenTreeInAscii) {
    Example example;
    example.view.charset = Charset::ascii;
    example.press(U't');
    example.press(Key::Kind::down);
    example.press(Key::Kind::down);
    const Canvas canvas = example.draw(100, 24);
    expect_golden("tree_ascii_100x24", canvas);
    for (const char c : canvas.characters())
        EXPECT_TRUE(c == '\n' || (c >= ' ' && c <= '~'));
}

TEST(Detail, Golden80x24) {
    Example example;
    while (example.view.selected.channel != "thumbnails")
        example.press(Key::Kind::down);
    example.press(Key::Kind::enter);
    expect_golden("detail_80x24", example.draw(80, 24));
}

TEST(Detail, Golden140x40) {
    Example example;
    while (example.view.selected.channel != "video.transcode")
        example.press(Key::Kind::down);
    example.press(Key::Kind::enter);
    expect_golden("detail_140x40", example.draw(140, 40));
}

TEST(Detail, OfAStoppedGroupInAscii) {
    Example example;
    example.view.charset = Charset::ascii;
    while (example.view.selected.channel != "mail")
        example.press(Key::Kind::down);
    example.press(Key::Kind::enter);
    const Canvas canvas = example.draw(100, 30);
    expect_golden("detail_ascii_100x30", canvas, false);
    for (const char c : canvas.characters())
        EXPECT_TRUE(c == '\n' || (c >= ' ' && c <= '~'));
}

TEST(Help, GoldenOfBothPages) {
    Example example;
    example.press(U'?');
    expect_golden("help_keys_80x24", example.draw(80, 24), false);
    example.press(U'?');
    expect_golden("help_columns_80x24", example.draw(80, 24), false);
    example.press(U'?');
    EXPECT_EQ(example.view.screen, Screen::overview);
}

TEST(Help, FitsIntoTheSmallestOrdinaryTerminal) {
    Example example;
    example.view.screen = Screen::help;
    for (example.view.help_page = 0; example.view.help_page < 2; ++example.view.help_page) {
        const Canvas canvas = example.draw(140, 40);
        for (std::size_t row = 0; row < canvas.height(); ++row) {
            for (std::size_t column = 0; column < canvas.width(); ++column) {
                if (row < 24 && column < 80) continue;
                EXPECT_EQ(canvas.at(column, row).character, U' ') << row << ", " << column;
            }
        }
    }
}

TEST(Overview, BreaksTheSentenceOnlyWhereTheTableLeavesALine) {
    const Example example;
    const std::string cut = "▸ member settle-1 (pid 1001) died 10s ago and held 1 messag~\n";
    const std::string whole =
        "▸ member settle-1 (pid 1001) died 10s ago and held 1\n  message, which others get\n";
    EXPECT_THAT(example.draw(60, 24).characters(), HasSubstr(whole));
    EXPECT_THAT(example.draw(60, 15).characters(), HasSubstr(whole));
    EXPECT_THAT(example.draw(60, 14).characters(), HasSubstr(cut));
}

TEST(Overview, ShowsTheColumnThatItIsSortedByHoweverNarrowItIs) {
    Example example;
    for (std::size_t column = 0; column < overview_columns().size(); ++column) {
        if (!can_sort_by(column)) continue;
        example.view.sort_column = column;
        for (const std::size_t width : {40U, 80U, 120U})
            EXPECT_THAT(example.draw(width, 24).characters(), HasSubstr("▼"))
                << overview_columns()[column].title << " at " << width;
    }
}

TEST(Detail, ShowsWhereALineIsCutOff) {
    Example example;
    while (example.view.selected.channel != "orders")  // with no sentence that would be broken
        example.press(Key::Kind::down);
    example.press(Key::Kind::enter);
    const Canvas narrow = example.draw(60, 24);
    const Canvas wide = example.draw(200, 24);
    int cut = 0;
    for (std::size_t row = 1; row < 10; ++row) {
        if (wide.at(59, row).character == U' ' || wide.at(60, row).character == U' ') continue;
        EXPECT_EQ(narrow.at(59, row).character, U'~') << "row " << row;
        ++cut;
    }
    EXPECT_GT(cut, 0);
}

TEST(Overview, CountsNoStateWhereThereIsNoRoomForTheCount) {
    const std::string screen = Example().draw(40, 10).characters();
    EXPECT_THAT(screen, HasSubstr(" DEAD 1  STOP 1  FULL 1        1-5 of 9\n"));
}

TEST(Help, ShowsBothPagesWholeWhereThereIsRoom) {
    Example example;
    example.view.screen = Screen::help;
    const std::string wide = example.draw(160, 24).characters();
    for (example.view.help_page = 0; example.view.help_page < 2; ++example.view.help_page) {
        std::istringstream page(example.draw(80, 24).characters());
        std::string line;
        std::getline(page, line);  // the title
        while (std::getline(page, line))
            EXPECT_THAT(wide,
                        HasSubstr(line.substr(std::min(line.size(), line.find_first_not_of(' ')))));
    }
}

TEST(Screen, DrawsAtEverySize) {
    Example example;
    for (const Screen screen : {Screen::overview, Screen::detail, Screen::help}) {
        for (const bool tree : {false, true}) {
            example.view.screen = screen;
            example.view.tree = tree;
            example.view.selected = {.channel = "video.transcode", .group = 0};
            for (std::size_t width = 0; width < 240; width += width < 40 ? 1 : 13) {
                for (std::size_t height = 0; height < 60; height += height < 30 ? 1 : 7) {
                    const Canvas canvas = example.draw(width, height);
                    ASSERT_EQ(canvas.width(), width);
                    ASSERT_EQ(canvas.height(), height);
                }
            }
        }
    }
}

TEST(Screen, NamesTheDirectoryWhoseSpaceItShows) {
    Example example;
    example.directory = "/mnt/other\x1b";
    example.run(1);
    EXPECT_THAT(example.draw(140, 24).characters(), HasSubstr("  /mnt/other\\x1b 2.0G of 8.0G  "));
    example.press(Key::Kind::enter);
    EXPECT_THAT(example.draw(140, 40).characters(),
                HasSubstr("; /mnt/other\\x1b 2.0G used, 6.0G free"));
    example.directory = std::string(500, 'x');
    example.run(1);
    EXPECT_THAT(example.draw(140, 24).characters(), HasSubstr("... 2.0G of 8.0G"));
}

TEST(Screen, ShowsNothingThatATerminalWouldObey) {
    Host host;
    ChannelReport& channel = host.add_channel("jobs");
    host.add_group(channel, "work\x1b[2Jers", "evil\nname\x9b");
    channel.blocked_by = "\x1b]0;title\x07";
    host.break_channel("broken", "\x1b[31mred");
    host.run(3);
    for (const Screen screen : {Screen::overview, Screen::detail}) {
        View view;
        view.screen = screen;
        view.selected = {.channel = "jobs", .group = 0};
        const Canvas canvas = draw(host.history, view, "every 1.0s", {.width = 200, .height = 30});
        for (const char32_t c : decode(canvas.characters()))
            EXPECT_TRUE(c == U'\n' || (c >= U' ' && c != 0x7F && (c < 0x80 || c > 0x9F)));
    }
}

TEST(Screen, ShowsNothingBesideTheKeysInTheLastLineHoweverLowItIs) {
    Example example;
    example.press(Key::Kind::down);
    for (const Screen screen : {Screen::overview, Screen::detail}) {
        example.view.screen = screen;
        for (const std::size_t height : {8U, 9U, 10U, 12U}) {
            const std::string keys = example.draw(40, height).characters();
            const std::string wide = example.draw(40, 40).characters();
            const auto last = [](const std::string& text) {
                return text.substr(text.rfind('\n', text.size() - 2) + 1);
            };
            EXPECT_EQ(last(keys), last(wide));
        }
    }
}

TEST(Screen, SaysWhereTheTerminalIsTooSmall) {
    Example example;
    EXPECT_THAT(example.draw(40, 8).characters(), Not(HasSubstr("small")));
    EXPECT_EQ(example.draw(39, 8).characters(), "terminal too small" + std::string(8, '\n'));
    EXPECT_EQ(example.draw(40, 3).characters(), "terminal too small\n\n\n");
    EXPECT_EQ(example.draw(10, 3).characters(), "terminal\ntoo small\n\n");
}

TEST(Screen, WithoutChannelsSaysSo) {
    Host host;
    host.run(1);
    const Canvas canvas = draw(host.history, {}, "every 1.0s", {.width = 80, .height = 24});
    EXPECT_THAT(canvas.characters(), HasSubstr("There are no channels"));
}

// --- the view -----------------------------------------------------------------------------------

TEST(View, ShowsTheWorstFirstAndFollowsItUntilALineIsSelected) {
    Example example;
    const std::vector<Row> rows = rows_of(example.history, example.view);
    std::vector<State> states;
    for (const Row& row : rows)
        states.push_back(row.state());
    EXPECT_TRUE(std::is_sorted(states.begin(), states.end()));
    EXPECT_EQ(states.front(), State::dead);
    EXPECT_EQ(states.size(), 9U);
    example.press(Key::Kind::down);
    const RowId selected = example.view.selected;
    example.press(U'r');
    EXPECT_EQ(example.view.selected, selected);
    EXPECT_EQ(cursor_of(example.view, rows_of(example.history, example.view)), 7U);
}

TEST(View, SortsByEveryColumnThatIsNoPicture) {
    Example example;
    std::size_t sorted = 0;
    do {
        const std::vector<Row> rows = rows_of(example.history, example.view);
        for (std::size_t i = 1; i < rows.size(); ++i)
            EXPECT_LE(rows[i - 1].key, rows[i].key);
        ++sorted;
        example.press(U'>');
    } while (example.view.sort_column != 0);
    EXPECT_EQ(sorted, overview_columns().size() - 1);
    example.press(U'<');
    EXPECT_EQ(sorted, overview_columns().size() - 1);
}

TEST(View, FiltersByPartsOfNamesWhileTheyAreTyped) {
    Example example;
    example.press(U'/');
    for (const char32_t c : std::u32string_view(U"AUDx"))
        example.press(c);
    EXPECT_TRUE(rows_of(example.history, example.view).empty());
    EXPECT_THAT(example.draw(80, 24).characters(), HasSubstr("No channel or group has that"));
    example.press(Key::Kind::backspace);
    ASSERT_EQ(rows_of(example.history, example.view).size(), 1U);
    EXPECT_EQ(rows_of(example.history, example.view)[0].group->name, "audit");
    example.press(Key::Kind::enter);
    EXPECT_FALSE(example.view.editing);
    EXPECT_THAT(example.draw(80, 24).characters(), HasSubstr("filter: AUD"));
    example.press(Key::Kind::escape);
    EXPECT_EQ(rows_of(example.history, example.view).size(), 9U);
}

TEST(View, TreeHasALineForEachChannelAndItsGroupsBelow) {
    Example example;
    example.press(U't');
    const std::vector<Row> rows = rows_of(example.history, example.view);
    EXPECT_EQ(rows.size(), 15U);
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (rows[i].group != nullptr) {
            EXPECT_EQ(rows[i].channel, rows[i - 1].channel);
        } else {
            EXPECT_TRUE(i == 0 || rows[i].channel != rows[i - 1].channel);
        }
    }
}

TEST(View, KeepsItsPlaceWhenTheSelectedLineVanishes) {
    Example example;
    example.press(Key::Kind::down);
    example.press(Key::Kind::down);
    example.view.selected.channel = "gone";
    EXPECT_EQ(cursor_of(example.view, rows_of(example.history, example.view)), 2U);
    example.view.screen = Screen::detail;
    EXPECT_THAT(example.draw(80, 24).characters(), HasSubstr("This channel is gone."));
}

TEST(View, ScrollsSoThatTheSelectionIsSeen) {
    EXPECT_EQ(first_shown(0, 5, 10, 10), 0U);
    EXPECT_EQ(first_shown(0, 5, 100, 5), 1U);
    EXPECT_EQ(first_shown(50, 5, 100, 5), 5U);
    EXPECT_EQ(first_shown(99, 99, 100, 5), 95U);
}

TEST(View, AClickSelectsAndASecondOneOpens) {
    Example example;
    const Size size = {.width = 80, .height = 24};
    const Key click = {.kind = Key::Kind::click, .column = 10, .row = overview_top + 3};
    EXPECT_EQ(handle(example.view, click, example.history, size), Request::nothing);
    EXPECT_EQ(example.view.screen, Screen::overview);
    EXPECT_EQ(cursor_of(example.view, rows_of(example.history, example.view)), 3U);
    EXPECT_EQ(handle(example.view, click, example.history, size), Request::nothing);
    EXPECT_EQ(example.view.screen, Screen::detail);
    const Key outside = {.kind = Key::Kind::click, .column = 10, .row = 23};
    example.view.screen = Screen::overview;
    EXPECT_EQ(handle(example.view, outside, example.history, size), Request::nothing);
    EXPECT_EQ(example.view.screen, Screen::overview);
}

TEST(View, AsksForWhatIsNotItsOwn) {
    Example example;
    const Size size = {.width = 80, .height = 24};
    const auto request = [&](char32_t key) {
        return handle(example.view, {.character = key}, example.history, size);
    };
    EXPECT_EQ(request(U'+'), Request::faster);
    EXPECT_EQ(request(U'-'), Request::slower);
    EXPECT_EQ(request(U'p'), Request::nothing);
    EXPECT_TRUE(example.view.paused);
    EXPECT_THAT(example.draw(80, 24).characters(), HasSubstr("PAUSED"));
    EXPECT_EQ(request(U'q'), Request::quit);
    example.press(Key::Kind::enter);
    EXPECT_EQ(example.view.screen, Screen::detail);
    EXPECT_EQ(request(U'q'), Request::nothing);
    EXPECT_EQ(example.view.screen, Screen::overview);
}

// --- snapshots of this host ---------------------------------------------------------------------

TEST(LiveSource, TakesSnapshotsOfTheSelectedChannels) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    LiveSource source(Sampler({name.str()}, false), 1s);
    const Snapshot first = source.snapshot();
    ASSERT_EQ(first.channels.size(), 1U);
    EXPECT_EQ(first.channels[0].channel, name.str());
    EXPECT_TRUE(first.channels[0].report.has_value());
    EXPECT_GT(first.space.total, 0U);
    EXPECT_LE(first.sampled_at_ns, first.channels[0].report->sampled_at_ns);
    EXPECT_GT(source.snapshot().sampled_at_ns, first.sampled_at_ns);
}

TEST(LiveSource, IsDueAtOnceThenSoonThenAtTheInterval) {
    const ChannelName name;
    LiveSource source(Sampler({name.str()}, false), 1h);
    EXPECT_LE(source.due().value(), Source::Clock::now());
    (void)source.snapshot();
    EXPECT_LE(source.due().value(), Source::Clock::now() + 100ms);
    (void)source.snapshot();
    EXPECT_GT(source.due().value(), Source::Clock::now() + 30min);
}

TEST(LiveSource, LeavesNewChannelsForLaterOnlyWhenItIsToHurry) {
    const ChannelName a;
    const ChannelName b;
    const ChannelName c;
    std::vector<Channel<>> channels;
    for (const ChannelName* name : {&a, &b, &c})
        channels.push_back(Channel<>::create(*name));
    const std::vector<std::string> all = {a, b, c};
    const Snapshot whole = LiveSource(Sampler(all, false), 1s).snapshot();
    EXPECT_EQ(whole.channels.size(), 3U);
    EXPECT_EQ(whole.unopened, 0U);

    LiveSource hurried(Sampler(all, false), 1h, 0ns);
    History history;
    hurried.next(history);
    EXPECT_EQ(history.channels().size(), 1U);
    EXPECT_EQ(history.unopened(), 2U);
    EXPECT_LE(hurried.due().value(), Source::Clock::now() + 100ms);
    hurried.next(history);
    EXPECT_EQ(history.channels().size(), 2U);
    hurried.next(history);
    EXPECT_EQ(history.channels().size(), 3U);
    EXPECT_EQ(history.unopened(), 0U);
}

TEST(Pacer, LeavesOutWhatWasMissedAndKeepsTheGrid) {
    const Pacer::Clock::time_point start{1000s};
    Pacer pacer(2s, start);
    EXPECT_EQ(pacer.next(start), start + 2s);
    EXPECT_EQ(pacer.next(start + 2s), start + 4s);
    EXPECT_EQ(pacer.next(start + 5s), start + 6s);
    // An hour later: one sample, not 1800.
    EXPECT_EQ(pacer.next(start + 1h + 1s), start + 1h + 2s);
    EXPECT_EQ(pacer.next(start + 1h + 2s), start + 1h + 4s);
}

TEST(LiveSource, ForgetsChannelsThatAreGone) {
    const ChannelName a;
    const ChannelName b;
    const ChannelName c;
    const std::vector<std::string> all = {a, b, c};
    for (const std::string& name : all)
        (void)Channel<>::create(name);
    LiveSource source(Sampler(all, false), 1s);
    History history;
    source.next(history);
    EXPECT_EQ(history.channels().size(), 3U);
    ASSERT_TRUE(remove(b));
    source.next(history);
    ASSERT_EQ(history.channels().size(), 2U);
    for (const ChannelHistory& channel : history.channels())
        EXPECT_NE(channel.name, b.str());
}

TEST(LiveSource, ChangesItsIntervalInSteps) {
    LiveSource source(Sampler({}, false), 700ms);
    EXPECT_EQ(source.pace(), "every 700ms");
    source.slower();
    EXPECT_EQ(source.interval(), 1s);
    source.faster();
    EXPECT_EQ(source.interval(), 500ms);
    for (int i = 0; i < 20; ++i)
        source.slower();
    EXPECT_EQ(source.pace(), "every 10m");
    for (int i = 0; i < 20; ++i)
        source.faster();
    EXPECT_EQ(source.pace(), "every 100ms");
}

TEST(Text, RatesKeepTwoDigitsWhereTheyMatter) {
    using ipc::tools::short_rate;
    EXPECT_EQ(short_rate(0), "0");
    EXPECT_EQ(short_rate(0.125), "0.12");
    EXPECT_EQ(short_rate(3.14), "3.1");
    EXPECT_EQ(short_rate(9.96), "10");
    EXPECT_EQ(short_rate(12'345.6), "12346");
    EXPECT_EQ(short_rate(1e30), "10.0E");
    EXPECT_EQ(short_rate(-1), "0");
    EXPECT_EQ(short_rate(std::numeric_limits<double>::quiet_NaN()), "0");
}

}  // namespace
}  // namespace ipc::test
