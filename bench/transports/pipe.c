/* pipe.c - peer: an anonymous pipe, blocking, one write and read a message.
 *
 * Writes of up to PIPE_BUF bytes are whole, so several ends can share one pipe.
 * They must not block for good when another end dies, so these wait with poll
 * when there is no room or nothing to read. */
#define _GNU_SOURCE
#include "../transport.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_MS 100

static int many(const struct lab_channel *channel)
{
    return channel->senders > 1 || channel->receivers > 1;
}

static int create(struct lab_channel *channel)
{
    int flags = many(channel) ? O_NONBLOCK : 0;

    if (many(channel) && channel->size > PIPE_BUF) {
        strcpy(channel->error, "more than PIPE_BUF bytes: one end a side");
        return -1;
    }
    if (pipe2(channel->fds, O_CLOEXEC | flags)) {
        lab_explain(channel->error, "pipe", errno);
        return -1;
    }
    /* As large as an unprivileged process may have it. */
    fcntl(channel->fds[1], F_SETPIPE_SZ, 1 << 20);
    return 0;
}

static void destroy(struct lab_channel *channel)
{
    close(channel->fds[0]);
    close(channel->fds[1]);
}

static int open_end(struct lab_end *end)
{
    if (posix_memalign(&end->more, 4096, end->channel->size) == 0)
        return 0;
    strcpy(end->error, "out of memory");
    return -1;
}

static void close_end(struct lab_end *end)
{
    free(end->more);
}

/* Nothing was moved; the caller tries again. */
static uint32_t wait_for(int fd, short events)
{
    struct pollfd ready = {.fd = fd, .events = events};

    poll(&ready, 1, PATIENCE_MS);
    return 0;
}

static uint32_t send_one(struct lab_end *end, const void *src, uint32_t cnt)
{
    const unsigned char *at = src;
    size_t left = end->channel->size;

    while (left) {
        ssize_t n = write(end->channel->fds[1], at, left);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return wait_for(end->channel->fds[1], POLLOUT);
        if (n < 0) {
            lab_explain(end->error, "write", errno);
            return LAB_FAILED;
        }
        at += n;
        left -= (size_t)n;
    }
    return cnt;
}

static uint32_t receive_one(
    struct lab_end *end, struct lab_sink *sink, uint32_t max)
{
    unsigned char *at = end->more;
    size_t left = end->channel->size;

    (void)max;
    while (left) {
        ssize_t n = read(end->channel->fds[0], at, left);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return wait_for(end->channel->fds[0], POLLIN);
        if (n <= 0) {
            lab_explain(end->error, "read", n < 0 ? errno : EPIPE);
            return LAB_FAILED;
        }
        at += n;
        left -= (size_t)n;
    }
    lab_sink_take(sink, end->more, end->channel->size);
    return 1;
}

static uint32_t wait_one(
    struct lab_end *end, struct lab_sink *sink, uint64_t timeout_ns)
{
    (void)timeout_ns;
    return receive_one(end, sink, 1);
}

const struct lab_transport lab_pipe = {
    .name = "pipe",
    .kind = "peer",
    .what = "anonymous pipe, blocking",
    .caps = LAB_CAP_WAIT | LAB_CAP_BLOCKS | LAB_CAP_MANY_TX | LAB_CAP_MANY_RX,
    .create = create,
    .destroy = destroy,
    .open = open_end,
    .close = close_end,
    .send = send_one,
    .receive = receive_one,
    .wait = wait_one,
};
