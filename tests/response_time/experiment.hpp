#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace ipc::test {

// A queue with known service times: one producer, and members that are processes of their own and
// sleep for as long as each message says. Sleeping instead of computing makes more members than
// processors possible.

enum class Distribution : std::uint8_t {
    constant,
    exponential,
    bimodal,  ///< nine of ten take 0.5, one takes 5.5 times the mean: variance 2.25 times mean^2
};
const char* name_of(Distribution distribution);

struct Setup {
    unsigned members = 1;
    double service = 0.005;  ///< mean, seconds
    Distribution distribution = Distribution::constant;
    double load = 0.5;  ///< what arrives, of what the members can do; arrivals are random (Poisson)
    unsigned messages = 2000;  ///< that are looked at, after a whole window
    double window = 5;         ///< of the estimators, seconds
    std::uint64_t seed = 1;
};

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

/// One message: what the model said just before it was published, and what came. Seconds.
struct Arrival {
    double busy = unknown;
    double next = unknown;
    double steady = unknown;
    double measured = unknown;
    std::uint64_t backlog = 0;  ///< that it found
};

std::vector<Arrival> run(const Setup& setup);

/// The case that the model was made for: ten members that take one second each, and 20 messages
/// waiting. The messages that find those 20.
std::vector<Arrival> run_the_articles_case();

/// By how much the mean of the predictions is off, of the mean of what was measured.
double bias(const std::vector<Arrival>& arrivals, double Arrival::*prediction);

/// The median over all batches of so many successive arrivals of the absolute error of their mean.
/// A batch of one: of single messages.
double median_error(const std::vector<Arrival>& arrivals, double Arrival::*prediction,
                    std::size_t batch);

}  // namespace ipc::test
