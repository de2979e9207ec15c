/* producer.c - publishing exactly once (docs/wire.md, section 7).
 *
 * Publishes wait in a ring, in order, from being asked for until their result
 * has been taken. What is not answered is sent again in the next session, as
 * it was; the bridge finds out whether it is there already. */
#include <stdlib.h>
#include <string.h>

#include "client.h"

enum { WINDOW_DEFAULT = 1024, WINDOW_MAX = 65536, MS = 1000000, RETRY_MS = 20 };

struct publish {
    uint64_t sequence;
    uint32_t record_cnt;
    uint32_t crc;
    uint8_t *payload;
    size_t len;
    uint32_t corr_id; /* of its last sending */
    bool sent; /* in this session, and not refused since */
    bool done;
    struct shmq_remote_result result;
    uint64_t *positions; /* of result, with rc 0 */
};

struct shmq_remote_producer {
    struct shmq_remote_producer *next;
    struct shmq_remote *remote;
    char topic[SHMQW_TOPIC_MAX + 1];
    uint64_t id;
    uint32_t epoch;
    uint32_t level, timeout_ms;
    uint64_t sequence; /* of the next record */
    uint64_t since; /* no record without an answer lies below it */
    struct publish *ring;
    uint32_t cap, head, cnt; /* ring: [head, head + cnt) */
    uint32_t done_cnt; /* of them, from head on, that are done */
    uint32_t look_from; /* none before it, from head on, is to be sent */
    uint32_t flying; /* sent, not answered */
    size_t flying_bytes;
    uint32_t window_msgs;
    size_t window_bytes;
    uint64_t again_ns; /* not before: the bridge said "later" */
    struct publish taken; /* whose result the caller is looking at */
};

static struct publish *at(const struct shmq_remote_producer *p, uint32_t i)
{
    return &p->ring[(p->head + i) % p->cap];
}

static void clear(struct publish *one)
{
    free(one->payload);
    free(one->positions);
    memset(one, 0, sizeof *one);
}

/* -- opening -------------------------------------------------------------- */

static uint32_t window_of(
    const struct shmq_remote *r, const struct shmq_remote_producer_options *o)
{
    uint32_t most = r->welcome.publish_msgs ? r->welcome.publish_msgs : 1;
    uint32_t window = o->window ? o->window : (uint32_t)WINDOW_DEFAULT;
    if (window > most)
        window = most;
    return window < WINDOW_MAX ? window : (uint32_t)WINDOW_MAX;
}

int shmq_remote_producer_open_wait(struct shmq_remote *remote,
    const char *topic, const struct shmq_remote_producer_options *options,
    uint64_t deadline_ns, struct shmq_remote_producer **ret)
{
    struct shmq_remote_producer_options o = {0};
    uint64_t published, written, durable;
    if (!remote || !topic || !ret || (options && !options->struct_bytes))
        return shmqr_fail(SHMQ_ERR_INVAL, "producer: no topic");
    if (options)
        o = *options;
    if (o.level > SHMQ_REMOTE_LEVEL_DURABLE)
        return shmqr_fail(SHMQ_ERR_INVAL, "%s: no such level", topic);
    int rc = shmq_remote_topic_watermarks_wait(
        remote, topic, deadline_ns, &published, &written, &durable);
    if (rc)
        return rc;
    struct shmq_remote_producer *p = calloc(1, sizeof *p);
    uint32_t cap = window_of(remote, &o);
    struct publish *ring = calloc(cap, sizeof *ring);
    if (!p || !ring) {
        free(p);
        free(ring);
        return shmqr_fail(SHMQ_ERR_NOMEM, "%s: no memory", topic);
    }
    strcpy(p->topic, topic);
    p->remote = remote;
    p->ring = ring;
    p->cap = cap;
    p->id = o.producer_id ? o.producer_id : shmqr_random(remote) | 1;
    p->epoch = o.epoch ? o.epoch : 1;
    p->level = o.level;
    p->timeout_ms = o.level_timeout_ms;
    p->since = published;
    p->window_msgs = cap;
    p->window_bytes = remote->welcome.publish_bytes;
    p->next = remote->producers;
    remote->producers = p;
    *ret = p;
    return SHMQ_OK;
}

void shmqr_producer_free(struct shmq_remote_producer *p)
{
    struct shmq_remote_producer **link = &p->remote->producers;
    while (*link && *link != p)
        link = &(*link)->next;
    if (*link)
        *link = p->next;
    for (uint32_t i = 0; i < p->cnt; i++)
        clear(at(p, i));
    clear(&p->taken);
    free(p->ring);
    free(p);
}

void shmq_remote_producer_close(struct shmq_remote_producer *producer)
{
    if (producer)
        shmqr_producer_free(producer);
}

