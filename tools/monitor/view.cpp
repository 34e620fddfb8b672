#include "tools/monitor/view.hpp"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <string_view>
#include <utility>

#include "tools/monitor/screen.hpp"

namespace ipc::tools::monitor {
namespace {

char lower(char c) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
}

bool contains(std::string_view text, std::string_view part) {
    return std::search(text.begin(), text.end(), part.begin(), part.end(),
                       [](char a, char b) { return lower(a) == lower(b); }) != text.end();
}

void select(View& view, const std::vector<Row>& rows, std::size_t cursor, Size size) {
    if (rows.empty()) return;
    view.cursor = std::min(cursor, rows.size() - 1);
    view.selected = rows[view.cursor].id();
    view.top = first_shown(view.top, view.cursor, rows.size(), overview_height(size));
}

void move(View& view, const std::vector<Row>& rows, std::ptrdiff_t lines, Size size) {
    const auto cursor = static_cast<std::ptrdiff_t>(cursor_of(view, rows));
    select(view, rows, static_cast<std::size_t>(std::max<std::ptrdiff_t>(0, cursor + lines)), size);
}

void sort_by_next(View& view, bool forwards) {
    const std::size_t count = overview_columns().size();
    do {
        view.sort_column = (view.sort_column + (forwards ? 1 : count - 1)) % count;
    } while (!can_sort_by(view.sort_column));
}

void edit_filter(View& view, const Key& key) {
    switch (key.kind) {
        case Key::Kind::enter: view.editing = false; break;
        case Key::Kind::escape:
            view.editing = false;
            view.filter.clear();
            break;
        case Key::Kind::backspace: {
            std::u32string text = decode(view.filter);
            if (!text.empty()) text.pop_back();
            view.filter = encode(text);
            break;
        }
        case Key::Kind::character:
            if (key.character >= U' ' && view.filter.size() < 128) {
                view.filter += encode({&key.character, 1});
            }
            break;
        default: break;
    }
}

void open_detail(View& view) {
    if (view.selected.channel.empty()) return;
    view.screen = Screen::detail;
    view.scroll = 0;
}

void click(View& view, const std::vector<Row>& rows, const Key& key, Size size) {
    if (key.row < overview_top || key.row >= overview_top + overview_height(size)) return;
    const std::size_t first =
        first_shown(view.top, cursor_of(view, rows), rows.size(), overview_height(size));
    const std::size_t clicked = first + key.row - overview_top;
    if (clicked >= rows.size()) return;
    const bool again = rows[clicked].id() == view.selected;
    select(view, rows, clicked, size);
    if (again) open_detail(view);
}

Request handle_in_overview(View& view, const Key& key, const History& history, Size size) {
    const std::vector<Row> rows = rows_of(history, view);
    const auto page = static_cast<std::ptrdiff_t>(overview_height(size));
    const auto all = static_cast<std::ptrdiff_t>(rows.size());
    switch (key.kind) {
        case Key::Kind::up: move(view, rows, -1, size); break;
        case Key::Kind::down: move(view, rows, 1, size); break;
        case Key::Kind::page_up: move(view, rows, -page, size); break;
        case Key::Kind::page_down: move(view, rows, page, size); break;
        case Key::Kind::home: move(view, rows, -all, size); break;
        case Key::Kind::end: move(view, rows, all, size); break;
        case Key::Kind::left: sort_by_next(view, false); break;
        case Key::Kind::right: sort_by_next(view, true); break;
        case Key::Kind::click: click(view, rows, key, size); break;
        case Key::Kind::enter:
            move(view, rows, 0, size);
            if (!rows.empty()) open_detail(view);
            break;
        case Key::Kind::escape: view.filter.clear(); break;
        case Key::Kind::character:
            switch (key.character) {
                case U'q': return Request::quit;
                case U'/': view.editing = true; break;
                case U'<': sort_by_next(view, false); break;
                case U'>': sort_by_next(view, true); break;
                case U'r': view.reversed = !view.reversed; break;
                case U't': view.tree = !view.tree; break;
                case U'k': move(view, rows, -1, size); break;
                case U'j': move(view, rows, 1, size); break;
                case U'g': move(view, rows, -all, size); break;
                case U'G': move(view, rows, all, size); break;
                default: break;
            }
            break;
        default: break;
    }
    return Request::nothing;
}

/// To the next line of the overview, without going back to it.
void show_other(View& view, const History& history, std::ptrdiff_t lines, Size size) {
    const std::vector<Row> rows = rows_of(history, view);
    move(view, rows, lines, size);
    view.scroll = 0;
}

void handle_in_detail(View& view, const Key& key, const History& history, Size size) {
    const Row row = selected_row(history, view);
    const std::size_t participants = row.channel != nullptr && row.channel->report
                                         ? row.channel->report->participants.size()
                                         : 0;
    const auto scroll = [&](std::ptrdiff_t lines) {
        const auto to = static_cast<std::ptrdiff_t>(view.scroll) + lines;
        const auto last = static_cast<std::ptrdiff_t>(std::max<std::size_t>(participants, 1)) - 1;
        view.scroll = static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(to, 0, last));
    };
    constexpr std::ptrdiff_t page = 10;
    const auto all = static_cast<std::ptrdiff_t>(participants);
    switch (key.kind) {
        case Key::Kind::escape:
        case Key::Kind::backspace:
        case Key::Kind::enter: view.screen = Screen::overview; break;
        case Key::Kind::up: scroll(-1); break;
        case Key::Kind::down: scroll(1); break;
        case Key::Kind::page_up: scroll(-page); break;
        case Key::Kind::page_down: scroll(page); break;
        case Key::Kind::home: scroll(-all); break;
        case Key::Kind::end: scroll(all); break;
        case Key::Kind::left: show_other(view, history, -1, size); break;
        case Key::Kind::tab:
        case Key::Kind::right: show_other(view, history, 1, size); break;
        case Key::Kind::character:
            switch (key.character) {
                case U'q': view.screen = Screen::overview; break;
                case U'k': scroll(-1); break;
                case U'j': scroll(1); break;
                case U'<': show_other(view, history, -1, size); break;
                case U'>': show_other(view, history, 1, size); break;
                default: break;
            }
            break;
        default: break;
    }
}

}  // namespace

