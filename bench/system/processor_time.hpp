#pragma once

#include <sys/types.h>

#include <cstdint>

namespace ipc::bench {

/// How often the calling process gave up its processor of its own accord.
std::uint64_t voluntary_switches();

/// Nanoseconds a process, all its threads, has run so far; 0 when there is none of that id.
std::int64_t processor_time(pid_t process);

}  // namespace ipc::bench
