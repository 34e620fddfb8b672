// Finding the tail by bisection, with positions that wrap around: ipc/protocol/tail.hpp (find_tail,
// is_taken), publish.cpp (claim_shared, attach), format/words.hpp (extend, before).
//
// PRODUCERS producers attach, find the tail, and claim and publish MESSAGES positions each; nobody
// gates them. Somebody who only watches finds the tail as well, from a hint that may be as old as the
// channel. Positions have POSITION_BITS bits and start just before they wrap; slots pack fewer of them.
//
//   EXCLUSIVE=1  producers, one after the other's death, that store READY without a claim
//   DEATHS=n     any n producers die, each at any step
//   CLOSE=1      the last producer installs the mark that closes, instead of its last message
//
// exact        what is found was the tail at some moment during the call: not before what the caller
//              knew to be claimed when it called (C11: what somebody told it; else what there was)
// not_beyond   nor beyond what was claimed when it returned; the mark is found where it stands
// contiguous   so no producer claims a position before all earlier ones are, and a successor goes on
//              right behind the last message of the dead
// not_stuck    everybody comes to an end
//
// verify: quick | MEMORY=SC PRODUCERS=1 MESSAGES=6
// verify: quick | MEMORY=SC PRODUCERS=2 MESSAGES=2 CLOSE=1
// verify: full  | MEMORY=TSO PRODUCERS=2 MESSAGES=2
// verify: quick | MEMORY=TSO PRODUCERS=2 MESSAGES=1 DEATHS=1
// verify: quick | MEMORY=C11 PRODUCERS=2 MESSAGES=1
// verify: quick | MEMORY=TSO PRODUCERS=2 MESSAGES=3 EXCLUSIVE=1 DEATHS=1
// verify: quick | MEMORY=C11 PRODUCERS=2 MESSAGES=2 EXCLUSIVE=1 DEATHS=1
// verify: full  | MEMORY=SC PRODUCERS=2 MESSAGES=3
// verify: full  | MEMORY=TSO PRODUCERS=2 MESSAGES=2 DEATHS=1
// mutate: exact | POSITIONS_COMPARED_RAW MEMORY=SC PRODUCERS=1 MESSAGES=6
// mutate: not_beyond | PACKED_COMPARED_RAW MEMORY=SC PRODUCERS=1 MESSAGES=6
// mutate: exact | CLAIMS_DO_NOT_COUNT MEMORY=SC PRODUCERS=1 MESSAGES=6
// mutate: not_beyond | HINT_BEFORE_CLAIM MEMORY=SC PRODUCERS=1 MESSAGES=6
// mutate: not_beyond | MARK_COUNTS MEMORY=SC PRODUCERS=2 MESSAGES=2 CLOSE=1
// mutate: exact | HINT_IS_TRUSTED MEMORY=TSO PRODUCERS=2 MESSAGES=3 EXCLUSIVE=1 DEATHS=1
// mutate: contiguous | DEATH_WITHOUT_ORDER MEMORY=C11 PRODUCERS=2 MESSAGES=2 EXCLUSIVE=1 DEATHS=1

#ifndef PRODUCERS
#define PRODUCERS 2
#endif
#ifndef MESSAGES
#define MESSAGES 2
#endif
#ifndef EXCLUSIVE
#define EXCLUSIVE 0
#endif
#ifndef CLOSE
#define CLOSE 0
#endif

#define CAPACITY 4
#define POSITION_BITS 5
#define SLOT_BITS 4

#define watcher 0
#define producer(i) (1 + (i))
#define PROCESSES (1 + PRODUCERS)

#define slot(p) ((p) % CAPACITY)
#define tail CAPACITY
#define told (CAPACITY + 1)  // whatever else a caller may know claims from
#define WORDS (CAPACITY + 2)
#define VALUE short
#define WRITES 15

#include "memory.h"
#include "promises.h"

