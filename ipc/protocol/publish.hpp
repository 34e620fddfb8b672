#pragma once

// Publishing. A producer writes the message into the slot of its position and stores READY.
//
// Exclusive: nobody else claims positions, so there is nothing to claim: payload, then READY.
// Readers of the slot's former message are kept from torn data by the limit alone (limit.hpp), so
// the slot need not be marked while it is written, and a producer that dies in between leaves no
// trace: its successor writes the same position. No read-modify-write, and on x86-64 no fence, but
// for long messages (copier.hpp).
//
// Shared: CAS the slot from its state of the previous lap to CLAIMED(position, me): claim and
// ownership become visible together. Claims are contiguous; the tail is a hint. Then payload, then
// READY. A claim of a dead producer counts as aborted (recovery.hpp).
//
// EDGE ready: READY is stored with release after the payload; a reader loads it with acquire
// before it reads the payload.

#include <algorithm>
#include <memory>
#include <optional>
#include <stop_token>

#include "ipc/format/copy.hpp"
#include "ipc/protocol/copier.hpp"
#include "ipc/protocol/limit.hpp"
#include "ipc/protocol/look.hpp"
#include "ipc/protocol/patience.hpp"
#include "ipc/protocol/payload.hpp"
#include "ipc/protocol/region.hpp"
#include "ipc/protocol/registry.hpp"
#include "ipc/protocol/sampling.hpp"
#include "ipc/protocol/touching.hpp"
#include "ipc/protocol/wait.hpp"

namespace ipc::inline v1::protocol {

/// The extension headers of a message, already laid out; usually none.
struct Extension {
    const std::byte* data = nullptr;
    std::uint16_t size = 0;
};

/// One producer, whatever its messages are; ipc::Producer<T> has one of them.
class IPC_API Producer {
public:
    Producer(std::shared_ptr<ChannelMemory> memory, ProducerKind kind,
             const ParticipantOptions& options, OwnRegion region = OwnRegion::reserved);
    ~Producer();
    Producer(const Producer&) = delete;
    Producer& operator=(const Producer&) = delete;

    /// Copies a message (format::Bytes or Words) into the channel. The hot path is here; everything
    /// that may wait is not.
    template <class Body>
    [[gnu::always_inline]] Sent try_send_inline(const Body& body) {
        memory_->check_fork();
        if (body.size() > shape_.inline_size || !shape_.admits(body.size())) {
            return Status::too_large;  // for this way
        }
        Slot* slot = claim_now();
        if (slot == nullptr) return Status::full;
        write(next(), slot->payload(), body);
        return publish(*slot, format::Descriptor::make(body.size(), 0, 0), body.size(),
                       body.size());
    }
    /// `patience` makes the Patience of a message that cannot be sent at once.
    template <class MakePatience>
    Sent send(const void* data, std::size_t size, MakePatience&& patience) {
        if (const Sent sent = try_send_inline(format::Bytes{data, size}); sent) [[likely]] {
            wake_sleepers(1);
            return sent;
        }
        return send_slowly(data, size, {}, patience());
    }
    /// The same for a short value. It has to be in memory only when it cannot be sent at once:
    /// storing it there, on the way to the slot, would cost as much as a third of a publish.
    template <class T, class MakePatience>
    [[gnu::always_inline]] Sent send_value(const T& value, MakePatience&& patience) {
        const format::Words<sizeof(T)> words(value);
        if (const Sent sent = try_send_inline(words); sent) [[likely]] {
            wake_sleepers(1);
            return sent;
        }
        return words.call_with(
            [&](auto... word) { return send_words_slowly(sizeof(T), patience, word...); });
    }
    Sent send_with(const void* data, std::size_t size, const Extension& extension,
                   const Patience& patience) {
        memory_->check_fork();
        return send_slowly(data, size, extension, patience);
    }

    /// The first of `count` messages, as many as there is room for now and as fit into slots; how
    /// many. `body_of(i)` is message i. Wakes nobody: call wake_sleepers.
    template <class BodyOf>
    std::size_t try_send_some(std::size_t count, BodyOf&& body_of) {
        std::size_t sent = 0;
        while (sent < count) {
            std::size_t now = 0;
            if (exclusive_) {
                now = try_send_together(sent, std::min(count - sent, most_together), body_of);
            } else {
                now = try_send_inline(body_of(sent)) ? 1 : 0;
            }
            if (now == 0) break;
            sent += now;
        }
        return sent;
    }

