/* server.c - the side that answers. Above the public interface.
 *
 * Inboxes that were replied to lately stay open. One of them is looked at now
 * and then: that of a caller that has died is closed and removed. */
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "inbox.h"
#include "process.h"

#define INBOXES 32
#define REPLY_ATTRS_MAX 256u
#define LOOK_REQUESTS 256u /* between two looks at an open inbox */
#define IDLE_NS 1000000000u /* between two rounds of clearing away */
#define IDLE_LOOKS 8 /* at living ones, open and others, in one round */
#define IDLE_SWEEPS 1000 /* while each finds dead ones */

struct open_inbox {
    char name[SHMQI_INBOX_ROOM];
    struct shmq_topic *topic;
    struct shmq_producer *producer; /* NULL: the entry is free */
    uint64_t used; /* when, in requests */
};

struct shmq_server {
    struct shmq_consumer *requests;
    char ns[SHMQ_NAMESPACE_MAX + 1];
    uint32_t generation;
    struct shmq_server_stat stat;
    struct open_inbox open[INBOXES];
    uint32_t next_look; /* entry of `open` */
    uint64_t looked, swept_ns;
};

int shmq_server_open(struct shmq_topic *topic,
    const struct shmq_server_options *options, struct shmq_server **ret)
{
    struct shmq_consumer_options c;
    memset(&c, 0, sizeof c);
    c.struct_bytes = sizeof c;
    c.group = "servers";
    if (!ret || (options && options->struct_bytes != sizeof *options))
        return shmqi_fail(SHMQ_ERR_INVAL,
            "server: no place for it, or struct_bytes is not set");
    if (options) {
        c.group = options->group ? options->group : c.group;
        c.attrs = options->attrs;
        c.prefetch_frames = options->prefetch_frames;
        c.spin_ns = options->spin_ns;
    }
    struct shmq_server *s = calloc(1, sizeof *s);
    if (!s)
        return shmqi_fail(SHMQ_ERR_NOMEM, "no memory");
    s->generation = shmqi_generation();
    s->stat.struct_bytes = sizeof s->stat;
    int rc = shmq_consumer_open(topic, &c, &s->requests);
    if (rc) {
        free(s);
        return rc;
    }
    (void)strcpy(s->ns, shmq_topic_namespace(topic));
    *ret = s;
    return SHMQ_OK;
}

/* -- open inboxes
 * --------------------------------------------------------------
 */

static void inbox_close(struct open_inbox *i)
{
    shmq_producer_close(i->producer);
    shmq_topic_close(i->topic);
    memset(i, 0, sizeof *i);
}

/* Its caller is dead: our being there must not keep it. */
static void inbox_remove(struct shmq_server *s, struct open_inbox *i)
{
    char name[SHMQI_INBOX_ROOM];
    (void)strcpy(name, i->name);
    inbox_close(i);
    if (shmq_topic_unlink(s->ns, name, 0) == SHMQ_OK)
        s->stat.inboxes_removed++;
}

/* True: it costs a look, and its owner lives. */
static bool look_at_inbox(struct shmq_server *s)
{
    struct open_inbox *i = &s->open[s->next_look++ % INBOXES];
    s->looked = s->stat.requests;
    if (!i->producer)
        return false;
    if (shmqi_inbox_owned(i->topic))
        return true;
    inbox_remove(s, i);
    return false;
}

/* Nothing to do: clear away. A round without dead callers takes about 1 ms. */
static void idle(struct shmq_server *s)
{
    uint64_t now = shmqi_now_monotonic();
    uint32_t removed = 1;
    if (now - s->swept_ns < IDLE_NS)
        return;
    s->swept_ns = now;
    for (int i = 0, living = 0; i < INBOXES && living < IDLE_LOOKS; i++)
        living += look_at_inbox(s);
    for (int i = 0; removed && i < IDLE_SWEEPS; i++) {
        removed = 0;
        if (shmq_inbox_sweep(s->ns, IDLE_LOOKS, &removed) == SHMQ_OK)
            s->stat.inboxes_removed += removed;
    }
}

