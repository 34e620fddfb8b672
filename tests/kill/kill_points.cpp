// Kills, or stops, a process after every instruction of every operation, and lets the survivors
// check what they were promised. See tests/README.md.

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <memory>
#include <new>
#include <optional>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>
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
    /// Of each operation, for points that survivors cannot tell from one that is visible; s.
    std::optional<unsigned> others_for;
    std::uint64_t seed = std::random_device{}();  ///< draws which of those come first
    unsigned jobs = 4;                            ///< of each operation that is tested
    unsigned lanes = 0;
    bool list = false;
    std::uint32_t from = 0;
    std::uint32_t to = ~std::uint32_t{0};
};

/// What a process gets for one run, in seconds: some take every step, on a machine that may have
/// something else to do.
constexpr int run_limit = 600;
/// Set by SIGINT and SIGTERM: what runs is ended, and what it left is removed.
volatile std::sig_atomic_t interrupted = 0;

/// Attempts to meet one point exactly.
constexpr unsigned most_attempts = 3;
/// Recordings of one operation.
constexpr unsigned most_recordings = 8;

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

/// The bytes of the channels that others can see. Mapped: they are compared after every step.
class SharedBytes {
public:
    SharedBytes() = default;
    ~SharedBytes() {
        for (const View& view : views_)
            ::munmap(view.bytes, view.former.size());
    }
    SharedBytes(const SharedBytes&) = delete;
    SharedBytes& operator=(const SharedBytes&) = delete;

    /// Whether they differ from the last time.
    bool changed() {
        bool result = false;
        for (std::size_t i = 0; i < names.size(); ++i) {
            if (!is_mapped_[i]) is_mapped_[i] = map(names[i]);
        }
        for (View& view : views_) {
            if (std::memcmp(view.bytes, view.former.data(), view.former.size()) == 0) continue;
            std::memcpy(view.former.data(), view.bytes, view.former.size());
            result = true;
        }
        return result;
    }

private:
    static constexpr std::array names{Scene::name, Scene::letters_name};
    struct View {
        void* bytes;
        std::vector<char> former;
    };

    /// False while there is no such channel.
    bool map(const char* name) {
        const int file =
            ::open((os::shared_memory_directory() + "/ipc." + name).c_str(), O_RDONLY | O_CLOEXEC);
        if (file < 0) return false;
        struct stat status {};
        if (::fstat(file, &status) == 0) {
            // Without the gap in front of the data area.
            const auto size = static_cast<std::size_t>(status.st_size);
            add(file, 0, std::min<std::size_t>(size, 128 << 10));
            if (size > format::area_alignment) {
                add(file, format::area_alignment, size - format::area_alignment);
            }
        }
        ::close(file);
        return true;
    }
    void add(int file, std::size_t offset, std::size_t length) {
        void* const bytes =
            ::mmap(nullptr, length, PROT_READ, MAP_SHARED, file, static_cast<off_t>(offset));
        if (bytes == MAP_FAILED) throw std::system_error(errno, std::system_category(), "mmap");
        views_.push_back({bytes, std::vector<char>(length)});
    }

    std::array<bool, names.size()> is_mapped_{};
    std::vector<View> views_;
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
    const bool step_by_step = attempt + 1 == most_attempts;
    Scene scene(result.ledger);
    scene.is_stepped = record != nullptr || step_by_step;
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
        scene.resume_helpers();
        finish(child, scene, operation);
        result.reached = TracedChild::Reached::exactly;
        scene.check(true, false);
        return;
    }
    result.reached = child.advance_to(trace, point, step_by_step);
    const bool completed = point.instruction == trace.instructions();
    if (result.reached == TracedChild::Reached::never || (completed && mode == Mode::kill)) {
        scene.resume_helpers();
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
    std::size_t left_out = 0;  ///< of both
    std::size_t nearby = 0;
    std::size_t missed = 0;  ///< the operation ended before: nothing was killed, or stopped
    std::size_t violations = 0;
    std::int64_t longest = 0;

    /// Points that were not met as asked for are few, or the operation was not tested. Of those met
    /// nearby there is one in ten where timers expire on a busy machine; none is missed.
    bool is_tested(const Operation& operation) const {
        const std::size_t all = points[0] + points[1] + missed;
        const auto at_most = [all](std::size_t part) {
            return std::max<std::size_t>(3, all / part);
        };
        // A course with a second wait is as likely as one without: half of the points of the longer
        // one are met in no run of the other.
        if (operation.competes) return points[0] + points[1] - nearby >= all / 4;
        return missed <= at_most(20) && nearby + missed <= at_most(5);
    }
};

std::vector<int> allowed_cpus() {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    ::sched_getaffinity(0, sizeof allowed, &allowed);
    std::vector<int> cpus;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(cpu, &allowed)) cpus.push_back(cpu);
    return cpus;
}

