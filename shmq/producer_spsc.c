/* producer_spsc.c - records in the ring of bytes, published by a store. */
#include <string.h>

#include "adopt.h"
#include "copy.h"
#include "error.h"
#include "frame.h"
#include "producer_impl.h"
#include "reap.h"
#include "record.h"
#include "spsc_easy.h"

/* -- the role
 * -----------------------------------------------------------------*/

static int role_busy(struct shmqi_segment *s, uint64_t holder)
{
    for (uint32_t i = 0; i < s->ring.endpoint_cnt; i++) {
        struct shmqi_peer peer;
        if (shmqi_peer_read(&s->ring, i, &peer) && peer.identity == holder)
            return shmqi_fail(SHMQ_ERR_BUSY,
                "%s: pid %u (%s) is its producer "
                "and lives; an spsc topic has one at a time",
                s->topic, peer.pid, peer.comm);
    }
    return shmqi_fail(SHMQ_ERR_BUSY,
        "%s: it has a producer; an spsc topic has "
        "one at a time",
        s->topic);
}

int shmqi_spsc_busy(struct shmqi_segment *s)
{
    return role_busy(s, shmqi_writer_holder(&s->ring));
}

/* The role passes from nobody, or on proof of death (the attach has reaped). */
static int take_role(struct shmq_producer *p)
{
    struct shmqi_segment *s = p->segment;
    for (int i = 0; i < 16; i++) {
        uint64_t holder = shmqi_writer_holder(&s->ring);
        if (holder != 0 && !shmqi_identity_dead(s, holder)) {
            (void)shmqi_reap_all(s, p->idx);
            if (shmqi_writer_holder(&s->ring) == holder)
                return role_busy(s, holder);
            continue;
        }
        if (shmqi_writer_take(&s->ring, holder, p->identity))
            return SHMQ_OK;
    }
    return shmqi_fail(SHMQ_ERR_BUSY,
        "%s: its producer keeps changing; try "
        "again",
        s->topic);
}

int shmqi_spsc_open(struct shmq_producer *p)
{
    const struct shmqi_ring *r = p->ring;
    int rc = take_role(p);
    if (rc)
        return rc;
    memset(&p->writer, 0, sizeof p->writer);
    rc = shmqi_writer_begin(r, &p->writer);
    if (rc) {
        shmqi_writer_give(r, p->identity);
        return rc != SHMQ_ERR_CORRUPT
            ? rc
            : shmqi_fail(rc,
                  "%s: the ring is damaged at "
                  "position %llu; remove the topic with --force",
                  p->segment->topic, (unsigned long long)p->writer.pos);
    }
    shmqi_writer_enter(r, p->writer.pos, p->identity);
    p->words = &r->arenas[0];
    p->messages = shm_ld(N1, &p->words->messages);
    p->bytes = shm_ld(N1, &p->words->bytes);
    return SHMQ_OK;
}

void shmqi_spsc_close(struct shmq_producer *p)
{
    shm_st(W4, &p->ring->data->hint, p->writer.pos);
    shm_st(N2, &p->words->loaned_bytes, 0);
    shmqi_writer_give(p->ring, p->identity);
}

/* -- records
 * ------------------------------------------------------------------*/

#define SPSC_PREFIX (sizeof(struct shmqi_spsc_shm))

/* Writes sequence and time of the record at `pos`; its commit word comes
 * later. */
static uint8_t *begin(const struct shmq_producer *p, uint64_t pos,
    uint64_t sequence, uint64_t time_ns)
{
    uint8_t *at = (uint8_t *)(void *)shmqi_spsc_at(p->ring, pos);
    shmqi_put(at + 8, &sequence, 8);
    shmqi_put(at + 16, &time_ns, 8);
    return at + SPSC_PREFIX;
}

/* Zeroes the next commit word and publishes `len` bytes. */
static void finish(struct shmq_producer *p, uint64_t len, uint64_t size)
{
    shmqi_spsc_finish(p->ring, &p->writer, len);
    p->sequence++;
    shmqi_wake_members(p->segment);
    shmqi_count(p, 1, size);
}

