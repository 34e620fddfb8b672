#include "tools/monitor/svg_plot.hpp"

#include <time.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <string_view>

#include <fmt/core.h>

#include "tools/common/text.hpp"

namespace ipc::tools::monitor {
namespace {

// In pixels.
constexpr double width = 960;
constexpr double left = 76;
constexpr double right = 24;
constexpr double top = 70;
constexpr double panel_head = 34;  ///< its title
constexpr double panel_gap = 22;
constexpr double bottom = 20;
constexpr double date_line = 14;
constexpr double inner_width = width - left - right;

constexpr double day = 86400;  // in seconds

constexpr double narrow_character = 6.2;  ///< of the small text, about

// Okabe and Ito's palette: told apart by the colour-blind, too, and in print.
constexpr std::array<std::string_view, 7> palette = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                                     "#e69f00", "#56b4e9", "#555555"};

std::string_view colour_of(const Series& series) {
    return palette[series.colour % palette.size()];
}

/// A round number of which `most` or fewer fit into the range.
double step_of(double range, double most) {
    const double rough = range / most;
    const double power = std::pow(10, std::floor(std::log10(rough)));
    for (const double factor : {1.0, 2.0, 5.0}) {
        if (factor * power >= rough * 0.999) return factor * power;
    }
    return 10 * power;
}

double time_step_of(double seconds, double most) {
    constexpr std::array<double, 21> steps = {1,     2,     5,     10,  15,      30,      60,
                                              120,   300,   600,   900, 1800,    3600,    7200,
                                              10800, 21600, 43200, day, 2 * day, 7 * day, 28 * day};
    for (const double step : steps) {
        if (seconds / step <= most) return step;
    }
    return day * std::ceil(seconds / most / day);
}

std::string number(double value) {
    if (std::abs(value) >= 1e15) return fmt::format("{:.3g}", value);
    // Trailing zeros say nothing.
    std::string text = fmt::format("{:.6f}", value);
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
    return text;
}

struct Scale {
    double divisor;
    const char* unit;
};

Scale scale_of(Unit unit, double greatest) {
    if (unit == Unit::seconds) {
        if (greatest < 1e-3) return {1e-6, " µs"};
        if (greatest < 1) return {1e-3, " ms"};
        if (greatest < 600) return {1, " s"};
        if (greatest < 36000) return {60, " min"};
        return {3600, " h"};
    }
    const char* per = unit == Unit::per_second ? "/s" : "";
    if (greatest >= 1e7) return {1e6, unit == Unit::per_second ? " M/s" : " M"};
    if (greatest >= 1e4) return {1e3, unit == Unit::per_second ? " k/s" : " k"};
    return {1, per};
}

constexpr const char* date_format = "%Y-%m-%d";

std::string local_time(double time, const char* format) {
    const auto seconds = static_cast<time_t>(std::floor(time));
    tm local = {};
    ::localtime_r(&seconds, &local);
    std::array<char, 64> text{};
    return {text.data(), ::strftime(text.data(), text.size(), format, &local)};
}

/// Seconds that the local clock is ahead of UTC, so that ticks are at round local times.
double local_offset(double time) {
    const auto seconds = static_cast<time_t>(time);
    tm local = {};
    ::localtime_r(&seconds, &local);
    return static_cast<double>(local.tm_gmtoff);
}

class Writer {
public:
    explicit Writer(const Plot& plot) : plot_(plot), range_(std::max(plot.to - plot.from, 1e-3)) {}

