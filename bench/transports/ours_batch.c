/* ours_batch.c - ours: the MPMC ring, 64 records a frame. */
#include "ours.h"

#include <stdlib.h>
#include <string.h>

struct batch {
    struct shmq_producer *producer;
    const void *src; /* the records describe messages there */
    struct shmq_record records[SHMQ_BATCH_MAX];
};

static int create(struct lab_channel *channel)
{
    return lab_ours_create(channel, SHMQ_RING_MPMC, SHMQ_GROUP_EXCLUSIVE);
}

static int open_end(struct lab_end *end)
{
    struct batch *batch;

    if (lab_ours_open(end))
        return -1;
    if (end->role == LAB_RECEIVER)
        return 0;
    batch = calloc(1, sizeof(*batch));
    if (!batch) {
        strcpy(end->error, "out of memory");
        lab_ours_close(end);
        return -1;
    }
    batch->producer = end->handle;
    end->more = batch;
    return 0;
}

static void close_end(struct lab_end *end)
{
    free(end->more);
    lab_ours_close(end);
}

static void describe(
    struct batch *batch, const unsigned char *src, uint32_t size, uint32_t cnt)
{
    batch->src = src;
    for (uint32_t i = 0; i < cnt; i++) {
        batch->records[i].data = src + (uint64_t)i * size;
        batch->records[i].size = size;
    }
}

static uint32_t send_batch(struct lab_end *end, const void *src, uint32_t cnt)
{
    struct batch *batch = end->more;
    int rc;

    if (batch->src != src)
        describe(batch, src, end->channel->size, end->channel->batch);
    rc =
        shmq_producer_publish_batch(batch->producer, batch->records, cnt, NULL);
    if (rc == 0)
        return cnt;
    return rc == SHMQ_ERR_FULL ? 0 : lab_ours_failed(end, rc);
}

const struct lab_transport lab_ours_batch = {
    .name = "mpmc-64",
    .kind = "ours",
    .what = "many producers, one reader, 64 records a frame",
    .caps = LAB_CAP_WAIT | LAB_CAP_MANY_TX | LAB_CAP_REOPEN,
    .batch = 64,
    .create = create,
    .destroy = lab_ours_destroy,
    .open = open_end,
    .close = close_end,
    .send = send_batch,
    .receive = lab_ours_receive,
    .wait = lab_ours_wait,
    .footprint = lab_ours_footprint,
};
