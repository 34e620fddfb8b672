// Positions that wrap around: ipc/format/words.hpp (extend, before, later_of), limit.cpp
// (refresh_limit), lease.hpp, lease.cpp (advance_low_water, for_each_lease), member.hpp, member.cpp
// (take, walk, take_returned), group.hpp (low_water_mark).
//
// A producer publishes MESSAGES messages through CAPACITY slots to MEMBERS members of a group, who
// acknowledge each. Positions have POSITION_BITS bits and start 2 before they wrap; slots, limit, mark
// and laps pack fewer of them, each about as few as its distances need: 5 bits and 3, 3, 4, 3 stand
// for 64 and 48, 44, 48, 32. What is known of a position is noted by its number, which does not wrap.
// For the tail see tail.pml; hints of positions to look at are flags, whatever position they tell.
//
//   BACK=1   each member gives one message back before
//   LOSSY=1  somebody reads without a gate, and looks at the limit afterwards
//
// no_loss       nothing is overwritten before it is acknowledged, and all of it is, in the end
// no_duplicate  nobody is given what another holds, or what was acknowledged
// order         first deliveries follow the positions
// not_stuck     who finds nothing (no room, no message) is right: there is none, or another took it
// torn_read     what a reader without a gate accepts is the message of its position
//
// verify: quick | MEMORY=SC CAPACITY=1 MESSAGES=4
// verify: quick | MEMORY=SC CAPACITY=2 MESSAGES=4
// verify: quick | MEMORY=SC CAPACITY=2 MESSAGES=4 MEMBERS=1 BACK=1
// verify: quick | MEMORY=SC CAPACITY=2 MESSAGES=4 MEMBERS=1 LOSSY=1
// verify: full  | MEMORY=SC CAPACITY=2 MESSAGES=4 BACK=1
// verify: full  | MEMORY=SC CAPACITY=2 MESSAGES=6 STEP=2
// mutate: not_stuck | POSITIONS_COMPARED_RAW MEMORY=SC CAPACITY=2 MESSAGES=4
// mutate: no_loss | LIMIT_COMPARED_RAW MEMORY=SC CAPACITY=2 MESSAGES=4 MEMBERS=1 LOSSY=1
// mutate: no_duplicate | MARK_COMPARED_RAW MEMORY=SC CAPACITY=2 MESSAGES=4
// mutate: order | SLOT_COMPARED_RAW MEMORY=SC CAPACITY=2 MESSAGES=4
// mutate: not_stuck | LAP_COMPARED_RAW MEMORY=SC CAPACITY=2 MESSAGES=4

#ifndef CAPACITY
#define CAPACITY 2
#endif
#ifndef MESSAGES
#define MESSAGES 4
#endif
#ifndef STEP
#define STEP 1
#endif
#ifndef BACK
#define BACK 0
#endif

#ifndef MEMBERS
#define MEMBERS 2
#endif
#ifndef LOSSY
#define LOSSY 0
#endif

#define producer MEMBERS
#define lossy (MEMBERS + 1)
#define PROCESSES (MEMBERS + 1 + LOSSY)

#define POSITION_BITS 5
#define SLOT_BITS 3
#define LIMIT_BITS 3
#define MARK_BITS 4
#define LAP_BITS 3

#define slot(p) ((p) % CAPACITY)
#define lease(p) (CAPACITY + (p) % CAPACITY)
#define limit (2 * CAPACITY)
#define low_water (2 * CAPACITY + 1)
#define cursor (2 * CAPACITY + 2)
#define returned (2 * CAPACITY + 3)
#define WORDS (2 * CAPACITY + 4)

#include "memory.h"
#include "promises.h"

// Positions are counted modulo 2^POSITION_BITS, as the code counts them modulo 2^64.
#define positions (1 << POSITION_BITS)
#define first (positions - 2)
#define plus(p, n) (((p) + positions + (n)) % positions)
#define distance(from, to) plus(to, -(from))
#define number(p) distance(first, p)

