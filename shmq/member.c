/* member.c - a member of a shared group: claiming, handing out, leaving, and
 * finding again what others gave back. The words' rules: claims.h. */
#include <stdlib.h>
#include <string.h>

#include "consumer_impl.h"
#include "error.h"
#include "member_impl.h"
#include "mpmc.h"
#include "reap.h"
#include "relieve.h"

#define LOST_MAX 64

int shmqi_member_open(struct shmq_consumer *c)
{
    c->find.ring = c->ring;
    c->find.claims = shmqi_claims_of(c->ring, c->member.entry);
    c->find.near = shm_ld(G1, &c->ring->data->tail);
    /* Not the epoch now: the first look rescans. */
    c->find.epoch = UINT64_MAX;
    shmqi_member_renew(c);
    return SHMQ_OK;
}

uint64_t shmqi_member_floor(struct shmq_consumer *c)
{
    c->find.near = shm_ld(G1, &c->ring->data->tail);
    shmqi_claims_walk(&c->find.claims, c->find.near);
    uint64_t w = shm_ld(S1, &shmqi_group_of(c)->floor);
    return shmqi_cursor_pos(w, c->find.near);
}

void shmqi_member_renew(struct shmq_consumer *c)
{
    if (c->member.lease_ns)
        shm_st(S12, &c->ring->endpoints[c->idx].lease,
            shmqi_now_monotonic() + c->member.lease_ns);
}

void shmqi_member_count_holds(struct shmq_consumer *c)
{
    shm_st(N2, &c->ring->endpoints[c->idx].holds,
        (uint64_t)c->held_cnt + c->delayed_cnt);
}

/* The word that gives a claim back in an orderly way: attempts stay. A frame
 * of which nothing was ever handed out goes back to "never claimed". */
static uint64_t returned_word(
    const struct shmq_consumer *c, const struct shmqi_held *h, uint64_t held)
{
    struct shmqi_claim k = shmqi_claim_unpack(held);
    /* A stalled evictor may hold this very word: then it must not come back,
     * because the next owner of our number may look at ring memory. */
    bool unviewed = c->copies || c->abandoned;
    if (c->stale || (c->member.views && unviewed))
        return shmqi_claim_freed(held);
    k.owner = 0;
    k.state = SHMQI_CLAIM_FREE;
    if (h && !h->redelivered && h->next_idx == 0) {
        k.lap--;
        k.state = SHMQI_CLAIM_DONE;
    }
    return shmqi_claim_pack(k);
}

static const struct shmqi_held *held_with(
    const struct shmq_consumer *c, uint64_t claim, uint64_t seq)
{
    for (uint32_t i = 0; i < c->held_max; i++)
        if (c->held[i].used && !c->held[i].lost && c->held[i].seq == seq &&
            c->held[i].claim == claim)
            return &c->held[i];
    return NULL;
}

/* Gives everything back that carries our number. Words may come back here; the
 * worst that a stalled reaper does with one is to give it back again. */
void shmqi_member_give_back(struct shmq_consumer *c)
{
    const struct shmqi_claims *k = &c->find.claims;
    c->find.near = shm_ld(G1, &c->ring->data->tail);
    uint64_t floor = shmqi_claims_floor(k, c->find.near);
    shmqi_freeing_begin(k, c->idx);
    for (uint64_t q = floor; q < floor + (1ull << k->lg2); q++) {
        uint64_t w = shm_ld(S2, shmqi_claim_at(k, q));
        if (shmqi_claim_age(k, w, q) == 0 && shmqi_claim_held_by(w, c->idx))
            (void)shm_cas(S9, shmqi_claim_at(k, q), w,
                returned_word(c, held_with(c, w, q), w));
    }
    shmqi_freeing_end(k, c->idx);
    shmqi_claims_walk(k, c->find.near);
}

void shmqi_member_unclaim(
    struct shmq_consumer *c, uint64_t seq, uint64_t held, bool again)
{
    struct shmqi_claim k = shmqi_claim_unpack(held);
    k.owner = 0;
    k.state = SHMQI_CLAIM_FREE;
    if (!again) { /* as if it had never been claimed */
        k.lap--;
        k.state = SHMQI_CLAIM_DONE;
    }
    shmqi_freeing_begin(&c->find.claims, c->idx);
    (void)shm_cas(
        S9, shmqi_claim_at(&c->find.claims, seq), held, shmqi_claim_pack(k));
    shmqi_freeing_end(&c->find.claims, c->idx);
}

