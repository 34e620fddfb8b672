// A long run of everything at once: producers, members, subscribers, creators, removers and
// monitors on channels that live from the first second to the last; killed, stopped and replaced at
// random.
//
//   soak [--minutes N | --seconds N] [--seed S]
//
// One reader, never killed, sees every message of a channel: it knows what was published. The
// members of each group note what they do with a message (tests/support/workload.hpp). Whatever a
// group settled is checked at once: each message was acknowledged, rejected or used up, none twice,
// and each dead letter arrived. At the end all is drained, and what the run took from the system is
// given back. Exit code 0 only without a single violation.

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "ipc/ipc.hpp"
#include "tests/support/channel_name.hpp"
#include "tests/support/child.hpp"
#include "tests/support/own_directory.hpp"
#include "tests/support/shared_value.hpp"
#include "tests/support/torn.hpp"
#include "tests/support/workload.hpp"

namespace ipc::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// For what has to happen at some time, on however loaded a machine.
constexpr auto patience = 120s;
constexpr std::size_t most_groups = 3;
/// Positions whose fates are kept; far more than any ring holds.
constexpr std::uint64_t window = 1 << 14;
/// Producers whose outputs are kept; far more than live at one time.
constexpr std::uint32_t producer_window = 1 << 10;

std::uint8_t lap_of(Position position) {
    return static_cast<std::uint8_t>(position / window);
}

/// What the processes of one channel write down, in shared memory.
struct Notes {
    std::atomic<bool> stop_producers{false};
    std::atomic<bool> stop_readers{false};
    std::array<Output, producer_window> outputs{};
    std::array<std::array<Fate, window>, most_groups> fates{};
    std::atomic<std::uint64_t> received{0};  ///< by members, subscribers and lossy ones
    Complaints complaints;
};

struct Plan {
    const char* name;
    ChannelOptions channel;
    bool exclusive;
    unsigned producers;
    std::vector<GroupPlan> groups;
    unsigned subscribers;
    unsigned lossy;
};

enum class Role { producer, member, subscriber, lossy, churn, monitor };

struct Process {
    Role role;
    std::size_t group;       ///< members
    std::uint32_t producer;  ///< producers: their id
    std::unique_ptr<Child> child;
    std::optional<Clock::time_point> resume{};  ///< stopped until then
};

/// One channel, its processes, and what is known about its messages.
class Arena {
public:
    Arena(Plan plan, std::uint64_t seed);

    void start();
    /// Kills, stops or continues processes at random.
    void disturb();

    // In this order, again and again, with the dead letters read between the last two.
    void read_published();
    void check_ended();
    void look();
    void check_settled();
    void note_letter(const Origin& origin);

    // The end: each waits for the one before.
    void stop_producers();
    bool producers_ended();
    bool is_drained();
    void finish();

    const ChannelName& name() const { return name_; }
    const Complaints& complaints() const { return notes_->complaints; }
    std::uint64_t messages() const { return messages_; }
    std::uint64_t received() const { return notes_->received; }
    std::uint64_t audited() const { return audited_total_; }
    std::uint64_t kills = 0;
    std::uint64_t stops = 0;

    template <class... Arguments>
    void complain(const char* format, Arguments... arguments) {
        notes_->complaints.add(format, arguments...);
    }

private:
    struct Sent {
        bool is_message = false;
        Heading heading{};
    };
    struct Ended {
        std::uint32_t producer;
        Position tail;  ///< nothing of it stands behind
    };

    void start(Role role, std::size_t group);
    void produce(std::uint32_t id, std::uint64_t seed);
    void consume(std::size_t group, std::uint64_t seed);
    void subscribe(bool lossy, std::uint64_t seed);
    void churn(std::uint64_t seed);
    void monitor(std::uint64_t seed);

    void check_order(const Heading& heading);
    void check_fate(std::size_t group, Position position);

