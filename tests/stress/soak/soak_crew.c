/* soak_crew.c - starts the processes, one in four in a pid namespace of its
 * own, kills and stops them at random, and puts new ones in their places at
 * once. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stress/soak/soak.h"
#include "support/support.h"

/* In a child: the rights of root in a new user namespace, as far as needed. */
static void map_user(uid_t uid, gid_t gid)
{
    char text[64];
    int fd = open("/proc/self/setgroups", O_WRONLY | O_CLOEXEC);
    ssize_t ignored = fd >= 0 ? write(fd, "deny", 4) : 0;
    int len = snprintf(text, sizeof(text), "%u %u 1", uid, uid);
    fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
    ignored += fd >= 0 ? write(fd, text, (size_t)len) : 0;
    len = snprintf(text, sizeof(text), "%u %u 1", gid, gid);
    fd = open("/proc/self/gid_map", O_WRONLY | O_CLOEXEC);
    ignored += fd >= 0 ? write(fd, text, (size_t)len) : 0;
    (void)ignored;
}

/* fork into new namespaces; the pid is that of the caller's. */
static pid_t fork_into(unsigned long namespaces)
{
    return (pid_t)syscall(
        SYS_clone, namespaces | (unsigned long)SIGCHLD, 0, 0, 0, 0);
}

static pid_t crew_fork(struct soak_run *run)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    unsigned long flags = CLONE_NEWPID;
    if (uid != 0)
        flags |= CLONE_NEWUSER;
    if (run->no_namespaces || t_below(&run->random, 4) != 0)
        return fork();
    pid_t pid = fork_into(flags);
    if (pid < 0) {
        run->no_namespaces = true;
        printf("  not allowed to make pid namespaces: left out\n");
        return fork();
    }
    if (pid == 0 && uid != 0)
        map_user(uid, gid);
    run->namespaces++;
    return pid;
}

/* When none is free the checker is behind: it waits for the stopped. */
static int take_log(struct soak_run *run)
{
    uint64_t end_ns =
        t_now_ns() + 10 * T_PATIENCE; /* it has one core at most */
    int log;
    while ((log = hist_log_take(&run->area->stream)) < 0) {
        for (uint32_t i = 0; i < run->slot_cnt; i++) {
            if (!run->slots[i].stopped)
                continue;
            run->slots[i].stopped = false;
            kill(run->slots[i].pid, SIGCONT);
        }
        t_sleep_ns(T_MS / 4);
        if (t_now_ns() > end_ns)
            T_FAIL("the checker does not keep up");
    }
    return log;
}

/* The crew's processes start from the program file, so that nothing of this
 * process is left in them. */
static void crew_spawn(struct soak_run *run, struct soak_slot *slot, int its)
{
    char fd[16], log[16], role[16];
    slot->log = its;
    (void)snprintf(fd, sizeof(fd), "%d", run->fd);
    (void)snprintf(log, sizeof(log), "%d", slot->log);
    (void)snprintf(role, sizeof(role), "%u", slot->group);
    if (slot->producer)
        (void)snprintf(role, sizeof(role), "p");
    fflush(NULL);
    pid_t pid = crew_fork(run);
    if (pid < 0)
        T_FAIL("fork");
    if (pid == 0) {
        char name[] = "stress_soak";
        char worker[] = "--worker";
        char *argv[] = {name, worker, fd, log, role, NULL};
        (void)execv("/proc/self/exe", argv);
        _exit(3);
    }
    slot->pid = pid;
    slot->stopped = false;
}

static void crew_add(struct soak_run *run, bool producer, uint32_t group)
{
    struct soak_slot *slot = &run->slots[run->slot_cnt++];
    T_TRUE(run->slot_cnt <= SOAK_CREW_MAX);
    *slot = (struct soak_slot){.producer = producer, .group = group};
    crew_spawn(run, slot, take_log(run));
}

void soak_crew_start(struct soak_run *run)
{
    for (uint32_t g = 0; g < run->scene->group_cnt; g++)
        for (uint32_t i = 0; i < run->scene->groups[g].readers; i++)
            crew_add(run, false, g);
    for (uint32_t i = 0; i < run->scene->producers; i++)
        crew_add(run, true, 0);
    T_EVENTUALLY(atomic_load(&run->area->ready) >=
            run->slot_cnt - run->scene->producers ||
        atomic_load(&run->area->complaints) != 0);
}

