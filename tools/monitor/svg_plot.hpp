#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/monitor/chart.hpp"

namespace ipc::tools::monitor {

// A picture of figures over time: panels below each other with one common time axis.

struct PlotPoint {
    double time;  ///< seconds since 1970
    double value;
};

struct Series {
    std::string name;     ///< in the legend, unless empty
    unsigned colour = 0;  ///< of the palette
    bool dashed = false;
    bool filled = false;  ///< the area below it
    /// In the order of time. A value that is not a number interrupts the line.
    std::vector<PlotPoint> points;
};

enum class Unit : std::uint8_t { count, per_second, seconds };

struct Panel {
    std::string title;
    Unit unit = Unit::count;
    double height = 200;  ///< in pixels
    std::vector<Series> series;
};

struct Plot {
    std::string title;
    std::string subtitle;
    double from = 0;  ///< seconds since 1970
    double to = 0;
    std::vector<Panel> panels;
};

/// A whole SVG document. Texts may hold anything.
std::string to_svg(const Plot& plot);

/// A day and time on the local clock.
std::string local_time_text(double time);

/// So many points at most, so that the picture of a long time stays small: of each part of the
/// time, the greatest value or the mean. An interruption that takes whole parts is kept.
std::vector<PlotPoint> thin_out(const std::vector<PlotPoint>& points, double from, double to,
                                std::size_t most, Merge merge);

}  // namespace ipc::tools::monitor
