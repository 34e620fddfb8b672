#include "bench/report/table.hpp"

#include <algorithm>
#include <cctype>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "tools/common/table.hpp"

namespace ipc::bench {
namespace {

using tools::Table;

std::string ratio(const Report& report, const Result& result) {
    if (result.ratio == 0) return "";
    if (result.ratio == 1 && result.candidate->name == report.reference) return "1";
    return fmt::format("{:.2f}", result.ratio);
}

std::string spread(const Result& result) {
    if (result.values.size() < 2 || result.value == 0) return "";
    const auto [low, high] = std::minmax_element(result.values.begin(), result.values.end());
    return fmt::format("{:+.0f}% {:+.0f}%", (*low / result.value - 1) * 100,
                       (*high / result.value - 1) * 100);
}

std::string why_not(const Result& result) {
    switch (result.state) {
        case Result::State::measured: break;
        case Result::State::absent: return "absent: " + result.reason;
        case Result::State::cut_off: return "cut off: " + result.reason;
        case Result::State::failed: return "failed: " + result.reason;
    }
    return "";
}

/// What some candidate has to say besides.
std::set<std::string> detail_names(const Report& report) {
    std::set<std::string> names;
    for (const Result& result : report.results) {
        for (const auto& [name, value] : result.details)
            names.insert(name);
    }
    return names;
}

std::string upper_case(std::string text) {
    for (char& c : text)
        c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return text;
}

}  // namespace

std::string significant(double value) {
    if (value >= 99.95) return fmt::format("{:.0f}", value);
    if (value >= 9.995) return fmt::format("{:.1f}", value);
    if (value >= 0.9995 || value == 0) return fmt::format("{:.2f}", value);
    return fmt::format("{:.3g}", value);
}

std::string quantity(double value, const std::string& unit) {
    if (unit == "ns") {
        if (value < 10'000) return significant(value) + " ns";
        if (value < 10'000'000) return significant(value / 1e3) + " us";
        return significant(value / 1e6) + " ms";
    }
    if (unit == "1/s") {
        if (value >= 999.5e3) return significant(value / 1e6) + " M/s";
        if (value >= 1e3) return significant(value / 1e3) + " k/s";
        return significant(value) + " /s";
    }
    return significant(value) + " " + unit;
}

std::vector<std::string> table(const Report& report) {
    const Experiment& experiment = *report.experiment;
    const bool latency =
        std::any_of(report.results.begin(), report.results.end(),
                    [](const Result& result) { return result.latency != nullptr; });
    std::vector<Table::Column> columns = {{"RATIO"}, {"CANDIDATE", Table::Align::left}, {"MEDIAN"}};
    if (latency) {
        for (const Percentile& percentile : percentiles)
            columns.push_back({upper_case(percentile.name)});
    }
    const std::set<std::string> details = detail_names(report);
    for (const std::string& name : details)
        columns.push_back({upper_case(name)});
    columns.push_back({"ROUNDS"});
    Table text(std::move(columns));
    std::vector<std::string> notes;
    for (const Result& result : report.results) {
        const std::string& name = result.candidate->name;
        if (result.state != Result::State::measured) {
            notes.push_back(fmt::format("{}: {}", name, why_not(result)));
        }
        if (result.values.empty()) continue;
        std::vector<std::string> cells = {ratio(report, result), name,
                                          quantity(result.value, experiment.unit)};
        if (latency) {
            const Histogram* times = result.latency.get();
            for (const Percentile& percentile : percentiles) {
                const bool is_shown = times != nullptr && percentile.is_sound(times->total());
                cells.push_back(
                    is_shown
                        ? quantity(static_cast<double>(times->quantile(percentile.fraction)), "ns")
                        : "");
            }
        }
        for (const std::string& key : details) {
            const auto detail = result.details.find(key);
            cells.push_back(detail == result.details.end() ? "" : significant(detail->second));
        }
        cells.push_back(spread(result));
        text.add_row(std::move(cells));
    }
    std::vector<std::string> lines = {experiment.title};
    for (std::string& line : text.lines(Table::unlimited))
        lines.push_back("  " + std::move(line));
    for (const std::string& note : notes)
        lines.push_back("  " + note);
    for (const std::string& remark : report.remarks)
        lines.push_back("  note: " + remark);
    return lines;
}

}  // namespace ipc::bench