static int bury(struct soak_run *run, pid_t pid, int status, bool replace)
{
    bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    bool well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    for (uint32_t i = 0; i < run->slot_cnt; i++) {
        if (run->slots[i].pid != pid)
            continue;
        hist_log_dead(&run->area->stream, run->slots[i].log);
        run->slots[i].pid = 0;
        if (replace)
            crew_spawn(run, &run->slots[i], take_log(run));
    }
    if (!killed && !well) {
        soak_complain(run->area, "process %d ended with wait status 0x%x",
            (int)pid, (unsigned)status);
        return -1;
    }
    return 0;
}

static int crew_reap(struct soak_run *run, bool replace)
{
    int status = 0;
    int rc = 0;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        rc |= bury(run, pid, status, replace);
    if (atomic_load(&run->area->complaints) != 0 ||
        atomic_load(&run->area->stream.fault_cnt) != 0)
        rc = -1;
    return rc;
}

/* What it holds may move from the moment before the signal. The replacement
 * starts at once, before the death is proven; the dead one's log is closed when
 * it has been waited for. */
static void crew_kill(struct soak_run *run, struct soak_slot *slot)
{
    int status = 0;
    int log = take_log(run); /* first: the checker waits for the dead, too */
    run->kills++;
    hist_log_kill(&run->area->stream, slot->log);
    kill(slot->pid, SIGKILL);
    struct soak_slot dead = *slot;
    crew_spawn(run, slot, log);
    while (waitpid(dead.pid, &status, 0) < 0 && errno == EINTR)
        continue;
    hist_log_dead(&run->area->stream, dead.log);
}

/* Continues those whose time has come; one in five is killed instead. */
static void crew_resume(struct soak_run *run, bool all)
{
    uint64_t now_ns = t_now_ns();
    for (uint32_t i = 0; i < run->slot_cnt; i++) {
        struct soak_slot *slot = &run->slots[i];
        if (!slot->stopped || (!all && now_ns < slot->resume_ns))
            continue;
        slot->stopped = false;
        if (!all && t_below(&run->random, 5) == 0)
            crew_kill(run, slot);
        else
            kill(slot->pid, SIGCONT);
    }
}

int soak_crew_act(struct soak_run *run)
{
    struct soak_slot *slot = &run->slots[t_below(&run->random, run->slot_cnt)];
    crew_resume(run, false);
    if (!slot->stopped && slot->pid != 0) {
        if (t_below(&run->random, 2) == 0)
            crew_kill(run, slot);
        else {
            uint64_t lease_ns =
                slot->producer ? 0 : run->scene->groups[slot->group].lease_ns;
            run->stops++;
            slot->stopped = true;
            slot->resume_ns = t_now_ns() +
                t_below(&run->random, lease_ns != 0 ? 4 * lease_ns : 10 * T_MS);
            kill(slot->pid, SIGSTOP);
        }
    }
    return crew_reap(run, true);
}

static int crew_wait(struct soak_run *run, bool producers)
{
    uint64_t end_ns = t_now_ns() + 6 * T_PATIENCE;
    int rc = 0;
    for (;;) {
        uint32_t left = 0;
        for (uint32_t i = 0; i < run->slot_cnt; i++)
            left +=
                run->slots[i].producer == producers && run->slots[i].pid != 0;
        if (left == 0 || rc != 0)
            return rc;
        rc = crew_reap(run, false);
        t_pause();
        if (t_now_ns() > end_ns) {
            soak_complain(run->area, "%u %s do not come to an end", left,
                producers ? "producers" : "readers");
            return -1;
        }
    }
}

int soak_crew_finish(struct soak_run *run)
{
    crew_resume(run, true);
    atomic_store(&run->area->quit, 1);
    int rc = crew_wait(run, true);
    atomic_store(&run->area->finish, 1);
    if (rc == 0)
        rc = crew_wait(run, false);
    return rc;
}

void soak_crew_kill(struct soak_run *run)
{
    for (uint32_t i = 0; i < run->slot_cnt; i++)
        if (run->slots[i].pid > 0) {
            hist_log_kill(&run->area->stream, run->slots[i].log);
            kill(run->slots[i].pid, SIGKILL);
        }
    for (uint32_t i = 0; i < run->slot_cnt; i++)
        if (run->slots[i].pid > 0) {
            (void)waitpid(run->slots[i].pid, NULL, 0);
            hist_log_dead(&run->area->stream, run->slots[i].log);
        }
}
