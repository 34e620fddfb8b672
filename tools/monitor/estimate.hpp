#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "ipc/inspect.hpp"

namespace ipc::tools::monitor {

// The response-time model: what two looks at a group tell about the window between them, and what a
// message published now has to expect. Pure functions. Times are in seconds, rates per second.
// tools/monitor/README.md states each formula, what it assumes, and how well it was found to hold.

/// Durations that a histogram of the channel gained in the window.
struct Durations {
    double samples = 0;  ///< of which there are fewer than messages where messages are fast
    double mean = 0;
    double squared_variation = 0;  ///< variance / mean^2: 0 constant, 1 exponential
    double median = 0;
    double percentile_99 = 0;
};

/// A histogram of a report, in less memory: most of its buckets are empty.
class PackedHistogram {
public:
    PackedHistogram() = default;
    /// `sum`: of the durations, in ns.
    PackedHistogram(const std::vector<std::uint64_t>& counts, std::uint64_t sum);

    /// As long as it has to be.
    std::vector<std::uint64_t> counts() const;
    std::uint64_t samples() const { return samples_; }
    std::uint64_t sum() const { return sum_; }

private:
    std::vector<std::uint64_t> buckets_;  ///< those that are not empty: | bucket : 8 | count : 56 |
    std::uint64_t samples_ = 0;
    std::uint64_t sum_ = 0;
};

std::uint64_t samples_in(const std::vector<std::uint64_t>& counts);

/// Nothing when there was no sample. Within a bucket, durations are taken to be spread evenly.
std::optional<Durations> durations_between(const PackedHistogram& before,
                                           const std::vector<std::uint64_t>& now,
                                           std::uint64_t sum_now);

/// Where the window of a group's estimates begins: what they need of an earlier report. A monitor
/// keeps two of these for each group.
struct GroupStart {
    GroupStart(const ChannelReport& channel, const GroupReport& group);

    std::int64_t sampled_at_ns;
    std::uint64_t published;
    Position tail;

    unsigned members;
    std::uint64_t backlog;
    std::uint64_t delayed;
    Position settled_below;
    std::uint64_t delivered;
    std::uint64_t settled;
    std::uint64_t acked;
    std::uint64_t returned;
    std::uint64_t redelivered;
    std::uint64_t skipped;
    std::uint64_t dead_lettered;
    PackedHistogram service_time;
    PackedHistogram response_time;
};

/// The same for a channel.
struct ChannelStart {
    explicit ChannelStart(const ChannelReport& channel);

    std::int64_t sampled_at_ns;
    std::uint64_t published;
    std::uint64_t published_bytes;
};

struct ChannelRates {
    double seconds;  ///< length of the window
    double published;
    double published_bytes;
};

struct GroupRates {
    double published;  ///< lambda: messages
    double delivered;  ///< messages handed to members, redeliveries included
    double settled;    ///< in whatever way
    double acked;
    double returned;
    double redelivered;
    double skipped;
    double dead_lettered;
};

struct Estimate {
    std::optional<GroupRates> rates;  ///< nothing without an earlier report of the same group

    /// T_p, from receive to settle. Of the whole past where the window has none: an idle window
    /// says nothing new.
    std::optional<Durations> service;
    std::optional<Durations> response;  ///< T_r as measured, from publish to settle; the window's

    unsigned members = 0;                    ///< c: those that live
    unsigned busy = 0;                       ///< those of them with a message in their hands
    std::uint64_t backlog = 0;               ///< L_q
    std::optional<double> service_capacity;  ///< C = c / T_p: what the members can settle
    /// lambda * T_p / c, counting what was given back as published again. More than the members can
    /// do from 1 on.
    std::optional<double> utilisation;

    /// Messages waited all through the window in which several should have been settled, and none
    /// was. T_p then tells of better times: nothing is predicted from it.
    bool stalled = false;
    /// T_r = T_p + L_q / C. For members that are all busy.
    std::optional<double> response_busy;
    /// The mean T_r of the queue M/M/c at this utilisation, which has to be below 1, corrected for
    /// service times that vary otherwise. For members that are idle at times.
    std::optional<double> response_steady;
    /// T_r of a message published now, from who is busy and how much waits at this moment.
    std::optional<double> response_next;

    /// Seconds until there is no backlog, or no room, if the window's trend goes on; nothing when
    /// the trend is another. No room is something only a reliable group can cause.
    std::optional<double> until_drained;
    std::optional<double> until_full;
};

/// `before`: of the same channel. Nothing when no time has passed.
std::optional<ChannelRates> channel_rates(const ChannelStart& before, const ChannelReport& now);

/// The estimate for `group` of `now`. `before` is an earlier look at the same group, or null.
Estimate estimate(const GroupStart* before, const ChannelReport& now, const GroupReport& group);

/// Erlang's C formula: how likely it is that a message finds all `members` busy, when messages come
/// at random and bring `load` = lambda * T_p < members.
double probability_of_waiting(unsigned members, double load);

}  // namespace ipc::tools::monitor
