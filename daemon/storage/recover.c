/* recover.c - finding the end of a log after any stop.
 *
 * A segment gets its name only when everything before it is durable, so only
 * the last one has to be scanned. W is the highest durable watermark that any
 * intact header of it carries. The scan ends at F, the first place without an
 * intact batch:
 *   F >= W  a torn tail, never acknowledged: the log ends at F
 *   F <  W  acknowledged data is damaged: a gap up to the next intact batch;
 *           the scan goes on behind it
 * What lies beyond the end is not part of the log, however intact: the next
 * segment, whose header says where the log ended, fences it. Nothing is ever
 * written into a segment of before. So recovery changes nothing but the names
 * of files that were never in use, and may be killed and run again.
 *
 * An os log in which a sync has failed says so in the headers of its later
 * segments; then those before are looked at, too (resync.c).
 *
 * A block that the disk cannot read may hold acknowledged batches, and may be
 * readable tomorrow. Before the log's end it is damage like any other; at or
 * behind the end it would decide where the end is, so nothing is decided: the
 * log is refused, and looked at again later. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <shmq/errors.h>

#include "log_impl.h"

#define SMALLEST_FRAME 56u /* of one empty record */

struct listing {
    struct shmqd_log *log;
    uint64_t *numbers;
    size_t cnt, room;
    bool failed;
};

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void note_name(void *ctx, const char *name)
{
    struct listing *l = ctx;
    uint64_t no;
    if (!shmqi_log_segment_number(name, ".seg", &no) || l->failed)
        return;
    if (l->cnt == l->room) {
        size_t room = l->room ? 2 * l->room : 64;
        uint64_t *more = realloc(l->numbers, room * sizeof *more);
        if (!more) {
            l->failed = true;
            return;
        }
        l->numbers = more;
        l->room = room;
    }
    l->numbers[l->cnt++] = no;
}

struct leftovers {
    uint64_t numbers[64];
    size_t cnt;
};

static void note_leftover(void *ctx, const char *name)
{
    struct leftovers *l = ctx;
    uint64_t no;
    if (l->cnt < 64 && shmqi_log_segment_number(name, ".prep", &no))
        l->numbers[l->cnt++] = no;
}

/* Segments that were being made when the last daemon ended. */
static int remove_leftovers(struct shmqd_log *log)
{
    struct shmqd_store *s = log->store;
    struct leftovers l = {{0}, 0};
    int rc = s->ops->list(s->io, log->dir, note_leftover, &l);
    for (size_t i = 0; rc == 0 && i < l.cnt; i++) {
        char name[SHMQI_LOG_NAME_ROOM];
        shmqi_log_segment_name(l.numbers[i], ".prep", name);
        rc = s->ops->unlink(s->io, log->dir, name);
    }
    return rc;
}

/* -- one segment -------------------------------------------------------------
 */

struct source {
    struct shmqd_store *store;
    int file;
    uint64_t bytes; /* of the file */
    uint64_t unreadable_off, unreadable_end; /* the last such block */
};

/* Block by block; what cannot be read becomes bytes that no batch begins with
 * and no checksum is right for. */
static int64_t read_blocks(
    struct source *from, uint8_t *buf, size_t len, uint64_t off)
{
    const struct shmqd_store *s = from->store;
    size_t done = 0;
    while (done < len && off + done < from->bytes) {
        int64_t n = s->ops->read(
            s->io, from->file, buf + done, SHMQI_LOG_BLOCK, off + done);
        if (n == -EIO) {
            memset(buf + done, 0xff, SHMQI_LOG_BLOCK);
            from->unreadable_off = off + done;
            from->unreadable_end = off + done + SHMQI_LOG_BLOCK;
            n = SHMQI_LOG_BLOCK;
        }
        if (n < 0)
            return n;
        done += (size_t)n;
        if (n < SHMQI_LOG_BLOCK)
            break;
    }
    return (int64_t)done;
}

static int64_t read_source(void *ctx, void *buf, size_t len, uint64_t off)
{
    struct source *from = ctx;
    int64_t n =
        from->store->ops->read(from->store->io, from->file, buf, len, off);
    return n == -EIO ? read_blocks(from, buf, len, off) : n;
}

/* Header and size of a segment; the file is closed again. `last`: what it holds
 * decides where the log ends. */
