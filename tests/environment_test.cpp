// The library where it was not meant to live: full /dev/shm, other PID namespaces, forked children,
// other users, damaged and foreign objects.

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "ipc/ipc.hpp"
#include "ipc/os/shared_object.hpp"
#include "ipc/protocol/registry.hpp"
#include "tests/support/channel_name.hpp"
#include "tests/support/child.hpp"
#include "tests/support/seed.hpp"
#include "tests/support/shared_value.hpp"
#include "tests/support/torn.hpp"

namespace ipc::test {
namespace {

using namespace std::chrono_literals;

constexpr int skipped = 77;  ///< exit status of a child that lacks a privilege

struct Steps {
    std::atomic<int> inside{0};
    std::atomic<int> outside{0};
    std::atomic<std::int32_t> pid{0};
};

std::string file_of(const std::string& channel) {
    return os::shared_memory_directory() + "/ipc." + channel;
}

std::string what_of(const std::function<void()>& action, Errc expected) {
    try {
        action();
    } catch (const Error& error) {
        if (error.code() != expected) {
            throw std::runtime_error(std::string("another error: ") + error.what());
        }
        return error.what();
    }
    throw std::runtime_error("no error");
}

void require_error(const std::function<void()>& action, Errc expected) {
    (void)what_of(action, expected);
}

bool exchange(Producer<>& producer, Consumer<>& consumer, const std::string& text) {
    if (!producer.send_for(text, 10s)) return false;
    auto message = consumer.receive_for(10s);
    return message && message.text() == text;
}

// -------------------------------------------------------------------------------- full /dev/shm

/// Runs `body` in a child that sees a small /dev/shm of its own.
int with_small_memory(const char* options, const std::function<void()>& body) {
    Child child([&] {
        if (::unshare(CLONE_NEWNS) != 0 ||
            ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            ::mount("none", os::shared_memory_directory().c_str(), "tmpfs", 0, options) != 0) {
            ::_exit(skipped);
        }
        ::alarm(60);
        body();
    });
    return child.wait();
}

/// Takes all the room that is left.
void fill_memory() {
    const int file =
        ::open((os::shared_memory_directory() + "/filler").c_str(), O_CREAT | O_WRONLY, 0600);
    require(file >= 0, "a file to fill the memory");
    const std::vector<char> page(4096, 'x');
    while (::write(file, page.data(), page.size()) > 0) {
    }
    ::close(file);
}

TEST(FullMemory, IsAClearErrorWithNumbersAndExistingChannelsGoOn) {
    const int result = with_small_memory("size=4m", [] {
        auto channel = Channel<>::create(
            "small",
            {.capacity = 64, .region_size = 256 << 10, .max_participants = 32, .max_groups = 32});
        auto producer = channel.producer();
        auto subscriber = channel.subscribe();
        const std::string large(100'000, 'l');
        require(exchange(producer, subscriber, "before"), "before");
        require(exchange(producer, subscriber, large), "large before");

        // A whole channel that does not fit.
        std::string what = what_of([] { (void)Channel<>::create("large", {.capacity = 1 << 20}); },
                                   Errc::no_space);
        const auto cost = memory_cost({.capacity = 1 << 20});
        require(what.find("large") != std::string::npos, what.c_str());
        require(what.find("free") != std::string::npos, what.c_str());
        require(what.find("shm-size") != std::string::npos, what.c_str());
        bool has_number = false;
        for (std::uint64_t bytes = cost.channel - (1 << 20); bytes <= cost.channel; bytes += 1) {
            if (bytes % 4096 == 0) has_number |= what.find(std::to_string(bytes)) < what.size();
        }
        require(has_number, what.c_str());
        require(list().size() == 1, "nothing of the large channel is left");

        // Producers, each with a region, until none fits.
        std::vector<Producer<>> producers;
        try {
            for (int i = 0; i < 31; ++i)
                producers.push_back(channel.producer());
            require(false, "more regions than memory");
        } catch (const Error& error) {
            require(error.code() == Errc::no_space, error.what());
            const auto needed = std::to_string(memory_cost({.region_size = 256 << 10}).producer);
            require(std::strstr(error.what(), needed.c_str()) != nullptr, error.what());
        }
        require(producers.size() > 5, "many regions fit");

        // Then not one page is free.
        fill_memory();
        require_error([] { (void)Channel<>::create("another"); }, Errc::no_space);
        int groups = 0;
        try {
            for (; groups < 30; ++groups)
                (void)channel.join("group" + std::to_string(groups),
                                   {.lifetime = Lifetime::durable, .from = Start::latest()});
            require(false, "more groups than memory");
        } catch (const Error& error) {
            require(error.code() == Errc::no_space, error.what());
        }
        for (int i = 0; i < groups; ++i)
            channel.remove_group("group" + std::to_string(i));
        for (int i = 0; i < 500; ++i) {
            require(exchange(producer, subscriber, "after"), "after");
            require(exchange(producer, subscriber, large), "large after");
        }
        for (Producer<>& each : producers)
            require(exchange(each, subscriber, large), "every region is really there");
        const auto report = inspect("small");
        require(report.tail > 1000, "inspect works");
        require(!channel.peek({}, 100).empty(), "peek works");
    });
    if (result == skipped) GTEST_SKIP() << "mounting a small tmpfs needs root";
    EXPECT_EQ(result, 0);
}

TEST(FullMemory, AtEverySizeEndsInAnErrorAndNeverInASignal) {
    for (int kilobytes = 8; kilobytes < 700; kilobytes += kilobytes < 64 ? 4 : 44) {
        const std::string options = "size=" + std::to_string(kilobytes) + "k";
        SCOPED_TRACE(options);
        const int result = with_small_memory(options.c_str(), [] {
            try {
                auto channel = Channel<>::create("channel", {.capacity = 64,
                                                             .region_size = 64 << 10,
                                                             .max_participants = 8,
                                                             .max_groups = 8});
                auto producer = channel.producer();
                auto subscriber = channel.subscribe();
                auto member = channel.join("workers");
                for (int i = 0; i < 2000; ++i) {
                    require(exchange(producer, subscriber, std::string(3000, 'x')), "exchange");
                    require(static_cast<bool>(member.receive_for(10s)), "receive");
                }
            } catch (const Error& error) {
                require(error.code() == Errc::no_space, error.what());
            }
            for (const std::string& name : list())
                (void)inspect(name);
        });
        if (result == skipped) GTEST_SKIP() << "mounting a small tmpfs needs root";
        ASSERT_EQ(result, 0);
    }
}

// --------------------------------------------------------------------------------- namespaces

TEST(PidNamespaces, ThatShareMemoryTellTheLivingFromTheDeadBothWays) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 4});
    const SharedValue<Steps> steps;
    auto victim = std::make_unique<Child>([&] {
        auto member = Channel<>::open(name).join("outside", {.ack = Ack::manual});
        steps->outside = 1;
        auto message = member.receive();
        steps->outside = 2;
        wait_for_the_end();
    });
    ASSERT_TRUE(eventually([&] { return steps->outside == 1; }));
    Child host([&] {
        if (::unshare(CLONE_NEWPID) != 0) ::_exit(skipped);
        Child inner([&] {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            require(::getpid() == 1, "the first of its namespace");
            auto own = Channel<>::open(name);
            auto subscriber = own.subscribe(
                {.delivery = {}, .from = {}, .participant = {.name = "inner", .wait_policy = {}}});
            bool found = false;
            for (const auto& participant : inspect(name).participants) {
                if (participant.name == "inner") {
                    require(participant.same_pid_namespace, "its own namespace");
                } else {
                    found = true;
                    require(participant.alive, "those outside live");
                    require(!participant.same_pid_namespace, "another namespace");
                }
            }
            require(found, "sees those outside");
            steps->inside = 1;
            // From here on, somebody outside dies with a lease.
            require(eventually([&] { return steps->outside == 3; }, 20), "told of the death");
            require(own.producer().send_for("0", 10s).status() != Status::removed, "usable");
            auto member = own.join("outside", {.ack = Ack::manual});
            auto message = member.receive_for(10s);
            require(message && message.text() == "held" && message.attempt() == 2,
                    "gets what the dead outside held");
            require(static_cast<bool>(message.ack()), "acknowledged");
            steps->inside = 2;
            wait_for_the_end();
        });
        steps->pid = inner.pid();
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (inner.wait() != 128 + SIGKILL) ::_exit(1);
    });
    const auto started = [&] { return steps->inside == 1 || !host.is_running(); };
    ASSERT_TRUE(eventually(started));
    if (!host.is_running() && host.wait() == skipped) GTEST_SKIP() << "unshare needs root";
    ASSERT_EQ(steps->inside, 1);

