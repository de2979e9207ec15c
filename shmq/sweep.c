/* sweep.c - poll for exclusive readers of gating groups: straight over the
 * records in the ring.
 *
 * The same protocol as reader.c, with the same words stored in the same order:
 * views before looking, `seen` before a record is handed out, the floor (by
 * CAS, now and then) after it was handled. A record that the handler gives back
 * is simply not passed. */
#include <string.h>

#include "consumer_impl.h"
#include "mpmc.h"
#include "seek.h"
#include "spsc.h"

typedef int handler_fn(void *ctx, const struct shmq_message *msg);

/* Handled up to `pos`; tells the floor when enough has gathered. */
static inline int passed(struct shmq_consumer *c, uint64_t pos, uint64_t bytes)
{
    c->done_pos = pos;
    c->unflushed += bytes;
    if (__builtin_expect(c->unflushed >= c->ring->arena_bytes / 8, 0))
        return shmqi_reader_flush(c);
    return SHMQ_OK;
}

static inline void hand_out(struct shmq_consumer *c, uint64_t after)
{
    struct shmqi_group_shm *g = &c->ring->groups[c->member.entry];
    uint64_t place = c->ring->ring == SHMQ_RING_MPMC ? after : after >> 3;
    c->seen_pos = after;
    shm_st(V4, &g->seen, shmqi_cursor(shmqi_cursor_tag(c->floor_word), place));
}

static inline void count(struct shmq_consumer *c, uint64_t messages)
{
    c->messages += messages;
    shm_st(N2, &c->ring->endpoints[c->idx].messages, c->messages);
}

/* The handler did not take the record at `pos`: it and what was seen behind it
 * come again. Returns what poll returns. */
static int given_back(struct shmq_consumer *c, int result, int cnt)
{
    c->redeliver_until = c->seen_pos;
    return result < 0 ? result : cnt + 1;
}

/* -- spsc -----------------------------------------------------------------------*/

static int sweep_spsc(struct shmq_consumer *c, handler_fn *handler, void *ctx,
                      uint32_t max)
{
    struct shmq_message msg;
    uint64_t pos = c->next, w, head[3];
    uint32_t cnt = 0;
    memset(&msg, 0, sizeof msg);
    while (cnt < max) {
        enum shmqi_spsc_seen seen = shmqi_spsc_look(c->ring, pos, &w);
        uint64_t len = shmqi_commit_len(w);
        if (seen == SHMQI_SPSC_EMPTY)
            break;
        if (seen == SHMQI_SPSC_NONSENSE)
            return cnt ? (int)cnt : SHMQI_SWEEP_OVER;
        if (seen == SHMQI_SPSC_PAD) {
            pos = c->next = c->done_pos = pos + len;
            continue;
        }
        const uint8_t *at = (const uint8_t *)(void *)shmqi_spsc_at(c->ring,
                                                                   pos);
        shmqi_copy_racy(head, at + 8, sizeof head);
        uint32_t attrs = (uint32_t)(head[2] >> 32) & 0xffff;
        uint32_t padded = (attrs + 7u) & ~7u;
        msg.size = (uint32_t)head[2];
        if (SHMQI_SPSC_HEAD + padded + shmqi_pad8(msg.size) > len)
            return cnt ? (int)cnt : SHMQI_SWEEP_OVER;
        msg.attrs = at + SHMQI_SPSC_HEAD;
        msg.attr_bytes = attrs;
        msg.data = at + SHMQI_SPSC_HEAD + padded;
        msg.position = pos;
        msg.sequence = head[0];
        msg.time_ns = (int64_t)head[1];
        msg.producer = shmqi_author(c, pos);
        hand_out(c, pos + len);
        count(c, 1);
        int result = handler(ctx, &msg);
        if (__builtin_expect(result == SHMQ_HANDLED_NACK || result < 0, 0))
            return given_back(c, result, (int)cnt);
        pos = c->next = pos + len;
        cnt++;
        int rc = passed(c, pos, len);
        if (__builtin_expect(rc, 0))
            return rc;
        if (result == SHMQ_HANDLED_STOP)
            return (int)cnt;
    }
    return cnt ? (int)cnt : shmqi_reader_flush(c);
}

/* -- mpmc -----------------------------------------------------------------------*/

/* One frame: 1 go on, 0 stop polling with *ret_rc. */
static int sweep_frame(struct shmq_consumer *c, const struct shmqi_frame *f,
                       handler_fn *handler, void *ctx, uint32_t max,
                       uint32_t *cnt, int *ret_rc)
{
    struct shmq_message msg;
    struct shmqi_view v;
    uint64_t seq = c->next;
    uint32_t off = sizeof f->head, records = f->head.record_cnt, i = 0;
    memset(&msg, 0, sizeof msg);
    msg.producer = f->head.producer;
    msg.time_ns = (int64_t)f->head.time_ns;
    int result = SHMQ_HANDLED_ACK;
    for (; i < records && *cnt < max && result == SHMQ_HANDLED_ACK; i++) {
        if (__builtin_expect(!shmqi_record_view(f->bytes, f->head.len_bytes,
                                                off, &v), 0))
            break;
        off = v.next;
        msg.data = v.data;
        msg.size = v.size;
        msg.attrs = v.attrs;
        msg.attr_bytes = v.attr_bytes;
        msg.position = shmqi_pos(seq, i);
        msg.sequence = f->head.sequence + i;
        hand_out(c, i + 1 < records ? msg.position + 1
                                    : shmqi_pos(seq + 1, 0));
        result = handler(ctx, &msg);
        if (__builtin_expect(result == SHMQ_HANDLED_NACK || result < 0, 0)) {
            count(c, i + 1);
            c->next_idx = i;
            c->done_pos = msg.position;
            *ret_rc = given_back(c, result, (int)*cnt);
            return 0;
        }
        (*cnt)++;
    }
    count(c, i);
    bool whole = i == records;
    c->next = whole ? seq + 1 : seq;
    c->next_idx = whole ? 0 : i;
    uint64_t weight = f->head.len_bytes +
                      (c->ring->arena_bytes >> c->ring->cap_lg2);
    int rc = passed(c, shmqi_pos(c->next, c->next_idx), weight);
    *ret_rc = rc ? rc : (int)*cnt;
    return whole && rc == SHMQ_OK && result == SHMQ_HANDLED_ACK;
}

static int sweep_mpmc(struct shmq_consumer *c, handler_fn *handler, void *ctx,
                      uint32_t max)
{
    struct shmqi_frame f;
    uint64_t w;
    uint32_t cnt = 0;
    int rc = SHMQ_OK;
    while (cnt < max) {
        int64_t age = shmqi_mpmc_look(c->ring, c->next, &w);
        if (age < 0)
            break;
        if (age > 0 || !shmqi_frame_open(c->ring, w, &f))
            return cnt ? (int)cnt : SHMQI_SWEEP_OVER;
        if (!sweep_frame(c, &f, handler, ctx, max, &cnt, &rc))
            return rc == 0 ? SHMQI_SWEEP_OVER : rc;
    }
    return cnt ? (int)cnt : shmqi_reader_flush(c);
}

int shmqi_reader_sweep(struct shmq_consumer *c, handler_fn *handler, void *ctx,
                       uint32_t max)
{
    if (!c->viewing) {
        int rc = shmqi_view_begin(c);
        if (rc)
            return rc;
    }
    return c->ring->ring == SHMQ_RING_MPMC ? sweep_mpmc(c, handler, ctx, max)
                                           : sweep_spsc(c, handler, ctx, max);
}
