/* stream.c - beginning and ending of streams, and what clients tell them. */
#include "stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/service_log.h"

/* Positions of one frame of an mpmc ring agree above these bits. */
#define FRAME_SHIFT 12u
#define PREFETCH_MAX 1024u
#define MS UINT64_C(1000000)

/* -- credit -----------------------------------------------------------------
 */

static uint64_t open_bytes(const struct shmqz_stream *s)
{
    return s->granted_bytes > s->sent_bytes ? s->granted_bytes - s->sent_bytes
                                            : 0;
}

static uint64_t open_records(const struct shmqz_stream *s)
{
    return s->granted_records > s->sent_records
        ? s->granted_records - s->sent_records
        : 0;
}

/* Whether the session may have so much open beside its other streams than
 * `besides` (NULL: beside all of them). */
static bool bytes_fit(const struct shmqz_session *session,
    const struct shmqz_stream *besides, uint64_t bytes)
{
    uint64_t sum = 0;
    for (const struct shmqz_stream *o = session->streams; o; o = o->next)
        sum += o == besides ? 0 : open_bytes(o);
    return bytes <= session->credit_bytes &&
        sum <= session->credit_bytes - bytes;
}

static bool records_fit(const struct shmqz_session *session,
    const struct shmqz_stream *besides, uint64_t records)
{
    uint64_t most = session->server->limits.credit_records, sum = 0;
    for (const struct shmqz_stream *o = session->streams; o; o = o->next)
        sum += o == besides ? 0 : open_records(o);
    return records <= most && sum <= most - records;
}

/* Raises what is granted, unless the session would have too much open. */
static enum shmqw_status grant(
    struct shmqz_stream *s, uint64_t bytes, uint64_t records)
{
    uint64_t more = bytes > s->sent_bytes ? bytes - s->sent_bytes : 0;
    if (bytes > s->granted_bytes && !bytes_fit(s->session, s, more))
        return SHMQW_CREDIT_EXCEEDED;
    more = records > s->sent_records ? records - s->sent_records : 0;
    if (records > s->granted_records && !records_fit(s->session, s, more))
        return SHMQW_CREDIT_EXCEEDED;
    if (bytes > s->granted_bytes)
        s->granted_bytes = bytes;
    if (records > s->granted_records)
        s->granted_records = records;
    return SHMQW_OK;
}

/* -- ending -----------------------------------------------------------------
 */

/* Gives back `cnt` records from `msg` on. What goes back takes the later ones
 * of its frame along. Returns how many had not moved on before. */
static uint32_t nack_piece(struct shmqz_stream *s,
    const struct shmq_message *msg, uint32_t cnt, uint64_t delay_ns)
{
    for (uint32_t i = 0; i < cnt; i++) {
        struct shmq_message one;
        shmq_consumer_nth(msg, i, &one);
        int rc = delay_ns
            ? shmq_consumer_nack_later(s->consumer, &one, delay_ns)
            : shmq_consumer_nack(s->consumer, &one);
        if (rc == SHMQ_OK)
            return cnt - i;
        (void)shmq_consumer_release(s->consumer, &one);
    }
    return 0;
}

/* Gives back what the client has had, as tried once more. */
static void give_back(struct shmqz_stream *s)
{
    struct shmqz_held_walk walk = shmqz_held_walk(&s->held, 0, UINT64_MAX);
    struct shmq_message msg;
    uint32_t cnt;
    while (shmqz_held_next(&s->held, &walk, &msg, &cnt))
        (void)nack_piece(s, &msg, cnt, 0);
}

/* The same without a failed attempt: closing the consumer does it. */
static void forget_held(struct shmqz_stream *s)
{
    s->has_ahead = false;
    shmqz_held_free(&s->held);
}

void shmqz_stream_end(struct shmqz_stream *s, enum shmqz_end how)
{
    struct shmqz_session *session = s->session;
    struct shmqz_stream **at = &session->streams;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    session->stream_cnt--;
    if (how == SHMQZ_END_FAILED && s->kind == SHMQ_GROUP_SHARED)
        give_back(s);
    forget_held(s);
    shmqz_task_drop(session->server->loop, &s->task);
    shmqz_source_drop(session->server->loop, &s->source);
    shmq_consumer_close(s->consumer);
    shmqz_topic_unuse(s->topic);
    free(s);
}

