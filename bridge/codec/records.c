/* records.c - records and runs in payload frames, both ways. */
#include <string.h>

#include "payload.h"

static uint64_t pad8(uint64_t v)
{
    return (v + 7) & ~(uint64_t)7;
}

uint64_t shmqw_record_bytes(uint64_t size, uint32_t attr_bytes)
{
    return sizeof(struct shmqw_record_head) + pad8(attr_bytes) + pad8(size);
}

/* -- reading -------------------------------------------------------------- */

static bool take_record(
    struct shmqw_cursor *c, size_t end, struct shmqw_record *ret)
{
    struct shmqw_record_head head;
    if (end - c->off < sizeof head) {
        c->broken = true;
        return false;
    }
    memcpy(&head, c->at + c->off, sizeof head);
    uint64_t bytes = shmqw_record_bytes(head.size, head.attr_bytes);
    if (bytes > end - c->off) {
        c->broken = true;
        return false;
    }
    ret->attrs = c->at + c->off + sizeof head;
    ret->attr_bytes = head.attr_bytes;
    ret->data = (const uint8_t *)ret->attrs + pad8(head.attr_bytes);
    ret->size = head.size;
    c->off += (size_t)bytes;
    return true;
}

bool shmqw_record_next(struct shmqw_cursor *cursor, struct shmqw_record *ret)
{
    if (cursor->broken || cursor->off == cursor->len)
        return false;
    return take_record(cursor, cursor->len, ret);
}

/* Enters the run at the cursor. */
static bool enter_run(struct shmqw_cursor *c)
{
    size_t left = c->len - c->off;
    if (left < sizeof c->run)
        return false;
    memcpy(&c->run, c->at + c->off, sizeof c->run);
    const struct shmqw_run *run = &c->run;
    if (run->run_bytes > left || run->run_bytes % 8 || run->record_cnt == 0 ||
        run->record_cnt > SHMQW_RECORDS_MAX ||
        run->run_bytes < sizeof *run +
                (uint64_t)run->record_cnt * sizeof(struct shmqw_record_head) ||
        run->position >= SHMQW_NONE - SHMQW_RECORDS_MAX)
        return false;
    c->run_end = c->off + run->run_bytes;
    c->run_left = run->record_cnt;
    c->run_cnt++;
    c->off += sizeof *run;
    return true;
}

/* Whether the run at the cursor is its records, exactly; goes behind it. Does
 * what shmqw_delivered_next() does for each, without telling them. */
static bool pass_run(struct shmqw_cursor *c)
{
    size_t off = c->off, end = c->run_end;
    for (uint32_t left = c->run_left; left; left--) {
        struct shmqw_record_head head;
        if (end - off < sizeof head)
            return false;
        memcpy(&head, c->at + off, sizeof head);
        uint64_t bytes = shmqw_record_bytes(head.size, head.attr_bytes);
        if (bytes > end - off)
            return false;
        off += (size_t)bytes;
    }
    c->off = off;
    return off == end;
}

bool shmqw_delivered_next(
    struct shmqw_cursor *cursor, struct shmqw_delivered *ret)
{
    struct shmqw_cursor *c = cursor;
    if (c->broken || (c->run_left == 0 && c->off == c->len))
        return false;
    if (c->run_left == 0 && !enter_run(c)) {
        c->broken = true;
        return false;
    }
    uint32_t idx = c->run.record_cnt - c->run_left;
    struct shmqw_delivered d = {.position = c->run.position + idx,
        .producer = c->run.producer,
        .sequence = c->run.sequence + idx,
        .time_ns = c->run.time_ns,
        .attempt = c->run.attempt,
        .flags = c->run.flags,
        .run = c->run_cnt - 1};
    if (!take_record(c, c->run_end, &d.record))
        return false;
    if (--c->run_left == 0 && c->off != c->run_end) {
        c->broken = true;
        return false;
    }
    *ret = d;
    return true;
}

enum shmqw_status shmqw_publish_check(
    const struct shmqw_publish *body, const void *payload, size_t len)
{
    struct shmqw_cursor c = {.at = payload, .len = len};
    struct shmqw_record r;
    uint32_t cnt = 0;
    bool legal = true;
    if (shmqw_crc32c(0, payload, len) != body->payload_crc32c)
        return SHMQW_CRC_MISMATCH;
    for (; shmqw_record_next(&c, &r); cnt++)
        if (legal && r.attr_bytes)
            legal = shmqw_attrs_legal(r.attrs, r.attr_bytes, true);
    if (c.broken || cnt != body->record_cnt)
        return SHMQW_BAD_FRAME;
    return legal ? SHMQW_OK : SHMQW_INVALID;
}

