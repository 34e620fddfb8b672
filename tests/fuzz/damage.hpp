#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "ipc/format/layout.hpp"
#include "tests/fuzz/bytes.hpp"

namespace ipc::fuzz {

/// Damages a channel's object, one word at a time, with an eye for what the words mean: a value
/// that is nearly right gets further than a random one.
class Damage {
public:
    /// `object` is the whole object, mapped writable.
    Damage(std::byte* object, const format::Layout& layout) : object_(object), layout_(layout) {}

    /// Where and how follows from the input.
    void one(Bytes& input);

private:
    using Word = std::atomic<std::uint64_t>;

    Word& choose(Bytes& input);
    std::uint64_t spoil(Bytes& input, std::uint64_t value);
    Word& at(std::uint64_t offset) const { return *reinterpret_cast<Word*>(object_ + offset); }
    std::uint64_t lease_offset(Bytes& input) const;

    std::byte* object_;
    format::Layout layout_;
};

}  // namespace ipc::fuzz
