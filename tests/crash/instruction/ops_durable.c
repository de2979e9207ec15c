/* ops_durable.c - topics on disk: publishing, reading from the ring and from
 * the log behind it, waiting until a record, or a group's place, is on disk.
 *
 * Nobody serves the topic while the victim runs, but where OP_MOVED says so:
 * there shmqd has its turn when the victim first goes to sleep (mode S), or
 * while it is held (mode Z). */
#include <shmq/durable.h>
#include <string.h>

#include "ops.h"
#include "victim.h"
#include "watermarks.h"

#define SOON_NS 40000u
#define PATIENCE_NS 400000u

/* -- publishing --------------------------------------------------------------
 */

static void publish(struct victim *v)
{
    page->rc = shmq_producer_publish(
        v->producer, v->data, page->config.op->arg, &v->position);
}

static void published(struct victim *v)
{
    (void)v;
    if (page->rc == SHMQ_OK)
        tags_add(&page->published, TAG_OP);
}

#define NOWHERE UINT64_MAX

static void setup_level(struct victim *v)
{
    v_producer(v);
    v->position = NOWHERE;
}

static void publish_level(struct victim *v)
{
    page->deadline = *the_clock + PATIENCE_NS;
    page->rc = shmq_producer_publish_level_wait(v->producer, v->data,
        page->config.op->arg, SHMQ_LEVEL_DEFAULT, page->deadline, &v->position);
}

/* It is published as soon as its position is told, whatever came then. */
static void published_somewhere(struct victim *v)
{
    if (page->rc == SHMQ_OK &&
        v->position >= v->topic->segment->ring.marks->durable)
        v_must(SHMQ_ERR_CORRUPT, "a level that is not reached");
    if (v->position == NOWHERE)
        return;
    tags_add(&page->published, TAG_OP);
    page->rc = SHMQ_OK;
}

/* -- waiting for a level -----------------------------------------------------
 */

/* For the last record that is there. */
static void setup_wait(struct victim *v)
{
    struct shmq_watermarks w;
    v_producer(v);
    memset(&w, 0, sizeof w);
    w.struct_bytes = sizeof w;
    v_must(shmq_topic_watermarks(v->topic, &w), "watermarks");
    v->position = w.published - 1;
}

static void level_wait(struct victim *v)
{
    page->rc = shmq_producer_level_wait(
        v->producer, v->position, SHMQ_LEVEL_DURABLE, *the_clock + SOON_NS);
}

static void level_wait_moved(struct victim *v)
{
    page->deadline = *the_clock + PATIENCE_NS;
    page->rc = shmq_topic_level_wait(
        v->topic, v->position, SHMQ_LEVEL_DEFAULT, page->deadline);
}

static void is_there(struct victim *v)
{
    bool there = v->position < v->topic->segment->ring.marks->durable;
    if (page->rc == SHMQ_OK && !there)
        v_must(SHMQ_ERR_CORRUPT, "a level that is not reached");
}

static void must_be_there(struct victim *v)
{
    v_must(page->rc, "a level that is reached");
    is_there(v);
}

/* -- waiting for a group's place ---------------------------------------------
 */

static void setup_member(struct victim *v)
{
    v_consumer(v, WORK, 0);
}

static void setup_reader(struct victim *v)
{
    v_consumer(v, AUDIT, 0);
}

static void setup_done(struct victim *v, enum group g)
{
    v_consumer(v, g, 0);
    v_receive(v, 0);
    v_must(shmq_consumer_release(v->consumer, &v->msg[0]), "release");
    if (g == WORK && page->config.ring == SHMQ_RING_MPMC)
        tags_remove(&page->before[g], v->tags[0]);
}

static void setup_done_member(struct victim *v)
{
    setup_done(v, WORK);
}

static void setup_done_reader(struct victim *v)
{
    setup_done(v, AUDIT);
}

static void commit(struct victim *v)
{
    page->rc = shmq_consumer_commit_wait(
        v->consumer, *the_clock + SOON_NS, &v->position);
}

static void commit_moved(struct victim *v)
{
    page->deadline = *the_clock + PATIENCE_NS;
    page->rc =
        shmq_consumer_commit_wait(v->consumer, page->deadline, &v->position);
}

/* The place is in the journal, and what was released lies below it. */
static void committed(struct victim *v)
{
    const struct shmqi_ring *r = &v->topic->segment->ring;
    uint64_t safe = 0;
    for (uint32_t i = 0; i < r->group_cnt; i++)
        if (shm_word(&r->marks->groups[i].floor) > safe)
            safe = shm_word(&r->marks->groups[i].floor);
    if (page->rc == SHMQ_OK &&
        (v->position > safe || v->position <= v->msg[0].position))
        v_must(SHMQ_ERR_CORRUPT, "a place that is not safe");
    if (v->group == AUDIT || page->config.ring == SHMQ_RING_SPSC)
        tags_add(&page->done[v->group], v->tags[0]);
}

