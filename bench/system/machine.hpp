#pragma once

#include <string>
#include <vector>

namespace ipc::bench {

/// Where figures come from.
struct Machine {
    std::string processor;
    std::size_t processors;  ///< usable ones
    std::string memory;
    std::string kernel;
    std::string system;    ///< the distribution
    bool virtual_machine;  ///< a hypervisor may take processors away
    std::string compiler;
    std::string build_type;
    std::string library_version;
    std::string date;     ///< UTC, ISO 8601
    double load_average;  ///< of the last minute, when asked
};

Machine machine();

}  // namespace ipc::bench
