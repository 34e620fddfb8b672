// Publish and subscribe: one process publishes lines, and any number of processes see all of them.
//
//   publish_subscribe subscribe news > copy &       as many of these as you like
//   publish_subscribe publish news 1 < text         publishes once there is 1 reader
//   publish_subscribe publish news 2 1000 < text    2 readers, 1000 lines a second
//
// Start them in any order. A subscriber sees every message from when it came. The publisher waits
// for a subscriber that falls behind, and for one that was killed no longer than it takes to notice
// that.

#include <algorithm>
#include <chrono>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>

#include <ipc/ipc.hpp>

namespace {

using namespace std::chrono_literals;

// Whoever comes first makes the channel; the others find these options there, or get an error.
// A line of up to 104 bytes travels inside its slot, a longer one in the publisher's region.
const ipc::ChannelOptions options{.capacity = 16384, .inline_size = 104};

// Groups that somebody reads for; each subscriber is a group of its own.
std::size_t count_readers(const std::string& channel) {
    const ipc::ChannelReport report = ipc::inspect(channel);  // only looks: delays nobody
    return static_cast<std::size_t>(
        std::ranges::count_if(report.groups, [](const auto& group) { return group.members > 0; }));
}

void publish(const std::string& name, std::size_t readers, double lines_per_second) {
    const auto channel = ipc::Channel<>::open_or_create(name, options);
    // The channel's only producer; with producer() there could be many.
    auto producer = channel.exclusive_producer({.name = "publisher"});
    while (count_readers(name) < readers)
        std::this_thread::sleep_for(10ms);

    const auto start = std::chrono::steady_clock::now();
    double published = 0;
    for (std::string line; std::getline(std::cin, line); ++published) {
        if (!std::cin.eof()) line += '\n';  // the last one may have none
        if (lines_per_second > 0) {
            std::this_thread::sleep_until(start + published / lines_per_second * 1s);
        }
        // Copies the line into the channel. Waits while the ring is full.
        if (const ipc::Sent sent = producer.send(line); !sent) {
            throw std::runtime_error(name + ": " + std::string(to_string(sent.status())));
        }
    }
    // Readers are told so once they have seen every line.
    if (!producer.close()) throw std::runtime_error(name + ": cannot be closed");
}

void subscribe(const std::string& name) {
    const auto channel = ipc::Channel<>::open_or_create(name, options);
    auto subscriber = channel.subscribe({.participant = {.name = "subscriber"}});
    while (true) {
        const auto line = subscriber.receive();  // sleeps while there is nothing to read
        if (line.status() == ipc::Status::closed) break;
        if (!line) throw std::runtime_error(name + ": " + std::string(to_string(line.status())));
        std::cout << line.text();  // a view of shared memory, given back when `line` ends
    }
    if (!std::cout.flush()) throw std::runtime_error("cannot write to standard output");
}

}  // namespace

int main(int argc, char** argv) {
    std::ios::sync_with_stdio(false);
    const std::string role = argc > 1 ? argv[1] : "";
    try {
        if (role == "publish" && (argc == 4 || argc == 5)) {
            publish(argv[2], std::stoul(argv[3]), argc == 5 ? std::stod(argv[4]) : 0);
        } else if (role == "subscribe" && argc == 3) {
            subscribe(argv[2]);
        } else {
            std::cerr << "usage: publish_subscribe publish CHANNEL READERS [LINES-PER-SECOND]\n"
                         "       publish_subscribe subscribe CHANNEL\n";
            return 2;
        }
    } catch (const std::exception& error) {  // ipc::Error names channel, cause and remedy
        std::cerr << "publish_subscribe: " << error.what() << '\n';
        return 1;
    }
    return 0;
}
