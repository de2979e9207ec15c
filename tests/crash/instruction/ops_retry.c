/* ops_retry.c - records that come later, too late, or to the dead. */
#include <string.h>

#include "ops.h"
#include "victim.h"

#define DELAY_NS 1000000u

static void setup_held(struct victim *v)
{
    v_consumer(v, WORK, 0);
    v_receive(v, 0);
}

static void nack_later(struct victim *v)
{
    page->rc = shmq_consumer_nack_later(v->consumer, &v->msg[0], DELAY_NS);
}

/* The delay is over: the next receive gives the record back, and takes it. */
static void setup_due(struct victim *v)
{
    setup_held(v);
    nack_later(v);
    v_must(page->rc, "nack later");
    *the_clock += 2 * DELAY_NS;
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

/* Everything that is there has expired; with dead letters the oldest must be
 * found in them. */
static void expired(struct victim *v, enum group g)
{
    v_consumer(v, g, 0);
    *the_clock += 2 * (uint64_t)TTL_NS;
    if (page->config.first->flags & OP_TTL_DEAD)
        page->dead = page->before[g].tag[0];
    for (enum group i = AUDIT; i < GROUPS; i++)
        page->before[i].cnt = 0;
}

static void setup_expired(struct victim *v)
{
    expired(v, WORK);
}

static void setup_expired_audit(struct victim *v)
{
    expired(v, AUDIT);
}

#define BOTH_OLD (BOTH | OP_NEEDS_RECORD | OP_TTL)

const struct op retry_ops[] = {
    {"nack later", OP_MPMC | OP_NEEDS_RECORD, 0, setup_held, nack_later, NULL},
    {"nack later, due", OP_MPMC | OP_NEEDS_RECORD, 0, setup_due, receive, kept},
    {"receive, expired", BOTH_OLD, 0, setup_expired, receive, kept},
    {"receive, expired, exclusive", BOTH_OLD, 0, setup_expired_audit, receive,
        kept},
    {"receive, expired, dead letter", BOTH_OLD | OP_TTL_DEAD, 0, setup_expired,
        receive, kept},
};
const uint32_t retry_op_cnt = sizeof retry_ops / sizeof retry_ops[0];
