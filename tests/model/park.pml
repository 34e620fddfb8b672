// Parking and waking: ipc/protocol/wait.hpp and wait.cpp, with the asymmetric barrier of
// ipc/os/membarrier.hpp.
//
// PUBLISHERS publishers publish MESSAGES messages each. GROUPS groups have MEMBERS members each, which
// share all messages; a member parks when it finds none. The heavy barrier is modelled as it is: while
// the call lasts, every registered process executes a full barrier, each at a moment of its own.
//
//   FENCE=1      the last publisher could not register for the barrier: it fences when it publishes
//   BUSY=1       a member may work for ever on a message it took
//   BATCH=1      publishers announce once, after all of their messages
//   IN_ORDER=1   a position is taken only after those before it are ready, as behind a claim; each
//                publisher makes its last one ready first; who publishes wakes for what stands ready
//                behind its own, too
//   TICKS=n      n times each member wakes up by time, looks, and goes on sleeping where it was
//   DEATHS=n     any n publishers and members die, each at any step; then a sentinel that sleeps
//                elsewhere sweeps, again and again, and wakes one member of a group that has news
//
// no_lost_wakeup  when nothing moves any more, no member sleeps while its group has a message: not
//                 even one whose comrades are all busy
//
// verify: quick | MEMORY=TSO PUBLISHERS=1 MEMBERS=1 MESSAGES=3
// verify: quick | MEMORY=C11 PUBLISHERS=1 MEMBERS=1 MESSAGES=1 WRITES=15
// verify: quick | MEMORY=TSO PUBLISHERS=2 MEMBERS=1 MESSAGES=1
// verify: quick | MEMORY=TSO PUBLISHERS=1 MEMBERS=2 MESSAGES=2 BUSY=1
// verify: quick | MEMORY=TSO PUBLISHERS=1 GROUPS=2 MEMBERS=1 MESSAGES=1
// verify: full  | MEMORY=C11 PUBLISHERS=1 MEMBERS=1 MESSAGES=2 WRITES=15
// verify: full  | MEMORY=TSO PUBLISHERS=1 GROUPS=2 MEMBERS=1 MESSAGES=2
// verify: full  | MEMORY=TSO PUBLISHERS=2 MEMBERS=2 MESSAGES=1 BUSY=1
// verify: full  | MEMORY=TSO PUBLISHERS=1 MEMBERS=3 MESSAGES=2 BUSY=1
// verify: quick | MEMORY=TSO PUBLISHERS=1 MEMBERS=2 MESSAGES=2 BATCH=1 BUSY=1
// verify: quick | MEMORY=TSO PUBLISHERS=1 MEMBERS=1 MESSAGES=2 FENCE=1
// verify: quick | MEMORY=TSO PUBLISHERS=1 MEMBERS=1 MESSAGES=2 TICKS=1
// verify: quick | MEMORY=TSO PUBLISHERS=1 MEMBERS=2 MESSAGES=1 TICKS=1
// verify: full  | MEMORY=TSO PUBLISHERS=2 MEMBERS=1 MESSAGES=1 TICKS=1
// verify: full  | MEMORY=C11 PUBLISHERS=1 MEMBERS=1 MESSAGES=1 TICKS=1 WRITES=15
// verify: quick | MEMORY=TSO PUBLISHERS=1 MEMBERS=1 MESSAGES=2 DEATHS=1
// verify: quick | MEMORY=SC PUBLISHERS=1 MEMBERS=2 MESSAGES=1 DEATHS=1
// verify: full  | MEMORY=TSO PUBLISHERS=2 MEMBERS=1 MESSAGES=1 DEATHS=1
// verify: quick | MEMORY=TSO PUBLISHERS=1 MEMBERS=2 MESSAGES=2 BUSY=1 IN_ORDER=1
// verify: full  | MEMORY=SC PUBLISHERS=2 MEMBERS=2 MESSAGES=1 BUSY=1 IN_ORDER=1
// mutate: no_lost_wakeup | WAKE_FOR_ITS_OWN MEMORY=TSO PUBLISHERS=1 MEMBERS=2 MESSAGES=2 BUSY=1 IN_ORDER=1
// mutate: no_lost_wakeup | NOBODY_SWEEPS MEMORY=TSO PUBLISHERS=1 MEMBERS=1 MESSAGES=2 DEATHS=1
// mutate: no_lost_wakeup | LOAD_BEFORE_STORE MEMORY=TSO PUBLISHERS=1 MEMBERS=1 MESSAGES=3
// mutate: no_lost_wakeup | WAKE_BEFORE_STORE MEMORY=TSO PUBLISHERS=1 MEMBERS=1 MESSAGES=3
// mutate: no_lost_wakeup | NO_HEAVY_BARRIER MEMORY=TSO PUBLISHERS=1 MEMBERS=1 MESSAGES=3
// mutate: no_lost_wakeup | BARRIER_OF_THE_SLEEPER_ALONE MEMORY=TSO PUBLISHERS=1 MEMBERS=1 MESSAGES=3
// mutate: no_lost_wakeup | UNREGISTERED_WITHOUT_FENCE MEMORY=TSO PUBLISHERS=1 MEMBERS=1 MESSAGES=2 FENCE=1
// mutate: no_lost_wakeup | NO_SECOND_LOOK MEMORY=TSO PUBLISHERS=1 MEMBERS=1 MESSAGES=3
// mutate: no_lost_wakeup | EXPECTED_READ_LATE MEMORY=TSO PUBLISHERS=1 MEMBERS=1 MESSAGES=3
// mutate: no_lost_wakeup | TICK_READS_EXPECTED MEMORY=TSO PUBLISHERS=1 MEMBERS=1 MESSAGES=2 TICKS=1
// mutate: no_lost_wakeup | WAKE_BEFORE_COUNT MEMORY=TSO PUBLISHERS=1 MEMBERS=1 MESSAGES=3
// mutate: no_lost_wakeup | CLEAR_ALWAYS MEMORY=TSO PUBLISHERS=1 MEMBERS=2 MESSAGES=2 BUSY=1
// mutate: no_lost_wakeup | CLEAR_WHATEVER_STANDS MEMORY=TSO PUBLISHERS=1 MEMBERS=1 MESSAGES=3
// mutate: no_lost_wakeup | ANNOUNCE_CHANNEL_FIRST MEMORY=TSO PUBLISHERS=1 MEMBERS=1 MESSAGES=3
// mutate: no_lost_wakeup | WAKE_ONE_FOR_A_BATCH MEMORY=TSO PUBLISHERS=1 MEMBERS=2 MESSAGES=2 BATCH=1 BUSY=1

