/* errors.c - results, statuses, and the sentences about them. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "client.h"

static _Thread_local char text[512];
static _Thread_local uint32_t last_status;

int shmqr_fail(int rc, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    last_status = 0;
    return rc;
}

static const int rc_of_status[SHMQW_STATUS_CNT] = {
    [SHMQW_OK] = SHMQ_OK,
    [SHMQW_BAD_FRAME] = SHMQ_REMOTE_ERR_PROTOCOL,
    [SHMQW_UNSUPPORTED_VERSION] = SHMQ_REMOTE_ERR_PROTOCOL,
    [SHMQW_UNKNOWN_COMMAND] = SHMQ_REMOTE_ERR_PROTOCOL,
    [SHMQW_UNAUTHENTICATED] = SHMQ_ERR_PERM,
    [SHMQW_FORBIDDEN] = SHMQ_ERR_PERM,
    [SHMQW_NO_SUCH_TOPIC] = SHMQ_ERR_NOENT,
    [SHMQW_TOPIC_EXISTS] = SHMQ_ERR_EXISTS,
    [SHMQW_OUT_OF_RANGE] = SHMQ_ERR_INVAL,
    [SHMQW_DATA_CORRUPT] = SHMQ_ERR_CORRUPT,
    [SHMQW_LOG_TRUNCATED] = SHMQ_ERR_GAP,
    [SHMQW_NO_SPACE] = SHMQ_ERR_NOSPACE,
    [SHMQW_READ_ONLY] = SHMQ_ERR_READ_ONLY,
    [SHMQW_TOO_LARGE] = SHMQ_ERR_TOO_LARGE,
    [SHMQW_CREDIT_EXCEEDED] = SHMQ_ERR_LIMIT,
    [SHMQW_FENCED_GENERATION] = SHMQ_ERR_STALE,
    [SHMQW_UNKNOWN_MEMBER] = SHMQ_ERR_STALE,
    [SHMQW_GROUP_BUSY] = SHMQ_ERR_BUSY,
    [SHMQW_OUT_OF_ORDER] = SHMQ_REMOTE_ERR_PROTOCOL,
    [SHMQW_PRODUCER_FENCED] = SHMQ_ERR_STALE,
    [SHMQW_TIMEOUT_LEVEL] = SHMQ_ERR_TIMEOUT,
    [SHMQW_OVERLOADED] = SHMQ_ERR_FULL,
    [SHMQW_DURABILITY_FAILED] = SHMQ_ERR_DURABILITY_FAILED,
    [SHMQW_COMMIT_BEYOND_END] = SHMQ_ERR_INVAL,
    [SHMQW_SHUTTING_DOWN] = SHMQ_ERR_NODAEMON,
    [SHMQW_CRC_MISMATCH] = SHMQ_REMOTE_ERR_PROTOCOL,
    [SHMQW_HISTORY_GONE] = SHMQ_REMOTE_ERR_UNDECIDED,
    [SHMQW_LIMIT] = SHMQ_ERR_LIMIT,
    [SHMQW_STALE] = SHMQ_ERR_STALE,
    [SHMQW_CLOSED] = SHMQ_ERR_CLOSED,
    [SHMQW_INVALID] = SHMQ_ERR_INVAL,
    [SHMQW_NO_SUCH_GROUP] = SHMQ_ERR_NOENT,
    [SHMQW_GROUP_EXISTS] = SHMQ_ERR_EXISTS,
    [SHMQW_NO_DAEMON] = SHMQ_ERR_NODAEMON,
    [SHMQW_INTERNAL] = SHMQ_ERR_SYS,
    [SHMQW_UNKNOWN_SESSION] = SHMQ_ERR_STALE,
    [SHMQW_UNKNOWN_STREAM] = SHMQ_ERR_STALE,
    [SHMQW_FULL] = SHMQ_ERR_FULL,
};

int shmqr_rc_of(uint32_t status)
{
    return status < SHMQW_STATUS_CNT ? rc_of_status[status]
                                     : SHMQ_REMOTE_ERR_PROTOCOL;
}

void shmqr_fail_text(uint32_t status, const char *said)
{
    snprintf(text, sizeof text, "%s", said);
    last_status = status;
}

int shmqr_fail_status(
    uint32_t status, const char *thing, const struct shmqw_message *msg)
{
    if (!msg || !shmqw_text(msg, SHMQW_TLV_TEXT, text, sizeof text))
        snprintf(text, sizeof text, "%s: the bridge says %s", thing,
            shmqw_status_name(status));
    last_status = status;
    return shmqr_rc_of(status);
}

const char *shmq_remote_error_text(void)
{
    return text;
}

uint32_t shmq_remote_error_status(void)
{
    return last_status;
}

const char *shmq_remote_status_name(uint32_t status)
{
    return shmqw_status_name(status);
}

const char *shmq_remote_err_name(int rc)
{
    static const struct {
        int rc;
        const char *name;
    } names[] = {{SHMQ_OK, "OK"}, {SHMQ_ERR_FULL, "FULL"},
        {SHMQ_ERR_EMPTY, "EMPTY"}, {SHMQ_ERR_TIMEOUT, "TIMEOUT"},
        {SHMQ_ERR_INTR, "INTR"}, {SHMQ_ERR_CLOSED, "CLOSED"},
        {SHMQ_ERR_GAP, "GAP"}, {SHMQ_ERR_INVAL, "INVAL"},
        {SHMQ_ERR_NOENT, "NOENT"}, {SHMQ_ERR_EXISTS, "EXISTS"},
        {SHMQ_ERR_BUSY, "BUSY"}, {SHMQ_ERR_PERM, "PERM"},
        {SHMQ_ERR_TOO_LARGE, "TOO_LARGE"}, {SHMQ_ERR_NOSPACE, "NOSPACE"},
        {SHMQ_ERR_LAYOUT, "LAYOUT"}, {SHMQ_ERR_CORRUPT, "CORRUPT"},
        {SHMQ_ERR_STALE, "STALE"}, {SHMQ_ERR_NODAEMON, "NODAEMON"},
        {SHMQ_ERR_READ_ONLY, "READ_ONLY"},
        {SHMQ_ERR_DURABILITY_FAILED, "DURABILITY_FAILED"},
        {SHMQ_ERR_LIMIT, "LIMIT"}, {SHMQ_ERR_FORKED, "FORKED"},
        {SHMQ_ERR_NOMEM, "NOMEM"}, {SHMQ_ERR_SYS, "SYS"},
        {SHMQ_REMOTE_ERR_UNDECIDED, "UNDECIDED"},
        {SHMQ_REMOTE_ERR_PROTOCOL, "PROTOCOL"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].rc == rc)
            return names[i].name;
    return "UNKNOWN";
}
