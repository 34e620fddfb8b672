// ipc-monitor record and replay: what was, looked at again.

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tools/common/arguments.hpp"
#include "tools/common/failure.hpp"
#include "tools/common/notice.hpp"
#include "tools/common/terminal.hpp"
#include "tools/monitor/commands.hpp"
#include "tools/monitor/full_screen.hpp"
#include "tools/monitor/live_source.hpp"
#include "tools/monitor/pacer.hpp"
#include "tools/monitor/record.hpp"
#include "tools/monitor/record_source.hpp"
#include "tools/monitor/text_output.hpp"

namespace ipc::tools::monitor {
namespace {

using namespace std::chrono_literals;

struct RecordRequest {
    std::string file;
    std::vector<std::string> channels;
    std::optional<std::chrono::nanoseconds> interval = 1s;
    std::optional<std::uint64_t> count;
    bool overwrite = false;
    OpenOptions open;
};

std::string not_found(const std::string& channel) {
    return "channel " + channel + ": not found";
}

int record(const RecordRequest& request, const Signals& signals) {
    LiveSource source(Sampler(request.channels, request.open.allow_foreign_owner),
                      *request.interval);
    RecordWriter writer(request.file, request.overwrite);
    Pacer pacer(*request.interval, Pacer::Clock::now());
    std::vector<std::string> missing = request.channels;
    std::erase_if(missing, is_pattern);
    for (std::uint64_t i = 1;; ++i) {
        const Snapshot snapshot = source.snapshot();
        writer.add(snapshot);
        for (const Sample& sample : snapshot.channels)
            std::erase(missing, sample.channel);
        // Whoever mistyped a name should not learn it from the record.
        if (request.count && i >= *request.count) {
            if (!missing.empty()) throw Failure(not_found(missing[0]));
            return 0;
        }
        if (i == 1) {
            for (const std::string& name : missing)
                notice("ipc-monitor", not_found(name) + " yet; recording goes on");
        }
        const auto now = Pacer::Clock::now();
        signals.sleep(pacer.next(now) - now);
    }
}

struct ReplayRequest {
    std::string file;
    double speed = 1;
    TextOptions text;
    FullScreenOptions screen;
};

int replay(const ReplayRequest& request, const Signals& signals) {
    RecordReader reader(request.file);
    if (!request.text.asked_for() && terminal_size()) {
        RecordSource source(std::move(reader), request.speed);
        FullScreenOptions screen = request.screen;
        screen.view = request.text.view;
        if (show_full_screen(source, signals, screen)) return 0;
        reader = RecordReader(request.file);
    }
    TextOutput output(request.text, true, signals);
    std::uint64_t written = 0;
    try {
        while (auto snapshot = reader.next()) {
            signals.check();
            output.history().add(std::move(*snapshot));
            if (request.text.once) continue;
            output.write();
            if (++written == request.text.count) return 0;
        }
    } catch (const Failure&) {
        if (request.text.once) output.write();  // what is good of it
        throw;
    }
    if (request.text.once) output.write();
    return 0;
}

}  // namespace

Command add_record(CLI::App& monitor) {
    CLI::App& arguments = *monitor.add_subcommand("record", "Writes samples to a file, for replay");
    const auto request = std::make_shared<RecordRequest>();
    arguments.add_option("FILE", request->file, "File to write")->required();
    arguments.add_option("CHANNEL", request->channels, "Names or shell patterns [all channels]");
    add_interval(arguments, request->interval);
    add_count(arguments, request->count, "Write so many samples, and end");
    arguments.add_flag("--overwrite", request->overwrite, "Replace a file that exists");
    add_open_options(arguments, request->open);
    arguments.footer(
        "Examples:\n"
        "  ipc-monitor record today                            all channels, until "
        "Ctrl-C\n"
        "  ipc-monitor record minute jobs --interval 0.1 --count 600\n");
    return {&arguments, [request](const Signals& signals) { return record(*request, signals); }};
}

Command add_replay(CLI::App& monitor) {
    CLI::App& arguments = *monitor.add_subcommand("replay", "Shows a record");
    const auto request = std::make_shared<ReplayRequest>();
    arguments.add_option("FILE", request->file, "File that `record` wrote")->required();
    arguments.add_option("--speed", request->speed, "Of the screen, times that of the record [1]")
        ->check(in_range(RecordSource::slowest, RecordSource::fastest))
        ->type_name("FACTOR");
    add_text_options(arguments, request->text,
                     "a line for each sample, or with --once for the last one");
    add_screen_options(arguments, request->screen);
    arguments.footer(
        "Examples:\n"
        "  ipc-monitor replay today --speed 60                 an hour in a minute; + "
        "and - change it\n"
        "  ipc-monitor replay today --once                     how it ended\n");
    return {&arguments, [request](const Signals& signals) { return replay(*request, signals); }};
}

}  // namespace ipc::tools::monitor
