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

#define PADS_MAX 4096u /* passed in one call */

typedef int handler_fn(void *ctx, const struct shmq_message *msg);

/* What one call of poll carries along; told to the handle when it ends. */
struct sweep {
    struct shmq_consumer *c;
    const struct shmqi_ring *r;
    shmqi_word *seen; /* the group's word */
    uint64_t tag; /* of our floor, in place */
    uint64_t flush_at;
    handler_fn *handler;
    void *ctx;
    uint32_t cnt, max;
};

/* Handled up to c->done_pos; tells the floor when enough has gathered. */
static inline int passed(struct sweep *s, uint64_t bytes)
{
    struct shmq_consumer *c = s->c;
    c->unflushed += bytes;
    if (__builtin_expect(c->unflushed >= s->flush_at, 0))
        return shmqi_reader_flush(c);
    return SHMQ_OK;
}

static inline void hand_out(struct sweep *s, uint64_t after, uint64_t place)
{
    s->c->seen_pos = after;
    shm_st(V4, s->seen, s->tag | (place & SHMQI_PLACE_MASK));
}

/* The end of a call: statistics, and what poll returns. */
static int done(struct sweep *s, int rc)
{
    struct shmq_consumer *c = s->c;
    if (s->cnt) {
        c->messages += s->cnt;
        shm_st(N2, &s->r->endpoints[c->idx].messages, c->messages);
    }
    return rc ? rc : s->cnt ? (int)s->cnt : shmqi_reader_flush(c);
}

/* Nothing stands at c->next: the next call needs to see only that the word is
 * still so. (Not on the way out of a call that handled something: it has the
 * floor to tell.) */
static inline void found_empty(
    struct sweep *s, shmqi_word *at, uint64_t mask, uint64_t word)
{
    struct shmq_consumer *c = s->c;
    if (s->cnt == 0) {
        c->empty_at = at;
        c->empty_mask = mask;
        c->empty_word = word;
    }
}

/* The handler did not take the record: it and what was seen behind it come
 * again. */
static int given_back(struct sweep *s, int result)
{
    s->c->redeliver_until = s->c->seen_pos;
    s->cnt++;
    return done(s, result < 0 ? result : 0);
}

/* -- spsc
 * -----------------------------------------------------------------------*/

static inline uint64_t author(struct shmq_consumer *c, uint64_t pos)
{
    uint64_t cnt = shm_ld(A3, &c->ring->data->role_cnt);
    if (__builtin_expect(cnt == c->role_cnt && pos >= c->role_from, 1))
        return c->role_identity;
    return shmqi_author(c, pos);
}

/* What stands at `pos` is no record to hand out: nothing yet, a pad (passed:
 * true), or nonsense. */
static bool no_record(struct sweep *s, uint64_t pos, uint64_t w, int *ret_rc)
{
    struct shmq_consumer *c = s->c;
    enum shmqi_spsc_seen seen = shmqi_spsc_judge(s->r, pos, w);
    *ret_rc = SHMQ_OK;
    if (seen == SHMQI_SPSC_PAD) {
        c->next = c->done_pos = pos + shmqi_commit_len(w);
        return true;
    }
    if (seen == SHMQI_SPSC_EMPTY) {
        /* The line behind the commit word is filled before it: asked for now,
         * it comes together with it. */
        c->expected = (const uint8_t *)(void *)shmqi_spsc_at(s->r, pos + 64);
        found_empty(s, shmqi_spsc_at(s->r, pos), UINT64_MAX, 0);
    } else if (s->cnt == 0) {
        *ret_rc = SHMQI_SWEEP_OVER;
    }
    return false;
}

/* True when `w` commits a record (no pad) at `pos` and `need` bytes of it fit
 * its length, and its length the ring. */
static inline bool commits(
    const struct shmqi_ring *r, uint64_t pos, uint64_t w, uint64_t need)
{
    uint64_t len = w >> 32;
    uint64_t room = r->arena_bytes - (pos & (r->arena_bytes - 1));
    return (uint32_t)w == (uint32_t)(pos >> 3) && (len & 7) == 0 &&
        len <= room && need <= len;
}

static int sweep_spsc(struct sweep *s)
{
    struct shmq_consumer *c = s->c;
    struct shmq_message msg;
    uint64_t head[3], mask = s->r->arena_bytes - 1;
    uint32_t pads = 0;
    int rc;
    msg.attempt = msg.flags = 0;
    while (s->cnt < s->max) {
        uint64_t pos = c->next;
        shmqi_word *commit = shmqi_spsc_at(s->r, pos);
        uint64_t w = shm_ld(R1, commit);
        const uint8_t *at = (const uint8_t *)(void *)commit;
        __builtin_prefetch(at + 64);
        /* At the very end of the ring, where only a pad fits, a header would
         * be read from behind the file. Zero: no record fits there. */
        if (__builtin_expect((pos & mask) <= mask + 1 - SHMQI_SPSC_HEAD, 1))
            shmqi_copy_racy(head, at + 8, sizeof head);
        else
            memset(head, 0, sizeof head);
        uint64_t size = (uint32_t)head[2];
        uint32_t attrs = (uint32_t)(head[2] >> 32) & 0xffff;
        uint64_t before = SHMQI_SPSC_HEAD + shmqi_pad8(attrs);
        if (__builtin_expect(
                !commits(s->r, pos, w, before + shmqi_pad8(size)), 0)) {
            /* One pad is at the end of each lap; many are scribbled. */
            if (no_record(s, pos, w, &rc) && ++pads <= PADS_MAX)
                continue;
            return rc ? rc : done(s, 0);
        }
        uint64_t len = w >> 32;
        msg.size = size;
        msg.attrs = at + SHMQI_SPSC_HEAD;
        msg.attr_bytes = attrs;
        msg.data = at + before;
        msg.position = pos;
        msg.sequence = head[0];
        msg.time_ns = (int64_t)head[1];
        msg.producer = author(c, pos);
        hand_out(s, pos + len, (pos + len) >> 3);
        int result = s->handler(s->ctx, &msg);
        if (__builtin_expect(result == SHMQ_HANDLED_NACK || result < 0, 0))
            return given_back(s, result);
        c->next = c->done_pos = pos + len;
        s->cnt++;
        rc = passed(s, len);
        if (__builtin_expect(rc || result == SHMQ_HANDLED_STOP, 0))
            return done(s, rc);
    }
    return done(s, 0);
}

