/* log.c - opening, beginning and closing the log of one topic. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <shmq/errors.h>

#include "log_impl.h"

#define FIRST_CAPACITY (4ull << 20)
#define FRAME_MAX (256ull << 20)
#define GROUPS_DIR "groups"

int shmqd_recovery_json(const struct shmqd_recovery *r, const uint8_t uuid[16],
    char *text, size_t room)
{
    char id[33];
    shmqd_uuid_text(uuid, id);
    return snprintf(text, room,
        "{\"topic\":\"%s\",\"low\":\"%" PRIu64 "\",\"end\":\"%" PRIu64
        "\",\"clean\":%s,\"fresh\":%s,\"epoch\":%u,\"segments\":%" PRIu64
        ",\"segments_scanned\":%" PRIu64 ",\"scanned_bytes\":%" PRIu64
        ",\"log_bytes\":%" PRIu64 ",\"dropped_bytes\":%" PRIu64
        ",\"dropped_end\":\"%" PRIu64 "\",\"gaps\":%" PRIu64
        ",\"first_gap\":{\"from\":\"%" PRIu64 "\",\"to\":\"%" PRIu64
        "\"},\"degraded\":%s,\"recovery_seconds\":%.6f}",
        id, r->low_pos, r->end_pos, r->clean ? "true" : "false",
        r->fresh ? "true" : "false", r->epoch, r->segment_cnt,
        r->segments_scanned, r->bytes_scanned, r->log_bytes, r->dropped_bytes,
        r->dropped_end_pos, r->gap_cnt, r->gap_from, r->gap_to,
        r->degraded ? "true" : "false", (double)r->took_ns / 1e9);
}

static void write_report(
    struct shmqd_log *log, const struct shmqd_recovery *found)
{
    char text[1024];
    int n = shmqd_recovery_json(found, log->options.uuid, text, sizeof text);
    if (n > 0 && (size_t)n < sizeof text - 1) {
        text[n] = '\n';
        (void)shmqd_write_small(
            log->store, log->dir, "recovery.json", text, (size_t)n + 1);
    }
}

static int open_dir(struct shmqd_log *log)
{
    struct shmqd_store *s = log->store;
    char name[33];
    if (log->options.kind == SHMQI_LOG_GROUPS) {
        log->dir = shmqd_open_dir(s, s->root, GROUPS_DIR, true);
    } else {
        shmqd_uuid_text(log->options.uuid, name);
        log->dir = shmqd_open_dir(s, s->topics, name, true);
    }
    return log->dir < 0
        ? shmqd_fail_io(s, log->dir, "log: cannot open its directory")
        : SHMQ_OK;
}

static void set_up(struct shmqd_log *log, const struct shmqd_recovery *found)
{
    uint64_t least = log->buffer_bytes + 2 * SHMQI_LOG_BLOCK;
    log->next_capacity = FIRST_CAPACITY > log->segment_bytes
        ? log->segment_bytes
        : FIRST_CAPACITY;
    if (log->next_capacity < least)
        log->next_capacity = least;
    log->chain_pos = found->end_pos;
    log->added_pos = log->written_pos = log->durable_pos = found->end_pos;
    log->stamped_pos = found->end_pos;
    log->found_end = log->start_pos = found->end_pos;
    log->safe_crc = log->last_crc;
    log->last_sync_ns = log->idle_since_ns = shmqd_now(log->store);
}

int shmqd_log_open(struct shmqd_store *s, const struct shmqd_log_options *o,
    struct shmqd_log **ret_log, struct shmqd_recovery *ret_recovery)
{
    struct shmqd_recovery found;
    if (o->kind < SHMQI_LOG_MPMC || o->kind > SHMQI_LOG_GROUPS ||
        o->frame_bytes_max > FRAME_MAX || o->frame_bytes_max == 0)
        return shmqd_fail(s, SHMQ_ERR_INVAL,
            "log: kind or largest frame (at most 256 MiB) is wrong");
    struct shmqd_log *log = calloc(1, sizeof *log);
    if (!log)
        return shmqd_fail(s, SHMQ_ERR_NOMEM, "log: no memory");
    log->store = s;
    log->options = *o;
    log->segment_bytes = s->options.segment_bytes;
    if (o->kind == SHMQI_LOG_GROUPS && log->segment_bytes > FIRST_CAPACITY)
        log->segment_bytes = FIRST_CAPACITY;
    log->dir = -1;
    for (int i = 0; i < 3; i++)
        log->slots[i].file = -1;
    log->buffer_bytes = shmqi_log_batch_total(o->frame_bytes_max);
    if (log->buffer_bytes < s->options.staging_bytes)
        log->buffer_bytes = s->options.staging_bytes;
    int rc = open_dir(log);
    if (rc == SHMQ_OK)
        rc = shmqd_recover(log, &found);
    if (rc) {
        if (log->dir >= 0)
            s->ops->close(s->io, log->dir);
        free(log->sealed);
        free(log);
        return rc;
    }
    set_up(log, &found);
    if (!found.fresh)
        write_report(log, &found);
    log->next = s->logs;
    s->logs = log;
    *ret_log = log;
    *ret_recovery = found;
    return SHMQ_OK;
}

int shmqd_log_begin(struct shmqd_log *log, uint64_t start_pos)
{
    if (log->begun || start_pos < log->found_end)
        return shmqd_fail(
            log->store, SHMQ_ERR_INVAL, "log: begun already, or below its end");
    log->begun = true;
    log->start_pos = start_pos;
    log->added_pos = start_pos;
    return SHMQ_OK;
}

/* Waits until nothing is under way on the log's files. */
static void drain(struct shmqd_log *log)
{
    log->read_only = true; /* nothing new is started */
    while (!shmqd_segments_quiet(log) || (log->spare && log->spare->ops))
        if (log->store->ops->turn(log->store->io, 64, 10000000) < 0)
            break;
}

