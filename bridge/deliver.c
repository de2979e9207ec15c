/* deliver.c - hands out: records in runs, gaps, the end. */
#include <stdlib.h>
#include <string.h>

#include "account.h"
#include "pool.h"
#include "stream.h"

#define RUN_ROOM (sizeof(struct shmqw_run) + sizeof(struct shmqw_record_head))

/* A DELIVER in the making. */
struct batch {
    struct shmqz_stream *stream;
    struct shmqw_payload payload;
    uint64_t bytes_max, records_max;
    uint64_t frame; /* of the last record */
};

bool shmqz_stream_has_credit(const struct shmqz_stream *s)
{
    return s->granted_bytes > s->sent_bytes &&
        s->granted_records > s->sent_records;
}

/* -- sending ----------------------------------------------------------------
 */

/* A part of the payload in the scratch memory, which is handed over when it is
 * well used, and else copied. */
static bool payload_part(
    struct shmqz_session *session, struct shmqz_part *part, size_t bytes)
{
    struct shmqz_server *server = session->server;
    void *from = server->scratch;
    if (bytes < SHMQZ_POOL_LEAST)
        return shmqz_account_copy(
            session->account, SHMQZ_HANDED_OUT, part, from, bytes);
    if (bytes < server->scratch_cap / 2) {
        from = shmqz_pool_take(bytes);
        if (from)
            memcpy(from, server->scratch, bytes);
    }
    if (!from)
        return false;
    bool wrapped = shmqz_account_wrap(
        session->account, SHMQZ_HANDED_OUT, part, from, bytes);
    if (from == server->scratch) {
        if (!wrapped)
            return false;
        server->scratch = NULL;
        server->scratch_cap = 0;
    } else if (!wrapped) {
        shmqz_pool_give(from);
    }
    return wrapped;
}

static bool send_batch(struct batch *b)
{
    struct shmqz_stream *s = b->stream;
    struct shmqz_server *server = s->session->server;
    struct shmqw_deliver body = {0};
    struct shmqw_writer w;
    struct shmqz_part part;
    uint64_t written;
    size_t bytes = b->payload.len;
    if (b->payload.record_cnt == 0)
        return true;
    body.generation = s->generation;
    body.delivery = s->delivery++;
    body.prev_pos = s->prev_pos;
    body.base_pos = b->payload.base_pos;
    shmqz_topic_ends(s->topic, &body.published, &written, &body.durable);
    body.record_cnt = b->payload.record_cnt;
    body.payload_crc32c = shmqw_crc32c(0, server->scratch, bytes);
    body.epoch = s->topic->epoch;
    body.end_pos = b->payload.end_pos;
    shmqw_begin(&w, server->control, sizeof server->control, SHMQW_DELIVER,
        SHMQW_FLAG_PAYLOAD, SHMQW_OK, 0, s->id);
    shmqw_put_fixed(&w, &body, sizeof body);
    s->prev_pos = body.end_pos - 1;
    s->sent_bytes += bytes;
    s->sent_records += body.record_cnt;
    server->counters.delivered_bytes += bytes;
    server->counters.delivered_records += body.record_cnt;
    if (!payload_part(s->session, &part, bytes)) {
        s->session->overrun = true;
        return false;
    }
    return shmqz_session_send(s->session, &w, &part);
}

static void send_gap(struct shmqz_stream *s, const struct shmq_gap *gap)
{
    struct shmqz_server *server = s->session->server;
    struct shmqw_gap body = {0};
    struct shmqw_writer w;
    body.generation = s->generation;
    body.delivery = s->delivery++;
    body.from = gap->from;
    body.to = gap->to;
    body.frames = gap->frames;
    body.records = gap->messages;
    body.reason = gap->reason;
    body.epoch = s->topic->epoch;
    shmqw_begin(&w, server->control, sizeof server->control, SHMQW_GAP, 0,
        SHMQW_OK, 0, s->id);
    shmqw_put_fixed(&w, &body, sizeof body);
    (void)shmqz_session_send(s->session, &w, NULL);
}

