#pragma once

#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace ipc::bench {

/// The plots that the results suffice for: names of files, and SVG.
std::vector<std::pair<std::string, std::string>> plots(const nlohmann::json& results);

/// All results, with the plots, as one HTML page that needs nothing else.
std::string page(const nlohmann::json& results);

}  // namespace ipc::bench
