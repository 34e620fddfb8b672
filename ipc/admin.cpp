#include "ipc/admin.hpp"

#include "ipc/protocol/lifecycle.hpp"
#include "ipc/protocol/redrive.hpp"

namespace ipc::inline v1 {

bool remove(const std::string& channel) {
    return protocol::remove_channel(channel);
}

std::vector<std::string> remove_dead() {
    std::vector<std::string> removed;
    for (const std::string& name : protocol::list_channels()) {
        try {
            if (protocol::remove_if_dead(name)) removed.push_back(name);
        } catch (const std::exception&) {
            // Another user's, damaged, or in use by a stopped process: not for a sweep to decide.
        }
    }
    return removed;
}

std::vector<std::string> list() {
    return protocol::list_channels();
}

std::uint64_t redrive(const std::string& dead_letter_channel, const RedriveOptions& options) {
    protocol::Redrive work(dead_letter_channel, options);
    try {
        work.run();
    } catch (const Error& error) {
        throw RedriveError(error, work.sent());
    }
    return work.sent();
}

}  // namespace ipc::inline v1
