#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace ipc::tools {

/// Lays out printable text in columns. Where the width does not suffice, columns give way: first
/// the first one shrinks, then columns are left out.
class Table {
public:
    enum class Align { left, right };

    struct Column {
        std::string title;
        Align align = Align::right;
        /// Left out before those with a lower rank. 0: never.
        unsigned rank = 0;
        std::size_t min_width = 0;
    };

    static constexpr std::size_t unlimited = std::string_view::npos;

    explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

    /// A cell for each column.
    void add_row(std::vector<std::string> cells);
    /// A line that is no row.
    void add_line(std::string text);

    /// The title line and all others, none wider than `width`.
    std::vector<std::string> lines(std::size_t width) const;

private:
    struct Entry {
        std::vector<std::string> cells;  // empty: `line`
        std::string line;
    };

    std::vector<std::size_t> widths(std::size_t available) const;
    std::string format(const std::vector<std::string>& cells,
                       const std::vector<std::size_t>& widths) const;

    std::vector<Column> columns_;
    std::vector<Entry> entries_;
};

/// The text, or as much of its beginning as `width` columns take, marked with a final '~'.
std::string cut(std::string_view text, std::size_t width);

}  // namespace ipc::tools
