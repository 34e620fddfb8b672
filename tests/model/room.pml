// Waiting for room, and being refused: ipc/protocol/wait.cpp (wake_producers, announce_refusal),
// publish.cpp (claim, ask_for_room, pass_on_wake), subscriber.cpp (release, publish_position).
//
// PRODUCERS producers publish MESSAGES messages each into a ring of CAPACITY slots that READERS
// subscribers gate. The last POLLERS producers never wait: refused, they say so, and try again. The
// others park. A subscriber stores its mark every STEP messages, at once when a producer announced that
// it waits or was refused, and when it finds nothing to read. Readers are always woken for news, as
// park.pml shows; which of two producers has a position is publish.pml's matter.
//
//   FENCE=1      the last subscriber could not register for the barrier: it fences when it makes room
//   BUSY=1       a subscriber may work for ever on a message
//   GIVE_UP=1    a producer's wait may end by its deadline, at any moment
//   DEATHS=n     any n producers and subscribers die, each at any step; a sentinel that sleeps elsewhere
//                ends the group of a dead subscriber, and wakes producers that sleep although there is room
//
// no_lost_wakeup   when nothing moves any more, no producer sleeps while there is room
// refusal_stands   a producer that is refused then is announced: the next release will be for it
// no_hidden_room   a release that began while a refusal stood is in the mark
// not_stuck        when nobody works for ever, every message was published
//
// verify: quick | MEMORY=TSO PRODUCERS=1 POLLERS=0 MESSAGES=4
// verify: quick | MEMORY=TSO PRODUCERS=1 POLLERS=0 MESSAGES=4 FENCE=1
// verify: quick | MEMORY=TSO PRODUCERS=1 POLLERS=1 MESSAGES=4 BUSY=1
// verify: quick | MEMORY=TSO PRODUCERS=2 POLLERS=1 MESSAGES=2 BUSY=1
// verify: quick | MEMORY=TSO PRODUCERS=1 POLLERS=1 MESSAGES=3 READERS=2 BUSY=1
// verify: quick | MEMORY=TSO PRODUCERS=1 POLLERS=0 MESSAGES=4 DEATHS=1
// verify: quick | MEMORY=TSO PRODUCERS=1 POLLERS=0 MESSAGES=3 GIVE_UP=1
// verify: quick | MEMORY=C11 PRODUCERS=1 POLLERS=0 MESSAGES=3 WRITES=15
// verify: quick | MEMORY=C11 PRODUCERS=1 POLLERS=1 MESSAGES=3 WRITES=15
// verify: full  | MEMORY=TSO PRODUCERS=1 POLLERS=0 MESSAGES=3 READERS=2
// verify: full  | MEMORY=TSO PRODUCERS=2 POLLERS=0 MESSAGES=2 GIVE_UP=1
// verify: full  | MEMORY=TSO PRODUCERS=2 POLLERS=1 MESSAGES=2 DEATHS=1
// mutate: no_lost_wakeup | NO_HEAVY_BARRIER MEMORY=TSO PRODUCERS=1 POLLERS=0 MESSAGES=4
// mutate: no_lost_wakeup | NO_SECOND_LOOK MEMORY=TSO PRODUCERS=1 POLLERS=0 MESSAGES=4
// mutate: no_lost_wakeup | WAKE_BEFORE_MARK MEMORY=TSO PRODUCERS=1 POLLERS=0 MESSAGES=4
// mutate: no_lost_wakeup | UNREGISTERED_WITHOUT_FENCE MEMORY=TSO PRODUCERS=1 POLLERS=0 MESSAGES=4 FENCE=1
// mutate: no_lost_wakeup | REFUSAL_CLEARED_BY_A_STORE MEMORY=TSO PRODUCERS=2 POLLERS=1 MESSAGES=2 BUSY=1
// mutate: no_lost_wakeup | NOBODY_SWEEPS MEMORY=TSO PRODUCERS=1 POLLERS=0 MESSAGES=4 DEATHS=1
// mutate: no_hidden_room | REFUSAL_NOT_LOOKED_AT MEMORY=TSO PRODUCERS=1 POLLERS=1 MESSAGES=4 BUSY=1
// mutate: refusal_stands | ASKS_ONCE MEMORY=TSO PRODUCERS=1 POLLERS=1 MESSAGES=4 BUSY=1

#ifndef PRODUCERS
#define PRODUCERS 1
#endif
#ifndef POLLERS
#define POLLERS 0
#endif
#ifndef READERS
#define READERS 1
#endif
#ifndef MESSAGES
#define MESSAGES 2
#endif
#ifndef CAPACITY
#define CAPACITY 2
#endif
#ifndef STEP
#define STEP 2
#endif
#ifndef FENCE
#define FENCE 0
#endif
#ifndef BUSY
#define BUSY 0
#endif
#ifndef GIVE_UP
#define GIVE_UP 0
#endif
#ifndef DEATHS
#define DEATHS 0
#endif

#define sentinel (READERS + PRODUCERS)
#define PROCESSES (READERS + PRODUCERS + 1)  // readers first
#define STORERS READERS

