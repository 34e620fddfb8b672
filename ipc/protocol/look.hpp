#pragma once

#include <cstdint>

namespace ipc::inline v1::protocol {

/// How closely somebody looks for what it waits for.
enum class Look : std::uint8_t {
    quick,     ///< repeated often, so cheap: goes by marks and states as their owners left them,
               ///< and makes a system call only where a claim of the lap before stands in the way
    thorough,  ///< now and then, and before sleeping or giving up: also finds what nobody tells.
               ///< May make system calls, which judge whether owners are dead, and reads and moves
               ///< words that others are writing
};

}  // namespace ipc::inline v1::protocol
