/* consumer_past.c - exclusive and ephemeral readers of durable topics: from the
 * log, then from the ring, with the same positions.
 *
 * Groups of durable topics hold no memory: every copy is validated (mpmc.h,
 * spsc.h), and what was given up meanwhile is read from the log (past.h). A
 * reader that is behind goes on in the log until that has no more for it. So
 * producers never wait for a reader, and a reader misses nothing without being
 * told. */
#include <stdlib.h>
#include <string.h>

#include "consumer_impl.h"
#include "copy.h"
#include "ends.h"
#include "error.h"
#include "process.h"
#include "watermarks.h"

/* Frames that were looked for in one call without finding a record. */
#define TAKE_TRIES 64

/* -- open, close, seek --------------------------------------------------------
 */

int shmqi_past_open(struct shmq_consumer *c, bool named)
{
    const struct shmqi_segment *s = c->segment;
    if (!s->ring.marks && (c->flags & SHMQ_CONSUMER_READ_DURABLE))
        return shmqi_fail(SHMQ_ERR_INVAL,
            "%s: it is not a durable topic; read what is published", s->topic);
    uint64_t never;
    if (!s->ring.marks)
        return SHMQ_OK;
    /* A constant could be written into the file: then this consumer would read
     * like one of a topic in memory. */
    int rc = shmqi_random_identity(&never);
    if (rc)
        return rc;
    c->past = calloc(1, sizeof *c->past);
    if (!c->past)
        return shmqi_fail(SHMQ_ERR_NOMEM, "no memory");
    bool durable = (c->flags & SHMQ_CONSUMER_READ_DURABLE) ||
        (named && s->constants.durability == SHMQ_DURABILITY_DISK &&
            !(c->flags & SHMQ_CONSUMER_READ_PUBLISHED));
    c->past->level =
        durable ? shmqi_level_of(s, SHMQ_LEVEL_DEFAULT) : SHMQ_LEVEL_PUBLISHED;
    c->past->version = c->version;
    c->past->in_log = true;
#ifdef SHMQ_BUG_VERSION_GUESSED
    never = UINT64_MAX;
#endif
    c->version = c->past->never = never | SHMQI_DELETED;
    return SHMQ_OK;
}

void shmqi_past_free(struct shmq_consumer *c)
{
    if (c->past)
        shmqi_past_close(c->past);
    free(c->past);
    c->past = NULL;
}

int shmqi_past_seek(struct shmq_consumer *c, const struct shmq_start *start)
{
    uint64_t pos = 0;
    int rc = shmqi_past_place(c->segment, start, &pos);
    if (rc == SHMQ_OK)
        shmqi_past_go(c, start, pos);
    return rc;
}

void shmqi_past_go(
    struct shmq_consumer *c, const struct shmq_start *start, uint64_t pos)
{
    uint64_t skip = 0;
    if (!shmqi_is_mpmc(c) && start->kind == SHMQ_START_POSITION)
        skip = start->value;
    shmqi_reader_set_next(c, pos, skip);
    c->past->in_log = true;
    c->redeliver_until = 0;
    c->seen_pos = pos;
    if (c->mode == SHMQI_MODE_EXCLUSIVE)
        shm_st(V4, &c->ring->groups[c->member.entry].seen,
            shmqi_cursor_of(c->ring,
                shmqi_cursor_tag(c->floor_word) & ~SHMQI_TAG_PIN, pos));
}

/* -- the log ------------------------------------------------------------------
 */

static uint64_t next_pos(const struct shmq_consumer *c)
{
    return shmqi_is_mpmc(c) ? shmqi_pos(c->next, c->next_idx) : c->next;
}

int shmqi_past_fill(struct shmq_consumer *c, struct shmqi_held *h,
    const struct shmqi_log_frame *f)
{
    int rc = shmqi_held_copy_room(c, h, f->head.len_bytes);
    if (rc)
        return rc;
    shmqi_copy(h->copy, f->bytes, f->head.len_bytes);
    h->bytes = h->copy;
    h->seq = shmqi_pos_seq(f->pos);
    h->producer = f->head.producer;
    h->sequence = f->head.sequence;
    h->time_ns = f->head.time_ns;
    h->cnt = f->head.record_cnt;
    h->len = f->head.len_bytes;
    h->next_off = (uint32_t)sizeof(struct shmqi_frame_shm);
    return shmqi_held_track(h);
}

