#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <stop_token>
#include <string>

#include "ipc/base/status.hpp"
#include "ipc/export.hpp"

namespace ipc::inline v1 {

/// How a channel is made. Everything here is fixed for the channel's life and compared when another
/// process opens it with `open_or_create`; only `mode` and `group_id` are not compared.
struct ChannelOptions {
    /// Messages the ring holds; rounded up to a power of two. 1 to 2^24. Of messages that everybody
    /// had, all but the oldest sixteenth stay readable, fewer if regions are too small for them.
    std::uint32_t capacity = 1024;
    /// Largest payload, in bytes, that travels inside its slot. A slot takes 24 bytes of its own
    /// and is rounded up to 64 bytes, so that 40, 104, 168, ... use it whole. 8 to 65512.
    std::uint32_t inline_size = 40;
    /// Bytes of payload region each producer has for larger messages, rounded up to 4 KiB; reserved
    /// when a producer attaches. The largest message is this long. At most 4 GiB - 8 KiB; 0: inline
    /// messages only.
    std::uint64_t region_size = std::uint64_t{1} << 20;
    /// Most producers, members and subscribers at one time. 1 to 4000.
    std::uint32_t max_participants = 128;
    /// Most groups at one time; each subscriber is a group. 1 to 1024.
    std::uint32_t max_groups = 96;
    /// The channel is removed when its last participant ends (also when that dies).
    bool temporary = false;
    /// Permissions of the object in /dev/shm.
    std::uint32_t mode = 0600;
    /// Owning group of the object, for channels shared between users through `mode` 0660.
    std::optional<std::uint32_t> group_id = std::nullopt;
    /// The position of the first message. Anything but 0 serves tests of counter wrap-around.
    Position first_position = 0;
};

/// How an existing channel is opened, and how its memory is mapped into this process.
struct OpenOptions {
    /// How long to wait for a channel that does not exist yet.
    std::chrono::nanoseconds wait = std::chrono::nanoseconds::zero();
    /// Accept an object that another user owns. Such an owner can damage or truncate it at will.
    bool allow_foreign_owner = false;
    /// Open a typed channel as bytes, or as another type of the same size and alignment. For tools:
    /// of what is sent, only the size is then checked.
    bool any_type = false;
    /// Back the areas with 2 MiB pages where the kernel can.
    bool huge_pages = false;
    /// Touch all pages when mapping, so that the first messages meet no page faults.
    bool prefault = false;
    /// Lock the pages into memory; fails with an Error when RLIMIT_MEMLOCK is too low.
    bool lock_memory = false;
};

/// How long a wait spins before it sleeps.
struct WaitPolicy {
    /// Nanoseconds to spin before parking; negative: the calibrated cost of one sleep and wake-up,
    /// which costs at most twice the best choice in hindsight.
    std::chrono::nanoseconds spin = std::chrono::nanoseconds(-1);
    /// Return `interrupted` when a signal handler ran during a sleep, rather than sleep on.
    bool return_on_signal = false;

    /// Never sleeps: lowest latency, one core fully used.
    static constexpr WaitPolicy spinning() { return {.spin = std::chrono::nanoseconds::max()}; }
    /// Spins about as long as a sleep and wake-up would cost, then sleeps. The default.
    static constexpr WaitPolicy adaptive() { return {}; }
    /// Sleeps at once: no processor time while idle.
    static constexpr WaitPolicy parking() { return {.spin = std::chrono::nanoseconds::zero()}; }
};

/// How a participant attaches.
struct ParticipantOptions {
    /// Shown by inspect and the monitor; empty: the name of the program. At most 31 bytes are kept.
    std::string name = {};
    WaitPolicy wait_policy = {};
};

enum class Delivery : std::uint8_t {
    reliable,  ///< gates producers: a slot is not reused before the group is done with it
    lossy,     ///< never delays a producer: a reader that falls behind skips, and is told how far
};

enum class Lifetime : std::uint8_t {
    durable,    ///< keeps its place and backlog without members, until removed
    ephemeral,  ///< ends with its last member, also when that dies
};

enum class Ack : std::uint8_t {
    automatic,  ///< a message counts as done when its object is released
    manual,     ///< a message counts as done when acknowledged; one destroyed before goes back
};

/// Where a *new* group or subscriber starts.
struct Start {
    enum class Kind : std::uint8_t { latest, earliest, position };
    Kind kind = Kind::latest;
    Position position = 0;

    /// After the newest message.
    static constexpr Start latest() { return {}; }
    /// At the oldest message still retained.
    static constexpr Start earliest() { return {.kind = Kind::earliest}; }
    /// At one position; if that is gone already, at the oldest retained, and `skipped()` says how
    /// many positions were missed. A position that no message has yet: after the newest.
    static constexpr Start at(Position position) {
        return {.kind = Kind::position, .position = position};
    }
};

/// The policies of a group. They belong to the group: joining an existing group with other ones is
/// an Error that shows both. `from` matters only to the member that creates the group.
struct GroupOptions {
    Delivery delivery = Delivery::reliable;
    Lifetime lifetime = Lifetime::durable;
    Ack ack = Ack::automatic;
    /// Deliveries of one message before it is dead-lettered; 0: no limit. At most 250.
    std::uint32_t max_attempts = 0;
    /// How long a member may hold a message without `renew` before it goes to another; zero: until
    /// the member settles it or dies. Under a limit a view is trustworthy only while `held()`, and
    /// `renew` comes too late when it is over, whether another member has the message yet or not.
    std::chrono::milliseconds lease_limit = std::chrono::milliseconds::zero();
    /// Channel that receives rejected and exhausted messages; empty: they are dropped and counted.
    /// As of any channel, its newest messages overwrite the oldest until it has a reliable group:
    /// let one join it before there are letters. While it is missing, full or closed, letters wait
    /// in this group.
    std::string dead_letter = {};
    Start from = Start::latest();
    ParticipantOptions participant = {};
};

/// How a subscriber reads. It is a group of its own, without acknowledgements: these are compared
/// with nobody's.
struct SubscribeOptions {
    Delivery delivery = Delivery::reliable;
    Start from = Start::latest();
    ParticipantOptions participant = {};
};

/// How dead letters go back: ipc::redrive.
struct RedriveOptions {
    /// The channel that all go to; empty: each goes to the one it comes from.
    std::string target = {};
    /// At most so many.
    std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
    /// How long to wait for room in a channel that takes none.
    std::chrono::nanoseconds wait = std::chrono::seconds(5);
    /// As OpenOptions has it, for all channels concerned.
    bool allow_foreign_owner = false;
    /// A requested stop ends it between two messages.
    std::stop_token stop = {};
};

/// What a channel costs in /dev/shm, in bytes, as a function of its options. Those of a channel
/// with a type are made to fit the type: Channel<T>::fitting.
struct MemoryCost {
    std::uint64_t channel;      ///< reserved at creation: header, tables, slots
    std::uint64_t producer;     ///< reserved for each producer slot in use: its region
    std::uint64_t group;        ///< reserved for each group: its entry and lease words
    std::uint64_t object_size;  ///< apparent size of the file; unreserved parts take no memory
};
IPC_API MemoryCost memory_cost(const ChannelOptions& options);

}  // namespace ipc::inline v1
