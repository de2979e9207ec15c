/* cmd_sub.c - `shmq sub`: options and help. */
#include "commands.h"

#include <string.h>

#include "cli_group_opts.h"
#include "cli_optval.h"
#include "cli_signals.h"
#include "sub.h"

static int take_options(const struct cli_args *args, struct sub_options *o)
{
    int status = cli_group_attrs(args, &o->attrs);
    if (status == CLI_DONE)
        status = cli_optval_start(args, CLI_OPT_FROM, &o->from);
    if (status == CLI_DONE)
        status = cli_optval_choice(args, CLI_OPT_ACK, &o->ack);
    if (status == CLI_DONE)
        status = cli_optval_choice(args, CLI_OPT_FORMAT, &o->format);
    if (status == CLI_DONE)
        status = cli_optval_u32(args, CLI_OPT_PREFETCH, 1, 1024, &o->prefetch);
    if (status == CLI_DONE)
        status = cli_optval_u64(args, CLI_OPT_COUNT, 1, UINT64_MAX, &o->count);
    if (status == CLI_DONE)
        status = cli_optval_duration(args, CLI_OPT_TIMEOUT, &o->timeout_ns);
    if (status == CLI_DONE)
        status = cli_optval_duration(args, CLI_OPT_FOR, &o->for_ns);
    uint32_t read = 0;
    if (status == CLI_DONE)
        status = cli_optval_choice(args, CLI_OPT_READ, &read);
    if (cli_opt_given(args, CLI_OPT_READ))
        o->flags |= read == 0 ? SHMQ_CONSUMER_READ_PUBLISHED
                              : SHMQ_CONSUMER_READ_DURABLE;
    o->group = cli_opt_value(args, CLI_OPT_GROUP);
    o->schema = cli_opt_value(args, CLI_OPT_SCHEMA);
    o->exclusive = cli_opt_given(args, CLI_OPT_EXCLUSIVE);
    o->from_given = cli_opt_given(args, CLI_OPT_FROM);
    o->exit_when_empty = cli_opt_given(args, CLI_OPT_EXIT_WHEN_EMPTY);
    return status;
}

/* What is an attribute of a group means nothing without one. */
static int check_options(
    const struct cli_args *args, const struct sub_options *o)
{
    if (o->group != NULL)
        return CLI_DONE;
    if (o->exclusive || cli_group_attrs_given(args))
        return cli_fail(CLI_USAGE,
            "%s: --exclusive, --lease, --absent, --max-attempts and "
            "--dead-letter are a group's; give --group G too",
            o->topic);
    return CLI_DONE;
}

static int run_sub(const struct cli_args *args)
{
    struct sub_options options;
    struct sub sub;
    memset(&options, 0, sizeof(options));
    memset(&sub, 0, sizeof(sub));
    options.ns = cli_namespace(args);
    options.topic = args->operands[0];
    options.timeout_ns = SHMQ_FOREVER;
    options.for_ns = SHMQ_FOREVER;
    int status = take_options(args, &options);
    if (status == CLI_DONE)
        status = check_options(args, &options);
    if (status != CLI_DONE)
        return status;
    sub.options = &options;
    cli_signals_init();
    status = sub_open(&sub);
    if (status == CLI_DONE && !sub.ended)
        status = sub_run(&sub);
    sub_close(&sub);
    return status;
}

static const struct cli_option_help sub_opts[] = {
    {CLI_OPT_GROUP,
        "read as a member of this shared group, made if missing (none: an\n"
        "ephemeral reader, which holds no producer up and reports gaps)"},
    {CLI_OPT_EXCLUSIVE,
        "the group has one living member; a second one gets status 5"},
    {CLI_OPT_FROM,
        "where to start, when the group is made (groups: earliest,\n"
        "ephemeral: latest)"},
    {CLI_OPT_ACK,
        "acknowledge after stdout has taken all bytes of the record,\n"
        "before, or not at all (after)"},
    {CLI_OPT_PREFETCH,
        "frames held at most, 1 to 1024 (shared group: 1, others: 64)"},
    {CLI_OPT_READ,
        "of a durable topic: all that is published, or what has reached its\n"
        "level (groups of disk topics: durable, else published)"},
    {CLI_OPT_SCHEMA, "refuse topics of another schema, status 8 (any)"},
    {CLI_OPT_FORMAT, "how records are printed (lines)"},
    {CLI_OPT_COUNT,
        "end with status 0 after N records written and acknowledged"},
    {CLI_OPT_TIMEOUT,
        "end with status 3 after so long without a record (never)"},
    {CLI_OPT_FOR, "end with status 0 after this total time (never)"},
    {CLI_OPT_EXIT_WHEN_EMPTY,
        "end with status 0 once all that was published has been\n"
        "acknowledged by the group"},
    {CLI_OPT_NONE, NULL},
};

const struct cli_command cmd_sub = {
    .name = "sub",
    .operands = "TOPIC|PATTERN",
    .operand_min = 1,
    .operand_max = 1,
    .summary = "print records as they come",
    .opts = sub_opts,
    .more_opts = cli_group_attr_opts,
    .notes =
        "A pattern is a name with `*`, which stands for any characters: all\n"
        "topics that match are read, new ones as they come, from their\n"
        "beginning; one that is removed is left, the others go on. json\n"
        "names the topic. --count, --timeout and --for are about all.\n"
        "A missing topic is waited for; with --exit-when-empty and neither\n"
        "--timeout nor --for that is status 4. Of several reasons to end the\n"
        "first that holds counts. A group's attributes are fixed when it is\n"
        "made: asking for others later is status 5.\n"
        "lines: payload, line feed. length-prefixed: u32 little-endian,\n"
        "payload. json: an object a line with topic, position, time, "
        "producer,\n"
        "sequence, key, headers, attempt, redelivered, size and payload, or\n"
        "payload_base64 where it is not UTF-8. A gap is an object {gap: ...}\n"
        "in json, and a line on stderr in the other formats.\n"
        "SIGINT and SIGTERM: the record at hand is finished and acknowledged,\n"
        "the rest is given back, status 128 + signal. Closed stdout: 141.\n",
    .examples = "  shmq sub orders --from earliest --exit-when-empty\n"
                "  shmq sub orders --group audit --exclusive >> audit.log\n"
                "  shmq sub jobs --group workers --lease 30s --format json\n"
                "  shmq sub 'user.*' --format json | jq -r .topic\n",
    .far = true,
    .run = run_sub,
};
