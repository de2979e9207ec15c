/* consumer.c - the public consumer calls: checks, handing out, waiting. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "consumer_impl.h"
#include "error.h"
#include "process.h"
#include "reap.h"
#include "relieve.h"
#include "seek.h"
#include "topic_impl.h"

#define SPIN_DEFAULT_NS 20000u
#define SPIN_LOOKS 64
#define PREFETCH_MAX 1024u
#define NACK_DELAY_MAX_NS (24ull * 3600 * 1000000000)
/* Empty calls, and time, between two looks at the peers. */
#define EMPTY_LOOKS 0x3fu
#define EMPTY_LOOK_NS 500000u

/* -- open
 * -----------------------------------------------------------------------*/

static int check_options(const struct shmq_consumer_options *o)
{
    const uint32_t known =
        SHMQ_CONSUMER_NO_CREATE | SHMQ_CONSUMER_COPY | SHMQ_CONSUMER_MANUAL_ACK;
    if (o->struct_bytes != sizeof *o || (o->flags & ~known) || o->reserved)
        return shmqi_fail(SHMQ_ERR_INVAL,
            "consumer: options are not legal; "
            "set struct_bytes, zero the rest");
    if (o->prefetch_frames > PREFETCH_MAX)
        return shmqi_fail(SHMQ_ERR_INVAL,
            "consumer: prefetch %u; at most %u "
            "frames",
            o->prefetch_frames, PREFETCH_MAX);
    return shmqi_start_check(&o->start);
}

static int open_group(
    struct shmq_consumer *c, const struct shmq_consumer_options *o)
{
    struct shmqi_segment *s = c->segment;
    struct shmq_start start = o->start;
    if (start.kind == SHMQ_START_DEFAULT)
        start.kind = SHMQ_START_EARLIEST;
    int rc = shmqi_group_join(s, c->idx, o->group, &o->attrs, &start,
        (o->flags & SHMQ_CONSUMER_NO_CREATE) != 0, &c->member);
    if (rc)
        return rc;
    c->copies = (o->flags & SHMQ_CONSUMER_COPY) || !c->member.views ||
        !s->data_writable || s->untrusted_members;
    c->mode = c->member.kind == SHMQ_GROUP_SHARED ? SHMQI_MODE_SHARED
                                                  : SHMQI_MODE_EXCLUSIVE;
    rc = c->mode == SHMQI_MODE_SHARED ? shmqi_member_open(c)
                                      : shmqi_reader_open(c, &o->start);
    if (rc) {
        shmqi_group_leave(s, c->idx, &c->member);
        return rc;
    }
    if (c->member.lost_from < c->member.lost_to) {
        struct shmq_gap g = {c->member.lost_from, c->member.lost_to,
            s->ring.ring == SHMQ_RING_MPMC
                ? (c->member.lost_to >> SHMQI_IDX_BITS) -
                    (c->member.lost_from >> SHMQI_IDX_BITS)
                : 0,
            UINT64_MAX, SHMQ_GAP_DROPPED, 0};
        c->gap = g;
        c->gap_pending = c->gap_known = true;
    }
    return SHMQ_OK;
}

static int open_mode(
    struct shmq_consumer *c, const struct shmq_consumer_options *o)
{
    uint32_t role = o->group ? SHMQ_ROLE_MEMBER : SHMQ_ROLE_EPHEMERAL;
    int rc = shmqi_attach(c->segment, role, &c->idx, &c->identity);
    if (rc)
        return rc;
    if (o->group) {
        rc = open_group(c, o);
    } else {
        c->copies = true;
        c->mode = SHMQI_MODE_EPHEMERAL;
        rc = shmqi_reader_open(c, &o->start);
    }
    if (rc == SHMQ_OK) {
        c->held_max = o->prefetch_frames   ? o->prefetch_frames
            : c->mode == SHMQI_MODE_SHARED ? 1
                                           : 64;
        c->held = calloc(c->held_max, sizeof *c->held);
        if (!c->held)
            rc = shmqi_fail(SHMQ_ERR_NOMEM, "no memory");
    }
    if (rc)
        shmqi_endpoint_free(c->segment, c->idx, c->identity);
    return rc;
}

