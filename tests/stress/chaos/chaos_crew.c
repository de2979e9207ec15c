/* chaos_crew.c - starts the processes, kills and stops them at random, and
 * puts new ones in their places at once. */
#include "chaos.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/support.h"

static void crew_spawn(struct chaos_run *run, struct chaos_slot *slot)
{
    uint32_t life = 0;
    if (slot->role == CHAOS_PRODUCER) {
        life = atomic_fetch_add(&run->books->life_cnt, 1);
        if (life >= CHAOS_LIFE_MAX)
            T_FAIL("too many lives");
    }
    slot->log = chaos_history_take(run);
    fflush(NULL);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0)
        T_FAIL("fork");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        t_is_child = true;
        struct hist_op born = {.kind = HIST_NOTHING};
        run->log = &run->stream->logs[slot->log];
        hist_log_note(run->log, &born);
        _exit(slot->role == CHAOS_PRODUCER ? chaos_producer(run, life)
                                           : chaos_reader(run, slot->group));
    }
    slot->pid = pid;
    slot->stopped = false;
    run->pids[slot->log] = pid;
}

static void crew_add(
    struct chaos_run *run, enum chaos_role role, uint32_t group)
{
    struct chaos_slot *slot = &run->slots[run->slot_cnt++];
    T_TRUE(run->slot_cnt <= CHAOS_SLOT_MAX);
    *slot = (struct chaos_slot){.role = role, .group = group};
    crew_spawn(run, slot);
}

void chaos_crew_start(struct chaos_run *run)
{
    for (uint32_t i = 0; i < run->scene->group_cnt; i++)
        for (uint32_t j = 0; j < run->scene->groups[i].readers; j++)
            crew_add(run, CHAOS_READER, i);
    /* An ephemeral reader knows nothing of what was there before it. */
    T_EVENTUALLY(atomic_load(&run->books->takeovers) == run->slot_cnt);
    for (uint32_t i = 0; i < run->scene->producers; i++)
        crew_add(run, CHAOS_PRODUCER, 0);
}

/* Collects dead processes. One that ended by itself, its work done, is
 * replaced while `replace`; -1 when one failed. */
static int crew_reap(struct chaos_run *run, bool replace)
{
    int status = 0;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == run->checker)
            continue;
        chaos_history_dead(run, pid);
        bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        bool well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        if (!killed && !well) {
            chaos_complain(run, "process %d ended with wait status 0x%x",
                (int)pid, (unsigned)status);
            return -1;
        }
        for (uint32_t i = 0; i < run->slot_cnt; i++) {
            if (run->slots[i].pid != pid)
                continue;
            run->slots[i].pid = 0;
            if (replace)
                crew_spawn(run, &run->slots[i]);
        }
    }
    return atomic_load(&run->books->complaints) != 0 ? -1 : 0;
}

static void crew_kill(struct chaos_run *run, struct chaos_slot *slot)
{
    run->kills++;
    if (slot->role == CHAOS_READER)
        run->reader_kills[slot->group]++;
    hist_log_kill(run->stream, slot->log);
    kill(slot->pid, SIGKILL);
    crew_spawn(run, slot); /* at once: the death is not proven yet */
}

/* Continues those whose time has come; one in five is killed instead. */
static void crew_resume(struct chaos_run *run, bool all)
{
    uint64_t now_ns = t_now_ns();
    for (uint32_t i = 0; i < run->slot_cnt; i++) {
        struct chaos_slot *slot = &run->slots[i];
        if (!slot->stopped || (!all && now_ns < slot->resume_ns))
            continue;
        bool mortal = slot->role == CHAOS_PRODUCER ||
            !run->scene->groups[slot->group].immortal;
        slot->stopped = false;
        if (!all && mortal && t_below(&run->random, 5) == 0)
            crew_kill(run, slot);
        else
            kill(slot->pid, SIGCONT);
    }
}

static void crew_hit(struct chaos_run *run)
{
    struct chaos_slot *slot = &run->slots[t_below(&run->random, run->slot_cnt)];
    bool reader = slot->role == CHAOS_READER;
    const struct chaos_group *group = &run->scene->groups[slot->group];
    if (slot->stopped || slot->pid == 0)
        return;
    if (t_below(&run->random, 2) == 0 && !(reader && group->immortal)) {
        crew_kill(run, slot);
        return;
    }
    uint64_t most_ns = 8 * T_MS;
    if (reader && group->lease_ns != 0)
        most_ns = 4 * group->lease_ns;
    run->stops++;
    slot->stopped = true;
    slot->resume_ns = t_now_ns() + t_below(&run->random, most_ns);
    kill(slot->pid, SIGSTOP);
}

int chaos_crew_harass(struct chaos_run *run)
{
    int rc = 0;
    while (rc == 0 && run->kills + run->stops < run->actions) {
        t_sleep_ns(t_below(&run->random, 2 * run->pace_ns));
        crew_resume(run, false);
        crew_hit(run);
        rc = crew_reap(run, true);
    }
    crew_resume(run, true);
    return rc;
}

static bool crew_gone(const struct chaos_run *run, enum chaos_role role)
{
    for (uint32_t i = 0; i < run->slot_cnt; i++)
        if (run->slots[i].role == role && run->slots[i].pid != 0)
            return false;
    return true;
}

/* Who is still there, and what the topic says of the groups. */
static void crew_stuck(struct chaos_run *run, const char *what)
{
    struct shmq_topic *topic = t_open("chaos");
    char text[400] = "";
    size_t len = 0;
    for (uint32_t i = 0; i < run->slot_cnt; i++)
        if (run->slots[i].pid != 0 && len < 300)
            len += (size_t)snprintf(text + len, sizeof(text) - len, " %s%u",
                run->slots[i].role == CHAOS_READER ? "reader of " : "producer ",
                run->slots[i].group);
    for (uint32_t i = 0; i < run->scene->group_cnt && len < 300; i++) {
        struct shmq_group_stat group;
        const char *name = run->scene->groups[i].name;
        if (name == NULL || !t_group_stat(topic, name, &group))
            continue;
        len += (size_t)snprintf(text + len, sizeof(text) - len,
            "; %s: floor %llu lag %llu claimed %u", name,
            (unsigned long long)group.floor_position,
            (unsigned long long)group.lag_messages, group.claimed);
    }
    chaos_complain(run, "%s do not come to an end:%s; published %llu", what,
        text, (unsigned long long)t_stat(topic).published_position);
    shmq_topic_close(topic);
}

static int crew_wait(
    struct chaos_run *run, enum chaos_role role, const char *what)
{
    uint64_t end_ns = t_now_ns() + T_PATIENCE;
    int rc = 0;
    while (rc == 0 && !crew_gone(run, role)) {
        rc = crew_reap(run, false);
        t_pause();
        if (t_now_ns() > end_ns) {
            crew_stuck(run, what);
            return -1;
        }
    }
    return rc;
}

int chaos_crew_finish(struct chaos_run *run)
{
    atomic_store(&run->books->quit, 1);
    int rc = crew_wait(run, CHAOS_PRODUCER, "producers");
    atomic_store(&run->books->finish, 1);
    if (rc == 0)
        rc = crew_wait(run, CHAOS_READER, "readers");
    return rc;
}

void chaos_crew_kill(struct chaos_run *run)
{
    for (uint32_t i = 0; i < HIST_LOG_CNT; i++) {
        pid_t pid = run->pids[i];
        if (pid <= 0)
            continue;
        if (kill(pid, 0) == 0)
            hist_log_kill(run->stream, (int)i);
        kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        chaos_history_dead(run, pid);
    }
}
