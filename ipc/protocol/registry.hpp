#pragma once

// Changes of structure: attach, join, leave, the end of a group, the recovery of entries, removal.
// One lock, which dies with its holder, serialises them; each step can be repeated, so that the
// next holder finishes or undoes what a dead one began.
//
// EDGE registry: the lock is the kernel's, so its holder sees all that former holders did.

#include <functional>
#include <string>

#include "ipc/os/lock.hpp"
#include "ipc/protocol/channel_memory.hpp"
#include "ipc/protocol/function_ref.hpp"

namespace ipc::inline v1::protocol {

class RegistryLock {
public:
    /// Waits at most 10 s, then throws Error(timed_out). Throws Error(removed) when the channel's
    /// name no longer means this object.
    static RegistryLock take(const ChannelMemory& memory);
    /// The same of an object that need not be a channel; the caller checks what its name means.
    /// `open` opens the object anew, for writing.
    static RegistryLock take(const std::string& channel,
                             const std::function<os::TransientDescriptor()>& open);
    /// Empty when another holds it, or the channel was removed.
    static RegistryLock try_take(const ChannelMemory& memory) noexcept;

    explicit operator bool() const { return static_cast<bool>(lock_); }

private:
    explicit RegistryLock(os::HeldLock lock) : lock_(std::move(lock)) {}
    os::HeldLock lock_;
};

/// A participant entry and the lock byte that proves its owner alive.
struct Attachment {
    unsigned index = format::no_participant;
    os::HeldLock life;
    bool needs_fence = false;  ///< the process could not register for the asymmetric barrier
};

/// Takes an entry for a producer. Throws Error(limit_reached), or Error(producer_lives) when this
/// or another producer is exclusive. `with_region`: reserves its payload region.
Attachment attach_producer(ChannelMemory& memory, bool exclusive, const std::string& name,
                           bool with_region);

struct Membership {
    Attachment attachment;
    unsigned group = 0;
    GroupStatus status{};
    Position start = 0;         ///< a new group's or subscriber's first position
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

/// Frees the entry, ends the group if it was ephemeral and this its last member, removes the
/// channel if it was temporary and this its last participant. Never throws: what it cannot do,
/// recovery will.
void detach(ChannelMemory& memory, Attachment& attachment) noexcept;

/// Index of an active named group, or -1.
int find_group(const ChannelMemory& memory, const std::string& name);

/// Settles everything a group's members have not been handed; returns how many messages that were.
std::uint64_t purge_group(ChannelMemory& memory, unsigned group);

// With the registry locked:

void end_group(ChannelMemory& memory, unsigned group);
/// Ends the ephemeral group whose last member this is, then frees the entry. In this order: a dead
/// owner's entry leads to what is left of it, and a group without members would gate producers with
/// nobody to notice.
void free_entry(ChannelMemory& memory, unsigned participant);
/// Whether an entry in use, other than `except`, belongs to a group of this index: the present one,
/// or a former one that ended under its members.
bool has_members(const ChannelMemory& memory, unsigned group,
                 unsigned except = format::no_participant);
bool has_participants(const ChannelMemory& memory);

}  // namespace ipc::inline v1::protocol
