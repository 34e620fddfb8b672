#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tools/monitor/source.hpp"

namespace ipc::tools::monitor {

/// Whether it stands for other names than itself.
bool is_pattern(const std::string& text);

/// Whether a channel's name matches a shell pattern.
bool matches(const std::string& pattern, const std::string& channel);

/// Samples the channels of this host, read-only and as no participant.
class Sampler {
public:
    /// Channels whose name matches one of the shell patterns; all when there is none.
    Sampler(std::vector<std::string> patterns, bool allow_foreign_owner);

    static constexpr std::chrono::nanoseconds however_long = std::chrono::hours(1);

    /// Gives `take` one sample after the other, in alphabetical order. A channel that cannot be
    /// opened is part of the picture, not an error. To open one takes much longer than to look at
    /// it: when those that are new have taken `opening`, the others are left for the next time.
    void sample(const std::function<void(Sample)>& take,
                std::chrono::nanoseconds opening = however_long);

    /// How many channels were left for the next time.
    std::size_t unopened() const { return unopened_; }

private:
    bool selects(const std::string& channel) const;
    /// `inspector`: the channel's, null when it is new. Is null afterwards when there is no report.
    std::optional<Sample> sample(const std::string& channel, std::unique_ptr<Inspector>& inspector,
                                 ProcessStates& processes) const;

    const std::vector<std::string> patterns_;
    const bool allow_foreign_owner_;
    // Mapping a channel costs more than reading it.
    std::map<std::string, std::unique_ptr<Inspector>> inspectors_;
    std::size_t unopened_ = 0;
};

}  // namespace ipc::tools::monitor
