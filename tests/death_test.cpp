// What happens when a process dies, or stops, at the worst moment. States that exist only between
// two instructions are built by hand (tests/support/torn.hpp).

#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "ipc/ipc.hpp"
#include "ipc/os/clock.hpp"
#include "ipc/protocol/dead_letter.hpp"
#include "ipc/protocol/lifecycle.hpp"
#include "ipc/protocol/registry.hpp"
#include "ipc/protocol/sentinel.hpp"
#include "ipc/protocol/wait.hpp"
#include "tests/support/channel_name.hpp"
#include "tests/support/child.hpp"
#include "tests/support/shared_value.hpp"
#include "tests/support/torn.hpp"

namespace ipc::test {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t millisecond = 1'000'000;

const GroupOptions manual{.ack = Ack::manual, .from = Start::earliest()};

struct Progress {
    std::atomic<int> step{0};
    std::atomic<std::int64_t> time{0};
    std::atomic<unsigned> attempt{0};
    std::atomic<std::uint64_t> position{0};
    std::atomic<std::uint64_t> count{0};
    std::atomic<bool> stop{false};
};

bool reaches(const SharedValue<Progress>& progress, int step, double seconds = 20) {
    return eventually([&] { return progress->step >= step; }, seconds);
}

/// A child that joins `group`, takes one message, and holds it until it is killed.
Child start_holder(const std::string& channel, const std::string& group,
                   const SharedValue<Progress>& progress, const GroupOptions& options = manual) {
    return Child([&channel, group, &progress, options] {
        auto member = Channel<>::open(channel).join(group, options);
        progress->step = 1;
        for (;;) {
            auto message = member.try_receive();
            if (!message) continue;
            progress->step = 2;
            wait_for_the_end();
        }
    });
}

/// A child that waits in receive(), and notes when and what it got.
Child start_receiver(const std::string& channel, const std::string& group,
                     const SharedValue<Progress>& progress) {
    return Child([&channel, group, &progress] {
        auto member = Channel<>::open(channel).join(group, [] {
            GroupOptions options = manual;
            options.participant.wait_policy = WaitPolicy::parking();
            return options;
        }());
        auto message = member.receive();
        progress->time = os::now();
        require(static_cast<bool>(message), "received nothing");
        progress->attempt = message.attempt();
        progress->position = message.position();
        require(static_cast<bool>(message.ack()), "lost the lease");
        progress->step = 1;
    });
}

/// For the system calls of this process from here on. False where the kernel (or an emulator) has
/// no filters.
bool install(std::span<sock_filter> filter) {
    const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/// From here on this process dies where it makes that system call, with SIGSYS.
bool die_at_system_call(unsigned number) {
    std::array<sock_filter, 4> filter{{
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    }};
    return install(filter);
}

/// The entry of the participant that has the duty.
unsigned sentinel_of(const protocol::ChannelMemory& memory) {
    return format::Sentinel{memory.header().sentinel.load()}.participant();
}

bool is_sentinel(const protocol::ChannelMemory& memory, pid_t pid) {
    const unsigned entry = sentinel_of(memory);
    return entry < memory.participants_used() && memory.participant(entry).pid == pid;
}

std::int64_t median(std::vector<std::int64_t> times) {
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
}

// -------------------------------------------------------------------------------------- members

TEST(DeathOfAMember, ItsLeaseReachesAMemberThatParkedAfterwardsWithin100Ms) {
    const ChannelName name;
    auto producer = Channel<>::create(name).producer();
    std::vector<std::int64_t> latencies;
    { auto group = Channel<>::open(name).join("workers", manual); }
    for (int round = 0; round < 9; ++round) {
        SCOPED_TRACE(round);
        const SharedValue<Progress> held;
        const SharedValue<Progress> received;
        const Position position = producer.send("job").position();
        Child holder = start_holder(name, "workers", held);
        ASSERT_TRUE(reaches(held, 2));
        Child receiver = start_receiver(name, "workers", received);
        ASSERT_TRUE(eventually([&] { return is_parked(name, receiver.pid()); }));
        const std::int64_t start = os::now();
        holder.kill();
        ASSERT_TRUE(reaches(received, 1));
        EXPECT_EQ(receiver.wait(), 0);
        EXPECT_EQ(received->attempt, 2U);
        EXPECT_EQ(received->position, position);
        latencies.push_back(received->time - start);
    }
    EXPECT_LT(median(latencies), 100 * millisecond);
}

TEST(DeathOfAMember, ItsLeaseReachesAMemberThatParkedBeforeItWasTakenWithin100Ms) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    std::vector<std::int64_t> latencies;
    { auto group = Channel<>::open(name).join("workers", manual); }
    for (int round = 0; latencies.size() < 9; ++round) {
        SCOPED_TRACE(round);
        ASSERT_LT(round, 100);
        const SharedValue<Progress> held;
        const SharedValue<Progress> received;
        Child holder = start_holder(name, "workers", held);
        ASSERT_TRUE(reaches(held, 1));
        Child receiver = start_receiver(name, "workers", received);
        ASSERT_TRUE(eventually([&] { return is_parked(name, receiver.pid()); }));
        // Published without waking anybody, so that the one that polls gets it.
        protocol::Producer producer(memory_of(name), protocol::ProducerKind::shared, {});
        const Sent sent = producer.try_send_inline(format::Bytes{"job", 3});
        ASSERT_TRUE(sent);
        // Before it takes the lease, it calls the other one for the duty; which then may be
        // quicker.
        ASSERT_TRUE(eventually([&] { return held->step == 2 || received->step == 1; }));
        if (received->step == 1) {
            EXPECT_EQ(receiver.wait(), 0);
            EXPECT_EQ(received->attempt, 1U);
            continue;
        }
        const std::int64_t start = os::now();
        holder.kill();
        ASSERT_TRUE(reaches(received, 1));
        EXPECT_EQ(receiver.wait(), 0);
        EXPECT_EQ(received->attempt, 2U);
        EXPECT_EQ(received->position, sent.position());
        latencies.push_back(received->time - start);
    }
    EXPECT_LT(median(latencies), 100 * millisecond);
}

TEST(DeathOfAMember, OfABatchOnlyMessagesHandedOutAreChargedAnAttempt) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto producer = channel.producer();
    for (int i = 0; i < 5; ++i)
        ASSERT_TRUE(producer.send(std::to_string(i)));
    const SharedValue<Progress> progress;
    Child child([&] {
        auto member = Channel<>::open(name).join("workers", manual);
        auto batch = member.receive_batch(5);
        require(batch.size() == 5, "a batch of five");
        auto message = batch.begin();
        ++message;  // the first two are in user code now
        progress->step = 1;
        wait_for_the_end();
    });
    ASSERT_TRUE(reaches(progress, 1));
    child.kill();
    auto member = channel.join("workers", manual);
    for (int i = 0; i < 5; ++i) {
        auto message = member.receive_for(10s);
        ASSERT_TRUE(message);
        EXPECT_EQ(message.text(), std::to_string(i));
        EXPECT_EQ(message.attempt(), i < 2 ? 2U : 1U) << i;
        EXPECT_TRUE(message.ack());
    }
    EXPECT_EQ(member.try_receive().status(), Status::empty);
    const ChannelReport report = inspect(name);
    EXPECT_EQ(report.find_group("workers")->recovered, 5U);
    EXPECT_EQ(report.find_group("workers")->returned, 5U);
}

TEST(DeathOfAMember, AMessageThatKillsEveryWorkerEndsAfterItsAttempts) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto producer = channel.producer();
    GroupOptions options = manual;
    options.max_attempts = 3;
    ASSERT_TRUE(producer.send("poison"));
    for (unsigned attempt = 1; attempt <= 3; ++attempt) {
        Child worker([&] {
            auto member = Channel<>::open(name).join("workers", options);
            auto message = member.receive_for(10s);
            require(message && message.text() == "poison" && message.attempt() == attempt,
                    "expected the poison, charged once for each death");
            die();
        });
        ASSERT_EQ(worker.wait(), 128 + SIGKILL);
    }
    ASSERT_TRUE(producer.send("food"));
    auto member = channel.join("workers", options);
    auto message = member.receive_for(10s);
    ASSERT_TRUE(message);
    EXPECT_EQ(message.text(), "food");
    EXPECT_TRUE(message.ack());
    EXPECT_EQ(inspect(name).find_group("workers")->dropped, 1U);
}

