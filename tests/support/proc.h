/* proc.h - child processes that tests kill, stop and talk to.
 *
 * Parent and child exchange 64-bit numbers over pipes; every wait has a
 * deadline; children die with their parent. */
#ifndef SHMQ_TEST_PROC_H
#define SHMQ_TEST_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct t_proc {
    pid_t pid;
    int to; /* parent writes, child hears */
    int from; /* child tells, parent reads */
    bool reaped;
};

/* Starts a child that runs `fn` and exits with its result. */
void t_spawn(struct t_proc *proc, int (*fn)(void *ctx), void *ctx);

/* In the child: one number to and from the parent. t_hear() ends the child
 * when the parent is gone. */
void t_tell(uint64_t value);
uint64_t t_hear(void);
/* In the child: sleeps until it is killed. */
__attribute__((noreturn)) void t_wait_for_death(void);

/* In the parent. */
void t_send(struct t_proc *proc, uint64_t value);
uint64_t t_recv(struct t_proc *proc); /* fails when the child ended */
bool t_recv_maybe(struct t_proc *proc, uint64_t timeout_ns, uint64_t *ret);
/* SIGKILL, and waits until the kernel has torn the process down as far as a
 * zombie; t_bury() collects it. */
void t_kill(struct t_proc *proc);
int t_bury(struct t_proc *proc); /* waits for the end; the wait status */
void t_join(struct t_proc *proc); /* waits; the child must exit with 0 */
void t_stop(struct t_proc *proc); /* SIGSTOP, until it is stopped */
void t_cont(struct t_proc *proc);
void t_proc_kill_all(void);

/* Memory shared with children forked later; zeroed. Never freed. */
void *t_shared_memory(size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
