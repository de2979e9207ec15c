/* consumer.c - streams: opening them, again after each reconnect, and handing
 * out what comes. */
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

static void enqueue(struct shmq_remote_consumer *c, struct shmqr_item *item)
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
    c->bytes_done += item->payload_bytes;
    c->records_done += item->record_cnt;
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
    c->window_bytes = o->window_bytes ? o->window_bytes : WINDOW_BYTES;
    c->window_records = o->window_records ? o->window_records : WINDOW_RECORDS;
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

/* All streams of a session share what may be granted. */
static void fit_window(struct shmq_remote_consumer *c)
{
    const struct shmqw_welcome *w = &c->remote->welcome;
    uint64_t streams = 0;
    for (struct shmq_remote_consumer *o = c->remote->consumers; o; o = o->next)
        streams++;
    if (streams < 2)
        streams = 2; /* a live reader may need one at any time */
    if (c->window_bytes > w->max_credit_bytes / streams)
        c->window_bytes = w->max_credit_bytes / streams;
    if (c->window_records > w->max_credit_records / streams)
        c->window_records = w->max_credit_records / streams;
}

static void send_attach(struct shmq_remote_consumer *c)
{
    struct shmq_remote *r = c->remote;
    struct shmqw_writer w;
    fit_window(c);
    c->bytes_done = c->records_done = 0;
    c->attach.credit_bytes = c->bytes_granted = c->window_bytes;
    c->attach.credit_records = c->records_granted = c->window_records;
    c->corr_id = shmqr_next_corr(r);
    shmqw_begin(&w, r->scratch, SHMQW_CONTROL_MAX, SHMQW_ATTACH, 0, SHMQW_OK,
        c->corr_id, 0);
    shmqw_put_fixed(&w, &c->attach, sizeof c->attach);
    shmqw_put_text(&w, SHMQW_TLV_TOPIC, c->topic);
    if (c->group[0])
        shmqw_put_text(&w, SHMQW_TLV_GROUP, c->group);
    if (c->dead_letter[0])
        shmqw_put_text(&w, SHMQW_TLV_DEAD_LETTER, c->dead_letter);
    if (r->name)
        shmqw_put_text(&w, SHMQW_TLV_MEMBER, r->name);
    c->stream = SHMQR_ATTACHING;
    (void)shmqr_send_frame(r, r->scratch, shmqw_end(&w), NULL, 0);
}

static void grant(struct shmq_remote_consumer *c)
{
    struct shmq_remote *r = c->remote;
    uint64_t bytes = c->bytes_done + c->window_bytes;
    uint64_t records = c->records_done + c->window_records;
    struct shmqw_writer w;
    if (bytes - c->bytes_granted < c->window_bytes / 4 + 1 &&
        records - c->records_granted < c->window_records / 4 + 1)
        return;
    struct shmqw_credit credit = {bytes, records};
    shmqw_begin(&w, r->scratch, SHMQW_CONTROL_MAX, SHMQW_CREDIT, 0, SHMQW_OK, 0,
        c->stream_id);
    shmqw_put_fixed(&w, &credit, sizeof credit);
    c->bytes_granted = bytes;
    c->records_granted = records;
    (void)shmqr_send_frame(r, r->scratch, shmqw_end(&w), NULL, 0);
}

void shmqr_consumers_flush(struct shmq_remote *r)
{
    struct shmq_remote_consumer *c = r->consumers;
    for (; c && r->state == SHMQR_UP; c = c->next) {
        if (c->stream == SHMQR_DETACHED)
            send_attach(c);
        else if (c->stream == SHMQR_ATTACHED)
            grant(c);
    }
}

/* What a member held is not its own any more; what is queued comes again. */
static void detach(struct shmq_remote_consumer *c)
{
    if (c->stream == SHMQR_ENDED)
        return;
    c->stream = SHMQR_DETACHED;
    c->attach_no++;
    c->stale_cnt += c->acks_open + c->ack_cnt;
    c->acks_open = 0;
    c->ack_cnt = 0;
    if (c->group[0]) {
        shmqr_consumer_purge(c);
    } else if (c->attached.generation) {
        c->attach.start = SHMQW_START_POSITION;
        c->attach.start_value = c->next_pos;
    }
}

void shmqr_consumers_lost(struct shmq_remote *r)
{
    for (struct shmq_remote_consumer *c = r->consumers; c; c = c->next)
        detach(c);
}

static void end_stream(struct shmq_remote_consumer *c, int rc, uint32_t status,
    const struct shmqw_message *msg)
{
    detach(c);
    c->stream = SHMQR_ENDED;
    c->ended = rc;
    c->ended_status = status;
    if (!shmqw_text(msg, SHMQW_TLV_TEXT, c->ended_text, sizeof c->ended_text))
        c->ended_text[0] = 0;
}

/* -- what comes ----------------------------------------------------------- */

static void put_gap(struct shmq_remote_consumer *c, const struct shmq_gap *gap)
{
    struct shmqr_item *item = calloc(1, sizeof *item);
    if (!item) {
        shmqr_lose(c->remote);
        return;
    }
    item->kind = SHMQR_GAP;
    item->gap = *gap;
    enqueue(c, item);
    c->next_pos = gap->to;
}

/* What went while the connection was away is a gap: the bridge begins at the
 * oldest record. */
