#pragma once

// The floor of every exchange between two processes that sleep: a word, and a futex for it.

#include <atomic>
#include <cstdint>

#include "bench/system/shared.hpp"
#include "bench/transport/message.hpp"
#include "bench/transport/transport.hpp"
#include "ipc/os/futex.hpp"

namespace ipc::bench {

/// Eight bytes, one of which may be under way. The receiver is asleep, or about to be, whenever
/// something is sent; so the sender wakes without asking.
class Futex {
    struct alignas(64) Line {
        std::atomic<std::uint32_t> count = 0;
        std::atomic<std::uint64_t> value = 0;
    };

public:
    using Message = bench::Message<8>;
    static constexpr const char* name = "bare futex";

    explicit Futex(Waiting) {}

    class Sender {
    public:
        explicit Sender(Futex& transport) : line_(*transport.line_) {}
        void send(const Message& message) {
            line_.value.store(message.word[0], std::memory_order_relaxed);
            line_.count.store(++count_, std::memory_order_release);
            os::futex_wake(line_.count, 1, all_bits);
        }

    private:
        Line& line_;
        std::uint32_t count_ = 0;
    };

    class Receiver {
    public:
        explicit Receiver(Futex& transport) : line_(*transport.line_) {}
        void receive(Message& message) {
            while (line_.count.load(std::memory_order_acquire) == count_)
                os::futex_wait(line_.count, count_, os::Deadline::never(), all_bits);
            ++count_;
            message.word[0] = line_.value.load(std::memory_order_relaxed);
        }

    private:
        Line& line_;
        std::uint32_t count_ = 0;
    };

private:
    static constexpr std::uint32_t all_bits = ~std::uint32_t{0};

    Shared<Line> line_;
};

}  // namespace ipc::bench
