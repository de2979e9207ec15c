/* stream.c - streams: attaching, again after each reconnect, granting, and what
 * the bridge says of them. */
#include <stdlib.h>
#include <string.h>

#include "client.h"

enum { AGAIN_MS = 100, MS = 1000000 };

/* All streams of a session share what may be granted. */
static void windows(const struct shmq_remote_consumer *c, uint64_t *ret_bytes,
    uint64_t *ret_records)
{
    const struct shmqw_welcome *w = &c->remote->welcome;
    uint64_t bytes = 0, records = 0;
    const struct shmq_remote_consumer *o = c->remote->consumers;
    for (; o; o = o->next) {
        if (o == c ||
            (o->stream != SHMQR_ATTACHING && o->stream != SHMQR_ATTACHED))
            continue;
        bytes += shmqr_credit_excess(
            &o->bytes, shmqr_credit_share(w->max_credit_bytes, w->max_streams));
        records += shmqr_credit_excess(&o->records,
            shmqr_credit_share(w->max_credit_records, w->max_streams));
    }
    *ret_bytes = shmqr_credit_window(
        &c->bytes, w->max_credit_bytes, w->max_streams, bytes);
    *ret_records = shmqr_credit_window(
        &c->records, w->max_credit_records, w->max_streams, records);
}

static void send_attach(struct shmq_remote_consumer *c)
{
    struct shmq_remote *r = c->remote;
    struct shmqw_writer w;
    uint64_t bytes, records;
    shmqr_credit_renew(&c->bytes);
    shmqr_credit_renew(&c->records);
    windows(c, &bytes, &records);
    c->bytes.granted = shmqr_credit_total(&c->bytes, bytes);
    c->records.granted = shmqr_credit_total(&c->records, records);
    c->attach.credit_bytes = c->bytes.granted;
    c->attach.credit_records = c->records.granted;
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
    uint64_t bytes, records;
    struct shmqw_writer w;
    windows(c, &bytes, &records);
    struct shmqw_credit credit = {shmqr_credit_total(&c->bytes, bytes),
        shmqr_credit_total(&c->records, records)};
    if (credit.bytes - c->bytes.granted < bytes / 4 + 1 &&
        credit.records - c->records.granted < records / 4 + 1)
        return;
    shmqw_begin(&w, r->scratch, SHMQW_CONTROL_MAX, SHMQW_CREDIT, 0, SHMQW_OK, 0,
        c->stream_id);
    shmqw_put_fixed(&w, &credit, sizeof credit);
    c->bytes.granted = credit.bytes;
    c->records.granted = credit.records;
    (void)shmqr_send_frame(r, r->scratch, shmqw_end(&w), NULL, 0);
}

void shmqr_consumers_flush(struct shmq_remote *r)
{
    struct shmq_remote_consumer *c = r->consumers;
    for (; c && r->state == SHMQR_UP; c = c->next) {
        if (c->again_ns && shmqr_now() < c->again_ns)
            continue;
        c->again_ns = 0;
        if (c->stream == SHMQR_DETACHED)
            send_attach(c);
        else if (c->stream == SHMQR_ATTACHED)
            grant(c);
    }
}

uint64_t shmqr_consumers_due(const struct shmq_remote *r)
{
    uint64_t due = SHMQ_FOREVER;
    for (const struct shmq_remote_consumer *c = r->consumers; c; c = c->next)
        if (c->again_ns && c->again_ns < due)
            due = c->again_ns;
    return due;
}

void shmqr_consumer_detach(
    struct shmq_remote *r, uint32_t stream_id, uint64_t generation)
{
    struct shmqw_writer w;
    struct shmqw_generation g = {generation};
    shmqw_begin(&w, r->scratch, SHMQW_CONTROL_MAX, SHMQW_DETACH, 0, SHMQW_OK, 0,
        stream_id);
    shmqw_put_fixed(&w, &g, sizeof g);
    (void)shmqr_send_frame(r, r->scratch, shmqw_end(&w), NULL, 0);
}

