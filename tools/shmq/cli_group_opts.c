/* cli_group_opts.c - group attributes from options. */
#include "cli_group_opts.h"

#include <string.h>

#include "cli_optval.h"
#include "lib.h"

const struct cli_option_help cli_group_attr_opts[] = {
    {CLI_OPT_LEASE,
        "a member silent for so long loses its claims to the others\n"
        "(off); its records are copies then"},
    {CLI_OPT_ABSENT,
        "whether the group holds producers up while it has no member\n"
        "(keep)"},
    {CLI_OPT_MAX_ATTEMPTS,
        "deliveries before a record goes to the dead-letter topic, 2 to\n"
        "100 (16)"},
    {CLI_OPT_DEAD_LETTER, "topic for such records (@dead.TOPIC)"},
    {CLI_OPT_NONE, NULL},
};

int cli_group_attrs(const struct cli_args *args, struct shmq_group_attrs *ret)
{
    uint32_t absent = 0;
    memset(ret, 0, sizeof(*ret));
    ret->struct_bytes = sizeof(*ret);
    ret->dead_letter = cli_opt_value(args, CLI_OPT_DEAD_LETTER);
    int status = cli_optval_duration(args, CLI_OPT_LEASE, &ret->lease_ns);
    if (status == CLI_DONE)
        status = cli_optval_choice(args, CLI_OPT_ABSENT, &absent);
    if (status == CLI_DONE)
        status = cli_optval_u32(
            args, CLI_OPT_MAX_ATTEMPTS, 2, 100, &ret->max_attempts);
    if (status == CLI_DONE && cli_opt_given(args, CLI_OPT_ABSENT))
        ret->absent = absent == 0 ? SHMQ_ABSENT_KEEP : SHMQ_ABSENT_RELEASE;
    return status;
}

bool cli_group_attrs_given(const struct cli_args *args)
{
    for (const struct cli_option_help *o = cli_group_attr_opts;
         o->opt != CLI_OPT_NONE; o++) {
        if (cli_opt_given(args, o->opt))
            return true;
    }
    return false;
}

int cli_group_kind(struct shmq_topic *topic, bool exclusive, uint32_t *ret_kind)
{
    struct shmq_topic_attrs attrs;
    memset(&attrs, 0, sizeof(attrs));
    attrs.struct_bytes = sizeof(attrs);
    int rc = lib_topic_attrs(topic, &attrs);
    if (rc != SHMQ_OK)
        return rc;
    bool spsc = attrs.ring == SHMQ_RING_SPSC;
    *ret_kind = exclusive || spsc ? SHMQ_GROUP_EXCLUSIVE : SHMQ_GROUP_SHARED;
    return SHMQ_OK;
}
