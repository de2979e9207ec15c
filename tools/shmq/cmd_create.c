/* cmd_create.c - `shmq create`: makes a topic. */
#include "commands.h"
#include "create.h"

#include <grp.h>
#include <pwd.h>
#include <string.h>

#include "cli_names.h"
#include "cli_optval.h"
#include "service/units.h"

/* What the library takes; it checks the rest, and names what is wrong. */
enum { PRODUCERS_MAX = 256, GROUPS_MAX = 256, MEMBERS_MAX = 512 };

static int take_choices(
    const struct cli_args *args, struct shmq_topic_attrs *attrs)
{
    /* The words stand in the order of the enumerations. */
    uint32_t ring = 0, on_full = 0;
    int status = cli_optval_choice(args, CLI_OPT_RING, &ring);
    if (status == CLI_DONE)
        status = cli_optval_choice(args, CLI_OPT_ON_FULL, &on_full);
    if (status == CLI_DONE)
        status =
            cli_optval_choice(args, CLI_OPT_DURABILITY, &attrs->durability);
    if (cli_opt_given(args, CLI_OPT_RING))
        attrs->ring = SHMQ_RING_MPMC + ring;
    if (cli_opt_given(args, CLI_OPT_ON_FULL))
        attrs->on_full = SHMQ_ON_FULL_BLOCK + on_full;
    if (cli_opt_given(args, CLI_OPT_ASYMMETRIC))
        attrs->flags |= SHMQ_TOPIC_ASYMMETRIC;
    return status;
}

static int take_numbers(
    const struct cli_args *args, struct shmq_topic_attrs *attrs)
{
    int status = cli_optval_u64(
        args, CLI_OPT_CAPACITY, 2, UINT64_C(1) << 24, &attrs->capacity_frames);
    if (status == CLI_DONE)
        status = cli_optval_size(args, CLI_OPT_ARENA, &attrs->arena_bytes);
    if (status == CLI_DONE)
        status = cli_optval_size(
            args, CLI_OPT_MAX_MESSAGE, &attrs->max_message_bytes);
    if (status == CLI_DONE)
        status = cli_optval_u32(args, CLI_OPT_MAX_PRODUCERS, 1, PRODUCERS_MAX,
            &attrs->max_producers);
    if (status == CLI_DONE)
        status = cli_optval_u32(
            args, CLI_OPT_MAX_GROUPS, 1, GROUPS_MAX, &attrs->max_groups);
    if (status == CLI_DONE)
        status = cli_optval_u32(
            args, CLI_OPT_MAX_MEMBERS, 1, MEMBERS_MAX, &attrs->max_members);
    if (status == CLI_DONE)
        status = cli_optval_mode(args, CLI_OPT_MODE, &attrs->mode);
    if (status == CLI_DONE)
        status = cli_optval_mode(args, CLI_OPT_DATA_MODE, &attrs->data_mode);
    return status;
}

/* A name that the host knows, or a number. */
static int take_owner(const struct cli_args *args, enum cli_opt opt,
    uint32_t flag, uint32_t *ret_flags, uint32_t *ret_id)
{
    const char *value = cli_opt_value(args, opt);
    uint64_t number;
    if (value == NULL)
        return CLI_DONE;
    *ret_flags |= flag;
    if (shmqs_parse_u64(value, &number) && number < UINT32_MAX) {
        *ret_id = (uint32_t)number;
        return CLI_DONE;
    }
    if (opt == CLI_OPT_OWNER) {
        const struct passwd *user = getpwnam(value);
        if (user != NULL)
            *ret_id = user->pw_uid;
        return user != NULL ? CLI_DONE
                            : cli_fail(CLI_USAGE,
                                  "--owner: no user \"%s\"; give a name that "
                                  "id(1) knows, or a number",
                                  value);
    }
    const struct group *group = getgrnam(value);
    if (group != NULL)
        *ret_id = group->gr_gid;
    return group != NULL ? CLI_DONE
                         : cli_fail(CLI_USAGE,
                               "--group-owner: no group \"%s\"; give a name "
                               "that getent(1) knows, or a number",
                               value);
}

