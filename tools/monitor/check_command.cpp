// ipc-monitor check: for monitoring systems, by the conventions of the Monitoring Plugins project
// (development guidelines, "Plugin Output" and "Plugin Return Codes").

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "ipc/format/layout.hpp"
#include "tools/common/arguments.hpp"
#include "tools/common/notice.hpp"
#include "tools/common/stream.hpp"
#include "tools/common/text.hpp"
#include "tools/monitor/commands.hpp"
#include "tools/monitor/live_source.hpp"
#include "tools/monitor/view.hpp"

namespace ipc::tools::monitor {
namespace {

using namespace std::chrono_literals;

// The exit codes.
enum class Verdict : std::uint8_t { ok = 0, warning = 1, critical = 2, unknown = 3 };

unsigned severity(Verdict verdict) {
    switch (verdict) {
        case Verdict::ok: return 0;
        case Verdict::warning: return 1;
        case Verdict::unknown: return 2;
        case Verdict::critical: return 3;
    }
    return 3;
}

const char* name_of(Verdict verdict) {
    switch (verdict) {
        case Verdict::ok: return "OK";
        case Verdict::warning: return "WARNING";
        case Verdict::critical: return "CRITICAL";
        case Verdict::unknown: return "UNKNOWN";
    }
    return "UNKNOWN";
}

struct Limit {
    std::optional<double> warning;
    std::optional<double> critical;

    bool given() const { return warning || critical; }
    Verdict judge(double value) const {
        if (critical && value > *critical) return Verdict::critical;
        return warning && value > *warning ? Verdict::warning : Verdict::ok;
    }
};

struct CheckRequest {
    std::vector<std::string> channels;
    View view;  ///< its filter
    std::optional<std::chrono::nanoseconds> interval = 1s;
    OpenOptions open;
    Limit backlog;
    Limit fill;
    Limit age;
    Limit response;
    std::optional<unsigned> min_members;
    std::vector<std::string> groups;  ///< only these are judged, and have to be there; empty: all
};

std::string text_of(std::optional<double> figure) {
    return figure ? fmt::format("{:.9g}", *figure) : "";
}

/// What is wrong, and the figures.
class Findings {
public:
    void add(Verdict verdict, std::string text) {
        if (verdict != Verdict::ok) problems_.push_back({verdict, std::move(text)});
    }

    /// Performance data: 'label'=value;warn;crit;min;max.
    void add_figure(const std::string& label, const std::string& value, const Limit& limit,
                    std::optional<double> most = {}) {
        std::string quoted;
        for (const char c : printable(label)) {
            if (c != '\'' && c != '=') quoted += c;
        }
        figures_ += fmt::format(" '{}'={};{};{};0;{}", quoted, value, text_of(limit.warning),
                                text_of(limit.critical), text_of(most));
    }

    Verdict verdict() const {
        Verdict worst = Verdict::ok;
        for (const Problem& each : problems_) {
            if (severity(each.verdict) > severity(worst)) worst = each.verdict;
        }
        return worst;
    }

