#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "tools/monitor/columns.hpp"
#include "tools/monitor/view.hpp"

namespace ipc::tools::monitor {

/// The plain table, of the rows of a tree: a line for each channel, and below it one for each of
/// its groups and subscribers. None is wider than `width`; columns are left out as it takes.
std::string render(const std::vector<Row>& rows, std::size_t width);

/// The columns of figures in it.
std::vector<ColumnTitle> table_columns();

}  // namespace ipc::tools::monitor