static int look_at(struct shmqd_log *log, uint64_t number, bool last,
    struct shmqi_log_segment *ret_h, enum shmqi_log_verdict *ret_v,
    uint64_t *ret_bytes)
{
    struct shmqd_store *s = log->store;
    char name[SHMQI_LOG_NAME_ROOM];
    shmqi_log_segment_name(number, ".seg", name);
    int file = s->ops->open(s->io, log->dir, name, SHMQD_OPEN_DIRECT);
    if (file < 0)
        return shmqd_fail_io(s, file, "log segment %s: cannot open", name);
    uint8_t *block = aligned_alloc(SHMQI_LOG_BLOCK, SHMQI_LOG_BLOCK);
    int64_t n =
        block ? s->ops->read(s->io, file, block, SHMQI_LOG_BLOCK, 0) : -ENOMEM;
    int64_t size = s->ops->size(s->io, file);
    s->ops->close(s->io, file);
    if (n >= 0 && size >= 0) {
        memset(block + n, 0, SHMQI_LOG_BLOCK - (size_t)n);
        *ret_v = shmqi_log_segment_decode(block, ret_h);
        *ret_bytes = (uint64_t)size;
    }
    free(block);
    if (n == -EIO && (!last || SHMQD_BUG(UNREADABLE_IS_END))) {
        /* Only damage to its own records. */
        *ret_v = SHMQI_LOG_BAD;
        *ret_bytes = size < 0 ? 0 : (uint64_t)size;
        return SHMQ_OK;
    }
    if (n < 0 || size < 0)
        return shmqd_fail_io(
            s, n < 0 ? (int)n : (int)size, "log segment %s: cannot read", name);
    return SHMQ_OK;
}

/* A header that says it is right and cannot be: wrong by more than rot, and
 * whoever looks for a position by the headers would pass it by. */
static int check_head(struct shmqd_log *log, uint64_t number,
    const struct shmqi_log_segment *h, enum shmqi_log_verdict v,
    uint64_t base_before)
{
    if (v == SHMQI_LOG_FOREIGN)
        return shmqd_fail(log->store, SHMQ_ERR_LAYOUT,
            "log segment %llu: written in a later format (version %u.%u, "
            "features %#llx); use a newer shmqd",
            (unsigned long long)number, h->major, h->minor,
            (unsigned long long)h->incompat);
    if (v > SHMQI_LOG_COPY_BAD)
        return SHMQ_OK;
    if (h->segment_no != number ||
        memcmp(h->topic_uuid, log->options.uuid, 16) ||
        memcmp(h->store_uuid, log->store->uuid, 16))
        return shmqd_fail(log->store, SHMQ_ERR_LAYOUT,
            "log segment %llu: belongs to another store, topic or place",
            (unsigned long long)number);
    if (h->base_pos < base_before)
        return shmqd_fail(log->store, SHMQ_ERR_LAYOUT,
            "log segment %llu: begins at %llu, before the segment before it",
            (unsigned long long)number, (unsigned long long)h->base_pos);
    return SHMQ_OK;
}

/* -- the scan of the last segment
 * ---------------------------------------------- */

struct scan {
    struct shmqd_log *log;
    struct shmqd_recovery *found;
    struct shmqi_log_scan walk;
    uint64_t watermark; /* W, once it was looked for */
    bool probed;
    uint64_t used; /* end of the last batch that belongs to the log */
    uint32_t crc; /* of that batch; without one: of the log before */
    int64_t max_ts_ns;
};

/* W, and how far what is there goes, from every intact header behind the first
 * bad spot. Those before it say nothing more: none is above its own end. */
static enum shmqi_log_step find_watermark(struct scan *s)
{
    struct shmqi_log_scan *w = &s->walk;
    uint64_t off = w->off, pos = w->pos;
    uint32_t crc = w->crc;
    struct shmqi_log_batch b;
    enum shmqi_log_step step;
    while ((step = shmqi_log_scan_probe(w, w->off, UINT64_MAX, &b)) ==
        SHMQI_STEP_BATCH) {
        if (b.durable_pos > s->watermark)
            s->watermark = b.durable_pos;
        if (b.end_pos > s->found->dropped_end_pos)
            s->found->dropped_end_pos = b.end_pos;
        w->off += b.total_bytes;
    }
    w->off = off;
    w->pos = pos;
    w->crc = crc;
    s->probed = true;
    return step;
}

