// What readers may rely on while producers overwrite: the edges ready, limit and settle of
// ipc/protocol/publish.hpp, limit.hpp, lossy_reader.hpp, region.hpp, subscriber.hpp, lease.hpp.
//
// PRODUCERS producers publish MESSAGES messages into CAPACITY slots; one is exclusive (and has a
// successor when it may die), two are shared and claim. A payload has two words.
//
//   READER=LOSSY       copies out and checks the limit afterwards; may skip
//   READER=SUBSCRIBER  gates: reads in place, then stores its low-water mark
//   READER=MEMBER      gates: reads in place, then settles its lease; whoever finds the mark movable
//                      moves it (the producer and a third process)
//   BLOCKS=n           payload lies in n blocks of the producer's region instead of the slots; a
//                      block is reclaimed after the limit was raised past its message + capacity
//
// torn_read  what a reader accepts is the whole message of the position it asked for
// order      positions are accepted in ascending order, each at most once
// no_loss    a gate is given every position; without one, the reader gets to the end all the same
//
// Loads that are satisfied after a later store of their own thread are outside all memories. Only
// the edge settle depends on them: READ_AFTER_RELEASE is what a mark stored without release allows.
//
// verify: quick | MEMORY=TSO READER=LOSSY MESSAGES=4
// verify: quick | MEMORY=C11 READER=LOSSY MESSAGES=4
// verify: quick | MEMORY=TSO READER=LOSSY DEATHS=1
// verify: quick | MEMORY=C11 READER=LOSSY DEATHS=1
// verify: quick | MEMORY=C11 READER=LOSSY CAPACITY=2 STEP=2 MESSAGES=5
// verify: quick | MEMORY=TSO READER=LOSSY CAPACITY=2 BLOCKS=1 MESSAGES=4
// verify: quick | MEMORY=C11 READER=LOSSY CAPACITY=2 BLOCKS=1 MESSAGES=4
// verify: quick | MEMORY=TSO READER=LOSSY PRODUCERS=2
// verify: quick | MEMORY=C11 READER=LOSSY PRODUCERS=2 MESSAGES=2
// verify: full  | MEMORY=C11 READER=LOSSY PRODUCERS=2 MESSAGES=3
// verify: quick | MEMORY=TSO READER=SUBSCRIBER DEATHS=1
// verify: quick | MEMORY=C11 READER=SUBSCRIBER DEATHS=1
// verify: quick | MEMORY=C11 READER=SUBSCRIBER PRODUCERS=2
// verify: quick | MEMORY=TSO READER=MEMBER DEATHS=1
// verify: quick | MEMORY=C11 READER=MEMBER MESSAGES=4
// verify: full  | MEMORY=C11 READER=MEMBER DEATHS=1
// mutate: torn_read | READY_STORED_RELAXED MEMORY=C11 READER=LOSSY MESSAGES=4
// mutate: torn_read | READY_LOADED_RELAXED MEMORY=C11 READER=LOSSY MESSAGES=4
// mutate: torn_read | NO_RELEASE_FENCE MEMORY=C11 READER=LOSSY MESSAGES=4
// mutate: torn_read | NO_ACQUIRE_FENCE MEMORY=C11 READER=LOSSY MESSAGES=4
// mutate: torn_read | CHECK_BEFORE_COPY MEMORY=TSO READER=LOSSY MESSAGES=4
// mutate: torn_read | OVERWRITE_BEFORE_RAISE MEMORY=TSO READER=LOSSY MESSAGES=4
// mutate: torn_read | RECLAIM_WITHOUT_LIMIT MEMORY=TSO READER=LOSSY CAPACITY=2 BLOCKS=1 MESSAGES=4
// mutate: torn_read | CACHED_LIMIT_WITHOUT_FENCE MEMORY=C11 READER=LOSSY PRODUCERS=2 MESSAGES=2
// mutate: torn_read | READ_AFTER_RELEASE MEMORY=TSO READER=SUBSCRIBER DEATHS=1
// mutate: torn_read | READ_AFTER_RELEASE MEMORY=TSO READER=MEMBER DEATHS=1

