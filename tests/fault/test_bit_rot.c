/* Every single-bit flip and every truncation of a small log (the golden one):
 * each is harmless or reported as a gap, costs at most one batch, and what is
 * behind it stays readable. Recovery of the last segment says damaged, or takes
 * the flip for a torn tail where nothing later vouches for the bytes: the
 * last-flush window, which is measured.
 *     fault_bit_rot [--every N]      only every N-th bit (default 1) */
#include <assert.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <shmq/errors.h>

#include "daemon/storage/log_impl.h"
#include "fault/sim/sim_disk.h"

enum shmqd_bug shmqd_bug;
bool shmqi_log_bug_no_chain;

#define ITEMS 64

struct item {
    bool gap;
    uint64_t from, to;
    uint32_t crc;
};

struct items {
    struct item at[ITEMS];
    int cnt;
    int rc;
};

static struct sim_image image;
static int topic_dir;
static uint64_t log_end;

static void read_log(uint64_t limit, struct items *ret)
{
    struct shmqi_log_reader *r;
    struct shmqi_log_item i;
    memset(ret, 0, sizeof *ret);
    ret->rc =
        shmqi_log_reader_open_files(&sim_files, &image, topic_dir, NULL, &r);
    if (ret->rc)
        return;
    ret->rc = shmqi_log_reader_seek(r, 0);
    while (ret->rc == SHMQ_OK &&
        (ret->rc = shmqi_log_reader_next(r, limit, &i)) == SHMQ_OK) {
        struct item *to = &ret->at[ret->cnt++];
        assert(ret->cnt < ITEMS);
        to->gap = i.what == SHMQI_LOG_ITEM_GAP;
        to->from = to->gap ? i.from : i.frame.pos;
        to->to = to->gap ? i.to : i.frame.end_pos;
        to->crc = to->gap
            ? 0
            : shmqi_log_data_crc(i.frame.bytes, i.frame.head.len_bytes);
    }
    shmqi_log_reader_close(r);
}

static const struct item *find(const struct items *in, uint64_t pos)
{
    for (int i = 0; i < in->cnt; i++)
        if (in->at[i].from <= pos && pos < in->at[i].to)
            return &in->at[i];
    return NULL;
}

/* Frames that are gone; -1: something is wrong, or missing without a gap. */
static int compare(const struct items *good, const struct items *now)
{
    int gone = 0;
    if (now->rc != SHMQ_ERR_EMPTY)
        return -1;
    for (int i = 0; i < good->cnt; i++) {
        const struct item *g = &good->at[i], *n = find(now, g->from);
        if (!n || (!n->gap && (n->from != g->from || n->crc != g->crc)))
            return -1;
        if (!g->gap && n->gap)
            gone++;
        if (g->gap && !n->gap)
            return -1;
    }
    for (int i = 1; i < now->cnt; i++)
        if (now->at[i].from != now->at[i - 1].to)
            return -1;
    return gone;
}

/* -- recovery
 * ------------------------------------------------------------------ */

static int recover(struct shmqd_recovery *found)
{
    static const struct sim_faults none = {.seed = 1};
    struct sim_trace trace = {0};
    struct shmqd_store *store;
    struct shmqd_log *log;
    char text[256];
    struct sim_disk *disk = sim_disk_new(&image, &none, &trace);
    struct shmqd_store_options o = {.namespace_name = "golden",
        .io = sim_disk_io(disk),
        .segment_bytes = 24576,
        .staging_bytes = 8192,
        .staging_cnt = 4};
    struct shmqd_log_options l = {.kind = SHMQI_LOG_MPMC,
        .level = SHMQD_LEVEL_DISK,
        .frame_bytes_max = 4096};
    memset(l.uuid, 0x5a, sizeof l.uuid);
    sim_disk_keep(disk, true);
    int rc = shmqd_store_open("golden", &o, &store, text, sizeof text);
    assert(rc == SHMQ_OK);
    rc = shmqd_log_open(store, &l, &log, found);
    shmqd_store_abandon(store);
    sim_disk_free(disk);
    sim_trace_free(&trace);
    return rc;
}

/* -- the log
 * --------------------------------------------------------------------- */

static void take_file(int inode, const char *dir, const char *name)
{
    char path[600];
    struct sim_inode *n = &image.inodes[inode];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "rb");
    assert(f);
    n->used = true;
    n->data = calloc(1, SIM_FILE_MAX);
    assert(n->data);
    n->size = (uint32_t)fread(n->data, 1, SIM_FILE_MAX, f);
    n->high = n->size;
    fclose(f);
    struct sim_name *at = &image.names[image.name_cnt++];
    at->dir = topic_dir;
    at->inode = inode;
    strcpy(at->name, name);
}

/* A store around the golden segments: made by an empty life, so that STORE is
 * right but for its uuid, which the segments name. */
