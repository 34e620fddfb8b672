#pragma once

// What the three kinds of readers have in common: finding a message in its slot, waiting, and the
// life of the handle. The kinds:
//
//   Subscriber  alone, reliable: reads in place, gates producers by its position   subscriber.hpp
//   LossyReader alone or in a lossy group: copies out, checks, may skip            lossy_reader.hpp
//   Member      of a reliable named group: leases                                  member.hpp

#include <cstddef>
#include <memory>

#include "ipc/protocol/group.hpp"
#include "ipc/protocol/limit.hpp"
#include "ipc/protocol/look.hpp"
#include "ipc/protocol/patience.hpp"
#include "ipc/protocol/payload.hpp"
#include "ipc/protocol/recovery.hpp"
#include "ipc/protocol/wait.hpp"

namespace ipc::inline v1::protocol {

constexpr std::uint32_t no_buffer = ~std::uint32_t{0};

/// One message in a reader's hands.
struct Received : Payload {
    bool handed = true;  ///< reached user code; false for the rest of a batch
    Position position = 0;
    Lease lease{};                  ///< members: the word that proves the lease
    std::int64_t publish_time = 0;  ///< CLOCK_MONOTONIC ns; 0 = this message is no sample
    std::int64_t received_at = 0;
    std::uint32_t buffer = no_buffer;  ///< lossy readers: which of theirs holds the copy
};

enum class ReaderKind : std::uint8_t { subscriber, lossy, member };

/// What a message is taken for. It costs nothing, since every caller that is inlined passes a
/// constant.
enum class Taking : bool {
    hand_out,  ///< the program gets it at once: delivered
    reserve,   ///< a batch gets it, and hands it out when the program comes to it
};

class IPC_API Reader {
public:
    Reader(std::shared_ptr<ChannelMemory> memory, Membership membership, ReaderKind kind,
           const WaitPolicy& policy);
    virtual ~Reader();
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

    ReaderKind kind() const { return kind_; }
    const std::shared_ptr<ChannelMemory>& memory() const { return memory_; }

    virtual Status try_receive(Received& out) = 0;
    /// After a try_receive (or try_reserve, for a batch) and a poll_briefly that found nothing:
    /// waits for a message as `patience` allows.
    Status receive(Received& out, const Patience& patience, Taking taking);

    /// The message's object ends: acknowledged, released or given back, as the kind has it.
    virtual void release(Received& message) = 0;
    virtual Status ack(Received& message) = 0;
    virtual Status nack(Received&, std::uint64_t /*delay_ms*/) { return Status::not_leased; }
    virtual Status reject(Received&) { return Status::not_leased; }
    virtual Status renew(Received&) { return Status::not_leased; }
    virtual bool held(const Received&) const { return true; }
    /// Takes a message of a batch into user code; false when its lease was lost in the meantime.
    virtual bool hand_out(Received& message) {
        restart_service(message);
        message.handed = true;
        return true;
    }
    /// try_receive for one message of a batch: not yet in user code.
    virtual Status try_reserve(Received& out) { return try_receive(out); }
    virtual Position position() const = 0;

    /// A look of one that spins, after a try_receive that found nothing. Overridden where a shorter
    /// way to READY has been measured to count.
    virtual Status poll(Received& out, Taking taking) {
        return has_news(Look::quick) || group_ended() ? take_next(out, taking) : Status::empty;
    }
    /// Looks of one that spins, for a short while, inlined where the message is used: between READY
    /// and its user every instruction counts. `self` is this reader, as what it is.
    template <class Kind>
    Status poll_briefly(Kind& self, Received& out, Taking taking) {
        Status status = Status::empty;
        waiter_.spin_briefly([&] {
            status = self.poll(out, taking);
            return status != Status::empty;
        });
        return status;
    }

    std::uint64_t skipped() const { return skipped_; }
    /// Whether this process got the reader through fork: then its destructors do nothing.
    bool is_inherited() const { return memory_->fork_generation() != os::fork_generation(); }

    /// A reader lives until its handle and all its messages are gone, in whatever order they go.
    void retain() { ++references_; }
    void drop(std::uint64_t references = 1) {
        references_ -= references;
        if (references_ == 0) delete this;
    }

protected:
    /// Whether try_receive has something to do.
    virtual bool has_news(Look look) = 0;
    Status take_next(Received& out, Taking taking) {
        return taking == Taking::reserve ? try_reserve(out) : try_receive(out);
    }

    /// Finds the payload of the READY slot; false when the message is damaged or not for this
    /// version to understand.
    bool locate(const Slot& slot, SlotState state, Received& out) const {
        return locate_payload(*memory_, shape_, slot, state, out);
    }
    void sample(const Slot& slot, Received& out) const {
        const auto time =
            static_cast<std::int64_t>(slot.publish_time.load(std::memory_order_relaxed));
        out.publish_time = time;
        out.received_at = 0;
        if (time != 0) [[unlikely]]
            note_sampled(out);
    }
    void note_sampled(Received& out) const {
        out.received_at = os::now();
        self_->received_at.store(out.received_at, std::memory_order_relaxed);
    }
    /// The work on a message of a batch begins when user code gets it, not when the batch came.
    void restart_service(Received& message) const {
        if (message.received_at != 0) [[unlikely]]
            note_sampled(message);
    }
    /// Adds a sampled message to the group's histograms when it is settled.
    void record(const Received& message) const {
        if (message.received_at != 0) [[unlikely]]
            record_slowly(message);
    }
    void count(std::size_t messages, std::size_t bytes) {
        format::add_alone(self_->received, messages);
        format::add_alone(self_->received_bytes, bytes);
    }
    /// READY, ABORTED or CLOSED at `position`, or later. For a thorough look an abandoned claim
    /// counts as well.
    bool slot_has_news(Position position, Look look) const {
        const Slot& slot = ring_.at(position);
        const SlotState state{slot.state.load(std::memory_order_acquire)};  // EDGE ready
        if (state.is_ready_at(position)) return true;
        if (before(state.position(position), position)) return false;
        if (state.phase() != Phase::claimed) return true;
        return !state.is_at(position) ||
               (look == Look::thorough && is_abandoned(*memory_, slot, state));
    }
    /// The group ended under this reader. That the channel is removed is ChannelMemory's to tell.
    bool group_ended() const {
        return group_->status.load(std::memory_order_relaxed) != status_.bits;
    }

    /// For readers that are alone with their mark, or do not gate.
    void store_mark(Position position) {
        group_->low_water.store(format::LowWater::make(position, status_.incarnation()).bits,
                                std::memory_order_release);  // EDGE settle
    }

    /// Aligned, so that handles of different threads have no line in common.
    alignas(format::line) std::shared_ptr<ChannelMemory> memory_;
    Ring ring_;
    Group* group_;
    Participant* self_;
    GroupStatus status_;
    MessageShape shape_;
    unsigned group_index_;
    unsigned index_;
    std::uint64_t skipped_;
    ReaderKind kind_;
    bool needs_fence_;

private:
    void record_slowly(const Received& message) const;

    std::uint64_t references_ = 1;
    Attachment attachment_;
    Waiter waiter_;
};

}  // namespace ipc::inline v1::protocol
