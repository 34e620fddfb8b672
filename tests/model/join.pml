// Joining against the limit: ipc/protocol/limit.hpp, limit.cpp, registry.cpp (form_group,
// join_alone, end_group), recovery.cpp (tidy), subscriber.cpp.
//
// PRODUCERS producers publish MESSAGES messages each and raise the limit as they need it (claim and
// READY are one step here; see publish.pml). A subscriber joins at any moment, reads in place from its
// start on, and moves its mark.
//
//   START=EARLIEST  begins with the oldest message that is whole; START=LATEST with the tail
//   DEATHS=1        the joiner dies at any step; another finds its entry and resets it, and may join
//   STEP=n          how far ahead of need a producer raises the limit
//
// no_loss    from its start on the subscriber is given every position, and what it holds stays
// not_stuck  nobody waits for a gate that is gone, or that its owner moved
//
// verify: quick | MEMORY=TSO START=EARLIEST PRODUCERS=1 MESSAGES=3
// verify: quick | MEMORY=C11 START=EARLIEST PRODUCERS=1 MESSAGES=3
// verify: quick | MEMORY=TSO START=EARLIEST PRODUCERS=2 MESSAGES=2
// verify: full  | MEMORY=C11 START=EARLIEST PRODUCERS=2 MESSAGES=2
// verify: quick | MEMORY=TSO START=LATEST PRODUCERS=2 MESSAGES=2
// verify: quick | MEMORY=TSO START=EARLIEST PRODUCERS=1 MESSAGES=4 CAPACITY=2 STEP=2
// verify: full  | MEMORY=TSO START=EARLIEST PRODUCERS=2 MESSAGES=3 CAPACITY=2 STEP=2
// verify: quick | MEMORY=TSO START=EARLIEST PRODUCERS=1 MESSAGES=3 DEATHS=1
// verify: quick | MEMORY=C11 START=EARLIEST PRODUCERS=1 MESSAGES=2 DEATHS=1
// mutate: no_loss | LIMIT_WITHOUT_EPOCH MEMORY=TSO START=EARLIEST PRODUCERS=1 MESSAGES=3
// mutate: no_loss | BARRIER_INSTEAD_OF_EPOCH MEMORY=TSO START=EARLIEST PRODUCERS=1 MESSAGES=3
// mutate: no_loss | EPOCH_BEFORE_GATE MEMORY=TSO START=EARLIEST PRODUCERS=1 MESSAGES=3
// mutate: no_loss | START_AT_THE_FORMER_LIMIT MEMORY=TSO START=EARLIEST PRODUCERS=1 MESSAGES=3
// mutate: no_loss | SCAN_BEFORE_LIMIT MEMORY=TSO START=EARLIEST PRODUCERS=1 MESSAGES=3
// mutate: no_loss | KNOWN_WHATEVER_THE_EPOCH MEMORY=TSO START=EARLIEST PRODUCERS=1 MESSAGES=3
// mutate: no_loss | LIMIT_STORED MEMORY=TSO START=EARLIEST PRODUCERS=1 MESSAGES=3
// mutate: not_stuck | FORMING_IS_NOT_RESET MEMORY=TSO START=EARLIEST PRODUCERS=1 MESSAGES=3 DEATHS=1

#define EARLIEST 0
#define LATEST 1
#ifndef START
#define START EARLIEST
#endif
#ifndef PRODUCERS
#define PRODUCERS 1
#endif
#ifndef CAPACITY
#define CAPACITY 1
#endif
#ifndef STEP
#define STEP 1
#endif
#ifndef MESSAGES
#define MESSAGES 3
#endif

#define joiner(i) (i)
#define producer(i) (2 + (i))
#define PROCESSES (2 + PRODUCERS)

#define first CAPACITY
#define past_the_last (CAPACITY + PRODUCERS * MESSAGES)

#define slot(p) ((p) % CAPACITY)
#define limit CAPACITY
#define status (CAPACITY + 1)
#define low_water (CAPACITY + 2)
#define WORDS (CAPACITY + 3)

#include "memory.h"
#include "promises.h"

// Limit: | position | epoch |
#define make_limit(p, epoch) ((p) * 4 + (epoch) % 4)
#define limit_position(w) ((w) / 4)
#define limit_epoch(w) ((w) % 4)

#define free 0
#define forming 1
#define active 2

bool joined[2];
bool at_the_end[2];
byte deaths;
byte finished;

// gate() into `low`; PRODUCERS cache the result of refresh_limit in `cached_limit`, and what the last
// scan allowed in `known`.
inline gate() {
    load_acquire(status, low);
    if
    :: low == free -> low = past_the_last
    :: else -> load_acquire(low_water, low)
    fi
}

