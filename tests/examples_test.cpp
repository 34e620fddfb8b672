// The example programs, as their headers say they are used.

#include <algorithm>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/shell.hpp"

namespace ipc::test {
namespace {

const std::string programs = "PATH='" IPC_EXAMPLE_DIRECTORY "':'" IPC_TOOL_DIRECTORY "':$PATH\n";

class Examples : public ::testing::Test {
protected:
    Shell::Result run(const std::string& script) const { return shell_.run(programs + script); }

    Shell shell_{std::string("examples-") +
                 ::testing::UnitTest::GetInstance()->current_test_info()->name()};
};

TEST_F(Examples, EverySubscriberSeesEveryLine) {
    write_file(shell_.file("in"), "one\n\nthree words here\nlast without newline");
    const auto result =
        run("for i in 1 2 3; do publish_subscribe subscribe news > out$i & done\n"
            "publish_subscribe publish news 3 < in && wait\n"
            "for i in 1 2 3; do cmp in out$i; done");
    EXPECT_EQ(result.exit_code, 0) << result;
    EXPECT_EQ(result.err, "");
}

TEST_F(Examples, ThePublisherWaitsForItsReaders) {
    const auto result =
        run("seq 20000 > in; publish_subscribe publish news 1 < in & sleep 0.2\n"
            "publish_subscribe subscribe news > out; wait $!; cmp in out");
    EXPECT_EQ(result.exit_code, 0) << result;
}

TEST_F(Examples, ThePublisherKeepsItsPace) {
    const auto result = run(
        "publish_subscribe subscribe news > out &\n"
        "start=$(date +%s%N); seq 50 | publish_subscribe publish news 1 100; end=$(date +%s%N)\n"
        "wait; seq 50 | cmp - out; echo $(((end - start) / 1000000))");
    EXPECT_EQ(result.exit_code, 0) << result;
    EXPECT_GE(std::stoi("0" + result.out), 490) << result;
}

TEST_F(Examples, WorkersCountEveryWord) {
    const auto result =
        run("seq 3000 | sed 's/$/ and two more/' > in\n"
            "work_queue total results > total & for i in 1 2 3; do work_queue work jobs results & "
            "done\n"
            "publish_subscribe publish jobs 1 < in && wait && cat total");
    EXPECT_EQ(result.exit_code, 0) << result;
    EXPECT_EQ(result.out, "3000 lines, 12000 words, 0 duplicates\n");
    EXPECT_EQ(result.err, "");
}

TEST_F(Examples, AKilledWorkersLineIsCountedOnce) {
    const auto result =
        run("seq 3000 | sed 's/$/ and two more/' > in\n"
            "work_queue total results > total & total=$!\n"
            "for i in 1 2 3; do work_queue work jobs results 1000 & done\n"
            "publish_subscribe publish jobs 1 < in &\n"
            "until [[ -e $IPC_DIRECTORY/ipc.jobs ]]; do sleep 0.01; done; work_queue kill jobs "
            "1000; wait $total; "
            "cat total");
    EXPECT_EQ(result.exit_code, 0) << result;
    EXPECT_NE(result.out.find("3000 lines, 12000 words, 1 duplicates\n"), std::string::npos)
        << result;
    EXPECT_NE(result.out.find("holds a lease on line 1000"), std::string::npos) << result;
}

// Closed channels are complete, removed ones are not: who cannot tell them apart reports a part.
TEST_F(Examples, AWorkQueueThatIsRemovedIsNotTakenForComplete) {
    const auto result =
        run("work_queue total results > total & total=$!\n"
            "work_queue work jobs results & worker=$!\n"
            "seq 100 | ipc-send jobs --wait-for-readers 1 && ipc-rm jobs\n"
            "wait $worker || echo worker $?; ipc-rm results\n"
            "wait $total || echo total $?; cat total");
    EXPECT_EQ(result.exit_code, 0) << result;
    EXPECT_EQ(result.out, "worker 1\ntotal 1\n") << result;
    EXPECT_TRUE(result.err.starts_with("work_queue: jobs: removed\n")) << result;
    EXPECT_FALSE(shell_.has_channels());
}

TEST_F(Examples, CopiesThroughSharedMemory) {
    for (const char* size : {"0", "1", "1048576", "1048577", "30000000"}) {
        const auto result = run(std::string("head -c ") + size +
                                " /dev/urandom > in\nzero_copy < in > out\ncmp in out");
        EXPECT_EQ(result.exit_code, 0) << size << result;
        EXPECT_FALSE(shell_.has_channels());
    }
}

TEST_F(Examples, TheConsumerNoticesThatItsProducerDied) {
    const auto result =
        run("mkfifo in; zero_copy < in > out & consumer=$!; exec 3> in; producer=\n"
            "until [[ $producer ]]; do for file in /proc/[0-9]*/stat; do\n"
            "    read -r pid _ _ parent _ 2> /dev/null < $file || continue\n"
            "    if [[ $parent == $consumer ]]; then producer=$pid; fi\n"
            "done; done\n"
            "sleep 0.2; kill -KILL $producer; wait $consumer");
    EXPECT_EQ(result.exit_code, 1) << result;
    EXPECT_NE(result.err.find("the producer ended early"), std::string::npos) << result;
    EXPECT_FALSE(shell_.has_channels());
}

TEST_F(Examples, WrongUsageAndFailuresAreToldOnOneLine) {
    for (const char* command : {"publish_subscribe", "publish_subscribe publish x",
                                "publish_subscribe subscribe", "work_queue", "work_queue work x"}) {
        EXPECT_EQ(run(command).exit_code, 2) << command;
    }
    for (const char* command : {"publish_subscribe subscribe a/b", "work_queue total a/b",
                                "work_queue kill nowhere 1", "publish_subscribe publish x many"}) {
        const auto result = run(command);
        EXPECT_EQ(result.exit_code, 1) << command << result;
        EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << command << result;
    }
}

TEST_F(Examples, AreShort) {
    for (const auto& entry :
         std::filesystem::directory_iterator(IPC_SOURCE_DIRECTORY "/examples")) {
        if (entry.path().extension() != ".cpp") continue;
        const std::string text = read_file(entry.path());
        EXPECT_LT(std::count(text.begin(), text.end(), '\n'), 100) << entry.path();
    }
}

}
}
