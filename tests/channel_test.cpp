// Channels: how they are made, opened, refused, removed and closed.

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "ipc/ipc.hpp"
#include "ipc/os/shared_object.hpp"
#include "ipc/protocol/channel_memory.hpp"
#include "tests/support/channel_name.hpp"
#include "tests/support/child.hpp"
#include "tests/support/own_directory.hpp"
#include "tests/support/refusal.hpp"
#include "tests/support/sleepers.hpp"
#include "tests/support/torn.hpp"

namespace ipc::test {
namespace {

using namespace std::chrono_literals;

// One test removes all that is dead.
const OwnDirectory directory;

using Clock = std::chrono::steady_clock;

bool is_listed(const std::string& name) {
    const auto names = list();
    return std::find(names.begin(), names.end(), name) != names.end();
}

std::string text_of(const PeekedMessage& message) {
    return {reinterpret_cast<const char*>(message.body.data()), message.body.size()};
}

/// Closes in another thread, and requests a stop once `is_waiting` says that it cannot go on.
template <class IsWaiting>
void expect_a_stop_ends_close(Channel<>& channel, const IsWaiting& is_waiting) {
    Status status = Status::ok;
    // Its end requests the stop.
    std::optional<std::jthread> closing(std::in_place, [&](const std::stop_token& stop) {
        status = channel.close(20s, stop).status();
    });
    EXPECT_TRUE(eventually(is_waiting));
    const auto start = Clock::now();
    closing.reset();
    EXPECT_LT(Clock::now() - start, 2s);
    EXPECT_EQ(status, Status::interrupted);
}

struct Pair {
    std::int32_t a;
    std::int32_t b;
};

// ------------------------------------------------------------------------------------------ words

TEST(Words, EveryStatusAndEveryErrorHasItsOwn) {
    std::set<std::string_view> statuses;
    for (int i = 0; i <= static_cast<int>(Status::not_leased); ++i)
        statuses.insert(to_string(static_cast<Status>(i)));
    EXPECT_EQ(statuses.size(), static_cast<std::size_t>(Status::not_leased) + 1);
    EXPECT_FALSE(statuses.contains(to_string(static_cast<Status>(99))));

    std::set<std::string> errors;
    for (int i = 1; i <= static_cast<int>(Errc::system); ++i)
        errors.insert(make_error_code(static_cast<Errc>(i)).message());
    EXPECT_EQ(errors.size(), static_cast<std::size_t>(Errc::system));
    EXPECT_FALSE(errors.contains(make_error_code(static_cast<Errc>(99)).message()));
    EXPECT_STREQ(make_error_code(Errc::corrupt).category().name(), "ipc");
}

// ------------------------------------------------------------------------------- create and open

TEST(Channel, CreateMakesOneThatOpenFindsAndListShows) {
    const ChannelName name;
    EXPECT_FALSE(is_listed(name));
    auto created = Channel<>::create(name, {.capacity = 8});
    EXPECT_TRUE(is_listed(name));
    auto opened = Channel<>::open(name);
    EXPECT_EQ(opened.name(), name.str());
    EXPECT_EQ(opened.capacity(), 8U);
    auto subscriber = opened.subscribe();
    ASSERT_TRUE(created.producer().send("hello"));
    EXPECT_EQ(subscriber.receive().text(), "hello");
}

TEST(Channel, CreateRefusesATakenNameAndLeavesTheChannelAlone) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 8});
    ASSERT_TRUE(channel.producer().send("kept"));
    std::string what;
    EXPECT_EQ(refusal([&] { (void)Channel<>::create(name, {.capacity = 16}); }, &what),
              Errc::already_exists);
    EXPECT_TRUE(contains(what, name.str())) << what;
    auto reader = Channel<>::open(name).subscribe({.from = Start::earliest()});
    EXPECT_EQ(reader.try_receive().text(), "kept");
}

TEST(Channel, OpenOfAMissingOneIsAnErrorThatNamesItAndARemedy) {
    const ChannelName name;
    std::string what;
    const auto start = Clock::now();
    EXPECT_EQ(refusal([&] { (void)Channel<>::open(name); }, &what), Errc::not_found);
    EXPECT_LT(Clock::now() - start, 1s);
    EXPECT_TRUE(contains(what, name.str())) << what;
    EXPECT_TRUE(contains(what, "; ")) << "no remedy: " << what;
    EXPECT_FALSE(contains(what, "\n")) << what;
    EXPECT_FALSE(is_listed(name));
}

TEST(Channel, OpenWaitsForOneThatIsCreatedLater) {
    const ChannelName name;
    Child creator([&] {
        std::this_thread::sleep_for(50ms);
        (void)Channel<>::create(name, {.capacity = 32});
    });
    EXPECT_EQ(Channel<>::open(name, {.wait = 20s}).capacity(), 32U);
    EXPECT_EQ(creator.wait(), 0);
}

TEST(Channel, OpenWaitsNoLongerThanAsked) {
    const ChannelName name;
    const auto start = Clock::now();
    EXPECT_EQ(refusal([&] { (void)Channel<>::open(name, {.wait = 100ms}); }), Errc::not_found);
    EXPECT_GE(Clock::now() - start, 100ms);
    EXPECT_LT(Clock::now() - start, 3s);
}

