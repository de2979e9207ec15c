/* cli_options.c - reads the command line against the commands' tables. */
#include "cli_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli_mem.h"
#include "service/suggest.h"

struct option_name {
    const char *name;
    const char *placeholder; /* NULL: a flag */
};

static const struct option_name option_names[CLI_OPT_CNT] = {
    [CLI_OPT_NONE] = {"", NULL},
    [CLI_OPT_ABSENT] = {"--absent", "keep|release"},
    [CLI_OPT_ACK] = {"--ack", "after|before|none"},
    [CLI_OPT_ALL] = {"--all", NULL},
    [CLI_OPT_ARENA] = {"--arena", "SIZE"},
    [CLI_OPT_ASYMMETRIC] = {"--asymmetric", NULL},
    [CLI_OPT_BATCH] = {"--batch", "N"},
    [CLI_OPT_CAPACITY] = {"--capacity", "FRAMES"},
    [CLI_OPT_CONNECT_TIMEOUT] = {"--connect-timeout", "D"},
    [CLI_OPT_COUNT] = {"--count", "N"},
    [CLI_OPT_DATA] = {"--data", NULL},
    [CLI_OPT_DATA_MODE] = {"--data-mode", "OCTAL"},
    [CLI_OPT_DEAD_LETTER] = {"--dead-letter", "TOPIC"},
    [CLI_OPT_DRY_RUN] = {"--dry-run", NULL},
    [CLI_OPT_DURABILITY] = {"--durability", "none|os|disk"},
    [CLI_OPT_EXCLUSIVE] = {"--exclusive", NULL},
    [CLI_OPT_EXIT_WHEN_EMPTY] = {"--exit-when-empty", NULL},
    [CLI_OPT_EXPIRED] = {"--expired", "skip|dead-letter"},
    [CLI_OPT_FILE] = {"--file", "F"},
    [CLI_OPT_FOR] = {"--for", "DURATION"},
    [CLI_OPT_FORCE] = {"--force", NULL},
    [CLI_OPT_FORMAT] = {"--format", "lines|json|length-prefixed"},
    [CLI_OPT_FROM] = {"--from", "earliest|latest|POSITION|TIME"},
    [CLI_OPT_GROUP] = {"--group", "G"},
    [CLI_OPT_GROUP_OWNER] = {"--group-owner", "GROUP"},
    [CLI_OPT_HEADER] = {"--header", "N=V"},
    [CLI_OPT_HELP] = {"--help", NULL},
    [CLI_OPT_HUGE] = {"--huge", NULL},
    [CLI_OPT_IF_EXISTS] = {"--if-exists", NULL},
    [CLI_OPT_IF_MISSING] = {"--if-missing", NULL},
    [CLI_OPT_INTERVAL] = {"--interval", "DURATION"},
    [CLI_OPT_JSON] = {"--json", NULL},
    [CLI_OPT_KEY] = {"--key", "K"},
    [CLI_OPT_KEY_FILE] = {"--key-file", "F"},
    [CLI_OPT_KILL] = {"--kill", NULL},
    [CLI_OPT_LEASE] = {"--lease", "DURATION"},
    [CLI_OPT_MAX_ATTEMPTS] = {"--max-attempts", "N"},
    [CLI_OPT_MAX_GROUPS] = {"--max-groups", "N"},
    [CLI_OPT_MAX_LAG_BYTES] = {"--max-lag-bytes", "SIZE"},
    [CLI_OPT_MAX_MEMBERS] = {"--max-members", "N"},
    [CLI_OPT_MAX_MESSAGE] = {"--max-message", "SIZE"},
    [CLI_OPT_MAX_PRODUCERS] = {"--max-producers", "N"},
    [CLI_OPT_MLOCK] = {"--mlock", NULL},
    [CLI_OPT_MODE] = {"--mode", "OCTAL"},
    [CLI_OPT_NAMESPACE] = {"--namespace", "NS"},
    [CLI_OPT_NO_CREATE] = {"--no-create", NULL},
    [CLI_OPT_ON_FULL] = {"--on-full", "block|drop-new|drop-old"},
    [CLI_OPT_OWNER] = {"--owner", "USER"},
    [CLI_OPT_POSITIONS] = {"--positions", NULL},
    [CLI_OPT_PREFAULT] = {"--prefault", NULL},
    [CLI_OPT_PREFETCH] = {"--prefetch", "N"},
    [CLI_OPT_RATE] = {"--rate", "N"},
    [CLI_OPT_READ] = {"--read", "published|durable"},
    [CLI_OPT_REMOTE] = {"--remote", "EP"},
    [CLI_OPT_RETAIN_AGE] = {"--retain-age", "DURATION"},
    [CLI_OPT_RETAIN_BYTES] = {"--retain-bytes", "SIZE"},
    [CLI_OPT_RETAIN_CONSUMED] = {"--retain-consumed", "all|GROUPS"},
    [CLI_OPT_RING] = {"--ring", "mpmc|spsc"},
    [CLI_OPT_SCHEMA] = {"--schema", "NAME:VERSION"},
    [CLI_OPT_SERVER_KEY] = {"--server-key", "K"},
    [CLI_OPT_TIMEOUT] = {"--timeout", "DURATION"},
    [CLI_OPT_TIMESTAMPS] = {"--timestamps", "off|frame|record"},
    [CLI_OPT_TO] = {"--to", "earliest|latest|POSITION|TIME"},
    [CLI_OPT_TOPIC] = {"--topic", "TOPIC"},
    [CLI_OPT_TTL] = {"--ttl", "DURATION"},
    [CLI_OPT_VERSION] = {"--version", NULL},
    [CLI_OPT_WAIT] = {"--wait", "published|written|durable"},
    [CLI_OPT_WINDOW] = {"--window", "N"},
};

