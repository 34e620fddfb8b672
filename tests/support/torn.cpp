#include "tests/support/torn.hpp"

#include <unistd.h>

#include <csignal>
#include <stdexcept>

#include "ipc/inspect.hpp"
#include "ipc/protocol/lifecycle.hpp"
#include "ipc/protocol/tail.hpp"

namespace ipc::test {

using protocol::Phase;
using protocol::Slot;
using protocol::SlotState;

TornProducer::TornProducer(const std::string& channel)
    : memory_(memory_of(channel)),
      data_(memory_->map_data_writable()),
      ring_(memory_->ring_of(data_)),
      attachment_(protocol::attach_producer(*memory_, protocol::ProducerKind::shared, "torn",
                                            protocol::OwnRegion::reserved)) {}

Position TornProducer::claim() {
    for (int attempt = 0; attempt < 1000; ++attempt) {
        const Position next = protocol::find_tail(*memory_);
        Slot& slot = ring_.at(next);
        SlotState seen{slot.state.load()};
        const auto mine = SlotState::make(next, attachment_.index, Phase::claimed);
        if (seen.position(next) == next - ring_.capacity() &&
            slot.state.compare_exchange_strong(seen.bits, mine.bits)) {
            return next;
        }
    }
    throw std::runtime_error("no position can be claimed");
}

void TornProducer::write(Position position, const std::string& text, std::uint64_t more) {
    Slot& slot = ring_.at(position);
    format::copy_in(slot.payload(), text.data(), text.size());
    slot.publish_time.store(0);
    slot.descriptor.store(format::Descriptor::make(text.size(), 0, 0).bits | more);
}

void TornProducer::make_ready(Position position) {
    ring_.at(position).state.store(SlotState::make(position, attachment_.index, Phase::ready).bits);
}

std::shared_ptr<protocol::ChannelMemory> memory_of(const std::string& channel) {
    return protocol::open_channel(channel, {}, {.any_type = true});
}

void die() {
    ::kill(::getpid(), SIGKILL);
    for (;;)
        ::pause();
}

void wait_for_the_end() {
    ::alarm(600);  // in case the parent cannot
    for (;;)
        ::pause();
}

void require(bool condition, const char* what) {
    if (!condition) throw std::runtime_error(what);
}

bool is_parked(const std::string& channel, pid_t pid) {
    for (const ParticipantReport& participant : inspect(channel).participants) {
        if (participant.pid == pid && participant.activity != Activity::running &&
            participant.process_state == 'S') {
            return true;
        }
    }
    return false;
}

}
