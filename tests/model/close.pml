// Closing a channel of an exclusive producer: ipc/protocol/publish.cpp (close_channel, close_as_asked,
// look_for_room, install_closed), registry.cpp (attach_producer), tail.hpp. Shared producers are in
// publish.pml.
//
// A producer publishes MESSAGES messages and leaves, or dies; another one takes its place. Meanwhile
// somebody closes the channel: it asks the producer that lives, which answers when it publishes next,
// and does it itself once there is none. The ring is long enough (see overwrite.pml).
//
//   DEATHS=n   any n of the three die, each at any step
//
// no_loss    everything that was published stands before the mark, and nothing behind it
// not_stuck  if the closer survives, the mark stands in the end, however the producers came and went
//
// verify: quick | MEMORY=TSO MESSAGES=2
// verify: quick | MEMORY=TSO MESSAGES=1 DEATHS=1
// verify: full  | MEMORY=TSO MESSAGES=2 DEATHS=2
// verify: quick | MEMORY=C11 MESSAGES=1 DEATHS=1
// mutate: no_loss | CLOSER_DOES_NOT_ASK MEMORY=TSO MESSAGES=2
// mutate: no_loss | MARK_IS_NOT_LOOKED_FOR MEMORY=TSO MESSAGES=1 DEATHS=1
// mutate: no_loss | CLOSER_KEEPS_NO_ENTRY MEMORY=TSO MESSAGES=1 DEATHS=1

#ifndef MESSAGES
#define MESSAGES 1
#endif

#define producer(i) (i)
#define closer 2
#define PROCESSES 3

#define POSITIONS (2 * MESSAGES + 2)
#define slot(p) (p)
#define announcement POSITIONS  // the bit close_requested
#define WORDS (POSITIONS + 1)

#include "memory.h"
#include "promises.h"

#define free 0
#define ready 1
#define closed 2

#define nobody PROCESSES
byte registry = nobody;  // who holds the lock; it dies with its holder
bool attached[PROCESSES];
#define lives(i) (attached[i] && !dead[i])
bool published[POSITIONS];
bool done[PROCESSES];
byte deaths;

#define is_closed_at(p) (latest(slot(p)) == closed)
#if MESSAGES == 1
#define is_marked (is_closed_at(0) || is_closed_at(1) || is_closed_at(2) || is_closed_at(3))
#else
#define is_marked                                                                \
    (is_closed_at(0) || is_closed_at(1) || is_closed_at(2) || is_closed_at(3) ||  \
     is_closed_at(4) || is_closed_at(5))
#endif

// The kernel's lock: whoever takes it has seen what its former holder, and whoever died, had done.
inline take_registry() {
    atomic {
        !dead[me] && (registry == nobody || dead[registry]);
        registry = me;
        takes_over(producer(0));
        takes_over(producer(1));
        takes_over(closer)
    }
}
inline release_registry() {
    atomic { !dead[me] && all_visible(me); registry = nobody }
}

// find_tail: is_taken counts no mark.
inline find_tail() {
    next = 0;
    do
    :: load_acquire(slot(next), seen);
        if
        :: seen == ready -> next++
        :: else -> break
        fi
    od;
    seen = 0
}

proctype Producer(byte me) {
    registers;
    byte next;
    byte seen;
    byte sent;
    if
    :: me == producer(1) -> done[producer(0)] || dead[producer(0)]
    :: else
    fi;
    do
    :: take_registry();
        if
        :: lives(closer) -> release_registry(); !lives(closer)
        :: else -> attached[me] = true; break
        fi
    od;
    release_registry();
    find_tail();
    load_acquire(announcement, seen);
    if
    :: seen == 1 -> seen = 0; goto close_as_asked
    :: else
    fi;
#ifndef MARK_IS_NOT_LOOKED_FOR
    load_acquire(slot(next), seen);
    if
    :: seen == closed -> seen = 0; goto over
    :: else
    fi;
#endif
    do
    :: sent == MESSAGES -> break
    :: else ->
        atomic {
            store_release(slot(next), ready);
            PROMISE(no_loss, !is_marked);
            published[next] = true
        }
        next++;
        sent++;
        load_relaxed(announcement, seen);
        if
        :: seen == 1 -> seen = 0; goto close_as_asked
        :: else -> seen = 0
        fi
    od;
    goto over;
close_as_asked:
    load_acquire(slot(next), seen);
    if
    :: seen == closed
    :: else ->
        store_release(slot(next), closed);
        all_visible(me) || dead[me]
    fi;
    seen = 0;
over:
    // detach
    take_registry();
    attached[me] = false;
    done[me] = true;
    release_registry()
}

proctype Closer(byte me) {
    registers;
    byte next;
    byte seen;
    do
    :: true ->
        take_registry();
#ifdef CLOSER_DOES_NOT_ASK
        break;
#endif
        if
        :: lives(producer(0)) || lives(producer(1)) ->
            release_registry();
            read_modify_write(announcement, 1, seen);
            seen = 0;
            is_marked || !(lives(producer(0)) || lives(producer(1)));
            if
            :: is_marked -> goto over
            :: else
            fi
        :: else -> break
        fi
    od;
#ifndef CLOSER_KEEPS_NO_ENTRY
    attached[me] = true;
#endif
    release_registry();
    find_tail();
    // claim_shared(closed)
    do
    :: compare_exchange(slot(next), free, closed, seen);
        if
        :: seen == ready -> next++
        :: else -> break
        fi
    od;
    seen = 0;
    take_registry();
    attached[me] = false;
    release_registry();
over:
    done[me] = true
}

init {
    byte i;
    atomic {
        run Producer(producer(0));
        run Producer(producer(1));
        run Closer(closer)
    }
    do
    :: deaths < DEATHS ->
        atomic {
            if
            :: !dead[0] && all_visible(0) -> dead[0] = true
            :: !dead[1] && all_visible(1) -> dead[1] = true
            :: !dead[2] && all_visible(2) -> dead[2] = true
            fi;
            deaths++
        }
    :: timeout -> break
    od;
    skip;
    d_step {
        PROMISE(not_stuck, dead[closer] || is_marked);
        i = 0;
        do
        :: i < POSITIONS && latest(slot(i)) == ready -> i++
        :: else -> break
        od;
        // i is the mark, or the tail of a channel that nobody closed.
        for (i : i .. POSITIONS - 1) {
            PROMISE(no_loss, !published[i] && latest(slot(i)) != ready)
        }
    }
}
