#include "tools/monitor/render.hpp"

#include <algorithm>
#include <optional>

#include <fmt/core.h>

#include "tools/common/table.hpp"
#include "tools/common/text.hpp"
#include "tools/monitor/screen.hpp"

namespace ipc::tools::monitor {
namespace {

struct Figures {
    ColumnTitle column;
    unsigned rank;  ///< what tells least about the health of a queue is left out first
    std::size_t min_width = 0;
    Table::Align align = Table::Align::right;
};

constexpr Figures figures[] = {
    {{"STATE", "worst first: DEAD STOP FULL SLOW n/a ok idle, judged from two looks"},
     1,
     0,
     Table::Align::left},
    {{"SIZE", "shared memory in use, bytes"}, 8, 5},
    {{"PROD", "producers that live"}, 5},
    {column::published, 3, 5},
    {{"BYTES/s", "bytes published"}, 9},
    {column::members, 4},
    {column::backlog, 0},
    {column::in_flight, 2},
    {column::delivered, 6, 5},
    {column::acked, 3, 5},
    {column::redelivered, 7},
    {column::lost, 10, 5},
    {column::dead_lettered, 7},
    {column::oldest, 1},
    {column::response, 11},
};

std::vector<Table::Column> layout() {
    std::vector<Table::Column> columns = {{.title = "CHANNEL, group", .align = Table::Align::left}};
    for (const Figures& each : figures) {
        columns.push_back({.title = std::string(each.column.title),
                           .align = each.align,
                           .rank = each.rank,
                           .min_width = each.min_width});
    }
    columns.push_back({.title = "NOTE", .align = Table::Align::left, .rank = 12});
    return columns;
}

constexpr const char* unknown = "-";

std::string note(const ChannelReport& channel) {
    if (channel.closed) return "closed";
    return channel.temporary ? "temporary" : "";
}

std::string note(const GroupReport& group) {
    if (group.blocks_producers) return "blocks producers";
    if (group.dead_pending > 0) return "dead letters pending";
    return group.reliable ? "" : "lossy";
}

std::vector<std::string> row(const ChannelHistory& channel) {
    const ChannelReport& report = *channel.report;
    const auto& rates = channel.rates;
    return {
        printable(channel.name),
        std::string(label_of(channel.state)),
        short_bytes(report.reserved_bytes),
        short_count(report.producers()),
        rates ? short_rate(rates->published) : unknown,
        rates ? short_bytes(static_cast<std::uint64_t>(rates->published_bytes)) : unknown,
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        note(report),
    };
}

std::vector<std::string> row(const Row& line) {
    const GroupReport& report = *line.report();
    const Estimate& estimate = line.estimate();
    const std::optional<GroupRates>& rates = estimate.rates;
    return {
        "  " + printable(line.group->title),
        std::string(label_of(line.state())),
        "",
        "",
        "",
        "",
        short_count(report.members),
        short_count(report.backlog),
        short_count(report.in_flight),
        rates ? short_rate(rates->delivered) : unknown,
        rates ? short_rate(rates->acked) : unknown,
        short_count(report.redelivered),
        short_count(report.skipped + report.dropped),
        short_count(report.dead_lettered),
        report.oldest_age_ns >= 0 ? short_duration(report.oldest_age_ns) : unknown,
        duration_text(estimate.response_next),
        note(report),
    };
}

}  // namespace

std::vector<ColumnTitle> table_columns() {
    std::vector<ColumnTitle> columns;
    for (const Figures& each : figures)
        columns.push_back(each.column);
    return columns;
}

std::string render(const std::vector<Row>& rows, std::size_t width) {
    Table table(layout());
    const ChannelHistory* channel = nullptr;
    std::string held_up;  // why the channel is in its state, where it tells
    std::string said;     // of its groups, each on a line
    const auto say = [&](const std::string& reason) {
        said += "\n" + reason;
        constexpr std::size_t indent = 4;
        const char* begin = "  ! ";
        for (const std::string& line : break_lines(reason, width - std::min(width, indent), 4)) {
            table.add_line(begin + line);
            begin = "    ";
        }
    };
    // What holds a channel up stands below its groups, where it is no reason of one of them.
    const auto end_channel = [&] {
        if (!held_up.empty() && said.find("\n" + held_up) == std::string::npos) say(held_up);
        said.clear();
    };
    for (const Row& each : rows) {
        if (each.channel != channel) {
            end_channel();
            channel = each.channel;
            held_up = channel->report ? explain(*channel, each.now) : "";
        }
        if (!channel->report) {
            table.add_line(printable(channel->name + "  ! " + channel->problem));
        } else if (each.group == nullptr) {
            table.add_row(row(*channel));
        } else {
            table.add_row(row(each));
            const std::string reason = explain(*channel, *each.group, each.now);
            if (!reason.empty() && reason != held_up) say(reason);
        }
    }
    end_channel();
    if (rows.empty()) table.add_line("no channels");

    std::string text;
    for (const std::string& line : table.lines(width))
        text += line + "\n";
    return text;
}

}  // namespace ipc::tools::monitor
