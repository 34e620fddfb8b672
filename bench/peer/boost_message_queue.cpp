#include <string>

#include <boost/interprocess/ipc/message_queue.hpp>

#include "bench/peer/peer.hpp"
#include "bench/system/own_name.hpp"

namespace ipc::bench {
namespace {

using boost::interprocess::message_queue;

class Sender final : public LinkSender {
public:
    Sender(const std::string& name, const LinkOptions& options)
        : queue_(boost::interprocess::open_only, name.c_str()), options_(options) {}
    void send(const std::byte* message) override {
        if (options_.waiting != Waiting::busy) return queue_.send(message, options_.size, 0);
        while (!queue_.try_send(message, options_.size, 0)) {
        }
    }

private:
    message_queue queue_;
    LinkOptions options_;
};

class Receiver final : public LinkReceiver {
public:
    Receiver(const std::string& name, const LinkOptions& options)
        : queue_(boost::interprocess::open_only, name.c_str()), options_(options) {}
    void receive(std::byte* message) override {
        message_queue::size_type size = 0;
        unsigned priority = 0;
        if (options_.waiting != Waiting::busy) {
            return queue_.receive(message, options_.size, size, priority);
        }
        while (!queue_.try_receive(message, options_.size, size, priority)) {
        }
    }

private:
    message_queue queue_;
    LinkOptions options_;
};

class MessageQueue final : public Link {
public:
    explicit MessageQueue(const LinkOptions& options)
        : name_(own_name()),
          options_(options),
          queue_(boost::interprocess::create_only, name_.c_str(), options.capacity, options.size) {}
    ~MessageQueue() override { message_queue::remove(name_.c_str()); }
    std::unique_ptr<LinkSender> sender() override {
        return std::make_unique<Sender>(name_, options_);
    }
    std::unique_ptr<LinkReceiver> receiver() override {
        return std::make_unique<Receiver>(name_, options_);
    }

private:
    std::string name_;
    LinkOptions options_;
    message_queue queue_;
};

}  // namespace

Peer boost_message_queue() {
    return {.name = "boost message_queue", .shareable = true, .connect = [](const auto& options) {
                return std::make_unique<MessageQueue>(options);
            }};
}

}  // namespace ipc::bench
