/* member_past.c - members of a shared group on a durable topic: frames are
 * claimed as in memory (claims.h) and read from the ring, or from the log when
 * their memory has been given up. The floor may lag the ring without limit. */
#include <string.h>

#include "error.h"
#include "member_impl.h"
#include "mpmc.h"
#include "watermarks.h"

/* find.h: not yet, in the ring, or (positive) to be had from the log. */
static int64_t look(
    const struct shmqi_finder *f, uint64_t seq, uint64_t *ret_word)
{
    const void *at = (const char *)f - offsetof(struct shmq_consumer, find);
    const struct shmq_consumer *c = at; /* every finder is part of one */
    if (shmqi_pos(seq, 0) >= shmqi_past_limit(c->segment, c->past))
        return -1;
    int64_t age = shmqi_mpmc_look(f->ring, seq, ret_word);
    return seq < f->ring->start_seq && age <= 0 ? 1 : age;
}

/* -- gaps ---------------------------------------------------------------------
 */

static uint32_t reason_for(struct shmq_consumer *c, const struct shmq_gap *g)
{
    struct shmqi_group_shm *group = &c->ring->groups[c->member.entry];
    uint64_t seen =
        shmqi_cursor_pos(shm_ld(J9, &group->seen), shmqi_pos_seq(g->from));
    return g->reason == SHMQ_GAP_LOST && seen > g->from ? SHMQ_GAP_TRUNCATED
                                                        : g->reason;
}

/* The floor stands in a gap: it jumps over it. Claims there are of an older lap
 * from then on. */
static void jump(struct shmq_consumer *c, const struct shmq_gap *g)
{
    struct shmqi_group_shm *group = &c->ring->groups[c->member.entry];
    uint64_t w = shm_ld(S1, &group->floor);
    uint64_t floor = shmqi_cursor_pos(w, c->find.near);
    uint64_t to = shmqi_pos(shmqi_pos_seq(g->to), 0);
    if (floor < g->from || floor >= to ||
        !shm_cas(S3, &group->floor, w, shmqi_cursor(shmqi_cursor_tag(w), to)))
        return;
    struct shmq_gap gap = *g;
    gap.from = floor;
    gap.frames = shmqi_pos_seq(to) - shmqi_pos_seq(floor);
    gap.reason = reason_for(c, g);
    uint64_t frames = gap.frames;
    if (c->gap_pending && c->gap.to == gap.from) {
        gap.from = c->gap.from;
        gap.frames += c->gap.frames;
    }
    c->gap = gap;
    c->gap_pending = c->gap_known = true;
    (void)shm_add(N3, shmqi_gap_counter(c, gap.reason), frames);
}

/* Frames of the gap within the window, from `seq` on, are done: as one gap. */
static void pass_over(
    struct shmq_consumer *c, uint64_t seq, const struct shmq_gap *g)
{
    const struct shmqi_claims *claims = &c->find.claims;
    uint64_t to = shmqi_pos_seq(g->to), held;
    uint64_t floor = shmqi_claims_floor(claims, c->find.near);
    uint32_t reason = reason_for(c, g);
    if (floor >= seq) {
        jump(c, g);
        return;
    }
    for (uint64_t q = seq; q < to && q < floor + (1ull << claims->lg2); q++) {
        uint64_t k = shm_ld(S2, shmqi_claim_at(claims, q));
        int32_t age = shmqi_claim_age(claims, k, q);
        bool open = age < 0 ||
            (age == 0 && shmqi_claim_unpack(k).state == SHMQI_CLAIM_FREE);
        if (open &&
            shmqi_claim_take(claims, q, k, c->idx, SHMQI_CLAIM_CLAIMED, &held))
            shmqi_member_discard(c, q, held, reason);
    }
}

/* -- taking -------------------------------------------------------------------
 */

static enum shmqi_taken fail(struct shmqi_taking *t, int rc)
{
    t->rc = rc;
    return SHMQI_TAKE_FAIL;
}

/* The frame of `seq` in the log, or what stands in its place. */
static int item_of(
    struct shmq_consumer *c, uint64_t seq, struct shmqi_past_item *ret)
{
    int rc = shmqi_past_item(c->segment, c->past, shmqi_pos(seq, 0), ret);
    if (rc || ret->is_gap || shmqi_pos_seq(ret->frame->pos) == seq)
        return rc;
    /* A hole that the log did not tell of. */
    struct shmq_gap g = {shmqi_pos(seq, 0), ret->frame->pos,
        shmqi_pos_seq(ret->frame->pos) - seq, UINT64_MAX, SHMQ_GAP_CORRUPT, 0};
    ret->is_gap = true;
    ret->gap = g;
    return SHMQ_OK;
}

/* Fresh frames go on behind `seq`. A hint: losing is fine. */
static void push(struct shmq_consumer *c, uint64_t seq)
{
    uint64_t nw = shm_ld(S5, &c->ring->groups[c->member.entry].next);
    if (shmqi_seq_expand(nw, seq) <= seq)
        shmqi_claims_push(&c->find.claims, nw, seq);
}

