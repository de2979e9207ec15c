#include "publish.h"

#include <stdlib.h>
#include <string.h>

#include "digest.h"
#include "lookback.h"
#include "origins.h"
#include "session.h"

#define MS UINT64_C(1000000)
#define RETRY_NS MS
#define ITEMS_A_RUN 64u
#define PRODUCERS_MAX 4096u
#define PIECES_MAX 4096u
#define IDLE_NS (600 * 1000 * MS)
#define RETRY_AFTER_MS 20u
#define WINDOW_SHARE 16u /* of the publish window, while the ring is full */

/* A PUBLISH that has no answer yet. */
struct item {
    uint64_t session_id;
    uint32_t corr_id;
    struct shmqw_publish body;
    struct shmqz_part payload; /* until it is published */
    bool has_payload;
    uint64_t payload_bytes;
    uint64_t deadline_ns;
    bool looked_back;
    uint64_t seen_from; /* then: of this producer everything from here on */
    bool repeated;
    uint64_t base_pos, end_pos, expected;
    uint64_t wait_pos; /* end that has to reach the level */
    uint32_t level; /* to be reached */
    struct item *next;
};

struct queue {
    struct item *first, *last;
};

struct shmqz_publisher {
    struct shmqz_topic *topic;
    struct shmq_producer *producer;
    struct shmqz_origins *origins;
    uint64_t known_from; /* a producer that is not in the table has nothing at
                            or above it */
    struct shmqz_lookback *look;
    struct item *asker; /* who it is for, in `behind`; NULL: has gone */
    bool forgot; /* a producer, since the look began */
    struct queue behind; /* cannot be decided before the look has ended */
    struct queue room; /* to be published, in this order */
    struct queue level; /* published, level not reached */
    struct shmqz_task task;
    uint64_t used_ns;
};

static void push(struct queue *q, struct item *item)
{
    item->next = NULL;
    if (q->last)
        q->last->next = item;
    else
        q->first = item;
    q->last = item;
}

static struct item *pop(struct queue *q)
{
    struct item *item = q->first;
    q->first = item->next;
    if (!q->first)
        q->last = NULL;
    return item;
}

/* -- answers ----------------------------------------------------------------
 */

struct answer {
    enum shmqw_status status;
    uint32_t level; /* reached */
    const uint64_t *positions; /* of each record, when they do not follow */
};

static void put_answer(struct shmqz_session *session, const struct item *item,
    const struct answer *a, bool crowded)
{
    struct shmqz_server *server = session->server;
    const struct shmqz_limits *l = &server->limits;
    struct shmqw_writer w;
    struct shmqw_puback body = {0};
    uint32_t share = crowded ? WINDOW_SHARE : 1;
    body.sequence = item->body.sequence;
    body.base_pos = item->base_pos;
    body.end_pos = item->end_pos;
    body.expected = item->expected;
    body.record_cnt = item->body.record_cnt;
    body.level = (uint8_t)a->level;
    if (item->repeated) {
        body.flags |= SHMQW_PUBACK_DUP;
        if (item->end_pos == 0)
            body.flags |= SHMQW_PUBACK_POSITIONS_UNKNOWN;
    }
    body.window_msgs = l->publish_msgs / share ? l->publish_msgs / share : 1;
    body.window_bytes = (uint32_t)(l->publish_bytes / share);
    if (a->status == SHMQW_OVERLOADED)
        body.retry_after_ms = RETRY_AFTER_MS;
    shmqw_begin(&w, server->control, sizeof server->control, SHMQW_PUBACK,
        SHMQW_FLAG_REPLY, a->status, item->corr_id, 0);
    shmqw_put_fixed(&w, &body, sizeof body);
    if (a->positions)
        shmqw_put(&w, SHMQW_TLV_POSITIONS, a->positions,
            item->body.record_cnt * sizeof *a->positions);
    (void)shmqz_session_send(session, &w, NULL);
}

/* Answers an item, if its session is still there, and frees it. */
static void answer(struct shmqz_server *server, struct item *item,
    const struct answer *a, bool crowded)
{
    struct shmqz_session *session =
        shmqz_session_by_id(server, item->session_id);
    if (session) {
        put_answer(session, item, a, crowded);
        session->publish_msgs--;
        session->publish_bytes -= item->payload_bytes;
    }
    if (a->status != SHMQW_OK && a->status != SHMQW_TIMEOUT_LEVEL)
        server->counters.publish_refused++;
    if (item->has_payload)
        shmqz_part_close(&item->payload);
    free(item);
}

