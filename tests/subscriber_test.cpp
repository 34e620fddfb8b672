// Subscribers: what a reliable and a lossy one see, and what the ring retains.

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "ipc/ipc.hpp"
#include "tests/support/channel_name.hpp"
#include "tests/support/child.hpp"
#include "tests/support/torn.hpp"

namespace ipc::test {
namespace {

using namespace std::chrono_literals;

std::string body(Position position, std::size_t size = 16) {
    std::string text = std::to_string(position) + ":";
    while (text.size() < size)
        text += static_cast<char>('a' + (position + text.size()) % 26);
    return text;
}

void send_to(Producer<>& producer, Position from, Position end, std::size_t size = 16) {
    for (Position i = from; i < end; ++i)
        ASSERT_TRUE(producer.try_send(body(i, size))) << i;
}

const SubscribeOptions lossy{.delivery = Delivery::lossy};

// ------------------------------------------------------------------------------------- reliable

TEST(Subscriber, SeesEveryMessageOnceInOrderAndHoldsProducersBack) {
    for (const std::uint32_t capacity : {1U, 2U, 16U}) {
        SCOPED_TRACE(capacity);
        const ChannelName name;
        auto channel = Channel<>::create(name, {.capacity = capacity});
        auto quick = channel.subscribe();
        auto slow = channel.subscribe();
        auto producer = channel.producer();
        send_to(producer, 0, capacity);
        for (Position i = 0; i < 100; ++i) {
            EXPECT_EQ(producer.try_send("over").status(), Status::full);
            ASSERT_EQ(quick.try_receive().text(), body(i));
            EXPECT_EQ(producer.try_send("over").status(), Status::full);
            auto message = slow.try_receive();
            ASSERT_EQ(message.text(), body(i));
            EXPECT_EQ(message.attempt(), 1U);
            EXPECT_EQ(producer.try_send("over").status(), Status::full);  // still held
            message.release();
            send_to(producer, i + capacity, i + capacity + 1);
        }
        EXPECT_EQ(quick.skipped() + slow.skipped(), 0U);
    }
}

TEST(Subscriber, NoLongerHoldsProducersBackWhenItEnds) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 4});
    auto producer = channel.producer({.wait_policy = WaitPolicy::parking()});
    auto subscriber = std::make_unique<Consumer<>>(channel.subscribe());
    send_to(producer, 0, 4);
    EXPECT_EQ(producer.try_send("x").status(), Status::full);
    std::thread sending([&] { EXPECT_TRUE(producer.send_for("x", 20s)); });
    EXPECT_TRUE(eventually(
        [&] { return inspect(name).participants.at(0).activity == Activity::waiting_for_room; }));
    subscriber.reset();
    sending.join();
    EXPECT_TRUE(inspect(name).groups.empty());
}

TEST(Subscriber, MayReleaseMessagesInAnyOrder) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 8});
    auto subscriber = channel.subscribe();
    auto producer = channel.producer();
    Position next = 0;
    Position read = 0;
    std::vector<Message<>> held;
    unsigned random = 1;
    for (int turn = 0; turn < 3000; ++turn) {
        random = random * 1664525 + 1013904223;
        while (producer.try_send(body(next)))
            ++next;
        ASSERT_LE(next, (held.empty() ? read : held.front().position()) + 8 + 1);
        if (held.size() < 8) {
            auto message = subscriber.try_receive();
            if (message) {
                ASSERT_EQ(message.position(), read++);
                held.push_back(std::move(message));
            }
        }
        for (const auto& message : held)
            ASSERT_EQ(message.text(), body(message.position()));
        if (!held.empty() && (random >> 16) % 3 != 0) {
            held.erase(held.begin() + static_cast<std::ptrdiff_t>((random >> 20) % held.size()));
        }
    }
    EXPECT_GT(read, 1000U);
}

