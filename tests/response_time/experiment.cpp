#include "tests/response_time/experiment.hpp"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <cstddef>
#include <deque>
#include <optional>
#include <random>
#include <stdexcept>

#include "ipc/ipc.hpp"
#include "tests/support/channel_name.hpp"
#include "tests/support/child.hpp"
#include "tools/monitor/estimate.hpp"

namespace ipc::test {
namespace {

constexpr std::uint64_t capacity = 16384;
constexpr const char* group_name = "members";

using Nanoseconds = std::int64_t;

Nanoseconds now() {
    timespec time = {};
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    return Nanoseconds{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

void sleep_until(Nanoseconds when) {
    const timespec time = {.tv_sec = when / 1'000'000'000, .tv_nsec = when % 1'000'000'000};
    while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nullptr) == EINTR) {
    }
}

Nanoseconds nanoseconds(double seconds) {
    return std::llround(seconds * 1e9);
}

// Sleeps end when they should, not up to 50 us later.
void sleep_precisely() {
    ::prctl(PR_SET_TIMERSLACK, 1);
}

struct Work {
    std::uint64_t index;
    Nanoseconds service;
};

/// When each message was settled; shared with the members.
class Ends {
public:
    explicit Ends(std::size_t count) : bytes_(count * sizeof(std::atomic<Nanoseconds>)) {
        void* memory =
            ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) throw std::runtime_error("no memory");
        ends_ = static_cast<std::atomic<Nanoseconds>*>(memory);
    }
    ~Ends() { ::munmap(ends_, bytes_); }
    Ends(const Ends&) = delete;
    Ends& operator=(const Ends&) = delete;

    std::atomic<Nanoseconds>& operator[](std::size_t index) const { return ends_[index]; }

private:
    std::size_t bytes_;
    std::atomic<Nanoseconds>* ends_;
};

/// The model, asked at any time.
class Model {
public:
    Model(const std::string& channel, double window)
        : inspector_(channel), window_(nanoseconds(window)) {}

    Arrival predict() {
        const ChannelReport report = inspector_.sample();
        while (past_.size() > 1 && report.sampled_at_ns - past_[1].sampled_at_ns >= window_)
            past_.pop_front();
        const GroupReport* group = report.find_group(group_name);
        const auto estimate =
            tools::monitor::estimate(past_.empty() ? nullptr : &past_.front(), report, *group);
        Arrival arrival;
        arrival.busy = estimate.response_busy.value_or(unknown);
        arrival.next = estimate.response_next.value_or(unknown);
        arrival.steady = estimate.response_steady.value_or(unknown);
        arrival.backlog = group->backlog;
        // Where windows may begin: a hundredth of a window apart.
        if (past_.empty() || report.sampled_at_ns - past_.back().sampled_at_ns >= window_ / 100) {
            past_.emplace_back(report, *group);
        }
        return arrival;
    }

private:
    Inspector inspector_;
    Nanoseconds window_;
    std::deque<tools::monitor::GroupStart> past_;
};

/// The channel, its members, and what became of the messages that were published.
class Queue {
public:
    Queue(unsigned members, std::size_t messages, double window)
        : name_("response"),
          channel_(Channel<Work>::create(name_, {.capacity = capacity})),
          ends_(messages) {
        for (unsigned i = 0; i < members; ++i)
            members_.emplace_back([this] { work(); });
        producer_.emplace(channel_.exclusive_producer());
        model_.emplace(name_, window);
        const bool all = eventually([&] {
            const ChannelReport report = inspect(name_);
            const GroupReport* group = report.find_group(group_name);
            return group != nullptr && group->members == members;
        });
        if (!all) throw std::runtime_error("not all members came");
        sleep_precisely();
    }

    /// Publishes a message of that length, and keeps what the model says just before.
    void publish(double service) {
        arrivals_.push_back(model_->predict());
        starts_.push_back(now());
        if (!producer_->try_send({.index = starts_.size() - 1, .service = nanoseconds(service)})) {
            throw std::runtime_error("the ring is full");
        }
    }

