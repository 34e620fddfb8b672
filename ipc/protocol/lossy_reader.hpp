#pragma once

// A reader without a gate: a lossy subscriber, or a member of a lossy group. It copies a message
// out and checks afterwards that the copy was whole (EDGE limit). One that fell behind jumps a
// quarter of the ring past the oldest whole message, since at the oldest it would be overrun at
// once.
//
// Members of a group share its cursor: whoever moves it by CAS over a position has that message,
// and no other member gets it. A member that dies after that takes the message with it: lossy is at
// most once.

#include <optional>
#include <vector>

#include "ipc/protocol/reader.hpp"

namespace ipc::inline v1::protocol {

/// Private memory aligned as strictly as a block of a region.
struct alignas(format::max_alignment) AlignedBlock {
    std::byte bytes[format::max_alignment];
};

class IPC_API LossyReader final : public Reader {
public:
    LossyReader(const std::shared_ptr<ChannelMemory>& memory, const SubscribeOptions& options);
    LossyReader(const std::shared_ptr<ChannelMemory>& memory, const std::string& group,
                const GroupOptions& options);

    Status try_receive(Received& out) override;
    void release(Received& message) override;
    Status ack(Received& message) override;
    Position position() const override { return next_; }

    /// The next message in place, not consumed; whole only while intact() says so afterwards.
    Status peek(Received& out);
    bool intact(const Received& message) const { return was_whole(*memory_, message.position); }

protected:
    bool has_news(Look look) override;

private:
    /// Bounds each call, whatever the slots say, and however fast producers are: a wait looks
    /// again.
    std::uint64_t most_turns() const { return 2 * ring_.capacity() + 64; }
    bool move_cursor(Position to);
    bool pass_over(Position to);
    void catch_up();
    std::uint32_t spare_buffer();
    /// What stands at next_: ok for a message, or why there is none. Nothing when next_ moved: look
    /// again.
    std::optional<Status> look(SlotState& state);

    Position next_;
    bool shared_cursor_;
    // Copies of messages in user code. They are reused: the hot path allocates only while it needs
    // more, or larger ones, than ever before.
    std::vector<std::vector<AlignedBlock>> buffers_;
    std::vector<std::uint32_t> spare_;  ///< indices of those not in use
};

}  // namespace ipc::inline v1::protocol
