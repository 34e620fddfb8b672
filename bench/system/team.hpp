#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/system/shared.hpp"

namespace ipc::bench {

/// A process of a team failed; what() says which and why.
class TeamFailure : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// The team was not done in time and was killed.
class TeamHangs : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// Processes that measure something together. Each is forked, pinned to a processor, and calls
/// `meet` once it is set up; all go on when the last one is there. They end with the team, also
/// when this process is killed.
class Team {
public:
    static constexpr std::size_t most = 256;
    static constexpr int any_cpu = -1;

    Team() = default;
    ~Team();
    Team(const Team&) = delete;
    Team& operator=(const Team&) = delete;

    /// Announces one more process; nothing runs yet. Returns its number.
    std::size_t add(std::string role, int cpu, std::function<void()> body);
    /// The same for a process that does not matter by itself: what ends it does not matter unless
    /// it throws, and it is killed when the others are done.
    std::size_t add_background(std::string role, int cpu, std::function<void()> body);

    /// Runs all of them until those that matter have ended. Throws TeamFailure, TeamHangs after
    /// `limit`, or what `interrupted` throws: it is called when a signal arrived.
    void run(std::chrono::nanoseconds limit, const std::function<void()>& interrupted = {});

    /// In a process of the team: waits for all others. Spins: a wake-up by the kernel would be
    /// part of what follows.
    void meet();
    /// The same at the end, for those that matter: nobody takes its end of a transport down while
    /// another one may still need it. Sleeps.
    void part();
    /// Its id, from the start of its body on.
    pid_t pid(std::size_t process) const { return board_->pids[process].load(); }

private:
    struct Process {
        std::string role;
        int cpu;
        std::function<void()> body;
        bool background;
        pid_t pid = -1;
        int descriptor = -1;
    };
    struct Board {
        std::atomic<std::size_t> arrived = 0;
        std::atomic<std::size_t> done = 0;
        std::array<std::array<char, 256>, most> complaints = {};
        std::array<std::atomic<pid_t>, most> pids = {};
    };

    void start(std::size_t index);
    [[noreturn]] void live(std::size_t index);
    /// Reaps one that ended; throws TeamFailure unless it ended well.
    void bury(std::size_t index);
    void kill_all();

    std::vector<Process> processes_;
    Shared<Board> board_;
};

}  // namespace ipc::bench
