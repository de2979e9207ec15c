/* claims.h - how the members of a shared group share frames.
 *
 * Invariant CLAIM: word[s % W] of a group is FREE, CLAIMED(owner),
 * DEADLETTER(owner) or DONE for the lap of s, or of an older lap (never
 * claimed). (done, attempt) grows at every freeing, so no word comes back.
 * Invariant FLOOR: everything below `floor` is DONE.
 *
 * Crash argument: a claim names its owner in the same CAS that makes it, so a
 * dead owner's claims are found by its number; every later step (next, floor,
 * epoch) is a hint that any other member repeats. A freed claim is found again
 * because the freer's bit is in `freeing` from before the first CAS to FREE
 * until after the epoch bump, and its reaper bumps before clearing the bit. */
#ifndef SHMQI_CLAIMS_H
#define SHMQI_CLAIMS_H

#include <shmq/group.h>

#include "layout.h"
#include "words.h"

#define SHMQI_CAS_TRIES 4096u

/* A group's claim machinery as one member sees it. */
struct shmqi_claims {
    struct shmqi_group_shm *group;
    shmqi_word *words;
    uint32_t lg2;
    uint32_t endpoint_cnt;
};

/* Whether attribute word `attrs` means a shared group. Any bits may stand
 * there, and an spsc topic has no claim words. */
static inline bool shmqi_attrs_shared(
    const struct shmqi_ring *r, uint64_t attrs)
{
#ifdef SHMQ_BUG_KIND_TRUSTED
    (void)r;
    return (attrs & 0xff) == SHMQ_GROUP_SHARED;
#else
    return r->ring == SHMQ_RING_MPMC && (attrs & 0xff) == SHMQ_GROUP_SHARED;
#endif
}

/* The claims of group `entry`. */
static inline struct shmqi_claims shmqi_claims_of(
    const struct shmqi_ring *r, uint32_t entry)
{
    struct shmqi_claims c = {&r->groups[entry],
        r->claims + ((uint64_t)entry << r->claim_lg2), r->claim_lg2,
        r->endpoint_cnt};
    return c;
}

static inline shmqi_word *shmqi_claim_at(
    const struct shmqi_claims *c, uint64_t seq)
{
    return &c->words[seq & ((1ull << c->lg2) - 1)];
}

/* Claim word's lap minus the lap of `seq`. */
static inline int32_t shmqi_claim_age(
    const struct shmqi_claims *c, uint64_t word, uint64_t seq)
{
    return (int32_t)((uint32_t)(word >> 32) - shmqi_claim_lap(seq, c->lg2));
}

/* floor of a shared group as a full sequence near `near`. */
static inline uint64_t shmqi_claims_floor(
    const struct shmqi_claims *c, uint64_t near)
{
    uint64_t w = shm_ld(S1, &c->group->floor);
    return shmqi_pos_seq(shmqi_cursor_pos(w, near));
}

/* Claim words of a group in the making: all of the lap before, so that each is
 * open from `pos` on; the frame at `pos` may be done up to its index. */
static inline void shmqi_claims_reset(
    const struct shmqi_claims *c, uint64_t pos)
{
    uint64_t seq = shmqi_pos_seq(pos);
    for (uint64_t q = seq; q < seq + (1ull << c->lg2); q++) {
        struct shmqi_claim k = {
            shmqi_claim_lap(q, c->lg2) - 1, SHMQI_CLAIM_DONE, 0, 0, 0};
        if (q == seq && shmqi_pos_idx(pos)) {
            k.lap++;
            k.state = SHMQI_CLAIM_FREE;
            k.done = shmqi_pos_idx(pos);
        }
        shm_st(N2, shmqi_claim_at(c, q), shmqi_claim_pack(k));
    }
}

/* Moves the floor over claims that are DONE. Done by everybody who may have
 * finished one and by everybody who is held up. */
static inline void shmqi_claims_walk(
    const struct shmqi_claims *c, uint64_t near)
{
    for (uint64_t i = 0; i < (2ull << c->lg2); i++) {
        uint64_t w = shm_ld(S1, &c->group->floor);
        uint64_t floor = shmqi_pos_seq(shmqi_cursor_pos(w, near));
        uint64_t k = shm_ld(S2, shmqi_claim_at(c, floor));
        if (shmqi_claim_age(c, k, floor) != 0 ||
            shmqi_claim_unpack(k).state != SHMQI_CLAIM_DONE)
            return;
        uint64_t up =
            shmqi_cursor(shmqi_cursor_tag(w), shmqi_pos(floor + 1, 0));
        (void)shm_cas(S3, &c->group->floor, w, up);
    }
}

/* Announces that `endpoint` is about to free claims. */
static inline void shmqi_freeing_begin(
    const struct shmqi_claims *c, uint32_t endpoint)
{
#ifndef SHMQ_BUG_FREED_UNANNOUNCED
    (void)shm_or(
        S4, &c->group->freeing[endpoint >> 6], 1ull << (endpoint & 63));
#endif
}

/* Tells all members that claims were freed, then takes the announcement back.
 * A reaper calls it for the dead endpoint, too. */
static inline void shmqi_freeing_end(
    const struct shmqi_claims *c, uint32_t endpoint)
{
    for (unsigned i = 0; i < SHMQI_CAS_TRIES; i++) {
        uint64_t w = shm_ld(S5, &c->group->next);
#ifdef SHMQ_BUG_EPOCH_NOT_RAISED
        uint64_t up = w;
#else
        uint64_t up = shmqi_next(shmqi_next_epoch(w) + 1, w);
#endif
        if (shm_cas(S6, &c->group->next, w, up))
            break;
    }
    (void)shm_and(
        S7, &c->group->freeing[endpoint >> 6], ~(1ull << (endpoint & 63)));
}

