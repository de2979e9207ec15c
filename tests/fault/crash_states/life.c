/* life.c - one run of the engine on the simulated disk, and the judge. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <shmq/errors.h>

#include "daemon/storage/log_impl.h"
#include "fault/crash_states/crash_states.h"
#include "support/log_support.h"

int life_turns = 1 << 30;
uint32_t life_first;
static struct style style;
static int64_t sim_now;
/* Batches are durable in themselves, or share syncs. */
static bool shared_syncs;

static int64_t sim_clock(void)
{
    return sim_now += 1000000;
}

/* One instant for ever: whoever tells segments apart by their time fails. */
static int64_t sim_realtime(void)
{
    return 1700000000000000000;
}

static uint64_t sim_random(void *ctx)
{
    uint64_t *state = ctx;
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return *state ^ *state >> 31;
}

#define SPSC_SIZE 300u
/* Encoded records and the 24 positions that each takes besides. */
#define SPSC_WIDTH (8u + 304u + 24u)

void life_style(struct style s)
{
    style = s;
}

static uint64_t pos_of(uint32_t slot)
{
    return style.spsc ? (uint64_t)slot * SPSC_WIDTH : (uint64_t)slot << 12;
}

static uint32_t slot_of(uint64_t pos)
{
    return (uint32_t)(style.spsc ? pos / SPSC_WIDTH : pos >> 12);
}

uint32_t record_size(uint32_t slot, uint8_t life)
{
    static const uint16_t sizes[] = {40, 300, 700, 1500, 90, 2600, 500, 130};
    return style.spsc ? SPSC_SIZE : sizes[(slot * 5u + life * 3u) % 8];
}

static int open_log(struct sim_disk *disk, uint64_t *random, bool no_zeros,
    struct shmqd_store **ret_store, struct shmqd_log **ret_log,
    struct shmqd_recovery *ret_found)
{
    char text[256] = "";
    struct shmqd_store_options o = {.namespace_name = "sim",
        .io = sim_disk_io(disk),
        .segment_bytes = 24576,
        .staging_bytes = 8192,
        .staging_cnt = 8,
        .no_zero_fill = no_zeros,
        .dsync_max_bytes = shared_syncs ? 1 : 0,
        .realtime_ns = sim_realtime,
        .monotonic_ns = sim_clock,
        .random = sim_random,
        .random_ctx = random};
    struct shmqd_log_options l = {
        .kind = style.spsc ? SHMQI_LOG_SPSC : SHMQI_LOG_MPMC,
        .level = style.os ? SHMQD_LEVEL_OS : SHMQD_LEVEL_DISK,
        .frame_bytes_max = 4096};
    l.uuid[0] = 1;
    int rc = shmqd_store_open("sim", &o, ret_store, text, sizeof text);
    if (rc) {
        sim_disk_io(disk)->ops->destroy(sim_disk_io(disk));
        return rc;
    }
    rc = shmqd_log_open(*ret_store, &l, ret_log, ret_found);
    if (rc)
        shmqd_store_close(*ret_store);
    return rc;
}

static void mark(struct sim_disk *d, uint64_t kind, uint64_t value)
{
    sim_disk_mark(d, kind << 56 | value);
}

static void note_acks(
    struct sim_disk *disk, const struct shmqd_log *log, struct outcome *o)
{
    struct shmqd_log_status st;
    shmqd_log_status(log, &st);
    o->read_only = st.state == SHMQD_LOG_READ_ONLY;
    o->acked = slot_of(style.os ? st.written_pos : st.durable_pos);
    if (slot_of(st.durable_pos) != o->durable) {
        o->durable = slot_of(st.durable_pos);
        mark(disk, MARK_ACKED, o->durable);
    }
}

