// ipc-bench: its parts, and each sub-command for a moment. Figures are not judged here.

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "bench/experiment/experiment.hpp"
#include "bench/report/chart.hpp"
#include "bench/report/table.hpp"
#include "bench/scenario/latency.hpp"
#include "bench/scenario/one_way.hpp"
#include "bench/scenario/ping_pong.hpp"
#include "bench/statistics/histogram.hpp"
#include "bench/system/team.hpp"
#include "bench/transport/boost_spsc.hpp"
#include "bench/transport/message.hpp"
#include "tests/support/shell.hpp"

namespace ipc::bench {
namespace {

using namespace std::chrono_literals;
using test::Shell;
using ::testing::HasSubstr;

// ---- statistics

TEST(BenchHistogram, QuantilesHaveThreeSignificantDigits) {
    std::mt19937_64 random(7);
    for (const double scale : {1e2, 1e4, 1e7, 1e12}) {
        Histogram histogram;
        std::vector<std::uint64_t> values;
        std::lognormal_distribution<double> distribution(0, 1);
        for (int i = 0; i < 10'000; ++i) {
            values.push_back(static_cast<std::uint64_t>(scale * distribution(random)));
            histogram.add(values.back());
        }
        std::sort(values.begin(), values.end());
        for (const double fraction : {0.5, 0.9, 0.99, 0.999, 1.0}) {
            const auto rank = static_cast<std::size_t>(std::ceil(fraction * 10'000)) - 1;
            const auto exact = static_cast<double>(values[rank]);
            const auto found = static_cast<double>(histogram.quantile(fraction));
            EXPECT_NEAR(found, exact, 1 + exact * 0.001) << scale << " " << fraction;
        }
        EXPECT_EQ(histogram.quantile(1), values.back());
        EXPECT_EQ(histogram.total(), values.size());
    }
}

TEST(BenchHistogram, MergedCountsAsOne) {
    Histogram low;
    Histogram high;
    for (std::uint64_t i = 1; i <= 100; ++i) {
        low.add(i);
        high.add(i + 100);
    }
    low.merge(high);
    EXPECT_EQ(low.quantile(0.5), 100U);
    EXPECT_EQ(low.quantile(0.99), 198U);
    EXPECT_EQ(low.quantile(1), 200U);
    EXPECT_EQ(Histogram().quantile(0.5), 0U);
}

// ---- what travels

TEST(BenchMessage, NoDamageToAShortMessageGoesUnnoticed) {
    Message<32> message;
    message.write(17);
    EXPECT_TRUE(message.is(17));
    EXPECT_FALSE(message.is(18));
    auto* bytes = reinterpret_cast<unsigned char*>(message.word.data());
    for (std::size_t i = 0; i < sizeof message; ++i) {
        bytes[i] ^= 1;
        EXPECT_FALSE(message.is(17)) << i;
        EXPECT_THROW(expect_last(message, 17), std::runtime_error) << i;
        bytes[i] ^= 1;
    }
}

// ---- processes

TEST(BenchTeam, SaysWhichProcessFailedAndWhy) {
    Team team;
    team.add("one that waits", Team::any_cpu, [] { ::pause(); });
    team.add("one that fails", Team::any_cpu, [] { throw std::runtime_error("no reason"); });
    try {
        team.run(60s);
        FAIL();
    } catch (const TeamFailure& failure) {
        EXPECT_STREQ(failure.what(), "one that fails: no reason");
    }
}

TEST(BenchTeam, CutsOffWhatHangs) {
    Team team;
    team.add("one that hangs", Team::any_cpu, [] { ::pause(); });
    team.add("one that ends", Team::any_cpu, [] {});
    try {
        team.run(300ms);
        FAIL();
    } catch (const TeamHangs& hangs) {
        EXPECT_THAT(hangs.what(), HasSubstr("one that hangs"));
        EXPECT_THAT(hangs.what(), ::testing::Not(HasSubstr("one that ends")));
    }
}

TEST(BenchTeam, BackgroundMayDieAndEndsWithTheOthers) {
    Team team;
    const auto victim = team.add_background("victim", Team::any_cpu, [&] {
        team.meet();
        ::pause();
    });
    team.add_background("load", Team::any_cpu, [&] {
        team.meet();
        ::pause();
    });
    team.add("killer", Team::any_cpu, [&] {
        team.meet();
        ::kill(team.pid(victim), SIGKILL);
    });
    EXPECT_NO_THROW(team.run(60s));
}

// ---- experiments

Candidate constant(const std::string& name, Role role, double value) {
    return {name, role, [value](const Effort&) { return Measurement{.value = value}; }};
}

TEST(BenchExperiment, RatiosAreTakenWithinRoundsToTheBestFloor) {
    // The machine is three times slower in the second round, for both.
    int round_of_floor = 0;
    int round_of_ours = 0;
    const auto slow = [](int round) { return round == 2 ? 3.0 : 1.0; };
    Experiment experiment;
    experiment.unit = "ns";
    experiment.higher_is_better = false;
    experiment.candidates = {
        {"floor", Role::floor,
         [&](const Effort&) { return Measurement{.value = 100 * slow(++round_of_floor)}; }},
        constant("slow floor", Role::floor, 400),
        {"ours", Role::ours,
         [&](const Effort&) { return Measurement{.value = 110 * slow(++round_of_ours)}; }},
        {"broken", Role::peer,
         [](const Effort&) -> Measurement { throw std::runtime_error("broken indeed"); }},
        {"missing", Role::peer, {}, "not installed"},
    };
    const Report report = run(experiment, {}, 3);
    EXPECT_EQ(report.reference, "floor");
    EXPECT_EQ(report.results[2].values.size(), 3U);
    EXPECT_NEAR(report.results[2].ratio, 1.1, 1e-9);
    EXPECT_NEAR(report.results[2].ratios[1], 1.1, 1e-9);
    EXPECT_EQ(report.results[3].state, Result::State::failed);
    EXPECT_EQ(report.results[3].reason, "broken indeed");
    EXPECT_EQ(report.results[4].state, Result::State::absent);
    EXPECT_TRUE(report.remarks.empty());

    std::string text;
    for (const std::string& line : table(report))
        text += line + "\n";
    EXPECT_THAT(text, HasSubstr("broken: failed: broken indeed"));
    EXPECT_THAT(text, HasSubstr("missing: absent: not installed"));
    EXPECT_THAT(text, HasSubstr("1.10"));
}

TEST(BenchExperiment, AFloorThatIsBeatenIsReported) {
    for (const bool higher : {false, true}) {
        Experiment experiment;
        experiment.higher_is_better = higher;
        experiment.candidates = {constant("floor", Role::floor, 100),
                                 constant("ours", Role::ours, higher ? 110 : 90)};
        const Report report = run(experiment, {}, 1);
        ASSERT_EQ(report.remarks.size(), 1U);
        EXPECT_THAT(report.remarks[0], HasSubstr("ours beats the best floor"));
    }
}

TEST(BenchExperiment, EachComesAtEachPlaceAndAfterEachOtherOneEquallyOften) {
    // A measurement finds the machine as the one before left it.
    for (const std::string names : {"ab", "abc", "abcd", "abcdefg"}) {
        std::string order;
        Experiment experiment;
        for (const char name : names) {
            experiment.candidates.push_back(
                {std::string(1, name), Role::ours, [&order, name](const Effort&) {
                     order += name;
                     return Measurement{.value = 1};
                 }});
        }
        const std::size_t rounds = 2 * names.size();
        (void)run(experiment, {}, rounds);
        ASSERT_EQ(order.size(), rounds * names.size());
        std::map<std::pair<char, std::size_t>, int> at_place;
        std::map<std::pair<char, char>, int> after;
        for (std::size_t i = 0; i < order.size(); ++i) {
            const std::size_t place = i % names.size();
            ++at_place[{order[i], place}];
            if (place > 0) ++after[{order[i], order[i - 1]}];
        }
        EXPECT_EQ(at_place.size(), names.size() * names.size()) << order;
        EXPECT_EQ(after.size(), names.size() * (names.size() - 1)) << order;
        for (const auto& [which, times] : at_place)
            EXPECT_EQ(times, 2) << which.first << which.second << " in " << order;
        for (const auto& [which, times] : after)
            EXPECT_EQ(times, 2) << which.first << which.second << " in " << order;
    }
}

TEST(BenchExperiment, AFifthOfAMeasurementGoesBeforeItThoughItIsMadeLonger) {
    std::vector<Effort> efforts;
    Experiment experiment;
    experiment.least_time = 500ms;
    experiment.candidates = {{"ours", Role::ours, [&](const Effort& effort) {
                                  efforts.push_back(effort);
                                  return Measurement{.value = 1};
                              }}};
    (void)run(experiment, {.warm_up = 20ms, .measure = 100ms, .cpus = {}}, 1);
    (void)run(experiment, {.warm_up = 200ms, .measure = 1s, .cpus = {}}, 1);
    ASSERT_EQ(efforts.size(), 2U);
    EXPECT_EQ(efforts[0].measure, 500ms);
    EXPECT_EQ(efforts[0].warm_up, 100ms);
    EXPECT_EQ(efforts[1].measure, 1s);
    EXPECT_EQ(efforts[1].warm_up, 200ms);
}

TEST(BenchExperiment, TheBestFloorOfEachRoundIsTheReference) {
    // Processors near each other, distant, and near again: another floor is the best in between.
    const auto in_turn = [](const char* name, Role role, double near, double distant) {
        const auto rounds = std::make_shared<int>(0);
        return Candidate{name, role, [=](const Effort&) {
                             return Measurement{.value = ++*rounds == 2 ? distant : near};
                         }};
    };
    Experiment experiment;
    experiment.higher_is_better = false;
    experiment.candidates = {in_turn("cached", Role::floor, 100, 800),
                             in_turn("streaming", Role::floor, 200, 300),
                             in_turn("ours", Role::ours, 120, 330)};
    const Report report = run(experiment, {}, 3);
    EXPECT_EQ(report.reference, "cached");
    EXPECT_NEAR(report.results[2].ratios[0], 1.2, 1e-9);
    EXPECT_NEAR(report.results[2].ratios[1], 1.1, 1e-9);
    EXPECT_NEAR(report.results[1].ratios[1], 1, 1e-9);
}

TEST(BenchTable, QuantitiesHaveThreeSignificantDigits) {
    EXPECT_EQ(quantity(253.4, "ns"), "253 ns");
    EXPECT_EQ(quantity(64'040, "ns"), "64.0 us");
    EXPECT_EQ(quantity(12'345'678, "ns"), "12.3 ms");
    EXPECT_EQ(quantity(311.4e6, "1/s"), "311 M/s");
    EXPECT_EQ(quantity(9.96e3, "1/s"), "9.96 k/s");
    EXPECT_EQ(quantity(999.7e3, "1/s"), "1.00 M/s");
    EXPECT_EQ(quantity(0.00794, "%"), "0.00794 %");
    EXPECT_EQ(quantity(0, "%"), "0.00 %");
}

TEST(BenchTable, APercentileThatHardlyAnyEventExceededIsLeftOut) {
    Experiment experiment;
    experiment.unit = "ns";
    experiment.candidates = {{"ours", Role::ours, [](const Effort&) {
                                  auto latency = std::make_shared<Histogram>();
                                  for (std::uint64_t i = 1; i <= 100; ++i)
                                      latency->add(i);
                                  return Measurement{.value = 7, .latency = latency};
                              }}};
    std::string text;
    for (const std::string& line : table(run(experiment, {}, 1)))
        text += line + "\n";
    EXPECT_THAT(text, HasSubstr("90.0 ns"));
    EXPECT_THAT(text, ::testing::Not(HasSubstr("99.0 ns")));
    EXPECT_THAT(text, HasSubstr("100 ns")) << "the maximum is one that was";
}

// ---- scenarios notice what is wrong

/// A transport with something else in place of sending.
template <class T, class Send>
struct With : T {
    using T::T;
    struct Sender : T::Sender {
        explicit Sender(With& transport) : T::Sender(transport) {}
        void send(const typename T::Message& message) {
            change(static_cast<typename T::Sender&>(*this), message);
        }
        Send change;
    };
    struct Receiver : T::Receiver {
        explicit Receiver(With& transport) : T::Receiver(transport) {}
    };
};

struct DamageTheThird {
    void operator()(auto& sender, auto message) {
        if (++count == 3) message.word[1] ^= 1;
        sender.send(message);
    }
    int count = 0;
};
template <class T>
using Damaging = With<T, DamageTheThird>;

struct LoseTheThird {
    void operator()(auto& sender, const auto& message) {
        if (++count != 3) sender.send(message);
    }
    int count = 0;
};
template <class T>
using Losing = With<T, LoseTheThird>;

struct TakeTime {
    void operator()(auto& sender, const auto& message) {
        std::this_thread::sleep_for(200us);
        sender.send(message);
    }
};
template <class T>
using Slow = With<T, TakeTime>;

Effort a_moment() {
    return {.warm_up = 2ms, .measure = 200ms, .grace = 60s, .cpus = {Team::any_cpu}};
}

template <class T>
std::string failure_of_one_way() {
    T transport(Waiting::busy);
    try {
        (void)one_way(transport, false, a_moment());
    } catch (const TeamFailure& failure) {
        return failure.what();
    }
    return "";
}

TEST(BenchScenario, EveryMessageIsCheckedForContentAndOrder) {
    using Queue = BoostSpscQueue<Message<32>>;
    EXPECT_EQ(failure_of_one_way<Queue>(), "");
    EXPECT_EQ(failure_of_one_way<Damaging<Queue>>(), "receiver: message 3 is damaged");
    EXPECT_EQ(failure_of_one_way<Losing<Queue>>(),
              "receiver: out of order: message 4 arrived in place of 3");

    Queue there(Waiting::busy);
    Damaging<Queue> back(Waiting::busy);
    EXPECT_THROW((void)ping_pong(there, back, a_moment()), TeamFailure);
}

TEST(BenchScenario, WhoCannotKeepUpWithARateIsTold) {
    using Queue = BoostSpscQueue<Message<32>>;
    const auto sent = [](auto transport, std::chrono::nanoseconds period) {
        const auto make = [] {
            return std::make_unique<typename decltype(transport)::type>(Waiting::busy);
        };
        const Pace pace = {.period = period, .asleep = true};
        return latency<typename decltype(transport)::type>(make, pace, {}, a_moment())
            .details.at("sent");
    };
    EXPECT_GT(sent(std::type_identity<Queue>{}, 5ms), 0.75);
    // A message takes 200 us and more.
    EXPECT_LT(sent(std::type_identity<Slow<Queue>>{}, 150us), 0.95) << "late, not given up";
    EXPECT_LT(sent(std::type_identity<Slow<Queue>>{}, 20us), 0.2) << "given up";
}

// ---- the program

const std::string use_bench = "export PATH='" IPC_TOOL_DIRECTORY "':$PATH\n";

nlohmann::json run_bench(const Shell& shell, const std::string& arguments) {
    const auto result =
        shell.run(use_bench + "ipc-bench --rounds 1 --seconds 0.02 --json " + arguments +
                      " --only '^(ipc|boost spsc|pipe|[0-9]|al|wat|the)'",
                  110);
    EXPECT_EQ(result.exit_code, 0) << result;
    auto document = nlohmann::json::parse(result.out, nullptr, false);
    EXPECT_FALSE(document.is_discarded()) << result;
    return document;
}

/// Whether the document is as bench/results/README.md says, and everything of ours was measured.
void check(const nlohmann::json& document, std::size_t experiments) {
    ASSERT_EQ(document.at("schema_version"), 1);
    for (const char* key : {"processor", "kernel", "system", "compiler", "library_version", "date"})
        EXPECT_FALSE(document.at("machine").at(key).get<std::string>().empty()) << key;
    EXPECT_EQ(document.at("settings").at("rounds"), 1);
    ASSERT_EQ(document.at("experiments").size(), experiments);
    std::set<std::string> ids;
    for (const auto& experiment : document.at("experiments")) {
        const auto id = experiment.at("id").get<std::string>();
        EXPECT_TRUE(ids.insert(id).second) << id;
        EXPECT_FALSE(experiment.at("title").get<std::string>().empty()) << id;
        EXPECT_FALSE(experiment.at("explanation").get<std::string>().empty()) << id;
        EXPECT_TRUE(experiment.at("higher_is_better").is_boolean()) << id;
        std::size_t ours = 0;
        for (const auto& candidate : experiment.at("candidates")) {
            const auto name = id + ", " + candidate.at("name").get<std::string>();
            if (candidate.at("role") == "ours") ++ours;
            if (candidate.at("role") == "peer") continue;
            ASSERT_EQ(candidate.at("state"), "measured") << name << candidate.dump();
            EXPECT_EQ(candidate.at("rounds").size(), 1U) << name;
            EXPECT_GE(candidate.at("median").get<double>(), 0) << name;
            if (!candidate.contains("latency_ns")) continue;
            double last = 0;
            for (const char* key : {"p50", "p90", "p99", "p99.9", "p99.99", "max"}) {
                const double value = candidate.at("latency_ns").at(key);
                EXPECT_GE(value, last) << name << key;
                last = value;
            }
        }
        EXPECT_GE(ours, 1U) << id;
    }
}

struct Case {
    const char* command;
    std::size_t experiments;
};

class BenchCommand : public ::testing::TestWithParam<Case> {};

TEST_P(BenchCommand, MeasuresAndChecks) {
    const Shell shell("bench");
    check(run_bench(shell, GetParam().command), GetParam().experiments);
    EXPECT_FALSE(shell.has_channels());
}

INSTANTIATE_TEST_SUITE_P(All, BenchCommand,
                         ::testing::Values(Case{"ping-pong", 10}, Case{"latency", 5},
                                           Case{"wake-up", 1}, Case{"throughput", 9},
                                           Case{"zero-copy", 5}, Case{"work-queue", 4},
                                           Case{"fan-out", 3}, Case{"recovery", 1},
                                           Case{"watched", 2}, Case{"idle", 1}),
                         [](const auto& test) {
                             std::string name = test.param.command;
                             std::erase(name, '-');
                             return name;
                         });

TEST(BenchProgram, MakesAPageFromResults) {
    const Shell shell("bench");
    const auto result = shell.run(
        use_bench +
            "ipc-bench ping-pong fan-out --rounds 1 --seconds 0.01 --only 'ipc|[0-9] group' "
            "--output results.json --revision 'a & b'\n"
            "mkdir plots\n"
            "ipc-bench page results.json page.html --plots plots",
        110);
    ASSERT_EQ(result.exit_code, 0) << result;
    EXPECT_THAT(result.out, HasSubstr("Ping-pong, 32 bytes"));
    const std::string page = test::read_file(shell.file("page.html"));
    EXPECT_THAT(page, HasSubstr("revision a &amp; b"));
    for (const char* plot : {"round_trip", "round_trip_percentiles", "round_trip_size", "fan_out"})
        EXPECT_THAT(page, HasSubstr(std::string("<figure id=\"") + plot + "\"><svg"));
    EXPECT_THAT(test::read_file(shell.file("plots/fan_out.svg")), HasSubstr("</svg>"));
    EXPECT_THAT(page, ::testing::Not(HasSubstr("nan")));
    EXPECT_THAT(page, ::testing::Not(HasSubstr("src=")));
}

const std::string fan_out =
    use_bench + "ipc-bench fan-out --rounds 1 --seconds 0.001 --only '[0-9] group' ";

TEST(BenchProgram, ResultsAreSavedWhereTheTablesCannotBeWritten) {
    const Shell shell("bench");
    for (const char* format : {"", "--json "}) {
        const auto result = shell.run(fan_out + format + "--output results.json > /dev/full", 110);
        EXPECT_EQ(result.exit_code, 1) << result;
        EXPECT_THAT(result.err, HasSubstr("ipc-bench: standard output: No space left on device"));
        const auto text = test::read_file(shell.file("results.json"));
        const auto document = nlohmann::json::parse(text, nullptr, false);
        ASSERT_FALSE(document.is_discarded()) << format << text;
        EXPECT_GE(document.at("experiments").size(), 1U) << format;
        std::filesystem::remove(shell.file("results.json"));
    }
}

TEST(BenchProgram, AnInterruptedRunKeepsWhatItHasMeasured) {
    const Shell shell("bench");
    const auto result =
        shell.run(use_bench +
                      "ipc-bench fan-out --rounds 60 --seconds 0.01 --only '^1 group' "
                      "--output results.json > /dev/null & bench=$!\n"
                      "until [ -e results.json ]; do sleep 0.02; done\n"
                      "kill -TERM $bench; wait $bench",
                  110);
    const auto document =
        nlohmann::json::parse(test::read_file(shell.file("results.json")), nullptr, false);
    ASSERT_FALSE(document.is_discarded()) << result;
    EXPECT_GE(document.at("experiments").size(), 1U);
    EXPECT_LT(document.at("experiments").size(), 3U) << result;
}

TEST(BenchProgram, AnInterruptedRunLeavesNoEmptyResults) {
    const Shell shell("bench");
    const auto result = shell.run(
        use_bench + "timeout -s INT 0.5 ipc-bench ping-pong --seconds 10 --output new.json || ls");
    EXPECT_EQ(result.exit_code, 0) << result;
    EXPECT_EQ(result.out, "");
}

TEST(BenchProgram, MeasuresOnWhereProgressCannotBeTold) {
    const Shell shell("bench");
    const auto result = shell.run(fan_out + "2> /dev/full", 110);
    EXPECT_EQ(result.exit_code, 0) << result;
}

TEST(BenchProgram, ACandidateThatDoesNotExistIsNotMeasuredInSilence) {
    const Shell shell("bench");
    const auto result =
        shell.run(use_bench + "ipc-bench ping-pong --rounds 1 --seconds 0.001 --only TYPO", 110);
    EXPECT_EQ(result.exit_code, 1) << result;
    EXPECT_THAT(result.err, HasSubstr("no candidate matches 'TYPO'; there are: "));
    EXPECT_THAT(result.err, HasSubstr(", pipe"));
    EXPECT_EQ(result.out, "");
}

TEST(BenchProgram, UsageErrorsNameTheHelpThatDescribesTheOptions) {
    const Shell shell("bench");
    // Questions have no options of their own.
    EXPECT_THAT(shell.run(use_bench + "ipc-bench ping-pong --nonsense").err,
                HasSubstr("see ipc-bench --help"));
    EXPECT_THAT(shell.run(use_bench + "ipc-bench page").err,
                HasSubstr("see ipc-bench page --help"));
}

TEST(BenchProgram, RefusesWhatItCannotDo) {
    const Shell shell("bench");
    EXPECT_EQ(shell.run(use_bench + "ipc-bench").exit_code, 2);
    EXPECT_EQ(shell.run(use_bench + "ipc-bench ping-pong --rounds 0").exit_code, 2);
    EXPECT_EQ(shell.run(use_bench + "ipc-bench ping-pong --only '('").exit_code, 2);
    EXPECT_EQ(shell.run(use_bench + "ipc-bench ping-pong --output ''").exit_code, 2);
    for (const char* list : {"-1", "9999", "0,9999", "zero", "0x0"}) {
        const auto result = shell.run(use_bench + "ipc-bench ping-pong --cpus=" + list);
        EXPECT_EQ(result.exit_code, 2) << list << result;
    }
    for (const char* content : {"", "{}", "[]", "{\"schema_version\": 99}",
                                "{\"schema_version\": 1, \"experiments\": [{}]}"}) {
        test::write_file(shell.file("results.json"), content);
        const auto result = shell.run(use_bench + "ipc-bench page results.json page.html");
        EXPECT_EQ(result.exit_code, 1) << content << result;
        EXPECT_THAT(result.err, HasSubstr("results.json")) << content;
    }
    const auto unwritable =
        shell.run(use_bench + "ipc-bench fan-out --output missing/results.json");
    EXPECT_EQ(unwritable.exit_code, 1);
    EXPECT_THAT(unwritable.err, HasSubstr("missing/results.json"));
}

}
}
