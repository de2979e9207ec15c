/* batch.c - staging memory, batches and their writing. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <shmq/errors.h>

#include "log_impl.h"

#define DEPTH 8 /* full batches under way at once */
#define DEPTH_SMALL \
    2 /* unacknowledged ones beside which a small one starts \
       */
#define OWN_MAX 3 /* large buffers of one log */
#define TRIES_MAX 64u /* a write that the kernel keeps putting off */
#define IDLE_NS 50000000 /* then an empty batch carries the watermark */

/* -- buffers --------------------------------------------------------------- */

static struct shmqd_buffer *take_own(struct shmqd_log *log)
{
    struct shmqd_buffer *b = log->own;
    if (b) {
        log->own = b->next;
        return b;
    }
    if (log->own_cnt >= OWN_MAX)
        return NULL;
    b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->bytes = (size_t)log->buffer_bytes;
    b->idx = -1;
    b->at = aligned_alloc(SHMQI_LOG_BLOCK, b->bytes);
    if (b->at)
        return b;
    free(b);
    return NULL;
}

/* A buffer of the log's own only for a frame that fits no shared one: what is
 * copied, checked and written in small parts stays in the processor's cache,
 * and readers take a batch at a time. */
static struct shmqd_buffer *take_buffer(struct shmqd_log *log, uint64_t bytes)
{
    struct shmqd_store *s = log->store;
    struct shmqd_buffer *b = NULL;
    /* One busy topic leaves half of them to the others, two leave a quarter:
     * of which a topic gets one, when it has none. */
    int share = (int)s->options.staging_cnt / 2, kept = share / 2;
    if (bytes > shmqd_store_batch_bytes(s)) {
        b = take_own(log);
        log->own_cnt += b != NULL;
    } else if (log->buffer_cnt == 0 ||
        (log->buffer_cnt < (share > 2 ? share : 2) && s->free_cnt > kept)) {
        b = s->buffer_free;
        if (!b)
            return NULL;
        s->buffer_free = b->next;
        s->free_cnt--;
        log->buffer_cnt++;
    }
    return b;
}

static void give_buffer(struct shmqd_log *log, struct shmqd_buffer *b)
{
    bool own = b->idx < 0;
    struct shmqd_buffer **list = own ? &log->own : &log->store->buffer_free;
    b->next = *list;
    *list = b;
    log->own_cnt -= own;
    log->buffer_cnt -= !own;
    log->store->free_cnt += !own;
}

/* -- filling --------------------------------------------------------------- */

static struct shmqd_batch *new_batch(struct shmqd_log *log, uint64_t bytes)
{
    struct shmqd_batch *b = log->batches;
    struct shmqd_buffer *buf;
    while (b < log->batches + SHMQD_BATCHES_MAX && b->state != BATCH_FREE)
        b++;
    if (b == log->batches + SHMQD_BATCHES_MAX)
        return NULL;
    buf = take_buffer(log, bytes);
    if (!buf)
        return NULL;
    memset(b, 0, sizeof *b);
    b->log = log;
    b->buf = buf;
    b->state = BATCH_FILLING;
    if (log->last)
        log->last->next = b;
    else
        log->first = b;
    log->last = b;
    return b;
}

static uint64_t room_of(const struct shmqd_batch *b)
{
    return (b->buf->bytes - SHMQI_LOG_BATCH_HEAD - b->head.payload_bytes) &
        ~7ull;
}

uint64_t shmqd_store_batch_bytes(const struct shmqd_store *s)
{
    return (s->options.staging_bytes - SHMQI_LOG_BATCH_HEAD) & ~7ull;
}

