/* unix.c - peer: UNIX sockets (SOCK_SEQPACKET pair), blocking. */
#define _GNU_SOURCE
#include "../transport.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define SIZE_MAX_BYTES (128u << 10) /* fits the default buffer limit */

static int create(struct lab_channel *channel)
{
    struct timeval patience = {.tv_usec = 100000};
    int bytes = 1 << 20;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel->fds)) {
        lab_explain(channel->error, "socketpair", errno);
        return -1;
    }
    setsockopt(channel->fds[1], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    setsockopt(
        channel->fds[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
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

static uint32_t send_one(struct lab_end *end, const void *src, uint32_t cnt)
{
    ssize_t n =
        send(end->channel->fds[1], src, end->channel->size, MSG_NOSIGNAL);

    if (n == (ssize_t)end->channel->size)
        return cnt;
    if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOBUFS))
        return 0;
    lab_explain(end->error, "send", n < 0 ? errno : EMSGSIZE);
    return LAB_FAILED;
}

static uint32_t receive_one(
    struct lab_end *end, struct lab_sink *sink, uint32_t max)
{
    ssize_t n = recv(end->channel->fds[0], end->more, end->channel->size, 0);

    (void)max;
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    if (n <= 0) {
        lab_explain(end->error, "recv", n < 0 ? errno : EPIPE);
        return LAB_FAILED;
    }
    lab_sink_take(sink, end->more, (uint64_t)n);
    return 1;
}

static uint32_t wait_one(
    struct lab_end *end, struct lab_sink *sink, uint64_t timeout_ns)
{
    (void)timeout_ns;
    return receive_one(end, sink, 1);
}

const struct lab_transport lab_unix = {
    .name = "unix",
    .kind = "peer",
    .what = "UNIX seqpacket socket, blocking",
    .caps = LAB_CAP_WAIT | LAB_CAP_BLOCKS | LAB_CAP_MANY_TX | LAB_CAP_MANY_RX,
    .size_max = SIZE_MAX_BYTES,
    .create = create,
    .destroy = destroy,
    .open = open_end,
    .close = close_end,
    .send = send_one,
    .receive = receive_one,
    .wait = wait_one,
};
