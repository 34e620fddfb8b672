#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "bench/experiment/experiment.hpp"

namespace ipc::bench {

// Results for programs; bench/results/README.md describes them.

using Json = nlohmann::ordered_json;

constexpr int schema_version = 1;

struct Settings {
    std::size_t rounds;
    double seconds;
    std::vector<int> cpus;
    std::string revision;
    std::optional<double> load_average;  ///< before the start; else as it is
};

/// The document, still without experiments: where and how they are made.
Json header(const Settings& settings);

Json json(const Report& report);

}  // namespace ipc::bench
