// Calls of the interface from a stream of bytes. A model of a few maps says what each may return;
// every result is compared with it, and now and then what inspect() counts.
//
// Positions in the model are relative to the channel's first. Where a promise leaves room (what a
// full region still keeps, what `earliest` is under retention), so does the model.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "ipc/ipc.hpp"
#include "tests/fuzz/bytes.hpp"
#include "tests/support/channel_name.hpp"

namespace ipc::fuzz {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto never_due = std::chrono::hours(1);
constexpr auto soon_due = 1ms;
constexpr std::size_t most_readers = 8;
constexpr std::size_t most_hands = 40;
constexpr const char* group_names[] = {"first", "second"};

// ---------------------------------------------------------------------------------------- the
// model

/// One position that a group handed out, or got back, and that is not settled.
struct Lease {
    enum class State { reserved, leased, returned, delayed, dead_pending };
    State state;
    unsigned attempt;
    Clock::time_point due{};
};

struct Group {
    bool exists = false;
    unsigned incarnation = 0;
    GroupOptions options;
    std::int64_t start = 0;
    std::int64_t next = 0;  ///< lowest position never handed out
    std::map<std::int64_t, Lease> leases;
    // What inspect() counts.
    std::uint64_t redelivered = 0, returned = 0, rejected = 0, dead_lettered = 0, dropped = 0,
                  skipped = 0, purged = 0, acked = 0;

    bool lossy() const { return options.delivery == Delivery::lossy; }
    bool manual() const { return options.ack == Ack::manual; }
    std::int64_t low() const {
        return leases.empty() ? next : std::min(next, leases.begin()->first);
    }
    bool is_exhausted(const Lease& lease) const {
        return options.max_attempts != 0 && lease.attempt >= options.max_attempts;
    }
};

enum class Kind { member, lossy_member, subscriber, lossy_subscriber };

struct Reader {
    Kind kind;
    unsigned group = 0;  ///< members: which, and which of that name
    unsigned incarnation = 0;
    std::int64_t next = 0;  ///< subscribers
    std::set<std::int64_t> held;
    std::uint64_t skipped = 0;
    std::optional<Consumer<>> handle;

    std::int64_t low() const { return held.empty() ? next : std::min(next, *held.begin()); }
};

/// A message in user code, and the reader it keeps alive.
struct InHand {
    std::shared_ptr<Reader> reader;
    std::int64_t position;
    Message<> message;
};

struct Sender {
    struct Lent {
        Loan<> loan;
        std::string body;
    };
    std::optional<Producer<>> producer;
    bool exclusive = false;
    std::vector<Lent> loans;
};

struct Letter {
    std::string group;
    std::int64_t position;
    unsigned attempts;
    std::string reason;
    std::string body;
};

// ------------------------------------------------------------------------------------- the session

class Session {
public:
    explicit Session(Bytes& input);
    void step();
    void compare();

private:
    /// What a member is to get.
    struct Turn {
        std::int64_t position;
        unsigned attempt;
    };

    // What the model says.
    std::int64_t tail() const { return static_cast<std::int64_t>(bodies_.size()); }
    Position real(std::int64_t position) const {
        return first_ + static_cast<std::uint64_t>(position);
    }
    std::int64_t relative(Position position) const {
        return static_cast<std::int64_t>(position - first_);
    }
    /// Where a start or a look that names this position aims.
    std::int64_t aim(Position asked) const {
        const std::int64_t place = relative(asked);
        // Before the first only by going around: that comes after everything.
        return place < 0 && asked >= first_ ? tail() : place;
    }
    std::int64_t lowest_gate() const;
    bool has_room() const { return tail() - lowest_gate() < capacity_; }
    /// Subscribers may publish their position up to a step late.
    bool may_look_full() const { return tail() - lowest_gate() + step_ - 1 >= capacity_; }
    std::int64_t oldest_kept_for_sure() const;
    bool exclusive_lives() const;
    unsigned producers() const;
    Group* group_of(const Reader& reader);
    std::optional<Turn> turn_of(Group& group, unsigned number);

    // The calls of the interface.
    void attach_producer(Sender& sender);
    void send(Sender& sender);
    void send_batch(Sender& sender);
    void lend(Sender& sender);
    void publish_loan(Sender& sender);
    void join(std::shared_ptr<Reader>& slot);
    void subscribe(std::shared_ptr<Reader>& slot);
    void receive(const std::shared_ptr<Reader>& reader);
    void receive_batch(const std::shared_ptr<Reader>& reader);
    void settle_one();
    void purge();
    void remove_group();
    void close();
    void close_by(Sender& sender);
    void peek();
    void try_peek(Reader& reader);

    // What follows from them.
    std::string new_body(std::size_t size);
    void sent(Status status, Position position, std::string body, bool room, bool in_region,
              bool own_loans);
    void note_closing(bool published);
    void check_start(const Start& start, std::int64_t position, std::uint64_t skipped) const;
    void check_content(const Message<>& message, std::int64_t position);
    void take(Reader& reader, const Message<>& message);
    void nothing_taken(Reader& reader, Status status, Status when_empty);
    void moved(Reader& reader, std::int64_t before, const std::vector<std::int64_t>& received);
    void keep(const std::shared_ptr<Reader>& reader, Message<>&& message);
    bool settle(InHand& hand);
    void let_go(InHand& hand);
    void bury(Group& group, unsigned number, std::int64_t position, unsigned attempts,
              const char* reason);
    void bury_exhausted(Group& group, unsigned number, std::int64_t end);
    void await_delays(Group& group);
    void end_groups();
    void check_letters();

