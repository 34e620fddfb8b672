// Leases of a group, the death of their holders, and the low-water mark that producers gate on:
// ipc/protocol/lease.hpp, lease.cpp, member.hpp, member.cpp, recovery.cpp.
//
// MESSAGES messages go through CAPACITY slots to a group with two members, whom a sweep (of the
// sentinel or of whoever looks around) helps. A member acknowledges what it took, or gives it back
// while it was delivered less than ATTEMPTS times.
//
//   DEATHS=n   any n processes but the producer die, each at any step; the sweeps as well
//   REUSE=1    a third process attaches in place of a dead member, whose leases it recovers first
//   BATCH=1    members reserve up to two messages before they hand the first one out
//   EXPIRE=n   n leases of the living run out while they work
//   LIMIT=1    leases have deadlines, as those that run out do; members renew one, and give back
//              with a delay, whose end is a deadline as well
//   REJECT=1   members reject what they cannot process; rejected messages are copied elsewhere
//   ABORTED=1  the second position holds no message
//   REPAIR=0   sweeps do not look for missed hints
//
// no_duplicate   the attempt number says how often a message reached user code, this time included;
//                what was acknowledged does not come again; one message has one holder
// order          first deliveries follow the positions
// torn_read      while a message is held, its slot stays
// late_ack       who lost its lease is told so
// no_theft       the living do not lose theirs, unless its time runs out; what was found out about
//                that before a lease was renewed does not count
// not_before     what was given back with a delay does not come again before it is over
// no_missed_hint a word that becomes free has its hint set, unless somebody cleared it to scan
// no_loss        in the end every message is settled, each rejected one was copied, and the producer
//                was not held up
//
// verify: quick | MEMORY=TSO MESSAGES=2
// verify: quick | MEMORY=TSO MESSAGES=2 ABORTED=1
// verify: quick | MEMORY=TSO MESSAGES=1 DEATHS=1
// verify: full  | MEMORY=TSO MESSAGES=2 DEATHS=1
// verify: quick | MEMORY=SC MESSAGES=3 ATTEMPTS=1
// verify: quick | MEMORY=SC MESSAGES=1 REPAIR=0
// verify: full  | MEMORY=SC MESSAGES=1 DEATHS=2 SWEEPS=2 ATTEMPTS=1
// verify: quick | MEMORY=SC CAPACITY=2 MESSAGES=2 DEATHS=1 ATTEMPTS=1
// verify: quick | MEMORY=SC MESSAGES=1 DEATHS=1 REUSE=1 ATTEMPTS=1
// verify: full  | MEMORY=SC MESSAGES=1 DEATHS=1 REUSE=1 ATTEMPTS=2
// verify: quick | MEMORY=SC MESSAGES=1 BATCH=1 DEATHS=1
// verify: full  | MEMORY=SC CAPACITY=2 MESSAGES=2 BATCH=1 DEATHS=1
// verify: quick | MEMORY=SC MESSAGES=1 BATCH=1 EXPIRE=1
// verify: quick | MEMORY=SC MESSAGES=1 EXPIRE=1
// verify: full  | MEMORY=SC MESSAGES=1 DEATHS=1 EXPIRE=1
// verify: quick | MEMORY=SC MESSAGES=1 LIMIT=1
// verify: quick | MEMORY=SC MESSAGES=1 LIMIT=1 EXPIRE=1 ATTEMPTS=1
// verify: full  | MEMORY=SC MESSAGES=1 LIMIT=1 EXPIRE=1
// verify: full  | MEMORY=SC MESSAGES=1 LIMIT=1 DEATHS=1
// verify: quick | MEMORY=SC MESSAGES=1 REJECT=1 DEATHS=1 ATTEMPTS=1
// verify: full  | MEMORY=SC MESSAGES=1 REJECT=1 DEATHS=1 ATTEMPTS=2
// verify: quick | MEMORY=C11 MESSAGES=1 ATTEMPTS=1 WRITES=15
// mutate: no_missed_hint | HINT_ONLY_AFTER MEMORY=TSO MESSAGES=1 DEATHS=1
// mutate: no_loss | HINT_ONLY_BEFORE MEMORY=SC MESSAGES=1 REPAIR=0
// mutate: no_loss | SCAN_BEFORE_CLEAR MEMORY=SC MESSAGES=1 REPAIR=0
// mutate: no_theft | VERDICT_REMEMBERED MEMORY=SC MESSAGES=1 DEATHS=1 REUSE=1 ATTEMPTS=1
// mutate: no_loss | REUSED_BEFORE_RECOVERED MEMORY=SC MESSAGES=1 DEATHS=1 REUSE=1 ATTEMPTS=1
// mutate: torn_read | LOW_WATER_OVER_WHAT_IS_HELD MEMORY=SC MESSAGES=3 ATTEMPTS=1
// mutate: no_loss | LOW_WATER_OF_ANY_LAP MEMORY=TSO MESSAGES=2
// mutate: no_loss | LOW_WATER_STORED MEMORY=SC MESSAGES=3 ATTEMPTS=1
// mutate: no_loss | SETTLE_BEFORE_COPY MEMORY=SC MESSAGES=1 REJECT=1 DEATHS=1 ATTEMPTS=1
// mutate: late_ack | ACK_WITHOUT_LOOKING MEMORY=SC MESSAGES=1 EXPIRE=1
// mutate: late_ack | NO_GENERATION MEMORY=SC MESSAGES=1 BATCH=1 EXPIRE=1
// mutate: no_theft | RENEW_WITHOUT_EXCHANGE MEMORY=SC MESSAGES=1 LIMIT=1 EXPIRE=1 ATTEMPTS=1
// mutate: not_before | DELAY_TAKEN_FOR_NONE MEMORY=SC MESSAGES=1 LIMIT=1
// mutate: not_before | DEADLINE_WITHOUT_LOOKING_AGAIN MEMORY=SC MESSAGES=1 LIMIT=1
// mutate: order | TAKE_WITHOUT_LOOKING MEMORY=TSO MESSAGES=1 DEATHS=1
// mutate: no_duplicate | RESERVED_IS_CHARGED MEMORY=SC MESSAGES=1 BATCH=1 DEATHS=1