const char *cli_opt_name(enum cli_opt opt)
{
    return option_names[opt].name;
}

const char *cli_opt_placeholder(enum cli_opt opt)
{
    return option_names[opt].placeholder;
}

const struct cli_command *cli_command_find(const char *name)
{
    for (uint32_t i = 0; cli_commands[i] != NULL; i++) {
        if (strcmp(cli_commands[i]->name, name) == 0)
            return cli_commands[i];
    }
    return NULL;
}

/* Accepted by every command, beside those of its table. */
static bool opt_is_common(enum cli_opt opt)
{
    return opt == CLI_OPT_NAMESPACE || opt == CLI_OPT_HELP;
}

static bool table_has(const struct cli_option_help *table, enum cli_opt opt)
{
    for (; table != NULL && table->opt != CLI_OPT_NONE; table++) {
        if (table->opt == opt)
            return true;
    }
    return false;
}

static bool opt_is_far(enum cli_opt opt)
{
    return opt == CLI_OPT_REMOTE || opt == CLI_OPT_KEY_FILE ||
        opt == CLI_OPT_SERVER_KEY || opt == CLI_OPT_CONNECT_TIMEOUT;
}

static bool command_takes(const struct cli_command *command, enum cli_opt opt)
{
    return opt_is_common(opt) || (command->far && opt_is_far(opt)) ||
        table_has(command->opts, opt) || table_has(command->more_opts, opt);
}

/* The option whose name is the first `len` bytes of `arg`. */
static enum cli_opt opt_find(const char *arg, size_t len)
{
    for (int i = CLI_OPT_NONE + 1; i < CLI_OPT_CNT; i++) {
        const char *name = option_names[i].name;
        if (strlen(name) == len && memcmp(name, arg, len) == 0)
            return (enum cli_opt)i;
    }
    return CLI_OPT_NONE;
}

/* `what` for an option name that `command` (NULL: nobody yet) does not know. */
static int unknown_option(
    const struct cli_command *command, const char *arg, const char *what)
{
    char name[64];
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(arg, "="), arg);
    struct shmqs_nearest nearest;
    shmqs_nearest_begin(&nearest, name);
    for (int i = CLI_OPT_NONE + 1; i < CLI_OPT_CNT; i++) {
        if (command == NULL || command_takes(command, (enum cli_opt)i))
            shmqs_nearest_offer(&nearest, option_names[i].name);
    }
    const char *help = command != NULL ? command->name : "";
    const char *meant = shmqs_nearest_word(&nearest);
    return cli_fail(CLI_USAGE, "%s: %s; %s%s%ssee shmq help%s%s", name, what,
        *meant != '\0' ? "did you mean " : "", meant,
        *meant != '\0' ? "? " : "", *help != '\0' ? " " : "", help);
}

/* Within `group` the words behind it are meant. */
static int unknown_command(const char *word, const char *prefix)
{
    struct shmqs_nearest nearest;
    shmqs_nearest_begin(&nearest, word);
    size_t skip = strlen(prefix);
    for (uint32_t i = 0; cli_commands[i] != NULL; i++) {
        const char *name = cli_commands[i]->name;
        if (strncmp(name, prefix, skip) == 0)
            shmqs_nearest_offer(&nearest, name + skip);
    }
    const char *meant = shmqs_nearest_word(&nearest);
    if (*meant == '\0')
        return cli_fail(CLI_USAGE, "%s: no such command; see shmq help", word);
    return cli_fail(CLI_USAGE,
        "%s: no such command; did you mean %s%s? see shmq help", word, prefix,
        meant);
}

