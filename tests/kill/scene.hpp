#pragma once

// The surroundings of one operation: a small channel, those who survive, and what everybody noted
// about every message. Afterwards, the survivors check what they were promised.

#include <array>
#include <atomic>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ipc/ipc.hpp"
#include "tests/support/child.hpp"

namespace ipc::test::kill {

/// Those who read, each of whom has an account of every message.
enum Reader : unsigned { workers, tap, letters, readers };

enum class Published : std::uint8_t { not_yet, begun, done, refused };
enum class Fate : std::uint8_t {
    open,
    ack_begun,
    acked,
    reject_begun,
    rejected,
};

/// What is known of one message, in memory that outlives whoever wrote it. A note is made before
/// the operation begins and another after it was complete: what lies between happened, or not.
struct Account {
    struct AtReader {
        std::atomic<std::uint32_t> deliveries;
        std::atomic<Fate> fate;
    };
    std::atomic<Published> published;
    std::atomic<std::uint32_t> size;
    std::atomic<Position> position;
    std::atomic<unsigned> text_of;  ///< itself; of a dead letter that was redriven, the original
    std::array<AtReader, readers> at;
};

struct Ledger {
    static constexpr unsigned most = 512;
    std::atomic<unsigned> messages{0};
    std::array<Account, most> accounts{};
    std::atomic<unsigned> parked_sends{0};  ///< of helpers, under way
    std::atomic<unsigned> deaths{0};  ///< each may leave a counter one off, and a copy too many
    std::atomic<unsigned> violations{0};
    std::array<char, 700> violation{};             ///< the first one
    std::atomic<std::int64_t> recovered_after{0};  ///< ns from the death until all was settled

    [[gnu::format(printf, 2, 3)]] void violate(const char* format, ...);
};

class Scene {
public:
    explicit Scene(Ledger& shared_ledger) : ledger(shared_ledger) {}

    static constexpr const char* name = "kill";
    static constexpr const char* letters_name = "kill.letters";

    Ledger& ledger;

    // ----- how the operation's `prepare` wants it
    ChannelOptions options{.capacity = 4,
                           .inline_size = 40,
                           .region_size = 4096,
                           .max_participants = 8,
                           .max_groups = 5};
    GroupOptions policies{.ack = Ack::manual, .from = Start::earliest()};
    bool exclusive = false;      ///< the channel's producers
    bool may_create = false;     ///< before the operation nobody uses the channel, if there is one
    bool must_exist = false;     ///< after the operation there is one
    bool may_close = false;      ///< it closes the channel
    bool may_remove = false;     ///< it removes the channel
    bool may_drop = false;       ///< it settles messages that nobody acknowledged
    bool may_end_group = false;  ///< it ends the group of the workers
    bool redelivers = false;     ///< messages come more than once although nobody dies
    bool has_workers = true;     ///< the group exists
    bool sentinel_sleeps = false;  ///< a lease of the dead is noticed without its slow tick
    bool is_stepped = false;       ///< the operation takes many times as long as it usually does
    unsigned tries = 0;            ///< of the counterpart
    bool redrives = false;         ///< it publishes the dead letters of rejected messages again
    /// What survivors do besides, once everything is settled.
    std::function<void()> afterwards;

    // ----- the survivors of this process
    std::optional<Producer<>> producer;
    std::optional<Consumer<>> worker;
    std::optional<Consumer<>> subscriber;
    std::optional<Consumer<>> undertaker;  ///< reads the dead letters
    std::vector<Child> helpers;            ///< survivors with a process of their own

    // ----- building blocks; each notes what it does

    /// The channel, with a shared producer, a worker and a subscriber in this process.
    void create();
    /// The same without a producer: the operation's is exclusive.
    void create_for_exclusive();
    void create_letters();
    Channel<> open() const { return Channel<>::open(name); }
    Producer<> make_producer() const;
    Consumer<> join(WaitPolicy policy = WaitPolicy::parking()) const;

    unsigned new_message(std::size_t size);
    std::string text(unsigned id) const;
    void begin_send(unsigned id);
    void end_send(unsigned id, const Sent& sent);
    void end_send(unsigned id, Status status);
    Status send(Producer<>& from, std::size_t size = 24);
    void send_waiting(Producer<>& from);
    /// In this process, `count` messages.
    void publish(unsigned count, std::size_t size = 24);

    /// Notes a delivery and checks it; the message's id.
    unsigned delivered(Reader reader, const Message<>& message);
    /// The same without a look at the rest of it, for the middle of an operation.
    static unsigned id_of(const Message<>& message) {
        const char* const digits = message.text().data();
        return static_cast<unsigned>((digits[0] - '0') * 100 + (digits[1] - '0') * 10 +
                                     (digits[2] - '0'));
    }
    void begin_fate(Reader reader, unsigned id, Fate fate);
    void end_fate(Reader reader, unsigned id, Fate fate, Status status);
    void ack(Reader reader, unsigned id, Message<>& message);
    void work_once(Reader reader, Message<>&& message);
    /// Everything this process's subscriber, and the reader of dead letters, can get now.
    void read_all();
    /// The same for its worker.
    void work_all();

    /// A child that works in the group (or sends, or subscribes) for as long as the scene lasts,
    /// asleep by the time this returns.
    void start_parked_worker();
    void start_parked_producer();
    void start_parked_subscriber();
    void wait_until_parked(const Child& child);
    /// A child that does this and is killed at the end of it.
    void let_die(const std::function<void()>& body);

    // ----- afterwards

    [[gnu::format(printf, 2, 3)]] void violate(const char* format, ...);
    /// One message more, for a child that waits for one and whose message a survivor took.
    void nudge();
    /// Those that were stopped for the time of the operation.
    void resume_helpers();
    /// While the child is stopped: the survivors go on, or are told who holds them up.
    void go_on_beside(pid_t stopped);
    /// The child is dead, or its operation is complete. `killed_at` is the time of the kill.
    void check(bool completed, bool killed);

private:
    unsigned redriven(unsigned original, Position position);
    bool is_quiet(const ChannelReport& report, std::string& why) const;
    void drain();
    void check_report(const ChannelReport& report);
    void check_accounts();
    void check_redriven();
    void check_counters(const ChannelReport& report);
    void check_traffic();
    void check_tables();
    void check_removed();
    void check_closed();
    void check_removal();
    void forget_survivors();

    Position next_ = 0;  ///< of the subscriber
};

}
