#pragma once

// A subscriber: the only reader of its own anonymous group, gating. It reads messages in place and
// stores the oldest position it still holds as the group's low-water mark: a plain store, at least
// once every `step` messages, at once after a message in a region and when a producer announced
// that it waits, and before it parks.
//
// EDGE settle: the mark is stored with release after the last read of what it gives up.

#include <utility>
#include <vector>

#include "ipc/os/processor.hpp"
#include "ipc/protocol/reader.hpp"

namespace ipc::inline v1::protocol {

class IPC_API Subscriber final : public Reader {
public:
    Subscriber(const std::shared_ptr<ChannelMemory>& memory, const SubscribeOptions& options);
    ~Subscriber() override {
        if (!is_inherited()) publish_position();
    }

    Status try_receive(Received& out) override {
        const Slot& slot = ring_.at(next_);
        const SlotState state{slot.state.load(std::memory_order_acquire)};  // EDGE ready
        if (state.is_ready_at(next_)) [[likely]] {
            if (accept(slot, state, out)) [[likely]]
                return Status::ok;
        } else if (is_idle(state)) {
            return Status::empty;
        }
        return look(out);
    }

    Status try_reserve(Received& out) override { return try_receive(out); }

    /// Takes for a batch what is there now, `most` messages at the utmost, and returns how many. A
    /// message goes to where place() points; the last place may stay unused. They are counted as a
    /// whole: so many are uncounted if the process dies here.
    template <class Place>
    std::size_t try_receive_some(std::size_t most, Place&& place) {
        memory_->check_fork();
        const Position first = next_;
        Position next = first;
        std::size_t bytes = 0;
        for (; next - first < most; ++next) {
            const Slot& slot = ring_.at(next);
            const SlotState state{slot.state.load(std::memory_order_acquire)};  // EDGE ready
            if (!state.is_ready_at(next)) break;
            Received& out = *place();
            if (!read(slot, state, next, out)) [[unlikely]]
                break;
            bytes += out.size;
        }
        const std::uint64_t taken = next - first;
        next_ = next;
        count(taken, bytes);
        if (taken < most) publish_position();
        return taken;
    }

    void release(Received& message) override { after_giving_up(give_up(message)); }
    /// The two halves of release, for a batch: the mark moves once. Whether that should be at once:
    /// a few large messages fill a region long before a step of slots.
    bool give_up(const Received& message) {
        record(message);
        if (message.position != oldest_ || early_ != 0) [[unlikely]]
            return release_out_of_order(message);
        ++oldest_;
        return message.in_region;
    }
    /// Moves the mark when it is time.
    void after_giving_up(bool at_once) {
        if (oldest_ - published_ >= step_ || at_once ||
            producers_announced(*memory_, needs_fence_)) {
            publish_position();
        }
    }

    Status ack(Received& message) override {
        release(message);
        return Status::ok;
    }
    Position position() const override { return next_; }
    Status poll(Received& out, Taking /*taking*/) override {
        const Slot& slot = ring_.at(next_);
        const SlotState state{slot.state.load(std::memory_order_acquire)};  // EDGE ready
        if (!state.is_ready_at(next_)) {
            if (has_news(Look::quick) || group_ended()) return try_receive(out);
            ++empty_polls_;
            return Status::empty;
        }
        if (std::exchange(empty_polls_, 0U) >= polls_of_a_wait) fetch_ahead();
        return accept(slot, state, out) ? Status::ok : look(out);
    }

protected:
    /// Inlined into poll, which counts for a round trip.
    bool has_news(Look look) override {
        // Sweeps look where this one waits, not at what it holds.
        if (look == Look::thorough) group_->cursor.store(next_, std::memory_order_relaxed);
        return slot_has_news(next_, look);
    }

private:
    /// After so many empty polls, messages are as far apart as questions and answers. In a stream,
    /// what is fetched too soon would be taken from a producer that is about to write.
    static constexpr unsigned polls_of_a_wait = 2;

    /// Before this message is even read: the first lines of the next two slots, as they are. The
    /// producer touched them last (Touching).
    [[gnu::always_inline]] void fetch_ahead() const {
        os::fetch(&ring_.at(next_ + 1));
        os::fetch(&ring_.at(next_ + 2));
    }
    /// Fills in a message of this position; false when it is none that this version can hand out.
    bool read(const Slot& slot, SlotState state, Position position, Received& out) const {
        if (!locate(slot, state, out)) [[unlikely]]
            return false;
        out.position = position;
        sample(slot, out);
        return true;
    }
    /// Takes the message at next_; false when there is none that this version can hand out.
    bool accept(const Slot& slot, SlotState state, Received& out) {
        memory_->check_fork();
        if (!read(slot, state, next_, out)) [[unlikely]]
            return false;
        ++next_;
        count(1, out.size);
        return true;
    }
    /// Nothing to read, to publish or to report: what a reader that polls finds nearly always.
    bool is_idle(SlotState state) const {
        return before(state.position(next_), next_) && oldest_ == published_ && !group_ended() &&
               !memory_->is_removed() && !is_inherited();
    }
    Status look(Received& out);
    void pass_over(std::atomic<std::uint64_t>& counter);
    bool release_out_of_order(const Received& message);
    void publish_position();

    Position next_;
    Position oldest_;     ///< the oldest message still held, else next_
    Position published_;  ///< the low-water mark as last stored
    std::uint64_t step_;
    unsigned empty_polls_ = 0;          ///< since the last message that a poll found
    std::uint64_t early_ = 0;           ///< released before an older one
    bool early_in_region_ = false;      ///< perhaps one of these
    std::vector<bool> released_early_;  ///< by position within a lap
};

}  // namespace ipc::inline v1::protocol