/* -- mpmc
 * -----------------------------------------------------------------------*/

/* One frame. True: go on with the next; false: poll returns *ret_rc. `seen` is
 * told once, up to where this call may come: of what a killed reader had begun
 * it is not known anyway how far it came. */
static bool sweep_frame(
    struct sweep *s, const struct shmqi_frame *f, int *ret_rc)
{
    struct shmq_consumer *c = s->c;
    struct shmq_message msg;
    const uint64_t whole = shmqi_pos(c->next + 1, 0);
    const uint8_t *at = f->bytes + sizeof f->head;
    uint64_t room = f->head.len_bytes - sizeof f->head, head;
    uint32_t cnt = f->head.record_cnt, left = s->max - s->cnt, handled = 0;
    int result = SHMQ_HANDLED_ACK;
    uint64_t pos = shmqi_pos(c->next, 0);
    if (left > cnt)
        left = cnt;
    msg.attempt = msg.flags = 0;
    msg.producer = f->head.producer;
    msg.time_ns = (int64_t)f->head.time_ns;
    msg.sequence = f->head.sequence;
    msg.position = pos;
    hand_out(
        s, left == cnt ? whole : pos + left, left == cnt ? whole : pos + left);
    while (handled < left && room >= sizeof head) {
        shmqi_copy_racy(&head, at, sizeof head);
        uint64_t size = (uint32_t)head;
        uint32_t attrs = (uint32_t)(head >> 32) & 0xffff;
        uint64_t before = sizeof head + shmqi_pad8(attrs);
        uint64_t len = before + shmqi_pad8(size);
        if (__builtin_expect(len > room, 0))
            break;
        msg.size = size;
        msg.attrs = at + sizeof head;
        msg.attr_bytes = attrs;
        msg.data = at + before;
        result = s->handler(s->ctx, &msg);
        if (__builtin_expect(result == SHMQ_HANDLED_NACK || result < 0, 0)) {
            c->seen_pos = handled + 1 == cnt ? whole : pos + handled + 1;
            c->next_idx = handled;
            c->done_pos = pos + handled;
            s->cnt += handled;
            *ret_rc = given_back(s, result);
            return false;
        }
        at += len;
        room -= len;
        handled++;
        msg.position++;
        msg.sequence++;
        if (__builtin_expect(result == SHMQ_HANDLED_STOP, 0))
            break;
    }
    s->cnt += handled;
    pos = handled == cnt ? whole : pos + handled;
    c->seen_pos = pos;
    c->next = shmqi_pos_seq(pos);
    c->next_idx = shmqi_pos_idx(pos);
    c->done_pos = pos;
    int rc =
        passed(s, f->head.len_bytes + (s->r->arena_bytes >> s->r->cap_lg2));
    if (__builtin_expect(!rc && pos == whole && result == SHMQ_HANDLED_ACK, 1))
        return true;
    *ret_rc = rc || s->cnt ? done(s, rc) : SHMQI_SWEEP_OVER;
    return false;
}

static int sweep_mpmc(struct sweep *s)
{
    struct shmq_consumer *c = s->c;
    struct shmqi_frame f;
    uint64_t w;
    int rc = SHMQ_OK;
    while (s->cnt < s->max) {
        int64_t age = shmqi_mpmc_look(s->r, c->next, &w);
        if (age < 0) {
            /* A producer's next frame most likely lies behind its last one and
             * is filled before its slot: asked for now, it comes with it. */
            found_empty(s, shmqi_slot_at(s->r, c->next),
                ~0ull << SHMQI_FRAME_BITS, w & (~0ull << SHMQI_FRAME_BITS));
            break;
        }
        const uint8_t *at =
            s->r->arena_base + shmqi_slot_frame(w) * SHMQI_FRAME_UNIT;
        __builtin_prefetch(at);
        __builtin_prefetch(at + 64);
        if (age > 0 || !shmqi_frame_open(s->r, w, &f))
            return s->cnt ? done(s, 0) : SHMQI_SWEEP_OVER;
        c->expected = at + ((f.head.len_bytes + 63u) & ~63ull);
        if (!sweep_frame(s, &f, &rc))
            return rc;
    }
    return done(s, 0);
}

int shmqi_reader_sweep(
    struct shmq_consumer *c, handler_fn *handler, void *ctx, uint32_t max)
{
    if (__builtin_expect(!c->viewing, 0)) {
        int rc = shmqi_view_begin(c);
        if (rc)
            return rc;
    }
    struct sweep s = {c, c->ring, &c->ring->groups[c->member.entry].seen,
        c->floor_word & ~SHMQI_PLACE_MASK, c->ring->arena_bytes / 8, handler,
        ctx, 0, max};
    return c->ring->ring == SHMQ_RING_MPMC ? sweep_mpmc(&s) : sweep_spsc(&s);
}
