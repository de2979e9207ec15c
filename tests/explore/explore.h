/* explore.h - the explorer: many seeded interleavings of the real library in
 * one process.
 *
 * A scenario has up to seven threads, each standing for a process of its own.
 * They are coroutines: at every access to shared memory the scheduler may go
 * on with another one, kill the caller or stop it, and a load may return any
 * value that C11 and the order of its edge allow (x_memory.c). What the
 * library asks of the kernel is answered by x_world.c. A run depends on its
 * seed alone.
 *
 * Nothing here is thread-safe; there is one thread. */
#ifndef SHMQ_TEST_EXPLORE_H
#define SHMQ_TEST_EXPLORE_H

#include <setjmp.h>
#include <shmq.h>
#include <stdbool.h>
#include <stdint.h>

#include "hooks.h"
#include "layout.h"
#include "segment.h"

#define X_THREADS 8u /* the judge is 0 */
#define X_PROCESSES X_THREADS

/* -- scenarios ------------------------------------------------------------ */

#define X_TTL_NS 1000000u

/* The topic of a scenario. Arenas and rings may be smaller than a real topic
 * allows, so that reuse happens after few records. */
struct x_setup {
    uint32_t ring; /* enum shmq_ring */
    uint32_t on_full;
    uint32_t slots;
    uint32_t arena_bytes;
    uint32_t producers, members, groups;
    uint32_t flags; /* SHMQ_TOPIC_TTL_DEAD_LETTER: of X_TTL_NS */
    uint64_t start_seq;
    uint32_t claims; /* per group; 0: as many as slots */
};

struct x_scenario {
    const char *name;
    const char *what; /* one sentence */
    struct x_setup setup;
    uint32_t threads; /* 1 to threads run */
    uint32_t mortal; /* bit t: thread t may be killed */
    uint32_t stoppable; /* bit t: thread t may be stopped */
    /* Once, alone; its result is where each run begins. */
    void (*begin)(void);
    void (*thread)(uint32_t who);
    /* After each run, alone, with everybody's knowledge. */
    void (*end)(void);
    void *state; /* restored before each run */
    size_t state_bytes;
};

extern const struct x_scenario *const x_scenarios[];

/* -- what scenarios call ----------------------------------------------------
 */

/* The topic as process `who` has it open. */
struct shmq_topic *x_topic(uint32_t who);
struct shmqi_segment *x_segment(uint32_t who);
struct shmqi_ring *x_ring(void);
/* begin() only: acts as process `who` from now on. */
void x_as(uint32_t who);
uint32_t x_who(void);

/* Fails the run. */
__attribute__((noreturn, format(printf, 1, 2))) void x_fail(
    const char *fmt, ...);
/* The same, and also when only crashes, hangs and stray accesses count. */
__attribute__((noreturn, format(printf, 1, 2))) void x_danger(
    const char *fmt, ...);