void shmqz_stream_revoke(
    struct shmqz_stream *s, enum shmqw_status status, const char *text)
{
    struct shmqz_session *session = s->session;
    struct shmqz_server *server = session->server;
    struct shmqw_generation body = {s->generation};
    struct shmqw_writer w;
    shmqw_begin(&w, server->control, sizeof server->control, SHMQW_REVOKE, 0,
        status, 0, s->id);
    shmqw_put_fixed(&w, &body, sizeof body);
    shmqw_put_text(&w, SHMQW_TLV_TEXT, text);
    shmqz_stream_end(s, SHMQZ_END_LEFT);
    (void)shmqz_session_send(session, &w, NULL);
}

void shmqz_stream_extend(struct shmqz_stream *s)
{
    if (s->lease_ns)
        (void)shmq_consumer_extend(s->consumer);
}

/* -- beginning --------------------------------------------------------------
 */

struct attach {
    struct shmqw_attach body;
    char topic[SHMQ_TOPIC_MAX + 13];
    char group[SHMQ_GROUP_MAX + 1];
    char dead_letter[SHMQ_TOPIC_MAX + 13];
    bool has_group;
};

static enum shmqw_status read_attach(
    const struct shmqw_message *request, struct attach *a)
{
    memset(a, 0, sizeof *a);
    shmqw_fixed(request, &a->body, sizeof a->body);
    if (!shmqw_text(request, SHMQW_TLV_TOPIC, a->topic, sizeof a->topic))
        return SHMQW_INVALID;
    a->has_group = request->tlv[SHMQW_TLV_GROUP].at != NULL;
    if (a->has_group &&
        !shmqw_text(request, SHMQW_TLV_GROUP, a->group, sizeof a->group))
        return SHMQW_INVALID;
    if (request->tlv[SHMQW_TLV_DEAD_LETTER].at &&
        !shmqw_text(request, SHMQW_TLV_DEAD_LETTER, a->dead_letter,
            sizeof a->dead_letter))
        return SHMQW_INVALID;
    if (a->has_group && a->body.until != SHMQW_NONE)
        return SHMQW_INVALID;
    return SHMQW_OK;
}

static void fill_options(
    const struct attach *a, struct shmq_consumer_options *o)
{
    const struct shmqw_attach *b = &a->body;
    memset(o, 0, sizeof *o);
    o->struct_bytes = sizeof *o;
    o->start.kind = b->start;
    o->start.value = b->start_value;
    if (b->read_level == SHMQW_LEVEL_PUBLISHED)
        o->flags |= SHMQ_CONSUMER_READ_PUBLISHED;
    else if (b->read_level > SHMQW_LEVEL_PUBLISHED)
        o->flags |= SHMQ_CONSUMER_READ_DURABLE;
    o->prefetch_frames =
        b->prefetch_frames < PREFETCH_MAX ? b->prefetch_frames : PREFETCH_MAX;
    if (!a->has_group)
        return;
    o->group = a->group;
    if (b->flags & SHMQW_ATTACH_NO_CREATE)
        o->flags |= SHMQ_CONSUMER_NO_CREATE;
    o->attrs.kind = b->kind;
    o->attrs.absent = b->absent;
    o->attrs.lease_ns = b->group_lease_ns;
    o->attrs.max_attempts = b->max_attempts;
    o->attrs.dead_letter = a->dead_letter[0] ? a->dead_letter : NULL;
}

/* Kind and lease that the group really has. */
static void read_group(struct shmqz_stream *s, const char *group)
{
    struct shmq_group_stat *all;
    uint32_t cnt = 0;
    (void)shmq_topic_groups(s->topic->handle, NULL, 0, &cnt);
    cnt += 4;
    all = calloc(cnt, sizeof *all);
    s->kind = s->topic->attrs.ring == SHMQ_RING_SPSC ? SHMQ_GROUP_EXCLUSIVE
                                                     : SHMQ_GROUP_SHARED;
    uint32_t cap = cnt;
    if (all && shmq_topic_groups(s->topic->handle, all, cap, &cnt) == SHMQ_OK)
        for (uint32_t i = 0; i < cnt && i < cap; i++)
            if (strcmp(all[i].name, group) == 0) {
                s->kind = all[i].kind;
                s->lease_ns = all[i].lease_ns;
            }
    free(all);
}

static enum shmqw_status status_of_attach(const struct attach *a, int rc)
{
    if (rc == SHMQ_ERR_NOENT && a->has_group)
        return SHMQW_NO_SUCH_GROUP;
    if (rc == SHMQ_ERR_EXISTS)
        return SHMQW_GROUP_EXISTS;
    return shmqz_status_of(rc);
}

