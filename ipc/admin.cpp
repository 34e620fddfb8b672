#include "ipc/admin.hpp"

#include "ipc/protocol/dead_letter.hpp"
#include "ipc/protocol/lifecycle.hpp"

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

std::uint64_t redrive(const std::string& dead_letter_channel, const std::string& target,
                      std::uint64_t most, bool allow_foreign_owner) {
    return protocol::redrive_dead_letters(dead_letter_channel, target, most, allow_foreign_owner);
}

}  // namespace ipc::inline v1
