// Shared producers: sizes, loans, batches, waiting for room, and how a wait for it ends.

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "ipc/ipc.hpp"
#include "ipc/protocol/tail.hpp"
#include "tests/support/channel_name.hpp"
#include "tests/support/child.hpp"
#include "tests/support/pattern.hpp"
#include "tests/support/torn.hpp"

namespace ipc::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

void fill(const Loan<>& loan, const std::string& text) {
    ASSERT_GE(loan.bytes().size(), text.size());
    if (!text.empty()) std::memcpy(loan.bytes().data(), text.data(), text.size());
}

bool is_waiting_for_room(const std::string& name) {
    const ChannelReport report = inspect(name);
    return std::any_of(report.participants.begin(), report.participants.end(),
                       [](const auto& p) { return p.activity == Activity::waiting_for_room; });
}

const ParticipantOptions parking{.wait_policy = WaitPolicy::parking()};

// --------------------------------------------------------------------------------------- sizes

TEST(ProducerSizes, EveryLengthArrivesAsItWasSent) {
    constexpr std::uint64_t region = 8192;
    for (const std::uint32_t capacity : {1U, 2U, 512U}) {
        for (const std::uint32_t inline_size : {8U, 40U, 104U}) {
            SCOPED_TRACE(std::to_string(capacity) + " " + std::to_string(inline_size));
            const ChannelName name;
            auto channel = Channel<>::create(
                name, {.capacity = capacity, .inline_size = inline_size, .region_size = region});
            auto producer = channel.producer();
            auto subscriber = channel.subscribe();
            auto member = channel.join("workers");
            auto lossy = channel.subscribe({.delivery = Delivery::lossy});
            const std::size_t limit = inspect(name).inline_size;
            std::vector<std::size_t> sizes{0,         1,     7,         8,          9,
                                           limit - 1, limit, limit + 1, region / 2, region - 1,
                                           region,    0,     limit,     region,     region};
            unsigned seed = 0;
            for (const std::size_t size : sizes) {
                SCOPED_TRACE(size);
                const std::string text = pattern(size, ++seed);
                ASSERT_TRUE(producer.try_send(text));
                for (auto* reader : {&subscriber, &member, &lossy}) {
                    auto message = reader->try_receive();
                    ASSERT_TRUE(message);
                    EXPECT_EQ(message.size(), size);
                    EXPECT_TRUE(message.text() == text);
                    EXPECT_EQ(message.bytes().size(), size);
                }
                // Reads nothing more, and so tells at once that it is done with that one.
                ASSERT_EQ(subscriber.try_receive().status(), Status::empty);
            }
            EXPECT_EQ(producer.try_send(pattern(region + 1)).status(), Status::too_large);
            EXPECT_EQ(producer.send(pattern(region + 1)).status(), Status::too_large);
            EXPECT_EQ(producer.send_for(pattern(region + 1), 1s).status(), Status::too_large);
            EXPECT_EQ(producer.try_loan(region + 1).status(), Status::too_large);
            EXPECT_EQ(subscriber.try_receive().status(), Status::empty);
        }
    }
}

TEST(ProducerSizes, WithoutARegionInlineMessagesAreAll) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.inline_size = 40, .region_size = 0});
    auto producer = channel.producer();
    auto subscriber = channel.subscribe();
    EXPECT_TRUE(producer.send(pattern(40)));
    EXPECT_EQ(producer.send(pattern(41)).status(), Status::too_large);
    EXPECT_EQ(producer.try_loan(1).status(), Status::too_large);
    EXPECT_EQ(producer.try_loan(0).status(), Status::too_large);
    EXPECT_EQ(subscriber.try_receive().text(), pattern(40));
    EXPECT_EQ(subscriber.try_receive().status(), Status::empty);
}

TEST(ProducerSizes, TextAndBytesAreTheSame) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto producer = channel.producer();
    auto subscriber = channel.subscribe();
    const std::string text = pattern(100);
    const auto bytes = std::as_bytes(std::span(text));
    ASSERT_TRUE(producer.send(bytes));
    ASSERT_TRUE(producer.try_send(bytes));
    ASSERT_TRUE(producer.send_for(bytes, 1s));
    ASSERT_TRUE(producer.send_for(text, 1s));
    for (int i = 0; i < 4; ++i)
        EXPECT_EQ(subscriber.try_receive().text(), text);
}

// ------------------------------------------------------------------------------ many producers

