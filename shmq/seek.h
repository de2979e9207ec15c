/* seek.h - finding a place in the ring: earliest, latest, position, time.
 *
 * Below, [low, end) must be protected by a pinned floor of the caller, or the
 * caller validates afterwards what it reads there. */
#ifndef SHMQI_SEEK_H
#define SHMQI_SEEK_H

#include <shmq/group.h>

#include "segment.h"

/* End of what is published: position of the next record. */
uint64_t shmqi_ring_end(const struct shmqi_ring *r);

/* The gate word as a position: everything from it on is intact for a group
 * that had its floor pinned and version bumped before this call. */
uint64_t shmqi_ring_low(const struct shmqi_ring *r);

/* The position for `start`, at or after `low`. A position beyond the end stays
 * as it is on mpmc; on spsc it becomes the end and *ret_skip the position. */
uint64_t shmqi_seek(const struct shmqi_ring *r, const struct shmq_start *start,
    uint64_t low, uint64_t *ret_skip);

/* Cursor words of positions, for both rings. */
uint64_t shmqi_cursor_of(
    const struct shmqi_ring *r, uint64_t tag, uint64_t pos);
uint64_t shmqi_pos_of(const struct shmqi_ring *r, uint64_t cursor);

int shmqi_start_check(const struct shmq_start *start);

#endif