TEST(Subscriber, AHeldMessageStaysWholeWhileLaterOnesAreReleased) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 4, .region_size = 8192});
    auto subscriber = channel.subscribe();
    auto producer = channel.producer();
    ASSERT_TRUE(producer.send(body(0, 2000)));
    auto first = subscriber.receive();
    for (Position i = 1; i < 4; ++i) {
        ASSERT_TRUE(producer.send(body(i, 2000)));
        EXPECT_EQ(subscriber.receive().text(), body(i, 2000));
    }
    EXPECT_EQ(producer.try_send("slot").status(), Status::full);
    EXPECT_EQ(producer.try_send(body(9, 2000)).status(), Status::full);
    EXPECT_EQ(first.text(), body(0, 2000));
    first.release();
    for (Position i = 4; i < 8; ++i)
        EXPECT_TRUE(producer.try_send(body(i, 2000)));
}

TEST(Subscriber, AMessageOutlivesItsHandle) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 2});
    auto producer = channel.producer();
    auto message = [&] {
        auto subscriber = channel.subscribe();
        send_to(producer, 0, 1);
        return subscriber.receive();
    }();
    send_to(producer, 1, 2);
    EXPECT_EQ(producer.try_send("over").status(), Status::full);
    EXPECT_EQ(message.text(), body(0));
    message.release();
    EXPECT_TRUE(producer.try_send("room"));
    EXPECT_TRUE(inspect(name).groups.empty());
}

TEST(Subscriber, ReleasedLargeMessagesMakeRoomWithoutAnotherReceive) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 1024, .region_size = 8192});
    auto subscriber = channel.subscribe();
    auto producer = channel.producer();
    for (Position i = 0; i < 10; ++i) {
        ASSERT_TRUE(producer.send_for(body(i, 5000), 2s))
            << "nobody holds any message, round " << i;
        ASSERT_EQ(subscriber.try_receive().text(), body(i, 5000));
    }
}

TEST(Subscriber, HasNoLeases) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto subscriber = channel.subscribe();
    auto producer = channel.producer();
    send_to(producer, 0, 2);
    auto message = subscriber.receive();
    EXPECT_EQ(message.nack().status(), Status::not_leased);
    EXPECT_EQ(message.reject().status(), Status::not_leased);
    EXPECT_EQ(message.renew().status(), Status::not_leased);
    EXPECT_EQ(message.text(), body(0));
    EXPECT_TRUE(message.intact());
    EXPECT_TRUE(message.ack());
    EXPECT_EQ(subscriber.try_peek().status(), Status::not_leased);
    EXPECT_EQ(subscriber.receive().text(), body(1));
}

TEST(Subscriber, BatchesAreInOrderAndLimited) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 16});
    auto subscriber = channel.subscribe();
    auto loose = channel.subscribe(lossy);
    auto producer = channel.producer();
    send_to(producer, 0, 10);
    for (auto* reader : {&subscriber, &loose}) {
        EXPECT_TRUE(reader->receive_batch(0).empty());
        Position next = 0;
        for (const std::size_t most : {4U, 100U}) {
            auto batch = reader->receive_batch(most);
            EXPECT_EQ(batch.size(), next == 0 ? 4U : 6U);
            for (auto& message : batch) {
                EXPECT_EQ(message.position(), next);
                EXPECT_EQ(message.text(), body(next++));
            }
        }
        EXPECT_EQ(reader->try_receive_batch(1).status(), Status::empty);
    }
}

TEST(Subscriber, ABatchAskedToTakeAllThereIsTakesAllThereIs) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 16});
    auto subscriber = channel.subscribe();
    auto loose = channel.subscribe(lossy);
    auto member = channel.join("group");
    auto producer = channel.producer();
    send_to(producer, 0, 10);
    for (auto* reader : {&subscriber, &loose, &member})
        EXPECT_EQ(reader->receive_batch(std::numeric_limits<std::size_t>::max()).size(), 10U);
}

TEST(Subscriber, ABatchHoldsProducersBackUntilItEnds) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 16});
    auto subscriber = channel.subscribe();
    auto producer = channel.producer();
    for (Position start = 0; start < 160; start += 16) {
        send_to(producer, start, start + 16);
        auto batch = subscriber.receive_batch(16);
        ASSERT_EQ(batch.size(), 16U);
        auto moved = std::move(batch);
        EXPECT_EQ(producer.try_send("over").status(), Status::full);
        EXPECT_EQ(moved.begin()->text(), body(start));
    }
    const ChannelReport report = inspect(name);
    ASSERT_EQ(report.participants.size(), 2U);
    EXPECT_EQ(report.participants[0].messages, 160U);
    EXPECT_EQ(report.participants[1].messages, 160U);
}