    std::string write() {
        double height = top + bottom + (several_days() ? date_line : 0);
        for (const Panel& panel : plot_.panels)
            height += panel_head + panel.height + panel_gap;
        out_ = fmt::format(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" "
            "viewBox=\"0 0 {0} {1}\" font-family=\"system-ui, 'DejaVu Sans', sans-serif\" "
            "font-size=\"11\" fill=\"#333\">\n"
            "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
            "<text x=\"{2}\" y=\"32\" font-size=\"20\" font-weight=\"600\" "
            "fill=\"#111\">{3}</text>\n"
            "<text x=\"{2}\" y=\"52\" font-size=\"12\" fill=\"#666\">{4}</text>\n",
            width, height, 20, escaped(printable(plot_.title)), escaped(printable(plot_.subtitle)));
        double y = top;
        for (const Panel& panel : plot_.panels) {
            write_panel(panel, y + panel_head);
            y += panel_head + panel.height + panel_gap;
        }
        write_times(y - panel_gap);
        return out_ + "</svg>\n";
    }

private:
    double x_of(double time) const { return left + (time - plot_.from) / range_ * inner_width; }

    void write_panel(const Panel& panel, double y) {
        double greatest = 0;
        for (const Series& series : panel.series) {
            for (const PlotPoint& point : series.points) {
                if (std::isfinite(point.value)) greatest = std::max(greatest, point.value);
            }
        }
        if (greatest <= 0) greatest = panel.unit == Unit::seconds ? 1e-3 : 1;
        const Scale scale = scale_of(panel.unit, greatest);
        const double step = step_of(greatest * 1.04 / scale.divisor, 5);
        const double end = step * std::ceil(greatest * 1.04 / scale.divisor / step);
        const double base = y + panel.height;
        const auto y_of = [&](double value) {
            return base - value / scale.divisor / end * panel.height;
        };

        out_ += fmt::format(
            "<text x=\"{:.0f}\" y=\"{:.1f}\" font-size=\"13\" font-weight=\"600\" "
            "fill=\"#111\">{}</text>\n",
            left, y - 12, escaped(printable(panel.title)));
        for (double value = 0; value <= end * 1.001; value += step) {
            const double line = base - value / end * panel.height;
            out_ += fmt::format(
                "<line x1=\"{:.0f}\" x2=\"{:.0f}\" y1=\"{:.1f}\" y2=\"{:.1f}\" "
                "stroke=\"{}\"/>\n"
                "<text x=\"{:.0f}\" y=\"{:.1f}\" text-anchor=\"end\" "
                "fill=\"#666\">{}{}</text>\n",
                left, width - right, line, line, value == 0 ? "#999" : "#e4e4e4", left - 8,
                line + 4, number(value), value == 0 ? "" : scale.unit);
        }
        for_each_time([&](double time) {
            out_ += fmt::format(
                "<line x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\" "
                "stroke=\"#f0f0f0\"/>\n",
                x_of(time), y, base);
        });
        for (const Series& series : panel.series)
            write_series(series, y_of);
        write_legend(panel, y - 12);
    }

    template <class Height>
    void write_series(const Series& series, const Height& y_of) {
        std::string path;
        std::string area;
        double start = 0;
        double last = 0;
        bool drawing = false;
        const auto end_area = [&] {
            if (drawing && series.filled)
                area += fmt::format("L{:.1f} {:.1f}L{:.1f} {:.1f}Z", last, y_of(0), start, y_of(0));
            drawing = false;
        };
        for (const PlotPoint& point : series.points) {
            if (!std::isfinite(point.value)) {
                end_area();
                continue;
            }
            const double x = std::clamp(x_of(point.time), left, width - right);
            if (!drawing) start = x;
            const std::string piece =
                fmt::format("{}{:.1f} {:.1f}", drawing ? 'L' : 'M', x, y_of(point.value));
            path += piece;
            if (series.filled) area += piece;
            drawing = true;
            last = x;
        }
        end_area();
        if (path.empty()) return;
        if (series.filled) {
            out_ += fmt::format("<path d=\"{}\" fill=\"{}\" fill-opacity=\"0.14\"/>\n", area,
                                colour_of(series));
        }
        out_ += fmt::format(
            "<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.6\" "
            "stroke-linejoin=\"round\" stroke-linecap=\"round\"{}/>\n",
            path, colour_of(series), series.dashed ? " stroke-dasharray=\"5 4\"" : "");
    }

