#pragma once

// What the dead leave behind, and how it is given back.
//
// Death has one witness: the participant's lock byte, which the kernel holds exactly as long as the
// process has its memory. VERDICT: load the word, test its owner's lock, and act only through a CAS
// from (or after a second load of) the very word loaded first. An owner that finished in between
// changed the word; an entry gets a new owner only after everything of the old one was recovered,
// so the tested lock and the loaded word mean the same process. Verdicts are never remembered.
//
// EDGE death: the kernel gives a lock up after the last instruction of its holder, and tests it,
// under one spinlock. Whoever finds it free sees all that the dead had stored, so that the second
// load returns the last word. (The spinlock is taken while anybody holds a lock of the object, as
// each participant does, and who holds the registry.)
//
// Every step can be repeated: a recoverer that dies leaves the rest to the next one.
//
//   left behind                 who recovers it                                   how
//   CLAIMED slot                readers pass it; producers and the next attach    CAS to ABORTED
//   lease, reserved or leased   any sweep                                         CAS to returned
//   dead-pending lease          any sweep                                         CAS to nobody's
//   participant entry           next attach, or a sweep that gets the registry    marked free last
//   ephemeral group             the same, when its last member is dead            status to free
//   forming group               the same                                          status to free

#include "ipc/os/clock.hpp"
#include "ipc/protocol/channel_memory.hpp"

namespace ipc::inline v1::protocol {

/// VERDICT on a claimed slot: true when its owner is dead and the word is still the one seen.
IPC_API bool is_abandoned(const ChannelMemory& memory, const Slot& slot, SlotState seen);

/// Whether any participant, the dead that nobody recovered yet included, holds a lease, or a
/// claimed slot stands in a reader's way.
bool anything_in_flight(const ChannelMemory& memory);

/// How often somebody looks after the dead while anything is in flight.
constexpr os::Nanoseconds fast_tick = 50'000'000;

/// Whether nobody looked for that long: the busy then look themselves, between two messages.
bool is_sweep_due(const ChannelMemory& memory, os::Nanoseconds now);

/// Looks once at everything that may need a survivor: dead participants, expired leases, due
/// delays, missed hints and wake-ups, and, about once a second, an untold removal. `writable` lets
/// a producer repair slots too; null for readers. Returns whether anything is in flight. Costs a
/// system call for each other participant.
IPC_API bool sweep(ChannelMemory& memory, unsigned self, const Ring* writable);

/// Tells all when the channel lost its name, since its remover may have died before it did. A
/// system call.
void notice_removal(ChannelMemory& memory);
/// How often somebody who is awake does so.
constexpr os::Nanoseconds between_looks_for_removal = 1'000'000'000;

/// Gives back all leases of a dead member.
void recover_leases(ChannelMemory& memory, unsigned dead);

/// With the registry locked: frees entries of dead participants, ends ephemeral groups without live
/// members, and resets joins that never finished. `writable` as for sweep; without it, entries of
/// dead producers stay.
void tidy(ChannelMemory& memory, const Ring* writable);
/// The same of all the dead, so that their entries can be reused: repairs slots if it must.
void tidy_completely(ChannelMemory& memory);

}  // namespace ipc::inline v1::protocol
