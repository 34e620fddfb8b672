// A work queue: workers share the jobs of a channel, and none is lost when a worker is killed.
//
//   work_queue total RESULTS &                adds up what the workers report
//   work_queue work JOBS RESULTS &            a worker; as many as you like
//   publish_subscribe publish JOBS 1 < text   the jobs: count the words of each line
//
// A worker publishes its result and *then* acknowledges the job. Killed in between, it leaves a job
// to another one: results come at least once, and who needs them once drops what it has seen.

#include <unistd.h>

#include <csignal>
#include <iostream>
#include <iterator>
#include <set>
#include <sstream>
#include <thread>

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

// The next message, or none once the channel is closed: any other end would not be complete.
auto next(auto& reader, const std::string& channel) {
    auto message = reader.receive();
    if (message || message.status() == ipc::Status::closed) return message;
    throw std::runtime_error(channel + ": " + std::string(to_string(message.status())));
}

// For the demonstration, the worker that gets job `stuck` first hangs at the worst moment.
void work(const std::string& jobs_name, const std::string& results_name, std::uint64_t stuck) {
    const auto jobs = ipc::Channel<>::open(jobs_name, {.wait = 10s});
    auto producer = ipc::Channel<Result>::open(results_name, {.wait = 10s}).producer();
    auto worker = jobs.join("workers", {.ack = ipc::Ack::manual, .max_attempts = 5});
    while (auto job = next(worker, jobs_name)) {
        if (!producer.send({job.position(), count_words(job.text())}))
            throw std::runtime_error(results_name + ": result not published");
        if (job.position() == stuck && job.attempt() == 1) ::pause();
        if (!job.ack()) std::cerr << "another worker has job " << job.position() << ", too\n";
    }
    // Every job was acknowledged, and before that its result published: the results are complete.
    if (!producer.close()) throw std::runtime_error(results_name + ": cannot be closed");
}

void total(const std::string& name) {
    const auto results = ipc::Channel<Result>::open_or_create(name, {.capacity = 16384});
    auto reader = results.subscribe({.from = ipc::Start::earliest(), .participant = {"total"}});
    std::set<ipc::Position> seen;
    std::uint64_t words = 0, duplicates = 0;
    while (const auto result = next(reader, name)) {
        const bool first = seen.insert(result->sequence).second;
        (first ? words : duplicates) += first ? result->words : 1;
    }
    std::cout << seen.size() << " lines, " << words << " words, " << duplicates << " duplicates\n";
}

// Kills the worker that sleeps over `job`, and tells when another one has done it.
void kill_holder(const std::string& jobs_name, ipc::Position job) {
    ipc::Inspector inspector(jobs_name);  // only looks: takes no part
    pid_t pid = 0;
    for (; pid == 0; std::this_thread::sleep_for(1ms)) {
        const ipc::ChannelReport report = inspector.sample();
        const ipc::GroupReport* group = report.find_group("workers");
        if (group == nullptr || group->leases.empty() || group->leases[0].position != job) continue;
        for (const auto& member : report.participants) {
            const bool holds = group->leases[0].member == static_cast<int>(member.index);
            if (holds && member.process_state == 'S') pid = member.pid;
        }
    }
    std::cout << "Worker " << pid << " holds a lease on line " << job << ": killed" << std::flush;
    ::kill(pid, SIGKILL);
    const auto start = std::chrono::steady_clock::now();
    while (inspector.sample().find_group("workers")->settled_below <= job)
        std::this_thread::sleep_for(1ms);
    std::cout << "; done again in " << (std::chrono::steady_clock::now() - start) / 1ms << " ms.\n";
}

int main(int argc, char** argv) try {
    const std::string role = argc > 1 ? argv[1] : "";
    if (role == "total" && argc == 3) return total(argv[2]), 0;
    if (role == "work" && (argc == 4 || argc == 5))
        return work(argv[2], argv[3], argc == 5 ? std::stoull(argv[4]) : ~0ULL), 0;
    if (role == "kill" && argc == 4) return kill_holder(argv[2], std::stoull(argv[3])), 0;
    std::cerr << "usage: work_queue total RESULTS | work JOBS RESULTS [STUCK] | kill JOBS JOB\n";
    return 2;
} catch (const std::exception& error) {
    std::cerr << "work_queue: " << error.what() << '\n';
    return 1;
}
