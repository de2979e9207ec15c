/* io_no_uring.c - takes the place of io_uring.c in builds without liburing. */
#include <errno.h>

#include "io.h"

int shmqd_io_uring_create(struct shmqd_io **ret_io, const char **ret_why)
{
    (void)ret_io;
    *ret_why = "built without liburing";
    return -ENOSYS;
}

int shmqd_io_restrict(struct shmqd_io *io)
{
    (void)io;
    return 0;
}