TEST(Subscriber, AMessageKeptFromABatchStaysWholeWhenTheOthersEnd) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 16});
    auto subscriber = channel.subscribe();
    auto producer = channel.producer();
    for (Position start = 0; start < 160; start += 16) {
        send_to(producer, start, start + 16);
        std::optional<Message<>> kept;
        {
            auto batch = subscriber.receive_batch(16);
            ASSERT_EQ(batch.size(), 16U);
            for (auto& message : batch) {
                const Position position = message.position();
                if (position == start + 9) {
                    EXPECT_TRUE(message.ack());
                }
                if (position == start + 5) kept = std::move(message);
            }
        }
        send_to(producer, start + 16, start + 21);
        EXPECT_EQ(producer.try_send("over").status(), Status::full);
        EXPECT_EQ(kept->text(), body(start + 5));
        kept.reset();
        auto rest = subscriber.receive_batch(16);
        EXPECT_EQ(rest.size(), 5U);
        start += 5;
    }
}

// So that a usual batch stays within the sizes that an allocator is quick with.
static_assert(sizeof(Message<>) == 64);

TEST(Subscriber, ABatchEndsWhenAnotherIsAssignedToIt) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 16});
    auto subscriber = channel.subscribe();
    auto producer = channel.producer();
    send_to(producer, 0, 16);
    auto current = subscriber.receive_batch(16);
    auto next = subscriber.try_receive_batch(16);
    current = std::move(next);
    EXPECT_TRUE(current.empty());
    send_to(producer, 16, 32);
    next = subscriber.receive_batch(16);
    EXPECT_EQ(next.size(), 16U);
}

TEST(Subscriber, ABatchOutlivesItsHandle) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 16});
    auto subscriber = std::make_unique<Consumer<>>(channel.subscribe());
    auto producer = channel.producer();
    send_to(producer, 0, 16);
    {
        auto batch = subscriber->receive_batch(16);
        subscriber.reset();
        EXPECT_EQ(producer.try_send("over").status(), Status::full);
        Position next = 0;
        for (auto& message : batch)
            EXPECT_EQ(message.text(), body(next++));
    }
    send_to(producer, 16, 100);
}

// What a program swaps into a batch belongs to another reader, maybe of another kind.
TEST(Subscriber, MessagesOfOtherReadersEndWithABatchAsTheyWouldOnTheirOwn) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 16});
    auto one = channel.subscribe();
    auto other = channel.subscribe();
    auto loose = channel.subscribe(lossy);
    auto member = channel.join("group");
    auto producer = channel.producer();
    for (Position start = 0; start < 96; start += 16) {
        send_to(producer, start, start + 16);
        auto ones = one.receive_batch(16);
        auto others = other.receive_batch(16);
        auto members = member.receive_batch(16);
        {
            auto first = ones.begin();
            std::swap(*first, *others.begin());
            *++first = loose.try_peek();
            auto each = members.begin();
            *++first = std::move(*each);
            while (++each != members.end()) {  // handed out, and so acknowledged when they end
            }
        }
        { const auto ended = std::move(start % 32 == 0 ? ones : others); }
        EXPECT_EQ(producer.try_send("over").status(), Status::full);
    }
    send_to(producer, 96, 112);
}

// -------------------------------------------------------------------------------------- starting

TEST(SubscriberStart, LatestEarliestAndAPosition) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 64});
    auto producer = channel.producer();
    send_to(producer, 0, 30);
    for (const Delivery delivery : {Delivery::reliable, Delivery::lossy}) {
        auto latest = channel.subscribe({.delivery = delivery});
        EXPECT_EQ(latest.position(), 30U);
        EXPECT_EQ(latest.try_receive().status(), Status::empty);
        auto earliest = channel.subscribe({.delivery = delivery, .from = Start::earliest()});
        auto at = channel.subscribe({.delivery = delivery, .from = Start::at(7)});
        for (Position i = 0; i < 30; ++i) {
            EXPECT_EQ(earliest.try_receive().text(), body(i));
            if (i >= 7) {
                EXPECT_EQ(at.try_receive().text(), body(i));
            }
        }
        EXPECT_EQ(at.try_receive().status(), Status::empty);
        EXPECT_EQ(latest.skipped() + earliest.skipped() + at.skipped(), 0U);
    }
}

