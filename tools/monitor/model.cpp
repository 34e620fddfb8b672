#include "tools/monitor/model.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

#include <fmt/core.h>

#include "ipc/format/histogram.hpp"

namespace ipc::tools::monitor {
namespace {

// What was counted in the interval. Counters only grow; where one seems to have shrunk, the two
// samples are of different things, and nothing is known.
class Difference {
public:
    explicit Difference(std::int64_t interval_ns)
        : seconds_(static_cast<double>(interval_ns) / 1e9) {}

    double per_second(std::uint64_t before, std::uint64_t now) {
        if (now < before) valid_ = false;
        return static_cast<double>(now - before) / seconds_;
    }
    bool valid() const { return valid_ && seconds_ > 0; }

private:
    double seconds_;
    bool valid_ = true;
};

// A group's table entry is used again after its end: same place, other start.
bool same_group(const GroupReport& a, const GroupReport& b) {
    return a.index == b.index && a.name == b.name && a.start == b.start;
}

std::optional<GroupRates> rates(const GroupReport* before, const GroupReport& now,
                                std::int64_t interval_ns) {
    if (before == nullptr) return std::nullopt;
    Difference change(interval_ns);
    const GroupRates rates = {
        .out = change.per_second(before->delivered, now.delivered),
        .acked = change.per_second(before->acked, now.acked),
        .redelivered = change.per_second(before->redelivered, now.redelivered),
        .skipped = change.per_second(before->skipped, now.skipped),
        .dead_lettered = change.per_second(before->dead_lettered, now.dead_lettered),
    };
    return change.valid() ? std::optional(rates) : std::nullopt;
}

// Mean of the samples that a histogram gained, a bucket counting as its middle.
std::optional<double> mean_gain(const std::vector<std::uint64_t>& before,
                                const std::vector<std::uint64_t>& now) {
    double total = 0;
    double count = 0;
    for (std::size_t i = 0; i < std::min(now.size(), format::histogram_buckets); ++i) {
        const std::uint64_t old = i < before.size() ? before[i] : 0;
        if (now[i] <= old) continue;
        const std::uint64_t floor = format::bucket_floor(i);
        const std::uint64_t ceiling =
            i + 1 < format::histogram_buckets ? format::bucket_floor(i + 1) : floor;
        const auto gained = static_cast<double>(now[i] - old);
        total += gained * (static_cast<double>(floor) + static_cast<double>(ceiling)) / 2;
        count += gained;
    }
    return count > 0 ? std::optional(total / count) : std::nullopt;
}

void predict(GroupView& view, const GroupReport* before) {
    const GroupReport& now = view.report;
    // An idle interval says nothing new; then the whole past is the best estimate.
    auto service_time = before ? mean_gain(before->service_time, now.service_time) : std::nullopt;
    if (!service_time) service_time = mean_gain({}, now.service_time);
    if (!service_time) return;
    view.service_time_ns = std::llround(*service_time);
    if (now.members == 0) return;
    const double waiting = static_cast<double>(now.backlog) * *service_time / now.members;
    constexpr double decades = 1e18;  // more does not fit, and tells nobody more
    view.predicted_response_ns = std::llround(std::min(*service_time + waiting, decades));
}

std::string title(const ChannelReport& channel, const GroupReport& group) {
    if (!group.subscriber) return group.name;
    for (const ParticipantReport& participant : channel.participants) {
        if (participant.group_index == static_cast<int>(group.index)) {
            return fmt::format("{} ({})", participant.name, participant.pid);
        }
    }
    return "subscriber";
}

GroupView view_of(const ChannelReport& channel, const GroupReport& group,
                  const ChannelReport* before) {
    const GroupReport* earlier = nullptr;
    if (before != nullptr) {
        const auto found =
            std::find_if(before->groups.begin(), before->groups.end(),
                         [&](const GroupReport& other) { return same_group(other, group); });
        if (found != before->groups.end()) earlier = &*found;
    }
    GroupView view = {.report = group,
                      .title = title(channel, group),
                      .rates = std::nullopt,
                      .service_time_ns = std::nullopt,
                      .predicted_response_ns = std::nullopt};
    if (before != nullptr) {
        view.rates = rates(earlier, group, channel.sampled_at_ns - before->sampled_at_ns);
    }
    predict(view, earlier);
    return view;
}

ChannelView view_of(Sample sample, const ChannelReport* before) {
    ChannelView view = {.name = std::move(sample.channel),
                        .problem = std::move(sample.problem),
                        .report = std::move(sample.report),
                        .rates = std::nullopt,
                        .groups = {}};
    if (!view.report) return view;
    const ChannelReport& now = *view.report;
    // The name may have come to mean another channel.
    if (before != nullptr && before->channel_id != now.channel_id) before = nullptr;
    if (before != nullptr) {
        const std::int64_t interval_ns = now.sampled_at_ns - before->sampled_at_ns;
        Difference change(interval_ns);
        const ChannelRates rates = {
            .interval_ns = interval_ns,
            .messages_in = change.per_second(before->messages_in, now.messages_in),
            .bytes_in = change.per_second(before->bytes_in, now.bytes_in),
        };
        if (change.valid()) view.rates = rates;
    }
    for (const GroupReport& group : now.groups)
        view.groups.push_back(view_of(now, group, before));
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
