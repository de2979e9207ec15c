/* The storage engine on a real file system, by both back ends. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include <shmq/errors.h>

#include "fault/support/store_support.h"
#include "log_reader.h"
#include "support/log_support.h"

static struct shmqd_io *back_end(void **state)
{
    struct shmqd_io *io = NULL;
    const char *why;
    enum shmqd_io_choice choice = *(enum shmqd_io_choice *)*state;
    if (shmqd_io_create(choice, &io, &why)) {
        print_message("%s\n", why);
        skip();
    }
    return io;
}

static void what_was_added_is_read_back(void **state)
{
    struct store_case c;
    store_case_open(
        &c, log_temporary_dir(), back_end(state), SHMQD_LEVEL_DISK, 1 << 20);
    assert_true(c.found.fresh);
    store_case_add(&c, 10, 100);
    store_case_settle(&c);
    store_case_add(&c, 5, 100);
    store_case_settle(&c);
    store_case_read(&c, 0, 15, 100, UINT64_MAX);
    store_case_read(&c, 7, 15, 100, UINT64_MAX);
    store_case_close(&c, true);
}

/* In place of the C library's: as in emulators and on file systems that know
 * no flags. */
static bool flags_are_refused;
static unsigned refused_cnt, flushed_cnt;

ssize_t pwritev2(int fd, const struct iovec *iov, int cnt, off_t at, int flags)
{
    if (flags == 0)
        return pwritev(fd, iov, cnt, at);
    if (flags_are_refused) {
        refused_cnt++;
        errno = EOPNOTSUPP;
        return -1;
    }
    ssize_t n = pwritev(fd, iov, cnt, at);
    return n >= 0 && fdatasync(fd) != 0 ? -1 : n;
}

int fdatasync(int fd)
{
    flushed_cnt++;
    return fsync(fd);
}

static void where_no_flags_are_known_flushes_are_calls(void **state)
{
    flags_are_refused = true;
    refused_cnt = flushed_cnt = 0;
    what_was_added_is_read_back(state);
    flags_are_refused = false;
    assert_true(refused_cnt > 0);
    assert_true(flushed_cnt >= refused_cnt);
}

static void segments_follow_each_other(void **state)
{
    struct store_case c;
    struct shmqd_log_status st;
    store_case_open(
        &c, log_temporary_dir(), back_end(state), SHMQD_LEVEL_DISK, 1 << 20);
    store_case_add(&c, 5000, 1000);
    store_case_settle(&c);
    shmqd_log_status(c.log, &st);
    assert_true(st.segment_cnt > 4);
    store_case_read(&c, 0, 5000, 1000, UINT64_MAX);
    store_case_read(&c, 4321, 5000, 1000, UINT64_MAX);
    store_case_close(&c, true);
}

static void after_a_clean_close_nothing_is_scanned(void **state)
{
    struct store_case c;
    const char *dir = log_temporary_dir();
    store_case_open(&c, dir, back_end(state), SHMQD_LEVEL_DISK, 1 << 20);
    store_case_add(&c, 2000, 500);
    store_case_settle(&c);
    store_case_close(&c, true);
    store_case_open(&c, dir, back_end(state), SHMQD_LEVEL_DISK, 1 << 20);
    assert_true(c.found.clean);
    assert_int_equal(c.found.segments_scanned, 0);
    assert_int_equal(c.found.end_pos, 2000 << 12);
    store_case_add(&c, 100, 500);
    store_case_settle(&c);
    store_case_read(&c, 0, 2100, 500, UINT64_MAX);
    store_case_close(&c, true);
}

static void after_an_unclean_end_everything_durable_is_there(void **state)
{
    struct store_case c;
    const char *dir = log_temporary_dir();
    for (uint64_t round = 0; round < 5; round++) {
        store_case_open(&c, dir, back_end(state), SHMQD_LEVEL_DISK, 1 << 20);
        assert_false(c.found.clean);
        assert_int_equal(c.found.end_pos, (round * 700) << 12);
        store_case_add(&c, 700, 300);
        store_case_settle(&c);
        store_case_close(&c, false);
    }
    store_case_read(&c, 0, 3500, 300, UINT64_MAX);
}

