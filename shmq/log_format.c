/* log_format.c - encoding and decoding of the log (log_format.h). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <shmq/base.h>
#include <shmq/errors.h>

#include "crc32c.h"
#include "log_format.h"

/* Offsets of the segment header. */
enum {
    S_MAGIC = 0,
    S_MAJOR = 8,
    S_MINOR = 10,
    S_BYTES = 12,
    S_INCOMPAT = 16,
    S_RO_COMPAT = 24,
    S_COMPAT = 32,
    S_STORE = 40,
    S_TOPIC = 56,
    S_BLOCK = 76, /* 72: reserved */
    S_NUMBER = 80,
    S_BASE = 88,
    S_PREV_END = 96,
    S_SALT = 104,
    S_EPOCH = 112,
    S_PREV_CRC = 116,
    S_CREATED = 120,
    S_MAX_TS = 128,
    S_CAPACITY = 136,
    S_KIND = 144, /* 148: reserved */
    S_WRITER = 152,
    S_CRC = SHMQI_LOG_HEAD_BYTES - 4
};

/* Offsets of the batch header. */
enum {
    B_MAGIC = 0,
    B_HDR_CRC = 4,
    B_TOTAL = 8,
    B_PAYLOAD = 12,
    B_BASE = 16,
    B_END = 24,
    B_PREV_END = 32,
    B_DURABLE = 40,
    B_FIRST_TS = 48,
    B_MAX_TS = 56,
    B_EPOCH = 64,
    B_DATA_CRC = 68,
    B_PREV_CRC = 72,
    B_RECORDS = 76,
    B_FRAMES = 80,
    B_FLAGS = 84,
    B_CODEC = 86,
    B_VERSION = 87,
    B_BLOCK = 88 /* 92 to 127: reserved */
};

static void put16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static void put32(uint8_t *p, uint32_t v)
{
    put16(p, (uint16_t)v);
    put16(p + 2, (uint16_t)(v >> 16));
}

static void put64(uint8_t *p, uint64_t v)
{
    put32(p, (uint32_t)v);
    put32(p + 4, (uint32_t)(v >> 32));
}

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t get32(const uint8_t *p)
{
    return get16(p) | (uint32_t)get16(p + 2) << 16;
}

static uint64_t get64(const uint8_t *p)
{
    return get32(p) | (uint64_t)get32(p + 4) << 32;
}

void shmqi_log_segment_encode(struct shmqi_log_segment *h, uint8_t *block)
{
    memset(block, 0, SHMQI_LOG_BLOCK);
    put64(block + S_MAGIC, SHMQI_LOG_MAGIC);
    put16(block + S_MAJOR, h->major);
    put16(block + S_MINOR, h->minor);
    put32(block + S_BYTES, SHMQI_LOG_BLOCK);
    put64(block + S_INCOMPAT, h->incompat);
    put64(block + S_RO_COMPAT, h->ro_compat);
    put64(block + S_COMPAT, h->compat);
    memcpy(block + S_STORE, h->store_uuid, 16);
    memcpy(block + S_TOPIC, h->topic_uuid, 16);
    put32(block + S_BLOCK, SHMQI_LOG_BLOCK);
    put64(block + S_NUMBER, h->segment_no);
    put64(block + S_BASE, h->base_pos);
    put64(block + S_PREV_END, h->prev_end_pos);
    put64(block + S_SALT, h->salt);
    put32(block + S_EPOCH, h->epoch);
    put32(block + S_PREV_CRC, h->prev_crc);
    put64(block + S_CREATED, (uint64_t)h->created_ns);
    put64(block + S_MAX_TS, (uint64_t)h->max_ts_ns);
    put64(block + S_CAPACITY, h->capacity);
    put32(block + S_KIND, h->kind);
    memcpy(block + S_WRITER, h->writer, SHMQI_LOG_WRITER_ROOM);
    h->crc = shmqi_crc32c(0, block, S_CRC);
    put32(block + S_CRC, h->crc);
    memcpy(block + SHMQI_LOG_HEAD_COPY, block, SHMQI_LOG_HEAD_BYTES);
}

static bool is_zero(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i])
            return false;
    return true;
}

static bool copy_good(const uint8_t *p)
{
    return get64(p + S_MAGIC) == SHMQI_LOG_MAGIC &&
        get32(p + S_CRC) == shmqi_crc32c(0, p, S_CRC);
}

