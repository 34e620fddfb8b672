// The short version of stress_test: random schedules of processes that are killed and replaced.

#include "tests/support/schedule.hpp"

#include <cstdint>
#include <random>

#include <gtest/gtest.h>

namespace ipc::test {
namespace {

TEST(RandomSchedules, LoseNoMessageAndRepeatNoneUnannounced) {
    const std::uint64_t first = std::random_device{}();
    RecordProperty("first_seed", std::to_string(first));
    for (std::uint64_t seed = first; seed < first + 30; ++seed) {
        ASSERT_EQ(run_schedule(seed), "") << "seed " << seed;
    }
}

}
}
