#pragma once

#include <functional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "tools/common/signals.hpp"
#include "tools/monitor/full_screen.hpp"

namespace ipc::tools::monitor {

/// What ipc-monitor does when the arguments say so. Each is in a file of its own,
/// NAME_command.cpp.
struct Command {
    CLI::App* arguments;
    std::function<int(const Signals&)> run;  ///< its exit code, as that of a tool
};

/// Options of those that can show the screen.
void add_screen_options(CLI::App& arguments, FullScreenOptions& options);

/// What it does without one.
Command add_watch(CLI::App& monitor);

// Add a sub-command to the arguments of ipc-monitor.
Command add_check(CLI::App& monitor);
/// What `check` says of wrong arguments, on standard output; its exit code.
int answer_wrong_check();
Command add_export(CLI::App& monitor);
Command add_plot(CLI::App& monitor);
Command add_record(CLI::App& monitor);
Command add_replay(CLI::App& monitor);

}  // namespace ipc::tools::monitor
