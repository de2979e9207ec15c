/* clean.c - the clean marker: where the log ended when it was closed cleanly.
 *
 * It names the last segment; a segment of a higher number makes it void. So it
 * never has to be removed, and being killed anywhere is harmless. */
#include <string.h>

#include <shmq/errors.h>

#include "../../shmq/crc32c.h"
#include "log_impl.h"

#define CLEAN_MAGIC 0x314e4c4351514d53ull

struct clean_file {
    uint64_t magic;
    uint8_t store_uuid[16], topic_uuid[16];
    uint64_t segment_no, off, end_pos;
    int64_t max_ts_ns;
    uint32_t chain_crc, epoch;
    uint64_t salt; /* of that segment: a number can come again, when a file was
                      taken away, a salt never does */
    uint8_t zero[32];
    uint32_t reserved, crc;
};
_Static_assert(sizeof(struct clean_file) == 128, "clean");

int shmqd_clean_write(struct shmqd_log *log, const struct shmqd_clean *c)
{
    struct clean_file f;
    memset(&f, 0, sizeof f);
    f.magic = CLEAN_MAGIC;
    memcpy(f.store_uuid, log->store->uuid, 16);
    memcpy(f.topic_uuid, log->options.uuid, 16);
    f.segment_no = c->segment_no;
    f.off = c->off;
    f.end_pos = c->end_pos;
    f.max_ts_ns = c->max_ts_ns;
    f.chain_crc = c->crc;
    f.epoch = c->epoch;
    f.salt = c->salt;
    f.crc = shmqi_crc32c(0, &f, offsetof(struct clean_file, crc));
    return shmqd_write_small(log->store, log->dir, "clean", &f, sizeof f);
}

bool shmqd_clean_read(struct shmqd_log *log, struct shmqd_clean *ret)
{
    struct clean_file f;
    if (shmqd_read_small(log->store, log->dir, "clean", &f, sizeof f) !=
            sizeof f ||
        f.magic != CLEAN_MAGIC ||
        f.crc != shmqi_crc32c(0, &f, offsetof(struct clean_file, crc)) ||
        memcmp(f.store_uuid, log->store->uuid, 16) ||
        memcmp(f.topic_uuid, log->options.uuid, 16))
        return false;
    ret->segment_no = f.segment_no;
    ret->off = f.off;
    ret->end_pos = f.end_pos;
    ret->max_ts_ns = f.max_ts_ns;
    ret->crc = f.chain_crc;
    ret->epoch = f.epoch;
    ret->salt = f.salt;
    return true;
}
