#pragma once

#include <string>

namespace ipc::tools::monitor {

/// What to send to the terminal of standard output for a capability, by its terminfo name; empty
/// when it has none, or is not known.
std::string terminal_capability(const char* name);

}  // namespace ipc::tools::monitor
