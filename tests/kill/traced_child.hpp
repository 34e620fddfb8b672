#pragma once

// A child process that is executed instruction by instruction.

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace ipc::test::kill {

// One instruction after the other, with two exceptions, each of which counts as one instruction:
// a system call, whose inside is the kernel's; and a call of the kernel's code that is mapped into
// every process to read the clock (vdso), which changes nothing, and which loops for as long as it
// is interrupted too often.

/// The operation under test lies between these two, called in the child. `begin_operation` stops a
/// traced child; `end_operation` does nothing, its address tells that the operation is complete.
inline void begin_operation() {
    asm volatile("int3" ::: "memory");
}
void end_operation();

/// One recorded run of an operation.
struct Trace {
    /// Where the child stood after k instructions; the last entry is the end of the operation.
    std::vector<std::uint64_t> address;
    /// How often it had been at address[k] before and including k.
    std::vector<std::uint32_t> occurrence;
    /// Whether the k-th instruction changed what other processes can see: it was a system call, or
    /// the shared memory differs from before. Entry 0 stands for the start and counts as visible.
    std::vector<std::uint8_t> visible;
    /// Whether the k-th instruction is a system call in which the child slept for a counterpart.
    std::vector<std::uint8_t> slept;

    std::size_t instructions() const { return address.size() - 1; }
};

/// A moment of an operation: after `instruction` instructions, or asleep inside the next one.
struct Point {
    std::uint32_t instruction = 0;
    bool asleep = false;
};

class TracedChild {
public:
    /// Forks a child that runs `body`, up to begin_operation(). Throws when it ends before.
    /// `counterpart` is called when the child sleeps inside the operation, each time.
    TracedChild(const std::function<void()>& body, std::function<void()> counterpart);
    ~TracedChild();
    TracedChild(const TracedChild&) = delete;
    TracedChild& operator=(const TracedChild&) = delete;

    pid_t pid() const { return pid_; }

    /// Single-steps through the operation. `changed` tells whether the shared memory differs from
    /// the last time it was asked.
    Trace record(const std::function<bool()>& changed);

    enum class Reached { exactly, nearby, never };
    /// Brings the child to a point of a recorded run: runs to an instruction shortly before, found
    /// by its address and how often that was executed, and steps from there. `nearby`: it stands at
    /// another instruction, since this run branched differently. `never`: the operation ended.
    /// `step_by_step` takes as long as the recorded run: for branches that depend on the time.
    Reached advance_to(const Trace& trace, Point point, bool step_by_step);

    /// From anywhere inside or behind the operation:
    void kill();    ///< SIGKILL, reaped
    void stop();    ///< stopped by SIGSTOP, no longer traced
    void resume();  ///< after stop(), or when the operation is complete: runs freely
    /// Waits for the end; the exit status, 128 + the signal, or -1 when it takes longer.
    int wait(double seconds);

private:
    void await_stop(bool may_sleep);
    void step();
    void leave_kernel_code();
    bool continue_to(std::uint64_t address, std::uint32_t occurrence);
    void go(int how, bool may_sleep);
    std::uint64_t instruction_pointer() const;
    void set_instruction_pointer(std::uint64_t address);
    bool at_system_call() const;
    std::uint8_t exchange_byte(std::uint64_t address, std::uint8_t byte) const;

    pid_t pid_ = -1;
    std::function<void()> counterpart_;
    mutable std::uint64_t instruction_pointer_ = 0;  ///< 0: not asked since it ran
    bool traced_ = true;
    bool reaped_ = false;
    bool slept_ = false;         ///< in the last step
    bool leave_asleep_ = false;  ///< do not call the counterpart: the child is to be met asleep
    bool is_asleep_ = false;
};

}
