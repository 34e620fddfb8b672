// Typed channels: messages of one trivially copyable type.

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <thread>
#include <type_traits>
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

struct Tick {
    std::uint64_t sequence;
    double price;
    std::array<char, 8> symbol;
    bool operator==(const Tick&) const = default;
};

struct Empty {};

struct alignas(64) Wide {
    std::array<std::uint32_t, 32> words;
};

struct alignas(16) Sixteen {
    std::uint64_t low;
    std::uint64_t high;
};

struct Big {
    std::array<std::uint64_t, 1000> words;
};

template <class T>
T make(std::uint64_t seed) {
    T value{};
    auto* bytes = reinterpret_cast<unsigned char*>(&value);
    for (std::size_t i = 0; i < sizeof(T); ++i)
        bytes[i] = static_cast<unsigned char>(seed * 7 + i);
    return value;
}

template <class T>
bool same(const T& a, const T& b) {
    // An empty object has nothing to compare: copying it need not copy its one byte. Of others,
    // copies bring the whole representation.
    if (std::is_empty_v<T>) return true;
    return std::memcmp(&a, &b, sizeof(T)) == 0;  // NOLINT(bugprone-suspicious-memory-comparison)
}

template <class T>
class TypedChannel : public testing::Test {};

using Types =
    testing::Types<char, std::uint16_t, int, double, Tick, Empty, Sixteen, Wide, Big,
                   std::array<char, 3>, std::array<std::uint64_t, 128>, std::array<char, 1025>>;
TYPED_TEST_SUITE(TypedChannel, Types);

TYPED_TEST(TypedChannel, CarriesValuesToEveryKindOfReaderAlignedAsTheirTypeAsks) {
    using T = TypeParam;
    for (const std::uint32_t capacity : {1U, 2U, 64U}) {
        const ChannelName name;
        auto channel = Channel<T>::create(name, {.capacity = capacity});
        auto subscriber = channel.subscribe();
        auto member = channel.join("workers", {.ack = Ack::manual});
        auto lossy = channel.subscribe({.delivery = Delivery::lossy});
        auto producer = channel.producer();
        for (std::uint64_t i = 0; i < 130; ++i) {
            const T value = make<T>(i);
            if (i % 2 == 0) {
                ASSERT_TRUE(producer.try_send(value));
            } else {
                auto loan = producer.try_loan();
                ASSERT_TRUE(loan);
                ASSERT_EQ(reinterpret_cast<std::uintptr_t>(&*loan) % alignof(T), 0U);
                *loan = value;
                ASSERT_TRUE(std::move(loan).publish());
            }
            for (auto* reader : {&subscriber, &member, &lossy}) {
                auto message = reader->try_receive();
                ASSERT_TRUE(message);
                ASSERT_EQ(message.size(), sizeof(T));
                ASSERT_EQ(message.bytes().size(), sizeof(T));
                ASSERT_EQ(reinterpret_cast<std::uintptr_t>(&*message) % alignof(T), 0U);
                ASSERT_TRUE(same(*message, value));
                ASSERT_TRUE(message.ack());
            }
            ASSERT_FALSE(subscriber.try_receive());
        }
    }
}

TYPED_TEST(TypedChannel, OpensWithItsOwnTypeOnly) {
    using T = TypeParam;
    const ChannelName name;
    auto channel = Channel<T>::create(name);
    EXPECT_EQ(Channel<T>::open(name).capacity(), channel.capacity());
    EXPECT_EQ(Channel<T>::open_or_create(name).capacity(), channel.capacity());
    struct Other {
        std::uint64_t value;
    };
    try {
        (void)Channel<Other>::open(name);
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Errc::type_differs);
    }
}

