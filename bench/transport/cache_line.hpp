#pragma once

// The floor of every exchange between two cores: each stores into a line of its own and polls the
// line of the other. Either the same two lines all the time, or the next ones for each message: the
// writer then need not take from the reader what the reader polls, which is faster on some
// machines.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "bench/system/shared.hpp"
#include "bench/transport/message.hpp"
#include "ipc/format/layout.hpp"
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

/// As many lines as a channel has slots, in the same order.
struct LineRing {
    struct Line {
        alignas(64) Word value;
        Word turn;
    };
    std::array<Line, capacity_for(8)> lines = {};

    Line& at(std::uint64_t turn) { return lines[format::slot_of(turn, lines.size() - 1)]; }
};

/// One direction through such a ring.
template <bool pause>
class LineByLine {
public:
    using Message = bench::Message<8>;

    explicit LineByLine(LineRing& ring) : ring_(&ring) {}

    class Sender {
    public:
        explicit Sender(LineByLine& transport) : ring_(transport.ring_) {}
        void send(const Message& message) {
            LineRing::Line& line = ring_->at(++turn_);
            line.value.store(message.word[0], std::memory_order_relaxed);
            line.turn.store(turn_, std::memory_order_release);
        }

    private:
        LineRing* ring_;
        std::uint64_t turn_ = 0;
    };

    class Receiver {
    public:
        explicit Receiver(LineByLine& transport) : ring_(transport.ring_) {}
        void receive(Message& message) {
            LineRing::Line& line = ring_->at(++turn_);
            while (line.turn.load(std::memory_order_acquire) != turn_) {
                if constexpr (pause) os::cpu_relax();
            }
            message.word[0] = line.value.load(std::memory_order_relaxed);
        }

    private:
        LineRing* ring_;
        std::uint64_t turn_ = 0;
    };

private:
    LineRing* ring_;
};

}  // namespace ipc::bench