uint8_t *shmqi_past_copy(
    struct shmq_consumer *c, uint64_t seq, struct shmqi_frame *ret)
{
    struct shmqi_past_item item;
    if (shmqi_past_item(c->segment, c->past, shmqi_pos(seq, 0), &item) !=
            SHMQ_OK ||
        item.is_gap || shmqi_pos_seq(item.frame->pos) != seq)
        return NULL;
    uint8_t *copy = malloc(item.frame->head.len_bytes);
    if (!copy)
        return NULL;
    shmqi_copy(copy, item.frame->bytes, item.frame->head.len_bytes);
    ret->head = item.frame->head;
    return copy;
}

/* A gap that the log tells of. What this group had been handed before the host
 * lost it is called truncated. */
static int tell_gap(struct shmq_consumer *c, const struct shmq_gap *g)
{
    uint32_t reason = g->reason;
    if (reason == SHMQ_GAP_LOST && c->redeliver_until > g->from)
        reason = SHMQ_GAP_TRUNCATED;
    return shmqi_reader_gap(c, g->to, g->frames, reason);
}

static int log_mpmc(struct shmq_consumer *c, const struct shmqi_log_frame *f,
    uint32_t *ret_slot)
{
    uint32_t idx = shmqi_pos_seq(f->pos) == c->next ? c->next_idx : 0;
    c->next = shmqi_pos_seq(f->pos);
    c->next_idx = idx;
    if (idx >= f->head.record_cnt) { /* a position behind its last record */
        c->next++;
        c->next_idx = 0;
        return SHMQI_LAPPED;
    }
    struct shmqi_held *h = shmqi_reader_new_held(c, ret_slot);
    if (!h)
        return SHMQ_ERR_LIMIT;
    int rc = shmqi_past_fill(c, h, f);
    if (rc) {
        shmqi_held_free(c, h);
        c->last--;
        return rc;
    }
    shmqi_reader_skip(h, idx);
    c->next++;
    c->next_idx = 0;
    return SHMQ_OK;
}

/* Record p->idx of the frame, as if it stood in the ring. */
static int fill_record(struct shmq_consumer *c, struct shmqi_held *h,
    const struct shmqi_log_frame *f, const struct shmqi_view *v)
{
    struct shmqi_past *p = c->past;
    const uint32_t prefix = sizeof(struct shmqi_spsc_shm);
    uint32_t len = v->next - p->off;
    int rc = shmqi_held_copy_room(c, h, prefix + len);
    if (rc)
        return rc;
    memset(h->copy, 0, prefix);
    shmqi_copy(h->copy + prefix, f->bytes + p->off, len);
    h->bytes = h->copy;
    h->seq = p->at;
    h->len = prefix + len;
    h->cnt = 1;
    h->producer = f->head.producer;
    h->sequence = f->head.sequence + p->idx;
    h->time_ns = f->head.time_ns;
    h->next_off = prefix;
    return SHMQ_OK;
}

static int log_spsc(struct shmq_consumer *c, const struct shmqi_log_frame *f,
    uint32_t *ret_slot)
{
    struct shmqi_past *p = c->past;
    const uint32_t prefix = sizeof(struct shmqi_spsc_shm);
    struct shmqi_view v = {0};
    uint64_t want = c->next > c->skip_before ? c->next : c->skip_before;
    if (p->at > c->next) { /* back in this frame */
        p->idx = 0;
        p->off = (uint32_t)sizeof(struct shmqi_frame_shm);
        p->at = f->pos;
    }
    for (; p->idx < f->head.record_cnt; p->idx++) {
        if (!shmqi_record_view(f->bytes, f->head.len_bytes, p->off, &v))
            return shmqi_reader_gap(c, f->end_pos, 0, SHMQ_GAP_CORRUPT);
        if (p->at >= want)
            break;
        p->at += prefix + (v.next - p->off);
        p->off = v.next;
    }
    if (p->idx == f->head.record_cnt) {
        c->next = f->end_pos;
        return SHMQI_LAPPED;
    }
    struct shmqi_held *h = shmqi_reader_new_held(c, ret_slot);
    if (!h)
        return SHMQ_ERR_LIMIT;
    int rc = fill_record(c, h, f, &v);
    if (rc) {
        shmqi_held_free(c, h);
        c->last--;
        return rc;
    }
    p->at += h->len;
    p->off = v.next;
    p->idx++;
    c->next = p->at;
    return SHMQ_OK;
}