int shmq_consumer_open(struct shmq_topic *topic,
    const struct shmq_consumer_options *options, struct shmq_consumer **ret)
{
    struct shmq_consumer_options o;
    struct shmqi_segment *s = NULL;
    if (options)
        o = *options;
    else
        memset(&o, 0, sizeof o), o.struct_bytes = sizeof o;
    int rc = ret ? check_options(&o)
                 : shmqi_fail(SHMQ_ERR_INVAL, "consumer: no place for it");
    if (rc == SHMQ_OK)
        rc = shmqi_topic_use(topic, &s);
    if (rc == SHMQ_OK && (s->ring.flags & SHMQ_TOPIC_ASYMMETRIC))
        rc = shmqi_asymmetric_register();
    if (rc)
        return rc;
    struct shmq_consumer *c = calloc(1, sizeof *c);
    if (!c)
        return shmqi_fail(SHMQ_ERR_NOMEM, "no memory");
    c->segment = s;
    c->ring = &s->ring;
    c->generation = shmqi_generation();
    c->flags = o.flags;
    c->spin_ns = o.spin_ns ? o.spin_ns : SPIN_DEFAULT_NS;
    c->current = UINT32_MAX;
    c->freeze = UINT64_MAX;
    c->version = shm_ld(G2, &s->ring.control->version);
    rc = open_mode(c, &o);
    if (rc) {
        free(c);
        return rc;
    }
    shmqi_segment_ref(s);
    if (shmqi_segment_broken(s)) {
        shmq_consumer_close(c);
        return shmqi_segment_fail_broken(s);
    }
    *ret = c;
    return SHMQ_OK;
}

static void leave(struct shmq_consumer *c)
{
    struct shmqi_segment *s = c->segment;
    if (c->has_fifo)
        shmqi_poll_close(&c->poll, s, c->identity);
    if (c->watched && c->pidfd >= 0)
        (void)close(c->pidfd);
    if (c->mode == SHMQI_MODE_SHARED)
        shmqi_member_close(c);
    else
        shmqi_reader_close(c);
    if (c->mode != SHMQI_MODE_EPHEMERAL)
        shmqi_group_leave(s, c->idx, &c->member);
    shmqi_endpoint_free(s, c->idx, c->identity);
    shmqi_segment_unref(s);
}

void shmq_consumer_close(struct shmq_consumer *c)
{
    if (!c)
        return;
    if (shmqi_same_process(c->generation)) {
        shmq_producer_close(c->dead_producer);
        shmq_topic_close(c->dead_topic);
        leave(c);
    }
    for (uint32_t i = 0; i < c->held_max; i++) {
        free(c->held[i].copy);
        free(c->held[i].bits);
    }
    free(c->held);
    free(c->delayed);
    free(c);
}

/* -- receiving
 * -------------------------------------------------------------------*/

static int forked(void)
{
    return shmqi_fail(SHMQ_ERR_FORKED,
        "consumer: it belongs to the parent "
        "process; open one in the child");
}

static int stale(struct shmq_consumer *c)
{
    return shmqi_fail(SHMQ_ERR_STALE,
        "%s: the role has moved to another "
        "reader; open the consumer again",
        c->segment->topic);
}

/* For good. Claims made since then go back: nobody would ever end them. */
static bool evicted(struct shmq_consumer *c)
{
    uint64_t mark = shm_ld(V8, &c->ring->endpoints[c->idx].evicted);
    if (mark == c->identity && !c->stale) {
        c->stale = true;
        if (c->mode == SHMQI_MODE_SHARED) {
            c->give_back_later = shmqi_member_views_any(c);
            for (uint32_t i = 0; i < c->held_max; i++)
                c->held[i].lost = true;
            if (!c->give_back_later)
                shmqi_member_give_back(c);
        }
    }
    return shmqi_reader_still_ours(c) != SHMQ_OK;
}

