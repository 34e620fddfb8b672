// What the models promise, by name: SPIN prints the condition that failed, and so the name.

hidden byte torn_read, order, no_loss, no_duplicate, no_lost_wakeup, late_ack, no_missed_hint, no_theft, not_before, not_stuck, sentinel_is_fast, refusal_stands, no_hidden_room, exact, not_beyond, contiguous;

#define PROMISE(name, condition) assert(name || (condition))
