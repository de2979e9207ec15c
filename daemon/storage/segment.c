/* segment.c - making segments ahead of time, changing to the next one, and
 * leaving the last. The steps are drawn in log_impl.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <shmq/base.h>
#include <shmq/errors.h>

#include "log_impl.h"

#define HEADER_TRIES 16u
#define ZERO_BYTES (128u * 1024) /* at once; a low rate on purpose */
#define SPACE_CHECK_NS 200000000 /* a full disk is looked at again */
#define ZERO_BELOW (256u * 1024) /* mean batch above which zeros do not pay */

static uint64_t least_capacity(const struct shmqd_log *log)
{
    uint64_t least = log->buffer_bytes + 2 * SHMQI_LOG_BLOCK;
    uint64_t most = log->segment_bytes;
    uint64_t want = most < (1u << 20) ? most : 1u << 20;
    return least > want ? least : want;
}

/* A batch has to fit into a segment of its own, however small segments are
 * asked to be. */
static uint64_t largest_capacity(const struct shmqd_log *log)
{
    uint64_t least = least_capacity(log);
    return log->segment_bytes > least ? log->segment_bytes : least;
}

static struct shmqd_segment *free_slot(struct shmqd_log *log)
{
    for (int i = 0; i < 3; i++)
        if (log->slots[i].step == SEGMENT_NONE)
            return &log->slots[i];
    return NULL;
}

static void reset(struct shmqd_segment *seg)
{
    if (seg->file >= 0)
        seg->log->store->ops->close(seg->log->store->io, seg->file);
    free(seg->block);
    memset(seg, 0, sizeof *seg);
    seg->file = -1;
}

/* Deletes a file that was never named. */
static void discard(struct shmqd_segment *seg)
{
    struct shmqd_log *log = seg->log;
    char name[SHMQI_LOG_NAME_ROOM];
    shmqi_log_segment_name(seg->head.segment_no, ".prep", name);
    reset(seg);
    log->store->ops->unlink(log->store->io, log->dir, name);
    if (log->spare == seg)
        log->spare = NULL;
    if (log->active == seg)
        log->active = NULL;
}

/* -- making one --------------------------------------------------------------
 */

static void prepare_done(struct shmqd_io_op *op);

static bool submit(struct shmqd_segment *seg, enum shmqd_io_kind kind,
    unsigned flags, const uint8_t *buf, uint64_t off, uint64_t len)
{
    struct shmqd_store *s = seg->log->store;
    memset(&seg->op, 0, sizeof seg->op);
    seg->op.kind = kind;
    seg->op.file = seg->file;
    seg->op.flags = flags;
    seg->op.buf = buf;
    seg->op.buf_idx = -1;
    seg->op.off = off;
    seg->op.len = len;
    seg->op.done = prepare_done;
    seg->op.owner = seg;
    if (s->ops->submit(s->io, &seg->op))
        return false;
    seg->ops++;
    return true;
}

/* A spare that could not be made is thrown away. */
static void prepare_failed(struct shmqd_segment *seg, int err)
{
    struct shmqd_log *log = seg->log;
    uint64_t half = seg->capacity / 2 & ~(uint64_t)(SHMQI_LOG_BLOCK - 1);
    discard(seg);
    log->error = err;
    log->space_check_ns = shmqd_now(log->store) + SPACE_CHECK_NS;
    if (shmqd_is_shortage(err)) {
        log->no_space = true;
        if (shmqd_is_full(err))
            log->next_capacity =
                half > least_capacity(log) ? half : least_capacity(log);
        return;
    }
    log->io_error_cnt++;
    if (++log->failures >= 2) {
        log->read_only = log->failing = true;
        (void)shmqd_fail_io(log->store, -err,
            "log: cannot make a segment, for the second time; read-only");
    }
}

