// Wrap-around: channels that start just before the limit of each packed word behave as any other.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "ipc/format/words.hpp"
#include "ipc/ipc.hpp"
#include "ipc/protocol/lifecycle.hpp"
#include "ipc/protocol/limit.hpp"
#include "tests/support/channel_name.hpp"
#include "tests/support/child.hpp"

namespace ipc::test {
namespace {

using namespace std::chrono_literals;

struct Case {
    const char* what;
    unsigned bits;  ///< positions wrap at 2^bits; 0: at 2^32 laps; 1: at 2^16 laps
    std::uint32_t capacity;
};

void PrintTo(const Case& value, std::ostream* out) {
    *out << value.what << ", capacity " << value.capacity;
}

constexpr Position before_wrap = 70;

std::string body(Position position, std::size_t size = 24) {
    std::string text = std::to_string(position) + ":";
    while (text.size() < size)
        text += static_cast<char>('a' + (position + text.size()) % 26);
    return text;
}

class Wrap : public testing::TestWithParam<Case> {
protected:
    Position boundary() const {
        switch (GetParam().bits) {
            case 0: return Position{GetParam().capacity} << 32;
            case 1: return Position{GetParam().capacity} << 16;
            case 64: return 0;
            default: return Position{1} << GetParam().bits;
        }
    }
    Position first() const { return boundary() - before_wrap; }
    /// Runs until well after the wrap.
    Position end() const {
        return boundary() + 3 * before_wrap + 2 * Position{GetParam().capacity};
    }
    Channel<> create(const std::string& name) const {
        return Channel<>::create(
            name,
            {.capacity = GetParam().capacity, .region_size = 16384, .first_position = first()});
    }
    /// Some bodies travel in the region.
    static std::size_t size_of(Position position) { return position % 3 == 0 ? 900 : 24; }
};

INSTANTIATE_TEST_SUITE_P(
    Positions, Wrap,
    testing::Values(Case{"limit and hint", 44, 1}, Case{"limit and hint", 44, 2},
                    Case{"limit and hint", 44, 64}, Case{"slot state", 48, 1},
                    Case{"slot state", 48, 64}, Case{"lap", 0, 1}, Case{"lap", 0, 2},
                    Case{"lap", 0, 64}, Case{"lap of a deadline", 1, 1},
                    Case{"lap of a deadline", 1, 16}, Case{"sign of a difference", 63, 16},
                    Case{"all", 64, 1}, Case{"all", 64, 2}, Case{"all", 64, 64}));

TEST_P(Wrap, SubscribersAndMembersSeeEveryMessageFromBothKindsOfProducers) {
    for (const bool exclusive : {false, true}) {
        const ChannelName name;
        auto channel = create(name);
        auto subscriber = channel.subscribe();
        auto member = channel.join("workers");
        auto lossy = channel.subscribe({.delivery = Delivery::lossy});
        auto producer = exclusive ? channel.exclusive_producer() : channel.producer();
        for (Position i = first(); i != end(); ++i) {
            const std::string text = body(i, size_of(i));
            const Sent sent = producer.send_for(text, 5s);
            ASSERT_TRUE(sent);
            ASSERT_EQ(sent.position(), i);
            for (auto* reader : {&subscriber, &member, &lossy}) {
                auto message = reader->try_receive();
                ASSERT_TRUE(message) << i;
                ASSERT_EQ(message.position(), i);
                ASSERT_EQ(message.text(), text);
            }
            ASSERT_EQ(subscriber.try_receive().status(), Status::empty);
        }
        EXPECT_EQ(subscriber.skipped() + member.skipped() + lossy.skipped(), 0U);
        EXPECT_TRUE(producer.close());
        for (auto* reader : {&subscriber, &member, &lossy})
            EXPECT_EQ(reader->try_receive().status(), Status::closed);
        const ChannelReport report = inspect(name);
        EXPECT_EQ(report.tail, end());
        EXPECT_EQ(report.published, end() - first());
        EXPECT_EQ(report.find_group("workers")->settled, end() - first());
        EXPECT_EQ(report.find_group("workers")->acked, end() - first());
    }
}

TEST_P(Wrap, AFullRingIsFullAndNothingMore) {
    const ChannelName name;
    auto channel = create(name);
    auto member = channel.join("workers", {.ack = Ack::manual});
    auto one = channel.producer();
    auto two = channel.producer();
    const std::uint32_t capacity = GetParam().capacity;
    Position next = first();
    while (format::before(next, boundary() + 2 * Position{capacity})) {
        for (std::uint32_t i = 0; i < capacity; ++i, ++next)
            ASSERT_EQ((i % 2 == 0 ? one : two).try_send(body(next)).position(), next);
        ASSERT_EQ(one.try_send("over").status(), Status::full);
        ASSERT_EQ(two.try_send("over").status(), Status::full);
        ASSERT_EQ(inspect(name).groups.at(0).backlog, capacity);
        ASSERT_NE(inspect(name).blocked_by, "");
        for (Position i = next - capacity; i != next; ++i) {
            auto message = member.try_receive();
            ASSERT_EQ(message.text(), body(i));
            ASSERT_TRUE(message.ack());
        }
        ASSERT_EQ(inspect(name).groups.at(0).backlog, 0U);
    }
}

TEST_P(Wrap, LeasesAreSettledInAllWays) {
    const ChannelName name;
    const ChannelName dead("dead");
    auto letters = Channel<>::create(dead, {.capacity = 1024}).subscribe();
    auto channel = create(name);
    auto member =
        channel.join("workers", {.ack = Ack::manual, .max_attempts = 3, .dead_letter = dead});
    auto producer = channel.producer();
    std::vector<Position> expected_letters;
    for (Position i = first(); i != end(); ++i) {
        ASSERT_TRUE(producer.send_for(body(i, size_of(i)), 5s));
        const unsigned way = static_cast<unsigned>((i - first()) % 5);
        for (unsigned attempt = 1; attempt <= 3; ++attempt) {
            auto message = member.receive_for(5s);
            ASSERT_TRUE(message);
            ASSERT_EQ(message.position(), i);
            ASSERT_EQ(message.attempt(), attempt);
            ASSERT_EQ(message.text(), body(i, size_of(i)));
            if (way == 0) {
                ASSERT_TRUE(message.ack());
                break;
            }
            if (way == 1) {
                ASSERT_TRUE(message.reject());
                break;
            }
            if (way == 2 && attempt == 2) {
                ASSERT_TRUE(message.ack());
                break;
            }
            ASSERT_TRUE(message.nack());
        }
        ASSERT_EQ(member.try_receive().status(), Status::empty);
        if (way == 1 || way >= 3) expected_letters.push_back(i);
    }
    for (const Position position : expected_letters) {
        auto letter = letters.try_receive();
        ASSERT_TRUE(letter);
        ASSERT_EQ(letter.origin()->position, position);
        ASSERT_EQ(letter.text(), body(position, size_of(position)));
    }
    EXPECT_EQ(inspect(name).groups.at(0).settled, end() - first());
}

TEST_P(Wrap, DelaysAndLeaseLimitsRunAcrossIt) {
    const ChannelName name;
    auto channel = create(name);
    auto member = channel.join("workers", {.ack = Ack::manual, .lease_limit = 20ms});
    auto producer = channel.producer();
    Position next = first();
    for (; next != boundary() - 2; ++next) {
        ASSERT_TRUE(producer.send_for(body(next), 5s));
        ASSERT_TRUE(member.receive().ack());
    }
    for (; next != boundary() + 2; ++next) {
        ASSERT_TRUE(producer.send_for(body(next), 5s));
        auto late = member.receive();
        ASSERT_EQ(late.position(), next);
        auto again = member.receive_for(10s);  // after the limit
        ASSERT_TRUE(again);
        ASSERT_EQ(again.position(), next);
        ASSERT_EQ(again.attempt(), 2U);
        EXPECT_EQ(late.ack().status(), Status::lease_lost);
        const auto start = std::chrono::steady_clock::now();
        if (again.nack(20ms)) {
            auto third = member.try_receive();
            while (!third && std::chrono::steady_clock::now() - start < 10s)
                third = member.try_receive();
            ASSERT_TRUE(third);
            EXPECT_GE(std::chrono::steady_clock::now() - start, 19ms);
            ASSERT_EQ(third.position(), next);
            // On a very busy machine its own limit may pass first; then it comes once more.
            if (third.ack()) continue;
        }
        for (;;) {
            auto last = member.receive_for(10s);
            ASSERT_TRUE(last);
            if (last.ack()) break;
        }
    }
}

TEST_P(Wrap, RetentionPurgeAndStartsHoldAcrossIt) {
    const ChannelName name;
    auto channel = create(name);
    const std::uint64_t capacity = GetParam().capacity;
    const std::uint64_t step = std::max<std::uint64_t>(1, capacity / 16);
    auto producer = channel.producer();
    for (Position i = first(); i != end(); ++i) {
        ASSERT_TRUE(producer.try_send(body(i)));
        if ((i - first()) % 7 != 0 && i - boundary() > 3) continue;
        const Position tail = i + 1;
        auto early = channel.subscribe({.from = Start::earliest()});
        ASSERT_GE(tail - early.position(), std::min(tail - first(), capacity - step));
        ASSERT_LE(tail - early.position(), capacity);
        for (Position p = early.position(); p != tail; ++p)
            ASSERT_EQ(early.try_receive().text(), body(p));
        if (capacity > 1) {
            auto at = channel.subscribe({.from = Start::at(tail - 1)});
            ASSERT_EQ(at.skipped(), 0U);
            ASSERT_EQ(at.try_receive().text(), body(tail - 1));
        }
        auto group = channel.join(
            "group",
            {.lifetime = Lifetime::ephemeral, .ack = Ack::manual, .from = Start::earliest()});
        const std::uint64_t backlog = inspect(name).find_group("group")->backlog;
        ASSERT_EQ(channel.purge("group"), backlog);
        ASSERT_EQ(group.try_receive().status(), Status::empty);
        const auto messages = channel.peek({}, 1000);
        ASSERT_GE(messages.size(), std::min(tail - first(), capacity - step));
        for (const auto& message : messages) {
            ASSERT_EQ(std::string(reinterpret_cast<const char*>(message.body.data()),
                                  message.body.size()),
                      body(message.position));
        }
    }
}

TEST_P(Wrap, ALossyReaderThatIsOverrunAcrossItSkipsToWhatIsWhole) {
    const ChannelName name;
    auto channel = create(name);
    auto reader = channel.subscribe({.delivery = Delivery::lossy});
    auto producer = channel.exclusive_producer();
    for (Position i = first(); i != end(); ++i)
        ASSERT_TRUE(producer.try_send(body(i, size_of(i))));
    std::uint64_t read = 0;
    while (auto message = reader.try_receive()) {
        ASSERT_EQ(message.text(), body(message.position(), size_of(message.position())));
        ++read;
    }
    EXPECT_EQ(read + reader.skipped(), end() - first());
    EXPECT_EQ(reader.position(), end());
}

TEST_P(Wrap, ConcurrentProducersAndMembersLoseNothing) {
    const ChannelName name;
    auto channel = create(name);
    auto subscriber = channel.subscribe();
    const auto messages = static_cast<unsigned>(end() - first());
    std::vector<std::atomic<int>> acked(messages);
    std::vector<std::thread> threads;
    threads.reserve(64);
    { auto group = channel.join("workers", {.ack = Ack::manual}); }
    for (int w = 0; w < 2; ++w) {
        threads.emplace_back([&] {
            auto member = channel.join("workers", {.ack = Ack::manual});
            while (auto message = member.receive_for(20s)) {
                if (message.attempt() == 1 && message.position() % 4 == 0) continue;
                const Position position = message.position();
                if (message.ack()) ++acked.at(position - first());
            }
        });
    }
    std::atomic<unsigned> left{2};
    for (unsigned p = 0; p < 2; ++p) {
        threads.emplace_back([&, p] {
            auto producer = channel.producer();
            for (unsigned i = p; i < messages; i += 2)
                ASSERT_TRUE(producer.send_for(body(i, size_of(i)), 20s));
            const bool last = --left == 0;
            EXPECT_TRUE(!last || producer.close());
        });
    }
    std::vector<unsigned> next{0, 1};
    for (Position position = first(); position != end(); ++position) {
        auto message = subscriber.receive_for(20s);
        ASSERT_TRUE(message);
        ASSERT_EQ(message.position(), position);
        const auto value = static_cast<unsigned>(std::stoul(std::string(message.text())));
        ASSERT_EQ(value, next[value % 2]);
        ASSERT_EQ(message.text(), body(value, size_of(value)));
        next[value % 2] += 2;
    }
    EXPECT_EQ(subscriber.receive_for(20s).status(), Status::closed);
    for (auto& thread : threads)
        thread.join();
    for (auto& count : acked)
        ASSERT_EQ(count, 1);
}

// The other counters of packed words.

TEST(WrapOfTheEpoch, JoinsBeyondItsLimitKeepGatingProducers) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 4});
    auto memory = protocol::open_channel(name, {}, {});
    const auto epoch = [&] { return format::Limit{memory->header().limit.load()}.epoch(); };
    while (epoch() != format::low_bits(format::Limit::epoch_bits))
        protocol::count_join(*memory);
    auto producer = channel.producer();
    for (int i = 0; i < 10; ++i)
        ASSERT_TRUE(producer.try_send("x"));
    auto subscriber = channel.subscribe();
    EXPECT_EQ(epoch(), 0U);
    for (int i = 0; i < 4; ++i)
        ASSERT_TRUE(producer.try_send(std::to_string(i)));
    EXPECT_EQ(producer.try_send("over").status(), Status::full);
    for (int i = 0; i < 4; ++i)
        EXPECT_EQ(subscriber.try_receive().text(), std::to_string(i));
    EXPECT_TRUE(producer.try_send("room"));
}

TEST(WrapOfTheGeneration, ALeaseIsStillOneOwnersAfterManyTransitions) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 1});
    auto member = channel.join("workers", {.ack = Ack::manual});
    auto producer = channel.producer();
    for (int i = 0; i < 700; ++i) {
        ASSERT_TRUE(producer.try_send(std::to_string(i)));
        auto message = member.try_receive();
        ASSERT_EQ(message.text(), std::to_string(i));
        ASSERT_TRUE(message.nack());
        auto again = member.try_receive();
        ASSERT_EQ(again.attempt(), 2U);
        ASSERT_TRUE(again.ack());
        ASSERT_EQ(member.try_receive().status(), Status::empty);
    }
}

}
}
