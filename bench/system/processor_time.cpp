#include "bench/system/processor_time.hpp"

#include <sys/resource.h>

#include <ctime>

namespace ipc::bench {

std::uint64_t voluntary_switches() {
    rusage usage = {};
    ::getrusage(RUSAGE_SELF, &usage);
    return static_cast<std::uint64_t>(usage.ru_nvcsw);
}

std::int64_t processor_time(pid_t process) {
    clockid_t clock = 0;
    if (::clock_getcpuclockid(process, &clock) != 0) return 0;
    timespec time = {};
    ::clock_gettime(clock, &time);
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace ipc::bench