enum shmqi_log_verdict shmqi_log_segment_decode(
    const uint8_t *block, struct shmqi_log_segment *ret_h)
{
    const uint8_t *second = block + SHMQI_LOG_HEAD_COPY;
    bool good = copy_good(block), second_good = copy_good(second);
    const uint8_t *p = good ? block : second;
    struct shmqi_log_segment h;
    if (!good && !second_good)
        return is_zero(block, SHMQI_LOG_BLOCK) ? SHMQI_LOG_BLANK
                                               : SHMQI_LOG_BAD;
    memset(&h, 0, sizeof h);
    h.major = get16(p + S_MAJOR);
    h.minor = get16(p + S_MINOR);
    h.incompat = get64(p + S_INCOMPAT);
    h.ro_compat = get64(p + S_RO_COMPAT);
    h.compat = get64(p + S_COMPAT);
    memcpy(h.store_uuid, p + S_STORE, 16);
    memcpy(h.topic_uuid, p + S_TOPIC, 16);
    h.segment_no = get64(p + S_NUMBER);
    h.base_pos = get64(p + S_BASE);
    h.prev_end_pos = get64(p + S_PREV_END);
    h.salt = get64(p + S_SALT);
    h.epoch = get32(p + S_EPOCH);
    h.prev_crc = get32(p + S_PREV_CRC);
    h.created_ns = (int64_t)get64(p + S_CREATED);
    h.max_ts_ns = (int64_t)get64(p + S_MAX_TS);
    h.capacity = get64(p + S_CAPACITY);
    h.kind = get32(p + S_KIND);
    memcpy(h.writer, p + S_WRITER, SHMQI_LOG_WRITER_ROOM);
    h.writer[SHMQI_LOG_WRITER_ROOM - 1] = '\0';
    h.crc = get32(p + S_CRC);
    *ret_h = h;
    if (h.major != SHMQI_LOG_MAJOR || h.incompat != 0 ||
        get32(p + S_BYTES) != SHMQI_LOG_BLOCK ||
        get32(p + S_BLOCK) != SHMQI_LOG_BLOCK || h.kind < SHMQI_LOG_MPMC ||
        h.kind > SHMQI_LOG_GROUPS || h.base_pos < h.prev_end_pos)
        return SHMQI_LOG_FOREIGN;
    return good && second_good ? SHMQI_LOG_GOOD : SHMQI_LOG_COPY_BAD;
}

void shmqi_log_segment_name(
    uint64_t segment_no, const char *suffix, char name[SHMQI_LOG_NAME_ROOM])
{
    snprintf(name, SHMQI_LOG_NAME_ROOM, "%020" PRIu64 "%s", segment_no, suffix);
}