/* The next step of a spare; true when one was started. */
static bool advance(struct shmqd_segment *seg)
{
    struct shmqd_log *log = seg->log;
    switch (seg->step) {
    case SEGMENT_ALLOCATE:
        return submit(seg, SHMQD_IO_ALLOCATE, 0, NULL, 0, seg->capacity);
    case SEGMENT_ZERO: {
        uint64_t left = seg->capacity - seg->zeroed;
        return submit(seg, SHMQD_IO_WRITE, 0, log->store->zeros, seg->zeroed,
            left < ZERO_BYTES ? left : ZERO_BYTES);
    }
    case SEGMENT_SYNC:
        return submit(seg, SHMQD_IO_SYNC, 0, NULL, 0, 0);
    case SEGMENT_HEADER:
        return submit(seg, SHMQD_IO_WRITE, SHMQD_IO_DSYNC, seg->block, 0,
            SHMQI_LOG_BLOCK);
    default:
        return false;
    }
}

static uint64_t whole_blocks(int64_t n)
{
    return (uint64_t)n & ~(uint64_t)(SHMQI_LOG_BLOCK - 1);
}

static void header_done(struct shmqd_segment *seg, int64_t result)
{
    if (result != SHMQI_LOG_BLOCK)
        shmqd_log_trouble(seg->log, seg, result < 0 ? (int)-result : EIO);
    else
        seg->step = SEGMENT_NAME;
}

static void prepare_done(struct shmqd_io_op *op)
{
    struct shmqd_segment *seg = op->owner;
    struct shmqd_log *log = seg->log;
    int64_t n = op->result;
    seg->ops--;
    if (n == -EINTR || n == -EAGAIN) {
        if (!advance(seg))
            prepare_failed(seg, EAGAIN);
        return;
    }
    if (seg->step == SEGMENT_HEADER && n >= 0 && n < SHMQI_LOG_BLOCK &&
        seg->tries++ < HEADER_TRIES && advance(seg))
        return; /* short: the whole block again */
    if (seg->step == SEGMENT_HEADER) {
        header_done(seg, n);
    } else if (n < 0 || (n == 0 && op->kind == SHMQD_IO_WRITE)) {
        prepare_failed(seg, n ? (int)-n : EIO);
    } else {
        if (seg->step == SEGMENT_ALLOCATE)
            seg->step = log->zero_fill ? SEGMENT_ZERO : SEGMENT_SYNC;
        else if (seg->step == SEGMENT_SYNC)
            seg->step = SEGMENT_SPARE;
        else if ((seg->zeroed += whole_blocks(n)) >= seg->capacity)
            seg->step = SEGMENT_SYNC;
        if (seg->step == SEGMENT_SPARE)
            log->no_space = false;
        else if (!advance(seg))
            prepare_failed(seg, EAGAIN);
    }
    shmqd_log_step(log);
}

static bool space_left(struct shmqd_log *log)
{
    uint64_t free_bytes, total;
    struct shmqd_store *s = log->store;
    if (s->ops->space(s->io, log->dir, &free_bytes, &total))
        return true; /* allocating will tell */
    /* What topics leave free the journal of groups may use: it is small, and
     * readers go on while the disk is full (decisions/0022). */
    bool journal = log->options.kind == SHMQI_LOG_GROUPS;
    return free_bytes >= (journal ? 0 : shmqd_min_free(s)) + log->next_capacity;
}

static void make_spare(struct shmqd_log *log)
{
    struct shmqd_store *s = log->store;
    struct shmqd_segment *seg = free_slot(log);
    char name[SHMQI_LOG_NAME_ROOM];
    unsigned how = SHMQD_OPEN_WRITE | SHMQD_OPEN_CREATE;
    if (!seg)
        return;
    if (log->options.level == SHMQD_LEVEL_DISK)
        how |= SHMQD_OPEN_DIRECT;
    memset(seg, 0, sizeof *seg);
    seg->log = log;
    seg->head.segment_no = log->next_number;
    seg->capacity = log->next_capacity;
    shmqi_log_segment_name(log->next_number, ".prep", name);
    (void)s->ops->unlink(s->io, log->dir, name); /* one that we gave up */
    seg->file = s->ops->open(s->io, log->dir, name, how);
    seg->block = aligned_alloc(SHMQI_LOG_BLOCK, SHMQI_LOG_BLOCK);
    seg->step = SEGMENT_ALLOCATE;
    log->spare = seg;
    if (!seg->block || seg->file < 0)
        prepare_failed(seg, seg->block ? -seg->file : ENOMEM);
    else if (!advance(seg))
        prepare_failed(seg, EAGAIN);
}