TEST(DeathOfAMember, ItsUnsentDeadLettersAreSentByAnother) {
    const ChannelName name;
    const ChannelName target("target");
    auto channel = Channel<>::create(name);
    ASSERT_TRUE(channel.producer().send("bad"));
    GroupOptions options = manual;
    options.dead_letter = target;
    const SharedValue<Progress> progress;
    Child child([&] {
        auto member = Channel<>::open(name).join("workers", options);
        auto message = member.receive_for(10s);
        require(static_cast<bool>(message.reject()), "rejected");  // the target is missing
        die();
    });
    ASSERT_EQ(child.wait(), 128 + SIGKILL);
    EXPECT_EQ(inspect(name).find_group("workers")->dead_pending, 1U);
    auto letters = Channel<>::create(target).join("letters", {.from = Start::earliest()});
    auto member = channel.join("workers", options);
    ASSERT_TRUE(eventually([&] {
        EXPECT_EQ(member.receive_for(50ms).status(), Status::timed_out);
        return inspect(target).tail != 0;
    }));
    auto letter = letters.receive_for(10s);
    ASSERT_TRUE(letter);
    EXPECT_EQ(letter.text(), "bad");
    ASSERT_TRUE(letter.origin());
    EXPECT_EQ(letter.origin()->channel, name.str());
    EXPECT_EQ(letter.origin()->attempts, 1U);
    EXPECT_TRUE(eventually([&] { return inspect(name).find_group("workers")->settled == 1; }));
}

// A burial opens the target and attaches to it, which takes long compared with other steps.
class DeathInABurial : public testing::Test {
protected:
    DeathInABurial() { options_.dead_letter = target_; }

    void create_target() {
        letters_.emplace(Channel<>::create(target_).join("letters", {.from = Start::earliest()}));
    }

    /// The one message waits to be buried. A member tries, and dies of it; the only other
    /// participant sleeps in another group, as a sentinel that ticks slowly.
    void expect_that_it_is_noticed_soon() {
        Child sleeper([this] {
            const ParticipantOptions parking{.wait_policy = WaitPolicy::parking()};
            auto member = Channel<>::open(name_).join("sleepers", {.participant = parking});
            (void)member.receive();
        });
        ASSERT_TRUE(eventually([&] { return is_parked(name_, sleeper.pid()); }));
        const auto memory = memory_of(name_);
        const format::Sentinel sentinel{memory->header().sentinel.load()};
        ASSERT_EQ(memory->participant(sentinel.participant()).pid, sleeper.pid());
        ASSERT_FALSE(sentinel.is_fast());

        const SharedValue<Progress> progress;
        Child digger([&] {
            auto member = Channel<>::open(name_).join("workers", options_);
            if (!die_at_system_call(SYS_fallocate)) return;
            progress->time = os::now();
            (void)member.try_receive();
        });
        const int status = digger.wait();
        if (status == 0 && progress->time == 0) GTEST_SKIP() << "system calls cannot be filtered";
        ASSERT_EQ(status, 128 + SIGSYS);
        EXPECT_TRUE(eventually([&] {
            const format::Lease lease{memory->lease(0, 0).load()};
            return lease.is_dead_pending() && lease.member() == format::no_participant;
        }));
        EXPECT_LT(os::now() - progress->time, 1000 * millisecond) << "a slow tick takes up to 3 s";

        auto member = channel_.join("workers", options_);
        ASSERT_TRUE(eventually([&] {
            EXPECT_EQ(member.receive_for(50ms).status(), Status::timed_out);
            return inspect(target_).tail != 0;
        }));
        auto letter = letters_->receive_for(10s);
        ASSERT_TRUE(letter);
        EXPECT_EQ(letter.text(), "bad");
    }

    const ChannelName name_;
    const ChannelName target_{"target"};
    Channel<> channel_ = Channel<>::create(name_);
    GroupOptions options_ = manual;
    std::optional<Consumer<>> letters_;
};

TEST_F(DeathInABurial, OfAMessageWhoseAttemptsAreUsedUpIsNoticedByACalledSentinel) {
    create_target();
    options_.max_attempts = 1;
    {
        auto member = channel_.join("workers", options_);
        ASSERT_TRUE(channel_.producer().send("bad"));
        auto message = member.receive_for(10s);
        ASSERT_TRUE(message.nack());
    }
    expect_that_it_is_noticed_soon();
}

TEST_F(DeathInABurial, OfAMessageThatCouldNotBeBuriedBeforeIsNoticedByACalledSentinel) {
    {
        auto member = channel_.join("workers", options_);
        ASSERT_TRUE(channel_.producer().send("bad"));
        auto message = member.receive_for(10s);
        ASSERT_TRUE(message.reject());  // the target is missing
    }
    create_target();
    expect_that_it_is_noticed_soon();
}

TEST(DeathOfAMember, ADeadLetterCopiedButNotSettledIsCopiedAgain) {
    const ChannelName name;
    const ChannelName target("target");
    auto channel = Channel<>::create(name);
    auto letters = Channel<>::create(target).join("letters", {.from = Start::earliest()});
    const Position sent = channel.producer().send("bad").position();
    GroupOptions options = manual;
    options.dead_letter = target;
    Child child([&] {
        auto member = Channel<>::open(name).join("workers", options);
        auto message = member.receive_for(10s);
        require(static_cast<bool>(message), "received");
        // As in a burial: the word turns dead-pending in this member's name, the copy is sent; then
        // it dies.
        auto memory = memory_of(name);
        auto& word = memory->lease(0, message.position());
        const format::Lease lease{word.load()};
        word = lease.to(format::LeaseState::dead_rejected, lease.attempt(), lease.member()).bits;
        protocol::DeadLetterSink sink(*memory, "workers", target);
        require(sink.open(), "the target is there");
        require(sink.publish(message.bytes(), message.position(), message.attempt(),
                             protocol::DeadLetterReason::rejected) == Status::ok,
                "copied");
        die();
    });
    ASSERT_EQ(child.wait(), 128 + SIGKILL);
    EXPECT_EQ(inspect(target).tail, 1U);
    auto member = channel.join("workers", options);
    EXPECT_TRUE(eventually([&] {
        EXPECT_EQ(member.receive_for(50ms).status(), Status::timed_out);
        return inspect(name).find_group("workers")->settled == 1;
    }));
    EXPECT_EQ(inspect(name).find_group("workers")->dead_pending, 0U);
    for (int copy = 0; copy < 2; ++copy) {
        auto letter = letters.receive_for(10s);
        ASSERT_TRUE(letter) << copy;
        EXPECT_EQ(letter.text(), "bad");
        ASSERT_TRUE(letter.origin());
        EXPECT_EQ(letter.origin()->channel, name.str());
        EXPECT_EQ(letter.origin()->group, "workers");
        EXPECT_EQ(letter.origin()->position, sent);
        EXPECT_EQ(letter.origin()->attempts, 1U);
        EXPECT_EQ(letter.origin()->reason, "rejected");
    }
    EXPECT_EQ(letters.try_receive().status(), Status::empty);
}

TEST(DeathOfAMember, WhatOthersSettledBehindItsLeaseStaysSettled) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 4});
    auto producer = channel.producer();
    { auto group = channel.join("workers", manual); }
    ASSERT_TRUE(producer.send("0"));
    const SharedValue<Progress> progress;
    Child holder = start_holder(name, "workers", progress);
    ASSERT_TRUE(reaches(progress, 2));
    auto member = channel.join("workers", manual);
    for (int i = 1; i < 4; ++i) {
        ASSERT_TRUE(producer.try_send(std::to_string(i)));
        auto message = member.receive_for(10s);
        ASSERT_TRUE(message);
        EXPECT_EQ(message.text(), std::to_string(i));
        EXPECT_TRUE(message.ack());
    }
    EXPECT_EQ(producer.try_send("4").status(), Status::full) << "message 0 is held";
    holder.kill();
    {
        auto message = member.receive_for(10s);
        ASSERT_TRUE(message);
        EXPECT_EQ(message.text(), "0");
        EXPECT_EQ(message.attempt(), 2U);
        EXPECT_TRUE(message.ack());
    }
    EXPECT_TRUE(producer.send_for("4", 10s));
    auto message = member.receive_for(10s);
    ASSERT_TRUE(message);
    EXPECT_EQ(message.text(), "4");
}

