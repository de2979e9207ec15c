/* acks.c - saying what was done with records: release, ack, nack, commit,
 * seek. */
#include <stdlib.h>
#include <string.h>

#include "client.h"

enum { FRAME = 256, CLOSE_NS = 1000000000 };

static struct shmqr_item *item_of(const struct shmq_message *msg)
{
    struct shmqr_item *item;
    memcpy(&item, msg->internal, sizeof item);
    return item;
}

/* Ends the use of a record's bytes. */
static void end_use(struct shmq_remote_consumer *c, struct shmq_message *msg)
{
    struct shmqr_item *item = item_of(msg), **link = &c->in_use;
    msg->data = msg->attrs = NULL;
    memset(msg->internal, 0, sizeof msg->internal);
    if (!item || --item->uses > 0)
        return;
    while (*link && *link != item)
        link = &(*link)->next;
    if (*link)
        *link = item->next;
    shmqr_parts_free(&item->parts);
    free(item);
}

static bool is_stale(
    const struct shmq_remote_consumer *c, const struct shmq_message *msg)
{
    return msg->internal[2] != c->attach_no || c->stream != SHMQR_ATTACHED;
}

void shmqr_acks_send(struct shmq_remote_consumer *c)
{
    struct shmq_remote *r = c->remote;
    struct shmqw_writer w;
    struct shmqw_generation g = {c->generation};
    if (!c->ack_cnt || c->stream != SHMQR_ATTACHED || r->state != SHMQR_UP)
        return;
    shmqw_begin(&w, r->scratch, SHMQW_CONTROL_MAX, SHMQW_ACK, 0, SHMQW_OK,
        shmqr_next_corr(r), c->stream_id);
    shmqw_put_fixed(&w, &g, sizeof g);
    shmqw_put(&w, SHMQW_TLV_RANGES, c->acks, c->ack_cnt * sizeof c->acks[0]);
    c->ack_cnt = 0;
    c->acks_open++;
    (void)shmqr_send_frame(r, r->scratch, shmqw_end(&w), NULL, 0);
}

/* Puts a position to those to be sent. Positions that follow each other in one
 * run become one range; only records received are ever named. */
static void add_ack(struct shmq_remote_consumer *c, uint64_t position)
{
    struct shmqw_range *last = c->ack_cnt ? &c->acks[c->ack_cnt - 1] : NULL;
    if (last && last->to == position) {
        last->to++;
        return;
    }
    if (c->ack_cnt == SHMQR_ACK_RANGES)
        shmqr_acks_send(c);
    if (c->ack_cnt == SHMQR_ACK_RANGES)
        return; /* no session: detach() has told, or will, that it is stale */
    c->acks[c->ack_cnt++] = (struct shmqw_range){position, position + 1};
}

int shmq_remote_consumer_ack(
    struct shmq_remote_consumer *consumer, const struct shmq_message *msg)
{
    if (!consumer->group[0])
        return SHMQ_OK;
    if (is_stale(consumer, msg))
        return shmqr_fail(SHMQ_ERR_STALE,
            "%s: the record at %llu has moved on, since the session or the "
            "stream it came with is over",
            consumer->topic, (unsigned long long)msg->position);
    add_ack(consumer, msg->position);
    return SHMQ_OK;
}

int shmq_remote_consumer_release(
    struct shmq_remote_consumer *consumer, struct shmq_message *msg)
{
    int rc = SHMQ_OK;
    if (!consumer->manual_ack)
        rc = shmq_remote_consumer_ack(consumer, msg);
    end_use(consumer, msg);
    return rc;
}

int shmq_remote_consumer_flush_wait(
    struct shmq_remote_consumer *consumer, uint64_t deadline_ns)
{
    struct shmq_remote_consumer *c = consumer;
    shmqr_acks_send(c);
    while (c->acks_open || (c->ack_cnt && c->stream == SHMQR_ATTACHED)) {
        if (shmqr_now() >= deadline_ns)
            return shmqr_fail(SHMQ_ERR_TIMEOUT,
                "%s: the bridge did not answer in time", c->topic);
        if (shmqr_pump(c->remote, deadline_ns, NULL) != 0)
            return SHMQ_ERR_INTR;
        shmqr_acks_send(c);
    }
    uint64_t stale = c->stale_cnt;
    c->stale_cnt = 0;
    if (!stale)
        return SHMQ_OK;
    return shmqr_fail(SHMQ_ERR_STALE,
        "%s: records were acknowledged too late and have moved on; use a "
        "longer lease",
        c->topic);
}

/* -- questions about a stream -----------------------------------------------
 */

static int ask(struct shmq_remote_consumer *c, enum shmqw_command command,
    const void *fixed, size_t bytes, const struct shmqw_range *range,
    uint64_t deadline_ns,
    int (*part)(void *ctx, const struct shmqw_message *msg), void *ctx)
{
    uint8_t frame[FRAME];
    struct shmqw_writer w;
    if (c->stream != SHMQR_ATTACHED)
        return shmqr_fail(SHMQ_ERR_STALE, "%s: the stream is over", c->topic);
    shmqr_acks_send(c);
    shmqw_begin(&w, frame, sizeof frame, command, 0, SHMQW_OK, 0, 0);
    shmqw_put_fixed(&w, fixed, bytes);
    if (range)
        shmqw_put(&w, SHMQW_TLV_RANGES, range, sizeof *range);
    return shmqr_ask(c->remote, &w, c->stream_id, deadline_ns, part, ctx);
}