    /// Waits until all are settled. The arrivals from `first` on.
    std::vector<Arrival> finish(std::size_t first) {
        if (!producer_->close()) throw std::runtime_error("closing failed");
        for (Child& member : members_) {
            if (member.wait() != 0) throw std::runtime_error("a member failed");
        }
        for (std::size_t i = 0; i < arrivals_.size(); ++i)
            arrivals_[i].measured = static_cast<double>(ends_[i] - starts_[i]) / 1e9;
        return {arrivals_.begin() + static_cast<std::ptrdiff_t>(first), arrivals_.end()};
    }

private:
    void work() const {
        sleep_precisely();
        auto channel = Channel<Work>::open(name_);
        auto member = channel.join(group_name, {.ack = Ack::manual});
        while (auto message = member.receive()) {
            const Work work = *message;
            sleep_until(now() + work.service);
            if (!message.ack()) throw std::runtime_error("a lease was lost");
            ends_[work.index] = now();
        }
    }

    ChannelName name_;
    Channel<Work> channel_;
    Ends ends_;
    std::vector<Child> members_;
    std::optional<Producer<Work>> producer_;
    std::optional<Model> model_;
    std::vector<Nanoseconds> starts_;
    std::vector<Arrival> arrivals_;
};

double draw(Distribution distribution, double mean, std::mt19937_64& random) {
    switch (distribution) {
        case Distribution::constant: return mean;
        case Distribution::exponential:
            return std::exponential_distribution<double>(1 / mean)(random);
        case Distribution::bimodal:
            return mean * (std::bernoulli_distribution(0.1)(random) ? 5.5 : 0.5);
    }
    return mean;
}

}  // namespace

const char* name_of(Distribution distribution) {
    switch (distribution) {
        case Distribution::constant: return "constant";
        case Distribution::exponential: return "exponential";
        case Distribution::bimodal: return "bimodal";
    }
    return "?";
}

std::vector<Arrival> run(const Setup& setup) {
    std::mt19937_64 random(setup.seed);
    const double rate = setup.load * setup.members / setup.service;
    const auto warm_up = static_cast<std::size_t>(std::ceil(rate * setup.window));
    const std::size_t messages = warm_up + setup.messages;
    Queue queue(setup.members, messages, setup.window);
    std::exponential_distribution<double> gap(rate);
    auto next = static_cast<double>(now()) / 1e9;
    for (std::size_t i = 0; i < messages; ++i) {
        next += gap(random);
        sleep_until(nanoseconds(next));
        queue.publish(draw(setup.distribution, setup.service, random));
    }
    return queue.finish(warm_up);
}

std::vector<Arrival> run_the_articles_case() {
    constexpr double second = 1;
    constexpr std::size_t steady = 30;  // ten members, evenly at work
    constexpr std::size_t burst = 20;   // which then wait
    constexpr std::size_t looked_at = 20;
    Queue queue(10, steady + burst + looked_at, 10);
    const Nanoseconds start = now();
    std::size_t tick = 0;
    const auto publish_at_next_tick = [&] {
        sleep_until(start + nanoseconds(0.1 * static_cast<double>(tick++)));
        queue.publish(second);
    };
    for (std::size_t i = 0; i < steady; ++i)
        publish_at_next_tick();
    for (std::size_t i = 0; i < burst; ++i)
        queue.publish(second);
    for (std::size_t i = 0; i < looked_at; ++i)
        publish_at_next_tick();
    return queue.finish(steady + burst);
}

double bias(const std::vector<Arrival>& arrivals, double Arrival::*prediction) {
    double predicted = 0;
    double measured = 0;
    for (const Arrival& each : arrivals) {
        predicted += each.*prediction;
        measured += each.measured;
    }
    return predicted / measured - 1;
}

double median_error(const std::vector<Arrival>& arrivals, double Arrival::*prediction,
                    std::size_t batch) {
    std::vector<double> errors;
    for (std::size_t i = 0; i + batch <= arrivals.size(); i += batch) {
        const auto first = arrivals.begin() + static_cast<std::ptrdiff_t>(i);
        errors.push_back(
            std::abs(bias({first, first + static_cast<std::ptrdiff_t>(batch)}, prediction)));
    }
    if (errors.empty() ||
        std::any_of(errors.begin(), errors.end(), [](double error) { return std::isnan(error); })) {
        return unknown;
    }
    std::nth_element(errors.begin(),
                     errors.begin() + static_cast<std::ptrdiff_t>(errors.size() / 2), errors.end());
    return errors[errors.size() / 2];
}

}  // namespace ipc::test
