// ipc-monitor without a sub-command: the channels as they are, on the screen or as text.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tools/common/arguments.hpp"
#include "tools/common/failure.hpp"
#include "tools/common/terminal.hpp"
#include "tools/monitor/commands.hpp"
#include "tools/monitor/full_screen.hpp"
#include "tools/monitor/live_source.hpp"
#include "tools/monitor/pacer.hpp"
#include "tools/monitor/text_output.hpp"

namespace ipc::tools::monitor {
namespace {

using namespace std::chrono_literals;

struct WatchRequest {
    std::vector<std::string> channels;
    std::optional<std::chrono::nanoseconds> interval;
    OpenOptions open;
    TextOptions text;
    FullScreenOptions screen;
};

constexpr std::chrono::nanoseconds default_interval = 1s;

// The first screen is there at once, however many channels there are.
constexpr std::chrono::nanoseconds opening_for_screen = 40ms;

/// Names, rather than patterns, must be those of channels.
void expect_channels(const std::vector<std::string>& names, const History& history) {
    for (const std::string& name : names) {
        const bool found =
            std::any_of(history.channels().begin(), history.channels().end(),
                        [&](const ChannelHistory& each) { return each.name == name; });
        if (!is_pattern(name) && !found) throw Failure("channel " + name + ": not found");
    }
}

int print(LiveSource& source, std::optional<std::uint64_t> count, const WatchRequest& request,
          const Signals& signals) {
    TextOutput output(request.text, request.text.count || count != 1, signals);
    source.next(output.history());
    Pacer pacer(request.interval.value_or(default_interval), Pacer::Clock::now());
    for (std::uint64_t i = 1; !count || i <= *count; ++i) {
        const auto now = Pacer::Clock::now();
        signals.sleep(pacer.next(now) - now);
        source.next(output.history());
        // What is watched for longer may still come.
        const bool last = count == 1;
        const bool nothing = output.history().channels().empty();
        if (last && nothing) expect_channels(request.channels, output.history());
        output.write();
        if (last) expect_channels(request.channels, output.history());
    }
    return 0;
}

int watch(const WatchRequest& request, const Signals& signals) {
    const auto source_for = [&](std::chrono::nanoseconds opening) {
        return LiveSource(Sampler(request.channels, request.open.allow_foreign_owner),
                          request.interval.value_or(default_interval), opening);
    };
    const TextOptions& text = request.text;
    const bool on_terminal = !text.asked_for() && terminal_size();
    if (on_terminal) {
        LiveSource source = source_for(opening_for_screen);
        FullScreenOptions screen = request.screen;
        screen.view = text.view;
        if (show_full_screen(source, signals, screen)) return 0;
    }
    LiveSource source = source_for(Sampler::however_long);
    if (on_terminal) return print(source, std::nullopt, request, signals);
    // A program that asks for an interval wants a stream; a table is for people.
    const bool stream = request.interval && (text.json || text.csv) && !text.once;
    const std::optional<std::uint64_t> once = 1;
    return print(source, text.count ? text.count : stream ? std::nullopt : once, request, signals);
}

// https://no-color.org: whatever its value is, as long as there is one.
bool is_set(const char* variable) {
    const char* value = std::getenv(variable);
    return value != nullptr && *value != '\0';
}

}  // namespace

void add_screen_options(CLI::App& arguments, FullScreenOptions& options) {
    options.colours = !is_set("NO_COLOR");
    arguments.add_flag("--ascii", options.ascii, "Draw the screen with ASCII characters only");
}

Command add_watch(CLI::App& monitor) {
    const auto request = std::make_shared<WatchRequest>();
    monitor.add_option("CHANNEL", request->channels, "Names or shell patterns [all channels]");
    add_interval(monitor, request->interval);
    add_text_options(monitor, request->text,
                     "one object, or a line for each sample with --interval or --count");
    add_screen_options(monitor, request->screen);
    add_open_options(monitor, request->open);
    return {&monitor, [request](const Signals& signals) { return watch(*request, signals); }};
}

}  // namespace ipc::tools::monitor