static bool add_frame(struct shmqd_log *log, uint32_t slot, uint8_t life)
{
    uint8_t *at;
    uint64_t room;
    uint32_t size = record_size(slot, life);
    size_t bytes = log_frame_bytes(1, size);
    if (shmqd_log_room(log, bytes, &at, &room))
        return false;
    if (style.spsc)
        log_frame_make_spsc(at, pos_of(slot), slot, 1, size, life, 5);
    else
        log_frame_make(at, slot, 1, size, life, 5);
    struct shmqd_log_chunk c = {
        bytes, pos_of(slot), pos_of(slot + 1), 1, 1, 5, 5};
    int rc = shmqd_log_add(log, &c);
    assert(rc == SHMQ_OK);
    return true;
}

static void work(struct sim_disk *disk, struct shmqd_store *store,
    struct shmqd_log *log, uint8_t life, uint64_t seed, uint32_t frames,
    struct outcome *o)
{
    uint32_t slot = o->added, end = o->added + frames;
    uint64_t dice = seed * 77 + life;
    /* Ends when everything is acknowledged, or nothing goes on any more. */
    int left = life_turns;
    for (int idle = 0; idle < 600 && left-- > 0; idle++) {
        struct shmqd_log_status st;
        if (slot < end && slot < SLOTS_MAX - 64 && add_frame(log, slot, life))
            o->added = ++slot, idle = 0;
        if (sim_random(&dice) % 3 || slot == end)
            shmqd_store_turn(store, 0);
        note_acks(disk, log, o);
        shmqd_log_status(log, &st);
        /* A little longer, for the batch that carries the watermark. */
        if (slot == end && st.durable_pos == st.added_pos && idle > 120)
            break;
        if (o->read_only && idle > 20)
            break;
    }
}

struct outcome live(struct sim_disk *disk, uint8_t life, uint64_t seed,
    uint32_t frames, bool no_zeros, struct totals *t)
{
    struct shmqd_store *store;
    struct shmqd_log *log;
    struct shmqd_recovery found;
    struct outcome o = {0, false, 0, 0, 0, 0};
    uint64_t random = seed * 1000003 + life;
    mark(disk, MARK_LIFE, life);
    shared_syncs = seed / 2 % 2;
    t->lives++;
    o.open_rc = open_log(disk, &random, no_zeros, &store, &log, &found);
    if (o.open_rc)
        return o;
    o.found = o.durable = o.acked = slot_of(found.end_pos);
    mark(disk, MARK_FOUND, o.durable);
    /* The ring survived, or it is lost and positions are left out. */
    uint32_t start = found.fresh ? life_first : o.durable;
    if (life > 1 && seed % 2)
        start = (start + 8 + 7) / 8 * 8;
    mark(disk, MARK_START, start);
    o.added = start;
    int rc = shmqd_log_begin(log, pos_of(start));
    assert(rc == SHMQ_OK);
    work(disk, store, log, life, seed, frames, &o);
    /* Killed: nothing is closed in order. The io's operations never end. */
    sim_disk_io(disk)->in_flight = 0;
    shmqd_store_abandon(store);
    return o;
}

/* -- the judge
 * -------------------------------------------------------------------- */

uint64_t violations(const struct totals *t)
{
    return t->lost + t->resurrected + t->holes + t->refused + t->reused;
}

static void violation(struct totals *t, uint64_t *counter, const char *where,
    const char *what, uint32_t slot, uint32_t other)
{
    if (violations(t) == 0)
        snprintf(t->first, sizeof t->first, "%s: %s, slot %u (%u)", where, what,
            slot, other);
    (*counter)++;
}

/* The frame in this slot is of that life. */
static bool is_of(const struct shmqi_log_frame *f, uint32_t slot, uint8_t life)
{
    return log_frame_is(
        f->bytes, f->head.len_bytes, slot, 1, record_size(slot, life), life);
}