static void send_end(struct shmqz_stream *s)
{
    struct shmqz_server *server = s->session->server;
    struct shmqw_end body = {0};
    struct shmqw_writer w;
    body.generation = s->generation;
    body.delivery = s->delivery++;
    body.next = s->until;
    shmqw_begin(&w, server->control, sizeof server->control, SHMQW_END, 0,
        SHMQW_OK, 0, s->id);
    shmqw_put_fixed(&w, &body, sizeof body);
    (void)shmqz_session_send(s->session, &w, NULL);
}

/* -- one batch --------------------------------------------------------------
 */

static bool reserve_scratch(struct shmqz_server *server, size_t bytes)
{
    if (bytes <= server->scratch_cap)
        return true;
    shmqz_pool_give(server->scratch);
    server->scratch = shmqz_pool_take(bytes);
    server->scratch_cap =
        server->scratch ? shmqz_pool_room(server->scratch) : 0;
    return server->scratch != NULL;
}

static bool begin_batch(struct batch *b, struct shmqz_stream *s)
{
    struct shmqz_server *server = s->session->server;
    uint64_t most = server->limits.batch_bytes;
    memset(b, 0, sizeof *b);
    b->stream = s;
    b->bytes_max = s->granted_bytes - s->sent_bytes;
    b->records_max = s->granted_records - s->sent_records;
    if (s->max_batch && s->max_batch < most)
        most = s->max_batch;
    if (b->bytes_max > most)
        b->bytes_max = most;
    if (!reserve_scratch(server, server->limits.batch_bytes))
        return false;
    shmqw_payload_begin(&b->payload, server->scratch, server->scratch_cap);
    return true;
}

static void describe(
    const struct shmq_message *msg, struct shmqw_delivered *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->record.data = msg->data;
    ret->record.size = (uint32_t)msg->size;
    ret->record.attrs = msg->attrs;
    ret->record.attr_bytes = msg->attr_bytes;
    ret->position = msg->position;
    ret->producer = msg->producer;
    ret->sequence = msg->sequence;
    ret->time_ns = msg->time_ns;
    ret->attempt = msg->attempt;
    if (msg->flags & SHMQ_MESSAGE_REDELIVERED)
        ret->flags |= SHMQW_RUN_REDELIVERED;
}

/* Puts a record in; false: the batch is full. The first one always goes in,
 * whatever the credit: a large record must not get stuck. */
static bool put(struct batch *b, const struct shmq_message *msg)
{
    struct shmqz_server *server = b->stream->session->server;
    struct shmqw_delivered d;
    uint64_t bytes = shmqw_record_bytes(msg->size, msg->attr_bytes) + RUN_ROOM;
    if (b->payload.record_cnt == 0) {
        if (!reserve_scratch(server, bytes))
            return false;
        shmqw_payload_begin(&b->payload, server->scratch, server->scratch_cap);
    } else if (b->payload.len + bytes > b->bytes_max ||
        b->payload.record_cnt >= b->records_max) {
        return false;
    }
    describe(msg, &d);
    return shmqw_put_delivered(&b->payload, &d, false);
}

/* What follows the record in its frame goes in as it lies there, as far as it
 * fits. Returns how many records. */
static uint32_t put_rest(struct batch *b, const struct shmq_message *msg)
{
    struct shmqz_stream *s = b->stream;
    uint64_t until = s->until - msg->position - 1;
    uint64_t max = b->records_max - b->payload.record_cnt;
    uint64_t bytes;
    if (b->payload.len >= b->bytes_max)
        return 0;
    if (max > until)
        max = until;
    if (max > SHMQW_RECORDS_MAX - 1)
        max = SHMQW_RECORDS_MAX - 1;
    int cnt = shmq_consumer_receive_rest(s->consumer, msg,
        b->payload.at + b->payload.len, b->bytes_max - b->payload.len,
        (uint32_t)max, &bytes);
    if (cnt <= 0)
        return 0;
    shmqw_put_more(&b->payload, (uint32_t)cnt, bytes);
    return (uint32_t)cnt;
}

/* The records are in the batch: they are kept until they are acknowledged, or
 * done. */
static bool keep(struct shmqz_stream *s, struct shmq_message *msg, uint32_t cnt)
{
    struct shmq_message old;
    uint32_t old_cnt;
    if (!s->kind) {
        (void)shmq_consumer_release_many(s->consumer, msg, cnt);
        return true;
    }
    /* Those that had moved on and came back: their views end, the result is
     * known. */
    struct shmqz_held_walk walk =
        shmqz_held_walk(&s->held, msg->position, msg->position + cnt);
    while (shmqz_held_next(&s->held, &walk, &old, &old_cnt))
        (void)shmq_consumer_release_many(s->consumer, &old, old_cnt);
    return shmqz_held_add(&s->held, msg, cnt);
}

