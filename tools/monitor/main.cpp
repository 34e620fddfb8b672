// ipc-monitor: the queues of this host, live and for programs.

#include <algorithm>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "tools/common/tool.hpp"
#include "tools/monitor/commands.hpp"
#include "tools/monitor/render.hpp"

namespace ipc::tools::monitor {
namespace {

constexpr const char* examples =
    "  ipc-monitor                      all channels, live; the key ? explains the screen\n"
    "  ipc-monitor 'md.*' jobs          some of them\n"
    "  ipc-monitor --once               one table; also without --once when the output is no "
    "terminal\n"
    "  ipc-monitor --json | jq '.channels[].groups[] | {name, backlog_messages}'\n"
    "  ipc-monitor --csv --interval 5 >> queues.csv\n";

std::string help() {
    std::string text = std::string(examples) +
                       "\nColumns of the table; a line below says why, and who is to blame:\n";
    for (const ColumnTitle& column : table_columns())
        text += fmt::format("  {:9}{}\n", column.title, column.meaning);
    return text;
}

/// What stands before a sub-command is for who watches. The sub-command would do without it, and
/// give an answer to another question.
void refuse_options_before_commands(const CLI::App& arguments) {
    for (const CLI::App* command : arguments.get_subcommands()) {
        for (const CLI::Option* option : arguments.get_options()) {
            if (option->count() == 0) continue;
            const std::string name = option->get_name();
            const std::string& wanted = command->get_name();
            throw CLI::ValidationError(
                command->get_option_no_throw(name) == nullptr
                    ? fmt::format("{} has no {}", wanted, name)
                    : fmt::format("{} stands before {}, which does not see it there; write "
                                  "ipc-monitor {}, then {}",
                                  name, wanted, wanted, name));
        }
    }
}

int run(int argc, char** argv) {
    Tool tool("ipc-monitor", "Shows the channels of this host and their groups, live.", help());
    CLI::App& arguments = tool.arguments();
    const Command watch = add_watch(arguments);
    const Command check = add_check(arguments);
    const std::vector<Command> others = {check, add_export(arguments), add_plot(arguments),
                                         add_record(arguments), add_replay(arguments)};
    arguments.parse_complete_callback([&] { refuse_options_before_commands(arguments); });
    bool understood = false;
    const int code = tool.run(argc, argv, [&](const Signals& signals) {
        understood = true;
        const auto asked_for = std::find_if(others.begin(), others.end(), [](const Command& each) {
            return each.arguments->parsed();
        });
        return asked_for == others.end() ? watch.run(signals) : asked_for->run(signals);
    });
    const bool wrong_arguments = code == 2 && !understood;
    return wrong_arguments && check.arguments->parsed() ? answer_wrong_check() : code;
}

}  // namespace
}  // namespace ipc::tools::monitor

int main(int argc, char** argv) {
    return ipc::tools::monitor::run(argc, argv);
}