    const Plan plan_;
    Random random_;
    const ChannelName name_;
    SharedValue<Notes> notes_;
    Channel<> channel_;
    std::optional<Consumer<>> auditor_;
    std::vector<Process> processes_;
    std::uint32_t producers_started_ = 0;
    std::vector<Sent> sent_ = std::vector<Sent>(window);
    std::vector<std::uint32_t> expected_ = std::vector<std::uint32_t>(producer_window);
    std::deque<Ended> ended_;
    Position next_;  ///< of the auditor
    std::array<Position, most_groups> settled_below_{};
    std::array<Position, most_groups> audited_{};
    std::uint64_t messages_ = 0;
    std::uint64_t audited_total_ = 0;
    Clock::time_point progress_ = Clock::now();
};

Arena::Arena(Plan plan, std::uint64_t seed)
    : plan_(std::move(plan)),
      random_(seed),
      name_(std::string("soak.") + plan_.name),
      channel_(Channel<>::create(name_, plan_.channel)),
      next_(plan_.channel.first_position) {
    for (const GroupPlan& group : plan_.groups)
        (void)channel_.join(group.name, group.options);
    auditor_.emplace(channel_.subscribe({.from = Start::earliest()}));
    for (std::size_t group = 0; group < plan_.groups.size(); ++group) {
        settled_below_[group] = audited_[group] = next_;
        for (Position position = next_; position != next_ + window; ++position)
            notes_->fates[group][position % window].begin_lap(lap_of(position));
    }
}

// ------------------------------------------------------------------------------- the processes

void Arena::produce(std::uint32_t id, std::uint64_t seed) {
    Random random(seed);
    auto channel = Channel<>::open(name_);
    const ParticipantOptions options{
        .name = "producer " + std::to_string(id),
        .wait_policy = chance(random, 50) ? WaitPolicy::parking() : WaitPolicy::adaptive()};
    auto producer =
        plan_.exclusive ? channel.exclusive_producer(options) : channel.producer(options);
    Output& output = notes_->outputs[id % producer_window];
    while (!notes_->stop_producers) {
        if (!test::produce(producer, id, plan_.channel, notes_->stop_producers, random, output,
                           notes_->complaints)) {
            return;
        }
    }
}

void Arena::consume(std::size_t number, std::uint64_t seed) {
    Random random(seed);
    const GroupPlan& plan = plan_.groups[number];
    GroupOptions options = plan.options;
    if (chance(random, 60)) options.participant.wait_policy = WaitPolicy::parking();
    auto member = Channel<>::open(name_).join(plan.name, options);
    const auto work = [&](Message<>& message) {
        const auto heading = check_body(message.text());
        if (!heading) {
            if (plan.options.lease_limit.count() == 0 || message.held()) {
                complain("%s: message %llu is damaged", plan.name.c_str(),
                         static_cast<unsigned long long>(message.position()));
            }
            return;
        }
        notes_->received += 1;
        const Position position = message.position();
        // A slow one now and then, so that the ring fills up.
        if (chance(random, 1)) std::this_thread::sleep_for(5ms);
        work_on({.plan = plan,
                 .message = message,
                 .heading = *heading,
                 .fate = notes_->fates[number][position % window],
                 .lap = lap_of(position),
                 .uncertain_attempts = 1000},  // kills are too many to be told apart
                random, false, notes_->complaints);
    };
    while (!notes_->stop_readers) {
        if (plan.batch > 1) {
            auto batch = member.receive_batch_for(plan.batch, 20ms);
            for (Message<>& message : batch) {
                work(message);
                if (chance(random, 5)) break;  // the rest goes back, uncharged
            }
        } else {
            auto message = chance(random, 50) ? member.try_receive() : member.receive_for(20ms);
            if (message) work(message);
        }
    }
}

