/* handicap.c - for the lab's self-test: our SPSC ring, made slower by a known
 * amount, to see whether `compare` notices. */
#include "handicap.h"

#include "table.h"

uint32_t lab_handicap_steps;

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

static uint32_t send_slowly(struct lab_end *end, const void *src, uint32_t cnt)
{
    lab_handicap_burn(lab_handicap_steps);
    return lab_ours_spsc.send(end, src, cnt);
}

static uint32_t receive(
    struct lab_end *end, struct lab_sink *sink, uint32_t max)
{
    return lab_ours_spsc.receive(end, sink, max);
}

const struct lab_transport lab_handicap = {
    .name = "handicap",
    .kind = "ours",
    .what = "self-test: spsc made slower",
    .caps = LAB_CAP_SIM,
    .create = create,
    .destroy = destroy,
    .open = open_end,
    .close = close_end,
    .send = send_slowly,
    .receive = receive,
};
