#include "tools/common/arguments.hpp"

#include <cctype>
#include <cstdint>
#include <limits>
#include <string_view>

#include <fmt/core.h>

#include "ipc/format/layout.hpp"
#include "tools/common/text.hpp"

namespace ipc::tools {
namespace {

std::optional<Start> parse_start(const std::string& text) {
    if (text == "latest") return Start::latest();
    if (text == "earliest") return Start::earliest();
    if (const auto position = parse_number<Position>(text)) return Start::at(*position);
    return std::nullopt;
}

constexpr const ChannelOptions& smallest = format::smallest_options;
constexpr const ChannelOptions& largest = format::largest_options;

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
    constexpr std::string_view suffixes = "KMG";
    std::uint64_t unit = 1;
    if (!text.empty()) {
        const auto suffix =
            suffixes.find(static_cast<char>(std::toupper(static_cast<unsigned char>(text.back()))));
        if (suffix != std::string_view::npos) {
            unit = std::uint64_t{1} << (10 * (suffix + 1));
            text.remove_suffix(1);
        }
    }
    const auto number = parse_number<std::uint64_t>(text);
    if (!number || *number > std::numeric_limits<std::uint64_t>::max() / unit) return std::nullopt;
    return *number * unit;
}

using Parse = std::optional<std::uint64_t> (*)(std::string_view);

CLI::Validator parsed(Parse parse, std::uint64_t least, std::uint64_t most, const char* hint) {
    const auto transform = [=](std::string& text) {
        const auto number = parse(text);
        if (!number || *number < least || *number > most) {
            return fmt::format("{} is not a whole number from {} to {}{}", text, least, most, hint);
        }
        // CLI11 would take a leading zero for octal.
        text = std::to_string(*number);
        return std::string();
    };
    return {transform, ""};
}

}  // namespace

void add_channel(CLI::App& arguments, std::string& channel) {
    arguments.add_option("CHANNEL", channel, "Name of the channel")->required();
}

void add_open_options(CLI::App& arguments, OpenOptions& options) {
    arguments.add_flag("--allow-foreign-owner", options.allow_foreign_owner,
                       "Accept a channel that another user owns");
}

CLI::Validator not_empty() {
    const auto check = [](const std::string& text) {
        return text.empty() ? std::string("it is empty") : std::string();
    };
    return {check, ""};
}

CLI::Option* add_group(CLI::App& arguments, std::optional<std::string>& group,
                       const std::string& description) {
    return arguments.add_option("--group", group, description)
        ->check(not_empty())
        ->type_name("GROUP");
}

CLI::Validator in_range(double least, double most) {
    const auto check = [least, most](const std::string& text) {
        const auto number = parse_number<double>(text);
        return number && *number >= least && *number <= most
                   ? std::string()
                   : fmt::format("{} is not a number from {:.12g} to {:.12g}", text, least, most);
    };
    return {check, ""};
}

CLI::Validator whole_number(std::uint64_t least, std::uint64_t most) {
    return parsed(parse_number<std::uint64_t>, least, most, "");
}

CLI::Validator number_of_bytes(std::uint64_t least, std::uint64_t most) {
    return parsed(parse_bytes, least, most, ", with or without K, M or G");
}

CLI::Option* add_seconds(CLI::App& arguments, const std::string& name,
                         std::optional<std::chrono::nanoseconds>& value,
                         const std::string& description, double least, double most) {
    return arguments
        .add_option_function<double>(
            name,
            [&value](const double& seconds) {
                value = std::chrono::duration_cast<std::chrono::nanoseconds>(
                    std::chrono::duration<double>(seconds));
            },
            description)
        ->check(in_range(least, most))
        ->type_name("SECONDS");
}

CLI::Option* add_interval(CLI::App& arguments, std::optional<std::chrono::nanoseconds>& value,
                          const std::string& description) {
    return add_seconds(arguments, "--interval", value, description, 0.01, 3600);
}

CLI::Option* add_start(CLI::App& arguments, Start& start, const std::string& description) {
    const auto check = [](const std::string& text) {
        return parse_start(text) ? std::string() : text + " is not earliest, latest or a position";
    };
    return arguments
        .add_option_function<std::string>(
            "--from", [&start](const std::string& text) { start = parse_start(text).value(); },
            description)
        ->check(CLI::Validator(check, ""))
        ->type_name("earliest|latest|POSITION");
}

ChannelArguments::ChannelArguments(CLI::App& arguments)
    : group_(arguments.add_option_group("Making the channel",
                                        "For a channel that does not exist yet; BYTES may end in "
                                        "K, M or G, in units of 1024")) {
    // It is the tool's; here it would be one more option to ask for.
    group_->set_help_flag();
    group_->add_option("--capacity", options_.capacity, "Messages the ring holds")
        ->transform(whole_number(smallest.capacity, largest.capacity))
        ->type_name("COUNT")
        ->capture_default_str();
    group_->add_option("--inline-size", options_.inline_size, "Longest message kept in its slot")
        ->transform(number_of_bytes(smallest.inline_size, largest.inline_size))
        ->type_name("BYTES")
        ->capture_default_str();
    group_
        ->add_option("--region-size", options_.region_size,
                     "Payload memory of each producer; the longest message of all")
        ->transform(number_of_bytes(smallest.region_size, largest.region_size))
        ->type_name("BYTES")
        ->capture_default_str();
    group_->add_option("--max-participants", options_.max_participants, "Attached at one time")
        ->transform(whole_number(smallest.max_participants, largest.max_participants))
        ->type_name("COUNT")
        ->capture_default_str();
    group_->add_option("--max-groups", options_.max_groups, "Groups and subscribers at one time")
        ->transform(whole_number(smallest.max_groups, largest.max_groups))
        ->type_name("COUNT")
        ->capture_default_str();
    group_
        ->add_option_function<std::string>(
            "--mode",
            [this](const std::string& octal) {
                options_.mode = static_cast<std::uint32_t>(std::stoul(octal, nullptr, 8));
            },
            "Permissions of the channel, in octal [0600]")
        ->check(CLI::Validator(
            [](const std::string& text) {
                const bool octal = !text.empty() && text.size() <= 4 &&
                                   text.find_first_not_of("01234567") == std::string::npos;
                return octal ? std::string() : text + " is not an octal mode";
            },
            ""))
        ->type_name("MODE");
    group_->add_flag("--temporary", options_.temporary,
                     "The channel ends with its last participant");
}

bool ChannelArguments::given() const {
    for (const CLI::Option* option : group_->get_options()) {
        if (option->count() > 0) return true;
    }
    return false;
}

void ChannelArguments::exclude(CLI::Option* option) {
    for (CLI::Option* each : group_->get_options())
        each->excludes(option);
}

}  // namespace ipc::tools
