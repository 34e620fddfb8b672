#include "bench/report/json.hpp"

#include <string>

#include "bench/system/machine.hpp"

namespace ipc::bench {
namespace {

const char* word(Role role) {
    switch (role) {
        case Role::floor: return "floor";
        case Role::ours: return "ours";
        case Role::peer: return "peer";
    }
    return "";
}

const char* word(Result::State state) {
    switch (state) {
        case Result::State::measured: return "measured";
        case Result::State::absent: return "absent";
        case Result::State::cut_off: return "cut off";
        case Result::State::failed: return "failed";
    }
    return "";
}

Json summary(const Histogram& latency) {
    Json json;
    json["count"] = latency.total();
    for (const Percentile& percentile : percentiles)
        json[percentile.name] = latency.quantile(percentile.fraction);
    return json;
}

/// Pairs of fraction and ns, dense where the tail begins: 0.1 to 0.9, 0.91 to 0.99, and so on.
Json curve(const Histogram& latency) {
    Json json = Json::array();
    double rest = 1;
    for (int nines = 0; nines < 5; ++nines, rest /= 10) {
        // No more nines than there are values to tell them apart.
        if (static_cast<double>(latency.total()) * rest < 10) break;
        for (int i = 0; i < 9; ++i) {
            const double fraction = 1 - rest * (1 - 0.1 * i);
            json.push_back({fraction, latency.quantile(fraction)});
        }
    }
    return json;
}

Json candidate(const Result& result) {
    Json json;
    json["name"] = result.candidate->name;
    json["role"] = word(result.candidate->role);
    json["state"] = word(result.state);
    if (!result.reason.empty()) json["reason"] = result.reason;
    if (result.values.empty()) return json;
    json["median"] = result.value;
    json["rounds"] = result.values;
    if (!result.ratios.empty()) {
        json["ratio"] = result.ratio;
        json["ratios"] = result.ratios;
    }
    if (result.latency != nullptr) {
        json["latency_ns"] = summary(*result.latency);
        json["latency_curve"] = curve(*result.latency);
    }
    if (!result.details.empty()) json["details"] = result.details;
    return json;
}

}  // namespace

Json header(const Settings& settings) {
    const Machine where = machine();
    Json document;
    document["schema_version"] = schema_version;
    document["tool"] = "ipc-bench";
    document["machine"] = {{"processor", where.processor},
                           {"processors", where.processors},
                           {"virtual_machine", where.virtual_machine},
                           {"memory", where.memory},
                           {"kernel", where.kernel},
                           {"system", where.system},
                           {"compiler", where.compiler},
                           {"build_type", where.build_type},
                           {"library_version", where.library_version},
                           {"revision", settings.revision},
                           {"date", where.date},
                           {"load_average", settings.load_average.value_or(where.load_average)}};
    document["settings"] = {
        {"rounds", settings.rounds}, {"seconds", settings.seconds}, {"processors", settings.cpus}};
    document["experiments"] = Json::array();
    return document;
}

Json json(const Report& report) {
    const Experiment& experiment = *report.experiment;
    Json json;
    json["id"] = experiment.id;
    json["title"] = experiment.title;
    json["explanation"] = experiment.explanation;
    json["unit"] = experiment.unit;
    json["higher_is_better"] = experiment.higher_is_better;
    json["reference"] = report.reference.empty() ? Json() : Json(report.reference);
    json["candidates"] = Json::array();
    for (const Result& result : report.results)
        json["candidates"].push_back(candidate(result));
    json["remarks"] = report.remarks;
    return json;
}

}  // namespace ipc::bench
