#define _GNU_SOURCE
#include "segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "files.h"
#include "frame.h"
#include "process.h"
#include "watermarks.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the layout is little-endian"
#endif

static struct shmqi_segment *segments;

/* -- plan ----------------------------------------------------------------- */

static uint64_t round_up(uint64_t v, uint64_t to)
{
    return (v + to - 1) & ~(to - 1);
}

static bool is_lg2(uint64_t v)
{
    return v != 0 && (v & (v - 1)) == 0;
}

static bool constants_legal(const struct shmqi_constants_shm *c)
{
    bool spsc = c->ring == SHMQ_RING_SPSC;
    if (c->ring != SHMQ_RING_MPMC && !spsc)
        return false;
    if (c->on_full < SHMQ_ON_FULL_BLOCK || c->on_full > SHMQ_ON_FULL_DROP_OLD)
        return false;
    if (!is_lg2(c->arena_bytes) || c->arena_bytes < 4096 ||
        c->arena_bytes > 8ull << 30)
        return false;
    if (c->max_producers < 1 || c->max_producers > 256 || c->max_groups < 1 ||
        c->max_groups > 256 || c->max_members < 1 || c->max_members > 512)
        return false;
    if (c->max_message_bytes > c->arena_bytes / 2 - 128)
        return false;
    if (((c->mode | c->data_mode) & ~0777u) != 0)
        return false;
    if (c->durability > SHMQ_DURABILITY_DISK ||
        (c->durability && c->on_full == SHMQ_ON_FULL_DROP_OLD))
        return false;
    if (spsc)
        return c->max_producers == 1 && c->cap_lg2 == 0 && c->claim_lg2 == 0;
    return c->cap_lg2 >= 1 && c->cap_lg2 <= 24 && c->claim_lg2 >= 1 &&
        c->claim_lg2 <= c->cap_lg2 &&
        c->arena_bytes * c->max_producers <= 16ull << 30;
}

bool shmqi_plan(const struct shmqi_constants_shm *c, struct shmqi_plan *p)
{
    if (!constants_legal(c))
        return false;
    bool spsc = c->ring == SHMQ_RING_SPSC;
    memset(p, 0, sizeof *p);
    p->arena_words = SHMQI_PAGE;
    p->slots = p->arena_words +
        round_up(c->max_producers * sizeof(struct shmqi_arena_shm), SHMQI_PAGE);
    uint64_t slot_bytes = spsc ? 0 : round_up(8ull << c->cap_lg2, SHMQI_PAGE);
    p->arenas = p->slots + slot_bytes;
    p->data_bytes = p->arenas + c->arena_bytes * c->max_producers;
    p->data_reserved = spsc ? p->data_bytes : p->arenas;

    p->endpoint_cnt = c->max_producers + c->max_members + SHMQI_ADMIN_ENDPOINTS;
    p->name_cnt = c->max_groups * SHMQI_NAMES_PER_GROUP;
    p->endpoints = SHMQI_PAGE;
    p->names =
        p->endpoints + p->endpoint_cnt * sizeof(struct shmqi_endpoint_shm);
    p->groups = round_up(
        p->names + p->name_cnt * sizeof(struct shmqi_name_shm), SHMQI_LINE);
    p->group_cnt = c->max_groups + SHMQI_SPARE_GROUPS;
    p->claims = round_up(
        p->groups + p->group_cnt * sizeof(struct shmqi_group_shm), SHMQI_PAGE);
    p->control_reserved = p->claims;
    p->control_bytes = p->claims;
    if (!spsc)
        p->control_bytes += ((uint64_t)p->group_cnt << c->claim_lg2) * 8;
    p->control_bytes = round_up(p->control_bytes, SHMQI_PAGE);
    if (c->flags & SHMQI_TOPIC_RESERVED) {
        p->data_reserved = p->data_bytes;
        p->control_reserved = p->control_bytes;
    }
    return p->endpoint_cnt <= SHMQI_ENDPOINTS_MAX;
}