static void os_topics_are_written_and_synced_later(void **state)
{
    struct store_case c;
    struct shmqd_log_status st;
    const char *dir = log_temporary_dir();
    store_case_open(&c, dir, back_end(state), SHMQD_LEVEL_OS, 1 << 20);
    store_case_add(&c, 3000, 700);
    for (int i = 0; i < 10000; i++) {
        shmqd_log_status(c.log, &st);
        if (st.written_pos == st.added_pos)
            break;
        if (shmqd_store_turn(c.store, 1000000) == 0)
            usleep(100);
    }
    assert_int_equal(st.written_pos, 3000 << 12);
    store_case_read(&c, 0, 3000, 700, st.written_pos);
    store_case_settle(&c);
    store_case_close(&c, true);
    store_case_open(&c, dir, back_end(state), SHMQD_LEVEL_OS, 1 << 20);
    assert_int_equal(c.found.end_pos, 3000 << 12);
    store_case_close(&c, true);
}

static void positions_given_up_are_a_gap(void **state)
{
    struct store_case c;
    struct shmqi_log_reader *r;
    struct shmqi_log_item item;
    struct shmqd_log_status st;
    const char *dir = log_temporary_dir();
    struct shmqd_log_options l = {.kind = SHMQI_LOG_MPMC,
        .level = SHMQD_LEVEL_DISK,
        .frame_bytes_max = 4096};
    store_case_open(&c, dir, back_end(state), SHMQD_LEVEL_DISK, 1 << 20);
    store_case_add(&c, 3, 10);
    store_case_settle(&c);
    /* The same log again, as after a reboot. */
    memset(l.uuid, 0xab, sizeof l.uuid);
    assert_int_equal(shmqd_log_close(c.log, false), 0);
    assert_int_equal(shmqd_log_open(c.store, &l, &c.log, &c.found), 0);
    assert_int_equal(shmqd_log_begin(c.log, 100 << 12), 0);
    for (int i = 0; i < 10000; i++) {
        shmqd_log_status(c.log, &st);
        if (st.ready)
            break;
        if (shmqd_store_turn(c.store, 1000000) == 0)
            usleep(100);
    }
    assert_true(st.ready);
    assert_int_equal(st.durable_pos, 100 << 12);
    c.next_slot = 100;
    store_case_add(&c, 2, 10);
    store_case_settle(&c);
    assert_int_equal(shmqi_log_reader_open(c.dir, NULL, &r), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(shmqi_log_reader_next(r, UINT64_MAX, &item), 0);
        assert_int_equal(item.what, SHMQI_LOG_ITEM_FRAME);
    }
    assert_int_equal(shmqi_log_reader_next(r, UINT64_MAX, &item), 0);
    assert_int_equal(item.what, SHMQI_LOG_ITEM_GAP);
    assert_int_equal(item.from, 3 << 12);
    assert_int_equal(item.to, 100 << 12);
    assert_int_equal(item.reason, SHMQI_LOG_GAP_LOST);
    assert_int_equal(shmqi_log_reader_next(r, UINT64_MAX, &item), 0);
    assert_int_equal(item.frame.pos, 100 << 12);
    shmqi_log_reader_close(r);
    store_case_close(&c, true);
}

static void a_time_is_found(void **state)
{
    struct store_case c;
    struct shmqi_log_reader *r;
    uint64_t pos;
    store_case_open(
        &c, log_temporary_dir(), back_end(state), SHMQD_LEVEL_DISK, 1 << 20);
    for (int i = 0; i < 40; i++) {
        store_case_add(&c, 100, 800);
        store_case_settle(&c);
    }
    assert_int_equal(shmqi_log_reader_open(c.dir, NULL, &r), 0);
    static const uint64_t slots[] = {0, 1, 99, 100, 1234, 2500, 3999};
    for (size_t i = 0; i < sizeof slots / sizeof *slots; i++) {
        assert_int_equal(shmqi_log_reader_seek_time(
                             r, 1000 + (int64_t)slots[i], UINT64_MAX, &pos),
            0);
        assert_int_equal(pos, slots[i] << 12);
        assert_int_equal(shmqi_log_reader_pos(r), pos);
    }
    assert_int_equal(
        shmqi_log_reader_seek_time(r, 1 << 30, UINT64_MAX, &pos), 0);
    assert_int_equal(pos, 4000 << 12);
    shmqi_log_reader_close(r);
    store_case_close(&c, true);
}

