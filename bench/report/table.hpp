#pragma once

#include <string>
#include <vector>

#include "bench/experiment/experiment.hpp"

namespace ipc::bench {

/// A report as lines for a terminal, ratios in front.
std::vector<std::string> table(const Report& report);

/// With three significant digits.
std::string significant(double value);

/// The same with the unit that fits: "273 ns", "81.2 M/s".
std::string quantity(double value, const std::string& unit);

}  // namespace ipc::bench