TEST(SharedProducers, TakePositionsInTurnAndKeepTheOrderOfEach) {
    for (const std::uint32_t capacity : {1U, 2U, 128U}) {
        SCOPED_TRACE(capacity);
        const ChannelName name;
        auto channel = Channel<>::create(name, {.capacity = capacity, .region_size = 16384});
        auto subscriber = channel.subscribe();
        constexpr unsigned producers = 3;
        const unsigned each = capacity == 128 ? 4000 : 400;
        std::vector<std::thread> sending;
        for (unsigned p = 0; p < producers; ++p) {
            sending.emplace_back([&, p] {
                auto producer = channel.producer();
                for (unsigned i = 0; i < each; ++i) {
                    const std::string head = std::to_string(p) + " " + std::to_string(i) + " ";
                    ASSERT_TRUE(producer.send(head + pattern(i % 97 == 0 ? 3000 : i % 20, i)));
                }
            });
        }
        std::vector<unsigned> next(producers);
        for (Position position = 0; position < Position{producers} * each; ++position) {
            auto message = subscriber.receive_for(20s);
            ASSERT_TRUE(message);
            ASSERT_EQ(message.position(), position);
            const std::string text(message.text());
            const auto p = static_cast<unsigned>(text[0] - '0');
            ASSERT_LT(p, producers);
            const unsigned i = next[p]++;
            ASSERT_TRUE(text == std::to_string(p) + " " + std::to_string(i) + " " +
                                    pattern(i % 97 == 0 ? 3000 : i % 20, i));
        }
        for (auto& thread : sending)
            thread.join();
        EXPECT_EQ(next, std::vector<unsigned>(producers, each));
        EXPECT_EQ(subscriber.try_receive().status(), Status::empty);
    }
}

TEST(SharedProducers, AlternatingOnesFillTheRingExactly) {
    for (const std::uint32_t capacity : {1U, 2U, 4U, 64U, 1024U}) {
        SCOPED_TRACE(capacity);
        const ChannelName name;
        auto channel = Channel<>::create(name, {.capacity = capacity});
        auto member = channel.join("workers");
        auto one = channel.producer();
        auto two = channel.producer();
        for (std::uint32_t lap = 0; lap < 3; ++lap) {
            for (std::uint32_t i = 0; i < capacity; ++i) {
                auto& producer = i % 3 == 0 ? one : two;
                const Sent sent = producer.try_send(std::to_string(i));
                ASSERT_TRUE(sent) << i;
                ASSERT_EQ(sent.position(), Position{lap} * capacity + i);
            }
            EXPECT_EQ(one.try_send("x").status(), Status::full);
            EXPECT_EQ(two.try_send("x").status(), Status::full);
            EXPECT_EQ(one.send_for("x", 5ms).status(), Status::timed_out);
            for (std::uint32_t i = 0; i < capacity; ++i)
                ASSERT_EQ(member.try_receive().text(), std::to_string(i));
        }
    }
}

TEST(SharedProducers, FromOtherProcessesKeepTheirOrder) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 32});
    auto subscriber = channel.subscribe();
    std::vector<Child> children;
    children.reserve(64);
    for (int p = 0; p < 3; ++p) {
        children.emplace_back([&, p] {
            auto producer = Channel<>::open(name).producer();
            for (int i = 0; i < 1000; ++i) {
                if (!producer.send(std::to_string(p * 1000 + i))) throw std::runtime_error("send");
            }
        });
    }
    std::vector<int> next{0, 1000, 2000};
    for (int i = 0; i < 3000; ++i) {
        auto message = subscriber.receive_for(20s);
        ASSERT_TRUE(message);
        const int value = std::stoi(std::string(message.text()));
        ASSERT_EQ(value, next[static_cast<std::size_t>(value / 1000)]++);
    }
    for (auto& child : children)
        EXPECT_EQ(child.wait(), 0);
}

TEST(SharedProducers, AreNeverHeldUpWithoutAReliableReader) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 4, .region_size = 8192});
    auto lossy = channel.subscribe({.delivery = Delivery::lossy});
    auto one = channel.producer();
    auto two = channel.producer();
    for (unsigned i = 0; i < 1000; ++i) {
        ASSERT_TRUE(one.try_send(pattern(i % 5000, i)));
        ASSERT_TRUE(two.try_send("small"));
    }
    EXPECT_EQ(channel.peek(1998, 1).size(), 1U);
}

// --------------------------------------------------------------------------------------- loans

TEST(Loan, IsWrittenInPlaceAndPublished) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto producer = channel.producer();
    auto subscriber = channel.subscribe();
    for (const std::size_t size : {0U, 1U, 40U, 100U, 100000U}) {
        SCOPED_TRACE(size);
        auto loan = producer.loan(size);
        ASSERT_TRUE(loan);
        EXPECT_EQ(loan.status(), Status::ok);
        EXPECT_EQ(loan.bytes().size(), size);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(loan.bytes().data()) % 64, 0U);
        fill(loan, pattern(size));
        EXPECT_EQ(subscriber.try_receive().status(), Status::empty);  // not before it is published
        const Sent sent = std::move(loan).publish();
        ASSERT_TRUE(sent);
        auto message = subscriber.try_receive();
        EXPECT_TRUE(message.text() == pattern(size));
        EXPECT_EQ(message.position(), sent.position());
        EXPECT_FALSE(loan);  // NOLINT(bugprone-use-after-move): the loan is over
        EXPECT_EQ(std::move(loan).publish().status(), Status::not_leased);
    }
}

