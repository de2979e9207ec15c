/* held.h - the records that a stream has handed out and nobody has acknowledged
 * yet, in the order of their positions. Records that follow each other in one
 * frame are one entry. Pure but for the library's messages that it keeps. */
#ifndef SHMQZ_HELD_H
#define SHMQZ_HELD_H

#include <shmq/consumer.h>
#include <stdbool.h>
#include <stdint.h>

/* `cnt` records at positions from msg.position on; 0: taken out. */
struct shmqz_held_item {
    struct shmq_message msg;
    uint32_t cnt;
};

/* Zero it before the first use. */
struct shmqz_held {
    struct shmqz_held_item *items; /* by position */
    uint32_t first, cnt, cap; /* items [first, cnt) may be there */
    uint32_t gone; /* of them are not there any more */
    uint64_t live; /* records */
};

/* Adds `cnt` records, of which none may be there (see shmqz_held_next()).
 * False: no memory. */
bool shmqz_held_add(
    struct shmqz_held *held, const struct shmq_message *msg, uint32_t cnt);

/* A way through the records of a range that are there, taking them out. It ends
 * with the next shmqz_held_add(). */
struct shmqz_held_walk {
    uint32_t at;
    uint64_t from, to;
};

struct shmqz_held_walk shmqz_held_walk(
    struct shmqz_held *held, uint64_t from, uint64_t to);
/* Goes on with a range behind the one walked through: many ranges together
 * cost one way through what is held. */
void shmqz_held_onward(const struct shmqz_held *held,
    struct shmqz_held_walk *walk, uint64_t from, uint64_t to);
/* Takes out the next ones that follow each other in one frame: *ret_cnt records
 * from *ret on. False: none is left, or (where a piece has to be taken from the
 * middle of an entry) no memory. */
bool shmqz_held_next(struct shmqz_held *held, struct shmqz_held_walk *walk,
    struct shmq_message *ret, uint32_t *ret_cnt);

/* Forgets the places of those that were taken out. */
void shmqz_held_squeeze(struct shmqz_held *held);

/* Takes out the first record with a position in [from, to); false: none. */
bool shmqz_held_take(struct shmqz_held *held, uint64_t from, uint64_t to,
    struct shmq_message *ret);

/* How many of them are in [from, to). */
uint64_t shmqz_held_count(
    const struct shmqz_held *held, uint64_t from, uint64_t to);

void shmqz_held_free(struct shmqz_held *held);

#endif