/* Large batches gain nothing from blocks that were zeroed before. */
static bool zeros_pay(const struct shmqd_log *log)
{
    return log->options.level == SHMQD_LEVEL_DISK &&
        !log->store->options.no_zero_fill &&
        (log->flush_cnt == 0 ||
            log->payload_bytes / log->flush_cnt < ZERO_BELOW);
}

static bool spare_is_wanted(const struct shmqd_log *log)
{
    return !log->spare && !log->read_only && log->begun && log->active &&
        log->active->used >= log->active->capacity / 2;
}

bool shmqd_space_is_wanted(const struct shmqd_log *log)
{
    const struct shmqd_segment *seg = log->active;
    return spare_is_wanted(log) || shmqd_batches_wait(log) ||
        (log->begun && !log->started && log->start_pos > log->found_end) ||
        (seg && seg->step != SEGMENT_LIVE);
}

/* A write that found no room, with a spare in hand: the log has gone on there,
 * and nothing lacks any more. */
static void end_shortage(struct shmqd_log *log)
{
    if (log->no_space && log->active && !log->failing &&
        !shmqd_space_is_wanted(log))
        log->no_space = false;
}

static void want_spare(struct shmqd_log *log, bool now)
{
    if (log->spare || log->read_only || !log->begun)
        return;
    if (!now && !spare_is_wanted(log))
        return;
    if (shmqd_now(log->store) < log->space_check_ns)
        return;
    if (!space_left(log)) {
        log->no_space = true;
        log->space_check_ns = shmqd_now(log->store) + SPACE_CHECK_NS;
        return;
    }
    log->zero_fill = zeros_pay(log);
    make_spare(log);
}

/* -- changing ----------------------------------------------------------------
 */

static void fill_head(struct shmqd_log *log, struct shmqd_segment *seg,
    uint64_t prev_end_pos, uint64_t base_pos)
{
    struct shmqi_log_segment *h = &seg->head;
    h->major = SHMQI_LOG_MAJOR;
    h->minor = SHMQI_LOG_MINOR;
    memcpy(h->store_uuid, log->store->uuid, 16);
    memcpy(h->topic_uuid, log->options.uuid, 16);
    h->base_pos = base_pos;
    h->prev_end_pos = prev_end_pos;
    h->salt = SHMQD_BUG(NO_SALT) ? 1 : shmqd_random(log->store);
    h->epoch = log->epoch;
    h->prev_crc = log->last_crc;
    h->created_ns = shmqd_realtime(log->store);
    h->max_ts_ns = log->max_ts_ns;
    h->capacity = seg->capacity;
    h->kind = log->options.kind;
    h->compat = log->os_frozen ? SHMQI_LOG_UNSURE_BEFORE : 0;
    snprintf(h->writer, sizeof h->writer, "shmqd %d.%d.%d", SHMQ_VERSION_MAJOR,
        SHMQ_VERSION_MINOR, SHMQ_VERSION_PATCH);
    shmqi_log_segment_encode(h, seg->block);
}

int shmqd_sealed_add(struct shmqd_log *log, const struct shmqd_sealed *s)
{
    if (log->sealed_cnt == log->sealed_room) {
        size_t room = log->sealed_room ? 2 * log->sealed_room : 16;
        struct shmqd_sealed *more = realloc(log->sealed, room * sizeof *more);
        if (!more)
            return SHMQ_ERR_NOMEM;
        log->sealed = more;
        log->sealed_room = room;
    }
    log->sealed[log->sealed_cnt++] = *s;
    log->sealed_bytes += s->bytes;
    return SHMQ_OK;
}

static bool seal(struct shmqd_log *log, uint64_t end_pos)
{
    const struct shmqd_segment *seg = log->active;
    struct shmqd_sealed done = {seg->head.segment_no, seg->head.base_pos,
        end_pos > seg->head.base_pos ? end_pos : seg->head.base_pos,
        seg->capacity, log->max_ts_ns, shmqd_realtime(log->store), false};
    return shmqd_sealed_add(log, &done) == SHMQ_OK;
}

