#include "tools/monitor/live_source.hpp"

#include <stdlib.h>

#include <algorithm>
#include <array>
#include <system_error>
#include <utility>

#include <fmt/core.h>

#include "ipc/base/error.hpp"
#include "tools/common/failure.hpp"
#include "tools/common/text.hpp"
#include "tools/monitor/history.hpp"

namespace ipc::tools::monitor {
namespace {

using namespace std::chrono_literals;

// The first rates come soon.
constexpr std::chrono::nanoseconds first_interval = 100ms;

constexpr std::array<std::chrono::nanoseconds, 10> intervals = {
    100ms, 200ms, 500ms, 1s, 2s, 5s, 10s, 30s, 60s, 600s,
};

std::int64_t since_epoch(auto time) {
    return std::chrono::nanoseconds(time.time_since_epoch()).count();
}

/// As the library chooses it.
std::string directory_of_channels() {
    const char* const chosen = ::secure_getenv("IPC_DIRECTORY");
    return chosen != nullptr && *chosen != '\0' ? chosen : Snapshot().directory;
}

/// What the system says of the directory itself does not name it.
template <class Look>
auto look_into(const std::string& directory, Look&& look) {
    try {
        return look();
    } catch (const Error&) {
        throw;
    } catch (const std::system_error& error) {
        const std::error_code& code = error.code();
        const bool wrong = code == std::errc::no_such_file_or_directory ||
                           code == std::errc::not_a_directory ||
                           code == std::errc::permission_denied;
        throw Failure(fmt::format(
            "{}, the directory of channels: {}{}", printable(directory), code.message(),
            wrong ? "; IPC_DIRECTORY, where it is set, has to name a directory you may read" : ""));
    }
}

}  // namespace

LiveSource::LiveSource(Sampler sampler, std::chrono::nanoseconds interval,
                       std::chrono::nanoseconds opening)
    : sampler_(std::move(sampler)),
      directory_(directory_of_channels()),
      opening_(opening),
      interval_(interval),
      due_(Clock::now()) {}

Snapshot LiveSource::begin() {
    last_ = Clock::now();
    Snapshot snapshot;
    snapshot.sampled_at_ns = since_epoch(last_);
    snapshot.wall_clock_ns = since_epoch(std::chrono::system_clock::now());
    snapshot.directory = directory_;
    snapshot.space = look_into(directory_, shared_memory_space);
    return snapshot;
}

void LiveSource::sample(const std::function<void(Sample)>& take) {
    look_into(directory_, [&] { sampler_.sample(take, opening_); });
}

void LiveSource::end() {
    const bool soon = first_ || sampler_.unopened() > 0;
    due_ = last_ + (soon ? std::min(first_interval, interval_) : interval_);
    first_ = false;
}

void LiveSource::next(History& history) {
    // One channel at a time, while its report is in the processor's caches.
    History::Addition addition(history, begin());
    sample([&](Sample sample) { addition.add(std::move(sample)); });
    addition.end(sampler_.unopened());
    end();
}

Snapshot LiveSource::snapshot() {
    Snapshot snapshot = begin();
    sample([&](Sample sample) { snapshot.channels.push_back(std::move(sample)); });
    snapshot.unopened = sampler_.unopened();
    end();
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
