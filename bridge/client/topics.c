/* topics.c - create, list, describe. */
#include <string.h>

#include "client.h"

enum { FRAME = 4096 };

static int begin(struct shmqw_writer *w, uint8_t *frame,
    enum shmqw_command command, const void *fixed, size_t bytes,
    const char *topic)
{
    if (topic && !shmqw_topic_legal(topic, strlen(topic)))
        return shmqr_fail(SHMQ_ERR_INVAL,
            "topic '%.40s': not a legal name; use 1 to %d of A-Z a-z 0-9 . _ "
            "-, not beginning with a dot",
            topic, SHMQ_TOPIC_MAX);
    shmqw_begin(w, frame, FRAME, command, 0, SHMQW_OK, 0, 0);
    shmqw_put_fixed(w, fixed, bytes);
    shmqw_put_text(w, SHMQW_TLV_TOPIC, topic);
    return SHMQ_OK;
}

int shmq_remote_topic_create_wait(struct shmq_remote *remote, const char *topic,
    const struct shmq_topic_attrs *attrs, uint64_t deadline_ns)
{
    uint8_t frame[FRAME];
    struct shmqw_writer w;
    struct shmqw_create c = {0};
    if (attrs) {
        c = (struct shmqw_create){.ring = attrs->ring,
            .on_full = attrs->on_full,
            .durability = attrs->durability,
            .flags = attrs->flags & 31u,
            .capacity_frames = attrs->capacity_frames,
            .arena_bytes = attrs->arena_bytes,
            .max_message_bytes = attrs->max_message_bytes,
            .max_producers = attrs->max_producers,
            .max_groups = attrs->max_groups,
            .max_members = attrs->max_members,
            .mode = attrs->mode,
            .data_mode = attrs->data_mode,
            .timestamps = attrs->timestamps,
            .ttl_ns = attrs->ttl_ns};
    }
    int rc = begin(&w, frame, SHMQW_CREATE, &c, sizeof c, topic);
    if (rc)
        return rc;
    if (attrs)
        shmqw_put_text(&w, SHMQW_TLV_SCHEMA, attrs->schema);
    return shmqr_ask(remote, &w, 0, deadline_ns, NULL, NULL);
}

/* -- list ----------------------------------------------------------------- */

struct listing {
    int (*visit)(void *ctx, const char *topic);
    void *ctx;
    int result;
    char last[SHMQW_TOPIC_MAX + 1];
};

/* Names at or below the last one seen come again when a list that was cut off
 * is repeated. */
static int list_part(void *ctx, const struct shmqw_message *msg)
{
    struct listing *l = ctx;
    uint32_t cursor = 0, type;
    struct shmqw_view v;
    if (!msg)
        return SHMQ_OK;
    while (!l->result && shmqw_tlv_next(msg, &cursor, &type, &v)) {
        char name[SHMQW_TOPIC_MAX + 1];
        if (type != SHMQW_TLV_TOPIC || v.len >= sizeof name)
            continue;
        memcpy(name, v.at, v.len);
        name[v.len] = 0;
        if (strcmp(name, l->last) <= 0)
            continue;
        strcpy(l->last, name);
        l->result = l->visit(l->ctx, name);
    }
    return SHMQ_OK;
}

int shmq_remote_topic_list_wait(struct shmq_remote *remote, const char *pattern,
    uint64_t deadline_ns, int (*visit)(void *ctx, const char *topic), void *ctx)
{
    uint8_t frame[FRAME];
    struct shmqw_writer w;
    struct shmqw_list list = {0, 0};
    struct listing listing = {visit, ctx, 0, ""};
    int rc = begin(&w, frame, SHMQW_LIST, &list, sizeof list, NULL);
    if (rc)
        return rc;
    shmqw_put_text(&w, SHMQW_TLV_PATTERN, pattern);
    rc = shmqr_ask(remote, &w, 0, deadline_ns, list_part, &listing);
    return rc ? rc : listing.result;
}

/* -- describe ------------------------------------------------------------- */

struct description {
    struct shmqw_described fixed;
    char schema[SHMQ_SCHEMA_MAX + 1];
    struct shmq_group_stat *groups;
    struct shmq_endpoint_stat *endpoints;
    uint32_t cap, group_cnt, endpoint_cnt;
};

static void copy_view(char *to, size_t cap, const struct shmqw_view *from)
{
    size_t len = from->len < cap - 1 ? from->len : cap - 1;
    if (len)
        memcpy(to, from->at, len);
    to[len] = 0;
}

