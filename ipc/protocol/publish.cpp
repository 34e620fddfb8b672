#include "ipc/protocol/publish.hpp"

#include <algorithm>
#include <thread>

#include "ipc/format/statistics.hpp"
#include "ipc/protocol/recovery.hpp"
#include "ipc/protocol/sentinel.hpp"
#include "ipc/protocol/tail.hpp"

namespace ipc::inline v1::protocol {
namespace {

constexpr os::Nanoseconds claim_pause = 2'000'000;
constexpr os::Nanoseconds ask_again = 20'000;
constexpr int looks_per_thorough_one = 256;  // about 10 us

/// A quick one if a wait may follow, else thorough, since it is the only one.
Look first_look(Status why_not) {
    return why_not == Status::ok ? Look::quick : Look::thorough;
}

}  // namespace

Producer::Producer(std::shared_ptr<ChannelMemory> memory, ProducerKind kind,
                   const ParticipantOptions& options, OwnRegion region)
    : memory_(std::move(memory)),
      exclusive_(kind == ProducerKind::exclusive),
      with_region_(region == OwnRegion::reserved) {
    data_ = memory_->map_data_writable();
    ring_ = memory_->ring_of(data_);
    attachment_ = attach_producer(*memory_, kind, options.name, region);
    index_ = attachment_.index;
    try {
        about(memory_->name(), "preparing a producer's memory", [&] {
            memory_->make_resident(data_.data(), memory_->layout().regions_offset, true);
            if (with_region_) {
                memory_->make_resident(data_.data() + memory_->region_offset(index_),
                                       memory_->layout().region_size, true);
            }
        });
    } catch (...) {
        detach(*memory_, attachment_);
        throw;
    }
    needs_fence_ = attachment_.needs_fence;
    self_ = &memory_->participant(index_);
    shape_ = shape_of(*memory_);
    largest_ = format::largest_message(memory_->layout());
    const Position tail = find_tail(*memory_);
    go_on_at(tail);
    limit_ = tail;
    gate_.position = tail;
    sampler_ = Sampler(tail);
    slot_copier_ = Copier(bytes_before(tail), bytes_before(ring_.capacity()));
    waiter_.emplace(*memory_, index_, room_place, options.wait_policy, &ring_);
    // A predecessor may have died before it honoured a request to close.
    if ((memory_->header().announcement.load(std::memory_order_acquire) &
         format::Announcement::close_requested) != 0) {
        close_as_asked();
    }
}

Producer::~Producer() {
    if (!attachment_.life) return;
    // The tail hint of an exclusive producer lags; leave it right.
    if (exclusive_) memory_->header().tail.store(next(), std::memory_order_relaxed);
    detach(*memory_, attachment_);
}

std::int64_t Producer::stamp(Position position) {
    const std::int64_t time = os::now();
    sampler_.taken(position, time);
    if (exclusive_) {
        touching_.choose_exclusive(time, position);
    } else {
        const bool counts = format::keeps_statistics;
        touching_.choose_shared(
            time, counts ? self_->published.load(std::memory_order_relaxed) : position);
    }
    return time;
}

/// Readers sleep, or the channel is to be closed: neither happens to a producer in a hurry.
void Producer::heed(std::uint64_t announcement, int published) {
    if ((announcement & format::Announcement::pending) != 0) {
        // An exclusive producer claims nothing, so that nobody was woken for what lies behind.
        wake_readers(*memory_,
                     exclusive_ ? published : count_owed(ring_, next(), index_, published));
    }
    sampler_.slow_down(next());
    if ((announcement & format::Announcement::close_requested) != 0) close_as_asked();
}

void Producer::close_as_asked() {
    // Without room now, the next publish tries again.
    (void)close(Patience::none());
}

bool Producer::look_for_room(Look look) {
    if (closed_ || memory_->is_removed()) return false;
    const Position position = next();
    if (exclusive_) {
        memory_->header().tail.store(position, std::memory_order_relaxed);
        if (is_closed_at(ring_, position)) {
            closed_ = true;
            return false;
        }
    }
    limit_ = refresh_limit(*memory_, position, look, gate_);
    return before(position, limit_) && !close_in_its_place();
}

/// Gives the room that was found for a message to the mark that ends the channel, when that was
/// asked for: on a channel that is always full there is no other. Whether it did.
bool Producer::close_in_its_place() {
    const bool asked = (memory_->header().announcement.load(std::memory_order_relaxed) &
                        format::Announcement::close_requested) != 0;
    if (!exclusive_ || !asked) return false;
    install_closed(ring_.at(next()));
    return true;
}

void Producer::install_closed(Slot& slot) {
    const Position position = next();
    slot.state.store(SlotState::make(position, index_, Phase::closed).bits,
                     std::memory_order_release);  // EDGE ready
    closed_ = true;
    limit_ = position;
    wake_everyone(*memory_);
}

/// Called before the message is written, where exclusive producers do not come along: the exchange
/// of the next one would wait as long if it was called after.
void Producer::touch_many_ahead(Position position) {
    constexpr std::uint64_t many = 8;
    if (position % many != 0) return;
    for (Position next = position + 1; next != position + many + 1 && before(next, limit_); ++next)
        ring_.at(next).touch();
}

/// The line of an exclusive producer's slot comes from its readers while the limit and the deadline
/// are looked at. A shared producer's claim waits for it.
void Producer::ask_for_slot() {
    if (exclusive_ && before(next(), limit_)) ring_.at(next()).touch();
}

Slot* Producer::claim_shared(Phase install, Look look) {
    const bool timed = touching_.wants_claim_timed() && sampler_.is_due(next());
    const os::Nanoseconds began = timed ? os::now() : 0;
    // Each turn either ends, or moves forward along claims of others. Bounded, whatever the slots
    // say: a wait tries again.
    for (std::uint64_t turns = 0; turns < 4 * ring_.capacity() + 64; ++turns) {
        const Position position = next();
        if (!before(position, limit_) && !look_for_room(look)) return nullptr;
        Slot& slot = ring_.at(position);
        SlotState seen{slot.state.load(std::memory_order_acquire)};
        const Position at = seen.position(position);
        if (at == position - ring_.capacity()) {
            // Of the previous lap. A claim there is still being written, unless its owner is dead.
            if (seen.phase() == Phase::claimed && !is_abandoned(*memory_, slot, seen)) {
                blocked_by_claim_ = true;
                return nullptr;
            }
            const auto mine = SlotState::make(position, index_, install);
            // Acquire: what was read to decide stays before the payload; EDGE limit did the rest.
            if (!slot.state.compare_exchange_strong(seen.bits, mine.bits,
                                                    std::memory_order_acq_rel)) {
                continue;
            }
            if (timed) touching_.claim_took(os::now() - began);
            if (touching_.pays()) touch_many_ahead(position);
            return &slot;
        }
        if (before(at, position)) {
            // Never by this library's doing: a guess beyond the tail would break contiguity.
            const Position tail = find_tail(*memory_);
            if (!before(tail, position)) return nullptr;
            go_on_at(tail);
            continue;
        }
        if (seen.phase() == Phase::closed) {
            closed_ = true;
            return nullptr;
        }
        const Position hint = memory_->header().tail.load(std::memory_order_relaxed);
        go_on_at(later_of(at + 1, hint));
    }
    return nullptr;
}

Status Producer::why_not(const Patience& patience) const {
    if (closed_) return Status::closed;
    if (memory_->is_removed()) return Status::removed;
    if (patience.stop.stop_requested()) return Status::interrupted;
    return patience.deadline.passed() ? patience.when_over : Status::ok;
}

/// What a producer does that found no room for a while, or gives up. Whether it should look again.
bool Producer::ask_for_room() {
    const os::Nanoseconds now = os::now();
    // Readers publish their positions every step anyway. One that is asked at each of its messages
    // while this producer keeps the ring full would hand over one slot at a time.
    if (next() - asked_at_ >= memory_->step() || now - asked_time_ > ask_again) {
        announce_refusal(*memory_);
        asked_at_ = next();
        asked_time_ = now;
    }
    // One that is refused again and again never sleeps long enough to become the sentinel: it looks
    // itself, now and then, whether a dead reader holds it up.
    if (!is_sweep_due(*memory_, now)) return false;
    sweep(*memory_, index_, &ring_);
    return true;
}

Status Producer::claim(const Patience& patience, Slot*& slot, Phase install) {
    const auto attempt = [&](Look look) {
        blocked_by_claim_ = false;
        slot = claim_now(install, look);
        return slot != nullptr || closed_;
    };
    const Status status = obtain(Room::slot, attempt, patience);
    return closed_ ? Status::closed : status;
}

/// Whether `attempt` returned true, at once or as long as `patience` allows to wait: ok, or why it
/// did not. A template, so that the first attempt is inlined: long messages come by here each time.
template <class Attempt>
Status Producer::obtain(Room room, const Attempt& attempt, const Patience& patience) {
    Status status = why_not(patience);
    if (attempt(first_look(status))) return Status::ok;
    if (status == Status::ok) {
        status = wait_for_room(room, attempt, patience);
        pass_on_wake();
        if (status == Status::ok) return status;
        if (status == Status::timed_out) status = patience.when_over;
    }
    return ask_for_room() && attempt(Look::thorough) ? Status::ok : status;
}

Status Producer::wait_for_room(Room room, FunctionRef<bool(Look)> attempt,
                               const Patience& patience) {
    os::Nanoseconds pause = claim_pause;
    for (;;) {
        // Who publishes a claim wakes readers, not producers that came around to it: look soon.
        os::Deadline deadline = patience.deadline;
        if (room == Room::slot && blocked_by_claim_) {
            deadline.at = std::min(deadline.at, os::now() + pause);
            pause = std::min(2 * pause, fast_tick);
        }
        const Status status = wait(room, attempt, deadline, patience.stop);
        if (status != Status::timed_out || patience.deadline.passed()) return status;
    }
}

/// Until `attempt` returns true. Who cannot wait looks thoroughly at once. Who can leaves it to the
/// readers at first, which make room for many messages together: a look at what they are writing
/// costs them more than the one slot that it may find, and so does asking them. One that spins for
/// long does both, and none times out without a thorough look.
Status Producer::wait(Room room, FunctionRef<bool(Look)> attempt, os::Deadline deadline,
                      const std::stop_token& stop) {
    int looks = 0;
    const auto ready = [&](Look look) {
        const bool is_turn = look == Look::quick && ++looks % looks_per_thorough_one == 0;
        if (attempt(is_turn ? Look::thorough : look)) return true;
        return is_turn && ask_for_room() && attempt(Look::thorough);
    };
    if (waiter_->spin_briefly([&] { return ready(Look::quick); })) return Status::ok;
    const Status status = waiter_->wait(ready, deadline, stop, room);
    return status == Status::timed_out && attempt(Look::thorough) ? Status::ok : status;
}

/// The wake that ended this wait may have been meant for room that others can use as well.
void Producer::pass_on_wake() {
    if (producers_announced(*memory_, needs_fence_) && before(next(), gate(*memory_, next()))) {
        wake_producers(*memory_, 1);
    }
}

/// Why no slot can be had: ok when there is one, or when there is time to wait for it.
Status Producer::why_refused_already(const Patience& patience) {
    const Look look = first_look(why_not(patience));
    if (before(next(), limit_) || look_for_room(look)) return Status::ok;
    if (why_not(patience) == Status::ok) return Status::ok;
    (void)ask_for_room();
    return look_for_room(Look::thorough) ? Status::ok : why_not(patience);
}

Sent Producer::send_slowly(const void* data, std::size_t size, const Extension& extension,
                           const Patience& patience) {
    if (!shape_.admits(size)) return Status::wrong_size;
    if (size > largest_) return Status::too_large;
    const std::size_t length = size + extension.size;
    if (length <= shape_.inline_size) {
        Slot* slot = nullptr;
        if (const Status status = claim(patience, slot); status != Status::ok) return status;
        format::copy_in(slot->payload(), extension.data, extension.size);
        slot_copier_.copy_in(bytes_before(next()), slot->payload() + extension.size, data, size);
        const Sent sent =
            publish(*slot, format::Descriptor::make(length, 0, extension.size), size, length);
        wake_sleepers(1);
        return sent;
    }
    // A slot first: a refusal must not cost space, nor the history that space would be taken from.
    if (const Status status = why_refused_already(patience); status != Status::ok) return status;
    std::uint64_t block = 0;
    std::byte* target = nullptr;
    if (const Status status = allocate(length, patience, block, target); status != Status::ok) {
        return status;
    }
    format::copy_in(target, extension.data, extension.size);
    region_->copy_in(block, extension.size, data, size);
    const Sent sent = publish_block(block, size, extension.size, length, patience);
    if (!sent) abandon_loan(block);
    return sent;
}

/// A message that is in the region by now: its extension, then `size` bytes. `copied` as in
/// publish. Inlined: a call costs a message of 256 bytes 4 %.
Sent Producer::publish_block(std::uint64_t block, std::size_t size, std::uint16_t extension_size,
                             std::size_t copied, const Patience& patience) {
    ask_for_slot();
    Slot* slot = nullptr;
    if (const Status status = claim(patience, slot); status != Status::ok) return status;
    format::copy_in(slot->payload(), &block, sizeof block);
    const auto descriptor = format::Descriptor::make(extension_size + size,
                                                     format::Descriptor::in_region, extension_size);
    const Sent sent = publish(*slot, descriptor, size, copied);
    region_->published(block, sent.position());
    wake_sleepers(1);
    return sent;
}

/// Whether the channel ended, also when this producer did not meet the mark yet.
bool Producer::is_closed() {
    if (!closed_) closed_ = is_closed_at(ring_, find_tail(*memory_));
    return closed_;
}

Region& Producer::region() {
    if (!region_) region_.emplace(*memory_, index_, data_.data() + memory_->region_offset(index_));
    return *region_;
}

Status Producer::loan(std::size_t size, const Patience& patience, std::uint64_t& block,
                      std::byte*& data) {
    if (size > largest_) return Status::too_large;
    return allocate(size, patience, block, data);
}

Status Producer::allocate(std::size_t size, const Patience& patience, std::uint64_t& block,
                          std::byte*& data) {
    memory_->check_fork();
    const std::uint64_t most = with_region_ ? memory_->layout().region_size : 0;
    // Without a region not even an empty block has a place.
    if (most == 0 || size > most) return Status::too_large;
    Status status = Status::full;
    const auto attempt = [&](Look look) {
        status = region().allocate(size, block);
        // The end is the stronger reason: no space of its own would help. Told by a search for the
        // tail.
        const bool ends =
            status == Status::own_loan || (look == Look::thorough && status == Status::full);
        if (ends && is_closed()) status = Status::closed;
        return status != Status::full;
    };
    const Status why = obtain(Room::region, attempt, patience);
    if (why != Status::ok) return why;
    if (status == Status::ok) data = region_->at(block);
    return status;
}

Sent Producer::publish_loan(std::uint64_t block, std::size_t size, const Patience& patience) {
    memory_->check_fork();
    if (!shape_.admits(size)) return Status::wrong_size;
    return publish_block(block, size, 0, sizeof block, patience);
}

void Producer::abandon_loan(std::uint64_t block) {
    if (attachment_.life) region_->abandoned(block);
}

Status Producer::close(const Patience& patience) {
    memory_->check_fork();
    Slot* slot = nullptr;
    // The mark needs room like a message. A shared producer installs it by the very CAS that would
    // claim the position: had it claimed first, another could publish after it before the mark
    // stood.
    const Status status = claim(patience, slot, Phase::closed);
    if (status == Status::closed) return Status::ok;
    if (status != Status::ok) return status;
    install_closed(*slot);
    return Status::ok;
}

Status close_channel(const std::shared_ptr<ChannelMemory>& memory, const Patience& patience) {
    memory->check_fork();
    for (;;) {
        try {
            Producer closer(memory, ProducerKind::shared, {.name = "close"}, OwnRegion::none);
            return closer.close(patience);
        } catch (const Error& error) {
            if (error.code() != Errc::producer_lives) throw;
        }
        memory->header().announcement.fetch_or(format::Announcement::close_requested,
                                               std::memory_order_acq_rel);
        // The producer answers when it publishes next; if it dies, the closer above takes over.
        for (int i = 0; i < 20; ++i) {
            if (is_closed_at(memory->ring(), find_tail(*memory))) return Status::ok;
            if (patience.stop.stop_requested()) return Status::interrupted;
            if (memory->is_removed()) return Status::removed;
            if (patience.deadline.passed()) return Status::timed_out;
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
    }
}

}  // namespace ipc::inline v1::protocol
