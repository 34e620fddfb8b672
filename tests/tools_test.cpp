// The command-line tools, as their users start them: through a shell, in pipelines.

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <ostream>
#include <random>
#include <regex>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "ipc/ipc.hpp"
#include "tests/support/child.hpp"
#include "tests/support/torn.hpp"
#include "tools/common/failure.hpp"
#include "tools/common/output_file.hpp"

namespace {

namespace fs = std::filesystem;

std::string read_file(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void write_file(const fs::path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
}

struct Result {
    int exit_code;
    std::string out;
    std::string err;
};

std::ostream& operator<<(std::ostream& stream, const Result& result) {
    return stream << "exit code " << result.exit_code << "\nstdout: " << result.out
                  << "\nstderr: " << result.err;
}

class ToolsTest : public ::testing::Test {
protected:
    ToolsTest() {
        const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
        const std::string name =
            std::string("ipc-") + test->name() + "." + std::to_string(::getpid());
        files_ = fs::temp_directory_path() / name;
        // Channels of its own: `--dead` and the monitor concern all there are.
        channels_ = fs::path("/dev/shm") / name;
        fs::create_directories(files_);
        fs::create_directories(channels_);
    }
    ~ToolsTest() override {
        std::error_code ignored;
        fs::remove_all(files_, ignored);
        fs::remove_all(channels_, ignored);
    }

    /// Runs a script with bash, in the test's folder; "$out" and what the script needs are relative
    /// to it.
    Result run(const std::string& script) const {
        write_file(files_ / "script", "export IPC_DIRECTORY='" + channels_.string() +
                                          "' PATH='" IPC_TOOL_DIRECTORY "':\"$PATH\"\ncd '" +
                                          files_.string() + "'\nset -o pipefail\n" + script + "\n");
        const std::string base = files_.string();
        const int status = std::system(("timeout -k 5 60 bash '" + base + "/script' > '" + base +
                                        "/stdout' 2> '" + base + "/stderr' < /dev/null")
                                           .c_str());
        const int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        return {code, read_file(files_ / "stdout"), read_file(files_ / "stderr")};
    }

    fs::path file(const std::string& name) const { return files_ / name; }
    const fs::path& channels() const { return channels_; }
    fs::path object(const std::string& channel) const { return channels_ / ("ipc." + channel); }

    /// Bytes of all values, as reproducible as they are irregular.
    std::string random_bytes(std::size_t size) const {
        std::mt19937_64 random(size);
        std::string bytes(size, '\0');
        for (char& byte : bytes)
            byte = static_cast<char>(random());
        return bytes;
    }

private:
    fs::path files_;
    fs::path channels_;
};

std::size_t count_lines(const std::string& text) {
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

// A failure is one line that names the tool, the subject and, after a semicolon, the remedy.
void expect_error(const Result& result, int exit_code, const std::string& text) {
    EXPECT_EQ(result.exit_code, exit_code) << result;
    EXPECT_EQ(count_lines(result.err), 1U) << result;
    EXPECT_NE(result.err.find(text), std::string::npos) << result;
}

// --- copies -------------------------------------------------------------------------------------

TEST_F(ToolsTest, CopiesABinaryFileWhenTheReaderStartsFirst) {
    write_file(file("in"), random_bytes(5'000'001));
    const Result result = run(
        "ipc-recv x --raw > out & ipc-send x --raw --wait-for-readers 1 --close < in && wait $!");
    EXPECT_EQ(result.exit_code, 0) << result;
    EXPECT_EQ(result.err, "");
    EXPECT_TRUE(read_file(file("in")) == read_file(file("out")));
}

TEST_F(ToolsTest, CopiesABinaryFileWhenTheWriterStartsFirst) {
    write_file(file("in"), random_bytes(5'000'001));
    const Result result =
        run("ipc-send x --raw --wait-for-readers 1 --close < in &\n"
            "until [[ -e $IPC_DIRECTORY/ipc.x ]]; do sleep 0.01; done\n"
            "ipc-recv x --raw > out && wait $!");
    EXPECT_EQ(result.exit_code, 0) << result;
    EXPECT_TRUE(read_file(file("in")) == read_file(file("out")));
}

TEST_F(ToolsTest, CopiesToSeveralReadersAndAGroup) {
    write_file(file("in"), random_bytes(1'000'000));
    const Result result = run(
        "for i in 1 2; do ipc-recv x --raw > out$i & done; ipc-recv x --group g --raw > out3 &\n"
        "ipc-send x --raw --exclusive --wait-for-readers 3 --close < in && wait");
    EXPECT_EQ(result.exit_code, 0) << result;
    for (const char* out : {"out1", "out2", "out3"}) {
        EXPECT_TRUE(read_file(file("in")) == read_file(file(out))) << out;
    }
}

TEST_F(ToolsTest, CopiesThroughChannelsOfAllShapes) {
    write_file(file("in"), random_bytes(100'000));
    for (const char* shape : {"--capacity 1", "--capacity 2 --inline-size 8", "--region-size 0",
                              "--region-size 4K", "--region-size 4M --capacity 4", "--temporary"}) {
        const Result result =
            run(std::string("ipc-recv x --raw > out & ipc-send x --raw ") + shape +
                " --wait-for-readers 1 --close < in && wait $! && "
                "{ ipc-rm x 2> /dev/null; true; }");
        EXPECT_EQ(result.exit_code, 0) << shape << result;
        EXPECT_TRUE(read_file(file("in")) == read_file(file("out"))) << shape;
    }
}

TEST_F(ToolsTest, CopiesBlocks) {
    write_file(file("in"), random_bytes(100'000));
    for (const char* size : {"1", "7", "40", "4K", "100000"}) {
        const Result result =
            run(std::string("ipc-recv x --raw > out & ipc-send x --temporary --size ") + size +
                " --wait-for-readers 1 --close < in && wait $!");
        EXPECT_EQ(result.exit_code, 0) << size << result;
        EXPECT_TRUE(read_file(file("in")) == read_file(file("out"))) << size;
    }
}

TEST_F(ToolsTest, BlocksHaveTheSizeAskedFor) {
    const Result result =
        run("printf 'abcdefgh' | ipc-send x --size 3 --close && ipc-recv x --from earliest");
    EXPECT_EQ(result.exit_code, 0) << result;
    EXPECT_EQ(result.out, "abc\ndef\ngh\n");
}

TEST_F(ToolsTest, PassesAPipeOnAtOnce) {
    // The reader ends with the first message, while the writer's input is still open.
    const Result result =
        run("ipc-recv x --raw --count 1 > out & reader=$!\n"
            "(echo now; sleep 30) | ipc-send x --raw --wait-for-readers 1 & wait $reader; cat out");
    EXPECT_EQ(result.exit_code, 0) << result;
    EXPECT_EQ(result.out, "now\n");
}

// --- lines --------------------------------------------------------------------------------------

TEST_F(ToolsTest, LinesArriveAsLines) {
    const Result result =
        run("printf 'one\\n\\nthree\\0x\\nlast without newline' | ipc-send x --close\n"
            "ipc-recv x --from earliest");
    EXPECT_EQ(result.exit_code, 0) << result;
    EXPECT_EQ(result.out, std::string("one\n\nthree\0x\nlast without newline\n", 34));
}

TEST_F(ToolsTest, ManyLinesOfAllLengths) {
    const Result result = run(
        "awk 'BEGIN { for (i = 0; i < 20000; ++i) printf(\"%*d\\n\", i % 300, i); "
        "printf(\"%*d\\n\", 300000, 1) }' > in\n"
        "ipc-recv x > out & ipc-send x --wait-for-readers 1 --close < in && wait $! && cmp in out");
    EXPECT_EQ(result.exit_code, 0) << result;
}

TEST_F(ToolsTest, ALineThatIsTooLongIsNamed) {
    const Result result =
        run("{ echo fine; head -c 100000 /dev/zero; } | ipc-send x --region-size 4K");
    expect_error(result, 1, "line 2 is longer than");
    EXPECT_NE(result.err.find("--region-size"), std::string::npos) << result;
    EXPECT_EQ(run("ipc-recv x --from earliest --timeout 0").out, "fine\n");
}

TEST_F(ToolsTest, EmptyInputIsNoMessage) {
    const Result result = run("ipc-send x --close < /dev/null && ipc-recv x --from earliest");
    EXPECT_EQ(result.exit_code, 0) << result;
    EXPECT_EQ(result.out, "");
}

TEST_F(ToolsTest, StartsWhereAsked) {
    run("seq 10 | ipc-send x");
    EXPECT_EQ(run("ipc-recv x --from earliest --count 2").out, "1\n2\n");
    EXPECT_EQ(run("ipc-recv x --from 8 --timeout 0").out, "9\n10\n");
    EXPECT_EQ(run("ipc-recv x --timeout 0").out, "");
    EXPECT_EQ(run("ipc-recv x --from earliest --lossy --count 3 --raw").out, "123");
}

TEST_F(ToolsTest, TellsHowManyPositionsWereGone) {
    const Result result =
        run("seq 100 | ipc-send x --capacity 16 && ipc-recv x --from 0 --timeout 0");
    EXPECT_EQ(result.exit_code, 0) << result;
    EXPECT_NE(result.err.find("positions were gone"), std::string::npos) << result;
    EXPECT_EQ(result.out.substr(result.out.size() - 4), "100\n");
}

// --- groups -------------------------------------------------------------------------------------

TEST_F(ToolsTest, MembersShareAGroup) {
    const Result result =
        run("ipc-send x < /dev/null; for i in 1 2 3; do ipc-recv x --group g > out$i & done\n"
            "until [ \"$(ipc-monitor --json --once --interval 0.01 | grep -c '\"member\"')\" = 3 "
            "]; do "
            ":; done\n"
            "seq 3000 | ipc-send x --close && wait && sort -n out1 out2 out3 | cmp - <(seq 3000)");
    EXPECT_EQ(result.exit_code, 0) << result;
}

TEST_F(ToolsTest, AcknowledgesWhatWasWrittenAndNothingElse) {
    // The group exists before the messages do.
    run("ipc-send x < /dev/null; ipc-recv x --group g --timeout 0; seq 5 | ipc-send x");
    const Result full = run("ipc-recv x --group g --count 2 > /dev/full");
    expect_error(full, 1, "standard output");
    EXPECT_EQ(run("ipc-recv x --group g --count 2").out, "1\n2\n");
    EXPECT_EQ(run("ipc-recv x --group g --timeout 0").out, "3\n4\n5\n");
    EXPECT_EQ(run("ipc-recv x --group g --timeout 0").out, "");
}

// A message of that size is written without a stay in the buffer.
TEST_F(ToolsTest, KeepsWhatCouldNotBeWrittenInAGroupThatAcknowledgesByItself) {
    ipc::test::Child program([&] {
        ::setenv("IPC_DIRECTORY", channels().c_str(), 1);
        auto channel = ipc::Channel<>::create("x", {.region_size = 1 << 16});
        auto member = channel.join("g");
        (void)channel.producer().send(std::string(20'000, 'x'));
    });
    ASSERT_EQ(program.wait(), 0);
    expect_error(run("ipc-recv x --group g > /dev/full"), 1, "standard output");
    EXPECT_EQ(run("ipc-recv x --group g --timeout 0").out, std::string(20'000, 'x') + "\n");
}

TEST_F(ToolsTest, AGroupTakesItsPoliciesAlong) {
    run("ipc-send x < /dev/null\n"
        "ipc-recv x --group g --timeout 0 --max-attempts 3 --lease-limit 9 --dead-letter "
        "x.dead");
    EXPECT_EQ(run("ipc-recv x --group g --timeout 0").exit_code, 0);
    EXPECT_EQ(run("ipc-recv x --group g --timeout 0 --max-attempts 3").exit_code, 0);
    expect_error(run("ipc-recv x --group g --timeout 0 --max-attempts 4"), 1, "channel x");
    EXPECT_EQ(run("ipc-recv x --group g --timeout 0 --lease-limit 8.9995").exit_code, 0);
    expect_error(run("ipc-recv x --group g --timeout 0 --lease-limit 0.0001"), 1,
                 "lease_limit 9000 ms");
    expect_error(run("ipc-recv x --group g --timeout 0 --lease-limit 0.0001"), 1,
                 "lease_limit 1 ms");
    expect_error(run("ipc-recv x --group g --timeout 0 --lease-limit 5e6"), 2, "0 to 49 days");
}

TEST_F(ToolsTest, AGroupThatIsMadeIsTold) {
    run("ipc-send x < /dev/null");
    const Result made = run("ipc-recv x --group typo --timeout 0");
    EXPECT_EQ(made.exit_code, 0) << made;
    EXPECT_EQ(made.err, "ipc-recv: channel x: made group typo; ipc-rm x --group typo removes it\n");
    EXPECT_EQ(run("ipc-recv x --group typo --timeout 0").err, "");
    EXPECT_EQ(run("ipc-recv x --group brief --ephemeral --timeout 0").err,
              "ipc-recv: channel x: made group brief\n");
}

TEST_F(ToolsTest, NoGroupIsMadeWithoutLeave) {
    run("ipc-send x < /dev/null; ipc-recv x --group g --timeout 0; echo job | ipc-send x");
    expect_error(run("ipc-recv x --group typo --no-create --timeout 0"), 1,
                 "channel x: has no group typo; check the name");
    expect_error(run("ipc-rm x --group typo"), 1, "channel x");
    const Result joined = run("ipc-recv x --group g --no-create --timeout 0");
    EXPECT_EQ(joined.exit_code, 0) << joined;
    EXPECT_EQ(joined.out, "job\n");
}

// Each message has one attempt: those that were taken with the first must not lose theirs.
TEST_F(ToolsTest, AnOutputThatFailsCostsOneMessageAnAttemptWhereAttemptsAreLimited) {
    run("ipc-send x < /dev/null; ipc-send x.dead < /dev/null\n"
        "ipc-recv x --group g --timeout 0 --max-attempts 1 --dead-letter x.dead\n"
        "seq 5 | ipc-send x");
    expect_error(run("ipc-recv x --group g > /dev/full"), 1, "standard output");
    EXPECT_EQ(run("ipc-recv x --group g --timeout 0.2").out, "2\n3\n4\n5\n");
    EXPECT_EQ(run("ipc-recv x.dead --from earliest --timeout 0").out, "1\n");
}

// --- commands for messages ----------------------------------------------------------------------

TEST_F(ToolsTest, ACommandThatSucceedsAcknowledgesItsMessage) {
    run("ipc-send x < /dev/null; ipc-recv x --group g --timeout 0; seq 3 | ipc-send x");
    const Result result =
        run("ipc-recv x --group g --timeout 0 --exec 'read -r job; echo \"did $job\"'");
    EXPECT_EQ(result.exit_code, 0) << result;
    EXPECT_EQ(result.out, "did 1\ndid 2\ndid 3\n");
    EXPECT_EQ(result.err, "");
    EXPECT_EQ(run("ipc-recv x --group g --timeout 1.2").out, "");
    run("printf 12345678 | ipc-send x --size 4");
    EXPECT_EQ(run("ipc-recv x --group g --count 2 --raw --exec cat").out, "12345678");
}

TEST_F(ToolsTest, ACommandThatFailsGivesItsMessageBack) {
    run("ipc-send x < /dev/null; ipc-recv x --group g --timeout 0; seq 2 | ipc-send x");
    for (const auto& [command, end] : {std::pair("exit 3", "exit code 3"),
                                       {"kill -9 $$", "signal 9"},
                                       {"kill -PIPE $$", "signal 13"}}) {
        const Result result =
            run(std::string("ipc-recv x --group g --count 1 --exec '") + command + "'");
        EXPECT_EQ(result.exit_code, 1) << result;
        EXPECT_NE(result.err.find(std::string("was given back: its command ended with ") + end),
                  std::string::npos)
            << result;
        EXPECT_NE(result.err.find("channel x: 1 of 1 commands failed"), std::string::npos);
    }
    EXPECT_EQ(run("ipc-recv x --group g --count 2 | sort").out, "1\n2\n");
}

TEST_F(ToolsTest, ACommandNeedNotReadItsMessage) {
    write_file(file("long"), std::string(400'000, 'x') + "\n");
    run("ipc-send x < /dev/null; ipc-recv x --group g --timeout 0; cat long long | ipc-send x");
    const Result result = run("ipc-recv x --group g --count 1 --exec true");
    EXPECT_EQ(result.exit_code, 0) << result;
    EXPECT_EQ(result.err, "");
    EXPECT_EQ(run("ipc-recv x --group g --count 1 --exec 'cmp - long'").exit_code, 0);
}

TEST_F(ToolsTest, AMessageWhoseCommandsFailBecomesADeadLetter) {
    run("ipc-send x < /dev/null; ipc-send x.dead < /dev/null\n"
        "ipc-recv x --group g --timeout 0 --max-attempts 2 --dead-letter x.dead\n"
        "printf '%s\\n' good poison fine | ipc-send x");
    const Result result =
        run("ipc-recv x --group g --timeout 2 --exec 'read -r job; echo $job; [ $job != poison ]'");
    EXPECT_EQ(result.exit_code, 1) << result;
    EXPECT_EQ(result.out, "good\npoison\nfine\npoison\n");
    EXPECT_NE(result.err.find("2 of 4 commands failed"), std::string::npos) << result;
    EXPECT_EQ(run("ipc-recv x.dead --from earliest --timeout 0").out, "poison\n");
}

TEST_F(ToolsTest, ACommandThatCannotBeRunCostsOneMessageAnAttempt) {
    run("ipc-send x < /dev/null; ipc-recv x --group g --timeout 0 --max-attempts 1\n"
        "seq 3 | ipc-send x");
    const Result result =
        run("ipc-recv x --group g --exec no-such-command 2> error; cat error >&2;"
            "grep -c 'exit code 127; check --exec' error");
    EXPECT_EQ(result.out, "1\n") << result;
    EXPECT_EQ(run("ipc-recv x --group g --timeout 1.2").out, "2\n3\n");
}

TEST_F(ToolsTest, ASignalEndsTheCommandAndGivesItsMessageBack) {
    run("ipc-send x < /dev/null; ipc-recv x --group g --timeout 0; seq 2 | ipc-send x");
    const Result result = run(
        "ipc-recv x --group g --exec 'echo > started; (sleep 2; echo > end); true' & worker=$!\n"
        "until [ -s started ]; do sleep 0.01; done\n"
        "kill -TERM $worker; wait $worker; echo $?; sleep 2.2\n"
        "[ ! -e end ] || echo 'its processes went on'");
    EXPECT_EQ(result.out, "143\n") << result;
    EXPECT_EQ(run("ipc-recv x --group g --count 2 | sort").out, "1\n2\n");
}

TEST_F(ToolsTest, WhatACommandFinishedBeforeASignalEndsTheToolIsDone) {
    run("ipc-send x < /dev/null; ipc-recv x --group g --timeout 0; seq 2 | ipc-send x");
    const Result result =
        run("ipc-recv x --group g --exec 'trap \"\" TERM; echo > started; sleep 0.5' & worker=$!\n"
            "until [ -s started ]; do sleep 0.01; done; kill -TERM $worker; wait $worker");
    EXPECT_EQ(result.exit_code, 143) << result;
    EXPECT_EQ(run("ipc-recv x --group g --timeout 1.2").out, "2\n");
}

TEST_F(ToolsTest, AMessageComesAgainWhenTheToolIsKilledBesideItsCommand) {
    run("ipc-send x < /dev/null; ipc-recv x --group g --timeout 0; echo job | ipc-send x");
    const Result result =
        run("ipc-recv x --group g --exec 'echo > started; sleep 1' & worker=$!\n"
            "until [ -s started ]; do sleep 0.01; done; kill -KILL $worker; wait $worker\n"
            "ipc-recv x --group g --count 1 --exec cat");
    EXPECT_EQ(result.exit_code, 0) << result;
    EXPECT_EQ(result.out, "job\n");
}

TEST_F(ToolsTest, ALossyGroupHasNoCommands) {
    run("ipc-send x < /dev/null; ipc-recv x --group g --lossy --timeout 0");
    expect_error(run("ipc-recv x --group g --exec cat"), 1, "group g is lossy");
}

TEST_F(ToolsTest, CountIsAPromise) {
    run("seq 3 | ipc-send x --close");
    const Result closed = run("ipc-recv x --from earliest --count 4");
    expect_error(closed, 1, "3 of 4");
    EXPECT_EQ(closed.out, "1\n2\n3\n");
    EXPECT_EQ(run("ipc-recv x --from earliest").exit_code, 0);
}

// --- what goes wrong ----------------------------------------------------------------------------

TEST_F(ToolsTest, UsageErrorsExitWithTwo) {
    for (const char* command : {"ipc-send",
                                "ipc-send x --size 0",
                                "ipc-send x --raw --size 4",
                                "ipc-send x --nonsense",
                                "ipc-send x --no-create --capacity 8",
                                "ipc-send x --capacity 0",
                                "ipc-send x --capacity 1k",
                                "ipc-send x --capacity 0x10",
                                "ipc-send x --inline-size 7",
                                "ipc-send x --region-size -1",
                                "ipc-send x --region-size 99999999999G",
                                "ipc-send x --region-size K",
                                "ipc-send x --wait-for-readers -1",
                                "ipc-recv",
                                "ipc-recv x --from yesterday",
                                "ipc-recv x --from -1",
                                "ipc-recv x --count 0",
                                "ipc-recv x --count 1.5",
                                "ipc-recv x --group g --max-attempts 251",
                                "ipc-recv x --group ''",
                                "ipc-recv x --max-attempts 3",
                                "ipc-recv x --no-create",
                                "ipc-recv x --exec cat",
                                "ipc-recv x --group g --exec ''",
                                "ipc-recv x --group g --lossy --exec cat",
                                "ipc-recv x --group g --no-create --from earliest",
                                "ipc-recv x --lease-limit 3",
                                "ipc-recv x --group g --lease-limit -1",
                                "ipc-recv x --group g --dead-letter ''",
                                "ipc-rm x --group ''",
                                "ipc-rm",
                                "ipc-rm x --dead",
                                "ipc-rm --dead --group g",
                                "ipc-rm x --purge",
                                "ipc-peek",
                                "ipc-peek x --redrive --json",
                                "ipc-peek x --redrive --to ''",
                                "ipc-peek x --count 0",
                                "ipc-peek x --from -1",
                                "ipc-monitor --interval 0"}) {
        const Result result = run(command);
        EXPECT_EQ(result.exit_code, 2) << command << result;
        EXPECT_EQ(count_lines(result.err), 1U) << command << result;
        EXPECT_EQ(result.out, "") << command;
        EXPECT_LT(result.err.size(), 150U) << command << result;
    }
}

TEST_F(ToolsTest, AnEmptyNameOfAGroupDoesNotMeanTheChannel) {
    run("echo precious | ipc-send x");
    expect_error(run("ipc-rm x --group \"$UNSET\""), 2, "--group");
    EXPECT_EQ(run("ipc-recv x --from earliest --timeout 0").out, "precious\n");
}

TEST_F(ToolsTest, UsageErrorsNameTheHelpThatDescribesTheOptions) {
    expect_error(run("ipc-send x --nonsense"), 2, "see ipc-send --help");
    expect_error(run("ipc-monitor record x --nonsense"), 2, "see ipc-monitor record --help");
}

TEST_F(ToolsTest, AnUnknownOptionIsNamedBeforeWhatFollowsFromIt) {
    expect_error(run("ipc-send -x"), 2, "ipc-send: unknown option -x; see");
    expect_error(run("ipc-send --capcity 64 c"), 2, "unknown option --capcity; see");
    expect_error(run("ipc-send --capcity=64"), 2, "unknown option --capcity; see");
    expect_error(run("ipc-monitor record --nonsense"), 2, "unknown option --nonsense; see");
    expect_error(run("ipc-send c more"), 2, "more");
}

TEST_F(ToolsTest, NumbersAreDecimalAndSizesTakeAUnit) {
    run("ipc-send x --capacity 010 --inline-size 0100 --region-size 8k < /dev/null");
    const Result result =
        run("ipc-send x --capacity 16 --inline-size 100 --region-size 8192 < /dev/null");
    EXPECT_EQ(result.exit_code, 0) << result;
    EXPECT_EQ(run("ipc-send y --region-size 1M < /dev/null").exit_code, 0);
    EXPECT_EQ(run("ipc-send y --region-size 1048576 < /dev/null").exit_code, 0);
    EXPECT_EQ(run("seq 9 | ipc-send z; ipc-recv z --from 010 --count 010 --timeout 0").exit_code,
              1);
    EXPECT_EQ(run("ipc-peek z --from 08 | tail -n 1 | grep -c 9").out, "1\n");
}

TEST_F(ToolsTest, RangesOfChannelOptionsAreThoseOfTheLibrary) {
    for (const auto& [option, beyond] : {std::pair("capacity", ipc::ChannelOptions{.capacity = 0}),
                                         {"inline-size", {.inline_size = 0}},
                                         {"region-size", {.region_size = ~std::uint64_t{0}}},
                                         {"max-participants", {.max_participants = 0}},
                                         {"max-groups", {.max_groups = 0}}}) {
        std::string refusal;
        try {
            (void)ipc::memory_cost(beyond);
        } catch (const ipc::Error& error) {
            refusal = error.what();
        }
        std::smatch range;
        ASSERT_TRUE(std::regex_search(refusal, range, std::regex("must be (\\d+ to \\d+)")))
            << option << ": " << refusal;
        expect_error(run(std::string("ipc-send x --") + option + " -1 < /dev/null"), 2,
                     "-1 is not a whole number from " + range[1].str());
    }
}

TEST_F(ToolsTest, VersionIsThatOfTheProgramAndOfTheFormat) {
    for (const char* tool : {"ipc-send", "ipc-recv", "ipc-rm", "ipc-peek", "ipc-monitor"}) {
        const Result result = run(std::string(tool) + " --version");
        EXPECT_EQ(result.exit_code, 0) << tool << result;
        EXPECT_EQ(result.out.find("ipc "), 0U) << tool << result;
        EXPECT_NE(result.out.find(", format "), std::string::npos) << tool << result;
    }
}

// "|" alone would leave it to chance whether the reader is gone before the tool writes.
TEST_F(ToolsTest, ExitCodesAreTheSameWhereErrorsCannotBeWritten) {
    for (const auto& [command, code] :
         {std::pair("ipc-rm missing", 1), {"ipc-recv missing --wait 0", 1}, {"ipc-rm", 2}}) {
        const std::string full = std::string(command) + " 2> /dev/full";
        EXPECT_EQ(run(full).exit_code, code) << full;
        const std::string broken =
            std::string("{ sleep 0.2; ") + command + "; echo $? > code; } 2>&1 | true; cat code";
        EXPECT_EQ(run(broken).out, std::to_string(code) + "\n") << broken;
    }
}

TEST_F(ToolsTest, AWaitGoesOnWhereNobodyCanBeToldOfIt) {
    const Result result =
        run("ipc-recv late --from earliest --count 1 2> /dev/full & sleep 1.5\n"
            "echo here | ipc-send late; wait $!");
    EXPECT_EQ(result.exit_code, 0) << result;
    EXPECT_EQ(result.out, "here\n");
}

TEST_F(ToolsTest, HelpShowsExamples) {
    for (const char* tool : {"ipc-send", "ipc-recv", "ipc-rm", "ipc-peek", "ipc-monitor"}) {
        const Result result = run(std::string(tool) + " --help");
        EXPECT_EQ(result.exit_code, 0) << tool;
        EXPECT_NE(result.out.find(std::string("Examples:\n  ")), std::string::npos) << result;
        EXPECT_NE(result.out.find("IPC_DIRECTORY"), std::string::npos) << result;
        EXPECT_EQ(result.err, "");
    }
}

TEST_F(ToolsTest, HelpExplainsWhatMayBeMissingInATable) {
    const Result result = run("ipc-peek --help");
    EXPECT_NE(result.out.find("AGE is -"), std::string::npos) << result;
    EXPECT_NE(result.out.find("PRODUCER is empty"), std::string::npos) << result;
}

TEST_F(ToolsTest, BadNamesAreRefused) {
    for (const char* command : {"ipc-send a/b < /dev/null", "ipc-recv ../x --wait 0", "ipc-rm ''",
                                "ipc-peek 'a b'", "ipc-recv x! --group g --wait 0"}) {
        const Result result = run(command);
        EXPECT_EQ(result.exit_code, 2) << command << result;
        EXPECT_EQ(count_lines(result.err), 1U) << command << result;
    }
    run("ipc-send x < /dev/null");
    EXPECT_EQ(run("ipc-recv x --group 'a b' --timeout 0").exit_code, 2);
    expect_error(run("ipc-recv x --group g --lossy --max-attempts 3"), 2, "lossy");
}

TEST_F(ToolsTest, MissingChannels) {
    expect_error(run("ipc-recv x --wait 0"), 1, "ipc-recv: channel x: ");
    expect_error(run("ipc-send x --no-create"), 1, "ipc-send: channel x: ");
    expect_error(run("ipc-peek x"), 1, "ipc-peek: channel x: ");
    expect_error(run("ipc-rm x"), 1, "ipc-rm: channel x: ");
}

TEST_F(ToolsTest, RemediesForMissingChannelsAreThoseOfTheTool) {
    const std::string missing =
        "channel x: does not exist; check the name (ipc-monitor --once lists all)";
    expect_error(run("ipc-peek x"), 1, missing + "\n");
    expect_error(run("ipc-rm x"), 1, missing + "\n");
    expect_error(run("ipc-rm x --group g"), 1, missing + "\n");
    expect_error(run("ipc-send x --no-create"), 1, missing + ", or leave out --no-create\n");
    expect_error(run("ipc-recv x --wait 0"), 1, missing + ", or wait for it (--wait)\n");
}

TEST_F(ToolsTest, WhoDoesNotWaitForMessagesDoesNotWaitForTheirChannel) {
    expect_error(run("ipc-recv x --timeout 0"), 1, "channel x: does not exist");
    const Result result =
        run("ipc-recv x --from earliest --timeout 0 --wait 50 & sleep 0.3\n"
            "echo late | ipc-send x; wait $!");
    EXPECT_EQ(result.exit_code, 0) << result;
}

TEST_F(ToolsTest, SaysWhatItWaitsFor) {
    for (const auto& [command, text] : {std::pair("ipc-recv typo", "waiting for channel typo"),
                                        {"ipc-send x --wait-for-readers 2", "0 of 2"}}) {
        const Result result = run(std::string(command) + " 2> said & until grep -q '" + text +
                                  "' said; do sleep 0.01; done; kill $!");
        EXPECT_EQ(result.exit_code, 0) << command << result;
    }
}

TEST_F(ToolsTest, NamesThatOthersChoseDoNotReachTheTerminalAsTheyAre) {
    ipc::test::Child program([&] {
        ::setenv("IPC_DIRECTORY", channels().c_str(), 1);
        auto channel = ipc::Channel<>::create("x");
        auto producer = channel.exclusive_producer({.name = "\x1b]0;x\x07"});
        const Result result = run("echo hello | ipc-send x");
        expect_error(result, 1, "x1b");
        EXPECT_EQ(result.err.find('\x1b'), std::string::npos) << result;
        if (::testing::Test::HasFailure()) std::_Exit(1);
    });
    EXPECT_EQ(program.wait(), 0);
}

TEST_F(ToolsTest, OtherOptionsThanTheChannelHas) {
    run("ipc-send x --capacity 64 < /dev/null");
    EXPECT_EQ(run("ipc-send x < /dev/null").exit_code, 0);
    EXPECT_EQ(run("ipc-send x --capacity 64 < /dev/null").exit_code, 0);
    expect_error(run("ipc-send x --capacity 128 < /dev/null"), 1, "64");
}

TEST_F(ToolsTest, AChannelWithoutRoomForItsProducerIsNotLeftBehind) {
    const std::string small = "mount -t tmpfs -o size=1M none \"$IPC_DIRECTORY\"";
    if (run("unshare -m sh -c '" + small + "'").exit_code != 0) {
        GTEST_SKIP() << "mounting a small tmpfs needs root";
    }
    const auto run_there = [&](const std::string& script) {
        return run("unshare -m bash -c '" + small + "\n" + script + "'");
    };
    for (const char* options : {"", " --capacity 64"}) {
        expect_error(run_there(std::string("ipc-send x < /dev/null") + options), 1, "ask for less");
        const Result smaller =
            run_there(std::string("ipc-send x < /dev/null 2> error") + options +
                      "; ls \"$IPC_DIRECTORY\"; ipc-send x --region-size 0 < /dev/null");
        EXPECT_EQ(smaller.exit_code, 0) << smaller;
        EXPECT_EQ(smaller.out, "");
    }
}

TEST_F(ToolsTest, AClosedChannelTakesNoMore) {
    run("ipc-send x --close < /dev/null");
    expect_error(run("echo more | ipc-send x"), 1, "closed");
    // Readers that could come would find nothing.
    expect_error(run("echo more | ipc-send x --wait-for-readers 1"), 1, "closed");
}

TEST_F(ToolsTest, SendsWithinATime) {
    expect_error(run("echo 1 | ipc-send x --capacity 4 --wait-for-readers 2 --timeout 0.1"), 1,
                 "channel x: 0 of 2 readers after 0.1 s");
    run("ipc-recv x --group g --timeout 0");
    for (const char* input : {"seq 10 | ipc-send x", "seq 10 | ipc-send x --raw",
                              "head -c 90000 /dev/zero | ipc-send x --size 9000"}) {
        const Result full = run(std::string(input) + " --timeout 0.1");
        expect_error(full, 1, "channel x: no room for 0.1 s");
        expect_error(run(std::string(input) + " --exclusive --timeout 0"), 1, "no room for 0 s");
    }
    expect_error(run("ipc-send x --close --timeout 0.1 < /dev/null"), 1, "no room");
    expect_error(run("ipc-send x --close --exclusive --timeout 0 < /dev/null"), 1, "no room");
    // What was sent is whole, and what has room is not in a hurry.
    EXPECT_EQ(run("ipc-recv x --group g --timeout 0").out, "1\n2\n3\n4\n");
    EXPECT_EQ(run("seq 4 | ipc-send x --exclusive --timeout 0").exit_code, 0);
    EXPECT_EQ(run("ipc-recv x --group g --timeout 0").out, "1\n2\n3\n4\n");
    EXPECT_EQ(run("ipc-send x --close --exclusive --timeout 5 < /dev/null").exit_code, 0);
    EXPECT_EQ(run("ipc-recv x --group g").exit_code, 0);
}

// A reader that takes one at a time needs far longer for what one read of the input brought.
TEST_F(ToolsTest, ATimeIsNotOverWhileMessagesGoThrough) {
    const Result result =
        run("ipc-send x --capacity 4 < /dev/null; ipc-recv x --group g --timeout 0\n"
            "(for i in {1..30}; do ipc-recv x --group g --count 1; sleep 0.05; done) > out &\n"
            "seq 30 | ipc-send x --timeout 1 && wait $! && cmp out <(seq 30)");
    EXPECT_EQ(result.exit_code, 0) << result;
}

TEST_F(ToolsTest, ForeignAndDamagedObjects) {
    write_file(object("text"), "not a channel");
    run("echo a | ipc-send cut");
    fs::resize_file(object("cut"), 4096);
    for (const char* name : {"text", "cut"}) {
        for (const char* command : {"ipc-send ", "ipc-recv ", "ipc-peek "}) {
            const Result result = run(command + std::string(name) + " < /dev/null");
            expect_error(result, 1, std::string("channel ") + name + ": ");
        }
    }
    const Result table = run("ipc-monitor --once --interval 0.01");
    EXPECT_EQ(table.exit_code, 0) << table;
    EXPECT_NE(table.out.find("text  ! "), std::string::npos) << table;
    const auto json = nlohmann::json::parse(run("ipc-monitor --json --once --interval 0.01").out);
    for (const auto& channel : json["channels"])
        EXPECT_TRUE(channel["problem"].is_string());
    EXPECT_EQ(run("ipc-rm text cut").exit_code, 0);
}

// --- signals and broken pipes -------------------------------------------------------------------

TEST_F(ToolsTest, SignalsEndAndDetach) {
    run("mkfifo silence; ipc-send x < /dev/null; ipc-send full --capacity 1 < /dev/null\n"
        "ipc-recv full --group g --timeout 0; echo 1 | ipc-send full");
    for (const auto& [signal, code] : {std::pair("INT", 130), {"TERM", 143}, {"HUP", 129}}) {
        for (const char* command :
             {"ipc-recv x", "ipc-recv x --group g", "ipc-send x <> silence",
              "ipc-recv x --timeout 100", "ipc-recv missing", "ipc-send full --close < /dev/null",
              "ipc-send full --close --timeout 10 < /dev/null"}) {
            const Result result = run(std::string("timeout --preserve-status -s ") + signal +
                                      " 0.2 bash -c 'exec " + command + "'");
            EXPECT_EQ(result.exit_code, code) << signal << " " << command << result;
        }
    }
    const auto json = nlohmann::json::parse(run("ipc-monitor --json --once --interval 0.01").out);
    for (const auto& channel : json["channels"])
        EXPECT_TRUE(channel["participants"].empty()) << json;
}

// A terminal's users and `timeout` alike may send the same signal twice within a moment.
TEST_F(ToolsTest, ASignalSentAgainAtOnceStillDetaches) {
    const Result result =
        run("ipc-send x < /dev/null\n"
            "attached() { ipc-monitor --json --once --interval 0.01 | grep -c '\"pid\"'; }\n"
            "for i in {1..10}; do\n"
            "  ipc-recv x & until [ \"$(attached)\" = 1 ]; do :; done\n"
            "  kill -TERM $!; while kill -TERM $! 2> /dev/null; do :; done; wait $!\n"
            "  [ \"$(attached)\" = 0 ] || { echo \"round $i left its entry\"; exit 1; }\n"
            "done");
    EXPECT_EQ(result.exit_code, 0) << result;
}

TEST_F(ToolsTest, ASignalEndsABlockedWrite) {
    run("ipc-send x < /dev/null; ipc-recv x --group g --timeout 0; seq 300000 | ipc-send x & sleep "
        "0.2");
    const Result result =
        run("set -m; ipc-recv x --group g | (trap '' INT; sleep 3) & sleep 0.3\n"
            "kill -INT -- -$!; start=$SECONDS; wait %1; exit $((SECONDS - start > 4))");
    EXPECT_EQ(result.exit_code, 0) << result;
}

TEST_F(ToolsTest, HeadEndsTheReaderQuietly) {
    run("seq 100000 | ipc-send x --capacity 131072");
    const Result result = run("ipc-recv x --from earliest | head -1; exit ${PIPESTATUS[0]}");
    EXPECT_EQ(result.exit_code, 128 + SIGPIPE) << result;
    EXPECT_EQ(result.out, "1\n");
    EXPECT_EQ(result.err, "");
}

TEST_F(ToolsTest, ClosedStandardStreams) {
    run("seq 10 | ipc-send x");
    expect_error(run("ipc-send x <&-"), 1, "standard input");
    expect_error(run("ipc-recv x --from earliest --count 1 >&-"), 1, "standard output");
    EXPECT_EQ(run("ipc-recv x --from earliest --count 1").out, "1\n");
}

// --- ipc-rm -------------------------------------------------------------------------------------

TEST_F(ToolsTest, RemovesChannelsAndGoesOnAfterAFailure) {
    run("for i in 1 2; do ipc-send x$i < /dev/null; done");
    const Result result = run("ipc-rm x1 missing x2");
    expect_error(result, 1, "missing");
    EXPECT_FALSE(fs::exists(object("x1")));
    EXPECT_FALSE(fs::exists(object("x2")));
}

TEST_F(ToolsTest, RemovesAndPurgesGroups) {
    run("ipc-send x < /dev/null; ipc-recv x --group g --timeout 0; seq 5 | ipc-send x");
    const Result purged = run("ipc-rm x --group g --purge");
    EXPECT_EQ(purged.exit_code, 0) << purged;
    EXPECT_EQ(purged.out, "x g: 5 messages purged\n");
    EXPECT_EQ(run("ipc-recv x --group g --timeout 0").out, "");
    EXPECT_EQ(run("ipc-rm x --group g").exit_code, 0);
    expect_error(run("ipc-rm x --group g"), 1, "channel x");
    EXPECT_TRUE(fs::exists(object("x")));
}

TEST_F(ToolsTest, RemovesTheDeadOnly) {
    run("ipc-send old < /dev/null; ipc-send kept < /dev/null; ipc-recv kept --group g --timeout 0");
    const Result result =
        run("ipc-recv used > out & sleep 0.1; ipc-send used --wait-for-readers 1 < /dev/null; "
            "ipc-rm --dead; "
            "kill $!; wait $!; true");
    EXPECT_EQ(result.exit_code, 0) << result;
    EXPECT_EQ(result.out, "old\n") << result;
    EXPECT_TRUE(fs::exists(object("kept")));
    EXPECT_TRUE(fs::exists(object("used")));
}

TEST_F(ToolsTest, RemovalIsToldToThoseWhoWait) {
    const Result result =
        run("ipc-recv x & ipc-send x --wait-for-readers 1 < /dev/null; ipc-rm x && wait $!");
    expect_error(result, 1, "removed");
}

// --- ipc-peek -----------------------------------------------------------------------------------

TEST_F(ToolsTest, PeekShowsAndTakesNothing) {
    run("printf 'hello\\nb\\033[31mred\\\\\\nthird\\n' | ipc-send x");
    const Result table = run("ipc-peek x --count 2");
    EXPECT_EQ(table.exit_code, 0) << table;
    EXPECT_EQ(count_lines(table.out), 3U) << table;
    EXPECT_NE(table.out.find("  hello\n"), std::string::npos) << table;
    EXPECT_NE(table.out.find("b\\x1b[31mred\\\\"), std::string::npos) << table;
    EXPECT_NE(run("ipc-peek x --from 2").out.find("third"), std::string::npos);
    EXPECT_EQ(count_lines(run("ipc-recv x --from earliest --timeout 0").out), 3U);
}

TEST_F(ToolsTest, PeekSaysThatItShowsSomethingElse) {
    run("seq 100 | ipc-send x --capacity 16");
    const auto oldest =
        nlohmann::json::parse(run("ipc-peek x --count 1 --json").out)["messages"][0];
    const std::string position = std::to_string(oldest["position"].get<int>());
    const std::string gone =
        "channel x: message 3 is not retained any more; the oldest is " + position;
    expect_error(run("ipc-peek x --from 3 --count 1"), 1, gone);
    expect_error(run("ipc-peek x --from 3"), 0, gone);
    expect_error(run("ipc-peek x --from 100"), 1,
                 "channel x: message 100 was not sent yet; the next is 100");
    const Result found = run("ipc-peek x --from 99 --count 1");
    EXPECT_EQ(found.exit_code, 0) << found;
    EXPECT_EQ(found.err, "");
    EXPECT_EQ(run("ipc-send y < /dev/null; ipc-peek y").exit_code, 0);
    ipc::test::Child producer([&] {
        ::setenv("IPC_DIRECTORY", channels().c_str(), 1);
        (void)ipc::test::TornProducer("y").claim();
    });
    ASSERT_EQ(producer.wait(), 0);
    expect_error(run("ipc-peek y --from 0"), 1, "message 0 is none: its producer");
}

TEST_F(ToolsTest, PeekSpeaksJson) {
    run("printf 'text\\n\\377\\376\\000\\n' | ipc-send x");
    const auto json = nlohmann::json::parse(run("ipc-peek x --json").out);
    EXPECT_EQ(json["schema_version"], 1);
    EXPECT_EQ(json["channel"], "x");
    ASSERT_EQ(json["messages"].size(), 2U);
    EXPECT_EQ(json["messages"][0]["text"], "text");
    EXPECT_EQ(json["messages"][0]["position"], 0);
    EXPECT_EQ(json["messages"][0]["size_bytes"], 4);
    EXPECT_EQ(json["messages"][0]["producer"], "ipc-send");
    EXPECT_EQ(json["messages"][1]["base64"], "//4A");
}

TEST_F(ToolsTest, DeadLettersComeBack) {
    run("ipc-send x < /dev/null; ipc-send x.dead < /dev/null\n"
        "ipc-recv x --group g --timeout 0 --max-attempts 1 --dead-letter x.dead; echo poison | "
        "ipc-send x");
    // Taken and given back once, the message has had its only attempt.
    run("ipc-recv x --group g --count 1 > /dev/full; ipc-recv x --group g --timeout 0.2");
    const auto json = nlohmann::json::parse(run("ipc-peek x.dead --json").out);
    ASSERT_EQ(json["messages"].size(), 1U) << json;
    EXPECT_EQ(json["messages"][0]["text"], "poison");
    EXPECT_EQ(json["messages"][0]["origin"]["channel"], "x");
    EXPECT_EQ(json["messages"][0]["origin"]["group"], "g");
    EXPECT_EQ(json["messages"][0]["origin"]["attempts"], 1);
    EXPECT_NE(run("ipc-peek x.dead").out.find("x/g 0, 1 attempts, "), std::string::npos);

    const Result redriven = run("ipc-peek x.dead --redrive");
    EXPECT_EQ(redriven.out, "x.dead: 1 messages sent back\n") << redriven;
    EXPECT_EQ(run("ipc-recv x --group g --count 1").out, "poison\n");
    EXPECT_EQ(run("ipc-peek x.dead --redrive").out, "x.dead: 0 messages sent back\n");
}

// Whoever sees an error must know what is gone from the channel.
TEST_F(ToolsTest, TellsHowManyCameBackBeforeOneCouldNot) {
    run("seq 100 | ipc-send dead; ipc-send x --capacity 64 < /dev/null\n"
        "ipc-recv x --group g --timeout 0");
    const Result full = run("ipc-peek dead --redrive --to x");
    expect_error(full, 1, "channel x");
    EXPECT_EQ(full.out, "dead: 64 messages sent back\n");
    EXPECT_EQ(run("ipc-recv x --group g --timeout 0 | cmp - <(seq 64)").exit_code, 0);
    EXPECT_EQ(run("ipc-peek dead --redrive --to x --count 20").out,
              "dead: 20 messages sent back\n");
    EXPECT_EQ(run("ipc-peek dead --redrive --to x").out, "dead: 16 messages sent back\n");
    EXPECT_EQ(run("ipc-recv x --group g --timeout 0 | cmp - <(seq 65 100)").exit_code, 0);
}

TEST_F(ToolsTest, DeadLettersThatDoNotFitAreNotInTheWayOfOthers) {
    ipc::test::Child program([&] {
        ::setenv("IPC_DIRECTORY", channels().c_str(), 1);
        (void)ipc::Channel<std::uint64_t>::create("numbers");
    });
    ASSERT_EQ(program.wait(), 0);
    run("{ seq 5; seq 10000001 10000040; } | ipc-send dead");
    const Result result = run("ipc-peek dead --redrive --to numbers");
    expect_error(result, 1, "5 stay there");
    EXPECT_EQ(result.out, "dead: 40 messages sent back\n");
}

// The channel they come back to has room for a few, every now and then.
TEST_F(ToolsTest, ASignalEndsWhatSendsBackAndItTellsHowMany) {
    const Result result =
        run("seq 1000 | ipc-send dead; ipc-send x --capacity 4 < /dev/null\n"
            "ipc-recv x --group g --timeout 0\n"
            "(while ipc-recv x --group g --count 1; do sleep 0.01; done) > out & worker=$!\n"
            "ipc-peek dead --redrive --to x > said & until [ -s out ]; do sleep 0.01; done\n"
            "kill -INT $!; kill -TERM $!; start=$SECONDS; wait $!; echo $?\n"
            "[ $((SECONDS - start)) -lt 10 ] || echo late; kill $worker; grep -c 'sent back' said\n"
            "ipc-rm x");
    EXPECT_EQ(result.out, "143\n1\n") << result;
    const std::string said = read_file(file("said"));
    EXPECT_GT(std::atoi(said.substr(said.find(' ')).c_str()), 0) << said;
}

// --- files that tools write ---------------------------------------------------------------------

using ipc::tools::expect_writable;
using ipc::tools::replace_file;

TEST_F(ToolsTest, AFileIsReplacedWholeOrNotAtAll) {
    const std::string path = file("results").string();
    expect_writable(path);
    EXPECT_FALSE(fs::exists(path)) << "the look left a file";
    replace_file(path, "first");
    expect_writable(path);
    EXPECT_EQ(read_file(path), "first");
    fs::create_hard_link(path, file("before"));
    replace_file(path, "second");
    EXPECT_EQ(read_file(path), "second");
    EXPECT_EQ(read_file(file("before")), "first") << "it was overwritten, not replaced";
    fs::permissions(path, fs::perms(0640));
    replace_file(path, "third");
    EXPECT_EQ(fs::status(path).permissions(), fs::perms(0640));
    const auto is_of_it = [](const fs::directory_entry& entry) {
        return entry.path().filename().string().starts_with("results");
    };
    EXPECT_EQ(std::count_if(fs::directory_iterator(file("")), {}, is_of_it), 1);
}

TEST_F(ToolsTest, WhatIsNoFileIsWrittenToAndNotReplaced) {
    write_file(file("target"), "old");
    fs::create_symlink(file("target"), file("link"));
    expect_writable(file("link").string());
    replace_file(file("link").string(), "new");
    EXPECT_TRUE(fs::is_symlink(file("link")));
    EXPECT_EQ(read_file(file("target")), "new");
    expect_writable("/dev/null");
    replace_file("/dev/null", "nothing");
    EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

TEST_F(ToolsTest, WhatCannotBeWrittenIsNamedWithTheCause) {
    const auto failure_of = [](void (*write)(const std::string&), const std::string& path) {
        try {
            write(path);
        } catch (const ipc::tools::Failure& failure) {
            return std::string(failure.what());
        }
        return std::string("no failure");
    };
    const auto replace = [](const std::string& path) { replace_file(path, "text"); };
    const std::string missing = file("missing/results").string();
    for (auto* write : {+expect_writable, +replace}) {
        EXPECT_EQ(failure_of(write, missing),
                  "cannot write " + missing + ": No such file or directory");
    }
    EXPECT_EQ(failure_of(expect_writable, file("").string()),
              "cannot write " + file("").string() + ": Is a directory");
    EXPECT_EQ(failure_of(replace, "/dev/full"), "cannot write /dev/full: No space left on device");
}

// --- ipc-monitor --------------------------------------------------------------------------------

TEST_F(ToolsTest, MonitorPrintsATableOnce) {
    run("ipc-send jobs < /dev/null; ipc-recv jobs --group workers --timeout 0; seq 5 | ipc-send "
        "jobs");
    for (const char* command :
         {"ipc-monitor --once --interval 0.05", "ipc-monitor --interval 0.05"}) {
        const Result result = run(command);
        EXPECT_EQ(result.exit_code, 0) << result;
        EXPECT_EQ(count_lines(result.out), 4U) << result;
        EXPECT_NE(result.out.find("BACKLOG"), std::string::npos) << result;
        EXPECT_NE(result.out.find("\njobs "), std::string::npos) << result;
        EXPECT_NE(result.out.find("\n  workers "), std::string::npos) << result;
        EXPECT_NE(result.out.find("\n  ! 5 messages wait, and "), std::string::npos) << result;
        EXPECT_EQ(result.out.find('\x1b'), std::string::npos) << result;
    }
    EXPECT_NE(run("ipc-monitor 'md.*' --once --interval 0.01").out.find("no channels"),
              std::string::npos);
    EXPECT_NE(run("ipc-monitor 'j*' --once --interval 0.01").out.find("jobs"), std::string::npos);
}

TEST_F(ToolsTest, MonitorSpeaksJson) {
    run("ipc-send jobs < /dev/null; ipc-recv jobs --group workers --timeout 0; seq 5 | ipc-send "
        "jobs\n"
        "ipc-recv jobs --group workers --count 2");
    const Result result = run("ipc-monitor --json --once --interval 0.05");
    EXPECT_EQ(result.exit_code, 0) << result;
    const auto json = nlohmann::json::parse(result.out);
    EXPECT_EQ(json["schema_version"], 2);
    ASSERT_EQ(json["channels"].size(), 1U);
    const auto& channel = json["channels"][0];
    EXPECT_EQ(channel["name"], "jobs");
    EXPECT_TRUE(channel["problem"].is_null());
    EXPECT_EQ(channel["published_total"], 5);
    EXPECT_EQ(channel["published_bytes_total"], 5);
    EXPECT_EQ(channel["published_per_second"], 0);
    EXPECT_EQ(channel["producers"], 0);
    ASSERT_EQ(channel["groups"].size(), 1U);
    const auto& group = channel["groups"][0];
    EXPECT_EQ(group["name"], "workers");
    EXPECT_EQ(group["backlog_messages"], 3);
    EXPECT_EQ(group["in_flight_messages"], 0);
    EXPECT_EQ(group["acked_total"], 2);
    EXPECT_EQ(group["members"], 0);
}

TEST_F(ToolsTest, MonitorMeasuresRates) {
    const Result result =
        run("ipc-recv x > /dev/null & (while sleep 0.01; do echo hello; done) | ipc-send x & sleep "
            "0.3\n"
            "ipc-monitor --json --once --interval 0.5; kill $(jobs -p); wait");
    const auto json = nlohmann::json::parse(result.out);
    const auto& channel = json["channels"][0];
    const std::int64_t rate = channel["published_per_second"];
    EXPECT_GT(rate, 5) << result;
    EXPECT_LE(rate, 100) << result;
    EXPECT_NEAR(static_cast<double>(channel["published_bytes_per_second"]),
                5.0 * static_cast<double>(rate), 5.0);
    EXPECT_GT(channel["groups"][0]["delivered_per_second"], 5);
}

TEST_F(ToolsTest, MonitorPrintsOneTableAfterTheOtherOnATerminalThatCanDoNoMore) {
    if (run("command -v script").exit_code != 0) GTEST_SKIP() << "no script(1) to make a terminal";
    run("ipc-send jobs < /dev/null");
    for (const char* terminal : {"dumb", "unheard-of"}) {
        const Result result = run(
            std::string("export TERM=") + terminal +
            "; script -qfec 'stty rows 24 cols 60; exec ipc-monitor --interval 0.05' typescript "
            "< /dev/null > /dev/null & until [ \"$(grep -c BACKLOG typescript)\" -ge 3 ]; do sleep "
            "0.02; done; kill $!; wait; cat typescript");
        EXPECT_EQ(result.exit_code, 0) << result;
        EXPECT_EQ(result.out.find('\x1b'), std::string::npos) << result;
    }
}

}  // namespace
