// ipc-peek: shows messages without taking them, and sends dead letters back.

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "ipc/ipc.hpp"
#include "tools/common/arguments.hpp"
#include "tools/common/open_channel.hpp"
#include "tools/common/stream.hpp"
#include "tools/common/table.hpp"
#include "tools/common/terminal.hpp"
#include "tools/common/text.hpp"
#include "tools/common/tool.hpp"

namespace ipc::tools {
namespace {

constexpr const char* examples =
    "  ipc-peek jobs                                 the ten oldest messages that are retained\n"
    "  ipc-peek jobs --from 1200 --count 1 --json    one message, whole\n"
    "  ipc-peek jobs.dead                            dead letters, with where they come from and "
    "why\n"
    "  ipc-peek jobs.dead --redrive                  send them back where they come from\n"
    "  ipc-peek jobs.dead --redrive --to jobs.slow   send them elsewhere\n";

constexpr int schema_version = 1;

struct Request {
    std::string channel;
    std::optional<Position> from;
    std::optional<std::size_t> count;
    bool json = false;
    bool redrive = false;
    std::optional<std::string> target;  // unset: where each comes from
    OpenOptions open = {.any_type = true};
};

std::string_view text_of(const PeekedMessage& message) {
    return {reinterpret_cast<const char*>(message.body.data()), message.body.size()};
}

// Nothing when the producer did not stamp the message.
std::optional<std::int64_t> age_ns(const PeekedMessage& message) {
    if (message.published_at.count() == 0) return std::nullopt;
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return std::max<std::int64_t>(0, std::chrono::nanoseconds(now - message.published_at).count());
}

std::string describe(const Origin& origin) {
    return fmt::format("{}/{} {}, {} attempts, {}", origin.channel, origin.group, origin.position,
                       origin.attempts, origin.reason);
}

std::string table(const std::vector<PeekedMessage>& messages, std::size_t width) {
    constexpr std::size_t preview = 200;
    bool dead_letters = false;
    for (const PeekedMessage& message : messages)
        dead_letters |= message.origin.has_value();

    std::vector<Table::Column> columns = {
        {.title = "POSITION"},
        {.title = "AGE"},
        {.title = "BYTES"},
        {.title = "PRODUCER", .align = Table::Align::left},
    };
    if (dead_letters) columns.push_back({.title = "ORIGIN", .align = Table::Align::left});
    columns.push_back({.title = "TEXT", .align = Table::Align::left});

    Table table(columns);
    for (const PeekedMessage& message : messages) {
        const auto age = age_ns(message);
        std::vector<std::string> row = {
            std::to_string(message.position),
            age ? short_duration(*age) : "-",
            std::to_string(message.body.size()),
            printable(message.producer),
        };
        if (dead_letters)
            row.push_back(message.origin ? printable(describe(*message.origin)) : "-");
        row.push_back(printable(text_of(message), preview));
        table.add_row(std::move(row));
    }
    std::string text;
    for (const std::string& line : table.lines(width))
        text += line + "\n";
    return text;
}

nlohmann::ordered_json to_json(const PeekedMessage& message) {
    nlohmann::ordered_json result = {
        {"position", message.position},
        {"age_ns", nullptr},
        {"size_bytes", message.body.size()},
        {"producer", message.producer},
    };
    if (const auto age = age_ns(message)) result["age_ns"] = *age;
    if (const std::string_view text = text_of(message); is_utf8(text)) {
        result["text"] = text;
    } else {
        result["base64"] = base64(text);
    }
    if (const auto& origin = message.origin) {
        result["origin"] = {
            {"channel", origin->channel},
            {"channel_id", fmt::format("{:016x}", origin->channel_id)},
            {"group", origin->group},
            {"position", origin->position},
            {"attempts", origin->attempts},
            {"reason", origin->reason},
        };
    }
    return result;
}

std::string json(const std::string& channel, const std::vector<PeekedMessage>& messages) {
    nlohmann::ordered_json document = {
        {"schema_version", schema_version},
        {"channel", channel},
        {"messages", nlohmann::ordered_json::array()},
    };
    for (const PeekedMessage& message : messages)
        document["messages"].push_back(to_json(message));
    return document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

// Why the message that was asked for is not among those found.
std::string why_missing(const Request& request, const std::vector<PeekedMessage>& found) {
    const ChannelReport report = inspect(request.channel, request.open.allow_foreign_owner);
    const Position wanted = *request.from;
    const std::string subject = fmt::format("channel {}: message {} ", request.channel, wanted);
    if (wanted >= report.tail) {
        return subject + fmt::format("was not sent yet; the next is {}", report.tail);
    }
    const bool is_gone = wanted < report.oldest_retained;
    const std::string what =
        is_gone ? "is not retained any more" : "is none: its producer is still writing it, or died";
    if (found.empty()) return subject + what;
    return subject + what +
           fmt::format("; the {} is {}", is_gone ? "oldest" : "next", found.front().position);
}

int peek(const Tool& tool, const Request& request, Output& output) {
    const auto messages =
        open_existing(request.channel, request.open).peek(request.from, request.count.value_or(10));
    const auto terminal = terminal_size();
    output.write(request.json ? json(request.channel, messages)
                              : table(messages, terminal ? terminal->width : Table::unlimited));
    output.flush();
    const bool as_asked_for =
        !request.from || (!messages.empty() && messages.front().position == *request.from);
    if (as_asked_for) return 0;
    tool.notice(why_missing(request, messages));
    return messages.empty() || request.count == 1 ? 1 : 0;
}

int send_back(const Request& request, const Signals& signals) {
    std::uint64_t sent = 0;
    const auto line = [&] {
        return fmt::format("{}: {} messages sent back\n", request.channel, sent);
    };
    RedriveOptions options = {.target = request.target.value_or(""),
                              .allow_foreign_owner = request.open.allow_foreign_owner,
                              .stop = signals.token()};
    if (request.count) options.most = *request.count;
    // In every case, after a signal, too: what was sent back has left the channel.
    try {
        sent = redrive(request.channel, options);
        signals.check();
    } catch (const RedriveError& error) {
        sent = error.sent();
        try_to_write(STDOUT_FILENO, line());
        throw;
    } catch (...) {  // before it began, or at a signal
        try_to_write(STDOUT_FILENO, line());
        throw;
    }
    Output output(signals);
    output.write(line());
    output.flush();
    return 0;
}

int run(int argc, char** argv) {
    Tool tool("ipc-peek",
              "Shows messages of a channel without taking them.\n"
              "AGE is - where a busy producer did not stamp the message: it stamps a sample. "
              "PRODUCER is empty\n"
              "where the producer is gone, and a reader has its entry by now.",
              examples);
    Request request;
    CLI::App& arguments = tool.arguments();
    add_channel(arguments, request.channel);
    auto* from =
        arguments.add_option("--from", request.from, "First position [the oldest retained]")
            ->transform(whole_number(0, std::numeric_limits<Position>::max()))
            ->type_name("POSITION");
    arguments.add_option("--count", request.count, "Messages [10; all with --redrive]")
        ->transform(whole_number(1, largest_count))
        ->type_name("COUNT");
    auto* json = arguments.add_flag("--json", request.json, "JSON, with whole messages");
    auto* redrive = arguments
                        .add_flag("--redrive", request.redrive,
                                  "Send dead letters back to the channel they come from")
                        ->excludes(from)
                        ->excludes(json);
    arguments.add_option("--to", request.target, "Send them to this channel instead")
        ->needs(redrive)
        ->check(not_empty())
        ->type_name("CHANNEL");
    add_open_options(arguments, request.open);

    return tool.run(argc, argv, [&](const Signals& signals) {
        if (request.redrive) return send_back(request, signals);
        Output output(signals);
        return peek(tool, request, output);
    });
}

}  // namespace
}  // namespace ipc::tools

int main(int argc, char** argv) {
    return ipc::tools::run(argc, argv);
}
