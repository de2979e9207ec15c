/* spsc.h - the ring of bytes: publish by one store.
 *
 * Records stand one after the other, 8-aligned, each begun by its commit word
 * {length, position}. Position = byte offset since the topic began; ring
 * offset = position modulo the ring's bytes. A record never wraps: a pad
 * record fills the end.
 *
 * Invariant ZERO: the word where the next record will begin is 0 from before
 * the previous record is committed until it is committed itself.
 * Invariant ROOM: [pos, end + 8) is written only when end + 8 <= gate + ring
 * bytes; the gate is a record boundary.
 *
 * Crash argument: until its commit word is stored (W1) a record lies behind a
 * zero word that no reader passes; the store makes it whole. The role passes
 * on proof of death only; the successor walks from the hint over commit words
 * to the zero one and goes on there. Everything else (hint, counters) is
 * repeated by it. */
#ifndef SHMQI_SPSC_H
#define SHMQI_SPSC_H

#include "frame.h"
#include "gate.h"

#define SHMQI_SPSC_HEAD 32u /* shmqi_spsc_shm and shmqi_record_shm */
#define SHMQI_CHECKPOINTS 16u
#define SHMQI_PART_LG2_MAX 16u
/* Positions stay below: cursors hold 52 bits of them. 41 days at 10 GB/s. */
#define SHMQI_SPSC_END (1ull << 55)

/* The producing side's private state. */
struct shmqi_writer {
    uint64_t pos; /* where the next record begins */
    /* A record that ends at or below needs nothing but to be written: there is
     * room, it does not wrap, the bytes are given up, no part of the ring ends
     * in it, no loan is out. 0: look at everything. */
    uint64_t easy_end;
    struct shmqi_gate gate;
    uint64_t reclaimed; /* as stored; it only goes up */
    uint64_t checkpoint[SHMQI_CHECKPOINTS]; /* record boundaries, newest at
                                               [checkpoint_cnt - 1 mod] */
    uint32_t checkpoint_cnt;
};

/* Of a scribbled position (hint, gate) that is not 8-aligned, the word it lies
 * in: the last one must not reach beyond the ring. */
static inline shmqi_word *shmqi_spsc_at(
    const struct shmqi_ring *r, uint64_t pos)
{
#ifdef SHMQ_BUG_POSITION_UNALIGNED
    return (shmqi_word *)(void *)(r->arena_base + (pos & (r->arena_bytes - 1)));
#else
    return (shmqi_word *)(void *)(r->arena_base + (pos & (r->arena_bytes - 8)));
#endif
}

/* A known record boundary at or after `want`, so that those who join at the
 * gate begin at a record; else the end. */
static inline uint64_t shmqi_spsc_boundary(
    const struct shmqi_writer *w, uint64_t want)
{
    uint64_t best = w->pos;
    uint32_t have = w->checkpoint_cnt < SHMQI_CHECKPOINTS ? w->checkpoint_cnt
                                                          : SHMQI_CHECKPOINTS;
    for (uint32_t i = 1; i <= have; i++) {
        uint64_t b = w->checkpoint[(w->checkpoint_cnt - i) % SHMQI_CHECKPOINTS];
        if (b >= want && b < best)
            best = b;
    }
    return best;
}

static inline void shmqi_spsc_checkpoint(struct shmqi_writer *w, uint64_t pos)
{
    w->checkpoint[w->checkpoint_cnt % SHMQI_CHECKPOINTS] = pos;
    w->checkpoint_cnt++;
}

/* Remembers a boundary whenever another 1/16 of the ring has been filled. */
static inline void shmqi_spsc_note(
    const struct shmqi_ring *r, struct shmqi_writer *w, uint64_t was)
{
    if ((was ^ w->pos) >> (r->arena_lg2 - 4))
        shmqi_spsc_checkpoint(w, w->pos);
}

/* Makes sure that bytes up to `end` (exclusive) and the next commit word may
 * be written. Returns 0, FULL, CLOSED. */
static inline int shmqi_spsc_room(
    const struct shmqi_ring *r, struct shmqi_writer *w, uint64_t end)
{
    uint64_t ring = r->arena_bytes;
    if (__builtin_expect(end + 8 <= w->gate.seq + ring, 1))
        return SHMQ_OK;
    if (end + ring >= SHMQI_SPSC_END)
        return SHMQ_ERR_LIMIT;
    uint64_t want = shmqi_spsc_boundary(w, end + 8 - ring);
    shm_st(W4, &r->data->hint, w->pos);
    int rc = shmqi_gate_refresh(r, &w->gate, want, &w->pos);
    if (rc)
        return rc;
    return end + 8 <= w->gate.seq + ring ? SHMQ_OK : SHMQ_ERR_FULL;
}

/* The end of the part in which `pos` lies: 1/16 of the ring, 64 KiB at most, so
 * that nobody who starts at the hint has far to walk. */