#ifdef POSITIONS_COMPARED_RAW
#define before(a, b) ((a) < (b))
#else
#define before(a, b) (distance(b, a) >= positions / 2)
#endif
#define later_of(a, b) (before(a, b) -> (b) : (a))
#define earlier_of(a, b) (before(a, b) -> (a) : (b))

// The position nearest to `near` whose low `bits` bits are `packed`.
#define pack(p, bits) ((p) % (1 << (bits)))
#define packed_distance(packed, bits, near) (((packed) + positions - (near)) % (1 << (bits)))
#define nearest(packed, bits, near)                                                  \
    plus(near, (packed_distance(packed, bits, near) >= 1 << ((bits) - 1) ->          \
                    packed_distance(packed, bits, near) - (1 << (bits)) :            \
                    packed_distance(packed, bits, near)))
// What it takes for one of them: never right across a wrap.
#define raw(packed, bits, near) ((near) - pack(near, bits) + (packed))
#ifdef LIMIT_COMPARED_RAW
#define limit_position(w, near) raw(w, LIMIT_BITS, near)
#else
#define limit_position(w, near) nearest(w, LIMIT_BITS, near)
#endif
#ifdef MARK_COMPARED_RAW
#define mark_position(w, near) raw(w, MARK_BITS, near)
#else
#define mark_position(w, near) nearest(w, MARK_BITS, near)
#endif
#ifdef SLOT_COMPARED_RAW
#define slot_position(w, near) raw(w, SLOT_BITS, near)
#else
#define slot_position(w, near) nearest(w, SLOT_BITS, near)
#endif

// Lease: | lap | member | state |
#define settled 0
#define given_back 1
#define leased 2
#define nobody 3
#define laps (1 << LAP_BITS)
#define lap_of(p) ((p) / CAPACITY % laps)
#define make_lease(lap, who, state) ((lap) << 4 | (who) << 2 | (state))
#define lap_in(w) ((w) >> 4)
#define state_in(w) ((w) & 3)
#define is_taken_or_done(w, p) (lap_in(w) == lap_of(p))
#ifdef LAP_COMPARED_RAW
#define is_untouched(w, p) (lap_in(w) < lap_of(p) && state_in(w) == settled)
#else
#define is_untouched(w, p) (lap_in(w) == (lap_of(p) + laps - 1) % laps && state_in(w) == settled)
#endif

// By number.
bool ready[MESSAGES];
bool acknowledged[MESSAGES];
bool in_hand[MESSAGES];
bool waits[MESSAGES];         // was given back
byte taken_first;             // so many were delivered
bool changed[2];              // something was taken or given since this member last began to look
byte content[CAPACITY];       // of the message in a slot: its number + 1
bool through[PROCESSES];

#define all_acknowledged (acknowledged[MESSAGES - 1] && settled_until >= MESSAGES - 1)
// So many at the beginning were acknowledged.
#if MESSAGES > 4
#define settled_after_4 (!acknowledged[4] -> 4 : 5)
#else
#define settled_after_4 4
#endif
#define settled_until                                                                     \
    (!acknowledged[0] -> 0 : (!acknowledged[1] -> 1 : (!acknowledged[2] -> 2 :             \
        (!acknowledged[3] -> 3 : settled_after_4))))

#define locals        \
    registers;        \
    byte position;    \
    byte low;         \
    byte near;        \
    byte turns;       \
    byte seen;        \
    byte word_

inline note_change() {
    changed[0] = true;
    changed[1] = true
}

// low_water_mark
inline load_mark() {
    load_acquire(low_water, seen);
    load_relaxed(cursor, near);
    d_step { low = mark_position(seen, near); near = 0 }
}

inline advance_low_water() {
    load_mark();
    position = low;
    do
    :: distance(low, position) < CAPACITY ->
        load_acquire(lease(position), word_);
        if
        :: is_taken_or_done(word_, position) && state_in(word_) == settled ->
            position = plus(position, 1)
        :: else -> break
        fi
    :: else -> break
    od;
    word_ = 0;
    if
    :: position != low ->
        compare_exchange(low_water, seen, pack(position, MARK_BITS), word_);
        word_ = 0
    :: else
    fi;
    seen = 0;
    low = 0;
    position = 0
}

