#include "tools/monitor/metrics.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/core.h>
#include <prometheus/metric_family.h>

#include "ipc/format/histogram.hpp"
#include "tools/common/text.hpp"
#include "tools/monitor/names.hpp"

namespace ipc::tools::monitor {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

// A name that was not seen for so long starts at zero when it comes back.
constexpr double remembered_for_seconds = 3600;

// Whoever asks keeps the time.
constexpr std::chrono::seconds interval{1};

// --- the counters -------------------------------------------------------------------------------

template <class Report>
struct CounterOf {
    const char* name;
    const char* help;
    std::uint64_t Report::*count;
};

constexpr CounterOf<ChannelReport> channel_counters[] = {
    {"ipc_channel_messages_published_total", "Messages published.", &ChannelReport::published},
    {"ipc_channel_published_bytes_total", "Bytes of payload published.",
     &ChannelReport::published_bytes},
    {"ipc_channel_messages_aborted_total", "Positions left empty because their producer died.",
     &ChannelReport::aborted},
};

constexpr CounterOf<GroupReport> group_counters[] = {
    {"ipc_group_messages_delivered_total", "Messages handed to members, redeliveries included.",
     &GroupReport::delivered},
    {"ipc_group_messages_settled_total", "Messages done in whatever way.", &GroupReport::settled},
    {"ipc_group_messages_acked_total", "Messages processed.", &GroupReport::acked},
    {"ipc_group_messages_redelivered_total", "Deliveries of a message beyond its first.",
     &GroupReport::redelivered},
    {"ipc_group_messages_returned_total",
     "Messages that came back unprocessed and will be handed out again.", &GroupReport::returned},
    {"ipc_group_messages_expired_total", "Of the returned, those whose lease limit was over.",
     &GroupReport::expired},
    {"ipc_group_messages_recovered_total", "Of the returned, those of members that died.",
     &GroupReport::recovered},
    {"ipc_group_messages_rejected_total", "Messages that members rejected.",
     &GroupReport::rejected},
    {"ipc_group_messages_dead_lettered_total", "Messages copied to the dead-letter channel.",
     &GroupReport::dead_lettered},
    {"ipc_group_messages_dropped_total",
     "Messages rejected or exhausted that no dead-letter channel took.", &GroupReport::dropped},
    {"ipc_group_messages_skipped_total", "Messages that a lossy or late reader missed.",
     &GroupReport::skipped},
    {"ipc_group_messages_purged_total", "Messages removed from the backlog by purge.",
     &GroupReport::purged},
    {"ipc_group_messages_not_understood_total",
     "Messages that this version of the reader does not know how to read.",
     &GroupReport::not_understood},
};

// --- histograms ---------------------------------------------------------------------------------

// Powers of two from about 1 us to about 18 min, which are bounds of our buckets, too.
constexpr unsigned first_bound = 10;
constexpr unsigned last_bound = 40;
constexpr std::size_t bounds = last_bound - first_bound + 1;

// What it takes to make a Prometheus histogram: messages below each bound, all messages, seconds.
using Cumulative = std::vector<double>;
constexpr std::size_t cumulative_size = bounds + 2;

Cumulative cumulate(const std::vector<std::uint64_t>& histogram, std::uint64_t sum_ns) {
    Cumulative result;
    std::size_t bucket = 0;
    std::uint64_t count = 0;
    for (unsigned bound = first_bound; bound <= last_bound; ++bound) {
        while (bucket < histogram.size() && format::bucket_floor(bucket) < std::uint64_t{1}
                                                                               << bound)
            count += histogram[bucket++];
        result.push_back(static_cast<double>(count));
    }
    while (bucket < histogram.size())
        count += histogram[bucket++];
    result.push_back(static_cast<double>(count));
    result.push_back(static_cast<double>(sum_ns) / 1e9);
    return result;
}

ClientMetric histogram_of(Labels labels, const double* cumulative) {
    ClientMetric metric;
    metric.label = std::move(labels);
    const auto count = [](double value) { return static_cast<std::uint64_t>(value); };
    for (std::size_t i = 0; i < bounds; ++i) {
        const auto bound = static_cast<double>(std::uint64_t{1} << (first_bound + i)) / 1e9;
        metric.histogram.bucket.push_back(
            {.cumulative_count = count(cumulative[i]), .upper_bound = bound});
    }
    metric.histogram.sample_count = count(cumulative[bounds]);
    metric.histogram.sample_sum = cumulative[bounds + 1];
    metric.histogram.bucket.push_back({.cumulative_count = metric.histogram.sample_count,
                                       .upper_bound = std::numeric_limits<double>::infinity()});
    return metric;
}

// --- collecting ---------------------------------------------------------------------------------

}  // namespace

