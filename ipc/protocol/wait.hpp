#pragma once

// Waiting and waking.
//
// A reader sleeps on the futex of its group, a producer on that of the channel (`room`). Before it
// sleeps it announces itself: in the group's announcement, then in the channel's, which publishers
// look at.
//
//   sleeper                                   waker
//   1 expected = futex                        1 make the thing true (READY, low-water, hint)
//   2 announce (group, then channel)          2 light barrier: compiler only
//   3 heavy barrier: membarrier               3 announcement pending?
//   4 look again                              4 futex += 1; FUTEX_WAKE
//   5 FUTEX_WAIT(expected)                    5 nobody slept: clear exactly the announcement seen
//
// EDGE park: the heavy barrier makes every running participant fence between two instructions of
// its own. After its step 1: then the sleeper sees the thing at 4. Or before its step 3: then it
// sees the announcement. One of the two it is, since step 2 keeps the compiler from exchanging 1
// and 3. A process that could not register for the barrier executes a full fence at its step 2; a
// sleeper that cannot execute it sleeps in slices of at most 10 ms.
//
// EDGE wake: the futex word is incremented with release after 1 and read with acquire before 4, so
// that whoever was woken, or kept from sleeping, sees what it was woken for.
//
// A waker that dies between 1 and 4 is covered by the sentinel (sentinel.hpp). A false announcement
// costs one system call; a lost one would be a lost wake-up, which is why it is cleared only when
// FUTEX_WAKE found nobody, and only if it did not change since it was seen.

#include <limits>
#include <stop_token>

#include "ipc/os/clock.hpp"
#include "ipc/os/futex.hpp"
#include "ipc/os/membarrier.hpp"
#include "ipc/os/processor.hpp"
#include "ipc/protocol/channel_memory.hpp"
#include "ipc/protocol/function_ref.hpp"
#include "ipc/protocol/look.hpp"

namespace ipc::inline v1::protocol {

/// The futex bits: everyone wakes for news, only the sentinel for its duty.
constexpr std::uint32_t news_bit = 1;
constexpr std::uint32_t duty_bit = 2;

/// Number of a parking place: 0 for producers waiting for room, group index + 1 for readers.
constexpr unsigned room_place = 0;
constexpr unsigned place_of_group(unsigned group) {
    return group + 1;
}
format::Parking& parking_at(const ChannelMemory& memory, unsigned place);

/// As many as sleep at a place.
constexpr int all_sleepers = std::numeric_limits<int>::max();

/// Wakes readers after a publish: `count` of each group that announced sleepers.
void wake_readers(ChannelMemory& memory, int count);
/// Wakes up to `count` members of one group, if any announced itself.
void wake_group(ChannelMemory& memory, unsigned group, int count);
/// Wakes producers after `count` positions became free.
IPC_API void wake_producers(ChannelMemory& memory, std::uint64_t count);
/// Wakes everyone: the channel was closed, or removed.
void wake_everyone(ChannelMemory& memory);

/// Wakes all at one place for whom one of `bits` counts, announced or not.
void wake_all_at(format::Parking& parking, std::uint32_t bits);
/// Wakes one sleeper at a place; false when none slept there.
bool wake_one_at(ChannelMemory& memory, unsigned place);
/// Withdraws the channel's announcement once no group announces a sleeper any more.
void clear_if_nobody_sleeps(ChannelMemory& memory);

/// A producer was refused: the next reader that releases a message then publishes its position at
/// once. It is asked for with a word of its own, since nobody sleeps whom a system call would wake.
void announce_refusal(ChannelMemory& memory);

/// Steps 2 and 3 of a waker that just published: the announcement word, which also carries a
/// request to close. `fence` for a process without the barrier.
inline std::uint64_t announcement_after_publish(const ChannelMemory& memory, bool fence) {
    os::light_barrier(fence);  // EDGE park
    return memory.header().announcement.load(std::memory_order_relaxed);
}

/// The same for a reader that made room: whether a producer waits, or was refused.
inline bool producers_announced(const ChannelMemory& memory, bool fence) {
    os::light_barrier(fence);  // EDGE park
    return (memory.header().room.announcement.load(std::memory_order_relaxed) &
            (format::Announcement::pending | format::Announcement::refused)) != 0;
}

/// What a producer waits for: a slot, or space in its own region. It sleeps at the same place, so
/// one that waits for its region says so: else a wake meant for a slot would be lost on it.
enum class Room : std::uint8_t { slot, region };

/// One participant's way to wait.
class IPC_API Waiter {
public:
    Waiter(ChannelMemory& memory, unsigned participant, unsigned place, const WaitPolicy& policy,
           const Ring* writable);

    /// Some looks of one that spins: whether `ready` returned true. To come before `wait`: what
    /// comes this soon is not worth telling, nor asking the clock.
    template <class Ready>
    bool spin_briefly(Ready&& ready) const {
        if (spin_ <= 0) return false;
        for (int i = 0; i < looks_per_reading; ++i) {
            if (ready()) return true;
            os::cpu_relax();
        }
        return false;
    }
    /// After that, waits until `ready` returns true (ok), or the deadline, an interruption or the
    /// removal of the channel. `ready` takes a quick look often, and a thorough one now and then,
    /// before each sleep and after it. `room` counts for producers only.
    Status wait(FunctionRef<bool(Look)> ready, os::Deadline deadline, const std::stop_token& stop,
                Room room = Room::slot);

private:
    Status spin(FunctionRef<bool(Look)> ready, os::Deadline deadline, const std::stop_token& stop);
    Status park(FunctionRef<bool(Look)> ready, os::Deadline deadline, const std::stop_token& stop);
    void announce();
    bool is_announced() const;
    os::Nanoseconds due() const;

    /// The clock is read rarely while spinning: a reading takes as long as several looks.
    static constexpr int looks_per_reading = 64;

    ChannelMemory& memory_;
    unsigned participant_;
    unsigned place_;
    WaitPolicy policy_;
    os::Nanoseconds spin_;
    os::Nanoseconds look_for_removal_ = 0;  ///< when a spin does so next, in whichever wait
    std::uint64_t wanted_ = 0;              ///< region_wanted, or nothing
    const Ring* writable_;                  ///< producers': lets a sweep repair slots; else null
};

}  // namespace ipc::inline v1::protocol
