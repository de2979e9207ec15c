/* fuzz_log_reader.c - reading a log of any bytes.
 *
 * Whatever the files hold, reading ends, items come in the order of their
 * positions and never overlap, and every byte that is handed out may be read
 * (under AddressSanitizer). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <shmq/errors.h>

#include "crc32c.h"
#include "log_image.h"
#include "log_reader_impl.h"
#include "must.h"

#define ITEMS_MAX 200000 /* an image has a few hundred */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct disk {
    struct image image;
    uint32_t reads, fail_at;
};

static struct disk disk;
static struct image good[4]; /* by kind */
static uint64_t sum; /* keeps reads from being optimised away */

static int list_files(
    void *ctx, int dir, int (*each)(void *arg, const char *name), void *arg)
{
    struct disk *d = ctx;
    int err = 0;
    (void)dir;
    for (int i = 0; i < IMAGE_FILES && !err; i++)
        if (d->image.files[i].there)
            err = each(arg, image_names[i]);
    return err;
}

static int open_file(void *ctx, int dir, const char *name)
{
    struct disk *d = ctx;
    (void)dir;
    for (int i = 0; i < IMAGE_FILES; i++)
        if (d->image.files[i].there && strcmp(image_names[i], name) == 0)
            return i;
    return -ENOENT;
}

static int64_t read_file(void *ctx, int fd, void *buf, size_t len, uint64_t off)
{
    struct disk *d = ctx;
    const struct image_part *f = &d->image.files[fd];
    if (d->fail_at && ++d->reads >= d->fail_at)
        return -EIO;
    if (off >= f->size)
        return 0;
    len = len < f->size - off ? len : (size_t)(f->size - off);
    memcpy(buf, f->bytes + off, len);
    return (int64_t)len;
}

static void close_file(void *ctx, int fd)
{
    (void)ctx, (void)fd;
}

static void direct(void *ctx, int fd, bool past_the_cache)
{
    (void)ctx, (void)fd, (void)past_the_cache;
}

static const struct shmqi_log_files files = {
    list_files, open_file, read_file, close_file, direct};

static void use_frame(const struct shmqi_log_frame *f)
{
    uint64_t pos, last = 0;
    sum += shmqi_crc32c(0, f->bytes, f->head.len_bytes);
    for (uint32_t i = 0; i < f->head.record_cnt && i < 8; i++) {
        must(shmqi_log_record_pos(f, i, &pos) == SHMQ_OK);
        must(pos >= f->pos && pos < f->end_pos && (i == 0 || pos > last));
        last = pos;
    }
    must(shmqi_log_record_pos(f, f->head.record_cnt, &pos) == SHMQ_ERR_INVAL);
}

static void read_on(struct shmqi_log_reader *r, uint64_t limit)
{
    struct shmqi_log_item item;
    uint64_t at = shmqi_log_reader_pos(r);
    int rc, cnt = 0;
    while ((rc = shmqi_log_reader_next(r, limit, &item)) == SHMQ_OK) {
        must(++cnt < ITEMS_MAX);
        if (item.what == SHMQI_LOG_ITEM_GAP) {
            must(item.from == at && item.to > item.from);
            must(shmqi_log_gap_name(item.reason)[0] != 'u');
            at = item.to;
        } else {
            must(item.what == SHMQI_LOG_ITEM_FRAME);
            must(item.frame.end_pos > at);
            use_frame(&item.frame);
            at = item.frame.end_pos;
        }
        must(shmqi_log_reader_pos(r) == at);
    }
    must(rc == SHMQ_ERR_EMPTY || rc == SHMQ_ERR_SYS || rc == SHMQ_ERR_LAYOUT);
    if (rc == SHMQ_ERR_EMPTY && !disk.fail_at)
        must(shmqi_log_reader_next(r, limit, &item) == SHMQ_ERR_EMPTY);
}

static void read_all(const struct image_settings *s)
{
    struct shmqi_log_reader *r;
    uint64_t pos, where = image_end / 64 * (s->where & 127);
    uint64_t limit = s->limit & 128 ? UINT64_MAX : image_end / 32 * s->limit;
    const uint8_t *topic = s->limit & 1 ? image_topic : NULL;
    if (shmqi_log_reader_open_files(&files, &disk, 0, topic, &r))
        return;
    read_on(r, limit);
    if (shmqi_log_reader_seek(r, where) == SHMQ_OK) {
        must(shmqi_log_reader_pos(r) == where);
        read_on(r, limit);
    }
    if (shmqi_log_reader_seek_time(r, 990 + s->where, limit, &pos) == SHMQ_OK)
        read_on(r, limit);
    (void)shmqi_log_reader_low(r, &pos);
    shmqi_log_reader_close(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t store[16] = {1};
    struct image_settings s;
    if (size == 0)
        return 0;
    uint32_t kind = 1 + data[0] % 3;
    if (!good[kind].files[0].there)
        image_build(&good[kind], kind, store);
    memcpy(&disk.image, &good[kind], IMAGE_STORE * sizeof disk.image.files[0]);
    disk.reads = disk.fail_at = 0;
    if (!image_change(&disk.image, data + 1, size - 1, &s))
        return 0;
    disk.fail_at = s.fail_read;
    read_all(&s);
    return 0;
}