/* Claims `seq`, whose frame is in the log or about to be there. */
static enum shmqi_taken take_log(
    struct shmqi_taking *t, uint64_t seq, uint64_t k)
{
    struct shmq_consumer *c = t->c;
    struct shmqi_past_item item;
    uint64_t held;
    uint32_t slot;
    int rc = item_of(c, seq, &item);
    if (rc)
        return fail(t, rc);
    if (item.is_gap) {
        pass_over(c, seq, &item.gap);
        return SHMQI_TAKE_NEXT;
    }
    bool again = shmqi_claim_age(&c->find.claims, k, seq) == 0;
    if (!shmqi_claim_take(
            &c->find.claims, seq, k, c->idx, SHMQI_CLAIM_CLAIMED, &held))
        return SHMQI_TAKE_NEXT;
    push(c, seq);
    struct shmqi_held *h = shmqi_held_new(c, &slot);
    rc = shmqi_past_fill(c, h, item.frame);
    if (rc) {
        shmqi_held_free(c, h);
        shmqi_member_unclaim(c, seq, held, again);
        return fail(t, rc);
    }
    shmqi_member_keep(c, h, seq, held, again);
    t->slot = slot;
    return SHMQI_TAKEN;
}

static enum shmqi_taken take_ring(
    struct shmqi_taking *t, uint64_t seq, uint64_t k, uint64_t slot_word)
{
    struct shmq_consumer *c = t->c;
    struct shmqi_past_item item;
    bool again = shmqi_claim_age(&c->find.claims, k, seq) == 0;
    uint64_t held;
    uint32_t slot;
    if (!shmqi_claim_take(
            &c->find.claims, seq, k, c->idx, SHMQI_CLAIM_CLAIMED, &held))
        return SHMQI_TAKE_NEXT;
    struct shmqi_held *h = shmqi_held_new(c, &slot);
    int rc = shmqi_held_fill(c, h, seq, slot_word);
    /* Given up between look and copy: then it is in the log. */
    if (rc == SHMQ_ERR_GAP && item_of(c, seq, &item) == SHMQ_OK && !item.is_gap)
        rc = shmqi_past_fill(c, h, item.frame);
    if (rc == SHMQ_OK) {
        shmqi_member_keep(c, h, seq, held, again);
        t->slot = slot;
        return SHMQI_TAKEN;
    }
    shmqi_held_free(c, h);
    if (rc == SHMQ_ERR_CORRUPT) {
        shmqi_member_discard(c, seq, held, SHMQ_GAP_CORRUPT);
        return SHMQI_TAKE_NEXT;
    }
    shmqi_member_unclaim(c, seq, held, again);
    return rc == SHMQ_ERR_GAP ? SHMQI_TAKE_NEXT : fail(t, rc);
}

/* A record that has used its attempts up. */
static void bury(
    struct shmq_consumer *c, uint64_t seq, uint64_t k, uint64_t slot_word)
{
    struct shmqi_past_item item;
    if (slot_word == SHMQI_SLOT_IN_LOG && item_of(c, seq, &item) == SHMQ_OK &&
        item.is_gap)
        pass_over(c, seq, &item.gap);
    else
        shmqi_dead_letter(c, seq, k, slot_word);
}

static enum shmqi_taken take(
    void *ctx, uint64_t seq, uint64_t k, uint64_t slot_word, bool lost)
{
    struct shmqi_taking *t = ctx;
    struct shmq_consumer *c = t->c;
    const struct shmqi_claims *claims = &c->find.claims;
    int32_t age = shmqi_claim_age(claims, k, seq);
    struct shmqi_claim was = shmqi_claim_unpack(k);
    /* find.h asks for any state of a frame that is not in the ring. */
    if (age > 0 || (age == 0 && was.state != SHMQI_CLAIM_FREE)) {
        push(c, seq);
        return SHMQI_TAKE_NEXT;
    }
    /* With more slots than memory the slot may be there and the frame be in
     * the log, or have been. */
    lost = lost || shmqi_mpmc_given_up(c->ring, seq, slot_word);
    if (age == 0 && was.attempt >= c->member.max_attempts) {
        bury(c, seq, k, lost ? SHMQI_SLOT_IN_LOG : slot_word);
        return SHMQI_TAKE_NEXT;
    }
    return lost ? take_log(t, seq, k) : take_ring(t, seq, k, slot_word);
}

int shmqi_member_claim_past(struct shmq_consumer *c, uint32_t *ret_slot)
{
    struct shmqi_taking t = {c, 0, SHMQ_ERR_EMPTY};
    enum shmqi_taken taken = SHMQI_TAKE_NEXT;
    bool idle = false;
    if (shmqi_member_is_full(c) && !shmqi_member_abandon_one(c))
        return SHMQ_ERR_LIMIT;
    c->dead.failed = false;
    for (int i = 0; i < SHMQI_CLAIM_TRIES && !idle; i++) {
        taken = shmqi_find_fresh(&c->find, look, take, &t, &idle);
        if (taken != SHMQI_TAKE_NEXT)
            break;
        if (c->gap_pending)
            return SHMQ_ERR_GAP;
    }
    if (taken == SHMQI_TAKE_NEXT)
        taken = shmqi_find_freed(
            &c->find, (c->empties & 0xff) == 0xff, look, take, &t);
    if (taken == SHMQI_TAKE_FAIL)
        return t.rc;
    if (taken == SHMQI_TAKE_NEXT)
        return c->gap_pending ? SHMQ_ERR_GAP : SHMQ_ERR_EMPTY;
    *ret_slot = t.slot;
    return SHMQ_OK;
}
