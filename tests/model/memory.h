// Shared memory for the models: what a load may return and when a store becomes visible.
//
// A model names its shared words 0 .. WORDS-1, says how many processes use them (PROCESSES, each
// knows its number as `me`), and accesses them through the operations below with the orderings of
// the C++ source. One of three memories is chosen with -DMEMORY=...
//
//   SC   every access takes effect at once
//   TSO  x86-64: a FIFO store buffer of DEPTH entries for each process, which drains whenever it
//        likes; a process sees its own stores; read-modify-writes and full fences wait until the
//        buffer is empty. Acquire and release cost nothing and change nothing
//   C11  aarch64 and whatever else the C++ memory model allows, except for loads that are satisfied
//        by stores later in their own thread: each word has its modification order, each process a
//        view, the oldest write of each word it may still read. A load returns any write from there
//        on; release attaches the view to the write, acquire takes it over; fences do so for the
//        accesses behind and before them. (Kang, Hur, Lahav, Vafeiadis, Dreyer: A promising semantics
//        for relaxed-memory concurrency, POPL 2017, without promises.)
//
// A dead process executes nothing any more. Its lock byte is free only after its stores are visible,
// and whoever finds it free has seen them: the kernel takes locks in exit and in fcntl.

#ifndef MEMORY
#define MEMORY SC
#endif
#ifndef DEPTH
#define DEPTH 2
#endif
#ifndef VALUE
#define VALUE byte
#endif
// Processes from this number on store by read-modify-write only.
#ifndef STORERS
#define STORERS PROCESSES
#endif
#ifndef DEATHS
#define DEATHS 0
#endif

bool dead[PROCESSES];
hidden int k_;

// Every operation is one step, before which the process may be killed. `registers` declares what
// the operations need in each process.
#if MEMORY == SC || MEMORY == TSO

VALUE memory[WORDS];

#define latest(w) memory[w]
#define registers byte unused_
#define initialise(w, v) memory[w] = v

#if MEMORY == SC
#define all_visible(p) true
#define buffered(p) 0
#else
typedef StoreBuffer {
    byte length;
    byte word[DEPTH];
    VALUE value[DEPTH]
};
StoreBuffer buffer[STORERS];
#define all_visible(p) ((p) >= STORERS || buffer[p].length == 0)
#endif

inline load_relaxed(w_, x_) {
#if MEMORY == SC
    d_step { !dead[me]; x_ = memory[w_] }
#else
    d_step {
        !dead[me];
        x_ = memory[w_];
        k_ = 0;
        do
        :: me < STORERS && k_ < buffer[me].length ->
            if
            :: buffer[me].word[k_] == w_ -> x_ = buffer[me].value[k_]
            :: else
            fi;
            k_++
        :: else -> break
        od;
        k_ = 0
    }
#endif
}

inline store_relaxed(w_, v_) {
#if MEMORY == SC
    d_step { !dead[me]; memory[w_] = v_ }
#else
    d_step {
        !dead[me] && buffer[me].length < DEPTH;
        buffer[me].word[buffer[me].length] = w_;
        buffer[me].value[buffer[me].length] = v_;
        buffer[me].length++
    }
#endif
}

#define load_acquire(w, x) load_relaxed(w, x)
#define store_release(w, v) store_relaxed(w, v)
#define fence_acquire() skip
#define fence_release() skip

inline fence_full() {
    !dead[me] && all_visible(me)
}

// From exactly `from_` to `to_`; `was_` receives what was there.
inline compare_exchange(w_, from_, to_, was_) {
    d_step {
        !dead[me] && all_visible(me);
        was_ = memory[w_];
        if
        :: was_ == (from_) -> memory[w_] = to_
        :: else
        fi
    }
}

// `was_` receives the value before; `to_` may use it. Also what a loop of exchanges comes to.
inline read_modify_write(w_, to_, was_) {
    d_step {
        !dead[me] && all_visible(me);
        was_ = memory[w_];
        memory[w_] = to_
    }
}

// What a barrier that another process executes for this one (membarrier) does to it.
inline executes_barrier(p_) {
    all_visible(p_)
}

// The tester takes over what the dead made visible: here there is nothing else.
inline takes_over(p_) {
    skip
}

#if MEMORY == TSO
active [STORERS] proctype Drain() {
end:
    do
    :: d_step {
        buffer[_pid].length > 0;
        memory[buffer[_pid].word[0]] = buffer[_pid].value[0];
        buffer[_pid].length--;
        k_ = 0;
        do
        :: k_ < buffer[_pid].length ->
            buffer[_pid].word[k_] = buffer[_pid].word[k_ + 1];
            buffer[_pid].value[k_] = buffer[_pid].value[k_ + 1];
            k_++
        :: else -> break
        od;
        buffer[_pid].word[k_] = 0;
        buffer[_pid].value[k_] = 0;
        k_ = 0
    }
    od
}
#endif
#endif

#if MEMORY == C11

