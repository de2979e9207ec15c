/* ops_producer.c - publishing, lending, attaching as a producer. */
#include <string.h>

#include "ops.h"
#include "victim.h"
#include "wait.h"

static void published(struct victim *v)
{
    (void)v;
    if (page->rc == SHMQ_OK)
        tags_add(&page->published, TAG_OP);
}

/* -- publish
 * ------------------------------------------------------------------- */

static void publish(struct victim *v)
{
    page->rc = shmq_producer_publish(
        v->producer, v->data, page->config.op->arg, &v->position);
}

static void publish_wait(struct victim *v)
{
    page->rc = shmq_producer_publish_wait(v->producer, v->data,
        page->config.op->arg, *the_clock + 40000, &v->position);
}

/* Somebody sleeps for data: its endpoint has announced itself. */
static void setup_sleeper(struct victim *v)
{
    struct shmqi_sleep sleep;
    v_producer(v);
    struct shmq_consumer_options o = v_options(v, WORK);
    v_must(shmq_consumer_open(v->topic, &o, &v->consumer), "sleeper");
    uint32_t idx = shmq_consumer_endpoint(v->consumer);
    shmqi_sleep_begin(&sleep, v->topic->segment, idx, SHMQI_WAITS_DATA);
    page->sleeper = idx + 1;
}

/* Somebody polls: its doorbell is to be rung. */
static void setup_poller(struct victim *v)
{
    int fd;
    struct shmq_message m;
    v_producer(v);
    struct shmq_consumer_options o = v_options(v, WORK);
    v_must(shmq_consumer_open(v->topic, &o, &v->consumer), "poller");
    v_must(shmq_consumer_fd(v->consumer, &fd), "descriptor");
    while (shmq_consumer_receive(v->consumer, &m) == SHMQ_OK) {
        tags_remove(&page->before[WORK], tag_of(&page->config, &m));
        v_must(shmq_consumer_release(v->consumer, &m), "release");
    }
    page->sleeper = shmq_consumer_endpoint(v->consumer) + 1;
}

/* -- batch
 * ---------------------------------------------------------------------- */

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

static void publish_batch(struct victim *v)
{
    page->rc =
        shmq_producer_publish_batch(v->producer, v->records, BATCH, NULL);
}

static void published_batch(struct victim *v)
{
    (void)v;
    for (uint32_t i = 0; page->rc == SHMQ_OK && i < BATCH; i++)
        tags_add(&page->published, TAG_OP + i);
}

/* -- loans
 * ------------------------------------------------------------------------ */

static void loan(struct victim *v)
{
    page->rc = shmq_producer_loan(
        v->producer, page->config.op->arg, NULL, 0, &v->loan);
}

static void setup_loan(struct victim *v)
{
    v_producer(v);
    loan(v);
    if (page->rc == SHMQ_OK)
        memcpy(v->loan.data, v->data, page->config.op->arg);
}

static void commit(struct victim *v)
{
    if (v->loan.data)
        page->rc = shmq_producer_commit(
            v->producer, &v->loan, page->config.op->arg, &v->position);
}

static void abort_loan(struct victim *v)
{
    if (v->loan.data)
        page->rc = shmq_producer_abort(v->producer, &v->loan);
}

/* -- open, close
 * --------------------------------------------------------------------- */

static void producer_open(struct victim *v)
{
    page->rc = shmq_producer_open(v->topic, NULL, &v->producer);
}

static void setup_topic(struct victim *v)
{
    v_topic(v);
    v_fill_apart(v);
    shmq_producer_close(v->producer);
    v->producer = NULL;
}

static void producer_close(struct victim *v)
{
    shmq_producer_close(v->producer);
    v->producer = NULL;
    page->rc = SHMQ_OK;
}

#define PUBLISH(text, n) \
    { \
        text, BOTH | OP_ONE_FLIP | OP_PAYLOAD, n, v_producer, publish, \
            published \
    }

const struct op producer_ops[] = {
    PUBLISH("publish 64", 64),
    PUBLISH("publish 0", 0),
    PUBLISH("publish 1", 1),
    PUBLISH("publish 63", 63),
    PUBLISH("publish 4097", 4097),
    PUBLISH("publish 1 MiB", 1u << 20),
    {"publish_wait", BOTH | OP_ONE_FLIP | OP_PAYLOAD, 64, v_producer,
        publish_wait, published},
    {"publish, drop-new", BOTH | OP_ONE_FLIP | OP_PAYLOAD | OP_DROP_NEW, 64,
        v_producer, publish, published},
    {"publish, drop-old", OP_MPMC | OP_PAYLOAD | OP_DROP_OLD, 64, v_producer,
        publish, published},
    {"publish, asymmetric", OP_SPSC | OP_ONE_FLIP | OP_PAYLOAD | OP_ASYMMETRIC,
        64, v_producer, publish, published},
    {"publish, a sleeper, asymmetric",
        OP_SPSC | OP_ONE_FLIP | OP_PAYLOAD | OP_ASYMMETRIC, 64, setup_sleeper,
        publish, published},
    {"producer open, asymmetric", OP_SPSC | OP_NO_FLIP | OP_ASYMMETRIC, 0,
        setup_topic, producer_open, NULL},
    {"publish, a sleeper", BOTH | OP_ONE_FLIP | OP_PAYLOAD, 64, setup_sleeper,
        publish, published},
    {"publish, a poller", BOTH | OP_ONE_FLIP | OP_PAYLOAD, 64, setup_poller,
        publish, published},
    {"publish_batch 64", BOTH | OP_ONE_FLIP | OP_BATCH, 0, setup_batch,
        publish_batch, published_batch},
    {"loan", BOTH | OP_NO_FLIP | OP_PAYLOAD, 64, v_producer, loan, NULL},
    {"commit", BOTH | OP_ONE_FLIP | OP_PAYLOAD, 64, setup_loan, commit,
        published},
    {"commit 4097", BOTH | OP_ONE_FLIP | OP_PAYLOAD, 4097, setup_loan, commit,
        published},
    {"abort", BOTH | OP_NO_FLIP | OP_PAYLOAD, 64, setup_loan, abort_loan, NULL},
    {"producer open", BOTH | OP_NO_FLIP | OP_REAPS, 0, setup_topic,
        producer_open, NULL},
    {"producer close", BOTH | OP_NO_FLIP, 0, v_producer, producer_close, NULL},
};
const uint32_t producer_op_cnt = sizeof producer_ops / sizeof producer_ops[0];
