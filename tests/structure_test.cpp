// Creation, attaching, leaving and removal, raced by many processes and killed at random instants.

#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "ipc/ipc.hpp"
#include "ipc/os/shared_object.hpp"
#include "ipc/protocol/lease.hpp"
#include "ipc/protocol/lifecycle.hpp"
#include "ipc/protocol/registry.hpp"
#include "tests/support/channel_name.hpp"
#include "tests/support/child.hpp"
#include "tests/support/own_directory.hpp"
#include "tests/support/seed.hpp"
#include "tests/support/shared_value.hpp"
#include "tests/support/torn.hpp"

namespace ipc::test {
namespace {

using namespace std::chrono_literals;

// One test removes all that is dead.
const OwnDirectory directory;

struct StartLine {
    std::atomic<bool> go{false};
    std::atomic<bool> stop{false};
    std::atomic<int> ready{0};
    std::atomic<int> done{0};
    std::atomic<std::uint64_t> channel_id{0};
};

/// Spins, so as to see it at once; false when that takes longer than any child does.
bool is_set_soon(const std::atomic<int>& flag) {
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (flag == 0) {
        if (std::chrono::steady_clock::now() > end) return false;
    }
    return true;
}

bool exists(const std::string& name) {
    const auto names = list();
    return std::find(names.begin(), names.end(), name) != names.end();
}

/// Both directions work, for somebody who comes now.
void expect_whole(const std::string& name) {
    auto channel = Channel<>::open(name);
    auto subscriber = channel.subscribe();
    auto member = channel.join("whole", {.lifetime = Lifetime::ephemeral});
    auto producer = channel.producer();
    ASSERT_TRUE(producer.send_for("whole", 15s));
    for (Consumer<>* reader : {&subscriber, &member}) {
        auto message = reader->receive_for(15s);
        ASSERT_TRUE(message);
        EXPECT_EQ(message.text(), "whole");
    }
    EXPECT_FALSE(inspect(name).removed);
}

/// Counts how often a file is opened.
class OpenWatch {
public:
    explicit OpenWatch(const std::string& path) : events_(::inotify_init1(IN_NONBLOCK)) {
        require(events_ >= 0 && ::inotify_add_watch(events_, path.c_str(), IN_OPEN) >= 0,
                "the file is watched");
    }
    ~OpenWatch() { ::close(events_); }
    OpenWatch(const OpenWatch&) = delete;
    OpenWatch& operator=(const OpenWatch&) = delete;