/* -- sending -------------------------------------------------------------- */

static bool send_one(struct shmq_remote_producer *p, struct publish *one)
{
    struct shmq_remote *r = p->remote;
    struct shmqw_writer w;
    struct shmqw_publish body = {.producer_id = p->id,
        .sequence = one->sequence,
        .settled = p->sequence,
        .since = p->since,
        .epoch = p->epoch,
        .record_cnt = one->record_cnt,
        .payload_crc32c = one->crc,
        .timeout_ms = p->timeout_ms,
        .level = (uint8_t)p->level};
    if (p->done_cnt < p->cnt)
        body.settled = at(p, p->done_cnt)->sequence;
    one->corr_id = shmqr_next_corr(r);
    shmqw_begin(&w, r->scratch, SHMQW_CONTROL_MAX, SHMQW_PUBLISH, 0, SHMQW_OK,
        one->corr_id, 0);
    shmqw_put_fixed(&w, &body, sizeof body);
    shmqw_put_text(&w, SHMQW_TLV_TOPIC, p->topic);
    one->sent = true;
    p->flying++;
    p->flying_bytes += one->len;
    return shmqr_send_frame(
        r, r->scratch, shmqw_end(&w), one->payload, one->len);
}

/* Sends what is not sent, in order, as far as the window goes. */
static void flush(struct shmq_remote_producer *p)
{
    struct shmq_remote *r = p->remote;
    if (p->again_ns && shmqr_now() < p->again_ns)
        return;
    p->again_ns = 0;
    for (; p->look_from < p->cnt; p->look_from++) {
        struct publish *one = at(p, p->look_from);
        if (one->done || one->sent)
            continue;
        if (r->state != SHMQR_UP ||
            (p->flying &&
                (p->flying >= p->window_msgs ||
                    p->flying_bytes + one->len > p->window_bytes)))
            return;
        if (!send_one(p, one))
            return;
    }
}

void shmqr_producers_flush(struct shmq_remote *r)
{
    struct shmq_remote_producer *p = r->producers;
    for (; p && r->state == SHMQR_UP; p = p->next)
        flush(p);
}

void shmqr_producers_lost(struct shmq_remote *r)
{
    for (struct shmq_remote_producer *p = r->producers; p; p = p->next) {
        for (uint32_t i = 0; i < p->cnt; i++)
            at(p, i)->sent = false;
        p->flying = 0;
        p->flying_bytes = 0;
        p->again_ns = 0;
        p->look_from = 0;
    }
}

uint64_t shmqr_producers_due(const struct shmq_remote *r)
{
    uint64_t due = SHMQ_FOREVER;
    for (struct shmq_remote_producer *p = r->producers; p; p = p->next)
        if (p->again_ns && p->again_ns < due)
            due = p->again_ns;
    return due;
}

/* -- answers -------------------------------------------------------------- */

static struct publish *find(struct shmq_remote *r, uint32_t corr_id,
    struct shmq_remote_producer **ret_producer)
{
    for (struct shmq_remote_producer *p = r->producers; p; p = p->next)
        for (uint32_t i = p->done_cnt; i < p->cnt; i++) {
            struct publish *one = at(p, i);
            if (one->sent && !one->done && one->corr_id == corr_id) {
                *ret_producer = p;
                return one;
            }
        }
    return NULL;
}

static bool is_published(uint32_t status)
{
    return status == SHMQW_OK || status == SHMQW_TIMEOUT_LEVEL ||
        status == SHMQW_DURABILITY_FAILED;
}

static void keep_positions(struct publish *one, const struct shmqw_message *msg)
{
    uint32_t listed = shmqw_position_cnt(msg);
    one->positions = malloc(one->record_cnt * sizeof *one->positions);
    for (uint32_t i = 0; one->positions && i < one->record_cnt; i++)
        one->positions[i] = listed               ? shmqw_position_at(msg, i)
            : one->result.position == SHMQW_NONE ? SHMQW_NONE
                                                 : one->result.position + i;
}

