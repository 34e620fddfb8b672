// Kills, or stops, a process after every instruction of every operation, and lets the survivors
// check what they were promised. See tests/README.md.

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "ipc/format/layout.hpp"
#include "ipc/os/process.hpp"
#include "ipc/os/shared_object.hpp"
#include "tests/kill/operations.hpp"
#include "tests/kill/traced_child.hpp"
#include "tests/support/shared_value.hpp"

namespace ipc::test::kill {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

enum class Mode : std::uint8_t { kill, stop };

struct Options {
    std::string operation;
    bool every = false;
    bool visible = false;
    bool kill = true;
    bool stop = true;
    unsigned stride = 1000;
    unsigned jobs = 0;
    bool list = false;
    std::uint32_t from = 0;
    std::uint32_t to = ~std::uint32_t{0};
};

/// What a process gets for one run, and for a recording, which takes every step; in seconds, on a
/// machine that has something else to do.
constexpr int run_limit = 120;
constexpr int record_limit = 600;
/// Set by SIGINT and SIGTERM: what runs is ended, and what it left is removed.
volatile std::sig_atomic_t interrupted = 0;

/// Attempts to meet one point exactly.
constexpr unsigned most_attempts = 3;

// -------------------------------------------------------------------------------- a single run

struct Task {
    Mode mode = Mode::kill;
    Point point{};
    unsigned attempt = 0;
};

/// What a run hands to the main process.
struct Result {
    Ledger ledger;
    std::atomic<TracedChild::Reached> reached{TracedChild::Reached::never};
    std::atomic<bool> finished{false};
};

/// A recorded run, in memory shared with the process that records.
struct SharedTrace {
    static constexpr std::size_t most = std::size_t{1} << 20;
    struct Entry {
        std::uint64_t address;
        std::uint32_t occurrence;
        std::uint8_t visible;
        std::uint8_t slept;
    };
    std::atomic<std::size_t> size{0};
    std::array<Entry, most> entries;
};

/// The bytes of the channels that others can see.
class SharedBytes {
public:
    ~SharedBytes() {
        for (const int file : files_)
            if (file >= 0) ::close(file);
    }
    /// Whether they differ from the last time.
    bool changed() {
        std::vector<char>& now = bytes_[turn_];
        now.clear();
        const char* const names[] = {Scene::name, Scene::letters_name};
        for (std::size_t i = 0; i < 2; ++i) {
            if (files_[i] < 0) {
                files_[i] = ::open((os::shared_memory_directory() + "/ipc." + names[i]).c_str(),
                                   O_RDONLY | O_CLOEXEC);
            }
            if (files_[i] >= 0) append(now, files_[i]);
        }
        turn_ = 1 - turn_;
        return now != bytes_[turn_];
    }

private:
    /// Without the gap in front of the data area.
    static void append(std::vector<char>& bytes, int file) {
        struct stat status {};
        if (::fstat(file, &status) != 0) return;
        const auto size = static_cast<std::uint64_t>(status.st_size);
        const std::uint64_t control = std::min<std::uint64_t>(size, 128 << 10);
        read(bytes, file, 0, control);
        if (size > format::area_alignment) {
            read(bytes, file, format::area_alignment, size - format::area_alignment);
        }
    }
    static void read(std::vector<char>& bytes, int file, std::uint64_t offset,
                     std::uint64_t length) {
        const std::size_t before = bytes.size();
        bytes.resize(before + length);
        const ssize_t got =
            ::pread(file, bytes.data() + before, length, static_cast<off_t>(offset));
        bytes.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    }