TYPED_TEST(TypedChannel, RefusesMessagesOfAnotherSizeEvenFromWhoOpensItAsBytes) {
    using T = TypeParam;
    const ChannelName name;
    auto channel = Channel<T>::create(name, {.capacity = 8, .region_size = 1 << 16});
    auto reader = channel.subscribe();
    auto producer = Channel<>::open(name, {.any_type = true}).producer();
    for (const std::size_t size : {sizeof(T) - 1, sizeof(T) + 1, sizeof(T) + 8, 3 * sizeof(T)}) {
        const std::string bytes(size, 'x');
        EXPECT_EQ(producer.send_for(bytes, 1s).status(), Status::wrong_size);
        const std::string_view batch[] = {bytes, bytes};
        const BatchSent sent = producer.send_batch_for(batch, 1s);
        EXPECT_EQ(sent.status(), Status::wrong_size);
        EXPECT_EQ(sent.count(), 0U);
        auto loan = producer.try_loan(size);
        ASSERT_TRUE(loan);
        EXPECT_EQ(std::move(loan).try_publish().status(), Status::wrong_size);
    }
    EXPECT_EQ(reader.try_receive().status(), Status::empty);
    const T value = make<T>(1);
    const auto* bytes = reinterpret_cast<const std::byte*>(&value);
    EXPECT_TRUE(producer.send(std::span(bytes, sizeof(T))));
    auto message = reader.try_receive();
    ASSERT_TRUE(message);
    EXPECT_TRUE(same(*message, value));
}

TYPED_TEST(TypedChannel, PassesOverAMessageThatIsNotOfItsSizeWhoeverReads) {
    using T = TypeParam;
    const ChannelName name;
    auto channel = Channel<T>::create(name, {.capacity = 8, .region_size = 1 << 16});
    auto subscriber = channel.subscribe();
    auto lossy = channel.subscribe({.delivery = Delivery::lossy});
    auto member = channel.join("workers");
    {
        TornProducer damaged(name);
        // In its slot, and in its producer's region, from the start of that.
        for (const std::uint64_t flags : {0U, 1U << 16}) {
            for (const std::uint64_t size : {sizeof(T) - 1, sizeof(T) + 1}) {
                const Position position = damaged.claim();
                damaged.write(position, "", size << 32 | flags);
                damaged.make_ready(position);
            }
        }
    }
    const T value = make<T>(2);
    ASSERT_TRUE(channel.producer().send(value));
    for (Consumer<T>* reader : {&subscriber, &lossy, &member}) {
        auto message = reader->try_receive();
        ASSERT_TRUE(message);
        EXPECT_EQ(message.size(), sizeof(T));
        EXPECT_TRUE(same(*message, value));
    }
    for (const GroupReport& group : inspect(name).groups)
        EXPECT_EQ(group.not_understood, 4U) << group.name;
    EXPECT_EQ(channel.peek({}, 10).size(), 1U);
}

TEST(TypedProducer, SendsWaitsAndBatchesLikeAnyOther) {
    const ChannelName name;
    auto channel = Channel<Tick>::create(name, {.capacity = 4});
    auto member = channel.join("workers");
    auto producer = channel.producer();
    std::vector<Tick> ticks;
    for (std::uint64_t i = 0; i < 6; ++i)
        ticks.push_back({i, 0.5 * static_cast<double>(i), {'T', static_cast<char>('a' + i)}});
    ASSERT_TRUE(producer.send(ticks[0]));
    ASSERT_TRUE(producer.send_for(ticks[1], 1s));
    const BatchSent sent = producer.try_send_batch(std::span(ticks).subspan(2));
    EXPECT_EQ(sent.count(), 2U);
    EXPECT_EQ(sent.status(), Status::full);
    EXPECT_EQ(producer.send_for(ticks[4], 1ms).status(), Status::timed_out);
    std::size_t i = 0;
    while (auto message = member.try_receive()) {
        EXPECT_EQ(*message, ticks[i]);
        EXPECT_EQ(message->sequence, i);
        ++i;
    }
    EXPECT_EQ(i, 4U);
    EXPECT_EQ(producer.send_batch(std::span(ticks).subspan(4)).count(), 2U);
    auto batch = member.receive_batch(10);
    for (auto& message : batch)
        EXPECT_EQ(*message, ticks[i++]);
    EXPECT_EQ(i, 6U);
}

