#include "tools/common/output_file.hpp"

#include <unistd.h>

#include <cerrno>
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

std::string beside(const std::string& path) {
    return path + ".new";
}

// Returns the error, or 0.
int write(const std::string& path, const std::string& text) {
    errno = 0;
    std::ofstream file(path, std::ios::binary);
    file << text;
    file.close();
    if (file) return 0;
    return errno != 0 ? errno : EIO;
}

// On failure, too, nothing stays beside the file.
void remove_beside(const std::string& path) {
    std::error_code ignored;
    fs::remove(beside(path), ignored);
}

}  // namespace

void expect_writable(const std::string& path) {
    std::error_code ignored;
    if (fs::is_directory(path, ignored)) fail(path, EISDIR);
    const bool is_there = ::access(path.c_str(), F_OK) == 0;
    if (is_there && ::access(path.c_str(), W_OK) != 0) fail(path, errno);
    if (!is_file_or_new(path)) return;
    const int error = write(beside(path), "");
    remove_beside(path);
    if (error != 0) fail(path, error);
}

void replace_file(const std::string& path, const std::string& text) {
    if (!is_file_or_new(path)) {
        if (const int error = write(path, text)) fail(path, error);
        return;
    }
    if (const int error = write(beside(path), text)) {
        remove_beside(path);
        fail(path, error);
    }
    std::error_code error;
    fs::rename(beside(path), path, error);
    if (!error) return;
    remove_beside(path);
    fail(path, error.value());
}

}  // namespace ipc::tools
