#include "tools/common/terminal.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

namespace ipc::tools {

std::optional<TerminalSize> terminal_size() {
    if (::isatty(STDOUT_FILENO) == 0) return std::nullopt;
    winsize size = {};
    // Serial lines and some emulators do not know their size.
    const bool known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    return known ? TerminalSize{.width = size.ws_col, .height = size.ws_row}
                 : TerminalSize{.width = 80, .height = 24};
}

}  // namespace ipc::tools
