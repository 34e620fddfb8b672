// The sentinel: ipc/protocol/sentinel.hpp, sentinel.cpp, wait.cpp (park), member.hpp (take, hold),
// recovery.cpp (anything_in_flight).
//
// MEMBERS members of one group take MESSAGES messages from a publisher. One that has taken a message
// works on it for ever, so its lease stays in flight, or dies; one that waits may give up. What is promised
// must hold at once, not at the next tick, so nobody ticks but as TICKS says.
//
// What park.pml shows is taken for granted: sleepers are announced, and a futex that changed since it
// was read lets nobody sleep (here a bit for each member instead of a count). Announcements are never
// cleared, which costs wakers a needless call.
//
//   GIVE_UP=n  the first n members may give up when their deadline passes
//   TICKS=n    n times each member that has the duty ticks, then sleeps on or, when its own sweep woke
//              others at its place, anew
//   SPIN=1     the last member never parks
//   ACK=1      members may also acknowledge what they took, and go on
//   DEATHS=n   n of those die that are about to take a lease, or took one, or publish
//
// sentinel_is_fast  when nothing moves any more, somebody holds a lease and somebody sleeps: then one
//                   of the sleepers has the duty and ticks fast, so that a death is noticed in 50 ms
// no_lost_wakeup    the duty takes no wake-up away that was meant for news
//
// verify: quick | MEMORY=TSO MEMBERS=2 MESSAGES=2 ACK=1
// verify: quick | MEMORY=SC MEMBERS=3 MESSAGES=1 SPIN=1 GIVE_UP=1
// verify: quick | MEMORY=TSO MEMBERS=2 MESSAGES=1 SPIN=1 DEATHS=2
// verify: quick | MEMORY=TSO MEMBERS=2 MESSAGES=1 SPIN=1 TICKS=1
// verify: full  | MEMORY=TSO MEMBERS=2 MESSAGES=2 ACK=1 TICKS=1
// verify: full  | MEMORY=TSO MEMBERS=3 MESSAGES=1 SPIN=1 GIVE_UP=1
// verify: full  | MEMORY=TSO MEMBERS=3 MESSAGES=1 GIVE_UP=1
// verify: full  | MEMORY=C11 MEMBERS=2 MESSAGES=1 SPIN=1 WRITES=15
// mutate: sentinel_is_fast | SLOW_RESIGNS_SILENTLY MEMORY=SC MEMBERS=3 MESSAGES=1 SPIN=1 GIVE_UP=1
// mutate: sentinel_is_fast | NO_HAND_OVER MEMORY=SC MEMBERS=3 MESSAGES=1 SPIN=1 GIVE_UP=1
// mutate: sentinel_is_fast | NO_SCAN MEMORY=SC MEMBERS=3 MESSAGES=1 SPIN=1 GIVE_UP=1
// mutate: sentinel_is_fast | CALLED_AFTER_LEASE MEMORY=TSO MEMBERS=2 MESSAGES=1 SPIN=1 DEATHS=2
// mutate: sentinel_is_fast | HELD_AFTER_LEASE MEMORY=SC MEMBERS=3 MESSAGES=1 SPIN=1 GIVE_UP=1
// mutate: sentinel_is_fast | CALLS_UNHEARD MEMORY=TSO MEMBERS=2 MESSAGES=1 SPIN=1 TICKS=1
// mutate: sentinel_is_fast | NOBODY_WATCHES_OVER MEMORY=SC MEMBERS=3 MESSAGES=1 SPIN=1 GIVE_UP=1

#ifndef MEMBERS
#define MEMBERS 2
#endif
#ifndef MESSAGES
#define MESSAGES 1
#endif
#ifndef GIVE_UP
#define GIVE_UP 0
#endif
#ifndef SPIN
#define SPIN 0
#endif
#ifndef ACK
#define ACK 0
#endif
#ifndef TICKS
#define TICKS 0
#endif

#define publisher MEMBERS
#define PROCESSES (MEMBERS + 1)

#define sentinel 0
#define ready(p) (1 + (p))
#define taken(p) (1 + MESSAGES + (p))
#define has_leases(i) (1 + 2 * MESSAGES + (i))
#define futex (1 + 2 * MESSAGES + MEMBERS)  // not its value, but what its accesses order
#define WORDS (2 + 2 * MESSAGES + MEMBERS)

#include "memory.h"
#include "promises.h"

// Sentinel: | participant + 1 | fast |; the heartbeat only tells ages
#define vacant 0
#define make_sentinel(who, fast) (((who) + 1) * 2 + (fast))
#define is_fast(word) ((word) % 2 == 1)
#define holder(word) ((word) / 2 - 1)

#define news_bit 1
#define duty_bit 2
byte asleep[MEMBERS];  // the bits it sleeps for, 0 = awake
bool changed[MEMBERS]; // the futex, since this member read it
bool busy[MEMBERS];
bool about_to_hold[MEMBERS];  // or holds
byte deaths;

