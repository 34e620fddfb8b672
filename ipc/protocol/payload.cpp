#include "ipc/protocol/payload.hpp"

namespace ipc::inline v1::protocol {

bool locate_in_region(const ChannelMemory& memory, const Slot& slot, SlotState state,
                      format::Descriptor descriptor, Payload& out) {
    const std::uint64_t size = memory.layout().region_size;
    if (size == 0 || state.producer() >= memory.layout().max_participants) return false;
    std::uint64_t block = 0;
    format::copy_out(&block, slot.payload(), sizeof block);
    const std::uint64_t offset = block % size;
    if (offset % 8 != 0 || descriptor.length() > size - offset) return false;
    out.data = memory.data() + memory.region_offset(state.producer()) + offset;
    out.length = descriptor.length();
    out.extension = static_cast<std::uint16_t>(descriptor.extension());
    out.in_region = true;
    return true;
}

}  // namespace ipc::inline v1::protocol
