/* consumer.c - consumers: opening them, and handing out what has come. */
#include <stdlib.h>
#include <string.h>

#include "client.h"

enum {
    WINDOW_BYTES = 1 << 20,
    WINDOW_RECORDS = 4096,
    PREFETCH_SHARED = 16,
    PREFETCH_MAX = 1024
};

/* -- what is queued -------------------------------------------------------- */

static void item_free(struct shmqr_item *item)
{
    shmqr_parts_free(&item->parts);
    free(item);
}

void shmqr_consumer_put(struct shmq_remote_consumer *c, struct shmqr_item *item)
{
    item->next = NULL;
    item->uses = 1;
    *c->tail = item;
    c->tail = &item->next;
}

/* Takes the first item off; its records may stay in use. */
static void dequeue(struct shmq_remote_consumer *c)
{
    struct shmqr_item *item = c->head;
    c->head = item->next;
    if (!c->head)
        c->tail = &c->head;
    shmqr_credit_taken(&c->bytes, item->payload_bytes);
    shmqr_credit_taken(&c->records, item->record_cnt);
    if (--item->uses == 0) {
        item_free(item);
        return;
    }
    item->next = c->in_use;
    c->in_use = item;
}

void shmqr_consumer_purge(struct shmq_remote_consumer *c)
{
    while (c->head)
        dequeue(c);
}

/* -- opening -------------------------------------------------------------- */

int shmqr_start_of(const struct shmq_start *start, struct shmqw_attach *attach)
{
    if (start->kind > SHMQ_START_TIME)
        return shmqr_fail(SHMQ_ERR_INVAL, "start: no such kind");
    attach->start = (uint8_t)start->kind;
    attach->start_value = start->value;
    return SHMQ_OK;
}

static int take_options(struct shmq_remote_consumer *c, const char *topic,
    const struct shmq_remote_consumer_options *o)
{
    struct shmqw_attach *a = &c->attach;
    const char *dead = o->attrs.dead_letter ? o->attrs.dead_letter : "";
    const char *group = o->group ? o->group : "";
    if (!shmqw_topic_legal(topic, strlen(topic)) ||
        (o->group && !shmqw_group_legal(group, strlen(group))) ||
        (*dead && !shmqw_topic_legal(dead, strlen(dead))))
        return shmqr_fail(SHMQ_ERR_INVAL,
            "%s: a name of topic or group is not legal; use A-Z a-z 0-9 . _ -",
            topic);
    if (o->attrs.kind > SHMQ_GROUP_EXCLUSIVE ||
        o->attrs.absent > SHMQ_ABSENT_RELEASE ||
        o->read_level > SHMQ_REMOTE_LEVEL_DURABLE || (o->group && o->until) ||
        o->prefetch_frames > PREFETCH_MAX)
        return shmqr_fail(SHMQ_ERR_INVAL, "%s: an option is not legal", topic);
    strcpy(c->topic, topic);
    strcpy(c->group, group);
    strcpy(c->dead_letter, dead);
    a->flags = o->flags & SHMQ_CONSUMER_NO_CREATE ? SHMQW_ATTACH_NO_CREATE : 0;
    a->kind = (uint8_t)o->attrs.kind;
    a->absent = (uint8_t)o->attrs.absent;
    a->read_level = (uint8_t)o->read_level;
    a->until = o->until ? o->until : SHMQW_NONE;
    a->group_lease_ns = o->attrs.lease_ns;
    a->max_attempts = o->attrs.max_attempts;
    a->prefetch_frames = o->prefetch_frames;
    if (!a->prefetch_frames && o->group &&
        o->attrs.kind != SHMQ_GROUP_EXCLUSIVE)
        a->prefetch_frames = PREFETCH_SHARED;
    c->manual_ack = o->flags & SHMQ_CONSUMER_MANUAL_ACK;
    c->bytes.wished = o->window_bytes ? o->window_bytes : WINDOW_BYTES;
    c->records.wished = o->window_records ? o->window_records : WINDOW_RECORDS;
    return shmqr_start_of(&o->start, a);
}

int shmqr_consumer_begin(struct shmq_remote *r, const char *topic,
    const struct shmq_remote_consumer_options *options,
    struct shmq_remote_consumer **ret)
{
    static const struct shmq_remote_consumer_options defaults = {0};
    struct shmq_remote_consumer *c = calloc(1, sizeof *c);
    if (!c)
        return shmqr_fail(SHMQ_ERR_NOMEM, "%s: no memory", topic);
    c->remote = r;
    c->tail = &c->head;
    int rc = take_options(c, topic, options ? options : &defaults);
    if (rc) {
        free(c);
        return rc;
    }
    c->next = r->consumers;
    r->consumers = c;
    *ret = c;
    return SHMQ_OK;
}

void shmqr_consumer_free(struct shmq_remote_consumer *c)
{
    struct shmq_remote_consumer **link = &c->remote->consumers;
    while (*link && *link != c)
        link = &(*link)->next;
    if (*link)
        *link = c->next;
    shmqr_consumer_purge(c);
    while (c->in_use) {
        struct shmqr_item *item = c->in_use;
        c->in_use = item->next;
        item_free(item);
    }
    free(c);
}

void shmqr_consumer_leave(struct shmq_remote_consumer *c)
{
    /* When ATTACH is not answered yet, its answer will find nobody. */
    if (c->stream == SHMQR_ATTACHED)
        shmqr_consumer_detach(c->remote, c->stream_id, c->generation);
    shmqr_consumer_free(c);
}

