/* probe.h - measurements of our library that are no transport: what a loan
 * costs, what sleeping costs, how long a killed process holds others up. */
#ifndef LAB_PROBE_H
#define LAB_PROBE_H

#include "world.h"

/* commit + receive + release of a loan, payload untouched, in ns. */
struct lab_loan_cost {
    double small_ns; /* 64 bytes */
    double large_ns; /* 4 MiB, same topic, blocks interleaved */
};
int lab_probe_loan(struct lab_loan_cost *ret, char *error);

/* Share of one core that a consumer takes which waits on an idle topic. */
int lab_probe_idle(uint64_t ns, uint32_t ring, double *ret_share, char *error);

/* The same of a process that does nothing but sleep 40 ms on a futex, again
 * and again: what the machine takes for so few wake-ups. */
int lab_probe_idle_floor(uint64_t ns, double *ret_share, char *error);

/* Bytes of /dev/shm that a default topic of `ring` takes with one producer and
 * one group with one member. */
int lab_probe_footprint(uint32_t ring, uint64_t *ret_bytes, char *error);

/* A member of a shared group is killed while it holds a record and has
 * `touched_bytes` of memory mapped and written; another member sleeps for that
 * very record. Times in ns until it has it, one for each of `cnt` kills:
 * from SIGKILL, and from the kernel's proof of death (the moment its pidfd is
 * readable; 0 when the record was there before that). */
#define LAB_KILLS_MAX 1000u
struct lab_claim_times {
    uint32_t cnt;
    double from_kill_ns[LAB_KILLS_MAX];
    double from_proof_ns[LAB_KILLS_MAX];
};
int lab_probe_claim(uint64_t touched_bytes, uint32_t cnt,
    struct lab_claim_times *ret, char *error);

/* As above for the role of the only producer of an SPSC topic: until the first
 * record of the next producer, which tries to open all the time, arrives. */
int lab_probe_takeover(uint64_t touched_bytes, uint32_t cnt,
    struct lab_claim_times *ret, char *error);

/* A sleeping consumer whose publisher is killed (every other time: stopped for
 * ever) at the system call that would wake it: how late the record is, counted
 * from that call. */
struct lab_lost_wake {
    uint32_t cnt; /* wakes lost */
    double longest_ns;
};
int lab_probe_lost_wake(
    uint32_t ring, uint32_t cnt, struct lab_lost_wake *ret, char *error);

#endif