TEST(Channel, OpenOrCreateCreatesThenOpens) {
    const ChannelName name;
    auto first = Channel<>::open_or_create(name, {.capacity = 8});
    auto subscriber = first.subscribe();
    auto second = Channel<>::open_or_create(name, {.capacity = 8});
    ASSERT_TRUE(second.producer().send("same channel"));
    EXPECT_EQ(subscriber.try_receive().text(), "same channel");
}

TEST(Channel, OpenOrCreateWithOtherOptionsIsAnErrorThatShowsBoth) {
    const ChannelName name;
    const ChannelOptions options{.capacity = 8};
    auto channel = Channel<>::create(name, options);
    const auto expect_differ = [&](auto&& change, const std::string& have,
                                   const std::string& want) {
        ChannelOptions other = options;
        change(other);
        std::string what;
        EXPECT_EQ(refusal([&] { (void)Channel<>::open_or_create(name, other); }, &what),
                  Errc::options_differ);
        EXPECT_TRUE(contains(what, have) && contains(what, want)) << what;
    };
    expect_differ([](auto& o) { o.capacity = 16; }, "capacity 8", "capacity 16");
    expect_differ([](auto& o) { o.inline_size = 41; }, "64", "128");
    expect_differ([](auto& o) { o.region_size = 4096; }, "1048576", "4096");
    expect_differ([](auto& o) { o.max_participants = 7; }, "128 part", "7 part");
    expect_differ([](auto& o) { o.max_groups = 3; }, "96 groups", "3 groups");
    expect_differ([](auto& o) { o.temporary = true; }, "groups", "temporary");
    ChannelOptions same = options;
    same.capacity = 5;  // rounded up to 8 as well
    same.mode = 0640;
    EXPECT_EQ(Channel<>::open_or_create(name, same).capacity(), 8U);
}

TEST(Channel, OpenOrCreateComparesTheFirstPositionToo) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.first_position = 5});
    EXPECT_EQ(refusal([&] { (void)Channel<>::open_or_create(name, {.first_position = 6}); }),
              Errc::options_differ);
    EXPECT_EQ(Channel<>::open_or_create(name, {.first_position = 5}).name(), name.str());
}

TEST(Channel, HandlesKeepItMappedWithoutTheChannelObject) {
    const ChannelName name;
    auto [producer, subscriber] = [&] {
        auto channel = Channel<>::create(name);
        return std::pair(channel.producer(), channel.subscribe());
    }();
    ASSERT_TRUE(producer.send("still here"));
    EXPECT_EQ(subscriber.receive().text(), "still here");
}

TEST(Channel, RacedByManyThreadsIsCreatedOnce) {
    const ChannelName name;
    std::vector<Child> children;
    children.reserve(64);
    for (int i = 0; i < 6; ++i) {
        children.emplace_back([&] {
            auto channel = Channel<>::open_or_create(name, {.capacity = 64});
            if (!channel.producer().send("x")) throw std::runtime_error("not sent");
        });
    }
    for (auto& child : children)
        EXPECT_EQ(child.wait(), 0);
    EXPECT_EQ(inspect(name).published, 6U);
    EXPECT_EQ(Channel<>::open(name).peek({}, 100).size(), 6U);
}

TEST(Channel, MappingOptionsChangeNothingAboutItsMessages) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 16, .region_size = 65536});
    for (const OpenOptions& how : {OpenOptions{.huge_pages = true}, OpenOptions{.prefault = true},
                                   OpenOptions{.huge_pages = true, .prefault = true}}) {
        auto opened = Channel<>::open(name, how);
        auto subscriber = opened.subscribe();
        auto producer = opened.producer();
        const std::string large(10000, 'x');
        ASSERT_TRUE(producer.send("small"));
        ASSERT_TRUE(producer.send(large));
        EXPECT_EQ(subscriber.receive().text(), "small");
        EXPECT_EQ(subscriber.receive().text(), large);
    }
}

// --------------------------------------------------------------------------------------- names

TEST(ChannelFormat, AnotherIsRefusedAndBothSidesAreNamed) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    const auto memory = memory_of(name);
    format::Preamble& preamble = memory->header().preamble;
    const format::Preamble right = preamble;
    const auto expect_refusal = [&](const std::string& sign) {
        std::string what;
        EXPECT_EQ(refusal([&] { (void)Channel<>::open(name); }, &what), Errc::incompatible);
        EXPECT_NE(what.find(sign), std::string::npos) << what;
        preamble = right;
    };
    ++preamble.version;
    expect_refusal("format version " + std::to_string(right.version + 1) + ", this library reads " +
                   std::to_string(right.version));
    preamble.incompatible_features |= std::uint64_t{1} << 63;
    expect_refusal("features this library does not know");
    ++preamble.fingerprint;
    expect_refusal(std::to_string(right.fingerprint + 1) + ", this library has " +
                   std::to_string(right.fingerprint));
    EXPECT_NO_THROW((void)Channel<>::open(name));
    preamble.compatible_features |= std::uint64_t{1} << 63;
    EXPECT_NO_THROW((void)Channel<>::open(name));
    preamble = right;
}