    std::array<int, 2> files_{-1, -1};
    std::array<std::vector<char>, 2> bytes_;
    std::size_t turn_ = 0;
};

/// The rest of an operation that goes on by itself.
void finish(TracedChild& child, Scene& scene, const Operation& operation) {
    child.resume();
    const auto deadline = Clock::now() + std::chrono::seconds(30);
    int status = -1;
    while ((status = child.wait(0.02)) < 0 && Clock::now() < deadline) {
        if (os::process_state(child.pid()) != 'S') continue;
        if (operation.counterpart) {
            operation.counterpart(scene);
        } else {
            scene.nudge();
        }
    }
    if (status != 0) {
        scene.ledger.violate("the operation, undisturbed or continued, ended with status %d",
                             status);
    }
}

/// Everything of one run, in a process of its own whose address space is the same each time.
void run(const Operation& operation, const Task& task, const Trace& trace, Result& result,
         SharedTrace* record) {
    const auto [mode, point, attempt] = task;
    Scene scene(result.ledger);
    operation.prepare(scene);
    TracedChild child([&] { operation.perform(scene); },
                      [&] {
                          if (operation.counterpart) operation.counterpart(scene);
                      });
    if (record != nullptr) {
        SharedBytes bytes;
        const Trace recorded = child.record([&] { return bytes.changed(); });
        if (recorded.address.size() > SharedTrace::most) {
            throw std::runtime_error("the operation is longer than the recording has room for");
        }
        for (std::size_t i = 0; i < recorded.address.size(); ++i) {
            record->entries[i] = {recorded.address[i], recorded.occurrence[i], recorded.visible[i],
                                  recorded.slept[i]};
        }
        record->size = recorded.address.size();
        finish(child, scene, operation);
        result.reached = TracedChild::Reached::exactly;
        scene.check(true, false);
        return;
    }
    result.reached = child.advance_to(trace, point, attempt + 1 == most_attempts);
    const bool completed = point.instruction == trace.instructions();
    if (result.reached == TracedChild::Reached::never || (completed && mode == Mode::kill)) {
        finish(child, scene, operation);
        scene.check(true, false);
    } else if (mode == Mode::kill) {
        child.kill();
        scene.check(false, true);
    } else {
        child.stop();
        scene.go_on_beside(child.pid());
        finish(child, scene, operation);
        scene.check(true, false);
    }
}

// -------------------------------------------------------------------------------- many runs

struct Tally {
    std::size_t instructions = 0;
    std::size_t visible = 0;
    std::size_t points[2] = {0, 0};
    std::size_t nearby = 0;
    std::size_t violations = 0;
    std::int64_t longest = 0;
};

class Harness {
public:
    explicit Harness(const Options& options)
        : options_(options), base_("/dev/shm/ipc-kill." + std::to_string(::getpid())) {
        cpu_set_t allowed;
        CPU_ZERO(&allowed);
        ::sched_getaffinity(0, sizeof allowed, &allowed);
        for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
            if (CPU_ISSET(cpu, &allowed)) cpus_.push_back(cpu);
        const std::size_t jobs = options.jobs != 0 ? options.jobs : 2 * cpus_.size();
        for (std::size_t i = 0; i < jobs; ++i)
            slots_.push_back(std::make_unique<Slot>());
    }
    ~Harness() {
        for (const auto& slot : slots_) {
            if (slot->pid <= 0) continue;
            ::kill(-slot->pid, SIGKILL);
            ::waitpid(slot->pid, nullptr, 0);
        }
        std::error_code ignored;
        fs::remove_all(base_, ignored);
    }

    bool run_all();

private:
    struct Slot {
        SharedValue<Result> result;
        pid_t pid = -1;
        Clock::time_point deadline;
        Task task;
    };
    /// Of one length for all, so that every run allocates and copies the same.
    fs::path directory_of(std::size_t number) const {
        return base_ / std::to_string(1000 + number);
    }
    void start(std::size_t number, const Operation& operation, const Task& task,
               SharedTrace* record);
    bool reap(bool block, const Operation& operation, std::vector<Task>& tasks, Tally& tally);
    void end(std::size_t number, int status, const Operation& operation, std::vector<Task>& tasks,
             Tally& tally);
    std::vector<Point> points_of(const Operation& operation) const;
    bool record(const Operation& operation, Tally& tally);
    Tally test(const Operation& operation);

    Options options_;
    fs::path base_;
    std::vector<int> cpus_;
    std::vector<std::unique_ptr<Slot>> slots_;
    SharedValue<SharedTrace> recorded_;
    Trace trace_;
};

void Harness::start(std::size_t number, const Operation& operation, const Task& task,
                    SharedTrace* record) {
    Slot& slot = *slots_[number];
    ::new (&*slot.result) Result();
    slot.task = task;
    slot.deadline =
        Clock::now() + std::chrono::seconds(record != nullptr ? record_limit : run_limit);
    const fs::path directory = directory_of(number);
    fs::create_directories(directory);
    std::fflush(nullptr);
    slot.pid = ::fork();
    if (slot.pid < 0) throw std::system_error(errno, std::system_category(), "fork");
    if (slot.pid != 0) return;

    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (const int signal : {SIGINT, SIGTERM})
        std::signal(signal, SIG_DFL);
    ::setenv("IPC_DIRECTORY", directory.c_str(), 1);
    cpu_set_t mine;
    CPU_ZERO(&mine);
    CPU_SET(cpus_[number % cpus_.size()], &mine);
    ::sched_setaffinity(0, sizeof mine, &mine);
    Result& result = *slot.result;
    try {
        run(operation, task, trace_, result, record);
    } catch (const std::exception& error) {
        result.ledger.violate("the run failed: %s", error.what());
    }
    result.finished = true;
    ::_exit(0);
}

void Harness::end(std::size_t number, int status, const Operation& operation,
                  std::vector<Task>& tasks, Tally& tally) {
    Slot& slot = *slots_[number];
    ::kill(-slot.pid, SIGKILL);  // whatever it left running
    slot.pid = -1;
    Result& result = *slot.result;
    if (!result.finished) {
        result.ledger.violate("the run of the survivors ended with status 0x%x", status);
    }
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(directory_of(number), ignored))
        fs::remove(entry.path(), ignored);

