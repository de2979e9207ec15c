/* mode_w.c - how long the others wait: how many instructions their calls take
 * beside a victim that is held, stepped and counted; and how long a sleeper
 * sleeps on when its waker was killed between the publish and the wake. */
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "modes.h"

#define ASLEEP_NS 3000000
/* Instructions of a call beside a held victim: about three times what was ever
 * seen. One that makes the dead-letter topic writes all of that topic's words.
 */
#define STEPS_MOST 20000u
#define STEPS_MOST_DEAD 400000u
/* One that reads behind the ring opens segment files and checks what is there.
 */
#define STEPS_MOST_LOG 100000u
#define WAKES 3u

const char *const wait_ops[WAIT_OPS] = {"publish 64", "receive, shared",
    "producer open", "join, work", "group create, earliest"};

static struct tracer second = {0, true};

/* The second victim has a page of its own. */
static void swap_pages(void)
{
    struct page *was = page;
    page = second_page;
    second_page = was;
}

static bool count(void *ctx, const struct point *p)
{
    uint64_t *steps = ctx;
    *steps += p->where == AT_LIBRARY;
    return true;
}

static void second_begins(struct world *w, const char *op)
{
    const struct page *first = page;
    swap_pages();
    memcpy(page, first, sizeof *page);
    page->config.op = page->config.first = op_find(op);
    page->config.own = false;
    page->fill_cnt = 0;
    page->map_bytes[0] = page->map_bytes[1] = 0;
    if (second.gone)
        tracer_start(&second);
    (void)tracer_begin(&second);
    (void)w;
}

static void second_ends(void)
{
    if (!second.gone)
        (void)tracer_run_to(&second, PHASE_IDLE);
    swap_pages();
}

void mode_w_stop(void)
{
    tracer_stop(&second);
}

/* -- steps -------------------------------------------------------------------
 */

static void count_one(struct world *w, uint32_t which)
{
    uint64_t steps = 0, most = STEPS_MOST;
    _Atomic uint64_t *record = &totals->wait_steps[which];
    const char *victims = page->config.op->name;
    bool gaps = config_has(&page->config, OP_DROP_OLD);
    if (config_has(&page->config, OP_DEAD | OP_TTL_DEAD)) {
        record = &totals->wait_steps_dead;
        most = STEPS_MOST_DEAD;
    } else if (config_has(&page->config, OP_DURABLE)) {
        record = &totals->wait_steps_log;
        most = STEPS_MOST_LOG;
    }
    second_begins(w, wait_ops[which]);
    if (tracer_step(&second, count, &steps)) {
        atomic_raise(record, steps);
        if (steps > most)
            broken("beside a held victim's %s, %s took %llu instructions (I6)",
                victims, wait_ops[which], (unsigned long long)steps);
        if (page->rc != SHMQ_OK && page->rc != SHMQ_ERR_FULL &&
            page->rc != SHMQ_ERR_EMPTY && page->rc != SHMQ_ERR_BUSY &&
            page->rc != SHMQ_ERR_EXISTS && page->rc != SHMQ_ERR_NOENT &&
            !(page->rc == SHMQ_ERR_GAP && gaps))
            broken("beside a held victim's %s, %s returned %s (I6)", victims,
                wait_ops[which], shmq_err_name(page->rc));
    }
    second_ends();
}

void mode_w(
    struct world *w, struct tracer *t, const struct trace *trace, uint32_t cnt)
{
    static uint32_t turn;
    bool spsc = w->config.ring == SHMQ_RING_SPSC;
    for (uint32_t k = 0; k < cnt && cnt <= trace->cnt && !t->gone; k++) {
        uint32_t i = point_of(trace, k, cnt, HELD), from = spsc ? 2 : 0;
        scene.rip = trace->at[i].rip;
        scene.nth = trace->at[i].nth;
        alive();
        world_restore(w);
        if (!tracer_begin(t))
            return;
        if (tracer_goto(t, scene.rip, trace->at[i].times))
            count_one(w, from + turn++ % (WAIT_OPS - from));
        (void)tracer_run_to(t, PHASE_IDLE);
    }
}

/* -- wake-ups
 * ------------------------------------------------------------------- */

/* A victim is killed at point `i`, behind its publish, while another sleeps.
 * The sleeper must have the record within its bounded sleep. */
static void wake_one(struct world *w, const struct trace *trace, uint32_t i)
{
    struct tracer t = {0, true};
    int status;
    scene.rip = trace->at[i].rip;
    scene.nth = trace->at[i].nth;
    world_restore(w);
    second_begins(w, "sleep");
    (void)ptrace(PTRACE_CONT, second.pid, NULL, NULL);
    while (shm_word(&w->live.ring.control->armed_members) == 0)
        real_pause(100000);
    real_pause(ASLEEP_NS);
    swap_pages();
    tracer_start(&t);
    bool met =
        tracer_begin(&t) && tracer_goto(&t, scene.rip, trace->at[i].times);
    uint64_t start = real_ns();
    tracer_stop(&t);
    swap_pages();
    if (!met)
        broken("the point behind the publish was not met");
    if (waitpid(second.pid, &status, __WALL) != second.pid ||
        !WIFSTOPPED(status) || page->phase != PHASE_END)
        broken("the sleeper did not come back (I10)");
    span_note(&totals->wakes, real_ns() - start);
    if (page->rc != SHMQ_OK)
        broken("the sleeper got %s (I10)", shmq_err_name(page->rc));
    second_ends();
}

void mode_wake(struct world *w, const struct trace *trace)
{
    uint32_t first = 0, last = trace->cnt;
    if (last == 0)
        return;
    while (trace->at[first].verdict != trace->at[last - 1].verdict)
        first++;
    if (first == 0)
        return; /* nothing was published */
    for (uint32_t k = 0; k < WAKES; k++)
        wake_one(w, trace, first + k * (last - first - 1) / WAKES);
}
