/* ops_request.c - calls: requests through the topic, replies through inboxes.
 * The judge looks at the topic; inboxes must be gone after a sweep when their
 * callers are dead, and be there as long as they live. */
#include <string.h>

#include "ops.h"
#include "victim.h"

#define REQUEST_TAG (TAG_FILL + 0x1f0)
#define REPLY "done"

static void apart(struct victim *v)
{
    v_topic(v);
    v_fill_apart(v);
    shmq_producer_close(v->producer);
    v->producer = NULL;
}

/* -- the caller --------------------------------------------------------------
 */

static void caller_open(struct victim *v)
{
    page->rc = shmq_caller_open(v->topic, NULL, &v->caller);
}

static void setup_caller(struct victim *v)
{
    apart(v);
    caller_open(v);
    v_must(page->rc, "caller");
}

/* Whatever was swept meanwhile: it has an inbox. */
static void opened(struct victim *v)
{
    struct shmq_message m;
    uint64_t which;
    if (page->rc == SHMQ_OK &&
        shmq_caller_receive(v->caller, &m, &which) != SHMQ_ERR_EMPTY)
        v_must(SHMQ_ERR_CLOSED, "the inbox of a living caller");
}

static int send_bytes(struct victim *v, const void *data, uint64_t bytes)
{
    struct shmq_record r;
    uint64_t which;
    memset(&r, 0, sizeof r);
    r.data = data;
    r.size = bytes;
    return shmq_caller_send(v->caller, &r, SHMQ_FOREVER, &which);
}

static void request(struct victim *v)
{
    page->rc = send_bytes(v, v->data, page->config.op->arg);
}

static void requested(struct victim *v)
{
    (void)v;
    if (page->rc == SHMQ_OK)
        tags_add(&page->published, TAG_OP);
}

static void caller_close(struct victim *v)
{
    shmq_caller_close(v->caller);
    v->caller = NULL;
    page->rc = SHMQ_OK;
}

/* -- the server --------------------------------------------------------------
 */

static void setup_server(struct victim *v)
{
    struct shmq_server_options o;
    memset(&o, 0, sizeof o);
    o.struct_bytes = sizeof o;
    o.group = group_names[WORK];
    o.spin_ns = 1;
    apart(v);
    v->group = WORK;
    v_must(shmq_server_open(v->topic, &o, &v->server), "server");
}

static void server_receive(struct victim *v)
{
    page->rc = shmq_server_receive(v->server, &v->msg[0]);
}

static void kept(struct victim *v)
{
    if (page->rc != SHMQ_OK)
        return;
    uint32_t tag = tag_of(&page->config, &v->msg[0]);
    if (tag == 0)
        v_must(SHMQ_ERR_CORRUPT, "a received request");
    tags_add(&page->kept[WORK], tag);
}

/* Its request is the one that the server has in hand; in a full ring there is
 * none, and the operation is nothing. */
static void setup_reply(struct victim *v)
{
    static uint8_t data[1u << 18];
    uint64_t bytes = fill_bytes(&page->config);
    setup_server(v);
    caller_open(v);
    v_must(page->rc, "caller");
    fill_payload(data, bytes, REQUEST_TAG);
    page->rc = send_bytes(v, data, bytes);
    if (page->rc == SHMQ_ERR_FULL)
        return;
    v_must(page->rc, "request");
    tags_add(&page->before[AUDIT], REQUEST_TAG);
    tags_add(&page->before[WORK], REQUEST_TAG);
    for (;;) {
        v_must(shmq_server_receive(v->server, &v->msg[0]), "request");
        v->tags[0] = tag_of(&page->config, &v->msg[0]);
        if (v->tags[0] == REQUEST_TAG)
            return;
        tags_remove(&page->before[WORK], v->tags[0]);
        v_must(
            shmq_server_reply(v->server, &v->msg[0], NULL), "reply to others");
    }
}

static void server_reply(struct victim *v)
{
    struct shmq_record r;
    memset(&r, 0, sizeof r);
    r.data = REPLY;
    r.size = sizeof REPLY;
    if (page->rc == SHMQ_OK)
        page->rc = shmq_server_reply(v->server, &v->msg[0], &r);
}

static void take_reply(struct victim *v)
{
    struct shmq_message m;
    uint64_t which;
    v_must(shmq_caller_receive(v->caller, &m, &which), "the reply");
    if (m.size != sizeof REPLY || memcmp(m.data, REPLY, sizeof REPLY) != 0)
        v_must(SHMQ_ERR_CORRUPT, "the reply's bytes");
    v_must(shmq_caller_release(v->caller, &m), "release of the reply");
}

static void replied(struct victim *v)
{
    if (page->rc != SHMQ_OK)
        return;
    tags_add(&page->done[WORK], v->tags[0]);
    take_reply(v);
}

static void setup_replied(struct victim *v)
{
    setup_reply(v);
    server_reply(v);
    if (page->rc == SHMQ_OK)
        tags_remove(&page->before[WORK], REQUEST_TAG);
}

static void caller_receive(struct victim *v)
{
    uint64_t which;
    if (page->rc == SHMQ_OK)
        page->rc = shmq_caller_receive(v->caller, &v->msg[1], &which);
}

/* -- waiting -----------------------------------------------------------------
 */

#define SOON_NS 40000u

/* Nobody answers: at the deadline the request is there, or found no room. What
 * was said before is forgotten by saying something else. */
static void setup_call(struct victim *v)
{
    setup_caller(v);
    (void)shmq_topic_check(NULL);
}

