/* io_choose.c - which back end. */
#include "io.h"

int shmqd_io_create(
    enum shmqd_io_choice choice, struct shmqd_io **ret_io, const char **ret_why)
{
    *ret_why = NULL;
    if (choice != SHMQD_IO_PWRITEV2) {
        int rc = shmqd_io_uring_create(ret_io, ret_why);
        if (rc == 0 || choice == SHMQD_IO_URING)
            return rc;
    }
    return shmqd_io_pwritev2_create(ret_io);
}
