/* handles.c - payloads that prove themselves and handles in one line; see
 * support.h. */
#include "support/support.h"

#include <stdlib.h>

/* -- payloads ------------------------------------------------------------ */

static uint64_t payload_word(uint64_t tag, uint64_t idx)
{
    uint64_t state = tag * 0x2545f4914f6cdd1du + idx;

    return idx == 0 ? tag : t_random(&state);
}

void t_fill(void *data, uint64_t size, uint64_t tag)
{
    unsigned char *bytes = data;

    for (uint64_t off = 0; off < size; off += 8) {
        uint64_t word = payload_word(tag, off / 8);
        uint64_t part = size - off < 8 ? size - off : 8;
        memcpy(bytes + off, &word, part);
    }
}

bool t_matches(const void *data, uint64_t size, uint64_t tag)
{
    const unsigned char *bytes = data;

    for (uint64_t off = 0; off < size; off += 8) {
        uint64_t word = payload_word(tag, off / 8);
        uint64_t part = size - off < 8 ? size - off : 8;
        if (memcmp(bytes + off, &word, part) != 0)
            return false;
    }
    return true;
}

uint64_t t_tag(const struct shmq_message *msg)
{
    uint64_t tag = 0;

    memcpy(&tag, msg->data, msg->size < 8 ? msg->size : 8);
    return tag;
}

void t_check_carries(const char *file, int line, const struct shmq_message *msg,
    uint64_t tag, uint64_t size)
{
    char text[256];

    if (msg->size == size && t_matches(msg->data, size, tag))
        return;
    (void)snprintf(text, sizeof(text),
        "the record at %llu has %llu bytes and tag 0x%llx, or is "
        "torn; expected %llu bytes and tag 0x%llx",
        (unsigned long long)msg->position, (unsigned long long)msg->size,
        (unsigned long long)t_tag(msg), (unsigned long long)size,
        (unsigned long long)tag);
    t_fail(file, line, text);
}

/* -- handles ------------------------------------------------------------- */

struct shmq_topic_attrs t_attrs(void)
{
    struct shmq_topic_attrs attrs;

    memset(&attrs, 0, sizeof(attrs));
    attrs.struct_bytes = sizeof(attrs);
    return attrs;
}

struct shmq_topic_attrs t_mpmc(uint64_t slots, uint64_t arena)
{
    struct shmq_topic_attrs attrs = t_attrs();

    attrs.ring = SHMQ_RING_MPMC;
    attrs.capacity_frames = slots;
    attrs.arena_bytes = arena;
    attrs.max_message_bytes = arena / 2 - 128;
    attrs.max_producers = 8;
    return attrs;
}

struct shmq_topic_attrs t_spsc(uint64_t ring_bytes)
{
    struct shmq_topic_attrs attrs = t_attrs();

    attrs.ring = SHMQ_RING_SPSC;
    attrs.arena_bytes = ring_bytes;
    attrs.max_message_bytes = ring_bytes / 2 - 128;
    return attrs;
}

struct shmq_topic *t_open(const char *name)
{
    struct shmq_topic *topic = NULL;

    T_OK(shmq_topic_open(t_ns, name, &topic));
    return topic;
}

struct shmq_topic *t_topic(
    const char *name, const struct shmq_topic_attrs *attrs)
{
    T_OK(shmq_topic_create(t_ns, name, attrs));
    return t_open(name);
}

struct shmq_producer *t_producer(struct shmq_topic *topic)
{
    struct shmq_producer *producer = NULL;

    T_OK(shmq_producer_open(topic, NULL, &producer));
    return producer;
}

struct shmq_start t_start(uint32_t kind, uint64_t value)
{
    struct shmq_start start;

    memset(&start, 0, sizeof(start));
    start.kind = kind;
    start.value = value;
    return start;
}

struct shmq_consumer_options t_options(const char *group, uint32_t kind)
{
    struct shmq_consumer_options options;

    memset(&options, 0, sizeof(options));
    options.struct_bytes = sizeof(options);
    options.group = group;
    options.attrs.struct_bytes = sizeof(options.attrs);
    options.attrs.kind = kind;
    return options;
}

struct shmq_consumer *t_consumer(
    struct shmq_topic *topic, const struct shmq_consumer_options *options)
{
    struct shmq_consumer *consumer = NULL;

    T_OK(shmq_consumer_open(topic, options, &consumer));
    return consumer;
}

