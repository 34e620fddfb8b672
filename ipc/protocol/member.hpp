#pragma once

// A member of a reliable named group: takes leases on messages and settles them (lease.hpp).

#include "ipc/protocol/dead_letter.hpp"
#include "ipc/protocol/lease.hpp"
#include "ipc/protocol/reader.hpp"
#include "ipc/protocol/sentinel.hpp"

namespace ipc::inline v1::protocol {

class IPC_API Member final : public Reader {
public:
    Member(const std::shared_ptr<ChannelMemory>& memory, const std::string& group,
           const GroupOptions& options);

    Status try_receive(Received& out) override { return take(out, LeaseState::leased); }
    Status try_reserve(Received& out) override { return take(out, LeaseState::reserved); }
    bool hand_out(Received& message) override;
    void release(Received& message) override;
    Status nack(Received& message, std::uint64_t delay_ms) override;
    Status reject(Received& message) override;
    Status renew(Received& message) override;
    bool held(const Received& message) const override;
    Position position() const override { return next_to_take(); }

    Status ack(Received& message) override {
        if (has_ended()) [[unlikely]] {
            end_lease();
            return Status::lease_lost;
        }
        Lease expected = message.lease;
        const Lease settled = expected.to(LeaseState::settled, expected.attempt(), index_);
        // EDGE settle: releases what this member read from the slot.
        if (!lease_of(message.position)
                 .compare_exchange_strong(expected.bits, settled.bits, std::memory_order_acq_rel))
            [[unlikely]] {
            end_lease();
            return Status::lease_lost;
        }
        record(message);
        end_lease();
        after_settling(message.position);
        return Status::ok;
    }

    Status poll(Received& out, Taking taking) override {
        const Position position = next_to_take();
        const SlotState state{
            ring_.at(position).state.load(std::memory_order_acquire)};  // EDGE ready
        if (!state.is_ready_at(position) && !has_news(Look::quick) && !group_ended())
            return Status::empty;
        // Within a wait: who waits counts as done with what it holds, which is not so of what it
        // takes now. EDGE busy: the lease is taken after this.
        const std::uint8_t before = self_->activity.load(std::memory_order_relaxed);
        self_->activity.store(static_cast<std::uint8_t>(format::Activity::running),
                              std::memory_order_relaxed);
        const Status status =
            take(out, taking == Taking::reserve ? LeaseState::reserved : LeaseState::leased);
        if (status == Status::empty) self_->activity.store(before, std::memory_order_relaxed);
        return status;
    }

protected:
    bool has_news(Look look) override;

private:
    std::atomic<std::uint64_t>& lease_of(Position position) const {
        return leases_[position & ring_.mask];
    }

    /// Where taking goes on. A hint: this member may hold what stands there, and others what
    /// follows.
    Position next_to_take() const {
        return later_of(group_->cursor.load(std::memory_order_relaxed),
                        group_->low_water_mark(std::memory_order_relaxed));
    }

    Status take(Received& out, LeaseState as) {
        memory_->check_fork();
        if (--until_look_around_ == 0) [[unlikely]]
            look_around();
        if (group_ended()) [[unlikely]]
            return Status::removed;
        if (group_->returned_hint.load(std::memory_order_relaxed) != 0 ||
            group_->next_due.load(std::memory_order_relaxed) != ~std::uint64_t{0} ||
            group_->dead_pending_hint.load(std::memory_order_relaxed) != 0) [[unlikely]] {
            if (take_returned(out, as)) return Status::ok;
        }
        const Position position = next_to_take();
        const Slot& slot = ring_.at(position);
        const SlotState state{slot.state.load(std::memory_order_acquire)};  // EDGE ready
        if (state.is_ready_at(position)) [[likely]] {
            if (take_fresh(out, position, slot, state, as)) return Status::ok;
        } else if (is_idle(position, state)) {
            return Status::empty;
        }
        return walk(out, position, as);
    }
    /// Nothing to take, to make room for or to report: what a member that polls finds nearly
    /// always.
    bool is_idle(Position position, SlotState state) const {
        return before(state.position(position), position) &&
               !producers_announced(*memory_, needs_fence_) && !memory_->is_removed();
    }

