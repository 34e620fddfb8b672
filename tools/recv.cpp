// ipc-recv: writes the messages of a channel to standard output, or hands each to a command.

#include <sys/wait.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "ipc/ipc.hpp"
#include "tools/common/arguments.hpp"
#include "tools/common/command.hpp"
#include "tools/common/failure.hpp"
#include "tools/common/open_channel.hpp"
#include "tools/common/stream.hpp"
#include "tools/common/tool.hpp"

namespace ipc::tools {
namespace {

constexpr const char* examples =
    "  ipc-recv greetings                               what is published from now on\n"
    "  ipc-recv log --from earliest | grep ERROR        also what is still retained\n"
    "  ipc-recv disk --raw > disk.img                   a file from ipc-send --raw\n"
    "  ipc-recv jobs --group workers --exec ./work      a process for each job, shared with the "
    "other workers\n"
    "  ipc-recv jobs --group workers --count 1          take one job\n"
    "  ipc-recv jobs --group workers --timeout 0        drain what waits now\n";

constexpr std::uint64_t most_attempts = 250;  // as GroupOptions says

// What the user wants of a group; unset: as it is, or the default for a new group.
struct GroupRequest {
    std::optional<std::string> name;  // unset: none, but a subscriber
    bool no_create = false;
    bool lossy = false;
    bool ephemeral = false;
    std::optional<std::uint32_t> max_attempts;
    std::optional<std::chrono::nanoseconds> lease_limit;
    std::optional<std::string> dead_letter;
};

struct Request {
    std::string channel;
    GroupRequest group;
    Start from;
    std::uint64_t count = std::numeric_limits<std::uint64_t>::max();
    bool raw = false;
    std::optional<std::string> command;  // unset: standard output
    std::optional<std::chrono::nanoseconds> timeout;
    std::optional<std::chrono::nanoseconds> wait;
    OpenOptions open = {.any_type = true};

    bool counted() const { return count != std::numeric_limits<std::uint64_t>::max(); }
};

// The policies of a new group: done is what was written, not what was taken.
GroupOptions defaults() {
    return {.ack = Ack::manual};
}

GroupOptions policies_of(const GroupReport& group) {
    return {
        .delivery = group.reliable ? Delivery::reliable : Delivery::lossy,
        .lifetime = group.durable ? Lifetime::durable : Lifetime::ephemeral,
        .ack = group.manual_ack ? Ack::manual : Ack::automatic,
        .max_attempts = group.max_attempts,
        .lease_limit = std::chrono::milliseconds(group.lease_limit_ms),
        .dead_letter = group.dead_letter,
    };
}

GroupOptions with_wishes(GroupOptions options, const GroupRequest& request) {
    if (request.lossy) {
        options.delivery = Delivery::lossy;
        options.ack = Ack::automatic;
    }
    if (request.ephemeral) options.lifetime = Lifetime::ephemeral;
    if (request.max_attempts) options.max_attempts = *request.max_attempts;
    // Rounded up: 0 would mean no limit.
    if (request.lease_limit) {
        options.lease_limit = std::chrono::ceil<std::chrono::milliseconds>(*request.lease_limit);
    }
    if (request.dead_letter) options.dead_letter = *request.dead_letter;
    return options;
}

struct Attached {
    Consumer<> consumer;
    std::size_t most_unwritten;
};

// Few, because other members of the group could have worked on them meanwhile. Where attempts are
// limited only one: each that fails with the output has used up an attempt of its own.
std::size_t most_unwritten(const GroupOptions& options) {
    return options.max_attempts > 0 ? 1 : 16;
}

// A name that was mistyped would go unnoticed, and a durable group hold producers back for ever.
void tell_made(const std::string& group, const GroupOptions& options, const Request& request,
               const Tool& tool) {
    std::string line = fmt::format("channel {}: made group {}", request.channel, group);
    if (options.lifetime == Lifetime::durable) {
        line += fmt::format("; ipc-rm {} --group {} removes it", request.channel, group);
    }
    tool.notice(line);
}

Attached join(const Channel<>& channel, const Request& request, const Tool& tool) {
    const std::string& name = *request.group.name;
    while (true) {
        const ChannelReport report =
            Inspector(request.channel, request.open.allow_foreign_owner).sample();
        const GroupReport* existing = report.find_group(name);
        if (existing == nullptr && request.group.no_create) {
            throw Failure(fmt::format(
                "channel {}: has no group {}; check the name (ipc-monitor --once lists all), or "
                "leave out --no-create",
                request.channel, name));
        }
        GroupOptions options =
            with_wishes(existing ? policies_of(*existing) : defaults(), request.group);
        if (request.command && options.delivery == Delivery::lossy) {
            throw Failure(
                fmt::format("channel {}: group {} is lossy and takes nothing back; use "
                            "a reliable one for --exec",
                            request.channel, name));
        }
        options.from = request.from;
        try {
            // Joined, these are the group's policies, whoever made it.
            Attached attached{channel.join(name, options), most_unwritten(options)};
            if (existing == nullptr) tell_made(name, options, request, tool);
            return attached;
        } catch (const Error& error) {
            // Somebody else may have made the group since the report.
            if (existing || error.code() != Errc::options_differ) throw;
        }
    }
}

Attached attach(const Channel<>& channel, const Request& request, const Tool& tool) {
    if (request.group.name) return join(channel, request, tool);
    auto subscriber = channel.subscribe({
        .delivery = request.group.lossy ? Delivery::lossy : Delivery::reliable,
        .from = request.from,
    });
    return {std::move(subscriber), 0};
}

// Messages that are being written, or stand in the output buffer. They are acknowledged once that
// is written; until then they go back to the group when this process ends, whatever ends it.
class Unwritten {
public:
    Unwritten(Output& output, std::size_t limit) : output_(output), limit_(limit) {
        messages_.reserve(limit);
    }
    Unwritten(const Unwritten&) = delete;
    Unwritten& operator=(const Unwritten&) = delete;
    ~Unwritten() {
        // Under automatic acknowledgement the destructor of a message would settle it.
        for (Message<>& message : messages_)
            static_cast<void>(message.nack());
    }

