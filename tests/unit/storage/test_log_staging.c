/* Staging memory, shared by all logs: large frames beside small ones, and no
 * log that keeps it from the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <shmq/errors.h>

#include "../../../daemon/storage/topic_log.h"
#include "log_reader.h"
#include "support/log_support.h"

enum { LOGS = 11, BUFFERS = 32, BATCH = 64 * 1024, LARGE = 300000 };

struct bench {
    struct shmqd_store *store;
    struct shmqd_log *logs[LOGS];
    uint64_t slots[LOGS];
    const char *dir;
};

/* A back end of which one log's writes fail. */
static struct shmqd_io_ops ops;
static int (*real_submit)(struct shmqd_io *io, struct shmqd_io_op *op);
static int (*real_open)(
    struct shmqd_io *io, int dir, const char *name, unsigned flags);
static bool failing; /* segments that are opened from now on */
static int bad[64];
static int bad_cnt;

static int open_noted(
    struct shmqd_io *io, int dir, const char *name, unsigned flags)
{
    int file = real_open(io, dir, name, flags);
    if (failing && file >= 0 && flags & SHMQD_OPEN_CREATE)
        bad[bad_cnt++ % 64] = file;
    return file;
}

/* Writes nowhere: EBADF comes back. */
static int submit_badly(struct shmqd_io *io, struct shmqd_io_op *op)
{
    for (int i = 0; failing && i < bad_cnt; i++)
        if (op->kind == SHMQD_IO_WRITE && op->file == bad[i])
            op->file = -1;
    return real_submit(io, op);
}

static void uuid_of(uint8_t uuid[16], int log)
{
    memset(uuid, 0, 16);
    uuid[0] = (uint8_t)(log + 1);
}

static void set_up(struct bench *b, uint64_t frame_bytes_max)
{
    char text[256];
    const char *why;
    struct shmqd_store_options o = {.namespace_name = "test",
        .segment_bytes = 8 << 20,
        .staging_bytes = BATCH,
        .staging_cnt = BUFFERS};
    memset(b, 0, sizeof *b);
    failing = false;
    bad_cnt = 0;
    assert_int_equal(shmqd_io_create(SHMQD_IO_PWRITEV2, &o.io, &why), 0);
    ops = *o.io->ops;
    real_submit = ops.submit;
    real_open = ops.open;
    ops.submit = submit_badly;
    ops.open = open_noted;
    o.io->ops = &ops;
    b->dir = log_temporary_dir();
    assert_int_equal(
        shmqd_store_open(b->dir, &o, &b->store, text, sizeof text), 0);
    for (int i = 0; i < LOGS; i++) {
        struct shmqd_recovery found;
        struct shmqd_log_options l = {.kind = SHMQI_LOG_MPMC,
            .level = SHMQD_LEVEL_DISK,
            .frame_bytes_max = frame_bytes_max};
        uuid_of(l.uuid, i);
        assert_int_equal(shmqd_log_open(b->store, &l, &b->logs[i], &found), 0);
        assert_int_equal(shmqd_log_begin(b->logs[i], 0), 0);
    }
}

/* One frame with a record of that size; what room() said. */
static int add(struct bench *b, int log, uint32_t size)
{
    uint8_t *at;
    uint64_t room, slot = b->slots[log], bytes = log_frame_bytes(1, size);
    int rc = shmqd_log_room(b->logs[log], bytes, &at, &room);
    if (rc)
        return rc;
    assert_true(room >= bytes);
    log_frame_make(at, slot, 1, size, 0, 1000);
    struct shmqd_log_chunk chunk = {.bytes = bytes,
        .base_pos = slot << 12,
        .end_pos = (slot + 1) << 12,
        .frame_cnt = 1,
        .record_cnt = 1,
        .first_ts_ns = 1000,
        .max_ts_ns = 1000};
    assert_int_equal(shmqd_log_add(b->logs[log], &chunk), 0);
    b->slots[log]++;
    return 0;
}

/* Fills every buffer that the log gets without the disk; how many. */
static int fill(struct bench *b, int log)
{
    int cnt = 0;
    while (add(b, log, BATCH - 4096) == 0)
        assert_true(++cnt <= BUFFERS);
    return cnt;
}

static void settle(struct bench *b, int log)
{
    struct shmqd_log_status st;
    for (int i = 0; i < 100000; i++) {
        shmqd_log_status(b->logs[log], &st);
        if (st.durable_pos == b->slots[log] << 12)
            return;
        assert_int_not_equal(st.state, SHMQD_LOG_READ_ONLY);
        if (shmqd_store_turn(b->store, 1000000) == 0)
            usleep(100);
    }
    fail_msg("it does not settle");
}

/* Two logs that take whatever they get, and as many others as there are buffers
 * left: each of those gets one, however often the two ask before. */
