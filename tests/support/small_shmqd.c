#define _GNU_SOURCE
#include "small_shmqd.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log_format.h"
#include "support.h"

#define SEGMENT_BYTES (8ull << 20)

static void path_of(const struct small *s, uint64_t no, char ret[192])
{
    char name[SHMQI_LOG_NAME_ROOM];
    shmqi_log_segment_name(no, ".seg", name);
    (void)snprintf(ret, 192, "%s/%s", s->dir, name);
}

void small_roll(struct small *s)
{
    struct shmqi_log_segment h;
    uint8_t block[SHMQI_LOG_BLOCK] = {0};
    char path[192];
    uint64_t start = s->drain ? shmqi_drain_start(s->drain) : 0;
    if (s->fd >= 0)
        (void)close(s->fd);
    memset(&h, 0, sizeof h);
    h.major = SHMQI_LOG_MAJOR;
    memcpy(h.topic_uuid, s->topic_uuid, 16);
    h.segment_no = ++s->segment_no;
    h.prev_end_pos = s->end;
    h.base_pos = s->end > start ? s->end : start;
    h.salt = s->salt = 77 + s->segment_no;
    h.epoch = s->epoch;
    h.prev_crc = s->segment_no == 1 ? 0 : s->prev_crc;
    h.created_ns = t_wall_ns();
    h.max_ts_ns = s->max_ts;
    h.capacity = s->segment_bytes;
    h.kind = s->attrs.ring == SHMQ_RING_SPSC ? SHMQI_LOG_SPSC : SHMQI_LOG_MPMC;
    (void)strcpy(h.writer, "small");
    shmqi_log_segment_encode(&h, block);
    path_of(s, s->segment_no, path);
    s->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    T_TRUE(s->fd >= 0);
    T_TRUE(pwrite(s->fd, block, sizeof block, 0) == (ssize_t)sizeof block);
    s->prev_crc = h.crc;
    s->offset = SHMQI_LOG_BLOCK;
    s->begin[s->segment_no] = h.base_pos;
}

static void write_batch(struct small *s, const struct shmqi_portion *p)
{
    struct shmqi_log_batch b;
    uint64_t total = shmqi_log_batch_total(p->bytes);
    if (s->offset + total > s->segment_bytes)
        small_roll(s);
    memset(&b, 0, sizeof b);
    b.total_bytes = (uint32_t)total;
    b.payload_bytes = (uint32_t)p->bytes;
    b.base_pos = p->base_pos;
    b.end_pos = p->end_pos;
    b.prev_end_pos = s->end;
    b.durable_pos = s->durable < p->base_pos ? s->durable : p->base_pos;
    b.first_ts_ns = p->first_ts_ns;
    if (p->max_ts_ns > s->max_ts)
        s->max_ts = p->max_ts_ns;
    b.max_ts_ns = s->max_ts;
    b.epoch = s->epoch;
    b.prev_crc = s->prev_crc;
    b.record_cnt = p->record_cnt;
    b.frame_cnt = p->frame_cnt;
    b.block = (uint32_t)(s->offset / SHMQI_LOG_BLOCK);
    uint8_t *payload = s->buf + SHMQI_LOG_BATCH_HEAD;
    b.data_crc = shmqi_log_data_crc(payload, p->bytes);
    shmqi_log_batch_encode(&b, s->salt, s->buf);
    memset(payload + p->bytes, 0, total - SHMQI_LOG_BATCH_HEAD - p->bytes);
    T_TRUE(pwrite(s->fd, s->buf, total, (off_t)s->offset) == (ssize_t)total);
    s->prev_crc = b.hdr_crc;
    s->offset += total;
    s->end = s->written = p->end_pos;
}

void small_flush(struct small *s)
{
    s->durable = s->written;
    shmqi_drain_raise(s->drain, s->written, s->durable);
}

int small_take(struct small *s, uint64_t *frames)
{
    struct shmqi_portion p;
    struct shmq_gap gap;
    int rc = shmqi_drain_take(s->drain, s->buf + SHMQI_LOG_BATCH_HEAD,
        s->cap - SHMQI_LOG_BLOCK - SHMQI_LOG_BATCH_HEAD, &p, &gap);
    if (rc != SHMQ_OK)
        return rc;
    write_batch(s, &p);
    *frames += p.frame_cnt;
    if (s->lazy)
        shmqi_drain_raise(s->drain, s->written, s->durable);
    else
        small_flush(s);
    return rc;
}

uint64_t small_turn(struct small *s)
{
    uint64_t frames = 0;
    int rc;
    do
        rc = small_take(s, &frames);
    while (rc == SHMQ_OK || rc == SHMQ_ERR_GAP);
    return frames;
}