static inline int usable(const struct shmq_producer *p)
{
    uint64_t version = shm_ld(W6, &p->ring->control->version);
    if (__builtin_expect(!(version & SHMQI_REFUSING) && p->loans == 0, 1))
        return SHMQ_OK;
    int refused = shmqi_refused(p->ring, version);
    if (refused == SHMQ_ERR_READ_ONLY)
        return refused;
    if (refused == SHMQ_OK && p->loans == 0)
        return SHMQ_OK;
    if (refused)
        return shmqi_fail(
            SHMQ_ERR_CLOSED, "%s: the topic was removed", p->segment->topic);
    return shmqi_fail(SHMQ_ERR_BUSY,
        "%s: a loan is out; commit or abort "
        "it first",
        p->segment->topic);
}
int shmqi_spsc_put_one(struct shmq_producer *p, const void *data, uint64_t size,
    uint64_t *ret_position)
{
    uint64_t len = SPSC_PREFIX + shmqi_record_len(size, 0), pos;
    int rc = usable(p);
    if (rc == SHMQ_OK)
        rc = shmqi_spsc_reserve(p->ring, &p->writer, len, &pos);
    if (rc)
        return rc;
    uint8_t *at = begin(p, pos, p->sequence, shmqi_stamp(p));
    struct shmqi_record_shm rec = {(uint32_t)size, 0, 0};
    shmqi_put(at, &rec, sizeof rec);
    shmqi_copy(at + sizeof rec, data, size);
    finish(p, len, size);
    shmqi_spsc_ease(p->ring, &p->writer);
    shmqi_spsc_prefetch_next(p, len);
    if (ret_position)
        *ret_position = pos;
    return SHMQ_OK;
}

/* Lengths of a batch's records; none wraps, so a batch lies in one piece. */
static int batch_len(const struct shmq_producer *p,
    const struct shmqi_publish *pub, uint64_t *ret_len)
{
    uint64_t len = 0;
    for (uint32_t i = 0; i < pub->cnt; i++) {
        const struct shmq_record *rec = &pub->records[i];
        uint32_t attrs = 0;
        int rc = rec->attr_cnt == 0
            ? SHMQ_OK
            : shmqi_attrs_bytes(rec->attrs, rec->attr_cnt, &attrs);
        if (rc)
            return rc;
        if (rec->size > p->ring->max_message ||
            rec->size + attrs > p->ring->max_message)
            return shmqi_too_large(p, rec->size + attrs);
        if (rec->size && !rec->data)
            return shmqi_fail(
                SHMQ_ERR_INVAL, "publish: record %u has no data", i);
        len += SPSC_PREFIX + shmqi_record_len(rec->size, attrs);
        if (len > p->ring->arena_bytes / 2 && pub->cnt > 1)
            return shmqi_fail(SHMQ_ERR_TOO_LARGE,
                "%s: the batch does not fit "
                "half the ring of %llu bytes; publish fewer at a "
                "time",
                p->segment->topic, (unsigned long long)p->ring->arena_bytes);
    }
    *ret_len = len;
    return SHMQ_OK;
}

static uint64_t put_record(struct shmq_producer *p, uint64_t pos, uint32_t i,
    const struct shmq_record *rec, uint64_t time_ns)
{
    uint32_t attrs = 0;
    if (rec->attr_cnt)
        (void)shmqi_attrs_bytes(rec->attrs, rec->attr_cnt, &attrs);
    uint8_t *at = begin(p, pos, p->sequence + i, time_ns);
    at = shmqi_record_begin(at, rec->size, rec->attrs, rec->attr_cnt, attrs);
    shmqi_copy(at, rec->data, rec->size);
    return SPSC_PREFIX + shmqi_record_len(rec->size, attrs);
}

/* All commit words but the first are stored ahead; nobody passes the first,
 * which is still zero. Its store makes all of them visible at once. */