int shmqd_log_room(struct shmqd_log *log, uint64_t min_bytes, uint8_t **ret_at,
    uint64_t *ret_room)
{
    struct shmqd_batch *b = log->last;
    if (log->read_only)
        return shmqd_fail(log->store, SHMQ_ERR_READ_ONLY,
            "log: read-only after a second failure: %s", strerror(log->error));
    if (!log->begun || min_bytes > log->options.frame_bytes_max)
        return shmqd_fail(log->store, SHMQ_ERR_INVAL,
            "log: not begun, or "
            "more asked for than its largest frame");
    if (b && b->state == BATCH_FILLING && room_of(b) < min_bytes) {
        if (b->head.payload_bytes == 0)
            shmqd_batches_unlend(log);
        else
            b->state = BATCH_WAITING;
        log->lent = 0;
        b = log->last;
    }
    if (!b || b->state != BATCH_FILLING)
        b = new_batch(log, min_bytes);
    if (!b)
        return SHMQ_ERR_FULL;
    log->lent = room_of(b);
    *ret_at = b->buf->at + SHMQI_LOG_BATCH_HEAD + b->head.payload_bytes;
    *ret_room = log->lent;
    return SHMQ_OK;
}

int shmqd_log_add(struct shmqd_log *log, const struct shmqd_log_chunk *c)
{
    struct shmqd_batch *b = log->last;
    if (!b || b->state != BATCH_FILLING || c->bytes > log->lent ||
        c->bytes == 0 || c->bytes % 8 || c->base_pos < log->added_pos ||
        c->end_pos <= c->base_pos)
        return shmqd_fail(log->store, SHMQ_ERR_INVAL,
            "log: a chunk that does not follow what was added");
    struct shmqi_log_batch *h = &b->head;
    if (h->payload_bytes == 0) {
        h->base_pos = c->base_pos;
        h->first_ts_ns = c->first_ts_ns;
    }
    /* While the bytes are still in the cache. */
    h->data_crc = shmqi_log_data_crc_more(h->data_crc,
        b->buf->at + SHMQI_LOG_BATCH_HEAD + h->payload_bytes, (size_t)c->bytes);
    h->payload_bytes += (uint32_t)c->bytes;
    h->end_pos = c->end_pos;
    h->frame_cnt += c->frame_cnt;
    h->record_cnt += c->record_cnt;
    if (c->max_ts_ns > log->max_ts_ns)
        log->max_ts_ns = c->max_ts_ns;
    h->max_ts_ns = log->max_ts_ns;
    log->added_pos = c->end_pos;
    log->lent = 0;
    return SHMQ_OK;
}

int shmqd_log_pass(struct shmqd_log *log, uint64_t to_pos)
{
    struct shmqd_batch *b;
    if (log->read_only)
        return SHMQ_ERR_READ_ONLY;
    if (!log->begun || to_pos <= log->added_pos)
        return shmqd_fail(log->store, SHMQ_ERR_INVAL,
            "log: nothing to pass over below what was added");
    shmqd_batches_unlend(log);
    b = log->last;
    if (b && b->state == BATCH_FILLING)
        b->state = BATCH_WAITING;
    log->lent = 0;
    b = new_batch(log, 0);
    if (!b)
        return SHMQ_ERR_FULL;
    b->head.flags = SHMQI_LOG_CONTROL;
    b->head.base_pos = b->head.end_pos = to_pos;
    b->head.max_ts_ns = log->max_ts_ns;
    b->state = BATCH_WAITING;
    log->added_pos = to_pos;
    return SHMQ_OK;
}

/* Room that was lent and not used would keep a buffer from other logs, and
 * would look like something that waits. */
void shmqd_batches_unlend(struct shmqd_log *log)
{
    struct shmqd_batch *b = log->last, *before = log->first;
    if (!b || b->state != BATCH_FILLING || b->head.payload_bytes != 0)
        return;
    while (before != b && before->next != b)
        before = before->next;
    if (before == b)
        log->first = log->last = NULL;
    else
        log->last = before;
    if (before != b)
        before->next = NULL;
    log->lent = 0;
    give_buffer(log, b->buf);
    b->state = BATCH_FREE;
}

/* -- writing --------------------------------------------------------------- */

static void write_done(struct shmqd_io_op *op);

static int submit_rest(struct shmqd_batch *b)
{
    struct shmqd_io_op *op = &b->op;
    op->kind = SHMQD_IO_WRITE;
    op->file = b->segment->file;
    op->flags = b->dsync ? SHMQD_IO_DSYNC : 0;
    op->buf = b->buf->at + b->done;
    op->buf_idx = b->buf->idx;
    op->off = b->at + b->done;
    op->len = b->head.total_bytes - b->done;
    op->done = write_done;
    op->owner = b;
    return b->log->store->ops->submit(b->log->store->io, op);
}

