/* log_seek.c - finding a position or a time in a log, without an index.
 *
 * Segments are found by their headers, batches by probing: a block in the
 * middle, then the next block that holds a header. Both are binary searches,
 * because positions and the running maximum of times only grow. */
#include <stdlib.h>

#include "error.h"
#include "log_reader_impl.h"

/* What is sought: the last place whose key is below it. */
struct target {
    bool by_time;
    uint64_t pos;
    int64_t time_ns;
};

/* Whether it can only be behind the beginning of this segment or batch. */
static bool segment_before(
    const struct target *t, const struct shmqi_log_segment *h)
{
    return t->by_time ? h->max_ts_ns < t->time_ns : h->base_pos <= t->pos;
}

static bool batch_before(
    const struct target *t, const struct shmqi_log_batch *b)
{
    return t->by_time ? b->max_ts_ns < t->time_ns : b->end_pos <= t->pos;
}

/* Number of the last intact segment that begins before the target, or of the
 * first one; EMPTY. */
static int find_segment(const struct shmqi_log_reader *r,
    const struct target *t, uint64_t *ret_number)
{
    uint64_t *numbers = NULL, best = 0;
    size_t cnt = 0, lo = 0;
    int rc = shmqi_log_list(r, &numbers, &cnt);
    for (size_t hi = cnt; rc == SHMQ_OK && lo < hi;) {
        size_t mid = lo + (hi - lo) / 2;
        struct shmqi_log_segment h;
        enum shmqi_log_verdict v;
        rc = shmqi_log_head(r, numbers[mid], &h, &v);
        if (rc == SHMQ_ERR_NOENT) { /* deleted this moment, so are its elders */
            rc = SHMQ_OK;
            lo = mid + 1;
            continue;
        }
        /* One that cannot be read says nothing: ask its elder. */
        size_t end = mid;
        while (rc == SHMQ_OK && v > SHMQI_LOG_COPY_BAD && mid > lo) {
            mid--;
            rc = shmqi_log_head(r, numbers[mid], &h, &v);
        }
        if (rc)
            break;
        if (v <= SHMQI_LOG_COPY_BAD && !segment_before(t, &h)) {
            hi = mid;
        } else {
            if (v <= SHMQI_LOG_COPY_BAD)
                best = numbers[mid];
            lo = end + 1;
        }
    }
    free(numbers);
    if (rc)
        return rc;
    if (best == 0)
        return SHMQ_ERR_EMPTY;
    *ret_number = best;
    return SHMQ_OK;
}

/* Brings the scan near: to a batch that begins before the target. */
static int approach(struct shmqi_log_reader *r, const struct target *t)
{
    struct shmqi_log_scan *s = &r->scan;
    uint64_t lo = s->off, hi = r->segment.capacity;
    struct shmqi_log_batch b;
    while (hi > lo && hi - lo > 64ull * SHMQI_LOG_BLOCK) {
        uint64_t mid = (lo + (hi - lo) / 2) & ~(uint64_t)(SHMQI_LOG_BLOCK - 1);
        uint64_t off = s->off, pos = s->pos;
        uint32_t crc = s->crc;
        enum shmqi_log_step step = shmqi_log_scan_probe(s, mid, hi, &b);
        if (step == SHMQI_STEP_FAILED)
            return shmqi_fail_sys(s->error, "log: cannot read");
        if (step == SHMQI_STEP_BATCH && b.end_pos <= r->end_pos &&
            batch_before(t, &b)) {
            lo = s->off;
            continue;
        }
        s->off = off; /* nothing there, or too far */
        s->pos = pos;
        s->crc = crc;
        hi = mid;
    }
    return SHMQ_OK;
}

/* Steps over batches that end before the target. OK: stands at one that does
 * not (*ret_b), EMPTY: there is none (yet) in this segment. */
static int walk(struct shmqi_log_reader *r, const struct target *t,
    struct shmqi_log_batch *ret_b)
{
    struct shmqi_log_scan *s = &r->scan;
    while (s->pos < r->end_pos) {
        switch (shmqi_log_scan_peek(s, ret_b)) {
        case SHMQI_STEP_BATCH:
            if (!batch_before(t, ret_b))
                return SHMQ_OK;
            shmqi_log_scan_skip(s, ret_b);
            break;
        case SHMQI_STEP_FAILED:
            return shmqi_fail_sys(s->error, "log: cannot read");
        default: /* damage, or the end: next() will say which */
            return SHMQ_ERR_EMPTY;
        }
    }
    return SHMQ_ERR_EMPTY;
}

int shmqi_log_reader_seek(struct shmqi_log_reader *r, uint64_t pos)
{
    struct target t = {false, pos, 0};
    struct shmqi_log_batch b;
    uint64_t number = 0;
    shmqi_log_leave(r);
    r->pos = pos;
    int rc = find_segment(r, &t, &number);
    if (rc == SHMQ_ERR_EMPTY)
        return SHMQ_OK; /* before the first, or nothing there yet */
    if (rc == SHMQ_OK)
        rc = shmqi_log_enter(r, number);
    if (rc == SHMQ_OK)
        rc = approach(r, &t);
    if (rc == SHMQ_OK)
        rc = walk(r, &t, &b);
    if (rc == SHMQ_ERR_NOENT) /* deleted this moment */
        shmqi_log_leave(r);
    return rc == SHMQ_ERR_EMPTY || rc == SHMQ_ERR_NOENT ? SHMQ_OK : rc;
}

/* From where the reader stands, the first frame of at least that time. */
static int find_time(struct shmqi_log_reader *r, int64_t time_ns,
    uint64_t limit_pos, uint64_t *ret_pos)
{
    struct shmqi_log_item item;
    for (;;) {
        int rc = shmqi_log_reader_next(r, limit_pos, &item);
        if (rc == SHMQ_ERR_EMPTY) {
            *ret_pos = r->pos;
            return SHMQ_OK;
        }
        if (rc)
            return rc;
        if (item.what == SHMQI_LOG_ITEM_FRAME &&
            (int64_t)item.frame.head.time_ns >= time_ns) {
            *ret_pos = item.frame.pos;
            return SHMQ_OK;
        }
    }
}

int shmqi_log_reader_seek_time(struct shmqi_log_reader *r, int64_t time_ns,
    uint64_t limit_pos, uint64_t *ret_pos)
{
    struct target t = {true, 0, time_ns};
    struct shmqi_log_batch b;
    uint64_t number = 0, low = 0, found;
    int rc = shmqi_log_reader_low(r, &low);
    if (rc == SHMQ_ERR_EMPTY) {
        *ret_pos = r->pos;
        return SHMQ_OK;
    }
    if (rc == SHMQ_OK)
        rc = shmqi_log_reader_seek(r, low);
    if (rc)
        return rc;
    rc = find_segment(r, &t, &number);
    if (rc == SHMQ_OK) {
        rc = shmqi_log_enter(r, number);
        if (rc == SHMQ_OK) {
            r->pos = r->segment.base_pos;
            rc = approach(r, &t);
        }
        if (rc == SHMQ_OK && walk(r, &t, &b) == SHMQ_OK && b.base_pos > r->pos)
            r->pos = b.base_pos;
        if (rc == SHMQ_OK && r->scan.pos > r->pos)
            r->pos = r->scan.pos;
    }
    if (rc && rc != SHMQ_ERR_EMPTY)
        return rc;
    rc = find_time(r, time_ns, limit_pos, &found);
    if (rc)
        return rc;
    rc = shmqi_log_reader_seek(r, found);
    if (rc == SHMQ_OK)
        *ret_pos = found;
    return rc;
}
