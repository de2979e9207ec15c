/* caller.c - the side that asks. Above the public interface, but for making
 * the inbox. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "inbox.h"
#include "process.h"

#define OWN_ATTRS 3u
#define ATTRS_MAX 256u
#define SWEEP_LOOKS 4
#define REPLY_DEFAULT (UINT64_C(16) << 10)

struct shmq_caller {
    struct shmq_producer *producer;
    struct shmq_consumer *inbox;
    uint32_t generation;
    char ns[SHMQ_NAMESPACE_MAX + 1];
    char name[SHMQI_INBOX_ROOM];
    uint64_t calls; /* the last correlation id */
};

static int check_options(
    const struct shmq_caller_options *from, struct shmq_caller_options *o)
{
    memset(o, 0, sizeof *o);
    if (from)
        *o = *from;
    else
        o->struct_bytes = sizeof *o;
    if (o->struct_bytes != sizeof *o || o->reserved)
        return shmqi_fail(SHMQ_ERR_INVAL,
            "caller: options are not legal; set struct_bytes, zero the rest");
    if (!o->max_reply_bytes)
        o->max_reply_bytes = REPLY_DEFAULT;
    if (!o->inbox_frames)
        o->inbox_frames = 64;
    if (!o->max_servers)
        o->max_servers = 64;
    if (o->max_reply_bytes > UINT64_C(1) << 32)
        return shmqi_fail(
            SHMQ_ERR_INVAL, "caller: replies of more than 4 GiB cannot be had");
    return SHMQ_OK;
}

int shmq_caller_open(struct shmq_topic *topic,
    const struct shmq_caller_options *options, struct shmq_caller **ret)
{
    struct shmq_caller_options o;
    struct shmq_topic_attrs attrs;
    memset(&attrs, 0, sizeof attrs);
    attrs.struct_bytes = sizeof attrs;
    struct shmq_producer_options p = {sizeof p, 0, 0};
    int rc = ret ? check_options(options, &o)
                 : shmqi_fail(SHMQ_ERR_INVAL, "caller: no place for it");
    if (rc == SHMQ_OK)
        rc = shmq_topic_attrs(topic, &attrs);
    if (rc)
        return rc;
    struct shmq_caller *c = calloc(1, sizeof *c);
    if (!c)
        return shmqi_fail(SHMQ_ERR_NOMEM, "no memory");
    c->generation = shmqi_generation();
    (void)snprintf(c->ns, sizeof c->ns, "%s", shmq_topic_namespace(topic));
    (void)shmq_inbox_sweep(c->ns, SWEEP_LOOKS, NULL);
    p.spin_ns = o.spin_ns;
    rc = shmq_producer_open(topic, &p, &c->producer);
    if (rc == SHMQ_OK)
        rc = shmqi_inbox_make(c->ns, &o, attrs.mode, c->name, &c->inbox);
    if (rc) {
        shmq_producer_close(c->producer);
        free(c);
        return rc;
    }
    *ret = c;
    return SHMQ_OK;
}

void shmq_caller_close(struct shmq_caller *c)
{
    if (!c)
        return;
    shmq_consumer_close(c->inbox);
    if (shmqi_same_process(c->generation))
        (void)shmq_topic_unlink(c->ns, c->name, SHMQ_UNLINK_FORCE);
    shmq_producer_close(c->producer);
    free(c);
}

static int usable(const struct shmq_caller *c)
{
    if (!c)
        return shmqi_fail(SHMQ_ERR_INVAL, "caller: none given");
    return shmqi_same_process(c->generation)
        ? SHMQ_OK
        : shmqi_fail(SHMQ_ERR_FORKED,
              "caller: it belongs to the parent process; open one in the "
              "child");
}

/* -- asking
 * --------------------------------------------------------------------
 */

/* Deadlines are monotonic; a record's expiry is the time of day, as its other
 * times are. */
static uint64_t expiry_of(uint64_t deadline_ns)
{
    uint64_t now = shmqi_now_monotonic();
    uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
    return shmqi_now_realtime() + left;
}

