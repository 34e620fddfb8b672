#include "ipc/protocol/region.hpp"

#include <algorithm>
#include <vector>

namespace ipc::inline v1::protocol {
namespace {

constexpr std::uint64_t block_alignment = format::max_alignment;
static_assert(block_alignment % format::cache_line == 0);

}  // namespace

Region::Region(ChannelMemory& memory, unsigned producer, std::byte* base)
    : memory_(memory),
      self_(memory.participant(producer)),
      base_(base),
      size_(memory.layout().region_size),
      head_(format::round_up(self_.region_head.load(std::memory_order_relaxed), block_alignment)),
      copier_(head_, size_) {
    // What earlier owners of this entry published may still be read.
    struct Block {
        std::uint64_t start;
        Position position;
    };
    std::vector<Block> blocks;
    const Ring ring = memory.ring();
    const Position near = memory.header().tail.load(std::memory_order_relaxed);
    gate_.position = near;
    for (std::uint64_t i = 0; i < ring.capacity(); ++i) {
        const Slot& slot = ring.at(i);
        const SlotState state{slot.state.load(std::memory_order_acquire)};
        const format::Descriptor descriptor{slot.descriptor.load(std::memory_order_relaxed)};
        if (state.phase() != Phase::ready || state.producer() != producer ||
            !descriptor.is_in_region()) {
            continue;
        }
        std::uint64_t block = 0;
        format::copy_out(&block, slot.payload(), sizeof block);
        if (head_ - block > size_) continue;  // overwritten already, or damaged
        blocks.push_back({block, state.position(near)});
    }
    std::sort(blocks.begin(), blocks.end(),
              [](const Block& a, const Block& b) { return before(a.start, b.start); });
    const std::size_t together = blocks.size() / (runs_.size() / 2) + 1;
    for (std::size_t i = 0; i < blocks.size(); ++i) {
        if (i % together == 0)
            run(count_++) = {blocks[i].start, head_, blocks[i].position, 0, true};
        Run& last = run(count_ - 1);
        last.newest = later_of(last.newest, blocks[i].position);
        if (count_ > 1) run(count_ - 2).end = last.start;
    }
}

Status Region::allocate(std::uint64_t length, std::uint64_t& block) {
    if (length > size_) return Status::too_large;
    const std::uint64_t need = format::round_up(length == 0 ? 1 : length, block_alignment);
    std::uint64_t start = head_;
    if (start % size_ + need > size_) start = format::round_up(start, size_);  // never wraps around
    const std::uint64_t end = start + need;
    while (count_ != 0 && (end - oldest_byte() > size_ || count_ == runs_.size())) {
        if (const Status status = reclaim_oldest(); status != Status::ok) return status;
    }
    const bool extend =
        count_ != 0 && run(count_ - 1).end == start && end - run(count_ - 1).start <= merge_below();
    if (extend) {
        run(count_ - 1).end = end;
        ++run(count_ - 1).loans;
    } else {
        run(count_++) = {start, end, 0, 1, false};
    }
    head_ = end;
    newest_block_ = start;
    // Before any slot can mention the block: a successor never hands these bytes out a second time
    // under the same position. It reads the word after EDGE death.
    self_.region_head.store(head_, std::memory_order_release);
    block = start;
    return Status::ok;
}

Status Region::reclaim_oldest() {
    Run& oldest = run(0);
    if (oldest.loans != 0) {
        // Also a reader may hold a message of this run; then it is not only this producer's doing.
        // The tail is beyond that message; the tail's hint need not be.
        const bool held = oldest.has_message && before(gate(memory_, oldest.newest + 1),
                                                       oldest.newest + 1 + memory_.capacity());
        return held ? Status::full : Status::own_loan;
    }
    if (oldest.has_message &&
        !raise_limit(memory_, oldest.newest + memory_.capacity() + 1, gate_)) {
        return Status::full;
    }
    first_ = (first_ + 1) % runs_.size();
    --count_;
    return Status::ok;
}

Region::Run& Region::run_of(std::uint64_t block) {
    // Runs are few and ordered; the newest is by far the most likely.
    for (std::size_t i = count_; i-- > 1;) {
        if (run(i).start <= block) return run(i);
    }
    return run(0);
}

void Region::published(std::uint64_t block, Position position) {
    Run& owner = run_of(block);
    owner.newest = owner.has_message ? later_of(owner.newest, position) : position;
    owner.has_message = true;
    --owner.loans;
}

void Region::abandoned(std::uint64_t block) {
    Run& owner = run_of(block);
    --owner.loans;
    // The newest block's bytes can be taken back. The shared head stays: it may only be too high.
    if (block != newest_block_ || owner.end != head_) return;
    head_ = owner.end = block;
    newest_block_ = ~std::uint64_t{0};
    if (owner.start == owner.end && !owner.has_message) --count_;
}

}  // namespace ipc::inline v1::protocol
