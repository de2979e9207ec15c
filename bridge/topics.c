#include "topics.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "publish.h"

#define CHECK_NS UINT64_C(100000000)

static int by_name(const void *a, const void *b)
{
    const struct shmqz_topic *x = a, *y = b;
    return strcmp(x->name, y->name);
}

/* Identity of the topic's history, as short as the wire has it. */
static uint32_t epoch_of(const struct shmq_topic *handle)
{
    uint64_t uuid[2];
    shmq_topic_uuid(handle, uuid);
    uint64_t mixed = uuid[0] ^ uuid[1];
    return (uint32_t)(mixed ^ mixed >> 32);
}

static void link_first(struct shmqz_server *server, struct shmqz_topic *topic)
{
    topic->next = server->topics;
    topic->previous = NULL;
    if (topic->next)
        topic->next->previous = topic;
    server->topics = topic;
}

static void dispose(struct shmqz_topic *topic)
{
    struct shmqz_server *server = topic->server;
    if (!topic->closed)
        tdelete(topic, &server->topics_by_name, by_name);
    if (topic->previous)
        topic->previous->next = topic->next;
    else
        server->topics = topic->next;
    if (topic->next)
        topic->next->previous = topic->previous;
    shmq_topic_close(topic->handle);
    free(topic);
}

static int open_topic(
    struct shmqz_server *server, const char *name, struct shmqz_topic **ret)
{
    struct shmqz_topic *topic = calloc(1, sizeof *topic);
    if (!topic)
        return SHMQ_ERR_NOMEM;
    topic->server = server;
    memcpy(topic->name, name, strlen(name));
    int rc = shmq_topic_open(server->ns, name, &topic->handle);
    if (rc) {
        free(topic);
        return rc;
    }
    topic->attrs.struct_bytes = sizeof topic->attrs;
    rc = shmq_topic_attrs(topic->handle, &topic->attrs);
    if (rc || !tsearch(topic, &server->topics_by_name, by_name)) {
        shmq_topic_close(topic->handle);
        free(topic);
        return rc ? rc : SHMQ_ERR_NOMEM;
    }
    topic->epoch = epoch_of(topic->handle);
    link_first(server, topic);
    *ret = topic;
    return SHMQ_OK;
}

/* Whether a topic that is open was removed. It costs a system call, so not each
 * time: using what was removed a moment ago is noticed by the library, too. */
static bool gone(struct shmqz_topic *topic)
{
    uint64_t now = shmqz_loop_now(topic->server->loop);
    if (now - topic->checked_ns < CHECK_NS)
        return false;
    topic->checked_ns = now;
    return shmq_topic_check(topic->handle) == SHMQ_ERR_CLOSED;
}

int shmqz_topic_use(
    struct shmqz_server *server, const char *name, struct shmqz_topic **ret)
{
    struct shmqz_topic probe;
    if (strlen(name) >= sizeof probe.name)
        return SHMQ_ERR_INVAL;
    memcpy(probe.name, name, strlen(name) + 1);
    struct shmqz_topic **found =
        tfind(&probe, &server->topics_by_name, by_name);
    struct shmqz_topic *topic = found ? *found : NULL;
    if (topic && gone(topic)) {
        shmqz_topic_closed(topic);
        topic = NULL;
    }
    int rc = topic ? SHMQ_OK : open_topic(server, name, &topic);
    if (rc)
        return rc;
    topic->uses++;
    *ret = topic;
    return SHMQ_OK;
}

void shmqz_topic_unuse(struct shmqz_topic *topic)
{
    if (--topic->uses == 0)
        dispose(topic);
}

void shmqz_topic_closed(struct shmqz_topic *topic)
{
    if (topic->closed)
        return;
    topic->closed = true;
    tdelete(topic, &topic->server->topics_by_name, by_name);
    topic->uses++;
    shmqz_publisher_close(topic, SHMQW_CLOSED);
    shmqz_topic_unuse(topic);
}

void shmqz_topics_check(struct shmqz_server *server)
{
    for (struct shmqz_topic *t = server->topics, *next; t; t = next) {
        next = t->next;
        if (!t->closed && shmq_topic_check(t->handle) == SHMQ_ERR_CLOSED)
            shmqz_topic_closed(t);
        else
            shmqz_publisher_idle(t);
    }
}

static bool watermarks(struct shmqz_topic *topic, struct shmq_watermarks *ret)
{
    ret->struct_bytes = sizeof *ret;
    return topic->attrs.durability &&
        shmq_topic_watermarks(topic->handle, ret) == SHMQ_OK;
}

void shmqz_topic_ends(struct shmqz_topic *topic, uint64_t *ret_published,
    uint64_t *ret_written, uint64_t *ret_durable)
{
    struct shmq_watermarks marks;
    uint64_t earliest;
    *ret_written = *ret_durable = SHMQW_NONE;
    if (shmq_topic_range(topic->handle, &earliest, ret_published))
        *ret_published = 0;
    if (!watermarks(topic, &marks))
        return;
    *ret_written = marks.written;
    if (topic->attrs.durability == SHMQ_DURABILITY_DISK)
        *ret_durable = marks.durable;
}

uint64_t shmqz_topic_earliest(struct shmqz_topic *topic)
{
    struct shmq_watermarks marks;
    uint64_t earliest = 0, published;
    if (watermarks(topic, &marks))
        return marks.earliest;
    (void)shmq_topic_range(topic->handle, &earliest, &published);
    return earliest;
}

void shmqz_topics_close(struct shmqz_server *server)
{
    while (server->topics) {
        struct shmqz_topic *topic = server->topics;
        topic->uses++;
        shmqz_publisher_close(topic, SHMQW_SHUTTING_DOWN);
        topic->uses = 1;
        shmqz_topic_unuse(topic);
    }
}
