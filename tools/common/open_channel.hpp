#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "ipc/channel.hpp"
#include "tools/common/signals.hpp"
#include "tools/common/tool.hpp"

namespace ipc::tools {

/// A Failure about a channel that has to exist. `remedy`: what else than to check the name this
/// tool offers.
[[noreturn]] void fail_missing(const std::string& channel, const std::string& remedy = {});

/// Opens a channel that has to exist.
Channel<> open_existing(const std::string& name, const OpenOptions& options,
                        const std::string& remedy = {});

/// Opens a channel that has to exist within `wait`, or at some time if that is unset. The user is
/// told when that takes long: the name may be a typo.
Channel<> wait_for_channel(const Tool& tool, const Signals& signals, const std::string& name,
                           const OpenOptions& options,
                           std::optional<std::chrono::nanoseconds> wait);

/// Fails as the library does for errors, with what a status that ends the work means to the user.
/// For a stop request it ends by the signal that caused it.
[[noreturn]] void fail(const Signals& signals, const std::string& channel, Status status);

}  // namespace ipc::tools