/* -- publishers --------------------------------------------------------------
 */

static bool run(void *ctx);

static int open_producer(struct shmqz_publisher *p)
{
    uint64_t earliest;
    int rc = shmq_producer_open(p->topic->handle, NULL, &p->producer);
    if (rc == SHMQ_OK)
        rc = shmq_topic_range(p->topic->handle, &earliest, &p->known_from);
    return rc;
}

static void dispose(struct shmqz_publisher *p)
{
    struct shmqz_topic *topic = p->topic;
    topic->publisher = NULL;
    shmqz_task_drop(topic->server->loop, &p->task);
    shmqz_lookback_end(p->look);
    shmq_producer_close(p->producer);
    shmqz_origins_free(p->origins);
    free(p);
    shmqz_topic_unuse(topic);
}

static int use_publisher(
    struct shmqz_topic *topic, struct shmqz_publisher **ret)
{
    struct shmqz_publisher *p = topic->publisher;
    if (!p) {
        p = calloc(1, sizeof *p);
        if (!p)
            return SHMQ_ERR_NOMEM;
        p->topic = topic;
        p->task = (struct shmqz_task){.run = run, .ctx = p};
        p->origins = shmqz_origins_new(PRODUCERS_MAX, PIECES_MAX);
        topic->publisher = p;
        topic->uses++;
        int rc = p->origins ? open_producer(p) : SHMQ_ERR_NOMEM;
        if (rc) {
            dispose(p);
            return rc;
        }
    }
    p->used_ns = shmqz_loop_now(topic->server->loop);
    *ret = p;
    return SHMQ_OK;
}

void shmqz_publisher_close(struct shmqz_topic *topic, enum shmqw_status status)
{
    struct shmqz_publisher *p = topic->publisher;
    struct answer refused = {status, 0, NULL};
    struct answer open = {SHMQW_TIMEOUT_LEVEL, SHMQW_LEVEL_PUBLISHED, NULL};
    if (!p)
        return;
    while (p->behind.first)
        answer(topic->server, pop(&p->behind), &refused, false);
    while (p->room.first)
        answer(topic->server, pop(&p->room), &refused, false);
    while (p->level.first)
        answer(topic->server, pop(&p->level), &open, false);
    dispose(p);
}

static bool has_items(const struct shmqz_publisher *p)
{
    return p->behind.first || p->room.first || p->level.first;
}

void shmqz_publisher_idle(struct shmqz_topic *topic)
{
    struct shmqz_publisher *p = topic->publisher;
    uint64_t now = shmqz_loop_now(topic->server->loop);
    if (p && !has_items(p) && now - p->used_ns > IDLE_NS)
        dispose(p);
}

/* -- one publish --------------------------------------------------------------
 */

/* What to do with the item at the head. */
enum step { DONE, AGAIN_LATER, LOOK_BACK };

static uint32_t own_level(const struct shmqz_topic *topic)
{
    return SHMQW_LEVEL_PUBLISHED + topic->attrs.durability;
}

static uint32_t level_reached(struct shmqz_topic *topic, uint64_t end_pos)
{
    uint64_t published, written, durable;
    if (!topic->attrs.durability)
        return SHMQW_LEVEL_PUBLISHED;
    shmqz_topic_ends(topic, &published, &written, &durable);
    if (durable != SHMQW_NONE && end_pos <= durable)
        return SHMQW_LEVEL_DURABLE;
    return written != SHMQW_NONE && end_pos <= written ? SHMQW_LEVEL_WRITTEN
                                                       : SHMQW_LEVEL_PUBLISHED;
}

/* It is in the ring: answers, or waits for its level. */
static void published(
    struct shmqz_publisher *p, struct item *item, const uint64_t *positions)
{
    struct answer a = {SHMQW_OK, SHMQW_LEVEL_PUBLISHED, positions};
    /* Where it lies is not known any more: long ago, so everything before the
     * present end of the ring is waited for. */
    uint64_t written, durable;
    if (item->has_payload)
        shmqz_part_close(&item->payload);
    item->has_payload = false;
    item->wait_pos = item->end_pos;
    if (item->wait_pos == 0)
        shmqz_topic_ends(p->topic, &item->wait_pos, &written, &durable);
    if (item->level > SHMQW_LEVEL_PUBLISHED)
        a.level = level_reached(p->topic, item->wait_pos);
    if (item->level > a.level) {
        push(&p->level, item);
        return;
    }
    answer(p->topic->server, item, &a, p->room.first != NULL);
}

