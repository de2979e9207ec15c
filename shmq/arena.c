#define _GNU_SOURCE
#include "arena.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "adopt.h"
#include "endpoint.h"
#include "error.h"
#include "files.h"
#include "frame.h"
#include "mpmc.h"

#define FIRST_PIECES 64u

/* -- adoption
 * ------------------------------------------------------------------*/

static int by_offset(const void *a, const void *b)
{
    const struct shmqi_held *x = a, *y = b;
    return x->off < y->off ? -1 : x->off > y->off;
}

/* The range in this arena of the frame that slot word `w` names.
 * A header that makes no sense holds the arena up to its end. */
static void range_of(const struct shmqi_ring *r, const struct shmqi_arena *a,
    uint64_t w, struct shmqi_held *ret)
{
    uint64_t off = shmqi_slot_frame(w) * SHMQI_FRAME_UNIT;
    struct shmqi_frame f;
    off &= a->bytes - 1;
    ret->off = off;
    ret->end = a->bytes;
    if (shmqi_frame_open(r, w, &f))
        ret->end = off +
            ((f.head.len_bytes + SHMQI_FRAME_UNIT - 1) &
                ~(uint64_t)(SHMQI_FRAME_UNIT - 1));
}

/* Everything below the gate is given up now; frames from there on that lie in
 * this arena are held. tail has been helped and the gate refreshed before. */
static int scan(struct shmqi_segment *s, struct shmqi_arena *a,
    const struct shmqi_gate *gate)
{
    const struct shmqi_ring *r = &s->ring;
    uint64_t from, to, cap = 0;
    shmqi_adopt_range(r, gate, &from, &to);
    for (uint64_t q = from; q < to; q++) {
        uint64_t w;
        struct shmqi_held range;
        if (!shmqi_adopt_holds(r, a->idx, q, &w))
            continue;
        range_of(r, a, w, &range);
        range.seq = q;
        if (a->held_cnt == cap) {
            cap = cap ? cap * 2 : 64;
            void *more = realloc(a->held, cap * sizeof *a->held);
            if (!more)
                return shmqi_fail(SHMQ_ERR_NOMEM, "%s: no memory", s->topic);
            a->held = more;
        }
        a->held[a->held_cnt++] = range;
    }
    if (a->held_cnt)
        qsort(a->held, a->held_cnt, sizeof *a->held, by_offset);
    return SHMQ_OK;
}

static int take_free(
    struct shmqi_segment *s, uint64_t identity, struct shmqi_arena *a)
{
    struct shmqi_ring *r = &s->ring;
    for (uint32_t i = 0; i < r->producer_cnt; i++) {
        /* Whoever reaped its owner may not have been able to write here. */
        uint64_t owner = shmqi_arena_owner(r, i);
        if ((owner != 0 && !shmqi_identity_dead(s, owner)) ||
            !shmqi_arena_take(r, i, owner, identity))
            continue;
        a->idx = i;
        a->base = r->arena_base + ((uint64_t)i << r->arena_lg2);
        a->bytes = r->arena_bytes;
        return SHMQ_OK;
    }
    return shmqi_fail(SHMQ_ERR_LIMIT, "%s: all %u arenas have living owners",
        s->topic, r->producer_cnt);
}

static int reserve(struct shmqi_segment *s, const struct shmqi_arena *a)
{
    struct shmqi_plan plan;
    (void)shmqi_plan(&s->constants, &plan);
    int err = shmqi_segment_reserve(
        shmqi_segment_data_fd(s), plan.arenas + a->idx * a->bytes, a->bytes);
    if (err)
        return shmqi_fail_sys(err,
            "%s: cannot reserve a producer's %llu "
            "bytes in " SHMQI_DIR "; free space or make it "
            "larger",
            s->topic, (unsigned long long)a->bytes);
    return SHMQ_OK;
}

