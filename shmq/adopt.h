/* adopt.h - taking over what a dead producer left: an arena, or the spsc role.
 *
 * The owner word (arena, role) goes from the dead identity to the successor's
 * by CAS, on proof of death only, so no late store can come from the
 * predecessor. What it published stays, what it did not publish never appears:
 * the successor finds both by looking at the ring. It trusts no gate but its
 * own refresh, and `reclaimed` never goes down. */
#ifndef SHMQI_ADOPT_H
#define SHMQI_ADOPT_H

#include "entry.h"
#include "mpmc.h"
#include "spsc.h"

/* -- arenas -----------------------------------------------------------------
 */

static inline uint64_t shmqi_arena_owner(
    const struct shmqi_ring *r, uint32_t idx)
{
    return shm_ld(A1, &r->arenas[idx].owner);
}

/* True: arena `idx` is ours. Its owner was 0, or proven dead: whoever reaped it
 * may not have been able to write here. An identity is in the table before it
 * owns an arena and leaves it after. */
static inline bool shmqi_arena_take(
    const struct shmqi_ring *r, uint32_t idx, uint64_t owner, uint64_t identity)
{
    return shm_cas(A2, &r->arenas[idx].owner, owner, identity);
}

static inline void shmqi_arena_give(
    const struct shmqi_ring *r, uint32_t idx, uint64_t identity)
{
    (void)shm_cas(A2, &r->arenas[idx].owner, identity, 0);
}

/* Before an adopter looks for frames: every publish of the dead owner is below
 * tail, and the own gate is where memory has been given up already, no
 * further. 0, CLOSED. */
static inline int shmqi_adopt_begin(
    const struct shmqi_ring *r, struct shmqi_gate *gate)
{
#ifndef SHMQ_BUG_ADOPT_WITHOUT_HELP
    shmqi_mpmc_help_tail(r);
#endif
    return shmqi_gate_refresh(r, gate, shm_ld(G5, &r->data->gate), NULL);
}

/* Sequences [*ret_from, *ret_to) may still have frames in an arena. */
static inline void shmqi_adopt_range(const struct shmqi_ring *r,
    const struct shmqi_gate *gate, uint64_t *ret_from, uint64_t *ret_to)
{
    uint64_t n = 1ull << r->cap_lg2, to = shm_ld(P1, &r->data->tail);
    uint64_t from = to > n ? to - n : 0;
    *ret_from = from < gate->seq ? gate->seq : from;
    *ret_to = to;
}

/* True when sequence `seq` has its frame in arena `idx`; its slot word. */
static inline bool shmqi_adopt_holds(
    const struct shmqi_ring *r, uint32_t idx, uint64_t seq, uint64_t *ret_word)
{
    if (shmqi_mpmc_look(r, seq, ret_word) != 0)
        return false;
    uint64_t off = shmqi_slot_frame(*ret_word) * SHMQI_FRAME_UNIT;
    return off >> r->arena_lg2 == idx;
}

/* Everything below `seq` is given up, before a byte of it changes. */
static inline void shmqi_arena_reclaim(
    const struct shmqi_ring *r, uint32_t idx, uint64_t seq)
{
    shm_st(A5, &r->arenas[idx].reclaimed, seq);
    shm_fence(A6);
}

/* The adopter goes on from what was given up so far: its own gate, or more. */
static inline uint64_t shmqi_adopt_reclaimed(
    const struct shmqi_ring *r, uint32_t idx, const struct shmqi_gate *gate)
{
    uint64_t before = shm_ld(A3, &r->arenas[idx].reclaimed);
    uint64_t now = before > gate->seq ? before : gate->seq;
    shmqi_arena_reclaim(r, idx, now);
    return now;
}

/* -- the spsc role ----------------------------------------------------------
 */

static inline uint64_t shmqi_writer_holder(const struct shmqi_ring *r)
{
    return shm_ld(A1, &r->data->role);
}

/* From `holder` (0, or gone) to `identity`. */
static inline bool shmqi_writer_take(
    const struct shmqi_ring *r, uint64_t holder, uint64_t identity)
{
    return shm_cas(A2, &r->data->role, holder, identity);
}

static inline void shmqi_writer_give(
    const struct shmqi_ring *r, uint64_t identity)
{
    (void)shm_cas(A2, &r->data->role, identity, 0);
}

/* The role's holder finds where the last record ends. 0, CLOSED; CORRUPT and
 * the hint in w->pos. */
static inline int shmqi_writer_begin(
    const struct shmqi_ring *r, struct shmqi_writer *w)
{
    uint64_t hint = shm_ld(A3, &r->data->hint);
    uint64_t gate = shm_ld(G5, &r->data->gate);
    uint64_t pos = shmqi_spsc_walk(r, hint, UINT64_MAX);
    w->pos = hint;
    w->reclaimed = shm_ld(A3, &r->data->reclaimed);
    if (pos == UINT64_MAX || gate > pos)
        return SHMQ_ERR_CORRUPT;
    /* The gate word may have been raised by a predecessor that then found the
     * groups changed: only what an own refresh allows counts. */
    w->pos = pos;
#ifdef SHMQ_BUG_PREDECESSORS_GATE
    w->gate.seq = gate;
#else
    w->gate.seq = 0;
#endif
    shm_st(W4, &r->data->hint, w->pos);
    return shmqi_gate_refresh(r, &w->gate, gate, &w->pos);
}

/* Enters `identity` as the author of everything from `pos` on. A holder that
 * died before role_cnt was stored is simply overwritten. */
static inline void shmqi_writer_enter(
    const struct shmqi_ring *r, uint64_t pos, uint64_t identity)
{
    struct shmqi_data_shm *d = r->data;
    uint64_t cnt = shm_ld(A3, &d->role_cnt);
    struct shmqi_role_shm *h = &d->history[cnt % SHMQI_ROLE_HISTORY];
    shm_st(N2, &h->start, pos);
    shm_st(N2, &h->identity, identity);
    shm_st(A4, &d->role_cnt, cnt + 1);
}

/* Who published the record at `pos`: the newest entry that starts at or below
 * it. *ret_cnt entries, the last of which starts at *ret_from, when it is the
 * last one; else 0. 0: not known any more. */
static inline uint64_t shmqi_writer_of(const struct shmqi_ring *r, uint64_t pos,
    uint64_t *ret_cnt, uint64_t *ret_from)
{
    struct shmqi_data_shm *d = r->data;
    uint64_t cnt = shm_ld(A3, &d->role_cnt);
    *ret_cnt = 0;
    /* The oldest entry may be the one that the next holder is writing. */
    for (uint64_t i = 1; i <= cnt && i < SHMQI_ROLE_HISTORY; i++) {
        struct shmqi_role_shm *h = &d->history[(cnt - i) % SHMQI_ROLE_HISTORY];
        uint64_t start = shm_ld(N1, &h->start);
        if (start > pos)
            continue;
        if (i == 1) {
            *ret_cnt = cnt;
            *ret_from = start;
        }
        return shm_ld(N1, &h->identity);
    }
    return 0;
}

#endif
