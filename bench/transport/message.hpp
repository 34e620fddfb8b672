#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>

#include <fmt/format.h>

namespace ipc::bench {

/// What travels: `Size` bytes. Short messages are written and checked byte by byte; of longer ones
/// the first and the last word, so that the transport is measured and not the pattern.
template <std::size_t Size>
struct Message {
    static_assert(Size % 8 == 0);
    static constexpr std::size_t words = Size / 8;
    static constexpr std::size_t step = Size <= 64 ? 1 : words - 1;

    std::array<std::uint64_t, words> word;

    void write(std::uint64_t sequence) {
        for (std::size_t i = 0; i < words; i += step)
            word[i] = sequence + i * pattern;
    }
    bool is(std::uint64_t sequence) const {
        std::uint64_t difference = 0;
        for (std::size_t i = 0; i < words; i += step)
            difference |= word[i] ^ (sequence + i * pattern);
        return difference == 0;
    }

private:
    static constexpr std::uint64_t pattern = 0x9e3779b97f4a7c15;
};

/// Room for a message that is filled, used and forgotten: use(message). A short one is on the
/// stack, anew each time, so that the compiler can keep it in registers, as programs do.
template <class M>
class Room {
public:
    template <class Use>
    decltype(auto) operator()(Use&& use) {
        if constexpr (is_short) {
            M message;
            return use(message);
        } else {
            return use(*long_one_);
        }
    }

private:
    static constexpr bool is_short = sizeof(M) <= 64;
    std::unique_ptr<M> long_one_ = is_short ? nullptr : std::make_unique<M>();
};

/// The sequence number that ends a run.
inline constexpr std::uint64_t last_sequence = ~std::uint64_t{0};

/// Throws unless the message is the last one: it is neither that nor the one that was expected.
template <std::size_t Size>
[[gnu::noinline, gnu::cold]] void expect_last(const Message<Size>& message,
                                              std::uint64_t expected) {
    if (message.is(last_sequence)) return;
    const std::uint64_t got = message.word[0];
    if (message.is(got)) {
        throw std::runtime_error(
            fmt::format("out of order: message {} arrived in place of {}", got, expected));
    }
    throw std::runtime_error(fmt::format("message {} is damaged", expected));
}

/// Makes the compiler believe that somebody reads all of the object.
template <class T>
void keep(const T& object) {
    asm volatile("" : : "r"(&object) : "memory");
}

/// How many messages every transport holds before its sender has to wait: 1024, fewer of long ones,
/// so that they take 8 MiB at most, but 4 at least.
constexpr std::size_t capacity_for(std::size_t size) {
    std::size_t capacity = 1024;
    while (capacity > 4 && capacity * size > (std::size_t{8} << 20))
        capacity /= 2;
    return capacity;
}

}  // namespace ipc::bench