    unsigned inner_index = 0;
    for (const auto& participant : inspect(name).participants) {
        if (participant.name != "inner") continue;
        EXPECT_TRUE(participant.alive);
        EXPECT_EQ(participant.pid, 1);
        EXPECT_FALSE(participant.same_pid_namespace);
        inner_index = participant.index;
    }
    auto producer = channel.producer();
    ASSERT_TRUE(producer.send("held"));
    ASSERT_TRUE(eventually([&] { return steps->outside == 2; }));
    victim->kill();
    steps->outside = 3;
    ASSERT_TRUE(eventually([&] { return steps->inside == 2 || !host.is_running(); }, 30));
    ASSERT_EQ(steps->inside, 2);

    // Its subscriber gates; when it dies, pid 1 lives on outside, and it is dead all the same.
    auto outside = channel.join("outside", {.ack = Ack::manual});
    const auto drain = [&] {
        while (auto message = outside.try_receive())
            EXPECT_TRUE(message.ack());
    };
    drain();
    while (producer.try_send("more"))
        drain();
    EXPECT_TRUE(memory_of(name)->is_alive(inner_index));
    ASSERT_GT(steps->pid, 0);
    ASSERT_EQ(::kill(steps->pid, SIGKILL), 0);
    EXPECT_EQ(host.wait(), 0);
    EXPECT_FALSE(memory_of(name)->is_alive(inner_index));
    drain();
    EXPECT_TRUE(eventually([&] {
        drain();
        return static_cast<bool>(producer.try_send("gone"));
    }));
}