static bool roll(
    struct shmqd_log *log, uint64_t prev_end_pos, uint64_t base_pos)
{
    struct shmqd_segment *seg = log->spare;
    if (!seg || seg->step != SEGMENT_SPARE || log->old)
        return false;
    if (log->active && !log->active->failed &&
        log->active->step != SEGMENT_LIVE)
        return false; /* one unnamed segment at a time */
    if (log->no_space && shmqd_now(log->store) < log->space_check_ns)
        return false; /* what has just failed would fail again */
    if (!shmqd_still_ours(log->store)) {
        log->read_only = log->failing = true;
        return false;
    }
    if (log->active && !seal(log, prev_end_pos))
        return false;
    log->old = log->active;
    log->active = seg;
    log->spare = NULL;
    log->next_number++;
    log->next_capacity *= 2;
    if (log->next_capacity > largest_capacity(log))
        log->next_capacity = largest_capacity(log);
    fill_head(log, seg, prev_end_pos, base_pos);
    seg->used = SHMQI_LOG_BLOCK;
    seg->step = SEGMENT_HEADER;
    log->chain_pos = base_pos;
    log->chain_crc = seg->head.crc;
    if (!advance(seg))
        shmqd_log_trouble(log, seg, EAGAIN);
    return true;
}

struct shmqd_segment *shmqd_segment_for(struct shmqd_log *log, uint64_t bytes)
{
    struct shmqd_segment *seg = log->active;
    if (seg && !seg->failed && seg->used + bytes <= seg->capacity)
        return seg;
    want_spare(log, true);
    /* Only begin() may leave positions out. */
    bool first = !log->started && shmqd_level_pos(log) == log->found_end;
    if (!seg && first)
        return roll(log, log->found_end, log->start_pos) ? log->active : NULL;
    return roll(log, log->chain_pos, log->chain_pos) ? log->active : NULL;
}

/* The tail of a segment from before, which nobody may read again. */
static void trim(struct shmqd_log *log)
{
    struct shmqd_store *s = log->store;
    char name[SHMQI_LOG_NAME_ROOM];
    if (!log->trim_bytes)
        return;
    shmqi_log_segment_name(log->trim_number, ".seg", name);
    int file = s->ops->open(s->io, log->dir, name, SHMQD_OPEN_WRITE);
    if (file >= 0) {
        (void)s->ops->truncate(s->io, file, log->trim_bytes);
        s->ops->close(s->io, file);
    }
    log->trim_bytes = 0;
}

static void dir_synced(struct shmqd_io_op *op);

void shmqd_sync_dir(struct shmqd_log *log)
{
    struct shmqd_io_op *op = &log->dir_op;
    memset(op, 0, sizeof *op);
    op->kind = SHMQD_IO_SYNC;
    op->flags = SHMQD_IO_FULL;
    op->file = log->dir;
    op->buf_idx = -1;
    op->done = dir_synced;
    op->owner = log;
    log->dir_syncing = log->store->ops->submit(log->store->io, op) == 0;
}

static void go_live(struct shmqd_segment *seg)
{
    struct shmqd_log *log = seg->log;
    uint64_t prev = seg->head.prev_end_pos, base = seg->head.base_pos;
    seg->step = SEGMENT_LIVE;
    log->started = true;
    if (log->durable_pos == prev)
        log->durable_pos = base;
    if (log->written_pos == prev)
        log->written_pos = base;
    trim(log);
}

static void dir_synced(struct shmqd_io_op *op)
{
    struct shmqd_log *log = op->owner;
    log->dir_syncing = false;
    if (log->active && log->active->step == SEGMENT_NAMED) {
        if (op->result == 0)
            go_live(log->active);
        else
            shmqd_log_trouble(log, log->active, (int)-op->result);
    }
    shmqd_log_step(log);
}

