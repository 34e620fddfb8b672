// Touching: when a producer stores ahead into the slots of later messages (protocol/touching.hpp).

#include "ipc/protocol/touching.hpp"

#include <cstdint>

#include <gtest/gtest.h>

namespace ipc::protocol {
namespace {

/// Samples of a producer whose messages are that far apart.
class Samples {
public:
    Touching touching;

    /// In how many of `count` samples it touched ahead.
    int exclusive(os::Nanoseconds apart, int count = 64) {
        return of(apart, count, [&] { touching.choose_exclusive(now_, sent_); });
    }
    int shared(os::Nanoseconds apart, os::Nanoseconds claim, int count = 64) {
        return of(apart, count, [&] {
            if (touching.wants_claim_timed()) touching.claim_took(claim);
            touching.choose_shared(now_, sent_);
        });
    }
    int shared_untimed(os::Nanoseconds apart, int count = 64) {
        return of(apart, count, [&] { touching.choose_shared(now_, sent_); });
    }

private:
    template <class Choose>
    int of(os::Nanoseconds apart, int count, Choose choose) {
        constexpr std::uint64_t messages = 101;
        int touched = 0;
        for (int i = 0; i < count; ++i) {
            sent_ += messages;
            now_ += apart * static_cast<os::Nanoseconds>(messages);
            choose();
            if (touching.pays()) ++touched;
        }
        return touched;
    }

    os::Nanoseconds now_ = 1'000'000;
    std::uint64_t sent_ = ~std::uint64_t{0} - 1000;
};

TEST(Touching, DoesNotPayBeforeThePaceIsKnown) {
    Samples samples;
    EXPECT_FALSE(samples.touching.pays());
    EXPECT_EQ(samples.exclusive(1000, 1), 0);
}

TEST(Touching, PaysForAnExclusiveProducerWithTimeBetweenItsMessages) {
    Samples samples;
    samples.exclusive(1000, 1);
    EXPECT_EQ(samples.exclusive(1000), 64);
    EXPECT_EQ(samples.exclusive(10), 0);
    EXPECT_EQ(samples.exclusive(1'000'000'000), 64);
}

TEST(Touching, OfAnExclusiveProducerIsLeftOutNowAndThenAsItMayBeWhatKeepsMessagesApart) {
    Samples samples;
    samples.exclusive(100, 1);
    EXPECT_EQ(samples.exclusive(100, 640), 630);
    // As when they are 40 ns apart by themselves, and 100 when it touches.
    int touched = 0;
    for (int i = 0; i < 640; ++i)
        touched += samples.exclusive(samples.touching.pays() ? 100 : 40, 1);
    EXPECT_LT(touched, 64);
    EXPECT_FALSE(samples.touching.pays());
}

TEST(Touching, PaysForASharedProducerThatSpendsItsTimeOnClaims) {
    Samples samples;
    samples.shared(1000, 0, 1);
    samples.shared(150, 140, 1);  // distant processors
    EXPECT_TRUE(samples.touching.pays());
    // It stays although claims are short then, but for a trial now and then.
    int touched = 0;
    for (int i = 0; i < 640; ++i)
        touched +=
            samples.touching.pays() ? samples.shared(75, 10, 1) : samples.shared(180, 140, 1);
    EXPECT_GT(touched, 620);
    EXPECT_LT(touched, 640);
}

TEST(Touching, DoesNotPayForASharedProducerWithTimeBetweenItsMessages) {
    Samples samples;
    samples.shared(1000, 0, 1);
    EXPECT_EQ(samples.shared(180, 60), 0);  // a round trip, near
    EXPECT_EQ(samples.shared(570, 200), 0);
    samples.shared(150, 140, 1);
    ASSERT_TRUE(samples.touching.pays());
    EXPECT_EQ(samples.shared(100'000, 100'000), 0);
    // From one to the other, within a trial.
    samples.shared(150, 140, 2);
    ASSERT_TRUE(samples.touching.pays());
    samples.shared(180, 60);
    EXPECT_EQ(samples.shared(180, 60), 0);
}

TEST(Touching, OfASharedProducerDoesNotBeginWithAClaimThatWasNotTimed) {
    Samples samples;
    samples.shared(150, 0, 1);
    EXPECT_EQ(samples.shared_untimed(150), 0);
    samples.shared(150, 140, 1);
    EXPECT_TRUE(samples.touching.pays());
}

}  // namespace
}  // namespace ipc::protocol
