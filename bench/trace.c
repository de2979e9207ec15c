/* trace.c - counts the system calls of parties with ptrace(2). */
#define _GNU_SOURCE
#include "world.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/time.h>
#include <sys/wait.h>

#define TASKS_MAX 64
#define OPTIONS ((void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL))

struct task {
    pid_t tid;
    uint32_t party;
    uint32_t inside; /* between entry and exit of a call */
    uint32_t alive;
};

struct tasks {
    struct task list[TASKS_MAX];
    uint32_t cnt;
};

static int attach(struct tasks *tasks, pid_t tid, uint32_t party)
{
    struct task *task = &tasks->list[tasks->cnt];
    int status;

    if (tasks->cnt == TASKS_MAX)
        return -1;
    if (ptrace(PTRACE_SEIZE, tid, NULL, OPTIONS) ||
        ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) ||
        waitpid(tid, &status, __WALL) != tid)
        return -1;
    *task = (struct task){.tid = tid, .party = party, .alive = 1};
    tasks->cnt++;
    return ptrace(PTRACE_SYSCALL, tid, NULL, NULL) ? -1 : 0;
}

/* All threads of a party, such as the I/O threads that a library started. */
static int attach_party(struct tasks *tasks, pid_t pid, uint32_t party)
{
    struct dirent *entry;
    char path[64];
    DIR *dir;
    int rc = 0;

    snprintf(path, sizeof(path), "/proc/%ld/task", (long)pid);
    dir = opendir(path);
    if (!dir)
        return -1;
    while (rc == 0 && (entry = readdir(dir))) {
        long tid = strtol(entry->d_name, NULL, 10);

        if (tid > 0)
            rc = attach(tasks, (pid_t)tid, party);
    }
    closedir(dir);
    return rc;
}

static struct task *find(struct tasks *tasks, pid_t tid)
{
    for (uint32_t i = 0; i < tasks->cnt; i++) {
        if (tasks->list[i].tid == tid)
            return &tasks->list[i];
    }
    return NULL;
}

static void follow_one(struct lab_world *world, struct task *task, int status)
{
    struct lab_report *report = &world->reports[task->party];
    int sig = WSTOPSIG(status);

    if (sig == (SIGTRAP | 0x80)) {
        task->inside = !task->inside;
        if (task->inside && atomic_load(&report->counting))
            report->syscalls++;
        sig = 0;
    } else if (sig == SIGTRAP || status >> 16) {
        sig = 0;
    }
    ptrace(PTRACE_SYSCALL, task->tid, NULL, (void *)(long)sig);
}

static void on_alarm(int sig)
{
    (void)sig; /* only ends a waitpid() */
}

static void kill_all(const struct tasks *tasks)
{
    for (uint32_t i = 0; i < tasks->cnt; i++) {
        if (tasks->list[i].alive)
            kill(tasks->list[i].tid, SIGKILL);
    }
}

/* Follows until all have ended; when one fails or time is up, the others are
 * killed. */
static void follow_all(struct lab_world *world, struct tasks *tasks)
{
    uint64_t end_ns = lab_now_ns() + lab_setup.timeout_ns;
    uint32_t left = tasks->cnt;

    while (left) {
        int status;
        pid_t tid = waitpid(-1, &status, __WALL);
        struct task *task = find(tasks, tid);

        if (lab_now_ns() > end_ns)
            kill_all(tasks);
        if (tid < 0 && errno == EINTR)
            continue;
        if (tid < 0)
            return;
        if (!task)
            continue;
        if (WIFSTOPPED(status)) {
            follow_one(world, task, status);
            continue;
        }
        task->alive = 0;
        left--;
        if (!WIFEXITED(status) || WEXITSTATUS(status)) {
            world->reports[task->party].failed = 1;
            kill_all(tasks);
        }
    }
}

/* Wakes follow_all() once a second. */
static void set_alarm(int on)
{
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval every = {.it_interval.tv_sec = on, .it_value.tv_sec = on};

    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &every, NULL);
}

int lab_world_trace(struct lab_world *world, struct lab_party *parties,
    uint32_t cnt, char *error)
{
    struct tasks tasks = {.cnt = 0};
    int rc = 0;

    for (uint32_t i = 0; i < cnt && rc == 0; i++)
        rc = attach_party(&tasks, parties[i].pid, i);
    if (rc) {
        lab_explain(error, "ptrace", errno);
        for (uint32_t i = 0; i < cnt; i++)
            kill(parties[i].pid, SIGKILL);
        while (waitpid(-1, NULL, __WALL) > 0)
            continue;
        return -1;
    }
    lab_world_go(world);
    set_alarm(1);
    follow_all(world, &tasks);
    set_alarm(0);
    for (uint32_t i = 0; i < cnt; i++) {
        if (world->reports[i].failed) {
            snprintf(error, 192, "party %u: %.150s", i,
                world->reports[i].error[0] ? world->reports[i].error : "died");
            return -1;
        }
    }
    return 0;
}
