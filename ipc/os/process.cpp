#include "ipc/os/process.hpp"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

#include "ipc/os/failure.hpp"

namespace ipc::inline v1::os {
namespace {

/// The contents of a small file of /proc; empty when it cannot be read.
std::string read_small_file(const std::string& path) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return {};
    std::array<char, 1024> text;
    const ssize_t length = uninterrupted([&] { return ::read(file, text.data(), text.size()); });
    ::close(file);
    return length <= 0 ? std::string() : std::string(text.data(), static_cast<std::size_t>(length));
}

/// Field `number` of the contents of a stat file, counted from 1 as proc(5) does, for fields behind
/// the command name; empty when it is missing. The name can contain blanks and parentheses, so the
/// fields are found behind the last closing one.
std::string_view stat_field(std::string_view stat, int number) {
    const auto name_end = stat.rfind(')');
    if (name_end == std::string_view::npos) return {};
    stat.remove_prefix(name_end + 1);
    for (int at = 3;; ++at) {
        stat.remove_prefix(std::min(stat.find_first_not_of(' '), stat.size()));
        const std::string_view field = stat.substr(0, stat.find_first_of(" \n"));
        if (at == number || field.empty()) return field;
        stat.remove_prefix(field.size());
    }
}

std::string proc_path(std::int32_t pid, const char* file) {
    return "/proc/" + std::to_string(pid) + "/" + file;
}

}  // namespace

ProcessIdentity this_process() {
    ProcessIdentity identity;
    identity.pid = ::getpid();
    struct stat status;
    if (::stat("/proc/self/ns/pid", &status) == 0) identity.pid_namespace = status.st_ino;
    const std::string stat = read_small_file("/proc/self/stat");
    const std::string_view start_time = stat_field(stat, 22);
    std::from_chars(start_time.data(), start_time.data() + start_time.size(), identity.start_time);
    return identity;
}

std::uint64_t random_id() {
    std::uint64_t id = 0;
    while (id == 0) {
        if (uninterrupted([&] { return ::getrandom(&id, sizeof id, 0); }) < 0) {
            fail("draw a random id");
        }
    }
    return id;
}

char process_state(std::int32_t pid) {
    const std::string stat = read_small_file(proc_path(pid, "stat"));
    const std::string_view state = stat_field(stat, 3);
    return state.empty() ? '\0' : state.front();
}

std::string process_name(std::int32_t pid) {
    std::string name = read_small_file(proc_path(pid, "comm"));
    if (!name.empty() && name.back() == '\n') name.pop_back();
    return name;
}

}  // namespace ipc::inline v1::os
