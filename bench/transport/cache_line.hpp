#pragma once

// The floor of every exchange between two cores: each stores into a line of its own and polls the
// line of the other.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "bench/system/shared.hpp"
#include "bench/transport/message.hpp"
#include "ipc/os/processor.hpp"

namespace ipc::bench {

using Word = std::atomic<std::uint64_t>;

/// Two words, `spacing` bytes apart.
template <std::size_t spacing>
struct LinePair {
    static constexpr std::size_t stride = spacing / sizeof(Word);
    alignas(128) std::array<Word, 2 * stride> words = {};

    Word& there() { return words[0]; }
    Word& back() { return words[stride]; }
};

/// One direction of it: eight bytes, one of which may be under way.
template <bool pause>
class CacheLine {
public:
    using Message = bench::Message<8>;

    explicit CacheLine(Word& word) : word_(&word) {}

    class Sender {
    public:
        explicit Sender(CacheLine& transport) : word_(transport.word_) {}
        void send(const Message& message) {
            word_->store(message.word[0], std::memory_order_release);
        }

    private:
        Word* word_;
    };

    class Receiver {
    public:
        explicit Receiver(CacheLine& transport) : word_(transport.word_) {}
        void receive(Message& message) {
            std::uint64_t value = 0;
            while ((value = word_->load(std::memory_order_acquire)) == last_) {
                if constexpr (pause) os::cpu_relax();
            }
            last_ = value;
            message.word[0] = value;
        }

    private:
        Word* word_;
        std::uint64_t last_ = 0;
    };

private:
    Word* word_;
};

}  // namespace ipc::bench
