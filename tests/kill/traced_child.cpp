#include "tests/kill/traced_child.hpp"

#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "ipc/os/process.hpp"

namespace ipc::test::kill {
namespace {

constexpr std::uint8_t breakpoint_instruction = 0xCC;
/// Meeting a breakpoint once costs about as much as this many steps.
constexpr std::uint32_t breakpoint_cost = 3;
/// How far a run may be behind the recorded one, in instructions, and still be at the same point:
/// loops over text that the kernel printed are not always equally long.
constexpr int most_lag = 300;

long request(__ptrace_request what, pid_t pid, std::uint64_t address, std::uint64_t data) {
    const long result =
        ::ptrace(what, pid, reinterpret_cast<void*>(address), reinterpret_cast<void*>(data));
    if (result == -1 && errno != 0) {
        throw std::system_error(errno, std::system_category(), "ptrace");
    }
    return result;
}

void pause_for(std::chrono::microseconds span) {
    struct timespec time {};
    time.tv_nsec = span.count() * 1000;
    ::nanosleep(&time, nullptr);
}

struct Range {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
};

/// The kernel's code in this process, and in all of its children.
Range find_kernel_code() {
    std::ifstream maps("/proc/self/maps");
    std::string line;
    while (std::getline(maps, line)) {
        if (line.find("[vdso]") == std::string::npos) continue;
        Range range;
        range.begin = std::strtoull(line.c_str(), nullptr, 16);
        range.end = std::strtoull(line.c_str() + line.find('-') + 1, nullptr, 16);
        return range;
    }
    return {};
}

bool is_kernel_code(std::uint64_t address) {
    static const Range range = find_kernel_code();
    return address >= range.begin && address < range.end;
}

}

[[gnu::noinline]] void end_operation() {
    asm volatile("" ::: "memory");
}

TracedChild::TracedChild(const std::function<void()>& body, std::function<void()> counterpart)
    : counterpart_(std::move(counterpart)) {
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0) throw std::system_error(errno, std::system_category(), "fork");
    if (pid_ == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) ::_exit(2);
        int code = 0;
        try {
            request(PTRACE_TRACEME, 0, 0, 0);
            body();
        } catch (const std::exception& error) {
            std::fprintf(stderr, "child: %s\n", error.what());
            code = 1;
        }
        ::_exit(code);
    }
    await_stop(true);
    request(PTRACE_SETOPTIONS, pid_, 0, PTRACE_O_EXITKILL);
}

TracedChild::~TracedChild() {
    if (!reaped_) kill();
}

/// Waits until the child has stopped at a trap.
void TracedChild::await_stop(bool may_sleep) {
    int polls = 0;
    int seen_asleep = 0;
    for (;;) {
        int status = 0;
        const pid_t found = ::waitpid(pid_, &status, may_sleep ? WNOHANG : 0);
        if (found < 0 && errno == EINTR) continue;
        if (found < 0) throw std::system_error(errno, std::system_category(), "waitpid");
        if (found == pid_) {
            if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP) return;
            if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGCHLD) {
                // Of a child it had before the operation.
                request(PTRACE_CONT, pid_, 0, SIGCHLD);
                continue;
            }
            reaped_ = !WIFSTOPPED(status);
            throw std::runtime_error(
                WIFSTOPPED(status) ? "the child got signal " + std::to_string(WSTOPSIG(status))
                                   : "the child ended before its operation was complete");
        }
        if (++polls < 4) {
            ::sched_yield();
            continue;
        }
        pause_for(std::chrono::microseconds(50));
        seen_asleep = os::process_state(pid_) == 'S' ? seen_asleep + 1 : 0;
        if (seen_asleep < 2) continue;
        slept_ = true;
        if (leave_asleep_) {
            is_asleep_ = true;
            return;
        }
        if (!counterpart_) {
            if (seen_asleep > 50000) throw std::runtime_error("the child sleeps for ever");
            continue;
        }
        counterpart_();
        seen_asleep = -20;
    }
}

std::uint64_t TracedChild::instruction_pointer() const {
    if (instruction_pointer_ != 0) return instruction_pointer_;
    errno = 0;
    instruction_pointer_ = static_cast<std::uint64_t>(
        request(PTRACE_PEEKUSER, pid_, offsetof(struct user, regs.rip), 0));
    return instruction_pointer_;
}

void TracedChild::set_instruction_pointer(std::uint64_t address) {
    request(PTRACE_POKEUSER, pid_, offsetof(struct user, regs.rip), address);
    instruction_pointer_ = address;
}

/// Runs on: one instruction (PTRACE_SINGLESTEP), or to the next trap (PTRACE_CONT).
void TracedChild::go(int how, bool may_sleep) {
    instruction_pointer_ = 0;
    request(static_cast<__ptrace_request>(how), pid_, 0, 0);
    await_stop(may_sleep);
}

bool TracedChild::at_system_call() const {
    static std::unordered_map<std::uint64_t, bool> known;  // all children run the same code
    const std::uint64_t address = instruction_pointer();
    const auto [entry, is_new] = known.try_emplace(address, false);
    if (is_new) {
        errno = 0;
        entry->second = (request(PTRACE_PEEKTEXT, pid_, address, 0) & 0xFFFF) == 0x050F;
    }
    return entry->second;
}

