#pragma once

#include <sched.h>

#include <vector>

namespace ipc::bench {

/// The processors this process may use, in the order in which roles are to be placed on them: one
/// of each core first, so that two roles share a core only when there are more roles than cores.
std::vector<int> usable_cpus();

/// From now on those are the ones, also for every process that is started without being pinned.
/// Throws std::system_error.
void use_only(const std::vector<int>& cpus);

/// While it exists, the threads that this one starts may run on any of them.
class Unpinned {
public:
    Unpinned();
    ~Unpinned();
    Unpinned(const Unpinned&) = delete;
    Unpinned& operator=(const Unpinned&) = delete;

private:
    cpu_set_t before_;
};

/// Keeps the calling thread on one processor. Throws std::system_error.
void pin_to(int cpu);

}  // namespace ipc::bench
