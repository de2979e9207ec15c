/* session.c - one session with one bridge, kept up. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "client.h"

enum {
    MS = 1000000,
    BACKOFF_MIN_MS = 50,
    BACKOFF_MAX_MS = 2000,
    CONNECT_MS = 2000, /* for TCP and handshake */
    HELLO_MS = 3000, /* for the WELCOME */
    HEARTBEAT_MS = 2000, /* until a WELCOME has told another */
    TURN = 256, /* messages read before timers are looked at again */
    CLOSE_MS = 1000
};

uint64_t shmqr_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t shmqr_later(uint64_t a, uint64_t b)
{
    return a > SHMQ_FOREVER - b ? SHMQ_FOREVER : a + b;
}

uint64_t shmq_remote_deadline(uint64_t timeout_ns)
{
    return shmqr_later(shmqr_now(), timeout_ns);
}

/* xorshift64*: for pauses, not for secrets. */
uint64_t shmqr_random(struct shmq_remote *r)
{
    uint64_t x = r->random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    r->random = x;
    return x * 0x2545f4914f6cdd1dull;
}

uint32_t shmqr_next_corr(struct shmq_remote *r)
{
    if (++r->corr_id == 0)
        r->corr_id = 1;
    return r->corr_id;
}

/* -- the connection ------------------------------------------------------- */

void shmqr_lose(struct shmq_remote *r)
{
    uint64_t now = shmqr_now();
    shmqr_socket_close(r->dealer, 0);
    r->dealer = NULL;
    r->state = SHMQR_DOWN;
    r->hello_sent = false;
    r->ping_ns = 0;
    uint64_t pause = r->backoff_ns;
    r->retry_ns = now + pause * 3 / 4 + shmqr_random(r) % (pause / 2 + 1);
    r->backoff_ns = pause * 2 < BACKOFF_MAX_MS * (uint64_t)MS
        ? pause * 2
        : BACKOFF_MAX_MS * (uint64_t)MS;
    shmqr_request_lost(r);
    shmqr_producers_lost(r);
    shmqr_consumers_lost(r);
}

bool shmqr_send_frame(struct shmq_remote *r, const void *frame, size_t len,
    const void *payload, size_t payload_len)
{
    if (!r->dealer || !len)
        return false;
    if (shmqr_send(r->dealer, frame, len, payload, payload_len) != 0) {
        shmqr_lose(r);
        return false;
    }
    r->sent_ns = shmqr_now();
    return true;
}

static void open_dealer(struct shmq_remote *r)
{
    if (shmqr_dealer_open(r->net, r->endpoint, &r->keys, &r->dealer) != 0) {
        shmqr_lose(r);
        return;
    }
    r->state = SHMQR_CONNECTING;
    r->opened_ns = shmqr_now();
}

static void send_hello(struct shmq_remote *r)
{
    struct shmqw_writer w;
    struct shmqw_hello hello = {.proto_min = SHMQW_VERSION,
        .proto_max = SHMQW_VERSION,
        .lease_ms = r->lease_ms,
        .session_id = r->welcome.session_id,
        .session_token = r->welcome.session_token};
    shmqw_begin(&w, r->scratch, SHMQW_CONTROL_MAX, SHMQW_HELLO, 0, SHMQW_OK,
        shmqr_next_corr(r), 0);
    shmqw_put_fixed(&w, &hello, sizeof hello);
    shmqw_put_text(&w, SHMQW_TLV_NAME, r->name);
    r->hello_sent = shmqr_send_frame(r, r->scratch, shmqw_end(&w), NULL, 0);
}

static void send_ping(struct shmq_remote *r, uint64_t now)
{
    struct shmqw_writer w;
    struct shmqw_ping ping = {now};
    shmqw_begin(
        &w, r->scratch, SHMQW_CONTROL_MAX, SHMQW_PING, 0, SHMQW_OK, 0, 0);
    shmqw_put_fixed(&w, &ping, sizeof ping);
    if (shmqr_send_frame(r, r->scratch, shmqw_end(&w), NULL, 0) &&
        r->ping_ns == 0)
        r->ping_ns = now;
}

static void send_pong(struct shmq_remote *r, const struct shmqw_message *msg)
{
    struct shmqw_writer w;
    struct shmqw_ping ping;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    shmqw_fixed(msg, &ping, sizeof ping);
    struct shmqw_pong pong = {
        ping.nonce, (int64_t)t.tv_sec * 1000000000 + t.tv_nsec};
    shmqw_begin(&w, r->scratch, SHMQW_CONTROL_MAX, SHMQW_PONG, SHMQW_FLAG_REPLY,
        SHMQW_OK, msg->corr_id, 0);
    shmqw_put_fixed(&w, &pong, sizeof pong);
    (void)shmqr_send_frame(r, r->scratch, shmqw_end(&w), NULL, 0);
}