/* Time, schema, memory, owners. */
static int take_more(
    const struct cli_args *args, struct shmq_topic_attrs *attrs)
{
    uint32_t stamps = 0, expired = 0;
    /* In the order of the words of --timestamps. */
    static const uint32_t all_stamps[] = {
        SHMQ_TIMESTAMPS_OFF, SHMQ_TIMESTAMPS_FRAME, SHMQ_TIMESTAMPS_RECORD};
    int status = cli_optval_choice(args, CLI_OPT_TIMESTAMPS, &stamps);
    if (status == CLI_DONE)
        status = cli_optval_duration(args, CLI_OPT_TTL, &attrs->ttl_ns);
    if (status == CLI_DONE)
        status = cli_optval_choice(args, CLI_OPT_EXPIRED, &expired);
    if (status == CLI_DONE)
        status = take_owner(args, CLI_OPT_OWNER, SHMQ_TOPIC_OWNER,
            &attrs->flags, &attrs->owner);
    if (status == CLI_DONE)
        status = take_owner(args, CLI_OPT_GROUP_OWNER, SHMQ_TOPIC_GROUP_OWNER,
            &attrs->flags, &attrs->group_owner);
    if (status == CLI_DONE && cli_opt_given(args, CLI_OPT_TTL) &&
        attrs->ttl_ns == 0)
        status = cli_fail(CLI_USAGE,
            "--ttl: 0 would let nothing live; leave it out for ever, or give "
            "1ms or more");
    if (cli_opt_given(args, CLI_OPT_TIMESTAMPS))
        attrs->timestamps = all_stamps[stamps];
    if (expired == 1)
        attrs->flags |= SHMQ_TOPIC_TTL_DEAD_LETTER;
    if (cli_opt_given(args, CLI_OPT_PREFAULT))
        attrs->flags |= SHMQ_TOPIC_PREFAULT;
    if (cli_opt_given(args, CLI_OPT_MLOCK))
        attrs->flags |= SHMQ_TOPIC_MLOCK;
    if (cli_opt_given(args, CLI_OPT_HUGE))
        attrs->flags |= SHMQ_TOPIC_HUGE;
    attrs->schema = cli_opt_value(args, CLI_OPT_SCHEMA);
    return status;
}

/* Combinations that the line itself shows to be wrong; the library would find
 * other words, or a missing shmqd first. */
static int check_attrs(const struct shmq_topic_attrs *attrs)
{
    bool spsc = attrs->ring == SHMQ_RING_SPSC;
    if (spsc && attrs->capacity_frames != 0)
        return cli_fail(CLI_USAGE,
            "--capacity: an spsc ring has no frames; give its bytes with "
            "--arena");
    if (spsc && attrs->on_full == SHMQ_ON_FULL_DROP_OLD)
        return cli_fail(CLI_USAGE,
            "--on-full: an spsc ring cannot drop old records; give block, "
            "drop-new, or --ring mpmc");
    if (attrs->durability != SHMQ_DURABILITY_NONE &&
        attrs->on_full == SHMQ_ON_FULL_DROP_OLD)
        return cli_fail(CLI_USAGE,
            "--on-full: a durable topic cannot drop old records, retention "
            "does; give block or drop-new");
    return CLI_DONE;
}

static int take_retention(const struct cli_args *args,
    const struct shmq_topic_attrs *attrs, struct shmq_retention *ret)
{
    static const struct {
        enum cli_opt opt;
        uint32_t flag;
    } all[] = {
        {CLI_OPT_RETAIN_BYTES, SHMQ_RETAIN_BYTES},
        {CLI_OPT_RETAIN_AGE, SHMQ_RETAIN_AGE},
        {CLI_OPT_RETAIN_CONSUMED, SHMQ_RETAIN_CONSUMED},
        {CLI_OPT_MAX_LAG_BYTES, SHMQ_MAX_LAG},
    };
    memset(ret, 0, sizeof(*ret));
    ret->struct_bytes = sizeof(*ret);
    int status =
        cli_optval_size(args, CLI_OPT_RETAIN_BYTES, &ret->retain_bytes);
    if (status == CLI_DONE)
        status =
            cli_optval_duration(args, CLI_OPT_RETAIN_AGE, &ret->retain_age_ns);
    if (status == CLI_DONE)
        status =
            cli_optval_size(args, CLI_OPT_MAX_LAG_BYTES, &ret->max_lag_bytes);
    ret->consumed = cli_opt_value(args, CLI_OPT_RETAIN_CONSUMED);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (!cli_opt_given(args, all[i].opt))
            continue;
        ret->flags |= all[i].flag;
        if (status == CLI_DONE && attrs->durability == SHMQ_DURABILITY_NONE)
            status = cli_fail(CLI_USAGE,
                "%s: a topic in memory keeps no history; give --durability os "
                "or disk too",
                cli_opt_name(all[i].opt));
    }
    return status;
}