void small_journal(struct small *s)
{
    (void)shmqi_drain_commits(s->drain);
    bool all;
    s->group_cnt = shmqi_drain_groups(s->drain, s->groups, 64, &all);
    shmqi_drain_journaled(s->drain, s->groups, s->group_cnt);
}

/* -- life ---------------------------------------------------------------- */

static void serve(struct small *s)
{
    T_OK(shmqi_drain_open(t_ns, s->topic, &s->drain));
    shmqi_drain_seek(s->drain, s->end);
    shmqi_drain_set_state(s->drain, SHMQ_DURABLE_OK);
}

static void make(struct small *s, uint64_t start)
{
    struct shmqi_durable_make m;
    memset(&m, 0, sizeof m);
    m.ns = t_ns;
    m.topic = s->topic;
    m.attrs = &s->attrs;
    memcpy(m.topic_uuid, s->topic_uuid, sizeof m.topic_uuid);
    m.start = start;
    m.earliest = s->begin[s->low_no];
    m.dir = s->dir;
    T_OK(shmqi_durable_create(&m));
}

struct small *small_start(
    const char *topic, const struct shmq_topic_attrs *attrs)
{
    return small_start_at(topic, attrs, 0);
}

struct small *small_start_at(
    const char *topic, const struct shmq_topic_attrs *attrs, uint64_t start)
{
    struct small *s = calloc(1, sizeof *s);
    T_TRUE(s != NULL);
    (void)snprintf(s->topic, sizeof s->topic, "%s", topic);
    (void)snprintf(s->dir, sizeof s->dir, "/tmp/shmq-test-%s-XXXXXX", t_ns);
    T_TRUE(mkdtemp(s->dir) != NULL);
    s->attrs = *attrs;
    if (s->attrs.durability == SHMQ_DURABILITY_NONE)
        s->attrs.durability = SHMQ_DURABILITY_DISK;
    s->topic_uuid[0] = 0x1122334455667788ull;
    s->topic_uuid[1] = (uint64_t)getpid();
    s->fd = -1;
    s->low_no = 1;
    s->epoch = 1;
    s->segment_bytes = SEGMENT_BYTES;
    s->end = s->written = s->durable = s->begin[s->low_no] = start;
    make(s, start);
    serve(s);
    s->cap = shmqi_drain_frame_max(s->drain) + (256u << 10);
    s->buf = malloc(s->cap);
    T_TRUE(s->buf != NULL);
    small_roll(s);
    return s;
}

void small_kill(struct small *s)
{
    small_stop(s);
    shmqi_drain_close(s->drain);
    s->drain = NULL;
}

void small_again(struct small *s)
{
    serve(s);
    s->epoch++;
    small_roll(s);
}

void small_reboot(struct small *s)
{
    small_stop(s);
    if (s->drain)
        small_kill(s);
    T_OK(shmq_topic_unlink(t_ns, s->topic, SHMQ_UNLINK_FORCE));
    if (s->attrs.durability == SHMQ_DURABILITY_DISK)
        s->end = s->durable;
    make(s, shmqi_durable_start(&s->attrs, s->end));
    serve(s);
    s->epoch++;
    small_roll(s);
    s->end = shmqi_drain_start(s->drain);
    for (uint32_t i = 0; i < s->group_cnt; i++)
        T_OK(shmqi_drain_restore(s->drain, &s->groups[i]));
}

void small_retain(struct small *s, uint64_t keep)
{
    char path[192];
    while (s->segment_no - s->low_no + 1 > keep) {
        path_of(s, s->low_no++, path);
        T_TRUE(unlink(path) == 0);
    }
    shmqi_drain_set_earliest(s->drain, s->begin[s->low_no]);
}

void small_end(struct small *s)
{
    char path[192];
    if (s->drain)
        small_kill(s);
    if (s->fd >= 0)
        (void)close(s->fd);
    for (uint64_t no = s->low_no; no <= s->segment_no; no++) {
        path_of(s, no, path);
        (void)unlink(path);
    }
    (void)rmdir(s->dir);
    free(s->buf);
    free(s);
}

/* -- by itself ----------------------------------------------------------- */

static void *work(void *arg)
{
    struct small *s = arg;
    while (atomic_load(&s->go)) {
        if (small_turn(s) == 0)
            (void)usleep(200);
        small_journal(s);
    }
    return NULL;
}

void small_run(struct small *s)
{
    atomic_store(&s->go, 1);
    s->running = true;
    T_TRUE(pthread_create(&s->thread, NULL, work, s) == 0);
}

void small_stop(struct small *s)
{
    if (!s->running)
        return;
    atomic_store(&s->go, 0);
    (void)pthread_join(s->thread, NULL);
    s->running = false;
}
