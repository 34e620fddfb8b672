#include "ipc/protocol/copier.hpp"

#include <algorithm>
#include <atomic>
#include <limits>

namespace ipc::inline v1::protocol {
namespace {

// Of a larger ring, lines from a lap ago have left all caches, whichever way they were written.
constexpr std::uint64_t longest_lap = 64 << 20;
constexpr unsigned laps_to_measure = 3;
constexpr unsigned fewest_messages_of_a_lap = 32;

// The other way may take ten times as long, so that early trials cost something. Later ones do not.
constexpr std::uint64_t least_trust = 16;
constexpr std::uint64_t most_trust = 1024;

// A producer that spends so much of its time copying waits for nothing else.
constexpr double busy_copying = 2.0 / 3;
constexpr double better_pace = 0.9;
// Readers get lines from memory later than from a near cache: the copy must gain more than that.
constexpr double much_shorter_copy = 0.5;

double per_byte(os::Nanoseconds span, std::uint64_t bytes) {
    return static_cast<double>(span) / static_cast<double>(bytes);
}

}  // namespace

Copier::Copier(std::uint64_t start, std::uint64_t lap)
    : lap_(std::min(lap, longest_lap)), measure_at_(start + lap_) {}

inline void Copier::copy(std::byte* shared, const void* data, std::size_t size) const {
    if (way_ == Way::streaming) {
        format::copy_in_streaming(shared, data, size);
    } else {
        format::copy_in(shared, data, size);
    }
}

void Copier::copy_long(std::uint64_t at, std::byte* shared, const void* data, std::size_t size) {
    if (is_measured(at)) [[unlikely]]
        return copy_measured(at, shared, data, size);
    copy(shared, data, size);
}

void Copier::copy_measured(std::uint64_t at, std::byte* shared, const void* data,
                           std::size_t size) {
    const bool by_itself = stage_ == Stage::copies;
    // Others can see all from before; and then all of this copy.
    if (by_itself) std::atomic_thread_fence(std::memory_order_seq_cst);
    const os::Nanoseconds began = os::now();
    copy(shared, data, size);
    if (by_itself) std::atomic_thread_fence(std::memory_order_seq_cst);
    took(at, size, began, by_itself ? os::now() : began);
}

void Copier::took(std::uint64_t at, std::size_t size, os::Nanoseconds began,
                  os::Nanoseconds ended) {
    if (stage_ == Stage::copies) {
        copies_[copies_timed_++] = per_byte(ended - began, size);
        if (copies_timed_ < copies_.size()) return;
        const auto middle = copies_.begin() + copies_.size() / 2;
        std::nth_element(copies_.begin(), middle, copies_.end());
        figures().copy = *middle;
        stage_ = Stage::nothing;
        way_ == preferred_ ? begin_trial(at) : decide(at);
        return;
    }
    if (stage_ == Stage::nothing) {
        begin_laps(at, began);
    } else if (!format::before(at, lap_ends_at_) && lap_messages_ >= fewest_messages_of_a_lap) {
        figures().pace = std::min(figures().pace, per_byte(began - lap_began_, lap_bytes_));
        if (++laps_ == laps_to_measure) {
            stage_ = Stage::copies;
            copies_timed_ = 0;
            return;
        }
        begin_lap(at, began);
    }
    lap_bytes_ += size;
    ++lap_messages_;
}

void Copier::begin_laps(std::uint64_t at, os::Nanoseconds now) {
    stage_ = Stage::laps;
    laps_ = 0;
    figures().pace = std::numeric_limits<double>::max();
    begin_lap(at, now);
}

void Copier::begin_lap(std::uint64_t at, os::Nanoseconds now) {
    lap_ends_at_ = at + lap_;
    lap_began_ = now;
    lap_bytes_ = 0;
    lap_messages_ = 0;
}

void Copier::begin_trial(std::uint64_t at) {
    way_ = preferred_ == Way::cached ? Way::streaming : Way::cached;
    trial_began_at_ = at;
    measure_at_ = at + lap_;
}

void Copier::decide(std::uint64_t at) {
    way_ = streaming_pays() ? Way::streaming : Way::cached;
    const bool as_before = way_ == preferred_ && trust_ != 0;
    trust_ = as_before ? std::min(4 * trust_, most_trust) : least_trust;
    preferred_ = way_;
    measure_at_ = at + trust_ * (at - trial_began_at_);
}

bool Copier::streaming_pays() const {
    // The pace shows what readers make of it as well; of a producer that does other things, it
    // shows those.
    if (cached_.copy > busy_copying * cached_.pace)
        return streaming_.pace < better_pace * cached_.pace;
    return streaming_.copy < much_shorter_copy * cached_.copy;
}

}  // namespace ipc::inline v1::protocol