static void take_group(struct description *d, const struct shmqw_view *value)
{
    struct shmqw_group_stat g;
    struct shmqw_view name, dead_letter;
    if (!shmqw_open_group_stat(value, &g, &name, &dead_letter) ||
        d->group_cnt++ >= d->cap || !d->groups)
        return;
    struct shmq_group_stat *to = &d->groups[d->group_cnt - 1];
    memset(to, 0, sizeof *to);
    copy_view(to->name, sizeof to->name, &name);
    copy_view(to->dead_letter, sizeof to->dead_letter, &dead_letter);
    to->kind = g.kind;
    to->absent = g.absent;
    to->max_attempts = g.max_attempts;
    to->member_cnt = g.member_cnt;
    to->claimed = g.claimed;
    to->gates = g.gates;
    to->lease_ns = g.lease_ns;
    to->floor_position = g.floor;
    to->lag_messages = g.lag_messages;
    to->lag_bytes = g.lag_bytes;
    to->oldest_unread_ns = g.oldest_unread_ns;
    to->redelivered = g.redelivered;
    to->dead_lettered = g.dead_lettered;
    to->expired = g.expired;
    to->idle_since_ns = g.idle_since_ns;
}

static void take_endpoint(struct description *d, const struct shmqw_view *value)
{
    struct shmqw_endpoint_stat e;
    struct shmqw_view group;
    if (!shmqw_open_endpoint_stat(value, &e, &group) ||
        d->endpoint_cnt++ >= d->cap || !d->endpoints)
        return;
    struct shmq_endpoint_stat *to = &d->endpoints[d->endpoint_cnt - 1];
    memset(to, 0, sizeof *to);
    copy_view(to->group, sizeof to->group, &group);
    memcpy(to->comm, e.comm, sizeof to->comm);
    to->comm[sizeof to->comm - 1] = 0;
    memcpy(to->blocks, e.blocks, sizeof to->blocks);
    to->id = e.id;
    to->role = e.role;
    to->state = e.state;
    to->pid = e.pid;
    to->identity = e.identity;
    to->since_ns = e.since_ns;
    to->holds_frames = e.holds_frames;
    to->messages = e.messages;
    to->waiting = e.waiting;
    to->block_cnt = e.block_cnt;
}

static int describe_part(void *ctx, const struct shmqw_message *msg)
{
    struct description *d = ctx;
    uint32_t cursor = 0, type;
    struct shmqw_view v;
    if (!msg) {
        d->group_cnt = d->endpoint_cnt = 0;
        return SHMQ_OK;
    }
    shmqw_fixed(msg, &d->fixed, sizeof d->fixed);
    (void)shmqw_text(msg, SHMQW_TLV_SCHEMA, d->schema, sizeof d->schema);
    while (shmqw_tlv_next(msg, &cursor, &type, &v)) {
        if (type == SHMQW_TLV_GROUP_STAT)
            take_group(d, &v);
        else if (type == SHMQW_TLV_ENDPOINT_STAT)
            take_endpoint(d, &v);
    }
    return SHMQ_OK;
}

static int describe(struct shmq_remote *r, const char *topic, uint32_t what,
    uint64_t deadline_ns, struct description *d)
{
    uint8_t frame[FRAME];
    struct shmqw_writer w;
    struct shmqw_describe ask = {what, 0};
    int rc = begin(&w, frame, SHMQW_DESCRIBE, &ask, sizeof ask, topic);
    return rc ? rc : shmqr_ask(r, &w, 0, deadline_ns, describe_part, d);
}

static void fill_attrs(
    const struct description *d, struct shmq_topic_attrs *ret, char *ret_schema)
{
    const struct shmqw_create *a = &d->fixed.attrs;
    struct shmq_topic_attrs attrs = {.struct_bytes = sizeof attrs,
        .ring = a->ring,
        .on_full = a->on_full,
        .durability = a->durability,
        .capacity_frames = a->capacity_frames,
        .arena_bytes = a->arena_bytes,
        .max_message_bytes = a->max_message_bytes,
        .max_producers = a->max_producers,
        .max_groups = a->max_groups,
        .max_members = a->max_members,
        .mode = a->mode,
        .data_mode = a->data_mode,
        .flags = a->flags,
        .ttl_ns = a->ttl_ns,
        .timestamps = a->timestamps,
        .owner = d->fixed.owner,
        .group_owner = d->fixed.group_owner};
    if (ret_schema && d->schema[0]) {
        strcpy(ret_schema, d->schema);
        attrs.schema = ret_schema;
    }
    attrs.struct_bytes = ret->struct_bytes;
    memcpy(ret, &attrs,
        ret->struct_bytes < sizeof attrs ? ret->struct_bytes : sizeof attrs);
}

