// The fuzzers of tests/fuzz over the inputs kept in tests/fuzz/corpus, and over some random ones,
// in every build. tools/fuzz.sh runs them under libFuzzer.

#include "tests/fuzz/fuzz.hpp"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/own_directory.hpp"
#include "tests/support/seed.hpp"
#include "tests/support/shell.hpp"

namespace ipc::fuzz {
namespace {

// They remove whatever is dead.
const test::OwnDirectory directory;

struct Target {
    const char* name;
    void (*run)(Input);
};

class Fuzzers : public testing::TestWithParam<Target> {};

TEST_P(Fuzzers, FindNothingInTheInputsKept) {
    const auto folder =
        std::filesystem::path(IPC_SOURCE_DIRECTORY) / "tests/fuzz/corpus" / GetParam().name;
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder))
        files.push_back(entry.path());
    ASSERT_FALSE(files.empty());
    std::sort(files.begin(), files.end());
    for (const auto& file : files) {
        const std::string bytes = test::read_file(file);
        EXPECT_NO_THROW(
            GetParam().run({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}))
            << file;
    }
}

TEST_P(Fuzzers, FindNothingInRandomInputs) {
    const test::Seed first;
    for (std::uint64_t seed = first.value; seed < first.value + 100; ++seed) {
        std::mt19937_64 random(seed);
        std::vector<std::uint8_t> bytes(random() % 400);
        for (std::uint8_t& byte : bytes)
            byte = static_cast<std::uint8_t>(random());
        EXPECT_NO_THROW(GetParam().run(bytes)) << "seed " << seed;
    }
}

INSTANTIATE_TEST_SUITE_P(Targets, Fuzzers,
                         testing::Values(Target{"damaged_objects", damaged_objects},
                                         Target{"vandal", vandal}, Target{"semantics", semantics}),
                         [](const auto& given) { return std::string(given.param.name); });

}  // namespace
}  // namespace ipc::fuzz