// --------------------------------------------------------------------------------------- fork

TEST(Fork, LeavesTheChildHandlesThatSayForkedAndDestructorsThatDoNothing) {
    const ChannelName name;
    // A ring of one: every release would show.
    auto channel = std::make_unique<Channel<>>(Channel<>::create(name, {.capacity = 1}));
    auto producer = std::make_unique<Producer<>>(channel->producer());
    auto subscriber = std::make_unique<Consumer<>>(channel->subscribe());
    auto lossy = std::make_unique<Consumer<>>(channel->subscribe({.delivery = Delivery::lossy}));
    auto manual = std::make_unique<Consumer<>>(channel->join("manual", {.ack = Ack::manual}));
    auto automatic = std::make_unique<Consumer<>>(channel->join("automatic"));
    auto inspector = std::make_unique<Inspector>(name);
    ASSERT_TRUE(producer->send("held"));
    std::vector<std::unique_ptr<Message<>>> messages;
    for (Consumer<>* each : {subscriber.get(), lossy.get(), manual.get(), automatic.get()})
        messages.push_back(std::make_unique<Message<>>(each->try_receive()));
    auto batch_consumer = std::make_unique<Consumer<>>(channel->join("batch"));
    auto batch = std::make_unique<Batch<>>(batch_consumer->try_receive_batch(3));
    auto loan = std::make_unique<Loan<>>(producer->try_loan(500));
    ASSERT_TRUE(*loan);

    Child child([&] {
        ::alarm(30);
        const auto forked = [](auto action) { require_error(action, Errc::forked); };
        forked([&] { (void)producer->try_send("child"); });
        forked([&] { (void)producer->send(std::string(1000, 'x')); });
        forked([&] { (void)producer->try_loan(100); });
        forked([&] { (void)std::move(*loan).try_publish(); });
        forked([&] { (void)producer->close(); });
        forked([&] { (void)subscriber->try_receive(); });
        forked([&] { (void)subscriber->receive_for(1s); });
        forked([&] { (void)lossy->try_receive(); });
        forked([&] { (void)lossy->try_peek(); });
        forked([&] { (void)manual->try_receive(); });
        forked([&] { (void)manual->receive(); });
        forked([&] { (void)automatic->try_receive_batch(4); });
        forked([&] { (void)messages[2]->renew(); });
        forked([&] { (void)channel->producer(); });
        forked([&] { (void)channel->exclusive_producer(); });
        forked([&] { (void)channel->subscribe(); });
        forked([&] { (void)channel->join("manual", {.ack = Ack::manual}); });
        forked([&] { (void)channel->close(1ms); });
        forked([&] { (void)channel->purge("manual"); });
        forked([&] { channel->remove_group("manual"); });
        forked([&] { (void)channel->peek({}, 1); });
        forked([&] { (void)inspector->sample(); });
        loan.reset();
        batch.reset();
        messages.clear();
        batch_consumer.reset();
        automatic.reset();
        manual.reset();
        lossy.reset();
        subscriber.reset();
        producer.reset();
        inspector.reset();
        channel.reset();
        // What the child opens itself works.
        auto own = Channel<>::open(name).subscribe();
        require(own.try_receive().status() == Status::empty, "its own handle");
    });
    EXPECT_EQ(child.wait(), 0);

    const auto report = inspector->sample();
    for (const char* group : {"manual", "automatic"}) {
        EXPECT_EQ(report.find_group(group)->in_flight, 1U) << group;
        EXPECT_EQ(report.find_group(group)->settled, 0U) << group;
        EXPECT_EQ(report.find_group(group)->members, 1U) << group;
    }
    for (const ParticipantReport& participant : report.participants)
        EXPECT_TRUE(participant.alive);
    EXPECT_EQ(report.participants.size(), 6U);
    EXPECT_EQ(producer->try_send("too early").status(), Status::full);
    for (const auto& message : messages)
        EXPECT_EQ(message->text(), "held");
    EXPECT_TRUE(messages[2]->ack());
    messages.clear();
    EXPECT_TRUE(producer->try_send("next"));
    for (Consumer<>* each : {subscriber.get(), lossy.get(), manual.get(), automatic.get()}) {
        auto message = each->try_receive();
        ASSERT_TRUE(message);
        EXPECT_EQ(message.text(), "next");
    }
}

