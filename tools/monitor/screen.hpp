#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tools/monitor/canvas.hpp"
#include "tools/monitor/columns.hpp"
#include "tools/monitor/history.hpp"
#include "tools/monitor/view.hpp"

namespace ipc::tools::monitor {

/// The whole screen, of a terminal of whatever size: a function of what is known and of what the
/// user has chosen to see. `pace`: how fast snapshots come, in words.
Canvas draw(const History& history, const View& view, const std::string& pace, Size size);

/// Below this, nothing of use could be told.
constexpr Size least_size = {.width = 40, .height = 8};

// The screens below the first line, which all have in common; each in a file of its own.
void draw_overview(Canvas& canvas, const History& history, const View& view);
void draw_detail(Canvas& canvas, const History& history, const View& view);
void draw_help(Canvas& canvas, const View& view);

/// The overview's lines of a screen so high, and where they begin.
constexpr std::size_t overview_top = 3;
std::size_t overview_height(Size size);

std::vector<ColumnTitle> overview_columns();
/// Whether rows can be sorted by it: not by a picture.
bool can_sort_by(std::size_t column);
/// The least comes first: what worries most, or begins the alphabet.
SortKey sort_key(std::size_t column, const Row& row);

/// Where the channels are; cut where it would take all of a line.
std::string directory_text(const History& history);

/// As the screen calls it.
std::string_view label_of(State state);
Style style_of(State state);

/// At most `most` lines, broken between words so that none is longer than `width`; but the last has
/// all that is left.
std::vector<std::string> break_lines(std::string text, std::size_t width, std::size_t most);

/// Why a row is in its state and who is to blame, in at most `most` lines of a screen so wide. None
/// when there is nothing to say.
std::vector<std::string> sentence_lines(const Row& row, std::size_t width, std::size_t most);
void draw_sentence(Canvas& canvas, std::size_t top, const std::vector<std::string>& lines,
                   const Row& row, Charset charset);

/// Keys and what they do, in one line: as many as fit.
void draw_keys(Canvas& canvas, std::size_t row,
               const std::vector<std::pair<std::string, std::string>>& keys);

/// "-" for what is not known.
std::string duration_text(std::optional<double> seconds);

}  // namespace ipc::tools::monitor