static enum shmqw_status begin(
    struct shmqz_stream *s, const struct attach *a, const char **ret_text)
{
    struct shmqz_server *server = s->session->server;
    struct shmq_consumer_options o;
    uint64_t earliest, published;
    int fd;
    fill_options(a, &o);
    int rc = shmq_consumer_open(s->topic->handle, &o, &s->consumer);
    if (rc) {
        *ret_text = shmq_error_text();
        return status_of_attach(a, rc);
    }
    if (a->has_group)
        read_group(s, a->group);
    rc = shmq_consumer_fd(s->consumer, &fd);
    if (rc == SHMQ_OK)
        rc = shmq_topic_range(s->topic->handle, &earliest, &published);
    if (rc)
        return shmqz_status_of(rc);
    s->until = a->body.until;
    s->until_known = !a->has_group && s->until <= published;
    s->read_level = a->body.read_level;
    s->max_batch = a->body.max_batch;
    s->prev_pos = SHMQW_NONE;
    s->generation = ++server->generations;
    s->task = (struct shmqz_task){.run = shmqz_deliver, .ctx = s};
    s->source = (struct shmqz_source){.fd = fd, .once = true, .task = &s->task};
    return shmqz_source_watch(server->loop, &s->source) ? SHMQW_NO_SPACE
                                                        : SHMQW_OK;
}

static void reply_attached(struct shmqz_stream *s,
    const struct shmqz_peer *peer, const struct shmqw_message *request)
{
    struct shmqw_attached body = {0};
    uint64_t written, durable;
    body.generation = s->generation;
    (void)shmq_consumer_position(s->consumer, &body.position);
    body.earliest = shmqz_topic_earliest(s->topic);
    shmqz_topic_ends(s->topic, &body.published, &written, &durable);
    body.epoch = s->topic->epoch;
    body.kind = (uint8_t)s->kind;
    body.created = (uint8_t)(shmq_consumer_created_group(s->consumer) == 1);
    body.endpoint = shmq_consumer_endpoint(s->consumer);
    shmqz_reply(s->session->server, peer, request, SHMQW_ATTACH, s->id, &body,
        sizeof body);
}

static enum shmqw_status add_stream(struct shmqz_session *session,
    const struct attach *a, struct shmqz_stream **ret, const char **ret_text)
{
    struct shmqz_server *server = session->server;
    struct shmqz_topic *topic;
    if (session->stream_cnt >= server->limits.streams)
        return SHMQW_LIMIT;
    /* Before a group is made that nobody would be in. */
    if (!bytes_fit(session, NULL, a->body.credit_bytes) ||
        !records_fit(session, NULL, a->body.credit_records))
        return SHMQW_CREDIT_EXCEEDED;
    int rc = shmqz_topic_use(server, a->topic, &topic);
    if (rc) {
        *ret_text = shmq_error_text();
        return shmqz_status_of(rc);
    }
    struct shmqz_stream *s = calloc(1, sizeof *s);
    if (!s) {
        shmqz_topic_unuse(topic);
        return SHMQW_NO_SPACE;
    }
    s->session = session;
    s->topic = topic;
    s->id = ++session->last_stream_id;
    s->next = session->streams;
    session->streams = s;
    session->stream_cnt++;
    enum shmqw_status status = begin(s, a, ret_text);
    if (status == SHMQW_OK)
        status = grant(s, a->body.credit_bytes, a->body.credit_records);
    if (status != SHMQW_OK) {
        shmqz_stream_end(s, SHMQZ_END_LEFT);
        return status;
    }
    *ret = s;
    return SHMQW_OK;
}

/* What a member gives back often enough is published there: that takes the
 * right to publish, and to make the topic when it is missing. */
static bool may_dead_letter(struct shmqz_session *session, const char *name)
{
    struct shmqz_server *server = session->server;
    struct shmqz_topic *topic;
    if (!name[0] || !server->access)
        return true;
    if (!shmqz_allowed(server, session->user, SHMQZ_PUBLISH, name))
        return false;
    if (shmqz_topic_use(server, name, &topic) != SHMQ_OK)
        return shmqz_allowed(server, session->user, SHMQZ_ADMIN, name);
    shmqz_topic_unuse(topic);
    return true;
}