TEST(ChannelFormat, AHeaderOfZerosIsNoChannelAndCanBeRemoved) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    {
        const auto memory = memory_of(name);
        memory->header().preamble.layout = {};
        memory->header().preamble.inline_size = 0;
    }
    EXPECT_EQ(refusal([&] { (void)Channel<>::open(name); }), Errc::corrupt);
    EXPECT_EQ(refusal([&] { (void)inspect(name); }), Errc::corrupt);
    EXPECT_TRUE(remove(name));
    EXPECT_NO_THROW((void)Channel<>::create(name));
}

TEST(ChannelName, BadOnesAreRefusedEverywhere) {
    const std::vector<std::string> bad{"",     std::string(129, 'x'),  "a/b", "../up",    "a b",
                                       "a\nb", std::string("a\0b", 3), "a:b", "\xC3\xBC", "a\x7F",
                                       "*"};
    for (const std::string& name : bad) {
        SCOPED_TRACE(name);
        std::string what;
        EXPECT_EQ(refusal([&] { (void)Channel<>::create(name); }, &what), Errc::bad_name);
        for (const char c : what)
            EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F) << "control character";
        EXPECT_EQ(refusal([&] { (void)Channel<>::open(name); }), Errc::bad_name);
        EXPECT_EQ(refusal([&] { (void)Channel<>::open_or_create(name); }), Errc::bad_name);
        EXPECT_EQ(refusal([&] { (void)inspect(name); }), Errc::bad_name);
        EXPECT_EQ(refusal([&] { (void)remove(name); }), Errc::bad_name);
    }
}

TEST(ChannelName, AllAllowedCharactersAndTheLongestWork) {
    const ChannelName base;
    std::string longest = base.str() + ".ABCZabcz0189._-";
    longest.resize(128, 'x');
    auto channel = Channel<>::create(longest);
    ASSERT_TRUE(channel.producer().send("x"));
    EXPECT_TRUE(is_listed(longest));
    EXPECT_EQ(inspect(longest).published, 1U);
    EXPECT_TRUE(remove(longest));
}

// -------------------------------------------------------------------------------------- options

TEST(ChannelOptions, CapacityIsRoundedUpToAPowerOfTwo) {
    for (const auto& [asked, made] : std::vector<std::pair<std::uint32_t, std::uint64_t>>{
             {1, 1}, {2, 2}, {3, 4}, {5, 8}, {64, 64}, {65, 128}, {1000, 1024}}) {
        const ChannelName name;
        EXPECT_EQ(Channel<>::create(name, {.capacity = asked}).capacity(), made);
    }
}

TEST(ChannelOptions, OutOfRangeIsRefusedAndNothingIsLeft) {
    const ChannelName name;
    const auto expect_bad = [&](const ChannelOptions& options, const std::string& problem) {
        std::string what;
        EXPECT_EQ(refusal([&] { (void)Channel<>::create(name, options); }, &what),
                  Errc::bad_options);
        EXPECT_EQ(what,
                  "channel " + name.str() + ": " + problem + "; choose a value in that range");
        EXPECT_EQ(refusal([&] { (void)Channel<>::open_or_create(name, options); }),
                  Errc::bad_options);
        EXPECT_EQ(refusal([&] { (void)memory_cost(options); }), Errc::bad_options);
    };
    expect_bad({.capacity = 0}, "capacity is 0, must be 1 to 16777216 messages");
    expect_bad({.capacity = (1U << 24) + 1},
               "capacity is 16777217, must be 1 to 16777216 messages");
    expect_bad({.capacity = ~0U}, "capacity is 4294967295, must be 1 to 16777216 messages");
    expect_bad({.inline_size = 7}, "inline_size is 7, must be 8 to 65512 bytes");
    expect_bad({.inline_size = 65513}, "inline_size is 65513, must be 8 to 65512 bytes");
    expect_bad({.region_size = (std::uint64_t{1} << 32) - 8191},
               "region_size is 4294959105, must be 0 to 4294959104 bytes");
    expect_bad({.region_size = ~std::uint64_t{0}},
               "region_size is 18446744073709551615, must be 0 to 4294959104 bytes");
    expect_bad({.max_participants = 0}, "max_participants is 0, must be 1 to 4000");
    expect_bad({.max_participants = 4001}, "max_participants is 4001, must be 1 to 4000");
    expect_bad({.max_groups = 0}, "max_groups is 0, must be 1 to 1024");
    expect_bad({.max_groups = 1025}, "max_groups is 1025, must be 1 to 1024");
    EXPECT_FALSE(is_listed(name));
}

TEST(ChannelOptions, ExtremesWork) {
    for (const ChannelOptions& options :
         {ChannelOptions{.capacity = 1,
         .inline_size = 8,
         .region_size = 0,
         .max_participants = 2,
         .max_groups = 1},
          ChannelOptions{.capacity = 2, .inline_size = 65512, .region_size = 1},
          ChannelOptions{.capacity = 4, .max_participants = 4000, .max_groups = 1024}}) {
        const ChannelName name;
        auto channel = Channel<>::create(name, options);
        auto subscriber = channel.subscribe();
        auto producer = channel.producer();
        const std::string message(channel.max_message_size() < 65512 ? 40 : 65512, 'm');
        for (int i = 0; i < 5; ++i) {
            ASSERT_TRUE(producer.send(message));
            ASSERT_EQ(subscriber.receive().text(), message);
        }
    }
}