int shmqi_arena_adopt(struct shmqi_segment *s, uint64_t identity,
    struct shmqi_gate *gate, struct shmqi_arena *ret)
{
    struct shmqi_ring *r = &s->ring;
    struct shmqi_arena a;
    memset(&a, 0, sizeof a);
    int rc = take_free(s, identity, &a);
    if (rc)
        return rc;
    rc = reserve(s, &a);
    if (rc == SHMQ_OK)
        rc = shmqi_adopt_begin(r, gate);
    a.piece_cap = FIRST_PIECES;
    a.pieces = calloc(a.piece_cap, sizeof *a.pieces);
    if (rc == SHMQ_OK && !a.pieces)
        rc = shmqi_fail(SHMQ_ERR_NOMEM, "%s: no memory", s->topic);
    if (rc == SHMQ_OK)
        rc = scan(s, &a, gate);
    if (rc) {
        shmqi_arena_leave(s, identity, &a);
        return rc;
    }
    a.reclaimed = a.freed = shmqi_adopt_reclaimed(r, a.idx, gate);
    shm_st(N2, &r->arenas[a.idx].loaned_bytes, 0);
    *ret = a;
    return SHMQ_OK;
}

void shmqi_arena_leave(
    struct shmqi_segment *s, uint64_t identity, struct shmqi_arena *a)
{
    shmqi_arena_give(&s->ring, a->idx, identity);
    free(a->pieces);
    free(a->held);
    memset(a, 0, sizeof *a);
}

/* -- allocation
 * ----------------------------------------------------------------*/

/* First byte behind the held range that [off, off + len) would touch, or off
 * when it touches none. Ranges below the gate hold nothing any more. */
static uint64_t behind_held(
    struct shmqi_arena *a, uint64_t gate, uint64_t off, uint64_t len)
{
    uint32_t lo = 0, hi = a->held_cnt;
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (a->held[mid].end <= off)
            lo = mid + 1;
        else
            hi = mid;
    }
    for (; lo < a->held_cnt && a->held[lo].off < off + len; lo++) {
        struct shmqi_held *h = &a->held[lo];
#ifndef SHMQ_BUG_HELD_FORGOTTEN
        if (h->seq >= gate)
            return h->end;
#endif
        if (h->seq >= a->freed)
            a->freed = h->seq + 1;
    }
    return off;
}

/* Tries to place `len` bytes; on success *ret_off and *ret_taken. */
static bool find_place(struct shmqi_arena *a, uint64_t gate, uint64_t len,
    uint64_t *ret_off, uint64_t *ret_taken)
{
    uint64_t off = a->write, taken = 0;
    if (a->used == 0)
        off = 0;
    for (uint64_t i = 0; i <= (uint64_t)a->held_cnt + 1; i++) {
        if (off + len > a->bytes) { /* skip the end */
            taken += a->bytes - off;
            off = 0;
        }
        if (a->used + taken + len > a->bytes)
            return false;
        uint64_t free = a->held_cnt ? behind_held(a, gate, off, len) : off;
        if (free == off) {
            *ret_off = off;
            *ret_taken = taken + len;
            return true;
        }
        taken += free - off;
        off = free == a->bytes ? 0 : free;
    }
    return false;
}

static bool free_oldest(struct shmqi_arena *a, uint64_t gate)
{
    if (a->first == a->last)
        return false;
    struct shmqi_piece *p = shmqi_piece(a, a->first);
    if (p->state == SHMQI_PIECE_LOANED ||
        (p->state == SHMQI_PIECE_PUBLISHED && p->seq >= gate))
        return false;
    if (p->state == SHMQI_PIECE_PUBLISHED && p->seq >= a->freed)
        a->freed = p->seq + 1;
    a->used -= p->taken;
    a->first++;
    return true;
}

/* The sequence below which the gate must be for `len` bytes, and an eighth of
 * the arena, to become free. */
static uint64_t wanted(const struct shmqi_arena *a, uint64_t len)
{
    uint64_t need = len > a->bytes / 8 ? len : a->bytes / 8, sum = 0;
    uint64_t want = 0;
    /* Pieces of about one size: the one an eighth behind the oldest. */
    const struct shmqi_piece *eighth =
        shmqi_piece(a, a->first + (a->last - a->first) / 8);
    if (len <= a->bytes / 64 && eighth->state == SHMQI_PIECE_PUBLISHED &&
        a->last - a->first >= 64)
        return eighth->seq + 1;
    for (uint64_t i = a->first; i < a->last && sum < need; i++) {
        const struct shmqi_piece *p = shmqi_piece(a, i);
        if (p->state == SHMQI_PIECE_LOANED)
            break;
        if (p->state == SHMQI_PIECE_PUBLISHED && p->seq >= want)
            want = p->seq + 1;
        sum += p->taken;
    }
    return want;
}