#ifndef CAPACITY
#define CAPACITY 1
#endif
#ifndef MESSAGES
#define MESSAGES 2
#endif
#ifndef ATTEMPTS
#define ATTEMPTS 2
#endif
#ifndef SWEEPS
#define SWEEPS 1
#endif
#ifndef REUSE
#define REUSE 0
#endif
#ifndef BATCH
#define BATCH 0
#endif
#ifndef EXPIRE
#define EXPIRE 0
#endif
#ifndef LIMIT
#define LIMIT 0
#endif
#ifndef REJECT
#define REJECT 0
#endif
#ifndef ABORTED
#define ABORTED 0
#endif
#ifndef REPAIR
#define REPAIR 1
#endif

// Processes: the producer, two members, who attaches later, and the sweeps, which store by
// read-modify-write alone.
#define producer 0
#define member(i) (1 + (i))
#define successor 3
#define sweeper(i) (3 + REUSE + (i))
#define PROCESSES (3 + REUSE + SWEEPS)
#define STORERS (3 + REUSE)

#define first CAPACITY  // the first position is that of lap 1
#define past_the_last (CAPACITY + MESSAGES)

#define slot(p) ((p) % CAPACITY)
#define lease(p) (CAPACITY + (p) % CAPACITY)
#define low_water (2 * CAPACITY)
#define cursor (2 * CAPACITY + 1)
#define returned (2 * CAPACITY + 2)
#define dead_pending (2 * CAPACITY + 3)
#define deadline(p) (2 * CAPACITY + 4 + (p) % CAPACITY)
#define WORDS (2 * CAPACITY + 4 + LIMIT * CAPACITY)
#define VALUE int

#include "memory.h"
#include "promises.h"

// Lease: | lap | attempt | generation | member | state |
#define settled 0
#define returned_state 1
#define reserved 2
#define leased 3
#define dead_rejected 4
#define delayed 5
#define no_participant 3
#define make_lease(lap, attempt, generation, who, what) \
    ((lap) << 12 | (attempt) << 9 | ((generation) & 15) << 5 | (who) << 3 | (what))
#define lap_in(w) ((w) >> 12)
#define attempt_in(w) (((w) >> 9) & 7)
#define generation_in(w) (((w) >> 5) & 15)
#define member_in(w) (((w) >> 3) & 3)
#define state_in(w) ((w) & 7)
#define lap_of(p) ((p) / CAPACITY)
#ifdef NO_GENERATION
#define generation_after(w) 0
#else
#define generation_after(w) (generation_in(w) + 1)
#endif
#define to(w, what, attempt, who) make_lease(lap_in(w), attempt, generation_after(w), who, what)
#define is_taken_or_done(w, p) (lap_in(w) == lap_of(p))
#define is_untouched(w, p) (lap_in(w) == lap_of(p) - 1 && state_in(w) == settled)
#define is_held(w) (state_in(w) == leased || state_in(w) == reserved)

