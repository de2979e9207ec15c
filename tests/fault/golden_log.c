/* Writes the golden log of format version 1 into DIR, always the same bytes:
 * two lives of a topic, several segments, a lost range, a frame of many
 * records, one of an spsc ring.
 * usage: fault_golden_log DIR */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/storage/bugs.h"
#include "fault/sim/sim_disk.h"
#include "support/log_support.h"

#include "daemon/storage/topic_log.h"

enum shmqd_bug shmqd_bug;
bool shmqi_log_bug_no_chain;

static int64_t now;

static int64_t clock_fixed(void)
{
    return now += 1000;
}

static int64_t realtime_fixed(void)
{
    return 1767225600000000000; /* 2026-01-01T00:00:00Z */
}

static uint64_t random_fixed(void *ctx)
{
    uint64_t *state = ctx;
    return *state = *state * 6364136223846793005ull + 1442695040888963407ull;
}

static void add(struct shmqd_store *store, struct shmqd_log *log, uint64_t slot,
    uint32_t cnt, uint32_t size)
{
    uint8_t *at;
    uint64_t room;
    size_t bytes = log_frame_bytes(cnt, size);
    int64_t time_ns = 1767225600000000000 + (int64_t)slot * 1000000;
    int rc = shmqd_log_room(log, bytes, &at, &room);
    assert(rc == 0);
    log_frame_make(at, slot, cnt, size, 0, time_ns);
    struct shmqd_log_chunk c = {
        bytes, slot << 12, (slot + 1) << 12, 1, cnt, time_ns, time_ns};
    rc = shmqd_log_add(log, &c);
    assert(rc == 0);
    for (int i = 0; i < 100; i++)
        shmqd_store_turn(store, 0);
}

static void life(struct sim_disk *disk, uint64_t *random, uint64_t skip,
    uint32_t frames, uint32_t size)
{
    char text[256];
    struct shmqd_store *store;
    struct shmqd_log *log;
    struct shmqd_recovery found;
    struct shmqd_store_options o = {.namespace_name = "golden",
        .io = sim_disk_io(disk),
        .segment_bytes = 24576,
        .staging_bytes = 8192,
        .staging_cnt = 4,
        .realtime_ns = realtime_fixed,
        .monotonic_ns = clock_fixed,
        .random = random_fixed,
        .random_ctx = random};
    struct shmqd_log_options l = {.kind = SHMQI_LOG_MPMC,
        .level = SHMQD_LEVEL_DISK,
        .frame_bytes_max = 4096};
    memset(l.uuid, 0x5a, sizeof l.uuid);
    int rc = shmqd_store_open("golden", &o, &store, text, sizeof text);
    assert(rc == 0);
    rc = shmqd_log_open(store, &l, &log, &found);
    assert(rc == 0);
    uint64_t slot = (found.end_pos >> 12) + skip;
    rc = shmqd_log_begin(log, slot << 12);
    assert(rc == 0);
    for (uint32_t i = 0; i < frames; i++)
        add(store, log, slot + i, 1 + i % 3, size);
    rc = shmqd_log_close(log, true);
    assert(rc == 0);
    shmqd_store_close(store);
}

static void put_file(
    const char *dir, const char *name, const struct sim_inode *n)
{
    char path[512];
    uint8_t *all = calloc(1, n->size ? n->size : 1);
    assert(all);
    memcpy(all, n->data, n->high < n->size ? n->high : n->size);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    assert(f);
    size_t done = fwrite(all, 1, n->size, f);
    assert(done == n->size);
    int rc = fclose(f);
    assert(rc == 0);
    free(all);
}

int main(int argc, char **argv)
{
    struct sim_image empty;
    struct sim_faults none = {.seed = 1};
    struct sim_trace trace = {0};
    uint64_t random = 4711;
    if (argc != 2)
        return 2;
    sim_image_init(&empty);
    struct sim_disk *disk = sim_disk_new(&empty, &none, &trace);
    sim_disk_keep(disk, true);
    life(disk, &random, 0, 6, 300);
    sim_disk_again(disk, 1);
    life(disk, &random, 10, 4, 21);
    const struct sim_image *m = sim_disk_image(disk);
    for (int i = 0; i < m->name_cnt; i++) {
        const char *name = m->names[i].name;
        if (m->names[i].inode >= 0 && strstr(name, ".seg"))
            put_file(argv[1], name, &m->inodes[m->names[i].inode]);
    }
    sim_disk_free(disk);
    sim_trace_free(&trace);
    return 0;
}
