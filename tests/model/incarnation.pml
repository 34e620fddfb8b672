// Entries of groups that are used again: ipc/protocol/registry.cpp (end_group, form_group,
// settle_range), lease.cpp (advance_low_water, give_back), recovery.cpp (recover_leases), and
// LowWater and Lease in ipc/format/words.hpp.
//
// SUBSCRIBER: the group formed in the entry is a subscriber's, who has a mark and no lease words, so that
// those of the former group stay. It goes on at the first position, which it reads.
//
// The only member of an ephemeral group is dead: it held a lease on the first position, or had settled
// it. Whoever attaches next ends the group and forms another in its entry, which starts at the same
// position; its member has the index of the dead one, and works on that position. Meanwhile others, who
// are no members, move the mark of the former group, and give back the lease of its member; they may
// be stopped at any step, for as long as all this takes.
//
// no_theft  the new member keeps its lease, and the mark stays before what it holds
// no_loss   and what it acknowledged can be passed by the mark
//
// verify: quick | MEMORY=TSO
// verify: quick | MEMORY=C11
// verify: quick | MEMORY=TSO OTHERS=2
// verify: quick | MEMORY=TSO SUBSCRIBER
// verify: quick | MEMORY=TSO OTHERS=2 SUBSCRIBER
// verify: quick | MEMORY=C11 SUBSCRIBER
// mutate: no_theft | MARK_WITHOUT_INCARNATION MEMORY=TSO
// mutate: no_theft | GENERATIONS_START_ANEW MEMORY=TSO
// mutate: no_loss | WORDS_ARE_NOT_WIPED MEMORY=TSO
// mutate: no_theft | MARK_OF_ANY_GROUP MEMORY=TSO SUBSCRIBER

#ifndef OTHERS
#define OTHERS 1
#endif

#define former 0
#define registrar 1
#define mover(i) (2 + (i))
#define recoverer(i) (2 + OTHERS + (i))
#define PROCESSES (2 + 2 * OTHERS)
#define STORERS 2

#define first 1  // of lap 1: the capacity is 1
#define lease 0
#define low_water 1
#define status 2
#define WORDS 3
#define VALUE int

#include "memory.h"
#include "promises.h"

// Lease: | lap | generation | state |; the attempt is 1 and the member's index the same throughout
#define settled 0
#define returned 1
#define leased 2
#define make_lease(lap, generation, what) ((lap) << 6 | ((generation) & 15) << 2 | (what))
#define lap_in(w) ((w) >> 6)
#define generation_in(w) (((w) >> 2) & 15)
#define state_in(w) ((w) & 3)
#define to(w, what) make_lease(lap_in(w), generation_in(w) + 1, what)

// Low-water: | position | incarnation |
#ifdef MARK_WITHOUT_INCARNATION
#define make_mark(p, incarnation) ((p) << 4)
#else
#define make_mark(p, incarnation) ((p) << 4 | (incarnation))
#endif
#define position_in(m) ((m) >> 4)
#ifdef MARK_OF_ANY_GROUP
#define is_of(m, s) true
#elif defined MARK_WITHOUT_INCARNATION
#define is_of(m, s) true
#else
#define is_of(m, s) (((m) & 15) == incarnation_in(s))
#endif
#define moved_to(m, p) ((p) << 4 | ((m) & 15))

#ifdef GENERATIONS_START_ANEW
#define generation_after(w) 0
#else
#define generation_after(w) (generation_in(w) + 1)
#endif

// Status: | incarnation | state |
#define free 0
#define active 2
#define make_status(incarnation, what) ((incarnation) << 2 | (what))
#define incarnation_in(s) ((s) >> 2)
#ifdef SUBSCRIBER
#define has_words(s) (incarnation_in(s) == 1)
#else
#define has_words(s) true
#endif

bool holds;
bool finished;
byte owner;  // of the member's index: a process

