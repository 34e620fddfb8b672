// mmap and munmap of the fuzzed library, by way of the linker's --wrap: every mapping stands alone
// between pages nobody may touch, so that an access next to it faults rather than hits another one.

#include <sys/mman.h>

#include <cstddef>
#include <map>
#include <mutex>

extern "C" {
// The names are the linker's.
// NOLINTBEGIN(bugprone-reserved-identifier)
void* __real_mmap(void* address, std::size_t length, int protection, int flags, int descriptor,
                  off_t offset);
int __real_munmap(void* address, std::size_t length);
void* __wrap_mmap(void* address, std::size_t length, int protection, int flags, int descriptor,
                  off_t offset);
int __wrap_munmap(void* address, std::size_t length);
}

namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t guard = std::size_t{1} << 20;

std::mutex mutex;
std::map<void*, std::size_t> guarded;  // start of each mapping made here, with its length

std::size_t whole_pages(std::size_t length) {
    return (length + page - 1) / page * page;
}

}  // namespace

void* __wrap_mmap(void* address, std::size_t length, int protection, int flags, int descriptor,
                  off_t offset) {
    if (address != nullptr || length == 0) {
        return __real_mmap(address, length, protection, flags, descriptor, offset);
    }
    const std::size_t size = whole_pages(length);
    void* const around = __real_mmap(nullptr, size + 2 * guard, PROT_NONE,
                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (around == MAP_FAILED) return MAP_FAILED;
    void* const inside = static_cast<std::byte*>(around) + guard;
    if (__real_mmap(inside, length, protection, flags | MAP_FIXED, descriptor, offset) ==
        MAP_FAILED) {
        __real_munmap(around, size + 2 * guard);
        return MAP_FAILED;
    }
    const std::lock_guard lock(mutex);
    guarded[inside] = size;
    return inside;
}

int __wrap_munmap(void* address, std::size_t length) {
    {
        const std::lock_guard lock(mutex);
        const auto found = guarded.find(address);
        if (found != guarded.end() && found->second == whole_pages(length)) {
            guarded.erase(found);
            return __real_munmap(static_cast<std::byte*>(address) - guard,
                                 whole_pages(length) + 2 * guard);
        }
    }
    return __real_munmap(address, length);
}
// NOLINTEND(bugprone-reserved-identifier)
