#pragma once

// One question for many transports. A question is a function ask(make, effort), where make() makes
// a transport, as a unique_ptr.

#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "bench/experiment/experiment.hpp"
#include "bench/peer/peer.hpp"
#include "bench/transport/channel.hpp"
#include "bench/transport/copy.hpp"
#include "bench/transport/message.hpp"
#include "bench/transport/transport.hpp"

namespace ipc::bench {

template <class T, class Ask>
Candidate candidate(Role role, Waiting waiting, Ask ask) {
    return {T::name, role, [waiting, ask](const Effort& effort) {
                return ask([waiting] { return std::make_unique<T>(waiting); }, effort);
            }};
}

/// What the machine itself takes to copy a message in and out. Shorter ones gain nothing from
/// streaming stores.
template <class M, class Ask>
std::vector<Candidate> copy_floors(Ask ask) {
    std::vector<Candidate> floors = {
        candidate<Copy<M, Handover::flag_beside>>(Role::floor, Waiting::busy, ask),
        candidate<Copy<M, Handover::flag_apart>>(Role::floor, Waiting::busy, ask),
        candidate<Copy<M, Handover::counter>>(Role::floor, Waiting::busy, ask)};
    if (format::has_streaming_stores && sizeof(M) >= 1024)
        floors.push_back(candidate<Copy<M, Handover::streaming>>(Role::floor, Waiting::busy, ask));
    return floors;
}

template <class M, class Ask>
void add_channels(std::vector<Candidate>& candidates, Waiting waiting, Ask ask) {
    candidates.push_back(candidate<ExclusiveToSubscriber<M>>(Role::ours, waiting, ask));
    candidates.push_back(candidate<SharedToGroup<M>>(Role::ours, waiting, ask));
}

template <class M, class Ask>
Candidate peer_candidate(const Peer& peer, Waiting waiting, Ask ask) {
    if (peer.has_threads && waiting == Waiting::busy) waiting = Waiting::blocking;
    Candidate result = {peer.name, Role::peer, [peer, waiting, ask](const Effort& effort) {
                            return ask(
                                [&peer, waiting] {
                                    return std::make_unique<PeerTransport<M>>(
                                        peer, capacity_for(sizeof(M)), waiting);
                                },
                                effort);
                        }};
    result.absent = peer.absent;
    if (result.absent.empty() && sizeof(M) > peer.longest) {
        result.absent = fmt::format("takes messages of at most {} bytes", peer.longest);
    }
    return result;
}

template <class M, class Ask>
void add_peers(std::vector<Candidate>& candidates, Waiting waiting, Ask ask) {
    for (const Peer& peer : peers())
        candidates.push_back(peer_candidate<M>(peer, waiting, ask));
}

/// "32 bytes", "64 KiB".
inline std::string size_text(std::size_t size) {
    if (size < 1024) return fmt::format("{} bytes", size);
    if (size < (std::size_t{1} << 20)) return fmt::format("{} KiB", size >> 10);
    return fmt::format("{} MiB", size >> 20);
}

/// Calls visit.operator()<size>() for each of the sizes.
template <std::size_t... sizes, class Visit>
void for_sizes(Visit&& visit) {
    (visit.template operator()<sizes>(), ...);
}

}  // namespace ipc::bench
