// Costs of single operations within one process, for regressions. One thread plays both sides, so
// that nothing but instructions and the nearest caches is measured; how fast messages travel
// between processes is ipc-bench's question.
//
//   ipc-microbench [OPTION OF GOOGLE BENCHMARK...]
//   ipc-microbench --repeat OPERATION COUNT      that many times, for callgrind

#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>

#include "ipc/ipc.hpp"

namespace {

struct Message {
    std::array<std::uint64_t, 4> words;
};

void require(bool condition) {
    if (!condition) throw std::runtime_error("an operation failed");
}

// Each operation is a class: made once, then called again and again. What has to be done before
// and is not its matter is in prepare(), for so many `calls` at once. It is left out of the time
// but for starting and stopping the clock, and not left out of --repeat.

/// With a channel that is gone in the end.
class OnChannel {
public:
    explicit OnChannel(const ipc::ChannelOptions& options = {}) : channel(make(options)) {}
    ~OnChannel() { ipc::remove(channel.name()); }
    OnChannel(const OnChannel&) = delete;
    OnChannel& operator=(const OnChannel&) = delete;

protected:
    ipc::Channel<Message> channel;
    const Message message = {{1, 2, 3, 4}};

private:
    static ipc::Channel<Message> make(const ipc::ChannelOptions& options) {
        const std::string name = "microbench." + std::to_string(::getpid());
        ipc::remove(name);
        return ipc::Channel<Message>::create(name, options);
    }
};

/// What nobody reads.
struct SendExclusive : OnChannel {
    void operator()() { require(bool(producer.try_send(message))); }
    ipc::Producer<Message> producer = channel.exclusive_producer();
};

/// The same with a claim.
struct SendShared : OnChannel {
    void operator()() { require(bool(producer.try_send(message))); }
    ipc::Producer<Message> producer = channel.producer();
};

struct LoanAndPublish : OnChannel {
    LoanAndPublish() : OnChannel({.region_size = 16 << 20}) {}
    void operator()() {
        auto loan = producer.try_loan();
        loan->words[0] = 1;
        require(bool(std::move(loan).try_publish()));
    }
    ipc::Producer<Message> producer = channel.exclusive_producer();
};

struct ExclusiveToSubscriber : OnChannel {
    void operator()() {
        require(bool(producer.try_send(message)));
        const auto received = subscriber.try_receive();
        require(received->words[0] == 1);
    }
    ipc::Consumer<Message> subscriber = channel.subscribe();
    ipc::Producer<Message> producer = channel.exclusive_producer();
};

struct ExclusiveToLossySubscriber : OnChannel {
    void operator()() {
        require(bool(producer.try_send(message)));
        const auto received = subscriber.try_receive();
        require(received->words[0] == 1);
    }
    ipc::Consumer<Message> subscriber = channel.subscribe({.delivery = ipc::Delivery::lossy});
    ipc::Producer<Message> producer = channel.exclusive_producer();
};

/// Sixteen with each call; counts as one.
struct BatchToSubscriber : OnChannel {
    void operator()() {
        require(bool(producer.try_send_batch(messages)));
        std::uint64_t sum = 0;
        auto batch = subscriber.try_receive_batch(messages.size());
        for (const auto& received : batch)
            sum += received->words[0];
        require(sum == messages.size());
    }
    std::vector<Message> messages = std::vector<Message>(16, message);
    ipc::Consumer<Message> subscriber = channel.subscribe();
    ipc::Producer<Message> producer = channel.exclusive_producer();
};

/// Received and acknowledged.
struct SharedToGroup : OnChannel {
    void operator()() {
        require(bool(producer.try_send(message)));
        auto received = member.try_receive();
        require(received->words[0] == 1);
        require(bool(received.ack()));
    }
    ipc::Consumer<Message> member = channel.join("group", {.ack = ipc::Ack::manual});
    ipc::Producer<Message> producer = channel.producer();
};

/// Given back once, and received again.
struct SharedToGroupTwice : OnChannel {
    void operator()() {
        require(bool(producer.try_send(message)));
        require(bool(member.try_receive().nack()));
        auto received = member.try_receive();
        require(received.attempt() == 2);
        require(bool(received.ack()));
    }
    ipc::Consumer<Message> member = channel.join("group", {.ack = ipc::Ack::manual});
    ipc::Producer<Message> producer = channel.producer();
};

/// With messages that wait, one for each call.
struct OnFilledChannel : OnChannel {
    static constexpr int calls = 512;
    void prepare() {
        for (int i = 0; i < calls; ++i)
            require(bool(producer.try_send(message)));
    }
    ipc::Producer<Message> producer = channel.exclusive_producer();
};

/// Received and released, without the sending.
struct Receive : OnFilledChannel {
    void operator()() {
        const auto received = subscriber.try_receive();
        require(received->words[0] == 1);
    }
    ipc::Consumer<Message> subscriber = channel.subscribe();
};

/// A member takes a lease while it holds others, and moves the message to them.
struct Claim : OnFilledChannel {
    Claim() { held.reserve(calls); }
    void prepare() {
        for (auto& received : held)
            require(bool(received.ack()));
        held.clear();
        OnFilledChannel::prepare();
    }
    void operator()() { require(bool(held.emplace_back(member.try_receive()))); }
    ipc::Consumer<Message> member = channel.join("group", {.ack = ipc::Ack::manual});
    std::vector<ipc::Message<Message>> held;
};

/// ... and acknowledges them.
struct Settle : Claim {
    void prepare() {
        held.clear();
        Claim::prepare();
        for (int i = 0; i < calls; ++i)
            Claim::operator()();
        next = 0;
    }
    void operator()() { require(bool(held[next++].ack())); }
    std::size_t next = 0;
};

template <int groups>
struct SendToIdleGroups : OnChannel {
    SendToIdleGroups() {
        for (int i = 0; i < groups; ++i)
            subscribers.push_back(channel.subscribe({.delivery = ipc::Delivery::lossy}));
    }
    void operator()() { require(bool(producer.try_send(message))); }
    std::vector<ipc::Consumer<Message>> subscribers;
    ipc::Producer<Message> producer = channel.exclusive_producer();
};

struct SubscribeAndLeave : OnChannel {
    void operator()() {
        const auto subscriber = channel.subscribe();
        require(subscriber.position() == 0);
    }
};

struct JoinAndLeave : OnChannel {
    void operator()() {
        const auto member = channel.join("group");
        require(member.position() == 0);
    }
};

struct Inspect : OnChannel {
    void operator()() { require(inspector.sample().groups.size() == 1); }
    ipc::Producer<Message> producer = channel.producer();
    ipc::Consumer<Message> member = channel.join("group");
    ipc::Inspector inspector = ipc::Inspector(channel.name());
};

using Repeat = void (*)(std::uint64_t count);
std::map<std::string, Repeat, std::less<>> repeats;

template <class Operation>
concept Prepared = requires(Operation& operation) {
    operation.prepare();
};

template <class Operation>
void measure(benchmark::State& state) {
    Operation operation;
    if constexpr (Prepared<Operation>) {
        while (state.KeepRunningBatch(Operation::calls)) {
            state.PauseTiming();
            operation.prepare();
            state.ResumeTiming();
            for (int i = 0; i < Operation::calls; ++i)
                operation();
        }
    } else {
        for (auto _ : state)
            operation();
    }
    state.SetItemsProcessed(state.iterations());
}

template <class Operation>
void repeat(std::uint64_t count) {
    Operation operation;
    for (std::uint64_t i = 0; i < count; ++i) {
        if constexpr (Prepared<Operation>) {
            if (i % Operation::calls == 0) operation.prepare();
        }
        operation();
    }
}

template <class Operation>
void add(const char* name) {
    benchmark::RegisterBenchmark(name, measure<Operation>);
    repeats[name] = repeat<Operation>;
}

void add_all() {
    add<SendExclusive>("send_exclusive");
    add<SendShared>("send_shared");
    add<LoanAndPublish>("loan_and_publish");
    add<ExclusiveToSubscriber>("exclusive_to_subscriber");
    add<ExclusiveToLossySubscriber>("exclusive_to_lossy_subscriber");
    add<BatchToSubscriber>("batch_of_16_to_subscriber");
    add<SharedToGroup>("shared_to_group_with_ack");
    add<SharedToGroupTwice>("shared_to_group_given_back");
    add<Receive>("receive");
    add<Claim>("claim");
    add<Settle>("settle");
    add<SendToIdleGroups<1>>("send_to_1_idle_group");
    add<SendToIdleGroups<64>>("send_to_64_idle_groups");
    add<SubscribeAndLeave>("subscribe_and_leave");
    add<JoinAndLeave>("join_and_leave");
    add<Inspect>("inspect");
}

}

int main(int argc, char** argv) {
    add_all();
    if (argc == 4 && std::string_view(argv[1]) == "--repeat") {
        const auto found = repeats.find(std::string_view(argv[2]));
        if (found == repeats.end()) {
            std::fprintf(stderr, "ipc-microbench: no operation %s\n", argv[2]);
            return 2;
        }
        found->second(std::strtoull(argv[3], nullptr, 10));
        return 0;
    }
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
