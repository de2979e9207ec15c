/* turn.c - one turn of the store, and what its logs say of themselves. */
#include <stdlib.h>
#include <string.h>

#include <shmq/errors.h>

#include "log_impl.h"

#define COMPLETIONS_MAX 64 /* in one turn */

void shmqd_log_step(struct shmqd_log *log)
{
    shmqd_batches_unlend(log);
    shmqd_trouble_step(log);
    shmqd_segment_step(log);
    shmqd_batches_settle(log);
    shmqd_segment_step(log);
    shmqd_batches_step(log);
    shmqd_sync_step(log);
}

static void step_all(struct shmqd_store *s)
{
    for (struct shmqd_log *log = s->logs; log; log = log->next) {
        shmqd_log_step(log);
        shmqd_batches_idle(log);
    }
}

int shmqd_store_turn(struct shmqd_store *s, int64_t timeout_ns)
{
    step_all(s);
    int cnt = s->ops->turn(s->io, COMPLETIONS_MAX, timeout_ns);
    return cnt < 0 ? 0 : cnt;
}

int shmqd_store_fd(const struct shmqd_store *s)
{
    return s->ops->wait_fd(s->io);
}

int64_t shmqd_log_next_ns(const struct shmqd_log *log)
{
    int64_t next = INT64_MAX;
    if (log->read_only || !log->begun)
        return next;
    if (log->no_space && shmqd_space_is_wanted(log))
        next = log->space_check_ns;
    if (log->options.level == SHMQD_LEVEL_DISK && !log->first && log->active &&
        log->stamped_pos < log->durable_pos &&
        log->idle_since_ns + 50000000 < next)
        next = log->idle_since_ns + 50000000;
    if (log->options.level == SHMQD_LEVEL_OS && !log->os_frozen &&
        log->written_pos > log->durable_pos && !log->syncing &&
        log->last_sync_ns + 1000000000 < next)
        next = log->last_sync_ns + 1000000000;
    return next;
}

int64_t shmqd_store_next_ns(const struct shmqd_store *s)
{
    int64_t next = INT64_MAX;
    for (const struct shmqd_log *log = s->logs; log; log = log->next) {
        int64_t one = shmqd_log_next_ns(log);
        if (one < next)
            next = one;
    }
    return next;
}

static uint64_t low_of(const struct shmqd_log *log)
{
    for (size_t i = log->sealed_from; i < log->sealed_cnt; i++)
        if (log->sealed[i].end_pos > log->sealed[i].base_pos)
            return log->sealed[i].base_pos;
    if (log->active && log->active->step >= SEGMENT_NAMED)
        return log->active->head.base_pos;
    return shmqd_level_pos(log);
}

static enum shmqd_log_state state_of(const struct shmqd_log *log)
{
    if (log->read_only)
        return SHMQD_LOG_READ_ONLY;
    if (!log->no_space)
        return SHMQD_LOG_OK;
    /* Without room for what waits, or just without a spare? */
    bool begins =
        log->begun && !log->started && log->start_pos > log->found_end;
    return begins || shmqd_batches_wait(log) ? SHMQD_LOG_NO_SPACE
                                             : SHMQD_LOG_LOW_SPACE;
}

