#include "ipc/protocol/lease.hpp"

#include "ipc/protocol/wait.hpp"

namespace ipc::inline v1::protocol {

bool advance_low_water(const ChannelMemory& memory, unsigned group_index) {
    Group& group = memory.group(group_index);
    Position low = group.low_water.load(std::memory_order_acquire);
    Position position = low;
    while (position - low < memory.capacity()) {
        const Lease word{memory.lease(group_index, position).load(std::memory_order_acquire)};
        if (!is_taken_or_done(memory, word, position) || word.state() != LeaseState::settled) break;
        ++position;
    }
    return position != low &&
           group.low_water.compare_exchange_strong(low, position, std::memory_order_acq_rel);
}

void set_hint(std::atomic<std::uint64_t>& word, Position position) {
    using format::Hint;
    Hint seen{word.load(std::memory_order_relaxed)};
    Hint next{};
    do {
        const Position lowest =
            seen.is_none() ? position : earlier_of(seen.position(position), position);
        next = Hint::make(lowest, seen.version() + 1);
    } while (!word.compare_exchange_weak(seen.bits, next.bits, std::memory_order_acq_rel,
                                         std::memory_order_relaxed));
}

bool give_back(ChannelMemory& memory, unsigned group_index, Position position, Lease from,
               Lease next) {
    Group& group = memory.group(group_index);
    auto& hint = next.is_dead_pending() ? group.dead_pending : group.returned;
    set_hint(hint, position);
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

void store_deadline(const ChannelMemory& memory, unsigned group, Position position, Lease word,
                    std::uint64_t milliseconds) {
    memory.deadline(group, position)
        .store(format::DeadlineTag::make(milliseconds, word).bits, std::memory_order_release);
}

void note_due(Group& group, std::uint64_t milliseconds) {
    std::uint64_t seen = group.next_due.load(std::memory_order_relaxed);
    while (milliseconds < seen &&
           !group.next_due.compare_exchange_weak(seen, milliseconds, std::memory_order_acq_rel,
                                                 std::memory_order_relaxed)) {
    }
}

bool settle_aborted(const ChannelMemory& memory, unsigned group, Position position) {
    auto& lease = memory.lease(group, position);
    Lease word{lease.load(std::memory_order_acquire)};
    if (!is_untouched(memory, word, position)) return false;
    const Lease settled = Lease::make(memory.lap_of(position), 0, word.generation() + 1,
                                      format::no_participant, LeaseState::settled);
    if (!lease.compare_exchange_strong(word.bits, settled.bits, std::memory_order_acq_rel)) {
        return false;
    }
    memory.group(group).counters.aborted.fetch_add(1, std::memory_order_relaxed);
    return true;
}

bool is_finished(const ChannelMemory& memory, unsigned group, Position end, unsigned self) {
    const Position low = memory.group(group).low_water.load(std::memory_order_acquire);
    for (Position position = low; before(position, end) && position - low < memory.capacity();
         ++position) {
        const Lease word{memory.lease(group, position).load(std::memory_order_acquire)};
        if (!is_taken_or_done(memory, word, position)) return false;
        const bool done = word.state() == LeaseState::settled || word.is_dead_pending() ||
                          (word.is_held() && word.member() == self);
        if (!done) return false;
    }
    return true;
}

}  // namespace ipc::inline v1::protocol
