/* role.h - who reads for an exclusive group, and who may be looking at ring
 * memory (views).
 *
 * Invariant ONE: at most one living endpoint holds the role (the identity in
 * `reader`). Whoever takes it, or takes it away, raises the tag of the floor,
 * so that the earlier holder's CAS of the floor fails.
 * Invariant VIEW: nobody moves the floor while a former holder may be looking.
 * Who looks stores `views`, then asks whether it still may; who takes the role
 * away does so, then asks for `views` (all seq_cst): one sees the other. */
#ifndef SHMQI_ROLE_H
#define SHMQI_ROLE_H

#include "pin.h"

/* -- the role ---------------------------------------------------------------
 */

static inline bool shmqi_role_mine(struct shmqi_group_shm *g, uint64_t identity)
{
    return shm_ld(V2, &g->reader) == identity;
}

/* From `holder` (0, or proven dead) to `identity`. */
static inline bool shmqi_role_take(
    struct shmqi_group_shm *g, uint64_t holder, uint64_t identity)
{
    return shm_cas(V3, &g->reader, holder, identity);
}

static inline void shmqi_role_give(struct shmqi_group_shm *g, uint64_t identity)
{
    (void)shm_cas(V3, &g->reader, identity, 0);
}

/* After taking the role: an endpoint at or after `from`, other than `self`,
 * that is or was a member and may be looking. endpoint_cnt: none. */
static inline uint32_t shmqi_role_viewer(const struct shmqi_ring *r,
    uint32_t entry, uint32_t generation, uint32_t self, uint32_t from)
{
    uint64_t name = shmqi_naming(entry, generation);
    for (uint32_t i = from; i < r->endpoint_cnt; i++) {
        struct shmqi_endpoint_shm *e = &r->endpoints[i];
        if (i != self && shm_ld(J6, &e->member_of) == name &&
            shm_ld(V1, &e->views) != 0)
            return i;
    }
    return r->endpoint_cnt;
}

enum shmqi_role_tagged {
    SHMQI_TAGGED,
    SHMQI_TAG_AGAIN, /* the floor has moved */
    SHMQI_TAG_LOST /* the role has: it was evicted */
};

/* One try of who has taken the role to fence earlier readers off: the floor
 * keeps its place and gets the next tag. `seen` is loaded before it. The role
 * is looked at between load and CAS: who takes it from us, or after us, raises
 * the tag, so the CAS of who has lost it and goes on late fails. */
static inline enum shmqi_role_tagged shmqi_role_tag(struct shmqi_group_shm *g,
    uint64_t identity, uint64_t *ret_floor, uint64_t *ret_tag_was,
    uint64_t *ret_seen)
{
    uint64_t seen = shm_ld(J9, &g->seen);
    uint64_t f = shm_ld(J9, &g->floor), tag = shmqi_cursor_tag(f);
    uint64_t up = shmqi_cursor(tag + SHMQI_TAG_STEP, f);
#ifndef SHMQ_BUG_TAG_WITHOUT_ROLE
    if (!shmqi_role_mine(g, identity))
        return SHMQI_TAG_LOST;
#endif
    if (!shm_cas(J10, &g->floor, f, up))
        return SHMQI_TAG_AGAIN;
    *ret_floor = up;
    *ret_tag_was = tag;
    *ret_seen = seen;
    return SHMQI_TAGGED;
}

/* Takes the role from a living reader. The tag that is raised is its tag, not
 * that of a reader who comes after: it is loaded while the role is its. */
static inline void shmqi_role_evict(
    struct shmqi_group_shm *g, uint64_t identity)
{
    uint64_t tag = shmqi_cursor_tag(shm_ld(J9, &g->floor));
    if (!shm_cas(V3, &g->reader, identity, 0))
        return;
    for (int i = 0; i < 64; i++) {
        uint64_t f = shm_ld(J9, &g->floor);
        if (shmqi_cursor_tag(f) != tag ||
            shm_cas(J10, &g->floor, f, shmqi_cursor(tag + SHMQI_TAG_STEP, f)))
            break;
    }
}

/* -- views ------------------------------------------------------------------
 */

enum shmqi_view_start {
    SHMQI_VIEW_OK, /* may look */
    SHMQI_VIEW_EVICTED,
    SHMQI_VIEW_NOT_MINE, /* the role has moved */
    SHMQI_VIEW_CHANGED /* the group was removed or reset */
};

/* Endpoint `idx` is going to look at memory of its group. */
static inline enum shmqi_view_start shmqi_view_up(const struct shmqi_ring *r,
    uint32_t idx, uint64_t identity, uint32_t entry, uint32_t generation,
    bool exclusive)
{
    struct shmqi_endpoint_shm *e = &r->endpoints[idx];
    struct shmqi_group_shm *g = &r->groups[entry];
#ifndef SHMQ_BUG_VIEW_UNTOLD
    shm_st(V5, &e->views, 1);
#endif
    if (shm_ld(V8, &e->evicted) == identity)
        return SHMQI_VIEW_EVICTED;
    if (exclusive && !shmqi_role_mine(g, identity))
        return SHMQI_VIEW_NOT_MINE;
    /* A removed group gates only for those whose views were up in time. */
    struct shmqi_gword w = shmqi_gword_unpack(shm_ld(J1, &g->word));
    return w.generation != generation || w.state == SHMQI_GROUP_DELETING
        ? SHMQI_VIEW_CHANGED
        : SHMQI_VIEW_OK;
}

static inline void shmqi_view_down(const struct shmqi_ring *r, uint32_t idx)
{
    shm_st(V6, &r->endpoints[idx].views, 0);
}

/* May endpoint `idx` be looking? After its role or its state was taken, or
 * after a claim of its was seen. */
static inline bool shmqi_view_is_up(const struct shmqi_ring *r, uint32_t idx)
{
    return shm_ld(V1, &r->endpoints[idx].views) != 0;
}

/* Marks `identity` as evicted, after everything was taken from it. An identity
 * never comes back, so a mark that arrives late means nobody. */
static inline void shmqi_view_evicted(
    const struct shmqi_ring *r, uint32_t idx, uint64_t identity)
{
    shm_st(V7, &r->endpoints[idx].evicted, identity);
}

#endif