/* Groups changed, or the topic was deleted. */
static int check_version(struct shmq_consumer *c, uint64_t version)
{
    if (version & SHMQI_DELETED)
        return shmqi_fail(
            SHMQ_ERR_CLOSED, "%s: the topic was removed", c->segment->topic);
    if (c->mode != SHMQI_MODE_EPHEMERAL) {
        int rc = shmqi_group_check(c->segment, &c->member);
        if (rc == SHMQ_OK && evicted(c))
            rc = stale(c);
        if (rc) {
            if (c->held_cnt == 0)
                shmqi_view_end(c);
            return rc;
        }
    }
    c->version = version;
    return SHMQ_OK;
}

/* Callers that never wait find out about dead members here; not often, since
 * it costs system calls. */
static void look_at_peers(struct shmq_consumer *c)
{
    uint64_t now = shmqi_now_coarse();
    bool blocked;
    if (now - c->looked_ns < EMPTY_LOOK_NS)
        return;
    c->looked_ns = now;
    (void)shmqi_member_peers(c, &blocked);
}

static int report_empty(struct shmq_consumer *c)
{
    if (c->mode == SHMQI_MODE_EXCLUSIVE && shmqi_reader_flush(c))
        return stale(c);
    if (c->mode == SHMQI_MODE_SHARED && (++c->empties & EMPTY_LOOKS) == 0)
        look_at_peers(c);
    return SHMQ_ERR_EMPTY;
}

static inline int look(struct shmq_consumer *c, struct shmq_message *ret)
{
    c->empty_at = NULL;
    uint64_t version = shm_ld(W6, &c->ring->control->version);
    if (__builtin_expect(version != c->version, 0)) {
        int rc = check_version(c, version);
        if (rc)
            return rc;
    }
    if (__builtin_expect(c->gap_pending, 0)) {
        c->gap_pending = false;
        return SHMQ_ERR_GAP;
    }
    int rc = c->mode == SHMQI_MODE_SHARED ? shmqi_member_next(c, ret)
                                          : shmqi_reader_next(c, ret);
    while (__builtin_expect(c->ring->ttl_ns != 0, 0) && rc == SHMQ_OK &&
        shmqi_expire(c, ret))
        rc = c->mode == SHMQI_MODE_SHARED ? shmqi_member_next(c, ret)
                                          : shmqi_reader_next(c, ret);
    if (__builtin_expect(rc == SHMQ_OK, 1)) {
        c->last_blocked_ns = 0;
        return rc;
    }
    if (rc == SHMQ_ERR_EMPTY)
        return report_empty(c);
    if (rc == SHMQ_ERR_GAP)
        c->gap_pending = false;
    if (rc == SHMQ_ERR_STALE)
        return stale(c);
    if (rc == SHMQ_ERR_LIMIT)
        return shmqi_fail(rc,
            "%s: %u frames are held; release some, or open "
            "the consumer with more prefetch",
            c->segment->topic, c->held_max);
    return rc;
}

static int receive(struct shmq_consumer *c, struct shmq_message *ret)
{
    int rc = look(c, ret);
    return shmqi_segment_result(c->segment, rc);
}

/* Idle sleep, or shorter while a peer's claim holds us up. */
uint64_t shmqi_consumer_nap(
    struct shmq_consumer *c, uint32_t naps, uint64_t now)
{
    bool blocked = false;
    if (c->mode == SHMQI_MODE_SHARED) {
        (void)shmqi_member_peers(c, &blocked);
        if (!blocked)
            c->last_blocked_ns = 0;
        else if (c->last_blocked_ns == 0)
            c->last_blocked_ns = now;
    }
    uint64_t ns = naps == 0 ? SHMQI_NAP_NS : SHMQI_NAP_MAX_NS;
    if (blocked)
        ns = now - c->last_blocked_ns < SHMQI_PEER_WATCH_NS
            ? SHMQI_NAP_PEER_NS
            : SHMQI_NAP_PEER_LATE_NS;
    if (c->delayed_cnt && c->delayed_next_ns < now + ns)
        ns = c->delayed_next_ns > now ? c->delayed_next_ns - now : 1;
    return ns;
}