void Arena::subscribe(bool lossy, std::uint64_t seed) {
    Random random(seed);
    SubscribeOptions options;
    options.delivery = lossy ? Delivery::lossy : Delivery::reliable;
    if (chance(random, 50)) options.from = Start::earliest();
    if (chance(random, 60)) options.participant.wait_policy = WaitPolicy::parking();
    auto reader = Channel<>::open(name_).subscribe(options);
    struct Expected {
        std::uint32_t number;
        bool exact;
    };
    std::map<std::uint32_t, Expected> next;  // by producer
    Position position = reader.position();
    std::uint64_t skipped = reader.skipped();
    while (!notes_->stop_readers) {
        auto message = reader.receive_for(20ms);
        if (message.status() == Status::timed_out) continue;
        if (message.status() == Status::closed) return;
        const auto heading = message ? check_body(message.text()) : std::nullopt;
        if (!heading) {
            complain("%s subscriber: receive returned %s at position %llu",
                     lossy ? "lossy" : "reliable", std::string(to_string(message.status())).c_str(),
                     static_cast<unsigned long long>(reader.position()));
            return;
        }
        notes_->received += 1;
        const std::uint64_t missed = reader.skipped() - skipped;
        skipped += missed;
        // After a gap any number may be the next of its producer, but none comes again.
        if (missed != 0) {
            for (auto& [producer, expected] : next)
                expected.exact = false;
        }
        const auto known = next.find(heading->producer);
        if (known != next.end() && (known->second.exact ? heading->number != known->second.number
                                                        : heading->number < known->second.number)) {
            complain("%s subscriber: message %u.%u came instead of number %u",
                     lossy ? "lossy" : "reliable", heading->producer, heading->number,
                     known->second.number);
        }
        if (message.position() - position < missed) {
            complain("subscriber: at position %llu after %llu, %llu skipped",
                     static_cast<unsigned long long>(message.position()),
                     static_cast<unsigned long long>(position),
                     static_cast<unsigned long long>(missed));
        }
        position = message.position() + 1;
        next[heading->producer] = {heading->number + 1, true};
        if (chance(random, 1)) std::this_thread::sleep_for(3ms);
        if (!check_body(message.text())) complain("subscriber: message changed");
    }
}

/// Makes, uses and removes channels of its own, and tidies up.
void Arena::churn(std::uint64_t seed) {
    Random random(seed);
    const std::string name = name_.str() + ".churn" + std::to_string(below(random, 3));
    while (!notes_->stop_readers) {
        try {
            auto channel = Channel<>::open_or_create(
                name,
                {.capacity = 8, .region_size = 4096, .max_participants = 8, .temporary = true});
            auto reader = channel.subscribe();
            auto producer = channel.producer();
            (void)producer.try_send(std::string(below(random, 2000), 'c'));
            (void)reader.receive_for(1ms);
            if (chance(random, 20)) (void)channel.close(0s);
            if (chance(random, 20)) (void)remove(name);
            if (chance(random, 20)) (void)channel.join("workers").try_receive();
            if (chance(random, 5)) (void)remove_dead();
        } catch (const Error& error) {
            // Others come and go under the same name.
            const bool expected =
                error.code() == Errc::removed || error.code() == Errc::limit_reached ||
                error.code() == Errc::not_found || error.code() == Errc::timed_out;
            if (!expected) complain("churn: %s", error.what());
        }
        std::this_thread::sleep_for(std::chrono::microseconds(below(random, 5000)));
    }
}

/// What is seen from outside makes sense at any time.
void Arena::monitor(std::uint64_t seed) {
    Random random(seed);
    Inspector inspector(name_);
    ChannelReport last = inspector.sample();
    while (!notes_->stop_readers) {
        const ChannelReport now = inspector.sample();
        if (now.published < last.published || now.tail - last.tail > 1ULL << 32) {
            complain("monitor: counts run backwards");
        }
        for (const GroupReport& group : now.groups) {
            if (group.backlog > now.capacity || group.in_flight > now.capacity) {
                complain("monitor: more waits in %s than the ring holds", group.name.c_str());
            }
            const GroupReport* before = group.subscriber ? nullptr : last.find_group(group.name);
            if (before != nullptr && (group.settled < before->settled)) {
                complain("monitor: %s settled %llu, then %llu", group.name.c_str(),
                         static_cast<unsigned long long>(before->settled),
                         static_cast<unsigned long long>(group.settled));
            }
        }
        last = now;
        std::this_thread::sleep_for(std::chrono::microseconds(below(random, 20000)));
    }
}