void shmqd_log_status(const struct shmqd_log *log, struct shmqd_log_status *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->ready =
        log->begun && (log->started || log->start_pos == log->found_end);
    ret->state = state_of(log);
    ret->low_pos = low_of(log);
    ret->added_pos = log->added_pos;
    ret->written_pos = log->written_pos;
    ret->durable_pos = log->durable_pos;
    for (const struct shmqd_batch *b = log->first; b; b = b->next)
        ret->unflushed_bytes += b->head.payload_bytes;
    ret->log_bytes = log->sealed_bytes +
        (log->active ? log->active->capacity : 0) +
        (log->spare ? log->spare->capacity : 0);
    ret->segment_cnt =
        (uint32_t)(log->sealed_cnt - log->sealed_from) + (log->active != NULL);
    ret->flush_cnt = log->flush_cnt;
    ret->io_error_cnt = log->io_error_cnt;
    ret->padding_bytes = log->padding_bytes;
    ret->payload_bytes = log->payload_bytes;
    ret->last_flush_ns = log->last_flush_ns;
    ret->error = log->error;
    ret->unsure = log->os_frozen;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

void shmqd_log_latency(const struct shmqd_log *log, uint64_t *ret_p50_ns,
    uint64_t *ret_p99_ns, uint64_t *ret_max_ns)
{
    uint64_t sorted[SHMQD_LATENCIES];
    size_t cnt = log->flush_cnt < SHMQD_LATENCIES ? (size_t)log->flush_cnt
                                                  : SHMQD_LATENCIES;
    *ret_p50_ns = *ret_p99_ns = *ret_max_ns = 0;
    if (cnt == 0)
        return;
    memcpy(sorted, log->latencies, cnt * sizeof *sorted);
    qsort(sorted, cnt, sizeof *sorted, by_size);
    *ret_p50_ns = sorted[cnt / 2];
    *ret_p99_ns = sorted[cnt * 99 / 100];
    *ret_max_ns = sorted[cnt - 1];
}

/* -- retention ---------------------------------------------------------------
 */

/* When the segment was closed, at the latest. Our clock, not those of the
 * producers: one that is ahead would keep everything behind it. If ours was
 * ahead then and was put right, the next segment says more. */
static int64_t closed_ns(
    const struct shmqd_log *log, const struct shmqd_sealed *seg, int64_t now_ns)
{
    const struct shmqd_sealed *end = log->sealed + log->sealed_cnt;
    for (; seg < end; seg++)
        if (seg->closed_ns > 0 && seg->closed_ns <= now_ns)
            return seg->closed_ns;
    return now_ns;
}

static bool may_be_deleted(const struct shmqd_log *log,
    const struct shmqd_sealed *seg, const struct shmqd_retention *p)
{
    uint64_t behind =
        log->sealed_bytes - seg->bytes + (log->active ? log->active->used : 0);
    if (p->bytes && behind >= p->bytes)
        return true;
    if (p->max_lag_bytes && behind >= p->max_lag_bytes &&
        seg->end_pos > p->consumed_pos)
        return true;
    if (p->consumed && seg->end_pos <= p->consumed_pos)
        return true;
    if (!p->age_ns)
        return false;
    int64_t now_ns = shmqd_realtime(log->store);
    return (uint64_t)(now_ns - closed_ns(log, seg, now_ns)) > p->age_ns;
}

/* One deletion is on disk before the next begins: no hole, ever. Without a
 * segment in use the last one says where the log ends, and stays. */
static bool can_delete_now(const struct shmqd_log *log)
{
    if (log->dir_syncing || log->old || log->failing)
        return false;
    return log->active ? log->active->step == SEGMENT_LIVE
                       : log->sealed_cnt - log->sealed_from > 1;
}

int shmqd_log_retain(struct shmqd_log *log, const struct shmqd_retention *p)
{
    struct shmqd_store *s = log->store;
    char name[SHMQI_LOG_NAME_ROOM];
    if (log->sealed_from == log->sealed_cnt)
        return 0;
    struct shmqd_sealed *seg = &log->sealed[log->sealed_from];
    if (!may_be_deleted(log, seg, p))
        return 0;
    if (!can_delete_now(log))
        return log->dir_syncing || log->old; /* that ends by itself, soon */
    shmqi_log_segment_name(seg->number, ".seg", name);
    int rc = s->ops->unlink(s->io, log->dir, name);
    if (rc)
        return shmqd_fail_io(s, rc, "log: cannot delete segment %s", name);
    log->sealed_bytes -= seg->bytes;
    log->sealed_from++;
    log->space_check_ns = 0; /* there is room now, perhaps */
    if (log->sealed_from == log->sealed_cnt)
        log->sealed_from = log->sealed_cnt = 0;
    shmqd_sync_dir(log);
    return 1;
}
