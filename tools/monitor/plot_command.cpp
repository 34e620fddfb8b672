// ipc-monitor plot: backlog, rates and response time of a channel as a picture.

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "tools/common/arguments.hpp"
#include "tools/common/failure.hpp"
#include "tools/common/output_file.hpp"
#include "tools/common/text.hpp"
#include "tools/monitor/commands.hpp"
#include "tools/monitor/history.hpp"
#include "tools/monitor/live_source.hpp"
#include "tools/monitor/pacer.hpp"
#include "tools/monitor/record.hpp"
#include "tools/monitor/svg_plot.hpp"

namespace ipc::tools::monitor {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t most_points = 1200;  // more than there are pixels
constexpr std::size_t most_drawn = 5;      // lines of a panel that can be told apart

struct PlotRequest {
    std::string channel;
    std::string group;
    std::string file;
    std::string record;
    double minutes = 0;  ///< 0: all of a record
    std::optional<std::chrono::nanoseconds> interval = 1s;
    OpenOptions open;
};

struct GroupSeries {
    std::vector<PlotPoint> backlog;
    std::vector<PlotPoint> acked;
    std::vector<PlotPoint> measured;
    std::vector<PlotPoint> next;
    std::vector<PlotPoint> busy;
};

/// What is to be drawn of one channel.
class Collector {
public:
    explicit Collector(const PlotRequest& request) : request_(request) {}

    void add(Snapshot snapshot) {
        std::erase_if(snapshot.channels,
                      [&](const Sample& each) { return each.channel != request_.channel; });
        const double time = static_cast<double>(snapshot.wall_clock_ns) / 1e9;
        history_.add(std::move(snapshot));
        const ChannelHistory* channel =
            history_.channels().empty() ? nullptr : &history_.channels()[0];
        if (channel != nullptr) problem_ = channel->problem;
        if (channel != nullptr && channel->report) {
            if (!has_seen_channel()) from_ = time;
            to_ = time;
            capacity_ = channel->report->capacity;
            in_.push_back({time, published_per_second(*channel->report)});
            for (const GroupHistory& group : channel->groups) {
                if (!request_.group.empty() && group.title != request_.group) continue;
                add(groups_[group.title], *channel, group, time);
            }
        } else if (has_seen_channel()) {
            interrupt(in_, time);
        }
        // A line goes on until it is interrupted.
        for (auto& [title, group] : groups_) {
            if (group.backlog.back().time == time) continue;
            for (auto* each :
                 {&group.backlog, &group.acked, &group.measured, &group.next, &group.busy})
                interrupt(*each, time);
        }
    }

    bool has_seen_channel() const { return !in_.empty(); }
    /// Why the channel could not be read the last time that it was there; or empty.
    const std::string& problem() const { return problem_; }
    bool has_seen_group() const { return !groups_.empty(); }