TEST(Loan, AnUnfinishedOneDelaysNobodyElse) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto slow = channel.producer();
    auto quick = channel.producer();
    auto subscriber = channel.subscribe();
    auto loan = slow.loan(1000);
    fill(loan, pattern(1000));
    for (int i = 0; i < 10; ++i)
        ASSERT_TRUE(quick.send(std::to_string(i)));
    ASSERT_TRUE(slow.send("its own goes past it, too"));
    for (int i = 0; i < 10; ++i)
        EXPECT_EQ(subscriber.try_receive().text(), std::to_string(i));
    EXPECT_EQ(subscriber.try_receive().text(), "its own goes past it, too");
    ASSERT_TRUE(std::move(loan).publish());
    EXPECT_EQ(subscriber.try_receive().text(), pattern(1000));
}

TEST(Loan, SeveralAreDistinctAndCanBePublishedInAnyOrder) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 64, .region_size = 65536});
    auto producer = channel.producer();
    auto subscriber = channel.subscribe();
    for (int round = 0; round < 30; ++round) {
        std::vector<Loan<>> loans;
        for (unsigned i = 0; i < 12; ++i) {
            loans.push_back(producer.loan(100 + 400 * i));
            ASSERT_TRUE(loans.back());
        }
        for (unsigned i = 0; i < 12; ++i)
            fill(loans[i], pattern(100 + 400 * i, i));
        for (const unsigned i : {5U, 0U, 11U, 3U, 4U, 1U, 10U, 9U}) {
            ASSERT_TRUE(std::move(loans[i]).publish());
            auto message = subscriber.try_receive();
            ASSERT_TRUE(message);
            ASSERT_TRUE(message.text() == pattern(100 + 400 * i, i));
        }
        loans[2].abandon();
        EXPECT_FALSE(loans[2]);
        EXPECT_EQ(subscriber.try_receive().status(), Status::empty);
    }  // the other three are abandoned by their destructor
}

TEST(Loan, ManySmallOnesShareTheirBookkeepingAndStayApart) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 1024, .region_size = 65536});
    auto producer = channel.producer();
    auto subscriber = channel.subscribe();
    for (int round = 0; round < 4; ++round) {
        std::vector<Loan<>> loans;
        for (unsigned i = 0; i < 900; ++i) {
            loans.push_back(producer.try_loan(64));
            ASSERT_TRUE(loans.back()) << i;
            fill(loans.back(), pattern(64, i));
        }
        for (unsigned i = 900; i-- > 0;) {
            if (i % 3 == 0) {
                loans[i].abandon();
            } else {
                ASSERT_TRUE(std::move(loans[i]).try_publish());
            }
        }
        for (unsigned i = 900; i-- > 0;) {
            if (i % 3 == 0) continue;
            ASSERT_TRUE(subscriber.try_receive().text() == pattern(64, i)) << i;
        }
        ASSERT_EQ(subscriber.try_receive().status(), Status::empty);
    }
}

TEST(Loan, AbandonedSpaceIsUsedAgain) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.region_size = 4096});
    auto producer = channel.producer();
    for (int i = 0; i < 1000; ++i) {
        auto loan = producer.try_loan(4096);
        ASSERT_TRUE(loan) << i;
    }
    EXPECT_EQ(inspect(name).tail, 0U);
}

TEST(Loan, WaitingForWhatOnlyItsOwnLoansHoldIsAnError) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.region_size = 8192});
    auto producer = channel.producer();
    auto other = channel.producer();
    auto loan = producer.loan(8000);
    ASSERT_TRUE(loan);
    EXPECT_EQ(producer.try_loan(8000).status(), Status::own_loan);
    EXPECT_EQ(producer.loan(8000).status(), Status::own_loan);
    EXPECT_EQ(producer.loan_for(8000, 1h).status(), Status::own_loan);
    EXPECT_EQ(producer.send(pattern(8000)).status(), Status::own_loan);
    EXPECT_TRUE(producer.send("inline messages need no space"));
    EXPECT_TRUE(other.send(pattern(8000)));  // every producer has its own region
    auto small = producer.try_loan(64);
    EXPECT_TRUE(small);
    EXPECT_EQ(producer.try_loan(8000).status(), Status::own_loan);
    small.abandon();
    loan.abandon();
    EXPECT_TRUE(producer.try_loan(8000));
}

