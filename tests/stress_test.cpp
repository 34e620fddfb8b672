// 1000 random schedules of producers, members and subscribers, killed with SIGKILL at random and
// replaced. IPC_TEST_SEED is the seed of the first, IPC_SCHEDULES sets their number: 1 repeats one
// schedule, as far as the scheduler allows.

#include <cstdint>
#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/schedule.hpp"
#include "tests/support/seed.hpp"

namespace ipc::test {
namespace {

TEST(RandomSchedules, AThousandLoseNoMessageAndRepeatNoneUnannounced) {
    const char* const number = std::getenv("IPC_SCHEDULES");
    const std::uint64_t count = number != nullptr ? std::stoull(number) : 1000;
    const Seed first;
    for (std::uint64_t seed = first.value; seed < first.value + count; ++seed) {
        ASSERT_EQ(run_schedule(seed), "") << "seed " << seed;
    }
}

}
}