/* After announcing a sleep: once, or for as long as a publish that has not
 * seen the announcement may take to become visible (wait.h). */
static int last_look(
    struct shmq_consumer *c, bool settle, struct shmq_message *ret)
{
    uint64_t until = settle ? shmqi_now_monotonic() + SHMQI_SETTLE_NS : 0;
    int rc;
    do
        rc = receive(c, ret);
    while (rc == SHMQ_ERR_EMPTY && settle && shmqi_now_monotonic() < until);
    return rc;
}

static int open_fifo(struct shmq_consumer *c)
{
    if (c->has_fifo)
        return SHMQ_OK;
    int rc = shmqi_poll_open(&c->poll, c->segment, c->identity);
    c->has_fifo = rc == SHMQ_OK;
    return rc;
}

/* Held up for long by a living peer: waits for a publish and for that peer's
 * death at once, so that its claim is taken over without delay. */
static int sleep_watching(struct shmq_consumer *c, int pidfd, uint64_t deadline,
    struct shmq_message *ret)
{
    bool settle = shmqi_poll_arm(&c->poll, c->segment, c->idx, SHMQI_NAP_NS);
    int rc = last_look(c, settle, ret);
    if (rc == SHMQ_ERR_EMPTY && shmqi_poll_wait(&c->poll, pidfd, deadline))
        rc = SHMQ_ERR_INTR;
    shmqi_poll_disarm(&c->poll, c->segment, c->idx);
    return rc;
}

int shmq_consumer_receive(struct shmq_consumer *c, struct shmq_message *ret)
{
    if (__builtin_expect(!c || !ret, 0))
        return shmqi_fail(SHMQ_ERR_INVAL, "receive: no consumer or no place");
    if (__builtin_expect(!shmqi_same_process(c->generation), 0))
        return forked();
    if (__builtin_expect(c->has_poll, 0)) {
        if (c->poll.armed)
            shmqi_poll_disarm(&c->poll, c->segment, c->idx);
        int rc = receive(c, ret);
        if (rc != SHMQ_ERR_EMPTY)
            return rc;
        if (c->held_cnt == 0)
            shmqi_view_end(c);
        bool settle = shmqi_poll_arm(&c->poll, c->segment, c->idx,
            shmqi_consumer_nap(c, 0, shmqi_now_monotonic()));
        rc = last_look(c, settle, ret);
        if (rc != SHMQ_ERR_EMPTY)
            shmqi_poll_disarm(&c->poll, c->segment, c->idx);
        return rc;
    }
    return receive(c, ret);
}

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Looks at the ring for a while. EMPTY when spinning is over. */
static int spin(
    struct shmq_consumer *c, uint64_t deadline, struct shmq_message *ret)
{
    uint64_t start = shmqi_now_monotonic(), now = start;
    while (c->spin_ns == SHMQ_FOREVER || now - start < c->spin_ns) {
        for (int i = 0; i < SPIN_LOOKS; i++) {
            if (c->mode == SHMQI_MODE_SHARED || shmqi_reader_ready(c)) {
                int rc = receive(c, ret);
                if (rc != SHMQ_ERR_EMPTY)
                    return rc;
            }
            pause_cpu();
        }
        int rc = receive(c, ret); /* groups and topics may have changed */
        if (rc != SHMQ_ERR_EMPTY)
            return rc;
        now = shmqi_now_monotonic();
        if (now >= deadline)
            return SHMQ_ERR_TIMEOUT;
    }
    return SHMQ_ERR_EMPTY;
}

static int timed_out(struct shmq_consumer *c)
{
    return shmqi_fail(SHMQ_ERR_TIMEOUT,
        "%s: nothing arrived before the "
        "deadline",
        c->segment->topic);
}

static int interrupted(struct shmq_consumer *c)
{
    return shmqi_fail(
        SHMQ_ERR_INTR, "%s: interrupted by a signal", c->segment->topic);
}

