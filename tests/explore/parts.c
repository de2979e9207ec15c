#include "parts.h"

#include <string.h>

#include "endpoint.h"
#include "words.h"

void p_produce(
    struct shmq_producer *p, uint32_t author, uint32_t cnt, uint32_t words)
{
    for (uint32_t i = 0; i < cnt;) {
        int rc = o_publish(p, author, words);
        if (rc == SHMQ_OK)
            i++;
        else if (rc == SHMQ_ERR_CLOSED || !x_idle())
            return;
    }
}

/* Those who try wake each other. */
#define TRIES 8u

struct shmq_producer *p_producer_wait(uint32_t author)
{
    for (uint32_t i = 0; i < TRIES; i++) {
        int rc;
        struct shmq_producer *p = o_producer_try(x_who(), author, &rc);
        if (p || rc == SHMQ_ERR_CLOSED)
            return p;
        if (rc != SHMQ_ERR_BUSY && rc != SHMQ_ERR_LIMIT)
            x_fail("producer open: %s", shmq_err_name(rc));
        if (!x_idle())
            return NULL;
    }
    return NULL;
}

uint32_t p_consume(struct o_reader *r, uint32_t cnt)
{
    struct o_hand h;
    uint32_t done = 0;
    while (done < cnt) {
        int rc = o_receive(r, &h);
        if (rc == SHMQ_OK) {
            (void)o_release(r, &h);
            done++;
        } else if (rc == SHMQ_ERR_STALE || rc == SHMQ_ERR_CLOSED) {
            return done;
        } else if (rc == SHMQ_ERR_EMPTY && !x_idle()) {
            return done;
        }
    }
    return done;
}

void p_poll(struct o_reader *r, uint32_t cnt)
{
    for (uint32_t i = 0; i < cnt;) {
        x_call(X_STEPS);
        int rc = shmq_consumer_poll(r->consumer, o_handle, r, 2);
        if (rc > 0)
            i += (uint32_t)rc;
        else if (rc == SHMQ_ERR_STALE || rc == SHMQ_ERR_CLOSED)
            return;
        else if (rc < 0 && rc != SHMQ_ERR_GAP)
            x_fail("poll: %s", shmq_err_name(rc));
        else if (rc == 0 && !x_idle())
            return;
    }
}

bool p_reader_wait(
    const char *name, uint32_t group, uint32_t kind, struct o_reader *ret)
{
    struct shmq_consumer_options o = o_options(name, kind, 0);
    for (uint32_t i = 0; i < TRIES; i++) {
        int rc = o_reader_try(x_who(), &o, group, ret);
        if (rc == SHMQ_OK)
            return true;
        if (rc != SHMQ_ERR_BUSY && rc != SHMQ_ERR_LIMIT)
            x_fail(
                "consumer open: %s (%s)", shmq_err_name(rc), shmq_error_text());
        if (!x_idle())
            return false;
    }
    return false;
}

/* -- the end -------------------------------------------------------------- */

void p_close(uint32_t who, struct o_reader *r)
{
    if (!r->consumer || x_was_killed(who) || x_was_stopped(who))
        return;
    x_call(X_STEPS);
    shmq_consumer_close(r->consumer);
    r->consumer = NULL;
}

/* Every endpoint that is left belongs to a living process. */
static void check_reaped(void)
{
    struct shmqi_ring *r = x_ring();
    for (uint32_t i = 0; i < r->endpoint_cnt; i++) {
        uint64_t id = x_memory_newest(&r->endpoints[i].identity);
        uint32_t who = (uint32_t)(id & 0xff);
        if (id && who < X_PROCESSES && x_world.dead[who])
            x_fail("endpoint %u of the dead is still there", i);
    }
}

void p_bury(void)
{
    struct shmq_consumer *c = NULL;
    for (uint32_t t = 1; t < X_THREADS; t++)
        if (x_was_stopped(t)) {
            x_kill(t);
            x_memory_join(x_me, &x_threads[t]);
        }
    x_run.lag = false;
    /* Whoever attaches reaps; an entry that was half made needs patience. */
    for (uint32_t i = 0; i < 3; i++) {
        x_call(X_STEPS);
        int rc = shmq_consumer_open(x_topic(0), NULL, &c);
        if (rc == SHMQ_ERR_CLOSED)
            return;
        if (rc != SHMQ_OK)
            x_fail("attach: %s", shmq_err_name(rc));
        shmq_consumer_close(c);
        x_advance(2 * SHMQI_HALF_MADE_NS);
    }
    check_reaped();
}

void p_finish_exclusive(const char *name, uint32_t group)
{
    struct shmq_consumer_options o = o_options(name, SHMQ_GROUP_EXCLUSIVE, 0);
    struct o_reader r;
    p_bury();
    int rc = o_reader_try(0, &o, group, &r);
    if (rc == SHMQ_ERR_CLOSED)
        return;
    if (rc)
        x_fail("the role does not pass: %s (%s)", shmq_err_name(rc),
            shmq_error_text());
    (void)o_drain(&r);
    o_check_done(group, 0);
    o_check_positions();
}

void p_finish_shared(struct o_reader *r)
{
    p_bury();
    (void)o_drain(r);
    o_check_done(r->group, 0);
    o_check_positions();
}

void p_check_found(struct o_reader *r, uint32_t attempts)
{
    struct shmqi_ring *ring = x_ring();
    const struct shmqi_group_shm *g = &ring->groups[r->group];
    (void)o_drain(r);
    uint64_t floor = shmqi_pos_seq(shmqi_cursor_pos(
        x_memory_newest(&g->floor), x_memory_newest(&ring->data->tail)));
    uint64_t next = shmqi_seq_expand(x_memory_newest(&g->next), floor);
    for (uint64_t q = floor; q < next; q++) {
        uint64_t k =
            x_memory_newest(&ring->claims[q & ((1u << ring->claim_lg2) - 1)]);
        struct shmqi_claim u = shmqi_claim_unpack(k);
        if (u.lap == shmqi_claim_lap(q, ring->claim_lg2) &&
            u.state == SHMQI_CLAIM_FREE && u.attempt < attempts)
            x_fail("the free claim of frame %llu is not found",
                (unsigned long long)q);
    }
}

void p_fill(struct o_reader *r, uint32_t author)
{
    struct shmqi_ring *ring = x_ring();
    struct shmq_producer *p = o_producer(0, author);
    uint32_t cnt = ring->ring == SHMQ_RING_MPMC ? 1u << ring->cap_lg2 : 2;
    if (ring->ring == SHMQ_RING_MPMC && cnt > ring->arena_bytes / 64)
        cnt = (uint32_t)(ring->arena_bytes / 64);
    /* The first round may take more than its bytes: what it goes around. */
    for (uint32_t i = 0; i < 6; i++) {
        X_TRUE(o_publish(p, author, 1) == SHMQ_OK);
        (void)o_drain(r);
    }
    for (uint32_t i = 0; i < cnt; i++)
        if (o_publish(p, author, 1) != SHMQ_OK)
            x_fail("room for %u of %u frames: something has leaked", i, cnt);
    (void)o_drain(r);
    o_check_done(r->group, oracle.records[author][0].position);
    x_call(X_STEPS);
    shmq_producer_close(p);
}