TEST(ChannelOptions, TheLargestMessageFollowsFromInlineAndRegionSize) {
    const auto largest = [](std::uint32_t inline_size, std::uint64_t region_size) {
        const ChannelName name;
        return Channel<>::create(name, {.inline_size = inline_size, .region_size = region_size})
            .max_message_size();
    };
    EXPECT_EQ(largest(40, 0), 40U);
    EXPECT_EQ(largest(41, 0), 104U);
    EXPECT_EQ(largest(40, 1), 4096U);
    EXPECT_EQ(largest(40, 1 << 20), std::uint64_t{1} << 20);
    EXPECT_EQ(largest(65512, 4096), 65512U);
}

TEST(ChannelOptions, ModeIsThatOfTheObjectWhateverTheUmask) {
    const mode_t former = ::umask(077);
    for (const std::uint32_t mode : {0600U, 0660U, 0640U}) {
        const ChannelName name;
        auto channel = Channel<>::create(name, {.mode = mode, .group_id = ::getegid()});
        struct stat status {};
        ASSERT_EQ(::stat((os::shared_memory_directory() + "/ipc." + name.str()).c_str(), &status),
                  0);
        EXPECT_EQ(status.st_mode & 07777, mode);
        EXPECT_EQ(status.st_gid, ::getegid());
    }
    ::umask(former);
}

// ----------------------------------------------------------------------------------- type checks

TEST(ChannelType, AMismatchIsRefusedAndShowsBothTypes) {
    const ChannelName name;
    auto channel = Channel<Pair>::create(name);
    std::string what;
    EXPECT_EQ(refusal([&] { (void)Channel<std::int64_t>::open(name); }, &what), Errc::type_differs);
    EXPECT_TRUE(contains(what, "Pair") && contains(what, "long")) << what;
    EXPECT_TRUE(contains(what, "8 bytes, aligned to 4")) << what;
    EXPECT_TRUE(contains(what, "8 bytes, aligned to 8")) << what;
    EXPECT_EQ(refusal([&] { (void)Channel<>::open(name); }, &what), Errc::type_differs);
    EXPECT_TRUE(contains(what, "Pair") && contains(what, "asked for bytes")) << what;
    EXPECT_EQ(refusal([&] { (void)Channel<int>::open_or_create(name); }), Errc::type_differs);
    EXPECT_EQ(inspect(name).type_name.find("Pair") != std::string::npos, true);
}

TEST(ChannelType, BytesAreNoTypeAndCanBeOpenedAsNoOther) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    EXPECT_EQ(refusal([&] { (void)Channel<int>::open(name); }), Errc::type_differs);
}

TEST(ChannelType, AnyTypeOpensATypedChannelAsBytes) {
    const ChannelName name;
    auto channel = Channel<Pair>::create(name);
    auto bytes = Channel<>::open(name, {.any_type = true}).subscribe();
    ASSERT_TRUE(channel.producer().send(Pair{1, 2}));
    auto message = bytes.receive();
    ASSERT_EQ(message.size(), sizeof(Pair));
    EXPECT_EQ(reinterpret_cast<const Pair*>(message.bytes().data())->b, 2);
}

// --------------------------------------------------------------------------------------- limits

TEST(ChannelLimits, AFullTableOfParticipantsIsAnErrorUntilOneLeaves) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.max_participants = 3, .max_groups = 8});
    auto producer = channel.producer();
    auto subscriber = std::make_unique<Consumer<>>(channel.subscribe());
    auto member = channel.join("workers");
    std::string what;
    EXPECT_EQ(refusal([&] { (void)channel.producer(); }, &what), Errc::limit_reached);
    EXPECT_TRUE(contains(what, "3 participant") && contains(what, "max_participants")) << what;
    EXPECT_EQ(refusal([&] { (void)channel.subscribe(); }), Errc::limit_reached);
    EXPECT_EQ(refusal([&] { (void)channel.join("other"); }), Errc::limit_reached);
    EXPECT_EQ(refusal([&] { (void)channel.join("workers"); }), Errc::limit_reached);
    EXPECT_EQ(inspect(name).groups.size(), 2U) << "a refused join left a group behind";
    subscriber.reset();
    auto other = channel.join("other");
    ASSERT_TRUE(producer.send("x"));
    EXPECT_EQ(other.receive().text(), "x");
    EXPECT_EQ(member.receive().text(), "x");
}

TEST(ChannelLimits, AFullTableOfGroupsIsAnErrorUntilOneEnds) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.max_groups = 2});
    auto subscriber = std::make_unique<Consumer<>>(channel.subscribe());
    auto member = channel.join("workers");
    std::string what;
    EXPECT_EQ(refusal([&] { (void)channel.subscribe(); }, &what), Errc::limit_reached);
    EXPECT_TRUE(contains(what, "2 group") && contains(what, "max_groups")) << what;
    EXPECT_EQ(refusal([&] { (void)channel.join("other"); }), Errc::limit_reached);
    EXPECT_EQ(inspect(name).participants.size(), 2U);
    auto second = channel.join("workers");
    subscriber.reset();
    auto other = channel.join("other");
    ASSERT_TRUE(channel.producer().send("x"));
    EXPECT_EQ(other.receive().text(), "x");
}