/* The kernel has put it off, or has written a part: the rest again. */
static bool again(struct shmqd_batch *b)
{
    int64_t n = b->op.result;
    if (n != -EAGAIN && n != -EINTR && n < 0)
        return false;
    if (n > 0)
        b->done += (uint64_t)n & ~(uint64_t)(SHMQI_LOG_BLOCK - 1);
    if (b->done >= b->head.total_bytes || ++b->tries > TRIES_MAX)
        return false;
    return submit_rest(b) == 0;
}

static void write_done(struct shmqd_io_op *op)
{
    struct shmqd_batch *b = op->owner;
    struct shmqd_log *log = b->log;
    if (again(b))
        return;
    b->segment->ops--;
    b->state = BATCH_WRITTEN;
    if (op->result < 0)
        shmqd_log_trouble(log, b->segment, (int)-op->result);
    else if (b->done < b->head.total_bytes)
        shmqd_log_trouble(log, b->segment, EIO);
    else if (b->dsync || SHMQD_BUG(ACK_BEFORE_SYNC))
        b->synced = true;
    if (SHMQD_BUG(ACK_BY_COMPLETION) && b->synced &&
        b->head.end_pos > log->durable_pos)
        log->durable_pos = b->head.end_pos;
    shmqd_log_step(log);
}

/* Builds the header for the place that the batch gets, and starts writing. */
static bool start(struct shmqd_batch *b, struct shmqd_segment *seg)
{
    struct shmqd_log *log = b->log;
    struct shmqi_log_batch *h = &b->head;
    uint32_t used = SHMQI_LOG_BATCH_HEAD + h->payload_bytes;
    h->total_bytes = (uint32_t)shmqi_log_batch_total(h->payload_bytes);
    h->prev_end_pos = log->chain_pos;
    h->prev_crc = log->chain_crc;
    h->epoch = log->epoch;
    h->durable_pos =
        log->durable_pos < h->end_pos ? log->durable_pos : h->end_pos;
    h->block = (uint32_t)(seg->used / SHMQI_LOG_BLOCK);
    shmqi_log_batch_encode(h, seg->head.salt, b->buf->at);
    memset(b->buf->at + used, 0, h->total_bytes - used);
    b->segment = seg;
    b->at = seg->used;
    b->done = 0;
    b->tries = 0;
    b->covered = b->synced = false;
    b->dsync = log->options.level == SHMQD_LEVEL_DISK &&
        h->total_bytes <= log->store->options.dsync_max_bytes;
    if (submit_rest(b))
        return false;
    b->state = BATCH_WRITING;
    b->begun_ns = shmqd_now(log->store);
    seg->ops++;
    seg->used += h->total_bytes;
    log->chain_pos = h->end_pos;
    log->chain_crc = log->last_crc = h->hdr_crc;
    log->stamped_pos = h->durable_pos;
    log->padding_bytes += h->total_bytes - used;
    log->payload_bytes += h->payload_bytes;
    return true;
}

void shmqd_batches_step(struct shmqd_log *log)
{
    int under_way = 0, unacked = 0;
    for (struct shmqd_batch *b = log->first; b; b = b->next) {
        if (log->failing || log->read_only)
            return;
        if (b->state == BATCH_WRITING || b->state == BATCH_WRITTEN) {
            under_way += b->state == BATCH_WRITING;
            unacked++;
            continue;
        }
        bool control = b->head.flags & SHMQI_LOG_CONTROL;
        if (b->head.payload_bytes == 0 && !control)
            return;
        /* While flushes are under way a small batch grows: group commit. */
        bool small = b->state == BATCH_FILLING &&
            b->head.payload_bytes < log->store->options.staging_bytes / 4 * 3;
        if (under_way >= DEPTH || (small && unacked >= DEPTH_SMALL))
            return;
        struct shmqd_segment *seg = shmqd_segment_for(
            log, shmqi_log_batch_total(b->head.payload_bytes));
        if (!seg || !start(b, seg))
            return;
        if (b == log->last)
            log->lent = 0;
        under_way++;
        unacked++;
    }
}