std::uint8_t TracedChild::exchange_byte(std::uint64_t address, std::uint8_t byte) const {
    errno = 0;
    const auto word = static_cast<std::uint64_t>(request(PTRACE_PEEKTEXT, pid_, address, 0));
    request(PTRACE_POKETEXT, pid_, address, (word & ~std::uint64_t{0xFF}) | byte);
    return static_cast<std::uint8_t>(word & 0xFF);
}

void TracedChild::step() {
    slept_ = false;
    const bool may_sleep = at_system_call();
    go(PTRACE_SINGLESTEP, may_sleep);
    if (!is_asleep_ && is_kernel_code(instruction_pointer())) leave_kernel_code();
}

/// Just called: runs to the return address, which lies on top of the stack.
void TracedChild::leave_kernel_code() {
    errno = 0;
    const auto stack = static_cast<std::uint64_t>(
        request(PTRACE_PEEKUSER, pid_, offsetof(struct user, regs.rsp), 0));
    const auto caller = static_cast<std::uint64_t>(request(PTRACE_PEEKTEXT, pid_, stack, 0));
    const std::uint8_t former = exchange_byte(caller, breakpoint_instruction);
    go(PTRACE_CONT, true);
    set_instruction_pointer(caller);
    exchange_byte(caller, former);
}

Trace TracedChild::record(const std::function<bool()>& changed) {
    const auto end = reinterpret_cast<std::uint64_t>(&end_operation);
    slept_ = false;  // on the way here, perhaps
    Trace trace;
    std::unordered_map<std::uint64_t, std::uint32_t> visits;
    changed();
    std::uint64_t address = instruction_pointer();
    const auto note = [&](bool visible) {
        trace.address.push_back(address);
        trace.occurrence.push_back(++visits[address]);
        trace.visible.push_back(visible ? 1 : 0);
        trace.slept.push_back(slept_ ? 1 : 0);
    };
    note(true);
    while (address != end) {
        const bool system_call = at_system_call();
        step();
        address = instruction_pointer();
        note(changed() || system_call);
    }
    return trace;
}

/// Runs freely until `address` is reached for the n-th time; false when the operation ended first.
bool TracedChild::continue_to(std::uint64_t address, std::uint32_t occurrence) {
    const auto end = reinterpret_cast<std::uint64_t>(&end_operation);
    std::uint64_t at = instruction_pointer();
    for (;;) {
        if (at == address && --occurrence == 0) return true;
        if (at == end) return false;
        if (at == address) {
            step();
            at = instruction_pointer();
            if (at == address || at == end) continue;
        }
        const std::uint8_t former = exchange_byte(address, breakpoint_instruction);
        const std::uint8_t former_at_end = exchange_byte(end, breakpoint_instruction);
        go(PTRACE_CONT, true);
        at = instruction_pointer() - 1;
        set_instruction_pointer(at);
        exchange_byte(end, former_at_end);
        exchange_byte(address, former);
    }
}

TracedChild::Reached TracedChild::advance_to(const Trace& trace, Point point, bool step_by_step) {
    const auto end = reinterpret_cast<std::uint64_t>(&end_operation);
    const std::uint32_t target = point.instruction;
    // The cheapest way there: j steps behind the n-th visit of an address.
    std::uint32_t anchor = 0;
    std::uint32_t cheapest = target;
    for (std::uint32_t j = target; !step_by_step && j > 0 && target - j < cheapest; --j) {
        const std::uint32_t cost = breakpoint_cost * trace.occurrence[j] + (target - j);
        if (cost < cheapest) {
            cheapest = cost;
            anchor = j;
        }
    }
    if (anchor != 0 && !continue_to(trace.address[anchor], trace.occurrence[anchor])) {
        return Reached::never;
    }
    const std::uint64_t wanted = trace.address[target];
    std::uint32_t at = anchor;
    for (; at < target; ++at) {
        if (instruction_pointer() == end) return Reached::never;
        step();
    }
    for (int lag = 0; lag < most_lag && instruction_pointer() != wanted; ++lag) {
        if (instruction_pointer() == end) return Reached::never;
        step();
    }
    const Reached reached = instruction_pointer() == wanted ? Reached::exactly : Reached::nearby;
    if (point.asleep && reached == Reached::exactly) {
        leave_asleep_ = true;
        step();
        if (!is_asleep_) return Reached::nearby;
    }
    return reached;
}

void TracedChild::kill() {
    ::kill(pid_, SIGKILL);
    wait(60);
}

void TracedChild::stop() {
    if (is_asleep_) {
        ::kill(pid_, SIGSTOP);
        int status = 0;
        ::waitpid(pid_, &status, 0);
    }
    request(PTRACE_DETACH, pid_, 0, SIGSTOP);
    traced_ = false;
    int status = 0;
    ::waitpid(pid_, &status, WUNTRACED);
}

void TracedChild::resume() {
    if (traced_) {
        request(PTRACE_DETACH, pid_, 0, 0);
        traced_ = false;
    } else {
        ::kill(pid_, SIGCONT);
    }
}

int TracedChild::wait(double seconds) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    for (int polls = 0;; ++polls) {
        int status = 0;
        const pid_t found = ::waitpid(pid_, &status, WNOHANG);
        if (found == pid_ && !WIFSTOPPED(status)) {
            reaped_ = true;
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        }
        if (std::chrono::steady_clock::now() > deadline) return -1;
        if (polls < 20) {
            ::sched_yield();
        } else {
            pause_for(std::chrono::microseconds(100));
        }
    }
}

}
