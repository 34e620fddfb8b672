// What the keys do, and what the states and columns mean.

#include <iterator>
#include <string_view>
#include <vector>

#include <fmt/core.h>

#include "tools/monitor/screen.hpp"

namespace ipc::tools::monitor {
namespace {

struct Line {
    std::string_view term;
    std::string_view meaning;
};

constexpr Line keys[] = {
    {"q", "quit; in the detail: back"},
    {"? h", "this page"},
    {"up down", "select a line; also j k, PgUp PgDn, Home End, the mouse"},
    {"Enter", "detail of the selected line; a second click does the same"},
    {"/", "show only channels and groups that have this in their name"},
    {"< >", "sort by the column to the left or right; in the detail: other lines"},
    {"r", "reverse the order"},
    {"t", "tree: a line for each channel, its groups below"},
    {"p", "pause: take no snapshots"},
    {"+ -", "take them more often, or less"},
};

constexpr Line states[] = {
    {"DEAD", "a member or producer died and held something (shown for 60 s)"},
    {"STOP", "messages wait, and nobody takes any"},
    {"FULL", "the ring is full: producers wait for this group, or are refused"},
    {"SLOW", "messages always wait, or dead letters; a lossy reader misses messages"},
    {"ok", "work goes on without trouble"},
    {"idle", "nothing moves and nothing waits"},
    {"n/a", "cannot be read: damaged, or another user's"},
};

/// A part of the page; returns the row behind it.
std::size_t draw_part(Canvas& canvas, std::size_t column, std::size_t row, std::string_view title,
                      const std::vector<Line>& lines) {
    constexpr std::size_t term_width = 9;
    canvas.text(column, row++, title, {.hue = Hue::accent, .bold = true});
    for (const Line& line : lines) {
        canvas.text(column + 1, row, line.term, {.bold = true});
        canvas.text(column + 1 + term_width, row++, line.meaning);
    }
    return row + 1;
}

}  // namespace

void draw_help(Canvas& canvas, const View& view) {
    constexpr std::size_t two_columns = 160;
    std::vector<Line> columns;
    for (const ColumnTitle& column : overview_columns()) {
        if (!column.meaning.empty()) columns.push_back({column.title, column.meaning});
    }
    const bool wide = canvas.width() >= two_columns;
    canvas.text(1, 0, "ipc-monitor", {.hue = Hue::accent, .bold = true});
    canvas.text(14, 0,
                wide || view.help_page == 1 ? "any key goes back"
                                            : "? explains the columns, any other key goes back");
    constexpr std::size_t top = 1;
    if (wide || view.help_page == 0) {
        const std::size_t row =
            draw_part(canvas, 1, top, "Keys", {std::begin(keys), std::end(keys)});
        draw_part(canvas, 1, row,
                  fmt::format("States, judged over {} s", static_cast<int>(window_seconds)),
                  {std::begin(states), std::end(states)});
    }
    if (wide || view.help_page == 1) {
        draw_part(canvas, wide ? two_columns / 2 : 1, top, "Columns", columns);
    }
}

}  // namespace ipc::tools::monitor
