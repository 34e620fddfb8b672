#include "ipc/os/fork.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

namespace ipc::inline v1::os {

// Element of the list of everything a child has to close. Lives on the heap, as it has to keep its
// place while its owner moves.
struct DescriptorEntry {
    int descriptor;
    DescriptorEntry* previous;
    DescriptorEntry* next;
};

namespace {

// Held across every fork by the forking thread, and by each thread that changes the list below. A
// child therefore closes exactly the descriptors that were open when it was made, never a number
// that another thread had just closed and something else had got. Nothing may allocate under it: an
// allocator that holds its own lock across forks, taken in the other order, would deadlock.
constinit std::mutex mutex;

constinit DescriptorEntry descriptors{-1, &descriptors, &descriptors};

void before_fork() {
    mutex.lock();
}

void after_fork_in_parent() {
    mutex.unlock();
}

void after_fork_in_child() {
    fork_generation_word.fetch_add(1, std::memory_order_relaxed);
    for (auto* entry = descriptors.next; entry != &descriptors; entry = entry->next) {
        if (entry->descriptor >= 0) ::close(entry->descriptor);
        entry->descriptor = -1;
    }
    mutex.unlock();
}

}  // namespace

constinit std::atomic<std::uint32_t> fork_generation_word{0};

void watch_forks() noexcept {
    // pthread_atfork fails only for lack of memory, at a moment when the program barely runs.
    static std::once_flag once;
    std::call_once(
        once, [] { ::pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child); });
}

std::unique_lock<std::mutex> exclude_forks() {
    watch_forks();
    return std::unique_lock(mutex);
}

TransientDescriptor TransientDescriptor::open(const char* path, int flags, mode_t mode) {
    auto entry = std::make_unique<DescriptorEntry>();
    auto no_forks = exclude_forks();
    entry->descriptor = ::open(path, flags | O_CLOEXEC, mode);
    if (entry->descriptor >= 0) {
        entry->previous = &descriptors;
        entry->next = descriptors.next;
        entry->previous->next = entry->next->previous = entry.get();
        return TransientDescriptor(entry.release());
    }
    const int code = errno;
    no_forks.unlock();
    entry.reset();
    errno = code;
    return {};
}

int TransientDescriptor::get() const noexcept {
    return entry_ == nullptr ? -1 : entry_->descriptor;
}

void TransientDescriptor::reset() noexcept {
    const std::unique_ptr<DescriptorEntry> entry(std::exchange(entry_, nullptr));
    if (entry == nullptr) return;
    const auto no_forks = exclude_forks();
    entry->previous->next = entry->next;
    entry->next->previous = entry->previous;
    if (entry->descriptor >= 0) ::close(entry->descriptor);
}

}  // namespace ipc::inline v1::os
