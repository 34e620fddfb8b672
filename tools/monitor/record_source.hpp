#pragma once

#include <optional>

#include "tools/monitor/record.hpp"
#include "tools/monitor/source.hpp"

namespace ipc::tools::monitor {

/// A record, played at some multiple of the speed it was made with.
class RecordSource : public Source {
public:
    static constexpr double slowest = 1.0 / 16;
    static constexpr double fastest = 1024;

    RecordSource(RecordReader reader, double speed);

    std::optional<Clock::time_point> due() const override;
    /// Throws a Failure where the record is damaged.
    void next(History& history) override;
    void faster() override;
    void slower() override;
    std::string pace() const override;

private:
    void read_ahead();
    Clock::duration wait_before_next() const;

    RecordReader reader_;
    double speed_;
    std::optional<Snapshot> ahead_;
    std::exception_ptr damage_;   ///< what is ahead instead
    std::int64_t shown_ns_ = 0;   ///< the time of the last snapshot that was taken, and
    Clock::time_point shown_at_;  ///< when it was
};

}  // namespace ipc::tools::monitor
