#include "tests/kill/scene.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <thread>
#include <utility>

#include "ipc/os/clock.hpp"
#include "ipc/os/shared_object.hpp"
#include "tests/support/torn.hpp"

namespace ipc::test::kill {
namespace {

using namespace std::chrono_literals;

/// What a survivor may wait at most: the longest bound of the recovery (DESIGN.md) with room for a
/// loaded machine. Waits are printed; see `recovered_after`.
constexpr auto bound = 5s;
/// The same where the sentinel was called: 50 ms, and less than its slow tick of 3 s.
constexpr auto fast_bound = 1s;

constexpr Position unknown = ~Position{0};

/// Everything of a message follows from its id and its size.
std::string body_of(unsigned id, std::size_t size) {
    std::array<char, 24> heading;
    std::snprintf(heading.data(), heading.size(), "%03u/%05zu:", id, size);
    std::string body(heading.data());
    for (std::size_t i = body.size(); i < size; ++i)
        body.push_back(static_cast<char>('a' + (std::size_t{id} * 7 + i * 11) % 26));
    return body;
}

const char* name_of(Reader reader) {
    constexpr std::array names{"workers", "the subscriber", "the dead letters"};
    return names[reader];
}

SubscribeOptions parked_subscription() {
    return {.from = Start::earliest(), .participant = {.wait_policy = WaitPolicy::parking()}};
}

bool exists(const char* channel) {
    return std::filesystem::exists(os::shared_memory_directory() + "/ipc." + channel);
}

}

void Ledger::violate(const char* format, ...) {
    if (violations.fetch_add(1) != 0) return;
    std::va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(violation.data(), violation.size(), format, arguments);
    va_end(arguments);
}

// -------------------------------------------------------------------------------- building blocks

void Scene::create_for_exclusive() {
    exclusive = true;
    const auto channel = Channel<>::create(name, options);
    worker.emplace(join());
    subscriber.emplace(channel.subscribe(parked_subscription()));
}

void Scene::create() {
    create_for_exclusive();
    exclusive = false;
    producer.emplace(make_producer());
}

void Scene::create_letters() {
    const auto channel = Channel<>::create(
        letters_name, {.capacity = 4, .region_size = 8192, .max_participants = 6, .max_groups = 3});
    undertaker.emplace(channel.join("letters", {.ack = Ack::manual, .from = Start::earliest()}));
    policies.dead_letter = letters_name;
}

Producer<> Scene::make_producer() const {
    const auto channel = open();
    const ParticipantOptions how{.wait_policy = WaitPolicy::parking()};
    return exclusive ? channel.exclusive_producer(how) : channel.producer(how);
}

Consumer<> Scene::join(WaitPolicy policy) const {
    GroupOptions how = policies;
    how.participant.wait_policy = policy;
    return open().join("workers", how);
}

unsigned Scene::new_message(std::size_t size) {
    const unsigned id = ledger.messages.fetch_add(1);
    if (id >= Ledger::most) throw std::runtime_error("more messages than the ledger holds");
    ledger.accounts[id].size = static_cast<std::uint32_t>(size);
    ledger.accounts[id].position = unknown;
    ledger.accounts[id].text_of = id;
    return id;
}

std::string Scene::text(unsigned id) const {
    return body_of(ledger.accounts[id].text_of, ledger.accounts[id].size);
}

void Scene::begin_send(unsigned id) {
    ledger.accounts[id].published = Published::begun;
}

void Scene::end_send(unsigned id, Status status) {
    ledger.accounts[id].published = status == Status::ok ? Published::done : Published::refused;
}

void Scene::end_send(unsigned id, const Sent& sent) {
    ledger.accounts[id].position = sent.position();
    end_send(id, sent.status());
}

Status Scene::send(Producer<>& from, std::size_t size) {
    const unsigned id = new_message(size);
    const std::string body = text(id);
    begin_send(id);
    const Sent sent = from.try_send(body);
    end_send(id, sent);
    return sent.status();
}

void Scene::send_waiting(Producer<>& from) {
    const unsigned id = new_message(24);
    const std::string body = text(id);
    begin_send(id);
    end_send(id, from.send(body));
}

void Scene::publish(unsigned count, std::size_t size) {
    for (unsigned i = 0; i < count; ++i) {
        if (send(*producer, size) != Status::ok) throw std::runtime_error("no room for a message");
    }
}

/// The account of a message that is at another position than the one whose text it has: a message
/// of its own, published by whoever redrove the dead letter. Made by the first reader of this
/// process that meets it.
unsigned Scene::redriven(unsigned original, Position position) {
    for (unsigned id = 0; id < ledger.messages; ++id) {
        const Account& account = ledger.accounts[id];
        if (account.text_of == original && account.position == position) return id;
    }
    if (ledger.accounts[original].at[workers].fate != Fate::rejected) {
        violate("message %u came again at another position, and was not rejected", original);
    }
    const unsigned id = new_message(ledger.accounts[original].size);
    ledger.accounts[id].text_of = original;
    ledger.accounts[id].position = position;
    ledger.accounts[id].published = Published::done;
    return id;
}

unsigned Scene::delivered(Reader reader, const Message<>& message) {
    unsigned id = Ledger::most;
    const std::string body(message.text());
    if (std::sscanf(body.c_str(), "%3u/", &id) != 1 || id >= ledger.messages) {
        violate("%s got something that nobody sent: '%.40s'", name_of(reader), body.c_str());
        return 0;
    }
    if (body != text(id)) {
        violate("%s got message %u damaged: '%.60s'", name_of(reader), id, body.c_str());
    }
    if (redrives && reader != letters && ledger.accounts[id].position != message.position()) {
        id = redriven(id, message.position());
    }
    Account& account = ledger.accounts[id];
    if (account.published == Published::refused) {
        violate("%s got message %u, which was refused", name_of(reader), id);
    }
    if (account.published == Published::done && reader != letters && account.position != unknown &&
        account.position != message.position()) {
        violate("%s got message %u at position %llu, sent as %llu", name_of(reader), id,
                static_cast<unsigned long long>(message.position()),
                static_cast<unsigned long long>(account.position.load()));
    }
    account.at[reader].deliveries += 1;
    const Fate fate = account.at[reader].fate;
    if (fate == Fate::acked || fate == Fate::rejected) {
        violate("%s got message %u again after it was %s", name_of(reader), id,
                fate == Fate::acked ? "acknowledged" : "rejected");
    }
    return id;
}

void Scene::begin_fate(Reader reader, unsigned id, Fate fate) {
    if (fate != Fate::open) ledger.accounts[id].at[reader].fate = fate;
}

void Scene::end_fate(Reader reader, unsigned id, Fate fate, Status status) {
    if (fate == Fate::open) return;  // it was given back, and may be another's by now
    ledger.accounts[id].at[reader].fate = status == Status::ok ? fate : Fate::open;
}

void Scene::ack(Reader reader, unsigned id, Message<>& message) {
    begin_fate(reader, id, Fate::ack_begun);
    const Outcome outcome = message.ack();
    end_fate(reader, id, Fate::acked, outcome.status());
    if (!outcome) {
        violate("the acknowledgement of message %u at %s returned %s", id, name_of(reader),
                std::string(to_string(outcome.status())).c_str());
    }
}

void Scene::work_once(Reader reader, Message<>&& message) {
    const unsigned id = delivered(reader, message);
    ack(reader, id, message);
}

void Scene::wait_until_parked(const Child& child) {
    if (!eventually([&] { return is_parked(name, child.pid()); }, 30)) {
        throw std::runtime_error("a helper does not go to sleep");
    }
}

void Scene::start_parked_worker() {
    helpers.emplace_back([this] {
        auto member = join();
        for (;;) {
            auto message = member.receive();
            if (!message) {
                if (message.status() == Status::closed) wait_for_the_end();
                return;
            }
            work_once(workers, std::move(message));
        }
    });
    wait_until_parked(helpers.back());
}

void Scene::start_parked_subscriber() {
    helpers.emplace_back([this] {
        auto reader = open().subscribe(parked_subscription());
        for (;;) {
            auto message = reader.receive();
            if (!message) {
                if (message.status() == Status::closed) wait_for_the_end();
                return;
            }
            (void)delivered(letters, message);  // no dead letters in such a scene
        }
    });
    wait_until_parked(helpers.back());
}

void Scene::start_parked_producer() {
    helpers.emplace_back([this] {
        auto sender = open().producer({.wait_policy = WaitPolicy::parking()});
        const unsigned id = new_message(24);
        const std::string body = text(id);
        ledger.parked_sends += 1;
        begin_send(id);
        end_send(id, sender.send(body));
        ledger.parked_sends -= 1;
        wait_for_the_end();
    });
    wait_until_parked(helpers.back());
}

void Scene::let_die(const std::function<void()>& body) {
    ledger.deaths += 1;
    Child child([&] {
        body();
        die();
    });
    if (child.wait() != 128 + SIGKILL) throw std::runtime_error("a predecessor failed");
}

// ------------------------------------------------------------------------------------- afterwards

void Scene::violate(const char* format, ...) {
    std::array<char, 500> text;
    std::va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(text.data(), text.size(), format, arguments);
    va_end(arguments);
    ledger.violate("%s", text.data());
}

void Scene::read_all() {
    while (subscriber) {
        auto message = subscriber->try_receive();
        if (!message) break;
        const unsigned id = delivered(tap, message);
        if (ledger.accounts[id].at[tap].deliveries != 1) {
            violate("the subscriber got message %u twice", id);
        }
        if (message.position() < next_) {
            violate("the subscriber got message %u out of order", id);
        }
        next_ = message.position() + 1;
    }
    while (undertaker) {
        auto message = undertaker->try_receive();
        if (!message) break;
        const unsigned id = delivered(letters, message);
        if (!message.origin() || message.origin()->channel != name) {
            violate("the dead letter of message %u has no origin", id);
        }
        if (!message.ack()) violate("the ack of a dead letter was refused");
    }
}

void Scene::work_all() {
    while (worker) {
        auto message = worker->try_receive();
        if (!message) break;
        work_once(workers, std::move(message));
    }
}

/// Nothing is on its way any more; else `why` not.
bool Scene::is_quiet(const ChannelReport& report, std::string& why) const {
    for (const GroupReport& group : report.groups) {
        const bool is_read = group.durable || group.members != 0;
        if (!group.reliable || !is_read) continue;
        if (group.backlog + group.in_flight + group.dead_pending != 0) {
            why = "group '" + group.name + "': backlog " + std::to_string(group.backlog) +
                  ", in flight " + std::to_string(group.in_flight) + ", dead pending " +
                  std::to_string(group.dead_pending);
            return false;
        }
    }
    if (subscriber && subscriber->position() != report.tail) {
        why = "the subscriber stands at " + std::to_string(subscriber->position()) +
              ", the tail is " + std::to_string(report.tail);
        return false;
    }
    return true;
}

/// Conservation: every position a group saw is in exactly one place.
void Scene::check_report(const ChannelReport& report) {
    for (const GroupReport& group : report.groups) {
        if (!group.reliable) continue;
        const std::uint64_t all = report.tail - group.start;
        if (group.settled + group.backlog + group.in_flight + group.dead_pending != all) {
            violate(
                "inspect: group '%s' has %llu settled, %llu backlog, %llu in flight, %llu dead "
                "pending of %llu",
                group.name.c_str(), static_cast<unsigned long long>(group.settled),
                static_cast<unsigned long long>(group.backlog),
                static_cast<unsigned long long>(group.in_flight),
                static_cast<unsigned long long>(group.dead_pending),
                static_cast<unsigned long long>(all));
        }
        if (group.backlog > report.capacity || group.in_flight > report.capacity) {
            violate("inspect: group '%s' holds more than the ring", group.name.c_str());
        }
    }
}

void Scene::drain() {
    const std::int64_t start = os::now();
    std::string why;
    for (;;) {
        read_all();
        const bool sending = ledger.parked_sends != 0;  // read before what they changed
        const ChannelReport report = inspect(name);
        if (helpers.empty()) check_report(report);
        if (is_quiet(report, why) && !sending) return;
        if (sending) why += "; a parked producer sleeps on";
        if (os::now() - start > std::chrono::nanoseconds(bound).count()) {
            violate("survivors wait for more than %lld s: %s; %s",
                    static_cast<long long>(std::chrono::seconds(bound).count()), why.c_str(),
                    report.blocked_by.c_str());
            return;
        }
        if (!worker) {
            std::this_thread::sleep_for(1ms);
        } else if (auto message = worker->receive_for(20ms)) {
            work_once(workers, std::move(message));
        } else if (message.status() != Status::timed_out && message.status() != Status::closed) {
            violate("the worker was told '%s'", std::string(to_string(message.status())).c_str());
            return;
        }
    }
}

/// Every message against what was noted about it.
void Scene::check_accounts() {
    const unsigned count = std::min(ledger.messages.load(), Ledger::most);
    for (unsigned id = 0; id < count; ++id) {
        const Account& account = ledger.accounts[id];
        const bool seen = account.at[tap].deliveries != 0;
        if (subscriber && account.published == Published::done && !seen) {
            violate("message %u was published, and the subscriber did not get it", id);
        }
        if (!seen && account.published != Published::done) {
            if (subscriber && account.at[workers].deliveries != 0) {
                violate("the workers got message %u, the subscriber did not", id);
            }
            continue;
        }
        const Fate fate = account.at[workers].fate;
        const unsigned copies = account.at[letters].deliveries;
        if (undertaker && fate == Fate::rejected && copies == 0) {
            violate("message %u was rejected, and there is no dead letter", id);
        }
        if (undertaker && fate == Fate::acked && copies != 0) {
            violate("message %u was acknowledged and dead-lettered", id);
        }
        if (undertaker && copies > 1 + ledger.deaths) {
            violate("%u dead letters of message %u", copies, id);
        }
        const bool buried = undertaker && copies != 0;
        const bool settled = fate != Fate::open || buried || may_drop;
        if (has_workers && !settled) {
            violate("message %u is lost to the workers, who got it %u times", id,
                    account.at[workers].deliveries.load());
        }
        if (ledger.deaths == 0 && !redelivers && account.at[workers].deliveries > 1) {
            violate("the workers got message %u %u times, and nobody died", id,
                    account.at[workers].deliveries.load());
        }
    }
}

/// Every rejected message was published again: once, and once more for each redriver that died
/// before it could acknowledge the dead letter; the oldest first.
void Scene::check_redriven() {
    Position last = 0;
    for (unsigned id = 0; id < ledger.messages; ++id) {
        if (ledger.accounts[id].at[workers].fate != Fate::rejected) continue;
        unsigned copies = 0;
        for (unsigned other = 0; other < ledger.messages; ++other) {
            const Account& copy = ledger.accounts[other];
            if (other == id || copy.text_of != id) continue;
            ++copies;
            if (ledger.deaths == 0 && copy.position < last) {
                violate("message %u was redriven before an older one", id);
            }
            last = copy.position;
        }
        if (copies == 0 || copies > 1 + ledger.deaths) {
            violate("the dead letter of message %u was redriven %u times", id, copies);
        }
    }
}

/// Counters are exact up to one for each operation that was killed.
void Scene::check_counters(const ChannelReport& report) {
    std::uint64_t messages = 0;
    std::uint64_t acked = 0;
    const unsigned count = std::min(ledger.messages.load(), Ledger::most);
    for (unsigned id = 0; id < count; ++id) {
        const Account& account = ledger.accounts[id];
        if (account.at[tap].deliveries == 0) continue;
        ++messages;
        const Fate fate = account.at[workers].fate;
        if (fate == Fate::acked || fate == Fate::ack_begun) ++acked;
    }
    const auto differs = [&](std::uint64_t counted, std::uint64_t real) {
        return counted > real + ledger.deaths || real > counted + ledger.deaths;
    };
    if (subscriber && differs(report.published, messages)) {
        violate("inspect: %llu messages in, %llu were published",
                static_cast<unsigned long long>(report.published),
                static_cast<unsigned long long>(messages));
    }
    const GroupReport* group = report.find_group("workers");
    if (group == nullptr || may_drop || may_end_group) return;
    if (subscriber && differs(group->acked, acked)) {
        violate("inspect: the workers acknowledged %llu messages, really %llu",
                static_cast<unsigned long long>(group->acked),
                static_cast<unsigned long long>(acked));
    }
}

/// A lap and one message more, from survivor to survivor.
void Scene::check_traffic() {
    if (!producer) producer.emplace(make_producer());
    for (std::uint64_t i = 0; i <= options.capacity; ++i) {
        const unsigned id = new_message(i % 2 == 0 ? 30 : 200);
        const std::string body = text(id);
        begin_send(id);
        const Sent sent = producer->send_for(body, bound);
        end_send(id, sent);
        // It was asked to, by the operation, and does it in place of the dead.
        if (sent.status() == Status::closed && may_close) return;
        if (!sent) {
            violate("a survivor cannot send: %s; %s", std::string(to_string(sent.status())).c_str(),
                    inspect(name).blocked_by.c_str());
            return;
        }
        drain();
        if (ledger.violations != 0) return;
        if (ledger.accounts[id].at[workers].fate == Fate::open && has_workers) {
            violate("message %u of a survivor reached nobody", id);
        }
    }
}

/// All table entries can be used, those of the dead included.
void Scene::check_tables() {
    const auto channel = open();
    std::vector<Consumer<>> members;
    const auto fill = [&](auto&& attach) {
        try {
            while (members.size() < 100)
                members.push_back(attach());
        } catch (const Error& error) {
            if (error.code() != Errc::limit_reached) throw;
        }
        return members.size();
    };
    members.push_back(channel.subscribe());
    const ChannelReport report = inspect(name);
    std::size_t free_groups = options.max_groups - report.groups.size();
    for (const ParticipantReport& participant : report.participants) {
        if (!participant.alive) {
            violate("the entry of a dead %s is left after an attach",
                    participant.group_index < 0 ? "producer" : "reader");
        }
    }
    for (const GroupReport& group : report.groups) {
        if (!group.durable && group.members == 0) {
            violate("an ephemeral group of the dead is left after an attach");
        }
    }
    const std::size_t with_groups = fill([&] { return channel.subscribe(); });
    if (with_groups != free_groups + 1) {
        violate("%zu group entries can be used, %zu are free", with_groups - 1, free_groups);
    }
    members.clear();
    const std::size_t living = inspect(name).participants.size();
    const std::size_t attached = fill([&] { return join(); });
    if (attached != options.max_participants - living) {
        violate("%zu participant entries can be used, %zu are free", attached,
                options.max_participants - living);
    }
}

/// The channel is gone: everybody learns it, and the name can be used again.
void Scene::check_removed() {
    if (subscriber) {
        read_all();
        auto message = subscriber->receive_for(bound);
        if (message.status() != Status::removed) {
            violate("the channel was removed, its subscriber was told '%s'",
                    std::string(to_string(message.status())).c_str());
        }
    }
    for (Child& helper : helpers) {
        if (!eventually([&] { return !helper.is_running(); },
                        std::chrono::duration<double>(bound).count())) {
            violate("the channel was removed, and a helper sleeps on");
        }
    }
    forget_survivors();
    create();
    check_traffic();
}

void Scene::check_closed() {
    if (producer && producer->try_send("late").status() != Status::closed) {
        violate("the channel is closed, and a producer was told something else");
    }
    const auto expect = [&](std::optional<Consumer<>>& reader, const char* who) {
        if (!reader) return;
        const Status status = reader->receive_for(bound).status();
        if (status != Status::closed) {
            violate("the channel is closed, and the %s was told '%s'", who,
                    std::string(to_string(status)).c_str());
        }
    };
    expect(subscriber, "subscriber");
    expect(worker, "worker");
}

void Scene::forget_survivors() {
    helpers.clear();
    producer.reset();
    worker.reset();
    subscriber.reset();
    for (Account& account : ledger.accounts) {
        account.published = Published::not_yet;
        for (auto& at : account.at) {
            at.deliveries = 0;
            at.fate = Fate::open;
        }
    }
    ledger.messages = 0;
    next_ = 0;
}

void Scene::resume_helpers() {
    for (Child& helper : helpers)
        helper.resume();
}

void Scene::nudge() {
    read_all();
    if (producer) send(*producer);
}

void Scene::go_on_beside(pid_t stopped) {
    resume_helpers();
    if (!exists(name)) return;
    const std::string pid = "pid " + std::to_string(stopped);
    read_all();
    work_all();
    const std::int64_t start = os::now();
    for (std::uint64_t sent = 0; producer && worker && sent < 2 * options.capacity + 2;) {
        const Status status = send(*producer, sent % 2 == 0 ? 30 : 200);
        read_all();
        work_all();
        if (status == Status::ok) ++sent;
        if (status == Status::ok) continue;
        if (status != Status::full) return;  // closed or removed by the operation
        // Only the stopped one can be the reason, and whoever looks must find out; or the survivors
        // find a way around it. Who holds the registry cannot be found out, only that it is held.
        const std::string reason = inspect(name).blocked_by;
        if (reason.find(pid) != std::string::npos) return;
        if (reason.find("registry") != std::string::npos) return;
        if (os::now() - start > std::chrono::nanoseconds(bound).count()) {
            violate("a stopped process holds the survivors up, and inspect says '%s'",
                    reason.c_str());
            return;
        }
        std::this_thread::sleep_for(20ms);
    }
}

void Scene::check(bool completed, bool killed) {
    resume_helpers();
    if (killed) ledger.deaths += 1;
    const std::int64_t since = os::now();
    if (must_exist && completed && !exists(name)) violate("there is no channel");
    if (may_create) {
        const auto channel = Channel<>::open_or_create(name, options);
        worker.emplace(join());
        subscriber.emplace(channel.subscribe(parked_subscription()));
    }
    if (may_remove && !exists(name)) {
        check_removed();
        check_removal();
        return;
    }
    if (may_remove && completed) violate("the channel was not removed");
    if (may_end_group && inspect(name).find_group("workers") == nullptr) {
        if (worker && worker->receive_for(bound).status() != Status::removed) {
            violate("the group was removed, and its member was not told");
        }
        worker.reset();
        for (unsigned id = 0; id < ledger.messages; ++id)
            ledger.accounts[id].at[workers].fate = Fate::acked;  // gone with the group
        policies.from = Start::latest();
        worker.emplace(join());
    } else if (may_end_group && completed) {
        violate("the operation was complete, and the group is still there");
    }
    if (!worker && helpers.empty()) worker.emplace(join());
    const bool held =
        sentinel_sleeps && killed && inspect(name).find_group("workers")->in_flight != 0;
    drain();
    ledger.recovered_after = os::now() - since;
    if (held && os::now() - since > std::chrono::nanoseconds(fast_bound).count()) {
        violate("a lease of the dead was given back after %lld ms, by the slow tick",
                static_cast<long long>(ledger.recovered_after / 1'000'000));
    }
    if (afterwards) {
        afterwards();
        drain();
    }
    check_accounts();
    if (redrives) check_redriven();
    if (!inspect(name).closed) check_traffic();
    const bool closed = inspect(name).closed;
    if (closed && !may_close) violate("the channel is closed");
    if (!closed && may_close && completed) violate("the channel is not closed");
    if (closed) {
        check_closed();
    } else {
        check_accounts();
    }
    if (ledger.violations != 0) return;
    check_tables();
    const ChannelReport end = inspect(name);
    check_report(end);
    check_counters(end);
    check_removal();
}

void Scene::check_removal() {
    helpers.clear();
    producer.reset();
    worker.reset();
    subscriber.reset();
    undertaker.reset();
    remove(name);
    remove(letters_name);
    for (const auto& entry : std::filesystem::directory_iterator(os::shared_memory_directory())) {
        violate("%s is left over", entry.path().filename().c_str());
    }
}

}
