#include "tools/common/text.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include <fmt/core.h>

namespace ipc::tools {
namespace {

// Length of the UTF-8 sequence that text starts with; 0 when it is none. Overlong forms, surrogates
// and the C1 control characters, which terminals obey, count as none.
std::size_t utf8_length(std::string_view text) {
    const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned lead = byte(0);
    if (lead < 0x80) return 1;
    const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
    std::uint32_t code = lead & (0x7FU >> length);
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xC0U) != 0x80U) return 0;
        code = code << 6 | (byte(i) & 0x3FU);
    }
    constexpr std::array<std::uint32_t, 5> smallest = {0, 0, 0xA0, 0x800, 0x10000};
    const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
    return code >= smallest[length] && code <= 0x10FFFF && !surrogate ? length : 0;
}

std::string scaled(std::uint64_t number, unsigned base, const char* prefixes) {
    // Up to 99999 a count is more useful exact, and no longer than "12.3k".
    if (number < (base == 1000 ? 100'000U : 1024U)) return fmt::format("{}", number);
    double value = static_cast<double>(number);
    const char* prefix = prefixes - 1;
    while (value >= base && prefix[1] != '\0') {
        value /= base;
        ++prefix;
    }
    return value < 99.95 ? fmt::format("{:.1f}{}", value, *prefix)
                         : fmt::format("{:.0f}{}", value, *prefix);
}

}  // namespace

bool is_utf8(std::string_view text) {
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        if (length == 0) return false;
        text.remove_prefix(length);
    }
    return true;
}

std::string escaped(std::string_view text) {
    std::string result;
    for (const char c : text) {
        switch (c) {
            case '<': result += "&lt;"; break;
            case '>': result += "&gt;"; break;
            case '&': result += "&amp;"; break;
            case '"': result += "&quot;"; break;
            default: result += c;
        }
    }
    return result;
}

std::string printable(std::string_view text, std::size_t limit) {
    constexpr std::string_view ellipsis = "...";
    const bool plain = std::all_of(text.begin(), text.end(),
                                   [](char c) { return c >= 0x20 && c < 0x7F && c != '\\'; });
    if (plain && text.size() <= limit) return std::string(text);  // as most are
    std::string result;
    std::size_t width = 0;
    std::size_t fits = 0;  // bytes of the result that leave room for the ellipsis
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        const auto byte = static_cast<unsigned char>(text[0]);
        std::string piece;
        if (byte == '\n') {
            piece = "\\n";
        } else if (byte == '\t') {
            piece = "\\t";
        } else if (byte == '\\') {
            piece = "\\\\";
        } else if (length == 0 || byte < 0x20 || byte == 0x7F) {
            piece = fmt::format("\\x{:02x}", byte);
        } else {
            piece = text.substr(0, length);
        }
        const std::size_t piece_width = length > 1 ? 1 : piece.size();
        if (width + piece_width > limit) {
            result.resize(fits);
            return limit < ellipsis.size() ? result : result.append(ellipsis);
        }
        width += piece_width;
        result += piece;
        if (limit < ellipsis.size() || width + ellipsis.size() <= limit) fits = result.size();
        text.remove_prefix(length == 0 ? 1 : length);
    }
    return result;
}

std::size_t display_width(std::string_view text) {
    std::size_t width = 0;
    for (const char c : text)
        width += (static_cast<unsigned char>(c) & 0xC0U) != 0x80U ? 1 : 0;
    return width;
}

std::string short_count(std::uint64_t count) {
    return scaled(count, 1000, "kMGTPE");
}

std::string short_rate(double per_second) {
    if (!(per_second > 0)) return "0";
    if (per_second < 0.995) return fmt::format("{:.2f}", per_second);
    if (per_second < 9.95) return fmt::format("{:.1f}", per_second);
    constexpr double most = 1e19;  // an integer has to hold it
    return short_count(static_cast<std::uint64_t>(std::round(std::min(per_second, most))));
}

std::string short_bytes(std::uint64_t bytes) {
    return scaled(bytes, 1024, "KMGTPE");
}

std::string short_duration(std::int64_t nanoseconds) {
    const auto value = static_cast<double>(nanoseconds);
    const auto with_unit = [](double number, const char* unit) {
        return number < 9.95 ? fmt::format("{:.1f}{}", number, unit)
                             : fmt::format("{:.0f}{}", number, unit);
    };
    if (value < 1e3) return fmt::format("{}ns", nanoseconds);
    if (value < 999.5e3) return with_unit(value / 1e3, "us");
    if (value < 999.5e6) return with_unit(value / 1e6, "ms");
    if (value < 119.5e9) return with_unit(value / 1e9, "s");
    if (value < 5400e9) return with_unit(value / 60e9, "m");
    if (value < 172800e9) return with_unit(value / 3600e9, "h");
    return with_unit(value / 86400e9, "d");
}

std::int64_t nanoseconds_of(double seconds) {
    constexpr double decades = 1e9;
    return std::llround(std::min(seconds, decades) * 1e9);
}

std::string short_duration_of_seconds(double seconds) {
    return short_duration(nanoseconds_of(seconds));
}

std::string base64(std::string_view bytes) {
    constexpr std::string_view digits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string result;
    result.reserve((bytes.size() + 2) / 3 * 4);
    for (; !bytes.empty(); bytes.remove_prefix(bytes.size() < 3 ? bytes.size() : 3)) {
        std::uint32_t group = 0;
        for (std::size_t i = 0; i < 3; ++i) {
            group = group << 8 | (i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0U);
        }
        for (std::size_t i = 0; i < 4; ++i) {
            result += i <= bytes.size() ? digits[group >> (18 - 6 * i) & 0x3FU] : '=';
        }
    }
    return result;
}

}  // namespace ipc::tools