#ifndef PUBLISHERS
#define PUBLISHERS 1
#endif
#ifndef GROUPS
#define GROUPS 1
#endif
#ifndef MEMBERS
#define MEMBERS 1
#endif
#ifndef MESSAGES
#define MESSAGES 1
#endif
#ifndef FENCE
#define FENCE 0
#endif
#ifndef BUSY
#define BUSY 0
#endif
#ifndef BATCH
#define BATCH 0
#endif
#ifndef IN_ORDER
#define IN_ORDER 0
#endif
#ifndef TICKS
#define TICKS 0
#endif
#ifndef DEATHS
#define DEATHS 0
#endif

#ifdef WAKE_ONE_FOR_A_BATCH
#define batch_count 1
#else
#define batch_count MESSAGES
#endif

#define SLEEPERS (GROUPS * MEMBERS)
#if DEATHS
#define sentinel (PUBLISHERS + SLEEPERS)
#define PROCESSES (PUBLISHERS + SLEEPERS + 1)
#else
#define PROCESSES (PUBLISHERS + SLEEPERS)  // publishers first
#endif
#define STORERS PUBLISHERS
#define POSITIONS (PUBLISHERS * MESSAGES)

#define channel_announcement 0
#define announcement(g) (1 + (g))
#define futex(g) (1 + GROUPS + (g))
#define ready(p) (1 + 2 * GROUPS + (p))
#define taken(g, p) (1 + 2 * GROUPS + POSITIONS + (g) * POSITIONS + (p))
#define WORDS (1 + 2 * GROUPS + POSITIONS + GROUPS * POSITIONS)

#include "memory.h"
#include "promises.h"

// Announcement: | sequence | pending |
#define pending(word) ((word) % 2 == 1)
#define announced(word) ((word) + 2 - (word) % 2 + 1)
#define cleared(word) ((word) - 1)

#define group_of(member) (((member) - PUBLISHERS) / MEMBERS)
#define seat(g, i) (PUBLISHERS + (g) * MEMBERS + (i))

bool asleep[PROCESSES];
bool busy[PROCESSES];

#define announce_in(word_index, seen) \
    read_modify_write(word_index, announced(seen), seen); \
    seen = 0

// membarrier: the kernel visits the processors in an order of its own; this one is as good as any,
// since each of them runs freely before and after its turn. Members store by read-modify-write alone.
inline heavy_barrier(i) {
    fence_full();
    i = 0;
    do
    :: i < PUBLISHERS ->
        if
        :: FENCE && i == PUBLISHERS - 1 -> skip  // not registered
        :: else -> executes_barrier(i)
        fi;
        i++
    :: else -> break
    od;
    i = 0;
    fence_full()
}

