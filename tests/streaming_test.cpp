// Streaming: how a producer copies long messages, and when it goes past the caches
// (protocol/streaming.hpp).

#include "ipc/protocol/streaming.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "ipc/ipc.hpp"
#include "tests/support/channel_name.hpp"

namespace ipc::protocol {
namespace {

using Way = Streaming::Way;

constexpr std::uint64_t lap = 1 << 20;
constexpr std::size_t size = 4096;

/// What a message of 4 KiB takes, in nanoseconds, each way.
struct Times {
    os::Nanoseconds copy;
    os::Nanoseconds pace;
};
struct Machine {
    Times cached;
    Times streaming;
};
// Measured between two processors of an EPYC.
constexpr Machine distant{{1800, 2000}, {280, 420}};
constexpr Machine distant_round_trips{{1800, 5000}, {280, 1900}};
constexpr Machine near{{480, 500}, {290, 310}};
constexpr Machine near_round_trips{{480, 1240}, {280, 1390}};
constexpr Machine near_and_far_behind{{110, 120}, {290, 310}};

class Copies {
public:
    explicit Copies(std::uint64_t start = 0) : at_(start), streaming_(start, lap) {}

    /// How many of so many messages were copied past the caches.
    std::size_t streamed(const Machine& machine, std::size_t count) {
        std::size_t streamed = 0;
        for (std::size_t i = 0; i < count; ++i)
            streamed += copy(machine) == Way::streaming ? 1 : 0;
        return streamed;
    }
    Way way_after(const Machine& machine, std::size_t laps) {
        streamed(machine, laps * (lap / size));
        // Not on trial: what most of the next messages are copied by.
        return 2 * streamed(machine, 4 * (lap / size)) > 4 * (lap / size) ? Way::streaming
                                                                          : Way::cached;
    }
    /// Each so many-th copy that is measured takes very long.
    void interrupt_every(unsigned measured) { interrupted_ = measured; }

private:
    Way copy(const Machine& machine) {
        const Way way = streaming_.way();
        const Times& times = way == Way::cached ? machine.cached : machine.streaming;
        if (streaming_.is_measured(at_)) {
            const bool is_interrupted = interrupted_ != 0 && ++measured_ % interrupted_ == 0;
            const os::Nanoseconds delay = is_interrupted ? 10'000'000 : 0;
            streaming_.took(at_, size, now_, now_ + times.copy + delay);
        }
        now_ += times.pace;
        at_ += size;
        return way;
    }