static void take_attached(
    struct shmq_remote_consumer *c, const struct shmqw_message *msg)
{
    bool first = c->attached.generation == 0;
    uint32_t epoch = c->attached.epoch;
    c->corr_id = 0;
    shmqw_fixed(msg, &c->attached, sizeof c->attached);
    c->stream = SHMQR_ATTACHED;
    c->stream_id = msg->stream_id;
    c->generation = c->attached.generation;
    c->delivery = 0;
    if (first)
        c->created = c->attached.created;
    if (first || c->attached.epoch != epoch)
        c->next_pos = c->attached.position;
    else if (!c->group[0] && c->attached.earliest > c->next_pos)
        put_gap(c,
            &(struct shmq_gap){.from = c->next_pos,
                .to = c->attached.earliest,
                .messages = UINT64_MAX,
                .reason = SHMQ_GAP_DROPPED});
}

static bool expected(struct shmq_remote_consumer *c, uint64_t delivery)
{
    if (c->delivery != delivery) {
        shmqr_lose(c->remote);
        return false;
    }
    c->delivery++;
    return true;
}

static void take_deliver(struct shmq_remote_consumer *c,
    const struct shmqw_message *msg, struct shmqr_parts *parts)
{
    struct shmqw_deliver d;
    shmqw_fixed(msg, &d, sizeof d);
    if (!expected(c, d.delivery))
        return;
    if (d.generation != c->generation) {
        c->bytes_done += parts->len[1];
        c->records_done += d.record_cnt;
        return;
    }
    struct shmqr_item *item = calloc(1, sizeof *item);
    if (!item ||
        shmqw_deliver_check(&d, parts->data[1], parts->len[1]) != SHMQW_OK) {
        free(item);
        shmqr_lose(c->remote);
        return;
    }
    item->kind = SHMQR_BATCH;
    item->record_cnt = d.record_cnt;
    item->payload_bytes = parts->len[1];
    item->cursor.at = parts->data[1];
    item->cursor.len = parts->len[1];
    item->parts = *parts;
    memset(parts, 0, sizeof *parts);
    enqueue(c, item);
    c->next_pos = d.end_pos;
}

static void take_gap(
    struct shmq_remote_consumer *c, const struct shmqw_message *msg)
{
    struct shmqw_gap g;
    shmqw_fixed(msg, &g, sizeof g);
    if (!expected(c, g.delivery) || g.generation != c->generation)
        return;
    put_gap(c,
        &(struct shmq_gap){.from = g.from,
            .to = g.to,
            .frames = g.frames,
            .messages = g.records,
            .reason = g.reason});
}

static void take_end(
    struct shmq_remote_consumer *c, const struct shmqw_message *msg)
{
    struct shmqw_end e;
    shmqw_fixed(msg, &e, sizeof e);
    if (!expected(c, e.delivery) || e.generation != c->generation)
        return;
    struct shmqr_item *item = calloc(1, sizeof *item);
    if (!item) {
        shmqr_lose(c->remote);
        return;
    }
    item->kind = SHMQR_END;
    enqueue(c, item);
    c->stream = SHMQR_ENDED;
    c->ended = SHMQ_ERR_CLOSED;
}

static void take_acked(
    struct shmq_remote_consumer *c, const struct shmqw_message *msg)
{
    struct shmqw_acked acked = {0, 1};
    if (msg->command == SHMQW_ACK)
        shmqw_fixed(msg, &acked, sizeof acked);
    c->stale_cnt += acked.stale;
    if (c->acks_open)
        c->acks_open--;
}

static struct shmq_remote_consumer *find(
    struct shmq_remote *r, const struct shmqw_message *msg)
{
    bool by_corr = msg->corr_id != 0;
    for (struct shmq_remote_consumer *c = r->consumers; c; c = c->next) {
        if (by_corr && c->stream == SHMQR_ATTACHING &&
            c->corr_id == msg->corr_id)
            return c;
        if ((c->stream == SHMQR_ATTACHED) && c->stream_id == msg->stream_id)
            return c;
    }
    return NULL;
}

static bool take_error(
    struct shmq_remote_consumer *c, const struct shmqw_message *msg)
{
    struct shmqw_error e;
    shmqw_fixed(msg, &e, sizeof e);
    if (msg->status == SHMQW_UNKNOWN_SESSION) {
        shmqr_lose(c->remote);
    } else if (c->stream == SHMQR_ATTACHING && c->corr_id == msg->corr_id) {
        /* a restarted bridge, or one that is full, may take it later */
        end_stream(c, shmqr_rc_of(msg->status), msg->status, msg);
    } else if (e.command == SHMQW_ACK) {
        take_acked(c, msg);
    } else if (msg->status == SHMQW_UNKNOWN_STREAM) {
        end_stream(c, SHMQ_ERR_STALE, msg->status, msg);
    } else {
        return false;
    }
    return true;
}

bool shmqr_consumers_take(struct shmq_remote *r,
    const struct shmqw_message *msg, struct shmqr_parts *parts)
{
    struct shmq_remote_consumer *c = find(r, msg);
    if (!c)
        return msg->command == SHMQW_DELIVER || msg->command == SHMQW_GAP ||
            msg->command == SHMQW_END || msg->command == SHMQW_REVOKE ||
            msg->command == SHMQW_ACK;
    struct shmqw_generation g;
    switch (msg->command) {
    case SHMQW_ATTACH:
        take_attached(c, msg);
        return true;
    case SHMQW_DELIVER:
        take_deliver(c, msg, parts);
        return true;
    case SHMQW_GAP:
        take_gap(c, msg);
        return true;
    case SHMQW_END:
        take_end(c, msg);
        return true;
    case SHMQW_REVOKE:
        shmqw_fixed(msg, &g, sizeof g);
        end_stream(c, shmqr_rc_of(msg->status), msg->status, msg);
        return true;
    case SHMQW_ACK:
        take_acked(c, msg);
        return true;
    case SHMQW_ERROR:
        return take_error(c, msg);
    default:
        return false;
    }
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
        shmq_remote_consumer_close(c);
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
