/* ops_rest.c - several records of a frame at a time. */
#include <string.h>

#include "ops.h"
#include "victim.h"

#define FRAME 4u /* records of the frame that the victim publishes */
#define TAG_FRAME (TAG_FILL + 0x280u)

static uint64_t room[4096]; /* of the rest of a frame */

/* A frame of several records behind what is there, where there is room. */
static void publish_frame(struct victim *v)
{
    static uint8_t bytes[FRAME][1u << 18];
    uint64_t size = fill_bytes(&page->config);
    if (!v->producer)
        v_must(
            shmq_producer_open(v->topic, NULL, &v->producer), "its producer");
    for (uint32_t i = 0; i < FRAME; i++) {
        fill_payload(bytes[i], size, TAG_FRAME + i);
        v->records[i].data = bytes[i];
        v->records[i].size = size;
    }
    if (shmq_producer_publish_batch(v->producer, v->records, FRAME, NULL) !=
        SHMQ_OK)
        return;
    for (enum group g = AUDIT; g < GROUPS; g++)
        for (uint32_t i = 0; i < FRAME; i++)
            tags_add(&page->before[g], TAG_FRAME + i);
}

static void setup_first(struct victim *v, enum group g)
{
    v_consumer(v, g, 0); /* fills the ring where the victim has to */
    publish_frame(v);
    v_receive(v, 0);
    v->taken = 1;
}

static void setup_work(struct victim *v)
{
    setup_first(v, WORK);
}

static void setup_audit(struct victim *v)
{
    setup_first(v, AUDIT);
}

/* The oldest record is the first of the frame only when the ring was empty. */
static void rest(struct victim *v)
{
    uint64_t bytes = 0;
    int rc = shmq_consumer_receive_rest(
        v->consumer, &v->msg[0], room, sizeof room, FRAME - 1, &bytes);
    v->taken = 1 + (rc > 0 ? (uint32_t)rc : 0);
    page->rc = rc < 0 ? rc : SHMQ_OK;
}

static void taken(struct victim *v)
{
    bool first = v->tags[0] == TAG_FRAME;
    if (v->taken != (first ? FRAME : 1))
        v_must(SHMQ_ERR_CORRUPT, "the rest of a frame");
    for (uint32_t i = 0; i < v->taken; i++)
        tags_add(&page->kept[v->group], v->tags[0] + i);
}

static void setup_rest(struct victim *v)
{
    setup_work(v);
    rest(v);
}

static void setup_rest_audit(struct victim *v)
{
    setup_audit(v);
    rest(v);
}

static void release_many(struct victim *v)
{
    int rc = shmq_consumer_release_many(v->consumer, &v->msg[0], v->taken);
    page->rc = rc < 0 ? rc : rc == (int)v->taken ? SHMQ_OK : SHMQ_ERR_STALE;
}

static void done(struct victim *v)
{
    for (uint32_t i = 0; page->rc == SHMQ_OK && i < v->taken; i++)
        tags_add(&page->done[v->group], v->tags[0] + i);
}

#define FROM_MPMC (OP_MPMC | OP_NO_FLIP)

const struct op rest_ops[] = {
    {"receive rest, shared", FROM_MPMC, 0, setup_work, rest, taken},
    {"receive rest, exclusive", FROM_MPMC, 0, setup_audit, rest, taken},
    {"release many, shared", OP_MPMC | OP_ONE_FLIP, 0, setup_rest, release_many,
        done},
    {"release many, exclusive", OP_MPMC, 0, setup_rest_audit, release_many,
        done},
};
const uint32_t rest_op_cnt = sizeof rest_ops / sizeof rest_ops[0];
