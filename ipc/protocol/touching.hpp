#pragma once

#include <cstdint>
#include <utility>

#include "ipc/os/clock.hpp"

namespace ipc::inline v1::protocol {

/// Decides whether a producer touches slots of later messages (format::Slot::touch), for which
/// there are two reasons; PERFORMANCE.md has the measurements.
///
/// Exclusive: a line that was stored into a few messages ago takes its next store sooner than one
/// that readers have had for a lap. When messages follow each other closely, though, readers take
/// such a line away once more.
///
/// Shared: a claim is an exchange, which waits for its line, and everything after it for the
/// exchange. Many lines at once come hardly later than one. When there is time between messages,
/// though, a claim takes longer for a line that was touched.
///
/// Touching changes what is measured: exclusive messages are further apart, claims shorter. So it
/// is decided by what was measured without, and tried without now and then.
class Touching {
public:
    bool pays() const { return pays_; }

    /// At each sample (Sampler): so many messages this producer sent by now.
    void choose_exclusive(os::Nanoseconds now, std::uint64_t sent) {
        if (!measure(now, sent)) return;
        const bool is_sure = spacing_ >= surely_apart;
        pays_ = spacing_ >= far_apart && (is_sure || !is_trial());
    }
    void choose_shared(os::Nanoseconds now, std::uint64_t sent) {
        const os::Nanoseconds claim = std::exchange(claim_took_, unknown);
        if (!measure(now, sent)) return;
        if (!wants_claim_timed()) {
            pays_ = false;
        } else if (pays_) {
            pays_ = !is_trial();
        } else {
            pays_ = claim > spacing_ - spacing_ / 4;
        }
    }

    /// Shared: whether the claim of the next sample should be timed, which costs another two looks
    /// at the clock. Not when messages are so far apart that no claim takes most of that.
    bool wants_claim_timed() const { return spacing_ < in_no_hurry; }
    void claim_took(os::Nanoseconds span) { claim_took_ = span; }

private:
    static constexpr os::Nanoseconds far_apart = 64;
    /// More than touching itself could make of less than far_apart.
    static constexpr os::Nanoseconds surely_apart = 256;
    static constexpr os::Nanoseconds in_no_hurry = 1000;
    static constexpr os::Nanoseconds unknown = -1;
    static constexpr unsigned samples_to_a_trial = 64;

    bool is_trial() { return ++samples_ % samples_to_a_trial == 0; }

    /// The mean time between two messages since the last sample; false at the first.
    bool measure(os::Nanoseconds now, std::uint64_t sent) {
        const os::Nanoseconds since = now - measured_at_;
        const auto messages = static_cast<os::Nanoseconds>(sent - sent_then_);
        const bool is_first = measured_at_ == 0;
        measured_at_ = now;
        sent_then_ = sent;
        if (is_first || messages <= 0) return false;
        spacing_ = since / messages;
        return true;
    }

    os::Nanoseconds measured_at_ = 0;
    std::uint64_t sent_then_ = 0;
    os::Nanoseconds spacing_ = 0;
    os::Nanoseconds claim_took_ = unknown;
    unsigned samples_ = 0;  ///< with touching, while in doubt
    bool pays_ = false;
};

}  // namespace ipc::inline v1::protocol
