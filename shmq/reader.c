/* reader.c - exclusive and ephemeral readers of both rings.
 *
 * An exclusive group's floor is moved by its reader alone, by CAS from the word
 * it stored last. The tag in the floor is bumped by whoever takes the role
 * over or takes it away, so the CAS of a reader that was stopped meanwhile
 * fails. `seen` goes up before records are handed out: what lies between the
 * floor and it may have been handed out by a reader that died. */
#include <stdlib.h>
#include <string.h>

#include "adopt.h"
#include "consumer_impl.h"
#include "error.h"
#include "reap.h"
#include "role.h"
#include "seek.h"

#define TAKE_TRIES 64
#define SKIP_LAPS 4

static bool is_mpmc(const struct shmq_consumer *c)
{
    return c->ring->ring == SHMQ_RING_MPMC;
}

/* -- the role
 * -------------------------------------------------------------------*/

static struct shmqi_group_shm *group_of(const struct shmq_consumer *c)
{
    return &c->ring->groups[c->member.entry];
}

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
    struct shmqi_group_shm *g = group_of(c);
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
    if (!shmqi_pin_inherit(c->ring, group_of(c), &c->floor_word, &c->done_pos))
        return busy(c, UINT32_MAX);
    if (was == c->done_pos)
        return SHMQ_OK;
    struct shmq_gap g = {was, c->done_pos, 0, UINT64_MAX, SHMQ_GAP_DROPPED, 0};
    if (is_mpmc(c))
        g.frames = shmqi_pos_seq(c->done_pos) - shmqi_pos_seq(was);
    c->gap = g;
    c->gap_pending = c->gap_known = true;
    return SHMQ_OK;
}

/* Fences earlier readers off and learns where to go on. */
static int take_floor(struct shmq_consumer *c)
{
    const struct shmqi_ring *r = c->ring;
    struct shmqi_group_shm *g = group_of(c);
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
    if (shmqi_role_mine(group_of(c), c->identity))
        return SHMQ_OK;
    c->stale = true;
    return SHMQ_ERR_STALE;
}

int shmqi_view_begin(struct shmq_consumer *c)
{
    if (c->copies || c->viewing)
        return SHMQ_OK;
    c->viewing = true;
    bool exclusive = c->mode == SHMQI_MODE_EXCLUSIVE;
    int rc = c->stale ? SHMQ_ERR_STALE : SHMQ_OK;
    switch (shmqi_view_up(c->ring, c->idx, c->identity, c->member.entry,
        c->member.generation, exclusive)) {
    case SHMQI_VIEW_OK:
        break;
    case SHMQI_VIEW_EVICTED:
        rc = SHMQ_ERR_STALE;
        break;
    case SHMQI_VIEW_NOT_MINE:
        c->stale = true;
        rc = SHMQ_ERR_STALE;
        break;
    case SHMQI_VIEW_CHANGED:
        if (rc == SHMQ_OK)
            rc = shmqi_group_check(c->segment, &c->member);
        break;
    }
    if (rc)
        shmqi_view_end(c);
    return rc;
}

void shmqi_view_end(struct shmq_consumer *c)
{
    if (c->viewing) {
        shmqi_view_down(c->ring, c->idx);
        c->viewing = false;
    }
}

/* -- open, close, seek
 * -----------------------------------------------------------*/

void shmqi_reader_set_next(struct shmq_consumer *c, uint64_t pos, uint64_t skip)
{
    c->next = is_mpmc(c) ? shmqi_pos_seq(pos) : pos;
    c->next_idx = is_mpmc(c) ? shmqi_pos_idx(pos) : 0;
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
        if (is_mpmc(c) || !shmqi_spsc_given_up(r, low))
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
        c->skip_before = is_mpmc(c) ? 0 : start->value;
    return rc;
}