TEST(StoppedMember, LosesItsLeaseToTheTimeLimitAndIsTold) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    GroupOptions options = manual;
    options.lease_limit = 200ms;
    ASSERT_TRUE(channel.producer().send("job"));
    const SharedValue<Progress> progress;
    Child slow([&] {
        auto member = Channel<>::open(name).join("workers", options);
        auto message = member.receive_for(10s);
        require(static_cast<bool>(message), "received");
        progress->step = 1;
        while (!progress->stop)
            std::this_thread::sleep_for(1ms);
        require(!message.held(), "held() tells");
        require(message.ack().status() == Status::lease_lost, "a late ack is told");
    });
    ASSERT_TRUE(reaches(progress, 1));
    slow.stop();
    auto member = channel.join("workers", options);
    auto message = member.receive_for(10s);
    ASSERT_TRUE(message);
    EXPECT_EQ(message.attempt(), 2U);
    EXPECT_TRUE(message.ack());
    progress->stop = true;
    slow.resume();
    EXPECT_EQ(slow.wait(), 0);
}

TEST(StoppedMember, SleepsThroughManyLapsWhileOthersGoOn) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 8});
    auto producer = channel.producer();
    auto member = channel.join("workers", {.from = Start::earliest()});
    const SharedValue<Progress> progress;
    Child sleeper([&] {
        auto other = Channel<>::open(name).join("workers", {.from = Start::earliest()});
        while (!progress->stop) {
            auto message = other.receive_for(20ms);
            if (message) progress->count += 1;
        }
    });
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
    for (int round = 0; round < 20; ++round) {
        std::this_thread::sleep_for(std::chrono::milliseconds(round % 5));
        sleeper.stop();
        // One that was stopped with a lease holds the ring: then it has to go on.
        for (int i = 0; i < 200; ++i) {
            auto status = producer.try_send(std::to_string(sent)).status();
            if (status == Status::ok) ++sent;
            if (auto message = member.try_receive()) ++received;
        }
        sleeper.resume();
        while (auto message = member.try_receive())
            ++received;
    }
    ASSERT_TRUE(eventually([&] {
        if (auto message = member.try_receive()) ++received;
        return received + progress->count == sent;
    })) << received
        << " + " << progress->count << " of " << sent;
    progress->stop = true;
    EXPECT_EQ(sleeper.wait(), 0);
    EXPECT_GT(sent, 1000U);
    const auto report = inspect(name);
    EXPECT_EQ(report.find_group("workers")->settled, sent);
    EXPECT_EQ(report.find_group("workers")->redelivered, 0U);
}

// ------------------------------------------------------------------------------------- producers

TEST(DeathOfAnExclusiveProducer, MidPublishLeavesNothingAndASuccessorContinues) {
    for (const std::uint32_t capacity : {1U, 2U, 64U}) {
        SCOPED_TRACE(capacity);
        const ChannelName name;
        auto channel = Channel<>::create(name, {.capacity = capacity});
        auto subscriber = channel.subscribe();
        for (int generation = 0; generation < 5; ++generation) {
            Child child([&] {
                auto own = Channel<>::open(name);
                auto producer = own.exclusive_producer();
                require(static_cast<bool>(producer.send_for(std::to_string(generation), 10s)),
                        "sent");
                // Half a message: bytes of a slot it may write, without READY. With capacity 1 the
                // only slot still belongs to the reader.
                if (own.capacity() > 1) {
                    auto memory = memory_of(name);
                    const os::Mapping data = memory->map_data_writable();
                    auto& slot = memory->ring_of(data).at(static_cast<Position>(generation) + 1);
                    format::copy_in(slot.payload(), "torn", 4);
                    slot.descriptor = format::Descriptor::make(4, 0, 0).bits;
                }
                die();
            });
            ASSERT_EQ(child.wait(), 128 + SIGKILL);
            auto message = subscriber.receive_for(10s);
            ASSERT_TRUE(message);
            EXPECT_EQ(message.text(), std::to_string(generation));
            EXPECT_EQ(message.position(), static_cast<Position>(generation));
            message.release();
            EXPECT_EQ(subscriber.try_receive().status(), Status::empty);
        }
    }
}

TEST(DeathOfAnExclusiveProducer, ASuccessorIsRefusedWhileItLivesAndAdmittedWhenItIsDead) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    const SharedValue<Progress> progress;
    Child child([&] {
        auto producer =
            Channel<>::open(name).exclusive_producer({.name = "the first", .wait_policy = {}});
        progress->step = 1;
        wait_for_the_end();
    });
    ASSERT_TRUE(reaches(progress, 1));
    try {
        auto refused = channel.exclusive_producer();
        FAIL() << "two exclusive producers";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Errc::producer_lives);
        EXPECT_NE(std::string(error.what()).find("the first"), std::string::npos) << error.what();
        EXPECT_NE(std::string(error.what()).find(std::to_string(child.pid())), std::string::npos);
    }
    child.stop();  // a stopped process is alive
    EXPECT_THROW(channel.producer(), Error);
    child.kill();
    EXPECT_TRUE(channel.exclusive_producer().send("successor"));
}

TEST(DeathOfAProducer, AnExclusiveSuccessorContinuesAfterItsClaim) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 4});
    auto subscriber = channel.subscribe();
    Child child([&] {
        TornProducer torn(name);
        const Position position = torn.claim();
        torn.write(position, "torn");
        die();
    });
    ASSERT_EQ(child.wait(), 128 + SIGKILL);
    auto producer = channel.exclusive_producer();
    const Sent sent = producer.send("whole");
    EXPECT_EQ(sent.position(), 1U);
    auto message = subscriber.receive_for(10s);
    ASSERT_TRUE(message);
    EXPECT_EQ(message.text(), "whole");
    EXPECT_EQ(message.position(), 1U);
    EXPECT_EQ(inspect(name).aborted, 1U);
}

/// Readers and producers that were there before, and meet the claim of a dead producer.
TEST(DeathOfAProducer, BetweenClaimAndReadyReadersSkipItAndProducersPassIt) {
    for (const std::uint32_t capacity : {1U, 2U, 8U}) {
        SCOPED_TRACE(capacity);
        const ChannelName name;
        auto channel = Channel<>::create(name, {.capacity = capacity});
        auto producer = channel.producer();
        auto subscriber = channel.subscribe();
        auto lossy = channel.subscribe({.delivery = Delivery::lossy});
        auto member = channel.join("workers");
        auto ready = channel.join("lossy-workers", {.delivery = Delivery::lossy});
        for (int lap = 0; lap < 12; ++lap) {
            SCOPED_TRACE(lap);
            Child child([&] {
                TornProducer torn(name);
                torn.write(torn.claim(), "torn");
                die();
            });
            ASSERT_EQ(child.wait(), 128 + SIGKILL);
            // In a ring of one the readers have to pass the claim before its slot is reused.
            const auto sent = capacity == 1 ? Sent(Status::full) : producer.try_send("whole");
            EXPECT_EQ(static_cast<bool>(sent), capacity > 1);
            for (Consumer<>* reader : {&subscriber, &lossy, &member, &ready}) {
                auto message = reader->try_receive();
                ASSERT_EQ(message.status(), capacity > 1 ? Status::ok : Status::empty);
                if (!message) continue;
                EXPECT_EQ(message.text(), "whole");
                EXPECT_EQ(message.position(), sent.position());
            }
            if (capacity == 1) {
                ASSERT_TRUE(producer.try_send("next"));
                for (Consumer<>* reader : {&subscriber, &lossy, &member, &ready}) {
                    auto message = reader->try_receive();
                    ASSERT_TRUE(message);
                    EXPECT_EQ(message.text(), "next");
                }
            }
        }
        EXPECT_EQ(lossy.skipped(), 0U);
    }
}

