/* ops_consumer.c - receiving, acknowledging, seeking. */
#include <string.h>

#include "ops.h"
#include "victim.h"

#define LEASE_PASSED_NS 10000000u

/* -- receive ----------------------------------------------------------------
 */

static void setup_member(struct victim *v)
{
    v_consumer(v, WORK, 0);
}

static void setup_copying(struct victim *v)
{
    v_consumer(v, WORK, SHMQ_CONSUMER_COPY);
}

static void setup_reader(struct victim *v)
{
    v_consumer(v, AUDIT, 0);
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

static void receive(struct victim *v)
{
    page->rc = shmq_consumer_receive(v->consumer, &v->msg[0]);
}

static void receive_wait(struct victim *v)
{
    page->rc =
        shmq_consumer_receive_wait(v->consumer, *the_clock + 40000, &v->msg[0]);
}

/* For longer than anybody's patience. */
static void sleep_long(struct victim *v)
{
    page->rc = shmq_consumer_receive_wait(
        v->consumer, *the_clock + 1000000000000u, &v->msg[0]);
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

static int take_any(void *ctx, const struct shmq_message *msg)
{
    struct victim *v = ctx;
    v->tags[0] = tag_of(&page->config, msg);
    return SHMQ_HANDLED_STOP;
}

static void poll_one(struct victim *v)
{
    page->rc = shmq_consumer_poll(v->consumer, take_any, v, 1);
}

/* Up to four, straight over the ring. */
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

static void polled_more(struct victim *v)
{
    for (uint32_t i = 0; i < v->taken; i++)
        tags_add(&page->done[v->group], v->tags[i]);
    if (page->rc > 0)
        page->rc = page->rc == (int32_t)v->taken ? SHMQ_OK : SHMQ_ERR_SYS;
}

static void polled(struct victim *v)
{
    if (page->rc == 1)
        tags_add(&page->done[v->group], v->tags[0]);
    if (page->rc == 1)
        page->rc = SHMQ_OK;
}

/* -- wait sets ----------------------------------------------------------------
 */

/* Its sleeps are those of epoll(7), whose time does not stand in clock.c's. */
static void add_to_set(struct victim *v)
{
    struct shmq_waitset_options o;
    memset(&o, 0, sizeof o);
    o.struct_bytes = sizeof o;
    o.flags = SHMQ_WAITSET_DESCRIPTORS;
    o.spin_ns = 1;
    v_must(shmq_waitset_open(&o, &v->set), "wait set");
    v_must(shmq_waitset_add(v->set, v->consumer), "wait set: add");
}

static void setup_set(struct victim *v)
{
    setup_member(v);
    add_to_set(v);
}

static void setup_set_reader(struct victim *v)
{
    setup_reader(v);
    add_to_set(v);
}

static void receive_set(struct victim *v)
{
    struct shmq_consumer *from;
    page->rc = shmq_waitset_receive(v->set, &v->msg[0], &from);
}

static void receive_set_wait(struct victim *v)
{
    struct shmq_consumer *from;
    page->rc = shmq_waitset_receive_wait(
        v->set, *the_clock + 40000, &v->msg[0], &from);
}

/* -- release, ack, nack
 * --------------------------------------------------------- */

static void setup_held(struct victim *v)
{
    v_consumer(v, WORK, 0);
    v_receive(v, 0);
}

static void setup_held_audit(struct victim *v)
{
    v_consumer(v, AUDIT, 0);
    v_receive(v, 0);
}

static void setup_manual(struct victim *v)
{
    v_consumer(v, WORK, SHMQ_CONSUMER_MANUAL_ACK | SHMQ_CONSUMER_COPY);
    v_receive(v, 0);
}

static void release(struct victim *v)
{
    page->rc = shmq_consumer_release(v->consumer, &v->msg[0]);
}

static void ack(struct victim *v)
{
    page->rc = shmq_consumer_ack(v->consumer, &v->msg[0]);
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

/* -- dead letters ------------------------------------------------------------
 */

/* The oldest record has been given back as often as it may be. */
static void setup_dead(struct victim *v)
{
    v_consumer(v, WORK, 0);
    for (uint32_t i = 0; i < 2; i++) {
        v_receive(v, 0);
        v_must(shmq_consumer_nack(v->consumer, &v->msg[0]), "nack");
    }
    page->dead = v->tags[0];
    tags_remove(&page->before[WORK], page->dead);
}

/* -- leases
 * ----------------------------------------------------------------------- */

/* One member holds the oldest record and has been silent for too long. */
static void setup_lease(struct victim *v)
{
    struct shmq_consumer_options o;
    v_consumer(v, WORK, 0);
    v_receive(v, 0);
    v->second = v->consumer;
    o = v_options(v, WORK);
    v_must(shmq_consumer_open(v->topic, &o, &v->consumer), "second member");
    for (uint32_t i = 1; i < 4; i++)
        if (shmq_consumer_receive(v->consumer, &v->msg[i]) == SHMQ_OK) {
            v->tags[i] = tag_of(&page->config, &v->msg[i]);
            tags_remove(&page->before[WORK], v->tags[i]);
            v_must(shmq_consumer_release(v->consumer, &v->msg[i]), "release");
        }
    *the_clock += LEASE_PASSED_NS;
}

static void extend(struct victim *v)
{
    page->rc = shmq_consumer_extend(v->consumer);
}

/* -- seek, position
 * --------------------------------------------------------------- */

static void seek_to(struct victim *v, uint32_t kind)
{
    struct shmq_start start = {kind, 0, 0};
    page->rc = shmq_consumer_seek(v->consumer, &start);
}

static void seek_earliest(struct victim *v)
{
    seek_to(v, SHMQ_START_EARLIEST);
}

static void seek_latest(struct victim *v)
{
    seek_to(v, SHMQ_START_LATEST);
}

static void look(struct victim *v)
{
    uint64_t at;
    page->rc = shmq_consumer_position(v->consumer, &at);
    int drained = shmq_consumer_drained(v->consumer);
    if (drained < 0)
        page->rc = drained;
}

/* -- join, leave
 * -------------------------------------------------------------------- */

static void setup_nothing(struct victim *v)
{
    v_topic(v);
    v_fill_apart(v);
    shmq_producer_close(v->producer);
    v->producer = NULL;
}

static void join(struct victim *v, enum group g)
{
    struct shmq_consumer_options o = v_options(v, g);
    o.flags = SHMQ_CONSUMER_NO_CREATE;
    page->rc = shmq_consumer_open(v->topic, &o, &v->consumer);
}

/* The group is made on the way. */
static void join_fresh(struct victim *v)
{
    struct shmq_consumer_options o = v_options(v, WORK);
    o.group = "fresh";
    page->rc = shmq_consumer_open(v->topic, &o, &v->consumer);
}

static void join_work(struct victim *v)
{
    join(v, WORK);
}

static void join_audit(struct victim *v)
{
    join(v, AUDIT);
}

static void leave(struct victim *v)
{
    shmq_consumer_close(v->consumer);
    v->consumer = NULL;
    page->rc = SHMQ_OK;
}

#define ON_MPMC OP_MPMC
#define HELD (BOTH | OP_NEEDS_RECORD)

const struct op consumer_ops[] = {
    {"receive, shared", ON_MPMC | OP_ONE_FLIP, 0, setup_member, receive, kept},
    {"receive copy, shared", ON_MPMC | OP_ONE_FLIP, 0, setup_copying, receive,
        kept},
    {"receive, exclusive", BOTH | OP_NO_FLIP, 0, setup_reader, receive, kept},
    {"receive, ephemeral", BOTH | OP_NO_FLIP | OP_GAPS, 0, setup_ephemeral,
        receive, NULL},
    {"receive_wait", BOTH, 0, setup_member, receive_wait, kept},
    {"poll", BOTH, 0, setup_member, poll_one, polled},
    {"poll, exclusive", BOTH, 0, setup_reader, poll_more, polled_more},
    {"release, shared", ON_MPMC | OP_ONE_FLIP | OP_NEEDS_RECORD, 0, setup_held,
        release, done},
    {"release, exclusive", HELD, 0, setup_held_audit, release, done},
    {"ack, shared", ON_MPMC | OP_ONE_FLIP | OP_NEEDS_RECORD, 0, setup_manual,
        ack, done},
    {"nack, shared", ON_MPMC | OP_ONE_FLIP | OP_NEEDS_RECORD, 0, setup_held,
        nack, NULL},
    {"nack, exclusive", HELD | OP_NO_FLIP, 0, setup_held_audit, nack, NULL},
    {"receive, shared, drop-old", ON_MPMC | OP_DROP_OLD, 0, setup_member,
        receive, kept},
    {"receive, exclusive, drop-old", ON_MPMC | OP_DROP_OLD, 0, setup_reader,
        receive, kept},
    {"release, drop-old", ON_MPMC | OP_NEEDS_RECORD | OP_DROP_OLD, 0,
        setup_held, release, done},
    {"receive_wait, asymmetric", OP_SPSC | OP_ASYMMETRIC, 0, setup_reader,
        receive_wait, kept},
    {"join, asymmetric", OP_SPSC | OP_NO_FLIP | OP_ASYMMETRIC, 0, setup_nothing,
        join_audit, NULL},
    {"wait set", ON_MPMC | OP_ONE_FLIP, 0, setup_set, receive_set, kept},
    {"wait set, exclusive", BOTH | OP_NO_FLIP, 0, setup_set_reader, receive_set,
        kept},
    {"wait set, waiting", BOTH, 0, setup_set, receive_set_wait, kept},
    {"sleep", 0, 0, setup_reader, sleep_long, NULL}, /* mode_w.c */
    {"dead letter", ON_MPMC | OP_NEEDS_RECORD | OP_DEAD, 0, setup_dead, receive,
        kept},
    {"lease end", ON_MPMC | OP_NEEDS_RECORD | OP_LEASE, 0, setup_lease,
        receive_wait, kept},
    {"late release", ON_MPMC | OP_NEEDS_RECORD | OP_LEASE, 0, setup_held,
        release, done},
    {"extend", ON_MPMC | OP_NO_FLIP | OP_LEASE, 0, setup_member, extend, NULL},
    {"seek earliest", BOTH | OP_FREE, 0, setup_reader, seek_earliest, NULL},
    {"seek latest", BOTH | OP_FREE, 0, setup_reader, seek_latest, NULL},
    {"position, drained", BOTH | OP_NO_FLIP, 0, setup_member, look, NULL},
    {"join, work", BOTH | OP_NO_FLIP | OP_REAPS, 0, setup_nothing, join_work,
        NULL},
    {"join, audit", BOTH | OP_NO_FLIP | OP_REAPS, 0, setup_nothing, join_audit,
        NULL},
    {"join, a new group", BOTH | OP_NO_FLIP, 0, setup_nothing, join_fresh,
        NULL},
    {"join, absent", BOTH | OP_RELEASE, 0, setup_nothing, join_work, NULL},
    {"leave, shared", BOTH | OP_NO_FLIP, 0, setup_member, leave, NULL},
    {"leave, holding", HELD, 0, setup_held, leave, NULL},
    {"leave, exclusive", HELD | OP_NO_FLIP, 0, setup_held_audit, leave, NULL},
};
const uint32_t consumer_op_cnt = sizeof consumer_ops / sizeof consumer_ops[0];
