// How many instructions single operations take, counted by callgrind: unlike time, that does not
// depend on what else the machine does. The bounds are nearly twice what GCC 12 made when they were
// written: they stop a path from growing unnoticed, not another compiler. Under callgrind
// everything is slow, so that nearly every message is stamped and sampled; ordinary ones take
// fewer.

#include <cstdint>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/shell.hpp"

namespace ipc::test {
namespace {

struct Bound {
    const char* operation;
    double instructions;
};

/// Of the whole program, which repeats an operation that often; 0 when callgrind did not say.
double instructions(const Shell& shell, const std::string& operation, int count) {
    const auto result =
        shell.run("valgrind --tool=callgrind --callgrind-out-file=/dev/null '" IPC_TOOL_DIRECTORY
                  "/ipc-microbench' --repeat " +
                      operation + " " + std::to_string(count),
                  300);
    EXPECT_EQ(result.exit_code, 0) << result;
    const std::string key = "Collected : ";
    const std::size_t at = result.err.find(key);
    return at == std::string::npos ? 0 : std::stod(result.err.substr(at + key.size()));
}

class Instructions : public ::testing::TestWithParam<Bound> {};

TEST_P(Instructions, OfOneOperationStayFew) {
    const Shell shell("instructions");
    if (shell.run("valgrind --version").exit_code != 0) GTEST_SKIP() << "no valgrind";
    // What is common to both runs, start and end of the program, cancels out.
    constexpr int few = 200;
    constexpr int more = 1200;
    const double with_few = instructions(shell, GetParam().operation, few);
    const double with_more = instructions(shell, GetParam().operation, more);
    ASSERT_GT(with_few, 0);
    const double each = (with_more - with_few) / (more - few);
    RecordProperty("instructions", static_cast<int>(each));
    EXPECT_GT(each, 10);
    EXPECT_LT(each, GetParam().instructions);
}

INSTANTIATE_TEST_SUITE_P(
    All, Instructions,
    ::testing::Values(Bound{"send_exclusive", 200}, Bound{"send_shared", 300},
                      Bound{"loan_and_publish", 600}, Bound{"exclusive_to_subscriber", 500},
                      Bound{"exclusive_to_lossy_subscriber", 1000},
                      Bound{"batch_of_16_to_subscriber", 6000},
                      Bound{"shared_to_group_with_ack", 900},
                      Bound{"shared_to_group_given_back", 3500}, Bound{"receive", 500},
                      Bound{"claim", 900}, Bound{"settle", 900}, Bound{"send_to_1_idle_group", 200},
                      Bound{"send_to_64_idle_groups", 200}, Bound{"subscribe_and_leave", 36'000},
                      Bound{"join_and_leave", 36'000}, Bound{"inspect", 13'000}),
    [](const auto& test) { return std::string(test.param.operation); });

}
}
