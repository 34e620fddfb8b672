// Shared publishing, the death of producers, and the mark that closes a channel:
// ipc/protocol/publish.hpp, publish.cpp (claim_shared, close), recovery.cpp (is_abandoned,
// recover_claims), registry.cpp (attach_producer), subscriber.cpp (look).
//
// Two producers publish MESSAGES messages each through CAPACITY slots to a subscriber, which gates
// them. The tail is a hint that may lag; the limit is in overwrite.pml and join.pml.
//
//   DEATHS=n  any n producers (or closers, or who recovers them) die, each at any step
//   REUSE=1   another producer attaches in place of a dead one, whose claims it marks first
//   READERS=0 nobody gates: producers come around as fast as they like
//   CLOSE=1   a third producer closes the channel at any moment
//
// no_loss        every message whose publishing ended is delivered, unless behind no mark: producers
//                that meet the mark are told so and publish nothing
// no_duplicate   each at most once, and nothing that was not published
// torn_read      a delivered message is the one its producer wrote for that position
// order          those of one producer in the order it sent them
// no_theft       the claim of a living producer stays until it stores READY
// not_stuck      nobody waits for the dead: in the end all survivors are through, the subscriber at
//                the last message or at the mark
//
// C11 with the mark and a death at once does not end within the memory of a check (3.5 GB): each is
// checked without the other there, and both together under TSO.
//
// verify: quick | MEMORY=TSO MESSAGES=2 CAPACITY=2
// verify: quick | MEMORY=TSO MESSAGES=2 CAPACITY=1 DEATHS=1
// verify: quick | MEMORY=C11 MESSAGES=1 CAPACITY=1 DEATHS=1
// verify: quick | MEMORY=SC MESSAGES=1 CAPACITY=1 DEATHS=1 REUSE=1
// verify: full  | MEMORY=TSO MESSAGES=2 CAPACITY=1 DEATHS=2 REUSE=1
// verify: quick | MEMORY=TSO MESSAGES=1 CAPACITY=2 DEATHS=1 CLOSE=1
// verify: quick | MEMORY=C11 MESSAGES=1 CAPACITY=1 CLOSE=1
// verify: quick | MEMORY=TSO MESSAGES=2 CAPACITY=1 DEATHS=1 READERS=0
// mutate: no_loss | VERDICT_WITHOUT_SECOND_LOAD MEMORY=TSO MESSAGES=2 CAPACITY=1 DEATHS=1
// mutate: no_loss | DEATH_WITHOUT_ORDER MEMORY=C11 MESSAGES=1 CAPACITY=1 DEATHS=1
// mutate: no_theft | CLAIM_WITHOUT_OWNER MEMORY=TSO MESSAGES=2 CAPACITY=1 DEATHS=1
// mutate: torn_read | READY_BEFORE_PAYLOAD MEMORY=TSO MESSAGES=2 CAPACITY=2
// mutate: no_theft | CLAIMS_OF_THE_LIVING_OVERWRITTEN MEMORY=TSO MESSAGES=2 CAPACITY=1 DEATHS=1 READERS=0
// mutate: not_stuck | CLAIMS_OF_THE_DEAD_RESPECTED MEMORY=TSO MESSAGES=2 CAPACITY=1 DEATHS=1
// mutate: not_stuck | REUSED_BEFORE_RECOVERED MEMORY=SC MESSAGES=1 CAPACITY=1 DEATHS=1 REUSE=1
// mutate: no_loss | CLOSE_BY_CLAIM MEMORY=TSO MESSAGES=1 CAPACITY=2 DEATHS=1 CLOSE=1

#ifndef CAPACITY
#define CAPACITY 1
#endif
#ifndef MESSAGES
#define MESSAGES 2
#endif
#ifndef REUSE
#define REUSE 0
#endif
#ifndef CLOSE
#define CLOSE 0
#endif
#ifndef READERS
#define READERS 1
#endif

#define subscriber 0
#define producer(i) (1 + (i))
#define closer 3
#define successor (3 + CLOSE)
#define PROCESSES (3 + CLOSE + REUSE)

#define first CAPACITY
// Claims of the dead take positions, too.
#define past_the_last (CAPACITY + (2 + REUSE) * MESSAGES + DEATHS + CLOSE)

#define slot(p) ((p) % CAPACITY)
#define payload(p) (CAPACITY + (p) % CAPACITY)
#define low_water (2 * CAPACITY)
#define tail (2 * CAPACITY + 1)
#define WORDS (2 * CAPACITY + 2)
#define VALUE int

