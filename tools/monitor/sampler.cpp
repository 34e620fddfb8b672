#include "tools/monitor/sampler.hpp"

#include <fnmatch.h>
#include <sys/resource.h>

#include <algorithm>
#include <exception>
#include <iterator>
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

bool is_pattern(const std::string& text) {
    return text.find_first_of("*?[\\") != std::string::npos;
}

bool matches(const std::string& pattern, const std::string& channel) {
    return ::fnmatch(pattern.c_str(), channel.c_str(), 0) == 0;
}

Sampler::Sampler(std::vector<std::string> patterns, bool allow_foreign_owner)
    : patterns_(std::move(patterns)), allow_foreign_owner_(allow_foreign_owner) {
    // An inspected channel keeps a descriptor, and the usual limit is 1024.
    rlimit files = {};
    if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        ::setrlimit(RLIMIT_NOFILE, &files);
    }
}

bool Sampler::selects(const std::string& channel) const {
    return patterns_.empty() ||
           std::any_of(patterns_.begin(), patterns_.end(),
                       [&](const std::string& pattern) { return matches(pattern, channel); });
}

void Sampler::sample(const std::function<void(Sample)>& take, std::chrono::nanoseconds opening) {
    ProcessStates processes;
    unopened_ = 0;
    std::chrono::nanoseconds spent{0};
    auto known = inspectors_.begin();  // as far as the names have come
    for (const std::string& name : list()) {
        if (!selects(name)) continue;
        while (known != inspectors_.end() && known->first < name)
            known = inspectors_.erase(known);
        const bool is_new = known == inspectors_.end() || known->first != name;
        if (is_new) {
            if (spent > opening) {
                ++unopened_;
                continue;
            }
            known = inspectors_.emplace_hint(known, name, nullptr);
        }
        const auto start = std::chrono::steady_clock::now();
        auto sample = this->sample(name, known->second, processes);
        if (is_new) spent += std::chrono::steady_clock::now() - start;
        known = known->second ? std::next(known) : inspectors_.erase(known);
        if (sample) take(std::move(*sample));
    }
    inspectors_.erase(known, inspectors_.end());
}

std::optional<Sample> Sampler::sample(const std::string& channel,
                                      std::unique_ptr<Inspector>& inspector,
                                      ProcessStates& processes) const {
    const auto failed = [&](const char* problem) {
        inspector.reset();
        return Sample{.channel = channel,
                      .report = std::nullopt,
                      .problem = without_subject(problem, channel)};
    };
    try {
        if (inspector) {
            ChannelReport report = inspector->sample(processes);
            if (!report.removed) {
                return Sample{.channel = channel, .report = std::move(report), .problem = {}};
            }
        }
        // The first look, or the name means another channel by now.
        inspector = std::make_unique<Inspector>(channel, allow_foreign_owner_);
        return Sample{.channel = channel, .report = inspector->sample(processes), .problem = {}};
    } catch (const Error& error) {
        if (error.code() == Errc::not_found || error.code() == Errc::removed) {
            inspector.reset();
            return std::nullopt;
        }
        return failed(error.what());
    } catch (const std::exception& error) {
        return failed(error.what());
    }
}

}  // namespace ipc::tools::monitor