int shmqi_spsc_put(struct shmq_producer *p, const struct shmqi_publish *pub)
{
    uint64_t len = 0, pos = 0, first = 0, bytes = 0;
    int rc = usable(p);
    if (rc == SHMQ_OK)
        rc = batch_len(p, pub, &len);
    if (rc == SHMQ_OK)
        rc = shmqi_spsc_reserve(p->ring, &p->writer, len, &pos);
    if (rc)
        return rc;
    uint64_t at = pos, now = shmqi_stamp(p);
    for (uint32_t i = 0; i < pub->cnt; i++) {
        uint64_t one = put_record(p, at, i, &pub->records[i], now);
        if (i == 0)
            first = one;
        else
            shmqi_spsc_ahead(p->ring, at, one);
        if (pub->positions)
            pub->positions[i] = at;
        bytes += pub->records[i].size;
        at += one;
    }
    shmqi_spsc_finish_batch(p->ring, &p->writer, first, at);
    shmqi_spsc_ease(p->ring, &p->writer);
    p->sequence += pub->cnt;
    shmqi_wake_members(p->segment);
    shmqi_count(p, pub->cnt, bytes);
    return SHMQ_OK;
}

/* -- loans -------------------------------------------------------------------
 */

int shmqi_spsc_loan(struct shmq_producer *p, uint64_t size,
    const struct shmq_attr *attrs, uint32_t attr_cnt, struct shmq_loan *ret)
{
    uint32_t attr_bytes = 0;
    uint64_t pos;
    int rc = usable(p);
    if (rc == SHMQ_OK)
        rc = shmqi_attrs_bytes(attrs, attr_cnt, &attr_bytes);
    if (rc)
        return rc;
    if (size > p->ring->max_message || size + attr_bytes > p->ring->max_message)
        return shmqi_too_large(p, size + attr_bytes);
    uint64_t len = SPSC_PREFIX + shmqi_record_len(size, attr_bytes);
    rc = shmqi_spsc_reserve(p->ring, &p->writer, len, &pos);
    if (rc)
        return rc;
    uint8_t *at = begin(p, pos, p->sequence, 0);
    ret->data = shmqi_record_begin(at, size, attrs, attr_cnt, attr_bytes);
    ret->size = size;
    ret->internal[0] = pos + 1;
    ret->internal[1] = attr_bytes;
    p->loans = 1;
    p->writer.easy_end = 0;
    p->loan_len = len;
    shmqi_count_loan(p, (int64_t)len);
    return SHMQ_OK;
}

static int check_loan(
    const struct shmq_producer *p, const struct shmq_loan *loan)
{
    if (!p->loans || loan->internal[0] != p->writer.pos + 1)
        return shmqi_fail(SHMQ_ERR_INVAL,
            "loan: not one of this producer's, "
            "or committed already");
    return SHMQ_OK;
}

int shmqi_spsc_take_loan(struct shmq_producer *p, struct shmq_loan *loan,
    uint64_t used, uint64_t *ret_position)
{
    int rc = check_loan(p, loan);
    if (rc)
        return rc;
    if (used > loan->size)
        return shmqi_fail(SHMQ_ERR_INVAL, "loan: %llu bytes used of %llu",
            (unsigned long long)used, (unsigned long long)loan->size);
    uint64_t version = shm_ld(W6, &p->ring->control->version);
    rc = shmqi_refused(p->ring, version);
    if (rc)
        return rc;
    uint64_t pos = p->writer.pos;
    uint32_t attr_bytes = (uint32_t)loan->internal[1];
    struct shmqi_record_shm rec = {(uint32_t)used, (uint16_t)attr_bytes, 0};
    uint8_t *at = begin(p, pos, p->sequence, shmqi_stamp(p));
    shmqi_put(at, &rec, sizeof rec);
    shmqi_count_loan(p, -(int64_t)p->loan_len);
    p->loans = 0;
    finish(p, SPSC_PREFIX + shmqi_record_len(used, attr_bytes), used);
    shmqi_spsc_ease(p->ring, &p->writer);
    memset(loan, 0, sizeof *loan);
    if (ret_position)
        *ret_position = pos;
    return SHMQ_OK;
}

int shmqi_spsc_abort(struct shmq_producer *p, struct shmq_loan *loan)
{
    int rc = check_loan(p, loan);
    if (rc)
        return rc;
    shmqi_count_loan(p, -(int64_t)p->loan_len);
    p->loans = 0;
    shmqi_spsc_ease(p->ring, &p->writer);
    memset(loan, 0, sizeof *loan);
    return SHMQ_OK;
}
