// What ipc-monitor costs a host that has many channels. Prints what it measured.

#include <pty.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "ipc/ipc.hpp"
#include "tests/support/child.hpp"

namespace ipc::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr int channels = 1000;
constexpr int groups = 4;
constexpr int producers = 4;               // and a member of each group: 8 participants
constexpr double messages_per_second = 2;  // of each producer, in each channel

std::string channel_name(int channel) {
    return "cost." + std::to_string(channel);
}

/// One process takes part in all channels: 8000 processes would measure something else.
void take_part(int role) {
    rlimit files = {};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
    std::vector<Producer<>> publishing;
    std::vector<Consumer<>> working;
    for (int i = 0; i < channels; ++i) {
        auto channel = Channel<>::open_or_create(
            channel_name(i),
            {.capacity = 256, .region_size = 0, .max_participants = 16, .max_groups = 8});
        if (role < producers) {
            publishing.push_back(channel.producer({.name = "producer-" + std::to_string(role)}));
        } else {
            working.push_back(channel.join("group-" + std::to_string(role - producers),
                                           {.participant = {.name = "worker"}}));
        }
    }
    const auto pause = std::chrono::duration<double>(1 / messages_per_second);
    while (true) {
        for (Producer<>& producer : publishing)
            (void)producer.try_send("message");
        for (Consumer<>& worker : working) {
            while (worker.try_receive()) {
            }
        }
        std::this_thread::sleep_for(
            publishing.empty() ? 100ms
                               : std::chrono::duration_cast<std::chrono::milliseconds>(pause));
    }
}

/// ipc-monitor in a terminal of its own.
class Monitor {
public:
    explicit Monitor(const std::string& arguments) : started_(Clock::now()) {
        winsize size = {.ws_row = 50, .ws_col = 160, .ws_xpixel = 0, .ws_ypixel = 0};
        pid_ = ::forkpty(&terminal_, nullptr, nullptr, &size);
        if (pid_ == 0) {
            ::setenv("TERM", "xterm-256color", 1);
            ::setenv("LC_ALL", "C.UTF-8", 1);
            const std::string command = "exec " IPC_TOOL_DIRECTORY "/ipc-monitor " + arguments;
            ::execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
            ::_exit(127);
        }
    }
    ~Monitor() {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
        ::close(terminal_);
    }
    Monitor(const Monitor&) = delete;
    Monitor& operator=(const Monitor&) = delete;

    /// Reads what it writes until it wrote `text`; the time since it was started.
    double time_to(const std::string& text) {
        std::string written;
        std::array<char, 65536> bytes;
        while (written.find(text) == std::string::npos) {
            const ssize_t count = ::read(terminal_, bytes.data(), bytes.size());
            if (count <= 0) {
                ADD_FAILURE() << "ended before it wrote " << text;
                break;
            }
            written.append(bytes.data(), static_cast<std::size_t>(count));
        }
        return std::chrono::duration<double>(Clock::now() - started_).count();
    }
    void read_for(std::chrono::seconds duration) {
        std::array<char, 65536> bytes;
        const auto end = Clock::now() + duration;
        while (Clock::now() < end && ::read(terminal_, bytes.data(), bytes.size()) > 0) {
        }
    }
    double processor_seconds() const {
        std::ifstream file("/proc/" + std::to_string(pid_) + "/stat");
        std::string text((std::istreambuf_iterator<char>(file)), {});
        std::istringstream fields(text.substr(text.rfind(')') + 1));
        std::string skipped;
        for (int field = 3; field < 14; ++field)
            fields >> skipped;
        double user = 0;
        double system = 0;
        fields >> user >> system;
        return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
    }
    /// Proportional set size, in MiB.
    double memory() const {
        std::ifstream file("/proc/" + std::to_string(pid_) + "/smaps_rollup");
        for (std::string line; std::getline(file, line);) {
            if (line.starts_with("Pss:")) return std::stod(line.substr(4)) / 1024;
        }
        ADD_FAILURE() << "no Pss";
        return 0;
    }

private:
    Clock::time_point started_;
    int terminal_ = -1;
    pid_t pid_ = -1;
};

/// Where the channels are. They go with it, also after a failure.
class Directory {
public:
    Directory() {
        std::filesystem::create_directory(path_);
        ::setenv("IPC_DIRECTORY", path_.c_str(), 1);
    }
    ~Directory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;

private:
    const std::string path_ = "/dev/shm/monitor_cost_test." + std::to_string(::getpid());
};

TEST(MonitorCost, AThousandChannelsWithFourGroupsAndEightParticipantsEach) {
    const Directory directory;
    std::vector<Child> participants;
    for (int role = 0; role < producers + groups; ++role)
        participants.emplace_back([role] { take_part(role); });
    ASSERT_TRUE(eventually(
        [] {
            try {
                return inspect(channel_name(channels - 1)).participants.size() ==
                       producers + groups;
            } catch (const Error&) {
                return false;
            }
        },
        120));

    const std::string whole = "1000 channels, 4000 groups";
    double first = 1e9;
    for (int i = 0; i < 5; ++i)
        first = std::min(first, Monitor("").time_to("HISTORY"));

    Monitor monitor("--interval 0.25");
    monitor.time_to(whole);
    monitor.read_for(20s);  // until the history is filled
    constexpr auto measured = 10s;
    const double before = monitor.processor_seconds();
    const auto start = Clock::now();
    monitor.read_for(measured);
    const double used = monitor.processor_seconds() - before;
    const double looks = 4 * std::chrono::duration<double>(Clock::now() - start).count();
    const double memory = monitor.memory();
    std::cout << channels << " channels, " << groups << " groups and " << producers + groups
              << " participants each:\n"
              << "  processor  " << 1000 * used / looks << " ms for each look\n"
              << "  memory     " << memory << " MiB (PSS)\n"
              << "  first screen after " << 1000 * first << " ms, the best of 5\n";
    // Twice what it should be on a quiet machine: 20 ms (2 % of a core once a second), 50 MiB, 100
    // ms.
    EXPECT_LT(used / looks, 0.04);
    EXPECT_LT(memory, 100);
    EXPECT_LT(first, 0.2);
}

}  // namespace
}  // namespace ipc::test
