/* topic_meta.c - what a topic was made with, as text of the store.
 *
 *     shmqd-topic 1
 *     ring=1
 *     ...
 *
 * Numbers are decimal, names those of the public structs. Keys that are not
 * known are of a later version: then the topic is refused, because serving it
 * without what they mean could break a promise. */
#include "topic.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <shmq.h>

#include "control.h"
#include "files.h"
#include "service/units.h"
#include "topic_impl.h"

static const char first_line[] = "shmqd-topic 1\n";

struct field {
    const char *key;
    size_t offset; /* in struct shmqd_meta */
    size_t size; /* 4 or 8 bytes */
};

#define ATTR(f) \
    { \
#f, offsetof(struct shmqd_meta, attrs.f), \
            sizeof(((struct shmqd_meta *)0)->attrs.f) \
    }
#define RETAIN(f) \
    { \
#f, offsetof(struct shmqd_meta, retain.f), \
            sizeof(((struct shmqd_meta *)0)->retain.f) \
    }

static const struct field fields[] = {
    ATTR(ring),
    ATTR(on_full),
    ATTR(durability),
    ATTR(capacity_frames),
    ATTR(arena_bytes),
    ATTR(max_message_bytes),
    ATTR(max_producers),
    ATTR(max_groups),
    ATTR(max_members),
    ATTR(mode),
    ATTR(data_mode),
    ATTR(flags),
    ATTR(ttl_ns),
    ATTR(timestamps),
    ATTR(owner),
    ATTR(group_owner),
    RETAIN(retain_bytes),
    RETAIN(retain_age_ns),
    RETAIN(max_lag_bytes),
};
enum { FIELD_CNT = sizeof(fields) / sizeof(fields[0]) };

void shmqd_meta_init(struct shmqd_meta *meta)
{
    memset(meta, 0, sizeof(*meta));
    meta->attrs.struct_bytes = sizeof(meta->attrs);
    meta->retain.struct_bytes = sizeof(meta->retain);
}

void shmqd_meta_copy(struct shmqd_meta *to, const struct shmqd_meta *from)
{
    *to = *from;
    to->attrs.schema = to->schema[0] != '\0' ? to->schema : NULL;
    to->retain.consumed = to->consumed;
}

static uint64_t get(const struct shmqd_meta *meta, const struct field *field)
{
    uint32_t narrow;
    uint64_t wide;
    if (field->size == sizeof(narrow)) {
        memcpy(&narrow, (const char *)meta + field->offset, sizeof(narrow));
        return narrow;
    }
    memcpy(&wide, (const char *)meta + field->offset, sizeof(wide));
    return wide;
}

static bool set(
    struct shmqd_meta *meta, const struct field *field, uint64_t value)
{
    uint32_t narrow = (uint32_t)value;
    if (field->size == sizeof(value)) {
        memcpy((char *)meta + field->offset, &value, sizeof(value));
        return true;
    }
    if (narrow != value)
        return false;
    memcpy((char *)meta + field->offset, &narrow, sizeof(narrow));
    return true;
}

/* A line of its own would be taken for a key of a later version. */
static bool is_one_line(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    }
    return true;
}

size_t shmqd_meta_encode(const struct shmqd_meta *meta, char *text, size_t room)
{
    size_t len = 0;
    if (!is_one_line(meta->schema) || !is_one_line(meta->consumed))
        return 0;
    int n = snprintf(text, room, "%s", first_line);
    for (size_t i = 0; i < FIELD_CNT && n >= 0 && (size_t)n < room - len; i++) {
        len += (size_t)n;
        n = snprintf(text + len, room - len, "%s=%" PRIu64 "\n", fields[i].key,
            get(meta, &fields[i]));
    }
    if (n >= 0 && (size_t)n < room - len) {
        len += (size_t)n;
        n = snprintf(text + len, room - len, "schema=%s\nconsumed=%s\n",
            meta->schema, meta->consumed);
    }
    return n < 0 || (size_t)n >= room - len ? 0 : len + (size_t)n;
}