    int count() {
        inotify_event event{};
        while (::read(events_, &event, sizeof event) == sizeof event)
            ++count_;
        return count_;
    }

private:
    int events_;
    int count_ = 0;
};

TEST(Creation, RacedBySixteenMakesOneChannel) {
    for (int round = 0; round < 20; ++round) {
        SCOPED_TRACE(round);
        const ChannelName name;
        const SharedValue<StartLine> line;
        std::vector<Child> children;
        children.reserve(16);
        for (int i = 0; i < 16; ++i) {
            children.emplace_back([&, i] {
                line->ready += 1;
                while (!line->go)
                    std::this_thread::yield();
                if (i % 4 == 0) {
                    try {
                        auto channel = Channel<>::create(name, {.capacity = 64});
                        line->done += 1;
                    } catch (const Error& error) {
                        require(error.code() == Errc::already_exists, error.what());
                    }
                } else {
                    auto channel = Channel<>::open_or_create(name, {.capacity = 64});
                    const std::uint64_t id = memory_of(name)->preamble().channel_id;
                    std::uint64_t expected = 0;
                    if (!line->channel_id.compare_exchange_strong(expected, id)) {
                        require(expected == id, "two channels of one name");
                    }
                }
            });
        }
        ASSERT_TRUE(eventually([&] { return line->ready == 16; }));
        line->go = true;
        for (Child& child : children)
            EXPECT_EQ(child.wait(), 0);
        EXPECT_LE(line->done, 1);
        expect_whole(name);
    }
}

TEST(Creation, RacedBySixteenAndKilledAtRandomLeavesNoChannelOrAWholeOne) {
    const Seed seed;
    std::mt19937_64 random(seed.value);
    int whole = 0;
    const int rounds = 60;
    for (int round = 0; round < rounds; ++round) {
        SCOPED_TRACE(round);
        const ChannelName name;
        const SharedValue<StartLine> line;
        std::vector<Child> children;
        children.reserve(16);
        for (int i = 0; i < 16; ++i) {
            children.emplace_back([&] {
                line->ready += 1;
                while (!line->go)
                    std::this_thread::yield();
                auto channel = Channel<>::open_or_create(name, {.capacity = 256});
                auto producer = channel.producer();
                wait_for_the_end();
            });
        }
        ASSERT_TRUE(eventually([&] { return line->ready == 16; }));
        line->go = true;
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
        const std::size_t first = random() % 16;
        for (std::size_t i = 0; i < 16; ++i) {
            Child& child = children[(first + 7 * i) % 16];
            ASSERT_TRUE(child.is_running()) << "it failed";
            ::kill(child.pid(), SIGKILL);
            if (random() % 2 == 0) {
                std::this_thread::sleep_for(std::chrono::microseconds(random() % 300));
            }
        }
        for (Child& child : children)
            child.wait();
        if (exists(name)) {
            ++whole;
            EXPECT_NO_THROW(inspect(name));
        } else {
            EXPECT_THROW(Channel<>::open(name), Error);
            auto channel = Channel<>::create(name, {.capacity = 256});
        }
        expect_whole(name);
    }
    RecordProperty("rounds_with_a_channel", whole);
}

TEST(Creation, KilledAtAnyMomentLeavesNoChannelOrAWholeOne) {
    const Seed seed;
    std::mt19937_64 random(seed.value);
    for (int round = 0; round < 150; ++round) {
        SCOPED_TRACE(round);
        const ChannelName name;
        const SharedValue<StartLine> line;
        Child child([&] {
            line->ready = 1;
            auto channel = Channel<>::create(name, {.capacity = 4096});
            wait_for_the_end();
        });
        ASSERT_TRUE(is_set_soon(line->ready));
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 1500));
        child.kill();
        if (exists(name)) {
            expect_whole(name);
        } else {
            EXPECT_THROW(Channel<>::open(name), Error);
        }
    }
}

TEST(Storm, OfAttachingAndLeavingAndKillsLeavesTheChannelWhole) {
    const Seed seed;
    std::mt19937_64 random(seed.value);
    const ChannelName name;
    const SharedValue<StartLine> line;
    auto channel = Channel<>::create(
        name, {.capacity = 16, .region_size = 8192, .max_participants = 24, .max_groups = 20});
    const auto storm = [&](std::uint64_t own_seed) {
        std::mt19937_64 own(own_seed);
        auto mine = Channel<>::open(name);
        while (!line->stop) {
            switch (own() % 6) {
                case 0: (void)mine.producer().try_send(std::string(own() % 3000, 'x')); break;
                case 1: {
                    auto member = mine.join("durable", {.ack = Ack::manual});
                    auto message = member.try_receive();
                    if (message) (void)message.ack();
                    break;
                }
                case 2: {
                    auto member = mine.join("passing", {.lifetime = Lifetime::ephemeral});
                    for (int i = 0; i < 20; ++i)
                        auto message = member.try_receive();
                    break;
                }
                case 3: {
                    auto subscriber = mine.subscribe({.from = Start::earliest()});
                    for (int i = 0; i < 20; ++i)
                        auto message = subscriber.try_receive();
                    break;
                }
                case 4: {
                    auto lossy = mine.join("lossy", {.delivery = Delivery::lossy});
                    auto message = lossy.try_receive();
                    break;
                }
                default: {
                    try {
                        mine.remove_group("passing");
                    } catch (const Error& error) {
                        require(error.code() == Errc::not_found, error.what());
                    }
                }
            }
            line->done += 1;
        }
    };
    std::vector<Child> children;
    for (int i = 0; i < 6; ++i)
        children.emplace_back([&, own = random()] { storm(own); });
    for (int i = 0; i < 300; ++i) {
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 5000));
        const std::size_t chosen = random() % children.size();
        ASSERT_TRUE(children[chosen].is_running()) << "a process failed";
        children[chosen].kill();
        std::vector<Child> rest;
        for (std::size_t k = 0; k < children.size(); ++k) {
            if (k != chosen) rest.push_back(std::move(children[k]));
        }
        children = std::move(rest);
        children.emplace_back([&, own = random()] { storm(own); });
        EXPECT_NO_THROW(inspect(name));
    }
    line->stop = true;
    for (Child& child : children)
        EXPECT_EQ(child.wait(), 0);
    EXPECT_GT(line->done, 100);

    // All entries are to be had again, and nothing of the dead gates.
    {
        std::vector<Producer<>> producers;
        for (int i = 0; i < 24; ++i)
            producers.push_back(channel.producer());
        EXPECT_THROW(channel.producer(), Error);
    }
    auto durable = channel.join("durable", {.ack = Ack::manual});
    const auto drain = [&] {
        while (auto message = durable.receive_for(100ms))
            EXPECT_TRUE(message.ack());
    };
    drain();
    const auto report = inspect(name);
    EXPECT_EQ(report.participants.size(), 1U);
    EXPECT_EQ(report.find_group("passing"), nullptr);
    EXPECT_EQ(report.find_group("durable")->settled_below, report.tail);
    for (const GroupReport& group : report.groups)
        EXPECT_FALSE(group.subscriber);
    for (int i = 0; i < 3; ++i) {
        expect_whole(name);
        drain();
    }
}

