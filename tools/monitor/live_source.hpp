#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "tools/monitor/sampler.hpp"
#include "tools/monitor/source.hpp"

namespace ipc::tools::monitor {

/// This host as it is now.
class LiveSource : public Source {
public:
    /// `opening`: as of Sampler::sample.
    LiveSource(Sampler sampler, std::chrono::nanoseconds interval,
               std::chrono::nanoseconds opening = Sampler::however_long);

    std::optional<Clock::time_point> due() const override { return due_; }
    void next(History& history) override;
    void faster() override;
    void slower() override;
    std::string pace() const override;

    /// The same, to be kept.
    Snapshot snapshot();

    std::chrono::nanoseconds interval() const { return interval_; }

private:
    /// Without channels.
    Snapshot begin();
    void sample(const std::function<void(Sample)>& take);
    void end();

    Sampler sampler_;
    const std::string directory_;
    const std::chrono::nanoseconds opening_;
    std::chrono::nanoseconds interval_;
    Clock::time_point last_;
    Clock::time_point due_;
    bool first_ = true;
};

}  // namespace ipc::tools::monitor
