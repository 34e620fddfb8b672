// What the hot paths execute, instruction by instruction: a traced child runs them under
// single-step, and this process reads each instruction before it runs. Compiler-independent, since
// it looks at what is executed rather than at what was emitted.

#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "ipc/ipc.hpp"
#include "ipc/os/clock.hpp"
#include "ipc/os/membarrier.hpp"
#include "tests/support/channel_name.hpp"
#include "tests/support/torn.hpp"

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

#include <sys/user.h>

namespace {

std::size_t allocations = 0;

}

// Counts every allocation of this program; the hot paths must add none. Not inlined: GCC would take
// free() for the wrong end of an operator new.
[[gnu::noinline]] void* operator new(std::size_t size) {
    ++allocations;
    if (void* memory = std::malloc(size)) return memory;
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
    std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}

namespace ipc {
namespace {

struct Executed {
    std::size_t instructions = 0;
    std::size_t locked = 0;  ///< lock prefix, or xchg with memory
    std::size_t fences = 0;  ///< mfence, or GCC's cheaper one: lock or $0, (%rsp)
    std::size_t system_calls = 0;
    double seconds = 0;
};

void classify(const std::uint8_t* code, Executed& executed) {
    ++executed.instructions;
    std::size_t i = 0;
    for (; i < 8; ++i) {
        const std::uint8_t byte = code[i];
        if (byte == 0xF0) {
            constexpr std::array<std::uint8_t, 5> or_nothing{0x48, 0x83, 0x0C, 0x24, 0x00};
            const bool is_fence =
                std::equal(or_nothing.begin(), or_nothing.end(), code + i + 1) ||
                std::equal(or_nothing.begin() + 1, or_nothing.end(), code + i + 1);
            ++(is_fence ? executed.fences : executed.locked);
            return;
        }
        const bool prefix = byte == 0x66 || byte == 0x67 || byte == 0xF2 || byte == 0xF3 ||
                            byte == 0x2E || byte == 0x36 || byte == 0x3E || byte == 0x26 ||
                            byte == 0x64 || byte == 0x65 || (byte & 0xF0) == 0x40;
        if (!prefix) break;
    }
    const bool memory_operand = (code[i + 1] & 0xC0) != 0xC0;
    if ((code[i] == 0x86 || code[i] == 0x87) && memory_operand) ++executed.locked;
    if (code[i] == 0x0F && code[i + 1] == 0x05) ++executed.system_calls;
    if (code[i] == 0x0F && code[i + 1] == 0xAE && (code[i + 2] & 0xF8) == 0xF0) ++executed.fences;
}

/// Runs `prepare`, then `body` under single-step in a child. The child marks the start and the end
/// by raising a signal; a body that reports failure ends with another status.
Executed trace(const std::function<void()>& prepare, const std::function<bool()>& body) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
        prepare();
        ::raise(SIGUSR1);
        const bool good = body();
        ::raise(SIGUSR2);
        ::_exit(good ? 0 : 1);
    }
    Executed executed;
    const auto start = std::chrono::steady_clock::now();
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSTOPPED(status) && WSTOPSIG(status) == SIGUSR1);
    bool stepping = true;
    while (stepping) {
        user_regs_struct registers{};
        ::ptrace(PTRACE_GETREGS, child, nullptr, &registers);
        std::array<std::uint8_t, 16> code{};
        for (std::size_t i = 0; i < 2; ++i) {
            const long word = ::ptrace(PTRACE_PEEKTEXT, child, registers.rip + 8 * i, nullptr);
            std::memcpy(code.data() + 8 * i, &word, 8);
        }
        classify(code.data(), executed);
        ::ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr);
        ::waitpid(child, &status, 0);
        stepping = WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP;
    }
    executed.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    EXPECT_TRUE(WIFSTOPPED(status) && WSTOPSIG(status) == SIGUSR2);
    ::ptrace(PTRACE_CONT, child, nullptr, nullptr);
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "the operation failed";
    return executed;
}