// ----------------------------------------------------------------------------------- the parent

void Arena::start(Role role, std::size_t group) {
    Process process{role, group, 0, nullptr};
    const std::uint64_t seed = random_();
    if (role == Role::producer) {
        process.producer = producers_started_++;
        Output& output = notes_->outputs[process.producer % producer_window];
        output.begun = output.finished = 0;
        expected_[process.producer % producer_window] = 0;
    }
    const std::uint32_t producer = process.producer;
    process.child = std::make_unique<Child>([this, role, group, producer, seed] {
        try {
            switch (role) {
                case Role::producer: produce(producer, seed); break;
                case Role::member: consume(group, seed); break;
                case Role::subscriber: subscribe(false, seed); break;
                case Role::lossy: subscribe(true, seed); break;
                case Role::churn: churn(seed); break;
                case Role::monitor: monitor(seed); break;
            }
        } catch (const std::exception& error) {
            complain("a process failed: %s", error.what());
        }
    });
    processes_.push_back(std::move(process));
}

void Arena::start() {
    for (std::size_t group = 0; group < plan_.groups.size(); ++group) {
        for (unsigned i = 0; i < plan_.groups[group].members; ++i)
            start(Role::member, group);
    }
    for (unsigned i = 0; i < plan_.producers; ++i)
        start(Role::producer, 0);
    for (unsigned i = 0; i < plan_.subscribers; ++i)
        start(Role::subscriber, 0);
    for (unsigned i = 0; i < plan_.lossy; ++i)
        start(Role::lossy, 0);
    start(Role::churn, 0);
    start(Role::churn, 0);
    start(Role::monitor, 0);
}

void Arena::disturb() {
    const auto now = Clock::now();
    for (Process& process : processes_) {
        if (process.resume && now >= *process.resume) {
            process.child->resume();
            process.resume.reset();
        }
    }
    const std::size_t chosen = below(random_, processes_.size());
    Process& process = processes_[chosen];
    if (chance(random_, 30)) {
        if (process.resume) return;
        process.child->stop();
        process.resume = now + std::chrono::microseconds(below(random_, 30000));
        ++stops;
        return;
    }
    const Process dead{process.role, process.group, process.producer, nullptr};
    const int status = process.child->kill();  // a stopped one, too
    if (status != 128 + SIGKILL) {
        complain("process %d ended by itself with %d", process.child->pid(), status);
    }
    ++kills;
    if (dead.role == Role::producer) ended_.push_back({dead.producer, inspect(name_).tail});
    processes_.erase(processes_.begin() + static_cast<std::ptrdiff_t>(chosen));
    start(dead.role, dead.group);
}

void Arena::check_order(const Heading& heading) {
    if (heading.producer >= producers_started_ ||
        producers_started_ - heading.producer > producer_window) {
        complain("message %u.%u is nobody's", heading.producer, heading.number);
        return;
    }
    std::uint32_t& expected = expected_[heading.producer % producer_window];
    if (heading.number != expected) {
        complain("message %u.%u came instead of number %u", heading.producer, heading.number,
                 expected);
    }
    expected = heading.number + 1;
    if (heading.number >= notes_->outputs[heading.producer % producer_window].begun) {
        complain("message %u.%u was never sent", heading.producer, heading.number);
    }
}

void Arena::read_published() {
    for (int i = 0; i < 256; ++i) {
        const auto message = auditor_->try_receive();
        if (!message) {
            if (message.status() != Status::empty && message.status() != Status::closed) {
                complain("the auditor's receive returned %s",
                         std::string(to_string(message.status())).c_str());
            }
            // What it passed over are the claims of the dead.
            for (const Position now = auditor_->position(); next_ != now; ++next_)
                sent_[next_ % window].is_message = false;
            return;
        }
        for (; next_ != message.position(); ++next_)
            sent_[next_ % window].is_message = false;
        const auto heading = check_body(message.text());
        if (!heading) {
            complain("message %llu is damaged", static_cast<unsigned long long>(next_));
            sent_[next_++ % window].is_message = false;
            continue;
        }
        check_order(*heading);
        sent_[next_++ % window] = {true, *heading};
        ++messages_;
        progress_ = Clock::now();
    }
}