// Members that were woken for what lies behind a claim found the claim.
TEST(SharedProducer, OwesWakeUpsForWhatStandsReadyAmongAndBehindItsOwnMessages) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    TornProducer first(name);
    auto producer = channel.producer();
    const protocol::Ring ring = first.memory().ring();
    const auto owner = [&](Position position) {
        return format::SlotState{ring.at(position).state.load()}.producer();
    };
    ASSERT_EQ(first.claim(), 0U);
    ASSERT_TRUE(producer.send("1"));
    ASSERT_TRUE(producer.send("2"));
    EXPECT_EQ(protocol::count_owed(ring, 3, owner(2), 1), 1);
    EXPECT_EQ(protocol::count_owed(ring, 3, owner(2), 2), 2);
    first.make_ready(0);
    EXPECT_EQ(protocol::count_owed(ring, 1, owner(0), 1), 3);
    ASSERT_EQ(first.claim(), 3U);
    ASSERT_TRUE(producer.send("4"));
    EXPECT_EQ(protocol::count_owed(ring, 5, owner(4), 1), 1);
    EXPECT_EQ(protocol::count_owed(ring, 5, owner(4), 3), 3) << "up to the claim among them";
    first.make_ready(3);
    EXPECT_EQ(protocol::count_owed(ring, 5, owner(4), 3), 4) << "and the other's message";
}

// An exclusive producer tells how far it is once a step only.
TEST(Loan, OfAnExclusiveProducerInFrontOfItsMessagesIsKnownToHoldTheSpace) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 1024, .region_size = 1 << 20});
    auto producer = channel.exclusive_producer();
    auto loan = producer.loan(2000);
    ASSERT_TRUE(loan);
    ASSERT_TRUE(producer.try_send(pattern(3000)));
    Sent last = Status::ok;
    for (int i = 0; i < 20 && last; ++i)
        last = producer.send_for(pattern(64 << 10), 100ms);
    EXPECT_EQ(last.status(), Status::own_loan);
    loan.abandon();
    EXPECT_TRUE(producer.send_for(pattern(64 << 10), 100ms));
}

TEST(Loan, TheEndOfTheChannelIsToldEvenWhileOwnLoansHoldTheSpace) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.region_size = 4096});
    auto producer = channel.producer();
    const auto first = producer.try_loan(4096);
    const auto second = producer.try_loan(4096);
    ASSERT_TRUE(first);
    ASSERT_TRUE(second);
    EXPECT_EQ(producer.try_send(pattern(4096)).status(), Status::own_loan);
    ASSERT_TRUE(channel.close());
    EXPECT_EQ(producer.try_send(pattern(4096)).status(), Status::closed);
    EXPECT_EQ(producer.try_loan(4096).status(), Status::closed);
}

TEST(Loan, WaitsForReadersToGiveSpaceBack) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 16, .region_size = 8192});
    auto producer = channel.producer(parking);
    auto member = channel.join("workers");
    ASSERT_TRUE(producer.send(pattern(8000)));
    EXPECT_EQ(producer.try_loan(8000).status(), Status::full);
    EXPECT_EQ(producer.try_send(pattern(8000)).status(), Status::full);
    const auto start = Clock::now();
    EXPECT_EQ(producer.loan_for(8000, 50ms).status(), Status::timed_out);
    EXPECT_GE(Clock::now() - start, 50ms);
    EXPECT_EQ(producer.send_for(pattern(8000), 5ms).status(), Status::timed_out);
    EXPECT_TRUE(producer.try_send("inline"));
    std::thread borrowing([&] {
        auto loan = producer.loan_for(8000, 20s);
        ASSERT_TRUE(loan);
        fill(loan, pattern(8000, 2));
        EXPECT_TRUE(std::move(loan).publish());
    });
    EXPECT_TRUE(eventually([&] { return is_waiting_for_room(name); }));
    EXPECT_TRUE(member.receive().text() == pattern(8000));
    borrowing.join();
    EXPECT_EQ(member.try_receive().text(), "inline");
    EXPECT_TRUE(member.try_receive().text() == pattern(8000, 2));
}

// A member moves its group's mark once a step, or when somebody is refused or sleeps.
TEST(Loan, FindsSpaceThatAMemberMadeAndDidNotPublish) {
    for (const WaitPolicy policy :
         {WaitPolicy::parking(), WaitPolicy::adaptive(), WaitPolicy::spinning()}) {
        const ChannelName name;
        auto channel = Channel<>::create(name, {.capacity = 256, .region_size = 8192});
        auto member = channel.join("workers", {.ack = Ack::manual});
        auto producer = channel.producer({.wait_policy = policy});
        const auto fill_and_settle = [&] {
            ASSERT_TRUE(producer.send(pattern(8000)));
            ASSERT_TRUE(member.receive().ack());
        };
        fill_and_settle();
        const auto start = Clock::now();
        EXPECT_TRUE(producer.send_for(pattern(8000), 20s));
        EXPECT_LT(Clock::now() - start, 2s);
        ASSERT_TRUE(member.receive().ack());
        for (const auto patience : {0ns, 1000ns, 1000000ns}) {
            EXPECT_TRUE(producer.loan_for(8000, patience)) << patience.count();
            fill_and_settle();
        }
        EXPECT_TRUE(producer.try_loan(8000));
    }
}