#define X_TRUE(cond) \
    ((cond) ? (void)0 \
            : x_fail("%s:%d: not true: %s", __FILE__, __LINE__, #cond))

/* The next library call may take so many accesses at most. */
#define X_STEPS 8000u
void x_call(uint32_t steps);
/* Waits until somebody has brought something forward (x_rules.c); false: nobody
 * will. */
bool x_idle(void);
/* Lets the others go on. */
void x_yield(void);
uint64_t x_random(void);
uint64_t x_below(uint64_t limit);
void x_advance(uint64_t ns); /* the clock */

bool x_was_killed(uint32_t who);
bool x_was_stopped(uint32_t who); /* and has not gone on */
/* end() only: a stopped thread is killed after all. */
void x_kill(uint32_t who);
/* Sleeps that ended by time so far: of all, of one. */
uint32_t x_timeouts(void);
uint32_t x_timeouts_of(uint32_t who);
bool x_anybody_doomed(void);

/* Reads memory of the ring that the library handed out as stable: any store
 * that it might race with fails the run. */
void x_read(void *to, const void *from, uint64_t bytes);
bool x_is_shared(const void *p);

/* -- inside -------------------------------------------------------------------
 */

/* One 16-bit clock per thread. */
typedef uint16_t x_vc __attribute__((vector_size(16)));

enum x_state {
    X_READY,
    X_IDLE,
    X_ASLEEP,
    X_STOPPED,
    X_KILLED,
    X_OVER,
    X_UNUSED
};
enum x_doom { X_DOOM_KILL, X_DOOM_LATE, X_DOOM_STOP };

struct x_thread {
    x_vc vc; /* what happened before */
    x_vc acquired; /* by relaxed loads; counts after an acquire fence */
    x_vc released; /* vc at the last release fence */
    uint32_t fence; /* number of its last seq_cst fence */
    uint32_t settled; /* stores up to this number are visible to it */
    uint32_t who;
    enum x_state state;
    uint32_t steps, call_end;
    uint32_t call; /* number of the library call */
    uint32_t doom_at;
    enum x_doom doom;
    uint32_t resume_at;
    uint32_t idle_mark;
    bool told; /* idle: something was stored */
    const void *futex;
    uint64_t wake_at;
    bool woken;
    uint32_t timeouts;
    uint32_t priority;
    bool fresh;
    jmp_buf context, start;
};

enum x_strategy { X_WALK, X_BOUNDED, X_PCT };

struct x_run {
    const struct x_scenario *scenario;
    uint64_t seed;
    uint64_t rng;
    uint32_t number; /* marks what belongs to this run */
    uint32_t steps, switch_at;
    uint32_t stores; /* that brought something forward */
    uint32_t stale; /* in 256: how often an old value is preferred */
    uint32_t sc; /* seq_cst stores and fences so far */
    uint32_t pushed; /* stores so far */
    uint32_t quantum;
    enum x_strategy strategy;
    uint32_t points[3], point;
    uint32_t timeouts;
    uint32_t doomed;
    uint64_t now;
    uint64_t hash;
    bool running; /* the threads; not begin() or end() */
    bool direct; /* begin() */
    bool lag; /* the kernel frees locks of the dead late */
    uint32_t hostile; /* in 256: how often a second load is answered so */
    bool failed, danger;
    char why[512];
};
extern struct x_run x_run;
extern struct x_thread x_threads[X_THREADS];
extern struct x_thread *x_me;

/* x_sched.c */
void x_sched_init(void);
void x_step(void);
void x_schedule(void); /* goes on with another; returns when chosen again */
bool x_run_threads(void); /* false: failed */
bool x_run_end(void);

/* x_memory.c */
extern const struct shmqi_hooks x_hooks;
void x_memory_init(uint64_t bytes);
void x_memory_begin(void); /* of a run */
uint64_t x_memory_newest(const void *word);
void x_memory_join(struct x_thread *t, const struct x_thread *from);
void x_memory_barrier_all(void);
void x_memory_load_file(uint64_t at, int fd, uint64_t bytes);
void *x_memory_at(uint64_t at);
uint64_t x_memory_off(const void *p);
uint64_t x_memory_bytes(void);
/* Makes edge `id` weaker than it is. */
bool x_weaken(const char *id, int order);
extern uint32_t x_edge_cnt;
uint32_t x_edges_seen(bool print);

/* x_heap.c */
void x_heap_begin(void); /* from now on malloc() is the run's */
void x_heap_end(void);
void x_heap_mark(void);
void x_heap_restore(void);
bool x_heap_holds(const void *p, uint64_t bytes); /* in one block, or a stack */

/* x_world.c */
struct x_world {
    uint64_t locked[64];
    uint8_t holder[64];
    uint32_t locks;
    uint64_t identities;
    bool dead[X_PROCESSES];
};
extern struct x_world x_world;
void x_world_open(const struct x_setup *setup);
void x_world_died(uint32_t process);

/* x_trace.c */
extern bool x_tracing;
void x_trace(const char *verb, const char *edge, const void *p, uint64_t v,
    uint32_t stale, uint32_t of);
void x_trace_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void x_trace_print(uint32_t last);
void x_trace_begin(void);
void x_name(char *buf, size_t size, const void *p);

/* x_fetch.c */
#define X_KINDS 256u
struct x_kind {
    char word[40];
    char first[8], second[8]; /* edges */
};
/* What second loads there were; shared by a worker and its parent. */
struct x_fetches {
    uint64_t calls, second, hostile;
    uint32_t kind_cnt;
    struct x_kind kinds[X_KINDS];
};
extern bool x_fetching;
void x_fetch_begin(uint64_t bytes, struct x_fetches *tell);
uint64_t x_fetch(const char *edge, const void *p, uint64_t v);
void x_fetch_range(const void *p, uint64_t bytes);
void x_fetch_add(struct x_fetches *to, const struct x_fetches *from);
/* Prints kinds that `path` does not list with a reason, and how many. */
uint32_t x_fetch_unlisted(struct x_fetches *f, const char *path);

/* x_rules.c */
void x_rules_init(void);
void x_rules_store(const void *word, uint64_t old, uint64_t value);

#endif
