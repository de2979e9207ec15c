/* cli.h - what every file of the `shmq` command needs: exit statuses, the form
 * of a command, and the one-line messages on stderr.
 *
 * stdout carries data only. Every failure is one line on stderr,
 *     shmq: COMMAND: THING: what happened; what to do
 * and one of the exit statuses below; whoever prints the line returns the
 * status, so that no failure is told twice or not at all. */
#ifndef SHMQ_CLI_H
#define SHMQ_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include <shmq.h>

enum cli_status {
    CLI_DONE = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_TIMEOUT = 3,
    CLI_MISSING = 4, /* no such topic, group or file */
    CLI_IN_USE = 5, /* exists, busy */
    CLI_PERMISSION = 6, /* not permitted */
    CLI_NO_ROOM = 7, /* full, too large, a limit */
    CLI_DAMAGED = 8, /* damaged, another layout or format */
    CLI_NO_DAEMON = 9, /* shmqd needed and not there */
    CLI_SIGNALLED = 128, /* plus the signal's number */
    CLI_PIPE = 141 /* stdout was closed; never with a message */
};

struct cli_args; /* see cli_options.h */
struct cli_option_help;

/* One command: how it is called, what it says about itself, what it does. The
 * same tables drive the parser and --help, so they cannot differ. */
struct cli_command {
    const char *name; /* "pub", "group reset" */
    const char *operands;
    uint32_t operand_min;
    uint32_t operand_max;
    const char *summary; /* one line */
    const struct cli_option_help *opts; /* ends with CLI_OPT_NONE */
    const struct cli_option_help *more_opts; /* shared ones, or NULL */
    const char *notes; /* after the options; may be NULL */
    const char *examples;
    bool far; /* works through a bridge, too (--remote) */
    bool anywhere; /* is about no topic: SHMQ_REMOTE does not matter */
    int (*run)(const struct cli_args *args); /* returns an exit status */
};

/* All commands, ended by NULL; the order of `shmq help`. */
extern const struct cli_command *const cli_commands[];

/* Names the command that messages are about; NULL before it is known. */
void cli_report_for(const char *command);

/* Print one line on stderr; control characters in it are made visible. The
 * first returns `status`, so `return cli_fail(...)` reads well. */
int cli_fail(int status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void cli_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The exit status that stands for a result of the library. */
int cli_status_of(int rc);

/* Report the library's last error: its own sentence, or, where it has none,
 * one made of `thing` and the result's name. cli_fail_rc_with() puts `more`
 * behind it. */
int cli_fail_rc(int rc, const char *thing);
int cli_fail_rc_with(int rc, const char *thing, const char *more);

/* Reports that a system call on `thing` failed with errno value `err`. */
int cli_fail_errno(int err, const char *thing, const char *advice);

#endif
