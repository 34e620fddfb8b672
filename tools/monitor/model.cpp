#include "tools/monitor/model.hpp"

#include <algorithm>
#include <utility>

#include <fmt/core.h>

namespace ipc::tools::monitor {
namespace {

std::string title(const ChannelReport& channel, const GroupReport& group) {
    if (!group.subscriber) return group.name;
    for (const ParticipantReport& participant : channel.participants) {
        if (participant.group_index == static_cast<int>(group.index)) {
            return fmt::format("{} ({})", participant.name, participant.pid);
        }
    }
    return "subscriber";
}

ChannelView view_of(Sample sample, const ChannelReport* before) {
    ChannelView view = {.name = std::move(sample.channel),
                        .problem = std::move(sample.problem),
                        .report = std::move(sample.report),
                        .rates = std::nullopt,
                        .groups = {}};
    if (!view.report) return view;
    const ChannelReport& now = *view.report;
    if (before != nullptr) view.rates = channel_rates(*before, now);
    for (const GroupReport& group : now.groups) {
        view.groups.push_back({.report = group,
                               .title = title(now, group),
                               .estimate = estimate(before, now, group)});
    }
    return view;
}

}  // namespace

std::vector<ChannelView> compare(const std::vector<Sample>& before, std::vector<Sample> now) {
    std::vector<ChannelView> result;
    for (Sample& sample : now) {
        const auto earlier = std::find_if(before.begin(), before.end(), [&](const Sample& other) {
            return other.channel == sample.channel && other.report;
        });
        const ChannelReport* report = earlier == before.end() ? nullptr : &*earlier->report;
        result.push_back(view_of(std::move(sample), report));
    }
    return result;
}

}  // namespace ipc::tools::monitor
