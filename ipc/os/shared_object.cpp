#include "ipc/os/shared_object.hpp"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>

#include <boost/interprocess/mapped_region.hpp>

#include "ipc/os/failure.hpp"

namespace ipc::inline v1::os {
namespace {

using boost::interprocess::mapped_region;

constexpr std::uint64_t huge_page_size = std::uint64_t{2} << 20;

std::string path_of(const std::string& file_name) {
    return shared_memory_directory() + "/" + file_name;
}

struct stat stat_of(int descriptor) {
    struct stat status;
    if (::fstat(descriptor, &status) != 0) fail("get the status of the object");
    return status;
}

ObjectStatus to_status(const struct stat& status) {
    return {.identity = {.device = status.st_dev, .inode = status.st_ino},
            .size = static_cast<std::uint64_t>(status.st_size),
            .reserved_bytes = static_cast<std::uint64_t>(status.st_blocks) * 512,
            .owner = status.st_uid,
            .mode = status.st_mode & 07777,
            .regular = S_ISREG(status.st_mode),
            .links = static_cast<unsigned>(status.st_nlink)};
}

std::uint64_t allocated_bytes(int descriptor) {
    return to_status(stat_of(descriptor)).reserved_bytes;
}

std::uint64_t free_bytes(const struct statvfs& status) {
    return std::uint64_t{status.f_bavail} * status.f_frsize;
}

/// The view of a plain descriptor that Boost maps.
struct Mappable {
    int descriptor;
    boost::interprocess::mapping_handle_t get_mapping_handle() const {
        return boost::interprocess::ipcdetail::mapping_handle_from_file_handle(descriptor);
    }
};

/// Address space that nothing else gets, until it is given back or handed over to a mapping that
/// replaces it.
class AddressRange {
public:
    /// An address equal to `offset` modulo 2 MiB, as only then pages of that size can be mapped.
    AddressRange(std::uint64_t offset, std::uint64_t length)
        : size_(static_cast<std::size_t>(length)) {
        const auto page = static_cast<std::size_t>(mapped_region::get_page_size());
        size_ = (size_ + page - 1) / page * page;
        const std::size_t reserved = size_ + huge_page_size;
        void* const start = ::mmap(nullptr, reserved, PROT_NONE,
                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (start == MAP_FAILED) fail("find room in the address space");
        const std::size_t before =
            (offset - reinterpret_cast<std::uintptr_t>(start)) % huge_page_size;
        address_ = static_cast<std::byte*>(start) + before;
        if (before != 0) ::munmap(start, before);
        ::munmap(address_ + size_, reserved - before - size_);
    }
    AddressRange(const AddressRange&) = delete;
    AddressRange& operator=(const AddressRange&) = delete;
    ~AddressRange() {
        if (address_ != nullptr) ::munmap(address_, size_);
    }

    std::byte* address() const noexcept { return address_; }
    void hand_over() noexcept { address_ = nullptr; }

private:
    std::byte* address_;
    std::size_t size_;
};

std::unique_ptr<mapped_region> map_region(int descriptor, std::uint64_t offset,
                                          std::uint64_t length, bool writable, bool huge_pages) {
    const Mappable object{descriptor};
    const auto mode = writable ? boost::interprocess::read_write : boost::interprocess::read_only;
    const auto from = static_cast<boost::interprocess::offset_t>(offset);
    const auto size = static_cast<std::size_t>(length);
    try {
        if (!huge_pages) return std::make_unique<mapped_region>(object, mode, from, size);
        AddressRange range(offset, length);
        auto region =
            std::make_unique<mapped_region>(object, mode, from, size, range.address(), MAP_FIXED);
        range.hand_over();
        ::madvise(region->get_address(), size, MADV_HUGEPAGE);
        return region;
    } catch (const boost::interprocess::interprocess_exception& error) {
        fail("map the object", error.get_native_error());
    }
}

void touch_all_pages(std::byte* data, std::size_t size, bool writable) {
    const int advice = writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
    if (uninterrupted([&] { return ::madvise(data, size, advice); }) == 0) return;
    if (errno != EINVAL) fail("prefault the object");
    // Kernels before 5.14. Others may be writing here: adding nothing, as one step, changes
    // nothing.
    for (std::size_t at = 0; at < size; at += mapped_region::get_page_size()) {
        auto* const byte = reinterpret_cast<unsigned char*>(data + at);
        if (writable) {
            std::atomic_ref<unsigned char>(*byte).fetch_add(0, std::memory_order_relaxed);
        } else {
            static_cast<void>(*static_cast<const volatile unsigned char*>(byte));
        }
    }
}

[[noreturn]] void fail_to_lock(std::size_t size) {
    const int code = errno;
    rlimit limit{};
    ::getrlimit(RLIMIT_MEMLOCK, &limit);
    const std::string allowed = limit.rlim_cur == RLIM_INFINITY
                                    ? std::string("unlimited")
                                    : std::to_string(limit.rlim_cur) + " bytes";
    const std::string what = "lock " + std::to_string(size) +
                             " bytes in memory (RLIMIT_MEMLOCK is " + allowed +
                             " for all locked memory of the process; raise it, see ulimit -l)";
    fail(what.c_str(), code);
}

}  // namespace

const std::string& shared_memory_directory() {
    // Never destroyed: a handle may be, after the statics that were made while it was.
    static const std::string& directory = *[] {
        const char* const chosen = ::secure_getenv("IPC_DIRECTORY");
        return new std::string(chosen != nullptr && *chosen != '\0' ? chosen : "/dev/shm");
    }();
    return directory;
}

TransientDescriptor create_unnamed(mode_t mode) {
    auto object = TransientDescriptor::open(shared_memory_directory().c_str(), O_TMPFILE | O_RDWR,
                                            S_IRUSR | S_IWUSR);
    if (!object) fail("create an unnamed object");
    // The umask applied to the mode given to open.
    if (::fchmod(object.get(), mode) != 0) fail("set the permissions of the object");
    return object;
}

bool link_into_place(int descriptor, const std::string& file_name) {
    // Not /proc/self: that is empty when the main thread ended before the others.
    const std::string object = "/proc/thread-self/fd/" + std::to_string(descriptor);
    if (::linkat(AT_FDCWD, object.c_str(), AT_FDCWD, path_of(file_name).c_str(),
                 AT_SYMLINK_FOLLOW) == 0) {
        return true;
    }
    if (errno == EEXIST) return false;
    fail("link the object into place");
}

std::optional<TransientDescriptor> open_object(const std::string& file_name, bool writable) {
    const int flags = (writable ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    auto object = TransientDescriptor::open(path_of(file_name).c_str(), flags);
    if (object) return object;
    if (errno == ENOENT) return std::nullopt;
    fail("open the object");
}

ObjectStatus status_of(int descriptor) {
    return to_status(stat_of(descriptor));
}

std::optional<ObjectStatus> status_of_name(const std::string& file_name) {
    struct stat status;
    if (::lstat(path_of(file_name).c_str(), &status) == 0) return to_status(status);
    if (errno == ENOENT) return std::nullopt;
    fail("get the status of a name");
}

bool unlink_object(const std::string& file_name) {
    if (::unlink(path_of(file_name).c_str()) == 0) return true;
    if (errno == ENOENT) return false;
    fail("remove the name of the object");
}

std::vector<std::string> list_objects(const std::string& prefix) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(shared_memory_directory())) {
        std::string name = entry.path().filename().string();
        if (name.starts_with(prefix)) names.push_back(std::move(name));
    }
    std::sort(names.begin(), names.end());
    return names;
}

void set_size(int descriptor, std::uint64_t size) {
    if (uninterrupted([&] { return ::ftruncate(descriptor, static_cast<off_t>(size)); }) != 0) {
        fail("set the size of the object");
    }
}

NoSpace::NoSpace(std::uint64_t needed, std::uint64_t available)
    : std::system_error(ENOSPC, std::system_category(),
                        "reserve " + std::to_string(needed) + " bytes of memory, " +
                            std::to_string(available) + " available"),
      needed_(needed),
      available_(available) {}

void reserve(int descriptor, std::uint64_t offset, std::uint64_t length) {
    constexpr std::uint64_t smallest_chunk = std::uint64_t{64} << 10;
    std::uint64_t chunk = std::uint64_t{16} << 20;
    const std::uint64_t allocated_before = allocated_bytes(descriptor);
    for (std::uint64_t done = 0; done < length;) {
        const std::uint64_t part = std::min(chunk, length - done);
        const int code = ::posix_fallocate(descriptor, static_cast<off_t>(offset + done),
                                           static_cast<off_t>(part));
        if (code == 0) {
            done += part;
        } else if (code == EINTR) {
            // An interrupted chunk is undone. Smaller ones get done between two ticks of a
            // program's profiling timer, where repeating the same chunk would go on for ever.
            chunk = std::max(chunk / 2, smallest_chunk);
        } else if (code == ENOSPC) {
            struct statvfs status;
            if (::fstatvfs(descriptor, &status) != 0) fail("get the free space");
            const std::uint64_t allocated = allocated_bytes(descriptor);
            const std::uint64_t gained = allocated - std::min(allocated, allocated_before);
            throw NoSpace(length, free_bytes(status) + gained);
        } else {
            fail("reserve memory for the object", code);
        }
    }
}

Space space() {
    struct statvfs status;
    if (::statvfs(shared_memory_directory().c_str(), &status) != 0) fail("get the free space");
    return {.total = std::uint64_t{status.f_blocks} * status.f_frsize, .free = free_bytes(status)};
}

Mapping Mapping::map(int descriptor, std::uint64_t offset, std::uint64_t length, bool writable,
                     MapOptions options) {
    Mapping mapping(map_region(descriptor, offset, length, writable, options.huge_pages));
    make_resident(mapping.data(), mapping.size(), writable, options);
    return mapping;
}

void make_resident(std::byte* address, std::uint64_t length, bool writable, MapOptions options) {
    if (options.prefault) touch_all_pages(address, length, writable);
    if (options.lock_memory && ::mlock(address, length) != 0) fail_to_lock(length);
}

Mapping::Mapping() noexcept = default;
Mapping::Mapping(Mapping&&) noexcept = default;
Mapping& Mapping::operator=(Mapping&&) noexcept = default;
Mapping::~Mapping() = default;

Mapping::Mapping(std::unique_ptr<mapped_region> region) noexcept : region_(std::move(region)) {}

std::byte* Mapping::data() const noexcept {
    return region_ == nullptr ? nullptr : static_cast<std::byte*>(region_->get_address());
}

std::size_t Mapping::size() const noexcept {
    return region_ == nullptr ? 0 : region_->get_size();
}

}  // namespace ipc::inline v1::os
