#pragma once

// What the processes of random tests do, and what they note about each message, so that afterwards
// each is accounted for: whatever was killed, and wherever.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <random>
#include <string>
#include <string_view>

#include "ipc/ipc.hpp"

namespace ipc::test {

using Random = std::mt19937_64;

inline std::uint64_t below(Random& random, std::uint64_t end) {
    return random() % end;
}
inline bool chance(Random& random, unsigned percent) {
    return random() % 100 < percent;
}
template <class T, std::size_t Size>
T one_of(Random& random, const std::array<T, Size>& values) {
    return values[random() % Size];
}

// ------------------------------------------------------------------------------------- contents

/// A message's id is its producer (a new one for each process) and its number there. A producer
/// sends its numbers in order and leaves none out.
struct Heading {
    std::uint32_t producer;
    std::uint32_t number;
    std::uint32_t size;  ///< of the whole body
    std::uint32_t checksum;
};

std::string make_body(std::uint32_t producer, std::uint32_t number, std::size_t size,
                      Random& random);
/// The heading of a body that arrived whole.
std::optional<Heading> check_body(std::string_view body);

// ---------------------------------------------------------------------------------------- notes

/// Broken promises, in shared memory: how many, and the first of them as a sentence.
class Complaints {
public:
    template <class... Arguments>
    void add(const char* format, Arguments... arguments) {
        if (count_.fetch_add(1) != 0) return;
        if constexpr (sizeof...(arguments) == 0) {
            std::snprintf(first_, sizeof first_, "%s", format);
        } else {
            std::snprintf(first_, sizeof first_, format, arguments...);
        }
    }
    int count() const { return count_; }
    const char* first() const { return first_; }

private:
    std::atomic<int> count_{0};
    char first_[400] = {};
};

/// What happened to one message in one group, noted before and after each step, so that what a kill
/// leaves open is known. In shared memory. A table of fates can be used again and again: each use
/// of an entry has its own lap, and whoever comes late from another one notes nothing.
class Fate {
public:
    enum Step : unsigned {
        delivered,
        ack_begun,
        ack_ok,
        ack_lost,
        reject_begun,
        reject_ok,
        reject_lost
    };

    void begin_lap(std::uint8_t lap) {
        dead_letters = 0;
        word_ = std::uint64_t{lap} << lap_shift;
    }
    /// False when the entry belongs to another lap by now.
    bool note(Step step, std::uint8_t lap = 0);
    unsigned count(Step step) const { return count(word_, step); }

    bool maybe_acked() const { return is_open(ack_begun, ack_ok, ack_lost); }
    bool maybe_rejected() const { return is_open(reject_begun, reject_ok, reject_lost); }

    std::atomic<std::uint8_t> dead_letters{0};

private:
    static constexpr unsigned lap_shift = 56;  // seven counts of 8 bits below
    static unsigned count(std::uint64_t word, Step step) { return word >> (8 * step) & 0xFF; }
    bool is_open(Step begun, Step ok, Step lost) const {
        const std::uint64_t word = word_;
        return count(word, begun) > count(word, ok) + count(word, lost);
    }

    std::atomic<std::uint64_t> word_{0};
};

/// What one producer is known to have sent.
struct Output {
    std::atomic<std::uint32_t> begun{0};     ///< numbers tried
    std::atomic<std::uint32_t> finished{0};  ///< numbers sent
};

// ----------------------------------------------------------------------------------------- roles

struct GroupPlan {
    std::string name;
    GroupOptions options;
    unsigned members = 1;
    unsigned nack_percent = 0;
    unsigned reject_percent = 0;
    unsigned batch = 1;
};

/// One step of a producer: a message, a batch or a loan, of random sizes. What it waits for it
/// waits for a moment only. False, and a complaint, when sending ended in an unexpected way.
bool produce(Producer<>& producer, std::uint32_t id, const ChannelOptions& channel,
             const std::atomic<bool>& stop, Random& random, Output& output, Complaints& complaints);

/// A message in user code, about which everything but its heading is known.
struct Job {
    const GroupPlan& plan;
    Message<>& message;
    Heading heading;
    Fate& fate;
    std::uint8_t lap = 0;
    /// Attempts that kills may have charged without a note.
    unsigned uncertain_attempts = 0;
};

/// Works on it and settles it, as the plan has it by chance; with `drain`, acknowledges it.
void work_on(const Job& delivery, Random& random, bool drain, Complaints& complaints);

}  // namespace ipc::test
