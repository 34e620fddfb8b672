#pragma once

// The floors of every exchange that copies: in on one side, out on the other, and a word that tells
// of each message. Nobody waits asleep, dies, or watches.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include "bench/system/shared.hpp"
#include "bench/transport/message.hpp"
#include "bench/transport/transport.hpp"
#include "ipc/format/copy.hpp"
#include "ipc/format/layout.hpp"

namespace ipc::bench {

/// How the receiver learns of a message, and how it is copied in.
enum class Handover {
    flag_beside,  ///< a flag in front of it, so that a short message comes with its flag
    flag_apart,   ///< an array of flags
    counter,      ///< a counter of all messages so far
    streaming,    ///< an array of flags; copied in past the caches
};

/// A ring of the same number of messages as all others have.
template <class M, Handover handover>
class Copy {
    static constexpr std::size_t capacity = capacity_for(sizeof(M));
    using Position = std::atomic<std::uint64_t>;
    /// How often the receiver says how far it is.
    static constexpr std::size_t step = capacity < 16 ? 1 : capacity / 16;

    struct alignas(64) Line {
        Position value = 0;
    };
    struct alignas(64) Entry {
        Position flag = 0;
        std::array<std::byte, sizeof(M)> message;
    };
    /// In the order of a channel's slots; the others lie one after the other. Which is faster
    /// depends on the size.
    struct Beside {
        std::array<Entry, capacity> entries;
        Entry& at(std::uint64_t position) {
            return entries[format::slot_of(position, capacity - 1)];
        }
        Position& word(std::uint64_t position) { return at(position).flag; }
        std::byte* message(std::uint64_t position) { return at(position).message.data(); }
    };
    template <std::size_t words>
    struct Apart {
        std::array<Line, words> lines;
        alignas(128) std::array<std::array<std::byte, sizeof(M)>, capacity> messages;
        Position& word(std::uint64_t position) { return lines[position % words].value; }
        std::byte* message(std::uint64_t position) { return messages[position % capacity].data(); }
    };
    using Base = std::conditional_t<handover == Handover::flag_beside, Beside,
                                    Apart<handover == Handover::counter ? 1 : capacity>>;
    struct Ring : Base {
        alignas(128) Position taken = 0;
    };

public:
    using Message = M;
    static constexpr const char* name = handover == Handover::flag_beside  ? "copy, flag beside"
                                        : handover == Handover::flag_apart ? "copy, flag apart"
                                        : handover == Handover::counter    ? "copy, one counter"
                                                                        : "copy, streaming stores";
    explicit Copy(Waiting) {}

    class Sender {
    public:
        explicit Sender(Copy& transport) : ring_(*transport.ring_) {}
        void send(const M& message) {
            if (next_ == limit_) [[unlikely]]
                wait_for_room();
            if constexpr (handover == Handover::streaming) {
                format::copy_in_streaming(ring_.message(next_), &message, sizeof(M));
            } else {
                std::memcpy(ring_.message(next_), &message, sizeof(M));
            }
            ring_.word(next_).store(next_ + 1, std::memory_order_release);
            ++next_;
        }

    private:
        void wait_for_room() {
            while ((limit_ = ring_.taken.load(std::memory_order_acquire) + capacity) == next_) {
            }
        }
        Ring& ring_;
        std::uint64_t next_ = 0;
        std::uint64_t limit_ = capacity;
    };

    class Receiver {
    public:
        explicit Receiver(Copy& transport) : ring_(*transport.ring_) {}
        void receive(M& message) {
            // A counter may be ahead already: of this message, and of those after it.
            while (published_ <= next_) {
                published_ = ring_.word(next_).load(std::memory_order_acquire);
            }
            std::memcpy(&message, ring_.message(next_), sizeof(M));
            if constexpr (sizeof(M) > 64) keep(message);
            ++next_;
            if (next_ % step == 0) ring_.taken.store(next_, std::memory_order_release);
        }

    private:
        Ring& ring_;
        std::uint64_t next_ = 0;
        std::uint64_t published_ = 0;
    };

private:
    Shared<Ring> ring_;
};

}  // namespace ipc::bench