static void the_oldest_segments_are_deleted(void **state)
{
    struct store_case c;
    struct shmqd_log_status st;
    struct shmqi_log_reader *r;
    struct shmqi_log_item item;
    struct shmqd_retention keep = {.bytes = 3 << 20};
    struct shmqd_retention for_ever = {.age_ns = UINT64_MAX};
    store_case_open(
        &c, log_temporary_dir(), back_end(state), SHMQD_LEVEL_DISK, 1 << 20);
    store_case_add(&c, 8000, 1000);
    store_case_settle(&c);
    shmqd_log_status(c.log, &st);
    uint32_t before = st.segment_cnt;
    assert_int_equal(shmqd_log_retain(c.log, &for_ever), 0);
    shmqd_log_status(c.log, &st);
    assert_int_equal(st.segment_cnt, before);
    for (int i = 0; i < 100; i++) {
        int rc = shmqd_log_retain(c.log, &keep);
        assert_true(rc >= 0);
        shmqd_store_turn(c.store, 1000000);
    }
    shmqd_log_status(c.log, &st);
    assert_true(st.log_bytes < 6 << 20 && st.log_bytes >= 3 << 20);
    assert_true(st.low_pos > 0);
    assert_int_equal(shmqi_log_reader_open(c.dir, NULL, &r), 0);
    assert_int_equal(shmqi_log_reader_pos(r), st.low_pos);
    assert_int_equal(shmqi_log_reader_seek(r, 5 << 12), 0);
    assert_int_equal(shmqi_log_reader_next(r, UINT64_MAX, &item), 0);
    assert_int_equal(item.what, SHMQI_LOG_ITEM_GAP);
    assert_int_equal(item.from, 5 << 12);
    assert_int_equal(item.to, st.low_pos);
    assert_int_equal(item.reason, SHMQI_LOG_GAP_RETENTION);
    shmqi_log_reader_close(r);
    store_case_close(&c, true);
}

/* Frames that are larger than segments are asked to be: those that follow the
 * first one are large enough, too. */
static void a_batch_larger_than_segments_has_room(void **state)
{
    enum { CNT = 8, SIZE = 1500000 };
    struct store_case c = {.next_slot = 0};
    struct shmqd_log_status st;
    struct shmqd_retention keep = {.bytes = 1 << 20};
    char text[256];
    struct shmqd_store_options o = {.namespace_name = "test",
        .io = back_end(state),
        .segment_bytes = 1 << 20,
        .min_free_bytes = 0};
    struct shmqd_log_options l = {.kind = SHMQI_LOG_MPMC,
        .level = SHMQD_LEVEL_DISK,
        .frame_bytes_max = 2 << 20};
    memset(l.uuid, 0xab, sizeof l.uuid);
    assert_int_equal(
        shmqd_store_open(log_temporary_dir(), &o, &c.store, text, sizeof text),
        0);
    assert_int_equal(shmqd_log_open(c.store, &l, &c.log, &c.found), 0);
    assert_int_equal(shmqd_meta_path(c.store, l.uuid, c.dir, sizeof c.dir), 0);
    assert_int_equal(shmqd_log_begin(c.log, 0), 0);
    for (int i = 0; i < CNT; i++) {
        store_case_add(&c, 1, SIZE);
        store_case_settle(&c);
    }
    shmqd_log_status(c.log, &st);
    assert_int_equal(st.segment_cnt, CNT);
    assert_true(st.log_bytes >= (uint64_t)CNT * SIZE);
    store_case_read(&c, 0, CNT, SIZE, UINT64_MAX);
    for (int i = 0; i < 10000 && st.segment_cnt > 2; i++) {
        assert_true(shmqd_log_retain(c.log, &keep) >= 0);
        if (shmqd_store_turn(c.store, 1000000) == 0)
            usleep(100);
        shmqd_log_status(c.log, &st);
    }
    assert_true(st.segment_cnt <= 2);
    store_case_close(&c, true);
}

/* Adds one frame and turns; whether it became durable. */
static bool takes_a_frame(struct shmqd_store *store, struct shmqd_log *log)
{
    struct shmqd_log_status st;
    size_t bytes = log_frame_bytes(1, 100);
    uint8_t *at;
    uint64_t room;
    assert_int_equal(shmqd_log_room(log, bytes, &at, &room), 0);
    log_frame_make(at, 0, 1, 100, 0, 1000);
    struct shmqd_log_chunk chunk = {.bytes = bytes,
        .end_pos = 1 << 12,
        .frame_cnt = 1,
        .record_cnt = 1,
        .first_ts_ns = 1000,
        .max_ts_ns = 1000};
    assert_int_equal(shmqd_log_add(log, &chunk), 0);
    for (int i = 0; i < 100000; i++) {
        shmqd_log_status(log, &st);
        if (st.durable_pos == 1 << 12 || st.state == SHMQD_LOG_NO_SPACE)
            break;
        if (shmqd_store_turn(store, 1000000) == 0)
            usleep(100);
    }
    return st.durable_pos == 1 << 12;
}