/* What a member held is not its own any more; what is queued comes again. */
static void detach(struct shmq_remote_consumer *c)
{
    if (c->stream == SHMQR_ENDED)
        return;
    c->stream = SHMQR_DETACHED;
    c->again_ns = 0;
    c->attach_no++;
    c->stale_cnt += c->acks_open + c->ack_cnt;
    c->acks_open = 0;
    c->ack_cnt = 0;
    if (c->group[0]) {
        shmqr_consumer_purge(c);
    } else if (c->attached.generation && !c->anew) {
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
    if (c->stream == SHMQR_ATTACHED)
        shmqr_request_stream_over(c->remote, c->stream_id, rc);
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
    shmqr_consumer_put(c, item);
    c->next_pos = gap->to;
}

/* Another topic under the same name: our positions mean nothing in it. It is
 * read from its beginning; `until` was the other's. */
static void take_anew(struct shmq_remote_consumer *c)
{
    shmqr_consumer_detach(c->remote, c->stream_id, c->generation);
    if (c->remote->state != SHMQR_UP)
        return; /* it was lost with that: the next ATTACH finds the same */
    c->anew = true;
    c->stream = SHMQR_DETACHED;
    c->attach.start = SHMQW_START_EARLIEST;
    c->attach.start_value = 0;
    if (c->attach.until == SHMQW_NONE)
        return;
    c->stream = SHMQR_ENDED;
    c->ended = SHMQ_ERR_CLOSED;
    c->ended_status = SHMQW_CLOSED;
    strcpy(c->ended_text, "the topic was removed and made anew");
}

/* What went while the connection was away is a gap: the bridge begins at the
 * oldest record. */
static void take_attached(
    struct shmq_remote_consumer *c, const struct shmqw_message *msg)
{
    bool first = c->attached.generation == 0;
    bool other;
    c->corr_id = 0;
    shmqw_fixed(msg, &c->attached, sizeof c->attached);
    c->stream = SHMQR_ATTACHED;
    c->stream_id = msg->stream_id;
    c->generation = c->attached.generation;
    c->delivery = 0;
    if (first)
        c->created = c->attached.created;
    other = c->has_epoch && c->epoch != c->attached.epoch && !c->group[0];
    if (other)
        take_anew(c);
    if (c->stream == SHMQR_DETACHED && !c->anew)
        return;
    c->epoch = c->attached.epoch;
    c->has_epoch = true;
    if (other)
        return;
    uint64_t position = c->attached.position, earliest = c->attached.earliest;
    if (c->anew) /* how much the former one still had is not known */
        put_gap(c,
            &(struct shmq_gap){.from = position,
                .to = position,
                .messages = UINT64_MAX,
                .reason = SHMQ_GAP_LOST});
    else if (first || c->group[0])
        c->next_pos = position;
    else if (earliest > c->next_pos)
        put_gap(c,
            &(struct shmq_gap){.from = c->next_pos,
                .to = earliest,
                .messages = UINT64_MAX,
                .reason = SHMQ_GAP_DROPPED});
    c->anew = false;
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
        shmqr_credit_skip(&c->bytes, parts->len[1]);
        shmqr_credit_skip(&c->records, d.record_cnt);
        return;
    }
    struct shmqr_item *item = calloc(1, sizeof *item);
    if (!item ||
        shmqw_deliver_check(&d, parts->data[1], parts->len[1]) != SHMQW_OK) {
        free(item);
        shmqr_lose(c->remote);
        return;
    }
    c->bytes.came += parts->len[1];
    c->records.came += d.record_cnt;
    item->kind = SHMQR_BATCH;
    item->record_cnt = d.record_cnt;
    item->payload_bytes = parts->len[1];
    item->cursor.at = parts->data[1];
    item->cursor.len = parts->len[1];
    item->parts = *parts;
    memset(parts, 0, sizeof *parts);
    shmqr_consumer_put(c, item);
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
    shmqr_consumer_put(c, item);
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

static bool is_for_later(uint32_t status)
{
    return status == SHMQW_OVERLOADED || status == SHMQW_SHUTTING_DOWN ||
        status == SHMQW_CREDIT_EXCEEDED;
}

static bool take_error(
    struct shmq_remote_consumer *c, const struct shmqw_message *msg)
{
    struct shmqw_error e;
    shmqw_fixed(msg, &e, sizeof e);
    if (msg->status == SHMQW_UNKNOWN_SESSION) {
        shmqr_lose(c->remote);
    } else if (c->stream == SHMQR_ATTACHING && c->corr_id == msg->corr_id &&
        is_for_later(msg->status)) {
        c->stream = SHMQR_DETACHED;
        c->again_ns = shmqr_now() +
            (e.retry_after_ms > AGAIN_MS ? e.retry_after_ms : AGAIN_MS) * MS;
    } else if (e.command == SHMQW_CREDIT &&
        msg->status == SHMQW_CREDIT_EXCEEDED) {
        shmqr_credit_refused(&c->bytes);
        shmqr_credit_refused(&c->records);
        c->again_ns = shmqr_now() + AGAIN_MS * MS;
    } else if (c->stream == SHMQR_ATTACHING && c->corr_id == msg->corr_id) {
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

static uint64_t sought_position(const struct shmqw_message *msg)
{
    struct shmqw_sought sought;
    shmqw_fixed(msg, &sought, sizeof sought);
    return sought.position;
}

/* An answer after which a stream has another generation. */
static bool begins_generation(const struct shmqw_message *msg, uint64_t *ret)
{
    struct shmqw_attached attached;
    struct shmqw_nacked nacked;
    struct shmqw_sought sought;
    if (!(msg->flags & SHMQW_FLAG_REPLY) || !msg->stream_id)
        return false;
    switch (msg->command) {
    case SHMQW_ATTACH:
        shmqw_fixed(msg, &attached, sizeof attached);
        *ret = attached.generation;
        return true;
    case SHMQW_NACK:
        shmqw_fixed(msg, &nacked, sizeof nacked);
        *ret = nacked.generation;
        return true;
    case SHMQW_SEEK:
        shmqw_fixed(msg, &sought, sizeof sought);
        *ret = sought.generation;
        return true;
    default:
        return false;
    }
}

bool shmqr_consumers_take(struct shmq_remote *r,
    const struct shmqw_message *msg, struct shmqr_parts *parts)
{
    struct shmq_remote_consumer *c = find(r, msg);
    uint64_t generation;
    if (begins_generation(msg, &generation)) {
        /* Nobody waits for it any more. It must not hold records, or a role,
         * for nobody; a stream that we still read must know. */
        if (!c)
            shmqr_consumer_detach(r, msg->stream_id, generation);
        else if (msg->command != SHMQW_ATTACH)
            shmqr_consumer_renewed(c, generation);
        if (c && msg->command == SHMQW_SEEK)
            c->next_pos = sought_position(msg);
        if (!c || msg->command != SHMQW_ATTACH)
            return true;
    }
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
