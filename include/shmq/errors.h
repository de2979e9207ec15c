/* shmq/errors.h - results of the library's functions.
 *
 * Flow outcomes (-1 to -15) are not failures: the caller's next step differs
 * (retry, wait, reopen), so each has its own name. The numbers are frozen.
 *
 * All functions here are thread-safe, do not block, and touch nothing shared: a
 * process killed inside leaves nothing. */
#ifndef SHMQ_ERRORS_H
#define SHMQ_ERRORS_H

#include <shmq/base.h>

enum shmq_err {
    SHMQ_OK = 0,
    /* -- flow outcomes ------------------------------------------------- */
    SHMQ_ERR_FULL = -1, /* ring full now (block) or record dropped (drop-new) */
    SHMQ_ERR_EMPTY = -2, /* nothing to receive now */
    SHMQ_ERR_TIMEOUT = -3, /* the deadline passed */
    SHMQ_ERR_INTR = -4, /* a signal handler ran while waiting */
    SHMQ_ERR_CLOSED = -5, /* the topic was removed; close the handle */
    SHMQ_ERR_GAP = -6, /* records were lost to this reader; see the gap */
    /* -- errors -------------------------------------------------------- */
    SHMQ_ERR_INVAL = -16, /* an argument is wrong */
    SHMQ_ERR_NOENT = -17, /* no such topic or group */
    SHMQ_ERR_EXISTS = -18, /* exists, or exists with other attributes */
    SHMQ_ERR_BUSY = -19, /* in use by a living process */
    SHMQ_ERR_PERM = -20, /* not permitted */
    SHMQ_ERR_TOO_LARGE = -21, /* record larger than the topic's maximum */
    SHMQ_ERR_NOSPACE = -22, /* /dev/shm (or a disk) is full */
    SHMQ_ERR_LAYOUT = -23, /* not a topic, or of another layout version */
    SHMQ_ERR_CORRUPT = -24, /* shared memory holds nonsense */
    SHMQ_ERR_STALE = -25, /* the claim or role has moved to another */
    SHMQ_ERR_NODAEMON = -26, /* shmqd is needed and not there */
    SHMQ_ERR_READ_ONLY = -27, /* the topic takes no records now */
    SHMQ_ERR_DURABILITY_FAILED =
        -28, /* accepted but could not be made durable */
    SHMQ_ERR_LIMIT = -29, /* a limit fixed at creation is reached */
    SHMQ_ERR_FORKED = -30, /* handle belongs to the parent process */
    SHMQ_ERR_NOMEM = -31, /* private memory ran out */
    SHMQ_ERR_SYS = -32 /* a system call failed; errno tells */
};

SHMQ_BEGIN_DECLS

/* Short name of a result, for example "FULL". Total: any int is legal, an
 * unknown one gives "UNKNOWN". Static storage. */
SHMQ_API const char *shmq_err_name(int rc);

/* The calling thread's last error as one sentence without a final newline:
 * "THING: what happened; what to do". Set by the last call of this thread that
 * returned an error (flow outcomes FULL, EMPTY and GAP leave it alone, since
 * they are part of the fast path; TIMEOUT of a full ring names who holds it
 * up). Valid until the thread's next call into the library. */
SHMQ_API const char *shmq_error_text(void);

/* errno of the system call behind the last SHMQ_ERR_SYS, NOSPACE or PERM of
 * this thread; 0 when there was none. */
SHMQ_API int shmq_error_errno(void);

SHMQ_END_DECLS

#endif
