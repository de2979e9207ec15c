/* settings.h - the options of a daemon, from four places:
 *
 *     command line, else environment, else configuration file, else default
 *
 * A program describes its options once, in a table; line, environment, file
 * and --help are read and written from it. The file is made of `key = value`
 * lines, where a key is an option's name without its dashes, and of sections
 * `[KIND NAME]` with keys of their own. A flag is `yes` or `no` in a file.
 * Whatever is not known is an error that names the nearest known word: a typing
 * error never changes silently what a daemon does.
 *
 * Everything happens at start, in one thread. What is returned lives until
 * shmqs_settings_free(). Errors are one line on stderr,
 *     PROGRAM: PLACE: what is wrong; what to do
 * and an exit status. */
#ifndef SHMQS_SETTINGS_H
#define SHMQS_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

/* Exit statuses of all programs (docs/commands.md). */
enum shmqs_exit {
    SHMQS_EXIT_DONE = 0,
    SHMQS_EXIT_FAILED = 1,
    SHMQS_EXIT_USAGE = 2,
    SHMQS_EXIT_MISSING = 4,
    SHMQS_EXIT_IN_USE = 5,
    SHMQS_EXIT_PERMISSION = 6,
    SHMQS_EXIT_NO_ROOM = 7,
    SHMQS_EXIT_DAMAGED = 8,
    SHMQS_EXIT_OWNED = 75, /* another daemon owns this place */
};

enum shmqs_type {
    SHMQS_FLAG = 0, /* number: 0 or 1; takes no value on the line */
    SHMQS_TEXT = 1, /* not empty */
    SHMQS_NUMBER = 2,
    SHMQS_SIZE = 3, /* number: bytes */
    SHMQS_DURATION = 4, /* number: nanoseconds */
    SHMQS_OCTAL = 5,
    SHMQS_CHOICE = 6, /* placeholder "a|b|c"; number: place from 0 */
};

/* One option. Tables end with a NULL name. */
struct shmqs_option {
    const char *name; /* "data-dir" */
    enum shmqs_type type;
    const char *placeholder; /* "DIR"; NULL for a flag */
    const char *environment; /* "SHMQ_DATA_DIR" or NULL; empty counts as
                              * not set */
    const char *fallback; /* default, written as on the line, or NULL */
    uint64_t min, max; /* of NUMBER, SIZE, DURATION; max 0: no limit */
    bool line_only; /* makes no sense in a file: --check-config */
    const char *help;
};

/* What a `[KIND NAME]` section may hold. Tables end with a NULL kind. */
struct shmqs_section {
    const char *kind;
    const struct shmqs_option *options;
};

/* A program. --help, --version, --config F, --check-config and the two of the
 * log belong to all: SHMQS_COMMON_OPTIONS stands in each table. */
struct shmqs_program {
    const char *name;
    const char *purpose; /* one line */
    const char *notes; /* printed under the options, or NULL */
    const struct shmqs_option *options;
    const struct shmqs_section *sections; /* NULL: none */
};

#define SHMQS_COMMON_OPTIONS \
    {"config", SHMQS_TEXT, "F", "SHMQ_CONFIG", NULL, 0, 0, true, \
        "read settings from file F"}, \
        {"check-config", SHMQS_FLAG, NULL, NULL, NULL, 0, 0, true, \
            "check all settings, do nothing else"}, \
        {"log-format", SHMQS_CHOICE, "text|json", NULL, "text", 0, 0, false, \
            "form of the lines on stderr"}, \
        {"log-level", SHMQS_CHOICE, "error|warning|info|debug", NULL, "info", \
            0, 0, false, "least important lines that are written"}, \
        {"help", SHMQS_FLAG, NULL, NULL, NULL, 0, 0, true, "print this"}, \
    { \
        "version", SHMQS_FLAG, NULL, NULL, NULL, 0, 0, true, \
            "print the version" \
    }

struct shmqs_settings; /* opaque */
struct shmqs_values; /* one set of options: the program's or a section's */

/* Reads line, environment and file. Returns true with *ret_settings, which the
 * caller frees; or false with *ret_status, the status to exit with: --help and
 * --version were answered on stdout (0), or an error was told on stderr. */
bool shmqs_settings_load(const struct shmqs_program *program, int argc,
    char **argv, struct shmqs_settings **ret_settings, int *ret_status);
void shmqs_settings_free(struct shmqs_settings *settings);

/* The program's own values, and those of the sections in the order of the
 * file; NULL behind the last. */
const struct shmqs_values *shmqs_settings_values(
    const struct shmqs_settings *settings);
const struct shmqs_values *shmqs_settings_section(
    const struct shmqs_settings *settings, uint32_t idx);

/* The KIND and the NAME of a section, and the place "FILE:LINE" it starts at,
 * for messages. */
const char *shmqs_section_kind(const struct shmqs_values *section);
const char *shmqs_section_name(const struct shmqs_values *section);
const char *shmqs_section_place(const struct shmqs_values *section);

/* The value of option `name`, which must be in the table. Text: NULL when
 * nothing and no default gave one. Number: 0 then; in nanoseconds, bytes or as
 * the type says. Given: whether line, environment or file did. Place: who gave
 * it ("--io", "SHMQ_DATA_DIR", "FILE:LINE", "default"), for messages. */
const char *shmqs_text(const struct shmqs_values *values, const char *name);
uint64_t shmqs_number(const struct shmqs_values *values, const char *name);
bool shmqs_given(const struct shmqs_values *values, const char *name);
const char *shmqs_place(const struct shmqs_values *values, const char *name);

/* Prints "PROGRAM: PLACE: message" on stderr, control characters made visible,
 * and returns `status`; for what a program itself finds wrong at start. */
int shmqs_settings_fail(const struct shmqs_settings *settings, int status,
    const char *place, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
