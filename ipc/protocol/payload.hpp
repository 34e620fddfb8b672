#pragma once

#include <optional>

#include "ipc/format/copy.hpp"
#include "ipc/protocol/channel_memory.hpp"

namespace ipc::inline v1::protocol {

/// Where a message's payload lies: within its slot, or in its producer's region.
struct Payload {
    const std::byte* data;
    std::uint32_t length;
    std::uint16_t extension;  ///< bytes of extension headers at its start
    bool in_region;
};

IPC_API std::optional<Payload> locate_in_region(const ChannelMemory& memory, const Slot& slot,
                                                SlotState state, format::Descriptor descriptor);

/// Of a slot seen READY. Everything read is checked before it is used as an offset: empty when the
/// message is damaged, or has flags that this version must understand and does not.
inline std::optional<Payload> locate_payload(const ChannelMemory& memory, std::size_t inline_size,
                                             const Slot& slot, SlotState state) {
    using format::Descriptor;
    const Descriptor descriptor{slot.descriptor.load(std::memory_order_relaxed)};
    if ((descriptor.flags() & Descriptor::must_understand) != 0 ||
        descriptor.extension() > descriptor.length()) [[unlikely]] {
        return std::nullopt;
    }
    if (descriptor.is_in_region()) {
        return locate_in_region(memory, slot, state, descriptor);
    }
    if (descriptor.length() > inline_size) [[unlikely]]
        return std::nullopt;
    return Payload{slot.payload(), descriptor.length(),
                   static_cast<std::uint16_t>(descriptor.extension()), false};
}

}  // namespace ipc::inline v1::protocol
