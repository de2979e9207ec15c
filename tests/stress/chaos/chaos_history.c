/* chaos_history.c - the run's operations, to the history checker. */
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chaos.h"
#include "support/support.h"

void chaos_history_open(struct chaos_run *run)
{
    const struct chaos_scene *scene = run->scene;
    bool lossy = scene->on_full == SHMQ_ON_FULL_DROP_OLD;
    struct hist_config config = {.group_cnt = scene->group_cnt,
        .dense = scene->ring != SHMQ_RING_SPSC,
        .settle_ns = 2000,
        .keep_runs = 1u << 16,
        .limit_runs = 1u << 18};
    run->stream = mmap(NULL, sizeof(*run->stream), PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    T_TRUE(run->stream != MAP_FAILED);
    for (uint32_t g = 0; g < scene->group_cnt; g++)
        config.groups[g] = (struct hist_group){
            .shared = scene->groups[g].kind == SHMQ_GROUP_SHARED,
            .lossy = lossy,
            .lease_ns = scene->groups[g].lease_ns};
    fflush(NULL);
    run->checker = fork();
    T_TRUE(run->checker >= 0);
    if (run->checker == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        hist_stream_run(run->stream, &config);
        _exit(0);
    }
}

void chaos_history_close(struct chaos_run *run)
{
    const struct hist_verdict *v = &run->stream->verdict;
    atomic_store(&run->stream->close, 1);
    (void)waitpid(run->checker, NULL, 0);
    if (atomic_load(&run->stream->closed) == 0)
        chaos_complain(run, "the history checker did not come to an end");
    else if (v->fault_cnt != 0)
        chaos_complain(run, "%llu faults in the history, the first: %s",
            (unsigned long long)v->fault_cnt, v->first);
}

/* The checker waits for the stopped, and for logs of the dead that nobody has
 * waited for yet. */
static void let_it_go_on(struct chaos_run *run)
{
    for (uint32_t i = 0; i < run->slot_cnt; i++) {
        if (!run->slots[i].stopped)
            continue;
        run->slots[i].stopped = false;
        kill(run->slots[i].pid, SIGCONT);
    }
    for (uint32_t i = 0; i < HIST_LOG_CNT; i++) {
        siginfo_t info = {.si_pid = 0};
        if (run->pids[i] > 0 &&
            waitid(P_PID, (id_t)run->pids[i], &info,
                WEXITED | WNOHANG | WNOWAIT) == 0 &&
            info.si_pid == run->pids[i])
            chaos_history_dead(run, info.si_pid);
    }
}

int chaos_history_take(struct chaos_run *run)
{
    uint64_t end_ns = t_now_ns() + T_PATIENCE;
    int log;
    while ((log = hist_log_take(run->stream)) < 0) {
        let_it_go_on(run);
        t_pause();
        if (t_now_ns() > end_ns)
            T_FAIL("the history checker does not keep up");
    }
    return log;
}

void chaos_history_dead(struct chaos_run *run, pid_t pid)
{
    for (uint32_t i = 0; i < HIST_LOG_CNT; i++) {
        if (run->pids[i] != pid)
            continue;
        run->pids[i] = 0;
        hist_log_dead(run->stream, (int)i);
    }
}
