#include "origins.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

struct origin {
    uint64_t producer; /* first: the key */
    uint64_t next_seq; /* behind what it has published */
    uint32_t epoch;
    uint32_t piece_cnt, piece_cap;
    struct shmqz_piece *pieces; /* oldest first */
    struct origin *newer, *older; /* by when they were heard of */
};

struct shmqz_origins {
    void *by_producer;
    struct origin *newest, *oldest;
    uint32_t cnt, max, max_pieces;
};

static int by_producer(const void *a, const void *b)
{
    const struct origin *x = a, *y = b;
    return (x->producer > y->producer) - (x->producer < y->producer);
}

struct shmqz_origins *shmqz_origins_new(uint32_t max, uint32_t max_pieces)
{
    struct shmqz_origins *origins = calloc(1, sizeof *origins);
    if (!origins)
        return NULL;
    origins->max = max ? max : 1;
    origins->max_pieces = max_pieces ? max_pieces : 1;
    return origins;
}

static void unlink_origin(struct shmqz_origins *origins, struct origin *o)
{
    if (o->newer)
        o->newer->older = o->older;
    else
        origins->newest = o->older;
    if (o->older)
        o->older->newer = o->newer;
    else
        origins->oldest = o->newer;
}

static void link_newest(struct shmqz_origins *origins, struct origin *o)
{
    o->newer = NULL;
    o->older = origins->newest;
    if (o->older)
        o->older->newer = o;
    else
        origins->oldest = o;
    origins->newest = o;
}

static void forget(struct shmqz_origins *origins, struct origin *o)
{
    tdelete(o, &origins->by_producer, by_producer);
    unlink_origin(origins, o);
    origins->cnt--;
    free(o->pieces);
    free(o);
}

void shmqz_origins_free(struct shmqz_origins *origins)
{
    if (!origins)
        return;
    while (origins->oldest)
        forget(origins, origins->oldest);
    free(origins);
}

uint32_t shmqz_origins_cnt(const struct shmqz_origins *origins)
{
    return origins->cnt;
}

static struct origin *find(struct shmqz_origins *origins, uint64_t producer)
{
    struct origin probe;
    probe.producer = producer;
    struct origin **found = tfind(&probe, &origins->by_producer, by_producer);
    return found ? *found : NULL;
}

/* -- judging ----------------------------------------------------------------
 */

static enum shmqz_verdict judge(
    const struct shmqz_piece *piece, uint64_t expected, uint64_t *ret_expected)
{
    *ret_expected = expected;
    if (piece->sequence > expected)
        return SHMQZ_EARLY;
    if (piece->sequence == expected)
        return SHMQZ_TAKE;
    return expected - piece->sequence >= piece->record_cnt ? SHMQZ_REPEATED
                                                           : SHMQZ_OVERLAP;
}

enum shmqz_verdict shmqz_origins_judge_first(
    const struct shmqz_piece *piece, uint64_t settled, uint64_t *ret_expected)
{
    enum shmqz_verdict v = judge(piece, settled, ret_expected);
    /* What it says itself to have settled cannot be looked up. */
    return v == SHMQZ_REPEATED ? SHMQZ_OVERLAP : v;
}

enum shmqz_verdict shmqz_origins_judge(struct shmqz_origins *origins,
    const struct shmqz_piece *piece, uint64_t settled, uint64_t *ret_expected,
    struct shmqz_piece *ret)
{
    const struct origin *o = find(origins, piece->producer);
    if (!o)
        return SHMQZ_UNKNOWN;
    if (piece->epoch < o->epoch) {
        *ret_expected = o->next_seq;
        return SHMQZ_FENCED;
    }
    if (piece->epoch > o->epoch)
        return shmqz_origins_judge_first(piece, settled, ret_expected);
    uint64_t expected = o->next_seq > settled ? o->next_seq : settled;
    enum shmqz_verdict v = judge(piece, expected, ret_expected);
    if (v != SHMQZ_REPEATED)
        return v;
    *ret = *piece;
    ret->base_pos = ret->end_pos = 0;
    for (uint32_t i = 0; i < o->piece_cnt; i++)
        if (o->pieces[i].sequence == piece->sequence &&
            o->pieces[i].record_cnt == piece->record_cnt)
            *ret = o->pieces[i];
    return v;
}

/* -- keeping ----------------------------------------------------------------
 */

static struct origin *add_origin(
    struct shmqz_origins *origins, uint64_t producer, bool *ret_forgot)
{
    struct origin *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    o->producer = producer;
    if (!tsearch(o, &origins->by_producer, by_producer)) {
        free(o);
        return NULL;
    }
    link_newest(origins, o);
    if (++origins->cnt > origins->max) {
        forget(origins, origins->oldest);
        *ret_forgot = true;
    }
    return o;
}

static void touch(struct shmqz_origins *origins, struct origin *o)
{
    unlink_origin(origins, o);
    link_newest(origins, o);
}

void shmqz_origins_touch(struct shmqz_origins *origins, uint64_t producer)
{
    struct origin *o = find(origins, producer);
    if (o)
        touch(origins, o);
}

static bool keep_piece(struct shmqz_origins *origins, struct origin *o,
    const struct shmqz_piece *piece)
{
    if (o->piece_cnt == origins->max_pieces) {
        memmove(o->pieces, o->pieces + 1, --o->piece_cnt * sizeof *o->pieces);
    } else if (o->piece_cnt == o->piece_cap) {
        uint32_t cap = o->piece_cap ? o->piece_cap * 2 : 4;
        void *more = realloc(o->pieces, cap * sizeof *o->pieces);
        if (!more)
            return false;
        o->pieces = more;
        o->piece_cap = cap;
    }
    o->pieces[o->piece_cnt++] = *piece;
    return true;
}

bool shmqz_origins_add(struct shmqz_origins *origins,
    const struct shmqz_piece *piece, bool *ret_forgot)
{
    struct origin *o = find(origins, piece->producer);
    if (!o)
        o = add_origin(origins, piece->producer, ret_forgot);
    if (!o)
        return false;
    touch(origins, o);
    if (piece->epoch < o->epoch ||
        (piece->epoch == o->epoch && piece->sequence < o->next_seq))
        return true;
    if (piece->epoch > o->epoch)
        o->piece_cnt = 0;
    o->epoch = piece->epoch;
    o->next_seq = piece->sequence + piece->record_cnt;
    /* Without its place it is still known to be there. */
    (void)keep_piece(origins, o, piece);
    return true;
}

void shmqz_origins_settle(
    struct shmqz_origins *origins, uint64_t producer, uint64_t settled)
{
    struct origin *o = find(origins, producer);
    uint32_t n = 0;
    while (o && n < o->piece_cnt && o->pieces[n].sequence < settled)
        n++;
    if (n == 0)
        return;
    o->piece_cnt -= n;
    memmove(o->pieces, o->pieces + n, o->piece_cnt * sizeof *o->pieces);
}
