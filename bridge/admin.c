/* admin.c - LIST, DESCRIBE, CREATE. */
#include <stdlib.h>
#include <string.h>

#include "maker.h"
#include "server.h"
#include "topics.h"

#define STATS_MAX 4096u /* groups or endpoints of one topic that are told */

/* -- LIST -------------------------------------------------------------------
 */

struct list {
    struct shmqz_server *server;
    const struct shmqz_peer *peer;
    const struct shmqw_message *request;
    struct shmqw_writer w;
    char pattern[SHMQ_TOPIC_MAX + 13], behind[SHMQ_TOPIC_MAX + 13];
    uint32_t left;
};

static void begin_part(struct list *l, bool more)
{
    static const struct shmqw_done nothing;
    shmqw_begin(&l->w, l->server->control, sizeof l->server->control,
        SHMQW_LIST, SHMQW_FLAG_REPLY | (more ? (uint32_t)SHMQW_FLAG_MORE : 0u),
        SHMQW_OK, l->request->corr_id, 0);
    shmqw_put_fixed(&l->w, &nothing, sizeof nothing);
}

static bool may_see(const struct list *l, const char *topic)
{
    return !l->server->access ||
        shmqz_access_allows(l->server->access, l->peer->user,
            SHMQZ_PUBLISH | SHMQZ_CONSUME | SHMQZ_ADMIN, topic);
}

static int visit(void *ctx, const char *topic)
{
    struct list *l = ctx;
    if (strcmp(topic, l->behind) <= 0 ||
        !shmq_pattern_matches(l->pattern, topic) || !may_see(l, topic))
        return 0;
    if (shmqw_room(&l->w) < strlen(topic)) {
        (void)shmqz_answer(l->server, l->peer, &l->w, NULL);
        begin_part(l, true);
    }
    shmqw_put_text(&l->w, SHMQW_TLV_TOPIC, topic);
    return --l->left == 0;
}

void shmqz_list(struct shmqz_server *server, const struct shmqz_peer *peer,
    const struct shmqw_message *request)
{
    struct list l = {.server = server, .peer = peer, .request = request};
    struct shmqw_list body;
    shmqw_fixed(request, &body, sizeof body);
    l.left = body.max ? body.max : UINT32_MAX;
    if (!shmqw_text(request, SHMQW_TLV_PATTERN, l.pattern, sizeof l.pattern))
        strcpy(l.pattern, "*");
    (void)shmqw_text(request, SHMQW_TLV_TOPIC, l.behind, sizeof l.behind);
    begin_part(&l, true);
    int rc = shmq_topic_list(server->ns, visit, &l);
    if (rc < 0) {
        shmqz_refuse(
            server, peer, request, shmqz_status_of(rc), shmq_error_text());
        return;
    }
    (void)shmqz_answer(server, peer, &l.w, NULL);
    begin_part(&l, false);
    (void)shmqz_answer(server, peer, &l.w, NULL);
}

/* -- DESCRIBE ---------------------------------------------------------------
 */

struct describe {
    struct shmqz_server *server;
    const struct shmqz_peer *peer;
    const struct shmqw_message *request;
    struct shmqw_writer w;
    struct shmqw_described body;
    const char *schema;
};

static void begin_described(struct describe *d, bool more)
{
    shmqw_begin(&d->w, d->server->control, sizeof d->server->control,
        SHMQW_DESCRIBE,
        SHMQW_FLAG_REPLY | (more ? (uint32_t)SHMQW_FLAG_MORE : 0u), SHMQW_OK,
        d->request->corr_id, 0);
    shmqw_put_fixed(&d->w, &d->body, sizeof d->body);
    shmqw_put_text(&d->w, SHMQW_TLV_SCHEMA, d->schema);
}

/* Sends what is full. Each TLV is far smaller than a frame. */
static void make_room(struct describe *d)
{
    if (shmqw_room(&d->w) >= 1024)
        return;
    (void)shmqz_answer(d->server, d->peer, &d->w, NULL);
    begin_described(d, true);
}

