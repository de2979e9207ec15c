/* dpdk_elem.c - peer: DPDK's rte_ring with the messages themselves as elements
 * (rte_ring_*_elem), in shared memory: one copy in, one copy out, no
 * references. See dpdk.c for the other way. */
#include "../transport.h"

#ifdef SHMQ_HAVE_DPDK

#include <rte_config.h>

#include <rte_ring.h>
#include <rte_version.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(x) #x
#define VERSION_TEXT(a, b, c) TEXT(a) "." TEXT(b) "." TEXT(c)
#define LAB_DPDK_VERSION \
    VERSION_TEXT(RTE_VER_YEAR, RTE_VER_MONTH, RTE_VER_MINOR)

#define BURST 64u

static int create(struct lab_channel *channel)
{
    ssize_t bytes = rte_ring_get_memsize_elem(channel->size, channel->depth);

    if (bytes < 0 || lab_shared_create(channel, (uint64_t)bytes)) {
        strcpy(channel->error, "no memory for the ring");
        return -1;
    }
    if (rte_ring_init(channel->shared, "lab", channel->depth, RING_F_SC_DEQ)) {
        lab_shared_destroy(channel);
        strcpy(channel->error, "rte_ring_init failed");
        return -1;
    }
    return 0;
}

static int open_end(struct lab_end *end)
{
    end->handle = end->channel->shared;
    if (end->role == LAB_SENDER)
        return 0;
    if (posix_memalign(
            &end->more, 4096, (uint64_t)end->channel->size * BURST) == 0)
        return 0;
    strcpy(end->error, "out of memory");
    return -1;
}

static void close_end(struct lab_end *end)
{
    if (end->role == LAB_RECEIVER)
        free(end->more);
}

static uint32_t send_bulk(struct lab_end *end, const void *src, uint32_t cnt)
{
    struct rte_ring *ring = end->handle;

    if (end->channel->size == 64) /* as with a type of its own */
        return rte_ring_mp_enqueue_bulk_elem(ring, src, 64, cnt, NULL);
    return rte_ring_mp_enqueue_bulk_elem(
        ring, src, end->channel->size, cnt, NULL);
}

static uint32_t receive_burst(
    struct lab_end *end, struct lab_sink *sink, uint32_t max)
{
    struct rte_ring *ring = end->handle;
    uint32_t size = end->channel->size;
    const unsigned char *at = end->more;
    unsigned int n;

    if (max > BURST)
        max = BURST;
    if (size == 64)
        n = rte_ring_sc_dequeue_burst_elem(ring, end->more, 64, max, NULL);
    else
        n = rte_ring_sc_dequeue_burst_elem(ring, end->more, size, max, NULL);
    for (unsigned int i = 0; i < n; i++, at += size)
        lab_sink_take(sink, at, size);
    return n;
}

#define VERBS \
    .version = "DPDK " LAB_DPDK_VERSION, .create = create, \
    .destroy = lab_shared_destroy, .open = open_end, .close = close_end, \
    .send = send_bulk, .receive = receive_burst, \
    .footprint = lab_shared_footprint,
#else
#define VERBS .missing = "libdpdk-dev",
#endif

const struct lab_transport lab_dpdk_elem = {.name = "dpdk-elem",
    .kind = "peer",
    .what = "DPDK rte_ring of whole messages, many senders, one receiver",
    .caps = LAB_CAP_MANY_TX | LAB_CAP_REOPEN,
    VERBS};

const struct lab_transport lab_dpdk_elem64 = {.name = "dpdk-elem-64",
    .kind = "peer",
    .what = "DPDK rte_ring of whole messages, bulks of 64",
    .caps = LAB_CAP_MANY_TX | LAB_CAP_REOPEN,
    .batch = 64,
    VERBS};
