#include "ipc/channel.hpp"

#include "ipc/protocol/group.hpp"
#include "ipc/protocol/tail.hpp"

namespace ipc::inline v1 {
namespace {

unsigned require_group(const protocol::ChannelMemory& memory, const std::string& group) {
    const int index = protocol::find_group(memory, group);
    if (index < 0) {
        throw Error(Errc::not_found, memory.name(), "has no group '" + group + "'",
                    "check the name (ipc-monitor --once lists all)");
    }
    return static_cast<unsigned>(index);
}

/// Of the participant that has the entry, or had it last; empty when that is a reader.
std::string name_of_producer(const protocol::ChannelMemory& memory, unsigned index) {
    if (index >= memory.participants_used()) return {};
    const auto& entry = memory.participant(index);
    const bool produces = format::is_producer(format::role_of(entry));
    return produces ? format::load_name(entry.name) : std::string();
}

}  // namespace

namespace protocol {

std::optional<Origin> origin_of(const Received& message) {
    if (message.extension == 0) return std::nullopt;
    const auto found = find_origin(message.extension_headers());
    if (!found) return std::nullopt;
    return Origin{.channel = found->channel,
                  .channel_id = found->channel_id,
                  .group = found->group,
                  .position = found->position,
                  .attempts = found->attempts,
                  .reason = found->reason == static_cast<std::uint32_t>(DeadLetterReason::rejected)
                                ? "rejected"
                                : "attempts exhausted"};
}

}  // namespace protocol

std::uint64_t ChannelBase::max_message_size() const {
    return format::largest_message(memory_->layout());
}

Outcome ChannelBase::close(std::chrono::nanoseconds wait) {
    return protocol::close_channel(memory_, protocol::Patience::within(wait, {}));
}

std::uint64_t ChannelBase::purge(const std::string& group) {
    memory_->check_fork();
    // The entry must not become another group's meanwhile.
    const auto lock = protocol::RegistryLock::take(*memory_);
    return protocol::purge_group(*memory_, require_group(*memory_, group));
}

void ChannelBase::remove_group(const std::string& group) {
    memory_->check_fork();
    const auto lock = protocol::RegistryLock::take(*memory_);
    protocol::end_group(*memory_, require_group(*memory_, group));
}

protocol::Reader* ChannelBase::make_member(const std::string& group,
                                           const GroupOptions& options) const {
    if (options.delivery == Delivery::lossy) {
        return new protocol::LossyReader(memory_, group, options);
    }
    return new protocol::Member(memory_, group, options);
}

protocol::Reader* ChannelBase::make_subscriber(const SubscribeOptions& options) const {
    if (options.delivery == Delivery::lossy) return new protocol::LossyReader(memory_, options);
    return new protocol::Subscriber(memory_, options);
}

std::vector<PeekedMessage> ChannelBase::peek(std::optional<Position> from,
                                             std::size_t count) const {
    using protocol::before;
    using protocol::later_of;
    using protocol::SlotState;
    memory_->check_fork();
    const protocol::ChannelMemory& memory = *memory_;
    const protocol::Ring ring = memory.ring();
    const protocol::MessageShape shape = protocol::shape_of(memory);
    const Position tail = protocol::find_tail(memory);
    Position position = protocol::oldest_whole(memory, tail);
    position = later_of(position, tail - memory.capacity());  // whatever the limit says
    if (from) {
        const Position first = memory.preamble().first_position;
        position = protocol::start_at(*from, first, position, tail).position;
    }
    std::vector<PeekedMessage> messages;
    std::vector<std::byte> copy;
    for (; before(position, tail) && messages.size() < count; ++position) {
        const protocol::Slot& slot = ring.at(position);
        const SlotState state{slot.state.load(std::memory_order_acquire)};  // EDGE ready
        if (!state.is_ready_at(position)) continue;
        protocol::Received received;
        if (!protocol::locate_payload(memory, shape, slot, state, received)) continue;
        PeekedMessage message;
        message.position = position;
        message.published_at =
            std::chrono::nanoseconds(slot.publish_time.load(std::memory_order_relaxed));
        const auto whole = received.whole();
        copy.resize(whole.size() + 8);
        format::copy_out(copy.data(), whole.data(), whole.size());
        if (!protocol::was_whole(memory, position))
            continue;  // overwritten meanwhile: not retained any more
        received.body = copy.data() + received.extension;
        message.origin = protocol::origin_of(received);
        message.body.assign(received.body, received.body + received.size);
        message.producer = name_of_producer(memory, state.producer());
        messages.push_back(std::move(message));
    }
    return messages;
}

}  // namespace ipc::inline v1
