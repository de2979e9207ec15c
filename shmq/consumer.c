/* consumer.c - a consumer handle: opening, closing, its place, its descriptor.
 */
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
/* Expired frames in hand beside the application's. */
#define EXPIRED_MAX 64u
#define PREFETCH_MAX 1024u

/* -- open
 * -----------------------------------------------------------------------*/

static int check_options(const struct shmq_consumer_options *o)
{
    const uint32_t read =
        SHMQ_CONSUMER_READ_PUBLISHED | SHMQ_CONSUMER_READ_DURABLE;
    const uint32_t known = SHMQ_CONSUMER_NO_CREATE | SHMQ_CONSUMER_COPY |
        SHMQ_CONSUMER_MANUAL_ACK | read;
    if ((o->flags & read) == read)
        return shmqi_fail(
            SHMQ_ERR_INVAL, "consumer: read published or durable, not both");
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
        c->held_limit = c->held_max;
        if (c->past && c->mode == SHMQI_MODE_SHARED &&
            (c->ring->flags & SHMQ_TOPIC_TTL_DEAD_LETTER))
            c->held_max += EXPIRED_MAX;
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
    if (rc == SHMQ_OK)
        rc = shmqi_segment_settle(s);
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
    rc = shmqi_past_open(c, o.group != NULL);
    if (rc == SHMQ_OK)
        rc = open_mode(c, &o);
    if (rc) {
        shmqi_past_free(c);
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
    if (c->has_bell)
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
        shmqi_dead_close(c);
        leave(c);
    }
    for (uint32_t i = 0; i < c->held_max; i++) {
        free(c->held[i].copy);
        free(c->held[i].bits);
    }
    free(c->held);
    free(c->delayed);
    free(c->dead.dying);
    shmqi_past_free(c);
    free(c);
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
        return shmqi_consumer_forked();
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
        c->segment, rc == SHMQ_ERR_STALE ? shmqi_consumer_stale(c) : rc);
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
        return shmqi_consumer_stale(c);
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
        rc = shmqi_consumer_open_poll(c);
        if (rc)
            return rc;
        c->has_poll = true;
        /* Readable at once: the caller's first receive finds out. */
        (void)shmqi_poll_arm(&c->poll, c->segment, c->idx, 1);
    }
    *ret_fd = c->poll.epoll_fd;
    return SHMQ_OK;
}
