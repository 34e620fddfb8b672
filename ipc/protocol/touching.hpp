#pragma once

#include <cstdint>

#include "ipc/os/clock.hpp"

namespace ipc::inline v1::protocol {

/// Decides whether a producer touches slots of later messages (format::Slot::touch), for which
/// there are two reasons; DESIGN.md, Publishing, has the measurements.
///
/// Exclusive: a line that was stored into a few messages ago takes its next store sooner than one
/// that readers have had for a lap. When messages follow each other closely, though, readers take
/// such a line away once more.
///
/// Shared: a claim is an exchange, which waits for its line, and everything after it for the
/// exchange. Many lines at once come hardly later than one. When there is time between messages,
/// though, a claim takes longer for a line that was touched.
class Touching {
public:
    bool pays() const { return pays_; }

    /// At each sample (Sampler): so many messages this producer sent by now.
    void choose_exclusive(os::Nanoseconds now, std::uint64_t sent) {
        if (!measure(now, sent)) return;
        // Touching itself may keep them that far apart: now and then, see what it is without.
        const bool in_doubt = spacing_ < surely_apart && ++samples_in_doubt_ % 16 == 0;
        pays_ = spacing_ >= far_apart && !in_doubt;
    }
    void choose_shared(os::Nanoseconds now, std::uint64_t sent) {
        if (!measure(now, sent)) return;
        const bool waits_for_lines =
            claim_took_ == unknown ? pays_ : claim_took_ > spacing_ - spacing_ / 4;
        pays_ = spacing_ < far_apart || (wants_claim_timed() && waits_for_lines);
        claim_took_ = unknown;
    }

    /// Shared: whether the claim of the next sample should be timed, which costs another two looks
    /// at the clock, and how long it took.
    bool wants_claim_timed() const { return spacing_ < longest_claim; }
    void claim_took(os::Nanoseconds span) { claim_took_ = span; }

private:
    static constexpr os::Nanoseconds far_apart = 64;
    static constexpr os::Nanoseconds surely_apart = 256;
    static constexpr os::Nanoseconds longest_claim = 1000;
    static constexpr os::Nanoseconds unknown = -1;

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
    unsigned samples_in_doubt_ = 0;
    bool pays_ = false;
};

}  // namespace ipc::inline v1::protocol
