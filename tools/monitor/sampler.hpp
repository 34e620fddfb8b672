#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tools/monitor/source.hpp"

namespace ipc::tools::monitor {

/// Samples the channels of this host, read-only and as no participant.
class Sampler {
public:
    /// Channels whose name matches one of the shell patterns; all when there is none.
    Sampler(std::vector<std::string> patterns, bool allow_foreign_owner);

    /// In alphabetical order. A channel that cannot be opened is part of the picture, not an error.
    std::vector<Sample> sample();

private:
    bool selects(const std::string& channel) const;
    std::optional<Sample> sample(const std::string& channel);

    const std::vector<std::string> patterns_;
    const bool allow_foreign_owner_;
    // Mapping a channel costs more than reading it.
    std::map<std::string, std::unique_ptr<Inspector>> inspectors_;
};

}  // namespace ipc::tools::monitor
