// What the other tests rely on: a child that fails is seen to fail, and none is left behind.

#include "tests/support/child.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <stdexcept>

#include <gtest/gtest.h>

#include "ipc/os/process.hpp"
#include "tests/support/shared_value.hpp"
#include "tests/support/torn.hpp"

namespace ipc::test {
namespace {

/// Whether it has ended, and waits to be reaped.
bool has_ended(pid_t pid) {
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == pid;
}

TEST(Child, ThatEndedByItselfKeepsItsStatusWhateverIsDoneToItAfterwards) {
    Child failed([] { throw std::runtime_error("as it should"); });
    ASSERT_TRUE(eventually([&] { return has_ended(failed.pid()); }));
    failed.stop();
    failed.resume();
    EXPECT_FALSE(failed.is_running());
    EXPECT_EQ(failed.kill(), 1);
    EXPECT_EQ(failed.wait(), 1);
    EXPECT_EQ(failed.wait_for(1), 1);
}

TEST(Child, ThatIsStoppedIsRunningAndGoesOn) {
    const SharedValue<std::atomic<bool>> go;
    Child child([&] {
        while (!*go)
            ::usleep(100);
    });
    child.stop();
    *go = true;
    ::usleep(10'000);
    EXPECT_TRUE(child.is_running());
    child.resume();
    EXPECT_EQ(child.wait_for(20), 0);
}

TEST(Child, ThatDoesNotEndInTimeIsKilled) {
    Child child([] { wait_for_the_end(); });
    EXPECT_EQ(child.wait_for(0.05), 128 + SIGKILL);
    EXPECT_FALSE(child.is_running());
}

TEST(Child, DiesWithItsParent) {
    const SharedValue<std::atomic<pid_t>> inner;
    Child outer([&] {
        const Child child([] { wait_for_the_end(); });
        *inner = child.pid();
        wait_for_the_end();
    });
    ASSERT_TRUE(eventually([&] { return *inner != 0; }));
    EXPECT_EQ(outer.kill(), 128 + SIGKILL);
    EXPECT_TRUE(eventually([&] {
        const char state = os::process_state(*inner);
        return state == '\0' || state == 'Z';
    }));
}

}
}
