#include "ipc/protocol/lossy_reader.hpp"

#include "ipc/protocol/recovery.hpp"
#include "ipc/protocol/tail.hpp"

namespace ipc::inline v1::protocol {

LossyReader::LossyReader(const std::shared_ptr<ChannelMemory>& memory,
                         const SubscribeOptions& options)
    : Reader(memory, join_alone(*memory, options), ReaderKind::lossy,
             options.participant.wait_policy),
      next_(group_->start.load(std::memory_order_relaxed)),
      shared_cursor_(false) {}

LossyReader::LossyReader(const std::shared_ptr<ChannelMemory>& memory, const std::string& group,
                         const GroupOptions& options)
    : Reader(memory, join_group(*memory, group, options), ReaderKind::lossy,
             options.participant.wait_policy),
      next_(group_->cursor.load(std::memory_order_acquire)),
      shared_cursor_(true) {}

bool LossyReader::move_cursor(Position to) {
    if (!shared_cursor_) {
        next_ = to;
        group_->cursor.store(to, std::memory_order_release);  // after what pass_over counted
        store_mark(to);
        return true;
    }
    Position expected = next_;
    const bool moved =
        group_->cursor.compare_exchange_strong(expected, to, std::memory_order_acq_rel);
    next_ = moved ? to : expected;
    if (moved) store_mark(to);
    return moved;
}

/// To where the next message may be, over what this group hands to nobody: counted first, in the
/// order that format::GroupCounters asks for.
bool LossyReader::pass_over(Position to) {
    auto& passed_over = group_->counters.passed_over;
    const std::uint64_t positions = to - next_;
    passed_over.fetch_add(positions, std::memory_order_relaxed);
    if (move_cursor(to)) return true;
    passed_over.fetch_sub(positions, std::memory_order_relaxed);
    return false;
}

void LossyReader::catch_up() {
    const Position oldest = oldest_whole(*memory_, next_);
    const Position tail = find_tail(*memory_);
    const Position target =
        later_of(earlier_of(oldest + memory_->capacity() / 4, tail), later_of(oldest, next_ + 1));
    const std::uint64_t missed = target - next_;
    if (pass_over(target)) {
        skipped_ += missed;
        group_->counters.skipped.fetch_add(missed, std::memory_order_relaxed);
    }
}

std::optional<Status> LossyReader::look(SlotState& state) {
    const Slot& slot = ring_.at(next_);
    state = {slot.state.load(std::memory_order_acquire)};  // EDGE ready
    if (state.is_ready_at(next_)) return Status::ok;
    if (before(state.position(next_), next_)) {
        if (memory_->is_removed() || group_ended()) return Status::removed;
        return Status::empty;
    }
    if (!state.is_at(next_)) {
        catch_up();
        return std::nullopt;
    }
    if (state.phase() == Phase::closed) return Status::closed;
    if (state.phase() == Phase::claimed && !is_abandoned(*memory_, slot, state)) {
        if (memory_->is_removed() || group_ended()) return Status::removed;
        return Status::empty;
    }
    if (pass_over(next_ + 1)) {
        group_->counters.aborted.fetch_add(1, std::memory_order_relaxed);
    }
    return std::nullopt;
}

Status LossyReader::peek(Received& out) {
    memory_->check_fork();
    if (shared_cursor_) next_ = group_->cursor.load(std::memory_order_acquire);
    for (std::uint64_t turns = 0; turns < most_turns(); ++turns) {
        SlotState state{};
        const std::optional<Status> status = look(state);
        if (!status) continue;
        if (*status != Status::ok) return *status;
        const Slot& slot = ring_.at(next_);
        out.position = next_;
        const bool located = locate(slot, state, out);
        out.publish_time =
            static_cast<std::int64_t>(slot.publish_time.load(std::memory_order_relaxed));
        if (!was_whole(*memory_, next_)) {
            catch_up();
        } else if (located) {
            return Status::ok;
        } else if (pass_over(next_ + 1)) {
            group_->counters.not_understood.fetch_add(1, std::memory_order_relaxed);
        }
    }
    return Status::empty;
}

Status LossyReader::try_receive(Received& out) {
    memory_->check_fork();
    if (group_ended()) return Status::removed;
    for (std::uint64_t turns = 0; turns < most_turns(); ++turns) {
        Received seen;
        if (const Status status = peek(seen); status != Status::ok) return status;
        const std::uint32_t index = spare_buffer();
        auto& copy = buffers_[index];
        const auto whole = seen.whole();
        copy.resize(whole.size() / sizeof(AlignedBlock) + 1);
        format::copy_out(copy.data(), whole.data(), whole.size());
        if (!was_whole(*memory_, seen.position)) {
            catch_up();
            continue;
        }
        if (!move_cursor(seen.position + 1)) continue;  // another member has it
        spare_.pop_back();  // not before the message is this reader's for good
        out.buffer = index;
        out.body = copy.front().bytes + seen.extension;
        out.size = seen.size;
        out.extension = seen.extension;
        out.position = seen.position;
        out.publish_time = seen.publish_time;
        out.received_at = 0;
        if (seen.publish_time != 0) note_sampled(out);
        out.handed = true;
        count(1, out.size);
        return Status::ok;
    }
    return Status::empty;
}

/// One that no message uses; it stays spare until it is taken out. In this order, so that what
/// throws for want of memory leaves no index without a buffer, and what gives a buffer back never
/// throws.
std::uint32_t LossyReader::spare_buffer() {
    if (spare_.empty()) {
        buffers_.emplace_back();
        spare_.reserve(buffers_.size());
        spare_.push_back(static_cast<std::uint32_t>(buffers_.size() - 1));
    }
    return spare_.back();
}

void LossyReader::release(Received& message) {
    if (message.buffer == no_buffer) return;  // a peek
    record(message);
    spare_.push_back(message.buffer);
}

Status LossyReader::ack(Received& message) {
    release(message);
    return Status::ok;
}

bool LossyReader::has_news(Look look) {
    if (shared_cursor_) next_ = group_->cursor.load(std::memory_order_acquire);
    return slot_has_news(next_, look);
}

}  // namespace ipc::inline v1::protocol
