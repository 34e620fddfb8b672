// The detail: the model of one group, its histories, and everybody who takes part.

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <optional>
#include <string>

#include <fmt/core.h>

#include "tools/common/text.hpp"
#include "tools/monitor/chart.hpp"
#include "tools/monitor/screen.hpp"

namespace ipc::tools::monitor {
namespace {

constexpr Style title_style = {.hue = Hue::accent, .bold = true};
constexpr Style faint = {.hue = Hue::faint};

constexpr std::size_t sentence_top = 2;
constexpr std::size_t least_chart = 3;
constexpr std::size_t most_chart = 10;

double to_seconds(std::int64_t nanoseconds) {
    return static_cast<double>(nanoseconds) / 1e9;
}

std::string percent(double part) {
    return fmt::format("{:.0f} %", std::min(part, 99.99) * 100);
}

std::string policies_of(const GroupReport& group) {
    std::string text = group.subscriber ? "subscriber" : "group";
    text += group.reliable ? ", reliable" : ", lossy";
    if (!group.subscriber) {
        text += group.durable ? ", durable" : ", ephemeral";
        if (group.reliable) text += group.manual_ack ? ", manual ack" : ", automatic ack";
    }
    if (group.max_attempts > 0) text += fmt::format(", {} attempts", group.max_attempts);
    if (group.lease_limit_ms > 0) {
        text += ", leases of " + short_duration(std::int64_t{group.lease_limit_ms} * 1'000'000);
    }
    if (!group.dead_letter.empty()) text += ", dead letters to " + printable(group.dead_letter, 40);
    return text;
}

/// What it is, its state, and why; returns the row behind that.
std::size_t draw_title(Canvas& canvas, const Row& row, const View& view) {
    std::size_t at = canvas.text(1, 1, printable(row.channel->name, 40), {.bold = true});
    if (row.group != nullptr) {
        at = canvas.text(at + 1, 1, view.charset == Charset::unicode ? "›" : ">", faint);
        at = canvas.text(at + 1, 1, printable(row.group->title, 40), {.bold = true});
    }
    const Style style = style_of(row.state());
    at = canvas.text(at + 2, 1, label_of(row.state()),
                     {.hue = style.hue, .bold = true, .reverse = row.state() <= State::slow});
    at = canvas.text(at + 1, 1, "for " + duration_text(row.now - row.state_since()));
    if (row.report() != nullptr) canvas.rest(at + 2, 1, policies_of(*row.report()), faint);

    const std::vector<std::string> sentence = sentence_lines(row, canvas.width(), 2);
    draw_sentence(canvas, sentence_top, sentence, row, view.charset);
    return sentence_top + std::max<std::size_t>(sentence.size(), 1);
}

/// A line of the model: a symbol, its value, and where that comes from.
void draw_line(Canvas& canvas, std::size_t row, std::string_view symbol, const std::string& value,
               const std::string& text, Style style = {.bold = true}) {
    canvas.text(1, row, symbol, title_style);
    canvas.field(5, row, 8, value, style, true);
    canvas.rest(15, row, text);
}

std::string percentiles_text(const Durations& durations) {
    return fmt::format(" (p50 {}, p99 {})", duration_text(durations.median),
                       duration_text(durations.percentile_99));
}

std::string backlog_text(const Row& row) {
    const GroupReport& group = *row.report();
    const Estimate& estimate = row.estimate();
    const std::uint64_t capacity = row.channel->report->capacity;
    const double part = static_cast<double>(group.backlog) /
                        static_cast<double>(std::max<std::uint64_t>(capacity, 1));
    std::string text = fmt::format("wait, {} of {}; {} in flight", percent(part),
                                   short_count(capacity), short_count(group.in_flight));
    if (group.oldest_age_ns >= 0) text += "; oldest " + short_duration(group.oldest_age_ns);
    if (estimate.until_full && *estimate.until_full > 0) {
        text += "; full in " + duration_text(estimate.until_full);
    } else if (estimate.until_drained && *estimate.until_drained > 0) {
        text += "; drained in " + duration_text(estimate.until_drained);
    }
    return text;
}

std::string service_time_text(const Estimate& estimate) {
    return "mean service time, receive to settle" +
           (estimate.service ? percentiles_text(*estimate.service) : ": nothing was settled yet");
}

std::string service_capacity_text(const Estimate& estimate, unsigned members) {
    std::string text =
        fmt::format("= c / T_p = {} member{}{}", members, members == 1 ? "" : "s",
                    estimate.service ? " / " + duration_text(estimate.service->mean) : "");
    if (estimate.utilisation) {
        text += fmt::format("; {}/s come", short_rate(estimate.rates->published));
        if (estimate.rates->returned > 0) {
            text += fmt::format(", {}/s come back", short_rate(estimate.rates->returned));
        }
        text += ": utilisation " + percent(*estimate.utilisation);
    }
    return text;
}

std::string busy_response_text(const Estimate& estimate) {
    std::string text = "= T_p + L_q / C";
    if (estimate.response_busy) {
        text += fmt::format(" = {} + {} / {}/s, for a message sent now",
                            duration_text(estimate.service->mean), short_count(estimate.backlog),
                            short_rate(*estimate.service_capacity));
    } else if (estimate.stalled) {
        text += "; no prediction while nothing is done";
    }
    return text;
}

std::string measured_response_text(const Row& row) {
    const std::optional<Durations>& response = row.estimate().response;
    std::string text = "measured";
    if (response) text += percentiles_text(*response);
    if (const auto error = prediction_error(row.group->points)) {
        text += fmt::format("; last minute's predictions {} off", percent(*error));
    }
    return text;
}

/// Why it differs from T_p + L_q / C: that takes all members for busy, and forgets what they have
/// in hand.
std::string next_response_text(const Estimate& estimate) {
    std::string text = "predicted from who is busy at this moment";
    if (estimate.response_next) {
        text = fmt::format("predicted: {} of {} busy", estimate.busy, estimate.members);
        if (*estimate.response_next <= estimate.service->mean) {
            text += ", so that it need not wait";
        } else if (estimate.busy > 0) {
            text += ", whose work in hand comes first";
        }
    }
    if (estimate.response_steady) {
        text += fmt::format("; M/M/c: {}", duration_text(estimate.response_steady));
    }
    return text;
}

std::string totals_text(const GroupReport& group) {
    std::string text = fmt::format(
        "acked {}, redelivered {}, dead-lettered {}, lost {}, returned {}",
        short_count(group.acked), short_count(group.redelivered), short_count(group.dead_lettered),
        short_count(group.skipped + group.dropped), short_count(group.returned));
    if (group.recovered > 0) text += fmt::format(" ({} by deaths)", short_count(group.recovered));
    return text;
}

std::string mean_text(const std::optional<Durations>& durations) {
    return durations ? duration_text(durations->mean) : "-";
}

/// The article's model with the figures of this moment; returns the row behind it.
std::size_t draw_model(Canvas& canvas, const Row& row, std::size_t line) {
    const GroupReport& group = *row.report();
    const Estimate& estimate = row.estimate();
    const std::optional<double>& capacity = estimate.service_capacity;
    draw_line(canvas, line++, "L_q", short_count(group.backlog), backlog_text(row));
    draw_line(canvas, line++, "T_p", mean_text(estimate.service), service_time_text(estimate));
    draw_line(canvas, line++, "C", capacity ? short_rate(*capacity) + "/s" : "-",
              service_capacity_text(estimate, group.members));
    draw_line(canvas, line++, "T_r", duration_text(estimate.response_busy),
              busy_response_text(estimate), {.hue = Hue::second, .bold = true});
    draw_line(canvas, line++, "", mean_text(estimate.response), measured_response_text(row),
              {.hue = Hue::measured, .bold = true});
    draw_line(canvas, line++, "", duration_text(estimate.response_next),
              next_response_text(estimate));
    canvas.text(1, line, "in all", faint);
    canvas.rest(15, line, totals_text(group), faint);
    return line + 1;
}

struct Series {
    std::vector<float> values;
    std::string name;
    Hue hue;
};

/// A chart with a title, and a line below that says what its width stands for.
void draw_chart(Canvas& canvas, Area area, const std::string& title, const std::string& scale,
                double most, const Series& columns, const Series* marks, Charset charset) {
    const bool unicode = charset == Charset::unicode;
    std::size_t at = canvas.text(area.column, area.row, title, title_style) + 1;
    const auto legend = [&](const Series& series, const char* sign) {
        if (series.name.empty() || at + display_width(series.name) + 2 > area.column + area.width)
            return;
        at = canvas.text(at, area.row, sign, {.hue = series.hue});
        at = canvas.text(at, area.row, series.name) + 1;
    };
    legend(columns, unicode ? "▆" : "#");
    if (marks != nullptr) legend(*marks, unicode ? "•" : "o");
    if (at + display_width(scale) <= area.column + area.width) {
        canvas.text(area.column + area.width - display_width(scale), area.row, scale, faint);
    }
    const Area plot = {
        .column = area.column, .row = area.row + 1, .width = area.width, .height = area.height - 2};
    draw_columns(canvas, plot, columns.values, most, charset, {.hue = columns.hue});
    if (marks != nullptr) {
        draw_marks(canvas, plot, marks->values, most, charset, {.hue = marks->hue, .bold = true});
    }
    const std::size_t below = area.row + area.height - 1;
    for (std::size_t i = 0; i < area.width; ++i)
        canvas.put(area.column + i, below, unicode ? U'─' : U'-', faint);
    canvas.text(area.column, below, fmt::format("-{}s ", static_cast<int>(remembered_seconds)),
                faint);
    canvas.text(area.column + area.width - std::min<std::size_t>(area.width, 4), below, " now",
                faint);
}

void draw_charts(Canvas& canvas, const Row& row, std::size_t top, std::size_t height,
                 Charset charset) {
    constexpr std::size_t gap = 2;
    constexpr std::size_t least_width = 16;
    if (canvas.width() < 3 * least_width + 2 * gap + 2) return;
    const std::size_t width = (canvas.width() - 2 - 2 * gap) / 3;
    const Points& points = row.group->points;
    const auto values = [&](float Point::*member, Merge merge) {
        return resample(points, member, remembered_seconds, width, merge);
    };
    Area area = {.column = 1, .row = top, .width = width, .height = height};
    const double capacity = static_cast<double>(row.channel->report->capacity);
    draw_chart(canvas, area, "L_q backlog", short_count(row.channel->report->capacity), capacity,
               {values(&Point::backlog, Merge::most), "", style_of(row.state()).hue}, nullptr,
               charset);

    area.column += width + gap;
    const Series in = {values(&Point::in, Merge::mean), "in", Hue::measured};
    const Series acked = {values(&Point::acked, Merge::mean), "acked", Hue::second};
    const double rate = scale_end(std::max(largest(in.values), largest(acked.values)));
    draw_chart(canvas, area, "rates", short_rate(rate) + "/s", rate, in, &acked, charset);

    area.column += width + gap;
    const bool narrow = width < 30;
    const Series measured = {values(&Point::response, Merge::mean), narrow ? "meas" : "measured",
                             Hue::measured};
    const Series predicted = {values(&Point::predicted, Merge::mean), narrow ? "pred" : "predicted",
                              Hue::second};
    const double time =
        time_scale_end(std::max(largest(measured.values), largest(predicted.values)));
    draw_chart(canvas, area, "T_r", duration_text(time), time, measured, &predicted, charset);
}

std::string role_of(const ParticipantReport& participant) {
    switch (participant.role) {
        case ParticipantRole::shared_producer: return "producer";
        case ParticipantRole::exclusive_producer: return "exclusive";
        case ParticipantRole::member: return "member";
        case ParticipantRole::subscriber: return "subscriber";
    }
    return "?";
}

struct Cell {
    std::string text;
    Style style;
};

Cell doing(const ParticipantReport& participant, std::int64_t now_ns) {
    if (!participant.alive) return {"dead", style_of(State::dead)};
    if (participant.is_stopped()) {
        return {"stopped", style_of(State::stop)};
    }
    const std::string since = fmt::format(
        " {}", short_duration(std::max<std::int64_t>(0, now_ns - participant.activity_since_ns)));
    switch (participant.activity) {
        case Activity::waiting_for_message: return {"parked" + since, faint};
        case Activity::waiting_for_room: return {"no room" + since, style_of(State::full)};
        default: return {"running", style_of(State::ok)};
    }
}

/// Who matters most to this row comes first.
std::vector<std::size_t> order(const Row& row) {
    const std::vector<ParticipantReport>& all = row.channel->report->participants;
    const auto rank = [&](std::size_t i) {
        if (row.group != nullptr && all[i].group_index == static_cast<int>(row.group->index))
            return 0;
        return all[i].group_index < 0 ? 1 : 2;
    };
    std::vector<std::size_t> result(all.size());
    for (std::size_t i = 0; i < all.size(); ++i)
        result[i] = i;
    std::stable_sort(result.begin(), result.end(), [&](std::size_t a, std::size_t b) {
        if (rank(a) != rank(b)) return rank(a) < rank(b);
        return all[a].leases_held > all[b].leases_held;
    });
    return result;
}

std::string holds(const ChannelHistory& channel, const ParticipantReport& participant) {
    if (participant.role == ParticipantRole::subscriber) {
        for (const GroupReport& group : channel.report->groups) {
            if (static_cast<int>(group.index) == participant.group_index) {
                return short_count(group.backlog);
            }
        }
    }
    return participant.leases_held > 0 ? short_count(participant.leases_held) : "";
}

struct ParticipantColumn {
    std::string_view title;
    std::size_t width;
    bool right;
};

constexpr ParticipantColumn participant_columns[] = {
    {"ROLE", 10, false},  {"PID", 7, true},    {"NAME", 13, false},
    {"STATE", 13, false}, {"RATE/s", 6, true}, {"HOLDS", 6, true},
    {"LAST", 5, true},    {"SEEN", 5, true},   {"GROUP", 30, false}};

void draw_participant_titles(Canvas& canvas, std::size_t line) {
    const Style style = {.hue = Hue::accent, .reverse = true};
    canvas.restyle_row(line, style);
    std::size_t at = 1;
    for (const ParticipantColumn& column : participant_columns) {
        if (at + column.width > canvas.width() && column.title != "GROUP") break;
        canvas.field(at, line,
                     std::min(column.width, canvas.width() - std::min(at, canvas.width())),
                     column.title, style, column.right);
        at += column.width + 1;
    }
}

/// Since when nobody has seen it do anything. One that waits for messages does what it should.
std::string seen_text(const Row& row, const ParticipantReport& participant,
                      const Presence& presence) {
    if (participant.alive && participant.activity == Activity::waiting_for_message) return "";
    const std::int64_t seen_ns =
        std::max(participant.last_received_ns, participant.activity_since_ns);
    const std::int64_t now_ns = row.channel->report->sampled_at_ns;
    const double seen = std::min(to_seconds(std::max<std::int64_t>(0, now_ns - seen_ns)),
                                 row.now - presence.changed_at);
    return seen < 1 ? "now" : duration_text(seen);
}

std::string since_last_receive_text(const ParticipantReport& participant, std::int64_t now_ns) {
    if (participant.leases_held == 0 || participant.last_received_ns <= 0) return "";
    return short_duration(std::max<std::int64_t>(0, now_ns - participant.last_received_ns));
}

std::string pid_text(const ParticipantReport& participant) {
    return participant.same_pid_namespace ? std::to_string(participant.pid)
                                          : fmt::format("({})", participant.pid);
}

using ParticipantCells = std::array<Cell, std::size(participant_columns)>;

ParticipantCells participant_cells(const Row& row, std::size_t index) {
    const ChannelReport& report = *row.channel->report;
    const ParticipantReport& participant = report.participants[index];
    const Presence& presence = row.channel->presences[index];
    const bool own =
        row.group != nullptr && participant.group_index == static_cast<int>(row.group->index);
    const bool subscribes = participant.role == ParticipantRole::subscriber;
    return {{
        {role_of(participant), {}},
        {pid_text(participant), {}},
        {printable(participant.name), {.bold = own}},
        doing(participant, report.sampled_at_ns),
        {short_rate(presence.rate), {}},
        {holds(*row.channel, participant), {}},
        {since_last_receive_text(participant, report.sampled_at_ns), {}},
        {seen_text(row, participant, presence), faint},
        {subscribes ? "" : printable(participant.group), faint},
    }};
}

void draw_participant(Canvas& canvas, std::size_t line, const ParticipantCells& cells) {
    std::size_t at = 1;
    for (std::size_t i = 0; i < cells.size() && at < canvas.width(); ++i) {
        const ParticipantColumn& column = participant_columns[i];
        canvas.field(at, line, std::min(column.width, canvas.width() - at), cells[i].text,
                     cells[i].style, column.right);
        at += column.width + 1;
    }
}

void draw_participants(Canvas& canvas, const Row& row, std::size_t top, std::size_t height,
                       std::size_t scroll) {
    draw_participant_titles(canvas, top);
    const std::vector<std::size_t> all = order(row);
    const std::size_t most_scroll = all.size() > height ? all.size() - height : 0;
    const std::size_t first = std::min(scroll, most_scroll);
    const std::size_t end = std::min(all.size(), first + height);
    if (all.empty()) canvas.text(1, top + 1, "nobody takes part", faint);
    for (std::size_t i = first; i < end; ++i)
        draw_participant(canvas, top + 1 + i - first, participant_cells(row, all[i]));
    if (all.size() > height) {
        const std::string where = fmt::format(" {}-{} of {} ", first + 1, end, all.size());
        canvas.text(canvas.width() - std::min(canvas.width(), where.size()), top, where,
                    {.hue = Hue::accent, .reverse = true});
    }
}

void draw_memory(Canvas& canvas, const Row& row, const History& history) {
    if (canvas.height() < 2) return;
    const ChannelReport& report = *row.channel->report;
    const SharedMemorySpace& space = history.space();
    std::string text = fmt::format(
        "memory {} of at most {}; {} {} used, {} free", short_bytes(report.reserved_bytes),
        short_bytes(report.object_bytes), directory_text(history),
        short_bytes(space.total - std::min(space.total, space.free)), short_bytes(space.free));
    const std::string sizes =
        fmt::format("; messages up to {} bytes, up to {} in the slot",
                    short_bytes(std::max(report.region_size, report.inline_size)),
                    short_bytes(report.inline_size));
    if (1 + text.size() + sizes.size() <= canvas.width()) text += sizes;
    canvas.rest(1, canvas.height() - 2, text, faint);
}

/// A channel that nobody reads has no model.
std::size_t draw_channel(Canvas& canvas, const Row& row, std::size_t line) {
    const ChannelReport& report = *row.channel->report;
    const std::optional<ChannelRates>& rates = row.channel->rates;
    draw_line(
        canvas, line++, "in", rates ? short_rate(rates->published) + "/s" : "-",
        fmt::format("messages published, {} bytes/s; {} messages in all",
                    rates ? short_bytes(static_cast<std::uint64_t>(rates->published_bytes)) : "-",
                    short_count(report.published)));
    draw_line(canvas, line++, "cap", short_count(report.capacity),
              fmt::format("messages have room; {} can be read again",
                          short_count(report.tail - report.oldest_retained)));
    draw_line(canvas, line++, "", short_count(report.groups.size()),
              report.groups.size() == 1 ? "group" : "groups");
    return line;
}

void draw_above_keys(Canvas& canvas, const History& history, const View& view) {
    const Row row = selected_row(history, view);
    if (row.channel == nullptr) {
        canvas.text(1, 1, printable(view.selected.channel, 60), {.bold = true});
        canvas.text(1, sentence_top, "This channel is gone.", {.hue = Hue::notice});
        return;
    }
    std::size_t top = draw_title(canvas, row, view);
    if (!row.channel->report) return;
    if (row.group == nullptr && view.selected.group != RowId::no_group) {
        canvas.text(1, top++, "The group is gone; this is its channel.", {.hue = Hue::notice});
    }

    const std::size_t model_end =
        row.group != nullptr ? draw_model(canvas, row, top) : draw_channel(canvas, row, top);
    const std::size_t bottom = canvas.height() - std::min<std::size_t>(canvas.height(), 2);
    if (bottom <= model_end + 2) return;
    // A title and an axis around each chart; a title above the participants.
    const std::size_t people = row.channel->report->participants.size();
    const std::size_t room = bottom - model_end - 1;
    std::size_t chart = 0;
    if (row.group != nullptr && room >= least_chart + 2 + 2) {
        chart = std::clamp(room - std::min(room, std::max<std::size_t>(people, 1) + 2), least_chart,
                           most_chart);
        draw_charts(canvas, row, model_end, chart + 2, view.charset);
    }
    top = model_end + (chart > 0 ? chart + 2 : 0);
    draw_participants(canvas, row, top, bottom - top - 1, view.scroll);
    draw_memory(canvas, row, history);
}

}  // namespace

void draw_detail(Canvas& canvas, const History& history, const View& view) {
    draw_above_keys(canvas, history, view);
    draw_keys(canvas, canvas.height() - 1,
              {{"Esc", "back"},
               {"< >", "previous, next"},
               {view.charset == Charset::unicode ? "↑ ↓" : "up down", "scroll"},
               {"p", view.paused ? "go on" : "pause"},
               {"+ -", "pace"},
               {"?", "help"}});
}

}  // namespace ipc::tools::monitor
