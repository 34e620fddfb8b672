#include "bench/peer/peer.hpp"

#ifdef IPC_BENCH_ZEROMQ

#include <unistd.h>
#include <zmq.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <stdexcept>
#include <string>

#include "bench/system/cpu.hpp"
#include "bench/system/own_name.hpp"

namespace ipc::bench {
namespace {

/// A socket of type PAIR, in a context of its own.
class Socket {
public:
    explicit Socket(const LinkOptions& options) : size_(options.size) {
        const Unpinned threads;
        context_ = ::zmq_ctx_new();
        socket_ = ::zmq_socket(context_, ZMQ_PAIR);
        // Half of the messages wait on either side.
        const int mark = static_cast<int>(std::max<std::size_t>(1, options.capacity / 2));
        check(::zmq_setsockopt(socket_, ZMQ_SNDHWM, &mark, sizeof mark));
        check(::zmq_setsockopt(socket_, ZMQ_RCVHWM, &mark, sizeof mark));
        // The receiver may come first.
        const int milliseconds = 1;
        check(::zmq_setsockopt(socket_, ZMQ_RECONNECT_IVL, &milliseconds, sizeof milliseconds));
    }
    ~Socket() {
        ::zmq_close(socket_);
        ::zmq_ctx_term(context_);
    }
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;

    static void check(int result) {
        if (result < 0) throw std::runtime_error(::zmq_strerror(::zmq_errno()));
    }
    static bool goes_on() { return ::zmq_errno() == EINTR; }

    void* get() const { return socket_; }
    std::size_t size() const { return size_; }

private:
    void* context_ = nullptr;
    void* socket_ = nullptr;
    std::size_t size_;
};

class Sender final : public LinkSender {
public:
    Sender(const std::string& path, const LinkOptions& options) : socket_(options) {
        Socket::check(::zmq_bind(socket_.get(), ("ipc://" + path).c_str()));
    }
    void send(const std::byte* message) override {
        while (::zmq_send(socket_.get(), message, socket_.size(), 0) < 0) {
            if (!Socket::goes_on()) Socket::check(-1);
        }
    }

private:
    Socket socket_;
};

class Receiver final : public LinkReceiver {
public:
    Receiver(const std::string& path, const LinkOptions& options) : socket_(options) {
        Socket::check(::zmq_connect(socket_.get(), ("ipc://" + path).c_str()));
    }
    void receive(std::byte* message) override {
        while (::zmq_recv(socket_.get(), message, socket_.size(), 0) < 0) {
            if (!Socket::goes_on()) Socket::check(-1);
        }
    }

private:
    Socket socket_;
};

class Pair final : public Link {
public:
    explicit Pair(const LinkOptions& options)
        : path_(std::filesystem::temp_directory_path() / own_name()), options_(options) {}
    ~Pair() override { ::unlink(path_.c_str()); }
    std::unique_ptr<LinkSender> sender() override {
        return std::make_unique<Sender>(path_, options_);
    }
    std::unique_ptr<LinkReceiver> receiver() override {
        return std::make_unique<Receiver>(path_, options_);
    }

private:
    std::string path_;
    LinkOptions options_;
};

}  // namespace

Peer zeromq() {
    return {.name = "ZeroMQ ipc", .has_threads = true, .connect = [](const auto& options) {
                return std::make_unique<Pair>(options);
            }};
}

}  // namespace ipc::bench

#else

namespace ipc::bench {

Peer zeromq() {
    return {.name = "ZeroMQ ipc", .absent = "built without libzmq3-dev"};
}

}  // namespace ipc::bench

#endif
