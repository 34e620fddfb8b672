#pragma once

#include <string>
#include <vector>

#include "tools/monitor/view.hpp"

namespace ipc::tools::monitor {

/// What the screen shows of the rows of a tree, and more, for programs: tools/monitor/README.md
/// describes it. Keys are only ever added; when one is renamed or changes its meaning,
/// `schema_version` grows. Indented, or all on one line; either ends with a newline.
std::string to_json(const History& history, const std::vector<Row>& rows, bool indented);

}  // namespace ipc::tools::monitor
