/* log_reader.c - frames and gaps of a log, one after the other
 * (log_reader.h). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "log_reader_impl.h"

/* Segments gone through in one call without finding anything. */
#define SEGMENTS_MAX 1000000u

const char *shmqi_log_gap_name(enum shmqi_log_gap reason)
{
    switch (reason) {
    case SHMQI_LOG_GAP_RETENTION:
        return "retention";
    case SHMQI_LOG_GAP_CORRUPT:
        return "corrupt";
    case SHMQI_LOG_GAP_LOST:
        return "lost";
    case SHMQI_LOG_GAP_TRUNCATED:
        return "truncated";
    }
    return "unknown";
}

int shmqi_log_reader_low(struct shmqi_log_reader *r, uint64_t *ret_pos)
{
    struct shmqi_log_segment h;
    bool lowest;
    int rc = shmqi_log_next_segment(r, 0, &h, &lowest);
    if (rc)
        return rc;
    *ret_pos = h.base_pos;
    return SHMQ_OK;
}

int shmqi_log_reader_open_files(const struct shmqi_log_files *files, void *ctx,
    int dir, const uint8_t *topic_uuid, struct shmqi_log_reader **ret_reader)
{
    struct shmqi_log_reader *r = calloc(1, sizeof *r);
    if (!r)
        return shmqi_fail(SHMQ_ERR_NOMEM, "log: no memory");
    r->fd = -1;
    r->files = files;
    r->files_ctx = ctx;
    r->dir = dir;
    r->any_topic = topic_uuid == NULL;
    if (topic_uuid)
        memcpy(r->topic_uuid, topic_uuid, 16);
    int rc = shmqi_log_reader_low(r, &r->pos);
    if (rc && rc != SHMQ_ERR_EMPTY) {
        free(r);
        return rc;
    }
    *ret_reader = r;
    return SHMQ_OK;
}

int shmqi_log_reader_open(const char *dir, const uint8_t *topic_uuid,
    struct shmqi_log_reader **ret_reader)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return shmqi_fail_sys(errno, "log %s: cannot open", dir);
    int rc = shmqi_log_reader_open_files(
        &shmqi_log_posix, NULL, fd, topic_uuid, ret_reader);
    if (rc)
        close(fd);
    return rc;
}

void shmqi_log_reader_close(struct shmqi_log_reader *r)
{
    if (!r)
        return;
    shmqi_log_leave(r);
    r->files->close(r->files_ctx, r->dir);
    free(r);
}

uint64_t shmqi_log_reader_pos(const struct shmqi_log_reader *r)
{
    return r->pos;
}

/* A gap up to `to`; OK when there is one, EMPTY when it was delivered. */
static int gap(struct shmqi_log_reader *r, uint64_t to,
    enum shmqi_log_gap reason, struct shmqi_log_item *ret)
{
    if (to <= r->pos)
        return SHMQ_ERR_EMPTY;
    ret->what = SHMQI_LOG_ITEM_GAP;
    ret->from = r->pos;
    ret->to = to;
    ret->reason = reason;
    r->pos = to;
    return SHMQ_OK;
}

/* Ends with an item (OK), with EMPTY (the limit), or with STALE: the batch is
 * used up. */
static int next_in_batch(
    struct shmqi_log_reader *r, uint64_t limit, struct shmqi_log_item *ret)
{
    for (;;) {
        uint32_t off = r->off;
        struct shmqi_log_frame f;
        int rc = shmqi_log_frame_next(
            r->payload, r->batch.payload_bytes, &off, r->frame_end, &f);
        if (rc) {
            /* Behind the last frame, or nonsense with a right checksum. */
            r->in_batch = false;
            rc = gap(r, r->batch.end_pos, SHMQI_LOG_GAP_CORRUPT, ret);
            return rc ? SHMQ_ERR_STALE : rc;
        }
        if (f.end_pos > r->pos && f.pos >= limit)
            return SHMQ_ERR_EMPTY;
        if (f.pos > f.hole_pos &&
            gap(r, f.pos, SHMQI_LOG_GAP_CORRUPT, ret) == SHMQ_OK)
            return SHMQ_OK; /* the frame comes with the next call */
        r->off = off;
        r->frame_end = f.end_pos;
        if (f.end_pos <= r->pos)
            continue;
        ret->what = SHMQI_LOG_ITEM_FRAME;
        ret->frame = f;
        r->pos = f.end_pos;
        return SHMQ_OK;
    }
}

/* Begins with the batch that was found. OK: an item (a gap), STALE: go on. */
static int begin_batch(struct shmqi_log_reader *r,
    const struct shmqi_log_batch *b, enum shmqi_log_gap reason,
    struct shmqi_log_item *ret)
{
    /* The scan stands at the batch still: it is found again by the next
     * call. */
    if (gap(r, b->base_pos, reason, ret) == SHMQ_OK)
        return SHMQ_OK;
    if (b->end_pos <= r->pos || b->frame_cnt == 0) {
        shmqi_log_scan_skip(&r->scan, b);
        return SHMQ_ERR_STALE;
    }
    switch (shmqi_log_scan_take(&r->scan, b, &r->payload)) {
    case SHMQI_STEP_BATCH:
        r->in_batch = true;
        r->batch = *b;
        r->off = 0;
        r->frame_end = b->base_pos;
        return SHMQ_ERR_STALE;
    case SHMQI_STEP_ROT:
        return gap(r, b->end_pos, SHMQI_LOG_GAP_CORRUPT, ret) ? SHMQ_ERR_STALE
                                                              : SHMQ_OK;
    default:
        return shmqi_fail_sys(r->scan.error, "log segment %llu: cannot read",
            (unsigned long long)r->segment.segment_no);
    }
}

