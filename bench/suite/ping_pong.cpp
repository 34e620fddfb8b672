#include "bench/scenario/ping_pong.hpp"

#include <string>

#include "bench/suite/suite.hpp"
#include "bench/transport/boost_spsc.hpp"
#include "bench/transport/cache_line.hpp"
#include "bench/transport/channel.hpp"

namespace ipc::bench {
namespace {

template <class T>
Candidate candidate(Role role, Waiting waiting) {
    return {T::name, role, [waiting](const Effort& effort) {
                T there(waiting);
                T back(waiting);
                return ping_pong(there, back, effort);
            }};
}

template <std::size_t spacing, bool pause>
Candidate cache_lines() {
    const std::string name =
        "cache lines, " + std::to_string(spacing) + " bytes apart" + (pause ? ", pause" : "");
    return {name, Role::floor, [](const Effort& effort) {
                const Shared<LinePair<spacing>> lines;
                CacheLine<pause> there(lines->there());
                CacheLine<pause> back(lines->back());
                return ping_pong(there, back, effort);
            }};
}

}  // namespace

std::vector<Experiment> ping_pong_experiments() {
    Experiment busy;
    busy.id = "ping_pong.busy.32";
    busy.title = "Ping-pong, 32 bytes, both sides polling: one round trip";
    busy.explanation =
        "The time from sending a message until the answer of the other process has arrived. The "
        "floor does the same with one word in each direction.";
    busy.unit = "ns";
    busy.higher_is_better = false;
    busy.candidates = {
        cache_lines<64, false>(),
        cache_lines<64, true>(),
        cache_lines<128, false>(),
        cache_lines<128, true>(),
        candidate<ExclusiveToSubscriber<Message<32>>>(Role::ours, Waiting::busy),
        candidate<SharedToGroup<Message<32>>>(Role::ours, Waiting::busy),
        candidate<BoostSpscQueue<Message<32>>>(Role::peer, Waiting::busy),
    };
    return {busy};
}

}  // namespace ipc::bench