void shmqi_ring_map(struct shmqi_ring *r, const struct shmqi_constants_shm *c,
    const struct shmqi_plan *p, void *data, void *control)
{
    uint8_t *d = data, *k = control;
    memset(r, 0, sizeof *r);
    r->data = data;
    r->control = control;
    r->slots = (shmqi_word *)(void *)(d + p->slots);
    r->arenas = (struct shmqi_arena_shm *)(void *)(d + p->arena_words);
    r->arena_base = d + p->arenas;
    r->endpoints = (struct shmqi_endpoint_shm *)(void *)(k + p->endpoints);
    r->names = (struct shmqi_name_shm *)(void *)(k + p->names);
    r->groups = (struct shmqi_group_shm *)(void *)(k + p->groups);
    r->claims = (shmqi_word *)(void *)(k + p->claims);
    r->arena_bytes = c->arena_bytes;
    r->arena_lg2 = (uint32_t)__builtin_ctzll(c->arena_bytes);
    r->ring = c->ring;
    r->on_full = c->on_full;
    r->cap_lg2 = c->cap_lg2;
    r->claim_lg2 = c->claim_lg2;
    r->producer_cnt = c->max_producers;
    r->member_cnt = c->max_members;
    r->endpoint_cnt = p->endpoint_cnt;
    r->group_cnt = p->group_cnt;
    r->group_limit = c->max_groups;
    r->name_cnt = p->name_cnt;
    r->max_message = c->max_message_bytes;
    r->start_seq = c->start_seq;
    r->ttl_ns = c->ttl_ns;
    r->flags = c->flags;
    r->gated_by = c->durability != SHMQ_DURABILITY_NONE ? SHMQI_GATED_BY_DRAIN
        : c->on_full == SHMQ_ON_FULL_DROP_OLD           ? SHMQI_GATED_BY_NOBODY
                                                        : SHMQI_GATED_BY_GROUPS;
}

/* -- opening --------------------------------------------------------------- */

static struct shmqi_segment *find(dev_t device, ino_t inode)
{
    for (struct shmqi_segment *s = segments; s; s = s->next)
        if (s->device == device && s->inode == inode)
            return s;
    return NULL;
}

static int check_constants(const struct shmqi_files *f,
    const struct shmqi_constants_shm *c, uint64_t magic, const char *what)
{
    if (c->magic != magic)
        return shmqi_fail(SHMQ_ERR_LAYOUT,
            "%s: the %s file is not a shmq topic; remove it or "
            "use another name",
            f->topic, what);
    if (c->layout_version != SHMQI_LAYOUT_VERSION || c->features != 0)
        return shmqi_fail(SHMQ_ERR_LAYOUT,
            "%s: layout version %u, this library knows %u; use "
            "matching programs, or remove the topic with --force",
            f->topic, c->layout_version, SHMQI_LAYOUT_VERSION);
    return SHMQ_OK;
}

/* Checks both headers against each other and against the files' sizes. */
static int check_files(struct shmqi_files *f, struct shmqi_plan *plan)
{
    int rc = check_constants(f, &f->data, SHMQI_MAGIC_DATA, "data");
    if (rc == SHMQ_OK)
        rc = check_constants(f, &f->control, SHMQI_MAGIC_CONTROL, "control");
    if (rc)
        return rc;
    if (memcmp(f->data.uuid, f->control.uuid, sizeof f->data.uuid) != 0)
        return SHMQ_ERR_STALE; /* recreated between the two opens */
    struct shmqi_constants_shm d = f->data, c = f->control;
    d.magic = c.magic = 0;
    d.file_bytes = c.file_bytes = 0;
    if (memcmp(&d, &c, sizeof d) != 0 || !shmqi_plan(&f->data, plan))
        return shmqi_fail(SHMQ_ERR_LAYOUT,
            "%s: its header is damaged; remove it with --force", f->topic);
    if (f->data_stat.st_size != (off_t)plan->data_bytes ||
        f->control_stat.st_size != (off_t)plan->control_bytes)
        return shmqi_fail(SHMQ_ERR_LAYOUT,
            "%s: a file is truncated; remove it with --force", f->topic);
    return SHMQ_OK;
}

static void unmap(struct shmqi_segment *s)
{
    shmqi_mapping_drop(&s->data_map);
    shmqi_mapping_drop(&s->control_map);
    shmqi_mapping_drop(&s->marks_map);
}

