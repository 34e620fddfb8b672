#include "tools/monitor/estimate.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>

#include "ipc/format/histogram.hpp"

namespace ipc::tools::monitor {
namespace {

using format::bucket_floor;
using format::histogram_buckets;

constexpr double nanosecond = 1e-9;

// Of a PackedHistogram.
constexpr unsigned count_bits = 56;
constexpr std::uint64_t most_count = (std::uint64_t{1} << count_bits) - 1;

/// How many settled messages the absence of which is no accident: e^-3, one window in twenty, if
/// they come at random.
constexpr double enough_to_miss = 3;

double floor_of(std::size_t bucket) {
    return static_cast<double>(bucket_floor(bucket)) * nanosecond;
}

// The last bucket has no end: what falls into it is taken for its least.
double ceiling_of(std::size_t bucket) {
    return floor_of(bucket + 1 < histogram_buckets ? bucket + 1 : bucket);
}

double percentile(const std::array<double, histogram_buckets>& gained, double samples,
                  double fraction) {
    double missing = fraction * samples;
    for (std::size_t i = 0; i < histogram_buckets; ++i) {
        if (gained[i] > 0 && gained[i] >= missing) {
            return floor_of(i) + (ceiling_of(i) - floor_of(i)) * missing / gained[i];
        }
        missing -= gained[i];
    }
    return floor_of(histogram_buckets - 1);
}

// Counters only grow; where one seems to have shrunk, the reports are of different things, and
// nothing is known.
class Window {
public:
    explicit Window(std::int64_t nanoseconds)
        : seconds_(static_cast<double>(nanoseconds) * nanosecond), valid_(nanoseconds > 0) {}

