/* io_uring.c - the usual back end. The only file that sees liburing.
 *
 * One ring, one thread. It is created disabled; registered buffers come first,
 * then the kernel is told which operations this ring may ever do, and only then
 * it is enabled: whoever took over the process could not use the ring for
 * anything else. Rings without that feature (before 5.10) are not used. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <liburing.h>

#include "io_posix.h"

#define ENTRIES 256u
#define COMPLETIONS 1024u

struct uring_io {
    struct shmqd_io io;
    struct io_uring ring;
    bool fixed; /* buffers are registered */
    bool enabled;
    bool deferred; /* completions come only when we enter the kernel */
    /* Readable when there is something to enter for: with deferred completions
     * the ring's own descriptor becomes readable only when we have entered. */
    int event_fd;
};

/* Flag sets, the best first; each kernel takes the first that it knows. */
static const unsigned setups[] = {
#if defined(IORING_SETUP_SINGLE_ISSUER) && defined(IORING_SETUP_DEFER_TASKRUN)
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
        IORING_SETUP_SUBMIT_ALL, /* 6.1 */
#endif
#if defined(IORING_SETUP_COOP_TASKRUN) && defined(IORING_SETUP_SUBMIT_ALL)
    IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL, /* 5.19 */
#endif
    0};

static int set_up(struct uring_io *u)
{
    int rc = -ENOSYS;
    for (size_t i = 0; i < sizeof setups / sizeof *setups; i++) {
        struct io_uring_params p;
        memset(&p, 0, sizeof p);
        p.flags = setups[i] | IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED;
        p.cq_entries = COMPLETIONS;
        rc = io_uring_queue_init_params(ENTRIES, &u->ring, &p);
        if (rc == 0) {
#ifdef IORING_SETUP_DEFER_TASKRUN
            u->deferred = (setups[i] & IORING_SETUP_DEFER_TASKRUN) != 0;
#endif
            if (p.features & IORING_FEAT_EXT_ARG)
                return 0;
            io_uring_queue_exit(&u->ring);
            return -ENOSYS;
        }
        if (rc != -EINVAL)
            break;
    }
    return rc;
}

static const uint8_t needed[] = {IORING_OP_WRITE, IORING_OP_WRITE_FIXED,
    IORING_OP_FSYNC, IORING_OP_FALLOCATE};
#define NEEDED_CNT (sizeof needed / sizeof *needed)

static bool knows_operations(struct uring_io *u)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(&u->ring);
    bool all = probe != NULL;
    for (size_t i = 0; all && i < NEEDED_CNT; i++)
        all = io_uring_opcode_supported(probe, needed[i]);
    if (probe)
        io_uring_free_probe(probe);
    return all;
}

/* liburing 2.3 declares the functions for these two, and does not export
 * them. */
static int register_ring(
    struct uring_io *u, unsigned what, const void *args, unsigned cnt)
{
    return syscall(__NR_io_uring_register, u->ring.ring_fd, what, args, cnt) < 0
        ? -errno
        : 0;
}

/* Restricts the ring to what we do, and lets it start. */
static int enable(struct uring_io *u)
{
    struct io_uring_restriction allow[NEEDED_CNT + 1];
    memset(allow, 0, sizeof allow);
    for (size_t i = 0; i < NEEDED_CNT; i++) {
        allow[i].opcode = IORING_RESTRICTION_SQE_OP;
        allow[i].sqe_op = needed[i];
    }
    /* Enabling is itself a registration, and none other is left. */
    allow[NEEDED_CNT].opcode = IORING_RESTRICTION_REGISTER_OP;
    allow[NEEDED_CNT].register_op = IORING_REGISTER_ENABLE_RINGS;
    int rc =
        register_ring(u, IORING_REGISTER_RESTRICTIONS, allow, NEEDED_CNT + 1);
    if (rc == 0)
        rc = register_ring(u, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    u->enabled = rc == 0;
    return rc;
}

static void prepare(const struct uring_io *u, struct io_uring_sqe *sqe,
    const struct shmqd_io_op *op)
{
    switch (op->kind) {
    case SHMQD_IO_WRITE:
        if (u->fixed && op->buf_idx >= 0)
            io_uring_prep_write_fixed(sqe, op->file, op->buf, (unsigned)op->len,
                op->off, op->buf_idx);
        else
            io_uring_prep_write(
                sqe, op->file, op->buf, (unsigned)op->len, op->off);
        sqe->rw_flags = op->flags & SHMQD_IO_DSYNC ? RWF_DSYNC : 0;
        break;
    case SHMQD_IO_SYNC:
        io_uring_prep_fsync(sqe, op->file,
            op->flags & SHMQD_IO_FULL ? 0 : IORING_FSYNC_DATASYNC);
        break;
    case SHMQD_IO_ALLOCATE:
        io_uring_prep_fallocate(
            sqe, op->file, 0, (off_t)op->off, (off_t)op->len);
        break;
    }
}

static int uring_submit(struct shmqd_io *io, struct shmqd_io_op *op)
{
    struct uring_io *u = (struct uring_io *)io;
    if (!u->enabled) {
        int rc = enable(u);
        if (rc)
            return rc;
    }
    if (io->in_flight >= (int)ENTRIES)
        return -EAGAIN;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
    if (!sqe) {
        io_uring_submit(&u->ring);
        sqe = io_uring_get_sqe(&u->ring);
        if (!sqe)
            return -EAGAIN;
    }
    prepare(u, sqe, op);
    io_uring_sqe_set_data(sqe, op);
    io->in_flight++;
    return 0;
}

/* Hands over what was submitted, and waits for one completion if told so. */
static void enter(struct uring_io *u, int64_t timeout_ns)
{
    struct io_uring_cqe *cqe;
    if (timeout_ns > 0 && io_uring_cq_ready(&u->ring) == 0) {
        struct __kernel_timespec ts = {
            timeout_ns / 1000000000, timeout_ns % 1000000000};
        (void)io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &ts, NULL);
    } else if (u->deferred) {
        (void)io_uring_submit_and_get_events(&u->ring);
    } else if (io_uring_sq_ready(&u->ring)) {
        (void)io_uring_submit(&u->ring);
    }
}

