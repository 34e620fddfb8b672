#include "tests/support/seed.hpp"

#include <cstdlib>
#include <random>
#include <string>

namespace ipc::test {
namespace {

std::uint64_t choose() {
    const char* const chosen = std::getenv("IPC_TEST_SEED");
    return chosen != nullptr ? std::stoull(chosen) : std::uint64_t{std::random_device{}()};
}

}

Seed::Seed()
    : value(choose()),
      trace_(
          __FILE__, __LINE__,
          "to repeat it as far as the scheduler allows: IPC_TEST_SEED=" + std::to_string(value)) {
    testing::Test::RecordProperty("seed", std::to_string(value));
}

}