TEST(DeathOfAProducer, ProducersPassItsClaimsWhenTheyComeAroundTheRing) {
    for (const std::uint32_t capacity : {1U, 2U, 4U, 32U}) {
        SCOPED_TRACE(capacity);
        const ChannelName name;
        auto channel = Channel<>::create(name, {.capacity = capacity});
        auto producer = channel.producer();
        for (std::uint32_t i = 0; i < 5 * capacity + 3; ++i)
            ASSERT_TRUE(producer.try_send("before"));
        const std::uint32_t claims = std::max(1U, capacity / 2);
        Child child([&] {
            TornProducer torn(name);
            for (std::uint32_t i = 0; i < claims; ++i)
                torn.write(torn.claim(), "torn");
            die();
        });
        ASSERT_EQ(child.wait(), 128 + SIGKILL);
        for (std::uint32_t i = 0; i < 5 * capacity + 3; ++i)
            ASSERT_TRUE(producer.try_send("after"));
        for (const PeekedMessage& message : channel.peek({}, 1000)) {
            const auto* text = reinterpret_cast<const char*>(message.body.data());
            EXPECT_NE(std::string(text, message.body.size()), "torn");
        }
    }
}

TEST(DeathOfAProducer, ReadersParkedBehindItsClaimGetWhatFollows) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    const SharedValue<Progress> claimed;
    const SharedValue<Progress> received;
    auto producer = channel.producer();
    { auto group = channel.join("workers", manual); }
    Child owner([&] {
        TornProducer torn(name);
        torn.claim();
        claimed->step = 1;
        wait_for_the_end();
    });
    ASSERT_TRUE(reaches(claimed, 1));
    const Position position = producer.send("next").position();
    Child member = start_receiver(name, "workers", received);
    Child subscriber([&] {
        auto reader = Channel<>::open(name).subscribe({.from = Start::earliest()});
        auto message = reader.receive();
        require(message && message.text() == "next", "received the next message");
    });
    ASSERT_TRUE(eventually([&] { return is_parked(name, member.pid()); }));
    ASSERT_TRUE(eventually([&] { return is_parked(name, subscriber.pid()); }));
    EXPECT_EQ(received->step, 0);
    const std::int64_t start = os::now();
    owner.kill();
    EXPECT_EQ(member.wait(), 0);
    EXPECT_EQ(received->position, position);
    EXPECT_EQ(received->attempt, 1U);
    EXPECT_EQ(subscriber.wait(), 0);
    EXPECT_LT(os::now() - start, 2000 * millisecond) << "a claim is in flight: fast ticks";
}

TEST(DeathOfAProducer, BetweenReadyAndTheWakeSleepersStillGetTheMessage) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    const SharedValue<Progress> received;
    { auto group = channel.join("workers", manual); }
    Child member = start_receiver(name, "workers", received);
    Child subscriber([&] {
        SubscribeOptions options;
        options.participant.wait_policy = WaitPolicy::parking();
        auto reader = Channel<>::open(name).subscribe(options);
        auto message = reader.receive();
        require(message && message.text() == "visible", "received the message");
    });
    Child lossy([&] {
        SubscribeOptions options{.delivery = Delivery::lossy};
        options.participant.wait_policy = WaitPolicy::parking();
        auto reader = Channel<>::open(name).subscribe(options);
        auto message = reader.receive();
        require(message && message.text() == "visible", "received the message");
    });
    for (const Child* child : {&member, &subscriber, &lossy}) {
        ASSERT_TRUE(eventually([&] { return is_parked(name, child->pid()); }));
    }
    Child producer([&] {
        protocol::Producer core(memory_of(name), protocol::ProducerKind::shared, {});
        require(static_cast<bool>(core.try_send_inline(format::Bytes{"visible", 7})), "published");
        die();
    });
    ASSERT_EQ(producer.wait(), 128 + SIGKILL);
    const auto all_have_it = [&] {
        return !member.is_running() && !subscriber.is_running() && !lossy.is_running();
    };
    ASSERT_TRUE(eventually(all_have_it, 15)) << "slow ticks come every 3 s";
    EXPECT_EQ(member.wait() + subscriber.wait() + lossy.wait(), 0);
}

std::string body_of(std::uint64_t number) {
    return std::string(static_cast<std::size_t>(1000 + number * 137 % 1000),
                       static_cast<char>('a' + number % 26));
}

TEST(DeathOfAProducer, ItsRegionStaysReadableAndItsSuccessorDoesNotOverwriteIt) {
    const ChannelName name;
    auto channel =
        Channel<>::create(name, {.capacity = 64, .region_size = 12288, .max_participants = 3});
    auto subscriber = channel.subscribe();
    const SharedValue<Progress> sent;
    std::uint64_t received = 0;
    for (int generation = 0; generation < 200; ++generation) {
        SCOPED_TRACE(generation);
        // Each sends what there is room for, at most three, and dies with a loan.
        Child child([&] {
            auto producer = Channel<>::open(name).producer();
            for (int i = 0; i < 3 && producer.try_send(body_of(sent->count)); ++i)
                sent->count += 1;
            auto loan = producer.try_loan(700);
            if (loan) loan.bytes()[0] = std::byte{'X'};
            die();
        });
        ASSERT_EQ(child.wait(), 128 + SIGKILL);
        // Reads as far as some generations behind.
        while (received + static_cast<std::uint64_t>(generation % 5) < sent->count) {
            auto message = subscriber.receive_for(10s);
            ASSERT_TRUE(message);
            ASSERT_EQ(message.text(), body_of(received));
            ++received;
        }
        if (received == sent->count) {
            ASSERT_EQ(subscriber.try_receive().status(), Status::empty);
        }
    }
    EXPECT_GT(received, 200U);
}

TEST(DeathOfAProducer, ASuccessorUsesTheRoomOfItsRegionThatWasRead) {
    const ChannelName name;
    auto channel = Channel<>::create(
        name, {.capacity = 64, .region_size = std::uint64_t{16} << 10, .max_participants = 3});
    auto subscriber = channel.subscribe();
    Child child([&] {
        auto producer = Channel<>::open(name).producer();
        for (int i = 0; i < 4; ++i)
            require(static_cast<bool>(producer.try_send(std::string(3000, 'x'))), "sent");
        die();
    });
    ASSERT_EQ(child.wait(), 128 + SIGKILL);
    auto producer = channel.producer();
    int sent = 0;
    while (producer.try_send(std::string(3000, 'y')))
        ++sent;
    // Now that it was refused, what a reader releases is known at once. One message stays unread.
    for (int i = 0; i < 3; ++i)
        ASSERT_TRUE(subscriber.receive_for(10s));
    while (producer.send_for(std::string(3000, 'y'), 100ms))
        ++sent;
    EXPECT_GE(sent, 3) << "12 of 16 KiB were read";
    EXPECT_EQ(subscriber.receive_for(10s).text(), std::string(3000, 'x'));
}

TEST(DeathOfAProducer, ARequestToCloseIsHonouredByWhoComesNext) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto subscriber = channel.subscribe();
    const SharedValue<Progress> progress;
    Child child([&] {
        auto producer = Channel<>::open(name).exclusive_producer();
        require(static_cast<bool>(producer.send("last")), "sent");
        progress->step = 1;
        wait_for_the_end();
    });
    ASSERT_TRUE(reaches(progress, 1));
    EXPECT_EQ(channel.close(50ms).status(), Status::timed_out);
    child.kill();
    EXPECT_TRUE(channel.close(10s));
    EXPECT_EQ(subscriber.receive_for(10s).text(), "last");
    EXPECT_EQ(subscriber.receive_for(10s).status(), Status::closed);
}

// ------------------------------------------------------------------------ the dead and the gates

enum class Reader { subscriber, ephemeral_group };
enum class Way { waits, waits_briefly, polls };
using Gate = std::tuple<Reader, Way>;

class DeadReader : public ::testing::TestWithParam<Gate> {};

