// Copier: how a producer copies long messages, and when it goes past the caches.

#include "ipc/protocol/copier.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "ipc/ipc.hpp"
#include "tests/support/channel_name.hpp"
#include "tests/support/pattern.hpp"

namespace ipc::protocol {
namespace {

using namespace std::chrono_literals;
using Way = Copier::Way;

constexpr std::uint64_t lap = 1 << 20;

/// What a message of 4 KiB takes, in nanoseconds, each way.
struct Times {
    os::Nanoseconds copy;
    os::Nanoseconds pace;
};
struct Machine {
    Times cached;
    Times streaming;
};
// As measured between two processors of an EPYC.
constexpr Machine distant{{1800, 2000}, {280, 420}};
constexpr Machine distant_round_trips{{1800, 5000}, {280, 1900}};
constexpr Machine distant_and_rare{{1800, 1'000'000}, {280, 1'000'000}};
constexpr Machine near{{480, 500}, {290, 310}};
constexpr Machine near_round_trips{{480, 1240}, {280, 1390}};
constexpr Machine near_and_far_behind{{110, 120}, {290, 310}};

/// A producer that copies messages, one after the other.
class Copies {
public:
    explicit Copies(std::uint64_t start = 0) : at_(start), copier_(start, lap) {}

    std::size_t size = 4096;
    std::uint64_t room = 4096;  ///< of a message in the ring
    /// Every so many-th message that is measured is interrupted. 0: none.
    unsigned interrupt_every = 0;

    /// How many of so many messages were copied past the caches.
    std::size_t streamed(const Machine& machine, std::size_t count) {
        std::size_t streamed = 0;
        for (std::size_t i = 0; i < count; ++i)
            streamed += copy(machine) == Way::streaming ? 1 : 0;
        return streamed;
    }
    /// What most messages are copied by in the end, not on trial.
    Way way_after(const Machine& machine, std::size_t laps) {
        streamed(machine, laps * messages_of_a_lap());
        const std::size_t count = 10 * messages_of_a_lap();
        return 2 * streamed(machine, count) > count ? Way::streaming : Way::cached;
    }
    std::size_t messages_of_a_lap() const { return lap / room; }

private:
    Way copy(const Machine& machine) {
        const Way way = copier_.way();
        const Times& times = way == Way::cached ? machine.cached : machine.streaming;
        if (copier_.is_measured(at_)) {
            const os::Nanoseconds span = times.copy * static_cast<os::Nanoseconds>(size) / 4096;
            const bool is_interrupted = interrupt_every != 0 && ++measured_ % interrupt_every == 0;
            const os::Nanoseconds began = now_;
            if (is_interrupted) now_ += 10'000'000;
            copier_.took(at_, size, began, now_ + span);
        }
        now_ += times.pace * static_cast<os::Nanoseconds>(size) / 4096;
        at_ += room;
        return way;
    }

