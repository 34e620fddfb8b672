#include "tests/fuzz/damage.hpp"

namespace ipc::fuzz {
namespace {

using format::Lease;
using format::LeaseState;
using format::Phase;
using format::SlotState;

constexpr std::uint64_t header_words = sizeof(format::Header) / 8;
constexpr std::uint64_t participant_words = sizeof(format::Participant) / 8;
constexpr std::uint64_t group_words = offsetof(format::Group, service_time) / 8;

/// The offset of one of so many words.
std::uint64_t word_of(Bytes& input, std::uint64_t words) {
    return 8 * std::uint64_t{input.below(words)};
}

}  // namespace

void Damage::one(Bytes& input) {
    Word& word = choose(input);
    word.store(spoil(input, word.load(std::memory_order_relaxed)), std::memory_order_relaxed);
}

std::uint64_t Damage::lease_offset(Bytes& input) const {
    return layout_.groups_offset + input.below(layout_.max_groups) * layout_.group_stride +
           sizeof(format::Group) + word_of(input, 2 * layout_.capacity);
}

Damage::Word& Damage::choose(Bytes& input) {
    constexpr std::uint64_t first_mutable = offsetof(format::Header, limit) / 8;
    switch (input.below(8)) {
        case 0: return at(word_of(input, header_words));
        case 1: return at(8 * first_mutable + word_of(input, header_words - first_mutable));
        case 2:
            return at(layout_.participants_offset +
                      input.below(layout_.max_participants) * sizeof(format::Participant) +
                      word_of(input, participant_words));
        case 3:
            return at(layout_.groups_offset +
                      input.below(layout_.max_groups) * layout_.group_stride +
                      word_of(input, group_words));
        case 4: return at(lease_offset(input));
        case 5:
        case 6:  // state, time, descriptor, or the block's position
            return at(layout_.data_offset + input.below(layout_.capacity) * layout_.slot_size +
                      word_of(input, 4));
        default: {
            const std::uint64_t region = input.below(layout_.max_participants);
            if (layout_.region_size == 0) return at(layout_.data_offset);
            return at(layout_.data_offset + layout_.regions_offset + region * layout_.region_size +
                      word_of(input, layout_.region_size / 8));
        }
    }
}

std::uint64_t Damage::spoil(Bytes& input, std::uint64_t value) {
    const auto near = [&] { return static_cast<std::uint64_t>(input.byte()) - 128; };
    switch (input.below(9)) {
        case 0: return input.word();
        case 1: return value ^ std::uint64_t{1} << input.below(64);
        case 2: return value + near();                                 // a plain position, a count
        case 3: return value + (near() << 16);                         // slot state, low-water
        case 4: return value + (near() << 20);                         // limit, hint
        case 5: return value + (near() << 32);                         // lap, length, incarnation
        case 6: return choose(input).load(std::memory_order_relaxed);  // what stands elsewhere
        case 7: {
            const Position position = at(offsetof(format::Header, tail)) + near();
            return SlotState::make(position, input.below(format::no_participant + 1),
                                   static_cast<Phase>(input.below(6)))
                .bits;
        }
        default:
            return Lease::make(static_cast<std::uint32_t>(value >> 32) + (input.byte() & 3U) - 1,
                               input.byte(), input.byte(),
                               input.below(layout_.max_participants + 2),
                               static_cast<LeaseState>(input.below(8)))
                .bits;
    }
}

}  // namespace ipc::fuzz
