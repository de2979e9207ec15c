/* arena.h - a producer's own payload memory: allocation, reuse, adoption.
 *
 * Invariant ARENA: bytes of an arena are written only by the endpoint whose
 * identity its owner word holds, and only outside frames that a reader may
 * still need: own frames not yet below the own gate (gate.h), and frames of
 * earlier owners ("held") likewise.
 * Before bytes of a frame are reused, `reclaimed` is raised above its sequence
 * (A5, then a release fence): readers that do not gate check it after copying.
 *
 * Frames are allocated one behind the other, 64-byte aligned, and freed in
 * allocation order, each under its own sequence. The order is private memory:
 * a successor finds what is still needed by scanning the ring's slots. */
#ifndef SHMQI_ARENA_H
#define SHMQI_ARENA_H

#include "gate.h"
#include "segment.h"

enum shmqi_piece_state {
    SHMQI_PIECE_LOANED,
    SHMQI_PIECE_PUBLISHED,
    SHMQI_PIECE_ABORTED
};

/* One allocation. `taken` counts skipped bytes before it, too. */
struct shmqi_piece {
    uint64_t seq;
    uint64_t off;
    uint64_t len;
    uint64_t taken;
    enum shmqi_piece_state state;
};

/* Bytes of an earlier owner's frame. */
struct shmqi_held {
    uint64_t off, end, seq;
};

struct shmqi_arena {
    uint32_t idx;
    uint8_t *base;
    uint64_t bytes;
    uint64_t write; /* next offset */
    uint64_t room; /* bytes from there that are free for sure */
    uint64_t used; /* bytes of all pieces, skipped ones included */
    struct shmqi_piece *pieces; /* ring of piece_cap, a power of two */
    uint64_t piece_cap, first, last; /* pieces [first, last) */
    struct shmqi_held *held;
    uint32_t held_cnt;
    uint64_t reclaimed;
    uint64_t freed; /* highest sequence given up, plus one */
};

/* Takes a free arena for `identity` and finds what earlier owners left in it.
 * LIMIT, NOSPACE, CLOSED, NOMEM. */
int shmqi_arena_adopt(struct shmqi_segment *s, uint64_t identity,
    struct shmqi_gate *gate, struct shmqi_arena *ret);
void shmqi_arena_leave(
    struct shmqi_segment *s, uint64_t identity, struct shmqi_arena *a);

/* Frees what may be freed and finds room. FULL, CLOSED, NOMEM. */
int shmqi_arena_alloc_slow(const struct shmqi_ring *r, struct shmqi_arena *a,
    struct shmqi_gate *gate, uint64_t len, uint64_t *ret_piece);

static inline struct shmqi_piece *shmqi_piece(
    const struct shmqi_arena *a, uint64_t piece)
{
    return &a->pieces[piece & (a->piece_cap - 1)];
}

/* Allocates `len` bytes; the piece is LOANED. *ret_piece stays the piece's
 * number until it is freed. */
static inline int shmqi_arena_alloc(const struct shmqi_ring *r,
    struct shmqi_arena *a, struct shmqi_gate *gate, uint64_t len,
    uint64_t *ret_piece)
{
    if (__builtin_expect(
            len > a->room || a->last - a->first == a->piece_cap, 0))
        return shmqi_arena_alloc_slow(r, a, gate, len, ret_piece);
    struct shmqi_piece *p = shmqi_piece(a, a->last);
    p->off = a->write;
    p->len = len;
    p->taken = len;
    p->state = SHMQI_PIECE_LOANED;
    a->write += len;
    a->used += len;
    a->room -= len;
    *ret_piece = a->last++;
    return SHMQ_OK;
}

/* Undoes an allocation. */
void shmqi_arena_abort(struct shmqi_arena *a, uint64_t piece);

#endif