// membarrier; see park.pml
inline heavy_barrier() {
#if MEMORY == SC
    skip
#else
    i = 0;
    do
    :: i < PROCESSES -> executes_barrier(i); i++
    :: else -> break
    od;
    i = 0
#endif
}

// futex += 1
inline increment_futex() {
    read_modify_write(futex, 0, seen);
    seen = 0;
    d_step {
        !dead[me];
        k_ = 0;
        do
        :: k_ < MEMBERS -> changed[k_] = true; k_++
        :: else -> break
        od;
        k_ = 0
    }
}

// wake_at(parking, 1)
inline wake_one() {
    increment_futex();
    atomic {
        !dead[me];
        if
        :: asleep[0] != 0 -> asleep[0] = 0
        :: asleep[1] != 0 -> asleep[1] = 0
#if MEMBERS > 2
        :: asleep[2] != 0 -> asleep[2] = 0
#endif
        :: else
        fi
    }
}

// call_sentinel
inline call_sentinel() {
#ifndef NO_FENCE_BEFORE_CALL
    fence_full();
#endif
    load_acquire(sentinel, seen);
    if
    :: seen == vacant -> wake_one()
    :: seen != vacant && is_fast(seen)
    :: else ->
        increment_futex();
        d_step {
            !dead[me];
            k_ = 0;
            do
            :: k_ < MEMBERS ->
                if
                :: asleep[k_] == news_bit + duty_bit -> asleep[k_] = 0
                :: else
                fi;
                k_++
            :: else -> break
            od;
            k_ = 0
        }
    fi;
    seen = 0
}

// watch_over: by whoever is about to take a lease, and has none
inline watch_over() {
    load_relaxed(sentinel, seen);
    if
#ifndef NOBODY_WATCHES_OVER
    :: seen == vacant || !is_fast(seen) -> seen = 0; call_sentinel()
#endif
    :: else -> seen = 0
    fi
}

// A look for a message: see park.pml.
inline look() {
    atomic {
        position = 0;
        do
        :: position < MESSAGES ->
            load_acquire(ready(position), seen);
            if
            :: seen == 1 ->
                load_acquire(taken(position), seen);
                if
                :: seen == 0 -> break
                :: else
                fi
            :: else
            fi;
            position++
        :: else -> break
        od;
        seen = 0
    }
}

#define can_take(p) (latest(ready(p)) == 1 && latest(taken(p)) == 0)

inline beat(fast) {
    atomic {
        compare_exchange(sentinel, duty, make_sentinel(me, fast), seen);
        duty = (seen == duty -> make_sentinel(me, fast) : vacant);
        seen = 0
    }
}

// anything_in_flight
inline scan() {
    i = 0;
    do
    :: i < MEMBERS ->
        load_relaxed(has_leases(i), seen);
        if
        :: seen != 0 -> break
        :: else
        fi;
        i++
    :: else -> break
    od;
    seen = 0;
    in_flight = (i < MEMBERS);
    i = 0
}

