#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace ipc::tools {

// Text for people. Counts and durations are kept to at most five characters, so that columns stay
// narrow.

bool is_utf8(std::string_view text);

/// Fit for a terminal, on one line: what is not printable UTF-8 becomes an escape such as \n or
/// \x1b. Cut, with a trailing "...", so that at most `limit` characters remain.
std::string printable(std::string_view text, std::size_t limit = std::string_view::npos);

/// For HTML and SVG, also between quotes.
std::string escaped(std::string_view text);

/// Columns that UTF-8 text takes, as far as every character takes one.
std::size_t display_width(std::string_view text);

std::string short_count(std::uint64_t count);          ///< 87, 12.3k, 4.0M
std::string short_rate(double per_second);             ///< 0, 0.25, 3.7, 87, 12.3k
std::string short_bytes(std::uint64_t bytes);          ///< 87, 12.3K, 4.0M; powers of 1024
std::string short_duration(std::int64_t nanoseconds);  ///< 870ns, 1.2ms, 35s, 4.2m, 12h
/// At most some decades: more does not fit, and tells nobody more.
std::int64_t nanoseconds_of(double seconds);
std::string short_duration_of_seconds(double seconds);  ///< the same of that
std::string base64(std::string_view bytes);

/// The number that the whole text is, written as std::from_chars reads it. Nothing when it is none,
/// or does not fit.
template <class Number>
std::optional<Number> parse_number(std::string_view text) {
    Number number{};
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc() || stop != end) return std::nullopt;
    return number;
}

}  // namespace ipc::tools