/* Reads everything below `end`; whether damage was met. */
static bool read_all(const struct sim_image *image, const struct oracle *o,
    uint32_t end, struct totals *t, const char *where)
{
    bool damage = false;
    struct shmqi_log_reader *r;
    struct shmqi_log_item item;
    uint32_t next = 0;
    char dir_name[33] = "01000000000000000000000000000000";
    int topics = sim_image_find(image, 0, "topics");
    int dir = topics < 0
        ? -1
        : sim_image_find(image, image->names[topics].inode, dir_name);
    if (dir < 0) {
        if (end)
            violation(t, &t->lost, where, "no directory", end, 0);
        return false;
    }
    int rc = shmqi_log_reader_open_files(&sim_files, (void *)(uintptr_t)image,
        image->names[dir].inode, NULL, &r);
    if (rc) {
        violation(
            t, &t->refused, where, "the reader refuses", 0, (uint32_t)-rc);
        return false;
    }
    rc = shmqi_log_reader_seek(r, 0);
    assert(rc == SHMQ_OK);
    while ((rc = shmqi_log_reader_next(r, pos_of(end), &item)) == SHMQ_OK) {
        uint32_t from = slot_of(
            item.what == SHMQI_LOG_ITEM_GAP ? item.from : item.frame.pos);
        if (from != next) {
            violation(t, &t->holes, where, "a silent skip", next, from);
            break;
        }
        if (item.what == SHMQI_LOG_ITEM_GAP) {
            uint32_t to = slot_of(item.to);
            damage |= item.reason == SHMQI_LOG_GAP_CORRUPT;
            for (; next < to; next++) {
                bool given_up = next < o->est
                    ? o->life_of[next] == 0
                    : next < o->start || (o->gaps && next >= o->acked);
                if (!given_up && next < end)
                    violation(t, &t->holes, where, "a gap", next, to);
            }
            next = to;
            continue;
        }
        uint8_t want = next < o->est ? o->life_of[next] : o->life;
        if (next >= o->est && next < o->start)
            violation(t, &t->reused, where, "a position given up", next, 0);
        else if (!is_of(&item.frame, next, want))
            violation(t, &t->resurrected, where, "content of another life",
                next, want);
        next++;
    }
    if (rc != SHMQ_ERR_EMPTY)
        violation(t, &t->refused, where, "reading failed", next, (uint32_t)-rc);
    else if (next < end && violations(t) == 0)
        violation(t, &t->holes, where, "ends early", next, end);
    shmqi_log_reader_close(r);
    return damage;
}

static int64_t real_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

void judge(const struct sim_image *image, const struct oracle *o,
    struct totals *t, const char *where)
{
    static const struct sim_faults none = {.seed = 1};
    struct sim_trace trace = {0};
    struct sim_disk *disk = sim_disk_new(image, &none, &trace);
    struct shmqd_store *store;
    struct shmqd_log *log;
    struct shmqd_recovery found;
    uint64_t random = 9;
    int64_t begun = real_ns();
    sim_disk_keep(disk, true);
    int rc = open_log(disk, &random, false, &store, &log, &found);
    uint64_t took = (uint64_t)(real_ns() - begun);
    t->recoveries++;
    if (took > t->worst_recovery_ns)
        t->worst_recovery_ns = took;
    if (rc) {
        violation(t, &t->refused, where, "recovery refuses", 0, (uint32_t)-rc);
    } else {
        uint32_t end = slot_of(found.end_pos);
        uint32_t must = o->acked > o->est ? o->acked : o->est;
        shmqd_store_abandon(store);
        if (end < must)
            violation(t, &t->lost, where, "acknowledged, and lost", end, must);
        else if (found.degraded && !o->gaps)
            violation(t, &t->holes, where, "called damaged", end, must);
        bool damage = read_all(sim_disk_image(disk), o, end, t, where);
        /* What readers will miss recovery has told of, and nothing else. */
        if (o->gaps && damage != found.degraded)
            violation(t, &t->holes, where,
                damage ? "missing, and not told" : "told, and not missing", end,
                must);
    }
    sim_disk_free(disk);
    sim_trace_free(&trace);
}
