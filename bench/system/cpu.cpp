#include "bench/system/cpu.hpp"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <string>
#include <system_error>

namespace ipc::bench {
namespace {

/// The first processor of the core that this one belongs to; itself where the system does not say.
int first_sibling(int cpu) {
    std::ifstream file("/sys/devices/system/cpu/cpu" + std::to_string(cpu) +
                       "/topology/thread_siblings_list");
    int first = cpu;
    file >> first;
    return first;
}

cpu_set_t affinity() {
    cpu_set_t set;
    CPU_ZERO(&set);
    ::sched_getaffinity(0, sizeof set, &set);
    return set;
}

/// Before anything was pinned.
const cpu_set_t at_start = affinity();

}  // namespace

Unpinned::Unpinned() : before_(affinity()) {
    ::sched_setaffinity(0, sizeof at_start, &at_start);
}

Unpinned::~Unpinned() {
    ::sched_setaffinity(0, sizeof before_, &before_);
}

std::vector<int> usable_cpus() {
    const cpu_set_t set = at_start;
    std::vector<int> cpus;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    }
    std::stable_partition(cpus.begin(), cpus.end(),
                          [](int cpu) { return first_sibling(cpu) == cpu; });
    return cpus;
}

void pin_to(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (::sched_setaffinity(0, sizeof set, &set) != 0) {
        throw std::system_error(errno, std::system_category(),
                                "cannot run on processor " + std::to_string(cpu));
    }
}

}  // namespace ipc::bench
