/* memory_io.c - the disk of fuzz_recovery (memory_io.h). */
#include "memory_io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log_reader_impl.h"

#define FILES 24
#define FILE_ROOM 65536u /* more: the disk is full */

/* Directories are 0 (data), 1 (topics), MEMORY_TOPIC_DIR, and the journal's,
 * which is never used; files come behind them. */
enum { DIRS = 4 };

struct file {
    bool used;
    int dir;
    char name[40];
    uint64_t size;
    uint32_t dirty; /* bytes that may be other than 0 */
    uint8_t bytes[FILE_ROOM];
};

static struct memory_io {
    struct shmqd_io io;
    struct file files[FILES];
    struct shmqd_io_op *head, **tail;
    uint32_t reads, fail_at;
} memory;

static struct file *find(int dir, const char *name)
{
    for (int i = 0; i < FILES; i++)
        if (memory.files[i].used && memory.files[i].dir == dir &&
            strcmp(memory.files[i].name, name) == 0)
            return &memory.files[i];
    return NULL;
}

static int handle(const struct file *f)
{
    return DIRS + (int)(f - memory.files);
}

static struct file *make(int dir, const char *name)
{
    struct file *f = memory.files;
    while (f < memory.files + FILES && f->used)
        f++;
    if (f == memory.files + FILES || strlen(name) >= sizeof f->name)
        return NULL;
    memset(f->bytes, 0, f->dirty);
    f->used = true;
    f->dir = dir;
    f->size = f->dirty = 0;
    strcpy(f->name, name);
    return f;
}

static void put(struct file *f, const void *bytes, size_t len, uint64_t off)
{
    memcpy(f->bytes + off, bytes, len);
    if (f->dirty < off + len)
        f->dirty = (uint32_t)(off + len);
    if (f->size < off + len)
        f->size = off + len;
}

/* -- control path ------------------------------------------------------------
 */

static int memory_open_root(struct shmqd_io *io, const char *dir)
{
    (void)io, (void)dir;
    return 0;
}

static int memory_open(
    struct shmqd_io *io, int dir, const char *name, unsigned flags)
{
    struct file *f = find(dir, name);
    (void)io;
    if (flags & SHMQD_OPEN_DIR)
        return dir == 0 ? 1 : MEMORY_TOPIC_DIR;
    if (flags & SHMQD_OPEN_CREATE) {
        if (f)
            return -EEXIST;
        f = make(dir, name);
        return f ? handle(f) : -ENOSPC;
    }
    return f ? handle(f) : -ENOENT;
}

static void memory_close(struct shmqd_io *io, int file)
{
    (void)io, (void)file;
}

static int memory_mkdir(struct shmqd_io *io, int dir, const char *name)
{
    (void)io, (void)dir, (void)name;
    return -EEXIST;
}

static int memory_unlink(struct shmqd_io *io, int dir, const char *name)
{
    struct file *f = find(dir, name);
    (void)io;
    if (!f)
        return -ENOENT;
    f->used = false;
    return 0;
}

static int memory_rename(
    struct shmqd_io *io, int dir, const char *from, const char *to)
{
    struct file *f = find(dir, from);
    if (!f)
        return -ENOENT;
    (void)memory_unlink(io, dir, to);
    strcpy(f->name, to);
    return 0;
}

static int memory_list(struct shmqd_io *io, int dir,
    void (*each)(void *ctx, const char *name), void *ctx)
{
    (void)io;
    if (dir == 1)
        each(ctx, "5a010203000000000000000000000000");
    for (int i = 0; i < FILES; i++)
        if (memory.files[i].used && memory.files[i].dir == dir)
            each(ctx, memory.files[i].name);
    return 0;
}

static int64_t memory_size(struct shmqd_io *io, int file)
{
    (void)io;
    return (int64_t)memory.files[file - DIRS].size;
}

static int memory_truncate(struct shmqd_io *io, int file, uint64_t len)
{
    struct file *f = &memory.files[file - DIRS];
    (void)io;
    if (len < f->dirty) {
        memset(f->bytes + len, 0, f->dirty - (size_t)len);
        f->dirty = (uint32_t)len;
    }
    f->size = len;
    return 0;
}

static int64_t memory_read(
    struct shmqd_io *io, int file, void *buf, size_t len, uint64_t off)
{
    const struct file *f = &memory.files[file - DIRS];
    (void)io;
    if (memory.fail_at && ++memory.reads >= memory.fail_at)
        return -EIO;
    if (off >= f->size)
        return 0;
    len = len < f->size - off ? len : (size_t)(f->size - off);
    memcpy(buf, f->bytes + off, len);
    return (int64_t)len;
}

static int memory_write(
    struct shmqd_io *io, int file, const void *buf, size_t len, uint64_t off)
{
    (void)io;
    if (off + len > FILE_ROOM)
        return -ENOSPC;
    put(&memory.files[file - DIRS], buf, len, off);
    return 0;
}

static int memory_sync(struct shmqd_io *io, int file)
{
    (void)io, (void)file;
    return 0;
}