static inline uint64_t shmqi_spsc_part_end(
    const struct shmqi_ring *r, uint64_t pos)
{
    uint32_t lg2 = r->arena_lg2 - 4 < SHMQI_PART_LG2_MAX ? r->arena_lg2 - 4
                                                         : SHMQI_PART_LG2_MAX;
    return ((pos >> lg2) + 1) << lg2;
}

/* Declares everything below `end` + 8 - ring bytes gone, before a byte of it
 * is overwritten; more at once, up to what this part of the ring will need,
 * where the gate allows it. Partner: readers that do not gate (R4). */
static inline void shmqi_spsc_reclaim(
    const struct shmqi_ring *r, struct shmqi_writer *w, uint64_t end)
{
    if (end + 8 > w->reclaimed + r->arena_bytes) {
        uint64_t need = end + 8 - r->arena_bytes;
        uint64_t part = shmqi_spsc_part_end(r, end);
        uint64_t more = part > r->arena_bytes ? part - r->arena_bytes : 0;
        if (more > w->gate.seq)
            more = w->gate.seq;
        w->reclaimed = more > need ? more : need;
        shm_st(W2, &r->data->reclaimed, w->reclaimed);
        shm_fence(W3);
    }
}

/* Finds out how far records need no further look. */
static inline void shmqi_spsc_ease(
    const struct shmqi_ring *r, struct shmqi_writer *w)
{
    uint64_t low = w->gate.seq < w->reclaimed ? w->gate.seq : w->reclaimed;
    uint64_t end = low + r->arena_bytes, part = shmqi_spsc_part_end(r, w->pos);
    w->easy_end = (end < part ? end : part) - 8;
}

/* Publishes [pos, pos + len) of which all but the commit word is written, and
 * moves on. */
static inline void shmqi_spsc_commit(
    const struct shmqi_ring *r, struct shmqi_writer *w, uint64_t len)
{
    uint64_t pos = w->pos;
    shm_st(W1, shmqi_spsc_at(r, pos), shmqi_commit((uint32_t)len, 0, pos));
    w->pos = pos + len;
    shm_st(W4, &r->data->hint, w->pos);
    shmqi_spsc_note(r, w, pos);
}

/* Zeroes the next commit word (invariant ZERO), then publishes. */
static inline void shmqi_spsc_finish(
    const struct shmqi_ring *r, struct shmqi_writer *w, uint64_t len)
{
#ifndef SHMQ_BUG_NO_ZERO_AHEAD
    shm_st(W5, shmqi_spsc_at(r, w->pos + len), 0);
#endif
    shmqi_spsc_commit(r, w, len);
}

/* The same, up to easy_end: nothing else is stored. */
static inline void shmqi_spsc_finish_easy(
    const struct shmqi_ring *r, struct shmqi_writer *w, uint64_t len)
{
    uint64_t pos = w->pos;
#ifndef SHMQ_BUG_NO_ZERO_AHEAD
    shm_st(W5, shmqi_spsc_at(r, pos + len), 0);
#endif
    shm_st(W1, shmqi_spsc_at(r, pos), shmqi_commit((uint32_t)len, 0, pos));
    w->pos = pos + len;
}

/* The commit word of a batch's later record: nobody passes the first, which is
 * still zero. */
static inline void shmqi_spsc_ahead(
    const struct shmqi_ring *r, uint64_t pos, uint64_t len)
{
    shm_st(W7, shmqi_spsc_at(r, pos), shmqi_commit((uint32_t)len, 0, pos));
}

/* Publishes a batch up to `end`, of which the first record has `first` bytes:
 * its commit word makes all of them visible at once. */
static inline void shmqi_spsc_finish_batch(const struct shmqi_ring *r,
    struct shmqi_writer *w, uint64_t first, uint64_t end)
{
    uint64_t pos = w->pos;
    shm_st(W5, shmqi_spsc_at(r, end), 0);
    shm_st(W1, shmqi_spsc_at(r, pos), shmqi_commit((uint32_t)first, 0, pos));
    w->pos = end;
    shm_st(W4, &r->data->hint, end);
    shmqi_spsc_note(r, w, pos);
}

/* Finds `len` contiguous bytes at the writer's position, behind a pad where
 * the end of the ring is too near. Until it is committed the memory is
 * private. Returns 0 and the position, FULL, CLOSED. */