// FUTEX_WAKE of `count` sleepers of group g. Which of them the kernel wakes is its affair.
inline futex_wake(g, count, woken) {
    atomic {
        !dead[me];
        woken = 0;
        do
        :: woken < count && asleep[seat(g, 0)] -> asleep[seat(g, 0)] = false; woken++
#if MEMBERS > 1
        :: woken < count && asleep[seat(g, 1)] -> asleep[seat(g, 1)] = false; woken++
#endif
#if MEMBERS > 2
        :: woken < count && asleep[seat(g, 2)] -> asleep[seat(g, 2)] = false; woken++
#endif
        :: else -> break
        od
    }
}

#if IN_ORDER
#define published(step) (me * MESSAGES + (me + 1) * MESSAGES - 1 - (step))
#else
#define published(step) (step)
#endif

// count_owed: `wanted` is what stands ready from the publisher's own message on, or `count`.
inline count_owed(count, seen) {
#if IN_ORDER && !defined(WAKE_FOR_ITS_OWN)
    fence_full();
    next = published(position);
    do
    :: next < POSITIONS ->
        load_relaxed(ready(next), seen);
        if
        :: seen == 1 -> wanted++; next++
        :: else -> break
        fi
    :: else -> break
    od;
    next = 0;
    seen = 0;
    if
    :: wanted < count -> wanted = count
    :: else
    fi
#else
    wanted = count
#endif
}

// awake receives false when somebody may still sleep there unwoken.
inline wake_at(g, count, awake, seen, before, woken) {
    count_owed(count, seen);
    load_acquire(announcement(g), seen);
    if
    :: !pending(seen)
    :: else ->
#ifdef WAKE_BEFORE_COUNT
        futex_wake(g, wanted, woken);
        read_modify_write(futex(g), before + 1, before);
#else
        read_modify_write(futex(g), before + 1, before);
        futex_wake(g, wanted, woken);
#endif
#ifdef CLEAR_ALWAYS
        if
        :: true ->
#else
        if
        :: woken >= wanted -> awake = false
        :: else ->
#endif
#ifdef CLEAR_WHATEVER_STANDS
            load_acquire(announcement(g), seen);
#endif
            compare_exchange(announcement(g), seen, cleared(seen), before)
        fi;
        woken = 0;
        before = 0
    fi;
    wanted = 0;
    seen = 0
}

inline wake_readers(count, g, channel_seen, awake, seen, before, woken) {
    load_acquire(channel_announcement, channel_seen);
    awake = true;
    g = 0;
    do
    :: g < GROUPS -> wake_at(g, count, awake, seen, before, woken); g++
    :: else -> break
    od;
    g = 0;
    if
    :: awake ->
#ifdef CLEAR_WHATEVER_STANDS
        load_acquire(channel_announcement, channel_seen);
#endif
        if
        :: pending(channel_seen) ->
            compare_exchange(channel_announcement, channel_seen, cleared(channel_seen), before);
            before = 0
        :: else
        fi
    :: else
    fi;
    awake = false;
    channel_seen = 0
}

// announcement_after_publish
inline announcement_after_publish(count, g, channel_seen, awake, seen, before, woken) {
#if FENCE && !defined(UNREGISTERED_WITHOUT_FENCE)
    if
    :: me == PUBLISHERS - 1 -> fence_full()
    :: else
    fi;
#endif
    load_relaxed(channel_announcement, seen);
    if
    :: pending(seen) -> seen = 0; wake_readers(count, g, channel_seen, awake, seen, before, woken)
    :: else -> seen = 0
    fi
}

proctype Publisher(byte me) {
    registers;
    byte position = me * MESSAGES;
    byte g;
    byte channel_seen;
    bool awake;
    byte seen;
    byte before;
    byte woken;
    byte wanted;
#if IN_ORDER
    byte next;
#endif
    do
    :: position == (me + 1) * MESSAGES -> break
    :: else ->
#ifdef LOAD_BEFORE_STORE
        // What a compiler may do without the light barrier.
        load_relaxed(channel_announcement, seen);
        store_release(ready(published(position)), 1);
        if
        :: pending(seen) -> seen = 0; wake_readers(1, g, channel_seen, awake, seen, before, woken)
        :: else -> seen = 0
        fi;
#else
#ifdef WAKE_BEFORE_STORE
        announcement_after_publish(1, g, channel_seen, awake, seen, before, woken);
        store_release(ready(published(position)), 1);
#else
        store_release(ready(published(position)), 1);
#if BATCH
        if
        :: position % MESSAGES == MESSAGES - 1 ->
            announcement_after_publish(batch_count, g, channel_seen, awake, seen, before, woken)
        :: else
        fi;
#else
        announcement_after_publish(1, g, channel_seen, awake, seen, before, woken);
#endif
#endif
#endif
        position++
    od
}

