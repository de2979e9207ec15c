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
};
const uint32_t request_op_cnt = sizeof request_ops / sizeof request_ops[0];
