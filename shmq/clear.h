/* clear.h - taking from an endpoint what others wait for: claims and roles of
 * the dead, claims of the evicted, claims whose lease is over.
 *
 * Every step loads a word, then looks whether the victim's identity is still
 * the victim's (E6), then CASes exactly the word that was loaded. Identities
 * never come back, so whoever does this may be killed anywhere (the identity
 * is still there: the next one repeats all) and stopped anywhere (it finds
 * another identity, or a word that has changed, and does nothing). */
#ifndef SHMQI_CLEAR_H
#define SHMQI_CLEAR_H

#include "claims.h"
#include "life.h"
#include "role.h"

static inline bool shmqi_still(
    const struct shmqi_ring *r, uint32_t idx, uint64_t identity)
{
    return shm_ld(E6, &r->endpoints[idx].identity) == identity;
}

/* Gives the claims of `victim` in group `entry` back. With `living` (an evict)
 * a claim goes only when the victim's views were seen down after the claim's
 * word was loaded. (Views go up before a claim is made, so whoever sees the
 * claim sees them, unless they have been down since and the claim is not
 * looked at any more.) False: stopped at a claim that may be looked at. */
static inline bool shmqi_clear_claims(const struct shmqi_ring *r, uint32_t self,
    uint32_t entry, uint32_t victim, uint64_t identity, bool living)
{
    bool all = true;
    struct shmqi_claims c = shmqi_claims_of(r, entry);
    uint64_t near = shm_ld(G1, &r->data->tail);
    uint64_t floor = shmqi_claims_floor(&c, near);
    shmqi_freeing_begin(&c, self);
    for (uint64_t q = floor; q < floor + (1ull << c.lg2); q++) {
        uint64_t k = shm_ld(S2, shmqi_claim_at(&c, q));
        if (shmqi_claim_age(&c, k, q) != 0 || !shmqi_claim_held_by(k, victim))
            continue;
        if (living && shmqi_view_is_up(r, victim)) {
            all = false;
            break;
        }
        if (!shmqi_still(r, victim, identity))
            break;
        (void)shm_cas(S9, shmqi_claim_at(&c, q), k, shmqi_claim_freed(k));
    }
    shmqi_freeing_end(&c, self);
    shmqi_claims_walk(&c, near);
    return all;
}

/* The victim may have died between freeing claims and telling so: when the
 * epoch has been bumped in its place, its announcement may go. */
static inline void shmqi_clear_freeing(const struct shmqi_ring *r,
    uint32_t entry, uint32_t victim, uint64_t identity)
{
    if (shmqi_still(r, victim, identity))
        (void)shm_and(S7, &r->groups[entry].freeing[victim >> 6],
            ~(1ull << (victim & 63)));
}

/* What the dead had in the group that it was a member of. */
static inline void shmqi_clear_membership(const struct shmqi_ring *r,
    uint32_t self, uint32_t victim, uint64_t identity)
{
    uint64_t name = shm_ld(J6, &r->endpoints[victim].member_of);
    uint32_t entry = (uint32_t)(name >> 28) - 1;
    if (name == 0 || entry >= r->group_cnt)
        return;
    uint64_t w = shmqi_life_touch(r, self, entry);
    struct shmqi_gword gw = shmqi_gword_unpack(w);
    /* READY after naming, or nothing: claims of a group that is being removed
     * matter to nobody, and its words may become another group's. */
    if (shmqi_naming(entry, gw.generation) == name &&
        gw.state == SHMQI_GROUP_READY) {
        struct shmqi_group_shm *g = &r->groups[entry];
        if (shmqi_attrs_shared(r, shm_ld(N1, &g->attrs))) {
            (void)shmqi_clear_claims(r, self, entry, victim, identity, false);
            shmqi_clear_freeing(r, entry, victim, identity);
        } else {
            (void)shm_cas(E7, &g->reader, identity, 0);
        }
    }
    shmqi_life_untouch(r, self);
}

