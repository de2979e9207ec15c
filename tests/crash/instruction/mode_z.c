/* mode_z.c - held at an instruction while others work, then resumed. */
#include <string.h>

#include "modes.h"
#include "others.h"

/* A victim that resumes late may find its place taken. */
#define MARGIN_NS 50000u /* looks at the clock of a call that comes back */
#define LONG_NS 10000000000ull /* stopped for so long, as the clock says */

static bool late_rc_allowed(int rc)
{
    if (rc_allowed(rc) || rc == SHMQ_ERR_BUSY)
        return true;
    if (rc == SHMQ_ERR_GAP)
        return config_has(&page->config, OP_GAPS);
    if (rc == SHMQ_ERR_NOENT) /* the prey has gone by itself */
        return config_has(&page->config, OP_PREY);
    return rc == SHMQ_ERR_STALE &&
        config_has(&page->config, OP_LEASE | OP_EVICTS | OP_FREE | OP_DROP_OLD);
}

static void check_group(
    enum group g, const struct others *o, const struct verdict *v)
{
    const struct tags *before = &page->before[g], *got = &v->got[g];
    bool moves = config_has(&page->config, OP_FREE);
    struct tags want = *before;
    for (uint32_t i = 0; i < page->published.cnt; i++)
        tags_add(&want, page->published.tag[i]);
    for (uint32_t i = 0; i < o->published.cnt; i++)
        tags_add(&want, o->published.tag[i]);
    for (uint32_t i = 0; i < got->cnt; i++) {
        uint32_t tag = got->tag[i];
        bool over =
            tags_have(&page->done[g], tag) || tags_have(&o->done[g], tag);
        if (!moves && (!tags_have(&want, tag) || over))
            broken("%s got record 0x%x again (I2)", group_names[g], tag);
        for (uint32_t k = 0; k < i; k++)
            if (got->tag[k] == tag)
                broken("%s got record 0x%x twice (I2)", group_names[g], tag);
    }
    for (uint32_t i = 0; !moves && i < want.cnt; i++) {
        uint32_t tag = want.tag[i];
        uint32_t times = tags_have(&page->done[g], tag) +
            (uint32_t)tags_have(&o->done[g], tag);
        bool gone = config_has(&page->config, OP_DROP_OLD) && i + 1 < want.cnt;
        if (times == 0 && !tags_have(got, tag) && !gone)
            broken("%s lost record 0x%x (I1)", group_names[g], tag);
        if (times > 1)
            broken(
                "record 0x%x was done twice in %s (I8)", tag, group_names[g]);
    }
}

static void check_end(struct world *w, const struct others *o)
{
    struct verdict v;
    judge(w, true, &v);
    for (enum group g = AUDIT; g < GROUPS; g++)
        if (v.group[g] || !config_has(&page->config, OP_FREE))
            check_group(g, o, &v);
}

/* One victim held before instruction `i` of the trace. `early`: the others
 * were there before the operation began. */
static bool hold(struct world *w, struct tracer *t, const struct trace *trace,
    uint32_t i, bool early)
{
    struct others o = {.w = w, .next = TAG_OTHERS, .keeps = (i & 2) != 0};
    scene.rip = trace->at[i].rip;
    scene.nth = trace->at[i].nth;
    alive();
    world_restore(w);
    if (!tracer_begin(t))
        return false;
    if (early)
        others_open(&o);
    uint64_t end = shm_end(&w->live.ring);
    bool met = tracer_goto(t, scene.rip, trace->at[i].times);
    if (met) {
        mark(HELD, scene.rip);
        if (!early)
            *the_clock += LONG_NS;
        others_open(&o);
        /* What it waits for is there to be done when shmqd has its turn. */
        bool ready = i >= trace->ready &&
            (!config_has(&w->config, OP_PAYLOAD) ||
                shm_end(&w->live.ring) != end);
        others_work(&o);
        bool in_time = *the_clock + MARGIN_NS < page->deadline;
        (void)tracer_run_to(t, PHASE_END);
        if (ready && in_time && !t->gone && page->rc != SHMQ_OK)
            broken("%s, and shmqd had done it (I10)", shmq_err_name(page->rc));
        others_work(&o);
    }
    if (t->gone || !tracer_run_to(t, PHASE_END))
        return false;
    if (!late_rc_allowed(page->rc))
        broken("the call returned %s", shmq_err_name(page->rc));
    if (!tracer_run_to(t, PHASE_IDLE))
        return false;
    others_close(&o);
    check_end(w, &o);
    return met;
}

void mode_z(
    struct world *w, struct tracer *t, const struct trace *trace, uint32_t cnt)
{
    if (cnt > trace->cnt)
        cnt = trace->cnt;
    for (uint32_t k = 0; k < cnt && !t->gone; k++) {
        uint32_t i = point_of(trace, k, cnt, HELD);
        if (hold(w, t, trace, i, (k & 1) != 0))
            atomic_fetch_add(
                recovering() ? &totals->reap_resumes : &totals->resumes, 1);
        else
            atomic_fetch_add(&totals->missed, 1);
    }
}