static void refuse(
    struct shmqz_publisher *p, struct item *item, enum shmqw_status status)
{
    struct answer a = {status, 0, NULL};
    uint64_t written, durable;
    item->base_pos = item->end_pos = 0;
    if (status == SHMQW_HISTORY_GONE) /* from here on it can be decided */
        shmqz_topic_ends(p->topic, &item->end_pos, &written, &durable);
    answer(p->topic->server, item, &a,
        status == SHMQW_OVERLOADED || p->room.first != NULL);
}

static int put_into_ring(
    struct shmqz_publisher *p, struct item *item, bool *ret_follow)
{
    struct shmqz_records *r = &p->topic->server->records;
    const struct shmqw_publish *b = &item->body;
    struct shmq_origin origin = {0};
    origin.producer = b->producer_id;
    origin.epoch = b->epoch;
    origin.record_cnt = b->record_cnt;
    origin.sequence = b->sequence;
    if (!shmqz_records_read(r, shmqz_part_data(&item->payload),
            item->payload_bytes, b->record_cnt,
            b->producer_id ? &origin : NULL))
        return SHMQ_ERR_NOMEM;
    int rc = shmq_producer_publish_batch(
        p->producer, r->records, b->record_cnt, r->positions);
    if (rc)
        return rc;
    item->base_pos = r->positions[0];
    item->end_pos = r->positions[b->record_cnt - 1] + 1;
    *ret_follow = item->end_pos - item->base_pos == b->record_cnt;
    return SHMQ_OK;
}

/* Those that are not in the table may have published up to now. */
static void forgot_some(struct shmqz_publisher *p)
{
    uint64_t earliest;
    (void)shmq_topic_range(p->topic->handle, &earliest, &p->known_from);
    p->forgot = true;
}

static void remember(struct shmqz_publisher *p, const struct item *item)
{
    struct shmqz_piece piece = {0};
    bool forgot = false;
    piece.producer = item->body.producer_id;
    piece.epoch = item->body.epoch;
    piece.record_cnt = item->body.record_cnt;
    piece.sequence = item->body.sequence;
    piece.base_pos = item->base_pos;
    piece.end_pos = item->end_pos;
    if (p->asker) /* what was found of it so far stays */
        shmqz_origins_touch(p->origins, p->asker->body.producer_id);
    bool kept = shmqz_origins_add(p->origins, &piece, &forgot);
    if (!kept || forgot)
        forgot_some(p);
}

static enum step take(struct shmqz_publisher *p, struct item *item)
{
    bool follow = true;
    int rc = put_into_ring(p, item, &follow);
    uint64_t now = shmqz_loop_now(p->topic->server->loop);
    bool waits =
        rc == SHMQ_ERR_FULL && p->topic->attrs.on_full == SHMQ_ON_FULL_BLOCK;
    if (waits && now < item->deadline_ns)
        return AGAIN_LATER;
    (void)pop(&p->room);
    if (rc) {
        refuse(p, item, waits ? SHMQW_OVERLOADED : shmqz_status_of(rc));
        return DONE;
    }
    struct shmqz_counters *count = &p->topic->server->counters;
    count->published_records += item->body.record_cnt;
    item->expected = item->body.sequence + item->body.record_cnt;
    if (item->body.producer_id)
        remember(p, item);
    published(p, item, follow ? NULL : p->topic->server->records.positions);
    return DONE;
}

static enum shmqw_status status_of_verdict(enum shmqz_verdict verdict)
{
    switch (verdict) {
    case SHMQZ_EARLY:
        return SHMQW_OUT_OF_ORDER;
    case SHMQZ_FENCED:
        return SHMQW_PRODUCER_FENCED;
    case SHMQZ_UNKNOWN:
        return SHMQW_HISTORY_GONE;
    default:
        return SHMQW_INVALID;
    }
}

/* Behind the topic's end nothing can have been: it was another topic of that
 * name, and of this one the producer knows nothing. */
static uint64_t since_of(
    struct shmqz_publisher *p, const struct shmqw_publish *b)
{
    uint64_t published, written, durable;
    if (b->since == 0)
        return 0;
    shmqz_topic_ends(p->topic, &published, &written, &durable);
    return b->since > published ? 0 : b->since;
}

/* What may be of a producer that the table does not have. Where all that can be
 * read was looked at before, that is known without looking again. */
