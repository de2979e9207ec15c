/* x_sched.c - coroutines, and who goes on when.
 *
 * Three strategies, drawn by the seed: a random walk (after a few steps
 * somebody else), few preemptions (at most three, at random steps; otherwise a
 * thread runs until it waits), and random priorities with three changes (PCT).
 *
 * A coroutine is entered once; after that it is begun anew by jumping to the
 * bottom of its stack, which is never left. So neither switching nor
 * abandoning one makes a system call. */
#undef _FORTIFY_SOURCE /* its longjmp() takes another stack for a mistake */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "explore.h"

#define STACK_BYTES (96u << 10)
#define RUN_STEPS 60000u
/* Against an adversary that makes every compare-and-swap fail. */
#define FETCH_STEPS 300000u

struct x_run x_run;
struct x_thread x_threads[X_THREADS];
struct x_thread *x_me;

static uint8_t *stacks;
static jmp_buf main_context;
static ucontext_t main_once, thread_once[X_THREADS];
static uint32_t entering;

/* -- chance --------------------------------------------------------------- */

uint64_t x_random(void)
{
    uint64_t x = x_run.rng;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    x_run.rng = x;
    return x * 0x2545f4914f6cdd1dull;
}

uint64_t x_below(uint64_t limit)
{
    return limit ? (uint64_t)(((x_random() >> 32) * limit) >> 32) : 0;
}

/* -- coroutines ----------------------------------------------------------- */

static __attribute__((noreturn)) void to_main(int value)
{
    _longjmp(main_context, value);
}

static __attribute__((noreturn)) void go(struct x_thread *t)
{
    x_me = t;
    if (t->fresh) {
        t->fresh = false;
        _longjmp(t->start, 1);
    }
    _longjmp(t->context, 1);
}

/* The bottom of a coroutine's stack. */
static void bottom(void)
{
    struct x_thread *volatile t = &x_threads[entering];
    if (_setjmp(t->start) == 0) {
        (void)swapcontext(&thread_once[t->who], &main_once);
        abort(); /* from then on entered by longjmp only */
    }
    if (t->who == 0)
        x_run.scenario->end();
    else
        x_run.scenario->thread(t->who);
    t->state = X_OVER;
    if (t->who == 0)
        to_main(1);
    x_schedule();
    abort();
}

void x_sched_init(void)
{
    stacks = malloc(X_THREADS * STACK_BYTES);
    if (!stacks)
        abort();
    for (uint32_t i = 0; i < X_THREADS; i++) {
        ucontext_t *u = &thread_once[i];
        x_threads[i].who = i;
        (void)getcontext(u);
        u->uc_stack.ss_sp = stacks + i * STACK_BYTES;
        u->uc_stack.ss_size = STACK_BYTES;
        u->uc_link = NULL;
        makecontext(u, bottom, 0);
        entering = i;
        (void)swapcontext(&main_once, u);
    }
}

static __attribute__((noreturn, format(printf, 1, 0))) void fail(
    const char *fmt, va_list ap)
{
    x_run.failed = true;
    int n = snprintf(
        x_run.why, sizeof x_run.why, "thread %u: ", x_me ? x_me->who : 0);
    (void)vsnprintf(x_run.why + n, sizeof x_run.why - (size_t)n, fmt, ap);
    if (x_run.direct) {
        (void)fprintf(
            stderr, "%s: begin: %s\n", x_run.scenario->name, x_run.why);
        exit(1);
    }
    to_main(2);
}

void x_fail(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fail(fmt, ap);
}

void x_danger(const char *fmt, ...)
{
    va_list ap;
    x_run.danger = true;
    va_start(ap, fmt);
    fail(fmt, ap);
}
/* -- choosing ------------------------------------------------------------- */

static bool can_run(struct x_thread *t)
{
    if (t->state == X_STOPPED && x_run.steps >= t->resume_at) {
        t->state = X_READY;
        x_trace_note("thread %u goes on", t->who);
    } else if (t->state == X_IDLE && t->idle_mark != x_run.stores) {
        t->state = X_READY;
        t->told = true;
    }
    return t->state == X_READY;
}

static uint32_t list(enum x_state state, uint8_t ret[X_THREADS])
{
    uint32_t n = 0;
    for (uint32_t i = 1; i <= x_run.scenario->threads; i++)
        if (state == X_READY ? can_run(&x_threads[i])
                             : x_threads[i].state == state)
            ret[n++] = (uint8_t)i;
    return n;
}

static void time_out(struct x_thread *t)
{
    if (t->wake_at > x_run.now)
        x_run.now = t->wake_at;
    t->state = X_READY;
    t->woken = false;
    t->settled = x_run.pushed;
    x_run.timeouts++;
    t->timeouts++;
    x_trace_note("thread %u: its sleep is over", t->who);
}

/* Nobody can run: what then goes on is time, or those who wait for more give
 * up, or those who were stopped come back. */
