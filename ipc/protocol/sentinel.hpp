#pragma once

// The sentinel: one parked participant of a channel that looks after the dead.
//
// Whoever parks takes the duty when it is vacant (or when its holder is dead or stopped ticking).
// While anything is in flight it ticks every 50 ms and sweeps; otherwise every few seconds, and
// when a delay ends: a member that went to sleep before that was set does not know of it. The other
// sleepers check only that the sentinel still ticks, every few seconds, too: all of them when they
// are few, a few in turn when they are many. It resigns when it wakes up for work; whoever is then
// about to take a lease while the duty is vacant wakes another sleeper for it, which passes the
// call on should it leave instead.

#include "ipc/os/clock.hpp"
#include "ipc/os/membarrier.hpp"
#include "ipc/protocol/channel_memory.hpp"
#include "ipc/protocol/recovery.hpp"

namespace ipc::inline v1::protocol {

constexpr os::Nanoseconds slow_tick = 3'000'000'000;
/// How long a sentinel goes on ticking fast after it last saw anything in flight.
constexpr os::Nanoseconds fast_grace = 1'000'000'000;

/// The duty during one sleep; resigns at its end.
class SentinelDuty {
public:
    SentinelDuty(ChannelMemory& memory, unsigned participant, unsigned place, const Ring* writable)
        : memory_(memory), participant_(participant), place_(place), writable_(writable) {}
    ~SentinelDuty();
    SentinelDuty(const SentinelDuty&) = delete;
    SentinelDuty& operator=(const SentinelDuty&) = delete;

    /// Takes the duty if nobody has it; when to wake up at the latest, CLOCK_MONOTONIC ns.
    os::Nanoseconds next_tick();
    bool is_mine() const { return mine_; }
    /// After each sleep; `due` when it ended by time.
    void tick(bool due);

private:
    bool take(format::Sentinel seen, bool fast);
    void beat(bool fast);
    bool look_closely();
    /// Of the readers that wait, when they are many: which turns there are, and whose this one is.
    struct Turns {
        unsigned mine;
        unsigned all;
    };
    Turns turns() const;
    void note_rest(Turns turns, os::Nanoseconds now);
    os::Nanoseconds tick_after(os::Nanoseconds now) const;
    os::Nanoseconds next_look(os::Nanoseconds now);

    ChannelMemory& memory_;
    unsigned participant_;
    unsigned place_;
    const Ring* writable_;
    bool mine_ = false;
    format::Sentinel word_ = format::Sentinel::vacant();
    os::Nanoseconds next_ = 0;
    os::Nanoseconds fast_until_ = 0;
    os::Nanoseconds others_rest_until_ = 0;  ///< until then, some sleepers may let ticks pass
};

/// Wakes a sentinel that ticks slowly, or, when nobody has the duty, a sleeper that takes it. EDGE
/// call.
IPC_API void call_sentinel(ChannelMemory& memory);

/// Takes the duty from a dead participant whose entry will be another's, who would seem to have it.
void relieve_of_duty(ChannelMemory& memory, unsigned dead);

/// EDGE call: Dekker's pattern once more. Whoever is about to take a lease, and has none, marks
/// itself as a holder (`has_leases`), then looks at who has the duty; a sentinel says that it ticks
/// slowly or leaves, then looks for holders. Going slow, it executes the heavy barrier between;
/// leaving, both sides fence.
///
/// Called by the new holder: makes sure that somebody ticks fast, if anybody sleeps at all. One
/// load in the usual case. `fence`: this process cannot register for the barrier.
inline void watch_over(ChannelMemory& memory, bool fence) {
    os::light_barrier(fence);  // EDGE call
    const format::Sentinel word{memory.header().sentinel.load(std::memory_order_relaxed)};
    if (word.is_fast()) [[likely]]
        return;
    const auto& header = memory.header();
    const std::uint64_t announced = header.announcement.load(std::memory_order_relaxed) |
                                    header.room.announcement.load(std::memory_order_relaxed);
    const bool anybody_sleeps = (announced & format::Announcement::pending) != 0;
    if (anybody_sleeps || !word.is_vacant()) call_sentinel(memory);
}

}  // namespace ipc::inline v1::protocol
