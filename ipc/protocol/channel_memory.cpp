#include "ipc/protocol/channel_memory.hpp"

#include <unistd.h>

#include <algorithm>
#include <bit>

#include "ipc/os/lock.hpp"

namespace ipc::inline v1::protocol {

namespace {

constexpr char name_remedy[] = "use 1 to 128 letters, digits, '.', '_' or '-'";

bool is_name(const std::string& name) {
    return !name.empty() && name.size() <= 128 &&
           name.find_first_not_of(
               "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
               "0123456789._-") == std::string::npos;
}

/// A name that may be anything, for a line of text.
std::string quoted(const std::string& name) {
    std::string shown = name.substr(0, 40);
    for (char& c : shown) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
    }
    return "'" + shown + (name.size() > 40 ? "...'" : "'");
}

}  // namespace

std::string object_name(const std::string& channel) {
    if (!is_name(channel)) {
        throw Error(Errc::bad_name, quoted(channel), "not a valid name", name_remedy);
    }
    return object_prefix + channel;
}

bool name_means(const std::string& channel, const os::ObjectIdentity& object) {
    const auto status = os::status_of_name(object_name(channel));
    return status && status->identity == object;
}

os::TransientDescriptor open_same(const std::string& channel, const os::ObjectIdentity& object,
                                  bool writable) {
    auto opened = os::open_object(object_name(channel), writable);
    if (!opened || !(os::status_of(opened->get()).identity == object)) {
        throw Error(Errc::removed, channel, "it was removed, or replaced by another channel",
                    "open it again");
    }
    return std::move(*opened);
}

void check_group_name(const std::string& channel, const std::string& group) {
    if (!is_name(group)) {
        throw Error(Errc::bad_name, channel, "group " + quoted(group) + ": not a valid name",
                    name_remedy);
    }
}

void throw_no_file(const std::string& channel) {
    throw Error(Errc::corrupt, channel, "the object is not a regular file",
                "remove the file or choose another name");
}

ChannelMemory::ChannelMemory(std::string name, os::TransientDescriptor object, Access access,
                             const OpenOptions& options)
    : name_(std::move(name)), options_(options) {
    os::watch_forks();
    fork_generation_ = os::fork_generation();
    const os::ObjectStatus status = os::status_of(object.get());
    if (!status.regular) throw_no_file(name_);
    if (!options.allow_foreign_owner && status.owner != ::geteuid()) {
        throw Error(Errc::foreign_owner, name_,
                    "the object belongs to user " + std::to_string(status.owner),
                    "if you trust that user, open it with OpenOptions::allow_foreign_owner (tools: "
                    "--allow-foreign-owner)");
    }
    // Too short for a header cannot be mapped without risking SIGBUS; read() tells instead.
    if (::pread(object.get(), &preamble_, sizeof preamble_, 0) !=
        static_cast<ssize_t>(sizeof preamble_)) {
        throw Error(Errc::corrupt, name_, "the object is too short to be a channel",
                    "remove the file or choose another name");
    }
    format::check(name_, preamble_, status.size);
    preamble_.type_name[sizeof preamble_.type_name - 1] = 0;
    identity_ = status.identity;

    const bool take_part = access == Access::take_part;
    const os::MapOptions how{.huge_pages = options.huge_pages};
    control_ = os::Mapping::map(object.get(), 0, layout().control_size, take_part, how);
    data_ = os::Mapping::map(object.get(), layout().data_offset, layout().data_size, false, how);
    control_base_ = control_.data();
    data_base_ = data_.data();
    ring_ = ring_of(data_);
    // Group blocks and regions follow when they are used: until then they are not reserved.
    make_resident(control_base_, layout().groups_offset, take_part);
    make_resident(data_base_, layout().regions_offset, false);
    lap_shift_ = static_cast<unsigned>(std::countr_zero(layout().capacity));
    if (auto probe = os::open_object(object_name(name_), false);
        probe && os::status_of(probe->get()).identity == identity_) {
        probe_ = std::move(*probe);
    } else {
        throw Error(Errc::removed, name_, "it was removed while it was being opened",
                    "open it again");
    }
}

os::Mapping ChannelMemory::map_data_writable() const {
    return about(name_, "mapping", [&] {
        const auto object = open_again(true);
        return os::Mapping::map(object.get(), layout().data_offset, layout().data_size, true,
                                {.huge_pages = options_.huge_pages});
    });
}

Ring ChannelMemory::ring_of(const os::Mapping& data) const {
    return {.slots = data.data(), .mask = capacity() - 1, .slot_size = layout().slot_size};
}

unsigned ChannelMemory::participants_used() const {
    return std::min(header().participants_used.load(std::memory_order_acquire),
                    layout().max_participants);
}

unsigned ChannelMemory::groups_used() const {
    return std::min(header().groups_used.load(std::memory_order_acquire), layout().max_groups);
}

bool ChannelMemory::is_alive(unsigned participant) const {
    return is_held(format::participant_lock_byte(participant));
}

bool ChannelMemory::registry_is_locked() const {
    return is_held(format::registry_lock_byte);
}

/// A descriptor that the program closed by mistake tells nothing, and nor does another file that
/// got its number since: then everybody counts as alive, and deaths are left for others to find.
bool ChannelMemory::is_held(std::uint64_t lock_byte) const {
    try {
        return os::is_held(probe_.get(), lock_byte) || !probe_status();
    } catch (const std::system_error&) {
        return true;
    }
}

std::optional<os::ObjectStatus> ChannelMemory::probe_status() const {
    try {
        const os::ObjectStatus status = os::status_of(probe_.get());
        if (status.identity == identity_) return status;
    } catch (const std::system_error&) {
    }
    return std::nullopt;
}

os::TransientDescriptor ChannelMemory::open_again(bool writable) const {
    return open_same(name_, identity_, writable);
}

void ChannelMemory::reserve(std::uint64_t offset, std::uint64_t length, const char* what) const {
    about(name_, what, [&] {
        const auto object = open_again(true);
        os::reserve(object.get(), offset, length);
    });
}

void ChannelMemory::make_resident(const std::byte* address, std::uint64_t length,
                                  bool writable) const {
    os::make_resident(const_cast<std::byte*>(address), length, writable,
                      {.prefault = options_.prefault, .lock_memory = options_.lock_memory});
}

ChannelMemory::ObjectState ChannelMemory::object_state() const {
    const auto status = probe_status();
    if (!status) return {};
    return {.size = status->size,
            .reserved_bytes = status->reserved_bytes,
            .unlinked = status->links == 0};
}

bool ChannelMemory::name_still_means_this() const {
    return name_means(name_, identity_);
}

void ChannelMemory::throw_forked() const {
    throw Error(Errc::forked, name_, "a handle made before fork was used in the child",
                "open the channel again in the child");
}

}  // namespace ipc::inline v1::protocol
