#pragma once

#include <cstdint>
#include <string>

#include "ipc/base/options.hpp"

namespace ipc::inline v1 {

/// Where a dead letter comes from.
struct Origin {
    std::string channel;
    std::uint64_t channel_id = 0;
    std::string group;
    Position position = 0;
    unsigned attempts = 0;  ///< deliveries it had
    std::string reason;     ///< "rejected" or "attempts exhausted"
};

}  // namespace ipc::inline v1
