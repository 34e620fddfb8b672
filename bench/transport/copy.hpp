#pragma once

// The floor of every exchange that copies: in on one side, out on the other, and a flag for each
// message. Nobody waits asleep, dies, or watches.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include "bench/system/shared.hpp"
#include "bench/transport/message.hpp"
#include "bench/transport/transport.hpp"

namespace ipc::bench {

/// Where the flag of a message is.
enum class Flag {
    beside,  ///< in front of it, so that a short message comes with its flag
    apart,   ///< in an array of flags
};

/// A ring of the same number of messages as all others have.
template <class M, Flag place>
class Copy {
    static constexpr std::size_t capacity = capacity_for(sizeof(M));
    using Position = std::atomic<std::uint64_t>;
    /// How often the receiver says how far it is.
    static constexpr std::size_t step = capacity < 16 ? 1 : capacity / 16;

    struct alignas(64) Entry {
        Position flag = 0;
        std::array<std::byte, sizeof(M)> message;
    };
    struct alignas(64) Line {
        Position flag = 0;
    };
    struct Beside {
        std::array<Entry, capacity> entries;
        Position& flag(std::uint64_t position) { return entries[position % capacity].flag; }
        std::byte* message(std::uint64_t position) {
            return entries[position % capacity].message.data();
        }
    };
    struct Apart {
        std::array<Line, capacity> lines;
        alignas(64) std::array<std::array<std::byte, sizeof(M)>, capacity> messages;
        Position& flag(std::uint64_t position) { return lines[position % capacity].flag; }
        std::byte* message(std::uint64_t position) { return messages[position % capacity].data(); }
    };
    struct Ring : std::conditional_t<place == Flag::beside, Beside, Apart> {
        alignas(128) Position taken = 0;
    };

public:
    using Message = M;
    static constexpr const char* name =
        place == Flag::beside ? "copy, flag beside" : "copy, flag apart";
    explicit Copy(Waiting) {}

    class Sender {
    public:
        explicit Sender(Copy& transport) : ring_(*transport.ring_) {}
        void send(const M& message) {
            if (next_ == limit_) [[unlikely]]
                wait_for_room();
            std::memcpy(ring_.message(next_), &message, sizeof(M));
            ring_.flag(next_).store(next_ + 1, std::memory_order_release);
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
            while (ring_.flag(next_).load(std::memory_order_acquire) != next_ + 1) {
            }
            std::memcpy(&message, ring_.message(next_), sizeof(M));
            if constexpr (sizeof(M) > 64) keep(message);
            ++next_;
            if (next_ % step == 0) ring_.taken.store(next_, std::memory_order_release);
        }

    private:
        Ring& ring_;
        std::uint64_t next_ = 0;
    };

private:
    Shared<Ring> ring_;
};

}  // namespace ipc::bench
