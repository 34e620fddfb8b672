#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ipc/inspect.hpp"

namespace ipc::tools::monitor {

class History;

/// One channel at one time: its report, or why there is none.
struct Sample {
    std::string channel;
    std::optional<ChannelReport> report;
    std::string problem;
};

/// All selected channels of a host at one time.
struct Snapshot {
    std::int64_t sampled_at_ns = 0;      ///< CLOCK_MONOTONIC of that host, as in its reports
    std::int64_t wall_clock_ns = 0;      ///< CLOCK_REALTIME
    std::string directory = "/dev/shm";  ///< where the channels are
    SharedMemorySpace space;             ///< of that
    std::size_t unopened = 0;            ///< channels that there was no time to open yet
    std::vector<Sample> channels;        ///< in alphabetical order
};

/// Where the full screen gets its snapshots from: this host as it is now, or a record of one. The
/// screen waits until the next is due, or until a key is pressed; while it is paused it takes none,
/// and a record waits with it.
class Source {
public:
    using Clock = std::chrono::steady_clock;

    Source() = default;
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;
    virtual ~Source() = default;

    /// When the next snapshot may be taken; nothing when there is no other: a record has ended.
    virtual std::optional<Clock::time_point> due() const = 0;
    /// Takes it, and adds it to what is known. Times grow from one to the next.
    virtual void next(History& history) = 0;
    /// A step in how fast snapshots come: a shorter interval, or a faster replay.
    virtual void faster() = 0;
    virtual void slower() = 0;
    /// The same in a few words for the screen's first line: "every 1.0s", "record x4".
    virtual std::string pace() const = 0;
};

}  // namespace ipc::tools::monitor
