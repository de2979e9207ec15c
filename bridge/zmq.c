/* zmq.c - the network, by ZeroMQ. The one file of the bridge that sees it; only
 * the stable interface of libzmq 4.3.4 is used. */
#include "net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define ENDPOINT_MAX 256
#define AUTH_ENDPOINT "inproc://zeromq.zap.01"
#define LAST_WORDS_MS 200
#define AUTH_DOMAIN "shmq" /* without a domain nobody would be asked */

_Static_assert(sizeof(zmq_msg_t) <= sizeof(struct shmqz_part), "message");
_Static_assert(alignof(zmq_msg_t) <= alignof(struct shmqz_part), "message");

struct shmqz_net {
    void *context;
    void *sockets[SHMQZ_PORT_CNT];
    int fds[SHMQZ_PORT_CNT];
    bool sent[SHMQZ_PORT_CNT];
    bool needs_key; /* to come in */
    char *bound[SHMQZ_PORT_CNT]; /* endpoints, with commas */
};

static zmq_msg_t *msg_of(const struct shmqz_part *part)
{
    return (zmq_msg_t *)(uintptr_t)part->opaque;
}

static int failed(char error[SHMQZ_ERROR_ROOM], const char *thing)
{
    (void)snprintf(error, SHMQZ_ERROR_ROOM, "%.200s: %s", thing,
        zmq_strerror(zmq_errno()));
    return -1;
}

static bool set_int(void *socket, int option, uint64_t value)
{
    int number = value > INT32_MAX ? INT32_MAX : (int)value;
    return zmq_setsockopt(socket, option, &number, sizeof number) == 0;
}

static bool set_all(
    void *socket, enum shmqz_port port, const struct shmqz_net_options *o)
{
    uint64_t part =
        port == SHMQZ_FEED ? o->max_subscription_bytes : o->max_part_bytes;
    int64_t max_bytes = (int64_t)part;
    uint32_t send = port == SHMQZ_FEED ? o->feed_send_hwm : o->router_send_hwm;
    /* Only where it is asked for: else plain addresses look strange. */
    bool ipv6 = strchr(o->endpoints[port], '[') != NULL;
    return set_int(socket, ZMQ_LINGER, 0) && set_int(socket, ZMQ_IPV6, ipv6) &&
        set_int(socket, ZMQ_SNDHWM, send) &&
        set_int(socket, ZMQ_RCVHWM, 0) && /* see net.h */
        set_int(socket, ZMQ_BACKLOG, 1024) &&
        set_int(socket, ZMQ_HANDSHAKE_IVL, o->handshake_ms) &&
        set_int(socket, ZMQ_HEARTBEAT_IVL, o->heartbeat_ms) &&
        set_int(socket, ZMQ_HEARTBEAT_TIMEOUT, o->heartbeat_timeout_ms) &&
        set_int(socket, ZMQ_HEARTBEAT_TTL, o->heartbeat_timeout_ms) &&
        zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max_bytes, sizeof max_bytes) ==
        0;
}

static bool set_own(
    void *socket, enum shmqz_port port, const struct shmqz_net_options *o)
{
    if (port == SHMQZ_ROUTER)
        return set_int(socket, ZMQ_ROUTER_MANDATORY, 1) &&
            set_int(socket, ZMQ_ROUTER_HANDOVER, 0);
    if (port == SHMQZ_FEED)
        return set_int(socket, ZMQ_XPUB_MANUAL, 1) &&
            set_int(socket, ZMQ_XPUB_NODROP, 0) &&
            zmq_setsockopt(socket, ZMQ_XPUB_WELCOME_MSG, o->welcome,
                o->welcome_bytes) == 0;
    return true;
}

static bool set_security(void *socket, const struct shmqz_net_options *o)
{
    /* Also without keys: where somebody is asked, libzmq refuses peers of
     * ZMTP 1, who have no handshake and no heartbeat that could ever end them
     * (4.3.5 counts every peer whose first byte is not 0xff as one). */
    if (zmq_setsockopt(
            socket, ZMQ_ZAP_DOMAIN, AUTH_DOMAIN, sizeof AUTH_DOMAIN - 1))
        return false;
    return !o->secret_key ||
        (set_int(socket, ZMQ_CURVE_SERVER, 1) &&
            zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, o->secret_key,
                SHMQZ_KEY_TEXT) == 0);
}

