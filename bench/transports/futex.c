/* futex.c - floor: a bare futex, the least that waking a sleeper can cost.
 *
 * One word counts the messages, one line carries up to 56 bytes of the newest.
 * The receiver sleeps on the word; the sender stores and wakes. One message
 * at a time. */
#define _GNU_SOURCE
#include "../transport.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct line {
    uint64_t words[7];
    _Atomic uint32_t flag; /* number of the message in the line */
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
    uint32_t size = end->channel->size;

    (void)cnt;
    if (size > sizeof(line->words))
        size = sizeof(line->words);
    memcpy(line->words, src, size);
    atomic_store(&line->flag, (uint32_t)end->pos++);
    syscall(SYS_futex, &line->flag, FUTEX_WAKE, 1, NULL, NULL, 0);
    return 1;
}

static uint32_t receive_one(
    struct lab_end *end, struct lab_sink *sink, uint32_t max)
{
    struct line *line = end->handle;

    (void)max;
    if (atomic_load(&line->flag) != (uint32_t)end->pos)
        return 0;
    end->pos++;
    lab_sink_take(sink, line->words, sink->size);
    return 1;
}

static uint32_t wait_one(
    struct lab_end *end, struct lab_sink *sink, uint64_t timeout_ns)
{
    struct timespec left = {.tv_sec = (time_t)(timeout_ns / 1000000000u),
        .tv_nsec = (long)(timeout_ns % 1000000000u)};
    struct line *line = end->handle;

    if (atomic_load(&line->flag) != (uint32_t)end->pos)
        syscall(SYS_futex, &line->flag, FUTEX_WAIT, (uint32_t)end->pos - 1,
            &left, NULL, 0);
    return receive_one(end, sink, 1);
}

const struct lab_transport lab_futex = {
    .name = "futex",
    .kind = "floor",
    .what = "a bare futex: store, wake, sleep",
    .caps = LAB_CAP_NO_STREAM | LAB_CAP_LINE | LAB_CAP_WAIT,
    .create = create,
    .destroy = lab_shared_destroy,
    .open = open_end,
    .close = close_end,
    .send = send_one,
    .receive = receive_one,
    .wait = wait_one,
    .footprint = lab_shared_footprint,
};