// Deadline: | lap | generation | 1 |, 0 = none. When it is over is not said: see time_passed.
#define tag(w) (lap_in(w) << 5 | generation_in(w) << 1 | 1)
#define tag_of_delay(w) tag(to(w, delayed, 0, no_participant))

// Hint: | version | position + 1 |, 0 = none
#define lowest_of(h, p) (((h) == 0 || (h) % 8 > (p) + 1) -> (p) + 1 : (h) % 8)
#define version_after(h) ((h) / 8 % 7 + 1)
#define hinted(h, p) (version_after(h) * 8 + lowest_of(h, p))

byte owner[2];  // of participant entry i: a process
#define is_alive(i) (!dead[owner[i]])

// What happened, for the promises.
byte handed[past_the_last];         // deliveries to user code
byte token[past_the_last];          // changes with every lease that is given or taken away
bool acknowledged[past_the_last];
bool rejected[past_the_last];
bool copied[past_the_last];
byte in_hand[past_the_last];        // the process that holds it + 1
byte taken_first = first;           // the next position to be delivered for the first time
bool cleared_since[past_the_last];  // somebody cleared the hint since it was set for this position
byte deaths;
byte expired;
bool found_over[past_the_last];  // a sweep found its time over, and it was not renewed since
bool renewed;
bool time_passed;  // all delays are over
byte refused;  // copies that the dead-letter channel did not take

#define locals                                                                   \
    registers;                                                                   \
    byte position;                                                               \
    byte low;                                                                    \
    byte end;                                                                    \
    int word_;                                                                   \
    int next_word;                                                               \
    byte hint;                                                                   \
    int seen

inline set_hint(hint_word, p) {
    atomic {
        !dead[me] && all_visible(me);
        hint = hinted(latest(hint_word), p);
        read_modify_write(hint_word, hint, seen);
        hint = 0;
        seen = 0
    }
}

// give_back: from word_ to next_word; position stays. `won` receives whether this call did it.
inline give_back(won) {
#ifndef HINT_ONLY_AFTER
    atomic {
        if
        :: state_in(next_word) == dead_rejected -> set_hint(dead_pending, position)
        :: else -> set_hint(returned, position); cleared_since[position] = false
        fi
    }
#endif
    atomic {
        compare_exchange(lease(position), word_, next_word, seen);
        won = (seen == word_);
        seen = 0;
        if
        :: won && (state_in(next_word) == returned_state || state_in(next_word) == delayed) ->
            PROMISE(no_missed_hint, latest(returned) != 0 || cleared_since[position]);
            PROMISE(no_theft, (EXPIRE && (!LIMIT || found_over[position])) ||
                                  in_hand[position] == 0 || in_hand[position] == me + 1 ||
                                  dead[in_hand[position] - 1]);
            in_hand[position] = 0;
            token[position]++
        :: else
        fi
    }
#ifndef HINT_ONLY_BEFORE
    if
    :: won ->
        if
        :: state_in(next_word) == dead_rejected -> set_hint(dead_pending, position)
        :: else -> set_hint(returned, position)
        fi
    :: else
    fi
#endif
}

// advance_low_water
inline advance_low_water() {
    load_acquire(low_water, low);
    end = low;
    do
    :: end - low < CAPACITY ->
        load_acquire(lease(end), word_);
#ifdef LOW_WATER_OVER_WHAT_IS_HELD
        if
        :: is_taken_or_done(word_, end) -> end++
#else
#ifdef LOW_WATER_OF_ANY_LAP
        if
        :: state_in(word_) == settled && end < past_the_last -> end++
#else
        if
        :: is_taken_or_done(word_, end) && state_in(word_) == settled -> end++
#endif
#endif
        :: else -> break
        fi
    :: else -> break
    od;
    if
    :: end != low ->
#ifdef LOW_WATER_STORED
        store_release(low_water, end)
#else
        compare_exchange(low_water, low, end, seen)
#endif
    :: else
    fi;
    word_ = 0;
    low = 0;
    end = 0;
    seen = 0
}

