/* drain_take.c - taking frames out of a ring into private memory.
 *
 * What is at or above `drained` no producer overwrites, so the copies are whole
 * unless somebody scribbles; they are validated all the same. Each length is
 * loaded once and checked before use; the bytes of a header in the copy are
 * those that were checked. */
#include "adopt.h"
#include "copy.h"
#include "drain_impl.h"
#include "error.h"
#include "frame.h"
#include "mpmc.h"

/* The buffer that is being filled. */
struct filling {
    uint8_t *buf;
    uint64_t cap;
    struct shmqi_portion p;
};

static bool is_mpmc(const struct shmqi_drain *d)
{
    return d->ring->ring == SHMQ_RING_MPMC;
}

void shmqi_drain_seek(struct shmqi_drain *d, uint64_t position)
{
    uint64_t start = d->constants.start;
    if (position < start)
        position = start;
    d->end = position;
    d->next = is_mpmc(d)
        ? shmqi_pos_seq(position) + (shmqi_pos_idx(position) != 0)
        : position;
    d->role_cnt = 0;
    d->pad = 0;
}

uint64_t shmqi_drain_reached(const struct shmqi_drain *d)
{
    return is_mpmc(d) ? shmqi_pos(d->next, 0) : d->next;
}

/* No publish makes a longer one. */
static uint64_t frame_len_max(const struct shmqi_ring *r)
{
    return r->arena_bytes / 2 + SHMQI_FRAME_UNIT;
}

uint64_t shmqi_drain_frame_max(const struct shmqi_drain *d)
{
    return sizeof(uint64_t) + sizeof(struct shmqi_frame_shm) +
        frame_len_max(d->ring);
}

static void count_time(struct shmqi_portion *p, uint64_t time_ns)
{
    int64_t ts = (int64_t)time_ns;
    if (p->frame_cnt == 0)
        p->first_ts_ns = p->max_ts_ns = ts;
    else if (ts > p->max_ts_ns)
        p->max_ts_ns = ts;
}

/* Passes over [d->end, to). */
static int gap(struct shmqi_drain *d, uint64_t to, uint64_t frames,
    uint32_t reason, struct shmq_gap *ret)
{
    struct shmq_gap g = {d->end, to, frames, UINT64_MAX, reason, 0};
    d->end = to;
    d->pad = 0;
    d->next = is_mpmc(d) ? shmqi_pos_seq(to) : to;
    *ret = g;
    return SHMQ_ERR_GAP;
}

/* -- mpmc --------------------------------------------------------------------
 */

static int lapped(struct shmqi_drain *d, struct shmq_gap *ret)
{
    const struct shmqi_ring *r = d->ring;
    uint64_t end = shmqi_mpmc_end(r), n = 1ull << r->cap_lg2;
    uint64_t to = shmqi_pos_seq(shmqi_ring_low(r));
    if (end > n && to < end - n)
        to = end - n;
    uint32_t reason = to > d->next ? SHMQ_GAP_LOST : SHMQ_GAP_CORRUPT;
    if (to <= d->next)
        to = d->next + 1; /* a slot that somebody scribbled on */
    return gap(d, shmqi_pos(to, 0), to - d->next, reason, ret);
}

static bool records_good(const uint8_t *frame, uint32_t len, uint32_t cnt)
{
    struct shmqi_view v;
    uint32_t off = (uint32_t)sizeof(struct shmqi_frame_shm);
    for (uint32_t i = 0; i < cnt; i++) {
        if (!shmqi_record_view(frame, len, off, &v))
            return false;
        off = v.next;
    }
    return off == len;
}

/* Copies the frame of sequence d->next, slot word `w`. FULL: it does not fit
 * what is left; GAP: lapped; CORRUPT. */
