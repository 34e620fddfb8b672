// Participants as threads over one mapping (one_mapping.cpp). A race detector sees only one
// process, so this is where it looks at the protocols: every role at once, contents checked.

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "ipc/format/copy.hpp"
#include "ipc/ipc.hpp"
#include "tests/support/channel_name.hpp"

namespace ipc {
namespace {

using namespace std::chrono_literals;

struct Numbered {
    std::uint64_t producer;
    std::uint64_t sequence;
    std::array<std::uint64_t, 3> check;

    static Numbered make(std::uint64_t producer, std::uint64_t sequence) {
        return {producer, sequence, {producer ^ sequence, producer + sequence, ~sequence}};
    }
    bool is_whole() const {
        const Numbered same = make(producer, sequence);
        return check == same.check;
    }
};

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr std::uint64_t messages = 5'000;
#else
constexpr std::uint64_t messages = 50'000;
#endif

class Threads : public testing::TestWithParam<std::tuple<std::uint32_t, bool>> {};

TEST_P(Threads, EveryRoleAtOnceLosesRepeatsAndTearsNothing) {
    const auto [capacity, in_region] = GetParam();
    constexpr std::uint64_t producers = 3;
    const test::ChannelName name("threads");
    // Without room in the slot, messages travel in the region, which is small enough to wrap often.
    auto channel = Channel<>::create(name, {.capacity = capacity,
                                            .inline_size = in_region ? 8U : 40U,
                                            .region_size = in_region ? 8192U : 4096U});
    const std::uint64_t each = capacity <= 2 ? messages / 25 : messages;

    std::vector<std::thread> threads;
    std::mutex mutex;
    std::map<std::pair<std::uint64_t, std::uint64_t>, int> shared;  // by all workers together
    std::atomic<int> ready{0};
    std::atomic<std::uint64_t> lossy_seen{0};

    const auto parse = [](const Message<>& message) {
        Numbered numbered;
        EXPECT_EQ(message.size(), sizeof numbered);
        std::memcpy(&numbered, message.bytes().data(), sizeof numbered);
        EXPECT_TRUE(numbered.is_whole());
        return numbered;
    };
    const auto in_order = [](std::array<std::uint64_t, producers>& next, const Numbered& seen) {
        EXPECT_GE(seen.sequence, next[seen.producer]);
        next[seen.producer] = seen.sequence + 1;
    };

    for (int worker = 0; worker < 2; ++worker) {
        threads.emplace_back([&] {
            auto member = channel.join("workers", {.ack = Ack::manual});
            ++ready;
            std::vector<std::pair<std::uint64_t, std::uint64_t>> mine;
            while (auto message = member.receive()) {
                const Numbered seen = parse(message);
                // Now and then one goes back, and comes again as another attempt.
                if (message.attempt() == 1 && seen.sequence % 1000 == 7) {
                    EXPECT_TRUE(message.nack());
                    continue;
                }
                mine.emplace_back(seen.producer, seen.sequence);
                EXPECT_TRUE(message.ack());
            }
            const std::lock_guard lock(mutex);
            for (const auto& key : mine)
                ++shared[key];
        });
    }
    threads.emplace_back([&] {
        auto subscriber = channel.subscribe();
        ++ready;
        std::array<std::uint64_t, producers> next{};
        std::uint64_t count = 0;
        while (auto message = subscriber.receive()) {
            const Numbered seen = parse(message);
            EXPECT_EQ(seen.sequence, next[seen.producer]);
            in_order(next, seen);
            ++count;
        }
        EXPECT_EQ(count, producers * each);
    });
    threads.emplace_back([&] {
        auto tap = channel.subscribe({.delivery = Delivery::lossy});
        ++ready;
        std::array<std::uint64_t, producers> next{};
        while (auto message = tap.receive()) {
            in_order(next, parse(message));
            ++lossy_seen;
        }
        EXPECT_EQ(lossy_seen + tap.skipped(), producers * each);
    });
    while (ready != 4)
        std::this_thread::sleep_for(1ms);

    std::vector<std::thread> sending;
    for (std::uint64_t i = 0; i < producers; ++i) {
        sending.emplace_back([&, i] {
            auto producer = channel.producer();
            for (std::uint64_t sequence = 0; sequence < each; ++sequence) {
                const Numbered numbered = Numbered::make(i, sequence);
                EXPECT_TRUE(producer.send(std::as_bytes(std::span(&numbered, 1))));
            }
        });
    }
    std::thread watcher([&] {
        Inspector inspector(name);
        ChannelReport report;
        do {
            report = inspector.sample();
            for (const GroupReport& group : report.groups) {
                EXPECT_LE(group.backlog, report.capacity);
            }
            std::this_thread::sleep_for(1ms);
        } while (!report.closed);
    });
    for (std::thread& thread : sending)
        thread.join();
    EXPECT_TRUE(channel.close());
    for (std::thread& thread : threads)
        thread.join();
    watcher.join();

    EXPECT_EQ(shared.size(), producers * each);
    for (const auto& [key, count] : shared)
        ASSERT_EQ(count, 1);
    const ChannelReport report = inspect(name);
    EXPECT_EQ(report.published, producers * each);
    const GroupReport* workers = report.find_group("workers");
    ASSERT_NE(workers, nullptr);
    EXPECT_EQ(workers->backlog, 0U);
    EXPECT_EQ(workers->in_flight, 0U);
    EXPECT_EQ(workers->acked, producers * each);
    EXPECT_EQ(workers->redelivered, workers->returned);
}

INSTANTIATE_TEST_SUITE_P(Capacities, Threads,
                         testing::Combine(testing::Values(1U, 2U, 64U, 1024U), testing::Bool()),
                         [](const auto& given) {
                             return "Capacity" + std::to_string(std::get<0>(given.param)) +
                                    (std::get<1>(given.param) ? "InRegion" : "Inline");
                         });

/// Runs `body` in a thread until `stop`.
template <class Body>
std::thread again_and_again(const std::atomic<bool>& stop, Body body) {
    return std::thread([&stop, body] {
        while (!stop)
            body();
    });
}

TEST(ThreadsOfEveryRole, ExclusiveProducerWithLoansAndBatchesReachesEveryKindOfReader) {
    const test::ChannelName name("exclusive");
    const test::ChannelName letters("letters");
    (void)Channel<>::create(letters, {.capacity = 16});
    auto channel = Channel<>::create(name, {.capacity = 8, .region_size = 8192});
    std::vector<std::thread> readers;
    std::atomic<int> ready{0};
    std::atomic<std::uint64_t> lossy_seen{0};
    std::atomic<std::uint64_t> lossy_missed{0};
    std::array<std::atomic<std::uint64_t>, 2> sums{};
    constexpr std::uint64_t count = messages / 2;

    const auto number_of = [](const Message<>& message) {
        Numbered numbered;
        EXPECT_GE(message.size(), sizeof numbered);
        std::memcpy(&numbered, message.bytes().data(), sizeof numbered);
        EXPECT_TRUE(numbered.is_whole());
        return numbered.sequence;
    };
    // The members of a group acknowledge by letting go of a message, one takes batches.
    for (const bool in_batches : {false, true}) {
        readers.emplace_back([&, in_batches] {
            auto member = channel.join("automatic");
            ++ready;
            if (!in_batches) {
                while (const auto message = member.receive())
                    sums[0] += number_of(message);
                return;
            }
            for (;;) {
                auto batch = member.receive_batch(3);
                if (batch.status() == Status::closed) return;
                for (const Message<>& message : batch)
                    sums[0] += number_of(message);
            }
        });
    }
    // These reject some, which become dead letters, and hold their leases for a limited time.
    for (int i = 0; i < 2; ++i) {
        readers.emplace_back([&] {
            auto member = channel.join("strict", {.ack = Ack::manual,
                                                  .max_attempts = 3,
                                                  .lease_limit = 1min,
                                                  .dead_letter = letters});
            ++ready;
            while (auto message = member.receive()) {
                const std::uint64_t number = number_of(message);
                if (number % 100 == 3 && message.attempt() == 1) {
                    EXPECT_TRUE(message.nack(1ms));
                    continue;
                }
                EXPECT_TRUE(message.renew());
                sums[1] += number;
                EXPECT_TRUE(number % 500 == 7 ? message.reject() : message.ack());
            }
        });
        readers.emplace_back([&] {
            auto member = channel.join("lossy", {.delivery = Delivery::lossy});
            ++ready;
            while (const auto message = member.receive()) {
                (void)number_of(message);
                ++lossy_seen;
            }
            lossy_missed += member.skipped();
        });
    }
    while (ready != 6)
        std::this_thread::sleep_for(1ms);

    std::atomic<bool> stop{false};
    std::vector<std::thread> others;
    others.push_back(again_and_again(stop, [&] {
        auto subscriber = channel.subscribe({.from = Start::earliest()});
        for (int i = 0; i < 20; ++i)
            (void)subscriber.receive_for(1ms);
    }));
    others.push_back(again_and_again(stop, [&] {
        auto tap = channel.subscribe({.delivery = Delivery::lossy});
        if (const auto message = tap.try_peek(); message && message.intact()) {
            // The producer may be overwriting it, which intact() tells afterwards.
            std::vector<std::byte> copy(message.size());
            format::copy_out(copy.data(), message.bytes().data(), copy.size());
            (void)message.intact();
        }
        (void)channel.peek(std::nullopt, 4);
    }));
    others.push_back(again_and_again(stop, [&] {
        { auto member = channel.join("passing", {.lifetime = Lifetime::ephemeral}); }
        try {
            (void)channel.purge("passing");
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), Errc::not_found);
        }
        EXPECT_LE(inspect(name).groups.size(), 8U);
    }));

