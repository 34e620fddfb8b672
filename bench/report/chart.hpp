#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace ipc::bench {

// Plots as SVG, complete in themselves.

/// How a line or bar looks; the same everywhere for one candidate.
struct Style {
    std::string color;
    bool dashed = false;
    bool strong = false;
};

struct Series {
    std::string name;
    Style style;
    std::vector<std::pair<double, double>> points = {};
};

struct Tick {
    double at;
    std::string label;
};

struct Axis {
    std::string title;
    bool logarithmic = false;
    double low = 0;
    double high = 1;
    std::vector<Tick> ticks = {};
};

struct LineChart {
    std::string title;
    Axis x = {};
    Axis y = {};
    std::vector<Series> series = {};
};

/// Lines with their names at their ends.
std::string svg(const LineChart& chart);

struct Bar {
    std::string name;
    Style style;
    double value;
    std::string label;
};

struct BarChart {
    std::string title;
    std::vector<Bar> bars = {};
    bool logarithmic = false;
};

std::string svg(const BarChart& chart);

/// Ticks at 1, 10, 100, ... within the bounds; with `fine`, also at 2 and 5 times these.
std::vector<double> decades(double low, double high, bool fine);

}  // namespace ipc::bench
