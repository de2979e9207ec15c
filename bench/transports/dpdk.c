/* dpdk.c - peer: DPDK's rte_ring, in shared memory.
 *
 * As a DPDK program does it: payloads lie in buffers, the ring carries
 * references to them. With one receiver each sender owns as many buffers as
 * can be under way and uses them in turn, which is cheaper than a mempool.
 * With several receivers, one of them may hold on to a buffer while the others
 * run laps around it; then buffers come from a second ring, to which the
 * receivers return them: a mempool without its caches. A send is one bulk
 * enqueue of `batch` references, a receive one burst dequeue. */
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

/* Shared memory: the ring, the ring of free buffers, the buffers. */
struct sender {
    void *refs[BURST]; /* of the messages being sent */
    uint64_t next_pos; /* behind them */
};

static uint64_t ring_bytes(const struct lab_channel *channel)
{
    uint64_t bytes = (uint64_t)rte_ring_get_memsize(channel->depth);

    return (bytes + 4095) & ~UINT64_C(4095);
}

static int pooled(const struct lab_channel *channel)
{
    return channel->receivers > 1;
}

static uint32_t free_cnt(const struct lab_channel *channel)
{
    return channel->depth * 2; /* a power of two; one less is used */
}

static uint64_t free_bytes(const struct lab_channel *channel)
{
    uint64_t bytes = (uint64_t)rte_ring_get_memsize(free_cnt(channel));

    return pooled(channel) ? (bytes + 4095) & ~UINT64_C(4095) : 0;
}

/* Large messages one by one: they would only fill memory. */
static uint64_t burst_of(const struct lab_channel *channel)
{
    return channel->size > 65536 ? 1 : BURST;
}

/* Of one sender. It never runs more than the ring ahead of the receiver, which
 * may still read one burst; and it prepares one. */
static uint64_t buffer_cnt(const struct lab_channel *channel)
{
    if (pooled(channel))
        return free_cnt(channel);
    return channel->depth + burst_of(channel) * 2;
}

static uint64_t buffers_off(const struct lab_channel *channel)
{
    return ring_bytes(channel) + free_bytes(channel);
}

static struct rte_ring *free_ring(const struct lab_channel *channel)
{
    unsigned char *mem = channel->shared;

    return (struct rte_ring *)(void *)(mem + ring_bytes(channel));
}

static int init_pool(struct lab_channel *channel)
{
    struct rte_ring *ring = free_ring(channel);

    if (rte_ring_init(ring, "free", free_cnt(channel), 0))
        return -1;
    for (uint64_t i = 0; i + 1 < free_cnt(channel); i++) {
        uint64_t off = buffers_off(channel) + i * channel->size;

        rte_ring_enqueue(ring, (void *)(uintptr_t)off);
    }
    return 0;
}

static int create_flags(struct lab_channel *channel, unsigned int flags)
{
    uint64_t senders = pooled(channel) ? 1 : channel->senders;
    uint64_t bytes =
        buffers_off(channel) + buffer_cnt(channel) * channel->size * senders;

    if (lab_shared_create(channel, bytes))
        return -1;
    if (rte_ring_init(channel->shared, "lab", channel->depth, flags) ||
        (pooled(channel) && init_pool(channel))) {
        lab_shared_destroy(channel);
        strcpy(channel->error, "rte_ring_init failed");
        return -1;
    }
    return 0;
}

static int create_mpsc(struct lab_channel *channel)
{
    return create_flags(channel, RING_F_SC_DEQ);
}

static int create_mpmc(struct lab_channel *channel)
{
    return create_flags(channel, 0);
}

static int create_hts(struct lab_channel *channel)
{
    return create_flags(channel, RING_F_MP_HTS_ENQ | RING_F_MC_HTS_DEQ);
}

static int create_rts(struct lab_channel *channel)
{
    return create_flags(channel, RING_F_MP_RTS_ENQ | RING_F_MC_RTS_DEQ);
}

static int open_end(struct lab_end *end)
{
    end->handle = end->channel->shared;
    end->pos = 0;
    if (end->role == LAB_RECEIVER)
        return 0;
    end->more = calloc(1, sizeof(struct sender));
    return end->more ? 0 : -1;
}

static void close_end(struct lab_end *end)
{
    free(end->more);
}

/* References to the sender's next buffers; 0 when there are none now. A
 * reference is an offset into the shared memory, since it has another address
 * in every process. */
