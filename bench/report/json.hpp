#pragma once

#include <nlohmann/json.hpp>

#include "bench/experiment/experiment.hpp"

namespace ipc::bench {

/// A report for programs.
nlohmann::ordered_json json(const Report& report);

}  // namespace ipc::bench
