#include "bench/experiment/experiment.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include <fmt/format.h>

#include "bench/statistics/median.hpp"
#include "bench/system/team.hpp"

namespace ipc::bench {
namespace {

/// Below this ratio a floor is not one.
constexpr double floor_tolerance = 0.98;

using Details = std::vector<std::map<std::string, double>>;

bool is_better(const Experiment& experiment, double a, double b) {
    return experiment.higher_is_better ? a > b : a < b;
}

const Result* find_reference(const Report& report) {
    const Experiment& experiment = *report.experiment;
    const Result* best = nullptr;
    for (const Result& result : report.results) {
        if (result.state != Result::State::measured) continue;
        if (!experiment.reference.empty()) {
            if (result.candidate->name == experiment.reference) return &result;
        } else if (result.candidate->role == Role::floor &&
                   (best == nullptr || is_better(experiment, result.value, best->value))) {
            best = &result;
        }
    }
    return best;
}

void summarise(Result& result, const Details& details) {
    result.value = median(result.values);
    std::map<std::string, std::vector<double>> values;
    for (const auto& round : details) {
        for (const auto& [name, value] : round)
            values[name].push_back(value);
    }
    for (auto& [name, all] : values)
        result.details[name] = median(std::move(all));
}

/// The best floor of each round, since another one may be the best when the processors are near
/// each other than when they are distant; empty when there is none.
std::vector<double> best_floors(const Report& report) {
    std::vector<double> best;
    for (const Result& result : report.results) {
        if (result.candidate->role != Role::floor) continue;
        for (std::size_t round = 0; round < result.values.size(); ++round) {
            if (round == best.size()) {
                best.push_back(result.values[round]);
            } else if (is_better(*report.experiment, result.values[round], best[round])) {
                best[round] = result.values[round];
            }
        }
    }
    return best;
}

std::vector<double> ratios_to(const std::vector<double>& base, const Result& result) {
    std::vector<double> ratios;
    for (std::size_t round = 0; round < std::min(result.values.size(), base.size()); ++round) {
        if (base[round] > 0) ratios.push_back(result.values[round] / base[round]);
    }
    return ratios;
}

/// A floor that something beats is none.
void check_floors(Report& report, const std::vector<double>& floors) {
    for (const Result& result : report.results) {
        if (result.candidate->role == Role::floor) continue;
        const std::vector<double> ratios = ratios_to(floors, result);
        if (ratios.empty()) continue;
        const double ratio = median(ratios);
        if ((report.experiment->higher_is_better ? 1 / ratio : ratio) < floor_tolerance) {
            report.remarks.push_back(fmt::format(
                "{} beats the best floor: that is not a floor here", result.candidate->name));
        }
    }
}

void compare(Report& report) {
    const Result* reference = find_reference(report);
    if (reference == nullptr) return;
    report.reference = reference->candidate->name;
    const std::vector<double> floors = best_floors(report);
    const bool is_named = !report.experiment->reference.empty();
    for (Result& result : report.results) {
        result.ratios = ratios_to(is_named ? reference->values : floors, result);
        result.ratio = median(result.ratios);
    }
    check_floors(report, floors);
}

/// Who has its turn. Each finds the machine as the one before left it; so in `count` rounds (twice
/// as many of an odd count) each is at each place, and after each other one, equally often. E. J.
/// Williams, "Experimental designs balanced for the estimation of residual effects of treatments",
/// 1949.
std::size_t candidate_at(std::size_t place, std::size_t round, std::size_t count) {
    const bool mirrored = round / count % 2 == 1;
    if (mirrored) place = count - 1 - place;
    const std::size_t zigzag = place % 2 == 1 ? (place + 1) / 2 : count - place / 2;
    return (zigzag + round) % count;
}

/// One measurement; what goes wrong becomes the candidate's state.
void measure(Result& result, Details& details, const Effort& effort) {
    const auto give_up = [&result](Result::State state, const char* reason) {
        result.state = state;
        result.reason = reason;
    };
    try {
        Measurement measurement = result.candidate->measure(effort);
        result.values.push_back(measurement.value);
        details.push_back(std::move(measurement.details));
        if (measurement.latency == nullptr) return;
        if (result.latency == nullptr) {
            result.latency = std::move(measurement.latency);
        } else {
            result.latency->merge(*measurement.latency);
        }
    } catch (const TeamHangs& hangs) {
        give_up(Result::State::cut_off, hangs.what());
    } catch (const std::exception& error) {
        give_up(Result::State::failed, error.what());
    }
}

}  // namespace

Report run(const Experiment& experiment, const Effort& wanted, std::size_t rounds,
           const Progress& progress) {
    Effort effort = wanted;
    if (effort.measure < experiment.least_time) {
        effort.warm_up = effort.warm_up * experiment.least_time.count() / effort.measure.count();
        effort.measure = experiment.least_time;
    }
    rounds = std::min(rounds, experiment.most_rounds);
    Report report{&experiment, {}, {}, {}};
    for (const Candidate& candidate : experiment.candidates) {
        Result& result = report.results.emplace_back(Result{&candidate});
        if (candidate.absent.empty()) continue;
        result.state = Result::State::absent;
        result.reason = candidate.absent;
    }
    std::vector<Details> details(report.results.size());
    for (std::size_t round = 0; round < rounds; ++round) {
        for (std::size_t place = 0; place < report.results.size(); ++place) {
            const std::size_t index = candidate_at(place, round, report.results.size());
            Result& result = report.results[index];
            if (result.state != Result::State::measured) continue;
            if (progress) progress(experiment, *result.candidate, round, rounds);
            measure(result, details[index], effort);
        }
    }
    for (std::size_t i = 0; i < report.results.size(); ++i)
        summarise(report.results[i], details[i]);
    compare(report);
    return report;
}

}  // namespace ipc::bench
