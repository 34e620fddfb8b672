#include "bench/system/own_name.hpp"

#include <unistd.h>

#include <fmt/format.h>

namespace ipc::bench {

std::string own_name() {
    static int count = 0;
    return fmt::format("ipc-bench.{}.{}", ::getpid(), count++);
}

}  // namespace ipc::bench