    Bytes& input_;
    const test::ChannelName name_{"semantics"};
    const test::ChannelName letters_name_{"letters"};
    const test::ChannelName missing_{"missing"};
    const ChannelOptions options_;
    Channel<> channel_;
    Channel<> letters_channel_;
    const Position first_;
    const std::int64_t capacity_;
    const std::int64_t step_;
    std::vector<std::string> bodies_;  ///< of every message, by position
    std::uint64_t bytes_ = 0;
    bool closed_ = false;
    bool close_asked_ = false;
    bool region_used_ = false;  ///< history may then be shorter than the ring
    std::uint8_t serial_ = 0;
    std::array<Sender, 2> senders_;
    std::array<Group, 2> groups_;
    std::array<std::shared_ptr<Reader>, 5> readers_;
    std::vector<std::weak_ptr<Reader>> readers_alive_;  ///< by their handle, or by messages alone
    std::vector<InHand> hands_;
    std::vector<Letter> letters_;  ///< sent since the last look
    Position next_letter_ = 0;
};

ChannelOptions options_from(Bytes& input) {
    const std::uint8_t shape = input.byte();
    const std::uint32_t capacities[] = {1, 2, 4, 8, 16, 32};
    const std::uint32_t capacity = capacities[shape % 6];
    const Position wraps[] = {0, std::uint64_t{1} << 44, std::uint64_t{1} << 48,
                              std::uint64_t{capacity} << 32};
    return {.capacity = capacity,
            .inline_size = 40,
            .region_size = (shape & 0x40) != 0 ? 4096U : 0U,
            .max_participants = 24,
            .max_groups = 12,
            .first_position = wraps[input.byte() % 4] - input.byte() % 16};
}

Session::Session(Bytes& input)
    : input_(input),
      options_(options_from(input)),
      channel_(Channel<>::create(name_, options_)),
      letters_channel_(Channel<>::create(
          letters_name_,
          // Room for all that one look may bury: they are compared after it.
          {.capacity = 64, .region_size = 256 << 10, .max_participants = 10, .max_groups = 1})),
      first_(options_.first_position),
      capacity_(options_.capacity),
      step_(std::max<std::int64_t>(1, capacity_ / 16)) {
    attach_producer(senders_[0]);
}

std::int64_t Session::lowest_gate() const {
    std::int64_t lowest = tail();
    for (const Group& group : groups_)
        if (group.exists && !group.lossy()) lowest = std::min(lowest, group.low());
    for (const auto& each : readers_alive_) {
        const auto reader = each.lock();
        if (reader && reader->kind == Kind::subscriber) lowest = std::min(lowest, reader->low());
    }
    return lowest;
}

std::int64_t Session::oldest_kept_for_sure() const {
    return region_used_ ? tail() : std::max<std::int64_t>(0, tail() - capacity_ + step_);
}

bool Session::exclusive_lives() const {
    return std::any_of(senders_.begin(), senders_.end(),
                       [](const Sender& sender) { return sender.producer && sender.exclusive; });
}

unsigned Session::producers() const {
    return static_cast<unsigned>(
        std::count_if(senders_.begin(), senders_.end(),
                      [](const Sender& sender) { return sender.producer.has_value(); }));
}

/// The group a member belongs to, while it exists.
Group* Session::group_of(const Reader& reader) {
    if (reader.kind != Kind::member && reader.kind != Kind::lossy_member) return nullptr;
    Group& group = groups_[reader.group];
    return group.exists && group.incarnation == reader.incarnation ? &group : nullptr;
}

// ---------------------------------------------------------------------------------------- sending

std::string Session::new_body(std::size_t size) {
    std::string body(size, '\0');
    ++serial_;
    for (std::size_t i = 0; i < size; ++i)
        body[i] = static_cast<char>(serial_ * std::size_t{31} + i * 7 + (i >> 8));
    return body;
}

void Session::attach_producer(Sender& sender) {
    sender.loans.clear();
    sender.producer.reset();
    const bool exclusive = input_.below(4) == 3;
    const bool refused = exclusive ? producers() != 0 : exclusive_lives();
    try {
        sender.producer.emplace(exclusive ? channel_.exclusive_producer() : channel_.producer());
    } catch (const Error& error) {
        require(refused && error.code() == Errc::producer_lives, error.what());
        return;
    }
    require(!refused, "an exclusive producer is alone");
    sender.exclusive = exclusive;
    note_closing(true);
}

/// After a publish, or an attach, of somebody who has to honour a request to close.
void Session::note_closing(bool published) {
    if (!close_asked_ || closed_) return;
    closed_ = inspect(name_).closed;
    if (published) {
        require(closed_ || may_look_full(), "a request to close is honoured at the next publish");
    }
}

void Session::sent(Status status, Position position, std::string body, bool room, bool in_region,
                   bool own_loans) {
    if (status == Status::ok) {
        require(!closed_, "nothing is published after the end");
        require(room, "nothing is published into a ring that a group keeps full");
        require(position == real(tail()), "positions count up by one");
        bytes_ += body.size();
        bodies_.push_back(std::move(body));
        note_closing(true);
        return;
    }
    if (status == Status::closed) {
        note_closing(false);
        require(closed_, "closed is said of a closed channel only");
        return;
    }
    require(!closed_, "closed is said of every closed channel");
    if (status == Status::own_loan) {
        require(in_region && own_loans, "own_loan is said of own loans only");
        return;
    }
    require(status == Status::full || status == Status::timed_out, "sending ends in a known way");
    const bool held_somewhere = lowest_gate() != tail();
    require(may_look_full() || (in_region && (held_somewhere || own_loans)),
            "a producer is refused only while a reader holds it up");
}

void Session::send(Sender& sender) {
    if (!sender.producer) return;
    const std::size_t largest = options_.region_size == 0 ? 40 : 4096;
    const std::size_t size =
        input_.below(3) == 0 ? input_.below(4200) : input_.below(options_.inline_size + 1);
    std::string body = new_body(size);
    const bool room = has_room();
    const bool in_region = size > options_.inline_size;
    Sent result = Status::ok;
    switch (input_.below(4)) {
        case 0: result = sender.producer->send_for(body, 0ns); break;
        case 1: result = sender.producer->send_for(body, 5us); break;
        default: result = sender.producer->try_send(body); break;
    }
    if (size > largest) {
        require(result.status() == Status::too_large, "what is too large is refused");
        return;
    }
    region_used_ |= in_region;
    sent(result.status(), result.position(), std::move(body), room, in_region,
         !sender.loans.empty());
}

void Session::send_batch(Sender& sender) {
    if (!sender.producer) return;
    std::vector<std::string> bodies;
    const unsigned count = 1 + input_.below(6);
    for (unsigned i = 0; i < count; ++i)
        bodies.push_back(new_body(input_.below(options_.inline_size + 1)));
    const std::vector<std::string_view> items(bodies.begin(), bodies.end());
    const auto result = input_.flip() ? sender.producer->try_send_batch(items)
                                      : sender.producer->send_batch_for(items, 0ns);
    require(result.count() <= items.size(), "a batch is not longer than asked for");
    require(static_cast<bool>(result) == (result.count() == items.size()),
            "a batch is ok when all of it was sent");
    const bool was_asked = close_asked_ && !closed_;
    for (std::size_t i = 0; i < result.count(); ++i) {
        require(!closed_ && has_room(), "a batch is sent as its messages would be");
        bytes_ += bodies[i].size();
        bodies_.push_back(std::move(bodies[i]));
    }
    if (was_asked) note_closing(result.count() != 0);
    if (!result) sent(result.status(), 0, {}, has_room(), false, false);
}

void Session::lend(Sender& sender) {
    if (!sender.producer || sender.loans.size() >= 3) return;
    const std::size_t size = input_.below(4200);
    const std::size_t largest = options_.region_size == 0 ? 40 : 4096;
    auto loan = sender.producer->try_loan(size);
    const Status status = loan.status();
    if (size > largest || options_.region_size == 0) {
        // Loans live in the region.
        require(status == Status::too_large, "a loan that cannot fit is refused");
        return;
    }
    region_used_ = true;
    if (status == Status::closed) {
        note_closing(false);
        require(closed_, "closed is said of a closed channel only");
    } else if (status == Status::own_loan) {
        require(!sender.loans.empty(), "own_loan is said of own loans only");
    } else if (status == Status::full) {
        require(!closed_, "closed is said of a closed channel");
        require(lowest_gate() != tail(), "a loan is refused only while a reader holds the region");
    } else {
        require(status == Status::ok, "a loan ends in a known way");
        std::string body = new_body(size);
        std::copy(body.begin(), body.end(), reinterpret_cast<char*>(loan.bytes().data()));
        if (input_.below(4) == 0) {
            body.resize(input_.below(size + 1));
            loan.resize(body.size());
        }
        sender.loans.push_back({std::move(loan), std::move(body)});
    }
}

void Session::publish_loan(Sender& sender) {
    if (sender.loans.empty()) return;
    const auto chosen =
        sender.loans.begin() + static_cast<std::ptrdiff_t>(input_.below(sender.loans.size()));
    if (input_.below(3) == 0) {
        sender.loans.erase(chosen);
        return;
    }
    const bool room = has_room();
    const Sent result = std::move(chosen->loan).try_publish();
    require(result.status() != Status::own_loan, "a loan has its space");
    if (result) {
        std::string body = std::move(chosen->body);
        sender.loans.erase(chosen);
        sent(Status::ok, result.position(), std::move(body), room, false, false);
    } else {
        require(static_cast<bool>(chosen->loan), "a loan that was not published is still there");
        sent(result.status(), 0, {}, room, false, false);
    }
}

// ---------------------------------------------------------------------------------------- joining

Start start_from(Bytes& input, Position first, std::int64_t tail) {
    switch (input.below(3)) {
        case 0: return Start::latest();
        case 1: return Start::earliest();
        default: {
            const auto far = static_cast<std::int64_t>(input.byte()) - 8;
            return Start::at(first + static_cast<std::uint64_t>(std::min(far, tail + 4)));
        }
    }
}

void Session::check_start(const Start& start, std::int64_t position, std::uint64_t skipped) const {
    const std::int64_t lowest = std::max<std::int64_t>(0, tail() - capacity_);
    const bool at_oldest = position >= lowest && position <= oldest_kept_for_sure();
    switch (start.kind) {
        case Start::Kind::latest:
            require(position == tail() && skipped == 0, "latest starts after the newest message");
            return;
        case Start::Kind::earliest:
            require(at_oldest && skipped == 0, "earliest starts at the oldest message kept");
            return;
        case Start::Kind::position: {
            const std::int64_t asked = aim(start.position);
            if (position == std::min(asked, tail())) {
                require(skipped == 0, "what was not missed is not counted");
            } else {
                require(at_oldest && position > asked, "what is gone starts at the oldest kept");
                require(skipped == static_cast<std::uint64_t>(position - asked),
                        "what was missed at the start is counted");
            }
        }
    }
}

std::string describe(const GroupOptions& options) {
    return std::to_string(static_cast<int>(options.delivery)) +
           std::to_string(static_cast<int>(options.lifetime)) +
           std::to_string(static_cast<int>(options.ack)) + "/" +
           std::to_string(options.max_attempts) + "/" +
           std::to_string(options.lease_limit.count()) + "/" + options.dead_letter;
}

void Session::join(std::shared_ptr<Reader>& slot) {
    const unsigned number = input_.below(2);
    Group& group = groups_[number];
    GroupOptions options = group.options;
    if (!group.exists || input_.below(8) == 0) {
        const std::uint8_t shape = input_.byte();
        options = {};
        options.delivery = (shape & 3) == 3 ? Delivery::lossy : Delivery::reliable;
        options.lifetime = (shape & 4) != 0 ? Lifetime::ephemeral : Lifetime::durable;
        options.ack = (shape & 8) != 0 ? Ack::manual : Ack::automatic;
        options.max_attempts = (shape & 16) != 0 ? 1 + (shape & 1U) : 0;
        if ((shape & 32) != 0) options.lease_limit = never_due;
        if ((shape & 64) != 0) options.dead_letter = (shape & 128) != 0 ? missing_ : letters_name_;
        if ((shape & 128) != 0 && (shape & 64) == 0 && (shape & 3) == 3) {
            options.dead_letter = name_.str();
        }
        if (options.delivery == Delivery::lossy && (shape & 128) == 0) {
            options = {.delivery = Delivery::lossy, .lifetime = options.lifetime};
        }
    }
    options.from = start_from(input_, first_, tail());
    const bool lossy = options.delivery == Delivery::lossy;
    const bool meaningless =
        lossy && (options.ack == Ack::manual || options.max_attempts != 0 ||
                  options.lease_limit.count() != 0 || !options.dead_letter.empty());
    const bool differs = group.exists && describe(group.options) != describe(options);
    auto reader = std::make_shared<Reader>();
    try {
        reader->handle.emplace(channel_.join(group_names[number], options));
    } catch (const Error& error) {
        require((meaningless && error.code() == Errc::bad_options) ||
                    (differs && error.code() == Errc::options_differ),
                error.what());
        return;
    }
    require(!meaningless, "a lossy group has no acknowledgements");
    require(!differs, "a group keeps its policies");
    reader->kind = lossy ? Kind::lossy_member : Kind::member;
    reader->group = number;
    reader->skipped = reader->handle->skipped();
    if (!group.exists) {
        const std::int64_t start = relative(reader->handle->position());
        check_start(options.from, start, reader->skipped);
        const unsigned incarnation = group.incarnation + 1;
        group = {};
        group.exists = true;
        group.incarnation = incarnation;
        group.options = options;
        group.start = group.next = start;
        group.skipped = reader->skipped;
    } else {
        require(reader->skipped == 0, "who joins an existing group missed nothing");
    }
    reader->incarnation = group.incarnation;
    readers_alive_.push_back(reader);
    slot = std::move(reader);
}

void Session::subscribe(std::shared_ptr<Reader>& slot) {
    const bool lossy = input_.flip();
    const Start start = start_from(input_, first_, tail());
    auto reader = std::make_shared<Reader>();
    reader->kind = lossy ? Kind::lossy_subscriber : Kind::subscriber;
    reader->handle.emplace(channel_.subscribe(
        {.delivery = lossy ? Delivery::lossy : Delivery::reliable, .from = start}));
    reader->next = relative(reader->handle->position());
    reader->skipped = reader->handle->skipped();
    check_start(start, reader->next, reader->skipped);
    readers_alive_.push_back(reader);
    slot = std::move(reader);
}

// -------------------------------------------------------------------------------------- receiving

/// Delays of a moment are over before anybody looks, so that all is certain.
void Session::await_delays(Group& group) {
    for (const auto& [position, lease] : group.leases) {
        if (lease.state != Lease::State::delayed || lease.due > Clock::now() + 1min) continue;
        std::this_thread::sleep_until(lease.due);
    }
    for (auto& [position, lease] : group.leases) {
        if (lease.state == Lease::State::delayed && lease.due <= Clock::now()) {
            lease.state = Lease::State::returned;
        }
    }
}

void Session::bury(Group& group, unsigned number, std::int64_t position, unsigned attempts,
                   const char* reason) {
    const std::string& target = group.options.dead_letter;
    if (target == missing_.str()) {
        group.leases[position] = {Lease::State::dead_pending, attempts};
        return;
    }
    group.leases.erase(position);
    if (target.empty()) {
        ++group.dropped;
        return;
    }
    ++group.dead_lettered;
    letters_.push_back({group_names[number], position, attempts, reason,
                        bodies_[static_cast<std::size_t>(position)]});
}

/// A look for what was given back meets, below `end`, what has no attempt left.
void Session::bury_exhausted(Group& group, unsigned number, std::int64_t end) {
    std::vector<std::int64_t> exhausted;
    for (const auto& [position, lease] : group.leases) {
        if (position < end && lease.state == Lease::State::returned && group.is_exhausted(lease)) {
            exhausted.push_back(position);
        }
    }
    for (const std::int64_t position : exhausted)
        bury(group, number, position, group.leases[position].attempt, "attempts exhausted");
}

/// A lossy reader went from `before` to where it is now, and got the messages at `received`.
void Session::moved(Reader& reader, std::int64_t before,
                    const std::vector<std::int64_t>& received) {
    Group* const group = group_of(reader);
    const std::int64_t now = relative(reader.handle->position());
    const std::uint64_t missed = reader.handle->skipped() - reader.skipped;
    reader.skipped += missed;
    require(now <= tail(), "a reader does not run ahead");
    require(now - before ==
                static_cast<std::int64_t>(missed) + static_cast<std::int64_t>(received.size()),
            "what a lossy reader missed is counted");
    require(missed == 0 || before < oldest_kept_for_sure(),
            "a lossy reader misses only what is not kept any more");
    std::int64_t last = before - 1;
    for (const std::int64_t position : received) {
        require(position > last && position < now, "a lossy reader gets messages in order");
        last = position;
    }
    (group != nullptr ? group->next : reader.next) = now;
    if (group != nullptr) group->skipped += missed;
}

/// What the next look of a member takes: the oldest that was given back, else the next new one.
/// What has no attempt left is buried on the way.
std::optional<Session::Turn> Session::turn_of(Group& group, unsigned number) {
    const auto found =
        std::find_if(group.leases.begin(), group.leases.end(), [&](const auto& entry) {
            return entry.second.state == Lease::State::returned &&
                   !group.is_exhausted(entry.second);
        });
    if (found == group.leases.end()) {
        bury_exhausted(group, number, tail());
        if (group.next == tail()) return std::nullopt;
        return Turn{group.next++, 1};
    }
    const Turn turn{found->first, found->second.attempt + 1};
    bury_exhausted(group, number, turn.position);
    return turn;
}

void Session::check_content(const Message<>& message, std::int64_t position) {
    require(relative(message.position()) == position, "messages come in the order promised");
    require(position >= 0 && position < tail(), "what is received was sent");
    require(message.text() == bodies_[static_cast<std::size_t>(position)],
            "a message arrives as it was sent");
}

void Session::take(Reader& reader, const Message<>& message) {
    Group* const group = group_of(reader);
    switch (reader.kind) {
        case Kind::subscriber:
            check_content(message, reader.next);
            reader.held.insert(reader.next++);
            break;
        case Kind::lossy_subscriber:
            check_content(message, relative(message.position()));
            moved(reader, reader.next, {relative(message.position())});
            break;
        case Kind::lossy_member:
            require(group != nullptr, "a group that ended hands nothing out");
            check_content(message, relative(message.position()));
            moved(reader, group->next, {relative(message.position())});
            break;
        case Kind::member:
            require(group != nullptr, "a group that ended hands nothing out");
            const auto turn = turn_of(*group, reader.group);
            require(turn.has_value(), "a group hands each message to one member at a time");
            check_content(message, turn->position);
            require(message.attempt() == turn->attempt, "attempts count deliveries");
            group->leases[turn->position] = {Lease::State::leased, turn->attempt};
            if (turn->attempt > 1) ++group->redelivered;
            return;
    }
    require(message.attempt() == 1, "without leases there is one attempt");
}

void Session::nothing_taken(Reader& reader, Status status, Status when_empty) {
    Group* const group = group_of(reader);
    if (group == nullptr && (reader.kind == Kind::member || reader.kind == Kind::lossy_member)) {
        require(status == Status::removed, "members of a group that ended are told");
        return;
    }
    require(status == Status::closed || status == when_empty, "receiving ends in a known way");
    bool finished = closed_;
    if (reader.kind == Kind::subscriber) {
        require(reader.next == tail(), "a subscriber gets what is there");
    } else if (reader.kind != Kind::member) {
        moved(reader, group != nullptr ? group->next : reader.next, {});
        require((group != nullptr ? group->next : reader.next) == tail(),
                "a lossy reader gets what is there");
    } else {
        require(!turn_of(*group, reader.group), "a member gets what is there");
        for (const auto& entry : group->leases) {
            const bool own = std::any_of(hands_.begin(), hands_.end(), [&](const InHand& hand) {
                return hand.reader.get() == &reader && hand.position == entry.first;
            });
            if (entry.second.state != Lease::State::dead_pending && !own) finished = false;
        }
    }
    require((status == Status::closed) == finished,
            "closed is said when all is settled, and then only");
}

void Session::receive(const std::shared_ptr<Reader>& reader) {
    if (!reader || !reader->handle || hands_.size() >= most_hands) return;
    if (Group* const group = group_of(*reader)) await_delays(*group);
    const unsigned way = input_.below(8);
    auto message = way == 0   ? reader->handle->receive_for(0ns)
                   : way == 1 ? reader->handle->receive_for(5us)
                              : reader->handle->try_receive();
    if (!message) {
        nothing_taken(*reader, message.status(), way <= 1 ? Status::timed_out : Status::empty);
        return;
    }
    take(*reader, message);
    keep(reader, std::move(message));
}

void Session::keep(const std::shared_ptr<Reader>& reader, Message<>&& message) {
    const std::int64_t position = relative(message.position());
    hands_.push_back({reader, position, std::move(message)});
}

void Session::receive_batch(const std::shared_ptr<Reader>& reader) {
    if (!reader || !reader->handle || hands_.size() >= most_hands) return;
    Group* const group = group_of(*reader);
    if (group != nullptr) await_delays(*group);
    const std::size_t most = 1 + input_.below(6);
    auto batch = reader->handle->try_receive_batch(most);
    require(batch.size() <= most, "a batch is not longer than asked for");
    if (!batch) {
        nothing_taken(*reader, batch.status(), Status::empty);
        return;
    }
    if (reader->kind == Kind::subscriber) {
        for (Message<>& message : batch) {
            take(*reader, message);
            keep(reader, std::move(message));
        }
        return;
    }
    if (reader->kind != Kind::member) {
        std::vector<std::int64_t> received;
        for (const Message<>& message : batch) {
            received.push_back(relative(message.position()));
            check_content(message, received.back());
        }
        moved(*reader, group != nullptr ? group->next : reader->next, received);
        return;
    }
    require(group != nullptr, "a group that ended hands nothing out");
    std::vector<Turn> turns;
    for (std::size_t i = 0; i < batch.size(); ++i) {
        const auto turn = turn_of(*group, reader->group);
        require(turn.has_value(), "a group hands each message to one member at a time");
        group->leases[turn->position] = {Lease::State::reserved, turn->attempt};
        turns.push_back(*turn);
    }
    if (batch.size() < most) {
        require(!turn_of(*group, reader->group), "a batch takes what is there");
    }
    if (input_.below(4) == 0) {
        require(batch.ack_all() == turns.size(), "ack_all acknowledges a batch, iterated or not");
        for (const Turn& turn : turns)
            group->leases.erase(turn.position);
        group->acked += turns.size();
        return;
    }
    std::size_t walked = 0;
    const std::size_t end = 1 + input_.below(7);
    for (Message<>& message : batch) {
        const Turn& turn = turns.at(walked++);
        check_content(message, turn.position);
        require(message.attempt() == turn.attempt, "attempts count deliveries");
        group->leases[turn.position].state = Lease::State::leased;
        if (turn.attempt > 1) ++group->redelivered;
        keep(reader, std::move(message));
        if (walked == end) break;
    }
    require(walked == std::min(end, turns.size()), "a batch hands out all of its messages");
    for (; walked < turns.size(); ++walked) {
        // They go back with the batch, and it was no delivery.
        group->leases[turns[walked].position] = {Lease::State::returned, turns[walked].attempt - 1};
        ++group->returned;
    }
}

// --------------------------------------------------------------------------------------- settling

/// The message's object ends unsettled.
void Session::let_go(InHand& hand) {
    if (hand.reader->kind == Kind::subscriber) hand.reader->held.erase(hand.position);
    Group* const group = group_of(*hand.reader);
    if (group == nullptr || group->lossy()) return;
    if (group->manual()) {
        group->leases[hand.position].state = Lease::State::returned;
        ++group->returned;
    } else {
        group->leases.erase(hand.position);
        ++group->acked;
    }
}

/// True when the message is over.
bool Session::settle(InHand& hand) {
    const bool leased = hand.reader->kind == Kind::member;
    Group* const group = group_of(*hand.reader);
    const Status expected = !leased            ? Status::not_leased
                            : group == nullptr ? Status::lease_lost
                                               : Status::ok;
    switch (input_.below(8)) {
        case 0: {
            require(hand.message.nack().status() == expected, "nack says whether it counted");
            if (expected == Status::ok) {
                group->leases[hand.position].state = Lease::State::returned;
                ++group->returned;
            }
            return leased;
        }
        case 1: {
            const bool soon = input_.below(8) != 0;
            const Status status =
                hand.message.nack(soon ? soon_due : std::chrono::milliseconds(never_due)).status();
            require(status == expected, "nack says whether it counted");
            if (status == Status::ok) {
                Lease& lease = group->leases[hand.position];
                lease.state = Lease::State::delayed;
                lease.due = Clock::now() + (soon ? soon_due : Clock::duration(never_due));
                ++group->returned;
            }
            return leased;
        }
        case 2: {
            require(hand.message.reject().status() == expected, "reject says whether it counted");
            if (expected == Status::ok) {
                ++group->rejected;
                bury(*group, hand.reader->group, hand.position,
                     group->leases[hand.position].attempt, "rejected");
            }
            return leased;
        }
        case 3:
            require(hand.message.renew().status() == expected, "renew says whether it is held");
            return false;
        case 4:
            require(hand.message.held() == (expected != Status::lease_lost),
                    "held says whether the lease lasts");
            // What is not held any more may be overwritten.
            if (expected != Status::lease_lost) {
                require(hand.message.intact(), "what is held is whole");
                check_content(hand.message, hand.position);
            }
            return false;
        case 5: let_go(hand); return true;
        default: {
            const Status status = hand.message.ack().status();
            require(status == (expected == Status::lease_lost ? expected : Status::ok),
                    "ack says whether it counted");
            if (hand.reader->kind == Kind::subscriber) hand.reader->held.erase(hand.position);
            if (expected == Status::ok) {
                group->leases.erase(hand.position);
                ++group->acked;
            }
            require(hand.message.ack().status() == Status::not_leased, "a message is settled once");
            return true;
        }
    }
}

/// Groups that were to end with their last member.
void Session::end_groups() {
    std::erase_if(readers_alive_, [](const auto& reader) { return reader.expired(); });
    for (Group& group : groups_) {
        if (!group.exists || group.options.lifetime == Lifetime::durable) continue;
        const bool has_member =
            std::any_of(readers_alive_.begin(), readers_alive_.end(),
                        [&](const auto& reader) { return group_of(*reader.lock()) == &group; });
        if (!has_member) group.exists = false;
    }
}

// --------------------------------------------------------------------------------- administration

void Session::purge() {
    const unsigned number = input_.below(2);
    Group& group = groups_[number];
    std::uint64_t expected = static_cast<std::uint64_t>(tail() - group.next);
    try {
        const std::uint64_t purged = channel_.purge(group_names[number]);
        require(group.exists, "what does not exist cannot be purged");
        for (auto each = group.leases.begin(); each != group.leases.end();) {
            const bool waits = each->second.state == Lease::State::returned ||
                               each->second.state == Lease::State::delayed;
            expected += waits ? 1 : 0;
            each = waits ? group.leases.erase(each) : std::next(each);
        }
        group.next = tail();
        group.purged += purged;
        require(purged == expected, "purge counts what waited");
    } catch (const Error& error) {
        require(!group.exists && error.code() == Errc::not_found, error.what());
    }
}

void Session::remove_group() {
    const unsigned number = input_.below(2);
    Group& group = groups_[number];
    try {
        channel_.remove_group(group_names[number]);
        require(group.exists, "what does not exist cannot be removed");
        group.exists = false;
    } catch (const Error& error) {
        require(!group.exists && error.code() == Errc::not_found, error.what());
    }
}

void Session::close() {
    const Status status = channel_.close(0ns).status();
    if (status == Status::ok) {
        require(closed_ || close_asked_ || (has_room() && !exclusive_lives()),
                "closing takes a position");
        closed_ = true;
        return;
    }
    require(status == Status::timed_out && !closed_, "closing ends in a known way");
    require(exclusive_lives() || may_look_full(), "closing waits for room only");
    if (exclusive_lives()) close_asked_ = true;
}

void Session::close_by(Sender& sender) {
    if (!sender.producer) return;
    std::stop_source stop;
    stop.request_stop();
    const Status status = sender.producer->close(stop.get_token()).status();
    if (status == Status::ok) {
        require(closed_ || has_room(), "closing takes a position");
        closed_ = true;
    } else {
        require(status == Status::interrupted && !closed_, "closing ends in a known way");
        require(may_look_full(), "closing waits for room only");
    }
}

// --------------------------------------------------------------------------------------- watching

void Session::peek() {
    const std::size_t most = 1 + input_.below(20);
    const Position from = real(static_cast<std::int64_t>(input_.below(64)) - 2);
    const bool whole = input_.flip();
    const auto seen = channel_.peek(whole ? std::nullopt : std::optional(from), most);
    std::int64_t next = std::max<std::int64_t>(0, tail() - capacity_);
    if (!whole) next = std::max(next, aim(from));
    if (seen.empty()) {
        require(next >= tail() || oldest_kept_for_sure() == tail(), "what is kept can be seen");
        return;
    }
    const std::int64_t start = relative(seen.front().position);
    require(start >= next && start <= std::max(next, oldest_kept_for_sure()),
            "what is kept can be seen");
    next = start;
    for (const PeekedMessage& message : seen) {
        require(relative(message.position) == next && next < tail(), "a look leaves nothing out");
        const std::string& body = bodies_[static_cast<std::size_t>(next)];
        require(std::equal(body.begin(), body.end(), message.body.begin(), message.body.end(),
                           [](char a, std::byte b) { return std::byte(a) == b; }),
                "a look shows what was sent");
        ++next;
    }
    require(next == tail() || seen.size() == most, "a look leaves nothing out");
}

void Session::try_peek(Reader& reader) {
    if (!reader.handle) return;
    auto message = reader.handle->try_peek();
    if (reader.kind == Kind::member || reader.kind == Kind::subscriber) {
        require(message.status() == Status::not_leased, "only lossy readers peek");
        return;
    }
    Group* const group = group_of(reader);
    if (!message) {
        if (message.status() == Status::removed) {
            require(group == nullptr && reader.kind == Kind::lossy_member,
                    "members of a group that ended are told");
        } else if (group != nullptr || reader.kind == Kind::lossy_subscriber) {
            nothing_taken(reader, message.status(), Status::empty);
        }
        return;
    }
    require(message.intact(), "nobody writes meanwhile");
    if (group == nullptr && reader.kind == Kind::lossy_member) return;  // it ended; looking is free
    moved(reader, group != nullptr ? group->next : reader.next, {});
    check_content(message, group != nullptr ? group->next : reader.next);
    require(message.ack().status() == Status::not_leased, "a look settles nothing");
}

void Session::compare() {
    const ChannelReport report = inspect(name_);
    require(relative(report.tail) == tail(), "inspect knows the tail");
    require(report.closed == closed_, "inspect knows the end");
    require(report.published == bodies_.size() && report.published_bytes == bytes_,
            "inspect counts what was sent");
    require(report.producers() == producers(), "inspect knows who produces");
    require(report.aborted == 0, "nobody died");
    for (unsigned i = 0; i < groups_.size(); ++i) {
        const Group& group = groups_[i];
        const GroupReport* const seen = report.find_group(group_names[i]);
        require((seen != nullptr) == group.exists, "inspect knows the groups");
        if (seen == nullptr) continue;
        std::uint64_t in_flight = 0;
        std::uint64_t pending = 0;
        for (const auto& [position, lease] : group.leases) {
            in_flight += lease.state == Lease::State::leased ? 1 : 0;
            pending += lease.state == Lease::State::dead_pending ? 1 : 0;
        }
        const auto waiting = group.leases.size() - in_flight - pending;
        const auto backlog = static_cast<std::uint64_t>(tail() - group.next) + waiting;
        require(relative(seen->position) == group.next, "inspect knows what comes next");
        require(seen->backlog == std::min<std::uint64_t>(backlog, options_.capacity),
                "inspect knows the backlog");
        require(seen->in_flight == in_flight, "inspect knows what is in flight");
        require(seen->dead_pending == pending, "inspect knows what waits for its dead letter");
        require(seen->skipped == group.skipped, "inspect counts what was skipped");
        require(seen->purged == group.purged, "inspect counts what was purged");
        require(relative(seen->start) == group.start, "inspect knows where a group began");
        if (group.lossy()) continue;
        require(seen->acked == group.acked, "inspect counts acknowledgements");
        require(seen->redelivered == group.redelivered, "inspect counts redeliveries");
        require(seen->returned == group.returned, "inspect counts what was given back");
        require(seen->rejected == group.rejected, "inspect counts rejections");
        require(seen->dead_lettered == group.dead_lettered, "inspect counts dead letters");
        require(seen->dropped == group.dropped, "inspect counts what was dropped");
    }
}

void Session::check_letters() {
    if (letters_.empty()) return;
    const auto seen = letters_channel_.peek(next_letter_, letters_.size() + 1);
    require(seen.size() == letters_.size(), "each dead letter is sent once");
    for (std::size_t i = 0; i < seen.size(); ++i) {
        const Letter& letter = letters_[i];
        require(seen[i].origin.has_value(), "a dead letter knows its origin");
        const Origin& origin = *seen[i].origin;
        require(origin.channel == name_.str() && origin.group == letter.group &&
                    relative(origin.position) == letter.position &&
                    origin.attempts == letter.attempts && origin.reason == letter.reason,
                "a dead letter knows its origin");
        require(
            std::equal(letter.body.begin(), letter.body.end(), seen[i].body.begin(),
                       seen[i].body.end(), [](char a, std::byte b) { return std::byte(a) == b; }),
            "a dead letter is what was sent");
        next_letter_ = seen[i].position + 1;
    }
    letters_.clear();
}

// -------------------------------------------------------------------------------------------- run

void Session::step() {
    Sender& sender = senders_[input_.below(senders_.size())];
    auto& reader = readers_[input_.below(readers_.size())];
    switch (input_.below(24)) {
        case 0:
        case 1:
        case 2:
        case 3: send(sender); break;
        case 4: send_batch(sender); break;
        case 5: lend(sender); break;
        case 6: publish_loan(sender); break;
        case 7: attach_producer(sender); break;
        case 8:
            sender.loans.clear();
            sender.producer.reset();
            break;
        case 9:
        case 10:
            if (!reader && readers_alive_.size() < most_readers) join(reader);
            break;
        case 11:
            if (!reader && readers_alive_.size() < most_readers) subscribe(reader);
            break;
        case 12: reader.reset(); break;
        case 13: receive_batch(reader); break;
        case 14: purge(); break;
        case 15: remove_group(); break;
        case 16:
            if (input_.below(4) == 0) close();
            break;
        case 17:
            if (input_.below(4) == 0) close_by(sender);
            break;
        case 18: peek(); break;
        case 19:
            if (reader) try_peek(*reader);
            break;
        case 20: compare(); break;
        case 21:
        case 22: settle_one(); break;
        default: receive(reader); break;
    }
    end_groups();
    check_letters();
}

void Session::settle_one() {
    if (hands_.empty()) return;
    const auto chosen = hands_.begin() + static_cast<std::ptrdiff_t>(input_.below(hands_.size()));
    if (settle(*chosen)) hands_.erase(chosen);
}

}  // namespace

void semantics(Input bytes) {
    Bytes input(bytes);
    Session session(input);
    while (!input.done())
        session.step();
    session.compare();
}

}  // namespace ipc::fuzz