/* Maps the pages of [at, at + bytes) now; best effort. */
static void prefault(void *at, size_t bytes, bool writable)
{
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
    if (madvise(at, bytes,
            writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ) == 0)
        return;
    const volatile uint8_t *p = at; /* before Linux 5.14 */
    for (size_t i = 0; i < bytes; i += SHMQI_PAGE)
        (void)p[i];
}

/* The memory is reserved (the plan sees to it), so no page can be missing. */
int shmqi_segment_settle(struct shmqi_segment *s)
{
    const uint32_t flags = s->constants.flags;
    if (flags & SHMQ_TOPIC_HUGE) {
        (void)madvise(s->data_map.at, s->data_map.bytes, MADV_HUGEPAGE);
        (void)madvise(s->control_map.at, s->control_map.bytes, MADV_HUGEPAGE);
    }
    if (flags & SHMQI_TOPIC_RESERVED) {
        prefault(s->data_map.at, s->data_map.bytes, s->data_writable);
        prefault(s->control_map.at, s->control_map.bytes, true);
    }
    if ((flags & SHMQ_TOPIC_MLOCK) &&
        (mlock(s->data_map.at, s->data_map.bytes) != 0 ||
            mlock(s->control_map.at, s->control_map.bytes) != 0))
        return shmqi_fail(SHMQ_ERR_LIMIT,
            "%s: cannot lock %llu bytes in memory; raise the limit of locked "
            "memory (ulimit -l)",
            s->topic,
            (unsigned long long)(s->data_map.bytes + s->control_map.bytes));
    return SHMQ_OK;
}

/* The watermarks of a durable topic. STALE: they belong to another ring. */
static int map_marks(struct shmqi_segment *s, const struct shmqi_files *f,
    const struct shmqi_plan *plan)
{
    struct shmqi_marks_constants_shm c;
    int fd = -1;
    if (f->data.durability == SHMQ_DURABILITY_NONE)
        return SHMQ_OK;
    int rc = shmqi_marks_open(
        f->ns, f->topic, f->data.uuid, plan->group_cnt, false, &c, &fd);
    if (rc)
        return rc;
    int err = shmqi_mapping_make(&s->marks_map, fd,
        shmqi_marks_bytes(plan->group_cnt), false, &s->ring.broken);
    (void)close(fd);
    if (err)
        return shmqi_fail_sys(
            err, "%s: cannot map the watermark file", f->topic);
    (void)memcpy(s->topic_uuid, c.topic_uuid, sizeof s->topic_uuid);
    return SHMQ_OK;
}

static int map(struct shmqi_segment *s, const struct shmqi_files *f,
    const struct shmqi_plan *plan)
{
    _Atomic uint32_t *broken = &s->ring.broken;
    int err = shmqi_mapping_make(
        &s->data_map, f->data_fd, plan->data_bytes, f->data_writable, broken);
    if (err)
        return shmqi_fail_sys(err, "%s: cannot map the data file", f->topic);
    err = shmqi_mapping_make(
        &s->control_map, f->control_fd, plan->control_bytes, true, broken);
    if (err) {
        unmap(s);
        return shmqi_fail_sys(err, "%s: cannot map the control file", f->topic);
    }
    int rc = map_marks(s, f, plan);
    if (rc) {
        unmap(s);
        return rc;
    }
    void *d = s->data_map.at, *c = s->control_map.at;
    /* A core dump of one user of a topic is no place for the others' data. */
    (void)madvise(d, s->data_map.bytes, MADV_DONTDUMP);
    (void)madvise(c, s->control_map.bytes, MADV_DONTDUMP);
    shmqi_ring_map(&s->ring, &f->data, plan, d, c);
    s->ring.marks = s->marks_map.at;
    return SHMQ_OK;
}

int shmqi_segment_fail_broken(const struct shmqi_segment *s)
{
    return shmqi_fail(SHMQ_ERR_CORRUPT,
        "%s: another process cut its files short; close it, remove the topic "
        "with --force, and look who may write it",
        s->topic);
}

static bool is_file(int fd, dev_t device, ino_t inode)
{
    struct stat st;
    return fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == device &&
        st.st_ino == inode;
}

