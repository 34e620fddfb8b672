#include "tools/monitor/csv.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

#include <fmt/core.h>

#include "tools/common/text.hpp"
#include "tools/monitor/names.hpp"

namespace ipc::tools::monitor {
namespace {

std::string quoted(std::string_view text) {
    // One line for each row, whatever names hold.
    std::string line = printable(text);
    if (line.find_first_of("\",") == std::string::npos) return line;
    std::string result;
    result += '"';
    for (const char c : line) {
        if (c == '"') result += '"';
        result += c;
    }
    result += '"';
    return result;
}

std::string text(std::uint64_t count) {
    return std::to_string(count);
}

std::string text(std::optional<double> figure) {
    return figure ? fmt::format("{:.9g}", *figure) : "";
}

struct Context {
    const History& history;
    const Row& row;
};

const ChannelReport& channel_of(const Context& at) {
    return *at.row.channel->report;
}
const GroupReport& group_of(const Context& at) {
    return *at.row.report();
}
const Estimate& estimate_of(const Context& at) {
    return at.row.estimate();
}

std::optional<double> rate_of(const Context& at, double GroupRates::*rate) {
    const auto& rates = estimate_of(at).rates;
    return rates ? std::optional(*rates.*rate) : std::nullopt;
}

std::optional<double> time_of(const std::optional<Durations>& durations, double Durations::*time) {
    return durations ? std::optional(*durations.*time) : std::nullopt;
}

enum class About : std::uint8_t { row, channel, group };

struct Column {
    const char* title;
    About about;  ///< rows without a report, or of no group, leave it empty
    std::string (*text)(const Context&);
};

// clang-format off
constexpr Column columns[] = {
    {"unix_time_seconds", About::row, [](const Context& at) { return fmt::format("{:.3f}", static_cast<double>(at.history.wall_clock_ns()) / 1e9); }},
    {"channel", About::row, [](const Context& at) { return quoted(at.row.channel->name); }},
    {"group", About::row, [](const Context& at) { return at.row.group == nullptr ? "" : quoted(at.row.group->title); }},
    {"subscriber", About::group, [](const Context& at) { return text(std::uint64_t{group_of(at).subscriber}); }},
    {"state", About::row, [](const Context& at) { return std::string(name_of(at.row.state())); }},
    {"problem", About::row, [](const Context& at) { return quoted(at.row.channel->problem); }},
    {"capacity_messages", About::channel, [](const Context& at) { return text(channel_of(at).capacity); }},
    {"published_total", About::channel, [](const Context& at) { return text(channel_of(at).published); }},
    {"published_bytes_total", About::channel, [](const Context& at) { return text(channel_of(at).published_bytes); }},
    {"published_per_second", About::channel, [](const Context& at) { return at.row.channel->rates ? text(std::optional(at.row.channel->rates->published)) : ""; }},
    {"producers", About::channel, [](const Context& at) { return text(std::uint64_t{channel_of(at).producers()}); }},
    {"members", About::group, [](const Context& at) { return text(std::uint64_t{group_of(at).members}); }},
    {"backlog_messages", About::group, [](const Context& at) { return text(group_of(at).backlog); }},
    {"in_flight_messages", About::group, [](const Context& at) { return text(group_of(at).in_flight); }},
    {"delayed_messages", About::group, [](const Context& at) { return text(group_of(at).delayed); }},
    {"oldest_age_seconds", About::group, [](const Context& at) { return group_of(at).oldest_age_ns < 0 ? "" : text(std::optional(static_cast<double>(group_of(at).oldest_age_ns) / 1e9)); }},
    {"blocks_producers", About::group, [](const Context& at) { return text(std::uint64_t{group_of(at).blocks_producers}); }},
    {"delivered_total", About::group, [](const Context& at) { return text(group_of(at).delivered); }},
    {"settled_total", About::group, [](const Context& at) { return text(group_of(at).settled); }},
    {"acked_total", About::group, [](const Context& at) { return text(group_of(at).acked); }},
    {"redelivered_total", About::group, [](const Context& at) { return text(group_of(at).redelivered); }},
    {"skipped_total", About::group, [](const Context& at) { return text(group_of(at).skipped); }},
    {"dropped_total", About::group, [](const Context& at) { return text(group_of(at).dropped); }},
    {"dead_lettered_total", About::group, [](const Context& at) { return text(group_of(at).dead_lettered); }},
    {"delivered_per_second", About::group, [](const Context& at) { return text(rate_of(at, &GroupRates::delivered)); }},
    {"acked_per_second", About::group, [](const Context& at) { return text(rate_of(at, &GroupRates::acked)); }},
    {"service_time_mean_seconds", About::group, [](const Context& at) { return text(time_of(estimate_of(at).service, &Durations::mean)); }},
    {"response_time_mean_seconds", About::group, [](const Context& at) { return text(time_of(estimate_of(at).response, &Durations::mean)); }},
    {"response_time_p50_seconds", About::group, [](const Context& at) { return text(time_of(estimate_of(at).response, &Durations::median)); }},
    {"response_time_p99_seconds", About::group, [](const Context& at) { return text(time_of(estimate_of(at).response, &Durations::percentile_99)); }},
    {"service_capacity_per_second", About::group, [](const Context& at) { return text(estimate_of(at).service_capacity); }},
    {"utilisation", About::group, [](const Context& at) { return text(estimate_of(at).utilisation); }},
    {"predicted_response_time_seconds", About::group, [](const Context& at) { return text(estimate_of(at).response_next); }},
    {"predicted_response_time_busy_seconds", About::group, [](const Context& at) { return text(estimate_of(at).response_busy); }},
    {"predicted_response_time_steady_seconds", About::group, [](const Context& at) { return text(estimate_of(at).response_steady); }},
    {"until_drained_seconds", About::group, [](const Context& at) { return text(estimate_of(at).until_drained); }},
    {"until_full_seconds", About::group, [](const Context& at) { return text(estimate_of(at).until_full); }},
};
// clang-format on

bool is_known(const Column& column, const Row& row) {
    switch (column.about) {
        case About::row: return true;
        case About::channel: return row.channel->report.has_value();
        case About::group: return row.report() != nullptr;
    }
    return false;
}

}  // namespace

std::string csv_header() {
    std::string line;
    for (const Column& column : columns) {
        if (!line.empty()) line += ',';
        line += column.title;
    }
    line += '\n';
    return line;
}

std::string to_csv(const History& history, const std::vector<Row>& rows) {
    std::string result;
    for (const Row& row : rows) {
        for (const Column& column : columns) {
            if (&column != columns) result += ',';
            if (is_known(column, row)) result += column.text({history, row});
        }
        result += '\n';
    }
    return result;
}

}  // namespace ipc::tools::monitor