/* Copies `value` (of `len` bytes) as a text; false when it is too long. */
static bool set_text(char *to, size_t room, const char *value, size_t len)
{
    if (len >= room)
        return false;
    memcpy(to, value, len);
    to[len] = '\0';
    return true;
}

static bool take_line(
    struct shmqd_meta *meta, const char *key, const char *value)
{
    if (strcmp(key, "schema") == 0)
        return set_text(
            meta->schema, sizeof(meta->schema), value, strlen(value));
    if (strcmp(key, "consumed") == 0)
        return set_text(
            meta->consumed, sizeof(meta->consumed), value, strlen(value));
    for (size_t i = 0; i < FIELD_CNT; i++) {
        uint64_t number;
        if (strcmp(key, fields[i].key) == 0)
            return shmqs_parse_u64(value, &number) &&
                set(meta, &fields[i], number);
    }
    return false;
}

int shmqd_meta_decode(const char *text, size_t len, struct shmqd_meta *ret)
{
    struct shmqd_meta meta;
    char line[1200];
    size_t at = sizeof(first_line) - 1;
    if (len < at || memcmp(text, first_line, at) != 0)
        return SHMQ_ERR_INVAL;
    shmqd_meta_init(&meta);
    while (at < len) {
        const char *end = memchr(text + at, '\n', len - at);
        if (end == NULL ||
            !set_text(line, sizeof(line), text + at, (size_t)(end - text) - at))
            return SHMQ_ERR_INVAL;
        at = (size_t)(end - text) + 1;
        char *equals = strchr(line, '=');
        if (equals == NULL)
            return SHMQ_ERR_INVAL;
        *equals = '\0';
        if (!take_line(&meta, line, equals + 1))
            return SHMQ_ERR_INVAL;
    }
    shmqd_meta_copy(ret, &meta);
    return 0;
}

void shmqd_meta_retain(
    struct shmqd_meta *meta, const struct shmq_retention *retain)
{
    if (retain->flags & SHMQ_RETAIN_BYTES)
        meta->retain.retain_bytes = retain->retain_bytes;
    if (retain->flags & SHMQ_RETAIN_AGE)
        meta->retain.retain_age_ns = retain->retain_age_ns;
    if (retain->flags & SHMQ_MAX_LAG)
        meta->retain.max_lag_bytes = retain->max_lag_bytes;
    if (retain->flags & SHMQ_RETAIN_CONSUMED)
        (void)set_text(meta->consumed, sizeof(meta->consumed), retain->consumed,
            strlen(retain->consumed));
}

int shmqd_meta_complete(const char *name, struct shmqd_meta *meta)
{
    struct shmqi_constants_shm c;
    struct shmq_topic_attrs *attrs = &meta->attrs;
    int rc = shmqi_topic_name_check(name, true);
    if (rc == 0)
        rc = shmqi_topic_constants(name, attrs, &c);
    if (rc == 0) {
        struct shmq_retention retain = meta->retain;
        retain.flags = SHMQ_RETAIN_AGE | SHMQ_RETAIN_CONSUMED;
        retain.consumed = meta->consumed;
        rc = shmqi_retention_check(&retain);
    }
    if (rc != 0)
        return rc;
    attrs->ring = c.ring;
    attrs->on_full = c.on_full;
    attrs->capacity_frames =
        c.ring == SHMQ_RING_SPSC ? 0 : UINT64_C(1) << c.cap_lg2;
    attrs->arena_bytes = c.arena_bytes;
    attrs->max_message_bytes = c.max_message_bytes;
    attrs->max_producers = c.max_producers;
    attrs->max_groups = c.max_groups;
    attrs->max_members = c.max_members;
    attrs->mode = c.mode;
    attrs->data_mode = c.data_mode;
    return 0;
}
