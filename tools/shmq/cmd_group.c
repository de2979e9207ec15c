/* cmd_group.c - `shmq group create|reset|rm|evict`. */
#include "commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli_group_opts.h"
#include "cli_names.h"
#include "cli_optval.h"
#include "topic_view.h"

/* `shmq group` alone: the first word behind it is missing. */
static int run_group(const struct cli_args *args)
{
    (void)args;
    return cli_fail(
        CLI_USAGE, "COMMAND: missing; give create, reset, rm or evict");
}

static int open_topic(const struct cli_args *args, struct shmq_topic **ret)
{
    const char *name = args->operands[0];
    int rc = shmq_topic_open(cli_namespace(args), name, ret);
    return rc == SHMQ_OK ? CLI_DONE : cli_fail_rc(rc, name);
}

static int differs(const char *group, const char *option, const char *found,
    const char *wanted)
{
    return cli_fail(CLI_IN_USE,
        "%s: exists with another %s: %s, not %s; use it as it is, or remove "
        "it first",
        group, option, found, wanted);
}

static int differs_number(
    const char *group, const char *option, uint64_t found, uint64_t wanted)
{
    char found_text[24], wanted_text[24];
    snprintf(found_text, sizeof(found_text), "%" PRIu64, found);
    snprintf(wanted_text, sizeof(wanted_text), "%" PRIu64, wanted);
    return differs(group, option, found_text, wanted_text);
}

static int differs_lease(const char *group, uint64_t found, uint64_t wanted)
{
    char found_text[40], wanted_text[40];
    snprintf(found_text, sizeof(found_text), "%.9gs", (double)found / 1e9);
    snprintf(wanted_text, sizeof(wanted_text), "%.9gs", (double)wanted / 1e9);
    return differs(
        group, "--lease", found == 0 ? "off" : found_text, wanted_text);
}

/* What was asked for must agree; what was not may be anything. */
static int compare_group(
    const struct shmq_group_stat *found, const struct shmq_group_attrs *wanted)
{
    const char *name = found->name;
    if (wanted->kind != found->kind)
        return differs(name, "kind", cli_kind_name(found->kind),
            cli_kind_name(wanted->kind));
    if (wanted->absent != 0 && wanted->absent != found->absent)
        return differs(name, "--absent", cli_absent_name(found->absent),
            cli_absent_name(wanted->absent));
    if (wanted->lease_ns != 0 && wanted->lease_ns != found->lease_ns)
        return differs_lease(name, found->lease_ns, wanted->lease_ns);
    if (wanted->max_attempts != 0 &&
        wanted->max_attempts != found->max_attempts)
        return differs_number(
            name, "--max-attempts", found->max_attempts, wanted->max_attempts);
    if (wanted->dead_letter != NULL &&
        strcmp(wanted->dead_letter, found->dead_letter) != 0)
        return differs(
            name, "--dead-letter", found->dead_letter, wanted->dead_letter);
    return CLI_DONE;
}

/* --if-missing of a group that is there. */
static int compare_with_group(
    const struct cli_args *args, const struct shmq_group_attrs *wanted)
{
    struct topic_view view;
    int status = topic_view_open(cli_namespace(args), args->operands[0], &view);
    for (uint32_t i = 0; status == CLI_DONE && i < view.group_cnt; i++) {
        if (strcmp(view.groups[i].name, args->operands[1]) == 0)
            status = compare_group(&view.groups[i], wanted);
    }
    topic_view_close(&view);
    return status;
}

static int run_create_group(const struct cli_args *args)
{
    const char *name = args->operands[1];
    struct shmq_topic *topic;
    struct shmq_group_attrs attrs;
    struct shmq_start start = {SHMQ_START_DEFAULT, 0, 0};
    int status = cli_group_attrs(args, &attrs);
    if (status == CLI_DONE)
        status = cli_optval_start(args, CLI_OPT_FROM, &start);
    if (status == CLI_DONE)
        status = open_topic(args, &topic);
    if (status != CLI_DONE)
        return status;
    int rc = cli_group_kind(
        topic, cli_opt_given(args, CLI_OPT_EXCLUSIVE), &attrs.kind);
    if (rc == SHMQ_OK)
        rc = shmq_group_create(topic, name, &attrs, &start);
    if (rc == SHMQ_ERR_EXISTS && cli_opt_given(args, CLI_OPT_IF_MISSING))
        status = compare_with_group(args, &attrs);
    else if (rc != SHMQ_OK)
        status = cli_fail_rc(rc, name);
    shmq_topic_close(topic);
    return status;
}

static int run_reset_group(const struct cli_args *args)
{
    struct shmq_topic *topic;
    struct shmq_start start = {SHMQ_START_DEFAULT, 0, 0};
    if (!cli_opt_given(args, CLI_OPT_TO))
        return cli_fail(CLI_USAGE, "--to: missing; give --to %s",
            cli_opt_placeholder(CLI_OPT_TO));
    int status = cli_optval_start(args, CLI_OPT_TO, &start);
    if (status == CLI_DONE)
        status = open_topic(args, &topic);
    if (status != CLI_DONE)
        return status;
    uint32_t flags = cli_opt_given(args, CLI_OPT_FORCE) ? SHMQ_GROUP_FORCE : 0;
    int rc = shmq_group_reset(topic, args->operands[1], &start, flags);
    if (rc != SHMQ_OK)
        status = cli_fail_rc(rc, args->operands[1]);
    shmq_topic_close(topic);
    return status;
}