static enum shmqz_verdict judge_unknown(struct shmqz_publisher *p,
    struct item *item, const struct shmqz_piece *piece, bool *ret_look)
{
    const struct shmqw_publish *b = &item->body;
    uint64_t since = since_of(p, b);
    bool nothing = since >= p->known_from ||
        (item->looked_back && since >= item->seen_from);
    *ret_look = false;
    if (!nothing && !item->looked_back) {
        *ret_look = p->known_from > shmqz_topic_earliest(p->topic);
        nothing = !*ret_look && !shmqz_lookback_lost_any(p->topic);
    }
    if (!nothing)
        return SHMQZ_UNKNOWN;
    return shmqz_origins_judge_first(piece, b->settled, &item->expected);
}

static enum step decide(struct shmqz_publisher *p, struct item *item)
{
    const struct shmqw_publish *b = &item->body;
    struct shmqz_piece piece = {0}, place;
    if (b->producer_id == 0)
        return take(p, item);
    piece.producer = b->producer_id;
    piece.epoch = b->epoch;
    piece.record_cnt = b->record_cnt;
    piece.sequence = b->sequence;
    shmqz_origins_settle(p->origins, b->producer_id, b->settled);
    enum shmqz_verdict verdict = shmqz_origins_judge(
        p->origins, &piece, b->settled, &item->expected, &place);
    if (verdict == SHMQZ_UNKNOWN) {
        bool look;
        verdict = judge_unknown(p, item, &piece, &look);
        if (look)
            return LOOK_BACK;
    }
    if (verdict == SHMQZ_TAKE)
        return take(p, item);
    (void)pop(&p->room);
    if (verdict == SHMQZ_REPEATED) {
        item->repeated = true;
        item->base_pos = place.base_pos;
        item->end_pos = place.end_pos;
        p->topic->server->counters.published_dups++;
        published(p, item, NULL);
    } else {
        refuse(p, item, status_of_verdict(verdict));
    }
    return DONE;
}

/* -- running ------------------------------------------------------------------
 */

static void retry_soon(struct shmqz_server *server)
{
    uint64_t due = shmqz_loop_now(server->loop) + RETRY_NS;
    if (server->publish_timer.due_ns > due)
        server->publish_timer.due_ns = due;
}

/* Whether shmqd refuses to make the topic's records any safer for now. */
static bool cannot_become(struct shmqz_publisher *p, const struct item *item)
{
    return shmq_topic_level_wait(p->topic->handle, item->wait_pos - 1,
               item->level, 0) == SHMQ_ERR_DURABILITY_FAILED;
}

static void wait_levels(struct shmqz_publisher *p)
{
    struct shmqz_server *server = p->topic->server;
    uint64_t now = shmqz_loop_now(server->loop);
    struct queue still = {NULL, NULL};
    bool failed = p->level.first && cannot_become(p, p->level.first);
    while (p->level.first) {
        struct item *item = pop(&p->level);
        struct answer a = {
            SHMQW_OK, level_reached(p->topic, item->wait_pos), NULL};
        if (failed && a.level < item->level) {
            a.status = SHMQW_DURABILITY_FAILED;
            answer(server, item, &a, false);
            continue;
        }
        if (a.level < item->level && now < item->deadline_ns) {
            push(&still, item);
            continue;
        }
        if (a.level < item->level)
            a.status = SHMQW_TIMEOUT_LEVEL;
        answer(server, item, &a, false);
    }
    p->level = still;
}

/* What cannot be looked at now may be there all the same: nothing may be said
 * that a client takes for a refusal. */
static enum shmqw_status status_of_look(int rc)
{
    switch (rc) {
    case SHMQ_ERR_CLOSED:
        return SHMQW_CLOSED;
    case SHMQ_ERR_CORRUPT:
    case SHMQ_ERR_LAYOUT:
        return SHMQW_HISTORY_GONE;
    default:
        return SHMQW_OVERLOADED;
    }
}

/* Who had to wait for the look is in front again. */
static void end_look(struct shmqz_publisher *p, const struct shmqz_seen *seen)
{
    struct item *asker = p->asker;
    shmqz_lookback_end(p->look);
    p->look = NULL;
    p->asker = NULL;
    if (asker && seen->rc) {
        (void)pop(&p->behind); /* it is the first one */
        refuse(p, asker, status_of_look(seen->rc));
    } else if (asker) {
        asker->looked_back = true;
        asker->seen_from = seen->from;
    }
    while (p->room.first)
        push(&p->behind, pop(&p->room));
    p->room = p->behind;
    p->behind = (struct queue){NULL, NULL};
}

