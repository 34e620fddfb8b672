#include "ipc/protocol/subscriber.hpp"

#include "ipc/protocol/recovery.hpp"

namespace ipc::inline v1::protocol {

Subscriber::Subscriber(const std::shared_ptr<ChannelMemory>& memory,
                       const SubscribeOptions& options)
    : Reader(memory, join_alone(*memory, options), ReaderKind::subscriber,
             options.participant.wait_policy),
      next_(group_->start.load(std::memory_order_relaxed)),
      oldest_(next_),
      published_(next_),
      step_(memory_->step()),
      released_early_(memory_->capacity()) {}

Status Subscriber::look(Received& out) {
    memory_->check_fork();
    auto& counters = group_->counters;
    // Bounded, whatever the slots say: a wait looks again anyway.
    for (std::uint64_t turns = 0; turns < ring_.capacity() + 1; ++turns) {
        const Slot& slot = ring_.at(next_);
        const SlotState state{slot.state.load(std::memory_order_acquire)};  // EDGE ready
        if (before(state.position(next_), next_)) break;
        if (!state.is_at(next_)) {
            // Only the end of the group, or damage, lets producers overtake its gate.
            if (group_ended()) return Status::removed;
            const Position oldest = later_of(oldest_whole(*memory_, next_), next_ + 1);
            skipped_ += oldest - next_;
            if (oldest_ == next_) oldest_ = oldest;
            next_ = oldest;
            continue;
        }
        if (state.phase() == Phase::closed) {
            publish_position();
            return Status::closed;
        }
        if (state.phase() == Phase::ready) {
            if (accept(slot, state, out)) return Status::ok;
            pass_over(counters.not_understood);
        } else if (state.phase() == Phase::aborted || is_abandoned(*memory_, slot, state)) {
            pass_over(counters.aborted);
        } else {
            break;  // claimed: its producer is writing
        }
    }
    publish_position();
    return memory_->is_removed() || group_ended() ? Status::removed : Status::empty;
}

/// There is no message for this reader at next_: go on after it.
void Subscriber::pass_over(std::atomic<std::uint64_t>& counter) {
    counter.fetch_add(1, std::memory_order_relaxed);
    group_->counters.passed_over.fetch_add(1, std::memory_order_relaxed);
    if (oldest_ == next_) {
        ++oldest_;
    } else {
        released_early_[next_ & ring_.mask] = true;
        ++early_;
    }
    ++next_;
}

bool Subscriber::release_out_of_order(const Received& message) {
    released_early_[message.position & ring_.mask] = true;
    ++early_;
    early_in_region_ = early_in_region_ || message.in_region;
    const Position former = oldest_;
    while (oldest_ != next_ && released_early_[oldest_ & ring_.mask]) {
        released_early_[oldest_ & ring_.mask] = false;
        --early_;
        ++oldest_;
    }
    // What one in a region waited for may itself be in a slot, and give no occasion.
    const bool frees_region = oldest_ != former && early_in_region_;
    early_in_region_ = early_in_region_ && early_ != 0;
    return frees_region;
}

void Subscriber::publish_position() {
    if (oldest_ == published_) return;
    const std::uint64_t freed = oldest_ - published_;
    group_->cursor.store(next_, std::memory_order_relaxed);
    store_mark(oldest_);
    published_ = oldest_;
    if (producers_announced(*memory_, needs_fence_)) wake_producers(*memory_, freed);
}

}  // namespace ipc::inline v1::protocol
