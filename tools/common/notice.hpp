#pragma once

#include <string>

namespace ipc::tools {

/// One line of a tool on standard error, for what the user should know although nothing failed.
/// Without anybody to read it, or memory for its words, the tool goes on.
void notice(const std::string& tool, const std::string& line) noexcept;

}  // namespace ipc::tools
