/* others.h - a producer and members who work while the victim stands still. */
#ifndef SHMQ_CRASH_OTHERS_H
#define SHMQ_CRASH_OTHERS_H

#include "proof.h"

struct others {
    struct world *w;
    struct shmq_producer *producer;
    struct shmq_consumer *reader[GROUPS];
    struct tags published, done[GROUPS];
    uint32_t next; /* tag of the next record */
    bool keeps; /* holds the first record of each group until told to work
                   again */
    bool kept[GROUPS];
    struct shmq_message held[GROUPS];
};

/* Attach, which reaps; a role that the victim holds is BUSY. */
void others_open(struct others *o);
/* Publish, receive, release: each returns at once; FULL and EMPTY only where
 * they are right. */
void others_work(struct others *o);
void others_close(struct others *o);

#endif