    /// One line: all that is wrong, worst first, or else `fine`.
    std::string line(const std::string& fine) const {
        std::vector<Problem> sorted = problems_;
        std::stable_sort(sorted.begin(), sorted.end(), [](const Problem& a, const Problem& b) {
            return severity(a.verdict) > severity(b.verdict);
        });
        std::string text;
        for (const Problem& each : sorted)
            text += (text.empty() ? "" : "; ") + each.text;
        if (text.empty()) text = fine;
        text = printable(text);
        std::replace(text.begin(), text.end(), '|', '/');  // which begins the figures
        return fmt::format("IPC {} - {}{}{}\n", name_of(verdict()), text,
                           figures_.empty() ? "" : " |", figures_);
    }

private:
    struct Problem {
        Verdict verdict;
        std::string text;
    };
    std::vector<Problem> problems_;
    std::string figures_;
};

// "U" is the value of a figure that is not known.
constexpr const char* not_known = "U";

/// Few messages of a burst are stamped: of the age of another, only bounds are known.
void check_age(Findings& findings, const Limit& limit, const std::string& name,
               const GroupReport& group) {
    const bool unsettled = has_unsettled(group);
    const bool known = !unsettled || group.oldest_age_ns >= 0;
    const double least = std::max(0.0, static_cast<double>(group.oldest_age_ns) / 1e9);
    const Verdict verdict = limit.judge(least);
    findings.add(verdict,
                 fmt::format("{}: oldest message {}", name, short_duration_of_seconds(least)));
    if (unsettled && limit.given() && verdict != Verdict::critical) {
        const bool bounded = group.oldest_age_at_most_ns >= 0;
        const double most = static_cast<double>(group.oldest_age_at_most_ns) / 1e9;
        if (!bounded || limit.judge(most) != verdict) {
            findings.add(
                Verdict::unknown,
                fmt::format("{}: oldest message has no time stamp: it is at least {}{} old", name,
                            short_duration_of_seconds(least),
                            bounded ? " and at most " + short_duration_of_seconds(most) : ""));
        }
    }
    findings.add_figure(name + " age", known ? fmt::format("{:.6f}s", least) : not_known, limit);
}

void check_group(Findings& findings, const CheckRequest& request, const Row& row) {
    const ChannelHistory& channel = *row.channel;
    const GroupReport& group = *row.report();
    const Estimate& estimate = row.estimate();
    const std::string name = channel.name + "/" + row.group->title;

    const State state = present_state(*row.group);
    const std::string reason = name + ": " + explain(channel, *row.group, state, row.now);
    if (state == State::dead || state == State::stop) {
        findings.add(Verdict::critical, reason);
    } else if (state == State::full || (state == State::slow && dead_letters_wait(*row.group))) {
        findings.add(Verdict::warning, reason);
    }
    if (request.min_members && !group.subscriber && group.members < *request.min_members) {
        findings.add(Verdict::critical, fmt::format("{}: {} of {} members live", name,
                                                    group.members, *request.min_members));
    }

    const auto backlog = static_cast<double>(group.backlog);
    const double fill = 100 * backlog / static_cast<double>(channel.report->capacity);
    findings.add(request.backlog.judge(backlog),
                 fmt::format("{}: backlog {}", name, group.backlog));
    findings.add(request.fill.judge(fill), fmt::format("{}: {:.0f} % full", name, fill));
    findings.add_figure(name + " backlog", std::to_string(group.backlog), request.backlog,
                        static_cast<double>(channel.report->capacity));
    if (request.fill.given()) {
        findings.add_figure(name + " fill", fmt::format("{:.1f}%", fill), request.fill, 100);
    }
    check_age(findings, request.age, name, group);
    if (const auto& response = estimate.response_next) {
        findings.add(
            request.response.judge(*response),
            fmt::format("{}: response time {}", name, short_duration_of_seconds(*response)));
        findings.add_figure(name + " response", fmt::format("{:.6f}s", *response),
                            request.response);
    } else {
        findings.add_figure(name + " response", not_known, request.response);
    }
}

/// What to judge: of a channel with groups, those that were asked for.
std::vector<Row> judged_rows(const History& history, const CheckRequest& request) {
    std::vector<Row> rows = rows_of(history, request.view);
    std::erase_if(rows, [&](const Row& row) {
        if (request.groups.empty() || row.group == nullptr) return false;
        const bool asked_for = std::find(request.groups.begin(), request.groups.end(),
                                         row.group->title) != request.groups.end();
        return row.report()->subscriber || !asked_for;
    });
    return rows;
}

/// An ephemeral group goes with its last member: where there is no group, there is no member.
void expect_groups(Findings& findings, const CheckRequest& request, const ChannelHistory& channel) {
    const std::string living =
        request.min_members ? fmt::format(", 0 of {} members live", *request.min_members) : "";
    for (const std::string& name : request.groups) {
        if (channel.report->find_group(name) != nullptr) continue;
        findings.add(Verdict::critical,
                     fmt::format("{}: no group {}{}", channel.name, name, living));
    }
    const std::vector<GroupReport>& groups = channel.report->groups;
    const bool has_group = std::any_of(groups.begin(), groups.end(),
                                       [](const GroupReport& each) { return !each.subscriber; });
    if (request.groups.empty() && request.min_members.value_or(0) > 0 && !has_group) {
        findings.add(Verdict::critical, fmt::format("{}: no group{}", channel.name, living));
    }
}

Findings check(const CheckRequest& request, const History& history) {
    Findings findings;
    for (const std::string& pattern : request.channels) {
        const bool found =
            std::any_of(history.channels().begin(), history.channels().end(),
                        [&](const ChannelHistory& each) { return matches(pattern, each.name); });
        if (!found) findings.add(Verdict::critical, "no channel " + pattern);
    }
    const std::vector<Row> all = rows_of(history, request.view);
    const bool expects_group = !request.groups.empty() || request.min_members.value_or(0) > 0;
    if (all.empty() && !request.view.filter.empty()) {
        findings.add(Verdict::critical,
                     "no channel or group with " + request.view.filter + " in its name");
    } else if (all.empty() && request.channels.empty() && expects_group) {
        findings.add(Verdict::critical, "no channel, and so no group");
    }
    std::set<const ChannelHistory*> channels;
    for (const Row& row : all) {
        if (!channels.insert(row.channel).second) continue;
        if (row.channel->report) {
            expect_groups(findings, request, *row.channel);
        } else {
            findings.add(Verdict::unknown, row.channel->name + ": " + row.channel->problem);
        }
    }
    for (const Row& row : judged_rows(history, request)) {
        if (row.group != nullptr) check_group(findings, request, row);
    }
    return findings;
}

std::string summary(const History& history, const CheckRequest& request) {
    std::size_t groups = 0;
    const Row* fullest = nullptr;
    const std::vector<Row> rows = judged_rows(history, request);
    for (const Row& row : rows) {
        if (row.group == nullptr) continue;
        ++groups;
        if (fullest == nullptr || row.report()->backlog > fullest->report()->backlog) {
            fullest = &row;
        }
    }
    std::string text =
        fmt::format("{} channel{}, {} group{}", history.channels().size(),
                    history.channels().size() == 1 ? "" : "s", groups, groups == 1 ? "" : "s");
    if (fullest != nullptr) {
        text += fmt::format("; longest backlog {} ({}/{})", fullest->report()->backlog,
                            fullest->channel->name, fullest->group->title);
    }
    return text;
}

/// The line for when there is nothing to judge.
std::string unknown(const std::string& reason) {
    Findings findings;
    findings.add(Verdict::unknown, reason);
    return findings.line("");
}

int run(const CheckRequest& request, const Signals& signals) {
    const auto answer = [&](const std::string& line, Verdict verdict) {
        try {
            Output output(signals);
            output.write(line);
            output.flush();
            return static_cast<int>(verdict);
        } catch (const std::exception& error) {
            notice("ipc-monitor", error.what());
            return static_cast<int>(Verdict::unknown);
        }
    };
    try {
        LiveSource source(Sampler(request.channels, request.open.allow_foreign_owner),
                          *request.interval);
        History history;
        source.next(history);
        signals.sleep(*request.interval);
        source.next(history);
        const Findings findings = check(request, history);
        return answer(findings.line(summary(history, request)), findings.verdict());
    } catch (const std::exception& error) {
        return answer(unknown(error.what()), Verdict::unknown);
    }
}

/// What exceeds the one exceeds the other, too: a warning that nobody can get is a mistake.
void refuse_useless_warning(const std::string& name, const Limit& limit) {
    if (!limit.warning || !limit.critical || *limit.warning <= *limit.critical) return;
    throw CLI::ValidationError(fmt::format("--warn-{} {:.9g} is above --max-{} {:.9g}", name,
                                           *limit.warning, name, *limit.critical));
}

void add_limits(CLI::App& arguments, const std::string& name, Limit& limit, const std::string& unit,
                const std::string& what) {
    const auto add = [&](const char* prefix, std::optional<double>& value, const char* verdict) {
        arguments
            .add_option(prefix + name, value, fmt::format("{} if {} exceeds this", verdict, what))
            ->check(in_range(0, 1e18))
            ->type_name(unit);
    };
    add("--max-", limit.critical, "CRITICAL");
    add("--warn-", limit.warning, "WARNING");
}

}  // namespace

// Whoever calls it takes 2, the tools' usual code for this, for CRITICAL, and reads standard output
// only.
int answer_wrong_check() {
    fmt::print("{}", unknown("the arguments are wrong; see ipc-monitor check --help"));
    return static_cast<int>(Verdict::unknown);
}

Command add_check(CLI::App& monitor) {
    CLI::App& arguments = *monitor.add_subcommand(
        "check",
        "For monitoring systems: one line, and exit code 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN");
    const auto request = std::make_shared<CheckRequest>();
    arguments.add_option("CHANNEL", request->channels, "Names or shell patterns [all channels]");
    add_limits(arguments, "backlog", request->backlog, "MESSAGES", "the backlog of a group");
    add_limits(arguments, "fill", request->fill, "PERCENT", "the backlog, of the capacity,");
    add_limits(arguments, "age", request->age, "SECONDS", "the age of the oldest message");
    add_limits(arguments, "response", request->response, "SECONDS",
               "the response time predicted for a message published now");
    arguments
        .add_option("--min-members", request->min_members,
                    "CRITICAL if fewer members of a group live, or a channel has no group")
        ->transform(whole_number(0, format::largest_options.max_participants))
        ->type_name("COUNT");
    arguments
        .add_option("--group", request->groups,
                    "Judge only this group, CRITICAL if a channel has none of that name; may be "
                    "given again [all that are there]")
        ->allow_extra_args(false)
        ->check(not_empty())
        ->type_name("GROUP");
    arguments
        .add_option("--filter", request->view.filter,
                    "Only what has this text in the name of its channel or group")
        ->type_name("TEXT");
    add_interval(arguments, request->interval, "Time between the two samples [1]");
    add_open_options(arguments, request->open);
    arguments.final_callback([request] {
        refuse_useless_warning("backlog", request->backlog);
        refuse_useless_warning("fill", request->fill);
        refuse_useless_warning("age", request->age);
        refuse_useless_warning("response", request->response);
    });
    arguments.footer(
        "Without limits, CRITICAL: messages wait and no member takes any, or a member died and its "
        "messages\nwere not recovered, or a CHANNEL does not exist. WARNING: producers are held "
        "up, or dead letters wait\nand none is taken. "
        "UNKNOWN: a channel cannot be read,\nor the arguments are wrong, or the answer cannot be "
        "printed, or the oldest message "
        "has no time stamp and may or may not exceed the limit.\n\n"
        "That members live and take nothing is told from work that takes its time when nothing was "
        "taken for 9 s\nand the time between the samples is long enough for ten works. For longer "
        "work add --interval, or --max-age.\n\n"
        "A group that is not durable goes with its last member, and is then not there to be "
        "judged: "
        "name it with --group,\nor add --min-members.\n\n"
        "  ipc-monitor check jobs --warn-backlog 100 --max-backlog 1000 --max-response 30\n"
        "  ipc-monitor check jobs --group workers --min-members 2\n");
    return {&arguments, [request](const Signals& signals) { return run(*request, signals); }};
}

}  // namespace ipc::tools::monitor
