#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "ipc/export.hpp"

namespace ipc::inline v1 {

/// Removes a channel: its name at once, its memory when the last process unmaps it. Participants
/// get `removed`. Also removes a damaged object of that name. False when there is none; throws
/// Error when this user may not. Write ipc::remove: a plain remove("name") is C's, for files.
IPC_API bool remove(const std::string& channel);

/// Removes channels that no living participant uses and that have no durable group; leaves alone
/// what it may not touch and what was created in the last 10 s and not used yet. Returns their
/// names.
IPC_API std::vector<std::string> remove_dead();

/// Names of all channels in /dev/shm, also of those this user cannot open, sorted.
IPC_API std::vector<std::string> list();

/// Publishes dead letters again, oldest first: to the channels they come from, or all to `target`.
/// Each is acknowledged (in the durable group "redrive" of the dead-letter channel) after it was
/// published: at least once. All groups of the target see it as a new message. Returns how many
/// were moved. `allow_foreign_owner`: as OpenOptions has it, for all channels concerned.
IPC_API std::uint64_t redrive(const std::string& dead_letter_channel,
                              const std::string& target = {},
                              std::uint64_t most = std::numeric_limits<std::uint64_t>::max(),
                              bool allow_foreign_owner = false);

}  // namespace ipc::inline v1
