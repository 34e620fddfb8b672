#pragma once

#include <string>
#include <vector>

#include "bench/experiment/experiment.hpp"

namespace ipc::bench {

/// A report as lines for a terminal, ratios in front.
std::vector<std::string> table(const Report& report);

/// A figure with three significant digits and the unit that fits: "273 ns", "81.2 M/s".
std::string quantity(double value, const std::string& unit);

}  // namespace ipc::bench
