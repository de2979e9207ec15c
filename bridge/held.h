/* held.h - the records that a stream has handed out and nobody has acknowledged
 * yet, in the order of their positions. Pure but for the library's messages
 * that it keeps. */
#ifndef SHMQZ_HELD_H
#define SHMQZ_HELD_H

#include <shmq/message.h>
#include <stdbool.h>
#include <stdint.h>

/* Zero it before the first use. */
struct shmqz_held {
    struct shmq_message *items; /* by position; size UINT64_MAX: taken out */
    uint32_t first, cnt, cap; /* items [first, cnt) may be there */
    uint32_t live;
};

/* Adds a record. When one of its position is there (it had moved on and came
 * back), that one goes to *ret_old and *ret_had_old is set. False: no memory.
 */
bool shmqz_held_add(struct shmqz_held *held, const struct shmq_message *msg,
    struct shmq_message *ret_old, bool *ret_had_old);

/* A way through the records of a range that are there, taking them out. It ends
 * with the next shmqz_held_add(). */
struct shmqz_held_walk {
    uint32_t at;
    uint64_t to;
};

struct shmqz_held_walk shmqz_held_walk(
    const struct shmqz_held *held, uint64_t from, uint64_t to);
/* Takes out the next one; false: none is left. */
bool shmqz_held_next(struct shmqz_held *held, struct shmqz_held_walk *walk,
    struct shmq_message *ret);

/* Takes out the first record with a position in [from, to); false: none. */
bool shmqz_held_take(struct shmqz_held *held, uint64_t from, uint64_t to,
    struct shmq_message *ret);

/* How many of them are in [from, to). */
uint64_t shmqz_held_count(
    const struct shmqz_held *held, uint64_t from, uint64_t to);

void shmqz_held_free(struct shmqz_held *held);

#endif