    const bool exact = result.reached == TracedChild::Reached::exactly;
    if (result.ledger.violations == 0 && !exact && slot.task.attempt + 1 < most_attempts) {
        tasks.push_back({slot.task.mode, slot.task.point, slot.task.attempt + 1});
        return;
    }
    tally.points[static_cast<int>(slot.task.mode)] += 1;
    if (!exact) tally.nearby += 1;
    tally.longest = std::max(tally.longest, result.ledger.recovered_after.load());
    if (result.ledger.violations != 0) {
        tally.violations += 1;
        if (tally.violations <= 5) {
            std::printf("VIOLATION: %s: %s at instruction %u%s: %s\n", operation.name.c_str(),
                        slot.task.mode == Mode::kill ? "killed" : "stopped",
                        slot.task.point.instruction, slot.task.point.asleep ? " (asleep)" : "",
                        result.ledger.violation.data());
        }
    }
}

/// Collects runs that ended; whether there was one.
bool Harness::reap(bool block, const Operation& operation, std::vector<Task>& tasks, Tally& tally) {
    if (interrupted != 0) throw std::runtime_error("interrupted");
    int status = 0;
    pid_t found = ::waitpid(-1, &status, WNOHANG);
    if (found <= 0 && block) {
        std::this_thread::sleep_for(std::chrono::microseconds(200));
        found = ::waitpid(-1, &status, WNOHANG);
    }
    for (std::size_t i = 0; i < slots_.size(); ++i) {
        if (slots_[i]->pid > 0 && slots_[i]->pid == found) {
            end(i, status, operation, tasks, tally);
            return true;
        }
        if (slots_[i]->pid > 0 && Clock::now() > slots_[i]->deadline) {
            slots_[i]->result->ledger.violate("the run did not come to an end");
            ::kill(slots_[i]->pid, SIGKILL);
        }
    }
    return found > 0;
}

bool Harness::record(const Operation& operation, Tally& tally) {
    std::vector<Task> none;
    trace_ = {};
    recorded_->size = 0;
    Tally ignored;
    start(0, operation, {Mode::kill, {}, most_attempts}, &*recorded_);
    while (slots_[0]->pid > 0)
        reap(true, operation, none, ignored);
    tally.violations += ignored.violations;
    for (std::size_t i = 0; i < recorded_->size; ++i) {
        const auto& entry = recorded_->entries[i];
        trace_.address.push_back(entry.address);
        trace_.occurrence.push_back(entry.occurrence);
        trace_.visible.push_back(entry.visible);
        trace_.slept.push_back(entry.slept);
    }
    return recorded_->size != 0 && ignored.violations == 0;
}

std::vector<Point> Harness::points_of(const Operation& operation) const {
    std::vector<Point> points;
    const bool every = options_.every || (operation.hot && !options_.visible);
    for (std::uint32_t k = 0; k < trace_.address.size(); ++k) {
        if (k < options_.from || k > options_.to) continue;
        if (trace_.slept[k]) points.push_back({k - 1, true});
        const bool strided = !options_.visible && k % options_.stride == 0;
        if (every || trace_.visible[k] || strided || k == trace_.instructions()) {
            points.push_back({k, false});
        }
    }
    return points;
}

Tally Harness::test(const Operation& operation) {
    Tally tally;
    if (!record(operation, tally)) return tally;
    tally.instructions = trace_.instructions();
    tally.visible = static_cast<std::size_t>(
        std::count(trace_.visible.begin(), trace_.visible.end(), std::uint8_t{1}));
    std::vector<Task> tasks;
    const auto points = points_of(operation);
    for (auto point = points.rbegin(); point != points.rend(); ++point) {
        if (options_.stop) tasks.push_back({Mode::stop, *point});
        if (options_.kill) tasks.push_back({Mode::kill, *point});
    }
    std::size_t running = 0;
    while (!tasks.empty() || running != 0) {
        bool started = false;
        for (std::size_t i = 0; i < slots_.size() && !tasks.empty(); ++i) {
            if (slots_[i]->pid > 0) continue;
            const Task task = tasks.back();
            tasks.pop_back();
            start(i, operation, task, nullptr);
            ++running;
            started = true;
        }
        if (reap(!started, operation, tasks, tally)) --running;
    }
    return tally;
}

