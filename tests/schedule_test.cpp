// The short version of stress_test: random schedules of processes that are killed and replaced.

#include "tests/support/schedule.hpp"

#include <cstdint>

#include <gtest/gtest.h>

#include "tests/support/seed.hpp"

namespace ipc::test {
namespace {

TEST(RandomSchedules, LoseNoMessageAndRepeatNoneUnannounced) {
    const Seed first;
    for (std::uint64_t seed = first.value; seed < first.value + 30; ++seed) {
        ASSERT_EQ(run_schedule(seed), "") << "seed " << seed;
    }
}

}
}