    std::uint64_t at_;
    os::Nanoseconds now_ = 1'000'000'000;
    Streaming streaming_;
    unsigned interrupted_ = 0;
    unsigned measured_ = 0;
};

TEST(Streaming, BeginsWithTheCache) {
    EXPECT_EQ(Copies().streamed(distant, 2 * (lap / size)), 0U);
}

TEST(Streaming, IsChosenBetweenDistantProcessors) {
    EXPECT_EQ(Copies().way_after(distant, 10), Way::streaming);
    EXPECT_EQ(Copies().way_after(distant_round_trips, 10), Way::streaming);
}

TEST(Streaming, IsNotChosenBetweenNearOnesUnlessEverythingWaitsForTheCopies) {
    EXPECT_EQ(Copies().way_after(near_round_trips, 10), Way::cached);
    EXPECT_EQ(Copies().way_after(near_and_far_behind, 10), Way::cached);
    EXPECT_EQ(Copies().way_after(near, 10), Way::streaming);
}

TEST(Streaming, EndsSomeLapsAfterTheProcessesMovedToNearProcessors) {
    Copies copies;
    EXPECT_EQ(copies.way_after(distant_round_trips, 20), Way::streaming);
    EXPECT_EQ(copies.way_after(near_round_trips, 200), Way::cached);
    EXPECT_EQ(copies.way_after(distant_round_trips, 200), Way::streaming);
}

TEST(Streaming, IsTriedRarelyWhereItDoesNotPay) {
    Copies copies;
    copies.streamed(near_round_trips, 10'000 * (lap / size));
    const std::size_t messages = 10'000 * (lap / size);
    const std::size_t streamed = copies.streamed(near_round_trips, messages);
    EXPECT_GT(streamed, 0U);
    EXPECT_LT(streamed, messages / 100);
}

TEST(Streaming, IsNotDecidedByCopiesThatAreInterruptedNowAndThen) {
    Copies copies;
    copies.interrupt_every(4);
    EXPECT_EQ(copies.way_after(near_round_trips, 10), Way::cached);
    EXPECT_EQ(copies.way_after(distant_round_trips, 200), Way::streaming);
}

TEST(Streaming, GoesOnWhereCountsWrapAround) {
    EXPECT_EQ(Copies(~std::uint64_t{0} - lap).way_after(distant, 10), Way::streaming);
}

// ------------------------------------------------------------------------------------- the copy

constexpr std::size_t line = 64;

TEST(StreamingCopy, IsExactForAllLengthsAndPlacesInALine) {
    constexpr std::size_t longest = 5 * line;
    std::vector<std::byte> source(longest + 1);
    for (std::size_t i = 0; i < source.size(); ++i)
        source[i] = static_cast<std::byte>(i * 7 + 1);
    alignas(line) std::byte shared[longest + 2 * line];
    for (std::size_t offset = 0; offset < line; offset += 8) {
        for (std::size_t length = 0; length <= longest; ++length) {
            std::memset(shared, 0xA5, sizeof shared);
            format::copy_in_streaming(shared + offset, source.data() + 1, length);
            ASSERT_EQ(std::memcmp(shared + offset, source.data() + 1, length), 0)
                << offset << ' ' << length;
            const std::size_t end = (offset + length + line - 1) / line * line;
            const auto is_untouched = [](std::byte byte) { return byte == std::byte{0xA5}; };
            ASSERT_TRUE(std::all_of(shared, shared + offset, is_untouched));
            ASSERT_TRUE(std::all_of(shared + end, shared + sizeof shared, is_untouched))
                << offset << ' ' << length;
        }
    }
}

TEST(StreamingCopy, IsWholeForWhoSeesWhatIsStoredAfterIt) {
    constexpr std::size_t length = 4096 + 24;
    constexpr std::uint64_t copies = 20'000;
    alignas(line) static std::byte shared[(length + line) / line * line];
    std::atomic<std::uint64_t> there = 0;
    std::atomic<std::uint64_t> back = 0;
    std::thread reader([&] {
        std::vector<std::uint64_t> words(length / 8);
        for (std::uint64_t i = 1; i <= copies; ++i) {
            while (there.load(std::memory_order_acquire) != i)
                std::this_thread::yield();
            format::copy_out(words.data(), shared, length);
            ASSERT_EQ(std::count(words.begin(), words.end(), i),
                      static_cast<std::ptrdiff_t>(words.size()));
            back.store(i, std::memory_order_release);
        }
    });
    std::vector<std::uint64_t> words(length / 8);
    for (std::uint64_t i = 1; i <= copies; ++i) {
        std::fill(words.begin(), words.end(), i);
        format::copy_in_streaming(shared, words.data(), length);
        there.store(i, std::memory_order_release);
        while (back.load(std::memory_order_acquire) != i)
            std::this_thread::yield();
    }
    reader.join();
}

// ----------------------------------------------------------------------------------- in channels

/// Long enough that both ways are tried.
void send_and_check(const ChannelOptions& options, std::size_t shortest, std::size_t longest,
                    bool exclusive) {
    const test::ChannelName name;
    auto channel = Channel<>::create(name, options);
    auto producer = exclusive ? channel.exclusive_producer() : channel.producer();
    auto subscriber = channel.subscribe();
    for (std::size_t i = 0; i < 3000; ++i) {
        const std::size_t length = shortest + i * 37 % (longest - shortest + 1);
        std::string message(length, static_cast<char>(i % 251));
        message.back() = 'z';
        ASSERT_TRUE(producer.try_send(message));
        const auto received = subscriber.try_receive();
        ASSERT_TRUE(received);
        ASSERT_EQ(received.text(), message) << i;
    }
}

TEST(StreamingChannel, LongMessagesArriveWholeEitherWay) {
    for (const bool exclusive : {true, false}) {
        send_and_check({.capacity = 8, .region_size = 32768}, 1024, 8192, exclusive);
        send_and_check({.capacity = 8, .inline_size = 4096, .region_size = 0}, 1000, 4096,
                       exclusive);
    }
}

}  // namespace
}  // namespace ipc::protocol
