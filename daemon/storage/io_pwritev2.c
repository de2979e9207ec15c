/* io_pwritev2.c - the back end for kernels and sandboxes without io_uring: each
 * operation runs when it is submitted, and is done at the next turn. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "io_posix.h"

struct pwritev2_io {
    struct shmqd_io io;
    struct shmqd_io_op *head, **tail; /* done, not told yet */
};

/* Where writes that are flushed at once are not known (an emulator, a file
 * system that refuses flags), the flush is a call of its own. */
static int64_t run_write(const struct shmqd_io_op *op)
{
    struct iovec iov = {(void *)(uintptr_t)op->buf, (size_t)op->len};
    bool dsync = (op->flags & SHMQD_IO_DSYNC) != 0;
    ssize_t n =
        pwritev2(op->file, &iov, 1, (off_t)op->off, dsync ? RWF_DSYNC : 0);
    if (n < 0 && dsync && (errno == EOPNOTSUPP || errno == ENOSYS)) {
        n = pwrite(op->file, op->buf, (size_t)op->len, (off_t)op->off);
        if (n >= 0 && fdatasync(op->file))
            n = -1;
    }
    return n < 0 ? -errno : (int64_t)n;
}

static int64_t run_allocate(const struct shmqd_io_op *op)
{
    if (fallocate(op->file, 0, (off_t)op->off, (off_t)op->len) == 0)
        return 0;
    if (errno != EOPNOTSUPP)
        return -errno;
    return ftruncate(op->file, (off_t)(op->off + op->len)) ? -errno : 0;
}

static int64_t run_sync(const struct shmqd_io_op *op)
{
    int rc = op->flags & SHMQD_IO_FULL ? fsync(op->file) : fdatasync(op->file);
    return rc ? -errno : 0;
}

static int pwritev2_submit(struct shmqd_io *io, struct shmqd_io_op *op)
{
    struct pwritev2_io *p = (struct pwritev2_io *)io;
    op->result = op->kind == SHMQD_IO_WRITE ? run_write(op)
        : op->kind == SHMQD_IO_SYNC         ? run_sync(op)
                                            : run_allocate(op);
    op->next = NULL;
    *p->tail = op;
    p->tail = &op->next;
    io->in_flight++;
    return 0;
}

static int pwritev2_turn(struct shmqd_io *io, int max, int64_t timeout_ns)
{
    struct pwritev2_io *p = (struct pwritev2_io *)io;
    int cnt = 0;
    (void)timeout_ns; /* whatever is under way is done */
    while (cnt < max && p->head) {
        struct shmqd_io_op *op = p->head;
        p->head = op->next;
        if (!p->head)
            p->tail = &p->head;
        io->in_flight--;
        cnt++;
        op->done(op);
    }
    return cnt;
}

static int pwritev2_wait_fd(struct shmqd_io *io)
{
    (void)io;
    return -1;
}

static int pwritev2_buffers(
    struct shmqd_io *io, uint8_t *base, size_t bytes, int cnt)
{
    (void)io, (void)base, (void)bytes, (void)cnt;
    return 0;
}

static void pwritev2_destroy(struct shmqd_io *io)
{
    free(io);
}

static const struct shmqd_io_ops pwritev2_ops = {
    .name = "pwritev2",
    SHMQD_POSIX_CONTROL_PATH,
    .submit = pwritev2_submit,
    .turn = pwritev2_turn,
    .wait_fd = pwritev2_wait_fd,
    .buffers = pwritev2_buffers,
    .destroy = pwritev2_destroy,
};

int shmqd_io_pwritev2_create(struct shmqd_io **ret_io)
{
    struct pwritev2_io *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    p->io.ops = &pwritev2_ops;
    p->tail = &p->head;
    *ret_io = &p->io;
    return 0;
}
