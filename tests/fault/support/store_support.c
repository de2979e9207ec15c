/* store_support.c - a store with one log, for tests of the storage engine. */
#include "store_support.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <shmq/errors.h>

#include "log_reader.h"
#include "support/log_support.h"

void store_case_open(struct store_case *c, const char *dir, struct shmqd_io *io,
    enum shmqd_log_level level, uint64_t segment_bytes)
{
    char text[256] = "";
    struct shmqd_store_options o = {.namespace_name = "test",
        .io = io,
        .segment_bytes = segment_bytes,
        .min_free_bytes = 0};
    struct shmqd_log_options l = {
        .kind = SHMQI_LOG_MPMC, .level = level, .frame_bytes_max = 128 * 1024};
    memset(l.uuid, 0xab, sizeof l.uuid);
    int rc = shmqd_store_open(dir, &o, &c->store, text, sizeof text);
    if (rc)
        fprintf(stderr, "%s: %s\n", shmq_err_name(rc), text);
    assert(rc == SHMQ_OK);
    rc = shmqd_log_open(c->store, &l, &c->log, &c->found);
    if (rc)
        fprintf(stderr, "%s\n", shmqd_store_error(c->store));
    assert(rc == SHMQ_OK);
    shmqd_meta_path(c->store, l.uuid, c->dir, sizeof c->dir);
    rc = shmqd_log_begin(c->log, c->found.end_pos);
    assert(rc == SHMQ_OK);
    c->next_slot = c->found.end_pos >> 12;
}

void store_case_add(struct store_case *c, uint32_t cnt, uint32_t size)
{
    size_t bytes = log_frame_bytes(1, size);
    for (uint32_t i = 0; i < cnt; i++) {
        uint8_t *at;
        uint64_t room, slot = c->next_slot++;
        int rc;
        while (
            (rc = shmqd_log_room(c->log, bytes, &at, &room)) == SHMQ_ERR_FULL)
            shmqd_store_turn(c->store, 1000000);
        assert(rc == SHMQ_OK && room >= bytes);
        int64_t time_ns = 1000 + (int64_t)slot;
        log_frame_make(at, slot, 1, size, 0, time_ns);
        struct shmqd_log_chunk chunk = {.bytes = bytes,
            .base_pos = slot << 12,
            .end_pos = (slot + 1) << 12,
            .frame_cnt = 1,
            .record_cnt = 1,
            .first_ts_ns = time_ns,
            .max_ts_ns = time_ns};
        rc = shmqd_log_add(c->log, &chunk);
        assert(rc == SHMQ_OK);
        if (i % 64 == 0)
            shmqd_store_turn(c->store, 0);
    }
}

void store_case_settle(struct store_case *c)
{
    struct shmqd_log_status st;
    for (int i = 0; i < 100000; i++) {
        shmqd_log_status(c->log, &st);
        if (st.durable_pos == st.added_pos && st.ready)
            return;
        assert(st.state != SHMQD_LOG_READ_ONLY);
        if (shmqd_store_turn(c->store, 1000000) == 0)
            usleep(100);
    }
    fprintf(stderr, "added %llu durable %llu\n",
        (unsigned long long)st.added_pos, (unsigned long long)st.durable_pos);
    assert(false && "it settles");
}

void store_case_close(struct store_case *c, bool clean)
{
    if (clean) {
        int rc;
        for (int i = 0;
             i < 1000 && (rc = shmqd_log_close(c->log, true)) == SHMQ_ERR_BUSY;
             i++)
            shmqd_store_turn(c->store, 1000000);
        assert(rc == SHMQ_OK);
    }
    shmqd_store_close(c->store);
}

uint64_t store_case_read(const struct store_case *c, uint64_t from, uint64_t to,
    uint32_t size, uint64_t limit_pos)
{
    struct shmqi_log_reader *r;
    struct shmqi_log_item item;
    int rc = shmqi_log_reader_open(c->dir, NULL, &r);
    assert(rc == SHMQ_OK);
    rc = shmqi_log_reader_seek(r, from << 12);
    assert(rc == SHMQ_OK);
    uint64_t slot = from;
    while ((rc = shmqi_log_reader_next(r, limit_pos, &item)) == SHMQ_OK) {
        assert(item.what == SHMQI_LOG_ITEM_FRAME);
        assert(item.frame.pos == slot << 12);
        assert(log_frame_is(
            item.frame.bytes, item.frame.head.len_bytes, slot, 1, size, 0));
        slot++;
    }
    assert(rc == SHMQ_ERR_EMPTY);
    assert(slot == to);
    shmqi_log_reader_close(r);
    return slot - from;
}