#define LOSSY 0
#define SUBSCRIBER 1
#define MEMBER 2
#ifndef READER
#define READER LOSSY
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
#ifndef BLOCKS
#define BLOCKS 0
#endif

#define reader 0
#define mover 1
#define first_producer 2
#define PROCESSES 4

#define first CAPACITY  // the first position; slots start with those of the lap before
#define past_the_last (CAPACITY + MESSAGES)

#define limit 0
#define state(p) (1 + (p) % CAPACITY)
#if BLOCKS
#define descriptor(p) (1 + CAPACITY + (p) % CAPACITY)
#define payload(p, block, i) (1 + 2 * CAPACITY + 2 * (block) + (i))
#define after_payload (1 + 2 * CAPACITY + 2 * BLOCKS)
#else
#define payload(p, block, i) (1 + CAPACITY + 2 * ((p) % CAPACITY) + (i))
#define after_payload (1 + 3 * CAPACITY)
#endif
#define low_water after_payload
#define lease(p) (after_payload + 1 + (p) % CAPACITY)
#if READER == LOSSY
#define WORDS after_payload
#elif READER == SUBSCRIBER
#define WORDS (after_payload + 1)
#else
#define WORDS (after_payload + 1 + CAPACITY)
#endif

#include "memory.h"
#include "promises.h"

// | position | ready |: claimed when not ready
#define ready_at(p) ((p) * 2 + 1)
#define claimed_at(p) ((p) * 2)
#define position_of(word) ((word) / 2)
// What a producer writes for a position differs from what its successor writes for it.
#define content(p) ((p) * 2 + me % 2)

#ifdef NO_RELEASE_FENCE
#define raised() skip
#else
#define raised() fence_release()  // EDGE limit
#endif
#ifdef READY_STORED_RELAXED
#define store_ready(w, v) store_relaxed(w, v)
#else
#define store_ready(w, v) store_release(w, v)  // EDGE ready
#endif
#ifdef READY_LOADED_RELAXED
#define load_ready(w, x) load_relaxed(w, x)
#else
#define load_ready(w, x) load_acquire(w, x)  // EDGE ready
#endif

byte published;
byte accepted = first;  // the position after the last one accepted
bool reader_done;
#define producers_done (finished == PRODUCERS || finished + deaths == PRODUCERS + (PRODUCERS == 1))
byte finished;
byte deaths;

// advance_low_water
inline advance_low_water(low, lease_word, before) {
    load_acquire(low_water, low);
    load_acquire(lease(low), lease_word);
    if
    :: lease_word == low -> compare_exchange(low_water, low, low + 1, before)
    :: else
    fi;
    lease_word = 0;
    before = 0
}

// gate() and refresh_limit(): cached_limit receives the limit.
inline refresh_limit(tail, cached_limit, seen, low, goal) {
    do
    :: load_acquire(limit, seen);
        goal = tail + STEP;
#if READER == MEMBER
        advance_low_water(low, goal, cached_limit);
        goal = tail + STEP;
#endif
#if READER != LOSSY
#ifdef MARK_LOADED_RELAXED
        load_relaxed(low_water, low);
#else
        load_acquire(low_water, low);  // EDGE settle
#endif
        goal = (low + CAPACITY < goal -> low + CAPACITY : goal);
#endif
        if
        :: seen >= goal ->
#ifndef CACHED_LIMIT_WITHOUT_FENCE
            raised();
#endif
            cached_limit = seen;
            break
        :: else ->
#ifdef OVERWRITE_BEFORE_RAISE
            cached_limit = goal;
            break
#else
            compare_exchange(limit, seen, goal, cached_limit);
            if
            :: cached_limit == seen ->
                raised();
                cached_limit = goal;
                break
            :: else
            fi
#endif
        fi
    od;
    low = 0;
    goal = 0;
    seen = 0
}

