#include <fcntl.h>
#include <mqueue.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <stdexcept>
#include <string>
#include <system_error>

#include <fmt/format.h>

#include "bench/peer/peer.hpp"
#include "bench/system/own_name.hpp"

namespace ipc::bench {
namespace {

/// What the system allows; as root, the queues get what all others have instead.
std::size_t allowed(const char* what, std::size_t otherwise) {
    std::ifstream file(std::string("/proc/sys/fs/mqueue/") + what);
    file >> otherwise;
    return otherwise;
}

[[noreturn]] void fail(const char* what) {
    throw std::system_error(errno, std::system_category(), what);
}

class Descriptor {
public:
    Descriptor(const std::string& name, int flags) : descriptor_(::mq_open(name.c_str(), flags)) {
        if (descriptor_ == -1) fail("mq_open");
    }
    Descriptor(const std::string& name, int flags, mq_attr& attributes)
        : descriptor_(::mq_open(name.c_str(), flags, 0600, &attributes)) {}
    ~Descriptor() {
        if (descriptor_ != -1) ::mq_close(descriptor_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    mqd_t get() const { return descriptor_; }

private:
    mqd_t descriptor_;
};

int flags(int access, const LinkOptions& options) {
    return options.waiting == Waiting::busy ? access | O_NONBLOCK : access;
}

class Sender final : public LinkSender {
public:
    Sender(const std::string& name, const LinkOptions& options)
        : queue_(name, flags(O_WRONLY, options)), size_(options.size) {}
    void send(const std::byte* message) override {
        while (::mq_send(queue_.get(), reinterpret_cast<const char*>(message), size_, 0) != 0) {
            if (errno != EAGAIN && errno != EINTR) fail("mq_send");
        }
    }

private:
    Descriptor queue_;
    std::size_t size_;
};

class Receiver final : public LinkReceiver {
public:
    Receiver(const std::string& name, const LinkOptions& options)
        : queue_(name, flags(O_RDONLY, options)), size_(options.size) {}
    void receive(std::byte* message) override {
        while (::mq_receive(queue_.get(), reinterpret_cast<char*>(message), size_, nullptr) < 0) {
            if (errno != EAGAIN && errno != EINTR) fail("mq_receive");
        }
    }

private:
    Descriptor queue_;
    std::size_t size_;
};

class MessageQueue final : public Link {
public:
    explicit MessageQueue(const LinkOptions& options)
        : name_(fmt::format("/{}", own_name())), options_(options) {
        // Root may exceed the limits.
        const rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
        ::setrlimit(RLIMIT_MSGQUEUE, &unlimited);
        if (!create(options.capacity)) {
            if (!create(std::min(options.capacity, allowed("msg_max", 10)))) fail("mq_open");
        }
    }
    ~MessageQueue() override { ::mq_unlink(name_.c_str()); }
    std::unique_ptr<LinkSender> sender() override {
        return std::make_unique<Sender>(name_, options_);
    }
    std::unique_ptr<LinkReceiver> receiver() override {
        return std::make_unique<Receiver>(name_, options_);
    }

private:
    bool create(std::size_t capacity) {
        mq_attr attributes = {};
        attributes.mq_maxmsg = static_cast<long>(capacity);
        attributes.mq_msgsize = static_cast<long>(options_.size);
        return Descriptor(name_, O_RDWR | O_CREAT | O_EXCL, attributes).get() != -1;
    }

    std::string name_;
    LinkOptions options_;
};

}  // namespace

Peer posix_message_queue() {
    return {.name = "POSIX message queue",
            .longest = allowed("msgsize_max", 8192),
            .shareable = true,
            .connect = [](const auto& options) { return std::make_unique<MessageQueue>(options); }};
}

}  // namespace ipc::bench
