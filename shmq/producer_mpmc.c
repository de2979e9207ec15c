/* producer_mpmc.c - frames in the own arena, published by a slot. */
#include <string.h>

#include "copy.h"
#include "error.h"
#include "frame.h"
#include "mpmc.h"
#include "mpmc_easy.h"
#include "producer_impl.h"
#include "record.h"

int shmqi_mpmc_open(struct shmq_producer *p)
{
    int rc = shmqi_arena_adopt(p->segment, p->identity, &p->gate, &p->arena);
    if (rc)
        return rc;
    p->words = &p->ring->arenas[p->arena.idx];
    p->messages = shm_ld(N1, &p->words->messages);
    p->bytes = shm_ld(N1, &p->words->bytes);
    return SHMQ_OK;
}

void shmqi_mpmc_close(struct shmq_producer *p)
{
    shm_st(N2, &p->words->loaned_bytes, 0);
    shmqi_arena_leave(p->segment, p->identity, &p->arena);
}

/* The publish itself, of an allocated and written piece. */
static int publish_piece(struct shmq_producer *p, uint64_t piece, uint32_t cnt,
    uint64_t bytes, uint64_t *ret_seq)
{
    struct shmqi_piece *pc = shmqi_piece(&p->arena, piece);
    uint64_t off = ((uint64_t)p->arena.idx << p->ring->arena_lg2) + pc->off;
    int rc =
        shmqi_mpmc_publish(p->ring, &p->gate, off / SHMQI_FRAME_UNIT, ret_seq);
    if (rc)
        return rc;
    pc->seq = *ret_seq;
    pc->state = SHMQI_PIECE_PUBLISHED;
    p->sequence += cnt;
    shmqi_wake_members(p->segment);
    shmqi_count(p, cnt, bytes);
    return SHMQ_OK;
}

int shmqi_mpmc_put_one(struct shmq_producer *p, const void *data, uint64_t size,
    uint64_t *ret_position)
{
    uint64_t len = sizeof(struct shmqi_frame_shm) + shmqi_record_len(size, 0);
    uint64_t piece, seq;
    int rc = shmqi_arena_alloc(
        p->ring, &p->arena, &p->gate, shmqi_round_unit(len), &piece);
    if (rc)
        return rc;
    uint8_t *at = p->arena.base + shmqi_piece(&p->arena, piece)->off;
    shmqi_frame_head(p, at, 1, len);
    struct shmqi_record_shm rec = {(uint32_t)size, 0, 0};
    shmqi_put(at + sizeof(struct shmqi_frame_shm), &rec, sizeof rec);
    shmqi_copy(at + sizeof(struct shmqi_frame_shm) + sizeof rec, data, size);
    rc = publish_piece(p, piece, 1, size, &seq);
    if (__builtin_expect(rc, 0)) {
        shmqi_arena_abort(&p->arena, piece);
        return rc;
    }
    shmqi_mpmc_prefetch_next(p, shmqi_round_unit(len));
    if (ret_position)
        *ret_position = shmqi_pos(seq, 0);
    return SHMQ_OK;
}

/* Length and payload of a record with attributes. */
static int attributed(const struct shmq_producer *p,
    const struct shmq_record *rec, uint64_t *ret_len)
{
    uint32_t attrs = 0;
    int rc = shmqi_attrs_bytes(rec->attrs, rec->attr_cnt, &attrs);
    if (rc)
        return rc;
    if (rec->size + attrs > p->ring->max_message)
        return shmqi_too_large(p, rec->size + attrs);
    *ret_len = shmqi_record_len(rec->size, attrs);
    return SHMQ_OK;
}

/* Length of a record that is not plain, or why it is not legal. */
static __attribute__((noinline)) int unusual(const struct shmq_producer *p,
    const struct shmq_record *rec, uint32_t idx, uint64_t *ret_len)
{
    if (rec->size > p->max_message)
        return shmqi_too_large(p, rec->size);
    if (rec->size && !rec->data)
        return shmqi_fail(
            SHMQ_ERR_INVAL, "publish: record %u has no data", idx);
    return rec->attr_cnt ? attributed(p, rec, ret_len) : SHMQ_OK;
}

/* Frame length of a batch, its payload bytes, or why it is not legal. */
static int batch_len(const struct shmq_producer *p,
    const struct shmqi_publish *pub, uint64_t *ret_len, uint64_t *ret_bytes)
{
    uint64_t len = sizeof(struct shmqi_frame_shm), bytes = 0;
    const uint64_t max = p->max_message;
    for (uint32_t i = 0; i < pub->cnt; i++) {
        const struct shmq_record *rec = &pub->records[i];
        uint64_t one = sizeof(struct shmqi_record_shm) + shmqi_pad8(rec->size);
        bool plain =
            (rec->size <= max) & (rec->attr_cnt == 0) & (rec->data != NULL);
        if (__builtin_expect(!plain, 0)) {
            int rc = unusual(p, rec, i, &one);
            if (rc)
                return rc;
        }
        len += one;
        bytes += rec->size;
    }
    if (pub->cnt > 1 &&
        (len > p->ring->arena_bytes / 2 || len > UINT32_MAX - 64u))
        return shmqi_fail(SHMQ_ERR_TOO_LARGE,
            "%s: the batch does not fit "
            "half the arena of %llu bytes; publish fewer at a "
            "time",
            p->segment->topic, (unsigned long long)p->ring->arena_bytes);
    *ret_len = len;
    *ret_bytes = bytes;
    return SHMQ_OK;
}

