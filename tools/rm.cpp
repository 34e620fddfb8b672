// ipc-rm: removes channels, groups, and the backlog of groups.

#include <algorithm>
#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "ipc/ipc.hpp"
#include "tools/common/arguments.hpp"
#include "tools/common/open_channel.hpp"
#include "tools/common/stream.hpp"
#include "tools/common/tool.hpp"

namespace ipc::tools {
namespace {

constexpr const char* examples =
    "  ipc-rm jobs results                     two channels; processes that use one are told\n"
    "  ipc-rm jobs --group workers             a group, with its backlog\n"
    "  ipc-rm jobs --group workers --purge     the backlog only\n"
    "  ipc-rm --dead                           what no living process uses and nothing durable "
    "needs\n";

struct Request {
    std::vector<std::string> channels;
    std::optional<std::string> group;  // unset: the channel itself
    bool purge = false;
    bool dead = false;
    OpenOptions open = {.any_type = true};
};

void remove_from(const std::string& channel, const Request& request, Output& output) {
    if (request.purge) {
        const std::uint64_t purged = open_existing(channel, request.open).purge(*request.group);
        output.write(fmt::format("{} {}: {} messages purged\n", channel, *request.group, purged));
    } else if (request.group) {
        open_existing(channel, request.open).remove_group(*request.group);
    } else if (!remove(channel)) {
        fail_missing(channel);
    }
}

int run(const Tool& tool, const Request& request, const Signals& signals) {
    Output output(signals);
    int exit_code = 0;
    if (request.dead) {
        for (const std::string& name : remove_dead())
            output.write(name + "\n");
    }
    for (const std::string& channel : request.channels) {
        try {
            remove_from(channel, request, output);
        } catch (const std::exception& error) {
            exit_code = std::max(exit_code, tool.report(error));
        }
    }
    output.flush();
    return exit_code;
}

int run(int argc, char** argv) {
    Tool tool("ipc-rm", "Removes channels, groups, or the backlog of groups.", examples);
    Request request;
    CLI::App& arguments = tool.arguments();
    auto* channels = arguments.add_option("CHANNEL", request.channels, "Names of channels");
    arguments
        .add_flag("--dead", request.dead,
                  "Remove all channels without living participants and durable groups; print them")
        ->excludes(channels);
    auto* group =
        add_group(arguments, request.group, "Remove this group, not the channel")->needs(channels);
    arguments.add_flag("--purge", request.purge, "Remove the backlog, not the group")->needs(group);
    add_open_options(arguments, request.open);
    arguments.callback([&request] {
        if (request.channels.empty() && !request.dead)
            throw CLI::RequiredError("CHANNEL or --dead");
    });

    return tool.run(argc, argv,
                    [&](const Signals& signals) { return run(tool, request, signals); });
}

}  // namespace
}  // namespace ipc::tools

int main(int argc, char** argv) {
    return ipc::tools::run(argc, argv);
}
