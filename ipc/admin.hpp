#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ipc/base/error.hpp"
#include "ipc/base/options.hpp"
#include "ipc/export.hpp"

namespace ipc::inline v1 {

/// Removes a channel: its name at once, its memory when the last process unmaps it. Participants
/// get `removed`. Also removes a damaged object of that name. False when there is none; throws
/// Error when this user may not. Write ipc::remove: a plain remove("name") is C's, for files.
IPC_API bool remove(const std::string& channel);

/// Removes channels that no living participant uses and that have no durable group; leaves alone
/// what it may not touch and what was created in the last 10 s and not used yet. Returns their
/// names. Throws as list does.
IPC_API std::vector<std::string> remove_dead();

/// Names of all channels in /dev/shm, also of those this user cannot open, sorted. Throws
/// std::system_error where that directory cannot be read: there is no channel to speak of.
IPC_API std::vector<std::string> list();

/// Thrown by redrive, in place of an Error, once it has begun.
class IPC_API RedriveError : public Error {
public:
    RedriveError(const Error& cause, std::uint64_t sent) : Error(cause), sent_(sent) {}
    /// Messages that went back before; they have left the dead-letter channel.
    std::uint64_t sent() const noexcept { return sent_; }

private:
    std::uint64_t sent_;
};

/// Publishes dead letters again, oldest first, to the channels they come from, or to one target;
/// returns how many. Those that were there when it began: what becomes a dead letter again
/// meanwhile waits for the next time. All groups of the target see each as a new message.
///
/// Each is acknowledged after it was published, in the durable group "redrive" of the dead-letter
/// channel: at least once. That group is made by the first redrive, and keeps letters until one
/// takes them, or `purge` or `remove_group` does.
///
/// Throws Error as Channel::open does, for any channel concerned; bad_options when a message has no
/// origin and no target is named; timed_out when a target took none for options.wait, or takes no
/// more; type_differs, after all others went back, when some do not fit their channel. All stays
/// that did not go back.
IPC_API std::uint64_t redrive(const std::string& dead_letter_channel,
                              const RedriveOptions& options = {});

}  // namespace ipc::inline v1
