/* log_scan.c - walking the batches of one segment (log_scan.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log_scan.h"

#ifndef SHMQI_LOG_AHEAD /* tests take less, so that small files fill it */
#define SHMQI_LOG_AHEAD (256u * 1024) /* read at once */
#endif

static int grow(struct shmqi_log_window *w, size_t room)
{
    if (room <= w->room)
        return 0;
    room = (room + SHMQI_LOG_BLOCK - 1) & ~(size_t)(SHMQI_LOG_BLOCK - 1);
    uint8_t *buf = aligned_alloc(SHMQI_LOG_BLOCK, room);
    if (!buf)
        return -ENOMEM;
    if (w->len)
        memcpy(buf, w->buf, w->len);
    free(w->buf);
    w->buf = buf;
    w->room = room;
    return 0;
}

/* Keeps what the window already holds from `off` on, at its front. */
static void shift(struct shmqi_log_window *w, uint64_t off)
{
    if (off < w->off || off >= w->off + w->len) {
        w->len = 0;
    } else {
        size_t gone = (size_t)(off - w->off);
        memmove(w->buf, w->buf + gone, w->len - gone);
        w->len -= gone;
    }
    /* Half a block is the end of the file as it was: read it anew. */
    w->len &= ~(size_t)(SHMQI_LOG_BLOCK - 1);
    w->off = off;
}

/* Makes [off, off + len) available as far as the file goes; *ret_len of it are
 * there. */
static int need(struct shmqi_log_window *w, uint64_t off, size_t len,
    const uint8_t **ret_bytes, size_t *ret_len)
{
    if (off < w->off || off + len > w->off + w->len) {
        size_t want = len > SHMQI_LOG_AHEAD ? len : SHMQI_LOG_AHEAD;
        shift(w, off);
        int rc = grow(w, want);
        if (rc)
            return rc;
        int64_t got =
            w->read(w->ctx, w->buf + w->len, want - w->len, off + w->len);
        if (got < 0)
            return (int)got;
        w->bytes_read += (uint64_t)got;
        w->len += (size_t)got;
    }
    size_t have = (size_t)(w->off + w->len - off);
    *ret_bytes = w->buf + (off - w->off);
    *ret_len = have < len ? have : len;
    return 0;
}

int shmqi_log_scan_open(struct shmqi_log_scan *s, shmqi_log_read *read,
    void *ctx, struct shmqi_log_segment *ret_h,
    enum shmqi_log_verdict *ret_verdict)
{
    struct shmqi_log_segment h;
    const uint8_t *block;
    size_t len;
    memset(s, 0, sizeof *s);
    memset(&h, 0, sizeof h);
    s->window.read = read;
    s->window.ctx = ctx;
    int rc = need(&s->window, 0, SHMQI_LOG_BLOCK, &block, &len);
    if (rc) {
        shmqi_log_scan_close(s);
        return rc;
    }
    /* A file that was cut short may still hold one copy of its header. */
    uint8_t padded[SHMQI_LOG_BLOCK] = {0};
    memcpy(padded, block, len);
    *ret_verdict = shmqi_log_segment_decode(padded, &h);
    s->salt = h.salt;
    s->off = SHMQI_LOG_BLOCK;
    s->pos = h.base_pos;
    s->crc = h.crc;
    *ret_h = h;
    return 0;
}

void shmqi_log_scan_close(struct shmqi_log_scan *s)
{
    free(s->window.buf);
    memset(&s->window, 0, sizeof s->window);
}

void shmqi_log_scan_refresh(struct shmqi_log_scan *s)
{
    s->window.len = 0;
}

static enum shmqi_log_step fail(struct shmqi_log_scan *s, int err)
{
    s->error = -err;
    return SHMQI_STEP_FAILED;
}

static bool follows(
    const struct shmqi_log_scan *s, const struct shmqi_log_batch *b)
{
    return shmqi_log_bug_no_chain ||
        (b->prev_end_pos == s->pos && b->prev_crc == s->crc);
}

