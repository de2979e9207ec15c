/* topic_create.c - attributes of a topic: what is legal, what is the default,
 * and making a topic of them. */
#include "topic_impl.h"

#include <string.h>

#include <shmq/durable.h>

#include "error.h"
#include "process.h"

#define TTL_MIN_NS 1000000ull
#define TTL_MAX_NS (10ull * 366 * 86400 * 1000000000)

static const char *check_sizes(const struct shmq_topic_attrs *a, bool spsc)
{
    if (spsc && a->capacity_frames)
        return "capacity is for mpmc rings; an spsc ring is one arena of bytes";
    if (a->capacity_frames &&
        (a->capacity_frames < 2 || a->capacity_frames > 1u << 24 ||
            (a->capacity_frames & (a->capacity_frames - 1))))
        return "capacity must be a power of two from 2 to 2^24";
    if (a->arena_bytes &&
        (a->arena_bytes < 4096 || a->arena_bytes > 8ull << 30 ||
            (a->arena_bytes & (a->arena_bytes - 1))))
        return "arena must be a power of two from 4K to 8G";
    return NULL;
}

static const char *check_limits(const struct shmq_topic_attrs *a, bool spsc)
{
    if (a->max_producers > (spsc ? 1u : 256u))
        return spsc ? "an spsc topic has one producer at a time"
                    : "max-producers must be 1 to 256";
    if (a->max_groups > 256)
        return "max-groups must be 1 to 256";
    if (a->max_members > 512)
        return "max-members must be 1 to 512";
    if ((a->mode | a->data_mode) & ~0777u)
        return "mode must be permission bits, at most 0777";
    if ((a->flags & ~SHMQI_TOPIC_KNOWN_FLAGS) || a->reserved)
        return "unknown flags";
    return NULL;
}

const char *shmqi_schema_why_not(const char *schema)
{
    const char *colon = strrchr(schema, ':');
    if (strlen(schema) > SHMQ_SCHEMA_MAX || !colon || colon == schema ||
        colon[1] == '\0')
        return "schema must be NAME:VERSION, at most 128 bytes";
    for (const char *p = schema; *p; p++)
        if (*p <= ' ' || *p >= 0x7f)
            return "schema must be printable ASCII without blanks";
    return NULL;
}

static const char *check_times(const struct shmq_topic_attrs *a)
{
    if (a->timestamps > SHMQ_TIMESTAMPS_RECORD)
        return "timestamps must be off, frame or record";
    if (a->ttl_ns && (a->ttl_ns < TTL_MIN_NS || a->ttl_ns > TTL_MAX_NS))
        return "ttl must be 1 ms to 10 years";
    if (a->ttl_ns && a->timestamps == SHMQ_TIMESTAMPS_OFF)
        return "ttl: needs timestamps";
    if ((a->flags & SHMQ_TOPIC_TTL_DEAD_LETTER) && !a->ttl_ns)
        return "ttl: records that never expire go to no dead-letter topic";
    return a->schema ? shmqi_schema_why_not(a->schema) : NULL;
}

static const char *check_attrs(const struct shmq_topic_attrs *a)
{
    if (a->struct_bytes != sizeof *a)
        return "struct_bytes is not sizeof(struct shmq_topic_attrs)";
    if (a->ring > SHMQ_RING_SPSC)
        return "ring must be mpmc or spsc";
    if (a->on_full > SHMQ_ON_FULL_DROP_OLD)
        return "on-full must be block, drop-new or drop-old";
    if (a->durability > SHMQ_DURABILITY_DISK)
        return "durability must be none, os or disk";
    bool spsc = a->ring == SHMQ_RING_SPSC;
    if (a->on_full == SHMQ_ON_FULL_DROP_OLD && spsc)
        return "on-full: an spsc ring cannot drop old records; use mpmc";
    if (a->on_full == SHMQ_ON_FULL_DROP_OLD && a->durability)
        return "on-full: a durable topic does not drop old records; use "
               "retention";
    const char *why = check_sizes(a, spsc);
    if (!why)
        why = check_limits(a, spsc);
    return why ? why : check_times(a);
}

static uint32_t or_default(uint32_t v, uint32_t otherwise)
{
    return v ? v : otherwise;
}

