#pragma once

#include <string>
#include <vector>

#include "tools/monitor/view.hpp"

namespace ipc::tools::monitor {

// Comma-separated values as RFC 4180 has them, but for the ends of lines, which are newlines alone.
// tools/monitor/README.md lists the columns. What is not known is empty.

std::string csv_header();

/// A line for each row.
std::string to_csv(const History& history, const std::vector<Row>& rows);

}  // namespace ipc::tools::monitor
