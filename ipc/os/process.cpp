#include "ipc/os/process.hpp"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <sstream>

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
std::string stat_field(const std::string& stat, int number) {
    const auto name_end = stat.rfind(')');
    if (name_end == std::string::npos) return {};
    std::istringstream fields(stat.substr(name_end + 1));
    std::string field;
    for (int at = 3; at <= number; ++at) {
        if (!(fields >> field)) return {};
    }
    return field;
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
    std::istringstream(stat_field(read_small_file("/proc/self/stat"), 22)) >> identity.start_time;
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
    const std::string state = stat_field(read_small_file(proc_path(pid, "stat")), 3);
    return state.empty() ? '\0' : state.front();
}

std::string process_name(std::int32_t pid) {
    std::string name = read_small_file(proc_path(pid, "comm"));
    if (!name.empty() && name.back() == '\n') name.pop_back();
    return name;
}

}  // namespace ipc::inline v1::os
