/* world.h - starts the parties of one measurement, each in its own process (or
 * thread) on its own core, lets them begin together, and collects what they
 * found. All of it lies in memory that the parties share. */
#ifndef LAB_WORLD_H
#define LAB_WORLD_H

#include "clock.h"
#include "hist.h"
#include "raw.h"
#include "transport.h"

#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <sys/types.h>

#define LAB_PARTIES_MAX 16u

/* How a party is to be run. */
struct lab_setup {
    int cpus[64]; /* cores to use, in order */
    uint32_t cpu_cnt;
    uint32_t threads; /* 1: threads instead of processes */
    uint32_t realtime; /* SCHED_FIFO priority, 0: none */
    uint32_t sleepers; /* receivers sleep instead of spinning */
    uint64_t timeout_ns;
    struct lab_raw *raw; /* NULL: samples are not kept one by one */
};
extern struct lab_setup lab_setup;

/* What one party found. */
struct lab_report {
    uint64_t cnt; /* messages sent or received */
    uint64_t taken_cnt; /* received by a party that sends too */
    uint64_t sum; /* of their words */
    uint64_t disorder;
    uint64_t first_ticks, last_ticks; /* of the measured stretch */
    uint64_t measured_cnt; /* messages in it */
    uint64_t cpu_ns; /* processor time in it */
    uint64_t switches, forced_switches;
    uint64_t pss_bytes;
    uint64_t syscalls; /* see lab_world_trace() */
    _Atomic uint32_t counting;
    int cpu; /* it ran on, -1: not pinned */
    int failed;
    char error[192];
    struct lab_hist hist;
};

struct lab_world {
    alignas(128) _Atomic uint32_t ready;
    alignas(128) _Atomic uint32_t go;
    alignas(128) _Atomic uint32_t stop; /* producers: finish */
    alignas(128) _Atomic uint32_t senders_done;
    _Atomic uint64_t sent_cnt; /* by senders that are done */
    alignas(128) _Atomic uint64_t taken_cnt; /* by competing receivers */
    alignas(128) uint64_t start_ticks; /* intended start, open loop */
    uint32_t party_cnt;
    uint32_t crowded; /* more parties than cores */
    alignas(128) _Atomic uint64_t words[32]; /* a mode's own */
    struct lab_report reports[LAB_PARTIES_MAX];
};

struct lab_party {
    struct lab_world *world;
    struct lab_report *report;
    uint32_t idx;
    void *arg;
    /* Does the work; 0, or -1 with report->error. Calls lab_party_ready()
     * once, when everything is open. */
    int (*run)(struct lab_party *party);
    /* Internal. */
    pid_t pid;
    uint64_t thread;
};

/* One world for the whole run; NULL when memory runs out. */
struct lab_world *lab_world_get(void);

/* Forgets the last measurement. */
void lab_world_reset(struct lab_world *world);

/* Runs `cnt` parties to their ends. 0, or -1 with `error` (192 bytes).
 * `threads` asks for threads, whatever the setup says. */
int lab_world_run(struct lab_world *world, struct lab_party *parties,
    uint32_t cnt, uint32_t threads, char *error);

/* As lab_world_run(), but the first party is the one that decides: when it has
 * ended, the others get a second to end too and are killed after that, which is
 * no failure. Processes only. */
int lab_world_run_loose(struct lab_world *world, struct lab_party *parties,
    uint32_t cnt, char *error);

/* The same in steps, for modes that do something to the parties: start waits
 * until all are ready, go lets them begin, join waits for their ends. */
int lab_world_start(struct lab_world *world, struct lab_party *parties,
    uint32_t cnt, uint32_t threads, char *error);
void lab_world_go(struct lab_world *world);
int lab_world_join(struct lab_world *world, struct lab_party *parties,
    uint32_t cnt, uint32_t threads, char *error);

/* Follows processes that were started and are ready, counting their system
 * calls into reports[].syscalls while reports[].counting is set; lets them go
 * and returns at their ends. 0, or -1 with `error` when they may not be
 * traced. */
int lab_world_trace(struct lab_world *world, struct lab_party *parties,
    uint32_t cnt, char *error);

/* Party: everything is open; returns when all others are ready too. */
void lab_party_ready(struct lab_party *party);

/* Party: fails with a sentence; returns -1. */
int lab_party_fail(
    struct lab_party *party, const char *what, const char *error);

/* True when a party should give up: another one failed. */
static inline int lab_party_lost(const struct lab_world *world)
{
    return atomic_load_explicit(&world->stop, memory_order_relaxed) == 2;
}

/* In a child: ends when `parent`, which forked it, has ended. */
void lab_die_with(pid_t parent);

/* Waiting politely: spins, but gives the core away now and then when there
 * are more parties than cores. */
struct lab_patience {
    uint32_t spins;
    uint32_t crowded;
};
static inline void lab_wait_a_bit(struct lab_patience *p)
{
    lab_relax();
    if (p->crowded && ++p->spins % 64 == 0)
        sched_yield();
}

/* Pins the calling thread to core number `idx` of the setup (modulo). Returns
 * the core, or -1. */
int lab_pin(uint32_t idx);
void lab_unpin(void); /* back to all cores of the setup */

/* The cores that this process may use; from `list` ("0,2-3") when given.
 * NULL, or what is wrong with the list. */
const char *lab_cpus_parse(const char *list);

/* Measures lab_clock.skew_ns between the first two cores. */
void lab_clock_skew(void);

#endif
