// ipc-bench: how fast messages travel between processes on this machine.

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <regex>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "bench/experiment/experiment.hpp"
#include "bench/report/json.hpp"
#include "bench/report/page.hpp"
#include "bench/report/table.hpp"
#include "bench/suite/suite.hpp"
#include "bench/system/cpu.hpp"
#include "tools/common/arguments.hpp"
#include "tools/common/failure.hpp"
#include "tools/common/output_file.hpp"
#include "tools/common/stream.hpp"
#include "tools/common/tool.hpp"

namespace ipc::bench {
namespace {

using tools::Failure;

constexpr const char* examples =
    "  ipc-bench ping-pong                              round trips, beside their floors\n"
    "  ipc-bench ping-pong throughput --only 'ipc|spsc' two questions, some of the candidates\n"
    "  ipc-bench throughput --rounds 20 --seconds 1     figures that vary less\n"
    "  ipc-bench all --output results.json              everything, also for programs\n"
    "  ipc-bench page results.json results.html         the same as a page with plots\n"
    "\n"
    "How to read the tables:\n"
    "  All candidates of a table are measured once in each round, one after the other, in\n"
    "  processes of their own, pinned to processors. MEDIAN is over the rounds; RATIO is the\n"
    "  median of the ratios within the rounds, to the candidate that has 1, or to the best floor\n"
    "  of the round. ROUNDS says how far the lowest and the highest round are from the median.\n"
    "  P50 to MAX come from single events, each timed with a clock that takes some 20 ns itself.\n"
    "  SLEEPS: how often the measuring side slept, for each event. SENT: the part of a schedule\n"
    "  that was sent in its time. GROUPS: how many the publisher had.\n"
    "  A floor is what the machine itself takes: storing and polling cache lines, copying, or\n"
    "  sleeping on a futex, with nothing else. Figures mean little while others use the machine.\n";

struct Request {
    std::size_t rounds = 9;
    double seconds = 0.3;
    std::vector<int> cpus;
    std::string only;
    std::string output;
    std::string experiments;
    std::string revision;
    std::optional<double> load_average;
    bool json = false;
    bool explain = false;
};

struct Command {
    const char* name;
    const char* purpose;
    std::vector<Experiment> (*experiments)();
};

constexpr std::array commands = {
    Command{"ping-pong", "Round trips between two processes, polling and asleep",
            ping_pong_experiments},
    Command{"latency", "One way, at fixed rates, also under load", latency_experiments},
    Command{"wake-up", "From sending until a sleeper has the message", wake_up_experiments},
    Command{"throughput", "Messages per second in one direction, by size", throughput_experiments},
    Command{"zero-copy", "Large messages written and read in place", zero_copy_experiments},
    Command{"work-queue", "Several producers, several members that share the messages",
            work_queue_experiments},
    Command{"fan-out", "What each further group costs the publisher", fan_out_experiments},
    Command{"recovery", "From the death of a member until another one has its message",
            recovery_experiments},
    Command{"watched", "Throughput with and without a monitor", watched_experiments},
    Command{"idle", "Processor time of consumers that wait", idle_experiments},
};

CLI::Validator is_regex() {
    return {[](const std::string& pattern) -> std::string {
                try {
                    const std::regex valid(pattern);
                } catch (const std::regex_error&) {
                    return "'" + pattern + "' is no regular expression";
                }
                return {};
            },
            ""};
}

CLI::Validator is_usable_cpu() {
    return {
        [](const std::string& number) -> std::string {
            const std::vector<int> usable = usable_cpus();
            const bool is_one = std::any_of(usable.begin(), usable.end(),
                                            [&](int cpu) { return std::to_string(cpu) == number; });
            return is_one ? "" : fmt::format("{} is none of {}", number, fmt::join(usable, ", "));
        },
        ""};
}

/// Keeps the candidates whose name matches, and what they are compared with.
void select(std::vector<Experiment>& experiments, const std::string& only) {
    const std::regex wanted(only, std::regex::icase);
    std::set<std::string> others;
    bool found = false;
    for (Experiment& experiment : experiments) {
        std::erase_if(experiment.candidates, [&](const Candidate& candidate) {
            const bool matches = std::regex_search(candidate.name, wanted);
            found = found || matches;
            if (!matches) others.insert(candidate.name);
            return !matches && candidate.role != Role::floor &&
                   candidate.name != experiment.reference;
        });
    }
    if (found) return;
    throw Failure(
        fmt::format("no candidate matches '{}'; there are: {}", only, fmt::join(others, ", ")));
}

void print(const Report& report, bool explain, tools::Output& output) {
    for (const std::string& line : table(report))
        output.write(line + "\n");
    if (explain) output.write(fmt::format("  {}\n", report.experiment->explanation));
    output.write("\n");
    output.flush();
}

Effort effort_of(const Request& request, const tools::Signals& signals) {
    const auto measure = std::chrono::duration_cast<std::chrono::nanoseconds>(
        std::chrono::duration<double>(request.seconds));
    return {.warm_up = measure / 5,
            .measure = measure,
            .cpus = request.cpus.empty() ? usable_cpus() : request.cpus,
            .interrupted = [&signals] { signals.check(); }};
}

/// How far everything is, on a terminal; elsewhere a line for each experiment of a long run.
class ProgressLine {
public:
    ProgressLine(std::size_t experiments, const tools::Signals& signals)
        : experiments_(experiments), signals_(signals) {}
    ~ProgressLine() { clear(); }
    ProgressLine(const ProgressLine&) = delete;
    ProgressLine& operator=(const ProgressLine&) = delete;

