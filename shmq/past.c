/* past.c - finding positions in a durable topic's segment files. */
#include "past.h"

#include <stdlib.h>
#include <string.h>

#include "ends.h"
#include "error.h"
#include "frame.h"
#include "seek.h"
#include "watermarks.h"

#define PLACE_TRIES 64
/* As near as that is reached by reading on. */
#define NEAR (64ull << SHMQI_IDX_BITS)
#define PASS_MAX 64
#define COUNT_MAX 65536

static uint32_t reason_of(enum shmqi_log_gap reason)
{
    switch (reason) {
    case SHMQI_LOG_GAP_RETENTION:
        return SHMQ_GAP_RETENTION;
    case SHMQI_LOG_GAP_LOST:
        return SHMQ_GAP_LOST;
    case SHMQI_LOG_GAP_TRUNCATED:
        return SHMQ_GAP_TRUNCATED;
    default:
        return SHMQ_GAP_CORRUPT;
    }
}

/* A name, not what somebody has written over one: it gets into error texts. */
static bool is_directory_name(const char *dir)
{
    for (const char *p = dir; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            return false;
    return dir[0] == '/';
}

static int open_log(
    const struct shmqi_segment *s, struct shmqi_log_reader **ret)
{
    char dir[SHMQI_DIR_ROOM];
    shmqi_marks_dir(s->ring.marks, dir);
    if (!is_directory_name(dir))
        return shmqi_fail(SHMQ_ERR_NODAEMON,
            "%s: where its history lies is not known until shmqd has started "
            "again; start it",
            s->topic);
    uint8_t uuid[16];
    memcpy(uuid, s->topic_uuid, sizeof uuid);
    return shmqi_log_reader_open(dir, uuid, ret);
}

/* What the log may be believed about: all below was acknowledged. */
static uint64_t log_limit(const struct shmqi_segment *s)
{
    return shm_ld(M3, &s->ring.marks->drained);
}

uint64_t shmqi_past_limit(
    const struct shmqi_segment *s, const struct shmqi_past *p)
{
    return p->level == SHMQ_LEVEL_PUBLISHED
        ? UINT64_MAX
        : shmqi_marks_level(s->ring.marks, p->level);
}

void shmqi_past_close(struct shmqi_past *p)
{
    if (p->log)
        shmqi_log_reader_close(p->log);
    p->log = NULL;
    p->has_frame = false;
}

static int next_item(const struct shmqi_segment *s, struct shmqi_past *p,
    uint64_t pos, struct shmqi_log_item *ret)
{
    int rc = SHMQ_OK;
    uint64_t limit = log_limit(s);
    if (pos >= limit)
        return SHMQ_ERR_EMPTY;
    if (!p->log)
        rc = open_log(s, &p->log);
    if (rc)
        return rc;
    p->has_frame = false; /* its bytes go with the next call */
    uint64_t at = shmqi_log_reader_pos(p->log);
    if (at > pos || pos - at > NEAR)
        rc = shmqi_log_reader_seek(p->log, pos);
    /* Members of a group take turns: what the others have is passed over. */
    for (int i = 0; rc == SHMQ_OK; i++) {
        rc = shmqi_log_reader_next(p->log, limit, ret);
        uint64_t end =
            ret->what == SHMQI_LOG_ITEM_GAP ? ret->to : ret->frame.end_pos;
        if (rc != SHMQ_OK || end > pos)
            break;
        if (i == PASS_MAX)
            rc = shmqi_log_reader_seek(p->log, pos);
    }
    return rc;
}

int shmqi_past_item(const struct shmqi_segment *s, struct shmqi_past *p,
    uint64_t pos, struct shmqi_past_item *ret)
{
    struct shmqi_log_item item;
    if (p->has_frame && pos >= p->frame.pos && pos < p->frame.end_pos) {
        ret->is_gap = false;
        ret->frame = &p->frame;
        return SHMQ_OK;
    }
    int rc = next_item(s, p, pos, &item);
    if (rc)
        return rc;
    ret->is_gap = item.what == SHMQI_LOG_ITEM_GAP;
    if (ret->is_gap) {
        uint64_t to = item.to > pos ? item.to : pos;
        bool mpmc = s->ring.ring == SHMQ_RING_MPMC;
        struct shmq_gap g = {pos, to,
            mpmc ? shmqi_pos_seq(to) - shmqi_pos_seq(pos) : 0, UINT64_MAX,
            reason_of(item.reason), 0};
        ret->gap = g;
        return to > pos ? SHMQ_OK : SHMQ_ERR_EMPTY;
    }
    p->frame = item.frame;
    p->has_frame = true;
    p->idx = 0;
    p->off = (uint32_t)sizeof(struct shmqi_frame_shm);
    p->at = item.frame.pos;
    ret->frame = &p->frame;
    return SHMQ_OK;
}

/* -- places ------------------------------------------------------------------
 */

/* The first frame not before `time_ns`: in the log, else in the ring. */
static int place_time(const struct shmqi_segment *s,
    const struct shmq_start *start, uint64_t *ret_pos)
{
    struct shmqi_log_reader *log = NULL;
    uint64_t limit = log_limit(s), pos = limit, skip;
    int rc = open_log(s, &log);
    if (rc)
        return rc;
    rc = shmqi_log_reader_seek_time(log, (int64_t)start->value, limit, &pos);
    shmqi_log_reader_close(log);
    if (rc && rc != SHMQ_ERR_EMPTY)
        return rc;
    /* Nothing below the limit: what is above it is still in the ring. */
    if (rc == SHMQ_ERR_EMPTY || pos >= limit)
        pos = shmqi_seek(&s->ring, start, limit, &skip);
    *ret_pos = pos;
    return SHMQ_OK;
}

/* A position in the log stays as it is: what stands there, a gap included, is
 * found when it is read. One in an spsc ring becomes a record's, found by a
 * walk from a record that nobody overwrites meanwhile. */
static uint64_t place_position(
    const struct shmqi_segment *s, const struct shmq_start *start, uint64_t end)
{
    const struct shmqi_ring *r = &s->ring;
    uint64_t skip, low = log_limit(s);
    if (start->value < low)
        return r->ring == SHMQ_RING_SPSC ? (start->value + 7) & ~7ull
                                         : start->value;
    for (int i = 0; i < PLACE_TRIES; i++) {
        uint64_t pos = shmqi_seek(r, start, low, &skip);
        if (r->ring == SHMQ_RING_MPMC || !shmqi_spsc_given_up(r, low))
            return pos;
        low = log_limit(s);
        if (start->value < low)
            return (start->value + 7) & ~7ull;
    }
    return end;
}

int shmqi_past_place(const struct shmqi_segment *s,
    const struct shmq_start *start, uint64_t *ret_pos)
{
    const struct shmqi_ring *r = &s->ring;
    uint64_t earliest = shm_ld(M3, &r->marks->earliest);
    uint64_t end = shmqi_ring_end(r);
    switch (start->kind) {
    case SHMQ_START_LATEST:
        *ret_pos = end;
        return SHMQ_OK;
    case SHMQ_START_POSITION:
        *ret_pos = place_position(s, start, end);
        return SHMQ_OK;
    case SHMQ_START_TIME:
        return place_time(s, start, ret_pos);
    default:
        *ret_pos = earliest < end ? earliest : end;
        return SHMQ_OK;
    }
}

/* -- counting ----------------------------------------------------------------
 */

static void count_frame(
    const struct shmqi_log_frame *f, struct shmqi_past_count *c)
{
    uint32_t off = (uint32_t)sizeof f->head;
    struct shmqi_view v;
    if (c->messages == 0)
        c->first_time_ns = (int64_t)f->head.time_ns;
    c->messages += f->head.record_cnt;
    for (uint32_t i = 0; i < f->head.record_cnt &&
         shmqi_record_view(f->bytes, f->head.len_bytes, off, &v);
         i++, off = v.next)
        c->bytes += v.size;
}

void shmqi_past_count(const struct shmqi_segment *s, uint64_t from, uint64_t to,
    struct shmqi_past_count *ret)
{
    struct shmqi_past p;
    memset(&p, 0, sizeof p);
    uint64_t pos = from;
    for (uint32_t i = 0; pos < to && i < COUNT_MAX; i++) {
        struct shmqi_past_item item;
        if (shmqi_past_item(s, &p, pos, &item) != SHMQ_OK)
            break;
        if (!item.is_gap)
            count_frame(item.frame, ret);
        pos = item.is_gap ? item.gap.to : item.frame->end_pos;
    }
    shmqi_past_close(&p);
    if (pos < to && s->ring.ring == SHMQ_RING_MPMC)
        ret->messages += shmqi_pos_seq(to) - shmqi_pos_seq(pos);
}
