// ipc-monitor for scripts and machines: text, check, export, record, replay, plot.

#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "ipc/format/histogram.hpp"
#include "tests/support/seed.hpp"
#include "tests/support/shell.hpp"
#include "tools/common/failure.hpp"
#include "tools/common/table.hpp"
#include "tools/common/text.hpp"
#include "tools/monitor/csv.hpp"
#include "tools/monitor/json.hpp"
#include "tools/monitor/metrics.hpp"
#include "tools/monitor/record.hpp"
#include "tools/monitor/render.hpp"
#include "tools/monitor/svg_plot.hpp"

namespace ipc::tools::monitor {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

using test::read_file;
using test::write_file;

constexpr std::int64_t second = 1'000'000'000;

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);)
        lines.push_back(line);
    return lines;
}

// --- what is shown ------------------------------------------------------------------------------

ChannelReport report_at(std::int64_t time) {
    GroupReport workers;
    workers.index = 0;
    workers.name = "workers";
    workers.durable = true;
    workers.manual_ack = true;
    workers.members = 3;
    GroupReport subscriber;
    subscriber.index = 1;
    subscriber.subscriber = true;
    subscriber.reliable = false;
    subscriber.members = 1;

    ChannelReport report;
    report.name = "jobs";
    report.channel_id = 7;
    report.sampled_at_ns = time;
    report.capacity = 1024;
    report.reserved_bytes = 1 << 20;
    ParticipantReport producer;
    producer.role = ParticipantRole::shared_producer;
    producer.alive = true;
    ParticipantReport archiver;
    archiver.index = 1;
    archiver.name = "archiver";
    archiver.pid = 4711;
    archiver.alive = true;
    archiver.group_index = 1;
    report.participants = {producer, archiver};
    for (unsigned i = 2; i < 5; ++i) {
        ParticipantReport member;
        member.index = i;
        member.role = ParticipantRole::member;
        member.alive = true;
        member.group_index = 0;
        report.participants.push_back(member);
    }
    report.groups = {workers, subscriber};
    return report;
}

Snapshot snapshot_of(std::vector<Sample> samples, std::int64_t time) {
    return {.sampled_at_ns = time,
            .wall_clock_ns = 1'700'000'000 * second + time,
            .space = {.total = 1000, .free = 400},
            .channels = std::move(samples)};
}

Sample sample_of(const ChannelReport& report) {
    return {.channel = report.name, .report = report, .problem = {}};
}

Snapshot later_snapshot() {
    ChannelReport now = report_at(12 * second);
    now.published = 24'690;
    now.published_bytes = 2'000'000;
    now.blocked_by = "producers wait for group workers: member ipc-recv (pid 99) holds message 12";
    GroupReport& workers = now.groups[0];
    workers.backlog = 1024;
    workers.in_flight = 3;
    workers.delivered = 2400;
    workers.settled = 2399;
    workers.acked = 2398;
    workers.redelivered = 2;
    workers.dead_lettered = 1;
    workers.oldest_age_ns = 1'500'000'000;
    workers.blocks_producers = true;
    workers.service_time.assign(format::histogram_buckets, 0);
    workers.service_time[format::bucket_of(2'000'000)] = 10;
    workers.service_time_sum_ns = 20'000'000;
    now.groups[1].skipped = 123'456'789;
    return snapshot_of(
        {{.channel = "broken", .report = std::nullopt, .problem = "not a channel"}, sample_of(now)},
        12 * second);
}

History example() {
    History history;
    history.add(snapshot_of({sample_of(report_at(10 * second))}, 10 * second));
    history.add(later_snapshot());
    return history;
}

std::vector<Row> tree_of(const History& history, const std::string& filter = "") {
    View view;
    view.tree = true;
    view.filter = filter;
    return rows_of(history, view);
}

TEST(MonitorTable, ShowsEachChannelWithItsGroups) {
    const History history = example();
    std::vector<std::string> lines = lines_of(render(tree_of(history), Table::unlimited));
    ASSERT_EQ(lines.size(), 7U);
    // clang-format off
    EXPECT_EQ(lines[0], "CHANNEL, group     STATE   SIZE  PROD   IN/s  BYTES/s  MEMB  BACKLOG  FLIGHT  OUT/s  ACK/s  REDEL   LOST  DEADL  OLDEST  T_r=?  NOTE");
    lines.erase(lines.begin());
    EXPECT_THAT(lines, ::testing::IsSupersetOf({
              "jobs               FULL    1.0M     1  12345     977K",
              "  workers          FULL                                   3     1024       3   1200   1199      2      0      1    1.5s  685ms  blocks producers",
              "  ! producers wait for group workers: member ipc-recv (pid 99) holds message 12; 12345/s come, 1200/s are done",
              "  archiver (4711)  SLOW                                   1        0       0      0      0      0   123M      0       -      -  lossy",
              "  ! falls behind: it misses 61.7M/s",
              "broken  ! not a channel"}));
    // clang-format on
}

TEST(MonitorTable, DropsColumnsWhereNarrow) {
    const History history = example();
    // clang-format off
    EXPECT_EQ(render(tree_of(history, "jobs"), 80),
        "CHANNEL, group     STATE  PROD   IN/s  MEMB  BACKLOG  FLIGHT  ACK/s  OLDEST\n"
        "jobs               FULL      1  12345\n"
        "  workers          FULL                   3     1024       3   1199    1.5s\n"
        "  ! producers wait for group workers: member ipc-recv (pid 99) holds message 12;\n"
        "    12345/s come, 1200/s are done\n"
        "  archiver (4711)  SLOW                   1        0       0      0       -\n"
        "  ! falls behind: it misses 61.7M/s\n");
    EXPECT_EQ(render(tree_of(history, "jobs"), 40),
        "CHANNEL, group    STATE  BACKLOG  OLDEST\n"
        "jobs              FULL\n"
        "  workers         FULL      1024    1.5s\n"
        "  ! producers wait for group workers:\n"
        "    member ipc-recv (pid 99) holds\n"
        "    message 12; 12345/s come, 1200/s are\n"
        "    done\n"
        "  archiver (471~  SLOW         0       -\n"
        "  ! falls behind: it misses 61.7M/s\n");
    // clang-format on
    for (std::size_t width = 1; width < 200; ++width) {
        for (const std::string& line : lines_of(render(tree_of(history), width)))
            EXPECT_LE(line.size(), width);
    }
}

TEST(MonitorTable, SaysOnceWhyEachGroupIsInItsState) {
    ChannelReport report = report_at(second);
    report.blocked_by = "producers wait for a group that is being joined";
    report.groups[0].members = 0;
    report.groups[0].backlog = 15;
    report.groups.push_back(report.groups[0]);
    GroupReport& other = report.groups.back();
    other.index = 7;
    other.name = "others";
    other.backlog = 5;
    report.participants.resize(2);
    History history;
    history.add(snapshot_of({sample_of(report)}, second));
    const auto reasons = [&] {
        std::string text;
        for (const std::string& line : lines_of(render(tree_of(history), Table::unlimited)))
            if (line.starts_with("  !")) text += line + "\n";
        return text;
    };
    EXPECT_EQ(reasons(),
              "  ! 15 messages wait, and the group has no members\n"
              "  ! 5 messages wait, and the group has no members\n"
              "  ! producers wait for a group that is being joined\n");
    report.blocked_by = "";
    report.closed = true;
    report.groups[0].backlog = report.groups.back().backlog = 0;
    report.sampled_at_ns = 2 * second;
    history.add(snapshot_of({sample_of(report)}, 2 * second));
    EXPECT_EQ(reasons(), "  ! the channel is closed\n");
}

TEST(MonitorTable, SeldomMessagesHaveARateThatIsNotZero) {
    ChannelReport report = report_at(10 * second);
    History history;
    history.add(snapshot_of({sample_of(report)}, 10 * second));
    report.sampled_at_ns = 15 * second;
    report.published = report.groups[0].delivered = report.groups[0].acked = 2;
    history.add(snapshot_of({sample_of(report)}, 15 * second));
    const std::string table = render(tree_of(history), Table::unlimited);
    EXPECT_THAT(table, HasSubstr("  0.40  ")) << table;
    EXPECT_THAT(table, HasSubstr("   0.40   0.40  ")) << table;
}

TEST(MonitorTable, SaysWhenThereIsNothing) {
    EXPECT_THAT(render({}, 80), HasSubstr("no channels"));
}