    double per_second(std::uint64_t before, std::uint64_t now) {
        if (now < before) valid_ = false;
        return static_cast<double>(now - before) / seconds_;
    }
    bool valid() const { return valid_; }
    double seconds() const { return seconds_; }

private:
    double seconds_;
    bool valid_;
};

double difference(std::uint64_t now, std::uint64_t before) {
    return static_cast<double>(static_cast<std::int64_t>(now - before));
}

/// Living members with a message in their hands, however many each of them holds.
unsigned busy_members(const ChannelReport& channel, const GroupReport& group) {
    // A subscriber has no leases.
    if (group.subscriber) {
        return static_cast<unsigned>(std::min<std::uint64_t>(group.in_flight, group.members));
    }
    const auto busy = std::count_if(channel.participants.begin(), channel.participants.end(),
                                    [&](const ParticipantReport& each) {
                                        return each.group_index == static_cast<int>(group.index) &&
                                               each.alive && each.leases_held > 0;
                                    });
    return std::min(static_cast<unsigned>(busy), group.members);
}

/// The wait of a message published now, in units of 1 / C.
double departures_ahead(const GroupReport& group, double busy, double squared_variation) {
    const double idle = group.members - busy;
    // What is delayed does not wait for members.
    const auto backlog =
        static_cast<double>(group.backlog - std::min(group.backlog, group.delayed));
    // A member is free for the new message, whatever others have in their batches: nobody takes
    // that from them.
    if (backlog < idle) return 0;
    // What is in a member's batch but not in its hands waits, too.
    const double queued =
        backlog - idle + std::max(0.0, static_cast<double>(group.in_flight) - busy);
    const double until_next = 1 + (squared_variation - 1) / (2.0 * group.members);
    return std::max(0.0, queued + until_next);
}

/// What the members really settled in a second, if they were never idle in the window: if some of
/// what waited when it began still waits. Nothing otherwise, and when it tells no more than
/// `service_capacity`: the ends of the window may cut a message of each member in two.
std::optional<double> observed_capacity(const GroupStart& before, const GroupReport& group,
                                        const GroupRates& rates, double seconds,
                                        double service_capacity) {
    const bool still_waits = difference(before.tail, group.position) > 0;
    if (!still_waits || before.members != group.members || rates.settled <= 0) return std::nullopt;
    const bool tells_more = std::abs(rates.settled - service_capacity) * seconds > group.members;
    return tells_more ? std::optional(rates.settled) : std::nullopt;
}

/// `before`: where the window begins, or null when there is none; `seconds`: how long it is.
void predict_times(Estimate& result, const GroupStart* before, const GroupReport& group,
                   double seconds) {
    if (!result.service || group.members == 0) return;
    const double service = result.service->mean;
    result.service_capacity = group.members / service;
    if (result.rates) {
        result.utilisation =
            (result.rates->published + result.rates->returned) / *result.service_capacity;
    }
    if (result.stalled) return;
    result.response_busy = service + static_cast<double>(group.backlog) / *result.service_capacity;
    const std::optional<double> observed =
        result.rates
            ? observed_capacity(*before, group, *result.rates, seconds, *result.service_capacity)
            : std::nullopt;
    // What a lossy reader misses leaves its queue, too.
    const double missed = result.rates && !group.reliable ? result.rates->skipped : 0;
    result.response_next =
        service + departures_ahead(group, result.busy, result.service->squared_variation) /
                      observed.value_or(*result.service_capacity + missed);
    if (result.utilisation && *result.utilisation < 1) {
        const double load = *result.utilisation * group.members;
        const double wait = probability_of_waiting(group.members, load) /
                            (*result.service_capacity * (1 - *result.utilisation));
        result.response_steady = service + wait * (1 + result.service->squared_variation) / 2;
    }
}

void follow_trend(Estimate& result, const GroupStart& before, const ChannelReport& now,
                  const GroupReport& group, double seconds) {
    const double growth = difference(group.backlog, before.backlog) / seconds;
    if (group.backlog == 0) {
        result.until_drained = 0;
    } else if (growth < 0) {
        result.until_drained = static_cast<double>(group.backlog) / -growth;
    }
    if (!group.reliable) return;
    const std::uint64_t occupied = now.tail - group.settled_below;
    const std::uint64_t taken = std::min(occupied, now.capacity);
    const double filling = difference(occupied, before.tail - before.settled_below) / seconds;
    if (taken == now.capacity) {
        result.until_full = 0;
    } else if (filling > 0) {
        result.until_full = static_cast<double>(now.capacity - taken) / filling;
    }
}

}  // namespace

PackedHistogram::PackedHistogram(const std::vector<std::uint64_t>& counts, std::uint64_t sum)
    : samples_(samples_in(counts)), sum_(sum) {
    buckets_.reserve(static_cast<std::size_t>(
        std::count_if(counts.begin(), counts.end(), [](std::uint64_t each) { return each != 0; })));
    for (std::size_t i = 0; i < std::min(counts.size(), histogram_buckets); ++i) {
        const std::uint64_t count = counts[i] & most_count;
        if (count != 0) buckets_.push_back(std::uint64_t{i} << count_bits | count);
    }
}

std::vector<std::uint64_t> PackedHistogram::counts() const {
    std::vector<std::uint64_t> counts(buckets_.empty() ? 0 : (buckets_.back() >> count_bits) + 1);
    for (const std::uint64_t each : buckets_)
        counts[each >> count_bits] = each & most_count;
    return counts;
}

std::uint64_t samples_in(const std::vector<std::uint64_t>& counts) {
    return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

GroupStart::GroupStart(const ChannelReport& channel, const GroupReport& group)
    : sampled_at_ns(channel.sampled_at_ns),
      published(channel.published),
      tail(channel.tail),
      members(group.members),
      backlog(group.backlog),
      delayed(group.delayed),
      settled_below(group.settled_below),
      delivered(group.delivered),
      settled(group.settled),
      acked(group.acked),
      returned(group.returned),
      redelivered(group.redelivered),
      skipped(group.skipped),
      dead_lettered(group.dead_lettered),
      service_time(group.service_time, group.service_time_sum_ns),
      response_time(group.response_time, group.response_time_sum_ns) {}

ChannelStart::ChannelStart(const ChannelReport& channel)
    : sampled_at_ns(channel.sampled_at_ns),
      published(channel.published),
      published_bytes(channel.published_bytes) {}

std::optional<Durations> durations_between(const PackedHistogram& before,
                                           const std::vector<std::uint64_t>& now,
                                           std::uint64_t sum_now) {
    const std::vector<std::uint64_t> counts_before = before.counts();
    std::array<double, histogram_buckets> gained{};
    Durations result;
    double least = 0;
    double most = 0;
    double middles = 0;
    double squares = 0;
    for (std::size_t i = 0; i < std::min(now.size(), histogram_buckets); ++i) {
        const std::uint64_t old = i < counts_before.size() ? counts_before[i] : 0;
        if (now[i] <= old) continue;
        gained[i] = static_cast<double>(now[i] - old);
        const double middle = (floor_of(i) + ceiling_of(i)) / 2;
        result.samples += gained[i];
        least += gained[i] * floor_of(i);
        most += gained[i] * ceiling_of(i);
        middles += gained[i] * middle;
        squares += gained[i] * middle * middle;
    }
    if (result.samples == 0) return std::nullopt;
    const double mean = middles / result.samples;
    result.squared_variation =
        std::max(0.0, squares / result.samples / std::max(mean * mean, 1e-300) - 1);
    // The sum knows the mean better than the buckets do, which bound it: shared memory may hold
    // anything, and samples may have been added between the reading of the one and of the other.
    // The last bucket has no upper bound.
    if (gained[histogram_buckets - 1] > 0) most = std::numeric_limits<double>::infinity();
    const auto sum = static_cast<double>(sum_now - before.sum()) * nanosecond;
    result.mean = std::max(std::clamp(sum, least, most) / result.samples, nanosecond);
    result.median = percentile(gained, result.samples, 0.5);
    result.percentile_99 = percentile(gained, result.samples, 0.99);
    return result;
}

double probability_of_waiting(unsigned members, double load) {
    double blocked = 1;  // Erlang's B formula, by its recursion over the number of members
    for (unsigned i = 1; i <= members; ++i) {
        blocked = load * blocked / (i + load * blocked);
    }
    return members * blocked / (members - load * (1 - blocked));
}

std::optional<ChannelRates> channel_rates(const ChannelStart& before, const ChannelReport& now) {
    Window window(now.sampled_at_ns - before.sampled_at_ns);
    const ChannelRates rates = {
        .seconds = window.seconds(),
        .published = window.per_second(before.published, now.published),
        .published_bytes = window.per_second(before.published_bytes, now.published_bytes),
    };
    return window.valid() ? std::optional(rates) : std::nullopt;
}

Estimate estimate(const GroupStart* before, const ChannelReport& now, const GroupReport& group) {
    Estimate result;
    result.members = group.members;
    result.busy = busy_members(now, group);
    result.backlog = group.backlog;
    Window window(before != nullptr ? now.sampled_at_ns - before->sampled_at_ns : 0);
    if (before != nullptr) {
        const GroupRates rates = {
            .published = window.per_second(before->published, now.published),
            .delivered = window.per_second(before->delivered, group.delivered),
            .settled = window.per_second(before->settled, group.settled),
            .acked = window.per_second(before->acked, group.acked),
            .returned = window.per_second(before->returned, group.returned),
            .redelivered = window.per_second(before->redelivered, group.redelivered),
            .skipped = window.per_second(before->skipped, group.skipped),
            .dead_lettered = window.per_second(before->dead_lettered, group.dead_lettered),
        };
        if (window.valid()) {
            result.rates = rates;
            result.service = durations_between(before->service_time, group.service_time,
                                               group.service_time_sum_ns);
            result.response = durations_between(before->response_time, group.response_time,
                                                group.response_time_sum_ns);
            follow_trend(result, *before, now, group, window.seconds());
        }
    }
    if (!result.service) {
        result.service = durations_between({}, group.service_time, group.service_time_sum_ns);
    }
    if (result.rates && result.rates->settled == 0 && result.service && group.members != 0) {
        result.stalled = before->backlog > before->delayed && group.backlog > group.delayed &&
                         window.seconds() * group.members > enough_to_miss * result.service->mean;
    }
    predict_times(result, before, group, window.seconds());
    return result;
}

}  // namespace ipc::tools::monitor
