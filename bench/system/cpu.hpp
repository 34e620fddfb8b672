#pragma once

#include <vector>

namespace ipc::bench {

/// The processors this process may use, in the order in which roles are to be placed on them: one
/// of each core first, so that two roles share a core only when there are more roles than cores.
std::vector<int> usable_cpus();

/// Keeps the calling thread on one processor. Throws std::system_error.
void pin_to(int cpu);

}  // namespace ipc::bench
