#include "ipc/protocol/dead_letter.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "ipc/protocol/lifecycle.hpp"

namespace ipc::inline v1::protocol {
namespace {

/// The origin header, padded so that the body after it is aligned like a block of a region.
constexpr std::size_t origin_extension_size = format::round_up(
    sizeof(format::ExtensionHeader) + sizeof(format::DeadLetterOrigin), format::max_alignment);

}  // namespace

std::optional<Origin> find_origin(std::span<const std::byte> extension) {
    while (extension.size() >= sizeof(format::ExtensionHeader)) {
        format::ExtensionHeader header;
        std::memcpy(&header, extension.data(), sizeof header);
        extension = extension.subspan(sizeof header);
        if (header.length > extension.size()) break;
        if (header.kind == static_cast<std::uint16_t>(format::ExtensionKind::origin) &&
            header.length == sizeof(format::DeadLetterOrigin)) {
            format::DeadLetterOrigin origin;
            std::memcpy(&origin, extension.data(), sizeof origin);
            origin.channel[sizeof origin.channel - 1] = 0;
            origin.group[sizeof origin.group - 1] = 0;
            const bool rejected =
                origin.reason == static_cast<std::uint32_t>(DeadLetterReason::rejected);
            return Origin{.channel = origin.channel,
                          .channel_id = origin.channel_id,
                          .group = origin.group,
                          .position = origin.position,
                          .attempts = origin.attempts,
                          .reason = rejected ? "rejected" : "attempts exhausted"};
        }
        const auto padded = static_cast<std::size_t>(format::round_up(header.length, 8));
        if (padded > extension.size()) break;
        extension = extension.subspan(padded);
    }
    return std::nullopt;
}

DeadLetterSink::DeadLetterSink(const ChannelMemory& channel, std::string group, std::string target)
    : channel_(channel.name()),
      channel_id_(channel.preamble().channel_id),
      allow_foreign_owner_(channel.options().allow_foreign_owner),
      group_(std::move(group)),
      target_(std::move(target)) {}

bool DeadLetterSink::open() {
    if (producer_ && !producer_->memory()->is_removed()) return true;
    producer_.reset();
    try {
        auto target = open_channel(target_, {},
                                   {.allow_foreign_owner = allow_foreign_owner_, .any_type = true});
        // Never wait here: the worker goes on.
        if (target->registry_is_locked()) return false;
        producer_ = std::make_unique<Producer>(std::move(target), ProducerKind::shared,
                                               ParticipantOptions{.name = "dead letters"});
        return true;
    } catch (const std::exception&) {
        return false;
    }
}

Status DeadLetterSink::publish(std::span<const std::byte> body, Position position,
                               unsigned attempts, DeadLetterReason reason) {
    alignas(8) std::byte extension[origin_extension_size] = {};
    const format::ExtensionHeader header{static_cast<std::uint16_t>(format::ExtensionKind::origin),
                                         sizeof(format::DeadLetterOrigin), 0};
    format::DeadLetterOrigin origin{};
    origin.channel_id = channel_id_;
    origin.position = position;
    origin.attempts = attempts;
    origin.reason = static_cast<std::uint32_t>(reason);
    channel_.copy(origin.channel, sizeof origin.channel - 1);
    group_.copy(origin.group, sizeof origin.group - 1);
    std::memcpy(extension, &header, sizeof header);
    std::memcpy(extension + sizeof header, &origin, sizeof origin);
    const Sent sent = producer_->send_with(
        body.data(), body.size(), {extension, static_cast<std::uint16_t>(sizeof extension)},
        Patience::none());
    return sent.status();
}

void check_dead_letter_target(const ChannelMemory& channel, const std::string& target) {
    // The dead-letter targets of a channel's groups, followed to the end. Channels that do not
    // exist yet end a path; their own groups are checked when they join.
    std::vector<std::string> to_visit{target};
    std::vector<std::string> visited;
    while (!to_visit.empty()) {
        const std::string next = std::move(to_visit.back());
        to_visit.pop_back();
        if (next == channel.name()) {
            throw Error(Errc::bad_options, channel.name(),
                        "its dead letters would come back to it by way of " + target,
                        "choose a dead-letter channel outside that circle");
        }
        if (std::find(visited.begin(), visited.end(), next) != visited.end()) continue;
        visited.push_back(next);
        std::shared_ptr<ChannelMemory> memory;
        try {
            memory = watch_channel(next, channel.options().allow_foreign_owner);
        } catch (const Error& error) {
            // What will not change by itself is told to whoever can change it. All else may.
            const bool refused =
                error.code() == Errc::foreign_owner || error.code() == Errc::permission_denied;
            if (error.code() == Errc::bad_name || (next == target && refused)) throw;
            continue;
        }
        const std::uint64_t needed =
            format::largest_message(channel.layout()) + origin_extension_size;
        const std::uint64_t room = std::max(memory->layout().region_size,
                                            memory->layout().slot_size - format::slot_header_size);
        if (next == target && room < needed) {
            throw Error(Errc::bad_options, channel.name(),
                        "its dead letters take up to " + std::to_string(needed) +
                            " bytes with their origin, channel " + target + " takes " +
                            std::to_string(room),
                        "create " + target + " with a larger region_size");
        }
        const std::uint32_t size = memory->preamble().type.size;
        if (next == target && size != 0 && size != channel.preamble().type.size) {
            throw Error(Errc::bad_options, channel.name(),
                        "its messages are not objects of " + std::to_string(size) +
                            " bytes, as those of channel " + target + " are",
                        "create " + target + " for bytes, or for the same type");
        }
        for (unsigned i = 0; i < memory->groups_used(); ++i) {
            const Group& group = memory->group(i);
            const GroupStatus status{group.status.load(std::memory_order_acquire)};
            const std::string further = format::load_name(group.dead_letter);
            // Those that form at this moment, too: their joiners see this one.
            if (status.state() != format::GroupState::free && !further.empty()) {
                to_visit.push_back(further);
            }
        }
    }
}

}  // namespace ipc::inline v1::protocol
