#include "tools/common/output_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>

#include <fmt/core.h>

#include "tools/common/failure.hpp"

namespace ipc::tools {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const std::string& path, int error) {
    throw Failure(fmt::format("cannot write {}: {}", path, std::strerror(error)));
}

// A link is none: whoever made it wants its target written, and /dev/stdout is one.
bool is_file_or_new(const std::string& path) {
    std::error_code ignored;
    const fs::file_status status = fs::symlink_status(path, ignored);
    return !fs::exists(status) || fs::is_regular_file(status);
}

/// A new file in the folder of another, which takes its place or goes.
class FileBeside {
public:
    explicit FileBeside(const std::string& path) : path_(path) {
        int descriptor = -1;
        for (int attempt = 0; descriptor < 0; ++attempt) {
            name_ = fmt::format("{}.{}.{}", path, ::getpid(), attempt);
            descriptor = ::open(name_.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
            if (descriptor < 0 && errno != EEXIST) fail(path, errno);
        }
        ::close(descriptor);
    }
    ~FileBeside() {
        if (!name_.empty()) ::unlink(name_.c_str());
    }
    FileBeside(const FileBeside&) = delete;
    FileBeside& operator=(const FileBeside&) = delete;

    const std::string& name() const { return name_; }
    void take_place() {
        struct stat former {};
        const bool keeps_mode = ::stat(path_.c_str(), &former) == 0;
        if ((keeps_mode && ::chmod(name_.c_str(), former.st_mode & 07777) != 0) ||
            std::rename(name_.c_str(), path_.c_str()) != 0) {
            fail(path_, errno);
        }
        name_.clear();
    }

private:
    std::string path_;
    std::string name_;
};

// Returns the error, or 0.
int write(const std::string& path, const std::string& text) {
    errno = 0;
    std::ofstream file(path, std::ios::binary);
    file << text;
    file.close();
    if (file) return 0;
    return errno != 0 ? errno : EIO;
}

}  // namespace

void expect_writable(const std::string& path) {
    std::error_code ignored;
    if (fs::is_directory(path, ignored)) fail(path, EISDIR);
    const bool is_there = ::access(path.c_str(), F_OK) == 0;
    if (is_there && ::access(path.c_str(), W_OK) != 0) fail(path, errno);
    if (is_file_or_new(path)) const FileBeside attempt(path);
}

void replace_file(const std::string& path, const std::string& text) {
    if (!is_file_or_new(path)) {
        if (const int error = write(path, text)) fail(path, error);
        return;
    }
    FileBeside file(path);
    if (const int error = write(file.name(), text)) fail(path, error);
    file.take_place();
}

}  // namespace ipc::tools
