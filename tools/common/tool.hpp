#pragma once

#include <exception>
#include <functional>
#include <string>

#include <CLI/CLI.hpp>

#include "tools/common/signals.hpp"

namespace ipc::tools {

/// What all tools have in common: help with examples, the version, errors on one line, exit codes
/// (0 ok, 1 failed, 2 usage), and an end by signal that leaves no channel attached.
class Tool {
public:
    Tool(const std::string& name, const std::string& purpose, const std::string& examples);

    CLI::App& arguments() { return arguments_; }
    std::string name() const { return arguments_.get_name(); }

    /// Parses the command line, runs the body, and returns the exit code: the body's, or that of
    /// what it threw.
    int run(int argc, char** argv, const std::function<int(const Signals&)>& body);

    /// tools::notice in the name of this one.
    void notice(const std::string& line) const noexcept;
    /// The same for what made something fail; returns the exit code that says so.
    int report(const std::exception& error) const noexcept;

private:
    CLI::App arguments_;
};

}  // namespace ipc::tools