TEST(ChannelLimits, EntriesAreReusedForEver) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 4, .max_participants = 2, .max_groups = 1});
    for (int i = 0; i < 100; ++i) {
        auto producer = channel.producer();
        auto subscriber = channel.subscribe();
        const std::string text = std::to_string(i);
        ASSERT_TRUE(producer.send(text));
        ASSERT_EQ(subscriber.receive().text(), text);
    }
    EXPECT_EQ(inspect(name).published, 100U);
}

// ---------------------------------------------------------------------------------- memory cost

TEST(ChannelLimits, AFullDirectoryIsAnErrorThatNamesTheDirectory) {
    std::string what;
    const auto reserve = [] { throw os::NoSpace(8192, 4096); };
    EXPECT_EQ(refusal([&] { protocol::about("x", "creating", reserve); }, &what), Errc::no_space);
    const std::string needs =
        "creating needs 8192 bytes, " + os::shared_memory_directory() + " has 4096 free";
    EXPECT_TRUE(contains(what, needs)) << what;
}

TEST(MemoryCost, IsWhatTheObjectTakes) {
    for (const ChannelOptions& options :
         {ChannelOptions{}, ChannelOptions{.capacity = 1, .region_size = 0, .max_participants = 1},
          ChannelOptions{.capacity = 4096,
          .inline_size = 200,
          .region_size = 12345,
          .max_participants = 300,
          .max_groups = 5}}) {
        const ChannelName name;
        const MemoryCost cost = memory_cost(options);
        auto channel = Channel<>::create(name, options);
        EXPECT_EQ(inspect(name).object_bytes, cost.object_size);
        EXPECT_EQ(inspect(name).reserved_bytes, cost.channel);
        if (options.max_participants < 5) continue;
        auto first = channel.producer();
        EXPECT_EQ(inspect(name).reserved_bytes, cost.channel + cost.producer);
        auto group = channel.join("workers");
        auto subscriber = channel.subscribe();
        EXPECT_EQ(inspect(name).reserved_bytes, cost.channel + cost.producer + 2 * cost.group);
        { auto second = channel.producer(); }
        EXPECT_EQ(inspect(name).reserved_bytes, cost.channel + 2 * cost.producer + 2 * cost.group);
        auto again = channel.producer();  // in the same entry
        for (int i = 0; i < 100; ++i) {
            ASSERT_TRUE(first.send_for(std::string(static_cast<std::size_t>(i) * 10, 'x'), 5s));
            ASSERT_TRUE(subscriber.receive());
            ASSERT_EQ(subscriber.try_receive().status(), Status::empty);
            ASSERT_TRUE(group.receive());
        }
        EXPECT_EQ(inspect(name).reserved_bytes, cost.channel + 2 * cost.producer + 2 * cost.group);
    }
}

TEST(MemoryCost, GrowsWithEachOptionAsDocumented) {
    const MemoryCost base = memory_cost({.capacity = 1024});
    EXPECT_GE(base.producer, std::uint64_t{1} << 20);
    EXPECT_LE(base.producer, (std::uint64_t{1} << 20) + 4096);
    const MemoryCost twice = memory_cost({.capacity = 2048});
    EXPECT_EQ(twice.channel - base.channel, 1024U * 64);
    EXPECT_EQ(twice.group - base.group, 1024U * 16);
    EXPECT_EQ(memory_cost({.capacity = 1024, .inline_size = 104}).channel - base.channel,
              1024U * 64);
    EXPECT_EQ(memory_cost({.capacity = 1024, .region_size = 5000}).producer,
              memory_cost({.capacity = 1024, .region_size = 8192}).producer);
    EXPECT_EQ(memory_cost({.capacity = 1024, .region_size = 0}).producer, 0U);
    EXPECT_EQ(memory_cost({.capacity = 1024, .max_participants = 128 + 16}).channel - base.channel,
              16U * 256);
    EXPECT_EQ(memory_cost({.capacity = 1024, .max_groups = 1}).channel, base.channel);
}

// --------------------------------------------------------------------------------------- remove

TEST(Remove, TakesTheNameAtOnceAndTellsParticipants) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 4});
    auto producer = channel.producer();
    auto subscriber = channel.subscribe();
    auto member = channel.join("workers");
    auto lossy = channel.subscribe({.delivery = Delivery::lossy});
    EXPECT_TRUE(remove(name));
    EXPECT_FALSE(is_listed(name));
    EXPECT_FALSE(remove(name));
    EXPECT_EQ(subscriber.try_receive().status(), Status::removed);
    EXPECT_EQ(member.receive().status(), Status::removed);
    EXPECT_EQ(lossy.receive_for(1s).status(), Status::removed);
    EXPECT_EQ(producer.send("x").status(), Status::removed);
    EXPECT_EQ(refusal([&] { (void)channel.producer(); }), Errc::removed);
    EXPECT_EQ(refusal([&] { (void)channel.subscribe(); }), Errc::removed);
    EXPECT_EQ(refusal([&] { (void)channel.join("workers"); }), Errc::removed);
    EXPECT_EQ(refusal([&] { (void)Channel<>::open(name); }), Errc::not_found);
}