/// Everything a killed producer knew to be sent has arrived.
void Arena::check_ended() {
    while (!ended_.empty() && static_cast<std::int64_t>(next_ - ended_.front().tail) >= 0) {
        const std::uint32_t id = ended_.front().producer;
        ended_.pop_front();
        const std::uint32_t finished = notes_->outputs[id % producer_window].finished;
        const std::uint32_t seen = expected_[id % producer_window];
        if (seen < finished) {
            complain("producer %u: number %u is lost, %u were sent", id, seen, finished);
        }
    }
}

void Arena::check_fate(std::size_t number, Position position) {
    const GroupPlan& plan = plan_.groups[number];
    Fate& fate = notes_->fates[number][position % window];
    const Sent& sent = sent_[position % window];
    const char* const group = plan.name.c_str();
    const auto [producer, message] = std::pair(sent.heading.producer, sent.heading.number);
    const unsigned acked = fate.count(Fate::ack_ok);
    const unsigned rejected = fate.count(Fate::reject_ok);
    if (sent.is_message) {
        ++audited_total_;
        const bool settled = acked != 0 || fate.maybe_acked() || rejected != 0 ||
                             fate.maybe_rejected() || fate.dead_letters != 0;
        if (!settled) complain("%s: message %u.%u is lost", group, producer, message);
        if (acked + rejected > 1) {
            complain("%s: message %u.%u was settled %u times", group, producer, message,
                     acked + rejected);
        }
        if (rejected != 0 && fate.dead_letters == 0) {
            complain("%s: the dead letter of %u.%u is missing", group, producer, message);
        }
        if (acked != 0 && fate.dead_letters != 0) {
            complain("%s: message %u.%u was acknowledged and dead-lettered", group, producer,
                     message);
        }
    } else if (fate.count(Fate::delivered) != 0) {
        complain("%s: position %llu has no message, and was delivered", group,
                 static_cast<unsigned long long>(position));
    }
    fate.begin_lap(lap_of(position + window));
}

/// Called before dead letters are read: a letter is sent before its message is settled.
void Arena::look() {
    const ChannelReport report = inspect(name_);
    const Clock::time_point now = Clock::now();
    if (now - progress_ > patience) {
        complain("nothing was published for a long time: %s", report.blocked_by.c_str());
    }
    for (std::size_t group = 0; group < plan_.groups.size(); ++group) {
        const GroupReport* const found = report.find_group(plan_.groups[group].name);
        if (found == nullptr) {
            complain("group %s is gone", plan_.groups[group].name.c_str());
        } else {
            settled_below_[group] = found->settled_below;
        }
    }
}

void Arena::check_settled() {
    const auto reached = [](Position position, Position end) {
        return static_cast<std::int64_t>(position - end) >= 0;
    };
    for (std::size_t group = 0; group < plan_.groups.size(); ++group) {
        Position& position = audited_[group];
        while (!reached(position, settled_below_[group]) && !reached(position, next_))
            check_fate(group, position++);
    }
}

void Arena::note_letter(const Origin& origin) {
    for (std::size_t group = 0; group < plan_.groups.size(); ++group) {
        if (plan_.groups[group].name != origin.group) continue;
        if (static_cast<std::int64_t>(origin.position - audited_[group]) < 0) {
            complain("%s: the dead letter of position %llu came after it was settled",
                     origin.group.c_str(), static_cast<unsigned long long>(origin.position));
        }
        notes_->fates[group][origin.position % window].dead_letters += 1;
    }
}

void Arena::stop_producers() {
    for (Process& process : processes_) {
        if (process.resume) process.child->resume();
        process.resume.reset();
    }
    notes_->stop_producers = true;
}

