#pragma once

#include <concepts>
#include <cstddef>
#include <span>

namespace ipc::bench {

/// How the two sides wait for each other.
enum class Waiting {
    busy,      ///< polling, one processor each
    blocking,  ///< asleep in the kernel
    standard,  ///< what a user gets who does not ask for anything; else as blocking
};

/// A way to bring messages of one type from one process to another, in order and without loss. It
/// is made before the processes are forked, and gone when it is destroyed. Each process makes its
/// end of it, after the fork.
template <class T>
concept Transport = std::constructible_from<typename T::Sender, T&> &&
    std::constructible_from<typename T::Receiver, T&> &&
    requires(typename T::Sender& sender, typename T::Receiver& receiver,
             typename T::Message& message) {
    sender.send(message);       // waits while the transport is full
    receiver.receive(message);  // waits for a message and copies it
};

/// A sender that has a call for several messages.
template <class S, class M>
concept SendsBatches = requires(S& sender, std::span<const M> messages) {
    sender.send_batch(messages);  // all of them, waiting where need be
};

/// A receiver that has a call for several messages: use(const M&) is called for each of at least
/// one and at most `most`.
template <class R, class M>
concept ReceivesBatches = requires(R& receiver, void (*use)(const M&)) {
    receiver.receive_batch(std::size_t{16}, use);
};

}  // namespace ipc::bench