static int mark_clean(struct shmqd_log *log)
{
    struct shmqd_segment *seg = log->active;
    struct shmqd_store *s = log->store;
    if (!seg)
        return SHMQ_OK; /* nothing was written: what was clean still is */
    if (log->os_frozen)
        return SHMQ_OK; /* to be looked at when it is opened again */
    int err = s->ops->sync(s->io, seg->file);
    struct shmqd_clean c = {seg->head.segment_no, seg->used, log->chain_pos,
        log->last_crc, log->epoch, log->max_ts_ns, seg->head.salt};
    if (err == 0 && seg->used < seg->capacity)
        err = s->ops->truncate(s->io, seg->file, seg->used);
    if (err == 0)
        err = s->ops->sync(s->io, seg->file);
    if (err == 0)
        err = shmqd_clean_write(log, &c);
    return err ? shmqd_fail_io(s, err, "log: cannot write the clean marker")
               : SHMQ_OK;
}

static void unlink_log(struct shmqd_log *log)
{
    for (struct shmqd_log **at = &log->store->logs; *at; at = &(*at)->next)
        if (*at == log) {
            *at = log->next;
            return;
        }
}

void shmqd_store_abandon(struct shmqd_store *s)
{
    while (s->logs) {
        struct shmqd_log *log = s->logs;
        unlink_log(log);
        shmqd_batches_free(log);
        shmqd_segments_drop(log);
        s->ops->close(s->io, log->dir);
        free(log);
    }
    shmqd_store_close(s);
}

int shmqd_log_close(struct shmqd_log *log, bool clean)
{
    int rc = SHMQ_OK;
    struct shmqd_store *s = log->store;
    bool failed = log->read_only;
    if (clean && !failed &&
        (log->first || log->failing || log->old || log->syncing ||
            (log->active && log->active->step != SEGMENT_LIVE)))
        return SHMQ_ERR_BUSY;
    drain(log);
    if (clean)
        rc = failed ? SHMQ_ERR_READ_ONLY : mark_clean(log);
    unlink_log(log);
    shmqd_batches_free(log);
    shmqd_segments_free(log);
    s->ops->close(s->io, log->dir);
    free(log);
    return rc;
}
