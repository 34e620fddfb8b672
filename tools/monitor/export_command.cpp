// ipc-monitor export: the figures for Prometheus, sampled whenever it asks.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/core.h>
#include <prometheus/exposer.h>

#include "tools/common/arguments.hpp"
#include "tools/common/failure.hpp"
#include "tools/common/notice.hpp"
#include "tools/common/text.hpp"
#include "tools/monitor/commands.hpp"
#include "tools/monitor/metrics.hpp"

namespace ipc::tools::monitor {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t threads = 2;  // a second scrape need not wait for the first connection to end

struct ExportRequest {
    std::string listen = "127.0.0.1:9464";
    std::vector<std::string> channels;
    bool groups_only = false;
    OpenOptions open;
};

std::string check_address(const std::string& text) {
    const std::size_t colon = text.rfind(':');
    const bool right = colon != std::string::npos && colon != 0 &&
                       parse_number<std::uint16_t>(std::string_view(text).substr(colon + 1));
    return right ? std::string()
                 : text + " is not an address and a port, as 127.0.0.1:9464 or [::1]:9464";
}

int serve(const ExportRequest& request, const Signals& signals) {
    // Both are kept until the process ends, which the signal sees to: to stop the server takes up
    // to 2 s, and until then it uses the metrics.
    static const auto metrics = std::make_shared<Metrics>(
        Sampler(request.channels, request.open.allow_foreign_owner), request.groups_only,
        [](const std::string& line) { notice("ipc-monitor", line); });
    static std::unique_ptr<prometheus::Exposer> exposer;
    try {
        exposer = std::make_unique<prometheus::Exposer>(request.listen, threads);
    } catch (const std::exception&) {
        // The HTTP server says no more than that it could not start.
        throw Failure(
            fmt::format("cannot listen on {}; is the address one of this host, and the "
                        "port free?",
                        request.listen));
    }
    exposer->RegisterCollectable(metrics);
    for (const int port : exposer->GetListeningPorts())
        fmt::print("listening on port {}\n", port);
    std::fflush(stdout);
    while (true)
        signals.sleep(1h);
}

}  // namespace

Command add_export(CLI::App& monitor) {
    CLI::App& arguments =
        *monitor.add_subcommand("export", "Serves the figures to Prometheus, at /metrics");
    const auto request = std::make_shared<ExportRequest>();
    arguments.add_option("CHANNEL", request->channels, "Names or shell patterns [all channels]");
    arguments
        .add_option("--listen", request->listen,
                    "Address to listen on; port 0: one that is free, which is printed")
        ->check(CLI::Validator(check_address, ""))
        ->type_name("ADDRESS:PORT")
        ->capture_default_str();
    arguments.add_flag("--groups-only", request->groups_only,
                       "Leave out subscribers, which bring a new series with every process");
    add_open_options(arguments, request->open);
    arguments.footer(
        "Examples:\n"
        "  ipc-monitor export                                  at "
        "http://127.0.0.1:9464/metrics\n"
        "  ipc-monitor export 'md.*' --listen '[::]:9464'      some channels, for "
        "other hosts\n");
    return {&arguments, [request](const Signals& signals) { return serve(*request, signals); }};
}

}  // namespace ipc::tools::monitor