// Positions are counted modulo 2^POSITION_BITS, as the code counts them modulo 2^64.
#define positions (1 << POSITION_BITS)
#define packed_positions (1 << SLOT_BITS)
#define first (positions - 2)
#define plus(p, n) (((p) + positions + (n)) % positions)
#define distance(from, to) plus(to, -(from))
#define after(n) plus(first, n)  // the position of the n-th claim, counted from 0

#ifdef POSITIONS_COMPARED_RAW
#define before(a, b) ((a) < (b))
#else
#define before(a, b) (distance(b, a) >= positions / 2)
#endif

// The position nearest to `near` whose low bits are `packed`.
#define packed_distance(packed, near) \
    (((packed) + positions - (near)) % packed_positions)
#ifdef PACKED_COMPARED_RAW
#define extend(packed, near) ((near) - (near) % packed_positions + (packed))
#else
#define extend(packed, near)                                             \
    plus(near, (packed_distance(packed, near) >= packed_positions / 2 -> \
                    packed_distance(packed, near) - packed_positions :   \
                    packed_distance(packed, near)))
#endif

// Slot state: | position | producer | phase |
#define free 0
#define claimed 1
#define ready 2
#define closed 4
#define nobody 3
#define make_state(p, who, phase) (((p) % packed_positions) << 5 | (who) << 3 | (phase))
#define position_in(w) ((w) >> 5)
#define producer_in(w) (((w) >> 3) & 3)
#define phase_in(w) ((w) & 7)
#define is_alive(i) ((i) == nobody || !dead[producer(i)])

byte claims;  // so many positions were claimed (exclusive: are READY, or about to be)
byte deaths;
bool through[PROCESSES];

#define find_tail_locals \
    short state;          \
    byte hint;           \
    byte at;             \
    byte taken;          \
    byte open;           \
    byte start;          \
    bool answer

#ifdef MARK_COUNTS
#define is_mark(w) false
#else
#define is_mark(w) (phase_in(w) == closed)
#endif
#ifdef CLAIMS_DO_NOT_COUNT
#define is_claim(w) (phase_in(w) == ready)
#else
#define is_claim(w) (phase_in(w) != free)
#endif

inline is_taken(p) {
    load_acquire(slot(p), state);
    d_step {
        at = extend(position_in(state), p);
        if
        :: at == (p) ->
            answer = (!is_mark(state) && is_claim(state))
        :: else -> answer = before(p, at)
        fi;
        state = 0;
        at = 0
    }
}

// The result is in `hint`. The code gives up after 64 turns, with a hint.
inline find_tail() {
#if MEMORY == C11 || EXCLUSIVE
    load_acquire(told, start);
#else
    start = claims;
#endif
    load_acquire(tail, hint);
#ifndef HINT_IS_TRUSTED
    do
    :: true ->
        load_acquire(slot(hint), state);
        taken = extend(position_in(state), hint);
        state = 0;
        if
        :: before(taken, hint) -> break
        :: else
        fi;
        is_taken(taken);
        if
        :: !answer -> hint = taken; break
        :: else -> answer = false
        fi;
        open = plus(taken, CAPACITY);
        do
        :: distance(taken, open) > 1 ->
            hint = plus(taken, distance(taken, open) / 2);
            is_taken(hint);
            if
            :: answer -> taken = hint
            :: else -> open = hint
            fi;
            answer = false
        :: else -> break
        od;
        hint = open;
        is_taken(open);
        if
        :: !answer -> break
        :: else -> answer = false
        fi
    od;
#endif
    skip;
    d_step {
        !dead[me];
        // Counted from the first position: exact although positions wrap.
        PROMISE(exact, distance(first, hint) >= start);
        PROMISE(not_beyond, distance(first, hint) <= claims);
        taken = 0;
        open = 0;
        start = 0
    }
}

proctype Watcher(byte me) {
    registers;
    find_tail_locals;
    find_tail();
    hint = 0;
    through[me] = true
}

#define last_message (CLOSE && index == PRODUCERS - 1 && sent == MESSAGES - 1)

