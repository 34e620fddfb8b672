#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include "tools/common/signals.hpp"
#include "tools/common/stream.hpp"
#include "tools/monitor/view.hpp"

namespace ipc::tools::monitor {

/// What the user asked to see as text.
struct TextOptions {
    bool once = false;
    bool json = false;
    bool csv = false;
    std::optional<std::uint64_t> count;
    View view;  ///< its filter and order

    /// Text even where there is a terminal.
    bool asked_for() const { return once || json || csv || count; }
};

/// --once, --json, --csv, --count, --filter, --sort, --reverse. The screen, too, takes the last
/// three. `json`: when there are how many objects, for people.
void add_text_options(CLI::App& arguments, TextOptions& options, const std::string& json);

/// --count of samples.
void add_count(CLI::App& arguments, std::optional<std::uint64_t>& count,
               const std::string& description);

/// Writes figures to standard output: tables, JSON or CSV.
class TextOutput {
public:
    /// `lines`: JSON objects on a line each, since there will be several.
    TextOutput(const TextOptions& options, bool lines, const Signals& signals);

    /// What is written of it is its newest snapshot.
    History& history() { return history_; }
    void write();

private:
    const TextOptions& options_;
    const bool lines_;
    Output output_;
    History history_;
    bool first_ = true;
};

}  // namespace ipc::tools::monitor
