#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "ipc/base/error.hpp"
#include "ipc/format/layout.hpp"
#include "ipc/format/slot.hpp"
#include "ipc/format/words.hpp"

namespace ipc::format {
namespace {

TEST(PackedWords, ExtendFindsTheNearestPositionAcrossAWrap) {
    for (const unsigned bits : {44U, 48U}) {
        const Position wrap = Position{1} << bits;
        for (const Position position :
             {Position{0}, Position{5}, wrap - 1, wrap, wrap + 7, 3 * wrap - 2, ~Position{0}}) {
            for (const std::int64_t distance : {-1000, -1, 0, 1, 1000}) {
                const Position near = position + static_cast<Position>(distance);
                EXPECT_EQ(extend(position & low_bits(bits), bits, near), position);
            }
        }
    }
}

TEST(PackedWords, ALeaseKeepsItsFieldsApart) {
    const Lease lease = Lease::make(0xFFFFFFFF, 255, 255, 4000, LeaseState::dead_exhausted);
    EXPECT_EQ(lease.lap(), 0xFFFFFFFFU);
    EXPECT_EQ(lease.attempt(), 255U);
    EXPECT_EQ(lease.generation(), 255U);
    EXPECT_EQ(lease.member(), 4000U);
    EXPECT_EQ(lease.state(), LeaseState::dead_exhausted);
    EXPECT_EQ(lease.to(LeaseState::settled, 1, 7).generation(), 0U);
}

TEST(PackedWords, AClearedHintIsNeverANewerOne) {
    const Hint hint = Hint::make(17, low_bits(Hint::version_bits));
    EXPECT_FALSE(Hint::make(17, hint.version() + 1).is_none());
    EXPECT_NE(Hint::make(17, hint.version() + 1).bits, hint.bits);
    EXPECT_FALSE(Hint::make(0, 0).is_none());
}

TEST(PackedWords, ADeadlineBelongsToOneLeaseOnly) {
    const Lease lease = Lease::make(3, 1, 9, 5, LeaseState::leased);
    const DeadlineTag tag = DeadlineTag::make(123456, lease);
    EXPECT_TRUE(tag.belongs_to(lease));
    EXPECT_EQ(tag.milliseconds(), 123456U);
    EXPECT_FALSE(tag.belongs_to(lease.to(LeaseState::leased, 2, 5)));
    EXPECT_FALSE(tag.belongs_to(Lease::make(4, 1, 9, 5, LeaseState::leased)));
}

TEST(Slot, ATouchChangesNothing) {
    Slot slot{};
    constexpr std::uint64_t all = ~std::uint64_t{0};
    constexpr unsigned known = 0xFF;
    for (const std::uint64_t length : {std::uint64_t{0}, std::uint64_t{1}, all >> 32}) {
        for (const unsigned flags : {0U, 1U, known}) {
            for (const unsigned extension : {0U, 8U, 0xFFFFU}) {
                const auto descriptor = Descriptor::make(length, flags, extension);
                slot.state = all;
                slot.publish_time = all;
                slot.descriptor = descriptor.bits;
                slot.touch();
                EXPECT_EQ(slot.state, all);
                EXPECT_EQ(slot.publish_time, all);
                EXPECT_EQ(slot.descriptor, descriptor.bits);
            }
        }
    }
}

TEST(Slot, ATouchStoresTheZeroAndNothingElse) {
    constexpr std::uint64_t all = ~std::uint64_t{0};
    Slot slot{};
    slot.state = all;
    slot.publish_time = all;
    slot.descriptor = all;
    slot.touch();
    EXPECT_EQ(slot.state, all);
    EXPECT_EQ(slot.publish_time, all);
    EXPECT_EQ(slot.descriptor, ~Descriptor::always_zero);
}

TEST(Histogram, BucketsAreOrderedAndBoundTheirDurations) {
    for (std::uint64_t value = 1; value < (std::uint64_t{1} << 42); value = value * 5 / 4 + 1) {
        const std::size_t bucket = bucket_of(value);
        EXPECT_LE(bucket_floor(bucket), value);
        EXPECT_GT(bucket_floor(bucket + 1), value);
    }
}

TEST(Layout, EachPositionOfALapHasASlotOfItsOwnAndTheNextOneIsNoNeighbour) {
    constexpr std::uint64_t start = 1'000'003;
    for (std::uint64_t capacity = 1; capacity <= 4096; capacity *= 2) {
        SCOPED_TRACE(capacity);
        std::vector<bool> taken(capacity);
        for (std::uint64_t position = start; position < start + capacity; ++position) {
            const std::uint64_t slot = slot_of(position, capacity - 1);
            const std::uint64_t next = slot_of(position + 1, capacity - 1);
            ASSERT_LT(slot, capacity);
            EXPECT_FALSE(taken[slot]);
            taken[slot] = true;
            EXPECT_EQ(slot, slot_of(position + capacity, capacity - 1));
            if (capacity >= 8) {
                EXPECT_GE(std::max(slot, next) - std::min(slot, next), 3U);
            }
        }
    }
}

TEST(Layout, RoundsCapacityUpToAPowerOfTwo) {
    for (const auto& [asked, given] : {std::pair{1U, 1U}, {2U, 2U}, {3U, 4U}, {1000U, 1024U}}) {
        EXPECT_EQ(layout_of("x", {.capacity = asked}).capacity, given);
    }
}

Preamble whole_header(const ChannelOptions& options) {
    Preamble preamble{};
    preamble.magic = magic;
    preamble.version = format_version;
    preamble.fingerprint = fingerprint();
    preamble.layout = layout_of("x", options);
    preamble.inline_size = options.inline_size;
    preamble.temporary = options.temporary ? 1 : 0;
    return preamble;
}

Errc verdict_on(const Preamble& preamble) {
    try {
        check("x", preamble, ~std::uint64_t{0});
        return {};
    } catch (const Error& error) {
        return static_cast<Errc>(error.code().value());
    }
}

TEST(Header, OfEveryChannelThatCanBeMadePassesItsCheck) {
    for (const ChannelOptions& options : {ChannelOptions{},
                                          {.capacity = 1},
                                          {.capacity = 1U << 24,
                                          .inline_size = 65512,
                                          .region_size = (std::uint64_t{1} << 32) - 8192,
                                          .max_participants = 4000,
                                          .max_groups = 1024},
                                          {.inline_size = 8},
                                          {.region_size = 0},
                                          {.region_size = 1},
                                          {.max_participants = 1, .max_groups = 1},
                                          {.temporary = true}}) {
        EXPECT_EQ(verdict_on(whole_header(options)), Errc{});
    }
}

TEST(Header, WithoutALayoutIsDamaged) {
    Preamble preamble = whole_header({});
    preamble.layout = {};
    EXPECT_EQ(verdict_on(preamble), Errc::corrupt);
    preamble.inline_size = 0;
    EXPECT_EQ(verdict_on(preamble), Errc::corrupt);
}

TEST(Header, WithAnyPartOfItsLayoutDamagedIsToldSo) {
    const Preamble whole = whole_header({});
    for (std::size_t at = 0; at < sizeof(Layout); at += sizeof(std::uint32_t)) {
        SCOPED_TRACE(at);
        for (const std::uint32_t damage : {1U, 0x80000000U, ~0U, 0x1000U}) {
            Preamble preamble = whole;
            std::uint32_t word = 0;
            std::memcpy(&word, reinterpret_cast<char*>(&preamble.layout) + at, sizeof word);
            word ^= damage;
            std::memcpy(reinterpret_cast<char*>(&preamble.layout) + at, &word, sizeof word);
            EXPECT_EQ(verdict_on(preamble), Errc::corrupt) << damage;
        }
    }
}

TEST(Header, WithATypeThatCannotBeIsDamaged) {
    Preamble preamble = whole_header({});
    preamble.type = {.hash = 1, .size = 20, .alignment = 4};
    EXPECT_EQ(verdict_on(preamble), Errc{});
    for (const std::uint32_t alignment : {0U, 3U, 12U, 128U, 0x80000000U}) {
        preamble.type.alignment = alignment;
        EXPECT_EQ(verdict_on(preamble), Errc::corrupt) << alignment;
    }
    preamble.type = {.hash = 0, .size = 0, .alignment = 8};
    EXPECT_EQ(verdict_on(preamble), Errc::corrupt);
}

TEST(Header, WithAnOptionThatIsNeitherSetNorClearIsDamaged) {
    Preamble preamble = whole_header({});
    preamble.temporary = 1U << 8;
    EXPECT_EQ(verdict_on(preamble), Errc::corrupt);
}

}
}
