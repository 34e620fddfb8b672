#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace ipc::test {

/// How many participants of the channel wait.
std::size_t count_parked(const std::string& channel);
/// False when it takes too long until so many do.
bool all_park(const std::string& channel, std::size_t count);

/// How often each of these threads of this process went to sleep, at a moment when all of them
/// sleep and they are who waits in the channel. Nothing, and a failure, when none comes.
std::vector<std::int64_t> sleeps_when_all_sleep(const std::string& channel,
                                                std::span<const std::atomic<pid_t>> threads);

/// Sleepers look at the sentinel in the same moments: when this number changes.
std::int64_t slow_ticks_so_far();

}
