/* The restricted io_uring of shmqd: every operation but its four is refused by
 * the kernel, and so is registering anything more. */
#include "support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "storage/io.h"

#if defined(__has_include)
#if __has_include(<liburing.h>)
#define HAVE_LIBURING 1
#endif
#endif

#ifdef HAVE_LIBURING
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include <liburing.h>
#pragma GCC diagnostic pop

/* How the struct of io_uring.c begins. */
struct ours {
    struct shmqd_io io;
    struct io_uring ring;
};

static struct ours *restricted_ring(void)
{
    struct shmqd_io *io;
    const char *why = NULL;
    if (shmqd_io_uring_create(&io, &why) != 0)
        T_SKIP(why);
    T_EQ(shmqd_io_restrict(io), 0);
    return (struct ours *)io;
}

/* The result of one operation without arguments that make sense. */
static int result_of(struct ours *ours, uint8_t opcode, int fd)
{
    struct io_uring_cqe *cqe;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ours->ring);
    T_TRUE(sqe != NULL);
    memset(sqe, 0, sizeof(*sqe));
    sqe->opcode = opcode;
    sqe->fd = fd;
    (void)io_uring_submit(&ours->ring);
    T_EQ(io_uring_wait_cqe(&ours->ring, &cqe), 0);
    int result = cqe->res;
    io_uring_cqe_seen(&ours->ring, cqe);
    return result;
}

TEST(only_four_operations_are_possible)
{
    struct ours *ours = restricted_ring();
    char path[] = "/tmp/shmq-ring-XXXXXX";
    int fd = mkstemp(path), refused = 0;
    T_TRUE(fd >= 0);
    unlink(path);
    T_EQ(result_of(ours, IORING_OP_FSYNC, fd), 0); /* control: it works */
    for (int opcode = 0; opcode < 64; opcode++) {
        bool needed = opcode == IORING_OP_WRITE ||
            opcode == IORING_OP_WRITE_FIXED || opcode == IORING_OP_FSYNC ||
            opcode == IORING_OP_FALLOCATE;
        if (needed)
            continue;
        int result = result_of(ours, (uint8_t)opcode, fd);
        /* EINVAL: an operation that this kernel does not have at all */
        if (result != -EACCES && result != -EINVAL)
            print_message("operation %d: %d\n", opcode, result);
        T_TRUE(result == -EACCES || result == -EINVAL);
        refused += result == -EACCES;
    }
    T_TRUE(refused >= 30);
    close(fd);
    ours->io.ops->destroy(&ours->io);
}

TEST(nothing_more_can_be_registered)
{
    struct ours *ours = restricted_ring();
    int fds[1] = {0};
    long rc = syscall(SYS_io_uring_register, ours->ring.ring_fd,
        IORING_REGISTER_FILES, fds, 1);
    T_TRUE(rc == -1 && errno == EACCES);
    rc = syscall(SYS_io_uring_register, ours->ring.ring_fd,
        IORING_UNREGISTER_BUFFERS, NULL, 0);
    T_TRUE(rc == -1 && errno == EACCES);
    ours->io.ops->destroy(&ours->io);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(only_four_operations_are_possible),
        T(nothing_more_can_be_registered),
    };
    return t_unit_run("ring", tests, sizeof(tests) / sizeof(tests[0]));
}
#else
int main(void)
{
    return 77;
}
#endif
