/* ops_more.c - what the other tables leave out, so that every exported function
 * is stepped (coverage.c): the waiting forms of loan, commit, batch and poll,
 * manual acknowledgement in an exclusive group, descriptors, watches, asking a
 * shmqd that is not there, and all that only looks. */
#include <shmq.h>
#include <string.h>

#include "ops.h"
#include "victim.h"

#define SOON_NS 40000u

static void published(struct victim *v)
{
    (void)v;
    if (page->rc == SHMQ_OK)
        tags_add(&page->published, TAG_OP);
}

/* -- waiting forms -----------------------------------------------------------
 */

static void loan_wait(struct victim *v)
{
    page->rc = shmq_producer_loan_wait(v->producer, page->config.op->arg, NULL,
        0, *the_clock + SOON_NS, &v->loan);
}

static void setup_loan(struct victim *v)
{
    v_producer(v);
    loan_wait(v);
    if (page->rc == SHMQ_OK)
        memcpy(v->loan.data, v->data, page->config.op->arg);
}

static void commit_wait(struct victim *v)
{
    if (v->loan.data)
        page->rc = shmq_producer_commit_wait(v->producer, &v->loan,
            page->config.op->arg, *the_clock + SOON_NS, &v->position);
}

static uint8_t batch_bytes[BATCH][BATCH_BYTES];

static void setup_batch(struct victim *v)
{
    v_producer(v);
    for (uint32_t i = 0; i < BATCH; i++) {
        fill_payload(batch_bytes[i], BATCH_BYTES, TAG_OP + i);
        v->records[i].data = batch_bytes[i];
        v->records[i].size = BATCH_BYTES;
    }
}

static void batch_wait(struct victim *v)
{
    page->rc = shmq_producer_publish_batch_wait(
        v->producer, v->records, BATCH, *the_clock + SOON_NS, NULL);
}

static void published_batch(struct victim *v)
{
    (void)v;
    for (uint32_t i = 0; page->rc == SHMQ_OK && i < BATCH; i++)
        tags_add(&page->published, TAG_OP + i);
}

static void setup_member(struct victim *v)
{
    v_consumer(v, WORK, 0);
}

static int take(void *ctx, const struct shmq_message *msg)
{
    struct victim *v = ctx;
    v->tags[v->taken++] = tag_of(&page->config, msg);
    return SHMQ_HANDLED_ACK;
}

static void poll_wait(struct victim *v)
{
    page->rc =
        shmq_consumer_poll_wait(v->consumer, take, v, 2, *the_clock + SOON_NS);
}

static void polled(struct victim *v)
{
    for (uint32_t i = 0; i < v->taken; i++)
        tags_add(&page->done[v->group], v->tags[i]);
    if (page->rc > 0)
        page->rc = page->rc == (int32_t)v->taken ? SHMQ_OK : SHMQ_ERR_SYS;
}

/* -- manual acknowledgement --------------------------------------------------
 */

static void setup_manual(struct victim *v)
{
    v_consumer(v, AUDIT, SHMQ_CONSUMER_MANUAL_ACK | SHMQ_CONSUMER_COPY);
    v_receive(v, 0);
}

static void setup_released(struct victim *v)
{
    setup_manual(v);
    v_must(shmq_consumer_release(v->consumer, &v->msg[0]), "release");
}

static void ack(struct victim *v)
{
    page->rc = shmq_consumer_ack(v->consumer, &v->msg[0]);
}

static void release(struct victim *v)
{
    page->rc = shmq_consumer_release(v->consumer, &v->msg[0]);
}

static void done(struct victim *v)
{
    if (page->rc == SHMQ_OK)
        tags_add(&page->done[v->group], v->tags[0]);
}

/* -- descriptors, wait sets, watches -----------------------------------------
 */

static int fd_of;

static void consumer_fd(struct victim *v)
{
    page->rc = shmq_consumer_fd(v->consumer, &fd_of);
}

static void set_made(struct victim *v)
{
    struct shmq_waitset_options o;
    memset(&o, 0, sizeof o);
    o.struct_bytes = sizeof o;
    o.flags = SHMQ_WAITSET_DESCRIPTORS;
    page->rc = shmq_waitset_open(&o, &v->set);
    if (page->rc == SHMQ_OK)
        page->rc = shmq_waitset_add(v->set, v->consumer);
    if (page->rc == SHMQ_OK)
        page->rc = shmq_waitset_fd(v->set, &fd_of);
    if (page->rc == SHMQ_OK && shmq_waitset_count(v->set) != 1)
        page->rc = SHMQ_ERR_SYS;
    if (page->rc == SHMQ_OK)
        page->rc = shmq_waitset_remove(v->set, v->consumer);
    shmq_waitset_close(v->set);
    v->set = NULL;
}

static void watch(struct victim *v)
{
    struct shmq_watch_event event;
    page->rc = shmq_watch_open(page->ns, TOPIC "*", &v->watch);
    if (page->rc == SHMQ_OK)
        page->rc = shmq_watch_fd(v->watch, &fd_of);
    if (page->rc == SHMQ_OK)
        page->rc = shmq_watch_next(v->watch, &event);
    if (page->rc == SHMQ_OK && strcmp(event.topic, TOPIC) != 0)
        page->rc = SHMQ_ERR_SYS;
    shmq_watch_close(v->watch);
    v->watch = NULL;
}