/// Of one length for all, so that every run allocates and copies the same.
fs::path directory_of(const fs::path& base, std::size_t number) {
    return base / std::to_string(1000 + number);
}

/// Tests one operation, in a process that does nothing else: all runs begin with a copy of its
/// heap.
class Harness {
public:
    Harness(const Options& options, const Operation& operation, fs::path directory)
        : options_(options),
          operation_(operation),
          base_(std::move(directory)),
          cpus_(allowed_cpus()) {
        for (unsigned i = 0; i < options.jobs; ++i)
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

    Harness(const Harness&) = delete;
    Harness& operator=(const Harness&) = delete;

    Tally test();

private:
    struct Slot {
        SharedValue<Result> result;
        pid_t pid = -1;
        Clock::time_point deadline;
        Task task;
    };
    void start(std::size_t number, const Task& task, SharedTrace* record);
    bool reap(bool block, std::vector<Task>& tasks, Tally& tally);
    void end(std::size_t number, int status, std::vector<Task>& tasks, Tally& tally);
    bool is_visible(std::uint32_t instruction) const {
        return trace_.visible[instruction] != 0 || instruction == trace_.instructions();
    }
    std::vector<Task> tasks_at(bool visible_ones) const;
    bool record(Tally& tally);

    const Options& options_;
    const Operation& operation_;
    fs::path base_;
    std::vector<int> cpus_;
    std::vector<std::unique_ptr<Slot>> slots_;
    SharedValue<SharedTrace> recorded_;
    Trace trace_;
};

void Harness::start(std::size_t number, const Task& task, SharedTrace* record) {
    Slot& slot = *slots_[number];
    ::new (&*slot.result) Result();
    slot.task = task;
    slot.deadline = Clock::now() + std::chrono::seconds(run_limit);
    const fs::path directory = directory_of(base_, number);
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
        run(operation_, task, trace_, result, record);
    } catch (const std::exception& error) {
        result.ledger.violate("the run failed: %s", error.what());
    }
    result.finished = true;
    ::_exit(0);
}

void Harness::end(std::size_t number, int status, std::vector<Task>& tasks, Tally& tally) {
    Slot& slot = *slots_[number];
    ::kill(-slot.pid, SIGKILL);  // whatever it left running
    slot.pid = -1;
    Result& result = *slot.result;
    if (!result.finished) {
        result.ledger.violate("the run of the survivors ended with status 0x%x", status);
    }
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(directory_of(base_, number), ignored))
        fs::remove(entry.path(), ignored);

    const bool exact = result.reached == TracedChild::Reached::exactly;
    if (result.ledger.violations == 0 && !exact && slot.task.attempt + 1 < most_attempts) {
        tasks.push_back({slot.task.mode, slot.task.point, slot.task.attempt + 1});
        return;
    }
    if (result.reached == TracedChild::Reached::never) {
        tally.missed += 1;
    } else {
        tally.points[static_cast<int>(slot.task.mode)] += 1;
        if (!exact) tally.nearby += 1;
    }
    tally.longest = std::max(tally.longest, result.ledger.recovered_after.load());
    if (result.ledger.violations != 0) {
        tally.violations += 1;
        if (tally.violations <= 5) {
            std::printf("VIOLATION: %s: %s at instruction %u%s: %s\n", operation_.name.c_str(),
                        slot.task.mode == Mode::kill ? "killed" : "stopped",
                        slot.task.point.instruction, slot.task.point.asleep ? " (asleep)" : "",
                        result.ledger.violation.data());
            std::fflush(stdout);
        }
    }
}

/// Collects runs that ended; whether there was one.
bool Harness::reap(bool block, std::vector<Task>& tasks, Tally& tally) {
    if (interrupted != 0) throw std::runtime_error("interrupted");
    int status = 0;
    pid_t found = ::waitpid(-1, &status, WNOHANG);
    if (found <= 0 && block) {
        std::this_thread::sleep_for(std::chrono::microseconds(200));
        found = ::waitpid(-1, &status, WNOHANG);
    }
    for (std::size_t i = 0; i < slots_.size(); ++i) {
        if (slots_[i]->pid > 0 && slots_[i]->pid == found) {
            end(i, status, tasks, tally);
            return true;
        }
        if (slots_[i]->pid > 0 && Clock::now() > slots_[i]->deadline) {
            slots_[i]->result->ledger.violate("the run did not come to an end");
            ::kill(slots_[i]->pid, SIGKILL);
        }
    }
    return found > 0;
}

