#pragma once

#include <cstdint>
#include <string>

namespace ipc::inline v1::os {

/// Who a process is, for people who look at a channel. Never used to decide whether it lives: ids
/// are reused, and mean nothing in another PID namespace. Locks decide (ipc/os/lock.hpp).
struct ProcessIdentity {
    std::int32_t pid = 0;             ///< as seen in the namespace below
    std::uint64_t pid_namespace = 0;  ///< inode of /proc/self/ns/pid; 0: unknown
    std::uint64_t start_time = 0;     ///< clock ticks since boot; 0: unknown

    friend bool operator==(const ProcessIdentity&, const ProcessIdentity&) = default;
};

/// Reads /proc anew each time, so that it is right in a forked child, too.
ProcessIdentity this_process();

/// 64 random bits, never 0.
std::uint64_t random_id();

/// The state letter of /proc/<pid>/stat ('R' running, 'S' sleeping, 'T' stopped, 'Z' ended, ...),
/// or 0 when there is no such process in this PID namespace, or /proc hides it.
char process_state(std::int32_t pid);

/// The command name of a process (at most 15 bytes), or empty when it is unknown.
std::string process_name(std::int32_t pid);

}  // namespace ipc::inline v1::os
