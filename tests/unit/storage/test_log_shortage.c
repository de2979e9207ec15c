/* What a log lacks for a while: room on the disk, file descriptors, records
 * that follow a gap, a clock that is right. None of it is a failure. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <shmq/errors.h>

#include "fault/support/store_support.h"
#include "log_reader.h"
#include "support/log_support.h"

#define ROOMY (1ull << 60)
#define AHEAD_NS 1000000000000000ll /* of a clock that is wrong */
#define SECOND_NS 1000000000ll

/* The back end of these tests. */
static struct shmqd_io_ops ops;
static int (*real_submit)(struct shmqd_io *io, struct shmqd_io_op *op);
static int (*real_open)(
    struct shmqd_io *io, int dir, const char *name, unsigned flags);
static int refuse; /* errno of making a segment; 0: none */
static int refused_cnt;
static bool full_once; /* the next write finds no room */
static bool fail_once; /* the next write fails */
static uint64_t free_bytes;
static int64_t clock_ns;

static int open_or_refuse(
    struct shmqd_io *io, int dir, const char *name, unsigned flags)
{
    bool segment = strstr(name, ".prep") != NULL;
    if (refuse && segment && flags & SHMQD_OPEN_CREATE) {
        refused_cnt++;
        return -refuse;
    }
    return real_open(io, dir, name, flags);
}

static int submit_or_not(struct shmqd_io *io, struct shmqd_io_op *op)
{
    static int full = -1;
    if (full < 0)
        full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    if (op->kind == SHMQD_IO_WRITE && full_once)
        op->file = full;
    else if (op->kind == SHMQD_IO_WRITE && fail_once)
        op->file = -1;
    if (op->kind == SHMQD_IO_WRITE)
        full_once = fail_once = false;
    return real_submit(io, op);
}

static int told_space(
    struct shmqd_io *io, int dir, uint64_t *ret_free, uint64_t *ret_total)
{
    (void)io, (void)dir;
    *ret_free = free_bytes;
    *ret_total = ROOMY;
    return 0;
}

static int64_t told_clock(void)
{
    return clock_ns;
}

static struct shmqd_io *back_end(void)
{
    struct shmqd_io *io;
    const char *why;
    assert_int_equal(shmqd_io_create(SHMQD_IO_PWRITEV2, &io, &why), 0);
    ops = *io->ops;
    real_submit = ops.submit;
    real_open = ops.open;
    ops.submit = submit_or_not;
    ops.open = open_or_refuse;
    ops.space = told_space;
    io->ops = &ops;
    refuse = refused_cnt = 0;
    full_once = fail_once = false;
    free_bytes = ROOMY;
    return io;
}

static void open_case(struct store_case *c, const char *dir)
{
    store_case_open(c, dir, back_end(), SHMQD_LEVEL_DISK, 1 << 20);
}

static struct shmqd_log_status status_of(const struct store_case *c)
{
    struct shmqd_log_status st;
    shmqd_log_status(c->log, &st);
    return st;
}

static void turn(struct store_case *c)
{
    if (shmqd_store_turn(c->store, 1000000) == 0)
        usleep(100);
}

static void no_descriptor_is_no_failure(void **state)
{
    static const int errors[] = {EMFILE, ENFILE, ENOMEM};
    struct store_case c;
    (void)state;
    open_case(&c, log_temporary_dir());
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        refuse = errors[i];
        refused_cnt = 0;
        store_case_add(&c, 1500, 1000); /* more than a segment */
        while (refused_cnt < 4) {
            assert_int_not_equal(status_of(&c).state, SHMQD_LOG_READ_ONLY);
            turn(&c);
        }
        assert_int_equal(status_of(&c).error, errors[i]);
        assert_int_equal(status_of(&c).io_error_cnt, 0);
        refuse = 0;
        store_case_settle(&c);
    }
    store_case_close(&c, true);
}

