/* zmq.c - peer: ZeroMQ PUSH/PULL over inproc, ipc and tcp, blocking. The side
 * with one end binds. */
#define _GNU_SOURCE
#include "../transport.h"

#ifdef SHMQ_HAVE_ZMQ

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

#define TEXT(x) #x
#define VERSION_TEXT(a, b, c) TEXT(a) "." TEXT(b) "." TEXT(c)
#define LAB_ZMQ_VERSION \
    "ZeroMQ " VERSION_TEXT( \
        ZMQ_VERSION_MAJOR, ZMQ_VERSION_MINOR, ZMQ_VERSION_PATCH)

#define PATIENCE_MS 100
#define LINGER_MS 10000

/* One side binds, the other connects: with many on both sides nobody could
 * bind without a proxy between them. */
static int refused(struct lab_channel *channel)
{
    if (channel->senders == 1 || channel->receivers == 1)
        return 0;
    strcpy(channel->error, "many to many needs a proxy");
    return 1;
}

/* Of threads that share it. */
struct shared_ctx {
    void *ctx;
    atomic_int sockets; /* open */
};

static int create_inproc(struct lab_channel *channel)
{
    struct shared_ctx *shared =
        refused(channel) ? NULL : calloc(1, sizeof(*shared));

    channel->state = shared;
    if (shared)
        shared->ctx = zmq_ctx_new();
    if (shared && shared->ctx)
        return 0;
    free(shared);
    if (!channel->error[0])
        strcpy(channel->error, "zmq_ctx_new failed");
    return -1;
}

/* zmq_ctx_term waits for every socket to be closed; after a failure one may
 * never be, then the context is left alone. */
static void destroy_inproc(struct lab_channel *channel)
{
    struct shared_ctx *shared = channel->state;

    if (!shared)
        return;
    if (atomic_load(&shared->sockets) == 0)
        zmq_ctx_term(shared->ctx);
    else
        zmq_ctx_shutdown(shared->ctx);
    free(shared);
}

static int create_ipc(struct lab_channel *channel)
{
    return refused(channel) ? -1 : 0;
}

static void destroy_none(struct lab_channel *channel)
{
    (void)channel;
}

/* Finds a free port of the loopback interface; fds[0] keeps its number. */
static int create_tcp(struct lab_channel *channel)
{
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    int fd =
        refused(channel) ? -1 : socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (channel->error[0])
        return -1;
    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, len) ||
        getsockname(fd, (struct sockaddr *)&addr, &len)) {
        lab_explain(channel->error, "socket", errno);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    close(fd);
    channel->fds[0] = ntohs(addr.sin_port);
    return 0;
}

static void address(const struct lab_end *end, char *text, size_t cap)
{
    const struct lab_channel *channel = end->channel;

    if (channel->transport->caps & LAB_CAP_THREADS)
        snprintf(text, cap, "inproc://%s", channel->name);
    else if (channel->fds[0] > 0)
        snprintf(text, cap, "tcp://127.0.0.1:%d", channel->fds[0]);
    else
        snprintf(text, cap, "ipc://@%s", channel->name);
}

static void set_options(void *socket, const struct lab_channel *channel)
{
    int hwm = (int)channel->depth, patience = PATIENCE_MS, linger = LINGER_MS;
    int retry = 1;

    zmq_setsockopt(socket, ZMQ_SNDHWM, &hwm, sizeof(hwm));
    zmq_setsockopt(socket, ZMQ_RCVHWM, &hwm, sizeof(hwm));
    zmq_setsockopt(socket, ZMQ_SNDTIMEO, &patience, sizeof(patience));
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &patience, sizeof(patience));
    /* A connect that came before the bind is tried again soon. */
    zmq_setsockopt(socket, ZMQ_RECONNECT_IVL, &retry, sizeof(retry));
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof(linger));
}

static int failed(struct lab_end *end, const char *what)
{
    snprintf(end->error, sizeof(end->error), "%s: %s", what,
        zmq_strerror(zmq_errno()));
    return -1;
}

