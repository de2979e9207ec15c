/* consumer_ack.c - ending the use of records: release, ack, nack. */
#include "consumer_impl.h"
#include "error.h"
#include "process.h"

#define NACK_DELAY_MAX_NS (24ull * 3600 * 1000000000)

static int find_held(struct shmq_consumer *c, const struct shmq_message *msg,
    struct shmqi_held **ret)
{
    if (!c || !msg)
        return shmqi_fail(SHMQ_ERR_INVAL, "message: no consumer or message");
    if (!shmqi_same_process(c->generation)) {
        (void)shmqi_consumer_forked();
        return SHMQ_ERR_FORKED;
    }
    struct shmqi_held *h = shmqi_held_of(c, msg);
    if (!h &&
        (msg->internal[0] >= c->held_max || msg->internal[2] == 0 ||
            msg->internal[2] > c->serial))
        return shmqi_fail(SHMQ_ERR_INVAL,
            "message: not received by this "
            "consumer");
    if (!h)
        return shmqi_fail(SHMQ_ERR_STALE,
            "message: it has been released, or "
            "has moved to another member");
    *ret = h;
    return SHMQ_OK;
}

static int moved(struct shmq_consumer *c)
{
    return shmqi_fail(SHMQ_ERR_STALE,
        "%s: the record has moved to another "
        "member; it may be delivered twice",
        c->segment->topic);
}

/* Done with `cnt` records of `h` from `idx` on. */
static int ack(
    struct shmq_consumer *c, struct shmqi_held *h, uint32_t idx, uint32_t cnt)
{
    if (c->mode == SHMQI_MODE_SHARED) {
        int rc = cnt == 1 ? shmqi_member_ack(c, h, idx)
                          : shmqi_member_ack_many(c, h, idx, cnt);
        return rc ? moved(c) : SHMQ_OK;
    }
    /* An exclusive reader learns here that it was evicted, not at its next
     * flush: what it is told to be done is done. */
    if (c->mode == SHMQI_MODE_EXCLUSIVE &&
        shm_ld(W6, &c->ring->control->version) != c->version &&
        shmqi_consumer_evicted(c))
        return shmqi_consumer_stale(c);
    if (cnt == 1)
        (void)shmqi_held_done(h, idx);
    else
        shmqi_held_done_many(h, idx, cnt);
    return SHMQ_OK;
}

/* The view of record `idx` is over. */
static int end_view(struct shmq_consumer *c, struct shmqi_held *h)
{
    if (c->mode != SHMQI_MODE_SHARED) {
        if (c->stale)
            return shmqi_consumer_stale(c);
        return shmqi_reader_advance(c) ? shmqi_consumer_stale(c) : SHMQ_OK;
    }
    if (h->open > 0)
        return SHMQ_OK;
    bool was_lost = h->lost;
    int rc = shmqi_member_viewed(c, h) && !was_lost ? moved(c) : SHMQ_OK;
    bool waits = (c->flags & SHMQ_CONSUMER_MANUAL_ACK) && h->done < h->cnt;
    if (h->lost || (h->next_idx == h->cnt && !waits)) {
        shmqi_held_free(c, h);
        shm_st(N2, &c->ring->endpoints[c->idx].holds, c->held_cnt);
    }
    return rc;
}

int shmq_consumer_release(struct shmq_consumer *c, struct shmq_message *msg)
{
    struct shmqi_held *h;
    int rc = find_held(c, msg, &h);
    if (rc)
        return rc;
    uint32_t idx = msg->internal[1];
    if (!shmqi_held_release(h, idx))
        return shmqi_fail(SHMQ_ERR_STALE, "message: released already");
    if (!(c->flags & SHMQ_CONSUMER_MANUAL_ACK)) {
        rc = ack(c, h, idx, 1);
    }
    int rc2 = end_view(c, h);
    return shmqi_segment_result(c->segment, rc ? rc : rc2);
}

