#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "ipc/base/error.hpp"
#include "ipc/base/options.hpp"
#include "ipc/consumer.hpp"
#include "ipc/message_type.hpp"
#include "ipc/producer.hpp"

namespace ipc::inline v1 {

/// A copy of a message that was looked at and left where it is.
struct PeekedMessage {
    Position position = 0;
    std::chrono::nanoseconds published_at{};  ///< CLOCK_MONOTONIC; 0 = not stamped
    std::string producer;  ///< of its producer's table entry; empty when a reader has that by now
    std::vector<std::byte> body;
    std::optional<Origin> origin;
};

/// What is the same for channels of all types.
class IPC_API ChannelBase {
public:
    const std::string& name() const { return memory_->name(); }
    /// Messages the ring holds.
    std::uint64_t capacity() const { return memory_->capacity(); }
    /// Longest message in bytes.
    std::uint64_t max_message_size() const;

    /// Ends the channel after everything published so far, waiting at most `wait` for a free slot:
    /// ok, timed_out, interrupted or removed. While an exclusive producer lives this asks it to
    /// close, which it does when it publishes next, and waits for that; it stays asked when the
    /// wait ends before. Who has that producer calls Producer::close: waiting here for oneself does
    /// not end. Takes a table entry meanwhile: throws Error(limit_reached) when max_participants
    /// take part.
    Outcome close(std::chrono::nanoseconds wait = std::chrono::nanoseconds::max(),
                  std::stop_token stop = {});
    /// Drops what the members of a group were not handed yet; returns how many messages that were.
    /// Throws Error(not_found) when there is no such group.
    std::uint64_t purge(const std::string& group);
    /// Ends a group with its backlog; its members get `removed`. Throws Error(not_found).
    void remove_group(const std::string& group);
    /// Up to `count` messages from `from` on, or from the oldest retained; consumes nothing.
    std::vector<PeekedMessage> peek(std::optional<Position> from, std::size_t count) const;

protected:
    /// Readers with one reference, the caller's.
    protocol::Reader* make_member(const std::string& group, const GroupOptions& options) const;
    protocol::Reader* make_subscriber(const SubscribeOptions& options) const;

    explicit ChannelBase(std::shared_ptr<protocol::ChannelMemory> memory)
        : memory_(std::move(memory)) {}

    std::shared_ptr<protocol::ChannelMemory> memory_;
};

/// A channel this process has mapped. Not a participant: it holds nobody back and takes no table
/// entry. Copies share one mapping; the handles made from it keep it alive. Several threads may use
/// it at the same time; once moved from, it can only be assigned to, or destroyed. T = std::byte
/// carries byte messages of any length, any other trivially copyable T messages of exactly that
/// type.
///
/// What goes wrong is thrown as Error, naming the channel, the cause and the remedy; only close()
/// returns an outcome. Beside what each function names, they throw permission_denied, no_space or
/// system where the operating system refuses; removed when the channel is gone; timed_out when
/// another process, probably a stopped one, has held up the registry for 10 s; and forked in a
/// child that inherited the channel.
template <Carriable T = std::byte>
class Channel : public ChannelBase {
public:
    /// Error(already_exists) when the name is taken, or what open throws about the object that has
    /// it; bad_name; bad_options.
    static Channel create(const std::string& name, const ChannelOptions& options = {},
                          const OpenOptions& how = {}) {
        return Channel(
            protocol::create_channel(name, fitting(options), protocol::message_type<T>(), how));
    }
    /// Error(not_found) when there is none, after how.wait; bad_name; type_differs; foreign_owner
    /// without how.allow_foreign_owner; incompatible or corrupt when this library cannot use it.
    static Channel open(const std::string& name, const OpenOptions& how = {}) {
        return Channel(protocol::open_channel(name, protocol::message_type<T>(), how));
    }
    /// Error(options_differ) when it exists with other options; bad_options; else as open.
    static Channel open_or_create(const std::string& name, const ChannelOptions& options = {},
                                  const OpenOptions& how = {}) {
        return Channel(protocol::open_or_create_channel(name, fitting(options),
                                                        protocol::message_type<T>(), how));
    }

    /// One of any number of producers. Error(producer_lives), naming it, while an exclusive one
    /// lives; limit_reached when max_participants take part; no_space when there is none for its
    /// region.
    Producer<T> producer(const ParticipantOptions& options = {}) const {
        return Producer<T>(
            std::make_unique<protocol::Producer>(memory_, protocol::ProducerKind::shared, options));
    }
    /// The only producer. Error(producer_lives), naming it, while any other lives; else as
    /// producer.
    Producer<T> exclusive_producer(const ParticipantOptions& options = {}) const {
        return Producer<T>(std::make_unique<protocol::Producer>(
            memory_, protocol::ProducerKind::exclusive, options));
    }

    /// Becomes a member of a named group, which is created if need be. Error(options_differ) when
    /// the group exists with other policies; bad_name; bad_options when policies contradict each
    /// other, or the dead-letter channel could not take all dead letters, or would send them back
    /// here; foreign_owner or permission_denied when this user must not use that channel;
    /// limit_reached when max_participants take part, or a new group would exceed max_groups;
    /// no_space for a new group.
    Consumer<T> join(const std::string& group, const GroupOptions& options = {}) const {
        return Consumer<T>(make_member(group, options));
    }
    /// A group of its own, which sees every message and ends with the handle. Error(limit_reached)
    /// when max_participants take part, or there are max_groups already; no_space for its group.
    Consumer<T> subscribe(const SubscribeOptions& options = {}) const {
        return Consumer<T>(make_subscriber(options));
    }

    /// What such a channel is created with: slots and regions hold its type, whatever `options` say
    /// (memory_cost(Channel<T>::fitting(options)) is what it costs).
    static ChannelOptions fitting(ChannelOptions options) {
        if constexpr (!is_bytes<T>) {
            // Slots align their payload to 8: stricter types travel in the region, as do those that
            // would make every slot longer than a KiB. A region holds four at least.
            if (alignof(T) <= 8) {
                options.inline_size =
                    std::max<std::uint32_t>(options.inline_size, sizeof(T) <= 1024 ? sizeof(T) : 8);
            } else {
                options.inline_size = 8;
            }
            options.region_size = std::max<std::uint64_t>(options.region_size, 4 * sizeof(T));
        }
        return options;
    }

private:
    using ChannelBase::ChannelBase;
};

}  // namespace ipc::inline v1
