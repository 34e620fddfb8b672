#pragma once

// Several processes send, several share the messages: messages done per second.

#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "bench/experiment/experiment.hpp"
#include "bench/scenario/one_way.hpp"
#include "bench/system/shared.hpp"
#include "bench/system/team.hpp"
#include "bench/transport/message.hpp"
#include "bench/transport/transport.hpp"
#include "ipc/os/clock.hpp"

namespace ipc::bench {

/// What was sent and what was done, to be compared in the end: how many, and their sum.
struct Account {
    std::atomic<std::uint64_t> count = 0;
    std::atomic<std::uint64_t> sum = 0;

    void add(std::uint64_t more, std::uint64_t their_sum) {
        count += more;
        sum += their_sum;
    }
};

struct WorkQueue {
    Account sent;
    Account done;
    std::atomic<std::size_t> senders_left = 0;
    std::atomic<std::int64_t> first = 0;
    std::atomic<std::int64_t> last = 0;
};

/// The value is in messages per second, from the common start until the last message was done.
template <Transport T>
Measurement work_queue(T& transport, std::size_t senders, std::size_t members,
                       const Effort& effort) {
    using M = typename T::Message;
    const Shared<WorkQueue> queue;
    queue->senders_left = senders;
    Team team;
    for (std::size_t i = 0; i < senders; ++i) {
        team.add("producer", effort.cpu(i), [&, i] {
            typename T::Sender sender(transport);
            team.meet();
            M message;
            std::uint64_t sum = 0;
            // Numbers of different producers differ.
            std::uint64_t sequence = std::uint64_t{i + 1} << 48;
            const std::uint64_t before = sequence;
            ChunkTimer timer;
            std::int64_t none = 0;
            queue->first.compare_exchange_strong(none, timer.now());
            const auto end = timer.now() + (effort.warm_up + effort.measure).count();
            do {
                message.write(++sequence);
                sum += sequence;
                sender.send(message);
            } while (!timer.is_complete(sequence - before) || timer.now() < end);
            queue->sent.add(sequence - before, sum);
            // The last one tells every member; nobody takes two of these.
            message.write(last_sequence);
            const std::size_t others = --queue->senders_left;
            for (std::size_t member = 0; others == 0 && member < members; ++member)
                sender.send(message);
            team.part();
        });
    }
    for (std::size_t i = 0; i < members; ++i) {
        team.add("member", effort.cpu(senders + i), [&, senders] {
            typename T::Receiver receiver(transport);
            std::vector<std::uint64_t> last_of(senders + 1);  // by producer, in its numbers
            team.meet();
            M message;
            std::uint64_t count = 0;
            std::uint64_t sum = 0;
            for (;;) {
                receiver.receive(message);
                const std::uint64_t sequence = message.word[0];
                if (!message.is(sequence)) throw std::runtime_error("a message is damaged");
                if (sequence == last_sequence) break;
                std::uint64_t& last_one = last_of.at(sequence >> 48);
                if (sequence <= last_one) throw std::runtime_error("a message is out of order");
                last_one = sequence;
                ++count;
                sum += sequence;
            }
            queue->done.add(count, sum);
            const std::int64_t now = os::now();
            std::int64_t last = queue->last;
            while (now > last && !queue->last.compare_exchange_weak(last, now)) {
            }
            team.part();
        });
    }
    team.run(effort.limit(), effort.interrupted);
    if (queue->sent.count != queue->done.count || queue->sent.sum != queue->done.sum) {
        throw std::runtime_error(fmt::format("{} messages were sent and {} done",
                                             queue->sent.count.load(), queue->done.count.load()));
    }
    return {.value = static_cast<double>(queue->done.count) * 1e9 /
                     static_cast<double>(queue->last - queue->first)};
}

}  // namespace ipc::bench
