// Lets all participants of a process share one mapping of each area of a channel, by way of the
// linker's --wrap. The library maps the data area once for readers and once for each producer. A
// race detector takes these for different memory, and would neither see how a message gets from one
// to the other nor miss it. Linked into thread_test alone; what readers may not write, they may
// here.

#include <sys/mman.h>
#include <sys/stat.h>

#include <cstddef>
#include <map>
#include <mutex>
#include <tuple>

// The names are the linker's.
// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" {
void* __real_mmap(void* address, std::size_t length, int protection, int flags, int descriptor,
                  off_t offset);
int __real_munmap(void* address, std::size_t length);
void* __wrap_mmap(void* address, std::size_t length, int protection, int flags, int descriptor,
                  off_t offset);
int __wrap_munmap(void* address, std::size_t length);
}

namespace {

/// Inode, offset and length: what is mapped.
using Area = std::tuple<ino_t, off_t, std::size_t>;
struct Mapping {
    void* address;
    int users;
};

std::mutex mutex;
std::map<Area, Mapping> mappings;

}  // namespace

void* __wrap_mmap(void* address, std::size_t length, int protection, int flags, int descriptor,
                  off_t offset) {
    struct stat status {};
    // A single page keeps a lock by its open file: never shared.
    constexpr std::size_t page = 4096;
    if (address != nullptr || (flags & MAP_SHARED) == 0 || length <= page ||
        ::fstat(descriptor, &status) != 0) {
        return __real_mmap(address, length, protection, flags, descriptor, offset);
    }
    const std::lock_guard lock(mutex);
    auto& [shared, users] = mappings[{status.st_ino, offset, length}];
    if (users == 0) {
        shared = __real_mmap(nullptr, length, protection, flags, descriptor, offset);
        if (shared == MAP_FAILED) return MAP_FAILED;
    } else if ((protection & PROT_WRITE) != 0 && ::mprotect(shared, length, protection) != 0) {
        return MAP_FAILED;
    }
    ++users;
    return shared;
}

int __wrap_munmap(void* address, std::size_t length) {
    {
        const std::lock_guard lock(mutex);
        for (auto each = mappings.begin(); each != mappings.end(); ++each) {
            if (each->second.address != address) continue;
            if (--each->second.users != 0) return 0;
            mappings.erase(each);
            break;
        }
    }
    return __real_munmap(address, length);
}
// NOLINTEND(bugprone-reserved-identifier)