TEST(Fork, SettlingAMessageInTheChildIsRefusedAndLeavesItToTheParent) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto member = channel.join("workers", {.ack = Ack::manual});
    auto producer = channel.producer();
    for (int way = 0; way < 3; ++way) {
        SCOPED_TRACE(way);
        ASSERT_TRUE(producer.send("job"));
        auto message = member.try_receive();
        ASSERT_TRUE(message);
        Child child([&] {
            require_error(
                [&] {
                    switch (way) {
                        case 0: (void)message.ack(); break;
                        case 1: (void)message.nack(); break;
                        default: (void)message.reject();
                    }
                },
                Errc::forked);
        });
        EXPECT_EQ(child.wait(), 0);
        EXPECT_TRUE(message.held());
        EXPECT_EQ(inspect(name).find_group("workers")->in_flight, 1U);
        EXPECT_TRUE(message.ack());
    }
}

TEST(Fork, AcknowledgingASubscribersMessageInTheChildIsRefusedAndMakesNoRoom) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 1});
    auto subscriber = channel.subscribe();
    auto producer = channel.producer();
    ASSERT_TRUE(producer.send("the parent's"));
    auto message = subscriber.try_receive();
    Child child([&] { require_error([&] { (void)message.ack(); }, Errc::forked); });
    EXPECT_EQ(child.wait(), 0);
    EXPECT_EQ(producer.try_send("over it").status(), Status::full);
    EXPECT_EQ(message.text(), "the parent's");
    EXPECT_TRUE(message.ack());
    EXPECT_TRUE(producer.try_send("next"));
}

TEST(Fork, IteratingABatchInTheChildIsRefusedAndLeavesItsMessagesToTheParent) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 4});
    auto member = channel.join("workers", {.ack = Ack::manual});
    auto subscriber = channel.subscribe();
    auto producer = channel.producer();
    for (const char* text : {"a", "b", "c", "d"})
        ASSERT_TRUE(producer.send(text));
    auto batch = member.try_receive_batch(4);
    ASSERT_EQ(batch.size(), 4U);
    auto subscribers_batch = subscriber.try_receive_batch(4);
    ASSERT_EQ(subscribers_batch.size(), 4U);
    auto at = batch.begin();
    const auto refused_in_a_child = [&](auto action) {
        Child child([&] { require_error(action, Errc::forked); });
        EXPECT_EQ(child.wait(), 0);
    };
    refused_in_a_child([&] { ++at; });
    refused_in_a_child([&] { (void)batch.begin(); });
    refused_in_a_child([&] { (void)subscribers_batch.begin(); });
    refused_in_a_child([&] { (void)batch.ack_all(); });
    std::string seen;
    for (; at != batch.end(); ++at) {
        seen += at->text();
        EXPECT_TRUE(at->ack());
    }
    EXPECT_EQ(seen, "abcd");
    EXPECT_EQ(inspect(name).find_group("workers")->in_flight, 0U);
}

TEST(Fork, FollowedByTheDeathOfTheParentReleasesWhatItHeldThoughTheChildLives) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 2});
    { auto group = channel.join("workers", {.ack = Ack::manual}); }
    const SharedValue<Steps> steps;
    Child parent([&] {
        auto own = Channel<>::open(name);
        auto producer = own.exclusive_producer();
        auto subscriber = own.subscribe();
        auto member = own.join("workers", {.ack = Ack::manual});
        require(static_cast<bool>(producer.send("job")), "sent");
        auto message = member.try_receive();
        require(static_cast<bool>(message), "received");
        auto memory = memory_of(name);
        const auto lock = protocol::RegistryLock::take(*memory);
        const pid_t pid = ::fork();
        if (pid == 0) {
            ::alarm(60);
            steps->pid = ::getpid();
            for (;;)
                ::pause();
        }
        while (steps->pid == 0)
            ::usleep(100);
        die();
    });
    ASSERT_EQ(parent.wait(), 128 + SIGKILL);
    ASSERT_GT(steps->pid, 0);
    EXPECT_FALSE(memory_of(name)->registry_is_locked());
    auto producer = channel.exclusive_producer();
    auto member = channel.join("workers", {.ack = Ack::manual});
    {
        auto message = member.receive_for(10s);
        ASSERT_TRUE(message);
        EXPECT_EQ(message.text(), "job");
        EXPECT_EQ(message.attempt(), 2U);
        EXPECT_TRUE(message.ack());
    }
    for (int i = 0; i < 10; ++i) {
        ASSERT_TRUE(producer.send_for("more", 10s)) << "the dead subscriber gates";
        auto message = member.receive_for(10s);
        EXPECT_TRUE(message.ack());
    }
    EXPECT_EQ(::kill(steps->pid, 0), 0) << "the child lived all the time";
    ::kill(steps->pid, SIGKILL);
}

// -------------------------------------------------------------------------------------- users

