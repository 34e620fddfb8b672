#include "tools/monitor/notice.hpp"

#include <cstdio>

#include "tools/common/text.hpp"

namespace ipc::tools::monitor {

void notice(const std::string& line) {
    // Not fmt::print, which throws where it cannot write.
    std::fputs(("ipc-monitor: " + printable(line) + "\n").c_str(), stderr);
}

}  // namespace ipc::tools::monitor
