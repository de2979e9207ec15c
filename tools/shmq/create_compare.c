/* create_compare.c - `shmq create --if-missing` of a topic that is there. */
#include "create.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli_names.h"
#include "cli_optval.h"

/* One attribute that was asked for, and what the topic has. */
struct difference {
    const char *option;
    uint64_t wanted; /* 0: not asked for */
    uint64_t found;
};

static int tell_word(const char *topic, const char *option, const char *found,
    const char *wanted)
{
    return cli_fail(CLI_IN_USE,
        "%s: exists with another %s: %s, not %s; use it as it is, or remove "
        "it first",
        topic, option, found, wanted);
}

static int tell_number(const char *topic, const struct difference *d)
{
    char found[32], wanted[32];
    bool is_mode = strstr(d->option, "mode") != NULL;
    if (is_mode) {
        snprintf(found, sizeof(found), "%04" PRIo64, d->found);
        snprintf(wanted, sizeof(wanted), "%04" PRIo64, d->wanted);
    } else {
        snprintf(found, sizeof(found), "%" PRIu64, d->found);
        snprintf(wanted, sizeof(wanted), "%" PRIu64, d->wanted);
    }
    return tell_word(topic, d->option, found, wanted);
}

static int compare_numbers(const char *topic,
    const struct shmq_topic_attrs *wanted, const struct shmq_topic_attrs *found)
{
    const struct difference all[] = {
        {"--capacity", wanted->capacity_frames, found->capacity_frames},
        {"--arena", wanted->arena_bytes, found->arena_bytes},
        {"--max-message", wanted->max_message_bytes, found->max_message_bytes},
        {"--max-producers", wanted->max_producers, found->max_producers},
        {"--max-groups", wanted->max_groups, found->max_groups},
        {"--max-members", wanted->max_members, found->max_members},
        {"--ttl", wanted->ttl_ns, found->ttl_ns},
        {"--mode", wanted->mode, found->mode},
        {"--data-mode", wanted->data_mode, found->data_mode},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (all[i].wanted != 0 && all[i].wanted != all[i].found)
            return tell_number(topic, &all[i]);
    }
    return CLI_DONE;
}

/* What is off unless asked for. */
static int compare_flags(const char *topic,
    const struct shmq_topic_attrs *wanted, const struct shmq_topic_attrs *found)
{
    static const struct {
        uint32_t flag;
        const char *option;
    } all[] = {
        {SHMQ_TOPIC_ASYMMETRIC, "--asymmetric"},
        {SHMQ_TOPIC_PREFAULT, "--prefault"},
        {SHMQ_TOPIC_MLOCK, "--mlock"},
        {SHMQ_TOPIC_HUGE, "--huge"},
        {SHMQ_TOPIC_TTL_DEAD_LETTER, "--expired"},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if ((wanted->flags & ~found->flags & all[i].flag) != 0)
            return tell_word(topic, all[i].option, "off", "on");
    }
    if ((wanted->flags & SHMQ_TOPIC_OWNER) && wanted->owner != found->owner)
        return tell_word(topic, "--owner", "another user", "this one");
    if ((wanted->flags & SHMQ_TOPIC_GROUP_OWNER) &&
        wanted->group_owner != found->group_owner)
        return tell_word(topic, "--group-owner", "another group", "this one");
    return CLI_DONE;
}

/* What was asked for must agree; what was not may be anything. */
static int compare_attrs(const char *topic, bool durability_given,
    const struct shmq_topic_attrs *wanted, const struct shmq_topic_attrs *found)
{
    if (wanted->ring != 0 && wanted->ring != found->ring)
        return tell_word(topic, "--ring", cli_ring_name(found->ring),
            cli_ring_name(wanted->ring));
    if (wanted->on_full != 0 && wanted->on_full != found->on_full)
        return tell_word(topic, "--on-full", cli_on_full_name(found->on_full),
            cli_on_full_name(wanted->on_full));
    if (durability_given && wanted->durability != found->durability)
        return tell_word(topic, "--durability",
            cli_durability_name(found->durability),
            cli_durability_name(wanted->durability));
    if (wanted->timestamps != 0 && wanted->timestamps != found->timestamps)
        return tell_word(topic, "--timestamps",
            cli_timestamps_name(found->timestamps),
            cli_timestamps_name(wanted->timestamps));
    if (wanted->schema != NULL &&
        (found->schema == NULL || strcmp(wanted->schema, found->schema) != 0))
        return tell_word(topic, "--schema",
            found->schema != NULL ? found->schema : "none", wanted->schema);
    int status = compare_flags(topic, wanted, found);
    return status != CLI_DONE ? status : compare_numbers(topic, wanted, found);
}

/* --if-missing of a topic that is there. */
int create_compare(const struct cli_args *args, const char *name,
    const struct shmq_topic_attrs *wanted)
{
    struct shmq_topic *topic;
    struct shmq_topic_attrs found;
    int rc = shmq_topic_open(cli_namespace(args), name, &topic);
    if (rc != SHMQ_OK)
        return cli_fail_rc(rc, name);
    memset(&found, 0, sizeof(found));
    found.struct_bytes = sizeof(found);
    rc = shmq_topic_attrs(topic, &found);
    int status = rc != SHMQ_OK
        ? cli_fail_rc(rc, name)
        : compare_attrs(
              name, cli_opt_given(args, CLI_OPT_DURABILITY), wanted, &found);
    shmq_topic_close(topic);
    return status;
}
