#include <algorithm>
#include <string>

#include "bench/scenario/one_way.hpp"
#include "bench/scenario/ping_pong.hpp"
#include "bench/suite/candidates.hpp"
#include "bench/suite/suite.hpp"
#include "bench/transport/copy.hpp"
#include "bench/transport/in_place.hpp"

namespace ipc::bench {
namespace {

constexpr std::size_t region = std::size_t{64} << 20;
constexpr const char* small_messages = "ipc, 32 bytes, copied";

std::size_t capacity_of(std::size_t size) {
    return std::min<std::size_t>(1024, region / size);
}

/// Round trips: of a message in place, of one or the other transport.
template <class T>
Candidate round_trip(const std::string& name) {
    return {name, Role::ours, [](const Effort& effort) {
                const std::size_t capacity = capacity_of(sizeof(typename T::Message));
                InPlace<T> there(Waiting::busy, capacity);
                InPlace<T> back(Waiting::busy, capacity);
                return ping_pong(there, back, effort);
            }};
}

/// A peer that lends, as a transport.
template <class M>
struct LendingPeer : PeerTransport<M> {
    static constexpr const char* name = "iceoryx";
    LendingPeer(Waiting waiting, std::size_t capacity)
        : PeerTransport<M>(iceoryx(), std::min<std::size_t>(capacity, capacity_for(sizeof(M))),
                           waiting) {}
    struct Sender : PeerTransport<M>::Sender {
        explicit Sender(LendingPeer& transport) : PeerTransport<M>::Sender(transport) {}
    };
    struct Receiver : PeerTransport<M>::Receiver {
        explicit Receiver(LendingPeer& transport) : PeerTransport<M>::Receiver(transport) {}
    };
};

template <class M>
Candidate peer_round_trip() {
    Candidate result = round_trip<LendingPeer<M>>("iceoryx, " + size_text(sizeof(M)));
    result.role = Role::peer;
    result.absent = iceoryx().absent;
    return result;
}

Experiment round_trips() {
    Experiment result;
    result.id = "zero_copy.ping_pong";
    result.title = "Ping-pong without copies, both sides polling: one round trip";
    result.explanation =
        "Messages are written and read where they are, in up to 64 MiB of shared memory; each "
        "side touches one word of each. So the time hardly depends on the size. Compared with "
        "messages of 32 bytes, which are copied.";
    result.unit = "ns";
    result.higher_is_better = false;
    result.reference = small_messages;
    result.candidates = {{small_messages, Role::ours, [](const Effort& effort) {
                              ExclusiveToSubscriber<Message<32>> there(Waiting::busy);
                              ExclusiveToSubscriber<Message<32>> back(Waiting::busy);
                              return ping_pong(there, back, effort);
                          }}};
    for_sizes<4096, 65536, 1048576, 4194304>([&]<std::size_t size>() {
        result.candidates.push_back(
            round_trip<ExclusiveToSubscriber<Message<size>>>("ipc, " + size_text(size)));
    });
    result.candidates.push_back(peer_round_trip<Message<1048576>>());
    return result;
}

template <class T>
Candidate in_place(Role role) {
    return {T::name, role, [](const Effort& effort) {
                InPlace<T> transport(Waiting::busy);
                return one_way(transport, false, effort);
            }};
}

template <std::size_t size>
Experiment throughput() {
    using M = Message<size>;
    Experiment result;
    result.id = "zero_copy.throughput." + std::to_string(size);
    result.title = "Throughput, " + size_text(size) + ", without copies";
    result.explanation =
        "Messages that one process writes and the other reads where they are, per second; each "
        "side touches one word. Compared with copying as many bytes in and out.";
    result.unit = "1/s";
    result.higher_is_better = true;
    result.reference = Copy<M, Handover::flag_beside>::name;
    const auto ask = [](const auto& make, const Effort& effort) {
        return one_way(*make(), false, effort);
    };
    result.candidates = {candidate<Copy<M, Handover::flag_beside>>(Role::peer, Waiting::busy, ask)};
    if (format::has_streaming_stores) {
        result.candidates.push_back(
            candidate<Copy<M, Handover::streaming>>(Role::peer, Waiting::busy, ask));
    }
    result.candidates.push_back(in_place<ExclusiveToSubscriber<M>>(Role::ours));
    result.candidates.push_back(in_place<SharedToGroup<M>>(Role::ours));
    result.candidates.push_back(in_place<LendingPeer<M>>(Role::peer));
    result.candidates.back().absent = iceoryx().absent;
    return result;
}

}  // namespace

std::vector<Experiment> zero_copy_experiments() {
    std::vector<Experiment> result = {round_trips()};
    for_sizes<4096, 65536, 1048576, 4194304>(
        [&]<std::size_t size>() { result.push_back(throughput<size>()); });
    return result;
}

}  // namespace ipc::bench
