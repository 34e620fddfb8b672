#include "ipc/protocol/sentinel.hpp"

#include <algorithm>

#include "ipc/os/membarrier.hpp"
#include "ipc/protocol/lease.hpp"
#include "ipc/protocol/wait.hpp"

namespace ipc::inline v1::protocol {
namespace {

using format::Sentinel;

std::uint64_t to_heartbeat(os::Nanoseconds time) {
    return (static_cast<std::uint64_t>(time) / 1'000'000) & format::low_bits(40);
}

/// A holder that did not beat for three of its ticks and a half: dead, or stopped. Slow beats and
/// looks at them come in the same moments: after four, chance would decide.
bool is_stale(Sentinel word, os::Nanoseconds now) {
    const std::uint64_t silence = (to_heartbeat(now) - word.heartbeat_ms()) & format::low_bits(40);
    const os::Nanoseconds tick = word.is_fast() ? fast_tick : slow_tick;
    const auto bound = static_cast<std::uint64_t>(7 * tick / 2 / 1'000'000);
    // A beat from the future is another's beat that came after `now` was read.
    return silence > bound && silence < format::low_bits(39);
}

/// When who looked at `now` looks again, CLOCK_MONOTONIC ns. Slow ticks come at whole multiples of
/// their length, for all sleepers of a machine at once: a wake-up of a core that idles costs
/// several times what another one right after it does.
os::Nanoseconds slow_tick_after(os::Nanoseconds now) {
    return (now / slow_tick + 1) * slow_tick;
}

/// When the first delay ends that did not end before `now`: who may take what was due before was
/// told. CLOCK_MONOTONIC ns; for ever without any.
os::Nanoseconds next_due_after(const ChannelMemory& memory, os::Nanoseconds now) {
    os::Nanoseconds next = os::Deadline::never().at;
    const unsigned groups = memory.groups_used();
    for (unsigned i = 0; i < groups; ++i) {
        const format::Group& group = memory.group(i);
        const GroupStatus status{group.status.load(std::memory_order_acquire)};
        const os::Nanoseconds due = next_due_at(group);
        if (status.is_active() && due > now) next = std::min(next, due);
    }
    return next;
}

/// Sleepers that take turns let at most so many ticks pass but one.
constexpr unsigned most_turns = 10;
constexpr os::Nanoseconds longest_rest = most_turns * slow_tick;

/// What a sentinel knew when it left.
os::Nanoseconds rest_told_by(Sentinel vacant, os::Nanoseconds now) {
    const auto told = static_cast<os::Nanoseconds>(vacant.rest_until_ms()) * 1'000'000;
    return std::min(told, now + longest_rest);
}

}  // namespace

SentinelDuty::~SentinelDuty() {
    auto& word = memory_.header().sentinel;
    if (mine_) {
        auto expected = word_.bits;
        const bool resigned = word.compare_exchange_strong(
            expected, Sentinel::vacant(to_heartbeat(others_rest_until_)).bits,
            std::memory_order_acq_rel);
        if (!resigned) return;
    } else {
        // Maybe it was woken to take the duty: a call that wakes somebody who leaves is passed on.
        const Sentinel seen{word.load(std::memory_order_acquire)};
        if (!seen.is_vacant()) return;
        others_rest_until_ = std::max(others_rest_until_, rest_told_by(seen, os::now()));
    }
    if (!mine_ || !word_.is_fast()) {
        // Whoever became a holder just now may have called this sentinel, which slept no more.
        // EDGE call: either that call finds the duty vacant, or the scan finds the holder.
        std::atomic_thread_fence(std::memory_order_seq_cst);
        const bool is_relied_on = os::now() < others_rest_until_;
        if (!is_relied_on && !anything_in_flight(memory_) &&
            next_due_after(memory_, os::now()) == os::Deadline::never().at) {
            return;
        }
    }
    // Others may still hold leases, or rely on the ticks: hand over, if anybody sleeps.
    call_sentinel(memory_);
}

bool SentinelDuty::take(Sentinel seen, bool fast) {
    const os::Nanoseconds now = os::now();
    const Sentinel next = Sentinel::make(participant_, place_, fast, to_heartbeat(now));
    if (!memory_.header().sentinel.compare_exchange_strong(seen.bits, next.bits,
                                                           std::memory_order_acq_rel)) {
        return false;
    }
    word_ = next;
    if (!mine_) {
        // One that is dead, or stopped, told nobody.
        others_rest_until_ = std::max(
            others_rest_until_, seen.is_vacant() ? rest_told_by(seen, now) : now + longest_rest);
    }
    note_rest(turns(), now);
    return true;
}

void SentinelDuty::beat(bool fast) {
    mine_ = take(word_, fast);
}

/// Slow already: whoever becomes a holder from here on calls. One from before is seen by the scan,
/// since the barrier stands between (EDGE call). Whether there was one; then the duty is fast. A
/// process that cannot execute the barrier never learns that there is none; it wakes up all the
/// time anyway.
bool SentinelDuty::look_closely() {
    if (os::heavy_barrier() && !anything_in_flight(memory_)) return false;
    beat(true);
    return mine_;
}

os::Nanoseconds SentinelDuty::next_tick() {
    const os::Nanoseconds now = os::now();
    // Who called was a holder by then, which the sleeper knows, since it read the futex that the
    // call incremented: after each change of it, before it sleeps again (EDGE call).
    if (mine_ && !word_.is_fast() && anything_in_flight(memory_)) {
        beat(true);
        fast_until_ = now + fast_grace;
        next_ = now + fast_tick;
    }
    if (mine_) {
        // Who called may have settled by now, and left a delay behind (EDGE due).
        if (!word_.is_fast()) next_ = std::min(next_, next_due_after(memory_, now));
        return next_;
    }
    const Sentinel seen{memory_.header().sentinel.load(std::memory_order_acquire)};
    const bool free = seen.is_vacant() || seen.participant() == participant_ ||
                      is_stale(seen, now) || seen.participant() >= memory_.participants_used();
    mine_ = free && take(seen, false);
    if (!mine_) {
        if (next_ <= now) next_ = slow_tick_after(now);
        return next_;
    }
    if (look_closely()) fast_until_ = now + fast_grace;
    // A tick that nobody slept through is made up for: sleeps may be shorter than a tick.
    const bool fast = mine_ && word_.is_fast();
    const os::Nanoseconds last = memory_.header().swept_at.load(std::memory_order_relaxed);
    const os::Nanoseconds tick = fast ? fast_tick : slow_tick;
    next_ = std::clamp(std::min(last, now) + tick, now, tick_after(now));
    return next_;
}

/// The sentinel's next tick.
os::Nanoseconds SentinelDuty::tick_after(os::Nanoseconds now) const {
    if (mine_ && word_.is_fast()) return now + fast_tick;
    return std::min(slow_tick_after(now), next_due_after(memory_, now));
}

SentinelDuty::Turns SentinelDuty::turns() const {
    constexpr unsigned at_a_time = 4;
    unsigned readers = 0;
    unsigned rank = 0;
    const unsigned participants = memory_.participants_used();
    for (unsigned i = 0; i < participants; ++i) {
        if (i == participant_) rank = readers;
        const format::Participant& entry = memory_.participant(i);
        if (is_active(entry) && activity_of(entry) == format::Activity::waiting_for_message) {
            ++readers;
        }
    }
    const unsigned all = std::clamp(readers / at_a_time, 1U, most_turns);
    return {.mine = rank % all, .all = all};
}

/// Those that rest do so still when most others have left.
void SentinelDuty::note_rest(Turns turns, os::Nanoseconds now) {
    if (turns.all > 1) others_rest_until_ = std::max(others_rest_until_, now + longest_rest);
}

/// When a sleeper without the duty looks at the sentinel again. Many readers take turns, four or
/// more at each slow tick: one is enough, and the others are there in case it died, too. A producer
/// looks at each, since a reader that has the duty cannot repair what a dead producer left in the
/// ring.
os::Nanoseconds SentinelDuty::next_look(os::Nanoseconds now) {
    if (place_ == room_place) return slow_tick_after(now);
    const Turns turns = this->turns();
    note_rest(turns, now);
    const auto coming = static_cast<unsigned>((now / slow_tick + 1) % turns.all);
    return slow_tick_after(now) + (turns.mine + turns.all - coming) % turns.all * slow_tick;
}

void SentinelDuty::tick(bool due) {
    const os::Nanoseconds now = os::now();
    if (!mine_) {
        if (due) {
            const Sentinel seen{memory_.header().sentinel.load(std::memory_order_acquire)};
            if (!seen.is_vacant() && seen.participant() < memory_.participants_used() &&
                !memory_.is_alive(seen.participant())) {
                mine_ = take(seen, true);
                fast_until_ = now + fast_grace;
                if (mine_) sweep(memory_, participant_, writable_);
            }
            next_ = mine_ ? tick_after(now) : next_look(now);
        }
        return;
    }
    if (now < next_) return;
    const bool in_flight = sweep(memory_, participant_, writable_);
    if (in_flight) fast_until_ = now + fast_grace;
    if (now < fast_until_) {
        beat(true);
    } else {
        beat(false);
        if (mine_ && look_closely()) fast_until_ = now + fast_grace;
    }
    // Not from `now`: a sweep may take longer than a tick.
    next_ = tick_after(os::now());
}

void call_sentinel(ChannelMemory& memory) {
    // EDGE call: a holder called, or one who resigned; see ~SentinelDuty.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const Sentinel word{memory.header().sentinel.load(std::memory_order_acquire)};
    if (!word.is_vacant()) {
        if (word.is_fast() || word.place() > memory.groups_used()) return;
        wake_all_at(parking_at(memory, word.place()), duty_bit);
        return;
    }
    // Nobody has the duty: wake one sleeper, who takes it before it sleeps again.
    const unsigned places = memory.groups_used() + 1;
    for (unsigned place = 0; place < places; ++place) {
        if (wake_one_at(memory, place)) return;
    }
    clear_if_nobody_sleeps(memory);
}

void relieve_of_duty(ChannelMemory& memory, unsigned dead) {
    Sentinel word{memory.header().sentinel.load(std::memory_order_acquire)};
    if (word.participant() != dead) return;
    const Sentinel vacant = Sentinel::vacant(to_heartbeat(os::now() + longest_rest));
    if (memory.header().sentinel.compare_exchange_strong(word.bits, vacant.bits,
                                                         std::memory_order_acq_rel)) {
        call_sentinel(memory);
    }
}

}  // namespace ipc::inline v1::protocol
