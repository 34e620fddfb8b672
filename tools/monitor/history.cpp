#include "tools/monitor/history.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <set>
#include <utility>

#include <fmt/core.h>

#include "tools/common/text.hpp"

namespace ipc::tools::monitor {
namespace {

constexpr std::ptrdiff_t fewest_in_window = 3;
constexpr std::size_t fewest_remembered = 16;
constexpr std::size_t most_remembered = 4096;
constexpr std::size_t remembered_in_all = 250'000;

double seconds(std::int64_t nanoseconds) {
    return static_cast<double>(nanoseconds) / 1e9;
}

std::string text_of_rate(double per_second) {
    return short_rate(per_second) + "/s";
}

std::string text_of(std::uint64_t count, const char* unit) {
    return fmt::format("{} {}{}", short_count(count), unit, count == 1 ? "" : "s");
}

bool is_member(const ParticipantReport& participant, const GroupReport& group) {
    return participant.group_index == static_cast<int>(group.index);
}

unsigned takers(const ChannelReport& channel, const GroupReport& group) {
    return static_cast<unsigned>(
        std::count_if(channel.participants.begin(), channel.participants.end(),
                      [&](const ParticipantReport& each) {
                          return is_member(each, group) && each.alive && !each.is_stopped();
                      }));
}

std::string owner_of(const ChannelReport& channel, const GroupReport& group) {
    for (const ParticipantReport& participant : channel.participants) {
        if (is_member(participant, group)) {
            return fmt::format("{} ({}{})", participant.name, participant.pid,
                               participant.same_pid_namespace ? "" : " elsewhere");
        }
    }
    return "subscriber";
}

/// One process may subscribe several times: its second subscription is "name (pid) 2". Each keeps
/// its title for as long as it is there, whoever else comes or goes.
void name_groups(const ChannelReport& channel, std::vector<GroupHistory>& groups) {
    std::vector<GroupHistory*> untitled;
    for (std::size_t i = 0; i < groups.size(); ++i) {
        const GroupReport& report = channel.groups[i];
        GroupHistory& group = groups[i];
        if (!report.subscriber) {
            group.title = report.name;
        } else if (std::string owner = owner_of(channel, report); group.owner != owner) {
            group.owner = std::move(owner);
            group.title.clear();
            untitled.push_back(&group);
        }
    }
    if (untitled.empty()) return;
    std::set<std::string> titles;
    for (const GroupHistory& each : groups)
        titles.insert(each.title);
    for (GroupHistory* group : untitled) {
        group->title = group->owner;
        for (unsigned again = 2; !titles.insert(group->title).second; ++again)
            group->title = fmt::format("{} {}", group->owner, again);
    }
}

/// The living of `before` that `now` does not show alive any more.
template <class Which>
std::string missing(const ChannelReport& before, const ChannelReport& now, Which&& which) {
    std::string names;
    for (const ParticipantReport& each : before.participants) {
        if (!each.alive || !which(each)) continue;
        const bool still_there = std::any_of(
            now.participants.begin(), now.participants.end(), [&](const ParticipantReport& other) {
                return other.index == each.index && other.attached_at_ns == each.attached_at_ns &&
                       other.alive;
            });
        if (still_there) continue;
        if (!names.empty()) names += ", ";
        names += printable(each.title());
    }
    return names;
}

template <class Group>
bool is_same(const Group& known, const GroupReport& now) {
    return known.index == now.index && known.start == now.start && known.name == now.name;
}

bool is_same(const Presence& known, const ParticipantReport& now) {
    return known.index == now.index && known.attached_at_ns == now.attached_at_ns;
}

const GroupReport* same_group(const ChannelReport& channel, const GroupReport& group) {
    const auto found = std::find_if(channel.groups.begin(), channel.groups.end(),
                                    [&](const GroupReport& each) { return is_same(each, group); });
    return found == channel.groups.end() ? nullptr : &*found;
}

/// Has what is remembered stand in the order of `now`; `make` makes what is new. Mostly nobody has
/// come or gone.
template <class Known, class Report, class Make>
void keep_up(std::vector<Known>& known, const std::vector<Report>& now, Make&& make) {
    const auto same = [](const Known& each, const Report& other) { return is_same(each, other); };
    if (std::equal(known.begin(), known.end(), now.begin(), now.end(), same)) return;
    std::vector<Known> next;
    next.reserve(now.size());
    for (const Report& report : now) {
        const auto found = std::find_if(known.begin(), known.end(),
                                        [&](const Known& each) { return is_same(each, report); });
        next.push_back(found != known.end() ? std::move(*found) : make(report));
    }
    known = std::move(next);
}

/// A producer died since the report before, and had claimed so many positions.
Death death_of_producer(const ChannelReport& before, const ChannelReport& channel,
                        std::uint64_t claimed, double now) {
    return {.at = now,
            .who = missing(before, channel, [](const auto& each) { return each.group_index < 0; }),
            .held = claimed,
            .producer = true,
            .recovered = true};
}

/// A death of this moment, if there is one: of a member that still holds something, or whose
/// leases were recovered since the report before.
std::optional<Death> find_death(const ChannelReport* before, const ChannelReport& channel,
                                const GroupReport* earlier, const GroupReport& group, double now) {
    for (const ParticipantReport& each : channel.participants) {
        if (!is_member(each, group) || each.alive || each.leases_held == 0) continue;
        return Death{.at = now, .who = printable(each.title()), .held = each.leases_held};
    }
    if (before == nullptr || earlier == nullptr) return std::nullopt;
    if (group.recovered > earlier->recovered) {
        return Death{.at = now,
                     .who = missing(*before, channel,
                                    [&](const auto& each) { return is_member(each, group); }),
                     .held = group.recovered - earlier->recovered,
                     .recovered = true};
    }
    if (group.aborted > earlier->aborted) {
        return death_of_producer(*before, channel, group.aborted - earlier->aborted, now);
    }
    return std::nullopt;
}

/// The newer of two deaths; one that lasts keeps the time it was noticed at.
void note_death(std::optional<Death>& known, std::optional<Death> found) {
    if (!found) {
        if (known && !known->recovered) known->recovered = true;
        return;
    }
    const bool same = known && !known->recovered;
    if (same && found->who.empty()) found->who = known->who;
    known = std::move(found);
}

void forget(Points& points, std::size_t groups) {
    const std::size_t most = std::clamp(remembered_in_all / std::max<std::size_t>(groups, 1),
                                        fewest_remembered, most_remembered);
    while (points.size() > most || (points.size() > fewest_remembered &&
                                    points.back().at - points.front().at > remembered_seconds)) {
        points.pop_front();
    }
}

float per_second(std::uint64_t before, std::uint64_t now, double interval) {
    return now < before || interval <= 0
               ? Point::unknown
               : static_cast<float>(static_cast<double>(now - before) / interval);
}

/// What two looks tell of the oldest message's age, whether or not it was stamped: it was there at
/// the look before, or was published since.
void bound_oldest_age(const ChannelReport* before, const ChannelReport& channel, GroupReport& group,
                      std::optional<std::int64_t>& seen_ns) {
    const GroupReport* earlier = before != nullptr ? same_group(*before, group) : nullptr;
    if (earlier == nullptr || !group.reliable || !has_unsettled(group)) {
        seen_ns.reset();
        return;
    }
    const std::int64_t interval = channel.sampled_at_ns - before->sampled_at_ns;
    if (static_cast<std::int64_t>(group.settled_below - before->tail) >= 0) {
        seen_ns.reset();
        const bool known = group.oldest_age_at_most_ns >= 0;
        group.oldest_age_at_most_ns =
            known ? std::min(group.oldest_age_at_most_ns, interval) : interval;
        return;
    }
    if (!seen_ns || earlier->settled_below != group.settled_below) seen_ns = before->sampled_at_ns;
    group.oldest_age_ns = std::max(group.oldest_age_ns, channel.sampled_at_ns - *seen_ns);
    // It may have been published while that look went on.
    if (group.oldest_age_at_most_ns >= 0) {
        group.oldest_age_ns = std::min(group.oldest_age_ns, group.oldest_age_at_most_ns);
    }
}

/// `answered`: how many response times were counted since the report before.
Point point_of(const ChannelReport* before, const ChannelReport& channel,
               const GroupReport* earlier, const GroupReport& group, double answered, double now) {
    Point point;
    point.at = now;
    point.backlog = static_cast<float>(group.backlog);
    point.full = group.blocks_producers;
    if (before == nullptr || earlier == nullptr) return point;
    const double interval = seconds(channel.sampled_at_ns - before->sampled_at_ns);
    point.in = per_second(before->published, channel.published, interval);
    point.acked = per_second(earlier->acked, group.acked, interval);
    point.taken = group.delivered != earlier->delivered || group.position != earlier->position;
    point.lost = group.skipped != earlier->skipped;
    point.letters_wait = earlier->dead_pending > 0 && group.dead_pending >= earlier->dead_pending &&
                         group.dead_lettered == earlier->dead_lettered;
    // What waited at the tail then still waits, or was given back again.
    const auto left = static_cast<std::int64_t>(before->tail - group.position);
    point.never_drained = earlier->backlog > earlier->delayed && group.backlog > group.delayed &&
                          (left > 0 || !point.taken);
    if (answered > 0) {
        const double sum = seconds(
            static_cast<std::int64_t>(group.response_time_sum_ns - earlier->response_time_sum_ns));
        point.response = static_cast<float>(sum / answered);
    }
    return point;
}

/// T_p since the window began, or of the whole past if there was no sample since; 0: unknown.
double mean_service(const PackedHistogram& start, const GroupReport& group) {
    const std::uint64_t samples = samples_in(group.service_time);
    const auto mean = [](std::uint64_t sum, std::uint64_t count) {
        return std::max(seconds(static_cast<std::int64_t>(sum)) / static_cast<double>(count), 1e-9);
    };
    if (samples > start.samples()) {
        return mean(group.service_time_sum_ns - start.sum(), samples - start.samples());
    }
    return samples == 0 ? 0 : mean(group.service_time_sum_ns, samples);
}

/// What the points of the window tell, which ends with the newest.
struct Window {
    Points::const_iterator begin;
    std::ptrdiff_t size = 0;
    double seconds = 0;
    bool never_drained = true;  ///< between any two of them
    bool none_taken = true;     ///< the same
    bool letters_wait = true;   ///< the same
    bool lost = false;
    bool quiet = true;
    std::ptrdiff_t full = 0;  ///< how many of them
};

Window look_back(const Points& points) {
    Window window{.begin = points.end()};
    while (window.begin != points.begin()) {
        const Point& each = *std::prev(window.begin);
        const double age = points.back().at - each.at;
        if (window.size >= fewest_in_window && age > window_seconds) break;
        if (window.size > 0) {
            window.never_drained &= window.begin->never_drained;
            window.none_taken &= !window.begin->taken;
            window.letters_wait &= window.begin->letters_wait;
        }
        window.lost |= each.lost;
        window.quiet &= !each.taken && !(each.in > 0) && !(each.backlog > 0);
        window.full += each.full ? 1 : 0;
        window.seconds = age;
        --window.begin;
        ++window.size;
    }
    return window;
}

/// Messages waited all through the window, and none of them was taken.
bool has_waited(const Window& window, const GroupReport& group) {
    return group.backlog > group.delayed && window.never_drained && window.none_taken;
}

/// The same, and several should have been settled in the window. `service`: T_p in seconds, 0 if
/// unknown; `takers`: members that live and are not stopped.
bool is_stalled(const Window& window, const GroupReport& group, double service, unsigned takers) {
    // With long work it is no accident that nothing happens for a while.
    return has_waited(window, group) && window.seconds * takers >= 3 * service;
}

constexpr double enough_seconds = window_seconds * 0.9;

/// For how long, as the report itself tells, messages have waited and nobody was seen to receive
/// any; seconds, 0 where it tells nothing. Stamps are those of samples: what came after the newest
/// is for the caller to consider.
double untaken_seconds(const ChannelReport& channel, const GroupReport& group) {
    if (group.backlog <= group.delayed) return 0;
    std::int64_t last = 0;
    unsigned holders = 0;
    unsigned others = 0;
    for (const ParticipantReport& each : channel.participants) {
        if (!is_member(each, group) || !each.alive || each.is_stopped()) continue;
        last = std::max({last, each.last_received_ns, each.activity_since_ns});
        ++(each.leases_held > 0 ? holders : others);
    }
    // The oldest message is then one that is held. How long the others wait is not known, and who
    // holds none may look for them only now and then.
    if (holders > 0 && others > 0) return 0;
    const std::int64_t age = std::max<std::int64_t>(group.oldest_age_ns, 0);
    if (last <= 0 || last > channel.sampled_at_ns) return 0;
    return seconds(std::min(age, channel.sampled_at_ns - last));
}

/// Whether that and what little was observed leave no doubt that a group is stalled: for those who
/// look only twice.
bool is_told_stalled(const Window& window, const ChannelReport& channel, const GroupReport& group,
                     double service, unsigned takers) {
    if (window.size < 2 || !has_waited(window, group)) return false;
    const double untaken = untaken_seconds(channel, group);
    if (untaken < enough_seconds) return false;
    // Where messages come in bursts, so many may have been received since the newest stamp.
    const auto since = static_cast<double>(std::min(group.delivered, longest_stamp_distance));
    // That nothing was settled in so many times T_p is no accident: e^-10, if it is at random.
    return window.seconds * takers >= 10 * service || untaken * takers >= 3 * service * since;
}

/// The state that the points tell, the newest being that of the report. Without regard to deaths.
State judge(const Points& points, const Window& window, const ChannelReport& channel,
            const GroupReport& group, double service, bool stalled, unsigned takers) {
    const double observed = points.back().at - points.front().at;
    const bool whole = observed >= enough_seconds;
    if (group.backlog > group.delayed && takers == 0) return State::stop;
    if (whole && stalled) return State::stop;
    if (is_told_stalled(window, channel, group, service, takers)) return State::stop;
    if (points.back().full && 2 * window.full >= window.size) return State::full;
    if (window.size >= 2 && window.letters_wait) return State::slow;
    if (whole && window.size >= fewest_in_window && window.never_drained) return State::slow;
    if (whole && window.size >= 6 && points.back().backlog > 0) {
        // Growing for sure: the least of the second half is above the most of the first.
        const auto middle = window.begin + window.size / 2;
        const auto less = [](const Point& a, const Point& b) { return a.backlog < b.backlog; };
        const float most = std::max_element(window.begin, middle, less)->backlog;
        if (std::min_element(middle, points.end(), less)->backlog > most) return State::slow;
    }
    if (window.lost) return State::slow;
    const bool moves = !window.quiet || group.in_flight > 0 || group.dead_pending > 0;
    return moves ? State::ok : State::idle;
}

template <class Remembered>
void enter(Remembered& history, State state, double now) {
    if (history.state != state) history.state_since = now;
    history.state = state;
}

/// `groups`: how many are remembered in all.
void update_group(const ChannelHistory& channel, GroupHistory& group, const ChannelReport* before,
                  std::size_t groups, double now) {
    const ChannelReport& report = *channel.report;
    const GroupReport& figures = channel.report_of(group);
    const GroupReport* earlier = before != nullptr ? same_group(*before, figures) : nullptr;
    group.window.follow(report.sampled_at_ns, [&] { return GroupStart(report, figures); });
    const std::uint64_t answered = samples_in(figures.response_time);
    group.points.push_back(
        point_of(before, report, earlier, figures,
                 static_cast<double>(answered) - static_cast<double>(group.response_samples), now));
    group.response_samples = answered;
    group.service = mean_service(group.window->service_time, figures);
    forget(group.points, groups);
    const unsigned able = takers(report, figures);
    const Window window = look_back(group.points);
    const bool stalled = is_stalled(window, figures, group.service, able);
    Point& newest = group.points.back();
    if (group.service > 0 && figures.members > 0 && !stalled) {
        newest.predicted = static_cast<float>(group.service + static_cast<double>(figures.backlog) *
                                                                  group.service / figures.members);
    }
    if (newest.taken) group.last_taken = now;
    note_death(group.death, find_death(before, report, earlier, figures, now));
    group.state_of_living =
        judge(group.points, window, report, figures, group.service, stalled, able);
    enter(group, is_shown(group.death, now) ? State::dead : group.state_of_living, now);
}

void update_channel_state(ChannelHistory& channel, const ChannelReport* before, double now) {
    const ChannelReport& report = *channel.report;
    if (before != nullptr && report.aborted > before->aborted) {
        channel.death = death_of_producer(*before, report, report.aborted - before->aborted, now);
    }
    const bool moves = channel.rates && channel.rates->published > 0;
    State worst = is_shown(channel.death, now) ? State::dead : moves ? State::ok : State::idle;
    for (const GroupHistory& group : channel.groups)
        worst = std::min(worst, group.state);
    enter(channel, worst, now);
}

void update_presences(ChannelHistory& channel, double now) {
    const ChannelReport& report = *channel.report;
    const auto look_at = [&](const ParticipantReport& participant) {
        return Presence::Look{.sampled_at_ns = report.sampled_at_ns,
                              .messages = participant.messages};
    };
    keep_up(channel.presences, report.participants, [&](const ParticipantReport& participant) {
        return Presence{.index = participant.index,
                        .attached_at_ns = participant.attached_at_ns,
                        .messages = participant.messages,
                        .changed_at = now,
                        .window = WindowStart(look_at(participant))};
    });
    for (std::size_t i = 0; i < report.participants.size(); ++i) {
        const ParticipantReport& participant = report.participants[i];
        Presence& presence = channel.presences[i];
        if (presence.messages != participant.messages) presence.changed_at = now;
        presence.messages = participant.messages;
        presence.window.follow(report.sampled_at_ns, [&] { return look_at(participant); });
        const float rate =
            per_second(presence.window->messages, presence.messages,
                       seconds(report.sampled_at_ns - presence.window->sampled_at_ns));
        presence.rate = std::isnan(rate) ? 0 : rate;
    }
}

std::string explain(const Death& death, double now) {
    const std::string ago = short_duration_of_seconds(std::max(0.0, now - death.at)) + " ago";
    const std::string who = death.who.empty() ? "" : " " + death.who;
    if (death.producer) {
        return fmt::format("producer{} died {} while it published {}; readers went on without it",
                           who, ago, text_of(death.held, "message"));
    }
    if (!death.recovered) {
        return fmt::format("member{} is dead and holds {}, which nobody has recovered yet", who,
                           text_of(death.held, "message"));
    }
    return fmt::format("member{} died {} and held {}, which others get", who, ago,
                       text_of(death.held, "message"));
}

/// Which may have been another message since than the one that is spoken of.
std::string received_last(const ChannelReport& channel, const ParticipantReport& member) {
    if (member.last_received_ns <= 0) return {};
    return fmt::format(
        " and received last {} ago",
        short_duration_of_seconds(seconds(channel.sampled_at_ns - member.last_received_ns)));
}

/// The first member that is stopped, and what it holds; empty: none is.
std::string explain_stopped(const ChannelReport& channel, const GroupReport& group) {
    for (const ParticipantReport& each : channel.participants) {
        if (!is_member(each, group) || !each.alive || !each.is_stopped()) continue;
        std::string sentence = fmt::format("member {} is stopped", printable(each.title()));
        if (each.leases_held > 0) {
            sentence += fmt::format(", holds {}", text_of(each.leases_held, "message")) +
                        received_last(channel, each);
        }
        return sentence;
    }
    return {};
}

/// Who holds up the channel, unless that is because of another group.
std::string blame_for(const ChannelReport& channel, const GroupReport& group) {
    const bool because_of_a_group =
        std::any_of(channel.groups.begin(), channel.groups.end(),
                    [](const GroupReport& each) { return each.blocks_producers; });
    return because_of_a_group && !group.blocks_producers ? "" : printable(channel.blocked_by);
}

/// The oldest message that a living member holds.
std::string explain_held(const ChannelReport& channel, const GroupReport& group) {
    const auto lease =
        std::find_if(group.leases.begin(), group.leases.end(),
                     [](const LeaseReport& each) { return each.kind == LeaseKind::leased; });
    if (lease == group.leases.end()) return {};
    for (const ParticipantReport& each : channel.participants) {
        if (static_cast<int>(each.index) != lease->member || !each.alive) continue;
        return fmt::format("member {} holds message {}", printable(each.title()), lease->position) +
               received_last(channel, each);
    }
    return {};
}

std::string explain_outlook(const Estimate& estimate) {
    if (estimate.until_full && *estimate.until_full > 0) {
        return fmt::format("; full in {}", short_duration_of_seconds(*estimate.until_full));
    }
    if (estimate.until_drained && *estimate.until_drained > 0) {
        return fmt::format("; drained in {}", short_duration_of_seconds(*estimate.until_drained));
    }
    return {};
}

std::string explain_dead_letters(const GroupReport& group) {
    return fmt::format("{} {} for the dead-letter channel {}{}",
                       text_of(group.dead_pending, "dead letter"),
                       group.dead_pending == 1 ? "waits" : "wait", printable(group.dead_letter),
                       group.members == 0 ? ", and the group has no members" : "");
}

std::string explain_rates(const Estimate& estimate) {
    if (!estimate.rates) return {};
    return fmt::format("{} come, {} are done", text_of_rate(estimate.rates->published),
                       text_of_rate(estimate.rates->settled));
}

}  // namespace

const GroupReport& ChannelHistory::report_of(const GroupHistory& group) const {
    return report->groups[static_cast<std::size_t>(&group - groups.data())];
}

GroupHistory::GroupHistory(const ChannelReport& channel, const GroupReport& group, double now)
    : index(group.index),
      name(group.name),
      start(group.start),
      state_since(now),
      last_taken(now),
      response_samples(samples_in(group.response_time)),
      window(GroupStart(channel, group)) {}

Estimate ChannelHistory::estimate_of(const GroupHistory& group) const {
    return estimate(&*group.window, *report, report_of(group));
}

void History::add(Snapshot snapshot) {
    Addition addition(*this, snapshot);
    for (Sample& sample : snapshot.channels)
        addition.add(std::move(sample));
    addition.end(snapshot.unopened);
}

History::Addition::Addition(History& history, const Snapshot& snapshot)
    : history_(history), known_(std::exchange(history.channels_, {})), next_known_(known_.begin()) {
    history.now_ = seconds(snapshot.sampled_at_ns);
    history.wall_clock_ns_ = snapshot.wall_clock_ns;
    history.directory_ = snapshot.directory;
    history.space_ = snapshot.space;
    history.channels_.reserve(known_.size());
}

void History::Addition::add(Sample sample) {
    while (next_known_ != known_.end() && next_known_->name < sample.channel)
        ++next_known_;
    ChannelHistory& channel = history_.channels_.emplace_back(
        next_known_ != known_.end() && next_known_->name == sample.channel ? std::move(*next_known_)
                                                                           : ChannelHistory{});
    if (channel.name.empty()) {
        channel.name = sample.channel;
        channel.state_since = history_.now_;
    }
    history_.update(channel, std::move(sample));
}

void History::Addition::end(std::size_t unopened) {
    history_.unopened_ = unopened;
    history_.groups_ = 0;
    for (const ChannelHistory& channel : history_.channels_)
        history_.groups_ += channel.groups.size();
}

void History::update(ChannelHistory& channel, Sample sample) {
    channel.problem = std::move(sample.problem);
    const std::optional<ChannelReport> previous =
        std::exchange(channel.report, std::move(sample.report));
    // The name may have come to mean another channel.
    const bool same =
        previous && channel.report && previous->channel_id == channel.report->channel_id;
    if (!same) {
        channel.groups.clear();
        channel.presences.clear();
        channel.rates.reset();
        channel.window.reset();
        channel.death.reset();
    }
    // Since when it is as it is: of this channel, not of one before it.
    if (!same && previous && channel.report) channel.state_since = now_;
    if (!channel.report) {
        enter(channel, State::unreadable, now_);
        return;
    }
    ChannelReport& report = *channel.report;
    const ChannelReport* before = same ? &*previous : nullptr;
    if (!channel.window) channel.window.emplace(ChannelStart(report));
    channel.window->follow(report.sampled_at_ns, [&] { return ChannelStart(report); });
    channel.rates = channel_rates(**channel.window, report);

    keep_up(channel.groups, report.groups,
            [&](const GroupReport& now) { return GroupHistory(report, now, now_); });
    name_groups(report, channel.groups);
    for (std::size_t i = 0; i < report.groups.size(); ++i) {
        bound_oldest_age(before, report, report.groups[i], channel.groups[i].oldest_seen_ns);
        update_group(channel, channel.groups[i], before, groups_, now_);
    }
    update_channel_state(channel, before, now_);
    update_presences(channel, now_);
}

bool has_unsettled(const GroupReport& group) {
    return group.backlog + group.in_flight + group.dead_pending > 0;
}

bool dead_letters_wait(const GroupHistory& group) {
    const Window window = look_back(group.points);
    return window.size >= 2 && window.letters_wait;
}

bool is_shown(const std::optional<Death>& death, double now) {
    return death && (!death->recovered || now - death->at < death_shown_seconds);
}

State present_state(const GroupHistory& group) {
    return group.death && !group.death->recovered ? State::dead : group.state_of_living;
}

std::string explain(const ChannelHistory& channel, const GroupHistory& group, State state,
                    double now) {
    const ChannelReport& report = *channel.report;
    const GroupReport& figures = channel.report_of(group);
    switch (state) {
        case State::dead: return explain(*group.death, now);
        case State::stop: {
            std::string sentence = text_of(figures.backlog, "message") + " wait";
            if (figures.backlog == 1) sentence += "s";
            if (figures.members == 0) return sentence + ", and the group has no members";
            const double idle = std::max(now - group.last_taken, untaken_seconds(report, figures));
            if (idle > 0)
                sentence += fmt::format(", none was taken for {}", short_duration_of_seconds(idle));
            if (std::string stopped = explain_stopped(report, figures); !stopped.empty()) {
                return sentence + ": " + stopped;
            }
            std::string blame = blame_for(report, figures);
            if (blame.empty()) blame = explain_held(report, figures);
            return blame.empty() ? sentence : sentence + ": " + blame;
        }
        case State::full: {
            std::string sentence = printable(report.blocked_by);
            if (const std::string rates = explain_rates(channel.estimate_of(group));
                !rates.empty()) {
                sentence += "; " + rates;
            }
            return sentence;
        }
        case State::slow: {
            if (dead_letters_wait(group)) return explain_dead_letters(figures);
            if (const auto rates = channel.estimate_of(group).rates; rates && rates->skipped > 0) {
                return fmt::format("falls behind: it misses {}", text_of_rate(rates->skipped));
            }
            const Window window = look_back(group.points);
            const float grown = group.points.back().backlog - window.begin->backlog;
            std::string sentence = grown > 0
                                       ? fmt::format("the backlog grew by {} in {}",
                                                     short_count(static_cast<std::uint64_t>(grown)),
                                                     short_duration_of_seconds(window.seconds))
                                       : fmt::format("the backlog was never empty in {}",
                                                     short_duration_of_seconds(window.seconds));
            if (const std::string rates = explain_rates(channel.estimate_of(group));
                !rates.empty()) {
                sentence += ": " + rates;
            }
            return sentence + explain_outlook(channel.estimate_of(group));
        }
        default: {
            if (std::string stopped = explain_stopped(report, figures); !stopped.empty()) {
                return stopped;
            }
            if (figures.dead_pending > 0) return explain_dead_letters(figures);
            return report.closed ? "the channel is closed" : "";
        }
    }
}

std::string explain(const ChannelHistory& channel, const GroupHistory& group, double now) {
    return explain(channel, group, group.state, now);
}

std::string explain(const ChannelHistory& channel, double now) {
    if (!channel.report) return printable(channel.problem);
    if (is_shown(channel.death, now)) return explain(*channel.death, now);
    if (!channel.report->blocked_by.empty()) return printable(channel.report->blocked_by);
    return channel.report->closed ? "the channel is closed" : "";
}

std::optional<double> prediction_error(const Points& points) {
    constexpr double minute = 60;
    std::vector<double> errors;
    for (const Point& measured : points) {
        if (std::isnan(measured.response) || points.back().at - measured.at > minute) continue;
        // The newest prediction before the messages were published.
        const double published = measured.at - measured.response;
        const auto after =
            std::upper_bound(points.begin(), points.end(), published,
                             [](double at, const Point& each) { return at < each.at; });
        if (after == points.begin()) continue;
        const float predicted = std::prev(after)->predicted;
        if (std::isnan(predicted) || measured.response <= 0) continue;
        errors.push_back(std::abs(static_cast<double>(predicted) - measured.response) /
                         measured.response);
    }
    if (errors.empty()) return std::nullopt;
    const auto middle = errors.begin() + static_cast<std::ptrdiff_t>(errors.size() / 2);
    std::nth_element(errors.begin(), middle, errors.end());
    return *middle;
}

}  // namespace ipc::tools::monitor