static void note_gap(struct scan *s, uint64_t from, uint64_t to)
{
    struct shmqd_recovery *f = s->found;
    if (from >= to)
        return;
    if (f->gap_cnt++ == 0) {
        f->gap_from = from;
        f->gap_to = to;
    }
    f->degraded = true;
}

/* The batch belongs to the log. */
static void accept(struct scan *s, const struct shmqi_log_batch *b)
{
    s->used = s->walk.off;
    s->crc = b->hdr_crc;
    s->found->end_pos = b->end_pos;
    if (b->max_ts_ns > s->max_ts_ns)
        s->max_ts_ns = b->max_ts_ns;
}

/* Bad bytes where acknowledged data should be. True: an intact batch is
 * next. */
static bool pass_damage(struct scan *s)
{
    struct shmqi_log_batch b;
    uint64_t end = s->found->end_pos;
    if (shmqi_log_scan_probe(&s->walk, s->walk.off, UINT64_MAX, &b) ==
            SHMQI_STEP_BATCH &&
        b.base_pos < s->watermark) {
        note_gap(s, end, b.base_pos);
        s->found->end_pos = b.base_pos > end ? b.base_pos : end;
        return true;
    }
    note_gap(s, end, s->watermark);
    s->found->end_pos = s->watermark;
    return false;
}

/* Walks from the first batch to the end of the log. */
static enum shmqi_log_step walk_batches(struct scan *s)
{
    struct shmqi_log_batch b;
    const uint8_t *payload;
    for (;;) {
        enum shmqi_log_step step = shmqi_log_scan_peek(&s->walk, &b);
        if (step == SHMQI_STEP_BATCH)
            step = shmqi_log_scan_take(&s->walk, &b, &payload);
        if (step == SHMQI_STEP_BATCH) {
            accept(s, &b);
            continue;
        }
        if (step == SHMQI_STEP_FAILED || step == SHMQI_STEP_FOREIGN)
            return step;
        bool rot = step == SHMQI_STEP_ROT; /* the walk stands behind it */
        if (rot && b.durable_pos > s->watermark)
            s->watermark = b.durable_pos;
        if (rot && b.end_pos > s->found->dropped_end_pos)
            s->found->dropped_end_pos = b.end_pos;
        if (!s->probed && find_watermark(s) == SHMQI_STEP_FAILED)
            return SHMQI_STEP_FAILED;
        if (s->found->end_pos >= s->watermark)
            return SHMQI_STEP_END;
        if (rot) {
            /* Its length is known, and the chain goes on behind it. */
            note_gap(s, s->found->end_pos, b.end_pos);
            accept(s, &b);
            continue;
        }
        if (!pass_damage(s))
            return SHMQI_STEP_END;
    }
}

static int scan_failed(struct scan *s, enum shmqi_log_step step)
{
    if (step == SHMQI_STEP_FOREIGN)
        return shmqd_fail(s->log->store, SHMQ_ERR_LAYOUT,
            "log: holds batches of a later format; use a newer shmqd");
    return shmqd_fail_io(
        s->log->store, -s->walk.error, "log: cannot read the last segment");
}

static int scan_opened(struct scan *s, const struct shmqi_log_segment *h)
{
    s->crc = h->prev_crc;
    s->max_ts_ns = h->max_ts_ns;
    s->used = SHMQI_LOG_BLOCK;
    s->found->end_pos = s->found->dropped_end_pos = h->base_pos;
    enum shmqi_log_step step = walk_batches(s);
    if (step == SHMQI_STEP_FAILED || step == SHMQI_STEP_FOREIGN)
        return scan_failed(s, step);
    if (s->found->dropped_end_pos < s->found->end_pos)
        s->found->dropped_end_pos = s->found->end_pos;
    s->found->segments_scanned++;
    s->found->bytes_scanned += s->walk.window.bytes_read;
    return SHMQ_OK;
}

/* What could not be read may be what the log goes on with. */
static int check_readable(
    const struct scan *s, const struct source *from, const char *name)
{
    if (from->unreadable_end <= s->used || SHMQD_BUG(UNREADABLE_IS_END))
        return SHMQ_OK;
    return shmqd_fail(from->store, SHMQ_ERR_SYS,
        "log segment %s: the disk cannot read the block at %llu, which may "
        "hold acknowledged records; tried again every second. To give them up, "
        "stop shmqd and put a copy of what can be read in the file's place",
        name, (unsigned long long)from->unreadable_off);
}