    const Message<>& add(Message<> message) { return messages_.emplace_back(std::move(message)); }
    bool is_full() const { return messages_.size() == limit_; }

    void settle() {
        output_.flush();
        for (Message<>& message : messages_) {
            if (message.ack().status() == Status::lease_lost) ++lost_;
        }
        messages_.clear();
    }

    // Written here, and delivered to another member as well.
    std::uint64_t lost() const { return lost_; }

private:
    Output& output_;
    const std::size_t limit_;
    std::vector<Message<>> messages_;
    std::uint64_t lost_ = 0;
};

// A command for each message, which is acknowledged when that succeeded, and else given back.
class Commands {
public:
    Commands(const Request& request, const Tool& tool, const Signals& signals)
        : request_(request), tool_(tool), signals_(signals) {}

    void run(Message<> message) {
        const int end = run_for(message);
        ++run_;
        const bool succeeded = WIFEXITED(end) && WEXITSTATUS(end) == 0;
        const Status settled =
            succeeded ? message.ack().status() : message.nack(retry_delay).status();
        if (settled == Status::lease_lost) ++lost_;
        if (!succeeded) {
            ++failed_;
            tell_failed(message.position(), end);
        }
        // Before the next one is taken, and has used up an attempt.
        signals_.check();
    }

    std::uint64_t failed() const { return failed_; }
    // Worked on here, and delivered to another member as well.
    std::uint64_t lost() const { return lost_; }

private:
    // What fails at once must not keep a processor busy.
    static constexpr std::chrono::milliseconds retry_delay{1000};

    int run_for(Message<>& message) const {
        try {
            std::string input(message.text());
            if (!request_.raw) input += '\n';
            return run_command(*request_.command, input, signals_);
        } catch (...) {
            // Under automatic acknowledgement the destructor would settle it.
            static_cast<void>(message.nack());
            throw;
        }
    }

    void tell_failed(Position position, int end) const {
        const std::string what =
            fmt::format("channel {}: message {} was given back: its command ended with {}",
                        request_.channel, position, describe_end(end));
        // What /bin/sh tells of a command that it cannot run: no message would fare better. Later
        // it may be what a part of the command tells of one message.
        const bool cannot_run =
            WIFEXITED(end) && (WEXITSTATUS(end) == 126 || WEXITSTATUS(end) == 127);
        if (cannot_run && run_ == 1) throw Failure(what + "; check --exec");
        tool_.notice(what);
    }

