/* stat.c - looking at a topic without touching it. */
#define _GNU_SOURCE
#include <shmq/stat.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "claims.h"
#include "error.h"
#include "frame.h"
#include "mpmc.h"
#include "past.h"
#include "relieve.h"
#include "seek.h"
#include "spsc.h"
#include "topic_impl.h"
#include "watermarks.h"

struct depth {
    uint64_t messages, bytes;
    int64_t first_time; /* of the oldest record counted, 0: none */
};

/* -- what lies between two positions
 * ---------------------------------------------*/

static void count_frame(
    const struct shmqi_ring *r, uint64_t w, uint32_t from, struct depth *d)
{
    struct shmqi_frame f;
    struct shmqi_view v;
    if (!shmqi_frame_open(r, w, &f))
        return;
    if (d->first_time == 0)
        d->first_time = (int64_t)f.head.time_ns;
    uint32_t off = sizeof f.head;
    for (uint32_t i = 0; i < f.head.record_cnt; i++, off = v.next) {
        if (!shmqi_record_view(f.bytes, f.head.len_bytes, off, &v))
            return;
        if (i < from)
            continue;
        d->messages++;
        d->bytes += v.size;
    }
}

static void count_mpmc(
    const struct shmqi_ring *r, uint64_t from, uint64_t to, struct depth *d)
{
    uint64_t n = 1ull << r->cap_lg2, seq = shmqi_pos_seq(from), w;
    uint64_t end = shmqi_pos_seq(to);
    if (end > n && seq < end - n)
        seq = end - n;
    for (; seq < end; seq++)
        if (shmqi_mpmc_look(r, seq, &w) == 0)
            count_frame(
                r, w, seq == shmqi_pos_seq(from) ? shmqi_pos_idx(from) : 0, d);
}

static void count_spsc(
    const struct shmqi_ring *r, uint64_t from, uint64_t to, struct depth *d)
{
    uint64_t w, left = r->arena_bytes / 8; /* no more fit into the ring */
    for (uint64_t p = from; p < to && left-- > 0; p += shmqi_commit_len(w)) {
        enum shmqi_spsc_seen seen = shmqi_spsc_look(r, p, &w);
        if (seen == SHMQI_SPSC_EMPTY || seen == SHMQI_SPSC_NONSENSE)
            return;
        if (seen == SHMQI_SPSC_PAD)
            continue;
        const uint8_t *at = (const uint8_t *)(void *)shmqi_spsc_at(r, p);
        struct shmqi_record_shm rec;
        uint64_t time_ns;
        shmqi_copy_racy(&time_ns, at + 16, sizeof time_ns);
        shmqi_copy_racy(&rec, at + sizeof(struct shmqi_spsc_shm), sizeof rec);
        if (d->first_time == 0)
            d->first_time = (int64_t)time_ns;
        d->messages++;
        d->bytes += rec.size;
    }
}

static struct depth depth_of(
    const struct shmqi_ring *r, uint64_t from, uint64_t to)
{
    struct depth d = {0, 0, 0};
    if (from >= to)
        return d;
    if (r->ring == SHMQ_RING_MPMC)
        count_mpmc(r, from, to, &d);
    else
        count_spsc(r, from, to, &d);
    return d;
}

void shmqi_depth(const struct shmqi_ring *r, uint64_t from, uint64_t to,
    uint64_t *ret_messages, uint64_t *ret_bytes)
{
    struct depth d = depth_of(r, from, to);
    *ret_messages = d.messages;
    *ret_bytes = d.bytes;
}

/* As depth_of(); of a durable topic what has left the ring is counted in its
 * log. */
static struct depth history_of(
    const struct shmqi_segment *s, uint64_t from, uint64_t to)
{
    const struct shmqi_ring *r = &s->ring;
    uint64_t low = shmqi_ring_low(r);
    if (!r->marks || from >= low)
        return depth_of(r, from, to);
    struct shmqi_past_count c = {0, 0, 0};
    shmqi_past_count(s, from, low < to ? low : to, &c);
    struct depth d = depth_of(r, low, to);
    d.messages += c.messages;
    d.bytes += c.bytes;
    if (c.first_time_ns)
        d.first_time = c.first_time_ns;
    return d;
}

/* -- topic
 * ------------------------------------------------------------------------*/