/* Scans segment `number`; sets what the log goes on with. */
static int scan_last(struct shmqd_log *log, uint64_t number, uint64_t bytes,
    struct shmqd_recovery *found, uint64_t *ret_used)
{
    struct shmqd_store *st = log->store;
    struct scan s = {.log = log, .found = found};
    struct source from = {st, -1, bytes, 0, 0};
    struct shmqi_log_segment h;
    enum shmqi_log_verdict v;
    char name[SHMQI_LOG_NAME_ROOM];
    shmqi_log_segment_name(number, ".seg", name);
    from.file = st->ops->open(
        st->io, log->dir, name, SHMQD_OPEN_WRITE | SHMQD_OPEN_DIRECT);
    if (from.file < 0)
        return shmqd_fail_io(
            st, from.file, "log segment %s: cannot open", name);
    /* What is read may still be in flight to the disk: make it durable before
     * it is believed. */
    int rc = 0,
        err = SHMQD_BUG(NO_SYNC_FIRST) ? 0 : st->ops->sync(st->io, from.file);
    if (err == 0)
        err = shmqi_log_scan_open(&s.walk, read_source, &from, &h, &v);
    if (err) {
        rc = shmqd_fail_io(st, err, "log segment %s: cannot read", name);
    } else {
        /* It was right a moment ago. */
        rc = v <= SHMQI_LOG_COPY_BAD
            ? scan_opened(&s, &h)
            : shmqd_fail_io(st, -EIO, "log segment %s: its header", name);
        if (rc == SHMQ_OK)
            rc = check_readable(&s, &from, name);
        shmqi_log_scan_close(&s.walk);
    }
    st->ops->close(st->io, from.file);
    if (rc)
        return rc;
    log->last_crc = s.crc;
    log->max_ts_ns = s.max_ts_ns;
    *ret_used = s.used;
    return SHMQ_OK;
}

/* -- the whole ---------------------------------------------------------------
 */

/* The log ends in a segment whose header is lost: what it held cannot be
 * believed, but none of its positions may come again. */
static void pass_headless(
    struct shmqd_log *log, struct shmqd_recovery *found, uint64_t bytes)
{
    uint64_t from = found->end_pos;
    if (bytes < log->store->options.segment_bytes)
        bytes = log->store->options.segment_bytes; /* it may have been cut */
    uint64_t most = log->options.kind == SHMQI_LOG_SPSC
        ? bytes
        : bytes / SMALLEST_FRAME * SHMQ_BATCH_MAX;
    found->end_pos = from + most;
    found->dropped_end_pos = found->end_pos;
    found->degraded = true;
    if (found->gap_cnt++ == 0) {
        found->gap_from = from;
        found->gap_to = found->end_pos;
    }
}

struct walk {
    struct listing *list;
    struct shmqi_log_segment last; /* the last intact header */
    size_t last_idx;
    bool any;
};

/* Reads all headers; fills log->sealed, whose last end is still open. */
static int read_heads(
    struct shmqd_log *log, struct walk *w, struct shmqd_recovery *found)
{
    for (size_t i = 0; i < w->list->cnt; i++) {
        struct shmqi_log_segment h = {0};
        enum shmqi_log_verdict v = SHMQI_LOG_BAD;
        uint64_t bytes = 0, number = w->list->numbers[i];
        bool last = i + 1 == w->list->cnt;
        int rc = look_at(log, number, last, &h, &v, &bytes);
        if (rc == SHMQ_OK)
            rc = check_head(log, number, &h, v, w->any ? w->last.base_pos : 0);
        if (rc)
            return rc;
        bool good = v <= SHMQI_LOG_COPY_BAD;
        if (v != SHMQI_LOG_GOOD)
            found->degraded = true;
        if (good && log->sealed_cnt) {
            struct shmqd_sealed *prev = &log->sealed[log->sealed_cnt - 1];
            prev->end_pos = h.prev_end_pos > prev->base_pos ? h.prev_end_pos
                                                            : prev->base_pos;
            prev->max_ts_ns = h.max_ts_ns;
            prev->closed_ns = h.created_ns;
            prev->unsure = h.compat & SHMQI_LOG_UNSURE_BEFORE;
            /* What stands before a segment without it is durable. */
            for (size_t k = log->sealed_cnt; k-- > 0 && !prev->unsure;)
                log->sealed[k].unsure = false;
        }
        struct shmqd_sealed one = {number,
            good         ? h.base_pos
                : w->any ? w->last.base_pos
                         : 0,
            good ? h.base_pos : 0, bytes, h.max_ts_ns, 0, false};
        if (!good)
            one.end_pos = one.base_pos;
        if (shmqd_sealed_add(log, &one))
            return shmqd_fail(log->store, SHMQ_ERR_NOMEM, "log: no memory");
        if (good) {
            w->last = h;
            w->last_idx = i;
            w->any = true;
        }
        if (h.epoch > log->epoch)
            log->epoch = h.epoch;
        found->log_bytes += bytes;
    }
    return SHMQ_OK;
}