    /// Takes an untouched position whose slot was seen READY.
    bool take_fresh(Received& out, Position position, const Slot& slot, SlotState state,
                    LeaseState as) {
        auto& lease = lease_of(position);
        Lease seen{lease.load(std::memory_order_acquire)};
        if (!is_untouched(*memory_, seen, position)) return false;
        const Lease mine =
            Lease::make(memory_->lap_of(position), 1, seen.generation() + 1, index_, as);
        begin_lease();
        if (!lease.compare_exchange_strong(seen.bits, mine.bits, std::memory_order_acq_rel)) {
            end_lease();
            return false;
        }
        group_->cursor.store(position + 1, std::memory_order_relaxed);
        return accept(out, position, slot, state, mine);
    }

    /// A lease is this member's: hand its message out. False when there is nothing to hand out
    /// after all.
    bool accept(Received& out, Position position, const Slot& slot, SlotState state, Lease mine) {
        // The slot again (EDGE ready), now that the lease keeps it: what was seen READY before may
        // be long gone. And the group: without it nothing does.
        if (slot.state.load(std::memory_order_acquire) != state.bits || group_ended() ||
            !locate(slot, state, out)) [[unlikely]] {
            refuse(position, mine);
            return false;
        }
        out.position = position;
        out.lease = mine;
        out.handed = mine.state() == LeaseState::leased;
        if (out.handed && mine.attempt() > 1) [[unlikely]]
            count_redelivery();
        sample(slot, out);
        if (lease_limit_ms_ != 0) [[unlikely]]
            start_limit(position, mine);
        count(1, out.size);
        return true;
    }

    /// Whether the group ended, asked after reading a message: without the group nothing kept it
    /// whole. EDGE end.
    bool has_ended() const {
        std::atomic_thread_fence(std::memory_order_acquire);
        return group_ended();
    }

    // `has_leases` is 1 from before the first lease is taken until after the last is settled. The
    // sentinel is called before that lease, too: a death right after it is noticed at once.
    void begin_lease() {
        if (open_leases_++ != 0) return;
        self_->has_leases.store(1, std::memory_order_relaxed);
        watch_over(*memory_, needs_fence_);
    }
    void end_lease() {
        // EDGE due: a delay that was set before is seen by who finds no holder.
        if (--open_leases_ == 0) self_->has_leases.store(0, std::memory_order_release);
    }

    void after_settling(Position position) {
        const bool waited_for = producers_announced(*memory_, needs_fence_);
        if (((position + 1) & (step_ - 1)) == 0 || waited_for) make_room();
        if ((group_->parking.announcement.load(std::memory_order_relaxed) &
             format::Announcement::pending) != 0) [[unlikely]] {
            wake_if_finished(*memory_, group_index_);
        }
    }

    bool take_returned(Received& out, LeaseState as);
    bool take_again(Received& out, Position position, Lease seen, LeaseState as);
    Status walk(Received& out, Position position, LeaseState as);
    void refuse(Position position, Lease mine);
    void count_redelivery() {
        group_->counters.redelivered.fetch_add(1, std::memory_order_relaxed);
    }
    void start_limit(Position position, Lease mine);
    void make_room();
    void make_room_after_look(bool settled);
    void look_around();
    Status publish_dead_letter(Position position, Lease pending);
    void bury(Position position, Lease pending);
    bool bury_pending();
    Status give_up(Received& message, Lease next, std::uint64_t delay_ms);

    std::atomic<std::uint64_t>* leases_;
    std::uint64_t step_;
    std::uint64_t open_leases_ = 0;
    std::uint32_t lease_limit_ms_;
    std::uint32_t max_attempts_;
    bool manual_;
    std::uint32_t until_look_around_ = 1;
    std::uint32_t look_around_interval_ = 1;
    os::Nanoseconds looked_around_ = 0;
    os::Nanoseconds bury_again_ = 0;
    DeadLetterSink sink_;
};

}  // namespace ipc::inline v1::protocol
