#include "tools/monitor/json.hpp"

#include <cmath>
#include <cstdint>
#include <optional>
#include <string_view>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "tools/common/text.hpp"
#include "tools/monitor/names.hpp"

namespace ipc::tools::monitor {
namespace {

using Json = nlohmann::ordered_json;

constexpr int schema_version = 2;

// A channel with those of its groups that are to be shown.
struct Entry {
    const ChannelHistory* channel = nullptr;
    std::vector<const GroupHistory*> groups;
};

template <class Rates>
Json rate(const std::optional<Rates>& rates, double Rates::*member) {
    return rates ? Json((*rates).*member) : Json(nullptr);
}

Json or_null(std::optional<double> value) {
    return value ? Json(*value) : Json(nullptr);
}

Json nanoseconds(std::optional<double> seconds) {
    return seconds ? Json(nanoseconds_of(*seconds)) : Json(nullptr);
}

Json to_json(const std::optional<Durations>& durations) {
    if (!durations) return nullptr;
    return {
        {"samples", std::llround(durations->samples)},
        {"mean_ns", nanoseconds(durations->mean)},
        {"p50_ns", nanoseconds(durations->median)},
        {"p99_ns", nanoseconds(durations->percentile_99)},
        {"squared_variation", durations->squared_variation},
    };
}

Json nanoseconds_or_null(std::int64_t value, std::int64_t unknown) {
    return value != unknown ? Json(value) : Json(nullptr);
}

Json to_json(const ParticipantReport& participant) {
    return {
        {"index", participant.index},
        {"role", name_of(participant.role)},
        {"name", participant.name},
        {"pid", participant.pid},
        {"same_pid_namespace", participant.same_pid_namespace},
        {"alive", participant.alive},
        {"group", participant.group},
        {"messages_total", participant.messages},
        {"bytes_total", participant.bytes},
        {"leases_held", participant.leases_held},
        {"activity", name_of(participant.activity)},
        {"activity_since_monotonic_ns", participant.activity_since_ns},
        {"last_received_monotonic_ns", nanoseconds_or_null(participant.last_received_ns, 0)},
        {"attached_at_unix_ns", participant.attached_at_ns},
    };
}

Json to_json(const ChannelHistory& channel, const GroupHistory& history, double now) {
    const GroupReport& group = channel.report_of(history);
    const Estimate estimate = channel.estimate_of(history);
    return {
        {"name", group.name},
        {"title", history.title},
        {"state", name_of(history.state)},
        {"state_for_ns", nanoseconds(now - history.state_since)},
        {"reason", explain(channel, history, now)},
        {"subscriber", group.subscriber},
        {"delivery", group.reliable ? "reliable" : "lossy"},
        {"lifetime", group.durable ? "durable" : "ephemeral"},
        {"ack", group.manual_ack ? "manual" : "automatic"},
        {"max_attempts", group.max_attempts},
        {"lease_limit_ms", group.lease_limit_ms},
        {"dead_letter_channel", group.dead_letter},
        {"members", group.members},
        {"start_position", group.start},
        {"next_position", group.position},
        {"settled_below_position", group.settled_below},
        {"backlog_messages", group.backlog},
        {"in_flight_messages", group.in_flight},
        {"delayed_messages", group.delayed},
        {"dead_letters_pending", group.dead_pending},
        {"oldest_age_ns", nanoseconds_or_null(group.oldest_age_ns, -1)},
        {"oldest_age_at_most_ns", nanoseconds_or_null(group.oldest_age_at_most_ns, -1)},
        {"blocks_producers", group.blocks_producers},
        {"delivered_total", group.delivered},
        {"settled_total", group.settled},
        {"acked_total", group.acked},
        {"redelivered_total", group.redelivered},
        {"returned_total", group.returned},
        {"expired_total", group.expired},
        {"recovered_total", group.recovered},
        {"rejected_total", group.rejected},
        {"dead_lettered_total", group.dead_lettered},
        {"dropped_total", group.dropped},
        {"aborted_total", group.aborted},
        {"skipped_total", group.skipped},
        {"purged_total", group.purged},
        {"not_understood_total", group.not_understood},
        {"delivered_per_second", rate(estimate.rates, &GroupRates::delivered)},
        {"settled_per_second", rate(estimate.rates, &GroupRates::settled)},
        {"acked_per_second", rate(estimate.rates, &GroupRates::acked)},
        {"returned_per_second", rate(estimate.rates, &GroupRates::returned)},
        {"redelivered_per_second", rate(estimate.rates, &GroupRates::redelivered)},
        {"skipped_per_second", rate(estimate.rates, &GroupRates::skipped)},
        {"dead_lettered_per_second", rate(estimate.rates, &GroupRates::dead_lettered)},
        {"service_time", to_json(estimate.service)},
        {"response_time", to_json(estimate.response)},
        {"service_capacity_per_second", or_null(estimate.service_capacity)},
        {"utilisation", or_null(estimate.utilisation)},
        {"stalled", estimate.stalled},
        {"predicted_response_time_ns", nanoseconds(estimate.response_next)},
        {"predicted_response_time_busy_ns", nanoseconds(estimate.response_busy)},
        {"predicted_response_time_steady_ns", nanoseconds(estimate.response_steady)},
        {"until_drained_ns", nanoseconds(estimate.until_drained)},
        {"until_full_ns", nanoseconds(estimate.until_full)},
    };
}

Json to_json(const Entry& entry, double now) {
    const ChannelHistory& history = *entry.channel;
    Json result = {{"name", history.name},
                   {"problem", nullptr},
                   {"state", name_of(history.state)},
                   {"state_for_ns", nanoseconds(now - history.state_since)}};
    if (!history.report) {
        result["problem"] = history.problem;
        return result;
    }
    const ChannelReport& channel = *history.report;
    // A random 64-bit number: not every JSON reader keeps all its digits.
    result["channel_id"] = fmt::format("{:016x}", channel.channel_id);
    result["sampled_at_monotonic_ns"] = channel.sampled_at_ns;
    result["interval_ns"] = history.rates ? nanoseconds(history.rates->seconds) : Json(nullptr);
    result["type"] = channel.type_name;
    result["temporary"] = channel.temporary;
    result["closed"] = channel.closed;
    result["capacity_messages"] = channel.capacity;
    result["inline_size_bytes"] = channel.inline_size;
    result["region_size_bytes"] = channel.region_size;
    result["object_size_bytes"] = channel.object_bytes;
    result["reserved_bytes"] = channel.reserved_bytes;
    result["first_position"] = channel.first;
    result["oldest_retained_position"] = channel.oldest_retained;
    result["tail_position"] = channel.tail;
    result["producers"] = channel.producers();
    result["blocked_by"] = channel.blocked_by;
    result["published_total"] = channel.published;
    result["published_bytes_total"] = channel.published_bytes;
    result["aborted_total"] = channel.aborted;
    result["published_per_second"] = rate(history.rates, &ChannelRates::published);
    result["published_bytes_per_second"] = rate(history.rates, &ChannelRates::published_bytes);
    result["groups"] = Json::array();
    for (const GroupHistory* group : entry.groups)
        result["groups"].push_back(to_json(history, *group, now));
    result["participants"] = Json::array();
    for (const ParticipantReport& participant : channel.participants) {
        result["participants"].push_back(to_json(participant));
    }
    return result;
}

}  // namespace

std::string to_json(const History& history, const std::vector<Row>& rows, bool indented) {
    std::vector<Entry> entries;
    for (const Row& row : rows) {
        if (entries.empty() || entries.back().channel != row.channel) {
            entries.push_back({.channel = row.channel, .groups = {}});
        }
        if (row.group != nullptr) entries.back().groups.push_back(row.group);
    }
    Json document = {
        {"schema_version", schema_version},
        {"sampled_at_unix_ns", history.wall_clock_ns()},
        {"shared_memory_total_bytes", history.space().total},
        {"shared_memory_free_bytes", history.space().free},
        {"channels", Json::array()},
    };
    for (const Entry& entry : entries)
        document["channels"].push_back(to_json(entry, history.now()));
    // Names come from shared memory: they may hold anything.
    return document.dump(indented ? 2 : -1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace ipc::tools::monitor