#include "memory.h"
#include "promises.h"

// Slot state: | position | producer | phase |
#define free 0
#define claimed 1
#define ready 2
#define aborted 3
#define closed 4
#define no_participant 3
#define make_state(p, who, phase) ((p) << 5 | (who) << 3 | (phase))
#define position_in(w) ((w) >> 5)
#define producer_in(w) (((w) >> 3) & 3)
#define phase_in(w) ((w) & 7)

// A message: who sent it, and its number.
#define message(process, number) ((process) * 8 + (number) + 1)

byte owner[3];  // of participant entry i: a process
#ifdef CLAIMS_OF_THE_DEAD_RESPECTED
#define is_alive(i) true
#else
#define is_alive(i) ((i) != no_participant && !dead[owner[i]])
#endif

#define has_room(p) (!READERS || latest(low_water) + CAPACITY > (p))

bool published[(PROCESSES + 1) * 8];  // READY was stored
bool delivered[(PROCESSES + 1) * 8];
byte last_number[PROCESSES];
bool subscriber_done;
bool through[PROCESSES];
byte deaths;

#ifdef VERDICT_WITHOUT_SECOND_LOAD
#define still_there(p, w) true
#else
#define still_there(p, w) again == w
#endif

// is_abandoned: the word, the owner's lock, the word again.
inline is_abandoned(p, w, again, verdict) {
    atomic { !dead[me]; verdict = !is_alive(producer_in(w)) }
    if
    :: verdict ->
#ifndef DEATH_WITHOUT_ORDER
        takes_over(owner[producer_in(w)]);
#endif
        load_acquire(slot(p), again);
        verdict = (still_there(p, w));
        again = 0
    :: else
    fi
}

// claim_shared: `next` is the claimed position when `won` is set; `ended` when the mark was met.
inline claim_shared(install) {
    do
    :: next == past_the_last -> break
    :: else ->
        // The gate; a producer caches it, which only makes it lower.
        has_room(next) || position_in(latest(slot(next))) >= next;
        load_acquire(slot(next), seen);
        if
        :: position_in(seen) == next - CAPACITY && has_room(next) ->
            if
#ifndef CLAIMS_OF_THE_LIVING_OVERWRITTEN
            :: phase_in(seen) == claimed ->
#else
            :: false ->
#endif
                is_abandoned(next, seen, again, verdict);
                if
                :: !verdict ->
                    // A later look: its owner goes on, or dies.
                    latest(slot(next)) != seen || !is_alive(producer_in(seen));
                    seen = 0;
                    goto again_
                :: else -> verdict = false
                fi
            :: else
            fi;
#ifdef CLAIM_WITHOUT_OWNER
            compare_exchange(slot(next), seen, make_state(next, no_participant, install), again);
            if
            :: again == seen -> store_relaxed(slot(next), make_state(next, index, install))
            :: else
            fi;
#else
            compare_exchange(slot(next), seen, make_state(next, index, install), again);
#endif
            if
            :: again == seen -> again = 0; seen = 0; won = true; break
            :: else -> again = 0; seen = 0
            fi
        :: position_in(seen) >= next && phase_in(seen) == closed -> seen = 0; ended = true; break
        :: position_in(seen) >= next && phase_in(seen) != closed ->
            load_relaxed(tail, again);
            next = (position_in(seen) + 1 > again -> position_in(seen) + 1 : again);
            again = 0;
            seen = 0
        :: else -> seen = 0
        fi;
again_:
        skip
    od
}

#define producer_locals                                                          \
    registers;                                                                   \
    byte next = first;                                                           \
    int seen;                                                                    \
    int again;                                                                   \
    bool verdict;                                                                \
    bool won;                                                                    \
    bool ended

proctype Producer(byte me; byte index) {
    producer_locals;
    byte number;
    do
    :: number == MESSAGES -> break
    :: else ->
        claim_shared(claimed);
        if
        :: ended || !won -> break
        :: else -> won = false
        fi;
#ifdef READY_BEFORE_PAYLOAD
        atomic {
            store_release(slot(next), make_state(next, index, ready));
            published[message(me, number)] = true
        }
        store_relaxed(payload(next), message(me, number));
#else
        store_relaxed(payload(next), message(me, number));
        atomic {
            !dead[me];
            PROMISE(no_theft, latest(slot(next)) == make_state(next, index, claimed));
            store_release(slot(next), make_state(next, index, ready));  // EDGE ready
            published[message(me, number)] = true
        }
#endif
        next++;
        store_relaxed(tail, next);
        number++
    od;
    through[me] = true
}

