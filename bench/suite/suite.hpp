#pragma once

// Which questions there are, and which candidates each is put to.

#include <vector>

#include "bench/experiment/experiment.hpp"

namespace ipc::bench {

/// Round trips of 32 bytes.
std::vector<Experiment> ping_pong_experiments();

/// 32 bytes in one direction, one by one and in batches.
std::vector<Experiment> throughput_experiments();

}  // namespace ipc::bench
