/* cmd_pub.c - `shmq pub`: options and help. */
#include "commands.h"

#include <stdlib.h>
#include <string.h>

#include "cli_mem.h"
#include "cli_optval.h"
#include "cli_signals.h"
#include "pub.h"

enum { WINDOW_DEFAULT = 1024, WINDOW_MAX = 1024 * 1024 };

static void take_files(const struct cli_args *args, struct pub_options *o)
{
    o->files = cli_alloc(args->use_cnt + 1, sizeof(*o->files));
    for (uint32_t i = 0; i < args->use_cnt; i++) {
        if (args->uses[i].opt == CLI_OPT_FILE)
            o->files[o->file_cnt++] = args->uses[i].value;
    }
    if (o->file_cnt == 0)
        o->files[o->file_cnt++] = "-";
}

static int check_attrs(const struct cli_record *attrs)
{
    struct shmq_record measured = {NULL, 0, attrs->attrs, attrs->attr_cnt, 0};
    uint64_t bytes;
    int rc = shmq_record_bytes(&measured, &bytes);
    return rc == SHMQ_OK ? CLI_DONE : cli_fail_rc(rc, "--key or --header");
}

/* N=V is cut in two; the copy of N lives as long as the process. */
static int take_attrs(const struct cli_args *args, struct pub_options *o)
{
    const char *key = cli_opt_value(args, CLI_OPT_KEY);
    if (key != NULL)
        cli_record_add_attr(&o->attrs, SHMQ_ATTR_KEY, NULL, key, strlen(key));
    for (uint32_t i = 0; i < args->use_cnt; i++) {
        const char *value = args->uses[i].value;
        if (args->uses[i].opt != CLI_OPT_HEADER)
            continue;
        size_t len = strcspn(value, "=");
        if (value[len] != '=' || len == 0 || len > 255)
            return cli_fail(CLI_USAGE,
                "--header: \"%s\" does not do; give N=V with a name of 1 to "
                "255 bytes",
                value);
        char *name = cli_alloc(len + 1, 1);
        memcpy(name, value, len);
        cli_record_add_attr(&o->attrs, SHMQ_ATTR_HEADER, name, value + len + 1,
            strlen(value + len + 1));
    }
    return check_attrs(&o->attrs);
}

static int take_options(const struct cli_args *args, struct pub_options *o)
{
    int status =
        cli_optval_u32(args, CLI_OPT_BATCH, 1, SHMQ_BATCH_MAX, &o->batch);
    if (status == CLI_DONE)
        status =
            cli_optval_u32(args, CLI_OPT_WINDOW, 1, WINDOW_MAX, &o->window);
    if (status == CLI_DONE)
        status = cli_optval_choice(args, CLI_OPT_FORMAT, &o->format);
    if (status == CLI_DONE)
        status = cli_optval_choice(args, CLI_OPT_WAIT, &o->level);
    if (status == CLI_DONE)
        status = cli_optval_rate(args, CLI_OPT_RATE, &o->rate);
    if (status == CLI_DONE)
        status = cli_optval_duration(args, CLI_OPT_TIMEOUT, &o->timeout_ns);
    if (status == CLI_DONE)
        status = take_attrs(args, o);
    take_files(args, o);
    o->level_given = cli_opt_given(args, CLI_OPT_WAIT);
    o->no_create = cli_opt_given(args, CLI_OPT_NO_CREATE);
    o->schema = cli_opt_value(args, CLI_OPT_SCHEMA);
    o->positions = cli_opt_given(args, CLI_OPT_POSITIONS);
    return status;
}

static void free_options(struct pub_options *o)
{
    for (uint32_t i = 0; i < o->attrs.attr_cnt; i++)
        free((void *)(uintptr_t)o->attrs.attrs[i].name);
    cli_record_free(&o->attrs);
    free(o->files);
}

static int run_pub(const struct cli_args *args)
{
    struct pub_options options;
    memset(&options, 0, sizeof(options));
    options.ns = cli_namespace(args);
    options.topic = args->operands[0];
    options.batch = 1;
    options.window = WINDOW_DEFAULT;
    options.timeout_ns = SHMQ_FOREVER;
    int status = take_options(args, &options);
    if (status == CLI_DONE) {
        struct pub *pub = cli_alloc(1, sizeof(*pub));
        pub->options = &options;
        cli_signals_init();
        status = pub_open(pub);
        if (status == CLI_DONE)
            status = pub_run(pub);
        pub_close(pub);
        free(pub);
    }
    free_options(&options);
    return status;
}

static const struct cli_option_help pub_opts[] = {
    {CLI_OPT_FILE,
        "read F instead of stdin; repeatable, read in order; - is stdin"},
    {CLI_OPT_FORMAT,
        "how records stand in the input (lines); the forms are those\n"
        "that `shmq sub` prints"},
    {CLI_OPT_BATCH,
        "records published together, 1 to 4096 (1); a partial batch goes\n"
        "out when the input would block, at most 1 ms later"},
    {CLI_OPT_RATE, "records per second at most (no limit)"},
    {CLI_OPT_KEY, "key of every record that brings none of its own (none)"},
    {CLI_OPT_HEADER, "free name/value pair on every record; repeatable"},
    {CLI_OPT_WAIT,
        "level that counts as acknowledged (the topic's own: durability\n"
        "none -> published, os -> written, disk -> durable)"},
    {CLI_OPT_WINDOW,
        "records on their way to that level at most, 1 to 1048576 (1024)"},
    {CLI_OPT_TIMEOUT,
        "longest time without progress while records wait (no limit);\n"
        "then exit status 3"},
    {CLI_OPT_POSITIONS,
        "print each record's position on a line, in input order, when it\n"
        "has reached the level"},
    {CLI_OPT_SCHEMA,
        "refuse a topic of another schema, status 8; a topic made here gets\n"
        "it (any)"},
    {CLI_OPT_NO_CREATE, "a missing topic is an error: exit status 4"},
    {CLI_OPT_NONE, NULL},
};

const struct cli_command cmd_pub = {
    .name = "pub",
    .operands = "TOPIC",
    .operand_min = 1,
    .operand_max = 1,
    .summary = "publish records from stdin or files",
    .opts = pub_opts,
    .notes =
        "A record per line feed, which is removed; every other byte is kept;\n"
        "a last line without one counts; an empty line is an empty record.\n"
        "--format json reads payload or payload_base64, key, headers,\n"
        "content_type, reply_to, correlation_id and passes over other keys,\n"
        "blank lines and gaps; length-prefixed reads u32 little-endian,\n"
        "payload.\n"
        "A missing topic is created with the defaults, said on stderr.\n"
        "Status 0 only when every record has reached the level. Every failure\n"
        "says how many records were acknowledged, and the last position.\n"
        "Status 7: a record is too long (named with file and line; the\n"
        "earlier ones are published), or records were dropped by drop-new.\n",
    .examples = "  shmq pub orders --file orders.log\n"
                "  tail -F app.log | shmq pub logs --batch 64 --key web1\n"
                "  shmq sub a --format json | shmq pub b --format json\n",
    .far = true,
    .run = run_pub,
};
