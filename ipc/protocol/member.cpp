#include "ipc/protocol/member.hpp"

#include <algorithm>
#include <span>
#include <vector>

#include "ipc/protocol/recovery.hpp"

namespace ipc::inline v1::protocol {
namespace {

using format::Hint;
using format::no_participant;

Membership join(ChannelMemory& memory, const std::string& group, const GroupOptions& options) {
    return join_group(memory, group, options, [&] {
        if (!options.dead_letter.empty()) check_dead_letter_target(memory, options.dead_letter);
    });
}

constexpr std::uint64_t longest_delay_ms = std::uint64_t{1} << 39;  // 17 years; tags hold 40 bits
constexpr os::Nanoseconds burial_pause = 1'000'000'000;

}  // namespace

Member::Member(const std::shared_ptr<ChannelMemory>& memory, const std::string& group,
               const GroupOptions& options)
    : Reader(memory, join(*memory, group, options), ReaderKind::member,
             options.participant.wait_policy),
      leases_(&memory->lease(group_index_, 0)),
      step_(memory_->step()),
      lease_limit_ms_(group_->lease_limit_ms.load(std::memory_order_relaxed)),
      max_attempts_(group_->max_attempts.load(std::memory_order_relaxed)),
      manual_(status_.has(GroupStatus::manual_ack)),
      sink_(*memory_, group, options.dead_letter) {}

Status Member::walk(Received& out, Position position, LeaseState as) {
    if (group_ended() || memory_->is_removed()) return Status::removed;
    bool settled = false;
    for (std::uint64_t turns = 0; turns <= 2 * ring_.capacity(); ++turns) {
        const Slot& slot = ring_.at(position);
        const SlotState state{slot.state.load(std::memory_order_acquire)};  // EDGE ready
        const Lease word{lease_of(position).load(std::memory_order_acquire)};
        if (before(state.position(position), position)) break;
        if (!state.is_at(position)) {
            // Gone: this member slept over it.
            position = later_of(position + 1, group_->low_water_mark(std::memory_order_acquire));
            continue;
        }
        if (state.phase() == Phase::closed) {
            make_room_after_look(settled);
            return is_finished(*memory_, group_index_, position, index_) ? Status::closed
                                                                         : Status::empty;
        }
        if (is_untouched(*memory_, word, position)) {
            if (state.phase() == Phase::ready) {
                if (take_fresh(out, position, slot, state, as)) return Status::ok;
                continue;
            }
            if (state.phase() == Phase::claimed && !is_abandoned(*memory_, slot, state)) break;
            settled |= settle_aborted(*memory_, group_index_, position);
            continue;
        }
        ++position;
        group_->cursor.store(position, std::memory_order_relaxed);
    }
    make_room_after_look(settled);
    return Status::empty;
}

bool Member::take_returned(Received& out, LeaseState as) {
    const std::uint64_t due = group_->next_due.load(std::memory_order_acquire);
    const bool delay_over = due != ~std::uint64_t{0} && os::now_ms() >= due;
    Hint hint{group_->returned_hint.load(std::memory_order_acquire)};  // EDGE hint
    bury_pending();
    if (hint.is_none() && !delay_over) return false;
    // Cleared before the words are scanned; who gives something back meanwhile sets it anew.
    if (!hint.is_none()) {
        group_->returned_hint.compare_exchange_strong(hint.bits, Hint::none().bits,
                                                      std::memory_order_acq_rel);
    }
    if (delay_over) {
        std::uint64_t seen = due;
        group_->next_due.compare_exchange_strong(seen, ~std::uint64_t{0},
                                                 std::memory_order_acq_rel);
    }
    bool taken = false;
    std::uint64_t next_due = ~std::uint64_t{0};
    const std::uint64_t now = os::now_ms();
    for_each_lease(*memory_, group_index_, [&](Position position, Lease word) {
        const bool delayed = word.state() == LeaseState::delayed;
        if (word.state() != LeaseState::returned && !delayed) return;
        if (delayed) {
            const std::uint64_t at =
                deadline_of(*memory_, group_index_, position, word);  // EDGE delay
            if (now < at) {
                next_due = std::min(next_due, at);
                return;
            }
        }
        if (taken) {
            // More for others, and for the next call.
            set_hint(group_->returned_hint, position);
        } else {
            taken = take_again(out, position, word, as);
        }
    });
    if (next_due != ~std::uint64_t{0}) note_due(*group_, next_due);
    if (taken && group_->returned_hint.load(std::memory_order_relaxed) != 0) {
        wake_group(*memory_, group_index_, 1);
    }
    return taken;
}

bool Member::take_again(Received& out, Position position, Lease seen, LeaseState as) {
    const Slot& slot = ring_.at(position);
    const SlotState state{slot.state.load(std::memory_order_acquire)};  // EDGE ready
    const bool exhausted = max_attempts_ != 0 && seen.attempt() >= max_attempts_;
    const unsigned attempt = std::min(seen.attempt() + 1, 255U);
    const Lease mine = exhausted ? seen.to(LeaseState::dead_exhausted, seen.attempt(), index_)
                                 : seen.to(as, attempt, index_);
    begin_lease();
    if (!lease_of(position).compare_exchange_strong(seen.bits, mine.bits,
                                                    std::memory_order_acq_rel)) {
        end_lease();
        return false;
    }
    if (exhausted) {
        bury(position, mine);
        end_lease();
        return false;
    }
    if (!state.is_ready_at(position)) {
        refuse(position, mine);
        return false;
    }
    return accept(out, position, slot, state, mine);
}

/// A position that turned out to hold nothing this version can hand out.
void Member::refuse(Position position, Lease mine) {
    Lease expected = mine;
    if (lease_of(position).compare_exchange_strong(
            expected.bits, mine.to(LeaseState::settled, mine.attempt(), index_).bits,
            std::memory_order_acq_rel)) {
        auto& counters = group_->counters;
        counters.not_understood.fetch_add(1, std::memory_order_relaxed);
        if (mine.attempt() <= 1) counters.passed_over.fetch_add(1, std::memory_order_relaxed);
    }
    end_lease();
    after_settling(position);
}

void Member::start_limit(Position position, Lease mine) {
    set_deadline(*memory_, group_index_, position, mine, mine, os::now_ms() + lease_limit_ms_);
}

bool Member::hand_out(Received& message) {
    if (message.handed) return true;
    if (group_ended()) return false;
    Lease expected = message.lease;
    const Lease mine = expected.to(LeaseState::leased, expected.attempt(), index_);
    if (!lease_of(message.position)
             .compare_exchange_strong(expected.bits, mine.bits, std::memory_order_acq_rel)) {
        return false;
    }
    restart_service(message);
    message.lease = mine;
    message.handed = true;
    if (mine.attempt() > 1) count_redelivery();
    if (lease_limit_ms_ != 0) start_limit(message.position, mine);
    return true;
}

void Member::release(Received& message) {
    if (message.handed && !manual_) {
        (void)ack(message);
        return;
    }
    const unsigned attempt = message.handed ? message.lease.attempt() : message.lease.attempt() - 1;
    (void)give_up(message, message.lease.to(LeaseState::returned, attempt, no_participant), 0);
}

Status Member::give_up(Received& message, Lease next, std::uint64_t delay_ms) {
    if (has_ended()) {
        end_lease();
        return Status::lease_lost;
    }
    const std::uint64_t due = delay_ms == 0 ? 0 : os::now_ms() + delay_ms;
    if (due != 0) {
        // EDGE delay: before the word says so.
        set_deadline(*memory_, group_index_, message.position, message.lease, next, due);
        note_due(*group_, due);
    }
    const bool mine = give_back(*memory_, group_index_, message.position, message.lease, next);
    // A member that passed the word before the exchange may have recomputed the time without it.
    if (due != 0 && mine) note_due(*group_, due);
    end_lease();
    return mine ? Status::ok : Status::lease_lost;
}

Status Member::nack(Received& message, std::uint64_t delay_ms) {
    delay_ms = std::min(delay_ms, longest_delay_ms);
    const LeaseState state = delay_ms == 0 ? LeaseState::returned : LeaseState::delayed;
    return give_up(message, message.lease.to(state, message.lease.attempt(), no_participant),
                   delay_ms);
}

Status Member::reject(Received& message) {
    if (has_ended()) {
        end_lease();
        return Status::lease_lost;
    }
    Lease expected = message.lease;
    const Lease pending = expected.to(LeaseState::dead_rejected, expected.attempt(), index_);
    if (!lease_of(message.position)
             .compare_exchange_strong(expected.bits, pending.bits, std::memory_order_acq_rel)) {
        end_lease();
        return Status::lease_lost;
    }
    group_->counters.rejected.fetch_add(1, std::memory_order_relaxed);
    record(message);
    bury(message.position, pending);
    end_lease();
    // With the group, the letter may have gone.
    return has_ended() ? Status::lease_lost : Status::ok;
}

/// A new word, and not only a new deadline: a sweep that found the limit over a moment ago, and
/// takes the lease away only now, would take it right after it was renewed. As with every lease,
/// the deadline follows the word: a sweep that comes in between starts the limit.
Status Member::renew(Received& message) {
    memory_->check_fork();
    if (!held(message)) return Status::lease_lost;
    if (lease_limit_ms_ == 0) return Status::ok;
    Lease expected = message.lease;
    const Lease renewed = expected.to(expected.state(), expected.attempt(), index_);
    if (!lease_of(message.position)
             .compare_exchange_strong(expected.bits, renewed.bits, std::memory_order_acq_rel)) {
        return Status::lease_lost;
    }
    message.lease = renewed;
    start_limit(message.position, renewed);
    return held(message) ? Status::ok : Status::lease_lost;
}

bool Member::held(const Received& message) const {
    if (has_ended() ||
        lease_of(message.position).load(std::memory_order_acquire) != message.lease.bits) {
        return false;
    }
    if (lease_limit_ms_ == 0) return true;
    const std::uint64_t due = deadline_of(*memory_, group_index_, message.position, message.lease);
    return due == 0 || os::now_ms() < due;
}

/// Publishes the message this member holds as pending to the dead-letter channel. too_large or
/// wrong_size: it never will be; lease_lost: the group ended; anything else: not now.
Status Member::publish_dead_letter(Position position, Lease pending) {
    try {
        if (!sink_.open()) return Status::removed;
        const Slot& slot = ring_.at(position);
        const SlotState state{slot.state.load(std::memory_order_acquire)};  // EDGE ready
        Received message;
        const bool is_there = state.is_ready_at(position) && locate(slot, state, message);
        const auto body = is_there ? message.bytes() : std::span<const std::byte>{};
        // Publishing takes long enough for the group to end, and for producers to write there next:
        // what is published is a copy, and the group still lived when that was made.
        const std::vector<std::byte> copy(body.begin(), body.end());
        if (has_ended()) return Status::lease_lost;
        if (!is_there) return Status::wrong_size;
        const bool rejected = pending.state() == LeaseState::dead_rejected;
        return sink_.publish(
            copy, position, pending.attempt(),
            rejected ? DeadLetterReason::rejected : DeadLetterReason::attempts_exhausted);
    } catch (const std::exception&) {
        return Status::removed;  // no memory, for example
    }
}

/// Dead-letters a message this member holds as pending: copy first, then settle, so that a death in
/// between repeats the copy rather than loses the message. What cannot be copied now stays pending,
/// nobody's.
void Member::bury(Position position, Lease pending) {
    auto& counters = group_->counters;
    std::atomic<std::uint64_t>* counter = &counters.dropped;
    if (sink_.is_configured()) {
        switch (publish_dead_letter(position, pending)) {
            case Status::ok: counter = &counters.dead_lettered; break;
            case Status::too_large:
            case Status::wrong_size: break;
            case Status::lease_lost: return;
            default:
                bury_again_ = os::now() + burial_pause;
                give_back(*memory_, group_index_, position, pending,
                          pending.to(pending.state(), pending.attempt(), no_participant));
                return;
        }
    }
    Lease expected = pending;
    if (lease_of(position).compare_exchange_strong(
            expected.bits, pending.to(LeaseState::settled, pending.attempt(), index_).bits,
            std::memory_order_acq_rel)) {
        counter->fetch_add(1, std::memory_order_relaxed);
    }
    after_settling(position);
}

/// Tries again what could not be dead-lettered before; whether anything was tried.
bool Member::bury_pending() {
    Hint hint{group_->dead_pending_hint.load(std::memory_order_acquire)};  // EDGE hint
    if (hint.is_none() || os::now() < bury_again_) return false;
    group_->dead_pending_hint.compare_exchange_strong(hint.bits, Hint::none().bits,
                                                      std::memory_order_acq_rel);
    bury_again_ = 0;
    for_each_lease(*memory_, group_index_, [&](Position position, Lease word) {
        if (!word.is_dead_pending() || word.member() != no_participant) return;
        if (bury_again_ != 0) {  // the target refused the one before
            set_hint(group_->dead_pending_hint, position);
            return;
        }
        const Lease mine = word.to(word.state(), word.attempt(), index_);
        begin_lease();
        if (lease_of(position).compare_exchange_strong(word.bits, mine.bits,
                                                       std::memory_order_acq_rel)) {
            bury(position, mine);
        }
        end_lease();
    });
    return true;
}

/// Moves the low-water mark, and wakes producers whoever moved it: a producer that did so on its
/// way to sleep wakes nobody.
void Member::make_room() {
    const Position former = group_->low_water_mark(std::memory_order_relaxed);
    advance_low_water(*memory_, group_index_, status_);
    if (!producers_announced(*memory_, needs_fence_)) return;
    const Position now = group_->low_water_mark(std::memory_order_relaxed);
    wake_producers(*memory_, std::max<std::uint64_t>(1, now - former));
}

/// Who looked and settled nothing owes nobody what it does not move. Waking a producer at every
/// look would keep that from sleeping, and take the refusals that are meant for the reader who
/// holds it up.
void Member::make_room_after_look(bool settled) {
    if (!producers_announced(*memory_, needs_fence_)) return;
    if (settled) {
        make_room();
    } else if (advance_low_water(*memory_, group_index_, status_)) {
        wake_producers(*memory_, memory_->capacity());
    }
}

/// Now and then, about once a millisecond but at least at every 16th message: when no sentinel
/// ticks, a busy member looks after the dead.
void Member::look_around() {
    const os::Nanoseconds now = os::now();
    const os::Nanoseconds since = now - looked_around_;
    if (since < 500'000) {
        look_around_interval_ = std::min(look_around_interval_ * 2, 16U);
    } else if (since > 2'000'000) {
        look_around_interval_ = since > 20'000'000 ? 1 : std::max(look_around_interval_ / 2, 1U);
    }
    looked_around_ = now;
    until_look_around_ = look_around_interval_;
    if (is_sweep_due(*memory_, now)) sweep(*memory_, index_, nullptr);
}

bool Member::has_news(Look look) {
    if (group_->returned_hint.load(std::memory_order_relaxed) != 0) return true;
    const std::uint64_t due = group_->next_due.load(std::memory_order_relaxed);
    if (due != ~std::uint64_t{0} && os::now_ms() >= due) return true;
    if (look == Look::thorough && group_->dead_pending_hint.load(std::memory_order_relaxed) != 0 &&
        os::now() >= bury_again_) {
        return true;
    }
    const Position next = next_to_take();
    if (!slot_has_news(next, look)) return false;
    const SlotState state{ring_.at(next).state.load(std::memory_order_acquire)};
    if (!state.is_at(next) || state.phase() != Phase::closed) return true;
    return look == Look::thorough && is_finished(*memory_, group_index_, next, index_);
}

}  // namespace ipc::inline v1::protocol