// for_each_lease: begin, then the body with word_ and position, then next_lease
#define for_each_lease_begin                                                     \
    load_acquire(cursor, end);                                                   \
    load_acquire(low_water, low);                                                \
    position = low;                                                              \
    do                                                                           \
    :: position - low < CAPACITY && position < past_the_last ->                  \
        load_acquire(lease(position), word_);                                    \
        if                                                                       \
        :: is_taken_or_done(word_, position) ->

#define for_each_lease_end                                                       \
        :: else ->                                                               \
            if                                                                   \
            :: position >= end && is_untouched(word_, position) -> break         \
            :: else                                                              \
            fi                                                                   \
        fi;                                                                      \
        position++                                                               \
    :: else -> break                                                             \
    od;                                                                          \
    position = 0;                                                                \
    low = 0;                                                                     \
    end = 0;                                                                     \
    word_ = 0;                                                                   \
    next_word = 0

// What becomes of a lease whose holder lost it.
#define after_loss(w)                                                            \
    (state_in(w) == leased -> to(w, returned_state, attempt_in(w), no_participant) \
     : (state_in(w) == reserved                                                  \
        -> to(w, returned_state, attempt_in(w) - charge, no_participant)         \
        : to(w, state_in(w), attempt_in(w), no_participant)))
#ifdef RESERVED_IS_CHARGED
#define charge 0
#else
#define charge 1
#endif

// recover_leases
inline recover_leases(index_, won) {
    for_each_lease_begin
        if
        :: (is_held(word_) || state_in(word_) == dead_rejected) && member_in(word_) == index_ ->
#ifdef VERDICT_REMEMBERED
            if
            :: true ->  // of before the word was loaded
#else
            if
            :: dead[me] -> false
            :: !dead[me] && !is_alive(index_) ->  // VERDICT
#endif
                next_word = after_loss(word_);
                give_back(won);
                won = false
            :: else
            fi
        :: else
        fi
    for_each_lease_end
}

#if LIMIT
// set_deadline: of `next_word`, while the lease word is still `mine`
inline set_deadline() {
    load_acquire(deadline(position), seen);
    do
    :: true ->
        load_acquire(lease(position), word_);
        if
        :: word_ != mine -> break
        :: else
        fi;
        compare_exchange(deadline(position), seen, tag(next_word), word_);
        if
        :: seen == word_ -> break
        :: else -> seen = word_
        fi
    od;
    word_ = 0;
    seen = 0
}

// end_of_lease: whether there is one that may be over, which is then in `seen`
inline end_of_lease() {
    load_acquire(deadline(position), seen);
    if
    :: seen == tag(word_) -> skip
#ifndef DELAY_TAKEN_FOR_NONE
    :: seen == tag_of_delay(word_) -> skip
#endif
    :: else ->
#ifndef DEADLINE_WITHOUT_LOOKING_AGAIN
        load_acquire(lease(position), next_word);
        if
        :: next_word == word_ -> compare_exchange(deadline(position), seen, tag(word_), next_word)
        :: else
        fi;
#else
        compare_exchange(deadline(position), seen, tag(word_), next_word);
#endif
        next_word = 0;
        seen = 0
    fi
}
#endif

// sweep_group
inline sweep_group(won) {
    for_each_lease_begin
        if
#if LIMIT
        :: is_held(word_) && is_alive(member_in(word_)) ->
            found_over[position] = true;
            end_of_lease();
            if
            :: seen != 0 && expired < EXPIRE ->
                seen = 0;
                next_word = after_loss(word_);
                give_back(won);
                if
                :: won -> expired++; won = false
                :: else
                fi
            :: true -> seen = 0
            fi;
            found_over[position] = false
#endif
        :: !LIMIT && is_held(word_) && expired < EXPIRE && is_alive(member_in(word_)) ->
            if
            :: true ->  // its time is over
                next_word = after_loss(word_);
                give_back(won);
                if
                :: won -> expired++; won = false
                :: else
                fi
            :: true
            fi
#if REPAIR
        :: state_in(word_) == returned_state ->
            load_acquire(returned, seen);
            if
            :: seen == 0 -> set_hint(returned, position)
            :: else -> seen = 0
            fi
        :: state_in(word_) == dead_rejected && member_in(word_) == no_participant ->
            load_acquire(dead_pending, seen);
            if
            :: seen == 0 -> set_hint(dead_pending, position)
            :: else -> seen = 0
            fi
#endif
        :: else
        fi
    for_each_lease_end;
    advance_low_water()
}