#if EXCLUSIVE
proctype Producer(byte me; byte index) {
    registers;
    find_tail_locals;
    byte next;
    byte sent;
    // attach: refused while the former one lives
    if
    :: index > 0 ->
#ifndef DEATH_WITHOUT_ORDER
        dead[producer(index - 1)] ||
            (through[producer(index - 1)] && all_visible(producer(index - 1)));
        takes_over(producer(index - 1))
#else
        dead[producer(index - 1)] ||
            (through[producer(index - 1)] && all_visible(producer(index - 1)))
#endif
    :: else
    fi;
    find_tail();
    next = hint;
    hint = 0;
    do
    :: sent == MESSAGES -> break
    :: else ->
        atomic {
            !dead[me];
            PROMISE(contiguous, next == after(claims));
            store_release(slot(next), make_state(next, index, (last_message -> closed : ready)));
            claims = (last_message -> claims : claims + 1)
        }
        next = plus(next, 1);
        sent++;
        store_release(told, claims);
        if
        :: sent == 2 -> store_relaxed(tail, next)  // it lags: only when the limit is reached
        :: else
        fi
    od;
    through[me] = true
}
#else
proctype Producer(byte me; byte index) {
    registers;
    find_tail_locals;
    byte next;
    byte sent;
    short seen;
    find_tail();
    next = hint;
    hint = 0;
    do
    :: sent == MESSAGES -> break
    :: else ->
        // claim_shared
        do
        :: true ->
            load_acquire(slot(next), state);
            at = extend(position_in(state), next);
            if
            :: at == plus(next, -CAPACITY) ->
                at = 0;
                if
                :: phase_in(state) == claimed && is_alive(producer_in(state)) ->
                    // A later look: its owner goes on, or dies.
                    latest(slot(next)) != state || !is_alive(producer_in(state));
                    state = 0
                :: else ->
#ifdef HINT_BEFORE_CLAIM
                    store_relaxed(tail, plus(next, 1));
#endif
                    atomic {
                        compare_exchange(slot(next), state,
                                         make_state(next, index, (last_message -> closed : claimed)),
                                         seen);
                        if
                        :: seen == state ->
                            PROMISE(contiguous, next == after(claims));
                            claims = (last_message -> claims : claims + 1);
                            answer = true
                        :: else
                        fi;
                        seen = 0;
                        state = 0
                    }
                    if
                    :: answer -> answer = false; break
                    :: else
                    fi
                fi
            :: at != plus(next, -CAPACITY) && before(at, next) -> goto over  // not by our doing
            :: at != plus(next, -CAPACITY) && !before(at, next) && phase_in(state) == closed ->
                goto over
            :: else ->
                state = 0;
                load_relaxed(tail, hint);
                next = (before(plus(at, 1), hint) -> hint : plus(at, 1));
                hint = 0;
                at = 0
            fi
        od;
        if
        :: last_message -> goto over
        :: else -> skip
        fi;
        store_release(slot(next), make_state(next, index, ready));
        next = plus(next, 1);
        store_relaxed(tail, next);
        store_release(told, distance(first, next));
        sent++
    od;
over:
    through[me] = true
}
#endif

init {
    byte i;
    atomic {
        for (i : 0 .. CAPACITY - 1) {
            // Of the lap before.
            initialise(slot(after(i)), make_state(after(i - CAPACITY), nobody, free))
        }
        initialise(tail, first);
        run Watcher(watcher);
        for (i : 0 .. PRODUCERS - 1) {
            run Producer(producer(i), i)
        }
        i = 0
    }
    do
    :: deaths < DEATHS ->
        atomic {
            if
            :: !dead[1] && all_visible(1) -> dead[1] = true
#if PRODUCERS > 1
            :: !dead[2] && all_visible(2) -> dead[2] = true
#endif
            fi;
            deaths++
        }
    :: timeout -> break
    od;
    skip;
    d_step {
        for (i : 0 .. PROCESSES - 1) {
            PROMISE(not_stuck, through[i] || dead[i])
        }
    }
}
