// tools/demo.sh: what it shows, and that it fails and cleans up when it has to.

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/shell.hpp"

namespace ipc::test {
namespace {

namespace fs = std::filesystem;

const std::string demo = "'" IPC_SOURCE_DIRECTORY "/tools/demo.sh' ";
const std::string build = fs::path(IPC_TOOL_DIRECTORY).parent_path().string();

class Demo : public ::testing::Test {
protected:
    void TearDown() override { EXPECT_FALSE(shell_.has_channels()); }

    Shell shell_{std::string("demo-") +
                 ::testing::UnitTest::GetInstance()->current_test_info()->name()};
};

// What a newcomer starts: installs what is missing, builds, and runs.
TEST_F(Demo, BuildsAndRuns) {
    const auto result =
        shell_.run("cd /; env -i PATH=\"$PATH\" IPC_DIRECTORY=\"$IPC_DIRECTORY\" " + demo, 800);
    EXPECT_EQ(result.exit_code, 0) << result;
    EXPECT_EQ(result.err, "");
    // The files are there on every Debian system; what wc says of them, the demo has to say.
    const auto expected = shell_.run(
        "for i in {1..10}; do cat /usr/share/common-licenses/*; done | LC_ALL=C wc | "
        "awk '{print $1, $2, $3}'");
    std::size_t found = 0;
    for (std::size_t start = 0, end = 0; end != std::string::npos; start = end + 1) {
        end = expected.out.find_first_of(" \n", start);
        const std::string figure = expected.out.substr(start, end - start);
        if (figure.empty()) break;
        EXPECT_NE(result.out.find(" " + figure + " "), std::string::npos) << figure << result;
        ++found;
    }
    EXPECT_EQ(found, 3U) << expected;
}

TEST_F(Demo, FitsOnAScreen) {
    const auto result = shell_.run("TMPDIR=$PWD " + demo + build + "; ls");
    EXPECT_EQ(result.exit_code, 0) << result;
    EXPECT_EQ(result.err, "");
    EXPECT_LE(std::count(result.out.begin(), result.out.end(), '\n'), 24) << result;
    // The table adapts to a terminal, and this is none; the text around it has to fit any.
    std::istringstream lines(result.out);
    bool table = false;
    for (std::string line; std::getline(lines, line);) {
        table = line.starts_with("CHANNEL") || (table && !line.empty());
        if (table || line.find(shell_.channels().string()) != std::string::npos) continue;
        EXPECT_LE(line.size(), 80U) << line;
    }
    for (const char* text : {"CHANNEL, group", "BACKLOG", "workers", "holds a lease", "killed",
                             "as wc -w says", "identical to the input"}) {
        EXPECT_NE(result.out.find(text), std::string::npos) << text << result;
    }
}

// A program that does the same but for what `script` does to the roles that are not left alone.
std::string fake(const std::string& program, const std::string& script) {
    return "rm -rf fake; mkdir -p fake/examples; ln -s '" + build +
           "/bin' fake/bin; ln -s '" IPC_EXAMPLE_DIRECTORY
           "'/[a-z]* fake/examples\n"
           "examples='" IPC_EXAMPLE_DIRECTORY "' program=" +
           program + "\n" +
           R"(rm fake/examples/$program
cat > fake/examples/$program <<END
#!/usr/bin/env bash
original=$examples/$program
END
cat >> fake/examples/$program <<'END'
case $1 in work | kill | publish) exec "$original" "$@" ;; esac
)" + script +
           "\nEND\nchmod +x fake/examples/$program\n";
}

TEST_F(Demo, FailsWhenAFigureIsOff) {
    struct Case {
        const char* program;
        const char* script;
        const char* message;
    };
    for (const auto& [program, script, message] : {
             Case{"zero_copy", "cat; echo more", "the copy of the archive differs"},
             Case{"publish_subscribe", R"("$original" "$@" | sed 's/GNU/Gnu/')",
                  "the archive differs"},
             Case{"work_queue", R"("$original" "$@" | sed 's/, 4/, 5/')", "words counted"},
             Case{"work_queue", R"("$original" "$@"; exit 7)", "total ended with 7"},
         }) {
        const auto result = shell_.run(fake(program, script).append(demo).append("$PWD/fake"));
        EXPECT_EQ(result.exit_code, 1) << result;
        EXPECT_NE(result.err.find(message), std::string::npos) << message << result;
        EXPECT_FALSE(shell_.has_channels()) << message;
    }
}

TEST_F(Demo, FailsWithoutItsPrograms) {
    const auto result = shell_.run(demo + "\"$PWD/nothing\"");
    EXPECT_EQ(result.exit_code, 1) << result;
    EXPECT_NE(result.err.find("nothing/examples/publish_subscribe is missing"), std::string::npos)
        << result;
}

TEST_F(Demo, AFolderIsTheCallersAndAnOptionIsNone) {
    const auto missing = shell_.run(demo + "nothing");
    EXPECT_EQ(missing.exit_code, 1) << missing;
    EXPECT_NE(missing.err.find(shell_.file("nothing/examples").string()), std::string::npos)
        << missing;
    const auto unknown = shell_.run(demo + "--quick");
    EXPECT_EQ(unknown.exit_code, 2) << unknown;
    EXPECT_NE(unknown.err.find("unknown option --quick"), std::string::npos) << unknown;
    const auto help = shell_.run("cd '" IPC_SOURCE_DIRECTORY "/tests' && ../tools/demo.sh --help");
    EXPECT_EQ(help.exit_code, 0) << help;
    EXPECT_NE(help.out.find("tools/demo.sh FOLDER"), std::string::npos) << help;
}

TEST_F(Demo, CleansUpWhenInterrupted) {
    // Only its own processes have the folder in their environment.
    const std::string script = "export TMPDIR=$PWD; " + demo + build +
                               R"( > out 2>&1 & sleep $moment; kill -TERM $!; wait $! || echo $?
ls
grep -lz "^TMPDIR=$PWD$" /proc/[0-9]*/environ 2> /dev/null | while read -r file; do
    tr '\0' ' ' 2> /dev/null < ${file%environ}cmdline
done | grep -e [p]ublish_subscribe -e [w]ork_queue || true)";
    for (const char* moment : {"0.1", "0.7", "2"}) {
        const auto result =
            shell_.run(std::string("moment=").append(moment).append("\n").append(script));
        EXPECT_EQ(result.exit_code, 0) << result;
        EXPECT_EQ(result.out, "143\nout\n") << moment << result;
        EXPECT_FALSE(shell_.has_channels()) << moment;
    }
}

}
}
