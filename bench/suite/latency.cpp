#include "bench/scenario/latency.hpp"

#include <chrono>
#include <string>

#include "bench/scenario/wake_up.hpp"
#include "bench/suite/candidates.hpp"
#include "bench/suite/suite.hpp"
#include "bench/transport/boost_spsc.hpp"
#include "bench/transport/copy.hpp"
#include "bench/transport/futex.hpp"

namespace ipc::bench {
namespace {

using namespace std::chrono_literals;
using M = Message<32>;

/// What `make` makes.
template <class Make>
using Made = typename std::invoke_result_t<Make>::element_type;

auto ask(const Pace& pace, const Company& company) {
    return [pace, company](const auto& make, const Effort& effort) {
        return latency<Made<decltype(make)>>(make, pace, company, effort);
    };
}

Experiment experiment(const std::string& id, const std::string& title) {
    Experiment result;
    result.id = "latency." + id;
    result.title = "Latency, 32 bytes, " + title;
    result.explanation =
        "The time from when a message should have been sent, by the schedule, until it was "
        "received: what delays the sender counts as well. SENT is the part of the schedule that "
        "was sent in its time: a candidate well below 1 cannot keep up, and its times say no more "
        "than that. ";
    result.unit = "ns";
    result.higher_is_better = false;
    return result;
}

Experiment busy(const std::string& id, const std::string& title, std::chrono::nanoseconds period) {
    const Pace pace = {.period = period, .asleep = false};
    Experiment result = experiment(id, title + ", both sides polling");
    result.explanation += "The floor is a flag and a copy of 32 bytes.";
    result.candidates = {
        candidate<Copy<M, Handover::flag_beside>>(Role::floor, Waiting::busy, ask(pace, {}))};
    add_channels<M>(result.candidates, Waiting::busy, ask(pace, {}));
    result.candidates.push_back(
        candidate<BoostSpscQueue<M>>(Role::peer, Waiting::busy, ask(pace, {})));
    add_peers<M>(result.candidates, Waiting::busy, ask(pace, {}));
    return result;
}

Experiment asleep(const std::string& id, const std::string& title, const Company& company) {
    const Pace pace = {.period = 1ms, .asleep = true};
    Experiment result = experiment(id, title);
    result.explanation +=
        "The sender sleeps until it is time; all wait as by default. Compared with a pipe.";
    result.reference = "pipe";
    result.least_time = 200ms;
    add_channels<M>(result.candidates, Waiting::standard, ask(pace, company));
    add_peers<M>(result.candidates, Waiting::standard, ask(pace, company));
    return result;
}

Experiment wake_ups() {
    const auto wake = [](const auto& make, const Effort& effort) {
        return wake_up(*make(), effort);
    };
    Experiment result;
    result.id = "wake_up";
    result.title = "Wake-up, 32 bytes: from the call that sends until a sleeper has the message";
    result.explanation =
        "The receiver sleeps in the kernel before each message. SLEEPS counts how often, for each "
        "message. The floor is a word and a futex.";
    result.unit = "ns";
    result.higher_is_better = false;
    result.candidates = {candidate<Futex>(Role::floor, Waiting::blocking, wake)};
    add_channels<M>(result.candidates, Waiting::blocking, wake);
    add_peers<M>(result.candidates, Waiting::blocking, wake);
    return result;
}

}  // namespace

std::vector<Experiment> latency_experiments() {
    return {
        busy("busy.100k", "100 000 messages a second", 10us),
        busy("busy.1M", "1 000 000 messages a second", 1us),
        asleep("1k", "1000 messages a second", {}),
        asleep("1k.load", "1000 messages a second, all processors busy otherwise", {.load = true}),
        asleep("1k.8_pairs", "1000 messages a second in each of 8 pairs of processes",
               {.pairs = 8}),
    };
}

std::vector<Experiment> wake_up_experiments() {
    return {wake_ups()};
}

}  // namespace ipc::bench