/* A piece of looking. */
static void look_on(struct shmqz_publisher *p)
{
    struct shmqz_seen seen;
    if (!p->look || !shmqz_lookback_run(p->look, p->origins, &seen))
        return;
    if (seen.rc == SHMQ_OK && (seen.forgot || p->forgot))
        forgot_some(p);
    else if (seen.rc == SHMQ_OK && seen.from < p->known_from)
        p->known_from = seen.from;
    end_look(p, &seen);
}

/* The first item in `room` cannot be decided before the topic was looked
 * through; one look at a time. */
static void wait_for_look(struct shmqz_publisher *p)
{
    struct item *item = pop(&p->room);
    if (!p->look) {
        int rc = shmqz_lookback_begin(p->topic, since_of(p, &item->body),
            item->body.producer_id, &p->look);
        if (rc) {
            refuse(p, item, status_of_look(rc));
            return;
        }
        p->asker = item;
        p->forgot = false;
    }
    push(&p->behind, item);
}

/* Publishes of one producer keep their order. */
static bool has_one_behind(
    const struct shmqz_publisher *p, const struct item *item)
{
    uint64_t producer = item->body.producer_id;
    for (const struct item *i = p->behind.first; i && producer; i = i->next)
        if (i->body.producer_id == producer)
            return true;
    return false;
}

static void refuse_late_of(struct shmqz_publisher *p, struct queue *q)
{
    uint64_t now = shmqz_loop_now(p->topic->server->loop);
    struct queue still = {NULL, NULL};
    while (q->first) {
        struct item *item = pop(q);
        if (now < item->deadline_ns) {
            push(&still, item);
            continue;
        }
        if (item == p->asker)
            p->asker = NULL;
        refuse(p, item, SHMQW_OVERLOADED);
    }
    *q = still;
}

/* Whose time is over while others stand in front of it goes without having
 * been published. */
static void refuse_late(struct shmqz_publisher *p)
{
    refuse_late_of(p, &p->behind);
    refuse_late_of(p, &p->room);
}

static bool run(void *ctx)
{
    struct shmqz_publisher *p = ctx;
    if (p->level.first)
        wait_levels(p);
    look_on(p);
    for (uint32_t i = 0; i < ITEMS_A_RUN && p->room.first; i++) {
        struct item *item = p->room.first;
        enum step step = has_one_behind(p, item) ? LOOK_BACK : decide(p, item);
        if (step == AGAIN_LATER) {
            refuse_late(p);
            retry_soon(p->topic->server);
            return p->look != NULL;
        }
        if (step == LOOK_BACK)
            wait_for_look(p);
    }
    if (p->look)
        refuse_late(p);
    if (p->level.first)
        retry_soon(p->topic->server);
    return p->room.first || p->look;
}

static void retry_all(void *ctx)
{
    struct shmqz_server *server = ctx;
    for (struct shmqz_topic *t = server->topics; t; t = t->next)
        if (t->publisher && has_items(t->publisher))
            shmqz_task_wake(server->loop, &t->publisher->task);
}

/* What is not published yet and whose session has ended: nobody would hear of
 * it, and its client publishes it again. */
static void drop_items(
    struct shmqz_publisher *p, struct queue *q, uint64_t session_id)
{
    struct queue still = {NULL, NULL};
    while (q->first) {
        struct item *item = pop(q);
        struct answer nobody = {SHMQW_OVERLOADED, 0, NULL};
        if (item->session_id != session_id) {
            push(&still, item);
            continue;
        }
        if (item == p->asker)
            p->asker = NULL;
        answer(p->topic->server, item, &nobody, true);
    }
    *q = still;
}

void shmqz_publishers_drop(struct shmqz_server *server, uint64_t session_id)
{
    for (struct shmqz_topic *t = server->topics; t; t = t->next)
        if (t->publisher) {
            drop_items(t->publisher, &t->publisher->behind, session_id);
            drop_items(t->publisher, &t->publisher->room, session_id);
        }
}

void shmqz_publishers_open(struct shmqz_server *server)
{
    server->publish_timer = (struct shmqz_timer){
        .due_ns = SHMQZ_NEVER, .expired = retry_all, .ctx = server};
    shmqz_timer_add(server->loop, &server->publish_timer);
}

void shmqz_publishers_close(struct shmqz_server *server)
{
    for (struct shmqz_topic *t = server->topics, *next; t; t = next) {
        next = t->next;
        shmqz_publisher_close(t, SHMQW_SHUTTING_DOWN);
    }
}

