// ipc-send: publishes standard input.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/core.h>

#include "ipc/format/layout.hpp"
#include "ipc/ipc.hpp"
#include "tools/common/arguments.hpp"
#include "tools/common/batch_reader.hpp"
#include "tools/common/failure.hpp"
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
    std::optional<std::chrono::nanoseconds> timeout;
    OpenOptions open = {.any_type = true};
};

// Better no channel than one without room for a producer: who then asks for less would find it in
// the way.
void expect_room(const std::string& channel, const ChannelOptions& options) {
    const MemoryCost cost = memory_cost(options);
    const std::uint64_t needed = cost.channel + cost.producer;
    const SharedMemorySpace space = shared_memory_space();
    const bool is_limited = space.total > 0;
    if (!is_limited || space.free >= needed) return;
    throw Failure(
        fmt::format("channel {}: it and its producer need {} bytes of shared memory, {} are free; "
                    "remove channels (ipc-rm), give the container more (docker run --shm-size=1g), "
                    "or ask for less (--capacity, --region-size)",
                    channel, needed, space.free));
}

// A channel that exists is taken as it is unless the user asked for something else.
Channel<> open_or_create(const Request& request, const ChannelArguments& wanted) {
    if (request.no_create) {
        return open_existing(request.channel, request.open, "leave out --no-create");
    }
    while (true) {
        try {
            auto channel = Channel<>::open(request.channel, request.open);
            if (!wanted.given()) return channel;
            return Channel<>::open_or_create(request.channel, wanted.options(), request.open);
        } catch (const Error& error) {
            if (error.code() != Errc::not_found) throw;
        }
        expect_room(request.channel, wanted.options());
        try {
            return Channel<>::create(request.channel, wanted.options(), request.open);
        } catch (const Error& error) {
            if (error.code() != Errc::already_exists) throw;
        }
    }
}

double seconds(std::chrono::nanoseconds duration) {
    return std::chrono::duration<double>(duration).count();
}

[[noreturn]] void fail(const Signals& signals, const Request& request, Status status) {
    if (status == Status::timed_out) {
        throw Failure(
            fmt::format("channel {}: no room for {} s; ipc-monitor {} shows who is behind",
                        request.channel, seconds(*request.timeout), request.channel));
    }
    fail(signals, request.channel, status);
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
        if (report.removed) fail(signals, request, Status::removed);
        // Nobody has to read what cannot be sent.
        if (report.closed) fail(signals, request, Status::closed);
        const auto waited = std::chrono::steady_clock::now() - start;
        if (request.timeout && waited >= *request.timeout) {
            throw Failure(fmt::format("channel {}: {} of {} readers after {} s", request.channel,
                                      readers, request.readers, seconds(*request.timeout)));
        }
        if (!told && waited >= 1s) {
            tool.notice(fmt::format("waiting for readers of channel {}: {} of {}", request.channel,
                                    readers, request.readers));
            told = true;
        }
        signals.sleep(5ms);
    }
}

BatchSent send_batch(Producer<>& producer, std::span<const std::string_view> batch,
                     const Request& request, const Signals& signals) {
    return request.timeout ? producer.send_batch_for(batch, *request.timeout, signals.token())
                           : producer.send_batch(batch, signals.token());
}

// Throughput of short messages: everything that one read brought is published together.
void send_batches(Producer<>& producer, BatchReader& reader, const Request& request,
                  const Signals& signals) {
    while (true) {
        std::span<const std::string_view> batch = reader.next();
        if (batch.empty()) return;
        while (!batch.empty()) {
            const BatchSent sent = send_batch(producer, batch, request, signals);
            batch = batch.subspan(sent.count());
            // While some go through, the time is not over.
            if (sent.status() == Status::timed_out && sent.count() > 0) continue;
            if (!sent) fail(signals, request, sent.status());
        }
    }
}

// Throughput of long messages: the kernel writes them where the readers find them.
void send_in_place(Producer<>& producer, Input& input, std::size_t size, const Request& request,
                   const Signals& signals) {
    while (true) {
        auto loan = producer.loan(size, signals.token());
        if (!loan) fail(signals, request, loan.status());
        const std::size_t length =
            request.raw ? input.read(loan.bytes()) : input.read_all(loan.bytes());
        if (length == 0) return;
        loan.resize(length);
        const Sent sent = std::move(loan).publish(signals.token());
        if (!sent) fail(signals, request, sent.status());
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
    if (size > longest) fail(signals, request, Status::too_large);

    const bool lines = !request.raw && !request.block_size;
    // Space is borrowed before the input is read: within a time, the end of the input would fail
    // for want of room that nothing needs.
    if (!lines && size >= worth_a_read && !request.timeout) {
        send_in_place(producer, input, size, request, signals);
        return;
    }
    using Cut = BatchReader::Cut;
    const Cut cut = lines ? Cut::lines : request.raw ? Cut::stream : Cut::blocks;
    BatchReader reader(input, cut, size);
    send_batches(producer, reader, request, signals);
}

void send(const Tool& tool, const Request& request, Channel<>& channel, const Signals& signals) {
    auto producer = request.exclusive ? channel.exclusive_producer() : channel.producer();
    if (request.readers > 0) wait_for_readers(tool, signals, request);
    send_input(producer, request, channel, signals);
    if (!request.close) return;
    const Outcome closed = request.timeout ? producer.close_for(*request.timeout, signals.token())
                                           : producer.close(signals.token());
    if (!closed) fail(signals, request, closed.status());
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
                                 "Messages of that many bytes instead of lines; K, M or G after "
                                 "the number are units of 1024")
                     ->transform(number_of_bytes(1, format::largest_options.region_size))
                     ->type_name("BYTES");
    arguments
        .add_flag("--raw", request.raw,
                  "The input as it is, for ipc-recv --raw to put together again")
        ->excludes(size);
    arguments
        .add_option("--wait-for-readers", request.readers,
                    "Publish once there are that many subscribers and groups with members")
        ->transform(whole_number(0, format::largest_options.max_groups))
        ->type_name("COUNT");
    add_seconds(arguments, "--timeout", request.timeout,
                "Fail when readers are missing, or there is no room, for that long");
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
        send(tool, request, channel, signals);
        return 0;
    });
}

}  // namespace
}  // namespace ipc::tools

int main(int argc, char** argv) {
    return ipc::tools::run(argc, argv);
}
