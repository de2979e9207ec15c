/* fuzz_recovery.c - opening a data directory of any bytes.
 *
 * Whatever the files hold, opening ends with a log that goes on or with a
 * refusal. Where it goes on, what is acknowledged then is found by the next
 * opening, and read back. */
#include <stdlib.h>
#include <string.h>

#include <shmq/errors.h>

#include "daemon/storage/log_impl.h"
#include "log_reader_impl.h"
#include "memory_io.h"
#include "must.h"
#include "support/log_support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SLOT_MAX (1ull << 40) /* behind it nothing is added */

static struct image good[4], now;

static int64_t fixed_clock(void)
{
    static int64_t ns;
    return ns += 1000000;
}

static uint64_t fixed_random(void *ctx)
{
    uint64_t *state = ctx;
    return *state = *state * 6364136223846793005ull + 1442695040888963407ull;
}

/* Follows from the input, so that no input can guess what it makes. */
static uint64_t random_state;

static struct shmqd_store *open_store(struct shmqd_io *io)
{
    struct shmqd_store *s;
    char text[512] = "";
    struct shmqd_store_options o = {.namespace_name = "fuzz",
        .io = io,
        .segment_bytes = IMAGE_BYTES,
        .staging_bytes = 8192,
        .staging_cnt = 4,
        .no_zero_fill = true,
        .lock_wait_ns = 1,
        .realtime_ns = fixed_clock,
        .monotonic_ns = fixed_clock,
        .random = fixed_random,
        .random_ctx = &random_state};
    int rc = shmqd_store_open("fuzz", &o, &s, text, sizeof text);
    if (rc == SHMQ_OK)
        return s;
    must(rc < 0 && text[0] != '\0' && memchr(text, 0, sizeof text) != NULL);
    return NULL;
}

/* A good log of that kind in a good store. */
static void make_good(uint32_t kind)
{
    random_state = 4711;
    struct shmqd_store *s = open_store(memory_io_empty());
    struct image_part *store = &good[kind].files[IMAGE_STORE];
    struct image_part *meta = &good[kind].files[IMAGE_META];
    uint8_t uuid[16];
    must(s != NULL);
    memcpy(uuid, s->uuid, 16);
    must(shmqd_meta_write(s, image_topic, "orders", "text\n", 5) == 0);
    shmqd_store_abandon(s);
    int64_t n = memory_io_get("STORE", store->bytes, IMAGE_BYTES);
    must(n > 0);
    store->size = (uint32_t)n;
    n = memory_io_get("meta", meta->bytes, IMAGE_BYTES);
    must(n > 0);
    meta->size = (uint32_t)n;
    store->there = meta->there = true;
    image_build(&good[kind], kind, uuid);
}

static void note_meta(void *ctx, const uint8_t uuid[16], const char *topic,
    const char *text, size_t len)
{
    uint32_t *sum = ctx;
    (void)uuid;
    *sum += shmqi_log_data_crc((const uint8_t *)text, len);
    must(strlen(topic) < 140);
}

static int open_log(struct shmqd_store *s, uint32_t kind,
    struct shmqd_log **ret_log, struct shmqd_recovery *ret)
{
    struct shmqd_log_options l = {
        .kind = kind, .level = SHMQD_LEVEL_DISK, .frame_bytes_max = 4096};
    char json[1024];
    memcpy(l.uuid, image_topic, 16);
    int rc = shmqd_log_open(s, &l, ret_log, ret);
    if (rc) {
        must(rc < 0 && shmqd_store_error(s)[0] != '\0');
        return rc;
    }
    must(ret->low_pos <= ret->end_pos && ret->end_pos <= ret->dropped_end_pos);
    must(ret->gap_cnt == 0 || ret->degraded);
    must(!ret->fresh || ret->end_pos == 0);
    int n = shmqd_recovery_json(ret, l.uuid, json, sizeof json);
    must(n > 0 && n < (int)sizeof json);
    return SHMQ_OK;
}

/* Adds a frame behind the end; where it ends when it is durable, else 0. */
static uint64_t add_frame(struct shmqd_store *s, struct shmqd_log *log,
    uint64_t end_pos, uint64_t *ret_pos)
{
    uint8_t *at;
    uint64_t room, slot = (end_pos >> 12) + 2, pos = slot << 12;
    size_t bytes = log_frame_bytes(1, 100);
    struct shmqd_log_chunk c = {bytes, pos, pos + 4096, 1, 1, 7, 7};
    struct shmqd_log_status st = {0};
    must(shmqd_log_begin(log, pos) == SHMQ_OK);
    for (int i = 0; i < 200 && !st.ready; i++) {
        shmqd_store_turn(s, 0);
        shmqd_log_status(log, &st);
    }
    if (!st.ready)
        return 0; /* no file is left on this disk */
    must(shmqd_log_room(log, bytes, &at, &room) == SHMQ_OK && room >= bytes);
    log_frame_make(at, slot, 1, 100, 1, 7);
    must(shmqd_log_add(log, &c) == SHMQ_OK);
    for (int i = 0; i < 200 && st.durable_pos < c.end_pos; i++) {
        shmqd_store_turn(s, 0);
        shmqd_log_status(log, &st);
    }
    must(st.durable_pos == c.end_pos);
    *ret_pos = pos;
    return c.end_pos;
}

/* The frame at `pos` is handed out, and nothing twice on the way there. */
static void read_back(uint64_t pos, uint64_t end)
{
    struct shmqi_log_reader *r;
    struct shmqi_log_item item;
    must(shmqi_log_reader_open_files(
             &memory_files, NULL, MEMORY_TOPIC_DIR, image_topic, &r) == 0);
    must(shmqi_log_reader_seek(r, pos) == SHMQ_OK);
    must(shmqi_log_reader_next(r, end, &item) == SHMQ_OK);
    must(item.what == SHMQI_LOG_ITEM_FRAME);
    must(item.frame.pos == pos && item.frame.end_pos == end);
    must(log_frame_is(
        item.frame.bytes, item.frame.head.len_bytes, pos >> 12, 1, 100, 1));
    shmqi_log_reader_close(r);
}

static void run(uint32_t kind, const struct image_settings *set)
{
    struct shmqd_log *log;
    struct shmqd_recovery found, again;
    uint32_t sum = 0;
    uint64_t pos = 0, end = 0;
    struct shmqd_io *io = memory_io_put(&now, set->fail_read);
    struct shmqd_store *s = open_store(io);
    if (!s)
        return;
    (void)shmqd_meta_list(s, note_meta, NULL, &sum);
    int rc = open_log(s, kind, &log, &found);
    memory_io_mend();
    if (rc == SHMQ_OK && set->go_on && kind != SHMQI_LOG_SPSC &&
        found.end_pos >> 12 < SLOT_MAX && !found.fresh)
        end = add_frame(s, log, found.end_pos, &pos);
    io->in_flight = 0;
    shmqd_store_abandon(s);
    if (end == 0)
        return;
    read_back(pos, end);
    s = open_store(memory_io_again());
    must(s != NULL);
    must(open_log(s, kind, &log, &again) == SHMQ_OK);
    must(again.end_pos == end);
    shmqd_store_abandon(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image_settings set;
    if (size == 0)
        return 0;
    uint32_t kind = 1 + data[0] % 3;
    if (!good[kind].files[0].there)
        make_good(kind);
    memcpy(&now, &good[kind], sizeof now);
    random_state = shmqi_log_data_crc(data, size);
    if (image_change(&now, data + 1, size - 1, &set))
        run(kind, &set);
    return 0;
}
