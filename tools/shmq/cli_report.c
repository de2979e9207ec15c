/* cli_report.c - one-line messages on stderr and exit statuses. */
#include "cli.h"
#include "lib.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 4096 };

static const char *reporting_command;

void cli_report_for(const char *command)
{
    reporting_command = command;
}

/* Names come from command lines and shared memory: whatever they hold, the
 * message stays one line and cannot drive a terminal. */
static void blank_controls(char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == 0x7f)
            *text = '?';
    }
}

/* The line goes out with one write(2), so that lines of several processes do
 * not mix. There is nothing to do when stderr does not take it. */
__attribute__((format(printf, 1, 0))) static void print_line(
    const char *format, va_list va)
{
    char line[LINE_MAX_BYTES];
    int used;
    if (reporting_command != NULL)
        used = snprintf(line, sizeof(line), "shmq: %s: ", reporting_command);
    else
        used = snprintf(line, sizeof(line), "shmq: ");
    size_t at = used > 0 ? (size_t)used : 0;
    int more = vsnprintf(line + at, sizeof(line) - at, format, va);
    if (more < 0)
        return;
    blank_controls(line);
    size_t len = strlen(line);
    if (len > sizeof(line) - 2)
        len = sizeof(line) - 2;
    line[len] = '\n';
    ssize_t written = write(STDERR_FILENO, line, len + 1);
    (void)written;
}

int cli_fail(int status, const char *format, ...)
{
    va_list va;
    va_start(va, format);
    print_line(format, va);
    va_end(va);
    return status;
}

void cli_note(const char *format, ...)
{
    va_list va;
    va_start(va, format);
    print_line(format, va);
    va_end(va);
}

int cli_status_of(int rc)
{
    switch (rc) {
    case SHMQ_OK:
        return CLI_DONE;
    case SHMQ_ERR_INVAL:
        return CLI_USAGE;
    case SHMQ_ERR_TIMEOUT:
        return CLI_TIMEOUT;
    case SHMQ_ERR_NOENT:
        return CLI_MISSING;
    case SHMQ_ERR_EXISTS:
    case SHMQ_ERR_BUSY:
        return CLI_IN_USE;
    case SHMQ_ERR_PERM:
        return CLI_PERMISSION;
    case SHMQ_ERR_FULL:
    case SHMQ_ERR_TOO_LARGE:
    case SHMQ_ERR_NOSPACE:
    case SHMQ_ERR_LIMIT:
        return CLI_NO_ROOM;
    case SHMQ_ERR_LAYOUT:
    case SHMQ_ERR_CORRUPT:
        return CLI_DAMAGED;
    case SHMQ_ERR_NODAEMON:
        return CLI_NO_DAEMON;
    default:
        return CLI_FAILED;
    }
}

/* FULL, EMPTY and GAP leave the library's text alone: what it holds then is
 * about some earlier call. */
static bool has_own_text(int rc)
{
    return rc != SHMQ_ERR_FULL && rc != SHMQ_ERR_EMPTY && rc != SHMQ_ERR_GAP;
}

/* What to do, where the library's sentence does not say. */
static const char *advice_for(int rc)
{
    switch (lib_error_errno()) {
    case EMFILE:
        return "raise the limit of open files (ulimit -n)";
    case ENFILE:
        return "the host has too many open files; see sysctl fs.file-max";
    case ENOSPC:
        return "free space, or files, or make it larger";
    case ENOMEM:
        return "free memory, or raise the limit (ulimit -v)";
    default:
        break;
    }
    switch (rc) {
    case SHMQ_ERR_NOENT:
        return "check the name, or make it first";
    case SHMQ_ERR_EXISTS:
        return "use it as it is, or take another name";
    case SHMQ_ERR_BUSY:
        return "end its users first";
    case SHMQ_ERR_PERM:
        return "ask its owner, or root";
    case SHMQ_ERR_CLOSED:
        return "start again when it is there again";
    case SHMQ_ERR_LAYOUT:
    case SHMQ_ERR_CORRUPT:
        return "remove it with shmq rm --force";
    case SHMQ_ERR_READ_ONLY:
        return "look at its disk and at what shmqd logged, restart shmqd, then "
               "publish the rest again";
    default:
        return "see shmq help";
    }
}

/* What happened, where the library says nothing but the result. */
static const char *what_happened(int rc)
{
    return rc == SHMQ_ERR_READ_ONLY
        ? "takes no records, because shmqd could not write to its disk"
        : NULL;
}

int cli_fail_rc_with(int rc, const char *thing, const char *more)
{
    const char *text = has_own_text(rc) ? lib_error_text() : NULL;
    const char *sep = more[0] == '\0' ? "" : "; ";
    int status = cli_status_of(rc);
    bool silent = text == NULL || text[0] == '\0';
    if (silent && what_happened(rc) != NULL)
        return cli_fail(status, "%s: %s; %s%s%s", thing, what_happened(rc),
            advice_for(rc), sep, more);
    if (silent)
        return cli_fail(status, "%s: the library returned %s; %s%s%s", thing,
            shmq_err_name(rc), advice_for(rc), sep, more);
    if (strstr(text, "; ") == NULL)
        return cli_fail(status, "%s; %s%s%s", text, advice_for(rc), sep, more);
    return cli_fail(status, "%s%s%s", text, sep, more);
}

int cli_fail_rc(int rc, const char *thing)
{
    return cli_fail_rc_with(rc, thing, "");
}

int cli_fail_errno(int err, const char *thing, const char *advice)
{
    int status = CLI_FAILED;
    if (err == ENOENT)
        status = CLI_MISSING;
    else if (err == EACCES || err == EPERM)
        status = CLI_PERMISSION;
    else if (err == ENOSPC || err == EFBIG || err == EDQUOT)
        status = CLI_NO_ROOM;
    return cli_fail(status, "%s: %s; %s", thing, strerror(err), advice);
}
