#include "tools/monitor/live_source.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/core.h>

#include "tools/common/text.hpp"

namespace ipc::tools::monitor {
namespace {

using namespace std::chrono_literals;

// The first rates come soon.
constexpr std::chrono::nanoseconds first_interval = 100ms;

// The first screen is there at once, however many channels there are.
constexpr std::chrono::nanoseconds opening = 40ms;

constexpr std::array<std::chrono::nanoseconds, 10> intervals = {
    100ms, 200ms, 500ms, 1s, 2s, 5s, 10s, 30s, 60s, 600s,
};

std::int64_t since_epoch(auto time) {
    return std::chrono::nanoseconds(time.time_since_epoch()).count();
}

}  // namespace

LiveSource::LiveSource(Sampler sampler, std::chrono::nanoseconds interval)
    : sampler_(std::move(sampler)), interval_(interval), due_(Clock::now()) {}

Snapshot LiveSource::next() {
    last_ = Clock::now();
    Snapshot snapshot;
    snapshot.sampled_at_ns = since_epoch(last_);
    snapshot.wall_clock_ns = since_epoch(std::chrono::system_clock::now());
    snapshot.space = shared_memory_space();
    snapshot.channels = sampler_.sample(opening);
    snapshot.left = sampler_.left();
    const bool soon = first_ || snapshot.left > 0;
    due_ = last_ + (soon ? std::min(first_interval, interval_) : interval_);
    first_ = false;
    return snapshot;
}

void LiveSource::faster() {
    const auto* found = std::find_if(intervals.rbegin(), intervals.rend(), [&](auto each) {
                            return each < interval_;
                        }).base();
    if (found != intervals.begin()) interval_ = *(found - 1);
    due_ = last_ + interval_;
}

void LiveSource::slower() {
    const auto* found = std::upper_bound(intervals.begin(), intervals.end(), interval_);
    if (found != intervals.end()) interval_ = *found;
    due_ = last_ + interval_;
}

std::string LiveSource::pace() const {
    return "every " + short_duration(interval_.count());
}

}  // namespace ipc::tools::monitor