static void finish(struct shmq_remote_producer *p, struct publish *one,
    const struct shmqw_message *msg, const struct shmqw_puback *ack)
{
    one->done = true;
    free(one->payload);
    one->payload = NULL;
    one->result = (struct shmq_remote_result){.ticket = one->sequence,
        .position = SHMQW_NONE,
        .record_cnt = one->record_cnt,
        .rc = shmqr_rc_of(msg->status)};
    if (msg->status != SHMQW_OK)
        (void)shmqr_fail_status(msg->status, p->topic, msg);
    if (is_published(msg->status)) {
        one->result.level = ack->level;
        one->result.again = ack->flags & SHMQW_PUBACK_DUP;
        if (!(ack->flags & SHMQW_PUBACK_POSITIONS_UNKNOWN))
            one->result.position = ack->base_pos;
        keep_positions(one, msg);
    }
    uint64_t floor = SHMQW_NONE;
    while (p->done_cnt < p->cnt && at(p, p->done_cnt)->done) {
        const struct publish *first = at(p, p->done_cnt++);
        if (first->result.position != SHMQW_NONE)
            floor = first->result.position;
    }
    if (floor != SHMQW_NONE) /* lower, too: the topic may have been made anew */
        p->since = floor;
    if (msg->status == SHMQW_HISTORY_GONE && ack->end_pos > p->since &&
        ack->end_pos != SHMQW_NONE)
        p->since = ack->end_pos;
}

/* The bridge cannot take it now: it goes again, and so does what is behind
 * it. */
static void take_back(
    struct shmq_remote_producer *p, struct publish *one, uint32_t retry_ms)
{
    uint64_t again = shmqr_now() + (uint64_t)retry_ms * MS;
    one->sent = false;
    p->look_from = p->done_cnt;
    if (retry_ms && again > p->again_ns)
        p->again_ns = again;
}

static void take_window(
    struct shmq_remote_producer *p, const struct shmqw_puback *ack)
{
    const struct shmqw_welcome *welcome = &p->remote->welcome;
    uint32_t msgs = ack->window_msgs;
    uint32_t bytes = ack->window_bytes;
    p->window_msgs = msgs && msgs < p->cap ? msgs : msgs ? p->cap : 1;
    p->window_bytes =
        bytes < welcome->publish_bytes ? bytes : welcome->publish_bytes;
}

bool shmqr_producers_take(
    struct shmq_remote *r, const struct shmqw_message *msg)
{
    struct shmq_remote_producer *p;
    struct shmqw_puback ack = {0};
    if (msg->command == SHMQW_PUBACK)
        shmqw_fixed(msg, &ack, sizeof ack);
    else if (msg->command != SHMQW_ERROR || !msg->corr_id)
        return false;
    struct publish *one = find(r, msg->corr_id, &p);
    if (!one)
        return msg->command == SHMQW_PUBACK;
    if (msg->status == SHMQW_UNKNOWN_SESSION) {
        shmqr_lose(r);
        return true;
    }
    p->flying--;
    p->flying_bytes -= one->len;
    if (msg->command == SHMQW_PUBACK)
        take_window(p, &ack);
    if (msg->status == SHMQW_OVERLOADED)
        take_back(p, one, ack.retry_after_ms ? ack.retry_after_ms : RETRY_MS);
    else if (msg->status == SHMQW_SHUTTING_DOWN ||
        msg->status == SHMQW_CREDIT_EXCEEDED ||
        msg->status == SHMQW_CRC_MISMATCH)
        take_back(p, one, RETRY_MS);
    else if (msg->status == SHMQW_OUT_OF_ORDER && ack.expected < one->sequence)
        take_back(p, one, 0); /* goes again behind those before it */
    else
        finish(p, one, msg, &ack);
    flush(p);
    return true;
}

/* -- what the caller sees -------------------------------------------------- */

static int measure(
    const struct shmq_record *records, uint32_t cnt, size_t *ret_bytes)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < cnt; i++) {
        const struct shmq_record *record = &records[i];
        uint32_t attr_bytes = 0;
        for (uint32_t a = 0; a < record->attr_cnt; a++) {
            const struct shmq_attr *from = &record->attrs[a];
            struct shmqw_attr attr = {
                from->type, from->value_bytes, from->value, from->name};
            uint32_t one = shmqw_attr_bytes(&attr);
            attr_bytes += one;
            if (one == 0 || attr_bytes > UINT16_MAX)
                return shmqr_fail(
                    SHMQ_ERR_INVAL, "attributes: one is not legal");
        }
        if (record->size > UINT32_MAX || (record->size && !record->data))
            return shmqr_fail(SHMQ_ERR_INVAL, "record: no data");
        sum += shmqw_record_bytes(record->size, attr_bytes);
    }
    *ret_bytes = (size_t)sum;
    return SHMQ_OK;
}

