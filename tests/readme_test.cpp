// README.md does what it says: its commands run, its examples compile, its figures are right.

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "ipc/ipc.hpp"
#include "tests/support/shell.hpp"

namespace ipc::test {
namespace {

namespace fs = std::filesystem;

// Run on their own: by demo_test, and by whoever runs these tests.
const std::set<std::string> run_elsewhere = {"./tools/demo.sh", "./tools/test.sh",
                                             "./tools/compare.sh"};

const std::string source = IPC_SOURCE_DIRECTORY;

std::vector<std::string> split_lines(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);)
        lines.push_back(line);
    return lines;
}

std::vector<std::string> readme() {
    return split_lines(read_file(source + "/README.md"));
}

/// The fenced blocks of one language.
std::vector<std::string> blocks(const std::string& language) {
    std::vector<std::string> result;
    bool inside = false;
    for (const std::string& line : readme()) {
        if (inside && line == "```") {
            inside = false;
        } else if (inside) {
            result.back() += line + "\n";
        } else if (line == "```" + language) {
            inside = true;
            result.emplace_back();
        }
    }
    return result;
}

std::string commands() {
    std::string script;
    for (const std::string& block : blocks("sh")) {
        for (const std::string& line : split_lines(block)) {
            if (!run_elsewhere.contains(line)) script += line + "\n";
        }
    }
    return script;
}

/// `code` within the text, outside of blocks.
std::vector<std::string> inline_code() {
    std::vector<std::string> result;
    bool inside = false;
    for (const std::string& line : readme()) {
        if (line.starts_with("```")) inside = !inside;
        if (inside) continue;
        for (std::size_t start = line.find('`'); start != std::string::npos;) {
            const std::size_t end = line.find('`', start + 1);
            if (end == std::string::npos) break;
            result.push_back(line.substr(start + 1, end - start - 1));
            start = line.find('`', end + 1);
        }
    }
    return result;
}

// A copy of what the commands need, so that nothing is written beside the sources. HOME is there,
// too.
const std::string checkout =
    "export HOME=$PWD/home; mkdir -p home\n"
    "cp -r '" +
    source + "'/{CMakeLists.txt,CMakePresets.json,ipc,tools,examples} .\n";

std::string project(const std::string& block) {
    return "cmake_minimum_required(VERSION 3.25)\nproject(hello LANGUAGES CXX)\n"
           "add_executable(hello ../hello.cpp)\n" +
           block;
}

const std::string build_project =
    "rm -rf project; mkdir project; mv CMakeLists.txt project/\n"
    "ln -s '" +
    source +
    "' project/ipc\n"
    "cmake -S project -B project/build "
    "-DCMAKE_PREFIX_PATH=\"$PWD/home/.local\"\n"
    "cmake --build project/build --parallel 2\n"
    "test -x project/build/hello\n";

TEST(Readme, EveryCommandWorks) {
    ASSERT_EQ(blocks("cpp").size(), 2U);
    const Shell shell("readme");
    write_file(shell.file("hello.cpp"), blocks("cpp").front());
    const auto result = shell.run(checkout + commands(), 800);
    ASSERT_EQ(result.exit_code, 0) << result;
    EXPECT_EQ(
        result.err,
        "ipc-recv: channel jobs: made group workers; ipc-rm jobs --group workers removes it\n");
    for (const char* expected :
         {"\nhello, world (attempt 1)\n", "\nhello again (attempt 1)\n", "\n1\n2\n3\n",
          "\n1\n2\n3\n4\n", "\n5\n6\n7\n8\n9\n10\n", "schema_version", "CHANNEL, group"}) {
        EXPECT_NE(("\n" + result.out).find(expected), std::string::npos) << expected << result;
    }
    EXPECT_FALSE(shell.has_channels());

    // The second example is a fragment.
    write_file(shell.file("inspect.cpp"),
               "#include <iostream>\n#include <ipc/ipc.hpp>\nint main() {\n" +
                   blocks("cpp").back() + "}\n");
    const auto compiled = shell.run("c++ -std=c++20 -Wall -Wextra -Werror -fsyntax-only -I '" +
                                    source + "' inspect.cpp");
    EXPECT_EQ(compiled.exit_code, 0) << compiled;

    // What was installed is found as the page says; and so are the sources.
    ASSERT_EQ(blocks("cmake").size(), 2U);
    for (const std::string& block : blocks("cmake")) {
        write_file(shell.file("CMakeLists.txt"), project(block));
        const auto built = shell.run(build_project, 400);
        EXPECT_EQ(built.exit_code, 0) << block << built;
    }
}

