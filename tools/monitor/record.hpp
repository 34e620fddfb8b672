#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

#include "tools/monitor/source.hpp"

namespace ipc::tools::monitor {

// A record: snapshots in a file, to be looked at later. tools/monitor/README.md describes the
// format.
//
// Each line is complete in itself and carries a checksum, so that whatever happens to the file or
// to the process that writes it, the lines before are good. Numbers in a record are whatever
// somebody wrote into it, as are those in shared memory: those who show them take them as they are,
// but for a few that no report can hold, which are damage.

/// Writes a record. Each snapshot is in the file when `add` returns.
class RecordWriter {
public:
    /// Throws a Failure, also when the file exists and `overwrite` is not set.
    RecordWriter(const std::filesystem::path& file, bool overwrite);
    RecordWriter(const RecordWriter&) = delete;
    RecordWriter& operator=(const RecordWriter&) = delete;
    /// Removes a new file that has no snapshot.
    ~RecordWriter();

    /// Throws a Failure when the file does not take it. What was written of it is removed again.
    void add(const Snapshot& snapshot);

private:
    void write(const std::string& line);
    void close() const;

    std::string name_;
    bool is_new_ = true;  ///< the file was not there before
    bool has_snapshots_ = false;
    int descriptor_;
    std::int64_t size_ = 0;
};

class RecordReader {
public:
    /// Throws a Failure when there is no such file, or it is no record this program can read.
    explicit RecordReader(const std::filesystem::path& file);

    /// The next snapshot, or nothing at the end. Throws a Failure when the file is damaged there,
    /// or ends within a snapshot.
    std::optional<Snapshot> next();

private:
    std::optional<std::string> next_line();

    std::string name_;
    std::ifstream file_;
    std::uint64_t line_ = 0;
    std::int64_t last_ns_ = std::numeric_limits<std::int64_t>::min();
};

}  // namespace ipc::tools::monitor
