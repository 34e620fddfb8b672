#include "tests/support/schedule.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "ipc/ipc.hpp"
#include "tests/support/channel_name.hpp"
#include "tests/support/child.hpp"
#include "tests/support/shared_value.hpp"

namespace ipc::test {
namespace {

using namespace std::chrono_literals;
using Random = std::mt19937_64;

// A message's id is its producer (a new one for each process) and its number there. A producer
// sends its numbers in order and leaves none out.
constexpr std::uint32_t most_producers = 32;
constexpr std::uint32_t most_numbers = 4096;
constexpr std::uint32_t most_groups = 2;
constexpr std::uint32_t most_subscribers = 16;

/// What happened to one message in one group, noted before and after each step, so that what a kill
/// leaves open is known.
struct Fate {
    std::atomic<std::uint8_t> deliveries{0};
    std::atomic<std::uint8_t> ack_begun{0}, ack_ok{0}, ack_lost{0};
    std::atomic<std::uint8_t> reject_begun{0}, reject_ok{0}, reject_lost{0};
    std::atomic<std::uint8_t> dead_letters{0};

    bool maybe_acked() const { return ack_begun > ack_ok + ack_lost; }
    bool maybe_rejected() const { return reject_begun > reject_ok + reject_lost; }
};

struct Board {
    std::atomic<bool> stop_producers{false};
    std::atomic<bool> stop_members{false};
    std::array<std::atomic<std::uint32_t>, most_producers> begun{};     ///< numbers tried
    std::array<std::atomic<std::uint32_t>, most_producers> finished{};  ///< numbers sent
    std::array<std::atomic<std::uint32_t>, most_producers> seen{};      ///< highest number + 1
    std::array<std::atomic<std::uint32_t>, most_groups> kills{};
    std::array<std::array<std::atomic<std::uint32_t>, most_producers>, most_subscribers> read{};
    std::array<std::array<std::array<Fate, most_numbers>, most_producers>, most_groups> fates{};
    std::atomic<int> violations{0};
    char violation[400] = {};

    template <class... Arguments>
    void violate(const char* format, Arguments... arguments) {
        if (violations.fetch_add(1) == 0) {
            if constexpr (sizeof...(arguments) == 0) {
                std::snprintf(violation, sizeof violation, "%s", format);
            } else {
                std::snprintf(violation, sizeof violation, format, arguments...);
            }
        }
    }
    void note_seen(std::uint32_t producer, std::uint32_t number) {
        std::uint32_t highest = seen[producer];
        while (highest < number + 1 && !seen[producer].compare_exchange_weak(highest, number + 1)) {
        }
    }
};

struct GroupPlan {
    std::string name;
    GroupOptions options;
    unsigned members = 1;
    unsigned nack_percent = 0;
    unsigned reject_percent = 0;
    unsigned batch = 1;
};

struct Plan {
    ChannelOptions channel;
    bool exclusive = false;
    unsigned producers = 1;
    std::vector<GroupPlan> groups;
    unsigned subscribers = 0;
    unsigned lossy = 0;
    unsigned events = 0;
    bool kill_members_at_the_end = false;
};

std::uint64_t below(Random& random, std::uint64_t end) {
    return random() % end;
}
bool chance(Random& random, unsigned percent) {
    return random() % 100 < percent;
}
template <class T, std::size_t Size>
T one_of(Random& random, const std::array<T, Size>& values) {
    return values[random() % Size];
}

// ------------------------------------------------------------------------------------- contents

struct Heading {
    std::uint32_t producer;
    std::uint32_t number;
    std::uint32_t size;  ///< of the whole body
    std::uint32_t checksum;
};

std::uint32_t checksum_of(std::string_view bytes, const Heading& heading) {
    std::uint32_t hash = 2166136261U ^ heading.producer * 31 ^ heading.number;
    for (const char byte : bytes)
        hash = (hash ^ static_cast<unsigned char>(byte)) * 16777619U;
    return hash;
}

std::string make_body(std::uint32_t producer, std::uint32_t number, std::size_t size,
                      Random& random) {
    std::string body(std::max(size, sizeof(Heading)), '\0');
    for (std::size_t i = sizeof(Heading); i < body.size(); ++i)
        body[i] = static_cast<char>(random());
    Heading heading{producer, number, static_cast<std::uint32_t>(body.size()), 0};
    heading.checksum = checksum_of(std::string_view(body).substr(sizeof heading), heading);
    std::memcpy(body.data(), &heading, sizeof heading);
    return body;
}

std::optional<Heading> check_body(std::string_view body) {
    Heading heading;
    if (body.size() < sizeof heading) return std::nullopt;
    std::memcpy(&heading, body.data(), sizeof heading);
    const bool whole = heading.size == body.size() && heading.producer < most_producers &&
                       heading.number < most_numbers &&
                       heading.checksum == checksum_of(body.substr(sizeof heading), heading);
    return whole ? std::optional(heading) : std::nullopt;
}

// ------------------------------------------------------------------------------------ processes

class Schedule {
public:
    explicit Schedule(std::uint64_t seed) : random_(seed), name_("schedule"), letters_("letters") {
        make_plan();
    }