bool shmqi_log_segment_number(
    const char *name, const char *suffix, uint64_t *ret_no)
{
    uint64_t no = 0;
    for (int i = 0; i < 20; i++) {
        if (name[i] < '0' || name[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(name[i] - '0');
        if (no > (UINT64_MAX - digit) / 10)
            return false;
        no = no * 10 + digit;
    }
    if (strcmp(name + 20, suffix))
        return false;
    *ret_no = no;
    return true;
}

static uint32_t head_crc(const uint8_t *at, uint64_t salt)
{
    uint8_t seed[8];
    put64(seed, salt);
    return shmqi_crc32c(shmqi_crc32c(0, seed, sizeof seed), at + B_TOTAL,
        SHMQI_LOG_BATCH_HEAD - B_TOTAL);
}

void shmqi_log_batch_encode(
    struct shmqi_log_batch *b, uint64_t salt, uint8_t *p)
{
    memset(p, 0, SHMQI_LOG_BATCH_HEAD);
    put32(p + B_MAGIC, SHMQI_LOG_BATCH_MAGIC);
    put32(p + B_TOTAL, b->total_bytes);
    put32(p + B_PAYLOAD, b->payload_bytes);
    put64(p + B_BASE, b->base_pos);
    put64(p + B_END, b->end_pos);
    put64(p + B_PREV_END, b->prev_end_pos);
    put64(p + B_DURABLE, b->durable_pos);
    put64(p + B_FIRST_TS, (uint64_t)b->first_ts_ns);
    put64(p + B_MAX_TS, (uint64_t)b->max_ts_ns);
    put32(p + B_EPOCH, b->epoch);
    put32(p + B_DATA_CRC, b->data_crc);
    put32(p + B_PREV_CRC, b->prev_crc);
    put32(p + B_RECORDS, b->record_cnt);
    put32(p + B_FRAMES, b->frame_cnt);
    put16(p + B_FLAGS, b->flags);
    put32(p + B_BLOCK, b->block);
    b->hdr_crc = head_crc(p, salt);
    put32(p + B_HDR_CRC, b->hdr_crc);
}

/* Lengths and positions that no writer makes are damage, whatever the CRC. */
static bool batch_makes_sense(const struct shmqi_log_batch *b)
{
    return b->total_bytes <= SHMQI_LOG_BATCH_BYTES_MAX &&
        b->payload_bytes <= SHMQI_LOG_BATCH_BYTES_MAX &&
        b->total_bytes == shmqi_log_batch_total(b->payload_bytes) &&
        b->prev_end_pos <= b->base_pos && b->base_pos <= b->end_pos &&
        b->durable_pos <= b->end_pos &&
        (b->flags & ~(unsigned)SHMQI_LOG_FLAGS_KNOWN) == 0;
}

enum shmqi_log_verdict shmqi_log_batch_decode(const uint8_t *at, uint64_t salt,
    uint32_t block, struct shmqi_log_batch *ret_b)
{
    struct shmqi_log_batch b;
    uint32_t magic = get32(at + B_MAGIC);
    if (magic == 0 && is_zero(at, SHMQI_LOG_BATCH_HEAD))
        return SHMQI_LOG_BLANK;
    if (magic != SHMQI_LOG_BATCH_MAGIC)
        return SHMQI_LOG_BAD;
    memset(&b, 0, sizeof b);
    b.hdr_crc = get32(at + B_HDR_CRC);
    b.block = get32(at + B_BLOCK);
    if (b.hdr_crc != head_crc(at, salt) || b.block != block)
        return SHMQI_LOG_BAD;
    if (at[B_CODEC] != 0 || at[B_VERSION] != 0)
        return SHMQI_LOG_FOREIGN;
    b.total_bytes = get32(at + B_TOTAL);
    b.payload_bytes = get32(at + B_PAYLOAD);
    b.base_pos = get64(at + B_BASE);
    b.end_pos = get64(at + B_END);
    b.prev_end_pos = get64(at + B_PREV_END);
    b.durable_pos = get64(at + B_DURABLE);
    b.first_ts_ns = (int64_t)get64(at + B_FIRST_TS);
    b.max_ts_ns = (int64_t)get64(at + B_MAX_TS);
    b.epoch = get32(at + B_EPOCH);
    b.data_crc = get32(at + B_DATA_CRC);
    b.prev_crc = get32(at + B_PREV_CRC);
    b.record_cnt = get32(at + B_RECORDS);
    b.frame_cnt = get32(at + B_FRAMES);
    b.flags = get16(at + B_FLAGS);
    if (!batch_makes_sense(&b))
        return SHMQI_LOG_BAD;
    *ret_b = b;
    return SHMQI_LOG_GOOD;
}

uint64_t shmqi_log_batch_total(uint64_t payload_bytes)
{
    uint64_t used = SHMQI_LOG_BATCH_HEAD + payload_bytes;
    return (used + SHMQI_LOG_BLOCK - 1) & ~(uint64_t)(SHMQI_LOG_BLOCK - 1);
}

uint32_t shmqi_log_data_crc(const uint8_t *payload, size_t len)
{
    return shmqi_crc32c(0, payload, len);
}

uint32_t shmqi_log_data_crc_more(uint32_t crc, const uint8_t *more, size_t len)
{
    return shmqi_crc32c(crc, more, len);
}

/* Bytes of the record at `off` of `bytes`, 0 for nonsense. */
static uint64_t record_bytes(const uint8_t *bytes, uint32_t len, uint64_t off)
{
    if (off > len || len - off < sizeof(struct shmqi_record_shm))
        return 0;
    uint64_t size = get32(bytes + off), attrs = get16(bytes + off + 4);
    uint64_t all = sizeof(struct shmqi_record_shm) + ((attrs + 7) & ~7ull) +
        ((size + 7) & ~7ull);
    return all <= len - off ? all : 0;
}

/* All records of the frame lie within it and fill it; their bytes. */
static int check_records(const uint8_t *bytes, uint32_t len, uint32_t cnt)
{
    uint64_t off = sizeof(struct shmqi_frame_shm);
    for (uint32_t i = 0; i < cnt; i++) {
        uint64_t one = record_bytes(bytes, len, off);
        if (one == 0)
            return SHMQ_ERR_CORRUPT;
        off += one;
    }
    return off == len ? SHMQ_OK : SHMQ_ERR_CORRUPT;
}

static uint64_t frame_width(const struct shmqi_frame_shm *h)
{
    uint64_t records = h->len_bytes - sizeof *h;
    return h->flags & SHMQI_LOG_FRAME_SPSC
        ? records + h->record_cnt * sizeof(struct shmqi_spsc_shm)
        : SHMQ_BATCH_MAX;
}

int shmqi_log_frame_next(const uint8_t *payload, uint32_t len,
    uint32_t *ret_off, uint64_t prev_end, struct shmqi_log_frame *ret_f)
{
    uint32_t off = *ret_off;
    struct shmqi_log_frame f;
    if (off == len)
        return SHMQ_ERR_EMPTY;
    if (off > len || len - off < SHMQI_LOG_FRAME_HEAD)
        return SHMQ_ERR_CORRUPT;
    const uint8_t *p = payload + off;
    f.pos = get64(p);
    f.hole_pos = prev_end;
    f.bytes = p + 8;
    f.head.producer = get64(p + 8);
    f.head.sequence = get64(p + 16);
    f.head.time_ns = get64(p + 24);
    f.head.record_cnt = get32(p + 32);
    f.head.len_bytes = get32(p + 36);
    f.head.flags = get32(p + 40);
    f.head.reserved = get32(p + 44);
    if (f.head.len_bytes < sizeof f.head || f.head.len_bytes > len - off - 8 ||
        (f.head.len_bytes & 7) || f.head.record_cnt == 0 ||
        f.head.record_cnt > SHMQ_BATCH_MAX || f.pos < prev_end)
        return SHMQ_ERR_CORRUPT;
    /* A pad of the ring directly before it is no hole. */
    uint64_t pad =
        f.head.flags & SHMQI_LOG_FRAME_SPSC ? (uint64_t)f.head.reserved * 8 : 0;
    if (pad > f.pos - prev_end)
        return SHMQ_ERR_CORRUPT;
    if (f.pos - pad == prev_end)
        f.hole_pos = f.pos;
    f.end_pos = f.pos + frame_width(&f.head);
    if (f.end_pos < f.pos)
        return SHMQ_ERR_CORRUPT;
    int rc = check_records(f.bytes, f.head.len_bytes, f.head.record_cnt);
    if (rc)
        return rc;
    *ret_off = off + 8 + f.head.len_bytes;
    *ret_f = f;
    return SHMQ_OK;
}

void shmqi_log_frame_encode(
    uint64_t pos, const struct shmqi_frame_shm *head, uint8_t *at)
{
    put64(at, pos);
    put64(at + 8, head->producer);
    put64(at + 16, head->sequence);
    put64(at + 24, head->time_ns);
    put32(at + 32, head->record_cnt);
    put32(at + 36, head->len_bytes);
    put32(at + 40, head->flags);
    put32(at + 44, head->reserved);
}

int shmqi_log_record_pos(
    const struct shmqi_log_frame *f, uint32_t idx, uint64_t *ret_pos)
{
    uint64_t off = sizeof f->head, pos = f->pos;
    if (idx >= f->head.record_cnt)
        return SHMQ_ERR_INVAL;
    if (!(f->head.flags & SHMQI_LOG_FRAME_SPSC)) {
        *ret_pos = pos + idx;
        return SHMQ_OK;
    }
    for (uint32_t i = 0; i < idx; i++) {
        uint64_t one = record_bytes(f->bytes, f->head.len_bytes, off);
        if (one == 0)
            return SHMQ_ERR_INVAL;
        off += one;
        pos += one + sizeof(struct shmqi_spsc_shm);
    }
    *ret_pos = pos;
    return SHMQ_OK;
}

const char *shmqi_log_verdict_name(enum shmqi_log_verdict v)
{
    static const char *const names[] = {
        "good", "one copy damaged", "blank", "damaged", "foreign"};
    return (unsigned)v < 5 ? names[v] : "unknown";
}
