#include "tools/monitor/record_source.hpp"

#include <algorithm>
#include <utility>

#include <fmt/core.h>

#include "tools/monitor/history.hpp"

namespace ipc::tools::monitor {
namespace {

// A record may have been made on another day than its next snapshot.
constexpr double longest_wait_seconds = 1e6;

}  // namespace

RecordSource::RecordSource(RecordReader reader, double speed)
    : reader_(std::move(reader)), speed_(speed), shown_at_(Clock::now()) {
    read_ahead();
    if (ahead_) shown_ns_ = ahead_->sampled_at_ns;
}

void RecordSource::read_ahead() {
    try {
        ahead_ = reader_.next();
    } catch (...) {
        ahead_.reset();
        damage_ = std::current_exception();
    }
}

Source::Clock::duration RecordSource::wait_before_next() const {
    if (!ahead_) return {};
    const double seconds = static_cast<double>(ahead_->sampled_at_ns - shown_ns_) / 1e9 / speed_;
    return std::chrono::duration_cast<Clock::duration>(
        std::chrono::duration<double>(std::min(seconds, longest_wait_seconds)));
}

std::optional<Source::Clock::time_point> RecordSource::due() const {
    if (!ahead_ && !damage_) return std::nullopt;
    return shown_at_ + wait_before_next();
}

void RecordSource::next(History& history) {
    if (damage_) std::rethrow_exception(damage_);
    shown_ns_ = ahead_.value().sampled_at_ns;
    history.add(std::move(*ahead_));
    shown_at_ = Clock::now();
    read_ahead();
}

void RecordSource::faster() {
    speed_ = std::min(speed_ * 2, fastest);
}

void RecordSource::slower() {
    speed_ = std::max(speed_ / 2, slowest);
}

std::string RecordSource::pace() const {
    if (!ahead_ && !damage_) return "record, at its end";
    return speed_ < 1 ? fmt::format("record x1/{:.0f}", 1 / speed_)
                      : fmt::format("record x{:.0f}", speed_);
}

}  // namespace ipc::tools::monitor