void become_nobody() {
    if (::setgroups(0, nullptr) != 0 || ::setgid(65534) != 0 || ::setuid(65534) != 0) {
        ::_exit(skipped);
    }
    ::prctl(PR_SET_DUMPABLE, 1);  // /proc/self stays readable
}

TEST(AnotherUser, IsRefusedWithAClearErrorAndDamagesNothing) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto producer = channel.producer();
    auto subscriber = channel.subscribe();
    Child child([&] {
        become_nobody();
        const auto refused = [](auto action) { require_error(action, Errc::permission_denied); };
        refused([&] { (void)Channel<>::open(name); });
        refused([&] { (void)Channel<>::open_or_create(name); });
        refused([&] { (void)inspect(name); });
        refused([&] { (void)remove(name); });
        bool listed = false;
        for (const std::string& each : list())
            listed |= each == name.str();
        require(listed, "list shows it all the same");
        (void)remove_dead();
    });
    if (const int result = child.wait(); result == skipped) {
        GTEST_SKIP() << "becoming another user needs root";
    } else {
        EXPECT_EQ(result, 0);
    }
    EXPECT_TRUE(exchange(producer, subscriber, "unharmed"));
}

TEST(AnotherUser, WhoMayWriteStillHasToAllowAForeignOwner) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.mode = 0666});
    auto subscriber = channel.subscribe();
    Child child([&] {
        become_nobody();
        require_error([&] { (void)Channel<>::open(name); }, Errc::foreign_owner);
        require_error([&] { (void)Channel<>::open_or_create(name); }, Errc::foreign_owner);
        require_error([&] { (void)inspect(name); }, Errc::foreign_owner);
        (void)Inspector(name, true).sample();
        auto own = Channel<>::open(name, {.allow_foreign_owner = true});
        require(static_cast<bool>(own.producer().send("from nobody")), "sent");
    });
    const int result = child.wait();
    if (result == skipped) GTEST_SKIP() << "becoming another user needs root";
    EXPECT_EQ(result, 0);
    EXPECT_EQ(subscriber.receive_for(10s).text(), "from nobody");
}

TEST(AnotherUser, WhoAllowsAForeignOwnerDoesSoForTheDeadLetterChannelToo) {
    const ChannelName name;
    const ChannelName dead("dead");
    auto channel = Channel<>::create(name, {.mode = 0666});
    auto letters = Channel<>::create(dead, {.mode = 0666}).subscribe();
    auto member = channel.join("workers", {.ack = Ack::manual, .dead_letter = dead});
    ASSERT_TRUE(channel.producer().send("bad"));
    Child child([&] {
        become_nobody();
        auto foreign = Channel<>::open(name, {.allow_foreign_owner = true});
        auto worker = foreign.join("workers", {.ack = Ack::manual, .dead_letter = dead});
        require(static_cast<bool>(worker.try_receive().reject()), "rejected");
        require_error([&] { (void)redrive(dead); }, Errc::foreign_owner);
        require(redrive(dead, {.most = 1, .allow_foreign_owner = true}) == 1, "sent back");
        // Its own channel's dead letters go to none that it would not open.
        const ChannelName own("own");
        auto channel_of_its_own = Channel<>::create(own);
        require_error([&] { (void)channel_of_its_own.join("workers", {.dead_letter = dead}); },
                      Errc::foreign_owner);
    });
    const int result = child.wait();
    if (result == skipped) GTEST_SKIP() << "becoming another user needs root";
    EXPECT_EQ(result, 0);
    EXPECT_EQ(letters.try_receive().text(), "bad");
    EXPECT_EQ(member.try_receive().text(), "bad");
}

TEST(AnotherUser, WhoMayNotLockTheMemoryOfADurableGroupLeavesNoneBehind) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "sanitizers turn mlock into nothing";
#endif
    const ChannelName name;
    auto channel = Channel<>::create(name, {.mode = 0666});
    Child child([&] {
        become_nobody();
        auto own = Channel<>::open(name, {.allow_foreign_owner = true, .lock_memory = true});
        const rlimit nothing{};
        require(::setrlimit(RLIMIT_MEMLOCK, &nothing) == 0, "lowered");
        require_error([&] { (void)own.join("durable"); }, Errc::permission_denied);
        require_error([&] { (void)own.subscribe(); }, Errc::permission_denied);
    });
    const int result = child.wait();
    if (result == skipped) GTEST_SKIP() << "becoming another user needs root";
    EXPECT_EQ(result, 0);
    EXPECT_TRUE(inspect(name).groups.empty());
}

TEST(AnotherUser, WhoMayNotRemoveAChannelDoesNotEndItByTrying) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.mode = 0666});
    auto producer = channel.producer();
    auto subscriber = channel.subscribe();
    Child child([&] {
        become_nobody();
        require_error([&] { (void)remove(name); }, Errc::permission_denied);
    });
    const int result = child.wait();
    if (result == skipped) GTEST_SKIP() << "becoming another user needs root";
    EXPECT_EQ(result, 0);
    EXPECT_TRUE(exchange(producer, subscriber, "still there"));
    auto another = Channel<>::open(name);
}