static int run_create(const struct cli_args *args)
{
    struct shmq_retention retention;
    const char *name = args->operands[0];
    struct shmq_topic_attrs attrs;
    memset(&attrs, 0, sizeof(attrs));
    attrs.struct_bytes = sizeof(attrs);
    int status = take_choices(args, &attrs);
    if (status == CLI_DONE)
        status = take_numbers(args, &attrs);
    if (status == CLI_DONE)
        status = take_more(args, &attrs);
    if (status == CLI_DONE)
        status = check_attrs(&attrs);
    if (status == CLI_DONE)
        status = take_retention(args, &attrs, &retention);
    if (status != CLI_DONE)
        return status;
    int rc = attrs.durability == SHMQ_DURABILITY_NONE
        ? shmq_topic_create(cli_namespace(args), name, &attrs)
        : shmq_topic_create_durable(
              cli_namespace(args), name, &attrs, &retention);
    if (rc == SHMQ_ERR_EXISTS && cli_opt_given(args, CLI_OPT_IF_MISSING))
        return create_compare(args, name, &attrs);
    return rc == SHMQ_OK ? CLI_DONE : cli_fail_rc(rc, name);
}

static const struct cli_option_help create_opts[] = {
    {CLI_OPT_RING,
        "many producers and shared groups, or one producer, exclusive\n"
        "groups and the lowest latency (mpmc)"},
    {CLI_OPT_CAPACITY,
        "frames in the ring, a power of two from 2 to 2^24 (4096); mpmc\n"
        "only"},
    {CLI_OPT_ARENA,
        "payload memory, a power of two: mpmc per producer (256K), spsc\n"
        "the whole ring (1M)"},
    {CLI_OPT_MAX_MESSAGE,
        "longest record, payload and attributes; must fit half the arena\n"
        "(64K)"},
    {CLI_OPT_ON_FULL,
        "what a full ring does: make producers wait for the groups, refuse\n"
        "new records, or overwrite old ones (block)"},
    {CLI_OPT_DURABILITY,
        "none: lives in memory; os, disk: shmqd writes it to files (none)"},
    {CLI_OPT_MODE, "permission bits of all files (0600)"},
    {CLI_OPT_DATA_MODE,
        "permission bits of the data file; 0640 beside --mode 0660 lets\n"
        "the files' group read, but not publish (the same as --mode)"},
    {CLI_OPT_MAX_PRODUCERS, "producers at a time, 1 to 256 (64)"},
    {CLI_OPT_MAX_GROUPS, "named groups, 1 to 256 (16)"},
    {CLI_OPT_MAX_MEMBERS, "consumers at a time, 1 to 512 (64)"},
    {CLI_OPT_ASYMMETRIC,
        "sleepers issue a memory barrier for all, so that publishing\n"
        "needs none (off)"},
    {CLI_OPT_TIMESTAMPS,
        "times of records: none, one a publish in clock ticks, or one a\n"
        "publish to the nanosecond (frame)"},
    {CLI_OPT_TTL, "records older than this are not handed out (for ever)"},
    {CLI_OPT_EXPIRED,
        "what becomes of them: counted, or sent to the group's dead-letter\n"
        "topic (skip)"},
    {CLI_OPT_SCHEMA,
        "what the records are; pub and sub with another --schema are\n"
        "refused (none)"},
    {CLI_OPT_PREFAULT,
        "reserve all memory now, and map it when publishing or "
        "receiving\nbegins (off)"},
    {CLI_OPT_MLOCK, "as --prefault, and keep it from being paged out (off)"},
    {CLI_OPT_HUGE,
        "as --prefault, in huge pages where the host has them (off)"},
    {CLI_OPT_OWNER,
        "owner of the files, name or uid; needs root; durable: shmqd's user\n"
        "only (the caller)"},
    {CLI_OPT_GROUP_OWNER, "group of the files, name or gid (the caller's)"},
    {CLI_OPT_RETAIN_BYTES,
        "durable: history beyond so much goes, oldest first (all stays)"},
    {CLI_OPT_RETAIN_AGE, "durable: history older than this goes (all stays)"},
    {CLI_OPT_RETAIN_CONSUMED,
        "durable: history goes when these groups, G,G or all, are done with\n"
        "it (all stays)"},
    {CLI_OPT_MAX_LAG_BYTES,
        "durable: no group keeps more than so much of it back (no limit)"},
    {CLI_OPT_IF_MISSING,
        "status 0 when it exists and has the attributes asked for, else 5\n"
        "naming the difference"},
    {CLI_OPT_NONE, NULL},
};

const struct cli_command cmd_create = {
    .name = "create",
    .operands = "TOPIC",
    .operand_min = 1,
    .operand_max = 1,
    .summary = "make a topic",
    .opts = create_opts,
    .notes =
        "Prints nothing. A topic that exists: status 5. Attributes are fixed\n"
        "when the topic is made. Without a named group nothing gates the "
        "ring,\n"
        "and block never blocks. Names: letters, digits and . _ -, up to 128,\n"
        "not starting with a dot.\n",
    .examples = "  shmq create orders\n"
                "  shmq create ticks --ring spsc --arena 4M\n"
                "  shmq create metrics --on-full drop-old --if-missing\n",
    .run = run_create,
};
