/* options.c - the tables of shmqd's options. */
#include "options.h"

#include <stdio.h>
#include <string.h>

#define END \
    { \
        NULL, SHMQS_FLAG, NULL, NULL, NULL, 0, 0, false, NULL \
    }

static const struct shmqs_option options[] = {
    {"namespace", SHMQS_TEXT, "NS", "SHMQ_NAMESPACE", "default", 0, 0, false,
        "serve the durable topics of namespace NS"},
    {"data-dir", SHMQS_TEXT, "DIR", "SHMQ_DATA_DIR", NULL, 0, 0, false,
        "keep logs in DIR; default: /var/lib/shmq/NS for\nroot, else "
        "$XDG_STATE_HOME/shmq/NS"},
    {"io", SHMQS_CHOICE, "uring|pwritev2", NULL, NULL, 0, 0, false,
        "how to write; default: uring where the kernel\nlets us, else "
        "pwritev2"},
    {"standby", SHMQS_FLAG, NULL, NULL, NULL, 0, 0, false,
        "while another shmqd serves the namespace, wait\nfor its end"},
    {"segment-size", SHMQS_SIZE, "SIZE", NULL, "64M", 1 << 20,
        UINT64_C(1) << 30, false, "length of a segment file"},
    {"min-free", SHMQS_SIZE, "SIZE", NULL, NULL, 0, 0, false,
        "leave so much of the file system free; default:\n1G, or 5 % where "
        "that is less"},
    {"no-sandbox", SHMQS_FLAG, NULL, NULL, NULL, 0, 0, false,
        "keep all system calls and capabilities"},
    SHMQS_COMMON_OPTIONS, END};

static const struct shmqs_option topic_options[] = {
    {"ring", SHMQS_CHOICE, "mpmc|spsc", NULL, "mpmc", 0, 0, false,
        "kind of the ring"},
    {"capacity", SHMQS_NUMBER, "FRAMES", NULL, NULL, 0, 0, false,
        "slots of an mpmc ring; default 4096"},
    {"arena", SHMQS_SIZE, "SIZE", NULL, NULL, 0, 0, false,
        "memory per producer, or of the spsc ring"},
    {"max-message", SHMQS_SIZE, "SIZE", NULL, NULL, 0, 0, false,
        "largest record; default 64K"},
    {"on-full", SHMQS_CHOICE, "block|drop-new", NULL, "block", 0, 0, false,
        "what a producer gets when the ring is full"},
    {"durability", SHMQS_CHOICE, "os|disk", NULL, "disk", 0, 0, false,
        "where an acknowledged record is"},
    {"mode", SHMQS_OCTAL, "OCTAL", NULL, NULL, 0, 0, false,
        "permission bits; default 0600"},
    {"data-mode", SHMQS_OCTAL, "OCTAL", NULL, NULL, 0, 0, false,
        "those of the data file"},
    {"max-producers", SHMQS_NUMBER, "N", NULL, NULL, 0, 65536, false,
        "default 64"},
    {"max-groups", SHMQS_NUMBER, "N", NULL, NULL, 0, 65536, false,
        "default 16"},
    {"max-members", SHMQS_NUMBER, "N", NULL, NULL, 0, 65536, false,
        "default 64"},
    {"ttl", SHMQS_DURATION, "D", NULL, NULL, 0, 0, false,
        "records older than that are not handed out"},
    {"expired", SHMQS_CHOICE, "skip|dead-letter", NULL, "skip", 0, 0, false,
        "what happens with those: nothing, or they go to\nthe group's "
        "dead-letter topic"},
    {"asymmetric", SHMQS_FLAG, NULL, NULL, NULL, 0, 0, false,
        "sleepers pay the fence that producers need"},
    {"prefault", SHMQS_FLAG, NULL, NULL, NULL, 0, 0, false,
        "reserve all memory at once"},
    {"mlock", SHMQS_FLAG, NULL, NULL, NULL, 0, 0, false,
        "as prefault, and keep it from being paged out"},
    {"huge", SHMQS_FLAG, NULL, NULL, NULL, 0, 0, false, "ask for huge pages"},
    {"owner", SHMQS_NUMBER, "UID", NULL, NULL, 0, UINT32_MAX - 1, false,
        "user of the files: the one that shmqd runs as"},
    {"group-owner", SHMQS_NUMBER, "GID", NULL, NULL, 0, UINT32_MAX - 1, false,
        "group of the files: one that this user is in"},
    {"timestamps", SHMQS_CHOICE, "frame|off|record", NULL, "frame", 0, 0, false,
        "how exact a record's time is"},
    {"schema", SHMQS_TEXT, "NAME:VERSION", NULL, NULL, 0, 0, false,
        "what the records are"},
    {"retain-bytes", SHMQS_SIZE, "SIZE", NULL, NULL, 0, 0, false,
        "keep no more history than that; 0: all"},
    {"retain-age", SHMQS_DURATION, "D", NULL, NULL, 0, 0, false,
        "keep no older history than that; 0: all"},
    {"retain-consumed", SHMQS_TEXT, "all|GROUPS", NULL, NULL, 0, 0, false,
        "let go what these groups are done with"},
    {"max-lag-bytes", SHMQS_SIZE, "SIZE", NULL, NULL, 0, 0, false,
        "keep no more than that back for a group; 0: all"},
    END};

