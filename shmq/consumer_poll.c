/* consumer_poll.c - records handed to a handler. */
#include "consumer_impl.h"
#include "error.h"
#include "process.h"

/* A record received to see that there is one goes back unused. */
static void unreceive(struct shmq_consumer *c, const struct shmq_message *msg)
{
    struct shmqi_held *h = shmqi_held_of(c, msg);
    uint32_t slot = msg->internal[0];
    (void)shmqi_held_release(h, msg->internal[1]);
    h->next_idx--;
    h->next_off = (uint32_t)((const uint8_t *)msg->attrs - h->bytes) -
        (uint32_t)sizeof(struct shmqi_record_shm);
    c->current = slot;
}

/* Polling handled `cnt` and then met `rc`; a gap is reported by the next call,
 * unless nothing came before it. */
static int again(struct shmq_consumer *c, int rc, int cnt)
{
    if (rc == SHMQ_ERR_GAP)
        c->gap_pending = true;
    return cnt;
}

typedef int handler_fn(void *ctx, const struct shmq_message *msg);

/* -- polling
 * -------------------------------------------------------------------- */

/* Record by record, whatever is going on. */
static __attribute__((noinline)) int poll_each(
    struct shmq_consumer *c, handler_fn *handler, void *ctx, uint32_t max)
{
    struct shmq_message msg;
    int cnt = 0;
    while ((uint32_t)cnt < max) {
        int rc = shmq_consumer_receive(c, &msg);
        if (rc)
            return shmqi_segment_result(c->segment,
                cnt > 0 || rc == SHMQ_ERR_EMPTY ? again(c, rc, cnt) : rc);
        int result = handler(ctx, &msg);
        if (result == SHMQ_HANDLED_NACK || result < 0) {
            rc = c->mode == SHMQI_MODE_EPHEMERAL
                ? shmq_consumer_release(c, &msg)
                : shmq_consumer_nack(c, &msg);
            if (result < 0)
                return result;
        } else {
            rc = SHMQ_OK;
            if (c->flags & SHMQ_CONSUMER_MANUAL_ACK)
                rc = shmq_consumer_ack(c, &msg);
            int rc2 = shmq_consumer_release(c, &msg);
            rc = rc ? rc : rc2;
        }
        cnt++;
        if (rc && rc != SHMQ_ERR_STALE)
            return rc;
        if (result == SHMQ_HANDLED_STOP || result == SHMQ_HANDLED_NACK)
            break;
    }
    return cnt;
}

/* The end of a sweep: what it could not do is done record by record. */
static inline int swept(struct shmq_consumer *c, handler_fn *handler, void *ctx,
    uint32_t max, int rc)
{
    if (__builtin_expect(rc == SHMQI_SWEEP_OVER, 0))
        return poll_each(c, handler, ctx, max);
    return shmqi_segment_result(c->segment,
        __builtin_expect(rc == SHMQ_ERR_STALE, 0) ? shmqi_consumer_stale(c)
                                                  : rc);
}

static __attribute__((noinline)) int poll_all(
    struct shmq_consumer *c, handler_fn *handler, void *ctx, uint32_t max)
{
    if (!c || !handler)
        return shmqi_fail(SHMQ_ERR_INVAL, "poll: no consumer or no handler");
    if (!shmqi_same_process(c->generation))
        return shmqi_consumer_forked();
    c->empty_at = NULL;
    if (!shmqi_sweep_possible(c))
        return poll_each(c, handler, ctx, max);
    int rc = shmqi_reader_sweep(c, handler, ctx, max);
    return swept(c, handler, ctx, max, rc);
}

/* Most calls find the ring as empty as the last one did, or one record where
 * that one found none; nothing else can have changed then. */
int shmq_consumer_poll(struct shmq_consumer *c,
    int (*handler)(void *ctx, const struct shmq_message *msg), void *ctx,
    uint32_t max)
{
    if (max == 0 || max > INT32_MAX)
        max = INT32_MAX;
    if (__builtin_expect(!c || !handler || !c->empty_at ||
                !shmqi_same_process(c->generation) ||
                shm_ld(W6, &c->ring->control->version) != c->version,
            0))
        return poll_all(c, handler, ctx, max);
    if ((shm_ld(C5, c->empty_at) & c->empty_mask) == c->empty_word) {
        __builtin_prefetch(c->expected);
        __builtin_prefetch(c->expected + 64);
        return shmqi_segment_result(c->segment, 0);
    }
    c->empty_at = NULL;
    int rc = shmqi_reader_sweep(c, handler, ctx, max);
    return swept(c, handler, ctx, max, rc);
}

int shmq_consumer_poll_wait(struct shmq_consumer *c,
    int (*handler)(void *ctx, const struct shmq_message *msg), void *ctx,
    uint32_t max, uint64_t deadline_ns)
{
    struct shmq_message msg;
    for (;;) {
        int cnt = shmq_consumer_poll(c, handler, ctx, max);
        if (cnt != 0)
            return cnt;
        int rc = shmq_consumer_receive_wait(c, deadline_ns, &msg);
        if (rc)
            return rc;
        unreceive(c, &msg);
    }
}
