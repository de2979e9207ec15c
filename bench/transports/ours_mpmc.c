/* ours_mpmc.c - ours: the MPMC ring, read by an exclusive group (mpmc) or by
 * the competing members of a shared group (shared). */
#include "ours.h"

static int create_exclusive(struct lab_channel *channel)
{
    return lab_ours_create(channel, SHMQ_RING_MPMC, SHMQ_GROUP_EXCLUSIVE);
}

static int create_shared(struct lab_channel *channel)
{
    return lab_ours_create(channel, SHMQ_RING_MPMC, SHMQ_GROUP_SHARED);
}

const struct lab_transport lab_ours_mpmc = {
    .name = "mpmc",
    .kind = "ours",
    .what = "many producers, one reader, one record a frame",
    .caps = LAB_CAP_WAIT | LAB_CAP_MANY_TX | LAB_CAP_REOPEN,
    .create = create_exclusive,
    .destroy = lab_ours_destroy,
    .open = lab_ours_open,
    .close = lab_ours_close,
    .send = lab_ours_send,
    .receive = lab_ours_receive,
    .wait = lab_ours_wait,
    .footprint = lab_ours_footprint,
};

const struct lab_transport lab_ours_shared = {
    .name = "shared",
    .kind = "ours",
    .what = "many producers, shared group of competing members",
    .caps = LAB_CAP_WAIT | LAB_CAP_MANY_TX | LAB_CAP_MANY_RX | LAB_CAP_REOPEN,
    .create = create_shared,
    .destroy = lab_ours_destroy,
    .open = lab_ours_open,
    .close = lab_ours_close,
    .send = lab_ours_send,
    .receive = lab_ours_receive,
    .wait = lab_ours_wait,
    .footprint = lab_ours_footprint,
};
