/* log_image.c - the log of the fuzz targets (log_image.h). Offsets as in
 * docs/log-format.md. */
#include "log_image.h"

#include <stdlib.h>
#include <string.h>

#include "crc32c.h"
#include "log_format.h"
#include "support/log_support.h"

#define BLOCK SHMQI_LOG_BLOCK
#define SPSC_WIDTH (8u + 304u + 24u)

const char *const image_names[IMAGE_FILES] = {"00000000000000000001.seg",
    "00000000000000000002.seg", "00000000000000000003.seg",
    "00000000000000000004.seg", "clean", "00000000000000000009.prep", "STORE",
    "meta"};
const uint8_t image_topic[16] = {0x5a, 1, 2, 3};
uint64_t image_end;

struct builder {
    struct image_part *file;
    struct shmqi_log_segment head;
    uint64_t pos; /* end of the log so far */
    uint32_t crc; /* of the last batch */
    uint32_t chain;
    uint32_t slot;
};

static uint64_t width(const struct builder *b)
{
    return b->head.kind == SHMQI_LOG_SPSC ? SPSC_WIDTH : SHMQ_BATCH_MAX;
}

static void segment(struct builder *b, struct image_part *file, uint64_t skip)
{
    b->file = file;
    file->there = true;
    b->head.major = SHMQI_LOG_MAJOR;
    b->head.segment_no++;
    b->head.prev_end_pos = b->pos;
    b->slot += (uint32_t)skip;
    b->pos += skip * width(b);
    b->head.base_pos = b->pos;
    b->head.salt = 0x1234567 * b->head.segment_no;
    b->head.epoch = 1 + (uint32_t)skip;
    b->head.prev_crc = b->crc;
    b->head.max_ts_ns = 1000 + b->slot;
    b->head.capacity = IMAGE_BYTES;
    shmqi_log_segment_encode(&b->head, file->bytes);
    b->chain = b->head.crc;
    file->size = BLOCK;
}

static void batch(struct builder *b, uint32_t frames, uint32_t records)
{
    uint8_t *at = b->file->bytes + b->file->size;
    uint32_t used = SHMQI_LOG_BATCH_HEAD, size = records > 1 ? 40 : 300;
    bool spsc = b->head.kind == SHMQI_LOG_SPSC;
    struct shmqi_log_batch h = {.base_pos = b->pos,
        .end_pos = b->pos,
        .prev_end_pos = b->pos,
        .durable_pos = b->pos,
        .first_ts_ns = 1000 + b->slot,
        .max_ts_ns = 1000 + b->slot + frames,
        .epoch = b->head.epoch,
        .prev_crc = b->chain,
        .record_cnt = frames * records,
        .frame_cnt = frames,
        .flags = frames ? 0 : SHMQI_LOG_CONTROL,
        .block = b->file->size / BLOCK};
    for (uint32_t i = 0; i < frames; i++, b->slot++) {
        used += (uint32_t)(spsc ? log_frame_make_spsc(at + used, h.end_pos,
                                      b->slot, 1, 300, 0, 1000 + b->slot)
                                : log_frame_make(at + used, b->slot, records,
                                      size, 0, 1000 + b->slot));
        h.end_pos += width(b);
    }
    h.payload_bytes = used - SHMQI_LOG_BATCH_HEAD;
    h.total_bytes = (uint32_t)shmqi_log_batch_total(h.payload_bytes);
    h.data_crc = shmqi_log_data_crc(at + SHMQI_LOG_BATCH_HEAD, h.payload_bytes);
    shmqi_log_batch_encode(&h, b->head.salt, at);
    b->chain = b->crc = h.hdr_crc;
    b->pos = h.end_pos;
    b->file->size += h.total_bytes;
}

static void put64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

static uint32_t get32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
        (uint32_t)p[3] << 24;
}

static uint64_t get64(const uint8_t *p)
{
    return get32(p) | (uint64_t)get32(p + 4) << 32;
}

static void clean_marker(struct image_part *f, const struct builder *b)
{
    memcpy(f->bytes, "SMQQCLN1", 8);
    memcpy(f->bytes + 8, b->head.store_uuid, 16);
    memcpy(f->bytes + 24, b->head.topic_uuid, 16);
    put64(f->bytes + 40, b->head.segment_no);
    put64(f->bytes + 48, b->file->size);
    put64(f->bytes + 56, b->pos);
    put64(f->bytes + 64, 1000 + b->slot);
    put32(f->bytes + 72, b->crc);
    put32(f->bytes + 76, b->head.epoch);
    put64(f->bytes + 80, b->head.salt);
    put32(f->bytes + 124, shmqi_crc32c(0, f->bytes, 124));
    f->size = 128;
}

void image_build(struct image *m, uint32_t kind, const uint8_t store_uuid[16])
{
    struct builder b = {.head = {.kind = kind}};
    for (int i = 0; i < IMAGE_STORE; i++)
        memset(&m->files[i], 0, sizeof m->files[i]);
    memcpy(b.head.store_uuid, store_uuid, 16);
    memcpy(b.head.topic_uuid, image_topic, 16);
    memcpy(b.head.writer, "fuzz", 5);
    segment(&b, &m->files[IMAGE_SEG1], 0);
    batch(&b, 1, 1);
    batch(&b, 2, 3);
    batch(&b, 0, 0);
    batch(&b, 9, 2);
    m->files[IMAGE_SEG1].size += BLOCK; /* zeros */
    segment(&b, &m->files[IMAGE_SEG2], 0);
    batch(&b, 3, 1);
    segment(&b, &m->files[IMAGE_SEG3], 8);
    batch(&b, 12, 1); /* two blocks */
    batch(&b, 1, 5);
    batch(&b, 0, 0);
    image_end = b.pos;
    clean_marker(&m->files[IMAGE_CLEAN], &b);
    m->files[IMAGE_SEG3].size += BLOCK;
    segment(&b, &m->files[IMAGE_SEG4], 3);
    m->files[IMAGE_SEG4].there = false;
    m->files[IMAGE_SEG4].size += 2 * BLOCK;
    m->files[IMAGE_PREP].there = true;
    m->files[IMAGE_PREP].size = BLOCK;
}

