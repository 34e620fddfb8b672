#pragma once

// Publishing. A producer writes the message into the slot of its position and stores READY.
//
// Exclusive: nobody else claims positions, so there is nothing to claim: payload, then READY.
// Readers of the slot's former message are kept from torn data by the limit alone (limit.hpp), so
// the slot need not be marked while it is written, and a producer that dies in between leaves no
// trace: its successor writes the same position. No read-modify-write, and on x86-64 no fence.
//
// Shared: CAS the slot from its state of the previous lap to CLAIMED(position, me): claim and
// ownership become visible together. Claims are contiguous; the tail is a hint. Then payload, then
// READY. A claim of a dead producer counts as aborted (recovery.hpp).
//
// EDGE ready: READY is stored with release after the payload; a reader loads it with acquire
// before.

#include <cstring>
#include <memory>
#include <optional>
#include <stop_token>

#include "ipc/format/copy.hpp"
#include "ipc/protocol/limit.hpp"
#include "ipc/protocol/region.hpp"
#include "ipc/protocol/registry.hpp"
#include "ipc/protocol/sampling.hpp"
#include "ipc/protocol/wait.hpp"

namespace ipc::inline v1::protocol {

/// The extension headers of a message, already laid out; usually none.
struct Extension {
    const std::byte* data = nullptr;
    std::uint16_t size = 0;
};

/// How long an operation may wait.
struct Patience {
    os::Deadline deadline;
    std::stop_token stop{};
    /// What to return when the deadline passes: full for try_, else timed_out.
    Status when_over = Status::timed_out;

    static Patience none() { return {os::Deadline::immediate(), {}, Status::full}; }
};

class IPC_API ProducerCore {
public:
    /// Without a region it sends nothing that does not fit into a slot.
    ProducerCore(std::shared_ptr<ChannelMemory> memory, bool exclusive,
                 const ParticipantOptions& options, bool with_region = true);
    ~ProducerCore();
    ProducerCore(const ProducerCore&) = delete;
    ProducerCore& operator=(const ProducerCore&) = delete;

    /// Copies a message into the channel. The hot path is here; everything that may wait is not.
    Sent try_send_inline(const void* data, std::size_t size) {
        memory_->check_fork();
        if (size > inline_size_) return Status::too_large;
        Slot* slot = claim_now();
        if (slot == nullptr) return Status::full;
        format::copy_in(slot->payload(), data, size);
        return publish(*slot, format::Descriptor::make(size, 0, 0), size);
    }
    Sent send(const void* data, std::size_t size, const Patience& patience) {
        if (const Sent sent = try_send_inline(data, size); sent) [[likely]] {
            announce(1);
            return sent;
        }
        return send_slowly(data, size, {}, patience);
    }
    Sent send_with(const void* data, std::size_t size, const Extension& extension,
                   const Patience& patience) {
        memory_->check_fork();
        return send_slowly(data, size, extension, patience);
    }

    /// Wakes readers after `count` messages were published by try_send_inline.
    void announce(int count) {
        const std::uint64_t word = after_publish(*memory_, needs_fence_, count);
        if ((word & format::Announcement::close_requested) != 0) [[unlikely]]
            close_as_asked();
    }

    /// Waits for space in the region, not for a slot.
    Status loan(std::size_t size, const Patience& patience, std::uint64_t& block, std::byte*& data);
    Sent publish_loan(std::uint64_t block, std::size_t size, const Patience& patience);
    void abandon_loan(std::uint64_t block);

    /// Publishes the mark that ends the channel.
    Status close(const Patience& patience);

    const std::shared_ptr<ChannelMemory>& memory() const { return memory_; }
    std::size_t inline_size() const { return inline_size_; }

private:
    /// The slot of the next position, claimed; null when there is no room now.
    Slot* claim_now(Phase install = Phase::claimed) {
        if (!before(next_, limit_)) [[unlikely]] {
            if (!look_for_room()) return nullptr;
        }
        if (exclusive_) {
            position_ = next_++;
            return &ring_.at(position_);
        }
        return claim_shared(install);
    }

    /// Everything but the payload of a claimed slot, then READY.
    Sent publish(Slot& slot, format::Descriptor descriptor, std::size_t body) {
        std::int64_t time = 0;
        if (sampler_.is_due()) [[unlikely]] {
            time = os::now();
            sampler_.taken(time);
        }
        slot.publish_time.store(static_cast<std::uint64_t>(time), std::memory_order_relaxed);
        slot.descriptor.store(descriptor.bits, std::memory_order_relaxed);
        slot.state.store(SlotState::make(position_, index_, Phase::ready).bits,
                         std::memory_order_release);  // EDGE ready
        if (!exclusive_) memory_->header().tail.store(next_, std::memory_order_relaxed);
        count(body);
        return {Status::ok, position_};
    }

    /// Only this participant writes these, so a plain increment is exact.
    void count(std::size_t bytes) {
        messages_ += 1;
        bytes_ += bytes;
        self_->published.store(messages_, std::memory_order_relaxed);
        self_->published_bytes.store(bytes_, std::memory_order_relaxed);
    }

    void close_as_asked();
    bool look_for_room();
    void install_closed(Slot& slot);
    bool is_closed();
    Slot* claim_shared(Phase install);
    Status claim(const Patience& patience, Slot*& slot, Phase install = Phase::claimed);
    Sent send_slowly(const void* data, std::size_t size, const Extension& extension,
                     const Patience& patience);
    Status allocate(std::size_t size, const Patience& patience, std::uint64_t& block,
                    std::byte*& data);
    Status why_not(const Patience& patience) const;
    bool look_after_the_dead();
    void pass_on_wake();
    Region& region();

    std::shared_ptr<ChannelMemory> memory_;
    os::Mapping data_;
    Ring ring_;
    Participant* self_;
    Position next_ = 0;      ///< the position to claim next; shared: a guess, never beyond the tail
    Position limit_ = 0;     ///< as last seen; only ever too low
    Position position_ = 0;  ///< the one claimed
    std::uint64_t messages_ = 0;
    std::uint64_t bytes_ = 0;
    Sampler sampler_;
    std::size_t inline_size_ = 0;
    std::size_t largest_ = 0;
    unsigned index_ = 0;
    bool exclusive_ = false;
    bool with_region_ = true;
    bool needs_fence_ = false;
    bool blocked_by_claim_ = false;  ///< the last look met a claim of the lap before
    bool closed_ = false;            ///< met the mark that ends the channel
    Attachment attachment_;
    std::optional<Waiter> waiter_;
    std::optional<Region> region_;
};

/// Closes on behalf of somebody who is no producer. With an exclusive producer alive this only asks
/// it; it closes when it publishes next.
IPC_API Status close_channel(const std::shared_ptr<ChannelMemory>& memory,
                             const Patience& patience);

}  // namespace ipc::inline v1::protocol
