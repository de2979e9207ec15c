/* mode_f.c - making and removing topics: the files themselves are the state.
 *
 * At each point the files that have names are copied to another namespace and
 * judged there (made.c): the topic opens and works, or it can be made; then it
 * is removed and nothing is left. Killed and held victims likewise. */
#include <string.h>

#include "made.h"

struct run {
    struct world *w;
    struct trace *trace;
    struct files_state last;
    bool judged, exists;
    uint32_t flips;
    uint64_t before_rip;
};

/* -- stepping -----------------------------------------------------------------
 */

static bool visit(void *ctx, const struct point *p)
{
    struct run *r = ctx;
    struct files_state now = made_look(r->w->ns);
    scene.nth = p->nth;
    scene.rip = r->before_rip;
    atomic_fetch_add(recovering() ? &totals->reap_points : &totals->points, 1);
    if (p->where == AT_LIBRARY)
        mark(STEPPED, p->rip);
    if (!r->judged || memcmp(&now, &r->last, sizeof now) != 0) {
        made_copy(r->w);
        struct left *kept = left_keep(r->w);
        bool exists = made_judge(r->w->copy_ns);
        if (kept)
            kept->exists = exists;
        r->flips += r->judged && exists != r->exists;
        r->exists = exists;
        r->judged = true;
        r->last = now;
    }
    if (p->where == AT_LIBRARY && r->trace->cnt < TRACE_MAX) {
        uint32_t i = r->trace->cnt++;
        r->trace->at[i].rip = p->rip;
        r->trace->at[i].times = p->times;
        r->trace->at[i].nth = p->nth;
        r->trace->at[i].verdict = r->exists;
    }
    r->before_rip = p->rip;
    return true;
}

/* The state before: the topic is there for unlink, not for create; in mode R,
 * what somebody left who was killed. */
static const struct left *begin_with;

static void prepare(struct world *w)
{
    struct shmq_topic_attrs a = made_attrs();
    alive();
    world_restore(w);
    (void)shmq_topic_unlink(w->ns, MADE, SHMQ_UNLINK_FORCE);
    if (begin_with)
        left_put_back(w, begin_with);
    else if (page->config.op->arg != 0 &&
        shmq_topic_create(w->ns, MADE, &a) != SHMQ_OK)
        broken("create: %s", shmq_error_text());
}

/* A removal that somebody has begun: the topic is gone, its files are not.
 * Finishing it may count as removing it. */
static bool half_removed(void)
{
    return page->config.op->arg != 0 && begin_with && !begin_with->exists &&
        (begin_with->there[0] || begin_with->there[1]);
}

/* What the operation gives where it begins, and how often that appears. */
static bool result_is_right(uint32_t flips)
{
    bool removes = page->config.op->arg != 0;
    bool there = begin_with ? begin_with->exists : removes;
    int want = removes == there ? SHMQ_OK
        : removes               ? SHMQ_ERR_NOENT
                                : SHMQ_ERR_EXISTS;
    if (removes && want != SHMQ_OK && made_leftovers(scene.world->ns) != 0)
        broken("%u files are left (I9)", made_leftovers(scene.world->ns));
    if (half_removed())
        return (page->rc == want || page->rc == SHMQ_OK) && flips == 0;
    return page->rc == want && flips == (want == SHMQ_OK ? 1 : 0);
}

static void step_all(struct world *w, struct tracer *t, struct trace *trace)
{
    static struct run r;
    memset(&r, 0, sizeof r);
    r.w = w;
    r.trace = trace;
    trace->cnt = 0;
    prepare(w);
    if (tracer_begin(t) && tracer_step(t, visit, &r)) {
        if (!result_is_right(r.flips))
            broken("%s: its effect appears at %u instructions",
                shmq_err_name(page->rc), r.flips);
        else if (!recovering())
            atomic_fetch_add(&totals->flips, 1);
    }
    (void)tracer_run_to(t, PHASE_IDLE);
}

/* -- held, killed
 * ---------------------------------------------------------------- */

/* Opening is never held up; making and removing wait for the namespace's lock
 * and then say BUSY. */
