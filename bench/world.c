/* world.c - parties: start, meet, watch, collect. */
#define _GNU_SOURCE
#include "world.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct lab_setup lab_setup = {.timeout_ns = 20000000000u};

struct lab_world *lab_world_get(void)
{
    static struct lab_world *world;

    if (!world) {
        void *mem = mmap(NULL, sizeof(*world), PROT_READ | PROT_WRITE,
            MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        if (mem == MAP_FAILED)
            return NULL;
        world = mem;
    }
    return world;
}

void lab_world_reset(struct lab_world *world)
{
    memset(world, 0, offsetof(struct lab_world, reports));
    for (uint32_t i = 0; i < LAB_PARTIES_MAX; i++) {
        memset(&world->reports[i], 0, offsetof(struct lab_report, hist));
        lab_hist_reset(&world->reports[i].hist);
    }
}

int lab_party_fail(struct lab_party *party, const char *what, const char *error)
{
    party->report->failed = 1;
    snprintf(party->report->error, sizeof(party->report->error), "%s: %s", what,
        error);
    return -1;
}

void lab_party_ready(struct lab_party *party)
{
    struct lab_world *world = party->world;

    atomic_fetch_add(&world->ready, 1);
    while (!atomic_load(&world->go)) {
        lab_relax();
        if (world->crowded)
            sched_yield();
        else if (atomic_load(&world->ready) < world->party_cnt)
            usleep(50);
    }
}

static void note_usage(struct lab_report *report, int who)
{
    struct rusage usage;

    if (getrusage(who, &usage))
        return;
    report->switches = (uint64_t)usage.ru_nvcsw;
    report->forced_switches = (uint64_t)usage.ru_nivcsw;
}

static void become_realtime(void)
{
    struct sched_param param = {.sched_priority = (int)lab_setup.realtime};

    if (lab_setup.realtime && sched_setscheduler(0, SCHED_FIFO, &param))
        lab_setup.realtime = 0;
}

static void *run_party(void *arg)
{
    struct lab_party *party = arg;

    party->report->cpu = lab_pin(party->idx);
    become_realtime();
    if (party->run(party) && !party->report->failed)
        lab_party_fail(party, "party", "failed");
    note_usage(party->report, RUSAGE_THREAD);
    if (party->report->failed) /* let nobody wait for it */
        atomic_store(&party->world->stop, 2);
    return NULL;
}

void lab_die_with(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it was quicker */
        _exit(1);
}

static int start_party(struct lab_party *party, uint32_t threads)
{
    pid_t lab = getpid();

    if (threads) {
        pthread_t thread;

        if (pthread_create(&thread, NULL, run_party, party))
            return -1;
        party->thread = (uint64_t)thread;
        return 0;
    }
    party->pid = fork();
    if (party->pid == 0) {
        lab_die_with(lab);
        run_party(party);
        _exit(party->report->failed);
    }
    return party->pid < 0 ? -1 : 0;
}

static void stop_all(struct lab_party *parties, uint32_t cnt)
{
    for (uint32_t i = 0; i < cnt; i++) {
        if (parties[i].pid > 0)
            kill(parties[i].pid, SIGKILL);
    }
}

int lab_world_start(struct lab_world *world, struct lab_party *parties,
    uint32_t cnt, uint32_t threads, char *error)
{
    uint64_t end_ns = lab_now_ns() + 10000000000u;

    lab_world_reset(world);
    world->party_cnt = cnt;
    world->crowded = cnt > lab_setup.cpu_cnt;
    fflush(NULL);
    for (uint32_t i = 0; i < cnt; i++) {
        parties[i].world = world;
        parties[i].report = &world->reports[i];
        parties[i].idx = i;
        if (start_party(&parties[i], threads)) {
            lab_explain(error, "fork", errno);
            stop_all(parties, i);
            return -1;
        }
    }
    while (atomic_load(&world->ready) < cnt) {
        if (atomic_load(&world->stop) == 2 || lab_now_ns() > end_ns)
            break;
        usleep(100);
    }
    return 0;
}

void lab_world_go(struct lab_world *world)
{
    world->start_ticks = lab_ticks() + lab_ns_ticks(1000000);
    atomic_store(&world->go, 1);
}

/* Sleeps until the child has ended or the time is over. Without pidfds it has
 * to look now and then, which costs the parties a little. */
static void sleep_on_child(pid_t pid, uint64_t end_ns)
{
    struct pollfd gone = {.events = POLLIN};
    uint64_t now = lab_now_ns();
    uint64_t left_ms = end_ns > now ? (end_ns - now) / 1000000 + 1 : 0;

    gone.fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (gone.fd < 0) {
        usleep(5000);
        return;
    }
    poll(&gone, 1, left_ms > 1000000 ? 1000000 : (int)left_ms);
    close(gone.fd);
}

/* Waits for one child until `end_ns`; 0 when it ended. */
static int join_child(pid_t pid, uint64_t end_ns, int *ret_status)
{
    for (;;) {
        pid_t got = waitpid(pid, ret_status, WNOHANG);

        if (got == pid)
            return 0;
        if (got < 0 && errno != EINTR)
            return -1;
        if (lab_now_ns() > end_ns)
            return -1;
        sleep_on_child(pid, end_ns);
    }
}

/* Threads cannot be killed: when time is up they are asked to give up. */
static void join_thread(struct lab_party *party, uint64_t end_ns)
{
    struct timespec until = {.tv_sec = (time_t)(end_ns / 1000000000u),
        .tv_nsec = (long)(end_ns % 1000000000u)};

    if (pthread_clockjoin_np(
            (pthread_t)party->thread, NULL, CLOCK_MONOTONIC, &until) == 0)
        return;
    atomic_store(&party->world->stop, 2);
    pthread_join((pthread_t)party->thread, NULL);
}

static int join_party(
    struct lab_party *party, uint32_t threads, uint64_t end_ns, char *error)
{
    int status = 0;