bool Arena::producers_ended() {
    return std::none_of(processes_.begin(), processes_.end(), [](Process& process) {
        return process.role == Role::producer && process.child->is_running();
    });
}

bool Arena::is_drained() {
    const ChannelReport report = inspect(name_);
    const bool settled =
        std::all_of(plan_.groups.begin(), plan_.groups.end(), [&](const GroupPlan& plan) {
            const GroupReport* const group = report.find_group(plan.name);
            return group != nullptr && group->backlog + group->in_flight + group->dead_pending == 0;
        });
    const auto audited = [&](Position position) { return position == report.tail; };
    return settled && next_ == report.tail && ended_.empty() &&
           std::all_of(audited_.begin(),
                       audited_.begin() + static_cast<std::ptrdiff_t>(plan_.groups.size()),
                       audited);
}

void Arena::finish() {
    if (!channel_.close(10s)) complain("the channel does not close");
    if (auditor_->receive_for(10s).status() != Status::closed) {
        complain("the auditor does not see the end");
    }
    notes_->stop_readers = true;
    for (Process& process : processes_) {
        if (!eventually([&] { return !process.child->is_running(); }, 60)) {
            complain("process %d does not end", process.child->pid());
        } else if (process.child->wait() != 0) {
            complain("process %d ended with %d", process.child->pid(), process.child->wait());
        }
    }
    auditor_.reset();
    (void)remove_dead();
    const ChannelReport report = inspect(name_);
    for (const ParticipantReport& participant : report.participants) {
        if (participant.alive) complain("%s is still there", participant.name.c_str());
    }
}

// ---------------------------------------------------------------------------------------- the run

/// What this process, and all channels of the run, have of the system.
struct Footprint {
    std::uint64_t descriptors;
    std::uint64_t threads;
    std::uint64_t resident;  ///< KiB
    std::uint64_t shared;    ///< KiB reserved by the channels that live as long as the run
};

std::uint64_t entries_in(const std::string& directory) {
    std::error_code ignored;
    const std::filesystem::directory_iterator entries(directory, ignored);
    return static_cast<std::uint64_t>(std::distance(begin(entries), end(entries)));
}

std::uint64_t resident_kib() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("VmRSS:")) return std::stoull(line.substr(6));
    return 0;
}

class Soak {
public:
    Soak(std::chrono::seconds time, std::uint64_t seed);
    int run();

private:
    void tick();
    void read_letters();
    Footprint footprint() const;
    void report(const char* when) const;
    int violations() const;
    bool wait_for(const std::function<bool()>& condition);

    const std::chrono::seconds time_;
    const std::uint64_t seed_;
    Random random_;
    const ChannelName letters_name_{"soak.letters"};
    Channel<> letters_;
    Consumer<> letter_reader_;
    std::vector<std::unique_ptr<Arena>> arenas_;
    std::uint64_t letters_read_ = 0;
    const Clock::time_point begin_ = Clock::now();
};

