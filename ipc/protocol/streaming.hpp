#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "ipc/format/copy.hpp"
#include "ipc/format/words.hpp"
#include "ipc/os/clock.hpp"

namespace ipc::inline v1::protocol {

/// Copies messages into a ring of bytes, a producer's region or the slots, and decides which way it
/// copies long ones; DESIGN.md, Publishing, has the measurements.
///
/// Cached: as memcpy does. Each line has to come from the caches of its readers, who have it from a
/// lap ago, before it can be stored into. They get it from this processor's cache again.
///
/// Streaming (format::copy_in_streaming): lines go to memory, and come from there. Between distant
/// processors that takes a fraction of the time, between near ones it mostly takes longer.
///
/// So both are measured, the way in use first and then, on trial, the other one. Each begins with a
/// lap that does not count, since a copy meets lines where the way before left them; a lap tells
/// the pace of the messages, and some copies after it how long they take by themselves.
class Streaming {
public:
    enum class Way : std::uint8_t { cached, streaming };

    /// Of bytes that are counted from `start`, over and over the same `lap`.
    Streaming(std::uint64_t start, std::uint64_t lap) : lap_(lap), measure_at_(start + lap) {}

    /// As format::copy_in, to the byte of that count. In memory that ends with a cache line.
    void copy_in(std::uint64_t at, std::byte* shared, const void* data, std::size_t size) {
        if (!format::has_streaming_stores || size < shortest)
            return format::copy_in(shared, data, size);
        if (is_measured(at)) [[unlikely]]
            return copy_measured(at, shared, data, size);
        copy(shared, data, size);
    }

    /// How the next long message is copied.
    Way way() const { return way_; }
    /// Whether took() must be told when that copy began, and when others could see all of it.
    bool is_measured(std::uint64_t at) const { return !format::before(at, measure_at_); }
    void took(std::uint64_t at, std::size_t size, os::Nanoseconds began, os::Nanoseconds ended);

    /// Shorter messages gain nothing.
    static constexpr std::size_t shortest = 1024;

private:
    void copy(std::byte* shared, const void* data, std::size_t size) const {
        if (way_ == Way::streaming) {
            format::copy_in_streaming(shared, data, size);
        } else {
            format::copy_in(shared, data, size);
        }
    }
    void copy_measured(std::uint64_t at, std::byte* shared, const void* data, std::size_t size);
    void begin_trial(std::uint64_t at);
    void decide(std::uint64_t at);
    bool pays() const;

    enum class Stage : std::uint8_t { settled, lap, copies };
    /// In picoseconds per byte.
    struct Figures {
        std::int64_t pace = 0;  ///< from message to message
        std::int64_t copy = 0;
    };
    Figures& of(Way way) { return way == Way::cached ? cached_ : streaming_; }

    /// So many times as long as a trial a decision stands: the other way may take ten times as
    /// long.
    static constexpr std::uint64_t least_trust = 16;
    static constexpr std::uint64_t most_trust = 512;

    std::uint64_t lap_;
    std::uint64_t measure_at_;  ///< from there on
    Way way_ = Way::cached;
    Way preferred_ = Way::cached;
    Stage stage_ = Stage::settled;
    Figures cached_;
    Figures streaming_;
    std::uint64_t lap_began_at_ = 0;
    os::Nanoseconds lap_began_ = 0;
    std::array<std::int64_t, 15> copies_{};
    std::size_t copied_ = 0;
    std::uint64_t trial_began_at_ = 0;
    std::uint64_t trust_ = least_trust;
};

}  // namespace ipc::inline v1::protocol
