#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "tests/fuzz/fuzz.hpp"

namespace ipc::fuzz {

/// A promise was broken.
struct Violation : std::logic_error {
    using std::logic_error::logic_error;
};

inline void require(bool holds, const char* promise) {
    if (!holds) throw Violation(promise);
}

/// Decisions taken from a fuzzer's input; all zero once it is used up.
class Bytes {
public:
    explicit Bytes(Input input) : rest_(input) {}

    bool done() const { return rest_.empty(); }
    Input rest() const { return rest_; }

    std::uint8_t byte() {
        if (rest_.empty()) return 0;
        const std::uint8_t value = rest_.front();
        rest_ = rest_.subspan(1);
        return value;
    }
    std::uint64_t word() {
        std::uint64_t value = 0;
        for (int i = 0; i < 8; ++i)
            value |= std::uint64_t{byte()} << (8 * i);
        return value;
    }
    /// 0 to end - 1, of at most 65536.
    unsigned below(std::uint64_t end) {
        if (end <= 1) return 0;
        const unsigned value = end <= 256 ? byte() : byte() | unsigned{byte()} << 8;
        return static_cast<unsigned>(value % end);
    }
    bool flip() { return (byte() & 1) != 0; }

private:
    Input rest_;
};

}  // namespace ipc::fuzz
