#include "tools/monitor/chart.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>

namespace ipc::tools::monitor {
namespace {

constexpr std::size_t steps = 8;  // that one character can show

struct Glyphs {
    std::u32string_view columns;  ///< zero, then 1 to 8 eighths
    std::u32string_view bar;      ///< the same, lying
    char32_t mark;
};

const Glyphs& glyphs(Charset charset) {
    static constexpr Glyphs unicode = {.columns = U"·▁▂▃▄▅▆▇█", .bar = U"·▏▎▍▌▋▊▉█", .mark = U'•'};
    // Within the limits of ASCII, a column's height shows as the density of its top.
    static constexpr Glyphs ascii = {.columns = U"._.:-=+*#", .bar = U".-----===", .mark = U'o'};
    return charset == Charset::unicode ? unicode : ascii;
}

}  // namespace

std::vector<float> resample(const Points& points, float Point::*member, double span,
                            std::size_t columns, Merge merge) {
    std::vector<float> result(columns, Point::unknown);
    if (points.empty() || columns == 0) return result;
    const double end = points.back().at;
    const double part = span / static_cast<double>(columns);
    auto point = points.begin();
    for (std::size_t i = 0; i < columns; ++i) {
        const double until = end - part * static_cast<double>(columns - 1 - i);
        float most = Point::unknown;
        float sum = 0;
        float count = 0;
        for (; point != points.end() && point->at <= until; ++point) {
            const float value = (*point).*member;
            if (point->at <= until - part || std::isnan(value)) continue;
            most = std::isnan(most) ? value : std::max(most, value);
            sum += value;
            count += 1;
        }
        if (count > 0) {
            result[i] = merge == Merge::most ? most : sum / count;
        } else if (point != points.end() && point != points.begin()) {
            result[i] = (*point).*member;
        }
    }
    return result;
}

void draw_columns(Canvas& canvas, Area area, const std::vector<float>& values, double most,
                  Charset charset, Style style) {
    const Glyphs& shapes = glyphs(charset);
    const std::size_t height = area.height * steps;
    for (std::size_t i = 0; i < std::min(values.size(), area.width); ++i) {
        if (std::isnan(values[i])) continue;
        const double fraction = most > 0 ? std::clamp(values[i] / most, 0.0, 1.0) : 0;
        const auto level =
            static_cast<std::size_t>(std::ceil(fraction * static_cast<double>(height)));
        for (std::size_t row = 0; row < area.height; ++row) {
            const std::size_t below = row * steps;
            if (row > 0 && level <= below) break;
            const std::size_t part = std::min(level - below, steps);
            const Style shown = level == 0 ? Style{.hue = Hue::faint} : style;
            canvas.put(area.column + i, area.row + area.height - 1 - row, shapes.columns[part],
                       shown);
        }
    }
}

void draw_marks(Canvas& canvas, Area area, const std::vector<float>& values, double most,
                Charset charset, Style style) {
    for (std::size_t i = 0; i < std::min(values.size(), area.width); ++i) {
        if (std::isnan(values[i])) continue;
        const double fraction = most > 0 ? std::clamp(values[i] / most, 0.0, 1.0) : 0;
        const auto row =
            static_cast<std::size_t>(std::lround(fraction * static_cast<double>(area.height - 1)));
        const std::size_t line = area.row + area.height - 1 - row;
        Style shown = style;
        if (area.column + i < canvas.width() && line < canvas.height()) {
            const Cell& under = canvas.at(area.column + i, line);
            if (under.character == glyphs(Charset::unicode).columns.back()) {
                shown.behind = under.style.hue;
            }
        }
        canvas.put(area.column + i, line, glyphs(charset).mark, shown);
    }
}

void draw_bar(Canvas& canvas, Area area, double fraction, Charset charset, Style style) {
    const auto level = static_cast<std::size_t>(
        std::ceil(std::clamp(fraction, 0.0, 1.0) * static_cast<double>(area.width * steps)));
    for (std::size_t i = 0; i < area.width; ++i) {
        const std::size_t part = std::min(level - std::min(level, i * steps), steps);
        canvas.put(area.column + i, area.row, glyphs(charset).bar[part],
                   part > 0 ? style : Style{.hue = Hue::faint});
    }
}

double scale_end(double most) {
    if (!(most > 0)) return 1;
    const double decade = std::pow(10.0, std::floor(std::log10(most)));
    for (const double step : {1.0, 2.0, 5.0}) {
        if (most <= step * decade) return step * decade;
    }
    return 10 * decade;
}

double time_scale_end(double most) {
    constexpr double minute = 60;
    constexpr double hour = 60 * minute;
    for (const double step : {20.0, 30.0, minute, 2 * minute, 5 * minute, 10 * minute, 30 * minute,
                              hour, 2 * hour, 5 * hour, 12 * hour}) {
        if (most > 10 && most <= step) return step;
    }
    return scale_end(most);
}

double largest(const std::vector<float>& values) {
    double result = 0;
    for (const float value : values) {
        if (!std::isnan(value)) result = std::max(result, static_cast<double>(value));
    }
    return result;
}

}  // namespace ipc::tools::monitor
