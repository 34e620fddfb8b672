#include "tools/monitor/canvas.hpp"

#include <algorithm>

namespace ipc::tools::monitor {
namespace {

/// Text without the blanks at the ends of its lines.
template <class Letter>
std::string lines_of(const Canvas& canvas, Letter&& letter) {
    std::string result;
    for (std::size_t row = 0; row < canvas.height(); ++row) {
        std::u32string line;
        for (std::size_t column = 0; column < canvas.width(); ++column)
            line += letter(canvas.at(column, row));
        line.erase(line.find_last_not_of(U' ') + 1);
        result += encode(line) + "\n";
    }
    return result;
}

char32_t letter_of(Style style) {
    if (style.selected) return U'>';
    if (style.reverse) return style.bold ? U'B' : U'R';
    constexpr std::u32string_view plain = U" gnwacmsf";
    constexpr std::u32string_view bold = U"TGNWACMSF";
    return (style.bold ? bold : plain)[static_cast<std::size_t>(style.hue)];
}

}  // namespace

std::size_t Canvas::text(std::size_t column, std::size_t row, std::string_view text, Style style) {
    for (const char32_t character : decode(text))
        put(column++, row, character, style);
    return column;
}

void Canvas::field(std::size_t column, std::size_t row, std::size_t width, std::string_view text,
                   Style style, bool right) {
    std::u32string characters = decode(text);
    if (characters.size() > width) {
        characters.resize(width);
        if (width > 0) characters.back() = U'~';
    }
    if (right) column += width - characters.size();
    for (const char32_t character : characters)
        put(column++, row, character, style);
}

void Canvas::put(std::size_t column, std::size_t row, char32_t character, Style style) {
    if (column >= size_.width || row >= size_.height) return;
    cells_[row * size_.width + column] = {.character = character, .style = style};
}

void Canvas::restyle_row(std::size_t row, Style style) {
    if (row >= size_.height) return;
    for (std::size_t column = 0; column < size_.width; ++column)
        cells_[row * size_.width + column].style = style;
}

void Canvas::select_row(std::size_t row) {
    if (row >= size_.height) return;
    for (std::size_t column = 0; column < size_.width; ++column)
        cells_[row * size_.width + column].style.selected = true;
}

std::string Canvas::characters() const {
    return lines_of(*this, [](const Cell& cell) { return cell.character; });
}

std::string Canvas::styles() const {
    return lines_of(*this, [](const Cell& cell) { return letter_of(cell.style); });
}

std::u32string decode(std::string_view text) {
    std::u32string result;
    while (!text.empty()) {
        const auto lead = static_cast<unsigned char>(text[0]);
        const std::size_t length = lead < 0x80 ? 1 : lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
        const bool whole =
            text.size() >= length && lead < 0xF8 && (lead < 0x80 || lead >= 0xC0) &&
            std::all_of(text.begin() + 1, text.begin() + static_cast<std::ptrdiff_t>(length),
                        [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; });
        if (!whole) {
            result += U'?';
            text.remove_prefix(1);
            continue;
        }
        char32_t code = length == 1 ? lead : lead & (0x7FU >> length);
        for (std::size_t i = 1; i < length; ++i)
            code = code << 6 | (static_cast<unsigned char>(text[i]) & 0x3FU);
        result += code;
        text.remove_prefix(length);
    }
    return result;
}

std::string encode(std::u32string_view text) {
    std::string result;
    for (const char32_t code : text) {
        const auto byte = [&](char32_t value) { result += static_cast<char>(value); };
        if (code < 0x80) {
            byte(code);
        } else if (code < 0x800) {
            byte(0xC0 | code >> 6);
            byte(0x80 | (code & 0x3F));
        } else if (code < 0x10000) {
            byte(0xE0 | code >> 12);
            byte(0x80 | (code >> 6 & 0x3F));
            byte(0x80 | (code & 0x3F));
        } else {
            byte(0xF0 | code >> 18);
            byte(0x80 | (code >> 12 & 0x3F));
            byte(0x80 | (code >> 6 & 0x3F));
            byte(0x80 | (code & 0x3F));
        }
    }
    return result;
}

}  // namespace ipc::tools::monitor