    /// After `count` messages were published by the functions above: wakes readers that announced
    /// themselves.
    [[gnu::always_inline]] void wake_sleepers(int count) {
        const std::uint64_t word = announcement_after_publish(*memory_, needs_fence_);
        if ((word & (format::Announcement::pending | format::Announcement::close_requested)) != 0)
            [[unlikely]]
            heed(word, count);
    }

    /// Waits for space in the region, not for a slot.
    Status loan(std::size_t size, const Patience& patience, std::uint64_t& block, std::byte*& data);
    Sent publish_loan(std::uint64_t block, std::size_t size, const Patience& patience);
    void abandon_loan(std::uint64_t block);

    /// Publishes the mark that ends the channel.
    Status close(const Patience& patience);

    const std::shared_ptr<ChannelMemory>& memory() const { return memory_; }

private:
    template <class MakePatience, class... Word>
    [[gnu::noinline, gnu::cold]] Sent send_words_slowly(std::size_t size, MakePatience& patience,
                                                        Word... word) {
        const std::uint64_t in_memory[] = {word...};
        return send_slowly(in_memory, size, {}, patience());
    }

    /// The position to claim next; shared: a guess, never beyond the tail. From a claim until its
    /// publish, the claimed one.
    Position next() const { return self_->next.load(std::memory_order_relaxed); }
    void go_on_at(Position position) { self_->next.store(position, std::memory_order_relaxed); }

    /// Of a slot, for its copier: all slots before that position, in bytes.
    std::uint64_t bytes_before(Position position) const { return position * ring_.slot_size; }
    void write(Position position, std::byte* payload, const format::Bytes& body) {
        static_assert(format::slot_alignment % format::cache_line == 0);
        slot_copier_.copy_in(bytes_before(position), payload, body.data, body.length);
    }
    template <std::size_t Size>
    [[gnu::always_inline]] static void write(Position /*position*/, std::byte* payload,
                                             const format::Words<Size>& words) {
        words.copy_in(payload);
    }

    /// The slot of the next position, claimed; null when there is no room now, for all that `look`
    /// shows.
    [[gnu::always_inline]] Slot* claim_now(Phase install = Phase::claimed,
                                           Look look = Look::quick) {
        const Position position = next();
        if (!before(position, limit_)) [[unlikely]] {
            if (!look_for_room(look)) return nullptr;
        }
        return exclusive_ ? &ring_.at(position) : claim_shared(install, look);
    }

    // The slot's line has to come from the readers' caches. A processor fetches several such lines
    // at a time, but stores become visible one after the other, and so it gets only as far ahead as
    // the pieces of 32 bytes that wait in its store buffer allow. What follows therefore stores
    // into three of them for each message, one after the other: the slot's second half, its first
    // half with READY, and what this producer keeps for itself.

    /// Everything but the payload of a claimed slot, then READY. `copied` bytes of the message were
    /// written just now.
    [[gnu::always_inline]] Sent publish(Slot& slot, format::Descriptor descriptor, std::size_t body,
                                        std::size_t copied) {
        const Position position = next();
        mark_ready(slot, position, descriptor);
        count(position, 1, body);
        if (!exclusive_) memory_->header().tail.store(position + 1, std::memory_order_relaxed);
        touch_ahead(position, copied);
        return {Status::ok, position};
    }
    /// Exclusive producers, when it pays (Touching). Only below the limit, where nobody reads. A
    /// message copied into several lines would have only the first of them sooner, to no avail.
    void touch_ahead(Position position, std::size_t copied) {
        constexpr std::uint64_t distance = 2;
        constexpr std::size_t one_line = format::slot_alignment - format::slot_header_size;
        if (touching_.pays() && exclusive_ && copied <= one_line &&
            before(position + distance, limit_)) {
            ring_.at(position + distance).touch();
        }
    }
    /// Shared ones, after a claim.
    void touch_many_ahead(Position position);
    void ask_for_slot();
    [[gnu::always_inline]] void mark_ready(Slot& slot, Position position,
                                           format::Descriptor descriptor) {
        std::int64_t time = 0;
        if (sampler_.is_due(position)) [[unlikely]]
            time = stamp(position);
        slot.publish_time.store(format::keeps_statistics ? static_cast<std::uint64_t>(time) : 0,
                                std::memory_order_relaxed);
        slot.descriptor.store(descriptor.bits, std::memory_order_relaxed);
        slot.state.store(SlotState::make(position, index_, Phase::ready).bits,
                         std::memory_order_release);  // EDGE ready
    }
    void count(Position first, std::size_t messages, std::size_t bytes) {
        format::add_alone(self_->published, messages);
        format::add_alone(self_->published_bytes, bytes);
        go_on_at(first + messages);
    }