proctype Producer(byte me) {
    locals;
    byte next = first;
    byte cached_limit = first;
    byte goal;
    byte sent;
    do
    :: sent == MESSAGES -> break
    :: else ->
        if
        :: before(next, cached_limit)
        :: else ->
            // Full: waits until there is room, by whoever acknowledged.
            sent < settled_until + CAPACITY;
            // refresh_limit, with the marks moved first
            advance_low_water();
            load_acquire(limit, goal);
            load_mark();
            seen = goal;
            // gate
            low = (before(low, next) -> low : next);
            goal = earlier_of(plus(low, CAPACITY), plus(next, STEP));
            low = 0;
            cached_limit = limit_position(seen, next);
            if
            :: before(cached_limit, goal) ->
                compare_exchange(limit, seen, pack(goal, LIMIT_BITS), word_);
                word_ = 0;
                cached_limit = goal
            :: else
            fi;
            goal = 0;
            seen = 0;
            atomic { !dead[me]; PROMISE(not_stuck, before(next, cached_limit)) }
        fi;
        atomic { !dead[me]; content[slot(next)] = sent + 1 }
        atomic {
            !dead[me];
            PROMISE(no_loss, sent < CAPACITY || acknowledged[sent - CAPACITY]);
            store_release(slot(next), pack(next, SLOT_BITS));
            ready[sent] = true;
            note_change()
        }
        next = plus(next, 1);
        sent++
    od;
    through[me] = true
}

#define takes(p)                                                          \
    d_step {                                                              \
        PROMISE(no_duplicate, number(p) < MESSAGES && ready[number(p)] && \
                                  !in_hand[number(p)] && !acknowledged[number(p)]); \
        in_hand[number(p)] = true;                                        \
        waits[number(p)] = false;                                         \
        note_change()                                                     \
    }

// take: the position in `position`, or `got` is false.
inline take() {
    // take_returned
#if BACK
    load_acquire(returned, seen);
    if
    :: seen != 0 ->
        atomic { compare_exchange(returned, seen, 0, word_); note_change() }
        word_ = 0;
        load_mark();
        position = low;
        do
        :: distance(low, position) < CAPACITY ->
            load_acquire(lease(position), word_);
            if
            :: is_taken_or_done(word_, position) && state_in(word_) == given_back && !got ->
                atomic {
                    compare_exchange(lease(position), word_,
                                     make_lease(lap_in(word_), me, leased), seen);
                    if
                    :: seen == word_ -> takes(position); got = true; turns = position
                    :: else
                    fi
                }
            :: is_taken_or_done(word_, position) && state_in(word_) == given_back && got ->
                read_modify_write(returned, 1, seen)
            :: else
            fi;
            position = plus(position, 1)
        :: else -> break
        od;
        position = (got -> turns : 0);
        turns = 0;
        word_ = 0;
        low = 0
    :: else
    fi;
    seen = 0;
#endif
    // walk
    if
    :: !got ->
        load_mark();
        load_relaxed(cursor, near);
        position = later_of(near, low);
        low = 0;
        near = 0;
        do
        :: turns <= 2 * CAPACITY ->
            turns++;
            load_acquire(slot(position), seen);
            load_acquire(lease(position), word_);
            low = slot_position(seen, position);
            seen = 0;
            if
            :: before(low, position) -> break
            :: !before(low, position) && low != position ->
                position = plus(position, 1);  // gone: this member slept over it
                near = position;
                load_mark();
                position = later_of(position, low)
            :: else ->
                if
                :: is_untouched(word_, position) ->
                    atomic {
                        compare_exchange(lease(position), word_,
                                         make_lease(lap_of(position), me, leased), seen);
                        if
                        :: seen == word_ ->
                            takes(position);
                            PROMISE(order, number(position) == taken_first);
                            taken_first++;
                            got = true
                        :: else
                        fi
                    }
                    if
                    :: got -> store_relaxed(cursor, plus(position, 1)); break
                    :: else
                    fi
                :: else -> position = plus(position, 1); store_relaxed(cursor, position)
                fi
            fi
        :: else -> break
        od;
        turns = 0;
        low = 0;
        seen = 0;
        word_ = 0
    :: else
    fi
}

