#pragma once

// Named groups and the anonymous ones of subscribers: how they begin, who belongs to them, and how
// they end. What their members do with messages is in lease.hpp, member.hpp, subscriber.hpp and
// lossy_reader.hpp.

#include <string>

#include "ipc/protocol/function_ref.hpp"
#include "ipc/protocol/registry.hpp"

namespace ipc::inline v1::protocol {

/// A place in a group.
struct Membership {
    Attachment attachment;
    unsigned group = 0;
    GroupStatus status{};
    std::uint64_t skipped = 0;  ///< positions asked for but gone
};

/// Joins a named group, which is created if need be. Throws Error(options_differ) when it exists
/// with other policies. `check` runs when others can see the group and nobody can use it yet; what
/// it throws refuses the join, and a group that was made for it is gone.
Membership join_group(
    ChannelMemory& memory, const std::string& group, const GroupOptions& options,
    FunctionRef<void()> check = [] {});
/// A group of its own, which ends with it.
Membership join_alone(ChannelMemory& memory, const SubscribeOptions& options);

/// Index of an active named group, or -1.
int find_group(const ChannelMemory& memory, const std::string& name);

/// Settles everything a group's members have not been handed; returns how many messages that were.
std::uint64_t purge_group(ChannelMemory& memory, unsigned group);

// With the registry locked:

void end_group(ChannelMemory& memory, unsigned group);
/// Whether an entry in use, other than `except`, belongs to a group of this index: the present one,
/// or a former one that ended under its members.
bool has_members(const ChannelMemory& memory, unsigned group,
                 unsigned except = format::no_participant);

}  // namespace ipc::inline v1::protocol