TEST(SubscriberStart, APositionThatIsGoneStartsAtTheOldestAndSaysHowManyWereMissed) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 32});
    auto producer = channel.producer();
    send_to(producer, 0, 500);
    const Position oldest = inspect(name).oldest_retained;
    for (const Delivery delivery : {Delivery::reliable, Delivery::lossy}) {
        auto reader = channel.subscribe({.delivery = delivery, .from = Start::at(10)});
        EXPECT_EQ(reader.skipped(), oldest - 10);
        EXPECT_EQ(reader.try_receive().text(), body(oldest));
    }
}

TEST(SubscriberStart, APositionThatNoMessageHasYetStartsAfterTheNewestHoweverFarItIs) {
    const Position end = ~Position{0};
    for (const Position first : {Position{0}, Position{7}, end / 2 - 3, end / 2 + 9, end - 20}) {
        SCOPED_TRACE(first);
        const ChannelName name;
        auto channel = Channel<>::create(name, {.capacity = 16, .first_position = first});
        auto producer = channel.producer();
        send_to(producer, 0, 40);
        const Position tail = first + 40;
        for (const Delivery delivery : {Delivery::reliable, Delivery::lossy}) {
            for (const Position beyond :
                 {Position{0}, Position{1}, Position{1} << 44, end / 2 - 40}) {
                auto reader =
                    channel.subscribe({.delivery = delivery, .from = Start::at(tail + beyond)});
                EXPECT_EQ(reader.position(), tail) << beyond;
                EXPECT_EQ(reader.skipped(), 0U) << beyond;
            }
        }
    }
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 16});
    auto producer = channel.producer();
    send_to(producer, 0, 40);
    for (const Position far : {end, end - 1, end / 2 + 1, end / 2 + 41, end / 2 + 42}) {
        auto reader = channel.subscribe({.from = Start::at(far)});
        EXPECT_EQ(reader.position(), 40U) << far;
        EXPECT_EQ(reader.skipped(), 0U) << far;
        auto member = channel.join(std::to_string(far), {.from = Start::at(far)});
        EXPECT_EQ(member.position(), 40U) << far;
        EXPECT_EQ(member.skipped(), 0U) << far;
    }
}

TEST(SubscriberStart, APositionBeforeTheFirstOfTheChannelIsGone) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 16, .first_position = 1000});
    auto producer = channel.producer();
    for (const Position sent : {Position{4}, Position{40}}) {
        send_to(producer, sent == 4 ? 0 : 4, sent);
        const Position oldest = inspect(name).oldest_retained;
        for (const Position early : {Position{0}, Position{999}, Position{1000}}) {
            auto reader = channel.subscribe({.from = Start::at(early)});
            EXPECT_EQ(reader.position(), oldest);
            EXPECT_EQ(reader.skipped(), oldest - early);
        }
    }
}

TEST(SubscriberStart, TheLastCapacityMinusStepMessagesStayReadable) {
    for (const bool exclusive : {false, true}) {
        for (const std::uint32_t capacity : {1U, 2U, 4U, 16U, 32U, 256U}) {
            SCOPED_TRACE(capacity);
            const ChannelName name;
            auto channel = Channel<>::create(name, {.capacity = capacity});
            auto producer = exclusive ? channel.exclusive_producer() : channel.producer();
            const Position step = std::max(1U, capacity / 16);
            for (Position end = 1; end < 2 * capacity + 40; ++end) {
                send_to(producer, end - 1, end);
                auto reader = channel.subscribe({.from = Start::earliest()});
                const Position promised = end < capacity - step ? 0 : end - (capacity - step);
                ASSERT_LE(reader.position(), promised);
                for (Position i = reader.position(); i < end; ++i)
                    ASSERT_EQ(reader.try_receive().text(), body(i));
            }
        }
    }
}

