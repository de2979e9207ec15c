/* find.h - which frame a member of a shared group takes next.
 *
 * A freed claim is found again by every member that goes on looking. Member:
 * `next` with its epoch (S5); is the epoch new, it looks at every claim in
 * [floor, next), and remembers the epoch only if no announcement (`freeing`)
 * is up afterwards. Freer: announcement, claim, epoch, announcement off
 * (claims.h). Whatever the member's look missed is covered by an announcement
 * that it then sees, or by an epoch that it has not seen. One that finds
 * nothing asks once more, in the other order: announcements, then `next`. */
#ifndef SHMQI_FIND_H
#define SHMQI_FIND_H

#include "claims.h"
#include "mpmc.h"

enum shmqi_taken {
    SHMQI_TAKEN,
    SHMQI_TAKE_NEXT, /* not this one */
    SHMQI_TAKE_FAIL
};

/* Tries to claim `seq`, whose claim word was seen as `claim`; `slot` is its
 * slot word. `lost`: the frame has been overwritten, nothing was looked at. */
typedef enum shmqi_taken shmqi_take_fn(
    void *ctx, uint64_t seq, uint64_t claim, uint64_t slot, bool lost);

/* A member's private state. */
struct shmqi_finder {
    const struct shmqi_ring *ring;
    struct shmqi_claims claims;
    uint64_t near; /* a sequence near the floor */
    uint64_t epoch; /* at the last full look; UINT64_MAX: none yet */
};

/* How sequence `seq` stands: as shmqi_mpmc_look(), or what a durable topic
 * makes of it (positive: not in the ring). */
typedef int64_t shmqi_look_fn(
    const struct shmqi_finder *f, uint64_t seq, uint64_t *ret_word);

static inline __attribute__((always_inline)) int64_t shmqi_look_ring(
    const struct shmqi_finder *f, uint64_t seq, uint64_t *ret_word)
{
    return shmqi_mpmc_look(f->ring, seq, ret_word);
}

/* The functions below exist once per `look` and `take`, which are called
 * directly. */
#define SHMQI_FIND static inline __attribute__((always_inline))

/* Looks at every claim in [floor, to) for one that is open. */
SHMQI_FIND enum shmqi_taken shmqi_find_in(const struct shmqi_finder *f,
    uint64_t floor, uint64_t to, shmqi_look_fn *look, shmqi_take_fn *take,
    void *ctx)
{
    const struct shmqi_claims *c = &f->claims;
    for (uint64_t q = floor; q < to && q < floor + (1ull << c->lg2); q++) {
        uint64_t k = shm_ld(S2, shmqi_claim_at(c, q)), w;
        int32_t age = shmqi_claim_age(c, k, q);
        if (age > 0 ||
            (age == 0 && shmqi_claim_unpack(k).state != SHMQI_CLAIM_FREE))
            continue;
        int64_t slot = look(f, q, &w);
        if (slot < 0)
            continue;
        enum shmqi_taken t = take(ctx, q, k, w, slot > 0);
        if (t != SHMQI_TAKE_NEXT)
            return t;
    }
    return SHMQI_TAKE_NEXT;
}

/* A floor so far ahead of the ring's end that laps of slots, which are modular,
 * would mean another time is scribbled: nothing stands there. */
static inline uint64_t shmqi_find_near_end(
    const struct shmqi_ring *r, uint64_t floor, uint64_t tail)
{
    bool far =
        floor > tail && (floor - tail) >> (SHMQI_LAP_BITS - 2) >> r->cap_lg2;
#ifdef SHMQ_BUG_CURSOR_TRUSTED
    far = false;
#endif
    return __builtin_expect(far, 0) ? tail : floor;
}

/* The group's floor. A member's own idea of where that is goes with it; but not
 * further than it can have moved without asking the ring itself, else a floor
 * that a peer moves in large steps would end where the modular laps of slots
 * mean another time. */
