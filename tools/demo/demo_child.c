/* demo_child.c - starting, watching, stopping and killing processes. */
#include "demo.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define STUCK_NS (30000 * DEMO_MS)

static volatile sig_atomic_t caught;

static void catch (int number)
{
    caught = number;
}

int demo_catch_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    struct sigaction action = {.sa_handler = catch};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (sigaction(numbers[i], &action, NULL) != 0)
            return -1;
    return 0;
}

int demo_interrupted(void)
{
    return caught;
}

/* Forks; the child dies with the parent and takes signals as usual. Returns
 * what fork does. */
static pid_t spawn(void)
{
    pid_t parent = getpid();
    fflush(NULL);
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    return 0;
}

pid_t demo_spawn_producer(
    struct demo_run *run, uint32_t stream, bool replacement)
{
    pid_t pid = spawn();
    if (pid == 0)
        _exit(demo_producer(run, stream, replacement));
    run->producer_pids[stream] = pid > 0 ? pid : 0;
    return pid;
}

pid_t demo_spawn_member(struct demo_run *run, uint32_t member)
{
    pid_t pid = spawn();
    if (pid == 0)
        _exit(demo_member(run, member));
    run->member_pids[member] = pid > 0 ? pid : 0;
    return pid;
}

pid_t demo_spawn(struct demo_run *run, int (*body)(struct demo_run *))
{
    pid_t pid = spawn();
    if (pid == 0)
        _exit(body(run));
    return pid;
}

int demo_complain(struct demo_run *run, const char *what)
{
    char text[sizeof(run->board->complaint)];
    snprintf(text, sizeof(text), "%s (pid %d): %s", what, (int)getpid(),
        shmq_error_text());
    memcpy(run->board->complaint, text, sizeof(text));
    return 1;
}

int demo_kill(pid_t pid, uint64_t *ret_sent_ns, uint64_t *ret_proof_ns)
{
    siginfo_t info;
    uint64_t sent_ns = demo_now_ns();
    if (kill(pid, SIGKILL) != 0)
        return -1;
    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) != 0)
        if (errno != EINTR)
            return -1;
    *ret_proof_ns = demo_now_ns();
    *ret_sent_ns = sent_ns;
    return waitpid(pid, NULL, 0) == pid ? 0 : -1;
}

int demo_stop(pid_t pid, uint64_t *ret_sent_ns)
{
    siginfo_t info;
    uint64_t sent_ns = demo_now_ns();
    if (kill(pid, SIGSTOP) != 0)
        return -1;
    while (waitid(P_PID, (id_t)pid, &info, WSTOPPED) != 0)
        if (errno != EINTR)
            return -1;
    *ret_sent_ns = sent_ns;
    return 0;
}

static void kill_and_wait(pid_t *pids, uint32_t cnt)
{
    for (uint32_t i = 0; i < cnt; i++)
        if (pids[i] > 0)
            kill(pids[i], SIGKILL);
    for (uint32_t i = 0; i < cnt; i++) {
        while (pids[i] > 0 && waitpid(pids[i], NULL, 0) < 0 && errno == EINTR)
            continue;
        pids[i] = 0;
    }
}

void demo_kill_all(struct demo_run *run)
{
    kill_and_wait(run->producer_pids, DEMO_STREAM_MAX);
    kill_and_wait(run->member_pids, DEMO_MEMBER_MAX);
    kill_and_wait(run->block_pids, DEMO_BLOCK_PROCESSES);
}

/* Collects those that ended by themselves; -1 when one failed. */
static int reap(struct demo_run *run, pid_t *pids, uint32_t cnt)
{
    for (uint32_t i = 0; i < cnt; i++) {
        int status = 0;
        if (pids[i] <= 0 || waitpid(pids[i], &status, WNOHANG) != pids[i])
            continue;
        int pid = pids[i];
        pids[i] = 0;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
            continue;
        if (run->board->complaint[0] == '\0')
            snprintf(run->board->complaint, sizeof(run->board->complaint),
                "process %d ended with wait status 0x%x", pid,
                (unsigned)status);
        return -1;
    }
    return 0;
}

int demo_wait(struct demo_run *run, bool (*done)(struct demo_run *))
{
    uint64_t moved_ns = demo_now_ns();
    uint64_t last = 0;
    while (!done(run)) {
        if (demo_interrupted() != 0 ||
            reap(run, run->producer_pids, DEMO_STREAM_MAX) != 0 ||
            reap(run, run->member_pids, DEMO_MEMBER_MAX) != 0 ||
            reap(run, run->block_pids, DEMO_BLOCK_PROCESSES) != 0)
            return -1;
        uint64_t now_ns = demo_now_ns();
        uint64_t sum = demo_published(run) + demo_received(run, DEMO_ARCHIVE) +
            demo_received(run, DEMO_WORKERS);
        if (sum != last)
            moved_ns = now_ns;
        last = sum;
        if (now_ns - moved_ns > STUCK_NS) {
            snprintf(run->board->complaint, sizeof(run->board->complaint),
                "nothing moved for 30 s");
            return -1;
        }
        demo_progress(run);
        demo_sleep_ns(DEMO_MS / 5);
    }
    return 0;
}