TEST(ForeignOwner, IsRefusedUnlessAllowedAlsoByRoot) {
    const ChannelName name;
    Child child([&] {
        become_nobody();
        auto channel = Channel<>::create(name, {.mode = 0666});
        (void)channel.join("durable");
    });
    const int result = child.wait();
    if (result == skipped) GTEST_SKIP() << "becoming another user needs root";
    ASSERT_EQ(result, 0);
    const std::string what = what_of([&] { (void)Channel<>::open(name); }, Errc::foreign_owner);
    EXPECT_NE(what.find("65534"), std::string::npos) << what;
    EXPECT_NE(what.find("OpenOptions::allow_foreign_owner"), std::string::npos) << what;
    EXPECT_NE(what.find("--allow-foreign-owner"), std::string::npos) << what;
    EXPECT_NO_THROW(require_error([&] { (void)inspect(name); }, Errc::foreign_owner));
    auto channel = Channel<>::open(name, {.allow_foreign_owner = true});
    auto producer = channel.producer();
    auto subscriber = channel.subscribe();
    EXPECT_TRUE(exchange(producer, subscriber, "allowed"));
}

// ------------------------------------------------------------------------------ damaged objects

/// Whatever bears the name, each entry point gives an Error or works.
void try_everything(const std::string& name) {
    const std::function<void()> actions[] = {
        [&] { (void)inspect(name); },
        [&] { (void)Channel<>::open(name); },
        [&] { (void)Channel<>::open_or_create(name); },
        [&] { (void)Channel<>::create(name); },
        [&] { (void)Channel<int>::open(name); },
        [&] { (void)list(); },
    };
    for (const auto& action : actions) {
        try {
            action();
        } catch (const Error& error) {
            require(std::string(error.what()).find(name) != std::string::npos, error.what());
        }
    }
}