TEST_P(DeadReader, NoLongerGatesProducers) {
    const auto [kind, way] = GetParam();
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 4});
    auto producer = channel.producer();
    const SharedValue<Progress> progress;
    Child reader([&, kind = kind] {
        auto own = Channel<>::open(name);
        auto consumer =
            kind == Reader::subscriber
                ? own.subscribe()
                : own.join("passing", {.lifetime = Lifetime::ephemeral, .ack = Ack::manual});
        progress->step = 1;
        auto message = consumer.receive();
        progress->step = 2;
        wait_for_the_end();
    });
    ASSERT_TRUE(reaches(progress, 1));
    for (int i = 0; i < 4; ++i)
        ASSERT_TRUE(producer.send("held"));
    ASSERT_TRUE(reaches(progress, 2));
    ASSERT_EQ(producer.try_send("full").status(), Status::full);
    reader.kill();
    switch (way) {
        case Way::waits: EXPECT_TRUE(producer.send_for("waits", 15s)); break;
        case Way::waits_briefly:
            EXPECT_TRUE(
                eventually([&] { return static_cast<bool>(producer.send_for("brief", 20ms)); }));
            break;
        case Way::polls:
            EXPECT_TRUE(eventually([&] { return static_cast<bool>(producer.try_send("poll")); }));
            break;
    }
    EXPECT_TRUE(inspect(name).groups.empty());
}

std::string name_of(const ::testing::TestParamInfo<Gate>& each) {
    const auto [kind, way] = each.param;
    return std::string(kind == Reader::subscriber ? "Subscriber" : "EphemeralGroup") +
           (way == Way::waits           ? "WhenTheyWait"
            : way == Way::waits_briefly ? "WhenTheyWaitBriefly"
                                        : "WhenTheyPoll");
}

INSTANTIATE_TEST_SUITE_P(
    All, DeadReader,
    ::testing::Combine(::testing::Values(Reader::subscriber, Reader::ephemeral_group),
                       ::testing::Values(Way::waits, Way::waits_briefly, Way::polls)),
    name_of);

TEST(DeathOfAReader, AfterMakingRoomAndBeforeTheWakeAProducerStillGoesOn) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 2});
    const SharedValue<Progress> progress;
    { auto group = channel.join("workers", manual); }
    ASSERT_TRUE(channel.producer().send("0"));
    ASSERT_TRUE(channel.producer().send("1"));
    Child producer([&] {
        ParticipantOptions options{.name = "sender", .wait_policy = WaitPolicy::parking()};
        auto own = Channel<>::open(name).producer(options);
        require(static_cast<bool>(own.send_for("2", 30s)), "sent");
    });
    ASSERT_TRUE(eventually([&] { return is_parked(name, producer.pid()); }));
    Child member([&] {
        auto memory = memory_of(name);
        auto own = Channel<>::open(name).join("workers", manual);
        auto message = own.receive_for(10s);
        require(message && message.position() == 0, "received");
        // The first half of an acknowledgement.
        auto& word = memory->lease(0, 0);
        const format::Lease lease{word.load()};
        word = lease.to(format::LeaseState::settled, lease.attempt(), lease.member()).bits;
        die();
    });
    ASSERT_EQ(member.wait(), 128 + SIGKILL);
    EXPECT_TRUE(eventually([&] { return !producer.is_running(); }, 15));
    EXPECT_EQ(producer.wait(), 0);
}

TEST(DurableGroup, KeepsItsBacklogAndItsGateWithoutLivingMembers) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 4});
    Child member([&] {
        auto own = Channel<>::open(name).join("workers", manual);
        die();
    });
    ASSERT_EQ(member.wait(), 128 + SIGKILL);
    auto producer = channel.producer();
    for (int i = 0; i < 4; ++i)
        ASSERT_TRUE(producer.send(std::to_string(i)));
    EXPECT_EQ(producer.send_for("full", 300ms).status(), Status::timed_out);
    const auto report = inspect(name);
    ASSERT_NE(report.find_group("workers"), nullptr);
    EXPECT_EQ(report.find_group("workers")->backlog, 4U);
    EXPECT_NE(report.blocked_by.find("workers"), std::string::npos) << report.blocked_by;
}

// -------------------------------------------------------------------------------------- entries

TEST(EntriesOfTheDead, AreReusedWhateverTheirOwnersDid) {
    const ChannelName name;
    auto channel = Channel<>::create(
        name, {.capacity = 8, .region_size = 4096, .max_participants = 4, .max_groups = 3});
    { auto group = channel.join("workers", {.from = Start::earliest()}); }
    for (int round = 0; round < 60; ++round) {
        SCOPED_TRACE(round);
        Child child([&] {
            auto own = Channel<>::open(name);
            switch (round % 6) {
                case 0: {
                    auto producer = own.producer();
                    (void)producer.try_send(std::string(1000, 'x'));
                    die();
                }
                case 1: {
                    auto member = own.join("workers", {.from = Start::earliest()});
                    auto message = member.try_receive();
                    die();
                }
                case 2: {
                    auto subscriber = own.subscribe({.from = Start::earliest()});
                    auto message = subscriber.try_receive();
                    die();
                }
                case 3: {
                    TornProducer torn(name);
                    if (round < 30) torn.claim();
                    die();
                }
                case 4: {
                    auto lossy = own.subscribe({.delivery = Delivery::lossy});
                    die();
                }
                default: {
                    auto member = own.join("passing", {.lifetime = Lifetime::ephemeral});
                    die();
                }
            }
        });
        ASSERT_EQ(child.wait(), 128 + SIGKILL);
        auto member = channel.join("workers", {.from = Start::earliest()});
        while (auto message = member.try_receive()) {
        }
    }
    auto one = channel.producer();
    auto two = channel.subscribe();
    auto three = channel.join("workers", {.from = Start::earliest()});
    auto four = channel.producer();
    const auto report = inspect(name);
    EXPECT_EQ(report.participants.size(), 4U);
    EXPECT_EQ(report.groups.size(), 2U);
    EXPECT_THROW(channel.producer(), Error);
}

TEST(EntriesOfTheDead, AreWholeAgainAfterADeathWhileOneWasFilledIn) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    Child child([&] {
        auto memory = memory_of(name);
        auto attachment = protocol::attach_producer(*memory, protocol::ProducerKind::shared, "half",
                                                    protocol::OwnRegion::reserved);
        // As killed inside the rewriting of an entry that is not visible yet.
        memory->participant(attachment.index).state = 0;
        memory->participant(attachment.index).version += 1;
        die();
    });
    ASSERT_EQ(child.wait(), 128 + SIGKILL);
    auto subscriber = channel.subscribe(
        {.delivery = {}, .from = {}, .participant = {.name = "whole", .wait_policy = {}}});
    const auto report = inspect(name);
    ASSERT_EQ(report.participants.size(), 1U);
    EXPECT_EQ(report.participants[0].name, "whole");
    EXPECT_EQ(report.participants[0].pid, ::getpid());
    EXPECT_EQ(report.participants[0].role, ParticipantRole::subscriber);
    EXPECT_EQ(report.producers(), 0U);
}

TEST(EntriesOfTheDead, AGroupWhoseFirstMemberDiedWhileFormingItIsFormedAnew) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 4, .max_groups = 1});
    auto producer = channel.producer();
    Child child([&] {
        auto memory = memory_of(name);
        auto own = Channel<>::open(name).join("workers");
        auto& status = memory->group(0).status;
        const format::GroupStatus seen{status.load()};
        status =
            format::GroupStatus::make(seen.incarnation(), seen.flags(), format::GroupState::forming)
                .bits;
        die();
    });
    ASSERT_EQ(child.wait(), 128 + SIGKILL);
    for (int i = 0; i < 4; ++i)
        ASSERT_TRUE(producer.send_for(std::to_string(i), 15s));
    ASSERT_TRUE(producer.send_for("4", 15s)) << "a group that never formed holds nobody back";
    auto member = channel.join("workers", {.from = Start::latest()});
    ASSERT_TRUE(producer.send("5"));
    EXPECT_EQ(member.receive_for(10s).text(), "5");
}

