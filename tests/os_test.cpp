#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <climits>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "ipc/os/clock.hpp"
#include "ipc/os/fork.hpp"
#include "ipc/os/futex.hpp"
#include "ipc/os/lock.hpp"
#include "ipc/os/membarrier.hpp"
#include "ipc/os/process.hpp"
#include "ipc/os/processor.hpp"
#include "ipc/os/shared_object.hpp"
#include "tests/support/child.hpp"
#include "tests/support/shared_value.hpp"
#include "tests/support/torn.hpp"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IPC_TEST_SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IPC_TEST_SANITIZED
#endif
#endif

namespace ipc::os {
namespace {

using namespace std::chrono_literals;

using test::Child;
using test::eventually;
using test::SharedValue;
using test::wait_for_the_end;

constexpr std::uint32_t all_bits = ~0U;

/// A child that exits with what `body` returns.
test::Child start(const std::function<int()>& body) {
    return test::Child([&body] { ::_exit(body()); });
}

/// What the processes of one test share.
struct Shared {
    std::atomic<std::uint32_t> word{0};
    std::atomic<std::uint32_t> step{0};
    std::atomic<std::uint32_t> other{0};
    std::atomic<std::int32_t> pid{0};
};

/// A named object that the test may create; gone after it.
class Named {
public:
    Named() = default;
    ~Named() { unlink_object(name); }
    Named(const Named&) = delete;
    Named& operator=(const Named&) = delete;

    void create(std::uint64_t size = 4096) const {
        const auto object = create_unnamed(0600);
        set_size(object.get(), size);
        ASSERT_TRUE(link_into_place(object.get(), name));
    }
    TransientDescriptor open(bool writable = true) const {
        return open_object(name, writable).value();
    }
    HeldLock try_hold(std::uint64_t byte) const { return os::try_hold(open(), byte); }
    bool is_held(std::uint64_t byte) const { return os::is_held(open(false).get(), byte); }