static int sleep_until(
    struct shmq_consumer *c, uint64_t deadline, struct shmq_message *ret)
{
    for (uint32_t naps = 0;; naps++) {
        struct shmqi_sleep sl;
        uint64_t now = shmqi_now_monotonic();
        if (now >= deadline)
            return timed_out(c);
        uint64_t ns = shmqi_consumer_nap(c, naps, now);
        if (c->held_cnt == 0)
            shmqi_view_end(c); /* asleep nobody looks at anything */
        int pidfd = ns == SHMQI_NAP_PEER_LATE_NS ? shmqi_member_watch(c) : -1;
        if (pidfd >= 0 && open_fifo(c) == SHMQ_OK) {
            int rc = sleep_watching(c, pidfd, deadline, ret);
            if (rc == SHMQ_ERR_INTR)
                return interrupted(c);
            if (rc != SHMQ_ERR_EMPTY)
                return rc;
            continue;
        }
        shmqi_sleep_begin(&sl, c->segment, c->idx, SHMQI_WAITS_DATA);
        c->empties |= 0xff; /* the last look before sleeping is a full one */
#ifdef SHMQ_BUG_NO_LAST_LOOK
        int rc = SHMQ_ERR_EMPTY;
#else
        int rc = last_look(c, sl.settle, ret);
#endif
        if (rc != SHMQ_ERR_EMPTY)
            return rc;
        if (c->held_cnt == 0)
            shmqi_view_end(c);
        rc = shmqi_sleep_commit(&sl, ns, deadline);
        if (rc)
            return interrupted(c);
        rc = receive(c, ret);
        if (rc != SHMQ_ERR_EMPTY)
            return rc;
        if (naps % 16 == 15)
            (void)shmqi_reap_all(c->segment, c->idx);
    }
}

int shmq_consumer_receive_wait(
    struct shmq_consumer *c, uint64_t deadline_ns, struct shmq_message *ret)
{
    int rc = shmq_consumer_receive(c, ret);
    if (rc != SHMQ_ERR_EMPTY)
        return rc;
    rc = spin(c, deadline_ns, ret);
    if (rc == SHMQ_ERR_TIMEOUT)
        return timed_out(c);
    if (rc != SHMQ_ERR_EMPTY)
        return rc;
    rc = sleep_until(c, deadline_ns, ret);
    shmqi_sleep_end(c->segment, c->idx);
    return rc;
}

/* -- acknowledging
 * ------------------------------------------------------------- */

static int find_held(struct shmq_consumer *c, const struct shmq_message *msg,
    struct shmqi_held **ret)
{
    if (!c || !msg)
        return shmqi_fail(SHMQ_ERR_INVAL, "message: no consumer or message");
    if (!shmqi_same_process(c->generation))
        return forked();
    struct shmqi_held *h = shmqi_held_of(c, msg);
    if (!h &&
        (msg->internal[0] >= c->held_max || msg->internal[2] == 0 ||
            msg->internal[2] > c->serial))
        return shmqi_fail(SHMQ_ERR_INVAL,
            "message: not received by this "
            "consumer");
    if (!h)
        return shmqi_fail(SHMQ_ERR_STALE,
            "message: it has been released, or "
            "has moved to another member");
    *ret = h;
    return SHMQ_OK;
}

static int moved(struct shmq_consumer *c)
{
    return shmqi_fail(SHMQ_ERR_STALE,
        "%s: the record has moved to another "
        "member; it may be delivered twice",
        c->segment->topic);
}

/* Done with record `idx` of `h`. */
static int ack(struct shmq_consumer *c, struct shmqi_held *h, uint32_t idx)
{
    if (c->mode == SHMQI_MODE_SHARED)
        return shmqi_member_ack(c, h, idx) ? moved(c) : SHMQ_OK;
    /* An exclusive reader learns here that it was evicted, not at its next
     * flush: what it is told to be done is done. */
    if (c->mode == SHMQI_MODE_EXCLUSIVE &&
        shm_ld(W6, &c->ring->control->version) != c->version && evicted(c))
        return stale(c);
    (void)shmqi_held_done(h, idx);
    return SHMQ_OK;
}

