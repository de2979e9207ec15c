/* resync.c - os logs after a failed sync, when they are opened again.
 *
 * What such a log wrote before the failure was acknowledged as written, and
 * nobody knows what of it is on the disk: a kernel may throw away what it could
 * not write, and call the next sync a success. So no sync proves anything here
 * but what is read back from the disk itself, past the page cache, and is
 * right. What is not right is lost and told as damage, as the readers will tell
 * it. */
#include <stdlib.h>
#include <string.h>

#include <shmq/errors.h>

#include "log_impl.h"

struct source {
    const struct shmqd_store *store;
    int file;
};

/* What cannot be read is right for no checksum. */
static int64_t read_source(void *ctx, void *buf, size_t len, uint64_t off)
{
    const struct source *from = ctx;
    int64_t n =
        from->store->ops->read(from->store->io, from->file, buf, len, off);
    if (n >= 0)
        return n;
    memset(buf, 0xff, len);
    return (int64_t)len;
}

/* Walks to the segment's end; how far everything is right. */
static uint64_t walk(struct source *from, const struct shmqd_sealed *seg,
    struct shmqd_recovery *found)
{
    struct shmqi_log_scan scan;
    struct shmqi_log_segment h;
    enum shmqi_log_verdict v;
    const uint8_t *payload;
    if (shmqi_log_scan_open(&scan, read_source, from, &h, &v))
        return seg->base_pos;
    uint64_t pos = seg->base_pos;
    while (v <= SHMQI_LOG_COPY_BAD && pos < seg->end_pos) {
        struct shmqi_log_batch b;
        if (shmqi_log_scan_peek(&scan, &b) != SHMQI_STEP_BATCH ||
            shmqi_log_scan_take(&scan, &b, &payload) != SHMQI_STEP_BATCH)
            break;
        pos = b.end_pos;
    }
    found->bytes_scanned += scan.window.bytes_read;
    shmqi_log_scan_close(&scan);
    return pos;
}

static void look_at(struct shmqd_log *log, const struct shmqd_sealed *seg,
    struct shmqd_recovery *found)
{
    const struct shmqd_store *s = log->store;
    char name[SHMQI_LOG_NAME_ROOM];
    shmqi_log_segment_name(seg->number, ".seg", name);
    struct source from = {s,
        s->ops->open(
            s->io, log->dir, name, SHMQD_OPEN_WRITE | SHMQD_OPEN_DIRECT)};
    uint64_t end = seg->base_pos;
    found->segments_scanned++;
    if (from.file >= 0) {
        /* Before: what the kernel still has to write. After: what the disk may
         * have in a cache of its own. */
        bool safe = s->ops->sync(s->io, from.file) == 0;
        end = walk(&from, seg, found);
        safe = s->ops->sync(s->io, from.file) == 0 && safe;
        log->os_frozen |= !safe; /* said of what follows, too */
        s->ops->close(s->io, from.file);
    }
    if (end >= seg->end_pos)
        return;
    found->degraded = true;
    if (found->gap_cnt++ == 0) {
        found->gap_from = end;
        found->gap_to = seg->end_pos;
    }
}

void shmqd_resync(struct shmqd_log *log, struct shmqd_recovery *found)
{
    for (size_t i = 0; i < log->sealed_cnt; i++)
        if (log->sealed[i].unsure)
            look_at(log, &log->sealed[i], found);
}
