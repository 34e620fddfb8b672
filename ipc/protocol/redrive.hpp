#pragma once

// Dead letters go back.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ipc/base/options.hpp"
#include "ipc/protocol/member.hpp"
#include "ipc/protocol/publish.hpp"

namespace ipc::inline v1::protocol {

/// One redrive: a member of the group "redrive" that publishes what it is handed, and acknowledges
/// each message after that. What it holds when it ends, by whatever way, it gives back.
class IPC_API Redrive {
public:
    /// Throws as opening a channel does; Error(bad_options) when no target is named and the first
    /// message has no origin, without making the group, which would hold the channel's producers
    /// back.
    Redrive(const std::string& dead_letter_channel, const RedriveOptions& options);
    ~Redrive();
    Redrive(const Redrive&) = delete;
    Redrive& operator=(const Redrive&) = delete;

    /// Sends what was there when it began. Throws Error as ipc::redrive says.
    void run();
    /// Messages published and acknowledged so far.
    std::uint64_t sent() const { return sent_; }

private:
    struct Misfits {
        std::uint64_t number = 0;
        Position first = 0;
        std::string channel;
    };

    std::string destination_of(const Received& letter) const;
    Producer& producer_for(const std::string& channel);
    Status send(const Received& letter, const std::string& channel);

    const RedriveOptions& options_;
    OpenOptions how_;
    std::shared_ptr<ChannelMemory> memory_;
    std::optional<Member> member_;
    std::map<std::string, std::unique_ptr<Producer>> producers_;
    std::vector<Received> held_;  ///< not settled
    Misfits misfits_;             ///< of these
    std::uint64_t sent_ = 0;
};

}  // namespace ipc::inline v1::protocol