    static constexpr std::size_t most_together = 16;

    /// An exclusive producer's batch, counted as a whole; so many are uncounted if it dies here.
    template <class BodyOf>
    std::size_t try_send_together(std::size_t first, std::size_t most, BodyOf&& body_of) {
        memory_->check_fork();
        const Position start = next();
        if (!before(start, limit_) && !look_for_room(Look::quick)) return 0;
        most = std::min<std::size_t>(most, limit_ - start);
        std::size_t bytes = 0;
        std::size_t written = 0;
        for (; written < most; ++written) {
            const auto body = body_of(first + written);
            if (body.size() > shape_.inline_size || !shape_.admits(body.size())) break;
            Slot& slot = ring_.at(start + written);
            write(start + written, slot.payload(), body);
            mark_ready(slot, start + written, format::Descriptor::make(body.size(), 0, 0));
            bytes += body.size();
        }
        count(start, written, bytes);
        return written;
    }

    std::int64_t stamp(Position position);
    void heed(std::uint64_t announcement, int published);
    void close_as_asked();
    bool look_for_room(Look look);
    bool close_in_its_place();
    void install_closed(Slot& slot);
    bool is_closed();
    Slot* claim_shared(Phase install, Look look);
    Status claim(const Patience& patience, Slot*& slot, Phase install = Phase::claimed);
    template <class Attempt>
    Status obtain(Room room, const Attempt& attempt, const Patience& patience);
    Status wait_for_room(Room room, FunctionRef<bool(Look)> attempt, const Patience& patience);
    Status wait(Room room, FunctionRef<bool(Look)> attempt, os::Deadline deadline,
                const std::stop_token& stop);
    Sent send_slowly(const void* data, std::size_t size, const Extension& extension,
                     const Patience& patience);
    [[gnu::always_inline]] inline Sent publish_block(std::uint64_t block, std::size_t size,
                                                     std::uint16_t extension_size,
                                                     std::size_t copied, const Patience& patience);
    Status allocate(std::size_t size, const Patience& patience, std::uint64_t& block,
                    std::byte*& data);
    Status why_not(const Patience& patience) const;
    Status why_refused_already(const Patience& patience);
    bool ask_for_room();
    void pass_on_wake();
    Region& region();

    /// Aligned, so that handles of different threads have no line in common.
    alignas(format::line) std::shared_ptr<ChannelMemory> memory_;
    os::Mapping data_;
    Ring ring_;
    Participant* self_;
    Position limit_ = 0;     ///< as last seen; only ever too low
    KnownGate gate_;         ///< what allows it to grow
    Position asked_at_ = 0;  ///< where this producer last announced that it was refused, and when
    os::Nanoseconds asked_time_ = 0;
    Sampler sampler_;
    Touching touching_;
    MessageShape shape_;
    std::size_t largest_ = 0;
    unsigned index_ = 0;
    bool exclusive_ = false;
    bool with_region_ = true;
    bool needs_fence_ = false;
    bool blocked_by_claim_ = false;  ///< the last look met a claim of the lap before
    bool closed_ = false;            ///< met the mark that ends the channel
    Attachment attachment_;
    std::optional<Waiter> waiter_;
    Copier slot_copier_{0, 0};
    std::optional<Region> region_;
};

/// Closes on behalf of somebody who is no producer. With an exclusive producer alive this only asks
/// it; it closes when it publishes next.
IPC_API Status close_channel(const std::shared_ptr<ChannelMemory>& memory,
                             const Patience& patience);

}  // namespace ipc::inline v1::protocol
