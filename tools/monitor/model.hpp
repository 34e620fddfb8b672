#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ipc/inspect.hpp"
#include "tools/monitor/estimate.hpp"
#include "tools/monitor/sampler.hpp"

namespace ipc::tools::monitor {

// What a display shows, however it looks: the newer of two samples, with what only the difference
// of the two tells. Per second means per second of the time between them.

struct GroupView {
    GroupReport report;
    std::string title;  ///< the group's name; for a subscriber, who it is
    Estimate estimate;
};

struct ChannelView {
    std::string name;
    std::string problem;  ///< why there is no report; empty when there is
    std::optional<ChannelReport> report;
    std::optional<ChannelRates> rates;  ///< nothing for a channel that is new
    std::vector<GroupView> groups;
};

std::vector<ChannelView> compare(const std::vector<Sample>& before, std::vector<Sample> now);

}  // namespace ipc::tools::monitor
