#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bench/statistics/histogram.hpp"

namespace ipc::bench {

/// How much work a single measurement may do, and where.
struct Effort {
    std::chrono::nanoseconds warm_up;
    std::chrono::nanoseconds measure;
    /// A measurement that takes this much longer than it should is cut off.
    std::chrono::nanoseconds grace = std::chrono::seconds(20);
    std::vector<int> cpus;
    /// Called when a signal arrived; throws to end everything.
    std::function<void()> interrupted = {};

    /// Where the process with that number runs.
    int cpu(std::size_t process) const { return cpus[process % cpus.size()]; }
    std::chrono::nanoseconds limit() const { return 2 * (warm_up + measure) + grace; }
};

/// What one measurement found.
struct Measurement {
    double value = 0;                         ///< in the unit of its experiment
    std::shared_ptr<Histogram> latency = {};  ///< ns; may be null
    std::map<std::string, double> details = {};
};

/// floor: what the machine itself takes; ours: channels of this library; peer: anything else.
enum class Role { floor, ours, peer };

/// One of those that are compared.
struct Candidate {
    std::string name;
    Role role;
    std::function<Measurement(const Effort&)> measure;
    std::string absent = {};  ///< why it cannot run here; empty: it can
};

/// One question, put to several candidates.
struct Experiment {
    std::string id;           ///< stable, for programs: "ping_pong.busy.32"
    std::string title;        ///< for people
    std::string explanation;  ///< what the figure means, in plain words
    std::string unit;
    bool higher_is_better = false;
    /// Which candidate the others are divided by; empty: the best floor of each round.
    std::string reference = {};
    std::vector<Candidate> candidates = {};
    /// For figures that take long and vary little.
    std::size_t most_rounds = std::numeric_limits<std::size_t>::max();
    /// For those that mean nothing when measured for a shorter time; the warm-up grows with it.
    std::chrono::nanoseconds least_time = {};
};

/// A candidate's results over all rounds.
struct Result {
    enum class State { measured, absent, cut_off, failed };

    const Candidate* candidate;
    State state = State::measured;
    std::string reason = {};                     ///< when it was not measured
    std::vector<double> values = {};             ///< one for each round
    double value = 0;                            ///< their median
    std::vector<double> ratios = {};             ///< to the reference, one for each round
    double ratio = 0;                            ///< their median; 0: no reference
    std::shared_ptr<Histogram> latency = {};     ///< of all rounds
    std::map<std::string, double> details = {};  ///< medians
};

struct Report {
    const Experiment* experiment;
    /// The candidate the others were divided by; where that was the best floor of each round, the
    /// floor with the best median; empty: none.
    std::string reference;
    std::vector<Result> results;
    /// What a reader must know: a floor that was beaten, for example.
    std::vector<std::string> remarks;
};

/// Called before each measurement.
using Progress =
    std::function<void(const Experiment&, const Candidate&, std::size_t round, std::size_t rounds)>;

/// Measures all candidates in every round, so that whatever else happens on the machine meets all
/// of them, in an order in which nobody is always the first, or always after the same one. Ratios
/// are taken within a round. A candidate that fails or hangs is not measured again.
Report run(const Experiment& experiment, const Effort& effort, std::size_t rounds,
           const Progress& progress = {});

}  // namespace ipc::bench
