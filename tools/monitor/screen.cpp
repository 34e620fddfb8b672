#include "tools/monitor/screen.hpp"

#include <time.h>

#include <algorithm>
#include <array>

#include <fmt/core.h>

#include "tools/common/text.hpp"

namespace ipc::tools::monitor {
namespace {

std::string time_of_day(std::int64_t wall_clock_ns) {
    const std::time_t seconds = wall_clock_ns / 1'000'000'000;
    std::tm parts = {};
    ::localtime_r(&seconds, &parts);
    return fmt::format("{:02}:{:02}:{:02}", parts.tm_hour, parts.tm_min, parts.tm_sec);
}

/// The first line: what is looked at, how often, and how much room is left for it.
void draw_first_line(Canvas& canvas, const History& history, const View& view,
                     const std::string& pace) {
    std::size_t groups = 0;
    for (const ChannelHistory& channel : history.channels())
        groups += channel.groups.size();
    const std::size_t channels = history.channels().size();
    const SharedMemorySpace& space = history.space();
    const std::uint64_t used = space.total - std::min(space.total, space.free);
    const double part =
        space.total == 0 ? 0 : static_cast<double>(used) / static_cast<double>(space.total);
    const Hue memory = part > 0.9 ? Hue::alarm : part > 0.75 ? Hue::warning : Hue::none;

    std::size_t at = canvas.text(1, 0, "ipc-monitor", {.hue = Hue::accent, .bold = true}) + 2;
    const std::string time = time_of_day(history.wall_clock_ns());
    const std::size_t end = canvas.width() > time.size() + 1 ? canvas.width() - time.size() - 1 : 0;
    canvas.text(end, 0, time, {.bold = true});

    struct Part {
        std::string text;
        Style style;
    };
    const std::vector<Part> parts = {
        view.paused ? Part{"PAUSED", {.hue = Hue::warning, .bold = true, .reverse = true}}
                    : Part{pace, {}},
        {fmt::format("{} channel{}, {} group{}{}", channels, channels == 1 ? "" : "s", groups,
                     groups == 1 ? "" : "s",
                     history.unopened() > 0 ? fmt::format(", {} to come", history.unopened()) : ""),
         {}},
        {fmt::format("{} {} of {}{}", directory_text(history), short_bytes(used),
                     short_bytes(space.total), part > 0.9 ? " FULL SOON" : ""),
         {.hue = memory, .bold = memory != Hue::none}},
        {fmt::format("window {}s", static_cast<int>(window_seconds)), {.hue = Hue::faint}},
    };
    for (const Part& each : parts) {
        if (at + display_width(each.text) + 2 > end) break;
        at = canvas.text(at, 0, each.text, each.style) + 2;
    }
}

}  // namespace

Canvas draw(const History& history, const View& view, const std::string& pace, Size size) {
    Canvas canvas(size);
    if (size.width < least_size.width || size.height < least_size.height) {
        std::size_t row = 0;
        for (const std::string& line : break_lines("terminal too small", size.width, size.height))
            canvas.text(0, row++, line);
        return canvas;
    }
    if (view.screen == Screen::help) {
        draw_help(canvas, view);
        return canvas;
    }
    if (view.screen == Screen::detail) {
        draw_detail(canvas, history, view);
    } else {
        draw_overview(canvas, history, view);
    }
    draw_first_line(canvas, history, view, pace);
    return canvas;
}

std::string directory_text(const History& history) {
    constexpr std::size_t longest = 32;
    return printable(history.directory(), longest);
}

std::string_view label_of(State state) {
    switch (state) {
        case State::dead: return "DEAD";
        case State::stop: return "STOP";
        case State::full: return "FULL";
        case State::slow: return "SLOW";
        case State::unreadable: return "n/a";
        case State::ok: return "ok";
        case State::idle: return "idle";
    }
    return "?";
}

Style style_of(State state) {
    switch (state) {
        case State::dead:
        case State::stop: return {.hue = Hue::alarm, .bold = true};
        case State::full: return {.hue = Hue::warning, .bold = true};
        case State::slow:
        case State::unreadable: return {.hue = Hue::notice};
        case State::ok: return {.hue = Hue::good};
        case State::idle: return {.hue = Hue::faint};
    }
    return {};
}

constexpr std::size_t sentence_column = 2;

std::vector<std::string> break_lines(std::string text, std::size_t width, std::size_t most) {
    std::vector<std::string> lines;
    while (lines.size() + 1 < most && display_width(text) > width) {
        const std::size_t end = text.rfind(' ', width);
        if (end == std::string::npos || end == 0) break;
        lines.push_back(text.substr(0, end));
        text.erase(0, end + 1);
    }
    if (!text.empty()) lines.push_back(std::move(text));
    return lines;
}

std::vector<std::string> sentence_lines(const Row& row, std::size_t width, std::size_t most) {
    return break_lines(row.group == nullptr ? explain(*row.channel, row.now)
                                            : explain(*row.channel, *row.group, row.now),
                       width - std::min(width, sentence_column), most);
}

void draw_sentence(Canvas& canvas, std::size_t top, const std::vector<std::string>& lines,
                   const Row& row, Charset charset) {
    if (lines.empty()) return;
    canvas.text(0, top, charset == Charset::unicode ? "▸" : ">", style_of(row.state()));
    for (const std::string& line : lines)
        canvas.rest(sentence_column, top++, line, {.bold = row.state() <= State::slow});
}

void draw_keys(Canvas& canvas, std::size_t row,
               const std::vector<std::pair<std::string, std::string>>& keys) {
    // Where the screen is low, something else may stand there.
    canvas.rest(0, row, std::string(canvas.width(), ' '));
    std::size_t at = 0;
    for (const auto& [key, meaning] : keys) {
        const std::size_t width = display_width(key) + display_width(meaning) + 1;
        if (at + width > canvas.width()) break;
        at = canvas.text(at, row, key, {.hue = Hue::accent, .bold = true, .reverse = true});
        at = canvas.text(at + 1, row, meaning) + 1;
    }
}

std::string duration_text(std::optional<double> seconds) {
    return seconds ? short_duration_of_seconds(std::max(*seconds, 0.0)) : "-";
}

}  // namespace ipc::tools::monitor