/* `wait`: until the deadline; else FULL. */
static int ask(struct shmq_caller *c, const struct shmq_record *request,
    uint64_t deadline_ns, bool wait, uint64_t *ret_correlation)
{
    struct shmq_attr attrs[ATTRS_MAX + OWN_ATTRS];
    struct shmq_record r = *request;
    uint64_t expiry, id = c->calls + 1;
    char text[SHMQI_CORRELATION_ROOM];
    if (r.attr_cnt > ATTRS_MAX || (r.attr_cnt && !r.attrs))
        return shmqi_fail(SHMQ_ERR_INVAL, "request: %u attributes; at most %u",
            r.attr_cnt, ATTRS_MAX);
    if (r.attr_cnt)
        memcpy(attrs, r.attrs, r.attr_cnt * sizeof *attrs);
    uint32_t n = r.attr_cnt;
    int len = snprintf(text, sizeof text, "%llu", (unsigned long long)id);
    struct shmq_attr to = {
        SHMQ_ATTR_REPLY_TO, (uint32_t)strlen(c->name), c->name, NULL};
    struct shmq_attr which = {
        SHMQ_ATTR_CORRELATION_ID, (uint32_t)len, text, NULL};
    attrs[n++] = to;
    attrs[n++] = which;
    if (deadline_ns != SHMQ_FOREVER) {
        expiry = expiry_of(deadline_ns);
        struct shmq_attr until = {
            SHMQ_ATTR_EXPIRY, sizeof expiry, &expiry, NULL};
        attrs[n++] = until;
    }
    r.attrs = attrs;
    r.attr_cnt = n;
    int rc = wait ? shmq_producer_publish_batch_wait(
                        c->producer, &r, 1, deadline_ns, NULL)
                  : shmq_producer_publish_batch(c->producer, &r, 1, NULL);
    if (rc)
        return rc;
    c->calls = id;
    *ret_correlation = id;
    return SHMQ_OK;
}

/* The call that a reply belongs to; 0 when it says none of ours. */
static uint64_t correlation_of(
    const struct shmq_caller *c, const struct shmq_message *reply)
{
    struct shmq_attr a;
    char text[SHMQI_CORRELATION_ROOM];
    if (shmq_message_attr(reply, SHMQ_ATTR_CORRELATION_ID, 0, &a) != SHMQ_OK ||
        a.value_bytes == 0 || a.value_bytes >= sizeof text)
        return 0;
    memcpy(text, a.value, a.value_bytes);
    text[a.value_bytes] = '\0';
    uint64_t id = strtoull(text, NULL, 10);
    return id <= c->calls ? id : 0;
}

int shmq_caller_send(struct shmq_caller *c, const struct shmq_record *request,
    uint64_t deadline_ns, uint64_t *ret_correlation)
{
    int rc = usable(c);
    if (rc)
        return rc;
    if (!request || !ret_correlation)
        return shmqi_fail(SHMQ_ERR_INVAL, "request: none, or no place");
    return ask(c, request, deadline_ns, false, ret_correlation);
}

int shmq_caller_receive(
    struct shmq_caller *c, struct shmq_message *ret, uint64_t *ret_correlation)
{
    int rc = usable(c);
    if (rc)
        return rc;
    rc = shmq_consumer_receive(c->inbox, ret);
    if (rc == SHMQ_OK && ret_correlation)
        *ret_correlation = correlation_of(c, ret);
    return rc;
}

int shmq_caller_receive_wait(struct shmq_caller *c, uint64_t deadline_ns,
    struct shmq_message *ret, uint64_t *ret_correlation)
{
    int rc = usable(c);
    if (rc)
        return rc;
    rc = shmq_consumer_receive_wait(c->inbox, deadline_ns, ret);
    if (rc == SHMQ_OK && ret_correlation)
        *ret_correlation = correlation_of(c, ret);
    return rc;
}

int shmq_caller_call_wait(struct shmq_caller *c,
    const struct shmq_record *request, uint64_t deadline_ns,
    struct shmq_message *ret)
{
    uint64_t asked, answered;
    int rc = usable(c);
    if (rc)
        return rc;
    if (!request || !ret)
        return shmqi_fail(SHMQ_ERR_INVAL, "request: none, or no place");
    rc = ask(c, request, deadline_ns, true, &asked);
    while (rc == SHMQ_OK) {
        struct shmq_message msg;
        rc = shmq_caller_receive_wait(c, deadline_ns, &msg, &answered);
        if (rc == SHMQ_OK && answered == asked) {
            *ret = msg;
            return SHMQ_OK;
        }
        if (rc == SHMQ_OK)
            rc = shmq_consumer_release(c->inbox, &msg); /* of a past call */
    }
    if (rc == SHMQ_ERR_FULL) /* the topic drops new records */
        return shmqi_fail(SHMQ_ERR_FULL, "request: the topic is full");
    return rc;
}

int shmq_caller_release(struct shmq_caller *c, struct shmq_message *reply)
{
    int rc = usable(c);
    return rc ? rc : shmq_consumer_release(c->inbox, reply);
}

int shmq_caller_fd(struct shmq_caller *c, int *ret_fd)
{
    int rc = usable(c);
    return rc ? rc : shmq_consumer_fd(c->inbox, ret_fd);
}

const char *shmq_caller_inbox(const struct shmq_caller *c)
{
    return c->name;
}