TEST(ForeignObject, OfAnyKindIsAnErrorAndNoCrash) {
    const std::vector<std::pair<const char*, std::function<void(const std::string&)>>> kinds = {
        {"empty",
         [](const std::string& path) { ::close(::open(path.c_str(), O_CREAT | O_WRONLY, 0600)); }},
        {"text",
         [](const std::string& path) {
             const int file = ::open(path.c_str(), O_CREAT | O_WRONLY, 0600);
             const std::string text(10'000, 'x');
             EXPECT_GT(::write(file, text.data(), text.size()), 0);
             ::close(file);
         }},
        {"large and empty",
         [](const std::string& path) {
             const int file = ::open(path.c_str(), O_CREAT | O_WRONLY, 0600);
             EXPECT_EQ(::ftruncate(file, 1 << 30), 0);
             ::close(file);
         }},
        {"directory", [](const std::string& path) { EXPECT_EQ(::mkdir(path.c_str(), 0700), 0); }},
        {"fifo", [](const std::string& path) { EXPECT_EQ(::mkfifo(path.c_str(), 0600), 0); }},
        {"link",
         [](const std::string& path) { EXPECT_EQ(::symlink("/etc/passwd", path.c_str()), 0); }},
        {"dangling link",
         [](const std::string& path) { EXPECT_EQ(::symlink("/nowhere", path.c_str()), 0); }},
        {"link to itself",
         [](const std::string& path) { EXPECT_EQ(::symlink(path.c_str(), path.c_str()), 0); }},
    };
    for (const auto& [kind, make] : kinds) {
        SCOPED_TRACE(kind);
        const ChannelName name;
        const std::string path = file_of(name);
        make(path);
        Child child([&] {
            ::alarm(30);
            try_everything(name);
            try {
                (void)inspect(name);
                require(false, "took it for a channel");
            } catch (const Error& error) {
                require(std::string_view(error.what()).ends_with("choose another name"),
                        "does not say what to do about it");
            }
        });
        EXPECT_EQ(child.wait(), 0);
        if (std::string(kind) == "directory") {
            EXPECT_EQ(::rmdir(path.c_str()), 0);
        } else {
            ::unlink(path.c_str());
        }
    }
}

/// A channel in the middle of its work: something of everything is in its tables.
class BusyChannel {
public:
    explicit BusyChannel(const std::string& name)
        : name_(name),
          channel_(Channel<>::create(
              name, {.capacity = 16, .region_size = 8192, .max_participants = 8, .max_groups = 4})),
          producer_(channel_.producer()),
          subscriber_(channel_.subscribe()),
          member_(channel_.join("workers", {.ack = Ack::manual, .max_attempts = 5})),
          lossy_(channel_.join("lossy", {.delivery = Delivery::lossy})) {
        for (int i = 0; i < 10; ++i) {
            (void)producer_.try_send(std::string(i % 2 == 0 ? 20U : 600U, 'x'));
            messages_.push_back(member_.try_receive());
            if (i % 3 == 0) (void)messages_.back().ack();
            if (i % 3 == 1) (void)messages_.back().nack(i == 4 ? 10s : 0s);
            if (i < 5) auto message = subscriber_.try_receive();
        }
    }
    /// Everything a participant does.
    void work() {
        for (int i = 0; i < 20; ++i) {
            (void)producer_.try_send(std::string(i % 2 == 0 ? 20U : 600U, 'y'));
            (void)subscriber_.try_receive();
            (void)lossy_.try_receive();
            auto message = member_.try_receive();
            if (message) (void)message.ack();
        }
        (void)producer_.send_for("z", 1ms);
        (void)member_.receive_for(1ms);
        (void)member_.receive_batch_for(4, 1ms);
        (void)subscriber_.receive_for(1ms);
        (void)lossy_.receive_for(1ms);
        for (Message<>& message : messages_)
            (void)message.ack();
    }
    /// Everything that changes the structure, and looks at it.
    void restructure() {
        const std::function<void()> actions[] = {
            [&] { (void)channel_.peek({}, 1000); },
            [&] { (void)inspect(name_); },
            [&] { (void)channel_.subscribe({.from = Start::earliest()}); },
            [&] { (void)channel_.join("new", {.from = Start::earliest()}); },
            [&] { (void)channel_.join("passing", {.lifetime = Lifetime::ephemeral}); },
            [&] { (void)channel_.producer(); },
            [&] { (void)channel_.purge("workers"); },
            [&] { channel_.remove_group("workers"); },
            [&] { (void)channel_.close(1ms); },
        };
        for (const auto& action : actions) {
            try {
                action();
            } catch (const Error&) {
            }
        }
    }

private:
    std::string name_;
    Channel<> channel_;
    Producer<> producer_;
    Consumer<> subscriber_;
    Consumer<> member_;
    Consumer<> lossy_;
    std::vector<Message<>> messages_;
};

/// The bytes of an object, to be changed behind the library's back.
class Surgeon {
public:
    explicit Surgeon(const std::string& channel) : file_(::open(file_of(channel).c_str(), O_RDWR)) {
        require(file_ >= 0, "opened the object");
    }
    ~Surgeon() { ::close(file_); }
    Surgeon(const Surgeon&) = delete;
    Surgeon& operator=(const Surgeon&) = delete;

    void flip(std::uint64_t bit) const {
        unsigned char byte = get(bit / 8);
        put(bit / 8, static_cast<unsigned char>(byte ^ 1U << bit % 8));
    }
    unsigned char get(std::uint64_t offset) const {
        unsigned char byte = 0;
        require(::pread(file_, &byte, 1, static_cast<off_t>(offset)) == 1, "read");
        return byte;
    }
    void put(std::uint64_t offset, unsigned char byte) const {
        require(::pwrite(file_, &byte, 1, static_cast<off_t>(offset)) == 1, "written");
    }

private:
    int file_;
};

struct Area {
    const char* what;
    std::uint64_t offset;
    std::uint64_t size;
};

/// What of a channel is in use, in bytes of its object.
std::vector<Area> areas_of(const std::string& name) {
    const auto memory = memory_of(name);
    const auto& layout = memory->layout();
    std::vector<Area> areas{{"header", 0, sizeof(format::Header)},
                            {"participants", layout.participants_offset,
                             memory->participants_used() * sizeof(format::Participant)}};
    for (unsigned i = 0; i < memory->groups_used(); ++i) {
        areas.push_back({"group", layout.groups_offset + i * layout.group_stride,
                         sizeof(format::Group) + 16 * layout.capacity});
    }
    areas.push_back({"slots", layout.data_offset, layout.capacity * layout.slot_size});
    return areas;
}

struct Flip {
    std::atomic<std::uint64_t> bit{0};
};

TEST(DamagedObject, WithAnySingleBitFlippedCanBeInspectedOrIsAnError) {
    const ChannelName name;
    const BusyChannel busy(name);
    const SharedValue<Flip> current;
    for (const Area& area : areas_of(name)) {
        Child child([&] {
            const Surgeon surgeon(name);
            for (std::uint64_t bit = 8 * area.offset; bit < 8 * (area.offset + area.size); ++bit) {
                current->bit = bit;
                ::alarm(10);
                surgeon.flip(bit);
                try {
                    (void)inspect(name);
                } catch (const Error&) {
                }
                if (bit < 8 * sizeof(format::Preamble)) try_everything(name);
                surgeon.flip(bit);
            }
        });
        EXPECT_EQ(child.wait(), 0) << area.what << ": bit " << current->bit % 8 << " of byte "
                                   << current->bit / 8 - area.offset << " of the area";
    }
    EXPECT_NO_THROW(inspect(name));
}

TEST(DamagedObject, WithManyRandomBytesCanBeInspectedOrIsAnError) {
    const Seed seed;
    const ChannelName name;
    const BusyChannel busy(name);
    const auto areas = areas_of(name);
    const SharedValue<Flip> current;
    Child child([&] {
        std::mt19937_64 random(seed.value);
        const Surgeon surgeon(name);
        for (int round = 0; round < 3000; ++round) {
            current->bit = static_cast<std::uint64_t>(round);
            ::alarm(10);
            std::vector<std::pair<std::uint64_t, unsigned char>> before;
            const std::uint64_t damages = 1 + random() % 40;
            for (std::uint64_t i = 0; i < damages; ++i) {
                const Area& area = areas[random() % areas.size()];
                // The preamble is nearly always refused: mostly leave it alone.
                std::uint64_t offset = area.offset + random() % area.size;
                if (offset < sizeof(format::Preamble) && random() % 50 != 0) offset += 512;
                before.emplace_back(offset, surgeon.get(offset));
                surgeon.put(offset,
                            static_cast<unsigned char>(random() % 3 == 0 ? 0xFF : random()));
            }
            try {
                (void)inspect(name);
            } catch (const Error&) {
            }
            for (std::size_t i = before.size(); i-- > 0;)
                surgeon.put(before[i].first, before[i].second);
        }
    });
    EXPECT_EQ(child.wait(), 0) << "round " << current->bit;
}

TEST(DamagedObject, TruncatedAnywhereIsAnError) {
    const ChannelName name;
    std::string whole;
    {
        const BusyChannel busy(name);
        const auto layout = memory_of(name)->layout();
        const int file = ::open(file_of(name).c_str(), O_RDONLY);
        whole.resize(layout.object_size);
        ASSERT_EQ(::pread(file, whole.data(), whole.size(), 0), static_cast<ssize_t>(whole.size()));
        ::close(file);
    }
    remove(name);
    std::vector<std::size_t> sizes{0, 1, 7, 8, 279, 280, 281, 1151, 1152, 4095, 4096, 4097};
    for (std::size_t size = 8192; size < whole.size(); size += std::size_t{37} * 4096)
        sizes.push_back(size);
    sizes.push_back(whole.size() - 1);
    for (const std::size_t size : sizes) {
        SCOPED_TRACE(size);
        const int file = ::open(file_of(name).c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
        ASSERT_EQ(::write(file, whole.data(), size), static_cast<ssize_t>(size));
        ::close(file);
        Child child([&] {
            ::alarm(30);
            require_error([&] { (void)Channel<>::open(name); }, Errc::corrupt);
            require_error([&] { (void)inspect(name); }, Errc::corrupt);
            try_everything(name);
        });
        ASSERT_EQ(child.wait(), 0);
    }
    EXPECT_TRUE(remove(name)) << "a damaged object can be removed";
}

/// The words that protocols act on, hit while participants are at work.
TEST(DamagedObject, WithABitOfItsProtocolWordsFlippedEndsNoParticipant) {
    std::vector<std::uint64_t> bits;
    {
        const ChannelName name;
        const BusyChannel busy(name);
        const auto memory = memory_of(name);
        const auto& layout = memory->layout();
        const auto add = [&](std::uint64_t offset, std::uint64_t size) {
            for (std::uint64_t bit = 8 * offset; bit < 8 * (offset + size); ++bit)
                bits.push_back(bit);
        };
        for (const std::uint64_t offset : {384U, 512U, 640U, 768U, 776U, 896U, 1024U, 1028U})
            add(offset, offset == 1024 || offset == 1028 ? 4 : 8);
        for (unsigned i = 0; i < 4; ++i) {
            const std::uint64_t entry =
                layout.participants_offset + i * sizeof(format::Participant);
            add(entry + 4, 8);     // state, role, group, incarnation
            add(entry + 168, 16);  // region head, leases held
        }
        for (unsigned i = 0; i < 3; ++i) {
            const std::uint64_t group = layout.groups_offset + i * layout.group_stride;
            add(group, 24);
            add(group + 384, 8);
            add(group + 512, 32);
            add(group + 640, 12);
            if (i == 1) add(group + sizeof(format::Group), 16);
        }
        for (const Position position : {0U, 9U, 10U}) {
            const std::uint64_t slot = format::slot_of(position, layout.capacity - 1);
            add(layout.data_offset + slot * layout.slot_size, 32);
        }
    }
    int failures = 0;
    for (const std::uint64_t bit : bits) {
        const ChannelName name;
        Child child([&] {
            ::alarm(10);
            {
                BusyChannel busy(name);
                Surgeon(name).flip(bit);
                try {
                    busy.work();
                } catch (const Error&) {
                }
                busy.restructure();
            }
            (void)remove(name);
        });
        const int result = child.wait();
        EXPECT_EQ(result, 0) << "byte " << bit / 8 << ", bit " << bit % 8
                             << (result == 128 + SIGALRM ? ": endless" : "");
        if (result != 0 && ++failures == 5) break;
    }
}

}
}
