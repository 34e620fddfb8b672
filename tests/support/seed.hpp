#pragma once

#include <cstdint>

#include <gtest/gtest.h>

namespace ipc::test {

/// The seed of a random test: what IPC_TEST_SEED says, or else another one in each run. It is
/// recorded with the test, and printed with each failure for as long as this object lives.
class Seed {
public:
    Seed();

    const std::uint64_t value;

private:
    const testing::ScopedTrace trace_;
};

}