TEST(EntriesOfTheDead, ARecovererThatDiesLeavesTheRestToTheNext) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 64, .max_participants = 40});
    auto producer = channel.producer();
    { auto group = channel.join("workers", manual); }
    for (int round = 0; round < 15; ++round) {
        SCOPED_TRACE(round);
        for (int i = 0; i < 40; ++i)
            ASSERT_TRUE(producer.try_send(std::to_string(i)));
        // Many dead with much to recover ...
        Child dead([&] {
            auto own = Channel<>::open(name);
            std::vector<Consumer<>> members;
            std::vector<Message<>> messages;
            for (int i = 0; i < 10; ++i) {
                members.push_back(own.join("workers", manual));
                for (int k = 0; k < 4; ++k)
                    messages.push_back(members.back().receive_for(10s));
            }
            die();
        });
        ASSERT_EQ(dead.wait(), 128 + SIGKILL);
        // ... and recoverers killed on the way.
        for (int i = 0; i < 8; ++i) {
            Child recoverer([&] {
                auto member = Channel<>::open(name).join("workers", manual);
                wait_for_the_end();
            });
            std::this_thread::sleep_for(std::chrono::microseconds(137 * (i + round)));
            recoverer.kill();
        }
        auto member = channel.join("workers", manual);
        std::set<std::string> seen;
        while (seen.size() < 40) {
            auto message = member.receive_for(10s);
            ASSERT_TRUE(message) << seen.size();
            EXPECT_EQ(message.attempt(), 2U);
            EXPECT_TRUE(seen.insert(std::string(message.text())).second) << message.text();
            EXPECT_TRUE(message.ack());
        }
        EXPECT_EQ(member.try_receive().status(), Status::empty);
    }
}

// ------------------------------------------------------------------------- stopped, not dead

Child start_stopped_claimant(const std::string& channel, const SharedValue<Progress>& progress) {
    return Child([&channel, &progress] {
        TornProducer torn(channel);
        const Position position = torn.claim();
        progress->position = position;
        progress->step = 1;
        // Stopped here, by the test: a stop of its own might come after that, and for good.
        while (!progress->stop)
            std::this_thread::sleep_for(1ms);
        torn.write(position, "late");
        torn.make_ready(position);
        progress->step = 2;
        wait_for_the_end();
    });
}

TEST(StoppedProducer, InsideAPublishIsWaitedForAndNamedAndNeverDeclaredDead) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 8});
    auto producer = channel.producer();
    auto subscriber = channel.subscribe();
    auto lossy = channel.subscribe({.delivery = Delivery::lossy});
    auto member = channel.join("workers");
    const SharedValue<Progress> progress;
    Child stopped = start_stopped_claimant(name, progress);
    ASSERT_TRUE(reaches(progress, 1));
    stopped.stop();
    ASSERT_TRUE(producer.send("after"));
    for (Consumer<>* reader : {&subscriber, &lossy, &member}) {
        EXPECT_EQ(reader->receive_for(200ms).status(), Status::timed_out);
    }
    const auto report = inspect(name);
    EXPECT_NE(report.blocked_by.find(std::to_string(stopped.pid())), std::string::npos)
        << report.blocked_by;
    EXPECT_NE(report.blocked_by.find("torn"), std::string::npos) << report.blocked_by;
    // The ring fills up behind it, and attaching recovers nothing of the living.
    for (int i = 0; i < 6; ++i)
        ASSERT_TRUE(producer.try_send("more"));
    EXPECT_EQ(producer.send_for("full", 200ms).status(), Status::timed_out);
    { auto another = channel.producer(); }
    EXPECT_NE(inspect(name).blocked_by.find(std::to_string(stopped.pid())), std::string::npos);
    EXPECT_EQ(inspect(name).aborted, 0U);

    progress->stop = true;
    stopped.resume();
    for (Consumer<>* reader : {&subscriber, &lossy, &member}) {
        auto late = reader->receive_for(10s);
        ASSERT_TRUE(late);
        EXPECT_EQ(late.text(), "late");
        EXPECT_EQ(late.position(), progress->position);
        auto after = reader->receive_for(10s);
        ASSERT_TRUE(after);
        EXPECT_EQ(after.text(), "after");
    }
}

TEST(StoppedReader, ThatHoldsNothingHoldsProducersUpAndIsNamed) {
    for (const bool in_a_group : {false, true}) {
        SCOPED_TRACE(in_a_group);
        const ChannelName name;
        auto producer = Channel<>::create(name, {.capacity = 4}).producer();
        const SharedValue<Progress> progress;
        Child child([&] {
            auto channel = Channel<>::open(name);
            auto reader = in_a_group ? channel.join("workers") : channel.subscribe();
            progress->step = 1;
            while (!progress->stop)
                std::this_thread::sleep_for(1ms);
            progress->count = reader.receive_for(10s) ? 1 : 0;
        });
        ASSERT_TRUE(reaches(progress, 1));
        child.stop();
        while (producer.try_send("more")) {
        }
        const std::string reason = inspect(name).blocked_by;
        EXPECT_NE(reason.find(std::to_string(child.pid())), std::string::npos) << reason;
        EXPECT_NE(reason.find("is stopped"), std::string::npos) << reason;
        progress->stop = true;
        child.resume();
        EXPECT_EQ(child.wait(), 0);
        EXPECT_EQ(progress->count, 1U);
    }
}

// It tests locks by a descriptor. What that number means now is not the channel.
TEST(ClosedDescriptors, OfAProcessMakeItTakeNobodyForDead) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    ASSERT_TRUE(channel.producer().send("held"));
    for (const bool reused : {false, true}) {
        SCOPED_TRACE(reused);
        const SharedValue<Progress> progress;
        Child holder([&] {
            auto worker = Channel<>::open(name).join(
                "workers", {.ack = Ack::manual, .from = Start::earliest()});
            auto message = worker.receive_for(10s);
            require(message.text() == "held", "received");
            progress->step = 1;
            while (!progress->stop)
                std::this_thread::sleep_for(1ms);
            require(message.held(), "still holds it");
        });
        ASSERT_TRUE(reaches(progress, 1));
        Child careless([&] {
            auto worker = Channel<>::open(name).join(
                "workers",
                {.ack = Ack::manual, .participant = {.wait_policy = WaitPolicy::parking()}});
            ::syscall(SYS_close_range, 3U, ~0U, 0U);
            while (reused && ::memfd_create("another", 0) < 20) {
            }
            require(worker.receive_for(300ms).status() == Status::timed_out, "nothing to receive");
            require(!inspect(name).removed, "not removed");
        });
        EXPECT_EQ(careless.wait(), 0);
        progress->stop = true;
        EXPECT_EQ(holder.wait(), 0);
    }
}

TEST(StoppedReader, InADebuggerIsNamedAsStopped) {
    const ChannelName name;
    auto producer = Channel<>::create(name, {.capacity = 4}).producer();
    const SharedValue<Progress> progress;
    Child child([&] {
        auto reader = Channel<>::open(name).subscribe();
        progress->step = 1;
        wait_for_the_end();
    });
    ASSERT_TRUE(reaches(progress, 1));
    ASSERT_EQ(::ptrace(PTRACE_SEIZE, child.pid(), nullptr, nullptr), 0);
    ASSERT_EQ(::ptrace(PTRACE_INTERRUPT, child.pid(), nullptr, nullptr), 0);
    ASSERT_EQ(::waitpid(child.pid(), nullptr, __WALL), child.pid());
    while (producer.try_send("more")) {
    }
    const std::string reason = inspect(name).blocked_by;
    EXPECT_NE(reason.find(std::to_string(child.pid())), std::string::npos) << reason;
    EXPECT_NE(reason.find("is stopped"), std::string::npos) << reason;
}

