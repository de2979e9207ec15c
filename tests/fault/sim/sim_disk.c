/* sim_disk.c - the simulated disk as a back end. */
#include "sim_disk.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PENDING 64

struct sim_disk {
    struct shmqd_io io;
    struct sim_faults faults;
    struct sim_image now; /* what a reader sees */
    struct sim_trace *trace;
    struct shmqd_io_op *pending[PENDING];
    int begun[PENDING]; /* ids */
    uint64_t calls, rng;
    int next_id;
    bool keep;
    uint8_t *stale; /* content that new blocks may expose */
    uint32_t stale_bytes;
};

static uint64_t next_random(struct sim_disk *d)
{
    d->rng ^= d->rng << 13;
    d->rng ^= d->rng >> 7;
    d->rng ^= d->rng << 17;
    return d->rng;
}

static struct sim_event *note(struct sim_disk *d, enum sim_event_kind kind)
{
    struct sim_trace *t = d->trace;
    if (t->cnt == t->room) {
        t->room = t->room ? 2 * t->room : 256;
        t->events = realloc(t->events, t->room * sizeof *t->events);
        assert(t->events);
    }
    struct sim_event *e = &t->events[t->cnt++];
    memset(e, 0, sizeof *e);
    e->kind = kind;
    e->inode = -1;
    e->id = -1;
    e->ok = true;
    return e;
}

static const uint8_t *keep_bytes(
    struct sim_trace *t, const void *bytes, size_t len)
{
    if (t->blob_cnt == t->blob_room) {
        t->blob_room = t->blob_room ? 2 * t->blob_room : 64;
        t->blobs = realloc(t->blobs, t->blob_room * sizeof *t->blobs);
        assert(t->blobs);
    }
    size_t room = (len + SIM_SECTOR - 1) / SIM_SECTOR * SIM_SECTOR;
    uint8_t *copy = calloc(1, room ? room : 1);
    assert(copy);
    memcpy(copy, bytes, len);
    t->blobs[t->blob_cnt++] = copy;
    return copy;
}

void sim_trace_free(struct sim_trace *t)
{
    for (size_t i = 0; i < t->blob_cnt; i++)
        free(t->blobs[i]);
    free(t->blobs);
    free(t->events);
    memset(t, 0, sizeof *t);
}

/* Counts a call; the errno with which it has to fail, or 0. */
static int fault(struct sim_disk *d, bool data)
{
    const struct sim_faults *f = &d->faults;
    if (f->fail_data && !data)
        return 0;
    d->calls++;
    if (f->fail_at == 0 || d->calls < f->fail_at)
        return 0;
    return d->calls == f->fail_at || f->fail_on ? -f->err : 0;
}

/* -- control path
 * -------------------------------------------------------------- */

static int sim_open_root(struct shmqd_io *io, const char *dir)
{
    (void)io, (void)dir;
    return 0;
}

static int new_inode(struct sim_disk *d, bool dir)
{
    assert(d->now.inode_cnt < SIM_INODES);
    int i = d->now.inode_cnt++;
    struct sim_inode *n = &d->now.inodes[i];
    assert(n->high == 0);
    n->used = true;
    n->dir = dir;
    n->size = 0;
    return i;
}

static void note_name(struct sim_disk *d, enum sim_event_kind kind, int dir,
    const char *from, const char *name, int inode, bool is_dir)
{
    struct sim_event *e = note(d, kind);
    struct sim_unit u = {.kind = SIM_UNIT_NAME};
    e->dir = dir;
    e->inode = inode;
    e->value = is_dir;
    assert(strlen(name) < sizeof e->name);
    strcpy(e->name, name);
    if (from)
        strcpy(e->from, from);
    u.event = e;
    sim_unit_apply(&d->now, &u, false);
}

static int sim_open(
    struct shmqd_io *io, int dir, const char *name, unsigned flags)
{
    struct sim_disk *d = (struct sim_disk *)io;
    int err = fault(d, false), i = sim_image_find(&d->now, dir, name);
    if (err)
        return err;
    if (flags & SHMQD_OPEN_CREATE) {
        if (i >= 0)
            return -EEXIST;
        int inode = new_inode(d, false);
        note_name(d, SIM_CREATE, dir, NULL, name, inode, false);
        return inode;
    }
    return i < 0 ? -ENOENT : d->now.names[i].inode;
}

static void sim_close(struct shmqd_io *io, int file)
{
    (void)io, (void)file;
}

