#include "bench/system/machine.hpp"

#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include <array>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <string_view>

#include <fmt/format.h>

#include "bench/system/cpu.hpp"

namespace ipc::bench {
namespace {

/// What follows the key in the first line that starts with it, up to the end of the line.
std::string look_up(const char* file, std::string_view key, std::string_view separator) {
    std::ifstream stream(file);
    for (std::string line; std::getline(stream, line);) {
        if (!line.starts_with(key)) continue;
        const std::size_t start = line.find(separator);
        if (start == std::string::npos) continue;
        std::string value = line.substr(start + separator.size());
        if (value.size() >= 2 && value.front() == '"') value = value.substr(1, value.size() - 2);
        return value;
    }
    return "unknown";
}

std::string compiler() {
#if defined(__clang__)
    return fmt::format("clang {}.{}.{}", __clang_major__, __clang_minor__, __clang_patchlevel__);
#else
    return fmt::format("GCC {}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#endif
}

std::string date() {
    const std::time_t now = std::time(nullptr);
    std::tm utc = {};
    ::gmtime_r(&now, &utc);
    std::array<char, 32> text = {};
    std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);
    return text.data();
}

}  // namespace

Machine machine() {
    utsname names = {};
    ::uname(&names);
    struct sysinfo info = {};
    ::sysinfo(&info);
    double load = 0;
    ::getloadavg(&load, 1);
    const double gibibytes =
        static_cast<double>(info.totalram) * info.mem_unit / static_cast<double>(1 << 30);
    return {
        .processor = look_up("/proc/cpuinfo", "model name", ": "),
        .processors = usable_cpus().size(),
        .memory = fmt::format("{:.0f} GiB", gibibytes),
        .kernel = fmt::format("{} {}", names.sysname, names.release),
        .system = look_up("/etc/os-release", "PRETTY_NAME", "="),
        .virtual_machine =
            look_up("/proc/cpuinfo", "flags", ": ").find(" hypervisor") != std::string::npos,
        .compiler = compiler(),
        .build_type = IPC_BENCH_BUILD_TYPE,
        .library_version = IPC_BENCH_VERSION,
        .date = date(),
        .load_average = load,
    };
}

}  // namespace ipc::bench
