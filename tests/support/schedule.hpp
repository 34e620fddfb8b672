#pragma once

#include <cstdint>
#include <string>

namespace ipc::test {

/// Runs one random schedule: producers, members of groups and subscribers of a small channel,
/// killed with SIGKILL or stopped at random instants and replaced. All choices but the scheduler's
/// follow from `seed`. Afterwards every published message is accounted for, in every group, by id.
/// Returns what was violated, or an empty string.
std::string run_schedule(std::uint64_t seed);

}