struct shmq_consumer *t_exclusive(struct shmq_topic *topic, const char *group)
{
    struct shmq_consumer_options options =
        t_options(group, SHMQ_GROUP_EXCLUSIVE);

    return t_consumer(topic, &options);
}

struct shmq_consumer *t_shared(struct shmq_topic *topic, const char *group)
{
    struct shmq_consumer_options options = t_options(group, SHMQ_GROUP_SHARED);

    return t_consumer(topic, &options);
}

struct shmq_consumer *t_ephemeral(struct shmq_topic *topic, uint32_t start)
{
    struct shmq_consumer_options options = t_options(NULL, SHMQ_GROUP_DEFAULT);

    options.start.kind = start;
    return t_consumer(topic, &options);
}

uint64_t t_publish(struct shmq_producer *producer, uint64_t tag, uint64_t size)
{
    unsigned char small[4200];
    unsigned char *data = size <= sizeof(small) ? small : malloc(size);
    uint64_t position = UINT64_MAX;

    T_TRUE(data != NULL);
    t_fill(data, size, tag);
    T_OK(shmq_producer_publish(producer, data, size, &position));
    if (data != small)
        free(data);
    return position;
}

void t_publish_run(struct shmq_producer *producer, uint64_t first, uint64_t cnt)
{
    for (uint64_t tag = first; tag < first + cnt; tag++)
        (void)t_publish(producer, tag, 16);
}

uint64_t t_publish_frame(
    struct shmq_producer *producer, uint64_t first, uint32_t cnt)
{
    struct shmq_record *records = calloc(cnt, sizeof(*records));
    unsigned char(*data)[16] = calloc(cnt, sizeof(*data));
    uint64_t *positions = calloc(cnt, sizeof(*positions));
    uint64_t position;

    T_TRUE(records != NULL && data != NULL && positions != NULL);
    for (uint32_t i = 0; i < cnt; i++) {
        t_fill(data[i], 16, first + i);
        records[i].data = data[i];
        records[i].size = 16;
    }
    T_OK(shmq_producer_publish_batch(producer, records, cnt, positions));
    position = positions[0];
    free(records);
    free(data);
    free(positions);
    return position;
}

void t_take(struct shmq_consumer *consumer, uint64_t tag, uint64_t size)
{
    struct shmq_message msg;

    T_OK(shmq_consumer_receive(consumer, &msg));
    T_CARRIES(&msg, tag, size);
    T_OK(shmq_consumer_release(consumer, &msg));
}

void t_take_run(struct shmq_consumer *consumer, uint64_t first, uint64_t cnt)
{
    for (uint64_t tag = first; tag < first + cnt; tag++)
        t_take(consumer, tag, 16);
}

void t_expect_empty(struct shmq_consumer *consumer)
{
    struct shmq_message msg;

    T_RC(shmq_consumer_receive(consumer, &msg), SHMQ_ERR_EMPTY);
}

/* -- stat ---------------------------------------------------------------- */

struct shmq_topic_stat t_stat(struct shmq_topic *topic)
{
    struct shmq_topic_stat stat;

    memset(&stat, 0, sizeof(stat));
    stat.struct_bytes = sizeof(stat);
    T_OK(shmq_topic_stat(topic, &stat));
    return stat;
}

bool t_group_stat(
    struct shmq_topic *topic, const char *group, struct shmq_group_stat *ret)
{
    struct shmq_group_stat *groups = calloc(256, sizeof(*groups));
    uint32_t cnt = 0;
    bool found = false;

    T_TRUE(groups != NULL);
    T_OK(shmq_topic_groups(topic, groups, 256, &cnt));
    for (uint32_t i = 0; i < cnt && i < 256; i++) {
        if (strcmp(groups[i].name, group) == 0) {
            *ret = groups[i];
            found = true;
        }
    }
    free(groups);
    return found;
}

bool t_endpoint_stat(
    struct shmq_topic *topic, int32_t pid, struct shmq_endpoint_stat *ret)
{
    struct shmq_endpoint_stat *points = calloc(1024, sizeof(*points));
    uint32_t cnt = 0;
    bool found = false;

    T_TRUE(points != NULL);
    T_OK(shmq_topic_endpoints(topic, points, 1024, &cnt));
    for (uint32_t i = 0; i < cnt && i < 1024; i++) {
        if (points[i].pid == pid) {
            *ret = points[i];
            found = true;
        }
    }
    free(points);
    return found;
}
