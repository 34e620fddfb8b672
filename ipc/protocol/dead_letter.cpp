#include "ipc/protocol/dead_letter.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <vector>

#include "ipc/protocol/lifecycle.hpp"
#include "ipc/protocol/member.hpp"
#include "ipc/protocol/tail.hpp"

namespace ipc::inline v1::protocol {
namespace {

/// The origin header, padded so that the body after it is aligned like a block of a region.
constexpr std::size_t origin_extension_size =
    format::round_up(sizeof(format::ExtensionHeader) + sizeof(DeadLetterOrigin), 64);

/// The group that redrive takes dead letters from.
constexpr char redrive_group[] = "redrive";

}  // namespace

std::optional<DeadLetterOrigin> find_origin(std::span<const std::byte> extension) {
    while (extension.size() >= sizeof(format::ExtensionHeader)) {
        format::ExtensionHeader header;
        std::memcpy(&header, extension.data(), sizeof header);
        extension = extension.subspan(sizeof header);
        if (header.length > extension.size()) break;
        if (header.kind == static_cast<std::uint16_t>(format::ExtensionKind::origin) &&
            header.length == sizeof(DeadLetterOrigin)) {
            DeadLetterOrigin origin;
            std::memcpy(&origin, extension.data(), sizeof origin);
            origin.channel[sizeof origin.channel - 1] = 0;
            origin.group[sizeof origin.group - 1] = 0;
            return origin;
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
        producer_ = std::make_unique<ProducerCore>(std::move(target), false,
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
                                         sizeof(DeadLetterOrigin), 0};
    DeadLetterOrigin origin{};
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

std::uint64_t redrive_dead_letters(const std::string& dead_letter_channel,
                                   const std::string& target, std::uint64_t most,
                                   bool allow_foreign_owner) {
    const OpenOptions how{.allow_foreign_owner = allow_foreign_owner, .any_type = true};
    GroupOptions options;
    options.ack = Ack::manual;
    options.from = Start::earliest();
    options.participant.name = "redrive";
    Member member(open_channel(dead_letter_channel, {}, how), redrive_group, options);
    std::map<std::string, std::unique_ptr<ProducerCore>> producers;
    std::uint64_t moved = 0;
    // Those that their channel does not take stay, without being in the way of others.
    std::vector<Received> misfits;
    std::string misfit_for;
    const auto give_back = [&](Received& message) { (void)member.nack(message, 0); };
    // What becomes a dead letter again meanwhile waits for the next time.
    const Position end = find_tail(*member.memory());
    while (moved < most) {
        Received message;
        if (member.try_receive(message) != Status::ok) break;
        if (!before(message.position, end)) {
            give_back(message);
            break;
        }
        const auto origin = find_origin(message.extension_headers());
        const std::string to = !target.empty() ? target : origin ? origin->channel : "";
        try {
            if (to.empty()) {
                throw Error(Errc::bad_options, dead_letter_channel,
                            "message " + std::to_string(message.position) + " has no origin",
                            "name a target channel");
            }
            auto& producer = producers[to];
            if (!producer) {
                producer = std::make_unique<ProducerCore>(open_channel(to, {}, how), false,
                                                          ParticipantOptions{.name = "redrive"});
            }
            // A copy, made while this group kept the message whole.
            const auto body = message.bytes();
            const std::vector<std::byte> copy(body.begin(), body.end());
            if (!member.held(message)) {
                member.release(message);
                continue;
            }
            const Sent sent = producer->send(copy.data(), copy.size(), [] {
                return Patience{os::Deadline::after(std::chrono::seconds(5))};
            });
            if (sent.status() == Status::wrong_size) {
                if (misfits.empty()) misfit_for = to;
                misfits.push_back(message);
                continue;
            }
            if (!sent) {
                throw Error(Errc::timed_out, to,
                            "took no dead letter: " + std::string(to_string(sent.status())),
                            "make room in it, and redrive again");
            }
        } catch (...) {
            give_back(message);
            std::for_each(misfits.begin(), misfits.end(), give_back);
            throw;
        }
        (void)member.ack(message);
        ++moved;
    }
    if (misfits.empty()) return moved;
    std::for_each(misfits.begin(), misfits.end(), give_back);
    throw Error(Errc::type_differs, misfit_for,
                "carries objects of another size than message " +
                    std::to_string(misfits.front().position) + " of " + dead_letter_channel + "; " +
                    std::to_string(misfits.size()) + " stay there, " + std::to_string(moved) +
                    " were sent back",
                "name a target channel of bytes, or of their type");
}

}  // namespace ipc::inline v1::protocol
