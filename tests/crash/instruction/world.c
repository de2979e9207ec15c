/* world.c - topics in the states that the operations begin in. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "disk.h"
#include "proof.h"
#include "topic_impl.h"
#include "words.h"

#define SLOTS 8u
#define HOT_MAX (96u << 10)

static void must(int rc, const char *what)
{
    if (rc == SHMQ_OK)
        return;
    broken("making the state: %s: %s: %s", what, shmq_err_name(rc),
        shmq_error_text());
    exit(1);
}

/* -- sizes
 * --------------------------------------------------------------------- */

static uint64_t arena_bytes(const struct config *c)
{
    uint64_t need = op_bytes(c->first) + 128, bytes = 4096;
    if (c->first->flags & OP_BATCH)
        need = BATCH * (BATCH_BYTES + 32);
    while (bytes / 2 < need)
        bytes *= 2;
    return bytes;
}

uint64_t fill_bytes(const struct config *c)
{
    uint64_t ring = arena_bytes(c);
    if (c->ring == SHMQ_RING_MPMC || ring <= 4096)
        return 64;
    return ring / 32 - 128;
}

static uint64_t origin_of(const struct config *c, uint64_t records)
{
    static const uint64_t mpmc[ORIGINS] = {
        0, ((1ull << 32) - 1) * SLOTS, ((1ull << 36) - 1) * SLOTS, 1ull << 40};
    uint64_t ring = arena_bytes(c);
    const uint64_t spsc[ORIGINS] = {
        0, 1ull << 32, 1ull << 35, (1ull << 55) - 8 * ring};
    if (c->origin == ORIGIN_ZERO)
        return 0;
    if (c->ring == SHMQ_RING_MPMC)
        return mpmc[c->origin] - records;
    return spsc[c->origin] - records * (fill_bytes(c) + 32);
}

static struct shmq_topic_attrs attrs_of(const struct config *c)
{
    struct shmq_topic_attrs a;
    memset(&a, 0, sizeof a);
    a.struct_bytes = sizeof a;
    a.ring = c->ring;
    a.arena_bytes = arena_bytes(c);
    a.max_message_bytes = a.arena_bytes / 2 - 128;
    a.max_groups = 3;
    if (c->first->flags & OP_DROP_NEW)
        a.on_full = SHMQ_ON_FULL_DROP_NEW;
    if (c->first->flags & OP_DROP_OLD)
        a.on_full = SHMQ_ON_FULL_DROP_OLD;
    if (c->first->flags & OP_ASYMMETRIC)
        a.flags |= SHMQ_TOPIC_ASYMMETRIC;
    if (c->first->flags & OP_DURABLE)
        a.durability = SHMQ_DURABILITY_DISK;
    if (c->first->flags & OP_TTL)
        a.ttl_ns = TTL_NS;
    if (c->first->flags & OP_TTL_DEAD)
        a.flags |= SHMQ_TOPIC_TTL_DEAD_LETTER;
    a.max_members = 6;
    a.max_producers = 1;
    if (c->ring == SHMQ_RING_MPMC) {
        a.capacity_frames = SLOTS;
        a.max_producers = 3;
    }
    return a;
}

/* -- the state before
 * ---------------------------------------------------------- */

struct shmq_consumer *world_reader(
    struct shmq_topic *topic, enum group group, int *ret_rc)
{
    struct shmq_consumer_options o;
    struct shmq_consumer *c = NULL;
    memset(&o, 0, sizeof o);
    o.struct_bytes = sizeof o;
    o.group = group_names[group];
    o.flags = SHMQ_CONSUMER_NO_CREATE;
    *ret_rc = shmq_consumer_open(topic, &o, &c);
    return c;
}

