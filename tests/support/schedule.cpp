#include "tests/support/schedule.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "ipc/ipc.hpp"
#include "tests/support/channel_name.hpp"
#include "tests/support/child.hpp"
#include "tests/support/shared_value.hpp"
#include "tests/support/workload.hpp"

namespace ipc::test {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t most_producers = 32;
constexpr std::uint32_t most_numbers = 4096;
constexpr std::uint32_t most_groups = 2;
constexpr std::uint32_t most_subscribers = 16;

/// What a subscriber got of each producer: numbers `first` to `next` - 1, without a gap.
struct Reading {
    std::atomic<std::uint64_t> begin{0};  ///< its first place
    std::array<std::atomic<std::uint32_t>, most_producers> first{};
    std::array<std::atomic<std::uint32_t>, most_producers> next{};
};

struct Board {
    std::atomic<bool> stop_producers{false};
    std::atomic<bool> stop_members{false};
    std::array<Output, most_producers> outputs{};
    std::array<std::atomic<std::uint32_t>, most_producers> seen{};  ///< highest number + 1
    /// Where a message stood, in the number of positions behind the first of all, + 1.
    std::array<std::array<std::atomic<std::uint32_t>, most_numbers>, most_producers> places{};
    std::array<std::atomic<std::uint32_t>, most_groups> kills{};
    std::array<Reading, most_subscribers> readings{};
    std::array<std::array<std::array<Fate, most_numbers>, most_producers>, most_groups> fates{};
    Complaints complaints;