static int copy_frame(struct shmqi_drain *d, struct filling *f, uint64_t w)
{
    const struct shmqi_ring *r = d->ring;
    struct shmqi_frame frame;
    if (!shmqi_frame_open(r, w, &frame) ||
        frame.head.len_bytes > frame_len_max(r))
        return SHMQ_ERR_CORRUPT;
    uint64_t len = frame.head.len_bytes, pos = shmqi_pos(d->next, 0);
    if (f->cap - f->p.bytes < sizeof pos + len)
        return SHMQ_ERR_FULL;
    uint8_t *copy = f->buf + f->p.bytes + sizeof pos;
    frame.head.flags = frame.head.reserved = 0;
    shmqi_put(copy - sizeof pos, &pos, sizeof pos);
    shmqi_put(copy, &frame.head, sizeof frame.head);
    shmqi_copy_racy(copy + sizeof frame.head, frame.bytes + sizeof frame.head,
        len - sizeof frame.head);
    if (!shmqi_mpmc_copy_valid(r, d->next, w, frame.arena))
        return SHMQ_ERR_GAP;
    if (!records_good(copy, (uint32_t)len, frame.head.record_cnt))
        return SHMQ_ERR_CORRUPT;
    count_time(&f->p, frame.head.time_ns);
    f->p.bytes += sizeof pos + len;
    f->p.frame_cnt++;
    f->p.record_cnt += frame.head.record_cnt;
    return SHMQ_OK;
}

static int take_mpmc(
    struct shmqi_drain *d, struct filling *f, struct shmq_gap *ret_gap)
{
    for (;;) {
        uint64_t w;
        int64_t age = shmqi_mpmc_look(d->ring, d->next, &w);
        if (age < 0)
            return SHMQ_ERR_EMPTY;
        int rc = age > 0 ? SHMQ_ERR_GAP : copy_frame(d, f, w);
        if (rc == SHMQ_ERR_FULL || (rc && f->p.frame_cnt > 0))
            return rc; /* a gap is told by the next call */
        if (rc == SHMQ_ERR_GAP)
            return lapped(d, ret_gap);
        if (rc == SHMQ_ERR_CORRUPT)
            return gap(
                d, shmqi_pos(d->next + 1, 0), 1, SHMQ_GAP_CORRUPT, ret_gap);
        d->next++;
        d->end = shmqi_pos(d->next, 0);
    }
}

/* -- spsc --------------------------------------------------------------------
 */

/* The frame that records are being put into. */
struct open_frame {
    uint64_t at; /* of its header in the buffer; 0: none */
    uint64_t next_pos;
    struct shmqi_frame_shm head;
};

static uint64_t author(struct shmqi_drain *d, uint64_t pos)
{
    uint64_t cnt = shm_ld(A3, &d->ring->data->role_cnt);
    if (cnt != d->role_cnt || pos < d->role_from)
        d->role_identity =
            shmqi_writer_of(d->ring, pos, &d->role_cnt, &d->role_from);
    return d->role_identity;
}

static bool belongs(const struct open_frame *o, uint64_t pos, uint64_t producer,
    uint64_t sequence, uint64_t time_ns)
{
    return o->at != 0 && pos == o->next_pos && o->head.producer == producer &&
        o->head.time_ns == time_ns &&
        o->head.sequence + o->head.record_cnt == sequence &&
        o->head.record_cnt < SHMQ_BATCH_MAX;
}

