#include "ipc/protocol/payload.hpp"

namespace ipc::inline v1::protocol {

std::optional<Payload> locate_in_region(const ChannelMemory& memory, const Slot& slot,
                                        SlotState state, format::Descriptor descriptor) {
    const std::uint64_t size = memory.layout().region_size;
    if (size == 0 || state.producer() >= memory.layout().max_participants) return std::nullopt;
    std::uint64_t block = 0;
    format::copy_out(&block, slot.payload(), sizeof block);
    const std::uint64_t offset = block % size;
    if (offset % 8 != 0 || descriptor.length() > size - offset) return std::nullopt;
    return Payload{memory.data() + memory.region_offset(state.producer()) + offset,
                   descriptor.length(), static_cast<std::uint16_t>(descriptor.extension()), true};
}

}  // namespace ipc::inline v1::protocol
