#include "ipc/channel.hpp"

#include <utility>

#include "ipc/protocol/group.hpp"
#include "ipc/protocol/peek.hpp"

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

std::uint64_t ChannelBase::max_message_size() const {
    return format::largest_message(memory_->layout());
}

Outcome ChannelBase::close(std::chrono::nanoseconds wait, std::stop_token stop) {
    return protocol::close_channel(memory_, protocol::Patience::within(wait, std::move(stop)));
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
    memory_->check_fork();
    std::vector<PeekedMessage> messages;
    if (count == 0) return messages;
    protocol::peek(*memory_, from, [&](const protocol::Peeked& peeked) {
        const auto body = peeked.payload.bytes();
        messages.push_back({.position = peeked.position,
                            .published_at = std::chrono::nanoseconds(peeked.publish_time),
                            .producer = name_of_producer(*memory_, peeked.producer),
                            .body = {body.begin(), body.end()},
                            .origin = protocol::find_origin(peeked.payload.extension_headers())});
        return messages.size() < count;
    });
    return messages;
}

}  // namespace ipc::inline v1
