// ipc-bench: how fast messages travel between processes on this machine.

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <regex>
#include <stdexcept>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "bench/experiment/experiment.hpp"
#include "bench/report/json.hpp"
#include "bench/report/table.hpp"
#include "bench/suite/suite.hpp"
#include "bench/system/cpu.hpp"
#include "tools/common/tool.hpp"

namespace ipc::bench {
namespace {

constexpr const char* examples =
    "  ipc-bench ping-pong                              round trips of 32 bytes\n"
    "  ipc-bench throughput --rounds 20 --seconds 1     better figures on a busy machine\n"
    "  ipc-bench ping-pong --json                       for programs\n"
    "\n"
    "All candidates are measured once in each round, one after the other. MEDIAN is over the\n"
    "rounds, RATIO the median of the ratios within each round, and ROUNDS how far the lowest and\n"
    "the highest round are from the median. Processes are pinned. Figures mean little while\n"
    "other programs use the processors.\n";

struct Request {
    std::size_t rounds = 10;
    double seconds = 0.3;
    std::vector<int> cpus;
    std::string only;
    bool json = false;
};

struct Command {
    const char* name;
    const char* purpose;
    std::vector<Experiment> (*experiments)();
};

constexpr std::array commands = {
    Command{"ping-pong", "One round trip between two processes", ping_pong_experiments},
    Command{"throughput", "Messages per second in one direction", throughput_experiments},
};

/// Keeps the candidates whose name matches, and what they are compared with.
void select(Experiment& experiment, const std::string& pattern) {
    const std::regex wanted(pattern, std::regex::icase);
    std::erase_if(experiment.candidates, [&](const Candidate& candidate) {
        return candidate.role != Role::floor && candidate.name != experiment.reference &&
               !std::regex_search(candidate.name, wanted);
    });
}

Effort effort_of(const Request& request, const tools::Signals& signals) {
    const auto measure = std::chrono::duration_cast<std::chrono::nanoseconds>(
        std::chrono::duration<double>(request.seconds));
    return {.warm_up = measure / 5,
            .measure = measure,
            .cpus = request.cpus.empty() ? usable_cpus() : request.cpus,
            .interrupted = [&signals] { signals.check(); }};
}

int measure(const Request& request, std::vector<Experiment> experiments,
            const tools::Signals& signals) {
    const Effort effort = effort_of(request, signals);
    const bool terminal = ::isatty(STDERR_FILENO) == 1;
    const Progress progress = [&](const Experiment& experiment, const Candidate& candidate,
                                  std::size_t round, std::size_t rounds) {
        signals.check();
        if (!terminal) return;
        fmt::print(stderr, "\r\x1b[K{}: round {} of {}, {}", experiment.id, round + 1, rounds,
                   candidate.name);
    };
    nlohmann::ordered_json all = nlohmann::ordered_json::array();
    bool complete = true;
    for (Experiment& experiment : experiments) {
        if (!request.only.empty()) select(experiment, request.only);
        const Report report = run(experiment, effort, request.rounds, progress);
        if (terminal) fmt::print(stderr, "\r\x1b[K");
        for (const Result& result : report.results) {
            if (result.state == Result::State::failed || result.state == Result::State::cut_off) {
                complete = false;
            }
        }
        if (request.json) {
            all.push_back(json(report));
            continue;
        }
        for (const std::string& line : table(report))
            fmt::print("{}\n", line);
        fmt::print("\n");
        std::fflush(stdout);
    }
    if (request.json) fmt::print("{}\n", nlohmann::ordered_json{{"experiments", all}}.dump(2));
    return complete ? 0 : 1;
}

int run_tool(int argc, char** argv) {
    tools::Tool tool("ipc-bench", "Measures how fast messages travel between processes.", examples);
    Request request;
    CLI::App& arguments = tool.arguments();
    arguments.require_subcommand(1);
    arguments.fallthrough();
    arguments.add_option("--rounds", request.rounds, "How often everything is measured")
        ->capture_default_str()
        ->check(CLI::Range(1, 1000).description(""));
    arguments.add_option("--seconds", request.seconds, "How long one measurement takes")
        ->capture_default_str()
        ->check(CLI::Range(0.001, 3600.0).description(""));
    arguments.add_option("--cpus", request.cpus, "Processors to run on, for example 2,3")
        ->delimiter(',')
        ->type_name("LIST");
    arguments.add_option("--only", request.only, "Candidates whose name matches this, and floors")
        ->type_name("REGEX");
    arguments.add_flag("--json", request.json, "The result as JSON");
    for (const Command& command : commands)
        arguments.add_subcommand(command.name, command.purpose)->fallthrough();

    return tool.run(argc, argv, [&](const tools::Signals& signals) {
        for (const Command& command : commands) {
            if (arguments.got_subcommand(command.name)) {
                return measure(request, command.experiments(), signals);
            }
        }
        return 2;
    });
}

}  // namespace
}  // namespace ipc::bench

int main(int argc, char** argv) {
    return ipc::bench::run_tool(argc, argv);
}
