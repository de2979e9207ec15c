/* cmd_stat.c - `shmq stat` and `shmq groups`: what goes on in a topic. */
#include "commands.h"

#include "cli_options.h"
#include "cli_optval.h"
#include "topic_view.h"

/* Which part is shown, as text and as JSON. */
struct shown {
    void (*text)(const struct topic_view *view, struct cli_out *out);
    void (*json)(const struct topic_view *view, struct cli_json *json);
};

static int show(const struct cli_args *args, const struct shown *shown)
{
    struct topic_view view;
    struct cli_out out = {NULL, 0, 0};
    struct cli_json json = {&out, false};
    int status = topic_view_open(cli_namespace(args), args->operands[0], &view);
    if (status == CLI_DONE) {
        if (cli_opt_given(args, CLI_OPT_JSON)) {
            shown->json(&view, &json);
            cli_out_char(&out, '\n');
        } else {
            shown->text(&view, &out);
        }
        status = cli_out_flush(&out);
    }
    topic_view_close(&view);
    cli_out_free(&out);
    return status;
}

static int run_stat(const struct cli_args *args)
{
    static const struct shown all = {topic_view_text, topic_view_json};
    return show(args, &all);
}

static int run_groups(const struct cli_args *args)
{
    static const struct shown groups = {
        topic_view_groups_text, topic_view_groups_json};
    return show(args, &groups);
}

static const struct cli_option_help stat_opts[] = {
    {CLI_OPT_JSON, "print one JSON object"},
    {CLI_OPT_NONE, NULL},
};

static const struct cli_option_help groups_opts[] = {
    {CLI_OPT_JSON, "print one JSON array of objects"},
    {CLI_OPT_NONE, NULL},
};

const struct cli_command cmd_stat = {
    .name = "stat",
    .operands = "TOPIC",
    .operand_min = 1,
    .operand_max = 1,
    .summary = "show a topic: attributes, positions, groups, endpoints",
    .opts = stat_opts,
    .notes =
        "Looking changes nothing and holds nobody up. Each number is right "
        "for\n"
        "some moment, not all for the same one. Whoever holds producers up is\n"
        "named: \"held up by pid N, stopped\"; `shmq group evict` ends it.\n",
    .examples = "  shmq stat orders\n"
                "  shmq stat orders --json | jq .depth.messages\n",
    .far = true,
    .run = run_stat,
};

const struct cli_command cmd_groups = {
    .name = "groups",
    .operands = "TOPIC",
    .operand_min = 1,
    .operand_max = 1,
    .summary = "show the groups of a topic",
    .opts = groups_opts,
    .notes =
        "LAG is what is published and not done by the group. A topic without\n"
        "groups prints nothing.\n",
    .examples = "  shmq groups orders\n"
                "  shmq groups orders --json | jq '.[].lag_messages'\n",
    .far = true,
    .run = run_groups,
};
