#pragma once

// The registry: the lock under which a channel's structure changes, and the entries of those who
// take part. Attaching, joining and leaving, the end of a group (group.hpp), the recovery of
// entries (recovery.hpp) and removal (lifecycle.hpp) hold the lock, which dies with its holder.
// Each step can be repeated, so that the next holder finishes or undoes what a dead one began.
//
// EDGE registry: the lock is the kernel's, so its holder sees all that former holders did.

#include <cstdint>
#include <functional>
#include <string>

#include "ipc/os/lock.hpp"
#include "ipc/protocol/channel_memory.hpp"

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

enum class ProducerKind : std::uint8_t { shared, exclusive };

/// The payload region of a producer: one without sends nothing that does not fit into a slot.
enum class OwnRegion : std::uint8_t { none, reserved };

/// Takes an entry for a producer, and reserves its region if it has one. Throws
/// Error(limit_reached), or Error(producer_lives) when this or another producer is exclusive.
Attachment attach_producer(ChannelMemory& memory, ProducerKind kind, const std::string& name,
                           OwnRegion region);

/// Frees the entry, ends the group if it was ephemeral and this its last member, removes the
/// channel if it was temporary and this its last participant. Never throws: what it cannot do,
/// recovery will.
void detach(ChannelMemory& memory, Attachment& attachment) noexcept;

// With the registry locked:

/// Takes the lowest free entry and its lock byte, then fills the entry in; it becomes visible last.
Attachment fill_entry(ChannelMemory& memory, format::Role role, unsigned group,
                      std::uint32_t incarnation, const std::string& name);
/// Ends the ephemeral group whose last member this is, then frees the entry. In this order: a dead
/// owner's entry leads to what is left of it, and a group without members would gate producers with
/// nobody to notice.
void free_entry(ChannelMemory& memory, unsigned participant);
bool has_participants(const ChannelMemory& memory);

}  // namespace ipc::inline v1::protocol
