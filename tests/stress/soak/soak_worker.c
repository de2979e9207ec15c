/* soak_worker.c - a process of the crew: what producers and readers share. It
 * is started anew by exec, so it holds nothing of its parent but the
 * descriptor of the shared memory. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "stress/soak/soak.h"
#include "support/support.h"

void soak_complain(struct soak_area *area, const char *format, ...)
{
    char text[sizeof(area->complaint)];
    va_list args;
    if (atomic_fetch_add(&area->complaints, 1) != 0)
        return;
    int len = snprintf(text, sizeof(text), "pid %d: ", (int)getpid());
    va_start(args, format);
    vsnprintf(text + len, sizeof(text) - (size_t)len, format, args);
    va_end(args);
    memcpy(area->complaint, text, sizeof(text));
}

bool soak_sabotage_now(struct soak_worker *w, enum soak_sabotage what)
{
    /* Refused acks are rare, and so are calls to publish. */
    uint64_t once_in = what == SOAK_STALE ? 1
        : what == SOAK_PHANTOM            ? 200
                                          : 20000;
    return w->area->sabotage == (uint32_t)what &&
        t_below(&w->random, once_in) == 0;
}

static uint64_t later(struct soak_worker *w, uint64_t mean_ns)
{
    return hist_now_ns() + mean_ns / 4 + t_below(&w->random, 2 * mean_ns);
}

/* The child must not be able to use its parent's handles. It lives on for a
 * while, perhaps longer than its parent, with all that it inherited. */
static void fork_child(
    struct soak_worker *w, struct shmq_producer *p, struct shmq_consumer *c)
{
    struct shmq_message msg;
    int rc = p != NULL ? shmq_producer_publish(p, "x", 1, NULL)
                       : shmq_consumer_receive(c, &msg);
    if (rc != SHMQ_ERR_FORKED) {
        atomic_fetch_add(&w->area->fork_fails, 1);
        soak_complain(
            w->area, "a fork child's call returned %s", shmq_err_name(rc));
    }
    t_sleep_ns(t_below(&w->random, 30 * T_MS));
    _exit(0);
}

bool soak_worker_turn(
    struct soak_worker *w, struct shmq_producer *p, struct shmq_consumer *c)
{
    uint64_t now_ns = hist_now_ns();
    if (atomic_load(&w->area->finish) != 0)
        return false;
    if (now_ns > w->fork_ns) {
        w->fork_ns = later(w, 1000 * T_MS);
        atomic_fetch_add(&w->area->forks, 1);
        (void)t_random(&w->random);
        if (fork() == 0)
            fork_child(w, p, c);
    }
    return now_ns > w->exec_ns;
}

void soak_worker_exec(struct soak_worker *w)
{
    atomic_fetch_add(&w->area->execs, 1);
    (void)execv("/proc/self/exe", w->argv);
    soak_complain(w->area, "exec: %s", strerror(errno));
    _exit(1);
}

/* --worker FD LOG ROLE: ROLE is p, or the number of a group. */
int soak_worker_main(int argc, char **argv)
{
    struct soak_worker w = {.argv = argv};
    if (argc != 5)
        return 2;
    int fd = atoi(argv[2]);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)signal(SIGCHLD, SIG_IGN); /* fork children collect themselves */
    w.area =
        mmap(NULL, sizeof(*w.area), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (w.area == MAP_FAILED)
        return 1;
    w.scene = &soak_scenes[w.area->scene];
    w.log = &w.area->stream.logs[atoi(argv[3])];
    struct hist_op born = {.kind = HIST_NOTHING};
    hist_log_note(w.log, &born);
    w.random = w.area->seed ^ hist_now_ns() ^ (uint64_t)getpid() << 40;
    w.exec_ns = later(&w, 4000 * T_MS);
    w.fork_ns = later(&w, 1000 * T_MS);
    t_is_child = true;
    int rc = shmq_topic_open(w.area->ns, "soak", &w.topic);
    if (rc == 0)
        rc = argv[4][0] == 'p' ? soak_producer(&w)
                               : soak_reader(&w, (uint32_t)atoi(argv[4]));
    if (rc != 0) {
        soak_complain(w.area, "%s %s: %s: %s",
            argv[4][0] == 'p' ? "producer" : "reader of group", argv[4],
            shmq_err_name(rc), shmq_error_text());
        return 1;
    }
    shmq_topic_close(w.topic);
    return 0;
}
