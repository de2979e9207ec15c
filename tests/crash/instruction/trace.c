/* trace.c - single steps through one operation of a forked child.
 *
 * Instructions of the library are stepped one by one. What it calls outside
 * runs at full speed up to its return, with a stop before and behind each
 * system call; bulk copies into shared memory, and functions that call back
 * into the library, are stepped, too. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proof.h"

#define PLT_STEPS 3
#define TRAP_SYSCALL (SIGTRAP | 0x80)

typedef bool visit_fn(void *ctx, const struct point *point);

struct run {
    struct tracer *t;
    visit_fn *visit;
    void *ctx;
    struct user_regs_struct regs;
    uint32_t nth, in_copy;
    bool stay; /* visit said stop here */
};

/* How often each instruction of the library was reached in this run. */
static uint32_t *reached;
static uint32_t reached_run, *reached_in;

static uint32_t times_reached(uint64_t rip)
{
    size_t bytes = (size_t)(library_end - library_begin);
    if (!reached) {
        reached = calloc(bytes, sizeof *reached);
        reached_in = calloc(bytes, sizeof *reached_in);
        if (!reached || !reached_in)
            abort();
    }
    size_t at = (size_t)(rip - (uint64_t)library_begin);
    if (reached_in[at] != reached_run) {
        reached_in[at] = reached_run;
        reached[at] = 0;
    }
    return ++reached[at];
}

/* -- the victim as a process --------------------------------------------------
 */

static void died(struct tracer *t, int status)
{
    t->gone = true;
    if (WIFSIGNALED(status))
        broken("the victim died of signal %d", WTERMSIG(status));
    else
        broken("the victim ended with status %d", WEXITSTATUS(status));
}

/* Waits for the next stop and gives its signal; 0 when the victim is gone. */
static int stopped(struct tracer *t)
{
    int status = 0;
    while (waitpid(t->pid, &status, __WALL) < 0)
        if (errno != EINTR)
            abort();
    if (!WIFSTOPPED(status)) {
        died(t, status);
        return 0;
    }
    int sig = WSTOPSIG(status);
    if (sig == SIGTRAP || sig == TRAP_SYSCALL)
        return sig;
    struct user_regs_struct regs;
    (void)ptrace(PTRACE_GETREGS, t->pid, NULL, &regs);
    broken("the victim got signal %d at %p", sig, (void *)regs.rip);
    (void)kill(t->pid, SIGKILL);
    while (waitpid(t->pid, &status, __WALL) > 0 && WIFSTOPPED(status))
        ;
    t->gone = true;
    return 0;
}

void tracer_start(struct tracer *t)
{
    int status = 0;
    page->phase = PHASE_IDLE;
    page->command = CMD_NONE;
    t->gone = false;
    t->pid = victim_start();
    if (waitpid(t->pid, &status, __WALL) != t->pid || !WIFSTOPPED(status) ||
        ptrace(PTRACE_SETOPTIONS, t->pid, NULL,
            PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) != 0) {
        perror("cannot trace a child");
        exit(77);
    }
    if (!tracer_run_to(t, PHASE_IDLE))
        exit(1);
}

void tracer_stop(struct tracer *t)
{
    int status;
    if (t->gone)
        return;
    (void)kill(t->pid, SIGKILL);
    while (waitpid(t->pid, &status, __WALL) == t->pid && WIFSTOPPED(status))
        ;
    t->gone = true;
}

static int go_on(struct tracer *t, enum __ptrace_request how)
{
    if (t->gone || ptrace(how, t->pid, NULL, NULL) != 0)
        return 0;
    return stopped(t);
}

bool tracer_run_to(struct tracer *t, enum phase phase)
{
    while (go_on(t, PTRACE_CONT) != 0)
        if (page->phase == phase)
            return true;
    return false;
}

bool tracer_begin(struct tracer *t)
{
    page->command = CMD_RUN;
    reached_run++;
    return tracer_run_to(t, PHASE_BEGIN);
}

/* -- breakpoints
 * ----------------------------------------------------------------- */

static long text(struct tracer *t, uint64_t at)
{
    return ptrace(PTRACE_PEEKTEXT, t->pid, at, NULL);
}

static void patch(struct tracer *t, uint64_t at, long word)
{
    (void)ptrace(PTRACE_POKETEXT, t->pid, at, word);
}

/* Runs to `at` with `how`; SIGTRAP there, TRAP_SYSCALL on the way, 0: gone. A
 * trap elsewhere (the end of the operation) gives -1. */