TEST(StoppedProducer, WithNoReadersBlocksProducersAroundTheRingAndIsNamed) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 4});
    const SharedValue<Progress> progress;
    Child stopped = start_stopped_claimant(name, progress);
    ASSERT_TRUE(reaches(progress, 1));
    stopped.stop();
    const SharedValue<Progress> sent;
    Child sender([&] {
        auto producer = Channel<>::open(name).producer();
        for (int i = 0; i < 3; ++i)
            require(static_cast<bool>(producer.try_send("more")), "room in the ring");
        require(producer.try_send("full").status() == Status::full, "comes to the claim");
        sent->step = 1;
        require(static_cast<bool>(producer.send_for("on", 30s)), "goes on");
        sent->time = os::now();
        sent->step = 2;
    });
    ASSERT_TRUE(reaches(sent, 1));
    ASSERT_TRUE(eventually([&] { return is_parked(name, sender.pid()); }));
    std::this_thread::sleep_for(200ms);
    EXPECT_EQ(sent->step, 1);
    const auto report = inspect(name);
    EXPECT_NE(report.blocked_by.find(std::to_string(stopped.pid())), std::string::npos)
        << "blocked by: '" << report.blocked_by << "'";
    const std::int64_t start = os::now();
    progress->stop = true;
    stopped.resume();
    ASSERT_TRUE(reaches(sent, 2));
    EXPECT_LT(sent->time - start, 1000 * millisecond) << "something is claimed: fast ticks";
    EXPECT_EQ(sender.wait(), 0);
}

/// A producer that stops on the way from its claim to READY, where it reads the program's message.
/// When it goes on, its first wake-up is only noted: for how many it was meant.
class StoppedWhileItCopies {
public:
    explicit StoppedWhileItCopies(const SharedValue<Progress>& progress) {
        progress_ = &*progress;
        message_ = ::mmap(nullptr, page_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        require(message_ != MAP_FAILED, "has no memory");
        struct sigaction action {};
        action.sa_flags = SA_SIGINFO;
        action.sa_sigaction = wait_to_go_on;
        require(::sigaction(SIGSEGV, &action, nullptr) == 0, "cannot stop where it copies");
        action.sa_sigaction = note_wake_up;
        require(::sigaction(SIGSYS, &action, nullptr) == 0, "cannot note wake-ups");
    }
    /// False where the kernel (or an emulator) has no filters.
    bool send(Producer<>& producer) const {
        const bool notes = note_wake_ups();
        require(static_cast<bool>(producer.send({static_cast<const char*>(message_), 8})), "sent");
        return notes;
    }

private:
    static constexpr std::size_t page_size = 4096;

    static bool note_wake_ups() {
        std::array<sock_filter, 6> filter{{
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 0, 3),
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[1])),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FUTEX_WAKE_BITSET, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        }};
        return install(filter);
    }
    static void wait_to_go_on(int, siginfo_t*, void*) {
        progress_->step = 1;
        while (!progress_->stop) {
        }
        ::mprotect(message_, page_size, PROT_READ);
    }
    static void note_wake_up(int, siginfo_t*, void* context) {
        auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
        const auto count = static_cast<std::uint64_t>(registers.gregs[REG_RDX]);
        registers.gregs[REG_RAX] = static_cast<greg_t>(count);
#elif defined(__aarch64__)
        const auto count = static_cast<std::uint64_t>(registers.regs[2]);
        registers.regs[0] = count;
#endif
        std::uint64_t none = 0;
        progress_->count.compare_exchange_strong(none, count);
    }

    static inline Progress* progress_ = nullptr;
    static inline void* message_ = nullptr;
};

// Whoever was woken for what lies behind the claim found the claim, and sleeps again.
TEST(StoppedInAClaim, AProducerThatGoesOnWakesAllForWhomThereAreMessages) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    const SharedValue<Progress> claimed;
    const SharedValue<Progress> received;
    std::vector<Child> members;
    for (int i = 0; i < 4; ++i) {
        members.emplace_back([&] {
            const ParticipantOptions parking{.wait_policy = WaitPolicy::parking()};
            auto member = Channel<>::open(name).join("workers", {.participant = parking});
            const auto message = member.receive();
            received->count += 1;
            wait_for_the_end();
        });
        ASSERT_TRUE(eventually([&] { return is_parked(name, members.back().pid()); }));
    }
    Child stopped([&] {
        const StoppedWhileItCopies stop(claimed);
        auto producer = Channel<>::open(name).producer();
        claimed->step = stop.send(producer) ? 2 : 3;
        wait_for_the_end();
    });
    ASSERT_TRUE(reaches(claimed, 1));
    auto producer = channel.producer();
    const auto all_are_parked = [&] {
        return std::all_of(members.begin(), members.end(),
                           [&](const Child& member) { return is_parked(name, member.pid()); });
    };
    for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(producer.send("behind"));
        std::this_thread::sleep_for(5ms);
        ASSERT_TRUE(eventually(all_are_parked));
    }
    claimed->stop = true;
    ASSERT_TRUE(reaches(claimed, 2));
    if (claimed->step == 3) GTEST_SKIP() << "system calls cannot be filtered";
    EXPECT_EQ(claimed->count, 4U);
    EXPECT_TRUE(eventually([&] { return received->count == 4; })) << "a sweep finds them, too";
}

// ------------------------------------------------------------------------------------- sentinels

TEST(DeathOfASentinel, AnotherSleeperTakesItsDutyAndRecoversLeases) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    { auto group = channel.join("workers", manual); }
    ASSERT_TRUE(channel.producer().send("job"));
    const SharedValue<Progress> held;
    const SharedValue<Progress> first;
    const SharedValue<Progress> second;
    Child holder = start_holder(name, "workers", held);
    ASSERT_TRUE(reaches(held, 2));
    Child one = start_receiver(name, "workers", first);
    ASSERT_TRUE(eventually([&] { return is_parked(name, one.pid()); }));
    Child two = start_receiver(name, "workers", second);
    ASSERT_TRUE(eventually([&] { return is_parked(name, two.pid()); }));
    const auto memory = memory_of(name);
    const format::Sentinel sentinel{memory->header().sentinel.load()};
    ASSERT_FALSE(sentinel.is_vacant());
    EXPECT_EQ(memory->participant(sentinel.participant()).pid, one.pid());
    one.kill();
    holder.kill();
    ASSERT_TRUE(reaches(second, 1, 15)) << "sleepers check the sentinel every 3 s";
    EXPECT_EQ(second->attempt, 2U);
    EXPECT_EQ(two.wait(), 0);
}

TEST(DeathOfASentinel, OneOfManySleepersNoticesItAtTheNextTick) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    { auto group = channel.join("workers", manual); }
    std::vector<Child> sleepers;
    for (int i = 0; i < 16; ++i) {
        sleepers.emplace_back([&] {
            GroupOptions parked = manual;
            parked.participant.wait_policy = WaitPolicy::parking();
            auto member = Channel<>::open(name).join("workers", parked);
            (void)member.receive();
        });
        ASSERT_TRUE(eventually([&] { return is_parked(name, sleepers.back().pid()); }));
    }
    const auto memory = memory_of(name);
    const auto duty = [&] { return format::Sentinel{memory->header().sentinel.load()}; };
    const auto tick = [] { return os::now() / protocol::slow_tick; };
    // Past the tick that is everybody's: from then on they take turns.
    const auto first = tick();
    ASSERT_TRUE(eventually([&] { return tick() >= first + 2; }, 15));
    std::this_thread::sleep_for(500ms);
    for (int deaths = 0; deaths < 2; ++deaths) {
        const format::Sentinel sentinel = duty();
        ASSERT_FALSE(sentinel.is_vacant());
        const pid_t pid = memory->participant(sentinel.participant()).pid;
        const auto dead = std::find_if(sleepers.begin(), sleepers.end(),
                                       [&](const Child& child) { return child.pid() == pid; });
        ASSERT_NE(dead, sleepers.end());
        dead->kill();
        const auto killed = tick();
        ASSERT_TRUE(eventually([&] { return duty().participant() != sentinel.participant(); }, 15));
        EXPECT_LE(tick() - killed, 1) << "some sleeper looks at each tick";
    }
}

// Who got the entry lives, and never parks: it would seem to neglect the duty.
TEST(DeathOfASentinel, ItsDutyIsNotLeftToWhoeverGetsItsEntryNext) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    const SharedValue<Progress> unused;
    Child one = start_receiver(name, "workers", unused);
    ASSERT_TRUE(eventually([&] { return is_parked(name, one.pid()); }));
    Child two = start_receiver(name, "workers", unused);
    ASSERT_TRUE(eventually([&] { return is_parked(name, two.pid()); }));
    const auto memory = memory_of(name);
    ASSERT_TRUE(eventually([&] { return is_sentinel(*memory, one.pid()); }));
    const unsigned entry = sentinel_of(*memory);
    one.kill();
    auto producer = channel.producer();
    ASSERT_EQ(memory->participant(entry).pid, ::getpid()) << "the entry is in use again";
    EXPECT_TRUE(eventually([&] { return is_sentinel(*memory, two.pid()); }, 1));
}