TEST(RegistryLock, DiesWithItsHolder) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    const SharedValue<StartLine> line;
    Child holder([&] {
        auto memory = memory_of(name);
        const auto lock = protocol::RegistryLock::take(*memory);
        line->ready = 1;
        wait_for_the_end();
    });
    ASSERT_TRUE(eventually([&] { return line->ready == 1; }));
    EXPECT_TRUE(memory_of(name)->registry_is_locked());
    std::thread killer([&] {
        std::this_thread::sleep_for(100ms);
        ::kill(holder.pid(), SIGKILL);
    });
    const auto start = std::chrono::steady_clock::now();
    expect_whole(name);
    const auto waited = std::chrono::steady_clock::now() - start;
    killer.join();
    EXPECT_GE(waited, 50ms);
    EXPECT_LT(waited, 5s);
}

TEST(RegistryLock, HeldByAStoppedProcessIsAnErrorAfterItsDeadlineAndTrafficGoesOn) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto producer = channel.producer();
    auto member = channel.join("workers");
    const SharedValue<StartLine> line;
    Child holder([&] {
        auto memory = memory_of(name);
        const auto lock = protocol::RegistryLock::take(*memory);
        line->ready = 1;
        wait_for_the_end();
    });
    ASSERT_TRUE(eventually([&] { return line->ready == 1; }));
    holder.stop();
    for (int i = 0; i < 2000; ++i) {
        ASSERT_TRUE(producer.send_for("on", 5s));
        ASSERT_TRUE(member.receive_for(5s));
    }
    EXPECT_NO_THROW(inspect(name));
    try {
        auto refused = channel.subscribe();
        FAIL() << "the registry is held";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Errc::timed_out) << error.what();
    }
    holder.kill();
    expect_whole(name);
}

TEST(Removal, RacingOpenAttachAndTrafficGivesEitherAWorkingHandleOrAnError) {
    const Seed seed;
    const ChannelName name;
    const SharedValue<StartLine> line;
    std::vector<Child> children;
    for (int i = 0; i < 4; ++i) {
        children.emplace_back([&, i] {
            std::mt19937_64 own(seed.value + static_cast<std::uint64_t>(i));
            while (!line->stop) {
                try {
                    auto channel = Channel<>::open_or_create(name, {.capacity = 8});
                    auto subscriber = channel.subscribe();
                    auto producer = channel.producer();
                    for (int k = 0; k < 20; ++k) {
                        const auto sent = producer.send_for("x", 1ms);
                        auto message = subscriber.receive_for(1ms);
                        const bool ended =
                            sent.status() == Status::removed || message.status() == Status::removed;
                        if (ended) break;
                        if (message) require(message.text() == "x", "an own message");
                    }
                    line->done += 1;
                } catch (const Error& error) {
                    require(error.code() == Errc::removed, error.what());
                }
            }
        });
    }
    int removed = 0;
    std::mt19937_64 random(seed.value);
    for (int i = 0; i < 300; ++i) {
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
        if (remove(name)) ++removed;
    }
    line->stop = true;
    for (Child& child : children)
        EXPECT_EQ(child.wait(), 0);
    EXPECT_GT(removed, 50);
    EXPECT_GT(line->done, 10);
    remove(name);
    EXPECT_FALSE(exists(name));
}