TEST(TypedValues, ACompleteValueOnlyHoweverFastTheReaderIsOverrun) {
    const ChannelName name;
    auto channel = Channel<std::array<std::uint64_t, 20>>::create(name, {.capacity = 8});
    auto reader = channel.subscribe({.delivery = Delivery::lossy});
    std::atomic<bool> stop{false};
    std::thread sending([&] {
        auto producer = channel.exclusive_producer();
        std::array<std::uint64_t, 20> value{};
        for (std::uint64_t i = 1; !stop; ++i) {
            value.fill(i);
            ASSERT_TRUE(producer.try_send(value));
        }
    });
    std::uint64_t last = 0;
    const auto end = std::chrono::steady_clock::now() + 300ms;
    while (std::chrono::steady_clock::now() < end) {
        auto message = reader.try_receive();
        if (!message) continue;
        ASSERT_GT((*message)[0], last);
        last = (*message)[0];
        for (const std::uint64_t word : *message)
            ASSERT_EQ(word, last);
    }
    stop = true;
    sending.join();
    EXPECT_GT(last, 0U);
}

TEST(TypedValues, ReachesAnotherProcess) {
    const ChannelName name;
    auto channel = Channel<Tick>::create(name);
    auto subscriber = channel.subscribe();
    Child child([&] {
        auto producer = Channel<Tick>::open(name).producer();
        for (std::uint64_t i = 0; i < 500; ++i)
            (void)producer.send({i, static_cast<double>(i), {}});
    });
    for (std::uint64_t i = 0; i < 500; ++i) {
        auto message = subscriber.receive_for(20s);
        ASSERT_TRUE(message);
        ASSERT_EQ(message->sequence, i);
        ASSERT_EQ(message->price, static_cast<double>(i));
    }
    EXPECT_EQ(child.wait(), 0);
}

TEST(TypedValues, DeadLettersKeepTheirValue) {
    const ChannelName name;
    const ChannelName dead("dead");
    auto letters = Channel<Tick>::create(dead).subscribe();
    auto channel = Channel<Tick>::create(name);
    auto member = channel.join("workers", {.ack = Ack::manual, .dead_letter = dead});
    const Tick tick{7, 1.5, {'x'}};
    ASSERT_TRUE(channel.producer().send(tick));
    EXPECT_TRUE(member.receive().reject());
    auto letter = letters.try_receive();
    ASSERT_TRUE(letter);
    EXPECT_EQ(letter.size(), sizeof(Tick));
    EXPECT_EQ(*letter, tick);
    ASSERT_TRUE(letter.origin());
    EXPECT_EQ(letter.origin()->channel, name.str());
}

TEST(TypedValues, AreNoDeadLettersOfAChannelForValuesOfAnotherSize) {
    const ChannelName name;
    const ChannelName dead("dead");
    auto letters = Channel<Big>::create(dead).subscribe({.delivery = Delivery::lossy});
    auto channel = Channel<Tick>::create(name);
    const GroupOptions options{.ack = Ack::manual, .dead_letter = dead};
    std::string what;
    EXPECT_EQ(refusal([&] { (void)channel.join("workers", options); }, &what), Errc::bad_options);
    EXPECT_TRUE(contains(what, dead) && contains(what, std::to_string(sizeof(Big)))) << what;
    // A target made later is not checked, and takes no such letter either.
    remove(dead);
    auto member = channel.join("workers", options);
    auto later = Channel<Big>::create(dead);
    auto readers = later.subscribe({.delivery = Delivery::lossy});
    ASSERT_TRUE(channel.producer().send(Tick{1, 2.0, {}}));
    EXPECT_TRUE(member.receive().reject());
    EXPECT_EQ(readers.try_receive().status(), Status::empty);
    EXPECT_EQ(inspect(name).find_group("workers")->dropped, 1U);
}