enum shmqw_status shmqw_deliver_check(
    const struct shmqw_deliver *body, const void *payload, size_t len)
{
    struct shmqw_cursor c = {.at = payload, .len = len};
    uint64_t cnt = 0;
    if (shmqw_crc32c(0, payload, len) != body->payload_crc32c)
        return SHMQW_CRC_MISMATCH;
    for (; c.off < c.len; cnt += c.run.record_cnt)
        if (!enter_run(&c) || !pass_run(&c))
            return SHMQW_BAD_FRAME;
    return cnt == body->record_cnt ? SHMQW_OK : SHMQW_BAD_FRAME;
}

/* -- writing -------------------------------------------------------------- */

void shmqw_payload_begin(struct shmqw_payload *p, void *buf, size_t cap)
{
    memset(p, 0, sizeof *p);
    p->at = buf;
    p->cap = cap;
}

static uint8_t *put_padded(uint8_t *at, const void *bytes, uint32_t len)
{
    static const uint8_t zeros[8] = {0};
    if (len)
        memcpy(at, bytes, len);
    memcpy(at + len, zeros, pad8(len) - len);
    return at + pad8(len);
}

static void append_record(
    struct shmqw_payload *p, const struct shmqw_record *record)
{
    struct shmqw_record_head head = {
        record->size, (uint16_t)record->attr_bytes, 0};
    uint8_t *at = p->at + p->len;
    memcpy(at, &head, sizeof head);
    at = put_padded(at + sizeof head, record->attrs, record->attr_bytes);
    at = put_padded(at, record->data, record->size);
    p->len = (size_t)(at - p->at);
    p->record_cnt++;
}

bool shmqw_put_record(
    struct shmqw_payload *p, const struct shmqw_record *record)
{
    uint64_t bytes = shmqw_record_bytes(record->size, record->attr_bytes);
    if (record->attr_bytes > UINT16_MAX || bytes > p->cap - p->len)
        return false;
    append_record(p, record);
    return true;
}

static bool continues(
    const struct shmqw_payload *p, const struct shmqw_delivered *d)
{
    const struct shmqw_run *run = &p->run;
    return run->record_cnt && run->record_cnt < SHMQW_RECORDS_MAX &&
        d->position == p->next_pos && d->sequence == p->next_seq &&
        d->producer == run->producer && d->time_ns == run->time_ns &&
        d->attempt == run->attempt && d->flags == run->flags;
}

bool shmqw_put_delivered(
    struct shmqw_payload *p, const struct shmqw_delivered *d, bool new_run)
{
    const struct shmqw_record *record = &d->record;
    bool begin = new_run || !continues(p, d);
    uint64_t bytes = shmqw_record_bytes(record->size, record->attr_bytes);
    uint64_t head = begin ? sizeof p->run : 0;
    if (record->attr_bytes > UINT16_MAX || bytes + head > p->cap - p->len ||
        bytes + head + p->run.run_bytes > UINT32_MAX)
        return false;
    if (begin) {
        p->run_at = p->len;
        p->run = (struct shmqw_run){.position = d->position,
            .producer = d->producer,
            .sequence = d->sequence,
            .time_ns = d->time_ns,
            .run_bytes = sizeof p->run,
            .attempt =
                (uint16_t)(d->attempt < UINT16_MAX ? d->attempt : UINT16_MAX),
            .flags = (uint16_t)d->flags};
        p->len += sizeof p->run;
    }
    if (p->record_cnt == 0)
        p->base_pos = d->position;
    append_record(p, record);
    p->run.record_cnt++;
    p->run.run_bytes += (uint32_t)bytes;
    p->next_pos = p->end_pos = d->position + 1;
    p->next_seq = d->sequence + 1;
    memcpy(p->at + p->run_at, &p->run, sizeof p->run);
    return true;
}

void shmqw_put_more(struct shmqw_payload *p, uint32_t cnt, uint64_t bytes)
{
    p->len += bytes;
    p->record_cnt += cnt;
    p->run.record_cnt += cnt;
    p->run.run_bytes += (uint32_t)bytes;
    p->next_pos = p->end_pos = p->end_pos + cnt;
    p->next_seq += cnt;
    memcpy(p->at + p->run_at, &p->run, sizeof p->run);
}