static uint64_t heartbeat_ns(const struct shmq_remote *r)
{
    uint32_t ms = r->welcome.heartbeat_ms ? r->welcome.heartbeat_ms
                                          : (uint32_t)HEARTBEAT_MS;
    return (uint64_t)ms * MS;
}

/* -- what comes ----------------------------------------------------------- */

static void take_welcome(struct shmq_remote *r, const struct shmqw_message *msg)
{
    if (r->state != SHMQR_CONNECTING || !r->hello_sent)
        return;
    shmqw_fixed(msg, &r->welcome, sizeof r->welcome);
    if (!shmqw_text(msg, SHMQW_TLV_FEED, r->feed, sizeof r->feed))
        r->feed[0] = 0;
    if (!shmqw_text(msg, SHMQW_TLV_NAMESPACE, r->ns, sizeof r->ns))
        r->ns[0] = 0;
    r->state = SHMQR_UP;
    r->session_cnt++;
    r->refused = 0;
    r->backoff_ns = BACKOFF_MIN_MS * (uint64_t)MS;
}

static void refuse(struct shmq_remote *r, int rc, uint32_t status)
{
    r->refused = rc;
    r->refused_status = status;
    shmqr_lose(r);
}

static void take_error(struct shmq_remote *r, const struct shmqw_message *msg)
{
    bool for_good = msg->status == SHMQW_UNAUTHENTICATED ||
        msg->status == SHMQW_FORBIDDEN ||
        msg->status == SHMQW_UNSUPPORTED_VERSION;
    if (r->state == SHMQR_CONNECTING && for_good)
        refuse(
            r, shmqr_fail_status(msg->status, r->endpoint, msg), msg->status);
    else if (r->state == SHMQR_CONNECTING ||
        msg->status == SHMQW_UNKNOWN_SESSION)
        shmqr_lose(r);
}

/* One message; a fault in it ends the connection. */
static void take_message(struct shmq_remote *r, struct shmqr_parts *parts)
{
    struct shmqw_message msg;
    enum shmqw_status status = SHMQW_BAD_FRAME;
    if (parts->cnt >= 1 && parts->cnt <= 2)
        status =
            shmqw_open(parts->data[0], parts->len[0], parts->cnt == 2, &msg);
    if (status != SHMQW_OK && status != SHMQW_UNKNOWN_COMMAND) {
        shmqr_lose(r);
        return;
    }
    r->ping_ns = 0;
    if (status == SHMQW_UNKNOWN_COMMAND)
        return;
    if (msg.command == SHMQW_WELCOME)
        take_welcome(r, &msg);
    else if (msg.command == SHMQW_PING)
        send_pong(r, &msg);
    else if (msg.command == SHMQW_BYE && !(msg.flags & SHMQW_FLAG_REPLY))
        r->backoff_ns = BACKOFF_MIN_MS * (uint64_t)MS;
    else if (shmqr_request_take(r, &msg) || shmqr_producers_take(r, &msg) ||
        shmqr_consumers_take(r, &msg, parts))
        return;
    else if (msg.command == SHMQW_ERROR)
        take_error(r, &msg);
}

/* Returns whether there was anything. */
static bool read_all(struct shmq_remote *r)
{
    struct shmqr_parts parts;
    int cnt = 0;
    for (; cnt < TURN && r->dealer; cnt++) {
        int err = shmqr_receive(r->dealer, &parts);
        if (err == EAGAIN || err == EINTR)
            break;
        if (err) {
            shmqr_lose(r);
            break;
        }
        take_message(r, &parts);
        shmqr_parts_free(&parts);
    }
    return cnt > 0;
}

/* -- what is due ---------------------------------------------------------- */

static void look_at_events(struct shmq_remote *r)
{
    int event = r->dealer ? shmqr_event(r->dealer) : 0;
    if (event == SHMQR_REFUSED)
        refuse(r,
            shmqr_fail(SHMQ_ERR_PERM,
                "%s: the bridge refuses the handshake; give the keys that it "
                "knows",
                r->endpoint),
            SHMQW_UNAUTHENTICATED);
    else if (event == SHMQR_LOST)
        shmqr_lose(r);
}