TEST(Remove, WakesEverybodyWhoWaits) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 1});
    const WaitPolicy parking = WaitPolicy::parking();
    auto gate = channel.join("gate", {.participant = {.wait_policy = parking}});
    auto producer = channel.producer({.wait_policy = parking});
    ASSERT_TRUE(producer.send("x"));
    auto subscriber = channel.subscribe({.participant = {.wait_policy = parking}});
    auto lossy = channel.subscribe(
        {.delivery = Delivery::lossy, .participant = {.wait_policy = WaitPolicy::spinning()}});
    std::vector<std::thread> waiting;
    waiting.emplace_back([&] { EXPECT_EQ(producer.send("y").status(), Status::removed); });
    waiting.emplace_back([&] { EXPECT_EQ(subscriber.receive().status(), Status::removed); });
    waiting.emplace_back([&] { EXPECT_EQ(lossy.receive().status(), Status::removed); });
    EXPECT_TRUE(all_park(name, 3));
    const auto start = Clock::now();
    EXPECT_TRUE(remove(name));
    for (auto& thread : waiting)
        thread.join();
    EXPECT_LT(Clock::now() - start, 2s);
}

TEST(Remove, TheNameCanBeUsedAgainWhileOldHandlesStayWithTheOldChannel) {
    const ChannelName name;
    auto old_channel = Channel<>::create(name);
    auto old_reader = old_channel.subscribe();
    auto message = [&] {
        (void)old_channel.producer().send("old");
        return old_reader.receive();
    }();
    EXPECT_TRUE(remove(name));
    auto fresh = Channel<>::create(name, {.capacity = 2});
    auto reader = fresh.subscribe();
    ASSERT_TRUE(fresh.producer().send("new"));
    EXPECT_EQ(message.text(), "old");
    EXPECT_EQ(old_reader.try_receive().status(), Status::removed);
    EXPECT_EQ(reader.try_receive().text(), "new");
    EXPECT_EQ(inspect(name).participants.size(), 1U);
    EXPECT_EQ(refusal([&] { (void)old_channel.subscribe(); }), Errc::removed);
}

TEST(Remove, OfDeadChannelsSparesWhatIsUsedOrDurable) {
    const ChannelName used("used");
    const ChannelName durable("durable");
    const ChannelName finished("finished");
    const ChannelName fresh("fresh");
    auto channel = Channel<>::create(used);
    auto subscriber = channel.subscribe();
    { auto member = Channel<>::create(durable).join("workers"); }
    ASSERT_TRUE(Channel<>::create(finished).producer().send("x"));
    (void)Channel<>::create(fresh);
    const auto removed = remove_dead();
    EXPECT_TRUE(is_listed(used));
    EXPECT_TRUE(is_listed(durable));
    EXPECT_TRUE(is_listed(fresh));
    EXPECT_FALSE(is_listed(finished));
    EXPECT_EQ(std::count(removed.begin(), removed.end(), finished.str()), 1);
}

// ------------------------------------------------------------------------------------ temporary

TEST(Temporary, GoesWithItsLastParticipantAndNotBefore) {
    const ChannelName name;
    {
        auto channel = Channel<>::create(name, {.temporary = true});
        EXPECT_TRUE(is_listed(name));
        auto second = std::make_unique<Consumer<>>(channel.subscribe());
        { auto first = channel.producer(); }
        EXPECT_TRUE(is_listed(name));
        second.reset();
        EXPECT_FALSE(is_listed(name));
    }
}

TEST(Temporary, GoesWithItsDurableGroupsToo) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.temporary = true});
    { auto member = channel.join("workers"); }
    EXPECT_FALSE(is_listed(name));
}

TEST(Temporary, IsNotFoundOnceItsLastParticipantDied) {
    const ChannelName name;
    {
        Child child([&] {
            auto channel = Channel<>::create(name, {.temporary = true});
            auto producer = channel.producer();
            (void)producer.send("x");
            ::_exit(0);  // without destructors, as in a crash
        });
        EXPECT_EQ(child.wait(), 0);
    }
    EXPECT_EQ(refusal([&] { (void)Channel<>::open(name); }), Errc::not_found);
    EXPECT_FALSE(is_listed(name));
    auto again = Channel<>::create(name, {.capacity = 2, .temporary = true});
    EXPECT_EQ(inspect(name).tail, 0U);
}

TEST(Temporary, WithoutTheOptionAChannelLivesUntilItIsRemoved) {
    const ChannelName name;
    { ASSERT_TRUE(Channel<>::create(name).producer().send("kept")); }
    auto reader = Channel<>::open(name).subscribe({.from = Start::earliest()});
    EXPECT_EQ(reader.try_receive().text(), "kept");
}

// ---------------------------------------------------------------------------------------- close