static void hold(
    struct world *w, struct tracer *t, const struct trace *trace, uint32_t i)
{
    struct shmq_topic *topic = NULL;
    struct shmq_topic_attrs a = made_attrs();
    prepare(w);
    if (!tracer_begin(t) ||
        !tracer_goto(t, trace->at[i].rip, trace->at[i].times)) {
        atomic_fetch_add(&totals->missed, 1);
        (void)tracer_run_to(t, PHASE_IDLE);
        return;
    }
    mark(HELD, trace->at[i].rip);
    uint64_t start = real_ns();
    int rc = shmq_topic_open(w->ns, MADE, &topic);
    span_note(&totals->waits, real_ns() - start);
    if ((rc == SHMQ_OK) != (trace->at[i].verdict != 0))
        broken("open beside a stopped victim: %s (I6)", shmq_err_name(rc));
    shmq_topic_close(topic);
    rc = page->config.op->arg ? shmq_topic_unlink(w->ns, MADE, 0)
                              : shmq_topic_create(w->ns, MADE, &a);
    bool did = rc == SHMQ_OK;
    if (!did && rc != SHMQ_ERR_BUSY && rc != SHMQ_ERR_EXISTS &&
        rc != SHMQ_ERR_NOENT)
        broken("another: %s (I6)", shmq_error_text());
    (void)tracer_run_to(t, PHASE_IDLE);
    /* Exactly one of the two has done it, if it was to be done. */
    bool removes = page->config.op->arg != 0;
    bool to_do = !begin_with || begin_with->exists == removes;
    if (!half_removed() &&
        (to_do ? (page->rc == SHMQ_OK) == did : page->rc == SHMQ_OK || did))
        broken("both, or none: %s (I8)", shmq_err_name(page->rc));
    if (made_judge(w->ns) == (page->config.op->arg != 0))
        broken("afterwards the topic is %s there",
            page->config.op->arg ? "still" : "not");
    atomic_fetch_add(
        recovering() ? &totals->reap_resumes : &totals->resumes, 1);
}

static void kill_one(struct world *w, const struct trace *trace, uint32_t i)
{
    struct tracer t = {0, true};
    prepare(w);
    tracer_start(&t);
    bool met = tracer_begin(&t) &&
        tracer_goto(&t, trace->at[i].rip, trace->at[i].times);
    tracer_stop(&t);
    if (!met) {
        atomic_fetch_add(&totals->missed, 1);
        return;
    }
    mark(KILLED, trace->at[i].rip);
    if (made_judge(w->ns) != (trace->at[i].verdict != 0))
        broken("killed for real it left something else than stopped");
    atomic_fetch_add(recovering() ? &totals->reap_kills : &totals->kills, 1);
}

static void all_modes(struct world *w, struct tracer *t, struct trace *trace,
    const char *modes, uint32_t resumes, uint32_t kills)
{
    bool again = recovering();
    scene.mode = again ? "RS" : "S";
    step_all(w, t, trace);
    if (!again && !t->gone)
        coverage_run(w, t, prepare);
    scene.mode = again ? "RZ" : "Z";
    for (uint32_t k = 0; strchr(modes, 'Z') && k < resumes && trace->cnt; k++) {
        uint32_t i = point_of(trace, k, resumes, HELD);
        scene.rip = trace->at[i].rip;
        scene.nth = trace->at[i].nth;
        hold(w, t, trace, i);
    }
    scene.mode = again ? "RK" : "K";
    for (uint32_t k = 0; strchr(modes, 'K') && k < kills && trace->cnt; k++) {
        uint32_t i = point_of(trace, k, kills, KILLED);
        scene.rip = trace->at[i].rip;
        scene.nth = trace->at[i].nth;
        kill_one(w, trace, i);
    }
}

/* Making and removing, and then both of them on what each of their instructions
 * leaves. */
void mode_f(struct world *w, struct tracer *t, struct trace *trace,
    const char *modes, uint32_t resumes, uint32_t kills)
{
    static const char *const recoveries[] = {"topic create", "topic unlink"};
    left_forget();
    begin_with = NULL;
    scene.mode = "S";
    all_modes(w, t, trace, modes, resumes, kills);
    for (uint32_t k = 0; strchr(modes, 'R') && k < 2 * left_cnt(); k++) {
        begin_with = left_at(k / 2);
        w->config.op = op_find(recoveries[k % 2]);
        page->config = w->config;
        atomic_fetch_add(&totals->states, k % 2 == 0);
        scene.mode = "R";
        all_modes(w, t, trace, modes, resumes / 4, kills / 4);
    }
    begin_with = NULL;
    (void)shmq_topic_unlink(w->ns, MADE, SHMQ_UNLINK_FORCE);
}
