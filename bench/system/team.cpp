#include "bench/system/team.hpp"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "bench/system/cpu.hpp"
#include "ipc/os/clock.hpp"

namespace ipc::bench {

Team::~Team() {
    kill_all();
}

std::size_t Team::add(std::string role, int cpu, std::function<void()> body) {
    if (processes_.size() == most) throw TeamFailure("too many processes");
    processes_.push_back({std::move(role), cpu, std::move(body), false});
    return processes_.size() - 1;
}

std::size_t Team::add_background(std::string role, int cpu, std::function<void()> body) {
    const std::size_t index = add(std::move(role), cpu, std::move(body));
    processes_[index].background = true;
    return index;
}

void Team::start(std::size_t index) {
    std::fflush(nullptr);  // or the child would print it again
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid < 0) throw std::system_error(errno, std::system_category(), "fork");
    if (pid == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) ::_exit(1);
        live(index);
    }
    Process& process = processes_[index];
    process.pid = pid;
    process.descriptor = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
    if (process.descriptor < 0) {
        throw std::system_error(errno, std::system_category(), "pidfd_open");
    }
}

void Team::live(std::size_t index) {
    int code = 0;
    try {
        board_->pids[index] = ::getpid();
        if (processes_[index].cpu != any_cpu) pin_to(processes_[index].cpu);
        processes_[index].body();
    } catch (const std::exception& error) {
        std::array<char, 256>& complaint = board_->complaints[index];
        std::strncpy(complaint.data(), error.what(), complaint.size() - 1);
        code = 1;
    }
    std::fflush(nullptr);
    ::_exit(code);
}

void Team::bury(std::size_t index) {
    Process& process = processes_[index];
    int status = 0;
    while (::waitpid(process.pid, &status, 0) < 0 && errno == EINTR) {
    }
    ::close(std::exchange(process.descriptor, -1));
    process.pid = -1;
    const char* complaint = board_->complaints[index].data();
    if (*complaint != '\0') throw TeamFailure(fmt::format("{}: {}", process.role, complaint));
    if (process.background || (WIFEXITED(status) && WEXITSTATUS(status) == 0)) return;
    if (WIFSIGNALED(status)) {
        throw TeamFailure(fmt::format("{} was ended by signal {}", process.role, WTERMSIG(status)));
    }
    throw TeamFailure(fmt::format("{} ended with exit code {}", process.role, WEXITSTATUS(status)));
}

void Team::kill_all() {
    for (Process& process : processes_) {
        if (process.pid > 0) ::kill(process.pid, SIGKILL);
    }
    for (Process& process : processes_) {
        if (process.pid <= 0) continue;
        while (::waitpid(process.pid, nullptr, 0) < 0 && errno == EINTR) {
        }
        process.pid = -1;
        if (process.descriptor >= 0) ::close(std::exchange(process.descriptor, -1));
    }
}

void Team::run(std::chrono::nanoseconds limit, const std::function<void()>& interrupted) {
    const auto deadline = os::Deadline::after(limit);
    for (std::size_t index = 0; index < processes_.size(); ++index)
        start(index);
    while (true) {
        std::vector<pollfd> waiting;
        std::vector<std::size_t> indices;
        std::string busy;
        for (std::size_t index = 0; index < processes_.size(); ++index) {
            const Process& process = processes_[index];
            if (process.pid <= 0) continue;
            waiting.push_back({process.descriptor, POLLIN, 0});
            indices.push_back(index);
            if (!process.background) busy += (busy.empty() ? "" : ", ") + process.role;
        }
        if (busy.empty()) return kill_all();
        const std::int64_t left = (deadline.at - os::now()) / 1'000'000 + 1;
        const int ready =
            left <= 0 ? 0
                      : ::poll(waiting.data(), waiting.size(),
                               static_cast<int>(std::min<std::int64_t>(left, 1'000'000'000)));
        const int error = errno;
        if (interrupted) interrupted();
        if (ready < 0 && error != EINTR) {
            throw std::system_error(error, std::system_category(), "poll");
        }
        if (ready == 0) {
            throw TeamHangs(fmt::format("not done after {:.1f} s: {}",
                                        static_cast<double>(limit.count()) / 1e9, busy));
        }
        for (std::size_t i = 0; ready > 0 && i < waiting.size(); ++i) {
            if (waiting[i].revents != 0) bury(indices[i]);
        }
    }
}

void Team::meet() {
    board_->arrived.fetch_add(1);
    // With more processes than processors the last ones get here only if the first ones let them.
    while (board_->arrived.load() < processes_.size())
        ::sched_yield();
}

void Team::part() {
    const auto those_that_matter = static_cast<std::size_t>(
        std::count_if(processes_.begin(), processes_.end(),
                      [](const Process& process) { return !process.background; }));
    board_->done.fetch_add(1);
    while (board_->done.load() < those_that_matter)
        ::usleep(1000);
}

}  // namespace ipc::bench
