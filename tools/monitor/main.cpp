// ipc-monitor: the queues of this host, live.

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tools/common/arguments.hpp"
#include "tools/common/stream.hpp"
#include "tools/common/table.hpp"
#include "tools/common/terminal.hpp"
#include "tools/common/tool.hpp"
#include "tools/monitor/full_screen.hpp"
#include "tools/monitor/json.hpp"
#include "tools/monitor/live_source.hpp"
#include "tools/monitor/model.hpp"
#include "tools/monitor/render.hpp"
#include "tools/monitor/sampler.hpp"

namespace ipc::tools::monitor {
namespace {

using namespace std::chrono_literals;

constexpr const char* examples =
    "  ipc-monitor                      all channels, live; the key ? explains the screen\n"
    "  ipc-monitor 'md.*' jobs          some of them\n"
    "  ipc-monitor --once               one table; also without --once when the output is no "
    "terminal\n"
    "  ipc-monitor --json | jq '.channels[].groups[] | {name, backlog_messages}'\n"
    "\n"
    "Columns:\n"
    "  SIZE    shared memory in use, bytes       PROD    producers\n"
    "  IN/s    messages published                BYTES/s bytes published\n"
    "  MEMB    members of the group              BACKLOG messages not yet handed out\n"
    "  FLIGHT  handed out, not yet settled       OUT/s   messages handed out\n"
    "  ACK/s   messages processed                REDEL   delivered more than once, in all\n"
    "  SKIP    positions missed, in all          DEAD    dead-lettered, in all\n"
    "  OLDEST  age of the oldest unsettled       EXPECT  predicted response time of a new "
    "message\n";

struct Request {
    std::vector<std::string> channels;
    bool once = false;
    bool json = false;
    std::optional<std::chrono::nanoseconds> interval = 1s;
    OpenOptions open;
    FullScreenOptions screen;
};

// For a terminal that can do no more than a printer: one table after the other.
int print(Sampler& sampler, Output& output, const Request& request, const Signals& signals) {
    std::vector<Sample> before;
    for (std::chrono::nanoseconds pause = 100ms;; pause = *request.interval) {
        const auto size = terminal_size().value_or(TerminalSize{.width = 80, .height = 24});
        std::vector<Sample> now = sampler.sample();
        output.write(render(compare(before, now), size.width, 0) + "\n");
        output.flush();
        before = std::move(now);
        // The first rates come soon.
        signals.sleep(std::min(pause, *request.interval));
    }
}

// https://no-color.org: whatever its value is, as long as there is one.
bool is_set(const char* variable) {
    const char* value = std::getenv(variable);
    return value != nullptr && *value != '\0';
}

int show_once(Sampler& sampler, Output& output, const Request& request, const Signals& signals) {
    const std::vector<Sample> before = sampler.sample();
    signals.sleep(*request.interval);
    const std::vector<ChannelView> channels = compare(before, sampler.sample());
    const auto terminal = terminal_size();
    output.write(request.json ? to_json(channels)
                              : render(channels, terminal ? terminal->width : Table::unlimited, 0));
    output.flush();
    return 0;
}

int run(int argc, char** argv) {
    Tool tool("ipc-monitor", "Shows the channels of this host and their groups, live.", examples);
    Request request;
    CLI::App& arguments = tool.arguments();
    arguments.add_option("CHANNEL", request.channels, "Names or shell patterns [all channels]");
    arguments.add_flag("--once", request.once, "Take two samples, print the table, and end");
    arguments.add_flag("--json", request.json, "The same as JSON, once");
    add_seconds(arguments, "--interval", request.interval, "Time between samples [1]")
        ->check(CLI::Range(0.01, 3600.0).description(""));
    arguments.add_flag("--ascii", request.screen.ascii, "Draw with ASCII characters only");
    add_open_options(arguments, request.open);

    return tool.run(argc, argv, [&](const Signals& signals) {
        request.screen.colours = !is_set("NO_COLOR");
        const auto make_sampler = [&] {
            return Sampler(request.channels, request.open.allow_foreign_owner);
        };
        Output output(signals);
        Sampler sampler = make_sampler();
        if (request.once || request.json || !terminal_size()) {
            return show_once(sampler, output, request, signals);
        }
        LiveSource source(make_sampler(), *request.interval);
        if (show_full_screen(source, signals, request.screen)) return 0;
        return print(sampler, output, request, signals);
    });
}

}  // namespace
}  // namespace ipc::tools::monitor

int main(int argc, char** argv) {
    return ipc::tools::monitor::run(argc, argv);
}
