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
#include "role.h"

#define SKIP_LAPS 4

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

/* -- floor
 * ------------------------------------------------------------------------*/

uint64_t shmqi_reader_position(const struct shmq_consumer *c)
{
    if (c->current != UINT32_MAX) {
        const struct shmqi_held *h = &c->held[c->current];
        if (h->next_idx < h->cnt)
            return shmqi_held_pos(c, h, h->next_idx);
    }
    return shmqi_is_mpmc(c) ? shmqi_pos(c->next, c->next_idx) : c->next;
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
    if (!shmqi_floor_move(shmqi_group_of(c), &c->floor_word, w)) {
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
        c->done_pos =
            shmqi_is_mpmc(c) ? shmqi_pos(h->seq + 1, 0) : h->seq + h->len;
        c->unflushed += shmqi_is_mpmc(c)
            ? h->len + c->ring->arena_bytes / (1ull << c->ring->cap_lg2)
            : h->len;
        shmqi_held_free(c, h);
        c->first++;
    }
    if (c->first == c->last) /* behind a pad or a gap, perhaps */
        c->done_pos =
            shmqi_is_mpmc(c) ? shmqi_pos(c->next, c->next_idx) : c->next;
    /* A quarter: large frames then do not each cost a CAS of the floor. An spsc
     * ring needs room in one piece, so there it is an eighth. */
    if (c->mode == SHMQI_MODE_EXCLUSIVE &&
        c->unflushed >= c->ring->arena_bytes / (shmqi_is_mpmc(c) ? 4 : 8))
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
    c->next = shmqi_is_mpmc(c) ? h->seq + 1 : h->seq + h->len;
    c->next_idx = 0;
    h->serial = ++c->serial;
    h->next_idx = idx;
    uint32_t off = shmqi_is_mpmc(c) ? (uint32_t)sizeof(struct shmqi_frame_shm)
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

/* -- taking the next frame
 * ----------------------------------------------------------*/

void shmqi_reader_saw(struct shmq_consumer *c)
{
    uint64_t after = shmqi_reader_position(c);
    if (after <= c->seen_pos)
        return;
    c->seen_pos = after;
#ifndef SHMQ_BUG_SEEN_NOT_STORED
    shm_st(V4, &shmqi_group_of(c)->seen,
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
            (void)shm_add(N3, &shmqi_group_of(c)->redelivered, 1);
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
        return shmqi_reader_lapped(c);
    uint32_t slot = 0;
    struct shmqi_held *h = new_held(c, &slot);
    if (!h)
        return SHMQ_ERR_LIMIT;
    int rc = shmqi_held_fill(c, h, c->next, w);
    if (rc) {
        shmqi_held_free(c, h);
        c->last--;
        if (rc == SHMQ_ERR_GAP)
            return shmqi_reader_lapped(c);
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
                ? shmqi_reader_lapped(c)
                : SHMQ_ERR_EMPTY;
        if (seen == SHMQI_SPSC_NONSENSE ||
            (seen == SHMQI_SPSC_PAD && c->copies &&
                !shmqi_spsc_copy_valid(c->ring, c->next, w)))
            return shmqi_reader_lapped(c);
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
        return rc == SHMQ_ERR_GAP ? shmqi_reader_lapped(c) : rc;
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
    if (shmqi_is_mpmc(c))
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
    rc = shmqi_is_mpmc(c) ? take_mpmc(c, &slot) : take_spsc(c, &slot);
    if (rc)
        return rc;
    c->current = slot;
    return hand(c, slot, ret);
}

/* -- for consumer_past.c -----------------------------------------------------
 */

int shmqi_reader_take(struct shmq_consumer *c, uint32_t *ret_slot)
{
    return shmqi_is_mpmc(c) ? take_mpmc(c, ret_slot) : take_spsc(c, ret_slot);
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
