#include <string>

#include "bench/scenario/one_way.hpp"
#include "bench/suite/suite.hpp"
#include "bench/transport/boost_spsc.hpp"
#include "bench/transport/channel.hpp"

namespace ipc::bench {
namespace {

template <class T>
Candidate candidate(Role role, bool batches) {
    return {T::name, role, [batches](const Effort& effort) {
                T transport(Waiting::busy);
                return one_way(transport, batches, effort);
            }};
}

Experiment experiment(bool batches) {
    Experiment result;
    result.id = batches ? "throughput.32.batches" : "throughput.32";
    result.title = batches ? "Throughput, 32 bytes, in batches of 16 on both sides"
                           : "Throughput, 32 bytes, one by one";
    result.explanation =
        "Messages that one process sends and the other has received and checked, per second.";
    result.unit = "1/s";
    result.higher_is_better = true;
    result.reference = BoostSpscQueue<Message<32>>::name;
    result.candidates = {
        candidate<ExclusiveToSubscriber<Message<32>>>(Role::ours, batches),
        candidate<SharedToGroup<Message<32>>>(Role::ours, batches),
        candidate<BoostSpscQueue<Message<32>>>(Role::peer, batches),
    };
    return result;
}

}  // namespace

std::vector<Experiment> throughput_experiments() {
    return {experiment(false), experiment(true)};
}

}  // namespace ipc::bench
