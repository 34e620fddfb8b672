#include "bench/report/page.hpp"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "bench/report/chart.hpp"
#include "bench/report/table.hpp"
#include "bench/statistics/histogram.hpp"
#include "tools/common/text.hpp"

namespace ipc::bench {
namespace {

using Json = nlohmann::json;
using tools::escaped;

// ---- what the results say

const Json* find_experiment(const Json& results, const std::string& id) {
    for (const Json& experiment : results.at("experiments")) {
        if (experiment.at("id") == id) return &experiment;
    }
    return nullptr;
}

bool was_measured(const Json& candidate) {
    return candidate.contains("median");
}

/// Scales are logarithmic.
bool can_be_plotted(const Json& candidate) {
    return was_measured(candidate) && candidate.at("median") > 0;
}

std::string text_of(const Json& object, const char* key) {
    return object.at(key).get<std::string>();
}

/// Of the floors, only the best is of interest: the others show that it is the best. Null: none.
const Json* best_floor(const Json& experiment) {
    const bool higher = experiment.at("higher_is_better");
    const Json* best = nullptr;
    for (const Json& candidate : experiment.at("candidates")) {
        if (candidate.at("role") != "floor" || !can_be_plotted(candidate)) continue;
        const double median = candidate.at("median");
        if (best == nullptr || (higher ? median > best->at("median").get<double>()
                                       : median < best->at("median").get<double>())) {
            best = &candidate;
        }
    }
    return best;
}

/// The candidates that plots show.
std::vector<const Json*> shown_candidates(const Json& experiment) {
    const Json* floor = best_floor(experiment);
    std::vector<const Json*> shown;
    for (const Json& candidate : experiment.at("candidates")) {
        if (!can_be_plotted(candidate)) continue;
        if (candidate.at("role") != "floor" || &candidate == floor) shown.push_back(&candidate);
    }
    return shown;
}

/// What plots show: the ratio, times the median of the reference. Processors may be near each other
/// in one round and distant in the next, so that medians of two candidates are not always of the
/// same case; a ratio is, since it is taken within a round.
double shown_value(const Json& experiment, const Json& candidate) {
    if (!candidate.contains("ratio") || !experiment.at("reference").is_string())
        return candidate.at("median");
    for (const Json& other : experiment.at("candidates")) {
        if (other.at("name") == experiment.at("reference")) {
            return candidate.at("ratio").get<double>() * other.at("median").get<double>();
        }
    }
    return candidate.at("median");
}

/// Experiments "prefix.SIZE", by size.
std::map<double, const Json*> by_size(const Json& results, const std::string& prefix) {
    std::map<double, const Json*> found;
    for (const Json& experiment : results.at("experiments")) {
        const auto id = text_of(experiment, "id");
        if (!id.starts_with(prefix + ".")) continue;
        const std::string size = id.substr(prefix.size() + 1);
        if (size.find_first_not_of("0123456789") == std::string::npos) {
            found[std::stod(size)] = &experiment;
        }
    }
    return found;
}

// ---- how candidates look

Style style_of(const std::string& name, const std::string& role) {
    if (role == "floor") return {.color = "#7b8794", .dashed = true};
    if (name.starts_with("ipc exclusive")) return {.color = "#0b69a3", .strong = true};
    if (name.starts_with("ipc shared")) return {.color = "#0f8b8d", .strong = true};
    if (role == "ours") return {.color = "#0b69a3", .strong = true};
    static const std::map<std::string, std::string> colors = {
        {"boost spsc_queue", "#c05621"},
        {"boost message_queue", "#b7791f"},
        {"POSIX message queue", "#97266d"},
        {"pipe", "#6b46c1"},
        {"Unix socket, stream", "#2f855a"},
        {"Unix socket, datagram", "#68803a"},
        {"ZeroMQ ipc", "#c53030"},
        {"nng ipc", "#805533"},
        {"iceoryx", "#d53f8c"},
        {"Cyclone DDS", "#4a5568"},
    };
    const auto color = colors.find(name);
    return {.color = color == colors.end() ? "#4a5568" : color->second};
}

std::string shown_name(const std::string& name, const std::string& role) {
    return role == "floor" ? "floor" : name;
}

std::string size_label(double size) {
    if (size < 1024) return fmt::format("{:.0f} B", size);
    if (size < 1048576) return fmt::format("{:.0f} KiB", size / 1024);
    return fmt::format("{:.0f} MiB", size / 1048576);
}

/// A logarithmic axis for these values.
Axis quantity_axis(const std::string& title, const std::string& unit, double low, double high) {
    Axis axis = {.title = title, .logarithmic = true};
    axis.low = low / 1.15;
    axis.high = high * 1.15;
    const bool fine = axis.high / axis.low < 200;
    for (const double at : decades(axis.low, axis.high, fine)) {
        axis.ticks.push_back({at, unit.empty() ? fmt::format("{:g}", at) : quantity(at, unit)});
    }
    return axis;
}

struct Range {
    double low = 0;
    double high = 0;