static int reopen(const struct shmqi_segment *s, char kind, dev_t device,
    ino_t inode, int mode)
{
    char path[SHMQI_PATH_MAX];
    shmqi_path(path, s->ns, kind, s->topic);
    int fd = open(path, mode | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (is_file(fd, device, inode))
        return fd;
    if (fd >= 0)
        (void)close(fd); /* a topic of the same name, made since */
    return -1;
}

static void lock_anew(const struct shmqi_segment *s)
{
    for (uint32_t i = 0; i < s->ring.endpoint_cnt; i++) {
        struct flock l;
        memset(&l, 0, sizeof l);
        l.l_type = F_WRLCK;
        l.l_whence = SEEK_SET;
        l.l_start = (off_t)s->own[i];
        l.l_len = 1;
        if (s->own[i] != 0)
            (void)fcntl(s->control_fd, F_SETLK, &l);
    }
}

int shmqi_segment_control_fd(struct shmqi_segment *s)
{
    shmqi_process_lock();
    if (!is_file(s->control_fd, s->device, s->inode)) {
        s->control_fd = reopen(s, 'c', s->device, s->inode, O_RDWR);
        s->spare_fd = -1;
        if (s->control_fd >= 0)
            lock_anew(s);
    }
    int fd = s->control_fd;
    shmqi_process_unlock();
    return fd;
}

int shmqi_segment_data_fd(struct shmqi_segment *s)
{
    shmqi_process_lock();
    if (!is_file(s->data_fd, s->data_device, s->data_inode))
        s->data_fd = reopen(s, 'd', s->data_device, s->data_inode,
            s->data_writable ? O_RDWR : O_RDONLY);
    int fd = s->data_fd;
    shmqi_process_unlock();
    return fd;
}

/* Loaded once, and only as far as it is text. */
static void read_schema(struct shmqi_segment *s)
{
    char raw[SHMQI_SCHEMA_ROOM];
    uint32_t n = 0;
    shmqi_copy_racy(raw, (const uint8_t *)s->ring.data->schema, sizeof raw);
    while (n < SHMQ_SCHEMA_MAX && raw[n] > ' ' && raw[n] < 0x7f)
        n++;
    memcpy(s->schema, raw, n);
    s->schema[n] = '\0';
}

int shmqi_segment_reserve(int fd, uint64_t at, uint64_t bytes)
{
#ifdef SHMQ_BUG_RESERVE_GROWS
    return posix_fallocate(fd, (off_t)at, (off_t)bytes);
#endif
    int rc = fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)bytes);
    return rc == 0 ? 0 : errno;
}

static int add(struct shmqi_files *f, const struct shmqi_plan *plan,
    struct shmqi_segment **ret)
{
    struct shmqi_segment *s = calloc(1, sizeof *s);
    uint64_t *own = calloc(plan->endpoint_cnt, 3 * sizeof *own);
    int rc = SHMQ_ERR_NOMEM;
    if (s && own)
        rc = map(s, f, plan);
    else
        (void)shmqi_fail(rc, "%s: no memory", f->topic);
    if (rc) {
        free(s);
        free(own);
        return rc;
    }
    s->constants = f->data;
    read_schema(s);
    s->own = own;
    s->init_seen = own + plan->endpoint_cnt;
    (void)strcpy(s->ns, f->ns);
    (void)strcpy(s->topic, f->topic);
    s->device = f->control_stat.st_dev;
    s->inode = f->control_stat.st_ino;
    s->data_device = f->data_stat.st_dev;
    s->data_inode = f->data_stat.st_ino;
    s->owner = f->data_stat.st_uid;
    s->control_fd = f->control_fd;
    s->spare_fd = -1;
    s->data_fd = f->data_fd;
    s->data_writable = f->data_writable;
    s->control_mode = f->control_stat.st_mode & 0777;
    s->data_mode = f->data_stat.st_mode & 0777;
    s->untrusted_members = (s->control_mode & ~s->data_mode & 0022) != 0 ||
        f->control_stat.st_uid != f->data_stat.st_uid ||
        ((s->control_mode & 0020) != 0 &&
            f->control_stat.st_gid != f->data_stat.st_gid);
    s->owner_only = (s->control_mode & 0022) == 0;
#ifdef SHMQ_BUG_VIEWS_FOR_ALL
    s->untrusted_members = false;
#endif
#ifdef SHMQ_BUG_DEAD_LETTER_TRUSTED
    s->owner_only = true;
#endif
    s->refs = 1;
    s->next = segments;
    segments = s;
    f->control_fd = f->data_fd = -1; /* the segment's now */
    *ret = s;
    return SHMQ_OK;
}