/// The first of some recordings that is as long as one before, or else the shortest: a point of an
/// unusual run, in which an operation slept more often than it had to, would be met by no other.
bool Harness::record(Tally& tally) {
    std::vector<Task> none;
    std::set<std::size_t> lengths;
    for (unsigned i = 0; i < most_recordings; ++i) {
        Tally ignored;
        recorded_->size = 0;
        start(0, {Mode::kill, {}, most_attempts}, &*recorded_);
        while (slots_[0]->pid > 0)
            reap(true, none, ignored);
        tally.violations += ignored.violations;
        const std::size_t length = recorded_->size;
        if (length == 0 || ignored.violations != 0) return false;
        const bool again = !lengths.insert(length).second;
        if (again || i == 0 || length < trace_.address.size()) {
            trace_ = {};
            for (std::size_t k = 0; k < length; ++k) {
                const auto& entry = recorded_->entries[k];
                trace_.address.push_back(entry.address);
                trace_.occurrence.push_back(entry.occurrence);
                trace_.visible.push_back(entry.visible);
                trace_.slept.push_back(entry.slept);
            }
        }
        if (again) return true;
    }
    return true;
}

/// The visible points, or the others; what comes first is last.
std::vector<Task> Harness::tasks_at(bool visible_ones) const {
    std::vector<Task> tasks;
    const auto add = [&](Point point) {
        if (options_.stop) tasks.push_back({Mode::stop, point});
        if (options_.kill) tasks.push_back({Mode::kill, point});
    };
    const bool every = options_.every || operation_.hot;
    for (auto k = static_cast<std::uint32_t>(trace_.address.size()); k-- > 0;) {
        if (k < options_.from || k > options_.to) continue;
        if (is_visible(k) == visible_ones &&
            (visible_ones || (!options_.visible && (every || k % options_.stride == 0)))) {
            add({k, false});
        }
        if (trace_.slept[k] && visible_ones) add({k - 1, true});
    }
    return tasks;
}

Tally Harness::test() {
    Tally tally;
    if (!record(tally)) return tally;
    tally.instructions = trace_.instructions();
    tally.visible = static_cast<std::size_t>(
        std::count(trace_.visible.begin(), trace_.visible.end(), std::uint8_t{1}));
    std::vector<Task> tasks = tasks_at(false);
    std::shuffle(tasks.begin(), tasks.end(), std::mt19937_64(options_.seed));
    const std::size_t others = tasks.size();
    for (const Task& task : tasks_at(true))
        tasks.push_back(task);

    std::optional<Clock::time_point> others_until;
    std::size_t running = 0;
    while (!tasks.empty() || running != 0) {
        if (tasks.size() <= others && options_.others_for) {
            if (!others_until) {
                others_until = Clock::now() + std::chrono::seconds(*options_.others_for);
            } else if (Clock::now() > *others_until) {
                tally.left_out += std::erase_if(tasks, [&](const Task& task) {
                    return !task.point.asleep && !is_visible(task.point.instruction);
                });
            }
        }
        bool started = false;
        for (std::size_t i = 0; i < slots_.size() && !tasks.empty(); ++i) {
            if (slots_[i]->pid > 0) continue;
            const Task task = tasks.back();
            tasks.pop_back();
            start(i, task, nullptr);
            ++running;
            started = true;
        }
        if (reap(!started, tasks, tally)) --running;
    }
    if (!tally.is_tested(operation_)) {
        tally.violations += 1;
        std::printf("VIOLATION: %s: %zu points were met, %zu of them nearby, and %zu were missed\n",
                    operation_.name.c_str(), tally.points[0] + tally.points[1], tally.nearby,
                    tally.missed);
        std::fflush(stdout);
    }
    return tally;
}

// ---------------------------------------------------------------------------- many operations

void print_heading() {
    std::printf("%-52s %12s %8s %8s %8s %8s %7s %7s %10s %8s\n", "operation", "instructions",
                "visible", "killed", "stopped", "left out", "nearby", "missed", "violations",
                "wait ms");
}

void print(const std::string& name, const Tally& tally) {
    std::printf("%-52s %12zu %8zu %8zu %8zu %8zu %7zu %7zu %10zu %8lld\n", name.c_str(),
                tally.instructions, tally.visible, tally.points[0], tally.points[1], tally.left_out,
                tally.nearby, tally.missed, tally.violations,
                static_cast<long long>(tally.longest / 1'000'000));
    std::fflush(stdout);
}

/// Operations side by side, since each begins with one run alone, its recording, and may end with
/// one that waits for seconds.
class Lanes {
public:
    Lanes(const Options& options, std::vector<Operation> operations)
        : options_(options),
          operations_(std::move(operations)),
          base_("/dev/shm/ipc-kill." + std::to_string(::getpid())),
          pids_(operations_.size(), -1) {
        if (operations_.size() > tallies_->size()) throw std::logic_error("too many operations");
    }
    ~Lanes() {
        for (const pid_t pid : pids_) {
            if (pid <= 0) continue;
            ::kill(pid, SIGTERM);
            while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
            }
        }
        std::error_code ignored;
        fs::remove_all(base_, ignored);
    }
    Lanes(const Lanes&) = delete;
    Lanes& operator=(const Lanes&) = delete;

    /// Prints a row for each, in their order.
    bool run_all();

