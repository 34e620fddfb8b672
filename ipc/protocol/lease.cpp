#include "ipc/protocol/lease.hpp"

#include "ipc/protocol/tail.hpp"
#include "ipc/protocol/wait.hpp"

namespace ipc::inline v1::protocol {

bool advance_low_water(const ChannelMemory& memory, unsigned group_index, GroupStatus status) {
    Group& group = memory.group(group_index);
    // EDGE settle: acquires what owners settled, releases it with the mark.
    format::LowWater mark{group.low_water.load(std::memory_order_acquire)};
    // The group may have ended since its status was read, and the mark be a subscriber's, who has
    // no words: those that lie here are the former group's.
    if (!mark.is_of(status.incarnation())) return false;
    const Position low = mark.position(group.cursor.load(std::memory_order_relaxed));
    Position position = low;
    while (position - low < memory.capacity()) {
        const Lease word{memory.lease(group_index, position).load(std::memory_order_acquire)};
        if (!is_taken_or_done(memory, word, position) || word.state() != LeaseState::settled) break;
        ++position;
    }
    return position != low &&  // EDGE settle
           group.low_water.compare_exchange_strong(mark.bits, mark.moved_to(position).bits,
                                                   std::memory_order_acq_rel);
}

void set_hint(std::atomic<std::uint64_t>& word, Position position) {
    using format::Hint;
    Hint seen{word.load(std::memory_order_relaxed)};
    Hint next{};
    do {
        const Position lowest =
            seen.is_none() ? position : earlier_of(seen.position(position), position);
        next = Hint::make(lowest, seen.version() + 1);
        // EDGE hint
    } while (!word.compare_exchange_weak(seen.bits, next.bits, std::memory_order_acq_rel,
                                         std::memory_order_relaxed));
}

bool give_back(ChannelMemory& memory, unsigned group_index, Position position, Lease from,
               Lease next) {
    Group& group = memory.group(group_index);
    auto& hint = next.is_dead_pending() ? group.dead_pending_hint : group.returned_hint;
    set_hint(hint, position);
    // EDGE settle, and EDGE delay: the deadline of a delayed word is set by now.
    if (!memory.lease(group_index, position)
             .compare_exchange_strong(from.bits, next.bits, std::memory_order_acq_rel)) {
        return false;
    }
    set_hint(hint, position);
    if (!next.is_dead_pending()) group.counters.returned.fetch_add(1, std::memory_order_relaxed);
    wake_group(memory, group_index, 1);
    return true;
}

std::uint64_t deadline_of(const ChannelMemory& memory, unsigned group, Position position,
                          Lease word) {
    const format::DeadlineTag tag{memory.deadline(group, position).load(std::memory_order_acquire)};
    return tag.belongs_to(word) ? tag.milliseconds() : 0;
}

void set_deadline(const ChannelMemory& memory, unsigned group, Position position, Lease owned,
                  Lease next, std::uint64_t milliseconds) {
    auto& deadline = memory.deadline(group, position);
    const std::uint64_t wanted = format::DeadlineTag::make(milliseconds, next).bits;
    std::uint64_t seen = deadline.load(std::memory_order_acquire);
    // Whoever got the lease since sets the deadline after the word, so one of the two checks fails.
    while (memory.lease(group, position).load(std::memory_order_acquire) == owned.bits &&
           !deadline.compare_exchange_weak(seen, wanted, std::memory_order_acq_rel)) {
    }
}

std::uint64_t end_of_lease(const ChannelMemory& memory, unsigned group, Position position,
                           Lease word, std::uint64_t limit_ms) {
    auto& deadline = memory.deadline(group, position);
    std::uint64_t seen = deadline.load(std::memory_order_acquire);
    const format::DeadlineTag tag{seen};
    const bool is_set = tag.milliseconds() != 0;  // a group begins with zeros, which are nobody's
    if (is_set && tag.belongs_to(word)) return tag.milliseconds();
    // The owner gives the message back with a delay, whose end it stores before it exchanges the
    // word: the delay must outlive that exchange. An owner that is stopped in between has the limit
    // once more after the delay, so that nobody loses a lease sooner than without.
    const Lease delayed = word.to(LeaseState::delayed, word.attempt(), format::no_participant);
    if (is_set && tag.belongs_to(delayed)) return tag.milliseconds() + limit_ms;
    // `seen` is older than this look at the word. So what the owner stored since, or who holds the
    // position next, makes the exchange fail, however long this process is stopped before it.
    const std::uint64_t end = os::now_ms() + limit_ms;
    if (memory.lease(group, position).load(std::memory_order_acquire) == word.bits) {
        deadline.compare_exchange_strong(seen, format::DeadlineTag::make(end, word).bits,
                                         std::memory_order_acq_rel);
    }
    return end;
}

os::Nanoseconds next_due_at(const Group& group) {
    const std::uint64_t due = group.next_due.load(std::memory_order_acquire);
    constexpr std::uint64_t longest = os::Deadline::never().at / 1'000'000;
    return due >= longest ? os::Deadline::never().at
                          : static_cast<os::Nanoseconds>(due) * 1'000'000;
}

void note_due(Group& group, std::uint64_t milliseconds) {
    std::uint64_t seen = group.next_due.load(std::memory_order_relaxed);
    while (milliseconds < seen &&
           !group.next_due.compare_exchange_weak(seen, milliseconds, std::memory_order_acq_rel,
                                                 std::memory_order_relaxed)) {
    }
}

bool settle_aborted(ChannelMemory& memory, unsigned group, Position position) {
    auto& lease = memory.lease(group, position);
    Lease word{lease.load(std::memory_order_acquire)};
    if (!is_untouched(memory, word, position)) return false;
    const Lease settled = Lease::make(memory.lap_of(position), 0, word.generation() + 1,
                                      format::no_participant, LeaseState::settled);
    if (!lease.compare_exchange_strong(word.bits, settled.bits, std::memory_order_acq_rel)) {
        return false;
    }
    auto& counters = memory.group(group).counters;
    counters.aborted.fetch_add(1, std::memory_order_relaxed);
    counters.passed_over.fetch_add(1, std::memory_order_relaxed);
    wake_if_finished(memory, group);
    return true;
}

void wake_if_finished(ChannelMemory& memory, unsigned group_index) {
    // The mark, if there is one, is at the first position that was not handed out: at the cursor,
    // or as far on as that lags. The window below may be long, and does not matter. A mark that is
    // set only after this look is no loss: whoever sets it wakes all, and who then goes back to
    // sleep announces itself, and looks once more, as to whoever settles next (EDGE park).
    //
    // The fence: of two that settle the last messages, at least one sees that both were handed out.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const Group& group = memory.group(group_index);
    const Position low = group.low_water_mark(std::memory_order_acquire);
    Position end = later_of(group.cursor.load(std::memory_order_acquire), low);
    while (end - low < memory.capacity() &&
           is_taken_or_done(memory,
                            Lease{memory.lease(group_index, end).load(std::memory_order_acquire)},
                            end)) {
        ++end;
    }
    if (is_closed_at(memory.ring(), end)) wake_group(memory, group_index, all_sleepers);
}

bool is_waiting(const ChannelMemory& memory, unsigned member) {
    return member < memory.participants_used() &&
           format::activity_of(memory.participant(member)) ==
               format::Activity::waiting_for_message &&
           memory.is_alive(member);
}

bool is_finished(const ChannelMemory& memory, unsigned group, Position end, unsigned self) {
    const Position low = memory.group(group).low_water_mark(std::memory_order_acquire);
    const GroupStatus status{memory.group(group).status.load(std::memory_order_acquire)};
    // With automatic acknowledgement a member may hold its last message while it asks for the next:
    // two of them would wait for each other. EDGE busy: its lease was read, with acquire, before.
    const bool waiting_is_done = !status.has(GroupStatus::manual_ack);
    for (Position position = low; before(position, end) && position - low < memory.capacity();
         ++position) {
        const Lease word{memory.lease(group, position).load(std::memory_order_acquire)};
        if (!is_taken_or_done(memory, word, position)) return false;
        const bool done =
            word.state() == LeaseState::settled || word.is_dead_pending() ||
            (word.is_held() &&
             (word.member() == self || (waiting_is_done && is_waiting(memory, word.member()))));
        if (!done) return false;
    }
    return true;
}

}  // namespace ipc::inline v1::protocol
