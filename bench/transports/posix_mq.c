/* posix_mq.c - peer: POSIX message queues, blocking. */
#define _GNU_SOURCE
#include "../leftovers.h"
#include "../transport.h"

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static void queue_name(const char *channel, char *name, size_t cap)
{
    snprintf(name, cap, "/shmq-%s", channel);
}

static void remove_queue(const char *channel)
{
    char name[80];

    queue_name(channel, name, sizeof(name));
    mq_unlink(name);
}

/* As deep as this user's limits allow. */
static int create(struct lab_channel *channel)
{
    struct mq_attr attr = {.mq_msgsize = (long)channel->size};
    char name[80];

    queue_name(channel->name, name, sizeof(name));
    lab_leftovers_note(channel->name, remove_queue);
    for (long depth = 1024; depth >= 1;
         depth = depth > 10 ? depth / 2 : depth - 1) {
        mqd_t q;

        attr.mq_maxmsg = depth;
        q = mq_open(name, O_CREAT | O_EXCL | O_RDWR, 0600, &attr);
        if (q != (mqd_t)-1) {
            mq_close(q);
            return 0;
        }
        if (errno != EINVAL && errno != EMFILE && errno != ENOMEM)
            break;
    }
    lab_explain(channel->error, "mq_open", errno);
    lab_leftovers_forget(channel->name);
    return -1;
}

static void destroy(struct lab_channel *channel)
{
    remove_queue(channel->name);
    lab_leftovers_forget(channel->name);
}

static int open_end(struct lab_end *end)
{
    int flags = end->role == LAB_SENDER ? O_WRONLY : O_RDONLY;
    char name[80];
    mqd_t q;

    queue_name(end->channel->name, name, sizeof(name));
    q = mq_open(name, flags);
    if (q == (mqd_t)-1) {
        lab_explain(end->error, "mq_open", errno);
        return -1;
    }
    end->pos = (uint64_t)q;
    if (posix_memalign(&end->more, 4096, end->channel->size) == 0)
        return 0;
    strcpy(end->error, "out of memory");
    mq_close(q);
    return -1;
}

static void close_end(struct lab_end *end)
{
    mq_close((mqd_t)end->pos);
    free(end->more);
}

static void deadline(struct timespec *ts, uint64_t timeout_ns)
{
    clock_gettime(CLOCK_REALTIME, ts);
    timeout_ns += (uint64_t)ts->tv_nsec;
    ts->tv_sec += (time_t)(timeout_ns / 1000000000u);
    ts->tv_nsec = (long)(timeout_ns % 1000000000u);
}

static uint32_t send_one(struct lab_end *end, const void *src, uint32_t cnt)
{
    struct timespec until;

    deadline(&until, 100000000);
    if (mq_timedsend((mqd_t)end->pos, src, end->channel->size, 0, &until) == 0)
        return cnt;
    if (errno == EINTR || errno == ETIMEDOUT)
        return 0;
    lab_explain(end->error, "mq_send", errno);
    return LAB_FAILED;
}

static uint32_t wait_one(
    struct lab_end *end, struct lab_sink *sink, uint64_t timeout_ns)
{
    struct timespec until;
    ssize_t n;

    deadline(&until, timeout_ns);
    n = mq_timedreceive(
        (mqd_t)end->pos, end->more, end->channel->size, NULL, &until);
    if (n < 0 && (errno == EINTR || errno == ETIMEDOUT))
        return 0;
    if (n < 0) {
        lab_explain(end->error, "mq_receive", errno);
        return LAB_FAILED;
    }
    lab_sink_take(sink, end->more, (uint64_t)n);
    return 1;
}

static uint32_t receive_one(
    struct lab_end *end, struct lab_sink *sink, uint32_t max)
{
    (void)max;
    return wait_one(end, sink, 100000000);
}

const struct lab_transport lab_posix_mq = {
    .name = "posix-mq",
    .kind = "peer",
    .what = "POSIX message queue, blocking",
    .caps = LAB_CAP_WAIT | LAB_CAP_BLOCKS | LAB_CAP_MANY_TX | LAB_CAP_MANY_RX |
        LAB_CAP_REOPEN,
    .create = create,
    .destroy = destroy,
    .open = open_end,
    .close = close_end,
    .send = send_one,
    .receive = receive_one,
    .wait = wait_one,
};