    void note_seen(std::uint32_t producer, std::uint32_t number,
                   std::optional<std::uint64_t> place) {
        if (place) places[producer][number] = static_cast<std::uint32_t>(*place + 1);
        std::uint32_t highest = seen[producer];
        while (highest < number + 1 && !seen[producer].compare_exchange_weak(highest, number + 1)) {
        }
    }
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

/// The heading of a body that is whole, and of this schedule.
std::optional<Heading> heading_of(std::string_view body) {
    const auto heading = check_body(body);
    const bool known =
        heading && heading->producer < most_producers && heading->number < most_numbers;
    return known ? heading : std::nullopt;
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
    static const char* name_of(Kind kind) {
        static constexpr std::array names{"producer", "member", "subscriber", "lossy subscriber"};
        return names[static_cast<std::size_t>(kind)];
    }
    struct Process {
        Kind kind;
        unsigned group;
        unsigned number;  ///< producers and subscribers: their row on the board
        std::unique_ptr<Child> child;
    };

    void make_plan();
    std::uint64_t place_of(Position position) const {
        return position - plan_.channel.first_position;
    }
    void start(Kind kind, unsigned group);
    void end_process(Process& process);
    void await_end(Process& process);
    void check_status(const Process& process, int status);
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
    Output& output = board_->outputs[self];
    while (!board_->stop_producers && output.finished < most_numbers - 8) {
        if (!test::produce(producer, self, plan_.channel, board_->stop_producers, random, output,
                           board_->complaints)) {
            return;
        }
    }
}

/// One message in user code: finds its place on the board, and works on it.
void Schedule::settle(unsigned group, Message<>& message, Random& random, bool drain) {
    const GroupPlan& plan = plan_.groups[group];
    const auto heading = heading_of(message.text());
    if (!heading) {
        if (!plan.options.lease_limit.count() || message.held()) {
            board_->complaints.add("%s: message %llu is damaged", plan.name.c_str(),
                                   static_cast<unsigned long long>(message.position()));
        }
        return;
    }
    const auto [id, number] = std::pair(heading->producer, heading->number);
    if (number >= board_->outputs[id].begun) {
        board_->complaints.add("%s: message %u.%u was never sent", plan.name.c_str(), id, number);
    }
    // One whose lease ran out may have read what stands there by now.
    const bool at_its_place = plan.options.lease_limit.count() == 0 || message.held();
    board_->note_seen(id, number,
                      at_its_place ? std::optional(place_of(message.position())) : std::nullopt);
    work_on({.plan = plan,
             .message = message,
             .heading = *heading,
             .fate = board_->fates[group][id][number],
             .uncertain_attempts = board_->kills[group]},
            random, drain, board_->complaints);
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
                board_->complaints.add(
                    "group %u: not drained: backlog %llu, in flight %llu, pending %llu", group,
                    static_cast<unsigned long long>(now.backlog),
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
    Position next = reader.position();
    board_->readings[self].begin = place_of(next);
    for (;;) {
        auto message = chance(random, 50) ? reader.receive() : reader.receive_for(20ms);
        if (message.status() == Status::closed) return;
        if (message.status() == Status::timed_out) continue;
        if (!message) {
            board_->complaints.add("subscriber: receive returned %s",
                                   std::string(to_string(message.status())).c_str());
            return;
        }
        const auto heading = heading_of(message.text());
        if (!heading) {
            board_->complaints.add("subscriber%s: message %llu is damaged", lossy ? " (lossy)" : "",
                                   static_cast<unsigned long long>(message.position()));
            return;
        }
        auto& before = last[heading->producer];
        const bool ordered =
            lossy || before < 0 ? heading->number > before : heading->number == before + 1;
        if (!ordered) {
            board_->complaints.add("subscriber%s: message %u.%u follows number %lld",
                                   lossy ? " (lossy)" : "", heading->producer, heading->number,
                                   static_cast<long long>(before));
        }
        if (static_cast<std::int64_t>(message.position() - next) < 0) {
            board_->complaints.add("subscriber: position %llu came after %llu",
                                   static_cast<unsigned long long>(message.position()),
                                   static_cast<unsigned long long>(next - 1));
        }
        next = message.position() + 1;
        before = heading->number;
        board_->note_seen(heading->producer, heading->number, place_of(message.position()));
        if (chance(random, 5)) {
            std::this_thread::sleep_for(std::chrono::microseconds(below(random, 200)));
            if (!check_body(message.text())) board_->complaints.add("subscriber: message changed");
        }
        if (lossy) continue;
        Reading& reading = board_->readings[self];
        if (reading.next[heading->producer] == 0) {
            reading.first[heading->producer] = heading->number;
        }
        reading.next[heading->producer] = heading->number + 1;
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
            board_->complaints.add("a process failed: %s", error.what());
        }
    });
    processes_.push_back(std::move(process));
}

void Schedule::end_process(Process& process) {
    // Counted first: what a kill may have charged is allowed for from here on.
    if (process.kind == Kind::member) board_->kills[process.group] += 1;
    const int status = process.child->kill();
    if (status != 128 + SIGKILL) check_status(process, status);  // it had ended before
}

void Schedule::await_end(Process& process) {
    if (eventually([&] { return !process.child->is_running(); }, 20)) {
        check_status(process, process.child->wait());
    } else {
        board_->complaints.add("%s (pid %d) does not end", name_of(process.kind),
                               process.child->pid());
    }
}

/// A process that nobody killed did not crash either.
void Schedule::check_status(const Process& process, int status) {
    if (status == 0) return;
    board_->complaints.add("%s (pid %d) ended by itself with %d", name_of(process.kind),
                           process.child->pid(), status);
}

void Schedule::disturb() {
    for (unsigned i = 0; i < plan_.events && board_->complaints.count() == 0; ++i) {
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
        const auto& finished = board_->outputs[process.number].finished;
        const std::uint32_t before = finished;
        const bool goes_on = eventually(
            [&] {
                return finished != before || before >= most_numbers - 8 ||
                       board_->complaints.count() != 0;
            },
            20);
        if (!goes_on) {
            stuck_ = true;
            board_->complaints.add("producer %u (pid %d) is stuck: %s", process.number,
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
        const auto heading = heading_of(letter.text());
        const auto origin = letter.origin();
        if (!heading || !origin) {
            board_->complaints.add("a damaged dead letter");
            continue;
        }
        for (unsigned i = 0; i < plan_.groups.size(); ++i) {
            if (plan_.groups[i].name != origin->group) continue;
            board_->fates[i][heading->producer][heading->number].dead_letters += 1;
            board_->note_seen(heading->producer, heading->number, place_of(origin->position));
        }
    }
}

void Schedule::check_conservation() {
    std::uint64_t least = 0;
    std::uint64_t most = 0;
    std::array<std::uint64_t, most_groups> dropped_at_least{};
    for (unsigned producer = 0; producer < producers_started_; ++producer) {
        const std::uint32_t finished = board_->outputs[producer].finished;
        const std::uint32_t begun = board_->outputs[producer].begun;
        // A producer killed inside a send may have published more than it knows of.
        const std::uint32_t published = std::max<std::uint32_t>(finished, board_->seen[producer]);
        least += finished;
        most += std::max(begun, finished);
        if (published > std::max(begun, finished)) {
            board_->complaints.add("producer %u: %u seen, %u begun", producer, published, begun);
        }
        for (unsigned i = 0; i < plan_.groups.size(); ++i) {
            const GroupPlan& plan = plan_.groups[i];
            for (std::uint32_t number = 0; number < published; ++number) {
                const Fate& fate = board_->fates[i][producer][number];
                const bool may_be_dropped =
                    plan.options.max_attempts != 0 && plan.options.dead_letter.empty() &&
                    fate.count(Fate::delivered) + board_->kills[i] >= plan.options.max_attempts;
                const bool settled = fate.count(Fate::ack_ok) != 0 || fate.maybe_acked() ||
                                     fate.count(Fate::reject_ok) != 0 || fate.maybe_rejected() ||
                                     fate.dead_letters != 0;
                const bool rejected = fate.count(Fate::reject_ok) != 0;
                if (plan.options.dead_letter.empty() && (rejected || !settled)) {
                    ++dropped_at_least[i];
                }
                if (!settled && !may_be_dropped) {
                    board_->complaints.add(
                        "group %u: message %u.%u is lost (%u sent, %u published; "
                        "delivered %u times)",
                        i, producer, number, finished, published, fate.count(Fate::delivered));
                }
                if (fate.count(Fate::ack_ok) + fate.count(Fate::reject_ok) > 1) {
                    board_->complaints.add("group %u: message %u.%u was settled %u times", i,
                                           producer, number,
                                           fate.count(Fate::ack_ok) + fate.count(Fate::reject_ok));
                }
                if (fate.count(Fate::reject_ok) != 0 && !plan.options.dead_letter.empty() &&
                    fate.dead_letters == 0) {
                    board_->complaints.add("group %u: the dead letter of %u.%u is missing", i,
                                           producer, number);
                }
                if (fate.dead_letters != 0 && fate.count(Fate::ack_ok) != 0) {
                    board_->complaints.add("group %u: message %u.%u acked and dead-lettered", i,
                                           producer, number);
                }
            }
        }
    }
    const ChannelReport report = inspect(name_);
    if (report.published < least || report.published > most) {
        board_->complaints.add("%llu messages counted, %llu to %llu published",
                               static_cast<unsigned long long>(report.published),
                               static_cast<unsigned long long>(least),
                               static_cast<unsigned long long>(most));
    }
    for (unsigned i = 0; i < plan_.groups.size(); ++i) {
        const GroupPlan& plan = plan_.groups[i];
        const GroupReport& group = *report.find_group(plan.name);
        // A member that is killed while it drops a message may not have counted it.
        if (dropped_at_least[i] > group.dropped + board_->kills[i]) {
            board_->complaints.add(
                "group %s: %llu messages are lost if they were not dropped, %llu were; %u kills",
                plan.name.c_str(), static_cast<unsigned long long>(dropped_at_least[i]),
                static_cast<unsigned long long>(group.dropped), board_->kills[i].load());
        }
        if (group.settled != report.tail - group.start) {
            board_->complaints.add("group %s: %llu positions settled of %llu", plan.name.c_str(),
                                   static_cast<unsigned long long>(group.settled),
                                   static_cast<unsigned long long>(report.tail - group.start));
        }
    }
}

/// Subscribers that lived to see the end have read everything from their start on. Where a message
/// stood is known of all that some reader got, and each group gets all of them.
void Schedule::check_subscribers() {
    auto channel = Channel<>::open(name_);
    if (const auto closed = channel.close(20s); !closed) {
        board_->complaints.add("close returned %s",
                               std::string(to_string(closed.status())).c_str());
    }
    for (Process& process : processes_) {
        if (process.kind != Kind::subscriber && process.kind != Kind::lossy) continue;
        await_end(process);
        if (process.kind == Kind::lossy) continue;
        const Reading& reading = board_->readings[process.number];
        for (unsigned producer = 0; producer < producers_started_; ++producer) {
            for (std::uint32_t number = 0; number < board_->seen[producer]; ++number) {
                const std::uint32_t place = board_->places[producer][number];
                if (place == 0 || place - 1 < reading.begin) continue;
                if (number >= reading.first[producer] && number < reading.next[producer]) continue;
                board_->complaints.add(
                    "a subscriber from place %llu on did not get message %u.%u at place %u; it got "
                    "%u to %u of that producer",
                    static_cast<unsigned long long>(reading.begin.load()), producer, number,
                    place - 1, reading.first[producer].load(), reading.next[producer].load());
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
    if (board_->complaints.count() == 0) await_progress();
    board_->stop_producers = true;
    for (Process& process : processes_) {
        if (process.kind == Kind::producer && !stuck_) await_end(process);
    }
    board_->stop_members = true;
    for (Process& process : processes_) {
        if (process.kind != Kind::member) continue;
        if (plan_.kill_members_at_the_end) {
            end_process(process);
        } else {
            await_end(process);
        }
    }
    // Dead producers leave claims that only an attaching one repairs; readers pass them anyway.
    for (unsigned i = 0; i < plan_.groups.size() && board_->complaints.count() == 0; ++i)
        drain(i);
    if (board_->complaints.count() == 0) collect_letters();
    if (board_->complaints.count() == 0) check_conservation();
    if (board_->complaints.count() == 0) check_subscribers();
    return board_->complaints.first();
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
