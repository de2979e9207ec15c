/* ours_spsc.c - ours: the SPSC ring, one producer, one exclusive group. */
#include "ours.h"

static int create(struct lab_channel *channel)
{
    return lab_ours_create(channel, SHMQ_RING_SPSC, SHMQ_GROUP_EXCLUSIVE);
}

const struct lab_transport lab_ours_spsc = {
    .name = "spsc",
    .kind = "ours",
    .what = "one producer, one reader, copying publish",
    .caps = LAB_CAP_WAIT | LAB_CAP_REOPEN,
    .create = create,
    .destroy = lab_ours_destroy,
    .open = lab_ours_open,
    .close = lab_ours_close,
    .send = lab_ours_send,
    .receive = lab_ours_receive,
    .wait = lab_ours_wait,
    .footprint = lab_ours_footprint,
};
