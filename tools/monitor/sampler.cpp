#include "tools/monitor/sampler.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <exception>
#include <set>
#include <utility>

#include "ipc/admin.hpp"
#include "ipc/base/error.hpp"

namespace ipc::tools::monitor {
namespace {

// The problem stands beside the channel's name already.
std::string without_subject(std::string problem, const std::string& channel) {
    const std::string subject = "channel " + channel + ": ";
    if (problem.starts_with(subject)) problem.erase(0, subject.size());
    return problem;
}

}  // namespace

bool matches(const std::string& pattern, const std::string& channel) {
    return ::fnmatch(pattern.c_str(), channel.c_str(), 0) == 0;
}

Sampler::Sampler(std::vector<std::string> patterns, bool allow_foreign_owner)
    : patterns_(std::move(patterns)), allow_foreign_owner_(allow_foreign_owner) {}

bool Sampler::selects(const std::string& channel) const {
    return patterns_.empty() ||
           std::any_of(patterns_.begin(), patterns_.end(),
                       [&](const std::string& pattern) { return matches(pattern, channel); });
}

std::vector<Sample> Sampler::sample() {
    std::set<std::string> names;
    for (std::string& name : list()) {
        if (selects(name)) names.insert(std::move(name));
    }
    std::erase_if(inspectors_, [&](const auto& entry) { return !names.contains(entry.first); });

    std::vector<Sample> result;
    for (const std::string& name : names) {
        if (auto sample = this->sample(name)) result.push_back(std::move(*sample));
    }
    return result;
}

std::optional<Sample> Sampler::sample(const std::string& channel) {
    const auto failed = [&](const char* problem) {
        inspectors_.erase(channel);
        return Sample{.channel = channel,
                      .report = std::nullopt,
                      .problem = without_subject(problem, channel)};
    };
    try {
        std::unique_ptr<Inspector>& inspector = inspectors_[channel];
        if (inspector) {
            ChannelReport report = inspector->sample();
            if (!report.removed) {
                return Sample{.channel = channel, .report = std::move(report), .problem = {}};
            }
        }
        // The first look, or the name means another channel by now.
        inspector = std::make_unique<Inspector>(channel, allow_foreign_owner_);
        return Sample{.channel = channel, .report = inspector->sample(), .problem = {}};
    } catch (const Error& error) {
        if (error.code() == Errc::not_found || error.code() == Errc::removed) {
            inspectors_.erase(channel);
            return std::nullopt;
        }
        return failed(error.what());
    } catch (const std::exception& error) {
        return failed(error.what());
    }
}

}  // namespace ipc::tools::monitor