void shmqz_attach(struct shmqz_session *session, const struct shmqz_peer *peer,
    const struct shmqw_message *request)
{
    struct shmqz_server *server = session->server;
    struct attach a;
    struct shmqz_stream *s = NULL;
    const char *text = NULL;
    enum shmqw_status status = read_attach(request, &a);
    if (status == SHMQW_OK &&
        !shmqz_allowed(server, session->user, SHMQZ_CONSUME, a.topic))
        status = SHMQW_FORBIDDEN;
    if (status == SHMQW_OK && !may_dead_letter(session, a.dead_letter))
        status = SHMQW_FORBIDDEN;
    if (status == SHMQW_OK && server->leaving)
        status = SHMQW_SHUTTING_DOWN;
    if (status == SHMQW_OK)
        status = add_stream(session, &a, &s, &text);
    if (status != SHMQW_OK || !s) {
        shmqz_refuse(server, peer, request, status, text);
        return;
    }
    char member[64];
    if (!shmqw_text(request, SHMQW_TLV_MEMBER, member, sizeof member))
        member[0] = '\0';
    shmqs_log_about(SHMQS_DEBUG, "topic", a.topic,
        "stream begins: %s of user %s: %s%s%s%s", session->name,
        session->user[0] ? session->user : "-",
        a.has_group ? "group " : "a reader of its own", a.group,
        member[0] ? ", member " : "", member);
    reply_attached(s, peer, request);
    shmqz_task_wake(server->loop, &s->task);
}

/* -- commands ---------------------------------------------------------------
 */

struct command {
    struct shmqz_stream *stream;
    struct shmqz_server *server;
    const struct shmqz_peer *peer;
    const struct shmqw_message *request;
};

static void done(const struct command *c, enum shmqw_command reply,
    const void *fixed, size_t bytes)
{
    shmqz_reply(c->server, c->peer, c->request, reply, c->request->stream_id,
        fixed, bytes);
}

static void fail(const struct command *c, enum shmqw_status status)
{
    shmqz_refuse(c->server, c->peer, c->request, status, NULL);
}

static void fail_rc(const struct command *c, int rc)
{
    shmqz_refuse(
        c->server, c->peer, c->request, shmqz_status_of(rc), shmq_error_text());
}

static void credit(const struct command *c)
{
    struct shmqw_credit body;
    shmqw_fixed(c->request, &body, sizeof body);
    enum shmqw_status status = grant(c->stream, body.bytes, body.records);
    if (status != SHMQW_OK)
        fail(c, status);
    else
        shmqz_task_wake(c->server->loop, &c->stream->task);
}

/* Ranges of a command in ascending order, without those that are in others:
 * however many a client sends, they are one way through what it holds. */
struct ranges {
    uint32_t cnt;
    struct shmqw_range at[SHMQW_CONTROL_MAX / sizeof(struct shmqw_range)];
};

static int by_begin(const void *a, const void *b)
{
    const struct shmqw_range *x = a, *y = b;
    return (x->from > y->from) - (x->from < y->from);
}

static void read_ranges(const struct shmqw_message *request, struct ranges *ret)
{
    uint32_t n = shmqw_range_cnt(request), cnt = 0;
    for (uint32_t i = 0; i < n && i < sizeof ret->at / sizeof *ret->at; i++)
        ret->at[cnt++] = shmqw_range_at(request, i);
    qsort(ret->at, cnt, sizeof *ret->at, by_begin);
    ret->cnt = 0;
    for (uint32_t i = 0; i < cnt; i++) {
        struct shmqw_range *last = &ret->at[ret->cnt ? ret->cnt - 1 : 0];
        if (ret->cnt && ret->at[i].from < last->to)
            last->to = ret->at[i].to > last->to ? ret->at[i].to : last->to;
        else
            ret->at[ret->cnt++] = ret->at[i];
    }
}

/* Acknowledges what is held in the ranges. */
static void ack_ranges(struct shmqz_stream *s, const struct ranges *ranges,
    struct shmqw_acked *counts)
{
    struct shmqz_held_walk walk = shmqz_held_walk(&s->held, 0, 0);
    for (uint32_t i = 0; i < ranges->cnt; i++) {
        struct shmq_message msg;
        uint32_t cnt;
        bool any = false;
        shmqz_held_onward(
            &s->held, &walk, ranges->at[i].from, ranges->at[i].to);
        while (shmqz_held_next(&s->held, &walk, &msg, &cnt)) {
            int done = shmq_consumer_release_many(s->consumer, &msg, cnt);
            any = true;
            counts->done += done > 0 ? (uint32_t)done : 0;
            counts->stale += cnt - (done > 0 ? (uint32_t)done : 0);
        }
        counts->stale += !any;
    }
}