TEST(SubscriberRelease, OfWhatALongMessageWaitedForMakesRoomInTheRegionAtOnce) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 64, .region_size = 8192});
    auto reader = channel.subscribe();
    auto producer = channel.producer();
    send_to(producer, 0, 1, 10);
    send_to(producer, 1, 2, 8000);
    auto in_a_slot = reader.try_receive();
    auto in_the_region = reader.try_receive();
    ASSERT_TRUE(in_a_slot && in_the_region);
    in_the_region.release();
    in_a_slot.release();
    EXPECT_TRUE(producer.try_loan(8000));
}

TEST(SubscriberHandle, AssignedToEndsWhatItWas) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 4});
    auto active = channel.subscribe();
    auto standby = channel.subscribe();
    active = std::move(standby);
    EXPECT_EQ(inspect(name).groups.size(), 1U);
    auto producer = channel.producer();
    send_to(producer, 0, 4);
    for (Position i = 0; i < 4; ++i)
        EXPECT_TRUE(active.try_receive());
    EXPECT_TRUE(producer.try_send("nobody else holds the ring"));
}

TEST(SubscriberHandle, MovedFromMessagesAreNone) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto reader = channel.subscribe();
    ASSERT_TRUE(channel.producer().send("text"));
    auto message = reader.try_receive();
    auto other = std::move(message);
    EXPECT_FALSE(message);  // NOLINT(bugprone-use-after-move)
    EXPECT_EQ(other.text(), "text");
    message = std::move(other);
    EXPECT_FALSE(other);  // NOLINT(bugprone-use-after-move)
    EXPECT_EQ(message.text(), "text");
}

TEST(SubscriberStart, ARegionThatIsSmallerRetainsWhatItHolds) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 64, .region_size = 16384});
    auto producer = channel.producer();
    send_to(producer, 0, 300, 1000);
    auto reader = channel.subscribe({.from = Start::earliest()});
    EXPECT_LE(reader.position(), 290U);
    for (Position i = reader.position(); i < 300; ++i)
        ASSERT_EQ(reader.try_receive().text(), body(i, 1000));
    EXPECT_EQ(reader.try_receive().status(), Status::empty);
}

TEST(SubscriberStart, JoinsAgainstRacingProducersLoseNothingFromTheirStartOn) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 64, .region_size = 65536});
    std::atomic<bool> stop{false};
    std::atomic<Position> sent{0};
    std::vector<std::thread> sending;
    sending.emplace_back([&] {
        auto producer = channel.exclusive_producer();
        for (Position i = 0; !stop; ++i) {
            const Sent one = producer.send_for(body(i, i % 16 == 0 ? 300 : 16), 20s);
            ASSERT_TRUE(one);
            ASSERT_EQ(one.position(), i);
            sent = i;
        }
    });
    EXPECT_TRUE(eventually([&] { return sent > 1000; }));
    for (int round = 0; round < 150; ++round) {
        const Position ask = sent > 40 ? sent - 40 : 0;
        const Start start = round % 3 == 0   ? Start::latest()
                            : round % 3 == 1 ? Start::earliest()
                                             : Start::at(ask);
        auto reader = channel.subscribe({.from = start});
        Position next = reader.position();
        if (start.kind == Start::Kind::position) {
            ASSERT_EQ(next, ask + reader.skipped());
        }
        for (int i = 0; i < 100; ++i, ++next) {
            auto message = reader.receive_for(20s);
            ASSERT_TRUE(message);
            ASSERT_EQ(message.position(), next);
            ASSERT_EQ(message.text(), body(next, next % 16 == 0 ? 300 : 16));
        }
    }
    stop = true;
    for (auto& thread : sending)
        thread.join();
}

TEST(Subscriber, ThatLeavesWakesNoOtherReader) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    const auto other = channel.subscribe();
    const auto memory = memory_of(name);
    const std::uint32_t before = memory->group(0).parking.futex;
    { auto leaving = channel.subscribe(); }
    EXPECT_EQ(memory->group(0).parking.futex, before);
}

// ----------------------------------------------------------------------------------------- lossy

