#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "tools/monitor/model.hpp"

namespace ipc::tools::monitor {

/// The table: a row for each channel, and below it one for each of its groups and subscribers. At
/// most `width` columns and `height` lines, which end with newlines; what does not fit is counted.
std::string render(const std::vector<ChannelView>& channels, std::size_t width, std::size_t height);

}  // namespace ipc::tools::monitor