proctype Producer(byte me) {
    registers;
    byte next = first;
    byte cached_limit = first;
    byte known;
    byte known_epoch;
    byte seen;
    byte low;
    byte goal;
    byte sent;
    do
    :: sent == MESSAGES || next == past_the_last -> break
    :: else ->
        do
        :: next < cached_limit -> break
        :: else ->
            // A full ring: waits until the gate has moved or is gone.
            latest(status) == free || latest(low_water) + CAPACITY > next ||
                limit_position(latest(limit)) > next;
#ifdef SCAN_BEFORE_LIMIT
            gate();
            load_acquire(limit, seen);
#else
            load_acquire(limit, seen);
#ifdef KNOWN_WHATEVER_THE_EPOCH
#define is_known (known >= next + STEP)
#else
#define is_known (known >= next + STEP && known_epoch == limit_epoch(seen))
#endif
            if
            :: is_known -> low = known - CAPACITY
            :: else ->
                gate();
                known = low + CAPACITY;
                known_epoch = limit_epoch(seen)
            fi;
#endif
            goal = (low + CAPACITY < next + STEP -> low + CAPACITY : next + STEP);
            if
            :: limit_position(seen) >= goal -> fence_release(); cached_limit = limit_position(seen)
            :: else ->
#ifdef LIMIT_STORED
                store_release(limit, make_limit(goal, limit_epoch(seen)));
                low = seen;
#else
                compare_exchange(limit, seen, make_limit(goal, limit_epoch(seen)), low);
#endif
                if
                :: low == seen -> fence_release(); cached_limit = goal
                :: else
                fi
            fi;
            low = 0;
            goal = 0;
            seen = 0
        od;
        compare_exchange(slot(next), next - CAPACITY, next, seen);
        if
        :: seen == next - CAPACITY -> sent++
        :: else
        fi;
        seen = 0;
        next++
    od;
    finished++
}

// oldest_whole
#define whole_from(w) (limit_position(w) - CAPACITY > first -> limit_position(w) - CAPACITY : first)

proctype Joiner(byte me; byte last) {
    registers;
    byte next;
    byte seen;
    // With the registry locked: the former joiner is dead, or there is none.
    if
    :: last -> dead[joiner(0)]; takes_over(joiner(0))
    :: else
    fi;
#ifndef FORMING_IS_NOT_RESET
    load_acquire(status, seen);
    if
    :: seen != free -> store_release(status, free)  // end_group
    :: else
    fi;
#endif
    if
    :: last -> goto done  // a sweep: it only tidies
    :: true
    fi;
    // form_group
    load_acquire(limit, seen);
    next = whole_from(seen);
    seen = 0;
#ifdef EPOCH_BEFORE_GATE
    read_modify_write(limit, make_limit(limit_position(seen), limit_epoch(seen) + 1), seen);
#endif
    store_release(low_water, next);  // the conservative mark
    store_release(status, forming);  // from here on it gates
#ifndef EPOCH_BEFORE_GATE
#if defined(LIMIT_WITHOUT_EPOCH)
    load_acquire(limit, seen);
#elif defined(BARRIER_INSTEAD_OF_EPOCH)
    fence_full();
    load_acquire(limit, seen);
#else
    read_modify_write(limit, make_limit(limit_position(seen), limit_epoch(seen) + 1), seen);
#endif
#ifndef START_AT_THE_FORMER_LIMIT
    next = whole_from(seen);
#endif
#else
    next = whole_from(seen);
#endif
    seen = 0;
#if START == LATEST
    // find_tail
    do
    :: next < past_the_last ->
        load_acquire(slot(next), seen);
        if
        :: seen >= next -> next++
        :: else -> break
        fi
    :: else -> break
    od;
    seen = 0;
#endif
    store_release(low_water, next);
    atomic { store_release(status, active); joined[me] = true }
    do
    :: next == past_the_last -> break
    :: latest(slot(next)) >= next ->
        // Reads it in place: nothing may have overwritten it, until the mark has moved on.
        atomic {
            load_acquire(slot(next), seen);
            PROMISE(no_loss, seen < next || (seen == next && latest(slot(next)) == next))
        }
        if
        :: seen >= next ->
            // User code has it.
            atomic { !dead[me]; PROMISE(no_loss, latest(slot(next)) == next) }
            next++;
            store_release(low_water, next)
        :: else
        fi;
        seen = 0
    od;
done:
    at_the_end[me] = true
}

init {
    byte i;
    atomic {
        for (i : 0 .. CAPACITY - 1) {
            initialise(slot(i), i)
        }
        initialise(limit, make_limit(first, 0));
        initialise(low_water, 0);
        for (i : 0 .. PRODUCERS - 1) {
            run Producer(producer(i))
        }
        run Joiner(joiner(0), false);
        run Joiner(joiner(1), true)
    }
    do
    :: deaths < DEATHS -> atomic { all_visible(0); dead[0] = true; deaths++ }
    :: timeout -> break
    od;
    skip;
    d_step {
        PROMISE(not_stuck, finished == PRODUCERS);
        PROMISE(not_stuck, at_the_end[deaths])
    }
}