TEST(MonitorJson, HasWhatTheModelKnows) {
    const History history = example();
    const auto json = nlohmann::json::parse(to_json(history, tree_of(history, "jobs"), true));
    EXPECT_EQ(json["shared_memory_free_bytes"], 400);
    ASSERT_EQ(json["channels"].size(), 1U);
    const auto& group = json["channels"][0]["groups"][0];
    EXPECT_EQ(group["delivered_per_second"], 1200.0);
    EXPECT_EQ(group["service_time"]["mean_ns"], 2'000'000);
    EXPECT_EQ(group["service_time"]["samples"], 10);
    EXPECT_TRUE(group["response_time"].is_null());
    EXPECT_EQ(group["service_capacity_per_second"], 1500.0);
    EXPECT_EQ(group["predicted_response_time_busy_ns"], 684'666'667);
    EXPECT_EQ(group["state"], "full");
    const auto broken = nlohmann::json::parse(to_json(history, tree_of(history, "broken"), false));
    EXPECT_EQ(broken["channels"][0]["problem"], "not a channel");
    EXPECT_EQ(broken["channels"][0]["state"], "unreadable");
}

TEST(MonitorCsv, HasAValueForEachColumnWhateverIsKnown) {
    const History history = example();
    const std::vector<std::string> lines = lines_of(to_csv(history, rows_of(history, {})));
    ASSERT_EQ(lines.size(), 3U);
    const auto commas = [](const std::string& line) {
        return std::count(line.begin(), line.end(), ',');
    };
    for (const std::string& line : lines)
        EXPECT_EQ(commas(line), commas(csv_header())) << line;
    EXPECT_THAT(lines, ::testing::Contains(HasSubstr(",jobs,workers,0,full,,1024,24690,")));
    EXPECT_THAT(lines, ::testing::Contains(HasSubstr(",broken,,,unreadable,not a channel,,")));
}

TEST(MonitorCsv, QuotesWhatNamesHold) {
    ChannelReport report = report_at(second);
    report.groups[0].name = "a,\"b\"\n";
    History history;
    history.add(snapshot_of({sample_of(report)}, second));
    EXPECT_THAT(to_csv(history, rows_of(history, {})), HasSubstr(",jobs,\"a,\"\"b\"\"\\n\",0,"));
}

// --- records ------------------------------------------------------------------------------------

class RecordTest : public ::testing::Test {
protected:
    RecordTest() : shell("record") {}

    std::string path() const { return shell.file("record"); }
    static std::size_t read_all(const std::string& file) {
        RecordReader reader(file);
        std::size_t count = 0;
        while (reader.next())
            ++count;
        return count;
    }
    static std::string failure_of(const std::string& file) {
        try {
            read_all(file);
            return "";
        } catch (const Failure& failure) {
            return failure.what();
        }
    }

    test::Shell shell;
};

Snapshot full_snapshot() {
    Snapshot snapshot = later_snapshot();
    snapshot.directory = "/elsewhere";
    ChannelReport& channel = *snapshot.channels[1].report;
    channel.channel_id = ~std::uint64_t{0};
    channel.removed = channel.closed = channel.temporary = true;
    channel.type_name = "T\xc3\xa4g \x01\"\n";
    ParticipantReport& participant = channel.participants[0];
    participant.role = ParticipantRole::exclusive_producer;
    participant.activity = Activity::waiting_for_room;
    participant.process_state = 'T';
    participant.pid = -1;
    participant.same_pid_namespace = false;
    participant.last_received_ns = 5;
    GroupReport& group = channel.groups[0];
    group.reliable = false;
    group.recovered = 17;
    group.leases = {{.position = 9, .member = 3, .attempt = 2, .kind = LeaseKind::dead_exhausted},
                    {.position = 10, .member = -1, .attempt = 1, .kind = LeaseKind::returned}};
    group.response_time.assign(format::histogram_buckets, 3);
    group.response_time_sum_ns = 12345;
    return snapshot;
}

TEST_F(RecordTest, GivesBackWhatWasWritten) {
    const Snapshot written = full_snapshot();
    {
        RecordWriter writer(path(), false);
        writer.add(written);
    }
    RecordReader reader(path());
    const std::optional<Snapshot> read = reader.next();
    ASSERT_TRUE(read);
    EXPECT_FALSE(reader.next());

    EXPECT_EQ(read->sampled_at_ns, written.sampled_at_ns);
    EXPECT_EQ(read->wall_clock_ns, written.wall_clock_ns);
    EXPECT_EQ(read->directory, "/elsewhere");
    EXPECT_EQ(read->space.free, 400U);
    ASSERT_EQ(read->channels.size(), 2U);
    EXPECT_FALSE(read->channels[0].report);
    EXPECT_EQ(read->channels[0].problem, "not a channel");
    const ChannelReport& channel = *read->channels[1].report;
    EXPECT_EQ(channel.channel_id, ~std::uint64_t{0});
    EXPECT_TRUE(channel.removed && channel.closed && channel.temporary);
    EXPECT_EQ(channel.type_name, "T\xc3\xa4g \x01\"\n");
    ASSERT_EQ(channel.participants.size(), 5U);
    EXPECT_EQ(channel.participants[0].role, ParticipantRole::exclusive_producer);
    EXPECT_EQ(channel.participants[0].activity, Activity::waiting_for_room);
    EXPECT_EQ(channel.participants[0].process_state, 'T');
    EXPECT_EQ(channel.participants[0].pid, -1);
    EXPECT_FALSE(channel.participants[0].same_pid_namespace);
    EXPECT_TRUE(channel.participants[1].same_pid_namespace);
    ASSERT_EQ(channel.groups.size(), 2U);
    const GroupReport& group = channel.groups[0];
    EXPECT_FALSE(group.reliable);
    EXPECT_EQ(group.oldest_age_ns, 1'500'000'000);
    EXPECT_EQ(channel.groups[1].oldest_age_ns, -1);
    EXPECT_EQ(group.recovered, 17U);
    ASSERT_EQ(group.leases.size(), 2U);
    EXPECT_EQ(group.leases[0].kind, LeaseKind::dead_exhausted);
    EXPECT_EQ(group.leases[1].member, -1);
    EXPECT_EQ(group.service_time, written.channels[1].report->groups[0].service_time);
    EXPECT_EQ(group.response_time, std::vector<std::uint64_t>(format::histogram_buckets, 3));
    EXPECT_EQ(group.response_time_sum_ns, 12345U);

    // And all that is not named above: written again, it is the same, to the byte.
    {
        RecordWriter writer(path() + "2", false);
        writer.add(*read);
    }
    EXPECT_EQ(read_file(path()), read_file(path() + "2"));
}

TEST_F(RecordTest, KeepsAFileThatExists) {
    write_file(path(), "precious");
    try {
        const RecordWriter writer(path(), false);
        FAIL();
    } catch (const Failure& failure) {
        EXPECT_THAT(failure.what(), HasSubstr("exists already"));
    }
    EXPECT_EQ(read_file(path()), "precious");
    { const RecordWriter writer(path(), true); }
    EXPECT_EQ(read_all(path()), 0U);
}

TEST_F(RecordTest, LeavesNoNewFileWithoutASnapshot) {
    ::signal(SIGXFSZ, SIG_IGN);
    rlimit limit;
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &limit), 0);
    const auto fill_up = [&](rlim_t size) {
        const rlimit full = {.rlim_cur = size, .rlim_max = limit.rlim_max};
        ::setrlimit(RLIMIT_FSIZE, &full);
        EXPECT_THROW(RecordWriter(path(), true).add(full_snapshot()), Failure);
        ::setrlimit(RLIMIT_FSIZE, &limit);
    };
    for (const rlim_t size : {rlim_t{0}, rlim_t{100}}) {  // not even the first line, or only that
        fill_up(size);
        EXPECT_FALSE(std::filesystem::exists(path()));
    }
    { const RecordWriter of_nothing(path(), false); }
    EXPECT_FALSE(std::filesystem::exists(path()));
    write_file(path(), "somebody's");
    fill_up(0);
    EXPECT_TRUE(std::filesystem::exists(path()));
}

TEST_F(RecordTest, IsGoodUpToWhereItWasCut) {
    {
        RecordWriter writer(path(), false);
        writer.add(full_snapshot());
    }
    const std::string text = read_file(path());
    const std::size_t header = text.find('\n') + 1;
    for (std::size_t length = 0; length < text.size(); length += length < 2 * header ? 1 : 29) {
        write_file(path(), text.substr(0, length));
        const std::string failure = failure_of(path());
        if (length < header) {
            EXPECT_THAT(failure, HasSubstr("is not a record")) << length;
        } else if (length == header) {
            EXPECT_EQ(failure, "");
        } else {
            EXPECT_THAT(failure, HasSubstr("ends within line 2")) << length;
        }
    }
}

TEST_F(RecordTest, NoticesEveryDamagedByte) {
    {
        RecordWriter writer(path(), false);
        writer.add(full_snapshot());
    }
    const std::string text = read_file(path());
    const test::Seed seed;
    std::mt19937_64 random(seed.value);
    for (int i = 0; i < 200; ++i) {
        std::string damaged = text;
        char& byte = damaged[random() % damaged.size()];
        const char old = byte;
        byte = static_cast<char>(random());
        if (byte == old) continue;
        write_file(path(), damaged);
        EXPECT_NE(failure_of(path()), "");
    }
    // Another case of a checksum's digit, too, which is the same number.
    std::string damaged = text;
    const std::size_t letter = damaged.find_first_of("abcdef");
    ASSERT_LT(letter, 8U);
    damaged[letter] = static_cast<char>(std::toupper(damaged[letter]));
    write_file(path(), damaged);
    EXPECT_NE(failure_of(path()), "");
}

