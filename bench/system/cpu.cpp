#include "bench/system/cpu.hpp"

#include <sched.h>

#include <cerrno>
#include <fstream>
#include <set>
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

/// Those that this program may use: at first, all that it found.
cpu_set_t allowed = affinity();

}  // namespace

Unpinned::Unpinned() : before_(affinity()) {
    ::sched_setaffinity(0, sizeof allowed, &allowed);
}

Unpinned::~Unpinned() {
    ::sched_setaffinity(0, sizeof before_, &before_);
}

std::vector<int> usable_cpus() {
    std::vector<int> cpus;
    std::vector<int> siblings;
    std::set<int> cores;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (!CPU_ISSET(cpu, &allowed)) continue;
        (cores.insert(first_sibling(cpu)).second ? cpus : siblings).push_back(cpu);
    }
    cpus.insert(cpus.end(), siblings.begin(), siblings.end());
    return cpus;
}

void use_only(const std::vector<int>& cpus) {
    CPU_ZERO(&allowed);
    for (const int cpu : cpus)
        CPU_SET(cpu, &allowed);
    if (::sched_setaffinity(0, sizeof allowed, &allowed) != 0) {
        throw std::system_error(errno, std::system_category(), "cannot use these processors");
    }
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