static int sim_mkdir(struct shmqd_io *io, int dir, const char *name)
{
    struct sim_disk *d = (struct sim_disk *)io;
    int err = fault(d, false);
    if (err)
        return err;
    if (sim_image_find(&d->now, dir, name) >= 0)
        return -EEXIST;
    note_name(d, SIM_CREATE, dir, NULL, name, new_inode(d, true), true);
    return 0;
}

static int sim_rename(
    struct shmqd_io *io, int dir, const char *from, const char *to)
{
    struct sim_disk *d = (struct sim_disk *)io;
    int err = fault(d, false), i = sim_image_find(&d->now, dir, from);
    if (err)
        return err;
    if (i < 0)
        return -ENOENT;
    note_name(d, SIM_RENAME, dir, from, to, d->now.names[i].inode, false);
    return 0;
}

static void keep_stale(struct sim_disk *d, const uint8_t *bytes, uint32_t len)
{
    free(d->stale);
    d->stale = malloc(len);
    assert(d->stale);
    memcpy(d->stale, bytes, len);
    d->stale_bytes = len;
}

static int sim_unlink(struct shmqd_io *io, int dir, const char *name)
{
    struct sim_disk *d = (struct sim_disk *)io;
    int err = fault(d, false), i = sim_image_find(&d->now, dir, name);
    if (err)
        return err;
    if (i < 0)
        return -ENOENT;
    const struct sim_inode *n = &d->now.inodes[d->now.names[i].inode];
    if (d->faults.stale && n->high > 8192) /* a segment that was used */
        keep_stale(d, n->data, n->high);
    note_name(d, SIM_UNLINK, dir, NULL, name, -1, false);
    return 0;
}

static int sim_list(struct shmqd_io *io, int dir,
    void (*each)(void *ctx, const char *name), void *ctx)
{
    struct sim_disk *d = (struct sim_disk *)io;
    int err = fault(d, false);
    if (err)
        return err;
    for (int i = 0; i < d->now.name_cnt; i++)
        if (d->now.names[i].inode >= 0 && d->now.names[i].dir == dir)
            each(ctx, d->now.names[i].name);
    return 0;
}

static int64_t sim_size(struct shmqd_io *io, int file)
{
    return ((struct sim_disk *)io)->now.inodes[file].size;
}

static void resize(struct sim_disk *d, int file, uint64_t len)
{
    struct sim_event *e = note(d, SIM_SIZE);
    struct sim_unit u = {.kind = SIM_UNIT_SIZE, .inode = file, .off = len};
    e->inode = file;
    e->off = len;
    sim_unit_apply(&d->now, &u, false);
}

static int sim_truncate(struct shmqd_io *io, int file, uint64_t len)
{
    struct sim_disk *d = (struct sim_disk *)io;
    int err = fault(d, false);
    if (err == 0)
        resize(d, file, len);
    return err;
}

static int64_t sim_read(
    struct shmqd_io *io, int file, void *buf, size_t len, uint64_t off)
{
    struct sim_disk *d = (struct sim_disk *)io;
    const struct sim_faults *f = &d->faults;
    int err = fault(d, false);
    if (f->bad_inode && file == f->bad_inode && off + len > f->bad_off &&
        off < f->bad_off + SHMQI_LOG_BLOCK)
        return -EIO;
    return err ? err : sim_files.read(&d->now, file, buf, len, off);
}

/* A write begins: its sectors may be on the disk from now on. */
static int begin_write(
    struct sim_disk *d, int file, const void *buf, size_t len, uint64_t off)
{
    const uint8_t *copy = keep_bytes(d->trace, buf, len);
    struct sim_event *e = note(d, SIM_WRITE_BEGIN);
    e->inode = file;
    e->off = off;
    e->len = (len + SIM_SECTOR - 1) / SIM_SECTOR * SIM_SECTOR;
    e->data = copy;
    e->id = d->next_id++;
    return e->id;
}

static void end_write(struct sim_disk *d, int id, int file, const void *buf,
    size_t len, uint64_t off, bool ok, bool dsync)
{
    struct sim_event *e = note(d, SIM_WRITE_END);
    struct sim_inode *n = &d->now.inodes[file];
    e->id = id;
    e->inode = file;
    e->off = off;
    e->len = len;
    e->ok = ok;
    e->dsync = dsync;
    if (len == 0)
        return;
    assert(off + len <= SIM_FILE_MAX);
    if (!n->data)
        n->data = calloc(1, SIM_FILE_MAX);
    memcpy(n->data + off, buf, len);
    if (n->high < off + len)
        n->high = (uint32_t)((off + len + 511) / 512 * 512);
    if (n->size < off + len)
        n->size = (uint32_t)(off + len);
}

