#pragma once

#include <cstdint>

#include "ipc/format/words.hpp"
#include "ipc/os/clock.hpp"

namespace ipc::inline v1::protocol {

/// Decides which events are worth reading the clock: each one when they are slow, about one every
/// 50 us when they are fast. (The clock is read between the program and the message on both sides,
/// and takes as long as a tenth of the fastest round trip each time. Every 10 us, that would be
/// every one of 100 000 messages a second.) Events are numbered by positions, so that those between
/// two samples cost a comparison and no store.
class Sampler {
public:
    static constexpr std::uint32_t longest = 4096;  ///< interval; made odd, it is one more

    explicit Sampler(Position first = 0) : next_(first) {}

    bool is_due(Position position) const { return !format::before(position, next_); }

    /// After a fast burst, slow events would else go without a sample for as long as a burst lasts:
    /// called wherever something shows that events are slow, such as a reader that fell asleep.
    void slow_down(Position next) {
        next_ = next;
        interval_ = 1;
    }

    /// Called with the present time whenever is_due; sets the distance to the next.
    void taken(Position position, os::Nanoseconds now) {
        const os::Nanoseconds since = now - last_;
        if (since < period / 2) {
            if (interval_ < longest) interval_ *= 2;
        } else if (since > period * 2) {
            interval_ = since > period * interval_ ? 1 : interval_ - interval_ / 2;
        }
        last_ = now;
        // Odd, so that samples fall on all remainders: Touching works in eights.
        next_ = position + (interval_ | 1);
    }

private:
    static constexpr os::Nanoseconds period = 50'000;
    Position next_;
    std::uint32_t interval_ = 1;
    os::Nanoseconds last_ = 0;
};

}  // namespace ipc::inline v1::protocol
