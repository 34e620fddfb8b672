#include "ipc/protocol/redrive.hpp"

#include "ipc/protocol/dead_letter.hpp"
#include "ipc/protocol/group.hpp"
#include "ipc/protocol/lifecycle.hpp"
#include "ipc/protocol/peek.hpp"
#include "ipc/protocol/tail.hpp"

namespace ipc::inline v1::protocol {
namespace {

constexpr char group_name[] = "redrive";

GroupOptions group_options() {
    GroupOptions options;
    options.ack = Ack::manual;
    options.from = Start::earliest();
    options.participant.name = group_name;
    return options;
}

Error no_origin(const std::string& channel, Position position) {
    return {Errc::bad_options, channel, "message " + std::to_string(position) + " has no origin",
            "name a target channel"};
}

void require_origin_of_the_first(const ChannelMemory& memory) {
    peek(memory, {}, [&](const Peeked& first) {
        if (!find_origin(first.payload.extension_headers())) {
            throw no_origin(memory.name(), first.position);
        }
        return false;
    });
}

}  // namespace

Redrive::Redrive(const std::string& dead_letter_channel, const RedriveOptions& options)
    : options_(options),
      how_{.allow_foreign_owner = options.allow_foreign_owner, .any_type = true},
      memory_(open_channel(dead_letter_channel, {}, how_)) {
    if (options.target.empty() && find_group(*memory_, group_name) < 0) {
        require_origin_of_the_first(*memory_);
    }
    member_.emplace(memory_, group_name, group_options());
}

Redrive::~Redrive() {
    for (Received& letter : held_)
        (void)member_->nack(letter, 0);
}

void Redrive::run() {
    // What becomes a dead letter again meanwhile waits for the next time.
    const Position end = find_tail(*memory_);
    while (sent_ < options_.most && !options_.stop.stop_requested()) {
        // Its place first: what was taken must not be lost for want of memory.
        Received& place = held_.emplace_back();
        if (member_->try_receive(place) != Status::ok) {
            held_.pop_back();
            break;
        }
        Received letter = place;
        if (!before(letter.position, end)) break;
        const std::string channel = destination_of(letter);
        const Status status = send(letter, channel);
        if (status == Status::interrupted) break;
        if (status == Status::wrong_size) {
            // It stays, without being in the way of others.
            if (misfits_.number++ == 0) {
                misfits_.first = letter.position;
                misfits_.channel = channel;
            }
            continue;
        }
        if (status != Status::ok && status != Status::lease_lost) {
            throw Error(Errc::timed_out, channel,
                        "took no dead letter: " + std::string(to_string(status)),
                        status == Status::timed_out ? "make room in it, and redrive again"
                                                    : "name another target channel");
        }
        held_.pop_back();
        (void)member_->ack(letter);
        if (status == Status::ok) ++sent_;
    }
    if (misfits_.number == 0 || options_.stop.stop_requested()) return;
    throw Error(Errc::type_differs, misfits_.channel,
                "carries objects of another size than message " + std::to_string(misfits_.first) +
                    " of " + memory_->name() + "; " + std::to_string(misfits_.number) +
                    " stay there, " + std::to_string(sent_) + " were sent back",
                "name a target channel of bytes, or of their type");
}

std::string Redrive::destination_of(const Received& letter) const {
    if (!options_.target.empty()) return options_.target;
    const auto origin = find_origin(letter.extension_headers());
    if (!origin) throw no_origin(memory_->name(), letter.position);
    return origin->channel;
}

Producer& Redrive::producer_for(const std::string& channel) {
    auto& producer = producers_[channel];
    if (!producer) {
        producer = std::make_unique<Producer>(open_channel(channel, {}, how_), ProducerKind::shared,
                                              ParticipantOptions{.name = group_name});
    }
    return *producer;
}

/// As publishing does; lease_lost when the group ended meanwhile.
Status Redrive::send(const Received& letter, const std::string& channel) {
    Producer& producer = producer_for(channel);
    // A copy, made while this group kept the message whole.
    const auto body = letter.bytes();
    const std::vector<std::byte> copy(body.begin(), body.end());
    if (!member_->held(letter)) return Status::lease_lost;
    return producer
        .send(copy.data(), copy.size(),
              [&] { return Patience::within(options_.wait, options_.stop); })
        .status();
}

}  // namespace ipc::inline v1::protocol
