/* proc.c - child processes; see proc.h. */
#include "support/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/support.h"

#define PROCS_MAX 256

static struct t_proc procs[PROCS_MAX]; /* all that were started */
static uint32_t proc_cnt;
static int own_in = -1;
static int own_out = -1;

void t_spawn(struct t_proc *proc, int (*fn)(void *ctx), void *ctx)
{
    int down[2];
    int up[2];
    pid_t parent = getpid();

    T_TRUE(proc_cnt < PROCS_MAX);
    T_TRUE(pipe2(down, O_CLOEXEC) == 0 && pipe2(up, O_CLOEXEC) == 0);
    (void)fflush(NULL);
    proc->pid = fork();
    T_TRUE(proc->pid >= 0);
    if (proc->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        t_is_child = true;
        proc_cnt = 0;
        (void)alarm(0);
        (void)signal(SIGALRM, SIG_DFL);
        own_in = down[0];
        own_out = up[1];
        (void)close(down[1]);
        (void)close(up[0]);
        _exit(fn(ctx));
    }
    (void)close(down[0]);
    (void)close(up[1]);
    proc->to = down[1];
    proc->from = up[0];
    proc->reaped = false;
    procs[proc_cnt++] = *proc;
}

static void proc_forget(struct t_proc *proc)
{
    for (uint32_t i = 0; i < proc_cnt; i++) {
        if (procs[i].pid == proc->pid) {
            procs[i] = procs[--proc_cnt];
            break;
        }
    }
    (void)close(proc->to);
    (void)close(proc->from);
    proc->reaped = true;
}

void t_tell(uint64_t value)
{
    if (write(own_out, &value, sizeof(value)) != (ssize_t)sizeof(value))
        _exit(1);
}

uint64_t t_hear(void)
{
    uint64_t value;

    if (read(own_in, &value, sizeof(value)) != (ssize_t)sizeof(value))
        _exit(1);
    return value;
}

void t_wait_for_death(void)
{
    for (;;)
        (void)pause();
}

void t_send(struct t_proc *proc, uint64_t value)
{
    ssize_t done = write(proc->to, &value, sizeof(value));

    T_TRUE(done == (ssize_t)sizeof(value));
}

bool t_recv_maybe(struct t_proc *proc, uint64_t timeout_ns, uint64_t *ret)
{
    struct pollfd wait = {.fd = proc->from, .events = POLLIN};
    uint64_t value;

    if (poll(&wait, 1, (int)(timeout_ns / T_MS)) != 1)
        return false;
    if (read(proc->from, &value, sizeof(value)) != (ssize_t)sizeof(value))
        T_FAIL("a child process ended before its time");
    *ret = value;
    return true;
}

uint64_t t_recv(struct t_proc *proc)
{
    uint64_t value = 0;

    if (!t_recv_maybe(proc, T_PATIENCE, &value))
        T_FAIL("a child process does not answer");
    return value;
}

/* Waits for one of `what` (WEXITED, WSTOPPED, WCONTINUED, WNOWAIT). */
static bool proc_await(pid_t pid, int what, siginfo_t *ret)
{
    uint64_t end_ns = t_now_ns() + T_PATIENCE;

    for (;;) {
        siginfo_t info;
        memset(&info, 0, sizeof(info));
        if (waitid(P_PID, (id_t)pid, &info, what | WNOHANG) != 0)
            return false;
        if (info.si_pid == pid) {
            *ret = info;
            return true;
        }
        if (t_now_ns() > end_ns)
            return false;
        t_sleep_ns(50000);
    }
}

void t_kill(struct t_proc *proc)
{
    siginfo_t info;

    T_TRUE(kill(proc->pid, SIGKILL) == 0);
    T_TRUE(proc_await(proc->pid, WEXITED | WNOWAIT, &info));
}

int t_bury(struct t_proc *proc)
{
    siginfo_t info;
    int status = 0;

    T_TRUE(proc_await(proc->pid, WEXITED | WNOWAIT, &info));
    T_TRUE(waitpid(proc->pid, &status, 0) == proc->pid);
    proc_forget(proc);
    return status;
}

void t_join(struct t_proc *proc)
{
    int status = t_bury(proc);
    char text[64];

    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return;
    (void)snprintf(text, sizeof(text), "a child ended with wait status 0x%x",
        (unsigned)status);
    T_FAIL(text);
}

void t_stop(struct t_proc *proc)
{
    siginfo_t info;

    T_TRUE(kill(proc->pid, SIGSTOP) == 0);
    T_TRUE(proc_await(proc->pid, WSTOPPED, &info));
}

void t_cont(struct t_proc *proc)
{
    siginfo_t info;

    T_TRUE(kill(proc->pid, SIGCONT) == 0);
    /* It may go on and be at its end before anybody looks. */
    T_TRUE(proc_await(proc->pid, WCONTINUED, &info) ||
        proc_await(proc->pid, WEXITED | WNOWAIT, &info));
}

/* Async-signal-safe: the watchdog calls it too. */
void t_proc_kill_all(void)
{
    for (uint32_t i = 0; i < proc_cnt; i++)
        (void)kill(procs[i].pid, SIGKILL);
    for (uint32_t i = 0; i < proc_cnt; i++) {
        int status = 0;
        /* A traced child may be held up in its exit. */
        (void)ptrace(PTRACE_CONT, procs[i].pid, NULL, NULL);
        while (waitpid(procs[i].pid, &status, 0) > 0 && WIFSTOPPED(status))
            (void)ptrace(PTRACE_CONT, procs[i].pid, NULL, NULL);
        (void)close(procs[i].to);
        (void)close(procs[i].from);
    }
    proc_cnt = 0;
}

void *t_shared_memory(size_t bytes)
{
    void *memory = mmap(
        NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    T_TRUE(memory != MAP_FAILED);
    return memory;
}
