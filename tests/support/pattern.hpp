#pragma once

#include <cstddef>
#include <string>

namespace ipc::test {

/// `size` bytes that depend on their place and on `seed`, such as the number of a message.
inline std::string pattern(std::size_t size, std::size_t seed = 1) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i)
        text[i] = static_cast<char>((i * 31 + i / 251 + seed * 17) & 0xFF);
    return text;
}

}  // namespace ipc::test
