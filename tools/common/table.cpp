#include "tools/common/table.hpp"

#include <algorithm>
#include <utility>

#include "tools/common/text.hpp"

namespace ipc::tools {
namespace {

constexpr std::size_t gap = 2;
constexpr std::size_t left_out = 0;

std::size_t sum(const std::vector<std::size_t>& widths) {
    std::size_t total = 0;
    for (const std::size_t width : widths) {
        if (width != left_out) total += width + (total == 0 ? 0 : gap);
    }
    return total;
}

}  // namespace

std::string cut(std::string_view text, std::size_t width) {
    if (display_width(text) <= width) return std::string(text);
    if (width == 0) return {};
    std::size_t end = 0;
    for (std::size_t columns = 0; columns + 1 < width; ++columns) {
        end += 1;
        while (display_width(text.substr(end, 1)) == 0)
            ++end;  // the rest of a character
    }
    return std::string(text.substr(0, end)) + "~";
}

void Table::add_row(std::vector<std::string> cells) {
    cells.resize(columns_.size());
    entries_.push_back({.cells = std::move(cells), .line = {}});
}

void Table::add_line(std::string text) {
    entries_.push_back({.cells = {}, .line = std::move(text)});
}

std::vector<std::size_t> Table::widths(std::size_t available) const {
    std::vector<std::size_t> result;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        std::size_t width = std::max(columns_[i].min_width, display_width(columns_[i].title));
        for (const Entry& entry : entries_) {
            if (!entry.cells.empty()) width = std::max(width, display_width(entry.cells[i]));
        }
        result.push_back(std::max<std::size_t>(width, 1));
    }
    if (sum(result) <= available) return result;

    const std::size_t wanted = result[0];
    result[0] = std::min(wanted, std::max<std::size_t>(16, available / 3));
    while (sum(result) > available) {
        std::size_t first_to_go = 0;
        for (std::size_t i = 1; i < columns_.size(); ++i) {
            if (result[i] != left_out && columns_[i].rank > columns_[first_to_go].rank) {
                first_to_go = i;
            }
        }
        if (columns_[first_to_go].rank == 0) break;
        result[first_to_go] = left_out;
    }
    if (const std::size_t total = sum(result); total < available) {
        result[0] = std::min(wanted, result[0] + available - total);
    }
    return result;
}

std::string Table::format(const std::vector<std::string>& cells,
                          const std::vector<std::size_t>& widths) const {
    std::string line;
    for (std::size_t i = 0; i < cells.size(); ++i) {
        if (widths[i] == left_out) continue;
        const std::string cell = cut(cells[i], widths[i]);
        const std::string padding(widths[i] - display_width(cell), ' ');
        if (i > 0) line.append(gap, ' ');
        line += columns_[i].align == Align::right ? padding + cell : cell + padding;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    return line;
}

std::vector<std::string> Table::lines(std::size_t width) const {
    const std::vector<std::size_t> column_widths = widths(width);
    std::vector<std::string> titles;
    for (const Column& column : columns_)
        titles.push_back(column.title);

    std::vector<std::string> result = {cut(format(titles, column_widths), width)};
    for (const Entry& entry : entries_) {
        result.push_back(
            cut(entry.cells.empty() ? entry.line : format(entry.cells, column_widths), width));
    }
    return result;
}

}  // namespace ipc::tools