/* Groups whose reaper, expirer or nacker the dead was: its announcements. */
static inline void shmqi_clear_announcements(const struct shmqi_ring *r,
    uint32_t self, uint32_t victim, uint64_t identity)
{
    for (uint32_t i = 0; i < r->group_cnt; i++) {
        struct shmqi_group_shm *g = &r->groups[i];
        uint64_t bit = 1ull << (victim & 63);
        if ((shm_ld(S8, &g->freeing[victim >> 6]) & bit) == 0)
            continue;
        uint64_t w = shmqi_life_touch(r, self, i);
        if (shmqi_gword_unpack(w).state == SHMQI_GROUP_READY) {
            struct shmqi_claims c = shmqi_claims_of(r, i);
            shmqi_freeing_end(&c, self); /* the bump */
            shmqi_clear_freeing(r, i, victim, identity);
        }
        shmqi_life_untouch(r, self);
    }
}

/* Groups that the dead was making. Their word holds its number and a
 * generation that only a reaper ends, so no naming is needed. */
static inline void shmqi_clear_half_made(
    const struct shmqi_ring *r, uint32_t victim, uint64_t identity)
{
    for (uint32_t i = 0; i < r->group_cnt; i++) {
        uint64_t w = shmqi_life_word(r, i);
        struct shmqi_gword gw = shmqi_gword_unpack(w);
        if ((gw.state == SHMQI_GROUP_CREATING ||
                gw.state == SHMQI_GROUP_GATING ||
                gw.state == SHMQI_GROUP_SEALED) &&
            gw.endpoint == victim && shmqi_still(r, victim, identity))
            shmqi_life_settle_dead(r, i, w);
    }
}

/* Arena or spsc role of the dead. */
static inline void shmqi_clear_producer(
    const struct shmqi_ring *r, uint64_t identity)
{
    if (r->ring == SHMQ_RING_SPSC) {
        (void)shm_cas(E7, &r->data->role, identity, 0);
        return;
    }
    for (uint32_t i = 0; i < r->producer_cnt; i++)
        if (shm_ld(A1, &r->arenas[i].owner) == identity)
            (void)shm_cas(A2, &r->arenas[i].owner, identity, 0);
}

/* The entry itself: last of all. True: it was still there. */
static inline bool shmqi_clear_identity(
    const struct shmqi_ring *r, uint32_t victim, uint64_t identity)
{
    return shm_cas(E2, &r->endpoints[victim].identity, identity, 0);
}

/* -- leases -----------------------------------------------------------------
 */

/* After the claim's word: deadline, then identity. An owner stores its
 * deadline before it claims. */
static inline bool shmqi_lease_over(
    const struct shmqi_ring *r, uint32_t owner, uint64_t now)
{
#ifndef SHMQ_BUG_ENDPOINT_UNCHECKED
    if (owner >= r->endpoint_cnt)
        return false;
#endif
    uint64_t deadline = shm_ld(S11, &r->endpoints[owner].lease);
    uint64_t identity = shm_ld(E6, &r->endpoints[owner].identity);
    return identity != 0 && deadline != 0 && now > deadline;
}

/* Claims of `entry` whose owner's lease was over at `now` go back. Returns how
 * many. */
static inline uint32_t shmqi_clear_leases(
    const struct shmqi_ring *r, uint32_t self, uint32_t entry, uint64_t now)
{
    struct shmqi_claims c = shmqi_claims_of(r, entry);
    uint64_t near = shm_ld(G1, &r->data->tail);
    uint64_t floor = shmqi_claims_floor(&c, near);
    uint32_t moved = 0;
    for (uint64_t q = floor; q < floor + (1ull << c.lg2) && q <= near; q++) {
        uint64_t k = shm_ld(S2, shmqi_claim_at(&c, q));
        struct shmqi_claim u = shmqi_claim_unpack(k);
        if (shmqi_claim_age(&c, k, q) != 0 ||
            !shmqi_claim_held_by(k, u.owner) ||
            !shmqi_lease_over(r, u.owner, now))
            continue;
        if (moved == 0)
            shmqi_freeing_begin(&c, self);
        (void)shm_cas(S9, shmqi_claim_at(&c, q), k, shmqi_claim_freed(k));
        moved++;
    }
    if (moved)
        shmqi_freeing_end(&c, self);
    return moved;
}

#endif