    /// To the right of the title, from the right.
    void write_legend(const Panel& panel, double y) {
        double x = width - right;
        for (auto series = panel.series.rbegin(); series != panel.series.rend(); ++series) {
            if (series->name.empty()) continue;
            const std::string name = printable(series->name, 40);
            x -= narrow_character * static_cast<double>(display_width(name));
            out_ += fmt::format(
                "<text x=\"{:.1f}\" y=\"{:.1f}\" textLength=\"{:.1f}\" "
                "lengthAdjust=\"spacingAndGlyphs\" fill=\"#444\">{}</text>\n",
                x, y, narrow_character * static_cast<double>(display_width(name)),
                escaped(printable(name)));
            out_ += fmt::format(
                "<line x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\" "
                "stroke-width=\"2.4\"{}/>\n",
                x - 28, x - 6, y - 4, y - 4, colour_of(*series),
                series->dashed ? " stroke-dasharray=\"5 4\"" : "");
            x -= 44;
        }
    }

    bool several_days() const {
        return local_time(plot_.from, date_format) != local_time(plot_.to, date_format);
    }

    /// At round local times. Where hours are apart, also behind a change to or from summer time.
    template <class Action>
    void for_each_time(Action&& action) const {
        const double step = time_step_of(range_, 9);
        const double offset = local_offset(plot_.from);
        for (double local = std::ceil((plot_.from + offset) / step) * step;; local += step) {
            const double time = local - (step > 3600 ? local_offset(local - offset) : offset);
            if (time > plot_.to + 1e-6) break;
            if (time >= plot_.from - 1e-6) action(time);
        }
    }

    /// With the date where it is another than that of the time before; nobody can tell hours of
    /// different days apart.
    void write_times(double y) {
        const double step = time_step_of(range_, 9);
        const char* format = step < 60 ? "%H:%M:%S" : "%H:%M";
        const bool dates = several_days();
        std::string last_date;
        const auto write = [&](double time, double below, const std::string& text) {
            out_ += fmt::format(
                "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\" "
                "fill=\"#666\">{}</text>\n",
                x_of(time), y + 18 + below, text);
        };
        for_each_time([&](double time) {
            if (step < day) write(time, 0, local_time(time, format));
            const std::string date = local_time(time, date_format);
            if (dates && date != last_date) write(time, step < day ? date_line : 0, date);
            last_date = date;
        });
    }

    const Plot& plot_;
    const double range_;
    std::string out_;
};

}  // namespace

std::string to_svg(const Plot& plot) {
    return Writer(plot).write();
}

std::string local_time_text(double time) {
    return local_time(time, "%Y-%m-%d %H:%M:%S");
}

std::vector<PlotPoint> thin_out(const std::vector<PlotPoint>& points, double from, double to,
                                std::size_t most, Merge merge) {
    if (points.size() <= most) return points;
    std::vector<PlotPoint> result;
    const double length = (to - from) / static_cast<double>(most);
    std::size_t next = 0;
    bool interrupted = false;
    for (std::size_t part = 0; part < most; ++part) {
        const double begin = from + static_cast<double>(part) * length;
        PlotPoint greatest = {begin, NAN};
        PlotPoint sum = {0, 0};
        double known = 0;
        const bool last = part + 1 == most;  // it has what rounding has left
        for (; next < points.size() && (last || points[next].time < begin + length); ++next) {
            const PlotPoint& each = points[next];
            interrupted = !std::isfinite(each.value);
            if (interrupted) continue;
            if (known == 0 || each.value > greatest.value) greatest = each;
            sum.time += each.time - begin;
            sum.value += each.value;
            ++known;
        }
        if (known > 0) {
            result.push_back(merge == Merge::most
                                 ? greatest
                                 : PlotPoint{begin + sum.time / known, sum.value / known});
        } else if (interrupted) {
            result.push_back(greatest);
        }
    }
    return result;
}

}  // namespace ipc::tools::monitor
