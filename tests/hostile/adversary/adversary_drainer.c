/* adversary_drainer.c - shmqd's part as a victim: drains a durable topic, tells
 * how far it came, takes places of groups down. Its log goes nowhere, so who
 * reads history is told so. */
#include <stdlib.h>

#include "adversary.h"
#include "drain.h"
#include "support/support.h"

#define ROOM (256u << 10)
#define PORTIONS 16

struct drainer {
    struct shmqi_drain *drain;
    uint64_t cap, turns;
    uint64_t *portion;
};

int drainer_make(const struct shmq_topic_attrs *attrs)
{
    struct shmqi_durable_make make;
    memset(&make, 0, sizeof make);
    make.ns = t_ns;
    make.topic = "victim";
    make.attrs = attrs;
    make.topic_uuid[0] = board->round;
    make.dir = "/nonexistent";
    return shmqi_durable_create(&make);
}

int drainer_open(struct drainer **ret)
{
    struct drainer *d = calloc(1, sizeof *d);
    T_TRUE(d != NULL);
    int rc = shmqi_drain_open(t_ns, "victim", &d->drain);
    if (rc != SHMQ_OK) {
        free(d);
        return rc;
    }
    d->cap = shmqi_drain_frame_max(d->drain) + ROOM;
    d->portion = malloc(d->cap);
    T_TRUE(d->portion != NULL);
    *ret = d;
    return SHMQ_OK;
}

/* What every frame of a portion says of itself fits into it. */
static void look_through(const struct drainer *d, const struct shmqi_portion *p)
{
    uint64_t sum = 0;
    T_TRUE(p->bytes <= d->cap && p->end_pos >= p->base_pos);
    for (uint64_t i = 0; i < p->bytes / 8; i++)
        sum += d->portion[i];
    T_TRUE(p->frame_cnt <= p->bytes / 8 || sum == 0);
}

static int take(struct drainer *d)
{
    int rc = SHMQ_OK;
    for (int i = 0; i < PORTIONS; i++) {
        struct shmqi_portion p;
        struct shmq_gap gap;
        rc = shmqi_drain_take(d->drain, d->portion, d->cap, &p, &gap);
        if (rc == SHMQ_ERR_GAP)
            continue;
        if (rc != SHMQ_OK)
            break;
        look_through(d, &p);
        shmqi_drain_raise(d->drain, p.end_pos, p.end_pos);
    }
    return rc;
}

int drainer_turn(struct drainer *d)
{
    static struct shmqi_group_place places[64];
    struct shmq_watermarks w = {.struct_bytes = sizeof w};
    int32_t pids[64];
    switch (++d->turns % 8) {
    case 0: {
        (void)shmqi_drain_commits(d->drain);
        bool all;
        uint32_t cnt = shmqi_drain_groups(d->drain, places, 64, &all);
        T_TRUE(cnt <= 64);
        shmqi_drain_journaled(d->drain, places, cnt);
        return shmqi_drain_check(d->drain);
    }
    case 1:
        T_TRUE(shmqi_drain_pids(d->drain, pids, 64) <= 64);
        (void)shmqi_drain_reap(d->drain);
        shmqi_drain_beat(d->drain);
        return shmqi_drain_check(d->drain);
    case 2:
        shmqi_drain_marks(d->drain, &w);
        (void)shmqi_drain_set_dir(
            d->drain, d->turns & 8 ? "/nonexistent" : "/nowhere");
        return shmqi_drain_check(d->drain);
    default:
        return take(d);
    }
}

void drainer_close(struct drainer *d)
{
    if (!d)
        return;
    shmqi_drain_close(d->drain);
    free(d->portion);
    free(d);
}
