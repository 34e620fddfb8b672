#pragma once

#include <string>

namespace ipc::bench {

/// A name that nobody else uses: of this process, and another one each time.
std::string own_name();

}  // namespace ipc::bench
