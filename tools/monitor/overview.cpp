// The overview: one line for each channel and group, worst first.

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>

#include <fmt/core.h>

#include "tools/common/text.hpp"
#include "tools/monitor/chart.hpp"
#include "tools/monitor/columns.hpp"
#include "tools/monitor/screen.hpp"

namespace ipc::tools::monitor {
namespace {

constexpr double history_seconds = 60;
constexpr std::size_t most_history = 60;
constexpr std::size_t name_limit = 60;
constexpr std::size_t branch_width = 3;  // of the tree

using Figure = std::optional<double>;

template <class Get>
Figure of_group(const Row& row, Get&& get) {
    const GroupReport* group = row.report();
    if (group == nullptr) return std::nullopt;
    return static_cast<double>(get(*group));
}

template <class Get>
Figure of_rates(const Row& row, Get&& get) {
    if (row.group == nullptr || !row.estimate().rates) return std::nullopt;
    return get(*row.estimate().rates);
}

Figure of_response(const Row& row, double Durations::*figure) {
    if (row.group == nullptr || !row.estimate().response) return std::nullopt;
    return *row.estimate().response.*figure;
}

Figure capacity_of(const Row& row) {
    if (!row.channel->report) return std::nullopt;
    return static_cast<double>(row.channel->report->capacity);
}

Figure members_of(const Row& row) {
    if (!row.channel->report) return std::nullopt;
    const GroupReport* group = row.report();
    return group != nullptr ? group->members : row.channel->report->producers();
}

std::string kind_of(const Row& row) {
    if (!row.channel->report) return "";
    const GroupReport* group = row.report();
    if (group == nullptr) {
        if (row.channel->report->closed) return "closed";
        return row.channel->report->temporary ? "temporary" : "channel";
    }
    if (!group->reliable) return "lossy";
    if (group->subscriber) return "subscriber";
    return group->durable ? "durable" : "ephemeral";
}

std::string channel_text(const Row& row) {
    return printable(row.channel->name, name_limit);
}

std::string group_text(const Row& row) {
    return row.group == nullptr ? "" : printable(row.group->title, name_limit);
}

enum class Show : std::uint8_t { text, count, rate, time, bar, history };

struct Column : ColumnTitle {
    unsigned rank;      ///< left out before those with a lower rank; 0: never
    std::size_t width;  ///< the least
    Show show;
    Figure (*figure)(const Row&);     ///< null: not a figure; rows are sorted by the text
    std::string (*text)(const Row&);  ///< of those that show text
};

constexpr std::size_t channel_column = 2;
constexpr std::size_t group_column = 3;

// clang-format off
const Column columns[] = {
    {{"STATE", "worst first: DEAD STOP FULL SLOW ok idle; why is said below the table"},
     0, 6, Show::text,
     [](const Row& row) -> Figure { return -static_cast<double>(row.state()); },
     [](const Row& row) { return std::string(label_of(row.state())); }},
    {{"FOR", "how long it has been in that state"},
     9, 4, Show::time,
     [](const Row& row) -> Figure { return row.now - row.state_since(); }, nullptr},
    {{"CHANNEL", ""},
     0, 8, Show::text, nullptr, channel_text},
    {{"GROUP", "a subscriber goes by its name and pid"},
     0, 7, Show::text, nullptr, group_text},
    {{"KIND", "durable, ephemeral, subscriber; lossy: skips, holds up no producer"},
     13, 10, Show::text, nullptr, kind_of},
    {column::backlog,
     0, 7, Show::count,
     [](const Row& row) { return of_group(row, [](auto& group) { return group.backlog; }); }, nullptr},
    {{"FILL", "backlog as a part of the capacity"},
     6, 6, Show::bar,
     [](const Row& row) -> Figure {
         return of_group(row, [](auto& group) { return group.backlog; }).value_or(0) /
                std::max(1.0, capacity_of(row).value_or(1));
     }, nullptr},
    {{"CAP", "capacity: messages the ring has room for"},
     8, 5, Show::count, capacity_of, nullptr},
    {column::in_flight,
     7, 6, Show::count,
     [](const Row& row) { return of_group(row, [](auto& group) { return group.in_flight; }); }, nullptr},
    {column::published,
     3, 5, Show::rate,
     [](const Row& row) -> Figure {
         if (!row.channel->rates) return std::nullopt;
         return row.channel->rates->published;
     }, nullptr},
    {column::delivered,
     14, 5, Show::rate,
     [](const Row& row) { return of_rates(row, [](auto& rates) { return rates.delivered; }); }, nullptr},
    {column::acked,
     4, 5, Show::rate,
     [](const Row& row) { return of_rates(row, [](auto& rates) { return rates.acked; }); }, nullptr},
    {column::redelivered,
     15, 5, Show::count,
     [](const Row& row) { return of_group(row, [](auto& group) { return group.redelivered; }); }, nullptr},
    {column::lost,
     16, 5, Show::count,
     [](const Row& row) { return of_group(row, [](auto& group) { return group.skipped + group.dropped; }); },
     nullptr},
    {column::dead_lettered,
     17, 5, Show::count,
     [](const Row& row) { return of_group(row, [](auto& group) { return group.dead_lettered; }); }, nullptr},
    {column::oldest,
     2, 6, Show::time,
     [](const Row& row) -> Figure {
         const GroupReport* group = row.report();
         if (group == nullptr || group->oldest_age_ns < 0) return std::nullopt;
         return static_cast<double>(group->oldest_age_ns) / 1e9;
     }, nullptr},
    {{column::members.title, "members that live; on a channel's line: producers"},
     10, 4, Show::count, members_of, nullptr},
    {{"T_p", "service time, from receive to settle: the mean"},
     12, 5, Show::time,
     [](const Row& row) -> Figure {
         if (row.group == nullptr || !row.estimate().service) return std::nullopt;
         return row.estimate().service->mean;
     }, nullptr},
    {{"T_r50", "response time, from publish to settle, measured: the median"},
     11, 5, Show::time, [](const Row& row) { return of_response(row, &Durations::median); }, nullptr},
    {{"T_r99", "the same: 99 of 100 were faster"},
     5, 5, Show::time, [](const Row& row) { return of_response(row, &Durations::percentile_99); }, nullptr},
    {column::response,
     5, 5, Show::time,
     [](const Row& row) -> Figure {
         return row.group == nullptr ? std::nullopt : row.estimate().response_next;
     }, nullptr},
    {{"T_busy", "the same by T_p + L_q / C, as if all members were busy"},
     12, 6, Show::time,
     [](const Row& row) -> Figure {
         return row.group == nullptr ? std::nullopt : row.estimate().response_busy;
     }, nullptr},
    {{"HISTORY", "the backlog of the last minute, on the scale of the capacity"},
     1, 12, Show::history, nullptr, nullptr},
};
// clang-format on

bool is_left(const Column& column) {
    return column.show == Show::text || column.show == Show::bar || column.show == Show::history;
}

std::string text_of(const Column& column, const Row& row) {
    if (column.show == Show::text) return column.text(row);
    const Figure figure = column.figure(row);
    if (!figure) return row.group == nullptr ? "" : "-";
    switch (column.show) {
        case Show::count: return short_count(static_cast<std::uint64_t>(*figure));
        case Show::rate: return short_rate(*figure);
        default: return duration_text(figure);
    }
}

struct Place {
    const Column* column;
    std::size_t width;
};

/// Which columns there is room for, and how wide each may be. That by which the rows are sorted is
/// always there.
std::vector<Place> place(const std::vector<Row>& rows, const View& view, std::size_t width) {
    const bool tree = view.tree;
    const auto rank = [&](const Place& each) {
        return each.column == &columns[view.sort_column] ? 0 : each.column->rank;
    };
    std::vector<Place> places;
    for (const Column& column : columns) {
        if (tree && &column == &columns[group_column]) continue;
        places.push_back({.column = &column, .width = column.width});
    }
    const auto needed = [&] {
        std::size_t sum = 0;
        for (const Place& each : places)
            sum += each.width + 1;
        return sum;
    };
    while (needed() > width + 1) {
        const auto last =
            std::max_element(places.begin(), places.end(),
                             [&](const Place& a, const Place& b) { return rank(a) < rank(b); });
        if (rank(*last) == 0) break;
        places.erase(last);
    }
    // What is left goes to the names as far as they need it, and then to the history.
    std::size_t left = width + 1 - std::min(width + 1, needed());
    struct Name {
        Place* place;
        std::size_t wanted;
    };
    std::vector<Name> names;
    for (Place& each : places) {
        const bool channel = each.column == &columns[channel_column];
        if (!channel && each.column != &columns[group_column]) continue;
        std::size_t wanted = 0;
        for (const Row& row : rows) {
            const bool leaf = channel && tree && row.group != nullptr;
            const std::string text = leaf ? group_text(row) : each.column->text(row);
            wanted = std::max(wanted, display_width(text) + (leaf ? branch_width : 0));
        }
        names.push_back({.place = &each, .wanted = wanted});
    }
    for (bool grew = true; grew && left > 0;) {
        grew = false;
        for (const Name& name : names) {
            if (left == 0 || name.place->width >= name.wanted) continue;
            ++name.place->width;
            --left;
            grew = true;
        }
    }
    if (places.back().column->show == Show::history) {
        places.back().width += std::min(left, most_history - places.back().width);
    }
    return places;
}

void draw_titles(Canvas& canvas, const std::vector<Place>& places, const View& view) {
    canvas.restyle_row(overview_top - 1, {.hue = Hue::accent, .reverse = true});
    std::size_t at = 0;
    for (const Place& each : places) {
        const bool sorted = each.column == &columns[view.sort_column];
        std::string title(each.column->title);
        if (sorted) {
            const bool up = view.reversed;
            const char* mark =
                view.charset == Charset::unicode ? (up ? "▲" : "▼") : (up ? "^" : "v");
            if (is_left(*each.column)) {
                title += mark;
            } else {
                title.insert(0, mark);
            }
            // The mark matters more than the last letter.
            if (display_width(title) > each.width) {
                title = is_left(*each.column)
                            ? std::string(each.column->title.substr(0, each.width - 1)) + mark
                            : mark + std::string(each.column->title.substr(
                                         each.column->title.size() + 1 - each.width));
            }
        }
        canvas.field(at, overview_top - 1, each.width, title,
                     {.hue = Hue::accent, .bold = sorted, .reverse = true}, !is_left(*each.column));
        at += each.width + 1;
    }
}

Style style_of(const Column& column, const Row& row) {
    if (column.title == "STATE") return style_of(row.state());
    if (column.title == "CHANNEL") return {.bold = true};
    if (column.title == "BACKLOG" && row.state() <= State::slow) return style_of(row.state());
    if (column.title == "KIND" || column.title == "CAP" || column.title == "FOR") {
        return {.hue = Hue::faint};
    }
    return {};
}

void draw_row(Canvas& canvas, std::size_t line, const Row& row, const std::vector<Place>& places,
              const View& view, bool selected) {
    std::size_t at = 0;
    for (const Place& each : places) {
        const Column& column = *each.column;
        const Area area = {.column = at, .row = line, .width = each.width, .height = 1};
        at += each.width + 1;
        if (column.show == Show::bar) {
            if (row.group != nullptr) {
                draw_bar(canvas, area, column.figure(row).value_or(0), view.charset,
                         style_of(row.state()));
            }
        } else if (column.show == Show::history) {
            if (row.group != nullptr) {
                // A column of the history is never shorter than the time between two snapshots.
                draw_columns(canvas, area,
                             resample(row.group->points, &Point::backlog, history_seconds,
                                      each.width, Merge::most),
                             capacity_of(row).value_or(1), view.charset, style_of(row.state()));
            }
        } else if (&column == &columns[channel_column] && view.tree && row.group != nullptr) {
            const bool unicode = view.charset == Charset::unicode;
            const char* branch = row.last ? (unicode ? "└─ " : "`- ") : (unicode ? "├─ " : "|- ");
            canvas.text(area.column, line, branch, {.hue = Hue::faint});
            canvas.field(area.column + branch_width, line, each.width - branch_width,
                         group_text(row));
        } else {
            canvas.field(area.column, line, each.width, text_of(column, row), style_of(column, row),
                         !is_left(column));
        }
        if (&column == &columns[channel_column] && !row.channel->report) {
            // In the place of all figures.
            canvas.rest(at, line, printable(row.channel->problem), {.hue = Hue::notice});
            break;
        }
    }
    if (selected) canvas.select_row(line);
}

/// How many lines are in which state. `width`: what there is for it.
void draw_summary(Canvas& canvas, const std::vector<Row>& rows, const View& view,
                  std::size_t width) {
    std::array<std::size_t, 7> counts{};
    for (const Row& row : rows) {
        // In the tree, a channel's line repeats the worst of those below it.
        const bool repeats = row.group == nullptr && !row.channel->groups.empty();
        if (!repeats) ++counts[static_cast<std::size_t>(row.state())];
    }
    std::size_t at = 1;
    for (const State state : {State::dead, State::stop, State::full, State::slow, State::unreadable,
                              State::ok, State::idle}) {
        const std::size_t count = counts[static_cast<std::size_t>(state)];
        if (state == State::unreadable && count == 0) continue;
        const Style style = count == 0 ? Style{.hue = Hue::faint} : style_of(state);
        const std::string text = fmt::format("{} {}", label_of(state), count);
        if (at + text.size() > width) break;
        at = canvas.text(at, 1, text, style) + 2;
    }
    if (view.editing || !view.filter.empty()) {
        at = canvas.text(at + 1, 1, "filter: ", {.hue = Hue::accent});
        at = canvas.text(at, 1, printable(view.filter), {.bold = true});
        if (view.editing) canvas.put(at, 1, U' ', {.reverse = true});
    }
}

void draw_empty(Canvas& canvas, const History& history, const View& view) {
    const char* text = history.channels().empty()
                           ? "There are no channels. One that is created appears here."
                           : "No channel or group has that in its name. Esc shows all.";
    if (view.editing || !view.filter.empty() || history.channels().empty()) {
        canvas.text(1, overview_top + 1, text, {.hue = Hue::faint});
    }
}

}  // namespace

std::size_t overview_height(Size size) {
    return size.height > overview_top + 2 ? size.height - overview_top - 2 : 1;
}

std::vector<ColumnTitle> overview_columns() {
    std::vector<ColumnTitle> titles;
    for (const Column& column : columns)
        titles.push_back({.title = column.title, .meaning = column.meaning});
    return titles;
}

bool can_sort_by(std::size_t column) {
    return columns[column].figure != nullptr || columns[column].text != nullptr;
}

SortKey sort_key(std::size_t column, const Row& row) {
    const Column& by = columns[column];
    if (by.figure == nullptr) return {.figure = 0, .text = by.text(row)};
    constexpr double unknown = 1e300;  // comes last
    const Figure figure = by.figure(row);
    return {.figure = figure ? -*figure : unknown, .text = {}};
}

void draw_overview(Canvas& canvas, const History& history, const View& view) {
    const std::vector<Row> rows = rows_of(history, view);
    const std::vector<Place> places = place(rows, view, canvas.width());
    draw_titles(canvas, places, view);
    if (rows.empty()) draw_empty(canvas, history, view);

    const std::size_t height = overview_height(canvas.size());
    const std::size_t cursor = cursor_of(view, rows);
    const std::size_t first = first_shown(view.top, cursor, rows.size(), height);
    for (std::size_t i = first; i < std::min(rows.size(), first + height); ++i) {
        draw_row(canvas, overview_top + i - first, rows[i], places, view, i == cursor);
    }

    std::size_t summary_width = canvas.width();
    if (rows.size() > height) {
        const std::string where = fmt::format(" {}-{} of {} ", first + 1,
                                              std::min(rows.size(), first + height), rows.size());
        summary_width -= std::min(summary_width, where.size());
        canvas.text(summary_width, 1, where, {.hue = Hue::faint});
    }
    draw_summary(canvas, rows, view, summary_width);

    if (canvas.height() < 2) return;
    if (!rows.empty()) {
        // A second line for it where the table leaves one.
        const std::size_t most = rows.size() < height ? 2 : 1;
        const std::vector<std::string> sentence =
            sentence_lines(rows[cursor], canvas.width(), most);
        draw_sentence(canvas, canvas.height() - 1 - sentence.size(), sentence, rows[cursor],
                      view.charset);
    }
    if (view.editing) {
        draw_keys(canvas, canvas.height() - 1, {{"Enter", "keep filter"}, {"Esc", "drop filter"}});
    } else {
        draw_keys(canvas, canvas.height() - 1,
                  {{"q", "quit"},
                   {"?", "help"},
                   {"Enter", "detail"},
                   {"/", "filter"},
                   {"< >", "sort"},
                   {"r", "reverse"},
                   {"t", view.tree ? "list" : "tree"},
                   {"p", view.paused ? "go on" : "pause"},
                   {"+ -", "pace"}});
    }
}

}  // namespace ipc::tools::monitor
