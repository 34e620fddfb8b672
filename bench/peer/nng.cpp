#include "bench/peer/peer.hpp"

#ifdef IPC_BENCH_NNG

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>
#include <string>

#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>

#include "bench/system/cpu.hpp"
#include "bench/system/own_name.hpp"

namespace ipc::bench {
namespace {

void check(int result) {
    if (result != 0) throw std::runtime_error(::nng_strerror(result));
}

class Socket {
public:
    explicit Socket(const LinkOptions& options) : size_(options.size) {
        const Unpinned threads;
        check(::nng_pair0_open(&socket_));
        // Half of the messages wait on either side; 8192 is the most it takes.
        const int buffer = static_cast<int>(std::clamp<std::size_t>(options.capacity / 2, 1, 8192));
        check(::nng_socket_set_int(socket_, NNG_OPT_SENDBUF, buffer));
        check(::nng_socket_set_int(socket_, NNG_OPT_RECVBUF, buffer));
        check(::nng_socket_set_size(socket_, NNG_OPT_RECVMAXSZ, 0));
        // The receiver may come first.
        check(::nng_socket_set_ms(socket_, NNG_OPT_RECONNMINT, 1));
        check(::nng_socket_set_ms(socket_, NNG_OPT_RECONNMAXT, 5));
    }
    ~Socket() { ::nng_close(socket_); }
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;

    nng_socket get() const { return socket_; }
    std::size_t size() const { return size_; }

private:
    nng_socket socket_ = NNG_SOCKET_INITIALIZER;
    std::size_t size_;
};

class Sender final : public LinkSender {
public:
    Sender(const std::string& address, const LinkOptions& options) : socket_(options) {
        check(::nng_listen(socket_.get(), address.c_str(), nullptr, 0));
    }
    void send(const std::byte* message) override {
        check(::nng_send(socket_.get(), const_cast<std::byte*>(message), socket_.size(), 0));
    }

private:
    Socket socket_;
};

class Receiver final : public LinkReceiver {
public:
    Receiver(const std::string& address, const LinkOptions& options) : socket_(options) {
        check(::nng_dial(socket_.get(), address.c_str(), nullptr, NNG_FLAG_NONBLOCK));
    }
    void receive(std::byte* message) override {
        std::size_t size = socket_.size();
        check(::nng_recv(socket_.get(), message, &size, 0));
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
        return std::make_unique<Sender>("ipc://" + path_, options_);
    }
    std::unique_ptr<LinkReceiver> receiver() override {
        return std::make_unique<Receiver>("ipc://" + path_, options_);
    }

private:
    std::string path_;
    LinkOptions options_;
};

}  // namespace

Peer nng() {
    return {.name = "nng ipc", .has_threads = true, .connect = [](const auto& options) {
                return std::make_unique<Pair>(options);
            }};
}

}  // namespace ipc::bench

#else

namespace ipc::bench {

Peer nng() {
    return {.name = "nng ipc", .absent = "built without libnng-dev"};
}

}  // namespace ipc::bench

#endif
