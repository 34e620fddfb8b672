#pragma once

#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tools/monitor/estimate.hpp"
#include "tools/monitor/source.hpp"

namespace ipc::tools::monitor {

// The model of the full screen: the newest report of each channel, and what is remembered of the
// earlier ones. It is a function of the snapshots that were added, in their order, and of nothing
// else.

/// States are judged over this window, or at least three snapshots; in seconds. That a group has
/// stopped is said earlier where the channel itself tells for how long nobody received anything.
/// Rates and estimates are over a half to the whole of the window.
constexpr double window_seconds = 10;
/// Histories go back this far, or at least 16 snapshots; when there are many groups, as far as some
/// megabytes reach.
constexpr double remembered_seconds = 120;
/// A death is shown for so long after what the dead held was recovered.
constexpr double death_shown_seconds = 60;

/// What is remembered of a group at one snapshot. Rates are those since the snapshot before; NaN:
/// unknown.
struct Point {
    double at = 0;  ///< seconds on the clock of the snapshots
    float backlog = 0;
    float in = unknown;         ///< messages published, per second
    float acked = unknown;      ///< processed
    float response = unknown;   ///< T_r: mean of those settled since the snapshot before, seconds
    float predicted = unknown;  ///< T_r = T_p + L_q / C of a message published at this moment
    bool taken : 1 = false;     ///< something was handed out since the snapshot before
    /// The backlog was never empty since the snapshot before: not all that waited then was taken.
    bool never_drained : 1 = false;
    bool full : 1 = false;  ///< producers wait for this group, or would be refused
    bool lost : 1 = false;  ///< positions were skipped since the snapshot before
    /// Dead letters waited since the snapshot before, and none was taken.
    bool letters_wait : 1 = false;

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
    slow,        ///< the backlog grows, or never drained over the window; or dead letters wait
    unreadable,  ///< damaged, or belongs to somebody else
    ok,
    idle,  ///< nothing was published or taken over the window, and nothing waits
};

/// Where the window of rates and estimates begins: at the older of two looks half a window apart.
/// Both are the first one until there are others.
template <class Look>
class WindowStart {
public:
    explicit WindowStart(Look first) : older_(first), younger_(std::move(first)) {}

    const Look& operator*() const { return older_; }
    const Look* operator->() const { return &older_; }

    /// Moves on with the newest look, which `make` makes when it is due.
    template <class Make>
    void follow(std::int64_t sampled_at_ns, Make&& make) {
        constexpr auto half = static_cast<std::int64_t>(window_seconds / 2 * 1e9);
        if (sampled_at_ns - younger_.sampled_at_ns < half) return;
        older_ = std::exchange(younger_, make());
    }

private:
    Look older_;
    Look younger_;
};

struct GroupHistory {
    GroupHistory(const ChannelReport& channel, const GroupReport& group, double now);

    unsigned index;  ///< the group's entry in the channel
    std::string name;
    Position start;
    std::string owner;  ///< of a subscriber: its program and pid
    std::string title;  ///< unlike any other of the channel: the name; of a subscriber, who it is
    Points points;      ///< oldest first; never empty
    std::optional<Death> death;
    double service = 0;  ///< T_p: mean over the window, or the whole past; seconds, 0: unknown
    State state = State::idle;
    double state_since;                   ///< seconds
    State state_of_living = State::idle;  ///< the state without regard to deaths

    double last_taken;  ///< when something was last seen to be handed out, or the first look
    /// The look at which the oldest message that is not settled was there for certain.
    std::optional<std::int64_t> oldest_seen_ns;
    std::uint64_t response_samples = 0;  ///< in the histogram
    WindowStart<GroupStart> window;
};

/// What is remembered of a participant.
struct Presence {
    struct Look {
        std::int64_t sampled_at_ns;
        std::uint64_t messages;
    };

    unsigned index;
    std::int64_t attached_at_ns;
    std::uint64_t messages;
    double changed_at;  ///< when its count last changed, or it was first seen
    double rate = 0;    ///< messages per second over the window
    WindowStart<Look> window;
};

struct ChannelHistory {
    std::string name;
    std::string problem;  ///< why there is no report; empty when there is
    std::optional<ChannelReport> report;
    std::vector<GroupHistory> groups;  ///< as in the report
    std::vector<Presence> presences;   ///< as the report's participants
    std::optional<ChannelRates> rates;
    std::optional<WindowStart<ChannelStart>> window;
    std::optional<Death> death;  ///< of a producer
    State state = State::idle;   ///< the worst of its groups, or its own when it has none
    double state_since = 0;

    const GroupReport& report_of(const GroupHistory& group) const;
    /// Over the window. Not remembered: few of them are looked at.
    Estimate estimate_of(const GroupHistory& group) const;
};

class History {
public:
    void add(Snapshot snapshot);

    /// The same, one channel after the other: a snapshot of many need not be there all at once.
    class Addition {
    public:
        /// `snapshot`: without its channels.
        Addition(History& history, const Snapshot& snapshot);
        Addition(const Addition&) = delete;
        Addition& operator=(const Addition&) = delete;
        /// In alphabetical order. Channels that are not added are gone.
        void add(Sample sample);
        /// `unopened`: as of the snapshot.
        void end(std::size_t unopened);

    private:
        History& history_;
        std::vector<ChannelHistory> known_;
        std::vector<ChannelHistory>::iterator next_known_;
    };

    /// In alphabetical order.
    const std::vector<ChannelHistory>& channels() const { return channels_; }
    /// Of the newest snapshot.
    double now() const { return now_; }
    std::int64_t wall_clock_ns() const { return wall_clock_ns_; }
    const std::string& directory() const { return directory_; }
    const SharedMemorySpace& space() const { return space_; }
    /// How many channels are not shown yet.
    std::size_t unopened() const { return unopened_; }

private:
    void update(ChannelHistory& channel, Sample sample);

    std::vector<ChannelHistory> channels_;
    double now_ = 0;
    std::int64_t wall_clock_ns_ = 0;
    std::string directory_;
    SharedMemorySpace space_;
    std::size_t unopened_ = 0;
    std::size_t groups_ = 0;  ///< at the snapshot before
};

/// Whether anything is published and not settled.
bool has_unsettled(const GroupReport& group);

/// Whether dead letters waited at each look of the window, two at least, and none was taken.
bool dead_letters_wait(const GroupHistory& group);

/// Whether the death is still to be shown.
bool is_shown(const std::optional<Death>& death, double now);

/// The state without deaths that are over, since others have what the dead held.
State present_state(const GroupHistory& group);

/// The state in a sentence: who is to blame, and what will happen. Empty when there is nothing to
/// say.
std::string explain(const ChannelHistory& channel, const GroupHistory& group, double now);
/// The same of the present state.
std::string explain(const ChannelHistory& channel, const GroupHistory& group, State state,
                    double now);
std::string explain(const ChannelHistory& channel, double now);

/// By how much the predictions of the last minute were off: the median of |predicted - measured| /
/// measured. Each measured response time is compared with what was predicted when those messages
/// were published, that long before.
std::optional<double> prediction_error(const Points& points);

}  // namespace ipc::tools::monitor
