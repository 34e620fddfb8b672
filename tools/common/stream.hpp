#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "tools/common/signals.hpp"

namespace ipc::tools {

/// Standard input, unbuffered.
class Input {
public:
    explicit Input(const Signals& signals) : signals_(signals) {}

    /// What is there, waiting for the first byte only; 0 at the end.
    std::size_t read(std::span<std::byte> into);
    /// Fewer bytes than asked for only at the end.
    std::size_t read_all(std::span<std::byte> into);

private:
    const Signals& signals_;
};

/// Standard output, buffered. What was not flushed is lost with the object.
class Output {
public:
    explicit Output(const Signals& signals) : signals_(signals) {}

    void write(std::span<const std::byte> bytes);
    void write(std::string_view text);
    void flush();

private:
    void write_through(std::string_view text);

    const Signals& signals_;
    std::string buffer_;
};

/// For what is said on the way: that it cannot be written is no reason to end, or to end otherwise.
void try_to_write(int descriptor, std::string_view text) noexcept;

}  // namespace ipc::tools