/* The end of the log from the clean marker or by scanning. */
static int find_end(
    struct shmqd_log *log, struct walk *w, struct shmqd_recovery *found)
{
    struct shmqd_clean c;
    size_t last = w->list->cnt - 1;
    uint64_t used = 0, bytes = log->sealed[w->last_idx].bytes;
    if (w->last_idx == last && shmqd_clean_read(log, &c) &&
        c.segment_no == w->last.segment_no && c.salt == w->last.salt &&
        c.off <= bytes && c.end_pos >= w->last.base_pos) {
        found->clean = true;
        found->end_pos = found->dropped_end_pos = c.end_pos;
        log->last_crc = c.crc;
        log->max_ts_ns = c.max_ts_ns;
        used = c.off;
    } else {
        int rc = scan_last(log, w->last.segment_no, bytes, found, &used);
        if (rc)
            return rc;
        found->dropped_bytes = bytes > used ? bytes - used : 0;
        if (found->dropped_end_pos == found->end_pos)
            found->dropped_bytes = 0; /* only zeros */
    }
    log->sealed[w->last_idx].end_pos = found->end_pos;
    log->sealed[w->last_idx].max_ts_ns = log->max_ts_ns;
    log->sealed[last].closed_ns = shmqd_realtime(log->store);
    for (size_t i = w->last_idx + 1; i <= last; i++) {
        pass_headless(log, found, log->sealed[i].bytes);
        log->sealed[i].end_pos = found->end_pos;
    }
    if (w->last_idx == last && !found->degraded && used < bytes) {
        log->trim_number = w->last.segment_no;
        log->trim_bytes = used;
    }
    return SHMQ_OK;
}

static int recover_listed(
    struct shmqd_log *log, struct listing *list, struct shmqd_recovery *found)
{
    struct walk w = {list, {0}, 0, false};
    if (list->cnt == 0) {
        found->fresh = true;
        return SHMQ_OK;
    }
    qsort(list->numbers, list->cnt, sizeof *list->numbers, by_number);
    found->segment_cnt = list->cnt;
    log->next_number = list->numbers[list->cnt - 1] + 1;
    int rc = read_heads(log, &w, found);
    if (rc)
        return rc;
    if (w.any) {
        rc = find_end(log, &w, found);
        if (rc == SHMQ_OK && !found->clean)
            shmqd_resync(log, found);
        return rc;
    }
    for (size_t i = 0; i < list->cnt; i++)
        pass_headless(log, found, log->sealed[i].bytes);
    return SHMQ_OK;
}

int shmqd_recover(struct shmqd_log *log, struct shmqd_recovery *ret)
{
    struct shmqd_store *s = log->store;
    struct shmqd_recovery found;
    struct listing list = {log, NULL, 0, 0, false};
    int64_t begun = shmqd_now(s);
    memset(&found, 0, sizeof found);
    log->next_number = 1;
    int err = SHMQD_BUG(NO_SYNC_FIRST) ? 0 : s->ops->sync(s->io, log->dir);
    if (err == 0)
        err = remove_leftovers(log);
    if (err == 0)
        err = s->ops->list(s->io, log->dir, note_name, &list);
    int rc = err      ? shmqd_fail_io(s, err, "log: cannot read its directory")
        : list.failed ? shmqd_fail(s, SHMQ_ERR_NOMEM, "log: no memory")
                      : recover_listed(log, &list, &found);
    free(list.numbers);
    if (rc)
        return rc;
    found.epoch = ++log->epoch;
    found.max_ts_ns = log->max_ts_ns;
    found.low_pos = log->sealed_cnt ? log->sealed[0].base_pos : found.end_pos;
    if (found.low_pos > found.end_pos)
        found.low_pos = found.end_pos;
    found.took_ns = shmqd_now(s) - begun;
    *ret = found;
    return SHMQ_OK;
}