static int sim_write(
    struct shmqd_io *io, int file, const void *buf, size_t len, uint64_t off)
{
    struct sim_disk *d = (struct sim_disk *)io;
    int err = fault(d, false);
    int id = begin_write(d, file, buf, len, off);
    end_write(d, id, file, buf, err ? 0 : len, off, err == 0, false);
    if (err == 0) /* sectors are whole in the record, sizes are not */
        resize(d, file,
            off + len > d->now.inodes[file].size ? off + len
                                                 : d->now.inodes[file].size);
    return err;
}

static int begin_sync(struct sim_disk *d, int file)
{
    struct sim_event *e = note(d, SIM_SYNC_BEGIN);
    e->inode = file;
    e->id = d->next_id++;
    return e->id;
}

static void end_sync(struct sim_disk *d, int id, int file, bool ok)
{
    struct sim_event *e = note(d, SIM_SYNC_END);
    e->inode = file;
    e->id = id;
    e->ok = ok;
}

static int sim_sync(struct shmqd_io *io, int file)
{
    struct sim_disk *d = (struct sim_disk *)io;
    int err = fault(d, false);
    int id = begin_sync(d, file);
    end_sync(d, id, file, err == 0);
    return err;
}

static int sim_lock(struct shmqd_io *io, int file)
{
    (void)io, (void)file;
    return 0;
}

static int sim_space(
    struct shmqd_io *io, int dir, uint64_t *ret_free, uint64_t *ret_total)
{
    (void)io, (void)dir;
    *ret_free = *ret_total = 1ull << 40;
    return 0;
}

/* -- data path
 * -------------------------------------------------------------------- */

static int sim_submit(struct shmqd_io *io, struct shmqd_io_op *op)
{
    struct sim_disk *d = (struct sim_disk *)io;
    int i = 0;
    while (i < PENDING && d->pending[i])
        i++;
    if (i == PENDING)
        return -EAGAIN;
    d->pending[i] = op;
    d->begun[i] = op->kind == SHMQD_IO_WRITE
        ? begin_write(d, op->file, op->buf, (size_t)op->len, op->off)
        : op->kind == SHMQD_IO_SYNC ? begin_sync(d, op->file)
                                    : -1;
    io->in_flight++;
    return 0;
}

static void complete_write(struct sim_disk *d, struct shmqd_io_op *op, int id)
{
    int err = fault(d, true);
    size_t len = (size_t)op->len;
    if (err == 0 && d->faults.short_writes) {
        uint64_t dice = next_random(d) % 8;
        if (dice == 0)
            err = next_random(d) % 2 ? -EAGAIN : -EINTR;
        else if (dice == 1)
            len = next_random(d) % (len / SIM_SECTOR + 1) * SIM_SECTOR;
    }
    /* A failed or short write may have put any of its sectors there. */
    end_write(d, id, op->file, op->buf, err ? 0 : len, op->off,
        err == 0 && len == op->len, op->flags & SHMQD_IO_DSYNC);
    op->result = err ? err : (int64_t)len;
}

static void complete_allocate(struct sim_disk *d, struct shmqd_io_op *op)
{
    op->result = fault(d, true);
    if (op->result)
        return;
    resize(d, op->file, op->off + op->len);
    if (d->faults.stale && d->stale_bytes > SHMQI_LOG_BLOCK) {
        /* The blocks of the deleted file, but for the first, come back. */
        size_t len = d->stale_bytes - SHMQI_LOG_BLOCK;
        int id = begin_write(
            d, op->file, d->stale + SHMQI_LOG_BLOCK, len, SHMQI_LOG_BLOCK);
        end_write(d, id, op->file, d->stale + SHMQI_LOG_BLOCK, len,
            SHMQI_LOG_BLOCK, true, true);
    }
}

static void complete(struct sim_disk *d, int i)
{
    struct shmqd_io_op *op = d->pending[i];
    int id = d->begun[i], err;
    d->pending[i] = NULL;
    d->io.in_flight--;
    switch (op->kind) {
    case SHMQD_IO_WRITE:
        complete_write(d, op, id);
        break;
    case SHMQD_IO_SYNC:
        err = fault(d, true);
        end_sync(d, id, op->file, err == 0);
        op->result = err;
        break;
    case SHMQD_IO_ALLOCATE:
        complete_allocate(d, op);
        break;
    }
    op->done(op);
}