int shmqi_mpmc_put(struct shmq_producer *p, const struct shmqi_publish *pub)
{
    uint64_t len = 0, bytes = 0, piece = 0, seq = 0;
    int rc = batch_len(p, pub, &len, &bytes);
    if (rc == SHMQ_OK)
        rc = shmqi_arena_alloc(
            p->ring, &p->arena, &p->gate, shmqi_round_unit(len), &piece);
    if (rc)
        return rc;
    uint8_t *at = p->arena.base + shmqi_piece(&p->arena, piece)->off;
    shmqi_frame_head(p, at, pub->cnt, len);
    at += sizeof(struct shmqi_frame_shm);
    for (uint32_t i = 0; i < pub->cnt; i++) {
        const struct shmq_record *rec = &pub->records[i];
        if (__builtin_expect(rec->attr_cnt != 0, 0)) {
            uint32_t attrs = 0;
            (void)shmqi_attrs_bytes(rec->attrs, rec->attr_cnt, &attrs);
            at = shmqi_record_begin(
                at, rec->size, rec->attrs, rec->attr_cnt, attrs);
        } else {
            shmqi_put_word(at, rec->size); /* no attributes, flags 0 */
            at += sizeof(struct shmqi_record_shm);
        }
        shmqi_copy(at, rec->data, rec->size);
        at += shmqi_pad8(rec->size);
    }
    rc = publish_piece(p, piece, pub->cnt, bytes, &seq);
    if (rc) {
        shmqi_arena_abort(&p->arena, piece);
        return rc;
    }
    for (uint32_t i = 0; pub->positions && i < pub->cnt; i++)
        pub->positions[i] = shmqi_pos(seq, i);
    return SHMQ_OK;
}

/* -- loans -------------------------------------------------------------------
 */

int shmqi_mpmc_loan(struct shmq_producer *p, uint64_t size,
    const struct shmq_attr *attrs, uint32_t attr_cnt, struct shmq_loan *ret)
{
    uint32_t attr_bytes = 0;
    uint64_t piece;
    int rc = shmqi_attrs_bytes(attrs, attr_cnt, &attr_bytes);
    if (rc)
        return rc;
    if (size > p->ring->max_message || size + attr_bytes > p->ring->max_message)
        return shmqi_too_large(p, size + attr_bytes);
    if (p->loans == SHMQI_LOANS_MAX)
        return shmqi_fail(SHMQ_ERR_LIMIT,
            "%s: %u loans are out; commit or "
            "abort one",
            p->segment->topic, SHMQI_LOANS_MAX);
    uint64_t len =
        sizeof(struct shmqi_frame_shm) + shmqi_record_len(size, attr_bytes);
    if (shmqi_segment_deleted(p->segment))
        return SHMQ_ERR_CLOSED;
    rc = shmqi_arena_alloc(
        p->ring, &p->arena, &p->gate, shmqi_round_unit(len), &piece);
    if (rc)
        return rc;
    uint8_t *at = p->arena.base + shmqi_piece(&p->arena, piece)->off +
        sizeof(struct shmqi_frame_shm);
    ret->data = shmqi_record_begin(at, size, attrs, attr_cnt, attr_bytes);
    ret->size = size;
    ret->internal[0] = piece + 1; /* 0: void */
    ret->internal[1] = attr_bytes;
    p->loans++;
    shmqi_count_loan(p, (int64_t)shmqi_round_unit(len));
    return SHMQ_OK;
}

static int check_loan(
    const struct shmq_producer *p, const struct shmq_loan *loan)
{
    uint64_t piece = loan->internal[0] - 1;
    if (loan->internal[0] == 0 || piece < p->arena.first ||
        piece >= p->arena.last ||
        shmqi_piece(&p->arena, piece)->state != SHMQI_PIECE_LOANED)
        return shmqi_fail(SHMQ_ERR_INVAL,
            "loan: not one of this producer's, "
            "or committed already");
    return SHMQ_OK;
}

int shmqi_mpmc_commit(struct shmq_producer *p, struct shmq_loan *loan,
    uint64_t used, uint64_t *ret_position)
{
    int rc = check_loan(p, loan);
    if (rc)
        return rc;
    if (used > loan->size)
        return shmqi_fail(SHMQ_ERR_INVAL, "loan: %llu bytes used of %llu",
            (unsigned long long)used, (unsigned long long)loan->size);
    uint64_t piece = loan->internal[0] - 1, seq;
    struct shmqi_piece *pc = shmqi_piece(&p->arena, piece);
    uint64_t whole = pc->len;
    uint8_t *at = p->arena.base + pc->off;
    uint32_t attr_bytes = (uint32_t)loan->internal[1];
    shmqi_frame_head(p, at, 1,
        sizeof(struct shmqi_frame_shm) + shmqi_record_len(used, attr_bytes));
    struct shmqi_record_shm rec = {(uint32_t)used, (uint16_t)attr_bytes, 0};
    shmqi_put(at + sizeof(struct shmqi_frame_shm), &rec, sizeof rec);
    rc = publish_piece(p, piece, 1, used, &seq);
    if (rc)
        return rc;
    p->loans--;
    shmqi_count_loan(p, -(int64_t)whole);
    memset(loan, 0, sizeof *loan);
    if (ret_position)
        *ret_position = shmqi_pos(seq, 0);
    return SHMQ_OK;
}

int shmqi_mpmc_abort(struct shmq_producer *p, struct shmq_loan *loan)
{
    int rc = check_loan(p, loan);
    if (rc)
        return rc;
    uint64_t piece = loan->internal[0] - 1;
    shmqi_count_loan(p, -(int64_t)shmqi_piece(&p->arena, piece)->len);
    shmqi_arena_abort(&p->arena, piece);
    p->loans--;
    memset(loan, 0, sizeof *loan);
    return SHMQ_OK;
}
