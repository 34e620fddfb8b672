#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "tools/monitor/canvas.hpp"
#include "tools/monitor/history.hpp"

namespace ipc::tools::monitor {

// What the user has chosen to see. A view changes by keys only; drawing it changes nothing.

struct Key {
    enum class Kind : std::uint8_t {
        character,
        up,
        down,
        left,
        right,
        page_up,
        page_down,
        home,
        end,
        enter,
        escape,
        backspace,
        tab,
        click,  ///< at `column`, `row`
    };
    Kind kind = Kind::character;
    char32_t character = 0;
    std::size_t column = 0;
    std::size_t row = 0;
};

enum class Screen : std::uint8_t { overview, detail, help };

/// What a row of the overview stands for, however the rows are sorted.
struct RowId {
    std::string channel;
    int group = no_group;  ///< the group's entry in the channel
    Position start = 0;    ///< tells the users of an entry apart

    static constexpr int no_group = -1;
    friend bool operator==(const RowId&, const RowId&) = default;
};

struct View {
    Screen screen = Screen::overview;
    Screen below_help = Screen::overview;
    std::size_t help_page = 0;
    Charset charset = Charset::unicode;
    bool paused = false;
    bool tree = false;
    std::size_t sort_column = 0;  ///< of the overview's columns
    bool reversed = false;
    std::string filter;    ///< part of a channel's or group's name; empty: all
    bool editing = false;  ///< the filter is being typed
    std::string filter_before;
    RowId selected;
    std::size_t cursor = 0;  ///< where the selected row was; if it is gone, what is there now
    std::size_t top = 0;     ///< first row shown
    std::size_t scroll = 0;  ///< first participant shown in the detail
};

/// What a key asks of others than the view.
enum class Request : std::uint8_t { nothing, quit, faster, slower };

/// The keys that the overview, detail and help screens know.
Request handle(View& view, const Key& key, const History& history, Size size);

/// What a line is sorted by: a figure, or else a text.
struct SortKey {
    double figure = 0;
    std::string text;

    friend bool operator<(const SortKey& a, const SortKey& b) {
        return std::tie(a.figure, a.text) < std::tie(b.figure, b.text);
    }
    friend bool operator<=(const SortKey& a, const SortKey& b) { return !(b < a); }
};

/// A line of the overview.
struct Row {
    const ChannelHistory* channel = nullptr;
    const GroupHistory* group = nullptr;  ///< null: the line of the channel itself
    double now = 0;                       ///< of the newest snapshot, seconds
    bool last = false;                    ///< in the tree: of its channel

    RowId id() const;
    State state() const;
    double state_since() const;
    /// The group's report; null for a channel's line.
    const GroupReport* report() const;
    /// Of a group's line. Made when it is asked for.
    const Estimate& estimate() const;

    SortKey key = {};
    mutable std::shared_ptr<const Estimate> known_estimate = nullptr;
};

/// All lines that pass the filter, in the order of the view.
std::vector<Row> rows_of(const History& history, const View& view);

/// Where the selection is among the rows; 0 when there are none.
std::size_t cursor_of(const View& view, const std::vector<Row>& rows);

/// The row that the detail shows; a null channel when it is gone.
Row selected_row(const History& history, const View& view);

/// First row to show so that the cursor is among `height` of them.
std::size_t first_shown(std::size_t top, std::size_t cursor, std::size_t rows, std::size_t height);

}  // namespace ipc::tools::monitor