    Plot plot() {
        Plot plot;
        plot.title = request_.channel;
        plot.to = to_;
        plot.from = from_;
        if (request_.minutes > 0) plot.from = std::max(plot.from, plot.to - 60 * request_.minutes);
        plot.subtitle = subtitle(plot);
        // Many looks become one point. Of backlogs and response times the peaks matter, of rates
        // the level, which the peaks of short bursts would hide.
        struct Kind {
            const char* title;
            Unit unit;
            double height;
            Merge merge;
        };
        constexpr std::array<Kind, 3> kinds = {
            Kind{"Backlog", Unit::count, 180, Merge::most},
            Kind{"Messages per second", Unit::per_second, 150, Merge::mean},
            Kind{"Response time", Unit::seconds, 210, Merge::most}};
        const std::string part = part_text(plot);
        for (const Kind& kind : kinds) {
            const char* merged =
                kind.merge == Merge::most ? ", the most of each " : ", mean of each ";
            plot.panels.push_back({.title = kind.title + (part.empty() ? "" : merged + part),
                                   .unit = kind.unit,
                                   .height = kind.height,
                                   .series = {}});
        }
        const auto add = [&](std::size_t panel, std::string name, unsigned colour,
                             const std::vector<PlotPoint>& points) -> Series& {
            return plot.panels[panel].series.emplace_back(
                Series{.name = std::move(name),
                       .colour = colour,
                       .points = thin_out(within(points, plot), plot.from, plot.to, most_points,
                                          kinds[panel].merge)});
        };
        const bool one = groups_.size() == 1;
        constexpr unsigned grey = 6;
        add(1, "published", grey, in_);
        unsigned colour = 0;
        for (auto& [name, group] : groups_) {
            if (colour == most_drawn) break;
            add(0, one ? "" : name, colour, group.backlog).filled = true;
            add(1, one ? "processed" : name, colour, group.acked);
            std::stable_sort(group.measured.begin(), group.measured.end(),
                             [](const auto& a, const auto& b) { return a.time < b.time; });
            add(2, one ? "measured" : name, colour, group.measured);
            if (one) add(2, "T_p + L_q / C", 2, group.busy).dashed = true;
            add(2, "predicted", one ? 1 : colour, group.next).dashed = true;
            ++colour;
        }
        return plot;
    }

private:
    /// Since the snapshot before; NaN where that is not known.
    double published_per_second(const ChannelReport& report) {
        const auto before =
            std::exchange(last_, std::pair(report.channel_id, ChannelStart(report)));
        if (!before || before->first != report.channel_id) return NAN;
        const auto rates = channel_rates(before->second, report);
        return rates ? rates->published : NAN;
    }

    static void add(GroupSeries& series, const ChannelHistory& channel, const GroupHistory& group,
                    double time) {
        const Point& point = group.points.back();
        series.backlog.push_back({time, point.backlog});
        series.acked.push_back({time, point.acked});
        // What is predicted is predicted for messages published at that time; what is measured is
        // told when they are settled.
        if (std::isfinite(point.response)) {
            series.measured.push_back({time - point.response, point.response});
        }
        const Estimate estimate = channel.estimate_of(group);
        const auto value = [](const std::optional<double>& seconds) {
            return seconds.value_or(NAN);
        };
        series.next.push_back({time, value(estimate.response_next)});
        series.busy.push_back({time, value(estimate.response_busy)});
    }

    /// From the first such time on to the last: who comes and goes leaves no more than two points.
    static void interrupt(std::vector<PlotPoint>& points, double time) {
        const bool goes_on = points.size() >= 2 && std::isnan(points.back().value) &&
                             std::isnan(std::prev(points.end(), 2)->value);
        if (goes_on) points.pop_back();
        points.push_back({time, NAN});
    }

    static std::vector<PlotPoint> within(const std::vector<PlotPoint>& points, const Plot& plot) {
        std::vector<PlotPoint> result;
        std::copy_if(
            points.begin(), points.end(), std::back_inserter(result),
            [&](const PlotPoint& each) { return each.time >= plot.from && each.time <= plot.to; });
        return result;
    }

    /// How much time a point stands for; empty where that is one look.
    std::string part_text(const Plot& plot) const {
        if (within(in_, plot).size() <= most_points) return "";
        const double seconds = (plot.to - plot.from) / static_cast<double>(most_points);
        return short_duration_of_seconds(seconds);
    }

    std::string subtitle(const Plot& plot) const {
        std::string text = groups_.size() == 1 ? "group " + groups_.begin()->first + ", " : "";
        text += fmt::format("{} to {}, capacity {}", local_time_text(plot.from),
                            local_time_text(plot.to), capacity_);
        if (groups_.size() > most_drawn) {
            text +=
                fmt::format(", {} of {} groups; --group chooses one", most_drawn, groups_.size());
        }
        return text;
    }