TEST(Loan, ALookForSpaceMovesNoMarkOfReadersThatAreNotThereYet) {
    // False when somebody looked after the dead meanwhile, as may happen at any time: that moves
    // marks as well.
    const auto holds = [] {
        const ChannelName name;
        auto channel = Channel<>::create(name, {.capacity = 256, .region_size = 8192});
        auto member = channel.join("workers", {.ack = Ack::manual});
        auto producer = channel.producer();
        EXPECT_TRUE(producer.send("inline"));
        EXPECT_TRUE(producer.send("inline"));
        EXPECT_TRUE(producer.send(pattern(8000)));
        const auto memory = memory_of(name);
        const auto mark = [&] {
            return memory->group(0).low_water_mark(std::memory_order_acquire);
        };
        const auto& swept_at = memory->header().swept_at;
        EXPECT_TRUE(member.receive().ack());
        const auto swept_before = swept_at.load();
        const auto before = mark();
        EXPECT_EQ(producer.try_loan(8000).status(), Status::full);
        EXPECT_EQ(producer.loan_for(8000, 1ms).status(), Status::timed_out);
        const auto after = mark();
        if (before != 0 || swept_at.load() != swept_before) return false;
        EXPECT_EQ(after, 0U);
        EXPECT_TRUE(member.receive().ack());
        EXPECT_TRUE(member.receive().ack());
        EXPECT_TRUE(producer.try_loan(8000));
        EXPECT_EQ(mark(), 3U);
        return true;
    };
    EXPECT_TRUE(eventually(holds));
}

TEST(Loan, CanBeMadeShorterAndNotLonger) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto producer = channel.producer();
    auto subscriber = channel.subscribe();
    for (const std::size_t size : {0U, 1U, 333U, 1000U}) {
        auto loan = producer.loan(1000);
        fill(loan, pattern(1000));
        loan.resize(size);
        EXPECT_EQ(loan.bytes().size(), size);
        loan.resize(5000);
        EXPECT_EQ(loan.bytes().size(), size);
        ASSERT_TRUE(std::move(loan).publish());
        EXPECT_EQ(subscriber.try_receive().text(), pattern(1000).substr(0, size));
    }
}

TEST(Loan, ThatFoundNoSlotIsKeptAndCanBePublishedAgain) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 1});
    auto producer = channel.producer();
    auto member = channel.join("workers");
    ASSERT_TRUE(producer.send("first"));
    auto loan = producer.loan(100);
    fill(loan, pattern(100));
    EXPECT_EQ(std::move(loan).try_publish().status(), Status::full);
    EXPECT_TRUE(loan);  // NOLINT(bugprone-use-after-move): a refused loan is kept
    std::stop_source stop;
    stop.request_stop();
    // NOLINTNEXTLINE(bugprone-use-after-move): a refused loan is kept
    EXPECT_EQ(std::move(loan).publish(stop.get_token()).status(), Status::interrupted);
    EXPECT_EQ(member.receive().text(), "first");
    // NOLINTNEXTLINE(bugprone-use-after-move): a refused loan is kept
    EXPECT_TRUE(std::move(loan).try_publish());
    EXPECT_EQ(member.receive().text(), pattern(100));
}

TEST(Loan, WaitsForASlotAsLongAsAskedAndCanBePublishedAfterwards) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 1});
    auto producer = channel.producer(parking);
    auto member = channel.join("workers");
    ASSERT_TRUE(producer.send("first"));
    auto loan = producer.loan(6);
    fill(loan, "second");
    std::stop_source stop;
    const auto publish_for = [&](std::chrono::nanoseconds span) {
        return std::move(loan).publish_for(span, stop.get_token()).status();
    };
    const auto start = Clock::now();
    EXPECT_EQ(publish_for(50ms), Status::timed_out);
    EXPECT_GE(Clock::now() - start, 50ms);
    EXPECT_LT(Clock::now() - start, 2s);
    EXPECT_TRUE(loan) << "a refused loan is kept";
    stop.request_stop();
    EXPECT_EQ(publish_for(20s), Status::interrupted);
    EXPECT_EQ(member.receive().text(), "first");
    EXPECT_EQ(publish_for(20s), Status::ok) << "nothing has to be waited for";
    EXPECT_EQ(publish_for(20s), Status::not_leased);
    EXPECT_EQ(member.receive().text(), "second");
}

