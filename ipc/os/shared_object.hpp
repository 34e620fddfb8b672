#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "ipc/export.hpp"
#include "ipc/os/fork.hpp"

namespace boost::interprocess {
class mapped_region;
}

namespace ipc::inline v1::os {

// Shared-memory objects: regular files of one directory in memory. All functions throw
// std::system_error for what they do not return. Names are names within that directory, checked by
// the caller to be free of '/'.

/// Where the objects live: /dev/shm, or the directory that the environment variable IPC_DIRECTORY
/// names, for tests in a place of their own. Read once per process, and ignored in set-user-ID
/// programs.
const std::string& shared_memory_directory();

/// Tells objects apart whatever their names are. Unique among objects that exist at one time.
struct ObjectIdentity {
    dev_t device;
    ino_t inode;

    friend bool operator==(const ObjectIdentity&, const ObjectIdentity&) = default;
};

struct ObjectStatus {
    ObjectIdentity identity;
    std::uint64_t size;            ///< in bytes, reserved or not
    std::uint64_t reserved_bytes;  ///< what of it takes memory
    uid_t owner;
    mode_t mode;     ///< permission bits only
    bool regular;    ///< a file, rather than a directory, link, FIFO, device or socket
    unsigned links;  ///< 0: has no name any more, or not yet
};

/// An object without a name, which disappears with its last open or mapping: nothing is left behind
/// when its maker dies. Open for reading and writing; its permissions are exactly `mode`.
TransientDescriptor create_unnamed(mode_t mode);

/// Gives an unnamed object its name, as one step. False when the name is taken.
bool link_into_place(int descriptor, const std::string& file_name);

/// A new open of an object; nothing when there is none. Does not follow links, and does not block,
/// whatever kind of file bears the name: the caller has to check `ObjectStatus::regular`.
std::optional<TransientDescriptor> open_object(const std::string& file_name, bool writable);

ObjectStatus status_of(int descriptor);
/// The status of what bears the name, of a link itself rather than its target; nothing when the
/// name is free.
std::optional<ObjectStatus> status_of_name(const std::string& file_name);

/// Removes the name; the object lives on where it is open or mapped. False when there was no such
/// name.
bool unlink_object(const std::string& file_name);

/// The names in the directory that start with `prefix`, in alphabetical order.
std::vector<std::string> list_objects(const std::string& prefix);

/// Sets the apparent size. Reserves no memory: touching what is not reserved can end in SIGBUS.
void set_size(int descriptor, std::uint64_t size);

/// The directory has no room for what should be reserved.
class IPC_API NoSpace : public std::system_error {
public:
    NoSpace(std::uint64_t needed, std::uint64_t available);
    /// Bytes that should have been reserved in all.
    std::uint64_t needed() const noexcept { return needed_; }
    /// Bytes that were there for it.
    std::uint64_t available() const noexcept { return available_; }

private:
    std::uint64_t needed_;
    std::uint64_t available_;
};

/// Reserves memory for a range of an object, extending the object when the range ends behind it, so
/// that touching it cannot fail later. Contents are kept, what is new reads as zeros; repeating is
/// harmless. Throws NoSpace when the directory is full; whatever was reserved by then stays
/// reserved until the object ends.
void reserve(int descriptor, std::uint64_t offset, std::uint64_t length);

struct Space {
    std::uint64_t total;  ///< bytes
    std::uint64_t free;   ///< bytes that this user can still reserve
};
/// The room in the directory.
Space space();

struct MapOptions {
    bool huge_pages = false;   ///< ask for 2 MiB pages; without effect where the system has none
    bool prefault = false;     ///< touch all pages now
    bool lock_memory = false;  ///< keep all pages in memory; fails when RLIMIT_MEMLOCK is too low
};

/// Touches and locks a range of a mapping, as the options ask; the range must be reserved. Throws
/// when it cannot be locked.
void make_resident(std::byte* address, std::uint64_t length, bool writable, MapOptions options);

/// A range of an object in this process's memory, unmapped by the destructor. The mapping keeps the
/// object alive, needs no open descriptor, and is inherited by forked children. Move-only; the
/// addresses stay the same when it moves.
class Mapping {
public:
    /// `offset` is a multiple of the page size, `length` not 0. Prefaulting or locking a range that
    /// is not reserved reserves it, or raises SIGBUS when there is no room.
    static Mapping map(int descriptor, std::uint64_t offset, std::uint64_t length, bool writable,
                       MapOptions options);

    Mapping() noexcept;
    Mapping(Mapping&&) noexcept;
    Mapping& operator=(Mapping&&) noexcept;
    ~Mapping();

    /// The first byte, or null when nothing is mapped.
    std::byte* data() const noexcept;
    /// In bytes, as asked for.
    std::size_t size() const noexcept;

private:
    explicit Mapping(std::unique_ptr<boost::interprocess::mapped_region> region) noexcept;

    std::unique_ptr<boost::interprocess::mapped_region> region_;  // null: nothing is mapped
};

}  // namespace ipc::inline v1::os