bool shmqd_batches_wait(const struct shmqd_log *log)
{
    for (const struct shmqd_batch *b = log->first; b; b = b->next)
        if (b->state == BATCH_WAITING ||
            (b->state == BATCH_FILLING && b->head.payload_bytes &&
                b == log->first))
            return true;
    return false;
}

/* -- acknowledging ----------------------------------------------------------
 */

static bool may_go(const struct shmqd_batch *b)
{
    if (b->state != BATCH_WRITTEN || b->segment->failed)
        return false;
    return b->log->options.level == SHMQD_LEVEL_DISK
        ? b->synced && b->segment->step == SEGMENT_LIVE
        : b->done >= b->head.total_bytes && b->segment->step >= SEGMENT_NAMED;
}

static void pop(struct shmqd_log *log)
{
    struct shmqd_batch *b = log->first;
    log->first = b->next;
    if (!log->first)
        log->last = NULL;
    give_buffer(log, b->buf);
    b->state = BATCH_FREE;
}

static void acknowledge(struct shmqd_batch *b)
{
    struct shmqd_log *log = b->log;
    int64_t now = shmqd_now(log->store);
    if (b->head.end_pos > log->written_pos)
        log->written_pos = b->head.end_pos;
    if (log->options.level == SHMQD_LEVEL_DISK &&
        b->head.end_pos > log->durable_pos)
        log->durable_pos = b->head.end_pos;
    log->safe_crc = b->head.hdr_crc;
    log->failures = 0;
    log->idle_since_ns = now;
    if (b->head.frame_cnt) {
        log->last_flush_ns = (uint64_t)(now - b->begun_ns);
        log->latencies[log->flush_cnt++ % SHMQD_LATENCIES] = log->last_flush_ns;
    }
}

void shmqd_batches_settle(struct shmqd_log *log)
{
    while (log->first && !log->failing && may_go(log->first)) {
        acknowledge(log->first);
        pop(log);
    }
    for (struct shmqd_batch *b = log->first;
         b && b->state == BATCH_WRITTEN && !b->segment->failed &&
         b->segment->step >= SEGMENT_NAMED && b->done >= b->head.total_bytes;
         b = b->next)
        if (b->head.end_pos > log->written_pos)
            log->written_pos = b->head.end_pos;
}

void shmqd_batches_again(struct shmqd_log *log)
{
    struct shmqd_batch *first = log->first;
    /* An empty one has nothing to say any more, but what it passes over. */
    while (first && first->head.flags & SHMQI_LOG_CONTROL &&
        first->head.end_pos <= shmqd_level_pos(log)) {
        pop(log);
        first = log->first;
    }
    for (struct shmqd_batch *b = first; b; b = b->next)
        if (b->state != BATCH_FILLING) {
            b->state = BATCH_WAITING;
            b->segment = NULL;
            b->done = 0;
        }
}

void shmqd_batches_free(struct shmqd_log *log)
{
    while (log->first)
        pop(log);
    while (log->own) {
        struct shmqd_buffer *b = log->own;
        log->own = b->next;
        free(b->at);
        free(b);
    }
}

void shmqd_batches_idle(struct shmqd_log *log)
{
    if (log->options.level != SHMQD_LEVEL_DISK || log->first ||
        log->read_only || log->failing || !log->active ||
        log->active->step != SEGMENT_LIVE ||
        log->stamped_pos >= log->durable_pos ||
        shmqd_now(log->store) - log->idle_since_ns < IDLE_NS ||
        log->active->used + SHMQI_LOG_BLOCK > log->active->capacity)
        return;
    struct shmqd_batch *b = new_batch(log, 0);
    if (!b)
        return;
    b->head.flags = SHMQI_LOG_CONTROL;
    b->head.base_pos = b->head.end_pos = log->chain_pos;
    b->head.max_ts_ns = log->max_ts_ns;
    b->state = BATCH_WAITING;
    shmqd_batches_step(log);
}