    std::uint64_t at_;
    os::Nanoseconds now_ = 1'000'000'000;
    Copier copier_;
    unsigned measured_ = 0;
};

TEST(Copier, BeginsWithTheCache) {
    EXPECT_EQ(Copies().streamed(distant, 4 * (lap / 4096)), 0U);
}

TEST(Copier, StreamsBetweenDistantProcessors) {
    EXPECT_EQ(Copies().way_after(distant, 20), Way::streaming);
    EXPECT_EQ(Copies().way_after(distant_round_trips, 20), Way::streaming);
    EXPECT_EQ(Copies().way_after(distant_and_rare, 20), Way::streaming);
}

TEST(Copier, StreamsBetweenNearOnesOnlyWhenEverythingWaitsForTheCopies) {
    EXPECT_EQ(Copies().way_after(near_round_trips, 20), Way::cached);
    EXPECT_EQ(Copies().way_after(near_and_far_behind, 20), Way::cached);
    EXPECT_EQ(Copies().way_after(near, 20), Way::streaming);
}

TEST(Copier, DecidesByWhatLongMessagesTakeHoweverMuchRoomLiesBetweenThem) {
    for (const std::uint64_t room : {1024U, 16384U}) {
        for (const Machine& machine : {distant, distant_and_rare, near_round_trips}) {
            Copies copies;
            copies.size = 1024;
            copies.room = room;
            const bool is_near = machine.cached.copy == near_round_trips.cached.copy;
            EXPECT_EQ(copies.way_after(machine, 20), is_near ? Way::cached : Way::streaming)
                << room << ' ' << machine.cached.pace;
        }
    }
}

TEST(Copier, ComesBackWhenTheProcessesMoveToNearProcessorsHoweverLongTheyWereDistant) {
    Copies copies;
    EXPECT_EQ(copies.way_after(distant_round_trips, 20'000), Way::streaming);
    EXPECT_EQ(copies.way_after(near_round_trips, 8'000), Way::cached);
    EXPECT_EQ(copies.way_after(distant_round_trips, 8'000), Way::streaming);
}

TEST(Copier, TriesRarelyWhatDoesNotPay) {
    Copies copies;
    copies.streamed(near_round_trips, 20'000 * copies.messages_of_a_lap());
    const std::size_t messages = 20'000 * copies.messages_of_a_lap();
    const std::size_t streamed = copies.streamed(near_round_trips, messages);
    EXPECT_GT(streamed, 0U);
    EXPECT_LT(streamed, messages / 500);
}

TEST(Copier, DecidesAsWellWithInterruptionsNowAndThen) {
    for (const unsigned every : {4U, 100U, 300U}) {
        Copies copies;
        copies.interrupt_every = every;
        EXPECT_EQ(copies.way_after(near_round_trips, 500), Way::cached) << every;
        EXPECT_EQ(copies.way_after(distant_round_trips, 8'000), Way::streaming) << every;
        Copies busy;
        busy.interrupt_every = every == 4 ? 300 : every;
        EXPECT_EQ(busy.way_after(distant, 500), Way::streaming) << every;
    }
}

TEST(Copier, EndsWithOneMessageInTheRing) {
    Copies copies;
    copies.room = lap;
    EXPECT_EQ(copies.way_after(distant, 2'000), Way::streaming);
}

TEST(Copier, GoesOnWherePlacesWrapAround) {
    EXPECT_EQ(Copies(~std::uint64_t{0} - lap).way_after(distant, 20), Way::streaming);
}

TEST(Copier, TakesACoarseClock) {
    constexpr Machine none{{0, 0}, {0, 0}};
    EXPECT_EQ(Copies().way_after(none, 100), Way::cached);
}

// ------------------------------------------------------------------------------------- the copy

constexpr std::size_t line = 64;

TEST(CopyInStreaming, IsExactForAllLengthsAndPlacesInALine) {
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

TEST(CopyInStreaming, IsWholeForWhoSeesWhatIsStoredAfterIt) {
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
            EXPECT_EQ(std::count(words.begin(), words.end(), i),
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

/// Of message i, up to the longest there may be.
std::size_t length_of(std::size_t i, std::size_t longest) {
    return i % 5 == 0 ? longest : longest / 2 + i * 37 % (longest / 2);
}

/// Enough messages for trials of both ways: some laps.
constexpr std::size_t count = 6000;

void send_all(ipc::Producer<>& producer, std::size_t longest) {
    // Should the reader have gone, there is no room any more.
    for (std::size_t i = 0; i < count; ++i) {
        if (!producer.send_for(test::pattern(length_of(i, longest), i), 10s)) return;
    }
}

struct Place {
    ChannelOptions options;
    std::size_t longest;
};
const Place in_slots{{.capacity = 16, .inline_size = 4136, .region_size = 0}, 4136};
const Place in_region{{.capacity = 16, .region_size = 32768}, 32768};

TEST(LongMessages, ArriveWholeAtAnotherThreadWhicheverWayTheyAreCopied) {
    for (const Place& place : {in_slots, in_region}) {
        for (const bool exclusive : {true, false}) {
            const test::ChannelName name;
            auto channel = Channel<>::create(name, place.options);
            auto subscriber = channel.subscribe();
            std::thread sender([&] {
                auto producer = exclusive ? channel.exclusive_producer() : channel.producer();
                send_all(producer, place.longest);
            });
            for (std::size_t i = 0; i < count; ++i) {
                const auto received = subscriber.receive_for(10s);
                if (!received || received.text() != test::pattern(length_of(i, place.longest), i)) {
                    ADD_FAILURE() << "message " << i;
                    break;
                }
            }
            sender.join();
        }
    }
}

TEST(LongMessages, AreWholeOrSkippedForAReaderThatDelaysNobody) {
    for (const Place& place : {in_slots, in_region}) {
        const test::ChannelName name;
        auto channel = Channel<>::create(name, place.options);
        auto reader = channel.subscribe({.delivery = Delivery::lossy});
        const Position first = inspect(name).first;
        std::thread sender([&] {
            auto producer = channel.exclusive_producer();
            send_all(producer, place.longest);
            ASSERT_TRUE(producer.close());
        });
        std::size_t whole = 0;
        for (;;) {
            const auto received = reader.receive();
            if (!received) {
                EXPECT_EQ(received.status(), Status::closed);
                break;
            }
            const std::size_t i = received.position() - first;
            if (received.text() != test::pattern(length_of(i, place.longest), i))
                ADD_FAILURE() << "message " << i;
            ++whole;
        }
        sender.join();
        EXPECT_GT(whole, 0U);
    }
}

}  // namespace
}  // namespace ipc::protocol
