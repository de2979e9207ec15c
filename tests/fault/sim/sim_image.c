/* sim_image.c - images, replay, and reading an image as files. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim_disk.h"

void sim_image_init(struct sim_image *m)
{
    memset(m, 0, sizeof *m);
    m->inode_cnt = 1;
    m->inodes[0].used = m->inodes[0].dir = true;
}

static uint8_t *data_of(struct sim_inode *n)
{
    if (!n->data)
        n->data = calloc(1, SIM_FILE_MAX);
    assert(n->data);
    return n->data;
}

void sim_image_copy(struct sim_image *to, const struct sim_image *from)
{
    for (int i = 0; i < from->inode_cnt; i++) {
        const struct sim_inode *a = &from->inodes[i];
        struct sim_inode *b = &to->inodes[i];
        b->used = a->used;
        b->dir = a->dir;
        b->size = a->size;
        if (a->high || b->high) {
            uint8_t *data = data_of(b);
            if (a->high)
                memcpy(data, a->data, a->high);
            if (b->high > a->high)
                memset(data + a->high, 0, b->high - a->high);
        }
        b->high = a->high;
    }
    for (int i = from->inode_cnt; i < to->inode_cnt; i++) {
        struct sim_inode *b = &to->inodes[i];
        if (b->high)
            memset(b->data, 0, b->high);
        b->used = false;
        b->size = b->high = 0;
    }
    memcpy(to->names, from->names, sizeof *to->names * (size_t)from->name_cnt);
    to->inode_cnt = from->inode_cnt;
    to->name_cnt = from->name_cnt;
}

void sim_image_free(struct sim_image *m)
{
    for (int i = 0; i < SIM_INODES; i++)
        free(m->inodes[i].data);
    memset(m, 0, sizeof *m);
}

uint64_t sim_image_hash(const struct sim_image *m)
{
    uint64_t h = 0xcbf29ce484222325ull, word;
    for (int i = 0; i < m->name_cnt; i++) {
        const struct sim_name *n = &m->names[i];
        if (n->inode < 0)
            continue;
        const struct sim_inode *f = &m->inodes[n->inode];
        for (const char *p = n->name; *p; p++)
            h = (h ^ (uint8_t)*p) * 0x100000001b3ull;
        h = (h ^ f->size) * 0x100000001b3ull;
        for (uint32_t off = 0; off + 8 <= f->high; off += 8) {
            memcpy(&word, f->data + off, 8);
            if (word)
                h = (h ^ word ^ off) * 0x9e3779b97f4a7c15ull, h ^= h >> 29;
        }
    }
    return h;
}

int sim_image_find(const struct sim_image *m, int dir, const char *name)
{
    for (int i = 0; i < m->name_cnt; i++)
        if (m->names[i].inode >= 0 && m->names[i].dir == dir &&
            strcmp(m->names[i].name, name) == 0)
            return i;
    return -1;
}

static void remove_name(struct sim_image *m, int dir, const char *name)
{
    int i = sim_image_find(m, dir, name);
    if (i >= 0)
        m->names[i].inode = -1;
}

static void set_name(struct sim_image *m, int dir, const char *name, int inode)
{
    int i = sim_image_find(m, dir, name);
    for (int k = 0; i < 0 && k < m->name_cnt; k++)
        if (m->names[k].inode < 0)
            i = k;
    if (i < 0) {
        assert(m->name_cnt < SIM_NAMES);
        i = m->name_cnt++;
    }
    m->names[i].dir = dir;
    m->names[i].inode = inode;
    strcpy(m->names[i].name, name);
}

/* -- the reader's files
 * -------------------------------------------------------- */

static int image_list(
    void *ctx, int dir, int (*each)(void *arg, const char *name), void *arg)
{
    const struct sim_image *m = ctx;
    int err = 0;
    for (int i = 0; i < m->name_cnt && !err; i++)
        if (m->names[i].inode >= 0 && m->names[i].dir == dir)
            err = each(arg, m->names[i].name);
    return err;
}