void shmqi_member_close(struct shmq_consumer *c)
{
    for (uint32_t i = 0; i < c->held_max; i++) {
        struct shmqi_held *h = &c->held[i];
        h->open = 0; /* the handle's views end here */
        if (h->used && !h->lost && h->nacked)
            (void)shmqi_member_free_nacked(c, h);
        else if (h->used && !h->lost && h->done == h->cnt)
            (void)shmqi_member_tell_done(c, h);
    }
    if (c->delayed_cnt)
        shmqi_member_delayed(c, true);
    shmqi_member_give_back(c);
    shmqi_view_end(c);
    shmqi_wake_members(c->segment);
}

/* -- claiming
 * -----------------------------------------------------------------*/

/* The frame is gone or senseless: done with it, as a gap of one frame. */
void shmqi_member_discard(
    struct shmq_consumer *c, uint64_t seq, uint64_t claim, uint32_t reason)
{
    uint64_t w;
    if (!shmqi_claim_ack(&c->find.claims, seq, claim, 1, 1, &w))
        return; /* the claim has moved on: the group has lost nothing */
    shmqi_claims_walk(&c->find.claims, c->find.near);
    struct shmq_gap g = {
        shmqi_pos(seq, 0), shmqi_pos(seq + 1, 0), 1, UINT64_MAX, reason, 0};
    if (c->gap_pending && c->gap.to == g.from) {
        g.from = c->gap.from;
        g.frames += c->gap.frames;
    }
    c->gap = g;
    c->gap_pending = c->gap_known = true;
    (void)shm_add(N3, shmqi_gap_counter(c, reason), 1);
}

static enum shmqi_taken fill(struct shmq_consumer *c, uint64_t seq,
    uint64_t slot_word, uint64_t claim, bool again, uint32_t *ret_slot,
    int *ret_rc)
{
    uint32_t slot;
    struct shmqi_held *h = shmqi_held_new(c, &slot);
    int rc = shmqi_held_fill(c, h, seq, slot_word);
    if (rc == SHMQ_ERR_GAP || rc == SHMQ_ERR_CORRUPT) {
        shmqi_held_free(c, h);
        shmqi_member_discard(c, seq, claim,
            rc == SHMQ_ERR_GAP ? SHMQ_GAP_DROPPED : SHMQ_GAP_CORRUPT);
        return SHMQI_TAKE_NEXT;
    }
    if (rc) {
        shmqi_held_free(c, h);
        *ret_rc = rc;
        return SHMQI_TAKE_FAIL;
    }
    shmqi_member_keep(c, h, seq, claim, again);
    *ret_slot = slot;
    return SHMQI_TAKEN;
}

/* Overwritten between the floor and here (drop-old), or scribbled: this frame
 * is done, as a gap. */
static void take_lost(struct shmq_consumer *c, uint64_t seq, uint64_t k)
{
    const struct shmqi_claims *claims = &c->find.claims;
    uint64_t held;
    int32_t age = shmqi_claim_age(claims, k, seq);
    bool open = age < 0 ||
        (age == 0 && shmqi_claim_unpack(k).state == SHMQI_CLAIM_FREE);
    if (open &&
        shmqi_claim_take(claims, seq, k, c->idx, SHMQI_CLAIM_CLAIMED, &held))
        shmqi_member_discard(c, seq, held, SHMQ_GAP_DROPPED);
    else
        shmqi_claims_push(claims, shm_ld(S5, &shmqi_group_of(c)->next), seq);
}