// Commands belong into blocks, where the test above finds them.
TEST(Readme, HasNoCommandOutsideOfItsBlocks) {
    const std::set<std::string> programs = {"ipc-send",    "ipc-recv", "ipc-peek",   "ipc-rm",
                                            "ipc-monitor", "cmake",    "pkg-config", "docker",
                                            "sudo",        "./hello",  "apt-get",    "ctest"};
    for (const std::string& code : inline_code()) {
        const std::size_t space = code.find(' ');
        if (space == std::string::npos || !programs.contains(code.substr(0, space))) continue;
        EXPECT_NE(commands().find(code), std::string::npos) << code;
    }
    for (const std::string& line : readme()) {
        if (!line.starts_with("```") || line == "```") continue;
        EXPECT_TRUE(line == "```sh" || line == "```cpp" || line == "```cmake")
            << line << ": not tested";
    }
}

// On a machine that has nothing but what the page installs.
TEST(Readme, ItsFirstCommandInstallsWhatItsOthersCall) {
    const std::string script = commands();
    ASSERT_TRUE(script.starts_with("tools/install-packages.sh build\n")) << script;
    const std::string installer = read_file(source + "/tools/install-packages.sh");
    const std::size_t begin = installer.find(" build) echo ") + 7;
    std::istringstream installed(installer.substr(begin, installer.find(";;", begin) - begin));
    const std::set<std::string> packages{std::istream_iterator<std::string>(installed), {}};
    const std::pair<const char*, const char*> program_and_package[] = {
        {"cmake", "cmake"}, {"c++", "g++"}, {"pkg-config", "pkg-config"}, {"curl", "curl"}};
    for (const auto& [program, package] : program_and_package) {
        EXPECT_NE(script.find(std::string(program) + " "), std::string::npos) << program;
        EXPECT_TRUE(packages.contains(package)) << package;
    }
}

TEST(Readme, TheExampleIsShort) {
    EXPECT_LE(split_lines(blocks("cpp").front()).size(), 25U);
}

TEST(Readme, NamesExistingFolders) {
    std::size_t found = 0;
    for (const std::string& code : inline_code()) {
        const bool path = code.starts_with("ipc/") || code.starts_with("./tools/") ||
                          code == "examples" || code == "tools" || code == "bench" ||
                          code == "tests";
        if (!path || code.find('*') != std::string::npos) continue;
        EXPECT_TRUE(fs::exists(fs::path(source) / code)) << code;
        ++found;
    }
    EXPECT_GE(found, 8U);
    for (const std::string& command : run_elsewhere) {
        EXPECT_TRUE(fs::exists(fs::path(source) / command)) << command;
    }
}

TEST(Readme, TheMemoryCostIsRight) {
    const auto row = [](const std::string& name, const ChannelOptions& options) {
        const MemoryCost cost = memory_cost(options);
        return "| " + name + " | " + std::to_string(cost.channel) + " | " +
               std::to_string(cost.group) + " | " + std::to_string(cost.producer) + " |";
    };
    const auto lines = readme();
    for (const std::string& expected :
         {row("defaults", {}),
          row("capacity 64, 8 participants, no region",
              {.capacity = 64, .region_size = 0, .max_participants = 8}),
          row("capacity 65536", {.capacity = 65536})}) {
        EXPECT_EQ(std::count(lines.begin(), lines.end(), expected), 1) << expected;
    }

    // The formula.
    const ChannelOptions options{.capacity = 1000, .inline_size = 100, .max_participants = 50};
    const auto pages = [](std::uint64_t bytes) { return (bytes + 4095) / 4096 * 4096; };
    const MemoryCost cost = memory_cost(options);
    EXPECT_EQ(cost.channel,
              pages(4096 + 256 * options.max_participants) + pages(std::uint64_t{1024} * 128));
    EXPECT_EQ(cost.group, memory_cost({.capacity = 1}).group + std::uint64_t{16} * 1024);
}

TEST(Readme, TheDefaultsAreRight) {
    const ChannelOptions channel;
    const GroupOptions group;
    const std::string text = read_file(source + "/README.md");
    const auto row = [&text](const std::string& option, const std::string& value) {
        EXPECT_NE(text.find(option + " | " + value + " |"), std::string::npos) << option << value;
    };
    row("`capacity`", std::to_string(channel.capacity));
    row("`inline_size`", std::to_string(channel.inline_size));
    row("`region_size`", std::to_string(channel.region_size >> 20) + " MiB");
    row("`max_participants`, `max_groups`",
        std::to_string(channel.max_participants) + ", " + std::to_string(channel.max_groups));
    row("`temporary`", channel.temporary ? "yes" : "no");
    row("`delivery`", group.delivery == Delivery::reliable ? "reliable" : "lossy");
    row("`lifetime`", group.lifetime == Lifetime::durable ? "durable" : "ephemeral");
    row("`ack`", group.ack == Ack::automatic ? "automatic" : "manual");
    row("`max_attempts`", std::to_string(group.max_attempts));
    row("`lease_limit`", std::to_string(group.lease_limit.count()));
    EXPECT_EQ(channel.mode, 0600U);
}

}
}