static void ack(const struct command *c)
{
    struct shmqw_acked counts = {0, 0};
    struct ranges ranges;
    if (!c->stream->kind) {
        fail(c, SHMQW_INVALID);
        return;
    }
    read_ranges(c->request, &ranges);
    ack_ranges(c->stream, &ranges, &counts);
    done(c, SHMQW_ACK, &counts, sizeof counts);
    shmqz_task_wake(c->server->loop, &c->stream->task);
}

/* A new generation, after the library has voided what was held: what is under
 * way to the client is void, too. */
static void renew(struct shmqz_stream *s)
{
    forget_held(s);
    s->prev_pos = SHMQW_NONE;
    s->generation = ++s->session->server->generations;
    shmqz_task_wake(s->session->server->loop, &s->task);
}

/* Gives back some records, and in their frame what comes behind them. */
static void nack_shared(struct shmqz_stream *s, const struct shmq_message *msg,
    uint32_t cnt, uint64_t delay_ns, struct shmqw_nacked *counts)
{
    struct shmq_message later;
    uint32_t later_cnt, gone = nack_piece(s, msg, cnt, delay_ns);
    uint64_t frame_end = ((msg->position >> FRAME_SHIFT) + 1) << FRAME_SHIFT;
    uint64_t next = msg->position + cnt;
    counts->done += gone;
    counts->stale += cnt - gone;
    if (gone == 0)
        return;
    struct shmqz_held_walk walk = shmqz_held_walk(&s->held, next, frame_end);
    while (shmqz_held_next(&s->held, &walk, &later, &later_cnt)) {
        (void)shmq_consumer_release_many(s->consumer, &later, later_cnt);
        counts->done += later_cnt;
    }
    if (s->has_ahead && s->ahead.position >= next &&
        s->ahead.position < frame_end) {
        (void)shmq_consumer_release(s->consumer, &s->ahead);
        s->has_ahead = false;
    }
}

/* The reader goes back to the first record that nobody acknowledged: with the
 * new generation the client could not acknowledge any of them. */
static void nack_exclusive(struct shmqz_stream *s, const struct ranges *ranges,
    struct shmqw_nacked *counts)
{
    struct shmq_message first;
    uint64_t done = 0;
    shmqz_held_squeeze(&s->held);
    for (uint32_t i = 0; i < ranges->cnt; i++) {
        uint64_t found =
            shmqz_held_count(&s->held, ranges->at[i].from, ranges->at[i].to);
        done += found;
        counts->stale += found == 0;
    }
    if (done == 0 || !shmqz_held_take(&s->held, 0, UINT64_MAX, &first))
        return;
    if (shmq_consumer_nack(s->consumer, &first)) {
        counts->stale += done;
        return;
    }
    counts->done = done;
    renew(s);
}

static void nack(const struct command *c)
{
    struct shmqz_stream *s = c->stream;
    struct shmqw_nacked counts = {0, 0, 0};
    struct shmqw_nack body;
    struct ranges ranges;
    shmqw_fixed(c->request, &body, sizeof body);
    if (!s->kind || body.delay_ns > SHMQW_DELAY_MAX_NS ||
        (body.delay_ns && s->kind != SHMQ_GROUP_SHARED)) {
        fail(c, SHMQW_INVALID);
        return;
    }
    read_ranges(c->request, &ranges);
    if (s->kind == SHMQ_GROUP_EXCLUSIVE)
        nack_exclusive(s, &ranges, &counts);
    struct shmqz_held_walk walk = shmqz_held_walk(&s->held, 0, 0);
    for (uint32_t i = 0; s->kind == SHMQ_GROUP_SHARED && i < ranges.cnt; i++) {
        struct shmq_message msg;
        shmqz_held_onward(&s->held, &walk, ranges.at[i].from, ranges.at[i].to);
        uint32_t cnt;
        bool any = false;
        while (shmqz_held_next(&s->held, &walk, &msg, &cnt)) {
            any = true;
            nack_shared(s, &msg, cnt, body.delay_ns, &counts);
        }
        counts.stale += !any;
    }
    counts.generation = s->generation;
    done(c, SHMQW_NACK, &counts, sizeof counts);
    shmqz_task_wake(c->server->loop, &s->task);
}

