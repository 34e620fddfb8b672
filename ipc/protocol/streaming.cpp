#include "ipc/protocol/streaming.hpp"

#include <algorithm>
#include <atomic>

namespace ipc::inline v1::protocol {
namespace {

std::int64_t picoseconds_per_byte(os::Nanoseconds span, std::uint64_t bytes) {
    return span * 1000 / static_cast<std::int64_t>(bytes);
}

}  // namespace

void Streaming::copy_measured(std::uint64_t at, std::byte* shared, const void* data,
                              std::size_t size) {
    std::atomic_thread_fence(std::memory_order_seq_cst);  // others can see all from before
    const os::Nanoseconds began = os::now();
    copy(shared, data, size);
    std::atomic_thread_fence(std::memory_order_seq_cst);  // and all of this
    took(at, size, began, os::now());
}

void Streaming::took(std::uint64_t at, std::size_t size, os::Nanoseconds began,
                     os::Nanoseconds ended) {
    switch (stage_) {
        case Stage::settled:
            lap_began_at_ = at;
            lap_began_ = began;
            measure_at_ = at + lap_;
            stage_ = Stage::lap;
            return;
        case Stage::lap:
            of(way_).pace = picoseconds_per_byte(began - lap_began_, at - lap_began_at_);
            copied_ = 0;
            stage_ = Stage::copies;
            return;
        case Stage::copies: break;
    }
    copies_[copied_++] = picoseconds_per_byte(ended - began, size);
    if (copied_ < copies_.size()) return;
    const auto middle = copies_.begin() + copies_.size() / 2;
    std::nth_element(copies_.begin(), middle, copies_.end());
    of(way_).copy = *middle;
    stage_ = Stage::settled;
    if (way_ == preferred_) {
        begin_trial(at);
    } else {
        decide(at);
    }
}

void Streaming::begin_trial(std::uint64_t at) {
    way_ = preferred_ == Way::cached ? Way::streaming : Way::cached;
    trial_began_at_ = at;
    measure_at_ = at + lap_;
}

void Streaming::decide(std::uint64_t at) {
    way_ = pays() ? Way::streaming : Way::cached;
    trust_ = way_ == preferred_ ? std::min(2 * trust_, most_trust) : least_trust;
    preferred_ = way_;
    measure_at_ = at + trust_ * (at - trial_began_at_);
}

bool Streaming::pays() const {
    // When copies take most of the time, the pace shows what readers make of it as well.
    const bool is_busy_copying = 3 * cached_.copy > 2 * cached_.pace;
    if (is_busy_copying) return 10 * streaming_.pace < 9 * cached_.pace;
    // Else the pace is that of the program. Lines from memory reach a reader later than those from
    // a near cache: the copy must gain more than that.
    return 2 * streaming_.copy < cached_.copy;
}

}  // namespace ipc::inline v1::protocol