static const struct shmqs_section sections[] = {
    {"topic", topic_options}, {NULL, NULL}};

const struct shmqs_program shmqd_program = {
    "shmqd",
    "Drains the durable topics of a namespace to disk: what it has "
    "acknowledged\nsurvives kill -9, a full disk and a power cut.",
    "A section [topic NAME] makes that topic at start if it is missing.\n"
    "SIGTERM and SIGINT: drains, notes where everybody stands, ends with "
    "0.\nStatus 75: another shmqd serves this namespace or data directory.",
    options,
    sections,
};

static uint32_t choice(
    const struct shmqs_values *values, const char *name, uint32_t first)
{
    return first + (uint32_t)shmqs_number(values, name);
}

static uint32_t flags_of(const struct shmqs_values *section)
{
    static const struct {
        const char *key;
        uint32_t flag;
        bool given; /* the flag says that there is a number */
    } all[] = {
        {"expired", SHMQ_TOPIC_TTL_DEAD_LETTER, false},
        {"asymmetric", SHMQ_TOPIC_ASYMMETRIC, false},
        {"prefault", SHMQ_TOPIC_PREFAULT, false},
        {"mlock", SHMQ_TOPIC_MLOCK, false},
        {"huge", SHMQ_TOPIC_HUGE, false},
        {"owner", SHMQ_TOPIC_OWNER, true},
        {"group-owner", SHMQ_TOPIC_GROUP_OWNER, true},
    };
    uint32_t flags = 0;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (all[i].given ? shmqs_given(section, all[i].key)
                         : shmqs_number(section, all[i].key) != 0)
            flags |= all[i].flag;
    }
    return flags;
}

void shmqd_options_topic(
    const struct shmqs_values *section, struct shmqd_meta *ret)
{
    struct shmq_topic_attrs *attrs = &ret->attrs;
    struct shmq_retention *retain = &ret->retain;
    shmqd_meta_init(ret);
    attrs->ring = choice(section, "ring", SHMQ_RING_MPMC);
    attrs->on_full = choice(section, "on-full", SHMQ_ON_FULL_BLOCK);
    attrs->durability = choice(section, "durability", SHMQ_DURABILITY_OS);
    attrs->timestamps = choice(section, "timestamps", SHMQ_TIMESTAMPS_FRAME);
    attrs->capacity_frames = shmqs_number(section, "capacity");
    attrs->arena_bytes = shmqs_number(section, "arena");
    attrs->max_message_bytes = shmqs_number(section, "max-message");
    attrs->max_producers = (uint32_t)shmqs_number(section, "max-producers");
    attrs->max_groups = (uint32_t)shmqs_number(section, "max-groups");
    attrs->max_members = (uint32_t)shmqs_number(section, "max-members");
    attrs->mode = (uint32_t)shmqs_number(section, "mode");
    attrs->data_mode = (uint32_t)shmqs_number(section, "data-mode");
    attrs->ttl_ns = shmqs_number(section, "ttl");
    attrs->flags = flags_of(section);
    attrs->owner = (uint32_t)shmqs_number(section, "owner");
    attrs->group_owner = (uint32_t)shmqs_number(section, "group-owner");
    if (shmqs_given(section, "schema"))
        snprintf(ret->schema, sizeof(ret->schema), "%s",
            shmqs_text(section, "schema"));
    attrs->schema = ret->schema[0] != '\0' ? ret->schema : NULL;
    retain->retain_bytes = shmqs_number(section, "retain-bytes");
    retain->retain_age_ns = shmqs_number(section, "retain-age");
    retain->max_lag_bytes = shmqs_number(section, "max-lag-bytes");
    if (shmqs_given(section, "retain-consumed"))
        snprintf(ret->consumed, sizeof(ret->consumed), "%s",
            shmqs_text(section, "retain-consumed"));
    retain->consumed = ret->consumed;
    retain->flags =
        (shmqs_given(section, "retain-bytes") ? SHMQ_RETAIN_BYTES : 0u) |
        (shmqs_given(section, "retain-age") ? SHMQ_RETAIN_AGE : 0u) |
        (shmqs_given(section, "max-lag-bytes") ? SHMQ_MAX_LAG : 0u) |
        (shmqs_given(section, "retain-consumed") ? SHMQ_RETAIN_CONSUMED : 0u);
}