/* The view of record `idx` is over. */
static int end_view(struct shmq_consumer *c, struct shmqi_held *h)
{
    if (c->mode != SHMQI_MODE_SHARED) {
        if (c->stale)
            return stale(c);
        return shmqi_reader_advance(c) ? stale(c) : SHMQ_OK;
    }
    if (h->open > 0)
        return SHMQ_OK;
    bool was_lost = h->lost;
    int rc = shmqi_member_viewed(c, h) && !was_lost ? moved(c) : SHMQ_OK;
    bool waits = (c->flags & SHMQ_CONSUMER_MANUAL_ACK) && h->done < h->cnt;
    if (h->lost || (h->next_idx == h->cnt && !waits)) {
        shmqi_held_free(c, h);
        shm_st(N2, &c->ring->endpoints[c->idx].holds, c->held_cnt);
    }
    return rc;
}

int shmq_consumer_release(struct shmq_consumer *c, struct shmq_message *msg)
{
    struct shmqi_held *h;
    int rc = find_held(c, msg, &h);
    if (rc)
        return rc;
    uint32_t idx = msg->internal[1];
    if (!shmqi_held_release(h, idx))
        return shmqi_fail(SHMQ_ERR_STALE, "message: released already");
    if (!(c->flags & SHMQ_CONSUMER_MANUAL_ACK)) {
        rc = ack(c, h, idx);
    }
    int rc2 = end_view(c, h);
    return shmqi_segment_result(c->segment, rc ? rc : rc2);
}

int shmq_consumer_ack(struct shmq_consumer *c, const struct shmq_message *msg)
{
    struct shmqi_held *h;
    int rc = find_held(c, msg, &h);
    if (rc)
        return rc;
    rc = ack(c, h, msg->internal[1]);
    int rc2 = end_view(c, h); /* it may have been released before */
    return shmqi_segment_result(c->segment, rc ? rc : rc2);
}

static int nack(
    struct shmq_consumer *c, struct shmq_message *msg, uint64_t delay_ns)
{
    struct shmqi_held *h;
    int rc = find_held(c, msg, &h);
    if (rc)
        return rc;
    if (c->mode == SHMQI_MODE_EPHEMERAL)
        return shmqi_fail(SHMQ_ERR_INVAL,
            "nack: an ephemeral reader has "
            "nobody to give a record to; use a group");
    if (c->mode == SHMQI_MODE_EXCLUSIVE && delay_ns)
        return shmqi_fail(SHMQ_ERR_INVAL,
            "nack: an exclusive reader gets the record itself; wait before "
            "the nack, or use a shared group");
    if (!shmqi_held_release(h, msg->internal[1]))
        return shmqi_fail(SHMQ_ERR_STALE, "message: released already");
    if (c->mode == SHMQI_MODE_EXCLUSIVE) {
        shmqi_reader_rewind(c, h, msg->internal[1]);
        return shmqi_segment_result(c->segment, SHMQ_OK);
    }
    rc = shmqi_member_nack(c, h, msg->internal[1], delay_ns) ? moved(c)
                                                             : SHMQ_OK;
    (void)end_view(c, h);
    return shmqi_segment_result(c->segment, rc);
}

int shmq_consumer_nack(struct shmq_consumer *c, struct shmq_message *msg)
{
    return nack(c, msg, 0);
}

int shmq_consumer_nack_later(
    struct shmq_consumer *c, struct shmq_message *msg, uint64_t delay_ns)
{
    if (delay_ns > NACK_DELAY_MAX_NS)
        return shmqi_fail(SHMQ_ERR_INVAL, "nack: a delay of at most 24 h");
    return nack(c, msg, delay_ns);
}

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
    return shmqi_segment_result(
        c->segment, __builtin_expect(rc == SHMQ_ERR_STALE, 0) ? stale(c) : rc);
}