// Whoever is woken for the duty may be about to leave.
TEST(Sentinel, IsCalledAgainByASleeperThatLeavesInsteadOfTakingTheDuty) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto holder = channel.join("workers", manual);
    ASSERT_TRUE(channel.producer().send("job"));
    const auto held = holder.receive();
    const auto memory = memory_of(name);
    const unsigned self = inspect(name).participants.front().index;
    // Somebody has the duty and ticks, slowly, so that this sleeper does not take it.
    const auto now_ms = static_cast<std::uint64_t>(os::now() / millisecond);
    memory->header().sentinel = format::Sentinel::make(self, 1, false, now_ms).bits;
    Child sleeper([&] {
        const ParticipantOptions parking{.wait_policy = WaitPolicy::parking()};
        auto member = Channel<>::open(name).join("others", {.participant = parking});
        (void)member.receive();
    });
    ASSERT_TRUE(eventually([&] { return is_parked(name, sleeper.pid()); }));
    ASSERT_EQ(sentinel_of(*memory), self);
    // It resigned, and called one who was about to leave.
    memory->header().sentinel = format::Sentinel::vacant().bits;
    { const protocol::SentinelDuty leaving(*memory, self, 1, nullptr); }
    EXPECT_TRUE(eventually([&] { return is_sentinel(*memory, sleeper.pid()); }, 1))
        << "a sleeper looks by itself every 3 s";
}

// The tick of one among many sleepers is not soon: the sweep must tell all of them.
TEST(DeathOfACloser, AllMembersOfALargeGroupLearnOfTheEnd) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    std::vector<Child> members;
    for (int i = 0; i < 16; ++i) {
        members.emplace_back([&, i] {
            GroupOptions parked;
            parked.participant.wait_policy = WaitPolicy::parking();
            if (i % 2 == 0) parked.delivery = Delivery::lossy;
            auto member = Channel<>::open(name).join(i % 2 == 0 ? "lossy" : "workers", parked);
            require(member.receive().status() == Status::closed, "learned of the end");
        });
        ASSERT_TRUE(eventually([&] { return is_parked(name, members.back().pid()); }));
    }
    Child closer([&] {
        const auto memory = memory_of(name);
        const os::Mapping data = memory->map_data_writable();
        memory->ring_of(data).at(0).state =
            format::SlotState::make(0, 0, format::Phase::closed).bits;
        die();
    });
    ASSERT_EQ(closer.wait(), 128 + SIGKILL);
    const auto closed = os::now();
    for (Child& member : members)
        EXPECT_EQ(member.wait_for(20), 0);
    EXPECT_LT(os::now() - closed, 2 * protocol::slow_tick);
}

// As one who is killed right after the group's end became visible leaves them.
TEST(DeathOfARemover, AllMembersOfALargeGroupLearnOfItsEndAtTheNextTick) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    // It has the sentinel's duty, and stays.
    const SharedValue<Progress> unused;
    Child sentinel = start_receiver(name, "others", unused);
    ASSERT_TRUE(eventually([&] { return is_parked(name, sentinel.pid()); }));
    std::vector<Child> members;
    for (int i = 0; i < 16; ++i) {
        members.emplace_back([&] {
            GroupOptions parked = manual;
            parked.participant.wait_policy = WaitPolicy::parking();
            auto member = Channel<>::open(name).join("workers", parked);
            require(member.receive().status() == Status::removed, "learned of the end");
        });
        ASSERT_TRUE(eventually([&] { return is_parked(name, members.back().pid()); }));
    }
    // Past the tick that is everybody's: from then on they take turns.
    const auto tick = [] { return os::now() / protocol::slow_tick; };
    const auto first = tick();
    ASSERT_TRUE(eventually([&] { return tick() >= first + 2; }, 15));
    std::this_thread::sleep_for(300ms);
    const auto memory = memory_of(name);
    auto& word = memory->group(1).status;
    const format::GroupStatus status{word.load()};
    word = format::GroupStatus::make(status.incarnation(), status.flags(), format::GroupState::free)
               .bits;
    const auto removed = tick();
    ASSERT_TRUE(eventually(
        [&] {
            return std::none_of(members.begin(), members.end(),
                                [](Child& member) { return member.is_running(); });
        },
        15));
    EXPECT_LE(tick() - removed, 1) << "by turns it would take four";
    for (Child& member : members)
        EXPECT_EQ(member.wait(), 0);
}

TEST(DeathOfASentinel, ABusyMemberLooksAfterTheDeadInstead) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto member = channel.join("workers", manual);
    auto producer = channel.producer();
    ASSERT_TRUE(producer.send("held"));
    const SharedValue<Progress> held;
    const SharedValue<Progress> parked;
    Child holder = start_holder(name, "workers", held);
    ASSERT_TRUE(reaches(held, 2));
    Child sentinel = start_receiver(name, "workers", parked);
    ASSERT_TRUE(eventually([&] { return is_parked(name, sentinel.pid()); }));
    sentinel.kill();
    holder.kill();
    bool found = false;
    const auto poll = [&] {
        auto message = member.try_receive();
        if (message) found |= message.text() == "held";
        return found;
    };
    EXPECT_TRUE(eventually(poll, 10));
}

TEST(LeavingSentinel, HandsOverForALeaseThatWasTakenWhileItLeft) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    ASSERT_TRUE(channel.producer().send("job"));
    auto worker = channel.join("workers", manual);
    const auto memory = memory_of(name);
    auto leaver = protocol::join_group(*memory, "workers", manual);
    std::optional<protocol::SentinelDuty> duty(std::in_place, *memory, leaver.attachment.index,
                                               protocol::place_of_group(leaver.group), nullptr);
    (void)duty->next_tick();
    ASSERT_TRUE(duty->is_mine());
    Child sleeper([&name] {
        const ParticipantOptions parking{.wait_policy = WaitPolicy::parking()};
        auto member = Channel<>::open(name).join("sleepers", {.participant = parking});
        (void)member.receive();
    });
    ASSERT_TRUE(eventually([&] { return is_parked(name, sleeper.pid()); }));

    // The one with the duty ticks slowly, and sleeps no more: its deadline has passed.
    auto job = worker.try_receive();
    ASSERT_TRUE(job);
    const int group = protocol::find_group(*memory, "sleepers");
    ASSERT_GE(group, 0);
    const auto& futex = memory->group(static_cast<unsigned>(group)).parking.futex;
    const std::uint32_t before = futex.load();
    duty.reset();
    EXPECT_NE(futex.load(), before) << "nobody was called to look after the lease";
    EXPECT_TRUE(
        eventually([&] { return format::Sentinel{memory->header().sentinel.load()}.is_fast(); }));
    protocol::detach(*memory, leaver.attachment);
}

TEST(StoppedSentinel, IsReplacedBySleepersThatGoOn) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    { auto group = channel.join("workers", manual); }
    ASSERT_TRUE(channel.producer().send("job"));
    const SharedValue<Progress> held;
    const SharedValue<Progress> first;
    const SharedValue<Progress> second;
    Child holder = start_holder(name, "workers", held);
    ASSERT_TRUE(reaches(held, 2));
    Child one = start_receiver(name, "workers", first);
    ASSERT_TRUE(eventually([&] { return is_parked(name, one.pid()); }));
    Child two = start_receiver(name, "workers", second);
    ASSERT_TRUE(eventually([&] { return is_parked(name, two.pid()); }));
    one.stop();
    holder.kill();
    // The stopped one is first in the queue of sleepers, so it may take a wake-up with it: the
    // other one looks for itself.
    EXPECT_TRUE(reaches(second, 1, 20));
    EXPECT_EQ(second->attempt, 2U);
}

}
}