TEST(Close, DeliversEverythingPublishedBeforeAndThenSaysClosed) {
    for (const std::uint32_t capacity : {1U, 2U, 64U}) {
        SCOPED_TRACE(capacity);
        const ChannelName name;
        auto channel = Channel<>::create(name, {.capacity = capacity});
        auto subscriber = channel.subscribe();
        auto lossy = channel.subscribe({.delivery = Delivery::lossy});
        auto producer = channel.producer();
        std::thread sending([&] {
            for (int i = 0; i < 10; ++i)
                ASSERT_TRUE(producer.send(std::to_string(i)));
            EXPECT_TRUE(channel.close());
        });
        for (int i = 0; i < 10; ++i)
            EXPECT_EQ(subscriber.receive().text(), std::to_string(i));
        EXPECT_EQ(subscriber.receive().status(), Status::closed);
        EXPECT_EQ(subscriber.try_receive().status(), Status::closed);
        sending.join();
        while (lossy.try_receive()) {
        }
        EXPECT_EQ(lossy.receive().status(), Status::closed);
        EXPECT_EQ(producer.send("late").status(), Status::closed);
        EXPECT_EQ(producer.try_send("late").status(), Status::closed);
        EXPECT_EQ(producer.send_for(std::string(5000, 'x'), 1s).status(), Status::closed);
        EXPECT_EQ(channel.producer().try_send("late").status(), Status::closed);
        { const auto gone = std::move(producer); }
        EXPECT_EQ(channel.exclusive_producer().try_send("late").status(), Status::closed);
    }
}

TEST(Close, CanBeRepeatedAndLeavesLateReadersTheRetained) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    {
        auto producer = channel.producer();
        ASSERT_TRUE(producer.send("0"));
        EXPECT_TRUE(producer.close());
        EXPECT_TRUE(producer.close());
    }
    EXPECT_TRUE(channel.close());
    auto late = channel.subscribe({.from = Start::earliest()});
    EXPECT_EQ(late.receive().text(), "0");
    EXPECT_EQ(late.receive().status(), Status::closed);
    auto latest = channel.subscribe();
    EXPECT_EQ(latest.receive().status(), Status::closed);
    EXPECT_EQ(inspect(name).tail, 1U);
    EXPECT_EQ(inspect(name).published, 1U);
}

TEST(Close, ByAnotherProducerEndsEveryProducer) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto one = channel.producer();
    auto two = channel.producer();
    ASSERT_TRUE(one.send("0"));
    ASSERT_TRUE(two.send("1"));
    EXPECT_TRUE(one.close());
    EXPECT_EQ(two.send("2").status(), Status::closed);
    EXPECT_EQ(two.close().status(), Status::ok);
    auto loan = two.try_loan(10);
    EXPECT_EQ(std::move(loan).publish().status(), Status::closed);
}

TEST(Close, OfAFullChannelWaitsForASlotAsLongAsAsked) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 2});
    auto member = channel.join("workers", {.ack = Ack::manual});
    ASSERT_TRUE(channel.producer().send("0"));
    ASSERT_TRUE(channel.producer().send("1"));
    const auto start = Clock::now();
    EXPECT_EQ(channel.close(100ms).status(), Status::timed_out);
    EXPECT_GE(Clock::now() - start, 100ms);
    EXPECT_FALSE(inspect(name).closed);
    EXPECT_TRUE(member.receive().ack());
    EXPECT_TRUE(channel.close(5s));
    EXPECT_TRUE(inspect(name).closed);
    EXPECT_EQ(member.receive().text(), "1");  // given back at once
    EXPECT_TRUE(member.receive().ack());
    EXPECT_EQ(member.receive().status(), Status::closed);
}

TEST(Close, OfAFullChannelEndsWhenAStopIsRequested) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 1});
    { auto member = channel.join("workers"); }
    ASSERT_TRUE(channel.producer().send("0"));
    expect_a_stop_ends_close(channel, [&] {
        const ChannelReport report = inspect(name);
        return std::any_of(report.participants.begin(), report.participants.end(),
                           [](const auto& p) { return p.activity == Activity::waiting_for_room; });
    });
    EXPECT_FALSE(inspect(name).closed);
    EXPECT_TRUE(inspect(name).participants.empty()) << "who waited to close it has left";
}

TEST(Close, UnderAnExclusiveProducerEndsWhenAStopIsRequestedAndItStaysAsked) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto producer = channel.exclusive_producer();
    const auto memory = memory_of(name);
    expect_a_stop_ends_close(channel, [&] {
        return (memory->header().announcement.load() & format::Announcement::close_requested) != 0;
    });
    EXPECT_FALSE(inspect(name).closed);
    EXPECT_TRUE(eventually([&] { return producer.send("x").status() == Status::closed; }));
}

TEST(Close, WakesReadersThatSleep) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto subscriber = channel.subscribe({.participant = {.wait_policy = WaitPolicy::parking()}});
    auto member = channel.join("workers", {.participant = {.wait_policy = WaitPolicy::parking()}});
    std::thread one([&] { EXPECT_EQ(subscriber.receive_for(20s).status(), Status::closed); });
    std::thread two([&] { EXPECT_EQ(member.receive_for(20s).status(), Status::closed); });
    EXPECT_TRUE(eventually([&] {
        const ChannelReport report = inspect(name);
        return std::all_of(
            report.participants.begin(), report.participants.end(),
            [](const auto& p) { return p.activity == Activity::waiting_for_message; });
    }));
    const auto start = Clock::now();
    EXPECT_TRUE(channel.close());
    one.join();
    two.join();
    EXPECT_LT(Clock::now() - start, 2s);
}

// --------------------------------------------------------------------------- peek, first position

