#pragma once

#include "ipc/format/copy.hpp"
#include "ipc/protocol/channel_memory.hpp"

namespace ipc::inline v1::protocol {

/// Where a message's payload lies: within its slot, or in its producer's region.
struct Payload {
    const std::byte* data = nullptr;
    std::uint32_t length = 0;
    std::uint16_t extension = 0;  ///< bytes of extension headers at its start
    bool in_region = false;
};

IPC_API bool locate_in_region(const ChannelMemory& memory, const Slot& slot, SlotState state,
                              format::Descriptor descriptor, Payload& out);

/// Of a slot seen READY. Everything read is checked before it is used as an offset: false when the
/// message is damaged, or has flags that this version must understand and does not.
inline bool locate_payload(const ChannelMemory& memory, std::size_t inline_size, const Slot& slot,
                           SlotState state, Payload& out) {
    using format::Descriptor;
    const Descriptor descriptor{slot.descriptor.load(std::memory_order_relaxed)};
    if (!descriptor.is_understood() || descriptor.extension() > descriptor.length()) [[unlikely]] {
        return false;
    }
    if (descriptor.is_in_region()) return locate_in_region(memory, slot, state, descriptor, out);
    if (descriptor.length() > inline_size) [[unlikely]]
        return false;
    out.data = slot.payload();
    out.length = descriptor.length();
    out.extension = static_cast<std::uint16_t>(descriptor.extension());
    out.in_region = false;
    return true;
}

}  // namespace ipc::inline v1::protocol