static void fill_stat(
    const struct shmqw_described *d, struct shmq_topic_stat *ret)
{
    struct shmq_topic_stat stat = {.struct_bytes = ret->struct_bytes,
        .earliest_position = d->earliest,
        .published_position = d->published,
        .gate_position = d->gate,
        .depth_messages = d->depth_messages,
        .depth_bytes = d->depth_bytes,
        .total_messages = d->total_messages,
        .total_bytes = d->total_bytes,
        .dropped_new = d->dropped_new,
        .dropped_old = d->dropped_old,
        .dropped_corrupt = d->dropped_corrupt,
        .expired = d->expired,
        .reaped = d->reaped,
        .segment_bytes = d->segment_bytes,
        .capacity_bytes = d->capacity_bytes,
        .capacity_frames =
            d->attrs.ring == SHMQ_RING_SPSC ? 0 : d->attrs.capacity_frames,
        .leaked_loan_bytes = d->leaked_loan_bytes,
        .producer_cnt = d->producer_cnt,
        .member_cnt = d->member_cnt,
        .group_cnt = d->group_cnt,
        .ring_full = d->ring_full};
    memcpy(ret, &stat,
        ret->struct_bytes < sizeof stat ? ret->struct_bytes : sizeof stat);
}

int shmq_remote_topic_stat_wait(struct shmq_remote *remote, const char *topic,
    uint64_t deadline_ns, struct shmq_topic_attrs *ret_attrs, char *ret_schema,
    struct shmq_topic_stat *ret_stat)
{
    struct description d = {0};
    if ((ret_attrs && !ret_attrs->struct_bytes) ||
        (ret_stat && !ret_stat->struct_bytes) || !topic)
        return shmqr_fail(SHMQ_ERR_INVAL, "stat: set struct_bytes");
    int rc = describe(remote, topic, 0, deadline_ns, &d);
    if (rc)
        return rc;
    if (ret_attrs)
        fill_attrs(&d, ret_attrs, ret_schema);
    if (ret_stat)
        fill_stat(&d.fixed, ret_stat);
    return SHMQ_OK;
}

int shmq_remote_topic_watermarks_wait(struct shmq_remote *remote,
    const char *topic, uint64_t deadline_ns, uint64_t *ret_published,
    uint64_t *ret_written, uint64_t *ret_durable)
{
    struct description d = {0};
    if (!topic)
        return shmqr_fail(SHMQ_ERR_INVAL, "watermarks: no topic");
    int rc = describe(remote, topic, 0, deadline_ns, &d);
    if (rc)
        return rc;
    *ret_published = d.fixed.published;
    *ret_written = d.fixed.written;
    *ret_durable = d.fixed.durable;
    return SHMQ_OK;
}

int shmqr_topic_end(struct shmq_remote *r, const char *topic,
    uint64_t deadline_ns, uint64_t *ret_published, uint32_t *ret_epoch)
{
    struct description d = {0};
    int rc = describe(r, topic, 0, deadline_ns, &d);
    if (rc)
        return rc;
    *ret_published = d.fixed.published;
    *ret_epoch = d.fixed.epoch;
    return SHMQ_OK;
}

int shmq_remote_topic_groups_wait(struct shmq_remote *remote, const char *topic,
    uint64_t deadline_ns, struct shmq_group_stat *buf, uint32_t cap,
    uint32_t *ret_cnt)
{
    struct description d = {.groups = buf, .cap = cap};
    if (!topic)
        return shmqr_fail(SHMQ_ERR_INVAL, "groups: no topic");
    int rc = describe(remote, topic, SHMQW_DESCRIBE_GROUPS, deadline_ns, &d);
    if (rc)
        return rc;
    *ret_cnt = d.group_cnt;
    return SHMQ_OK;
}

int shmq_remote_topic_endpoints_wait(struct shmq_remote *remote,
    const char *topic, uint64_t deadline_ns, struct shmq_endpoint_stat *buf,
    uint32_t cap, uint32_t *ret_cnt)
{
    struct description d = {.endpoints = buf, .cap = cap};
    if (!topic)
        return shmqr_fail(SHMQ_ERR_INVAL, "endpoints: no topic");
    int rc = describe(remote, topic, SHMQW_DESCRIBE_ENDPOINTS, deadline_ns, &d);
    if (rc)
        return rc;
    *ret_cnt = d.endpoint_cnt;
    return SHMQ_OK;
}