/* Everything before the segment is where it has to be. */
static bool may_be_named(
    const struct shmqd_log *log, const struct shmqd_segment *seg)
{
    return SHMQD_BUG(NAME_EARLY) || log->os_frozen ||
        log->durable_pos >= seg->head.prev_end_pos;
}

static void name_it(struct shmqd_log *log, struct shmqd_segment *seg)
{
    struct shmqd_store *s = log->store;
    char prep[SHMQI_LOG_NAME_ROOM], name[SHMQI_LOG_NAME_ROOM];
    shmqi_log_segment_name(seg->head.segment_no, ".prep", prep);
    shmqi_log_segment_name(seg->head.segment_no, ".seg", name);
    int rc = s->ops->rename(s->io, log->dir, prep, name);
    if (rc) {
        shmqd_log_trouble(log, seg, -rc);
        return;
    }
    seg->step = SEGMENT_NAMED;
    if (SHMQD_BUG(NO_DIR_SYNC))
        go_live(seg);
}

static bool has_batches(
    const struct shmqd_log *log, const struct shmqd_segment *seg)
{
    for (const struct shmqd_batch *b = log->first; b; b = b->next)
        if (b->segment == seg)
            return true;
    return false;
}

static void leave_old(struct shmqd_log *log)
{
    struct shmqd_segment *seg = log->old;
    struct shmqd_store *s = log->store;
    if (seg->ops || has_batches(log, seg) || !log->active ||
        log->active->step != SEGMENT_LIVE)
        return;
    if (!seg->failed && seg->used < seg->capacity &&
        s->ops->truncate(s->io, seg->file, seg->used) == 0 &&
        log->sealed_cnt > log->sealed_from) {
        log->sealed[log->sealed_cnt - 1].bytes = seg->used;
        log->sealed_bytes -= seg->capacity - seg->used;
    }
    log->old = NULL;
    reset(seg);
}

void shmqd_segment_step(struct shmqd_log *log)
{
    struct shmqd_segment *seg = log->active;
    if (log->failing || log->read_only)
        return;
    if (seg && seg->step == SEGMENT_NAME && may_be_named(log, seg))
        name_it(log, seg);
    if (seg && seg->step == SEGMENT_NAMED && !log->dir_syncing)
        shmqd_sync_dir(log);
    if (log->old)
        leave_old(log);
    if (!log->started && log->begun && !seg && log->start_pos > log->found_end)
        (void)shmqd_segment_for(log, SHMQI_LOG_BLOCK);
    end_shortage(log);
    want_spare(log, false);
}

bool shmqd_segments_quiet(const struct shmqd_log *log)
{
    for (int i = 0; i < 3; i++)
        if (log->slots[i].ops && &log->slots[i] != log->spare)
            return false;
    return !log->syncing && !log->dir_syncing;
}

void shmqd_segment_abandon(struct shmqd_log *log)
{
    struct shmqd_segment *seg = log->active;
    uint64_t end = shmqd_level_pos(log);
    if (log->old)
        reset(log->old);
    log->old = NULL;
    if (seg && seg->step >= SEGMENT_NAMED) {
        (void)seal(log, end);
        reset(seg);
        log->active = NULL;
    } else if (seg) {
        /* Nobody has seen its name; its number is left out. The one before it
         * was sealed at a place that it may not have reached. */
        discard(seg);
        if (log->sealed_cnt && log->sealed[log->sealed_cnt - 1].end_pos > end)
            log->sealed[log->sealed_cnt - 1].end_pos = end;
    }
    log->chain_pos = end;
    log->last_crc = log->safe_crc;
}

void shmqd_segments_free(struct shmqd_log *log)
{
    if (log->active && log->active->step < SEGMENT_NAMED)
        discard(log->active);
    if (log->spare)
        discard(log->spare);
    shmqd_segments_drop(log);
}

void shmqd_segments_drop(struct shmqd_log *log)
{
    for (int i = 0; i < 3; i++)
        if (log->slots[i].step != SEGMENT_NONE)
            reset(&log->slots[i]);
    log->active = log->spare = log->old = NULL;
    free(log->sealed);
    log->sealed = NULL;
}