/* -- asking for a shmqd that is not there ------------------------------------
 */

static void ask(struct victim *v)
{
    char text[64];
    struct shmq_topic_attrs a;
    struct shmq_retention r;
    (void)v;
    memset(&a, 0, sizeof a);
    a.struct_bytes = sizeof a;
    a.ring = page->config.ring;
    a.durability = SHMQ_DURABILITY_DISK;
    memset(&r, 0, sizeof r);
    r.struct_bytes = sizeof r;
    r.flags = SHMQ_RETAIN_BYTES;
    bool none = shmq_daemon_status(page->ns, 1, text, sizeof text) ==
            SHMQ_ERR_NODAEMON &&
        shmq_topic_create_durable(page->ns, "d", &a, &r) == SHMQ_ERR_NODAEMON &&
        shmq_topic_set_retention(page->ns, TOPIC, &r) == SHMQ_ERR_NODAEMON &&
        shmq_topic_remove_data(page->ns, TOPIC, 0) == SHMQ_ERR_NODAEMON;
    page->rc = none ? SHMQ_OK : SHMQ_ERR_SYS;
}

/* -- looking -----------------------------------------------------------------
 */

static void setup_look(struct victim *v)
{
    v_producer(v);
    struct shmq_consumer_options o = v_options(v, WORK);
    v_must(shmq_consumer_open(v->topic, &o, &v->consumer), "consumer");
}

static int count(void *ctx, const char *topic)
{
    uint32_t *cnt = ctx;
    *cnt += strcmp(topic, TOPIC) == 0;
    return 0;
}

/* What every thread may ask at any time, and what only reads own memory. */
static void look(struct victim *v)
{
    const struct shmq_record record = {.data = v->data, .size = 1};
    struct shmq_topic_attrs a;
    struct shmq_topic *other = NULL;
    struct shmq_gap gap;
    uint64_t uuid[2], from, to, bytes;
    uint32_t cnt = 0;
    memset(&a, 0, sizeof a);
    a.struct_bytes = sizeof a;
    bool fine = shmq_topic_attrs(v->topic, &a) == SHMQ_OK &&
        shmq_topic_range(v->topic, &from, &to) == SHMQ_OK && from <= to &&
        shmq_topic_check(v->topic) == SHMQ_OK &&
        strcmp(shmq_topic_name(v->topic), TOPIC) == 0 &&
        strcmp(shmq_topic_namespace(v->topic), page->ns) == 0 &&
        shmq_topic_list(page->ns, count, &cnt) == SHMQ_OK && cnt == 1 &&
        shmq_topic_open_schema(page->ns, TOPIC, "another", &other) != 0 &&
        shmq_consumer_gap(v->consumer, &gap) == SHMQ_ERR_NOENT &&
        shmq_consumer_created_group(v->consumer) == 0 &&
        shmq_producer_identity(v->producer) != 0 &&
        shmq_producer_sequence(v->producer) != UINT64_MAX &&
        shmq_record_bytes(&record, &bytes) == SHMQ_OK && bytes > 1 &&
        shmq_deadline(0) != 0 && shmq_pattern_matches("t*", TOPIC) == 1;
    shmq_topic_uuid(v->topic, uuid);
    fine = fine && shmq_version() && shmq_err_name(SHMQ_ERR_GAP) &&
        shmq_error_text() && shmq_error_errno() != -1;
    page->rc = fine ? SHMQ_OK : SHMQ_ERR_SYS;
}

const struct op more_ops[] = {
    {"loan_wait", BOTH | OP_NO_FLIP | OP_PAYLOAD, 64, v_producer, loan_wait,
        NULL},
    {"commit_wait", BOTH | OP_ONE_FLIP | OP_PAYLOAD, 64, setup_loan,
        commit_wait, published},
    {"publish_batch_wait", BOTH | OP_ONE_FLIP | OP_BATCH, 0, setup_batch,
        batch_wait, published_batch},
    {"poll_wait", BOTH, 0, setup_member, poll_wait, polled},
    {"ack, exclusive", BOTH | OP_NEEDS_RECORD, 0, setup_manual, ack, done},
    {"ack, exclusive, released", BOTH | OP_NEEDS_RECORD, 0, setup_released, ack,
        done},
    {"release, exclusive, not acknowledged",
        BOTH | OP_NEEDS_RECORD | OP_NO_FLIP, 0, setup_manual, release, NULL},
    {"descriptor", BOTH | OP_NO_FLIP, 0, setup_member, consumer_fd, NULL},
    {"wait set, made and closed", BOTH | OP_NO_FLIP, 0, setup_member, set_made,
        NULL},
    {"watch", BOTH | OP_NO_FLIP, 0, v_topic, watch, NULL},
    {"asking nobody", BOTH | OP_NO_FLIP, 0, v_topic, ask, NULL},
    {"looking", BOTH | OP_NO_FLIP, 0, setup_look, look, NULL},
};
const uint32_t more_op_cnt = sizeof more_ops / sizeof more_ops[0];
