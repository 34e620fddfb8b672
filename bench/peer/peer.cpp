#include "bench/peer/peer.hpp"

#include <stdexcept>

namespace ipc::bench {

void LinkSender::send_in_place(std::uint64_t) {
    throw std::logic_error("this peer does not lend");
}

std::uint64_t LinkReceiver::receive_in_place() {
    throw std::logic_error("this peer does not lend");
}

std::vector<Peer> peers() {
    return {boost_message_queue(),
            posix_message_queue(),
            pipe(),
            unix_stream(),
            unix_datagram(),
            zeromq(),
            nng(),
            iceoryx(),
            cyclone_dds()};
}

}  // namespace ipc::bench