static int uring_turn(struct shmqd_io *io, int max, int64_t timeout_ns)
{
    struct uring_io *u = (struct uring_io *)io;
    int cnt = 0;
    uint64_t events;
    /* Before the look, so that what completes after it is told again. */
    (void)!read(u->event_fd, &events, sizeof events);
    if (io->in_flight == 0)
        return 0;
    enter(u, timeout_ns);
    while (cnt < max) {
        struct io_uring_cqe *cqe;
        if (io_uring_peek_cqe(&u->ring, &cqe))
            break;
        struct shmqd_io_op *op = io_uring_cqe_get_data(cqe);
        op->result = cqe->res;
        io_uring_cqe_seen(&u->ring, cqe);
        io->in_flight--;
        cnt++;
        op->done(op);
    }
    /* What the completions have started should not wait for the next turn. */
    if (cnt && io_uring_sq_ready(&u->ring))
        (void)io_uring_submit(&u->ring);
    return cnt;
}

static int uring_wait_fd(struct shmqd_io *io)
{
    return ((struct uring_io *)io)->event_fd;
}

static int uring_buffers(
    struct shmqd_io *io, uint8_t *base, size_t bytes, int cnt)
{
    struct uring_io *u = (struct uring_io *)io;
    struct iovec iov[64];
    if (cnt > 64 || u->enabled)
        return -EINVAL;
    for (int i = 0; i < cnt; i++) {
        iov[i].iov_base = base + (size_t)i * bytes;
        iov[i].iov_len = bytes;
    }
    int rc = io_uring_register_buffers(&u->ring, iov, (unsigned)cnt);
    u->fixed = rc == 0;
    return rc;
}

static void uring_destroy(struct shmqd_io *io)
{
    struct uring_io *u = (struct uring_io *)io;
    io_uring_queue_exit(&u->ring);
    if (u->event_fd >= 0)
        (void)close(u->event_fd);
    free(u);
}

static const struct shmqd_io_ops uring_ops = {
    .name = "uring",
    SHMQD_POSIX_CONTROL_PATH,
    .submit = uring_submit,
    .turn = uring_turn,
    .wait_fd = uring_wait_fd,
    .buffers = uring_buffers,
    .destroy = uring_destroy,
};

int shmqd_io_uring_create(struct shmqd_io **ret_io, const char **ret_why)
{
    struct uring_io *u = calloc(1, sizeof *u);
    if (!u)
        return -ENOMEM;
    u->io.ops = &uring_ops;
    u->event_fd = -1;
    int rc = set_up(u);
    if (rc) {
        free(u);
        *ret_why = rc == -EPERM || rc == -EACCES
            ? "io_uring is forbidden here (seccomp or io_uring_disabled)"
            : rc == -ENOSYS ? "this kernel has no usable io_uring"
            : rc == -ENOMEM ? "no memory for io_uring (RLIMIT_MEMLOCK?)"
                            : "io_uring could not be set up";
        return rc;
    }
    if (!knows_operations(u)) {
        uring_destroy(&u->io);
        *ret_why = "this kernel's io_uring lacks operations";
        return -ENOSYS;
    }
    u->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    rc = u->event_fd < 0 ? -errno
                         : io_uring_register_eventfd(&u->ring, u->event_fd);
    if (rc) {
        uring_destroy(&u->io);
        *ret_why = "io_uring cannot tell of completions";
        return rc;
    }
    (void)io_uring_ring_dontfork(&u->ring);
    *ret_io = &u->io;
    return 0;
}

int shmqd_io_restrict(struct shmqd_io *io)
{
    struct uring_io *u = (struct uring_io *)io;
    if (io->ops != &uring_ops || u->enabled)
        return 0;
    return enable(u);
}
