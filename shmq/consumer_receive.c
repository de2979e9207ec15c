/* consumer_receive.c - taking records out, and waiting for them. */
#include <unistd.h>

#include "consumer_impl.h"
#include "error.h"
#include "process.h"
#include "reap.h"
#include "topic_impl.h"

#define SPIN_LOOKS 64
/* Empty calls, and time, between two looks at the peers. */
#define EMPTY_LOOKS 0x3fu
#define EMPTY_LOOK_NS 500000u

int shmqi_consumer_forked(void)
{
    return shmqi_fail(SHMQ_ERR_FORKED,
        "consumer: it belongs to the parent "
        "process; open one in the child");
}

int shmqi_consumer_stale(struct shmq_consumer *c)
{
    return shmqi_fail(SHMQ_ERR_STALE,
        "%s: the role has moved to another "
        "reader; open the consumer again",
        c->segment->topic);
}

/* For good. Claims made since then go back: nobody would ever end them. */
bool shmqi_consumer_evicted(struct shmq_consumer *c)
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

int shmqi_consumer_check_version(struct shmq_consumer *c, uint64_t version)
{
    if (version & SHMQI_DELETED)
        return shmqi_fail(
            SHMQ_ERR_CLOSED, "%s: the topic was removed", c->segment->topic);
    if (c->mode != SHMQI_MODE_EPHEMERAL) {
        int rc = shmqi_group_check(c->segment, &c->member);
        if (rc == SHMQ_OK && shmqi_consumer_evicted(c))
            rc = shmqi_consumer_stale(c);
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
        return shmqi_consumer_stale(c);
    if (c->mode == SHMQI_MODE_SHARED && (++c->empties & EMPTY_LOOKS) == 0)
        look_at_peers(c);
    return SHMQ_ERR_EMPTY;
}

int shmqi_consumer_outcome(struct shmq_consumer *c, int rc)
{
    if (rc == SHMQ_ERR_EMPTY)
        return report_empty(c);
    if (rc == SHMQ_ERR_GAP)
        c->gap_pending = false;
    if (rc == SHMQ_ERR_STALE)
        return shmqi_consumer_stale(c);
    if (rc == SHMQ_ERR_LIMIT)
        return shmqi_fail(rc,
            "%s: %u frames are held; release some, or open "
            "the consumer with more prefetch",
            c->segment->topic, c->held_limit);
    return rc;
}

static inline int look(struct shmq_consumer *c, struct shmq_message *ret)
{
    c->empty_at = NULL;
    uint64_t version = shm_ld(W6, &c->ring->control->version);
    if (__builtin_expect(version != c->version, 0)) {
        if (c->past)
            return shmqi_past_look(c, version, ret);
        int rc = shmqi_consumer_check_version(c, version);
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
    return shmqi_consumer_outcome(c, rc);
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
    return shmqi_dead_nap(c, ns, now);
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

int shmqi_consumer_bell(struct shmq_consumer *c)
{
    if (c->has_bell)
        return SHMQ_OK;
    int rc = shmqi_bell_open(&c->poll, c->segment, c->identity);
    c->has_bell = rc == SHMQ_OK;
    return rc;
}

int shmqi_consumer_open_poll(struct shmq_consumer *c)
{
    int rc = shmqi_consumer_bell(c);
    return rc ? rc : shmqi_poll_open(&c->poll, c->segment);
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
        return shmqi_consumer_forked();
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
        if (pidfd >= 0 && shmqi_consumer_open_poll(c) == SHMQ_OK) {
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
