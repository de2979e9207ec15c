/* cli_options.h - the command line: `shmq [OPTION...] COMMAND [ARG...]`.
 *
 * Options stand before or after the command, as --o V or --o=V; `--` ends
 * them. An option takes a value in all commands or in none, so the line can be
 * read before the command is known. */
#ifndef SHMQ_CLI_OPTIONS_H
#define SHMQ_CLI_OPTIONS_H

#include "cli.h"

enum cli_opt {
    CLI_OPT_NONE = 0,
    CLI_OPT_ABSENT,
    CLI_OPT_ACK,
    CLI_OPT_ALL,
    CLI_OPT_ARENA,
    CLI_OPT_ASYMMETRIC,
    CLI_OPT_BATCH,
    CLI_OPT_CAPACITY,
    CLI_OPT_CONNECT_TIMEOUT,
    CLI_OPT_COUNT,
    CLI_OPT_DATA,
    CLI_OPT_DATA_MODE,
    CLI_OPT_DEAD_LETTER,
    CLI_OPT_DRY_RUN,
    CLI_OPT_DURABILITY,
    CLI_OPT_EXCLUSIVE,
    CLI_OPT_EXIT_WHEN_EMPTY,
    CLI_OPT_EXPIRED,
    CLI_OPT_FILE,
    CLI_OPT_FOR,
    CLI_OPT_FORCE,
    CLI_OPT_FORMAT,
    CLI_OPT_FROM,
    CLI_OPT_GROUP,
    CLI_OPT_GROUP_OWNER,
    CLI_OPT_HEADER,
    CLI_OPT_HELP,
    CLI_OPT_HUGE,
    CLI_OPT_IF_EXISTS,
    CLI_OPT_IF_MISSING,
    CLI_OPT_INTERVAL,
    CLI_OPT_JSON,
    CLI_OPT_KEY,
    CLI_OPT_KEY_FILE,
    CLI_OPT_KILL,
    CLI_OPT_LEASE,
    CLI_OPT_MAX_ATTEMPTS,
    CLI_OPT_MAX_GROUPS,
    CLI_OPT_MAX_LAG_BYTES,
    CLI_OPT_MAX_MEMBERS,
    CLI_OPT_MAX_MESSAGE,
    CLI_OPT_MAX_PRODUCERS,
    CLI_OPT_MLOCK,
    CLI_OPT_MODE,
    CLI_OPT_NAMESPACE,
    CLI_OPT_NO_CREATE,
    CLI_OPT_ON_FULL,
    CLI_OPT_OWNER,
    CLI_OPT_POSITIONS,
    CLI_OPT_PREFAULT,
    CLI_OPT_PREFETCH,
    CLI_OPT_RATE,
    CLI_OPT_READ,
    CLI_OPT_REMOTE,
    CLI_OPT_RETAIN_AGE,
    CLI_OPT_RETAIN_BYTES,
    CLI_OPT_RETAIN_CONSUMED,
    CLI_OPT_RING,
    CLI_OPT_SCHEMA,
    CLI_OPT_SERVER_KEY,
    CLI_OPT_TIMEOUT,
    CLI_OPT_TIMESTAMPS,
    CLI_OPT_TO,
    CLI_OPT_TOPIC,
    CLI_OPT_TTL,
    CLI_OPT_VERSION,
    CLI_OPT_WAIT,
    CLI_OPT_WINDOW,
    CLI_OPT_CNT
};

/* One line of a command's option table; `text` says what it does and its
 * default, and may hold line breaks. */
struct cli_option_help {
    enum cli_opt opt;
    const char *text;
};

struct cli_option_use {
    enum cli_opt opt;
    const char *value; /* NULL for a flag */
};

/* A parsed line. All strings are those of argv. */
struct cli_args {
    const struct cli_command *command; /* NULL: none was named */
    const char **operands;
    uint32_t operand_cnt;
    struct cli_option_use *uses; /* in the order of the line */
    uint32_t use_cnt;
};

/* Reads the line. Returns CLI_DONE, or CLI_USAGE after having said why. Does
 * not check the number of operands: --help goes before that. */
int cli_args_parse(int argc, char **argv, struct cli_args *ret);
void cli_args_free(struct cli_args *args);

/* Says what is missing or too much among the operands. */
int cli_args_check_operands(const struct cli_args *args);

/* The value of an option given last, or NULL; whether it was given at all. */
const char *cli_opt_value(const struct cli_args *args, enum cli_opt opt);
bool cli_opt_given(const struct cli_args *args, enum cli_opt opt);

/* Name with its dashes, and the name of its value or NULL for a flag. */
const char *cli_opt_name(enum cli_opt opt);
const char *cli_opt_placeholder(enum cli_opt opt);

/* The command called `name`, or NULL. */
const struct cli_command *cli_command_find(const char *name);

#endif