static inline uint64_t shmqi_find_floor(struct shmqi_finder *f)
{
    const struct shmqi_ring *r = f->ring;
    uint64_t n = 1ull << r->cap_lg2;
    uint64_t floor = shmqi_claims_floor(&f->claims, f->near);
    if (__builtin_expect(floor - f->near > n, 0)) {
        uint64_t tail = shm_ld(G1, &r->data->tail);
        floor = shmqi_claims_floor(&f->claims, tail);
        if (tail > n && floor < tail - n &&
            r->gated_by == SHMQI_GATED_BY_GROUPS)
            floor = tail - n;
        floor = shmqi_find_near_end(r, floor, tail);
    }
    f->near = floor;
    return floor;
}

/* One look at the place where fresh frames begin. *ret_idle: there is none. */
SHMQI_FIND enum shmqi_taken shmqi_find_fresh(struct shmqi_finder *f,
    shmqi_look_fn *look, shmqi_take_fn *take, void *ctx, bool *ret_idle)
{
    const struct shmqi_claims *c = &f->claims;
    uint64_t nw = shm_ld(S5, &c->group->next), w;
    uint64_t floor = shmqi_find_floor(f);
    uint64_t seq = shmqi_seq_expand(nw, floor);
    if (seq < floor)
        seq = floor;
    if (shmqi_next_epoch(nw) != f->epoch) {
        enum shmqi_taken t = shmqi_find_in(f, floor, seq, look, take, ctx);
        if (t != SHMQI_TAKE_NEXT)
            return t;
        if (!shmqi_freeing_any(c))
            f->epoch = shmqi_next_epoch(nw);
    }
    *ret_idle = true;
#ifndef SHMQ_BUG_CLAIM_WITHOUT_WINDOW
    if (seq >= floor + (1ull << c->lg2))
        return SHMQI_TAKE_NEXT;
#endif
    int64_t age = look(f, seq, &w);
    if (age < 0)
        return SHMQI_TAKE_NEXT;
    *ret_idle = false;
    if (age > 0) {
        uint64_t now = shmqi_claims_floor(c, f->near);
        /* Others have gone on meanwhile, and so do we; or the floor is behind
         * what the ring still has (see above): this group was removed, there is
         * nothing to be had until we are told. */
#ifndef SHMQ_BUG_REMOVED_GROUP_SPINS
        *ret_idle = (int64_t)(now - floor) < 0;
#endif
        if (now != floor)
            return SHMQI_TAKE_NEXT;
    }
    uint64_t k = shm_ld(S2, shmqi_claim_at(c, seq));
    if (age > 0)
        return take(ctx, seq, k, w, true);
    int32_t claimed = shmqi_claim_age(c, k, seq);
    if (claimed > 0)
        return SHMQI_TAKE_NEXT;
    enum shmqi_taken t = SHMQI_TAKE_NEXT;
    if (claimed < 0 || shmqi_claim_unpack(k).state == SHMQI_CLAIM_FREE) {
        t = take(ctx, seq, k, w, false);
        if (t == SHMQI_TAKE_NEXT)
            return t;
    }
    shmqi_claims_push(c, nw, seq);
    return t;
}

/* Nothing fresh: what others left undone, then freed claims whose freer has
 * not told yet. `anyway` looks whatever the announcements say. */
SHMQI_FIND enum shmqi_taken shmqi_find_freed(struct shmqi_finder *f,
    bool anyway, shmqi_look_fn *look, shmqi_take_fn *take, void *ctx)
{
    const struct shmqi_claims *c = &f->claims;
    f->near = shm_ld(G1, &f->ring->data->tail);
    shmqi_claims_walk(c, f->near);
    bool freeing = shmqi_freeing_any(c);
    uint64_t nw = shm_ld(S5, &c->group->next);
    if (!freeing && shmqi_next_epoch(nw) == f->epoch && !anyway)
        return SHMQI_TAKE_NEXT;
    uint64_t floor =
        shmqi_find_near_end(f->ring, shmqi_claims_floor(c, f->near), f->near);
    return shmqi_find_in(
        f, floor, shmqi_seq_expand(nw, floor), look, take, ctx);
}

#endif
