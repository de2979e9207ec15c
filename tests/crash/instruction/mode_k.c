/* mode_k.c - real SIGKILLs, with the kernel's own clean-up. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "modes.h"

/* Doorbells of the dead. */
static uint32_t doorbells(const char *ns)
{
    char prefix[64];
    uint32_t cnt = 0;
    DIR *dir = opendir("/dev/shm");
    int n = snprintf(prefix, sizeof prefix, "shmq.%s.b.", ns);
    for (struct dirent *e; dir && (e = readdir(dir));)
        cnt += strncmp(e->d_name, prefix, (size_t)n) == 0;
    if (dir)
        (void)closedir(dir);
    return cnt;
}

/* Kills; the process stays a zombie, as when its parent does not wait. */
static void kill_it(const struct tracer *t)
{
    siginfo_t info;
    uint64_t start = real_ns();
    (void)kill(t->pid, SIGKILL);
    do
        memset(&info, 0, sizeof info);
    while (waitid(P_PID, (id_t)t->pid, &info, WEXITED | WNOWAIT) == 0 &&
        info.si_pid != t->pid);
    span_note(&totals->proofs, real_ns() - start);
}

static bool kill_at(
    struct world *w, const struct trace *trace, uint32_t i, bool zombie)
{
    struct tracer t = {0, true};
    struct verdict v;
    scene.rip = trace->at[i].rip;
    scene.nth = trace->at[i].nth;
    alive();
    world_restore(w);
    tracer_start(&t);
    bool met =
        tracer_begin(&t) && tracer_goto(&t, scene.rip, trace->at[i].times);
    if (met && zombie)
        kill_it(&t);
    if (!zombie || !met)
        tracer_stop(&t);
    if (met) {
        mark(KILLED, scene.rip);
        judge(w, true, &v);
        verdict_trim(&v);
        if (verdict_hash(&v) != trace->at[i].verdict)
            broken("killed for real it left something else than stopped");
        if (doorbells(w->ns) != 0)
            broken("a dead reader's doorbell is left (I9)");
    }
    tracer_stop(&t);
    return met;
}

void mode_k(struct world *w, const struct trace *trace, uint32_t cnt)
{
    if (cnt > trace->cnt)
        cnt = trace->cnt;
    for (uint32_t k = 0; k < cnt; k++)
        if (kill_at(w, trace, point_of(trace, k, cnt, KILLED), (k & 1) == 0))
            atomic_fetch_add(
                recovering() ? &totals->reap_kills : &totals->kills, 1);
        else
            atomic_fetch_add(&totals->missed, 1);
}
