#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include "ipc/base/options.hpp"

namespace ipc::tools {

// Arguments that several tools take, spelt the same in each.

/// CHANNEL, required.
void add_channel(CLI::App& arguments, std::string& channel);

/// --allow-foreign-owner.
void add_open_options(CLI::App& arguments, OpenOptions& options);

/// Checks that an argument is not empty: a variable that is not set, in a script, is no wish.
CLI::Validator not_empty();

/// --group.
CLI::Option* add_group(CLI::App& arguments, std::optional<std::string>& group,
                       const std::string& description);

/// Checks that an argument is a number from `least` to `most`, and says so in words.
CLI::Validator in_range(double least, double most);

/// Transforms an argument that is a whole number, in decimal digits, from `least` to `most`;
/// refuses others.
CLI::Validator whole_number(std::uint64_t least, std::uint64_t most);

/// The same for bytes, which may be given in units of 1024 (K), its square (M) or its cube (G).
CLI::Validator number_of_bytes(std::uint64_t least, std::uint64_t most);

/// More than anybody counts.
constexpr std::uint64_t largest_count = 1'000'000'000'000'000;

/// The library measures in 64-bit nanoseconds; a longer wait is as good as an endless one.
constexpr double longest_seconds = 1e9;

/// An option in seconds, fractions allowed, from `least` to `most`; unset: for ever.
CLI::Option* add_seconds(CLI::App& arguments, const std::string& name,
                         std::optional<std::chrono::nanoseconds>& value,
                         const std::string& description, double least = 0,
                         double most = longest_seconds);

/// --interval between two samples of a channel.
CLI::Option* add_interval(CLI::App& arguments, std::optional<std::chrono::nanoseconds>& value,
                          const std::string& description = "Time between samples [1]");

/// --from earliest|latest|POSITION.
CLI::Option* add_start(CLI::App& arguments, Start& start, const std::string& description);

/// The options a new channel is made with.
class ChannelArguments {
public:
    explicit ChannelArguments(CLI::App& arguments);

    const ChannelOptions& options() const { return options_; }
    /// Whether the user asked for anything in particular.
    bool given() const;
    /// Nothing may be asked for together with this option.
    void exclude(CLI::Option* option);

private:
    ChannelOptions options_;
    CLI::Option_group* group_;
};

}  // namespace ipc::tools