static void commit(const struct command *c)
{
    struct shmqw_acked counts = {0, 0};
    struct shmqw_committed reply = {0};
    struct shmqw_commit body;
    uint64_t earliest, published;
    shmqw_fixed(c->request, &body, sizeof body);
    if (!c->stream->kind || body.level > SHMQW_LEVEL_DURABLE) {
        fail(c, SHMQW_INVALID);
        return;
    }
    int rc = shmq_topic_range(c->stream->topic->handle, &earliest, &published);
    if (rc == SHMQ_OK && body.position > published) {
        fail(c, SHMQW_COMMIT_BEYOND_END);
        return;
    }
    struct ranges all = {1, {{0, body.position}}};
    ack_ranges(c->stream, &all, &counts);
    if (rc == SHMQ_OK)
        rc = shmq_consumer_position(c->stream->consumer, &reply.floor);
    if (rc) {
        fail_rc(c, rc);
        return;
    }
    reply.level = SHMQW_LEVEL_PUBLISHED;
    shmqz_task_wake(c->server->loop, &c->stream->task);
    if (body.level <= SHMQW_LEVEL_PUBLISHED) {
        done(c, SHMQW_COMMIT, &reply, sizeof reply);
        return;
    }
    enum shmqw_status status = shmqz_commit_wait(c->stream, c->request, &body);
    if (status != SHMQW_OK)
        fail(c, status);
}

static void seek(const struct command *c)
{
    struct shmqz_stream *s = c->stream;
    struct shmqw_sought reply = {0, 0};
    struct shmqw_seek body;
    struct shmq_start start = {0};
    shmqw_fixed(c->request, &body, sizeof body);
    if (s->kind == SHMQ_GROUP_SHARED || body.start < SHMQW_START_EARLIEST ||
        body.start > SHMQW_START_TIME) {
        fail(c, SHMQW_INVALID);
        return;
    }
    start.kind = body.start;
    start.value = body.value;
    int rc = shmq_consumer_seek(s->consumer, &start);
    if (rc == SHMQ_OK)
        rc = shmq_consumer_position(s->consumer, &reply.position);
    if (rc) {
        /* The library has let go of what was held, and an error tells no new
         * generation: the client has to come again. */
        enum shmqw_status status = shmqz_status_of(rc);
        char text[256];
        (void)snprintf(text, sizeof text, "%s", shmq_error_text());
        fail_rc(c, rc);
        shmqz_stream_revoke(s, status, text);
        return;
    }
    renew(s);
    reply.generation = s->generation;
    done(c, SHMQW_SEEK, &reply, sizeof reply);
}

static void check(const struct command *c)
{
    struct shmqz_stream *s = c->stream;
    struct shmqw_checked reply = {0};
    uint64_t written, durable;
    int drained = shmq_consumer_drained(s->consumer);
    int rc = drained < 0 ? drained
                         : shmq_consumer_position(s->consumer, &reply.position);
    if (rc) {
        fail_rc(c, rc);
        return;
    }
    shmqz_topic_ends(s->topic, &reply.published, &written, &durable);
    reply.drained =
        (uint8_t)(drained == 1 && !s->has_ahead && s->held.live == 0);
    done(c, SHMQW_CHECK, &reply, sizeof reply);
}

static void detach(const struct command *c)
{
    static const struct shmqw_done nothing;
    shmqz_stream_end(c->stream, SHMQZ_END_LEFT);
    done(c, SHMQW_DETACH, &nothing, sizeof nothing);
}

static bool generation_fits(const struct command *c)
{
    struct shmqw_generation body;
    shmqw_fixed(c->request, &body, sizeof body);
    return body.generation == c->stream->generation;
}

void shmqz_stream_command(struct shmqz_session *session,
    const struct shmqz_peer *peer, const struct shmqw_message *request)
{
    static void (*const commands[SHMQW_COMMAND_CNT])(const struct command *) = {
        [SHMQW_CREDIT] = credit,
        [SHMQW_ACK] = ack,
        [SHMQW_NACK] = nack,
        [SHMQW_COMMIT] = commit,
        [SHMQW_SEEK] = seek,
        [SHMQW_DETACH] = detach,
        [SHMQW_CHECK] = check,
    };
    struct command c = {session->streams, session->server, peer, request};
    while (c.stream && c.stream->id != request->stream_id)
        c.stream = c.stream->next;
    if (!c.stream) {
        fail(&c, SHMQW_UNKNOWN_STREAM);
        return;
    }
    /* All but CREDIT begin with the generation. */
    if (request->command != SHMQW_CREDIT && !generation_fits(&c)) {
        fail(&c, SHMQW_FENCED_GENERATION);
        return;
    }
    commands[request->command](&c);
}