static int memory_space(
    struct shmqd_io *io, int dir, uint64_t *ret_free, uint64_t *ret_total)
{
    (void)io, (void)dir;
    *ret_free = *ret_total = 1ull << 40;
    return 0;
}

/* -- data path ---------------------------------------------------------------
 */

static int memory_submit(struct shmqd_io *io, struct shmqd_io_op *op)
{
    op->result = 0;
    if (op->kind == SHMQD_IO_WRITE) {
        int rc = memory_write(io, op->file, op->buf, (size_t)op->len, op->off);
        op->result = rc ? rc : (int64_t)op->len;
    } else if (op->kind == SHMQD_IO_ALLOCATE) {
        op->result = op->off + op->len > FILE_ROOM
            ? -ENOSPC
            : memory_truncate(io, op->file, op->off + op->len);
    }
    op->next = NULL;
    *memory.tail = op;
    memory.tail = &op->next;
    io->in_flight++;
    return 0;
}

static int memory_turn(struct shmqd_io *io, int max, int64_t timeout_ns)
{
    int cnt = 0;
    (void)timeout_ns;
    for (; cnt < max && memory.head; cnt++) {
        struct shmqd_io_op *op = memory.head;
        memory.head = op->next;
        if (!memory.head)
            memory.tail = &memory.head;
        io->in_flight--;
        op->done(op);
    }
    return cnt;
}

static int memory_wait_fd(struct shmqd_io *io)
{
    (void)io;
    return -1;
}

static int memory_buffers(
    struct shmqd_io *io, uint8_t *base, size_t bytes, int cnt)
{
    (void)io, (void)base, (void)bytes, (void)cnt;
    return 0;
}

static void memory_destroy(struct shmqd_io *io)
{
    (void)io;
}

static const struct shmqd_io_ops memory_ops = {
    .name = "memory",
    .open_root = memory_open_root,
    .open = memory_open,
    .close = memory_close,
    .mkdir = memory_mkdir,
    .rename = memory_rename,
    .unlink = memory_unlink,
    .rmdir = memory_unlink,
    .list = memory_list,
    .size = memory_size,
    .truncate = memory_truncate,
    .read = memory_read,
    .write = memory_write,
    .sync = memory_sync,
    .lock = memory_sync,
    .space = memory_space,
    .submit = memory_submit,
    .turn = memory_turn,
    .wait_fd = memory_wait_fd,
    .buffers = memory_buffers,
    .destroy = memory_destroy,
};

/* -- what the targets ask ----------------------------------------------------
 */

struct shmqd_io *memory_io_empty(void)
{
    for (int i = 0; i < FILES; i++)
        memory.files[i].used = false;
    return memory_io_again();
}

struct shmqd_io *memory_io_again(void)
{
    memory.io.ops = &memory_ops;
    memory.io.in_flight = 0;
    memory.head = NULL;
    memory.tail = &memory.head;
    memory.reads = memory.fail_at = 0;
    return &memory.io;
}

struct shmqd_io *memory_io_put(const struct image *m, uint32_t fail_read)
{
    struct shmqd_io *io = memory_io_empty();
    for (int i = 0; i < IMAGE_FILES; i++) {
        const struct image_part *p = &m->files[i];
        if (p->there)
            put(make(i == IMAGE_STORE ? 0 : MEMORY_TOPIC_DIR, image_names[i]),
                p->bytes, p->size, 0);
    }
    memory.fail_at = fail_read;
    return io;
}

void memory_io_mend(void)
{
    memory.fail_at = 0;
}

int64_t memory_io_get(const char *name, void *bytes, size_t room)
{
    for (int i = 0; i < FILES; i++) {
        const struct file *f = &memory.files[i];
        if (!f->used || strcmp(f->name, name) != 0 || f->size > room)
            continue;
        memcpy(bytes, f->bytes, (size_t)f->size);
        return (int64_t)f->size;
    }
    return -1;
}

static int reader_list(
    void *ctx, int dir, int (*each)(void *arg, const char *name), void *arg)
{
    int err = 0;
    (void)ctx;
    for (int i = 0; i < FILES && !err; i++)
        if (memory.files[i].used && memory.files[i].dir == dir)
            err = each(arg, memory.files[i].name);
    return err;
}

static int reader_open(void *ctx, int dir, const char *name)
{
    (void)ctx;
    return memory_open(&memory.io, dir, name, 0);
}

static int64_t reader_read(
    void *ctx, int fd, void *buf, size_t len, uint64_t off)
{
    (void)ctx;
    return memory_read(&memory.io, fd, buf, len, off);
}

static void reader_close(void *ctx, int fd)
{
    (void)ctx, (void)fd;
}

static void reader_direct(void *ctx, int fd, bool past_the_cache)
{
    (void)ctx, (void)fd, (void)past_the_cache;
}

const struct shmqi_log_files memory_files = {
    reader_list, reader_open, reader_read, reader_close, reader_direct};