    std::string run();

private:
    enum class Kind { producer, member, subscriber, lossy };
    struct Process {
        Kind kind;
        unsigned group;
        unsigned number;  ///< producers and subscribers: their row on the board
        std::unique_ptr<Child> child;
    };

    void make_plan();
    void start(Kind kind, unsigned group);
    void end_process(Process& process);
    void disturb();
    void await_progress();
    void drain(unsigned group);
    void collect_letters();
    void check_conservation();
    void check_subscribers();

    void produce(unsigned self, std::uint64_t seed);
    void consume(unsigned group, std::uint64_t seed, bool drain);
    void settle(unsigned group, Message<>& message, Random& random, bool drain);
    void subscribe(unsigned self, std::uint64_t seed, bool lossy);

    Random random_;
    ChannelName name_;
    ChannelName letters_;
    Plan plan_;
    SharedValue<Board> board_;
    std::vector<Process> processes_;
    unsigned producers_started_ = 0;
    unsigned subscribers_started_ = 0;
    bool stuck_ = false;
};

void Schedule::make_plan() {
    plan_.channel.capacity = one_of(random_, std::array{1U, 2U, 4U, 8U, 16U, 64U});
    plan_.channel.inline_size = one_of(random_, std::array{40U, 104U});
    plan_.channel.region_size =
        one_of(random_, std::array<std::uint64_t, 4>{0, 8 << 10, 16 << 10, 64 << 10});
    plan_.channel.max_participants = 20;
    plan_.channel.max_groups = 12;
    const std::uint64_t wraps[] = {0, std::uint64_t{1} << 44, std::uint64_t{1} << 48,
                                   std::uint64_t{plan_.channel.capacity} << 32, 0};
    const std::uint64_t wrap = wraps[below(random_, 5)];
    plan_.channel.first_position = wrap == 0 ? 0 : wrap - below(random_, 200);
    plan_.exclusive = chance(random_, 25);
    plan_.producers = plan_.exclusive ? 1 : 1 + static_cast<unsigned>(below(random_, 3));
    const auto groups = 1 + below(random_, most_groups);
    for (unsigned i = 0; i < groups; ++i) {
        GroupPlan group;
        group.name = "group" + std::to_string(i);
        group.members = 1 + static_cast<unsigned>(below(random_, 3));
        group.options.from = Start::earliest();
        group.batch = chance(random_, 40) ? 1 + static_cast<unsigned>(below(random_, 6)) : 1;
        if (chance(random_, 70)) {
            group.options.ack = Ack::manual;
            if (chance(random_, 40)) group.nack_percent = 5;
            if (chance(random_, 40)) group.reject_percent = 3;
            if (chance(random_, 30)) group.options.lease_limit = 20ms;
        }
        if (chance(random_, 40)) {
            group.options.max_attempts = 2 + static_cast<unsigned>(below(random_, 3));
        }
        if (chance(random_, 40)) group.options.dead_letter = letters_;
        plan_.groups.push_back(group);
    }
    plan_.subscribers = static_cast<unsigned>(below(random_, 3));
    plan_.lossy = static_cast<unsigned>(below(random_, 2));
    plan_.events = 4 + static_cast<unsigned>(below(random_, 14));
    plan_.kill_members_at_the_end = chance(random_, 50);
}

void Schedule::produce(unsigned self, std::uint64_t seed) {
    Random random(seed);
    auto channel = Channel<>::open(name_);
    ParticipantOptions options{.name = {}, .wait_policy = WaitPolicy::parking()};
    if (chance(random, 50)) options.wait_policy = WaitPolicy::adaptive();
    auto producer =
        plan_.exclusive ? channel.exclusive_producer(options) : channel.producer(options);
    auto& begun = board_->begun[self];
    auto& finished = board_->finished[self];
    const auto make = [&](std::uint32_t number) {
        const bool small = plan_.channel.region_size == 0 || chance(random, 50);
        const std::size_t most = small ? plan_.channel.inline_size : 2500;
        return make_body(self, number, below(random, most + 1), random);
    };
    while (!board_->stop_producers && finished < most_numbers - 8) {
        const std::uint32_t number = finished;
        const auto way = below(random, 8);
        if (way == 0) {
            std::vector<std::string> bodies;
            for (std::uint32_t i = 0; i < 1 + below(random, 6); ++i)
                bodies.push_back(make(number + i));
            const std::vector<std::string_view> items(bodies.begin(), bodies.end());
            begun = number + static_cast<std::uint32_t>(items.size());
            const auto sent = producer.send_batch_for(items, 20ms);
            finished = number + static_cast<std::uint32_t>(sent.count());
        } else if (way == 1 && plan_.channel.region_size != 0) {
            const std::string body = make(number);
            begun = number + 1;
            auto loan = producer.loan_for(body.size(), 20ms);
            if (!loan || chance(random, 10)) continue;
            std::memcpy(loan.bytes().data(), body.data(), body.size());
            while (!board_->stop_producers) {
                // A loan that could not be published is still there.
                // NOLINTNEXTLINE(bugprone-use-after-move)
                if (const Sent sent = std::move(loan).try_publish()) {
                    finished = number + 1;
                    break;
                }
                std::this_thread::sleep_for(50us);
            }
        } else {
            const std::string body = make(number);
            begun = number + 1;
            const Sent sent = way < 4 ? producer.try_send(body) : producer.send_for(body, 20ms);
            if (sent) {
                finished = number + 1;
            } else if (sent.status() != Status::full && sent.status() != Status::timed_out) {
                board_->violate("producer %u: send returned %s", self,
                                std::string(to_string(sent.status())).c_str());
                return;
            }
        }
        if (chance(random, 20)) {
            std::this_thread::sleep_for(std::chrono::microseconds(below(random, 300)));
        }
    }
}

/// One message in user code: checks it, and does with it what the group's plan says.
void Schedule::settle(unsigned group, Message<>& message, Random& random, bool drain) {
    const GroupPlan& plan = plan_.groups[group];
    const auto heading = check_body(message.text());
    const auto position = static_cast<unsigned long long>(message.position());
    if (!heading) {
        if (!plan.options.lease_limit.count() || message.held()) {
            board_->violate("group %u: message %llu is damaged", group, position);
        }
        return;
    }
    const auto [id, number] = std::pair(heading->producer, heading->number);
    Fate& fate = board_->fates[group][id][number];
    if (fate.ack_ok != 0 || fate.reject_ok != 0) {
        board_->violate(
            "group %u: message %u.%u delivered after it was settled (position %llu, "
            "attempt %u)",
            group, id, number, position, message.attempt());
    }
    if (number >= board_->begun[id]) {
        board_->violate("group %u: message %u.%u was never sent", group, id, number);
    }
    const unsigned before = fate.deliveries;
    if (before != 0 && message.attempt() == 1) {
        board_->violate("group %u: message %u.%u delivered again as attempt 1", group, id, number);
    }
    if (message.attempt() > before + 1 + board_->kills[group]) {
        board_->violate("group %u: message %u.%u has attempt %u after %u deliveries, %u kills",
                        group, id, number, message.attempt(), before, board_->kills[group].load());
    }
    fate.deliveries += 1;
    board_->note_seen(id, number);
    if (!drain && chance(random, 10)) {
        std::this_thread::sleep_for(std::chrono::microseconds(below(random, 400)));
    }
    const bool still_held = plan.options.lease_limit.count() == 0 || message.held();
    if (!check_body(message.text()) && still_held &&
        (plan.options.lease_limit.count() == 0 || message.held())) {
        board_->violate("group %u: message %u.%u changed while it was held", group, id, number);
    }
    if (plan.options.ack == Ack::automatic) {
        fate.ack_begun += 1;
        message.release();
        fate.ack_ok += 1;
        return;
    }
    const auto what = drain ? 99 : below(random, 100);
    if (what < plan.nack_percent) {
        (void)message.nack(std::chrono::milliseconds(below(random, 2) * below(random, 15)));
    } else if (what < plan.nack_percent + plan.reject_percent) {
        fate.reject_begun += 1;
        const bool done = static_cast<bool>(message.reject());
        (done ? fate.reject_ok : fate.reject_lost) += 1;
    } else {
        fate.ack_begun += 1;
        const Status status = message.ack().status();
        (status == Status::ok ? fate.ack_ok : fate.ack_lost) += 1;
        if (status != Status::ok && plan.options.lease_limit.count() == 0) {
            board_->violate("group %u: ack of %u.%u returned %s", group, id, number,
                            std::string(to_string(status)).c_str());
        }
    }
}

void Schedule::consume(unsigned group, std::uint64_t seed, bool drain) {
    Random random(seed);
    const GroupPlan& plan = plan_.groups[group];
    GroupOptions options = plan.options;
    if (chance(random, 60)) options.participant.wait_policy = WaitPolicy::parking();
    auto member = Channel<>::open(name_).join(plan.name, options);
    const auto deadline = std::chrono::steady_clock::now() + 30s;
    for (;;) {
        if (drain) {
            const auto report = inspect(name_);
            const GroupReport& now = *report.find_group(plan.name);
            if (now.backlog + now.in_flight + now.dead_pending == 0) return;
            if (std::chrono::steady_clock::now() > deadline) {
                board_->violate("group %u: not drained: backlog %llu, in flight %llu, pending %llu",
                                group, static_cast<unsigned long long>(now.backlog),
                                static_cast<unsigned long long>(now.in_flight),
                                static_cast<unsigned long long>(now.dead_pending));
                return;
            }
        } else if (board_->stop_members) {
            return;
        }
        if (plan.batch > 1) {
            auto batch = member.receive_batch_for(plan.batch, 20ms);
            for (Message<>& message : batch) {
                settle(group, message, random, drain);
                if (!drain && chance(random, 5)) break;  // the rest goes back, uncharged
            }
        } else if (chance(random, 50)) {
            if (auto message = member.try_receive()) settle(group, message, random, drain);
        } else {
            if (auto message = member.receive_for(20ms)) settle(group, message, random, drain);
        }
    }
}

void Schedule::subscribe(unsigned self, std::uint64_t seed, bool lossy) {
    Random random(seed);
    SubscribeOptions options;
    options.delivery = lossy ? Delivery::lossy : Delivery::reliable;
    if (chance(random, 50)) options.from = Start::earliest();
    if (chance(random, 60)) options.participant.wait_policy = WaitPolicy::parking();
    auto reader = Channel<>::open(name_).subscribe(options);
    std::array<std::int64_t, most_producers> last;
    last.fill(-1);
    Position next = 0;
    for (;;) {
        auto message = chance(random, 50) ? reader.receive() : reader.receive_for(20ms);
        if (message.status() == Status::closed) return;
        if (message.status() == Status::timed_out) continue;
        if (!message) {
            board_->violate("subscriber: receive returned %s",
                            std::string(to_string(message.status())).c_str());
            return;
        }
        const auto heading = check_body(message.text());
        if (!heading) {
            board_->violate("subscriber%s: message %llu is damaged", lossy ? " (lossy)" : "",
                            static_cast<unsigned long long>(message.position()));
            return;
        }
        auto& before = last[heading->producer];
        const bool ordered =
            lossy || before < 0 ? heading->number > before : heading->number == before + 1;
        if (!ordered) {
            board_->violate("subscriber%s: message %u.%u follows number %lld",
                            lossy ? " (lossy)" : "", heading->producer, heading->number,
                            static_cast<long long>(before));
        }
        if (next != 0 && static_cast<std::int64_t>(message.position() - next) < 0) {
            board_->violate("subscriber: position %llu came after %llu",
                            static_cast<unsigned long long>(message.position()),
                            static_cast<unsigned long long>(next - 1));
        }
        next = message.position() + 1;
        before = heading->number;
        board_->note_seen(heading->producer, heading->number);
        if (chance(random, 5)) {
            std::this_thread::sleep_for(std::chrono::microseconds(below(random, 200)));
            if (!check_body(message.text())) board_->violate("subscriber: message changed");
        }
        if (!lossy) board_->read[self][heading->producer] = heading->number + 1;
    }
}

// ------------------------------------------------------------------------------------ the parent

void Schedule::start(Kind kind, unsigned group) {
    Process process{kind, group, 0, nullptr};
    const std::uint64_t seed = random_();
    if (kind == Kind::producer) {
        if (producers_started_ == most_producers) return;
        process.number = producers_started_++;
    } else if (kind == Kind::subscriber || kind == Kind::lossy) {
        if (subscribers_started_ == most_subscribers) return;
        process.number = subscribers_started_++;
    }
    process.child = std::make_unique<Child>([&, seed] {
        try {
            switch (process.kind) {
                case Kind::producer: produce(process.number, seed); break;
                case Kind::member: consume(process.group, seed, false); break;
                case Kind::subscriber: subscribe(process.number, seed, false); break;
                case Kind::lossy: subscribe(process.number, seed, true); break;
            }
        } catch (const std::exception& error) {
            board_->violate("a process failed: %s", error.what());
        }
    });
    processes_.push_back(std::move(process));
}

void Schedule::end_process(Process& process) {
    // Counted first: what a kill may have charged is allowed for from here on.
    if (process.kind == Kind::member) board_->kills[process.group] += 1;
    process.child->kill();
}

void Schedule::disturb() {
    for (unsigned i = 0; i < plan_.events && board_->violations == 0; ++i) {
        std::this_thread::sleep_for(std::chrono::microseconds(100 + below(random_, 7000)));
        const std::size_t chosen = below(random_, processes_.size());
        Process& process = processes_[chosen];
        if (chance(random_, 25)) {
            process.child->stop();
            std::this_thread::sleep_for(std::chrono::microseconds(below(random_, 15000)));
            process.child->resume();
            continue;
        }
        if (process.kind == Kind::producer && producers_started_ == most_producers) continue;
        if (process.kind >= Kind::subscriber && subscribers_started_ == most_subscribers) continue;
        const auto [kind, group] = std::pair(process.kind, process.group);
        end_process(process);
        processes_.erase(processes_.begin() + static_cast<std::ptrdiff_t>(chosen));
        start(kind, group);
    }
}

/// Every producer that lives can go on.
void Schedule::await_progress() {
    for (const Process& process : processes_) {
        if (process.kind != Kind::producer) continue;
        const auto& finished = board_->finished[process.number];
        const std::uint32_t before = finished;
        const bool goes_on = eventually(
            [&] {
                return finished != before || before >= most_numbers - 8 || board_->violations != 0;
            },
            20);
        if (!goes_on) {
            stuck_ = true;
            board_->violate("producer %u (pid %d) is stuck: %s", process.number,
                            process.child->pid(), inspect(name_).blocked_by.c_str());
        }
    }
}

void Schedule::drain(unsigned group) {
    consume(group, random_(), true);
}

void Schedule::collect_letters() {
    auto reader = Channel<>::open(letters_).join("letters");
    while (auto letter = reader.try_receive()) {
        const auto heading = check_body(letter.text());
        const auto origin = letter.origin();
        if (!heading || !origin) {
            board_->violate("a damaged dead letter");
            continue;
        }
        for (unsigned i = 0; i < plan_.groups.size(); ++i) {
            if (plan_.groups[i].name != origin->group) continue;
            board_->fates[i][heading->producer][heading->number].dead_letters += 1;
            board_->note_seen(heading->producer, heading->number);
        }
    }
}

void Schedule::check_conservation() {
    std::uint64_t least = 0;
    std::uint64_t most = 0;
    for (unsigned producer = 0; producer < producers_started_; ++producer) {
        const std::uint32_t finished = board_->finished[producer];
        const std::uint32_t begun = board_->begun[producer];
        // A producer killed inside a send may have published more than it knows of.
        const std::uint32_t published = std::max<std::uint32_t>(finished, board_->seen[producer]);
        least += finished;
        most += std::max(begun, finished);
        if (published > std::max(begun, finished)) {
            board_->violate("producer %u: %u seen, %u begun", producer, published, begun);
        }
        for (unsigned i = 0; i < plan_.groups.size(); ++i) {
            const GroupPlan& plan = plan_.groups[i];
            for (std::uint32_t number = 0; number < published; ++number) {
                const Fate& fate = board_->fates[i][producer][number];
                const bool dropped =
                    plan.options.max_attempts != 0 && plan.options.dead_letter.empty() &&
                    fate.deliveries + board_->kills[i] >= plan.options.max_attempts;
                const bool settled = fate.ack_ok != 0 || fate.maybe_acked() ||
                                     fate.reject_ok != 0 || fate.maybe_rejected() ||
                                     fate.dead_letters != 0 || dropped;
                if (!settled) {
                    board_->violate(
                        "group %u: message %u.%u is lost (%u sent, %u published; "
                        "delivered %u times)",
                        i, producer, number, finished, published, fate.deliveries.load());
                }
                if (fate.ack_ok + fate.reject_ok > 1) {
                    board_->violate("group %u: message %u.%u was settled %u times", i, producer,
                                    number, fate.ack_ok + fate.reject_ok);
                }
                if (fate.reject_ok != 0 && !plan.options.dead_letter.empty() &&
                    fate.dead_letters == 0) {
                    board_->violate("group %u: the dead letter of %u.%u is missing", i, producer,
                                    number);
                }
                if (fate.dead_letters != 0 && fate.ack_ok != 0) {
                    board_->violate("group %u: message %u.%u acked and dead-lettered", i, producer,
                                    number);
                }
            }
        }
    }
    const ChannelReport report = inspect(name_);
    if (report.messages_in < least || report.messages_in > most) {
        board_->violate("%llu messages counted, %llu to %llu published",
                        static_cast<unsigned long long>(report.messages_in),
                        static_cast<unsigned long long>(least),
                        static_cast<unsigned long long>(most));
    }
    for (const GroupPlan& plan : plan_.groups) {
        const GroupReport& group = *report.find_group(plan.name);
        if (group.settled != report.tail - group.start) {
            board_->violate("group %s: %llu positions settled of %llu", plan.name.c_str(),
                            static_cast<unsigned long long>(group.settled),
                            static_cast<unsigned long long>(report.tail - group.start));
        }
    }
}

/// Subscribers that lived to see the end have read everything.
void Schedule::check_subscribers() {
    auto channel = Channel<>::open(name_);
    if (const auto closed = channel.close(20s); !closed) {
        board_->violate("close returned %s", std::string(to_string(closed.status())).c_str());
    }
    for (const Process& process : processes_) {
        if (process.kind != Kind::subscriber && process.kind != Kind::lossy) continue;
        if (!eventually([&] { return !process.child->is_running(); }, 20)) {
            board_->violate("subscriber (pid %d) does not end", process.child->pid());
            continue;
        }
        if (process.kind == Kind::lossy) continue;
        for (unsigned producer = 0; producer < producers_started_; ++producer) {
            const std::uint32_t read = board_->read[process.number][producer];
            if (read != 0 && read < board_->seen[producer]) {
                board_->violate("subscriber ended after message %u.%u, %u were published", producer,
                                read - 1, board_->seen[producer].load());
            }
        }
    }
}

std::string Schedule::run() {
    auto channel = Channel<>::create(name_, plan_.channel);
    auto letters = Channel<>::create(letters_, {.capacity = 16384});
    { auto reader = letters.join("letters"); }
    for (const GroupPlan& plan : plan_.groups) {
        auto member = channel.join(plan.name, plan.options);
    }
    for (unsigned i = 0; i < plan_.groups.size(); ++i) {
        for (unsigned k = 0; k < plan_.groups[i].members; ++k)
            start(Kind::member, i);
    }
    for (unsigned i = 0; i < plan_.producers; ++i)
        start(Kind::producer, 0);
    for (unsigned i = 0; i < plan_.subscribers; ++i)
        start(Kind::subscriber, 0);
    for (unsigned i = 0; i < plan_.lossy; ++i)
        start(Kind::lossy, 0);

    disturb();
    if (board_->violations == 0) await_progress();
    board_->stop_producers = true;
    for (Process& process : processes_) {
        if (process.kind != Kind::producer || stuck_) continue;
        if (!eventually([&] { return !process.child->is_running(); }, 20)) {
            board_->violate("producer %u (pid %d) does not end", process.number,
                            process.child->pid());
        }
    }
    board_->stop_members = true;
    for (Process& process : processes_) {
        if (process.kind != Kind::member) continue;
        if (plan_.kill_members_at_the_end) end_process(process);
        if (!eventually([&] { return !process.child->is_running(); }, 20)) {
            board_->violate("a member (pid %d) does not end", process.child->pid());
        }
    }
    // Dead producers leave claims that only an attaching one repairs; readers pass them anyway.
    for (unsigned i = 0; i < plan_.groups.size() && board_->violations == 0; ++i)
        drain(i);
    if (board_->violations == 0) collect_letters();
    if (board_->violations == 0) check_conservation();
    if (board_->violations == 0) check_subscribers();
    return board_->violation;
}

}

std::string run_schedule(std::uint64_t seed) {
    try {
        return Schedule(seed).run();
    } catch (const std::exception& error) {
        return std::string("the schedule failed: ") + error.what();
    }
}

}
