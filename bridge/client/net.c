/* net.c - sockets by libzmq. */
#include "net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

/* A connection that ends is not made anew by ZeroMQ: the client does that, long
 * before. Neither an interval of -1, which means never, nor ZMQ_IMMEDIATE will
 * do: with them the socket gives the connection up as soon as it hears of its
 * end, and ends the process (fq.cpp, !_more) when that is between two parts of
 * a message being received. */
#define NEVER_MS 3600000

struct shmqr_net {
    void *context;
    uint32_t monitor_cnt;
};

struct shmqr_socket {
    void *socket;
    void *monitor; /* of a DEALER */
};

int shmqr_net_open(struct shmqr_net **ret)
{
    struct shmqr_net *net = calloc(1, sizeof *net);
    if (!net)
        return ENOMEM;
    net->context = zmq_ctx_new();
    if (!net->context) {
        free(net);
        return ENOMEM;
    }
    *ret = net;
    return 0;
}

void shmqr_net_close(struct shmqr_net *net)
{
    if (!net)
        return;
    while (zmq_ctx_term(net->context) != 0 && errno == EINTR) {
    }
    free(net);
}

static bool key_legal(const char *key)
{
    uint8_t bytes[32];
    return strlen(key) == 40 && zmq_z85_decode(bytes, key) != NULL;
}

int shmqr_keys_check(const struct shmqr_keys *keys)
{
    if (!keys->server_key)
        return 0;
    if (!key_legal(keys->server_key) || !zmq_has("curve"))
        return EINVAL;
    bool legal = (!keys->secret_key || key_legal(keys->secret_key)) &&
        (!keys->public_key ||
            (keys->secret_key && key_legal(keys->public_key)));
    return legal ? 0 : EINVAL;
}

int shmqr_keys_make(char public_key[41], char secret_key[41])
{
    return zmq_curve_keypair(public_key, secret_key) ? errno : 0;
}

int shmqr_keys_public(char public_key[41], const char *secret_key)
{
    return zmq_curve_public(public_key, secret_key) ? errno : 0;
}

static int set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value);
}

static int set_keys(void *socket, const struct shmqr_keys *keys)
{
    if (!keys->server_key)
        return 0;
    return zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, keys->server_key, 40) ||
        zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, keys->public_key, 40) ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys->secret_key, 40);
}

static int watch(struct shmqr_net *net, struct shmqr_socket *s)
{
    char name[64];
    snprintf(
        name, sizeof name, "inproc://shmqr-monitor-%u", ++net->monitor_cnt);
    if (zmq_socket_monitor(s->socket, name,
            ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED |
                ZMQ_EVENT_CONNECT_RETRIED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL) != 0)
        return -1;
    s->monitor = zmq_socket(net->context, ZMQ_PAIR);
    if (!s->monitor)
        return -1;
    return set_int(s->monitor, ZMQ_LINGER, 0) || zmq_connect(s->monitor, name);
}

/* Options common to both kinds; heartbeats of ZeroMQ close connections to
 * hosts that have vanished. */
static int open_socket(struct shmqr_net *net, int type,
    const struct shmqr_keys *keys, struct shmqr_socket **ret)
{
    struct shmqr_socket *s = calloc(1, sizeof *s);
    if (!s)
        return ENOMEM;
    s->socket = zmq_socket(net->context, type);
    if (!s->socket || set_int(s->socket, ZMQ_LINGER, 0) ||
        set_int(s->socket, ZMQ_HEARTBEAT_IVL, 2000) ||
        set_int(s->socket, ZMQ_HEARTBEAT_TIMEOUT, 6000) ||
        set_int(s->socket, ZMQ_IPV6, 1) || set_keys(s->socket, keys)) {
        int err = errno ? errno : ENOMEM;
        shmqr_socket_close(s, 0);
        return err;
    }
    *ret = s;
    return 0;
}

int shmqr_dealer_open(struct shmqr_net *net, const char *endpoint,
    const struct shmqr_keys *keys, struct shmqr_socket **ret)
{
    struct shmqr_socket *s = NULL;
    int err = open_socket(net, ZMQ_DEALER, keys, &s);
    if (err)
        return err;
    if (set_int(s->socket, ZMQ_SNDHWM, 0) ||
        set_int(s->socket, ZMQ_RCVHWM, 0) ||
        set_int(s->socket, ZMQ_RECONNECT_IVL, NEVER_MS) || watch(net, s) ||
        zmq_connect(s->socket, endpoint)) {
        err = errno;
        shmqr_socket_close(s, 0);
        return err;
    }
    *ret = s;
    return 0;
}

int shmqr_sub_open(struct shmqr_net *net, const char *endpoint,
    const struct shmqr_keys *keys, struct shmqr_socket **ret)
{
    struct shmqr_socket *s = NULL;
    int err = open_socket(net, ZMQ_SUB, keys, &s);
    if (err)
        return err;
    if (set_int(s->socket, ZMQ_RECONNECT_IVL, 50) ||
        set_int(s->socket, ZMQ_RECONNECT_IVL_MAX, 2000) ||
        zmq_connect(s->socket, endpoint)) {
        err = errno;
        shmqr_socket_close(s, 0);
        return err;
    }
    *ret = s;
    return 0;
}