/* -- from outside -------------------------------------------------------------
 */

static enum shmqw_status check(struct shmqz_session *session,
    const struct shmqw_publish *body, const struct shmqz_part *payload)
{
    const struct shmqz_limits *l = &session->server->limits;
    size_t bytes = shmqz_part_bytes(payload);
    if (bytes > l->max_payload)
        return SHMQW_TOO_LARGE;
    if (session->publish_msgs >= l->publish_msgs ||
        (session->publish_msgs > 0 &&
            session->publish_bytes + bytes > l->publish_bytes))
        return SHMQW_CREDIT_EXCEEDED;
    if (body->level > SHMQW_LEVEL_DURABLE ||
        (body->producer_id && body->epoch == 0) ||
        body->sequence > UINT64_MAX - SHMQW_RECORDS_MAX)
        return SHMQW_INVALID;
    return shmqw_publish_check(body, shmqz_part_data(payload), bytes);
}

static enum shmqw_status find_topic(struct shmqz_session *session,
    const struct shmqw_message *request, struct item *item,
    struct shmqz_publisher **ret)
{
    struct shmqz_server *server = session->server;
    char name[SHMQ_TOPIC_MAX + 13];
    struct shmqz_topic *topic;
    if (server->leaving)
        return SHMQW_SHUTTING_DOWN;
    if (!shmqw_text(request, SHMQW_TLV_TOPIC, name, sizeof name))
        return SHMQW_INVALID;
    if (!shmqz_allowed(server, session->user, SHMQZ_PUBLISH, name))
        return SHMQW_FORBIDDEN;
    int rc = shmqz_topic_use(server, name, &topic);
    if (rc)
        return shmqz_status_of(rc);
    item->level = item->body.level ? item->body.level : own_level(topic);
    enum shmqw_status status = item->level > own_level(topic)
        ? SHMQW_INVALID
        : shmqz_status_of(use_publisher(topic, ret));
    shmqz_topic_unuse(topic);
    return status;
}

static uint64_t deadline_of(
    const struct shmqz_server *server, const struct shmqw_publish *body)
{
    uint32_t ms = server->limits.publish_timeout_ms;
    if (body->timeout_ms && body->timeout_ms < ms)
        ms = body->timeout_ms;
    return shmqz_loop_now(server->loop) + ms * MS;
}

void shmqz_publish(struct shmqz_session *session,
    const struct shmqw_message *request, struct shmqz_part *payload)
{
    struct shmqz_server *server = session->server;
    struct shmqz_publisher *p = NULL;
    struct item *item = calloc(1, sizeof *item);
    struct answer a = {SHMQW_NO_SPACE, 0, NULL};
    if (!item) {
        struct item none = {0};
        none.corr_id = request->corr_id;
        put_answer(session, &none, &a, true);
        shmqz_part_close(payload);
        return;
    }
    item->session_id = session->id;
    item->corr_id = request->corr_id;
    shmqw_fixed(request, &item->body, sizeof item->body);
    item->body.producer_id =
        shmqz_producer_of(session->user, item->body.producer_id);
    item->payload_bytes = shmqz_part_bytes(payload);
    item->deadline_ns = deadline_of(server, &item->body);
    shmqz_part_move(&item->payload, payload);
    item->has_payload = true;
    a.status = check(session, &item->body, &item->payload);
    if (a.status == SHMQW_OK)
        a.status = find_topic(session, request, item, &p);
    session->publish_msgs++;
    session->publish_bytes += item->payload_bytes;
    if (a.status != SHMQW_OK || !p) {
        answer(server, item, &a, a.status == SHMQW_CREDIT_EXCEEDED);
        return;
    }
    bool first = !p->room.first && !p->look;
    push(&p->room, item);
    /* At once when nobody waits: the common case is one trip through here. */
    if (!first || run(p))
        shmqz_task_wake(server->loop, &p->task);
}

int shmqz_publish_one(
    struct shmqz_topic *topic, const struct shmqw_record *record)
{
    struct shmqz_publisher *p;
    struct shmqz_records *r = &topic->server->records;
    int rc = use_publisher(topic, &p);
    if (rc)
        return rc;
    if (p->room.first)
        return SHMQ_ERR_FULL;
    if (!shmqz_records_one(r, record))
        return SHMQ_ERR_NOMEM;
    return shmq_producer_publish_batch(
        p->producer, r->records, 1, r->positions);
}
