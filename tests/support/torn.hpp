#pragma once

#include <string>

#include "ipc/protocol/publish.hpp"

namespace ipc::test {

/// States that a process leaves behind only when it is killed between two instructions, built by
/// hand. To be used in a child, which then dies or stops.
class TornProducer {
public:
    explicit TornProducer(const std::string& channel);

    /// Claims the next position as a shared producer does, and goes no further.
    Position claim();
    /// Writes the payload of a claimed or unclaimed position, without making it visible; `more` are
    /// bits of its descriptor.
    void write(Position position, const std::string& text, std::uint64_t more = 0);
    /// Makes it visible, and wakes nobody.
    void make_ready(Position position);

    protocol::ChannelMemory& memory() { return *memory_; }

private:
    std::shared_ptr<protocol::ChannelMemory> memory_;
    os::Mapping data_;
    protocol::Ring ring_;
    protocol::Attachment attachment_;
};

/// The channel's memory as a participant has it mapped.
std::shared_ptr<protocol::ChannelMemory> memory_of(const std::string& channel);

[[noreturn]] void die();                         ///< SIGKILL to itself
[[noreturn]] void wait_for_the_end();            ///< until the parent kills this child
void require(bool condition, const char* what);  ///< throws, for use in children

/// Whether a participant of that process sleeps in a wait.
bool is_parked(const std::string& channel, pid_t pid);

}
