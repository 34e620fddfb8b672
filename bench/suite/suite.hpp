#pragma once

// Which questions there are, and which candidates each is put to.

#include <vector>

#include "bench/experiment/experiment.hpp"

namespace ipc::bench {

std::vector<Experiment> ping_pong_experiments();
std::vector<Experiment> throughput_experiments();
std::vector<Experiment> zero_copy_experiments();
std::vector<Experiment> latency_experiments();
std::vector<Experiment> wake_up_experiments();
std::vector<Experiment> work_queue_experiments();
std::vector<Experiment> fan_out_experiments();
std::vector<Experiment> recovery_experiments();
std::vector<Experiment> watched_experiments();
std::vector<Experiment> idle_experiments();

}  // namespace ipc::bench
