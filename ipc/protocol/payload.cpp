#include "ipc/protocol/payload.hpp"

#include <algorithm>

namespace ipc::inline v1::protocol {

MessageShape shape_of(const ChannelMemory& memory) {
    const format::TypeIdentity& type = memory.preamble().type;
    MessageShape shape;
    shape.body_size = type.size;
    shape.alignment = std::max<std::size_t>(type.alignment, 8);
    // A slot aligns its payload to 8.
    if (shape.alignment == 8) {
        shape.inline_size = memory.layout().slot_size - format::slot_header_size;
    }
    return shape;
}

bool locate_uncommon(const ChannelMemory& memory, const MessageShape& shape, const Slot& slot,
                     SlotState state, format::Descriptor descriptor, Payload& out) {
    const std::uint64_t length = descriptor.length();
    const unsigned extension = descriptor.extension();
    if (!descriptor.is_understood() || extension > length || extension % shape.alignment != 0 ||
        !shape.admits(length - extension)) {
        return false;
    }
    const std::byte* start = slot.payload();
    if (descriptor.is_in_region()) {
        const std::uint64_t size = memory.layout().region_size;
        if (size == 0 || state.producer() >= memory.layout().max_participants) return false;
        std::uint64_t block = 0;
        format::copy_out(&block, slot.payload(), sizeof block);
        const std::uint64_t offset = block % size;
        if (offset % shape.alignment != 0 || length > size - offset) return false;
        start = memory.data() + memory.region_offset(state.producer()) + offset;
    } else if (length > shape.inline_size) {
        return false;
    }
    out.body = start + extension;
    out.size = static_cast<std::uint32_t>(length - extension);
    out.extension = static_cast<std::uint16_t>(extension);
    out.in_region = descriptor.is_in_region();
    return true;
}

}  // namespace ipc::inline v1::protocol