static enum shmqi_log_step look(
    struct shmqi_log_scan *s, struct shmqi_log_batch *ret_b)
{
    const uint8_t *at;
    size_t len;
    int rc = need(&s->window, s->off, SHMQI_LOG_BLOCK, &at, &len);
    if (rc)
        return fail(s, rc);
    if (len < SHMQI_LOG_BLOCK)
        return SHMQI_STEP_END;
    switch (shmqi_log_batch_decode(
        at, s->salt, (uint32_t)(s->off / SHMQI_LOG_BLOCK), ret_b)) {
    case SHMQI_LOG_BLANK:
        return SHMQI_STEP_END;
    case SHMQI_LOG_GOOD:
        return follows(s, ret_b) ? SHMQI_STEP_BATCH : SHMQI_STEP_BROKEN;
    case SHMQI_LOG_FOREIGN:
        return SHMQI_STEP_FOREIGN;
    case SHMQI_LOG_BAD:
    case SHMQI_LOG_COPY_BAD:
        break;
    }
    return SHMQI_STEP_BAD;
}

enum shmqi_log_step shmqi_log_scan_peek(
    struct shmqi_log_scan *s, struct shmqi_log_batch *ret_b)
{
    bool stale = s->window.len > 0;
    enum shmqi_log_step step = look(s, ret_b);
    if (step != SHMQI_STEP_BATCH && step != SHMQI_STEP_FAILED && stale) {
        /* It may have been written since the window was read. */
        shmqi_log_scan_refresh(s);
        step = look(s, ret_b);
    }
    return step;
}

void shmqi_log_scan_skip(
    struct shmqi_log_scan *s, const struct shmqi_log_batch *b)
{
    s->off += b->total_bytes;
    s->pos = b->end_pos;
    s->crc = b->hdr_crc;
}

/* The payload as the window has it: right, wrong or unreadable. */
static enum shmqi_log_step payload_at(struct shmqi_log_scan *s,
    const struct shmqi_log_batch *b, const uint8_t **ret_payload)
{
    const uint8_t *at;
    size_t len, all = SHMQI_LOG_BATCH_HEAD + (size_t)b->payload_bytes;
    int rc = need(&s->window, s->off, b->total_bytes, &at, &len);
    if (rc)
        return fail(s, rc);
    if (len < all ||
        shmqi_log_data_crc(at + SHMQI_LOG_BATCH_HEAD, b->payload_bytes) !=
            b->data_crc)
        return SHMQI_STEP_ROT;
    *ret_payload = at + SHMQI_LOG_BATCH_HEAD;
    return SHMQI_STEP_BATCH;
}

enum shmqi_log_step shmqi_log_scan_take(struct shmqi_log_scan *s,
    const struct shmqi_log_batch *b, const uint8_t **ret_payload)
{
    enum shmqi_log_step step = payload_at(s, b, ret_payload);
    if (step == SHMQI_STEP_ROT) {
        shmqi_log_scan_refresh(s);
        step = payload_at(s, b, ret_payload);
    }
    if (step != SHMQI_STEP_FAILED)
        shmqi_log_scan_skip(s, b);
    return step;
}

enum shmqi_log_step shmqi_log_scan_probe(struct shmqi_log_scan *s,
    uint64_t from_off, uint64_t to_off, struct shmqi_log_batch *ret_b)
{
    for (uint64_t off = from_off; off < to_off; off += SHMQI_LOG_BLOCK) {
        const uint8_t *at;
        size_t len;
        int rc = need(&s->window, off, SHMQI_LOG_BLOCK, &at, &len);
        if (rc)
            return fail(s, rc);
        if (len < SHMQI_LOG_BLOCK)
            break;
        if (shmqi_log_batch_decode(at, s->salt,
                (uint32_t)(off / SHMQI_LOG_BLOCK), ret_b) == SHMQI_LOG_GOOD) {
            s->off = off;
            s->pos = ret_b->prev_end_pos;
            s->crc = ret_b->prev_crc;
            return SHMQI_STEP_BATCH;
        }
    }
    return SHMQI_STEP_END;
}