TEST(Removal, KilledAtRandomLeavesNoChannelOrAWholeOne) {
    const Seed seed;
    std::mt19937_64 random(seed.value);
    for (int round = 0; round < 150; ++round) {
        SCOPED_TRACE(round);
        const ChannelName name;
        auto channel = Channel<>::create(name);
        const SharedValue<StartLine> line;
        Child remover([&] {
            line->ready = 1;
            (void)remove(name);
            wait_for_the_end();
        });
        ASSERT_TRUE(is_set_soon(line->ready));
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 250));
        remover.kill();
        auto again = Channel<>::open_or_create(name);
        expect_whole(name);
    }
}

TEST(Removal, OfADamagedObjectSparesAChannelThatTakesItsNameMeanwhile) {
    const ChannelName name;
    const std::string file = "ipc." + name.str();
    { auto channel = Channel<>::create(name); }
    const auto damaged = memory_of(name);
    damaged->header().preamble.layout = {};
    // Another is about to remove it.
    auto lock = protocol::RegistryLock::take(*damaged);
    OpenWatch opens(os::shared_memory_directory() + "/" + file);
    std::atomic<bool> has_returned{false};
    bool has_removed = true;
    std::thread remover([&] {
        has_removed = remove(name);
        has_returned = true;
    });
    // Once to look at it; again only when it was found to be no channel.
    EXPECT_TRUE(eventually([&] { return opens.count() >= 2 || has_returned; }));
    EXPECT_FALSE(has_returned) << "did not wait for the other";
    os::unlink_object(file);
    auto channel = Channel<>::create(name);
    { const auto given_up = std::move(lock); }
    remover.join();
    EXPECT_FALSE(has_removed) << "somebody else removed it";
    expect_whole(name);
}

TEST(Removal, ThatDiedBeforeItToldAnybodyIsFoundOutByThoseWhoWait) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 2});
    { auto group = channel.join("full"); }
    const auto told = [&](const std::function<Status()>& wait) {
        Status status = Status::ok;
        while (status == Status::ok)
            status = wait();
        require(status == Status::removed, "told that it was removed");
    };
    Child producer([&] {
        auto own = Channel<>::open(name).producer();
        told([&] { return own.send("x").status(); });
    });
    Child subscriber([&] {
        auto own = Channel<>::open(name).subscribe();
        told([&] { return own.receive().status(); });
    });
    Child member([&] {
        auto own = Channel<>::open(name).join("empty");
        told([&] { return own.receive().status(); });
    });
    for (const Child* child : {&producer, &subscriber, &member}) {
        ASSERT_TRUE(eventually([&] { return is_parked(name, child->pid()); }));
    }
    Child remover([&] {
        auto memory = memory_of(name);
        const auto lock = protocol::RegistryLock::take(*memory);
        require(os::unlink_object(protocol::object_name(name)), "took the name away");
        die();
    });
    ASSERT_EQ(remover.wait(), 128 + SIGKILL);
    for (Child* child : {&producer, &subscriber, &member}) {
        EXPECT_TRUE(eventually([&] { return !child->is_running(); }, 15));
    }
    auto again = Channel<>::create(name);
    expect_whole(name);
}