    const Request& request_;
    const Tool& tool_;
    const Signals& signals_;
    std::uint64_t run_ = 0;
    std::uint64_t failed_ = 0;
    std::uint64_t lost_ = 0;
};

Message<> wait_for_message(Consumer<>& consumer, const Request& request, const Signals& signals) {
    return request.timeout ? consumer.receive_for(*request.timeout, signals.token())
                           : consumer.receive(signals.token());
}

void receive(Attached attached, const Request& request, const Tool& tool, const Signals& signals) {
    Consumer<>& consumer = attached.consumer;
    const bool shared = request.group.name.has_value();
    Output output(signals);
    Unwritten unwritten(output, attached.most_unwritten);
    Commands commands(request, tool, signals);
    std::uint64_t received = 0;
    Status end = Status::ok;
    while (received < request.count) {
        Message<> message = consumer.try_receive();
        if (message.status() == Status::empty) {
            unwritten.settle();
            message = wait_for_message(consumer, request, signals);
        }
        if (!message) {
            end = message.status();
            break;
        }
        ++received;
        if (request.command) {
            commands.run(std::move(message));
            continue;
        }
        const Message<>& kept = shared ? unwritten.add(std::move(message)) : message;
        output.write(kept.bytes());
        if (!request.raw) output.write("\n");
        if (shared && unwritten.is_full()) unwritten.settle();
    }
    unwritten.settle();

    const std::string subject = "channel " + request.channel + ": ";
    if (const std::uint64_t skipped = consumer.skipped(); skipped > 0) {
        tool.notice(
            fmt::format("{}{} positions were gone before they could be read", subject, skipped));
    }
    if (const std::uint64_t lost = unwritten.lost() + commands.lost(); lost > 0) {
        tool.notice(
            fmt::format("{}{} leases ended before their messages were {}; others got them, too",
                        subject, lost, request.command ? "worked on" : "written"));
    }
    const bool ended = end == Status::closed || end == Status::timed_out;
    if (end != Status::ok && !ended) fail(signals, request.channel, end);
    if (ended && request.counted()) {
        throw Failure(fmt::format("{}{} after {} of {} messages", subject, to_string(end), received,
                                  request.count));
    }
    if (commands.failed() > 0) {
        throw Failure(
            fmt::format("{}{} of {} commands failed", subject, commands.failed(), received));
    }
}

int run(int argc, char** argv) {
    Tool tool("ipc-recv",
              "Writes the messages of a channel to standard output, a line each, until the channel "
              "is closed.\n"
              "Without --group it sees every message; with it, it shares them with the other "
              "members, and\n"
              "acknowledges each after it was written: what stands in a pipe is lost when its "
              "reader dies.\n"
              "With --exec it acknowledges what a command has worked on.",
              examples);
    Request request;
    CLI::App& arguments = tool.arguments();
    add_channel(arguments, request.channel);
    auto* group = add_group(arguments, request.group.name, "Join a group, or create it");
    auto* no_create =
        arguments
            .add_flag("--no-create", request.group.no_create, "Fail when the group does not exist")
            ->needs(group);
    add_start(arguments, request.from, "Where a subscriber or a new group starts [latest]")
        ->excludes(no_create);
    arguments
        .add_option("--count", request.count,
                    "End after that many messages; fail if there are fewer")
        ->transform(whole_number(1, largest_count))
        ->type_name("COUNT");
    arguments.add_flag("--raw", request.raw, "No newline after each message");
    auto* command =
        arguments
            .add_option("--exec", request.command,
                        "Run this with /bin/sh for each message, on its standard input; "
                        "exit code 0 acknowledges it, any other end gives it back for a second")
            ->needs(group)
            ->check(not_empty())
            ->type_name("COMMAND");
    add_seconds(arguments, "--timeout", request.timeout, "End when no message came for that long");
    add_seconds(arguments, "--wait", request.wait,
                "How long to wait for a channel that does not exist yet [as --timeout]");
    add_open_options(arguments, request.open);
    arguments
        .add_flag("--lossy", request.group.lossy,
                  "Never delay producers: skip what was overwritten")
        ->excludes(command);

    auto* policies = arguments.add_option_group(
        "Making the group",
        "For a group that does not exist yet; policies of one that does must agree");
    policies
        ->add_flag("--ephemeral", request.group.ephemeral, "The group ends with its last member")
        ->needs(group);
    policies
        ->add_option("--max-attempts", request.group.max_attempts,
                     "Deliveries before a message is given up; a failed write or command is one")
        ->needs(group)
        ->transform(whole_number(0, most_attempts))
        ->type_name("COUNT");
    add_seconds(*policies, "--lease-limit", request.group.lease_limit,
                "How long a member may hold a message")
        ->needs(group);
    policies
        ->add_option("--dead-letter", request.group.dead_letter,
                     "Where messages go that were given up")
        ->needs(group)
        ->check(not_empty())
        ->type_name("CHANNEL");

    return tool.run(argc, argv, [&](const Signals& signals) {
        // Who does not wait for messages does not wait for their channel.
        const auto wait = request.wait ? request.wait : request.timeout;
        const auto channel = wait_for_channel(tool, signals, request.channel, request.open, wait);
        receive(attach(channel, request, tool), request, tool, signals);
        return 0;
    });
}

}  // namespace
}  // namespace ipc::tools

int main(int argc, char** argv) {
    return ipc::tools::run(argc, argv);
}
