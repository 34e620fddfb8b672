#include "bench/scenario/ping_pong.hpp"

#include <array>
#include <string>

#include "bench/suite/candidates.hpp"
#include "bench/suite/suite.hpp"
#include "bench/transport/boost_spsc.hpp"
#include "bench/transport/cache_line.hpp"
#include "bench/transport/futex.hpp"

namespace ipc::bench {
namespace {

const auto ask = [](const auto& make, const Effort& effort) {
    const auto there = make();
    const auto back = make();
    return ping_pong(*there, *back, effort);
};

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

template <bool pause>
Candidate line_by_line() {
    return {pause ? "cache lines, one by one, pause" : "cache lines, one by one", Role::floor,
            [](const Effort& effort) {
                const Shared<std::array<LineRing, 2>> rings;
                LineByLine<pause> there(rings->at(0));
                LineByLine<pause> back(rings->at(1));
                return ping_pong(there, back, effort);
            }};
}

template <class M>
std::vector<Candidate> floors() {
    if (sizeof(M) > 32) return copy_floors<M>(ask);
    return {cache_lines<64, false>(), cache_lines<64, true>(), cache_lines<128, false>(),
            cache_lines<128, true>(), line_by_line<false>(),   line_by_line<true>()};
}

template <std::size_t size>
Experiment busy() {
    using M = Message<size>;
    Experiment result;
    result.id = "ping_pong.busy." + std::to_string(size);
    result.title = "Ping-pong, " + size_text(size) + ", both sides polling: one round trip";
    const bool with_peers = size == 32 || size == 1024 || size == 65536;
    result.explanation = fmt::format(
        "The time from sending a message until the answer of the other process has arrived. {}{}",
        size <= 32
            ? "The floors exchange one word in each direction, through two cache lines, or "
              "through new ones each time."
            : "The floors copy as many bytes in and out, through as much memory, and store a "
              "word for each message.",
        with_peers ? " Peers with threads of their own (ZeroMQ, nng, Cyclone DDS) wait in their "
                     "own way."
                   : "");
    result.unit = "ns";
    result.higher_is_better = false;
    result.candidates = floors<M>();
    add_channels<M>(result.candidates, Waiting::busy, ask);
    result.candidates.push_back(candidate<BoostSpscQueue<M>>(Role::peer, Waiting::busy, ask));
    if (with_peers) {
        add_peers<M>(result.candidates, Waiting::busy, ask);
    }
    return result;
}

template <std::size_t size>
Experiment parked() {
    using M = Message<size>;
    Experiment result;
    result.id = "ping_pong.parked." + std::to_string(size);
    result.title =
        "Ping-pong, " + size_text(size) + ", both sides asleep while they wait: one round trip";
    result.explanation =
        "The same without polling: each side sleeps in the kernel until the other one wakes it, "
        "unless the answer comes while it is about to. SLEEPS counts how often the asking side "
        "did sleep, for each round trip; the floor is a word and a futex, without a copy. What "
        "waking somebody takes who does sleep is the question of wake-up.";
    result.unit = "ns";
    result.higher_is_better = false;
    result.candidates = {candidate<Futex>(Role::floor, Waiting::blocking, ask)};
    add_channels<M>(result.candidates, Waiting::blocking, ask);
    add_peers<M>(result.candidates, Waiting::blocking, ask);
    return result;
}

}  // namespace

std::vector<Experiment> ping_pong_experiments() {
    std::vector<Experiment> result;
    for_sizes<8, 32, 256, 1024, 4096, 16384, 65536>(
        [&]<std::size_t size>() { result.push_back(busy<size>()); });
    for_sizes<32, 1024, 65536>([&]<std::size_t size>() { result.push_back(parked<size>()); });
    return result;
}

}  // namespace ipc::bench
