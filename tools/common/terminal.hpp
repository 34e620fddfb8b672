#pragma once

#include <cstddef>
#include <optional>

namespace ipc::tools {

struct TerminalSize {
    std::size_t width;
    std::size_t height;
};

/// The size of the terminal that standard output is; nothing when it is none.
std::optional<TerminalSize> terminal_size();

}  // namespace ipc::tools