// Whether a sweep has something to do: the ticks that find nothing are left out.
#define is_left_by_the_dead(p)                                                   \
    ((is_held(latest(lease(p))) || state_in(latest(lease(p))) == dead_rejected) && \
     member_in(latest(lease(p))) != no_participant && !is_alive(member_in(latest(lease(p)))))
#define lacks_a_hint(p)                                                          \
    (REPAIR && ((state_in(latest(lease(p))) == returned_state && latest(returned) == 0) || \
                (state_in(latest(lease(p))) == dead_rejected &&                  \
                 member_in(latest(lease(p))) == no_participant && latest(dead_pending) == 0)))
#define may_expire(p)                                                            \
    (expired < EXPIRE && is_held(latest(lease(p))) && is_alive(member_in(latest(lease(p)))))
#if LIMIT
#define lacks_a_deadline(p)                                                      \
    (is_held(latest(lease(p))) && is_alive(member_in(latest(lease(p)))) &&       \
     latest(deadline(p)) != tag(latest(lease(p))))
#else
#define lacks_a_deadline(p) false
#endif
#define needs_a_sweep(p)                                                         \
    (is_left_by_the_dead(p) || lacks_a_hint(p) || may_expire(p) || lacks_a_deadline(p))
#if CAPACITY == 1
#define is_sweep_due needs_a_sweep(0)
#else
#define is_sweep_due (needs_a_sweep(0) || needs_a_sweep(1))
#endif

proctype Sweeper(byte me) {
    locals;
    byte i;
    bool won;
    do
    :: is_sweep_due ->
        i = 0;
        do
        :: i < 2 ->
            if
            :: dead[me] -> false
            :: !dead[me] && !is_alive(i) -> recover_leases(i, won)
            :: else
            fi;
            i++
        :: else -> break
        od;
        i = 0;
        sweep_group(won)
    od
}

// What user code and the promises see when a lease becomes `leased`.
#define hand_to_user(p, w)                                                       \
    handed[p]++;                                                                 \
    PROMISE(no_duplicate, attempt_in(w) == handed[p]);                           \
    PROMISE(no_duplicate, !acknowledged[p] && !rejected[p])

// A member has won position p; its word is w.
#define won_lease(p, w)                                                          \
    PROMISE(no_duplicate, in_hand[p] == 0);                                      \
    in_hand[p] = me + 1;                                                         \
    token[p]++;                                                                  \
    my_token = token[p];                                                         \
    if                                                                           \
    :: state_in(w) == leased -> hand_to_user(p, w)                               \
    :: else                                                                      \
    fi

// take_fresh: an untouched position whose slot was seen READY. `mine` is 0 when it failed.
inline take_fresh() {
    load_acquire(lease(position), word_);
    if
    :: is_untouched(word_, position) ->
        atomic {
            mine = make_lease(lap_of(position), 1, generation_after(word_), index, take_as);
#ifdef TAKE_WITHOUT_LOOKING
            read_modify_write(lease(position), mine, seen);
            seen = word_;
#else
            compare_exchange(lease(position), word_, mine, seen);
#endif
            if
            :: seen == word_ ->
                PROMISE(order, position == taken_first);
                taken_first++;
                won_lease(position, mine)
            :: else -> mine = 0
            fi;
            seen = 0
        }
        if
        :: mine != 0 -> store_relaxed(cursor, position + 1)
        :: else
        fi
    :: else
    fi;
    word_ = 0
}

// settle_aborted
inline settle_aborted() {
    load_acquire(lease(position), word_);
    if
    :: is_untouched(word_, position) ->
        atomic {
            compare_exchange(lease(position), word_,
                             make_lease(lap_of(position), 0, generation_after(word_),
                                        no_participant, settled),
                             seen);
            if
            :: seen == word_ -> acknowledged[position] = true; taken_first++
            :: else
            fi;
            seen = 0
        }
    :: else
    fi;
    word_ = 0
}

inline note_cleared() {
    d_step {
        k_ = first;
        do
        :: k_ < past_the_last -> cleared_since[k_] = true; k_++
        :: else -> break
        od;
        k_ = 0
    }
}

