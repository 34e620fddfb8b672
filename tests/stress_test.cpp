// 1000 random schedules of producers, members and subscribers, killed with SIGKILL at random and
// replaced. IPC_SCHEDULE_SEED repeats one schedule (as far as the scheduler allows),
// IPC_SCHEDULES sets their number.

#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/schedule.hpp"

namespace ipc::test {
namespace {

TEST(RandomSchedules, AThousandLoseNoMessageAndRepeatNoneUnannounced) {
    const char* const chosen = std::getenv("IPC_SCHEDULE_SEED");
    const char* const number = std::getenv("IPC_SCHEDULES");
    const std::uint64_t first =
        chosen != nullptr ? std::stoull(chosen) : std::uint64_t{std::random_device{}()};
    const std::uint64_t count = number != nullptr ? std::stoull(number) : 1000;
    RecordProperty("first_seed", std::to_string(first));
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        ASSERT_EQ(run_schedule(seed), "") << "seed " << seed;
    }
}

}
}
