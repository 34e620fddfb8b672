#pragma once

// Dead letters: messages a group gave up on, published to another channel with their origin.

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "ipc/base/origin.hpp"
#include "ipc/format/extension.hpp"
#include "ipc/protocol/publish.hpp"

namespace ipc::inline v1::protocol {

using format::DeadLetterReason;

/// The origin in a message's extension headers, if there is one. Bounds-checked: the bytes may be
/// anything.
IPC_API std::optional<Origin> find_origin(std::span<const std::byte> extension);

/// One member's way to its group's dead-letter channel; opened when first needed, which may be
/// another user's if `channel` itself may be.
class DeadLetterSink {
public:
    DeadLetterSink(const ChannelMemory& channel, std::string group, std::string target);

    bool is_configured() const { return !target_.empty(); }
    /// Opens the target where need be, which may take a while; false when it cannot be opened now.
    bool open();
    /// After open(). ok; too_large and wrong_size for ever; anything else: the target is full or
    /// closed now.
    Status publish(std::span<const std::byte> body, Position position, unsigned attempts,
                   DeadLetterReason reason);

private:
    std::string channel_;
    std::uint64_t channel_id_;
    bool allow_foreign_owner_;
    std::string group_;
    std::string target_;
    std::unique_ptr<Producer> producer_;
};

/// Throws Error(bad_options) when dead letters sent from `channel` to `target` could come back to
/// it, or when the target exists and could not hold the largest of them, or carries objects of
/// another size; and what opening a target that exists throws. A target made later is not checked:
/// what it does not take is dropped and counted.
void check_dead_letter_target(const ChannelMemory& channel, const std::string& target);

}  // namespace ipc::inline v1::protocol
