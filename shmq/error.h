/* error.h - the calling thread's error text. Cold path only. */
#ifndef SHMQI_ERROR_H
#define SHMQI_ERROR_H

#include <shmq/errors.h>

#if defined(__GNUC__)
#define SHMQI_PRINTF(f, a) __attribute__((format(printf, f, a), cold))
#else
#define SHMQI_PRINTF(f, a)
#endif

/* Sets the text "THING: what happened; what to do", keeps errno for
 * shmq_error_errno() when `rc` stems from a system call, returns rc. */
int shmqi_fail(int rc, const char *fmt, ...) SHMQI_PRINTF(2, 3);

/* As above for a failed system call: maps errno to the result (ENOSPC, EACCES,
 * ENOMEM, ENOENT... else SYS) and appends its meaning. */
int shmqi_fail_sys(int err, const char *fmt, ...) SHMQI_PRINTF(2, 3);

#ifdef __clang_analyzer__
/* The analyzer would think that these may return SHMQ_OK. */
#define shmqi_fail(rc, ...) ((void)(shmqi_fail)(rc, __VA_ARGS__), (rc))
#define shmqi_fail_sys(...) \
    ((void)(shmqi_fail_sys)(__VA_ARGS__), (int)SHMQ_ERR_SYS)
#endif

#endif