/* NOENT: no such inbox (any more). */
static int inbox_open(
    struct shmq_server *s, const char *name, struct open_inbox **ret)
{
    struct open_inbox *oldest = &s->open[0], fresh;
    for (uint32_t n = 0; n < INBOXES; n++) {
        struct open_inbox *i = &s->open[n];
        if (i->producer && strcmp(i->name, name) == 0) {
            *ret = i;
            return SHMQ_OK;
        }
        if (oldest->producer && (!i->producer || i->used < oldest->used))
            oldest = i;
    }
    memset(&fresh, 0, sizeof fresh);
    int rc = shmq_topic_open(s->ns, name, &fresh.topic);
    if (rc == SHMQ_OK) {
        rc = shmq_producer_open(fresh.topic, NULL, &fresh.producer);
        if (rc == SHMQ_OK && !shmqi_inbox_owned(fresh.topic))
            rc = SHMQ_ERR_NOENT;
    }
    (void)strcpy(fresh.name, name);
    if (rc) {
        if (rc == SHMQ_ERR_NOENT && fresh.producer)
            inbox_remove(s, &fresh);
        else
            inbox_close(&fresh);
        return rc == SHMQ_ERR_CLOSED ? SHMQ_ERR_NOENT : rc;
    }
    if (oldest->producer)
        inbox_close(oldest);
    *oldest = fresh;
    *ret = oldest;
    return SHMQ_OK;
}

void shmq_server_close(struct shmq_server *s)
{
    if (!s)
        return;
    shmq_consumer_close(s->requests);
    for (int i = 0; i < INBOXES; i++) {
        if (s->open[i].producer && shmqi_same_process(s->generation) &&
            !shmqi_inbox_owned(s->open[i].topic))
            inbox_remove(s, &s->open[i]);
        else
            inbox_close(&s->open[i]);
    }
    free(s);
}

/* -- receiving
 * -----------------------------------------------------------------
 */

static int usable(const struct shmq_server *s)
{
    if (!s)
        return shmqi_fail(SHMQ_ERR_INVAL, "server: none given");
    return shmqi_same_process(s->generation)
        ? SHMQ_OK
        : shmqi_fail(SHMQ_ERR_FORKED,
              "server: it belongs to the parent process; open one in the "
              "child");
}

static bool expired(const struct shmq_message *request)
{
    struct shmq_attr a;
    uint64_t expiry;
    if (shmq_message_attr(request, SHMQ_ATTR_EXPIRY, 0, &a) != SHMQ_OK ||
        a.value_bytes != sizeof expiry)
        return false;
    memcpy(&expiry, a.value, sizeof expiry);
    return shmqi_now_realtime() >= expiry;
}

/* Takes what receive returned: true when it is to be handed on. */
static bool wanted(struct shmq_server *s, int rc, struct shmq_message *msg)
{
    if (rc)
        return true;
    if (!expired(msg)) {
        s->stat.requests++;
        return true;
    }
    s->stat.expired++;
    (void)shmq_consumer_release(s->requests, msg);
    return false;
}

int shmq_server_receive(struct shmq_server *s, struct shmq_message *ret)
{
    struct shmq_message msg;
    int rc = usable(s);
    if (rc)
        return rc;
    if (!ret)
        return shmqi_fail(SHMQ_ERR_INVAL, "request: no place for it");
    do
        rc = shmq_consumer_receive(s->requests, &msg);
    while (!wanted(s, rc, &msg));
    if (rc == SHMQ_ERR_EMPTY)
        idle(s);
    else if (s->stat.requests - s->looked >= LOOK_REQUESTS)
        (void)look_at_inbox(s);
    if (rc == SHMQ_OK)
        *ret = msg;
    return rc;
}

int shmq_server_receive_wait(
    struct shmq_server *s, uint64_t deadline_ns, struct shmq_message *ret)
{
    int rc = shmq_server_receive(s, ret);
    while (rc == SHMQ_ERR_EMPTY || rc == SHMQ_ERR_TIMEOUT) {
        struct shmq_message msg;
        uint64_t now = shmqi_now_monotonic();
        if (now >= deadline_ns)
            return shmqi_fail(SHMQ_ERR_TIMEOUT,
                "server: no request arrived before the deadline");
        uint64_t slice = now + IDLE_NS;
        rc = shmq_consumer_receive_wait(
            s->requests, slice < deadline_ns ? slice : deadline_ns, &msg);
        if (!wanted(s, rc, &msg))
            rc = SHMQ_ERR_EMPTY;
        if (rc == SHMQ_ERR_TIMEOUT)
            idle(s);
        if (rc == SHMQ_OK)
            *ret = msg;
    }
    return rc;
}

/* -- answering
 * -----------------------------------------------------------------
 */