/* Takes the option at argv[*idx] and, when it stands apart, its value. */
static int take_option(struct cli_args *args, int argc, char **argv, int *idx)
{
    const char *arg = argv[*idx];
    size_t len = strcspn(arg, "=");
    enum cli_opt opt = opt_find(arg, len);
    if (opt == CLI_OPT_NONE)
        return unknown_option(args->command, arg, "unknown option");
    struct cli_option_use *use = &args->uses[args->use_cnt++];
    use->opt = opt;
    use->value = NULL;
    if (cli_opt_placeholder(opt) == NULL) {
        if (arg[len] != '\0')
            return cli_fail(CLI_USAGE, "%s: takes no value; leave out \"%s\"",
                cli_opt_name(opt), arg + len);
        return CLI_DONE;
    }
    if (arg[len] == '=') {
        use->value = arg + len + 1;
        return CLI_DONE;
    }
    if (*idx + 1 >= argc)
        return cli_fail(CLI_USAGE, "%s: its value is missing; give %s %s",
            cli_opt_name(opt), cli_opt_name(opt), cli_opt_placeholder(opt));
    use->value = argv[++*idx];
    return CLI_DONE;
}

/* The first word names the command, for `group` the first two do. */
static int take_word(struct cli_args *args, const char *word, bool *in_group)
{
    if (args->command != NULL) {
        args->operands[args->operand_cnt++] = word;
        return CLI_DONE;
    }
    char name[64];
    snprintf(name, sizeof(name), "%s%s", *in_group ? "group " : "", word);
    if (!*in_group && strcmp(word, "group") == 0) {
        *in_group = true;
        cli_report_for(word);
        return CLI_DONE;
    }
    args->command = cli_command_find(name);
    if (args->command == NULL)
        return unknown_command(word, *in_group ? "group " : "");
    cli_report_for(args->command->name);
    return CLI_DONE;
}

/* Options may stand before the command, so this can only be told at the end. */
static int check_options(const struct cli_args *args)
{
    for (uint32_t i = 0; i < args->use_cnt; i++) {
        const char *name = cli_opt_name(args->uses[i].opt);
        if (!command_takes(args->command, args->uses[i].opt))
            return unknown_option(
                args->command, name, "not an option of this command");
    }
    return CLI_DONE;
}

int cli_args_parse(int argc, char **argv, struct cli_args *ret)
{
    bool in_group = false, options_end = false;
    memset(ret, 0, sizeof(*ret));
    ret->operands = cli_alloc((size_t)argc + 1, sizeof(*ret->operands));
    ret->uses = cli_alloc((size_t)argc + 1, sizeof(*ret->uses));
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        int status;
        if (!options_end && strcmp(arg, "--") == 0) {
            options_end = true;
            continue;
        }
        /* A single dash is a word: it stands for stdin. */
        if (!options_end && arg[0] == '-' && arg[1] != '\0')
            status = take_option(ret, argc, argv, &i);
        else
            status = take_word(ret, arg, &in_group);
        if (status != CLI_DONE)
            return status;
    }
    if (ret->command != NULL)
        return check_options(ret);
    if (in_group)
        ret->command = cli_command_find("group");
    return CLI_DONE;
}

void cli_args_free(struct cli_args *args)
{
    free(args->operands);
    free(args->uses);
    memset(args, 0, sizeof(*args));
}

int cli_args_check_operands(const struct cli_args *args)
{
    const struct cli_command *command = args->command;
    if (args->operand_cnt > command->operand_max)
        return cli_fail(CLI_USAGE,
            "%s: one argument too many; give: shmq %s%s%s",
            args->operands[command->operand_max], command->name,
            command->operands[0] != '\0' ? " " : "", command->operands);
    if (args->operand_cnt < command->operand_min)
        return cli_fail(CLI_USAGE,
            "%s: an argument is missing; give: shmq %s %s", command->operands,
            command->name, command->operands);
    return CLI_DONE;
}

const char *cli_opt_value(const struct cli_args *args, enum cli_opt opt)
{
    for (uint32_t i = args->use_cnt; i > 0; i--) {
        if (args->uses[i - 1].opt == opt)
            return args->uses[i - 1].value;
    }
    return NULL;
}

bool cli_opt_given(const struct cli_args *args, enum cli_opt opt)
{
    for (uint32_t i = 0; i < args->use_cnt; i++) {
        if (args->uses[i].opt == opt)
            return true;
    }
    return false;
}
