/* cmd_rm.c - `shmq rm`: removes topics. */
#include "commands.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli_mem.h"
#include "cli_options.h"
#include "cli_optval.h"

struct removal {
    const char *ns;
    uint32_t flags;
    bool with_data;
    bool missing_is_fine;
    char **names; /* of --all */
    size_t name_cnt;
    size_t name_cap;
    int first_failure;
};

enum kind { MISSING, MEMORY, DURABLE };

static enum kind kind_of(const char *ns, const char *name)
{
    struct shmq_topic *topic;
    struct shmq_topic_attrs attrs;
    if (shmq_topic_open(ns, name, &topic) != SHMQ_OK)
        return MISSING; /* the removal itself will say why */
    memset(&attrs, 0, sizeof(attrs));
    attrs.struct_bytes = sizeof(attrs);
    int rc = shmq_topic_attrs(topic, &attrs);
    shmq_topic_close(topic);
    return rc == SHMQ_OK && attrs.durability != SHMQ_DURABILITY_NONE ? DURABLE
                                                                     : MEMORY;
}

/* Records of the ring that are not in the log and go with it. */
static uint64_t count_undrained(const char *ns, const char *name)
{
    struct shmq_topic *topic;
    struct shmq_consumer *consumer;
    struct shmq_watermarks marks;
    struct shmq_consumer_options options;
    struct shmq_message msg;
    uint64_t cnt = 0;
    if (shmq_topic_open(ns, name, &topic) != SHMQ_OK)
        return 0;
    memset(&marks, 0, sizeof(marks));
    marks.struct_bytes = sizeof(marks);
    memset(&options, 0, sizeof(options));
    options.struct_bytes = sizeof(options);
    options.start.kind = SHMQ_START_POSITION;
    if (shmq_topic_watermarks(topic, &marks) == SHMQ_OK) {
        options.start.value = marks.durability == SHMQ_DURABILITY_OS
            ? marks.written
            : marks.durable;
        if (shmq_consumer_open(topic, &options, &consumer) == SHMQ_OK) {
            while (shmq_consumer_receive(consumer, &msg) == SHMQ_OK) {
                cnt++;
                (void)shmq_consumer_release(consumer, &msg);
            }
            shmq_consumer_close(consumer);
        }
    }
    shmq_topic_close(topic);
    return cnt;
}

static int remove_topic(struct removal *removal, const char *name)
{
    enum kind kind = kind_of(removal->ns, name);
    uint64_t undrained = 0;
    int rc;
    if (removal->with_data && kind != MEMORY) {
        rc = shmq_topic_remove_data(removal->ns, name, removal->flags);
    } else {
        if (kind == DURABLE)
            undrained = count_undrained(removal->ns, name);
        rc = shmq_topic_unlink(removal->ns, name, removal->flags);
        if (rc == SHMQ_OK && kind == DURABLE)
            cli_note("%s: %" PRIu64 " records were not drained and are gone; "
                     "its history stays",
                name, undrained);
    }
    if (rc == SHMQ_OK || (rc == SHMQ_ERR_NOENT && removal->missing_is_fine))
        return CLI_DONE;
    return cli_fail_rc(rc, name);
}

static void remove_and_note(struct removal *removal, const char *name)
{
    int status = remove_topic(removal, name);
    if (removal->first_failure == CLI_DONE)
        removal->first_failure = status;
}

static int collect_name(void *ctx, const char *topic)
{
    struct removal *removal = ctx;
    size_t len = strlen(topic) + 1;
    char *copy = cli_alloc(len, 1);
    memcpy(copy, topic, len);
    cli_grow(&removal->names, &removal->name_cap, removal->name_cnt + 1,
        sizeof(*removal->names));
    removal->names[removal->name_cnt++] = copy;
    return 0;
}

/* A topic that somebody else removed meanwhile is gone as well. */
static void remove_all(struct removal *removal)
{
    removal->missing_is_fine = true;
    int rc = shmq_topic_list(removal->ns, collect_name, removal);
    if (rc != SHMQ_OK)
        removal->first_failure = cli_fail_rc(rc, "topics");
    for (size_t i = 0; i < removal->name_cnt; i++) {
        remove_and_note(removal, removal->names[i]);
        free(removal->names[i]);
    }
    free(removal->names);
}

static int run_rm(const struct cli_args *args)
{
    bool all = cli_opt_given(args, CLI_OPT_ALL);
    struct removal removal;
    if (all && args->operand_cnt > 0)
        return cli_fail(CLI_USAGE,
            "%s: stands beside --all; give topics or --all, not both",
            args->operands[0]);
    if (!all && args->operand_cnt == 0)
        return cli_fail(
            CLI_USAGE, "TOPIC: missing; name topics, or give --all");
    memset(&removal, 0, sizeof(removal));
    removal.ns = cli_namespace(args);
    removal.with_data = cli_opt_given(args, CLI_OPT_DATA);
    removal.missing_is_fine = cli_opt_given(args, CLI_OPT_IF_EXISTS);
    if (cli_opt_given(args, CLI_OPT_FORCE))
        removal.flags |= SHMQ_UNLINK_FORCE;
    if (all)
        remove_all(&removal);
    for (uint32_t i = 0; i < args->operand_cnt; i++)
        remove_and_note(&removal, args->operands[i]);
    return removal.first_failure;
}

static const struct cli_option_help rm_opts[] = {
    {CLI_OPT_ALL, "remove all topics of the namespace"},
    {CLI_OPT_FORCE,
        "also when in use (users get an error at their next call), or\n"
        "damaged"},
    {CLI_OPT_IF_EXISTS, "a missing topic is no error"},
    {CLI_OPT_DATA,
        "of a durable topic, the history too; needs shmqd (status 9)"},
    {CLI_OPT_NONE, NULL},
};

const struct cli_command cmd_rm = {
    .name = "rm",
    .operands = "TOPIC... | --all",
    .operand_min = 0,
    .operand_max = UINT32_MAX,
    .summary = "remove topics",
    .opts = rm_opts,
    .notes =
        "A topic in use: status 5, naming the pids. A missing one: 4. Goes on\n"
        "past failures and returns the first one's status. A durable topic\n"
        "that shmqd serves: 5 without --data; without shmqd its ring goes, "
        "its\n"
        "history stays.\n",
    .examples = "  shmq rm orders ticks\n"
                "  shmq rm --all --namespace test --force\n",
    .run = run_rm,
};