struct answer {
    struct shmq_remote_consumer *consumer;
    struct shmqw_nacked nacked;
    struct shmqw_committed committed;
    struct shmqw_checked checked;
    struct shmqw_sought sought;
};

void shmqr_consumer_renewed(struct shmq_remote_consumer *c, uint64_t generation)
{
    if (generation == c->generation)
        return;
    c->generation = generation;
    c->attach_no++;
    c->ack_cnt = 0;
    shmqr_consumer_purge(c);
}

static int take_answer(void *ctx, const struct shmqw_message *msg)
{
    struct answer *a = ctx;
    if (!msg)
        return SHMQ_OK;
    switch (msg->command) {
    case SHMQW_NACK:
        shmqw_fixed(msg, &a->nacked, sizeof a->nacked);
        shmqr_consumer_renewed(a->consumer, a->nacked.generation);
        break;
    case SHMQW_COMMIT:
        shmqw_fixed(msg, &a->committed, sizeof a->committed);
        break;
    case SHMQW_CHECK:
        shmqw_fixed(msg, &a->checked, sizeof a->checked);
        break;
    case SHMQW_SEEK:
        shmqw_fixed(msg, &a->sought, sizeof a->sought);
        shmqr_consumer_renewed(a->consumer, a->sought.generation);
        a->consumer->next_pos = a->sought.position;
        break;
    default:
        break;
    }
    return SHMQ_OK;
}

int shmq_remote_consumer_nack_wait(struct shmq_remote_consumer *consumer,
    struct shmq_message *msg, uint64_t delay_ns, uint64_t deadline_ns)
{
    struct shmqw_nack nack = {consumer->generation, delay_ns};
    struct shmqw_range range = {msg->position, msg->position + 1};
    struct answer a = {.consumer = consumer};
    bool stale = is_stale(consumer, msg);
    if (!consumer->group[0] || delay_ns > SHMQW_DELAY_MAX_NS)
        return shmqr_fail(
            SHMQ_ERR_INVAL, "%s: nothing to give back", consumer->topic);
    end_use(consumer, msg);
    if (stale)
        return SHMQ_ERR_STALE;
    int rc = ask(consumer, SHMQW_NACK, &nack, sizeof nack, &range, deadline_ns,
        take_answer, &a);
    return rc == SHMQ_OK && a.nacked.done == 0 ? SHMQ_ERR_STALE : rc;
}

int shmq_remote_consumer_commit_wait(struct shmq_remote_consumer *consumer,
    uint64_t position, uint32_t level, uint64_t deadline_ns,
    uint64_t *ret_floor)
{
    uint64_t now = shmqr_now();
    uint64_t left_ms = deadline_ns > now ? (deadline_ns - now) / 1000000 : 0;
    struct shmqw_commit commit = {.generation = consumer->generation,
        .position = position,
        .level = (uint8_t)level,
        .timeout_ms = left_ms < UINT32_MAX ? (uint32_t)left_ms : UINT32_MAX};
    struct answer a = {.consumer = consumer};
    if (level > SHMQ_REMOTE_LEVEL_DURABLE || !consumer->group[0])
        return shmqr_fail(
            SHMQ_ERR_INVAL, "%s: nothing to commit", consumer->topic);
    int rc = ask(consumer, SHMQW_COMMIT, &commit, sizeof commit, NULL,
        deadline_ns, take_answer, &a);
    if (rc == SHMQ_OK && ret_floor)
        *ret_floor = a.committed.floor;
    return rc;
}

int shmq_remote_consumer_seek_wait(struct shmq_remote_consumer *consumer,
    const struct shmq_start *start, uint64_t deadline_ns)
{
    struct shmqw_seek seek = {.generation = consumer->generation,
        .start = (uint8_t)start->kind,
        .value = start->value};
    struct answer a = {.consumer = consumer};
    if (start->kind == SHMQ_START_DEFAULT || start->kind > SHMQ_START_TIME)
        return shmqr_fail(SHMQ_ERR_INVAL, "%s: no such start", consumer->topic);
    return ask(consumer, SHMQW_SEEK, &seek, sizeof seek, NULL, deadline_ns,
        take_answer, &a);
}

int shmq_remote_consumer_drained_wait(
    struct shmq_remote_consumer *consumer, uint64_t deadline_ns)
{
    struct shmqw_generation g = {consumer->generation};
    struct answer a = {.consumer = consumer};
    int rc = ask(consumer, SHMQW_CHECK, &g, sizeof g, NULL, deadline_ns,
        take_answer, &a);
    if (rc)
        return rc;
    return a.checked.drained && consumer->head == NULL;
}

void shmq_remote_consumer_close(struct shmq_remote_consumer *consumer)
{
    struct shmqw_generation g;
    if (!consumer)
        return;
    uint64_t deadline = shmq_remote_deadline(CLOSE_NS);
    if (consumer->stream == SHMQR_ATTACHED &&
        consumer->remote->state == SHMQR_UP) {
        (void)shmq_remote_consumer_flush_wait(consumer, deadline);
        g.generation = consumer->generation;
        if (ask(consumer, SHMQW_DETACH, &g, sizeof g, NULL, deadline, NULL,
                NULL) == SHMQ_OK)
            consumer->stream = SHMQR_ENDED;
    }
    shmqr_consumer_leave(consumer);
}