int shmqi_topic_constants(const char *topic,
    const struct shmq_topic_attrs *attrs, struct shmqi_constants_shm *c)
{
    struct shmq_topic_attrs a;
    memset(&a, 0, sizeof a);
    a.struct_bytes = sizeof a;
    if (attrs)
        a = *attrs;
    const char *why = check_attrs(&a);
    if (why)
        return shmqi_fail(SHMQ_ERR_INVAL, "%s: %s", topic, why);
    memset(c, 0, sizeof *c);
    bool spsc = a.ring == SHMQ_RING_SPSC;
    c->layout_version = SHMQI_LAYOUT_VERSION;
    c->ring = or_default(a.ring, SHMQ_RING_MPMC);
    c->on_full = or_default(a.on_full, SHMQ_ON_FULL_BLOCK);
    c->durability = a.durability;
    uint64_t frames = a.capacity_frames ? a.capacity_frames : 4096;
    c->cap_lg2 = spsc ? 0 : (uint32_t)__builtin_ctzll(frames);
    c->claim_lg2 = c->cap_lg2 < 12 ? c->cap_lg2 : 12;
    c->arena_bytes = a.arena_bytes ? a.arena_bytes
        : spsc                     ? 1u << 20
                                   : 256u << 10;
    if (a.durability && c->arena_bytes > SHMQI_DURABLE_ARENA_MAX)
        return shmqi_fail(SHMQ_ERR_INVAL,
            "%s: the arena of a durable topic is at most 256M (records of "
            "128M); use a smaller --arena",
            topic);
    uint64_t most = c->arena_bytes / 2 - 128;
    c->max_message_bytes = a.max_message_bytes;
    if (!c->max_message_bytes)
        c->max_message_bytes = most < 65536 ? most : 65536;
    if (c->max_message_bytes > most)
        return shmqi_fail(SHMQ_ERR_INVAL,
            "%s: max-message %llu does not fit "
            "half the arena of %llu bytes with its headers; at "
            "most %llu, or use a larger --arena",
            topic, (unsigned long long)c->max_message_bytes,
            (unsigned long long)c->arena_bytes, (unsigned long long)most);
    c->max_producers = spsc ? 1 : or_default(a.max_producers, 64);
    if (c->arena_bytes * c->max_producers > 16ull << 30)
        return shmqi_fail(SHMQ_ERR_INVAL,
            "%s: %u arenas of %llu bytes are "
            "more than 16 GiB; use a smaller --arena or fewer "
            "--max-producers",
            topic, c->max_producers, (unsigned long long)c->arena_bytes);
    c->max_groups = or_default(a.max_groups, 16);
    c->max_members = or_default(a.max_members, 64);
    c->mode = or_default(a.mode, 0600);
    c->data_mode = or_default(a.data_mode, c->mode);
    c->flags = a.flags & ~SHMQI_TOPIC_OWNER_FLAGS;
    if (a.timestamps && a.timestamps != SHMQ_TIMESTAMPS_FRAME)
        c->flags |= a.timestamps << SHMQI_STAMPS_SHIFT;
    c->ttl_ns = a.ttl_ns;
    c->created_ns = shmqi_now_realtime();
    return SHMQ_OK;
}

/* What is no constant. */
struct shmqi_create shmqi_topic_create_more(const struct shmq_topic_attrs *a)
{
    struct shmqi_create more = {NULL, (uid_t)-1, (gid_t)-1, NULL, false};
    if (a) {
        more.schema = a->schema;
        more.huge = (a->flags & SHMQ_TOPIC_HUGE) != 0;
    }
    if (a && (a->flags & SHMQ_TOPIC_OWNER))
        more.owner = a->owner;
    if (a && (a->flags & SHMQ_TOPIC_GROUP_OWNER))
        more.group_owner = a->group_owner;
    return more;
}

int shmqi_topic_create_system(const char *ns, const char *topic,
    const struct shmq_topic_attrs *attrs, uint64_t start_seq)
{
    struct shmqi_constants_shm c;
    char space[SHMQ_NAMESPACE_MAX + 1];
    int rc = shmqi_namespace(ns, space);
    if (rc == SHMQ_OK)
        rc = shmqi_topic_name_check(topic, true);
    if (rc == SHMQ_OK)
        rc = shmqi_topic_constants(topic, attrs, &c);
    if (rc)
        return rc;
    c.start_seq = start_seq;
    struct shmqi_create more = shmqi_topic_create_more(attrs);
    return shmqi_files_create(space, topic, &c, &more);
}

int shmq_topic_create(
    const char *ns, const char *topic, const struct shmq_topic_attrs *attrs)
{
    struct shmqi_constants_shm c;
    char space[SHMQ_NAMESPACE_MAX + 1];
    if (shmqi_generation() == 0)
        return shmqi_fail(SHMQ_ERR_NOMEM, "no memory");
    int rc = shmqi_namespace(ns, space);
    if (rc == SHMQ_OK)
        rc = shmqi_topic_name_check(topic, false);
    if (rc == SHMQ_OK)
        rc = shmqi_topic_constants(topic, attrs, &c);
    if (rc)
        return rc;
    if (c.durability)
        return shmq_topic_create_durable(space, topic, attrs, NULL);
    struct shmqi_create more = shmqi_topic_create_more(attrs);
    return shmqi_files_create(space, topic, &c, &more);
}
