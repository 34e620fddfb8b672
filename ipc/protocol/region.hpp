#pragma once

// A producer's payload region: a FIFO ring of bytes for messages that do not fit into their slot.
//
// Blocks are allocated at the head, at absolute byte positions that count up for the life of the
// channel, across owners. They are reclaimed in order, in runs: a run is some adjacent blocks
// together with the newest message that uses one of them. Reclaiming a run first raises the
// channel's limit past that message + capacity (EDGE limit), so that a block is whole as long as
// its slot is: one check serves both. What a dead owner left is found in the slots, never in the
// region's bytes, which user data could imitate.

#include <array>
#include <cstddef>
#include <cstdint>

#include "ipc/format/copy.hpp"
#include "ipc/protocol/copier.hpp"
#include "ipc/protocol/limit.hpp"

namespace ipc::inline v1::protocol {

class Region {
public:
    /// `base` is the region within the producer's own mapping.
    Region(ChannelMemory& memory, unsigned producer, std::byte* base);

    /// Room for `length` bytes, contiguous, aligned to max_alignment. ok; full while readers hold
    /// what would have to be reclaimed; own_loan when this producer's own unpublished blocks do;
    /// too_large.
    Status allocate(std::uint64_t length, std::uint64_t& block);
    std::byte* at(std::uint64_t block) const { return base_ + block % size_; }
    /// Copies into a block, so many bytes after its start and to its end.
    void copy_in(std::uint64_t block, std::size_t offset, const void* data, std::size_t size) {
        copier_.copy_in(block, at(block) + offset, data, size);
    }

    /// The block now belongs to the message at `position`.
    void published(std::uint64_t block, Position position);
    void abandoned(std::uint64_t block);

private:
    struct Run {
        std::uint64_t start;
        std::uint64_t end;
        Position newest;      ///< valid when has_message
        std::uint32_t loans;  ///< blocks not yet published or abandoned
        bool has_message;
    };

    std::uint64_t oldest_byte() const { return count_ == 0 ? head_ : run(0).start; }
    Run& run(std::size_t i) { return runs_[(first_ + i) % runs_.size()]; }
    const Run& run(std::size_t i) const { return runs_[(first_ + i) % runs_.size()]; }
    Run& run_of(std::uint64_t block);
    std::uint64_t merge_below() const { return size_ / (runs_.size() / 2 - 2); }
    Status reclaim_oldest();

    ChannelMemory& memory_;
    Participant& self_;
    std::byte* base_;
    std::uint64_t size_;
    std::uint64_t head_;
    std::uint64_t newest_block_ = ~std::uint64_t{0};  ///< the one that ends at head_
    // Adjacent runs together are longer than merge_below(), so that there are fewer than this.
    std::array<Run, 256> runs_{};
    std::size_t first_ = 0;
    std::size_t count_ = 0;
    KnownGate gate_;
    Copier copier_;
};

}  // namespace ipc::inline v1::protocol
