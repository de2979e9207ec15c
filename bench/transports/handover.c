/* handover.c - floor: one cache line handed from core to core.
 *
 * The least that any message through memory can cost: the sender writes one
 * line (up to 56 bytes of the message, then the flag), the receiver spins on
 * the flag and reads the line. No ring, no copy, no room check; so one message
 * at a time, in ping-pong only. */
#include "../clock.h"
#include "../transport.h"

#include <stdatomic.h>
#include <string.h>

struct line {
    uint64_t words[7];
    _Atomic uint64_t flag; /* number of the message in the line */
};

static int create(struct lab_channel *channel)
{
    return lab_shared_create(channel, 4096);
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

static uint32_t send_one(struct lab_end *end, const void *src, uint32_t cnt)
{
    struct line *line = end->handle;

    (void)cnt;
    if (end->channel->size >= sizeof(line->words))
        memcpy(line->words, src, sizeof(line->words));
    else
        memcpy(line->words, src, end->channel->size);
    atomic_store_explicit(&line->flag, end->pos++, memory_order_release);
    return 1;
}

static uint32_t receive_one(
    struct lab_end *end, struct lab_sink *sink, uint32_t max)
{
    struct line *line = end->handle;

    (void)max;
    if (atomic_load_explicit(&line->flag, memory_order_acquire) != end->pos)
        return 0;
    end->pos++;
    /* The line stands for the whole message. */
    lab_sink_take(sink, line->words, sink->size);
    return 1;
}

const struct lab_transport lab_handover = {
    .name = "handover",
    .kind = "floor",
    .what = "one cache line from core to core",
    .caps = LAB_CAP_NO_STREAM | LAB_CAP_LINE,
    .create = create,
    .destroy = lab_shared_destroy,
    .open = open_end,
    .close = close_end,
    .send = send_one,
    .receive = receive_one,
    .footprint = lab_shared_footprint,
};