TEST(TypedValues, AreNotRedrivenIntoAChannelForValuesOfAnotherSize) {
    const ChannelName name;
    const ChannelName dead("dead");
    const ChannelName other("other");
    auto letters = Channel<>::create(dead);
    auto wrong = Channel<Big>::create(other, {.region_size = 1 << 16});
    auto channel = Channel<Tick>::create(name);
    auto member = channel.join("workers", {.ack = Ack::manual, .dead_letter = dead});
    ASSERT_TRUE(channel.producer().send(Tick{1, 2.0, {}}));
    EXPECT_TRUE(member.receive().reject());
    std::string what;
    EXPECT_EQ(refusal([&] { (void)redrive(dead, {.target = other.str()}); }, &what),
              Errc::type_differs);
    EXPECT_TRUE(contains(what, other)) << what;
    // Nor are they in the way of others that come after them.
    auto fitting = wrong.join("workers", {.ack = Ack::manual, .dead_letter = dead});
    ASSERT_TRUE(wrong.producer().send(make<Big>(1)));
    EXPECT_TRUE(fitting.receive().reject());
    EXPECT_EQ(refusal([&] { (void)redrive(dead, {.target = other.str()}); }, &what),
              Errc::type_differs);
    EXPECT_TRUE(contains(what, "1 stay there, 1 were sent back")) << what;
    EXPECT_TRUE(same(*fitting.receive(), make<Big>(1)));
    EXPECT_EQ(redrive(dead), 1U);
    EXPECT_EQ(member.receive()->sequence, 1U);
}

TEST(TypedValues, AreNotReadAsAnotherTypeUnlessItIsOfTheSameSizeAndAlignment) {
    const ChannelName name;
    auto channel = Channel<Tick>::create(name);
    struct Alike {
        std::uint64_t words[3];
    };
    ASSERT_EQ(sizeof(Alike), sizeof(Tick));
    auto alike = Channel<Alike>::open(name, {.any_type = true}).subscribe();
    ASSERT_TRUE(channel.producer().send(Tick{5, 0, {}}));
    EXPECT_EQ(alike.receive()->words[0], 5U);
    EXPECT_EQ(refusal([&] { (void)Channel<Big>::open(name, {.any_type = true}); }),
              Errc::type_differs);
    EXPECT_EQ(refusal([&] { (void)Channel<Sixteen>::open(name, {.any_type = true}); }),
              Errc::type_differs);
}

template <class First, class Second>
struct Both {
    First first;
    Second second;
};

TEST(TypedValues, AreToldApartByTheirWholeName) {
    using A = Both<int[2], float>;
    using B = Both<int[2], int>;
    static_assert(sizeof(A) == sizeof(B));
    const ChannelName name;
    auto channel = Channel<A>::create(name);
    EXPECT_EQ(refusal([&] { (void)Channel<B>::open(name); }), Errc::type_differs);
    EXPECT_TRUE(contains(inspect(name).type_name, "Both<int")) << inspect(name).type_name;
    EXPECT_TRUE(contains(inspect(name).type_name, "float>")) << inspect(name).type_name;
}

TEST(TypedValues, CostWhatTheOptionsThatFitThemSay) {
    const ChannelName name;
    using Sixteen8 = std::array<std::uint64_t, 16>;
    const ChannelOptions asked{.capacity = 64, .region_size = 0};
    auto channel = Channel<Sixteen8>::create(name, asked);
    const MemoryCost cost = memory_cost(Channel<Sixteen8>::fitting(asked));
    const ChannelReport report = inspect(name);
    EXPECT_GE(report.inline_size, sizeof(Sixteen8));
    const MemoryCost real = memory_cost({.capacity = 64,
                                         .inline_size = std::uint32_t(report.inline_size),
                                         .region_size = report.region_size});
    EXPECT_EQ(cost.channel, real.channel);
    EXPECT_EQ(cost.producer, real.producer);
    EXPECT_GT(cost.channel, memory_cost(asked).channel);
}

TEST(TypedValues, AcceptsOnlyWhatMeansTheSameInAllProcesses) {
    struct Virtual {
        virtual ~Virtual() = default;
    };
    struct alignas(128) TooStrict {
        char text[128];
    };
    static_assert(!Carriable<std::string> && !Carriable<int*> && !Carriable<Virtual>);
    static_assert(!Carriable<TooStrict>);
    static_assert(!Carriable<std::string_view> && !Carriable<std::span<int>> &&
                  !Carriable<std::reference_wrapper<int>> && !Carriable<int Tick::*>);
    static_assert(Carriable<Tick> && Carriable<std::byte> && Carriable<Wide>);
}

}
}
