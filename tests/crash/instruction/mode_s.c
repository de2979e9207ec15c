/* mode_s.c - at every instruction: copy the files, recover, judge. */
#include <stdlib.h>
#include <string.h>

#include "disk.h"
#include "modes.h"
#include "watermarks.h"

#define KEEP 32u /* different verdicts of one operation */
#define COPY_EDGE 64u
#define COPY_STRIDE 512u

struct run {
    struct world *w;
    struct trace *trace;
    struct pool *pool;
    uint8_t *last; /* the files as they were judged last */
    uint64_t hash;
    struct verdict kept[KEEP];
    uint32_t kept_cnt;
    uint32_t flips;
    uint64_t flip_rip;
    uint64_t before_rip; /* of the point before */
    bool served; /* shmqd has had its turn meanwhile */
};

static bool changed(struct run *run, const struct point *p)
{
    struct world *w = run->w;
    if (run->kept_cnt == 0)
        return true;
    if (memcmp(run->last, w->live.data, w->hot) != 0 ||
        memcmp(run->last + w->live.data_bytes, w->live.control,
            w->live.control_bytes) != 0)
        return true;
    /* A large payload is not compared at each step, but for the word that
     * publishes it. */
    if (w->live.ring.ring == SHMQ_RING_SPSC) {
        size_t at = w->live.arenas +
            (shm_word(&w->live.ring.data->hint) &
                (w->live.ring.arena_bytes - 1));
        if (memcmp(run->last + at, w->live.data + at, 8) != 0)
            return true;
    }
    return w->hot != w->live.data_bytes &&
        (p->where == AT_END ||
            (p->where == AT_COPY &&
                (p->in_copy < COPY_EDGE || p->in_copy % COPY_STRIDE == 0)));
}

static void keep_verdict(struct run *run, const struct verdict *v)
{
    uint64_t hash = verdict_hash(v);
    if (run->kept_cnt != 0 && hash == run->hash)
        return;
    if (run->kept_cnt != 0) {
        run->flips++;
        run->flip_rip = run->before_rip;
        run->trace->ready = run->trace->cnt;
    }
    run->hash = hash;
    if (run->kept_cnt < KEEP)
        run->kept[run->kept_cnt++] = *v;
    else
        broken("its effect appears in more than %u pieces", KEEP);
}

/* The victim goes to sleep: shmqd has its turn, if there is anything to do. */
static void serve(struct run *run)
{
    const struct shmqi_ring *r = &run->w->live.ring;
    uint64_t end = shm_end(r);
    if (run->served && shmqi_marks_drained(r, end) >= end)
        return;
    disk_serve(run->w->live_disk);
    run->served = true;
}

static bool visit(void *ctx, const struct point *p)
{
    struct run *run = ctx;
    struct world *w = run->w;
    scene.nth = p->nth;
    scene.rip = run->before_rip;
    atomic_fetch_add(recovering() ? &totals->reap_points : &totals->points, 1);
    if (p->where == AT_LIBRARY)
        mark(STEPPED, p->rip);
    if (p->where == AT_SYSCALL && (page->config.op->flags & OP_MOVED))
        serve(run);
    if (changed(run, p)) {
        struct verdict v;
        uint64_t now = *the_clock;
        if (!run->served)
            run->trace->ready = run->trace->cnt;
        memcpy(run->last, w->live.data, w->live.data_bytes);
        memcpy(run->last + w->live.data_bytes, w->live.control,
            w->live.control_bytes);
        judge_copy(w);
        if (run->pool)
            pool_add(run->pool, w);
        judge(w, false, &v);
        *the_clock = now; /* judging takes the victim no time */
        verdict_trim(&v);
        keep_verdict(run, &v);
    }
    if (p->where == AT_LIBRARY && run->trace->cnt < TRACE_MAX) {
        uint32_t i = run->trace->cnt++;
        run->trace->at[i].rip = p->rip;
        run->trace->at[i].times = p->times;
        run->trace->at[i].nth = p->nth;
        run->trace->at[i].verdict = run->hash;
    }
    run->before_rip = p->rip;
    return true;
}

/* What depends on when recoveries, or the death of others, happen. */
void verdict_trim(struct verdict *v)
{
    bool prey = config_has(&page->config, OP_PREY);
    if (recovering() || prey)
        v->held = 0; /* given back by one recovery or the next */
    if (prey)
        memset(v->attempts, 0, sizeof v->attempts);
}

/* -- what may be seen
 * ---------------------------------------------------------------- */

/* The lists before and after the operation; in between, each record that is in
 * both must be given, and none that is in neither. */
static void check_list(
    const struct verdict *v, enum group g, const struct tags *after)
{
    const struct tags *before = &page->before[g], *got = &v->got[g];
    bool drops = config_has(&page->config, OP_DROP_OLD), oldest = drops;
    for (uint32_t i = 0; i < before->cnt; i++)
        if (tags_have(got, before->tag[i]) ||
            (drops && i > before->cnt / 2)) /* half a ring stays at least */
            oldest = false;
        else if (tags_have(after, before->tag[i]) && !oldest)
            broken("%s lost record 0x%x (I1)", group_names[g], before->tag[i]);
    for (uint32_t i = 0; i < got->cnt; i++) {
        if (!tags_have(before, got->tag[i]) && !tags_have(after, got->tag[i]))
            broken(
                "%s got record 0x%x again (I2)", group_names[g], got->tag[i]);
        for (uint32_t k = 0; k < i; k++)
            if (got->tag[k] == got->tag[i])
                broken("%s got record 0x%x twice (I2)", group_names[g],
                    got->tag[i]);
    }
}