proctype Member(byte me) {
    registers;
    byte position;
    byte seen;
    byte i;
    byte duty;  // the sentinel word while it is this one's, else vacant
    bool in_flight;
    bool gives_up;
#if TICKS
    byte ticks;
#endif
receive:
    look();
    if
    :: position < MESSAGES ->
#if defined(HELD_AFTER_LEASE)
        atomic {
            compare_exchange(taken(position), 0, 1, seen);
            if
            :: seen == 0 -> busy[me] = true
            :: else
            fi;
            position = 0
        }
        if
        :: seen == 0 -> watch_over(); store_relaxed(has_leases(me), 1)
        :: else -> seen = 0; goto receive
        fi;
#else
        // begin_lease()
        about_to_hold[me] = true;
        store_relaxed(has_leases(me), 1);
#ifndef CALLED_AFTER_LEASE
        watch_over();
#endif
        atomic {
            compare_exchange(taken(position), 0, 1, seen);
            if
            :: seen == 0 -> busy[me] = true
            :: else
            fi;
            position = 0
        }
        if
#ifdef CALLED_AFTER_LEASE
        :: seen == 0 -> watch_over()
#else
        :: seen == 0
#endif
        :: else ->
            seen = 0;
            store_relaxed(has_leases(me), 0);
            atomic { !dead[me]; about_to_hold[me] = false }
            goto receive
        fi;
#endif
        if
        :: true -> goto over  // works for ever
#if ACK
        :: true ->
            atomic { !dead[me]; busy[me] = false }
            store_relaxed(has_leases(me), 0);  // end_lease()
            atomic { !dead[me]; about_to_hold[me] = false }
            goto receive
#endif
        fi
    :: else -> position = 0
    fi;
#if SPIN
    if
    :: me == MEMBERS - 1 ->
#if MESSAGES == 1
        can_take(0);
#else
        can_take(0) || can_take(1);
#endif
        goto receive
    :: else
    fi;
#endif
park:
    atomic { read_modify_write(futex, 0, seen); seen = 0; changed[me] = false }  // expected = futex
    heavy_barrier();
sleep:
    look();
    if
    :: position < MESSAGES -> position = 0; gives_up = false; goto leave
    :: else -> position = 0
    fi;
    if
    :: gives_up -> goto leave
    :: else
    fi;
    // next_tick
    if
    :: duty == vacant ->
        load_acquire(sentinel, seen);
        if
        :: seen == vacant || holder(seen) == me ->
            duty = seen;
            seen = 0;
#ifdef FAST_BY_HOPE
            beat(1)
#else
            beat(0);
            if
            :: duty != vacant ->
                // look_closely
#ifndef NO_BARRIER_BEFORE_SCAN
                heavy_barrier();
#endif
#ifndef NO_SCAN
                scan();
                if
                :: in_flight -> in_flight = false; beat(1)
                :: else
                fi
#endif
            :: else
            fi
#endif
        :: else -> seen = 0
        fi
#ifndef CALLS_UNHEARD
    :: duty != vacant && !is_fast(duty) ->
        scan();
        if
        :: in_flight -> in_flight = false; beat(1)
        :: else
        fi
#endif
    :: else
    fi;
    // FUTEX_WAIT
    atomic {
        !dead[me];
        if
        :: !changed[me] -> asleep[me] = (duty == vacant -> news_bit : news_bit + duty_bit)
        :: else
        fi
    }
    if
    :: asleep[me] == 0
    :: atomic { asleep[me] != 0 && me < GIVE_UP -> asleep[me] = 0; gives_up = true; goto park }
#if TICKS
    :: atomic { asleep[me] != 0 && duty != vacant && ticks < TICKS -> asleep[me] = 0; ticks++ }
        scan();  // sweep
        if
        :: in_flight -> in_flight = false; beat(1)
        :: else ->
            beat(0);
            if
            :: duty != vacant ->
                heavy_barrier();
                scan();
                if
                :: in_flight -> in_flight = false; beat(1)
                :: else
                fi
            :: else
            fi
        fi;
        if
        :: goto sleep
        :: goto park
        fi
#endif
    fi;
    // Woken: first what it was woken for
    look();
    if
    :: position < MESSAGES -> position = 0; goto leave
    :: else -> position = 0
    fi;
    goto park;
leave:
    // ~SentinelDuty
    if
    :: duty != vacant ->
        compare_exchange(sentinel, duty, vacant, seen);
#ifdef NO_HAND_OVER
        seen = 0;
#else
        if
        :: seen == duty && is_fast(duty) -> seen = 0; call_sentinel()
#ifndef SLOW_RESIGNS_SILENTLY
        :: seen == duty && !is_fast(duty) ->
            seen = 0;
#ifndef NO_FENCE_AFTER_RESIGNING
            fence_full();
#endif
            scan();
            if
            :: in_flight -> in_flight = false; call_sentinel()
            :: else
            fi
#endif
        :: else -> seen = 0
        fi;
#endif
        duty = vacant
    :: else
    fi;
    if
    :: !gives_up -> goto receive
    :: else
    fi;
over:
    seen = 0
}

proctype Publisher(byte me) {
    registers;
    byte position;
    byte seen;
    do
    :: position == MESSAGES -> break
    :: else ->
        store_release(ready(position), 1);
        wake_one();
        position++
    od
}

init {
    byte i;
    byte sleeper;
    atomic {
        initialise(sentinel, vacant);
        for (i : 0 .. MEMBERS - 1) {
            run Member(i)
        }
        run Publisher(publisher);
        i = 0
    }
#if DEATHS
    do
    :: deaths < DEATHS ->
        atomic {
            if
            :: about_to_hold[0] && !dead[0] && all_visible(0) -> dead[0] = true
            :: about_to_hold[1] && !dead[1] && all_visible(1) -> dead[1] = true
            :: !dead[publisher] && all_visible(publisher) -> dead[publisher] = true
            fi;
            deaths++
        }
    :: timeout -> break
    od;
    skip;
#else
    timeout;
#endif
    d_step {
        sleeper = MEMBERS;
        for (i : 0 .. MEMBERS - 1) {
            if
            :: asleep[i] != 0 -> sleeper = i
            :: else
            fi
        }
        for (i : 0 .. MEMBERS - 1) {
            PROMISE(sentinel_is_fast, !busy[i] || sleeper == MEMBERS ||
                                          (is_fast(latest(sentinel)) &&
                                           asleep[holder(latest(sentinel))] == news_bit + duty_bit))
        }
        for (i : 0 .. MESSAGES - 1) {
            PROMISE(no_lost_wakeup, latest(taken(i)) == 1 || sleeper == MEMBERS || deaths != 0)
        }
    }
}
