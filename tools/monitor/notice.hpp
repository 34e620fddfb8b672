#pragma once

#include <string>

namespace ipc::tools::monitor {

/// Tells the user in a line on standard error, and goes on; also where nobody takes the line.
void notice(const std::string& line);

}  // namespace ipc::tools::monitor