/// The families in the order in which they were first named.
class Families {
public:
    void counter(const char* name, const char* help, const Labels& labels, double value) {
        add(name, help, MetricType::Counter, labels).counter.value = value;
    }
    void gauge(const char* name, const char* help, const Labels& labels, double value) {
        add(name, help, MetricType::Gauge, labels).gauge.value = value;
    }
    void gauge(const char* name, const char* help, const Labels& labels,
               std::optional<double> value) {
        if (value) gauge(name, help, labels, *value);
    }
    void histogram(const char* name, const char* help, const Labels& labels,
                   const double* cumulative) {
        add(name, help, MetricType::Histogram, labels) = histogram_of(labels, cumulative);
    }
    std::vector<MetricFamily> take() { return std::move(families_); }

private:
    ClientMetric& add(const char* name, const char* help, MetricType type, const Labels& labels) {
        const auto [place, is_new] = places_.try_emplace(name, families_.size());
        if (is_new) families_.push_back({.name = name, .help = help, .type = type, .metric = {}});
        ClientMetric& metric = families_[place->second].metric.emplace_back();
        metric.label = labels;
        return metric;
    }

    std::vector<MetricFamily> families_;
    std::map<std::string, std::size_t> places_;
};

namespace {

/// One value that is not UTF-8 has Prometheus refuse all the others, too, and anybody can make a
/// file or a process of such a name.
Labels with(Labels labels, const char* name, std::string_view value) {
    labels.push_back({.name = name, .value = printable(value)});
    return labels;
}

void add_channel_gauges(Families& families, const ChannelReport& report, const Labels& labels) {
    families.gauge("ipc_channel_capacity_messages", "Messages the ring has room for.", labels,
                   static_cast<double>(report.capacity));
    families.gauge("ipc_channel_memory_bytes", "Shared memory the channel takes.", labels,
                   static_cast<double>(report.reserved_bytes));
    families.gauge("ipc_channel_producers", "Producers that live.", labels,
                   static_cast<double>(report.producers()));
    families.gauge("ipc_channel_closed", "Whether nothing can be published any more.", labels,
                   report.closed ? 1.0 : 0.0);
}

void add_group_gauges(Families& families, const ChannelHistory& channel,
                      const GroupHistory& history, const Labels& labels) {
    const GroupReport& group = channel.report_of(history);
    const Estimate estimate = channel.estimate_of(history);
    families.gauge("ipc_group_backlog_messages", "Messages that wait for a member (L_q).", labels,
                   static_cast<double>(group.backlog));
    families.gauge("ipc_group_in_flight_messages", "Messages handed out and not yet settled.",
                   labels, static_cast<double>(group.in_flight));
    families.gauge("ipc_group_delayed_messages",
                   "Of the backlog, messages that are not to be handed out before some time.",
                   labels, static_cast<double>(group.delayed));
    families.gauge("ipc_group_dead_letters_pending_messages",
                   "Messages that wait until their dead-letter channel takes them.", labels,
                   static_cast<double>(group.dead_pending));
    if (group.oldest_age_ns >= 0 || !has_unsettled(group)) {
        families.gauge("ipc_group_oldest_message_age_seconds",
                       "Age of the oldest message that is not settled; 0 if there is none.", labels,
                       std::max(0.0, static_cast<double>(group.oldest_age_ns) / 1e9));
    }
    families.gauge("ipc_group_members", "Members that live (c).", labels,
                   static_cast<double>(group.members));
    families.gauge("ipc_group_blocks_producers",
                   "Whether it is the group that a full ring waits for.", labels,
                   group.blocks_producers ? 1.0 : 0.0);
    for (std::size_t i = 0; i < state_names.size(); ++i) {
        if (i == static_cast<std::size_t>(State::unreadable)) continue;  // channels are
        families.gauge("ipc_group_state", "1 for the state the group is in, 0 for the others.",
                       with(labels, "state", state_names[i]),
                       i == static_cast<std::size_t>(history.state) ? 1.0 : 0.0);
    }
    families.gauge("ipc_group_service_capacity_messages_per_second",
                   "Messages that the members can settle in a second (C = c / T_p).", labels,
                   estimate.service_capacity);
    families.gauge("ipc_group_utilisation_ratio",
                   "Work that arrives or is given back, of what the members can do.", labels,
                   estimate.utilisation);
    const auto predicted = [&](const char* model, const std::optional<double>& seconds) {
        families.gauge("ipc_group_predicted_response_time_seconds",
                       "Response time to expect: of a message published now (next), by T_p + L_q / "
                       "C (busy), on average at this load (steady).",
                       with(labels, "model", model), seconds);
    };
    predicted("next", estimate.response_next);
    predicted("busy", estimate.response_busy);
    predicted("steady", estimate.response_steady);
}

/// What a group counts, in this order: the counters, service times, response times.
Continuation::Counts counts_of(const GroupReport& group) {
    Continuation::Counts counts;
    for (const auto& counter : group_counters)
        counts.push_back(static_cast<double>(group.*counter.count));
    for (const Cumulative& each : {cumulate(group.service_time, group.service_time_sum_ns),
                                   cumulate(group.response_time, group.response_time_sum_ns)}) {
        counts.insert(counts.end(), each.begin(), each.end());
    }
    return counts;
}

void add_group_counts(Families& families, const Continuation::Counts& counts,
                      const Labels& labels) {
    std::size_t next = 0;
    for (const auto& counter : group_counters)
        families.counter(counter.name, counter.help, labels, counts[next++]);
    families.histogram("ipc_group_service_time_seconds",
                       "From receive to settle (T_p). Where messages are fast, samples of them.",
                       labels, &counts[next]);
    families.histogram("ipc_group_response_time_seconds",
                       "From publish to settle (T_r). Where messages are fast, samples of them.",
                       labels, &counts[next + cumulative_size]);
}

}  // namespace