proctype Producer(byte me) {
    registers;
    byte next = first;
    byte cached_limit = first;
    byte seen;
    byte low;
    byte goal;
    byte block;
#if BLOCKS
    byte block_message[BLOCKS];  // the newest message of each block, 0 = none
#endif
    // Who attaches after a death continues where the dead stopped.
    do
    :: next == past_the_last -> break
    :: else ->
        load_acquire(state(next), seen);
        if
        :: position_of(seen) >= next && seen % 2 == 1 -> next++
        :: else -> break
        fi
    od;
    seen = 0;
    cached_limit = next;
    do
    :: next == past_the_last -> break
    :: next < past_the_last ->
#if BLOCKS
        block = next % BLOCKS;
        if
        :: block_message[block] != 0 ->
            // raise_limit(newest + capacity + 1)
            goal = block_message[block] + CAPACITY + 1;
#ifndef RECLAIM_WITHOUT_LIMIT
            do
            :: load_acquire(limit, seen);
                if
                :: seen >= goal -> raised(); break
                :: else ->
                    compare_exchange(limit, seen, goal, low);
                    if
                    :: low == seen -> raised(); break
                    :: else
                    fi
                fi
            od;
#endif
            goal = 0;
            low = 0;
            seen = 0
        :: else
        fi;
        store_relaxed(payload(next, block, 0), content(next));
        store_relaxed(payload(next, block, 1), content(next));
#endif
        do
        :: next < cached_limit -> break
        :: else ->
#if READER == SUBSCRIBER
            latest(low_water) + CAPACITY > next;
#elif READER == MEMBER
            latest(low_water) + CAPACITY > next || latest(lease(next)) == next - CAPACITY;
#endif
            refresh_limit(next, cached_limit, seen, low, goal)
        od;
#if PRODUCERS > 1
        // claim_shared
        load_acquire(state(next), seen);
        if
        :: position_of(seen) >= next -> seen = 0; next++; goto skip_position
        :: seen == claimed_at(next - CAPACITY) ->
            latest(state(next)) != seen;
            seen = 0;
            goto skip_position
        :: else
        fi;
        compare_exchange(state(next), seen, claimed_at(next), goal);
        if
        :: goal != seen -> seen = 0; goal = 0; goto skip_position
        :: else -> seen = 0; goal = 0
        fi;
#endif
#if BLOCKS
        store_relaxed(descriptor(next), block);
        block_message[block] = next;
        block = 0;
#else
        store_relaxed(payload(next, block, 0), content(next));
        store_relaxed(payload(next, block, 1), content(next));
#endif
        store_ready(state(next), ready_at(next));
#ifdef OVERWRITE_BEFORE_RAISE
        load_acquire(limit, seen);
        if
        :: seen < cached_limit -> compare_exchange(limit, seen, cached_limit, goal)
        :: else
        fi;
        goal = 0;
        seen = 0;
#endif
        next++;
skip_position:
    od;
    finished++
}

#if READER == LOSSY

#ifdef NO_ACQUIRE_FENCE
#define copied() skip
#else
#define copied() fence_acquire()  // EDGE limit
#endif

// was_whole
inline check_whole(p, seen, whole) {
    copied();
    load_relaxed(limit, seen);
    whole = (seen <= p + CAPACITY);
    seen = 0
}

