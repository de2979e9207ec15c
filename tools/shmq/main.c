/* main.c - the `shmq` command: reads the line, runs the command it names. */
#include "commands.h"

#include <stdlib.h>

#include "cli_help.h"
#include "cli_options.h"
#include "cli_out.h"
#include "cli_signals.h"
#include "lib.h"

const struct cli_command *const cli_commands[] = {
    &cmd_create,
    &cmd_pub,
    &cmd_sub,
    &cmd_ls,
    &cmd_stat,
    &cmd_groups,
    &cmd_group,
    &cmd_group_create,
    &cmd_group_reset,
    &cmd_group_rm,
    &cmd_group_evict,
    &cmd_rm,
    &cmd_cat,
    &cmd_set,
    &cmd_top,
    &cmd_events,
    &cmd_doctor,
    &cmd_health,
    &cmd_keygen,
    &cmd_log,
    &cmd_help,
    NULL,
};

static int print_version(void)
{
    struct cli_out out = {NULL, 0, 0};
    cli_out_format(&out, "shmq %s\n", shmq_version());
    int status = cli_out_flush(&out);
    cli_out_free(&out);
    return status;
}

/* Who lives with SHMQ_REMOTE set does not mean this host by accident. */
static int check_here(void)
{
    const char *remote = getenv("SHMQ_REMOTE");
    if (remote == NULL || *remote == '\0')
        return CLI_DONE;
    return cli_fail(CLI_USAGE,
        "SHMQ_REMOTE: is for pub, sub, ls, stat and groups; unset it, this "
        "command works on its own host only");
}

/* --help goes before what else may be wrong with the line. */
static int run_line(const struct cli_args *args)
{
    if (args->command == NULL) {
        if (cli_opt_given(args, CLI_OPT_HELP))
            return cli_help_all();
        if (cli_opt_given(args, CLI_OPT_VERSION))
            return print_version();
        return cli_fail(CLI_USAGE, "COMMAND: missing; see shmq help");
    }
    if (cli_opt_given(args, CLI_OPT_HELP))
        return cli_help_command(args->command);
    /* The library takes "" as "not given". */
    const char *ns = cli_opt_value(args, CLI_OPT_NAMESPACE);
    if (ns != NULL && ns[0] == '\0')
        return cli_fail(
            CLI_USAGE, "--namespace: is empty; give 1 to 32 of A-Za-z0-9_-");
    int status = cli_args_check_operands(args);
    if (status == CLI_DONE && args->command->far)
        status = lib_begin(args);
    else if (status == CLI_DONE && !args->command->anywhere)
        status = check_here();
    if (status == CLI_DONE)
        status = args->command->run(args);
    lib_end();
    return status;
}

int main(int argc, char **argv)
{
    struct cli_args args;
    cli_streams_init();
    int status = cli_args_parse(argc, argv, &args);
    if (status == CLI_DONE)
        status = run_line(&args);
    cli_args_free(&args);
    return status;
}