static int image_open(void *ctx, int dir, const char *name)
{
    const struct sim_image *m = ctx;
    int i = sim_image_find(m, dir, name);
    return i < 0 ? -ENOENT : m->names[i].inode;
}

static int64_t image_read(
    void *ctx, int fd, void *buf, size_t len, uint64_t off)
{
    const struct sim_image *m = ctx;
    const struct sim_inode *n = &m->inodes[fd];
    if (off >= n->size)
        return 0;
    if (len > n->size - off)
        len = (size_t)(n->size - off);
    size_t have = off < n->high ? n->high - (size_t)off : 0;
    if (have > len)
        have = len;
    if (have)
        memcpy(buf, n->data + off, have);
    memset((uint8_t *)buf + have, 0, len - have);
    return (int64_t)len;
}

static void image_close(void *ctx, int fd)
{
    (void)ctx, (void)fd;
}

static void image_direct(void *ctx, int fd, bool past_the_cache)
{
    (void)ctx, (void)fd, (void)past_the_cache;
}

const struct shmqi_log_files sim_files = {
    image_list, image_open, image_read, image_close, image_direct};

/* -- replay
 * ---------------------------------------------------------------------- */

void sim_replay_init(struct sim_replay *r, const struct sim_image *image)
{
    memset(r, 0, sizeof *r);
    sim_image_init(&r->base);
    sim_image_copy(&r->base, image);
}

void sim_replay_free(struct sim_replay *r)
{
    sim_image_free(&r->base);
}

static void set_size(struct sim_image *m, int inode, uint64_t size)
{
    struct sim_inode *n = &m->inodes[inode];
    assert(size <= SIM_FILE_MAX);
    if (size < n->high) {
        memset(n->data + size, 0, n->high - (size_t)size);
        n->high = (uint32_t)size;
    }
    n->size = (uint32_t)size;
}

void sim_unit_apply(struct sim_image *m, const struct sim_unit *u, bool torn)
{
    struct sim_inode *n;
    const struct sim_event *e = u->event;
    switch (u->kind) {
    case SIM_UNIT_SECTOR:
        n = &m->inodes[u->inode];
        memcpy(
            data_of(n) + u->off, u->data, torn ? SIM_SECTOR / 2 : SIM_SECTOR);
        if (n->high < u->off + SIM_SECTOR)
            n->high = (uint32_t)u->off + SIM_SECTOR;
        if (n->size < u->off + SIM_SECTOR)
            n->size = (uint32_t)u->off + SIM_SECTOR;
        break;
    case SIM_UNIT_SIZE:
        set_size(m, u->inode, u->off);
        break;
    case SIM_UNIT_NAME:
        if (e->kind == SIM_RENAME)
            remove_name(m, e->dir, e->from);
        if (e->kind == SIM_UNLINK)
            remove_name(m, e->dir, e->name);
        else
            set_name(m, e->dir, e->name, e->inode);
        break;
    }
}

static struct sim_unit *add_unit(struct sim_replay *r, enum sim_unit_kind kind)
{
    if (r->unit_cnt == SIM_UNITS) {
        r->overflow = true;
        return &r->units[SIM_UNITS - 1];
    }
    struct sim_unit *u = &r->units[r->unit_cnt++];
    memset(u, 0, sizeof *u);
    u->kind = kind;
    u->write_id = u->sync_id = -1;
    return u;
}

/* Sectors that would change nothing whatever happens are no units. */
static bool changes(
    const struct sim_replay *r, int inode, uint64_t off, const uint8_t *data)
{
    static const uint8_t zeros[SIM_SECTOR];
    const struct sim_inode *n = &r->base.inodes[inode];
    for (int i = 0; i < r->unit_cnt; i++)
        if (r->units[i].kind == SIM_UNIT_SECTOR && r->units[i].inode == inode &&
            r->units[i].off == off)
            return true;
    const uint8_t *old = off < n->high ? n->data + off : zeros;
    return memcmp(old, data, SIM_SECTOR) != 0;
}

