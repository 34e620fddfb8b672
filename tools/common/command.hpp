#pragma once

#include <string>
#include <string_view>

#include "tools/common/signals.hpp"

namespace ipc::tools {

/// Runs a command with /bin/sh, `input` on its standard input, and returns what waitpid tells of
/// its end. It has a process group of its own: what wants the tool to end is passed on to all of
/// that, and the end of the command waited for. Throws EndedBySignal only when nothing was started.
int run_command(const std::string& command, std::string_view input, const Signals& signals);

/// How a command ended, for people.
std::string describe_end(int status);

}  // namespace ipc::tools