enum outcome { MORE, NOTHING, WAIT_ACK, GAP, UNTIL, BROKEN };

/* Whether all below `until` has reached the level that the stream reads. To be
 * looked at before the record that is not there: then there is none. */
static bool until_reached(struct shmqz_stream *s)
{
    uint64_t published, written, durable;
    if (!s->until_known || s->until_reached)
        return s->until_reached;
    shmqz_topic_ends(s->topic, &published, &written, &durable);
    uint64_t end = published;
    if (s->read_level == SHMQW_LEVEL_DURABLE && durable != SHMQW_NONE)
        end = durable;
    else if (s->read_level > SHMQW_LEVEL_PUBLISHED)
        end = written;
    s->until_reached = s->until <= end;
    return s->until_reached;
}

static enum outcome next(
    struct shmqz_stream *s, struct shmq_message *ret, int *ret_rc)
{
    int rc = SHMQ_OK;
    bool at_end = until_reached(s);
    if (s->has_ahead) {
        *ret = s->ahead;
        s->has_ahead = false;
    } else {
        rc = shmq_consumer_receive(s->consumer, ret);
    }
    *ret_rc = rc;
    switch (rc) {
    case SHMQ_OK:
        if (ret->position < s->until)
            return MORE;
        (void)shmq_consumer_release(s->consumer, ret);
        return UNTIL;
    case SHMQ_ERR_EMPTY:
        return at_end ? UNTIL : NOTHING;
    case SHMQ_ERR_LIMIT:
        return WAIT_ACK;
    case SHMQ_ERR_GAP:
        return GAP;
    default:
        return BROKEN;
    }
}

static enum outcome fill(struct batch *b, int *ret_rc)
{
    struct shmqz_stream *s = b->stream;
    for (;;) {
        struct shmq_message msg;
        enum outcome outcome = next(s, &msg, ret_rc);
        if (outcome != MORE)
            return outcome;
        if (!put(b, &msg)) {
            s->ahead = msg;
            s->has_ahead = true;
            /* Not even alone: no memory. */
            return b->payload.record_cnt ? MORE : BROKEN;
        }
        uint32_t cnt = 1 + put_rest(b, &msg);
        if (!keep(s, &msg, cnt)) {
            *ret_rc = SHMQ_ERR_NOMEM;
            return BROKEN;
        }
    }
}

static bool after_gap(struct shmqz_stream *s)
{
    struct shmq_gap gap;
    if (shmq_consumer_gap(s->consumer, &gap))
        return true;
    send_gap(s, &gap);
    if (gap.to < s->until)
        return true;
    send_end(s);
    shmqz_stream_end(s, SHMQZ_END_LEFT);
    return false;
}

bool shmqz_deliver(void *ctx)
{
    struct shmqz_stream *s = ctx;
    struct shmqz_server *server = s->session->server;
    struct batch b;
    int rc = SHMQ_OK;
    if (s->session->overrun || !shmqz_stream_has_credit(s))
        return false;
    /* Credit is given for each stream; what the client has not read, of all
     * streams that it ever had, is bounded here. */
    if (!shmqz_account_has_room(s->session->account, s->session->credit_bytes))
        return false;
    if (!begin_batch(&b, s)) {
        shmqz_stream_revoke(s, SHMQW_NO_SPACE, "stream: no memory");
        return false;
    }
    enum outcome outcome = fill(&b, &rc);
    if (!send_batch(&b))
        return false;
    switch (outcome) {
    case MORE:
        return true;
    case GAP:
        return after_gap(s);
    case UNTIL:
        send_end(s);
        shmqz_stream_end(s, SHMQZ_END_LEFT);
        return false;
    case WAIT_ACK:
        return false;
    case NOTHING:
        shmqz_source_arm(server->loop, &s->source);
        return false;
    default:
        shmqz_stream_revoke(
            s, rc ? shmqz_status_of(rc) : SHMQW_NO_SPACE, shmq_error_text());
        return false;
    }
}
