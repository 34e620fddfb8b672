// Exclusive producers: the only one of their channel, and its order, its end and its successors.

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "ipc/ipc.hpp"
#include "tests/support/channel_name.hpp"
#include "tests/support/child.hpp"
#include "tests/support/refusal.hpp"
#include "tests/support/torn.hpp"

namespace ipc::test {
namespace {

using namespace std::chrono_literals;

TEST(ExclusiveProducer, IsRefusedWhileAnotherLivesWhichIsNamed) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto producer = channel.exclusive_producer({.name = "the-one"});
    std::string what;
    EXPECT_EQ(refusal([&] { (void)channel.exclusive_producer(); }, &what), Errc::producer_lives);
    EXPECT_TRUE(contains(what, "the-one")) << what;
    EXPECT_TRUE(contains(what, std::to_string(::getpid()))) << what;
    EXPECT_TRUE(contains(what, name.str())) << what;
    EXPECT_EQ(refusal([&] { (void)channel.producer(); }, &what), Errc::producer_lives);
    EXPECT_TRUE(contains(what, "the-one")) << what;
    EXPECT_EQ(inspect(name).producers(), 1U);
    EXPECT_TRUE(producer.send("unharmed"));
}

TEST(ExclusiveProducer, IsRefusedWhileASharedOneLives) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    {
        auto shared = channel.producer({.name = "sharer"});
        std::string what;
        EXPECT_EQ(refusal([&] { (void)channel.exclusive_producer(); }, &what),
                  Errc::producer_lives);
        EXPECT_TRUE(contains(what, "sharer")) << what;
        ASSERT_TRUE(shared.send("0"));
    }
    auto producer = channel.exclusive_producer();
    EXPECT_EQ(producer.send("1").position(), 1U);
}

TEST(ExclusiveProducer, IsNamedAcrossProcesses) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    Child child([&] {
        auto producer = Channel<>::open(name).exclusive_producer({.name = "elsewhere"});
        ::pause();
    });
    ASSERT_TRUE(eventually([&] { return inspect(name).producers() == 1; }));
    std::string what;
    EXPECT_EQ(refusal([&] { (void)channel.producer(); }, &what), Errc::producer_lives);
    EXPECT_TRUE(contains(what, "elsewhere (pid " + std::to_string(child.pid()) + ")")) << what;
    child.kill();
    auto producer = channel.producer();
    EXPECT_TRUE(producer.send("x"));
}

TEST(ExclusiveProducer, SuccessorsOfEitherKindContinueTheOrder) {
    for (const std::uint32_t capacity : {1U, 2U, 64U}) {
        SCOPED_TRACE(capacity);
        const ChannelName name;
        auto channel = Channel<>::create(name, {.capacity = capacity});
        auto subscriber = channel.subscribe();
        Position next = 0;
        for (int round = 0; round < 20; ++round) {
            auto producer = round % 2 == 0 ? channel.exclusive_producer() : channel.producer();
            for (int i = 0; i <= round % 3; ++i, ++next) {
                const std::string text = std::to_string(next);
                const Sent sent = producer.send(text);
                ASSERT_TRUE(sent);
                ASSERT_EQ(sent.position(), next);
                auto message = subscriber.try_receive();
                ASSERT_TRUE(message);
                ASSERT_EQ(message.text(), text);
                ASSERT_EQ(message.position(), next);
            }
        }
    }
}