static void add_write(struct sim_replay *r, const struct sim_event *e)
{
    for (uint64_t at = 0; at + SIM_SECTOR <= e->len; at += SIM_SECTOR) {
        if (!changes(r, e->inode, e->off + at, e->data + at))
            continue;
        struct sim_unit *u = add_unit(r, SIM_UNIT_SECTOR);
        u->write_id = e->id;
        u->inode = e->inode;
        u->off = e->off + at;
        u->data = e->data + at;
    }
}

/* What came before a durable unit at the same place cannot come back. */
static void drop_older(
    struct sim_replay *r, int *kept, const struct sim_unit *u)
{
    int n = 0;
    for (int i = 0; i < *kept; i++)
        if (u->kind != SIM_UNIT_SECTOR || r->units[i].kind != u->kind ||
            r->units[i].inode != u->inode || r->units[i].off != u->off)
            r->units[n++] = r->units[i];
    *kept = n;
}

/* The units of that sync, or of that write as far as it came, go into the base,
 * in their order. */
static void make_durable(struct sim_replay *r, int sync_id, int write_id)
{
    int kept = 0;
    for (int i = 0; i < r->unit_cnt; i++) {
        struct sim_unit u = r->units[i];
        bool durable = !u.lost &&
            ((sync_id >= 0 && u.sync_id == sync_id) ||
                (write_id >= 0 && u.write_id == write_id && u.done));
        if (durable) {
            drop_older(r, &kept, &u);
            sim_unit_apply(&r->base, &u, false);
        } else {
            r->units[kept++] = u;
        }
    }
    r->unit_cnt = kept;
}

static void begin_sync(struct sim_replay *r, const struct sim_event *e)
{
    for (int i = 0; i < r->unit_cnt; i++) {
        struct sim_unit *u = &r->units[i];
        bool mine = u->kind == SIM_UNIT_NAME ? u->event->dir == e->inode
                                             : u->inode == e->inode;
        if (mine && u->done && u->sync_id < 0)
            u->sync_id = e->id;
    }
}

static void end_sync(struct sim_replay *r, const struct sim_event *e)
{
    if (e->ok) {
        make_durable(r, e->id, -1);
        return;
    }
    for (int i = 0; i < r->unit_cnt; i++)
        if (r->units[i].sync_id == e->id) {
            r->units[i].lost = true; /* thrown away, and marked as clean */
            r->units[i].sync_id = -1;
        }
}

void sim_replay_step(struct sim_replay *r, const struct sim_event *e)
{
    struct sim_unit *u;
    if (e->inode >= r->base.inode_cnt && e->inode < SIM_INODES) {
        r->base.inode_cnt = e->inode + 1;
        r->base.inodes[e->inode].used = true;
        r->base.inodes[e->inode].dir = e->kind == SIM_CREATE && e->value;
    }
    switch (e->kind) {
    case SIM_WRITE_BEGIN:
        add_write(r, e);
        break;
    case SIM_WRITE_END:
        for (int i = 0; i < r->unit_cnt; i++)
            if (r->units[i].write_id == e->id &&
                r->units[i].off < e->off + e->len)
                r->units[i].done = true; /* the rest may be there for ever */
        if (e->dsync)
            make_durable(r, -1, e->id);
        break;
    case SIM_SYNC_BEGIN:
        begin_sync(r, e);
        break;
    case SIM_SYNC_END:
        end_sync(r, e);
        break;
    case SIM_SYNC_GONE:
        for (int i = 0; i < r->unit_cnt; i++)
            if (r->units[i].sync_id == e->id)
                r->units[i].sync_id = -1;
        break;
    case SIM_SIZE:
        u = add_unit(r, SIM_UNIT_SIZE);
        u->inode = e->inode;
        u->off = e->off;
        u->done = true;
        break;
    case SIM_CREATE:
    case SIM_RENAME:
    case SIM_UNLINK:
        u = add_unit(r, SIM_UNIT_NAME);
        u->inode = -1;
        u->event = e;
        u->done = true;
        break;
    case SIM_MARK:
        break;
    }
}
