/* ck.c - peer: Concurrency Kit's ck_ring, in shared memory.
 *
 * Messages of up to 64 bytes are ring entries themselves (CK_RING_PROTOTYPE),
 * copied in and out, as its manual shows. Larger ones lie in buffers of the
 * sender, and the ring carries their numbers. */
#include "../transport.h"

#ifdef SHMQ_HAVE_CK

#include <ck_ring.h>
#include <stdalign.h>
#include <string.h>

#define INLINE_BYTES 64u

struct lab_ck_entry {
    unsigned char bytes[INLINE_BYTES];
};
CK_RING_PROTOTYPE(lab64, lab_ck_entry)

/* Shared memory: the ring, its entries, then the senders' buffers. */
struct area {
    alignas(128) struct ck_ring ring;
    alignas(128) struct lab_ck_entry entries[];
};

static uint64_t entries_bytes(const struct lab_channel *channel)
{
    return (uint64_t)channel->depth * INLINE_BYTES;
}

/* A sender never runs more than the ring ahead of the receivers; each of
 * them may still read one. */
static uint64_t buffer_cnt(const struct lab_channel *channel)
{
    return channel->depth + LAB_PRODUCERS_MAX;
}

static int create(struct lab_channel *channel)
{
    struct area *area;
    uint64_t bytes = sizeof(struct area) + entries_bytes(channel);

    if (channel->size > INLINE_BYTES && channel->receivers > 1) {
        strcpy(channel->error, "more than 64 bytes: one receiver only");
        return -1;
    }
    if (channel->size > INLINE_BYTES)
        bytes += buffer_cnt(channel) * channel->size * channel->senders;
    if (lab_shared_create(channel, bytes))
        return -1;
    area = channel->shared;
    ck_ring_init(&area->ring, channel->depth);
    return 0;
}

static int open_end(struct lab_end *end)
{
    end->handle = end->channel->shared;
    end->pos = 0;
    return 0;
}

static void close_end(struct lab_end *end)
{
    (void)end;
}

static unsigned char *buffer(const struct lab_channel *channel, uint64_t idx)
{
    unsigned char *mem = channel->shared;

    return mem + sizeof(struct area) + entries_bytes(channel) +
        idx * channel->size;
}

/* The ring entry that stands for the message at `src`. */
static inline void *entry_of(
    struct lab_end *end, const void *src, struct lab_ck_entry *tmp)
{
    const struct lab_channel *channel = end->channel;
    uint64_t idx;

    if (channel->size == INLINE_BYTES)
        return (void *)(uintptr_t)src;
    if (channel->size < INLINE_BYTES) {
        memcpy(tmp, src, channel->size);
        return tmp;
    }
    idx = end->idx * buffer_cnt(channel) + end->pos % buffer_cnt(channel);
    if (!end->staged)
        memcpy(buffer(channel, idx), src, channel->size);
    memcpy(tmp, &idx, sizeof(idx));
    return tmp;
}

static inline void take(struct lab_end *end, struct lab_sink *sink,
    const struct lab_ck_entry *entry)
{
    const struct lab_channel *channel = end->channel;
    uint64_t idx;

    if (channel->size <= INLINE_BYTES) {
        lab_sink_take(sink, entry, channel->size);
        return;
    }
    memcpy(&idx, entry, sizeof(idx));
    lab_sink_take(sink, buffer(channel, idx), channel->size);
}

static uint32_t send_spsc(struct lab_end *end, const void *src, uint32_t cnt)
{
    struct area *area = end->handle;
    struct lab_ck_entry tmp;

    (void)cnt;
    if (!ck_ring_enqueue_spsc_lab64(
            &area->ring, area->entries, entry_of(end, src, &tmp))) {
        end->staged = 1;
        return 0;
    }
    end->staged = 0;
    end->pos++;
    return 1;
}

static uint32_t receive_spsc(
    struct lab_end *end, struct lab_sink *sink, uint32_t max)
{
    struct area *area = end->handle;
    struct lab_ck_entry entry;
    uint32_t n = 0;

    while (n < max &&
        ck_ring_dequeue_spsc_lab64(&area->ring, area->entries, &entry)) {
        take(end, sink, &entry);
        n++;
    }
    return n;
}

static uint32_t send_mpmc(struct lab_end *end, const void *src, uint32_t cnt)
{
    struct area *area = end->handle;
    struct lab_ck_entry tmp;

    (void)cnt;
    if (!ck_ring_enqueue_mpmc_lab64(
            &area->ring, area->entries, entry_of(end, src, &tmp))) {
        end->staged = 1;
        return 0;
    }
    end->staged = 0;
    end->pos++;
    return 1;
}

static uint32_t receive_mpmc(
    struct lab_end *end, struct lab_sink *sink, uint32_t max)
{
    struct area *area = end->handle;
    struct lab_ck_entry entry;
    uint32_t n = 0;

    while (n < max &&
        ck_ring_dequeue_mpmc_lab64(&area->ring, area->entries, &entry)) {
        take(end, sink, &entry);
        n++;
    }
    return n;
}

#define VERBS(kind_) \
    .version = "ck " CK_VERSION, .create = create, \
    .destroy = lab_shared_destroy, .open = open_end, .close = close_end, \
    .send = send_##kind_, .receive = receive_##kind_, \
    .footprint = lab_shared_footprint,
#else
#define VERBS(kind_) .missing = "libck-dev",
#endif

const struct lab_transport lab_ck_spsc = {.name = "ck-spsc",
    .kind = "peer",
    .what = "Concurrency Kit ring, one sender, one receiver",
    .caps = LAB_CAP_REOPEN,
    VERBS(spsc)};

const struct lab_transport lab_ck_mpmc = {.name = "ck-mpmc",
    .kind = "peer",
    .what = "Concurrency Kit ring, many senders and receivers",
    .caps = LAB_CAP_MANY_TX | LAB_CAP_MANY_RX | LAB_CAP_REOPEN,
    VERBS(mpmc)};