    const std::string name =
        "ipc-os-test." + std::to_string(::getpid()) + "." + std::to_string(random_id());
};

bool is_open(int descriptor) {
    return ::fcntl(descriptor, F_GETFD) >= 0;
}

// ---------------------------------------------------------------------------------------- clock

TEST(Clock, DeadlinesSaturate) {
    EXPECT_FALSE(Deadline::never().passed());
    EXPECT_TRUE(Deadline::immediate().passed());
    EXPECT_TRUE(Deadline::after(-1ns).passed());
    EXPECT_TRUE(Deadline::after(std::chrono::nanoseconds::min()).passed());
    EXPECT_TRUE(Deadline::after(std::chrono::nanoseconds::max()).is_never());
    EXPECT_FALSE(Deadline::after(1h).passed());
    const auto soon = Deadline::after(1ms);
    std::this_thread::sleep_for(2ms);
    EXPECT_TRUE(soon.passed());
}

TEST(Clock, SpinBudgetIsMeasuredQuicklyAndLeavesTheTimerSlackAlone) {
    ASSERT_EQ(::prctl(PR_SET_TIMERSLACK, 40'000UL), 0);
    const Nanoseconds start = now();
    const Nanoseconds cost = sleep_and_wake_cost();
    // Nominally below 2 ms; the rest is for a loaded machine.
    EXPECT_LT(now() - start, 50'000'000);
    EXPECT_EQ(::prctl(PR_GET_TIMERSLACK), 40'000);
    ::prctl(PR_SET_TIMERSLACK, 0UL);
    EXPECT_EQ(sleep_and_wake_cost(), cost);
    EXPECT_TRUE(cost == 0 || (cost >= 5'000 && cost <= 200'000)) << cost;
}

// It would wait for a thread that it does not have. In a child, where nobody measured before.
TEST(Clock, AChildForkedWhileTheSpinBudgetIsMeasuredHasOne) {
    const auto forks_meanwhile = [] {
        std::atomic<bool> measuring{false};
        std::atomic<bool> forked{false};
        std::jthread first([&] {
            measuring = true;
            (void)sleep_and_wake_cost();
            // A thread that has ended is one the child never joins: a leak, to the sanitizer.
            forked.wait(false);
        });
        while (!measuring) {
        }
        const Nanoseconds soon = now() + 100'000;  // it takes ten times as long
        while (now() < soon) {
        }
        Child child = start([] { return sleep_and_wake_cost() >= 0 ? 0 : 1; });
        forked = true;
        forked.notify_one();
        return child.wait_for(5);
    };
    for (int i = 0; i < 3; ++i) {  // once it may be too late
        Child parent = start(forks_meanwhile);
        EXPECT_EQ(parent.wait(), 0);
    }
}

TEST(Clock, ThereIsNoSpinBudgetOnOneProcessor) {
    // A program of its own, as the measurement is made once per process.
    ::testing::FLAGS_gtest_death_test_style = "threadsafe";
    EXPECT_EXIT(
        {
            cpu_set_t one;
            CPU_ZERO(&one);
            CPU_SET(static_cast<std::size_t>(::sched_getcpu()), &one);
            ::sched_setaffinity(0, sizeof one, &one);
            ::_exit(sleep_and_wake_cost() == 0 ? 0 : 1);
        },
        ::testing::ExitedWithCode(0), "");
}

// ---------------------------------------------------------------------------------------- futex

TEST(Futex, WakeReachesAnotherProcess) {
    const SharedValue<Shared> shared;
    Child sleeper = start([&] {
        while (shared->word.load() == 0)
            futex_wait(shared->word, 0, Deadline::never(), all_bits);
        return 7;
    });
    ASSERT_TRUE(eventually([&] { return process_state(sleeper.pid()) == 'S'; }));
    shared->word = 1;
    futex_wake(shared->word, INT_MAX, all_bits);
    EXPECT_EQ(sleeper.wait(), 7);
}

TEST(Futex, WakesOnlyWhoseBitsMeetAndCountsThem) {
    const SharedValue<Shared> shared;
    Child sleeper = start([&] {
        return futex_wait(shared->word, 0, Deadline::after(20s), 2U) == FutexResult::woken ? 0 : 1;
    });
    ASSERT_TRUE(eventually([&] { return process_state(sleeper.pid()) == 'S'; }));
    EXPECT_EQ(futex_wake(shared->word, INT_MAX, 4U), 0);
    EXPECT_TRUE(eventually([&] { return futex_wake(shared->word, INT_MAX, 2U) == 1; }));
    EXPECT_EQ(sleeper.wait(), 0);
}

TEST(Futex, DoesNotSleepOnAChangedWord) {
    std::atomic<std::uint32_t> word{5};
    EXPECT_EQ(futex_wait(word, 4, Deadline::never(), all_bits), FutexResult::changed);
}

TEST(Futex, SleepEndsAtItsDeadlineAndNotBefore) {
    std::atomic<std::uint32_t> word{0};
    const Nanoseconds start = now();
    EXPECT_EQ(futex_wait(word, 0, Deadline::after(20ms), all_bits), FutexResult::timed_out);
    EXPECT_GE(now() - start, 20'000'000);
    EXPECT_EQ(futex_wait(word, 0, Deadline::immediate(), all_bits), FutexResult::timed_out);
    EXPECT_EQ(futex_wait(word, 0, Deadline{-5}, all_bits), FutexResult::timed_out);
}

TEST(Futex, ASignalHandlerEndsTheSleepHoweverItWasInstalled) {
    for (const int flags : {0, SA_RESTART}) {
        for (const bool limited : {false, true}) {
            const SharedValue<Shared> shared;
            Child sleeper = start([&] {
                struct sigaction action = {};
                action.sa_handler = [](int) {};
                action.sa_flags = flags;
                ::sigaction(SIGUSR1, &action, nullptr);
                shared->step = 1;
                const auto deadline = limited ? Deadline::after(20s) : Deadline::never();
                const auto result = futex_wait(shared->word, 0, deadline, all_bits);
                return result == FutexResult::signalled ? 0 : 1;
            });
            ASSERT_TRUE(eventually(
                [&] { return shared->step == 1 && process_state(sleeper.pid()) == 'S'; }));
            ::kill(sleeper.pid(), SIGUSR1);
            EXPECT_EQ(sleeper.wait(), 0) << flags << limited;
        }
    }
}

TEST(Futex, AWordThatIsNotMappedIsAnErrorAndNotAnEndlessLoop) {
    void* const page = ::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(page, MAP_FAILED);
    auto& word = *static_cast<std::atomic<std::uint32_t>*>(page);
    EXPECT_THROW(futex_wait(word, 0, Deadline::never(), all_bits), std::system_error);
    EXPECT_EQ(futex_wake(word, 1, all_bits), 0);
    ::munmap(page, 4096);
}

// ----------------------------------------------------------------------------------- membarrier

TEST(Membarrier, HeavyBarrierInOneProcessFencesAnother) {
    if (!heavy_barrier()) GTEST_SKIP() << "the kernel has no expedited global membarrier";
    constexpr std::uint32_t most_rounds = 20'000;
    using Seen = std::atomic<std::uint32_t>[most_rounds + 1];
    const auto object = create_unnamed(0600);
    set_size(object.get(), sizeof(Seen));
    const auto mapping = Mapping::map(object.get(), 0, sizeof(Seen), true, {});
    auto& seen_by_publisher = *reinterpret_cast<Seen*>(mapping.data());
    std::vector<std::uint32_t> seen_by_sleeper(most_rounds + 1);

    // `word` is the message, `other` the announcement; `step` starts each round.
    const SharedValue<Shared> shared;
    Child publisher = start([&] {
        if (!register_for_barrier()) return 1;
        shared->pid = ::getpid();
        for (std::uint32_t round = 1; round <= most_rounds; ++round) {
            while (shared->step.load(std::memory_order_acquire) < round)
                cpu_relax();
            shared->word.store(round, std::memory_order_relaxed);
            light_barrier();
            const std::uint32_t seen = shared->other.load(std::memory_order_relaxed);
            seen_by_publisher[round].store(seen, std::memory_order_release);
        }
        return 0;
    });
    ASSERT_TRUE(eventually([&] { return shared->pid != 0; }));
    // On a busy machine a round can take the two processes a time slice each.
    const auto end = Deadline::after(1s);
    std::uint32_t rounds = 0;
    while (rounds < most_rounds && !end.passed()) {
        const std::uint32_t round = ++rounds;
        shared->step.store(round, std::memory_order_release);
        // Varied, so that the two sides meet at every distance.
        for (std::uint32_t pause = 0; pause < round % 16; ++pause)
            cpu_relax();
        shared->other.store(round, std::memory_order_relaxed);
        ASSERT_TRUE(heavy_barrier());
        seen_by_sleeper[round] = shared->word.load(std::memory_order_relaxed);
        // Looks at the clock seldom: the rounds are to be short.
        const auto patience = Deadline::after(20s);
        for (std::uint32_t looks = 1; shared->word.load(std::memory_order_acquire) != round;
             ++looks) {
            cpu_relax();
            if (looks % 4096 == 0) {
                ASSERT_FALSE(patience.passed()) << "the publisher is gone";
            }
        }
    }
    publisher.kill();
    // What the last round's publisher saw may not have been noted when it was killed.
    for (std::uint32_t round = 1; round < rounds; ++round) {
        ASSERT_TRUE(seen_by_sleeper[round] == round || seen_by_publisher[round] >= round) << round;
    }
    EXPECT_GT(rounds, 1U);
}

TEST(Membarrier, AbsenceCanBeSimulatedAndUndone) {
    const bool can_register = register_for_barrier();
    const bool can_execute = heavy_barrier();
    simulate_absence(true, false);
    EXPECT_FALSE(register_for_barrier());
    EXPECT_EQ(heavy_barrier(), can_execute);
    simulate_absence(false, true);
    EXPECT_EQ(register_for_barrier(), can_register);
    EXPECT_FALSE(heavy_barrier());
    simulate_absence(false, false);
    EXPECT_EQ(heavy_barrier(), can_execute);
    EXPECT_EQ(register_for_barrier(), can_register);
}

// ----------------------------------------------------------------------------------------- fork

TEST(Fork, OnlyTheChildSeesANewGeneration) {
    watch_forks();
    watch_forks();
    const std::uint32_t before = fork_generation();
    Child child = start([&] {
        Child grandchild = start([&] { return fork_generation() == before + 2 ? 0 : 1; });
        return fork_generation() == before + 1 ? grandchild.wait() : 2;
    });
    EXPECT_EQ(child.wait(), 0);
    EXPECT_EQ(fork_generation(), before);
}

TEST(Fork, AChildKeepsNoTransientDescriptorAndClosesNothingElse) {
    auto object = create_unnamed(0600);
    const int number = object.get();
    ASSERT_TRUE(is_open(number));
    Child child = start([&] {
        if (is_open(number) || object) return 1;
        if (::open("/dev/null", O_RDONLY) != number) return 2;
        object.reset();
        if (!is_open(number)) return 3;
        const auto own = create_unnamed(0600);
        return own && is_open(own.get()) ? 0 : 4;
    });
    EXPECT_EQ(child.wait(), 0);
    EXPECT_TRUE(is_open(number));
    TransientDescriptor moved = std::move(object);
    EXPECT_EQ(moved.get(), number);
    EXPECT_EQ(object.get(), -1);  // NOLINT(bugprone-use-after-move)
    moved.reset();
    EXPECT_FALSE(is_open(number));
}

TEST(Fork, OpeningWhatIsNotThereKeepsTheReason) {
    const auto nothing = TransientDescriptor::open("/nonexistent/object", O_RDONLY);
    EXPECT_EQ(errno, ENOENT);
    EXPECT_FALSE(nothing);
    EXPECT_EQ(nothing.get(), -1);
}

// ----------------------------------------------------------------------------------------- lock

TEST(Lock, ExcludesOthersInThisProcessAndElsewhereUntilReleased) {
    const Named object;
    object.create();
    HeldLock lock = object.try_hold(3);
    ASSERT_TRUE(lock);
    EXPECT_FALSE(object.try_hold(3));
    EXPECT_TRUE(object.try_hold(4));
    EXPECT_TRUE(object.is_held(3));
    EXPECT_FALSE(object.is_held(4));
    Child other = start([&] { return !object.try_hold(3) && object.is_held(3) ? 0 : 1; });
    EXPECT_EQ(other.wait(), 0);
    HeldLock moved = std::move(lock);
    EXPECT_FALSE(lock);  // NOLINT(bugprone-use-after-move)
    EXPECT_TRUE(moved);
    EXPECT_TRUE(object.is_held(3));
    moved.release();
    EXPECT_FALSE(moved);
    EXPECT_FALSE(object.is_held(3));
    EXPECT_TRUE(object.try_hold(3));
}

TEST(Lock, ProbingTakesNothingAndSeesThroughReadOnlyOpens) {
    const Named object;
    object.create();
    const auto probe = object.open(false);
    EXPECT_FALSE(is_held(probe.get(), 0));
    EXPECT_TRUE(object.try_hold(0));
    HeldLock lock = object.try_hold(0);
    EXPECT_TRUE(is_held(probe.get(), 0));
}

TEST(Lock, DiesWithItsHolder) {
    const Named object;
    object.create();
    const SharedValue<Shared> shared;
    Child holder([&] {
        const HeldLock lock = object.try_hold(0);
        shared->step = lock ? 1 : 2;
        wait_for_the_end();
    });
    ASSERT_TRUE(eventually([&] { return shared->step == 1; }));
    EXPECT_TRUE(object.is_held(0));
    ::kill(holder.pid(), SIGSTOP);
    ASSERT_TRUE(eventually([&] { return process_state(holder.pid()) == 'T'; }));
    EXPECT_TRUE(object.is_held(0)) << "a stopped process is alive";
    holder.kill();
    EXPECT_TRUE(eventually([&] { return !object.is_held(0); }));
}

TEST(Lock, EndsWhenItsHolderExecutesAnotherProgram) {
    const Named object;
    object.create();
    const SharedValue<Shared> shared;
    Child holder = start([&] {
        const HeldLock lock = object.try_hold(0);
        shared->step = 1;
        while (shared->step != 2)
            std::this_thread::sleep_for(1ms);
        ::execlp("sleep", "sleep", "100", nullptr);
        return 1;
    });
    ASSERT_TRUE(eventually([&] { return shared->step == 1; }));
    EXPECT_TRUE(object.is_held(0));
    shared->step = 2;
    EXPECT_TRUE(eventually([&] { return !object.is_held(0); }));
    EXPECT_EQ(::kill(holder.pid(), 0), 0);
}

TEST(Lock, SurvivesTheClosingOfAllDescriptors) {
    const Named object;
    object.create();
    const SharedValue<Shared> shared;
    Child holder([&] {
        const HeldLock lock = object.try_hold(0);
        for (int descriptor = 0; descriptor < 256; ++descriptor)
            ::close(descriptor);
        // Open and close again: that would lose a lock of the traditional kind.
        ::close(::open(("/dev/shm/" + object.name).c_str(), O_RDWR));
        shared->step = 1;
        wait_for_the_end();
    });
    ASSERT_TRUE(eventually([&] { return shared->step == 1; }));
    EXPECT_TRUE(object.is_held(0));
}

TEST(Lock, IsNotInheritedByAForkedChild) {
    const Named object;
    object.create();
    const SharedValue<Shared> shared;
    Child holder([&] {
        const HeldLock lock = object.try_hold(0);
        if (::fork() == 0) {
            shared->other = lock ? 1 : 2;
            shared->pid = ::getpid();
            wait_for_the_end();
        }
        shared->step = 1;
        wait_for_the_end();
    });
    ASSERT_TRUE(eventually([&] { return shared->pid != 0 && shared->step == 1; }));
    EXPECT_EQ(shared->other, 2U) << "the child's copy is empty";
    EXPECT_TRUE(object.is_held(0));
    holder.kill();
    EXPECT_TRUE(eventually([&] { return !object.is_held(0); }));
    EXPECT_EQ(::kill(shared->pid, 0), 0) << "the child outlived its parent";
    ::kill(shared->pid, SIGKILL);
}

TEST(Lock, AChildsCopyReleasesNothing) {
    const Named object;
    object.create();
    HeldLock lock = object.try_hold(0);
    Child child = start([&] {
        lock.release();
        return object.is_held(0) ? 0 : 1;
    });
    EXPECT_EQ(child.wait(), 0);
    EXPECT_TRUE(object.is_held(0));
    EXPECT_TRUE(lock);
}

TEST(Lock, ForkingAtAnyMomentLeavesNoLockBehind) {
    const Named object;
    object.create();
    std::atomic<bool> stop{false};
    std::vector<pid_t> children;
    std::thread forker([&] {
        // The children live on, as one that kept a lock has to be caught with it.
        while (!stop && children.size() < 400) {
            const pid_t pid = ::fork();
            if (pid == 0) wait_for_the_end();
            if (pid > 0) children.push_back(pid);
        }
        stop = true;
    });
    int rounds = 0;
    for (; !stop; ++rounds) {
        HeldLock lock = hold([&] { return object.open(); }, 0, Deadline::after(10s));
        EXPECT_TRUE(lock) << "a child kept the lock";
        if (!lock) break;
    }
    stop = true;
    forker.join();
    EXPECT_TRUE(eventually([&] { return !object.is_held(0); }));
    for (const pid_t pid : children)
        ::kill(pid, SIGKILL);
    for (const pid_t pid : children)
        ::waitpid(pid, nullptr, 0);
    EXPECT_GT(rounds, 100);
    EXPECT_GT(children.size(), 10U);
}

TEST(Lock, WaitingEndsWithTheHolderOrAtTheDeadline) {
    const Named object;
    object.create();
    const SharedValue<Shared> shared;
    Child holder([&] {
        const HeldLock lock = object.try_hold(0);
        shared->step = 1;
        wait_for_the_end();
    });
    ASSERT_TRUE(eventually([&] { return shared->step == 1; }));
    const auto opener = [&] { return object.open(); };
    const Nanoseconds start = now();
    EXPECT_FALSE(hold(opener, 0, Deadline::after(30ms)));
    EXPECT_GE(now() - start, 30'000'000);
    EXPECT_FALSE(hold(opener, 0, Deadline::immediate()));
    EXPECT_TRUE(hold(opener, 1, Deadline::immediate())) << "always tried once";
    std::thread killer([&] {
        std::this_thread::sleep_for(20ms);
        ::kill(holder.pid(), SIGKILL);
    });
    EXPECT_TRUE(hold(opener, 0, Deadline::never()));
    killer.join();
}

TEST(Lock, NeedsAWritableOpen) {
    const Named object;
    object.create();
    EXPECT_THROW(try_hold(object.open(false), 0), std::system_error);
    EXPECT_THROW(try_hold(TransientDescriptor(), 0), std::system_error);
}

// -------------------------------------------------------------------------------- shared object

TEST(SharedObject, CreationIsAllOrNothing) {
    const Named object;
    const SharedValue<Shared> shared;
    Child creator = start([&] {
        const auto descriptor = create_unnamed(0640);
        set_size(descriptor.get(), 12'345);
        shared->step = 1;
        while (shared->step != 2)
            std::this_thread::sleep_for(1ms);
        return link_into_place(descriptor.get(), object.name) ? 0 : 1;
    });
    ASSERT_TRUE(eventually([&] { return shared->step == 1; }));
    EXPECT_FALSE(open_object(object.name, false));
    EXPECT_FALSE(status_of_name(object.name));
    shared->step = 2;
    EXPECT_EQ(creator.wait(), 0);
    EXPECT_EQ(status_of(object.open().get()).size, 12'345U);
}

TEST(SharedObject, AMakerThatDiesLeavesNothing) {
    const std::uint64_t free_before = space().free;
    const SharedValue<Shared> shared;
    constexpr std::uint64_t size = 8 << 20;
    Child creator([&] {
        const auto descriptor = create_unnamed(0600);
        reserve(descriptor.get(), 0, size);
        shared->step = 1;
        wait_for_the_end();
    });
    ASSERT_TRUE(eventually([&] { return shared->step == 1; }));
    creator.kill();
    // Others use the directory, too.
    EXPECT_TRUE(eventually([&] { return space().free + size / 2 > free_before; }));
}

TEST(SharedObject, ATakenNameIsLeftAlone) {
    const Named object;
    object.create(100);
    const auto second = create_unnamed(0600);
    EXPECT_FALSE(link_into_place(second.get(), object.name));
    EXPECT_EQ(status_of_name(object.name)->size, 100U);
    EXPECT_EQ(status_of(second.get()).links, 0U);
}

TEST(SharedObject, CanBeLinkedAfterTheMainThreadEnded) {
    const Named object;
    Child child = start([&] {
        std::thread([&] {
            std::this_thread::sleep_for(20ms);
            try {
                ::_exit(link_into_place(create_unnamed(0600).get(), object.name) ? 0 : 1);
            } catch (const std::system_error&) {
                ::_exit(2);
            }
        }).detach();
        ::syscall(SYS_exit, 0);  // pthread_exit would unwind through the test's frames
        return 3;
    });
    EXPECT_EQ(child.wait(), 0);
    EXPECT_TRUE(status_of_name(object.name));
}

TEST(SharedObject, StatusTellsWhatTheObjectIs) {
    const mode_t umask_before = ::umask(077);
    const auto object = create_unnamed(0664);
    ::umask(umask_before);
    set_size(object.get(), 999);
    const ObjectStatus status = status_of(object.get());
    EXPECT_EQ(status.mode, 0664U) << "whatever the umask";
    EXPECT_EQ(status.size, 999U);
    EXPECT_EQ(status.owner, ::geteuid());
    EXPECT_TRUE(status.regular);
    const Named name;
    ASSERT_TRUE(link_into_place(object.get(), name.name));
    EXPECT_EQ(status_of_name(name.name)->identity, status.identity);
    EXPECT_EQ(status_of_name(name.name)->links, 1U);
    EXPECT_FALSE(status_of(create_unnamed(0600).get()).identity == status.identity);
}

TEST(SharedObject, UnlinkingRemovesTheNameOnly) {
    const Named object;
    object.create();
    const auto descriptor = object.open();
    EXPECT_TRUE(unlink_object(object.name));
    EXPECT_FALSE(unlink_object(object.name));
    EXPECT_FALSE(open_object(object.name, true));
    EXPECT_EQ(status_of(descriptor.get()).size, 4096U);
    EXPECT_EQ(status_of(descriptor.get()).links, 0U);
}

TEST(SharedObject, OpeningFollowsNoLinkAndHangsOnNoFifo) {
    const Named link;
    const std::string link_path = shared_memory_directory() + "/" + link.name;
    ASSERT_EQ(::symlink("/etc/passwd", link_path.c_str()), 0);
    EXPECT_THROW(open_object(link.name, false), std::system_error);
    EXPECT_FALSE(status_of_name(link.name)->regular);

    const Named fifo;
    ASSERT_EQ(::mkfifo((shared_memory_directory() + "/" + fifo.name).c_str(), 0600), 0);
    for (const bool writable : {false, true}) {
        const auto opened = open_object(fifo.name, writable);
        ASSERT_TRUE(opened);
        EXPECT_FALSE(status_of(opened->get()).regular);
    }
}

TEST(SharedObject, ListsByPrefix) {
    const Named first;
    const Named second;
    first.create();
    second.create();
    std::vector<std::string> expected = {first.name, second.name};
    std::sort(expected.begin(), expected.end());
    const std::string prefix = "ipc-os-test." + std::to_string(::getpid()) + ".";
    EXPECT_EQ(list_objects(prefix), expected);
    EXPECT_TRUE(list_objects(prefix + "none").empty());
}

TEST(SharedObject, ReservingExtendsKeepsContentsAndCanBeRepeated) {
    const auto object = create_unnamed(0600);
    constexpr std::uint64_t size = (std::uint64_t{33} << 20) + 5;
    ASSERT_EQ(::pwrite(object.get(), "x", 1, 17), 1);
    reserve(object.get(), 0, size);
    reserve(object.get(), 0, size);
    reserve(object.get(), 0, 0);
    EXPECT_EQ(status_of(object.get()).size, size);
    char content[3];
    ASSERT_EQ(::pread(object.get(), content, 3, 16), 3);
    EXPECT_EQ(std::string(content, 3), std::string("\0x\0", 3));
}

TEST(SharedObject, ReservingEndsUnderAStormOfSignals) {
    Child child = start([] {
        struct sigaction action = {};
        action.sa_handler = [](int) {};
        ::sigaction(SIGALRM, &action, nullptr);
        const itimerval storm{.it_interval = {.tv_sec = 0, .tv_usec = 500},
                              .it_value = {.tv_sec = 0, .tv_usec = 500}};
        ::setitimer(ITIMER_REAL, &storm, nullptr);
        const auto object = create_unnamed(0600);
        reserve(object.get(), 0, std::uint64_t{64} << 20);
        return 0;
    });
    EXPECT_EQ(child.wait(), 0);
}

TEST(SharedObject, AFullDirectoryIsReportedWithNeededAndAvailableBytes) {
    char directory[] = "/tmp/ipc-os-test.XXXXXX";
    ASSERT_NE(::mkdtemp(directory), nullptr);
    constexpr int cannot_mount = 77;
    // The mount is seen by the child alone and ends with it.
    Child child = start([&] {
        if (::unshare(CLONE_NEWNS) != 0 ||
            ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            ::mount("none", directory, "tmpfs", 0, "size=4m") != 0) {
            return cannot_mount;
        }
        const auto object = TransientDescriptor::open(directory, O_TMPFILE | O_RDWR, 0600);
        reserve(object.get(), 0, 1 << 20);
        try {
            reserve(object.get(), 1 << 20, std::uint64_t{40} << 20);
            return 1;
        } catch (const NoSpace& error) {
            if (error.needed() != std::uint64_t{40} << 20) return 2;
            // 4 MiB less the first reservation; the file system may keep a page for itself.
            if (error.available() > 3 << 20 || error.available() < (3 << 20) - 65'536) return 3;
            if (error.code() != std::errc::no_space_on_device) return 4;
            return std::strstr(error.what(), "41943040") != nullptr ? 0 : 5;
        }
    });
    const int result = child.wait();
    ::rmdir(directory);
    if (result == cannot_mount) GTEST_SKIP() << "mounting a small tmpfs needs root";
    EXPECT_EQ(result, 0);
}

TEST(SharedObject, MappingsShareTheObjectAndOutliveItsDescriptor) {
    auto object = create_unnamed(0600);
    set_size(object.get(), 12'288);
    Mapping writer = Mapping::map(object.get(), 4096, 5000, true, {});
    const Mapping reader = Mapping::map(object.get(), 4096, 5000, false, {});
    object.reset();
    EXPECT_EQ(writer.size(), 5000U);
    std::byte* const address = writer.data();
    writer.data()[4999] = std::byte{42};
    EXPECT_EQ(reader.data()[4999], std::byte{42});
    const Mapping moved = std::move(writer);
    EXPECT_EQ(moved.data(), address);
    EXPECT_EQ(writer.data(), nullptr);  // NOLINT(bugprone-use-after-move)
    EXPECT_EQ(writer.size(), 0U);
    EXPECT_THROW(Mapping::map(-1, 0, 4096, false, {}), std::system_error);
}

TEST(SharedObject, HugePagesAreAlignedWithTheObject) {
    constexpr std::uint64_t huge = std::uint64_t{2} << 20;
    const auto object = create_unnamed(0600);
    reserve(object.get(), 0, 3 * huge);
    for (const std::uint64_t offset : {std::uint64_t{0}, huge, std::uint64_t{4096}}) {
        const MapOptions options{.huge_pages = true, .prefault = true, .lock_memory = false};
        const Mapping mapping = Mapping::map(object.get(), offset, huge + 100, true, options);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(mapping.data()) % huge, offset % huge);
        mapping.data()[huge + 99] = std::byte{1};
    }
    EXPECT_THROW(Mapping::map(-1, 0, 4096, false, {.huge_pages = true}), std::system_error);
}

TEST(SharedObject, PrefaultingKeepsContents) {
    const auto object = create_unnamed(0600);
    constexpr std::uint64_t size = 64 << 12;
    reserve(object.get(), 0, size);
    Mapping plain = Mapping::map(object.get(), 0, size, true, {});
    plain.data()[4096] = std::byte{9};
    for (const bool writable : {true, false}) {
        const Mapping mapping = Mapping::map(object.get(), 0, size, writable, {.prefault = true});
        EXPECT_EQ(mapping.data()[4096], std::byte{9});
        std::vector<unsigned char> resident(64);
        ASSERT_EQ(::mincore(mapping.data(), mapping.size(), resident.data()), 0);
        EXPECT_EQ(std::count(resident.begin(), resident.end(), 0), 0);
    }
}

TEST(SharedObject, TooLittleLockableMemoryIsAnErrorThatNamesTheLimit) {
#ifdef IPC_TEST_SANITIZED
    GTEST_SKIP() << "sanitizers turn mlock into nothing";
#endif
    Child child = start([] {
        const rlimit none{.rlim_cur = 4096, .rlim_max = 4096};
        ::setrlimit(RLIMIT_MEMLOCK, &none);
        const auto object = create_unnamed(0600);
        reserve(object.get(), 0, 1 << 20);
        // The superuser is exempt from the limit.
        if (::geteuid() == 0 && ::setresuid(65'534, 65'534, 65'534) != 0) return 1;
        try {
            const auto locked = Mapping::map(object.get(), 0, 1 << 20, true, {.lock_memory = true});
            return 2;
        } catch (const std::system_error& error) {
            return std::strstr(error.what(), "RLIMIT_MEMLOCK is 4096") != nullptr ? 0 : 3;
        }
    });
    EXPECT_EQ(child.wait(), 0);
}

TEST(SharedObject, LivesInTheDirectoryTheEnvironmentNames) {
    // A program of its own, as the variable is read once per process.
    ::testing::FLAGS_gtest_death_test_style = "threadsafe";
    EXPECT_EXIT(
        {
            ::setenv("IPC_DIRECTORY", "/tmp", 1);
            ::_exit(shared_memory_directory() == "/tmp" ? 0 : 1);
        },
        ::testing::ExitedWithCode(0), "");
}

// -------------------------------------------------------------------------------------- process

TEST(Process, IdentityIsStableAndAChildsOwn) {
    const ProcessIdentity mine = this_process();
    EXPECT_EQ(mine.pid, ::getpid());
    EXPECT_NE(mine.pid_namespace, 0U);
    EXPECT_NE(mine.start_time, 0U);
    EXPECT_EQ(this_process(), mine);
    Child child = start([&] {
        const ProcessIdentity own = this_process();
        const bool right = own.pid == ::getpid() && own.pid_namespace == mine.pid_namespace &&
                           own.start_time >= mine.start_time;
        return right ? 0 : 1;
    });
    EXPECT_EQ(child.wait(), 0);
}

TEST(Process, StateAndNameSurviveAMisleadingCommandName) {
    const SharedValue<Shared> shared;
    Child child([&] {
        ::prctl(PR_SET_NAME, "a) T (b");
        shared->step = 1;
        wait_for_the_end();
    });
    ASSERT_TRUE(eventually([&] { return shared->step == 1; }));
    EXPECT_EQ(process_name(child.pid()), "a) T (b");
    EXPECT_TRUE(eventually([&] { return process_state(child.pid()) == 'S'; }));
    ::kill(child.pid(), SIGSTOP);
    EXPECT_TRUE(eventually([&] { return process_state(child.pid()) == 'T'; }));
    const pid_t pid = child.pid();
    child.kill();
    EXPECT_EQ(process_state(pid), '\0');
    EXPECT_EQ(process_name(pid), "");
}

TEST(Process, RandomIdsDiffer) {
    EXPECT_NE(random_id(), 0U);
    EXPECT_NE(random_id(), random_id());
}

}  // namespace
}  // namespace ipc::os
