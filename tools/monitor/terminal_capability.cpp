// Apart from the rest: term.h defines hundreds of common words as macros.

#include "tools/monitor/terminal_capability.hpp"

#include <ncurses.h>
#include <term.h>
#include <unistd.h>

namespace ipc::tools::monitor {

std::string terminal_capability(const char* name) {
    static const bool known = [] {
        int error = 0;
        return ::setupterm(nullptr, STDOUT_FILENO, &error) == OK;
    }();
    if (!known) return {};
    const char* sequence = ::tigetstr(name);
    // -1: not a string capability at all.
    if (sequence == nullptr || sequence == reinterpret_cast<const char*>(-1)) return {};
    return sequence;
}

}  // namespace ipc::tools::monitor
