#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <prometheus/collectable.h>

#include "tools/monitor/history.hpp"
#include "tools/monitor/live_source.hpp"

namespace ipc::tools::monitor {

/// Keeps counters from going back when what they count is removed and made again under the same
/// name: the new one goes on where the old one stopped.
class Continuation {
public:
    using Counts = std::vector<double>;

    /// `identity` tells one bearer of the name from the next. `counts` are always the same ones.
    Counts add(const std::string& name, const std::string& identity, const Counts& counts,
               double now);
    /// What was not added since then.
    void forget_before(double time);

private:
    struct Known {
        std::string identity;
        Counts last;
        Counts before;  ///< what all earlier bearers had counted
        double seen_at = 0;
    };
    std::map<std::string, Known> known_;
};

class Families;

/// The figures as Prometheus wants them. tools/monitor/README.md lists them. Each call takes a
/// sample; what needs two refers to the calls of the last ten seconds, or to the one before.
class Metrics : public prometheus::Collectable {
public:
    /// `notice` is told in a line why no sample can be taken, whenever that changes.
    Metrics(Sampler sampler, bool groups_only, std::function<void(const std::string&)> notice);

    std::vector<prometheus::MetricFamily> Collect() const override;

private:
    /// Throws when no sample can be taken.
    void collect(Families& families) const;
    void note(const std::string& problem) const;

    // Several scrapes may come at once.
    mutable std::mutex mutex_;
    mutable LiveSource source_;
    mutable History history_;
    mutable Continuation continuation_;
    mutable std::string problem_;  ///< of the call before; empty: none
    const bool groups_only_;
    const std::function<void(const std::string&)> notice_;
};

}  // namespace ipc::tools::monitor
