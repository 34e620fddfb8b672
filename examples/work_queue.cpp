// A work queue: workers share the jobs of a channel, and none is lost when a worker is killed.
//
//   work_queue total RESULTS &                adds up what the workers report
//   work_queue work JOBS RESULTS &            a worker; as many as you like
//   publish_subscribe publish JOBS 1 < text   the jobs: count the words of each line
//
// A worker publishes its result and *then* acknowledges the job. Killed in between, it leaves a job
// that another worker does again: every result comes at least once, and who needs it exactly once
// drops what it has seen.

#include <unistd.h>

#include <csignal>
#include <iostream>
#include <iterator>
#include <set>
#include <sstream>
#include <thread>
#include <utility>

#include <ipc/ipc.hpp>

using namespace std::chrono_literals;

struct Result {
    ipc::Position sequence;  // the job's position: the same for every attempt
    std::uint64_t words;
};

std::uint64_t count_words(std::string_view line) {
    std::istringstream words{std::string(line)};
    return static_cast<std::uint64_t>(std::distance(std::istream_iterator<std::string>(words), {}));
}

// For the demonstration, the worker that gets job `stuck` first hangs at the worst moment.
void work(const std::string& jobs_name, const std::string& results_name, std::uint64_t stuck) {
    const auto jobs = ipc::Channel<>::open(jobs_name, {.wait = 10s});
    const auto results = ipc::Channel<Result>::open(results_name, {.wait = 10s});
    auto producer = results.producer();
    auto worker = jobs.join("workers", {.ack = ipc::Ack::manual, .max_attempts = 5});
    while (auto job = worker.receive()) {  // until the channel is closed
        const ipc::Sent sent = producer.send({job.position(), count_words(job.text())});
        if (!sent) throw std::runtime_error(results_name + ": result not published");
        if (job.position() == stuck && job.attempt() == 1) ::pause();
        if (!job.ack()) std::cerr << "another worker has job " << job.position() << ", too\n";
    }
    // Every job was acknowledged, and before that its result published: the results are complete,
    // whichever worker gets here first.
    if (!producer.close()) throw std::runtime_error(results_name + ": cannot be closed");
}

void total(const std::string& name) {
    const auto results = ipc::Channel<Result>::open_or_create(name, {.capacity = 16384});
    auto reader = results.subscribe({.from = ipc::Start::earliest(), .participant = {"total"}});
    std::set<ipc::Position> seen;
    std::uint64_t words = 0, duplicates = 0;
    while (const auto result = reader.receive()) {
        const bool first = seen.insert(result->sequence).second;
        words += first ? result->words : 0;
        duplicates += first ? 0 : 1;
    }
    std::cout << seen.size() << " lines, " << words << " words, " << duplicates << " duplicates\n";
}

// Kills the worker that sleeps over `job`, and tells when another one has done it.
void kill_holder(const std::string& jobs_name, ipc::Position job) {
    const ipc::Inspector inspector(jobs_name);  // only looks: takes no part
    pid_t pid = 0;
    for (; pid == 0; std::this_thread::sleep_for(1ms)) {
        const ipc::ChannelReport report = inspector.sample();
        const ipc::GroupReport* group = report.find_group("workers");
        if (group == nullptr || group->leases.empty()) continue;
        const ipc::LeaseReport& oldest = group->leases.front();
        for (const auto& member : report.participants) {
            const bool holds = std::cmp_equal(oldest.member, member.index);
            if (holds && oldest.position == job && member.process_state == 'S') pid = member.pid;
        }
    }
    std::cout << "Worker " << pid << " holds a lease on line " << job << ": killed" << std::flush;
    ::kill(pid, SIGKILL);
    const auto start = std::chrono::steady_clock::now();
    while (inspector.sample().find_group("workers")->settled_below <= job)
        std::this_thread::sleep_for(1ms);
    std::cout << "; another did it in " << (std::chrono::steady_clock::now() - start) / 1ms
              << " ms.\n";
}

int main(int argc, char** argv) try {
    const std::string role = argc > 1 ? argv[1] : "";
    if (role == "total" && argc == 3) return total(argv[2]), 0;
    if (role == "work" && argc == 4) return work(argv[2], argv[3], ~0ULL), 0;
    if (role == "work" && argc == 5) return work(argv[2], argv[3], std::stoull(argv[4])), 0;
    if (role == "kill" && argc == 4) return kill_holder(argv[2], std::stoull(argv[3])), 0;
    std::cerr << "usage: work_queue total RESULTS | work JOBS RESULTS [STUCK] | kill JOBS JOB\n";
    return 2;
} catch (const std::exception& error) {
    std::cerr << "work_queue: " << error.what() << '\n';
    return 1;
}