TEST(Removal, ThatDiedBeforeItToldAnybodyIsFoundOutByThoseWhoNeverSleep) {
    const ParticipantOptions spinning{.wait_policy = WaitPolicy::spinning()};
    using Attached = std::function<void()>;
    using Use = std::function<Status(Channel<>&, const Attached&)>;
    // Returns what ended it.
    const auto repeat = [](const std::function<Status()>& once) {
        for (;;) {
            const Status status = once();
            if (status == Status::removed || status == Status::closed) return status;
        }
    };
    const std::vector<Use> uses{
        [&](Channel<>& channel, const Attached& attached) {
            auto subscriber = channel.subscribe({.participant = spinning});
            attached();
            return subscriber.receive().status();
        },
        [&](Channel<>& channel,
            const Attached& attached) {  // in waits that are too short for looking after the dead
            auto subscriber = channel.subscribe({.participant = spinning});
            attached();
            return repeat([&] { return subscriber.receive_for(1ms).status(); });
        },
        [&](Channel<>& channel, const Attached& attached) {
            auto producer = channel.producer(spinning);
            attached();
            return repeat([&] { return producer.send("x").status(); });
        },
        [&](Channel<>& channel, const Attached& attached) {
            auto producer = channel.producer(spinning);
            attached();
            return repeat([&] { return producer.try_send("x").status(); });
        },
        [&](Channel<>& channel, const Attached& attached) {
            auto member = channel.join("empty");
            attached();
            return repeat([&] { return member.try_receive().status(); });
        },
    };
    // Each alone with its channel: who finds out tells the others.
    const std::vector<ChannelName> names(uses.size());
    const SharedValue<std::array<std::atomic<bool>, 5>> attached;
    ASSERT_EQ(attached->size(), uses.size());
    std::vector<Child> children;
    children.reserve(uses.size());
    for (std::size_t i = 0; i < uses.size(); ++i) {
        auto channel = Channel<>::create(names[i], {.capacity = 2});
        { auto group = channel.join("full"); }
        children.emplace_back([&, i] {
            auto own = Channel<>::open(names[i]);
            require(uses[i](own, [&] { attached->at(i) = true; }) == Status::removed,
                    "told that it was removed");
        });
    }
    for (std::size_t i = 0; i < uses.size(); ++i) {
        ASSERT_TRUE(eventually([&] { return attached->at(i).load(); }));
        ASSERT_TRUE(os::unlink_object(protocol::object_name(names[i])));
    }
    for (std::size_t i = 0; i < uses.size(); ++i) {
        ASSERT_TRUE(eventually([&] { return !children[i].is_running(); }, 15)) << i;
        EXPECT_EQ(children[i].wait(), 0) << i;
    }
}

// A producer or sentinel read the group's status, was stopped, and goes on now.
TEST(Groups, MarkOfASubscriberInAFormerGroupsEntryIsMovedByNobodyWhoMeansThat) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 64});
    auto producer = channel.producer();
    const auto memory = memory_of(name);
    const auto& group = memory->group(0);
    format::GroupStatus former{};
    {
        auto worker = channel.join("workers", {.lifetime = Lifetime::ephemeral});
        former = {group.status.load()};
        for (int i = 0; i < 10; ++i) {
            ASSERT_TRUE(producer.send("text"));
            ASSERT_TRUE(worker.try_receive().ack());
        }
    }
    auto subscriber = channel.subscribe({.from = Start::earliest()});
    ASSERT_EQ(group.low_water_mark(std::memory_order_acquire), 0U);
    EXPECT_FALSE(protocol::advance_low_water(*memory, 0, former));
    EXPECT_EQ(group.low_water_mark(std::memory_order_acquire), 0U);
    for (int i = 0; i < 10; ++i)
        EXPECT_EQ(subscriber.try_receive().text(), "text");
}

TEST(Removal, WakesEverybodyWhoWaits) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 2});
    { auto group = channel.join("full", {.from = Start::earliest()}); }
    { auto group = channel.join("empty"); }
    Child producer([&] {
        auto own = Channel<>::open(name).producer();
        Status status = Status::ok;
        while (status == Status::ok)
            status = own.send("x").status();
        require(status == Status::removed, "told so");
    });
    Child subscriber([&] {
        auto own = Channel<>::open(name).subscribe();
        for (;;) {
            auto message = own.receive();
            if (message) continue;
            require(message.status() == Status::removed, "told so");
            break;
        }
    });
    Child member([&] {
        auto own = Channel<>::open(name).join("empty");
        for (;;) {
            auto message = own.receive();
            if (message) continue;
            require(message.status() == Status::removed, "told so");
            break;
        }
    });
    for (const Child* child : {&producer, &subscriber, &member}) {
        ASSERT_TRUE(eventually([&] { return is_parked(name, child->pid()); }));
    }
    EXPECT_TRUE(remove(name));
    const auto start = std::chrono::steady_clock::now();
    for (Child* child : {&producer, &subscriber, &member}) {
        ASSERT_TRUE(eventually([&] { return !child->is_running(); }));
        EXPECT_EQ(child->wait(), 0);
    }
    EXPECT_LT(std::chrono::steady_clock::now() - start, 2s);
}