static struct x_thread *wake_somebody(void)
{
    uint8_t idle[X_THREADS], asleep[X_THREADS];
    uint32_t idles = list(X_IDLE, idle), sleepers = list(X_ASLEEP, asleep);
    if (sleepers && (!idles || x_below(2))) {
        struct x_thread *first = &x_threads[asleep[0]];
        for (uint32_t i = 1; i < sleepers; i++)
            if (x_threads[asleep[i]].wake_at < first->wake_at)
                first = &x_threads[asleep[i]];
        time_out(first);
        return first;
    }
    if (idles) {
        struct x_thread *t = &x_threads[idle[x_below(idles)]];
        t->state = X_READY;
        t->told = false;
        return t;
    }
    for (uint32_t i = 1; i <= x_run.scenario->threads; i++) {
        struct x_thread *t = &x_threads[i];
        if (t->state == X_STOPPED && t->doom == X_DOOM_LATE) {
            t->state = X_READY;
            x_trace_note("thread %u goes on at last", t->who);
            return t;
        }
    }
    return NULL;
}

static struct x_thread *pick(bool other)
{
    uint8_t ready[X_THREADS];
    uint32_t n = list(X_READY, ready);
    if (n == 0)
        return wake_somebody();
    if (x_run.strategy == X_PCT) {
        struct x_thread *best = &x_threads[ready[0]];
        for (uint32_t i = 1; i < n; i++)
            if (x_threads[ready[i]].priority > best->priority)
                best = &x_threads[ready[i]];
        return best;
    }
    struct x_thread *t = &x_threads[ready[x_below(n)]];
    if (other && t == x_me && n > 1)
        t = &x_threads[ready[x_below(n)]];
    return t;
}

static void switch_to(struct x_thread *t)
{
    if (t == x_me && !t->fresh)
        return;
    if (x_me->state == X_KILLED || x_me->state == X_OVER)
        go(t);
    if (_setjmp(x_me->context) == 0)
        go(t);
}

void x_schedule(void)
{
    struct x_thread *t = pick(false);
    if (!t)
        to_main(1);
    switch_to(t);
}

static void next_point(void)
{
    if (x_run.strategy == X_WALK)
        x_run.switch_at =
            x_run.steps + 1 + (uint32_t)x_below(2 * x_run.quantum);
    else
        x_run.switch_at =
            x_run.point < 3 ? x_run.points[x_run.point++] : UINT32_MAX;
}

static __attribute__((noinline)) void preempt(void)
{
    next_point();
    if (x_run.strategy == X_PCT)
        x_me->priority = 3 - x_run.point;
    struct x_thread *t = pick(true);
    if (t)
        switch_to(t);
}

static __attribute__((noinline)) void meet_doom(struct x_thread *t)
{
    x_run.doomed++;
    if (t->doom == X_DOOM_KILL) {
        t->state = X_KILLED;
        x_world_died(t->who);
        x_trace_note("thread %u is killed here", t->who);
        x_run.stores++; /* others may look again */
    } else {
        t->state = X_STOPPED;
        x_trace_note("thread %u is stopped here", t->who);
    }
    x_schedule();
}

void x_step(void)
{
    struct x_thread *t = x_me;
    t->steps++;
    if (__builtin_expect(t->steps > t->call_end, 0))
        x_danger("a call makes more than %u accesses", X_STEPS);
    if (!x_run.running)
        return;
    if (__builtin_expect(++x_run.steps > RUN_STEPS, 0) &&
        (!x_fetching || x_run.steps > 2 * FETCH_STEPS))
        x_fail("the run does not come to an end");
    if (__builtin_expect(t->steps == t->doom_at, 0))
        meet_doom(t);
    if (__builtin_expect(x_run.steps >= x_run.switch_at, 0))
        preempt();
}

bool x_idle(void)
{
    if (!x_run.running)
        return false;
    x_me->state = X_IDLE;
    x_me->idle_mark = x_run.stores;
    x_me->told = false;
    x_schedule();
    return x_me->told;
}

void x_yield(void)
{
    if (x_run.running)
        preempt();
}

/* -- phases --------------------------------------------------------------- */

static bool run_from(struct x_thread *t)
{
    int how = _setjmp(main_context);
    if (how == 0)
        go(t);
    return how == 1;
}

bool x_run_threads(void)
{
    x_run.running = true;
    next_point();
    struct x_thread *t = pick(false);
    bool good = run_from(t);
    x_run.running = false;
    return good;
}

bool x_run_end(void)
{
    struct x_thread *t = &x_threads[0];
    for (uint32_t i = 1; i <= x_run.scenario->threads; i++)
        if (x_threads[i].state != X_STOPPED)
            x_memory_join(t, &x_threads[i]);
    t->fresh = true;
    t->state = X_READY;
    return run_from(t);
}

void x_call(uint32_t steps)
{
    x_me->call_end = x_me->steps + (x_fetching ? FETCH_STEPS : steps);
    x_me->call++;
}

void x_as(uint32_t who)
{
    x_me = &x_threads[who];
}

uint32_t x_who(void)
{
    return x_me->who;
}

void x_advance(uint64_t ns)
{
    x_run.now += ns;
}

bool x_was_killed(uint32_t who)
{
    return x_threads[who].state == X_KILLED;
}

bool x_was_stopped(uint32_t who)
{
    return x_threads[who].state == X_STOPPED;
}

bool x_anybody_doomed(void)
{
    return x_run.doomed != 0;
}

uint32_t x_timeouts_of(uint32_t who)
{
    return x_threads[who].timeouts;
}

uint32_t x_timeouts(void)
{
    return x_run.timeouts;
}

void x_kill(uint32_t who)
{
    x_threads[who].state = X_KILLED;
    x_world_died(who);
    x_trace_note("thread %u is killed where it stands", who);
}