Request handle(View& view, const Key& key, const History& history, Size size) {
    if (view.editing) {
        edit_filter(view, key);
        return Request::nothing;
    }
    if (view.screen == Screen::help) {
        if (key.kind == Key::Kind::click) return Request::nothing;
        const bool more = key.character == U'?' || key.character == U' ' ||
                          key.kind == Key::Kind::down || key.kind == Key::Kind::right ||
                          key.kind == Key::Kind::page_down;
        if (more && view.help_page == 0) {
            view.help_page = 1;
        } else {
            view.screen = view.below_help;
        }
        return Request::nothing;
    }
    if (key.kind == Key::Kind::character) {
        switch (key.character) {
            case U'?':
            case U'h':
                view.below_help = view.screen;
                view.screen = Screen::help;
                view.help_page = 0;
                return Request::nothing;
            case U'p':
            case U' ': view.paused = !view.paused; return Request::nothing;
            case U'+':
            case U'=': return Request::faster;
            case U'-': return Request::slower;
            default: break;
        }
    }
    if (view.screen == Screen::detail) {
        handle_in_detail(view, key, history, size);
        return Request::nothing;
    }
    return handle_in_overview(view, key, history, size);
}

RowId Row::id() const {
    if (group == nullptr) return {.channel = channel->name};
    return {
        .channel = channel->name, .group = static_cast<int>(group->index), .start = group->start};
}

State Row::state() const {
    return group == nullptr ? channel->state : group->state;
}

double Row::state_since() const {
    return group == nullptr ? channel->state_since : group->state_since;
}

const GroupReport* Row::report() const {
    return group == nullptr ? nullptr : &channel->report_of(*group);
}

const Estimate& Row::estimate() const {
    if (!known_estimate) {
        known_estimate = std::make_shared<const Estimate>(channel->estimate_of(*group));
    }
    return *known_estimate;
}

std::vector<Row> rows_of(const History& history, const View& view) {
    const auto sort_by = [&](auto& elements, auto&& row_of) {
        // Ties keep the order of the names, so that rows do not dance.
        std::stable_sort(elements.begin(), elements.end(), [&](const auto& a, const auto& b) {
            return view.reversed ? row_of(b).key < row_of(a).key : row_of(a).key < row_of(b).key;
        });
    };
    const auto itself = [](const Row& row) -> const Row& { return row; };

    // Each channel's rows; of the tree, its own first.
    std::vector<std::vector<Row>> channels;
    for (const ChannelHistory& channel : history.channels()) {
        const bool named = contains(channel.name, view.filter);
        std::vector<Row> rows;
        for (const GroupHistory& group : channel.groups) {
            if (!named && !contains(group.title, view.filter)) continue;
            Row& row = rows.emplace_back();
            row.channel = &channel;
            row.group = &group;
            row.now = history.now();
            row.key = sort_key(view.sort_column, row);
        }
        if (!named && rows.empty()) continue;
        if (view.tree) {
            sort_by(rows, itself);
            if (!rows.empty()) rows.back().last = true;
        }
        if (view.tree || rows.empty()) {
            Row head = {.channel = &channel, .now = history.now()};
            head.key = sort_key(view.sort_column, head);
            rows.insert(rows.begin(), std::move(head));
        }
        channels.push_back(std::move(rows));
    }
    if (view.tree) {
        // A channel stands where the first of its groups would.
        sort_by(channels, [](const std::vector<Row>& rows) -> const Row& {
            return rows.size() > 1 ? rows[1] : rows[0];
        });
    }
    std::vector<Row> all;
    for (std::vector<Row>& rows : channels)
        std::move(rows.begin(), rows.end(), std::back_inserter(all));
    if (!view.tree) sort_by(all, itself);
    return all;
}

std::size_t cursor_of(const View& view, const std::vector<Row>& rows) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (rows[i].id() == view.selected) return i;
    }
    return rows.empty() ? 0 : std::min(view.cursor, rows.size() - 1);
}

Row selected_row(const History& history, const View& view) {
    for (const ChannelHistory& channel : history.channels()) {
        if (channel.name != view.selected.channel) continue;
        Row head = {.channel = &channel, .now = history.now()};
        if (view.selected.group == RowId::no_group) return head;
        for (const GroupHistory& group : channel.groups) {
            Row row = {.channel = &channel, .group = &group, .now = history.now()};
            if (row.id() == view.selected) return row;
        }
        return head;
    }
    return {};
}

std::size_t first_shown(std::size_t top, std::size_t cursor, std::size_t rows, std::size_t height) {
    if (rows <= height) return 0;
    top = std::min(top, rows - height);
    if (cursor < top) return cursor;
    return cursor >= top + height ? cursor + 1 - height : top;
}

}  // namespace ipc::tools::monitor