TEST(Peek, ShowsWhatIsRetainedAndTakesNothing) {
    const ChannelName name;
    auto channel = Channel<>::create(name, {.capacity = 16});
    auto producer = channel.producer({.name = "source"});
    auto subscriber = channel.subscribe();
    const std::string large(3000, 'L');
    ASSERT_TRUE(producer.send("0"));
    ASSERT_TRUE(producer.send(""));
    ASSERT_TRUE(producer.send(large));
    auto messages = channel.peek({}, 100);
    ASSERT_EQ(messages.size(), 3U);
    EXPECT_EQ(text_of(messages[0]), "0");
    EXPECT_EQ(text_of(messages[1]), "");
    EXPECT_EQ(text_of(messages[2]), large);
    EXPECT_EQ(messages[2].position, 2U);
    EXPECT_EQ(messages[0].producer, "source");
    EXPECT_FALSE(messages[0].origin);
    EXPECT_GT(messages[0].published_at.count(), 0);
    EXPECT_EQ(channel.peek(1, 1).at(0).position, 1U);
    EXPECT_EQ(channel.peek({}, 2).size(), 2U);
    EXPECT_TRUE(channel.peek(3, 10).empty());
    EXPECT_TRUE(channel.peek(~Position{0}, 10).empty());
    EXPECT_TRUE(channel.peek({}, 0).empty());
    EXPECT_EQ(subscriber.receive().text(), "0");
    EXPECT_EQ(channel.peek(0, 1).size(), 1U);
    for (int i = 3; i < 100; ++i) {
        ASSERT_TRUE(subscriber.receive());
        ASSERT_TRUE(producer.send(std::to_string(i)));
    }
    messages = channel.peek(0, 100);  // starts at the oldest retained
    EXPECT_GE(messages.size(), 15U);
    EXPECT_EQ(messages.back().position, 99U);
    for (const auto& message : messages)
        EXPECT_EQ(text_of(message), std::to_string(message.position));
}

// Of the eight flags of a message those of the upper half must be understood; the byte above them
// is always zero (format/slot.hpp).
TEST(Flags, ThatAreNotUnderstoodOrDamagedAreReasonsToPassTheMessageOverAndCountIt) {
    for (unsigned bit = 1; bit < 16; ++bit) {
        SCOPED_TRACE(bit);
        const bool may_be_ignored = bit < 4;
        const ChannelName name;
        auto channel = Channel<>::create(name);
        auto subscriber = channel.subscribe();
        auto lossy = channel.subscribe({.delivery = Delivery::lossy});
        auto member = channel.join("group");
        Child later([&] {
            TornProducer producer(name);
            const Position position = producer.claim();
            producer.write(position, "later", std::uint64_t{1} << (16 + bit));
            producer.make_ready(position);
        });
        ASSERT_EQ(later.wait(), 0);
        ASSERT_TRUE(channel.producer().send("next"));
        for (Consumer<>* reader : {&subscriber, &lossy, &member}) {
            if (may_be_ignored) {
                EXPECT_EQ(reader->try_receive().text(), "later");
            }
            EXPECT_EQ(reader->try_receive().text(), "next");
        }
        const ChannelReport report = inspect(name);
        EXPECT_EQ(report.groups.size(), 3U);
        for (const GroupReport& group : report.groups)
            EXPECT_EQ(group.not_understood, may_be_ignored ? 0U : 1U) << group.name;
    }
}

TEST(Flags, ThatAreNotUnderstoodEndABatchAndOnlyThat) {
    const ChannelName name;
    auto channel = Channel<>::create(name);
    auto subscriber = channel.subscribe();
    auto lossy = channel.subscribe({.delivery = Delivery::lossy});
    auto member = channel.join("group");
    ASSERT_TRUE(channel.producer().send("first"));
    ASSERT_TRUE(channel.producer().send("second"));
    Child later([&] {
        TornProducer producer(name);
        const Position position = producer.claim();
        producer.write(position, "later", std::uint64_t{1} << (16 + 7));
        producer.make_ready(position);
    });
    ASSERT_EQ(later.wait(), 0);
    ASSERT_TRUE(channel.producer().send("next"));
    for (Consumer<>* reader : {&subscriber, &lossy, &member}) {
        std::vector<std::string> texts;
        while (auto batch = reader->try_receive_batch(10)) {
            for (auto& message : batch)
                texts.emplace_back(message.text());
        }
        EXPECT_EQ(texts, (std::vector<std::string>{"first", "second", "next"}));
    }
}

TEST(FirstPosition, IsWhereTheChannelStarts) {
    const ChannelName name;
    constexpr Position first = 1'000'003;
    auto channel = Channel<>::create(name, {.capacity = 8, .first_position = first});
    EXPECT_EQ(inspect(name).first, first);
    EXPECT_EQ(inspect(name).tail, first);
    auto producer = channel.producer();
    auto early = channel.subscribe({.from = Start::earliest()});
    EXPECT_EQ(early.position(), first);
    EXPECT_EQ(producer.send("a").position(), first);
    EXPECT_EQ(producer.send("b").position(), first + 1);
    EXPECT_EQ(early.receive().position(), first);
    auto at = channel.subscribe({.from = Start::at(first + 1)});
    EXPECT_EQ(at.receive().text(), "b");
    EXPECT_EQ(channel.peek({}, 10).size(), 2U);
}

}
}
