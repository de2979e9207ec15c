/* pin.h - beginning to gate: at creation of a group, at a seek, and when a
 * reader takes over from one that died inside a seek.
 *
 * Always the same three steps (gate.h has the argument):
 *   pin      the floor stands where nothing has been given up so far
 *   tell     version + 1, and whatever is looked at later is looked at later
 *   settle   the place counts at or above the gate word as it is after that
 *
 * Killed in between: the pin is lower than the place, nothing is lost. A pin
 * of a seek is marked in the tag (SHMQI_TAG_PIN), because its successor must
 * not believe it: producers may have passed it before they were told. */
#ifndef SHMQI_PIN_H
#define SHMQI_PIN_H

#include "ends.h"

/* Producers notice at their next publish, or before they rely on a refresh
 * that has begun. */
static inline void shmqi_version_add(const struct shmqi_ring *r)
{
    (void)shm_add(J4, &r->control->version, 1);
}

static inline void shmqi_pin_tell(const struct shmqi_ring *r)
{
    shmqi_version_add(r);
    shm_fence(J7);
}

/* -- a group under construction -------------------------------------------- */

/* Pins group `g` and lets it gate (its word goes from `creating` to `gating`).
 * A pin at the end holds nobody up meanwhile. Returns the lowest place: the
 * end is looked up twice, the second look may be of an older moment, and the
 * gate has relied on the pin. */
static inline uint64_t shmqi_pin_group(const struct shmqi_ring *r,
    struct shmqi_group_shm *g, uint64_t tag, bool latest, uint64_t creating,
    uint64_t gating)
{
    uint64_t pin = latest ? shmqi_ring_end(r) : shmqi_ring_low(r);
    shm_st(J3, &g->floor, shmqi_cursor_of(r, tag, pin));
    (void)shm_cas(J2, &g->word, creating, gating);
    shmqi_pin_tell(r);
#ifdef SHMQ_BUG_JOIN_BELOW_GATE
    return pin;
#endif
    uint64_t low = shmqi_ring_low(r);
    return low > pin ? low : pin;
}

static inline void shmqi_pin_settle(const struct shmqi_ring *r,
    struct shmqi_group_shm *g, uint64_t tag, uint64_t pos)
{
    shm_st(J3, &g->floor, shmqi_cursor_of(r, tag, pos));
}

/* -- an exclusive reader ----------------------------------------------------
 */

/* Moves the floor from the word stored last. False: the role has moved. */
static inline bool shmqi_floor_move(
    struct shmqi_group_shm *g, uint64_t *floor_word, uint64_t to)
{
    if (!shm_cas(J10, &g->floor, *floor_word, to))
        return false;
    *floor_word = to;
    return true;
}

/* Pins for a seek. *ret_low is the lowest place; shmqi_floor_move() with the
 * mark taken off settles it. */
static inline bool shmqi_pin_seek(const struct shmqi_ring *r,
    struct shmqi_group_shm *g, uint64_t *floor_word, uint64_t *ret_low)
{
    uint64_t low = shmqi_ring_low(r), tag = shmqi_cursor_tag(*floor_word);
    uint64_t at = shmqi_pos_of(r, *floor_word);
    uint64_t pin = shmqi_cursor_of(r, tag | SHMQI_TAG_PIN, at < low ? at : low);
    if (!shmqi_floor_move(g, floor_word, pin))
        return false;
    shmqi_pin_tell(r);
    *ret_low = shmqi_ring_low(r);
    return true;
}

/* Settles the pin that a reader left who was killed inside a seek. (Settled
 * floors are never raised: the gate word may stand above them for a moment
 * without anybody relying on it.) */
static inline bool shmqi_pin_inherit(const struct shmqi_ring *r,
    struct shmqi_group_shm *g, uint64_t *floor_word, uint64_t *pos)
{
    uint64_t tag = shmqi_cursor_tag(*floor_word) & ~SHMQI_TAG_PIN;
    shmqi_pin_tell(r);
    uint64_t low = shmqi_ring_low(r);
    uint64_t to = *pos < low ? low : *pos;
    if (!shmqi_floor_move(g, floor_word, shmqi_cursor_of(r, tag, to)))
        return false;
    *pos = to;
    return true;
}

#endif
