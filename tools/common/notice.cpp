#include "tools/common/notice.hpp"

#include <unistd.h>

#include <algorithm>
#include <exception>

#include <fmt/core.h>

#include "tools/common/stream.hpp"
#include "tools/common/text.hpp"

namespace ipc::tools {

void notice(const std::string& tool, const std::string& line) noexcept {
    try {
        std::string text = line;
        std::replace(text.begin(), text.end(), '\n', ' ');
        // It may quote names that others gave to channels, groups and themselves.
        try_to_write(STDERR_FILENO, fmt::format("{}: {}\n", tool, printable(text)));
    } catch (const std::exception&) {
        // What the words were about goes on.
    }
}

}  // namespace ipc::tools
