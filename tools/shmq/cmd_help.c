/* cmd_help.c - `shmq help` and --help, out of the commands' tables. */
#include "commands.h"

#include <stdio.h>
#include <string.h>

#include "cli_help.h"
#include "cli_out.h"
#include "service/suggest.h"

enum { INDENT = 6 };

static const char exit_statuses[] =
    "Exit status:\n"
    "  0 done          1 failed       2 usage         3 timed out\n"
    "  4 no such topic, group or file 5 exists, busy, in use\n"
    "  6 not permitted 7 does not fit: full, too large, a limit\n"
    "  8 damaged, or another layout or format\n"
    "  9 shmqd needed and not reachable\n"
    "  128+N ended by signal N (closed stdout: 141)\n";

static const char formats[] =
    "SIZE      integer, optionally with K, M or G (1024)\n"
    "DURATION  number with us, ms, s, m, h or d; bare: seconds\n"
    "POSITION  decimal, as printed\n"
    "TIME      RFC 3339, @UNIX[.fraction], or -DURATION (ago)\n";

/* Text of several lines, each behind an indent. */
static void put_indented(struct cli_out *out, const char *text)
{
    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        cli_out_format(out, "%*s", INDENT, "");
        cli_out_bytes(out, text, len);
        cli_out_char(out, '\n');
        text += len + (text[len] == '\n');
    }
}

static void put_option(struct cli_out *out, enum cli_opt opt, const char *text)
{
    const char *placeholder = cli_opt_placeholder(opt);
    cli_out_format(out, "  %s%s%s\n", cli_opt_name(opt),
        placeholder != NULL ? " " : "", placeholder != NULL ? placeholder : "");
    put_indented(out, text);
}

static void put_table(struct cli_out *out, const struct cli_option_help *table)
{
    for (; table != NULL && table->opt != CLI_OPT_NONE; table++)
        put_option(out, table->opt, table->text);
}

static const struct cli_option_help far_opts[] = {
    {CLI_OPT_REMOTE,
        "work through the shmq-bridge at EP, tcp://HOST:5570 (SHMQ_REMOTE)"},
    {CLI_OPT_SERVER_KEY,
        "the bridge's public key, or a file that holds it: encrypt (none)"},
    {CLI_OPT_KEY_FILE,
        "own secret key, of `shmq keygen F` (a new one for each run)"},
    {CLI_OPT_CONNECT_TIMEOUT,
        "how long to wait for the bridge, and for each of its answers (5s)"},
    {CLI_OPT_NONE, NULL},
};

int cli_help_command(const struct cli_command *command)
{
    struct cli_out out = {NULL, 0, 0};
    cli_out_format(&out, "shmq %s - %s\n\nUsage: shmq %s %s%s[OPTION...]\n\n",
        command->name, command->summary, command->name, command->operands,
        command->operands[0] != '\0' ? " " : "");
    cli_out_text(&out,
        "Options (before or after the command, --o V or "
        "--o=V; defaults in brackets):\n");
    put_table(&out, command->opts);
    put_table(&out, command->more_opts);
    put_option(&out, CLI_OPT_NAMESPACE,
        "set of topics, [A-Za-z0-9_-]{1,32} (SHMQ_NAMESPACE, else default)");
    if (command->far)
        put_table(&out, far_opts);
    put_option(&out, CLI_OPT_HELP, "print this");
    cli_out_char(&out, '\n');
    if (command->notes != NULL) {
        cli_out_text(&out, command->notes);
        cli_out_char(&out, '\n');
    }
    cli_out_text(&out, formats);
    cli_out_text(&out, "\nExamples:\n");
    cli_out_text(&out, command->examples);
    cli_out_char(&out, '\n');
    cli_out_text(&out, exit_statuses);
    int status = cli_out_flush(&out);
    cli_out_free(&out);
    return status;
}

int cli_help_all(void)
{
    struct cli_out out = {NULL, 0, 0};
    cli_out_text(&out,
        "shmq - messages between the processes of one host\n\n"
        "Usage: shmq [OPTION...] COMMAND [ARGUMENT...] [OPTION...]\n\n"
        "Commands:\n");
    for (uint32_t i = 0; cli_commands[i] != NULL; i++)
        cli_out_format(&out, "  %-14s %s\n", cli_commands[i]->name,
            cli_commands[i]->summary);
    cli_out_text(&out,
        "\nshmq help COMMAND, or shmq COMMAND --help: all about a command.\n"
        "shmq --version: the version.\n\n");
    put_option(&out, CLI_OPT_NAMESPACE,
        "set of topics, [A-Za-z0-9_-]{1,32} (SHMQ_NAMESPACE, else default)");
    cli_out_char(&out, '\n');
    cli_out_text(&out, formats);
    cli_out_char(&out, '\n');
    cli_out_text(&out, exit_statuses);
    int status = cli_out_flush(&out);
    cli_out_free(&out);
    return status;
}

static int run_help(const struct cli_args *args)
{
    char name[64];
    struct shmqs_nearest nearest;
    if (args->operand_cnt == 0)
        return cli_help_all();
    snprintf(name, sizeof(name), "%s%s%s", args->operands[0],
        args->operand_cnt > 1 ? " " : "",
        args->operand_cnt > 1 ? args->operands[1] : "");
    const struct cli_command *command = cli_command_find(name);
    if (command != NULL)
        return cli_help_command(command);
    shmqs_nearest_begin(&nearest, name);
    for (uint32_t i = 0; cli_commands[i] != NULL; i++)
        shmqs_nearest_offer(&nearest, cli_commands[i]->name);
    const char *meant = shmqs_nearest_word(&nearest);
    return cli_fail(CLI_USAGE, "%s: no such command; %s%s%s", name,
        *meant != '\0' ? "did you mean " : "see shmq help", meant,
        *meant != '\0' ? "?" : "");
}

static const struct cli_option_help help_opts[] = {
    {CLI_OPT_NONE, NULL},
};

const struct cli_command cmd_help = {
    .name = "help",
    .operands = "[COMMAND]",
    .operand_min = 0,
    .operand_max = 2,
    .summary = "explain a command",
    .opts = help_opts,
    .notes = NULL,
    .examples = "  shmq help\n"
                "  shmq help group reset\n",
    .anywhere = true,
    .run = run_help,
};