static uint64_t file_bytes(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

static void sum_arenas(const struct shmqi_ring *r, struct shmq_topic_stat *st)
{
    for (uint32_t i = 0; i < r->producer_cnt; i++) {
        st->total_messages += shm_ld(N1, &r->arenas[i].messages);
        st->total_bytes += shm_ld(N1, &r->arenas[i].bytes);
        uint64_t owner = r->ring == SHMQ_RING_SPSC
            ? shm_ld(A1, &r->data->role)
            : shm_ld(A1, &r->arenas[i].owner);
        if (owner)
            st->leaked_loan_bytes += shm_ld(N1, &r->arenas[i].loaned_bytes);
    }
}

static void count_endpoints(
    struct shmqi_segment *s, struct shmq_topic_stat *st, bool *ret_waiting)
{
    for (uint32_t i = 0; i < s->ring.endpoint_cnt; i++) {
        struct shmqi_peer peer;
        if (!shmqi_peer_read(&s->ring, i, &peer) ||
            shmqi_endpoint_dead(s, i, peer.identity))
            continue;
        if (peer.role == SHMQ_ROLE_PRODUCER)
            st->producer_cnt++;
        else if (peer.role != SHMQ_ROLE_ADMIN)
            st->member_cnt++;
        if (shm_ld(T3, &s->ring.endpoints[i].waiting) == 2)
            *ret_waiting = true;
    }
}

/* A producer waits for room, or the slots are used up. */
static uint32_t ring_full(
    const struct shmqi_ring *r, bool waiting, uint64_t end)
{
    if (waiting)
        return 1;
    if (r->on_full == SHMQ_ON_FULL_DROP_OLD || r->ring != SHMQ_RING_MPMC)
        return 0;
    uint64_t seq = shmqi_pos_seq(end);
    return seq - shmqi_floors_min(r, seq) >= 1ull << r->cap_lg2;
}

int shmq_topic_stat(struct shmq_topic *topic, struct shmq_topic_stat *ret)
{
    struct shmqi_segment *s = NULL;
    int rc = shmqi_topic_look(topic, &s);
    if (rc)
        return rc;
    if (!ret || ret->struct_bytes != sizeof *ret)
        return shmqi_fail(SHMQ_ERR_INVAL,
            "stat: struct_bytes is not "
            "sizeof(struct shmq_topic_stat)");
    const struct shmqi_ring *r = &s->ring;
    struct shmq_topic_stat st;
    bool waiting = false;
    memset(&st, 0, sizeof st);
    st.struct_bytes = sizeof st;
    st.published_position = shmqi_ring_end(r);
    st.gate_position = st.earliest_position = shmqi_ring_low(r);
    if (r->marks) /* what the log still holds */
        st.earliest_position = shm_ld(M3, &r->marks->earliest);
    if (st.earliest_position > st.published_position)
        st.earliest_position = st.published_position;
    struct depth d = history_of(s, st.earliest_position, st.published_position);
    st.depth_messages = d.messages;
    st.depth_bytes = d.bytes;
    sum_arenas(r, &st);
    st.dropped_new = shm_ld(N1, &r->data->dropped_new);
    st.dropped_old = shm_ld(N1, &r->control->dropped_old);
    st.dropped_corrupt = shm_ld(N1, &r->control->dropped_corrupt);
    st.gap_retention = shm_ld(N1, &r->control->gap_retention);
    st.gap_truncated = shm_ld(N1, &r->control->gap_truncated);
    st.gap_lost = shm_ld(N1, &r->control->gap_lost);
    st.expired = shm_ld(N1, &r->control->expired);
    st.reaped = shm_ld(N1, &r->control->reaped);
    st.segment_bytes = file_bytes(shmqi_segment_data_fd(s)) +
        file_bytes(shmqi_segment_control_fd(s));
    st.capacity_bytes = r->arena_bytes;
    st.capacity_frames = r->ring == SHMQ_RING_MPMC ? 1ull << r->cap_lg2 : 0;
    count_endpoints(s, &st, &waiting);
    for (uint32_t i = 0; i < r->name_cnt; i++)
        st.group_cnt += shmqi_bind_entry(shm_ld(J11, &r->names[i].bind)) != 0;
    st.ring_full = ring_full(r, waiting, st.published_position);
    rc = shmqi_segment_result(s, SHMQ_OK);
    if (rc == SHMQ_OK)
        *ret = st;
    return rc;
}

int shmq_topic_range(
    struct shmq_topic *topic, uint64_t *ret_earliest, uint64_t *ret_published)
{
    struct shmqi_segment *s = NULL;
    int rc = shmqi_topic_look(topic, &s);
    if (rc)
        return rc;
    if (!ret_earliest || !ret_published)
        return shmqi_fail(SHMQ_ERR_INVAL, "range: no place for it");
    uint64_t end = shmqi_ring_end(&s->ring);
    uint64_t low = s->ring.marks ? shm_ld(M3, &s->ring.marks->earliest)
                                 : shmqi_ring_low(&s->ring);
    rc = shmqi_segment_result(s, SHMQ_OK);
    if (rc == SHMQ_OK) {
        *ret_earliest = low < end ? low : end;
        *ret_published = end;
    }
    return rc;
}

/* -- groups
 * ------------------------------------------------------------------------*/

static void count_members(struct shmqi_segment *s, uint32_t entry,
    uint32_t generation, struct shmq_group_stat *g)
{
    uint64_t naming = shmqi_naming(entry, generation);
    for (uint32_t i = 0; i < s->ring.endpoint_cnt; i++) {
        uint64_t identity = shmqi_identity_at(&s->ring, i);
        if (identity && !(identity & SHMQI_IDENTITY_INIT) &&
            shm_ld(J6, &s->ring.endpoints[i].member_of) == naming &&
            !shmqi_endpoint_dead(s, i, identity))
            g->member_cnt++;
    }
}

static uint32_t count_claimed(
    struct shmqi_segment *s, uint32_t entry, uint64_t floor)
{
    const struct shmqi_ring *r = &s->ring;
    shmqi_word *words = r->claims + ((uint64_t)entry << r->claim_lg2);
    uint64_t window = 1ull << r->claim_lg2, seq = shmqi_pos_seq(floor);
    uint32_t cnt = 0;
    for (uint64_t q = seq; q < seq + window; q++) {
        struct shmqi_claim k =
            shmqi_claim_unpack(shm_ld(S2, &words[q & (window - 1)]));
        cnt += k.lap == shmqi_claim_lap(q, r->claim_lg2) &&
            (k.state == SHMQI_CLAIM_CLAIMED ||
                k.state == SHMQI_CLAIM_DEADLETTER);
    }
    return cnt;
}

static void fill_group(struct shmqi_segment *s, uint32_t name_idx,
    uint32_t entry, struct shmq_group_stat *g)
{
    const struct shmqi_ring *r = &s->ring;
    struct shmqi_group_shm *shm = &r->groups[entry];
    struct shmqi_member m;
    memset(g, 0, sizeof *g);
    memset(&m, 0, sizeof m);
    shmqi_group_name_read(r, name_idx, g->name);
    shmqi_group_read_attrs(s, entry, &m);
    g->kind = m.kind;
    g->absent = m.absent;
    g->max_attempts = m.max_attempts;
    g->lease_ns = m.lease_ns;
    memcpy(g->dead_letter, m.dead_letter, sizeof g->dead_letter - 1);
    g->floor_position = shmqi_pos_of(r, shm_ld(J9, &shm->floor));
    uint64_t end = shmqi_ring_end(r);
    struct depth d = history_of(s, g->floor_position, end);
    g->lag_messages = d.messages;
    g->lag_bytes = d.bytes;
    /* Any bits may stand there as a time. */
    int64_t age = (int64_t)(shmqi_now_realtime() - (uint64_t)d.first_time);
    g->oldest_unread_ns = d.messages && age > 0 ? age : 0;
    uint64_t w = shm_ld(J1, &shm->word);
    count_members(s, entry, shmqi_gword_unpack(w).generation, g);
    if (m.kind == SHMQ_GROUP_SHARED)
        g->claimed = count_claimed(s, entry, g->floor_position);
    g->redelivered = shm_ld(N1, &shm->redelivered);
    g->dead_lettered = shm_ld(N1, &shm->dead_lettered);
    g->expired = shm_ld(N1, &shm->expired);
    g->dead_waits = shm_ld(N1, &shm->dead_waits);
    if (g->member_cnt == 0)
        g->idle_since_ns = (int64_t)shm_ld(N1, &shm->idle_since_ns);
    g->gates =
        r->gated_by == SHMQI_GATED_BY_GROUPS && shmqi_group_gates(r, entry, w);
}

static int by_name(const void *a, const void *b)
{
    const struct shmq_group_stat *x = a, *y = b;
    return strcmp(x->name, y->name);
}

int shmq_topic_groups(struct shmq_topic *topic, struct shmq_group_stat *buf,
    uint32_t cap, uint32_t *ret_cnt)
{
    struct shmqi_segment *s = NULL;
    int rc = shmqi_topic_look(topic, &s);
    if (rc)
        return rc;
    if (!ret_cnt || (cap && !buf))
        return shmqi_fail(SHMQ_ERR_INVAL, "groups: no place for them");
    struct shmq_group_stat *all = calloc(s->ring.group_cnt, sizeof *all);
    if (!all)
        return shmqi_fail(SHMQ_ERR_NOMEM, "no memory");
    uint32_t cnt = 0;
    for (uint32_t i = 0; i < s->ring.name_cnt && cnt < s->ring.group_cnt; i++) {
        uint32_t entry = shmqi_bind_entry(shm_ld(J11, &s->ring.names[i].bind));
#ifdef SHMQ_BUG_ENTRY_UNCHECKED
        if (entry != 0)
#else
        if (entry != 0 && entry <= s->ring.group_cnt)
#endif
            fill_group(s, i, entry - 1, &all[cnt++]);
    }
    qsort(all, cnt, sizeof *all, by_name);
    rc = shmqi_segment_result(s, SHMQ_OK);
    if (rc == SHMQ_OK && cap)
        memcpy(buf, all, (cnt < cap ? cnt : cap) * sizeof *all);
    free(all);
    if (rc == SHMQ_OK)
        *ret_cnt = cnt;
    return rc;
}

/* -- endpoints
 * ----------------------------------------------------------------------*/

static void name_group(
    struct shmqi_segment *s, uint32_t idx, struct shmq_endpoint_stat *e)
{
    struct shmqi_ring *r = &s->ring;
    uint64_t naming = shm_ld(J6, &r->endpoints[idx].member_of);
    uint32_t entry = (uint32_t)(naming >> 28) - 1;
    if (naming == 0 || entry >= r->group_cnt)
        return;
    uint64_t a = shm_ld(N1, &r->groups[entry].attrs);
    shmqi_group_name_read(r, (uint32_t)(a >> 32) & 0xffffff, e->group);
}

static void fill_endpoint(struct shmqi_segment *s, uint32_t idx,
    const struct shmqi_peer *peer, struct shmq_endpoint_stat *e)
{
    struct shmqi_ring *r = &s->ring;
    struct shmqi_endpoint_shm *shm = &r->endpoints[idx];
    memset(e, 0, sizeof *e);
    e->id = idx;
    e->role = peer->role;
    e->state = shmqi_peer_state(s, idx, peer);
    e->pid = (int32_t)peer->pid;
    e->identity = peer->identity;
    e->since_ns = (int64_t)peer->since_ns;
    memcpy(e->comm, peer->comm, sizeof e->comm);
    name_group(s, idx, e);
    e->holds_frames = shm_ld(N1, &shm->holds);
    e->messages = shm_ld(N1, &shm->messages);
    e->waiting = (uint32_t)shm_ld(T3, &shm->waiting);
    if (e->role == SHMQ_ROLE_PRODUCER && r->ring == SHMQ_RING_MPMC)
        for (uint32_t i = 0; i < r->producer_cnt; i++)
            if (shm_ld(A1, &r->arenas[i].owner) == peer->identity)
                e->messages = shm_ld(N1, &r->arenas[i].messages);
}

/* Who holds whom up: the responsible endpoint of the lowest floor blocks all
 * producers that wait for room. */
static void fill_blocks(
    struct shmqi_segment *s, struct shmq_endpoint_stat *buf, uint32_t cnt)
{
    struct shmqi_blamed b;
    if (!shmqi_blame_find(s, &b))
        return;
    for (uint32_t i = 0; i < cnt; i++) {
        if (buf[i].id != b.endpoint)
            continue;
        for (uint32_t k = 0; k < cnt; k++) {
            if (buf[k].waiting != 2)
                continue;
            if (buf[i].block_cnt < 16)
                buf[i].blocks[buf[i].block_cnt] = buf[k].id;
            buf[i].block_cnt++;
        }
    }
}

int shmq_topic_endpoints(struct shmq_topic *topic,
    struct shmq_endpoint_stat *buf, uint32_t cap, uint32_t *ret_cnt)
{
    struct shmqi_segment *s = NULL;
    int rc = shmqi_topic_look(topic, &s);
    if (rc)
        return rc;
    if (!ret_cnt || (cap && !buf))
        return shmqi_fail(SHMQ_ERR_INVAL, "endpoints: no place for them");
    uint32_t cnt = 0;
    for (uint32_t i = 0; i < s->ring.endpoint_cnt; i++) {
        struct shmqi_peer peer;
        if (!shmqi_peer_read(&s->ring, i, &peer))
            continue;
        if (cnt < cap)
            fill_endpoint(s, i, &peer, &buf[cnt]);
        cnt++;
    }
    fill_blocks(s, buf, cnt < cap ? cnt : cap);
    rc = shmqi_segment_result(s, SHMQ_OK);
    if (rc == SHMQ_OK)
        *ret_cnt = cnt;
    return rc;
}
