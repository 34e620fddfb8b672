#include "tools/common/batch_reader.hpp"

#include <algorithm>
#include <cstring>

#include <fmt/core.h>

#include "tools/common/failure.hpp"

namespace ipc::tools {

BatchReader::BatchReader(Input& input, Cut cut, std::size_t size)
    : input_(input), cut_(cut), size_(size), buffer_(std::size_t{64} << 10) {}

std::string_view BatchReader::unread() const {
    return {reinterpret_cast<const char*>(buffer_.data()) + begin_, end_ - begin_};
}

std::span<const std::string_view> BatchReader::next() {
    batch_.clear();
    while (batch_.empty() && !(at_end_ && begin_ == end_)) {
        if (!at_end_) fill();
        if (cut_ == Cut::lines) {
            cut_lines();
        } else {
            cut_blocks(at_end_ || cut_ == Cut::stream);
        }
    }
    return batch_;
}

void BatchReader::fill() {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    if (end_ == buffer_.size()) buffer_.resize(2 * buffer_.size());
    const std::size_t length = input_.read(std::span(buffer_).subspan(end_));
    end_ += length;
    at_end_ = length == 0;
}

void BatchReader::cut_lines() {
    const auto take = [this](std::size_t length, std::size_t separator) {
        ++lines_;
        batch_.push_back(unread().substr(0, length));
        begin_ += length + separator;
        searched_ = 0;
    };
    while (begin_ < end_) {
        const std::size_t length = std::min(unread().find('\n', searched_), unread().size());
        if (length > size_) {
            // The lines before it are fine; they go first, and this one is met again.
            if (!batch_.empty()) return;
            throw Failure(
                fmt::format("line {} is longer than the {} bytes a message can have; "
                            "create the channel with a larger --region-size",
                            lines_ + 1, size_));
        }
        if (length < unread().size()) {
            take(length, 1);
        } else if (at_end_) {
            take(length, 0);
        } else {
            searched_ = length;
            return;
        }
    }
}

void BatchReader::cut_blocks(bool shorter_last) {
    while (end_ - begin_ >= size_ || (shorter_last && begin_ < end_)) {
        batch_.push_back(unread().substr(0, size_));
        begin_ += batch_.back().size();
    }
}

}  // namespace ipc::tools