static void safe_already(struct victim *v)
{
    (void)v;
    if (page->alone) /* else another member may have gone on */
        v_must(page->rc, "a place that is safe");
}

/* -- reading -----------------------------------------------------------------
 */

static void setup_copying(struct victim *v)
{
    v_consumer(v, WORK, SHMQ_CONSUMER_COPY);
}

static void setup_ephemeral(struct victim *v)
{
    struct shmq_consumer_options o = v_options(v, WORK);
    o.group = NULL;
    o.start.kind = SHMQ_START_EARLIEST;
    v_topic(v);
    v_fill_apart(v);
    v_must(shmq_consumer_open(v->topic, &o, &v->consumer), "reader");
}

static void setup_held(struct victim *v)
{
    setup_member(v);
    v_receive(v, 0);
}

static void setup_held_reader(struct victim *v)
{
    setup_reader(v);
    v_receive(v, 0);
}

static void receive(struct victim *v)
{
    page->rc = shmq_consumer_receive(v->consumer, &v->msg[0]);
}

static void kept(struct victim *v)
{
    if (page->rc != SHMQ_OK)
        return;
    uint32_t tag = tag_of(&page->config, &v->msg[0]);
    if (tag == 0)
        v_must(SHMQ_ERR_CORRUPT, "a received record");
    tags_add(&page->kept[v->group], tag);
}

/* The oldest record, which the ring has not any more. */
static void kept_oldest(struct victim *v)
{
    if (!page->alone) {
        kept(v);
        return;
    }
    v_must(page->rc, "a record of the log");
    if (tag_of(&page->config, &v->msg[0]) != page->before[v->group].tag[0])
        v_must(SHMQ_ERR_GAP, "the oldest record of the log");
    kept(v);
}

static int take_more(void *ctx, const struct shmq_message *msg)
{
    struct victim *v = ctx;
    v->tags[v->taken++] = tag_of(&page->config, msg);
    return SHMQ_HANDLED_ACK;
}

static void poll_more(struct victim *v)
{
    page->rc = shmq_consumer_poll(v->consumer, take_more, v, 4);
}

static void polled(struct victim *v)
{
    for (uint32_t i = 0; i < v->taken; i++)
        tags_add(&page->done[v->group], v->tags[i]);
    if (page->rc > 0)
        page->rc = page->rc == (int32_t)v->taken ? SHMQ_OK : SHMQ_ERR_SYS;
}

static void release(struct victim *v)
{
    page->rc = shmq_consumer_release(v->consumer, &v->msg[0]);
}

static void nack(struct victim *v)
{
    page->rc = shmq_consumer_nack(v->consumer, &v->msg[0]);
}

static void done(struct victim *v)
{
    if (page->rc == SHMQ_OK)
        tags_add(&page->done[v->group], v->tags[0]);
}

static void seek_earliest(struct victim *v)
{
    struct shmq_start start = {SHMQ_START_EARLIEST, 0, 0};
    page->rc = shmq_consumer_seek(v->consumer, &start);
}

static void seek_time(struct victim *v)
{
    struct shmq_start start = {SHMQ_START_TIME, 0, 1};
    page->rc = shmq_consumer_seek(v->consumer, &start);
}

/* -- attaching, looking ------------------------------------------------------
 */

static void setup_topic(struct victim *v)
{
    v_topic(v);
    v_fill_apart(v);
    shmq_producer_close(v->producer);
    v->producer = NULL;
}

static void producer_open(struct victim *v)
{
    page->rc = shmq_producer_open(v->topic, NULL, &v->producer);
}

static void join(struct victim *v)
{
    struct shmq_consumer_options o = v_options(v, WORK);
    o.flags = SHMQ_CONSUMER_NO_CREATE;
    page->rc = shmq_consumer_open(v->topic, &o, &v->consumer);
}

static void create(struct victim *v)
{
    struct shmq_start start = {SHMQ_START_EARLIEST, 0, 0};
    page->rc = shmq_group_create(v->topic, "fresh", NULL, &start);
}

static void remove_work(struct victim *v)
{
    page->rc = shmq_group_remove(v->topic, group_names[WORK], 0);
}

static void look(struct victim *v)
{
    static struct shmq_group_stat groups[4];
    struct shmq_watermarks w;
    struct shmq_topic_stat stat;
    uint32_t cnt;
    memset(&w, 0, sizeof w);
    w.struct_bytes = sizeof w;
    page->rc = shmq_topic_watermarks(v->topic, &w);
    memset(&stat, 0, sizeof stat);
    stat.struct_bytes = sizeof stat;
    if (page->rc == SHMQ_OK)
        page->rc = shmq_topic_stat(v->topic, &stat);
    if (page->rc == SHMQ_OK)
        page->rc = shmq_topic_groups(v->topic, groups, 4, &cnt);
}