TEST_F(RecordTest, SaysWhatAFileIsThatItCannotRead) {
    EXPECT_THAT(failure_of(shell.file("none")), HasSubstr("No such file"));
    EXPECT_THAT(failure_of("/"), HasSubstr("is a directory"));
    write_file(path(), "");
    EXPECT_THAT(failure_of(path()), HasSubstr("is not a record"));
    write_file(path(), std::string(100'000, 'x'));
    EXPECT_THAT(failure_of(path()), HasSubstr("is not a record"));
    // As an earlier version began, and a later one would; the checksums are right.
    write_file(path(), "7ed4aded {\"format\":\"ipc-monitor record\",\"version\":1}\n");
    EXPECT_THAT(failure_of(path()), HasSubstr("has version 1, this program reads version 2"));
    write_file(path(), "4ce2cf6f {\"format\":\"ipc-monitor record\",\"version\":3}\n");
    EXPECT_THAT(failure_of(path()), HasSubstr("has version 3, this program reads version 2"));
}

TEST_F(RecordTest, RefusesFiguresThatNoChannelCanHave) {
    const auto failure_with = [&](const std::function<void(Snapshot&)>& change) {
        Snapshot snapshot = full_snapshot();
        change(snapshot);
        {
            RecordWriter writer(path(), true);
            writer.add(full_snapshot());
            writer.add(snapshot);
        }
        return failure_of(path());
    };
    const auto channel = [](Snapshot& snapshot) -> ChannelReport& {
        return *snapshot.channels[1].report;
    };
    EXPECT_EQ(failure_with([&](Snapshot& it) {
                  channel(it).groups[0].members = 4000;
                  channel(it).participants.resize(4000);
                  channel(it).groups.resize(1024);
              }),
              "");
    const std::vector<std::function<void(Snapshot&)>> impossible = {
        [&](Snapshot& it) { channel(it).groups[0].members = 4001; },
        [&](Snapshot& it) { channel(it).groups[0].members = 4'294'967'295; },
        [&](Snapshot& it) { channel(it).participants.resize(4001); },
        [&](Snapshot& it) { channel(it).groups.resize(1025); },
        [&](Snapshot& it) { channel(it).capacity = 0; },
        [&](Snapshot& it) { channel(it).sampled_at_ns = -1; }};
    for (std::size_t i = 0; i < impossible.size(); ++i)
        EXPECT_THAT(failure_with(impossible[i]), HasSubstr("line 3 is damaged")) << i;
    for (const char* text : {"26ad0294 {\"format\":5,\"version\":1}\n"}) {
        write_file(path(), text);
        EXPECT_THAT(failure_of(path()), HasSubstr("is not a record")) << text;
    }
}

// --- metrics ------------------------------------------------------------------------------------

TEST(Continuation, CountersGoOnWhenWhatTheyCountIsMadeAgain) {
    Continuation continuation;
    EXPECT_THAT(continuation.add("jobs", "first", {10, 1}, 0), ElementsAre(10, 1));
    EXPECT_THAT(continuation.add("jobs", "first", {15, 1}, 1), ElementsAre(15, 1));
    EXPECT_THAT(continuation.add("other", "second", {2, 2}, 1), ElementsAre(2, 2));
    EXPECT_THAT(continuation.add("jobs", "second", {3, 0}, 2), ElementsAre(18, 1));
    EXPECT_THAT(continuation.add("jobs", "third", {100, 7}, 3), ElementsAre(118, 8));
    continuation.forget_before(2);
    EXPECT_THAT(continuation.add("jobs", "third", {101, 7}, 4), ElementsAre(119, 8));
    EXPECT_THAT(continuation.add("other", "third", {1, 1}, 4), ElementsAre(1, 1));
}

// --- plots --------------------------------------------------------------------------------------

TEST(Plot, IsWellFormedWhateverTheFiguresAre) {
    for (const double value : {0.0, 1e-9, 0.5, 1.0, 1e7, 1e18, HUGE_VAL, double{NAN}}) {
        Plot plot = {.title = "<&\">\xff", .subtitle = "", .from = 0, .to = 10, .panels = {}};
        plot.panels = {{.title = "a", .series = {{.name = "<b>", .filled = true, .points = {}}}}};
        for (int i = 0; i <= 10; ++i)
            plot.panels[0].series[0].points.push_back(
                {static_cast<double>(i), i == 5 ? NAN : value});
        for (const Unit unit : {Unit::count, Unit::per_second, Unit::seconds}) {
            plot.panels[0].unit = unit;
            const std::string svg = to_svg(plot);
            EXPECT_THAT(svg, StartsWith("<svg "));
            EXPECT_THAT(svg, EndsWith("</svg>\n"));
            EXPECT_THAT(svg, Not(HasSubstr("nan")));
            EXPECT_THAT(svg, Not(HasSubstr("inf")));
            EXPECT_THAT(svg, HasSubstr("&lt;&amp;&quot;&gt;"));
            EXPECT_LT(svg.size(), 20'000U);
        }
    }
    EXPECT_THAT(to_svg({}), EndsWith("</svg>\n"));
}

TEST(Plot, ThinningOutKeepsThePeaks) {
    std::vector<PlotPoint> points;
    for (int i = 0; i < 10'000; ++i)
        points.push_back({static_cast<double>(i), i == 7777 ? 5.0 : i % 2 == 0 ? 1.0 : NAN});
    const std::vector<PlotPoint> thin = thin_out(points, 0, 10'000, 100, Merge::most);
    EXPECT_EQ(thin.size(), 100U);
    EXPECT_EQ(std::count_if(thin.begin(), thin.end(), [](auto& each) { return each.value == 5; }),
              1);
    EXPECT_TRUE(
        std::is_sorted(thin.begin(), thin.end(), [](auto& a, auto& b) { return a.time < b.time; }));
    EXPECT_EQ(thin_out(points, 0, 10'000, 20'000, Merge::most).size(), 10'000U);
}

TEST(Plot, ThinningOutToTheMeanKeepsTheLevelAndTheGaps) {
    std::vector<PlotPoint> points;
    for (int i = 0; i < 10'000; ++i) {
        if (i > 5000 && i < 5999) continue;  // between two interruptions
        const double value = i == 5000 || i == 5999 ? NAN : i % 2 == 0 ? 4 : 0;
        points.push_back({static_cast<double>(i), value});
    }
    const std::vector<PlotPoint> thin = thin_out(points, 0, 10'000, 100, Merge::mean);
    ASSERT_EQ(thin.size(), 100U);
    for (std::size_t i = 0; i < thin.size(); ++i) {
        if (i >= 50 && i < 60) {
            EXPECT_TRUE(std::isnan(thin[i].value)) << i;
        } else {
            EXPECT_DOUBLE_EQ(thin[i].value, 2) << i;
            EXPECT_DOUBLE_EQ(thin[i].time, 100 * static_cast<double>(i) + 49.5) << i;
        }
    }
}

/// What is written below the panels.
std::string times_of(double from, double to) {
    Plot plot = {.title = "", .subtitle = "", .from = from, .to = to, .panels = {}};
    plot.panels = {{.title = "a", .series = {}}};
    const std::string svg = to_svg(plot);
    return svg.substr(svg.find("text-anchor=\"middle\""));
}

TEST(Plot, SaysOfWhichDayTimesAre) {
    constexpr double hour = 3600;
    constexpr double day = 24 * hour;
    constexpr double begin = 1'795'000'000;
    const auto label = [](double time) {
        return fmt::format(">{}<", local_time_text(time).substr(0, 10));
    };
    const auto count = [](const std::string& text, const std::string& part) {
        std::size_t found = 0;
        for (std::size_t at = text.find(part); at != std::string::npos;
             at = text.find(part, at + 1))
            ++found;
        return found;
    };
    // Each day once where its hours are shown, and where days are.
    for (const double days : {1.5, 3.0, 6.0, 8.0}) {
        const std::string times = times_of(begin, begin + days * day);
        for (double time = begin + day; time < begin + (days - 1) * day; time += day)
            EXPECT_EQ(count(times, label(time)), 1U) << days << " days: " << times;
        EXPECT_EQ(count(times, label(begin + days * day)), 1U) << days;
    }
    EXPECT_EQ(count(times_of(begin, begin + 8 * day), ">00:00<"), 0U);
    // Without need there is none.
    double noon = begin;
    while (local_time_text(noon).substr(11, 2) != "12")
        noon += hour;
    EXPECT_EQ(count(times_of(noon, noon + hour), label(noon)), 0U);
    // A year, too, has an end.
    EXPECT_LE(count(times_of(begin, begin + 365 * day), "<text"), 11U);
}

// --- the program --------------------------------------------------------------------------------

class MonitorToolsTest : public ::testing::Test {
protected:
    MonitorToolsTest() : shell(::testing::UnitTest::GetInstance()->current_test_info()->name()) {}

    /// With the exit code, whatever it is, and without stopping at the first that is not 0.
    test::Shell::Result run(const std::string& script) const {
        return shell.run("export PATH='" IPC_TOOL_DIRECTORY "':\"$PATH\"\nset +e\n" + script);
    }
    /// The channel jobs with the group workers: 5 published, 2 processed, no member.
    void make_jobs() const {
        const auto result =
            run("ipc-send jobs < /dev/null && ipc-recv jobs --group workers "
                "--timeout 0; seq 5 | ipc-send jobs && "
                "ipc-recv jobs --group workers --count 2 > /dev/null");
        ASSERT_EQ(result.exit_code, 0) << result;
    }
    static void expect_error(const test::Shell::Result& result, int exit_code,
                             const std::string& text) {
        EXPECT_EQ(result.exit_code, exit_code) << result;
        EXPECT_EQ(lines_of(result.err).size(), 1U) << result;
        EXPECT_THAT(result.err, HasSubstr(text)) << result;
    }

    test::Shell shell;
};

TEST_F(MonitorToolsTest, StreamsJsonAsOneObjectPerLine) {
    make_jobs();
    for (const char* arguments :
         {"--json --interval 0.02 --count 3", "--json --count 3 --interval 0.02"}) {
        const auto result = run(std::string("ipc-monitor ") + arguments);
        EXPECT_EQ(result.exit_code, 0) << result;
        const std::vector<std::string> lines = lines_of(result.out);
        ASSERT_EQ(lines.size(), 3U) << result;
        std::int64_t last = 0;
        for (const std::string& line : lines) {
            const auto json = nlohmann::json::parse(line);
            EXPECT_EQ(json["schema_version"], 2);
            EXPECT_EQ(json["channels"][0]["groups"][0]["backlog_messages"], 3);
            EXPECT_GT(json["sampled_at_unix_ns"], last);
            last = json["sampled_at_unix_ns"];
        }
    }
    // So that who reads lines can read the only one.
    EXPECT_EQ(lines_of(run("ipc-monitor --json --count 1 --interval 0.02").out).size(), 1U);
    // With an interval alone, until nobody reads any more.
    const auto endless = run("ipc-monitor --json --interval 0.02 | head -n 5");
    EXPECT_EQ(lines_of(endless.out).size(), 5U) << endless;
}

TEST_F(MonitorToolsTest, WritesCsvWithOneHeader) {
    make_jobs();
    const auto result = run("ipc-monitor --csv --interval 0.02 --count 2");
    const std::vector<std::string> lines = lines_of(result.out);
    ASSERT_EQ(lines.size(), 3U) << result;
    EXPECT_EQ(lines[0] + "\n", csv_header());
    for (std::size_t i = 1; i < lines.size(); ++i)
        EXPECT_THAT(lines[i], HasSubstr(",jobs,workers,0,stop,,1024,5,5,")) << result;
    EXPECT_EQ(lines_of(run("ipc-monitor --csv --once --interval 0.02").out).size(), 2U);
}

TEST_F(MonitorToolsTest, ANameThatNoChannelHasIsAnErrorAndAPatternIsNot) {
    make_jobs();
    const auto result =
        run("ipc-monitor --once --interval 0.01 jobs nosuch | grep -c workers; "
            "echo ${PIPESTATUS[0]}; "
            "ipc-monitor --once --interval 0.01 jobs 'nosuch*' | grep -c workers; "
            "echo ${PIPESTATUS[0]}");
    EXPECT_EQ(result.out, "1\n1\n1\n0\n");
    EXPECT_EQ(result.err, "ipc-monitor: channel nosuch: not found\n");
    for (const char* format : {"", " --json", " --csv"}) {
        const auto nothing = run("ipc-monitor nosuch --once --interval 0.01" + std::string(format));
        expect_error(nothing, 1, "channel nosuch: not found");
        EXPECT_EQ(nothing.out, "");
    }
}

TEST_F(MonitorToolsTest, SurvivesThatAWatchedChannelIsTruncated) {
    make_jobs();
    const auto result =
        run("ipc-monitor --json --interval 0.05 --count 1000 jobs > samples & monitor=$!\n"
            "until grep -q workers samples; do sleep 0.01; done\n"
            "truncate -s 0 $IPC_DIRECTORY/ipc.jobs\n"
            "until grep -qi truncated samples; do sleep 0.01; done\n"
            "rm $IPC_DIRECTORY/ipc.jobs; seq 3 | ipc-send jobs\n"
            "until tail -n 1 samples | grep -q '\"published_total\":3'; do sleep 0.01; done\n"
            "kill -0 $monitor; echo lives $?; kill $monitor; wait 2> /dev/null; true");
    EXPECT_EQ(result.out, "lives 0\n") << result;
}

TEST_F(MonitorToolsTest, FiltersAndSorts) {
    make_jobs();
    run("ipc-send a < /dev/null; ipc-recv a --group other --timeout 0; echo x | ipc-send a");
    const auto names = [&](const std::string& arguments) {
        std::vector<std::string> result;
        for (const std::string& line :
             lines_of(run("ipc-monitor --csv --once --interval 0.02 " + arguments).out)) {
            const std::size_t start = line.find(',') + 1;
            const std::size_t end = line.find(',', line.find(',', start) + 1);
            result.push_back(line.substr(start, end - start));
        }
        result.erase(result.begin());
        return result;
    };
    EXPECT_THAT(names("--sort backlog"), ElementsAre("jobs,workers", "a,other"));
    EXPECT_THAT(names("--sort backlog --reverse"), ElementsAre("a,other", "jobs,workers"));
    EXPECT_THAT(names("--sort CHANNEL"), ElementsAre("a,other", "jobs,workers"));
    EXPECT_THAT(names("--filter work"), ElementsAre("jobs,workers"));
    EXPECT_THAT(names("--filter nothing"), ElementsAre());
    expect_error(run("ipc-monitor --sort nonsense"), 2, "nonsense is none of state, ");
    expect_error(run("ipc-monitor --json --csv"), 2, "--csv");
    EXPECT_EQ(lines_of(run("ipc-monitor --csv --interval 0.01 --count 012").out).size(),
              1 + 2 * 12U);
    for (const char* command : {"", " record r", " replay r"}) {
        expect_error(run("ipc-monitor" + std::string(command) + " --count 0"), 2,
                     "--count: 0 is not a whole number from 1 to 1000000000");
    }
    expect_error(run("ipc-monitor --interval -1"), 2, "-1 is not a number from 0.01 to 3600");
    for (const char* wrong : {"127.0.0.1", "[::1]", ":9464", "localhost:", "localhost:65536"}) {
        expect_error(run("ipc-monitor export --listen " + std::string(wrong)), 2,
                     std::string(wrong) + " is not an address and a port");
    }
}

TEST_F(MonitorToolsTest, CheckFollowsTheConventionsOfMonitoringPlugins) {
    const auto check = [&](const std::string& arguments) {
        return run("ipc-monitor check --interval 0.02 " + arguments);
    };
    EXPECT_EQ(check("").exit_code, 0);
    EXPECT_EQ(check("").out, "IPC OK - 0 channels, 0 groups\n");
    make_jobs();
    auto result = check("jobs");
    EXPECT_EQ(result.exit_code, 2) << result;
    EXPECT_THAT(result.out,
                StartsWith("IPC CRITICAL - jobs/workers: 3 messages wait, and the group "
                           "has no members |"))
        << result;

    // A member that holds one message and leaves two waiting is no emergency.
    result =
        run("ipc-recv jobs --group workers | sleep 30 & member=$!\n"
            "until [ \"$(ipc-monitor --csv --once --interval 0.02 | cut -d, -f12 | tail -n 1)\""
            " = 1 ]; do :; done\n"
            "seq 4 | ipc-send jobs\n"
            "ipc-monitor check --interval 0.02; echo $?\n"
            "kill $(jobs -p); pkill -P $$ ; wait 2> /dev/null; true");
    EXPECT_THAT(result.out, StartsWith("IPC OK - 1 channel, 1 group")) << result;

    run("ipc-recv jobs --group workers --timeout 0; seq 3 | ipc-send jobs");
    result = check("jobs --warn-backlog 2 --max-backlog 10 --filter workers");
    EXPECT_THAT(result.out, HasSubstr("'jobs/workers backlog'=3;2;10;0;1024")) << result;
    EXPECT_THAT(result.out, HasSubstr("backlog 3")) << result;
    EXPECT_EQ(lines_of(result.out).size(), 1U);

    EXPECT_EQ(check("nothing").exit_code, 2);
    EXPECT_THAT(check("nothing").out, HasSubstr("CRITICAL - no channel nothing"));
    EXPECT_EQ(check("'no*'").exit_code, 2);
    write_file(shell.channels() / "ipc.broken", "not a channel");
    result = check("broken");
    EXPECT_EQ(result.exit_code, 3) << result;
    EXPECT_THAT(result.out, StartsWith("IPC UNKNOWN - broken: ")) << result;

    // 2 would mean CRITICAL.
    expect_error(check("--max-backlog many"), 3, "--max-backlog");
    expect_error(check("--nonsense"), 3, "--nonsense");
    EXPECT_THAT(check("--nonsense").out, StartsWith("IPC UNKNOWN - "));
}

TEST_F(MonitorToolsTest, OptionsBeforeASubCommandAreNotLost) {
    make_jobs();
    expect_error(run("ipc-monitor jobs check"), 3, "CHANNEL stands before check");
    expect_error(run("ipc-monitor --interval 5 check"), 3,
                 "write ipc-monitor check, then --interv");
    expect_error(run("ipc-monitor --allow-foreign-owner check"), 3, "--allow-foreign-owner");
    expect_error(run("ipc-monitor --json check"), 3, "check has no --json");
    expect_error(run("ipc-monitor --interval 5 record r --count 1"), 2, "--interval");
    expect_error(run("ipc-monitor jobs plot jobs --minutes 1 -o a.svg"), 2, "CHANNEL");
    EXPECT_EQ(run("ipc-monitor check --help").exit_code, 0);
}

TEST_F(MonitorToolsTest, CheckFindsAMemberThatLivesAndHangs) {
    // It hangs in a write to a pipe that is full. Every look is a short one: the channel has to
    // tell for how long it does.
    const auto result =
        run("ipc-send jobs < /dev/null; ipc-recv jobs --group workers --timeout 0\n"
            "mkfifo full; exec 9<> full; ipc-recv jobs --group workers > full & member=$!\n"
            "head -c 600000 /dev/zero | ipc-send jobs --size 30000\n"
            "until ipc-monitor check --interval 0.1 > line; [ $? = 2 ]; do :; done\n"
            "kill -0 $member; echo lives $?; cat line\n"
            "kill $member; wait 2> /dev/null; true");
    EXPECT_EQ(result.exit_code, 0) << result;
    EXPECT_THAT(result.out, StartsWith("lives 0\nIPC CRITICAL - jobs/workers: ")) << result;
    EXPECT_THAT(result.out, HasSubstr(" messages wait, none was taken for ")) << result;
    EXPECT_THAT(result.out, HasSubstr(" holds message ")) << result;
}

TEST_F(MonitorToolsTest, CheckJudgesByLimits) {
    // Read in pieces, with a member that is there all the time.
    const auto result = run(
        "mkfifo hold; ipc-send x < /dev/null; ipc-recv x --group g --timeout 0\n"
        "(while read -r line; do :; done < hold) & \n"
        "ipc-recv x --group g > hold & \n"
        "until [ \"$(ipc-monitor --csv --once --interval 0.02 | cut -d, -f12 | tail -n 1)\" = 1 ]; "
        "do "
        ":; done\n"
        "check() { ipc-monitor check --interval 0.02 \"$@\" > line; echo $? $(cut -d' ' -f2 line); "
        "}\n"
        "check; check --min-members 1; check --min-members 2; check --max-age 100 --warn-age 50\n"
        "check --max-backlog 0 --max-fill 0 --max-response 3600\n"
        "kill $(jobs -p); wait 2> /dev/null; true");
    EXPECT_EQ(result.out, "0 OK\n0 OK\n2 CRITICAL\n0 OK\n0 OK\n") << result;
}

TEST_F(MonitorToolsTest, CheckDoesNotTakeAnAgeForZeroThatNoStampTells) {
    // Few messages of a burst are stamped. The member that got its last ones writes to a full pipe.
    const auto result =
        run("ipc-send jobs < /dev/null; ipc-recv jobs --group workers --timeout 0\n"
            "seq 100 | ipc-send jobs; ipc-recv jobs --group workers --count 96 > /dev/null\n"
            "mkfifo full; exec 9<> full; head -c 65536 /dev/zero >&9\n"
            "ipc-recv jobs --group workers > full & member=$!\n"
            "until [ \"$(ipc-monitor --csv --once --interval 0.02 | cut -d, -f12 | tail -n 1)\""
            " != 0 ]; do :; done; sleep 2\n"
            "check() { ipc-monitor check --interval 0.1 \"$@\" > line; "
            "echo $? $(grep -c \"age'=[0-9.]*[1-9]\" line); }\n"
            "check --max-age 0.01; check --warn-age 0.01; check --max-age 1000; check\n"
            "check --max-age 1.5; cat line; kill $member; wait 2> /dev/null; true");
    const std::vector<std::string> lines = lines_of(result.out);
    ASSERT_EQ(lines.size(), 6U) << result;
    EXPECT_THAT(std::vector(lines.begin(), lines.begin() + 5),
                ElementsAre("2 1", "1 1", "0 1", "0 1", "3 1"));
    EXPECT_THAT(lines[5], HasSubstr("UNKNOWN - jobs/workers: oldest message has no time stamp: it "
                                    "is at least "));
    EXPECT_THAT(lines[5], HasSubstr(" and at most "));
}

TEST_F(MonitorToolsTest, CheckWarnsOfDeadLettersThatNobodyTakes) {
    const auto result =
        run("ipc-send jobs < /dev/null; echo x | ipc-send jobs\n"
            "ipc-recv jobs --group workers --from earliest --max-attempts 1 --dead-letter nope "
            "--count 1 > /dev/full 2> /dev/null\n"
            "ipc-recv jobs --group workers --timeout 0.1\n"
            "ipc-monitor check --interval 0.1; echo $?\n"
            "ipc-monitor --json --once --interval 0.1 | grep -c '\"state\": \"idle\"'");
    EXPECT_EQ(result.out.substr(0, result.out.find(" |")),
              "IPC WARNING - jobs/workers: 1 dead letter waits for the dead-letter channel nope, "
              "and the group has no members")
        << result;
    EXPECT_THAT(result.out, EndsWith("\n1\n0\n"));
}

TEST_F(MonitorToolsTest, CheckIsUnknownWhereItCannotAnswer) {
    make_jobs();
    expect_error(run("ipc-monitor check --interval 0.02 > /dev/full"), 3, "No space left");
    expect_error(run("ipc-monitor check --interval 0.02 >&-"), 3, "standard output: ");
}

TEST_F(MonitorToolsTest, ADirectoryThatCannotBeReadIsNamed) {
    for (const std::string directory : {"/nonexistent", "/dev/null"}) {
        const std::string set = "export IPC_DIRECTORY=" + directory + "; ipc-monitor ";
        const std::string begin = directory + ", the directory of channels: No";
        expect_error(run(set + "--once"), 1, begin);
        expect_error(run(set + "--once"), 1, "; IPC_DIRECTORY, where it is set, has to name a");
        EXPECT_THAT(run(set + "check").out, StartsWith("IPC UNKNOWN - " + begin));
    }
}

TEST_F(MonitorToolsTest, HelpOfASubCommandHasItsOwnExamples) {
    for (const std::string command : {"check", "export", "plot", "record", "replay"}) {
        const std::string help = run("ipc-monitor " + command + " --help").out;
        EXPECT_THAT(help, HasSubstr("\n  ipc-monitor " + command + " "));
        EXPECT_THAT(help, Not(HasSubstr("Columns of the table")));
    }
}

TEST_F(MonitorToolsTest, ExporterEndsAtOnce) {
    const auto result =
        run("ipc-monitor export --listen 127.0.0.1:0 > port & exporter=$!\n"
            "until grep -q listening port; do sleep 0.01; done\n"
            "curl -sSf http://127.0.0.1:$(grep -o '[0-9]*$' port)/metrics > metrics\n"
            "begin=$(date +%s%N); kill $exporter; wait $exporter; echo $?\n"
            "echo $(( ($(date +%s%N) - begin) / 1000000 ))");
    const std::vector<std::string> lines = lines_of(result.out);
    ASSERT_EQ(lines.size(), 2U) << result;
    EXPECT_EQ(lines[0], "143");
    EXPECT_LT(std::stoi(lines[1]), 1000) << "ms";
}

TEST_F(MonitorToolsTest, CheckMissesAGroupThatIsGone) {
    const auto expect = [&](const std::string& arguments, int exit_code, const std::string& text) {
        const auto result = run("ipc-monitor check --interval 0.02 " + arguments);
        EXPECT_EQ(result.exit_code, exit_code) << arguments << ": " << result;
        EXPECT_THAT(result.out, StartsWith(text)) << arguments;
    };
    expect("--min-members 2", 2, "IPC CRITICAL - no channel, and so no group");
    expect("--group workers", 2, "IPC CRITICAL - no channel, and so no group");
    make_jobs();
    run("ipc-recv jobs --group others --timeout 0; ipc-send bare < /dev/null");
    expect("bare", 0, "IPC OK - 1 channel, 0 groups");
    expect("bare --min-members 2", 2, "IPC CRITICAL - bare: no group, 0 of 2 members live\n");
    expect("bare --min-members 0", 0, "IPC OK");
    expect("bare --group workers", 2, "IPC CRITICAL - bare: no group workers\n");
    expect("bare --group workers --min-members 1", 2,
           "IPC CRITICAL - bare: no group workers, 0 of 1 members live\n");
    // Of jobs, workers is stopped and others is not.
    expect("jobs", 2, "IPC CRITICAL - jobs/workers: 3 messages wait");
    expect(
        "--group others jobs", 0,
        "IPC OK - 1 channel, 1 group; longest backlog 0 (jobs/others) | 'jobs/others backlog'=0");
    expect("jobs --group others --group nosuch", 2, "IPC CRITICAL - jobs: no group nosuch |");
    expect("--group others", 2, "IPC CRITICAL - bare: no group others |");
    expect("--group others --filter jobs", 0, "IPC OK");
    // A subscriber is no group, whatever it is called.
    const auto result =
        run("ipc-recv bare > /dev/null & until ipc-monitor --csv --once --interval 0.01 bare | "
            "grep -q ipc-recv; do sleep 0.01; done\n"
            "ipc-monitor check bare --interval 0.02 --min-members 1; kill $!; wait 2> /dev/null");
    EXPECT_THAT(result.out, StartsWith("IPC CRITICAL - bare: no group, 0 of 1 members live |"));
}

TEST_F(MonitorToolsTest, CheckRefusesAWarningThatNobodyCanGet) {
    const auto check = [&](const std::string& arguments) {
        return run("ipc-monitor check --interval 0.02 " + arguments);
    };
    for (const std::string limit : {"backlog", "fill", "age", "response"}) {
        const auto both = [&](const char* most) {
            return fmt::format("--warn-{0} 10 --max-{0} {1}", limit, most);
        };
        expect_error(check(both("5")), 3, fmt::format("--warn-{0} 10 is above --max-{0} 5", limit));
        EXPECT_EQ(check(both("10")).exit_code, 0);
    }
}

TEST_F(MonitorToolsTest, ExporterTellsThatNothingCanBeSampledAndGoesOn) {
    make_jobs();
    const auto result =
        run("ipc-monitor export --listen 127.0.0.1:0 > port 2> problems & exporter=$!\n"
            "until grep -q listening port; do sleep 0.01; done\n"
            "url=http://127.0.0.1:$(grep -o '[0-9]*$' port)/metrics\n"
            "curl -sSf $url > before || exit 1\n"
            "mv $IPC_DIRECTORY $IPC_DIRECTORY.away\n"
            "curl -sSf $url > during && curl -sSf $url > during\n"
            "mv $IPC_DIRECTORY.away $IPC_DIRECTORY\n"
            "curl -sSf $url > after\n"
            "kill -0 $exporter; echo lives $?; kill $exporter; wait 2> /dev/null; true");
    EXPECT_EQ(result.out, "lives 0\n") << result;
    const auto figures = [&](const char* file) { return lines_of(read_file(shell.file(file))); };
    const auto has = [](const std::string& line) { return ::testing::Contains(StartsWith(line)); };
    for (const char* file : {"before", "after"}) {
        EXPECT_THAT(figures(file), has("ipc_exporter_up 1"));
        EXPECT_THAT(figures(file), has("ipc_channel_messages_published_total{channel=\"jobs\"} 5"));
    }
    EXPECT_THAT(figures("during"), has("ipc_exporter_up 0"));
    EXPECT_THAT(figures("during"), Not(has("ipc_channel")));
    EXPECT_THAT(figures("problems"),
                ElementsAre(StartsWith("ipc-monitor: channels cannot be sampled: "),
                            "ipc-monitor: channels can be sampled again"));
}

TEST_F(MonitorToolsTest, ExportsMetricsThatPromtoolAccepts) {
    make_jobs();
    const auto result =
        run("ipc-recv jobs > /dev/null & ipc-recv jobs > /dev/null & \n"
            "ipc-monitor export --listen 127.0.0.1:0 > port & \n"
            "until grep -q listening port; do sleep 0.01; done\n"
            "url=http://127.0.0.1:$(grep -o '[0-9]*$' port)/metrics\n"
            "curl -sSf $url > first || exit 1\n"
            "ipc-rm jobs; ipc-send jobs < /dev/null; ipc-recv jobs --group workers --timeout 0\n"
            "seq 7 | ipc-send jobs\n"
            "curl -sSf $url > second || exit 1\n"
            "ipc-monitor export --listen ${url:7:-8}; echo exit code $?\n"
            "kill $(jobs -p); wait 2> /dev/null; true");
    ASSERT_EQ(result.exit_code, 0) << result;
    EXPECT_THAT(result.out, EndsWith("exit code 1\n")) << result;
    EXPECT_THAT(result.err, HasSubstr("cannot listen on 127.0.0.1:")) << result;

    const std::vector<std::string> first = lines_of(read_file(shell.file("first")));
    const std::vector<std::string> later = lines_of(read_file(shell.file("second")));
    const auto has = [](const std::string& line) { return ::testing::Contains(line); };
    const std::string workers = "{channel=\"jobs\",group=\"workers\",subscriber=\"\"";
    EXPECT_THAT(first, has("ipc_channel_messages_published_total{channel=\"jobs\"} 5"));
    EXPECT_THAT(first, has("ipc_group_backlog_messages" + workers + "} 3"));
    EXPECT_THAT(first, has("ipc_group_messages_acked_total" + workers + "} 2"));
    EXPECT_THAT(first, has("ipc_group_state" + workers + ",state=\"stop\"} 1"));
    EXPECT_THAT(first, has("ipc_group_response_time_seconds_count" + workers + "} 2"));
    EXPECT_THAT(first, has("ipc_group_response_time_seconds_bucket" + workers + ",le=\"+Inf\"} 2"));
    // Made again under the same name: counters go on, the rest is as it is.
    EXPECT_THAT(later, has("ipc_channel_messages_published_total{channel=\"jobs\"} 12"));
    EXPECT_THAT(later, has("ipc_group_messages_acked_total" + workers + "} 2"));
    EXPECT_THAT(later, has("ipc_group_backlog_messages" + workers + "} 7"));

    // Each series once.
    std::vector<std::string> series;
    for (const std::string& line : first) {
        if (!line.starts_with('#')) series.push_back(line.substr(0, line.rfind(' ')));
    }
    std::sort(series.begin(), series.end());
    EXPECT_EQ(std::adjacent_find(series.begin(), series.end()), series.end());

    if (run("tools=${IPC_PROMTOOL:-promtool}; command -v $tools").exit_code != 0) {
        GTEST_SKIP() << "no promtool to check the format: name one in IPC_PROMTOOL";
    }
    const auto checked =
        run("for each in first second; do ${IPC_PROMTOOL:-promtool} check metrics < "
            "$each || exit 1; done");
    EXPECT_EQ(checked.exit_code, 0) << checked;
    EXPECT_EQ(checked.out + checked.err, "");
}

TEST_F(MonitorToolsTest, ExportsUtf8WhateverTheNamesOfChannelsAndProcessesAre) {
    make_jobs();
    const auto result =
        run("ln -s \"$(command -v ipc-recv)\" $'strange-\\xff'; ./$'strange-\\xff' jobs & \n"
            "touch $IPC_DIRECTORY/$'ipc.\\xff'\n"
            "ipc-monitor export --listen 127.0.0.1:0 > port & \n"
            "until grep -q listening port; do sleep 0.01; done\n"
            "url=http://127.0.0.1:$(grep -o '[0-9]*$' port)/metrics\n"
            "until curl -sSf $url > metrics && grep -aq strange- metrics; do sleep 0.01; done\n"
            "kill $(jobs -p); wait 2> /dev/null; true");
    ASSERT_EQ(result.exit_code, 0) << result;
    const std::string metrics = read_file(shell.file("metrics"));
    EXPECT_TRUE(is_utf8(metrics));
    EXPECT_THAT(metrics, HasSubstr(R"(ipc_channel_readable{channel="\\xff"} 0)"));
    EXPECT_THAT(metrics, HasSubstr(R"(subscriber="strange-\\xff ()"));
}

/// All strings of these names in the dashboard.
void add_strings(const nlohmann::json& json, const std::vector<std::string>& names,
                 std::vector<std::string>& strings) {
    for (const auto& [key, value] : json.items()) {
        if (value.is_string() && std::find(names.begin(), names.end(), key) != names.end()) {
            strings.push_back(value);
        } else if (value.is_structured()) {
            add_strings(value, names, strings);
        }
    }
}

nlohmann::json dashboard() {
    return nlohmann::json::parse(std::ifstream(IPC_SOURCE_DIRECTORY "/tools/monitor/grafana.json"));
}

/// The word at `at`, as Prometheus names metrics and labels.
std::string word_at(const std::string& text, std::size_t at) {
    std::size_t end = at;
    while (end < text.size() &&
           (std::isalnum(static_cast<unsigned char>(text[end])) != 0 || text[end] == '_'))
        ++end;
    return text.substr(at, end - at);
}

TEST_F(MonitorToolsTest, TheDashboardAsksForMetricsAndLabelsThatAreExported) {
    make_jobs();
    const auto result =
        run("ipc-recv jobs --group workers > received & \n"
            "ipc-monitor export --listen 127.0.0.1:0 > port & \n"
            "until grep -q listening port && [ $(wc -l < received) = 3 ]; do sleep 0.01; done\n"
            "url=http://127.0.0.1:$(grep -o '[0-9]*$' port)/metrics\n"
            "curl -sSf $url > /dev/null && sleep 0.1 && curl -sSf $url > metrics || exit 1\n"
            "kill $(jobs -p); wait 2> /dev/null; true");
    ASSERT_EQ(result.exit_code, 0) << result;
    const std::vector<std::string> metrics = lines_of(read_file(shell.file("metrics")));
    // Series of the metric that have all these, each `label=` or `label="value"`.
    const auto is_exported = [&](const std::string& metric,
                                 const std::vector<std::string>& labels) {
        return std::any_of(metrics.begin(), metrics.end(), [&](const std::string& line) {
            return (line.starts_with(metric + "{") || line.starts_with(metric + " ")) &&
                   std::all_of(labels.begin(), labels.end(), [&](const std::string& label) {
                       return line.find("{" + label) != std::string::npos ||
                              line.find("," + label) != std::string::npos;
                   });
        });
    };

    // What it asks Prometheus, in all its panels and variables.
    std::vector<std::string> queries;
    add_strings(dashboard(), {"expr", "query"}, queries);
    EXPECT_GE(queries.size(), dashboard()["panels"].size());
    std::size_t found = 0;
    for (const std::string& query : queries) {
        for (std::size_t at = query.find("ipc_"); at != std::string::npos;
             at = query.find("ipc_", at + 1)) {
            const std::string metric = word_at(query, at);
            std::vector<std::string> labels;
            std::size_t next = at + metric.size();
            // {label="value",label=~"pattern"}: the value has to be there, patterns match ours.
            while (next < query.size() && (query[next] == '{' || query[next] == ',')) {
                const std::string label = word_at(query, next + 1);
                if (label.empty()) break;
                next += 1 + label.size();
                const std::size_t open = query.find('"', next);
                const std::size_t close = query.find('"', open + 1);
                ASSERT_NE(close, std::string::npos) << query;
                const bool exact = query.substr(next, open - next) == "=";
                // Prometheus itself says of whom it has a figure.
                if (label != "instance")
                    labels.push_back(exact ? label + "=" + query.substr(open, close + 1 - open)
                                           : label + "=");
                next = close + 1;
            }
            EXPECT_TRUE(is_exported(metric, labels))
                << metric << " with " << ::testing::PrintToString(labels) << " of " << query;
            ++found;
        }
    }
    EXPECT_GT(found, queries.size() / 2);
}

TEST(Dashboard, KeepsHostsApart) {
    std::vector<std::string> expressions;
    std::vector<std::string> legends;
    add_strings(dashboard(), {"expr"}, expressions);
    add_strings(dashboard(), {"legendFormat"}, legends);
    EXPECT_EQ(expressions.size(), legends.size());
    for (const std::string& legend : legends)
        EXPECT_THAT(legend, HasSubstr("{{instance}}"));
    const std::string chosen = "{instance=~\"$instance\"";
    for (const std::string& expression : expressions) {
        for (std::size_t at = expression.find("ipc_"); at != std::string::npos;
             at = expression.find("ipc_", at + 1)) {
            const std::size_t end = at + word_at(expression, at).size();
            EXPECT_EQ(expression.substr(end, chosen.size()), chosen) << expression;
        }
        for (const std::string aggregation : {"sum", "max"}) {
            for (std::size_t at = expression.find(aggregation + "("); at != std::string::npos;
                 at = expression.find(aggregation + "(", at + 1))
                ADD_FAILURE() << "mixes hosts: " << expression;
        }
    }
}

TEST_F(MonitorToolsTest, ReplayShowsWhatWasRecorded) {
    make_jobs();
    auto result = run("ipc-monitor record r --interval 0.02 --count 4");
    EXPECT_EQ(result.exit_code, 0) << result;
    ASSERT_EQ(run("ipc-rm jobs").exit_code, 0);

    const std::vector<std::string> lines = lines_of(run("ipc-monitor replay r --json").out);
    ASSERT_EQ(lines.size(), 4U);
    const auto json = nlohmann::json::parse(lines[3]);
    EXPECT_EQ(json["channels"][0]["name"], "jobs");
    EXPECT_EQ(json["channels"][0]["groups"][0]["backlog_messages"], 3);
    EXPECT_EQ(json["channels"][0]["published_total"], 5);
    EXPECT_EQ(lines_of(run("ipc-monitor replay r --csv").out).size(), 5U);
    result = run("ipc-monitor replay r --once");
    EXPECT_EQ(lines_of(result.out).size(), 4U) << result;
    EXPECT_THAT(result.out, HasSubstr("\n  workers ")) << result;
    EXPECT_EQ(lines_of(run("ipc-monitor replay r --json --count 2").out).size(), 2U);

    expect_error(run("ipc-monitor record r"), 1, "exists already");
    EXPECT_EQ(run("ipc-monitor record r --overwrite --count 1").exit_code, 0);
    expect_error(run("ipc-monitor record /dev/full"), 1, "/dev/full");
    expect_error(run("ipc-monitor record no/such/folder"), 1, "No such file");
    expect_error(run("ipc-monitor record"), 2, "FILE");
    // Options that only the live monitor has are not promised.
    const std::string help = run("ipc-monitor replay --help").out;
    EXPECT_THAT(help.substr(0, help.find("Examples:")), Not(HasSubstr("--interval")));
    expect_error(run("ipc-monitor replay none --json"), 1, "No such file");
    // What is whole is shown before the error.
    make_jobs();
    run("ipc-monitor record cut --interval 0.02 --count 3; truncate -s -9 cut");
    for (const char* format : {"--csv", "--once --csv"}) {
        result = run(std::string("ipc-monitor replay cut ") + format);
        expect_error(result, 1, "ends within line 4");
        EXPECT_THAT(result.out, HasSubstr(",jobs,workers,")) << result;
    }
}

TEST_F(MonitorToolsTest, RecordTellsThatANameIsThatOfNoChannel) {
    make_jobs();
    expect_error(run("ipc-monitor record a jobs nosuch --count 1"), 1, "channel nosuch: not found");
    EXPECT_EQ(run("ipc-monitor record b 'nosuch*' --count 1").exit_code, 0);
    // It may still come.
    auto result =
        run("ipc-monitor record c late --interval 0.02 --count 400 2> problems & recorder=$!\n"
            "until grep -q late problems; do sleep 0.01; done\n"
            "seq 3 | ipc-send late; wait $recorder");
    EXPECT_EQ(result.exit_code, 0) << result;
    EXPECT_EQ(read_file(shell.file("problems")),
              "ipc-monitor: channel late: not found yet; recording goes on\n");
    result = run("ipc-monitor record d nosuch --interval 0.02 --count 2");
    EXPECT_EQ(result.exit_code, 1) << result;
    EXPECT_THAT(result.err, EndsWith("ipc-monitor: channel nosuch: not found\n"));
}

TEST_F(MonitorToolsTest, ARecordTellsWhereItsChannelsWere) {
    EXPECT_EQ(run("ipc-monitor record r --count 1").exit_code, 0);
    RecordReader reader(shell.file("r"));
    EXPECT_EQ(reader.next().value().directory, shell.channels());
}

TEST_F(MonitorToolsTest, DoesNotMakeUpForSamplesOfTheTimeItWasStopped) {
    // Stopped for longer than all that are left would take.
    const auto result =
        run("ipc-monitor record r --interval 0.02 --count 60 & recorder=$!\n"
            "until [ \"$(cat r 2> /dev/null | wc -l)\" -ge 3 ]; do sleep 0.01; done\n"
            "kill -STOP $recorder; sleep 2; kill -CONT $recorder; wait $recorder");
    EXPECT_EQ(result.exit_code, 0) << result;
    std::vector<std::int64_t> times;
    RecordReader reader(shell.file("r"));
    while (const auto snapshot = reader.next())
        times.push_back(snapshot->sampled_at_ns);
    ASSERT_EQ(times.size(), 60U);
    std::size_t after = 1;
    for (std::size_t i = 1; i < times.size(); ++i) {
        if (times[i] - times[i - 1] > times[after] - times[after - 1]) after = i;
    }
    // Each that follows has a time of its own, and none comes before its time.
    const auto others = static_cast<std::int64_t>(times.size() - after) - 2;
    EXPECT_GE(times.back() - times[after], others * second / 50);
}

TEST_F(MonitorToolsTest, PlotsARecordAndWhatIsThere) {
    make_jobs();
    run("ipc-monitor record r --interval 0.02 --count 10");
    auto result =
        run("ipc-monitor plot jobs --record r -o a.svg && "
            "ipc-monitor plot jobs --minutes 0.01 --interval 0.05 -o b.svg");
    EXPECT_EQ(result.exit_code, 0) << result;
    for (const char* file : {"a.svg", "b.svg"}) {
        const std::string svg = read_file(shell.file(file));
        EXPECT_THAT(svg, StartsWith("<svg ")) << file;
        EXPECT_THAT(svg, EndsWith("</svg>\n")) << file;
        EXPECT_THAT(svg, HasSubstr(">Response time</text>")) << file;
        EXPECT_THAT(svg, HasSubstr("group workers")) << file;
    }
    // A record that was cut short is drawn as far as it is good.
    result = run("truncate -s -9 r; ipc-monitor plot jobs --record r -o cut.svg");
    expect_error(result, 1, "ends within line 11");
    EXPECT_THAT(read_file(shell.file("cut.svg")), HasSubstr("group workers"));
    run("ipc-monitor record r --overwrite --interval 0.02 --count 2");
    expect_error(run("ipc-monitor plot nothing --record r -o c.svg"), 1,
                 "channel nothing: not found");
    expect_error(run("ipc-monitor plot nothing --minutes 1 -o c.svg"), 1, "not found");
    expect_error(run("ipc-monitor plot jobs --group no --record r -o c.svg"), 1, "no group no");
    expect_error(run("ipc-monitor plot jobs -o c.svg"), 2, "--minutes");
}

TEST_F(MonitorToolsTest, PlotsWhatIsPublishedThoughNobodyReads) {
    ChannelReport report = report_at(second);
    report.groups.clear();
    {
        RecordWriter writer(shell.file("r"), false);
        for (int i = 1; i <= 10; ++i) {
            report.sampled_at_ns = i * second;
            report.published += 7;
            writer.add(snapshot_of({sample_of(report)}, i * second));
        }
    }
    const auto result = run("ipc-monitor plot jobs --record r -o a.svg");
    EXPECT_EQ(result.exit_code, 0) << result;
    const std::string svg = read_file(shell.file("a.svg"));
    EXPECT_THAT(svg, HasSubstr("<path d=\"M"));
    EXPECT_THAT(svg, HasSubstr(">published<"));
}

TEST_F(MonitorToolsTest, PlotKnowsBeforeItWatchesThatItCannotWrite) {
    make_jobs();
    const auto result = run("timeout 20 ipc-monitor plot jobs --minutes 5 -o no/such/folder");
    expect_error(result, 1, "cannot write no/such/folder: No such file or directory");
}

TEST_F(MonitorToolsTest, PlotKeepsThePictureThatItCannotReplace) {
    make_jobs();
    write_file(shell.file("a.svg"), "precious");
    const auto result =
        run("ipc-monitor record r --interval 0.02 --count 2\n"
            "(trap '' XFSZ; ulimit -f 1; ipc-monitor plot jobs --record r -o a.svg; echo $?) 2>&1 |"
            " cat\n"
            "ls");
    EXPECT_EQ(result.out, "ipc-monitor: cannot write a.svg: File too large\n1\na.svg\nr\n")
        << result;
    EXPECT_EQ(read_file(shell.file("a.svg")), "precious");
}

TEST_F(MonitorToolsTest, PlotSaysWhyItCannotReadAChannel) {
    write_file(shell.channels() / "ipc.broken", "not a channel");
    const auto result =
        run("ipc-monitor plot broken --minutes 1 -o a.svg; ipc-monitor record r --count 1; "
            "ipc-monitor plot broken --record r -o a.svg");
    const std::vector<std::string> lines = lines_of(result.err);
    ASSERT_EQ(lines.size(), 2U) << result;
    for (const std::string& line : lines) {
        EXPECT_THAT(line, StartsWith("ipc-monitor: channel broken: "));
        EXPECT_THAT(line, HasSubstr("too short to be a channel"));
    }
}

/// The paths of lines in a picture, in its order.
std::vector<std::string> drawn_lines(const std::string& svg) {
    std::vector<std::string> result;
    for (const std::string& line : lines_of(svg)) {
        if (line.starts_with("<path") && line.find("fill=\"none\"") != std::string::npos) {
            result.push_back(line);
        }
    }
    return result;
}

TEST_F(MonitorToolsTest, PlotDrawsNoLineWhereThereWasNoChannelOrGroup) {
    ChannelReport report = report_at(second);
    report.groups.pop_back();
    ChannelReport without_group = report;
    without_group.groups.clear();
    ChannelReport other = report;
    other.name = "other";
    {
        RecordWriter writer(shell.file("r"), false);
        for (int i = 1; i <= 20; ++i) {
            report.sampled_at_ns = without_group.sampled_at_ns = i * second;
            report.published = without_group.published += 7;
            report.groups[0].acked += 5;
            const bool no_channel = i > 5 && i <= 10;
            const bool no_group = i > 12 && i <= 16;
            writer.add(snapshot_of({sample_of(no_channel ? other
                                              : no_group ? without_group
                                                         : report)},
                                   i * second));
        }
    }
    const auto result = run("ipc-monitor plot jobs --record r -o a.svg");
    EXPECT_EQ(result.exit_code, 0) << result;
    const std::vector<std::string> lines = drawn_lines(read_file(shell.file("a.svg")));
    ASSERT_EQ(lines.size(), 3U);  // the backlog, and what is published and processed
    const auto pieces = [](const std::string& line) {
        return std::count(line.begin(), line.end(), 'M');
    };
    EXPECT_EQ(pieces(lines[0]), 3) << lines[0];
    EXPECT_EQ(pieces(lines[1]), 2) << lines[1];
    EXPECT_EQ(pieces(lines[2]), 3) << lines[2];
}

TEST_F(MonitorToolsTest, PlotTellsTwoSubscriptionsOfAProcessApart) {
    ChannelReport report = report_at(second);
    report.groups.push_back(report.groups[1]);
    report.groups[2].index = 2;
    report.participants.push_back(report.participants[1]);
    report.participants.back().index = 5;
    report.participants.back().group_index = 2;
    {
        RecordWriter writer(shell.file("r"), false);
        for (int i = 1; i <= 3; ++i) {
            report.sampled_at_ns = i * second;
            writer.add(snapshot_of({sample_of(report)}, i * second));
        }
    }
    EXPECT_EQ(run("ipc-monitor plot jobs --record r -o a.svg").exit_code, 0);
    const std::string svg = read_file(shell.file("a.svg"));
    EXPECT_THAT(svg, HasSubstr(">archiver (4711)<"));
    EXPECT_THAT(svg, HasSubstr(">archiver (4711) 2<"));
}

TEST_F(MonitorToolsTest, PlotOfALongRecordSaysWhatItsPointsAre) {
    ChannelReport report = report_at(second);
    report.groups.pop_back();
    {
        RecordWriter writer(shell.file("r"), false);
        for (int i = 1; i <= 2400; ++i) {
            report.sampled_at_ns = i * second;
            report.published += i % 2 == 0 ? 0 : 20;
            report.groups[0].backlog = i % 2 == 0 ? 0 : 20;
            writer.add(snapshot_of({sample_of(report)}, i * second));
        }
    }
    ASSERT_EQ(run("ipc-monitor plot jobs --record r -o a.svg").exit_code, 0);
    const std::string svg = read_file(shell.file("a.svg"));
    EXPECT_THAT(svg, HasSubstr(">Backlog, the most of each 2.0s<"));
    EXPECT_THAT(svg, HasSubstr(">Messages per second, mean of each 2.0s<"));
    EXPECT_THAT(svg, HasSubstr(">Response time, the most of each 2.0s<"));
    // The scales: of the backlog up to 20, of a rate that is 10.
    EXPECT_THAT(svg, HasSubstr(">20<"));
    EXPECT_THAT(svg, HasSubstr(">10/s<"));
    EXPECT_THAT(svg, Not(HasSubstr(">20/s<")));
}

}  // namespace
}  // namespace ipc::tools::monitor