int shmqr_sub_add(struct shmqr_socket *s, const void *prefix, size_t len)
{
    return zmq_setsockopt(s->socket, ZMQ_SUBSCRIBE, prefix, len) ? errno : 0;
}

void shmqr_socket_close(struct shmqr_socket *s, int linger_ms)
{
    if (!s)
        return;
    if (s->monitor) {
        (void)zmq_socket_monitor(s->socket, NULL, 0);
        (void)zmq_close(s->monitor);
    }
    if (s->socket) {
        (void)set_int(s->socket, ZMQ_LINGER, linger_ms);
        (void)zmq_close(s->socket);
    }
    free(s);
}

int shmqr_send(struct shmqr_socket *s, const void *head, size_t head_len,
    const void *payload, size_t payload_len)
{
    int more = payload ? ZMQ_SNDMORE : 0;
    if (zmq_send(s->socket, head, head_len, ZMQ_DONTWAIT | more) < 0)
        return errno;
    if (payload && zmq_send(s->socket, payload, payload_len, ZMQ_DONTWAIT) < 0)
        return errno;
    return 0;
}

struct msgs {
    zmq_msg_t msg[SHMQR_PARTS_MAX];
};

/* The rest of a message that has too many parts. */
static void drop_rest(struct shmqr_socket *s)
{
    int more = 1;
    while (more) {
        zmq_msg_t msg;
        zmq_msg_init(&msg);
        more = zmq_msg_recv(&msg, s->socket, ZMQ_DONTWAIT) >= 0 &&
            zmq_msg_more(&msg);
        zmq_msg_close(&msg);
    }
}

int shmqr_receive(struct shmqr_socket *s, struct shmqr_parts *ret)
{
    struct msgs *msgs = calloc(1, sizeof *msgs);
    struct shmqr_parts parts = {.handle = msgs};
    int more = 1;
    if (!msgs)
        return ENOMEM;
    while (more && parts.cnt < SHMQR_PARTS_MAX) {
        zmq_msg_t *msg = &msgs->msg[parts.cnt];
        zmq_msg_init(msg);
        if (zmq_msg_recv(msg, s->socket, ZMQ_DONTWAIT) < 0) {
            int err = errno;
            zmq_msg_close(msg);
            shmqr_parts_free(&parts);
            return err;
        }
        parts.data[parts.cnt] = zmq_msg_data(msg);
        parts.len[parts.cnt] = zmq_msg_size(msg);
        more = zmq_msg_more(msg);
        parts.cnt++;
    }
    if (more) {
        drop_rest(s);
        shmqr_parts_free(&parts);
        return EBADMSG;
    }
    *ret = parts;
    return 0;
}

void shmqr_parts_free(struct shmqr_parts *parts)
{
    struct msgs *msgs = parts->handle;
    for (uint32_t i = 0; msgs && i < parts->cnt; i++)
        zmq_msg_close(&msgs->msg[i]);
    free(msgs);
    parts->handle = NULL;
    parts->cnt = 0;
}

int shmqr_event(struct shmqr_socket *s)
{
    struct shmqr_parts parts;
    struct shmqr_socket monitor = {s->monitor, NULL};
    int found = 0;
    while (s->monitor && shmqr_receive(&monitor, &parts) == 0) {
        uint16_t event = 0;
        if (parts.cnt && parts.len[0] >= sizeof event)
            memcpy(&event, parts.data[0], sizeof event);
        if (event &
            (ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL))
            found = SHMQR_REFUSED;
        else if (event && !found)
            found = SHMQR_LOST;
        shmqr_parts_free(&parts);
    }
    return found;
}

bool shmqr_writable(struct shmqr_socket *s)
{
    int events = 0;
    size_t len = sizeof events;
    return zmq_getsockopt(s->socket, ZMQ_EVENTS, &events, &len) == 0 &&
        (events & ZMQ_POLLOUT);
}

int shmqr_wait(struct shmqr_socket *a, bool want_write, struct shmqr_socket *b,
    uint64_t timeout_ns)
{
    zmq_pollitem_t items[3];
    int cnt = 0;
    uint64_t ms = timeout_ns / 1000000 + (timeout_ns % 1000000 != 0);
    memset(items, 0, sizeof items);
    if (a) {
        items[cnt].socket = a->socket;
        items[cnt++].events =
            (short)(ZMQ_POLLIN | (want_write ? ZMQ_POLLOUT : 0));
        if (a->monitor) {
            items[cnt].socket = a->monitor;
            items[cnt++].events = ZMQ_POLLIN;
        }
    }
    if (b) {
        items[cnt].socket = b->socket;
        items[cnt++].events = ZMQ_POLLIN;
    }
    if (zmq_poll(items, cnt, ms < 3600000 ? (long)ms : 3600000) < 0)
        return errno;
    return 0;
}

int shmqr_socket_fd(struct shmqr_socket *s, int *ret_fd)
{
    size_t len = sizeof *ret_fd;
    return zmq_getsockopt(s->socket, ZMQ_FD, ret_fd, &len) ? errno : 0;
}