/* Notes what was bound last: a wildcard has got its port by then. */
static int note_bound(
    struct shmqz_net *net, enum shmqz_port port, char error[SHMQZ_ERROR_ROOM])
{
    char one[ENDPOINT_MAX];
    size_t room = sizeof one;
    size_t had = net->bound[port] ? strlen(net->bound[port]) : 0;
    if (zmq_getsockopt(net->sockets[port], ZMQ_LAST_ENDPOINT, one, &room))
        return failed(error, "endpoint");
    char *more = realloc(net->bound[port], had + ENDPOINT_MAX + 1);
    if (!more)
        return failed(error, "endpoint");
    net->bound[port] = more;
    (void)snprintf(more + had, ENDPOINT_MAX + 1, "%s%s", had ? "," : "", one);
    return 0;
}

/* Binds each endpoint of a comma-separated list. */
static int bind_all(struct shmqz_net *net, enum shmqz_port port,
    const char *list, char error[SHMQZ_ERROR_ROOM])
{
    char one[ENDPOINT_MAX];
    for (const char *at = list; *at;) {
        size_t n = strcspn(at, ",");
        if (n >= sizeof one) {
            (void)snprintf(error, SHMQZ_ERROR_ROOM,
                "endpoint of %zu bytes; at most %zu", n, sizeof one - 1);
            return -1;
        }
        memcpy(one, at, n);
        one[n] = '\0';
        if (zmq_bind(net->sockets[port], one))
            return failed(error, one);
        if (note_bound(net, port, error))
            return -1;
        at += n + (at[n] == ',');
    }
    return 0;
}

static int open_socket(struct shmqz_net *net, enum shmqz_port port, int type,
    char error[SHMQZ_ERROR_ROOM])
{
    size_t bytes = sizeof net->fds[port];
    net->sockets[port] = zmq_socket(net->context, type);
    if (!net->sockets[port])
        return failed(error, "socket");
    if (zmq_getsockopt(net->sockets[port], ZMQ_FD, &net->fds[port], &bytes))
        return failed(error, "descriptor");
    return 0;
}

/* The answering side must be there before the first peer can come in. */
static int open_auth(struct shmqz_net *net, char error[SHMQZ_ERROR_ROOM])
{
    if (open_socket(net, SHMQZ_AUTH, ZMQ_REP, error))
        return -1;
    set_int(net->sockets[SHMQZ_AUTH], ZMQ_LINGER, 0);
    return zmq_bind(net->sockets[SHMQZ_AUTH], AUTH_ENDPOINT)
        ? failed(error, AUTH_ENDPOINT)
        : 0;
}

/* A socket for peers, ready to be bound. */
static int open_port(struct shmqz_net *net, enum shmqz_port port,
    const struct shmqz_net_options *o, char error[SHMQZ_ERROR_ROOM])
{
    static const int types[3] = {ZMQ_ROUTER, ZMQ_XPUB, ZMQ_PULL};
    void **socket = &net->sockets[port];
    if (open_socket(net, port, types[port], error))
        return -1;
    if (!set_all(*socket, port, o) || !set_own(*socket, port, o))
        return failed(error, "socket option");
    return set_security(*socket, o) ? 0 : failed(error, "key");
}

static int open_all(struct shmqz_net *net, const struct shmqz_net_options *o,
    char error[SHMQZ_ERROR_ROOM])
{
    if (zmq_ctx_set(net->context, ZMQ_IO_THREADS, (int)o->io_threads) ||
        zmq_ctx_set(net->context, ZMQ_MAX_SOCKETS, 64))
        return failed(error, "context");
    net->needs_key = o->secret_key != NULL;
    if (open_auth(net, error))
        return -1;
    for (enum shmqz_port p = SHMQZ_ROUTER; p <= SHMQZ_PULL; p++) {
        if (o->endpoints[p] && open_port(net, p, o, error))
            return -1;
    }
    for (enum shmqz_port p = SHMQZ_ROUTER; p <= SHMQZ_PULL; p++)
        if (net->sockets[p] && bind_all(net, p, o->endpoints[p], error))
            return -1;
    return 0;
}

int shmqz_net_open(const struct shmqz_net_options *options,
    struct shmqz_net **ret, char error[SHMQZ_ERROR_ROOM])
{
    struct shmqz_net *net = calloc(1, sizeof *net);
    if (!net) {
        (void)snprintf(error, SHMQZ_ERROR_ROOM, "no memory");
        return -1;
    }
    net->context = zmq_ctx_new();
    if (!net->context) {
        failed(error, "context");
        free(net);
        return -1;
    }
    if (open_all(net, options, error)) {
        shmqz_net_close(net);
        return -1;
    }
    *ret = net;
    return 0;
}

