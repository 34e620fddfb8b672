#include "tools/monitor/json.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string_view>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

namespace ipc::tools::monitor {
namespace {

using Json = nlohmann::ordered_json;

constexpr int schema_version = 1;

template <class Rates>
Json rate(const std::optional<Rates>& rates, double Rates::*member) {
    return rates ? Json((*rates).*member) : Json(nullptr);
}

Json or_null(std::optional<double> value) {
    return value ? Json(*value) : Json(nullptr);
}

Json nanoseconds(std::optional<double> seconds) {
    constexpr double decades = 1e9;  // more does not fit, and tells nobody more
    return seconds ? Json(std::llround(std::min(*seconds, decades) * 1e9)) : Json(nullptr);
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

std::string_view name_of(ParticipantRole role) {
    switch (role) {
        case ParticipantRole::shared_producer: return "shared_producer";
        case ParticipantRole::exclusive_producer: return "exclusive_producer";
        case ParticipantRole::consumer: return "consumer";
        case ParticipantRole::subscriber: return "subscriber";
    }
    return "unknown";
}

std::string_view name_of(Activity activity) {
    switch (activity) {
        case Activity::running: return "running";
        case Activity::waiting_for_message: return "waiting_for_message";
        case Activity::waiting_for_room: return "waiting_for_room";
    }
    return "unknown";
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
        {"attached_at_unix_ns", participant.attached_at_ns},
    };
}

Json to_json(const GroupView& view) {
    const GroupReport& group = view.report;
    const Estimate& estimate = view.estimate;
    return {
        {"name", group.name},
        {"title", view.title},
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
        {"oldest_age_ns", group.oldest_age_ns >= 0 ? Json(group.oldest_age_ns) : Json(nullptr)},
        {"blocks_producers", group.blocks_producers},
        {"delivered_total", group.delivered},
        {"settled_total", group.settled},
        {"acked_total", group.acked},
        {"redelivered_total", group.redelivered},
        {"returned_total", group.returned},
        {"expired_total", group.expired},
        {"rejected_total", group.rejected},
        {"dead_lettered_total", group.dead_lettered},
        {"dropped_total", group.dropped},
        {"aborted_total", group.aborted},
        {"skipped_total", group.skipped},
        {"purged_total", group.purged},
        {"not_understood_total", group.not_understood},
        {"delivered_per_second", rate(estimate.rates, &GroupRates::out)},
        {"settled_per_second", rate(estimate.rates, &GroupRates::done)},
        {"acked_per_second", rate(estimate.rates, &GroupRates::acked)},
        {"returned_per_second", rate(estimate.rates, &GroupRates::returned)},
        {"redelivered_per_second", rate(estimate.rates, &GroupRates::redelivered)},
        {"skipped_per_second", rate(estimate.rates, &GroupRates::skipped)},
        {"dead_lettered_per_second", rate(estimate.rates, &GroupRates::dead_lettered)},
        {"service_time", to_json(estimate.service)},
        {"response_time", to_json(estimate.response)},
        {"capacity_per_second", or_null(estimate.capacity)},
        {"utilisation", or_null(estimate.utilisation)},
        {"stalled", estimate.stalled},
        {"predicted_response_time_ns", nanoseconds(estimate.response_next)},
        {"predicted_response_time_busy_ns", nanoseconds(estimate.response_busy)},
        {"predicted_response_time_steady_ns", nanoseconds(estimate.response_steady)},
        {"until_drained_ns", nanoseconds(estimate.until_drained)},
        {"until_full_ns", nanoseconds(estimate.until_full)},
    };
}

Json to_json(const ChannelView& view) {
    Json result = {{"name", view.name}, {"problem", nullptr}};
    if (!view.report) {
        result["problem"] = view.problem;
        return result;
    }
    const ChannelReport& channel = *view.report;
    // A random 64-bit number: not every JSON reader keeps all its digits.
    result["channel_id"] = fmt::format("{:016x}", channel.channel_id);
    result["sampled_at_monotonic_ns"] = channel.sampled_at_ns;
    result["interval_ns"] = view.rates ? nanoseconds(view.rates->seconds) : Json(nullptr);
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
    result["messages_in_total"] = channel.messages_in;
    result["bytes_in_total"] = channel.bytes_in;
    result["aborted_total"] = channel.aborted;
    result["messages_in_per_second"] = rate(view.rates, &ChannelRates::messages_in);
    result["bytes_in_per_second"] = rate(view.rates, &ChannelRates::bytes_in);
    result["groups"] = Json::array();
    for (const GroupView& group : view.groups)
        result["groups"].push_back(to_json(group));
    result["participants"] = Json::array();
    for (const ParticipantReport& participant : channel.participants) {
        result["participants"].push_back(to_json(participant));
    }
    return result;
}

}  // namespace

std::string to_json(const std::vector<ChannelView>& channels) {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    Json document = {
        {"schema_version", schema_version},
        {"sampled_at_unix_ns", std::chrono::nanoseconds(now).count()},
        {"channels", Json::array()},
    };
    for (const ChannelView& channel : channels)
        document["channels"].push_back(to_json(channel));
    // Names come from shared memory: they may hold anything.
    return document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace ipc::tools::monitor
