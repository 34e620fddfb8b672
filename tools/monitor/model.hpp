#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ipc/inspect.hpp"
#include "tools/monitor/sampler.hpp"

namespace ipc::tools::monitor {

// What a display shows, however it looks: the newer of two samples, with what only the difference
// of the two tells. Per second means per second of the time between them.

struct GroupRates {
    double out;    ///< messages handed to members
    double acked;  ///< messages processed
    double redelivered;
    double skipped;
    double dead_lettered;
};

struct GroupView {
    GroupReport report;
    std::string title;                            ///< the group's name; for a subscriber, who it is
    std::optional<GroupRates> rates;              ///< nothing for a group that is new
    std::optional<std::int64_t> service_time_ns;  ///< T_p: mean, from receive to settle
    /// T_r = T_p + L_q / C with C = members / T_p: what a message published now has to expect.
    std::optional<std::int64_t> predicted_response_ns;
};

struct ChannelRates {
    std::int64_t interval_ns;
    double messages_in;
    double bytes_in;
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