/* Claims `seq` and copies or views it: find.h. */
static enum shmqi_taken take(
    void *ctx, uint64_t seq, uint64_t k, uint64_t slot_word, bool lost)
{
    struct shmqi_taking *t = ctx;
    struct shmq_consumer *c = t->c;
    struct shmqi_claim was = shmqi_claim_unpack(k);
    uint64_t held;
    if (lost) {
        take_lost(c, seq, k);
        return SHMQI_TAKE_NEXT;
    }
    bool again = shmqi_claim_age(&c->find.claims, k, seq) == 0;
    if (again && was.attempt >= c->member.max_attempts) {
        shmqi_dead_letter(c, seq, k, slot_word);
        return SHMQI_TAKE_NEXT;
    }
    int rc = shmqi_view_begin(c);
    if (rc) {
        t->rc = rc;
        return SHMQI_TAKE_FAIL;
    }
    if (!shmqi_claim_take(
            &c->find.claims, seq, k, c->idx, SHMQI_CLAIM_CLAIMED, &held))
        return SHMQI_TAKE_NEXT;
    return fill(c, seq, slot_word, held, again, &t->slot, &t->rc);
}

/* Frames in [from, to) that nobody of the group has finished or has now. */
static uint64_t count_lost(struct shmq_consumer *c, uint64_t from, uint64_t to)
{
    uint64_t window = 1ull << c->find.claims.lg2, lost = to - from;
    for (uint64_t q = from; q < to && q < from + window; q++) {
        uint64_t k = shm_ld(S2, shmqi_claim_at(&c->find.claims, q));
        if (shmqi_claim_age(&c->find.claims, k, q) == 0 &&
            shmqi_claim_unpack(k).state != SHMQI_CLAIM_FREE)
            lost--;
    }
    return lost;
}

/* Under drop-old the frame at the floor has been overwritten: the floor jumps
 * over what is gone. Claims behind it are of an older lap from then on. True
 * when it moved. */
static bool jump_lost(struct shmq_consumer *c)
{
    struct shmqi_group_shm *g = shmqi_group_of(c);
    uint64_t f = shm_ld(S1, &g->floor), w;
    uint64_t floor = shmqi_pos_seq(shmqi_cursor_pos(f, c->find.near));
    if (shmqi_mpmc_look(c->ring, floor, &w) <= 0)
        return false;
    uint64_t to = shm_ld(G5, &c->ring->data->gate);
    uint64_t end = shmqi_mpmc_end(c->ring), n = 1ull << c->ring->cap_lg2;
    if (end > n && to < end - n)
        to = end - n;
    if (to <= floor)
        return false;
    uint64_t lost = count_lost(c, floor, to);
    if (!shm_cas(S3, &g->floor, f,
            shmqi_cursor(shmqi_cursor_tag(f), shmqi_pos(to, 0))))
        return true;
    if (lost == 0)
        return true;
    struct shmq_gap gap = {shmqi_pos(floor, 0), shmqi_pos(to, 0), lost,
        UINT64_MAX, SHMQ_GAP_DROPPED, 0};
    c->gap = gap;
    c->gap_pending = c->gap_known = true;
    (void)shm_add(N3, &c->ring->control->dropped_old, lost);
    return true;
}

/* Manual acknowledgement: a frame that is no longer looked at and has not been
 * acknowledged stays claimed, but needs no entry here any more. */
bool shmqi_member_abandon_one(struct shmq_consumer *c)
{
    if (!(c->flags & SHMQ_CONSUMER_MANUAL_ACK))
        return false;
    for (uint32_t i = 0; i < c->held_max; i++) {
        struct shmqi_held *h = &c->held[i];
        if (h->used && h->open == 0 && h->next_idx == h->cnt) {
            shmqi_held_free(c, h);
            c->abandoned = true;
            return true;
        }
    }
    return false;
}