    void add(double value) {
        low = low == 0 ? value : std::min(low, value);
        high = std::max(high, value);
    }
};

// ---- the plots

/// What every candidate takes, and how that compares.
std::string bars(const Json& experiment, const std::string& title) {
    BarChart chart = {.title = title, .logarithmic = true};
    const auto unit = text_of(experiment, "unit");
    for (const Json* candidate : shown_candidates(experiment)) {
        const auto name = text_of(*candidate, "name");
        const auto role = text_of(*candidate, "role");
        const double value = shown_value(experiment, *candidate);
        std::string label = quantity(value, unit);
        if (candidate->contains("ratio") && candidate->at("name") != experiment.at("reference")) {
            label += fmt::format("   × {:.2f}", candidate->at("ratio").get<double>());
        }
        chart.bars.push_back({shown_name(name, role), style_of(name, role), value, label});
    }
    const bool higher = experiment.at("higher_is_better");
    std::stable_sort(chart.bars.begin(), chart.bars.end(), [higher](const Bar& a, const Bar& b) {
        return higher ? a.value > b.value : a.value < b.value;
    });
    return chart.bars.size() < 2 ? "" : svg(chart);
}

std::string percentile_curves(const Json& experiment, const std::string& title) {
    LineChart chart = {.title = title};
    Range values;
    double rarest = 0.1;
    for (const Json* candidate : shown_candidates(experiment)) {
        if (!candidate->contains("latency_curve")) continue;
        const auto name = text_of(*candidate, "name");
        const auto role = text_of(*candidate, "role");
        Series series = {shown_name(name, role), style_of(name, role)};
        for (const Json& point : candidate->at("latency_curve")) {
            const double rest = 1 - point.at(0).get<double>();
            const double value = std::max(1.0, point.at(1).get<double>());
            series.points.emplace_back(1 / rest, value);
            values.add(value);
            rarest = std::min(rarest, rest);
        }
        if (!series.points.empty()) chart.series.push_back(std::move(series));
    }
    if (chart.series.empty()) return "";
    chart.x = {.title = "percentile", .logarithmic = true, .low = 1, .high = 1 / rarest};
    for (const auto& [rest, label] : {std::pair(1.0, "0"),
                                      {0.5, "50"},
                                      {0.1, "90"},
                                      {0.01, "99"},
                                      {0.001, "99.9"},
                                      {0.0001, "99.99"},
                                      {0.00001, "99.999"}}) {
        if (rest >= rarest * 0.999) chart.x.ticks.push_back({1 / rest, label});
    }
    chart.y = quantity_axis("time", "ns", values.low, values.high);
    return svg(chart);
}

/// One line for each candidate that was measured at several sizes. `value` takes what is shown and
/// a size.
template <class Value>
std::string over_size(const Json& results, const std::string& prefix, const std::string& title,
                      const std::string& y_title, const std::string& unit, Value&& value) {
    LineChart chart = {.title = title};
    std::map<std::string, Series> lines;
    std::vector<std::string> order;
    Range values;
    const auto experiments = by_size(results, prefix);
    if (experiments.size() < 2) return "";
    for (const auto& [size, experiment] : experiments) {
        for (const Json* candidate : shown_candidates(*experiment)) {
            const auto role = text_of(*candidate, "role");
            const auto name = shown_name(text_of(*candidate, "name"), role);
            const auto [line, is_new] = lines.try_emplace(name, Series{name, style_of(name, role)});
            if (is_new) order.push_back(name);
            const double y = value(shown_value(*experiment, *candidate), size);
            line->second.points.emplace_back(size, y);
            values.add(y);
        }
    }
    for (const std::string& name : order) {
        if (lines.at(name).points.size() > 1) chart.series.push_back(std::move(lines.at(name)));
    }
    chart.x = {.title = "message size",
               .logarithmic = true,
               .low = experiments.begin()->first,
               .high = experiments.rbegin()->first};
    for (const auto& [size, experiment] : experiments)
        chart.x.ticks.push_back({size, size_label(size)});
    chart.y = quantity_axis(y_title, unit, values.low, values.high);
    return svg(chart);
}

std::string fan_out(const Json& results) {
    LineChart chart = {.title = "What each further group costs the publisher of 32 bytes"};
    Range values;
    Range groups;
    const std::vector<std::pair<std::string, Series>> kinds = {
        {"fan_out.sleeping", {"all asleep: each is woken", {.color = "#c05621"}, {}}},
        {"fan_out.reading", {"reliable, keep up", {.color = "#0b69a3", .strong = true}, {}}},
        {"fan_out.idle", {"lossy, do not read", {.color = "#0f8b8d", .strong = true}, {}}},
    };
    for (const auto& [id, look] : kinds) {
        const Json* experiment = find_experiment(results, id);
        if (experiment == nullptr) continue;
        Series series = look;
        for (const Json& candidate : experiment->at("candidates")) {
            if (!can_be_plotted(candidate)) continue;
            series.points.emplace_back(candidate.at("details").at("groups").get<double>(),
                                       shown_value(*experiment, candidate));
            groups.add(series.points.back().first);
            values.add(series.points.back().second);
        }
        if (!series.points.empty()) chart.series.push_back(std::move(series));
    }
    if (chart.series.empty() || groups.low == groups.high) return "";
    chart.x = {.title = "groups", .logarithmic = true, .low = groups.low, .high = groups.high};
    for (double at = groups.low; at <= groups.high; at *= 2)
        chart.x.ticks.push_back({at, fmt::format("{:.0f}", at)});
    chart.y = quantity_axis("time for one message", "ns", values.low, values.high);
    return svg(chart);
}

// ---- the page

std::string row(const std::vector<std::string>& cells, const char* element) {
    std::string result = "<tr>";
    for (const std::string& cell : cells)
        result += fmt::format("<{0}>{1}</{0}>", element, cell);
    return result + "</tr>\n";
}

std::string spread_of(const Json& candidate) {
    const auto rounds = candidate.at("rounds").get<std::vector<double>>();
    const double median = candidate.at("median");
    if (rounds.size() < 2 || median == 0) return "";
    const auto [low, high] = std::minmax_element(rounds.begin(), rounds.end());
    return fmt::format("{:+.0f}&#8239;% {:+.0f}&#8239;%", (*low / median - 1) * 100,
                       (*high / median - 1) * 100);
}

std::string table_of(const Json& experiment) {
    const Json& candidates = experiment.at("candidates");
    const auto unit = text_of(experiment, "unit");
    bool latency = false;
    std::set<std::string> details;
    for (const Json& candidate : candidates) {
        latency = latency || candidate.contains("latency_ns");
        if (!candidate.contains("details")) continue;
        for (const auto& [name, value] : candidate.at("details").items())
            details.insert(name);
    }
    std::vector<std::string> head = {"ratio", "candidate", "median"};
    if (latency) {
        for (const Percentile& percentile : percentiles)
            head.emplace_back(percentile.name);
    }
    head.insert(head.end(), details.begin(), details.end());
    head.emplace_back("rounds");
    std::string result = "<table>\n" + row(head, "th");
    std::string missing;
    for (const Json& candidate : candidates) {
        const auto name = escaped(text_of(candidate, "name"));
        const auto role = text_of(candidate, "role");
        if (candidate.contains("reason")) {
            missing += fmt::format("<p class=\"note\">{}: {}, {}</p>\n", name,
                                   escaped(text_of(candidate, "state")),
                                   escaped(text_of(candidate, "reason")));
        }
        if (!was_measured(candidate)) continue;
        std::vector<std::string> cells;
        cells.push_back(candidate.contains("ratio")
                            ? fmt::format("{:.2f}", candidate.at("ratio").get<double>())
                            : "");
        cells.push_back(fmt::format("<span class=\"{}\">{}</span>", role, name));
        cells.push_back(quantity(candidate.at("median"), unit));
        if (latency) {
            const Json times = candidate.value("latency_ns", Json::object());
            const auto events = times.value("count", std::uint64_t{0});
            for (const Percentile& percentile : percentiles) {
                cells.push_back(
                    percentile.is_sound(events) ? quantity(times.at(percentile.name), "ns") : "");
            }
        }
        for (const std::string& name_of_detail : details) {
            const Json own = candidate.value("details", Json::object());
            cells.push_back(own.contains(name_of_detail) ? significant(own.at(name_of_detail))
                                                         : "");
        }
        cells.push_back(spread_of(candidate));
        result += row(cells, "td");
    }
    return result + "</table>\n" + missing;
}

constexpr const char* style_sheet = R"(
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, 'DejaVu Sans', sans-serif; color: #1f2933; background: #f5f7fa;
       margin: 0 auto; max-width: 960px; padding: 32px 20px 64px; }
h1 { font-size: 30px; margin: 0 0 4px; }
h2 { font-size: 22px; margin: 48px 0 8px; }
h3 { font-size: 16px; margin: 28px 0 4px; }
p { margin: 4px 0 10px; max-width: 74ch; }
.machine { color: #52606d; font-size: 14px; }
.note { color: #7b8794; font-size: 13px; margin: 2px 0; }
.warning { background: #fffbea; border-left: 4px solid #f0b429; padding: 8px 12px; font-size: 14px; }
figure { margin: 20px 0; }
figure svg { width: 100%; height: auto; box-shadow: 0 1px 3px rgba(31, 41, 51, .18); border-radius: 8px; }
.scroll { overflow-x: auto; background: #fff; border-radius: 8px; padding: 4px 10px; margin: 8px 0;
          box-shadow: 0 1px 3px rgba(31, 41, 51, .12); }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; width: 100%; }
th, td { text-align: right; padding: 5px 8px; white-space: nowrap; border-bottom: 1px solid #eef1f4; }
th { color: #52606d; font-weight: 500; }
th:nth-child(2), td:nth-child(2) { text-align: left; }
td:first-child { font-weight: 600; }
tr:last-child td { border-bottom: 0; }
.ours { color: #0b69a3; font-weight: 600; }
.floor { color: #7b8794; font-style: italic; }
details { margin: 6px 0; }
summary { cursor: pointer; }
)";

std::string machine_line(const Json& results) {
    const Json& machine = results.at("machine");
    const Json& settings = results.at("settings");
    std::string line =
        fmt::format("{}, {} processors{}, {}, {}, {}. Built with {} ({}). ipc {}",
                    text_of(machine, "processor"), machine.at("processors").get<int>(),
                    machine.at("virtual_machine").get<bool>() ? " of a virtual machine" : "",
                    text_of(machine, "memory"), text_of(machine, "kernel"),
                    text_of(machine, "system"), text_of(machine, "compiler"),
                    text_of(machine, "build_type"), text_of(machine, "library_version"));
    if (const auto revision = text_of(machine, "revision"); !revision.empty()) {
        line += ", revision " + revision;
    }
    line +=
        fmt::format(". {}. At most {} rounds, of {:g} s in most cases.", text_of(machine, "date"),
                    settings.at("rounds").get<int>(), settings.at("seconds").get<double>());
    return line;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> plots(const Json& results) {
    std::vector<std::pair<std::string, std::string>> result;
    const auto add = [&result](const char* name, std::string plot) {
        if (!plot.empty()) result.emplace_back(name, std::move(plot));
    };
    if (const Json* experiment = find_experiment(results, "ping_pong.busy.32")) {
        add("round_trip",
            bars(*experiment, "Round trip of 32 bytes between two processes that poll"));
        add("round_trip_percentiles",
            percentile_curves(*experiment, "Round trip of 32 bytes, polling: percentiles"));
    }
    add("round_trip_size",
        over_size(results, "ping_pong.busy", "Round trip over message size, polling", "time", "ns",
                  [](double nanoseconds, double) { return nanoseconds; }));
    if (const Json* experiment = find_experiment(results, "ping_pong.parked.32")) {
        add("round_trip_parked",
            bars(*experiment, "Round trip of 32 bytes between two processes that sleep"));
    }
    if (const Json* experiment = find_experiment(results, "throughput.32")) {
        add("throughput", bars(*experiment, "Messages of 32 bytes in one direction, per second"));
    }
    add("throughput_size",
        over_size(results, "throughput", "Throughput over message size, copied in and out", "GB/s",
                  "", [](double rate, double size) { return rate * size / 1e9; }));
    add("fan_out", fan_out(results));
    if (const Json* experiment = find_experiment(results, "latency.busy.100k")) {
        add("latency_percentiles",
            percentile_curves(*experiment,
                              "Latency of 32 bytes at 100 000 messages a second: percentiles"));
    }
    return result;
}

std::string page(const Json& results) {
    std::string body = "<h1>ipc beside its peers</h1>\n";
    body += fmt::format("<p class=\"machine\">{}</p>\n", escaped(machine_line(results)));
    body +=
        "<p>All candidates of a table were measured once in each round, one after the other, in "
        "processes pinned to processors. <b>ratio</b> is the median of the ratios within the "
        "rounds, to the candidate that has 1, or to the best floor of the round; a floor is what "
        "the machine itself takes. <b>median</b> is over the rounds; <b>rounds</b> says how far "
        "the lowest and the highest of them are from it. Plots of medians show the ratio times "
        "the median of that candidate, or of the floor with the best one.</p>\n";
    if (results.at("machine").at("processors") <= 2) {
        body +=
            "<p class=\"warning\">This machine has two processors. Whatever involves more than one "
            "process for each of them measures the scheduler, too; nothing here says how things "
            "scale.</p>\n";
    }
    if (results.at("machine").at("load_average") > 0.7) {
        body += fmt::format(
            "<p class=\"warning\">Other programs were using the processors when this started (load "
            "{:.1f}): the figures mean little.</p>\n",
            results.at("machine").at("load_average").get<double>());
    }
    for (const auto& [name, plot] : plots(results))
        body += fmt::format("<figure id=\"{}\">{}</figure>\n", name, plot);
    body += "<h2>All figures</h2>\n";
    for (const Json& experiment : results.at("experiments")) {
        body += fmt::format("<h3>{}</h3>\n<p>{}</p>\n<div class=\"scroll\">{}</div>\n",
                            escaped(text_of(experiment, "title")),
                            escaped(text_of(experiment, "explanation")), table_of(experiment));
        for (const Json& remark : experiment.at("remarks")) {
            body +=
                fmt::format("<p class=\"warning\">{}</p>\n", escaped(remark.get<std::string>()));
        }
    }
    return fmt::format(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width\">\n"
        "<title>ipc beside its peers</title>\n<style>{}</style>\n</head>\n<body>\n{}</body>\n"
        "</html>\n",
        style_sheet, body);
}

}  // namespace ipc::bench
