#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

#include <boost/lockfree/spsc_queue.hpp>

#include "bench/system/shared.hpp"
#include "bench/transport/message.hpp"
#include "bench/transport/transport.hpp"

namespace ipc::bench {

/// boost::lockfree::spsc_queue, placed in shared memory. No recovery, no waiting but by polling.
template <class M>
class BoostSpscQueue {
    using Queue =
        boost::lockfree::spsc_queue<M, boost::lockfree::capacity<capacity_for(sizeof(M))>>;

public:
    using Message = M;
    static constexpr const char* name = "boost spsc_queue";

    explicit BoostSpscQueue(Waiting) {}

    class Sender {
    public:
        explicit Sender(BoostSpscQueue& transport) : queue_(*transport.queue_) {}
        void send(const M& message) {
            while (!queue_.push(message)) {
            }
        }
        void send_batch(std::span<const M> messages) {
            while (!messages.empty())
                messages = messages.subspan(queue_.push(messages.data(), messages.size()));
        }

    private:
        Queue& queue_;
    };

    class Receiver {
    public:
        explicit Receiver(BoostSpscQueue& transport) : queue_(*transport.queue_) {}
        void receive(M& message) {
            while (!queue_.pop(message)) {
            }
        }
        template <class Use>
        void receive_batch(std::size_t most, Use&& use) {
            std::size_t count = 0;
            std::array<M, 16> messages;
            while ((count = queue_.pop(messages.data(), std::min(most, messages.size()))) == 0) {
            }
            for (std::size_t i = 0; i < count; ++i)
                use(messages[i]);
        }

    private:
        Queue& queue_;
    };

private:
    Shared<Queue> queue_;
};

}  // namespace ipc::bench
