/* seek.h - finding a place in the ring: earliest, latest, position, time.
 *
 * Below, [low, end) must be protected by a pinned floor of the caller, or the
 * caller validates afterwards what it reads there. */
#ifndef SHMQI_SEEK_H
#define SHMQI_SEEK_H

#include <shmq/group.h>

#include "ends.h"

/* The position for `start`, at or after `low`. A position beyond the end stays
 * as it is on mpmc; on spsc it becomes the end and *ret_skip the position. */
uint64_t shmqi_seek(const struct shmqi_ring *r, const struct shmq_start *start,
    uint64_t low, uint64_t *ret_skip);

int shmqi_start_check(const struct shmq_start *start);

#endif
