#pragma once

#include <sys/types.h>
#include <unistd.h>

namespace ipc::test {

/// Processor time that a process used so far, in seconds; 0 when there is none.
double processor_seconds(pid_t process = ::getpid());

}