TEST(TemporaryChannel, GoesWithItsLastParticipantAlsoWhenThatDies) {
    const ChannelName name;
    {
        auto channel = Channel<>::create(name, {.temporary = true});
        auto producer = channel.producer();
        { auto subscriber = channel.subscribe(); }
        EXPECT_TRUE(exists(name));
    }
    EXPECT_FALSE(exists(name));

    Child child([&] {
        auto channel = Channel<>::create(name, {.capacity = 8, .temporary = true});
        auto producer = channel.producer();
        auto member = channel.join("workers");
        (void)producer.send("of the dead");
        die();
    });
    ASSERT_EQ(child.wait(), 128 + SIGKILL);
    EXPECT_THROW(Channel<>::open(name), Error) << "it went with the dead";
    auto fresh = Channel<>::open_or_create(name, {.capacity = 16, .temporary = true});
    auto reader = fresh.subscribe({.from = Start::earliest()});
    EXPECT_EQ(reader.try_receive().status(), Status::empty);
}

TEST(TemporaryChannel, OfTheDeadDoesNotPreventANewOneOfThatName) {
    for (const bool create : {true, false}) {
        const ChannelName name;
        Child child([&] {
            auto channel = Channel<>::create(name, {.capacity = 8, .temporary = true});
            auto member = channel.join("workers");
            die();
        });
        ASSERT_EQ(child.wait(), 128 + SIGKILL);
        // Other options than those of the dead one.
        auto fresh = create ? Channel<>::create(name, {.capacity = 32})
                            : Channel<>::open_or_create(name, {.capacity = 32});
        EXPECT_EQ(fresh.capacity(), 32U);
        expect_whole(name);
    }
}

TEST(TemporaryChannel, StaysWhileAnybodyAliveUsesIt) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.temporary = true});
    auto producer = channel.producer();
    for (int i = 0; i < 20; ++i) {
        Child child([&] {
            auto subscriber = Channel<>::open(name).subscribe();
            if (i % 2 == 0) die();
        });
        child.wait();
    }
    EXPECT_TRUE(exists(name));
    expect_whole(name);
}

TEST(RemoveDead, ClearsWhatNobodyAliveUsesAndNothingDurableNeeds) {
    const ChannelName dead("dead");
    const ChannelName durable("durable");
    const ChannelName alive("alive");
    const ChannelName fresh("fresh");
    const ChannelName temporary("temporary");
    Child child([&] {
        auto one = Channel<>::create(dead);
        auto producer = one.producer();
        auto subscriber = one.subscribe();
        auto member = one.join("passing", {.lifetime = Lifetime::ephemeral});
        auto two = Channel<>::create(durable).join("durable");
        auto three = Channel<>::create(temporary, {.temporary = true}).join("durable");
        auto four = Channel<>::create(alive);
        auto five = four.producer();
        die();
    });
    ASSERT_EQ(child.wait(), 128 + SIGKILL);
    auto user = Channel<>::open(alive).subscribe();
    auto nobody_yet = Channel<>::create(fresh);
    const auto removed = remove_dead();
    const auto was_removed = [&](const std::string& name) {
        return std::find(removed.begin(), removed.end(), name) != removed.end();
    };
    EXPECT_TRUE(was_removed(dead));
    EXPECT_FALSE(exists(dead));
    EXPECT_FALSE(was_removed(durable));
    EXPECT_FALSE(was_removed(alive));
    EXPECT_FALSE(was_removed(fresh)) << "it may be used any moment";
    EXPECT_FALSE(exists(temporary)) << "a temporary channel went with its last participant";
    expect_whole(durable);
    expect_whole(alive);
    expect_whole(fresh);
}

}
}
