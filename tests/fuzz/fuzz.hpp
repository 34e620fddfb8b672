#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace ipc::fuzz {

using Input = std::span<const std::uint8_t>;

// Each takes any bytes and returns, or throws what went wrong (Violation, or whatever the library
// let through). Under libFuzzer, and as a test over the kept inputs, they are the same functions.

/// Files that are no channels, and channels with damaged words: opened, watched, used, removed.
void damaged_objects(Input input);
/// Words of a channel damaged between the operations of those who use it.
void vandal(Input input);
/// Calls of the interface, each result compared with that of a simple model.
void semantics(Input input);

}  // namespace ipc::fuzz