static __attribute__((noinline)) int poll_all(
    struct shmq_consumer *c, handler_fn *handler, void *ctx, uint32_t max)
{
    if (!c || !handler)
        return shmqi_fail(SHMQ_ERR_INVAL, "poll: no consumer or no handler");
    if (!shmqi_same_process(c->generation))
        return forked();
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

/* -- position, seek, fd
 * ------------------------------------------------------------*/

int shmq_consumer_gap(const struct shmq_consumer *c, struct shmq_gap *ret)
{
    if (!c || !ret)
        return shmqi_fail(SHMQ_ERR_INVAL, "gap: no consumer or no place");
    if (!c->gap_known)
        return SHMQ_ERR_NOENT;
    *ret = c->gap;
    return SHMQ_OK;
}

static int usable(const struct shmq_consumer *c)
{
    if (!c)
        return shmqi_fail(SHMQ_ERR_INVAL, "consumer: none given");
    if (!shmqi_same_process(c->generation))
        return forked();
    return shmqi_segment_result(c->segment, SHMQ_OK);
}

int shmq_consumer_seek(struct shmq_consumer *c, const struct shmq_start *start)
{
    int rc = usable(c);
    if (rc == SHMQ_OK)
        rc = start ? shmqi_start_check(start)
                   : shmqi_fail(SHMQ_ERR_INVAL, "seek: no start");
    if (rc)
        return rc;
    if (c->mode == SHMQI_MODE_SHARED)
        return shmqi_fail(SHMQ_ERR_INVAL,
            "seek: a shared group is moved by "
            "shmq_group_reset(), for all its members");
    c->empty_at = NULL;
    rc = shmqi_reader_seek(c, start);
    return shmqi_segment_result(
        c->segment, rc == SHMQ_ERR_STALE ? stale(c) : rc);
}

int shmq_consumer_extend(struct shmq_consumer *c)
{
    int rc = usable(c);
    if (rc == SHMQ_OK && c->mode == SHMQI_MODE_SHARED)
        shmqi_member_renew(c);
    return shmqi_segment_result(c->segment, rc);
}

int shmq_consumer_position(struct shmq_consumer *c, uint64_t *ret_position)
{
    int rc = usable(c);
    if (rc)
        return rc;
    if (!ret_position)
        return shmqi_fail(SHMQ_ERR_INVAL, "position: no place for it");
    uint64_t position = c->mode == SHMQI_MODE_SHARED ? shmqi_member_floor(c)
                                                     : shmqi_reader_position(c);
    rc = shmqi_segment_result(c->segment, SHMQ_OK);
    if (rc == SHMQ_OK)
        *ret_position = position;
    return rc;
}

int shmq_consumer_created_group(const struct shmq_consumer *c)
{
    return c && c->mode != SHMQI_MODE_EPHEMERAL && c->member.created;
}

uint32_t shmq_consumer_endpoint(const struct shmq_consumer *c)
{
    return c->idx;
}

static int drained(struct shmq_consumer *c)
{
    uint64_t end = shmqi_ring_end(c->ring);
    if (c->mode == SHMQI_MODE_SHARED)
        return shmqi_member_floor(c) >= end;
    if (c->mode == SHMQI_MODE_EPHEMERAL)
        return shmqi_reader_position(c) >= end;
    if (shmqi_reader_flush(c))
        return stale(c);
    return (c->done_pos < c->freeze ? c->done_pos : c->freeze) >= end;
}

int shmq_consumer_drained(struct shmq_consumer *c)
{
    int rc = usable(c);
    return rc ? rc : shmqi_segment_result(c->segment, drained(c));
}

int shmq_consumer_fd(struct shmq_consumer *c, int *ret_fd)
{
    int rc = usable(c);
    if (rc)
        return rc;
    if (!ret_fd)
        return shmqi_fail(SHMQ_ERR_INVAL, "fd: no place for it");
    c->empty_at = NULL;
    if (!c->has_poll) {
        rc = open_fifo(c);
        if (rc)
            return rc;
        c->has_poll = true;
        /* Readable at once: the caller's first receive finds out. */
        (void)shmqi_poll_arm(&c->poll, c->segment, c->idx, 1);
    }
    *ret_fd = c->poll.epoll_fd;
    return SHMQ_OK;
}
