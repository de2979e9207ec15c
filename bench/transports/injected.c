/* injected.c - for the lab's self-test: a queue whose server takes a known time
 * for each message, so that the distribution of latencies is known exactly.
 *
 * Message `seq` is handed out lab_injected_ns(seq) after it arrived or after
 * the one before it was handed out, whichever is later: a queue with one
 * server. Arrival is when the sender put it there. */
#include "../clock.h"
#include "../transport.h"
#include "handicap.h"

#include <stdatomic.h>
#include <string.h>

#define SLOTS 65536u

struct lab_injection lab_injection;

struct slot {
    _Atomic uint64_t number; /* of the message in it, from 1 */
    uint64_t arrival; /* ticks */
    uint64_t first; /* word of the message */
};

static int create(struct lab_channel *channel)
{
    return lab_shared_create(channel, sizeof(struct slot) * SLOTS);
}

static int open_end(struct lab_end *end)
{
    end->handle = end->channel->shared;
    end->pos = 0;
    end->busy_until = 0;
    return 0;
}

static void close_end(struct lab_end *end)
{
    (void)end;
}

/* There is no room check: the self-test never has so many under way. */
static uint32_t send_one(struct lab_end *end, const void *src, uint32_t cnt)
{
    struct slot *slot = (struct slot *)end->handle + end->pos % SLOTS;

    slot->arrival = lab_ticks();
    memcpy(&slot->first, src, sizeof(slot->first));
    atomic_store_explicit(&slot->number, ++end->pos, memory_order_release);
    return cnt;
}

static uint32_t receive_one(
    struct lab_end *end, struct lab_sink *sink, uint32_t max)
{
    struct slot *slot = (struct slot *)end->handle + end->pos % SLOTS;
    uint64_t begin, seq;

    (void)max;
    if (atomic_load_explicit(&slot->number, memory_order_acquire) !=
        end->pos + 1)
        return 0;
    end->pos++;
    seq = slot->first & LAB_SEQ_MASK;
    begin = slot->arrival > end->busy_until ? slot->arrival : end->busy_until;
    if (seq != LAB_END && !end->channel->back) {
        end->busy_until =
            begin + lab_ns_ticks(lab_injected_ns(&lab_injection, seq));
        while (lab_ticks() < end->busy_until)
            lab_relax();
    }
    lab_sink_take(sink, &slot->first, 8);
    return 1;
}

const struct lab_transport lab_injected = {
    .name = "injected",
    .kind = "floor",
    .what = "self-test: a queue with known service times",
    .caps = LAB_CAP_SIM,
    .size_max = 8,
    .create = create,
    .destroy = lab_shared_destroy,
    .open = open_end,
    .close = close_end,
    .send = send_one,
    .receive = receive_one,
};