static void make_groups(struct world *w, struct shmq_topic *topic)
{
    for (enum group g = AUDIT; g < GROUPS; g++) {
        struct shmq_group_attrs a;
        memset(&a, 0, sizeof a);
        a.struct_bytes = sizeof a;
        a.kind = SHMQ_GROUP_EXCLUSIVE;
        if (g == WORK && w->config.ring == SHMQ_RING_MPMC) {
            a.kind = SHMQ_GROUP_SHARED;
            a.max_attempts = 100;
            if (w->config.first->flags & OP_DEAD)
                a.max_attempts = 2;
            if (w->config.first->flags & OP_LEASE)
                a.lease_ns = 1000000;
        }
        if (g == WORK && (w->config.first->flags & OP_RELEASE))
            a.absent = SHMQ_ABSENT_RELEASE;
        must(shmq_group_create(topic, group_names[g], &a, NULL), "group");
    }
}

static int put(struct world *w, struct shmq_producer *p, uint32_t tag)
{
    static uint8_t data[1u << 18];
    uint64_t bytes = fill_bytes(&w->config);
    fill_payload(data, bytes, tag);
    return shmq_producer_publish(p, data, bytes, NULL);
}

/* A ring that is full of what is not on disk yet is served. */
static void put_served(struct world *w, struct shmq_producer *p, uint32_t tag)
{
    int rc = put(w, p, tag);
    if (rc == SHMQ_ERR_FULL) {
        disk_serve(w->live_disk);
        rc = put(w, p, tag);
    }
    must(rc, "put");
}

static void finish_all(struct shmq_topic *topic, uint32_t records)
{
    for (enum group g = AUDIT; g < GROUPS; g++) {
        int rc;
        struct shmq_consumer *c = world_reader(topic, g, &rc);
        must(rc, "reader");
        for (uint32_t i = 0; i < records; i++) {
            struct shmq_message m;
            must(shmq_consumer_receive(c, &m), "warm receive");
            must(shmq_consumer_release(c, &m), "warm release");
        }
        shmq_consumer_close(c);
    }
}

/* Groups get what is on disk, wherever it stands by then. */
static void warm_up_durable(struct world *w, struct shmq_topic *topic,
    struct shmq_producer *p, uint32_t records)
{
    for (uint32_t i = 0; i < records; i++)
        put_served(w, p, TAG_WARM + i);
    disk_serve(w->live_disk);
    finish_all(topic, records);
    disk_serve(w->live_disk); /* their places are journaled */
}

/* Records go through the ring and are done by both groups. */
static void warm_up(struct world *w, struct shmq_topic *topic,
    struct shmq_producer *p, uint32_t records)
{
    int rc[GROUPS];
    struct shmq_consumer *c[GROUPS];
    for (enum group g = AUDIT; g < GROUPS; g++) {
        c[g] = world_reader(topic, g, &rc[g]);
        must(rc[g], "reader");
    }
    for (uint32_t i = 0; i < records; i++) {
        must(put(w, p, TAG_WARM + i), "warm");
        for (enum group g = AUDIT; g < GROUPS; g++) {
            struct shmq_message m;
            must(shmq_consumer_receive(c[g], &m), "warm receive");
            must(shmq_consumer_release(c[g], &m), "warm release");
        }
    }
    for (enum group g = AUDIT; g < GROUPS; g++)
        shmq_consumer_close(c[g]);
}

static uint32_t warm_cnt(const struct world *w, uint32_t capacity)
{
    switch (w->config.warm) {
    case WARM_NONE:
        return 0;
    case WARM_LAP:
        return capacity - 1;
    default:
        return capacity + capacity / 2 - 1;
    }
}

static void make_topic(
    struct world *w, const struct shmq_topic_attrs *a, uint64_t origin)
{
    w->live_disk = NULL;
    if (a->durability == SHMQ_DURABILITY_NONE)
        must(shmqi_topic_create_system(w->ns, TOPIC, a, origin), "create");
    else
        w->live_disk = disk_make(w->ns, a,
            a->ring == SHMQ_RING_SPSC ? origin : shmqi_pos(origin, 0));
}

