// What the kernel has: pipes and Unix sockets. Both ends are inherited by all processes.

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "bench/peer/peer.hpp"

namespace ipc::bench {
namespace {

[[noreturn]] void fail(const char* what) {
    throw std::system_error(errno, std::system_category(), what);
}

bool goes_on() {
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || errno == ENOBUFS;
}

class Sender final : public LinkSender {
public:
    Sender(int descriptor, std::size_t size) : descriptor_(descriptor), size_(size) {}
    void send(const std::byte* message) override {
        std::size_t done = 0;
        while (done < size_) {
            const ssize_t count = ::write(descriptor_, message + done, size_ - done);
            if (count > 0) {
                done += static_cast<std::size_t>(count);
            } else if (!goes_on()) {
                fail("write");
            }
        }
    }

private:
    int descriptor_;
    std::size_t size_;
};

class Receiver final : public LinkReceiver {
public:
    Receiver(int descriptor, std::size_t size) : descriptor_(descriptor), size_(size) {}
    void receive(std::byte* message) override {
        std::size_t done = 0;
        while (done < size_) {
            const ssize_t count = ::read(descriptor_, message + done, size_ - done);
            if (count > 0) {
                done += static_cast<std::size_t>(count);
            } else if (count == 0 || !goes_on()) {
                fail("read");
            }
        }
    }

private:
    int descriptor_;
    std::size_t size_;
};

class Descriptors : public Link {
public:
    ~Descriptors() override {
        ::close(from_);
        ::close(to_);
    }
    std::unique_ptr<LinkSender> sender() override { return std::make_unique<Sender>(to_, size_); }
    std::unique_ptr<LinkReceiver> receiver() override {
        return std::make_unique<Receiver>(from_, size_);
    }

protected:
    Descriptors(const LinkOptions& options, int from, int to)
        : from_(from), to_(to), size_(options.size) {
        if (options.waiting != Waiting::busy) return;
        ::fcntl(from_, F_SETFL, O_NONBLOCK);
        ::fcntl(to_, F_SETFL, O_NONBLOCK);
    }

    int from_;
    int to_;
    std::size_t size_;
};

struct Pair {
    int from;
    int to;
};

Pair make_pipe() {
    int ends[2];
    if (::pipe(ends) != 0) fail("pipe");
    return {ends[0], ends[1]};
}

Pair make_sockets(int type) {
    int ends[2];
    if (::socketpair(AF_UNIX, type, 0, ends) != 0) fail("socketpair");
    return {ends[0], ends[1]};
}

class Pipe final : public Descriptors {
public:
    explicit Pipe(const LinkOptions& options) : Pipe(options, make_pipe()) {}

private:
    Pipe(const LinkOptions& options, Pair pair) : Descriptors(options, pair.from, pair.to) {
        // Without privileges, 1 MiB is the most; then it stays as it was.
        const std::size_t wanted =
            std::clamp<std::size_t>(options.capacity * options.size, 4096, std::size_t{1} << 20);
        ::fcntl(to_, F_SETPIPE_SZ, static_cast<int>(wanted));
    }
};

class Sockets final : public Descriptors {
public:
    Sockets(const LinkOptions& options, int type) : Sockets(options, make_sockets(type)) {}

private:
    Sockets(const LinkOptions& options, Pair pair) : Descriptors(options, pair.from, pair.to) {
        // The kernel counts its own overhead, too, and cuts what exceeds its limit.
        const int wanted = static_cast<int>(options.capacity * (options.size + 512));
        ::setsockopt(to_, SOL_SOCKET, SO_SNDBUF, &wanted, sizeof wanted);
        ::setsockopt(from_, SOL_SOCKET, SO_RCVBUF, &wanted, sizeof wanted);
    }
};

}  // namespace

Peer pipe() {
    return {.name = "pipe", .shareable = true, .connect = [](const LinkOptions& options) {
                return std::make_unique<Pipe>(options);
            }};
}

Peer unix_stream() {
    return {.name = "Unix socket, stream", .connect = [](const LinkOptions& options) {
                return std::make_unique<Sockets>(options, SOCK_STREAM);
            }};
}

Peer unix_datagram() {
    return {.name = "Unix socket, datagram",
            .longest = std::size_t{64} << 10,
            .shareable = true,
            .connect = [](const LinkOptions& options) {
                return std::make_unique<Sockets>(options, SOCK_DGRAM);
            }};
}

}  // namespace ipc::bench
