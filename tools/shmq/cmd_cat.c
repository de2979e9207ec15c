/* cmd_cat.c - `shmq cat`: prints what a topic holds, and ends. */
#include "commands.h"

#include <string.h>

#include "cli_optval.h"
#include "cli_signals.h"
#include "sub.h"

static int take_options(
    const struct cli_args *args, struct sub_options *o, struct shmq_start *to)
{
    int status = cli_optval_start(args, CLI_OPT_FROM, &o->from);
    if (status == CLI_DONE)
        status = cli_optval_start(args, CLI_OPT_TO, to);
    if (status == CLI_DONE)
        status = cli_optval_choice(args, CLI_OPT_FORMAT, &o->format);
    if (status == CLI_DONE)
        status = cli_optval_u64(args, CLI_OPT_COUNT, 1, UINT64_MAX, &o->count);
    if (o->from.kind == SHMQ_START_DEFAULT)
        o->from.kind = SHMQ_START_EARLIEST;
    if (to->kind == SHMQ_START_DEFAULT)
        to->kind = SHMQ_START_LATEST;
    return status;
}

/* The position of --to, at most where the topic ends now. */
static int find_end(
    const struct sub_options *o, const struct shmq_start *to, uint64_t *ret_end)
{
    struct shmq_topic *topic;
    struct shmq_topic_stat stat;
    struct shmq_consumer *consumer;
    struct shmq_consumer_options options;
    uint64_t end = 0;
    memset(&stat, 0, sizeof(stat));
    stat.struct_bytes = sizeof(stat);
    memset(&options, 0, sizeof(options));
    options.struct_bytes = sizeof(options);
    options.start = *to;
    int rc = shmq_topic_open(o->ns, o->topic, &topic);
    if (rc != SHMQ_OK)
        return rc;
    rc = shmq_topic_stat(topic, &stat);
    if (rc == SHMQ_OK)
        rc = shmq_consumer_open(topic, &options, &consumer);
    if (rc == SHMQ_OK) {
        rc = shmq_consumer_position(consumer, &end);
        shmq_consumer_close(consumer);
    }
    shmq_topic_close(topic);
    if (to->kind == SHMQ_START_POSITION)
        end = to->value;
    *ret_end = end < stat.published_position ? end : stat.published_position;
    return rc;
}

static int run_cat(const struct cli_args *args)
{
    struct sub_options options;
    struct sub sub;
    struct shmq_start to;
    memset(&options, 0, sizeof(options));
    memset(&sub, 0, sizeof(sub));
    memset(&to, 0, sizeof(to));
    options.ns = cli_namespace(args);
    options.topic = args->operands[0];
    options.timeout_ns = SHMQ_FOREVER;
    options.for_ns = SHMQ_FOREVER;
    options.exit_when_empty = true;
    int status = take_options(args, &options, &to);
    if (status != CLI_DONE)
        return status;
    if (strchr(options.topic, '*') != NULL)
        return cli_fail(CLI_USAGE, "%s: a pattern does not do; name one topic",
            options.topic);
    int rc = find_end(&options, &to, &options.until);
    if (rc != SHMQ_OK)
        return cli_fail_rc(rc, options.topic);
    if (options.until == 0)
        return CLI_DONE; /* nothing is there */
    sub.options = &options;
    cli_signals_init();
    status = sub_open(&sub);
    if (status == CLI_DONE && !sub.ended)
        status = sub_run(&sub);
    sub_close(&sub);
    return status;
}

static const struct cli_option_help cat_opts[] = {
    {CLI_OPT_FROM, "where to begin (earliest)"},
    {CLI_OPT_TO,
        "where to end, exclusive; never beyond what is published now (latest)"},
    {CLI_OPT_FORMAT, "how records are printed (lines)"},
    {CLI_OPT_COUNT, "end after N records"},
    {CLI_OPT_NONE, NULL},
};

const struct cli_command cmd_cat = {
    .name = "cat",
    .operands = "TOPIC",
    .operand_min = 1,
    .operand_max = 1,
    .summary = "print what a topic holds, history included, and end",
    .opts = cat_opts,
    .notes =
        "Reads without a group: holds nobody up, moves nobody's place, never\n"
        "waits. Of a durable topic the history on disk is read, too. A TIME\n"
        "means the first record not before it. Gaps as `shmq sub` prints\n"
        "them. A missing topic: 4.\n",
    .examples = "  shmq cat orders --from -1h --format json\n"
                "  shmq cat orders --from 2026-01-02T00:00:00Z --to "
                "2026-01-03T00:00:00Z\n",
    .run = run_cat,
};