#define clear_hint(hint_word)                                                    \
    atomic {                                                                     \
        compare_exchange(hint_word, seen, 0, word_);                             \
        if                                                                       \
        :: seen == word_ && seen != 0 -> note_cleared()                          \
        :: else                                                                  \
        fi;                                                                      \
        word_ = 0;                                                               \
        seen = 0                                                                 \
    }

// A delay that is over, or is taken for over. Members know from next_due, which is left out: every
// sweep sets it right.
#if LIMIT
#define is_due(p)                                                                \
    (state_in(latest(lease(p))) == delayed &&                                    \
     (time_passed || latest(deadline(p)) != tag(latest(lease(p)))))
#else
#define is_due(p) false
#endif
#if CAPACITY == 1
#define any_due is_due(0)
#else
#define any_due (is_due(0) || is_due(1))
#endif

// take_returned and take_again
inline take_returned() {
    load_acquire(returned, seen);
    if
    :: seen != 0 || any_due ->
#ifndef SCAN_BEFORE_CLEAR
        clear_hint(returned);
#endif
        for_each_lease_begin
            if
            :: state_in(word_) == returned_state && mine != 0 -> set_hint(returned, position)
            :: state_in(word_) == returned_state && mine == 0 ->
                atomic {
                    mine = to(word_, take_as, attempt_in(word_) + 1, index);
                    compare_exchange(lease(position), word_, mine, seen);
                    if
                    :: seen == word_ -> won_lease(position, mine); got = position
                    :: else -> mine = 0
                    fi;
                    seen = 0
                }
#if LIMIT
            :: state_in(word_) == delayed && mine == 0 ->
                load_acquire(deadline(position), seen);
                if
                :: seen != tag(word_) || time_passed ->
                    atomic {
                        mine = to(word_, take_as, attempt_in(word_) + 1, index);
                        compare_exchange(lease(position), word_, mine, seen);
                        if
                        :: seen == word_ ->
                            PROMISE(not_before, time_passed);
                            won_lease(position, mine);
                            got = position
                        :: else -> mine = 0
                        fi
                    }
                :: else
                fi;
                seen = 0
#endif
            :: else
            fi
        for_each_lease_end;
#ifdef SCAN_BEFORE_CLEAR
        load_acquire(returned, seen);
        clear_hint(returned);
#endif
        position = got;
        got = 0
    :: else
    fi;
    seen = 0
}

// The copy first, then settled: see bury().
inline bury(won) {
#ifdef SETTLE_BEFORE_COPY
    atomic {
        compare_exchange(lease(position), mine, to(mine, settled, attempt_in(mine), index), seen);
        seen = 0
    }
    atomic { !dead[me]; copied[position] = true }
#else
    if
    :: atomic { !dead[me]; copied[position] = true };
        compare_exchange(lease(position), mine, to(mine, settled, attempt_in(mine), index), seen);
        seen = 0
    :: atomic { !dead[me] && refused == 0; refused = 1 };  // the target is full
        word_ = mine;
        next_word = to(mine, dead_rejected, attempt_in(mine), no_participant);
        give_back(won);
        won = false;
        word_ = 0;
        next_word = 0
    fi
#endif
    advance_low_water()
}

inline bury_pending(won) {
    load_acquire(dead_pending, seen);
    if
    :: seen != 0 ->
        clear_hint(dead_pending);
        for_each_lease_begin
            if
            :: state_in(word_) == dead_rejected && member_in(word_) == no_participant && mine == 0 ->
                mine = to(word_, dead_rejected, attempt_in(word_), index);
                compare_exchange(lease(position), word_, mine, seen);
                if
                :: seen == word_ -> got = position
                :: else -> mine = 0
                fi;
                seen = 0
            :: state_in(word_) == dead_rejected && member_in(word_) == no_participant && got != 0 ->
                set_hint(dead_pending, position)
            :: else
            fi
        for_each_lease_end;
        if
        :: mine != 0 ->
            position = got;
            bury(won);
            mine = 0;
            got = 0;
            position = 0
        :: else
        fi
    :: else -> seen = 0
    fi
}

