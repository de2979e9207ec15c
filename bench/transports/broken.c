/* broken.c - for the lab's self-test: our SPSC ring with a sender that damages
 * one message, to see whether the lab notices. */
#include "handicap.h"
#include "table.h"

#include <string.h>

#define AT 5u /* the message that is damaged */
#define SIZE 64u

enum lab_damage lab_damage;

static int create(struct lab_channel *channel)
{
    return lab_ours_spsc.create(channel);
}

static void destroy(struct lab_channel *channel)
{
    lab_ours_spsc.destroy(channel);
}

static int open_end(struct lab_end *end)
{
    return lab_ours_spsc.open(end);
}

static void close_end(struct lab_end *end)
{
    lab_ours_spsc.close(end);
}

/* Tries until there is room: `src` and nothing else is to follow now. */
static uint32_t insist(struct lab_end *end, const void *src)
{
    uint32_t n;

    while ((n = lab_ours_spsc.send(end, src, 1)) == 0)
        continue;
    return n;
}

static uint32_t send_damaged(struct lab_end *end, const void *src)
{
    static unsigned char kept[SIZE];
    unsigned char other[SIZE];

    memcpy(other, src, SIZE);
    switch (lab_damage) {
    case LAB_LOSE:
        return 1;
    case LAB_TWICE:
        insist(end, src);
        return insist(end, src);
    case LAB_FLIP:
        other[SIZE - 9] ^= 4;
        return insist(end, other);
    case LAB_SWAP: /* goes out behind the next one */
        if (end->busy_until == AT) {
            memcpy(kept, src, SIZE);
            return 1;
        }
        insist(end, src);
        return insist(end, kept);
    case LAB_WHOLE:
        break;
    }
    return insist(end, src);
}

/* end->busy_until counts messages here. */
static uint32_t send_one(struct lab_end *end, const void *src, uint32_t cnt)
{
    uint32_t n;

    if (end->busy_until == AT ||
        (lab_damage == LAB_SWAP && end->busy_until == AT + 1)) {
        n = send_damaged(end, src);
        end->busy_until++;
        return n;
    }
    n = lab_ours_spsc.send(end, src, cnt);
    end->busy_until += n == cnt;
    return n;
}

static uint32_t receive(
    struct lab_end *end, struct lab_sink *sink, uint32_t max)
{
    return lab_ours_spsc.receive(end, sink, max);
}

const struct lab_transport lab_broken = {
    .name = "broken",
    .kind = "ours",
    .what = "self-test: spsc that damages a message",
    .caps = LAB_CAP_SIM,
    .create = create,
    .destroy = destroy,
    .open = open_end,
    .close = close_end,
    .send = send_one,
    .receive = receive,
};