TEST(LossySubscriber, NeverDelaysAProducerAndIsToldHowFarItSkipped) {
    for (const bool exclusive : {false, true}) {
        for (const std::uint32_t capacity : {1U, 2U, 64U}) {
            SCOPED_TRACE(capacity);
            const ChannelName name;
            auto channel = Channel<>::create(name, {.capacity = capacity});
            auto reader = channel.subscribe(lossy);
            auto producer = exclusive ? channel.exclusive_producer() : channel.producer();
            send_to(producer, 0, 1000);
            Position read = 0;
            Position last = 0;
            while (auto message = reader.try_receive()) {
                EXPECT_EQ(message.text(), body(message.position()));
                last = message.position();
                ++read;
            }
            EXPECT_EQ(read + reader.skipped(), 1000U);
            EXPECT_EQ(reader.position(), 1000U);
            if (capacity > 1) {
                EXPECT_EQ(last, 999U);
            }
            // Jumps a quarter of the ring past the oldest, no further.
            EXPECT_GE(read, capacity / 2);
            EXPECT_LE(read, capacity);
        }
    }
}

TEST(LossySubscriber, ThatKeepsUpMissesNothing) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 8, .region_size = 16384});
    auto reader = channel.subscribe(lossy);
    auto producer = channel.producer();
    for (Position i = 0; i < 500; ++i) {
        const std::size_t size = i % 5 == 0 ? 1500 : 10;
        send_to(producer, i, i + 1, size);
        auto message = reader.try_receive();
        ASSERT_EQ(message.text(), body(i, size));
        ASSERT_EQ(message.position(), i);
    }
    EXPECT_EQ(reader.skipped(), 0U);
    EXPECT_EQ(reader.try_receive().status(), Status::empty);
}

TEST(LossySubscriber, KeepsPrivateCopiesThatStayWhole) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 4});
    auto reader = channel.subscribe(lossy);
    auto producer = channel.producer();
    std::vector<Message<>> held;
    for (Position i = 0; i < 40; ++i) {
        send_to(producer, i, i + 1, 10 + 30 * static_cast<std::size_t>(i));
        held.push_back(reader.try_receive());
    }
    for (Position i = 0; i < 40; ++i)
        EXPECT_EQ(held[i].text(), body(i, 10 + 30 * static_cast<std::size_t>(i)));
    held.erase(held.begin(), held.begin() + 20);
    send_to(producer, 40, 41);
    EXPECT_EQ(reader.try_receive().text(), body(40));
    EXPECT_EQ(held.front().text(), body(20, 610));
}

TEST(LossySubscriber, WholeMessagesOnlyHoweverFastItIsOverrun) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 16, .region_size = 8192});
    std::atomic<bool> stop{false};
    std::thread sending([&] {
        auto producer = channel.exclusive_producer();
        for (Position i = 0; !stop; ++i)
            ASSERT_TRUE(producer.try_send(body(i, 8 + i % 3 * 400)));
    });
    {
        auto reader = channel.subscribe(lossy);
        Position next = reader.position();
        Position read = 0;
        const auto end = std::chrono::steady_clock::now() + 500ms;
        while (std::chrono::steady_clock::now() < end) {
            auto message = reader.try_receive();
            if (!message) continue;
            ASSERT_GE(message.position(), next);
            next = message.position() + 1;
            ASSERT_EQ(message.text(), body(message.position(), 8 + message.position() % 3 * 400));
            ++read;
        }
        EXPECT_GT(read, 0U);
    }
    stop = true;
    sending.join();
}

TEST(Peek, ShowsTheNextMessageInPlaceWithoutTakingIt) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 16});
    auto reader = channel.subscribe(lossy);
    auto producer = channel.producer();
    EXPECT_EQ(reader.try_peek().status(), Status::empty);
    send_to(producer, 0, 3);
    for (int i = 0; i < 2; ++i) {
        auto message = reader.try_peek();
        ASSERT_TRUE(message);
        EXPECT_EQ(message.text(), body(0));
        EXPECT_TRUE(message.intact());
        EXPECT_EQ(message.ack().status(), Status::not_leased);
    }
    EXPECT_EQ(reader.try_receive().text(), body(0));
    EXPECT_EQ(reader.try_peek().text(), body(1));
}