static void fill_attrs(
    const struct shmq_topic_attrs *a, struct shmqw_create *ret)
{
    ret->ring = a->ring;
    ret->on_full = a->on_full;
    ret->durability = a->durability;
    ret->flags = a->flags & 0x1fu;
    ret->capacity_frames = a->capacity_frames;
    ret->arena_bytes = a->arena_bytes;
    ret->max_message_bytes = a->max_message_bytes;
    ret->max_producers = a->max_producers;
    ret->max_groups = a->max_groups;
    ret->max_members = a->max_members;
    ret->mode = a->mode;
    ret->data_mode = a->data_mode;
    ret->timestamps = a->timestamps;
    ret->ttl_ns = a->ttl_ns;
}

static int fill_described(
    struct shmqz_topic *topic, struct shmqw_described *ret)
{
    struct shmq_topic_stat st = {0};
    st.struct_bytes = sizeof st;
    int rc = shmq_topic_stat(topic->handle, &st);
    if (rc)
        return rc;
    fill_attrs(&topic->attrs, &ret->attrs);
    ret->earliest = shmqz_topic_earliest(topic);
    shmqz_topic_ends(topic, &ret->published, &ret->written, &ret->durable);
    ret->published = st.published_position;
    ret->gate = st.gate_position;
    ret->depth_messages = st.depth_messages;
    ret->depth_bytes = st.depth_bytes;
    ret->total_messages = st.total_messages;
    ret->total_bytes = st.total_bytes;
    ret->dropped_new = st.dropped_new;
    /* All that is missing and not damaged, in one number. */
    ret->dropped_old =
        st.dropped_old + st.gap_retention + st.gap_truncated + st.gap_lost;
    ret->dropped_corrupt = st.dropped_corrupt;
    ret->expired = st.expired;
    ret->reaped = st.reaped;
    ret->segment_bytes = st.segment_bytes;
    ret->capacity_bytes = st.capacity_bytes;
    ret->leaked_loan_bytes = st.leaked_loan_bytes;
    ret->producer_cnt = st.producer_cnt;
    ret->member_cnt = st.member_cnt;
    ret->group_cnt = st.group_cnt;
    ret->ring_full = st.ring_full;
    ret->epoch = topic->epoch;
    ret->owner = topic->attrs.owner;
    ret->group_owner = topic->attrs.group_owner;
    return SHMQ_OK;
}

static void put_groups(struct describe *d, struct shmqz_topic *topic)
{
    uint32_t cnt = 0;
    struct shmq_group_stat *all = calloc(STATS_MAX, sizeof *all);
    if (!all || shmq_topic_groups(topic->handle, all, STATS_MAX, &cnt))
        cnt = 0;
    for (uint32_t i = 0; i < cnt && i < STATS_MAX; i++) {
        const struct shmq_group_stat *g = &all[i];
        struct shmqw_group_stat s = {.kind = g->kind,
            .absent = g->absent,
            .max_attempts = g->max_attempts,
            .member_cnt = g->member_cnt,
            .claimed = g->claimed,
            .gates = g->gates,
            .lease_ns = g->lease_ns,
            .floor = g->floor_position,
            .lag_messages = g->lag_messages,
            .lag_bytes = g->lag_bytes,
            .oldest_unread_ns = g->oldest_unread_ns,
            .redelivered = g->redelivered,
            .dead_lettered = g->dead_lettered,
            .expired = g->expired,
            .idle_since_ns = g->idle_since_ns};
        make_room(d);
        shmqw_put_group_stat(&d->w, &s, g->name, g->dead_letter);
    }
    free(all);
}

static void put_endpoints(struct describe *d, struct shmqz_topic *topic)
{
    uint32_t cnt = 0;
    struct shmq_endpoint_stat *all = calloc(STATS_MAX, sizeof *all);
    if (!all || shmq_topic_endpoints(topic->handle, all, STATS_MAX, &cnt))
        cnt = 0;
    for (uint32_t i = 0; i < cnt && i < STATS_MAX; i++) {
        const struct shmq_endpoint_stat *e = &all[i];
        struct shmqw_endpoint_stat s = {.id = e->id,
            .role = e->role,
            .state = e->state,
            .pid = e->pid,
            .identity = e->identity,
            .since_ns = e->since_ns,
            .holds_frames = e->holds_frames,
            .messages = e->messages,
            .waiting = e->waiting,
            .block_cnt = e->block_cnt};
        memcpy(s.blocks, e->blocks, sizeof s.blocks);
        memcpy(s.comm, e->comm, sizeof s.comm);
        make_room(d);
        shmqw_put_endpoint_stat(&d->w, &s, e->group);
    }
    free(all);
}