TEST(Loan, MovingOneMovesTheSpace) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.region_size = 4096});
    auto producer = channel.producer();
    auto subscriber = channel.subscribe();
    auto loan = producer.loan(1000);
    fill(loan, pattern(1000));
    auto moved = std::move(loan);
    EXPECT_FALSE(loan);  // NOLINT(bugprone-use-after-move): what is left is the promise
    auto replaced = producer.loan(1000);
    replaced = std::move(moved);  // abandons the second
    auto mover = std::move(producer);
    EXPECT_TRUE(std::move(replaced).publish());
    EXPECT_EQ(subscriber.try_receive().text(), pattern(1000));
    EXPECT_EQ(subscriber.try_receive().status(), Status::empty);
    for (int i = 0; i < 20; ++i)
        EXPECT_TRUE(mover.try_loan(4000)) << "a loan was left behind";
    EXPECT_TRUE(mover.send("producers move, too"));
}

// -------------------------------------------------------------------------------------- batches

TEST(ProducerBatch, ArrivesInOrderWhateverItsSizes) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 256, .region_size = 262144});
    auto producer = channel.producer();
    auto subscriber = channel.subscribe();
    std::vector<std::string> texts;
    for (unsigned i = 0; i < 100; ++i)
        texts.push_back(pattern(i % 7 == 0 ? 2000 : i % 45, i));
    const std::vector<std::string_view> items(texts.begin(), texts.end());
    const BatchSent sent = producer.send_batch(items);
    EXPECT_TRUE(sent);
    EXPECT_EQ(sent.count(), 100U);
    auto batch = subscriber.receive_batch(200);
    ASSERT_EQ(batch.size(), 100U);
    std::size_t i = 0;
    for (auto& message : batch)
        EXPECT_TRUE(message.text() == texts[i++]);
    EXPECT_EQ(i, 100U);
    EXPECT_EQ(producer.send_batch({}).count(), 0U);
    EXPECT_TRUE(producer.try_send_batch({}));
}

TEST(ProducerBatch, TellsHowManyFoundRoomAndWhyNotMore) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 8});
    auto producer = channel.producer();
    auto member = channel.join("workers");
    const std::vector<std::string_view> items{"0", "1", "2", "3", "4"};
    EXPECT_EQ(producer.try_send_batch(items).count(), 5U);
    BatchSent sent = producer.try_send_batch(items);
    EXPECT_EQ(sent.count(), 3U);
    EXPECT_EQ(sent.status(), Status::full);
    sent = producer.send_batch_for(items, 10ms);
    EXPECT_EQ(sent.count(), 0U);
    EXPECT_EQ(sent.status(), Status::timed_out);
    for (const char* text : {"0", "1", "2", "3", "4", "0", "1", "2"})
        EXPECT_EQ(member.try_receive().text(), text);
    const std::string huge = pattern((1 << 20) + 1);
    const std::vector<std::string_view> partly{"a", huge, "b"};
    sent = producer.send_batch(partly);
    EXPECT_EQ(sent.count(), 1U);
    EXPECT_EQ(sent.status(), Status::too_large);
    EXPECT_EQ(member.try_receive().text(), "a");
    EXPECT_TRUE(producer.close());
    sent = producer.send_batch(items);
    EXPECT_EQ(sent.count(), 0U);
    EXPECT_EQ(sent.status(), Status::closed);
}

TEST(ProducerBatch, LongerThanTheRingWakesReadersBeforeItWaits) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 4});
    auto producer = channel.producer(parking);
    auto subscriber = channel.subscribe({.participant = parking});
    std::vector<std::string> texts;
    for (unsigned i = 0; i < 500; ++i)
        texts.push_back(std::to_string(i));
    const std::vector<std::string_view> items(texts.begin(), texts.end());
    std::thread reading([&] {
        for (const std::string& text : texts) {
            auto message = subscriber.receive_for(20s);
            ASSERT_TRUE(message);
            ASSERT_EQ(message.text(), text);
        }
    });
    const BatchSent sent = producer.send_batch_for(items, 20s);
    EXPECT_EQ(sent.count(), 500U);
    EXPECT_TRUE(sent);
    reading.join();
}

// -------------------------------------------------------------------------------------- waiting

