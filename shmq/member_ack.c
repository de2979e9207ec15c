/* member_ack.c - what a member of a shared group tells about its claims: done,
 * to be done again, now or later. */
#include <stdlib.h>

#include "clear.h"
#include "consumer_impl.h"
#include "member_impl.h"
#include "process.h"
#include "wait.h"

int shmqi_member_tell_done(struct shmq_consumer *c, struct shmqi_held *h)
{
    uint32_t done = h->done;
    uint64_t w;
    if (done == h->cnt && h->open > 0 && !c->copies)
        done--;
    struct shmqi_claim told = shmqi_claim_unpack(h->claim);
    if (told.state == SHMQI_CLAIM_DONE)
        return SHMQ_OK;
    if (done == told.done && done < h->cnt) {
        /* Kept to itself: it must not count when the lease has ended and the
         * frame is with another member. */
#ifdef SHMQ_BUG_LATE_ACK_COUNTS
        return SHMQ_OK;
#endif
        if (c->member.lease_ns == 0 ||
            shm_ld(S2, shmqi_claim_at(&c->find.claims, h->seq)) == h->claim)
            return SHMQ_OK;
        h->lost = true;
        return SHMQ_ERR_STALE;
    }
    if (!shmqi_claim_ack(&c->find.claims, h->seq, h->claim, done, h->cnt, &w)) {
        h->lost = true;
        return SHMQ_ERR_STALE;
    }
    h->claim = w;
    if (done == h->cnt) {
        shmqi_claims_walk(&c->find.claims, h->seq);
        shmqi_wake_producers(c->segment);
    }
    return SHMQ_OK;
}

int shmqi_member_ack(
    struct shmq_consumer *c, struct shmqi_held *h, uint32_t idx)
{
    shmqi_member_renew(c);
    if (h->lost)
        return SHMQ_ERR_STALE;
    (void)shmqi_held_done(h, idx); /* the prefix is told, the rest kept here */
    return shmqi_member_tell_done(c, h);
}

int shmqi_member_ack_many(
    struct shmq_consumer *c, struct shmqi_held *h, uint32_t idx, uint32_t cnt)
{
    shmqi_member_renew(c);
    if (h->lost)
        return SHMQ_ERR_STALE;
    shmqi_held_done_many(h, idx, cnt);
    return shmqi_member_tell_done(c, h);
}

/* Keeps the claim for a while. False: there is no memory to remember it. */
static bool delay(struct shmq_consumer *c, const struct shmqi_held *h)
{
    if (c->delayed_cnt == c->delayed_cap) {
        uint32_t cap = c->delayed_cap ? c->delayed_cap * 2 : 16;
        struct shmqi_delayed *more = realloc(c->delayed, cap * sizeof *more);
        if (!more)
            return false;
        c->delayed = more;
        c->delayed_cap = cap;
    }
    uint64_t due = shmqi_now_monotonic() + h->delay_ns;
    struct shmqi_delayed d = {h->seq, h->claim, due};
    if (c->delayed_cnt == 0 || due < c->delayed_next_ns)
        c->delayed_next_ns = due;
    c->delayed[c->delayed_cnt++] = d;
    return true;
}

/* It is our claim until then, so a member that is killed, evicted or late with
 * its lease loses it as any other. */
void shmqi_member_delayed(struct shmq_consumer *c, bool all)
{
    uint64_t now = shmqi_now_monotonic(), next = UINT64_MAX;
    uint32_t kept = 0;
    if (!all && now < c->delayed_next_ns)
        return;
#ifdef SHMQ_BUG_DELAYED_UNTOLD
    shmqi_freeing_begin(&c->find.claims, c->idx);
    shmqi_freeing_end(&c->find.claims, c->idx);
#else
    shmqi_freeing_begin(&c->find.claims, c->idx);
#endif
    for (uint32_t i = 0; i < c->delayed_cnt; i++) {
        struct shmqi_delayed *d = &c->delayed[i];
        if (!all && d->due_ns > now) {
            next = d->due_ns < next ? d->due_ns : next;
            c->delayed[kept++] = *d;
            continue;
        }
        (void)shm_cas(S9, shmqi_claim_at(&c->find.claims, d->seq), d->claim,
            shmqi_claim_freed(d->claim));
    }
#ifndef SHMQ_BUG_DELAYED_UNTOLD
    shmqi_freeing_end(&c->find.claims, c->idx);
#endif
    c->delayed_cnt = kept;
    c->delayed_next_ns = next;
    shmqi_member_count_holds(c);
    shmqi_wake_members(c->segment);
}

int shmqi_member_free_nacked(struct shmq_consumer *c, struct shmqi_held *h)
{
    if (h->delay_ns && delay(c, h)) {
        h->lost = true; /* to the application */
        return SHMQ_OK;
    }
    bool mine = shmqi_claim_nack(&c->find.claims, c->idx, h->seq, h->claim);
    h->lost = true;
    shmqi_wake_members(c->segment);
    return mine ? SHMQ_OK : SHMQ_ERR_STALE;
}

/* Record `idx` and those behind it go back; not before the records before it
 * have been released, since they lie in the same frame. */
int shmqi_member_nack(struct shmq_consumer *c, struct shmqi_held *h,
    uint32_t idx, uint64_t delay_ns)
{
    if (h->lost)
        return SHMQ_ERR_STALE;
    shmqi_held_forget(h, idx);
    shmqi_held_void(h, idx);
    h->nacked = true;
    h->delay_ns = delay_ns;
    return h->open == 0 ? shmqi_member_free_nacked(c, h) : SHMQ_OK;
}

/* The last view of the frame is over: tells what had to wait for it. */
int shmqi_member_viewed(struct shmq_consumer *c, struct shmqi_held *h)
{
    int rc = SHMQ_OK;
    if (h->lost)
        rc = SHMQ_ERR_STALE;
    else if (h->nacked)
        rc = shmqi_member_free_nacked(c, h);
    else if (h->done == h->cnt)
        rc = shmqi_member_tell_done(c, h);
    if (c->give_back_later && !shmqi_member_views_any(c)) {
        c->give_back_later = false;
        shmqi_member_give_back(c);
    }
    return rc;
}

bool shmqi_member_views_any(const struct shmq_consumer *c)
{
    for (uint32_t i = 0; !c->copies && i < c->held_max; i++)
        if (c->held[i].used && c->held[i].open > 0)
            return true;
    return false;
}
