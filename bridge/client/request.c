/* request.c - one question at a time, repeated after a reconnect. */
#include <string.h>

#include "client.h"

void shmqr_request_flush(struct shmq_remote *r)
{
    struct shmqr_request *q = &r->request;
    if (q->corr_id && !q->sent && !q->answered)
        q->sent = shmqr_send_frame(r, q->frame, q->len, NULL, 0);
}

void shmqr_request_lost(struct shmq_remote *r)
{
    struct shmqr_request *q = &r->request;
    if (!q->corr_id || q->answered)
        return;
    if (q->sent && q->part)
        (void)q->part(q->ctx, NULL);
    q->sent = false;
    if (q->once) {
        q->answered = true;
        q->rc = shmqr_fail(
            SHMQ_ERR_STALE, "%s: the connection was lost", r->endpoint);
    }
}

void shmqr_request_stream_over(
    struct shmq_remote *r, uint32_t stream_id, int rc)
{
    struct shmqr_request *q = &r->request;
    if (!q->corr_id || q->answered || q->stream_id != stream_id)
        return;
    q->answered = true;
    q->rc = shmqr_fail(rc, "%s: the stream is over", r->endpoint);
}

bool shmqr_request_take(struct shmq_remote *r, const struct shmqw_message *msg)
{
    struct shmqr_request *q = &r->request;
    if (!q->corr_id || q->answered || msg->corr_id != q->corr_id ||
        !(msg->flags & SHMQW_FLAG_REPLY))
        return false;
    if (msg->status == SHMQW_UNKNOWN_SESSION) {
        shmqr_lose(r); /* asks again in the next session */
        return true;
    }
    if (msg->command == SHMQW_ERROR || msg->status != SHMQW_OK) {
        q->rc = shmqr_fail_status(msg->status, r->endpoint, msg);
        q->answered = true;
        return true;
    }
    if (q->part && q->rc == SHMQ_OK)
        q->rc = q->part(q->ctx, msg);
    q->answered = !(msg->flags & SHMQW_FLAG_MORE);
    return true;
}

static int give_up(struct shmq_remote *r)
{
    if (r->refused)
        return shmqr_fail(
            r->refused, "%s: the bridge refuses this client", r->endpoint);
    if (r->state != SHMQR_UP)
        return shmqr_fail(SHMQ_ERR_NODAEMON,
            "%s: no shmq-bridge answers there; start it, or give another "
            "endpoint",
            r->endpoint);
    return shmqr_fail(SHMQ_ERR_TIMEOUT, "%s: no answer in time", r->endpoint);
}

int shmqr_ask(struct shmq_remote *r, struct shmqw_writer *w, uint32_t stream_id,
    uint64_t deadline_ns,
    int (*part)(void *ctx, const struct shmqw_message *msg), void *ctx)
{
    struct shmqr_request *q = &r->request;
    size_t len;
    uint32_t corr_id = shmqr_next_corr(r);
    memcpy(w->at + offsetof(struct shmqw_header, corr_id), &corr_id, 4);
    memcpy(w->at + offsetof(struct shmqw_header, stream_id), &stream_id, 4);
    len = shmqw_end(w);
    if (len == 0 || len > sizeof q->frame)
        return shmqr_fail(
            SHMQ_ERR_TOO_LARGE, "%s: the request is too long", r->endpoint);
    memcpy(q->frame, w->at, len);
    q->len = len;
    q->sent = q->answered = false;
    q->once = stream_id != 0;
    q->stream_id = stream_id;
    q->rc = SHMQ_OK;
    q->part = part;
    q->ctx = ctx;
    q->corr_id = corr_id;
    int rc = SHMQ_OK;
    while (!q->answered && rc == SHMQ_OK) {
        if (r->state == SHMQR_UP && !q->sent)
            shmqr_request_flush(r);
        if (shmqr_now() >= deadline_ns || (r->refused && !r->session_cnt))
            rc = give_up(r);
        else if (shmqr_pump(r, deadline_ns, NULL) != 0)
            rc = shmqr_fail(SHMQ_ERR_INTR, "%s: interrupted", r->endpoint);
    }
    if (q->answered)
        rc = q->rc;
    q->corr_id = 0;
    return rc;
}
