#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>

#include "bench/scenario/one_way.hpp"
#include "bench/scenario/work_queue.hpp"
#include "bench/suite/candidates.hpp"
#include "bench/suite/suite.hpp"
#include "bench/transport/boost_spsc.hpp"

namespace ipc::bench {
namespace {

using namespace std::chrono_literals;

Experiment experiment(const std::string& id, const std::string& title) {
    Experiment result;
    result.id = id;
    result.title = title;
    result.explanation =
        "Messages that one process sends and the other has received and checked, per second. ";
    result.unit = "1/s";
    result.higher_is_better = true;
    return result;
}

/// Asks for throughput.
auto one_by_one() {
    return [](const auto& make, const Effort& effort) { return one_way(*make(), false, effort); };
}

template <std::size_t size>
Experiment copied() {
    using M = Message<size>;
    Experiment result = experiment("throughput." + std::to_string(size),
                                   "Throughput, " + size_text(size) + ", copied in and out");
    if (size <= 32) {
        result.explanation +=
            "Compared with boost::lockfree::spsc_queue in shared memory, which "
            "neither acknowledges nor recovers.";
        result.reference = BoostSpscQueue<M>::name;
    } else {
        result.explanation +=
            "The floors copy as many bytes in and out, through as much memory, and store a word "
            "for "
            "each message.";
    }
    result.candidates = copy_floors<M>(one_by_one());
    add_channels<M>(result.candidates, Waiting::busy, one_by_one());
    if (size == 32) {
        result.candidates.push_back(
            candidate<ExclusiveToGroup<M>>(Role::ours, Waiting::busy, one_by_one()));
    }
    result.candidates.push_back(
        candidate<BoostSpscQueue<M>>(Role::peer, Waiting::busy, one_by_one()));
    if (size == 32 || size == 1024 || size == 65536 || size == 1048576) {
        add_peers<M>(result.candidates, Waiting::busy, one_by_one());
    }
    return result;
}

Experiment batches() {
    using M = Message<32>;
    const auto ask = [](const auto& make, const Effort& effort) {
        return one_way(*make(), true, effort);
    };
    Experiment result =
        experiment("throughput.32.batches", "Throughput, 32 bytes, batches of 16 on both sides");
    result.explanation += "Sixteen with each call; the queue has calls for that, too.";
    result.reference = BoostSpscQueue<M>::name;
    add_channels<M>(result.candidates, Waiting::busy, ask);
    result.candidates.push_back(candidate<BoostSpscQueue<M>>(Role::peer, Waiting::busy, ask));
    return result;
}

template <class M>
Experiment watched() {
    Experiment result = experiment(
        std::string("watched.") +
            (std::is_same_v<M, ExclusiveToSubscriber<Message<32>>> ? "exclusive" : "group"),
        std::string("Throughput, 32 bytes, watched: ") + M::name);
    result.explanation +=
        "With and without a third process that takes a full report of the channel ten times a "
        "second, as the monitor does.";
    result.reference = "alone";
    result.least_time = 500ms;
    result.candidates = {
        {"alone", Role::ours,
         [](const Effort& effort) {
             M transport(Waiting::busy);
             return one_way(transport, false, effort);
         }},
        {"watched", Role::ours,
         [](const Effort& effort) {
             M transport(Waiting::busy);
             return one_way(transport, false, effort, [&transport] {
                 Inspector inspector(transport.channel());
                 for (;;) {
                     const ChannelReport report = inspector.sample();
                     if (report.tail < report.first) throw std::runtime_error("a wrong report");
                     std::this_thread::sleep_for(100ms);
                 }
             });
         }},
    };
    return result;
}

Experiment work_queue_of(std::size_t producers, std::size_t members) {
    using M = Message<32>;
    const auto ask = [producers, members](const auto& make, const Effort& effort) {
        return work_queue(*make(), producers, members, effort);
    };
    Experiment result;
    result.id = fmt::format("work_queue.{}.{}", producers, members);
    result.title = fmt::format("Work queue, {} producer{}, {} member{}, 32 bytes", producers,
                               producers == 1 ? "" : "s", members, members == 1 ? "" : "s");
    result.explanation =
        "Messages that are done, per second. Every message goes to one member, and every one is "
        "accounted for. The channel's members acknowledge, so that a message of a dead one would "
        "go to another; the peers' messages would be lost. Everybody waits as by default.";
    result.unit = "1/s";
    result.higher_is_better = true;
    result.reference = "pipe";
    result.candidates = {candidate<SharedToGroup<M>>(Role::ours, Waiting::standard, ask)};
    for (const Peer& peer : peers()) {
        if (peer.shareable) {
            result.candidates.push_back(peer_candidate<M>(peer, Waiting::standard, ask));
        }
    }
    return result;
}

}  // namespace

std::vector<Experiment> throughput_experiments() {
    std::vector<Experiment> result;
    result.push_back(copied<8>());
    result.push_back(copied<32>());
    result.push_back(batches());
    for_sizes<256, 1024, 4096, 65536, 1048576, 4194304>(
        [&]<std::size_t size>() { result.push_back(copied<size>()); });
    return result;
}

std::vector<Experiment> work_queue_experiments() {
    return {work_queue_of(1, 1), work_queue_of(1, 4), work_queue_of(4, 1), work_queue_of(4, 4)};
}

std::vector<Experiment> watched_experiments() {
    return {watched<ExclusiveToSubscriber<Message<32>>>(), watched<SharedToGroup<Message<32>>>()};
}

}  // namespace ipc::bench