TEST(Peek, IsNotIntactOnceItsMessageMayBeOverwritten) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 16});
    auto reader = channel.subscribe(lossy);
    auto producer = channel.producer();
    send_to(producer, 0, 1);
    auto message = reader.try_peek();
    for (Position i = 1; i < 40; ++i) {
        const bool intact_before = message.intact();
        send_to(producer, i, i + 1);
        if (i < 15) {
            EXPECT_TRUE(message.intact()) << i;
        }
        if (message.intact()) {
            EXPECT_TRUE(intact_before);
            EXPECT_EQ(message.text(), body(0));
        }
    }
    EXPECT_FALSE(message.intact());
    message.release();
    auto next = reader.try_peek();
    ASSERT_TRUE(next);
    EXPECT_TRUE(next.intact());
    EXPECT_EQ(next.text(), body(next.position()));
    EXPECT_EQ(reader.skipped(), next.position());
}

TEST(Peek, OfALargeMessageIsNotIntactOnceItsRegionIsReused) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 1024, .region_size = 8192});
    auto reader = channel.subscribe(lossy);
    auto producer = channel.producer();
    send_to(producer, 0, 1, 3000);
    auto message = reader.try_peek();
    EXPECT_TRUE(message.intact());
    for (Position i = 1; i < 9; ++i)
        send_to(producer, i, i + 1, 3000);
    EXPECT_FALSE(message.intact());
    // What is whole of the region may be less than a quarter of the ring: then it goes on with
    // what comes next.
    while (reader.try_receive()) {
    }
    send_to(producer, 9, 10, 3000);
    EXPECT_EQ(reader.try_receive().text(), body(9, 3000));
}

// --------------------------------------------------------------------------------------- abuse

TEST(ConsumersBug, WritingIntoAMessageFaultsAndDamagesNothing) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto producer = channel.producer();
    auto member = channel.join("workers", {.ack = Ack::manual});
    send_to(producer, 0, 1);
    send_to(producer, 1, 2, 3000);
    for (const bool as_member : {false, true}) {
        for (const bool large : {false, true}) {
            Child child([&] {
                const rlimit no_core{0, 0};
                ::setrlimit(RLIMIT_CORE, &no_core);
                std::signal(SIGSEGV, SIG_DFL);
                auto opened = Channel<>::open(name);
                auto reader = as_member ? opened.join("culprits" + std::to_string(large),
                                                      {.from = Start::earliest()})
                                        : opened.subscribe({.from = Start::earliest()});
                auto message = reader.receive();
                if (large) message = reader.receive();
                if (message.size() != (large ? 3000U : 16U)) throw std::runtime_error("size");
                volatile char* text = const_cast<char*>(message.text().data());
                text[0] = 'X';
                throw std::runtime_error("no fault");
            });
            EXPECT_EQ(child.wait(), 128 + SIGSEGV) << as_member << large;
        }
    }
    EXPECT_EQ(member.receive().text(), body(0));  // given back at once
    auto first = member.receive();
    EXPECT_EQ(first.text(), body(0));
    EXPECT_EQ(member.receive().text(), body(1, 3000));
}

TEST(SubscriberAfterFork, IsAnErrorInTheChildAndItsDestructorsDoNothing) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 4});
    auto subscriber = std::make_unique<Consumer<>>(channel.subscribe());
    auto producer = channel.producer();
    send_to(producer, 0, 3);
    auto held = subscriber->receive();
    auto batch = subscriber->receive_batch(2);
    Child child([&] {
        try {
            (void)subscriber->receive();
            throw std::runtime_error("was not refused");
        } catch (const Error& error) {
            if (error.code() != Errc::forked) throw;
        }
        held.release();
        batch = subscriber->try_receive_batch(0);
        subscriber.reset();
    });
    EXPECT_EQ(child.wait(), 0);
    EXPECT_EQ(held.text(), body(0));
    send_to(producer, 3, 4);
    EXPECT_EQ(producer.try_send("over").status(), Status::full);
    held.release();
    send_to(producer, 4, 5);
    EXPECT_EQ(producer.try_send("over").status(), Status::full);
    Position next = 1;
    for (auto& message : batch)
        EXPECT_EQ(message.text(), body(next++));
    EXPECT_EQ(next, 3U);
    EXPECT_EQ(subscriber->receive().text(), body(3));
}

}
}
