#include "bench/report/chart.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "tools/common/text.hpp"

namespace ipc::bench {
namespace {

constexpr double width = 880;
constexpr double text_height = 15;
constexpr const char* font = "font-family=\"system-ui, 'DejaVu Sans', sans-serif\"";
constexpr const char* ink = "#1f2933";
constexpr const char* faint = "#52606d";
constexpr const char* grid = "#e4e7eb";

struct Box {
    double left;
    double top;
    double right;
    double bottom;
};

double fraction(const Axis& axis, double value) {
    if (axis.logarithmic) {
        return std::log(value / axis.low) / std::log(axis.high / axis.low);
    }
    return (value - axis.low) / (axis.high - axis.low);
}

double x_of(const Box& box, const Axis& axis, double value) {
    return box.left + fraction(axis, value) * (box.right - box.left);
}

double y_of(const Box& box, const Axis& axis, double value) {
    return box.bottom - fraction(axis, value) * (box.bottom - box.top);
}

std::string text(double x, double y, const std::string& content, const char* anchor,
                 const std::string& color, double size = 12, bool bold = false) {
    return fmt::format(
        "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" fill=\"{}\" font-size=\"{}\"{}>{}"
        "</text>\n",
        x, y, anchor, color, size, bold ? " font-weight=\"600\"" : "", tools::escaped(content));
}

std::string line(double x1, double y1, double x2, double y2, const std::string& color,
                 double thickness = 1, const char* more = "") {
    return fmt::format(
        "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\" "
        "stroke-width=\"{}\" {}/>\n",
        x1, y1, x2, y2, color, thickness, more);
}

std::string frame(const std::string& title, double height, const std::string& content) {
    return fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" "
        "height=\"{1}\" role=\"img\" aria-label=\"{2}\" {3}>\n"
        "<rect width=\"{0}\" height=\"{1}\" rx=\"8\" fill=\"#ffffff\"/>\n{4}{5}</svg>\n",
        width, height, tools::escaped(title), font, text(20, 30, title, "start", ink, 16, true),
        content);
}

std::string axes(const Box& box, const Axis& x, const Axis& y) {
    std::string result;
    for (const Tick& tick : y.ticks) {
        const double at = y_of(box, y, tick.at);
        result += line(box.left, at, box.right, at, grid);
        result += text(box.left - 8, at + 4, tick.label, "end", faint);
    }
    for (const Tick& tick : x.ticks) {
        const double at = x_of(box, x, tick.at);
        result += line(at, box.top, at, box.bottom, grid);
        result += text(at, box.bottom + 18, tick.label, "middle", faint);
    }
    result += line(box.left, box.bottom, box.right, box.bottom, faint);
    result += text((box.left + box.right) / 2, box.bottom + 38, x.title, "middle", faint);
    result += text(box.left, box.top - 12, y.title, "start", faint);
    return result;
}

struct Label {
    double y;
    const Series* series;
};

/// Moves labels apart, as little as need be, and keeps them within the bounds.
void spread(std::vector<Label>& labels, double top, double bottom) {
    std::sort(labels.begin(), labels.end(),
              [](const Label& a, const Label& b) { return a.y < b.y; });
    double least = top;
    for (Label& label : labels) {
        label.y = std::max(label.y, least);
        least = label.y + text_height;
    }
    double most = bottom;
    for (auto label = labels.rbegin(); label != labels.rend(); ++label) {
        label->y = std::min(label->y, most);
        most = label->y - text_height;
    }
}

std::string dashes(const Style& style) {
    return style.dashed ? "stroke-dasharray=\"6 4\"" : "";
}

}  // namespace

std::vector<double> decades(double low, double high, bool fine) {
    std::vector<double> result;
    for (double decade = std::pow(10, std::floor(std::log10(low))); decade <= high * 1.0001;
         decade *= 10) {
        for (const double step : {1.0, 2.0, 5.0}) {
            if (step != 1.0 && !fine) continue;
            const double at = decade * step;
            if (at >= low * 0.9999 && at <= high * 1.0001) result.push_back(at);
        }
    }
    return result;
}

std::string svg(const LineChart& chart) {
    constexpr double height = 440;
    const Box box = {70, 74, width - 220, height - 54};
    std::string content = axes(box, chart.x, chart.y);
    std::vector<Label> labels;
    for (const Series& series : chart.series) {
        if (series.points.empty()) continue;
        std::string points;
        for (const auto& [x, y] : series.points) {
            points += fmt::format("{:.1f},{:.1f} ", x_of(box, chart.x, x), y_of(box, chart.y, y));
        }
        content += fmt::format(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\" "
            "stroke-linejoin=\"round\" {}/>\n",
            points, series.style.color, series.style.strong ? 3 : 1.75, dashes(series.style));
        if (series.points.size() <= 12) {
            for (const auto& [x, y] : series.points) {
                content +=
                    fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\" fill=\"{}\"/>\n",
                                x_of(box, chart.x, x), y_of(box, chart.y, y),
                                series.style.strong ? 4 : 3, series.style.color);
            }
        }
        labels.push_back({y_of(box, chart.y, series.points.back().second), &series});
    }
    spread(labels, box.top, box.bottom);
    for (const Label& label : labels) {
        const Series& series = *label.series;
        const auto& [x, y] = series.points.back();
        content += line(x_of(box, chart.x, x) + 5, y_of(box, chart.y, y), box.right + 14, label.y,
                        series.style.color, 0.75);
        content += text(box.right + 18, label.y + 4, series.name, "start", series.style.color, 12,
                        series.style.strong);
    }
    return frame(chart.title, height, content);
}

std::string svg(const BarChart& chart) {
    constexpr double row = 28;
    constexpr double left = 250;
    constexpr double right = width - 190;
    constexpr double top = 52;
    double high = 0;
    double low = 0;
    for (const Bar& bar : chart.bars) {
        high = std::max(high, bar.value);
        low = low == 0 ? bar.value : std::min(low, bar.value);
    }
    // On a logarithmic scale the shortest bar is still to be seen.
    const double origin = chart.logarithmic ? low / 1.5 : 0;
    std::string content;
    double y = top;
    for (const Bar& bar : chart.bars) {
        const double part = chart.logarithmic
                                ? std::log(bar.value / origin) / std::log(high / origin)
                                : bar.value / high;
        const double length = std::max(2.0, part * (right - left));
        content += text(left - 12, y + 17, bar.name, "end",
                        bar.style.strong ? bar.style.color : ink, 13, bar.style.strong);
        content += fmt::format(
            "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" rx=\"2\" "
            "fill=\"{}\"/>\n",
            left, y + 3, length, row - 8, bar.style.color);
        content += text(left + length + 8, y + 17, bar.label, "start", ink, 12, bar.style.strong);
        y += row;
    }
    return frame(chart.title, y + 16, content);
}

}  // namespace ipc::bench