    const PlotRequest& request_;
    History history_;
    std::string problem_;
    std::uint64_t capacity_ = 0;
    double from_ = 0;  ///< when the channel was first seen
    double to_ = 0;    ///< and last
    std::optional<std::pair<std::uint64_t, ChannelStart>> last_;  ///< by the channel's identity
    std::vector<PlotPoint> in_;
    std::map<std::string, GroupSeries> groups_;
};

void write(Collector& collector, const PlotRequest& request) {
    const std::string where = request.record.empty() ? "" : " in record " + request.record;
    if (!collector.has_seen_channel()) {
        throw Failure(fmt::format("channel {}: {}{}", request.channel,
                                  collector.problem().empty() ? "not found" : collector.problem(),
                                  where));
    }
    if (!request.group.empty() && !collector.has_seen_group()) {
        throw Failure(
            fmt::format("channel {}: no group {}{}", request.channel, request.group, where));
    }
    replace_file(request.file, to_svg(collector.plot()));
}

int plot_record(const PlotRequest& request, const Signals& signals) {
    RecordReader reader(request.record);
    Collector collector(request);
    try {
        while (auto snapshot = reader.next()) {
            signals.check();
            collector.add(std::move(*snapshot));
        }
    } catch (const Failure&) {
        if (collector.has_seen_channel()) write(collector, request);  // what is good of it
        throw;
    }
    write(collector, request);
    return 0;
}

int plot_live(const PlotRequest& request, const Signals& signals) {
    LiveSource source(Sampler({request.channel}, request.open.allow_foreign_owner),
                      *request.interval);
    Collector collector(request);
    const auto start = Pacer::Clock::now();
    const auto end = start + std::chrono::duration_cast<Pacer::Clock::duration>(
                                 std::chrono::duration<double>(60 * request.minutes));
    Pacer pacer(*request.interval, start);
    try {
        while (true) {
            collector.add(source.snapshot());
            // A typo is not an empty picture after ten minutes.
            if (!collector.has_seen_channel()) break;
            const auto now = Pacer::Clock::now();
            const auto due = pacer.next(now);
            if (due > end) break;
            signals.sleep(due - now);
        }
    } catch (const EndedBySignal&) {
        write(collector, request);  // what there is until now
        throw;
    }
    write(collector, request);
    return 0;
}

}  // namespace

Command add_plot(CLI::App& monitor) {
    CLI::App& arguments = *monitor.add_subcommand(
        "plot", "Draws backlog, rates and response time of a channel, measured and predicted");
    const auto request = std::make_shared<PlotRequest>();
    arguments.add_option("CHANNEL", request->channel, "Name of the channel")->required();
    arguments.add_option("-o,--output", request->file, "SVG file to write, or replace")
        ->required()
        ->type_name("FILE");
    auto* minutes = arguments
                        .add_option("--minutes", request->minutes,
                                    "How long to watch; with --record, how much of its end")
                        ->check(in_range(0.01, 1e6))
                        ->type_name("MINUTES");
    auto* record =
        arguments.add_option("--record", request->record, "Draw what `record` wrote, and end")
            ->type_name("FILE");
    arguments.add_option("--group", request->group, "Only this one [all]")
        ->check(not_empty())
        ->type_name("GROUP");
    add_interval(arguments, request->interval)->excludes(record);
    add_open_options(arguments, request->open);
    arguments.final_callback([minutes, record] {
        if (!*minutes && !*record) {
            throw CLI::RequiredError("--minutes or --record");
        }
    });
    arguments.footer(
        "Examples:\n"
        "  ipc-monitor plot jobs --minutes 5 -o jobs.svg       watch, then draw\n"
        "  ipc-monitor plot jobs --record today -o jobs.svg    draw what was "
        "recorded\n");
    return {&arguments, [request](const Signals& signals) {
                expect_writable(request->file);
                return request->record.empty() ? plot_live(*request, signals)
                                               : plot_record(*request, signals);
            }};
}

}  // namespace ipc::tools::monitor
