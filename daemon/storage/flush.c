/* flush.c - syncs that cover many writes, and what happens when one fails.
 *
 * A sync covers the writes that were complete when it was submitted: those
 * batches are marked then, and only those become durable when it succeeds. A
 * sync that has failed proves nothing about any later one (the kernel may have
 * thrown the dirty pages away), so it is never tried again: the segment is
 * given up, and what was not acknowledged goes into a new one. */
#include <errno.h>
#include <string.h>

#include <shmq/errors.h>

#include "log_impl.h"

#define OS_SYNC_NS 1000000000ll /* os topics: at least so often, */
#define OS_SYNC_BYTES (64ull << 20) /* or after so much */
#define STREAM_BYTES (4ull << 20) /* written, and not waited for any longer */

uint64_t shmqd_level_pos(const struct shmqd_log *log)
{
    return log->options.level == SHMQD_LEVEL_DISK ? log->durable_pos
                                                  : log->written_pos;
}

static void sync_done(struct shmqd_io_op *op);

static bool submit_sync(struct shmqd_log *log, struct shmqd_segment *seg)
{
    struct shmqd_io_op *op = &log->sync_op;
    memset(op, 0, sizeof *op);
    op->kind = SHMQD_IO_SYNC;
    op->file = seg->file;
    op->buf_idx = -1;
    op->done = sync_done;
    op->owner = log;
    if (log->store->ops->submit(log->store->io, op))
        return false;
    log->syncing = true;
    log->sync_segment = seg;
    log->last_sync_ns = shmqd_now(log->store);
    seg->ops++;
    return true;
}

static void sync_done(struct shmqd_io_op *op)
{
    struct shmqd_log *log = op->owner;
    struct shmqd_segment *seg = log->sync_segment;
    seg->ops--;
    log->syncing = false;
    if (op->result == -EINTR || op->result == -EAGAIN ||
        (op->result < 0 && SHMQD_BUG(RETRY_SYNC))) {
        if (submit_sync(log, seg))
            return;
    }
    if (op->result < 0) {
        if (log->options.level == SHMQD_LEVEL_OS)
            log->os_frozen = true;
        shmqd_log_trouble(log, seg, (int)-op->result);
    }
    for (struct shmqd_batch *b = log->first; b; b = b->next) {
        if (b->covered && op->result == 0)
            b->synced = true;
        b->covered = false;
    }
    if (log->options.level == SHMQD_LEVEL_OS && op->result == 0 &&
        !log->os_frozen && log->sync_pos > log->durable_pos)
        log->durable_pos = log->sync_pos;
    shmqd_log_step(log);
}

/* A sync of what is written and not durable in itself. */
static void sync_disk(struct shmqd_log *log)
{
    struct shmqd_segment *seg = NULL;
    uint64_t bytes = 0;
    bool writing = false;
    for (const struct shmqd_batch *b = log->first; b; b = b->next) {
        writing |= b->state == BATCH_WRITING && !b->dsync;
        if (b->state != BATCH_WRITTEN || b->synced)
            continue;
        if (!seg)
            seg = b->segment;
        if (b->segment == seg)
            bytes += b->head.total_bytes;
    }
    if (!seg || seg->failed || (writing && bytes < STREAM_BYTES))
        return;
    if (!submit_sync(log, seg))
        return;
    for (struct shmqd_batch *b = log->first; b; b = b->next)
        b->covered =
            b->state == BATCH_WRITTEN && !b->synced && b->segment == seg;
}

/* Os topics are synced in the background, and before a new segment may say
 * where the one before it ends. */
static void sync_os(struct shmqd_log *log)
{
    struct shmqd_segment *seg = log->active;
    if (!seg || log->written_pos <= log->durable_pos || log->os_frozen)
        return;
    if (log->written_pos <= seg->head.base_pos && log->old)
        seg = log->old;
    if (seg->step != SEGMENT_LIVE)
        return; /* its name is not durable */
    bool due = seg == log->old ||
        shmqd_now(log->store) - log->last_sync_ns >= OS_SYNC_NS ||
        log->written_pos - log->durable_pos >= OS_SYNC_BYTES;
    if (due && !seg->failed && submit_sync(log, seg))
        log->sync_pos = log->written_pos;
}

void shmqd_sync_step(struct shmqd_log *log)
{
    if (log->syncing || log->failing || log->read_only)
        return;
    if (log->options.level == SHMQD_LEVEL_DISK)
        sync_disk(log);
    else
        sync_os(log);
}

bool shmqd_is_full(int err)
{
    return err == ENOSPC || err == EDQUOT;
}

bool shmqd_is_shortage(int err)
{
    return shmqd_is_full(err) || err == EMFILE || err == ENFILE ||
        err == ENOMEM || err == ENOBUFS || err == EAGAIN;
}

void shmqd_log_trouble(
    struct shmqd_log *log, struct shmqd_segment *segment, int err)
{
    segment->failed = true;
    log->error = err;
    log->io_error_cnt++;
    if (log->failing)
        return; /* the same trouble */
    log->failing = true;
    if (shmqd_is_shortage(err)) {
        log->no_space = true;
        log->space_check_ns = shmqd_now(log->store) + 100000000;
    } else if (++log->failures >= 2) {
        log->read_only = true;
        (void)shmqd_fail(log->store, SHMQ_ERR_READ_ONLY,
            "log: second failure in a row: %s; read-only", strerror(err));
        return;
    }
    (void)shmqd_fail_io(
        log->store, -err, "log: going on in a new segment after a failure");
}

/* Os: what was written before the failure is acknowledged and nowhere else any
 * more. The next segment may only say where this one ends when that is durable,
 * so it is synced here, once; waits for the disk, after a failure only. A sync
 * that fails, now or before, leaves the durable mark where it is for good; so
 * does the sync of a segment's name. */
static void save_written(struct shmqd_log *log)
{
    const struct shmqd_segment *of[] = {log->old, log->active};
    if (log->options.level != SHMQD_LEVEL_OS ||
        log->written_pos <= log->durable_pos)
        return;
    for (int i = 0; i < 2 && !log->os_frozen; i++)
        if (of[i] && of[i]->step >= SEGMENT_NAMED)
            log->os_frozen = of[i]->step == SEGMENT_NAMED ||
                log->store->ops->sync(log->store->io, of[i]->file) != 0;
    if (!log->os_frozen)
        log->durable_pos = log->written_pos;
}

void shmqd_trouble_step(struct shmqd_log *log)
{
    if (!log->failing || !shmqd_segments_quiet(log))
        return;
    if (log->read_only) {
        /* What it has not acknowledged it never will; others need the room. */
        shmqd_batches_free(log);
        return;
    }
    shmqd_batches_again(log);
    save_written(log);
    shmqd_segment_abandon(log);
    log->failing = false;
}