// A view holds for each word the number of a write, in VIEW_BITS bits of an int.
#ifndef VIEW_BITS
#define VIEW_BITS 4
#endif
#define view_mask ((1 << VIEW_BITS) - 1)
#define view_of(view, w) (((view) >> ((w) * VIEW_BITS)) & view_mask)
#ifndef WRITES
#define WRITES 8
#endif

typedef Write {
    VALUE value;
    int view
};
typedef Word {
    byte last;
    Write write[WRITES]
};
typedef Views {
    int own;       // what this process knows
    int acquired;  // what it will know after an acquire fence
    int released   // what its relaxed stores tell: its own at the last release fence
};
Word word[WORDS];
Views views[PROCESSES];
int fenced;  // what every full fence takes over and adds to

#define latest(w) word[w].write[word[w].last].value
#define registers byte t_
#define initialise(w, v) word[w].write[0].value = v
#define all_visible(p) true

#define set_view(view, w, number) \
    view = (view & ~(view_mask << ((w) * VIEW_BITS))) | ((number) << ((w) * VIEW_BITS))

// into = the later of both for each word
#define join(into, other)                                       \
    k_ = 0;                                                     \
    do                                                          \
    :: k_ < WORDS ->                                            \
        if                                                      \
        :: view_of(other, k_) > view_of(into, k_) ->            \
            set_view(into, k_, view_of(other, k_))              \
        :: else                                                 \
        fi;                                                     \
        k_++                                                    \
    :: else -> break                                            \
    od;                                                         \
    k_ = 0

#define read_write_(w, number)                                  \
    set_view(views[me].own, w, number);                         \
    set_view(views[me].acquired, w,                             \
             (view_of(views[me].acquired, w) > number -> view_of(views[me].acquired, w) : number))

// Any write not older than what this process knows.
#define choose_write_(w)                                        \
    t_ = view_of(views[me].own, w);                             \
    do                                                          \
    :: t_ < word[w].last -> t_++                                \
    :: break                                                    \
    od;                                                         \
    skip

inline load_relaxed(w_, x_) {
    atomic {
        !dead[me];
        choose_write_(w_);
        d_step {
            read_write_(w_, t_);
            join(views[me].acquired, word[w_].write[t_].view);
            x_ = word[w_].write[t_].value;
            t_ = 0
        }
    }
}

inline load_acquire(w_, x_) {
    atomic {
        !dead[me];
        choose_write_(w_);
        d_step {
            read_write_(w_, t_);
            join(views[me].acquired, word[w_].write[t_].view);
            join(views[me].own, word[w_].write[t_].view);
            x_ = word[w_].write[t_].value;
            t_ = 0
        }
    }
}

#define append_(w, v)                                           \
    word[w].last++;                                             \
    assert(word[w].last < WRITES);                              \
    word[w].write[word[w].last].value = v;                      \
    read_write_(w, word[w].last)

inline store_relaxed(w_, v_) {
    d_step {
        !dead[me];
        append_(w_, v_);
        word[w_].write[word[w_].last].view = views[me].released;
        set_view(word[w_].write[word[w_].last].view, w_, word[w_].last)
    }
}

inline store_release(w_, v_) {
    d_step {
        !dead[me];
        append_(w_, v_);
        word[w_].write[word[w_].last].view = views[me].own
    }
}

inline fence_acquire() {
    d_step {
        !dead[me];
        join(views[me].own, views[me].acquired)
    }
}

inline fence_release() {
    d_step {
        !dead[me];
        views[me].released = views[me].own
    }
}

inline executes_barrier(p_) {
    d_step {
        join(views[p_].own, views[p_].acquired);
        join(fenced, views[p_].own);
        views[p_].own = fenced;
        views[p_].acquired = fenced;
        views[p_].released = fenced
    }
}

inline fence_full() {
    atomic {
        !dead[me];
        executes_barrier(me)
    }
}

// Acquire and release; reads the newest write. The write it makes also tells what the one before it
// told (a release sequence).
inline compare_exchange(w_, from_, to_, was_) {
    d_step {
        !dead[me];
        was_ = latest(w_);
        read_write_(w_, word[w_].last);
        join(views[me].own, word[w_].write[word[w_].last].view);
        join(views[me].acquired, views[me].own);
        if
        :: was_ == (from_) ->
            append_(w_, to_);
            word[w_].write[word[w_].last].view = word[w_].write[word[w_].last - 1].view;
            join(word[w_].write[word[w_].last].view, views[me].own)
        :: else
        fi
    }
}

inline read_modify_write(w_, to_, was_) {
    d_step {
        !dead[me];
        was_ = latest(w_);
        read_write_(w_, word[w_].last);
        join(views[me].own, word[w_].write[word[w_].last].view);
        join(views[me].acquired, views[me].own);
        append_(w_, to_);
        word[w_].write[word[w_].last].view = word[w_].write[word[w_].last - 1].view;
        join(word[w_].write[word[w_].last].view, views[me].own)
    }
}

// The tester of a free lock byte takes over what its dead owner knew.
inline takes_over(p_) {
    d_step {
        join(views[me].own, views[p_].own);
        join(views[me].acquired, views[p_].own)
    }
}
#endif