/// Starts near a place where a packed position wraps around.
Position start_near_a_wrap(Random& random, std::uint32_t capacity) {
    const std::array<Position, 4> wraps{0, std::uint64_t{1} << 44, std::uint64_t{1} << 48,
                                        std::uint64_t{capacity} << 32};
    return one_of(random, wraps) - below(random, 100'000);
}

Plan shared_plan(Random& random, const std::string& letters) {
    return {.name = "shared",
            .channel = {.capacity = 64,
                        .region_size = 32 << 10,
                        .max_participants = 40,
                        .max_groups = 16,
                        .first_position = start_near_a_wrap(random, 64)},
            .exclusive = false,
            .producers = 2,
            .groups = {{.name = "quick",
                        .options = {.from = Start::earliest()},
                        .members = 2,
                        .batch = 5},
                       {.name = "careful",
                        .options = {.ack = Ack::manual,
                                    .max_attempts = 4,
                                    .dead_letter = letters,
                                    .from = Start::earliest()},
                        .members = 2,
                        .nack_percent = 5,
                        .reject_percent = 2},
                       {.name = "limited",
                        .options = {.ack = Ack::manual,
                                    .lease_limit = 20ms,
                                    .dead_letter = letters,
                                    .from = Start::earliest()},
                        .members = 2,
                        .nack_percent = 3,
                        .reject_percent = 1,
                        .batch = 3}},
            .subscribers = 1,
            .lossy = 1};
}

Plan exclusive_plan(Random& random) {
    return {.name = "exclusive",
            .channel = {.capacity = 8,
                        .region_size = 8 << 10,
                        .max_participants = 24,
                        .max_groups = 8,
                        .first_position = start_near_a_wrap(random, 8)},
            .exclusive = true,
            .producers = 1,
            .groups = {{.name = "mirror",
                        .options = {.ack = Ack::manual, .from = Start::earliest()},
                        .members = 2,
                        .nack_percent = 1}},
            .subscribers = 1,
            .lossy = 1};
}

Soak::Soak(std::chrono::seconds time, std::uint64_t seed)
    : time_(time),
      seed_(seed),
      random_(seed),
      letters_(Channel<>::create(letters_name_, {.capacity = 1024, .region_size = 64 << 10})),
      letter_reader_(letters_.join("letters", {.from = Start::earliest()})) {
    arenas_.push_back(std::make_unique<Arena>(shared_plan(random_, letters_name_), random_()));
    arenas_.push_back(std::make_unique<Arena>(exclusive_plan(random_), random_()));
}

void Soak::read_letters() {
    while (const auto letter = letter_reader_.try_receive()) {
        const auto origin = letter.origin();
        const auto found = std::find_if(arenas_.begin(), arenas_.end(), [&](const auto& arena) {
            return origin && origin->channel == arena->name().str();
        });
        if (found == arenas_.end() || !check_body(letter.text())) {
            arenas_.front()->complain("a damaged dead letter");
        } else {
            (*found)->note_letter(*origin);
            ++letters_read_;
        }
    }
}

void Soak::tick() {
    for (const auto& arena : arenas_) {
        arena->read_published();
        arena->check_ended();
        arena->look();
    }
    read_letters();
    for (const auto& arena : arenas_)
        arena->check_settled();
}

int Soak::violations() const {
    int count = 0;
    for (const auto& arena : arenas_)
        count += arena->complaints().count();
    return count;
}

/// The most that a channel may have taken, bytes: its fixed parts, and those of its entries that
/// were ever used. How many are used at once depends on how busy the machine is.
std::uint64_t memory_of_used_entries(const std::string& channel) {
    const auto memory = memory_of(channel);
    const format::Layout& layout = memory->layout();
    return layout.groups_offset + memory->groups_used() * layout.group_stride +
           layout.regions_offset + memory->participants_used() * layout.region_size;
}

Footprint Soak::footprint() const {
    std::uint64_t shared = inspect(letters_name_).reserved_bytes;
    for (const auto& arena : arenas_)
        shared += inspect(arena->name()).reserved_bytes;
    return {.descriptors = entries_in("/proc/self/fd"),
            .threads = entries_in("/proc/self/task"),
            .resident = resident_kib(),
            .shared = shared / 1024};
}

void Soak::report(const char* when) const {
    std::uint64_t messages = 0, received = 0, audited = 0, kills = 0, stops = 0;
    for (const auto& arena : arenas_) {
        messages += arena->messages();
        received += arena->received();
        audited += arena->audited();
        kills += arena->kills;
        stops += arena->stops;
    }
    const Footprint now = footprint();
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - begin_);
    std::printf(
        "%s after %lld s: %llu messages, %llu deliveries, %llu settlements checked, %llu "
        "dead letters, %llu kills, %llu stops, %d violations; %llu descriptors, %llu "
        "threads, %llu KiB resident, %llu KiB shared\n",
        when, static_cast<long long>(seconds.count()), static_cast<unsigned long long>(messages),
        static_cast<unsigned long long>(received), static_cast<unsigned long long>(audited),
        static_cast<unsigned long long>(letters_read_), static_cast<unsigned long long>(kills),
        static_cast<unsigned long long>(stops), violations(),
        static_cast<unsigned long long>(now.descriptors),
        static_cast<unsigned long long>(now.threads), static_cast<unsigned long long>(now.resident),
        static_cast<unsigned long long>(now.shared));
    std::fflush(stdout);
}

