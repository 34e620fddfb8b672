#pragma once

#include <string>
#include <vector>

#include "tools/monitor/model.hpp"

namespace ipc::tools::monitor {

/// The same as the table, and more, for programs: raw integers with their units in the names. Names
/// are only ever added; when one changes its meaning, `schema_version` grows.
std::string to_json(const std::vector<ChannelView>& channels);

}  // namespace ipc::tools::monitor