static void unlist(struct shmqi_segment *s)
{
    struct shmqi_segment **at = &segments;
    while (*at && *at != s)
        at = &(*at)->next;
    if (*at)
        *at = s->next;
}

/* The segment of this inode, if this process may go on with it. What a fork
 * child inherited is not: the parent's maps stay for its views, but the child
 * opens with its own rights. */
static struct shmqi_segment *find_usable(dev_t device, ino_t inode)
{
    struct shmqi_segment *s = find(device, inode);
    if (!s || !s->inherited)
        return s;
    unlist(s);
    return NULL;
}

/* One try. STALE: the topic was replaced in the middle; try again. */
static int open_once(struct shmqi_files *f, struct shmqi_segment **ret)
{
    struct shmqi_plan plan;
    struct stat st;
    int rc = shmqi_files_open_data(f);
    if (rc)
        return rc;
    /* Look before opening: a second descriptor of a control file that this
     * process has open must never be closed. */
    struct shmqi_segment *s = NULL;
    if (shmqi_files_stat_control(f, &st) == 0)
        s = find_usable(st.st_dev, st.st_ino);
    if (s) {
        if (memcmp(s->constants.uuid, f->data.uuid, sizeof f->data.uuid) != 0)
            return SHMQ_ERR_STALE;
        s->refs++;
        *ret = s;
        return SHMQ_OK;
    }
    rc = shmqi_files_open_control(f);
    if (rc)
        return rc;
    s = find_usable(f->control_stat.st_dev, f->control_stat.st_ino);
    if (s) { /* it got its name between look and open */
        if (s->spare_fd < 0)
            s->spare_fd = f->control_fd;
        f->control_fd = -1;
        s->refs++;
        *ret = s;
        return SHMQ_OK;
    }
    rc = check_files(f, &plan);
    return rc ? rc : add(f, &plan, ret);
}

int shmqi_segment_open(
    const char *ns, const char *topic, struct shmqi_segment **ret)
{
    struct shmqi_files f;
    int rc = SHMQ_ERR_STALE;
    for (int i = 0; i < 64 && rc == SHMQ_ERR_STALE; i++) {
        rc = shmqi_files_init(&f, ns, topic);
        if (rc)
            return rc;
        shmqi_process_lock();
        rc = open_once(&f, ret);
        shmqi_files_close(&f);
        shmqi_process_unlock();
        if (rc == SHMQ_ERR_STALE)
            (void)usleep(1000); /* rename-free replacement takes that long */
    }
    if (rc == SHMQ_ERR_STALE)
        return shmqi_fail(SHMQ_ERR_LAYOUT,
            "%s: its two files do not belong together; remove "
            "it with --force",
            f.topic);
    if (rc == SHMQ_OK && shmqi_segment_broken(*ret)) {
        rc = shmqi_segment_fail_broken(*ret);
        shmqi_segment_unref(*ret);
        *ret = NULL;
    }
    return rc;
}

void shmqi_segment_ref(struct shmqi_segment *s)
{
    shmqi_process_lock();
    s->refs++;
    shmqi_process_unlock();
}

static void remove_segment(struct shmqi_segment *s)
{
    unlist(s);
    unmap(s);
    if (is_file(s->control_fd, s->device, s->inode))
        (void)close(s->control_fd);
    if (is_file(s->data_fd, s->data_device, s->data_inode))
        (void)close(s->data_fd);
    if (is_file(s->spare_fd, s->device, s->inode))
        (void)close(s->spare_fd);
    free(s->own);
    free(s);
}

void shmqi_segment_unref(struct shmqi_segment *s)
{
    shmqi_process_lock();
    if (--s->refs == 0 && !s->inherited)
        remove_segment(s);
    shmqi_process_unlock();
}

void shmqi_segments_inherited(void)
{
    for (struct shmqi_segment *s = segments; s; s = s->next) {
        s->inherited = true;
        s->refs = 0;
        memset(s->own, 0, s->ring.endpoint_cnt * sizeof *s->own);
    }
}