static bool encode(struct publish *one, const struct shmq_record *records)
{
    struct shmqw_payload payload;
    uint8_t *attrs = malloc(UINT16_MAX + 1u);
    if (!attrs)
        return false;
    shmqw_payload_begin(&payload, one->payload, one->len);
    for (uint32_t i = 0; i < one->record_cnt; i++) {
        const struct shmq_record *record = &records[i];
        uint8_t *end = attrs;
        for (uint32_t a = 0; a < record->attr_cnt; a++) {
            const struct shmq_attr *from = &record->attrs[a];
            struct shmqw_attr attr = {
                from->type, from->value_bytes, from->value, from->name};
            end = shmqw_attr_put(end, &attr);
        }
        struct shmqw_record to = {record->data, (uint32_t)record->size, attrs,
            (uint32_t)(end - attrs)};
        (void)shmqw_put_record(&payload, &to);
    }
    free(attrs);
    one->crc = shmqw_crc32c(0, one->payload, one->len);
    return true;
}

int shmq_remote_producer_publish(struct shmq_remote_producer *producer,
    const struct shmq_record *records, uint32_t record_cnt,
    uint64_t *ret_ticket)
{
    struct shmq_remote_producer *p = producer;
    size_t bytes = 0;
    if (!records || record_cnt < 1 || record_cnt > SHMQW_RECORDS_MAX)
        return shmqr_fail(SHMQ_ERR_INVAL, "%s: 1 to 4096 records", p->topic);
    int rc = measure(records, record_cnt, &bytes);
    if (rc)
        return rc;
    const struct shmqw_welcome *welcome = &p->remote->welcome;
    if (bytes > welcome->max_payload || bytes > welcome->publish_bytes)
        return shmqr_fail(SHMQ_ERR_TOO_LARGE,
            "%s: %zu bytes; the bridge takes %u at most in one message",
            p->topic, bytes, welcome->max_payload);
    if (p->cnt == p->cap)
        (void)shmqr_pump(p->remote, 0, NULL);
    if (p->cnt == p->cap)
        return SHMQ_ERR_FULL;
    struct publish one = {.sequence = p->sequence,
        .record_cnt = record_cnt,
        .len = bytes,
        .payload = malloc(bytes)};
    if (!one.payload || !encode(&one, records)) {
        free(one.payload);
        return shmqr_fail(SHMQ_ERR_NOMEM, "%s: no memory", p->topic);
    }
    *at(p, p->cnt++) = one;
    p->sequence += record_cnt;
    flush(p);
    if (ret_ticket)
        *ret_ticket = one.sequence;
    return SHMQ_OK;
}

int shmq_remote_producer_result(
    struct shmq_remote_producer *producer, struct shmq_remote_result *ret)
{
    struct shmq_remote_producer *p = producer;
    if (p->done_cnt == 0)
        (void)shmqr_pump(p->remote, 0, NULL);
    if (p->done_cnt == 0)
        return SHMQ_ERR_EMPTY;
    clear(&p->taken);
    p->taken = *at(p, 0);
    memset(at(p, 0), 0, sizeof(struct publish));
    p->head = (p->head + 1) % p->cap;
    p->cnt--;
    p->done_cnt--;
    if (p->look_from)
        p->look_from--;
    *ret = p->taken.result;
    ret->positions = p->taken.positions;
    return SHMQ_OK;
}

int shmq_remote_producer_result_wait(struct shmq_remote_producer *producer,
    uint64_t deadline_ns, struct shmq_remote_result *ret)
{
    for (;;) {
        int rc = shmq_remote_producer_result(producer, ret);
        if (rc != SHMQ_ERR_EMPTY || producer->cnt == 0)
            return rc;
        if (shmqr_now() >= deadline_ns)
            return shmqr_fail(SHMQ_ERR_TIMEOUT,
                "%s: no answer in time; it is asked for again until one comes",
                producer->topic);
        if (shmqr_pump(producer->remote, deadline_ns, NULL) != 0)
            return SHMQ_ERR_INTR;
    }
}

int shmq_remote_producer_publish_wait(struct shmq_remote_producer *producer,
    const void *data, uint64_t size, uint64_t deadline_ns,
    uint64_t *ret_position)
{
    struct shmq_record record = {data, size, NULL, 0, 0};
    struct shmq_remote_result result = {0};
    if (producer->cnt)
        return shmqr_fail(SHMQ_ERR_INVAL,
            "%s: take the results of earlier publishes first", producer->topic);
    int rc = shmq_remote_producer_publish(producer, &record, 1, NULL);
    while (rc == SHMQ_OK || rc == SHMQ_ERR_INTR) {
        rc = shmq_remote_producer_result_wait(producer, deadline_ns, &result);
        if (rc == SHMQ_OK)
            break;
    }
    if (rc)
        return rc;
    if (ret_position && result.position != SHMQW_NONE)
        *ret_position = result.position;
    return result.rc;
}

uint32_t shmq_remote_producer_pending(
    const struct shmq_remote_producer *producer)
{
    return producer->cnt;
}

uint64_t shmq_remote_producer_id(const struct shmq_remote_producer *producer)
{
    return producer->id;
}
