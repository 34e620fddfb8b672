#pragma once

#include <string>
#include <system_error>

#include "ipc/export.hpp"

namespace ipc::inline v1 {

/// Why a handle could not be set up, for programs that react to the cause.
enum class Errc {
    bad_name = 1,       ///< the name does not match [A-Za-z0-9._-]{1,128}
    bad_options,        ///< an option, or a combination of options, has no meaning
    not_found,          ///< no channel of this name
    already_exists,     ///< create: the name is taken
    options_differ,     ///< the channel, or the group, exists with other options
    type_differs,       ///< the channel carries another message type
    incompatible,       ///< the object was written by a version this library cannot work with
    corrupt,            ///< the object is not a channel, or is damaged
    foreign_owner,      ///< another user owns the object, and that was not allowed
    permission_denied,  ///< the system refused access
    no_space,           ///< /dev/shm is full
    limit_reached,      ///< a table of the channel (participants, groups) is full
    producer_lives,     ///< an exclusive producer was asked for while another producer lives
    timed_out,          ///< a lock or a channel was not available before the deadline
    removed,            ///< the channel was removed in the meantime
    forked,             ///< a handle inherited through fork was used in the child
    system,             ///< a system call failed; what() says which
};

IPC_API const std::error_category& error_category() noexcept;
IPC_API std::error_code make_error_code(Errc errc) noexcept;

/// Thrown when setting up a handle fails. what() is one line: the channel, what happened, and what
/// to do about it.
class IPC_API Error : public std::system_error {
public:
    Error(Errc errc, const std::string& channel, const std::string& what,
          const std::string& remedy = {});
    const char* what() const noexcept override { return line_.c_str(); }
    /// The channel's name; empty when the failure concerns no single channel.
    const std::string& channel() const noexcept { return channel_; }

private:
    std::string channel_;
    std::string line_;
};

}  // namespace ipc::inline v1

template <>
struct std::is_error_code_enum<ipc::Errc> : std::true_type {};