void shmqz_net_close(struct shmqz_net *net)
{
    if (!net)
        return;
    /* Last words get a moment. */
    if (net->sockets[SHMQZ_ROUTER])
        (void)set_int(net->sockets[SHMQZ_ROUTER], ZMQ_LINGER, LAST_WORDS_MS);
    for (int p = 0; p < SHMQZ_PORT_CNT; p++)
        if (net->sockets[p])
            zmq_close(net->sockets[p]);
    while (zmq_ctx_term(net->context) && zmq_errno() == EINTR)
        continue;
    for (int p = 0; p < SHMQZ_PORT_CNT; p++)
        free(net->bound[p]);
    free(net);
}

void shmqz_net_close_port(struct shmqz_net *net, enum shmqz_port port)
{
    if (net->sockets[port])
        zmq_close(net->sockets[port]);
    net->sockets[port] = NULL;
}

int shmqz_net_open_port(struct shmqz_net *net, enum shmqz_port port,
    const struct shmqz_net_options *options, char error[SHMQZ_ERROR_ROOM])
{
    char *list = net->bound[port];
    net->bound[port] = NULL;
    if (open_port(net, port, options, error) == 0 &&
        bind_all(net, port, list, error) == 0) {
        free(list);
        return 0;
    }
    shmqz_net_close_port(net, port);
    free(net->bound[port]);
    net->bound[port] = list;
    return -1;
}

bool shmqz_net_sent(struct shmqz_net *net, enum shmqz_port port)
{
    bool sent = net->sent[port];
    net->sent[port] = false;
    return sent;
}

bool shmqz_net_needs_key(const struct shmqz_net *net)
{
    return net->needs_key;
}

bool shmqz_net_has(const struct shmqz_net *net, enum shmqz_port port)
{
    return net->sockets[port] != NULL;
}

int shmqz_net_fd(const struct shmqz_net *net, enum shmqz_port port)
{
    return net->fds[port];
}

const char *shmqz_net_endpoints(
    const struct shmqz_net *net, enum shmqz_port port)
{
    return net->bound[port];
}

/* -- receiving --------------------------------------------------------------
 */

/* Only what our own side of the handshake has put there: without one, a peer
 * may have sent a property of that name itself. */
static void keep_user(
    const struct shmqz_net *net, struct shmqz_message *message, zmq_msg_t *msg)
{
    const char *both = net->needs_key ? zmq_msg_gets(msg, "User-Id") : NULL;
    size_t n = both ? strlen(both) : 0;
    message->user[0] = message->key[0] = '\0';
    if (n <= SHMQZ_KEY_TEXT || n > SHMQZ_KEY_TEXT + SHMQZ_USER_MAX)
        return;
    memcpy(message->key, both, SHMQZ_KEY_TEXT - 1);
    message->key[SHMQZ_KEY_TEXT - 1] = '\0';
    memcpy(message->user, both + SHMQZ_KEY_TEXT, n - SHMQZ_KEY_TEXT + 1);
}

bool shmqz_net_receive(
    struct shmqz_net *net, enum shmqz_port port, struct shmqz_message *ret)
{
    void *socket = net->sockets[port];
    zmq_msg_t surplus;
    bool more = true;
    zmq_msg_init(&surplus);
    ret->part_cnt = 0;
    ret->cut = false;
    while (more) {
        bool keep = ret->part_cnt < SHMQZ_PARTS_MAX;
        zmq_msg_t *msg = keep ? msg_of(&ret->parts[ret->part_cnt]) : &surplus;
        zmq_msg_init(msg);
        while (zmq_msg_recv(msg, socket, ZMQ_DONTWAIT) < 0) {
            if (zmq_errno() == EINTR)
                continue;
            zmq_msg_close(msg);
            shmqz_message_close(ret);
            net->sent[port] = false; /* looked after the last send */
            return false;
        }
        more = zmq_msg_more(msg);
        /* The last part is of the peer for sure; a router's first one, which
         * names the peer, has no properties. */
        if (!more)
            keep_user(net, ret, msg);
        if (keep) {
            ret->part_cnt++;
        } else {
            ret->cut = true;
            zmq_msg_close(msg);
        }
    }
    return true;
}

