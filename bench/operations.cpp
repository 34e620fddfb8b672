// Costs of single operations within one process, for regressions. One thread plays both sides, so
// that nothing but instructions and the first-level cache is measured; how fast messages travel
// between cores is another question.

#include <unistd.h>

#include <array>
#include <cstdint>
#include <string>

#include <benchmark/benchmark.h>

#include "ipc/ipc.hpp"

namespace {

struct Message {
    std::array<std::uint64_t, 4> words;
};

/// A channel that is gone when the benchmark ends.
class Fixture {
public:
    explicit Fixture(ipc::ChannelOptions options = {}) {
        ipc::remove(name_);
        channel = ipc::Channel<Message>::create(name_, options);
    }
    ~Fixture() { ipc::remove(name_); }
    Fixture(const Fixture&) = delete;
    Fixture& operator=(const Fixture&) = delete;

    const std::string& name() const { return name_; }

private:
    std::string name_ = "bench." + std::to_string(::getpid());

public:
    std::optional<ipc::Channel<Message>> channel;
};

template <class Producer, class Consumer>
void exchange(benchmark::State& state, Producer& producer, Consumer& consumer) {
    Message message{{1, 2, 3, 4}};
    for (auto _ : state) {
        if (!producer.try_send(message)) state.SkipWithError("send failed");
        auto received = consumer.try_receive();
        benchmark::DoNotOptimize(received->words[0]);
        if (!received.ack()) state.SkipWithError("acknowledgement failed");
    }
    state.SetItemsProcessed(state.iterations());
}

void exclusive_to_subscriber(benchmark::State& state) {
    const Fixture fixture;
    auto subscriber = fixture.channel->subscribe();
    auto producer = fixture.channel->exclusive_producer();
    exchange(state, producer, subscriber);
}
BENCHMARK(exclusive_to_subscriber);

void exclusive_to_lossy_subscriber(benchmark::State& state) {
    const Fixture fixture;
    auto subscriber = fixture.channel->subscribe({.delivery = ipc::Delivery::lossy});
    auto producer = fixture.channel->exclusive_producer();
    exchange(state, producer, subscriber);
}
BENCHMARK(exclusive_to_lossy_subscriber);

void shared_to_group_with_acks(benchmark::State& state) {
    const Fixture fixture;
    auto member = fixture.channel->join("group", {.ack = ipc::Ack::manual});
    auto producer = fixture.channel->producer();
    exchange(state, producer, member);
}
BENCHMARK(shared_to_group_with_acks);

void publish_to_lossy_groups(benchmark::State& state) {
    const Fixture fixture;
    std::vector<ipc::Consumer<Message>> groups;
    groups.reserve(static_cast<std::size_t>(state.range(0)));
    for (int i = 0; i < state.range(0); ++i) {
        groups.push_back(fixture.channel->subscribe({.delivery = ipc::Delivery::lossy}));
    }
    auto producer = fixture.channel->exclusive_producer();
    const Message message{{1, 2, 3, 4}};
    for (auto _ : state) {
        if (!producer.try_send(message)) state.SkipWithError("send failed");
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(publish_to_lossy_groups)->Arg(1)->Arg(8)->Arg(64);

void loan_and_publish(benchmark::State& state) {
    const Fixture fixture({.region_size = 16 << 20});
    auto producer = fixture.channel->exclusive_producer();
    for (auto _ : state) {
        auto loan = producer.try_loan();
        loan->words[0] = 1;
        if (!std::move(loan).try_publish()) state.SkipWithError("publish failed");
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(loan_and_publish);

void join_and_leave(benchmark::State& state) {
    const Fixture fixture;
    for (auto _ : state) {
        auto subscriber = fixture.channel->subscribe();
        benchmark::DoNotOptimize(subscriber.position());
    }
}
BENCHMARK(join_and_leave);

void inspect(benchmark::State& state) {
    const Fixture fixture;
    auto producer = fixture.channel->producer();
    auto member = fixture.channel->join("group");
    const ipc::Inspector inspector(fixture.name());
    for (auto _ : state) {
        auto report = inspector.sample();
        benchmark::DoNotOptimize(report.tail);
    }
}
BENCHMARK(inspect);

}

BENCHMARK_MAIN();
