/* ours_loan.c - ours: the MPMC ring, payload written into a loan. */
#include "ours.h"

#include <string.h>

static int create(struct lab_channel *channel)
{
    return lab_ours_create(channel, SHMQ_RING_MPMC, SHMQ_GROUP_EXCLUSIVE);
}

/* The one copy here is the application's own writing of its payload. */
static uint32_t send_loan(struct lab_end *end, const void *src, uint32_t cnt)
{
    uint64_t size = end->channel->size;
    struct shmq_loan loan;
    int rc = shmq_producer_loan(end->handle, size, NULL, 0, &loan);

    if (rc == SHMQ_ERR_FULL)
        return 0;
    if (rc)
        return lab_ours_failed(end, rc);
    memcpy(loan.data, src, size);
    rc = shmq_producer_commit(end->handle, &loan, size, NULL);
    if (rc == 0)
        return cnt;
    shmq_producer_abort(end->handle, &loan);
    return rc == SHMQ_ERR_FULL ? 0 : lab_ours_failed(end, rc);
}

const struct lab_transport lab_ours_loan = {
    .name = "mpmc-loan",
    .kind = "ours",
    .what = "many producers, one reader, loan and commit",
    .caps = LAB_CAP_WAIT | LAB_CAP_MANY_TX | LAB_CAP_REOPEN,
    .create = create,
    .destroy = lab_ours_destroy,
    .open = lab_ours_open,
    .close = lab_ours_close,
    .send = send_loan,
    .receive = lab_ours_receive,
    .wait = lab_ours_wait,
    .footprint = lab_ours_footprint,
};