/* What fills the ring comes to disk; as much again pushes it out of there. */
static void bring_to_disk(
    struct world *w, struct shmq_producer *p, uint32_t capacity)
{
    uint32_t flags = w->config.first->flags, cnt = 0;
    if (flags & (OP_DRAINED | OP_BEHIND))
        disk_serve(w->live_disk);
    if (!(flags & OP_BEHIND))
        return;
    for (; cnt < capacity; cnt++) {
        put_served(w, p, TAG_COVER + cnt);
        tags_add(&w->pending[AUDIT], TAG_COVER + cnt);
        tags_add(&w->pending[WORK], TAG_COVER + cnt);
    }
    disk_serve(w->live_disk);
}

/* Makes the live topic with `fill` records in it; with UINT32_MAX counts how
 * many fit. */
static uint32_t build(
    struct world *w, uint64_t origin, uint32_t warm, uint32_t fill)
{
    struct shmq_topic_attrs a = attrs_of(&w->config);
    struct shmq_topic *topic;
    struct shmq_producer *p;
    uint32_t cnt = 0;
    make_topic(w, &a, origin);
    must(shmq_topic_open(w->ns, TOPIC, &topic), "open");
    make_groups(w, topic);
    must(shmq_producer_open(topic, NULL, &p), "producer");
    if (w->live_disk)
        warm_up_durable(w, topic, p, warm);
    else
        warm_up(w, topic, p, warm);
    memset(w->pending, 0, sizeof w->pending);
    /* A ring that drops what is oldest is never full by itself. */
    if (fill == UINT32_MAX && (w->config.first->flags & OP_DROP_OLD))
        fill = SLOTS;
    while (cnt < fill && put(w, p, TAG_FILL + 1 + cnt) == SHMQ_OK) {
        cnt++;
        tags_add(&w->pending[AUDIT], TAG_FILL + cnt);
        tags_add(&w->pending[WORK], TAG_FILL + cnt);
    }
    if (fill != UINT32_MAX)
        bring_to_disk(w, p, w->capacity);
    shmq_producer_close(p);
    shmq_topic_close(topic);
    return cnt;
}

static void remove_topic(const char *ns)
{
    (void)shmq_topic_unlink(ns, TOPIC, SHMQ_UNLINK_FORCE);
    (void)shmq_topic_unlink(ns, DEAD_TOPIC, SHMQ_UNLINK_FORCE);
}

static void remove_live(struct world *w)
{
    remove_topic(w->ns);
    disk_free(w->live_disk);
    w->live_disk = NULL;
}

static uint32_t fill_cnt(const struct world *w)
{
    static const uint32_t of_empty[] = {0, 1};
    if (w->config.fill <= FILL_ONE)
        return of_empty[w->config.fill];
    return w->config.fill == FILL_FULL ? w->capacity : w->capacity - 1;
}

bool world_make(struct world *w, const struct config *config)
{
    struct shmq_topic_attrs a = attrs_of(config);
    w->config = *config;
    w->capacity = build(w, 0, 0, UINT32_MAX);
    remove_live(w);
    uint32_t warm = warm_cnt(w, w->capacity);
    if (config->fill >= FILL_ALMOST && warm) {
        w->capacity = build(w, 0, warm, UINT32_MAX);
        remove_live(w);
    }
    uint32_t fill = fill_cnt(w);
    w->own_cnt = config->own ? fill : 0;
    (void)build(
        w, origin_of(config, warm + fill), warm, config->own ? 0 : fill);
    w->copy_disk = w->live_disk ? disk_make(w->copy_ns, &a, 0) : NULL;
    if (!w->live_disk)
        must(shmq_topic_create(w->copy_ns, TOPIC, &a), "create copy");
    if (!shm_map(&w->live, w->ns, TOPIC) ||
        !shm_map(&w->copy, w->copy_ns, TOPIC))
        return false;
    w->base = malloc(disk_files_bytes(&w->live));
    if (!w->base)
        return false;
    disk_files_take(w->base, &w->live);
    if (w->live_disk) {
        disk_keep(w->live_disk);
        disk_same(w->copy_disk, w->live_disk);
    }
    w->hot =
        w->live.data_bytes <= HOT_MAX ? w->live.data_bytes : w->live.arenas;
    /* Opened when the bytes, the constants among them, are the live ones. */
    disk_files_copy(&w->copy, &w->live);
    must(shmq_topic_open(w->copy_ns, TOPIC, &w->copy_topic), "open copy");
    must(shmq_topic_open(w->ns, TOPIC, &w->live_topic), "open live");
    return true;
}