static inline int shmqi_spsc_reserve(const struct shmqi_ring *r,
    struct shmqi_writer *w, uint64_t len, uint64_t *ret_pos)
{
    uint64_t off = w->pos & (r->arena_bytes - 1);
    uint64_t pad = off + len > r->arena_bytes ? r->arena_bytes - off : 0;
    int rc = shmqi_spsc_room(r, w, w->pos + pad + len);
    if (rc)
        return rc;
    if (pad) {
        uint64_t pos = w->pos;
        shmqi_spsc_reclaim(r, w, pos + pad);
        shm_st(W5, shmqi_spsc_at(r, pos + pad), 0);
        shm_st(W1, shmqi_spsc_at(r, pos),
            shmqi_commit((uint32_t)pad, SHMQI_COMMIT_PAD, pos));
        w->pos = pos + pad;
        shm_st(W4, &r->data->hint, w->pos);
        /* Not behind the pad: who stands before it has lost nothing when that
         * is all that goes. */
        shmqi_spsc_checkpoint(w, pos);
    }
    shmqi_spsc_reclaim(r, w, w->pos + len);
    *ret_pos = w->pos;
    return SHMQ_OK;
}

/* A commit word where nothing pins the memory: it may by now be in the middle
 * of a later record, that is, written by a plain store. Whoever loads it checks
 * afterwards what it was worth. The thread sanitizer cannot know this; from it
 * alone the load is hidden. */
static inline uint64_t shmqi_spsc_word(const struct shmqi_ring *r, uint64_t pos)
{
#ifdef SHMQI_TSAN
    return shmqi_word_racy((const void *)shmqi_spsc_at(r, pos));
#else
    return shm_ld(R1, shmqi_spsc_at(r, pos));
#endif
}

static inline uint64_t shmqi_spsc_word_again(
    const struct shmqi_ring *r, uint64_t pos)
{
#ifdef SHMQI_TSAN
    return shmqi_spsc_word(r, pos);
#else
    return shm_ld(R3, shmqi_spsc_at(r, pos));
#endif
}

/* Walks commit words from the boundary `pos` until `stop` or the end.
 * Returns the first boundary at or after `stop`, or the end; UINT64_MAX for
 * nonsense. Bounded by the ring's words. */
static inline uint64_t shmqi_spsc_walk(
    const struct shmqi_ring *r, uint64_t pos, uint64_t stop)
{
    for (uint64_t i = 0; i <= r->arena_bytes / 8 && pos < stop; i++) {
        uint64_t w = shmqi_spsc_word(r, pos);
        if (w == 0)
            return pos;
        uint64_t len = shmqi_commit_len(w);
        uint64_t off = pos & (r->arena_bytes - 1);
#ifdef SHMQ_BUG_WALK_UNBOUNDED
        i = 0;
        if (!shmqi_commit_fits(w, pos) || len > r->arena_bytes - off)
            return UINT64_MAX;
#else
        if (!shmqi_commit_fits(w, pos) || len < 8 || len > r->arena_bytes - off)
            return UINT64_MAX;
#endif
        pos += len;
    }
    return pos;
}

/* What stands at `pos` for a reader. */
enum shmqi_spsc_seen {
    SHMQI_SPSC_EMPTY,
    SHMQI_SPSC_RECORD,
    SHMQI_SPSC_PAD,
    SHMQI_SPSC_NONSENSE /* overwritten, or damaged */
};

static inline enum shmqi_spsc_seen shmqi_spsc_judge(
    const struct shmqi_ring *r, uint64_t pos, uint64_t w)
{
    uint64_t len = shmqi_commit_len(w);
    if (w == 0)
        return SHMQI_SPSC_EMPTY;
    if (!shmqi_commit_fits(w, pos) || len < 8 ||
        len > r->arena_bytes - (pos & (r->arena_bytes - 1)))
        return SHMQI_SPSC_NONSENSE;
    if (shmqi_commit_is_pad(w))
        return SHMQI_SPSC_PAD;
    return len < SHMQI_SPSC_HEAD ? SHMQI_SPSC_NONSENSE : SHMQI_SPSC_RECORD;
}

static inline enum shmqi_spsc_seen shmqi_spsc_look(
    const struct shmqi_ring *r, uint64_t pos, uint64_t *ret_word)
{
    *ret_word = shm_ld(R1, shmqi_spsc_at(r, pos));
    return shmqi_spsc_judge(r, pos, *ret_word);
}

/* For readers that do not gate: what was read is believed only after copying
 * and shmqi_spsc_copy_valid(). */
static inline enum shmqi_spsc_seen shmqi_spsc_look_racy(
    const struct shmqi_ring *r, uint64_t pos, uint64_t *ret_word)
{
    *ret_word = shmqi_spsc_word(r, pos);
    return shmqi_spsc_judge(r, pos, *ret_word);
}

/* True when bytes from `pos` on may have been overwritten. */
static inline bool shmqi_spsc_given_up(const struct shmqi_ring *r, uint64_t pos)
{
    shm_fence(R2);
    return shm_ld(R4, &r->data->reclaimed) > pos;
}

/* True when what was copied from `pos` (commit word `w`) was intact. */
static inline bool shmqi_spsc_copy_valid(
    const struct shmqi_ring *r, uint64_t pos, uint64_t w)
{
    shm_fence(R2);
    return shmqi_spsc_word_again(r, pos) == w &&
        shm_ld(R4, &r->data->reclaimed) <= pos;
}

#endif