void shmqi_reader_close(struct shmq_consumer *c)
{
    if (c->mode != SHMQI_MODE_EXCLUSIVE)
        return;
    if (!c->stale)
        (void)shmqi_reader_flush(c);
    shmqi_view_end(c);
    shmqi_role_give(group_of(c), c->identity);
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
    drop_held(c);
    c->gap_pending = false;
    if (c->past) {
        int rc = shmqi_past_seek(c, &from);
        return rc ? rc : shmqi_reader_flush(c);
    }
    if (c->mode == SHMQI_MODE_EXCLUSIVE) {
        if (!shmqi_pin_seek(r, group_of(c), &c->floor_word, &low))
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
        shm_st(V4, &group_of(c)->seen, shmqi_cursor_of(r, tag, pos));
        return shmqi_reader_flush(c);
    }
    return SHMQ_OK;
}

/* -- floor
 * ------------------------------------------------------------------------*/

uint64_t shmqi_reader_position(const struct shmq_consumer *c)
{
    if (c->current != UINT32_MAX) {
        const struct shmqi_held *h = &c->held[c->current];
        if (h->next_idx < h->cnt)
            return shmqi_held_pos(c, h, h->next_idx);
    }
    return is_mpmc(c) ? shmqi_pos(c->next, c->next_idx) : c->next;
}

int shmqi_reader_flush(struct shmq_consumer *c)
{
    if (c->mode != SHMQI_MODE_EXCLUSIVE)
        return SHMQ_OK;
    uint64_t to = c->done_pos < c->freeze ? c->done_pos : c->freeze;
    uint64_t tag = shmqi_cursor_tag(c->floor_word) & ~SHMQI_TAG_PIN;
    uint64_t w = shmqi_cursor_of(c->ring, tag, to);
    c->unflushed = 0;
    if (w == c->floor_word)
        return SHMQ_OK;
    if (!shmqi_floor_move(group_of(c), &c->floor_word, w)) {
        c->stale = true;
        return SHMQ_ERR_STALE;
    }
    shmqi_wake_producers(c->segment);
    return SHMQ_OK;
}

/* Pops frames that are done in ring order. The floor is told now and then:
 * producers need it long before the ring is full. */
int shmqi_reader_advance(struct shmq_consumer *c)
{
    while (c->first < c->last) {
        struct shmqi_held *h = &c->held[c->first % c->held_max];
        if (h->used && h->done < h->cnt) {
            c->done_pos = shmqi_held_pos(c, h, h->done);
            return SHMQ_OK;
        }
        if (h->used && h->open > 0) /* acknowledged, but still looked at */
            return SHMQ_OK;
        c->done_pos = is_mpmc(c) ? shmqi_pos(h->seq + 1, 0) : h->seq + h->len;
        c->unflushed += is_mpmc(c)
            ? h->len + c->ring->arena_bytes / (1ull << c->ring->cap_lg2)
            : h->len;
        shmqi_held_free(c, h);
        c->first++;
    }
    if (c->first == c->last) /* behind a pad or a gap, perhaps */
        c->done_pos = is_mpmc(c) ? shmqi_pos(c->next, c->next_idx) : c->next;
    /* A quarter: large frames then do not each cost a CAS of the floor. An spsc
     * ring needs room in one piece, so there it is an eighth. */
    if (c->mode == SHMQI_MODE_EXCLUSIVE &&
        c->unflushed >= c->ring->arena_bytes / (is_mpmc(c) ? 4 : 8))
        return shmqi_reader_flush(c);
    return SHMQ_OK;
}

/* Record `idx` of `h` and everything after it will be handed out again. */
void shmqi_reader_rewind(
    struct shmq_consumer *c, struct shmqi_held *h, uint32_t idx)
{
    uint64_t slot = (uint64_t)(h - c->held);
    while (c->last > c->first && (c->last - 1) % c->held_max != slot) {
        shmqi_held_free(c, &c->held[(c->last - 1) % c->held_max]);
        c->last--;
    }
    if (c->seen_pos > c->redeliver_until)
        c->redeliver_until = c->seen_pos;
    c->next = is_mpmc(c) ? h->seq + 1 : h->seq + h->len;
    c->next_idx = 0;
    h->serial = ++c->serial;
    h->next_idx = idx;
    uint32_t off = is_mpmc(c) ? (uint32_t)sizeof(struct shmqi_frame_shm)
                              : (uint32_t)sizeof(struct shmqi_spsc_shm);
    struct shmqi_view v;
    for (uint32_t i = 0; i < idx; i++) {
        if (!shmqi_record_view(h->bytes, h->len, off, &v))
            break;
        off = v.next;
    }
    h->next_off = off;
    shmqi_held_forget(h, idx);
    c->current = (uint32_t)slot;
}