private:
    void start(std::size_t number);
    void reap();

    Options options_;
    std::vector<Operation> operations_;
    fs::path base_;
    std::vector<pid_t> pids_;  ///< of the processes that test them: -1 not yet, 0 not any more
    SharedValue<std::array<Tally, 256>> tallies_;
};

void Lanes::start(std::size_t number) {
    std::fflush(nullptr);
    const pid_t pid = ::fork();
    if (pid < 0) throw std::system_error(errno, std::system_category(), "fork");
    pids_[number] = pid;
    if (pid != 0) return;

    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    int code = 0;
    try {
        Harness harness(options_, operations_[number], directory_of(base_, number));
        (*tallies_)[number] = harness.test();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "kill_points: %s: %s\n", operations_[number].name.c_str(),
                     error.what());
        code = 1;
    }
    std::fflush(nullptr);
    ::_exit(code);
}

void Lanes::reap() {
    int status = 0;
    const pid_t found = ::waitpid(-1, &status, 0);
    if (interrupted != 0) throw std::runtime_error("interrupted");
    const auto lane = std::find(pids_.begin(), pids_.end(), found);
    if (lane == pids_.end()) return;
    *lane = 0;
    if (status != 0) (*tallies_)[static_cast<std::size_t>(lane - pids_.begin())].violations += 1;
}

bool Lanes::run_all() {
    print_heading();
    Tally sum;
    const auto begin = Clock::now();
    std::size_t started = 0;
    for (std::size_t printed = 0; printed < operations_.size();) {
        const auto running =
            std::count_if(pids_.begin(), pids_.end(), [](pid_t p) { return p > 0; });
        if (started < operations_.size() && running < options_.lanes) {
            start(started++);
            continue;
        }
        reap();
        for (; printed < operations_.size() && pids_[printed] == 0; ++printed) {
            const Tally& tally = (*tallies_)[printed];
            print(operations_[printed].name, tally);
            sum.instructions += tally.instructions;
            sum.visible += tally.visible;
            for (int i = 0; i < 2; ++i)
                sum.points[i] += tally.points[i];
            sum.left_out += tally.left_out;
            sum.nearby += tally.nearby;
            sum.missed += tally.missed;
            sum.violations += tally.violations;
            sum.longest = std::max(sum.longest, tally.longest);
        }
    }
    print("all", sum);
    std::printf("%.0f s, seed %llu\n", std::chrono::duration<double>(Clock::now() - begin).count(),
                static_cast<unsigned long long>(options_.seed));
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
    "  --others-for S     of those that survivors cannot see, as many as S seconds of each "
    "operation\n"
    "                     allow, drawn at random\n"
    "  --seed N           draws them as a former run did\n"
    "  --operation TEXT   only operations whose name contains TEXT\n"
    "  --kill, --stop     only that\n"
    "  --at K, --at K-L   only after K (to L) instructions\n"
    "  --jobs N           runs at the same time, of each operation; default: 4\n"
    "  --lanes N          operations at the same time; default: two for each processor\n"
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
        } else if (argument == "--others-for") {
            options.others_for = static_cast<unsigned>(std::stoul(value()));
        } else if (argument == "--seed") {
            options.seed = std::stoull(value());
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
            options.jobs = std::max(1U, static_cast<unsigned>(std::stoul(value())));
        } else if (argument == "--lanes") {
            options.lanes = std::max(1U, static_cast<unsigned>(std::stoul(value())));
        } else if (argument == "--list") {
            options.list = true;
        } else if (argument == "--help" || argument == "-h") {
            std::fputs(usage, stdout);
            return 0;
        } else {
            throw std::invalid_argument("unknown option " + argument);
        }
    }
    std::vector<Operation> operations = all_operations();
    std::erase_if(operations, [&](const Operation& operation) {
        return operation.name.find(options.operation) == std::string::npos;
    });
    if (options.list) {
        for (const Operation& operation : operations)
            std::printf("%s\n", operation.name.c_str());
        return 0;
    }
    if (options.lanes == 0) options.lanes = 2 * static_cast<unsigned>(allowed_cpus().size());
    struct sigaction action {};
    action.sa_handler = [](int) { interrupted = 1; };  // without SA_RESTART: ends a wait
    for (const int signal : {SIGINT, SIGTERM})
        ::sigaction(signal, &action, nullptr);
    return Lanes(options, std::move(operations)).run_all() ? 0 : 1;
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