static void build(const char *dir)
{
    static const struct sim_faults none = {.seed = 1};
    struct sim_image empty;
    struct sim_trace trace = {0};
    struct shmqd_store *store;
    char text[256];
    uint64_t random = 4711;
    sim_image_init(&empty);
    sim_image_init(&image);
    struct sim_disk *disk = sim_disk_new(&empty, &none, &trace);
    sim_disk_keep(disk, true);
    extern uint64_t golden_random(void *ctx);
    struct shmqd_store_options o = {.namespace_name = "golden",
        .io = sim_disk_io(disk),
        .random = golden_random,
        .random_ctx = &random};
    int rc = shmqd_store_open("golden", &o, &store, text, sizeof text);
    assert(rc == SHMQ_OK);
    shmqd_store_abandon(store);
    sim_image_copy(&image, sim_disk_image(disk));
    sim_disk_free(disk);
    sim_trace_free(&trace);
    int topics = sim_image_find(&image, 0, "topics");
    topic_dir = image.inode_cnt++;
    image.inodes[topic_dir].used = image.inodes[topic_dir].dir = true;
    struct sim_name *at = &image.names[image.name_cnt++];
    at->dir = image.names[topics].inode;
    at->inode = topic_dir;
    memset(at->name, '5', 32);
    for (int i = 1; i < 32; i += 2)
        at->name[i] = 'a';
    at->name[32] = '\0';
    for (int i = 1; i <= 3; i++) {
        char name[SHMQI_LOG_NAME_ROOM];
        shmqi_log_segment_name((uint64_t)i, ".seg", name);
        take_file(image.inode_cnt++, dir, name);
    }
}

uint64_t golden_random(void *ctx);
uint64_t golden_random(void *ctx)
{
    uint64_t *state = ctx;
    return *state = *state * 6364136223846793005ull + 1442695040888963407ull;
}

struct sums {
    uint64_t cases, harmless, reported, wrong, worst, window, truncations;
    uint64_t recoveries, degraded, refused;
};

static void judge_reading(const struct items *good, struct sums *s)
{
    struct items now;
    read_log(log_end, &now);
    int gone = compare(good, &now);
    s->cases++;
    if (gone < 0)
        s->wrong++;
    else if (gone == 0)
        s->harmless++;
    else
        s->reported++;
    if (gone > 0 && (uint64_t)gone > s->worst)
        s->worst = (uint64_t)gone;
}

static void judge_recovery(uint64_t intact_end, struct sums *s)
{
    struct shmqd_recovery found;
    int rc = recover(&found);
    s->recoveries++;
    if (rc) {
        s->refused++;
    } else if (found.degraded) {
        s->degraded++;
    } else if (found.end_pos < intact_end) {
        s->window++;
    }
}

static void flip_all(const struct items *good, uint64_t every, struct sums *s)
{
    for (int f = image.inode_cnt - 3; f < image.inode_cnt; f++) {
        struct sim_inode *n = &image.inodes[f];
        for (uint64_t bit = 0; bit < n->size * 8ull; bit += every) {
            n->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            judge_reading(good, s);
            if (f == image.inode_cnt - 1 && bit % 8 == bit / 8 % 8)
                judge_recovery(log_end, s);
            n->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
}

static void truncate_all(
    const struct items *good, uint64_t every, struct sums *s)
{
    uint8_t *copy = malloc(SIM_FILE_MAX);
    assert(copy);
    for (int f = image.inode_cnt - 3; f < image.inode_cnt; f++) {
        struct sim_inode *n = &image.inodes[f];
        uint32_t size = n->size;
        memcpy(copy, n->data, size);
        for (uint32_t len = 0; len < size; len += (uint32_t)every) {
            struct items now;
            n->size = n->high = len;
            read_log(log_end, &now);
            s->truncations++;
            if (compare(good, &now) < 0)
                s->wrong++;
            n->size = n->high = size;
        }
        memcpy(n->data, copy, size);
    }
    free(copy);
}

int main(int argc, char **argv)
{
    char dir[512];
    struct items good;
    struct sums s = {0};
    mallopt(M_MMAP_THRESHOLD, 64 << 20);
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
    uint64_t every = argc == 3 && strcmp(argv[1], "--every") == 0
        ? strtoull(argv[2], 0, 10)
        : 1;
    const char *source = getenv("SHMQ_SOURCE_DIR");
    snprintf(dir, sizeof dir, "%s/tests/data/log-v1", source ? source : ".");
    build(dir);
    read_log(UINT64_MAX, &good);
    assert(good.rc == SHMQ_ERR_EMPTY && good.cnt == 11);
    log_end = good.at[good.cnt - 1].to;
    flip_all(&good, every ? every : 1, &s);
    truncate_all(&good, every ? every : 1, &s);
    printf(
        "RUNG 12: %llu bit flips (%llu harmless, %llu reported as a gap), "
        "%llu truncations; wrong or silent %llu; most frames lost to one "
        "flip %llu; %llu recoveries: %llu called damaged, %llu refused, %llu "
        "taken for a torn tail (last-flush window)\n",
        (unsigned long long)s.cases, (unsigned long long)s.harmless,
        (unsigned long long)s.reported, (unsigned long long)s.truncations,
        (unsigned long long)s.wrong, (unsigned long long)s.worst,
        (unsigned long long)s.recoveries, (unsigned long long)s.degraded,
        (unsigned long long)s.refused, (unsigned long long)s.window);
    bool ok = s.wrong == 0 && s.worst <= 2 && s.cases && s.reported &&
        s.degraded && s.refused == 0;
    printf("RUNG 12: %s\n", ok ? "PASS" : "FAIL");
    return ok ? 0 : 1;
}