TEST(ExclusiveProducer, EverySubscriberSeesEveryMessageInOrderUnderLoad) {
    for (const std::uint32_t capacity : {1U, 2U, 256U}) {
        SCOPED_TRACE(capacity);
        const ChannelName name;
        auto channel = Channel<>::create(name, {.capacity = capacity});
        const int messages = capacity == 256 ? 50000 : 2000;
        std::vector<Consumer<>> subscribers;
        subscribers.push_back(channel.subscribe());
        subscribers.push_back(channel.subscribe());
        std::vector<std::jthread> reading;  // joined also when sending fails
        reading.reserve(64);
        for (auto& subscriber : subscribers) {
            reading.emplace_back([&subscriber, messages] {
                for (int i = 0; i < messages; ++i) {
                    auto message = subscriber.receive_for(20s);
                    ASSERT_TRUE(message);
                    ASSERT_EQ(message.position(), static_cast<Position>(i));
                    ASSERT_EQ(
                        message.text(),
                        std::to_string(i) + std::string(static_cast<std::size_t>(i % 60), '.'));
                }
                EXPECT_EQ(subscriber.receive_for(20s).status(), Status::closed);
            });
        }
        auto producer = channel.exclusive_producer();
        // A reader that failed gates for ever.
        for (int i = 0; i < messages; ++i) {
            ASSERT_TRUE(producer.send_for(
                std::to_string(i) + std::string(static_cast<std::size_t>(i % 60), '.'), 20s));
        }
        EXPECT_TRUE(producer.close());
    }
}

TEST(ExclusiveProducer, FillsTheRingExactlyAndIsThenToldFull) {
    for (const std::uint32_t capacity : {1U, 2U, 16U, 1024U}) {
        SCOPED_TRACE(capacity);
        const ChannelName name;
        auto channel = Channel<>::create(name, {.capacity = capacity});
        auto member = channel.join("workers");
        auto producer = channel.exclusive_producer();
        for (std::uint32_t i = 0; i < capacity; ++i)
            ASSERT_TRUE(producer.try_send(std::to_string(i)));
        EXPECT_EQ(producer.try_send("over").status(), Status::full);
        EXPECT_EQ(member.try_receive().text(), "0");
        EXPECT_TRUE(producer.try_send(std::to_string(capacity)));
        EXPECT_EQ(producer.try_send("over").status(), Status::full);
        for (std::uint32_t i = 1; i <= capacity; ++i)
            ASSERT_EQ(member.try_receive().text(), std::to_string(i));
        EXPECT_EQ(member.try_receive().status(), Status::empty);
    }
}

// See protocol::Producer::touch_ahead. What is always zero is made something else, to see it
// stored.
TEST(ExclusiveProducer, TouchesTheSlotAfterTheNextOneWhenMessagesAreSlowAndTheSlotIsFree) {
    constexpr std::uint64_t zero = format::Descriptor::always_zero;
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 256});
    auto producer = channel.exclusive_producer();
    const auto memory = memory_of(name);
    const os::Mapping data = memory->map_data_writable();
    const protocol::Ring ring = memory->ring_of(data);
    for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(producer.send("to learn the pace"));
        std::this_thread::sleep_for(10us);
    }
    int touched = 0;
    for (Position position = 3; position < 300; ++position) {
        SCOPED_TRACE(position);
        for (const Position ahead : {1U, 2U, 3U})
            ring.at(position + ahead).descriptor.fetch_or(zero);
        ASSERT_EQ(producer.send("slow").position(), position);
        std::this_thread::sleep_for(10us);
        const format::Limit limit{memory->header().limit.load()};
        const bool is_free = format::before(position + 2, limit.position(position));
        const auto is_zero = [&](Position at) { return (ring.at(at).descriptor & zero) == 0; };
        EXPECT_FALSE(is_zero(position + 1));
        EXPECT_EQ(is_zero(position + 2), is_free);
        EXPECT_FALSE(is_zero(position + 3));
        touched += is_free ? 1 : 0;
    }
    EXPECT_GT(touched, 200);
}

TEST(ExclusiveProducer, IsAskedToCloseAndDoesSoWhenItPublishesNext) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto subscriber = channel.subscribe();
    auto producer = channel.exclusive_producer();
    ASSERT_TRUE(producer.send("0"));
    EXPECT_EQ(channel.close(50ms).status(), Status::timed_out);
    EXPECT_FALSE(inspect(name).closed);
    EXPECT_TRUE(producer.send("1"));
    EXPECT_EQ(producer.send("2").status(), Status::closed);
    EXPECT_TRUE(inspect(name).closed);
    EXPECT_EQ(subscriber.receive().text(), "0");
    EXPECT_EQ(subscriber.receive().text(), "1");
    EXPECT_EQ(subscriber.receive().status(), Status::closed);
    EXPECT_TRUE(channel.close(1s));
}