/// What raising the end mark costs under single-step, system calls included.
const Executed& marks() {
    static const Executed executed = trace([] {}, [] { return true; });
    return executed;
}

constexpr int rounds = 40;  // fewer than a step of the ring, after a refresh of the limit

struct Message32 {
    std::array<std::uint64_t, 4> words;
};

TEST(HotPath, ExclusiveProducerAndLoneSubscriberNeedNoLockedInstructionFenceOrSystemCall) {
    const test::ChannelName name("hot");
    auto channel = Channel<Message32>::create(name, {.capacity = 1024});
    std::optional<Producer<Message32>> producer;
    std::optional<Consumer<Message32>> subscriber;
    std::size_t allocated = 0;
    Position last = 0;
    Position sample = 0;
    Position sample_before = 0;
    const auto exchange = [&](int count) {
        for (int i = 0; i < count; ++i) {
            const Message32 sent{{static_cast<std::uint64_t>(i), 2, 3, 4}};
            if (!producer->try_send(sent)) return false;
            const auto received = subscriber->try_receive();
            if (!received || received->words != sent.words) return false;
            last = received.position();
            if (received.published_at().count() != 0) sample_before = std::exchange(sample, last);
        }
        return true;
    };
    const Executed executed = trace(
        [&] {
            auto own = Channel<Message32>::open(name);
            producer.emplace(own.exclusive_producer());
            subscriber.emplace(own.subscribe());
            exchange(1024 + 1);  // every function resolved
            // Past a refresh, and no sample is due: none comes before half the distance of the last
            // two. Single-stepped, each message after it would be one.
            const auto is_ordinary = [&] {
                const Position due = sample + (sample - sample_before) / 2;
                return last % (1024 / 16) == 0 && due > last + rounds;
            };
            for (int i = 0; i < 100'000 && !is_ordinary(); ++i)
                exchange(1);
            allocated = allocations;
        },
        [&] { return exchange(rounds) && allocations == allocated; });
    EXPECT_EQ(executed.locked, marks().locked);
    EXPECT_EQ(executed.fences, marks().fences);
    EXPECT_EQ(executed.system_calls, marks().system_calls);
    const std::size_t each = (executed.instructions - marks().instructions) / rounds;
    RecordProperty("instructions_per_message", static_cast<int>(each));
    EXPECT_LT(each, 400U);
}

TEST(HotPath, SharedProducerAndMemberNeedThreeLockedInstructionsAndNoFenceOrSystemCall) {
    const test::ChannelName name("hot");
    auto channel = Channel<Message32>::create(name, {.capacity = 1024});
    std::optional<Producer<Message32>> producer;
    std::optional<Consumer<Message32>> member;
    std::size_t allocated = 0;
    const auto memory = test::memory_of(name);
    const auto exchange = [&](int count) {
        for (int i = 0; i < count; ++i) {
            const Message32 sent{{static_cast<std::uint64_t>(i), 2, 3, 4}};
            // Nothing to do for a member that looks after the dead now and then.
            memory->header().swept_at.store(os::now(), std::memory_order_relaxed);
            if (!producer->try_send(sent)) return false;
            auto received = member->try_receive();
            if (!received || received->words != sent.words || !received.ack()) return false;
        }
        return true;
    };
    const Executed executed = trace(
        [&] {
            auto own = Channel<Message32>::open(name);
            producer.emplace(own.producer());
            member.emplace(own.join("group", {.ack = Ack::manual}));
            exchange(1024 + 1);
            allocated = allocations;
        },
        [&] { return exchange(rounds) && allocations == allocated; });
    // The claim of the slot, the lease, its settlement; sampled ones add to two histograms,
    // a count and a sum each.
    EXPECT_GE(executed.locked - marks().locked, 3U * rounds);
    EXPECT_LE(executed.locked - marks().locked, 7U * rounds);
    // If this process was asleep for long, a member looks after the dead all the same, about 20
    // times a second: it probes the other participant, and fences before it looks for sleepers.
    EXPECT_LE(executed.system_calls - marks().system_calls, 20 * executed.seconds + 2);
    EXPECT_LE(executed.fences - marks().fences, 20 * executed.seconds + 2);
}

// Those without the barrier fence wherever the others need none: after they published (EDGE park),
// before they take a lease while they hold none (EDGE call), and after they made room (EDGE park).
TEST(HotPath, AProcessThatCannotRegisterForTheBarrierFencesOncePerSendFirstTakeAndAck) {
    for (const bool registered : {true, false}) {
        SCOPED_TRACE(registered ? "registered" : "not registered");
        const test::ChannelName name("hot");
        auto channel = Channel<Message32>::create(name, {.capacity = 1024});
        std::optional<Producer<Message32>> producer;
        std::optional<Consumer<Message32>> member;
        std::vector<Message<Message32>> held;
        const auto memory = test::memory_of(name);
        const auto prepare = [&] {
            os::simulate_absence(!registered, false);
            auto own = Channel<Message32>::open(name);
            producer.emplace(own.producer());
            member.emplace(own.join("group", {.ack = Ack::manual}));
            held.reserve(std::size_t{2} * rounds);
        };
        const auto send = [&](int count) {
            for (int i = 0; i < count; ++i)
                if (!producer->try_send(Message32{})) return false;
            return true;
        };
        const auto take = [&](int count) {
            for (int i = 0; i < count; ++i) {
                // Nothing to do for a member that looks after the dead now and then, and fences.
                memory->header().swept_at.store(os::now(), std::memory_order_relaxed);
                if (!held.emplace_back(member->try_receive())) return false;
            }
            return true;
        };
        const auto ack = [&](int count) {
            for (int i = 0; i < count; ++i) {
                if (!held.back().ack()) return false;
                held.pop_back();
            }
            return true;
        };
        const auto expect_fences = [&](const char* of, int of_each, const Executed& executed) {
            const int expected = registered ? 0 : of_each * rounds;
            const auto fences = static_cast<int>(executed.fences - marks().fences);
            EXPECT_GE(fences, expected) << of;
            // If this process was asleep for long, a member looks after the dead all the same.
            EXPECT_LE(fences, expected + 20 * executed.seconds + 2) << of;
        };
        expect_fences("send", 1, trace([&] { prepare(), send(1); }, [&] { return send(rounds); }));
        expect_fences(
            "a further take", 0,
            trace([&] { prepare(), send(rounds + 1), take(1); }, [&] { return take(rounds); }));
        expect_fences("ack", 1,
                      trace([&] { prepare(), send(rounds + 1), take(rounds + 1), ack(1); },
                            [&] { return ack(rounds); }));
        expect_fences("a first take and its ack", 2,
                      trace([&] { prepare(), send(rounds + 1), take(1), ack(1); },
                            [&] {
                                for (int i = 0; i < rounds; ++i)
                                    if (!take(1) || !ack(1)) return false;
                                return true;
                            }));
    }
}

// Nobody sleeps who would have to be woken.
TEST(HotPath, ARefusedProducerCostsItsReaderNoSystemCall) {
    const test::ChannelName name("hot");
    auto channel = Channel<Message32>::create(name, {.capacity = 64});
    std::optional<Producer<Message32>> producer;
    std::optional<Consumer<Message32>> subscriber;
    const Executed executed = trace(
        [&] {
            auto own = Channel<Message32>::open(name);
            producer.emplace(own.exclusive_producer());
            subscriber.emplace(own.subscribe());
            while (producer->try_send(Message32{})) {
            }
            // A subscriber publishes every fourth position here, but this one at once.
            if (!subscriber->try_receive()) std::abort();
            if (!producer->try_send(Message32{})) std::abort();
            while (producer->try_send(Message32{})) {
            }
        },
        [&] {
            for (int i = 0; i < rounds; ++i) {
                if (!subscriber->try_receive()) return false;
            }
            return true;
        });
    EXPECT_EQ(executed.system_calls, marks().system_calls);
}

}
}

#else

TEST(HotPath, IsLookedAtOnX86WithoutSanitizersOnly) {
    GTEST_SKIP();
}

#endif