static void busy_logs_leave_room_to_others(void **state)
{
    struct bench b;
    (void)state;
    set_up(&b, BATCH);
    assert_int_equal(fill(&b, 0), BUFFERS / 2);
    assert_int_equal(fill(&b, 1), BUFFERS / 4);
    for (int round = 0; round < 20; round++) {
        for (int i = 2; i < 2 + BUFFERS / 4; i++) {
            (void)fill(&b, 0);
            (void)fill(&b, 1);
            assert_int_equal(add(&b, i, 100), 0);
        }
        for (int i = 2; i < 2 + BUFFERS / 4; i++)
            settle(&b, i);
    }
    settle(&b, 0);
    settle(&b, 1);
    shmqd_store_close(b.store);
}

/* A log whose disk fails for good gives its buffers back. */
static void a_failed_log_keeps_no_room(void **state)
{
    struct bench b;
    struct shmqd_log_status st;
    (void)state;
    set_up(&b, BATCH);
    failing = true;
    assert_int_equal(fill(&b, 0), BUFFERS / 2);
    for (int i = 0; i < 100000; i++) {
        shmqd_log_status(b.logs[0], &st);
        if (st.state == SHMQD_LOG_READ_ONLY)
            break;
        if (shmqd_store_turn(b.store, 1000000) == 0)
            usleep(100);
    }
    assert_int_equal(st.state, SHMQD_LOG_READ_ONLY);
    assert_int_equal(add(&b, 0, 100), SHMQ_ERR_READ_ONLY);
    failing = false;
    shmqd_store_turn(b.store, 0);
    assert_int_equal(fill(&b, 1), BUFFERS / 2);
    assert_int_equal(fill(&b, 2), BUFFERS / 4);
    settle(&b, 1);
    settle(&b, 2);
    shmqd_store_close(b.store);
}

/* Batches as they lie in the files: how many of more than a staging buffer. */
static int large_batches(const struct bench *b, int log)
{
    char path[256];
    uint8_t uuid[16];
    struct shmqi_log_reader *r;
    struct shmqi_log_item item;
    uint64_t slot = 0;
    int cnt = 0;
    uuid_of(uuid, log);
    shmqd_meta_path(b->store, uuid, path, sizeof path);
    assert_int_equal(shmqi_log_reader_open(path, uuid, &r), 0);
    while (shmqi_log_reader_next(r, UINT64_MAX, &item) == 0) {
        assert_int_equal(item.what, SHMQI_LOG_ITEM_FRAME);
        assert_int_equal(item.frame.pos, slot << 12);
        uint32_t size = slot % 7 == 3 ? LARGE : 5000;
        assert_true(log_frame_is(
            item.frame.bytes, item.frame.head.len_bytes, slot, 1, size, 0));
        cnt += size == LARGE;
        slot++;
    }
    assert_int_equal(slot, b->slots[log]);
    shmqi_log_reader_close(r);
    return cnt;
}

/* Frames larger than a staging buffer go between small ones; those do not share
 * their buffers, which are few. */
static void large_frames_beside_small_ones(void **state)
{
    struct bench b;
    struct shmqd_log_status st;
    int large = 0, waits = 0;
    (void)state;
    set_up(&b, log_frame_bytes(1, LARGE));
    while (b.slots[0] < 200) {
        uint32_t size = b.slots[0] % 7 == 3 ? LARGE : 5000;
        uint8_t *at;
        uint64_t room;
        /* As the drain does: little is asked for first, then enough. */
        int rc = shmqd_log_room(b.logs[0], 64, &at, &room);
        if (rc == 0)
            rc = add(&b, 0, size);
        assert_true(rc == 0 || rc == SHMQ_ERR_FULL);
        large += rc == 0 && size == LARGE;
        if (rc)
            shmqd_store_turn(b.store, 1000000);
        assert_true((waits += rc != 0) < 1000000);
    }
    settle(&b, 0);
    assert_int_equal(large_batches(&b, 0), large);
    shmqd_log_status(b.logs[0], &st);
    /* Four frames of 5,000 bytes and one large one at least, per batch. */
    assert_true(st.flush_cnt >= (uint64_t)large);
    shmqd_store_close(b.store);
}

/* A log that may have large frames writes small ones in small batches. */
static void small_frames_go_in_small_batches(void **state)
{
    struct bench b;
    struct shmqd_log_status st;
    (void)state;
    set_up(&b, 4 << 20);
    for (int i = 0; i < 2000; i++)
        while (add(&b, 0, 1000))
            shmqd_store_turn(b.store, 1000000);
    settle(&b, 0);
    shmqd_log_status(b.logs[0], &st);
    assert_true(st.payload_bytes / st.flush_cnt <= BATCH);
    shmqd_store_close(b.store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(busy_logs_leave_room_to_others),
        cmocka_unit_test(a_failed_log_keeps_no_room),
        cmocka_unit_test(large_frames_beside_small_ones),
        cmocka_unit_test(small_frames_go_in_small_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
