/* ends.h - where a ring begins and ends, as positions and cursor words.
 *
 * The end that is found may be of an older moment, the beginning (the gate
 * word) of an older one, too. Both are only starting points: what protects a
 * reader's place is pin.h. */
#ifndef SHMQI_ENDS_H
#define SHMQI_ENDS_H

#include "mpmc.h"
#include "spsc.h"

/* The gate word as a position: everything from it on is intact for a group
 * that had its floor pinned and version bumped before this call. */
static inline uint64_t shmqi_ring_low(const struct shmqi_ring *r)
{
    uint64_t gate = shm_ld(G5, &r->data->gate);
    return r->ring == SHMQ_RING_MPMC ? shmqi_pos(gate, 0) : gate;
}

/* End of what is published: position of the next record. Looked for from `low`
 * (0, or a record boundary that the caller has pinned) or the hint, whichever
 * is later: below a pin memory may be in use again. */
static inline uint64_t shmqi_ring_end_from(
    const struct shmqi_ring *r, uint64_t low)
{
    if (r->ring == SHMQ_RING_MPMC)
        return shmqi_pos(shmqi_mpmc_end(r), 0);
    uint64_t hint = shm_ld(J1, &r->data->hint);
    uint64_t from = hint > low ? hint : low;
    uint64_t end = shmqi_spsc_walk(r, from, UINT64_MAX);
    return end == UINT64_MAX ? from : end;
}

static inline uint64_t shmqi_ring_end(const struct shmqi_ring *r)
{
    return shmqi_ring_end_from(r, 0);
}

/* Where a group that begins at the end begins: never below `low`. */
static inline uint64_t shmqi_place_latest(
    const struct shmqi_ring *r, uint64_t low)
{
    uint64_t end = shmqi_ring_end_from(r, low);
    return end < low ? low : end;
}

/* Cursor words of positions, for both rings. */
static inline uint64_t shmqi_cursor_of(
    const struct shmqi_ring *r, uint64_t tag, uint64_t pos)
{
    return shmqi_cursor(tag, r->ring == SHMQ_RING_MPMC ? pos : pos >> 3);
}

static inline uint64_t shmqi_pos_of(const struct shmqi_ring *r, uint64_t cursor)
{
    if (r->ring == SHMQ_RING_SPSC)
        return shmqi_cursor_place(cursor) << 3;
    uint64_t tail = shm_ld(G1, &r->data->tail), n = 1ull << r->cap_lg2;
    uint64_t pos = shmqi_cursor_pos(cursor, tail), seq = shmqi_pos_seq(pos);
    /* So far away that laps of slots, which are modular, would mean another
     * time: scribbled. */
    if (seq < tail && (tail - seq) >> (SHMQI_LAP_BITS - 2) >= n)
        return shmqi_pos(tail - n, 0);
#ifndef SHMQ_BUG_CURSOR_TRUSTED
    if (seq > tail && (seq - tail) >> (SHMQI_LAP_BITS - 2) >= n)
        return shmqi_pos(tail, 0);
#endif
    return pos;
}

#endif