#define room 0  // the announcement of those who want some
#define futex 1
#define tail 2
#define mark(r) (3 + (r))
#define WORDS (3 + READERS)

#include "memory.h"
#include "promises.h"

// Announcement: | sequence | refused | pending |
#define pending(word) ((word) % 2 == 1)
#define refused(word) ((word) / 2 % 2 == 1)
#define announced(word) ((word) % 4 != 0)
#define with_pending(word) ((word) + 4 + 1 - (word) % 2)
#define without_pending(word) ((word) - (word) % 2)
#define with_refused(word) ((word) - (word) % 4 + 2 + (word) % 2)
#define without_refused(word) ((word) - (word) % 4 + (word) % 2)

bool asleep[PROCESSES];
bool finished[PROCESSES];
bool stuck[PROCESSES];    // refused, and said so
bool gone[READERS];       // its group was ended
byte released[READERS];   // what only it knows
bool asked[READERS];      // its last release began while a refusal stood, and stands on

#define is_free_at(r) (gone[r] || latest(tail) < latest(mark(r)) + CAPACITY)
#if READERS == 1
#define is_room is_free_at(0)
#else
#define is_room (is_free_at(0) && is_free_at(1))
#endif
#if PRODUCERS == 1
#define anybody_asleep asleep[READERS]
#define anybody_stuck stuck[READERS]
#else
#define anybody_asleep (asleep[READERS] || asleep[READERS + 1])
#define anybody_stuck (stuck[READERS] || stuck[READERS + 1])
#endif

// membarrier; see park.pml. Producers store by read-modify-write alone.
inline heavy_barrier(r) {
    fence_full();
    r = 0;
    do
    :: r < READERS ->
        if
        :: FENCE && r == READERS - 1 -> skip  // not registered
        :: else -> executes_barrier(r)
        fi;
        r++
    :: else -> break
    od;
    r = 0;
    fence_full()
}

inline futex_wake(count, woken) {
    atomic {
        !dead[me];
        woken = 0;
        do
        :: woken < count && asleep[READERS] -> asleep[READERS] = false; woken++
#if PRODUCERS > 1
        :: woken < count && asleep[READERS + 1] -> asleep[READERS + 1] = false; woken++
#endif
        :: else -> break
        od
    }
}

inline wake_producers(count, seen, before, woken) {
    fence_full();
    load_acquire(room, seen);
    if
    :: refused(seen) ->
        atomic {
#ifdef REFUSAL_CLEARED_BY_A_STORE
            read_modify_write(room, without_refused(seen), before);
#else
            read_modify_write(room, without_refused(before), before);
#endif
            before = 0;
            asked[0] = false;
#if READERS > 1
            asked[1] = false
#endif
        }
    :: else
    fi;
    // wake_at
    load_acquire(room, seen);
    if
    :: pending(seen) ->
        read_modify_write(futex, before + 1, before);
        futex_wake(count, woken);
        if
        :: woken < count -> compare_exchange(room, seen, without_pending(seen), before)
        :: else
        fi;
        woken = 0;
        before = 0
    :: else
    fi;
    seen = 0
}

// ----------------------------------------------------------------------------------- subscribers

inline light_barrier() {
#if FENCE && !defined(UNREGISTERED_WITHOUT_FENCE)
    if
    :: me == READERS - 1 -> fence_full()
    :: else
    fi
#else
    skip
#endif
}

inline publish_position() {
    freed = released[me] - published;
    published = released[me];
#ifdef WAKE_BEFORE_MARK
    load_relaxed(room, seen);
    if
    :: announced(seen) -> seen = 0; wake_producers(freed, seen, before, woken)
    :: else -> seen = 0
    fi;
    store_release(mark(me), published);
#else
    store_release(mark(me), published);
    light_barrier();
    load_relaxed(room, seen);
    if
    :: announced(seen) -> seen = 0; wake_producers(freed, seen, before, woken)
    :: else -> seen = 0
    fi;
#endif
    freed = 0
}

proctype Reader(byte me) {
    registers;
    byte next;
    byte published;
    byte freed;
    byte seen;
    byte before;
    byte woken;
receive:
    load_acquire(tail, seen);
    if
    :: seen > next ->
        seen = 0;
        next++;
#if BUSY
        if
        :: true -> goto works
        :: true
        fi;
#endif
        // release
        atomic {
            !dead[me];
            released[me]++;
            asked[me] = refused(latest(room)) && anybody_stuck
        }
        light_barrier();
        load_relaxed(room, seen);
        if
#ifdef REFUSAL_NOT_LOOKED_AT
        :: released[me] - published >= STEP || pending(seen) -> seen = 0; publish_position()
#else
        :: released[me] - published >= STEP || announced(seen) -> seen = 0; publish_position()
#endif
        :: else -> seen = 0
        fi
    :: else ->
        seen = 0;
        if
        :: published != released[me] -> publish_position()
        :: else
        fi;
        latest(tail) > next && !dead[me]
    fi;
    goto receive;
works:
    seen = 0
}