#if CLOSE
proctype Closer(byte me; byte index) {
    producer_locals;
#ifdef CLOSE_BY_CLAIM
    claim_shared(claimed);
    if
    :: won -> store_release(slot(next), make_state(next, index, closed))
    :: else
    fi;
#else
    claim_shared(closed);
#endif
    through[me] = true
}
#endif

#if REUSE
// attach_producer, with the registry locked: first the claims of the dead are marked.
proctype Successor(byte me) {
    registers;
    byte index;
    byte i;
    int seen;
    int again;
    !is_alive(0) || !is_alive(1);
    if
    :: !is_alive(0) -> index = 0
    :: else -> index = 1
    fi;
#ifndef REUSED_BEFORE_RECOVERED
    // recover_claims
    takes_over(owner[index]);
    do
    :: i < CAPACITY ->
        load_acquire(slot(i), seen);
        if
        :: phase_in(seen) == claimed && producer_in(seen) == index ->
            compare_exchange(slot(i), seen, make_state(position_in(seen), index, aborted), again);
            again = 0
        :: else
        fi;
        seen = 0;
        i++
    :: else -> break
    od;
    i = 0;
#endif
    atomic {
        !dead[me];
        owner[index] = me;
        run Producer(me, index)
    }
}
#endif

proctype Subscriber(byte me) {
    registers;
    byte next = first;
    int seen;
    int again;
    bool verdict;
    bool looked;
    do
    :: position_in(latest(slot(next))) >= next &&
        (!looked || phase_in(latest(slot(next))) != claimed ||
         !is_alive(producer_in(latest(slot(next))))) ->
        load_acquire(slot(next), seen);  // EDGE ready
        if
        :: position_in(seen) != next -> PROMISE(no_loss, position_in(seen) < next); goto look_again
        :: position_in(seen) == next && phase_in(seen) == closed -> seen = 0; break
        :: position_in(seen) == next && phase_in(seen) == ready ->
            load_relaxed(payload(next), again);
            atomic {
                PROMISE(torn_read, again != 0 && owner[producer_in(seen)] == again / 8 ||
                                       dead[again / 8]);
                PROMISE(no_duplicate, published[again] && !delivered[again]);
                PROMISE(order, (again - 1) % 8 >= last_number[again / 8]);
                last_number[again / 8] = (again - 1) % 8 + 1;
                delivered[again] = true;
                again = 0
            }
        :: position_in(seen) == next && phase_in(seen) == aborted
        :: position_in(seen) == next && phase_in(seen) == claimed ->
            is_abandoned(next, seen, again, verdict);
            if
            :: !verdict -> looked = true; goto look_again  // looks again when something changed
            :: else -> verdict = false
            fi
        fi;
        looked = false;
        next++;
        store_release(low_water, next);
look_again:
        seen = 0;
        again = 0
    od;
    subscriber_done = true
}

init {
    byte i;
    bool is_closed;
    atomic {
        for (i : 0 .. CAPACITY - 1) {
            initialise(slot(i), make_state(i, no_participant, free))
        }
        initialise(low_water, first);
        initialise(tail, first);
        owner[0] = producer(0);
        owner[1] = producer(1);
        owner[2] = PROCESSES - 1;
#if READERS
        run Subscriber(subscriber);
#endif
        run Producer(producer(0), 0);
        run Producer(producer(1), 1);
#if CLOSE
        owner[2] = closer;
        run Closer(closer, 2);
#endif
#if REUSE
        run Successor(successor);
#endif
        i = 0
    }
    do
    :: deaths < DEATHS ->
        atomic {
            if
            :: !dead[1] && all_visible(1) -> dead[1] = true
            :: !dead[2] && all_visible(2) -> dead[2] = true
#if CLOSE || REUSE
            :: !dead[3] && all_visible(3) -> dead[3] = true
#endif
#if CLOSE && REUSE
            :: !dead[4] && all_visible(4) -> dead[4] = true
#endif
            fi;
            deaths++
        }
    :: timeout -> break
    od;
    skip;
    d_step {
        for (i : 1 .. PROCESSES - 1) {
            PROMISE(not_stuck, through[i] || dead[i] || (REUSE && i == successor && deaths == 0))
        }
        for (i : 0 .. PROCESSES * 8) {
            PROMISE(no_loss, !READERS || !published[i] || delivered[i])
        }
        PROMISE(not_stuck, !(CLOSE && !dead[closer % PROCESSES]) || subscriber_done)
    }
}
