#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "tools/common/stream.hpp"

namespace ipc::tools {

/// Cuts standard input into messages; a batch is what one read brought.
class BatchReader {
public:
    enum class Cut {
        lines,   ///< at newlines, which belong to no message; the last line may lack its own
        blocks,  ///< each of `size` bytes; the last may be shorter
        stream,  ///< anywhere, as long as none exceeds `size`: nothing waits for more input
    };

    /// `size` is the longest message.
    BatchReader(Input& input, Cut cut, std::size_t size);

    /// The next messages, valid until the next call; none at the end of the input. Throws a Failure
    /// for a line that is too long.
    std::span<const std::string_view> next();

private:
    void fill();
    void cut_lines();
    void cut_blocks(bool shorter_last);
    std::string_view unread() const;

    Input& input_;
    const Cut cut_;
    const std::size_t size_;
    std::vector<std::byte> buffer_;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::size_t searched_ =
        0;  // unread bytes known to hold no newline: long lines come in many reads
    bool at_end_ = false;
    std::size_t lines_ = 0;
    std::vector<std::string_view> batch_;
};

}  // namespace ipc::tools
