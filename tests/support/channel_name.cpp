#include "tests/support/channel_name.hpp"

#include <unistd.h>

#include <atomic>

#include "ipc/admin.hpp"

namespace ipc::test {
namespace {

void remove_quietly(const std::string& name) {
    try {
        remove(name);
    } catch (const std::exception&) {
        // A test of refusals may leave what this process cannot remove; it reports that itself.
    }
}

}

ChannelName::ChannelName(const std::string& purpose) : owner_(::getpid()) {
    static std::atomic<int> counter{0};
    name_ = "test." + std::to_string(owner_) + "." + std::to_string(counter++) + "." + purpose;
    remove_quietly(name_);
}

ChannelName::~ChannelName() {
    if (::getpid() == owner_) remove_quietly(name_);
}

}
