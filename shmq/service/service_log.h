/* service_log.h - what a daemon tells its operator: leveled lines on stderr.
 *
 *   text   2026-11-22T07:21:17.123Z info  topic=orders: message
 *   json   {"time":"...","level":"info","program":"shmqd","pid":7,
 *           "topic":"orders","message":"..."}
 *
 * Under systemd (stderr is the journal) text lines carry the journal's level
 * prefix instead of time and level. A line is written by one call and never
 * waits for whoever reads stderr: what does not fit is dropped, counted, and
 * the next line that fits says how many. Control characters are made visible,
 * bytes that are not UTF-8 replaced. Lines end at 2 KiB. Any thread may log. */
#ifndef SHMQS_SERVICE_LOG_H
#define SHMQS_SERVICE_LOG_H

#include <stdbool.h>

/* The order is that of the option log-level. */
enum shmqs_level {
    SHMQS_ERROR = 0, /* promises are broken or an operator must act */
    SHMQS_WARNING = 1, /* degraded, goes on by itself */
    SHMQS_INFO = 2, /* what changed */
    SHMQS_DEBUG = 3,
};

/* Before the first line and before files are opened: streams that are closed
 * are opened on /dev/null. `program` must live on. */
void shmqs_log_open(
    const char *program, bool json, enum shmqs_level least_important);

void shmqs_log(enum shmqs_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A line about something: `key` is a plain word ("topic", "peer"). */
void shmqs_log_about(enum shmqs_level level, const char *key, const char *value,
    const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
