// Zero copy: the kernel reads a file straight into shared memory, and writes it from there.
//
//   zero_copy < in > out       copies its input to its output, through two processes
//
// A loan is space for one message in the producer's payload region. It is filled in place and
// published by position, and the consumer reads it in place. Nobody waits for a loan that takes
// long to fill: it has no place in the ring before it is published.

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <iostream>
#include <span>
#include <stdexcept>
#include <string>

#include <ipc/ipc.hpp>

namespace {

using namespace std::chrono_literals;

constexpr std::size_t block_size = 1 << 20;

// The region is what one producer can have in flight: here, up to eight blocks.
// A temporary channel goes with the last of its users, even when that is killed.
const ipc::ChannelOptions options{.capacity = 8, .region_size = 8 * block_size, .temporary = true};

void write_all(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t written = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
        if (written < 0) throw std::runtime_error("cannot write to standard output");
        bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
}

void produce(const std::string& name) {
    auto producer = ipc::Channel<>::open(name).exclusive_producer();
    while (true) {
        auto block = producer.loan(block_size);  // waits while the consumer has all of the region
        if (!block) throw std::runtime_error(std::string(to_string(block.status())));
        const ssize_t length = ::read(STDIN_FILENO, block.bytes().data(), block.bytes().size());
        if (length < 0) throw std::runtime_error("cannot read standard input");
        if (length == 0) break;  // the loan is abandoned
        block.resize(static_cast<std::size_t>(length));
        if (!std::move(block).publish()) throw std::runtime_error("cannot publish");
    }
    if (!producer.close()) throw std::runtime_error("cannot close");
}

// A producer that was killed leaves the channel open: another could go on. Here there is none.
void consume(ipc::Consumer<>& consumer, pid_t producer) {
    for (bool alive = true;;) {
        const auto block = consumer.receive_for(200ms);
        if (block) {
            write_all(block.bytes());  // the view is read-only: writing to it would fault
        } else if (block.status() == ipc::Status::closed) {
            return;
        } else if (!alive) {
            throw std::runtime_error("the producer ended early");
        } else {
            alive = ::waitpid(producer, nullptr, WNOHANG) == 0;
        }
    }
}

}  // namespace

int main() try {
    const std::string name = "zero_copy." + std::to_string(::getpid());
    const auto channel = ipc::Channel<>::create(name, options);
    auto consumer = channel.subscribe();  // before anything is published: sees all of it

    const pid_t child = ::fork();
    if (child != 0) {
        consume(consumer, child);
        ::waitpid(child, nullptr, 0);  // it still detaches from the channel
        return 0;
    }
    produce(name);  // handles do not survive a fork: the child opens the channel by its name
    return 0;
} catch (const std::exception& error) {
    std::cerr << "zero_copy: " << error.what() << '\n';
    return 1;
}