static void call_wait(struct victim *v)
{
    struct shmq_record r;
    memset(&r, 0, sizeof r);
    r.data = v->data;
    r.size = page->config.op->arg;
    page->rc =
        shmq_caller_call_wait(v->caller, &r, *the_clock + SOON_NS, &v->msg[0]);
}

static void called(struct victim *v)
{
    bool asked = strstr(shmq_error_text(), "no room") == NULL;
    if (page->rc != SHMQ_ERR_TIMEOUT || !asked)
        return;
    page->rc = SHMQ_OK;
    requested(v);
}

/* The reply is there; then there is none. */
static void caller_receive_wait(struct victim *v)
{
    uint64_t which;
    struct shmq_message none;
    int fd;
    if (page->rc != SHMQ_OK)
        return;
    page->rc = shmq_caller_receive_wait(
        v->caller, *the_clock + SOON_NS, &v->msg[1], &which);
    if (page->rc == SHMQ_OK)
        page->rc = shmq_caller_release(v->caller, &v->msg[1]);
    if (page->rc == SHMQ_OK &&
        shmq_caller_receive_wait(
            v->caller, *the_clock + SOON_NS, &none, &which) != SHMQ_ERR_TIMEOUT)
        page->rc = SHMQ_ERR_SYS;
    if (page->rc == SHMQ_OK)
        page->rc = shmq_caller_fd(v->caller, &fd);
    if (page->rc == SHMQ_OK && strncmp(shmq_caller_inbox(v->caller), "@", 1))
        page->rc = SHMQ_ERR_SYS;
}

static void server_open(struct victim *v)
{
    struct shmq_server_options o;
    struct shmq_server_stat stat;
    int fd;
    memset(&o, 0, sizeof o);
    memset(&stat, 0, sizeof stat);
    o.struct_bytes = sizeof o;
    stat.struct_bytes = sizeof stat;
    o.group = group_names[WORK];
    page->rc = shmq_server_open(v->topic, &o, &v->server);
    if (page->rc == SHMQ_OK)
        page->rc = shmq_server_fd(v->server, &fd);
    if (page->rc == SHMQ_OK)
        page->rc = shmq_server_stat(v->server, &stat);
    shmq_server_close(v->server);
    v->server = NULL;
}

static void server_receive_wait(struct victim *v)
{
    page->rc =
        shmq_server_receive_wait(v->server, *the_clock + SOON_NS, &v->msg[0]);
}

static void server_nack(struct victim *v)
{
    if (page->rc == SHMQ_OK)
        page->rc = shmq_server_nack(v->server, &v->msg[0]);
}

/* The request is there, and nothing else. */
static void setup_serve(struct victim *v)
{
    setup_reply(v);
    server_nack(v);
    v->taken = 0;
}

static int answer(
    void *ctx, const struct shmq_message *request, struct shmq_record *reply)
{
    struct victim *v = ctx;
    if (tag_of(&page->config, request) != REQUEST_TAG)
        return SHMQ_ERR_EMPTY; /* of others, who came meanwhile: given back */
    v->taken = 1;
    reply->data = REPLY;
    reply->size = sizeof REPLY;
    return SHMQ_HANDLED_STOP;
}

static void serve_wait(struct victim *v)
{
    if (page->rc == SHMQ_OK)
        page->rc =
            shmq_server_serve_wait(v->server, answer, v, *the_clock + SOON_NS);
}

static void served(struct victim *v)
{
    if (page->rc == SHMQ_OK && v->taken)
        replied(v);
}

static void sweep(struct victim *v)
{
    page->rc = shmq_inbox_sweep(shmq_topic_namespace(v->topic), 0, NULL);
}

const struct op request_ops[] = {
    {"caller open", OP_MPMC | OP_NO_FLIP | OP_INBOX, 0, apart, caller_open,
        opened},
    {"caller close", OP_MPMC | OP_NO_FLIP | OP_INBOX, 0, setup_caller,
        caller_close, NULL},
    {"request", OP_MPMC | OP_ONE_FLIP | OP_PAYLOAD | OP_INBOX, 64, setup_caller,
        request, requested},
    {"server receive", OP_MPMC | OP_ONE_FLIP | OP_INBOX, 0, setup_server,
        server_receive, kept},
    {"reply", OP_MPMC | OP_ONE_FLIP | OP_INBOX, 0, setup_reply, server_reply,
        replied},
    {"reply, received", OP_MPMC | OP_NO_FLIP | OP_INBOX, 0, setup_replied,
        caller_receive, NULL},
    {"call", OP_MPMC | OP_ONE_FLIP | OP_PAYLOAD | OP_INBOX, 64, setup_call,
        call_wait, called},
    {"reply, waited for", OP_MPMC | OP_NO_FLIP | OP_INBOX, 0, setup_replied,
        caller_receive_wait, NULL},
    {"server open and close", OP_MPMC | OP_NO_FLIP | OP_INBOX, 0, apart,
        server_open, NULL},
    {"server receive, waiting", OP_MPMC | OP_INBOX, 0, setup_server,
        server_receive_wait, kept},
    {"server nack", OP_MPMC | OP_ONE_FLIP | OP_INBOX, 0, setup_reply,
        server_nack, NULL},
    {"serve", OP_MPMC | OP_INBOX, 0, setup_serve, serve_wait, served},
    {"sweep", OP_MPMC | OP_NO_FLIP | OP_INBOX, 0, setup_caller, sweep, NULL},
};
const uint32_t request_op_cnt = sizeof request_ops / sizeof request_ops[0];
