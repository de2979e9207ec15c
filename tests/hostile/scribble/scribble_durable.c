/* scribble_durable.c - games whose topic is durable: a shmqd in this process
 * drains what the scribbler left of the ring, and everybody looks at watermarks
 * that it may have written over, too. By file modes only shmqd may write those;
 * they are written here as if it had gone mad. */
#include "game.h"

#include "drain_impl.h"

#define PORTIONS 8

void scribble_make_durable(struct game *g, const char *topic)
{
    g->attrs.durability =
        dice(g, 2) ? SHMQ_DURABILITY_DISK : SHMQ_DURABILITY_OS;
    if (g->attrs.on_full == SHMQ_ON_FULL_DROP_OLD)
        g->attrs.on_full = SHMQ_ON_FULL_BLOCK;
    g->shmqd = small_start(topic, &g->attrs);
    g->shmqd->lazy = dice(g, 2);
}

void scribble_aim_durable(struct game *g)
{
    const struct shmqi_mapping *readers = &g->segment->marks_map;
    const struct shmqi_mapping *writer = &g->shmqd->drain->map;
    T_TRUE(readers->bytes == writer->bytes && readers->at != writer->at);
    scribble_aim_marks(readers->at, writer->at, writer->bytes);
}

/* -- shmqd --------------------------------------------------------------------
 */

static void take(struct game *g)
{
    uint64_t frames = 0;
    for (int i = 0; i < PORTIONS; i++) {
        int rc = CALL(small_take(g->shmqd, &frames));
        ONLY(rc, SHMQ_ERR_EMPTY, SHMQ_ERR_GAP, SHMQ_ERR_CORRUPT);
        if (rc != SHMQ_OK && rc != SHMQ_ERR_GAP)
            break;
    }
}

static void odd_turn(struct game *g)
{
    struct shmqi_drain *d = g->shmqd->drain;
    struct shmq_watermarks w = {.struct_bytes = sizeof w};
    int32_t pids[64];
    switch (dice(g, 6)) {
    case 0:
        CALL((small_flush(g->shmqd), 0));
        break;
    case 1:
        if (g->shmqd->segment_no < 4000)
            CALL((small_roll(g->shmqd), 0));
        CALL((small_retain(g->shmqd, 8), 0));
        break;
    case 2:
        (void)CALL((int)shmqi_drain_reap(d));
        T_TRUE(CALL((int)shmqi_drain_pids(d, pids, 64)) <= 64);
        break;
    case 3:
        (void)CALL((int)shmqi_drain_arm(d));
        CALL((shmqi_drain_disarm(d), 0));
        break;
    case 4:
        CALL((shmqi_drain_marks(d, &w), 0));
        CALL((shmqi_drain_beat(d), 0));
        break;
    default:
        ONLY(CALL(shmqi_drain_check(d)), SHMQ_ERR_CLOSED, SHMQ_ERR_CORRUPT);
        break;
    }
}

void scribble_drain(struct game *g)
{
    switch (dice(g, 8)) {
    case 0:
        CALL((small_journal(g->shmqd), 0));
        for (uint32_t i = 0; i < g->shmqd->group_cnt; i++) {
            const struct shmqi_group_place *p = &g->shmqd->groups[i];
            T_TRUE(strnlen(p->name, sizeof p->name) < sizeof p->name);
            T_TRUE(strnlen(p->dead_letter, sizeof p->dead_letter) <
                sizeof p->dead_letter);
        }
        break;
    case 1:
        odd_turn(g);
        break;
    default:
        take(g);
        break;
    }
}

/* -- those who wait for it ----------------------------------------------------
 */

void scribble_wait(struct game *g)
{
    struct shmq_watermarks w = {.struct_bytes = sizeof w};
    struct user *u = &g->user[dice(g, CONSUMERS)];
    uint64_t position = dice(g, 2) ? t_random(&g->dice) : dice(g, 1u << 20);
    uint64_t until = shmq_deadline(dice(g, 30000));
    switch (dice(g, 3)) {
    case 0:
        ONLY(CALL(shmq_topic_watermarks(g->topic, &w)), SHMQ_ERR_CORRUPT);
        break;
    case 1:
        ONLY(CALL(shmq_topic_level_wait(
                 g->topic, position, (uint32_t)dice(g, 4), until)),
            SHMQ_ERR_TIMEOUT, SHMQ_ERR_DURABILITY_FAILED, SHMQ_ERR_INVAL,
            SHMQ_ERR_CLOSED, SHMQ_ERR_CORRUPT);
        break;
    default:
        if (u->c && u->member)
            ONLY(CALL(shmq_consumer_commit_wait(u->c, until, NULL)),
                SHMQ_ERR_TIMEOUT, SHMQ_ERR_NODAEMON, SHMQ_ERR_STALE,
                SHMQ_ERR_CLOSED, SHMQ_ERR_CORRUPT);
        break;
    }
}

void scribble_end_durable(struct game *g)
{
    CALL((small_end(g->shmqd), 0));
    g->shmqd = NULL;
}
