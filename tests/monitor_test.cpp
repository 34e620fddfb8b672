// The parts of ipc-monitor, without a terminal: each is a function of what it is given.

#include <chrono>

#include <gtest/gtest.h>

#include "ipc/ipc.hpp"
#include "tests/support/channel_name.hpp"
#include "tools/monitor/live_source.hpp"

namespace ipc::test {
namespace {

using namespace std::chrono_literals;
using namespace ipc::tools::monitor;  // NOLINT(google-build-using-namespace)

TEST(LiveSource, TakesSnapshotsOfTheSelectedChannels) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    LiveSource source(Sampler({name.str()}, false), 1s);
    const Snapshot first = source.next();
    ASSERT_EQ(first.channels.size(), 1U);
    EXPECT_EQ(first.channels[0].channel, name.str());
    EXPECT_TRUE(first.channels[0].report.has_value());
    EXPECT_GT(first.space.total, 0U);
    EXPECT_LE(first.sampled_at_ns, first.channels[0].report->sampled_at_ns);
    EXPECT_GT(source.next().sampled_at_ns, first.sampled_at_ns);
}

TEST(LiveSource, IsDueAtOnceThenSoonThenAtTheInterval) {
    const ChannelName name;
    LiveSource source(Sampler({name.str()}, false), 1h);
    EXPECT_LE(source.due().value(), Source::Clock::now());
    (void)source.next();
    EXPECT_LE(source.due().value(), Source::Clock::now() + 100ms);
    (void)source.next();
    EXPECT_GT(source.due().value(), Source::Clock::now() + 30min);
}

TEST(LiveSource, ChangesItsIntervalInSteps) {
    LiveSource source(Sampler({}, false), 700ms);
    EXPECT_EQ(source.pace(), "every 700ms");
    source.slower();
    EXPECT_EQ(source.interval(), 1s);
    source.faster();
    EXPECT_EQ(source.interval(), 500ms);
    for (int i = 0; i < 20; ++i)
        source.slower();
    EXPECT_EQ(source.pace(), "every 10m");
    for (int i = 0; i < 20; ++i)
        source.faster();
    EXPECT_EQ(source.pace(), "every 100ms");
}

}  // namespace
}  // namespace ipc::test