static void do_due(struct shmq_remote *r)
{
    uint64_t now = shmqr_now();
    if (r->state == SHMQR_DOWN && now >= r->retry_ns) {
        open_dealer(r);
        now = shmqr_now();
    }
    if (r->state == SHMQR_CONNECTING && !r->hello_sent &&
        shmqr_writable(r->dealer))
        send_hello(r);
    if (r->state == SHMQR_CONNECTING &&
        now - r->opened_ns >
            (uint64_t)(r->hello_sent ? CONNECT_MS + HELLO_MS : CONNECT_MS) * MS)
        shmqr_lose(r);
    if (r->state != SHMQR_UP)
        return;
    if (r->ping_ns && now - r->ping_ns > 3 * heartbeat_ns(r)) {
        shmqr_lose(r);
        return;
    }
    shmqr_request_flush(r);
    shmqr_consumers_flush(r);
    shmqr_producers_flush(r);
    if (r->state == SHMQR_UP && now - r->sent_ns > heartbeat_ns(r) / 2)
        send_ping(r, now);
}

/* When something of ours is due next. */
static uint64_t due_at(const struct shmq_remote *r)
{
    if (r->state == SHMQR_DOWN)
        return r->retry_ns;
    if (r->state == SHMQR_CONNECTING)
        return r->opened_ns +
            (uint64_t)(r->hello_sent ? CONNECT_MS + HELLO_MS : CONNECT_MS) * MS;
    uint64_t due = r->sent_ns + heartbeat_ns(r) / 2;
    uint64_t again = shmqr_producers_due(r), later = shmqr_consumers_due(r);
    again = later < again ? later : again;
    return again < due ? again : due;
}

int shmqr_pump(
    struct shmq_remote *r, uint64_t deadline_ns, struct shmqr_socket *other)
{
    bool read = r->dealer && read_all(r);
    look_at_events(r);
    do_due(r);
    if (read || deadline_ns == 0)
        return SHMQ_OK;
    uint64_t now = shmqr_now(), due = due_at(r);
    uint64_t until = deadline_ns < due ? deadline_ns : due;
    bool want_write = r->state == SHMQR_CONNECTING && !r->hello_sent;
    int err =
        shmqr_wait(r->dealer, want_write, other, until > now ? until - now : 0);
    if (err == EINTR)
        return SHMQ_ERR_INTR;
    if (r->dealer)
        (void)read_all(r);
    look_at_events(r);
    do_due(r);
    return SHMQ_OK;
}

/* -- opening and closing -------------------------------------------------- */

static char *copy(const char *text)
{
    return text ? strdup(text) : NULL;
}

static int take_keys(struct shmq_remote *r, const struct shmq_remote_options *o)
{
    if (!o->server_key)
        return SHMQ_OK;
    struct shmqr_keys given = {o->server_key, o->public_key, o->secret_key};
    if (shmqr_keys_check(&given) != 0)
        return shmqr_fail(SHMQ_ERR_INVAL,
            "%s: a key is not 40 characters of Z85, or one of a pair is "
            "missing; shmq keygen makes keys",
            r->endpoint);
    memcpy(r->server_key, o->server_key, 40);
    if (o->secret_key) {
        memcpy(r->secret_key, o->secret_key, 40);
        if (o->public_key)
            memcpy(r->public_key, o->public_key, 40);
        else if (shmqr_keys_public(r->public_key, r->secret_key) != 0)
            return shmqr_fail(SHMQ_ERR_SYS, "%s: no public key", r->endpoint);
    } else if (shmqr_keys_make(r->public_key, r->secret_key) != 0) {
        return shmqr_fail(
            SHMQ_ERR_SYS, "%s: no keys could be made", r->endpoint);
    }
    r->keys = (struct shmqr_keys){r->server_key, r->public_key, r->secret_key};
    return SHMQ_OK;
}

static int open_remote(const char *endpoint,
    const struct shmq_remote_options *o, struct shmq_remote *r)
{
    r->endpoint = copy(endpoint);
    r->name = copy(o->name);
    r->scratch = malloc(SHMQW_CONTROL_MAX);
    r->lease_ms = o->lease_ms;
    r->backoff_ns = BACKOFF_MIN_MS * (uint64_t)MS;
    if (!r->endpoint || !r->scratch || (o->name && !r->name))
        return shmqr_fail(SHMQ_ERR_NOMEM, "no memory for a connection");
    if (getrandom(&r->random, sizeof r->random, 0) != sizeof r->random ||
        r->random == 0)
        r->random = shmqr_now() | 1;
    int rc = take_keys(r, o);
    if (rc)
        return rc;
    if (shmqr_net_open(&r->net) != 0)
        return shmqr_fail(SHMQ_ERR_SYS, "%s: no ZeroMQ context", endpoint);
    int err = shmqr_dealer_open(r->net, r->endpoint, &r->keys, &r->dealer);
    if (err == EINVAL || err == EPROTONOSUPPORT || err == ENODEV)
        return shmqr_fail(SHMQ_ERR_INVAL,
            "%s: no endpoint; give tcp://HOST:PORT or ipc://PATH", endpoint);
    if (err)
        return shmqr_fail(SHMQ_ERR_SYS, "%s: %s", endpoint, strerror(err));
    r->state = SHMQR_CONNECTING;
    r->opened_ns = shmqr_now();
    return SHMQ_OK;
}