TEST(ProducerWait, EndsWhenAReaderMakesRoom) {
    for (const bool exclusive : {false, true}) {
        for (const std::uint32_t capacity : {1U, 2U, 64U}) {
            SCOPED_TRACE(capacity);
            const ChannelName name;
            auto channel = Channel<>::create(name, {.capacity = capacity});
            auto subscriber = channel.subscribe();
            // One polls and one sleeps.
            auto producer =
                exclusive ? channel.exclusive_producer({.wait_policy = WaitPolicy::spinning()})
                          : channel.producer(parking);
            for (std::uint32_t i = 0; i < capacity; ++i)
                ASSERT_TRUE(producer.send("x"));
            std::thread sending([&] { EXPECT_TRUE(producer.send_for("last", 20s)); });
            EXPECT_TRUE(eventually([&] { return is_waiting_for_room(name); }));
            const auto start = Clock::now();
            EXPECT_EQ(subscriber.receive().text(), "x");
            sending.join();
            EXPECT_LT(Clock::now() - start, 2s);
            for (std::uint32_t i = 1; i < capacity; ++i)
                EXPECT_EQ(subscriber.try_receive().text(), "x");
            EXPECT_EQ(subscriber.try_receive().text(), "last");
        }
    }
}

// A member moves its group's mark once a step, or when somebody is refused or sleeps.
TEST(ProducerWait, FindsRoomThatAMemberMadeAndDidNotPublish) {
    for (const WaitPolicy policy :
         {WaitPolicy::parking(), WaitPolicy::adaptive(), WaitPolicy::spinning()}) {
        const ChannelName name;
        auto channel = Channel<>::create(name, {.capacity = 64});
        auto member = channel.join("workers");
        auto producer = channel.producer({.wait_policy = policy});
        for (int i = 0; i < 64; ++i)
            ASSERT_TRUE(producer.send("x"));
        ASSERT_TRUE(member.receive().ack());
        const auto start = Clock::now();
        EXPECT_TRUE(producer.send_for("waits", 20s));
        EXPECT_LT(Clock::now() - start, 2s);

        ASSERT_TRUE(member.receive().ack());
        EXPECT_TRUE(producer.try_send("does not wait"));

        ASSERT_TRUE(member.receive().ack());
        EXPECT_TRUE(producer.send_for("has no time to wait", 0s));

        ASSERT_TRUE(member.receive().ack());
        EXPECT_TRUE(producer.send_for("has little time to wait", 1us));
    }
}

TEST(ProducerWait, EndsAtItsDeadlineAndNotBefore) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 1});
    { auto member = channel.join("workers"); }
    for (const WaitPolicy policy :
         {WaitPolicy::parking(), WaitPolicy::adaptive(), WaitPolicy::spinning()}) {
        auto producer = channel.producer({.wait_policy = policy});
        (void)producer.try_send("x");
        const auto start = Clock::now();
        EXPECT_EQ(producer.send_for("y", 60ms).status(), Status::timed_out);
        EXPECT_GE(Clock::now() - start, 60ms);
        EXPECT_LT(Clock::now() - start, 2s);
        EXPECT_EQ(producer.send_for("y", 0s).status(), Status::timed_out);
        EXPECT_EQ(producer.send_for("y", -1s).status(), Status::timed_out);
        EXPECT_EQ(producer.try_send("y").status(), Status::full);
    }
    EXPECT_EQ(inspect(name).tail, 1U);
}

TEST(ProducerWait, ToCloseEndsAtItsDeadlineAndTheChannelGoesOn) {
    for (const bool exclusive : {false, true}) {
        SCOPED_TRACE(exclusive);
        const ChannelName name;
        auto channel = Channel<>::create(name, {.capacity = 1});
        auto member = channel.join("workers");
        auto producer = exclusive ? channel.exclusive_producer(parking) : channel.producer(parking);
        ASSERT_TRUE(producer.send("x"));
        const auto start = Clock::now();
        EXPECT_EQ(producer.close_for(60ms).status(), Status::timed_out);
        EXPECT_GE(Clock::now() - start, 60ms);
        EXPECT_LT(Clock::now() - start, 2s);
        EXPECT_EQ(producer.close_for(0s).status(), Status::timed_out);
        EXPECT_FALSE(inspect(name).closed);
        EXPECT_EQ(member.receive().text(), "x");
        EXPECT_TRUE(producer.send("y"));
        EXPECT_EQ(member.receive().text(), "y");
        EXPECT_TRUE(producer.close_for(20s));
        EXPECT_TRUE(inspect(name).closed);
        EXPECT_EQ(member.receive().status(), Status::closed);
    }
}

TEST(ProducerWait, ToCloseEndsWhenAReaderMakesRoom) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 1});
    auto member = channel.join("workers");
    auto producer = channel.producer(parking);
    ASSERT_TRUE(producer.send("x"));
    const std::jthread closing([&] { EXPECT_TRUE(producer.close_for(20s)); });
    EXPECT_TRUE(eventually([&] { return is_waiting_for_room(name); }));
    EXPECT_EQ(member.receive().text(), "x");
    EXPECT_EQ(member.receive_for(20s).status(), Status::closed);
}

