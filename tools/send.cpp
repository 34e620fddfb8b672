// ipc-send: publishes standard input.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/core.h>

#include "ipc/ipc.hpp"
#include "tools/common/arguments.hpp"
#include "tools/common/batch_reader.hpp"
#include "tools/common/open_channel.hpp"
#include "tools/common/tool.hpp"

namespace ipc::tools {
namespace {

using namespace std::chrono_literals;

constexpr const char* examples =
    "  echo hello | ipc-send greetings                  one message\n"
    "  tail -f app.log | ipc-send log                   a message for each line\n"
    "  ipc-send jobs --capacity 64 --close < jobs.txt   into a new, small channel, closed at the "
    "end\n"
    "  ipc-send disk --raw --wait-for-readers 1 --close < disk.img\n"
    "                                                   a file, once somebody listens (ipc-recv "
    "disk --raw)\n"
    "  ipc-send samples --size 32 < samples.bin         a message for each 32 bytes\n";

struct Request {
    std::string channel;
    std::optional<std::size_t> block_size;
    bool raw = false;
    bool no_create = false;
    bool exclusive = false;
    bool close = false;
    unsigned readers = 0;
    OpenOptions open = {.any_type = true};
};

// A channel that exists is taken as it is unless the user asked for something else.
Channel<> open_or_create(const Request& request, const ChannelArguments& wanted) {
    if (request.no_create) return Channel<>::open(request.channel, request.open);
    if (wanted.given()) {
        return Channel<>::open_or_create(request.channel, wanted.options(), request.open);
    }
    while (true) {
        try {
            return Channel<>::open(request.channel, request.open);
        } catch (const Error& error) {
            if (error.code() != Errc::not_found) throw;
        }
        try {
            return Channel<>::create(request.channel, wanted.options(), request.open);
        } catch (const Error& error) {
            if (error.code() != Errc::already_exists) throw;
        }
    }
}

void wait_for_readers(const Tool& tool, const Signals& signals, const Request& request) {
    Inspector inspector(request.channel, request.open.allow_foreign_owner);
    const auto start = std::chrono::steady_clock::now();
    bool told = false;
    while (true) {
        const ChannelReport report = inspector.sample();
        const auto readers =
            std::count_if(report.groups.begin(), report.groups.end(),
                          [](const GroupReport& group) { return group.members > 0; });
        if (readers >= request.readers) return;
        if (report.removed) fail(signals, request.channel, Status::removed);
        if (!told && std::chrono::steady_clock::now() - start >= 1s) {
            tool.notice(fmt::format("waiting for readers of channel {}: {} of {}", request.channel,
                                    readers, request.readers));
            told = true;
        }
        signals.sleep(5ms);
    }
}

// Throughput of short messages: everything that one read brought is published together.
void send_batches(Producer<>& producer, BatchReader& reader, const Signals& signals,
                  const std::string& channel) {
    while (true) {
        std::span<const std::string_view> batch = reader.next();
        if (batch.empty()) return;
        while (!batch.empty()) {
            const auto sent = producer.send_batch(batch, signals.token());
            batch = batch.subspan(sent.count());
            if (!sent) fail(signals, channel, sent.status());
        }
    }
}

// Throughput of long messages: the kernel writes them where the readers find them.
void send_in_place(Producer<>& producer, Input& input, std::size_t size, bool whole_blocks,
                   const Signals& signals, const std::string& channel) {
    while (true) {
        auto loan = producer.loan(size, signals.token());
        if (!loan) fail(signals, channel, loan.status());
        const std::size_t length =
            whole_blocks ? input.read_all(loan.bytes()) : input.read(loan.bytes());
        if (length == 0) return;
        loan.resize(length);
        const Sent sent = std::move(loan).publish(signals.token());
        if (!sent) fail(signals, channel, sent.status());
    }
}

void send_input(Producer<>& producer, const Request& request, const Channel<>& channel,
                const Signals& signals) {
    constexpr std::size_t longest_stream_block = std::size_t{64} << 10;
    constexpr std::size_t worth_a_read = std::size_t{4} << 10;

    Input input(signals);
    const std::size_t longest = channel.max_message_size();
    // Several blocks of a stream have to fit, so that readers take one while the next is written.
    const std::size_t size =
        request.raw
            ? std::clamp(longest / 8, std::min<std::size_t>(longest, 40), longest_stream_block)
            : request.block_size.value_or(longest);
    if (size > longest) fail(signals, request.channel, Status::too_large);

    const bool lines = !request.raw && !request.block_size;
    if (!lines && size >= worth_a_read) {
        send_in_place(producer, input, size, !request.raw, signals, request.channel);
        return;
    }
    using Cut = BatchReader::Cut;
    const Cut cut = lines ? Cut::lines : request.raw ? Cut::stream : Cut::blocks;
    BatchReader reader(input, cut, size);
    send_batches(producer, reader, signals, request.channel);
}

int run(int argc, char** argv) {
    Tool tool("ipc-send",
              "Publishes standard input in a channel: each line is a message, without its newline.",
              examples);
    Request request;
    CLI::App& arguments = tool.arguments();
    add_channel(arguments, request.channel);
    auto* size = arguments
                     .add_option("--size", request.block_size,
                                 "Messages of that many bytes instead of lines")
                     ->transform(CLI::AsSizeValue(false).description(""))
                     ->check(CLI::PositiveNumber.description(""))
                     ->type_name("BYTES");
    arguments
        .add_flag("--raw", request.raw,
                  "The input as it is, for ipc-recv --raw to put together again")
        ->excludes(size);
    arguments
        .add_option("--wait-for-readers", request.readers,
                    "Publish once there are that many subscribers and groups with members")
        ->type_name("COUNT");
    arguments.add_flag("--close", request.close, "Close the channel at the end of the input");
    arguments.add_flag("--exclusive", request.exclusive,
                       "Be the only producer; faster, and refused while another one lives");
    add_open_options(arguments, request.open);
    ChannelArguments wanted(arguments);
    // Otherwise they would be compared with nothing.
    wanted.exclude(arguments.add_flag("--no-create", request.no_create,
                                      "Fail when the channel does not exist"));

    return tool.run(argc, argv, [&](const Signals& signals) {
        auto channel = open_or_create(request, wanted);
        auto producer = request.exclusive ? channel.exclusive_producer() : channel.producer();
        if (request.readers > 0) wait_for_readers(tool, signals, request);
        send_input(producer, request, channel, signals);
        if (request.close) {
            const Outcome closed = producer.close(signals.token());
            if (!closed) fail(signals, request.channel, closed.status());
        }
        return 0;
    });
}

}  // namespace
}  // namespace ipc::tools

int main(int argc, char** argv) {
    return ipc::tools::run(argc, argv);
}