static void a_write_without_room_is_forgotten(void **state)
{
    struct store_case c;
    (void)state;
    open_case(&c, log_temporary_dir());
    store_case_add(&c, 700, 1000); /* a spare is made */
    store_case_settle(&c);
    for (int i = 0; i < 200; i++)
        turn(&c);
    full_once = true;
    store_case_add(&c, 1, 1000);
    for (int i = 0; i < 100000 && status_of(&c).error != ENOSPC; i++)
        turn(&c);
    assert_int_equal(status_of(&c).error, ENOSPC);
    store_case_settle(&c);
    for (int i = 0; i < 100000 && status_of(&c).state != SHMQD_LOG_OK; i++)
        turn(&c);
    assert_int_equal(status_of(&c).state, SHMQD_LOG_OK);
    /* Nothing to wake up for, when the last watermark is on the disk. */
    for (int i = 0; i < 100000 && shmqd_store_next_ns(c.store) != INT64_MAX;
         i++)
        turn(&c);
    assert_true(shmqd_store_next_ns(c.store) == INT64_MAX);
    store_case_read(&c, 0, 701, 1000, UINT64_MAX);
    store_case_close(&c, true);
}

static void read_gap(const struct store_case *c, uint64_t frames, uint64_t to)
{
    struct shmqi_log_reader *r;
    struct shmqi_log_item item;
    assert_int_equal(shmqi_log_reader_open(c->dir, NULL, &r), 0);
    for (uint64_t i = 0; i < frames; i++) {
        assert_int_equal(shmqi_log_reader_next(r, to << 12, &item), 0);
        assert_int_equal(item.what, SHMQI_LOG_ITEM_FRAME);
    }
    assert_int_equal(shmqi_log_reader_next(r, to << 12, &item), 0);
    assert_int_equal(item.what, SHMQI_LOG_ITEM_GAP);
    assert_int_equal(item.from, frames << 12);
    assert_int_equal(item.to, to << 12);
    assert_int_equal(shmqi_log_reader_next(r, to << 12, &item), SHMQ_ERR_EMPTY);
    shmqi_log_reader_close(r);
}

/* A gap with nothing behind it is in the log, and is there again after a crash;
 * also when the write that tells of it failed the first time. */
static void a_gap_at_the_end_is_told(void **state)
{
    struct store_case c;
    (void)state;
    for (int i = 0; i < 2; i++) {
        const char *dir = log_temporary_dir();
        open_case(&c, dir);
        store_case_add(&c, 3, 10);
        store_case_settle(&c);
        fail_once = i == 1;
        assert_int_equal(shmqd_log_pass(c.log, 8 << 12), 0);
        assert_int_equal(shmqd_log_pass(c.log, 8 << 12), SHMQ_ERR_INVAL);
        assert_int_equal(status_of(&c).added_pos, 8 << 12);
        store_case_settle(&c);
        assert_int_equal(status_of(&c).durable_pos, 8 << 12);
        assert_int_equal(status_of(&c).io_error_cnt, i);
        read_gap(&c, 3, 8);
        store_case_close(&c, false);
        open_case(&c, dir);
        assert_int_equal(c.found.end_pos, 8 << 12);
        assert_false(c.found.degraded);
        store_case_add(&c, 2, 10);
        store_case_settle(&c);
        read_gap(&c, 3, 8);
        store_case_read(&c, 8, 10, 10, UINT64_MAX);
        store_case_close(&c, true);
    }
}

static void open_with_clock(struct store_case *c, const char *dir)
{
    char text[256];
    struct shmqd_store_options o = {.namespace_name = "test",
        .io = back_end(),
        .segment_bytes = 1 << 20,
        .realtime_ns = told_clock};
    struct shmqd_log_options l = {.kind = SHMQI_LOG_MPMC,
        .level = SHMQD_LEVEL_DISK,
        .frame_bytes_max = 128 * 1024};
    memset(l.uuid, 0xab, sizeof l.uuid);
    assert_int_equal(
        shmqd_store_open(dir, &o, &c->store, text, sizeof text), 0);
    assert_int_equal(shmqd_log_open(c->store, &l, &c->log, &c->found), 0);
    assert_int_equal(
        shmqd_meta_path(c->store, l.uuid, c->dir, sizeof c->dir), 0);
    assert_int_equal(shmqd_log_begin(c->log, c->found.end_pos), 0);
    c->next_slot = c->found.end_pos >> 12;
}

