#pragma once

#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tools/monitor/estimate.hpp"
#include "tools/monitor/source.hpp"

namespace ipc::tools::monitor {

// The model of the full screen: the newest report of each channel, and what is remembered of the
// earlier ones. It is a function of the snapshots that were added, in their order, and of nothing
// else.

/// Trends, states, rates and estimates are over this window, or at least three snapshots, in
/// seconds.
constexpr double window_seconds = 10;
/// Histories go back this far, or at least 16 snapshots.
constexpr double remembered_seconds = 120;
/// A death is shown for so long after what the dead held was recovered.
constexpr double death_shown_seconds = 60;

/// What is remembered of a group at one snapshot. Rates are those since the snapshot before; NaN:
/// unknown.
struct Point {
    double at = 0;  ///< seconds on the clock of the snapshots
    float backlog = 0;
    float in = unknown;         ///< messages published, per second
    float out = unknown;        ///< handed to members
    float acked = unknown;      ///< processed
    float response = unknown;   ///< T_r: mean of those settled since the snapshot before, seconds
    float predicted = unknown;  ///< T_r = T_p + L_q / C of a message published at this moment
    bool taken = false;         ///< something was handed out since the snapshot before
    /// The backlog was never empty since the snapshot before: not all that waited then was taken.
    bool never_drained = false;
    bool full = false;  ///< producers wait for this group, or would be refused

    static constexpr float unknown = std::numeric_limits<float>::quiet_NaN();
};
using Points = std::deque<Point>;

/// Somebody died and held something; others have it now, or will.
struct Death {
    double at = 0;           ///< when it was noticed, seconds
    std::string who;         ///< name and pid, if it was seen alive; or empty
    std::uint64_t held = 0;  ///< messages of a member; positions that a producer had claimed
    bool producer = false;
    bool recovered = false;
};

/// Worst first.
enum class State : std::uint8_t {
    dead,        ///< a member or producer died holding something
    stop,        ///< messages wait and nobody takes any
    full,        ///< producers wait, or are refused
    slow,        ///< the backlog grows, or never drained over the window
    unreadable,  ///< damaged, or belongs to somebody else
    ok,
    idle,  ///< nothing was published or taken over the window, and nothing waits
};

struct GroupHistory {
    unsigned index = 0;  ///< the group's entry in the channel
    std::string name;
    Position start = 0;
    std::string title;  ///< the name; of a subscriber, who it is
    Points points;      ///< oldest first; never empty
    std::optional<Death> death;
    Estimate estimate;  ///< over the window
    State state = State::idle;
    double state_since = 0;  ///< seconds

    double last_taken = 0;  ///< when something was last seen to be handed out, or the first look
};

/// What is remembered of a participant.
struct Presence {
    unsigned index = 0;
    std::int64_t attached_at_ns = 0;
    std::uint64_t messages = 0;
    double changed_at = 0;  ///< when its count last changed, or it was first seen
    double rate = 0;        ///< messages per second over the window
};

struct ChannelHistory {
    std::string name;
    std::string problem;  ///< why there is no report; empty when there is
    std::optional<ChannelReport> report;
    std::vector<GroupHistory> groups;  ///< as in the report
    std::vector<Presence> presences;   ///< of the report's participants
    std::optional<ChannelRates> rates;
    std::optional<Death> death;  ///< of a producer
    State state = State::idle;   ///< the worst of its groups, or its own when it has none
    double state_since = 0;

    const GroupReport& report_of(const GroupHistory& group) const;

private:
    friend class History;

    // Where windows begin: earlier reports half a window apart, without what they need not tell.
    // The oldest is the youngest that a whole window has passed since, if there is one.
    std::deque<ChannelReport> earlier_;
};

class History {
public:
    void add(Snapshot snapshot);

    /// In alphabetical order.
    const std::vector<ChannelHistory>& channels() const { return channels_; }
    /// Of the newest snapshot.
    double now() const { return now_; }
    std::int64_t wall_clock_ns() const { return wall_clock_ns_; }
    const SharedMemorySpace& space() const { return space_; }
    bool empty() const { return snapshots_ == 0; }

private:
    void update(ChannelHistory& channel, Sample sample);

    std::vector<ChannelHistory> channels_;
    double now_ = 0;
    std::int64_t wall_clock_ns_ = 0;
    SharedMemorySpace space_;
    std::uint64_t snapshots_ = 0;
};

/// The state that the points of the window tell, the newest being that of the report. Without
/// regard to deaths. `takers`: members that live and are not stopped.
State judge(const Points& points, const GroupReport& group, const Estimate& estimate,
            unsigned takers);

/// Whether the death is still to be shown.
bool is_shown(const std::optional<Death>& death, double now);

/// The state in a sentence: who is to blame, and what will happen. Empty when there is nothing to
/// say.
std::string explain(const ChannelHistory& channel, const GroupHistory& group, double now);
std::string explain(const ChannelHistory& channel, double now);

/// The first point of the window that ends with the newest.
std::size_t window_begin(const Points& points);

/// By how much the predictions of the last minute were off: the median of |predicted - measured| /
/// measured. Each measured response time is compared with what was predicted when those messages
/// were published, that long before.
std::optional<double> prediction_error(const Points& points);

}  // namespace ipc::tools::monitor
