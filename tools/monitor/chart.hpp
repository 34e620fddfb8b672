#pragma once

#include <cstddef>
#include <vector>

#include "tools/monitor/canvas.hpp"
#include "tools/monitor/history.hpp"

namespace ipc::tools::monitor {

// Histories as pictures made of characters. NaN: nothing is known, and nothing is drawn.

struct Area {
    std::size_t column = 0;
    std::size_t row = 0;
    std::size_t width = 0;
    std::size_t height = 1;
};

/// How several points that fall into one column of a chart become one value.
enum class Merge : std::uint8_t { most, mean };

/// A value for each of `columns` equal parts of the `span` seconds that end with the newest point.
/// A part without a point has the value of the next: rates are those since the point before.
std::vector<float> resample(const Points& points, float Point::*member, double span,
                            std::size_t columns, Merge merge);

/// Columns of blocks that rise from the area's lowest row; `most` reaches its upper edge. One row
/// of them is a sparkline. Nothing that is not zero is invisible, and zero has a sign of its own.
void draw_columns(Canvas& canvas, Area area, const std::vector<float>& values, double most,
                  Charset charset, Style style);
/// Marks over what is drawn already: one in each column at the height of its value.
void draw_marks(Canvas& canvas, Area area, const std::vector<float>& values, double most,
                Charset charset, Style style);
/// A bar of full and empty cells.
void draw_bar(Canvas& canvas, Area area, double fraction, Charset charset, Style style);

/// The least of 1, 2, 5, 10, 20 ... that is no less: the end of a scale.
double scale_end(double most);
/// The same for seconds, which people count in sixties from a minute on.
double time_scale_end(double most);
/// The largest value; 0 when there is none.
double largest(const std::vector<float>& values);

}  // namespace ipc::tools::monitor