// ------------------------------------------------------------------------------------- producers

// claim_now. One step: marks and the tail only grow, so a look sees least at its beginning.
inline claim(got) {
    atomic {
        load_acquire(tail, position);
        got = true;
        r = 0;
        do
        :: r < READERS ->
            load_acquire(mark(r), seen);
            got = got && (gone[r] || position < seen + CAPACITY);
            r++
        :: else -> break
        od;
        if
        :: got -> read_modify_write(tail, position + 1, seen)
        :: else
        fi;
        r = 0;
        seen = 0;
        position = 0
    }
}

proctype Poller(byte me) {
    registers;
    byte sent;
    byte position;
    byte seen;
    byte r;
    bool got;
send:
    claim(got);
    if
    :: got ->
        got = false;
        sent++;
        if
        :: sent == MESSAGES -> goto over
        :: else -> goto send
        fi
    :: else
    fi;
    // ask_for_room: announce_refusal
#ifdef ASKS_ONCE
    if
    :: sent > 0 -> goto poll
    :: else
    fi;
#endif
    load_relaxed(room, seen);
    if
    :: !announced(seen) -> read_modify_write(room, with_refused(seen), seen)
    :: else
    fi;
    seen = 0;
poll:
    atomic { !dead[me]; stuck[me] = true }
    if
    :: !dead[me] && is_room
#ifndef ASKS_ONCE
    :: !dead[me] && !announced(latest(room))
#endif
    fi;
    stuck[me] = false;
    goto send;
over:
    finished[me] = true
}

proctype Sleeper(byte me) {
    registers;
    byte sent;
    byte position;
    byte expected;
    byte seen;
    byte before;
    byte woken;
    byte r;
    bool got;
    bool gives_up;
send:
    claim(got);
    if
    :: got -> goto next
    :: else
    fi;
park:
    load_acquire(futex, expected);
    read_modify_write(room, with_pending(seen), seen);
    seen = 0;
#ifndef NO_HEAVY_BARRIER
    heavy_barrier(r);
#endif
#ifndef NO_SECOND_LOOK
    claim(got);
    if
    :: got || gives_up -> expected = 0; goto leave
    :: else
    fi;
#endif
    atomic {
        !dead[me];
        if
        :: latest(futex) == expected -> asleep[me] = true
        :: else
        fi;
        expected = 0
    }
    if
    :: !asleep[me] && !dead[me]
#if GIVE_UP
    :: atomic { !dead[me] -> asleep[me] = false; gives_up = true; goto park }
#endif
    fi;
    claim(got);
    if
    :: got -> goto leave
    :: else -> goto park
    fi;
leave:
    // pass_on_wake
    load_relaxed(room, seen);
    if
    :: announced(seen) && is_room -> seen = 0; wake_producers(1, seen, before, woken)
    :: else -> seen = 0
    fi;
    if
    :: !got -> goto over
    :: else
    fi;
next:
    got = false;
    sent++;
    if
    :: sent < MESSAGES -> goto send
    :: else
    fi;
over:
    finished[me] = true
}

#if DEATHS
byte deaths;

// sweep, by somebody who does not gate: ticks that find nothing are left out.
proctype Sentinel(byte me) {
    registers;
    byte seen;
    byte before;
    byte woken;
    do
    :: dead[0] && !gone[0] -> gone[0] = true
#if READERS > 1
    :: dead[1] && !gone[1] -> gone[1] = true
#endif
    :: deaths > 0 && is_room && anybody_asleep && pending(latest(room)) ->
        wake_producers(CAPACITY, seen, before, woken)
    od
}
#endif

init {
    byte i;
    atomic {
        for (i : 0 .. READERS - 1) {
            run Reader(i)
        }
        for (i : READERS .. READERS + PRODUCERS - 1) {
            if
            :: i >= READERS + PRODUCERS - POLLERS -> run Poller(i)
            :: else -> run Sleeper(i)
            fi
        }
#if DEATHS && !defined(NOBODY_SWEEPS)
        run Sentinel(sentinel);
#endif
        i = 0
    }
#if DEATHS
    do
    :: deaths < DEATHS ->
        atomic {
            i = 0;
            do
            :: i < READERS + PRODUCERS - 1 -> i++
            :: break
            od;
            (!dead[i] && all_visible(i)) -> dead[i] = true;
            deaths++;
            asleep[i] = false;
            stuck[i] = false;
            i = 0
        }
    :: timeout -> break
    od;
    skip;
#else
    timeout;
#endif
    d_step {
        for (i : READERS .. READERS + PRODUCERS - 1) {
            PROMISE(no_lost_wakeup, !(asleep[i] && is_room));
            PROMISE(refusal_stands, !stuck[i] || announced(latest(room)));
            PROMISE(not_stuck, BUSY || dead[i] || finished[i])
        }
        for (i : 0 .. READERS - 1) {
            PROMISE(no_hidden_room, dead[i] || !asked[i] || !anybody_stuck ||
                                        latest(mark(i)) == released[i])
        }
    }
}