    {
        auto producer = channel.exclusive_producer();
        std::uint64_t sequence = 0;
        while (sequence < count) {
            const Numbered one = Numbered::make(0, sequence);
            if (sequence % 7 == 0) {
                auto loan = producer.loan(600);
                ASSERT_TRUE(loan);
                std::memcpy(loan.bytes().data(), &one, sizeof one);
                ASSERT_TRUE(std::move(loan).publish());
                ++sequence;
            } else if (sequence % 11 == 0 && count - sequence >= 3) {
                std::array<Numbered, 3> items{};
                std::array<std::string_view, 3> views;
                for (std::size_t i = 0; i < items.size(); ++i) {
                    items[i] = Numbered::make(0, sequence++);
                    views[i] = {reinterpret_cast<const char*>(&items[i]), sizeof items[i]};
                }
                ASSERT_TRUE(producer.send_batch(views));
            } else {
                ASSERT_TRUE(producer.send(std::as_bytes(std::span(&one, 1))));
                ++sequence;
            }
        }
        ASSERT_TRUE(producer.close());
    }
    for (std::thread& reader : readers)
        reader.join();
    stop = true;
    for (std::thread& other : others)
        other.join();

    const std::uint64_t sum = count * (count - 1) / 2;
    EXPECT_EQ(sums[0], sum);
    EXPECT_EQ(sums[1], sum);
    EXPECT_EQ(lossy_seen + lossy_missed, count);
    const ChannelReport report = inspect(name);
    EXPECT_EQ(report.find_group("strict")->dead_lettered, (count - 1 - 7) / 500 + 1);
    EXPECT_EQ(report.find_group("automatic")->acked, count);
}

}
}
