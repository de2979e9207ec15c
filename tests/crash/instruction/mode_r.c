/* mode_r.c - recoveries that are themselves stepped, held and killed. */
#include <stdlib.h>
#include <string.h>

#include "disk.h"
#include "modes.h"

#define POOL_MAX 64u
#define TIMES_MAX 64u /* arrivals in a loop; each costs two stops */
#define SNAPSHOT_MAX (1u << 20)

uint32_t point_of(
    const struct trace *trace, uint32_t k, uint32_t cnt, enum mark kind)
{
    const struct config *c = &page->config;
    uint32_t from = (uint32_t)((uint64_t)k * trace->cnt / cnt);
    uint32_t to = (uint32_t)((uint64_t)(k + 1) * trace->cnt / cnt);
    uint32_t mix = (uint32_t)c->fill * 7 + (uint32_t)c->warm * 31 +
        (uint32_t)c->origin * 127 + c->ring * 509 + c->own * 1021 + k * 37;
    for (uint32_t i = from; i < to; i++)
        if (marked(kind, trace->at[i].rip) == 0 &&
            trace->at[i].times <= TIMES_MAX)
            return i;
    uint32_t i = to > from ? from + mix % (to - from) : from;
    while (i > 0 && trace->at[i].times > TIMES_MAX)
        i--;
    return i;
}

void pool_add(struct pool *pool, const struct world *w)
{
    size_t bytes = disk_files_bytes(&w->copy);
    uint32_t at = pool->cnt;
    if (bytes > SNAPSHOT_MAX)
        return;
    if (pool->bytes != bytes) {
        free(pool->files);
        pool->files = malloc(POOL_MAX * bytes);
        pool->bytes = bytes;
        pool->cap = pool->files ? POOL_MAX : 0;
        at = pool->cnt = pool->seen = 0;
    }
    pool->seen++;
    if (at == pool->cap) {
        uint64_t h = pool->seen * 0x9e3779b97f4a7c15ull;
        at = (uint32_t)((h >> 20) % pool->seen);
    } else {
        pool->cnt++;
    }
    if (at >= pool->cap)
        return;
    disk_files_take(pool->files + at * bytes, &w->copy);
}

/* The operations that attach, and so reap, in turn. */
static const struct op *next_recovery(const struct config *c)
{
    static const struct op *last;
    do
        last = op_next(last);
    while (!last || !(last->flags & OP_REAPS) ||
        !(last->flags & (c->ring == SHMQ_RING_SPSC ? OP_SPSC : OP_MPMC)));
    return last;
}

/* What a recovery of this state gives: by doing one. */
static void learn(struct world *w)
{
    struct verdict v;
    disk_files_put(&w->copy, w->base);
    if (w->copy_disk)
        disk_rewind(w->copy_disk);
    judge(w, false, &v);
    memcpy(w->pending, v.got, sizeof w->pending);
}

void mode_r(struct world *w, struct tracer *t, struct pool *pool,
    uint32_t states, uint32_t resumes, uint32_t kills)
{
    static struct trace trace;
    struct world r = *w;
    if (states > pool->cnt)
        states = pool->cnt;
    for (uint32_t k = 0; k < states && !t->gone; k++) {
        uint32_t i = (uint32_t)((uint64_t)k * pool->cnt / states);
        i += pool->cnt / states ? pool->seen % (pool->cnt / states) : 0;
        r.base = pool->files + i * pool->bytes;
        r.own_cnt = 0;
        r.config.op = next_recovery(&r.config);
        page->config = r.config;
        atomic_fetch_add(&totals->states, 1);
        scene.mode = "RS";
        scene.rip = scene.nth = 0;
        learn(&r);
        mode_s(&r, t, &trace, NULL);
        scene.mode = "RZ";
        mode_z(&r, t, &trace, resumes);
        scene.mode = "RK";
        mode_k(&r, &trace, kills);
    }
}