void shmqz_describe(struct shmqz_server *server, const struct shmqz_peer *peer,
    const struct shmqw_message *request)
{
    struct describe d = {.server = server, .peer = peer, .request = request};
    char name[SHMQ_TOPIC_MAX + 13];
    struct shmqz_topic *topic;
    struct shmqw_describe body;
    shmqw_fixed(request, &body, sizeof body);
    if (!shmqw_text(request, SHMQW_TLV_TOPIC, name, sizeof name)) {
        shmqz_refuse(server, peer, request, SHMQW_INVALID, NULL);
        return;
    }
    if (!shmqz_allowed(server, peer->user,
            SHMQZ_PUBLISH | SHMQZ_CONSUME | SHMQZ_ADMIN, name)) {
        shmqz_refuse(server, peer, request, SHMQW_FORBIDDEN, NULL);
        return;
    }
    int rc = shmqz_topic_use(server, name, &topic);
    if (rc) {
        shmqz_refuse(
            server, peer, request, shmqz_status_of(rc), shmq_error_text());
        return;
    }
    rc = fill_described(topic, &d.body);
    d.schema = topic->attrs.schema;
    bool admin = !server->access ||
        shmqz_access_allows(server->access, peer->user, SHMQZ_ADMIN, name);
    if (rc == SHMQ_OK) {
        begin_described(&d, true);
        if (body.what & SHMQW_DESCRIBE_GROUPS)
            put_groups(&d, topic);
        if ((body.what & SHMQW_DESCRIBE_ENDPOINTS) && admin)
            put_endpoints(&d, topic);
        (void)shmqz_answer(server, peer, &d.w, NULL);
        begin_described(&d, false);
        (void)shmqz_answer(server, peer, &d.w, NULL);
    } else {
        shmqz_refuse(
            server, peer, request, shmqz_status_of(rc), shmq_error_text());
    }
    shmqz_topic_unuse(topic);
}

/* -- CREATE -----------------------------------------------------------------
 */

void shmqz_create(struct shmqz_session *session, const struct shmqz_peer *peer,
    const struct shmqw_message *request)
{
    struct shmqz_server *server = session->server;
    static const struct shmqw_done nothing;
    char name[SHMQ_TOPIC_MAX + 13], schema[SHMQ_SCHEMA_MAX + 1];
    struct shmqw_create b;
    struct shmq_topic_attrs a = {0};
    shmqw_fixed(request, &b, sizeof b);
    if (!shmqw_text(request, SHMQW_TLV_TOPIC, name, sizeof name)) {
        shmqz_refuse(server, peer, request, SHMQW_INVALID, NULL);
        return;
    }
    if (!shmqz_allowed(server, peer->user, SHMQZ_ADMIN, name)) {
        shmqz_refuse(server, peer, request, SHMQW_FORBIDDEN, NULL);
        return;
    }
    a.struct_bytes = sizeof a;
    a.ring = b.ring;
    a.on_full = b.on_full;
    a.durability = b.durability;
    a.capacity_frames = b.capacity_frames;
    a.arena_bytes = b.arena_bytes;
    a.max_message_bytes = b.max_message_bytes;
    a.max_producers = b.max_producers;
    a.max_groups = b.max_groups;
    a.max_members = b.max_members;
    a.mode = b.mode;
    a.data_mode = b.data_mode;
    a.flags = b.flags & 0x1fu;
    a.ttl_ns = b.ttl_ns;
    a.timestamps = b.timestamps;
    if (shmqw_text(request, SHMQW_TLV_SCHEMA, schema, sizeof schema))
        a.schema = schema;
    if (b.flags <= 0x1fu && a.durability) {
        enum shmqw_status status = shmqz_make(session, request, name, &a);
        if (status != SHMQW_OK)
            shmqz_refuse(server, peer, request, status, NULL);
        return;
    }
    int rc = b.flags <= 0x1fu ? shmq_topic_create(server->ns, name, &a)
                              : SHMQ_ERR_INVAL;
    if (rc)
        shmqz_refuse(
            server, peer, request, shmqz_status_of(rc), shmq_error_text());
    else
        shmqz_reply(
            server, peer, request, SHMQW_CREATE, 0, &nothing, sizeof nothing);
}
