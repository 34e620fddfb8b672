#pragma once

// How a channel begins and ends.

#include <memory>
#include <string>
#include <vector>

#include "ipc/protocol/channel_memory.hpp"

namespace ipc::inline v1::protocol {

/// The identity of a message type as the header keeps it.
struct MessageType {
    format::TypeIdentity identity{};
    std::string name;
};

/// Initialises an unnamed object and links it into place: killed at any instruction it leaves no
/// channel or a whole one. Throws Error(already_exists).
IPC_API std::shared_ptr<ChannelMemory> create_channel(const std::string& name,
                                                      const ChannelOptions& options,
                                                      const MessageType& type,
                                                      const OpenOptions& how);
/// Throws Error(not_found) when there is none after `how.wait`.
IPC_API std::shared_ptr<ChannelMemory> open_channel(const std::string& name,
                                                    const MessageType& type,
                                                    const OpenOptions& how);
IPC_API std::shared_ptr<ChannelMemory> open_or_create_channel(const std::string& name,
                                                              const ChannelOptions& options,
                                                              const MessageType& type,
                                                              const OpenOptions& how);

/// Maps a channel read-only. Throws Error(not_found).
std::shared_ptr<ChannelMemory> watch_channel(const std::string& name, bool allow_foreign_owner);

/// With the registry locked: takes the name away and tells everybody.
void unlink_locked(ChannelMemory& memory);

/// Removes a channel, or a damaged or foreign object of that name this user may remove; false when
/// there is none, or another removed it at the same time. What took the name since then keeps it.
bool remove_channel(const std::string& name);

/// Removes the channel if no participant lives and no durable group exists.
bool remove_if_dead(const std::string& name);

/// Names of all objects that look like channels, in alphabetical order.
std::vector<std::string> list_channels();

}  // namespace ipc::inline v1::protocol