/* -- what the caller sees -------------------------------------------------- */

static int ended(const struct shmq_remote_consumer *c)
{
    char text[400] = "";
    strcat(strcat(text, c->topic), ": the stream is over");
    shmqr_fail_text(c->ended_status, c->ended_text[0] ? c->ended_text : text);
    return c->ended ? c->ended : SHMQ_ERR_CLOSED;
}

int shmq_remote_consumer_open_wait(struct shmq_remote *remote,
    const char *topic, const struct shmq_remote_consumer_options *options,
    uint64_t deadline_ns, struct shmq_remote_consumer **ret)
{
    struct shmq_remote_consumer *c;
    if (!remote || !topic || !ret || (options && !options->struct_bytes))
        return shmqr_fail(SHMQ_ERR_INVAL, "consumer: no topic");
    int rc = shmq_remote_connect_wait(remote, deadline_ns);
    if (rc == SHMQ_OK)
        rc = shmqr_consumer_begin(remote, topic, options, &c);
    if (rc)
        return rc;
    while (rc == SHMQ_OK && c->stream != SHMQR_ATTACHED &&
        c->stream != SHMQR_ENDED) {
        if (shmqr_now() >= deadline_ns)
            rc = shmqr_fail(SHMQ_ERR_NODAEMON,
                "%s: the bridge did not answer in time", topic);
        else
            rc = shmqr_pump(remote, deadline_ns, NULL);
    }
    /* an END that came at once is told by receive */
    if (rc == SHMQ_OK && c->stream == SHMQR_ENDED && !c->attached.generation)
        rc = ended(c);
    if (rc) {
        shmqr_consumer_leave(c);
        return rc;
    }
    *ret = c;
    return SHMQ_OK;
}

static int take_gap_item(struct shmq_remote_consumer *c)
{
    c->gap = c->head->gap;
    c->has_gap = true;
    dequeue(c);
    return SHMQ_ERR_GAP;
}

int shmqr_consumer_next(
    struct shmq_remote_consumer *c, struct shmq_message *ret)
{
    struct shmqw_delivered d;
    while (c->head) {
        struct shmqr_item *item = c->head;
        if (item->kind == SHMQR_GAP)
            return take_gap_item(c);
        if (item->kind == SHMQR_BATCH &&
            shmqw_delivered_next(&item->cursor, &d)) {
            item->uses++;
            *ret = (struct shmq_message){.data = d.record.data,
                .size = d.record.size,
                .position = d.position,
                .producer = d.producer,
                .sequence = d.sequence,
                .time_ns = d.time_ns,
                .attempt = d.attempt,
                .flags = d.flags & SHMQW_RUN_REDELIVERED
                    ? SHMQ_MESSAGE_REDELIVERED
                    : 0,
                .attrs = d.record.attrs,
                .attr_bytes = d.record.attr_bytes};
            memcpy(ret->internal, &item, sizeof item);
            ret->internal[2] = c->attach_no;
            if (item->cursor.off == item->cursor.len)
                dequeue(c);
            return SHMQ_OK;
        }
        dequeue(c);
    }
    return c->stream == SHMQR_ENDED ? ended(c) : SHMQ_ERR_EMPTY;
}

int shmq_remote_consumer_receive(
    struct shmq_remote_consumer *consumer, struct shmq_message *ret)
{
    int rc = shmqr_consumer_next(consumer, ret);
    if (rc != SHMQ_ERR_EMPTY)
        return rc;
    shmqr_acks_send(consumer);
    (void)shmqr_pump(consumer->remote, 0, NULL);
    return shmqr_consumer_next(consumer, ret);
}

int shmq_remote_consumer_receive_wait(struct shmq_remote_consumer *consumer,
    uint64_t deadline_ns, struct shmq_message *ret)
{
    for (;;) {
        int rc = shmq_remote_consumer_receive(consumer, ret);
        if (rc != SHMQ_ERR_EMPTY)
            return rc;
        if (shmqr_now() >= deadline_ns)
            return shmqr_fail(
                SHMQ_ERR_TIMEOUT, "%s: no record in time", consumer->topic);
        if (shmqr_pump(consumer->remote, deadline_ns, NULL) != 0)
            return SHMQ_ERR_INTR;
    }
}

int shmq_remote_consumer_gap(
    const struct shmq_remote_consumer *consumer, struct shmq_gap *ret)
{
    if (!consumer->has_gap)
        return SHMQ_ERR_NOENT;
    *ret = consumer->gap;
    return SHMQ_OK;
}

int shmq_remote_consumer_created_group(
    const struct shmq_remote_consumer *consumer)
{
    return consumer->created;
}

uint32_t shmq_remote_consumer_endpoint(
    const struct shmq_remote_consumer *consumer)
{
    return consumer->attached.endpoint;
}

int shmq_remote_message_attr(const struct shmq_message *msg, uint32_t type,
    uint32_t nth, struct shmq_attr *ret)
{
    uint32_t cursor = 0;
    struct shmqw_attr a;
    if (!msg || !ret || !msg->attr_bytes)
        return SHMQ_ERR_NOENT;
    while (shmqw_attr_next(msg->attrs, msg->attr_bytes, &cursor, &a)) {
        if ((type != 0 && (a.type & 0x7fffu) != type) || nth-- > 0)
            continue;
        *ret = (struct shmq_attr){.type = a.type,
            .value_bytes = a.value_bytes,
            .value = a.value,
            .name = a.name};
        return SHMQ_OK;
    }
    return SHMQ_ERR_NOENT;
}