Continuation::Counts Continuation::add(const std::string& name, const std::string& identity,
                                       const Counts& counts, double now) {
    Known& known = known_[name];
    known.last.resize(counts.size());
    known.before.resize(counts.size());
    known.seen_at = now;
    Counts result;
    for (std::size_t i = 0; i < counts.size(); ++i) {
        if (known.identity != identity) known.before[i] += known.last[i];
        result.push_back(known.before[i] + counts[i]);
    }
    known.identity = identity;
    known.last = counts;
    return result;
}

void Continuation::forget_before(double time) {
    std::erase_if(known_, [time](const auto& each) { return each.second.seen_at < time; });
}

Metrics::Metrics(Sampler sampler, bool groups_only, std::function<void(const std::string&)> notice)
    : source_(std::move(sampler), interval),
      groups_only_(groups_only),
      notice_(std::move(notice)) {}

std::vector<MetricFamily> Metrics::Collect() const {
    const std::scoped_lock lock(mutex_);
    Families families;
    std::string problem;
    // The HTTP server calls this in a thread of its own, where an exception would end the process.
    try {
        collect(families);
    } catch (const std::exception& error) {
        problem = fmt::format("channels cannot be sampled: {}", error.what());
        families = {};  // half of the channels would look as if the others were gone
    }
    note(problem);
    families.gauge("ipc_exporter_up",
                   "Whether channels could be sampled; if not, nothing else is told.", {},
                   problem.empty() ? 1.0 : 0.0);
    return families.take();
}

void Metrics::note(const std::string& problem) const {
    if (problem == problem_) return;
    problem_ = problem;
    notice_(problem.empty() ? "channels can be sampled again" : problem);
}

void Metrics::collect(Families& families) const {
    source_.next(history_);
    continuation_.forget_before(history_.now() - remembered_for_seconds);

    families.gauge("ipc_shared_memory_size_bytes", "Size of the file system that holds channels.",
                   {}, static_cast<double>(history_.space().total));
    families.gauge("ipc_shared_memory_free_bytes", "What of it is free.", {},
                   static_cast<double>(history_.space().free));
    for (const ChannelHistory& channel : history_.channels()) {
        const Labels labels = with({}, "channel", channel.name);
        families.gauge("ipc_channel_readable",
                       "0: damaged, of another version or owner; nothing else is known of it.",
                       labels, channel.report ? 1.0 : 0.0);
        if (!channel.report) continue;
        const ChannelReport& report = *channel.report;
        const std::string identity = fmt::format("{:016x}", report.channel_id);
        Continuation::Counts counts;
        for (const auto& counter : channel_counters)
            counts.push_back(static_cast<double>(report.*counter.count));
        counts = continuation_.add(channel.name, identity, counts, history_.now());
        std::size_t next = 0;
        for (const auto& counter : channel_counters)
            families.counter(counter.name, counter.help, labels, counts[next++]);
        add_channel_gauges(families, report, labels);

        for (const GroupHistory& history : channel.groups) {
            const GroupReport& group = channel.report_of(history);
            if (group.subscriber && groups_only_) continue;
            const std::string& title = history.title;
            const Labels of_group = with(with(labels, "group", group.subscriber ? "" : title),
                                         "subscriber", group.subscriber ? title : "");
            add_group_gauges(families, channel, history, of_group);
            counts = counts_of(group);
            if (!group.subscriber) {
                counts = continuation_.add(
                    channel.name + "/" + title,
                    fmt::format("{}/{}/{}", identity, group.index, group.incarnation), counts,
                    history_.now());
            }
            add_group_counts(families, counts, of_group);
        }
    }
}

}  // namespace ipc::tools::monitor