    void begin(const Experiment& experiment) {
        ++current_;
        if (!terminal_ && experiments_ > 1) {
            say(fmt::format("{} of {}: {}\n", current_, experiments_, experiment.id));
        }
    }
    void show(const Experiment& experiment, const Candidate& candidate, std::size_t round,
              std::size_t rounds) {
        signals_.check();
        if (!terminal_) return;
        say(fmt::format("\r\x1b[K{} of {}: {}, round {} of {}, {}", current_, experiments_,
                        experiment.id, round + 1, rounds, candidate.name));
    }
    void clear() const {
        if (terminal_) say("\r\x1b[K");
    }

private:
    static void say(std::string_view text) { tools::try_to_write(STDERR_FILENO, text); }

    std::size_t experiments_;
    std::size_t current_ = 0;
    const tools::Signals& signals_;
    bool terminal_ = ::isatty(STDERR_FILENO) == 1;
};

bool is_complete(const Report& report) {
    return std::none_of(report.results.begin(), report.results.end(), [](const Result& result) {
        return result.state == Result::State::failed || result.state == Result::State::cut_off;
    });
}

/// A peer that hung this often is not tried again: each time costs the whole grace.
constexpr int most_hangs = 2;

class Hangs {
public:
    void note(const Report& report) {
        for (const Result& result : report.results) {
            if (result.state == Result::State::cut_off) ++count_[result.candidate->name];
        }
    }
    void leave_out(Experiment& experiment) const {
        for (Candidate& candidate : experiment.candidates) {
            const auto hangs = count_.find(candidate.name);
            if (candidate.role != Role::peer || hangs == count_.end()) continue;
            if (hangs->second >= most_hangs) candidate.absent = "it hung before";
        }
    }

private:
    std::map<std::string, int> count_;
};

int measure(const Request& request, std::vector<Experiment> experiments,
            const tools::Signals& signals) {
    const Effort effort = effort_of(request, signals);
    const std::regex wanted_ids(request.experiments);
    std::erase_if(experiments, [&](const Experiment& experiment) {
        return !std::regex_search(experiment.id, wanted_ids);
    });
    if (experiments.empty()) {
        throw Failure(fmt::format("no experiment's id matches '{}'", request.experiments));
    }
    select(experiments, request.only);
    if (!request.output.empty()) tools::expect_writable(request.output);
    Json document = header({.rounds = request.rounds,
                            .seconds = request.seconds,
                            .cpus = effort.cpus,
                            .revision = request.revision,
                            .load_average = request.load_average});
    if (!request.cpus.empty()) use_only(request.cpus);
    // What a peer complained of, or a revision, may be in any encoding.
    const auto text = [&] {
        return document.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
    };
    tools::Output output(signals);
    ProgressLine progress(experiments.size(), signals);
    bool complete = true;
    Hangs hangs;
    for (Experiment& experiment : experiments) {
        progress.begin(experiment);
        hangs.leave_out(experiment);
        const Report report = run(experiment, effort, request.rounds,
                                  [&](const auto&... where) { progress.show(where...); });
        progress.clear();
        complete = complete && is_complete(report);
        hangs.note(report);
        document["experiments"].push_back(json(report));
        // Each time, so that what took minutes to measure is kept, whatever ends the next.
        if (!request.output.empty()) tools::replace_file(request.output, text());
        if (!request.json) print(report, request.explain, output);
    }
    if (request.json) output.write(text());
    output.flush();
    return complete ? 0 : 1;
}

struct PageRequest {
    std::string results;
    std::string page;
    std::string plots;
};

int make_page(const PageRequest& request) {
    std::ifstream file(request.results, std::ios::binary);
    if (!file) throw Failure(fmt::format("cannot read {}", request.results));
    nlohmann::json results;
    std::string text;
    std::vector<std::pair<std::string, std::string>> images;
    try {
        results = nlohmann::json::parse(file);
        if (results.at("schema_version") != schema_version) {
            throw Failure(fmt::format("{} has schema_version {}, but this program knows {}",
                                      request.results, results.at("schema_version").dump(),
                                      schema_version));
        }
        text = page(results);
        images = plots(results);
    } catch (const nlohmann::json::exception& error) {
        throw Failure(fmt::format("{} does not hold results: {}", request.results, error.what()));
    }
    tools::replace_file(request.page, text);
    if (request.plots.empty()) return 0;
    for (const auto& [name, image] : images)
        tools::replace_file(fmt::format("{}/{}.svg", request.plots, name), image);
    return 0;
}

int run_tool(int argc, char** argv) {
    tools::Tool tool("ipc-bench",
                     "Measures how fast messages travel between processes: channels, beside what "
                     "the machine itself takes and beside other ways.",
                     examples);
    Request request;
    CLI::App& arguments = tool.arguments();
    arguments.require_subcommand(1, 0);
    arguments.fallthrough();
    arguments.add_option("--rounds", request.rounds, "How often everything is measured")
        ->capture_default_str()
        ->transform(tools::whole_number(1, 1000))
        ->type_name("COUNT");
    arguments.add_option("--seconds", request.seconds, "How long one measurement takes")
        ->capture_default_str()
        ->check(tools::in_range(0.001, 3600))
        ->type_name("SECONDS");
    arguments.add_option("--cpus", request.cpus, "Processors to run on, for example 2,3 [all]")
        ->delimiter(',')
        ->check(is_usable_cpu())
        ->type_name("LIST");
    arguments
        .add_option("--only", request.only,
                    "Candidates whose name matches, and what they are compared with")
        ->check(is_regex())
        ->type_name("REGEX");
    arguments
        .add_option("--experiments", request.experiments,
                    "Experiments whose id, as in the JSON, matches")
        ->check(is_regex())
        ->type_name("REGEX");
    arguments.add_flag("--explain", request.explain, "Say what each figure means");
    arguments.add_flag("--json", request.json, "The results as JSON instead of tables");
    arguments.add_option("--output", request.output, "Write the results as JSON, too")
        ->check(tools::not_empty())
        ->type_name("FILE");
    arguments
        .add_option("--revision", request.revision, "What to note as the revision of the sources")
        ->type_name("TEXT");
    arguments
        .add_option("--load-average", request.load_average,
                    "What to note as the machine's load, if not that of the last minute")
        ->type_name("NUMBER");
    for (const Command& command : commands)
        arguments.add_subcommand(command.name, command.purpose);
    const CLI::App* all = arguments.add_subcommand("all", "All of these");
    CLI::App* page = arguments.add_subcommand("page", "Shows results as a page with plots");
    PageRequest page_request;
    page->add_option("RESULTS", page_request.results, "What --output wrote")->required();
    page->add_option("PAGE", page_request.page, "The HTML file to write")->required();
    page->add_option("--plots", page_request.plots, "Also write the plots into this folder")
        ->check(tools::not_empty())
        ->type_name("FOLDER");

    return tool.run(argc, argv, [&](const tools::Signals& signals) {
        if (page->parsed()) return make_page(page_request);
        std::vector<Experiment> experiments;
        for (const Command& command : commands) {
            if (!all->parsed() && !arguments.got_subcommand(command.name)) continue;
            std::vector<Experiment> more = command.experiments();
            std::move(more.begin(), more.end(), std::back_inserter(experiments));
        }
        return measure(request, std::move(experiments), signals);
    });
}

}  // namespace
}  // namespace ipc::bench

int main(int argc, char** argv) {
    return ipc::bench::run_tool(argc, argv);
}
