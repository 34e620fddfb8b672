#include "tools/monitor/text_output.hpp"

#include <algorithm>
#include <cctype>
#include <string>

#include "tools/common/arguments.hpp"
#include "tools/common/table.hpp"
#include "tools/common/terminal.hpp"
#include "tools/monitor/csv.hpp"
#include "tools/monitor/json.hpp"
#include "tools/monitor/render.hpp"
#include "tools/monitor/screen.hpp"

namespace ipc::tools::monitor {
namespace {

std::string lower_case(std::string_view text) {
    std::string result(text);
    std::transform(result.begin(), result.end(), result.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return result;
}

/// Columns are named by their titles, without regard to case and to what they are per.
std::string key_of(std::string_view title) {
    return lower_case(title.substr(0, title.find('/')));
}

std::optional<std::size_t> find_column(const std::string& name) {
    const auto columns = overview_columns();
    for (std::size_t i = 0; i < columns.size(); ++i) {
        if (can_sort_by(i) && key_of(columns[i].title) == key_of(name)) return i;
    }
    return std::nullopt;
}

std::string all_columns() {
    std::string names;
    const auto columns = overview_columns();
    for (std::size_t i = 0; i < columns.size(); ++i) {
        if (can_sort_by(i)) names += (names.empty() ? "" : ", ") + key_of(columns[i].title);
    }
    return names;
}

}  // namespace

void add_count(CLI::App& arguments, std::optional<std::uint64_t>& count,
               const std::string& description) {
    constexpr std::uint64_t most = 1'000'000'000;  // years
    arguments.add_option("--count", count, description)
        ->transform(whole_number(1, most))
        ->type_name("N");
}

void add_text_options(CLI::App& arguments, TextOptions& options, const std::string& json) {
    arguments.add_flag("--once", options.once, "Print once, and end");
    auto* flag = arguments.add_flag("--json", options.json, "Print JSON: " + json);
    arguments.add_flag("--csv", options.csv, "Print comma-separated values, in the same way")
        ->excludes(flag);
    add_count(arguments, options.count, "Print so many samples, and end");
    arguments
        .add_option("--filter", options.view.filter,
                    "Show only what has this text in the name of its channel or group")
        ->type_name("TEXT");
    arguments
        .add_option_function<std::string>(
            "--sort",
            [&options](const std::string& name) {
                options.view.sort_column = find_column(name).value();
            },
            "Order by this column of the screen [state: worst first]")
        ->check(CLI::Validator(
            [](const std::string& name) {
                return find_column(name) ? std::string() : name + " is none of " + all_columns();
            },
            ""))
        ->type_name("COLUMN");
    arguments.add_flag("--reverse", options.view.reversed, "The other way round");
}

TextOutput::TextOutput(const TextOptions& options, bool lines, const Signals& signals)
    : options_(options), lines_(lines), output_(signals) {}

void TextOutput::write() {
    View view = options_.view;
    // Text that belongs to a channel stands together.
    view.tree = !options_.csv;
    const std::vector<Row> rows = rows_of(history_, view);
    if (options_.json) {
        output_.write(to_json(history_, rows, !lines_));
    } else if (options_.csv) {
        if (first_) output_.write(csv_header());
        output_.write(to_csv(history_, rows));
    } else {
        if (!first_) output_.write("\n");
        const auto terminal = terminal_size();
        output_.write(render(rows, terminal ? terminal->width : Table::unlimited));
    }
    first_ = false;
    output_.flush();
}

}  // namespace ipc::tools::monitor