static inline uint32_t take_buffers(
    struct lab_end *end, struct sender *sender, uint32_t cnt)
{
    const struct lab_channel *channel = end->channel;
    uint64_t limit = buffer_cnt(channel), pos = end->pos;
    uint64_t first = buffers_off(channel) + end->idx * limit * channel->size;

    if (pooled(channel))
        return rte_ring_dequeue_bulk(
            free_ring(channel), sender->refs, cnt, NULL);
    for (uint32_t i = 0; i < cnt; i++) {
        sender->refs[i] = (void *)(uintptr_t)(first + pos * channel->size);
        if (++pos == limit)
            pos = 0;
    }
    sender->next_pos = pos;
    return cnt;
}

/* Payloads into buffers. */
static inline int stage(
    struct lab_end *end, struct sender *sender, const void *src, uint32_t cnt)
{
    unsigned char *base = end->handle;
    const unsigned char *from = src;
    uint64_t size = end->channel->size;

    if (take_buffers(end, sender, cnt) == 0)
        return -1;
    for (uint32_t i = 0; i < cnt; i++) {
        unsigned char *to = base + (uintptr_t)sender->refs[i];

        if (size == 64)
            memcpy(to, from + i * UINT64_C(64), 64);
        else
            memcpy(to, from + i * size, size);
    }
    end->staged = 1;
    return 0;
}

static uint32_t send_bulk(struct lab_end *end, const void *src, uint32_t cnt)
{
    struct sender *sender = end->more;

    if (!end->staged && stage(end, sender, src, cnt))
        return 0;
    if (rte_ring_enqueue_bulk(end->handle, sender->refs, cnt, NULL) == 0)
        return 0;
    end->staged = 0;
    end->pos = sender->next_pos;
    return cnt;
}

static uint32_t receive_burst(
    struct lab_end *end, struct lab_sink *sink, uint32_t max)
{
    unsigned char *base = end->handle;
    void *refs[BURST];
    unsigned int n;

    if (max > burst_of(end->channel))
        max = (uint32_t)burst_of(end->channel);
    n = rte_ring_dequeue_burst(end->handle, refs, max, NULL);
    for (unsigned int i = 0; i < n; i++)
        lab_sink_take(sink, base + (uintptr_t)refs[i], end->channel->size);
    if (n && pooled(end->channel))
        rte_ring_enqueue_bulk(free_ring(end->channel), refs, n, NULL);
    return n;
}

#define VERBS(create_) \
    .version = "DPDK " LAB_DPDK_VERSION, .create = create_, \
    .destroy = lab_shared_destroy, .open = open_end, .close = close_end, \
    .send = send_bulk, .receive = receive_burst, \
    .footprint = lab_shared_footprint,
#else
#define VERBS(create_) .missing = "libdpdk-dev",
#endif

#define MANY (LAB_CAP_MANY_TX | LAB_CAP_MANY_RX | LAB_CAP_REOPEN)

const struct lab_transport lab_dpdk_mpsc = {.name = "dpdk-mpsc",
    .kind = "peer",
    .what = "DPDK rte_ring, many senders, one receiver",
    .caps = LAB_CAP_MANY_TX | LAB_CAP_REOPEN,
    VERBS(create_mpsc)};

const struct lab_transport lab_dpdk_mpsc64 = {.name = "dpdk-mpsc-64",
    .kind = "peer",
    .what = "DPDK rte_ring, many senders, one receiver, bulks of 64",
    .caps = LAB_CAP_MANY_TX | LAB_CAP_REOPEN,
    .batch = 64,
    VERBS(create_mpsc)};

const struct lab_transport lab_dpdk_mpmc = {.name = "dpdk-mpmc",
    .kind = "peer",
    .what = "DPDK rte_ring, many senders and receivers",
    .caps = MANY,
    VERBS(create_mpmc)};

const struct lab_transport lab_dpdk_hts = {.name = "dpdk-hts",
    .kind = "peer",
    .what = "DPDK rte_ring, head-tail sync on both sides",
    .caps = MANY,
    VERBS(create_hts)};

const struct lab_transport lab_dpdk_rts = {.name = "dpdk-rts",
    .kind = "peer",
    .what = "DPDK rte_ring, relaxed tail sync on both sides",
    .caps = MANY,
    VERBS(create_rts)};