/* -- gaps
 * ---------------------------------------------------------------------------*/

shmqi_word *shmqi_gap_counter(const struct shmq_consumer *c, uint32_t reason)
{
    struct shmqi_control_shm *control = c->ring->control;
    switch ((enum shmq_gap_reason)reason) {
    case SHMQ_GAP_CORRUPT:
        return &control->dropped_corrupt;
    case SHMQ_GAP_RETENTION:
        return &control->gap_retention;
    case SHMQ_GAP_TRUNCATED:
        return &control->gap_truncated;
    case SHMQ_GAP_LOST:
        return &control->gap_lost;
    case SHMQ_GAP_DROPPED:
        break;
    }
    return &control->dropped_old;
}

int shmqi_reader_gap(
    struct shmq_consumer *c, uint64_t to_pos, uint64_t frames, uint32_t reason)
{
    uint64_t from = is_mpmc(c) ? shmqi_pos(c->next, c->next_idx) : c->next;
    struct shmq_gap g = {from, to_pos, frames, UINT64_MAX, reason, 0};
    c->gap = g;
    c->gap_known = true;
    (void)shm_add(N3, shmqi_gap_counter(c, reason), frames ? frames : 1);
    bool nothing_held = c->first == c->last;
    uint64_t freeze = c->freeze, done = c->done_pos;
    shmqi_reader_set_next(c, to_pos, c->skip_before);
    c->freeze = freeze;
    if (!nothing_held)
        c->done_pos = done;
    return SHMQ_ERR_GAP;
}

/* A gap ends where the next record begins. */
static uint64_t behind_pad(const struct shmqi_ring *r, uint64_t pos)
{
    uint64_t w;
    if (shmqi_spsc_look_racy(r, pos, &w) == SHMQI_SPSC_PAD &&
        shmqi_spsc_copy_valid(r, pos, w))
        return pos + shmqi_commit_len(w);
    return pos;
}

/* Overwritten: goes on where memory is not being reused. */
static int lapped(struct shmq_consumer *c)
{
    const struct shmqi_ring *r = c->ring;
    if (c->past)
        return SHMQI_LAPPED;
    uint64_t to = shmqi_ring_low(r);
    if (is_mpmc(c)) {
        uint64_t end = shmqi_mpmc_end(r), n = 1ull << r->cap_lg2;
        uint64_t seq = shmqi_pos_seq(to);
        if (end > n && seq < end - n)
            seq = end - n; /* a gate that lags: scribbled */
        if (seq <= c->next)
            seq = c->next + 1;
        return shmqi_reader_gap(
            c, shmqi_pos(seq, 0), seq - c->next, SHMQ_GAP_DROPPED);
    }
    if (to <= c->next)
        to = shmqi_ring_end(r);
    to = behind_pad(r, to);
    return shmqi_reader_gap(
        c, to > c->next ? to : c->next, 0, SHMQ_GAP_DROPPED);
}

/* -- taking the next frame
 * ----------------------------------------------------------*/

void shmqi_reader_saw(struct shmq_consumer *c)
{
    uint64_t after = shmqi_reader_position(c);
    if (after <= c->seen_pos)
        return;
    c->seen_pos = after;
#ifndef SHMQ_BUG_SEEN_NOT_STORED
    shm_st(V4, &group_of(c)->seen,
        shmqi_cursor_of(c->ring, shmqi_cursor_tag(c->floor_word), after));
#endif
}

