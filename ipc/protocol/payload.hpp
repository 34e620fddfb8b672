#pragma once

#include <span>

#include "ipc/format/copy.hpp"
#include "ipc/protocol/channel_memory.hpp"

namespace ipc::inline v1::protocol {

/// What the messages of a channel look like, as its type says. Producers send nothing else, and
/// readers take nothing else for a message: programs rely on it when they read an object in place.
struct MessageShape {
    /// Bytes of payload that go into a slot: none of a type that needs more alignment than that.
    std::size_t inline_size = 0;
    std::size_t body_size = 0;  ///< of every message; 0 where bodies are bytes, as many as fit
    std::size_t alignment = 8;  ///< of bodies

    bool admits(std::size_t size) const { return body_size == 0 || size == body_size; }
};

MessageShape shape_of(const ChannelMemory& memory);

/// Where a message's payload lies: within its slot, or in its producer's region.
struct Payload {
    const std::byte* body = nullptr;
    std::uint32_t size = 0;       ///< bytes of the body
    std::uint16_t extension = 0;  ///< bytes of extension headers, right before the body
    bool in_region = false;

    std::span<const std::byte> bytes() const { return {body, size}; }
    std::span<const std::byte> extension_headers() const { return {body - extension, extension}; }
    /// The extension headers and the body.
    std::span<const std::byte> whole() const {
        return {body - extension, std::size_t{extension} + size};
    }
};

/// One that is in a region, has extension headers, or is damaged.
IPC_API bool locate_uncommon(const ChannelMemory& memory, const MessageShape& shape,
                             const Slot& slot, SlotState state, format::Descriptor descriptor,
                             Payload& out);

/// Of a slot seen READY. Everything read is checked before it is used as an offset: false when the
/// message is damaged, has not the shape of the channel's messages, or has flags that this version
/// must understand and does not.
inline bool locate_payload(const ChannelMemory& memory, const MessageShape& shape, const Slot& slot,
                           SlotState state, Payload& out) {
    const format::Descriptor descriptor{slot.descriptor.load(std::memory_order_relaxed)};
    // By branches, which are predicted: no address depends on what the descriptor says, so that a
    // body is read before that is known.
    if (descriptor.is_plain() && descriptor.length() <= shape.inline_size &&
        shape.admits(descriptor.length())) [[likely]] {
        out.body = slot.payload();
        out.size = descriptor.length();
        out.extension = 0;
        out.in_region = false;
        return true;
    }
    return locate_uncommon(memory, shape, slot, state, descriptor, out);
}

}  // namespace ipc::inline v1::protocol
