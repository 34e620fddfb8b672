#include "ipc/protocol/wait.hpp"

#include <algorithm>
#include <limits>
#include <optional>

#include "ipc/protocol/lease.hpp"
#include "ipc/protocol/sentinel.hpp"

namespace ipc::inline v1::protocol {
namespace {

using format::Announcement;

constexpr os::Nanoseconds slice = 10'000'000;  ///< of a sleeper that cannot execute the barrier

void announce_in(std::atomic<std::uint64_t>& word, std::uint64_t wanted = 0) {
    std::uint64_t seen = word.load(std::memory_order_relaxed);
    while (!word.compare_exchange_weak(
        seen, (seen + Announcement::sequence_step) | Announcement::pending | wanted,
        std::memory_order_acq_rel, std::memory_order_relaxed)) {
    }
}

void clear_exactly(std::atomic<std::uint64_t>& word, std::uint64_t seen) {
    word.compare_exchange_strong(seen, seen & ~Announcement::pending, std::memory_order_acq_rel);
}

/// Steps 4 and 5 of a waker at one place; false when somebody may still sleep there unwoken.
bool wake_at(format::Parking& parking, int count) {
    const std::uint64_t seen = parking.announcement.load(std::memory_order_acquire);
    if ((seen & Announcement::pending) == 0) return true;
    parking.futex.fetch_add(1, std::memory_order_release);  // EDGE wake
    const int woken = os::futex_wake(parking.futex, count, news_bit);
    if (woken >= count) return false;
    clear_exactly(parking.announcement, seen);
    return true;
}

}  // namespace

format::Parking& parking_at(const ChannelMemory& memory, unsigned place) {
    return place == room_place ? memory.header().room : memory.group(place - 1).parking;
}

void wake_readers(ChannelMemory& memory, int count) {
    auto& channel_word = memory.header().announcement;
    const std::uint64_t seen = channel_word.load(std::memory_order_acquire);
    bool all_awake = true;
    const unsigned used = memory.groups_used();
    for (unsigned i = 0; i < used; ++i) {
        if (!wake_at(memory.group(i).parking, count)) all_awake = false;
    }
    if (all_awake) clear_exactly(channel_word, seen);
}

bool wake_one_at(ChannelMemory& memory, unsigned place) {
    format::Parking& parking = parking_at(memory, place);
    const std::uint64_t seen = parking.announcement.load(std::memory_order_acquire);
    return (seen & Announcement::pending) != 0 && !wake_at(parking, 1);
}

void clear_if_nobody_sleeps(ChannelMemory& memory) {
    // A sleeper announces in its group first: seen pending here while no group is, the channel's
    // word is left over, or its sleeper announced after this load and changed the word.
    auto& channel_word = memory.header().announcement;
    const std::uint64_t seen = channel_word.load(std::memory_order_acquire);
    const unsigned used = memory.groups_used();
    for (unsigned i = 0; i < used; ++i) {
        if (memory.group(i).parking.announcement.load(std::memory_order_acquire) &
            Announcement::pending) {
            return;
        }
    }
    clear_exactly(channel_word, seen);
}

void wake_group(ChannelMemory& memory, unsigned group, int count) {
    // EDGE park: off the hot path, so that it need not be known whether this process registered.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    wake_at(memory.group(group).parking, count);
}

void wake_producers(ChannelMemory& memory, std::uint64_t count) {
    auto& word = memory.header().room.announcement;
    std::atomic_thread_fence(std::memory_order_seq_cst);  // EDGE park: as in wake_group
    const std::uint64_t seen = word.load(std::memory_order_acquire);
    if ((seen & Announcement::refused) != 0) {
        word.fetch_and(~Announcement::refused, std::memory_order_acq_rel);
    }
    // One that waits for its region would swallow the wake meant for another that waits for a slot.
    if ((seen & Announcement::region_wanted) != 0) {
        word.fetch_and(~Announcement::region_wanted, std::memory_order_acq_rel);
        count = all_sleepers;
    }
    wake_at(memory.header().room, static_cast<int>(std::min<std::uint64_t>(count, all_sleepers)));
}

void wake_all_at(format::Parking& parking, std::uint32_t bits) {
    parking.futex.fetch_add(1, std::memory_order_release);  // EDGE wake
    os::futex_wake(parking.futex, all_sleepers, bits);
}

void wake_everyone(ChannelMemory& memory) {
    wake_all_at(memory.header().room, news_bit);
    const unsigned used = memory.groups_used();
    for (unsigned i = 0; i < used; ++i)
        wake_all_at(memory.group(i).parking, news_bit);
}

void announce_refusal(ChannelMemory& memory) {
    auto& word = memory.header().room.announcement;
    constexpr std::uint64_t known = Announcement::pending | Announcement::refused;
    if ((word.load(std::memory_order_relaxed) & known) != 0) return;
    word.fetch_or(Announcement::refused, std::memory_order_acq_rel);
}

Waiter::Waiter(ChannelMemory& memory, unsigned participant, unsigned place,
               const WaitPolicy& policy, const Ring* writable)
    : memory_(memory),
      participant_(participant),
      place_(place),
      policy_(policy),
      spin_(policy.spin.count() < 0 ? os::sleep_and_wake_cost() : policy.spin.count()),
      writable_(writable) {}

Status Waiter::wait(FunctionRef<bool(Look)> ready, os::Deadline deadline,
                    const std::stop_token& stop, Room room) {
    wanted_ = room == Room::region ? Announcement::region_wanted : 0;
    Participant& self = memory_.participant(participant_);
    self.activity_since.store(os::now(), std::memory_order_relaxed);
    self.activity.store(
        static_cast<std::uint8_t>(place_ == room_place ? format::Activity::waiting_for_room
                                                       : format::Activity::waiting_for_message),
        std::memory_order_release);
    Status status = spin(ready, deadline, stop);
    if (status == Status::empty) status = park(ready, deadline, stop);
    self.activity_since.store(os::now(), std::memory_order_relaxed);
    self.activity.store(static_cast<std::uint8_t>(format::Activity::running),
                        std::memory_order_release);
    return status;
}

/// ok, or what ends the wait; empty when the budget is used up.
Status Waiter::spin(FunctionRef<bool(Look)> ready, os::Deadline deadline,
                    const std::stop_token& stop) {
    if (spin_ <= 0) return Status::empty;
    const os::Nanoseconds start = os::now();
    constexpr os::Nanoseconds never = std::numeric_limits<os::Nanoseconds>::max();
    // A span beyond the end of the clock is for ever.
    const os::Nanoseconds spin_end = spin_ >= never - start ? never : start + spin_;
    // Often enough that a sweep comes soon after it is due.
    constexpr os::Nanoseconds between_close_looks = fast_tick / 4;
    os::Nanoseconds look_closer = start + between_close_looks;
    for (;;) {
        if (spin_briefly([&] { return ready(Look::quick); })) return Status::ok;
        const os::Nanoseconds now = os::now();
        if (stop.stop_requested()) return Status::interrupted;
        if (now >= look_for_removal_) {
            notice_removal(memory_);
            look_for_removal_ = now + between_looks_for_removal;
        }
        if (memory_.is_removed()) return Status::removed;
        if (!deadline.is_never() && now >= deadline.at) return Status::timed_out;
        if (now >= spin_end) return Status::empty;
        // Who spins for ever never parks: it looks after the dead itself.
        if (now >= look_closer) {
            if (is_sweep_due(memory_, now)) sweep(memory_, participant_, writable_);
            if (ready(Look::thorough)) return Status::ok;
            look_closer = os::now() + between_close_looks;
        }
    }
}

void Waiter::announce() {
    announce_in(parking_at(memory_, place_).announcement, wanted_);
    if (place_ != room_place) announce_in(memory_.header().announcement);
}

/// When a delayed message may be due at this place.
os::Nanoseconds Waiter::due() const {
    if (place_ == room_place) return os::Deadline::never().at;
    return next_due_at(memory_.group(place_ - 1));
}

/// `wanted_` is withdrawn before its waker increments the futex, and that waker may die in between.
bool Waiter::is_announced() const {
    const std::uint64_t whole = Announcement::pending | wanted_;
    return (parking_at(memory_, place_).announcement.load(std::memory_order_acquire) & whole) ==
           whole;
}

Status Waiter::park(FunctionRef<bool(Look)> ready, os::Deadline deadline,
                    const std::stop_token& stop) {
    format::Parking& parking = parking_at(memory_, place_);
    const auto wake_self = [&parking] { wake_all_at(parking, news_bit); };
    std::optional<std::stop_callback<decltype(wake_self)>> on_stop;
    if (stop.stop_possible()) on_stop.emplace(stop, wake_self);

    SentinelDuty duty(memory_, participant_, place_, writable_);
    for (;;) {
        const std::uint32_t expected = parking.futex.load(std::memory_order_acquire);  // EDGE wake
        announce();
        const bool barrier = os::heavy_barrier();  // EDGE park
        // A tick interrupts the sleep, no more: `pending` is withdrawn only after the futex was
        // incremented, so it stands for as long as the futex does at `expected`. Neither it nor the
        // barrier, which interrupts all processors, is needed again.
        bool asleep_still = false;
        do {
            const os::Nanoseconds looked_at = os::now();
            const os::Nanoseconds due_then = due();
            if (ready(Look::thorough)) return Status::ok;
            if (memory_.is_removed()) return Status::removed;
            if (stop.stop_requested()) return Status::interrupted;
            if (deadline.passed()) return Status::timed_out;

            os::Nanoseconds wake_at = duty.next_tick();
            // Once the time had passed, a member found news and left. Whoever is still here is no
            // member, and has a time only from a damaged word: one in the past would make it spin.
            const os::Nanoseconds due_now = due();
            if (due_now > looked_at || due_now != due_then) wake_at = std::min(wake_at, due_now);
            if (!barrier) wake_at = std::min(wake_at, os::now() + slice);
            wake_at = std::min(wake_at, deadline.at);
            const auto result = os::futex_wait(parking.futex, expected, os::Deadline{wake_at},
                                               duty.is_mine() ? news_bit | duty_bit : news_bit);
            if (result == os::FutexResult::signalled && policy_.return_on_signal) {
                return ready(Look::thorough) ? Status::ok : Status::interrupted;
            }
            const bool ticked = result == os::FutexResult::timed_out;
            // First what it was woken for: a sweep takes longer than the wake-up itself.
            if (!ticked && ready(Look::thorough)) return Status::ok;
            duty.tick(ticked);
            if (ticked) notice_removal(memory_);
            // Its own sweep, or a call for the sentinel, may have woken others here.
            asleep_still = ticked && is_announced() &&
                           parking.futex.load(std::memory_order_acquire) == expected;
        } while (asleep_still);
    }
}

}  // namespace ipc::inline v1::protocol