    if (threads) {
        join_thread(party, end_ns);
    } else if (join_child(party->pid, end_ns, &status)) {
        kill(party->pid, SIGKILL);
        waitpid(party->pid, &status, 0);
        snprintf(error, 192, "party %u did not end in time", party->idx);
        return -1;
    } else if (WIFSIGNALED(status)) {
        snprintf(error, 192, "party %u: %s", party->idx,
            strsignal(WTERMSIG(status)));
        return -1;
    }
    if (party->report->failed) {
        snprintf(error, 192, "%s", party->report->error);
        return -1;
    }
    if (!threads && status != 0) { /* a checker ended it, for example */
        snprintf(error, 192, "party %u ended with status %d", party->idx,
            WEXITSTATUS(status));
        return -1;
    }
    return 0;
}

int lab_world_join(struct lab_world *world, struct lab_party *parties,
    uint32_t cnt, uint32_t threads, char *error)
{
    uint64_t end_ns = lab_now_ns() + lab_setup.timeout_ns;
    int rc = 0;

    (void)world;
    for (uint32_t i = 0; i < cnt; i++) {
        char why[192] = "";

        if (join_party(&parties[i], threads, end_ns, why) == 0)
            continue;
        if (rc == 0)
            snprintf(error, 192, "%s", why);
        rc = -1;
        end_ns = lab_now_ns() + 500000000u;
    }
    return rc;
}

int lab_world_run(struct lab_world *world, struct lab_party *parties,
    uint32_t cnt, uint32_t threads, char *error)
{
    if (lab_world_start(world, parties, cnt, threads, error))
        return -1;
    lab_world_go(world);
    return lab_world_join(world, parties, cnt, threads, error);
}

int lab_world_run_loose(struct lab_world *world, struct lab_party *parties,
    uint32_t cnt, char *error)
{
    uint64_t end_ns;
    int rc;

    if (lab_world_start(world, parties, cnt, 0, error))
        return -1;
    lab_world_go(world);
    rc = join_party(&parties[0], 0, lab_now_ns() + lab_setup.timeout_ns, error);
    end_ns = lab_now_ns() + 1000000000u;
    for (uint32_t i = 1; i < cnt; i++) {
        char why[192];

        if (join_party(&parties[i], 0, end_ns, why) == 0)
            continue;
        if (rc == 0 && world->reports[i].failed) {
            snprintf(error, 192, "%s", why);
            rc = -1;
        }
    }
    return rc;
}