TEST(ProducerWait, ALongSpanIsForEver) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 1});
    auto member = channel.join("workers");
    auto producer = channel.producer(parking);
    ASSERT_TRUE(producer.send_for("x", std::chrono::hours::max()));
    std::thread sending([&] { EXPECT_TRUE(producer.send_for("y", std::chrono::years::max())); });
    EXPECT_TRUE(eventually([&] { return is_waiting_for_room(name); }));
    EXPECT_EQ(member.receive().text(), "x");
    sending.join();
}

TEST(ProducerWait, EndsWhenAStopIsRequested) {
    for (const WaitPolicy policy :
         {WaitPolicy::parking(), WaitPolicy::adaptive(), WaitPolicy::spinning()}) {
        const ChannelName name;
        auto channel = Channel<>::create(name, {.capacity = 1, .region_size = 8192});
        { auto member = channel.join("workers"); }
        auto producer = channel.producer({.wait_policy = policy});
        std::stop_source stop;
        EXPECT_TRUE(producer.send(pattern(8000), stop.get_token()));
        std::atomic<int> started{0};
        std::thread sending([&] {
            ++started;
            EXPECT_EQ(producer.send("y", stop.get_token()).status(), Status::interrupted);
            EXPECT_EQ(producer.loan(8000, stop.get_token()).status(), Status::interrupted);
            const std::vector<std::string_view> items{"z"};
            EXPECT_EQ(producer.send_batch(items, stop.get_token()).status(), Status::interrupted);
            EXPECT_EQ(producer.close(stop.get_token()).status(), Status::interrupted);
            EXPECT_EQ(producer.send_for("y", 1h, stop.get_token()).status(), Status::interrupted);
            EXPECT_EQ(producer.close_for(1h, stop.get_token()).status(), Status::interrupted);
        });
        EXPECT_TRUE(eventually([&] { return started == 1; }));
        const auto start = Clock::now();
        stop.request_stop();
        sending.join();
        EXPECT_LT(Clock::now() - start, 2s);
        EXPECT_EQ(inspect(name).tail, 1U);
    }
}

extern "C" void do_nothing(int) {}

TEST(ProducerWait, ASignalEndsItOnlyForAHandleThatAskedToBeTold) {
    struct sigaction action {};
    action.sa_handler = do_nothing;
    action.sa_flags = SA_RESTART;
    struct sigaction former {};
    ASSERT_EQ(::sigaction(SIGUSR1, &action, &former), 0);
    for (const bool told : {false, true}) {
        SCOPED_TRACE(told);
        const ChannelName name;
        auto channel = Channel<>::create(name, {.capacity = 1});
        auto member = channel.join("workers");
        WaitPolicy policy = WaitPolicy::parking();
        policy.return_on_signal = told;
        auto producer = channel.producer({.wait_policy = policy});
        ASSERT_TRUE(producer.send("x"));
        std::atomic<bool> done{false};
        Status status{};
        std::thread sending([&] {
            status = producer.send_for("y", 20s).status();
            done = true;
        });
        EXPECT_TRUE(eventually([&] { return is_waiting_for_room(name); }));
        const auto give_up = Clock::now() + (told ? 20s : 100ms);
        while (!done && Clock::now() < give_up) {
            ::pthread_kill(sending.native_handle(), SIGUSR1);
            std::this_thread::sleep_for(5ms);
        }
        EXPECT_EQ(done, told);
        EXPECT_EQ(member.receive().text(), "x");
        sending.join();
        EXPECT_EQ(status, told ? Status::interrupted : Status::ok);
    }
    ::sigaction(SIGUSR1, &former, nullptr);
}

TEST(ProducerWait, EveryOneOfSeveralGetsItsTurn) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 2});
    auto subscriber = channel.subscribe({.participant = parking});
    std::vector<std::thread> sending;
    sending.reserve(64);
    for (int p = 0; p < 4; ++p) {
        sending.emplace_back([&] {
            auto producer = channel.producer(parking);
            for (int i = 0; i < 200; ++i)
                ASSERT_TRUE(producer.send_for("x", 20s));
        });
    }
    for (int i = 0; i < 800; ++i)
        ASSERT_TRUE(subscriber.receive_for(20s));
    for (auto& thread : sending)
        thread.join();
}

TEST(ProducerAfterFork, IsAnErrorInTheChildAndUnharmedInTheParent) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto producer = channel.producer();
    auto subscriber = channel.subscribe();
    auto loan = producer.loan(100);
    fill(loan, pattern(100));
    Child child([&] {
        try {
            (void)producer.send("from the child");
        } catch (const Error& error) {
            if (error.code() == Errc::forked) return;
        }
        throw std::runtime_error("was not refused");
    });
    EXPECT_EQ(child.wait(), 0);
    EXPECT_EQ(inspect(name).producers(), 1U);
    EXPECT_TRUE(std::move(loan).publish());
    EXPECT_EQ(subscriber.receive().text(), pattern(100));
    EXPECT_EQ(subscriber.try_receive().status(), Status::empty);
}

}
}