/* One by one: they are not all as they were handed out. */
static int release_each(
    struct shmq_consumer *c, const struct shmq_message *msg, uint32_t cnt)
{
    int done = 0;
    for (uint32_t i = 0; i < cnt; i++) {
        struct shmq_message one;
        shmq_consumer_nth(msg, i, &one);
        int rc = shmq_consumer_release(c, &one);
        if (rc == SHMQ_OK)
            done++;
        else if (rc != SHMQ_ERR_STALE && rc != SHMQ_ERR_INVAL)
            return rc;
    }
    return done;
}

int shmq_consumer_release_many(
    struct shmq_consumer *c, const struct shmq_message *msg, uint32_t cnt)
{
    struct shmqi_held *h;
    int rc = find_held(c, msg, &h);
    if (rc && rc != SHMQ_ERR_STALE)
        return rc;
    if (cnt == 0 || cnt > SHMQ_BATCH_MAX)
        return shmqi_fail(SHMQ_ERR_INVAL, "release: %u records; 1 to %u", cnt,
            SHMQ_BATCH_MAX);
    uint32_t idx = msg->internal[1];
    if (rc || !shmqi_held_release_many(h, idx, cnt, msg->internal[2]))
        return release_each(c, msg, cnt);
    if (!(c->flags & SHMQ_CONSUMER_MANUAL_ACK))
        rc = ack(c, h, idx, cnt);
    int rc2 = end_view(c, h);
    rc = shmqi_segment_result(c->segment, rc ? rc : rc2);
    if (rc == SHMQ_OK)
        return (int)cnt;
    return rc == SHMQ_ERR_STALE && c->mode == SHMQI_MODE_SHARED ? 0 : rc;
}

int shmq_consumer_ack(struct shmq_consumer *c, const struct shmq_message *msg)
{
    struct shmqi_held *h;
    int rc = find_held(c, msg, &h);
    if (rc)
        return rc;
    rc = ack(c, h, msg->internal[1], 1);
    int rc2 = end_view(c, h); /* it may have been released before */
    return shmqi_segment_result(c->segment, rc ? rc : rc2);
}

static int nack(
    struct shmq_consumer *c, struct shmq_message *msg, uint64_t delay_ns)
{
    struct shmqi_held *h;
    int rc = find_held(c, msg, &h);
    if (rc)
        return rc;
    if (c->mode == SHMQI_MODE_EPHEMERAL)
        return shmqi_fail(SHMQ_ERR_INVAL,
            "nack: an ephemeral reader has "
            "nobody to give a record to; use a group");
    if (c->mode == SHMQI_MODE_EXCLUSIVE && delay_ns)
        return shmqi_fail(SHMQ_ERR_INVAL,
            "nack: an exclusive reader gets the record itself; wait before "
            "the nack, or use a shared group");
    if (!shmqi_held_release(h, msg->internal[1]))
        return shmqi_fail(SHMQ_ERR_STALE, "message: released already");
    if (c->mode == SHMQI_MODE_EXCLUSIVE) {
        shmqi_reader_rewind(c, h, msg->internal[1]);
        return shmqi_segment_result(c->segment, SHMQ_OK);
    }
    rc = shmqi_member_nack(c, h, msg->internal[1], delay_ns) ? moved(c)
                                                             : SHMQ_OK;
    (void)end_view(c, h);
    return shmqi_segment_result(c->segment, rc);
}

int shmq_consumer_nack(struct shmq_consumer *c, struct shmq_message *msg)
{
    return nack(c, msg, 0);
}

int shmq_consumer_nack_later(
    struct shmq_consumer *c, struct shmq_message *msg, uint64_t delay_ns)
{
    if (delay_ns > NACK_DELAY_MAX_NS)
        return shmqi_fail(SHMQ_ERR_INVAL, "nack: a delay of at most 24 h");
    return nack(c, msg, delay_ns);
}
