#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "ipc/base/error.hpp"
#include "ipc/base/options.hpp"
#include "ipc/format/layout.hpp"
#include "ipc/os/fork.hpp"
#include "ipc/os/shared_object.hpp"

namespace ipc::inline v1::protocol {

using format::before;
using format::earlier_of;
using format::Group;
using format::GroupStatus;
using format::Header;
using format::later_of;
using format::Lease;
using format::LeaseState;
using format::Limit;
using format::Participant;
using format::Phase;
using format::Slot;
using format::SlotState;

/// The slots of a mapped data area. A small value, copied into each handle so that the hot path
/// reaches a slot with two multiplications.
struct Ring {
    std::byte* slots = nullptr;
    std::uint64_t mask = 0;
    std::uint64_t slot_size = 0;

    Slot& at(Position position) const {
        return *reinterpret_cast<Slot*>(slots + format::slot_of(position, mask) * slot_size);
    }
    std::uint64_t capacity() const { return mask + 1; }
};

enum class Access : std::uint8_t { watch, take_part };

/// One channel as this process has it mapped: control (read-write for those who take part,
/// read-only for those who watch) and data read-only. Shared by all handles of a process that came
/// from one open.
class IPC_API ChannelMemory {
public:
    ChannelMemory(std::string name, os::TransientDescriptor object, Access access,
                  const OpenOptions& options);

    const std::string& name() const { return name_; }
    const format::Preamble& preamble() const { return preamble_; }
    const format::Layout& layout() const { return preamble_.layout; }
    const OpenOptions& options() const { return options_; }
    Header& header() const { return *reinterpret_cast<Header*>(control_base_); }
    std::uint64_t capacity() const { return layout().capacity; }
    std::uint64_t step() const { return format::step_of(layout().capacity); }

    /// Readers' view of the slots: writing through it faults.
    Ring ring() const { return ring_; }
    /// Data as producers need it; the caller owns the mapping.
    os::Mapping map_data_writable() const;
    Ring ring_of(const os::Mapping& data) const;

    Participant& participant(unsigned index) const {
        return reinterpret_cast<Participant*>(control_base_ + layout().participants_offset)[index];
    }
    Group& group(unsigned index) const {
        return *reinterpret_cast<Group*>(control_base_ + layout().groups_offset +
                                         index * layout().group_stride);
    }
    /// Lease word and deadline of one position in one group.
    std::atomic<std::uint64_t>& lease(unsigned group_index, Position position) const {
        return lease_words(group_index)[position & ring_.mask];
    }
    std::atomic<std::uint64_t>& deadline(unsigned group_index, Position position) const {
        return lease_words(group_index)[capacity() + (position & ring_.mask)];
    }
    std::uint32_t lap_of(Position position) const {
        return static_cast<std::uint32_t>(position >> lap_shift_);
    }

    /// Entries ever used, checked against the table: the bound of every scan.
    unsigned participants_used() const;
    unsigned groups_used() const;

    /// The region of one participant index within a mapping of the data area.
    std::uint64_t region_offset(unsigned index) const {
        return layout().regions_offset + std::uint64_t{index} * layout().region_size;
    }
    const std::byte* data() const { return data_base_; }

    /// Whether the process that owns a participant entry still has its memory. A system call. When
    /// it has not, all that it stored is visible to the caller (EDGE death).
    bool is_alive(unsigned participant) const;
    /// Whether somebody changes the structure right now.
    bool registry_is_locked() const;

    /// Another open file description of the same object. Throws Error(removed) when the name is
    /// gone or means another object.
    os::TransientDescriptor open_again(bool writable) const;
    /// Reserves memory of the object, or throws Error(no_space).
    void reserve(std::uint64_t offset, std::uint64_t length, const char* what) const;

    /// Touches and locks a reserved range of one of this process's mappings, as its options ask.
    void make_resident(const std::byte* address, std::uint64_t length, bool writable) const;
    struct ObjectState {
        std::uint64_t size = 0;            ///< bytes; less than in the layout: truncated
        std::uint64_t reserved_bytes = 0;  ///< memory the object really takes
        bool unlinked = false;             ///< lost its name, wherever this process may look for it
    };
    /// One system call.
    ObjectState object_state() const;
    bool is_unlinked() const { return object_state().unlinked; }
    bool name_still_means_this() const;
    bool is_removed() const { return header().removed.load(std::memory_order_relaxed) != 0; }
    void mark_removed() { header().removed.store(1, std::memory_order_release); }
    /// Throws Error(forked) in a child that inherited this.
    void check_fork() const {
        if (fork_generation_ != os::fork_generation()) throw_forked();
    }
    std::uint32_t fork_generation() const { return fork_generation_; }
    [[noreturn]] void throw_forked() const;

private:
    bool is_held(std::uint64_t lock_byte) const;
    /// Nothing when the descriptor is not the object's any more.
    std::optional<os::ObjectStatus> probe_status() const;
    std::atomic<std::uint64_t>* lease_words(unsigned group_index) const {
        return reinterpret_cast<std::atomic<std::uint64_t>*>(&group(group_index) + 1);
    }

    std::string name_;
    OpenOptions options_;
    format::Preamble preamble_{};
    os::ObjectIdentity identity_{};
    os::TransientDescriptor probe_;  ///< read-only; probes locks, never takes one
    os::Mapping control_;
    os::Mapping data_;
    // The mappings' addresses, for the hot path.
    std::byte* control_base_ = nullptr;
    const std::byte* data_base_ = nullptr;
    Ring ring_;
    unsigned lap_shift_ = 0;
    std::uint32_t fork_generation_ = 0;
};

/// What the names of channels' objects begin with.
inline constexpr char object_prefix[] = "ipc.";
/// The prefix and the name; throws Error(bad_name).
IPC_API std::string object_name(const std::string& channel);
/// Whether the channel's name means this object at this moment.
bool name_means(const std::string& channel, const os::ObjectIdentity& object);
/// Opens this object by the channel's name. Throws Error(removed) when that is gone or means
/// another.
os::TransientDescriptor open_same(const std::string& channel, const os::ObjectIdentity& object,
                                  bool writable);
/// Group names follow the same rules; throws Error(bad_name) about the channel.
void check_group_name(const std::string& channel, const std::string& group);

/// What the name stands for cannot be a channel: a link, a directory, a device.
[[noreturn]] IPC_API void throw_no_file(const std::string& channel);

/// Runs `body`, turning what the operating system reports into an Error about this channel.
template <class Body>
auto about(const std::string& channel, const char* action, Body&& body) -> decltype(body()) {
    try {
        return body();
    } catch (const Error&) {
        throw;
    } catch (const os::NoSpace& error) {
        throw Error(Errc::no_space, channel,
                    std::string(action) + " needs " + std::to_string(error.needed()) + " bytes, " +
                        os::shared_memory_directory() + " has " +
                        std::to_string(error.available()) + " free",
                    "remove channels (ipc-rm), or give the container more (docker run "
                    "--shm-size=1g)");
    } catch (const std::system_error& error) {
        if (error.code() == std::errc::too_many_symbolic_link_levels ||
            error.code() == std::errc::is_a_directory) {
            throw_no_file(channel);
        }
        const bool refused = error.code() == std::errc::permission_denied ||
                             error.code() == std::errc::operation_not_permitted;
        throw Error(refused ? Errc::permission_denied : Errc::system, channel,
                    std::string(action) + ": " + error.what(),
                    refused ? "ask its owner for a mode and group that admit you" : "");
    }
}

}  // namespace ipc::inline v1::protocol
