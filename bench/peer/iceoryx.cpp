#include "bench/peer/peer.hpp"

#ifdef IPC_BENCH_ICEORYX

#include <unistd.h>

#include <array>
#include <cstring>
#include <stdexcept>
#include <string>

#include <fmt/format.h>
#include <iceoryx_hoofs/log/logmanager.hpp>
#include <iceoryx_posh/popo/untyped_publisher.hpp>
#include <iceoryx_posh/popo/untyped_subscriber.hpp>
#include <iceoryx_posh/popo/wait_set.hpp>
#include <iceoryx_posh/runtime/posh_runtime.hpp>

#include "bench/peer/iceoryx_daemon.hpp"
#include "bench/system/own_name.hpp"

namespace ipc::bench {
namespace {

iox::capro::IdString_t id(const std::string& text) {
    return {iox::cxx::TruncateToCapacity, text};
}

iox::capro::ServiceDescription service(const std::string& name) {
    return {id("ipc-bench"), id(name), id("messages")};
}

/// Once in each process that takes part.
void attach() {
    static bool attached = false;
    if (attached) return;
    attached = true;
    iox::log::LogManager::GetLogManager().SetDefaultLogLevel(
        iox::log::LogLevel::kOff, iox::log::LogLevelOutput::kHideLogLevel);
    iox::runtime::PoshRuntime::initRuntime(
        {iox::cxx::TruncateToCapacity, fmt::format("ipc-bench-{}", ::getpid())});
}

class Sender final : public LinkSender {
public:
    Sender(const std::string& name, const LinkOptions& options)
        : publisher_(service(name), publisher_options()),
          size_(static_cast<std::uint32_t>(options.size)) {
        while (!publisher_.hasSubscribers())
            ::usleep(1000);
    }
    void send(const std::byte* message) override {
        void* chunk = loan();
        std::memcpy(chunk, message, size_);
        publisher_.publish(chunk);
    }
    void send_in_place(std::uint64_t word) override {
        void* chunk = loan();
        std::memcpy(chunk, &word, sizeof word);
        publisher_.publish(chunk);
    }

private:
    static iox::popo::PublisherOptions publisher_options() {
        iox::popo::PublisherOptions options;
        options.subscriberTooSlowPolicy = iox::popo::ConsumerTooSlowPolicy::WAIT_FOR_CONSUMER;
        return options;
    }

    void* loan() {
        // All chunks may be with the reader.
        while (true) {
            if (auto loan = publisher_.loan(size_); !loan.has_error()) return loan.value();
        }
    }

    iox::popo::UntypedPublisher publisher_;
    std::uint32_t size_;
};

class Receiver final : public LinkReceiver {
public:
    Receiver(const std::string& name, const LinkOptions& options)
        : subscriber_(service(name), subscriber_options(options)),
          size_(options.size),
          busy_(options.waiting == Waiting::busy) {
        if (busy_) return;
        wait_set_.attachState(subscriber_, iox::popo::SubscriberState::HAS_DATA).or_else([](auto) {
            throw std::runtime_error("cannot attach to the wait set");
        });
    }
    ~Receiver() override {
        if (!busy_) wait_set_.detachState(subscriber_, iox::popo::SubscriberState::HAS_DATA);
    }
    void receive(std::byte* message) override {
        const void* chunk = take();
        std::memcpy(message, chunk, size_);
        subscriber_.release(chunk);
    }
    std::uint64_t receive_in_place() override {
        const void* chunk = take();
        std::uint64_t word = 0;
        std::memcpy(&word, chunk, sizeof word);
        subscriber_.release(chunk);
        return word;
    }

private:
    static iox::popo::SubscriberOptions subscriber_options(const LinkOptions& options) {
        iox::popo::SubscriberOptions result;
        result.queueCapacity = options.capacity;
        result.queueFullPolicy = iox::popo::QueueFullPolicy::BLOCK_PRODUCER;
        return result;
    }

    const void* take() {
        while (true) {
            if (auto taken = subscriber_.take(); !taken.has_error()) return taken.value();
            if (!busy_) wait_set_.wait();
        }
    }

    iox::popo::UntypedSubscriber subscriber_;
    iox::popo::WaitSet<1> wait_set_;
    std::size_t size_;
    bool busy_;
};

class Topic final : public Link {
public:
    explicit Topic(const LinkOptions& options) : name_(own_name()), options_(options) {
        IceoryxDaemon::ensure();
    }
    std::unique_ptr<LinkSender> sender() override {
        attach();
        return std::make_unique<Sender>(name_, options_);
    }
    std::unique_ptr<LinkReceiver> receiver() override {
        attach();
        return std::make_unique<Receiver>(name_, options_);
    }

private:
    std::string name_;
    LinkOptions options_;
};

}  // namespace

Peer iceoryx() {
    return {.name = "iceoryx",
            .absent = IceoryxDaemon::is_installed() ? "" : "iox-roudi is not in PATH",
            .longest = std::size_t{4} << 20,  // of what the daemon provides by default
            .connect = [](const auto& options) { return std::make_unique<Topic>(options); }};
}

}  // namespace ipc::bench

#else

namespace ipc::bench {

Peer iceoryx() {
    return {.name = "iceoryx", .absent = "built without libiceoryx-posh-dev"};
}

}  // namespace ipc::bench

#endif