static inline bool shmqi_freeing_any(const struct shmqi_claims *c)
{
    for (uint32_t i = 0; i <= (c->endpoint_cnt - 1) >> 6; i++)
        if (shm_ld(S8, &c->group->freeing[i]) != 0)
            return true;
    return false;
}

/* The word that frees claim word `k`: same place, one attempt more. */
static inline uint64_t shmqi_claim_freed(uint64_t k)
{
    struct shmqi_claim c = shmqi_claim_unpack(k);
    c.state = SHMQI_CLAIM_FREE;
    c.owner = 0;
    if (c.attempt < SHMQI_ATTEMPT_MAX)
        c.attempt++;
    return shmqi_claim_pack(c);
}

/* True when `k` is held (claimed or dead-lettering) by `owner`. */
static inline bool shmqi_claim_held_by(uint64_t k, uint32_t owner)
{
    struct shmqi_claim c = shmqi_claim_unpack(k);
    return (c.state == SHMQI_CLAIM_CLAIMED ||
               c.state == SHMQI_CLAIM_DEADLETTER) &&
        c.owner == owner;
}

/* Tries to claim `seq`, whose claim word was seen as `k`, for `owner`.
 * Returns true and the claim word now held. */
static inline bool shmqi_claim_take(const struct shmqi_claims *c, uint64_t seq,
    uint64_t k, uint32_t owner, uint32_t state, uint64_t *ret_word)
{
    struct shmqi_claim was = shmqi_claim_unpack(k);
    bool again = shmqi_claim_age(c, k, seq) == 0;
    struct shmqi_claim mine = {shmqi_claim_lap(seq, c->lg2), state, owner,
        again ? was.attempt : 0, again ? was.done : 0};
    uint64_t w = shmqi_claim_pack(mine);
    if (!shm_cas(S9, shmqi_claim_at(c, seq), k, w))
        return false;
    *ret_word = w;
    return true;
}

/* Gives a claim back, with one attempt more. False: it has moved on. */
static inline bool shmqi_claim_nack(const struct shmqi_claims *c,
    uint32_t endpoint, uint64_t seq, uint64_t held)
{
    shmqi_freeing_begin(c, endpoint);
    bool mine =
        shm_cas(S9, shmqi_claim_at(c, seq), held, shmqi_claim_freed(held));
    shmqi_freeing_end(c, endpoint);
    return mine;
}

/* Pushes `next` from the word seen to behind `seq`. A hint: losing is fine. */
static inline void shmqi_claims_push(
    const struct shmqi_claims *c, uint64_t next_seen, uint64_t seq)
{
    (void)shm_cas(S6, &c->group->next, next_seen,
        shmqi_next(shmqi_next_epoch(next_seen), seq + 1));
}

/* Records of a frame [0, done) are finished. `record_cnt` finished: DONE.
 * Returns true and the new word, or false when the claim has moved on. */
static inline bool shmqi_claim_ack(const struct shmqi_claims *c, uint64_t seq,
    uint64_t held, uint32_t done, uint32_t record_cnt, uint64_t *ret_word)
{
    struct shmqi_claim next = shmqi_claim_unpack(held);
    next.attempt = 0;
    next.done = done;
    if (done >= record_cnt) {
        next.state = SHMQI_CLAIM_DONE;
        next.owner = 0;
        next.done = 0;
    }
    uint64_t w = shmqi_claim_pack(next);
#ifdef SHMQ_BUG_ACK_BY_STORE
    shm_st(S10, shmqi_claim_at(c, seq), w);
#else
    if (!shm_cas(S10, shmqi_claim_at(c, seq), held, w))
        return false;
#endif
    *ret_word = w;
    return true;
}

/* The record at a DEADLETTER claim's `done` is safe in the dead-letter topic:
 * the rest of its frame is free again, or the frame is done. False: the claim
 * has moved on. */
static inline bool shmqi_claim_buried(const struct shmqi_claims *c,
    uint32_t endpoint, uint64_t seq, uint64_t held, uint32_t record_cnt)
{
    struct shmqi_claim next = shmqi_claim_unpack(held);
    next.owner = 0;
    next.state = SHMQI_CLAIM_FREE;
    next.attempt = 0;
    next.done++;
    if (next.done >= record_cnt) {
        next.state = SHMQI_CLAIM_DONE;
        next.done = 0;
    }
#ifdef SHMQ_BUG_BURIED_UNTOLD
    return shm_cas(S9, shmqi_claim_at(c, seq), held, shmqi_claim_pack(next));
#endif
    shmqi_freeing_begin(c, endpoint);
    bool mine =
        shm_cas(S9, shmqi_claim_at(c, seq), held, shmqi_claim_pack(next));
    shmqi_freeing_end(c, endpoint);
    return mine;
}

/* It was not taken there: all stays as it was, and is tried again. Unannounced,
 * so that nobody searches for it all the time. */
static inline void shmqi_claim_unburied(
    const struct shmqi_claims *c, uint64_t seq, uint64_t held)
{
    struct shmqi_claim was = shmqi_claim_unpack(held);
    was.owner = 0;
    was.state = SHMQI_CLAIM_FREE;
    (void)shm_cas(S9, shmqi_claim_at(c, seq), held, shmqi_claim_pack(was));
}

#endif