TEST(ExclusiveProducer, ACloseThatWaitsSucceedsOnceItPublishes) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto producer = channel.exclusive_producer();
    std::thread closing([&] { EXPECT_TRUE(channel.close(20s)); });
    EXPECT_TRUE(eventually([&] { return producer.send("x").status() == Status::closed; }));
    closing.join();
    EXPECT_TRUE(inspect(name).closed);
}

TEST(ExclusiveProducer, ARequestToCloseIsHonouredWhenItLeaves) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto subscriber = channel.subscribe();
    {
        auto producer = channel.exclusive_producer();
        ASSERT_TRUE(producer.send("0"));
        EXPECT_EQ(channel.close(20ms).status(), Status::timed_out);
    }
    EXPECT_TRUE(channel.close(5s));
    EXPECT_EQ(subscriber.receive().text(), "0");
    EXPECT_EQ(subscriber.receive_for(5s).status(), Status::closed);
    EXPECT_EQ(channel.exclusive_producer().send("1").status(), Status::closed);
}

TEST(ExclusiveProducer, ClosesItself) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 2});
    auto subscriber = channel.subscribe();
    auto producer = channel.exclusive_producer();
    ASSERT_TRUE(producer.send("0"));
    EXPECT_TRUE(producer.close());
    EXPECT_EQ(producer.send("1").status(), Status::closed);
    EXPECT_TRUE(producer.close());
    EXPECT_EQ(subscriber.receive().text(), "0");
    EXPECT_EQ(subscriber.receive().status(), Status::closed);
}

TEST(ExclusiveProducer, CarriesLoansBatchesAndLargeMessagesLikeAnyOther) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 8, .region_size = 16384});
    auto subscriber = channel.subscribe();
    auto producer = channel.exclusive_producer();
    for (int i = 0; i < 50; ++i) {
        const std::string large(3000, static_cast<char>('a' + i % 26));
        auto loan = producer.loan_for(large.size(), 5s);
        ASSERT_TRUE(loan);
        std::copy_n(reinterpret_cast<const std::byte*>(large.data()), large.size(),
                    loan.bytes().data());
        ASSERT_TRUE(std::move(loan).publish());
        ASSERT_TRUE(producer.send_for(large + large, 5s));
        const std::string huge(12000, 'h');
        const std::vector<std::string_view> batch{"x", huge, ""};
        const BatchSent sent = producer.send_batch_for(batch, 0s);
        // The region takes no third block while the first two are unread.
        EXPECT_EQ(sent.status(), Status::timed_out);
        EXPECT_EQ(sent.count(), 1U);
        ASSERT_EQ(subscriber.try_receive().text(), large);
        ASSERT_EQ(subscriber.try_receive().text(), large + large);
        ASSERT_EQ(subscriber.try_receive().text(), "x");
        ASSERT_EQ(subscriber.try_receive().status(), Status::empty);
    }
}

TEST(ExclusiveProducer, ASuccessorLeavesItsPredecessorsLargeMessagesWhole) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 64, .region_size = 16384});
    auto member = channel.join("workers");
    std::vector<std::string> sent;
    for (int round = 0; round < 6; ++round) {
        auto producer = channel.exclusive_producer();
        for (int i = 0; i < 2; ++i) {
            const std::string text(1000 + static_cast<std::size_t>(round) * 10,
                                   static_cast<char>('a' + sent.size()));
            ASSERT_TRUE(producer.try_send(text));
            sent.push_back(text);
        }
    }
    auto producer = channel.exclusive_producer();
    while (producer.try_send(std::string(1000, '!'))) {
    }
    for (const std::string& text : sent)
        ASSERT_EQ(member.try_receive().text(), text);
}

}
}
