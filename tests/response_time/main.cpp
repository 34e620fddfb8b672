// ipc-response-time: how good the monitor's predictions of response times are, as a table.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <exception>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include "tests/response_time/experiment.hpp"

namespace ipc::test {
namespace {

constexpr std::size_t batch = 400;

std::string percent(double fraction, const char* format) {
    return std::isnan(fraction) ? "-" : fmt::format(fmt::runtime(format), 100 * fraction);
}

void print(const Setup& setup, const std::vector<Arrival>& arrivals) {
    double measured = 0;
    double backlog = 0;
    for (const Arrival& each : arrivals) {
        measured += each.measured;
        backlog += static_cast<double>(each.backlog);
    }
    const auto count = static_cast<double>(arrivals.size());
    const auto errors = [&](double Arrival::*prediction) {
        return fmt::format("{:>6} {:>5} {:>5}", percent(bias(arrivals, prediction), "{:+.1f}"),
                           percent(median_error(arrivals, prediction, batch), "{:.1f}"),
                           percent(median_error(arrivals, prediction, 1), "{:.0f}"));
    };
    // In a steady state only the mean of all can be compared.
    fmt::print("{:<12} {:>7} {:>5.1f} {:>7.1f} {:>8.2f}   {}   {}   {:>6}\n",
               name_of(setup.distribution), setup.members, setup.load, backlog / count,
               1e3 * measured / count, errors(&Arrival::busy), errors(&Arrival::next),
               percent(bias(arrivals, &Arrival::steady), "{:+.1f}"));
    std::fflush(stdout);
}

int run_all(int argc, char** argv) {
    CLI::App arguments("Predicted against measured response times, for known service times");
    std::vector<unsigned> members = {1, 2, 4, 8};
    std::vector<double> loads = {0.3, 0.5, 0.7, 0.9, 1.0, 1.2};
    Setup setup;
    arguments.add_option("--members", members, "Numbers of members [1 2 4 8]");
    arguments.add_option("--loads", loads, "Loads [0.3 0.5 0.7 0.9 1 1.2]");
    arguments.add_option("--service", setup.service, "Mean service time, seconds")
        ->capture_default_str();
    arguments.add_option("--messages", setup.messages, "Looked at for each line")
        ->capture_default_str();
    arguments.add_option("--window", setup.window, "Of the estimators, seconds")
        ->capture_default_str();
    arguments.add_option("--seed", setup.seed, "Of the random numbers")->capture_default_str();
    CLI11_PARSE(arguments, argc, argv);

    fmt::print(
        "Errors in %. bias: of the mean of all; batch: median over batches of {} messages; "
        "one: median of single messages.\n\n"
        "                                                T_p + L_q / C        next message   "
        "   steady\n"
        "service      members  load     L_q   T_r ms     bias batch   one     bias batch   "
        "one     bias\n",
        batch);
    for (const Distribution distribution :
         {Distribution::constant, Distribution::exponential, Distribution::bimodal}) {
        for (const unsigned count : members) {
            for (const double load : loads) {
                setup.distribution = distribution;
                setup.members = count;
                setup.load = load;
                print(setup, run(setup));
            }
        }
    }
    return 0;
}

}  // namespace
}  // namespace ipc::test

int main(int argc, char** argv) {
    try {
        return ipc::test::run_all(argc, argv);
    } catch (const std::exception& error) {
        fmt::print(stderr, "ipc-response-time: {}\n", error.what());
        return 1;
    }
}
