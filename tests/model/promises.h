// What the models promise, by name: SPIN prints the condition that failed, and so the name.

hidden byte torn_read, order, no_loss, no_duplicate, no_lost_wakeup, not_stuck;

#define PROMISE(name, condition) assert(name || (condition))