bool Harness::run_all() {
    std::printf("%-52s %12s %8s %8s %8s %7s %10s %8s\n", "operation", "instructions", "visible",
                "killed", "stopped", "nearby", "violations", "wait ms");
    Tally sum;
    const auto begin = Clock::now();
    for (const Operation& operation : all_operations()) {
        if (operation.name.find(options_.operation) == std::string::npos) continue;
        if (options_.list) {
            std::printf("%s\n", operation.name.c_str());
            continue;
        }
        const Tally tally = test(operation);
        std::printf("%-52s %12zu %8zu %8zu %8zu %7zu %10zu %8lld\n", operation.name.c_str(),
                    tally.instructions, tally.visible, tally.points[0], tally.points[1],
                    tally.nearby, tally.violations,
                    static_cast<long long>(tally.longest / 1'000'000));
        std::fflush(stdout);
        sum.instructions += tally.instructions;
        sum.visible += tally.visible;
        for (int i = 0; i < 2; ++i)
            sum.points[i] += tally.points[i];
        sum.nearby += tally.nearby;
        sum.violations += tally.violations;
        sum.longest = std::max(sum.longest, tally.longest);
    }
    if (options_.list) return true;
    std::printf("%-52s %12zu %8zu %8zu %8zu %7zu %10zu %8lld\n", "all", sum.instructions,
                sum.visible, sum.points[0], sum.points[1], sum.nearby, sum.violations,
                static_cast<long long>(sum.longest / 1'000'000));
    std::printf("%.0f s\n", std::chrono::duration<double>(Clock::now() - begin).count());
    return sum.violations == 0 && sum.points[0] + sum.points[1] != 0;
}

constexpr char usage[] =
    "kill_points [OPTION]...\n"
    "Kills and stops a process at the instructions of every operation; survivors check the rest.\n"
    "Without options: every instruction of the publish, receive and acknowledge paths; of the\n"
    "others every one that survivors can see (a system call, or a change of shared memory), and\n"
    "every 1000th.\n"
    "  --every            every instruction of all operations\n"
    "  --visible          of all operations only those that survivors can see\n"
    "  --stride N         every Nth instead of every 1000th\n"
    "  --operation TEXT   only operations whose name contains TEXT\n"
    "  --kill, --stop     only that\n"
    "  --at K, --at K-L   only after K (to L) instructions\n"
    "  --jobs N           runs at the same time; default: two for each processor\n"
    "  --list             names the operations\n";

int main(int count, char** arguments) {
    Options options;
    for (int i = 1; i < count; ++i) {
        const std::string argument = arguments[i];
        const auto value = [&]() -> std::string {
            if (++i == count) throw std::invalid_argument(argument + " needs a value");
            return arguments[i];
        };
        if (argument == "--every") {
            options.every = true;
        } else if (argument == "--visible") {
            options.visible = true;
        } else if (argument == "--stride") {
            options.stride = std::max(1U, static_cast<unsigned>(std::stoul(value())));
        } else if (argument == "--operation") {
            options.operation = value();
        } else if (argument == "--kill") {
            options.stop = false;
        } else if (argument == "--stop") {
            options.kill = false;
        } else if (argument == "--at") {
            const std::string range = value();
            options.from = static_cast<std::uint32_t>(std::stoul(range));
            const auto dash = range.find('-');
            options.to = dash == std::string::npos
                             ? options.from
                             : static_cast<std::uint32_t>(std::stoul(range.substr(dash + 1)));
        } else if (argument == "--jobs") {
            options.jobs = static_cast<unsigned>(std::stoul(value()));
        } else if (argument == "--list") {
            options.list = true;
        } else if (argument == "--help" || argument == "-h") {
            std::fputs(usage, stdout);
            return 0;
        } else {
            throw std::invalid_argument("unknown option " + argument);
        }
    }
    for (const int signal : {SIGINT, SIGTERM})
        std::signal(signal, [](int) { interrupted = 1; });
    return Harness(options).run_all() ? 0 : 1;
}

}
}

int main(int count, char** arguments) {
    try {
        return ipc::test::kill::main(count, arguments);
    } catch (const std::invalid_argument& error) {
        std::fprintf(stderr, "kill_points: %s\n%s", error.what(), ipc::test::kill::usage);
        return 2;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "kill_points: %s\n", error.what());
        return 1;
    }
}
