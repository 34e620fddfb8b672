#include "tests/support/sleepers.hpp"

#include <algorithm>
#include <fstream>
#include <optional>

#include <gtest/gtest.h>

#include "ipc/inspect.hpp"
#include "ipc/os/clock.hpp"
#include "ipc/protocol/sentinel.hpp"
#include "tests/support/child.hpp"

namespace ipc::test {
namespace {

/// How often a thread of this process went to sleep; nothing while it is awake.
std::optional<std::int64_t> sleeps_of(pid_t thread) {
    std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/status");
    const std::string key = "voluntary_ctxt_switches:";
    bool asleep = false;
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("State:\tS")) asleep = true;
        if (asleep && line.starts_with(key)) return std::stoll(line.substr(key.size()));
    }
    return std::nullopt;
}

}

std::size_t count_parked(const std::string& channel) {
    const ChannelReport report = inspect(channel);
    return static_cast<std::size_t>(
        std::count_if(report.participants.begin(), report.participants.end(),
                      [](const auto& p) { return p.activity != Activity::running; }));
}

bool all_park(const std::string& channel, std::size_t count) {
    return eventually([&] { return count_parked(channel) == count; });
}

std::vector<std::int64_t> sleeps_when_all_sleep(const std::string& channel,
                                                std::span<const std::atomic<pid_t>> threads) {
    std::vector<std::int64_t> sleeps;
    // One that has only reported its wait may still see a message without being woken.
    const bool found = eventually([&] {
        sleeps.clear();
        for (const auto& thread : threads) {
            if (const auto count = sleeps_of(thread)) sleeps.push_back(*count);
        }
        return sleeps.size() == threads.size() && count_parked(channel) == threads.size();
    });
    EXPECT_TRUE(found) << "some stay awake";
    if (!found) sleeps.clear();
    return sleeps;
}

std::int64_t slow_ticks_so_far() {
    return os::now() / protocol::slow_tick;
}

}