bool Soak::wait_for(const std::function<bool()>& condition) {
    return eventually(
        [&] {
            tick();
            return condition() || violations() != 0;
        },
        std::chrono::duration<double>(patience).count());
}

int Soak::run() {
    std::printf("soak for %lld s, seed %llu\n", static_cast<long long>(time_.count()),
                static_cast<unsigned long long>(seed_));
    for (const auto& arena : arenas_)
        arena->start();
    const auto minute = std::min<std::chrono::seconds>(60s, time_ / 4);
    auto next_report = begin_ + minute;
    auto next_event = begin_;
    std::optional<Footprint> early;
    while (Clock::now() < begin_ + time_ && violations() == 0) {
        tick();
        const auto now = Clock::now();
        if (now >= next_event) {
            arenas_[below(random_, arenas_.size())]->disturb();
            next_event = now + std::chrono::microseconds(below(random_, 20000));
        }
        if (now >= next_report) {
            report("running");
            if (!early) early = footprint();
            next_report = now + minute;
        }
        std::this_thread::sleep_for(200us);
    }
    const Footprint late = footprint();

    for (const auto& arena : arenas_)
        arena->stop_producers();
    for (const auto& arena : arenas_) {
        if (!wait_for([&] { return arena->producers_ended(); })) {
            arena->complain("a producer does not end");
        }
        if (!wait_for([&] { return arena->is_drained(); })) {
            arena->complain("the groups are not drained");
        }
    }
    for (const auto& arena : arenas_)
        arena->finish();
    report("ended");

    Arena& first = *arenas_.front();
    if (early) {
        if (late.descriptors > early->descriptors) first.complain("descriptors were left open");
        if (late.threads > early->threads) first.complain("threads were left running");
        if (late.resident > early->resident + 4096) first.complain("memory was not given back");
    }
    for (const auto& arena : arenas_) {
        if (inspect(arena->name()).reserved_bytes > memory_of_used_entries(arena->name())) {
            arena->complain("it takes more shared memory than its entries do");
        }
    }
    for (const std::string& name : list()) {
        if (name.starts_with(first.name().str() + ".churn")) {
            try {
                (void)remove(name);
            } catch (const Error& error) {
                first.complain("%s", error.what());
            }
        }
    }
    for (const auto& arena : arenas_) {
        if (arena->complaints().count() != 0) {
            std::printf("VIOLATION (%s, seed %llu): %s\n", arena->name().str().c_str(),
                        static_cast<unsigned long long>(seed_), arena->complaints().first());
        }
    }
    return violations() == 0 ? 0 : 1;
}

}  // namespace
}  // namespace ipc::test

int main(int argc, char** argv) {
    std::chrono::seconds time{20};
    std::uint64_t seed = std::random_device{}();
    try {
        for (int i = 1; i < argc; i += 2) {
            const std::string option = argv[i];
            if (i + 1 == argc) throw std::invalid_argument(option);
            if (option == "--minutes") {
                time = std::chrono::minutes(std::stoul(argv[i + 1]));
            } else if (option == "--seconds") {
                time = std::chrono::seconds(std::stoul(argv[i + 1]));
            } else if (option == "--seed") {
                seed = std::stoull(argv[i + 1]);
            } else {
                throw std::invalid_argument(option);
            }
        }
    } catch (const std::exception&) {
        std::fprintf(stderr, "usage: soak [--minutes N | --seconds N] [--seed N]\n");
        return 2;
    }
    const ipc::test::OwnDirectory directory;
    return ipc::test::Soak(time, seed).run();
}