static int run_to(
    struct run *r, uint64_t at, enum __ptrace_request how, long word)
{
    patch(r->t, at, (word & ~0xffl) | 0xcc);
    int sig = go_on(r->t, how);
    if (sig == 0)
        return 0;
    patch(r->t, at, word);
    (void)ptrace(PTRACE_GETREGS, r->t->pid, NULL, &r->regs);
    if (sig != SIGTRAP)
        return sig;
    if (r->regs.rip != at + 1)
        return -1;
    r->regs.rip = at;
    (void)ptrace(PTRACE_SETREGS, r->t->pid, NULL, &r->regs);
    return SIGTRAP;
}

bool tracer_goto(struct tracer *t, uint64_t rip, uint32_t times)
{
    struct run r = {.t = t};
    long word = text(t, rip);
    for (uint32_t i = 0; i < times; i++) {
        if (i > 0 && go_on(t, PTRACE_SINGLESTEP) == 0)
            return false;
        if (run_to(&r, rip, PTRACE_CONT, word) != SIGTRAP)
            return false;
    }
    return true;
}

/* -- stepping
 * -------------------------------------------------------------------- */

static bool at(struct run *r, enum where where)
{
    struct point p = {where, r->regs.rip, r->nth++, 0, r->in_copy};
    if (where == AT_LIBRARY)
        p.times = times_reached(p.rip);
    r->stay = !r->visit(r->ctx, &p);
    return !r->stay;
}

static bool step(struct run *r)
{
    if (go_on(r->t, PTRACE_SINGLESTEP) == 0)
        return false;
    (void)ptrace(PTRACE_GETREGS, r->t->pid, NULL, &r->regs);
    return true;
}

static bool shared_memory(uint64_t at)
{
    for (int i = 0; i < 2; i++)
        if (at - (uint64_t)page->map[i] < page->map_bytes[i])
            return true;
    return false;
}

/* Steps until the called function returns. */
static bool step_through(struct run *r, uint64_t back, uint64_t sp)
{
    r->in_copy = 0;
    while (r->regs.rip != back || r->regs.rsp <= sp) {
        if (in_library(r->regs.rip)) {
            if (!at(r, AT_LIBRARY))
                return false;
        } else if (shared_memory(r->regs.rdi) || r->in_copy) {
            r->in_copy++;
            if (!at(r, AT_COPY))
                return false;
        }
        if (!step(r))
            return false;
    }
    return true;
}

/* Runs the called function; its system calls are points. */
static bool run_through(struct run *r, uint64_t back)
{
    long word = text(r->t, back);
    for (;;) {
        int sig = run_to(r, back, PTRACE_SYSCALL, word);
        if (sig == SIGTRAP)
            return true;
        if (sig != TRAP_SYSCALL || !at(r, AT_SYSCALL))
            return false;
    }
}

bool tracer_callbacks = true;

static bool has_callback(uint64_t rip)
{
    return tracer_callbacks && rip == (uint64_t)(uintptr_t)&qsort;
}

static bool is_copy(uint64_t rip)
{
    return rip == (uint64_t)(uintptr_t)&memcpy ||
        rip == (uint64_t)(uintptr_t)&memmove ||
        rip == (uint64_t)(uintptr_t)&memset;
}

/* The library has called something outside. */
static bool outside(struct run *r)
{
    uint64_t sp = r->regs.rsp;
    uint64_t back = (uint64_t)ptrace(PTRACE_PEEKDATA, r->t->pid, sp, NULL);
    for (int i = 0;
         i < PLT_STEPS && !has_callback(r->regs.rip) && !is_copy(r->regs.rip);
         i++)
        if (!step(r))
            return false;
    if (r->regs.rsp > sp) /* has returned already */
        return true;
    if (has_callback(r->regs.rip) ||
        (is_copy(r->regs.rip) && shared_memory(r->regs.rdi)))
        return step_through(r, back, sp);
    return run_through(r, back);
}

bool tracer_one(struct tracer *t, uint64_t *ret_rip)
{
    struct run r = {.t = t};
    if (!step(&r))
        return false;
    *ret_rip = r.regs.rip;
    return true;
}

bool tracer_step(struct tracer *t, visit_fn *visit, void *ctx)
{
    struct run r = {.t = t, .visit = visit, .ctx = ctx};
    bool inside = false;
    (void)ptrace(PTRACE_GETREGS, t->pid, NULL, &r.regs);
    for (;;) {
        uint64_t sp = r.regs.rsp;
        if (!step(&r))
            return false;
        if (page->phase == PHASE_END)
            break;
        /* Behind a return the caller goes on, else somebody was called. */
        if (inside && !in_library(r.regs.rip) && r.regs.rsp <= sp &&
            !outside(&r))
            return r.stay;
        inside = in_library(r.regs.rip);
        if (inside && !at(&r, AT_LIBRARY))
            return true;
    }
    (void)at(&r, AT_END);
    return tracer_run_to(t, PHASE_END);
}