// What has_news looks at: `position` receives a message that is ready and not taken, or POSITIONS. One
// step, since both words change only once: at the moment of its first load a look sees least. (IN_ORDER:
// the walk ends at the first position that is not ready.)
inline look(position, seen) {
    atomic {
        position = 0;
        do
        :: position < POSITIONS ->
            load_acquire(ready(position), seen);
            if
            :: seen == 1 ->
                load_acquire(taken(group_of(me), position), seen);
                if
                :: seen == 0 -> break
                :: else
                fi
#if IN_ORDER
            :: else -> position = POSITIONS; break
#else
            :: else
#endif
            fi;
            position++
        :: else -> break
        od;
        seen = 0
    }
}

proctype Member(byte me) {
    registers;
    byte position;
    byte expected;
    byte seen;
    byte before;
    byte i;
#if TICKS
    byte ticks;
#endif
receive:
    look(position, seen);
    if
    :: position < POSITIONS ->
        compare_exchange(taken(group_of(me), position), 0, 1, seen);
        position = 0;
#if BUSY
        if
        :: seen == 0 -> busy[me] = true; goto works
        :: true
        fi;
#endif
        seen = 0;
        goto receive
    :: else -> position = 0
    fi;
park:
#ifndef EXPECTED_READ_LATE
    load_acquire(futex(group_of(me)), expected);
#endif
#ifdef ANNOUNCE_CHANNEL_FIRST
    announce_in(channel_announcement, seen);
    announce_in(announcement(group_of(me)), seen);
#else
    announce_in(announcement(group_of(me)), seen);
    announce_in(channel_announcement, seen);
#endif
#if defined(BARRIER_OF_THE_SLEEPER_ALONE)
    fence_full();
#elif !defined(NO_HEAVY_BARRIER)
    heavy_barrier(i);
#endif
#ifndef NO_SECOND_LOOK
    look(position, seen);
    if
    :: position < POSITIONS -> position = 0; expected = 0; goto receive
    :: else -> position = 0
    fi;
#endif
#ifdef EXPECTED_READ_LATE
    load_acquire(futex(group_of(me)), expected);
#endif
sleep:
    // FUTEX_WAIT: the kernel compares and falls asleep as one step.
    atomic {
        !dead[me];
        if
        :: latest(futex(group_of(me))) == expected -> asleep[me] = true
        :: else
        fi
    }
    if
    :: !asleep[me] && !dead[me] -> expected = 0; goto park
#if TICKS
    :: atomic { asleep[me] && !dead[me] && ticks < TICKS -> asleep[me] = false; ticks++ }
        look(position, seen);
        if
        :: position < POSITIONS -> position = 0; expected = 0; goto receive
        :: else -> position = 0
        fi;
        load_acquire(announcement(group_of(me)), seen);
        if
        :: pending(seen) -> seen = 0
        :: else -> seen = 0; expected = 0; goto park
        fi;
#ifdef TICK_READS_EXPECTED
        load_acquire(futex(group_of(me)), expected);
#endif
        goto sleep
#endif
    fi;
works:
    seen = 0
}

#if DEATHS
byte deaths;

#define is_news(p) (latest(ready(p)) == 1 && latest(taken(0, p)) == 0)
#if POSITIONS == 1
#define any_news is_news(0)
#else
#define any_news (is_news(0) || is_news(1))
#endif
#if MEMBERS == 1
#define anybody_asleep asleep[seat(0, 0)]
#else
#define anybody_asleep (asleep[seat(0, 0)] || asleep[seat(0, 1)])
#endif

// sweep_group: ticks that find nothing are left out.
proctype Sentinel(byte me) {
    registers;
    byte seen;
    byte before;
    byte woken;
    byte wanted;
    bool awake;
    do
    :: deaths > 0 && any_news && anybody_asleep ->
        wake_at(0, 1, awake, seen, before, woken);
        awake = false
    od
}
#endif

init {
    byte i;
    byte g;
    atomic {
        for (i : 0 .. PUBLISHERS - 1) {
            run Publisher(i)
        }
        for (i : PUBLISHERS .. PUBLISHERS + SLEEPERS - 1) {
            run Member(i)
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
            :: i < PUBLISHERS + SLEEPERS - 1 -> i++
            :: break
            od;
            (!dead[i] && all_visible(i)) -> dead[i] = true;
            deaths++;
            // The kernel forgets a dead sleeper.
            asleep[i] = false;
            i = 0
        }
    :: timeout -> break
    od;
    skip;
#else
    timeout;
#endif
    d_step {
        for (g : 0 .. GROUPS - 1) {
            for (i : 0 .. POSITIONS - 1) {
                if
                :: latest(ready(i)) == 1 && latest(taken(g, i)) == 0 ->
                    k_ = seat(g, 0);
                    do
                    :: k_ < seat(g + 1, 0) -> PROMISE(no_lost_wakeup, !asleep[k_]); k_++
                    :: else -> break
                    od
                :: else
                fi
            }
        }
    }
}
