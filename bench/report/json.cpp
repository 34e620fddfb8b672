#include "bench/report/json.hpp"

#include <string>
#include <utility>

namespace ipc::bench {
namespace {

using Json = nlohmann::ordered_json;

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

Json percentiles(const Histogram& latency) {
    Json json;
    json["count"] = latency.total();
    for (const auto& [name, fraction] : {std::pair("p50", 0.5),
                                         {"p90", 0.9},
                                         {"p99", 0.99},
                                         {"p99.9", 0.999},
                                         {"p99.99", 0.9999}}) {
        json[name] = latency.quantile(fraction);
    }
    json["max"] = latency.max();
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
    if (result.latency != nullptr) json["latency_ns"] = percentiles(*result.latency);
    if (!result.details.empty()) json["details"] = result.details;
    return json;
}

}  // namespace

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