const char *shmqz_part_address(const struct shmqz_part *part)
{
    const char *address = zmq_msg_gets(msg_of(part), "Peer-Address");
    return address ? address : "";
}

void shmqz_message_close(struct shmqz_message *message)
{
    for (uint32_t i = 0; i < message->part_cnt; i++)
        shmqz_part_close(&message->parts[i]);
    message->part_cnt = 0;
}

/* -- sending ----------------------------------------------------------------
 */

static enum shmqz_sent sent_of(int err)
{
    switch (err) {
    case EAGAIN:
        return SHMQZ_AGAIN;
    case EHOSTUNREACH:
        return SHMQZ_GONE;
    default:
        return SHMQZ_BROKEN;
    }
}

enum shmqz_sent shmqz_net_send(struct shmqz_net *net, enum shmqz_port port,
    struct shmqz_part *parts, uint32_t cnt)
{
    enum shmqz_sent result = SHMQZ_SENT;
    uint32_t i = 0;
    net->sent[port] = true;
    for (; i < cnt && result == SHMQZ_SENT; i++) {
        int flags = ZMQ_DONTWAIT | (i + 1 < cnt ? ZMQ_SNDMORE : 0);
        while (zmq_msg_send(msg_of(&parts[i]), net->sockets[port], flags) < 0) {
            if (zmq_errno() == EINTR)
                continue;
            result = sent_of(zmq_errno());
            shmqz_part_close(&parts[i]);
            break;
        }
    }
    for (; i < cnt; i++)
        shmqz_part_close(&parts[i]);
    return result;
}

/* -- parts ------------------------------------------------------------------
 */

void *shmqz_part_new(struct shmqz_part *part, size_t bytes)
{
    return zmq_msg_init_size(msg_of(part), bytes) ? NULL
                                                  : zmq_msg_data(msg_of(part));
}

bool shmqz_part_copy(struct shmqz_part *part, const void *data, size_t bytes)
{
    void *to = shmqz_part_new(part, bytes);
    if (to && bytes)
        memcpy(to, data, bytes);
    return to != NULL;
}

bool shmqz_part_wrap(struct shmqz_part *part, void *data, size_t bytes,
    void (*release)(void *data, void *hint), void *hint)
{
    return zmq_msg_init_data(msg_of(part), data, bytes, release, hint) == 0;
}

void shmqz_part_close(struct shmqz_part *part)
{
    zmq_msg_close(msg_of(part));
}

const uint8_t *shmqz_part_data(const struct shmqz_part *part)
{
    return zmq_msg_data(msg_of(part));
}

size_t shmqz_part_bytes(const struct shmqz_part *part)
{
    return zmq_msg_size(msg_of(part));
}

void shmqz_part_move(struct shmqz_part *to, struct shmqz_part *from)
{
    zmq_msg_init(msg_of(to));
    zmq_msg_move(msg_of(to), msg_of(from)); /* leaves an empty one */
}

/* -- the live feed ----------------------------------------------------------
 */

void shmqz_net_admit(struct shmqz_net *net, const void *prefix, size_t bytes)
{
    (void)zmq_setsockopt(
        net->sockets[SHMQZ_FEED], ZMQ_SUBSCRIBE, prefix, bytes);
}

void shmqz_net_unadmit(struct shmqz_net *net, const void *prefix, size_t bytes)
{
    (void)zmq_setsockopt(
        net->sockets[SHMQZ_FEED], ZMQ_UNSUBSCRIBE, prefix, bytes);
}

void shmqz_net_feed_hwm(struct shmqz_net *net, uint32_t messages)
{
    (void)set_int(net->sockets[SHMQZ_FEED], ZMQ_SNDHWM, messages);
}

/* -- keys -------------------------------------------------------------------
 */

bool shmqz_key_text(const uint8_t key[32], char ret[SHMQZ_KEY_TEXT])
{
    return zmq_z85_encode(ret, key, 32) != NULL;
}

bool shmqz_key_public(
    const char secret[SHMQZ_KEY_TEXT], char ret[SHMQZ_KEY_TEXT])
{
    return zmq_curve_public(ret, secret) == 0;
}

const char *shmqz_net_version(void)
{
    static char text[32];
    int major, minor, patch;
    zmq_version(&major, &minor, &patch);
    (void)snprintf(text, sizeof text, "%d.%d.%d", major, minor, patch);
    return text;
}