static int claim_next(struct shmq_consumer *c, uint32_t *ret_slot)
{
    struct shmqi_taking t = {c, 0, SHMQ_ERR_EMPTY};
    enum shmqi_taken taken = SHMQI_TAKE_NEXT;
    bool idle = false, jumps = c->ring->on_full == SHMQ_ON_FULL_DROP_OLD;
    if (shmqi_member_is_full(c) && !shmqi_member_abandon_one(c))
        return SHMQ_ERR_LIMIT;
    c->dead.failed = false;
    for (int i = 0; i < SHMQI_CLAIM_TRIES && !idle; i++) {
        if (!jumps || !jump_lost(c))
            taken =
                shmqi_find_fresh(&c->find, shmqi_look_ring, take, &t, &idle);
        if (taken != SHMQI_TAKE_NEXT)
            break;
        if (c->gap_pending)
            return SHMQ_ERR_GAP;
    }
    if (taken == SHMQI_TAKE_NEXT)
        taken = shmqi_find_freed(
            &c->find, (c->empties & 0xff) == 0xff, shmqi_look_ring, take, &t);
    if (taken == SHMQI_TAKE_FAIL)
        return t.rc;
    if (taken == SHMQI_TAKE_NEXT)
        return c->gap_pending ? SHMQ_ERR_GAP : SHMQ_ERR_EMPTY;
    *ret_slot = t.slot;
    return SHMQ_OK;
}

/* A frame of which records can be handed out: at attempt 1 and above one at a
 * time, so that the blame falls on the right record. */
static bool can_hand(struct shmq_consumer *c, struct shmqi_held *h)
{
    if (!h->used || h->lost || h->nacked || h->next_idx >= h->cnt)
        return false;
    if (shmqi_claim_unpack(h->claim).attempt > 0 && h->open > 0)
        return false;
    if (c->member.lease_ns &&
        shm_ld(S2, shmqi_claim_at(&c->find.claims, h->seq)) != h->claim) {
        h->lost = true;
        if (h->open == 0)
            shmqi_held_free(c, h);
        return false;
    }
    return true;
}

static int hand(
    struct shmq_consumer *c, uint32_t slot, struct shmq_message *ret)
{
    struct shmqi_held *h = &c->held[slot];
    struct shmqi_claim k = shmqi_claim_unpack(h->claim);
    struct shmq_message msg;
    int rc = shmqi_held_hand(c, slot, &msg);
    if (rc) {
        h->lost = true;
        shmqi_member_discard(c, h->seq, h->claim, SHMQ_GAP_CORRUPT);
        if (h->open == 0)
            shmqi_held_free(c, h);
        return c->gap_pending ? SHMQ_ERR_GAP : SHMQ_ERR_EMPTY;
    }
    if (h->redelivered)
        (void)shm_add(N3, &shmqi_group_of(c)->redelivered, 1);
    if (msg.internal[1] == k.done)
        msg.attempt = k.attempt;
    c->current = h->next_idx < h->cnt ? slot : UINT32_MAX;
    *ret = msg;
    return SHMQ_OK;
}

/* A frame of which not all could be handed out while it was the current one:
 * its records go out one at a time, each when the one before has been released.
 * There is none of them in the common case, and no search for one. */
static bool find_left(struct shmq_consumer *c, uint32_t *ret_slot)
{
    bool any = false;
    for (uint32_t i = 0; i < c->held_max; i++) {
        const struct shmqi_held *h = &c->held[i];
        if (can_hand(c, &c->held[i])) {
            *ret_slot = i;
            return true;
        }
        any |= h->used && !h->lost && !h->nacked && h->next_idx < h->cnt;
    }
    c->left_any = any;
    return false;
}

static inline __attribute__((always_inline)) int next_by(
    struct shmq_consumer *c, struct shmq_message *ret,
    int (*claim)(struct shmq_consumer *c, uint32_t *ret_slot))
{
    uint32_t slot = c->current;
    shmqi_member_renew(c);
    if (__builtin_expect(c->delayed_cnt != 0, 0))
        shmqi_member_delayed(c, false);
    if (slot != UINT32_MAX) {
        if (can_hand(c, &c->held[slot]))
            return hand(c, slot, ret);
        c->current = UINT32_MAX;
        c->left_any = true;
    }
    if (c->left_any && find_left(c, &slot))
        return hand(c, slot, ret);
    int rc = claim(c, &slot);
    if (rc)
        return rc;
    shmqi_member_count_holds(c);
    return hand(c, slot, ret);
}

int shmqi_member_next(struct shmq_consumer *c, struct shmq_message *ret)
{
    return next_by(c, ret, claim_next);
}

int shmqi_member_next_past(struct shmq_consumer *c, struct shmq_message *ret)
{
    return next_by(c, ret, shmqi_member_claim_past);
}