static uint32_t own_in(const struct tags *t)
{
    uint32_t cnt = 0;
    for (uint32_t i = 0; i < t->cnt; i++)
        cnt += t->tag[i] >= TAG_OP && t->tag[i] < TAG_OTHERS;
    return cnt;
}

static void check_verdict(const struct verdict *v, const struct tags *after)
{
    uint32_t own = own_in(&v->got[AUDIT]), had = own_in(&page->before[AUDIT]);
    for (enum group g = AUDIT; g < GROUPS; g++)
        check_list(v, g, &after[g]);
    if (own != had && own != had + page->published.cnt)
        broken("%u of %u records are published (I3)", own - had,
            page->published.cnt);
    if (v->group[WORK] && !recovering() && own_in(&v->got[WORK]) != own)
        broken("the groups see different records (I1)");
}

static bool equal(const struct tags *a, const struct tags *b)
{
    return a->cnt == b->cnt &&
        memcmp(a->tag, b->tag, a->cnt * sizeof a->tag[0]) == 0;
}

void lists_after(struct tags after[GROUPS])
{
    for (enum group g = AUDIT; g < GROUPS; g++) {
        after[g] = page->before[g];
        for (uint32_t i = 0; i < page->done[g].cnt; i++)
            tags_remove(&after[g], page->done[g].tag[i]);
        for (uint32_t i = 0; i < page->published.cnt; i++)
            tags_add(&after[g], page->published.tag[i]);
    }
}

static void check_run(struct run *run)
{
    struct tags after[GROUPS];
    uint32_t flags = page->config.op->flags;
    bool moves = config_has(&page->config, OP_FREE);
    bool drops = config_has(&page->config, OP_DROP_OLD);
    const struct verdict *last = &run->kept[run->kept_cnt - 1];
    lists_after(after);
    for (uint32_t i = 0; !moves && i < run->kept_cnt; i++)
        check_verdict(&run->kept[i], after);
    for (enum group g = AUDIT; g < GROUPS; g++) {
        if (!drops && !equal(&run->kept[0].got[g], &page->before[g]))
            broken("%s: not what was there before", group_names[g]);
        if (!moves && page->done[g].cnt == 0 &&
            !config_has(&page->config, OP_DROP_OLD) &&
            !equal(&last->got[g], &after[g]))
            broken("%s: not what is there afterwards", group_names[g]);
    }
    bool ok = page->rc == SHMQ_OK;
    if (((flags & OP_NO_FLIP) || recovering()) && run->flips != 0)
        broken("its effect, which should be none, appears %u times (I8)",
            run->flips);
    if ((flags & OP_ONE_FLIP) && !recovering() && run->flips != (ok ? 1 : 0))
        broken("%s: its effect appears at %u instructions",
            shmq_err_name(page->rc), run->flips);
    if (run->flips == 1 && (flags & OP_ONE_FLIP)) {
        atomic_fetch_add(&totals->flips, 1);
        flip_note(page->config.op, run->flip_rip);
    }
    if (!rc_allowed(page->rc))
        broken("the call returned %s", shmq_err_name(page->rc));
}

bool rc_allowed(int rc)
{
    switch (rc) {
    case SHMQ_OK:
    case SHMQ_ERR_FULL:
    case SHMQ_ERR_EMPTY:
    case SHMQ_ERR_TIMEOUT:
        return true;
    case SHMQ_ERR_GAP:
        return config_has(&page->config, OP_DROP_OLD);
    case SHMQ_ERR_NODAEMON: /* it comes only for its turns */
        return config_has(&page->config, OP_DURABLE);
    case SHMQ_ERR_NOENT: /* what was left may be anything */
    case SHMQ_ERR_EXISTS:
    case SHMQ_ERR_BUSY:
        return recovering();
    default:
        return false;
    }
}

/* After a publish the one who sleeps has been woken. */
static void check_wake(struct world *w, uint32_t wake_before)
{
    if (page->sleeper == 0 || page->rc != SHMQ_OK)
        return;
    struct shmqi_endpoint_shm *e = &w->live.ring.endpoints[page->sleeper - 1];
    if (atomic_load(&e->wake) == wake_before ||
        shm_word(&w->live.ring.control->armed_members) != 0 ||
        shm_word(&e->doorbell) != 0)
        broken("whoever waited was not woken (I10)");
}

void mode_s(
    struct world *w, struct tracer *t, struct trace *trace, struct pool *pool)
{
    static struct run run;
    memset(&run, 0, sizeof run);
    run.w = w;
    run.trace = trace;
    run.pool = pool;
    run.last = malloc(w->live.data_bytes + w->live.control_bytes);
    trace->cnt = trace->ready = 0;
    world_restore(w);
    page->alone = true;
    if (run.last && tracer_begin(t)) {
        uint32_t wake = 0;
        if (page->sleeper)
            wake = atomic_load(&w->live.ring.endpoints[page->sleeper - 1].wake);
        if (tracer_step(t, visit, &run)) {
            check_wake(w, wake);
            if (run.served && page->rc != SHMQ_OK)
                broken(
                    "%s, and shmqd had done it (I10)", shmq_err_name(page->rc));
            if (tracer_run_to(t, PHASE_END))
                check_run(&run);
        }
        (void)tracer_run_to(t, PHASE_IDLE);
    }
    free(run.last);
}
