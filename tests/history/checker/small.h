/* small.h - small histories: random ones, mutations, and a second opinion by
 * trying all orders. */
#ifndef SHMQ_TEST_HISTORY_SMALL_H
#define SHMQ_TEST_HISTORY_SMALL_H

#include "history/lib/history.h"

#define SMALL_OP_MAX 40u
#define SMALL_NEVER UINT64_MAX

struct small {
    struct hist_config config;
    uint32_t cnt;
    struct hist_op ops[SMALL_OP_MAX];
};

/* random.c: a history that obeys the rules; times are all different. */
void small_random(struct small *h, uint64_t *random);

/* mutate.c */
enum small_mutation {
    SMALL_LOST, /* a delivery and what follows from it vanish */
    SMALL_UNACKED, /* handed out, never done */
    SMALL_DOUBLED, /* a record is handed out twice */
    SMALL_SWAPPED, /* two deliveries exchange what they delivered */
    SMALL_TORN,
    SMALL_PHANTOM, /* a record that nobody published */
    SMALL_REFUSED, /* a publish was refused */
    SMALL_POSITIONS, /* two publishes exchange their positions */
    SMALL_POSITION, /* one delivery from elsewhere */
    SMALL_FLAG, /* the flag is wrong */
    SMALL_ACK_RESULT, /* counted instead of refused or the reverse */
    SMALL_TIME, /* one operation moves in time */
    SMALL_TRAVEL, /* a delivery ends before its publish begins */
    SMALL_NO_LOSS, /* the death never happened */
    SMALL_UNKNOWN, /* a process's last operation never returned */
    SMALL_MEMBER, /* another reader did it */
    SMALL_MUTATION_CNT
};
const char *small_mutation_name(enum small_mutation mutation);
/* False when there was nothing to mutate, or the result is no history: a
 * process that does two things at a time. */
bool small_mutate(
    struct small *h, enum small_mutation mutation, uint64_t *random);
bool small_is_history(const struct small *h);
/* Makes the times all different; keeps their order. */
void small_sort(struct small *h);

/* brute.c: 1 linearizable, 0 not, -1 too large to tell. */
int small_brute(const struct small *h);

/* The checker's opinion. */
void small_check(const struct small *h, struct hist_verdict *ret);
void small_print(const struct small *h);

/* named.c: hand-made histories; 0 when all verdicts are right. */
int small_named(void);
/* speed.c: prints operations a second and memory; 0 when well. */
int small_speed(uint64_t records, double *ret_ops_s, uint64_t *ret_bytes);

#endif