static int run_rm_group(const struct cli_args *args)
{
    struct shmq_topic *topic;
    int status = open_topic(args, &topic);
    if (status != CLI_DONE)
        return status;
    uint32_t flags = cli_opt_given(args, CLI_OPT_FORCE) ? SHMQ_GROUP_FORCE : 0;
    int rc = shmq_group_remove(topic, args->operands[1], flags);
    if (rc != SHMQ_OK)
        status = cli_fail_rc(rc, args->operands[1]);
    shmq_topic_close(topic);
    return status;
}

static int run_evict(const struct cli_args *args)
{
    struct shmq_topic *topic;
    const char *endpoint = args->operands[1];
    char *end = NULL;
    unsigned long id = strtoul(endpoint, &end, 10);
    if (endpoint[0] < '0' || endpoint[0] > '9' || *end != '\0' ||
        id > UINT32_MAX)
        return cli_fail(CLI_USAGE,
            "%s: is no endpoint; give its number as shmq stat shows it",
            endpoint);
    int status = open_topic(args, &topic);
    if (status != CLI_DONE)
        return status;
    uint32_t flags = cli_opt_given(args, CLI_OPT_KILL) ? SHMQ_GROUP_KILL : 0;
    int rc = shmq_group_evict(topic, (uint32_t)id, flags);
    if (rc != SHMQ_OK)
        status = cli_fail_rc(rc, endpoint);
    shmq_topic_close(topic);
    return status;
}

static const struct cli_option_help group_opts[] = {
    {CLI_OPT_NONE, NULL},
};

static const struct cli_option_help create_group_opts[] = {
    {CLI_OPT_EXCLUSIVE, "one living member, strict order (shared)"},
    {CLI_OPT_FROM, "where it starts (earliest)"},
    {CLI_OPT_IF_MISSING,
        "status 0 when it exists and has the attributes asked for, else 5\n"
        "naming the difference"},
    {CLI_OPT_NONE, NULL},
};

static const struct cli_option_help reset_group_opts[] = {
    {CLI_OPT_TO, "where the group goes on; must be given"},
    {CLI_OPT_FORCE, "also while members live; they end with an error"},
    {CLI_OPT_NONE, NULL},
};

static const struct cli_option_help rm_group_opts[] = {
    {CLI_OPT_FORCE, "also while members live; they end with an error"},
    {CLI_OPT_NONE, NULL},
};

static const struct cli_option_help evict_opts[] = {
    {CLI_OPT_KILL,
        "send SIGKILL to the process when it cannot be evicted otherwise\n"
        "(it may be looking at records in the ring)"},
    {CLI_OPT_NONE, NULL},
};

const struct cli_command cmd_group = {
    .name = "group",
    .operands = "create|reset|rm|evict TOPIC ...",
    .operand_min = 0,
    .operand_max = 0,
    .summary = "manage groups: create, reset, rm, evict",
    .opts = group_opts,
    .notes = "See shmq help group create, and so on.\n",
    .examples = "  shmq group create orders audit --exclusive\n"
                "  shmq group reset orders audit --to -1h\n",
    .run = run_group,
};

const struct cli_command cmd_group_create = {
    .name = "group create",
    .operands = "TOPIC GROUP",
    .operand_min = 2,
    .operand_max = 2,
    .summary = "make a group, which holds its place from now on",
    .opts = create_group_opts,
    .more_opts = cli_group_attr_opts,
    .notes = "A group that exists: status 5. Groups of an spsc topic are\n"
             "always exclusive.\n",
    .examples = "  shmq group create orders audit --exclusive --from latest\n"
                "  shmq group create jobs workers --lease 30s --if-missing\n",
    .run = run_create_group,
};

const struct cli_command cmd_group_reset = {
    .name = "group reset",
    .operands = "TOPIC GROUP",
    .operand_min = 2,
    .operand_max = 2,
    .summary = "move a group to another place in the topic",
    .opts = reset_group_opts,
    .notes =
        "While members live: status 5. A place that is no longer in the ring\n"
        "becomes the oldest record still intact.\n",
    .examples = "  shmq group reset orders audit --to earliest\n"
                "  shmq group reset orders audit --to 2025-01-31T12:00:00Z\n",
    .run = run_reset_group,
};

const struct cli_command cmd_group_rm = {
    .name = "group rm",
    .operands = "TOPIC GROUP",
    .operand_min = 2,
    .operand_max = 2,
    .summary = "remove a group",
    .opts = rm_group_opts,
    .notes = "While members live: status 5.\n",
    .examples = "  shmq group rm orders audit\n",
    .run = run_rm_group,
};

const struct cli_command cmd_group_evict = {
    .name = "group evict",
    .operands = "TOPIC ENDPOINT",
    .operand_min = 2,
    .operand_max = 2,
    .summary = "take claims and roles away from an endpoint",
    .opts = evict_opts,
    .notes =
        "ENDPOINT is its number in shmq stat. Other members go on at once; "
        "the\n"
        "evicted one ends with an error at its next call. One that may be\n"
        "looking at records in the ring: status 5 naming its pid, or --kill.\n",
    .examples = "  shmq group evict orders 3\n"
                "  shmq group evict orders 3 --kill\n",
    .run = run_evict,
};
