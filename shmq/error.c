#define _GNU_SOURCE
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char last_text[1024];
static _Thread_local int last_errno;

const char *shmq_err_name(int rc)
{
    switch ((enum shmq_err)rc) {
    case SHMQ_OK:
        return "OK";
    case SHMQ_ERR_FULL:
        return "FULL";
    case SHMQ_ERR_EMPTY:
        return "EMPTY";
    case SHMQ_ERR_TIMEOUT:
        return "TIMEOUT";
    case SHMQ_ERR_INTR:
        return "INTR";
    case SHMQ_ERR_CLOSED:
        return "CLOSED";
    case SHMQ_ERR_GAP:
        return "GAP";
    case SHMQ_ERR_INVAL:
        return "INVAL";
    case SHMQ_ERR_NOENT:
        return "NOENT";
    case SHMQ_ERR_EXISTS:
        return "EXISTS";
    case SHMQ_ERR_BUSY:
        return "BUSY";
    case SHMQ_ERR_PERM:
        return "PERM";
    case SHMQ_ERR_TOO_LARGE:
        return "TOO_LARGE";
    case SHMQ_ERR_NOSPACE:
        return "NOSPACE";
    case SHMQ_ERR_LAYOUT:
        return "LAYOUT";
    case SHMQ_ERR_CORRUPT:
        return "CORRUPT";
    case SHMQ_ERR_STALE:
        return "STALE";
    case SHMQ_ERR_NODAEMON:
        return "NODAEMON";
    case SHMQ_ERR_READ_ONLY:
        return "READ_ONLY";
    case SHMQ_ERR_DURABILITY_FAILED:
        return "DURABILITY_FAILED";
    case SHMQ_ERR_LIMIT:
        return "LIMIT";
    case SHMQ_ERR_FORKED:
        return "FORKED";
    case SHMQ_ERR_NOMEM:
        return "NOMEM";
    case SHMQ_ERR_SYS:
        return "SYS";
    }
    return "UNKNOWN";
}

const char *shmq_error_text(void)
{
    return last_text;
}

int shmq_error_errno(void)
{
    return last_errno;
}

#ifdef __clang_analyzer__
#undef shmqi_fail
#undef shmqi_fail_sys
#endif

int shmqi_fail(int rc, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(last_text, sizeof last_text, fmt, ap);
    va_end(ap);
    last_errno = 0;
    return rc;
}

static int result_of(int err)
{
    switch (err) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return SHMQ_ERR_NOSPACE;
    case EACCES:
    case EPERM:
    case EROFS:
        return SHMQ_ERR_PERM;
    case ENOENT:
        return SHMQ_ERR_NOENT;
    case ENOMEM:
        return SHMQ_ERR_NOMEM;
    default:
        return SHMQ_ERR_SYS;
    }
}

int shmqi_fail_sys(int err, const char *fmt, ...)
{
    /* The reason stands behind what happened, before what to do. */
    const char *why = strerrordesc_np(err);
    char text[sizeof last_text / 2];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    const char *remedy = strstr(text, "; ");
    int what = (int)(remedy ? (size_t)(remedy - text) : strlen(text));
    (void)snprintf(last_text, sizeof last_text, "%.*s: %s%s", what, text,
        why ? why : "unknown error", remedy ? remedy : "");
    last_errno = err;
    return result_of(err);
}
