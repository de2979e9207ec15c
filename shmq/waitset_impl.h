/* waitset_impl.h - the inside of a wait set: waitset.c holds the consumers and
 * looks at them, waitset_sleep.c sleeps. */
#ifndef SHMQI_WAITSET_IMPL_H
#define SHMQI_WAITSET_IMPL_H

#include <shmq/waitset.h>

#include "consumer_impl.h"

struct shmq_waitset {
    struct shmq_consumer **all;
    struct shmqi_sleep *sleeps; /* one for each */
    uint32_t cnt, cap;
    uint32_t next; /* who is asked first */
    uint32_t generation;
    uint64_t spin_ns;
    bool by_bells; /* never by futex_waitv */
    bool no_bells; /* there are too few descriptors for them */
    int bells_fd; /* epoll over all doorbells; -1: none yet */
    int timer_fd, epoll_fd; /* for the application; -1: not asked for */
};

/* -- waitset.c ---------------------------------------------------------------
 */

/* Each is asked once; who gave a record is asked last next time. */
int shmqi_waitset_look(struct shmq_waitset *w, struct shmq_message *ret,
    struct shmq_consumer **ret_from);

/* -- waitset_sleep.c ----------------------------------------------------------
 */

void shmqi_waitset_sleep_init(struct shmq_waitset *w);
void shmqi_waitset_sleep_close(struct shmq_waitset *w);
/* The doorbells of all consumers under one descriptor. SYS, LIMIT. */
int shmqi_bells_open(struct shmq_waitset *w);
int shmqi_bells_join(struct shmq_waitset *w, struct shmq_consumer *c);
void shmqi_bells_leave(struct shmq_waitset *w, struct shmq_consumer *c);
/* Opens the application's descriptor, which is readable at once. */
int shmqi_waitset_fd_open(struct shmq_waitset *w);
/* With the application's descriptor: takes what was rung; and, after a look
 * that found nothing (`empty`: EMPTY or LIMIT, given back), asks for all bells,
 * looks again, sets the timer. */
void shmqi_waitset_fd_heard(struct shmq_waitset *w);
int shmqi_waitset_fd_arm(struct shmq_waitset *w, int empty,
    struct shmq_message *ret, struct shmq_consumer **ret_from);
/* Sleeps and looks until there is something, or the deadline. */
int shmqi_waitset_sleep(struct shmq_waitset *w, uint64_t deadline,
    struct shmq_message *ret, struct shmq_consumer **ret_from);

#endif
