#include "ipc/protocol/registry.hpp"

#include <chrono>

#include "ipc/os/clock.hpp"
#include "ipc/os/membarrier.hpp"
#include "ipc/os/process.hpp"
#include "ipc/protocol/group.hpp"
#include "ipc/protocol/lifecycle.hpp"
#include "ipc/protocol/recovery.hpp"
#include "ipc/protocol/sentinel.hpp"

namespace ipc::inline v1::protocol {
namespace {

using format::is_active;
using format::is_producer;
using format::ParticipantState;
using format::Role;
using format::role_of;

constexpr auto relaxed = std::memory_order_relaxed;
constexpr std::chrono::seconds registry_patience{10};

unsigned find_free_entry(ChannelMemory& memory) {
    const unsigned used = memory.participants_used();
    for (unsigned i = 0; i < used; ++i) {
        // A dying process gives up its registry lock and its life one after the other.
        if (!is_active(memory.participant(i)) && !memory.is_alive(i)) return i;
    }
    if (used == memory.layout().max_participants) {
        throw Error(Errc::limit_reached, memory.name(),
                    "all " + std::to_string(used) + " participant entries are in use",
                    "create the channel with a larger max_participants");
    }
    memory.header().participants_used.store(used + 1, std::memory_order_release);
    return used;
}

}  // namespace

RegistryLock RegistryLock::take(const ChannelMemory& memory) {
    RegistryLock lock = take(memory.name(), [&] { return memory.open_again(true); });
    if (!memory.name_still_means_this()) {
        throw Error(Errc::removed, memory.name(), "it was removed in the meantime",
                    "open it again");
    }
    return lock;
}

RegistryLock RegistryLock::take(const std::string& channel,
                                const std::function<os::TransientDescriptor()>& open) {
    auto lock = about(channel, "locking the registry", [&] {
        return os::hold(open, format::registry_lock_byte, os::Deadline::after(registry_patience));
    });
    if (!lock) {
        throw Error(Errc::timed_out, channel, "another process has held the registry for 10 s",
                    "look for a stopped process that attaches to this channel");
    }
    return RegistryLock(std::move(lock));
}

RegistryLock RegistryLock::try_take(const ChannelMemory& memory) noexcept {
    try {
        return RegistryLock(os::try_hold(memory.open_again(true), format::registry_lock_byte));
    } catch (const std::exception&) {
        return RegistryLock(os::HeldLock());
    }
}

Attachment fill_entry(ChannelMemory& memory, Role role, unsigned group, std::uint32_t incarnation,
                      const std::string& name) {
    Attachment attachment;
    attachment.index = find_free_entry(memory);
    // Registered before the entry is visible: whoever sees it may rely on the barrier.
    attachment.needs_fence = !os::register_for_barrier();
    attachment.life = about(memory.name(), "locking a participant entry", [&] {
        return os::try_hold(memory.open_again(true),
                            format::participant_lock_byte(attachment.index));
    });
    if (!attachment.life) {
        throw Error(
            Errc::corrupt, memory.name(),
            "participant entry " + std::to_string(attachment.index) + " is marked free but locked",
            "remove the channel and create it again");
    }
    const os::ProcessIdentity process = os::this_process();
    Participant& entry = memory.participant(attachment.index);
    // Odd while it is written, whatever a predecessor that died here left.
    const std::uint32_t writing = entry.version.load(relaxed) | 1U;
    entry.version.store(writing, relaxed);
    std::atomic_thread_fence(std::memory_order_release);  // EDGE entry: odd before what follows
    entry.role.store(static_cast<std::uint8_t>(role), relaxed);
    entry.group.store(static_cast<std::uint16_t>(group), relaxed);
    entry.group_incarnation.store(incarnation, relaxed);
    entry.pid.store(process.pid, relaxed);
    entry.pid_namespace.store(process.pid_namespace, relaxed);
    entry.start_time.store(process.start_time, relaxed);
    entry.attached_at.store(os::wall_clock(), relaxed);
    format::store_name(entry.name, name.empty() ? os::process_name(process.pid) : name);
    entry.has_leases.store(0, relaxed);
    entry.received_at.store(0, relaxed);
    entry.activity.store(static_cast<std::uint8_t>(format::Activity::running), relaxed);
    entry.activity_since.store(os::now(), relaxed);
    entry.version.store(writing + 1, std::memory_order_release);  // EDGE entry
    entry.state.store(static_cast<std::uint8_t>(ParticipantState::active),
                      std::memory_order_release);
    return attachment;
}

Attachment attach_producer(ChannelMemory& memory, ProducerKind kind, const std::string& name,
                           OwnRegion region) {
    memory.check_fork();
    const bool exclusive = kind == ProducerKind::exclusive;
    const RegistryLock lock = RegistryLock::take(memory);
    tidy_completely(memory);
    const unsigned used = memory.participants_used();
    for (unsigned i = 0; i < used; ++i) {
        const Participant& entry = memory.participant(i);
        if (!is_active(entry) || !is_producer(role_of(entry))) continue;
        if (!exclusive && role_of(entry) == Role::shared_producer) continue;
        throw Error(Errc::producer_lives, memory.name(),
                    std::string(exclusive ? "cannot be its exclusive producer: "
                                          : "has an exclusive producer: ") +
                        format::load_name(entry.name) + " (pid " +
                        std::to_string(entry.pid.load(relaxed)) + ") produces",
                    "wait until it ends, or use shared producers everywhere");
    }
    Attachment attachment = fill_entry(
        memory, exclusive ? Role::exclusive_producer : Role::shared_producer, 0, 0, name);
    if (region == OwnRegion::reserved && memory.layout().region_size != 0) {
        try {
            memory.reserve(memory.layout().data_offset + memory.region_offset(attachment.index),
                           memory.layout().region_size, "reserving a producer's payload region");
        } catch (...) {
            free_entry(memory, attachment.index);
            throw;
        }
    }
    return attachment;
}

void detach(ChannelMemory& memory, Attachment& attachment) noexcept {
    if (!attachment.life) return;  // also in a forked child, whose parent still has it
    try {
        const RegistryLock lock = RegistryLock::take(memory);
        free_entry(memory, attachment.index);
        if (memory.preamble().temporary != 0) {
            tidy_completely(memory);
            if (!has_participants(memory)) unlink_locked(memory);
        }
        // Before the registry: whoever locks it next finds the entry free in both respects.
        attachment.life.release();
    } catch (const std::exception&) {
        // The lock byte below is what counts: without it the entry is a dead one's.
    }
    attachment.life.release();
}

void free_entry(ChannelMemory& memory, unsigned index) {
    Participant& entry = memory.participant(index);
    const unsigned group = entry.group.load(relaxed);
    if (!is_producer(role_of(entry)) && group < memory.groups_used()) {
        const GroupStatus status{memory.group(group).status.load(std::memory_order_acquire)};
        if (status.is_active() && !status.has(GroupStatus::durable) &&
            !has_members(memory, group, index)) {
            end_group(memory, group);
        }
    }
    relieve_of_duty(memory, index);
    entry.has_leases.store(0, relaxed);
    entry.state.store(static_cast<std::uint8_t>(ParticipantState::free), std::memory_order_release);
}

bool has_participants(const ChannelMemory& memory) {
    const unsigned used = memory.participants_used();
    for (unsigned i = 0; i < used; ++i) {
        if (is_active(memory.participant(i))) return true;
    }
    return false;
}

}  // namespace ipc::inline v1::protocol