#define there_is(n) \
    (ready[n] && !in_hand[n] && !acknowledged[n] && (!waits[n] || latest(returned) != 0))
#if MESSAGES > 4
#define there_is_one                                                                  \
    (there_is(0) || there_is(1) || there_is(2) || there_is(3) || there_is(4) || there_is(5))
#else
#define there_is_one (there_is(0) || there_is(1) || there_is(2) || there_is(3))
#endif

proctype Member(byte me) {
    locals;
    bool got;
    byte gave_back;
    do
    :: all_acknowledged -> break
    :: atomic { there_is_one && !all_acknowledged -> changed[me] = false }
        take();
        if
        :: !got ->
            atomic { !dead[me]; PROMISE(not_stuck, changed[me]); position = 0 }
        :: got && gave_back < BACK ->
            // give_back: the hint before and after
            gave_back++;
            read_modify_write(returned, 1, seen);
            atomic {
                compare_exchange(lease(position), make_lease(lap_of(position), me, leased),
                                 make_lease(lap_of(position), nobody, given_back), seen);
                PROMISE(no_duplicate, seen == make_lease(lap_of(position), me, leased));
                in_hand[number(position)] = false;
                waits[number(position)] = true;
                note_change()
            }
            atomic { read_modify_write(returned, 1, seen); note_change() }
            seen = 0;
            position = 0
        :: got ->
            atomic {
                compare_exchange(lease(position), make_lease(lap_of(position), me, leased),
                                 make_lease(lap_of(position), me, settled), seen);
                PROMISE(no_duplicate, seen == make_lease(lap_of(position), me, leased));
                in_hand[number(position)] = false;
                acknowledged[number(position)] = true
            }
            seen = 0;
            position = 0;
            advance_low_water()
        fi;
        got = false
    od;
    through[me] = true
}

#if LOSSY
proctype Lossy(byte me) {
    registers;
    byte next = first;
    byte seen;
    byte copy;
    byte end;
    do
    :: number(next) >= MESSAGES -> break
    :: else ->
        // Waits for the slot, however old the message it asks for is by then.
        ready[number(next)];
        load_acquire(slot(next), seen);
        atomic { !dead[me]; copy = content[slot(next)] }
        load_relaxed(limit, end);
        end = limit_position(end, plus(next, CAPACITY));
        if
        :: before(plus(next, CAPACITY), end) ->
            d_step {
                next = plus(end, -CAPACITY);  // the oldest that is whole: it was published
                PROMISE(no_loss, number(next) <= MESSAGES && ready[number(next) - 1])
            }
        :: else ->
            d_step {
                PROMISE(torn_read, seen == pack(next, SLOT_BITS) && copy == number(next) + 1);
                next = plus(next, 1)
            }
        fi;
        seen = 0;
        copy = 0;
        end = 0
    od;
    through[me] = true
}
#endif

init {
    byte i;
    atomic {
        for (i : 0 .. CAPACITY - 1) {
            // Of the lap before.
            initialise(slot(plus(first, i)), pack(plus(first, i - CAPACITY), SLOT_BITS));
            initialise(lease(plus(first, i)),
                       make_lease(lap_of(plus(first, i - CAPACITY)), nobody, settled))
        }
        initialise(limit, pack(first, LIMIT_BITS));
        initialise(low_water, pack(first, MARK_BITS));
        initialise(cursor, first);
        for (i : 0 .. MEMBERS - 1) {
            run Member(i)
        }
        run Producer(producer);
#if LOSSY
        run Lossy(lossy);
#endif
        i = 0
    }
    timeout;
    d_step {
        for (i : 0 .. PROCESSES - 1) {
            PROMISE(not_stuck, through[i])
        }
        for (i : 0 .. MESSAGES - 1) {
            PROMISE(no_loss, acknowledged[i])
        }
    }
}
