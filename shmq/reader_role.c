/* reader_role.c - how a reader gets its place: the role of an exclusive group
 * and its floor, opening, closing, seeking (reader.c says what they rest on).
 */
#include "adopt.h"
#include "consumer_impl.h"
#include "error.h"
#include "reap.h"
#include "role.h"
#include "seek.h"

#define TAKE_TRIES 64

static int busy(struct shmq_consumer *c, uint32_t idx)
{
    struct shmqi_peer peer;
    char name[SHMQ_GROUP_MAX + 1];
    shmqi_group_name_read(c->ring, c->member.name_idx, name);
    if (idx < c->ring->endpoint_cnt && shmqi_peer_read(c->ring, idx, &peer))
        return shmqi_fail(SHMQ_ERR_BUSY,
            "group %s of %s: pid %u (%s) reads "
            "it; an exclusive group has one reader, wait or "
            "evict endpoint %u",
            name, c->segment->topic, peer.pid, peer.comm, idx);
    return shmqi_fail(SHMQ_ERR_BUSY,
        "group %s of %s: it has a reader; try "
        "again",
        name, c->segment->topic);
}

static uint32_t index_of(const struct shmqi_ring *r, uint64_t identity)
{
    for (uint32_t i = 0; i < r->endpoint_cnt; i++)
        if (shmqi_identity_at(r, i) == identity)
            return i;
    return UINT32_MAX;
}

/* Somebody who lost the role may still look at ring memory: then nobody may
 * move the floor. Both sides store, then look (seq_cst), so one sees it. */
static uint32_t still_viewing(struct shmq_consumer *c)
{
    const struct shmqi_ring *r = c->ring;
    for (uint32_t i = 0; i < r->endpoint_cnt; i++) {
        i = shmqi_role_viewer(
            r, c->member.entry, c->member.generation, c->idx, i);
        if (i == r->endpoint_cnt)
            break;
        uint64_t identity = shmqi_identity_at(r, i);
        if (identity && !shmqi_endpoint_dead(c->segment, i, identity))
            return i;
    }
    return UINT32_MAX;
}

static int take_role(struct shmq_consumer *c)
{
    struct shmqi_group_shm *g = shmqi_group_of(c);
    for (int i = 0; i < TAKE_TRIES; i++) {
        uint64_t holder = shm_ld(V2, &g->reader);
        if (holder != 0) {
            uint32_t idx = index_of(c->ring, holder);
            if (idx != UINT32_MAX) {
                if (!shmqi_reap_if_dead(c->segment, c->idx, idx))
                    return busy(c, idx);
                continue;
            }
        }
        if (!shmqi_role_take(g, holder, c->identity))
            continue;
        uint32_t viewer = still_viewing(c);
        if (viewer == UINT32_MAX)
            return SHMQ_OK;
        shmqi_role_give(g, c->identity);
        return busy(c, viewer);
    }
    return busy(c, UINT32_MAX);
}

/* A reader killed inside a seek left its pin: the place counts only at or above
 * the gate as it is after everybody was told (pin.h). */
static int settle_pin(struct shmq_consumer *c)
{
    uint64_t was = c->done_pos;
    if (!shmqi_pin_inherit(
            c->ring, shmqi_group_of(c), &c->floor_word, &c->done_pos))
        return busy(c, UINT32_MAX);
    if (was == c->done_pos)
        return SHMQ_OK;
    struct shmq_gap g = {was, c->done_pos, 0, UINT64_MAX, SHMQ_GAP_DROPPED, 0};
    if (shmqi_is_mpmc(c))
        g.frames = shmqi_pos_seq(c->done_pos) - shmqi_pos_seq(was);
    c->gap = g;
    c->gap_pending = c->gap_known = true;
    return SHMQ_OK;
}

/* Fences earlier readers off and learns where to go on. */
static int take_floor(struct shmq_consumer *c)
{
    const struct shmqi_ring *r = c->ring;
    struct shmqi_group_shm *g = shmqi_group_of(c);
    for (int i = 0; i < TAKE_TRIES; i++) {
        uint64_t seen, tag;
        enum shmqi_role_tagged how =
            shmqi_role_tag(g, c->identity, &c->floor_word, &tag, &seen);
        if (how == SHMQI_TAG_LOST)
            break;
        if (how == SHMQI_TAG_AGAIN)
            continue;
        c->done_pos = shmqi_pos_of(r, c->floor_word);
        /* A seen word of another reader's time says nothing for sure. */
        c->redeliver_until = shmqi_cursor_tag(seen) == (tag & ~SHMQI_TAG_PIN)
            ? shmqi_pos_of(r, seen)
            : shmqi_ring_end(r);
        c->seen_pos =
            c->redeliver_until > c->done_pos ? c->redeliver_until : c->done_pos;
        int rc = tag & SHMQI_TAG_PIN ? settle_pin(c) : SHMQ_OK;
        if (rc == SHMQ_OK)
            shm_st(V4, &g->seen,
                shmqi_cursor_of(
                    r, shmqi_cursor_tag(c->floor_word), c->seen_pos));
        return rc;
    }
    return busy(c, UINT32_MAX);
}

