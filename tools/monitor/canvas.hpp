#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ipc::tools::monitor {

/// What a character stands for, rather than what it looks like: a terminal without colours shows
/// the same text.
enum class Hue : std::uint8_t {
    none,      ///< the terminal's own
    good,      ///< as it should be
    notice,    ///< worth a look
    warning,   ///< will become a problem
    alarm,     ///< is one
    accent,    ///< titles and keys
    measured,  ///< the first series of a chart
    second,    ///< the other one
    faint,     ///< frames, units, scales
};

struct Style {
    Hue hue = Hue::none;
    Hue behind = Hue::none;  ///< what it is drawn upon
    bool bold = false;
    bool reverse = false;
    bool selected = false;  ///< the line the user is at, whatever else is true of it

    friend bool operator==(const Style&, const Style&) = default;
};

struct Cell {
    char32_t character = U' ';
    Style style;

    friend bool operator==(const Cell&, const Cell&) = default;
};

struct Size {
    std::size_t width = 0;
    std::size_t height = 0;
};

/// A screen as it should look. Drawing beyond its edges is cut off, so that no caller has to count.
class Canvas {
public:
    explicit Canvas(Size size) : size_(size), cells_(size.width * size.height) {}

    Size size() const { return size_; }
    std::size_t width() const { return size_.width; }
    std::size_t height() const { return size_.height; }
    const Cell& at(std::size_t column, std::size_t row) const {
        return cells_[row * size_.width + column];
    }

    /// Writes UTF-8 text of printable characters, each one column wide; returns the column behind
    /// it.
    std::size_t text(std::size_t column, std::size_t row, std::string_view text, Style style = {});
    /// The same within `width` columns: cut with a '~' when it is longer.
    void field(std::size_t column, std::size_t row, std::size_t width, std::string_view text,
               Style style = {}, bool right = false);
    /// The same up to the right edge.
    void rest(std::size_t column, std::size_t row, std::string_view text, Style style = {}) {
        field(column, row, size_.width - std::min(size_.width, column), text, style);
    }
    void put(std::size_t column, std::size_t row, char32_t character, Style style = {});
    /// Gives all cells of a row one style, and keeps their text.
    void restyle_row(std::size_t row, Style style);
    /// Marks a row as the one the user is at.
    void select_row(std::size_t row);

    /// The characters alone, a line for each row without trailing blanks.
    std::string characters() const;
    /// A letter for each cell's style (a blank: none), laid out as `characters()`. Hues: g n w a c
    /// m s f; in capitals: bold. Reversed ones are R, or B when bold; selected ones '>'.
    std::string styles() const;

private:
    Size size_;
    std::vector<Cell> cells_;
};

/// What a terminal can show: with block elements, or with ASCII only.
enum class Charset : std::uint8_t { unicode, ascii };

/// The code points of UTF-8 text; what is none becomes '?'.
std::u32string decode(std::string_view text);
std::string encode(std::u32string_view text);

}  // namespace ipc::tools::monitor