static int more_pieces(struct shmqi_arena *a)
{
    uint64_t cap = a->piece_cap * 2;
    struct shmqi_piece *bigger = calloc(cap, sizeof *bigger);
    if (!bigger)
        return shmqi_fail(SHMQ_ERR_NOMEM, "no memory");
    for (uint64_t i = a->first; i < a->last; i++)
        bigger[i & (cap - 1)] = *shmqi_piece(a, i);
    free(a->pieces);
    a->pieces = bigger;
    a->piece_cap = cap;
    return SHMQ_OK;
}

/* Everything given up so far becomes known before a byte of it changes. */
static void tell_reclaimed(const struct shmqi_ring *r, struct shmqi_arena *a)
{
    if (a->freed > a->reclaimed) {
        a->reclaimed = a->freed;
        shmqi_arena_reclaim(r, a->idx, a->reclaimed);
    }
}

/* Free bytes behind `write`, up to the arena's end; none while old frames have
 * to be allocated around. */
static void find_room(struct shmqi_arena *a)
{
    uint64_t end = a->bytes - a->write, left = a->bytes - a->used;
    a->room = a->held_cnt ? 0 : end < left ? end : left;
}

/* Frames that earlier owners left are dropped once all are below the gate. */
static void forget_held(struct shmqi_arena *a, uint64_t gate)
{
    for (uint32_t i = 0; i < a->held_cnt; i++)
        if (a->held[i].seq >= gate)
            return;
    for (uint32_t i = 0; i < a->held_cnt; i++)
        if (a->held[i].seq >= a->freed)
            a->freed = a->held[i].seq + 1;
    a->held_cnt = 0;
}

static bool try_alloc(const struct shmqi_ring *r, struct shmqi_arena *a,
    uint64_t gate, uint64_t len, uint64_t *ret_piece)
{
    uint64_t off, taken;
    if (a->held_cnt)
        forget_held(a, gate);
    while (!find_place(a, gate, len, &off, &taken))
        if (!free_oldest(a, gate)) {
            /* What was freed is free: abort() may hand it out without coming
             * here again. */
            tell_reclaimed(r, a);
            return false;
        }
    /* Some more at once, so that the next calls need not come here. */
    for (uint64_t goal = a->used > a->bytes / 64 ? a->used - a->bytes / 64 : 0;
         a->used > goal && free_oldest(a, gate);)
        ;
    struct shmqi_piece *p = shmqi_piece(a, a->last);
    p->seq = 0;
    p->off = off;
    p->len = len;
    p->taken = taken;
    p->state = SHMQI_PIECE_LOANED;
    a->used += taken;
    a->write = off + len == a->bytes ? 0 : off + len;
    find_room(a);
    tell_reclaimed(r, a);
    *ret_piece = a->last++;
    return true;
}

int shmqi_arena_alloc_slow(const struct shmqi_ring *r, struct shmqi_arena *a,
    struct shmqi_gate *gate, uint64_t len, uint64_t *ret_piece)
{
    if (a->last - a->first == a->piece_cap) {
        while (
            a->last - a->first > a->piece_cap / 2 && free_oldest(a, gate->seq))
            ;
        tell_reclaimed(r, a);
        if (a->last - a->first == a->piece_cap) {
            int rc = more_pieces(a);
            if (rc)
                return rc;
        }
    }
    if (try_alloc(r, a, gate->seq, len, ret_piece))
        return SHMQ_OK;
    uint64_t want = wanted(a, len);
    for (int round = 0; round < 2; round++) {
        int rc = shmqi_gate_refresh(r, gate, want, NULL);
        if (rc)
            return rc;
        if (try_alloc(r, a, gate->seq, len, ret_piece))
            return SHMQ_OK;
        want = UINT64_MAX; /* skipped ends and held frames: take all */
    }
    return SHMQ_ERR_FULL;
}

void shmqi_arena_abort(struct shmqi_arena *a, uint64_t piece)
{
    struct shmqi_piece *p = shmqi_piece(a, piece);
    if (piece + 1 != a->last) {
        p->state = SHMQI_PIECE_ABORTED;
        return;
    }
    a->last--;
    a->used -= p->taken;
    /* Back to where it began, skipped bytes included. */
    uint64_t end = p->off + p->len;
    a->write = (end + a->bytes - p->taken % a->bytes) & (a->bytes - 1);
    if (a->used == 0)
        a->write = 0;
    find_room(a);
}