int shmqi_reader_still_ours(struct shmq_consumer *c)
{
    if (c->stale)
        return SHMQ_ERR_STALE;
    if (c->mode != SHMQI_MODE_EXCLUSIVE)
        return SHMQ_OK;
    if (shmqi_role_mine(shmqi_group_of(c), c->identity))
        return SHMQ_OK;
    c->stale = true;
    return SHMQ_ERR_STALE;
}

void shmqi_reader_set_next(struct shmq_consumer *c, uint64_t pos, uint64_t skip)
{
    c->next = shmqi_is_mpmc(c) ? shmqi_pos_seq(pos) : pos;
    c->next_idx = shmqi_is_mpmc(c) ? shmqi_pos_idx(pos) : 0;
    c->skip_before = skip;
    c->done_pos = pos;
    c->freeze = UINT64_MAX;
    c->role_cnt = 0;
}

/* Nothing holds the memory that is walked over: when it has been given up
 * meanwhile, what was found means nothing. */
static uint64_t seek_unpinned(
    struct shmq_consumer *c, const struct shmq_start *from, uint64_t *ret_skip)
{
    const struct shmqi_ring *r = c->ring;
    for (int i = 0; i < TAKE_TRIES; i++) {
        uint64_t low = shmqi_ring_low(r);
        uint64_t pos = shmqi_seek(r, from, low, ret_skip);
        if (shmqi_is_mpmc(c) || !shmqi_spsc_given_up(r, low))
            return pos;
    }
    *ret_skip = 0;
    return shmqi_ring_end(r);
}

int shmqi_reader_open(struct shmq_consumer *c, const struct shmq_start *start)
{
    uint64_t skip = 0;
    if (c->mode == SHMQI_MODE_EPHEMERAL) {
        struct shmq_start from = *start;
        if (from.kind == SHMQ_START_DEFAULT)
            from.kind = SHMQ_START_LATEST;
        if (c->past)
            return shmqi_past_seek(c, &from);
        shmqi_reader_set_next(c, seek_unpinned(c, &from, &skip), skip);
        return SHMQ_OK;
    }
    int rc = take_role(c);
    if (rc == SHMQ_OK)
        rc = take_floor(c);
    if (rc == SHMQ_OK)
        shmqi_reader_set_next(c, c->done_pos, 0);
    if (rc == SHMQ_OK && c->member.created &&
        start->kind == SHMQ_START_POSITION)
        c->skip_before = shmqi_is_mpmc(c) ? 0 : start->value;
    return rc;
}

void shmqi_reader_close(struct shmq_consumer *c)
{
    if (c->mode != SHMQI_MODE_EXCLUSIVE)
        return;
    /* Nobody looks any more: what was acknowledged and never released counts.
     */
    for (uint64_t i = c->first; i != c->last; i++)
        c->held[i % c->held_max].open = 0;
    if (!c->stale && shmqi_reader_advance(c) == SHMQ_OK)
        (void)shmqi_reader_flush(c);
    shmqi_view_end(c);
    shmqi_role_give(shmqi_group_of(c), c->identity);
}

static void drop_held(struct shmq_consumer *c)
{
    for (uint32_t i = 0; i < c->held_max; i++)
        shmqi_held_free(c, &c->held[i]);
    c->first = c->last = 0;
    c->current = UINT32_MAX;
}

/* The place is pinned first and the pin made known, then found at or above the
 * gate: gate.h. */
int shmqi_reader_seek(struct shmq_consumer *c, const struct shmq_start *start)
{
    const struct shmqi_ring *r = c->ring;
    uint64_t skip = 0, low = 0;
    struct shmq_start from = *start;
    if (from.kind == SHMQ_START_DEFAULT)
        from.kind = c->mode == SHMQI_MODE_EPHEMERAL ? SHMQ_START_LATEST
                                                    : SHMQ_START_EARLIEST;
    uint64_t past_pos = 0;
    /* Before anything is let go: where this fails, all stays as it was. */
    if (c->past) {
        int rc = shmqi_past_place(c->segment, &from, &past_pos);
        if (rc)
            return rc;
    }
    drop_held(c);
    c->gap_pending = false;
    if (c->past) {
        shmqi_past_go(c, &from, past_pos);
        return shmqi_reader_flush(c);
    }
    if (c->mode == SHMQI_MODE_EXCLUSIVE) {
        if (!shmqi_pin_seek(r, shmqi_group_of(c), &c->floor_word, &low))
            return shmqi_reader_still_ours(c) ? SHMQ_ERR_STALE
                                              : SHMQ_ERR_CORRUPT;
    }
    uint64_t pos = c->mode == SHMQI_MODE_EPHEMERAL
        ? seek_unpinned(c, &from, &skip)
        : shmqi_seek(r, &from, low, &skip);
    shmqi_reader_set_next(c, pos, skip);
    c->redeliver_until = 0;
    c->seen_pos = pos;
    if (c->mode == SHMQI_MODE_EXCLUSIVE) {
        uint64_t tag = shmqi_cursor_tag(c->floor_word) & ~SHMQI_TAG_PIN;
        shm_st(V4, &shmqi_group_of(c)->seen, shmqi_cursor_of(r, tag, pos));
        return shmqi_reader_flush(c);
    }
    return SHMQ_OK;
}