static void nothing(struct victim *v)
{
    (void)v;
}

static void topic_open(struct victim *v)
{
    page->rc = shmq_topic_open(page->ns, TOPIC, &v->topic);
}

#define FRESH (BOTH | OP_DURABLE)
#define ON_DISK (BOTH | OP_DURABLE | OP_DRAINED | OP_NEEDS_RECORD)
#define IN_LOG (BOTH | OP_DURABLE | OP_BEHIND | OP_NEEDS_RECORD)
#define SHARED (~(uint32_t)OP_SPSC)

const struct op durable_ops[] = {
    {"publish, durable", FRESH | OP_ONE_FLIP | OP_PAYLOAD, 64, v_producer,
        publish, published},
    {"publish, durable, over what is on disk",
        BOTH | OP_DURABLE | OP_DRAINED | OP_ONE_FLIP | OP_PAYLOAD, 64,
        v_producer, publish, published},
    {"publish level", FRESH | OP_MOVED | OP_ONE_FLIP | OP_PAYLOAD, 64,
        setup_level, publish_level, published_somewhere},
    {"level wait, reached", ON_DISK | OP_NO_FLIP, 0, setup_wait, level_wait,
        must_be_there},
    {"level wait, not reached", FRESH | OP_NEEDS_RECORD | OP_NO_FLIP, 0,
        setup_wait, level_wait, is_there},
    {"level wait, moved", FRESH | OP_NEEDS_RECORD | OP_NO_FLIP | OP_MOVED, 0,
        setup_wait, level_wait_moved, is_there},
    {"commit wait, reached", ON_DISK | OP_NO_FLIP, 0, setup_member, commit,
        safe_already},
    {"commit wait, not reached", ON_DISK, 0, setup_done_member, commit,
        committed},
    {"commit wait, moved", ON_DISK | OP_MOVED, 0, setup_done_member,
        commit_moved, committed},
    {"commit wait, moved, exclusive", ON_DISK | OP_MOVED, 0, setup_done_reader,
        commit_moved, committed},
    {"receive, not on disk", FRESH | OP_NO_FLIP, 0, setup_member, receive,
        kept},
    {"receive, durable, shared", (ON_DISK | OP_ONE_FLIP) & SHARED, 0,
        setup_member, receive, kept_oldest},
    {"receive, durable, exclusive", ON_DISK | OP_NO_FLIP, 0, setup_reader,
        receive, kept_oldest},
    {"receive, log, shared", (IN_LOG | OP_ONE_FLIP) & SHARED, 0, setup_member,
        receive, kept_oldest},
    {"receive copy, log, shared", (IN_LOG | OP_ONE_FLIP) & SHARED, 0,
        setup_copying, receive, kept_oldest},
    {"receive, log, exclusive", IN_LOG | OP_NO_FLIP, 0, setup_reader, receive,
        kept_oldest},
    {"receive, log, ephemeral", IN_LOG | OP_NO_FLIP | OP_GAPS, 0,
        setup_ephemeral, receive, NULL},
    {"poll, log, shared", IN_LOG &SHARED, 0, setup_member, poll_more, polled},
    {"poll, log, exclusive", IN_LOG, 0, setup_reader, poll_more, polled},
    {"release, log, shared", (IN_LOG | OP_ONE_FLIP) & SHARED, 0, setup_held,
        release, done},
    {"release, log, exclusive", IN_LOG, 0, setup_held_reader, release, done},
    {"nack, log, shared", (IN_LOG | OP_ONE_FLIP) & SHARED, 0, setup_held, nack,
        NULL},
    {"seek earliest, log", IN_LOG | OP_FREE, 0, setup_reader, seek_earliest,
        NULL},
    {"seek time, log", IN_LOG | OP_FREE, 0, setup_reader, seek_time, NULL},
    {"producer open, durable", FRESH | OP_NO_FLIP, 0, setup_topic,
        producer_open, NULL},
    {"join, durable", FRESH | OP_NO_FLIP, 0, setup_topic, join, NULL},
    {"group create, durable", FRESH | OP_NO_FLIP, 0, setup_topic, create, NULL},
    {"group remove, durable", FRESH | OP_FREE, 0, setup_topic, remove_work,
        NULL},
    {"watermarks, stat", IN_LOG | OP_NO_FLIP, 0, setup_topic, look, NULL},
    {"topic open, durable", FRESH | OP_NO_FLIP, 0, nothing, topic_open, NULL},
};
const uint32_t durable_op_cnt = sizeof durable_ops / sizeof durable_ops[0];
