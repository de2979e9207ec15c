/* handover_all.c - floor: all bytes of a message handed from core to core.
 *
 * Like `handover`, but with the whole message: flag first, message behind it,
 * in a ring of places, as every ring with in-band flags must lay it out. No
 * room check; so one message at a time, in ping-pong only. The difference to
 * `handover` is what the further lines cost; the rest of a ring's latency is
 * its own doing. */
#include "../transport.h"

#include <stdatomic.h>
#include <string.h>

#define PLACES 64u

static uint64_t place_bytes(const struct lab_channel *channel)
{
    return (sizeof(uint64_t) + channel->size + 63) & ~UINT64_C(63);
}

static int create(struct lab_channel *channel)
{
    return lab_shared_create(channel, place_bytes(channel) * PLACES);
}

static int open_end(struct lab_end *end)
{
    end->handle = end->channel->shared;
    end->pos = 1;
    return 0;
}

static void close_end(struct lab_end *end)
{
    (void)end;
}

static unsigned char *place(const struct lab_end *end)
{
    return (unsigned char *)end->handle +
        end->pos % PLACES * place_bytes(end->channel);
}

static uint32_t send_one(struct lab_end *end, const void *src, uint32_t cnt)
{
    unsigned char *at = place(end);

    (void)cnt;
    if (end->channel->size == 64)
        memcpy(at + sizeof(uint64_t), src, 64);
    else
        memcpy(at + sizeof(uint64_t), src, end->channel->size);
    atomic_store_explicit(
        (_Atomic uint64_t *)(void *)at, end->pos, memory_order_release);
    end->pos++;
    return 1;
}

static uint32_t receive_one(
    struct lab_end *end, struct lab_sink *sink, uint32_t max)
{
    unsigned char *at = place(end);

    (void)max;
    if (atomic_load_explicit(
            (_Atomic uint64_t *)(void *)at, memory_order_acquire) != end->pos)
        return 0;
    end->pos++;
    lab_sink_take(sink, at + sizeof(uint64_t), end->channel->size);
    return 1;
}

const struct lab_transport lab_handover_all = {
    .name = "handover-all",
    .kind = "floor",
    .what = "all bytes of the message from core to core, no ring",
    .caps = LAB_CAP_NO_STREAM,
    .create = create,
    .destroy = lab_shared_destroy,
    .open = open_end,
    .close = close_end,
    .send = send_one,
    .receive = receive_one,
    .footprint = lab_shared_footprint,
};