static void retain(struct store_case *c, const struct shmqd_retention *p)
{
    for (int i = 0; i < 100000 && shmqd_log_retain(c->log, p) == 1; i++)
        turn(c);
    assert_int_equal(shmqd_log_retain(c->log, p), 0);
}

/* A producer whose clock is a year ahead, and our own that was so for a moment,
 * keep nothing longer than that. */
static void age_is_told_by_our_clock(void **state)
{
    struct store_case c;
    struct shmqd_retention young = {.age_ns = 10 * (uint64_t)SECOND_NS};
    const char *dir = log_temporary_dir();
    const int64_t begin = 1000 * SECOND_NS;
    (void)state;
    for (int again = 0; again < 2; again++) {
        clock_ns = begin + again * 1000 * SECOND_NS;
        open_with_clock(&c, dir);
        if (again == 0)
            c.next_slot = (uint64_t)AHEAD_NS; /* also the time of its frame */
        for (int i = 0; i < 6; i++) {
            clock_ns += i == 3 ? AHEAD_NS : SECOND_NS;
            store_case_add(&c, 1100, 1000);
            store_case_settle(&c);
            clock_ns -= i == 3 ? AHEAD_NS : 0;
        }
        uint32_t before = status_of(&c).segment_cnt;
        assert_true(before >= 6);
        retain(&c, &young);
        assert_int_equal(status_of(&c).segment_cnt, before); /* too young */
        store_case_close(&c, again == 0);
        clock_ns += 5 * SECOND_NS;
        open_with_clock(&c, dir);
        store_case_add(&c, 1, 1000);
        store_case_settle(&c);
        clock_ns += 11 * SECOND_NS;
        retain(&c, &young);
        assert_int_equal(status_of(&c).segment_cnt, 1);
        store_case_close(&c, true);
    }
}

/* A log that cannot begin for want of room lets go what retention gives up, but
 * never the segment that says where it ended. */
static void who_waits_for_room_lets_history_go(void **state)
{
    struct store_case c;
    struct shmqd_retention little = {.bytes = 1};
    const char *dir = log_temporary_dir();
    struct shmqd_log_options l = {.kind = SHMQI_LOG_MPMC,
        .level = SHMQD_LEVEL_DISK,
        .frame_bytes_max = 128 * 1024};
    memset(l.uuid, 0xab, sizeof l.uuid);
    (void)state;
    open_case(&c, dir);
    store_case_add(&c, 5000, 1000);
    store_case_settle(&c);
    store_case_close(&c, false);
    for (int i = 0; i < 2; i++) {
        open_case(&c, dir);
        assert_int_equal(c.found.end_pos, 5000 << 12);
        assert_int_equal(shmqd_log_close(c.log, false), 0);
        assert_int_equal(shmqd_log_open(c.store, &l, &c.log, &c.found), 0);
        free_bytes = 0;
        assert_int_equal(shmqd_log_begin(c.log, 6000 << 12), 0);
        for (int k = 0; k < 100000 && status_of(&c).state == SHMQD_LOG_OK; k++)
            turn(&c);
        assert_int_equal(status_of(&c).state, SHMQD_LOG_NO_SPACE);
        assert_false(status_of(&c).ready);
        assert_true(i == 1 || status_of(&c).segment_cnt > 3);
        retain(&c, &little);
        assert_int_equal(status_of(&c).segment_cnt, 1);
        if (i == 0)
            store_case_close(&c, false);
    }
    free_bytes = ROOMY;
    for (int k = 0; k < 100000 && !status_of(&c).ready; k++)
        turn(&c);
    assert_true(status_of(&c).ready);
    c.next_slot = 6000;
    store_case_add(&c, 2, 10);
    store_case_settle(&c);
    store_case_close(&c, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_descriptor_is_no_failure),
        cmocka_unit_test(a_write_without_room_is_forgotten),
        cmocka_unit_test(a_gap_at_the_end_is_told),
        cmocka_unit_test(age_is_told_by_our_clock),
        cmocka_unit_test(who_waits_for_room_lets_history_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