// ack: the content is looked at first, since the right to it ends with the exchange.
inline ack() {
    atomic {
        PROMISE(torn_read, latest(lease(position)) != mine || latest(slot(position)) == position);
#ifdef ACK_WITHOUT_LOOKING
        read_modify_write(lease(position), to(mine, settled, attempt_in(mine), index), seen);
        seen = mine;
#else
        compare_exchange(lease(position), mine, to(mine, settled, attempt_in(mine), index), seen);
#endif
        if
        :: seen == mine ->
            PROMISE(late_ack, my_token == token[position]);
            in_hand[position] = 0;
            acknowledged[position] = true
        :: else -> PROMISE(late_ack, my_token != token[position])
        fi;
        seen = 0
    }
    mine = 0;
    my_token = 0;
    position = 0
}

#define next_position \
    (latest(cursor) > latest(low_water) -> latest(cursor) : latest(low_water))
#define slot_has_news(p) (latest(slot(p)) >= (p) && (p) < past_the_last)
#define has_news                                                                 \
    (latest(returned) != 0 || latest(dead_pending) != 0 || any_due ||            \
     slot_has_news(next_position))

proctype Member(byte me; byte index) {
    locals;
    byte got;
    byte take_as = leased;
    int mine;
    byte my_token;
    bool won;
#if BATCH
    byte second;
    int second_mine;
    byte second_token;
    take_as = reserved;
#endif
receive:
#if BATCH
    has_news || second != 0;  // never waits for the rest of a batch
#else
    has_news;
#endif
    // take()
#if REJECT
    bury_pending(won);
#endif
    take_returned();
    if
    :: mine != 0 -> goto accept
    :: else
    fi;
    load_relaxed(cursor, position);
    load_relaxed(low_water, low);
    position = (position > low -> position : low);
    low = 0;
    // walk(); its first turn is the shortcut of take()
    do
    :: position < past_the_last ->
        load_acquire(slot(position), seen);
        if
        :: seen < position -> seen = 0; break
        :: seen > position ->
            seen = 0;
            load_acquire(low_water, low);
            position = (position + 1 > low -> position + 1 : low);
            low = 0
        :: seen == position ->
            seen = 0;
            load_acquire(lease(position), word_);
            if
            :: is_untouched(word_, position) ->
#if ABORTED
                if
                :: position == first + 1 -> settle_aborted()
                :: else ->
                    take_fresh();
                    if
                    :: mine != 0 -> goto accept
                    :: else
                    fi
                fi
#else
                take_fresh();
                if
                :: mine != 0 -> goto accept
                :: else
                fi
#endif
            :: else ->
                word_ = 0;
                position++;
                store_relaxed(cursor, position)
            fi
        fi
    :: else -> break
    od;
    position = 0;
    advance_low_water();  // make_room
#if BATCH
    if
    :: second != 0 -> goto hand_out
    :: else
    fi;
#endif
    goto receive;

accept:
    // The slot again, now that the lease keeps it.
    PROMISE(torn_read, latest(lease(position)) != mine || latest(slot(position)) == position);
#if BATCH
    if
    :: second == 0 ->
        second = position;
        second_mine = mine;
        second_token = my_token;
        position = 0;
        mine = 0;
        my_token = 0;
        if
        :: has_news -> goto receive
        :: true
        fi
    :: else
    fi;
hand_out:
    // The older one first; then `position` holds what is left, if anything.
    do
    :: second == 0 -> break
    :: else ->
        atomic {
            compare_exchange(lease(second), second_mine,
                             to(second_mine, leased, attempt_in(second_mine), index), seen);
            if
            :: seen == second_mine ->
                second_mine = to(second_mine, leased, attempt_in(second_mine), index);
                hand_to_user(second, second_mine)
            :: else -> second_mine = 0
            fi;
            seen = 0
        }
        // Swapped, so that what follows works on the one handed out.
        atomic {
            low = position; position = second; second = low; low = 0;
            word_ = mine; mine = second_mine; second_mine = word_; word_ = 0;
            end = my_token; my_token = second_token; second_token = end; end = 0
        }
        if
        :: mine != 0 ->
            ack();
            advance_low_water()
        :: else -> position = 0; my_token = 0
        fi
    od;
    goto receive
#else
#if LIMIT
    next_word = mine;
    set_deadline();  // start_limit
    next_word = 0;
    if
    :: atomic { !dead[me] && !renewed; renewed = true };  // renew
        atomic {
#ifdef RENEW_WITHOUT_EXCHANGE
            load_acquire(lease(position), seen);
            if
            :: seen == mine -> found_over[position] = false
            :: else
            fi;
#else
            compare_exchange(lease(position), mine, to(mine, leased, attempt_in(mine), index), seen);
            if
            :: seen == mine ->
                PROMISE(late_ack, my_token == token[position]);
                mine = to(mine, leased, attempt_in(mine), index);
                found_over[position] = false
            :: else
            fi;
#endif
            seen = 0
        }
        next_word = mine;
        set_deadline();
        next_word = 0
    :: true
    fi;
#endif
    if
    :: true ->
        ack();
        advance_low_water()  // after_settling
#if LIMIT
    :: attempt_in(mine) < ATTEMPTS ->  // nack with a delay
        next_word = to(mine, delayed, attempt_in(mine), no_participant);
        set_deadline();
        word_ = mine;
        give_back(won);
        won = false;
        word_ = 0;
        next_word = 0;
        mine = 0;
        my_token = 0;
        position = 0
#endif
    :: attempt_in(mine) < ATTEMPTS ->  // nack
        word_ = mine;
        next_word = to(mine, returned_state, attempt_in(mine), no_participant);
        give_back(won);
        won = false;
        word_ = 0;
        next_word = 0;
        mine = 0;
        my_token = 0;
        position = 0
#if REJECT
    :: true ->
        atomic {
            compare_exchange(lease(position), mine,
                             to(mine, dead_rejected, attempt_in(mine), index), seen);
            if
            :: seen == mine ->
                rejected[position] = true;
                in_hand[position] = 0;
                mine = to(mine, dead_rejected, attempt_in(mine), index)
            :: else -> mine = 0
            fi;
            seen = 0
        }
        if
        :: mine != 0 -> bury(won)
        :: else
        fi;
        mine = 0;
        my_token = 0;
        position = 0
#endif
    fi;
    goto receive
#endif
}

