#pragma once

#include <cstddef>
#include <cstdint>

#include "bench/transport/message.hpp"
#include "bench/transport/transport.hpp"

namespace ipc::bench {

/// A transport whose messages are written and read where they are: of each, one word is touched on
/// either side. What the two processes see of it is that word.
template <class T>
class InPlace {
public:
    using Message = bench::Message<8>;
    static constexpr const char* name = T::name;

    explicit InPlace(Waiting waiting,
                     std::size_t capacity = capacity_for(sizeof(typename T::Message)))
        : transport_(waiting, capacity) {}

    class Sender {
    public:
        explicit Sender(InPlace& transport) : sender_(transport.transport_) {}
        void send(const Message& message) { sender_.send_in_place(message.word[0]); }

    private:
        typename T::Sender sender_;
    };

    class Receiver {
    public:
        explicit Receiver(InPlace& transport) : receiver_(transport.transport_) {}
        void receive(Message& message) { message.word[0] = receiver_.receive_in_place(); }

    private:
        typename T::Receiver receiver_;
    };

private:
    T transport_;
};

}  // namespace ipc::bench
