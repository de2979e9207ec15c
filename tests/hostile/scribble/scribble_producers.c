/* scribble_producers.c - the producers of a game. */
#include "game.h"

static uint64_t size_of(struct game *g)
{
    uint64_t max = g->attrs.max_message_bytes;
    return dice(g, 8) ? dice(g, 200) : dice(g, max + 1);
}

#define ONLY_PUBLISH(rc) \
    ONLY(rc, SHMQ_ERR_FULL, SHMQ_ERR_TIMEOUT, SHMQ_ERR_CLOSED, \
        SHMQ_ERR_CORRUPT, SHMQ_ERR_LIMIT, SHMQ_ERR_BUSY, \
        IF_DURABLE(SHMQ_ERR_READ_ONLY))

static void publish_one(struct game *g, struct shmq_producer *p)
{
    uint64_t size = size_of(g), position = 0;
    uint64_t sequence = shmq_producer_sequence(p);
    t_fill(g->payload, size, ++g->tag);
    int rc = dice(g, 6)
        ? CALL(shmq_producer_publish(p, g->payload, size, &position))
        : CALL(shmq_producer_publish_wait(
              p, g->payload, size, shmq_deadline(dice(g, 30000)), &position));
    ONLY_PUBLISH(rc);
    if (rc == SHMQ_OK && g->control_only)
        scribble_enter(
            g, position, g->tag, size, shmq_producer_identity(p), sequence);
}

static void publish_many(struct game *g, struct shmq_producer *p)
{
    struct shmq_record rec[BATCH];
    uint64_t position[BATCH], first = g->tag + 1;
    uint64_t sequence = shmq_producer_sequence(p);
    uint32_t cnt = 1 + (uint32_t)dice(g, BATCH);
    memset(rec, 0, sizeof rec);
    for (uint32_t i = 0; i < cnt; i++) {
        uint8_t *at = g->payload + 256 * i;
        rec[i].size = dice(g, 200);
        rec[i].data = at;
        t_fill(at, rec[i].size, ++g->tag);
    }
    int rc = CALL(shmq_producer_publish_batch(p, rec, cnt, position));
    ONLY(rc, SHMQ_ERR_FULL, SHMQ_ERR_CLOSED, SHMQ_ERR_CORRUPT, SHMQ_ERR_LIMIT,
        SHMQ_ERR_BUSY, SHMQ_ERR_TOO_LARGE, IF_DURABLE(SHMQ_ERR_READ_ONLY));
    for (uint32_t i = 0; rc == SHMQ_OK && g->control_only && i < cnt; i++)
        scribble_enter(g, position[i], first + i, rec[i].size,
            shmq_producer_identity(p), sequence + i);
}

static void lend(struct game *g, uint32_t i)
{
    struct shmq_loan *loan = &g->loan[i];
    struct shmq_producer *p = g->producer[i];
    if (!g->loaned[i]) {
        int rc = CALL(shmq_producer_loan(p, size_of(g), NULL, 0, loan));
        ONLY_PUBLISH(rc);
        g->loaned[i] = rc == SHMQ_OK;
        if (rc == SHMQ_OK && !scribble_in_ring(g, loan->data, loan->size))
            T_FAIL("a loan that leaves the file");
        return;
    }
    if (dice(g, 3) == 0) {
        T_EQ(CALL(shmq_producer_abort(p, loan)), SHMQ_OK);
        g->loaned[i] = false;
        return;
    }
    uint64_t used = dice(g, loan->size + 1), position = 0;
    uint64_t sequence = shmq_producer_sequence(p);
    t_fill(loan->data, used, ++g->tag);
    int rc = CALL(shmq_producer_commit(p, loan, used, &position));
    ONLY_PUBLISH(rc);
    if (rc == SHMQ_OK) {
        g->loaned[i] = false;
        if (g->control_only)
            scribble_enter(
                g, position, g->tag, used, shmq_producer_identity(p), sequence);
    }
}

void scribble_use_producer(struct game *g)
{
    uint32_t i = (uint32_t)dice(g, PRODUCERS);
    struct shmq_producer **p = &g->producer[i];
    if (!*p) {
        if (dice(g, 3) == 0)
            (void)CALL(shmq_producer_open(g->topic, NULL, p));
        return;
    }
    switch (dice(g, 24)) {
    case 0:
        if (dice(g, 3) == 0) {
            CALL((shmq_producer_close(*p), 0));
            *p = NULL;
            g->loaned[i] = false;
        }
        break;
    case 1:
    case 2:
    case 3:
        publish_many(g, *p);
        break;
    case 4:
    case 5:
    case 6:
        lend(g, i);
        break;
    default:
        publish_one(g, *p);
        break;
    }
}
