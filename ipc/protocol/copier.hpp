#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "ipc/export.hpp"
#include "ipc/format/copy.hpp"
#include "ipc/format/words.hpp"
#include "ipc/os/clock.hpp"

namespace ipc::inline v1::protocol {

/// Copies a producer's messages into a ring of bytes, its region or the slots, and decides which
/// way it copies long ones:
///
/// Cached, as memcpy does. Each line has to come from the caches of its readers, who have it from a
/// lap ago, before it can be stored into.
///
/// Streaming, past the caches (format::copy_in_streaming). Between distant processors that takes a
/// fraction of the time, between near ones it mostly takes longer. PERFORMANCE.md has the
/// measurements.
///
/// So both are measured: the way in use, and after it, on trial, the other one. A trial begins with
/// a lap that does not count, since a copy meets lines where the way before left them. (Of slots
/// that producers share, also where the others' ways left them.) The same way serves all lengths.
class IPC_API Copier {
public:
    enum class Way : std::uint8_t { cached, streaming };

    /// For a ring of `lap` bytes. Places in it are absolute: they count on from lap to lap, as the
    /// positions of messages do; `start` is where this producer begins.
    Copier(std::uint64_t start, std::uint64_t lap);

    /// As format::copy_in. `at` is the absolute place of the message, or of what holds it. The room
    /// for it reaches to the end of its last cache line, the rest of which may be written, too.
    void copy_in(std::uint64_t at, std::byte* shared, const void* data, std::size_t size) {
        // No call but memcpy's here: registers that a call saves are stores as well, and delay
        // READY.
        const bool as_usual = size < shortest_long || (way_ == Way::cached && !is_measured(at));
        if (!format::has_streaming_stores || as_usual) {
            format::copy_in(shared, data, size);
        } else {
            copy_long(at, shared, data, size);
        }
    }

    /// How the next long message is copied.
    Way way() const { return way_; }
    /// Whether that copy is measured: then took() is told when it began, and when others could see
    /// all of it.
    bool is_measured(std::uint64_t at) const { return !format::before(at, measure_at_); }
    void took(std::uint64_t at, std::size_t size, os::Nanoseconds began, os::Nanoseconds ended);

    /// Streaming gains nothing for shorter messages.
    static constexpr std::size_t shortest_long = 1024;

private:
    void copy_long(std::uint64_t at, std::byte* shared, const void* data, std::size_t size);
    void copy(std::byte* shared, const void* data, std::size_t size) const;
    void copy_measured(std::uint64_t at, std::byte* shared, const void* data, std::size_t size);
    void begin_laps(std::uint64_t at, os::Nanoseconds now);
    void begin_lap(std::uint64_t at, os::Nanoseconds now);
    void begin_trial(std::uint64_t at);
    void decide(std::uint64_t at);
    bool streaming_pays() const;

    /// What is measured, one after the other: the pace of whole laps, and copies by themselves.
    enum class Stage : std::uint8_t { nothing, laps, copies };
    /// In nanoseconds for each byte of long messages.
    struct Figures {
        double pace = 0;  ///< from one message to the next; the best lap, without interruptions
        double copy = 0;  ///< until others can see all of it; the middle one of some
    };
    Figures& figures() { return way_ == Way::cached ? cached_ : streaming_; }

    std::uint64_t lap_;
    std::uint64_t measure_at_;
    Way way_ = Way::cached;
    Way preferred_ = Way::cached;  ///< differs during a trial
    Stage stage_ = Stage::nothing;
    Figures cached_;
    Figures streaming_;

    std::uint64_t lap_ends_at_ = 0;
    os::Nanoseconds lap_began_ = 0;
    std::uint64_t lap_bytes_ = 0;
    unsigned lap_messages_ = 0;
    unsigned laps_ = 0;
    std::array<double, 15> copies_{};
    std::size_t copies_timed_ = 0;

    std::uint64_t trial_began_at_ = 0;
    std::uint64_t trust_ = 0;  ///< how many times as long as its trial the decision stands
};

}  // namespace ipc::inline v1::protocol