// A producer writes below low-water + capacity; blocked, it moves the mark itself.
proctype Producer(byte me) {
    locals;
    byte next = first;
    do
    :: next == past_the_last -> break
    :: else ->
        load_acquire(low_water, low);
        if
        :: next < low + CAPACITY ->
            low = 0;
            store_release(slot(next), next);
            next++
        :: else ->
            low = 0;
            (latest(low_water) + CAPACITY > next) ||
                (is_taken_or_done(latest(lease(next)), next - CAPACITY) &&
                 state_in(latest(lease(next))) == settled);
            advance_low_water()
        fi
    od
}

#if REUSE
// attach: with the registry locked, first everything of the dead is recovered.
proctype Successor(byte me) {
    locals;
    byte i;
    bool won;
    !is_alive(0) || !is_alive(1);
    if
    :: !is_alive(0) -> i = 0
    :: else -> i = 1
    fi;
#ifndef REUSED_BEFORE_RECOVERED
    recover_leases(i, won);
#endif
    atomic {
        !dead[me];
        owner[i] = me;
        run Member(me, i)
    }
}
#endif

init {
    byte i;
    atomic {
        for (i : 0 .. CAPACITY - 1) {
            initialise(slot(i), i);
            initialise(lease(i), make_lease(0, 0, 0, no_participant, settled))
        }
        initialise(low_water, first);
        initialise(cursor, first);
        owner[0] = member(0);
        owner[1] = member(1);
        run Producer(producer);
        run Member(member(0), 0);
        run Member(member(1), 1);
        for (i : 0 .. SWEEPS - 1) {
            run Sweeper(sweeper(i))
        }
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
#if SWEEPS > 1
            :: !dead[sweeper(0)] -> dead[sweeper(0)] = true
#endif
#if REUSE
            :: !dead[successor] && all_visible(successor) -> dead[successor] = true
#endif
            fi;
            deaths++
        }
    :: LIMIT && timeout && !time_passed -> time_passed = true
    :: timeout && (!LIMIT || time_passed) -> break
    od;
    if
    :: (is_alive(0) || is_alive(1)) && (!dead[sweeper(0)] || (SWEEPS > 1 && !dead[sweeper(1)])) ->
        d_step {
            for (i : first .. past_the_last - 1) {
                PROMISE(no_loss, acknowledged[i] || (rejected[i] && copied[i]))
            }
            PROMISE(no_loss, latest(slot(past_the_last - 1)) == past_the_last - 1);
            i = latest(low_water);  // and the mark can still move
            PROMISE(no_loss, i == past_the_last || is_taken_or_done(latest(lease(i)), i))
        }
    :: else
    fi
}