/* Reads the rest of the segment past the page cache, once: what the cache
 * holds may be older than the disk. */
static void look_at_the_disk(struct shmqi_log_reader *r)
{
    r->files->direct(r->files_ctx, r->fd, true);
    shmqi_log_scan_refresh(&r->scan);
}

static void look_at_the_cache(struct shmqi_log_reader *r)
{
    r->files->direct(r->files_ctx, r->fd, false);
}

/* There must be something below `end` here, and it cannot be read: a gap up to
 * the next batch of this segment, or to `end`. */
static int pass_damage(
    struct shmqi_log_reader *r, uint64_t end, struct shmqi_log_item *ret)
{
    struct shmqi_log_batch b;
    struct shmqi_log_scan *s = &r->scan;
    uint64_t off = s->off;
    uint32_t crc = s->crc;
    look_at_the_disk(r);
    enum shmqi_log_step step = shmqi_log_scan_peek(s, &b);
    if (step != SHMQI_STEP_BATCH)
        step = shmqi_log_scan_probe(s, off, UINT64_MAX, &b);
    look_at_the_cache(r);
    if (step == SHMQI_STEP_FAILED)
        return shmqi_fail_sys(s->error, "log segment %llu: cannot read",
            (unsigned long long)r->segment.segment_no);
    if (step == SHMQI_STEP_BATCH && b.base_pos < end && b.end_pos > r->pos)
        return begin_batch(r, &b, SHMQI_LOG_GAP_CORRUPT, ret);
    s->off = off;
    s->crc = crc;
    s->pos = end;
    return gap(r, end, SHMQI_LOG_GAP_CORRUPT, ret) ? SHMQ_ERR_STALE : SHMQ_OK;
}

/* Goes to the first intact segment behind number `after`. OK: an item (a gap),
 * STALE: entered, EMPTY: there is none. */
static int go_on(
    struct shmqi_log_reader *r, uint64_t after, struct shmqi_log_item *ret)
{
    struct shmqi_log_segment next;
    bool lowest;
    int rc = shmqi_log_next_segment(r, after, &next, &lowest);
    if (rc)
        return rc;
    rc = shmqi_log_enter(r, next.segment_no);
    if (rc == SHMQ_ERR_NOENT || rc == SHMQ_ERR_CORRUPT)
        return SHMQ_ERR_STALE; /* went this moment; look again */
    if (rc)
        return rc;
    if (next.segment_no > after + 1 || after == 0) {
        enum shmqi_log_gap why = !lowest ? SHMQI_LOG_GAP_CORRUPT
            : next.segment_no > 1        ? SHMQI_LOG_GAP_RETENTION
                                         : SHMQI_LOG_GAP_LOST;
        if (gap(r, next.prev_end_pos, why, ret) == SHMQ_OK)
            return SHMQ_OK;
        if (lowest && gap(r, next.base_pos, why, ret) == SHMQ_OK)
            return SHMQ_OK;
    }
    return gap(r, next.base_pos, SHMQI_LOG_GAP_LOST, ret) ? SHMQ_ERR_STALE
                                                          : SHMQ_OK;
}

/* No batch is next here. OK, EMPTY, STALE (go on) or an error. */
static int at_end(struct shmqi_log_reader *r, uint64_t limit,
    enum shmqi_log_step step, struct shmqi_log_item *ret)
{
    if (step == SHMQI_STEP_FOREIGN)
        return shmqi_fail(SHMQ_ERR_LAYOUT,
            "log segment %llu: holds batches of a later format; use a newer "
            "shmq",
            (unsigned long long)r->segment.segment_no);
    if (step == SHMQI_STEP_FAILED)
        return shmqi_fail_sys(r->scan.error, "log segment %llu: cannot read",
            (unsigned long long)r->segment.segment_no);
    int rc = shmqi_log_learn_end(r);
    if (rc)
        return rc;
    if (r->end_pos != UINT64_MAX) {
        if (r->scan.pos < r->end_pos)
            return pass_damage(r, r->end_pos, ret);
        return go_on(r, r->segment.segment_no, ret);
    }
    if (limit == UINT64_MAX || r->scan.pos >= limit || r->pos >= limit)
        return SHMQ_ERR_EMPTY;
    return pass_damage(r, limit, ret);
}

static int step_on(
    struct shmqi_log_reader *r, uint64_t limit, struct shmqi_log_item *ret)
{
    struct shmqi_log_batch b;
    if (r->in_batch)
        return next_in_batch(r, limit, ret);
    if (r->fd < 0)
        return go_on(r, 0, ret);
    enum shmqi_log_step step = r->scan.pos < r->end_pos
        ? shmqi_log_scan_peek(&r->scan, &b)
        : SHMQI_STEP_END;
    if (step != SHMQI_STEP_BATCH)
        return at_end(r, limit, step, ret);
    /* One that begins at the limit says what was lost before it. */
    if (b.end_pos > r->pos && b.base_pos > limit)
        return SHMQ_ERR_EMPTY;
    return begin_batch(r, &b, SHMQI_LOG_GAP_LOST, ret);
}

int shmqi_log_reader_next(struct shmqi_log_reader *r, uint64_t limit_pos,
    struct shmqi_log_item *ret_item)
{
    struct shmqi_log_item item;
    memset(&item, 0, sizeof item);
    for (uint32_t i = 0; i < SEGMENTS_MAX; i++) {
        if (r->pos >= limit_pos)
            return SHMQ_ERR_EMPTY;
        int rc = step_on(r, limit_pos, &item);
        if (rc == SHMQ_ERR_STALE)
            continue;
        if (rc == SHMQ_OK)
            *ret_item = item;
        return rc;
    }
    return SHMQ_ERR_EMPTY;
}