static int sim_turn(struct shmqd_io *io, int max, int64_t timeout_ns)
{
    struct sim_disk *d = (struct sim_disk *)io;
    int cnt = 0;
    (void)timeout_ns;
    while (io->in_flight && cnt < max) {
        int first = d->faults.shuffle ? (int)(next_random(d) % PENDING) : 0;
        int i = 0;
        while (i < PENDING && !d->pending[(first + i) % PENDING])
            i++;
        if (i == PENDING)
            break;
        complete(d, (first + i) % PENDING);
        cnt++;
        if (d->faults.shuffle && next_random(d) % 2)
            break;
    }
    return cnt;
}

static int sim_wait_fd(struct shmqd_io *io)
{
    (void)io;
    return -1;
}

static int sim_buffers(
    struct shmqd_io *io, uint8_t *base, size_t bytes, int cnt)
{
    (void)io, (void)base, (void)bytes, (void)cnt;
    return 0;
}

void sim_disk_free(struct sim_disk *d)
{
    sim_image_free(&d->now);
    free(d->stale);
    free(d);
}

static void sim_destroy(struct shmqd_io *io)
{
    struct sim_disk *d = (struct sim_disk *)io;
    if (!d->keep)
        sim_disk_free(d);
}

static const struct shmqd_io_ops sim_ops = {
    .name = "simulated",
    .open_root = sim_open_root,
    .open = sim_open,
    .close = sim_close,
    .mkdir = sim_mkdir,
    .rename = sim_rename,
    .unlink = sim_unlink,
    .rmdir = sim_unlink,
    .list = sim_list,
    .size = sim_size,
    .truncate = sim_truncate,
    .read = sim_read,
    .write = sim_write,
    .sync = sim_sync,
    .lock = sim_lock,
    .space = sim_space,
    .submit = sim_submit,
    .turn = sim_turn,
    .wait_fd = sim_wait_fd,
    .buffers = sim_buffers,
    .destroy = sim_destroy,
};

struct sim_disk *sim_disk_new(const struct sim_image *image,
    const struct sim_faults *faults, struct sim_trace *trace)
{
    struct sim_disk *d = calloc(1, sizeof *d);
    assert(d);
    d->io.ops = &sim_ops;
    d->faults = *faults;
    d->rng = faults->seed * 0x9e3779b97f4a7c15ull + 1;
    d->trace = trace;
    sim_image_init(&d->now);
    sim_image_copy(&d->now, image);
    if (faults->stale && faults->stale_len)
        keep_stale(d, faults->stale_bytes, faults->stale_len);
    return d;
}

struct shmqd_io *sim_disk_io(struct sim_disk *d)
{
    return &d->io;
}

void sim_disk_keep(struct sim_disk *d, bool keep)
{
    d->keep = keep;
}

void sim_disk_again(struct sim_disk *d, uint64_t seed)
{
    /* The kernel holds the dead process's lock until its operations are over:
     * whoever gets it finds writes done, though not durable, and syncs as if
     * they had never been asked for. The batches' memory is gone with the
     * process, the record has kept it. */
    for (int i = 0; i < PENDING; i++) {
        if (!d->pending[i] || d->begun[i] < 0)
            continue;
        for (size_t k = 0; k < d->trace->cnt; k++) {
            const struct sim_event e = d->trace->events[k];
            if (e.kind == SIM_WRITE_BEGIN && e.id == d->begun[i])
                end_write(d, e.id, e.inode, e.data, (size_t)e.len, e.off, true,
                    false);
            if (e.kind == SIM_SYNC_BEGIN && e.id == d->begun[i])
                note(d, SIM_SYNC_GONE)->id = e.id;
        }
    }
    memset(d->pending, 0, sizeof d->pending);
    d->io.in_flight = 0;
    d->rng = seed * 0x9e3779b97f4a7c15ull + 1;
}

uint64_t sim_disk_calls(const struct sim_disk *d)
{
    return d->calls;
}

void sim_disk_mark(struct sim_disk *d, uint64_t value)
{
    note(d, SIM_MARK)->value = value;
}

const struct sim_image *sim_disk_image(const struct sim_disk *d)
{
    return &d->now;
}