/* No dead-letter topic, which the library then makes, or an empty one. */
static void dead_letters(const struct world *w)
{
    struct shmq_topic_attrs a = attrs_of(&w->config);
    a.ttl_ns = a.flags = 0;
    a.arena_bytes *= 4;
    if (a.ring == SHMQ_RING_MPMC)
        a.capacity_frames = 8 * SLOTS; /* nobody reads them */
    (void)shmq_topic_unlink(w->ns, DEAD_TOPIC, SHMQ_UNLINK_FORCE);
    if (!w->config.own)
        must(shmqi_topic_create_system(w->ns, DEAD_TOPIC, &a, 0),
            "dead letters");
}

/* It is the victim's child; a zombie that nobody waits for is dead enough. */
void world_no_prey(void)
{
    char path[64], line[256];
    if (page->prey == 0)
        return;
    (void)kill((pid_t)page->prey, SIGKILL);
    (void)snprintf(path, sizeof path, "/proc/%u/stat", page->prey);
    for (;;) {
        FILE *f = fopen(path, "re");
        bool there = f && fgets(line, sizeof line, f);
        if (f)
            (void)fclose(f);
        const char *state = there ? strrchr(line, ')') : NULL;
        if (!state || state[2] == 'Z' || state[2] == 'X')
            break;
        real_pause(50000);
    }
    page->prey = page->prey_ready = 0;
}

void world_restore(struct world *w)
{
    world_no_prey();
    if (w->config.first->flags & OP_INBOX)
        (void)shmq_inbox_sweep(w->ns, 0, NULL);
    disk_files_put(&w->live, w->base);
    if (w->live_disk)
        disk_rewind(w->live_disk);
    page->deadline = 0;
    page->alone = false;
    page->config = w->config;
    page->fill_cnt = w->own_cnt;
    page->sleeper = page->dead = 0;
    if (w->config.first->flags & (OP_DEAD | OP_TTL_DEAD))
        dead_letters(w);
    memcpy(page->ns, w->ns, sizeof page->ns);
    memcpy(page->before, w->pending, sizeof page->before);
    memset(&page->published, 0, sizeof page->published);
    memset(page->done, 0, sizeof page->done);
    memset(page->kept, 0, sizeof page->kept);
}

void world_free(struct world *w)
{
    shmq_topic_close(w->live_topic);
    shmq_topic_close(w->copy_topic);
    w->live_topic = w->copy_topic = NULL;
    shm_unmap(&w->live);
    shm_unmap(&w->copy);
    remove_live(w);
    remove_topic(w->copy_ns);
    disk_free(w->copy_disk);
    w->copy_disk = NULL;
    free(w->base);
    w->base = NULL;
}

void world_sweep(const char *ns)
{
    char prefix[64], path[512];
    DIR *dir = opendir("/dev/shm");
    int n = snprintf(prefix, sizeof prefix, "shmq.%s.", ns);
    if (!dir)
        return;
    for (struct dirent *e; (e = readdir(dir));)
        if (strncmp(e->d_name, prefix, (size_t)n) == 0) {
            (void)snprintf(path, sizeof path, "/dev/shm/%s", e->d_name);
            (void)unlink(path);
        }
    (void)closedir(dir);
    disk_sweep(ns);
}
