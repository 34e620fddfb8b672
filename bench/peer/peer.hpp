#pragma once

// Other ways to bring messages from one process to another. To add one: implement Link, and name it
// in peers().

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "bench/transport/transport.hpp"

namespace ipc::bench {

/// All messages of a link have the same size.
struct LinkOptions {
    std::size_t size;
    std::size_t capacity;  ///< messages it holds, as far as it can be told
    Waiting waiting;
};

class LinkSender {
public:
    LinkSender() = default;
    virtual ~LinkSender() = default;
    LinkSender(const LinkSender&) = delete;
    LinkSender& operator=(const LinkSender&) = delete;

    /// Waits while the link is full.
    virtual void send(const std::byte* message) = 0;
    /// For those that lend: writes the first word of a message where the receiver will find it.
    virtual void send_in_place(std::uint64_t word);
};

class LinkReceiver {
public:
    LinkReceiver() = default;
    virtual ~LinkReceiver() = default;
    LinkReceiver(const LinkReceiver&) = delete;
    LinkReceiver& operator=(const LinkReceiver&) = delete;

    /// Waits for a message.
    virtual void receive(std::byte* message) = 0;
    /// For those that lend: reads the first word of a message where the sender has written it.
    virtual std::uint64_t receive_in_place();
};

/// One direction. Made before the processes are forked; each of them makes its end after that.
class Link {
public:
    Link() = default;
    virtual ~Link() = default;
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;

    virtual std::unique_ptr<LinkSender> sender() = 0;
    virtual std::unique_ptr<LinkReceiver> receiver() = 0;
};

struct Peer {
    std::string name;
    std::string absent = {};  ///< why it cannot be used here; empty: it can
    std::size_t longest = std::numeric_limits<std::size_t>::max();  ///< message, in bytes
    bool shareable = false;  ///< takes several senders, and several receivers that compete
    /// Has threads of its own that do the work: polling would only take their processor away, so
    /// it waits in its own way where others poll.
    bool has_threads = false;
    std::function<std::unique_ptr<Link>(const LinkOptions&)> connect = {};
};

std::vector<Peer> peers();

/// A peer's link as a transport.
template <class M>
class PeerTransport {
public:
    using Message = M;

    PeerTransport(const Peer& peer, std::size_t capacity, Waiting waiting)
        : link_(peer.connect({sizeof(M), capacity, waiting})) {}

    class Sender {
    public:
        explicit Sender(PeerTransport& transport) : sender_(transport.link_->sender()) {}
        void send(const M& message) {
            sender_->send(reinterpret_cast<const std::byte*>(message.word.data()));
        }
        void send_in_place(std::uint64_t word) { sender_->send_in_place(word); }

    private:
        std::unique_ptr<LinkSender> sender_;
    };

    class Receiver {
    public:
        explicit Receiver(PeerTransport& transport) : receiver_(transport.link_->receiver()) {}
        void receive(M& message) {
            receiver_->receive(reinterpret_cast<std::byte*>(message.word.data()));
        }
        std::uint64_t receive_in_place() { return receiver_->receive_in_place(); }

    private:
        std::unique_ptr<LinkReceiver> receiver_;
    };

private:
    std::unique_ptr<Link> link_;
};

// The peers, one file each.
Peer boost_message_queue();
Peer posix_message_queue();
Peer pipe();
Peer unix_stream();
Peer unix_datagram();
Peer zeromq();
Peer nng();
Peer iceoryx();
Peer cyclone_dds();

}  // namespace ipc::bench
