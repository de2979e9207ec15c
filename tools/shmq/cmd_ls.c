/* cmd_ls.c - `shmq ls`: the topics of a namespace. */
#include "commands.h"

#include "cli_json.h"
#include "cli_options.h"
#include "cli_optval.h"
#include "cli_out.h"
#include "lib.h"

struct listing {
    struct cli_out out;
    struct cli_json json;
    bool as_json;
};

static int list_topic(void *ctx, const char *topic)
{
    struct listing *listing = ctx;
    if (listing->as_json) {
        cli_json_name(&listing->json, topic);
    } else {
        cli_out_text(&listing->out, topic);
        cli_out_char(&listing->out, '\n');
    }
    return 0;
}

static int run_ls(const struct cli_args *args)
{
    struct listing listing = {{NULL, 0, 0}, {NULL, false}, false};
    listing.json.out = &listing.out;
    listing.as_json = cli_opt_given(args, CLI_OPT_JSON);
    if (listing.as_json)
        cli_json_begin(&listing.json, '[');
    int rc = lib_topic_list(cli_namespace(args), list_topic, &listing);
    int status = CLI_DONE;
    if (rc != SHMQ_OK)
        status = cli_fail_rc(rc, "topics");
    if (listing.as_json) {
        cli_json_end(&listing.json, ']');
        cli_out_char(&listing.out, '\n');
    }
    if (status == CLI_DONE)
        status = cli_out_flush(&listing.out);
    cli_out_free(&listing.out);
    return status;
}

static const struct cli_option_help ls_opts[] = {
    {CLI_OPT_JSON, "print one JSON array of names"},
    {CLI_OPT_NONE, NULL},
};

const struct cli_command cmd_ls = {
    .name = "ls",
    .operands = "",
    .operand_min = 0,
    .operand_max = 0,
    .summary = "list the topics",
    .opts = ls_opts,
    .notes = "Names, one a line, sorted by their bytes. Names that start with "
             "@\nare the system's. An empty namespace prints nothing.\n",
    .examples = "  shmq ls\n"
                "  shmq ls --namespace test --json\n",
    .far = true,
    .run = run_ls,
};
