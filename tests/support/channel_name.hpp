#pragma once

#include <string>

namespace ipc::test {

/// A channel name no other test, and no other run, uses. Removes the channel, whatever is left of
/// it, at both ends of the test.
class ChannelName {
public:
    explicit ChannelName(const std::string& purpose = "channel");
    ~ChannelName();
    ChannelName(const ChannelName&) = delete;
    ChannelName& operator=(const ChannelName&) = delete;

    operator const std::string&() const { return name_; }
    const std::string& str() const { return name_; }

private:
    std::string name_;
    int owner_;
};

}