/* While topics may take no more of the disk, places of groups are noted. */
static void the_journal_uses_what_topics_leave(void **state)
{
    char text[256];
    struct shmqd_store *store;
    struct shmqd_log *topic, *journal;
    struct shmqd_recovery found;
    struct shmqd_store_options o = {.namespace_name = "test",
        .io = back_end(state),
        .min_free_bytes = 1ull << 60};
    struct shmqd_log_options l = {.kind = SHMQI_LOG_MPMC,
        .level = SHMQD_LEVEL_DISK,
        .frame_bytes_max = 4096};
    assert_int_equal(
        shmqd_store_open(log_temporary_dir(), &o, &store, text, sizeof text),
        0);
    l.uuid[0] = 1;
    assert_int_equal(shmqd_log_open(store, &l, &topic, &found), 0);
    l.uuid[0] = 0;
    l.kind = SHMQI_LOG_GROUPS;
    assert_int_equal(shmqd_log_open(store, &l, &journal, &found), 0);
    assert_int_equal(shmqd_log_begin(topic, 0), 0);
    assert_int_equal(shmqd_log_begin(journal, 0), 0);
    assert_false(takes_a_frame(store, topic));
    assert_true(takes_a_frame(store, journal));
    shmqd_store_close(store);
}

static void a_second_daemon_is_refused(void **state)
{
    struct store_case c;
    const char *dir = log_temporary_dir();
    struct shmqd_store *second;
    char text[256];
    store_case_open(&c, dir, back_end(state), SHMQD_LEVEL_DISK, 1 << 20);
    struct shmqd_store_options o = {.namespace_name = "test",
        .io = back_end(state),
        .lock_wait_ns = 1000000};
    assert_int_equal(
        shmqd_store_open(dir, &o, &second, text, sizeof text), SHMQ_ERR_BUSY);
    store_case_close(&c, true);
    o.namespace_name = "other";
    assert_int_equal(
        shmqd_store_open(dir, &o, &second, text, sizeof text), SHMQ_ERR_LAYOUT);
    o.io->ops->destroy(o.io);
}

static void note_meta(void *ctx, const uint8_t uuid[16], const char *topic,
    const char *text, size_t len)
{
    int *cnt = ctx;
    (*cnt)++;
    assert_int_equal(uuid[0], 7);
    assert_string_equal(topic, "orders");
    assert_int_equal(len, 6);
    assert_memory_equal(text, "second", 6);
}

static void meta_is_kept_and_removed(void **state)
{
    struct store_case c;
    uint8_t uuid[16] = {7};
    int cnt = 0;
    store_case_open(
        &c, log_temporary_dir(), back_end(state), SHMQD_LEVEL_DISK, 1 << 20);
    assert_int_equal(shmqd_meta_write(c.store, uuid, "orders", "one", 3), 0);
    assert_int_equal(shmqd_meta_write(c.store, uuid, "orders", "second", 6), 0);
    assert_int_equal(shmqd_meta_list(c.store, note_meta, NULL, &cnt), 0);
    assert_int_equal(cnt, 1);
    assert_int_equal(shmqd_meta_remove(c.store, uuid), 0);
    assert_int_equal(shmqd_meta_list(c.store, note_meta, NULL, &cnt), 0);
    assert_int_equal(cnt, 1);
    store_case_close(&c, true);
}

#define BOTH(f) \
    {#f " (uring)", f, NULL, NULL, &uring}, \
    { \
#f " (pwritev2)", f, NULL, NULL, &pwritev2 \
    }

int main(void)
{
    static enum shmqd_io_choice uring = SHMQD_IO_URING,
                                pwritev2 = SHMQD_IO_PWRITEV2;
    const struct CMUnitTest tests[] = {
        BOTH(what_was_added_is_read_back),
        {"where_no_flags_are_known_flushes_are_calls",
            where_no_flags_are_known_flushes_are_calls, NULL, NULL, &pwritev2},
        BOTH(segments_follow_each_other),
        BOTH(after_a_clean_close_nothing_is_scanned),
        BOTH(after_an_unclean_end_everything_durable_is_there),
        BOTH(os_topics_are_written_and_synced_later),
        BOTH(positions_given_up_are_a_gap),
        BOTH(a_time_is_found),
        BOTH(the_oldest_segments_are_deleted),
        BOTH(a_batch_larger_than_segments_has_room),
        BOTH(the_journal_uses_what_topics_leave),
        BOTH(a_second_daemon_is_refused),
        BOTH(meta_is_kept_and_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