static int hand(
    struct shmq_consumer *c, uint32_t slot, struct shmq_message *ret)
{
    struct shmqi_held *h = &c->held[slot];
    struct shmq_message msg;
    int rc = shmqi_held_hand(c, slot, &msg);
    if (rc) {
        /* The rest of the frame makes no sense: done with it. */
        h->done = h->next_idx = h->cnt;
        c->current = UINT32_MAX;
        if (h->open == 0)
            (void)shmqi_reader_advance(c);
        (void)shm_add(N3, &c->ring->control->dropped_corrupt, 1);
        c->gap = (struct shmq_gap){shmqi_held_pos(c, h, 0),
            shmqi_reader_position(c), 1, UINT64_MAX, SHMQ_GAP_CORRUPT, 0};
        c->gap_known = true;
        return SHMQ_ERR_GAP;
    }
    if (msg.position < c->redeliver_until) {
        msg.flags |= SHMQ_MESSAGE_REDELIVERED;
        msg.attempt = 1;
        if (c->mode == SHMQI_MODE_EXCLUSIVE)
            (void)shm_add(N3, &group_of(c)->redelivered, 1);
    }
    if (c->mode == SHMQI_MODE_EXCLUSIVE)
        shmqi_reader_saw(c);
    if (h->next_idx == h->cnt)
        c->current = UINT32_MAX;
    *ret = msg;
    return SHMQ_OK;
}

/* Skips to the record where reading begins in the middle of a frame. */
static void skip_records(struct shmqi_held *h, uint32_t idx)
{
    struct shmqi_view v;
    while (h->next_idx < idx && h->next_idx + 1 < h->cnt &&
        shmqi_record_view(h->bytes, h->len, h->next_off, &v)) {
        h->next_idx++;
        h->next_off = v.next;
    }
    h->done = h->next_idx;
}

/* Manual acknowledgement: the oldest frame, when nobody looks at it any more,
 * makes room; its records stay undone for the group. */
static struct shmqi_held *new_held(struct shmq_consumer *c, uint32_t *ret_slot)
{
    struct shmqi_held *h = shmqi_held_new(c, ret_slot);
    if (h || !(c->flags & SHMQ_CONSUMER_MANUAL_ACK))
        return h;
    h = &c->held[c->first % c->held_max];
    if (h->open > 0 || h->next_idx < h->cnt)
        return NULL;
    if (h->done < h->cnt && shmqi_held_pos(c, h, h->done) < c->freeze)
        c->freeze = shmqi_held_pos(c, h, h->done);
    h->done = h->cnt;
    (void)shmqi_reader_advance(c);
    return shmqi_held_new(c, ret_slot);
}

/* Once in shmqi_reader_next() and once for durable topics: no call there. */
#define TAKE static inline __attribute__((always_inline)) int

TAKE take_mpmc(struct shmq_consumer *c, uint32_t *ret_slot)
{
    uint64_t w;
    int64_t age = shmqi_mpmc_look(c->ring, c->next, &w);
    if (__builtin_expect(age < 0, 0))
        return SHMQ_ERR_EMPTY;
    if (age > 0)
        return lapped(c);
    uint32_t slot = 0;
    struct shmqi_held *h = new_held(c, &slot);
    if (!h)
        return SHMQ_ERR_LIMIT;
    int rc = shmqi_held_fill(c, h, c->next, w);
    if (rc) {
        shmqi_held_free(c, h);
        c->last--;
        if (rc == SHMQ_ERR_GAP)
            return lapped(c);
        if (rc == SHMQ_ERR_CORRUPT)
            return shmqi_reader_gap(
                c, shmqi_pos(c->next + 1, 0), 1, SHMQ_GAP_CORRUPT);
        return rc;
    }
    if (c->next_idx)
        skip_records(h, c->next_idx);
    c->next++;
    c->next_idx = 0;
    *ret_slot = slot;
    return SHMQ_OK;
}

uint64_t shmqi_author(struct shmq_consumer *c, uint64_t pos)
{
    uint64_t cnt = shm_ld(A3, &c->ring->data->role_cnt);
    if (cnt == c->role_cnt && pos >= c->role_from)
        return c->role_identity;
    c->role_identity =
        shmqi_writer_of(c->ring, pos, &c->role_cnt, &c->role_from);
    return c->role_identity;
}

