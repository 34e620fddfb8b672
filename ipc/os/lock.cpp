#include "ipc/os/lock.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <thread>

#include "ipc/os/failure.hpp"

namespace ipc::inline v1::os {
namespace {

// Any page of the object does: the mapping only keeps the open file description. It is never
// touched and may lie beyond the end of the object.
std::size_t page_size() noexcept {
    static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    return size;
}

struct flock write_lock_on(std::uint64_t byte) noexcept {
    struct flock lock = {};  // the kernel requires a process id of 0
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = static_cast<off_t>(lock_offset + byte);
    lock.l_len = 1;
    return lock;
}

/// Maps a page that no child inherits; null when the system refuses.
void* map_for_this_process_only(int descriptor) {
    // A child made between the two calls would inherit the mapping and with it the lock.
    const auto no_forks = exclude_forks();
    void* page = ::mmap(nullptr, page_size(), PROT_READ, MAP_SHARED, descriptor, 0);
    if (page == MAP_FAILED) return nullptr;
    if (::madvise(page, page_size(), MADV_DONTFORK) == 0) return page;
    const int code = errno;
    ::munmap(page, page_size());
    errno = code;
    return nullptr;
}

}  // namespace

void HeldLock::release() noexcept {
    void* const page = std::exchange(page_, nullptr);
    // In a child, this address is free, or something else by now.
    if (page != nullptr && generation_ == fork_generation()) ::munmap(page, page_size());
}

HeldLock try_hold(TransientDescriptor own_open, std::uint64_t byte) {
    struct flock lock = write_lock_on(byte);
    if (uninterrupted([&] { return ::fcntl(own_open.get(), F_OFD_SETLK, &lock); }) != 0) {
        if (errno == EAGAIN || errno == EACCES) return {};
        fail("lock a byte of the object");
    }
    void* const page = map_for_this_process_only(own_open.get());
    if (page == nullptr) fail("map the lock's page");
    return HeldLock(page);
}

HeldLock hold(const std::function<TransientDescriptor()>& opener, std::uint64_t byte,
              Deadline deadline) {
    constexpr Nanoseconds shortest_pause = 50'000;
    constexpr Nanoseconds longest_pause = 5'000'000;
    for (Nanoseconds pause = shortest_pause;; pause = std::min(2 * pause, longest_pause)) {
        HeldLock lock = try_hold(opener(), byte);
        if (lock || deadline.passed()) return lock;
        std::this_thread::sleep_for(std::chrono::nanoseconds(std::min(pause, deadline.at - now())));
    }
}

bool is_held(int probe_descriptor, std::uint64_t byte) {
    struct flock lock = write_lock_on(byte);
    if (uninterrupted([&] { return ::fcntl(probe_descriptor, F_OFD_GETLK, &lock); }) != 0) {
        fail("test a lock of the object");
    }
    return lock.l_type != F_UNLCK;
}

}  // namespace ipc::inline v1::os