static void free_remote(struct shmq_remote *r, int linger_ms)
{
    shmqr_socket_close(r->dealer, linger_ms);
    shmqr_net_close(r->net);
    free(r->endpoint);
    free(r->name);
    free(r->scratch);
    explicit_bzero(r, sizeof *r);
    free(r);
}

int shmq_remote_open(const char *endpoint,
    const struct shmq_remote_options *options, struct shmq_remote **ret)
{
    static const struct shmq_remote_options defaults = {0};
    if (!endpoint || !ret || (options && options->struct_bytes == 0))
        return shmqr_fail(SHMQ_ERR_INVAL, "remote: no endpoint");
    struct shmq_remote *r = calloc(1, sizeof *r);
    if (!r)
        return shmqr_fail(SHMQ_ERR_NOMEM, "no memory for a connection");
    int rc = open_remote(endpoint, options ? options : &defaults, r);
    if (rc) {
        free_remote(r, 0);
        return rc;
    }
    *ret = r;
    return SHMQ_OK;
}

static void send_bye(struct shmq_remote *r)
{
    struct shmqw_writer w;
    struct shmqw_bye bye = {0, 0};
    shmqw_begin(
        &w, r->scratch, SHMQW_CONTROL_MAX, SHMQW_BYE, 0, SHMQW_OK, 0, 0);
    shmqw_put_fixed(&w, &bye, sizeof bye);
    (void)shmqr_send_frame(r, r->scratch, shmqw_end(&w), NULL, 0);
}

void shmq_remote_close(struct shmq_remote *remote)
{
    if (!remote)
        return;
    while (remote->lives)
        shmqr_live_free(remote->lives);
    for (struct shmq_remote_consumer *c = remote->consumers; c; c = c->next)
        shmqr_acks_send(c);
    while (remote->consumers)
        shmqr_consumer_free(remote->consumers);
    while (remote->producers)
        shmqr_producer_free(remote->producers);
    if (remote->state == SHMQR_UP)
        send_bye(remote);
    free_remote(remote, CLOSE_MS);
}

int shmq_remote_connect_wait(struct shmq_remote *remote, uint64_t deadline_ns)
{
    while (remote->state != SHMQR_UP) {
        uint64_t now = shmqr_now();
        if (remote->refused)
            return shmqr_fail(remote->refused,
                "%s: the bridge refuses this client (%s); give the keys that "
                "it knows",
                remote->endpoint, shmqw_status_name(remote->refused_status));
        if (now >= deadline_ns)
            return shmqr_fail(SHMQ_ERR_NODAEMON,
                "%s: no shmq-bridge answers there; start it, or give another "
                "endpoint",
                remote->endpoint);
        int rc = shmqr_pump(remote, deadline_ns, NULL);
        if (rc)
            return shmqr_fail(rc, "%s: interrupted", remote->endpoint);
    }
    return SHMQ_OK;
}

int shmq_remote_extend(struct shmq_remote *remote)
{
    int rc = shmqr_pump(remote, 0, NULL);
    if (rc)
        return rc;
    if (remote->state == SHMQR_UP &&
        shmqr_now() - remote->sent_ns > heartbeat_ns(remote) / 8)
        send_ping(remote, shmqr_now());
    return remote->state == SHMQR_UP ? SHMQ_OK : SHMQ_ERR_NODAEMON;
}

int shmq_remote_wait(struct shmq_remote *remote, uint64_t deadline_ns)
{
    return shmqr_pump(remote, deadline_ns, NULL);
}

const char *shmq_remote_namespace(const struct shmq_remote *remote)
{
    return remote->ns;
}

uint32_t shmq_remote_lease_ms(const struct shmq_remote *remote)
{
    return remote->welcome.lease_ms;
}

uint64_t shmq_remote_session_cnt(const struct shmq_remote *remote)
{
    return remote->session_cnt;
}

int shmq_remote_fd(struct shmq_remote *remote, int *ret_fd)
{
    if (!remote->dealer)
        return SHMQ_ERR_NODAEMON;
    return shmqr_socket_fd(remote->dealer, ret_fd) ? SHMQ_ERR_SYS : SHMQ_OK;
}