TAKE fill_spsc(
    struct shmq_consumer *c, struct shmqi_held *h, uint64_t pos, uint64_t w)
{
    const uint8_t *at = (const uint8_t *)(void *)shmqi_spsc_at(c->ring, pos);
    uint32_t len = shmqi_commit_len(w);
    uint64_t head[2];
    h->bytes = at;
    if (c->copies) {
        int rc = shmqi_held_copy_room(c, h, len);
        if (rc)
            return rc;
        shmqi_copy_racy(h->copy, at, len);
        if (!shmqi_spsc_copy_valid(c->ring, pos, w))
            return SHMQ_ERR_GAP;
        h->bytes = h->copy;
    }
    shmqi_copy_racy(head, h->bytes + 8, sizeof head);
    h->seq = pos;
    h->len = len;
    h->cnt = 1;
    h->sequence = head[0];
    h->time_ns = head[1];
    h->producer = shmqi_author(c, pos);
    h->next_off = sizeof(struct shmqi_spsc_shm);
    return SHMQ_OK;
}

TAKE take_spsc(struct shmq_consumer *c, uint32_t *ret_slot)
{
    uint64_t w, skipped = 0;
    for (;;) {
        enum shmqi_spsc_seen seen = c->copies
            ? shmqi_spsc_look_racy(c->ring, c->next, &w)
            : shmqi_spsc_look(c->ring, c->next, &w);
        /* A zero may be the payload of a later lap; it is the end unless the
         * place has been given up. (The word itself may be committed at any
         * moment, so looking at it twice would prove nothing.) */
        if (seen == SHMQI_SPSC_EMPTY)
            return c->copies && shmqi_spsc_given_up(c->ring, c->next)
                ? lapped(c)
                : SHMQ_ERR_EMPTY;
        if (seen == SHMQI_SPSC_NONSENSE ||
            (seen == SHMQI_SPSC_PAD && c->copies &&
                !shmqi_spsc_copy_valid(c->ring, c->next, w)))
            return lapped(c);
        uint64_t len = shmqi_commit_len(w);
        if (seen == SHMQI_SPSC_RECORD && c->next >= c->skip_before)
            break;
        c->next += len;
        if (c->first == c->last)
            c->done_pos = c->next;
        /* A peer may write pads as fast as they are passed. */
        skipped += len;
        if (skipped > SKIP_LAPS * c->ring->arena_bytes)
            return SHMQ_ERR_EMPTY;
    }
    uint32_t slot = 0;
    struct shmqi_held *h = new_held(c, &slot);
    if (!h)
        return SHMQ_ERR_LIMIT;
    int rc = fill_spsc(c, h, c->next, w);
    if (rc) {
        shmqi_held_free(c, h);
        c->last--;
        return rc == SHMQ_ERR_GAP ? lapped(c) : rc;
    }
    c->next += h->len;
    *ret_slot = slot;
    return SHMQ_OK;
}

bool shmqi_reader_ready(const struct shmq_consumer *c)
{
    uint64_t w;
    if (c->current != UINT32_MAX)
        return true;
    if (is_mpmc(c))
        return shmqi_mpmc_look(c->ring, c->next, &w) >= 0;
    return shmqi_spsc_look(c->ring, c->next, &w) != SHMQI_SPSC_EMPTY;
}

int shmqi_reader_next(struct shmq_consumer *c, struct shmq_message *ret)
{
    if (c->current != UINT32_MAX)
        return hand(c, c->current, ret);
    int rc = shmqi_view_begin(c);
    if (rc)
        return rc;
    uint32_t slot = 0;
    rc = is_mpmc(c) ? take_mpmc(c, &slot) : take_spsc(c, &slot);
    if (rc)
        return rc;
    c->current = slot;
    return hand(c, slot, ret);
}

/* -- for consumer_past.c -----------------------------------------------------
 */

int shmqi_reader_take(struct shmq_consumer *c, uint32_t *ret_slot)
{
    return is_mpmc(c) ? take_mpmc(c, ret_slot) : take_spsc(c, ret_slot);
}

int shmqi_reader_hand(
    struct shmq_consumer *c, uint32_t slot, struct shmq_message *ret)
{
    return hand(c, slot, ret);
}

struct shmqi_held *shmqi_reader_new_held(
    struct shmq_consumer *c, uint32_t *ret_slot)
{
    return new_held(c, ret_slot);
}

void shmqi_reader_skip(struct shmqi_held *h, uint32_t idx)
{
    skip_records(h, idx);
}