static int open_end(struct lab_end *end)
{
    int binds = (end->role == LAB_RECEIVER) == (end->channel->receivers == 1);
    struct shared_ctx *shared = end->channel->state;
    void *ctx = shared ? shared->ctx : zmq_ctx_new();
    char text[128];
    void *socket;
    int rc;

    if (!ctx)
        return failed(end, "zmq_ctx_new");
    socket = zmq_socket(ctx, end->role == LAB_SENDER ? ZMQ_PUSH : ZMQ_PULL);
    if (!socket)
        return failed(end, "zmq_socket");
    set_options(socket, end->channel);
    address(end, text, sizeof(text));
    rc = binds ? zmq_bind(socket, text) : zmq_connect(socket, text);
    if (rc) {
        failed(end, text);
        zmq_close(socket);
        return -1;
    }
    if (shared)
        atomic_fetch_add(&shared->sockets, 1);
    end->handle = socket;
    end->more = ctx;
    return 0;
}

static void close_end(struct lab_end *end)
{
    struct shared_ctx *shared = end->channel->state;

    zmq_close(end->handle);
    if (shared)
        atomic_fetch_sub(&shared->sockets, 1);
    else
        zmq_ctx_term(end->more);
}

static uint32_t send_one(struct lab_end *end, const void *src, uint32_t cnt)
{
    if (zmq_send(end->handle, src, end->channel->size, 0) >= 0)
        return cnt;
    if (zmq_errno() == EAGAIN || zmq_errno() == EINTR)
        return 0;
    failed(end, "zmq_send");
    return LAB_FAILED;
}

static uint32_t receive_one(
    struct lab_end *end, struct lab_sink *sink, uint32_t max)
{
    zmq_msg_t msg;

    (void)max;
    zmq_msg_init(&msg);
    if (zmq_msg_recv(&msg, end->handle, 0) < 0) {
        int again = zmq_errno() == EAGAIN || zmq_errno() == EINTR;

        zmq_msg_close(&msg);
        if (again)
            return 0;
        failed(end, "zmq_msg_recv");
        return LAB_FAILED;
    }
    lab_sink_take(sink, zmq_msg_data(&msg), zmq_msg_size(&msg));
    zmq_msg_close(&msg);
    return 1;
}

static uint32_t wait_one(
    struct lab_end *end, struct lab_sink *sink, uint64_t timeout_ns)
{
    (void)timeout_ns;
    return receive_one(end, sink, 1);
}

#define VERBS(create_, destroy_) \
    .version = LAB_ZMQ_VERSION, .create = create_, .destroy = destroy_, \
    .open = open_end, .close = close_end, .send = send_one, \
    .receive = receive_one, .wait = wait_one
#else
#define VERBS(create_, destroy_) .missing = "libzmq3-dev"
#endif

#define CAPS (LAB_CAP_WAIT | LAB_CAP_BLOCKS | LAB_CAP_MANY_TX | LAB_CAP_MANY_RX)

const struct lab_transport lab_zmq_inproc = {
    .name = "zmq-inproc",
    .kind = "peer",
    .what = "ZeroMQ PUSH/PULL between threads",
    .caps = CAPS | LAB_CAP_THREADS,
    VERBS(create_inproc, destroy_inproc),
};

const struct lab_transport lab_zmq_ipc = {
    .name = "zmq-ipc",
    .kind = "peer",
    .what = "ZeroMQ PUSH/PULL over ipc",
    .caps = CAPS | LAB_CAP_REOPEN,
    VERBS(create_ipc, destroy_none),
};

const struct lab_transport lab_zmq_tcp = {
    .name = "zmq-tcp",
    .kind = "peer",
    .what = "ZeroMQ PUSH/PULL over loopback tcp",
    .caps = CAPS | LAB_CAP_REOPEN,
    VERBS(create_tcp, destroy_none),
};