/* EMPTY: the log has no more. LAPPED: passed over what is not asked for. */
static int take_log(struct shmq_consumer *c, uint32_t *ret_slot)
{
    struct shmqi_past_item item;
    int rc = shmqi_past_item(c->segment, c->past, next_pos(c), &item);
    if (rc)
        return rc;
    if (item.is_gap)
        return tell_gap(c, &item.gap);
    return shmqi_is_mpmc(c) ? log_mpmc(c, item.frame, ret_slot)
                            : log_spsc(c, item.frame, ret_slot);
}

/* -- next ---------------------------------------------------------------------
 */

static int take(struct shmq_consumer *c, uint32_t *ret_slot)
{
    struct shmqi_past *p = c->past;
    for (int i = 0; i < TAKE_TRIES; i++) {
        uint64_t pos = next_pos(c);
        if (pos >= shmqi_past_limit(c->segment, p))
            return SHMQ_ERR_EMPTY;
        bool before = shmqi_before_ring(c->ring, pos);
        int rc = SHMQI_LAPPED;
        if (!p->in_log && !before)
            rc = shmqi_reader_take(c, ret_slot);
        if (rc != SHMQI_LAPPED)
            return rc;
        p->in_log = true;
        rc = take_log(c, ret_slot);
        if (rc == SHMQ_ERR_EMPTY) {
            /* Caught up; or the log is not told to reach there yet. */
            if (before)
                return rc;
            p->in_log = false;
            rc = shmqi_reader_take(c, ret_slot);
            if (rc == SHMQI_LAPPED)
                p->in_log = true;
        }
        if (rc != SHMQI_LAPPED)
            return rc;
    }
    return SHMQ_ERR_EMPTY;
}

static int reader_next(struct shmq_consumer *c, struct shmq_message *ret)
{
    uint32_t slot = 0;
    if (c->current != UINT32_MAX)
        return shmqi_reader_hand(c, c->current, ret);
    int rc = take(c, &slot);
    if (rc)
        return rc;
    c->current = slot;
    return shmqi_reader_hand(c, slot, ret);
}

static int next(struct shmq_consumer *c, struct shmq_message *ret)
{
    int rc;
    do
        rc = c->mode == SHMQI_MODE_SHARED ? shmqi_member_next_past(c, ret)
                                          : reader_next(c, ret);
    while (c->ring->ttl_ns != 0 && rc == SHMQ_OK && shmqi_expire(c, ret));
    return rc;
}

int shmqi_past_look(
    struct shmq_consumer *c, uint64_t version, struct shmq_message *ret)
{
    struct shmqi_past *p = c->past;
    if (version != p->version) {
        int rc = shmqi_consumer_check_version(c, version);
        if (rc)
            return rc;
        c->version = p->never;
        p->version = version;
    }
    if (c->gap_pending) {
        c->gap_pending = false;
        return SHMQ_ERR_GAP;
    }
    if (c->dead.cnt)
        shmqi_dead_look(c);
    int rc = next(c, ret);
    /* Not the application's: it has to wait for them, too. */
    if (rc == SHMQ_ERR_LIMIT && c->dead.cnt > c->dead.claim_cnt)
        rc = SHMQ_ERR_EMPTY;
    if (rc == SHMQ_OK) {
        c->last_blocked_ns = 0;
        return rc;
    }
    return shmqi_consumer_outcome(c, rc);
}