/* Publishes with the request's correlation id added. */
static int publish(struct shmq_producer *p, const struct shmq_message *request,
    const struct shmq_record *reply)
{
    struct shmq_attr attrs[REPLY_ATTRS_MAX + 1];
    struct shmq_record r = *reply;
    if (r.attr_cnt > REPLY_ATTRS_MAX || (r.attr_cnt && !r.attrs))
        return shmqi_fail(SHMQ_ERR_INVAL, "reply: %u attributes; at most %u",
            r.attr_cnt, REPLY_ATTRS_MAX);
    if (r.attr_cnt)
        memcpy(attrs, r.attrs, r.attr_cnt * sizeof *attrs);
    if (shmq_message_attr(request, SHMQ_ATTR_CORRELATION_ID, 0,
            &attrs[r.attr_cnt]) == SHMQ_OK)
        r.attr_cnt++;
    r.attrs = attrs;
    return shmq_producer_publish_batch(p, &r, 1, NULL);
}

/* 0 when it has arrived or need not; else why the request is not done. */
static int deliver(struct shmq_server *s, const struct shmq_message *request,
    const struct shmq_record *reply)
{
    struct shmq_attr to;
    struct open_inbox *inbox;
    char name[SHMQI_INBOX_ROOM];
    if (shmq_message_attr(request, SHMQ_ATTR_REPLY_TO, 0, &to) != SHMQ_OK)
        return SHMQ_OK;
    int rc = shmqi_inbox_name(to.value, to.value_bytes, name)
        ? inbox_open(s, name, &inbox)
        : SHMQ_ERR_NOENT;
    if (rc == SHMQ_OK) {
        inbox->used = s->stat.requests;
        rc = publish(inbox->producer, request, reply);
        if (rc == SHMQ_ERR_CLOSED) {
            inbox_close(inbox);
            rc = SHMQ_ERR_NOENT;
        }
    }
    switch (rc) {
    case SHMQ_OK:
        s->stat.replies++;
        return rc;
    case SHMQ_ERR_NOENT:
    case SHMQ_ERR_CORRUPT: /* the caller broke its own inbox */
    case SHMQ_ERR_LAYOUT:
        s->stat.gone++;
        return SHMQ_OK;
    case SHMQ_ERR_FULL:
    case SHMQ_ERR_LIMIT:
    case SHMQ_ERR_NOSPACE:
        s->stat.refused++;
        return SHMQ_OK;
    default:
        return rc;
    }
}

int shmq_server_reply(struct shmq_server *s, struct shmq_message *request,
    const struct shmq_record *reply)
{
    int rc = usable(s);
    if (rc == SHMQ_OK && !request)
        rc = shmqi_fail(SHMQ_ERR_INVAL, "reply: to no request");
    if (rc == SHMQ_OK && reply)
        rc = deliver(s, request, reply);
    return rc ? rc : shmq_consumer_release(s->requests, request);
}

int shmq_server_nack(struct shmq_server *s, struct shmq_message *request)
{
    int rc = usable(s);
    return rc ? rc : shmq_consumer_nack(s->requests, request);
}

int shmq_server_serve_wait(struct shmq_server *s,
    int (*handler)(void *ctx, const struct shmq_message *request,
        struct shmq_record *reply),
    void *ctx, uint64_t deadline_ns)
{
    struct shmq_message msg;
    if (!handler)
        return shmqi_fail(SHMQ_ERR_INVAL, "serve: no handler");
    for (;;) {
        int rc = shmq_server_receive_wait(s, deadline_ns, &msg);
        if (rc == SHMQ_ERR_TIMEOUT)
            return SHMQ_OK;
        if (rc)
            return rc;
        struct shmq_record reply;
        memset(&reply, 0, sizeof reply);
        int result = handler(ctx, &msg, &reply);
        rc = result < 0 || result == SHMQ_HANDLED_NACK
            ? shmq_server_nack(s, &msg)
            : shmq_server_reply(s, &msg, &reply);
        if (result < 0)
            return result;
        if (rc && rc != SHMQ_ERR_STALE)
            return rc;
        if (result == SHMQ_HANDLED_STOP)
            return SHMQ_OK;
    }
}

int shmq_server_fd(struct shmq_server *s, int *ret_fd)
{
    int rc = usable(s);
    return rc ? rc : shmq_consumer_fd(s->requests, ret_fd);
}

int shmq_server_stat(const struct shmq_server *s, struct shmq_server_stat *ret)
{
    if (!s || !ret || ret->struct_bytes != sizeof *ret)
        return shmqi_fail(SHMQ_ERR_INVAL,
            "server: none, or struct_bytes is not sizeof(struct "
            "shmq_server_stat)");
    *ret = s->stat;
    return SHMQ_OK;
}