/* -- changes ------------------------------------------------------------------
 */

struct input {
    const uint8_t *at;
    size_t left;
};

static uint32_t take(struct input *in, size_t bytes)
{
    uint32_t v = 0;
    for (size_t i = 0; i < bytes; i++) {
        v |= in->left ? (uint32_t)*in->at << 8 * i : 0;
        in->at += in->left != 0;
        in->left -= in->left != 0;
    }
    return v;
}

enum { PUT, PUT_MORE, RESIZE, TOGGLE, COPY_BLOCK, ZERO_BLOCK, CHANGES };

static void change(struct image *m, struct input *in)
{
    uint32_t what = take(in, 1), off = take(in, 2) % IMAGE_BYTES;
    struct image_part *f = &m->files[what / CHANGES % IMAGE_FILES];
    uint32_t block = off / BLOCK * BLOCK;
    size_t len;
    switch (what % CHANGES) {
    case PUT:
    case PUT_MORE:
        len = what % CHANGES == PUT ? 8 : take(in, 1);
        len = len > in->left ? in->left : len;
        len = len > IMAGE_BYTES - off ? IMAGE_BYTES - off : len;
        memcpy(f->bytes + off, in->at, len);
        in->at += len;
        in->left -= len;
        break;
    case RESIZE:
        f->size = off;
        memset(f->bytes + off, 0, IMAGE_BYTES - off);
        break;
    case TOGGLE:
        f->there = !f->there;
        break;
    case COPY_BLOCK: {
        uint32_t to = take(in, 1);
        memmove(m->files[to / 8 % IMAGE_FILES].bytes +
                to % 8 % IMAGE_BLOCKS * BLOCK,
            f->bytes + block, BLOCK);
        break;
    }
    case ZERO_BLOCK:
        memset(f->bytes + block, 0, BLOCK);
        break;
    }
}

/* -- what is put right ------------------------------------------------------
 */

enum {
    FIX_HEAD = 1,
    FIX_BATCH = 2,
    FIX_DATA = 4,
    FIX_PLACE = 8,
    FIX_CHAIN = 16,
    GO_ON = 32,
    FAIL_READ = 64
};

static void fix_batches(struct image_part *f, unsigned flags)
{
    uint8_t salt[8];
    uint32_t chain = get32(f->bytes + 508);
    uint64_t end = get64(f->bytes + 88);
    put64(salt, get64(f->bytes + 104));
    for (uint32_t at = BLOCK; at + BLOCK <= IMAGE_BYTES; at += BLOCK) {
        uint8_t *p = f->bytes + at;
        if (memcmp(p, "SQB1", 4) != 0)
            continue;
        uint32_t len = get32(p + 12);
        if (flags & FIX_DATA && len <= IMAGE_BYTES - at - 128)
            put32(p + 68, shmqi_crc32c(0, p + 128, len));
        if (flags & FIX_PLACE)
            put32(p + 88, at / BLOCK);
        if (flags & FIX_CHAIN) {
            put64(p + 32, end);
            put32(p + 72, chain);
        }
        if (flags & FIX_BATCH)
            put32(p + 4, shmqi_crc32c(shmqi_crc32c(0, salt, 8), p + 8, 120));
        chain = get32(p + 4);
        end = get64(p + 24);
    }
}

static void fix(struct image *m, unsigned flags)
{
    for (int i = IMAGE_SEG1; i <= IMAGE_SEG4; i++) {
        uint8_t *p = m->files[i].bytes;
        if (flags & FIX_HEAD) {
            put32(p + 508, shmqi_crc32c(0, p, 508));
            put32(p + 2048 + 508, shmqi_crc32c(0, p + 2048, 508));
        }
        if (flags & (FIX_BATCH | FIX_DATA | FIX_PLACE | FIX_CHAIN))
            fix_batches(&m->files[i], flags);
    }
    if (flags & FIX_HEAD) {
        uint8_t *p = m->files[IMAGE_CLEAN].bytes;
        put32(p + 124, shmqi_crc32c(0, p, 124));
        for (p = m->files[IMAGE_STORE].bytes;
             p <= m->files[IMAGE_STORE].bytes + BLOCK; p += BLOCK)
            put32(p + 508, shmqi_crc32c(0, p, 508));
    }
}

bool image_change(struct image *m, const uint8_t *data, size_t size,
    struct image_settings *ret)
{
    struct input in = {data, size};
    if (size < 4)
        return false;
    unsigned flags = take(&in, 1);
    ret->limit = (uint8_t)take(&in, 1);
    ret->where = (uint8_t)take(&in, 1);
    ret->go_on = flags & GO_ON;
    ret->fail_read = flags & FAIL_READ ? 1 + take(&in, 1) : 0;
    while (in.left)
        change(m, &in);
    fix(m, flags);
    return true;
}
