#include <chrono>
#include <initializer_list>
#include <string>

#include <fmt/format.h>

#include "bench/scenario/fan_out.hpp"
#include "bench/scenario/recovery.hpp"
#include "bench/suite/suite.hpp"

namespace ipc::bench {
namespace {

using namespace std::chrono_literals;

Experiment fan_out_to(Audience audience, const std::string& id, const std::string& title,
                      const std::string& explanation) {
    Experiment result;
    result.id = "fan_out." + id;
    result.title = "Fan-out, 32 bytes, " + title + ": cost for the publisher";
    result.explanation =
        "The time that publishing one message takes the publisher, by the number of groups that "
        "see it. " +
        explanation;
    result.unit = "ns";
    result.higher_is_better = false;
    result.reference = "1 group";
    for (const std::size_t groups : std::initializer_list<std::size_t>{1, 2, 8, 32, 64}) {
        result.candidates.push_back({fmt::format("{} group{}", groups, groups == 1 ? "" : "s"),
                                     Role::ours, [audience, groups](const Effort& effort) {
                                         return fan_out(audience, groups, effort);
                                     }});
    }
    return result;
}

}  // namespace

std::vector<Experiment> fan_out_experiments() {
    return {
        fan_out_to(Audience::idle, "idle", "lossy groups that do not read", ""),
        fan_out_to(Audience::reading, "reading", "reliable groups that keep up",
                   "Bursts of half the capacity; the groups read in between, on another core."),
        fan_out_to(Audience::sleeping, "sleeping", "groups that are asleep",
                   "All of them sleep when the message comes, and each has to be woken."),
    };
}

std::vector<Experiment> recovery_experiments() {
    Experiment result;
    result.id = "recovery";
    result.title = "Recovery: from the kill of a member until another one has its message";
    result.explanation =
        "A member of a group is killed (SIGKILL) while it works on a message. Nothing else happens "
        "on the channel.";
    result.unit = "ns";
    result.higher_is_better = false;
    result.most_rounds = 9;
    result.candidates = {
        {"the other one sleeps", Role::ours,
         [](const Effort& effort) { return recovery(Waiting::blocking, effort); }},
        {"the other one polls", Role::ours,
         [](const Effort& effort) { return recovery(Waiting::busy, effort); }},
    };
    return {result};
}

std::vector<Experiment> idle_experiments() {
    Experiment result;
    result.id = "idle";
    result.title = "Processor time of consumers that wait, with nothing in flight";
    result.explanation = "Of all consumers together, as a part of one core.";
    result.unit = "% of a core";
    result.higher_is_better = false;
    result.most_rounds = 2;
    result.least_time = 2s;
    result.candidates = {{"64 consumers in 8 groups", Role::ours,
                          [](const Effort& effort) { return idle_consumers(64, effort); }}};
    return {result};
}

}  // namespace ipc::bench