proctype Reader(byte me) {
    registers;
    byte next = first;
    byte seen;
    byte block;
    byte copy[2];
    bool whole;
    do
    :: next == past_the_last -> break
    :: next < past_the_last ->
        position_of(latest(state(next))) > next || latest(state(next)) == ready_at(next);
        load_ready(state(next), seen);
        if
        :: seen == ready_at(next) ->
            seen = 0;
#if BLOCKS
            load_relaxed(descriptor(next), block);
            check_whole(next, seen, whole);  // peek
            if
            :: !whole -> block = 0; goto catch_up
            :: else
            fi;
#endif
#ifdef CHECK_BEFORE_COPY
            check_whole(next, seen, whole);
#endif
            load_relaxed(payload(next, block, 0), copy[0]);
            load_relaxed(payload(next, block, 1), copy[1]);
#ifndef CHECK_BEFORE_COPY
            check_whole(next, seen, whole);
#endif
            block = 0;
            if
            :: whole ->
                atomic {
                    PROMISE(torn_read, copy[0] == copy[1] && copy[0] / 2 == next);
                    PROMISE(order, next >= accepted);
                    accepted = next + 1;
                    next++;
                    copy[0] = 0;
                    copy[1] = 0;
                    whole = false
                }
            :: else ->
                copy[0] = 0;
                copy[1] = 0;
                goto catch_up
            fi
        :: position_of(seen) > next ->
            seen = 0;
catch_up:
            // oldest_whole
            load_acquire(limit, seen);
            next = (seen - CAPACITY > next + 1 -> seen - CAPACITY : next + 1);
            seen = 0
        :: else -> seen = 0
        fi
    od;
    reader_done = true
}

#else

proctype Reader(byte me) {
    registers;
    byte next = first;
    byte seen;
    byte copy[2];
    do
    :: next == past_the_last -> break
    :: next < past_the_last ->
        latest(state(next)) == ready_at(next);
        load_ready(state(next), seen);
        if
        :: seen == ready_at(next) ->
            seen = 0;
#ifdef READ_AFTER_RELEASE
#if READER == SUBSCRIBER
            store_relaxed(low_water, next + 1);
#else
            compare_exchange(lease(next), next - CAPACITY, next, seen);
#endif
#endif
            load_relaxed(payload(next, 0, 0), copy[0]);
            load_relaxed(payload(next, 0, 1), copy[1]);
            atomic {
                PROMISE(torn_read, copy[0] == copy[1] && copy[0] / 2 == next);
                PROMISE(order, next == accepted);
                PROMISE(no_loss, next == accepted);
                accepted = next + 1;
                copy[0] = 0;
                copy[1] = 0
            }
#ifndef READ_AFTER_RELEASE
#if READER == SUBSCRIBER
            store_release(low_water, next + 1);  // EDGE settle
#else
            compare_exchange(lease(next), next - CAPACITY, next, seen);  // EDGE settle
#endif
#endif
            seen = 0;
            next++
        :: else -> seen = 0
        fi
    od;
    reader_done = true
}

#if READER == MEMBER
// A member that looks around, the sentinel, or a producer that is blocked elsewhere.
proctype Mover(byte me) {
    registers;
    byte low;
    byte lease_word;
    byte seen;
    do
    :: reader_done -> break
    :: latest(lease(latest(low_water))) == latest(low_water) ->
        advance_low_water(low, lease_word, seen);
        low = 0
    od
}
#endif
#endif

init {
    atomic {
        byte i;
        initialise(limit, first);
        for (i : 0 .. CAPACITY - 1) {
            initialise(state(i), ready_at(i));
#if READER == MEMBER
            initialise(lease(i), i);
#endif
        }
#if READER != LOSSY
        initialise(low_water, first);
#endif
        run Reader(reader);
        run Producer(first_producer);
#if PRODUCERS > 1
        run Producer(first_producer + 1);
#endif
#if READER == MEMBER
        run Mover(mover);
#endif
    }
#if DEATHS
    // An exclusive producer dies; the registry lets the next one in.
    if
    :: atomic { finished == 0 && all_visible(first_producer) ->
        dead[first_producer] = true;
        deaths++;
        byte me = first_producer + 1;
        takes_over(first_producer);
        run Producer(first_producer + 1)
    }
    :: true
    fi;
#endif
    timeout;
    PROMISE(no_loss, reader_done)
}