// With the status that the caller saw.
inline advance_low_water() {
    load_acquire(status, group);
    if
    :: (group & 3) == active && has_words(group) ->
        load_acquire(low_water, mark);
        load_acquire(lease, word_);
        if
        :: is_of(mark, group) && lap_in(word_) == position_in(mark) && state_in(word_) == settled ->
            atomic {
                compare_exchange(low_water, mark, moved_to(mark, position_in(mark) + 1), seen);
                PROMISE(no_theft, !holds || position_in(latest(low_water)) == first)
            }
        :: else
        fi
    :: else
    fi;
    group = 0;
    mark = 0;
    word_ = 0;
    seen = 0
}

proctype Mover(byte me) {
    registers;
    int group;
    int mark;
    int word_;
    int seen;
    advance_low_water();
    advance_low_water()
}

// recover_leases with its verdict, and give_back
inline recover_leases() {
    load_acquire(lease, word_);
    if
    :: lap_in(word_) == first && state_in(word_) == leased && dead[owner] ->  // VERDICT
        atomic {
            compare_exchange(lease, word_, to(word_, returned), seen);
            PROMISE(no_theft, !(holds && seen == word_))
        }
    :: else
    fi;
    word_ = 0;
    seen = 0
}

proctype Recoverer(byte me) {
    registers;
    int word_;
    int seen;
    recover_leases()
}

// With the registry locked: recovers the dead member, ends its group, forms another, and attaches.
proctype Registrar(byte me) {
    registers;
    int group;
    int mark;
    int word_;
    int seen;
    takes_over(former);
    recover_leases();
    store_release(status, make_status(1, free));  // end_group
    // form_group: settle_range, the mark, then the status
#ifndef SUBSCRIBER
#ifndef WORDS_ARE_NOT_WIPED
    load_relaxed(lease, word_);
    store_release(lease, make_lease(first - 1, generation_after(word_), settled));
    word_ = 0;
#endif
#endif
    store_release(low_water, make_mark(first, 2));
    store_release(status, make_status(2, active));
#ifdef SUBSCRIBER
    fence_full();  // count_join: it exchanges the limit
    atomic { holds = true };
    // Read in place, as long as that takes; then its own mark moves.
    atomic {
        PROMISE(no_theft, position_in(latest(low_water)) == first);
        holds = false
    }
    store_release(low_water, make_mark(first + 1, 2));
#else
    atomic { owner = me };
    // take_fresh
    load_acquire(lease, word_);
    if
    :: lap_in(word_) == first - 1 && state_in(word_) == settled ->
        atomic {
            compare_exchange(lease, word_, make_lease(first, generation_in(word_) + 1, leased), seen);
            if
            :: seen == word_ -> word_ = make_lease(first, generation_in(word_) + 1, leased); holds = true
            :: else -> PROMISE(no_theft, false)
            fi;
            seen = 0
        }
        // ack
        atomic {
            PROMISE(no_theft, latest(lease) == word_ && position_in(latest(low_water)) == first);
            compare_exchange(lease, word_, to(word_, settled), seen);
            holds = false;
            seen = 0
        }
    :: else
    fi;
    word_ = 0;
    advance_low_water();
#endif
    finished = true
}

init {
    byte i;
    atomic {
        initialise(low_water, make_mark(first, 1));
        initialise(status, make_status(1, active));
        dead[former] = true;
        if
        :: initialise(lease, make_lease(first, 1, leased))
        :: initialise(lease, make_lease(first, 2, settled))
        fi;
        run Registrar(registrar);
        for (i : 0 .. OTHERS - 1) {
            run Mover(mover(i));
            run Recoverer(recoverer(i))
        }
    }
    timeout;
#ifdef SUBSCRIBER
    PROMISE(no_loss, finished && position_in(latest(low_water)) == first + 1)
#else
    PROMISE(no_loss, finished && position_in(latest(low_water)) == first + 1 &&
                         lap_in(latest(lease)) == first && state_in(latest(lease)) == settled)
#endif
}
