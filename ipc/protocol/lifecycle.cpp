#include "ipc/protocol/lifecycle.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <optional>
#include <thread>

#include "ipc/os/process.hpp"
#include "ipc/protocol/recovery.hpp"
#include "ipc/protocol/registry.hpp"
#include "ipc/protocol/wait.hpp"

namespace ipc::inline v1::protocol {
namespace {

void initialise(const os::Mapping& control, const os::Mapping& slots,
                const format::Preamble& preamble) {
    auto& header = *reinterpret_cast<Header*>(control.data());
    const Position first = preamble.first_position;
    const std::uint64_t capacity = preamble.layout.capacity;
    const Ring ring{
        .slots = slots.data(), .mask = capacity - 1, .slot_size = preamble.layout.slot_size};
    for (std::uint64_t i = 0; i < capacity; ++i) {
        const Position previous = first + i - capacity;
        ring.at(previous).state.store(
            SlotState::make(previous, format::no_participant, Phase::free).bits,
            std::memory_order_relaxed);
    }
    header.limit.store(Limit::make(first, 0).bits, std::memory_order_relaxed);
    header.tail.store(first, std::memory_order_relaxed);
    header.sentinel.store(format::Sentinel::vacant().bits, std::memory_order_relaxed);
    std::memcpy(&header.preamble, &preamble, sizeof preamble);
}

std::string describe(const format::Layout& layout, bool temporary) {
    return "capacity " + std::to_string(layout.capacity) + ", slots of " +
           std::to_string(layout.slot_size) + " bytes, regions of " +
           std::to_string(layout.region_size == 0 ? 0
                                                  : layout.region_size - format::region_allowance) +
           " bytes, " + std::to_string(layout.max_participants) + " participants, " +
           std::to_string(layout.max_groups) + " groups" + (temporary ? ", temporary" : "");
}

void check_type(const ChannelMemory& memory, const MessageType& type) {
    const format::Preamble& preamble = memory.preamble();
    const bool is_alike = preamble.type.size == type.identity.size &&
                          preamble.type.alignment == type.identity.alignment;
    const bool asks_for_bytes = type.identity == format::TypeIdentity{};
    if (memory.options().any_type && (asks_for_bytes || is_alike)) return;
    if (preamble.type == type.identity) return;
    const auto show = [](const std::string& name, const format::TypeIdentity& identity) {
        return name.empty() ? std::string("bytes")
                            : name + " (" + std::to_string(identity.size) + " bytes, aligned to " +
                                  std::to_string(identity.alignment) + ")";
    };
    throw Error(Errc::type_differs, memory.name(),
                "it carries " + show(preamble.type_name, preamble.type) + ", asked for " +
                    show(type.name, type.identity),
                "use the same message type in all programs");
}

std::shared_ptr<ChannelMemory> try_open(const std::string& name, Access access,
                                        const OpenOptions& how) {
    return about(name, "opening", [&]() -> std::shared_ptr<ChannelMemory> {
        for (;;) {
            auto object = os::open_object(object_name(name), access == Access::take_part);
            if (!object) return nullptr;
            try {
                return std::make_shared<ChannelMemory>(name, std::move(*object), access, how);
            } catch (const Error& error) {
                if (error.code() != Errc::removed) throw;
            }
        }
    });
}

bool is_anyone_alive(const ChannelMemory& memory) {
    for (unsigned i = 0; i < memory.participants_used(); ++i) {
        if (memory.is_alive(i)) return true;
    }
    return false;
}

/// A temporary channel whose last participant died.
bool is_left_over(const ChannelMemory& memory) {
    return memory.preamble().temporary != 0 && memory.participants_used() != 0 &&
           !is_anyone_alive(memory);
}

/// Finishes the removal of a leftover; whether it was one.
bool was_left_over(ChannelMemory& memory) {
    if (!is_left_over(memory)) return false;
    try {
        const RegistryLock lock = RegistryLock::take(memory);
        if (!is_left_over(memory)) return false;
        about(memory.name(), "removing what its last participant left",
              [&] { unlink_locked(memory); });
    } catch (const Error& error) {
        if (error.code() != Errc::removed) throw;
    }
    return true;
}

/// Whether the name still meant this object, and is gone now.
bool unlink_if_it_means(const std::string& name, const os::ObjectIdentity& object) {
    return name_means(name, object) && os::unlink_object(object_name(name));
}

/// Takes the name away from an object that is no channel for this process, if it still bears it:
/// nobody is told, only the name is in the way. The object's registry lock, as for a channel: a
/// name gets another meaning only after somebody removed what it meant, and who does that holds the
/// lock. Of what is no file there is none, so that between the last look and the removal of a link
/// or a FIFO its name may come to mean a channel, if another removes it as well.
bool take_name_from(const std::string& name, const os::ObjectStatus& object) {
    std::optional<RegistryLock> lock;
    if (object.regular) {
        lock = RegistryLock::take(name, [&] { return open_same(name, object.identity, true); });
    }
    return about(name, "removing", [&] { return unlink_if_it_means(name, object.identity); });
}

/// Takes back the name of a channel that this process could not use after all, in want of
/// descriptors, for example. Then without the lock: somebody may remove it and make another in
/// between, but hardly will.
void discard(const std::string& name, const os::ObjectStatus& object) {
    try {
        take_name_from(name, object);
    } catch (const std::exception&) {
        unlink_if_it_means(name, object.identity);
    }
}

std::shared_ptr<ChannelMemory> try_create(const std::string& name, const ChannelOptions& options,
                                          const MessageType& type, const OpenOptions& how) {
    const std::string file = object_name(name);
    const format::Layout layout = format::layout_of(name, options);
    format::Preamble preamble{};
    preamble.magic = format::magic;
    preamble.version = format::format_version;
    preamble.fingerprint = format::fingerprint();
    preamble.channel_id = os::random_id();
    preamble.layout = layout;
    preamble.type = type.identity;
    preamble.first_position = options.first_position;
    preamble.inline_size = options.inline_size;
    preamble.temporary = options.temporary ? 1 : 0;
    preamble.creator_pid = ::getpid();
    preamble.creator_uid = ::geteuid();
    preamble.created_at = os::wall_clock();
    type.name.copy(preamble.type_name, sizeof preamble.type_name - 1);

    return about(name, "creating", [&]() -> std::shared_ptr<ChannelMemory> {
        os::TransientDescriptor object = os::create_unnamed(options.mode);
        if (options.group_id && ::fchown(object.get(), static_cast<uid_t>(-1),
                                         static_cast<gid_t>(*options.group_id)) != 0) {
            throw std::system_error(errno, std::system_category(), "changing the group");
        }
        os::set_size(object.get(), layout.object_size);
        os::reserve(object.get(), 0, layout.groups_offset);
        os::reserve(object.get(), layout.data_offset, layout.regions_offset);
        {
            const auto control = os::Mapping::map(object.get(), 0, layout.groups_offset, true, {});
            const auto slots =
                os::Mapping::map(object.get(), layout.data_offset, layout.regions_offset, true, {});
            initialise(control, slots, preamble);
        }
        const os::ObjectStatus status = os::status_of(object.get());
        if (!os::link_into_place(object.get(), file)) return nullptr;
        try {
            return std::make_shared<ChannelMemory>(name, std::move(object), Access::take_part, how);
        } catch (const Error& error) {
            // Removed by another process right after it got its name.
            if (error.code() == Errc::removed) return nullptr;
            discard(name, status);
            throw;
        } catch (...) {
            discard(name, status);
            throw;
        }
    });
}

}  // namespace

std::shared_ptr<ChannelMemory> create_channel(const std::string& name,
                                              const ChannelOptions& options,
                                              const MessageType& type, const OpenOptions& how) {
    for (int attempt = 0; attempt < 2; ++attempt) {
        if (auto memory = try_create(name, options, type, how)) return memory;
        // What holds the name may be the leftover of a temporary channel.
        const auto existing = try_open(name, Access::take_part, how);
        if (existing && !was_left_over(*existing)) break;
    }
    throw Error(Errc::already_exists, name, "exists already",
                "open it, or remove it first (ipc-rm " + name + ")");
}

std::shared_ptr<ChannelMemory> open_channel(const std::string& name, const MessageType& type,
                                            const OpenOptions& how) {
    object_name(name);
    const os::Deadline deadline = os::Deadline::after(how.wait);
    std::chrono::milliseconds pause{1};
    for (;;) {
        auto memory = try_open(name, Access::take_part, how);
        if (memory && !was_left_over(*memory)) {
            check_type(*memory, type);
            return memory;
        }
        if (deadline.passed()) {
            throw Error(Errc::not_found, name, "does not exist",
                        "create it, check the name (ipc-monitor --once lists all), or open with a "
                        "wait");
        }
        std::this_thread::sleep_for(pause);
        pause = std::min(pause * 2, std::chrono::milliseconds(20));
    }
}

std::shared_ptr<ChannelMemory> open_or_create_channel(const std::string& name,
                                                      const ChannelOptions& options,
                                                      const MessageType& type,
                                                      const OpenOptions& how) {
    const format::Layout wanted = format::layout_of(name, options);
    for (;;) {
        auto memory = try_open(name, Access::take_part, how);
        if (!memory) {
            memory = try_create(name, options, type, how);
            if (memory) return memory;
            continue;
        }
        if (was_left_over(*memory)) continue;
        check_type(*memory, type);
        const bool temporary = memory->preamble().temporary != 0;
        const bool same_start = memory->preamble().first_position == options.first_position;
        if (!(memory->layout() == wanted) || temporary != options.temporary || !same_start) {
            throw Error(Errc::options_differ, name,
                        "exists with " + describe(memory->layout(), temporary) + "; asked for " +
                            describe(wanted, options.temporary) +
                            (same_start ? "" : " and another first_position"),
                        "use the same options in all programs, or open without options");
        }
        return memory;
    }
}

std::shared_ptr<ChannelMemory> watch_channel(const std::string& name, bool allow_foreign_owner) {
    auto memory = try_open(name, Access::watch, {.allow_foreign_owner = allow_foreign_owner});
    if (!memory) {
        throw Error(Errc::not_found, name, "does not exist",
                    "check the name (ipc-monitor --once lists all)");
    }
    return memory;
}

void unlink_locked(ChannelMemory& memory) {
    // The name first: a refusal changes nothing. Should this process die before it told the
    // participants, those that wait find out by themselves. Nobody else can have replaced the name:
    // that takes the registry lock of this object.
    if (memory.name_still_means_this()) os::unlink_object(object_name(memory.name()));
    memory.mark_removed();
    wake_everyone(memory);
}

bool remove_channel(const std::string& name) {
    const std::string file = object_name(name);
    // Looked at before it is opened: what turns out to be damaged is this object, or one that came
    // since and stays.
    const auto found = about(name, "removing", [&] { return os::status_of_name(file); });
    if (!found) return false;
    std::shared_ptr<ChannelMemory> memory;
    try {
        memory = try_open(name, Access::take_part, {.allow_foreign_owner = true});
        if (!memory) return false;
        const RegistryLock lock = RegistryLock::take(*memory);
        return about(name, "removing", [&] {
            unlink_locked(*memory);
            return true;
        });
    } catch (const Error& error) {
        if (error.code() == Errc::removed) return false;
        if (error.code() != Errc::corrupt && error.code() != Errc::incompatible) throw;
    }
    try {
        return take_name_from(name, *found);
    } catch (const Error& error) {
        if (error.code() != Errc::removed) throw;
        return false;
    }
}

bool remove_if_dead(const std::string& name) {
    const auto memory = try_open(name, Access::take_part, {});
    if (!memory) return false;
    const RegistryLock lock = RegistryLock::take(*memory);
    if (is_anyone_alive(*memory)) return false;
    // A channel nobody attached to yet may have been created a moment ago.
    const os::Nanoseconds age = os::elapsed(memory->preamble().created_at, os::wall_clock());
    if (memory->participants_used() == 0 && age < 10'000'000'000) return false;
    tidy(*memory, nullptr);
    for (unsigned i = 0; i < memory->groups_used(); ++i) {
        const GroupStatus status{memory->group(i).status.load(std::memory_order_acquire)};
        const bool keeps = status.is_active() && status.has(GroupStatus::durable);
        if (keeps && memory->preamble().temporary == 0) return false;
    }
    unlink_locked(*memory);
    return true;
}

std::vector<std::string> list_channels() {
    auto names = os::list_objects(object_prefix);
    for (std::string& name : names)
        name.erase(0, sizeof object_prefix - 1);
    return names;
}

}  // namespace ipc::inline v1::protocol
