#include "tools/common/stream.hpp"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tools/common/failure.hpp"

namespace ipc::tools {
namespace {

constexpr std::size_t buffer_size = std::size_t{64} << 10;

// Returns where the call that failed may be repeated. A terminal or socket can be non-blocking
// because another process made it so.
void wait_to_retry(int descriptor, short direction, const char* stream) {
    if (errno == EINTR) return;
    if (errno != EAGAIN) throw Failure(std::string(stream) + ": " + std::strerror(errno));
    pollfd ready = {.fd = descriptor, .events = direction, .revents = 0};
    ::poll(&ready, 1, -1);
}

}  // namespace

std::size_t Input::read(std::span<std::byte> into) {
    while (true) {
        signals_.check();
        const ssize_t length = ::read(STDIN_FILENO, into.data(), into.size());
        if (length >= 0) return static_cast<std::size_t>(length);
        wait_to_retry(STDIN_FILENO, POLLIN, "standard input");
    }
}

std::size_t Input::read_all(std::span<std::byte> into) {
    std::size_t filled = 0;
    while (filled < into.size()) {
        const std::size_t length = read(into.subspan(filled));
        if (length == 0) break;
        filled += length;
    }
    return filled;
}

void Output::write(std::span<const std::byte> bytes) {
    write(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

void Output::write(std::string_view text) {
    if (buffer_.size() + text.size() > buffer_size) flush();
    if (text.size() >= buffer_size / 4) {
        flush();
        write_through(text);
    } else {
        buffer_ += text;
    }
}

void Output::flush() {
    write_through(buffer_);
    buffer_.clear();
}

void Output::write_through(std::string_view text) {
    while (!text.empty()) {
        signals_.check();
        const ssize_t length = ::write(STDOUT_FILENO, text.data(), text.size());
        if (length >= 0) {
            text.remove_prefix(static_cast<std::size_t>(length));
        } else if (errno == EPIPE) {
            throw EndedBySignal{SIGPIPE};
        } else {
            wait_to_retry(STDOUT_FILENO, POLLOUT, "standard output");
        }
    }
}

void try_to_write(int descriptor, std::string_view text) noexcept {
    while (!text.empty()) {
        const ssize_t length = ::write(descriptor, text.data(), text.size());
        // Also when it was interrupted: a signal wants the tool to end, not to wait here.
        if (length <= 0) return;
        text.remove_prefix(static_cast<std::size_t>(length));
    }
}

}  // namespace ipc::tools
