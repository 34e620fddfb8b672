#pragma once

#include <chrono>

#include "tools/monitor/sampler.hpp"
#include "tools/monitor/source.hpp"

namespace ipc::tools::monitor {

/// This host as it is now.
class LiveSource : public Source {
public:
    LiveSource(Sampler sampler, std::chrono::nanoseconds interval);

    std::optional<Clock::time_point> due() const override { return due_; }
    Snapshot next() override;
    void faster() override;
    void slower() override;
    std::string pace() const override;

    std::chrono::nanoseconds interval() const { return interval_; }

private:
    Sampler sampler_;
    std::chrono::nanoseconds interval_;
    Clock::time_point last_;
    Clock::time_point due_;
    bool first_ = true;
};

}  // namespace ipc::tools::monitor