/* A record of `len` ring bytes at `pos`, commit word `w`. */
static int copy_record(struct shmqi_drain *d, struct filling *f,
    struct open_frame *o, uint64_t pos, uint64_t w)
{
    const uint8_t *from = (const uint8_t *)(void *)shmqi_spsc_at(d->ring, pos);
    const uint64_t prefix = sizeof(struct shmqi_spsc_shm);
    uint64_t head[2], len = shmqi_commit_len(w) - prefix;
    shmqi_copy_racy(head, from + 8, sizeof head);
    uint64_t producer = author(d, pos);
    bool more = belongs(o, pos, producer, head[0], head[1]) &&
        o->head.len_bytes + len <= frame_len_max(d->ring);
    uint64_t before = more ? 0 : sizeof pos + sizeof o->head;
    if (f->cap - f->p.bytes < before + len)
        return SHMQ_ERR_FULL;
    uint8_t *copy = f->buf + f->p.bytes + before;
    struct shmqi_view v;
    shmqi_copy_racy(copy, from + prefix, len);
    if (!shmqi_spsc_copy_valid(d->ring, pos, w))
        return SHMQ_ERR_GAP;
    if (!shmqi_record_view(copy, (uint32_t)len, 0, &v) || v.next != len)
        return SHMQ_ERR_CORRUPT;
    if (!more) {
        struct shmqi_frame_shm fresh = {producer, head[0], head[1], 0,
            (uint32_t)sizeof fresh, SHMQI_FRAME_SPSC, (uint32_t)(d->pad / 8)};
        shmqi_put(f->buf + f->p.bytes, &pos, sizeof pos);
        o->at = f->p.bytes + sizeof pos;
        o->head = fresh;
        count_time(&f->p, head[1]);
        f->p.frame_cnt++;
    }
    o->head.record_cnt++;
    o->head.len_bytes += (uint32_t)len;
    o->next_pos = pos + prefix + len;
    shmqi_put(f->buf + o->at, &o->head, sizeof o->head);
    f->p.bytes += before + len;
    f->p.record_cnt++;
    return SHMQ_OK;
}

/* Where records make no sense: on where they do again, as far as known. */
static int damaged(struct shmqi_drain *d, struct shmq_gap *ret)
{
    uint64_t low = shmqi_ring_low(d->ring);
    if (low > d->next)
        return gap(d, low, 0, SHMQ_GAP_LOST, ret);
    uint64_t end = shmqi_ring_end(d->ring);
    return end > d->next ? gap(d, end, 0, SHMQ_GAP_CORRUPT, ret)
                         : SHMQ_ERR_EMPTY;
}

static int take_spsc(
    struct shmqi_drain *d, struct filling *f, struct shmq_gap *ret_gap)
{
    struct open_frame o = {0, 0, {0, 0, 0, 0, 0, 0, 0}};
    uint64_t passed = 0;
    while (passed <= d->ring->arena_bytes) {
        uint64_t w;
        enum shmqi_spsc_seen seen = shmqi_spsc_look_racy(d->ring, d->next, &w);
        uint64_t len = shmqi_commit_len(w);
        if (seen == SHMQI_SPSC_EMPTY && !shmqi_spsc_given_up(d->ring, d->next))
            return SHMQ_ERR_EMPTY;
        if (seen == SHMQI_SPSC_EMPTY || seen == SHMQI_SPSC_NONSENSE)
            return f->p.frame_cnt ? SHMQ_ERR_GAP : damaged(d, ret_gap);
        int rc = SHMQ_OK;
        if (seen == SHMQI_SPSC_RECORD)
            rc = copy_record(d, f, &o, d->next, w);
        if (rc == SHMQ_ERR_FULL || (rc && f->p.frame_cnt > 0))
            return rc;
        if (rc == SHMQ_ERR_GAP)
            return damaged(d, ret_gap);
        if (rc)
            return gap(d, d->next + len, 0, SHMQ_GAP_CORRUPT, ret_gap);
        d->next += len;
        passed += len;
        if (seen == SHMQI_SPSC_PAD) {
            d->pad += len; /* told by the frame behind it */
        } else {
            d->pad = 0;
            d->end = d->next;
        }
    }
    return SHMQ_ERR_EMPTY;
}

int shmqi_drain_take(struct shmqi_drain *d, void *buf, uint64_t cap,
    struct shmqi_portion *ret, struct shmq_gap *ret_gap)
{
    struct filling f = {buf, cap, {0, 0, 0, 0, 0, 0, 0}};
    uint64_t base = d->end;
    int rc = is_mpmc(d) ? take_mpmc(d, &f, ret_gap) : take_spsc(d, &f, ret_gap);
    if (shmqi_segment_broken(d->segment))
        return shmqi_segment_fail_broken(d->segment);
    if (f.p.frame_cnt > 0) {
        f.p.base_pos = base;
        f.p.end_pos = d->end;
        *ret = f.p;
        return SHMQ_OK;
    }
    return rc == SHMQ_ERR_FULL ? SHMQ_ERR_TOO_LARGE : rc;
}
