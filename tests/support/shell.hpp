#pragma once

#include <filesystem>
#include <iosfwd>
#include <string>

namespace ipc::test {

std::string read_file(const std::filesystem::path& path);
void write_file(const std::filesystem::path& path, const std::string& text);

/// Runs scripts as a user would, in a folder of its own and with channels of its own; what they
/// leave in either goes with the object.
class Shell {
public:
    struct Result {
        int exit_code;
        std::string out;
        std::string err;
    };

    explicit Shell(const std::string& purpose);
    ~Shell();
    Shell(const Shell&) = delete;
    Shell& operator=(const Shell&) = delete;

    /// Bash, in the folder, without a terminal. Exit code 124: it took longer than `seconds`.
    Result run(const std::string& script, int seconds = 60) const;

    std::filesystem::path file(const std::string& name) const { return files_ / name; }
    /// Where the channels of the scripts are.
    const std::filesystem::path& channels() const { return channels_; }
    bool has_channels() const { return !std::filesystem::is_empty(channels_); }

private:
    std::filesystem::path files_;
    std::filesystem::path channels_;
};

std::ostream& operator<<(std::ostream& stream, const Shell::Result& result);

}
