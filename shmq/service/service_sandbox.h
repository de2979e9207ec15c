/* service_sandbox.h - gives up what a daemon does not need.
 *
 * After shmqs_sandbox_enter() the process and all its later threads have no
 * capability, gain none by exec (no_new_privs), leave no core file, and may
 * call only the system calls of a list, on the native architecture: any other
 * one fails with EPERM and does nothing. One-way. */
#ifndef SHMQS_SERVICE_SANDBOX_H
#define SHMQS_SERVICE_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>

/* One allowed system call. With `arg` from 1 on, only when that argument (from
 * 1) masked by `mask` equals `value`; several lines of one call are
 * alternatives. Lists end with a NULL name. A name that this architecture does
 * not have is left out. */
struct shmqs_allowed {
    const char *name;
    uint32_t arg;
    uint64_t mask;
    uint64_t value;
};

/* Returns 0; or -1 with errno and *ret_step, a word saying what failed. What
 * was given up by then stays so. */
int shmqs_sandbox_enter(
    const struct shmqs_allowed *allowed, const char **ret_step);

/* Whether this build can be confined: false under sanitizers, which make
 * system calls of their own. */
bool shmqs_sandbox_possible(void);

#endif
